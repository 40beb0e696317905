package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/identity"
)

// Plans are the items of the Access Request and Approval Profile (section 10.1):
// several denied actions in one request, decided as one, used one by one.

// A PlanSubmission is one denied action of several.
type PlanSubmission struct {
	Action   Action   `json:"action"`
	Resource Resource `json:"resource"`
	Denial   *Denial  `json:"denial,omitempty" doc:"Needed: what evaluating this action with the context above returned"`
}

// A TaskItem is how far one item of a plan is (section 10.2).
type TaskItem struct {
	ID        string       `json:"id" doc:"Of the item's own approval, whose outcome a gate reports"`
	Resource  ItemResource `json:"resource"`
	Action    ItemAction   `json:"action"`
	Status    string       `json:"status" enum:"pending,approved,denied,expired,cancelled"`
	Execution string       `json:"execution,omitempty" doc:"executing, executed, failed or unknown, once the item was started"`
	Result    *TaskResult  `json:"result,omitempty"`
}

// An ItemResource names what an item is done to.
type ItemResource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// An ItemAction names what an item does. Its payload was not kept.
type ItemAction struct {
	Name       string         `json:"name"`
	Properties ItemProperties `json:"properties"`
}

// ItemProperties are those of an action that are kept.
type ItemProperties struct {
	Kinds  []string `json:"kinds"`
	Target string   `json:"target,omitempty"`
}

// createPlan asks people for several denied actions at once. Whatever is wrong with
// one of them refuses all.
func (s *server) createPlan(ctx context.Context, in *createRequestIn) (*taskOut, error) {
	b, c := &in.Body, callerOf(ctx)
	switch {
	case b.Action != nil || b.Resource != nil:
		return nil, badRequest("body.items", "with items, action and resource stand in each of them and nowhere else")
	case b.Denial != nil:
		return nil, unbound("With items each has a denial of its own: what evaluating it returned.")
	case b.Context != nil && b.Context.Approval != nil:
		return nil, badRequest("body.context.approval", "an action that is approved needs no request")
	}
	if err := s.retries.check(c, in.Idempotency, b, s.Clock()); err != nil {
		return nil, err
	}
	var asker *identity.Asker
	actions := make([]*action.Action, len(b.Items))
	for i := range b.Items {
		item := &b.Items[i]
		by, a, err := s.question(c, &EvaluationRequest{Subject: b.Subject, Action: item.Action, Resource: item.Resource, Context: b.Context})
		if err == nil && item.Denial == nil {
			err = unbound("It has no denial: evaluate it, and leave out what is allowed.")
		}
		if err == nil {
			err = s.denied(by, a, item.Denial)
		}
		if err != nil {
			return nil, itemProblem(i+1, err)
		}
		b.Client.claims(a)
		asker, actions[i] = by, a
	}
	held, err := s.Enforcer.RequestPlan(ctx, *asker, actions)
	var of *approval.ItemError
	if errors.As(err, &of) {
		return nil, itemProblem(of.Item, of.Err)
	}
	if err != nil {
		return nil, err
	}
	return s.created(ctx, asker, held)
}

// itemProblem says of which item a problem is.
func itemProblem(item int, err error) error {
	p := *asProblem(err)
	p.Detail = fmt.Sprintf("Item %d: %s", item, p.Detail)
	p.Errors = nil
	for _, f := range asProblem(err).Errors {
		for _, of := range []string{"body.action", "body.resource"} {
			if strings.HasPrefix(f.Location, of) {
				f.Location = fmt.Sprintf("body.items[%d]%s", item-1, strings.TrimPrefix(f.Location, "body"))
			}
		}
		p.Errors = append(p.Errors, f)
	}
	return &p
}

// planTask fills in the items of a plan, and its status as they have it: each is
// enforced by its own result, and there is none for the whole.
func (s *server) planTask(ctx context.Context, asker *identity.Asker, held *approval.Approval, t *Task) error {
	items, err := s.Approvals.ItemsOf(ctx, held)
	if err != nil {
		return err
	}
	for _, of := range items {
		item := TaskItem{
			ID: of.ID, Resource: ItemResource{of.Resource.Type, of.Resource.URN},
			Action: ItemAction{of.Verb, ItemProperties{Kinds: []string{}, Target: of.Target}},
		}
		for _, k := range of.Kinds {
			item.Action.Properties.Kinds = append(item.Action.Properties.Kinds, string(k))
		}
		item.Status, item.Execution = statusOf(of)
		if item.Status == "approved" {
			if item.Result, err = s.result(asker, of); err != nil {
				return err
			}
		}
		t.Items = append(t.Items, item)
	}
	t.Execution = ""
	if t.Display != nil {
		t.Display.Description = "The same plan asked again finds this request."
	}
	t.Status = aggregate(t.Items)
	return nil
}

// aggregate is the status of a task whose items have these (section 10.2).
func aggregate(items []TaskItem) string {
	status := items[0].Status
	for _, item := range items {
		switch {
		case item.Status == "pending":
			return "pending"
		case item.Status != status:
			status = "partial"
		}
	}
	return status
}

// A PlanItem is one action of a plan as reviewers see it.
type PlanItem struct {
	ID      string `json:"id" doc:"Of the item's own approval"`
	Digest  string `json:"digest" doc:"The plan's digest covers those of all items, in their order"`
	State   string `json:"state,omitempty" enum:"planned,approved,denied,expired,withdrawn,executing,executed,failed,unknown" doc:"Missing in lists"`
	Outcome string `json:"outcome,omitempty"`
	Rank    int    `json:"rank" doc:"1: the gravest of the plan"`

	Title     string   `json:"title"`
	Kinds     []string `json:"kinds"`
	Verb      string   `json:"verb,omitempty"`
	Target    string   `json:"target,omitempty"`
	Resource  string   `json:"resource"`
	Env       string   `json:"env,omitempty"`
	Statement string   `json:"statement" doc:"Masked"`
	Masked    []Masked `json:"masked,omitempty" doc:"Where a value was replaced in the statement"`
	Data      DataView `json:"data"`
	Reason    string   `json:"reason,omitempty"`
	Repeats   int      `json:"repeats,omitempty" doc:"Recent denials of the same thing"`

	RowLimit *int64            `json:"row_limit,omitempty"`
	Masks    map[string]string `json:"masks,omitempty" doc:"What is masked in what comes back: class to method"`
	Preview  *PreviewView      `json:"preview,omitempty"`
}

// planItems are the items of a plan as they were asked.
func planItems(a *approval.Approval) []PlanItem {
	var out []PlanItem
	for i := range a.Items {
		of := &a.Items[i]
		item := PlanItem{
			ID: of.Approval, Digest: of.Digest.String(), Title: of.Title, Kinds: []string{}, Verb: of.Verb, Target: of.Target,
			Resource: of.Resource.URN, Env: of.Resource.Env, Statement: of.Statement, Data: dataView(&of.Data), Reason: of.Reason,
			Repeats: of.Repeats, RowLimit: known(of.RowLimit), Masks: of.Masks, Preview: previewView(of.Preview),
		}
		for _, k := range of.Kinds {
			item.Kinds = append(item.Kinds, string(k))
		}
		for _, m := range of.Masked {
			item.Masked = append(item.Masked, Masked{Start: m.Start, End: m.End, Class: m.Class})
		}
		out = append(out, item)
	}
	for rank, i := range card.Order(a) {
		out[i].Rank = rank + 1
	}
	return out
}

// shown is the view of one approval, with what the items of a plan have come to.
func (s *server) shown(ctx context.Context, c *identity.Caller, a *approval.Approval) (*approvalOut, error) {
	v := s.view(c, a)
	if len(a.Items) > 0 {
		items, err := s.Approvals.ItemsOf(ctx, a)
		if err != nil {
			return nil, err
		}
		for i, item := range items {
			v.Items[i].State, v.Items[i].Outcome = string(item.State), item.Outcome
		}
	}
	return &approvalOut{Body: v}, nil
}
