package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
)

const heldPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 1.0.0, owner: tests }
rules:
  - id: writes-wait
    match: { kind: [data.write] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: review } }
`

// line is the smallest protocol there is: a line is a write, its echo the reply.
type line struct{}

func (line) Handshake(ctx context.Context, c *gate.Conn) error {
	user, err := c.In.ReadString('\n')
	if err != nil {
		return err
	}
	v, err := c.Config().Authority.Verifier(ctx, strings.TrimSpace(user))
	if err != nil {
		return err
	}
	if err := c.Login(ctx, v, ""); err != nil {
		return err
	}
	return c.Dial(ctx, nil)
}

func (line) ReadRequest(c *gate.Conn) (*gate.Request, error) {
	b, err := c.In.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	return &gate.Request{Raw: b, Actions: []*action.Action{{
		Kinds: []action.Kind{action.DataWrite}, Verb: "write", Title: "write a line", Statement: string(b), Payload: b,
	}}}, nil
}

func (line) CopyReply(c *gate.Conn, r *gate.Request) error {
	b, err := c.Up.ReadBytes('\n')
	if err != nil {
		return err
	}
	r.Done(0, gate.Outcome{State: gate.Executed})
	_, err = c.Out.Write(b)
	return err
}

func (line) Deny(c *gate.Conn, _ *gate.Request, d *gate.Denied) error {
	_, err := c.Out.WriteString("denied " + d.Reason + "\n")
	return err
}

// TestHeld holds many actions at once (500, or ASSENT_HELD) in front of an
// upstream that echoes, approves each over the API, and sees each resume. The
// memory printed for one is what the gate, the enforcer and the engine take for
// it; the test's own client and system are there before it is counted.
func TestHeld(t *testing.T) {
	n := 500
	if s := os.Getenv("ASSENT_HELD"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	s := heldServer(t)
	var echoed atomic.Int64
	systems := make(chan net.Conn, n)
	for range n {
		systems <- echo(&echoed)
	}
	cfg := gate.Config{
		Name: "line", New: func() gate.Codec { return line{} }, Log: slog.New(slog.DiscardHandler),
		Authority: s.enforcer.Gate("line", action.Resource{URN: "line:test", Type: "line", Env: "test"}, ""),
		Dial:      func(context.Context) (net.Conn, error) { return <-systems, nil },
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients sync.WaitGroup
	var resumed, failed atomic.Int64
	gates := make([]net.Conn, n)
	for i := range n {
		var near net.Conn
		near, gates[i] = net.Pipe()
		clients.Go(func() {
			if err := ask(near, fmt.Sprintf("write %d", i)); err != nil {
				failed.Add(1)
				t.Logf("client %d: %v", i, err)
				return
			}
			resumed.Add(1)
		})
	}
	before := memory()
	for _, far := range gates {
		go gate.ServeConn(ctx, far, cfg)
	}
	for s.pending() < float64(n) && failed.Load() == 0 {
		time.Sleep(50 * time.Millisecond)
	}
	each := (memory() - before) / int64(n)
	t.Logf("%d held, %d bytes (%.1f KiB) for each", n, each, float64(each)/1024)
	if each > heldBytes {
		t.Errorf("a held action takes %d bytes, more than %d", each, heldBytes)
	}
	if got := echoed.Load(); got != 0 {
		t.Fatalf("%d writes reached the system before anybody approved", got)
	}
	approveHeld(t, s, n)
	clients.Wait()
	if resumed.Load() != int64(n) || echoed.Load() != int64(n) {
		t.Errorf("%d resumed and %d reached the system, of %d", resumed.Load(), echoed.Load(), n)
	}
}

// heldServer is a server in a directory of its own, with more configuration if there is any.
func heldServer(t *testing.T, more ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(heldPack), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
limits: { pending_per_actor: 1000000 }
`+strings.Join(more, "\n")))
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
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	return s
}

// echo is the system: it answers each line with itself.
func echo(n *atomic.Int64) net.Conn {
	near, far := net.Pipe()
	go func() {
		b := make([]byte, 64)
		for {
			k, err := far.Read(b)
			if err != nil {
				return
			}
			n.Add(1)
			if _, err := far.Write(b[:k]); err != nil {
				return
			}
		}
	}()
	return near
}

func ask(c net.Conn, text string) error {
	defer c.Close()
	if _, err := c.Write([]byte("worker\n")); err != nil {
		return err
	}
	if _, err := c.Write([]byte(text + "\n")); err != nil {
		return err
	}
	got, err := bufio.NewReaderSize(c, 64).ReadString('\n')
	if err != nil {
		return err
	}
	if got != text+"\n" {
		return errors.New(strings.TrimSpace(got))
	}
	return nil
}

// memory is what this process's heap and stacks really use.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func approveHeld(t *testing.T, s *Server, n int) {
	t.Helper()
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{identity.ScopeReview, identity.ScopeRead}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(s.URL(), token, nil)
	if err != nil {
		t.Fatal(err)
	}
	for done := 0; done < n; {
		page, err := c.Approvals(t.Context(), client.ListOptions{States: []string{"pending"}, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Approvals) == 0 {
			t.Fatalf("nothing waits any more after %d of %d", done, n)
		}
		var reviews sync.WaitGroup
		for _, a := range page.Approvals {
			reviews.Go(func() {
				if _, err := c.Review(t.Context(), a, "approve", "test"); err != nil {
					t.Errorf("approving %s: %v", a.ID, err)
				}
			})
		}
		reviews.Wait()
		done += len(page.Approvals)
	}
}
