package detect_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
	"pgregory.net/rapid"
)

// cleanIsTrue fails where Clean says of a piece of text that nothing is in it, and a scan
// of every byte finds something.
func cleanIsTrue(t interface{ Fatalf(string, ...any) }, e *detect.Engine, text string) {
	if !detect.Clean([]byte(text)) {
		return
	}
	if fs := e.ScanAll([]byte(text)); len(fs) > 0 {
		t.Fatalf("%q is said to be clean, and a scan finds %v", text, fs)
	}
}

// Every prefix, every suffix and what stands between, of all that is known to be found and not.
func TestCleanOfPieces(t *testing.T) {
	e := engine(t, detect.Options{})
	for _, c := range append(append([]sample{}, positives...), negatives...) {
		text := c.Text
		if len(text) > 400 {
			text = text[:400]
		}
		for i := range len(text) + 1 {
			cleanIsTrue(t, e, text[:i])
			cleanIsTrue(t, e, text[i:])
			cleanIsTrue(t, e, "card ssn phone "+text[i:])
			for _, n := range []int{6, 7, 8, 11, 13, 15, 16, 20, 40} {
				cleanIsTrue(t, e, text[i:min(i+n, len(text))])
			}
		}
	}
	for n := range 100 { // one of them has the right check digits, and few digits else
		cleanIsTrue(t, e, fmt.Sprintf("GB%02d ABCD EFGH IJKL MNOP QR", n))
	}
	for _, text := range []string{"YWJ+Y0BkZS5jb21t", "eyJhbGciOiJSUzI1NiJ9.abc.d", "8.8.8.8", "tel 555-0123"} {
		if len(e.ScanAll([]byte(text))) == 0 {
			t.Errorf("nothing is found in %q", text)
		}
		cleanIsTrue(t, e, text)
	}
	for _, c := range positives {
		if detect.Clean([]byte(c.Text)) && len(e.ScanAll([]byte(c.Text))) > 0 {
			t.Errorf("%q is said to be clean", c.Text)
		}
	}
}

// nearly draws what comes close to a value without what Clean looks at first.
func nearly() *rapid.Generator[string] {
	part := rapid.OneOf(
		rapid.SampledFrom([]string{
			"card ", "ssn ", "phone ", "tel ", "aws ", "version ", "iban ", "DE89", "NO93 8601 1117 947", "eyJ", "eyJhbGciOi", "AKIA", "ghp_", "by 'x",
			"1.2.3.4", "8.8", "123-45", "4111 1111", "+1 (", "555", "x6", "YUBiLmNv", "a@b.co", "70617373", "\\x", "%40", "-----", "pwd=", "://",
		}),
		rapid.StringMatching(`[0-9]{1,7}`),
		rapid.StringMatching(`[ ./()+-]{1,2}`),
		rapid.StringMatching(`[A-Za-z0-9_]{1,15}`),
		rapid.StringMatching(`[A-Za-z0-9+/_-]{1,16}`),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 6).Draw(t, "parts"), rapid.SampledFrom([]string{"", " ", ".", "-", ","}).Draw(t, "between"))
	})
}

func TestCleanProperty(t *testing.T) {
	e := engine(t, detect.Options{})
	rapid.Check(t, func(t *rapid.T) {
		cleanIsTrue(t, e, nearly().Draw(t, "text"))
		cleanIsTrue(t, e, soup().Draw(t, "soup"))
	})
}

// Short texts over the bytes that matter, very many of them.
func TestCleanOfRandom(t *testing.T) {
	e := engine(t, detect.Options{})
	random := rand.New(rand.NewPCG(7, 11))
	n := 300_000
	if testing.Short() {
		n = 30_000
	}
	clean := 0
	for _, alphabet := range []string{
		"0123456789 .-/()+", "0123456789. ", "aA0 .-_/+", "abJey0.-_", "DEGB0123456789 -x", "a@.b:'=%&\\c ", "\x00\x7f\x80\xc2\xa0 a1@",
	} {
		for range n / 7 {
			text := make([]byte, 1+random.IntN(40))
			for i := range text {
				text[i] = alphabet[random.IntN(len(alphabet))]
			}
			cleanIsTrue(t, e, string(text))
			if detect.Clean(text) {
				clean++
			}
		}
	}
	if clean < n/50 {
		t.Errorf("only %d of %d were clean: this proves little", clean, n)
	}
}

// What most values look like is passed by Clean alone: without that it would be worth nothing.
func TestCleanPasses(t *testing.T) {
	for _, text := range []string{
		"", "1", "-12.50", "999999", "item number 4711", "of shelf 12, blue, in stock", "Ordered twice; the second parcel came late.",
		"on-off", "shipped (late)", "NL", "t", "9.99 EUR",
	} {
		if !detect.Clean([]byte(text)) {
			t.Errorf("%q is not clean", text)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, c := range append(append([]sample{}, positives...), negatives...) {
		f.Add([]byte(c.Text))
	}
	e := engine(f, detect.Options{})
	f.Fuzz(func(t *testing.T, text []byte) { cleanIsTrue(t, e, string(text)) })
}

func BenchmarkClean(b *testing.B) {
	e := engine(b, detect.Options{})
	for _, text := range []string{"4711", "item number 4711", "of shelf 12, blue, in stock"} {
		v := []byte(text)
		b.Run("clean/"+text, func(b *testing.B) {
			for b.Loop() {
				detect.Clean(v)
			}
		})
		b.Run("all/"+text, func(b *testing.B) {
			for b.Loop() {
				e.ScanAll(v)
			}
		})
	}
}
