package evidence_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/assenthq/assent/evidence"
)

type logKey struct {
	note.Signer
	vkey string
}

func newLogKey(t *testing.T, name string) logKey {
	t.Helper()
	skey, vkey, err := note.GenerateKey(nil, name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return logKey{s, vkey}
}

func rotation(t *testing.T, from, to logKey, signers ...note.Signer) []byte {
	t.Helper()
	r := evidence.Rotation{Origin: from.Name(), From: from.vkey, To: to.vkey, Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)}
	signed, err := note.Sign(&note.Note{Text: r.Text()}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// A key is trusted where a chain of rotations, each signed by both its keys, leads to it.
func TestKeysAreFollowed(t *testing.T) {
	a, b, c, thief := newLogKey(t, "log"), newLogKey(t, "log"), newLogKey(t, "log"), newLogKey(t, "log")
	ab, bc := rotation(t, a, b, a, b), rotation(t, b, c, b, c)
	for name, test := range map[string]struct {
		rotations [][]byte
		want      []string
	}{
		"none":                 {nil, []string{a.vkey}},
		"a chain":              {[][]byte{ab, bc}, []string{a.vkey, b.vkey, c.vkey}},
		"in another order":     {[][]byte{bc, ab}, []string{a.vkey, b.vkey, c.vkey}},
		"a link missing":       {[][]byte{bc}, []string{a.vkey}},
		"signed by the new":    {[][]byte{rotation(t, a, thief, thief)}, []string{a.vkey}},
		"signed by the old":    {[][]byte{rotation(t, a, thief, a)}, []string{a.vkey}},
		"signed by another":    {[][]byte{rotation(t, a, thief, b, thief)}, []string{a.vkey}},
		"to another log's key": {[][]byte{rotation(t, a, newLogKey(t, "other"), a)}, []string{a.vkey}},
	} {
		if got := evidence.FollowKeys([]string{a.vkey}, test.rotations...); !slices.Equal(got, test.want) {
			t.Errorf("%s: %d keys", name, len(got))
		}
	}
	if _, err := evidence.VerifyRotation(ab); err != nil {
		t.Fatal(err)
	}
	for i := range ab {
		bad := slices.Clone(ab)
		bad[i] ^= 1
		if _, err := evidence.VerifyRotation(bad); err == nil {
			t.Errorf("byte %d changed, and it verifies", i)
		}
	}
	// Neither passes for the other.
	if _, err := evidence.VerifyCheckpoint(ab, a.vkey); err == nil {
		t.Error("a rotation passes for a checkpoint")
	}
	cp := evidence.Checkpoint{Origin: "log", Size: 3}
	signed, err := note.Sign(&note.Note{Text: cp.Body()}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.VerifyRotation(signed); err == nil {
		t.Error("a checkpoint passes for a rotation")
	}
}

// A bundle or a log by somebody else may hold any number of rotations, the last one first.
func TestRotationsAreVerifiedOnce(t *testing.T) {
	const n = 60
	keys := []logKey{newLogKey(t, "log")}
	var forth, back [][]byte
	for i := range n {
		keys = append(keys, newLogKey(t, "log"))
		forth = append(forth, rotation(t, keys[i], keys[i+1], keys[i], keys[i+1]))
	}
	back = slices.Clone(forth)
	slices.Reverse(back)
	if got := evidence.FollowKeys([]string{keys[0].vkey}, back...); len(got) != n+1 {
		t.Fatalf("%d keys", len(got))
	}
	cost := func(list [][]byte) float64 {
		return testing.AllocsPerRun(3, func() { evidence.FollowKeys([]string{keys[0].vkey}, list...) })
	}
	if a, b := cost(forth), cost(back); b > 2*a {
		t.Errorf("%d rotations in their order take %.0f allocations, the last one first %.0f", n, a, b)
	}
}

func FuzzVerifyRotation(f *testing.F) {
	f.Add("assent/key-rotation/v1\nlog\na\nb\n2026-12-01T00:00:00Z\n\n— log AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := evidence.VerifyRotation([]byte(text)); err == nil && !strings.HasPrefix(text, r.Text()) {
			t.Errorf("%q is read as %+v", text, r)
		}
	})
}
