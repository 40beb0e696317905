package remote

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/audit"
)

// linked joins a link to a host with options o, over loopback.
func linked(t *testing.T, o HostOptions, apply func(*Rules) (string, error)) (*Link, func(name string) error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	o.Log = slog.New(slog.DiscardHandler)
	o.Record = func(context.Context, ...*audit.Record) error { return nil }
	if o.Authority == nil {
		o.Authority = func(string, Announced) (gate.Authority, error) { return &gatetest.Authority{}, nil }
	}
	if o.State == nil {
		o.State = func() State {
			return State{Bundle: "b", Settings: "s", Rules: func() (*Rules, error) { return &Rules{}, nil }}
		}
	}
	h := NewHost(o)
	ctx, cancel := context.WithCancel(t.Context())
	ends := make(chan struct{})
	go func() {
		defer close(ends)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = h.Serve(ctx, "there", c) }()
		}
	}()
	l := NewLink(LinkOptions{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
		},
		Gates: []Announced{{Name: "shop"}}, Version: "test", Apply: apply, Spool: func() audit.SpoolStatus { return audit.SpoolStatus{} }, Log: o.Log,
	})
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		<-done
		<-ends
	})
	return l, func(name string) error { h.Drop(name); return nil }
}

func ready(t *testing.T, l *Link) {
	t.Helper()
	select {
	case <-l.Ready():
	case <-time.After(time.Minute):
		t.Fatal("there was never a lease:", l.Err())
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never:", what)
}

// What this machine's clock says does not count: the control plane's does.
func TestAClockThatIsOff(t *testing.T) {
	for _, off := range []time.Duration{-10 * time.Minute, 10 * time.Minute, 24 * time.Hour} {
		theirs := func() time.Time { return time.Now().Add(off) }
		l, _ := linked(t, HostOptions{Now: theirs}, func(*Rules) (string, error) { return "b", nil })
		ready(t, l)
		if err := l.Serving(); err != nil {
			t.Errorf("off by %v: %v", off, err)
		}
		if d := theirs().Sub(l.Now()); d.Abs() > 5*time.Second {
			t.Errorf("off by %v: still apart by %v", off, d)
		}
	}
}

// Nothing runs where the control plane says so, where its rules can't be put in force, or
// where it says nothing any more.
func TestNoLease(t *testing.T) {
	var stopped atomic.Pointer[string]
	var settings atomic.Value
	settings.Store("s")
	state := func() State {
		s := State{Bundle: "b", Settings: settings.Load().(string), Rules: func() (*Rules, error) { return &Rules{Files: map[string][]byte{"p": nil}}, nil }}
		if why := stopped.Load(); why != nil {
			s.Err = errors.New(*why)
		}
		return s
	}
	var broken atomic.Bool
	l, _ := linked(t, HostOptions{State: state}, func(*Rules) (string, error) {
		if broken.Load() {
			return "", errors.New("a rule that this version doesn't know")
		}
		return "b", nil
	})
	ready(t, l)
	if err := l.Serving(); err != nil || !l.local() {
		t.Fatal("with a lease:", err, l.local())
	}
	why := "the log is not witnessed"
	stopped.Store(&why)
	until(t, "it hears that the control plane has stopped", func() bool { err := l.Serving(); return err != nil && strings.Contains(err.Error(), why) })
	stopped.Store(nil)
	until(t, "it goes on", func() bool { return l.Serving() == nil })
	broken.Store(true)
	settings.Store("others")
	until(t, "rules that can't be put in force stop it", func() bool { err := l.Serving(); return err != nil && strings.Contains(err.Error(), "doesn't know") })
	broken.Store(false)
	until(t, "it goes on", func() bool { return l.Serving() == nil && l.local() })
}

// Packs that mean something else here decide nothing here.
func TestAnotherMeaning(t *testing.T) {
	l, _ := linked(t, HostOptions{}, func(*Rules) (string, error) { return "another", nil })
	ready(t, l)
	if l.local() || l.Serving() != nil {
		t.Error("reads are decided by packs that mean something else here:", l.local(), l.Serving())
	}
}

func TestRefusedLinks(t *testing.T) {
	l, _ := linked(t, HostOptions{Authority: func(string, Announced) (gate.Authority, error) { return nil, errors.New("no gate of that name") }}, nil)
	until(t, "it is refused", func() bool {
		var r *RefusedError
		return errors.As(l.Err(), &r) && strings.Contains(r.Error(), "no gate of that name")
	})
}

// A process that says something else than hello, or nothing, is not served; nor is a call that nobody knows.
func TestStrangersToTheProtocol(t *testing.T) {
	mine, theirs := net.Pipe()
	h := NewHost(HostOptions{Log: slog.New(slog.DiscardHandler), Record: func(context.Context, ...*audit.Record) error { return nil }})
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(t.Context(), "there", theirs) }()
	mux, err := yamux.Client(mine, muxing())
	if err != nil {
		t.Fatal(err)
	}
	var w welcome
	err = ask(t.Context(), mux, "enforce", nothing{}, &w)
	var answered *AnswerError
	if !errors.As(err, &answered) {
		t.Errorf("no hello: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("it was served")
	}
	_ = mux.Close()

	l, _ := linked(t, HostOptions{}, func(*Rules) (string, error) { return "b", nil })
	ready(t, l)
	for _, do := range []string{"", "hello", "approve", "records"} {
		if err := l.Call(t.Context(), do, nothing{}, &nothing{}); !errors.As(err, &answered) {
			t.Errorf("%q: %v", do, err)
		}
	}
	if err := l.Call(t.Context(), "verifier", map[string]any{"gate": "shop", "sudo": true}, &nothing{}); !errors.As(err, &answered) {
		t.Errorf("an unknown member: %v", err)
	}
	if err := l.Call(t.Context(), "seal", sealing{[]audit.Seal{{Node: "local", Segment: 1}}}, &held{}); !errors.As(err, &answered) || !strings.Contains(err.Error(), "local") {
		t.Errorf("another node's seal: %v", err)
	}
	for what, in := range map[string]summing{
		"another system": {Subject: "person:dana", Resource: "postgres://elsewhere:5432", Rows: 1}, "nobody": {Resource: "actions", Rows: 1}, "more than was brought": {Subject: "person:dana", Resource: "actions", Rows: -1},
	} {
		if err := l.Call(t.Context(), "add", in, &nothing{}); !errors.As(err, &answered) {
			t.Errorf("rows of %s: %v", what, err)
		}
	}
	if err := l.Ingest(t.Context(), audit.Seal{Node: "local", Segment: 1}, io.NewSectionReader(strings.NewReader("x"), 0, 1)); !errors.As(err, &answered) {
		t.Errorf("another node's segment: %v", err)
	}
}
