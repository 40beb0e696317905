package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// An Approval is a held action as reviewers see it. Its text is masked.
type Approval struct {
	ID      string    `json:"id"`
	State   string    `json:"state"` // pending, approved, denied, expired, withdrawn, executing, executed, failed, unknown; planned: an item of a pending plan
	Version int64     `json:"version"`
	Digest  string    `json:"digest"`
	URL     string    `json:"url"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Decided time.Time `json:"decided,omitzero"`

	Title      string   `json:"title"`
	Kinds      []string `json:"kinds"`
	Verb       string   `json:"verb,omitempty"`
	Target     string   `json:"target,omitempty"`
	Resource   string   `json:"resource"`
	Env        string   `json:"env,omitempty"`
	Gate       string   `json:"gate,omitempty"`
	Canary     string   `json:"canary,omitempty"`      // it was one that nobody asked for; told once it is over
	Standing   string   `json:"standing,omitempty"`    // it ran on this standing grant
	BreakGlass string   `json:"break_glass,omitempty"` // it ran in this emergency
	Statement  string   `json:"statement"`
	Masked     []Masked `json:"masked,omitempty"`
	Data       Data     `json:"data"`
	Risk       Risk     `json:"risk"`   // orders approvals
	Claims     Claims   `json:"claims"` // the asker's own words, unchecked
	Lead       *Lead    `json:"lead,omitempty"`

	Subject  Party    `json:"subject"`
	Chain    []Party  `json:"chain"` // the acting one first
	Asks     string   `json:"asks"`  // "2 of data-owners"
	Policy   string   `json:"policy"`
	Reason   string   `json:"reason,omitempty"`
	Rules    []Rule   `json:"rules"`
	Seats    []Seat   `json:"seats"`
	Reviews  []Review `json:"reviews"`
	Repeats  int      `json:"repeats,omitempty"`
	Locks    bool     `json:"holds_locks,omitempty"`
	Gone     bool     `json:"asker_gone,omitempty"`
	Grant    string   `json:"grant,omitempty"` // id, never the grant itself
	Outcome  string   `json:"outcome,omitempty"`
	YouMay   bool     `json:"you_may_review"`  // with this token, over this API
	Nudge    string   `json:"nudge,omitempty"` // you seem to approve without reading, and why
	YouCant  string   `json:"you_may_not_because,omitempty"`
	YouNeed  string   `json:"you_need,omitempty"` // assurance it takes: review at URL
	RowLimit *int64   `json:"row_limit,omitempty"`
	Preview  *Preview `json:"preview,omitempty"` // nil: nobody looked
	Remarks  []Remark `json:"remarks,omitempty"`
	Steps    []Step   `json:"steps,omitempty"`      // soonest first
	UseUntil int64    `json:"use_within,omitempty"` // seconds that it stays usable once approved

	Masks map[string]string `json:"masks,omitempty"` // class to method, with what reviewers added

	Items    []PlanItem `json:"items,omitempty"`     // of a plan, in the order they were asked
	Plan     string     `json:"plan,omitempty"`      // of which this is an item
	PlanItem int        `json:"plan_item,omitempty"` // its place there, from 1
}

// A Risk is how grave an action is, as its card says it.
type Risk struct {
	Level string `json:"level"` // critical, high or moderate
	Score int    `json:"score"`
	Why   string `json:"why"`
}

// A PlanItem is one action of a plan as reviewers see it.
type PlanItem struct {
	ID      string `json:"id"`
	Digest  string `json:"digest"`
	State   string `json:"state,omitempty"` // missing in lists
	Outcome string `json:"outcome,omitempty"`
	Rank    int    `json:"rank"` // 1: the gravest of the plan

	Title     string   `json:"title"`
	Kinds     []string `json:"kinds"`
	Verb      string   `json:"verb,omitempty"`
	Target    string   `json:"target,omitempty"`
	Resource  string   `json:"resource"`
	Env       string   `json:"env,omitempty"`
	Statement string   `json:"statement"` // masked
	Masked    []Masked `json:"masked,omitempty"`
	Data      Data     `json:"data"`
	Reason    string   `json:"reason,omitempty"`
	Repeats   int      `json:"repeats,omitempty"`

	RowLimit *int64            `json:"row_limit,omitempty"`
	Masks    map[string]string `json:"masks,omitempty"`
	Preview  *Preview          `json:"preview,omitempty"`
}

// Preview is what an action would do, found without doing it.
type Preview struct {
	Text  string     `json:"text,omitempty"` // "would change 18 rows of customers"; "": Why says why there is none
	Why   string     `json:"why,omitempty"`
	By    string     `json:"by,omitempty"`
	Time  *time.Time `json:"time,omitempty"`
	Rows  *int64     `json:"rows,omitempty"`  // counted; nil is unknown
	Bound *int64     `json:"bound,omitempty"` // rows the gate holds it to while it runs; nil: none
}

// Masked marks bytes [Start, End) of a statement.
type Masked struct {
	Start int    `json:"start"`
	End   int    `json:"end"`
	Class string `json:"class"`
}

// Data is what is known of the data; nil is unknown, never zero.
type Data struct {
	Rows         *int64           `json:"rows,omitempty"`
	Bytes        *int64           `json:"bytes,omitempty"`
	Classes      []string         `json:"classes,omitempty"`
	ClassesKnown bool             `json:"classes_known"`
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

// A Lead is what led to an action, as far as anybody knows. Session and prompt are
// the asker's words, unchecked.
type Lead struct {
	Session    string     `json:"session,omitempty"`
	Prompt     string     `json:"prompt,omitempty"` // masked
	PromptHash string     `json:"prompt_hash,omitempty"`
	PromptTime *time.Time `json:"prompt_time,omitempty"`
	Names      string     `json:"names_target,omitempty"` // whether the prompt names the target: yes, no, or ""
	By         []LedBy    `json:"by,omitempty"`           // the first one first
	Saw        []Saw      `json:"saw,omitempty"`
}

// A LedBy is an action that led to another. How is stated (by the asker's side) or seen.
type LedBy struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	How   string `json:"how"`
}

// A Saw is what an actor has seen lately: Kind is sensitive or untrusted.
type Saw struct {
	Kind  string    `json:"kind"`
	What  string    `json:"what"`
	Actor string    `json:"actor"`
	Act   string    `json:"act,omitempty"`
	Time  time.Time `json:"time"`
	Until time.Time `json:"until"`
}

// A Rule is one that matched.
type Rule struct {
	Rule  string `json:"rule"`
	Pack  string `json:"pack,omitempty"`
	Then  string `json:"then"`
	Atoms []Atom `json:"atoms,omitempty"`
}

// An Atom is one condition and the value it had. Holds is yes, no or unknown.
type Atom struct {
	Expr  string `json:"expr"`
	Value string `json:"value,omitempty"`
	Holds string `json:"holds"`
}

// A Seat is one place in the quorum; Person is "" while it is free.
type Seat struct {
	Rule   string   `json:"rule"`
	Groups []string `json:"groups"`
	Person string   `json:"person,omitempty"`
	Name   string   `json:"name,omitempty"`
}

// A Review is one person's answer.
type Review struct {
	ID        string    `json:"id"`
	Person    string    `json:"person"`
	Name      string    `json:"name,omitempty"`
	Decision  string    `json:"decision"`
	Reason    string    `json:"reason,omitempty"`
	Channel   string    `json:"channel"`
	Assurance string    `json:"assurance"`
	Time      time.Time `json:"time"`

	Obligation *Besides `json:"obligation,omitempty"` // what this reviewer asks for besides
}

// A ListOptions selects approvals; its zero value selects all of them, newest first.
type ListOptions struct {
	States []string
	Actor  string
	Limit  int    // at most 200; 50 unless set
	Cursor string // Next of the page before
}

// A Page of approvals; Next is "" on the last.
type Page struct {
	Approvals []*Approval `json:"approvals"`
	Next      string      `json:"next"`
}

// Approvals lists approvals, newest first.
func (c *Client) Approvals(ctx context.Context, o ListOptions) (*Page, error) {
	q := url.Values{}
	set(q, "state", strings.Join(o.States, ","))
	set(q, "actor", o.Actor)
	set(q, "cursor", o.Cursor)
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	var out Page
	if err := c.do(ctx, http.MethodGet, "/v1/approvals", q, nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Approval reads one approval.
func (c *Client) Approval(ctx context.Context, id string) (*Approval, error) {
	return c.approval(ctx, http.MethodGet, id, "", nil, nil)
}

// Wait returns the approval once it is no longer pending, or when ctx ends.
func (c *Client) Wait(ctx context.Context, id string) (*Approval, error) {
	for {
		a, err := c.approval(ctx, http.MethodGet, id, "", url.Values{"wait": {"30s"}}, nil)
		if err != nil || a.State != "pending" {
			return a, err
		}
	}
}

// Decisions of a review.
const (
	Approve = "approve"
	Deny    = "deny"
)

// Review answers exactly what a shows: had it changed meanwhile, the error is
// of kind "changed" and nothing was decided. A denial needs a reason.
func (c *Client) Review(ctx context.Context, a *Approval, decision, reason string) (*Approval, error) {
	return c.ReviewWith(ctx, a, decision, reason, nil, nil)
}

// Withdraw ends an approval without a decision.
func (c *Client) Withdraw(ctx context.Context, id, reason string) (*Approval, error) {
	return c.approval(ctx, http.MethodPost, id, "/withdraw", nil, struct {
		Reason string `json:"reason"`
	}{reason})
}

func (c *Client) approval(ctx context.Context, method, id, verb string, q url.Values, in any) (*Approval, error) {
	var out Approval
	if err := c.do(ctx, method, "/v1/approvals/"+url.PathEscape(id)+verb, q, in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}
