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
// again with it: when people are asked, and when a rule that reads it may have
// said no for want of it. What stays unknown restricts as before, and so does a
// number of rows that nobody can hold the action to.
func (e *Enforcer) preview(ctx context.Context, j *judgement, look func(context.Context) action.Preview) {
	j.look = look
	set := e.o.Policy.Current()
	if look == nil || j.decision.Verdict == policy.Allow || j.decision.Verdict == policy.Deny && !set.ReadsPreview() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	p := look(ctx)
	j.preview = &p
	j.input.Preview = policy.Preview{Rows: p.Bound(), Objects: p.Objects, Creates: p.Creates, Changes: p.Changes, Destroys: p.Destroys}
	j.decision = set.Explain(&j.input)
	// What a rule permitted because of a count is permitted up to that count.
	if n := p.Bound(); j.decision.Verdict == policy.Allow && n.Known && (!j.decision.RowLimit.Known || n.N < j.decision.RowLimit.N) {
		j.decision.RowLimit = n
	}
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
