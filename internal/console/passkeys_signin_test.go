package console

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/session"
)

// onlySam is a directory whose one account is Sam's.
type onlySam struct{}

func (onlySam) SignedIn(context.Context, session.Claims) (identity.Person, error) { return sam, nil }

func (onlySam) Refreshed(context.Context, session.Claims) (identity.Person, error) { return sam, nil }
func (onlySam) Holds(string, time.Time)                                            {}
func (onlySam) Idle(string)                                                        {}
func (onlySam) Left(context.Context, string, string) error                         { return nil }

// TestASignInBindsAPasskeyInTheBrowser goes to a real provider and back, while
// the tab keeps the new key.
func TestASignInBindsAPasskeyInTheBrowser(t *testing.T) {
	idp, err := oidctest.New(oidctest.Options{Users: []oidctest.User{{Sub: "00u1sam", Name: "Sam Okafor"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	corp, err := oidc.New(oidc.Config{
		Name: "corp", Issuer: idp.Issuer(), ClientID: "assent",
		Secret: func(context.Context) ([]byte, error) { return []byte("secret"), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { corp.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
	for end := time.Now().Add(10 * time.Second); corp.Err() != nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(corp.Err())
		}
	}
	h := newKeyed(t, time.Hour) // on the first day a session alone would do, were there no issuer
	known := sam
	known.Accounts = []string{"corp|00u1sam"}
	if h.people.Static, err = identity.NewStatic([]identity.Person{known}, nil); err != nil {
		t.Fatal(err)
	}
	with := h.change
	h.change = func(o *Options) {
		with(o)
		m := h.sessions(onlySam{}, corp)
		o.Sessions, o.SignIns = m, m
	}
	h.open()
	b := openBrowser(t)
	b.device("internal")
	b.goTo(h.url + "/signin")
	b.do(chromedp.Click(chromedp.CSS(`a[href^="/signin/start/corp"]`)))
	b.do(chromedp.Click(chromedp.CSS("button[name=sub]")))
	b.until(`location.pathname === "/approvals" && document.querySelector("#pip.on")`)
	b.goTo(h.url + "/settings")
	b.until(`document.querySelector("#newkey") && document.querySelector("#pip.on")`)
	b.do(chromedp.Click(chromedp.CSS("#newkey button[value=signin]")))
	b.do(chromedp.Click(chromedp.CSS("button[name=sub]"))) // signing in anew
	b.until(`location.pathname === "/settings" && document.querySelector("#toast.up")?.textContent.includes("counts from")`)
	b.until(`document.querySelector("#passkeys td .st")?.textContent === "counts from"`)
	b.shot("passkey-signin")
	keys, err := h.keys.Of(t.Context(), sam.ID)
	if err != nil || len(keys) != 1 || keys[0].BoundBy != evidence.BySignIn {
		t.Fatalf("%+v, %v", keys, err)
	}
	if r := h.verified(); !r.OK() || r.Passkeys.Unbacked != 0 {
		t.Errorf("offline: %+v", r)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		if !strings.Contains(p, "404") { // the provider has no icon
			t.Errorf("the browser complained: %s", p)
		}
	}
}
