package mysql

import (
	"testing"
	"unicode/utf8"

	classify "github.com/assenthq/assent/internal/classify/mysql"
)

// A parameter of a preview's query stays one literal, whatever the agent bound.
func FuzzLiteral(f *testing.F) {
	for _, s := range []string{"", "it's", `\`, `\'`, "' or 1 = 1 -- ", "/*! */", "1e5", "-1", "2026-01-02 03:04:05", "\x1a\n\"`", "é"} {
		for _, typ := range []uint16{typeVarString, typeBlob, typeDate, typeTimestamp, typeNewDecimal} {
			f.Add([]byte(s), typ)
		}
	}
	c := classify.New(classify.Options{CacheEntries: -1})
	st := classify.State{Database: "shop"}
	const text = "delete from t where a = ? and b = 1"
	shapes := map[string]bool{}
	for _, literal := range []string{"'x'", "1", "NULL", "_binary 'x'", "DATE 'x'", "TIMESTAMP 'x'", "TIME 'x'"} {
		p, err := c.Probe(text, st, []string{literal})
		if err != nil {
			f.Fatal(literal, err)
		}
		shapes[c.Classify(p.Query, st).Shape] = true
	}
	f.Fuzz(func(t *testing.T, v []byte, typ uint16) {
		switch b := byte(typ); {
		case !textual(b) && b != typeDate && b != typeTime && b != typeDatetime && b != typeTimestamp:
			return // what a number or date holds was written by the gate
		case !utf8.Valid(v) && !textual(b):
			return
		}
		literal := literalOf(v, typ)
		if literal == "" {
			return
		}
		p, err := c.Probe(text, st, []string{literal})
		if err != nil {
			return
		}
		if !shapes[c.Classify(p.Query, st).Shape] {
			t.Fatalf("%q of type %d became %q", v, byte(typ), p.Query)
		}
	})
}
