package postgres

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// Of a parameter that is too long for a card people see the beginning if it is
// binary, nothing if it is text, and what tells it from any other.
func TestLongParametersAreShownShort(t *testing.T) {
	sum := func(b []byte) string { s := sha256.Sum256(b); return fmt.Sprintf("sha256 %x…", s[:8]) }
	const bytea = 17
	for _, c := range []struct {
		name   string
		p      param
		oid    uint32
		shown  string // of the value
		hidden bool   // it is cut, and told by size and sum
	}{
		{"short binary", param{value: bytes.Repeat([]byte{0xab}, shownBytes), binary: true}, bytea, `\x` + strings.Repeat("ab", shownBytes), false},
		{"long binary", param{value: bytes.Repeat([]byte{0xab}, 1<<20), binary: true}, bytea, `\x` + strings.Repeat("ab", shownBytes) + "… (1048576 bytes of a binary value, ", true},
		{"text", param{value: bytes.Repeat([]byte("x"), shownText)}, 25, `"` + strings.Repeat("x", shownText) + `"`, false},
		{"long text", param{value: bytes.Repeat([]byte("x"), shownText+1)}, 25, "(65537 bytes of text, ", true},
		{"long text, sent as binary", param{value: bytes.Repeat([]byte("x"), shownText+1), binary: true}, 25, "(65537 bytes of text, ", true},
	} {
		want := "select $1\n-- $1 = " + c.shown
		if c.hidden {
			want += sum(c.p.value) + ")"
		}
		if got := describeParams("select $1", []param{c.p}, []uint32{c.oid}); got != want {
			t.Errorf("%s: %.200q, want %.200q", c.name, got, want)
		}
	}
}
