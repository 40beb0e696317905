package sql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// PostgreSQL's own regression SQL, run by psql through a proxy that classifies
// each text, runs it on a real server and watches what it does:
//
//	ASSENT_REGRESS=…/src/test/regress go test ./internal/classify/sql -run Regression -v -timeout 30m
//
// The folder is the server's source's, or one that holds .sql files only. None
// of it is kept here. What must hold: the builds agree about every text; a text
// that the server takes has as many statements for us as for the server, or is
// unknown; nothing that was seen to write is called read only.
func TestRegressionSQL(t *testing.T) {
	dir := os.Getenv("ASSENT_REGRESS")
	if dir == "" {
		t.Skip("ASSENT_REGRESS names no folder of SQL files")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := regressFiles(t, dir)
	o := startOracle(t)
	admin := o.connect(t, o.User, "postgres")
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE regression TEMPLATE template0").ReadAll(); err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, o: o, w: newWitness(t, o, "regression"), c: New(Options{CacheEntries: -1}), tw: newTwin(), tally: newTally()}
	port := p.listen()
	began := time.Now()
	for _, f := range files {
		p.file = filepath.Base(f)
		if err := psql(o, port, dir, f); err != nil {
			t.Logf("%s: %v", p.file, err)
		}
	}
	p.tally.report(t, time.Since(began), len(files))
}

// regressFiles lists the files in the order of the schedule, else by name with
// the one that makes the tables first.
func regressFiles(t *testing.T, dir string) []string {
	t.Helper()
	sub := dir
	if _, err := os.Stat(filepath.Join(dir, "sql")); err == nil {
		sub = filepath.Join(dir, "sql")
	}
	var out []string
	add := func(f string) {
		if _, err := os.Stat(f); err == nil && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	schedule, _ := os.ReadFile(filepath.Join(dir, "parallel_schedule")) // need not be there
	add(filepath.Join(sub, "test_setup.sql"))
	for _, l := range strings.Split(string(schedule), "\n") {
		if tests, ok := strings.CutPrefix(l, "test:"); ok {
			for _, name := range strings.Fields(tests) {
				add(filepath.Join(sub, name+".sql"))
			}
		}
	}
	all, _ := filepath.Glob(filepath.Join(sub, "*.sql"))
	sort.Strings(all)
	for _, f := range all {
		add(f)
	}
	if only := os.Getenv("ASSENT_REGRESS_ONLY"); only != "" {
		out = slices.DeleteFunc(out, func(f string) bool {
			return !slices.Contains(append(strings.Fields(only), "test_setup"), strings.TrimSuffix(filepath.Base(f), ".sql"))
		})
	}
	if len(out) == 0 {
		t.Fatalf("%s holds no .sql files", dir)
	}
	return out
}

// psql runs one file as pg_regress would.
func psql(o *oracle, port int, dir, file string) error {
	ctx, stop := context.WithTimeout(context.Background(), 4*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, filepath.Join(o.Bin, "psql"), "-X", "-q", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on", "-f", file)
	build, err := os.MkdirTemp("", "assent-regress-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(build)
	for _, d := range []string{build, filepath.Join(build, "results"), filepath.Join(build, "testtablespace")} {
		if err := errors.Join(os.MkdirAll(d, 0o777), os.Chmod(d, 0o777)); err != nil { // the server writes there
			return err
		}
	}
	cmd.Env = []string{
		"PGHOST=127.0.0.1", "PGPORT=" + strconv.Itoa(port), "PGUSER=" + o.User, "PGDATABASE=regression", "PGSSLMODE=disable",
		"PGGSSENCMODE=disable", "PG_ABS_SRCDIR=" + dir, "PG_LIBDIR=" + dir, "PG_DLSUFFIX=.so", "PG_ABS_BUILDDIR=" + build, "HOME=" + build,
		"PGOPTIONS=-c statement_timeout=60s -c intervalstyle=postgres_verbose", "PATH=" + os.Getenv("PATH"), "LC_ALL=C",
	}
	cmd.Dir = build
	cmd.Stdout = io.Discard
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, lastLine(stderr.String()))
	}
	return nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// proxy stands between psql and the server.
type proxy struct {
	t     *testing.T
	o     *oracle
	w     *witness
	c     *Classifier
	tw    *twin
	tally *tally
	file  string       // that psql reads now
	live  atomic.Int32 // sessions; psql has one at a time, and for a moment two
}

func (p *proxy) listen() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// serve answers one connection of psql.
func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	be := pgproto3.NewBackend(conn, conn)
	m, err := be.ReceiveStartupMessage()
	if err != nil {
		return
	}
	start, ok := m.(*pgproto3.StartupMessage)
	if !ok {
		return
	}
	cfg, err := pgconn.ParseConfig("host=127.0.0.1 sslmode=disable port=" + strconv.Itoa(p.o.Port))
	if err != nil {
		p.t.Error(err)
		return
	}
	cfg.Database, cfg.User = start.Parameters["database"], start.Parameters["user"]
	delete(start.Parameters, "database")
	delete(start.Parameters, "user")
	cfg.RuntimeParams = start.Parameters
	up, err := pgconn.ConnectConfig(context.Background(), cfg)
	if err != nil {
		refuse(be, err)
		return
	}
	p.live.Add(1)
	defer p.live.Add(-1)
	s := newSubject(p.t, up, p.w, p.c, p.tw)
	defer s.close()
	s.client = be
	be.Send(&pgproto3.AuthenticationOk{})
	for k, v := range s.up.ParameterStatuses {
		be.Send(&pgproto3.ParameterStatus{Name: k, Value: v})
	}
	be.Send(&pgproto3.BackendKeyData{ProcessID: s.up.PID, SecretKey: s.up.SecretKey})
	be.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for be.Flush() == nil {
		if m, err := be.Receive(); err != nil || !p.message(s, m) {
			return
		}
	}
}

// alone waits until the session before this one has ended.
func (p *proxy) alone(s *subject) {
	for waited := false; p.live.Load() > 1; waited = true {
		time.Sleep(time.Millisecond)
		if waited {
			s.look()
		}
	}
}

// byViews reports whether a view that the text names is not read only by its
// own definition, which the text alone doesn't tell.
func (p *proxy) byViews(s *subject, o *observation) bool {
	var objects []string
	for i := range o.result.Statements {
		objects = append(objects, o.result.Statements[i].Objects...)
	}
	definitions, err := p.w.views(objects, s.mood.searchPath)
	if err != nil {
		p.t.Error(err)
	}
	return slices.ContainsFunc(definitions, func(d string) bool {
		return !p.c.Classify(d, State{ServerVersion: oracleVersion}).Statements[0].ReadOnly()
	})
}

func refuse(be *pgproto3.Backend, err error) {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		be.Send(&pgproto3.ErrorResponse{Severity: e.Severity, Code: e.Code, Message: e.Message})
		_ = be.Flush()
	}
}

// message handles one message of psql; false ends the connection.
func (p *proxy) message(s *subject, m pgproto3.FrontendMessage) bool {
	switch m := m.(type) {
	case *pgproto3.Query:
		p.alone(s)
		o := s.run(m.String)
		o.views = o.readOnly() && len(o.moved) > 0 && p.byViews(s, o)
		p.tally.add(p.file, o)
	case *pgproto3.Terminate:
		return false
	case *pgproto3.Sync, *pgproto3.FunctionCall:
		s.send(m)
		s.relay(&observation{})
		seen, err := p.w.look(s.up.PID)
		if err != nil {
			p.t.Error(err)
			return false
		}
		s.seen = seen
	default: // parts of the extended protocol, which psql needs to describe a query
		s.up.Frontend.Send(m)
	}
	return true
}
