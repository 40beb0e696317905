package mask

import (
	"crypto/aes"
	"encoding/hex"
	"errors"
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
		y, err := ff1(block, tweak, c.radix, x)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range y {
			got += alphabet[d : d+1]
		}
		if got != c.out {
			t.Errorf("radix %d, %d-bit key, tweak %q: %s → %s, want %s", c.radix, 8*len(key), c.tweak, c.in, got, c.out)
		}
	}
}

func TestFF1RefusesSmallDomains(t *testing.T) {
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ff1(block, nil, 10, make([]uint16, 5)); !errors.Is(err, errDomain) {
		t.Errorf("five digits: %v", err)
	}
	if _, err := ff1(block, nil, 10, make([]uint16, 6)); err != nil {
		t.Errorf("six digits: %v", err)
	}
	if _, ok := (rule{method: Format, ff1: block}).format(detect.USSSN, []byte("12-345")); ok {
		t.Error("five digits have a format-preserving mask")
	}
}
