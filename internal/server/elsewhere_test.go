package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/enrol"
)

// elsewhere, among a target's further configuration, has its gate run in a process of its own.
const elsewhere = "# the gate runs elsewhere"

// An elsewhereGate is a gate process of a test, whose link a test can cut.
type elsewhereGate struct {
	*GateProcess
	t       *testing.T
	dir     string
	text    string
	control string
	holder  *enrol.Holder

	mu    sync.Mutex
	apart bool       // nothing gets through
	conns []net.Conn // of links; owned by mu
	stop  context.CancelFunc
	ended chan error
}

// newElsewhere enrols a process at s, whose configuration is text.
func newElsewhere(t *testing.T, s *Server, dir, text string) *elsewhereGate {
	t.Helper()
	g := &elsewhereGate{t: t, dir: dir, text: text, control: s.RemoteAddr()}
	g.holder = enrolled(t, s, "there", t.TempDir())
	t.Cleanup(func() {
		if g.stop != nil {
			g.end()
		}
	})
	return g
}

// start runs the process until its gates are open.
func (g *elsewhereGate) start() {
	g.t.Helper()
	g.begin()
	<-g.Open()
}

func (g *elsewhereGate) begin() {
	g.t.Helper()
	cfg, err := ParseConfig(filepath.Join(g.dir, "gate.yaml"), []byte(g.text))
	if err != nil {
		g.t.Fatal(err)
	}
	if g.GateProcess, err = NewGateProcess(cfg, "there", g.dial, slog.New(slog.DiscardHandler)); err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g.stop, g.ended = cancel, make(chan error, 1)
	go func() { g.ended <- g.Run(ctx) }()
}

func (g *elsewhereGate) end() {
	g.t.Helper()
	g.stop()
	if err := <-g.ended; err != nil {
		g.t.Error("the gate process ended:", err)
	}
	g.stop = nil
}

// dial is the process's own way to the control plane, but for what a test cuts.
func (g *elsewhereGate) dial(ctx context.Context) (net.Conn, error) {
	g.mu.Lock()
	apart := g.apart
	g.mu.Unlock()
	if apart {
		return nil, errors.New("no route to host")
	}
	c, err := g.holder.Dial(ctx, g.control, enrol.Gate)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns = append(g.conns, c)
	return c, nil
}

// part cuts the link, and keeps new ones from coming up until it is called with false.
func (g *elsewhereGate) part(apart bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.apart = apart
	for _, c := range g.conns {
		_ = c.Close()
	}
	g.conns = nil
}

// enrolled uses a token of s.
func enrolled(t *testing.T, s *Server, name, dir string) *enrol.Holder {
	t.Helper()
	mira, _ := s.dir.Person("person:mira")
	text, _, err := s.Invite(t.Context(), mira, "gate", name, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	token, err := enrol.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	h, err := enrol.OpenHolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Enrol(t.Context(), s.RemoteAddr(), enrol.Gate, token); err != nil {
		t.Fatal(err)
	}
	return h
}

// inTime waits for what takes as long as a lease, on any machine.
func inTime(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}
