package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// A Question asks whether an action may run (OpenID AuthZEN Authorization API 1.0).
type Question struct {
	Subject  Subject  `json:"subject"`
	Action   Action   `json:"action"`
	Resource Resource `json:"resource"`
	Context  *Context `json:"context,omitempty"`
}

// A Subject is who asks. Only a gate's token asserts anyone but itself.
type Subject struct {
	Type       string             `json:"type"` // person, agent, pipeline, service
	ID         string             `json:"id"`
	Properties *SubjectProperties `json:"properties,omitempty"`
}

// SubjectProperties says who acts for the subject, the acting one first. Gates only.
type SubjectProperties struct {
	Act []string `json:"act,omitempty"`
}

// An Action is what is asked.
type Action struct {
	Name       string           `json:"name"` // verb, lower case
	Properties ActionProperties `json:"properties"`
}

// ActionProperties identify the action. Payload, as text or base64, is the exact bytes that go upstream.
type ActionProperties struct {
	Kinds         []string          `json:"kinds"`
	Target        string            `json:"target,omitempty"`
	Payload       string            `json:"payload,omitempty"`
	PayloadBase64 []byte            `json:"payload_base64,omitempty"`
	State         map[string]string `json:"state,omitempty"`
	Objects       []string          `json:"objects,omitempty"`    // gates only
	Reversible    bool              `json:"reversible,omitempty"` // gates only
}

// A Resource is what it is done to.
type Resource struct {
	Type       string              `json:"type"`
	ID         string              `json:"id"` // URN
	Properties *ResourceProperties `json:"properties,omitempty"`
}

// ResourceProperties come from a gate's configuration. Gates only.
type ResourceProperties struct {
	Env    string            `json:"env,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// A Context holds claims, facts and the approval to evaluate with.
type Context struct {
	Reason     string       `json:"reason,omitempty"`
	Ticket     string       `json:"ticket,omitempty"`
	Session    string       `json:"session,omitempty"`
	Intent     string       `json:"intent,omitempty"`
	BreakGlass bool         `json:"break_glass,omitempty"`
	Data       *Facts       `json:"data,omitempty"`
	Approval   *ApprovalRef `json:"approval,omitempty"`
	// SupportedObligations are the types that a gate can carry out; nil: it doesn't say.
	SupportedObligations []string `json:"supported_obligations,omitempty"`
}

// Facts are what a gate saw of the data; what is left out is unknown.
type Facts struct {
	Rows             *int64   `json:"rows,omitempty"`
	Bytes            *int64   `json:"bytes,omitempty"`
	Classes          []string `json:"classes,omitempty"`
	Groups           []string `json:"groups,omitempty"`
	ClassesKnown     bool     `json:"classes_known,omitempty"`
	Scanned          bool     `json:"scanned,omitempty"`
	Inferred         bool     `json:"inferred,omitempty"`
	Destination      string   `json:"destination,omitempty"`
	DestinationTrust string   `json:"destination_trust,omitempty"`
}

// An ApprovalRef refers to an approval; it is returned to the server unchanged.
type ApprovalRef struct {
	ID            string     `json:"id"`
	ApprovedAt    *time.Time `json:"approved_at,omitempty"`
	ApprovedUntil time.Time  `json:"approved_until"`
	State         string     `json:"state,omitempty"`
}

// A Decision is the answer. False is a denial whatever the context says.
type Decision struct {
	Decision bool             `json:"decision"`
	Context  *DecisionContext `json:"context,omitempty"`
}

// A DecisionContext says why.
type DecisionContext struct {
	EvaluationID  string         `json:"evaluation_id,omitempty"`
	EvaluatedAt   *time.Time     `json:"evaluated_at,omitempty"`
	Reason        string         `json:"reason,omitempty"`
	Rule          string         `json:"rule,omitempty"`
	Who           string         `json:"who,omitempty"`
	AccessRequest *AccessRequest `json:"access_request,omitempty"`
	NextAction    string         `json:"next_action,omitempty"` // request, retry, none
	RetryAfter    int            `json:"retry_after,omitempty"` // seconds
	Obligations   []Obligation   `json:"obligations,omitempty"`
	Approval      *ApprovalRef   `json:"approval,omitempty"`
	Grant         string         `json:"grant,omitempty"`
	Error         *ItemError     `json:"error,omitempty"`
}

// An ItemError is what was wrong with one of several questions.
type ItemError struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
}

// An AccessRequest tells that people may be asked.
type AccessRequest struct {
	Endpoint     string    `json:"endpoint"`
	ExpiresAt    time.Time `json:"expires_at"`
	BindingToken string    `json:"binding_token"`
}

// An Obligation holds for an allowed action (AuthZEN Obligations Profile). Whoever
// can't carry one out, or doesn't know it, must not let the action run.
type Obligation struct {
	ID         string               `json:"id"`
	Type       string               `json:"type"`
	Properties ObligationProperties `json:"properties"`
}

// ObligationProperties say what must be done to the answer.
type ObligationProperties struct {
	Vendor   string            `json:"vendor"` // assent
	Action   string            `json:"action"` // mask or limit
	Mask     map[string]string `json:"mask,omitempty"`
	RowLimit *int64            `json:"row_limit,omitempty"`
}

// EvaluateAll asks several questions and returns a decision for each, in order.
// A question that can't be asked is denied, with Context.Error.
func (c *Client) EvaluateAll(ctx context.Context, qs ...Question) ([]*Decision, error) {
	var out struct {
		Evaluations []*Decision `json:"evaluations"`
	}
	in := map[string]any{"evaluations": qs}
	if err := c.do(ctx, http.MethodPost, "/access/v1/evaluations", nil, in, &out); err != nil {
		return nil, err
	}
	if len(out.Evaluations) != len(qs) {
		return nil, errors.New("assent client: the server answered another number of questions than were asked")
	}
	return out.Evaluations, nil
}

// Evaluate asks whether an action may run. It may only when err is nil and Decision is true.
func (c *Client) Evaluate(ctx context.Context, q Question) (*Decision, error) {
	var out Decision
	if err := c.do(ctx, http.MethodPost, "/access/v1/evaluation", nil, q, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// A Request is a task at which people decide, as its asker sees it.
type Request struct {
	ID         string     `json:"id"`
	Status     string     `json:"status"` // pending, approved, denied, expired, cancelled; of a plan also partial
	ExpiresAt  *time.Time `json:"expires_at,omitempty"`
	RetryAfter int        `json:"retry_after,omitempty"` // seconds
	Execution  string     `json:"execution,omitempty"`
	Display    *struct {
		Title       string `json:"title"`
		Description string `json:"description,omitempty"`
	} `json:"display,omitempty"`
	Links          map[string]string `json:"links,omitempty"`
	StatusEndpoint string            `json:"status_endpoint"`
	Questions      []OpenQuestion    `json:"questions,omitempty"` // see Answer

	// Approval is set once the request was approved: evaluate the same question
	// again with it in Context.Approval. A plan has none: its items have.
	Approval *ApprovalRef `json:"-"`
	// Items are those of a plan, in the order they were asked.
	Items []RequestItem `json:"items,omitempty"`
}

// Request asks people for what d denied. q is the question that was evaluated.
func (c *Client) Request(ctx context.Context, q Question, d *Decision) (*Request, error) {
	if d == nil || d.Decision || d.Context == nil || d.Context.AccessRequest == nil {
		return nil, errors.New("assent client: people can't be asked for this")
	}
	in := struct {
		Question
		Denial any `json:"denial"`
	}{q, d.denial()}
	return c.request(ctx, http.MethodPost, "/access/v1/requests", nil, in)
}

// denial is d as a request echoes it.
func (d *Decision) denial() map[string]any {
	ar := d.Context.AccessRequest
	return map[string]any{
		"evaluation_id": d.Context.EvaluationID, "expires_at": ar.ExpiresAt, "binding_token": ar.BindingToken, "reason": d.Context.Reason,
	}
}

// RequestStatus tells how far a request is.
func (c *Client) RequestStatus(ctx context.Context, id string) (*Request, error) {
	return c.request(ctx, http.MethodGet, "/access/v1/requests/"+url.PathEscape(id), nil, nil)
}

// AwaitRequest returns the request once it is no longer pending, or when ctx ends.
func (c *Client) AwaitRequest(ctx context.Context, id string) (*Request, error) {
	for {
		r, err := c.request(ctx, http.MethodGet, "/access/v1/requests/"+url.PathEscape(id), url.Values{"wait": {"30"}}, nil)
		if err != nil || r.Status != "pending" {
			return r, err
		}
	}
}

// CancelRequest takes a request back.
func (c *Client) CancelRequest(ctx context.Context, id string) (*Request, error) {
	return c.CancelRequestFor(ctx, id, "")
}

// CancelRequestFor takes a request back and says why: a claim, for people.
func (c *Client) CancelRequestFor(ctx context.Context, id, why string) (*Request, error) {
	var in any
	if why != "" {
		in = map[string]string{"comment": why}
	}
	return c.request(ctx, http.MethodPost, "/access/v1/requests/"+url.PathEscape(id)+"/cancel", nil, in)
}

func (c *Client) request(ctx context.Context, method, path string, q url.Values, in any) (*Request, error) {
	var out struct {
		Task   Request `json:"task"`
		Result *result `json:"result"`
	}
	if err := c.do(ctx, method, path, q, in, &out); err != nil {
		return nil, err
	}
	out.Task.Approval = out.Result.approval(out.Task.Status)
	for i := range out.Task.Items {
		item := &out.Task.Items[i]
		item.Approval = item.Result.approval(item.Status)
	}
	return &out.Task, nil
}

// An Outcome is how an approved action ended: executed, failed or unknown.
type Outcome struct {
	State string `json:"state"`
	Code  string `json:"code,omitempty"` // the protocol's own: an SQLSTATE, an HTTP status
	Rows  int64  `json:"rows,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
}

// ReportOutcome tells how an approved action ended. Gates only.
func (c *Client) ReportOutcome(ctx context.Context, id string, o Outcome) (*Request, error) {
	return c.request(ctx, http.MethodPost, "/access/v1/requests/"+url.PathEscape(id)+"/outcome", nil, o)
}
