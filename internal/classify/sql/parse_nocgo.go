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
	runtime.Lock()
	defer runtime.Unlock()
	if runtime.broken {
		return nil, errors.New("parsing SQL: the parser broke earlier; start the process again")
	}
	defer func() {
		if recover() != nil {
			runtime.broken = true
			tree, err = nil, errors.New("parsing SQL: the parser broke")
		}
	}()
	return wasm.Parse(text)
}
