package enforce

import (
	"context"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/policy"
)

// previewTime bounds one preview, whatever the gate's own bounds are.
const previewTime = 5 * time.Second

// preview finds out what j's action would do where that matters, and decides
// again with it: when people are asked, when a rule that reads it may have said no
// for want of it, and when a write is permitted up to a number of rows, which a
// gate holds only where it could count them. What stays unknown restricts as before, and so does a
// number of rows that nobody can hold the action to.
func (e *Enforcer) preview(ctx context.Context, j *judgement, look func(context.Context) action.Preview) {
	j.look = look
	set := e.o.Policy.Current()
	if look == nil || j.stop != nil || j.decision.Verdict == policy.Allow && !j.unheld() || j.decision.Verdict == policy.Deny && !set.ReadsPreview() {
		return
	}
	limited := j.decision.Verdict == policy.Allow
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	p := look(ctx)
	j.preview = &p
	if p.Claimed {
		return // what is unknown restricts already, and a claim permits nothing
	}
	j.input.Preview = policy.Preview{Rows: p.Bound(), Objects: p.Objects, Creates: p.Creates, Changes: p.Changes, Destroys: p.Destroys, SmallestGroup: p.SmallestGroup}
	j.input.Weigh()
	j.decision = set.Explain(&j.input)
	// What a rule permitted because of a count is permitted up to that count; what it
	// permitted up to a number of its own, up to that number.
	if limit := j.decision.RowLimit; j.decision.Verdict == policy.Allow && p.Bound().Known && (!limit.Known || !limited && p.Rows.N < limit.N) {
		j.decision.RowLimit = p.Bound()
	}
}

// unheld says that what was decided permits a number of rows that nothing holds it to so far.
func (j *judgement) unheld() bool { return j.decision.RowLimit.Known && !boundable(j.action) }

// pastLimit says why a permission up to a number of rows does not reach j, and
// what to do about it; "" when it does. A bound that nobody can hold is none.
func (j *judgement) pastLimit() (why, hint string) {
	if !j.unheld() {
		return "", ""
	}
	switch n := j.preview.Bound(); {
	case !n.Known:
		return "permitted up to a number of rows, which can't be told before it runs", "ask a policy owner for a rule that has people review it"
	case n.N > j.decision.RowLimit.N:
		return "permitted up to a number of rows, and it would change more", "change fewer rows at a time, or ask a policy owner for a rule that has people review it"
	}
	return "", ""
}

// grown errs when j would do more than the reviewers of a were shown.
func (j *judgement) grown(a *approval.Approval) error {
	if a.Preview == nil {
		return nil
	}
	now := j.preview
	if now == nil {
		now = &action.Preview{}
	}
	if what := now.Exceeds(a.Preview); what != "" {
		return &ChangedError{what}
	}
	return nil
}
