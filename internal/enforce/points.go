package enforce

import (
	"context"
	"slices"
	"sync"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/decisionpoint"
	"github.com/assenthq/assent/internal/mask"
	"github.com/assenthq/assent/internal/policy"
)

// settle finds what j's action would do where that matters, and asks the decision points
// about it: what they say tightens what policy said.
func (e *Enforcer) settle(ctx context.Context, j *judgement, look func(context.Context) action.Preview) {
	e.preview(ctx, j, look)
	e.consult(ctx, j)
	if len(j.points) > 0 && j.preview == nil && j.decision.Verdict == policy.Review { // people are asked after all
		e.preview(ctx, j, look)
		if j.preview != nil && !j.preview.Claimed { // policy decided again
			j.tighten()
		}
	}
}

// outside says that a decision point is asked about a.
func (e *Enforcer) outside(a *action.Action) bool {
	return slices.ContainsFunc(e.o.Points, func(p *decisionpoint.Point) bool { return p.For(a) })
}

// consult asks the decision points about what policy allows or holds, all at once.
func (e *Enforcer) consult(ctx context.Context, j *judgement) {
	j.points = nil
	if j.stop != nil || j.decision.Verdict == policy.Deny || !e.outside(j.action) {
		return
	}
	q := &decisionpoint.Question{ID: j.named(), Gate: j.where.Gate, Input: &j.input, Verdict: j.decision.Verdict, Target: j.target, Statement: j.statement}
	q.Reason, _, _ = mask.MaskStatement(j.action.Claims.Reason, e.o.Detect)
	var asked []*decisionpoint.Point
	for _, p := range e.o.Points {
		if p.For(j.action) {
			asked = append(asked, p)
		}
	}
	j.points = make([]decisionpoint.Answer, len(asked))
	var all sync.WaitGroup
	for i, p := range asked[1:] {
		all.Go(func() { j.points[i+1] = p.Ask(ctx, q) })
	}
	j.points[0] = asked[0].Ask(ctx, q)
	all.Wait()
	for i := range j.points {
		a := &j.points[i]
		e.o.Metrics.Consulted(a.Point, a.Kind(), a.Took)
		if a.Err != nil {
			e.o.Logger.WarnContext(ctx, "a decision point gave no answer, so the answer is no", "point", a.Point, "gate", j.where.Gate, "took", a.Took, "err", a.Err)
		}
	}
	j.tighten()
}

// tighten adds what the decision points said to what policy said.
func (j *judgement) tighten() {
	for i := range j.points {
		a := &j.points[i]
		reason := a.Reason
		if a.Err != nil {
			reason = "no answer: " + cut(a.Err.Error(), 300)
		}
		j.decision.Outside(a.Point, a.Verdict, a.From, a.Count, reason)
	}
}

// unanswered is the refusal of an action about which a decision point said nothing; nil
// where another reason denies it too.
func (j *judgement) unanswered() *gate.Denied {
	name := ""
	for i := range j.points {
		switch a := &j.points[i]; {
		case a.Err != nil:
			name = a.Point
		case a.Verdict == policy.Deny:
			return nil
		}
	}
	if name == "" {
		return nil
	}
	return &gate.Denied{Status: gate.StatusNobody, Reason: "decision point " + name + " gave no answer, so the answer is no", Hint: "try again later; the server's own log says what is wrong"}
}

// pointsSay adds to a record what each decision point said, and how long it took.
func (j *judgement) pointsSay(d details) details {
	for i := range j.points {
		a := &j.points[i]
		says := a.Kind()
		switch {
		case a.Err != nil:
			says += ": " + cut(a.Err.Error(), 300)
		case a.Reason != "":
			says += ": " + a.Reason
		}
		d = d.with("point."+a.Point, took(a.Took)+", "+says)
	}
	return d
}
