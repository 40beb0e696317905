package enforce

import (
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// Freezes says what stops an asker at a place; nil: nothing does.
type Freezes interface {
	Frozen(asker *identity.Asker, resource, gate string) *freeze.Stop
}

func (e *Enforcer) frozen(asker *identity.Asker, resource, gate string) *freeze.Stop {
	if e.o.Freezes == nil {
		return nil
	}
	return e.o.Freezes.Frozen(asker, resource, gate)
}

// stopped is the decision about whatever a frozen one asks: it stands above every
// rule, and nobody can approve it.
func stopped(d policy.Decision) policy.Decision {
	return policy.Decision{
		Verdict: policy.Deny, Bundle: d.Bundle, Masks: d.Masks,
		Rules: []policy.Hit{{Rule: "frozen", Pack: "assent", Then: policy.Deny.String()}},
	}
}

func frozenAnswer(s *freeze.Stop) *gate.Denied {
	reason, hint := s.Says()
	return &gate.Denied{Status: gate.StatusDenied, Reason: reason, Hint: hint}
}

// CutFrozen ends every open session that something stops by now, and returns how
// many there were.
func (e *Enforcer) CutFrozen() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for s := range e.sessions {
		if e.frozen(s.asker, s.res.URN, s.gate) != nil {
			s.cutNow()
			n++
		}
	}
	return n
}
