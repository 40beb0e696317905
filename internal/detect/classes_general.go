package detect

// Classes that many countries have. Sources name the document that defines the format.

const (
	MAC          Class = "mac"
	VIN          Class = "vin"
	IMEI         Class = "imei"
	Passport     Class = "passport"
	Licence      Class = "driving-licence"
	LicencePlate Class = "licence-plate"
	NationalID   Class = "national-id"
	TaxID        Class = "tax-id"
	EmployeeID   Class = "employee-id"
)

func generalClasses() []info {
	return []info{
		{
			class: Email, groups: " pii", format: "local part, `@`, a host name of two labels or more", source: "RFC 5321, RFC 5322",
			alone: 0.95,
			names: "email, emails, e mail, emailaddress, email address, mail address, mailaddress, mail 0.8, correo 0.9, correo electronico, courriel, eposta, epost, e post",
			is:    []string{"write to «jane.doe+x@mail.example.com»."}, not: []string{"logo@2x.png", "user@localhost"},
		},
		{
			class: Phone, groups: " pii", format: "international with `+`, or national near a word, 7 to 15 digits", check: "numbering plans", source: "ITU-T E.164; libphonenumber's metadata",
			near: 0.9, wrong: 0.5,
			words: "phone phones tel telephone mobile fax sms whatsapp phonenumber telefon telefono teléfono téléphone telephone handy celular movil móvil telefone telefoon puhelin telefonnummer mobil rufnummer ph",
			names: "phone, phones, phonenumber, telephone, mobile 0.9, mobilenumber, cellphone, cell 0.7, tel 0.9, msisdn, fax 0.9, telefon, telefono, teléfono, téléphone, telefone, celular, handynummer, mobilnummer, telefonnummer, rufnummer, portable 0.5",
			is:    []string{"call «+44 20 7946 0958»", "phone: «4155552671»"}, not: []string{"4155552671"},
		},
		{
			class: IP, groups: " pii", format: "IPv4, IPv6", check: "loopback, netmasks and multicast are none", source: "RFC 791, RFC 4291",
			alone: 0.85,
			names: "ip addr, ip address, ipaddr, ipaddress, remote addr, client addr, ip 0.9, ipv4, ipv6, remote ip, client ip, source ip, last login ip",
			is:    []string{"from «203.0.113.9»:443", "peer «2001:db8::8a2e:370:7334» up"}, not: []string{"127.0.0.1", "version 1.2.3.4"},
		},
		{
			class: MAC, groups: " pii", format: "six bytes of hex between colons", source: "IEEE 802-2014 section 8",
			alone: 0.85,
			names: "mac addr, mac address, macaddr, macaddress, hwaddr, bssid",
			is:    []string{"eth0 «2a:3f:69:93:e7:11» up"}, not: []string{"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "12:34:56:78:90:12:34:56"},
		},
		{
			class: Person, groups: " pii", format: "the name of a person", source: "columns by their names; in text the model",
			names: "first name, firstname, last name, lastname, full name, fullname, middle name, middlename, maiden name, maidenname, birth name, given name, givenname, given names, family name, familyname, surname, forename, forenames, nick name 0.6, " +
				"customer name, patient name, client name 0.9, employee name, person name, contact name, holder name, cardholder name, card holder name, account holder, cardholder 0.9, card holder 0.9, beneficiary name, recipient name, sender name 0.9, payee name, doctor name, physician name, provider name 0.6, guardian name, " +
				"mother name, father name, mothers maiden name, mother maiden name, spouse name, next of kin, emergency contact name, student name, teacher name, applicant name, candidate name, member name 0.9, owner name 0.7, passenger name, guest name, tenant name 0.5, subscriber name, insured name, legal name 0.8, display name 0.6, real name, user full name, author name 0.7, signatory, name on card, " +
				"vorname, nachname, familienname, geburtsname, kundenname, ansprechpartner, patientenname, prénom, prenom, nom de famille, nom complet, nom famille, nom client, nom patient, nom naissance, nombre completo, nombre cliente, nombre paciente, apellido, apellidos, primer apellido, segundo apellido, cognome, nome completo, nome cliente, nome paziente, sobrenome, nome paciente, voornaam, achternaam, förnamn, fornamn, efternamn, etternavn, fornavn, efternavn, etunimi, sukunimi, imie, imię, nazwisko, ad soyad, soyad",
			not: []string{"name: hammer"},
		},
		{
			class: Address, groups: " pii", format: "street, place and postcode", source: "columns by their names; in text the model",
			names: "street, street address, streetaddress, street name, street no, street number, house number, housenumber, address 0.8, addresses 0.8, address line, addressline, addr line, addr 0.6, home address, postal address, mailing address, billing address, shipping address, delivery address, residential address, home addr, billing addr, shipping addr, address street, " +
				"city 0.7, town 0.7, billing city, shipping city, home city, birth city, zip code, zipcode, postcode, post code, postal code, postalcode, billing zip, shipping zip, zip plus 4, place of birth, birth place, birthplace, " +
				"straße, strasse, hausnummer, anschrift, adresse 0.9, wohnort, postleitzahl, plz, stadt 0.6, ort 0.5, geburtsort, rue 0.8, code postal, ville 0.7, lieu de naissance, dirección 0.9, direccion 0.9, calle 0.8, ciudad 0.7, codigo postal, código postal, indirizzo 0.9, cap residenza, città 0.7, citta 0.7, comune di nascita, luogo di nascita, endereço, endereco, cep, cidade 0.7, adres 0.8, straat, woonplaats, ulica, kod pocztowy, gata 0.7, postnummer, katuosoite, postinumero",
			not: []string{"address 0x7ffe, a street of numbers"},
		},
		{
			class: DateOfBirth, groups: " pii phi", format: "a date after a word that says it is a birth date", check: "a day that there is, of 1900 to 2029", source: "ISO 8601; customs of the country",
			near:  0.85,
			words: "dob birth born birthday birthdate dateofbirth geburtsdatum geboren geb naissance né née nacimiento nacido nascita nascimento geboortedatum geboren födelsedatum född fødselsdato født syntymäaika urodzenia doğum",
			names: "date of birth, dateofbirth, dob, birth date, birthdate, birthday, birth day 0.8, birth dt, born on, born 0.7, birth 0.7, geburtsdatum, geburtstag, geb datum, date de naissance, date naissance, naissance, fecha de nacimiento, fecha nacimiento, data di nascita, data nascita, data de nascimento, data nascimento, geboortedatum, födelsedatum, fodelsedatum, fødselsdato, fodselsdato, syntymäaika, syntymaaika, data urodzenia, doğum tarihi, dogum tarihi",
			is:    []string{"DOB: «1952-05-21»", "born on «21 May 1952»", "geboren am «21.05.1952»"}, not: []string{"DOB: 1952-13-41", "shipped on 1952-05-21"},
		},
		{
			class: Passport, groups: " pii", format: "6 to 9 letters and digits after a word that says so", source: "ICAO Doc 9303 part 4",
			near:  0.8,
			words: "passport passports passeport pasaporte passaporto passaporte reisepass paspoort paszport passnummer passnr pass",
			names: "passport 0.9, passport no, passport number, passport num, passport id, passportnumber, passportno, passeport 0.9, pasaporte 0.9, passaporto 0.9, passaporte 0.9, reisepass, reisepassnummer, passnummer, paspoortnummer, numer paszportu",
			is:    []string{"passport no. «P5T124615»", "passport: «502135326»"}, not: []string{"passport control", "P5T124615"},
		},
		{
			class: Licence, groups: " pii", format: "5 to 20 letters and digits after a word that says so", source: "AAMVA DL/ID Card Design Standard; customs of the country",
			near:  0.7,
			words: "driver drivers driving dl license licence permis führerschein fuehrerschein conducir patente rijbewijs habilitação cnh",
			names: "driving licence, driving license, driving licence no, driving licence number, driver licence, driver license, drivers license, drivers licence, driver license no, driver license number, drivers license number, driver license id, driverslicense, driverlicense, dl number, dl no, fuehrerscheinnummer, führerscheinnummer, permis de conduire, numero permis, licencia de conducir, patente di guida, cnh, rijbewijsnummer",
			is:    []string{"driver's license: «D123-4567-8901»", "licence «DL-X15925-25»"}, not: []string{"License: Apache-2.0", "D123-4567-8901"},
		},
		{
			class: LicencePlate, groups: " pii", format: "4 to 10 letters and digits after words that say so", source: "customs of the country",
			near:  0.6,
			words: "plate kennzeichen matricula matrícula immatriculation targa",
			names: "license plate, licence plate, license plate no, license plate number, licence plate number, number plate, plate number, plate no, licenseplate, kennzeichen 0.8, matricula 0.6, plaque immatriculation, targa",
			is:    []string{"license plate: «ABC 1234»"}, not: []string{"plate number of the book", "ABC 1234"},
		},
		{
			class: VIN, groups: " pii", format: "17 letters and digits without I, O and Q", check: "check digit in position 9", source: "ISO 3779; 49 CFR 565.15",
			alone: 0.8, near: 0.95, wrong: 0.5,
			words: "vin chassis vehicle fahrgestellnummer fin car",
			names: "vin, vin number, vin no, vehicle identification number, vehicle identification no, chassis number, chassis no, fahrgestellnummer",
			is:    []string{"the car «1M8GDM9AXKP042788»"}, not: []string{"1M8GDM9A1KP042788", "VERSION1234567890"},
		},
		{
			class: IMEI, groups: " pii", format: "15 digits near a word", check: "Luhn", source: "3GPP TS 23.003 section 6.2",
			near: 0.95, wrong: 0.5,
			words: "imei imeisv",
			names: "imei, imei number, imei no",
			is:    []string{"IMEI «490154203237518»", "imei: «49-015420-323751-8»"}, not: []string{"490154203237518"},
		},
		{
			class: NationalID, groups: " pii", format: "5 to 20 letters and digits, most of them digits, after words that say so", source: "customs of the country",
			near:  0.6,
			words: "nationalid nid",
			names: "national id, nationalid, national id number, national id no, national identity number, national identification number, identity number, identity card number, id card number, id card no, personal id number 0.9, citizen id, citizen number, personalausweisnummer, ausweisnummer, personnummer 0.9, cedula, cédula, cedula de identidad, numero identificacion, documento identidad, carte identite, carta identità, carta identita, id number 0.5",
			is:    []string{"national ID: «NID-900198093»"}, not: []string{"international idea 12"},
		},
		{
			class: TaxID, groups: " pii", format: "8 to 15 digits and letters after words that say so; US employers: 2 and 7 digits", source: "IRS Publication 1635; Council Directive 2006/112/EC article 215",
			near:  0.7,
			words: "ein taxid taxpayer steuernummer vat",
			names: "tax id 0.9, taxid 0.9, tax number, tax no 0.9, taxpayer id, taxpayer number, tax identification number, fiscal code 0.8, fein, ein 0.8, steuernummer, steuer nr, numero fiscal, numéro fiscal, vat number 0.8, vat id 0.8, vat no 0.8, ust id, ustid, partita iva",
			is:    []string{"EIN «12-3456789»", "tax ID: «98-7654321»"}, not: []string{"12-3456789"},
		},
		{
			class: EmployeeID, groups: " pii", format: "4 to 15 letters, digits and dashes, with four digits, after words that say so", source: "customs of the employer",
			near:  0.6,
			names: "employee id 0.9, employee no 0.9, employee number 0.9, employeeid 0.9, emp id 0.9, emp no 0.9, staff id 0.8, staff number 0.8, staff no 0.8, personnel number 0.9, personalnummer 0.9, matricule 0.6, badge number 0.7",
			is:    []string{"Employee ID: «EMP-15935»"}, not: []string{"employee of 2024", "EMP-15"},
		},
		{
			class: Organisation, format: "the name of an organisation; belongs to no group and is looked for in text only where names are all", source: "the model",
		},
		{
			class: Place, format: "the name of a town, region or country by itself; belongs to no group", source: "the model",
		},
	}
}
