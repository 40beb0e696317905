package proxy

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/session"
)

// Sessions keeps who is signed in: session.Manager.
type Sessions interface {
	Open(ctx context.Context, o session.Opening) (secret string, s *session.Session, err error)
	Get(ctx context.Context, secret string) (*session.Session, error)
	End(ctx context.Context, id, by, why string) error
	Seal(purpose string, v any) (string, error)
	Unseal(purpose, text string, v any) error
}

// People lets people in by a browser. Each host has a session of its own, that no
// other host and no page of the console takes.
type People struct {
	Sessions Sessions
	Issuer   *oidc.Issuer
}

// CredentialPrefix begins the credential of a person's session; its id follows.
const CredentialPrefix = "session:"

// flowLife bounds the cookie in which a flow waits for the issuer's answer.
const flowLife = 10 * time.Minute

var (
	errTwo    = errors.New("the session's cookie came twice")
	errNobody = errors.New("nobody is signed in")
)

// home is the origin of a request whose host has a route.
func (g *Gate) home(r *http.Request) string {
	if r.TLS != nil || g.o.Secure {
		return "https://" + strings.ToLower(r.Host)
	}
	return "http://" + strings.ToLower(r.Host)
}

// place binds a session to this gate and one host.
func (g *Gate) place(r *http.Request) string { return g.o.Name + "/" + strings.ToLower(r.Host) }

// signedIn is the session of a browser. errNobody: there is none.
func (g *Gate) signedIn(r *http.Request, cookies []string) (*session.Session, error) {
	if g.o.People == nil || len(cookies) == 0 {
		return nil, errNobody
	}
	if len(cookies) > 1 { // the prefix allows one: somebody planted the other
		return nil, errTwo
	}
	s, err := g.o.People.Sessions.Get(r.Context(), cookies[0])
	if errors.Is(err, session.ErrNone) {
		return nil, errNobody
	}
	if err != nil {
		return nil, err
	}
	if s.How != session.ByGate || s.Gate != g.place(r) {
		return nil, errNobody
	}
	return s, nil
}

// sameOrigin says that a page of this very origin made the request, by what a
// browser says and no page can change. A browser that says nothing is not believed.
func (g *Gate) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case len(r.Header.Values("Sec-Fetch-Site")) > 1 || len(r.Header.Values("Origin")) > 1:
		return false
	case site != "" && site != "same-origin":
		return false
	case origin == "" && site == "":
		return false
	case origin != "" && !strings.EqualFold(origin, g.home(r)):
		return false
	}
	return true
}

// safe are the methods that change nothing (RFC 9110 section 9.2.1).
func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// navigates says that a person's browser asks for a page, which may be sent to sign in.
func navigates(r *http.Request) bool {
	mode, dest := r.Header.Get("Sec-Fetch-Mode"), r.Header.Get("Sec-Fetch-Dest")
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") &&
		(mode == "" || mode == "navigate") && (dest == "" || dest == "document") && r.Header.Get("Upgrade") == ""
}

func (g *Gate) setCookie(w http.ResponseWriter, name, value string, age time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(age.Seconds()), HttpOnly: true, Secure: g.o.Secure, SameSite: http.SameSiteLaxMode}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// next is where a browser goes on once somebody is signed in: a path of this host.
func next(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") ||
		strings.ContainsAny(text, "\\\x00\r\n\t") || within(u.Path, strings.TrimSuffix(Own, "/")) || len(text) > 1500 {
		return "/"
	}
	return text
}

// begin sends a browser to the issuer. What it comes back with belongs to this
// browser, this host and this gate: the flow is sealed for them.
func (g *Gate) begin(w http.ResponseWriter, r *http.Request, to string) {
	address, f, err := g.o.People.Issuer.Begin(r.Context(), oidc.Question{Redirect: g.home(r) + Own + "callback"})
	if err != nil {
		g.notSignedIn(w, r, err)
		return
	}
	f.Purpose, f.Next = g.place(r), next(to)
	text, err := g.o.People.Sessions.Seal("gate "+g.place(r), f)
	if err != nil || len(text) > 3800 {
		g.o.Log.ErrorContext(r.Context(), "beginning a sign-in", "gate", g.o.Name, "err", err)
		g.page(w, r, http.StatusServiceUnavailable, page{Title: "Nobody can sign in right now", Text: "Try again in a minute; the server's log says why."})
		return
	}
	g.setCookie(w, g.flow, text, flowLife)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}

// callback is the issuer's answer.
func (g *Gate) callback(w http.ResponseWriter, r *http.Request, flows []string) {
	var f oidc.Flow
	if len(flows) != 1 || g.o.People.Sessions.Unseal("gate "+g.place(r), flows[0], &f) != nil || f.Purpose != g.place(r) {
		g.page(w, r, http.StatusForbidden, page{Title: "This browser began no such sign-in", Text: "Or it was too long ago. Open the page that you wanted again, in one tab."})
		return
	}
	g.setCookie(w, g.flow, "", 0)
	in, err := g.o.People.Issuer.Finish(r.Context(), &f, r.URL.Query())
	if err != nil {
		g.notSignedIn(w, r, err)
		return
	}
	secret, s, err := g.o.People.Sessions.Open(r.Context(), session.Opening{How: session.ByGate, Gate: g.place(r), SignIn: in, Agent: r.UserAgent()})
	if errors.Is(err, session.ErrNobody) {
		g.page(w, r, http.StatusForbidden, page{Title: "Your account isn't known here", Text: "The issuer " + in.Issuer + " knows you, and this deployment doesn't. An administrator may add the account " + in.Issuer + "|" + in.Account() + "."})
		return
	}
	if err != nil {
		g.o.Log.ErrorContext(r.Context(), "opening a session", "gate", g.o.Name, "err", err)
		g.page(w, r, http.StatusServiceUnavailable, page{Title: "Nobody can sign in right now", Text: "Try again in a minute; the server's log says why."})
		return
	}
	g.setCookie(w, g.cookie, secret, s.Expires.Sub(s.Created))
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, next(f.Next), http.StatusSeeOther)
}

func (g *Gate) notSignedIn(w http.ResponseWriter, r *http.Request, err error) {
	status, said := http.StatusForbidden, "Open the page that you wanted again."
	var e *oidc.Error
	if errors.As(err, &e) {
		said = e.Error() + "."
	}
	if errors.Is(err, oidc.ErrDown) {
		status = http.StatusServiceUnavailable
	}
	g.o.Log.InfoContext(r.Context(), "a sign-in failed", "gate", g.o.Name, "err", err)
	g.page(w, r, status, page{Title: "You were not signed in", Text: said})
}

// signOut ends the session of this host. Another site's page can't.
func (g *Gate) signOut(w http.ResponseWriter, r *http.Request, cookies []string) {
	s, err := g.signedIn(r, cookies)
	if err == nil && r.Method == http.MethodGet {
		g.page(w, r, http.StatusOK, page{Title: "Signed in", Text: "You are signed in to " + strings.ToLower(r.Host) + " as " + s.Person + ".", Button: "Sign out"})
		return
	}
	if err == nil && !g.sameOrigin(r) {
		g.page(w, r, http.StatusForbidden, page{Title: "Another site's page asked for this", Text: "You are still signed in."})
		return
	}
	if err == nil {
		err = g.o.People.Sessions.End(r.Context(), s.ID, s.Person, "signed out")
	}
	if err != nil && !errors.Is(err, session.ErrNone) && !errors.Is(err, errNobody) && !errors.Is(err, errTwo) {
		g.o.Log.ErrorContext(r.Context(), "ending a session", "gate", g.o.Name, "err", err)
		g.page(w, r, http.StatusServiceUnavailable, page{Title: "You could not be signed out", Text: "Try again, or close the browser."})
		return
	}
	g.setCookie(w, g.cookie, "", 0)
	g.page(w, r, http.StatusOK, page{Title: "Signed out", Text: "Nobody is signed in to " + strings.ToLower(r.Host) + " by this browser."})
}

// own answers what is below /.assent/, before anybody is asked who they are.
func (g *Gate) own(w http.ResponseWriter, r *http.Request) bool {
	if !within(r.URL.Path, strings.TrimSuffix(Own, "/")) {
		return false
	}
	of := g.routes.host(r.Host, g.o.Port)
	flows, cookies := []string(nil), []string(nil)
	if of != nil && g.o.People != nil {
		flows = withoutOurs(r.Header.Clone(), g.flow)
		cookies = withoutOurs(r.Header.Clone(), g.cookie)
	}
	switch path, get := r.URL.Path, r.Method == http.MethodGet; {
	case of == nil || g.o.People == nil:
		http.NotFound(w, r)
	case get && path == Own+"callback":
		g.callback(w, r, flows)
	case get && path == Own+"signin":
		g.begin(w, r, r.URL.Query().Get("next"))
	case (get || r.Method == http.MethodPost) && path == Own+"signout":
		g.signOut(w, r, cookies)
	default:
		http.NotFound(w, r)
	}
	return true
}

// A page is what a person reads.
type page struct {
	Title, Text, Hint, Link, Button string
}

var pages = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title>
<body><main><h1>{{.Title}}</h1>
<p>{{.Text}}</p>{{if .Hint}}
<p>{{.Hint}}</p>{{end}}{{if .Link}}
<p><a href="{{.Link}}">{{.Link}}</a></p>{{end}}{{if .Button}}
<form method="post"><button>{{.Button}}</button></form>{{end}}
</main></body></html>
`))

func (g *Gate) page(w http.ResponseWriter, r *http.Request, status int, p page) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = pages.Execute(w, p)
	}
}
