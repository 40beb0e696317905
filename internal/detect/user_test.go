package detect_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/internal/detect"
)

var ownDetectors = []detect.Detector{
	{Class: "pii/crew-id", Regex: `\bCRW-[0-9]{6}\b`, Columns: []string{"crew_no"}, Context: []string{"crew", "staff"}},
	{Class: "hr/badge", Regex: `\b[0-9]{8}\b`, Keywords: []string{"badge"}, Validator: "luhn"},
	{Class: "hr/case", Regex: `(?i)zaak-?nr [a-z]{2}[0-9]{4}`},
	{Class: detect.USSSN, Regex: `\b(?:TAX|SOC)#[0-9]{9}\b`},
	{Class: "hr/code", Regex: `\b[xyz]{2}[0-9][xyz]\b`, Slow: true, Score: 0.6},
}

func TestOwnDetectors(t *testing.T) {
	e := engine(t, detect.Options{Detectors: ownDetectors})
	for _, c := range []sample{
		{"literal", "of CRW-123456.", []string{"pii/crew-id CRW-123456"}},
		{"not in a word", "of XCRW-123456 CRW-1234567", nil},
		{"keyword and check", "badge 79927393 of 713 and badge 18", nil},
		{"check passes", "badge no 79927398 is in", []string{"hr/badge 79927398"}},
		{"no keyword", "card no 79927398 is in", nil},
		{"any case", "ZAAK-NR ab1234", []string{"hr/case ZAAK-NR ab1234"}},
		{"class there is", "x TAX#123456789", []string{"us-ssn TAX#123456789"}},
		{"slow", "a xy7z b", []string{"hr/code xy7z"}},
		{"over a class there is", "mail CRW-123456@corp.example", []string{"pii/crew-id CRW-123456@corp.example"}},
		{"between others", "a@b.co CRW-000001 4111111111111111", []string{"email a@b.co", "pii/crew-id CRW-000001", "card 4111111111111111"}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			if diff := cmp.Diff(c.Want, found(c.Text, e.ScanString(c.Text, nil))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if fs := e.ScanString("staff CRW-123456", nil); len(fs) != 1 || fs[0].Score < 0.9 {
		t.Errorf("with a word near: %v", fs)
	}
	if c, _ := e.Column("hr.crewNo", nil); c != "pii/crew-id" {
		t.Errorf("column: %q", c)
	}
	if got := detect.GroupOf("hr/badge"); !cmp.Equal(got, []string{"hr/*", "secret"}) {
		t.Errorf("groups: %v", got)
	}
	if got := detect.GroupOf("pii/crew-id"); !cmp.Equal(got, []string{"pii"}) {
		t.Errorf("groups: %v", got)
	}
	off := engine(t, detect.Options{Detectors: ownDetectors, Off: []detect.Class{"hr/badge"}})
	if fs := off.ScanString("badge no 79927398", nil); len(fs) != 0 {
		t.Errorf("switched off: %v", fs)
	}
	if engine(t, detect.Options{}).Version() == e.Version() {
		t.Error("the version says nothing of the detectors")
	}
}

func TestOwnDetectorsRefused(t *testing.T) {
	for _, c := range []struct {
		d    detect.Detector
		says string
	}{
		{detect.Detector{Class: "badge", Regex: `BADGE[0-9]+`}, "no such class"},
		{detect.Detector{Class: "HR/badge", Regex: `BADGE[0-9]+`}, "no such class"},
		{detect.Detector{Class: "hr/badge", Regex: `(a)\1BADGE`}, "RE2"},
		{detect.Detector{Class: "hr/badge", Regex: `BADGE(?=x)`}, "RE2"},
		{detect.Detector{Class: "hr/badge", Regex: `(BADGE)*`}, "nothing at all"},
		{detect.Detector{Class: "hr/badge", Regex: `a{300}`}, "at most 256"},
		{detect.Detector{Class: "hr/badge", Regex: `BADGE((a{1,90}b{1,90}){1,10}c?){1,1}[x-z]{2,200}`}, "steps"},
		{detect.Detector{Class: "hr/badge", Regex: `BADGE(x{1,100}){1,100}`}, "RE2"},
		{detect.Detector{Class: "hr/badge", Regex: strings.Repeat("BADGE", 300)}, "bytes long"},
		{detect.Detector{Class: "hr/badge", Regex: `[0-9]{3}`}, "slow: true"},
		{detect.Detector{Class: "hr/badge", Regex: `\w+@\w+`}, "slow: true"},
		{detect.Detector{Class: "hr/badge", Regex: `BADGE|[a-z]+`}, "slow: true"},
		{detect.Detector{Class: "hr/badge", Regex: `BADGE`, Validator: "sha1"}, "luhn"},
		{detect.Detector{Class: "hr/badge", Regex: `BADGE`, Score: 0.1}, "0.5"},
		{detect.Detector{Class: "hr/badge", Regex: `BADGE`, Keywords: []string{"two words"}}, "letters"},
		{detect.Detector{Class: "hr/badge", Regex: `BADGE`, Columns: []string{"_"}}, "letters"},
	} {
		_, err := detect.New(detect.Options{Detectors: []detect.Detector{{Class: "hr/ab", Regex: "AAAA"}, c.d}})
		var of *detect.DetectorError
		if !errors.As(err, &of) || of.Index != 1 || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40s %s: %v, want %q", c.d.Regex, c.d.Class, err, c.says)
		}
	}
	if _, err := detect.New(detect.Options{Detectors: make([]detect.Detector, detect.MaxDetectors+1)}); err == nil {
		t.Error("any number of detectors is taken")
	}
}

// ownText is text with values of the detectors, near the borders of blocks and of each other.
func ownText(random *rand.Rand) string {
	parts := []string{
		"CRW-123456", "CRW-1", "badge", " 79927398 ", "zaak-nr ab1234", "TAX#123456789", " xy7z ", "a@b.co ", "4111 1111 1111 1111", " ", "\n", "crew ",
		strings.Repeat("lorem ", 30), strings.Repeat("x", 250), strings.Repeat("7", 300), "CRW-CRW-CRW-", "é",
	}
	var b strings.Builder
	for size := random.IntN(3000); b.Len() < size; {
		b.WriteString(parts[random.IntN(len(parts))])
	}
	return b.String()
}

func TestOwnDetectorsInStreams(t *testing.T) {
	e := engine(t, detect.Options{Detectors: ownDetectors})
	random := rand.New(rand.NewPCG(3, 9))
	for range 150 {
		text := ownText(random)
		whole := e.ScanString(text, nil)
		wellFormed(t, text, whole)
		var cuts []int
		for at, most := 0, 1+random.IntN(700); at < len(text); at += 1 + random.IntN(most) {
			cuts = append(cuts, at)
		}
		if diff := cmp.Diff(whole, pieces(e, text, cuts...)); diff != "" {
			t.Fatalf("%q (-whole +stream):\n%s", text, diff)
		}
	}
}

func FuzzOwnDetectors(f *testing.F) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 10 {
		f.Add(ownText(random), uint64(i))
	}
	e := engine(f, detect.Options{Detectors: ownDetectors})
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		var cuts []int
		for at := 0; at < len(text); at += 1 + random.IntN(300) {
			cuts = append(cuts, at)
		}
		if diff := cmp.Diff(e.ScanString(text, nil), pieces(e, text, cuts...)); diff != "" {
			t.Fatalf("(-whole +stream):\n%s", diff)
		}
	})
}

// Whatever regex is written, it is refused or it works.
func FuzzOwnRegex(f *testing.F) {
	for _, d := range ownDetectors {
		f.Add(d.Regex, "text CRW-123456")
	}
	f.Add(`(?:a|bc){2,5}[0-9]{4,}`, "aabc12345")
	f.Fuzz(func(t *testing.T, regex, text string) {
		e, err := detect.New(detect.Options{Detectors: []detect.Detector{{Class: "hr/xy", Regex: regex}}})
		if err == nil {
			wellFormed(t, text, e.ScanString(text, nil))
		}
	})
}
