package detect

import (
	"bytes"
	"strings"
)

// A lead is a word behind which a value of a class stands.
type lead struct {
	word  string
	class Class
	// needs lists words of which one must stand between, or before; "#" stands for
	// any word of a number ("no", "number", "#", "id"). "" : nothing.
	needs string
	// self is the class of "MRN-1015952", of which the word itself is a part.
	self bool
}

const numberWords = " no nr num number numbers nbr numero número nummer numer id ids "

// leadTable is sorted by no order; a word may lead to several classes.
var leadTable = []lead{
	{word: "cvv", class: CVV},
	{word: "cvc", class: CVV},
	{word: "csc", class: CVV, needs: " card code "},
	{word: "security", class: CVV, needs: " card "},
	{word: "verification", class: CVV, needs: " card "},
	{word: "passport", class: Passport},
	{word: "passeport", class: Passport},
	{word: "pasaporte", class: Passport},
	{word: "passaport", class: Passport},
	{word: "reisepass", class: Passport},
	{word: "paspoort", class: Passport},
	{word: "paszport", class: Passport},
	{word: "passnummer", class: Passport},
	{word: "driver", class: Licence, needs: " license licence licenses "},
	{word: "drivers", class: Licence, needs: " license licence licenses "},
	{word: "driving", class: Licence, needs: " license licence "},
	{word: "license", class: Licence, needs: "DL"},
	{word: "licence", class: Licence, needs: "DL"},
	{word: "permis", class: Licence, needs: " conduire "},
	{word: "führerschein", class: Licence},
	{word: "fuehrerschein", class: Licence},
	{word: "rijbewijs", class: Licence},
	{word: "plate", class: LicencePlate, needs: " license licence number registration no "},
	{word: "licenseplate", class: LicencePlate},
	{word: "kennzeichen", class: LicencePlate},
	{word: "national", class: NationalID, needs: " id identity identification insurance "},
	{word: "nationalid", class: NationalID},
	{word: "nid", class: NationalID, self: true},
	{word: "identity", class: NationalID, needs: "#"},
	{word: "identification", class: NationalID, needs: " personal national citizen "},
	{word: "cedula", class: NationalID},
	{word: "ausweisnummer", class: NationalID},
	{word: "personalausweis", class: NationalID},
	{word: "tax", class: TaxID, needs: " id number no identification "},
	{word: "taxpayer", class: TaxID, needs: "#"},
	{word: "steuernummer", class: TaxID},
	{word: "vat", class: TaxID, needs: "#"},
	{word: "taxid", class: TaxID},
	{word: "employee", class: EmployeeID, needs: "#"},
	{word: "employeeid", class: EmployeeID},
	{word: "empid", class: EmployeeID},
	{word: "staff", class: EmployeeID, needs: "#"},
	{word: "emp", class: EmployeeID, needs: "#", self: true},
	{word: "personalnummer", class: EmployeeID},
	{word: "account", class: BankAccount, needs: " no nr num number "},
	{word: "acct", class: BankAccount, needs: " no nr num number "},
	{word: "accountnumber", class: BankAccount},
	{word: "kontonummer", class: BankAccount},
	{word: "rekeningnummer", class: BankAccount},
	{word: "bank", class: BankAccount, needs: " account acct konto "},
	{word: "checking", class: BankAccount, needs: " account acct "},
	{word: "savings", class: BankAccount, needs: " account acct "},
	{word: "beneficiary", class: BankAccount, needs: " account acct "},
	{word: "source", class: BankAccount, needs: " account acct "},
	{word: "destination", class: BankAccount, needs: " account acct "},
	{word: "cuenta", class: BankAccount},
	{word: "payee", class: BankAccount, needs: " account acct "},
	{word: "account", class: BankAccount, needs: " routing bank iban sort "},
	{word: "sort", class: SortCode, needs: " code "},
	{word: "sortcode", class: SortCode},
	{word: "swift", class: BIC},
	{word: "bic", class: BIC},
	{word: "swiftcode", class: BIC},
	{word: "mrn", class: MRN, self: true},
	{word: "medical", class: MRN, needs: " record "},
	{word: "health", class: MRN, needs: "#"},
	{word: "chart", class: MRN, needs: " number no "},
	{word: "patient", class: MRN, needs: " id number no nr "},
	{word: "patientid", class: MRN},
	{word: "patientennummer", class: MRN},
	{word: "insurance", class: MemberID, needs: "# policy member INS"},
	{word: "subscriber", class: MemberID, needs: "#"},
	{word: "member", class: MemberID, needs: "#"},
	{word: "memberid", class: MemberID},
	{word: "policy", class: MemberID, needs: " no num number POL "},
	{word: "medicaid", class: MemberID},
	{word: "versichertennummer", class: MemberID},
	{word: "ins", class: MemberID, self: true, needs: "never"},
	{word: "pol", class: MemberID, self: true, needs: "never"},
	{word: "prescription", class: Prescription, needs: "#"},
	{word: "rxnumber", class: Prescription},
	{word: "dob", class: DateOfBirth},
	{word: "birth", class: DateOfBirth},
	{word: "born", class: DateOfBirth},
	{word: "birthday", class: DateOfBirth},
	{word: "birthdate", class: DateOfBirth},
	{word: "dateofbirth", class: DateOfBirth},
	{word: "geburtsdatum", class: DateOfBirth},
	{word: "geboren", class: DateOfBirth},
	{word: "naissance", class: DateOfBirth},
	{word: "née", class: DateOfBirth},
	{word: "nacimiento", class: DateOfBirth},
	{word: "nacido", class: DateOfBirth},
	{word: "nacida", class: DateOfBirth},
	{word: "nascita", class: DateOfBirth},
	{word: "nato", class: DateOfBirth},
	{word: "nascimento", class: DateOfBirth},
	{word: "geboortedatum", class: DateOfBirth},
	{word: "födelsedatum", class: DateOfBirth},
	{word: "fødselsdato", class: DateOfBirth},
	{word: "urodzenia", class: DateOfBirth},
}

// leadsOf are the leads of each word.
var leadsOf = func() map[string][]*lead {
	m := map[string][]*lead{}
	for i := range leadTable {
		m[leadTable[i].word] = append(m[leadTable[i].word], &leadTable[i])
	}
	return m
}()

// leadWords lists the words whose first three letters are of ASCII, as anchors are.
func leadWords() []string {
	var out []string
	for w := range leadsOf {
		if letters(w[0], w[1], w[2]) {
			k := 3
			for k < len(w) && w[k] < 0x80 {
				k++
			}
			out = append(out, w[:k])
		}
	}
	return out
}

const leadsFor = 44 // bytes between a lead and its value

// leadsTo tries the leads in the word [i, j).
func (s *scan) leadsTo(i, j int) {
	end := j
	for end-j < 24 && s.kind(end)&isHigh != 0 || end > j && end-j < 24 && isLetter(s.at(end)) {
		end++
	}
	for p := i; p+3 <= j; p++ {
		if !letters(s.t[p], s.t[p+1], s.t[p+2]) || !s.part(i, p, j) {
			continue
		}
		var word [maxWord]byte
		n := 0
		for q := p; q < end && n < maxWord; q++ {
			c := s.at(q)
			if !isLetter(c) || q > p && isUpper(c) && isLower(s.t[q-1]) {
				break
			}
			if word[n] = c; c < 0x80 {
				word[n] |= 0x20
			}
			n++
		}
		for _, l := range leadsOf[string(word[:n])] {
			s.follow(l, p, p+n)
		}
	}
}

// follow looks for the value behind the lead at [p, q).
func (s *scan) follow(l *lead, p, q int) {
	if s.e.off[l.class] {
		return
	}
	if l.self && s.at(q) == '-' && s.like(q+1, "99999") {
		s.takeID(l, p, 0.1)
		return
	}
	if l.needs == "never" {
		return
	}
	if l.class == DateOfBirth {
		s.birth(q)
		return
	}
	met := l.needs == "" || s.near(p, -1, l.needs) && (l.class != Licence || s.sameLine(p, l.needs))
	at := q
	for at-q < leadsFor {
		c := s.at(at)
		switch {
		case c == '#':
			met = met || strings.HasPrefix(l.needs, "#") || strings.Contains(l.needs, " no ")
			at++
		case isLetter(c):
			end, digits := at, 0
			var word [maxWord]byte
			n := 0
			for end-at < maxWord && (isLetter(s.at(end)) || s.kind(end)&isDigit != 0) {
				if digits += int(kinds[s.t[end]] & isDigit); n < maxWord {
					if word[n] = s.t[end]; word[n] < 0x80 {
						word[n] |= 0x20
					}
					n++
				}
				end++
			}
			if digits > 0 || s.at(end) == '-' && s.kind(end+1)&(isDigit|isUp) != 0 || l.class == BIC && (n == 8 || n == 11) ||
				l.class == LicencePlate && isUpper(c) && end-at <= 3 && s.at(end) == ' ' && s.kind(end+1)&isDigit != 0 {
				s.take(l, q, at, met)
				return
			}
			w := word[:n]
			if n == 0 || !listed(between, w) && !listed(l.needs, w) {
				return
			}
			met = met || listed(l.needs, w) || strings.HasPrefix(l.needs, "#") && listed(numberWords, w)
			at = end
		case kinds[c]&isDigit != 0:
			s.take(l, q, at, met)
			return
		case c == ' ' || c == ':' || c == '=' || c == '"' || c == '\'' || c == '.' || c == '-' || c == '_' || c == '(' || c == ')' || c == '/' || c == '>' || c == '\t' || c == ',' && s.at(at+1) == ' ':
			if c == ',' && l.class != Passport {
				return
			}
			at++
		default:
			return
		}
	}
}

// sameLine reports that one of words stands before p in its line: the licence of a file
// says nothing about the driver below it.
func (s *scan) sameLine(p int, words string) (found bool) {
	lo := max(0, p-wordsBefore)
	if nl := bytes.LastIndexByte(s.t[lo:p], '\n'); nl >= 0 {
		lo += nl + 1
	}
	s.words(lo, p, func(_, _ int, w []byte) { found = found || listed(words, w) })
	return found
}

// between lists the words that may stand between a lead and its value.
const between = " no nr num number numbers nbr numero número nummer numer id ids is was are the s of code codes card record records account acct license licence licenses policy member my your her his new old value und de du del di da mit lautet ist est es "

// take tries the value at p, of a lead that ends at q.
func (s *scan) take(l *lead, q, p int, met bool) {
	switch l.class {
	case CVV:
		s.takeDigits(l, p, met, 3, 4)
	case BankAccount:
		s.takeDigits(l, p, met, 6, 17)
	case SortCode:
		if met && s.like(p, "99-99-99") && s.kind(p+8)&isWord == 0 && s.at(p+8) != '-' {
			s.add(p, p+8, SortCode, 0.85)
		} else if met && s.like(p, "999999") && s.kind(p+6)&isWord == 0 {
			s.add(p, p+6, SortCode, 0.85)
		}
	case BIC:
		s.bic(q, p)
	default:
		if met || s.prefixed(l.needs, p) {
			s.takeID(l, p, 0)
		}
	}
}

// prefixed reports a value that begins with one of the capitals in needs, and a dash.
func (s *scan) prefixed(needs string, p int) bool {
	for k := 0; k+1 < len(needs); k++ {
		if !isUpper(needs[k]) {
			continue
		}
		n := k
		for n < len(needs) && isUpper(needs[n]) {
			n++
		}
		if s.foldedAt(p, needs[k:n]) && s.at(p+n-k) == '-' {
			return true
		}
		k = n
	}
	return false
}

// takeDigits takes from low to high digits, with single spaces or dashes between where there are many.
func (s *scan) takeDigits(l *lead, p int, met bool, low, high int) {
	n, q := 0, p
	for q-p < 24 {
		if s.kind(q)&isDigit != 0 {
			n++
		} else if c := s.at(q); high < 8 || n == 0 || c != '-' && c != ' ' || s.kind(q+1)&isDigit == 0 {
			break
		}
		q++
	}
	if !met || n < low || n > high || s.kind(q)&(isWord|isHigh) != 0 || s.at(q) == '.' && s.kind(q+1)&isDigit != 0 || s.at(q) == ':' && s.kind(q+1)&isDigit != 0 {
		return
	}
	s.add(p, q, l.class, table[byClass[l.class]].near)
}

// takeID takes letters and digits with dashes between, of which most are digits; more is added
// to the score.
func (s *scan) takeID(l *lead, p int, more float32) {
	q, digits, capitals, small := p, 0, 0, 0
	for q-p < 28 {
		c := s.at(q)
		k := kinds[c]
		if k&(isDigit|isUp|isLow) == 0 {
			if c != '-' || s.kind(q+1)&(isDigit|isUp|isLow) == 0 {
				if l.class != LicencePlate || c != ' ' || s.kind(q+1)&isDigit == 0 || digits > 0 {
					break
				}
			}
		}
		switch {
		case k&isDigit != 0:
			digits++
		case k&isUp != 0:
			capitals++
		case k&isLow != 0:
			small++
		}
		q++
	}
	if s.at(p) == '0' && s.at(p+1)|0x20 == 'x' {
		return
	}
	n := digits + capitals + small
	least, most, few := 5, 20, 4
	switch l.class {
	case Passport:
		least, most, few = 6, 9, 5
	case LicencePlate:
		least, most, few = 4, 10, 1
	case EmployeeID:
		least, most = 4, 15
	case MemberID:
		least, most = 6, 15
	case TaxID:
		least, most, few = 8, 15, 7
	}
	c := s.at(q)
	if n < least || n > most || digits < few || small > 0 && (capitals > 0 || small > 4) || capitals+small > digits+2 && l.class != LicencePlate ||
		s.kind(q)&(isWord|isHigh) != 0 || c == '/' || c == '@' || (c == '.' || c == ':') && s.kind(q+1)&isWord != 0 || s.dated(p, q) {
		return
	}
	s.add(p, q, l.class, table[byClass[l.class]].near+more)
}

// dated reports that [p, q) is a date of ISO 8601.
func (s *scan) dated(p, q int) bool {
	return q-p >= 10 && (s.like(p, "19") || s.like(p, "20")) && s.like(p, "9999-99-99")
}

// bic tries four letters, a country, two or five letters and digits at p. One without a
// digit could be any word, so a mark must stand before it.
func (s *scan) bic(q, p int) {
	n, sure := 0, false
	for n < 12 && s.kind(p+n)&(isUp|isDigit) != 0 {
		sure = sure || kinds[s.t[p+n]]&isDigit != 0
		n++
	}
	for ; q < p; q++ {
		sure = sure || s.t[q] == ':' || s.t[q] == '='
	}
	if !sure {
		return
	}
	if n != 8 && n != 11 || s.kind(p+n)&isWord != 0 || !s.like(p, "AAAAAA") || !country(s.t[p+4], s.t[p+5]) {
		return
	}
	s.add(p, p+n, BIC, 0.8)
}

// countries are those of ISO 3166-1, and XK.
const countries = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW"

func country(a, b byte) bool {
	for k := 0; k < len(countries); k += 2 {
		if countries[k] == a && countries[k+1] == b {
			return true
		}
	}
	return false
}
