package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/witness"
)

// witnessAt is a witness that may be out of reach.
func witnessAt(t *testing.T, vkey string) (config string, away *atomic.Bool, key string) {
	t.Helper()
	w, err := witness.Open(witness.Options{Dir: t.TempDir(), Name: "w.example", Logs: []string{vkey}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	away = &atomic.Bool{}
	h := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if away.Load() {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		w.ServeHTTP(rw, r)
	}))
	t.Cleanup(h.Close)
	return "{ key: " + w.Verifier() + ", url: " + h.URL + " }", away, w.Verifier()
}

// logKeyIn makes the log's key before the first start, so that a witness can know it.
func logKeyIn(t *testing.T, dir string) string {
	t.Helper()
	keys := filepath.Join(dir, "data", "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		t.Fatal(err)
	}
	k, err := audit.LoadOrCreateKey(filepath.Join(keys, "log.key"), "localhost/assent/log")
	if err != nil {
		t.Fatal(err)
	}
	return k.Verifier()
}

func serveWitnessed(t *testing.T, dir, more string) (*Server, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(strings.Replace(heldPack, "rules:\n", "rules:\n  - id: reads\n    match: { kind: [data.read] }\n    then: allow\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte("data: data\nlisten: 127.0.0.1:0\npolicy: [pack.yaml]\npeople: [{ id: mira, groups: [reviewers] }, { id: dana }]\nactors: [{ id: worker, owner: dana }]\n"+more))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if err := s.Start(t.Context()); err != nil {
		return nil, errors.Join(err, s.Close(context.Background()))
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s, nil
}

// A database and its head file, both put back to an earlier day, are refused: the witness has seen more.
func TestAnOldDatabaseAndHeadFileAreRefused(t *testing.T) {
	dir := t.TempDir()
	config, away, key := witnessAt(t, logKeyIn(t, dir))
	config = "audit: { every: 100ms, witnesses: [" + config + "] }"
	run := func(until func(*Server)) error {
		s, err := serveWitnessed(t, dir, config)
		if err != nil {
			return err
		}
		until(s)
		return s.Close(context.Background())
	}
	seen := func(s *Server) {
		eventually(t, "a cosignature on the newest checkpoint", func() bool {
			cp, sigs, err := evidence.VerifyCosigned(s.published(), s.auditLog.Verifiers(), []string{key})
			return err == nil && len(sigs) == 1 && cp.Size == s.auditLog.Signed().Size
		})
	}
	if err := run(seen); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	backup := filepath.Join(dir, "backup")
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	if err := run(seen); err != nil {
		t.Fatalf("started again on its own data: %v", err)
	}
	restore := func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(data), os.CopyFS(data, os.DirFS(backup))); err != nil {
			t.Fatal(err)
		}
		_ = filepath.WalkDir(data, func(p string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				err = os.Chmod(p, 0o600)
			}
			return err
		})
	}
	restore()
	var behind *audit.BehindError
	if err := run(func(*Server) {}); !errors.As(err, &behind) || !errors.Is(err, audit.ErrRolledBack) || behind.By != "w.example" {
		t.Errorf("on data that went back in time: %v", err)
	}
	// Nobody to ask at the start: found out as soon as there is, and nothing more is recorded.
	away.Store(true)
	if err := run(func(s *Server) {
		away.Store(false)
		eventually(t, "the log refuses", func() bool { return errors.Is(s.auditLog.Err(), audit.ErrRolledBack) })
		if err := s.record(t.Context(), &audit.Record{Type: audit.TypeNotice}); !errors.Is(err, audit.ErrRolledBack) {
			t.Errorf("recorded: %v", err)
		}
	}); err != nil && !errors.Is(err, audit.ErrRolledBack) {
		t.Error(err)
	}
}

// Where witnesses are required, nothing runs while they are away; where they are not, it is only told.
func TestNothingRunsUnwitnessedWhereItMustBe(t *testing.T) {
	dir := t.TempDir()
	one, away, _ := witnessAt(t, logKeyIn(t, dir))
	away.Store(true)
	s, err := serveWitnessed(t, dir, "audit: { every: 100ms, lag: 1s, require: 1, witnesses: ["+one+"] }")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.serving(); err == nil || !strings.Contains(err.Error(), "w.example") {
		t.Errorf("serving without its witness: %v", err)
	}
	ready := func() (int, string) {
		resp, err := http.Get(s.URL() + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if status, body := ready(); status != http.StatusServiceUnavailable || !strings.Contains(body, `{"name":"witnesses","ok":false}`) {
		t.Errorf("ready: %d %s", status, body)
	}
	b := &bench{Server: s, t: t, dir: dir}
	if _, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b.session = b.login()
	if _, err := b.ask(t.Context(), action.DataRead, "read"); err == nil {
		t.Error("a read ran unwitnessed")
	}
	away.Store(false)
	eventually(t, "it serves", func() bool { return s.serving() == nil })
	if _, err := b.ask(t.Context(), action.DataRead, "read"); err != nil {
		t.Errorf("witnessed, a read is refused: %v", err)
	}
	away.Store(true)
	eventually(t, "it stops", func() bool { return s.serving() != nil })
}

// An alarm says which witness lied, once.
func TestALyingWitnessIsOnRecord(t *testing.T) {
	dir := t.TempDir()
	logKeyIn(t, dir)
	_, _, key := witnessAt(t, logKeyIn(t, dir))
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "— w.example AAAA\n") }))
	defer liar.Close()
	s, err := serveWitnessed(t, dir, "audit: { every: 100ms, witnesses: [{ key: "+key+", url: "+liar.URL+" }] }")
	if err != nil {
		t.Fatal(err)
	}
	alarms := func() []audit.Record {
		recs, err := s.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeAlarm}})
		if err != nil {
			t.Fatal(err)
		}
		return recs
	}
	eventually(t, "an alarm", func() bool { return len(alarms()) > 0 })
	time.Sleep(500 * time.Millisecond)
	if recs := alarms(); len(recs) != 1 || recs[0].Detail["witness"] != "w.example" {
		t.Errorf("%+v", recs)
	}
	if err := s.serving(); err != nil {
		t.Errorf("it stops though no witness is required: %v", err)
	}
}

func TestHeartbeatsAreWritten(t *testing.T) {
	s, err := serveWitnessed(t, t.TempDir(), "audit: { heartbeat: 1s }")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "two heartbeats", func() bool {
		recs, err := s.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeBeat}})
		return err == nil && len(recs) >= 2 && recs[0].Detail["node"] != "" && recs[0].Detail["every"] == "1s"
	})
}
