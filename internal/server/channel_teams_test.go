package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/channels/teams/teamstest"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc/oidctest"
)

// TestTeamsByEntra: who signed in through Entra is the same person in Teams, with
// the groups that the issuer confirms, and nobody else is.
func TestTeamsByEntra(t *testing.T) {
	fake := teamstest.New(t)
	t.Setenv("TEAMS_SECRET", teamstest.Secret)
	b := newSignedIn(t, `
channels:
  - name: teams
    teams: { app_id: `+teamstest.App+`, tenant: `+teamstest.Tenant+`, secret: { env: TEAMS_SECRET }, service_url: "`+fake.URL+`", metadata: "`+fake.URL+`/metadata", token_url: "`+fake.URL+`/token" }
    routes: [{ to: "19:ops" }, { to: "19:security", groups: [nobody], notices: [freeze] }]
`, func(b *signedIn) { b.assurance, b.corpIssuer = "chat", ", entra: true" })
	objects := map[string]string{oidcMira.Sub: "mira", oidcOmar.Sub: "omar"}
	b.corp.Tweak(func(id *oidctest.IDToken) {
		sub, _ := id.Claims["sub"].(string)
		id.Claims["tid"], id.Claims["oid"] = teamstest.Tenant, teamstest.Object(objects[sub])
	})
	front := httptest.NewServer(b.Server.handler)
	t.Cleanup(front.Close)
	bot := front.URL + "/channels/teams/messages"
	press := func(who, verb string) string {
		t.Helper()
		posts := fake.Posts("19:ops")
		data := map[string]any{"reason": "not now"}
		for k, v := range teamstest.Button(posts[len(posts)-1], "approve") {
			data[k] = v
		}
		data["verb"] = verb
		status, out := fake.Send(bot, fake.Sign(teamstest.Token{}), fake.Press(who, "19:ops", data))
		if status != http.StatusOK {
			t.Fatalf("%s: %d", who, status)
		}
		return teamstest.Text(out)
	}
	for _, u := range []oidctest.User{oidcMira, oidcOmar} {
		if code := b.surfer().in("corp", u.Sub); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	eventually(t, "the card", func() bool { return len(fake.Posts("19:ops")) == 1 })
	if says := press("omar", "approve"); !strings.Contains(says, "not among those") {
		t.Errorf("omar is in no group: %q", says)
	}
	if says := press("eve", "approve"); !strings.Contains(says, "Link it") {
		t.Errorf("eve is nobody: %q", says)
	}
	if says := press("mira", "approve"); !strings.Contains(says, "approved in teams") {
		t.Errorf("mira: %q", says)
	}
	got, err := b.engine.Get(t.Context(), a.ID)
	if err != nil || len(got.Reviews) != 1 || got.Reviews[0].Account != "corp|"+oidcMira.Sub || got.Reviews[0].Assurance != "chat" || got.State == approval.Pending {
		t.Errorf("%+v %v", got.Reviews, err)
	}

	if _, err := b.Server.freezes.Freeze(t.Context(), freeze.Target{What: freeze.Actor, Name: "agent:worker"}, "it went astray", identity.Person{ID: "person:omar", Name: "Omar"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the freeze", func() bool { return len(fake.Posts("19:security")) == 1 })
	if says := teamstest.Text(fake.Posts("19:security")[0]); !strings.Contains(says, "Frozen: actor agent:worker") || !strings.Contains(says, "it went astray") {
		t.Errorf("the notice says %q", says)
	}
}
