package server

import (
	"net/url"
	"testing"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
)

// What ends a credential on one node ends its connections on the other, as soon as
// the log tells: before that node would look by itself.
func TestCutOnTheOtherNode(t *testing.T) {
	f := newFleet(t)
	a, b := f.node("a"), f.node("b")
	ctx := t.Context()
	isCut := func(s gate.Session, what string) {
		t.Helper()
		select {
		case <-s.Cut():
		case <-time.After(lookEvery / 2):
			t.Errorf("%s on the other node: the connection goes on", what)
		}
	}
	dana := a.person("dana")
	mint := func() (text, id string) {
		t.Helper()
		text, tok, err := a.tokens.Mint(ctx, identity.MintRequest{Kind: identity.KindPerson, Subject: "person:dana", Scopes: []string{"mint"}, TTL: time.Hour, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		return text, tok.ID
	}
	opened := func(actor string) (s gate.Session, parent string) {
		t.Helper()
		text, parent := mint()
		_, user := a.exchange(url.Values{"subject_token": {text}, "subject_token_type": {actors.AccessToken}, "requested_actor": {actor}})
		return b.sessionOf(user), parent
	}

	s, parent := opened("agent:worker")
	goesOn(t, s)
	if err := (revoking{a.Server}).Revoke(ctx, parent, "test"); err != nil {
		t.Fatal(err)
	}
	isCut(s, "what it was made from was revoked")

	if _, err := a.actors.Register(ctx, &dana, "agent", "draft"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other node knows the actor", func() bool { _, known := b.Server.dir.ActorByID("agent:draft"); return known })
	s, _ = opened("agent:draft")
	other, _ := opened("agent:worker")
	if err := a.actors.Retire(ctx, &dana, false, "agent:draft"); err != nil {
		t.Fatal(err)
	}
	isCut(s, "its actor was retired")
	goesOn(t, other)

	if _, err := a.freezes.Freeze(ctx, freeze.Target{What: freeze.Person, Name: "person:dana"}, "test", a.person("mira")); err != nil {
		t.Fatal(err)
	}
	isCut(other, "whom it acts for was frozen")
}
