package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func has(a *action.Action, k action.Kind) bool {
	for _, x := range a.Kinds {
		if x == k {
			return true
		}
	}
	return false
}

func writes(a *action.Action) bool {
	return has(a, action.DataWrite) || has(a, action.DataDelete) || has(a, action.SchemaChange) || has(a, action.PrivilegeChange)
}

// denyWrites lets reads through and denies what changes something.
func denyWrites(_ context.Context, a *action.Action, _ func(gate.Held)) error {
	if writes(a) || has(a, action.Unknown) {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "no writes", ID: "apr_1", Hint: "ask a person"}
	}
	return nil
}

func table(t *testing.T) string {
	t.Helper()
	name := "t_" + strings.ToLower(strings.NewReplacer("/", "_", "-", "_", "=", "_", " ", "_").Replace(t.Name()))
	name = name[:min(len(name), 60)]
	direct(t, "drop table if exists "+name, "create table "+name+"(id int primary key, email text, secret_note text, n int)",
		fmt.Sprintf("insert into %s values (1,'%s','hidden one',10),(2,'other %s',null,20),(3,null,'hidden three',30)", name, plantedEmail, plantedCard))
	return name
}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func status(c *pgx.Conn) string { return string(c.PgConn().TxStatus()) }

func TestDeniedRecoverably(t *testing.T) {
	tbl := table(t)
	c := connect(t, start(t, &authority{decide: denyWrites}))
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeCacheStatement} {
		_, err := c.Exec(t.Context(), "update "+tbl+" set n = 99", mode)
		var e *pgconn.PgError
		if !errors.As(err, &e) || e.Code != "42501" || e.Severity != "ERROR" || !strings.Contains(e.Hint, "apr_1") {
			t.Errorf("%v: %v", mode, err)
		}
		if s := status(c); s != "I" {
			t.Errorf("%v: status %s", mode, s)
		}
		var n int
		if err := c.QueryRow(t.Context(), "select n from "+tbl+" where id = 1", mode).Scan(&n); err != nil || n != 10 {
			t.Errorf("%v: after a denial: %d %v", mode, n, err)
		}
	}
}

func TestDenialAbortsTransaction(t *testing.T) {
	tbl := table(t)
	a := &authority{decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if has(a, action.DataDelete) {
			return &gate.Denied{Status: gate.StatusDenied, Reason: "no deletes"}
		}
		return nil
	}}
	c := connect(t, start(t, a))
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		tx, err := c.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "update "+tbl+" set n = 77 where id = 1", mode); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), "delete from "+tbl+" where id = 2", mode); code(err) != "42501" || status(c) != "E" {
			t.Errorf("%v, status %s", err, status(c))
		}
		if _, err := tx.Exec(t.Context(), "select 1 from "+tbl, mode); code(err) != "25P02" {
			t.Errorf("in a failed transaction: %v", err)
		}
		if err := tx.Commit(t.Context()); err == nil {
			t.Error("half of a denied transaction was committed")
		}
		var n int
		if err := c.QueryRow(t.Context(), "select n from "+tbl+" where id = 1", mode).Scan(&n); err != nil || n != 10 {
			t.Errorf("after the rollback: %d %v", n, err)
		}
	}
}

func TestBatch(t *testing.T) {
	tbl := table(t)
	a := &authority{decide: denyWrites}
	c := connect(t, start(t, a))
	b := &pgx.Batch{}
	for i := range 3 {
		b.Queue("select n from "+tbl+" where id = $1", i+1)
	}
	res := c.SendBatch(t.Context(), b)
	for i := range 3 {
		var n int
		if err := res.QueryRow().Scan(&n); err != nil || n != (i+1)*10 {
			t.Errorf("%d: %d %v", i, n, err)
		}
	}
	if err := res.Close(); err != nil {
		t.Error(err)
	}
	if n := len(a.actions()); n != 3 {
		t.Errorf("%d actions", n)
	}
	// A denial in the middle: nothing of the batch runs, the connection lives.
	b = &pgx.Batch{}
	b.Queue("select n from " + tbl + " where id = 1")
	b.Queue("update " + tbl + " set n = 0")
	b.Queue("select n from " + tbl + " where id = 2")
	if err := c.SendBatch(t.Context(), b).Close(); code(err) != "42501" {
		t.Error(err)
	}
	var n int
	if err := c.QueryRow(t.Context(), "select n from "+tbl+" where id = 1").Scan(&n); err != nil || n != 10 {
		t.Errorf("%d %v", n, err)
	}
}

// holding makes statements wait for an answer, and tells about it.
type holding struct {
	waiting chan *action.Action
	answer  chan error
	gone    atomic.Int64
}

func newHolding() *holding {
	return &holding{waiting: make(chan *action.Action, 10), answer: make(chan error, 10)}
}

func (h *holding) decide(ctx context.Context, a *action.Action, held func(gate.Held)) error {
	if !writes(a) && !has(a, action.DataExport) {
		return nil
	}
	held(gate.Held{ID: "apr_held", URL: "http://localhost:8720/a/apr_held", Who: "2 of data-owners", Expires: time.Now().Add(time.Hour)})
	h.waiting <- a
	if a.Wait > 0 {
		t := time.NewTimer(a.Wait)
		defer t.Stop()
		select {
		case <-t.C:
			return &gate.Denied{Status: gate.StatusPending, Reason: "still waiting", ID: "apr_held", Hint: "The same statement retried finds its approval."}
		case err := <-h.answer:
			return err
		case <-ctx.Done():
		}
	}
	select {
	case err := <-h.answer:
		return err
	case <-ctx.Done():
		h.gone.Add(1)
		return ctx.Err()
	}
}

func TestHeldResumes(t *testing.T) {
	tbl := table(t)
	h := newHolding()
	dsn := start(t, &authority{decide: h.decide})
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	notices := make(chan *pgconn.Notice, 10)
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices <- n }
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	pid := c.PgConn().PID()
	for i, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec, pgx.QueryExecModeCacheStatement} {
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), fmt.Sprintf("update %s set n = %d where id = 1", tbl, 100+i), mode)
			done <- err
		}()
		act := <-h.waiting
		if got := direct(t); got != nil {
			var n int
			if err := got.QueryRow(t.Context(), "select n from "+tbl+" where id = 1").Scan(&n); err != nil || n == 100+i {
				t.Fatalf("it ran while it was held: %d %v", n, err)
			}
		}
		if !strings.HasPrefix(act.Statement, "update ") || act.State["database"] != "postgres" {
			t.Errorf("action: %q %v", act.Statement, act.State)
		}
		h.answer <- nil
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		var n int
		if err := c.QueryRow(t.Context(), "select n from "+tbl+" where id = 1").Scan(&n); err != nil || n != 100+i {
			t.Errorf("after approval: %d %v", n, err)
		}
		note := <-notices
		if !strings.Contains(note.Message, "apr_held") || !strings.Contains(note.Message, "2 of data-owners") || !strings.Contains(note.Hint, "http://localhost:8720/") {
			t.Errorf("notice: %+v", note)
		}
	}
	if c.PgConn().PID() != pid {
		t.Error("another connection")
	}
}

func TestHeldDeniedAndExpired(t *testing.T) {
	tbl := table(t)
	h := newHolding()
	c := connect(t, start(t, &authority{decide: h.decide}))
	for status, want := range map[string]string{gate.StatusDenied: "42501", gate.StatusPending: "AS001", gate.StatusExpired: "AS002", "?": "AS004"} {
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), "delete from "+tbl)
			done <- err
		}()
		<-h.waiting
		if status == "?" {
			h.answer <- errors.New("an inner detail: dsn=postgres://x")
		} else {
			h.answer <- &gate.Denied{Status: status, Reason: "no", ID: "apr_held"}
		}
		err := <-done
		if code(err) != want || strings.Contains(err.Error(), "inner detail") {
			t.Errorf("%s: %v", status, err)
		}
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal("the connection died:", err)
		}
	}
}

func TestWaitInTransactionEnds(t *testing.T) {
	tbl := table(t)
	h := newHolding()
	c := connect(t, start(t, &authority{decide: h.decide}, func(cfg *postgres.Config) { cfg.TransactionWait = 50 * time.Millisecond }))
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "update "+tbl+" set n = 1"); code(err) != "AS001" || status(c) != "E" {
		t.Errorf("%v, status %s", err, status(c))
	}
	if a := <-h.waiting; !a.Locks {
		t.Error("the card would not say that locks are held")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestClientLeavesWhileHeld(t *testing.T) {
	tbl := table(t)
	h := newHolding()
	a := &authority{decide: h.decide}
	dsn := start(t, a)
	c := connect(t, dsn)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, "update "+tbl+" set n = 5")
		done <- err
	}()
	first := <-h.waiting
	cancel() // pgx closes the connection
	<-done
	waitFor(t, func() bool { return h.gone.Load() == 1 })
	// The same statement on a new connection is the same action.
	d := connect(t, dsn)
	go func() {
		_, err := d.Exec(context.Background(), "update "+tbl+" set n = 5")
		done <- err
	}()
	second := <-h.waiting
	h.answer <- nil
	if err := <-done; err != nil {
		t.Error(err)
	}
	k1, _ := first.Match([]byte("k"))
	k2, _ := second.Match([]byte("k"))
	if k1 == "" || k1 != k2 {
		t.Errorf("the retry is another action: %+v %+v", first.State, second.State)
	}
}

// A client that leaves does not leave its statement behind.
func TestClientLeavesWhileRunning(t *testing.T) {
	d := direct(t)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		c := connect(t, start(t, &authority{}))
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = c.Exec(t.Context(), "select pg_sleep(600), 'left behind'", mode)
		}()
		running := func() bool {
			var n int
			if err := d.QueryRow(t.Context(), "select count(*) from pg_stat_activity where pid <> pg_backend_pid() and state = 'active' and query like '%left ' || 'behind%'").Scan(&n); err != nil {
				t.Error(err)
			}
			return n > 0
		}
		waitFor(t, running)
		_ = c.PgConn().Conn().Close() // without a goodbye
		waitFor(t, func() bool { return !running() })
		<-done
	}
}

func waitFor(t *testing.T, f func() bool) {
	t.Helper()
	for range 500 {
		if f() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not happen within 5 s")
}

func TestCancelWhileHeld(t *testing.T) {
	tbl := table(t)
	h := newHolding()
	c := connect(t, start(t, &authority{decide: h.decide}))
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "update "+tbl+" set n = 5")
		done <- err
	}()
	<-h.waiting
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; code(err) != "57014" {
		t.Error(err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCancelWhileRunning(t *testing.T) {
	c := connect(t, start(t, &authority{}))
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "select pg_sleep(60)")
		done <- err
	}()
	d := direct(t)
	waitFor(t, func() bool {
		var n int
		err := d.QueryRow(t.Context(), "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'").Scan(&n)
		return err == nil && n == 1
	})
	if err := c.PgConn().CancelRequest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; code(err) != "57014" {
		t.Error(err)
	}
}

func TestMasks(t *testing.T) {
	tbl := table(t)
	c := connect(t, start(t, &authority{}))
	queries := []string{
		"select * from " + tbl, "select email, secret_note from " + tbl + " order by id", "select secret_note as plain from " + tbl,
		"select x.secret_note as y, x.* from " + tbl + " x", "select upper(secret_note) from " + tbl, "select to_json(x) from " + tbl + " x",
		"select array_agg(email) from " + tbl, "table " + tbl, "update " + tbl + " set n = n returning *", "with q as (select * from " + tbl + ") select * from q",
	}
	for _, q := range queries {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement} {
			for _, format := range []int16{0, 1} {
				if mode == pgx.QueryExecModeSimpleProtocol && format == 1 {
					continue
				}
				args := []any{mode}
				if mode == pgx.QueryExecModeCacheStatement {
					args = append(args, pgx.QueryResultFormats{format})
				}
				r, err := c.Query(t.Context(), q, args...)
				if err != nil {
					t.Fatalf("%s: %v", q, err)
				}
				n := 0
				for r.Next() {
					n++
					for _, v := range r.RawValues() {
						if planted.Match(v) || bytes.Contains(v, []byte("hidden")) || bytes.Contains(v, []byte("HIDDEN")) {
							t.Errorf("%s (%v, format %d): %q reached the client", q, mode, format, v)
						}
					}
				}
				if err := r.Err(); err != nil {
					t.Errorf("%s: %v", q, err)
				}
				if n == 0 {
					t.Errorf("%s: no rows", q)
				}
			}
		}
	}
}

func TestMasksInEveryMessage(t *testing.T) {
	tbl := table(t)
	direct(t, "alter table "+tbl+" add constraint "+tbl+"_u unique (email)")
	dsn := start(t, &authority{})
	var wire bytes.Buffer
	c := connectRecording(t, dsn, &wire)
	for _, q := range []string{
		"select email::int from " + tbl + " where id = 1",                       // an error that prints the value
		"insert into " + tbl + " select 9, email from " + tbl + " where id = 1", // a unique violation with DETAIL
		"do $$ declare v text; begin select email into v from " + tbl + " where id = 1; raise notice 'found %', v; end $$",
		"do $$ declare v text; begin select email into v from " + tbl + " where id = 1; raise exception 'found %', v using detail = v, hint = v; end $$",
		"do $$ declare v text; begin select email into v from " + tbl + " where id = 1; execute format('select 1 as %I', v); end $$",
		"select set_config('application_name', email, false) from " + tbl + " where id = 1", // ParameterStatus
		"listen ch", "select pg_notify('ch', email) from " + tbl + " where id = 1", // NotificationResponse
		"select pg_notify(email, 'x') from " + tbl + " where id = 1",
		"do $$ declare v text; begin select email into v from " + tbl + " where id = 1; execute format('create temp table named(%I int)', v); end $$",
		"select * from named", "show application_name", "select current_setting('application_name')",
		"explain select * from " + tbl + " where email = (select email from " + tbl + " where id = 1)",
		"copy " + tbl + " to stdout", "copy " + tbl + " to stdout with csv header", "copy (select email from " + tbl + ") to stdout (format csv, delimiter ';')",
		"begin; declare c cursor for select * from " + tbl + "; fetch all c; commit",
		"begin; declare c binary cursor for select * from " + tbl + "; fetch all c; commit",
	} {
		_, _ = c.Exec(t.Context(), q, pgx.QueryExecModeSimpleProtocol)
		if c.IsClosed() {
			t.Fatalf("%s: the connection died", q)
		}
		if hit := planted.Find(wire.Bytes()); hit != nil {
			t.Errorf("%s: %q reached the client", q, hit)
		}
		wire.Reset()
	}
}

func TestCopy(t *testing.T) {
	tbl := table(t)
	a := &authority{}
	c := connect(t, start(t, a))
	n, err := c.CopyFrom(t.Context(), pgx.Identifier{tbl}, []string{"id", "email"}, pgx.CopyFromRows([][]any{{11, "x"}, {12, "y"}}))
	if err != nil || n != 2 {
		t.Fatalf("copy in: %d %v", n, err)
	}
	for _, options := range []string{"", " with csv header", " (format csv, delimiter '|', null 'nil')", " with (format text, delimiter ';')", " (format binary)", " with binary"} {
		var out bytes.Buffer
		if _, err := c.PgConn().CopyTo(t.Context(), &out, "copy "+tbl+" to stdout"+options); err != nil {
			t.Errorf("copy out%s: %v", options, err)
		}
		if planted.Match(out.Bytes()) || bytes.Contains(out.Bytes(), []byte("hidden")) || !bytes.Contains(out.Bytes(), []byte("[masked]")) {
			t.Errorf("copy out%s: %s", options, out.Bytes())
		}
	}
	for _, q := range []string{"copy binary " + tbl + " to stdout", "copy " + tbl + " to stdout csv quote '!'"} {
		if _, err := c.PgConn().CopyTo(t.Context(), io.Discard, q); code(err) != "0A000" {
			t.Errorf("%s: %v", q, err)
		}
	}
	if _, err := c.PgConn().CopyFrom(t.Context(), strings.NewReader("not a number\tx\n"), "copy "+tbl+" (id, email) from stdin"); code(err) == "" {
		t.Error("a failing COPY succeeded:", err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRowLimitInMidStream(t *testing.T) {
	a := &authority{limit: 1000}
	c := connect(t, start(t, a))
	direct(t, "drop table if exists many", "create table many as select g id, repeat('x', 100) pad from generate_series(1,50000) g")
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		r, err := c.Query(t.Context(), "select * from many", mode)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for r.Next() {
			n++
		}
		if err := r.Err(); code(err) != "AS003" || n > 1000 {
			t.Errorf("%d rows, %v", n, err)
		}
		var one int
		if err := c.QueryRow(t.Context(), "select 1", mode).Scan(&one); err != nil {
			t.Fatal("the session died:", err)
		}
	}
	var out bytes.Buffer
	if _, err := c.PgConn().CopyTo(t.Context(), &out, "copy many to stdout"); code(err) != "AS003" || bytes.Count(out.Bytes(), []byte("\n")) > 1000 {
		t.Errorf("copy: %v, %d lines", err, bytes.Count(out.Bytes(), []byte("\n")))
	}
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "declare cur cursor for select * from many"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		_, err = tx.Exec(t.Context(), "fetch 400 from cur")
		if want := map[int]string{2: "AS003"}[i]; code(err) != want {
			t.Errorf("fetch %d: %v", i, err)
		}
	}
	_ = tx.Rollback(t.Context())
}

func TestPsqlAndPgbench(t *testing.T) {
	tbl := table(t)
	a := &authority{decide: denyWrites}
	dsn := start(t, a)
	psql := func(script string) string {
		cmd := exec.CommandContext(t.Context(), filepath.Join(server(t).Bin, "psql"), "-XAt", dsn)
		cmd.Stdin = strings.NewReader(script)
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	out := psql("select id, email from " + tbl + " where id = 1;\nupdate " + tbl + " set n = 0;\nselect n from " + tbl + " where id = 1;\n\\copy " + tbl + " to stdout csv\n")
	if planted.MatchString(out) || !strings.Contains(out, "1|[masked]") || !strings.Contains(out, "assent: no writes") || !strings.Contains(out, "\n10\n") {
		t.Errorf("psql: %s", out)
	}
	a.mu.Lock()
	a.decide = nil
	a.mu.Unlock()
	for _, args := range [][]string{{"-i", "-s", "1", "-q"}, {"-c", "4", "-t", "20"}, {"-c", "2", "-t", "20", "-M", "prepared"}, {"-c", "2", "-t", "20", "-M", "extended"}, {"-S", "-c", "4", "-t", "50", "-M", "prepared"}} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(server(t).Bin, "pgbench"), append(args, dsn)...)
		if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("aborted")) {
			t.Errorf("pgbench %v: %v: %s", args, err, out)
		}
	}
}

func TestUpstreamDies(t *testing.T) {
	a := &authority{}
	c := connect(t, start(t, a))
	d := direct(t)
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "select pg_sleep(61)")
		done <- err
	}()
	waitFor(t, func() bool {
		_, err := d.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where query = 'select pg_sleep(61)' and state = 'active'")
		if err != nil {
			t.Fatal(err)
		}
		select {
		case err = <-done:
			if code(err) != "57P01" {
				t.Error(err)
			}
			return true
		default:
			return false
		}
	})
	if got := a.outcomes(); len(got) != 1 || got[0].State == gate.Executed {
		t.Errorf("outcomes: %+v", got)
	}
}

func TestLogin(t *testing.T) {
	dsn := start(t, &authority{})
	try := func(change func(string) string) error {
		c, err := pgx.Connect(t.Context(), change(dsn))
		if err == nil {
			_ = c.Close(context.Background())
		}
		return err
	}
	wrong := try(func(s string) string { return strings.Replace(s, agentToken, upstreamPassword, 1) })
	nobody := try(func(s string) string { return strings.Replace(s, "agent:", "postgres:", 1) })
	if code(wrong) != "28P01" || code(nobody) != "28P01" {
		t.Errorf("%v; %v", wrong, nobody)
	}
	for _, q := range []string{"&options=-c%20standard_conforming_strings%3Doff", "&replication=database", "&client_encoding=GBK", "&search_path=x", "&standard_conforming_strings=off"} {
		if err := try(func(s string) string { return s + q }); code(err) == "" {
			t.Errorf("%s: %v", q, err)
		}
	}
}

func TestViewReplacedWhileHeld(t *testing.T) {
	tbl := table(t)
	d := direct(t, "drop view if exists held_view", "create view held_view as select id from "+tbl)
	h := newHolding()
	c := connect(t, start(t, &authority{decide: h.decide}))
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "insert into "+tbl+" select id + 100 from held_view")
		done <- err
	}()
	<-h.waiting
	if _, err := d.Exec(t.Context(), "create or replace view held_view as select id + 1000 as id from "+tbl); err != nil {
		t.Fatal(err)
	}
	h.answer <- nil
	if err := <-done; code(err) != "42501" {
		t.Error(err)
	}
	// A view that does more than read is no read.
	if _, err := d.Exec(t.Context(), "create or replace view held_view as select nextval('bypass_seq')::int as id"); err == nil {
		t.Fatal("bypass_seq exists")
	}
	for _, s := range []string{"drop sequence if exists view_seq cascade", "create sequence view_seq", "create or replace view held_view as select nextval('view_seq')::int as id"} {
		if _, err := d.Exec(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	e := connect(t, start(t, &authority{decide: readsOnly}))
	if _, err := e.Exec(t.Context(), "select * from held_view"); code(err) != "42501" {
		t.Error(err)
	}
}

func TestBound(t *testing.T) {
	tbl := table(t)
	c := connect(t, start(t, &authority{bound: 2}))
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		for q, want := range map[string]string{"where id < 3": "", "": "AS003", "where id < 3; commit": "42501"} {
			if mode != pgx.QueryExecModeSimpleProtocol && strings.Contains(q, ";") {
				continue
			}
			tx, err := c.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = tx.Exec(t.Context(), "update "+tbl+" set n = 0 "+q, mode)
			if code(err) != want {
				t.Errorf("%v %q: %v", mode, q, err)
			}
			if want != "" && status(c) != "E" {
				t.Errorf("%q: status %s", q, status(c))
			}
			_ = tx.Rollback(t.Context())
		}
	}
}

// Errors are no oracle: what they quote is shown only when it is the client's own.
func TestErrorsQuoteNoValues(t *testing.T) {
	tbl := table(t)
	dsn := start(t, &authority{})
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec} {
		c := connect(t, dsn)
		for _, expr := range []string{
			"secret_note::int", "secret_note::regclass", "secret_note::regproc", "secret_note::regtype", "secret_note::regrole", "secret_note::date", "secret_note::uuid", "secret_note::json", "secret_note::inet",
			"secret_note::numeric", "secret_note::int[]", "current_setting(secret_note)", "has_database_privilege(secret_note, 'connect')", "has_table_privilege(secret_note, 'select')", "to_tsvector(secret_note::regconfig, 'x')",
			"now() at time zone secret_note", "encode('x', secret_note)", "to_date('x', secret_note)", "secret_note::jsonpath", "set_config(secret_note, 'x', false)", "('{' || secret_note)::xml", "convert_from('x', secret_note)",
		} {
			_, err := c.Exec(t.Context(), "select "+expr+" from "+tbl+" where id = 1 -- hidden", mode)
			var e *pgconn.PgError
			if errors.As(err, &e) && strings.Contains(strings.ToLower(fmt.Sprintf("%+v", *e)), "hidden") {
				t.Errorf("%s: %+v", expr, *e)
			}
			if c.IsClosed() {
				t.Fatal(expr, ": the connection died")
			}
		}
		for q, want := range map[string]string{"select nope from " + tbl: `column "nope" does not exist`, "select * from no_such_table": `relation "no_such_table" does not exist`, "selec 1": `syntax error at or near "selec"`, "insert into " + tbl + " values (1)": "duplicate key"} {
			if _, err := c.Exec(t.Context(), q, mode); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %s", q, err, want)
			}
		}
	}
}

// A cancel request that meets the gate's own look at the session, between the
// approval and the run, calls the statement off and leaves the connection usable.
func TestCancelMeetsTheGatesOwn(t *testing.T) {
	tbl := table(t)
	h := newHolding()
	a := &authority{decide: h.decide}
	c := connect(t, start(t, a))
	d := direct(t)
	var canceled int
	for i := range 200 {
		done := make(chan error, 1)
		go func() {
			_, err := c.Exec(context.Background(), fmt.Sprintf("insert into %s (id, n) values (%d, %d)", tbl, 1000+i, 1000+i))
			done <- err
		}()
		<-h.waiting
		gone := make(chan error, 1)
		go func() { gone <- c.PgConn().CancelRequest(t.Context()) }()
		time.Sleep(time.Duration(i%40) * 15 * time.Microsecond)
		select {
		case h.answer <- nil:
		case <-time.After(5 * time.Second):
		}
		err := <-done
		<-gone
		var e *pgconn.PgError
		if err != nil && (!errors.As(err, &e) || e.Code != "57014") {
			t.Fatalf("try %d: %v", i, err)
		}
		var n int
		if qerr := d.QueryRow(t.Context(), fmt.Sprintf("select count(*) from %s where n = %d", tbl, 1000+i)).Scan(&n); qerr != nil || (n == 1) != (err == nil) {
			t.Fatalf("try %d: %d rows though the client heard %v (%v)", i, n, err, qerr)
		}
		if err != nil {
			canceled++
		}
		for len(h.answer) > 0 {
			<-h.answer
		}
	}
	t.Logf("%d of 200 were canceled", canceled)
}
