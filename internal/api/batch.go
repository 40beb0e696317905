package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// An EvaluationsRequest is several questions (Authorization API section 7):
// members above are defaults for the items below. Without items it is one question.
type EvaluationsRequest struct {
	Subject     *Subject           `json:"subject,omitempty"`
	Action      *Action            `json:"action,omitempty"`
	Resource    *Resource          `json:"resource,omitempty"`
	Context     *Context           `json:"context,omitempty"`
	Evaluations []EvaluationItem   `json:"evaluations,omitempty" maxItems:"50"`
	Options     *EvaluationOptions `json:"options,omitempty"`
}

// An EvaluationItem is one question; what it leaves out comes from the defaults.
type EvaluationItem struct {
	Subject  *Subject  `json:"subject,omitempty"`
	Action   *Action   `json:"action,omitempty"`
	Resource *Resource `json:"resource,omitempty"`
	Context  *Context  `json:"context,omitempty"`
}

// EvaluationOptions says when to stop.
type EvaluationOptions struct {
	Semantic string `json:"evaluations_semantic,omitempty" enum:"execute_all,deny_on_first_deny,permit_on_first_permit" doc:"execute_all unless set"`
}

// Decisions are the answers in the order of the questions; for one question without items, its decision.
type Decisions struct {
	Evaluations []*Decision      `json:"evaluations,omitempty"`
	Decision    *bool            `json:"decision,omitempty"`
	Context     *DecisionContext `json:"context,omitempty"`
}

type (
	evaluateManyIn  struct{ Body EvaluationsRequest }
	evaluateManyOut struct{ Body *Decisions }
)

func (s *server) evaluateMany(ctx context.Context, in *evaluateManyIn) (*evaluateManyOut, error) {
	b := &in.Body
	if len(b.Evaluations) == 0 {
		req, err := b.merge(&EvaluationItem{}, "body")
		if err != nil {
			return nil, err
		}
		d, err := s.decide(ctx, callerOf(ctx), req)
		if err != nil {
			return nil, err
		}
		return &evaluateManyOut{Body: &Decisions{Decision: &d.Decision, Context: d.Context}}, nil
	}
	out := &Decisions{}
	for i := range b.Evaluations {
		d, err := s.decideItem(ctx, b, i)
		if err != nil {
			return nil, err
		}
		out.Evaluations = append(out.Evaluations, d)
		if b.Options != nil && (b.Options.Semantic == "deny_on_first_deny" && !d.Decision || b.Options.Semantic == "permit_on_first_permit" && d.Decision) {
			break
		}
	}
	return &evaluateManyOut{Body: out}, nil
}

// decideItem answers one of several questions. What is wrong with it alone is its
// own denial, and the others are answered (section 7.2.1).
func (s *server) decideItem(ctx context.Context, b *EvaluationsRequest, i int) (*Decision, error) {
	req, err := b.merge(&b.Evaluations[i], fmt.Sprintf("body.evaluations[%d]", i))
	if err == nil {
		var d *Decision
		if d, err = s.decide(ctx, callerOf(ctx), req); err == nil {
			return d, nil
		}
	}
	var p *Problem
	if !errors.As(err, &p) || p.Status >= http.StatusInternalServerError {
		return nil, err
	}
	said := p.Detail
	for _, e := range p.Errors {
		said += " " + e.Location + ": " + e.Message + "."
	}
	return &Decision{Context: &DecisionContext{Reason: "invalid", NextAction: "none", Error: &ItemError{Status: p.Status, Message: said}}}, nil
}

// merge completes an item with the defaults. A member is taken whole: half a
// resource from here and half from there would be a third one.
func (b *EvaluationsRequest) merge(item *EvaluationItem, at string) (*EvaluationRequest, error) {
	subject, act, resource, context := item.Subject, item.Action, item.Resource, item.Context
	if subject == nil {
		subject = b.Subject
	}
	if act == nil {
		act = b.Action
	}
	if resource == nil {
		resource = b.Resource
	}
	if context == nil {
		context = b.Context
	}
	if subject == nil || act == nil || resource == nil {
		return nil, badRequest(at, "subject, action and resource are needed, here or as defaults")
	}
	return &EvaluationRequest{Subject: *subject, Action: *act, Resource: *resource, Context: context}, nil
}
