package evidence_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/assenthq/assent/evidence"
)

func fork(t *testing.T, from, to logKey, signers ...note.Signer) []byte {
	t.Helper()
	f := evidence.Fork{From: from.vkey, To: to.vkey, Size: 7, Root: evidence.Hash{1, 2, 3}, At: time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)}
	signed, err := note.Sign(&note.Note{Text: f.Text()}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// A log under a new name is trusted where the key of the old one let it go on, and before and
// behind that where rotations lead.
func TestForksAreFollowed(t *testing.T) {
	a, b, c, d, thief := newLogKey(t, "log"), newLogKey(t, "log"), newLogKey(t, "log/fork-1"), newLogKey(t, "log/fork-1"), newLogKey(t, "log/fork-2")
	ab, bc, cd := rotation(t, a, b, a, b), fork(t, b, c, b, c), rotation(t, c, d, c, d)
	for name, test := range map[string]struct {
		handovers [][]byte
		want      []string
	}{
		"rotated, forked, rotated": {[][]byte{cd, bc, ab}, []string{a.vkey, b.vkey, c.vkey, d.vkey}},
		"a link missing":           {[][]byte{bc, cd}, []string{a.vkey}},
		"signed by the new":        {[][]byte{fork(t, a, thief, thief)}, []string{a.vkey}},
		"signed by the old":        {[][]byte{fork(t, a, thief, a)}, []string{a.vkey}},
		"signed by another":        {[][]byte{fork(t, a, thief, c, thief)}, []string{a.vkey}},
		"under the same name":      {[][]byte{fork(t, a, b, a, b)}, []string{a.vkey}},
	} {
		if got := evidence.FollowKeys([]string{a.vkey}, test.handovers...); !slices.Equal(got, test.want) {
			t.Errorf("%s: %d keys", name, len(got))
		}
	}
	f, err := evidence.VerifyFork(bc)
	if err != nil || f.Size != 7 || f.Root != (evidence.Hash{1, 2, 3}) {
		t.Fatal(f, err)
	}
	for i := range bc {
		bad := slices.Clone(bc)
		bad[i] ^= 1
		if _, err := evidence.VerifyFork(bad); err == nil {
			t.Errorf("byte %d changed, and it verifies", i)
		}
	}
	// None passes for another.
	if _, err := evidence.VerifyCheckpoint(bc, b.vkey); err == nil {
		t.Error("a fork passes for a checkpoint")
	}
	if _, err := evidence.VerifyRotation(bc); err == nil {
		t.Error("a fork passes for a rotation")
	}
	if _, err := evidence.VerifyFork(ab); err == nil {
		t.Error("a rotation passes for a fork")
	}
}

func FuzzVerifyFork(f *testing.F) {
	f.Add("assent/log-fork/v1\na\nb\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n2026-11-23T22:00:00Z\n\n— log AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := evidence.VerifyFork([]byte(text)); err == nil && !strings.HasPrefix(text, r.Text()) {
			t.Errorf("%q is read as %+v", text, r)
		}
	})
}
