package server

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
)

// exported is a bundle that the server made, verified by its key, and what it shows.
func (b *bench) exported(rec *audit.Record, q audit.Query) (*evidence.BundleReport, map[int64]string) {
	b.t.Helper()
	f, err := newExporter(b.Server).Export(b.t.Context(), rec, q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		b.t.Fatalf("it begins at %d, %v", at, err)
	}
	info, err := f.Stat()
	if err != nil {
		b.t.Fatal(err)
	}
	bundle, err := evidence.OpenBundle(f, info.Size())
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := bundle.Verify(evidence.BundleOptions{VKeys: b.logVerifiers()})
	if err != nil || r.OwnKey || len(r.Problems) > 0 {
		b.t.Fatalf("%+v, %v", r, err)
	}
	leaves := map[int64]string{}
	if err := bundle.Records(func(index int64, leaf []byte) error { leaves[index] = string(leaf); return nil }); err != nil {
		b.t.Fatal(err)
	}
	return r, leaves
}

// A bundle over HTTP is made one at a time, leaves no file and room for the log, and is not made
// where the log can't say so.
func TestEvidenceOverHTTP(t *testing.T) {
	b := threatBench(t, heldPack)
	s := b.Server
	o, err := ReadOperator(s.cfg.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	status, body := b.call("POST", "/v1/audit/evidence", o.Token, `{"actor":"mail leo@example.com"}`)
	if status != 200 || !strings.HasPrefix(body, "PK\x03\x04") {
		t.Fatalf("%d %.200q", status, body)
	}
	if _, err := evidence.OpenBundle(strings.NewReader(body), int64(len(body))); err != nil {
		t.Error(err)
	}
	told := b.records(audit.TypeEvidence)
	if len(told) != 1 || told[0].Person != operatorPerson || told[0].Detail["token"] == "" || strings.Contains(told[0].Detail["actor"], "leo@") {
		t.Errorf("the log tells %+v", told)
	}
	for body, want := range map[string]int{
		`{"since":"2026-02-01T00:00:00Z","until":"2026-01-01T00:00:00Z"}`: 400,
		`{"since":"yesterday"}`: 422,
		`{"from":"x"}`:          422,
	} {
		if status, answer := b.call("POST", "/v1/audit/evidence", o.Token, body); status != want {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	if n := len(b.records(audit.TypeEvidence)); n != 1 {
		t.Errorf("%d records after questions that were refused", n)
	}
	if left, err := filepath.Glob(filepath.Join(s.cfg.DataDir(), "evidence-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	x := newExporter(s)
	x.busy <- struct{}{}
	if _, err := x.Export(t.Context(), &audit.Record{Type: audit.TypeEvidence}, audit.Query{}); !errors.Is(err, api.ErrExporting) {
		t.Errorf("beside another: %v", err)
	}
	small := &bounded{most: 100}
	if _, err := s.auditLog.Evidence(t.Context(), s.store, audit.Export{Checkpoint: s.published()}, small); err == nil || !strings.Contains(err.Error(), "shorter period") {
		t.Errorf("without room: %v", err)
	}
	before := len(b.records(audit.TypeEvidence))
	s.auditLog.Refuse(errors.New("no more"))
	if _, err := newExporter(s).Export(t.Context(), &audit.Record{Type: audit.TypeEvidence}, audit.Query{}); err == nil {
		t.Error("a bundle without a record of it")
	}
	if n := len(b.records(audit.TypeEvidence)); n != before {
		t.Errorf("%d records, %d before", n, before)
	}
}

// Of many who ask at once, each gets a whole bundle or is told to come again.
func TestManyAskForEvidence(t *testing.T) {
	b := threatBench(t, heldPack)
	x := newExporter(b.Server)
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		wg.Go(func() {
			f, err := x.Export(t.Context(), &audit.Record{Type: audit.TypeEvidence}, audit.Query{})
			if errors.Is(err, api.ErrExporting) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = f.Close() }()
			info, err := f.Stat()
			if err == nil {
				_, err = evidence.OpenBundle(f, info.Size())
			}
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			made++
		})
	}
	wg.Wait()
	if n := len(b.records(audit.TypeEvidence)); made == 0 || n != made {
		t.Errorf("%d bundles, %d records", made, n)
	}
}
