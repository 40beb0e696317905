package mask

import (
	"math/big"

	"github.com/assenthq/assent/internal/detect"
)

// maxFormat is how long a value with a format may be.
const maxFormat = 64

// format encrypts v in its own format under NIST's FF1: digits become digits, letters
// letters of the same case, and separators stay where they are. A card that passes
// Luhn still does, and an IBAN keeps its country and has check digits that fit. What
// has another form, or a form of fewer than a million values, is refused.
func (r *rule) format(dst []byte, c detect.Class, v []byte) ([]byte, bool) {
	return r.formatted(dst, c, v, r.origin(), false)
}

// formatted is format, or the way back.
func (r *rule) formatted(dst []byte, c detect.Class, v []byte, origin string, back bool) ([]byte, bool) {
	s := r.shape
	if s == shapeNone || len(v) > maxFormat {
		return dst, false
	}
	w := ff1Works.Get().(*ff1Work)
	defer ff1Works.Put(w)
	x, radix := w.numerals[:0], w.radix[:0]
	for _, b := range v {
		switch {
		case b >= '0' && b <= '9':
			x, radix = append(x, uint16(b-'0')), append(radix, 10)
		case s != shapeDigits && b >= 'A' && b <= 'Z':
			x, radix = append(x, uint16(b-'A')), append(radix, 26)
		case s != shapeDigits && b >= 'a' && b <= 'z':
			x, radix = append(x, uint16(b-'a')), append(radix, 26)
		case written[b] != 0:
			return dst, false
		}
	}
	w.numerals, w.radix = x, radix
	// What follows from the rest is computed, not encrypted.
	from, to := 0, len(x)
	luhn := s == shapeCard && luhnOf(x)
	switch {
	case luhn:
		to--
	case s == shapeIBAN:
		if from = 4; len(x) < 15 || len(x) > 34 || radix[0] != 26 || radix[1] != 26 || radix[2] != 10 || radix[3] != 10 {
			return dst, false
		}
	}
	tweak := append(append(append(w.tweak[:0], c...), ' '), origin...)
	w.tweak = tweak
	if w.mixed(r, tweak, x[from:to], radix[from:to], back) != nil {
		return dst, false
	}
	switch {
	case luhn:
		for x[to] = 0; !luhnOf(x); x[to]++ {
		}
	case s == shapeIBAN:
		check := 98 - mod97(x, radix)
		x[2], x[3] = uint16(check/10), uint16(check%10)
	}
	for _, b := range v {
		switch {
		case written[b] == 0:
			dst = append(dst, b)
			continue
		case b <= '9':
			b = '0'
		case b <= 'Z':
			b = 'A'
		default:
			b = 'a'
		}
		dst, x = append(dst, b+byte(x[0])), x[1:]
	}
	return dst, true
}

// mixed encrypts numerals of several radices as the one number that they write: in
// decimal, again until it is below the largest (each value is met by one other).
func (w *ff1Work) mixed(r *rule, tweak []byte, x, radix []uint16, back bool) error {
	decimal := true
	for _, k := range radix {
		decimal = decimal && k == 10
	}
	if decimal {
		return ff1(r.keys.derived().block, tweak, 10, x, back)
	}
	most, value, at := big.NewInt(1), new(big.Int), new(big.Int)
	for i, k := range radix {
		value.Add(value.Mul(value, at.SetInt64(int64(k))), big.NewInt(int64(x[i])))
		most.Mul(most, at)
	}
	if most.Cmp(big.NewInt(minDomain)) < 0 {
		return errDomain
	}
	digits := make([]uint16, len(new(big.Int).Sub(most, big.NewInt(1)).String()))
	for {
		numerals(digits, value, big.NewInt(10))
		if err := ff1(r.keys.derived().block, tweak, 10, digits, back); err != nil {
			return err
		}
		if value = number(digits, big.NewInt(10)); value.Cmp(most) < 0 {
			break
		}
	}
	rest := new(big.Int)
	for i := len(x) - 1; i >= 0; i-- {
		value.DivMod(value, at.SetInt64(int64(radix[i])), rest)
		x[i] = uint16(rest.Int64())
	}
	return nil
}

// luhnOf reports whether digits end in their check digit (ISO/IEC 7812-1).
func luhnOf(x []uint16) bool {
	sum := 0
	for i := range x {
		d := int(x[len(x)-1-i])
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return len(x) > 1 && sum%10 == 0
}

// mod97 is the number of an IBAN whose check digits are 00, modulo 97 (ISO 7064).
func mod97(x, radix []uint16) int {
	m := 0
	for i := range x {
		k := (i + 4) % len(x)
		switch d := int(x[k]); {
		case k == 2 || k == 3:
			m = m * 10 % 97
		case radix[k] == 26:
			m = (m*100 + d + 10) % 97
		default:
			m = (m*10 + d) % 97
		}
	}
	return m
}

// Opened is what a format-preserving mask for actor was made of: the way back, for who holds
// the deployment's key. stored says whether the value came straight out of a column.
func (m *Masker) Opened(class detect.Class, actor, method string, stored bool, masked []byte) ([]byte, error) {
	r := m.rule(class, actor, method)
	r.stored = stored
	if r.method != Format {
		return nil, errNoWayBack
	}
	out, ok := r.formatted(nil, class, masked, r.origin(), true)
	if !ok {
		return nil, errNoWayBack
	}
	return out, nil
}
