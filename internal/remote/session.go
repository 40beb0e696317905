package remote

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/identity"
)

// Authority is that of the gate announced as a, whose reads e decides.
func (l *Link) Authority(a Announced, e *enforce.Enforcer) gate.Authority {
	return &authority{l: l, a: a, e: e}
}

type authority struct {
	l *Link
	a Announced
	e *enforce.Enforcer
}

func certificates(ctx context.Context) (out [][]byte) {
	for _, c := range identity.Certificates(ctx) {
		out = append(out, c.Raw)
	}
	return out
}

func (t *authority) Verifier(ctx context.Context, user string) (v gate.Verifier, err error) {
	err = t.l.Call(ctx, "verifier", asking{Gate: t.a.Name, User: user, Certificates: certificates(ctx)}, &v)
	return v, err
}

func (t *authority) Bearer(ctx context.Context, token string) (v gate.Verifier, err error) {
	err = t.l.Call(ctx, "bearer", asking{Gate: t.a.Name, Token: token, Certificates: certificates(ctx)}, &v)
	return v, err
}

func (t *authority) Login(ctx context.Context, v gate.Verifier, from gate.Peer) (gate.Session, error) {
	s := &session{t: t, in: opening{Gate: t.a.Name, Credential: v.Credential, Certificates: certificates(ctx), Peer: from}, cut: make(chan struct{})}
	if _, err := s.attached(); err != nil {
		var denied *gate.Denied
		var answered *AnswerError
		if !errors.As(err, &denied) && !errors.As(err, &answered) {
			return nil, unreachable(err)
		}
		return nil, err
	}
	return s, nil
}

func unreachable(error) *gate.Denied {
	return &gate.Denied{Status: gate.StatusNobody, Reason: "the control plane can't be reached, so the answer is no", Hint: "try again in some seconds; the gate's own log says what is wrong"}
}

// A session is one connection of an agent. The enforcer at the control plane has one that
// belongs to it, for as long as the link lives; behind the next link it has another.
type session struct {
	t   *authority
	in  opening
	cut chan struct{}

	opening sync.Mutex // held while the control plane is asked for a session
	mu      sync.Mutex // guards what follows
	now     *attachment
	over    bool // cut is closed, or the session
}

// An attachment is a session's counterpart on one link.
type attachment struct {
	epoch  int64
	key    string
	st     net.Conn
	behind *enforce.Behind
}

// attached is the session's counterpart on the link that there is, or was last.
func (s *session) attached() (*attachment, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	epoch := s.t.l.epoch.Load()
	s.mu.Lock()
	now, over := s.now, s.over
	s.mu.Unlock()
	switch {
	case over:
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "the session was ended", Hint: "connect again"}
	case now != nil && now.epoch == epoch:
		return now, nil
	}
	at, err := s.open(epoch)
	if err != nil {
		var denied *gate.Denied
		var answered *AnswerError
		if now != nil && (errors.As(err, &denied) || errors.As(err, &answered)) {
			s.end() // whoever it was may not come back
		}
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		_ = at.st.Close()
		return nil, errors.New("the session is closed")
	}
	s.now = at
	return at, nil
}

func (s *session) open(epoch int64) (*attachment, error) {
	mux, err := s.t.l.session()
	if err != nil {
		return nil, err
	}
	in := s.in
	st, err := begin(mux, "open", in)
	if err != nil {
		return nil, err
	}
	_ = st.SetReadDeadline(time.Now().Add(firstWait))
	var out opened
	if err := answered(st, &out); err != nil {
		_ = st.Close()
		return nil, err
	}
	_ = st.SetReadDeadline(time.Time{})
	at := &attachment{epoch: epoch, key: out.Key, st: st}
	at.behind, err = s.t.e.Behind(enforce.Beside{
		Asker: &out.Asker, Gate: s.t.a.Name, Resource: s.t.a.Resource(), System: s.t.a.System, Session: out.ID, Client: in.Peer.Client,
		Eyes: &eyes{s: s, key: out.Key, seen: map[string]time.Time{}},
	})
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	go func() { // until the control plane cuts it, or the link ends
		var e event
		if receive(st, &e) == nil && e.Cut {
			s.end()
		}
	}()
	return at, nil
}

func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.over = true
		close(s.cut)
	}
}

func (s *session) last() *attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *session) Describe(a *action.Action) { s.last().behind.Describe(a) }

func (s *session) Refused(ctx context.Context, detail string) { s.last().behind.Refused(ctx, detail) }

func (s *session) Cut() <-chan struct{} { return s.cut }

func (s *session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now != nil {
		_ = s.now.st.Close()
	}
	s.over = true
}

// Flow permits a harmless read that policy allows, by the lease.
func (s *session) Flow(ctx context.Context, a *action.Action) (gate.Permit, error) {
	if !s.t.l.local() {
		return nil, nil
	}
	at := s.last()
	if at.epoch != s.t.l.epoch.Load() { // the control plane may have ended it meanwhile
		var err error
		if at, err = s.attached(); err != nil {
			return nil, denial(err)
		}
	}
	select {
	case <-s.cut:
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "the session was ended by the control plane", Hint: "connect again: the answer then says why"}
	default:
	}
	return at.behind.Flow(ctx, a)
}

// denial is err as an answer to the agent.
func denial(err error) error {
	var denied *gate.Denied
	if errors.As(err, &denied) {
		return denied
	}
	return unreachable(err)
}

// Enforce has the control plane decide what doesn't flow.
func (s *session) Enforce(ctx context.Context, a *action.Action, h gate.Hooks) (gate.Permit, error) {
	if p, err := s.Flow(ctx, a); p != nil || err != nil {
		return p, err
	}
	if err := s.t.l.Serving(); err != nil {
		return nil, unreachable(err)
	}
	at, err := s.attached()
	if err != nil {
		return nil, denial(err)
	}
	at.behind.Claim(a)
	d, err := a.Digest(action.Salt{})
	if err != nil {
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "the request has no canonical form: " + err.Error(), Hint: "send text as valid UTF-8"}
	}
	mux, err := s.t.l.session()
	if err != nil {
		return nil, unreachable(err)
	}
	st, err := begin(mux, "enforce", enforcing{Session: at.key, Action: *a, Named: a.Named, Digest: d.String(), Preview: h.Preview != nil})
	if err != nil {
		return nil, unreachable(err)
	}
	leave := context.AfterFunc(ctx, func() { // nothing else is written then: the decision is still awaited
		why := "left"
		if errors.Is(context.Cause(ctx), gate.ErrComesBack) {
			why = "back"
		}
		_ = st.SetDeadline(time.Now().Add(10 * time.Second)) // for the answer, which is final
		_ = send(st, event{Leave: why})
	})
	p, err := s.decided(ctx, at, a, h, st)
	if !leave() && p == nil && err != nil && ctx.Err() != nil {
		var denied *gate.Denied
		if !errors.As(err, &denied) || denied.Status == gate.StatusNobody {
			err = ctx.Err()
		}
	}
	if err != nil {
		_ = st.Close()
		return nil, err
	}
	return p, nil
}

// decided follows one decision until it is there.
func (s *session) decided(ctx context.Context, at *attachment, a *action.Action, h gate.Hooks, st net.Conn) (gate.Permit, error) {
	for {
		var e event
		if err := receive(st, &e); err != nil {
			return nil, unreachable(err)
		}
		switch {
		case e.Held != nil:
			if h.Held != nil {
				h.Held(*e.Held)
			}
		case e.Look:
			p := action.Preview{Why: "the gate can't look"}
			if h.Preview != nil {
				p = h.Preview(ctx)
			}
			if err := send(st, event{Preview: &p}); err != nil {
				return nil, unreachable(err)
			}
		case e.Denied != nil:
			return nil, e.Denied
		case e.Permit != nil:
			g := *e.Permit
			p, err := at.behind.Granted(ctx, a, g, func(o gate.Outcome, masked map[string]int64) { s.told(at, st, g, o, masked) })
			if err != nil {
				s.told(at, st, g, gate.Outcome{State: gate.NotRun}, nil)
				return nil, unreachable(err)
			}
			return p, nil
		default:
			return nil, &gate.Denied{Status: gate.StatusNobody, Reason: "no decision could be reached, so the answer is no", Hint: "try again later; the control plane's own log says what is wrong"}
		}
	}
}

// told tells the control plane how an action ended. What it can't be told, this node's
// traffic says: the control plane itself has it as unknown.
func (s *session) told(at *attachment, st net.Conn, g enforce.Granted, o gate.Outcome, masked map[string]int64) {
	defer func() { _ = st.Close() }()
	_ = st.SetDeadline(time.Now().Add(10 * time.Second))
	err := send(st, event{Done: &ended{Outcome: o, Masked: masked}})
	if err == nil {
		var e event
		if err = receive(st, &e); err == nil && e.Recorded {
			return
		}
	}
	at.behind.Late(g, o, "the control plane could not be told")
}

// Foresee tells what a decision would mask.
func (s *session) Foresee(ctx context.Context, a *action.Action) (map[string]string, error) {
	at, err := s.attached()
	if err != nil {
		return nil, err
	}
	var masks map[string]string
	err = s.t.l.Call(ctx, "foresee", enforcing{Session: at.key, Action: *a, Named: a.Named}, &masks)
	return masks, err
}

// Prompted takes in what the agent was told to do.
func (s *session) Prompted(ctx context.Context, name, text string) error {
	at, err := s.attached()
	if err != nil {
		return err
	}
	return s.t.l.Call(ctx, "prompted", telling{Session: at.key, Name: name, Text: text}, &nothing{})
}

// eyes tell the control plane what the session's actor has seen.
type eyes struct {
	s   *session
	key string

	mu   sync.Mutex
	seen map[string]time.Time // kind → when it was told; guarded by mu
}

// toldFor is how long what was told is not told again. It is short of the least time that it counts.
const toldFor = 10 * time.Second

func (y *eyes) Sees(kind string, now time.Time) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	at, is := y.seen[kind]
	return is && now.Sub(at) < toldFor
}

func (y *eyes) See(ctx context.Context, saw approval.Saw, now time.Time) error {
	if err := y.s.t.l.Call(ctx, "saw", telling{Session: y.key, Saw: &saw}, &nothing{}); err != nil {
		return err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.seen[saw.Kind] = now
	return nil
}

// Feared does nothing: what could not be noted did not pass.
func (y *eyes) Feared(approval.Saw, time.Time) {}
