package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// The wire of Authorization API 1.0 sections 5 to 7, with the properties we
// know. Whatever else comes is refused: a fact that we would ignore could be
// the one that mattered.

// A Subject is who asks (section 5.1).
type Subject struct {
	Type       string             `json:"type" enum:"agent,pipeline,service,human,person" doc:"person for a human being, otherwise the actor's type"`
	ID         string             `json:"id" minLength:"1" maxLength:"256" doc:"agent:nightly-exporter, person:mira"`
	Properties *SubjectProperties `json:"properties,omitempty"`
}

// SubjectProperties says who acts for the subject.
type SubjectProperties struct {
	Act []string `json:"act,omitempty" maxItems:"8" doc:"Actors, the acting one first (RFC 8693). Gates only."`
}

// An Action is what is asked (section 5.3).
type Action struct {
	Name       string           `json:"name" minLength:"1" maxLength:"64" pattern:"^[a-z][a-z0-9_.-]*$" doc:"Verb: select, drop, copy"`
	Properties ActionProperties `json:"properties"`
}

// ActionProperties are what identifies the action. All of it enters the digest but title and reversible.
type ActionProperties struct {
	Kinds         []string          `json:"kinds" minItems:"1" maxItems:"24" doc:"What it does, from the closed list"`
	Target        string            `json:"target,omitempty" maxLength:"512" doc:"Main object: public.customers"`
	Payload       string            `json:"payload,omitempty" doc:"Exact bytes that go upstream, when they are text"`
	PayloadBase64 string            `json:"payload_base64,omitempty" doc:"Exact bytes that go upstream, in standard base64; instead of payload"`
	State         map[string]string `json:"state,omitempty" doc:"What gives the payload its meaning: database, role, search_path, working directory"`
	Objects       []string          `json:"objects,omitempty" maxItems:"1000" doc:"Tables, files or endpoints touched"`
	Reversible    bool              `json:"reversible,omitempty"`
}

// A Resource is what it is done to (section 5.2).
type Resource struct {
	Type       string              `json:"type" minLength:"1" maxLength:"64"`
	ID         string              `json:"id" minLength:"1" maxLength:"512" doc:"URN: postgres:billing/prod/customers"`
	Properties *ResourceProperties `json:"properties,omitempty"`
}

// ResourceProperties come from a gate's configuration. Gates only.
type ResourceProperties struct {
	Env    string            `json:"env,omitempty" maxLength:"64"`
	Labels map[string]string `json:"labels,omitempty"`
}

// A Context holds claims, facts and the approval to evaluate with (section 5.4).
type Context struct {
	Reason     string       `json:"reason,omitempty" maxLength:"2000" doc:"A claim, shown to reviewers as such"`
	Ticket     string       `json:"ticket,omitempty" maxLength:"200" doc:"A claim"`
	Session    string       `json:"session,omitempty" maxLength:"200" doc:"A claim"`
	Intent     string       `json:"intent,omitempty" maxLength:"2000" doc:"A claim"`
	BreakGlass bool         `json:"break_glass,omitempty" doc:"A claim"`
	Data       *DataFacts   `json:"data,omitempty"`
	Approval   *ApprovalRef `json:"approval,omitempty" doc:"From a request that was approved, unchanged"`
	// SupportedObligations is the gate's word on what it can carry out (Obligations Profile section 7).
	SupportedObligations []string `json:"supported_obligations,omitempty" maxItems:"50" doc:"Types of obligations the asker can carry out. Left out: unknown"`
}

// DataFacts are what a gate saw of the data. Gates only; what is left out is unknown.
type DataFacts struct {
	Rows             *int64   `json:"rows,omitempty" minimum:"0"`
	Bytes            *int64   `json:"bytes,omitempty" minimum:"0"`
	Classes          []string `json:"classes,omitempty" maxItems:"100"`
	Groups           []string `json:"groups,omitempty" maxItems:"100"`
	ClassesKnown     bool     `json:"classes_known,omitempty" doc:"True: classes and groups are all there are"`
	Scanned          bool     `json:"scanned,omitempty" doc:"True: everything was decoded and scanned"`
	Inferred         bool     `json:"inferred,omitempty"`
	Destination      string   `json:"destination,omitempty" maxLength:"512"`
	DestinationTrust string   `json:"destination_trust,omitempty" enum:"internal,external"`
}

// An ApprovalRef is the approval object of the Access Request and Approval Profile.
type ApprovalRef struct {
	ID            string     `json:"id"`
	ApprovedAt    *time.Time `json:"approved_at,omitempty"`
	ApprovedUntil time.Time  `json:"approved_until"`
	State         string     `json:"state,omitempty" doc:"Sealed: return it unchanged"`
}

// An EvaluationRequest is one question (section 6.1).
type EvaluationRequest struct {
	Subject  Subject  `json:"subject"`
	Action   Action   `json:"action"`
	Resource Resource `json:"resource"`
	Context  *Context `json:"context,omitempty"`
}

// A Decision is the answer (section 5.5). Decision false is a denial whatever the context says.
type Decision struct {
	Decision bool             `json:"decision"`
	Context  *DecisionContext `json:"context,omitempty"`
}

// DecisionContext says why. It names rules and people, never a figure.
type DecisionContext struct {
	EvaluationID  string         `json:"evaluation_id,omitempty"`
	EvaluatedAt   *time.Time     `json:"evaluated_at,omitempty"`
	Reason        string         `json:"reason,omitempty" doc:"allowed, approved, approval_required, policy_denied, approval_expired, out_of_scope, approval_unverifiable, obligations, undecided, invalid"`
	Rule          string         `json:"rule,omitempty"`
	Who           string         `json:"who,omitempty" doc:"Who can approve"`
	AccessRequest *AccessRequest `json:"access_request,omitempty"`
	NextAction    string         `json:"next_action,omitempty" enum:"request,retry,none"`
	RetryAfter    int            `json:"retry_after,omitempty" doc:"Seconds"`
	Obligations   []Obligation   `json:"obligations,omitempty" doc:"What the gate must do when it lets the action run; one that can't must not"`
	Approval      *ApprovalRef   `json:"approval,omitempty" doc:"The approval that this decision used, without its state"`
	Grant         string         `json:"grant,omitempty" doc:"Compact JWS. Gates only"`
	Error         *ItemError     `json:"error,omitempty" doc:"Why this one of several questions can't be asked"`
}

// An ItemError is what was wrong with one of several questions (section 7.2.1).
type ItemError struct {
	Status  int    `json:"status" doc:"The HTTP status that the question alone would have had"`
	Message string `json:"message"`
}

// An AccessRequest tells how people can be asked.
type AccessRequest struct {
	Endpoint     string    `json:"endpoint"`
	ExpiresAt    time.Time `json:"expires_at"`
	BindingToken string    `json:"binding_token" doc:"Sealed: return it unchanged"`
}

// An Obligation holds for an allowed action (Obligations Profile section 3). Ours
// are of type custom: no registered one masks.
type Obligation struct {
	ID         string               `json:"id"`
	Type       string               `json:"type" enum:"custom"`
	Properties ObligationProperties `json:"properties"`
}

// ObligationProperties say what must be done to the answer.
type ObligationProperties struct {
	Vendor   string            `json:"vendor" enum:"assent"`
	Action   string            `json:"action" enum:"mask,limit"`
	Mask     map[string]string `json:"mask,omitempty" doc:"Class to method; a gate that can't mask one must deny"`
	RowLimit *int64            `json:"row_limit,omitempty" doc:"Rows at most; past it the answer ends"`
}

// custom is the only type of obligation there is here.
const custom = "custom"

// obligations are what an allowed action owes.
func obligations(ev *Evaluation) (out []Obligation) {
	if len(ev.Masks) > 0 {
		out = append(out, Obligation{ID: "mask", Type: custom, Properties: ObligationProperties{Vendor: "assent", Action: "mask", Mask: ev.Masks}})
	}
	if ev.RowLimit.Known {
		out = append(out, Obligation{ID: "limit", Type: custom, Properties: ObligationProperties{Vendor: "assent", Action: "limit", RowLimit: &ev.RowLimit.N}})
	}
	return out
}

// bindingLife is how long a denial can be turned into a request.
const bindingLife = 10 * time.Minute

type (
	evaluateIn  struct{ Body EvaluationRequest }
	evaluateOut struct{ Body *Decision }
)

func (s *server) evaluate(ctx context.Context, in *evaluateIn) (*evaluateOut, error) {
	d, err := s.decide(ctx, callerOf(ctx), &in.Body)
	return &evaluateOut{Body: d}, err
}

// decide answers one question. An error is for a question that can't be
// asked; a decision that nobody could make is a decision: false.
func (s *server) decide(ctx context.Context, c *identity.Caller, req *EvaluationRequest) (*Decision, error) {
	asker, a, err := s.question(c, req)
	if err != nil {
		return nil, err
	}
	now := s.Clock().UTC()
	d := &Decision{Context: &DecisionContext{EvaluationID: "eval_" + rand.Text(), EvaluatedAt: &now}}
	var ev Evaluation
	redeeming := req.Context != nil && req.Context.Approval != nil
	if redeeming {
		if !s.opens(req.Context.Approval, asker) {
			d.Context.Reason, d.Context.NextAction = "approval_unverifiable", "none"
			return d, nil
		}
		ev, err = s.Enforcer.Redeem(ctx, *asker, a, req.Context.Approval.ID)
	} else {
		a.Claims.Trace = infoOf(ctx).trace
		ev, err = s.Enforcer.Evaluate(ctx, *asker, a)
	}
	if err != nil {
		s.undecided(ctx, d, err)
		if d.Context.NextAction == "request" {
			err = s.askAnew(ctx, d, c, asker, a)
			return d, err
		}
		return d, nil
	}
	return d, s.conclude(d, c, req, asker, a, &ev)
}

// askAnew completes a denial whose approval no longer serves: people may be asked
// again, unless policy no longer says so (ARAP section 12).
func (s *server) askAnew(ctx context.Context, d *Decision, c *identity.Caller, asker *identity.Asker, a *action.Action) error {
	reason := d.Context.Reason
	a.Claims.Trace = infoOf(ctx).trace
	ev, err := s.Enforcer.Evaluate(ctx, *asker, a)
	if err != nil || ev.Verdict != policy.Review || (len(ev.Masks) > 0 || ev.RowLimit.Known) && c.Kind != identity.KindGate {
		d.Context.NextAction = "none"
		return nil
	}
	d.Context.Rule = ev.Rule
	err = s.requestable(d, asker, a, &ev)
	d.Context.Reason = reason
	return err
}

// undecided turns an error into a denial. Only a gate.Denied was written for the asker's eyes.
func (s *server) undecided(ctx context.Context, d *Decision, err error) {
	var denied *gate.Denied
	switch p := asProblem(err); {
	case errors.As(err, &denied) && denied.Status != gate.StatusNobody:
		d.Context.Reason, d.Context.NextAction = "policy_denied", "none"
	case errors.Is(err, approval.ErrMismatch):
		d.Context.Reason, d.Context.NextAction = "out_of_scope", "request"
	case p.Status == http.StatusConflict || p.Status == http.StatusNotFound || p.Status == http.StatusForbidden:
		d.Context.Reason, d.Context.NextAction = "approval_expired", "request"
	default:
		d.Context.Reason, d.Context.NextAction, d.Context.RetryAfter = "undecided", "retry", 5
		s.Logger.ErrorContext(ctx, "evaluation failed", "request_id", infoOf(ctx).id, "error", err)
	}
}

// conclude writes what the enforcer said. Allow is one branch.
func (s *server) conclude(d *Decision, c *identity.Caller, req *EvaluationRequest, asker *identity.Asker, a *action.Action, ev *Evaluation) error {
	d.Context.Rule = ev.Rule
	isGate := c.Kind == identity.KindGate
	owed, can := obligations(ev), isGate
	if req.Context != nil && req.Context.SupportedObligations != nil {
		can = can && slices.Contains(req.Context.SupportedObligations, custom)
	}
	switch {
	case ev.Verdict != policy.Deny && len(owed) > 0 && !can:
		// Nobody trustworthy would mask: an agent's own word that it will is
		// none. People aren't asked for what could not run afterwards.
		d.Context.Reason, d.Context.NextAction = "obligations", "none"
	case ev.Verdict == policy.Allow:
		d.Decision = true
		d.Context.Reason, d.Context.Obligations = "allowed", owed
		if req.Context != nil && req.Context.Approval != nil {
			d.Context.Reason = "approved"
			d.Context.Approval = &ApprovalRef{ID: req.Context.Approval.ID, ApprovedUntil: req.Context.Approval.ApprovedUntil}
		}
		if isGate {
			d.Context.Grant = ev.Grant
		}
	case ev.Verdict == policy.Review:
		return s.requestable(d, asker, a, ev)
	default:
		d.Context.Reason, d.Context.NextAction = "policy_denied", "none"
	}
	return nil
}

// requestable is a denial that people may lift: it carries a token for exactly
// this action, asker and credential.
func (s *server) requestable(d *Decision, asker *identity.Asker, a *action.Action, ev *Evaluation) error {
	salt := action.NewSalt()
	digest, err := a.Digest(salt)
	if err != nil {
		return badRequest("body.action", "the action has no canonical form")
	}
	life := bindingLife
	if ev.Expires > 0 {
		life = min(life, ev.Expires)
	}
	expires := s.Clock().UTC().Add(life).Truncate(time.Second)
	token, err := s.sealer.seal(purposeBinding, sealed{
		Subject: askerKey(asker), Credential: asker.Credential, Salt: base64.RawURLEncoding.EncodeToString(salt[:]),
		Digest: digest.String(), ID: d.Context.EvaluationID, Expires: expires.Unix(),
	})
	if err != nil {
		return err
	}
	d.Context.Reason, d.Context.NextAction, d.Context.Who = "approval_required", "request", ev.Who
	d.Context.AccessRequest = &AccessRequest{Endpoint: s.base + "/access/v1/requests", ExpiresAt: expires, BindingToken: token}
	return nil
}

// opens reports whether an approval reference belongs to this asker. It opens
// nothing by itself: the engine compares the action with the approved one.
func (s *server) opens(ref *ApprovalRef, asker *identity.Asker) bool {
	token, err := s.sealer.open(purposeApproval, ref.State)
	return err == nil && token.Approval == ref.ID && token.Subject == askerKey(asker) && token.Credential == asker.Credential
}

// question turns the wire into an asker and an action, or refuses it.
func (s *server) question(c *identity.Caller, req *EvaluationRequest) (*identity.Asker, *action.Action, error) {
	asker, err := s.asker(c, &req.Subject)
	if err != nil {
		return nil, nil, err
	}
	a, err := describeAction(req, c.Kind == identity.KindGate)
	if err != nil {
		return nil, nil, err
	}
	a.Subject, a.Actors = asker.Subject.ID, asker.Links()
	return asker, a, nil
}

// asker is who the question is from: for an actor's credential itself and
// nobody else, for a gate whom it authenticated.
func (s *server) asker(c *identity.Caller, subject *Subject) (*identity.Asker, error) {
	if c.Kind == identity.KindGate {
		return s.asserted(c, subject)
	}
	if c.Asker == nil || len(c.Asker.Chain) == 0 {
		return nil, problem(http.StatusForbidden, "scope", "This credential asks for nobody.")
	}
	self := c.Asker.Chain[0]
	isActor := subject.ID == self.ID && subject.Type == self.Type
	isPerson := subject.ID == c.Asker.Subject.ID && subject.Type == "person"
	if !isActor && !isPerson || subject.Properties != nil {
		return nil, problem(http.StatusForbidden, "subject", "This credential evaluates only "+self.ID+". Asserting another subject takes gate scope.")
	}
	asker := *c.Asker
	asker.Credential, asker.Expires, asker.Scopes = c.Token, c.Expires, c.Scopes
	return &asker, nil
}

// asserted builds the asker that a gate vouches for, from the directory: the
// gate names people and actors, it doesn't describe them.
func (s *server) asserted(c *identity.Caller, subject *Subject) (*identity.Asker, error) {
	asker := &identity.Asker{Credential: c.Token, Expires: c.Expires, Scopes: c.Scopes}
	unknown := func(id string) error {
		return badRequest("body.subject", fmt.Sprintf("%.256q is not in the directory", id))
	}
	var acting []string
	if subject.Properties != nil {
		acting = subject.Properties.Act
	}
	if subject.Type == "person" {
		p, ok := s.Directory.Person(subject.ID)
		if !ok {
			return nil, unknown(subject.ID)
		}
		asker.Subject = p
	} else {
		acting = append(slices.Clone(acting), subject.ID)
	}
	for _, id := range acting {
		actor, ok := s.Directory.ActorByID(id)
		if !ok || id == subject.ID && actor.Type != subject.Type {
			return nil, unknown(id)
		}
		asker.Chain = append(asker.Chain, actor)
	}
	if len(asker.Chain) == 0 {
		asker.Chain = []identity.Actor{{ID: asker.Subject.ID, Type: "human", Owner: asker.Subject.ID}}
	}
	if owner := asker.Chain[0].Owner; asker.Subject.ID == "" && owner != "" {
		p, ok := s.Directory.Person(owner)
		if !ok {
			return nil, unknown(owner)
		}
		asker.Subject = p
	}
	return asker, nil
}

// describeAction reads an action. What only a gate can know is refused from
// anyone else, so that nobody mistakes a claim for a fact.
func describeAction(req *EvaluationRequest, isGate bool) (*action.Action, error) {
	p := &req.Action.Properties
	if !isGate && (req.Resource.Properties != nil || req.Context != nil && req.Context.Data != nil || p.Reversible || len(p.Objects) > 0) {
		return nil, problem(http.StatusForbidden, "facts", "Only a gate states resource properties, objects, reversibility and data: it saw them on the wire.")
	}
	payload, err := payloadOf(p)
	if err != nil {
		return nil, err
	}
	a := &action.Action{
		Verb: req.Action.Name, Target: p.Target, Reversible: p.Reversible,
		Title:   strings.TrimSpace(req.Action.Name + " " + plain(p.Target)),
		Payload: payload, State: p.State, Objects: p.Objects,
		Resource: action.Resource{URN: req.Resource.ID, Type: req.Resource.Type},
		Data:     action.Data{Unscanned: true},
	}
	if utf8.Valid(payload) {
		a.Statement = string(payload)
	}
	for _, k := range p.Kinds {
		if !action.Kind(k).Valid() {
			return nil, badRequest("body.action.properties.kinds", fmt.Sprintf("%.64q is not a kind", k))
		}
		if !slices.Contains(a.Kinds, action.Kind(k)) {
			a.Kinds = append(a.Kinds, action.Kind(k))
		}
	}
	if r := req.Resource.Properties; r != nil {
		a.Resource.Env, a.Resource.Labels = r.Env, r.Labels
	}
	if c := req.Context; c != nil {
		a.Claims = action.Claims{Reason: c.Reason, Ticket: c.Ticket, Session: c.Session, Intent: c.Intent, BreakGlass: c.BreakGlass}
		facts(&a.Data, c.Data)
	}
	// Nobody parsed the payload, so its shape is all that it says it does: other
	// words for what people denied are no new question.
	slices.Sort(a.Kinds)
	shape := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q", a.Verb, a.Target, a.Kinds, a.Resource.Type, a.Resource.URN))
	a.Shape = hex.EncodeToString(shape[:])
	if _, err := a.Envelope(); err != nil {
		return nil, badRequest("body.action", "the action has no canonical form")
	}
	return a, nil
}

// payloadOf wants exactly one payload, and not an empty one: an empty tool
// input judged as harmless is a bug that others have had.
func payloadOf(p *ActionProperties) ([]byte, error) {
	if (p.Payload == "") == (p.PayloadBase64 == "") {
		return nil, badRequest("body.action.properties", "give the exact bytes as payload or payload_base64, one of them")
	}
	if p.Payload != "" {
		return []byte(p.Payload), nil
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(p.PayloadBase64)
	if err != nil || len(payload) == 0 {
		return nil, badRequest("body.action.properties.payload_base64", "not standard base64")
	}
	return payload, nil
}

func facts(d *action.Data, f *DataFacts) {
	if f == nil {
		return
	}
	if f.Rows != nil {
		d.Rows = action.KnownCount(*f.Rows)
	}
	if f.Bytes != nil {
		d.Bytes = action.KnownCount(*f.Bytes)
	}
	d.ClassesKnown, d.Unscanned, d.Inferred = f.ClassesKnown, !f.Scanned, f.Inferred
	d.Classes = slices.Compact(slices.Sorted(slices.Values(f.Classes)))
	d.Groups = slices.Compact(slices.Sorted(slices.Values(f.Groups)))
	d.Destination, d.DestinationTrust = f.Destination, f.DestinationTrust
}

// plain drops what would move a title's other words about: control and format characters.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

func badRequest(location, message string) *Problem {
	p := problem(http.StatusBadRequest, "invalid", "The request can't be used as it is.")
	p.Errors = []ProblemField{{Location: location, Message: message}}
	return p
}
