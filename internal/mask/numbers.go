package mask

import (
	"encoding/binary"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/detect"
)

// A number can be cast to types that write it in other ways: money, points, ranges,
// and floating point with an exponent. These look at it as the number it is.

// numeral is a number in the text of a value.
var numeral = regexp.MustCompile(`[0-9][0-9,]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?`)

// plain writes a number without exponent, group separators and fraction.
func plain(s string) string {
	s = strings.ReplaceAll(s, ",", "")
	if whole, _, _ := strings.Cut(s, "."); !strings.ContainsAny(s, "eE") {
		return whole
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(f) >= 1<<63 {
		return ""
	}
	return strconv.FormatFloat(math.Trunc(f), 'f', -1, 64)
}

// numerals returns the numbers that a value of a type that is no number holds.
func (c *column) numerals(k kind, v []byte) []string {
	switch {
	case !c.Binary && k == kindRange:
		low, high, _ := strings.Cut(string(v), ",")
		return []string{plain(strings.Trim(low, `[("`)), plain(strings.Trim(high, `])"`))}
	case !c.Binary && (c.Type == typeBit || c.Type == typeVarbit):
		return bits(string(v))
	case !c.Binary && k == kindMoney:
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, string(v))
		return []string{digits, digits[:max(0, len(digits)-2)]} // some currencies have no fraction
	case !c.Binary && k == kindOpaque:
		return pointsText(string(v))
	case !c.Binary:
		return []string{plain(string(v))}
	case k == kindRange:
		return c.bounds(v)
	case k == kindMoney && len(v) == 8:
		n := int64(binary.BigEndian.Uint64(v))
		return []string{strconv.FormatInt(n, 10), strconv.FormatInt(n/100, 10)}
	case (c.Type == typeBit || c.Type == typeVarbit) && len(v) >= 4 && len(v) <= 12:
		var text strings.Builder
		for i := range min(int(binary.BigEndian.Uint32(v)), 8*(len(v)-4)) {
			text.WriteByte('0' + v[4+i/8]>>(7-i%8)&1)
		}
		return bits(text.String())
	case k == kindOpaque && c.Type >= typePoint && c.Type <= typeCircle:
		return points(v)
	}
	return nil
}

// Types of pg_type.dat. Those from point to circle are geometry, and bit strings beside it.
const (
	typePoint  = 600
	typeCircle = 718
	typeBit    = 1560
	typeVarbit = 1562
)

// pointsText reads coordinates, between which a comma stands.
func pointsText(s string) (out []string) {
	for part := range strings.SplitSeq(s, ",") {
		for _, n := range numeral.FindAllString(part, -1) {
			out = append(out, plain(n))
		}
	}
	return out
}

// points reads the coordinates of geometry: doubles, behind a head of up to five bytes.
func points(v []byte) (out []string) {
	for v = v[len(v)%8:]; len(v) >= 8; v = v[8:] {
		if f := math.Abs(math.Float64frombits(binary.BigEndian.Uint64(v))); f < 1<<63 {
			out = append(out, strconv.FormatFloat(math.Trunc(f), 'f', -1, 64))
		}
	}
	return out
}

// bits reads a bit string as the integer that was cast to it.
func bits(s string) []string {
	if s = strings.TrimLeft(s, "0"); s == "" || len(s) > 64 {
		return nil
	}
	n, err := strconv.ParseUint(s, 2, 64)
	if err != nil {
		return nil
	}
	return []string{strconv.FormatUint(n, 10)}
}

// bounds reads the bounds of a range in binary: flags, then each bound with its length (range_send).
func (c *column) bounds(v []byte) (out []string) {
	k := map[uint32]kind{3904: kindInt4, 3926: kindInt8, 3906: kindNumeric}[c.Type]
	for v = v[min(1, len(v)):]; k != kindOther && len(v) >= 4; {
		n := int(binary.BigEndian.Uint32(v))
		if n < 0 || n > len(v)-4 {
			return out
		}
		var buf [96]byte
		if text, err := decimal(buf[:0], k, v[4:4+n]); err == nil {
			out = append(out, string(text))
		}
		v = v[4+n:]
	}
	return out
}

// holdsNumber reports whether one of the numbers in a value is of a class that is
// masked, and gives the column that class.
func (r *Rows) holdsNumber(c *column, k kind, v []byte) bool {
	for _, n := range c.numerals(k, v) {
		if class, ok := r.numberOf(n); ok {
			if k != kindOpaque {
				r.learn(c, class)
			}
			r.counts[string(class)]++
			return true
		}
	}
	return false
}

// numberOf is the class that is masked of a number in decimal.
func (r *Rows) numberOf(n string) (detect.Class, bool) {
	if len(n) < 9 { // no class has fewer digits
		return "", false
	}
	r.found = r.set.engine.Scan([]byte(n), r.found[:0])
	for _, f := range r.found {
		if _, ok := r.set.rules[f.Class]; ok {
			return f.Class, true
		}
	}
	return "", false
}
