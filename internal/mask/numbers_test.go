package mask_test

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/assenthq/assent/internal/mask"
	"github.com/jackc/pgx/v5/pgtype"
)

// A card number stays one as money, in a range, as a coordinate, in bits and with an exponent.
func TestNumbersInOtherTypes(t *testing.T) {
	const card = 4000000000000010
	double := binary.BigEndian.AppendUint64(nil, math.Float64bits(card))
	integer := binary.BigEndian.AppendUint64(nil, card)
	join := func(parts ...[]byte) (out []byte) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	s := masker(t).For("a", all(mask.Redact))
	for name, c := range map[string]struct {
		oid        uint32
		binary     bool
		in, masked []byte
		plain      []byte // a value that holds none
	}{
		"float8":         {oid: 701, in: []byte("4.00000000000001e+15"), masked: []byte("0"), plain: []byte("4.00000000000002e+15")},
		"money":          {oid: 790, in: []byte("$4,000,000,000,000,010.00"), masked: []byte("$0.00"), plain: []byte("$4,000.00")},
		"money binary":   {oid: 790, binary: true, in: binary.BigEndian.AppendUint64(nil, card*100), masked: make([]byte, 8), plain: make([]byte, 8)},
		"int8range":      {oid: 3926, in: []byte("[1,4000000000000010)"), masked: []byte("empty"), plain: []byte("[1,4000000000000011)")},
		"numrange":       {oid: 3906, in: []byte("[4000000000000010.5,)"), masked: []byte("empty"), plain: []byte("(,)")},
		"range binary":   {oid: 3926, binary: true, in: join([]byte{2, 0, 0, 0, 8}, integer, []byte{0, 0, 0, 8}, integer), masked: []byte{1}, plain: []byte{1}},
		"point":          {oid: 600, in: []byte("(4.00000000000001e+15,1)"), plain: []byte("(4.00000000000002e+15,1)")},
		"point binary":   {oid: 600, binary: true, in: join(make([]byte, 8), double), plain: make([]byte, 16)},
		"polygon binary": {oid: 604, binary: true, in: join([]byte{0, 0, 0, 1}, double, make([]byte, 8)), plain: make([]byte, 20)},
		"bits":           {oid: 1560, in: []byte("0000000000001110001101011111101010010011000110100000000000001010"), plain: []byte("1010")},
		"bits binary":    {oid: 1562, binary: true, in: join([]byte{0, 0, 0, 64}, integer), plain: []byte{0, 0, 0, 4, 0xa0}},
	} {
		column := mask.Column{Name: "x", Type: c.oid, Binary: c.binary}
		out, err := s.Rows([]mask.Column{column}).Value(0, c.in)
		if err != nil || string(out) != string(c.masked) {
			t.Errorf("%s: %q, %v", name, out, err)
		}
		if out, err = s.Rows([]mask.Column{column}).Value(0, c.plain); err != nil || string(out) != string(c.plain) {
			t.Errorf("%s: a plain value came as %q, %v", name, out, err)
		}
		if len(c.masked) > 0 {
			types := pgtype.NewMap()
			format := int16(0)
			if c.binary {
				format = 1
			}
			if typ, ok := types.TypeForOID(c.oid); ok {
				if _, err := typ.Codec.DecodeValue(types, c.oid, format, c.masked); err != nil {
					t.Errorf("%s: masked, it is no value: %v", name, err)
				}
			}
		}
	}
}
