//go:build hyperscan

package main

/*
#cgo LDFLAGS: -lhs
#include <hs/hs.h>
#include <stdlib.h>

static int count(unsigned int id, unsigned long long from, unsigned long long to, unsigned int flags, void *n) {
	(*(long *)n)++;
	return 0;
}

static long scan(hs_database_t *db, hs_scratch_t *scratch, const char *text, unsigned int size) {
	long n = 0;
	if (hs_scan(db, text, size, 0, scratch, count, &n) != HS_SUCCESS) return -1;
	return n;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"regexp"
	"unsafe"
)

// bounded are counts that make an automaton that notes where matches begin too large.
var bounded = regexp.MustCompile(`\{(\d+),(\d\d+)\}`)

// hyperscan compiles the 40 patterns into one database, twice: telling where a match ends, and
// where it begins, too. It counts matches at every end, as Hyperscan does.
func hyperscan() ([]side, error) {
	var all []side
	for _, kind := range []struct {
		name  string
		flags C.uint
	}{{"Hyperscan, no offsets", 0}, {"Hyperscan, offsets", C.HS_FLAG_SOM_LEFTMOST}} {
		texts := make([]*C.char, len(patterns))
		flags, ids := make([]C.uint, len(patterns)), make([]C.uint, len(patterns))
		for i, p := range patterns {
			texts[i] = C.CString(bounded.ReplaceAllString(p, "{$1,}"))
			flags[i], ids[i] = kind.flags, C.uint(i)
		}
		var db *C.hs_database_t
		var failed *C.hs_compile_error_t
		if C.hs_compile_multi(&texts[0], &flags[0], &ids[0], C.uint(len(patterns)), C.HS_MODE_BLOCK, nil, &db, &failed) != C.HS_SUCCESS {
			return nil, fmt.Errorf("hyperscan, pattern %d: %s", failed.expression, C.GoString(failed.message))
		}
		for _, t := range texts {
			C.free(unsafe.Pointer(t))
		}
		var scratch *C.hs_scratch_t
		if C.hs_alloc_scratch(db, &scratch) != C.HS_SUCCESS {
			return nil, errors.New("hyperscan: no memory")
		}
		all = append(all, side{name: kind.name, bytes: 8 * mib, turn: here(func(p []byte) int {
			return int(C.scan(db, scratch, (*C.char)(unsafe.Pointer(unsafe.SliceData(p))), C.uint(len(p))))
		})})
	}
	return all, nil
}
