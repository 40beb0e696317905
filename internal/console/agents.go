package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	registry "github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
)

// Actors knows those who ask, and when each was last seen.
type Actors interface{ List() []registry.View }

func (c *Console) agentRoutes(mux *http.ServeMux) {
	if c.o.Actors == nil {
		return
	}
	mux.HandleFunc("GET /agents", c.signedIn(c.showAgents))
	mux.HandleFunc("GET /agents/{id}", c.signedIn(c.showAgent))
}

// agentsPage is who asks here, by which way, and how much of it flows.
type agentsPage struct {
	Shell
	Cards   []figure
	Agents  []agentRow
	Gates   []gateRow
	Missing string
}

// agentRow is one actor: whose it is, how it comes, what came of its day.
type agentRow struct {
	ID, Name, Type, Href string
	Avatar               Avatar
	Owner                []Piece
	Model                string
	Path                 []string // gates it came by in the last day
	Via                  []string // how its credentials were given
	Share                share
	Seen                 time.Time
	Credentials          int
	Soonest              time.Time // when the first of them ends
	Frozen, Retired      bool
	Waiting              int // approvals
	FreezeHref           string
}

// gateRow is one way in, and who used it.
type gateRow struct {
	Gate
	Agents []string
	Share  share
}

// share is what a day's actions came to, drawn as a bar of 100.
type share struct {
	All   int64
	Parts []sharePart
	Says  string
}

type sharePart struct {
	Class, Name string
	N           int64
	X, W        float64
}

func shareOf(by [4]int64, all int64) share {
	s := share{All: all}
	var says []string
	x := 0.0
	for k, l := range series() {
		if by[k] == 0 {
			continue
		}
		w := 100 * float64(by[k]) / float64(all)
		s.Parts = append(s.Parts, sharePart{l.Class, l.Name, by[k], x, w})
		says = append(says, thousands(by[k])+" "+l.Name)
		x += w
	}
	s.Says = cmp.Or(strings.Join(says, ", "), "nothing asked")
	return s
}

const aboutFor = 10 * time.Second

// about is what the deployment says of itself, asked at most every ten seconds.
func (c *Console) about(ctx context.Context) About {
	if c.o.About == nil {
		return About{}
	}
	return c.gates.get(c.o.Clock(), aboutFor, func() About { return c.o.About(context.WithoutCancel(ctx)) })
}

// credentials are those of actors that count now, by actor.
func (c *Console) credentials(ctx context.Context) (map[string][]identity.Token, error) {
	out := map[string][]identity.Token{}
	if c.o.Credentials == nil {
		return out, nil
	}
	all, err := c.o.Credentials(ctx)
	now := c.o.Clock()
	for _, t := range all {
		if t.Kind == identity.KindActor && len(t.Chain) > 0 && t.Revoked.IsZero() && t.Expires.After(now) {
			out[t.Chain[0].ID] = append(out[t.Chain[0].ID], t)
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b identity.Token) int { return a.Expires.Compare(b.Expires) })
	}
	return out, err
}

// viaWords say how a credential came to be.
var viaWords = map[string]string{
	"": "minted", identity.ViaPerson: "its owner's sign-in", identity.ViaWorkload: "its own identity",
	identity.ViaDelegation: "another's task", identity.ViaCertificate: "certificate",
}

func (c *Console) showAgents(w http.ResponseWriter, r *http.Request, p *who) {
	ctx := r.Context()
	tokens, err := c.credentials(ctx)
	if err != nil {
		c.broken(w, r, "listing credentials", err)
		return
	}
	if err := c.tally.step(ctx); err != nil {
		c.broken(w, r, "counting what happened", err)
		return
	}
	pending, err := c.o.Approvals.List(ctx, approval.Filter{States: []approval.State{approval.Pending}, Limit: maxListed})
	if err != nil {
		c.broken(w, r, "listing approvals", err)
		return
	}
	sum := c.tally.last(24 * time.Hour)
	page := agentsPage{Missing: missing(&sum)}
	for _, v := range c.o.Actors.List() {
		page.Agents = append(page.Agents, c.agentRow(v, &sum, tokens[v.ID], pending))
	}
	slices.SortStableFunc(page.Agents, func(a, b agentRow) int {
		return cmp.Or(boolCompare(a.Retired, b.Retired), cmp.Compare(b.Share.All, a.Share.All), cmp.Compare(a.ID, b.ID))
	})
	page.Gates = c.gateRows(ctx, &sum)
	page.Cards = agentCards(page.Agents, page.Gates, c.o.Clock())
	page.Shell = c.shellOf(r, p, "agents", "Agents", -1)
	c.page(w, r, http.StatusOK, "agents", page)
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (c *Console) agentRow(v registry.View, sum *counts, tokens []identity.Token, pending []*approval.Approval) agentRow {
	row := agentRow{
		ID: v.ID, Name: label(v.ID), Type: v.Type, Href: "/agents/" + url.PathEscape(v.ID), Model: v.Model, Seen: v.Seen, Retired: !v.Retired.IsZero(),
		Avatar: Avatar{Name: visible(label(v.ID), maxTitle), Initials: strings.ToLower(initials(label(v.ID)))}, Owner: c.ownerOf(v.Owner),
		Credentials: len(tokens), Frozen: c.frozenActor(v.ID),
		FreezeHref: "/control?" + url.Values{"what": {freeze.Actor}, "name": {v.ID}}.Encode() + "#freeze",
	}
	by, all := sum.byClass(func(w way) bool { return w.Actor == v.ID })
	row.Share = shareOf(by, all)
	for w := range sum.Ways {
		if w.Actor == v.ID && !slices.Contains(row.Path, w.Gate) {
			row.Path = append(row.Path, w.Gate)
		}
	}
	slices.Sort(row.Path)
	for _, t := range tokens {
		if how := cmp.Or(viaWords[t.Origin.Via], t.Origin.Via); !slices.Contains(row.Via, how) {
			row.Via = append(row.Via, how)
		}
	}
	if len(tokens) > 0 {
		row.Soonest = tokens[0].Expires
	}
	for _, a := range pending {
		if len(a.Asker.Chain) > 0 && a.Asker.Chain[0].ID == v.ID {
			row.Waiting++
		}
	}
	return row
}

func (c *Console) ownerOf(id string) []Piece {
	if id == "" {
		return visible("nobody", maxName)
	}
	if p, ok := c.o.People.Person(id); ok {
		return visible(personName(&p), maxName)
	}
	return visible(label(id), maxName)
}

func (c *Console) frozenActor(id string) bool {
	return c.o.Freezes != nil && slices.ContainsFunc(c.o.Freezes.List(false), func(e freeze.Entry) bool {
		return e.What == freeze.Everything || e.What == freeze.Actor && e.Name == id
	})
}

// gateRows are the configured gates, and any other way that was used, as the API is.
func (c *Console) gateRows(ctx context.Context, sum *counts) []gateRow {
	var out []gateRow
	for _, g := range c.about(ctx).Gates {
		out = append(out, gateRow{Gate: g})
	}
	for w := range sum.Ways {
		if !slices.ContainsFunc(out, func(g gateRow) bool { return g.Name == w.Gate }) {
			out = append(out, gateRow{Gate: Gate{Name: w.Gate}})
		}
	}
	for i := range out {
		g := &out[i]
		by, all := sum.byClass(func(w way) bool { return w.Gate == g.Name })
		g.Share = shareOf(by, all)
		for w := range sum.Ways {
			if name := label(w.Actor); w.Gate == g.Name && !slices.Contains(g.Agents, name) {
				g.Agents = append(g.Agents, name)
			}
		}
		slices.Sort(g.Agents)
	}
	slices.SortStableFunc(out, func(a, b gateRow) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func agentCards(rows []agentRow, gates []gateRow, now time.Time) []figure {
	var known, seen, bare, all, flowed int64
	var idle []string
	for _, a := range rows {
		if a.Retired {
			continue
		}
		known++
		if now.Sub(a.Seen) < 24*time.Hour || a.Share.All > 0 {
			seen++
		}
		if a.Credentials == 0 {
			bare++
		}
		all += a.Share.All
		for _, p := range a.Share.Parts {
			if p.Class == "ok" || p.Class == "info" {
				flowed += p.N
			}
		}
	}
	for _, g := range gates {
		if g.Share.All == 0 {
			idle = append(idle, g.Name)
		}
	}
	cover, under := "–", "nothing was asked in the last day"
	if all > 0 {
		cover, under = thousands(100*flowed/all)+" %", "of "+thousands(all)+" actions flowed in the last day"
	}
	on, class := "each had somebody on it", ""
	if len(idle) > 0 {
		on, class = "nobody came by "+strings.Join(idle, ", "), "warn"
	}
	return []figure{
		{"Agents", thousands(known), thousands(seen) + " seen in the last day", ""},
		{"Flowed by itself", cover, under, ""},
		{"Gates", thousands(int64(len(gates))), on, class},
		{"Without a credential", thousands(bare), "they can ask nothing until they get one", ""},
	}
}

// agentPage is one actor.
type agentPage struct {
	Shell
	Agent     agentRow
	Tokens    []tokenRow
	Approvals []row
	Sessions  []sessionLine
	Records   []recordRow
	Gates     []gateRow
	MayFreeze bool
}

type tokenRow struct {
	ID, Via, Foreign string
	Created, Expires time.Time
	By               string
}

// sessionLine is one session of an actor, as its newest records tell.
type sessionLine struct {
	ID, Href    string
	Gate        string
	First, Last time.Time
	Actions     int
	Share       share
}

const (
	ofActor   = 500 // newest records of an actor that its page looks at
	shownOf   = 40  // of them that it lists
	approvals = 20
)

func (c *Console) showAgent(w http.ResponseWriter, r *http.Request, p *who) {
	ctx, id := r.Context(), r.PathValue("id")
	all := c.o.Actors.List()
	i := slices.IndexFunc(all, func(v registry.View) bool { return v.ID == id })
	if i < 0 {
		c.fail(w, r, http.StatusNotFound, "There is no such agent.", "It may have been renamed in the configuration. What it did is in the audit log under its old name.")
		return
	}
	tokens, err := c.credentials(ctx)
	if err != nil {
		c.broken(w, r, "listing credentials", err)
		return
	}
	if err := c.tally.step(ctx); err != nil {
		c.broken(w, r, "counting what happened", err)
		return
	}
	asked, err := c.o.Approvals.List(ctx, approval.Filter{Actor: id, Limit: approvals})
	if err != nil {
		c.broken(w, r, "listing an agent's approvals", err)
		return
	}
	newest, _, err := c.recent(ctx, audit.Query{Actor: id, Limit: ofActor})
	if err != nil {
		c.broken(w, r, "reading an agent's records", err)
		return
	}
	sum := c.tally.last(24 * time.Hour)
	pending := slices.DeleteFunc(slices.Clone(asked), func(a *approval.Approval) bool { return a.State != approval.Pending })
	page := agentPage{
		Agent: c.agentRow(all[i], &sum, tokens[id], pending), Sessions: sessionsOf(newest), Records: c.recordRows(newest[:min(len(newest), shownOf)]),
		MayFreeze: c.o.Freezes != nil && len(p.Groups) > 0,
	}
	page.Agent.Seen = later(page.Agent.Seen, newest)
	for _, t := range tokens[id] {
		page.Tokens = append(page.Tokens, tokenRow{t.ID, cmp.Or(viaWords[t.Origin.Via], t.Origin.Via), t.Origin.Foreign, t.Created, t.Expires, label(t.CreatedBy)})
	}
	for _, a := range asked {
		page.Approvals = append(page.Approvals, c.rowOf(a, "decided", c.o.Clock(), p))
	}
	for _, g := range c.gateRows(ctx, &sum) {
		if slices.Contains(page.Agent.Path, g.Name) {
			by, n := sum.byClass(func(w way) bool { return w.Gate == g.Name && w.Actor == id })
			g.Share = shareOf(by, n)
			page.Gates = append(page.Gates, g)
		}
	}
	page.Shell = c.shellOf(r, p, "agents", page.Agent.Name, -1)
	c.page(w, r, http.StatusOK, "agent", page)
}

// later is the newest of when an actor was noted and what it did.
func later(seen time.Time, newest []entry) time.Time {
	if len(newest) > 0 && newest[0].Time.After(seen) {
		return newest[0].Time
	}
	return seen
}
