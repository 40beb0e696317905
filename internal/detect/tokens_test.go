package detect

import (
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// expand returns the characters of an alphabet.
func expand(set uint32) (out []byte) {
	for c := range 256 {
		if sets[c]&set != 0 {
			out = append(out, byte(c))
		}
	}
	return out
}

// value makes a credential of the form, with n characters in each run of a range.
func value(random *rand.Rand, f *shaped, longest bool) string {
	var b strings.Builder
	b.WriteString(f.lead)
	for _, r := range f.runs {
		b.WriteString(r.lit)
		chars := expand(r.set)
		n := r.min
		if longest {
			n = r.max
		}
		for range n * min(1, len(chars)) {
			b.WriteByte(chars[random.IntN(len(chars))])
		}
	}
	text := []byte(b.String())
	// A random end may be what does not end a word, and a few forms want what chance need not give.
	if last := text[len(text)-1]; kinds[last]&isWord == 0 && last != '=' {
		text[len(text)-1] = 'Z'
	}
	if f.mixed {
		copy(text[len(f.lead):], "a1B")
	}
	if f.sum == crcBase62 {
		const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		at := len(text) - 6
		sum := crc32.ChecksumIEEE(text[len(f.lead):at])
		for k := len(text) - 1; k >= at; k-- {
			text[k] = digits[sum%62]
			sum /= 62
		}
	}
	return string(text)
}

func TestTokenTable(t *testing.T) {
	if len(tokenTable) < 250 {
		t.Errorf("%d formats", len(tokenTable))
	}
	sorted := slices.IsSortedFunc(tokenTable, func(a, b form) int {
		return strings.Compare(string(a.class)+"\x00"+a.shape, string(b.class)+"\x00"+b.shape)
	})
	if !sorted {
		t.Error("the table is not sorted by class and shape")
	}
	seen := map[string]bool{}
	for i := range forms {
		f := &forms[i]
		if len(f.lead) < 2 || len(f.runs) == 0 {
			t.Errorf("%s: %q is not well formed", f.class, f.shape)
		}
		if seen[f.shape] {
			t.Errorf("%q is there twice", f.shape)
		}
		seen[f.shape] = true
		if kinds[f.lead[0]]&isWord == 0 {
			t.Errorf("%q does not begin a word", f.shape)
		}
		if f.short > maxCandidate/2 {
			t.Errorf("%q is too long", f.shape)
		}
	}
}

// Every form is found where it stands alone, quoted, in a URL and in a line of
// code; not in a longer word, and not when a character is missing.
func TestTokens(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(8, 250))
	for i := range forms {
		f := &forms[i]
		t.Run(f.shape, func(t *testing.T) {
			for n := range 8 {
				v := value(random, f, n%2 == 1)
				near, _, _ := strings.Cut(strings.TrimPrefix(f.near, " "), " ")
				for _, wrap := range [][2]string{{"", ""}, {"use ", " now"}, {"x = \"", "\""}, {"?t=", "&b=1"}, {"(", ")"}, {"['", "']"}, {"", "\n"}} {
					text := near + " " + wrap[0] + v + wrap[1]
					if near == "" {
						text = text[1:]
					}
					if !has(e, text, f, strings.Index(text, v), v) {
						t.Fatalf("not found as %s in %s: %v", f.class, masked(text), e.ScanString(text, nil))
					}
				}
				if !inside(f) && within(e, near+" zq"+v+" ", f.class) {
					t.Errorf("found in a longer word")
				}
				if n%2 == 1 && len(f.runs) > 0 && f.runs[len(f.runs)-1].lit == "" && f.runs[len(f.runs)-1].max > 3 && !strings.Contains(f.shape, "{%") {
					if within(e, near+" "+v+strings.Repeat("A0", 30)+" ", f.class) && !other(f) {
						t.Errorf("found though longer than any")
					}
				}
			}
			cut := value(random, f, false)
			if r := f.runs[len(f.runs)-1]; r.lit == "" && r.min > 1 && !other(f) && within(e, "see "+cut[:len(cut)-1]+" ", f.class) {
				t.Errorf("found one character short")
			}
		})
	}
}

func masked(text string) string { return text[:min(len(text), 12)] + "…" }

// has reports whether the secret part of v, which stands at at, is found as the class of f.
func has(e *Engine, text string, f *shaped, at int, v string) bool {
	for _, found := range e.ScanString(text, nil) {
		if found.Class == f.class && found.Start <= at+f.skip && found.End >= at+len(v) {
			return true
		}
	}
	return false
}

func within(e *Engine, text string, class Class) bool {
	return slices.ContainsFunc(e.ScanString(text, nil), func(f Finding) bool { return f.Class == class })
}

// inside reports whether a word in the lead of f begins another form of the class.
func inside(f *shaped) bool {
	for i := range forms {
		if g := &forms[i]; g != f && g.class == f.class && strings.Contains(f.lead[1:], g.lead) {
			return true
		}
	}
	return false
}

// other reports whether another form of the class has a shape that may fit what this one misses.
func other(f *shaped) bool {
	for i := range forms {
		g := &forms[i]
		if g != f && (strings.HasPrefix(f.lead, g.lead) || strings.HasPrefix(g.lead, f.lead)) {
			return true
		}
	}
	return false
}
