//go:build cgo

package sql

import (
	"encoding/json"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	wasm "github.com/wasilibs/go-pgquery"
)

// wasmTwin is the parser of the build without cgo, in a build with it.
type wasmTwin struct{}

func (wasmTwin) Parse(text string) (*pg.ParseResult, error) { return wasm.Parse(text) }

func (wasmTwin) Deparse(tree *pg.ParseResult) (string, error) { return wasm.Deparse(tree) }

// twin classifies with the other build's parser, one text after the other.
type twin struct{ c *Classifier }

func newTwin() *twin {
	c := New(Options{CacheEntries: -1})
	c.parse = wasmTwin{}
	return &twin{c}
}

// compare says whether the other build says the same of text.
func (w *twin) compare(t testing.TB, text string, st State, mine *Result) bool {
	theirs := w.c.Classify(text, st)
	a, err := json.Marshal(mine)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if string(a) != string(b) {
		t.Errorf("the builds differ about %q:\ncgo  %s\nwasm %s", text, a, b)
		return false
	}
	return true
}
