package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc/oidctest"
)

// scim makes one request as an identity provider and returns status and body.
func (b *signedIn) scim(token, method, path, body string) (int, string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.URL()+"/scim/v2/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/scim+json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var out bytes.Buffer
	if _, err := out.ReadFrom(res.Body); err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, out.String()
}

func (b *signedIn) provisioner() string {
	b.t.Helper()
	text, err := b.Mint(b.t.Context(), identity.MintRequest{Kind: identity.KindProvision, Subject: "corp", TTL: time.Hour, By: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

func idIn(body string) string {
	_, rest, _ := strings.Cut(body, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// TestProvisioningEndsSessions: whom the identity provider disables is out at
// once: the browser, the reviewer's token, and every way back in.
func TestProvisioningEndsSessions(t *testing.T) {
	b := newSignedIn(t, "")
	token := b.provisioner()
	code, body := b.scim(token, "POST", "Users", `{"userName":"mira","externalId":"00u1mira","active":true}`)
	if code != http.StatusCreated {
		t.Fatalf("%d %s", code, body)
	}
	id := idIn(body)
	mira := b.surfer()
	if mira.in("corp", oidcMira.Sub) != http.StatusOK {
		t.Fatal("not signed in")
	}
	pasted, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "corp|00u1mira", Scopes: []string{identity.ScopeReview}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	disable := `{"Operations":[{"op":"Replace","path":"active","value":"False"}]}`
	if code, body := b.scim(token, "PATCH", "Users/"+id, disable); code != http.StatusOK {
		t.Fatalf("%d %s", code, body)
	}
	if code, _ := mira.review(a, "approve"); code == http.StatusOK {
		t.Error("reviewed in a session that came in by a disabled account")
	}
	if code, _ := mira.get("/approvals"); code != http.StatusSeeOther {
		t.Errorf("still signed in: %d", code)
	}
	if _, err := b.tokens.Check(t.Context(), pasted); !errors.Is(err, identity.ErrBadToken) {
		t.Errorf("the reviewer's token: %v", err)
	}
	if code := b.surfer().in("corp", oidcMira.Sub); code != http.StatusForbidden {
		t.Errorf("signed in again: %d", code)
	}
	ended := false
	for range 400 { // the row ends too, by Run
		for _, r := range b.records(audit.TypeSignIn) {
			ended = ended || r.Decision == "ended" && r.Detail["why"] == "provisioning disabled its account"
		}
		if ended {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !ended {
		t.Error("no record says that the session ended")
	}
	if len(b.waiting(1)[0].Reviews) != 0 {
		t.Error("a review counted")
	}
	if code, _ := b.scim(token, "PATCH", "Users/"+id, strings.Replace(disable, "False", "True", 1)); code != http.StatusOK {
		t.Fatal("not enabled again")
	}
	if code, _ := mira.get("/approvals"); code != http.StatusSeeOther {
		t.Errorf("the old session is back: %d", code)
	}
	if code := b.surfer().in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Errorf("enabled again: %d", code)
	}
}

// TestAProvisionedGroupNeedsASignIn: a group by provisioning alone lets its
// member in and review, once the issuer has said who they are.
func TestAProvisionedGroupNeedsASignIn(t *testing.T) {
	b := newSignedIn(t, "")
	b.corp.Set(oidctest.User{Sub: stranger.Sub, Name: "Eve"}) // no groups in any claim
	token := b.provisioner()
	eve := b.surfer()
	if code := eve.in("corp", stranger.Sub); code != http.StatusForbidden {
		t.Fatalf("a stranger: %d", code)
	}
	_, body := b.scim(token, "POST", "Users", `{"userName":"eve","externalId":"00u4eve","active":true}`)
	_, group := b.scim(token, "POST", "Groups", `{"displayName":"Reviewers","externalId":"00g1","members":[{"value":"`+idIn(body)+`"}]}`)
	if got := b.Server.dir.Members("group:reviewers"); len(got) != 1 {
		t.Fatalf("members: %v", got)
	}
	b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	if code := eve.in("corp", stranger.Sub); code != http.StatusOK {
		t.Fatalf("provisioned: %d", code)
	}
	if code, body := eve.review(a, "approve"); code != http.StatusOK {
		t.Errorf("asked as a member, and signed in: %d %.300s", code, body)
	}
	b.background(t.Context(), "two")
	a = b.waiting(1)[0]
	b.scim(token, "PATCH", "Groups/"+idIn(group), `{"Operations":[{"op":"remove","path":"members"}]}`)
	if code, _ := eve.review(a, "approve"); code == http.StatusOK {
		t.Error("taken out of the group, and reviewed")
	}
}

// TestProvisioningTokens: one issuer's, with one scope, made on the machine alone, and good for nothing else.
func TestProvisioningTokens(t *testing.T) {
	b := newSignedIn(t, "admins: [reviewers]\n")
	for name, m := range map[string]identity.MintRequest{
		"an issuer without scim":  {Kind: identity.KindProvision, Subject: "other"},
		"an unknown issuer":       {Kind: identity.KindProvision, Subject: "evil"},
		"no issuer":               {Kind: identity.KindProvision},
		"review scope":            {Kind: identity.KindProvision, Subject: "corp", Scopes: []string{identity.ScopeReview}},
		"scim beside admin":       {Kind: identity.KindProvision, Subject: "corp", Scopes: []string{identity.ScopeSCIM, identity.ScopeAdmin}},
		"an actor's":              {Kind: identity.KindProvision, Subject: "corp", Actors: []string{"agent:worker"}},
		"a person with the scope": {Kind: identity.KindPerson, Subject: "person:dana", Scopes: []string{identity.ScopeSCIM}},
		"an actor with the scope": {Kind: identity.KindActor, Actors: []string{"agent:worker"}, Scopes: []string{identity.ScopeSCIM}},
	} {
		m.TTL, m.By = time.Hour, "test"
		if _, err := b.Mint(t.Context(), m); err == nil {
			t.Errorf("%s was minted", name)
		}
	}
	token := b.provisioner()
	mira := b.surfer()
	if mira.in("corp", oidcMira.Sub) != http.StatusOK {
		t.Fatal("not signed in")
	}
	admin, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "corp|00u1mira", Scopes: []string{identity.ScopeAdmin}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	mint := `{"kind":"provision","subject":"corp"}`
	call := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), "POST", b.URL()+"/v1/tokens", strings.NewReader(mint))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	o, err := ReadOperator(b.cfg.path(b.cfg.Data))
	if err != nil {
		t.Fatal(err)
	}
	if code := call(admin); code != http.StatusForbidden {
		t.Errorf("an administrator made one: %d", code)
	}
	if code := call(token); code != http.StatusForbidden {
		t.Errorf("a provisioning credential made another: %d", code)
	}
	if code := call(o.Token); code != http.StatusCreated {
		t.Errorf("on the machine: %d", code)
	}
	c, err := b.tokens.Check(context.Background(), token)
	if err != nil || c.Person != nil || c.Asker != nil || c.Issuer != "corp" {
		t.Errorf("it stands for %+v, %v", c, err)
	}
	if _, err := b.personOf(context.Background(), token); err == nil {
		t.Error("it signs somebody in")
	}
}
