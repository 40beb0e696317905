package mask

import (
	"crypto/aes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/detect"
)

const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"

// The nine samples NIST publishes for FF1 (SP 800-38G, examples with intermediate values).
func TestFF1Vectors(t *testing.T) {
	const (
		key128 = "2B7E151628AED2A6ABF7158809CF4F3C"
		key192 = key128 + "EF4359D8D580AA4F"
		key256 = key192 + "7F036D6F04FC6A94"
		ten    = "39383736353433323130"
		eleven = "3737373770717273373737"
	)
	for _, c := range []struct {
		key, tweak string
		radix      int
		in, out    string
	}{
		{key128, "", 10, "0123456789", "2433477484"},
		{key128, ten, 10, "0123456789", "6124200773"},
		{key128, eleven, 36, "0123456789abcdefghi", "a9tv40mll9kdu509eum"},
		{key192, "", 10, "0123456789", "2830668132"},
		{key192, ten, 10, "0123456789", "2496655549"},
		{key192, eleven, 36, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"},
		{key256, "", 10, "0123456789", "6657667009"},
		{key256, ten, 10, "0123456789", "1001623463"},
		{key256, eleven, 36, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"},
	} {
		key, err := hex.DecodeString(c.key)
		if err != nil {
			t.Fatal(err)
		}
		tweak, err := hex.DecodeString(c.tweak)
		if err != nil {
			t.Fatal(err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		var x []uint16
		for _, r := range c.in {
			x = append(x, uint16(strings.IndexRune(alphabet, r)))
		}
		text := func() (out string) {
			for _, d := range x {
				out += alphabet[d : d+1]
			}
			return out
		}
		if err := ff1(block, tweak, c.radix, x, false); err != nil {
			t.Fatal(err)
		}
		if got := text(); got != c.out {
			t.Errorf("radix %d, %d-bit key, tweak %q: %s → %s, want %s", c.radix, 8*len(key), c.tweak, c.in, got, c.out)
		}
		if err := ff1(block, tweak, c.radix, x, true); err != nil || text() != c.in {
			t.Errorf("radix %d, %d-bit key, tweak %q: back from %s is %s, %v", c.radix, 8*len(key), c.tweak, c.out, text(), err)
		}
	}
}

// Numbers of every length come back, and the way for short ones gives what the way for
// long ones does.
func TestFF1Back(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	tweak := []byte("card stored")
	for _, radix := range []int{2, 10, 26, 36, 62, 1 << 16} {
		for n := 2; n <= 70; n++ {
			x := make([]uint16, n)
			for i := range x {
				x[i] = uint16((i*i*7919 + 31*n) % radix)
			}
			in := slices.Clone(x)
			if ff1(block, tweak, radix, x, false) != nil {
				continue // too short
			}
			out := slices.Clone(x)
			if err := ff1(block, tweak, radix, x, true); err != nil || !slices.Equal(in, x) {
				t.Fatalf("radix %d, %d numerals: %v came back as %v, %v", radix, n, in, x, err)
			}
			w := &ff1Work{p: [16]byte{1, 2, 1, byte(radix >> 16), byte(radix >> 8), byte(radix), 10, byte(n / 2)}}
			binary.BigEndian.PutUint32(w.p[8:], uint32(n))
			binary.BigEndian.PutUint32(w.p[12:], uint32(len(tweak)))
			block.Encrypt(w.p[:], w.p[:])
			if w.large(block, tweak, radix, x, false); !slices.Equal(out, x) {
				t.Fatalf("radix %d, %d numerals: %v by the short way, %v by the long one", radix, n, out, x)
			}
		}
	}
}

func TestFF1RefusesSmallDomains(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	if err := ff1(block, nil, 10, make([]uint16, 5), false); !errors.Is(err, errDomain) {
		t.Errorf("five digits: %v", err)
	}
	if err := ff1(block, nil, 10, make([]uint16, 6), false); err != nil {
		t.Errorf("six digits: %v", err)
	}
	r := rule{method: Format, shape: shapeDigits, keys: &keys{derive: func(n int) []byte { return make([]byte, n) }}}
	if _, ok := r.format(nil, detect.USSSN, []byte("12-345")); ok {
		t.Error("five digits have a format-preserving mask")
	}
}
