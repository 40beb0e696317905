package gate_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assenthq/assent/gate"
)

// house lets tokens in and counts what it opened.
type house struct {
	gate.Authority
	mu     sync.Mutex
	opened int
	closed int
	live   []*room
	fail   error
}

type room struct {
	gate.Session
	h   *house
	cut chan struct{}
}

func (h *house) Bearer(_ context.Context, token string) (gate.Verifier, error) {
	if token == "" {
		return gate.Verifier{}, errors.New("nobody")
	}
	return gate.Verifier{Credential: "cred_" + token, Proved: true}, nil
}

func (h *house) Login(context.Context, gate.Verifier, gate.Peer) (gate.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return nil, h.fail
	}
	h.opened++
	r := &room{h: h, cut: make(chan struct{})}
	h.live = append(h.live, r)
	return r, nil
}

func (r *room) Cut() <-chan struct{} { return r.cut }
func (r *room) Close() {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.h.closed++
}

func (h *house) count() (opened, closed int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.opened, h.closed
}

func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{}
		p := gate.NewSessions(h, time.Minute)
		open := func(token, name string) (gate.Session, func()) {
			t.Helper()
			s, credential, release, err := p.Open(t.Context(), token, gate.Peer{Gate: "g"}, name)
			if err != nil || credential != "cred_"+token {
				t.Fatalf("%s: %q, %v", token, credential, err)
			}
			return s, release
		}
		a, releaseA := open("a", "one")
		b, releaseB := open("a", "one")
		other, releaseOther := open("a", "two")
		if a != b || a == other {
			t.Error("one name is one session, another name another")
		}
		if _, _, _, err := p.Open(t.Context(), "", gate.Peer{Gate: "g"}, "one"); err == nil {
			t.Error("nobody came in")
		}
		releaseA()
		releaseA()
		time.Sleep(2 * time.Minute)
		if opened, closed := h.count(); opened != 2 || closed != 0 {
			t.Errorf("in use: %d opened, %d closed", opened, closed)
		}
		releaseB()
		time.Sleep(30 * time.Second)
		if c, release := open("a", "one"); c != a {
			t.Error("it was thrown away too early")
		} else {
			release()
		}
		time.Sleep(2 * time.Minute)
		if _, closed := h.count(); closed != 1 {
			t.Errorf("%d closed after it lay idle", closed)
		}
		close(other.(*room).cut)
		again, releaseAgain := open("a", "two")
		if again == other {
			t.Error("a session that was cut is used again")
		}
		releaseOther()
		if _, closed := h.count(); closed != 2 {
			t.Errorf("%d closed after the one that was cut was let go", closed)
		}
		h.fail = errors.New("frozen")
		if _, _, _, err := p.Open(t.Context(), "b", gate.Peer{Gate: "g"}, ""); !errors.Is(err, h.fail) {
			t.Errorf("a login that fails: %v", err)
		}
		p.Close()
		if _, _, _, err := p.Open(t.Context(), "a", gate.Peer{Gate: "g"}, ""); !errors.Is(err, gate.ErrClosed) {
			t.Errorf("a closed pool: %v", err)
		}
		releaseAgain()
		if opened, closed := h.count(); opened != closed {
			t.Errorf("%d opened, %d closed", opened, closed)
		}
	})
}

// TestManyNames: names are the client's own words and may not make sessions without end.
func TestManyNames(t *testing.T) {
	h := &house{}
	p := gate.NewSessions(h, time.Hour)
	for i := range 1000 {
		_, _, release, err := p.Open(t.Context(), "a", gate.Peer{Gate: "g"}, string(rune('a'+i)))
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if opened, _ := h.count(); opened > 101 {
		t.Errorf("%d sessions for one credential", opened)
	}
	p.Close()
}

type onePermit struct {
	gate.Permit
	done  []gate.Outcome
	begun []string // run and name
}

func (p *onePermit) Begun(run, name string) { p.begun = append(p.begun, run, name) }

func (p *onePermit) Done(o gate.Outcome)  { p.done = append(p.done, o) }
func (p *onePermit) Text(b []byte) []byte { return append([]byte("masked "), b...) }

func TestRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := gate.NewRuns(time.Hour)
		told, late, shut := &onePermit{}, &onePermit{}, &onePermit{}
		released := 0
		id := r.Begin("cred_a", "toolu_1", told, func() { released++ })
		if r.Find("cred_a", "toolu_1") != id || r.Find("cred_b", "toolu_1") != "" || r.Find("cred_a", "") != "" {
			t.Error("a run is found by its own credential and name")
		}
		if !slices.Equal(told.begun, []string{id, "toolu_1"}) {
			t.Errorf("the permit heard of %v", told.begun)
		}
		if r.Use("cred_b", id, func(gate.Permit) { t.Error("used by another credential") }) || r.End("cred_b", id, gate.Outcome{State: gate.Failed}) {
			t.Error("another credential reached the run")
		}
		if !r.Use("cred_a", id, func(p gate.Permit) {
			if string(p.Text([]byte("x"))) != "masked x" {
				t.Error("another permit")
			}
		}) {
			t.Error("the run is not there")
		}
		time.Sleep(time.Minute)
		if !r.End("cred_a", id, gate.Outcome{State: gate.Executed}) || r.End("cred_a", id, gate.Outcome{State: gate.Failed}) || r.Use("cred_a", id, func(gate.Permit) {}) {
			t.Error("a run ends once")
		}
		if len(told.done) != 1 || told.done[0].State != gate.Executed || told.done[0].Duration != time.Minute || released != 1 {
			t.Errorf("%+v, released %d times", told.done, released)
		}
		r.Begin("cred_a", "", late, nil)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if len(late.done) != 1 || late.done[0].State != gate.Unknown {
			t.Errorf("never told: %+v", late.done)
		}
		r.Begin("cred_a", "", shut, nil)
		r.Close()
		if len(shut.done) != 1 || shut.done[0].State != gate.Unknown {
			t.Errorf("closed: %+v", shut.done)
		}
		after := &onePermit{}
		r.Begin("cred_a", "", after, nil)
		if len(after.done) != 1 || after.done[0].State != gate.NotRun {
			t.Errorf("begun after the end: %+v", after.done)
		}
	})
}
