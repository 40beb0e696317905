//go:build !cgo

package sql

import (
	"fmt"
	"sync"

	pg "github.com/pganalyze/pg_query_go/v6"
	wasm "github.com/wasilibs/go-pgquery"
)

// turn makes callers take turns, whichever Classifier they use: the library
// keeps one pool for the process and compiles a runtime for each concurrent
// caller (3 s and 260 MB).
var turn sync.Mutex

// wasmQuery is libpg_query compiled to WebAssembly.
type wasmQuery struct{}

func newParser() parser {
	p := wasmQuery{}
	go func() { _, _ = p.Parse("SELECT 1") }() // warm the one runtime
	return p
}

func (wasmQuery) Parse(text string) (tree *pg.ParseResult, err error) {
	turn.Lock()
	defer turn.Unlock()
	// The runtime panics where libpg_query would crash, for example out of stack.
	defer func() {
		if recover() != nil {
			tree, err = nil, fmt.Errorf("parsing SQL: the parser gave up")
		}
	}()
	return wasm.Parse(text)
}
