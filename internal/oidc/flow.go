package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// A Flow is one question to an issuer. It belongs to one browser: seal it with
// a Box into a cookie, and open it again when the answer comes.
type Flow struct {
	Issuer   string    `json:"i"` // name
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"` // PKCE
	Redirect string    `json:"r"`
	Began    time.Time `json:"b"`
	Fresh    bool      `json:"f,omitempty"` // a sign-in from before Began doesn't count
	// What it is for and where to go on; ours, the issuer never sees them.
	Purpose string `json:"p,omitempty"`
	Next    string `json:"x,omitempty"`
	Person  string `json:"w,omitempty"` // who asks, of a fresh sign-in
	Session string `json:"o,omitempty"`
}

// A Question is what Begin asks.
type Question struct {
	Redirect string // our callback, registered with the issuer
	Nonce    string // "" for a random one; a passkey's enrolment binds the hash of its key
	Fresh    bool   // sign in anew, whoever is signed in there already
	Hint     string // login_hint
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Begin makes the address to send a browser to, and the Flow its answer needs.
func (i *Issuer) Begin(ctx context.Context, q Question) (address string, f *Flow, err error) {
	at, err := i.ready(ctx)
	if err != nil {
		return "", nil, err
	}
	if err := i.Err(); err != nil {
		return "", nil, err
	}
	f = &Flow{Issuer: i.c.Name, State: random(), Nonce: q.Nonce, Verifier: oauth2.GenerateVerifier(), Redirect: q.Redirect, Began: i.c.Clock().UTC(), Fresh: q.Fresh}
	if f.Nonce == "" {
		f.Nonce = random()
	}
	o := &oauth2.Config{ClientID: i.c.ClientID, Endpoint: at.endpoint, RedirectURL: q.Redirect, Scopes: i.c.Scopes}
	opts := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.Verifier), oauth2.SetAuthURLParam("nonce", f.Nonce)}
	if q.Fresh {
		opts = append(opts, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	if q.Hint != "" {
		opts = append(opts, oauth2.SetAuthURLParam("login_hint", q.Hint))
	}
	for k, v := range i.c.Params {
		opts = append(opts, oauth2.SetAuthURLParam(k, v))
	}
	return o.AuthCodeURL(f.State, opts...), f, nil
}

var plainCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// Finish checks the issuer's answer, the query of our callback, against the
// flow that began it. Every error is a no.
func (i *Issuer) Finish(ctx context.Context, f *Flow, answer url.Values) (*SignIn, error) {
	if err := i.belongs(f, answer); err != nil {
		return nil, err
	}
	at, err := i.ready(ctx)
	if err != nil {
		return nil, err
	}
	// RFC 9207: an issuer that says who it is must say so, and be the one that was asked.
	if iss, told := answer["iss"]; told && (len(iss) != 1 || iss[0] != i.c.Issuer) || !told && at.meta.Iss {
		return nil, i.refused("the answer comes from another issuer", "begin again at this server's sign-in page")
	}
	if code := answer.Get("error"); code != "" {
		i.c.Logger.InfoContext(ctx, "an issuer refused a sign-in", "issuer", i.c.Name, "code", plain(code))
		return nil, i.refused("it refused ("+plain(code)+")", "try again, or ask its administrator whether you may use this application")
	}
	if len(answer["code"]) != 1 || answer.Get("code") == "" || len(answer.Get("code")) > 8192 {
		return nil, i.refused("the answer has no code", "begin again")
	}
	ctx, cancel := i.context(ctx)
	defer cancel()
	o, err := i.oauth(ctx, at, f.Redirect)
	if err != nil {
		return nil, err
	}
	tok, err := o.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, i.tokenError(ctx, "trading the code", err, i.doubt)
	}
	return i.signedIn(ctx, at, tok, expect{nonce: f.Nonce, began: f.Began, fresh: f.Fresh})
}

// belongs checks that an answer is this browser's, by state, before anything in it is used.
func (i *Issuer) belongs(f *Flow, answer url.Values) error {
	again := "begin again at this server's sign-in page, in one tab"
	age := i.c.Clock().Sub(f.Began)
	switch {
	case f.Issuer != i.c.Name:
		return i.refused("another issuer was asked", again)
	case len(f.State) < 40 || len(answer["state"]) != 1 || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(f.State)) != 1:
		return i.refused("the answer belongs to another browser or an older attempt", again)
	case age > flowLife || age < -skew:
		return i.refused("the sign-in took longer than ten minutes", again)
	}
	return nil
}

// plain is an OAuth error code that may be shown and logged.
func plain(code string) string {
	if plainCode.MatchString(code) {
		return code
	}
	return "no reason it can say"
}

// tokenError tells an issuer that said no from one that didn't answer, for
// which silent is called.
func (i *Issuer) tokenError(ctx context.Context, what string, err error, silent func(ctx context.Context, what string, cause error) error) error {
	var said *oauth2.RetrieveError
	if !errors.As(err, &said) {
		return silent(ctx, what, errors.New(withoutAnswer(err)))
	}
	if said.Response != nil && (said.Response.StatusCode >= 500 || said.Response.StatusCode == 429) {
		return silent(ctx, what, errors.New(said.Response.Status))
	}
	i.c.Logger.InfoContext(ctx, "an issuer refused", "issuer", i.c.Name, "what", what, "code", plain(said.ErrorCode))
	e := i.refused(what+" was refused ("+plain(said.ErrorCode)+")", "begin again")
	switch said.ErrorCode {
	case "invalid_grant":
		e.Kind = ErrGone
	case "invalid_client", "unauthorized_client":
		e.Remedy = "an administrator checks client_id and client_secret of this issuer"
		e.Kind = ErrDown // our fault, not the person's: nobody is signed out by it
	}
	return e
}

// withoutAnswer keeps the first line of a transport error: bodies never reach the log.
func withoutAnswer(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line[:min(len(line), 300)]
}
