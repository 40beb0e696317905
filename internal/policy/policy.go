// Package policy decides: YAML packs of rules with typed CEL conditions,
// compiled to closures and indexed by kind and resource.
//
// Every rule is evaluated and order never matters: deny > review > allow, and
// no match is a deny. An unknown fact matches restricting rules and never
// permitting ones. Nothing that breaks can open.
package policy

import (
	"time"

	"github.com/assenthq/assent/action"
)

// A Verdict is what policy says about an action.
type Verdict uint8

// Verdicts, in rising strictness. The zero value denies.
const (
	Deny Verdict = iota
	Review
	Allow
)

func (v Verdict) String() string { return [...]string{"deny", "review", "allow"}[v] }

// Input is what a decision is made from. Facts that nobody knows stay unknown:
// an empty string, the zero Count, Tri or Time. Claims alone are never unknown,
// because what the asker did not say is known not to be said.
type Input struct {
	Action *action.Action
	// Harmless names why an action without kinds has no effect ("transaction
	// control"), as the classifier found. Such an action needs no permitting
	// rule; one without kinds and without a name is denied.
	Harmless string

	SubjectID     string
	SubjectGroups []string
	ActorID       string
	ActorType     string
	ActorOwner    string
	ActorModel    string
	ActorTrust    string

	Time         time.Time
	Rate1h       action.Count // actions of this actor in the last hour
	Rate24h      action.Count
	NovelShape   Tri
	NovelTarget  Tri
	Tainted      Tri
	SawSensitive Tri
	SawUntrusted Tri
	Seen         string // what it has seen, in words; for reasons only
	IntentTarget Tri    // a claim

	Preview Preview
	Risk    action.Count
	Read    Reads // nil: nobody knows

	masked bool              // masks are those of this decision
	masks  map[string]string // class → method
}

// Reads tells how many rows the person behind the actor has read from this
// system in the last hour, in all ("all") or with a class in them.
type Reads interface{ Rows(class string) int64 }

// Preview is what the action would do, as far as anyone could tell without doing it.
type Preview struct{ Rows, Objects, Creates, Changes, Destroys, SmallestGroup action.Count }

// Tri is a three-valued truth. The zero value is unknown.
type Tri uint8

// The three values.
const (
	DontKnow Tri = iota
	No
	Yes
)

// Mask methods, strictest first.
const (
	MaskRedact  = "redact"
	MaskHash    = "hash"
	MaskToken   = "tokenize"
	MaskFormat  = "format-preserving"
	MaskPartial = "partial"
)

// RuleDefault and RuleHarmless stand in Decision.Rules when no rule of a pack
// decided: nothing permitted a kind of the action, or it has no effect at all.
const (
	RuleDefault  = "default"
	RuleHarmless = "harmless"
)

// A Decision is a verdict with its reasons as data. The zero value denies.
type Decision struct {
	Verdict      Verdict
	Rules        []Hit             // what matched, most restrictive first: Rules[0] decided
	Requirements []Requirement     // for Review: every one must be met
	Masks        map[string]string // class → method; shared with other decisions, never written to
	RowLimit     action.Count      // largest row bound of the permitting rules; known only when every way to permit has one
	Show         []string
	Notify       []string
	Reason       string // rendered template: for reviewers and the log, never for the agent
	Bundle       string // "sha256:…" of the policy bundle
	Shadow       []Hit  // what rules in shadow mode would have said
	Considered   []Hit  // rules that were looked at and did not match; filled in by Explain

	set      *Set   // whose rules render the reasons
	narrowed *Input // what the rules that don't mask saw, of this decision if narrow
	narrow   bool
}

// Reset empties d and keeps its memory for the next decision.
func (d *Decision) Reset() {
	*d = Decision{
		Rules: d.Rules[:0], Requirements: d.Requirements[:0], Show: d.Show[:0],
		Notify: d.Notify[:0], Shadow: d.Shadow[:0], Considered: d.Considered[:0],
		narrowed: d.narrowed,
	}
}

// A Hit is a rule that matched, with the atoms that made it match.
type Hit struct {
	Rule  string
	Pack  string
	Then  string // allow, mask, review, deny
	Atoms []Atom // filled in by Explain, not by Decide
	// Tags are the threats that the rule's author had in mind; filled in by Explain.
	Tags []string `json:",omitempty"`

	name string // pack/rule of a rule that was loaded
}

// Name is the pack and the rule, as records name them.
func (h *Hit) Name() string {
	if h.name != "" {
		return h.name
	}
	return named(h.Pack, h.Rule)
}

// named is a rule as records name it: with its pack, where it is of one.
func named(pack, rule string) string {
	if pack == "" || rule == RuleDefault || rule == RuleHarmless {
		return rule
	}
	return pack + "/" + rule
}

// An Atom is one condition with the value it had: "data.rows (4821) > 1000 ✓".
type Atom struct {
	Expr  string
	Value string
	Holds Tri
}

// A Requirement says which people must decide, and how.
type Requirement struct {
	Rule    string
	Pack    string
	From    []string // groups any of which may answer
	Count   int
	AllOf   []Seats // every one must be filled, by different people
	AnyOf   []Seats // one of them must be filled
	More    int     // seats beyond those of the rule: what a recent denial costs
	Issuers string  // whether seats may come from several issuers; "" is IssuersOne
	// Reciprocal excludes whoever had an action of theirs approved by the people
	// behind this one within the last 30 days.
	Reciprocal bool
	Expires    time.Duration
	UseWithin  time.Duration
	// Unsaid are those of the two that the rule left to the deployment.
	Unsaid    Unsaid
	Wait      time.Duration // 0: the gate's own budget
	Assurance string        // "token", "chat", "console", "passkey"; "" means the default of the kind
	Notify    []string
	Remind    []time.Duration // when those who were asked are asked again, besides half time
	Escalate  []Escalation    // who is asked besides, later; count and assurance stay
	FallBack  *Escalation     // who is asked where the first groups can't answer, or haven't after that time
	Reason    string          // rendered by Decision.RenderReason
}

// Unsaid says which times a rule doesn't name.
type Unsaid struct{ Expires, UseWithin bool }

// Whether the seats of one requirement may be filled from several issuers of accounts.
const (
	IssuersOne       = "one"       // all seats from one issuer
	IssuersAny       = "any"       // from any
	IssuersDifferent = "different" // each seat from another
)

// An Escalation asks further groups once an approval waited for After.
type Escalation struct {
	After time.Duration
	To    []string
}

// Seats asks for Count people of Group.
type Seats struct {
	Group string
	Count int
}
