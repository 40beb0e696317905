// Package card says what an approval shows to people, the same on every
// surface: who for whom, what would run, why it is held, how grave it is.
//
// What agents wrote is made fit to be read here (internal/show); each surface
// escapes its own markup besides. Nothing in a card is unmasked, and a card
// opens nothing: what is true is read from the store when somebody answers.
package card

import (
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/show"
)

// Bounds of what a card shows, in bytes.
const (
	maxTitle     = 300
	maxClaim     = 1_000
	maxStatement = 2_400 // fits a section of each chat with room for escapes
	maxWhy       = 1_000
	maxPlace     = 600 // of a resource or destination: longer than the API takes one
)

// A Card is an approval as people see it outside the console. Its texts are fit
// to be shown, in no markup.
type Card struct {
	ID, Digest string
	Version    int64 // an answer names it: it is of what was shown
	URL        string

	State   State
	Pending bool
	Over    bool // nothing about it will change any more
	Risk    Risk
	Title   string
	Who     string   // "nightly-export", of several "planner › nightly-export"
	For     string   // "Maya Lin"; "nobody"
	Kinds   []string // the gravest first
	On      string   // the resource
	Where   string   // the destination of data that leaves; "" when it goes back to the asker

	Statement string // masked
	Cut       int    // bytes of it that are not shown
	Data      string // "12,000 rows with email, card"; "rows not known"
	Effects   []Effect
	Why       string // the rule's own words
	Rules     []string
	Claims    []Claim // what the asker says
	Items     []Item  // of a plan

	Asks    string // "2 of data-owners"
	Filled  int    // seats
	Seats   int
	Reviews []Review
	Talk    []Remark
	Steps   []Step // taken so far
	Decided string // "Mira Kovač denied it"; "" while pending

	Created, Expires time.Time
	Assurance        string // that a review needs
	OpenTransaction  bool

	short bool // a resource or destination is too long to be shown whole
}

// A Claim is something that the asker says and nobody checked.
type Claim struct{ Name, Text string }

// An Item is one action of a plan. N is its place there, from 1; the gravest stands first.
type Item struct {
	N                      int
	Kind, Title, Statement string
	On, Where              string // as of a card
	Cut                    int
	Risk                   Risk
	State                  State
}

// A Review is one person's answer.
type Review struct {
	Name, Decision, Channel, Reason, Only string
	Time                                  time.Time
}

// A Remark is a reviewer's question, or an answer to one.
type Remark struct {
	ID, Name, Text, Of string
	Time               time.Time
}

// A Step is a reminder or an escalation: "remind", "escalate" or "fall back".
type Step struct {
	Do   string
	Time time.Time
}

// Whole says that the card shows all that would run: nobody can answer for what
// they could not read.
func (c *Card) Whole() bool {
	for _, i := range c.Items {
		if i.Cut > 0 {
			return false
		}
	}
	return c.Cut == 0 && !c.short
}

// Chat says whether a click in a chat may approve this: policy allows it, it is
// not critical, and the card shows all of it.
func (c *Card) Chat() bool { return c.Clicks() && c.Risk.Class != "crit" && c.Whole() }

// Clicks says whether policy takes a click in a chat as a review: a denial, at least.
func (c *Card) Clicks() bool {
	return c.Pending && (c.Assurance == "chat" || c.Assurance == "token")
}

// Of draws the card of a, whose seats are seats. publicURL is where the console is.
func Of(a *approval.Approval, seats []approval.Seat, publicURL string) *Card {
	c := &Card{
		ID: a.ID, Digest: a.Digest.String(), Version: a.Version, URL: strings.TrimSuffix(publicURL, "/") + "/approvals/" + a.ID,
		State: StateOf(a), Pending: a.State == approval.Pending, Over: over(a.State), Risk: RiskOf(a), Title: show.Plain(Title(a), maxTitle),
		Who: who(a), For: show.Plain(Subject(a), maxTitle), Kinds: kinds(a.Kinds), On: show.Plain(Resource(a), maxPlace), Where: show.Plain(Where(a), maxPlace),
		Data: data(&a.Data), Why: show.Plain(a.Reason, maxWhy), Claims: claims(a),
		Asks: show.Plain(a.Asks(), maxTitle), Seats: len(seats), Decided: Decided(a),
		Created: a.Created, Expires: a.Expires, Assurance: a.Assurance(), OpenTransaction: a.OpenTransaction,
	}
	c.Statement, c.Cut = show.Text(a.Statement, maxStatement)
	c.short = len(a.Items) == 0 && tooLong(a)
	if len(a.Items) > 0 {
		c.Items = planItems(a)
	}
	for i := range a.Items {
		c.short = c.short || tooLong(ItemOf(a, i))
	}
	for _, e := range EffectsOf(a) {
		c.Effects = append(c.Effects, Effect{e.Class, show.Plain(e.Text, maxClaim)})
	}
	for _, h := range a.Rules {
		if h.Then == "review" {
			c.Rules = append(c.Rules, show.Plain(h.Rule, maxTitle))
		}
	}
	for _, s := range seats {
		if s.Person != "" {
			c.Filled++
		}
	}
	for i := range a.Reviews {
		c.Reviews = append(c.Reviews, review(&a.Reviews[i]))
	}
	for _, r := range a.Remarks {
		c.Talk = append(c.Talk, Remark{ID: r.ID, Name: show.Plain(person(r.By, r.Name), maxTitle), Text: show.Plain(r.Text, maxClaim), Of: r.Of, Time: r.Time})
	}
	for _, s := range a.Steps {
		if !s.Done.IsZero() {
			c.Steps = append(c.Steps, Step{s.Do, s.Done})
		}
	}
	return c
}

// tooLong reports that where a happens, or where its data goes, can't be shown whole.
func tooLong(a *approval.Approval) bool {
	return len(Resource(a)) > maxPlace || len(Where(a)) > maxPlace
}

func over(s approval.State) bool {
	return s != approval.Pending && s != approval.Approved && s != approval.Executing
}

func review(r *approval.Review) Review {
	v := Review{Name: show.Plain(person(r.Person, r.Name), maxTitle), Decision: r.Decision, Channel: r.Channel, Reason: show.Plain(r.Reason, maxClaim), Time: r.Time}
	if !r.Obligation.Empty() {
		v.Only = show.Plain(r.Obligation.String(), maxTitle)
	}
	return v
}

func person(id, name string) string {
	if name != "" {
		return name
	}
	return Label(id)
}

func who(a *approval.Approval) string {
	var names []string
	for i := len(a.Asker.Chain) - 1; i >= 0; i-- { // who began the task first
		names = append(names, show.Plain(Label(a.Asker.Chain[i].ID), 120))
	}
	return strings.Join(names, " › ")
}

func kinds(in []action.Kind) []string {
	worst := Worst(in)
	out := []string{string(worst)}
	for _, k := range in {
		if k != worst {
			out = append(out, string(k))
		}
	}
	return out
}

// data never shows unknown as zero.
func data(d *action.Data) string {
	s := "rows not known"
	if d.Rows.Known {
		s = show.Plural(d.Rows.N, "row")
	}
	if len(d.Classes) > 0 {
		s += " with " + show.Plain(strings.Join(d.Classes, ", "), maxTitle)
	}
	if !d.ClassesKnown || d.Unscanned {
		s += ", and perhaps more"
	}
	return s
}

func claims(a *approval.Approval) []Claim {
	out := Said(a)
	for i := range out {
		out[i].Text = show.Plain(out[i].Text, maxClaim)
	}
	return out
}

// Decided says who decided a; "" while it is pending and where nobody did.
func Decided(a *approval.Approval) string {
	var yes []string
	for i := range a.Reviews {
		r := &a.Reviews[i]
		name := show.Plain(person(r.Person, r.Name), maxTitle)
		if r.Decision != approval.Approve {
			return name + " denied it"
		}
		yes = append(yes, name)
	}
	if len(yes) == 0 || a.State == approval.Pending {
		return ""
	}
	return strings.Join(yes, " and ") + " approved it"
}
