// Package oidc_test signs in with a real Chromium through two OpenID
// providers: our own for tests, and npm's oidc-provider, a certified one.
package oidc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/freeport"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/server"
	"github.com/assenthq/assent/internal/session"
)

// an issuer that people can be put into and taken out of.
type issuer struct {
	url, secret string
	set         func(sub string, groups ...string)
	signIn      func(b *browser, sub string) // on the provider's page
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := freeport.Port()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// ours is the provider of our own tests.
func ours(t *testing.T, _ string) issuer {
	t.Helper()
	p, err := oidctest.New(oidctest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return issuer{
		url: p.Issuer(), secret: "secret",
		set:    func(sub string, groups ...string) { p.Set(oidctest.User{Sub: sub, Name: sub, Groups: groups}) },
		signIn: func(b *browser, sub string) { b.click(`button[value="` + sub + `"]`) },
	}
}

// certified is npm's oidc-provider, as e2e/oidc/package-lock.json pins it.
func certified(t *testing.T, redirect string) issuer {
	t.Helper()
	if _, err := os.Stat("node_modules/oidc-provider/package.json"); err != nil {
		t.Fatal("oidc-provider is not here: run scripts/install")
	}
	accounts := filepath.Join(t.TempDir(), "accounts.json")
	all := map[string]map[string]any{}
	set := func(sub string, groups ...string) {
		all[sub] = map[string]any{"name": sub, "groups": groups}
		b, err := json.Marshal(all)
		if err == nil {
			err = os.WriteFile(accounts+".new", b, 0o600)
		}
		if err == nil {
			err = os.Rename(accounts+".new", accounts)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", "provider.mjs", port, redirect, accounts)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
	}
	if lines.Text() != "ready" {
		t.Fatal("oidc-provider did not start")
	}
	return issuer{
		url: "http://127.0.0.1:" + port, secret: "a secret of 32 bytes or more, for tests", set: set,
		signIn: func(b *browser, sub string) {
			b.until(`document.querySelector("#login")`)
			b.do(chromedp.SetValue(chromedp.CSS("#login"), sub))
			b.click("#go")
		},
	}
}

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 1.0.0, owner: tests }
rules:
  - id: writes-wait
    match: { kind: [data.write] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: console }
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: review } }
`

// serve is a real server whose people come from one issuer.
func serve(t *testing.T, port string, i issuer) *server.Server {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"pack.yaml": pack, "secret": i.secret + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := server.ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:`+port+`
public_url: http://localhost:`+port+`
policy: [pack.yaml]
issuers: [{ name: corp, issuer: "`+i.url+`", client_id: assent, client_secret: { file: secret } }]
people: [{ id: dana }]
groups: { reviewers: { from: ["corp|g-owners"] }, watchers: { from: ["corp|g-watchers"] } }
actors: [{ id: worker, owner: dana }]
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// hold has an agent ask for a write that waits for the reviewers.
func hold(t *testing.T, s *server.Server, text string) *approval.Approval {
	t.Helper()
	dana := identity.Person{ID: "person:dana", Name: "dana"}
	a, _, err := s.Approvals().Ask(t.Context(), &approval.Question{
		Action: &action.Action{
			Kinds: []action.Kind{action.DataWrite}, Verb: "update", Target: "public.flags", Shape: text,
			Resource: action.Resource{URN: "postgres:shop/prod", Type: "postgres", Env: "prod"},
			Subject:  dana.ID, Actors: []action.Link{{ID: "agent:worker", Type: "agent"}}, Payload: []byte(text),
		},
		Asker: identity.Asker{Subject: dana, Chain: []identity.Actor{{ID: "agent:worker", Type: "agent", Owner: dana.ID}}, Credential: "tok"},
		Title: "Change " + text, Statement: "UPDATE public.flags SET on = true -- " + text,
		Decision: &policy.Decision{
			Verdict: policy.Review, Reason: "Writes wait for a reviewer.",
			Requirements: []policy.Requirement{{Rule: "writes-wait", From: []string{"group:reviewers"}, Count: 1, Assurance: "console", Expires: 20 * time.Minute}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestSignInWithRealBrowsers: sign in, approve, lose the group and with it the
// right to approve, sign out, and find nothing open: through our test provider
// and through a certified one.
func TestSignInWithRealBrowsers(t *testing.T) {
	for name, make := range map[string]func(*testing.T, string) issuer{"our test provider": ours, "npm oidc-provider": certified} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			base := "http://localhost:" + port
			i := make(t, base+"/signin/callback/corp")
			i.set("mira", "g-owners", "g-watchers")
			i.set("eve", "g-others")
			s := serve(t, port, i)
			b := openBrowser(t)

			for there := false; !there; { // until the server has found its issuer
				b.goTo(base + "/activity") // leads to the sign-in page, and back here
				b.until(`document.querySelector("#token")`)
				var err error
				if there, err = chromedp.Run(b.ctx, chromedp.Evaluate[bool](`!!document.querySelector('a[href^="/signin/start/corp"]')`)); err != nil {
					t.Fatal(err)
				}
			}
			b.click(`a[href^="/signin/start/corp"]`)
			i.signIn(b, "mira")
			b.until(`location.pathname == "/activity"`)
			a := hold(t, s, "first")
			b.goTo(base + "/approvals/" + a.ID)
			b.until(`document.querySelector("#approve:not([disabled])")`)
			b.click("#approve")
			b.until(`document.querySelector(".banner")`)
			if got, err := s.Approvals().Get(t.Context(), a.ID); err != nil || got.State != approval.Approved || got.Reviews[0].Assurance != "console" {
				t.Fatalf("%+v, %v", got, err)
			}

			i.set("mira", "g-watchers") // known, and no reviewer any more
			time.Sleep(session.ReviewMaxAge + time.Second)
			a = hold(t, s, "second")
			b.goTo(base + "/approvals/" + a.ID)
			b.until(`document.querySelector("article")`)
			if complaints := b.complaints(base); len(complaints) > 0 {
				t.Errorf("the browser complained: %s", strings.Join(complaints, "; "))
			}
			// What an old page would post is refused, whatever this one shows.
			said, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf(`fetch("/approvals/%s/review", {method: "POST", headers: {"X-CSRF-Token": document.querySelector("[data-csrf]").dataset.csrf, "Content-Type": "application/x-www-form-urlencoded"}, body: "decision=approve&confirmed=yes&digest=%s&version=%d"}).then(r => r.status + " " + location.pathname)`,
				a.ID, a.Digest, a.Version), chromedp.EvalAwaitPromise))
			if err != nil || !strings.HasPrefix(said, "403 ") {
				t.Errorf("out of the group: %s %v", said, err)
			}
			if got, err := s.Approvals().Get(t.Context(), a.ID); err != nil || got.State != approval.Pending || len(got.Reviews) != 0 {
				t.Errorf("%+v, %v", got, err)
			}
			_ = b.complaints(base) // of the refusal

			b.goTo(base + "/settings")
			b.click(`form[action="/signout"] button`)
			b.until(`location.pathname == "/signin"`)
			b.goTo(base + "/approvals")
			b.until(`location.pathname == "/signin"`)

			other := openBrowser(t)
			other.goTo(base + "/signin")
			other.click(`a[href^="/signin/start/corp"]`)
			i.signIn(other, "eve")
			other.until(`location.pathname == "/signin/callback/corp" && document.body.innerText.includes("this deployment doesn't")`)
			other.goTo(base + "/approvals")
			other.until(`location.pathname == "/signin"`)
		})
	}
}
