package enforce

import (
	"context"
	"errors"
	"fmt"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// An Evaluation is the answer to a question over the API: nothing is held and
// nothing runs here; whoever asked must do as it says.
type Evaluation struct {
	Verdict  policy.Verdict
	Rule     string // rule that decided, "" when none matched
	Who      string // for a review: "2 of data-owners"
	Masks    map[string]string
	RowLimit action.Count
	Grant    string // after Redeem
	Input    policy.Input
	Decision policy.Decision
}

const apiGate = "api"

// Evaluate decides without holding anything, and records that it was asked.
func (e *Enforcer) Evaluate(ctx context.Context, asker identity.Asker, a *action.Action) (Evaluation, error) {
	j, err := e.judge(ctx, a, &asker, Where{Gate: apiGate})
	if err != nil {
		return Evaluation{}, fmt.Errorf("evaluating: %w", err)
	}
	if err := e.rates.add(asker.Chain[0].ID, e.o.Now()); err != nil {
		return Evaluation{}, fmt.Errorf("evaluating: %w", err)
	}
	e.consult(ctx, j)
	e.note(j, facts.Facts{Outcome: facts.Evaluated})
	e.evaluated(j)
	defer func() { j.trace.End(e.o.Now()) }()
	rec := e.request(j)
	rec.Detail["asked"] = "evaluation"
	if err := e.o.Record.Record(ctx, rec); err != nil {
		return Evaluation{}, fmt.Errorf("recording an evaluation: %w", err)
	}
	return e.evaluation(j), nil
}

// evaluation is what an asker may be told of a judgement.
func (e *Enforcer) evaluation(j *judgement) Evaluation {
	d := j.decision
	ev := Evaluation{Verdict: d.Verdict, Who: approval.Who(d.Requirements), Masks: d.Masks, RowLimit: d.RowLimit, Input: j.input, Decision: d}
	for _, h := range d.Rules {
		if ev.Rule == "" && (h.Then == d.Verdict.String()) {
			ev.Rule = h.Rule
		}
	}
	return ev
}

// ErrNotHeld says that an action can't be held, because policy doesn't ask people about it.
var ErrNotHeld = errors.New("policy does not ask people about this action")

// Request holds an action until people decide, or finds the approval that already waits for it.
func (e *Enforcer) Request(ctx context.Context, asker identity.Asker, a *action.Action) (*approval.Approval, error) {
	j, err := e.judge(ctx, a, &asker, Where{Gate: apiGate})
	if err != nil {
		return nil, fmt.Errorf("requesting approval: %w", err)
	}
	e.consult(ctx, j)
	if j.stop != nil || len(j.points) > 0 && j.decision.Verdict == policy.Deny {
		e.note(j, facts.Facts{})
		return nil, e.deny(ctx, j)
	}
	if j.decision.Verdict != policy.Review {
		return nil, ErrNotHeld
	}
	held, err := e.ask(ctx, j)
	if err != nil {
		var denied *gate.Denied
		if errors.As(e.explain(ctx, j, err), &denied) {
			return nil, errors.Join(denied, err) // the API tells the causes apart
		}
		return nil, err
	}
	return held, nil
}

// Redeem decides again and uses an approval, once. The caller tells the outcome through Finish.
func (e *Enforcer) Redeem(ctx context.Context, asker identity.Asker, a *action.Action, id string) (Evaluation, error) {
	j, err := e.judge(ctx, a, &asker, Where{Gate: apiGate})
	if err != nil {
		return Evaluation{}, fmt.Errorf("redeeming %s: %w", id, err)
	}
	p, err := e.take(ctx, j, id)
	if err != nil {
		return Evaluation{}, err
	}
	ev := e.evaluation(p.j)
	ev.Verdict, ev.Grant = policy.Allow, p.grant
	return ev, nil
}

// Plant holds a canary: an action that nobody asked for, made to look as if a had
// been asked at a gate. It can't run, whatever people say. ErrNotHeld: policy
// doesn't ask people about such an action.
func (e *Enforcer) Plant(ctx context.Context, asker identity.Asker, a *action.Action, gate, id string) error {
	j, err := e.judge(ctx, a, &asker, Where{Gate: gate})
	if err != nil {
		return fmt.Errorf("planting a canary: %w", err)
	}
	if j.stop != nil || j.decision.Verdict != policy.Review {
		return fmt.Errorf("planting a canary: %w", ErrNotHeld)
	}
	_, err = e.o.Approvals.Plant(ctx, e.question(j), id)
	return err
}
