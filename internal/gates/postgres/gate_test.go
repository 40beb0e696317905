package postgres_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// cluster is the one real server that all tests share; it is started by the
// first that needs it, so that a fuzzing worker starts none.
var cluster = sync.OnceValues(func() (*pgcluster.Cluster, error) {
	return pgcluster.Start(context.Background(), pgcluster.Options{Password: upstreamPassword, Settings: map[string]string{
		"fsync": "off", "max_connections": "200", "log_statement": "all",
	}})
})

var clusterUsed bool

func server(t testing.TB) *pgcluster.Cluster {
	t.Helper()
	clusterUsed = true
	c, err := cluster()
	if err != nil {
		t.Fatal("the tests need a real PostgreSQL: ", err)
	}
	return c
}

func TestMain(m *testing.M) {
	code := m.Run()
	if clusterUsed {
		if c, err := cluster(); err == nil {
			if err := c.Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

const (
	upstreamPassword = "the-real-credential-91f3"
	agentToken       = "agent-token-5b1c"
)

// Planted values: none of them may ever reach a client.
const (
	plantedEmail = "mira.planted@example.com"
	plantedCard  = "4111111111111111"
)

var planted = regexp.MustCompile(plantedEmail + `|` + plantedCard)

// authority decides by a function and remembers what it was asked.
type authority struct {
	t      testing.TB
	decide func(ctx context.Context, a *action.Action, held func(gate.Held)) error
	limit  int64 // rows; 0: none
	bound  int64 // rows a write may change; 0: none
	// classed are column names whose values are replaced as a whole.
	classed []string
	look    bool // ask for a preview of each action

	mu      sync.Mutex
	asked   []*action.Action
	looked  []action.Preview
	refused []string
	open    int
	ended   []gate.Outcome
	rows    int64
	cut     chan struct{}
}

func verifier(token string) gate.Verifier {
	salt := []byte("0123456789abcdef")
	salted, err := pbkdf2.Key(sha256.New, token, salt, 4096, 32)
	if err != nil {
		panic(err)
	}
	mac := func(what string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(what))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	return gate.Verifier{Credential: "cred_1", Salt: salt, Iterations: 4096, StoredKey: stored[:], ServerKey: mac("Server Key")}
}

var agentVerifier = verifier(agentToken)

func (a *authority) Verifier(_ context.Context, user string) (gate.Verifier, error) {
	if user != "agent" {
		return gate.Verifier{}, errors.New("no such user")
	}
	return agentVerifier, nil
}

func (*authority) Bearer(context.Context, string) (gate.Verifier, error) {
	return gate.Verifier{}, errors.New("nobody comes with a token here")
}

func (a *authority) Login(_ context.Context, v gate.Verifier, _ gate.Peer) (gate.Session, error) {
	if v.Credential != "cred_1" {
		return nil, errors.New("revoked")
	}
	return &session{a}, nil
}

func (a *authority) actions() []*action.Action {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*action.Action(nil), a.asked...)
}

func (a *authority) refusals() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.refused...)
}

func (a *authority) outcomes() []gate.Outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]gate.Outcome(nil), a.ended...)
}

type session struct{ a *authority }

func (s *session) Describe(a *action.Action) {
	a.Resource = action.Resource{URN: "postgres:test", Type: "postgres", Env: "test"}
}

func (s *session) Enforce(ctx context.Context, a *action.Action, h gate.Hooks) (gate.Permit, error) {
	kept := *a
	kept.Payload = slices.Clone(a.Payload)
	s.a.mu.Lock()
	s.a.asked = append(s.a.asked, &kept)
	s.a.mu.Unlock()
	if _, err := a.Digest(action.Salt{}); err != nil {
		return nil, err
	}
	if s.a.look {
		p := h.Preview(ctx)
		s.a.mu.Lock()
		s.a.looked = append(s.a.looked, p)
		s.a.mu.Unlock()
	}
	if s.a.decide != nil {
		if err := s.a.decide(ctx, a, h.Held); err != nil {
			return nil, err
		}
	}
	s.a.mu.Lock()
	s.a.open++
	s.a.mu.Unlock()
	return &permit{a: s.a, write: writes(a)}, nil
}

func (s *session) Refused(_ context.Context, detail string) {
	s.a.mu.Lock()
	s.a.refused = append(s.a.refused, detail)
	s.a.mu.Unlock()
}
func (s *session) Cut() <-chan struct{} { return s.a.cut }
func (s *session) Close()               {}

type permit struct {
	a     *authority
	rows  int64
	write bool
	done  bool
}

// rows masks planted values wherever they stand, and columns by the name of their source.
type rows struct {
	cols    []gate.Column
	classed []string
}

func (p *permit) Rows(cols []gate.Column) gate.Rows { return &rows{cols, p.a.classed} }
func (p *permit) Text(b []byte) []byte              { return planted.ReplaceAll(b, []byte("[masked]")) }

func (p *permit) Stream(io.Writer, bool) gate.Stream { panic("rows have no streams") }
func (p *permit) Clear(string, []byte) bool          { return false }
func (p *permit) Bare() bool                         { return false }

func (p *permit) Bound() int64 {
	if p.a.bound > 0 && p.write {
		return p.a.bound
	}
	return -1
}

func (p *permit) Count(n, _ int64) error {
	p.rows += n
	if p.a.limit > 0 && p.rows > p.a.limit {
		return &gate.Denied{Status: gate.StatusLimit, Reason: "the row limit is reached"}
	}
	return nil
}

func (p *permit) Done(o gate.Outcome) {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	if p.done {
		p.a.t.Error("Done was called twice")
	}
	p.done = true
	p.a.open--
	p.a.ended = append(p.a.ended, o)
	p.a.rows += p.rows
}

func (r *rows) Value(i int, v []byte) ([]byte, error) {
	if len(v) == 0 { // an empty value is not NULL
		return v, nil
	}
	if r.cols[i].Turned {
		return []byte("[masked]"), nil
	}
	for _, s := range r.cols[i].Sources {
		if slices.Contains(r.classed, s[strings.LastIndexByte(s, '.')+1:]) {
			return []byte("[masked]"), nil
		}
		if strings.HasSuffix(s, ".secret_note") {
			return bytes.Repeat([]byte("x"), min(len(v), 8)), nil
		}
	}
	return planted.ReplaceAll(v, []byte("[masked]")), nil
}

// start runs a gate before the test cluster and returns the agent's DSN.
func start(t *testing.T, a *authority, change ...func(*postgres.Config)) string {
	t.Helper()
	a.t, a.cut = t, make(chan struct{})
	cfg := postgres.Config{
		Name: "test", Authority: a, Classifier: classifier,
		Upstream: postgres.Upstream{
			Host: server(t).Host, Port: server(t).Port, User: "postgres", Database: "postgres", Plain: true,
			Password: func(context.Context) ([]byte, error) { return []byte(upstreamPassword), nil },
		},
		Grace: time.Second,
	}
	for _, f := range change {
		f(&cfg)
	}
	g, err := postgres.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error("serving:", err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.open != 0 {
			t.Errorf("%d permits were never completed", a.open)
		}
	})
	return fmt.Sprintf("postgres://agent:%s@%s/postgres?sslmode=disable", agentToken, l.Addr())
}

var classifier = sql.New(sql.Options{})

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// direct runs statements without the gate, as the database's own administrator.
func direct(t *testing.T, statements ...string) *pgx.Conn {
	t.Helper()
	c := connect(t, server(t).DSN("postgres", "postgres"))
	for _, s := range statements {
		if _, err := c.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return c
}

func TestBasic(t *testing.T) {
	a := &authority{}
	c := connect(t, start(t, a))
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec} {
		var n int
		var s string
		if err := c.QueryRow(t.Context(), "select $1::int + 1, $2::text", mode, 41, "héllo").Scan(&n, &s); err != nil || n != 42 || s != "héllo" {
			t.Errorf("%v: %d %q %v", mode, n, s, err)
		}
	}
}

// sensitive tells the gate which columns are classed.
func sensitive(cfg *postgres.Config) {
	cfg.Class = func(source string) string {
		switch name := source[strings.LastIndexByte(source, '.')+1:]; name {
		case "ssn", "email":
			return name
		}
		return ""
	}
}

// connectRecording connects and keeps every byte the client receives.
func connectRecording(t *testing.T, dsn string, heard *bytes.Buffer) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return &recorder{c, heard}, err
	}
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// recorder keeps what the client receives.
type recorder struct {
	net.Conn
	seen *bytes.Buffer
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.seen.Write(b[:n])
	return n, err
}
