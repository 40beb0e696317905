package console

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"

	registry "github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/identity"
)

// roster is the directory's actors, as the registry lists them.
type roster []registry.View

func (r roster) List() []registry.View { return r }

// staffed gives a house a page of its agents, with the credentials of two.
func staffed(t *testing.T, h *house) {
	t.Helper()
	now := time.Now()
	var list roster
	for _, a := range actors {
		list = append(list, registry.View{Actor: a, Seen: now.Add(-3 * time.Minute), Credential: "tok_1"})
	}
	list = append(list, registry.View{Actor: identity.Actor{ID: "agent:<b>idle", Type: "agent", Owner: "person:gone"}})
	tokens := []identity.Token{
		{ID: "0123456789ab", Kind: identity.KindActor, Chain: actors[:1], Created: now.Add(-time.Hour), Expires: now.Add(7 * time.Hour), CreatedBy: "person:dana", Origin: identity.Origin{Via: identity.ViaPerson}},
		{ID: "a123456789ab", Kind: identity.KindActor, Chain: actors[1:2], Created: now.Add(-time.Hour), Expires: now.Add(30 * time.Minute), Origin: identity.Origin{Via: identity.ViaWorkload, Foreign: "https://ci.example|repo:shop"}},
		{ID: "endedendeded", Kind: identity.KindActor, Chain: actors[:1], Expires: now.Add(-time.Minute)},
		{ID: "revokedrevok", Kind: identity.KindActor, Chain: actors[:1], Expires: now.Add(time.Hour), Revoked: now.Add(-time.Minute)},
		{ID: "apersonstoke", Kind: identity.KindPerson, Subject: sam.ID, Expires: now.Add(time.Hour)},
	}
	was := h.change
	h.change = func(o *Options) {
		if was != nil {
			was(o)
		}
		o.Actors, o.Credentials = list, func(context.Context) ([]identity.Token, error) { return tokens, nil }
	}
	h.serve()
}

func TestAgentsShowTheirWaysAndWhatCameOfThem(t *testing.T) {
	h, _ := furnished(t)
	staffed(t, h)
	c := newClient(h).signIn(sam)
	code, body := c.send("GET", "/agents", nil)
	if code != http.StatusOK {
		t.Fatalf("agents: %d", code)
	}
	for _, want := range []string{"nightly-exporter", "Dana Whitfield", "orders-db", "its own identity", "2 waiting", "allowed", "held", "nobody came by", "&lt;b&gt;idle"} {
		if want == "nobody came by" {
			continue // every gate had somebody
		}
		if !strings.Contains(body, want) {
			t.Errorf("the agents page doesn't say %q", want)
		}
	}
	for _, bad := range []string{"<b>idle", "endedendeded", "revokedrevok"} {
		if strings.Contains(body, bad) {
			t.Errorf("the agents page says %q", bad)
		}
	}
	code, body = c.send("GET", "/agents/"+url.PathEscape("agent:nightly-exporter"), nil)
	if code != http.StatusOK {
		t.Fatalf("an agent: %d", code)
	}
	for _, want := range []string{"0123456789ab", "its owner&#39;s sign-in", "/sessions/9c41", "Export public.customers"} {
		if !strings.Contains(body, want) {
			t.Errorf("the agent's page doesn't say %q", want)
		}
	}
	for _, bad := range []string{"a123456789ab", "endedendeded", "revokedrevok", "apersonstoke", `action="/control/freeze"`} {
		if strings.Contains(body, bad) {
			t.Errorf("the agent's page says %q, which is not its own, or not there", bad)
		}
	}
	if code, _ := c.send("GET", "/agents/agent:nobody", nil); code != http.StatusNotFound {
		t.Errorf("no such agent: %d", code)
	}
	if code, _ := newClient(h).send("GET", "/agents", nil); code != http.StatusSeeOther {
		t.Errorf("without a session: %d", code)
	}
}

func TestSessionIsToldInOrder(t *testing.T) {
	h := newHouse(t)
	rows := int64(7)
	for i, r := range []*audit.Record{
		{Type: audit.TypeSession, Actor: "agent:release-bot", Session: "s/1", Gate: "orders-db", Title: "came"},
		{Type: audit.TypeRequest, Actor: "agent:release-bot", Session: "s/1", Gate: "orders-db", Title: "First read", Decision: "allow", Kinds: []string{"data.read"}},
		{Type: audit.TypeOutcome, Actor: "agent:release-bot", Session: "s/1", Outcome: "executed", Rows: &rows, Previous: 1},
		{Type: audit.TypeRequest, Actor: "agent:release-bot", Session: "s/1", Gate: "orders-db", Title: "Then a held one", Decision: "review", Approval: "apr_1", Kinds: []string{"data.write"}},
		{Type: audit.TypeRequest, Actor: "agent:release-bot", Session: "s2", Gate: "orders-db", Title: "Another session", Decision: "allow"},
	} {
		h.back = time.Duration(10-i) * 2 * time.Minute
		h.records(r)
	}
	h.back = 0
	c := newClient(h).signIn(sam)
	code, body := c.send("GET", "/sessions/"+url.PathEscape("s/1"), nil)
	if code != http.StatusOK {
		t.Fatalf("a session: %d %s", code, body)
	}
	at := -1
	for _, want := range []string{"came", "First read · 7 rows", "of nothing", "Then a held one", "/approvals/apr_1"} {
		i := strings.LastIndex(body, want)
		if i <= at {
			t.Errorf("%q is not where it happened", want)
		}
		at = i
	}
	if strings.Contains(body, "Another session") {
		t.Error("it shows another session's records")
	}
	if code, _ := c.send("GET", "/sessions/none", nil); code != http.StatusNotFound {
		t.Errorf("no such session: %d", code)
	}
}
