package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/identity"
)

// exchange asks the server's own token endpoint.
func (b *bench) exchange(form url.Values) (token, username string) {
	b.t.Helper()
	form.Set("grant_type", actors.GrantType)
	resp, err := http.PostForm(b.URL()+"/oauth/token", form)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got struct {
		Token    string `json:"access_token"`
		Username string `json:"username"`
		Error    string `json:"error_description"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || resp.StatusCode != 200 {
		b.t.Fatalf("%d %v %s", resp.StatusCode, err, got.Error)
	}
	return got.Token, got.Username
}

func (b *bench) sessionOf(user string) gate.Session {
	b.t.Helper()
	g := b.enforcer.Gate("line", action.Resource{URN: "line:test", Type: "line", Env: "test"}, "")
	v, err := g.Verifier(b.t.Context(), user)
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := g.Login(b.t.Context(), v, gate.Peer{Gate: "line", Address: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(s.Close)
	return s
}

func (b *bench) isCut(s gate.Session, what string) {
	b.t.Helper()
	select {
	case <-s.Cut():
	case <-time.After(20 * time.Second):
		b.t.Errorf("%s: the connection goes on", what)
	}
}

func goesOn(t *testing.T, s gate.Session) {
	t.Helper()
	select {
	case <-s.Cut():
		t.Error("another's connection was cut")
	default:
	}
}

// Revoking what a token was made from ends its open connections, and those of
// what was made from it, and nobody else's.
func TestRevocationCutsWhatWasMadeFromIt(t *testing.T) {
	b := threatBench(t, readsPack)
	owner, info, err := b.tokens.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:dana", Scopes: []string{"mint"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, user := b.exchange(url.Values{"subject_token": {owner}, "subject_token_type": {actors.AccessToken}, "requested_actor": {"agent:worker"}})
	mine, other := b.sessionOf(user), b.sessionOf("worker")
	goesOn(t, mine)
	if err := (revoking{b.Server}).Revoke(t.Context(), info.ID, "test"); err != nil {
		t.Fatal(err)
	}
	b.isCut(mine, "its parent was revoked")
	goesOn(t, other)
	g := b.enforcer.Gate("line", action.Resource{URN: "line:test"}, "")
	if _, err := g.Verifier(t.Context(), user); err == nil {
		t.Error("it opens a new connection")
	}
}

// Somebody registers an actor of their own, starts it and retires it.
func TestRegisteredActors(t *testing.T) {
	b := threatBench(t, readsPack)
	ctx := t.Context()
	token := func(person string, scopes ...string) *client.Client {
		t.Helper()
		text, err := b.Mint(ctx, identity.MintRequest{Kind: identity.KindPerson, Subject: person, Scopes: scopes, TTL: time.Hour, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.New(b.URL(), text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	mints, err := b.Mint(ctx, identity.MintRequest{Kind: identity.KindPerson, Subject: "person:dana", Scopes: []string{"mint"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	dana, omar, admin, reader := token("person:dana", "mint"), token("person:omar", "mint"), token("person:mira", "admin"), token("person:dana", "read")
	made, err := dana.RegisterActor(ctx, "agent", "draft")
	if err != nil || made.ID != "agent:draft" || made.Owner != "person:dana" {
		t.Fatalf("%+v, %v", made, err)
	}
	for what, name := range map[string]string{"again": "draft", "of the configuration": "worker", "upper case": "Draft", "a colon": "a:b", "empty": ""} {
		if _, err := omar.RegisterActor(ctx, "agent", name); err == nil {
			t.Errorf("registered: %s", what)
		}
	}
	if _, err := omar.RegisterActor(ctx, "pipeline", "draft"); err == nil {
		t.Error("registered: the same name, as another type")
	}
	if _, err := omar.RegisterActor(ctx, "human", "x"); err == nil {
		t.Error("registered: a human")
	}
	if _, err := reader.RegisterActor(ctx, "agent", "y"); err == nil {
		t.Error("registered with read scope")
	}
	_, user := b.exchange(url.Values{"subject_token": {mints}, "subject_token_type": {actors.AccessToken}, "requested_actor": {"agent:draft"}})
	if got, err := dana.Exchange(ctx, client.Exchange{Actor: "agent:draft", Life: time.Minute}); err != nil || got.ExpiresIn > 60 || got.Subject != "person:dana" {
		t.Errorf("the client gets %+v, %v", got, err)
	}
	if _, err := omar.Exchange(ctx, client.Exchange{Actor: "agent:draft"}); err == nil || !strings.Contains(err.Error(), "not an actor of yours") {
		t.Errorf("another's: %v", err)
	}
	s := b.sessionOf(user)
	list, err := reader.Actors(ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, a := range list {
		if a.ID == "agent:draft" {
			found = true
			if a.LastSeen.IsZero() || a.Credential == "" || a.Registered.IsZero() || a.Owner != "person:dana" {
				t.Errorf("listed: %+v", a)
			}
		}
	}
	if !found {
		t.Fatalf("not listed: %+v", list)
	}
	for what, err := range map[string]error{"another's": omar.RetireActor(ctx, "agent:draft"), "a configured one": admin.RetireActor(ctx, "agent:worker"), "nobody": dana.RetireActor(ctx, "agent:none")} {
		if err == nil {
			t.Errorf("retired: %s", what)
		}
	}
	goesOn(t, s)
	if err := dana.RetireActor(ctx, "agent:draft"); err != nil {
		t.Fatal(err)
	}
	b.isCut(s, "its actor was retired")
	if _, err := dana.RegisterActor(ctx, "agent", "draft"); err == nil {
		t.Error("a retired name is given again")
	}
}
