//go:build !cgo

package sql

import (
	"errors"
	"sync"

	pg "github.com/pganalyze/pg_query_go/v6"
	wasm "github.com/wasilibs/go-pgquery"
)

// runtime is the one WebAssembly runtime of the process. The library keeps a
// pool and compiles another one for each concurrent caller (3 s and 260 MB), so
// callers take turns, whichever Classifier they use.
var runtime struct {
	sync.Mutex
	broken bool // it trapped once: what it says from then on is not to be trusted
}

// wasmQuery is libpg_query compiled to WebAssembly.
type wasmQuery struct{}

func newParser() parser {
	p := wasmQuery{}
	go func() { _, _ = p.Parse("SELECT 1") }() // warm it
	return p
}

// Parse errs for ever once the runtime has trapped: after a stack overflow it
// was seen to refuse good texts, and nobody knows what else it gets wrong.
func (wasmQuery) Parse(text string) (tree *pg.ParseResult, err error) {
	err = alone(func() (err error) { tree, err = wasm.Parse(text); return err })
	return tree, err
}

// Deparse errs for ever when Parse does.
func (wasmQuery) Deparse(tree *pg.ParseResult) (text string, err error) {
	err = alone(func() (err error) { text, err = wasm.Deparse(tree); return err })
	return text, err
}

func alone(call func() error) (err error) {
	runtime.Lock()
	defer runtime.Unlock()
	if runtime.broken {
		return errors.New("parsing SQL: the parser broke earlier; start the process again")
	}
	defer func() {
		if recover() != nil {
			runtime.broken = true
			err = errors.New("parsing SQL: the parser broke")
		}
	}()
	return call()
}
