package console

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// detail answers one reader's questions about one approval, from top to bottom.
type detail struct {
	A        *approval.Approval
	CSRF     string
	Risk     card.Risk
	State    card.State
	Ring     ring
	Title    []Piece
	Chain    []Avatar // who, for whom, to what, where to
	Digest   string
	Lines    []Line
	Cut      int // bytes of the statement that are not shown
	Items    []planItem
	Masked   int      // values
	Unmask   []string // classes of those that this person may look at
	Facts    []fact
	Effects  []effect
	Why      []Piece
	Rules    []rule
	Seats    []requirement
	People   []reviewer
	Timeline []moment
	Session  []Piece
	Claims   []claim
	Remarks  []remark
	Steps    []step
	MayAsk   bool
	Aside    time.Time // until when this person put it aside
	MayAside bool
	Standing standingCeiling
	Nudge    string // you seem to approve without reading
	May      bool
	MayNot   string // why this person may not review
	Passkey  string // which answers a passkey signs: "all", "approve" or ""
	NoKey    bool   // it takes a passkey, and this person has none that counts
	Pending  bool
	Decided  string // "Mira Kovač denied it"
}

// fact is one thing that is known, or known to be unknown.
type fact struct{ Value, Name, Class string }

// effect is one sentence about what would happen. Class tells known from unknown.
type effect struct {
	Class string
	Text  []Piece
}

type rule struct {
	Then, Class, Name, Pack string
	Tags                    []string
	Atoms                   []atom
}

type atom struct {
	Class, Sign string
	Expr, Value []Piece
}

// requirement is one rule's demand and how far it is met.
type requirement struct {
	Text   string
	Rule   string
	Filled int
	All    int
}

// reviewer is a person in the quorum's card.
type reviewer struct {
	Avatar
	Status, Class string
	When          time.Time
	Reason        []Piece
	Only          []Piece // what the approval was given with besides
}

// moment is one line of the timeline.
type moment struct {
	Index  int64 // of the record; -1: it has no page of its own
	Key    string
	Time   time.Time
	Class  string
	Kind   string
	Text   []Piece
	Result string
	Now    bool
}

type claim struct {
	Name string
	Text []Piece
}

func (c *Console) detailOf(ctx context.Context, a *approval.Approval, p *who, now time.Time) (*detail, error) {
	risk := card.RiskOf(a)
	d := &detail{
		A: a, CSRF: p.Session.CSRF, Risk: risk, State: stateOf(a), Ring: ringOf(a, risk.Class, now), Title: visible(card.Title(a), maxTitle),
		Chain: c.chainOf(a, risk.Class), Digest: a.Digest.String(), Facts: factsOf(a), Effects: effectsOf(a),
		Why: visible(a.Reason, maxClaim), Rules: rulesView(a.Rules), Claims: claimsOf(a),
		Pending: a.State == approval.Pending,
	}
	d.Lines, d.Cut = linesOf(a, a.Statement)
	d.Masked = len(a.Masked)
	if len(a.Items) > 0 {
		d.Items, d.Cut, d.Masked = c.itemsOf(ctx, a)
	}
	d.Seats = requirementsOf(a, c.o.Approvals.Progress(a))
	level := c.level(ctx, p)
	no := c.o.Approvals.MayReview(a, &p.Person, level)
	d.May, d.MayNot = no == nil && d.Pending, explain(no)
	if d.May {
		d.Standing = c.ceilingOf(a)
	}
	d.Unmask = c.maskedOf(a, p, d.May)
	d.Passkey = c.passkeyFor(a, p, risk.Class == "crit", level)
	d.NoKey = no != nil && errors.As(no, &approval.ErrAssurance{}) && a.Assurance() == bySignature
	d.People = c.peopleOf(a, p, d.May)
	d.Remarks, d.Steps = c.remarksOf(a, p), stepsOf(a)
	d.Aside, d.MayAside = c.aside(a, p), d.May && c.o.Calm != nil
	if d.May && c.o.Nudge != nil {
		d.Nudge = c.o.Nudge(p.ID)
	}
	d.MayAsk = d.May || d.Pending && errors.Is(no, approval.ErrReviewed)
	d.Decided = card.Decided(a)
	var err error
	d.Timeline, d.Session, err = c.timeline(ctx, a)
	return d, err
}

// chainOf is the sentence at the top: who, for whom, to what, where to.
func (c *Console) chainOf(a *approval.Approval, class string) []Avatar {
	var out []Avatar
	for i, l := range a.Asker.Chain {
		v := Avatar{Name: visible(label(l.ID), maxName), Initials: strings.ToLower(initials(label(l.ID))), Class: class, Title: plain(l.ID, maxTitle)}
		under := l.Type
		if i > 0 {
			under += " · calls it"
		}
		if l.Model != "" {
			under += " · " + l.Model
		}
		v.Under = visible(under, maxTitle)
		out = append(out, v)
	}
	under := "on behalf of"
	if a.Asker.Subject.ID == "" {
		under = "no person is known"
	}
	s := human(subjectName(a), under, "")
	s.Title = plain(a.Asker.Subject.ID, maxTitle)
	out = append(out, s)
	target := a.Target
	if target == "" {
		target = a.Resource.Env
	}
	out = append(out, Avatar{
		Name: visible(resourceName(a), maxName), Initials: short2(a.Resource.Type), Class: "sys",
		Under: visible(strings.Join(nonEmpty(target, a.Verb, a.Resource.Env), " · "), maxName), Title: plain(a.Resource.URN, maxTitle),
	})
	if dst := card.Where(a); dst != "" {
		v := Avatar{Name: visible(dst, maxTitle), Initials: short2(dst), Class: "sys", Under: visible("destination", maxTitle), Title: plain(dst, maxClaim)}
		switch card.WhereTrust(a) {
		case "external":
			v.Class, v.Under = "out", visible("outside, as configured", maxTitle)
		case "internal":
			v.Under = visible("inside, as configured", maxTitle)
		default:
			v.Class, v.Under = "out", visible("not a known place", maxTitle)
		}
		out = append(out, v)
	} else if a.Data.Destination == "client" {
		out = append(out, Avatar{Name: visible("back to the asker", maxTitle), Initials: "↩", Class: "sys", Under: visible("destination", maxTitle)})
	}
	return out
}

func short2(s string) string {
	known := map[string]string{"postgres": "pg", "mysql": "my", "kubernetes": "k8", "http": "ht", "s3": "s3", "aws": "aw"}
	if k, ok := known[s]; ok {
		return k
	}
	return strings.ToLower(initials(s))
}

func nonEmpty(in ...string) []string {
	var out []string
	for _, s := range in {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// factsOf are the figures under the statement: a number, "unknown", or none at
// all. Unknown is never shown as zero.
func factsOf(a *approval.Approval) []fact {
	count := func(n action.Count, name string) fact {
		if !n.Known {
			return fact{"unknown", name + "s", "unk"}
		}
		return fact{thousands(n.N), strings.TrimPrefix(plural(n.N, name), thousands(n.N)+" "), ""}
	}
	if card.ChangesRules(a) {
		return nil
	}
	out := []fact{count(a.Data.Rows, "row")}
	if a.Data.Bytes.Known {
		out = append(out, count(a.Data.Bytes, "byte"))
	}
	return out
}

func effectsOf(a *approval.Approval) []effect {
	var out []effect
	for _, e := range card.EffectsOf(a) {
		out = append(out, effect{e.Class, visible(e.Text, maxClaim)})
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func rulesView(hits []policy.Hit) []rule {
	classes := map[string]string{"deny": "bad", "review": "warn", "mask": "info", "allow": "ok"}
	signs := map[policy.Tri]atom{policy.Yes: {Class: "yes", Sign: "holds"}, policy.No: {Class: "no", Sign: "does not hold"}, policy.DontKnow: {Class: "unk", Sign: "unknown"}}
	var out []rule
	for _, h := range hits {
		r := rule{Then: h.Then, Class: classes[h.Then], Name: h.Rule, Pack: h.Pack, Tags: h.Tags}
		for _, at := range h.Atoms {
			v := signs[at.Holds]
			v.Expr, v.Value = visible(at.Expr, maxTitle), visible(at.Value, maxTitle)
			r.Atoms = append(r.Atoms, v)
		}
		out = append(out, r)
	}
	return out
}

// requirementsOf says of each demand who may fill its seats and how many are filled.
func requirementsOf(a *approval.Approval, seats []approval.Seat) []requirement {
	var out []requirement
	for i, q := range a.Requirements {
		r := requirement{}
		groups := map[string]bool{}
		var from []string
		for _, s := range seats {
			if s.Requirement != i {
				continue
			}
			r.All++
			if s.Person != "" {
				r.Filled++
			}
			for _, g := range s.Groups {
				if !groups[g] {
					groups[g], from = true, append(from, label(g))
				}
			}
		}
		r.Text, r.Rule = strings.Join(from, " or "), q.Rule
		out = append(out, r)
	}
	return out
}

const maxWaiting = 8 // people still asked that a card names

// peopleOf lists who has reviewed, who may, and who may not and why.
func (c *Console) peopleOf(a *approval.Approval, p *who, may bool) []reviewer {
	var out []reviewer
	seen := map[string]bool{}
	for _, r := range a.Reviews {
		v := reviewer{Avatar: c.person(r.Person, r.Name, p, ""), When: r.Time, Reason: visible(r.Reason, maxClaim)}
		v.Status, v.Class = "approved", "ok"
		if !r.Obligation.Empty() {
			v.Only = visible(r.Obligation.String(), maxTitle)
		}
		if r.Decision != approval.Approve {
			v.Status, v.Class = "denied", "bad"
		}
		v.Under = visible("by "+r.Channel, maxTitle)
		out, seen[r.Person] = append(out, v), true
	}
	if may {
		v := reviewer{Avatar: c.person(p.ID, p.Name, p, ""), Status: "waiting", Class: "wait"}
		v.Under = visible(strings.Join(labels(a.Eligible[p.ID]), ", "), maxTitle)
		out, seen[p.ID] = append(out, v), true
	}
	if a.State == approval.Pending {
		waiting := 0
		for _, id := range sortedIDs(a.Eligible) {
			groups := a.Groups(id)
			if _, excluded := a.Excluded[id]; seen[id] || excluded || len(groups) == 0 || waiting == maxWaiting {
				continue
			}
			v := reviewer{Avatar: c.person(id, "", p, ""), Status: "asked", Class: "dim"}
			v.Under = visible(strings.Join(labels(groups), ", "), maxTitle)
			out, seen[id], waiting = append(out, v), true, waiting+1
		}
	}
	for _, id := range sortedKeys(a.Excluded) {
		if person, ok := c.o.People.Person(id); ok && !seen[person.ID] {
			v := reviewer{Avatar: c.person(person.ID, person.Name, p, "off"), Status: "may not", Class: "dim"}
			v.Under = visible("cannot review: "+excludedWhy(a.Excluded[id]), maxTitle)
			out, seen[person.ID] = append(out, v), true
		}
	}
	return out
}

func excludedWhy(why string) string {
	if why == "subject" {
		return "it is asked on their behalf"
	}
	return why
}

func labels(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = label(id)
	}
	return out
}

func sortedIDs(m map[string][]string) []string {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

func (c *Console) person(id, name string, p *who, class string) Avatar {
	if found, ok := c.o.People.Person(id); ok && name == "" {
		name = personName(&found)
	}
	if name == "" {
		name = label(id)
	}
	v := human(name, "", class)
	if id == p.ID {
		v.Name, v.Class = visible("You", maxTitle), "hum me"
	}
	v.Title = plain(id, maxTitle)
	return v
}

func personName(p *identity.Person) string {
	if p.Name != "" {
		return p.Name
	}
	return label(p.ID)
}

func claimsOf(a *approval.Approval) []claim {
	var out []claim
	for _, x := range card.Said(a) {
		out = append(out, claim{x.Name, visible(x.Text, maxClaim)})
	}
	if name := a.Claims.Session; name != "" {
		out = append(out, claim{"session", visible(name, maxClaim)})
	}
	return out
}

// explain puts the engine's refusal into words for the person it concerns.
func explain(err error) string {
	var excluded approval.ErrExcluded
	var level approval.ErrAssurance
	switch {
	case err == nil:
		return ""
	case errors.As(err, &excluded):
		return "You can't review this: " + plain(excludedWhy(excluded.Why), maxTitle) + "."
	case errors.As(err, &level) && level.Need == bySignature:
		return "This takes your passkey, and you have none that counts."
	case errors.As(err, &level):
		return "This review must be given with a " + plain(level.Need, maxTitle) + "; a signed-in browser is not enough."
	case errors.Is(err, approval.ErrNotEligible):
		return "You are not among those who were asked. You can watch."
	case errors.Is(err, approval.ErrReviewed):
		return "You have reviewed this. It waits for others."
	case errors.Is(err, approval.ErrDecided):
		return "This is already decided."
	case errors.Is(err, approval.ErrExpired):
		return "This has expired: nobody decided in time."
	case errors.Is(err, approval.ErrChanged), errors.Is(err, approval.ErrConflict):
		return "It changed while you were looking. Read it again before you decide."
	}
	return "It can't be reviewed right now."
}

const (
	leadTime  = 24 * time.Hour
	leadMost  = 8  // records before the request
	afterMost = 20 // records of the approval itself
)

// timeline is what the actor did before, this request, and what became of it.
func (c *Console) timeline(ctx context.Context, a *approval.Approval) ([]moment, []Piece, error) {
	own, err := c.o.Log.Search(ctx, audit.Query{Approval: a.ID, Limit: afterMost})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the records of %s: %w", a.ID, err)
	}
	q := audit.Query{Types: []string{audit.TypeRequest, audit.TypeOutcome}, Since: a.Created.Add(-leadTime), Until: a.Created, Limit: 4 * leadMost}
	for _, r := range own {
		if r.Type == audit.TypeRequest {
			q.Before, q.Session = r.Index, r.Session
		}
	}
	if len(a.Asker.Chain) > 0 {
		q.Actor = a.Asker.Chain[0].ID
	}
	if q.Actor == "" && q.Session == "" {
		return moments(nil, own, a), nil, nil
	}
	before, _, err := c.recent(ctx, q)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what led up to %s: %w", a.ID, err)
	}
	before = requests(before)
	return moments(before[:min(len(before), leadMost)], own, a), visible(q.Session, 40), nil
}

// moments turns records, newest first, into lines in the order they happened.
func moments(before []entry, own []audit.Record, a *approval.Approval) []moment {
	var out []moment
	for i := len(before) - 1; i >= 0; i-- {
		out = append(out, momentOf(&before[i]))
	}
	asked := false
	for i := len(own) - 1; i >= 0; i-- {
		m := momentOf(&entry{Record: own[i]})
		if own[i].Type == audit.TypeRequest && !asked {
			m.Now, m.Result, asked = true, stateOf(a).Name, true
			m.Class = "wait"
		}
		out = append(out, m)
	}
	if !asked {
		out = append(out, moment{Index: -1, Time: a.Created, Class: "wait", Kind: string(card.Worst(a.Kinds)), Text: visible("this request", maxTitle), Result: stateOf(a).Name, Now: true})
	}
	return out
}
