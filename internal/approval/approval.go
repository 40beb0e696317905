// Package approval holds actions until people decide: the states of an
// approval, quorum, separation of duty, expiry, and the single use of what was
// approved.
//
// Nobody approves their own action, by any path. One person fills one seat.
// Every transition is one compare-and-swap guarded by state and version, in one
// transaction with its audit record. A stored "approved" proves nothing: when it
// is used, the quorum is computed again from sealed review records.
package approval

import (
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// A State of an approval.
type State string

// The states of docs/approvals.md.
const (
	Pending   State = "pending"
	Approved  State = "approved"
	Denied    State = "denied"
	Expired   State = "expired"
	Withdrawn State = "withdrawn"
	Executing State = "executing"
	Executed  State = "executed"
	Failed    State = "failed"
	Unknown   State = "unknown"
	// Planned is an item of a plan that waits for people: the plan is pending.
	Planned State = "planned"
)

// An Approval is a held action and everything a reviewer needs. Nothing in it
// is unmasked: Statement and Title are masked before they come here.
type Approval struct {
	ID      string // "apr_" and 16 characters of Crockford base32
	Version int64  // moves with everything that a reviewer must have seen
	// Revision guards every write; it moves also with what no reviewer need see again.
	Revision int64
	State    State

	Digest  action.Digest
	Salt    action.Salt
	Match   string // HMAC of the envelope: finds a retry
	Created time.Time
	Expires time.Time
	Window  time.Duration // how long an approval stays usable after the quorum
	Decided time.Time

	Asker    identity.Asker
	Excluded map[string]string // person or actor id → why; grows, never shrinks

	Kinds     []action.Kind
	Verb      string
	Target    string
	Title     string
	Shape     string
	Resource  action.Resource
	Data      action.Data
	Statement string        // masked
	Masked    []Span        // where in Statement a value was replaced
	Claims    action.Claims // escaped wherever it is shown

	Requirements []policy.Requirement
	Rules        []policy.Hit // with atoms
	Masks        map[string]string
	RowLimit     action.Count
	Preview      *action.Preview // what it would do; nil: nobody looked
	Lead         *Lead           `json:",omitempty"` // what led to it; nil: nobody knows
	Risk         *policy.Risk    `json:",omitempty"` // as policy saw it; nil: not told
	Policy       string          // bundle digest
	Reason       string          // rendered, for reviewers
	Show         []string

	Gate      string
	AskerGone bool
	Reviews   []Review `json:"-"` // records of their own
	GrantID   string
	Node      string `json:",omitempty"` // which process executes it
	Outcome   string // the protocol's own code, once it ended
	Why       string // why it was withdrawn, expired or denied
	Rows      int64
	Started   time.Time
	Ended     time.Time
	// Repeats counts recent denials of the same action or shape; with any, every
	// requirement asks for one seat more.
	Repeats int
	// Eligible is who could fill a seat when the action was asked: person id → groups.
	// Whoever joins a group later doesn't count.
	Eligible map[string][]string
	// Denial is the newest of the denials that Repeats counts.
	Denial *PastDenial
	// Stamped is whose approval cost a seat more, because they don't seem to read what they approve.
	Stamped string `json:",omitempty"`
	// Remarks are reviewers' questions and the answers of the asker's side.
	Remarks []Remark
	// Steps are what happens while it is pending, soonest first.
	Steps []Step
	// StandIns is who could take whose seat then: person id → what they stood in for.
	StandIns map[string][]identity.Standing `json:",omitempty"`
	// Frame is the HMAC of the action with its shape in place of its payload; "" without a shape.
	Frame string `json:",omitempty"`
	// Standing is the standing grant that it ran on, and BreakGlass the emergency: nobody
	// was asked about this one action.
	Standing   string `json:",omitempty"`
	BreakGlass string `json:",omitempty"`
	// Items are the actions of a plan, in the order they were asked; none: a single action.
	Items []Item `json:",omitempty"`
	// Plan is the approval that this one is an item of, and Position its place there, from 1.
	Plan     string `json:",omitempty"`
	Position int    `json:",omitempty"`
	// Canary is the nonce of one that nobody asked for; "" is a real one. No
	// surface shows it before the end.
	Canary string `json:",omitempty"`
	// OpenTransaction says that the asker holds locks while it waits.
	OpenTransaction bool

	whole *Approval // the plan of an item, once it was looked at
}

// A PastDenial is why an action needs one seat more.
type PastDenial struct {
	Approval string
	Person   string // who denied
	Name     string
	Time     time.Time
	Until    time.Time // it is remembered
}

// A Span marks a masked value in a statement.
type Span struct {
	Start, End int
	Class      string
}

// A Review is one person's answer.
type Review struct {
	ID        string
	Approval  string
	Person    string // person id
	Name      string
	Groups    []string            // groups at the time of the review
	Issuers   []string            // who vouched for the person then; "" is this deployment's own configuration
	Account   string              `json:",omitempty"` // by which they came in; "": a credential of our own
	StandsFor []identity.Standing `json:",omitempty"` // then
	Decision  string              // "approve" or "deny"
	Reason    string
	Standing  *Scope `json:",omitempty"` // what they allow beyond the one action
	Channel   string // "console", "api", "terminal"
	Assurance string // "token", "chat", "console", "passkey"
	Digest    action.Digest
	Version   int64 // of the approval as the reviewer saw it
	Time      time.Time
	// Obligation is what the reviewer asks for besides.
	Obligation Obligation

	Signature *Signature `json:",omitempty"` // by a passkey, where assurance is passkey
	MAC       []byte     `json:"-"`          // under a key kept outside the database

	proven bool // the signature was verified when it was read or taken
}

// A Filter selects approvals to list.
type Filter struct {
	States []State
	Actor  string
	Since  time.Time
	Behind Place // only what comes after it, newest first
	Limit  int
}

// A Place is where an approval stands in a list, newest first. The zero Place is before all.
type Place struct {
	Created time.Time
	ID      string
}

// An Event tells that an approval changed.
type Event struct {
	ID      string
	Version int64
	State   State
	What    string // Remind, Escalate or FallBack: a step was taken; "": anything else
	Plan    string // of an item: only who waits for it is told, and of the plan an event of its own
}
