package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// The Access Request and Approval Profile (ARAP, draft 1): a task is how the
// asker sees an approval, and all that it sees.

// pollAfter is how long an asker should wait before it asks again.
const pollAfter = 5 * time.Second

// maxWait bounds a long poll, in whole seconds of the wait parameter.
const maxWait = 60 * time.Second

// An AccessRequestSubmission turns a requestable denial into a task, or several into one.
type AccessRequestSubmission struct {
	Subject  Subject          `json:"subject"`
	Action   *Action          `json:"action,omitempty" doc:"Needed without items"`
	Resource *Resource        `json:"resource,omitempty" doc:"Needed without items"`
	Items    []PlanSubmission `json:"items,omitempty" maxItems:"50" doc:"A plan: several denied actions that people decide about as one; instead of action, resource and denial"`
	Context  *Context         `json:"context,omitempty"`
	Denial   *Denial          `json:"denial,omitempty" doc:"Needed without items"`
	Client   *ClientInfo      `json:"client,omitempty"`
}

// A ClientInfo says which program asks and where the wish came from. All of it
// is a claim: reviewers see the source, and nothing rests on it.
type ClientInfo struct {
	ID     string        `json:"id,omitempty" maxLength:"200"`
	Name   string        `json:"name,omitempty" maxLength:"200"`
	Source *ClientSource `json:"source,omitempty"`
}

// A ClientSource is where a wish came from.
type ClientSource struct {
	SessionID     string `json:"session_id,omitempty" maxLength:"200" doc:"Stands in for context.session"`
	ExternalURL   string `json:"external_url,omitempty" maxLength:"200" doc:"Stands in for context.ticket"`
	IntegrationID string `json:"integration_id,omitempty" maxLength:"200"`
}

// A Denial is the denied decision, echoed.
type Denial struct {
	EvaluationID string     `json:"evaluation_id,omitempty"`
	EvaluatedAt  *time.Time `json:"evaluated_at,omitempty"`
	ExpiresAt    time.Time  `json:"expires_at"`
	Reason       string     `json:"reason,omitempty"`
	BindingToken string     `json:"binding_token"`
}

// A TaskResponse is a task, with a result once it was approved.
type TaskResponse struct {
	Task   Task        `json:"task"`
	Result *TaskResult `json:"result,omitempty"`
}

// A Task is an approval as its asker sees it.
type Task struct {
	ID             string            `json:"id"`
	Status         string            `json:"status" enum:"pending,approved,denied,expired,cancelled,partial" doc:"partial: of a plan whose items ended differently"`
	StatusEndpoint string            `json:"status_endpoint"`
	ExpiresAt      *time.Time        `json:"expires_at,omitempty"`
	RetryAfter     int               `json:"retry_after,omitempty" doc:"Seconds until it makes sense to ask again"`
	Execution      string            `json:"execution,omitempty" doc:"executing, executed, failed or unknown, once the approved action was started"`
	Display        *TaskDisplay      `json:"display,omitempty"`
	Links          map[string]string `json:"links,omitempty"`
	Questions      []OpenQuestion    `json:"questions,omitempty" doc:"Reviewers' questions that wait for an answer"`
	Items          []TaskItem        `json:"items,omitempty" doc:"Of a plan: each item in the order it was asked"`
}

// A TaskDisplay is for a person to read.
type TaskDisplay struct {
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// A TaskResult says how to go on: evaluate again, with the approval in context.approval.
type TaskResult struct {
	Mode     string      `json:"mode" enum:"reevaluate"`
	Approval ApprovalRef `json:"approval"`
}

type createRequestIn struct {
	Idempotency string `header:"Idempotency-Key" maxLength:"200" doc:"The same key with another body is refused"`
	Body        AccessRequestSubmission
}

type taskOut struct {
	Location   string `header:"Location"`
	RetryAfter string `header:"Retry-After"`
	Body       *TaskResponse
}

func (s *server) createRequest(ctx context.Context, in *createRequestIn) (*taskOut, error) {
	b, c := &in.Body, callerOf(ctx)
	if len(b.Items) > 0 {
		return s.createPlan(ctx, in)
	}
	if b.Action == nil || b.Resource == nil || b.Denial == nil {
		return nil, badRequest("body", "action, resource and denial are needed, or items")
	}
	asker, a, err := s.question(c, &EvaluationRequest{Subject: b.Subject, Action: *b.Action, Resource: *b.Resource, Context: b.Context})
	if err != nil {
		return nil, err
	}
	if b.Context != nil && b.Context.Approval != nil {
		return nil, badRequest("body.context.approval", "an action that is approved needs no request")
	}
	if err := s.retries.check(c, in.Idempotency, b, s.Clock()); err != nil {
		return nil, err
	}
	if err := s.denied(asker, a, b.Denial); err != nil {
		return nil, err
	}
	b.Client.claims(a)
	held, err := s.Enforcer.Request(ctx, *asker, a)
	if err != nil {
		return nil, err
	}
	return s.created(ctx, asker, held)
}

// created is the answer to who asked people.
func (s *server) created(ctx context.Context, asker *identity.Asker, held *approval.Approval) (*taskOut, error) {
	out, err := s.task(ctx, asker, held)
	if err != nil {
		return nil, err
	}
	out.Location = out.Body.Task.StatusEndpoint
	return out, nil
}

// denied errs unless d is what this asker was told about exactly this action.
func (s *server) denied(asker *identity.Asker, a *action.Action, d *Denial) error {
	if !s.Clock().Before(d.ExpiresAt) {
		return arapProblem(http.StatusGone, "expired_denial", "The denial is too old. Evaluate again and request with what that returns.")
	}
	token, err := s.sealer.open(purposeBinding, d.BindingToken)
	if err != nil || token.Expires != d.ExpiresAt.Unix() || !token.binds(asker, a) ||
		d.EvaluationID != "" && d.EvaluationID != token.ID {
		return unbound("The binding token doesn't belong to this action and credential. Send back exactly what was evaluated.")
	}
	return nil
}

func unbound(detail string) *Problem {
	return arapProblem(http.StatusBadRequest, "invalid_denial_binding", detail)
}

// claims adds where the wish came from, where the asker's context doesn't say.
func (c *ClientInfo) claims(a *action.Action) {
	if c != nil && c.Source != nil {
		a.Claims.Session = cmp.Or(a.Claims.Session, c.Source.SessionID)
		a.Claims.Ticket = cmp.Or(a.Claims.Ticket, c.Source.ExternalURL)
	}
}

type getRequestIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Wait int    `query:"wait" minimum:"0" maximum:"60" doc:"Seconds to wait for a decision before answering"`
}

func (s *server) getRequest(ctx context.Context, in *getRequestIn) (*taskOut, error) {
	held, err := s.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if held, err = s.await(ctx, held, in.Wait); err != nil {
		return nil, err
	}
	return s.task(ctx, &held.Asker, held)
}

type cancelRequestIn struct {
	ID   string        `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Body *Cancellation `required:"false"`
}

// A Cancellation may say why.
type Cancellation struct {
	Reason  string `json:"reason,omitempty" maxLength:"64" pattern:"^[0-9A-Za-z_.-]*$" doc:"For machines"`
	Comment string `json:"comment,omitempty" maxLength:"500" doc:"For people; a claim"`
}

func (c *Cancellation) why() string {
	const taken = "taken back by the asker"
	if c == nil || c.Reason == "" && c.Comment == "" {
		return taken
	}
	return taken + ": " + strings.TrimSpace(c.Reason+" "+plain(c.Comment))
}

func (s *server) cancelRequest(ctx context.Context, in *cancelRequestIn) (*taskOut, error) {
	held, err := s.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if held.Plan != "" {
		return nil, arapProblem(http.StatusConflict, "invalid_task_state", "It is one item of a plan: take back the plan, "+held.Plan+".")
	}
	held, err = s.Reviews.Withdraw(ctx, held.ID, nameOf(callerOf(ctx)), in.Body.why())
	if p := asProblem(err); err != nil && p.Status == http.StatusConflict {
		return nil, arapProblem(http.StatusConflict, "invalid_task_state", "The request is decided, used or over: there is nothing left to take back.")
	}
	if err != nil {
		return nil, err
	}
	return s.task(ctx, &held.Asker, held)
}

// An OutcomeReport says how an approved action ended that was redeemed here.
type OutcomeReport struct {
	State string `json:"state" enum:"executed,failed,unknown"`
	Code  string `json:"code,omitempty" maxLength:"64" pattern:"^[0-9A-Za-z_.-]*$" doc:"The protocol's own: an SQLSTATE, an HTTP status"`
	Rows  int64  `json:"rows,omitempty" minimum:"0"`
	Bytes int64  `json:"bytes,omitempty" minimum:"0"`
}

type outcomeIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Body OutcomeReport
}

// reportOutcome closes an approval that a gate redeemed. An agent's word would
// be none, and could cover what a gate saw: without a gate the outcome stays unknown.
func (s *server) reportOutcome(ctx context.Context, in *outcomeIn) (*taskOut, error) {
	held, err := s.own(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	err = s.Approvals.Finish(ctx, held.ID, approval.Outcome{State: approval.State(b.State), Code: b.Code, Rows: b.Rows, Bytes: b.Bytes})
	if err != nil {
		return nil, err
	}
	if held, err = s.Approvals.Get(ctx, held.ID); err != nil {
		return nil, err
	}
	return s.task(ctx, &held.Asker, held)
}

// own finds an approval that the caller asked for. One that it didn't ask for
// doesn't exist: an id that leaked tells nothing.
func (s *server) own(ctx context.Context, id string) (*approval.Approval, error) {
	held, err := s.Approvals.Get(ctx, id)
	p := asProblem(err)
	if err != nil && p.Status != http.StatusNotFound {
		return nil, err
	}
	if err != nil || !owns(callerOf(ctx), held) {
		return nil, arapProblem(http.StatusNotFound, "unknown_task", "There is no such request of yours.")
	}
	return held, nil
}

// owns compares who asks with who asked: a gate by its credential, an actor by
// its chain and subject, so that a renewed token still finds its requests.
func owns(c *identity.Caller, held *approval.Approval) bool {
	if c.Kind == identity.KindGate {
		return held.Asker.Credential == c.Token
	}
	return c.Asker != nil && len(c.Asker.Chain) > 0 && askerKey(c.Asker) == askerKey(&held.Asker)
}

// await waits until the approval is no longer pending, for at most seconds. A
// credential that was revoked meanwhile hears nothing of it.
func (s *server) await(ctx context.Context, held *approval.Approval, seconds int) (*approval.Approval, error) {
	if seconds <= 0 || !held.Waiting() {
		return held, nil
	}
	held, err := s.waited(ctx, held, seconds)
	if err != nil {
		return nil, err
	}
	if _, err := s.Credentials.Proved(ctx, callerOf(ctx).Token); err != nil {
		return nil, noCredential()
	}
	return held, nil
}

func (s *server) waited(ctx context.Context, held *approval.Approval, seconds int) (*approval.Approval, error) {
	waiting, cancel := context.WithTimeout(ctx, min(time.Duration(seconds)*time.Second, maxWait))
	defer cancel()
	decided, err := s.Approvals.Wait(waiting, held.ID)
	switch {
	case err == nil && decided != nil:
		return decided, nil
	case waiting.Err() != nil && ctx.Err() == nil:
		return s.Approvals.Get(ctx, held.ID)
	}
	return nil, fmt.Errorf("waiting for approval %s: %w", held.ID, err)
}

// task is the asker's view: id, status, who, link, expiry. No finding, no
// figure, no reviewer's words.
func (s *server) task(ctx context.Context, asker *identity.Asker, held *approval.Approval) (*taskOut, error) {
	at := s.base + "/access/v1/requests/" + held.ID
	t := Task{
		ID: held.ID, StatusEndpoint: at, ExpiresAt: &held.Expires,
		Links: map[string]string{"ticket": s.base + "/approvals/" + held.ID},
	}
	out := &taskOut{Body: &TaskResponse{}}
	t.Status, t.Execution = statusOf(held)
	switch {
	case held.State == approval.Pending:
		t.RetryAfter = int(pollAfter / time.Second)
		t.Links["cancel"] = at + "/cancel"
		t.Questions = s.openQuestions(held)
		t.Display = &TaskDisplay{Title: "Waiting for " + held.Asks(), Description: "The same action asked again finds this request."}
		out.RetryAfter = strconv.Itoa(t.RetryAfter)
	case held.Plan != "":
		t.Links["plan"] = s.base + "/access/v1/requests/" + held.Plan
		t.Links["ticket"] = s.base + "/approvals/" + held.Plan
	}
	if len(held.Items) > 0 {
		if err := s.planTask(ctx, asker, held, &t); err != nil {
			return nil, err
		}
	} else if t.Status == "approved" {
		result, err := s.result(asker, held)
		if err != nil {
			return nil, err
		}
		out.Body.Result = result
	}
	out.Body.Task = t
	return out, nil
}

// statusOf is our state in the profile's words, and how far what was approved has run.
func statusOf(held *approval.Approval) (status, execution string) {
	switch held.State {
	case approval.Pending, approval.Planned:
		return "pending", ""
	case approval.Approved:
		return "approved", ""
	case approval.Executing, approval.Executed, approval.Failed, approval.Unknown:
		return "approved", string(held.State)
	case approval.Denied:
		return "denied", ""
	case approval.Withdrawn:
		return "cancelled", ""
	}
	return "expired", ""
}

// result refers to the approval. It is no grant: whoever presents it must be
// the asker with the same credential, and when it is redeemed the engine
// compares the action with the approved one and counts the quorum again.
func (s *server) result(asker *identity.Asker, held *approval.Approval) (*TaskResult, error) {
	until := held.Decided.Add(held.Window).UTC()
	decided := held.Decided.UTC()
	ref := ApprovalRef{ID: held.ID, ApprovedAt: &decided, ApprovedUntil: until}
	if held.State == approval.Approved && s.Clock().Before(until) {
		state, err := s.sealer.seal(purposeApproval, sealed{
			Subject: askerKey(asker), Credential: held.Asker.Credential, Approval: held.ID, ID: rand.Text(), Expires: until.Unix(),
		})
		if err != nil {
			return nil, err
		}
		ref.State = state
	}
	return &TaskResult{Mode: "reevaluate", Approval: ref}, nil
}
