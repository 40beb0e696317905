package postgres_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/postgres"
)

func TestURLs(t *testing.T) {
	for u, bad := range map[string]string{
		"postgres://assent@127.0.0.1:5432/assent":                                "",
		"postgres:///assent?host=/run/postgresql":                                "",
		"postgres://assent@db.example.com/assent":                                "", // verify-full unless said otherwise
		"postgres://assent@db.example.com/assent?sslmode=verify-full":            "",
		"postgres://assent@db.example.com/assent?sslmode=require":                "sslmode=verify-full",
		"postgres://assent@db.example.com/assent?sslmode=verify-ca":              "sslmode=verify-full",
		"postgres://assent@db.example.com/assent?sslmode=prefer":                 "sslmode=verify-full",
		"postgres://assent@db.example.com/assent?sslmode=disable":                "sslmode=verify-full",
		"postgres://assent@127.0.0.1,db.example.com/assent?sslmode=disable":      "sslmode=verify-full",
		"postgres://assent:hunter2@127.0.0.1/assent":                             "store.password",
		"postgres://assent@127.0.0.1/assent?password=hunter2":                    "store.password",
		"mysql://assent@127.0.0.1/assent":                                        "postgres://",
		"host=127.0.0.1 password=hunter2":                                        "postgres://",
		"postgres://assent@127.0.0.1/assent?sslmode=hunter2":                     "can't be read",
		"postgres://assent@db.example.com/assent?host=/run/x&sslmode=disable":    "", // the socket is what is used
		"postgres://assent@127.0.0.1/assent?host=db.example.com&sslmode=disable": "sslmode=verify-full",
	} {
		err := postgres.CheckURL(u)
		switch {
		case bad == "" && err != nil:
			t.Errorf("%s: %v", u, err)
		case bad != "" && (err == nil || !strings.Contains(err.Error(), bad)):
			t.Errorf("%s: %v, want %q", u, err, bad)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

func exec(tb testing.TB, conn *pgx.Conn, queries ...string) {
	tb.Helper()
	for _, q := range queries {
		_, err := conn.Exec(ctx, q)
		must(tb, err)
	}
}

func TestAServerThatForgetsIsRefused(t *testing.T) {
	o := options(t.TempDir())
	conn := intruder(t, o)
	defer exec(t, conn, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()", "ALTER ROLE postgres RESET ALL", "SELECT pg_sleep(0.3)")
	for what, set := range map[string][]string{
		"synchronous_commit=off":   {"ALTER ROLE postgres SET synchronous_commit = off"},
		"synchronous_commit=local": {"ALTER ROLE postgres SET synchronous_commit = local"},
		"fsync=off":                {"ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)"},
		"full_page_writes=off":     {"ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()", "SELECT pg_sleep(0.3)"},
	} {
		exec(t, conn, set...)
		if _, err := postgres.Open(ctx, o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		exec(t, conn, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()", "ALTER ROLE postgres RESET ALL", "SELECT pg_sleep(0.3)")
	}
	must(t, open(t, o).Close())
}

// The role that serves needs no right to change tables once they are there, and none to delete anything.
func TestTheRoleThatServesOwnsNothing(t *testing.T) {
	o := options(t.TempDir())
	must(t, open(t, o).Close())
	conn := intruder(t, o)
	role := "serves_" + o.Schema
	exec(t, conn, "CREATE ROLE "+role+" LOGIN PASSWORD 'x'")
	exec(t, conn, strings.NewReplacer("SCHEMA_NAME", o.Schema, "ROLE_NAME", role).Replace(postgres.Grants))
	u, err := url.Parse(o.URL)
	must(t, err)
	u.User = url.User(role)
	o.URL, o.Password = u.String(), func(context.Context) ([]byte, error) { return []byte("x"), nil }
	s := open(t, o)
	defer func() { must(t, s.Close()) }()
	dir := t.TempDir()
	l := openLog(t, s, dir, "one", false)
	must(t, appendOne(s, l, &audit.Record{Type: audit.TypeRequest}))
	must(t, insert(s, "a"))
	must(t, s.Update(ctx, func(tx approval.Tx) error {
		r := row("a")
		r.Revision = 2
		return tx.SwapApproval(ctx, approval.Pending, 1, r)
	}))
	s.SealLedger([]byte("key"))
	at := row("a").Created
	must(t, s.AddRows(ctx, "ana", "", "db", at, 1, 1))
	must(t, s.AddRows(ctx, "ana", "", "db", at, 1, 1))
	must(t, s.PutSetting(ctx, "k", []byte("v")))
	for _, q := range []string{"DELETE FROM log_record", "UPDATE log_record SET leaf = ''", "DELETE FROM approval", "DELETE FROM sealed", "TRUNCATE review", "UPDATE review SET body = ''", "DROP TABLE node"} {
		err := s.Write(ctx, func(tx *postgres.Tx) error { return postgres.Exec(tx, q) })
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: %v", q, err)
		}
	}
	must(t, insert(s, "b")) // what was refused broke nothing
}

// Text from outside may hold anything: it is kept as it is, or refused alone.
func TestTextThatPostgresRefuses(t *testing.T) {
	s := open(t, options(t.TempDir()))
	defer func() { must(t, s.Close()) }()
	for _, text := range []string{"a\x00b", "\xff\xfe", `\x41`, "'; DROP TABLE approval; --", "ü"} {
		r := row(text)
		r.Actor, r.Shape, r.Person, r.Credential, r.Match = text, text, text, text, text
		must(t, s.Update(ctx, func(tx approval.Tx) error { return tx.InsertApproval(ctx, r) }))
		must(t, s.View(ctx, func(tx approval.Tx) error {
			got, err := tx.ApprovalByID(ctx, text)
			if got.Actor != text || got.Shape != text || got.Person != text {
				t.Errorf("%q came back as %+v", text, got)
			}
			return err
		}))
		must(t, s.Update(ctx, func(tx approval.Tx) error {
			return tx.InsertRecord(ctx, 0, []byte("{}"), &audit.Record{Type: text, Actor: text, About: text, Session: text})
		}))
		exec(t, intruder(t, postgres.Options{Schema: postgres.SchemaOf(s)}), "DELETE FROM log_record")
	}
	long := row(strings.Repeat("x", 5000))
	if err := s.Update(ctx, func(tx approval.Tx) error { return tx.InsertApproval(ctx, long) }); err == nil {
		t.Error("a name that no index takes was stored")
	}
	must(t, insert(s, "after"))
}

func TestReadOnly(t *testing.T) {
	o := options(t.TempDir())
	if _, err := postgres.OpenReadOnly(ctx, o); err == nil {
		t.Error("there is nothing to read")
	}
	s := open(t, o)
	defer func() { must(t, s.Close()) }()
	must(t, insert(s, "a"))
	r, err := postgres.OpenReadOnly(ctx, o)
	must(t, err)
	defer func() { must(t, r.Close()) }()
	if err := insert(r, "b"); !errors.Is(err, store.ErrRead) {
		t.Errorf("writing to a reader: %v", err)
	}
	if _, err := r.Head(ctx); err != nil || r.Err() != nil {
		t.Error(err, r.Err())
	}
}

// A program that was rolled back neither writes nor reads tables that a newer one
// made. The newer one opens them as before.
func TestAnOlderProgramRefusesNewerTables(t *testing.T) {
	o := options(t.TempDir())
	s := open(t, o)
	must(t, insert(s, "a"))
	conn := intruder(t, o)
	exec(t, conn, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9000, true)")
	must(t, s.Close())
	for _, open := range []func(context.Context, postgres.Options) (*postgres.Store, error){postgres.Open, postgres.OpenReadOnly} {
		if s, err := open(ctx, o); err == nil {
			_ = s.Close()
			t.Fatal("tables of version 9000 were opened")
		} else if !strings.Contains(err.Error(), "version 9000") || !strings.Contains(err.Error(), "older than what wrote them") {
			t.Fatalf("the error doesn't say why: %v", err)
		}
	}
	exec(t, conn, "DELETE FROM goose_db_version WHERE version_id = 9000")
	must(t, open(t, o).Close())
}

func TestLedgerAndSettings(t *testing.T) {
	o := options(t.TempDir())
	s := open(t, o)
	defer func() { must(t, s.Close()) }()
	conn := intruder(t, o)
	at := row("a").Created
	if err := s.AddRows(ctx, "ana", "", "db", at, 3, 30); err == nil {
		t.Error("counted without a seal")
	}
	s.SealLedger([]byte("key"))
	must(t, s.AddRows(ctx, "ana", "", "db", at, 3, 30))
	must(t, s.AddRows(ctx, "ana", "card", "db", at, 1, 10))
	must(t, s.AddRows(ctx, "ana", "", "db", at, -1, -10))
	if rows, bytes, err := s.SumRows(ctx, "ana", "db", at); err != nil || rows[""] != 2 || bytes[""] != 20 || rows["card"] != 1 {
		t.Errorf("%v rows, %v bytes, %v", rows, bytes, err)
	}
	for _, edit := range []string{"row_count = 0", "byte_count = 0", "hour = hour + 1", "subject = 'cid'", "class = 'email'", "mac = ''"} {
		must(t, s.AddRows(ctx, "eve", "", "db", at, 100, 1000))
		exec(t, conn, "UPDATE ledger SET "+edit+" WHERE subject = 'eve'")
		who := "eve"
		if edit == "subject = 'cid'" {
			who = "cid"
		}
		if _, _, err := s.SumRows(ctx, who, "db", at); !errors.Is(err, store.ErrLedgerEdited) {
			t.Errorf("%s: %v", edit, err)
		}
		exec(t, conn, "DELETE FROM ledger WHERE subject IN ('eve', 'cid')")
	}
	must(t, s.PutSetting(ctx, "k", []byte("1")))
	must(t, s.PutSetting(ctx, "k", []byte("2")))
	for _, c := range []struct{ key, put, want string }{{"k", "3", "2"}, {"new", "4", "4"}, {"new", "5", "4"}} {
		if v, err := s.FirstSetting(ctx, c.key, []byte(c.put)); err != nil || string(v) != c.want {
			t.Errorf("%s: %q, %v", c.key, v, err)
		}
	}
	if v, err := s.Setting(ctx, "none"); err != nil || v != nil {
		t.Errorf("no setting: %q, %v", v, err)
	}
}

// A record that is filed under other words than its own is found.
func TestMisfiledRecords(t *testing.T) {
	o := options(t.TempDir())
	s := open(t, o)
	defer func() { must(t, s.Close()) }()
	conn := intruder(t, o)
	l := openLog(t, s, t.TempDir(), "one", false)
	must(t, appendOne(s, l, &audit.Record{
		Type: audit.TypeToken, Actor: "agent:x", Person: "person:ana", Approval: "apr_1", Resource: "r", Session: "s",
		Kinds: []string{"data.read"}, About: "a/b", Revision: 3, Detail: map[string]string{"token": "tok_1"},
	}))
	misfiled := func() (n int, err error) {
		err = s.Filed(ctx, 0, 1, func(_ int64, _ []byte, filed bool) error {
			if !filed {
				n++
			}
			return nil
		})
		return n, err
	}
	for _, column := range []string{"type", "actor", "person", "approval", "resource", "session", "kinds", "about", "token"} {
		if found, err := misfiled(); err != nil || found != 0 {
			t.Fatalf("before: %v, %v", found, err)
		}
		exec(t, conn, "CREATE TABLE was AS SELECT * FROM log_record", "UPDATE log_record SET "+column+" = 'other'")
		if found, err := misfiled(); err != nil || found != 1 {
			t.Errorf("%s: %v, %v", column, found, err)
		}
		exec(t, conn, "UPDATE log_record r SET "+column+" = was."+column+" FROM was", "DROP TABLE was")
	}
	exec(t, conn, "UPDATE log_record SET revision = 2")
	if found, err := misfiled(); err != nil || found != 1 {
		t.Errorf("revision: %v, %v", found, err)
	}
}

// What comes along with an approval is what a transaction itself has written since, too.
func TestWhatComesAlongIsNotStale(t *testing.T) {
	s := open(t, options(t.TempDir()))
	defer func() { must(t, s.Close()) }()
	l := openLog(t, s, t.TempDir(), "one", false)
	must(t, insert(s, "a"))
	must(t, insert(s, "b"))
	review := approval.ReviewRow{ID: "rev_1", Approval: "a", Person: "ana", Body: []byte("b"), MAC: []byte("m")}
	must(t, s.Update(ctx, func(tx approval.Tx) error {
		count := func(id string, reviews, reviewed, reached int) {
			t.Helper()
			rows, err := tx.ReviewsOf(ctx, id)
			must(t, err)
			recs, err := tx.Reviewed(ctx, id)
			must(t, err)
			states, err := tx.Reached(ctx, id)
			must(t, err)
			if len(rows) != reviews || len(recs) != reviewed || len(states) != reached {
				t.Errorf("%s has %d reviews, %d on record, and reached %v", id, len(rows), len(recs), states)
			}
		}
		look := func(id string) {
			t.Helper()
			_, err := tx.ApprovalByID(ctx, id)
			must(t, err)
		}
		look("a")
		count("a", 0, 0, 0)
		must(t, tx.InsertReview(ctx, review))
		count("a", 1, 0, 0)
		look("a")
		must(t, l.Append(ctx, tx, &audit.Record{Type: audit.TypeReview, Approval: "a", Detail: map[string]string{"review": "rev_1"}}, &audit.Record{Type: audit.TypeStarted, Approval: "a"}))
		count("a", 1, 1, 1)
		look("b")
		count("a", 1, 1, 1)
		count("b", 0, 0, 0)
		return nil
	}))
	// What a closure that failed had written is not what the next one finds.
	boom := errors.New("boom")
	err := s.Update(ctx, func(tx approval.Tx) error {
		review.ID, review.Approval = "rev_2", "b"
		must(t, tx.InsertReview(ctx, review))
		_, err := tx.ApprovalByID(ctx, "b")
		must(t, err)
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	must(t, s.Update(ctx, func(tx approval.Tx) error {
		rows, err := tx.ReviewsOf(ctx, "b")
		if len(rows) > 0 {
			t.Error("what was undone is found")
		}
		return err
	}))
}
