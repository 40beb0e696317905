package detect

const (
	USITIN   Class = "us-itin"
	CASIN    Class = "ca-sin"
	NHS      Class = "uk-nhs"
	NINO     Class = "uk-nino"
	Aadhaar  Class = "in-aadhaar"
	INPAN    Class = "in-pan"
	TFN      Class = "au-tfn"
	AUMed    Class = "au-medicare"
	ABN      Class = "au-abn"
	SteuerID Class = "de-tax-id"
	NIR      Class = "fr-nir"
	NIF      Class = "es-nif"
	NIE      Class = "es-nie"
	Fiscale  Class = "it-codice-fiscale"
	PESEL    Class = "pl-pesel"
	BSN      Class = "nl-bsn"
	CPF      Class = "br-cpf"
	CNPJ     Class = "br-cnpj"
	RRN      Class = "kr-rrn"
	NRIC     Class = "sg-nric"
	ZAID     Class = "za-id"
	SEID     Class = "se-personnummer"
	FIID     Class = "fi-hetu"
	DKID     Class = "dk-cpr"
	NOID     Class = "no-fodselsnummer"
	TRID     Class = "tr-tckn"
	AHV      Class = "ch-ahv"
	BENR     Class = "be-rrn"
	PTNIF    Class = "pt-nif"
	CNID     Class = "cn-id"
	CURP     Class = "mx-curp"
)

func nationalClasses() []info {
	return []info{
		{
			class: USSSN, groups: " pii", format: "3, 2 and 4 digits; 9 digits near a word", check: "areas, groups and serials that are given out", source: "SSA, structure of Social Security numbers",
			shaped: 0.85, near: 0.9, wrong: 0.5,
			words: "ssn ssns social tin itin taxpayer socialsecurity nss",
			names: "social security, social security number, social security no, socialsecuritynumber, ssn, ssn last four 0.8, ssn no, us ssn, seguro social",
			is:    []string{"ssn «078-05-1120»", `{"ssn": «219099999»}`, "her SSN is «912-34-5678»"}, not: []string{"219099999", "000-12-3456"},
		},
		{
			class: USITIN, groups: " pii", format: "9, two digits, a group given out, four digits", check: "first digit 9, groups 50–65, 70–88, 90–92, 94–99", source: "IRS, ITIN; IRM 3.13.263",
			shaped: 0.8, near: 0.9,
			words: "itin individual taxpayer",
			names: "itin, itin number, individual taxpayer identification number",
			is:    []string{"ITIN «912-70-1234»", "itin: «912701234»"}, not: []string{"912-49-1234"},
		},
		{
			class: CASIN, groups: " pii", format: "9 digits in threes; 9 digits near a word", check: "Luhn, first digit not 0 or 8", source: "Employment and Social Development Canada, SIN validation",
			near: 0.95, wrong: 0.5,
			words: "sin nas canadian insurance",
			names: "sin 0.8, sin number, sin no, social insurance number, social insurance no, canadian sin, numero assurance sociale",
			is:    []string{"SIN: «130 692 544»", "social insurance number «130692544»"}, not: []string{"130692544", "046 454 287"},
		},
		{
			class: NHS, groups: " phi pii", format: "10 digits, 3-3-4 or not, near a word", check: "weights 10 to 2, mod 11", source: "NHS Data Dictionary, NHS number",
			near: 0.95, wrong: 0.5,
			words: "nhs",
			names: "nhs number, nhs no, nhs 0.9, nhsnumber, nhs id",
			is:    []string{"NHS number «943 476 5919»", "nhs: «9434765919»"}, not: []string{"9434765919"},
		},
		{
			class: NINO, groups: " pii", format: "two letters, 6 digits, A to D, with spaces or not", check: "prefixes that are given out", source: "HMRC, National Insurance Manual NIM39110",
			alone: 0.85, near: 0.95,
			words: "nino national insurance ni",
			names: "nino, ni number, ni no, national insurance number, national insurance no, nationalinsurancenumber",
			is:    []string{"«AB 12 34 56 C»", "NINO «AB123456C»"}, not: []string{"GB123456C", "AB123456E"},
		},
		{
			class: Aadhaar, groups: " pii", format: "12 digits, in fours; 12 digits near a word", check: "Verhoeff, first digit 2 to 9", source: "UIDAI, Aadhaar numbering scheme",
			shaped: 0.7, near: 0.95, wrong: 0.5,
			words: "aadhaar aadhar adhaar uidai",
			names: "aadhaar, aadhar, aadhaar number, aadhaar no, aadhar number, aadhar no, uidai 0.9",
			is:    []string{"Aadhaar: «2341 2341 2346»", "aadhaar no «234123412346»"}, not: []string{"234123412346", "2341 2341 2347"},
		},
		{
			class: INPAN, groups: " pii", format: "5 letters, 4 digits, a letter", check: "fourth letter of a kind of holder", source: "Income Tax Department of India, PAN",
			alone: 0.6, near: 0.95,
			words: "pan permanent income incometax",
			names: "pan no 0.9, pan card, pan card no, pan card number, pan number 0.8, permanent account number",
			is:    []string{"PAN «ABCPE1234F»"}, not: []string{"ABCDE1234F", "ABCPE12345"},
		},
		{
			class: TFN, groups: " pii", format: "9 digits, in threes or not, near a word", check: "weights 1, 4, 3, 7, 5, 8, 6, 9, 10, mod 11", source: "Australian Taxation Office; as published in ATO software specifications",
			near: 0.95, wrong: 0.5,
			words: "tfn taxfile",
			names: "tfn, tax file number, tax file no, tfn number",
			is:    []string{"TFN «123 456 782»", "tfn: «123456782»"}, not: []string{"123456782"},
		},
		{
			class: AUMed, groups: " phi pii", format: "10 or 11 digits that begin with 2 to 6, near a word", check: "weights 1, 3, 7, 9, mod 10", source: "Services Australia; METeOR 270101",
			near: 0.95, wrong: 0.5,
			words: "medicare",
			names: "medicare number, medicare no, medicare card, medicare card number, medicare 0.8",
			is:    []string{"Medicare card «2428 77813 2»", "medicare: «2428778132»"}, not: []string{"2428778132"},
		},
		{
			class: ABN, groups: " pii", format: "11 digits, 2-3-3-3; 11 digits near a word", check: "mod 89", source: "Australian Business Register, format of the ABN",
			shaped: 0.7, near: 0.95,
			words: "abn",
			names: "abn, abn number, abn no, australian business number",
			is:    []string{"ABN «51 824 753 556»", "abn: «51824753556»"}, not: []string{"51824753556", "51 824 753 557"},
		},
		{
			class: SteuerID, groups: " pii", format: "11 digits, in groups or not, near a word", check: "ISO 7064 MOD 11,10; one digit twice or three times", source: "Bundeszentralamt für Steuern, IdNr; AO § 139b",
			near: 0.95, wrong: 0.5,
			words: "steuer steuerid steueridentifikationsnummer idnr steuernummer tin identifikationsnummer",
			names: "steuer id, steuerid, steuer identifikationsnummer, steueridentifikationsnummer, idnr 0.8, identifikationsnummer 0.7",
			is:    []string{"Steuer-ID: «86095742719»", "IdNr «86 095 742 719»"}, not: []string{"86095742719"},
		},
		{
			class: NIR, groups: " pii", format: "15 digits, 1-2-2-2-3-3-2 or not; 2A and 2B for Corsica", check: "97 less the rest of mod 97, a month", source: "INSEE; décret 82-103",
			alone: 0.8, shaped: 0.95, near: 1, wrong: 0.5,
			words: "nir insee sécurité securite sociale sécu secu vitale",
			names: "nir, numero securite sociale, numéro sécurité sociale, no securite sociale, securite sociale, sécurité sociale, num secu, numero insee",
			is:    []string{"«2 55 08 14 168 025 38»", "NIR «180126955222380»"}, not: []string{"2 55 08 14 168 025 39"},
		},
		{
			class: NIF, groups: " pii", format: "8 digits and a letter", check: "letter by mod 23", source: "Real Decreto 1553/2005; Ministerio del Interior",
			alone: 0.6, near: 0.95, wrong: 0.5,
			words: "dni nif documento identidad",
			names: "nif, dni, nif nie, dni nie, numero dni, numero nif",
			is:    []string{"DNI «12345678Z»", "dni: «12345678-Z»"}, not: []string{"12345678A"},
		},
		{
			class: NIE, groups: " pii", format: "X, Y or Z, 7 digits and a letter", check: "letter by mod 23", source: "Orden INT/2058/2008",
			alone: 0.8, near: 0.95, wrong: 0.5,
			words: "nie extranjero extranjeros",
			names: "nie, numero nie, numero identidad extranjero",
			is:    []string{"NIE «X1234567L»"}, not: []string{"X1234567A"},
		},
		{
			class: Fiscale, groups: " pii", format: "16 letters and digits in fixed places", check: "check letter; months of their letters", source: "D.M. 23 dicembre 1976",
			alone: 1, near: 1, wrong: 0.5,
			words: "codice fiscale cf codicefiscale",
			names: "codice fiscale, codicefiscale, cod fiscale, cod fisc",
			is:    []string{"«RSSMRA85T10A562S»"}, not: []string{"RSSMRA85T10A562T"},
		},
	}
}

func moreNationalClasses() []info {
	return []info{
		{
			class: PESEL, groups: " pii", format: "11 digits near a word", check: "weights 1, 3, 7, 9; a date", source: "Ustawa o ewidencji ludności; gov.pl, PESEL",
			near: 0.95, wrong: 0.5,
			words: "pesel",
			names: "pesel, numer pesel, nr pesel",
			is:    []string{"PESEL: «44051401359»"}, not: []string{"44051401359"},
		},
		{
			class: BSN, groups: " pii", format: "9 digits near a word", check: "weights 9 to 2 and −1, mod 11", source: "Rijksdienst voor Identiteitsgegevens, BSN",
			near: 0.95, wrong: 0.5,
			words: "bsn burgerservicenummer sofinummer",
			names: "bsn, burgerservicenummer, bsn nummer, sofinummer",
			is:    []string{"BSN «111222333»", "bsn: «1112.22.333»"}, not: []string{"111222333"},
		},
		{
			class: CPF, groups: " pii", format: "11 digits, 3.3.3-2; 11 digits near a word", check: "two check digits, mod 11", source: "Receita Federal, CPF; IN RFB 1548/2015",
			shaped: 0.95, near: 0.95, wrong: 0.5,
			words: "cpf cadastro",
			names: "cpf, cpf number, numero cpf, nr cpf",
			is:    []string{"«529.982.247-25»", "CPF «52998224725»"}, not: []string{"52998224725", "529.982.247-26"},
		},
		{
			class: CNPJ, groups: " pii", format: "14 digits, 2.3.3/4-2; 14 digits near a word", check: "two check digits, mod 11", source: "Receita Federal, CNPJ",
			shaped: 0.95, near: 0.95, wrong: 0.5,
			words: "cnpj",
			names: "cnpj, numero cnpj, nr cnpj",
			is:    []string{"«11.222.333/0001-81»", "CNPJ «11222333000181»"}, not: []string{"11222333000181"},
		},
		{
			class: RRN, groups: " pii", format: "6 and 7 digits; 13 digits near a word", check: "a date, mod 11", source: "Enforcement rules of the Resident Registration Act",
			shaped: 0.9, near: 0.95, wrong: 0.5,
			words: "rrn jumin resident registration 주민등록번호 주민번호",
			names: "rrn, jumin, resident registration number, resident registration no, jumin number, 주민등록번호, 주민번호",
			is:    []string{"«850101-1000004»", "RRN «8501011000004»"}, not: []string{"8501011000004", "850101-1000005"},
		},
		{
			class: NRIC, groups: " pii", format: "S, T, F, G or M, 7 digits, a letter", check: "check letter", source: "ICA; National Registration Regulations",
			alone: 0.8, near: 0.95, wrong: 0.5,
			words: "nric fin",
			names: "nric, nric no, nric number, nric fin, fin no 0.8, fin number 0.8",
			is:    []string{"NRIC «S1234567D»"}, not: []string{"S1234567A"},
		},
		{
			class: ZAID, groups: " pii", format: "13 digits near a word", check: "a date, a citizenship, Luhn", source: "Identification Act 68 of 1997",
			near: 0.95, wrong: 0.5,
			words: "rsa identity african said idnumber",
			names: "sa id, sa id number, rsa id, rsa id number, south african id, said number",
			is:    []string{"RSA identity number «8001015009087»"}, not: []string{"8001015009087"},
		},
		{
			class: SEID, groups: " pii", format: "6 or 8 digits, `-` or `+`, 4 digits; 10 or 12 digits near a word", check: "a date, Luhn", source: "Skatteverket, SKV 704",
			shaped: 0.8, near: 0.95, wrong: 0.5,
			words: "personnummer personnr samordningsnummer pnr",
			names: "personnummer se, svenskt personnummer, samordningsnummer",
			is:    []string{"«811218-9876»", "personnummer «198112189876»"}, not: []string{"811218-9875", "8112189876"},
		},
		{
			class: FIID, groups: " pii", format: "6 digits, a sign of the century, 3 digits, a sign", check: "a date, sign by mod 31", source: "Digital and Population Data Services Agency, personal identity code",
			alone: 0.95, near: 1,
			words: "hetu henkilötunnus henkilotunnus",
			names: "hetu, henkilötunnus, henkilotunnus",
			is:    []string{"«131052-308T»", "«131052A308T»"}, not: []string{"131052-308U"},
		},
		{
			class: DKID, groups: " pii", format: "6 and 4 digits; 10 digits near a word", check: "a date; mod 11, which newer ones need not pass", source: "CPR-kontoret, Personnummeret i CPR",
			shaped: 0.6, near: 0.95, wrong: 0.6,
			words: "cpr personnummer cprnr cprnummer",
			names: "cpr, cpr nummer, cpr nr, cprnr, cprnummer",
			is:    []string{"CPR «211062-5629»", "cpr: «2110625629»"}, not: []string{"2110625629"},
		},
		{
			class: NOID, groups: " pii", format: "11 digits, 6 and 5 or not", check: "a date, two check digits, mod 11", source: "Skatteetaten, fødselsnummer; folkeregisterforskriften",
			alone: 0.6, shaped: 0.8, near: 0.95, wrong: 0.5,
			words: "fødselsnummer fodselsnummer fnr personnummer",
			names: "fødselsnummer, fodselsnummer, fnr 0.9, personnummer no",
			is:    []string{"fødselsnummer «15108695088»", "«151086 95088»"}, not: []string{"15108695089"},
		},
		{
			class: TRID, groups: " pii", format: "11 digits near a word", check: "two check digits", source: "Nüfus Hizmetleri Kanunu 5490",
			near: 0.95, wrong: 0.5,
			words: "tc kimlik tckn tckimlik",
			names: "tckn, tc kimlik, tc kimlik no, tc no, kimlik no 0.9",
			is:    []string{"TC Kimlik No: «10000000146»"}, not: []string{"10000000146"},
		},
		{
			class: AHV, groups: " pii", format: "13 digits from 756, 3.4.4.2 or not", check: "EAN-13", source: "ZAS, AHV-Nummer",
			alone: 0.6, shaped: 0.95, near: 0.95,
			words: "ahv avs oasi sozialversicherungsnummer",
			names: "ahv, ahv nummer, ahv nr, avs nr, ahvn13",
			is:    []string{"«756.9217.0769.85»", "AHV «7569217076985»"}, not: []string{"756.9217.0769.86"},
		},
		{
			class: BENR, groups: " pii", format: "11 digits, 2.2.2-3.2; 11 digits near a word", check: "a date, mod 97", source: "Koninklijk besluit 3 april 1984",
			shaped: 0.95, near: 0.95, wrong: 0.5,
			words: "rijksregister rijksregisternummer insz niss rrn registre",
			names: "rijksregisternummer, insz, niss, numero national, numéro national, numero registre national",
			is:    []string{"«85.07.30-033.28»", "INSZ «85073003328»"}, not: []string{"85073003328", "85.07.30-033.29"},
		},
		{
			class: PTNIF, groups: " pii", format: "9 digits near a word", check: "weights 9 to 2, mod 11", source: "Decreto-Lei 14/2013",
			near: 0.95, wrong: 0.5,
			words: "nif contribuinte nipc",
			names: "contribuinte, numero contribuinte, nif pt, nipc",
			is:    []string{"NIF «123456789»"}, not: []string{"123456789"},
		},
		{
			class: CNID, groups: " pii", format: "17 digits and a digit or X", check: "ISO 7064 MOD 11-2, a province, a date", source: "GB 11643-1999",
			alone: 0.95, near: 1,
			words: "身份证 身份证号 居民身份证 identity sfz",
			names: "身份证, 身份证号, 身份证号码, shenfenzheng, sfz, chinese id",
			is:    []string{"«11010519491231002X»"}, not: []string{"110105194912310021"},
		},
		{
			class: CURP, groups: " pii", format: "18 letters and digits in fixed places", check: "check digit, a date, a state", source: "DOF, instructivo normativo para la asignación de la CURP",
			alone: 0.95, near: 1,
			words: "curp",
			names: "curp, clave curp",
			is:    []string{"«HEGG560427MVZRRL04»"}, not: []string{"HEGG560427MVZRRL05"},
		},
	}
}
