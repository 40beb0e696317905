package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
)

const (
	maxListed = 500            // approvals on a page
	decidedIn = 72 * time.Hour // how far back the decided ones reach
)

// approvalsPage is the list with the detail of the selected one beside it.
type approvalsPage struct {
	Shell
	Tabs   []tab
	Groups []group
	Detail *detail
	More   bool   // more wait than are listed
	Picked bool   // an approval is named in the address: a phone shows it instead of the list
	Empty  string // what an empty list means
}

type tab struct {
	Key, Label, Href string
	Count            int
	Selected         bool
}

type group struct {
	Name, Class string
	Rows        []row
}

// row is one approval in the list.
type row struct {
	ID, Href  string
	Selected  bool
	Risk      card.Risk
	State     card.State
	Title     []Piece
	Agent     Avatar
	For       []Piece
	Kind      string
	Resource  []Piece
	Classes   []string
	Seats     string // "1 of 2"
	Repeats   int
	AskerGone bool
	Ring      ring
	When      time.Time
	Search    string // lower case, for the filter box
	Version   int64
	Digest    string
	MayReview bool
	Under     bool // one of those alike to the one above
	Alike     int  // how many more there are
}

// showApprovals draws the list, and the detail of the one named in the path or
// else of the first.
func (c *Console) showApprovals(w http.ResponseWriter, r *http.Request, p *who) {
	ctx, now := r.Context(), c.o.Clock()
	pending, err := c.o.Approvals.List(ctx, approval.Filter{States: []approval.State{approval.Pending}, Limit: maxListed})
	if err != nil {
		c.broken(w, r, "listing approvals", err)
		return
	}
	page := approvalsPage{Picked: r.PathValue("id") != "", More: len(pending) == maxListed}
	var picked *approval.Approval
	if page.Picked {
		if picked, err = c.o.Approvals.Get(ctx, r.PathValue("id")); errors.Is(err, approval.ErrNotFound) {
			c.fail(w, r, http.StatusNotFound, "There is no such approval.", "It may be older than the log's retention, or the link is cut off.")
			return
		} else if err != nil {
			c.broken(w, r, "reading an approval", err)
			return
		}
	}
	if picked != nil && picked.Plan != "" { // an item is read, and answered, within its plan
		http.Redirect(w, r, fmt.Sprintf("/approvals/%s#item-%d", picked.Plan, picked.Position), http.StatusSeeOther)
		return
	}
	needs, watching := c.split(r.Context(), pending, p)
	key := tabOf(r, picked, needs)
	shown := needs
	switch key {
	case "watching":
		shown = watching
	case "decided":
		if shown, err = c.decided(ctx, now); err != nil {
			c.broken(w, r, "listing decided approvals", err)
			return
		}
	}
	if picked != nil && !slices.ContainsFunc(shown, func(a *approval.Approval) bool { return a.ID == picked.ID }) {
		shown = append([]*approval.Approval{picked}, shown...) // what is being read stays in the list though it left the tab
	}
	page.Groups = c.groups(shown, key, now, p)
	if picked == nil && len(page.Groups) > 0 {
		picked = byID(shown, page.Groups[0].Rows[0].ID)
	}
	if picked != nil {
		if page.Detail, err = c.detailOf(ctx, picked, p, now); err != nil {
			c.broken(w, r, "reading what led up to an approval", err)
			return
		}
		selectRow(page.Groups, picked.ID)
	}
	page.Tabs = []tab{
		{"needs", "Needs you", "/approvals?tab=needs", len(needs), key == "needs"},
		{"watching", "Watching", "/approvals?tab=watching", len(watching), key == "watching"},
		{"decided", "Decided", "/approvals?tab=decided", 0, key == "decided"},
	}
	page.Empty = map[string]string{
		"needs":    "Nothing waits for you. What agents ask for appears here by itself.",
		"watching": "Nothing waits for other people.",
		"decided":  "Nothing was decided in the last three days.",
	}[key]
	page.Shell = c.shellOf(r, p, "approvals", "Approvals", len(needs))
	c.page(w, r, http.StatusOK, "approvals", page)
}

// split parts what waits for p from what waits for others.
func (c *Console) split(ctx context.Context, pending []*approval.Approval, p *who) (needs, watching []*approval.Approval) {
	level := c.level(ctx, p)
	for _, a := range pending {
		if c.aside(a, p).IsZero() && c.waitsFor(a, p, level) {
			needs = append(needs, a)
		} else {
			watching = append(watching, a)
		}
	}
	return needs, watching
}

// decided lists what is no longer pending, the newest first.
func (c *Console) decided(ctx context.Context, now time.Time) ([]*approval.Approval, error) {
	return c.o.Approvals.List(ctx, approval.Filter{
		States: []approval.State{
			approval.Approved, approval.Denied, approval.Expired, approval.Withdrawn,
			approval.Executing, approval.Executed, approval.Failed, approval.Unknown,
		},
		Since: now.Add(-decidedIn), Limit: 200,
	})
}

// tabOf is the tab asked for; a bare link to an approval opens the tab it is on.
func tabOf(r *http.Request, picked *approval.Approval, needs []*approval.Approval) string {
	if k := r.URL.Query().Get("tab"); k == "needs" || k == "watching" || k == "decided" {
		return k
	}
	switch {
	case picked == nil || byID(needs, picked.ID) != nil:
		return "needs"
	case picked.State == approval.Pending:
		return "watching"
	}
	return "decided"
}

func byID(list []*approval.Approval, id string) *approval.Approval {
	for _, a := range list {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func selectRow(groups []group, id string) {
	for g := range groups {
		for i := range groups[g].Rows {
			groups[g].Rows[i].Selected = groups[g].Rows[i].ID == id
		}
	}
}

// groups orders pending ones by risk and then by age, so that a newcomer never
// pushes an older one of its kind away, and decided ones by time.
func (c *Console) groups(list []*approval.Approval, key string, now time.Time, p *who) []group {
	if key == "decided" {
		g := group{Name: "Last three days", Class: "dim"}
		for _, a := range list {
			g.Rows = append(g.Rows, c.rowOf(a, key, now, p))
		}
		if len(g.Rows) == 0 {
			return nil
		}
		return []group{g}
	}
	list = slices.Clone(list)
	sort.SliceStable(list, func(i, j int) bool { return list[i].Created.Before(list[j].Created) })
	all := []group{{Name: "Critical", Class: "crit"}, {Name: "High", Class: "high"}, {Name: "Moderate", Class: "mod"}}
	var out []group
	for _, g := range all {
		for _, alike := range together(list, g.Class) {
			for i, a := range alike {
				r := c.rowOf(a, key, now, p)
				r.Under, r.Alike = i > 0, len(alike)-1
				g.Rows = append(g.Rows, r)
			}
		}
		if len(g.Rows) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// together puts what is alike side by side, oldest first: the same agent for the
// same person, on the same resource, held by the same rules over the same data.
// Each keeps its own digest and its own answer.
func together(list []*approval.Approval, class string) (out [][]*approval.Approval) {
	at := map[string]int{}
	for _, a := range list {
		if card.RiskOf(a).Class != class {
			continue
		}
		key := fmt.Sprintf("%q %q %q %q %q %q %q", agentName(a), a.Asker.Subject.ID, a.Verb, a.Resource.URN, rulesOf(a), a.Data.Classes, a.Kinds)
		i, there := at[key]
		if !there {
			i = len(out)
			at[key], out = i, append(out, nil)
		}
		out[i] = append(out[i], a)
	}
	return out
}

func (c *Console) rowOf(a *approval.Approval, key string, now time.Time, p *who) row {
	risk := card.RiskOf(a)
	r := row{
		ID: a.ID, Href: "/approvals/" + a.ID + "?tab=" + key, Risk: risk, State: stateOf(a),
		Title: visible(card.Title(a), maxTitle), Agent: agentOf(a, risk.Class), For: visible(subjectName(a), maxTitle),
		Kind: string(card.Worst(a.Kinds)), Resource: visible(resourceName(a), maxTitle), Classes: a.Data.Classes,
		Repeats: a.Repeats, AskerGone: a.AskerGone, Ring: ringOf(a, risk.Class, now), When: a.Created,
		Version: a.Version, Digest: a.Digest.String(),
	}
	if !a.Decided.IsZero() {
		r.When = a.Decided
	}
	if filled, all := seatCount(c.o.Approvals.Progress(a)); all > 1 || filled > 0 {
		r.Seats = fmt.Sprintf("%d of %d", filled, all)
	}
	r.MayReview = a.State == approval.Pending && c.o.Approvals.MayReview(a, &p.Person, p.assurance()) == nil
	r.Search = strings.ToLower(strings.Join([]string{
		plain(card.Title(a), maxTitle), agentName(a), subjectName(a), a.Resource.URN, r.Kind, rulesOf(a), a.ID,
	}, " "))
	return r
}

func seatCount(seats []approval.Seat) (filled, all int) {
	for _, s := range seats {
		if s.Person != "" {
			filled++
		}
	}
	return filled, len(seats)
}

func rulesOf(a *approval.Approval) string {
	var names []string
	for _, h := range a.Rules {
		names = append(names, h.Rule)
	}
	return strings.Join(names, " ")
}

func agentName(a *approval.Approval) string { return card.Agent(a) }

func agentOf(a *approval.Approval, class string) Avatar {
	name := agentName(a)
	return Avatar{Name: visible(name, maxTitle), Initials: strings.ToLower(initials(name)), Class: class}
}

func subjectName(a *approval.Approval) string { return card.Subject(a) }

func resourceName(a *approval.Approval) string { return card.Resource(a) }

// broken tells that something on our side failed; the cause goes to the log.
func (c *Console) broken(w http.ResponseWriter, r *http.Request, doing string, err error) {
	c.o.Logger.ErrorContext(r.Context(), doing, "err", err)
	c.fail(w, r, http.StatusServiceUnavailable, "This can't be shown right now. Nothing was decided.", "Reload in a moment; the server's log says why.")
}

// shellOf fills in the frame of a page. needs is how many approvals wait for
// p; negative: count them.
func (c *Console) shellOf(r *http.Request, p *who, page, title string, needs int) Shell {
	ctx := r.Context()
	if needs < 0 {
		pending, err := c.o.Approvals.List(ctx, approval.Filter{States: []approval.State{approval.Pending}, Limit: maxListed})
		if err != nil {
			c.o.Logger.ErrorContext(ctx, "counting approvals", "err", err)
		}
		mine, _ := c.split(r.Context(), pending, p)
		needs = len(mine)
	}
	groups := make([]string, len(p.Groups))
	for i, g := range p.Groups {
		groups[i] = label(g)
	}
	frozen, unknown := c.frozen()
	return Shell{
		Rooms: c.rooms(), Frozen: frozen, FrozenUnknown: unknown, Glass: c.glassBar(ctx, p),
		Theme: theme(r), Page: page, Title: title, CSRF: p.Session.CSRF, Needs: needs, Now: c.o.Clock(),
		Me: human(personName(&p.Person), strings.Join(groups, ", "), "me"), MyID: p.ID,
		Groups: strings.Join(groups, ", "), Log: c.logBadge(ctx),
	}
}

// logBadge never claims more than is known: "verified" only after a check that
// succeeded and covers no more than the log now holds.
func (c *Console) logBadge(ctx context.Context) logBadge {
	head, err := c.o.Log.Head(ctx)
	if err != nil {
		c.o.Logger.ErrorContext(ctx, "reading the log's head", "err", err)
		return logBadge{State: "bad"}
	}
	b := logBadge{Size: head.Size, Last: head.Last}
	if c.o.Verified == nil {
		return b
	}
	v := c.o.Verified(ctx)
	b.Verified, b.Covered = v.At, v.Size
	switch {
	case v.Err != nil || v.Size > head.Size: // a log that shrank since it was verified has lost records
		b.State = "bad"
	case !v.At.IsZero():
		b.State = "ok"
	}
	return b
}
