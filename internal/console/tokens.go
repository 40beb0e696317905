package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// Tokens makes, lists and ends credentials.
type Tokens interface {
	Mint(ctx context.Context, m identity.MintRequest) (string, *identity.Token, error)
	List(ctx context.Context) ([]identity.Token, error)
	Revoke(ctx context.Context, id, by string) error
}

const longestToken = 12 // hours, of a credential that a person makes for themselves here

func (c *Console) tokenRoutes(mux *http.ServeMux) {
	if c.o.Tokens == nil {
		return
	}
	mux.HandleFunc("GET /settings/tokens", c.signedIn(c.showTokens))
	mux.HandleFunc("POST /settings/tokens", c.signedIn(c.mintToken))
	mux.HandleFunc("POST /settings/tokens/{id}/revoke", c.signedIn(c.revokeToken))
}

// tokensPage is a person's own credentials, and once the text of a new one.
type tokensPage struct {
	Shell
	May    bool // this session may make one
	Scopes []tokenScope
	Tokens []identity.Token
	Secret string
	Until  time.Time
	Most   int
}

type tokenScope struct{ Name, Says string }

// scopesFor are what a person may give a credential of their own: never an agent's.
func (c *Console) scopesFor(p *who) []tokenScope {
	out := []tokenScope{
		{identity.ScopeRead, "looks at approvals and the log"},
		{identity.ScopeReview, "reviews in your name what a token is enough for"},
		{identity.ScopeMint, "starts your own agents"},
	}
	if c.administers(p) {
		out = append(out, tokenScope{identity.ScopeAdmin, "administers in your name"})
	}
	return out
}

func (c *Console) tokensOf(r *http.Request, p *who) (tokensPage, error) {
	page := tokensPage{Shell: c.shellOf(r, p, "settings", "Your credentials", -1), May: p.assurance() == "console", Scopes: c.scopesFor(p), Most: longestToken}
	all, err := c.o.Tokens.List(r.Context())
	if err != nil {
		return page, err
	}
	mine, now := p.IDs(), c.o.Clock()
	for _, t := range all {
		if t.Kind == identity.KindPerson && slices.Contains(mine, t.Subject) && t.Revoked.IsZero() && now.Before(t.Expires) {
			page.Tokens = append(page.Tokens, t)
		}
	}
	return page, nil
}

func (c *Console) showTokens(w http.ResponseWriter, r *http.Request, p *who) {
	page, err := c.tokensOf(r, p)
	if err != nil {
		c.broken(w, r, "listing credentials", err)
		return
	}
	c.page(w, r, http.StatusOK, "tokens", page)
}

// mintToken makes a credential of the person who is signed in, of nobody else, and shows it once.
func (c *Console) mintToken(w http.ResponseWriter, r *http.Request, p *who) {
	if p.assurance() != "console" || !c.confirmed(r, p) {
		c.fail(w, r, http.StatusForbidden, "A credential makes no other one: this takes a session that you signed in to. Nothing was made.", "Sign in through your issuer, or by a one-time link.")
		return
	}
	hours, err := strconv.Atoi(r.PostFormValue("hours"))
	scopes := r.PostForm["scope"]
	allowed := c.scopesFor(p)
	bad := err != nil || hours < 1 || hours > longestToken || len(scopes) == 0
	for _, s := range scopes {
		bad = bad || !slices.ContainsFunc(allowed, func(a tokenScope) bool { return a.Name == s })
	}
	if bad {
		c.fail(w, r, http.StatusUnprocessableEntity, "A credential says what it may do, of what is offered, for 1 to 12 hours. Nothing was made.", "Go back and choose.")
		return
	}
	secret, t, err := c.o.Tokens.Mint(r.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: p.Key(), Scopes: scopes, TTL: time.Duration(hours) * time.Hour, By: p.ID})
	if err != nil {
		c.broken(w, r, "making a credential", err)
		return
	}
	page, err := c.tokensOf(r, p)
	if err != nil { // it is there, and nobody could be shown it: end it
		c.broken(w, r, "showing a new credential", errors.Join(err, c.o.Tokens.Revoke(r.Context(), t.ID, p.ID)))
		return
	}
	page.Secret, page.Until = secret, t.Expires
	c.page(w, r, http.StatusOK, "tokens", page)
}

// revokeToken ends a credential of one's own.
func (c *Console) revokeToken(w http.ResponseWriter, r *http.Request, p *who) {
	page, err := c.tokensOf(r, p)
	id := r.PathValue("id")
	if err == nil && !slices.ContainsFunc(page.Tokens, func(t identity.Token) bool { return t.ID == id }) {
		c.fail(w, r, http.StatusNotFound, "There is no such credential of yours.", "It may be over already. Go back to your credentials.")
		return
	}
	if err == nil {
		err = c.o.Tokens.Revoke(r.Context(), id, p.ID)
	}
	if err != nil {
		c.broken(w, r, "ending a credential", err)
		return
	}
	http.Redirect(w, r, "/settings/tokens", http.StatusSeeOther)
}
