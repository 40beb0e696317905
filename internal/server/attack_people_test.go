package server

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
)

// SQL makes the directory one that nobody believes. Then nobody is in any group, but
// no administrator is the only one because of it.
func TestADirectoryNobodyBelievesMakesNobodyAlone(t *testing.T) {
	b := ruled(t, manyAdmins)
	b.editGroup("omar", "reviewers", nil, []string{"mira"})
	f, err := b.freezes.Freeze(t.Context(), freeze.Target{What: freeze.Actor, Name: "agent:worker"}, "it went astray", b.person("dana"))
	if err != nil {
		t.Fatal(err)
	}
	omar := b.proposal("omar") // a credential keeps its scope
	edit(t, b.dir, "CREATE TRIGGER mangle AFTER UPDATE ON sealed WHEN NEW.kind = 'group' AND NEW.body NOT LIKE '%nobody%' BEGIN UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), 'person:mira', 'person:nobody') AS BLOB) WHERE kind = 'group' AND id = NEW.id; END")
	_, _ = b.rules.ChangeGroup(t.Context(), people.GroupChange{Group: "reviewers", Remove: []string{"omar"}}, "because", b.proposal("omar"))
	if err := b.Server.dir.Check(t.Context()); err == nil {
		t.Fatal("the directory is still believed")
	}
	if _, err := b.rules.ChangeSettings(t.Context(), map[string]string{"limits.approval_window": "23h"}, "because", omar); !errors.Is(err, change.ErrUnbelieved) {
		t.Errorf("settings are loosened by one alone: %v", err)
	}
	if _, err := b.changes.Thaw(t.Context(), f.ID, "because", omar); !errors.Is(err, change.ErrUnbelieved) {
		t.Errorf("what is frozen is let go by one alone: %v", err)
	}
	ops := change.Proposal{Author: identity.Person{ID: change.Operator, Name: "operator"}, Credential: "test", Admin: true}
	if _, err := b.changes.Thaw(t.Context(), f.ID, "because", ops); !errors.Is(err, change.ErrUnbelieved) {
		t.Errorf("what is frozen is let go by the operator alone: %v", err)
	}
	if b.freezes.Frozen(&identity.Asker{Chain: []identity.Actor{{ID: "agent:worker"}}}, "", "") == nil {
		t.Error("it is let go")
	}
}

// An administrator ends another's link, or has provisioning disable them: for what is
// changed alone they are there all the same.
func TestSilencingTheOthersMakesNobodyAlone(t *testing.T) {
	ctx := context.Background()
	b := newSignedIn(t, "admins: [reviewers]\n")
	claim := func(issuer, url, subject string, groups ...string) identity.Person {
		t.Helper()
		p, err := b.Server.dir.SignedIn(ctx, people.Claims{Issuer: issuer, URL: url, Subject: subject, Groups: groups, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		p.Account = issuer + "|" + subject
		return p
	}
	mallory := claim("corp", b.corp.Issuer(), "mallory", "00g1")
	bob := claim("corp", b.corp.Issuer(), "bob", "00g1")
	alone := func(when string) {
		t.Helper()
		e, err := b.rules.ChangeSettings(ctx, map[string]string{"limits.approval_window": "23h"}, when, change.Proposal{Author: mallory, Credential: "test", Admin: true})
		if err == nil && e.State == change.Applied {
			t.Errorf("%s: loosened by one alone", when)
		}
	}
	alone("before")

	token := b.provisioner()
	code, body := b.scim(token, "POST", "Users", `{"userName":"bob","externalId":"bob","active":true}`)
	if code != http.StatusCreated {
		t.Fatal(code, body)
	}
	group := `{"displayName":"r","externalId":"00g1","members":[{"value":"` + idIn(body) + `"}]}`
	if code, body := b.scim(token, "POST", "Groups", group); code != http.StatusCreated {
		t.Fatal(code, body)
	}
	if code, body := b.scim(token, "PATCH", "Users/"+idIn(body), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`); code != http.StatusOK {
		t.Fatal(code, body)
	}
	if len(b.Server.dir.Members("group:reviewers")) != 1 {
		t.Fatal("it proves nothing")
	}
	alone("disabled a moment ago")
	if code, body := b.scim(token, "PATCH", "Users/"+idIn(body), `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":true}]}`); code != http.StatusOK {
		t.Fatal(code, body)
	}

	other := claim("other", b.other.Issuer(), "bob")
	l, secret, err := b.Server.dir.BeginLink(ctx, &other)
	if err != nil {
		t.Fatal(err)
	}
	bob = claim("corp", b.corp.Issuer(), "bob", "00g1")
	if _, err := b.Server.dir.OfferLink(ctx, secret, &bob); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Server.dir.ConfirmLink(ctx, l.ID, &other); err != nil {
		t.Fatal(err)
	}
	alone("a link that is young")
	if err := b.Server.dir.EndLink(ctx, l.ID, &mallory, true); err != nil {
		t.Fatal(err)
	}
	if len(b.Server.dir.Members("group:reviewers")) != 1 {
		t.Fatal("it proves nothing")
	}
	alone("a link that was ended")
}

// An account that is linked to a colleague since a moment ago answers nothing for a
// day: also not by a credential that its session makes, nor when the link is over.
func TestACredentialIsWorthTheAccountItWasMadeBy(t *testing.T) {
	b := newSignedIn(t, "", func(b *signedIn) { b.assurance = "token" })
	second := b.surfer()
	if code := second.in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Fatal(code)
	}
	if _, err := b.Server.dir.SignedIn(t.Context(), people.Claims{Issuer: "corp", URL: b.corp.Issuer(), Subject: oidcOmar.Sub, Groups: []string{"00g1"}, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	x := &site{bench: b.bench, tokens: map[string]string{}, sessions: map[string]*browser{}}
	x.join("corp|"+oidcOmar.Sub, "corp|"+oidcMira.Sub)
	young, _ := b.Server.dir.Person("corp|" + oidcMira.Sub)
	if p, _ := b.Server.dir.Person("person:omar"); !p.In("group:reviewers") || young.ID != p.ID || len(young.Groups) != 0 {
		t.Fatalf("it proves nothing: %+v, %+v", p, young)
	}
	b.background(t.Context(), "one")
	held := b.waiting(1)[0]
	code, page := second.post("/settings/tokens", url.Values{"hours": {"1"}, "scope": {"read", "review"}})
	_, rest, _ := strings.Cut(page, `aria-label="New credential">`)
	secret, _, _ := strings.Cut(rest, "<")
	if code != http.StatusOK || secret == "" {
		t.Fatalf("%d %.300s", code, page)
	}
	answer := map[string]any{"decision": "approve", "digest": held.Digest.String(), "version": held.Version}
	if code, body := x.call("POST", "/v1/approvals/"+held.ID+"/review", secret, answer); code < 400 {
		t.Errorf("a link of a moment ago reviews by a credential: %d %s", code, body)
	}
	admin, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "corp|" + oidcMira.Sub, Scopes: []string{identity.ScopeAdmin}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	wish := map[string]any{"kind": "person", "subject": "person:omar", "scopes": []string{"review"}}
	if code, body := x.call("POST", "/v1/tokens", admin, wish); code != http.StatusForbidden {
		t.Errorf("it makes another, of the person: %d %s", code, body)
	}
	if got, err := b.engine.Get(t.Context(), held.ID); err != nil || len(got.Reviews) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Nor does its session register a passkey that would be the colleague's.
func TestAYoungLinkRegistersNoPasskey(t *testing.T) {
	b := newSignedIn(t, "")
	first, second := b.surfer(), b.surfer()
	for s, sub := range map[*surfer]string{first: oidcOmar.Sub, second: oidcMira.Sub} {
		if code := s.in("corp", sub); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	begun := second.newKey()
	x := &site{bench: b.bench, tokens: map[string]string{}, sessions: map[string]*browser{}}
	x.join("corp|"+oidcOmar.Sub, "corp|"+oidcMira.Sub)
	if code, body, _ := second.send("POST", base+"/settings/passkeys/new", url.Values{}, "same-origin"); code != http.StatusForbidden {
		t.Errorf("asked: %d %s", code, body)
	}
	if code, body := second.enrol(begun, "sign-in"); code != http.StatusForbidden {
		t.Errorf("registered: %d %s", code, body)
	}
	if keys, err := b.passkeys.All(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("%+v, %v", keys, err)
	}
	first.newKey() // who was linked to goes on
}
