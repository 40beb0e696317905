package console

import (
	"cmp"
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/session"
)

// nextPages are where a person may be sent on after signing in: never elsewhere.
var nextPages = regexp.MustCompile(`^/(approvals/[A-Za-z0-9_]{1,40}|activity|agents|audit|audit/[0-9]{1,18}|control|control/rules|emergencies|policies|settings|settings/people|settings/tokens|setup)$`)

func nextPage(s string) string {
	if nextPages.MatchString(s) {
		return s
	}
	return ""
}

// signInPage is what the sign-in template shows.
type signInPage struct {
	Theme, Link, Problem string
	Next                 string // where to go then
	Paste                bool   // a reviewer token may be pasted
	Issuers              []issuerButton
	Admin                string // the first administrator's link: its secret
}

func (c *Console) signInPage(r *http.Request, next, problem string) signInPage {
	return signInPage{Theme: theme(r), Next: nextPage(next), Problem: problem, Paste: c.o.CheckToken != nil, Issuers: c.buttons()}
}

// showSignIn shows a button and uses nothing up: chat previewers and mail
// scanners open links too.
func (c *Console) showSignIn(w http.ResponseWriter, r *http.Request) {
	link := r.URL.Query().Get("t")
	if _, ok := c.visitor(r); ok && link == "" {
		http.Redirect(w, r, "/approvals", http.StatusSeeOther)
		return
	}
	page := c.signInPage(r, r.URL.Query().Get("next"), "")
	page.Link = link
	c.page(w, r, http.StatusOK, "signin", page)
}

// signIn opens a session for a one-time link or a reviewer's token.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	o, ok := session.Opening{How: session.ByLink, Agent: r.UserAgent()}, false
	if t := r.PostFormValue("t"); t != "" {
		o.Person, ok = c.links.take(hashOf(t), c.o.Clock())
	} else if t := strings.TrimSpace(r.PostFormValue("token")); t != "" && c.o.CheckToken != nil {
		p, err := c.o.CheckToken(r.Context(), t)
		o.How, o.Person, o.Account, ok = session.ByToken, p.ID, p.Account, err == nil && p.ID != ""
		if ok {
			o.Token, err = identity.TokenID(t)
			ok = err == nil
		}
	}
	if ok {
		_, ok = c.o.People.Person(cmp.Or(o.Account, o.Person))
	}
	if !ok {
		c.page(w, r, http.StatusForbidden, "signin", c.signInPage(r, r.PostFormValue("next"),
			"That link or token doesn't sign anybody in. A link works once, for ten minutes: ask for a new one."))
		return
	}
	if c.open(w, r, o) {
		to := nextPage(r.PostFormValue("next"))
		if to == "" {
			to = "/approvals"
		}
		http.Redirect(w, r, to, http.StatusSeeOther)
	}
}

// open opens a session and gives its secret to the browser; false: it told why not.
func (c *Console) open(w http.ResponseWriter, r *http.Request, o session.Opening) bool {
	secret, s, err := c.o.Sessions.Open(r.Context(), o)
	if errors.Is(err, session.ErrNobody) {
		c.page(w, r, http.StatusForbidden, "signin", c.signInPage(r, "", c.stranger(o)))
		return false
	}
	if err != nil {
		c.o.Logger.ErrorContext(r.Context(), "opening a console session", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "Nobody can sign in right now.", "Try again in a minute; the server's log says why.")
		return false
	}
	http.SetCookie(w, &http.Cookie{
		Name: c.cookie, Value: secret, Path: "/", MaxAge: int(s.Expires.Sub(s.Created).Seconds()),
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteStrictMode,
	})
	return true
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request, p *who) {
	if err := c.o.Sessions.End(r.Context(), p.Session.ID, p.ID, "signed out"); err != nil && !errors.Is(err, session.ErrNone) {
		c.o.Logger.ErrorContext(r.Context(), "closing a console session", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "You could not be signed out.", "Try again, or close the browser.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: c.cookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/signin", http.StatusSeeOther)
}

// theme is the colour scheme the person chose, or "" for the system's. It
// comes in a cookie so that the first paint is right without any script.
func theme(r *http.Request) string {
	if k, err := r.Cookie("assent-theme"); err == nil && (k.Value == "dark" || k.Value == "light") {
		return k.Value
	}
	return ""
}
