package gatetest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
)

// The one credential that an Authority knows.
const (
	User  = "agent"
	Token = "conformance-token-7f21"
)

// An Authority decides by a function and remembers what it was asked. The zero
// value permits everything.
type Authority struct {
	Decide func(ctx context.Context, a *action.Action, held func(gate.Held)) error
	Mask   func(v []byte) []byte // of values and free text; nil: as they are
	// Flows says what may flow as it stands (gate.Flowing); nil: nothing may.
	Flows func(*action.Action) bool
	// Look asks for a preview of each action before it is decided.
	Look bool
	// Bound is how many rows an action may change; nil, or below zero: as many as it does.
	Bound func(*action.Action) int64

	mu       sync.Mutex
	asked    []*action.Action
	refused  []string
	outcomes []gate.Outcome
	looked   []action.Preview
	open     int
	twice    int
	sessions int
	cut      chan struct{}
}

// Verifier knows User only.
func (a *Authority) Verifier(_ context.Context, user string) (gate.Verifier, error) {
	if user != User {
		return gate.Verifier{}, errors.New("no such user")
	}
	salt := []byte("gatetest's salt.")
	salted, err := pbkdf2.Key(sha256.New, Token, salt, 4096, sha256.Size)
	if err != nil {
		return gate.Verifier{}, err
	}
	key := func(what string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(what))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(key("Client Key"))
	return gate.Verifier{Credential: "cred_gatetest", Salt: salt, Iterations: 4096, StoredKey: stored[:], ServerKey: key("Server Key")}, nil
}

// Bearer knows Token only.
func (a *Authority) Bearer(_ context.Context, token string) (gate.Verifier, error) {
	if token != Token {
		return gate.Verifier{}, errors.New("no such token")
	}
	return gate.Verifier{Credential: "cred_gatetest", Proved: true}, nil
}

// Login opens a session.
func (a *Authority) Login(_ context.Context, v gate.Verifier, _ gate.Peer) (gate.Session, error) {
	if v.Credential != "cred_gatetest" {
		return nil, errors.New("no such credential")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sessions++
	return &session{a}, nil
}

// Actions are what was asked so far.
func (a *Authority) Actions() []*action.Action {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*action.Action(nil), a.asked...)
}

// Refusals are what codecs refused by themselves.
func (a *Authority) Refusals() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.refused...)
}

// Outcomes are how permits were completed, in order.
func (a *Authority) Outcomes() []gate.Outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]gate.Outcome(nil), a.outcomes...)
}

// Previews are what looks found, in order.
func (a *Authority) Previews() []action.Preview {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]action.Preview(nil), a.looked...)
}

// Cut ends every session.
func (a *Authority) Cut() { close(a.cuts()) }

func (a *Authority) cuts() chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cut == nil {
		a.cut = make(chan struct{})
	}
	return a.cut
}

// Check reports what must never be, once every connection has ended.
func (a *Authority) Check(t *testing.T) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open != 0 {
		t.Errorf("%d permits were never completed", a.open)
	}
	if a.twice != 0 {
		t.Errorf("%d permits were completed twice", a.twice)
	}
	if a.sessions != 0 {
		t.Errorf("%d sessions were never closed", a.sessions)
	}
}

type session struct{ a *Authority }

func (s *session) Describe(a *action.Action) {
	a.Resource = action.Resource{URN: "gatetest:upstream", Type: "gatetest", Env: "test"}
	a.Subject, a.Actors = "person:alice", []action.Link{{ID: "agent:" + User, Type: "agent"}}
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
	if s.a.Look {
		p := action.Preview{Why: "the codec has none"}
		if h.Preview != nil {
			p = h.Preview(ctx)
		}
		s.a.mu.Lock()
		s.a.looked = append(s.a.looked, p)
		s.a.mu.Unlock()
	}
	if s.a.Decide != nil {
		held := h.Held
		if held == nil { // any hook may be
			held = func(gate.Held) {}
		}
		if err := s.a.Decide(ctx, a, held); err != nil {
			return nil, err
		}
	}
	s.a.mu.Lock()
	s.a.open++
	s.a.mu.Unlock()
	bound := int64(-1)
	if s.a.Bound != nil {
		bound = s.a.Bound(a)
	}
	return &permit{a: s.a, bound: bound}, nil
}

// Flow permits what Flows says, and nothing without it.
func (s *session) Flow(ctx context.Context, a *action.Action) (gate.Permit, error) {
	if s.a.Flows == nil || !s.a.Flows(a) {
		return nil, nil
	}
	return s.Enforce(ctx, a, gate.Hooks{})
}

func (s *session) Refused(_ context.Context, detail string) {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.refused = append(s.a.refused, detail)
}

func (s *session) Cut() <-chan struct{} { return s.a.cuts() }

func (s *session) Close() {
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.sessions--
}

type permit struct {
	a     *Authority
	bound int64
	done  bool
}

func (p *permit) Rows([]gate.Column) gate.Rows          { return p }
func (p *permit) Value(_ int, v []byte) ([]byte, error) { return p.Text(v), nil }
func (p *permit) Count(int64, int64) error              { return nil }
func (p *permit) Bound() int64                          { return p.bound }
func (p *permit) Clear(string, []byte) bool             { return p.a.Mask == nil }
func (p *permit) Bare() bool                            { return p.a.Mask == nil }
func (p *permit) Text(b []byte) []byte {
	if p.a.Mask == nil || b == nil {
		return b
	}
	return p.a.Mask(bytes.Clone(b))
}

// Stream masks all that came since the last Flush as one text.
func (p *permit) Stream(to io.Writer, fill bool) gate.Stream {
	return &stream{permit: p, to: to, fill: fill}
}

type stream struct {
	permit *permit
	to     io.Writer
	fill   bool
	kept   []byte
}

func (s *stream) Write(b []byte) (int, error) {
	if s.permit.a.Mask == nil {
		return s.to.Write(b)
	}
	s.kept = append(s.kept, b...)
	return len(b), nil
}

func (s *stream) Flush() error {
	if len(s.kept) == 0 {
		return nil
	}
	out := s.permit.Text(s.kept)
	if s.fill {
		out = filled(s.kept, out)
	}
	s.kept = nil
	_, err := s.to.Write(out)
	return err
}

func (s *stream) Close() error { return s.Flush() }

// filled is before with a '*' for each byte between what it has in common with after at its ends.
func filled(before, after []byte) []byte {
	out, from, back := bytes.Clone(before), 0, 0
	if bytes.Equal(before, after) {
		return out
	}
	shorter := min(len(before), len(after))
	for from < shorter && before[from] == after[from] {
		from++
	}
	for back < shorter-from && before[len(before)-1-back] == after[len(after)-1-back] {
		back++
	}
	for i := from; i < len(out)-back; i++ {
		out[i] = '*'
	}
	return out
}

func (p *permit) Done(o gate.Outcome) {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	if p.done {
		p.a.twice++
		return
	}
	p.done = true
	p.a.open--
	p.a.outcomes = append(p.a.outcomes, o)
}
