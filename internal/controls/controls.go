// Package controls says what the log shows of the requirements that auditors ask
// for: SOC 2 (trust services criteria) and NIST SP 800-53. Each control has a claim in
// our own words, the searches whose records stand behind it, what counts as an
// exception, and what no log can show. It finds exceptions in one pass over records
// in their order, and refuses to call a control met: that is for the auditor to say.
package controls

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/audit"
)

// A Control is one requirement of a framework, and what the log says of it.
type Control struct {
	ID        string  `json:"id"` // as the framework writes it: CC6.1, AC-2
	Framework string  `json:"framework"`
	Name      string  `json:"name"`
	Claim     string  `json:"claim"`
	Queries   []Query `json:"queries"`
	Tests     []Test  `json:"tests"`
	Silent    string  `json:"silent"` // what the log can't show
}

// A Query selects the records behind a claim, as assent log does.
type Query struct {
	Says     string   `json:"says"`
	Types    []string `json:"types,omitempty"`
	Kind     string   `json:"kind,omitempty"`
	Decision string   `json:"decision,omitempty"` // decision or outcome
}

// Matches reports whether r is behind the claim.
func (q *Query) Matches(r *audit.Record) bool {
	return (len(q.Types) == 0 || slices.Contains(q.Types, r.Type)) && (q.Kind == "" || slices.Contains(r.Kinds, q.Kind)) &&
		(q.Decision == "" || q.Decision == r.Decision || q.Decision == r.Outcome)
}

// Command is the search as one runs it.
func (q *Query) Command() string {
	var b strings.Builder
	b.WriteString("assent log --limit 0")
	if len(q.Types) > 0 {
		b.WriteString(" --type " + strings.Join(q.Types, ","))
	}
	if q.Kind != "" {
		b.WriteString(" --kind " + q.Kind)
	}
	if q.Decision != "" {
		b.WriteString(" --decision " + q.Decision)
	}
	return b.String()
}

// A Test is the name of one kind of exception.
type Test string

// What is looked for.
const (
	Undecided   Test = "ran-undecided"
	Unreviewed  Test = "ran-unreviewed"
	OwnReview   Test = "own-review"
	NoOutcome   Test = "no-outcome"
	UnknownEnd  Test = "unknown-outcome"
	GlassOpen   Test = "glass-unreviewed"
	GlassWrong  Test = "glass-wrong"
	Unapproved  Test = "policy-unapproved"
	Alone       Test = "changed-alone"
	Alarmed     Test = "alarm"
	Silent      Test = "node-silent"
	NotTold     Test = "not-told"
	LeftActs    Test = "left-acted"
	RevokedUsed Test = "revoked-used"
	Bare        Test = "record-bare"
	Cut         Test = "record-cut"
	Missing     Test = "record-missing"
	Clock       Test = "time-back"
)

// Tests lists what is looked for, in the order of the documentation.
func Tests() []Test {
	return []Test{
		Undecided, Unreviewed, OwnReview, NoOutcome, UnknownEnd, GlassOpen, GlassWrong, Unapproved, Alone,
		Alarmed, Silent, NotTold, LeftActs, RevokedUsed, Bare, Cut, Missing, Clock,
	}
}

// Says is what an exception of this kind is.
func (t Test) Says() string {
	return map[Test]string{
		Undecided:   "an action ran whose request was not allowed, or is not on record",
		Unreviewed:  "an action that waited for people began without an approving review, a standing grant or an emergency",
		OwnReview:   "who asked for an action approved it",
		NoOutcome:   "an approved action began, and a day later nothing says how it ended",
		UnknownEnd:  "an approved action began, and it is not known whether it ran to its end",
		GlassOpen:   "the glass was broken, and nobody reviewed that within a day of its end, or in the time that was set",
		GlassWrong:  "the glass was broken, and whoever reviewed it found that wrong",
		Unapproved:  "another policy came into force from files on the server's disk, which nobody approved",
		Alone:       "one administrator changed the rules alone",
		Alarmed:     "an alarm besides emergencies and changes: something was found that must not be",
		Silent:      "a node that had not stopped missed three heartbeats",
		NotTold:     "a message to people was given up",
		LeftActs:    "an account acted after the log says that it left",
		RevokedUsed: "a connection was opened with a credential after it was revoked (in the traffic: --traffic)",
		Bare:        "a request without its actor, its resource, its decision or the policy",
		Cut:         "a record was larger than 64 KiB, and was cut",
		Missing:     "a record of the period is not there, or can't be read",
		Clock:       "a record's time is before that of the record in front of it",
	}[t]
}

// Find returns the controls with these ids, in the order of the table; none: all. The
// second result is an id that names none.
func Find(ids []string) (found []Control, unknown string) {
	all := Table()
	if len(ids) == 0 {
		return all, ""
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(c Control) bool { return strings.EqualFold(c.ID, id) }) {
			return nil, id
		}
	}
	return slices.DeleteFunc(all, func(c Control) bool {
		return !slices.ContainsFunc(ids, func(id string) bool { return strings.EqualFold(c.ID, id) })
	}), ""
}
