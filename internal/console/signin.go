package console

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/assenthq/assent/internal/identity"
)

// nextPages are where a person may be sent on after signing in: never elsewhere.
var nextPages = regexp.MustCompile(`^/(approvals/[A-Za-z0-9_]{1,40}|activity|audit|settings)$`)

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
}

// showSignIn shows a button and uses nothing up: chat previewers and mail
// scanners open links too.
func (c *Console) showSignIn(w http.ResponseWriter, r *http.Request) {
	link := r.URL.Query().Get("t")
	if _, ok := c.visitor(r); ok && link == "" {
		http.Redirect(w, r, "/approvals", http.StatusSeeOther)
		return
	}
	c.page(w, r, http.StatusOK, "signin", signInPage{
		Theme: theme(r), Link: link, Next: nextPage(r.URL.Query().Get("next")), Paste: c.o.CheckToken != nil,
	})
}

// signIn opens a session for a one-time link or a reviewer's token.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request) {
	now := c.o.Clock()
	id, token, ok := "", "", false
	if t := r.PostFormValue("t"); t != "" {
		id, ok = c.links.take(hashOf(t), now)
	} else if t := strings.TrimSpace(r.PostFormValue("token")); t != "" && c.o.CheckToken != nil {
		p, err := c.o.CheckToken(r.Context(), t)
		id, ok = p.Key(), err == nil && p.ID != ""
		if ok && c.o.TokenHolds != nil {
			token, err = identity.TokenID(t)
			ok = err == nil
		}
	}
	if ok {
		_, ok = c.o.People.Person(id)
	}
	if !ok {
		c.page(w, r, http.StatusForbidden, "signin", signInPage{
			Theme: theme(r), Next: nextPage(r.PostFormValue("next")), Paste: c.o.CheckToken != nil,
			Problem: "That link or token doesn't sign anybody in. A link works once, for ten minutes: ask for a new one.",
		})
		return
	}
	secret := newSecret()
	s := Session{Person: id, CSRF: newSecret(), Created: now, Expires: now.Add(sessionLife), Token: token}
	if err := c.o.Sessions.Put(r.Context(), hashOf(secret), s); err != nil {
		c.o.Logger.ErrorContext(r.Context(), "opening a console session", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "Nobody can sign in right now.", "Try again in a minute; the server's log says why.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: c.cookie, Value: secret, Path: "/", MaxAge: int(sessionLife.Seconds()),
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteStrictMode,
	})
	to := nextPage(r.PostFormValue("next"))
	if to == "" {
		to = "/approvals"
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request, p *who) {
	if err := c.o.Sessions.Delete(r.Context(), p.hash); err != nil {
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
