package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
)

// Freezes stop, and know what is stopped.
type Freezes interface {
	Freeze(ctx context.Context, t freeze.Target, reason string, by identity.Person) (freeze.Entry, error)
	List(old bool) []freeze.Entry
	Err() error
}

// Changes of the rules wait for somebody else than who asked.
type Changes interface {
	Thaw(ctx context.Context, id, reason string, p change.Proposal) (change.Entry, error)
	List(ctx context.Context) ([]change.Entry, error)
	IsAdmin(p *identity.Person) bool
}

// Standings are the standing grants.
type Standings interface {
	Standings(ctx context.Context) ([]approval.StandingEntry, error)
	Revoke(ctx context.Context, id string, by identity.Person, why string) (approval.StandingEntry, error)
	// Coverable errs when no standing grant of a scope may be asked for with a.
	Coverable(a *approval.Approval, s approval.Scope) error
	// Ceiling is the widest scope that anybody may ask for.
	Ceiling() (uses int, life time.Duration)
}

const (
	changesShown = 20
	maxTarget    = 512
)

// controlPage is what is stopped, what runs without asking, and what changed.
type controlPage struct {
	Shell
	Freezes   []freeze.Entry
	Standings []standingRow
	Changes   []change.Entry
	What      string // of the form, where a link filled it in
	Name      string
	Problem   string

	Emergencies, Rules bool // they have pages of their own
}

type standingRow struct {
	approval.StandingEntry
	Live  bool
	State string
}

func (c *Console) controlRoutes(mux *http.ServeMux) {
	if c.o.Freezes == nil || c.o.Changes == nil || c.o.Standings == nil {
		return
	}
	mux.HandleFunc("GET /control", c.signedIn(c.showControl))
	mux.HandleFunc("GET /grants", c.signedIn(c.showGrants))
	mux.HandleFunc("GET /approvals/{id}/standing", c.signedIn(c.showStanding))
	mux.HandleFunc("POST /control/freeze", c.signedIn(c.freeze))
	mux.HandleFunc("POST /control/thaw/{id}", c.signedIn(c.thaw))
	mux.HandleFunc("POST /control/grants/{id}/revoke", c.signedIn(c.revokeGrant))
}

// frozen is what the rail shows on every page.
func (c *Console) frozen() (names []string, unknown bool) {
	if c.o.Freezes == nil {
		return nil, false
	}
	for _, f := range c.o.Freezes.List(false) {
		names = append(names, f.String())
	}
	return names, c.o.Freezes.Err() != nil
}

func (c *Console) showControl(w http.ResponseWriter, r *http.Request, p *who) {
	q := r.URL.Query()
	page := controlPage{What: plain(q.Get("what"), maxTarget), Name: plain(q.Get("name"), maxTarget), Freezes: c.o.Freezes.List(false), Emergencies: c.o.Glass != nil, Rules: c.o.Rules != nil && c.o.Directory != nil}
	if c.o.Freezes.Err() != nil {
		page.Problem = "What is frozen can't be read, so nothing may run. The server's log says why."
	}
	var err error
	if page.Standings, err = c.standings(r.Context()); err != nil {
		c.broken(w, r, "listing standing grants", err)
		return
	}
	if page.Changes, err = c.o.Changes.List(r.Context()); err != nil {
		c.broken(w, r, "listing changes", err)
		return
	}
	page.Changes = page.Changes[:min(len(page.Changes), changesShown)]
	page.Shell = c.shellOf(r, p, "control", "Control", -1)
	c.page(w, r, http.StatusOK, "control", page)
}

// standings are the standing grants that cover something, and those that did within the day.
func (c *Console) standings(ctx context.Context) (out []standingRow, err error) {
	now := c.o.Clock()
	grants, err := c.o.Standings.Standings(ctx)
	for _, g := range grants {
		row := standingRow{StandingEntry: g, Live: g.Live(now), State: "over"}
		switch {
		case row.Live:
			row.State = "covers"
		case !g.Revoked.IsZero():
			row.State = "revoked"
		}
		if row.Live || now.Sub(g.Until) < 24*time.Hour {
			out = append(out, row)
		}
	}
	return out, err
}

// showGrants is the standing grants alone.
func (c *Console) showGrants(w http.ResponseWriter, r *http.Request, p *who) {
	var page controlPage
	var err error
	if page.Standings, err = c.standings(r.Context()); err != nil {
		c.broken(w, r, "listing standing grants", err)
		return
	}
	page.Shell = c.shellOf(r, p, "grants", "Grants", -1)
	c.page(w, r, http.StatusOK, "grants", page)
}

// mayStop keeps those who only signed in from stopping anything.
func (c *Console) mayStop(w http.ResponseWriter, r *http.Request, p *who) bool {
	if len(p.Groups) > 0 {
		return true
	}
	c.fail(w, r, http.StatusForbidden, "You are in no group, so you stop nothing here.", "Ask somebody who reviews.")
	return false
}

func (c *Console) freeze(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.mayStop(w, r, p) {
		return
	}
	t := freeze.Target{What: r.PostFormValue("what"), Name: strings.TrimSpace(r.PostFormValue("name"))}
	if t.What == freeze.Everything {
		t.Name = ""
	}
	_, err := c.o.Freezes.Freeze(r.Context(), t, r.PostFormValue("reason"), p.Person)
	if c.controlled(w, r, "freezing", err) {
		http.Redirect(w, r, "/control", http.StatusSeeOther)
	}
}

func (c *Console) thaw(w http.ResponseWriter, r *http.Request, p *who) {
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if !c.mayStop(w, r, p) {
		return
	}
	if reason == "" {
		c.fail(w, r, http.StatusUnprocessableEntity, "Letting go needs a reason: who allows it reads it.", "Go back and say why.")
		return
	}
	e, err := c.o.Changes.Thaw(r.Context(), r.PathValue("id"), reason, change.Proposal{Author: p.Person, Credential: "console"})
	if !c.controlled(w, r, "letting go", err) {
		return
	}
	if e.Approval != "" && e.State == change.Proposed {
		http.Redirect(w, r, "/approvals/"+e.Approval, http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, "/control", http.StatusSeeOther)
}

func (c *Console) revokeGrant(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.mayStop(w, r, p) {
		return
	}
	_, err := c.o.Standings.Revoke(r.Context(), r.PathValue("id"), p.Person, "revoked in the console")
	if c.controlled(w, r, "revoking a standing grant", err) {
		http.Redirect(w, r, "/control", http.StatusSeeOther)
	}
}

// controlled tells what keeps a change from happening; true: nothing did.
func (c *Console) controlled(w http.ResponseWriter, r *http.Request, what string, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, freeze.ErrTarget), errors.Is(err, freeze.ErrReason):
		c.fail(w, r, http.StatusUnprocessableEntity, "Name an actor, a known person, a resource, a gate or everything, and say why.", "Nothing was frozen. Go back and fill it in.")
	case errors.Is(err, freeze.ErrThawed):
		c.fail(w, r, http.StatusConflict, "It is not frozen any more.", "Go back to what is.")
	case errors.Is(err, change.ErrNobody):
		c.fail(w, r, http.StatusForbidden, "There is no administrator to ask.", "The configuration names them under admins; whoever runs the server can let it go with assent thaw.")
	case errors.Is(err, change.ErrUnbelieved):
		c.fail(w, r, http.StatusServiceUnavailable, "Rows about people can't be believed, so nobody can tell who administers. Nothing was changed.", "The server's log names them; they are put right while it is stopped.")
	case errors.Is(err, change.ErrFrozen):
		c.fail(w, r, http.StatusForbidden, "You are frozen, so you change nothing.", "Ask an administrator.")
	default:
		var nobody *approval.UnsatisfiableError
		if errors.As(err, &nobody) {
			c.fail(w, r, http.StatusForbidden, "Nobody may allow this: every other administrator is behind it.", "The configuration must name another one under admins.")
			return false
		}
		c.broken(w, r, what, err)
	}
	return false
}
