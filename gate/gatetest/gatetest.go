// Package gatetest is the conformance suite that every gate must pass. It
// drives a gate with a real client in front of a real server, and looks at both
// sides: what the client hears, and which bytes reached the server.
//
// It promises that a gate which passes asks before anything runs, forwards the
// bytes that were asked about, and fails closed. It can't know a protocol's own
// evasions: each gate keeps a bypass and a desync corpus beside it.
package gatetest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"go.uber.org/goleak"
)

// A Harness says how to drive one protocol.
type Harness struct {
	// Upstream is the address of a real, running server.
	Upstream string
	// Gate returns the configuration of a gate that leads to upstream.
	Gate func(t *testing.T, upstream string, a gate.Authority) gate.Config
	// Serve is instead of Gate where a protocol has a runtime of its own: what
	// serves a listener in front of upstream until its context ends.
	Serve func(t *testing.T, upstream string, a gate.Authority) func(context.Context, net.Listener) error
	// Dial logs in at addr as User with Token.
	Dial func(t *testing.T, addr string) Client
	// IsWrite tells the action that Client.Write causes from others.
	IsWrite func(a *action.Action) bool
	// Sent reports whether the payload of a is among the bytes that reached the
	// server; nil: it is there in one piece.
	Sent func(a *action.Action, wire []byte) bool
}

// A Client is a real client of the protocol.
type Client interface {
	// Write changes a value and Read reads it back, as the client sees it.
	Write(value string) error
	Read() (string, error)
	// Junk sends bytes that no client of the protocol would send, and returns
	// when the connection has ended.
	Junk() error
	Close()
}

// codecOnly is the case that only the runtime of codecs has.
const codecOnly = "request without actions is refused"

// patience bounds every wait for something that must happen.
const patience = 10 * time.Second

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	if h.Sent == nil {
		h.Sent = func(a *action.Action, wire []byte) bool { return len(a.Payload) > 0 && bytes.Contains(wire, a.Payload) }
	}
	for _, c := range []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"allowed action runs", allowed},
		{"denied action does not run and the session lives", denied},
		{"no decision means no, without inner detail", undecided},
		{"held action resumes in the same connection", resumes},
		{"client that leaves while held ends the wait", leaves},
		{"values are masked", masked},
		{codecOnly, zeroValue},
		{"approved bytes are the forwarded bytes", bytesMatch},
		{"sessions do not mix", sessions},
		{"junk ends its connection only, with a record", junk},
		{"upstream that dies leaves an unknown outcome", upstreamDies},
		{"a cut session ends at once", cut},
		{"shutdown ends holds and loses nothing", shutdown},
	} {
		if h.Serve != nil && c.name == codecOnly {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) })
			c.test(t, h)
		})
	}
}

// A running gate with a wire to look at.
type running struct {
	addr string
	wire *wire
	stop func()
}

func start(t *testing.T, h Harness, a *Authority, change ...func(*gate.Config)) *running {
	t.Helper()
	w := newWire(t, h.Upstream)
	var serve func(context.Context, net.Listener) error
	if h.Serve != nil {
		serve = h.Serve(t, w.addr(), a)
	} else {
		cfg := h.Gate(t, w.addr(), a)
		for _, f := range change {
			f(&cfg)
		}
		serve = func(ctx context.Context, l net.Listener) error { return gate.Serve(ctx, l, cfg) }
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-served:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve did not end")
		}
		w.close()
		a.Check(t)
	})
	t.Cleanup(stop)
	return &running{l.Addr().String(), w, stop}
}

func seed(t *testing.T, h Harness) {
	t.Helper()
	g := start(t, h, &Authority{})
	c := h.Dial(t, g.addr)
	defer g.stop()
	defer c.Close()
	if err := c.Write("seed"); err != nil {
		t.Fatal("seeding:", err)
	}
}

func wantRead(t *testing.T, c Client, want string) {
	t.Helper()
	if got, err := c.Read(); err != nil || got != want {
		t.Errorf("Read() = %q, %v; want %q", got, err, want)
	}
}

// forWrites answers writes with err and lets everything else through.
func (h Harness) forWrites(err error) *Authority {
	return &Authority{Decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if h.IsWrite(a) {
			return err
		}
		return nil
	}}
}

func allowed(t *testing.T, h Harness) {
	a := &Authority{}
	c := h.Dial(t, start(t, h, a).addr)
	defer c.Close()
	if err := c.Write("one"); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, "one")
	writes := 0
	for _, act := range a.Actions() {
		if h.IsWrite(act) {
			writes++
		}
		if len(act.Kinds) == 0 || act.Verb == "" || len(act.Payload) == 0 {
			t.Errorf("an action without kinds, verb or payload: %+v", act)
		}
	}
	if writes != 1 || len(a.Actions()) < 2 {
		t.Errorf("asked about %d actions, %d of them writes", len(a.Actions()), writes)
	}
}

func denied(t *testing.T, h Harness) {
	seed(t, h)
	a := h.forWrites(&gate.Denied{Status: gate.StatusDenied, Reason: "not today", ID: "apr_1"})
	g := start(t, h, a)
	c := h.Dial(t, g.addr)
	defer c.Close()
	for range 3 {
		if err := c.Write("bad"); err == nil || !strings.Contains(err.Error(), "not today") {
			t.Errorf("Write: %v; want the reason", err)
		}
		wantRead(t, c, "seed")
	}
	for _, act := range a.Actions() {
		if h.IsWrite(act) && h.Sent(act, g.wire.bytes()) {
			t.Error("the bytes of a denied action reached the server")
		}
	}
}

func undecided(t *testing.T, h Harness) {
	seed(t, h)
	c := h.Dial(t, start(t, h, h.forWrites(errors.New("store is down: password=hunter2"))).addr)
	defer c.Close()
	if err := c.Write("bad"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Write: %v; want a refusal without inner detail", err)
	}
	wantRead(t, c, "seed")
}

// gatekeeper holds writes until it is answered.
type gatekeeper struct {
	asked chan *action.Action
	yes   chan struct{}
	left  chan struct{}
}

func (h Harness) hold() (*Authority, *gatekeeper) {
	k := &gatekeeper{asked: make(chan *action.Action, 8), yes: make(chan struct{}), left: make(chan struct{}, 8)}
	return &Authority{Decide: func(ctx context.Context, a *action.Action, held func(gate.Held)) error {
		if !h.IsWrite(a) {
			return nil
		}
		held(gate.Held{ID: "apr_held", URL: "http://localhost/apr_held", Who: "anybody", Expires: time.Now().Add(time.Hour)})
		k.asked <- a
		select {
		case <-k.yes:
			return nil
		case <-ctx.Done():
			k.left <- struct{}{}
			return ctx.Err()
		}
	}}, k
}

func within[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
	}
	return v
}

func resumes(t *testing.T, h Harness) {
	seed(t, h)
	a, k := h.hold()
	g := start(t, h, a)
	c := h.Dial(t, g.addr)
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- c.Write("approved") }()
	act := within(t, "asking", k.asked)
	other := h.Dial(t, g.addr)
	wantRead(t, other, "seed") // while it is held, nothing has run
	other.Close()
	if h.Sent(act, g.wire.bytes()) {
		t.Error("the bytes of a held action reached the server")
	}
	select {
	case err := <-done:
		t.Fatalf("Write returned %v before the approval", err)
	default:
	}
	close(k.yes)
	if err := within(t, "resuming", done); err != nil {
		t.Fatal(err)
	}
	wantRead(t, c, "approved")
}

func leaves(t *testing.T, h Harness) {
	seed(t, h)
	a, k := h.hold()
	g := start(t, h, a)
	c := h.Dial(t, g.addr)
	done := make(chan error, 1)
	go func() { done <- c.Write("ghost") }()
	within(t, "asking", k.asked)
	c.Close()
	within(t, "noticing that the client left", k.left)
	<-done
	d := h.Dial(t, g.addr)
	defer d.Close()
	wantRead(t, d, "seed")
}

func masked(t *testing.T, h Harness) {
	seed(t, h)
	c := h.Dial(t, start(t, h, &Authority{Mask: func(v []byte) []byte {
		return bytes.ReplaceAll(v, []byte("seed"), []byte("[masked, longer]"))
	}}).addr)
	defer c.Close()
	wantRead(t, c, "[masked, longer]")
}

// forgetful is a codec that describes every request as nothing.
type forgetful struct{ gate.Codec }

func (f forgetful) ReadRequest(c *gate.Conn) (*gate.Request, error) {
	r, err := f.Codec.ReadRequest(c)
	if r != nil {
		r.Actions, r.Harmless = nil, ""
	}
	return r, err
}

func zeroValue(t *testing.T, h Harness) {
	seed(t, h)
	a := &Authority{}
	g := start(t, h, a, func(c *gate.Config) {
		inner := c.New
		c.New = func() gate.Codec { return forgetful{inner()} }
	})
	c := h.Dial(t, g.addr)
	defer c.Close()
	if err := c.Write("bad"); err == nil {
		t.Error("a request without actions was let through")
	}
	if len(a.Refusals()) == 0 {
		t.Error("no record of the refusal")
	}
	d := h.Dial(t, start(t, h, &Authority{}).addr)
	defer d.Close()
	wantRead(t, d, "seed")
}

func bytesMatch(t *testing.T, h Harness) {
	a := &Authority{}
	g := start(t, h, a)
	c := h.Dial(t, g.addr)
	defer c.Close()
	if err := c.Write("exactly these bytes"); err != nil {
		t.Fatal(err)
	}
	for _, act := range a.Actions() {
		if !h.Sent(act, g.wire.bytes()) {
			t.Errorf("the payload of %q did not reach the server as it was approved", act.Verb)
		}
	}
}

func sessions(t *testing.T, h Harness) {
	seed(t, h)
	addr := start(t, h, &Authority{}).addr
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := h.Dial(t, addr)
			defer c.Close()
			for range 25 {
				if err := c.Write("same"); err != nil {
					t.Error(err)
					return
				}
				if got, err := c.Read(); err != nil || got != "same" {
					t.Errorf("Read() = %q, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

func junk(t *testing.T, h Harness) {
	seed(t, h)
	a := &Authority{}
	g := start(t, h, a)
	other := h.Dial(t, g.addr)
	defer other.Close()
	c := h.Dial(t, g.addr)
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- c.Junk() }()
	if err := within(t, "ending the connection", done); err != nil {
		t.Error(err)
	}
	wantRead(t, other, "seed")
	// The client may see the end before the gate has written it down.
	for until := time.Now().Add(patience); len(a.Refusals()) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("no record of the junk")
		}
	}
}

func upstreamDies(t *testing.T, h Harness) {
	seed(t, h)
	var g *running
	a := &Authority{Decide: func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		if h.IsWrite(a) {
			g.wire.sever()
		}
		return nil
	}}
	g = start(t, h, a)
	c := h.Dial(t, g.addr)
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- c.Write("lost") }()
	if err := within(t, "telling the client", done); err == nil {
		t.Error("Write succeeded without an upstream")
	}
	g.stop()
	// A runtime of its own may find out before it has sent anything.
	if got := a.Outcomes(); len(got) != 1 || got[0].State != gate.Unknown && (h.Serve == nil || got[0].State != gate.NotRun) {
		t.Errorf("outcomes: %+v; want one unknown", got)
	}
}

func cut(t *testing.T, h Harness) {
	seed(t, h)
	a, k := h.hold()
	g := start(t, h, a)
	c := h.Dial(t, g.addr)
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- c.Write("cut off") }()
	within(t, "asking", k.asked)
	a.Cut()
	if err := within(t, "ending the connection", done); err == nil {
		t.Error("Write succeeded in a session that was cut")
	}
	within(t, "ending the wait", k.left)
}

func shutdown(t *testing.T, h Harness) {
	seed(t, h)
	a, k := h.hold()
	g := start(t, h, a)
	idle := h.Dial(t, g.addr)
	defer idle.Close()
	c := h.Dial(t, g.addr)
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- c.Write("too late") }()
	within(t, "asking", k.asked)
	g.stop()
	if err := within(t, "answering", done); err == nil {
		t.Error("Write succeeded while the gate was shutting down")
	}
	d := h.Dial(t, start(t, h, &Authority{}).addr)
	defer d.Close()
	wantRead(t, d, "seed")
}
