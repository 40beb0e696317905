package server

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/postgres"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// settled is a deployment in a data directory, with some of everything, stopped.
func settled(t *testing.T, f *fleet) (old string, held, denied *approval.Approval) {
	t.Helper()
	cfg, err := ParseConfig(filepath.Join(f.dir, "old.yaml"), []byte(`
data: old
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers, admins] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &bench{Server: s, t: t, dir: f.dir}
	if _, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b.session = b.login()
	leaves, leave := context.WithCancel(t.Context())
	first := b.background(leaves, "write one")
	waits := b.waiting(1)[0]
	second := b.background(leaves, "write two")
	for _, a := range b.waiting(2) {
		if a.ID == waits.ID {
			continue
		}
		mira, _ := s.dir.Person("person:mira")
		if denied, err = s.engine.Answer(t.Context(), approval.Answer{Approval: a.ID, Person: mira, Decision: approval.Deny, Reason: "no", Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-second; err == nil {
		t.Fatal("what was denied ran")
	}
	leave()
	<-first
	if err := readOnce(t, b.session, 7); err != nil {
		t.Fatal(err)
	}
	b.session.Close()
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return cfg.DataDir(), waits, denied
}

func readOnce(t *testing.T, s gate.Session, rows int64) error {
	t.Helper()
	act := &action.Action{Kinds: []action.Kind{action.DataRead}, Verb: "select", Title: "read", Statement: "read", Payload: []byte("read")}
	s.Describe(act)
	p, err := s.Enforce(t.Context(), act, gate.Hooks{})
	if err != nil {
		return err
	}
	defer p.Done(gate.Outcome{State: gate.Executed})
	return p.Count(rows, 10*rows)
}

func TestMigrate(t *testing.T) {
	f := newFleet(t)
	old, held, denied := settled(t, f)
	m, err := Migrate(t.Context(), old, f.config("a", ""), func(string, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	cut := func(cp []byte) string { text, _, _ := bytes.Cut(cp, []byte("\n\n")); return string(text) }
	if m.Size == 0 || cut(m.Before) != cut(m.After) {
		t.Errorf("the checkpoints are\n%s\n%s", m.Before, m.After)
	}
	before, err := sqlite.OpenReadOnly(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = before.Close() }()

	s, err := f.start("a", "")
	if err != nil {
		t.Fatal(err)
	}
	a := &bench{Server: s, t: t, dir: f.dir}
	var leaves, moved [][]byte
	for _, l := range []struct {
		r    audit.Reader
		into *[][]byte
	}{{before, &leaves}, {s.store, &moved}} {
		if err := l.r.Leaves(t.Context(), 0, m.Size, func(_ int64, leaf []byte) error { *l.into = append(*l.into, bytes.Clone(leaf)); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if int64(len(leaves)) != m.Size || !bytes.Equal(bytes.Join(leaves, nil), bytes.Join(moved, nil)) {
		t.Errorf("%d leaves are %d others", len(leaves), len(moved))
	}
	// The agent's token, what it was denied, what it read, and what waits: all as before.
	a.session = a.login()
	if got, err := s.engine.Get(t.Context(), denied.ID); err != nil || got.State != approval.Denied || len(got.Reviews) != 1 {
		t.Errorf("what was denied is %+v: %v", got, err)
	}
	if rows, _, err := s.store.SumRows(t.Context(), "person:dana", "line:test", time.Now().Add(-time.Hour)); err != nil || rows[""] < 7 {
		t.Errorf("what was read is %v: %v", rows, err)
	}
	again := a.background(t.Context(), "write one")
	time.Sleep(100 * time.Millisecond)
	list := a.waiting(1)
	if list[0].ID != held.ID {
		t.Errorf("asked again, %s waits instead of %s", list[0].ID, held.ID)
	}
	a.approve(list[0])
	if err := <-again; err != nil {
		t.Error(err)
	}
	if _, err := s.VerifyLog(t.Context()); err != nil {
		t.Error(err)
	}

	// The old directory is evidence, and serves no more.
	if _, err := sqlite.Open(t.Context(), old); !errors.Is(err, store.ErrMoved) {
		t.Errorf("serving from it: %v", err)
	}
	cfg := &Config{Data: old}
	vkey, err := Verifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(t.Context(), before, cfg.VerifyOptions(vkey)); err != nil || !r.OK() {
		t.Errorf("the old log: %v %+v", err, r)
	}
	if _, err := Migrate(t.Context(), old, f.config("b", ""), func(string, int64) {}); !errors.Is(err, store.ErrMoved) {
		t.Errorf("moving it twice: %v", err)
	}
}

// What can't be moved whole is not moved at all, and can still be served.
func TestMigrateRefuses(t *testing.T) {
	f := newFleet(t)
	old, _, _ := settled(t, f)
	refuses := func(what string, cfg *Config) {
		t.Helper()
		if _, err := Migrate(t.Context(), old, cfg, func(string, int64) {}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v, want …%s…", err, what)
		}
		s, err := sqlite.Open(t.Context(), old)
		if err != nil {
			t.Errorf("after that the directory can't be served: %v", err)
			return
		}
		_ = s.Close()
	}
	refuses("names no store", &Config{Data: "elsewhere"})
	same := f.config("a", "")
	same.Data = old
	refuses("the one that moves", same)
	refuses("keep the host", f.config("a", "public_url: https://other.example.com\n"))

	running, err := sqlite.Open(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Migrate(t.Context(), old, f.config("a", ""), func(string, int64) {}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("while it is served: %v", err)
	}
	_ = running.Close()

	// A store that is used already.
	conn, err := pgx.Connect(t.Context(), f.cluster.DSN("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	st, err := postgres.Open(t.Context(), storeOptions(f.config("x", ""), slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	_ = st.Close()
	refuses("not empty", f.config("a", ""))
	if _, err := conn.Exec(t.Context(), "DROP SCHEMA assent CASCADE"); err != nil {
		t.Fatal(err)
	}
	// A target that keeps something else than it was sent.
	for _, spoil := range []string{
		"CREATE FUNCTION assent.lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER t BEFORE INSERT ON assent.review FOR EACH ROW EXECUTE FUNCTION assent.lose()",
		"CREATE FUNCTION assent.spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.mac = ''; RETURN NEW; END $$; CREATE TRIGGER t BEFORE INSERT ON assent.approval FOR EACH ROW EXECUTE FUNCTION assent.spoil()",
	} {
		st, err := postgres.Open(t.Context(), storeOptions(f.config("x", ""), slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		_ = st.Close()
		if _, err := conn.Exec(t.Context(), "DELETE FROM assent.node_mark; DELETE FROM assent.node; "+spoil); err != nil {
			t.Fatal(err)
		}
		refuses("not what was sent", f.config("a", ""))
		if _, err := conn.Exec(t.Context(), "DROP SCHEMA assent CASCADE"); err != nil {
			t.Fatal(err)
		}
	}
	// A row of the log that was edited in the directory.
	db, err := sql.Open("sqlite", "file:"+filepath.Join(old, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "UPDATE log_record SET leaf = CAST(replace(CAST(leaf AS TEXT), 'node.started', 'node.stopped') AS BLOB) WHERE type = 'node.started'"); err != nil {
		t.Fatal(err)
	}
	refuses("does not verify", f.config("a", ""))
}
