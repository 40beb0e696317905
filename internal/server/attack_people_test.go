package server

import (
	"context"
	"errors"
	"net/http"
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
