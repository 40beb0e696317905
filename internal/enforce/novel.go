package enforce

import (
	"context"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/habit"
	"github.com/assenthq/assent/internal/policy"
)

// actKey is what an act is hashed from.
type actKey struct{ system, shape, target string }

// novel says what of j's action its actor never did before.
func (e *Enforcer) novel(ctx context.Context, j *judgement) {
	if j.seen.habits == nil {
		return
	}
	a := j.action
	j.habit = j.seen.act(e.o.Habits, actKey{a.Resource.URN, a.Shape, a.Target})
	shape, target := j.seen.habits.Knows(ctx, j.habit, j.now)
	j.input.NovelShape, j.input.NovelTarget = isNew(shape), isNew(target)
}

func isNew(s habit.Seen) policy.Tri {
	return [...]policy.Tri{habit.Unknown: policy.DontKnow, habit.Before: policy.No, habit.Never: policy.Yes}[s]
}

// act is the act of a key, hashed once.
func (s *seen) act(m *habit.Memory, k actKey) habit.Act {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, is := s.acts[k]; is {
		return a
	}
	a := m.Act(k.system, k.shape, k.target)
	remember(s.acts, k, a)
	return a
}

// learn notes that the action was done, as what its actor does. What was denied, failed or
// ended nobody knows how is none of that.
func (p *permit) learn(o gate.Outcome) {
	if p.seen.habits != nil && o.State == gate.Executed {
		p.seen.habits.Did(p.j.habit, p.j.now)
	}
}
