//go:build !cgo

package sql

import "testing"

// Without cgo there is only one parser to be had: the comparison takes place in
// builds with it.
type twin struct{}

func newTwin() *twin { return &twin{} }

func (*twin) compare(testing.TB, string, State, *Result) bool { return true }
