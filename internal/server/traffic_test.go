package server

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/erase"
)

// traffic writes segments of two records each into a spool.
func traffic(t *testing.T, s *audit.Spool, segments int) {
	t.Helper()
	for range 2 * segments {
		seq, err := s.Append(&audit.Record{Type: audit.TypeRequest, Verb: "select"})
		if err == nil && seq%2 == 1 {
			err = s.Rotate()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sealed waits until the log has so many seals.
func (b *bench) sealed(n int) {
	b.t.Helper()
	for until := time.Now().Add(20 * time.Second); len(b.records(audit.TypeSpoolSeal)) < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			b.t.Fatalf("%d seals in the log, want %d", len(b.records(audit.TypeSpoolSeal)), n)
		}
	}
}

func TestTrafficMovesToTheArchive(t *testing.T) {
	b := newBench(t, "audit: { archive: archive }\n")
	traffic(t, b.spool, 3)
	b.sealed(3)
	if err := b.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(b.cfg.path(b.cfg.Audit.Archive), "node-"+b.cfg.nodeName())
	for _, name := range []string{"00000001.spool", "00000002.spool"} {
		if _, err := os.Stat(filepath.Join(archive, name)); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(spoolDir(b.cfg.path(b.cfg.Data)), name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still in the spool: %v", name, err)
		}
	}
	if ok, _ := b.verifyNow(t.Context(), time.Now()); !ok {
		t.Error("the log does not verify")
	}
	seen := int64(0)
	if _, err := b.cfg.ReadTraffic(t.Context(), b.store, func(seq int64, _ []byte) error { seen = seq + 1; return nil }); err != nil || seen != b.spool.Next() || seen < 6 {
		t.Errorf("%d records of traffic of %d, %v", seen, b.spool.Next(), err)
	}

	// Another history of this node is in the archive, where the third segment would go.
	dir := t.TempDir()
	other, err := audit.OpenSpool(audit.SpoolOptions{Dir: dir, Node: b.cfg.nodeName(), Now: func() time.Time { return time.Unix(1, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	traffic(t, other, 3)
	f := other.Seals()[2]
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	into, _ := b.cfg.openArchive()
	third := mustOpen(t, filepath.Join(dir, "00000003.spool"))
	info, err := third.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := into.Ingest(t.Context(), f, io.NewSectionReader(third, 0, info.Size())); err != nil {
		t.Fatal(err)
	}
	traffic(t, b.spool, 1)
	b.sealed(4)
	for range 2 {
		if err := b.ship(t.Context()); !errors.Is(err, audit.ErrConflict) {
			t.Errorf("shipping against another history: %v", err)
		}
	}
	if n := len(b.records(audit.TypeAlarm)); n != 1 {
		t.Errorf("%d alarms, want 1", n)
	}
}

func mustOpen(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// watched remembers what a log was asked.
type watched struct {
	audit.Reader
	asked []audit.Query
}

func (r *watched) Search(ctx context.Context, q audit.Query) ([]audit.Record, error) {
	r.asked = append(r.asked, q)
	return r.Reader.Search(ctx, q)
}

// A seal that couldn't be recorded holds back the segments behind it until the next round, not until a restart.
func TestFailedSealIsRecordedLater(t *testing.T) {
	b := newBench(t, "")
	log, down := &watched{Reader: b.store}, true
	s := &sealer{log: log, record: func(ctx context.Context, recs ...*audit.Record) error {
		if down {
			return errors.New("the store is away")
		}
		return b.record(ctx, recs...)
	}}
	seals := []audit.Seal{{Node: "n9", Segment: 1, Count: 2, Clean: true}, {Node: "n9", Segment: 2, First: 2, Count: 2, Clean: true}}
	if err := s.seal(t.Context(), seals); err == nil || s.holds(seals[0]) {
		t.Fatalf("a seal that nobody could record: %v", err)
	}
	down = false
	for range 3 {
		if err := s.seal(t.Context(), seals); err != nil || !s.holds(seals[0]) || !s.holds(seals[1]) {
			t.Fatalf("the seals are not in the log: %v", err)
		}
	}
	if n := len(b.records(audit.TypeSpoolSeal)); n != 2 {
		t.Errorf("%d seals in the log, want 2", n)
	}
	if last := log.asked[len(log.asked)-1]; last.Since.IsZero() {
		t.Error("each round reads every seal of the log anew")
	}
}

// Archived traffic goes when its term is over and nothing holds it; a clock that ran ahead is found out.
func TestArchivedTrafficEnds(t *testing.T) {
	b := ruled(t, zebulonGone+"\naudit: { archive: archive, retention: 9600h }\n")
	traffic(t, b.spool, 4)
	b.sealed(4)
	if err := b.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := func() int {
		t.Helper()
		there, err := os.ReadDir(filepath.Join(b.cfg.path(b.cfg.Audit.Archive), "node-"+b.cfg.nodeName()))
		if err != nil {
			t.Fatal(err)
		}
		return len(there)
	}
	before := left()
	prune := func(at time.Time) {
		t.Helper()
		if err := b.prune(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	prune(time.Now())
	b.held(erase.HoldRequest{Until: time.Now().Add(-time.Hour)}) // of another time
	held := b.held(erase.HoldRequest{Names: []string{"person:omar"}})
	prune(time.Now().Add(10000 * time.Hour))
	if n := left(); n != before || len(b.records(audit.TypePrune)) != 0 {
		t.Fatalf("%d segments of %d are left before their term and under a hold", n, before)
	}
	if ok, _ := b.verifyNow(t.Context(), time.Now()); !ok {
		t.Error("the log does not verify")
	}
	b.held(erase.HoldRequest{Release: held})
	prune(time.Now().Add(10000 * time.Hour))
	recs := b.records(audit.TypePrune)
	if n := left(); n != 1 || len(recs) != 1 || recs[0].Detail["term"] != "9600h0m0s" {
		t.Errorf("%d segments are left, want the newest; on record is %v", n, recs)
	}
	if r, err := b.verify(t.Context()); err != nil || r.OK() || !strings.Contains(about(r.Problems[0]), "its term is 9600h") {
		t.Errorf("a record that was written before the term: %v %v", err, r)
	}
}
