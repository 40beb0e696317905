package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"

	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/session"
)

// SignIns is what signing in through issuers needs.
type SignIns interface {
	Issuers() []*oidc.Issuer
	Issuer(name string) (*oidc.Issuer, bool)
	// Seal and Unseal keep a flow with the browser that began it.
	Seal(purpose string, v any) (string, error)
	Unseal(purpose, text string, v any) error
	// UseInvitation uses up the link for the first administrator.
	UseInvitation(ctx context.Context, secret string) error
	// KeepProof keeps a fresh sign-in for what asked for it; TakeProof uses it up.
	KeepProof(ctx context.Context, id, nonce string, in *oidc.SignIn) error
	TakeProof(ctx context.Context, id, nonce string) (*session.Proof, error)
}

// What a flow is for.
const (
	toSignIn = ""
	toAdmin  = "admin" // and become the first administrator
	toProve  = "prove" // a fresh sign-in of somebody signed in
)

const flowPurpose = "flow"

// issuerButton is one way in.
type issuerButton struct {
	Name string
	Down bool
}

func (c *Console) buttons() (out []issuerButton) {
	if c.o.SignIns == nil {
		return nil
	}
	for _, i := range c.o.SignIns.Issuers() {
		out = append(out, issuerButton{Name: i.Name(), Down: i.Err() != nil})
	}
	return out
}

// issuerRoutes are there where issuers are configured.
func (c *Console) issuerRoutes(mux *http.ServeMux) {
	if c.o.SignIns == nil {
		return
	}
	mux.HandleFunc("GET /signin/start/{issuer}", c.startSignIn)
	mux.HandleFunc("GET /signin/callback/{issuer}", c.callback)
	mux.HandleFunc("GET /signin/admin", c.showAdminLink)
	mux.HandleFunc("POST /signin/admin", c.useAdminLink)
	mux.HandleFunc("POST /signin/fresh", c.signedIn(c.signInAnew))
}

// flowCookie is where a flow waits for the issuer's answer. Lax, because that
// answer is a navigation from the issuer's site; it opens nothing by itself.
func (c *Console) flowCookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: c.cookie + "-flow", Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode}
}

// begin sends the browser to an issuer. It goes by a page of ours: a redirect
// after a form would be stopped by form-action, and says nothing to the person.
func (c *Console) begin(w http.ResponseWriter, r *http.Request, issuer string, q oidc.Question, prepare func(*oidc.Flow)) {
	i, ok := c.o.SignIns.Issuer(issuer)
	if !ok {
		c.fail(w, r, http.StatusNotFound, "There is no such issuer.", "Go back to the sign-in page.")
		return
	}
	q.Redirect = c.o.PublicURL + "/signin/callback/" + i.Name()
	address, f, err := i.Begin(r.Context(), q)
	if err != nil {
		c.notSignedIn(w, r, err)
		return
	}
	prepare(f)
	text, err := c.o.SignIns.Seal(flowPurpose, f)
	if err != nil || len(text) > 3_800 {
		c.o.Logger.ErrorContext(r.Context(), "beginning a sign-in", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "Nobody can sign in right now.", "Try again in a minute; the server's log says why.")
		return
	}
	http.SetCookie(w, c.flowCookie(text, 600))
	c.page(w, r, http.StatusOK, "again", message{Theme: theme(r), Next: address})
}

// startSignIn is the button of an issuer. Another site's page can't press it.
func (c *Console) startSignIn(w http.ResponseWriter, r *http.Request) {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		c.fail(w, r, http.StatusForbidden, "Another site's page began this sign-in.", "Open the console yourself and sign in there.")
		return
	}
	next := nextPage(r.URL.Query().Get("next"))
	c.begin(w, r, r.PathValue("issuer"), oidc.Question{}, func(f *oidc.Flow) { f.Purpose, f.Next = toSignIn, next })
}

// reauthenticate has the person of p sign in anew at their issuer, with a nonce
// of the caller's; then next is shown, and session.Manager.TakeProof has the
// proof. It is false, and has answered nothing, when the session isn't an issuer's.
func (c *Console) reauthenticate(w http.ResponseWriter, r *http.Request, p *who, nonce, next string) bool {
	if c.o.SignIns == nil || p.Session.Issuer == "" {
		return false
	}
	c.begin(w, r, p.Session.Issuer, oidc.Question{Fresh: true, Nonce: nonce}, func(f *oidc.Flow) {
		f.Purpose, f.Next, f.Person, f.Session = toProve, nextPage(next), p.ID, p.Session.ID
	})
	return true
}

var plainNonce = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// signInAnew is a form of ours that needs a fresh sign-in bound to nonce, the
// hash of what it is for, before it shows next.
func (c *Console) signInAnew(w http.ResponseWriter, r *http.Request, p *who) {
	nonce, next := r.PostFormValue("nonce"), nextPage(r.PostFormValue("next"))
	if !plainNonce.MatchString(nonce) || next == "" || !c.reauthenticate(w, r, p, nonce, next) {
		c.fail(w, r, http.StatusBadRequest, "There is no fresh sign-in for this.", "It takes a session that an issuer opened. Sign in by your issuer and try again.")
	}
}

// callback is the issuer's answer. What it is good for stands in the flow, which
// this browser alone holds, and is used up by any answer.
func (c *Console) callback(w http.ResponseWriter, r *http.Request) {
	var f oidc.Flow
	k, err := r.Cookie(c.cookie + "-flow")
	if err == nil {
		err = c.o.SignIns.Unseal(flowPurpose, k.Value, &f)
	}
	i, ok := c.o.SignIns.Issuer(r.PathValue("issuer"))
	if err != nil || !ok || f.Issuer != i.Name() {
		c.page(w, r, http.StatusForbidden, "signin", c.signInPage(r, "", "This browser began no such sign-in, or it was too long ago. Begin again here, in one tab."))
		return
	}
	http.SetCookie(w, c.flowCookie("", -1))
	in, err := i.Finish(r.Context(), &f, r.URL.Query())
	if err != nil {
		c.notSignedIn(w, r, err)
		return
	}
	if f.Purpose == toProve {
		c.proved(w, r, &f, in)
		return
	}
	o := session.Opening{How: session.ByIssuer, SignIn: in, Agent: r.UserAgent(), First: f.Purpose == toAdmin}
	if !c.open(w, r, o) {
		return
	}
	next := f.Next
	if next == "" {
		next = "/approvals"
	}
	// By a page of ours: a redirect would still belong to the issuer's site, and
	// the browser would keep a Strict cookie back.
	c.page(w, r, http.StatusOK, "again", message{Theme: theme(r), Next: next})
}

// proved keeps a fresh sign-in for what asked for it.
func (c *Console) proved(w http.ResponseWriter, r *http.Request, f *oidc.Flow, in *oidc.SignIn) {
	if err := c.o.SignIns.KeepProof(r.Context(), f.Session, f.Nonce, in); err != nil {
		c.o.Logger.WarnContext(r.Context(), "a fresh sign-in was refused", "err", err)
		c.fail(w, r, http.StatusForbidden, "That was another account, or you are signed out by now.", "Sign in with the account that this session belongs to.")
		return
	}
	c.page(w, r, http.StatusOK, "again", message{Theme: theme(r), Next: f.Next})
}

// notSignedIn tells what an issuer's answer lacked and what to try.
func (c *Console) notSignedIn(w http.ResponseWriter, r *http.Request, err error) {
	status, said := http.StatusForbidden, "You were not signed in."
	var e *oidc.Error
	if errors.As(err, &e) {
		said = "You were not signed in: " + e.Error() + "."
	}
	if errors.Is(err, oidc.ErrDown) {
		status = http.StatusServiceUnavailable
	}
	c.o.Logger.InfoContext(r.Context(), "a sign-in failed", "err", err)
	c.page(w, r, status, "signin", c.signInPage(r, "", said))
}

// stranger tells somebody whom the issuer knows and we don't.
func (c *Console) stranger(o session.Opening) string {
	if o.SignIn == nil {
		return "Nobody is signed in by this."
	}
	return "The issuer " + o.SignIn.Issuer + " knows you, and this deployment doesn't: your account is neither a configured person's nor in a group it knows. " +
		"An administrator may add the account " + o.SignIn.Issuer + "|" + o.SignIn.Account() + "."
}

// showAdminLink shows the link for the first administrator and uses nothing up.
func (c *Console) showAdminLink(w http.ResponseWriter, r *http.Request) {
	page := c.signInPage(r, "", "")
	page.Admin = r.URL.Query().Get("t")
	c.page(w, r, http.StatusOK, "signin", page)
}

// useAdminLink uses it up and sends to an issuer: who signs in there with this
// browser now becomes the first administrator.
func (c *Console) useAdminLink(w http.ResponseWriter, r *http.Request) {
	issuer := r.PostFormValue("issuer")
	if i, ok := c.o.SignIns.Issuer(issuer); !ok || i.Err() != nil {
		c.page(w, r, http.StatusServiceUnavailable, "signin", c.signInPage(r, "", "That issuer doesn't answer now. The link was not used up: try again in a minute."))
		return
	}
	if err := c.o.SignIns.UseInvitation(r.Context(), r.PostFormValue("t")); err != nil {
		if !errors.Is(err, session.ErrNone) && !errors.Is(err, session.ErrHasAdmin) {
			c.o.Logger.ErrorContext(r.Context(), "using the link for the first administrator", "err", err)
		}
		c.page(w, r, http.StatusForbidden, "signin", c.signInPage(r, "",
			"That link makes nobody an administrator: it works once, for ten minutes, and only while there is none. A restart prints a new one."))
		return
	}
	c.begin(w, r, issuer, oidc.Question{}, func(f *oidc.Flow) { f.Purpose, f.Next = toAdmin, "/settings" })
}

// AdminLink is the address of a link for the first administrator. It is a
// secret: print it on a terminal, never in a log.
func (c *Console) AdminLink(secret string) string {
	return c.o.PublicURL + "/signin/admin?t=" + url.QueryEscape(secret)
}
