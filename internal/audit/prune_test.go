package audit_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

const term = 48 * time.Hour

// due is what an archive would delete now.
func (a *archived) due(t *testing.T, shelf audit.Shelf, o audit.Retention) (due, again []audit.Prune) {
	t.Helper()
	var sealed audit.Sealed
	var pruned audit.Pruned
	must(t, sealed.Read(t.Context(), a.store))
	must(t, pruned.Read(t.Context(), a.store))
	o.Term, o.Now = term, a.now
	due, again, err := audit.NewArchive(shelf).Due(t.Context(), &sealed, &pruned, o)
	must(t, err)
	return due, again
}

func (a *archived) record(t *testing.T, r *audit.Record) {
	t.Helper()
	must(t, a.store.Update(func(tx *audittest.Tx) error { return a.Append(t.Context(), tx, r) }))
}

func (a *archived) delete(t *testing.T, p audit.Prune) {
	t.Helper()
	if n, err := audit.NewArchive(audit.Dir(a.archive)).Delete(t.Context(), p); err != nil || n != int(p.To-p.From+1) {
		t.Fatalf("%d segments deleted: %v", n, err)
	}
}

func TestTrafficIsDeletedPastItsTerm(t *testing.T) {
	a := newArchived(t)
	dir := audit.Dir(a.archive)
	a.now = a.now.Add(term - time.Minute)
	if due, again := a.due(t, dir, audit.Retention{}); len(due)+len(again) != 0 {
		t.Errorf("before the term %v, %v would go", due, again)
	}
	a.now = a.now.Add(2 * time.Minute)
	due, _ := a.due(t, dir, audit.Retention{})
	if len(due) != 1 || due[0].Node != "n1" || due[0].From != 1 || due[0].To != 2 || due[0].Records != 6 {
		t.Fatalf("%+v would go, want segments 1 and 2: the newest stays", due)
	}
	a.record(t, due[0].Record())
	// A crash here leaves both, which is in order, and the next round goes on.
	if rep := a.verify(t); !rep.OK() || rep.SpoolRecords != 12 {
		t.Errorf("between record and deletion: %d traffic records, problems %v", rep.SpoolRecords, rep.Problems)
	}
	more, again := a.due(t, dir, audit.Retention{})
	if len(more) != 0 || len(again) != 2 {
		t.Errorf("after a crash %v is due and %v again", more, again)
	}
	for _, p := range again {
		a.delete(t, p)
	}
	rep := a.verify(t)
	if text := strings.Join(rep.Lines, "\n"); !rep.OK() || rep.SpoolRecords != 6 || !strings.Contains(text, "2 segments with 6 traffic records were past their term") {
		t.Errorf("%d traffic records, problems %v, told %s", rep.SpoolRecords, rep.Problems, text)
	}
	listed, err := audit.Verify(t.Context(), a.store, audit.VerifyOptions{
		VKeys: []string{a.key.Verifier()}, HeadFile: a.headFile(), SpoolDir: a.spool, Archive: audit.NewArchive(dir), Listed: true, Node: "n1",
	})
	if err != nil || !listed.OK() {
		t.Errorf("where it is only listed: %v, problems %v", err, listed.Problems)
	}

	// The node goes on, and so does who reads.
	s := a.open(t)
	segmentOf(t, s, 3)
	a.seal(t, s.Seals()[1:])
	if n := a.ship(t, s); n != 1 {
		t.Errorf("%d segments were shipped behind what was deleted, want 1", n)
	}
	f := s.Follow(0)
	if seq, _, ok, err := f.Read(); err != nil || !ok || seq != 6 {
		t.Errorf("who was away reads record %d, %v, %v, want 6", seq, ok, err)
	}
	f.Close()
	must(t, s.Close())
	var pruned audit.Pruned
	must(t, pruned.Read(t.Context(), a.store))
	first := int64(-1)
	_, err = audit.ReadTraffic(t.Context(), audit.NewArchive(dir), "n1", a.spool, func(n int64) bool { return pruned.Holds("n1", n) }, func(seq int64, _ []byte) error {
		if first < 0 {
			first = seq
		}
		return nil
	})
	if err != nil || first != 6 {
		t.Errorf("what is left begins with record %d, %v", first, err)
	}
}

// A gap has the reason that the log gives, or none.
func TestOnlyExplainedGapsVerify(t *testing.T) {
	for name, lie := range map[string]func(a *archived, p *audit.Prune){
		"no record":         func(_ *archived, p *audit.Prune) { *p = audit.Prune{} },
		"before its term":   func(a *archived, _ *audit.Prune) { a.now = a.now.Add(-2 * time.Minute) },
		"another term":      func(_ *archived, p *audit.Prune) { p.Term = time.Hour },
		"other records":     func(_ *archived, p *audit.Prune) { p.Root[0] ^= 1 },
		"another count":     func(_ *archived, p *audit.Prune) { p.Records-- },
		"another node's":    func(_ *archived, p *audit.Prune) { p.Node = "n2" },
		"less than is gone": func(_ *archived, p *audit.Prune) { p.To = 1 },
		"behind the head": func(a *archived, p *audit.Prune) {
			before := a.store.Clone()
			a.record(t, p.Record())
			a.store.State.Head, a.store.State.Tiles = before.State.Head, before.State.Tiles
			*p = audit.Prune{}
		},
		"never sealed":            func(_ *archived, p *audit.Prune) { p.To = 9 },
		"all there could ever be": func(_ *archived, p *audit.Prune) { p.To = 99999999 },
	} {
		a := newArchived(t)
		a.now = a.now.Add(term + time.Minute)
		due, _ := a.due(t, audit.Dir(a.archive), audit.Retention{})
		gone := due[0]
		lie(a, &due[0])
		if due[0].Node != "" {
			a.record(t, due[0].Record())
		}
		a.delete(t, gone)
		if rep := a.verify(t); rep.OK() {
			t.Errorf("%s: nobody noticed", name)
		}
	}
}

func TestHeldTrafficStays(t *testing.T) {
	a := newArchived(t)
	a.now = a.now.Add(term + time.Minute)
	var asked []time.Time
	held := func(_ context.Context, from, to time.Time) (string, error) {
		asked = append(asked, from, to)
		return "a legal hold", nil
	}
	if due, _ := a.due(t, audit.Dir(a.archive), audit.Retention{Held: held}); len(due) != 0 {
		t.Errorf("%v would go under a hold", due)
	}
	if len(asked) != 4 || asked[0].IsZero() || asked[2].Before(asked[0]) {
		t.Errorf("it was asked about %v", asked)
	}
	if due, _ := a.due(t, locked{audit.Dir(a.archive), "node-n1/00000001.spool"}, audit.Retention{}); len(due) != 1 || due[0].From != 2 || due[0].To != 2 {
		t.Errorf("%v would go, and the shelf has the first segment under lock", due)
	}
	// What was deleted around one that is held is explained, and so is what is held.
	due, _ := a.due(t, locked{audit.Dir(a.archive), "node-n1/00000001.spool"}, audit.Retention{})
	a.record(t, due[0].Record())
	a.delete(t, due[0])
	if rep := a.verify(t); !rep.OK() || rep.SpoolRecords != 9 {
		t.Errorf("%d traffic records, problems %v", rep.SpoolRecords, rep.Problems)
	}
}

// locked is a shelf that keeps one file.
type locked struct {
	audit.Shelf
	name string
}

func (l locked) Locked(_ context.Context, name string) (until time.Time, err error) {
	if name == l.name {
		until = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return until, nil
}

// A log in use goes on while it is verified: what was deleted meanwhile is no gap.
func TestDeletedWhileVerifying(t *testing.T) {
	a := newArchived(t)
	a.now = a.now.Add(term + time.Minute)
	due, _ := a.due(t, audit.Dir(a.archive), audit.Retention{})
	rep, err := audit.Verify(t.Context(), a.store, audit.VerifyOptions{
		VKeys: []string{a.key.Verifier()}, HeadFile: a.headFile(), SpoolDir: a.spool, Archive: audit.NewArchive(audit.Dir(a.archive)), Node: "n1",
		Progress: func(done, total int64) {
			if done == total {
				a.record(t, due[0].Record())
				a.delete(t, due[0])
			}
		},
	})
	if err != nil || !rep.OK() {
		t.Errorf("%v, problems %v", err, rep.Problems)
	}
	if _, err := os.Stat(filepath.Join(a.archive, "node-n1", "00000001.spool")); err == nil {
		t.Error("nothing was deleted")
	}
}

func TestShortTermsAreRefused(t *testing.T) {
	a := newArchived(t)
	var sealed audit.Sealed
	must(t, sealed.Read(t.Context(), a.store))
	_, _, err := audit.NewArchive(audit.Dir(a.archive)).Due(t.Context(), &sealed, nil, audit.Retention{Term: time.Hour, Now: a.now.Add(24 * time.Hour)})
	if err == nil || !strings.Contains(err.Error(), "shortest") {
		t.Error(err)
	}
	if got := names(t, filepath.Join(a.archive, "node-n1")); !slices.Equal(got, []string{"00000001.spool", "00000002.spool", "00000003.spool"}) {
		t.Errorf("the archive holds %v", got)
	}
}
