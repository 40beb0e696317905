package server

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
)

// post sends a form of a page, and returns the status and the page that answers.
func (s *surfer) post(path string, form url.Values) (int, string) {
	s.t.Helper()
	code, body, _ := s.send("POST", base+path, form, "same-origin")
	return code, body
}

var linkCode = regexp.MustCompile(`/settings/people/link\?code=(lnk_[0-9a-z]+)`)

// Two accounts become one person by three steps in two signed-in sessions, each
// of which names both; nobody else's session takes any of them.
func TestLinkingInTheConsole(t *testing.T) {
	b := newSignedIn(t, "")
	mira, second, eve := b.surfer(), b.surfer(), b.surfer()
	for _, x := range []struct {
		s           *surfer
		issuer, sub string
	}{{mira, "corp", oidcMira.Sub}, {second, "corp", oidcOmar.Sub}} {
		if code := x.s.in(x.issuer, x.sub); code != http.StatusOK {
			t.Fatalf("%s signs in: %d", x.sub, code)
		}
	}
	code, page := mira.post("/settings/people/links", url.Values{})
	m := linkCode.FindStringSubmatch(page)
	if code != http.StatusOK || m == nil {
		t.Fatalf("begin: %d %.300s", code, page)
	}
	if code, _ := eve.get("/settings/people/link?code=" + m[1]); code == http.StatusOK {
		t.Error("somebody who isn't signed in sees a link")
	}
	if code, _ := mira.post("/settings/people/link", url.Values{"code": {m[1]}}); code != http.StatusConflict {
		t.Errorf("both sides in one session: %d", code)
	}
	code, page = second.get("/settings/people/link?code=" + m[1])
	for _, want := range []string{"corp|" + oidcMira.Sub, "corp|" + oidcOmar.Sub} {
		if code != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("what is confirmed doesn't name %s: %d", want, code)
		}
	}
	if n := len(b.Server.dir.Links()); n != 2 { // the configuration's, and ours
		t.Errorf("%d links: to look at one has changed something", n)
	}
	if code, _ := second.post("/settings/people/link", url.Values{"code": {m[1]}}); code != http.StatusSeeOther {
		t.Fatalf("offered: %d", code)
	}
	i := slices.IndexFunc(b.Server.dir.Links(), func(l people.Link) bool { return l.State == "offered" })
	id := b.Server.dir.Links()[i].ID
	if code, _ := second.post("/settings/people/links/"+id+"/confirm", url.Values{}); code != http.StatusForbidden {
		t.Errorf("confirmed by the other side alone: %d", code)
	}
	if _, page = mira.get("/settings/people"); !strings.Contains(page, "corp|"+oidcOmar.Sub) || !strings.Contains(page, id+"/confirm") {
		t.Error("the first session isn't asked to confirm, by name")
	}
	if code, _ := mira.post("/settings/people/links/"+id+"/confirm", url.Values{}); code != http.StatusSeeOther {
		t.Errorf("confirmed: %d", code)
	}
	one, _ := b.Server.dir.Person("corp|" + oidcMira.Sub)
	other, _ := b.Server.dir.Person("corp|" + oidcOmar.Sub)
	if one.ID != other.ID || len(other.Groups) != 0 {
		t.Errorf("linked: %s and %s, which is in %v", one.ID, other.ID, other.Groups)
	}
	if code, _ := mira.post("/settings/people/links/"+id+"/end", url.Values{}); code != http.StatusSeeOther {
		t.Errorf("ended: %d", code)
	}
	if other, _ = b.Server.dir.Person("corp|" + oidcOmar.Sub); !slices.Contains(other.IDs(), "corp|"+oidcMira.Sub) {
		t.Error("ended, and forgotten at once")
	}
}

// A seat is lent in a session that its person signed in to, not by a token that
// an administrator may have minted in their name.
func TestLendingASeatInTheConsole(t *testing.T) {
	b := newSignedIn(t, "")
	lend := url.Values{"to": {"omar"}, "days": {"3"}, "reason": {"away"}}
	mira := b.surfer()
	if code := mira.in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Fatal(code)
	}
	for name, form := range map[string]url.Values{
		"two months": {"to": {"omar"}, "days": {"61"}}, "to nobody": {"to": {"nobody"}, "days": {"3"}},
		"a group not one's own": {"to": {"omar"}, "days": {"3"}, "group": {"group:admins"}},
		"to oneself":            {"to": {"corp|" + oidcMira.Sub}, "days": {"3"}},
	} {
		if code, _ := mira.post("/settings/people/standins", form); code < 400 {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code, page := mira.post("/settings/people/standins", lend); code != http.StatusSeeOther {
		t.Fatalf("appointed: %d %.300s", code, page)
	}
	list := b.Server.dir.StandIns()
	if len(list) != 1 || list[0].To != "person:omar" || !list[0].Active {
		t.Fatalf("stand-ins: %+v", list)
	}
	if _, page := mira.get("/settings/people"); !strings.Contains(page, "person:omar") || !strings.Contains(page, list[0].ID+"/end") {
		t.Error("it isn't shown, or can't be ended")
	}

	x := &site{bench: b.bench, tokens: map[string]string{}, sessions: map[string]*browser{}}
	pasted := x.browser("person:omar")
	for _, path := range []string{"/settings/people/standins", "/settings/people/links"} {
		if err := pasted.send(path, lend); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%s with a pasted token: %v", path, err)
		}
	}
	if err := pasted.send("/settings/people/standins/"+list[0].ID+"/end", url.Values{}); err != nil {
		t.Errorf("the stand-in can't step back: %v", err)
	}
	if b.Server.dir.StandIns()[0].Active {
		t.Error("ended, and active")
	}
}

// What the API shows of people, and who may end what.
func TestPeopleOverTheAPI(t *testing.T) {
	x := newSite(t)
	x.signIn("u1", "g-owners")
	second := x.link(&unrelated)
	undo := x.appoint("u2", "h")
	text, err := x.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:u1", Scopes: []string{identity.ScopeAdmin, identity.ScopeReview}, TTL: time.Hour, By: "test"})
	x.must(err)
	self := map[string]any{"group": "group:night", "person": "person:u1", "until": time.Now().Add(time.Hour).UTC()}
	turn, err := x.Server.dir.Swap(t.Context(), "group:night", "person:u2", "person:operator", time.Now(), time.Now().Add(time.Hour))
	x.must(err)
	for name, c := range map[string]struct {
		method, path, token string
		body                any
		status              int
		has, lacks          string
	}{
		"an administrator sees everybody's": {"GET", "/v1/accounts", x.admin(), nil, 200, second, "nothing"},
		"one sees one's own":                {"GET", "/v1/accounts", x.token("person:u2"), nil, 200, "corp|u2", second},
		"who stands in":                     {"GET", "/v1/standins", x.token("person:u1"), nil, 200, "person:h", "nothing"},
		"who is on call":                    {"GET", "/v1/oncall", x.token("person:u1"), nil, 200, "person:u2", "nothing"},
		"nobody puts themselves on call":    {"POST", "/v1/oncall/swaps", text, self, 403, "excluded", "nothing"},
		"nor by ending another's turn":      {"DELETE", "/v1/oncall/swaps/" + turn.ID, text, nil, 403, "excluded", "nothing"},
		"a stranger ends no stand-in":       {"DELETE", "/v1/standins/" + x.Server.dir.StandIns()[0].ID, x.token("person:u3"), nil, 403, "not-yours", "nothing"},
		"what isn't there":                  {"DELETE", "/v1/links/0000", x.token("person:u3"), nil, 404, "not-found", "nothing"},
	} {
		status, body := x.call(c.method, c.path, c.token, c.body)
		if status != c.status || !strings.Contains(string(body), c.has) || strings.Contains(string(body), c.lacks) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, body := x.call("DELETE", "/v1/oncall/swaps/"+turn.ID, x.admin(), nil); status != http.StatusNoContent {
		t.Errorf("an administrator outside the rotation ends a swap: %d %s", status, body)
	}
	undo()
	for _, l := range x.Server.dir.Links() {
		want := http.StatusConflict // the configuration's are changed there
		if l.Account == second {
			want = http.StatusNoContent
		}
		if status, body := x.call("DELETE", "/v1/links/"+l.ID, x.admin(), nil); status != want {
			t.Errorf("an administrator ends the link of %s: %d %s", l.Account, status, body)
		}
	}
}
