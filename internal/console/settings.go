package console

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/calm"
	"github.com/assenthq/assent/internal/session"
)

// settingsPage is who I am, where I am signed in, and how this deployment is doing.
type settingsPage struct {
	Shell
	About     About
	Expires   time.Time
	URL       string
	Assurance string
	Issuer    string
	Sessions  []sessionRow
	Admin     bool // sees everybody's
	Passkeys  passkeysView
	SetUp     bool // there is a page that leads through it
	Calm      bool
	Quiet     calm.Hours
	Push      pushView
	Tokens    bool         // one's own credentials have a page
	Channels  channelsView // for administrators
}

// sessionRow is one open session as a person sees it.
type sessionRow struct {
	session.Session
	Mine, This bool
	By         string
	Name       string // the person's
	Browser    string
}

// browserOf makes a few words of what a browser calls itself.
func browserOf(agent string) string {
	pick := func(names ...string) string {
		for i := 0; i+1 < len(names); i += 2 {
			if strings.Contains(agent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	name := pick("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome", "Chrome", "Safari/", "Safari")
	on := pick("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS", "macOS", "Linux", "Linux")
	if name == "" || on == "" {
		return agent
	}
	return name + " on " + on
}

// howWords say how a session was opened.
var howWords = map[string]string{
	session.ByIssuer: "signed in", session.ByLink: "one-time link", session.ByToken: "pasted token", session.ByDevice: "command line, reads only",
	session.ByGate: "signed in to an application",
}

func (c *Console) showSettings(w http.ResponseWriter, r *http.Request, p *who) {
	page := settingsPage{
		Shell: c.shellOf(r, p, "settings", "Settings", -1), Expires: p.Session.Expires, URL: c.o.PublicURL,
		Assurance: p.assurance(), Issuer: p.Session.Issuer, Admin: c.administers(p), Passkeys: c.passkeysOf(r.Context(), p), Tokens: c.o.Tokens != nil, SetUp: c.o.Setup != nil,
	}
	if c.o.Calm != nil {
		page.Calm, page.Quiet = true, c.o.Calm.Hours(p.ID)
	}
	if c.o.About != nil {
		page.About = c.o.About(r.Context())
	}
	var err error
	if page.Push, err = c.pushOf(r, p); err != nil {
		c.o.Logger.ErrorContext(r.Context(), "listing browsers that are told", "err", err)
		page.About.Problems = append(page.About.Problems, "which browsers are told can't be read; the server's log says why")
	}
	if page.Push.May {
		w.Header().Set("Content-Security-Policy", workerPolicy)
	}
	whose := p.ID
	if page.Admin {
		whose, page.Channels = "", c.channelsOf(r.Context())
	}
	all, err := c.o.Sessions.List(r.Context(), whose)
	if err != nil {
		c.o.Logger.ErrorContext(r.Context(), "listing sessions", "err", err)
		page.About.Problems = append(page.About.Problems, "the sessions can't be read; the server's log says why")
	}
	for _, s := range all {
		by := howWords[s.How]
		if s.Issuer != "" {
			by += " by " + s.Issuer
		}
		if s.Gate != "" {
			by += ", " + s.Gate
		}
		page.Sessions = append(page.Sessions, sessionRow{Session: s, Mine: s.Person == p.ID, This: s.ID == p.Session.ID, By: by, Name: c.nameOf(s.Person), Browser: browserOf(s.Agent)})
	}
	c.page(w, r, http.StatusOK, "settings", page)
}

// nameOf is what somebody is called.
func (c *Console) nameOf(id string) string {
	if p, ok := c.o.People.Person(id); ok {
		return personName(&p)
	}
	return label(id)
}

// administers reports whether p may do what administrators do, in a session that is worth it.
func (c *Console) administers(p *who) bool {
	return c.o.Administers != nil && p.assurance() == "console" && c.o.Administers(&p.Person)
}

// endSession ends one of the person's own sessions; an administrator's, anybody's.
func (c *Console) endSession(w http.ResponseWriter, r *http.Request, p *who) {
	id, whose := r.PathValue("id"), p.ID
	if c.administers(p) && c.confirmed(r, p) && c.administers(p) {
		whose = ""
	}
	all, err := c.o.Sessions.List(r.Context(), whose)
	known := false
	for _, s := range all {
		known = known || s.ID == id
	}
	if err == nil && known {
		err = c.o.Sessions.End(r.Context(), id, p.ID, "ended in the console")
	}
	switch {
	case err != nil && !errors.Is(err, session.ErrNone):
		c.o.Logger.ErrorContext(r.Context(), "ending a session", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "The session could not be ended.", "Try again in a minute; the server's log says why.")
	case !known:
		c.fail(w, r, http.StatusNotFound, "There is no such session of yours.", "It may have ended already. Go back to the settings.")
	default:
		http.Redirect(w, r, "/settings", http.StatusSeeOther)
	}
}
