package enforce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/trail"
)

// Eyes keep what an actor has seen of what matters. *trail.Book is one.
type Eyes interface {
	Sees(kind string, now time.Time) bool
	See(ctx context.Context, saw approval.Saw, now time.Time) error
	Feared(saw approval.Saw, now time.Time)
}

// A Granted is what an enforcer elsewhere permitted.
type Granted struct {
	Approval string // "" where policy allowed it
	Grant    string // the token
	GrantID  string
	Masks    map[string]string // class to method
	Limit    action.Count      // rows
	Act      string            // how records name it; "": they don't
}

// Granted is what p permits, for a gate in another process.
func (p *permit) Granted() Granted {
	return Granted{Approval: p.approval, Grant: p.grant, GrantID: p.grantID, Masks: maps.Clone(p.j.decision.Masks), Limit: p.j.decision.RowLimit, Act: p.j.act}
}

// Masked adds to what was masked, by class, where another process masks. It is called before Done.
func (p *permit) Masked(counts map[string]int64) {
	for class, n := range counts {
		p.text[class] += n
	}
}

// Asker is who opened the session.
func (s *session) Asker() *identity.Asker { return s.asker }

// ID is how records name the session.
func (s *session) ID() string { return s.id }

// See takes note of what the session's actor saw at a gate in another process. When it returns nil, that is durable.
func (s *session) See(ctx context.Context, saw approval.Saw) error {
	if s.seen.eyes == nil {
		return nil
	}
	now := s.e.o.Now()
	if s.seen.eyes.Sees(saw.Kind, now) {
		return nil
	}
	saw.What = cut(saw.What, 300)
	if err := s.seen.eyes.See(ctx, saw, now); err != nil {
		s.seen.eyes.Feared(saw, now)
		return err
	}
	return nil
}

// A Beside is where a session takes place whose decisions are made elsewhere.
type Beside struct {
	Asker    *identity.Asker
	Gate     string
	Resource action.Resource
	System   string
	Session  string // how records name it
	Client   string // what the client calls itself
	Eyes     Eyes
}

// A Behind is the part of a session that is decided beside the system: harmless
// reads that policy allows as it stands. All else is decided elsewhere, and masked,
// counted and bounded here as Granted says. It records no opening and no end.
type Behind struct{ s *session }

// Behind opens one. The enforcer must have ReadsOnly.
func (e *Enforcer) Behind(b Beside) (*Behind, error) {
	if !e.o.ReadsOnly || b.Asker == nil || len(b.Asker.Chain) == 0 {
		return nil, errors.New("opening a session beside a system: it needs an actor, and an enforcer that decides reads only")
	}
	s := &session{seen: e.newSeen(b.Asker), e: e, asker: b.Asker, gate: b.Gate, res: b.Resource, system: b.System, id: b.Session, cut: make(chan struct{})}
	s.claims.Session, s.claims.Parent = trail.Client(b.Client)
	s.seen.eyes = b.Eyes
	return &Behind{s}, nil
}

// Describe is that of gate.Session.
func (b *Behind) Describe(a *action.Action) { b.s.Describe(a) }

// Refused is that of gate.Session.
func (b *Behind) Refused(ctx context.Context, detail string) { b.s.Refused(ctx, detail) }

// Claim fills in what the client said of itself when it came.
func (b *Behind) Claim(a *action.Action) {
	if a.Claims.Session == "" && a.Claims.Parent == "" {
		a.Claims.Session, a.Claims.Parent = b.s.claims.Session, b.s.claims.Parent
	}
}

// Flow is that of gate.Flowing: a nil permit means that it is decided elsewhere.
func (b *Behind) Flow(ctx context.Context, a *action.Action) (gate.Permit, error) {
	if !harmless(a.Kinds) {
		return nil, nil
	}
	return b.s.Flow(ctx, a)
}

// Granted is the permit of an action that was permitted elsewhere. told is called once,
// when the gate says how it ended, with what was masked by class; it must not keep the map.
func (b *Behind) Granted(ctx context.Context, a *action.Action, g Granted, told func(gate.Outcome, map[string]int64)) (gate.Permit, error) {
	own := *a // who asked may use its memory again before the end is told
	own.Kinds = append([]action.Kind(nil), a.Kinds...)
	j := &judgement{action: &own, asker: b.s.asker, where: Where{Gate: b.s.gate, Session: b.s.id, System: b.s.system}, now: b.s.e.o.Now(), seen: b.s.seen}
	if err := b.s.e.judgeInto(ctx, j); err != nil {
		return nil, fmt.Errorf("looking into what was permitted: %w", err)
	}
	j.decision.Masks, j.decision.RowLimit, j.act = g.Masks, g.Limit, g.Act
	p := b.s.e.permit(j, g.Approval, g.Limit, g.Masks)
	p.grant, p.grantID, p.told = g.Grant, g.GrantID, told
	return p, nil
}

// tell hands the end to who decided.
func (p *permit) tell(o gate.Outcome) {
	masked := p.masked()
	for c, n := range masked {
		p.e.o.Metrics.Masked(c, n)
	}
	o.Rows = max(o.Rows, p.rows)
	p.told(o, masked)
}

// Late records how an action ended that was permitted elsewhere, where nobody there can be told.
func (b *Behind) Late(g Granted, o gate.Outcome, why string) {
	r := b.s.record(audit.TypeOutcome, map[string]string{"late": cut(why, 300), "code": o.Code, "act": g.Act})
	r.Outcome, r.Approval, r.Grant, r.Rows = string(o.State), g.Approval, g.GrantID, &o.Rows
	if _, err := b.s.e.o.Spool.Append(r); err != nil {
		b.s.e.o.Logger.Error("recording an outcome", "gate", b.s.gate, "approval", g.Approval, "err", err)
	}
}

// flowsBeside says that j may be decided beside the system: it only reads, and nobody is told of it.
func (j *judgement) flowsBeside() bool {
	return harmless(j.action.Kinds) && len(j.decision.Notify) == 0
}
