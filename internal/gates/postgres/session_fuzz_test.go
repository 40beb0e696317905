package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/jackc/pgx/v5/pgproto3"
)

// FuzzSession plays a client and a server that both make their choices from the fuzzer's bytes
// around one session after its login: messages in any order and pipelined,
// an error at any of them, notices and notifications in between. Whatever they do,
//
//   - what the client gets is whole messages, with one ReadyForQuery for each request,
//   - nothing planted reaches it,
//   - nothing denied is bound or run,
//   - no name means another text to the gate than to the server,
//   - each permit is completed once.
func FuzzSession(f *testing.F) {
	for i := range 24 {
		var b [2][]byte
		for j := range 2 * 90 {
			b[j%2] = append(b[j%2], byte((j+7)*(i*31+j%13+1)>>uint(i%3)))
		}
		f.Add(b[0], b[1])
	}
	g, err := New(Config{
		Name: "fuzz", Authority: nobody{}, Classifier: sql.New(sql.Options{}),
		Upstream: Upstream{Host: "127.0.0.1", Port: 1, User: "x", Plain: true, Password: func(context.Context) ([]byte, error) { return nil, errors.New("none") }},
	})
	if err != nil {
		f.Fatal(err)
	}
	empty := &database{}
	empty.newest.Store(&checked{snapshot: &snapshot{}, at: time.Now().Add(1000 * time.Hour), changes: math.MaxInt64})
	g.catalog.databases.Store("db", empty)
	l, err := net.Listen("unix", filepath.Join(f.TempDir(), "s"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	f.Fuzz(func(t *testing.T, client, upstream []byte) {
		playSession(t, g, l, &choice{b: client[:min(len(client), 300)]}, &choice{b: upstream[:min(len(upstream), 300)]})
	})
}

type choice struct {
	b  []byte
	at int
}

func (c *choice) of(n int) int {
	if c.at >= len(c.b) {
		return 0
	}
	c.at++
	return int(c.b[c.at-1]) % n
}

// secret stands for what must not be seen; tokens that hold "forbidden" are denied.
const secret = "planted-4929"

// pair are the two ends of a connection that buffers, as a pipe does not.
func pair(t *testing.T, l net.Listener) (a, b net.Conn) {
	t.Helper()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

func playSession(t *testing.T, g *Gate, l net.Listener, client, upstream *choice) {
	near, far := pair(t, l)
	up, serverEnd := pair(t, l)
	s := &imitation{choice: upstream, conn: serverEnd, b: pgproto3.NewBackend(serverEnd, serverEnd), status: 'I', prepared: map[string]string{}, portals: map[string]string{}, held: map[string]bool{}}
	served := make(chan struct{})
	go func() { defer close(served); s.serve() }()
	var c *codec
	a := &counted{}
	cfg := g.Config()
	cfg.Authority = a
	cfg.New = func() gate.Codec { c = newCodec(g); return bare{c} }
	cfg.Dial = func(context.Context) (net.Conn, error) { return up, nil }
	done := make(chan struct{})
	go func() { defer close(done); gate.ServeConn(context.Background(), far, cfg) }()

	late := false
	timer := time.AfterFunc(20*time.Second, func() { late = true; _ = near.Close(); _ = up.Close() })
	defer timer.Stop()
	var heard []byte
	read := make(chan struct{})
	go func() { defer close(read); heard, _ = io.ReadAll(near) }()
	sent, requests := clientStream(client)
	_, _ = near.Write(sent)
	<-done
	<-read
	_ = near.Close()
	_ = serverEnd.Close()
	<-served
	if late {
		t.Fatalf("nothing goes on after\n%s", s.said.String())
	}
	for _, why := range a.refused {
		if strings.Contains(why, "panicked") {
			t.Errorf("%s\n%s", why, s.said.String())
		}
	}
	if bytes.Contains(heard, []byte(secret)) {
		t.Errorf("%s reached the client: %q", secret, heard)
	}
	ready, ended := wellFormed(t, heard)
	if !ended && ready != requests {
		t.Errorf("%d requests, %d times ReadyForQuery: %q %q\n%s", requests, ready, heard, a.refused, s.said.String())
	}
	if s.forbidden != "" {
		t.Errorf("the server was asked to run %q\n%s", s.forbidden, s.said.String())
	}
	if a.open != 0 || a.twice != 0 {
		t.Errorf("%d permits left open, %d completed twice", a.open, a.twice)
	}
	if ended {
		return
	}
	for name, text := range s.prepared {
		p := c.prepared[name]
		// A PREPARE among other statements is dropped once code has run: the server keeps the whole message.
		among := strings.Contains(text, "; ")
		switch {
		case p != nil && p.text != text && !(among && strings.Contains(text, p.text)) && !c.suspect:
			t.Errorf("the gate takes %q for %q; the server has %q\n%s", name, p.text, text, s.said.String())
		case p == nil && !s.blocks && !among && name != "" && !strings.HasPrefix(name, ownName):
			t.Errorf("the gate forgot %q, which the server has as %q\n%s", name, text, s.said.String())
		}
	}
	for name, text := range s.portals {
		if p := c.portals[name]; p != nil && p.run.runs == "" && strings.TrimLeft(p.run.text, "; ") != text {
			t.Errorf("the gate takes portal %q for %q; the server has %q\n%s", name, p.run.text, text, s.said.String())
		}
		if cur := c.cursors[name]; cur != nil && !strings.Contains(text, "'"+cursorTag(cur)+"'") && !s.blocks {
			t.Errorf("the gate takes cursor %q for %v; the server has %q\n%s", name, cur.inner.Columns, text, s.said.String())
		}
		if c.portals[name] != nil && c.cursors[name] != nil {
			t.Errorf("%q is a portal and a cursor\n%s", name, s.said.String())
		}
	}
	if c.status != s.status {
		t.Errorf("status %c, the server is in %c\n%s", c.status, s.status, s.said.String())
	}
}

// cursorTag is the tag of the query that a cursor reads: its column's name.
func cursorTag(cur *cursor) string {
	if len(cur.inner.Columns) == 0 {
		return ""
	}
	return cur.inner.Columns[0].Name
}

// wellFormed reads everything a client got.
func wellFormed(t *testing.T, b []byte) (ready int, ended bool) {
	r := bytes.NewReader(b)
	f := pgproto3.NewFrontend(r, io.Discard)
	for {
		m, err := f.Receive()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || r.Len() > 0 {
				t.Errorf("what the client got is no message: %v", err)
			}
			return ready, ended
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			ready++
		case *pgproto3.ErrorResponse:
			ended = ended || m.Severity == "FATAL"
		}
	}
}

// clientStream is what a client sends, with its Terminate, and how many times it may
// wait for ReadyForQuery. COPY data it sends unasked: a server that is not copying drops it.
func clientStream(c *choice) (out []byte, requests int) {
	tag := 0
	names := []string{"", "s", "p", "q"}
	name := func() string { return names[c.of(4)] }
	var statement func(depth int) string
	statement = func(depth int) string {
		tag++
		n := name()
		if n == "" {
			n = "r"
		}
		switch c.of(14) {
		case 0, 1, 2:
			return fmt.Sprintf("select 't%d' as t%d", tag, tag)
		case 3:
			return fmt.Sprintf("update forbidden set n = 't%d'", tag)
		case 4:
			return "begin"
		case 5:
			return []string{"commit", "rollback"}[c.of(2)]
		case 6:
			if depth == 0 {
				return "prepare " + n + " as " + statement(1)
			}
		case 7:
			return "execute " + n
		case 8:
			return "deallocate " + []string{n, "all"}[c.of(2)]
		case 9:
			return fmt.Sprintf("declare %s cursor for select 't%d' as t%d", n, tag, tag)
		case 10:
			return "fetch all " + n
		case 11:
			return "close " + []string{n, "all"}[c.of(2)]
		case 12:
			return []string{"set timezone = 'UTC'", "do $$ begin end $$", "set role none"}[c.of(3)]
		case 13:
			return []string{"copy t to stdout", "select x from t", ""}[c.of(3)]
		}
		return fmt.Sprintf("select 't%d' as t%d, x from t", tag, tag)
	}
	encode := func(m pgproto3.FrontendMessage) { out, _ = m.Encode(out) }
	for c.at < len(c.b) {
		if c.of(3) == 0 {
			text := statement(0)
			for range c.of(3) {
				text += "; " + statement(0)
			}
			encode(&pgproto3.Query{String: text})
			requests++
			continue
		}
		for range 1 + c.of(6) {
			n := name()
			switch c.of(9) {
			case 0, 1:
				encode(&pgproto3.Parse{Name: n, Query: statement(0)})
			case 2, 3:
				encode(&pgproto3.Bind{DestinationPortal: name(), PreparedStatement: n})
			case 4, 5:
				encode(&pgproto3.Execute{Portal: n, MaxRows: uint32(c.of(3))})
			case 6:
				encode(&pgproto3.Describe{ObjectType: "SP"[c.of(2)], Name: n})
			case 7:
				encode(&pgproto3.Close{ObjectType: "SP"[c.of(2)], Name: n})
			case 8:
				encode(&pgproto3.Flush{})
			}
		}
		encode(&pgproto3.Sync{})
		requests++
	}
	encode(&pgproto3.Terminate{})
	return out, requests
}

// bare is a codec whose login was yesterday.
type bare struct{ *codec }

func (b bare) Handshake(ctx context.Context, conn *gate.Conn) error {
	b.conn, b.ctx = conn, conn.Context()
	b.status, b.database, b.user, b.upstreamKey = idle, "db", "agent", make([]byte, 8)
	b.last = &countedPermit{} // as if something had been read before
	if err := conn.Login(ctx, gate.Verifier{}, ""); err != nil {
		return err
	}
	return conn.Dial(ctx, nil)
}

type nobody struct{ gate.Authority }

// counted permits what is not forbidden and counts what is left open.
type counted struct {
	gate.Authority
	mu          sync.Mutex
	open, twice int
	refused     []string
}

func (a *counted) Login(context.Context, gate.Verifier, gate.Peer) (gate.Session, error) {
	return &countedSession{a}, nil
}

type countedSession struct{ a *counted }

func (s *countedSession) Describe(a *action.Action) {
	a.Resource = action.Resource{URN: "postgres:fuzz", Type: "postgres", Env: "test"}
}

func (s *countedSession) Refused(_ context.Context, why string) {
	s.a.mu.Lock()
	s.a.refused = append(s.a.refused, why)
	s.a.mu.Unlock()
}
func (s *countedSession) Cut() <-chan struct{} { return nil }
func (s *countedSession) Close()               {}
func (s *countedSession) Enforce(_ context.Context, a *action.Action, _ gate.Hooks) (gate.Permit, error) {
	if _, err := a.Digest(action.Salt{}); err != nil {
		return nil, err
	}
	if strings.Contains(a.Statement, "forbidden") {
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "forbidden"}
	}
	s.a.mu.Lock()
	s.a.open++
	s.a.mu.Unlock()
	return &countedPermit{a: s.a}, nil
}

type countedPermit struct {
	a    *counted
	done bool
}

func (p *countedPermit) Rows([]gate.Column) gate.Rows          { return p }
func (p *countedPermit) Value(_ int, v []byte) ([]byte, error) { return p.Text(v), nil }
func (p *countedPermit) Text(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	return bytes.ReplaceAll(b, []byte(secret), []byte("[masked]"))
}
func (p *countedPermit) Count(int64, int64) error           { return nil }
func (p *countedPermit) Bound() int64                       { return -1 }
func (p *countedPermit) Stream(io.Writer, bool) gate.Stream { panic("rows have no streams") }
func (p *countedPermit) Clear(string, []byte) bool          { return false }
func (p *countedPermit) Bare() bool                         { return false }
func (p *countedPermit) Done(gate.Outcome) {
	if p.a == nil {
		return
	}
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	if p.done {
		p.a.twice++
	}
	p.done = true
	p.a.open--
}
