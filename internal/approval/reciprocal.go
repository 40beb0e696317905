package approval

import (
	"context"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/policy"
)

const (
	whyReciprocal = "the people behind it approved an action of yours lately, and the rule forbids approving one another's"
	whyApproved   = "approved"
)

// approver is how relations name a person as somebody who approved for others.
func approver(person string) string { return "approver " + person }

// persons are those behind a whom the directory knows.
func (e *Engine) persons(a *Approval) []string {
	var out []string
	for id := range e.related(&a.Asker) {
		if p, ok := e.o.Directory.Person(id); ok {
			out = append(out, p.ID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// approvedFor notes that a reviewer said yes to the people behind a.
func (e *Engine) approvedFor(ctx context.Context, tx Tx, a *Approval, reviewer string, now time.Time) error {
	people := map[string]string{}
	for _, person := range e.persons(a) {
		people[person] = whyApproved
	}
	return e.note(ctx, tx, approver(reviewer), people, now)
}

// reciprocal excludes, where a rule of a says so, everyone whose own action was
// approved by a person behind a within the last 30 days: two owners who wave each
// other's agents through are one.
func (e *Engine) reciprocal(ctx context.Context, tx Tx, a *Approval) error {
	if !slices.ContainsFunc(a.Requirements, func(r policy.Requirement) bool { return r.Reciprocal }) {
		return nil
	}
	barred := map[string]string{}
	for _, person := range e.persons(a) {
		rows, err := e.noted(ctx, tx, approver(person), e.now())
		if err != nil {
			return err
		}
		for _, r := range rows {
			barred[r.Person] = whyReciprocal
		}
	}
	e.exclude(a, barred)
	return nil
}
