package mask_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/policy"
)

var methods = []string{mask.Redact, mask.Hash, mask.Token, mask.Format, mask.Partial}

func masker(t testing.TB) *mask.Masker {
	t.Helper()
	e, err := detect.New(detect.Options{Columns: map[string]detect.Class{"customers.contact": detect.Email}})
	if err != nil {
		t.Fatal(err)
	}
	return mask.New([]byte("a deployment's secret of 32 bytes"), e)
}

// all masks every class by one method.
func all(method string) map[string]string {
	out := map[string]string{}
	for _, c := range detect.Classes() {
		out[string(c)] = method
	}
	return out
}

// The words for methods are policy's.
func TestMethodsArePolicys(t *testing.T) {
	want := []string{policy.MaskRedact, policy.MaskHash, policy.MaskToken, policy.MaskFormat, policy.MaskPartial}
	if diff := cmp.Diff(want, methods); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{policy.MaskLinkable, policy.MaskVault}, []string{mask.Linkable, mask.Vault}); diff != "" {
		t.Error(diff)
	}
}

func TestText(t *testing.T) {
	m := masker(t)
	in := "bob@corp.example paid with 4242 4242 4242 4242, ssn 219-09-9999"
	for method, want := range map[string]string{
		mask.Redact:  "[masked:email] paid with [masked:card], ssn [masked:us-ssn]",
		mask.Partial: "***@corp.example paid with **** **** **** 4242, ssn *** ** 9999",
		"unheard-of": "[masked:email] paid with [masked:card], ssn [masked:us-ssn]",
	} {
		out, counts := m.For("agent:a", all(method)).TextCounted([]byte(in))
		if string(out) != want {
			t.Errorf("%s: %s", method, out)
		}
		if diff := cmp.Diff(map[string]int64{"email": 1, "card": 1, "us-ssn": 1}, counts); diff != "" {
			t.Error(diff)
		}
	}
	only := m.For("agent:a", map[string]string{"card": mask.Redact})
	if got := string(only.Text([]byte(in))); got != "bob@corp.example paid with [masked:card], ssn 219-09-9999" {
		t.Errorf("only cards: %s", got)
	}
	group := m.For("agent:a", map[string]string{"pii": mask.Redact, "email": mask.Partial})
	if got := string(group.Text([]byte(in))); got != "***@corp.example paid with [masked:card], ssn [masked:us-ssn]" {
		t.Errorf("group: %s", got)
	}
}

func TestCleanTextIsReturnedAsIs(t *testing.T) {
	clean := []byte("nothing to see here, 1234")
	if got := masker(t).For("a", all(mask.Redact)).Text(clean); &got[0] != &clean[0] {
		t.Error("clean text was copied")
	}
}

// Tokens and hashes are equal for one actor and tell nothing to another, nor
// to another class, method or deployment.
func TestKeys(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, deployment := range []string{"one", "two", ""} {
		m := mask.New([]byte(deployment), e)
		for _, actor := range []string{"agent:a", "agent:b"} {
			for _, method := range []string{mask.Hash, mask.Token, mask.Format} {
				for _, class := range []string{"card", "phone"} {
					rows := m.For(actor, all(method)).Rows([]mask.Column{{Name: class, Type: 25}})
					first, err := rows.Value(0, []byte("4111111111111111"))
					if err != nil {
						t.Fatal(err)
					}
					again, err := m.For(actor, all(method)).Rows([]mask.Column{{Name: class, Type: 25}}).Value(0, []byte("4111111111111111"))
					if err != nil || !bytes.Equal(first, again) {
						t.Errorf("%s: %s, then %s (%v)", method, first, again, err)
					}
					key := string(bytes.TrimPrefix(first, []byte("tok_"+class+"_")))
					name := fmt.Sprintf("%q %s %s %s", deployment, actor, method, class)
					if other, ok := seen[key]; ok {
						t.Errorf("%s and %s give the same", name, other)
					}
					seen[key] = name
				}
			}
		}
	}
	a, b := mask.New(nil, e).For("a", all(mask.Hash)), mask.New(nil, e).For("a", all(mask.Hash))
	if text := []byte("bob@corp.example"); bytes.Equal(a.Text(text), b.Text(text)) {
		t.Error("without a key, two deployments give the same hash")
	}
}

// Two actors share a mask only by a rule that says linkable, and never of a class with few values.
func TestLinkable(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := mask.New([]byte("a deployment"), e)
	column := []mask.Column{{Name: "x", Type: 25, Sources: []string{"c.phone", "c.password"}}}
	for _, method := range []string{mask.Hash, mask.Token, mask.Format} {
		of := func(actor, class, method string) string {
			rows := m.For(actor, map[string]string{class: method}).Rows(column)
			out, err := rows.Value(0, []byte("+44 20 7946 0958"))
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		if of("a", "phone", method) == of("b", "phone", method) {
			t.Errorf("%s: two actors share a mask that nothing made linkable", method)
		}
		linked := of("a", "phone", method+" linkable")
		if linked != of("b", "phone", method+" linkable") {
			t.Errorf("%s linkable: two actors can't compare", method)
		}
		if linked == of("a", "phone", method) || linked == of("", "phone", method) {
			t.Errorf("%s linkable is what an actor gets without", method)
		}
		if method != mask.Format && of("a", "sensitive", method+" linkable") == of("b", "sensitive", method+" linkable") {
			t.Errorf("%s linkable: a class of few values is", method)
		}
	}
}

// A literal of the client never shares a mask with a stored value, so that
// selecting a guess confirms nothing.
func TestLiteralsAndStoredValuesDiffer(t *testing.T) {
	for _, method := range []string{mask.Hash, mask.Token, mask.Format} {
		s := masker(t).For("agent:a", all(method))
		guess := "4242424242424242"
		stored := col(t, s, mask.Column{Name: "x", Type: 25, Sources: []string{"c.card_number"}}, guess)
		again := col(t, s, mask.Column{Name: "y", Type: 25, Sources: []string{"d.card_number"}}, guess)
		if diff := cmp.Diff(stored, again); diff != "" {
			t.Errorf("%s: an actor can't join its own results: %s", method, diff)
		}
		for name, c := range map[string]mask.Column{
			"literal":                   {Name: "?column?", Type: 25, Derived: true},
			"literal, named":            {Name: "card_number", Type: 25},
			"coalesce(guess, card)":     {Name: "x", Type: 25, Derived: true, Sources: []string{"c.card_number"}},
			"unknown where it is from":  {Name: "x", Type: 25},
			"a number in free text too": {Name: "note", Type: 25},
		} {
			if got := col(t, s, c, guess); got[0] == stored[0] {
				t.Errorf("%s: %s has the mask of the stored value", method, name)
			}
		}
		if got := string(s.Text([]byte(guess))); got == stored[0] {
			t.Errorf("%s: text has the mask of the stored value", method)
		}
	}
}

func TestFormatPreserving(t *testing.T) {
	s := masker(t).For("agent:a", all(mask.Format))
	out := string(s.Text([]byte("4242-4242-4242-4242")))
	digits := []byte(strings.ReplaceAll(out, "-", ""))
	for i := range digits {
		digits[i] -= '0'
	}
	if len(out) != 19 || out[4] != '-' || len(digits) != 16 || !detect.Luhn(digits) || out == "4242-4242-4242-4242" {
		t.Errorf("card: %s", out)
	}
	if out := string(s.Text([]byte("219-09-9999"))); len(out) != 11 || out[3] != '-' || out == "219-09-9999" {
		t.Errorf("ssn: %s", out)
	}
	if out := string(s.Text([]byte("bob@corp.example"))); out != "[masked:email]" {
		t.Errorf("no format for addresses: %s", out)
	}
}

func TestMaskStatement(t *testing.T) {
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := "update c set email='bob@corp.example' where ssn = '219-09-9999'"
	out, spans, counts := mask.MaskStatement(in, e)
	if want := "update c set email='[masked:email]' where ssn = '[masked:us-ssn]'"; out != want {
		t.Errorf("%s", out)
	}
	for _, s := range spans {
		if out[s.Start:s.End] != "[masked:"+s.Class+"]" {
			t.Errorf("span %v is %q", s, out[s.Start:s.End])
		}
	}
	if diff := cmp.Diff(map[string]int64{"email": 1, "us-ssn": 1}, counts); diff != "" {
		t.Error(diff)
	}
	if out, spans, counts := mask.MaskStatement("select 1", e); out != "select 1" || spans != nil || counts != nil {
		t.Errorf("clean: %q %v %v", out, spans, counts)
	}
}

// col masks one text value in one column.
func col(t *testing.T, s *mask.Set, c mask.Column, values ...string) []string {
	t.Helper()
	rows := s.Rows([]mask.Column{c})
	var out []string
	for _, v := range values {
		before := []byte(v)
		got, err := rows.Value(0, before)
		if err != nil {
			got = []byte("error: " + err.Error())
		}
		if string(before) != v {
			t.Errorf("the value was modified")
		}
		out = append(out, string(got))
	}
	return out
}

func TestColumns(t *testing.T) {
	s := masker(t).For("agent:a", map[string]string{"email": mask.Redact, "card": mask.Partial, "ip": mask.Redact})
	for _, c := range []struct {
		name   string
		column mask.Column
		in     []string
		want   []string
	}{
		{"by name", mask.Column{Name: "email", Type: 25}, []string{"no address"}, []string{"[masked:email]"}},
		{"by catalogue", mask.Column{Name: "x", Type: 25, Sources: []string{"public.customers.contact"}}, []string{"x"}, []string{"[masked:email]"}},
		{"by source, renamed", mask.Column{Name: "id", Type: 25, Sources: []string{"customers.email"}}, []string{"x"}, []string{"[masked:email]"}},
		{"a class comes with a later row and stays", mask.Column{Name: "x", Type: 25}, []string{"aaa", "bob@corp.example", "aaa"}, []string{"aaa", "[masked:email]", "[masked:email]"}},
		{"free text keeps none", mask.Column{Name: "note", Type: 25}, []string{"ask bob@corp.example", "aaa"}, []string{"ask [masked:email]", "aaa"}},
		{"reverse(email)", mask.Column{Name: "reverse", Type: 25, Sources: []string{"customers.email"}, Derived: true}, []string{"elpmaxe.proc@bob"}, []string{"[masked:email]"}},
		{"reverse(card) shows no digits", mask.Column{Name: "r", Type: 25, Sources: []string{"customers.card_number"}, Derived: true}, []string{"2424242424242424"}, []string{"[masked:card]"}},
		{"ascii(email)", mask.Column{Name: "a", Type: 23, Sources: []string{"customers.email"}, Derived: true}, []string{"98"}, []string{"0"}},
		{"id || email", mask.Column{Name: "c", Type: 25, Sources: []string{"customers.id", "customers.email"}, Derived: true}, []string{"1bob"}, []string{"[masked:email]"}},
		{"partial", mask.Column{Name: "card_number", Type: 25}, []string{"4242424242424242", "n/a"}, []string{"**** **** **** 4242", "[masked:card]"}},
		{"count(*) as emails", mask.Column{Name: "emails", Type: 20, Derived: true}, []string{"12"}, []string{"12"}},
		{"email_ok boolean", mask.Column{Name: "email", Type: 16}, []string{"t"}, []string{"t"}},
		{"card as integer", mask.Column{Name: "x", Type: 20}, []string{"17", "4242424242424242", "17"}, []string{"17", "0", "0"}},
		{"inet", mask.Column{Name: "x", Type: 869}, []string{"10.0.0.1"}, []string{"0.0.0.0"}},
		{"bytea", mask.Column{Name: "x", Type: 17}, []string{`\x626f6240636f72702e6578616d706c65`}, []string{`\x5b6d61736b65643a656d61696c5d`}},
		{"class without a mask", mask.Column{Name: "ssn", Type: 25}, []string{"219-09-9999"}, []string{"219-09-9999"}},
		{"text array", mask.Column{Name: "x", Type: 1009}, []string{`{a,NULL,"ask \"bob@corp.example\"",{b}}`}, []string{`{a,NULL,"ask \"[masked:email]\"",{b}}`}},
		{"array by name", mask.Column{Name: "email", Type: 1009}, []string{`{a,NULL,"b c"}`}, []string{`{"[masked:email]",NULL,"[masked:email]"}`}},
		{"numbers of an array", mask.Column{Name: "x", Type: 1016}, []string{`{1,4242424242424242}`}, []string{`{1,"0"}`}},
		{"not an array", mask.Column{Name: "x", Type: 1009}, []string{`{a`, `a}`, `{a}b`, `{"a}`, `{}}`}, []string{"error", "error", "error", "error", "error"}},
		{"json", mask.Column{Name: "x", Type: 3802}, []string{`{"a": ["bob\u0040corp.example", 4242424242424242, 1.5, null], "email": {"v": "x", "n": 3}}`}, []string{`{"a": ["[masked:email]", 0, 1.5, null], "email": {"v": "[masked:email]", "n": 0}}`}},
		{"json with an exponent", mask.Column{Name: "x", Type: 114}, []string{`[4.00000000000001e15, 4e2]`}, []string{`[0, 4e2]`}},
		{"json key", mask.Column{Name: "x", Type: 114}, []string{`{"bob@corp.example": 1}`}, []string{`{"[masked:email]": 1}`}},
		{"clean json", mask.Column{Name: "x", Type: 114}, []string{` { "a" : 1.0 } `}, []string{` { "a" : 1.0 } `}},
		{"bad json", mask.Column{Name: "x", Type: 114}, []string{`{`}, []string{"error"}},
		{"record", mask.Column{Name: "x", Type: 2249}, []string{`(1,bob@corp.example)`}, []string{`(1,[masked:email])`}},
		{"enum", mask.Column{Name: "email", Type: 16400}, []string{"x"}, []string{"[masked:email]"}},
		{"point by name", mask.Column{Name: "x", Type: 600, Derived: true, Sources: []string{"a.email"}}, []string{"(1,2)"}, []string{"error"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := col(t, s, c.column, c.in...)
			for i := range got {
				if strings.HasPrefix(got[i], "error: ") {
					if strings.Contains(got[i], c.in[i]) {
						t.Errorf("the error holds the value: %s", got[i])
					}
					got[i] = "error"
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSecretKeysInJSON(t *testing.T) {
	s := masker(t).For("agent:a", map[string]string{"dsn-password": mask.Redact})
	got := col(t, s, mask.Column{Name: "x", Type: 114}, `{"password": "tr0ub4dor", "a": 1}`)
	if want := `{"password": "[masked:dsn-password]", "a": 1}`; got[0] != want {
		t.Error(got[0])
	}
}

func TestNullAndStrangers(t *testing.T) {
	rows := masker(t).For("a", all(mask.Redact)).Rows([]mask.Column{{Name: "email", Type: 25}})
	if v, err := rows.Value(0, nil); v != nil || err != nil {
		t.Errorf("NULL became %q, %v", v, err)
	}
	if _, err := rows.Value(1, []byte("x")); err == nil {
		t.Error("a column nobody announced was delivered")
	}
	if _, err := rows.Value(-1, []byte("x")); err == nil {
		t.Error("column -1 was delivered")
	}
	if n := rows.Counts()["email"]; n != 0 {
		t.Errorf("%d values counted, none masked", n)
	}
}

// samples are values in each type that pgx can encode.
var samples = map[uint32]any{
	pgtype.JSONOID: map[string]any{"email": "bob@corp.example"}, pgtype.JSONBOID: map[string]any{"email": "bob@corp.example"},
}

// Whatever type a column has, a masked value is one that pgx decodes, in both
// formats, or it is refused.
func TestMaskedValuesDecode(t *testing.T) {
	types := pgtype.NewMap()
	refused := map[uint32]bool{}
	for _, oid := range []uint32{600, 601, 602, 603, 604, 628, 718, 1560, 1562, 27, 5069, 1033, 3614, 3615, 4072, 4451, 4532, 4533, 4534, 4535, 4536, 2277, 2276} {
		refused[oid] = true
	}
	checked := 0
	for oid := uint32(1); oid < 6200; oid++ {
		typ, ok := types.TypeForOID(oid)
		if !ok {
			continue
		}
		for _, method := range methods {
			for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
				if !typ.Codec.FormatSupported(format) {
					continue
				}
				in := []byte{1}
				if v, ok := samples[oid]; ok {
					var err error
					if in, err = types.Encode(oid, format, v, nil); err != nil {
						t.Fatal(err)
					}
				}
				if _, ok := typ.Codec.(*pgtype.ArrayCodec); ok || oid == pgtype.RecordOID {
					continue // in tests of their own
				}
				rows := masker(t).For("a", all(method)).Rows([]mask.Column{{Name: "x", Type: oid, Binary: format == 1, Derived: true, Sources: []string{"c.email"}}})
				out, err := rows.Value(0, in)
				if (err != nil) != refused[oid] {
					t.Errorf("%s (%d), format %d: refused: %v", typ.Name, oid, format, err)
				}
				if err != nil {
					continue
				}
				if _, err := typ.Codec.DecodeValue(types, oid, format, out); err != nil {
					t.Errorf("%s, %s, format %d: pgx refuses %q: %v", typ.Name, method, format, out, err)
				}
				if rows.Counts()["email"] != 1 {
					t.Errorf("%s: counts %v", typ.Name, rows.Counts())
				}
				checked++
			}
		}
	}
	if checked < 250 {
		t.Errorf("only %d combinations checked", checked)
	}
}

// Each field of a record in binary format is masked as its own type.
func TestRecordBinary(t *testing.T) {
	types := pgtype.NewMap()
	field := func(oid uint32, v any) (out []byte) {
		body, err := types.Encode(oid, pgtype.BinaryFormatCode, v, nil)
		if err != nil {
			t.Fatal(err)
		}
		out = binary.BigEndian.AppendUint32(out, oid)
		out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
		return append(out, body...)
	}
	in := []byte{0, 0, 0, 4}
	in = append(in, field(pgtype.TextOID, "bob@corp.example")...)
	in = append(in, field(pgtype.Int8OID, int64(4242424242424242))...)
	in = append(in, field(pgtype.TextOID, "fine")...)
	in = append(in, 0, 0, 0, 25, 0xff, 0xff, 0xff, 0xff) // NULL
	typ, _ := types.TypeForOID(pgtype.RecordOID)
	for _, c := range []struct {
		derived bool
		want    any
	}{
		{false, []any{"[masked:email]", int64(0), "fine", nil}},
		{true, []any{}}, // which field is NULL would be an answer
	} {
		column := mask.Column{Name: "x", Type: pgtype.RecordOID, Binary: true}
		if c.derived {
			column.Derived, column.Sources = true, []string{"customers.email"}
		}
		out, err := masker(t).For("a", all(mask.Redact)).Rows([]mask.Column{column}).Value(0, in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := typ.Codec.DecodeValue(types, pgtype.RecordOID, pgtype.BinaryFormatCode, out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("derived %v: %s", c.derived, diff)
		}
	}
}

// A computed column says the same whatever was computed: NULL, the length of an
// array and a token would each answer a question about the value.
func TestComputedValuesSayNothing(t *testing.T) {
	for _, method := range []string{mask.Redact, mask.Hash, mask.Token, mask.Format, mask.Partial} {
		for oid, values := range map[uint32][]string{
			pgtype.TextOID: {"a", "bob@corp.example", ""}, pgtype.TextArrayOID: {"{}", "{a,NULL}", "{a,b,c}"}, pgtype.BoolOID: {"t", "f"}, pgtype.Int4OID: {"1", "77"},
			pgtype.JSONOID: {"null", "[1,2]"}, pgtype.RecordOID: {"(a,)", "(,b)"}, 50000: {"calm", "(x,y)"},
		} {
			rows := masker(t).For("a", all(method)).Rows([]mask.Column{{Name: "x", Type: oid, Sources: []string{"customers.ssn"}, Derived: true}})
			want, err := rows.Value(0, nil)
			if err != nil || want == nil {
				t.Fatalf("%s, type %d: NULL is %q, %v", method, oid, want, err)
			}
			for _, v := range values {
				if got, err := rows.Value(0, []byte(v)); err != nil || string(got) != string(want) {
					t.Errorf("%s, type %d: %q is %q (%v), NULL is %q", method, oid, v, got, err, want)
				}
			}
		}
	}
}

var arrays = map[uint32]any{
	pgtype.TextArrayOID: []string{"bob@corp.example", "b"}, pgtype.VarcharArrayOID: []string{"x"}, pgtype.Int2ArrayOID: []int16{7},
	pgtype.Int4ArrayOID: []int32{7, 8}, pgtype.Int8ArrayOID: []int64{7}, pgtype.BoolArrayOID: []bool{true},
	pgtype.Float8ArrayOID: []float64{1.5}, pgtype.ByteaArrayOID: [][]byte{{1, 2}}, pgtype.UUIDArrayOID: [][16]byte{{1}},
	pgtype.NumericArrayOID: []pgtype.Numeric{{Int: big.NewInt(125), Exp: -1, Valid: true}}, pgtype.DateArrayOID: []time.Time{time.Date(2024, 2, 3, 0, 0, 0, 0, time.UTC)}, pgtype.InetArrayOID: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/32")},
	pgtype.JSONBArrayOID: []map[string]any{{"a": 1}},
}

func TestMaskedArraysDecode(t *testing.T) {
	types := pgtype.NewMap()
	for oid, v := range arrays {
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			in, err := types.Encode(oid, format, v, nil)
			if err != nil {
				t.Fatalf("%d: %v", oid, err)
			}
			typ, _ := types.TypeForOID(oid)
			for _, method := range methods {
				rows := masker(t).For("a", all(method)).Rows([]mask.Column{{Name: "x", Type: oid, Binary: format == 1, Derived: true, Sources: []string{"c.email"}}})
				out, err := rows.Value(0, in)
				if err != nil {
					t.Errorf("%s, format %d: %v", typ.Name, format, err)
					continue
				}
				if bytes.Equal(out, in) {
					t.Errorf("%s, format %d: not masked", typ.Name, format)
				}
				if _, err := typ.Codec.DecodeValue(types, oid, format, out); err != nil {
					t.Errorf("%s, %s, format %d: pgx refuses %q: %v", typ.Name, method, format, out, err)
				}
			}
		}
	}
}

// A card in a number, in every type that can hold it and both formats.
func TestNumbersByContent(t *testing.T) {
	types := pgtype.NewMap()
	s := masker(t).For("a", all(mask.Redact))
	for oid, v := range map[uint32]any{
		pgtype.Int8OID: int64(4242424242424242), pgtype.NumericOID: pgtype.Numeric{Int: big.NewInt(4242424242424242), Valid: true}, pgtype.Float8OID: float64(4242424242424242),
		pgtype.Int8ArrayOID: []int64{1, 4242424242424242},
	} {
		for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
			in, err := types.Encode(oid, format, v, nil)
			if err != nil {
				t.Fatal(err)
			}
			if oid == pgtype.Float8OID && format == pgtype.TextFormatCode {
				in = []byte("4242424242424242") // as PostgreSQL writes it
			}
			rows := s.Rows([]mask.Column{{Name: "x", Type: oid, Binary: format == 1}})
			out, err := rows.Value(0, in)
			if err != nil || rows.Counts()["card"] != 1 || bytes.Equal(in, out) {
				t.Errorf("%d, format %d: %q, %v, %v", oid, format, out, err, rows.Counts())
			}
			typ, _ := types.TypeForOID(oid)
			if _, err := typ.Codec.DecodeValue(types, oid, format, out); err != nil {
				t.Errorf("%d, format %d: %v", oid, format, err)
			}
		}
	}
}

func planted() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		digits := func(n int) string {
			return rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), n, n, -1).Draw(t, "digits")
		}
		switch rapid.IntRange(0, 4).Draw(t, "class") {
		case 0:
			return rapid.StringMatching(`[a-z][a-z0-9._]{3,12}[a-z]@[a-z]{3,10}\.(com|example|co\.uk)`).Draw(t, "email")
		case 1:
			body := "4" + digits(14)
			for d := '0'; d <= '9'; d++ {
				card := []byte(body + string(d))
				for i := range card {
					card[i] -= '0'
				}
				if detect.Luhn(card) {
					return body + string(d)
				}
			}
			return ""
		case 2:
			return fmt.Sprintf("%d-%d-%d", rapid.IntRange(100, 665).Draw(t, "area"), rapid.IntRange(10, 99).Draw(t, "group"), rapid.IntRange(1000, 9999).Draw(t, "serial"))
		case 3:
			return "AKIAQ4Z7X2LM6" + rapid.StringMatching(`[A-Z2-7]{7}`).Draw(t, "id") // no placeholder
		default:
			return fmt.Sprintf("203.0.%d.%d", rapid.IntRange(0, 255).Draw(t, "c"), rapid.IntRange(1, 255).Draw(t, "d"))
		}
	})
}

// No masked output contains the planted value, wherever and in whatever type it stands.
func TestPlantedValuesNeverLeave(t *testing.T) {
	m := masker(t)
	types := pgtype.NewMap()
	rapid.Check(t, func(t *rapid.T) {
		value := planted().Draw(t, "value")
		s := m.For("agent:a", all(rapid.SampledFrom(methods).Draw(t, "method")))
		around := rapid.StringMatching(`([a-z,;]{0,8} )?`)
		text := around.Draw(t, "before") + value + rapid.StringMatching(`( [a-z,;]{0,8})?`).Draw(t, "after")
		gone := func(where string, out []byte, err error) {
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			if bytes.Contains(out, []byte(value)) {
				t.Fatalf("%s: %q is still in %q", where, value, out)
			}
		}
		gone("text", s.Text([]byte(text)), nil)
		masked, _, _ := mask.MaskStatement("select * from t where c = '"+text+"'", mustEngine)
		gone("statement", []byte(masked), nil)
		document, err := json.Marshal(map[string]any{"k": []string{text}})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			oid uint32
			v   any
		}{
			{pgtype.TextOID, text},
			{pgtype.VarcharOID, text},
			{pgtype.TextArrayOID, []string{"a", text}},
			{pgtype.JSONOID, document},
			{pgtype.JSONBOID, document},
			{pgtype.ByteaOID, []byte(text)},
		} {
			for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
				in, err := types.Encode(c.oid, format, c.v, nil)
				if err != nil {
					t.Fatal(err)
				}
				out, err := s.Rows([]mask.Column{{Name: "x", Type: c.oid, Binary: format == 1}}).Value(0, in)
				gone(fmt.Sprintf("type %d, format %d", c.oid, format), out, err)
				typ, _ := types.TypeForOID(c.oid)
				if _, err := typ.Codec.DecodeValue(types, c.oid, format, out); err != nil {
					t.Fatalf("type %d, format %d: pgx refuses it: %v", c.oid, format, err)
				}
			}
		}
	})
}

var mustEngine = func() *detect.Engine {
	e, err := detect.New(detect.Options{})
	if err != nil {
		panic(err)
	}
	return e
}()

// Whatever bytes a hostile upstream calls a value of a type, masking ends in a
// value or an error; and what pgx could decode before, it can decode after.
func FuzzRowsValue(f *testing.F) {
	types := pgtype.NewMap()
	for oid, v := range arrays {
		for _, format := range []int16{0, 1} {
			in, err := types.Encode(oid, format, v, nil)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(oid, format == 1, oid%2 == 0, in)
		}
	}
	f.Add(uint32(3802), true, false, []byte("\x01{\"email\":\"bob@corp.example\"}"))
	f.Add(uint32(114), false, false, []byte(`[4242424242424242,"\u0040"]`))
	f.Add(uint32(25), false, false, []byte("bob@corp.example"))
	f.Add(uint32(17), false, false, []byte(`\x626f6240636f72702e6578616d706c65`))
	f.Add(uint32(2249), true, false, []byte("\x00\x00\x00\x01\x00\x00\x00\x19\x00\x00\x00\x10bob@corp.example"))
	f.Add(uint32(1700), true, false, []byte("\x00\x04\x00\x03\x00\x00\x00\x00\x10\x92\x10\x92\x10\x92\x10\x92"))
	f.Add(uint32(16400), true, true, []byte("\x00\x01"))
	m := masker(f)
	f.Fuzz(func(t *testing.T, oid uint32, isBinary, classed bool, v []byte) {
		c := mask.Column{Name: "x", Type: oid, Binary: isBinary, Derived: classed}
		if classed {
			c.Sources = []string{"c.email"}
		}
		before := bytes.Clone(v)
		out, err := m.For("a", all(mask.Redact)).Rows([]mask.Column{c}).Value(0, v)
		if !bytes.Equal(before, v) {
			t.Fatal("the value was modified")
		}
		typ, known := types.TypeForOID(oid)
		if err != nil || !known || oid == pgtype.RecordOID || oid == pgtype.RecordArrayOID {
			return
		}
		format := int16(0)
		if isBinary {
			format = 1
		}
		if !typ.Codec.FormatSupported(format) {
			return
		}
		if _, err := typ.Codec.DecodeValue(types, oid, format, v); err != nil {
			return
		}
		if _, err := typ.Codec.DecodeValue(types, oid, format, out); err != nil {
			t.Fatalf("type %d: pgx decoded %q and refuses %q: %v", oid, v, out, err)
		}
	})
}

// Masking a page of a table, value by value.
func BenchmarkRowsValue(b *testing.B) {
	s := masker(b).For("agent:a", map[string]string{"email": mask.Redact, "card": mask.Partial})
	rows := s.Rows([]mask.Column{{Name: "note", Type: 25}, {Name: "email", Type: 25}, {Name: "id", Type: 20}})
	values := [][]byte{[]byte("ordered twice, the second parcel came late"), []byte("bob@corp.example"), []byte("123456")}
	b.ReportAllocs()
	for b.Loop() {
		for i, v := range values {
			if _, err := rows.Value(i, v); err != nil {
				b.Fatal(err)
			}
		}
	}
}
