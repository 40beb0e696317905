package api

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// assurance is what a review over this API is worth: a token, nothing more.
const assurance = "token"

// An ApprovalView is an approval as reviewers see it: masked text, figures, reasons.
type ApprovalView struct {
	ID      string    `json:"id"`
	State   string    `json:"state" enum:"pending,approved,denied,expired,withdrawn,executing,executed,failed,unknown,planned" doc:"planned: an item of a plan that is pending"`
	Version int64     `json:"version" doc:"Send it back with a review"`
	Digest  string    `json:"digest" doc:"Of the action. Send it back with a review"`
	URL     string    `json:"url"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Decided time.Time `json:"decided,omitzero"`

	Title     string   `json:"title"`
	Kinds     []string `json:"kinds"`
	Verb      string   `json:"verb,omitempty"`
	Target    string   `json:"target,omitempty"`
	Resource  string   `json:"resource"`
	Env       string   `json:"env,omitempty"`
	Gate      string   `json:"gate,omitempty"`
	Statement string   `json:"statement" doc:"Masked"`
	Masked    []Masked `json:"masked,omitempty" doc:"Where a value was replaced in the statement"`
	Data      DataView `json:"data"`
	Risk      RiskView `json:"risk" doc:"How grave it is, as policy saw it. It orders approvals"`
	Claims    Claims   `json:"claims" doc:"The asker's own words. Nothing here was checked"`
	Lead      *Lead    `json:"lead,omitempty" doc:"What led to it, as far as anybody knows"`

	Subject  Party   `json:"subject" doc:"On whose behalf"`
	Chain    []Party `json:"chain" doc:"Who acts, the acting one first"`
	Asks     string  `json:"asks" doc:"Who must decide: 2 of data-owners"`
	Policy   string  `json:"policy" doc:"Digest of the bundle that decided"`
	Reason   string  `json:"reason,omitempty"`
	Rules    []Rule  `json:"rules"`
	Seats    []Seat  `json:"seats"`
	Reviews  []Reply `json:"reviews"`
	Repeats  int     `json:"repeats,omitempty" doc:"Recent denials of the same thing"`
	Locks    bool    `json:"holds_locks,omitempty" doc:"It waits inside an open transaction"`
	Gone     bool    `json:"asker_gone,omitempty"`
	Grant    string  `json:"grant,omitempty" doc:"Id of the grant, never the grant"`
	Outcome  string  `json:"outcome,omitempty"`
	YouMay   bool    `json:"you_may_review" doc:"With this credential, over this API"`
	Nudge    string  `json:"nudge,omitempty" doc:"You seem to approve without reading, and why"`
	YouCant  string  `json:"you_may_not_because,omitempty"`
	YouNeed  string  `json:"you_need,omitempty" doc:"The assurance it takes, when this API's isn't enough: review at url"`
	RowLimit *int64  `json:"row_limit,omitempty"`

	Remarks  []Remark          `json:"remarks,omitempty" doc:"Reviewers' questions and the answers of the asker's side"`
	Steps    []Step            `json:"steps,omitempty" doc:"Reminders and escalations, soonest first"`
	Masks    map[string]string `json:"masks,omitempty" doc:"What is masked in what comes back, with what reviewers added: class to method"`
	UseUntil int64             `json:"use_within,omitempty" doc:"Seconds that it stays usable once approved, with what reviewers took away"`

	Standing   string `json:"standing,omitempty" doc:"It ran on this standing grant"`
	BreakGlass string `json:"break_glass,omitempty" doc:"It ran in this emergency"`

	Canary string `json:"canary,omitempty" doc:"It was a canary, and how it ended. Told once it is over"`

	Preview *PreviewView `json:"preview,omitempty" doc:"What it would do, found without doing it. Missing: nobody looked"`

	Items    []PlanItem `json:"items,omitempty" doc:"Of a plan: all that it would do, in the order it was asked. They are approved together or not at all"`
	Plan     string     `json:"plan,omitempty" doc:"The plan that this is an item of. Items are answered with their plan"`
	PlanItem int        `json:"plan_item,omitempty" doc:"Its place there, from 1"`
}

// PreviewView is for reviewers: the asker never hears of it.
type PreviewView struct {
	Text  string     `json:"text,omitempty" doc:"would change 18 rows of customers"`
	Why   string     `json:"why,omitempty" doc:"Why there is none, or why nothing holds the action to it"`
	By    string     `json:"by,omitempty"`
	Time  *time.Time `json:"time,omitempty"`
	Rows  *int64     `json:"rows,omitempty" doc:"Counted. Missing: unknown"`
	Bound *int64     `json:"bound,omitempty" doc:"Rows the gate holds it to while it runs. Missing: none"`
}

// Masked marks bytes [start, end) of a statement.
type Masked struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Class string `json:"class"`
}

// DataView is what is known of the data. What is missing is unknown, never zero.
type DataView struct {
	Rows         *int64           `json:"rows,omitempty"`
	Bytes        *int64           `json:"bytes,omitempty"`
	Classes      []string         `json:"classes,omitempty"`
	ClassesKnown bool             `json:"classes_known" doc:"False: there may be more classes"`
	Findings     map[string]int64 `json:"findings,omitempty"`
	Unscanned    bool             `json:"unscanned,omitempty"`
	Destination  string           `json:"destination,omitempty"`
}

// Claims are unchecked.
type Claims struct {
	Reason     string `json:"reason,omitempty"`
	Ticket     string `json:"ticket,omitempty"`
	Intent     string `json:"intent,omitempty"`
	BreakGlass bool   `json:"break_glass,omitempty"`
}

// A Lead is what led to an action. Session and prompt are the asker's words.
type Lead struct {
	Session    string     `json:"session,omitempty" doc:"As the asker's side names it"`
	Prompt     string     `json:"prompt,omitempty" doc:"What the agent was told to do, as its side tells: masked, and its beginning only where it is long"`
	PromptHash string     `json:"prompt_hash,omitempty" doc:"Keyed; the same prompt has the same"`
	PromptTime *time.Time `json:"prompt_time,omitempty"`
	Names      string     `json:"names_target,omitempty" doc:"Whether the prompt names the target; left out where nobody can tell" enum:"yes,no"`
	By         []LedBy    `json:"by,omitempty" doc:"Actions that it came from, the first one first"`
	Saw        []Saw      `json:"saw,omitempty" doc:"What its actor, or another of the same person, has seen lately"`
}

// A LedBy is an action that led to another.
type LedBy struct {
	ID    string `json:"id" doc:"As its records name it, in detail act"`
	Title string `json:"title"`
	How   string `json:"how" doc:"stated: the asker says so; seen: it was the only one under way" enum:"stated,seen"`
}

// A Saw is why an actor counts as tainted.
type Saw struct {
	Kind  string    `json:"kind" enum:"sensitive,untrusted"`
	What  string    `json:"what"`
	Actor string    `json:"actor"`
	Act   string    `json:"act,omitempty" doc:"What brought it"`
	Time  time.Time `json:"time"`
	Until time.Time `json:"until"`
}

func leadView(l *approval.Lead) *Lead {
	if l == nil {
		return nil
	}
	v := &Lead{Session: l.Session, Names: l.Names}
	if p := l.Prompt; p != nil {
		t := p.Time.UTC()
		v.Prompt, v.PromptHash, v.PromptTime = p.Text, p.Hash, &t
	}
	for _, by := range l.By {
		v.By = append(v.By, LedBy(by))
	}
	for _, s := range l.Saw {
		v.Saw = append(v.Saw, Saw{s.Kind, s.What, s.Actor, s.Act, s.Time.UTC(), s.Until.UTC()})
	}
	return v
}

// A Party is a person or an actor.
type Party struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
}

// A Rule is one that matched, with the atoms that made it match.
type Rule struct {
	Rule  string `json:"rule"`
	Pack  string `json:"pack,omitempty"`
	Then  string `json:"then"`
	Atoms []Atom `json:"atoms,omitempty"`
	// Tags are the threats that the rule is about: ASI02, T1485.
	Tags []string `json:"tags,omitempty"`
}

// An Atom is one condition and the value it had.
type Atom struct {
	Expr  string `json:"expr"`
	Value string `json:"value,omitempty"`
	Holds string `json:"holds" enum:"yes,no,unknown"`
}

// A Seat is one place in the quorum.
type Seat struct {
	Rule   string   `json:"rule"`
	Groups []string `json:"groups"`
	Person string   `json:"person,omitempty" doc:"Who took it; absent while it is free"`
	Name   string   `json:"name,omitempty"`
}

// A Reply is one review.
type Reply struct {
	ID        string    `json:"id"`
	Person    string    `json:"person"`
	Name      string    `json:"name,omitempty"`
	Decision  string    `json:"decision" enum:"approve,deny"`
	Reason    string    `json:"reason,omitempty"`
	Channel   string    `json:"channel"`
	Assurance string    `json:"assurance"`
	Time      time.Time `json:"time"`

	Obligation *Besides `json:"obligation,omitempty" doc:"What this reviewer asks for besides"`
}

type listApprovalsIn struct {
	State  []string `query:"state" enum:"pending,approved,denied,expired,withdrawn,executing,executed,failed,unknown" doc:"Several separated by commas; all unless given"`
	Actor  string   `query:"actor" maxLength:"256"`
	Limit  int      `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string   `query:"cursor" maxLength:"256" doc:"next of the page before"`
}

// A Page of approvals.
type Page struct {
	Approvals []*ApprovalView `json:"approvals"`
	Next      string          `json:"next,omitempty" doc:"cursor of the next page; absent on the last"`
}

type listApprovalsOut struct{ Body Page }

func (s *server) listApprovals(ctx context.Context, in *listApprovalsIn) (*listApprovalsOut, error) {
	f := approval.Filter{Actor: in.Actor}
	for _, state := range in.State {
		f.States = append(f.States, approval.State(state))
	}
	after, err := readCursor(in.Cursor)
	if err != nil {
		return nil, err
	}
	if after != nil {
		f.Behind = approval.Place{Created: time.UnixMicro(after.micro).UTC(), ID: after.id}
	}
	f.Limit = in.Limit + 1 // one more tells whether there is a next page
	found, err := s.Approvals.List(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &listApprovalsOut{Body: Page{Approvals: []*ApprovalView{}}}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		out.Body.Next = cursorOf(found[in.Limit-1]).String()
	}
	for _, a := range found {
		out.Body.Approvals = append(out.Body.Approvals, s.view(callerOf(ctx), a))
	}
	return out, nil
}

// A cursor is a place in the list: an approval's time and id.
type cursor struct {
	micro int64
	id    string
}

func cursorOf(a *approval.Approval) *cursor { return &cursor{a.Created.UnixMicro(), a.ID} }

func (c *cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", c.micro, c.id))
}

// readCursor returns nil for the first page.
func readCursor(s string) (*cursor, error) {
	if s == "" {
		return nil, nil
	}
	var c cursor
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = fmt.Sscanf(string(raw), "%d %64s", &c.micro, &c.id)
	}
	if err != nil {
		return nil, badRequest("query.cursor", "not a cursor of ours")
	}
	return &c, nil
}

type getApprovalIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Wait string `query:"wait" maxLength:"8" pattern:"^[0-9]{1,2}s$" doc:"Wait that long for a decision before answering: 30s; at most 60s"`
}

type approvalOut struct{ Body *ApprovalView }

func (s *server) getApproval(ctx context.Context, in *getApprovalIn) (*approvalOut, error) {
	a, err := s.Approvals.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	wait, err := time.ParseDuration("0" + in.Wait)
	if err != nil || wait > maxWait {
		return nil, badRequest("query.wait", "between 0s and 60s")
	}
	if a, err = s.await(ctx, a, int(wait/time.Second)); err != nil {
		return nil, err
	}
	return s.shown(ctx, callerOf(ctx), a)
}

// A ReviewRequest is an answer to exactly what was shown.
type ReviewRequest struct {
	Decision string `json:"decision" enum:"approve,deny"`
	Reason   string `json:"reason,omitempty" maxLength:"2000" doc:"Needed to deny"`
	Digest   string `json:"digest" doc:"Of the action, as it was shown"`
	Version  int64  `json:"version" doc:"Of the approval, as it was shown"`

	Standing   *StandingScope `json:"standing,omitempty" doc:"Allow the same again, within this scope"`
	Obligation *Besides       `json:"obligation,omitempty" doc:"Approve only with this besides; it can only tighten"`
}

type reviewIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Body ReviewRequest
}

func (s *server) reviewApproval(ctx context.Context, in *reviewIn) (*approvalOut, error) {
	c := callerOf(ctx)
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People review; nothing else does.")
	}
	digest, err := action.ParseDigest(in.Body.Digest)
	if err != nil {
		return nil, badRequest("body.digest", "copy it from the approval: sha256: and 64 hexadecimal digits")
	}
	if in.Body.Decision == approval.Deny && strings.TrimSpace(in.Body.Reason) == "" {
		return nil, badRequest("body.reason", "a denial needs a reason")
	}
	a, err := s.Reviews.Answer(ctx, approval.Answer{
		Approval: in.ID, Person: *c.Person, Decision: in.Body.Decision, Reason: in.Body.Reason, Obligation: in.Body.Obligation.asked(),
		Channel: "api", Assurance: assurance, Digest: digest, Version: in.Body.Version,
		Standing: in.Body.Standing.scope(),
	})
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, c, a)
}

// A WithdrawRequest says why an approval ends.
type WithdrawRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

type withdrawIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^apr_[0-9A-Za-z]+$"`
	Body WithdrawRequest
}

func (s *server) withdrawApproval(ctx context.Context, in *withdrawIn) (*approvalOut, error) {
	c := callerOf(ctx)
	a, err := s.Reviews.Withdraw(ctx, in.ID, nameOf(c), in.Body.Reason)
	if err != nil {
		return nil, err
	}
	return s.shown(ctx, c, a)
}

func dataView(d *action.Data) DataView {
	return DataView{
		Rows: known(d.Rows), Bytes: known(d.Bytes), Classes: d.Classes, ClassesKnown: d.ClassesKnown,
		Findings: d.Findings, Unscanned: d.Unscanned, Destination: d.Destination,
	}
}

func previewView(p *action.Preview) *PreviewView {
	if p == nil {
		return nil
	}
	v := &PreviewView{Text: p.Text, Why: p.Why, By: p.By, Rows: known(p.Rows), Bound: known(p.Bound())}
	if !p.Time.IsZero() {
		t := p.Time.UTC()
		v.Time = &t
	}
	return v
}

// view is the reviewers' picture of an approval.
func (s *server) view(c *identity.Caller, a *approval.Approval) *ApprovalView {
	bounds := a.Bounds()
	v := &ApprovalView{
		ID: a.ID, State: string(a.State), Version: a.Version, Digest: a.Digest.String(), URL: s.base + "/approvals/" + a.ID,
		Created: a.Created.UTC(), Expires: a.Expires.UTC(), Decided: a.Decided,
		Title: a.Title, Verb: a.Verb, Target: a.Target, Resource: a.Resource.URN, Env: a.Resource.Env, Gate: a.Gate, Standing: a.Standing, BreakGlass: a.BreakGlass, Canary: a.Reveals(),
		Statement: a.Statement, Kinds: []string{}, Chain: []Party{}, Rules: []Rule{}, Seats: []Seat{}, Reviews: []Reply{},
		Data:    dataView(&a.Data),
		Risk:    riskView(a),
		Claims:  Claims{Reason: a.Claims.Reason, Ticket: a.Claims.Ticket, Intent: a.Claims.Intent, BreakGlass: a.Claims.BreakGlass},
		Lead:    leadView(a.Lead),
		Subject: Party{ID: a.Asker.Subject.ID, Name: a.Asker.Subject.Name}, Asks: a.Asks(), Policy: a.Policy, Reason: a.Reason,
		Repeats: a.Repeats, Locks: a.OpenTransaction, Gone: a.AskerGone, Grant: a.GrantID, Outcome: a.Outcome, RowLimit: known(bounds.Rows),
		Items: planItems(a), Plan: a.Plan, PlanItem: a.Position,
		Preview: previewView(a.Preview), Remarks: remarksView(a), Steps: stepsView(a), Masks: bounds.Masks, UseUntil: int64(bounds.Window / time.Second),
	}
	for _, k := range a.Kinds {
		v.Kinds = append(v.Kinds, string(k))
	}
	for _, m := range a.Masked {
		v.Masked = append(v.Masked, Masked{Start: m.Start, End: m.End, Class: m.Class})
	}
	for _, p := range a.Asker.Chain {
		v.Chain = append(v.Chain, Party{ID: p.ID, Type: p.Type})
	}
	for _, h := range a.Rules {
		v.Rules = append(v.Rules, ruleView(h))
	}
	for _, seat := range s.Reviews.Progress(a) {
		v.Seats = append(v.Seats, Seat{Rule: seat.Rule, Groups: seat.Groups, Person: seat.Person, Name: seat.Name})
	}
	for _, r := range a.Reviews {
		v.Reviews = append(v.Reviews, Reply{
			ID: r.ID, Person: r.Person, Name: r.Name, Decision: r.Decision, Reason: r.Reason,
			Channel: r.Channel, Assurance: r.Assurance, Time: r.Time.UTC(), Obligation: obligationView(&r.Obligation),
		})
	}
	s.mayReview(v, c, a)
	return v
}

func (s *server) mayReview(v *ApprovalView, c *identity.Caller, a *approval.Approval) {
	if c.Person == nil || !c.Has(identity.ScopeReview) {
		v.YouCant = "this credential has no review scope"
		return
	}
	err := s.Reviews.MayReview(a, c.Person, assurance)
	if err == nil {
		v.YouMay = true
		if s.Nudge != nil {
			v.Nudge = s.Nudge(c.Person.ID)
		}
		return
	}
	p := asProblem(err)
	v.YouCant, v.YouNeed = p.Detail, p.Need
}

func ruleView(h policy.Hit) Rule {
	r := Rule{Rule: h.Rule, Pack: h.Pack, Then: h.Then, Tags: h.Tags}
	for _, a := range h.Atoms {
		r.Atoms = append(r.Atoms, Atom{Expr: a.Expr, Value: a.Value, Holds: [...]string{"unknown", "no", "yes"}[a.Holds]})
	}
	return r
}

func known(c action.Count) *int64 {
	if !c.Known {
		return nil
	}
	return &c.N
}

// engineProblem maps the approval engine's errors, whose words are for people.
func engineProblem(err error) *Problem {
	var excluded approval.ErrExcluded
	var need approval.ErrAssurance
	var full *approval.CapError
	var nobody *approval.UnsatisfiableError
	var frozen *approval.FrozenError
	switch {
	case errors.Is(err, approval.ErrNotFound):
		return problem(http.StatusNotFound, "not-found", "There is no such approval.")
	case errors.As(err, &excluded):
		return problem(http.StatusForbidden, "excluded", excluded.Error())
	case errors.Is(err, approval.ErrNotEligible):
		return problem(http.StatusForbidden, "not-eligible", approval.ErrNotEligible.Error())
	case errors.As(err, &need):
		p := problem(http.StatusForbidden, "assurance", "This review takes "+need.Need+". Open the approval's url and review there.")
		p.Need = need.Need
		return p
	case errors.Is(err, approval.ErrPart):
		return problem(http.StatusConflict, "part-of-a-plan", "It is one item of a plan: answer the plan.")
	case errors.Is(err, approval.ErrTwice):
		return problem(http.StatusBadRequest, "invalid", "The same action stands in the plan before, and each is used once. Ask for it by itself.")
	case errors.Is(err, approval.ErrReviewed):
		return problem(http.StatusConflict, "reviewed", "You have reviewed this already.")
	case errors.Is(err, approval.ErrDecided):
		return problem(http.StatusConflict, "decided", approval.ErrDecided.Error())
	case errors.Is(err, approval.ErrExpired):
		return problem(http.StatusConflict, "expired", approval.ErrExpired.Error())
	case errors.Is(err, approval.ErrChanged), errors.Is(err, approval.ErrConflict):
		return problem(http.StatusConflict, "changed", approval.ErrChanged.Error())
	case errors.Is(err, approval.ErrNotApproved), errors.Is(err, approval.ErrMismatch), errors.Is(err, approval.ErrNotAsker):
		return problem(http.StatusConflict, "not-approved", "The approval doesn't belong to this action and credential, or was used.")
	case errors.As(err, &full):
		p := problem(http.StatusTooManyRequests, "too-many-pending", tooMany(full))
		p.retryAfter = time.Minute
		return p
	case errors.As(err, &frozen):
		return problem(http.StatusForbidden, "frozen", "It is frozen. Ask "+frozen.Who+".")
	case errors.As(err, &nobody):
		reason, hint := nobody.ForAsker()
		return problem(http.StatusForbidden, "nobody-may-approve", "It is denied, because "+reason+": "+hint+".")
	case errors.Is(err, approval.ErrNoHuman):
		return problem(http.StatusForbidden, "nobody-may-approve", "Nobody could approve this, so it is denied.")
	}
	return nil
}

func tooMany(c *approval.CapError) string {
	if c.Person != "" {
		return "Too many actions on behalf of the same person wait for people already."
	}
	return "Too many of this actor's actions wait for people already."
}

// gateProblem maps the enforcer's refusal, whose words are for the asker.
func gateProblem(err error) *Problem {
	var denied *gate.Denied
	if errors.Is(err, enforce.ErrNotHeld) {
		return problem(http.StatusForbidden, "not-held", "Policy doesn't ask people about this action any more. Evaluate it again.")
	}
	if !errors.As(err, &denied) || denied.Status == gate.StatusNobody {
		return nil
	}
	return problem(http.StatusForbidden, "denied", denied.Reason)
}

func tokenProblem(err error) *Problem {
	switch {
	case errors.Is(err, identity.ErrNoToken):
		return problem(http.StatusNotFound, "not-found", "There is no such token.")
	case errors.Is(err, identity.ErrTokenScope):
		return problem(http.StatusForbidden, "token-scope", "That kind of credential can't carry that scope. Reviewing and administering belong to people.")
	case errors.Is(err, identity.ErrBadToken):
		return problem(http.StatusBadRequest, "invalid", "The directory has no such person or actor (of a pipeline or service: pipeline:NAME, service:NAME), or the configuration no issuer of that name with scim: true.")
	}
	return nil
}

// knownErrors are asked in turn about an error that isn't a problem yet.
func knownErrors() []func(error) *Problem {
	return []func(error) *Problem{talkProblem, rulesProblem, toolsProblem, engineProblem, gateProblem, tokenProblem, peopleProblem, exceptionProblem, standingProblem, glassProblem, memberProblem, enrolProblem}
}
