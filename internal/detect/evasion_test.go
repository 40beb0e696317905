package detect

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// patterns make values of classes that are not digits only: 9 is a digit, A a capital, X
// either, b a sign of base58, h of hex. Those that fail their check are thrown away.
var patterns = map[Class]string{
	Email: "hhhh.hhhh@example.com", IP: "1hh.2", IBAN: "GB99 NWBK 9999 9999 9999 99", NINO: "AA999999A", INPAN: "AAAPA9999A", NIF: "99999999A", NIE: "X9999999A",
	NRIC: "S9999999A", Fiscale: "AAAAAA99A99A999A", FIID: "999999-999A", CURP: "AAAA999999HAAAAA99", CNID: "99999919999999999X", DEA: "AA9999999", MBI: "9AX9-AX9-AA99",
	VIN: "XXXXXXXXXXX999999", MAC: "hh:hh:hh:hh:hh:hh", Phone: "+1 212 555 9999", Card: "4999 9999 9999 9999", USSSN: "999-99-9999",
	Passport: "A99999999", MRN: "MRN-9999999", CVV: "999", SortCode: "99-99-99", BankAccount: "99999999", DateOfBirth: "1979-09-19", EmployeeID: "EMP-99999",
	MemberID: "INS-999999999", Licence: "D999-9999-9999", Prescription: "RX-9999999", NationalID: "NID-999999999",
}

// contexts are what is said before a value.
var contexts = map[Class]string{
	CVV: "cvv: ", SortCode: "sort code: ", BankAccount: "bank account number: ", Passport: "passport: ", MRN: "", DateOfBirth: "dob: ", EmployeeID: "employee id: ",
	MemberID: "insurance id: ", Licence: "driver license: ", Prescription: "", NationalID: "", IP: "", Email: "", MAC: "", Phone: "phone: ", IBAN: "", TaxID: "ein: ", AHV: "",
}

func made(r *rand.Rand, pattern string) string {
	var b strings.Builder
	for _, c := range pattern {
		switch c {
		case '9':
			b.WriteByte("0123456789"[r.IntN(10)])
		case 'A':
			b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[r.IntN(26)])
		case 'X':
			b.WriteByte("0123456789ABCDEFGHJKLMNPRSTUVWXYZ"[r.IntN(33)])
		case 'h':
			b.WriteByte("0123456789abcdef"[r.IntN(16)])
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// generators make a value of each class, valid or not.
func generators() map[Class]func(*rand.Rand) string {
	out := map[Class]func(*rand.Rand) string{}
	for _, n := range numberings {
		out[n.class] = func(r *rand.Rand) string {
			d := make([]byte, n.n)
			for range 200_000 {
				for i := range d {
					d[i] = byte(r.IntN(10))
				}
				if n.class == AHV {
					copy(d, []byte{7, 5, 6})
				}
				if n.check(d) {
					break
				}
			}
			for i := range d {
				d[i] += '0'
			}
			return string(d)
		}
	}
	for c, p := range patterns {
		out[c] = func(r *rand.Rand) string { return made(r, p) }
	}
	out[IP] = func(r *rand.Rand) string {
		return fmt.Sprintf("%d.%d.%d.%d", 11+r.IntN(100), r.IntN(256), r.IntN(256), r.IntN(256))
	}
	return out
}

// disguises hide a value; what must be found is at least a part of it.
var disguises = []struct {
	name string
	f    func(string) string
}{
	{"full width", func(v string) string { return each(v, func(c rune) string { return string(wide(c)) }) }},
	{"Arabic digits", func(v string) string {
		return each(v, func(c rune) string {
			if c >= '0' && c <= '9' {
				c += 0x660 - '0'
			}
			return string(c)
		})
	}},
	{"mathematical", func(v string) string {
		return each(v, func(c rune) string {
			switch {
			case c >= '0' && c <= '9':
				c += 0x1d7ce - '0'
			case c >= 'A' && c <= 'Z':
				c += 0x1d400 - 'A'
			}
			return string(c)
		})
	}},
	{"zero width", func(v string) string { return each(v, func(c rune) string { return string(c) + "\u200b" }) }},
	{"other dashes and spaces", func(v string) string {
		return strings.NewReplacer("-", "\u2011", " ", "\u00a0").Replace(v)
	}},
	{"percent", func(v string) string { return each(v, func(c rune) string { return fmt.Sprintf("%%%02X", c) }) }},
	{"escapes", func(v string) string { return each(v, func(c rune) string { return fmt.Sprintf(`\u%04x`, c) }) }},
	{"references", func(v string) string { return each(v, func(c rune) string { return fmt.Sprintf("&#%d;", c) }) }},
}

func wide(c rune) rune {
	if c > ' ' && c < 0x7f {
		return c + 0xfee0
	}
	return c
}

func each(v string, f func(rune) string) string {
	var b strings.Builder
	for _, c := range v {
		b.WriteString(f(c))
	}
	return b.String()
}

// wholes encode a text with the words around the value.
var wholes = []struct {
	name string
	f    func(string) string
}{
	{"base64", func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) }},
	{"hex", func(v string) string { return hex.EncodeToString([]byte(v)) }},
}

func finds(e *Engine, text string, c Class) bool {
	for _, f := range e.ScanString(text, nil) {
		if f.Class == c {
			return true
		}
	}
	return false
}

// Values that are found as they stand are found in disguise.
func TestEvasion(t *testing.T) {
	const goal = 0.95
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(8, 8))
	all, hit := 0, 0
	made := generators()
	for _, c := range slices.Sorted(maps.Keys(made)) { // the order is part of what is drawn
		make := made[c]
		before, told := contexts[c]
		if words := strings.Fields(table[byClass[c]].words); !told && len(words) > 0 {
			before = words[0] + ": "
		}
		n, found := 0, 0
		missed := map[string]int{}
		for tries := 0; n < 12 && tries < 60000; tries++ {
			v := make(r)
			if !finds(e, before+v, c) {
				continue
			}
			n++
			for _, d := range disguises {
				if finds(e, before+d.f(v), c) {
					found++
				} else {
					missed[d.name]++
				}
			}
			for _, d := range wholes {
				if finds(e, "x "+d.f("the "+before+v+" is it"), c) {
					found++
				} else {
					missed[d.name]++
				}
			}
		}
		if n == 0 {
			t.Errorf("%s: no value was made", c)
			continue
		}
		of := n * (len(disguises) + len(wholes))
		all, hit = all+of, hit+found
		t.Logf("%-20s %.3f %v", c, float64(found)/float64(of), missed)
		if float64(found) < goal*float64(of) {
			t.Errorf("%s: %d of %d in disguise: %v", c, found, of, missed)
		}
	}
	t.Logf("all %.4f of %d", float64(hit)/float64(all), all)
}

// Values as everyday tools and formats write them. Each is found, at a place that covers it.
func TestEveryday(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	utf16 := func(s string) string {
		return base64.StdEncoding.EncodeToString([]byte(each(s, func(c rune) string { return string(c) + "\x00" })))
	}
	for _, c := range []struct {
		name, text string
		class      Class
		n          int
	}{
		{"grep in colour", "paid \x1b[01;31m\x1b[K4111\x1b[m\x1b[K 1111 1111 1111 today", Card, 1},
		{"an address in colour", "by \x1b[1mbob\x1b[0m@corp.\x1b[1mexample\x1b[0m", Email, 1},
		{"struck through", each("4111111111111111", func(c rune) string { return string(c) + "\u0336" }), Card, 1},
		{"an address struck through", each("bob@corp.example", func(c rune) string { return string(c) + "\u0336" }), Email, 1},
		{"accents", each("4111111111111111", func(c rune) string { return string(c) + "\u0301" }), Card, 1},
		{"keys", each("4111111111111111", func(c rune) string { return string(c) + "\ufe0f\u20e3" }), Card, 1},
		{"Rust", `bob\u{40}corp.example`, Email, 1},
		{"Python", `bob\U00000040corp.example`, Email, 1},
		{"JavaScript's escape", `bob%u0040corp.example`, Email, 1},
		{"octal", each("4111111111111111", func(c rune) string { return fmt.Sprintf(`\%03o`, c) }), Card, 1},
		{"octal among letters", `bob\100corp.example`, Email, 1},
		{"escaped twice", `bob\\u0040corp.example`, Email, 1},
		{"a named reference", "bob&commat;corp&period;example", Email, 1},
		{"a reference twice", "bob&amp;#64;corp.example", Email, 1},
		{"a reference without its end", "bob&#64corp.example", Email, 1},
		{"zeros before a reference", "bob&#000000064;corp.example", Email, 1},
		{"quoted-printable", "bob=40corp.example", Email, 1},
		{"quoted-printable digits", each("4111111111111111", func(c rune) string { return fmt.Sprintf("=%02X", c) }), Card, 1},
		{"JSON in HTML", `data-x="{&quot;password&quot;:&quot;Tr0ub4dor&quot;}"`, DSNPassword, 1},
		{"UTF-16 in base64", utf16("mail bob@corp.example"), Email, 1},
		{"UTF-16 in hex", hex.EncodeToString([]byte(each("mail bob@corp.example", func(c rune) string { return string(c) + "\x00" }))), Email, 1},
		{"two cards", "4111 1111 1111 1111 5500 0000 0000 0004", Card, 2},
		{"three cards", "4111-1111-1111-1111-5500-0000-0000-0004-4012-8888-8888-1881", Card, 3},
		{"a card and its month", "4111 1111 1111 1111 1227", Card, 1},
		{"a card, its month and code", "4111 1111 1111 1111 1227 123", Card, 1},

		{"a row of numbers", "4111 1111 1111 1111 2111 1111 1111 1111", Card, 0},
		{"a value of a query", "id=41&at=40", Email, 0},
		{"what stands behind a name in a query", "/x?pan=4111111111111111%20a", Card, 1},
	} {
		n := 0
		for _, f := range e.ScanString("see "+c.text+" there", nil) {
			if f.Class == c.class {
				n++
			}
		}
		if n != c.n {
			t.Errorf("%s: %d in %q, want %d", c.name, n, c.text, c.n)
		}
	}
}
