package mask

import (
	"context"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/assenthq/assent/internal/detect"
)

// A sample is a value of a class, and another that shows the same in part: what partial
// shows of both is equal, and nothing else of them is.
type sample struct{ one, other string }

func sampleOf(c detect.Class) sample {
	switch c {
	case detect.Email:
		return sample{"ana.lopez@corp.example", "b@corp.example"}
	case detect.IBAN:
		return sample{"GB29 NWBK 6016 1331 9268 19", "GB94BARC10201530096819"}
	case detect.Card:
		return sample{"4111-1111-1111-1111", "36700102001111"}
	case detect.SortCode:
		return sample{"12-34-56", "99 88 77"}
	}
	switch shapeOf(c) {
	case shapeDigits:
		return sample{"219 09 99981 62", "754403188162"}
	case shapeMixed:
		return sample{"QK12-3456789F3x", "zt98 7655 9F3x"}
	}
	return sample{"Zq8rT5wXvN3k L0pYs7Jd", "hM4"}
}

// likeness is what a format keeps: digits, letters and their case, separators.
func likeness(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9':
			return '9'
		case r >= 'A' && r <= 'Z':
			return 'A'
		case r >= 'a' && r <= 'z':
			return 'a'
		}
		return r
	}, s)
}

// leaks reports whether n bytes in a row of value stand in out.
func leaks(out, value string, n int) bool {
	for i := range max(len(value)-n+1, 0) {
		if strings.Contains(out, value[i:i+n]) {
			return true
		}
	}
	return false
}

type memory map[string]Kept

func (m memory) KeepValues(_ context.Context, values []Kept) error {
	for _, k := range values {
		m[k.Token] = k
	}
	return nil
}

// everyMasker has every class in the catalogue: the column of class c is t.c.
func everyMasker(t *testing.T) *Masker {
	t.Helper()
	columns := map[string]detect.Class{}
	for _, c := range detect.Classes() {
		columns["t."+string(c)] = c
	}
	e, err := detect.New(detect.Options{Columns: columns})
	if err != nil {
		t.Fatal(err)
	}
	return New([]byte("a deployment's secret"), e)
}

// Every mask of every class: it comes back where that is promised and by that way alone, shows
// nothing beyond what is promised, hides the length where its form is its own, and is the same the next time.
func TestEveryMaskOfEveryClass(t *testing.T) {
	m, kept := everyMasker(t), memory{}
	m.KeepIn(kept)
	for _, class := range detect.Classes() {
		column := []Column{{Name: "x", Type: pgtype.TextOID, Sources: []string{"t." + string(class)}}}
		s := sampleOf(class)
		for _, method := range []string{Redact, Hash, Token, Token + " " + Vault, Format, Partial} {
			set := m.For("agent:a", map[string]string{string(class): method})
			shown := func(v string) string {
				t.Helper()
				rows := set.Rows(column)
				out, err := rows.Value(0, []byte(v))
				if err != nil || rows.Counts()[string(class)] != 1 {
					t.Fatalf("%s, %s: %v, %v", class, method, err, rows.Counts())
				}
				return string(out)
			}
			one, other := shown(s.one), shown(s.other)
			if shown(s.one) != one {
				t.Errorf("%s, %s: another mask the second time", class, method)
			}
			if again := shown(one); again != one && method != Hash && method != Format {
				t.Errorf("%s, %s: %s becomes %s when it is masked again", class, method, one, again)
			}
			back, err := m.Opened(class, "agent:a", method, true, []byte(one))
			if method != Format && !errors.Is(err, errNoWayBack) {
				t.Errorf("%s, %s: there is a way back to %q", class, method, back)
			}
			redacted := one == tag(class) && other == tag(class)
			switch method {
			case Redact:
				if !redacted {
					t.Errorf("%s is redacted as %s and %s", class, one, other)
				}
			case Partial:
				if one != other || leaks(one, s.one, 5) && class != detect.Email || class == detect.Email && strings.Contains(one, "ana") {
					t.Errorf("%s, in part: %s and %s", class, one, other)
				}
				if (shapeOf(class) == shapeNone) != redacted && class != detect.Email && class != detect.SortCode {
					t.Errorf("%s, in part: %s", class, one)
				}
			case Format:
				if shapeOf(class) == shapeNone {
					if !redacted {
						t.Errorf("%s has no format, and is shown as %s", class, one)
					}
					continue
				}
				if err != nil || string(back) != s.one || likeness(one) != likeness(s.one) || one == s.one {
					t.Errorf("%s, in its format: %s, and back %s, %v", class, one, back, err)
				}
				if another, err := m.Opened(class, "agent:b", method, true, []byte(one)); err == nil && string(another) == s.one {
					t.Errorf("%s, in its format: another actor's key opens it", class)
				}
			default:
				if len(one) != len(other) || one == other || leaks(one, s.one, 7) {
					t.Errorf("%s, %s: %s and %s", class, method, one, other)
				}
			}
			if err := set.Keep(t.Context()); err != nil {
				t.Fatal(err)
			}
			k, is := kept[one]
			if is != strings.HasSuffix(method, Vault) && method != Token {
				t.Errorf("%s, %s: kept: %v", class, method, is)
			}
			if is {
				if v, err := m.Unsealed(&k); err != nil || string(v) != s.one {
					t.Errorf("%s: the vault has %q, %v", class, v, err)
				}
			}
		}
	}
}

// In text, a mask that was put there is not masked again, except where it is a value of its own.
func TestMasksInTextStay(t *testing.T) {
	m := everyMasker(t)
	for _, class := range detect.Classes() {
		for _, method := range []string{Redact, Hash, Token, Partial} {
			set := m.For("agent:a", map[string]string{string(class): method})
			r := set.rules[class]
			mask := r.value(class, []byte(sampleOf(class).one))
			text := "it was " + mask + ", and no more"
			if out := string(set.Text([]byte(text))); out != text {
				t.Errorf("%s, %s: %q became %q", class, method, text, out)
			}
		}
	}
}

// Whatever the type of a column and the class it is known to have, its masked values are of that
// type, in both formats, and not what they were wherever the class can be of that type.
func TestEveryClassInTypedColumns(t *testing.T) {
	m := everyMasker(t)
	types := pgtype.NewMap()
	day := time.Date(1984, 2, 3, 4, 5, 6, 0, time.UTC)
	for oid, v := range map[uint32]any{
		pgtype.Int2OID: int16(123), pgtype.Int4OID: int32(84020312), pgtype.Int8OID: int64(21909999816), pgtype.NumericOID: pgtype.Numeric{Int: big.NewInt(21909999816), Valid: true}, pgtype.Float8OID: 21909999816.0, pgtype.BoolOID: true,
		pgtype.DateOID: day, pgtype.TimestampOID: day, pgtype.TimestamptzOID: day, pgtype.UUIDOID: [16]byte{7, 1, 2}, pgtype.InetOID: netip.MustParsePrefix("203.0.113.9/32"),
		pgtype.MacaddrOID: net.HardwareAddr{8, 0, 0x2b, 1, 2, 3}, pgtype.JSONOID: map[string]any{"a": []any{"b", 7}}, pgtype.JSONBOID: map[string]any{"a": []any{"b", 7}}, pgtype.ByteaOID: []byte("abc"), pgtype.TextArrayOID: []string{"a", "b"},
	} {
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			in, err := types.Encode(oid, format, v, nil)
			if err != nil {
				t.Fatalf("%d: %v", oid, err)
			}
			typ, _ := types.TypeForOID(oid)
			holds := kindOf(oid)
			if holds == kindArray {
				holds = kindOf(elementOf(oid))
			}
			for _, class := range detect.Classes() {
				set := m.For("agent:a", map[string]string{string(class): Format})
				rows := set.Rows([]Column{{Name: "x", Type: oid, Binary: format == 1, Sources: []string{"t." + string(class)}}})
				out, err := rows.Value(0, in)
				if err != nil {
					t.Errorf("%s in %s: %v", class, typ.Name, err)
					continue
				}
				if _, err := typ.Codec.DecodeValue(types, oid, format, out); err != nil {
					t.Errorf("%s in %s, format %d: %q is no such value: %v", class, typ.Name, format, out, err)
				}
				if fits(class, holds) && string(out) == string(in) {
					t.Errorf("%s in %s, format %d: shown", class, typ.Name, format)
				}
			}
		}
	}
}
