package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
)

// A Directory links accounts and lends seats. Both are done here alone, in a
// session that its person signed in to: never with a token, which an
// administrator could have minted in somebody's name.
type Directory interface {
	Accounts() []people.Account
	Links() []people.Link
	StandIns() []people.StandIn
	OnCall() []people.Turn
	Everybody() []identity.Person
	BeginLink(ctx context.Context, p *identity.Person) (*people.Link, string, error)
	LookAtLink(ctx context.Context, code string) (*people.Link, error)
	OfferLink(ctx context.Context, code string, p *identity.Person) (*people.Link, error)
	ConfirmLink(ctx context.Context, id string, p *identity.Person) (*people.Link, error)
	EndLink(ctx context.Context, id string, p *identity.Person, admin bool) error
	Appoint(ctx context.Context, p *identity.Person, to string, groups []string, until time.Time, reason string) (*people.StandIn, error)
	EndStandIn(ctx context.Context, id string, p *identity.Person, admin bool) error
}

func (c *Console) peopleRoutes(mux *http.ServeMux) {
	if c.o.Directory == nil {
		return
	}
	mux.HandleFunc("GET /settings/people", c.signedIn(c.showPeople))
	mux.HandleFunc("POST /settings/people/links", c.signedIn(c.beginLink))
	mux.HandleFunc("GET /settings/people/link", c.signedIn(c.showLink))
	mux.HandleFunc("POST /settings/people/link", c.signedIn(c.offerLink))
	mux.HandleFunc("POST /settings/people/links/{id}/confirm", c.signedIn(c.confirmLink))
	mux.HandleFunc("POST /settings/people/links/{id}/end", c.signedIn(c.endLink))
	mux.HandleFunc("POST /settings/people/standins", c.signedIn(c.appoint))
	mux.HandleFunc("POST /settings/people/standins/{id}/end", c.signedIn(c.endStandIn))
}

// peoplePage is which accounts lead to me, for whom I stand in, who is on call.
type peoplePage struct {
	Shell
	May      bool // this session may link and lend
	ByWhich  string
	Mine     []string
	Accounts []people.Account
	Links    []linkRow
	StandIns []standInRow
	Turns    []people.Turn
	Others   []option // who may take one's seats
	Code     string   // of a link that was begun just now
	URL      string
	Looked   *people.Link // the page of the second account
}

type linkRow struct {
	people.Link
	Confirm, End bool // what this session may do
}

type standInRow struct {
	people.StandIn
	End bool
}

func (c *Console) peoplePage(r *http.Request, p *who) peoplePage {
	page := peoplePage{
		Shell: c.shellOf(r, p, "people", "Accounts and stand-ins", -1), May: p.assurance() == "console", ByWhich: p.Key(), Mine: p.Groups,
		URL: c.o.PublicURL, Turns: c.o.Directory.OnCall(),
	}
	mine := p.IDs()
	for _, o := range c.everybody() {
		if !slices.Contains(mine, o.ID) {
			page.Others = append(page.Others, o)
		}
	}
	for _, a := range c.o.Directory.Accounts() {
		if slices.Contains(mine, a.ID) {
			page.Accounts = append(page.Accounts, a)
		}
	}
	for _, l := range c.o.Directory.Links() {
		if !slices.Contains(mine, l.Person) && !slices.Contains(mine, l.Account) || l.State == "lapsed" {
			continue
		}
		page.Links = append(page.Links, linkRow{
			Link: l, Confirm: l.State == "offered" && l.Person == p.ID && l.Begin == p.Account, End: l.State != "ended" && l.By == l.Person,
		})
	}
	for _, s := range c.o.Directory.StandIns() {
		if s.Active {
			page.StandIns = append(page.StandIns, standInRow{StandIn: s, End: slices.Contains(mine, s.From) || slices.Contains(mine, s.To)})
		}
	}
	return page
}

func (c *Console) showPeople(w http.ResponseWriter, r *http.Request, p *who) {
	c.page(w, r, http.StatusOK, "people", c.peoplePage(r, p))
}

// live reports whether this session may link and lend, and says so where it may not.
func (c *Console) live(w http.ResponseWriter, r *http.Request, p *who) bool {
	if p.assurance() == "console" {
		return true
	}
	c.fail(w, r, http.StatusForbidden, "A session that a pasted token opened links no accounts and lends no seats. Nothing was changed.", "Sign in through your issuer, or by a one-time link.")
	return false
}

func (c *Console) beginLink(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.live(w, r, p) {
		return
	}
	_, code, err := c.o.Directory.BeginLink(r.Context(), &p.Person)
	if err != nil {
		c.notChanged(w, r, err)
		return
	}
	page := c.peoplePage(r, p)
	page.Code = code
	c.page(w, r, http.StatusOK, "people", page)
}

func (c *Console) showLink(w http.ResponseWriter, r *http.Request, p *who) {
	code := r.URL.Query().Get("code")
	l, err := c.o.Directory.LookAtLink(r.Context(), code)
	if err == nil && l.State != "begun" {
		err = people.ErrUnknown
	}
	if err != nil {
		c.notChanged(w, r, err)
		return
	}
	page := c.peoplePage(r, p)
	page.Looked, page.Code = l, code
	c.page(w, r, http.StatusOK, "people-link", page)
}

func (c *Console) offerLink(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.live(w, r, p) {
		return
	}
	_, err := c.o.Directory.OfferLink(r.Context(), r.PostFormValue("code"), &p.Person)
	c.changed(w, r, err)
}

func (c *Console) confirmLink(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.live(w, r, p) {
		return
	}
	_, err := c.o.Directory.ConfirmLink(r.Context(), r.PathValue("id"), &p.Person)
	c.changed(w, r, err)
}

func (c *Console) endLink(w http.ResponseWriter, r *http.Request, p *who) {
	c.changed(w, r, c.o.Directory.EndLink(r.Context(), r.PathValue("id"), &p.Person, false))
}

func (c *Console) appoint(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.live(w, r, p) {
		return
	}
	days, err := strconv.Atoi(r.PostFormValue("days"))
	if err != nil || days < 1 || days > 30 {
		c.fail(w, r, http.StatusUnprocessableEntity, "A stand-in is for 1 to 30 days. Nothing was changed.", "Go back and say how many.")
		return
	}
	to := strings.TrimSpace(r.PostFormValue("to"))
	if !strings.ContainsAny(to, ":|") {
		to = "person:" + to
	}
	until := c.o.Clock().Add(time.Duration(days) * 24 * time.Hour)
	_, err = c.o.Directory.Appoint(r.Context(), &p.Person, to, r.PostForm["group"], until, strings.TrimSpace(r.PostFormValue("reason")))
	c.changed(w, r, err)
}

func (c *Console) endStandIn(w http.ResponseWriter, r *http.Request, p *who) {
	c.changed(w, r, c.o.Directory.EndStandIn(r.Context(), r.PathValue("id"), &p.Person, false))
}

// changed goes back to the page, or says why nothing was changed.
func (c *Console) changed(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		c.notChanged(w, r, err)
		return
	}
	http.Redirect(w, r, "/settings/people", http.StatusSeeOther)
}

func (c *Console) notChanged(w http.ResponseWriter, r *http.Request, err error) {
	text, _, _ := strings.Cut(err.Error(), ": "+people.ErrRefused.Error())
	switch {
	case errors.Is(err, people.ErrUnknown):
		c.fail(w, r, http.StatusNotFound, "There is no such person, or that code is used or too old. Nothing was changed.", "A code is good for ten minutes and one account: begin again.")
	case errors.Is(err, people.ErrNotYours):
		c.fail(w, r, http.StatusForbidden, "That is another person's. Nothing was changed.", "It is for those whom it is about: go back to your settings.")
	case errors.Is(err, people.ErrRefused):
		c.fail(w, r, http.StatusConflict, cmp.Or(text, "The directory refused.")+". Nothing was changed.", "Go back to your settings.")
	default:
		c.o.Logger.ErrorContext(r.Context(), "changing the directory", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "The directory could not be changed.", "Try again in a minute; the server's log says why.")
	}
}
