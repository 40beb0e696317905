package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// A RequestItem is how far one item of a plan is.
type RequestItem struct {
	ID        string  `json:"id"`
	Status    string  `json:"status"` // pending, approved, denied, expired, cancelled
	Execution string  `json:"execution,omitempty"`
	Result    *result `json:"result,omitempty"`

	// Approval is set once the item was approved: evaluate its question again with it
	// in Context.Approval.
	Approval *ApprovalRef `json:"-"`
}

type result struct {
	Mode     string      `json:"mode"`
	Approval ApprovalRef `json:"approval"`
}

// approval is what a result of a known mode refers to.
func (r *result) approval(status string) *ApprovalRef {
	if r == nil || r.Mode != "reevaluate" || status != "approved" {
		return nil
	}
	return &r.Approval
}

// RequestPlan asks people for several actions at once: all of them are approved, or
// none. qs were evaluated, ds are the denials in the same order; the questions share
// one subject and one context. What was allowed is left out of a plan.
//
// AwaitRequest waits for the answer. Then each item is redeemed by itself, in any order:
// evaluate its question with Items[i].Approval in Context.Approval. After the first item
// that doesn't succeed the rest is taken back.
func (c *Client) RequestPlan(ctx context.Context, qs []Question, ds []*Decision) (*Request, error) {
	if len(qs) == 0 || len(qs) != len(ds) {
		return nil, errors.New("assent client: a plan needs questions, and a denial for each")
	}
	type item struct {
		Action   Action   `json:"action"`
		Resource Resource `json:"resource"`
		Denial   any      `json:"denial"`
	}
	in := struct {
		Subject Subject  `json:"subject"`
		Context *Context `json:"context,omitempty"`
		Items   []item   `json:"items"`
	}{Subject: qs[0].Subject, Context: qs[0].Context}
	for i, d := range ds {
		if d == nil || d.Decision || d.Context == nil || d.Context.AccessRequest == nil {
			return nil, fmt.Errorf("assent client: people can't be asked for item %d", i+1)
		}
		in.Items = append(in.Items, item{qs[i].Action, qs[i].Resource, d.denial()})
	}
	return c.request(ctx, http.MethodPost, "/access/v1/requests", nil, in)
}
