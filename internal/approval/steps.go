package approval

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// What happens to an approval while it waits for people.
const (
	Remind   = "remind"    // those who were asked are asked again
	Escalate = "escalate"  // further groups are asked besides
	FallBack = "fall back" // a second group is asked, because the first can't or didn't answer
)

// A Step is planned when the action is asked and sealed with it, so that neither
// a restart nor an edited policy loses it or lets others in: who may answer after
// it are those who were in its groups when the action was asked.
type Step struct {
	At          time.Time
	Do          string
	Requirement int      // index into the approval's requirements
	Groups      []string // that are asked from then on; none for a reminder
	Done        time.Time
}

// plan lists the steps of a, soonest first: one reminder at half time, and what
// its rules ask for. What would come after its end doesn't come.
func (a *Approval) plan() {
	half := a.Created.Add(a.Expires.Sub(a.Created) / 2).Truncate(time.Microsecond)
	steps := []Step{{At: half, Do: Remind}}
	for i, r := range a.Requirements {
		for _, after := range r.Remind {
			steps = append(steps, Step{At: a.Created.Add(after), Do: Remind, Requirement: i})
		}
		for _, x := range r.Escalate {
			steps = append(steps, Step{At: a.Created.Add(x.After), Do: Escalate, Requirement: i, Groups: x.To})
		}
		if f := r.FallBack; f != nil {
			steps = append(steps, Step{At: a.Created.Add(f.After), Do: FallBack, Requirement: i, Groups: f.To})
		}
	}
	a.Steps = slices.DeleteFunc(steps, func(s Step) bool {
		return !s.At.Before(a.Expires) && s.Do != FallBack // a fallback is taken at once where nobody else can answer
	})
	for i := range a.Steps {
		a.Steps[i].At = a.Steps[i].At.Truncate(time.Microsecond)
	}
	slices.SortStableFunc(a.Steps, func(x, y Step) int { return x.At.Compare(y.At) })
}

// besides are the groups that a requirement's steps have asked so far.
func (a *Approval) besides(requirement int) []string {
	var out []string
	for _, s := range a.Steps {
		if s.Requirement == requirement && !s.Done.IsZero() {
			out = append(out, s.Groups...)
		}
	}
	return out
}

// Asked are the groups whose people may answer now.
func (a *Approval) Asked() []string {
	var out []string
	for i := range a.Requirements {
		for _, way := range ways(&a.Requirements[i], a.besides(i)) {
			for _, place := range way {
				out = append(out, place...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Groups are those that the person with this id was in when the action was asked
// and that are asked now; none: they may not answer.
func (a *Approval) Groups(person string) []string {
	asked := a.Asked()
	return slices.DeleteFunc(slices.Clone(a.Eligible[person]), func(g string) bool { return !slices.Contains(asked, g) })
}

// Asks says in words whom a asks now: "2 of data-owners or managers".
func (a *Approval) Asks() string {
	return who(a.Requirements, a.besides)
}

// step takes the steps that are due: those who wait are reminded, further groups are asked.
func (e *Engine) step(ctx context.Context, tx Tx, a *Approval) ([]Event, error) {
	now := e.now()
	var records []*audit.Record
	var events []Event
	for i := range a.Steps {
		s := &a.Steps[i]
		if !s.Done.IsZero() || now.Before(s.At) {
			continue
		}
		s.Done = now
		records = append(records, stepRecord(a, s))
		ev := a.event()
		ev.What = s.Do
		events = append(events, ev)
	}
	if len(records) == 0 {
		return nil, nil
	}
	if err := e.save(ctx, tx, a, Pending); err != nil {
		return nil, err
	}
	return events, e.o.Log.Append(ctx, tx, records...)
}

func stepRecord(a *Approval, s *Step) *audit.Record {
	r := record(audit.TypeStep, a)
	r.Decision = s.Do
	r.Detail = map[string]string{"asks": a.Asks()}
	if len(s.Groups) > 0 {
		r.Detail["groups"] = strings.Join(s.Groups, " ")
		r.Detail["rule"] = a.Requirements[s.Requirement].Rule
	}
	return r
}

// tick does what is due of a: it expires, or takes its next step.
func (e *Engine) tick(ctx context.Context, tx Tx, a *Approval) ([]Event, error) {
	switch {
	case a.ends().IsZero():
		return nil, nil
	case !e.now().Before(a.ends()):
		return e.expire(ctx, tx, a)
	case a.State == Pending:
		return e.step(ctx, tx, a)
	}
	return nil, nil
}
