package audit_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

// fork lets b's log go on under another key, which b has from then on.
func (b *bench) fork(t *testing.T, at time.Time) *audit.Key {
	t.Helper()
	next, err := audit.LoadOrCreateKey(filepath.Join(t.TempDir(), "next.key"), audit.ForkName(b.key.Name(), at))
	if err != nil {
		t.Fatal(err)
	}
	update := func(fn func(audit.Tx) error) error {
		return b.store.Update(func(tx *audittest.Tx) error { return fn(tx) })
	}
	why := &audit.Record{Person: "person:operator", Detail: map[string]string{"reason": "the disk burnt", "seen": "500"}}
	if err := audit.Fork(t.Context(), b.store, update, b.key, next, b.headFile(), why); err != nil {
		t.Fatal(err)
	}
	if b.Log, err = audit.New(audit.Options{Origin: next.Name(), Keys: []*audit.Key{next}, HeadFile: b.headFile()}); err != nil {
		t.Fatal(err)
	}
	if err := b.Open(t.Context(), b.store); err != nil {
		t.Fatal(err)
	}
	b.key = next
	return next
}

// A fork is verified by the key before it and by the one after, whole and in a bundle, and told by both.
func TestAForkIsTold(t *testing.T) {
	b := newBench(t)
	b.append(t, 300)
	b.sign(t)
	old := b.key
	next := b.fork(t, time.Now())
	b.append(t, 20)
	b.sign(t)
	for _, vkey := range []string{old.Verifier(), next.Verifier()} {
		r, err := audit.Verify(t.Context(), b.store, audit.VerifyOptions{VKeys: []string{vkey}, HeadFile: b.headFile()})
		if err != nil || !r.OK() || len(r.Forks) != 1 || r.Forks[0].Size != 300 || r.Records != 321 {
			t.Fatalf("%v, %+v", err, r)
		}
		text := strings.Join(r.Lines, "\n")
		if !strings.Contains(text, "FORK at record 300") || !strings.Contains(text, "the disk burnt") || !strings.Contains(text, "there had been 500") || strings.Contains(text, "rotated") {
			t.Error(text)
		}
	}
	for _, q := range []audit.Query{{}, {Since: b.store.State.Head.Last}} {
		for _, vkey := range []string{old.Verifier(), next.Verifier()} {
			r, _ := b.export(t, q, vkey)
			if len(r.Forks) != 1 || r.Forks[0].Size != 300 || r.Rotations != 0 || len(r.Problems) > 0 {
				t.Errorf("%+v", r)
			}
		}
	}
	// Forked again, it is followed through both.
	again := b.fork(t, time.Now().Add(time.Hour))
	r, err := audit.Verify(t.Context(), b.store, audit.VerifyOptions{VKeys: []string{old.Verifier()}, HeadFile: b.headFile()})
	if err != nil || again.Verifier() == next.Verifier() || len(r.Forks) != 2 || !r.OK() {
		t.Errorf("%v, %+v", err, r)
	}
}

// A fork that was signed of other records, or of these at another place, is none.
func TestAForkOfOtherRecords(t *testing.T) {
	for name, others := range map[string]bool{"of other records": true, "at another place": false} {
		b := newBench(t)
		b.append(t, 10)
		b.sign(t)
		from := b
		if others {
			from = newBench(t)
			from.append(t, 9)
			from.put(t, &audit.Record{Type: audit.TypeNotice})
			from.sign(t)
		}
		from.fork(t, time.Now())
		recs, err := from.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeFork}})
		if err != nil || len(recs) != 1 {
			t.Fatal(recs, err)
		}
		lie := &audit.Record{Type: audit.TypeFork, Detail: recs[0].Detail}
		b.put(t, lie)
		r, err := audit.Verify(t.Context(), b.store, audit.VerifyOptions{})
		if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].What, "a fork of other records") || r.Problems[0].Index != lie.Index {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
}
