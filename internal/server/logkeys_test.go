package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
)

// The log goes on under its new key, both sign for a while, and whoever has only the first verifies it all.
func TestTheLogsKeyIsRotated(t *testing.T) {
	dir := t.TempDir()
	first := logKeyIn(t, dir)
	run := func() (note []byte) {
		t.Helper()
		s, err := serveWitnessed(t, dir, "")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := s.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		return s.auditLog.Checkpoint()
	}
	run()
	cfg, err := ReadConfig(writeConfig(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	one, err := RotateLogKey(t.Context(), cfg, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if one.From != first || one.To == first {
		t.Errorf("%+v", one)
	}
	note := run()
	for _, vkey := range []string{one.From, one.To} {
		if _, err := evidence.VerifyCheckpoint(note, vkey); err != nil {
			t.Errorf("both sign for a while: %v", err)
		}
	}
	two, err := RotateLogKey(t.Context(), cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // until the end of that second
	note = run()
	if _, err := evidence.VerifyCheckpoint(note, two.From); err == nil {
		t.Error("the former key signs on")
	}
	if _, err := os.Stat(cfg.oldKeyFile()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the former key is still there: %v", err)
	}
	st, err := OpenReadOnly(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	for _, vkey := range []string{first, one.To, two.To} {
		r, err := audit.Verify(t.Context(), st, cfg.VerifyOptions(vkey))
		if err != nil || !r.OK() {
			t.Errorf("by %s: %v, %+v", vkey, err, r)
		}
	}
}

// A rotation that is cut off at any step is found and ended, and no key is made up beside it.
func TestARotationCutOffIsEnded(t *testing.T) {
	dir := t.TempDir()
	logKeyIn(t, dir)
	s, err := serveWitnessed(t, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := ReadConfig(writeConfig(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RotateLogKey(t.Context(), cfg, time.Hour); err == nil {
		t.Error("rotated under the running server")
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(cfg.nextKeyFile())
	before, err := os.ReadFile(cfg.logKeyFile())
	if err != nil {
		t.Fatal(err)
	}
	done, err := RotateLogKey(t.Context(), cfg, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	// As it was after the record and before the swap.
	if err := errors.Join(os.Rename(cfg.logKeyFile(), cfg.nextKeyFile()), os.WriteFile(cfg.logKeyFile(), before, 0o600), os.Remove(cfg.oldKeyFile()), os.Remove(cfg.retiredFile())); err != nil {
		t.Fatal(err)
	}
	if _, err := serveWitnessed(t, dir, ""); err == nil || !strings.Contains(err.Error(), "assent keys rotate ends it") {
		t.Errorf("started in the middle of a rotation: %v", err)
	}
	again, err := RotateLogKey(t.Context(), cfg, time.Hour)
	if err != nil || *again != *done {
		t.Fatalf("%+v, %v", again, err)
	}
	st, err := OpenReadOnly(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	recs, err := st.Search(t.Context(), audit.Query{Types: []string{audit.TypeKey}})
	if err != nil || len(recs) != 1 {
		t.Errorf("%d rotations on record: %v", len(recs), err)
	}
	_ = st.Close()
	if s, err = serveWitnessed(t, dir, ""); err != nil {
		t.Fatal(err)
	}
	if got := s.auditLog.Verifiers(); len(got) != 2 || got[0] != done.To {
		t.Errorf("signed by %v", got)
	}
}

// writeConfig is the configuration of a server that serveWitnessed ran, as a file.
func writeConfig(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "written.yaml")
	if err := os.WriteFile(file, []byte("data: data\npolicy: [pack.yaml]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
