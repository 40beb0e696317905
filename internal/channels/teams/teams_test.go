package teams_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/channels/teams"
	"github.com/assenthq/assent/internal/channels/teams/teamstest"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/notify/notifytest"
	"github.com/assenthq/assent/internal/policy"
)

const ops = "19:ops@thread.tacv2"

// tenants knows the house's people by their objects.
type tenants struct{ offered []string }

func (t *tenants) Account(object string) string {
	for _, p := range notifytest.People() {
		if object == teamstest.Tenant+"/"+teamstest.Object(strings.ToLower(p.Name)) {
			return "teams|tid/" + strings.ToLower(p.Name)
		}
	}
	return ""
}

func (t *tenants) Object(person string) string {
	return teamstest.Tenant + "/" + teamstest.Object(strings.TrimPrefix(person, "person:"))
}

func (t *tenants) Offer(_ context.Context, code, object, _ string) (string, error) {
	if code != "lnk_good" {
		return "", errors.New("unknown")
	}
	t.offered = append(t.offered, object)
	return "Ana", nil
}

// place is a house with Teams.
type place struct {
	*notifytest.House
	*teamstest.Fake
	people *tenants
	bot    string // where activities go
}

func newPlace(t *testing.T, routes ...notify.Route) *place {
	t.Helper()
	p := &place{House: notifytest.New(t), Fake: teamstest.New(t), people: &tenants{}}
	ch, err := teams.New(teams.Options{
		Name: "teams", AppID: teamstest.App, Tenant: teamstest.Tenant, Desk: p.Desk(), People: p.people,
		Secret:     func(context.Context) ([]byte, error) { return []byte(teamstest.Secret), nil },
		ServiceURL: p.URL, Metadata: p.URL + "/metadata", TokenURL: p.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	door := httptest.NewServer(ch)
	t.Cleanup(door.Close)
	p.bot = door.URL + "/messages"
	if len(routes) == 0 {
		routes = []notify.Route{{Channel: "teams", Place: ops}}
	}
	p.Dispatch("n1", routes, ch)
	return p
}

func (p *place) Helper()           { p.House.Helper() }
func (p *place) Fatal(a ...any)    { p.House.Fatal(a...) }
func (p *place) says(i int) string { return teamstest.Text(p.Posts(ops)[i]) }
func (p *place) press(who, verb string, more map[string]any) (string, map[string]any) {
	data := map[string]any{}
	for k, v := range teamstest.Button(p.Posts(ops)[0], verb) {
		data[k] = v
	}
	for k, v := range more {
		data[k] = v
	}
	status, out := p.Send(p.bot, p.Sign(teamstest.Token{}), p.Press(who, ops, data))
	if status != http.StatusOK {
		return fmt.Sprint(status), nil
	}
	return teamstest.Text(out), out
}

func (p *place) shown(want string) {
	p.House.Helper()
	p.Eventually("the card says "+want, func() bool { return len(p.Posts(ops)) > 0 && strings.Contains(p.says(0), want) })
}

func TestStory(t *testing.T) {
	two := policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 2, Assurance: "chat"}
	p := newPlace(t)
	a := p.Ask("select name from customers", two)
	p.shown("0 of 2")
	for _, want := range []string{"select name from customers", "exporter", "for Sub", "customers are looked at by hand", "Approve once", "Deny", "See in console"} {
		if !strings.Contains(p.says(0), want) {
			t.Errorf("the card lacks %q:\n%s", want, p.says(0))
		}
	}
	// Who may not is told so and changes nothing, by any verb.
	for who, want := range map[string]string{"sub": "can't review", "own": "can't review", "out": "not among those", "stranger": "Link it"} {
		if says, _ := p.press(who, "approve", nil); !strings.Contains(says, want) {
			t.Errorf("%s was told %q, want %q", who, says, want)
		}
		if _, view := p.press(who, "view", nil); teamstest.Button(view, "approve") != nil {
			t.Errorf("%s sees a button to approve", who)
		}
	}
	if says, view := p.press("ana", "view", nil); teamstest.Button(view, "approve") == nil {
		t.Errorf("ana sees no button: %s", says)
	}
	if says, _ := p.press("ana", "ask", map[string]any{"question": "Why all of them?"}); !strings.Contains(says, "Why all of them?") {
		t.Errorf("the question isn't on the card: %s", says)
	}
	p.shown("Why all of them?")
	if says, _ := p.press("ana", "approve", nil); !strings.Contains(says, "Ana approved in teams") {
		t.Errorf("ana's approval was answered %q", says)
	}
	p.shown("1 of 2")
	if says, _ := p.press("ana", "approve", nil); !strings.Contains(says, "reviewed this") {
		t.Errorf("a second press was answered %q", says)
	}
	if says, _ := p.press("ben", "approve", nil); !strings.Contains(says, "and it") && !strings.Contains(says, "Ben approved in teams") {
		t.Errorf("ben's approval was answered %q", says)
	}
	p.shown("Ana and Ben approved it")
	got := p.Get(a.ID)
	if got.State != approval.Approved || len(got.Reviews) != 2 || got.Reviews[0].Assurance != "chat" {
		t.Errorf("it is %s with %+v", got.State, got.Reviews)
	}
	if teamstest.Button(p.Posts(ops)[0], "approve") != nil {
		t.Error("a decided card still has a button")
	}
}

func TestDenyAndExpire(t *testing.T) {
	p := newPlace(t)
	p.Ask("select 1")
	p.shown("select 1")
	if says, _ := p.press("ana", "deny", map[string]any{"reason": " "}); !strings.Contains(says, "needs a reason") {
		t.Errorf("a denial without a reason was answered %q", says)
	}
	if says, _ := p.press("ana", "deny", map[string]any{"reason": "not at night"}); !strings.Contains(says, "not at night") {
		t.Errorf("a denial was answered %q", says)
	}
	p.shown("Ana denied it")

	q := newPlace(t)
	late := q.Ask("select 2")
	q.shown("select 2")
	data := teamstest.Button(q.Posts(ops)[0], "approve")
	q.Pass(time.Hour)
	q.shown("Nobody decided in time")
	_, out := q.Send(q.bot, q.Sign(teamstest.Token{}), q.Press("ana", ops, data))
	if says := teamstest.Text(out); !strings.Contains(says, "decided") && !strings.Contains(says, "expired") {
		t.Errorf("a late press was answered %q", says)
	}
	q.state(late.ID, approval.Expired)
}

func (p *place) state(id string, want approval.State) {
	p.House.Helper()
	if got := p.Get(id).State; got != want {
		p.House.Errorf("it is %s, want %s", got, want)
	}
}

// TestStepUp: what a chat can't decide leads to the console.
func TestStepUp(t *testing.T) {
	for name, ask := range map[string]func(p *place) *approval.Approval{
		"assurance": func(p *place) *approval.Approval {
			return p.Ask("select 1", policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: "passkey"})
		},
		"too long": func(p *place) *approval.Approval { return p.Ask("select '" + strings.Repeat("x", 2<<20) + "'") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			a := ask(p)
			p.shown("decided in the console")
			if teamstest.Button(p.Posts(ops)[0], "approve") != nil {
				t.Error("there is a button to approve")
			}
			forged := map[string]any{"verb": "approve", "id": a.ID, "digest": a.Digest.String(), "version": a.Version}
			_, out := p.Send(p.bot, p.Sign(teamstest.Token{}), p.Press("ana", ops, forged))
			if says := teamstest.Text(out); !strings.Contains(says, "console") {
				t.Errorf("a forged button was answered %q", says)
			}
			p.state(a.ID, approval.Pending)
			forged["verb"], forged["reason"] = "deny", "no"
			_, out = p.Send(p.bot, p.Sign(teamstest.Token{}), p.Press("ana", ops, forged))
			if says := teamstest.Text(out); strings.Contains(says, "denied") == (name == "assurance") {
				t.Errorf("a denial was answered %q", says)
			}
		})
	}
}

func TestForged(t *testing.T) {
	p := newPlace(t)
	a := p.Ask("select 1")
	p.shown("select 1")
	data := teamstest.Button(p.Posts(ops)[0], "approve")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := func() map[string]any { return p.Press("ana", ops, data) }
	with := func(more map[string]any) map[string]any {
		m := good()
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	for name, c := range map[string]struct {
		auth     string
		activity map[string]any
		want     int
	}{
		"no token":          {"", good(), 401},
		"not a token":       {"Bearer x.y.z", good(), 401},
		"another key":       {p.Sign(teamstest.Token{Key: key}), good(), 401},
		"unknown key":       {p.Sign(teamstest.Token{KeyID: "k9"}), good(), 401},
		"key of webchat":    {p.Sign(teamstest.Token{KeyID: "other"}), good(), 401},
		"HS256":             {p.Sign(teamstest.Token{Alg: "HS256", Key: []byte(strings.Repeat("k", 32))}), good(), 401},
		"another issuer":    {p.Sign(teamstest.Token{Issuer: "https://sts.windows.net/x/"}), good(), 401},
		"another app":       {p.Sign(teamstest.Token{Audience: "bbbbbbbb-bbbb-cccc-dddd-eeeeeeeeeeee"}), good(), 401},
		"expired":           {p.Sign(teamstest.Token{Age: 2 * time.Hour}), good(), 401},
		"not yet":           {p.Sign(teamstest.Token{Age: -10 * time.Minute}), good(), 401},
		"another service":   {p.Sign(teamstest.Token{ServiceURL: "https://smba.trafficmanager.net/emea/"}), good(), 401},
		"service elsewhere": {p.Sign(teamstest.Token{ServiceURL: "https://evil.example/"}), with(map[string]any{"serviceUrl": "https://evil.example/"}), 401},
		"no channel":        {p.Sign(teamstest.Token{}), with(map[string]any{"channelId": ""}), 401},
		"another channel":   {p.Sign(teamstest.Token{}), with(map[string]any{"channelId": "webchat"}), 401},
		"another tenant":    {p.Sign(teamstest.Token{}), with(map[string]any{"conversation": map[string]any{"id": ops, "tenantId": "99999999-2222-3333-4444-555555555555"}}), 403},
		"tenants differ":    {p.Sign(teamstest.Token{}), with(map[string]any{"channelData": map[string]any{"tenant": map[string]any{"id": "99999999-2222-3333-4444-555555555555"}}}), 403},
		"no object":         {p.Sign(teamstest.Token{}), with(map[string]any{"from": map[string]any{"name": "ana"}}), 403},
		"no JSON object":    {p.Sign(teamstest.Token{}), map[string]any{}, 400},
		"no verb":           {p.Sign(teamstest.Token{}), with(map[string]any{"value": map[string]any{"action": map[string]any{"data": map[string]any{"id": a.ID}}}}), 400},
	} {
		t.Run(name, func(t *testing.T) {
			if status, out := p.Send(p.bot, c.auth, c.activity); status != c.want {
				t.Errorf("answered %d %v, want %d", status, out, c.want)
			}
			p.state(a.ID, approval.Pending)
		})
	}
	for name, change := range map[string]map[string]any{
		"another digest":   {"digest": "sha256:" + strings.Repeat("0", 64)},
		"no digest":        {"digest": ""},
		"another version":  {"version": 7},
		"another approval": {"id": "apr_0000000000000000"},
		"another verb":     {"verb": "execute"},
	} {
		if says, _ := p.press("ana", "approve", change); says == "" || strings.Contains(says, "approved in") {
			t.Errorf("%s was answered %q", name, says)
		}
		p.state(a.ID, approval.Pending)
	}
	if says, _ := p.press("ana", "approve", nil); !strings.Contains(says, "Ana approved") {
		t.Errorf("the real one was answered %q", says)
	}
}

// TestMessages: what an older client sends as a message is taken once; words are answered.
func TestMessages(t *testing.T) {
	p := newPlace(t)
	a := p.Ask("select 1")
	p.shown("select 1")
	data := teamstest.Button(p.Posts(ops)[0], "approve")
	m := p.Activity("ana", ops, map[string]any{"type": "message", "value": data})
	for range 2 {
		if status, _ := p.Send(p.bot, p.Sign(teamstest.Token{}), m); status != http.StatusOK {
			t.Fatal(status)
		}
	}
	p.state(a.ID, approval.Approved)
	say := func(who, text string) string {
		before := len(p.Posts(ops))
		if status, _ := p.Send(p.bot, p.Sign(teamstest.Token{}), p.Activity(who, ops, map[string]any{"type": "message", "text": text})); status != http.StatusOK {
			t.Fatal(status)
		}
		all := p.Posts(ops)
		if len(all) != before+1 {
			t.Fatalf("%d answers to %q", len(all)-before, text)
		}
		return teamstest.Text(all[len(all)-1])
	}
	if got := say("ana", "<at>Assent</at> link lnk_good"); !strings.Contains(got, "Offered to Ana") || len(p.people.offered) != 1 || p.people.offered[0] != teamstest.Tenant+"/"+teamstest.Object("ana") {
		t.Errorf("link: %q %v", got, p.people.offered)
	}
	if got := say("stranger", "link lnk_bad"); !strings.Contains(got, "could not be linked") {
		t.Errorf("a bad code: %q", got)
	}
	if got := say("ana", "why "+a.ID); !strings.Contains(got, "select customers") {
		t.Errorf("why: %q", got)
	}
	if got := say("stranger", "why "+a.ID); strings.Contains(got, "customers") {
		t.Errorf("a stranger was told %q", got)
	}
	if got := say("ana", "hello"); !strings.Contains(got, "link CODE") {
		t.Errorf("hello: %q", got)
	}
}

// TestPeopleOneByOne: cards go to each reviewer's own chat, never to the asker's side.
func TestPeopleOneByOne(t *testing.T) {
	p := newPlace(t, notify.Route{Channel: "teams", Place: notify.Reviewers})
	p.Ask("select 1")
	chat := func(who string) string { return "a:" + teamstest.Object(who) }
	p.Eventually("the reviewers have it", func() bool {
		return len(p.Posts(chat("ana"))) == 1 && len(p.Posts(chat("ben"))) == 1 && len(p.Posts(chat("cas"))) == 1
	})
	if len(p.Posts(chat("sub")))+len(p.Posts(chat("own"))) != 0 {
		t.Error("the asker's side was asked")
	}
}

func TestFailuresOfTheService(t *testing.T) {
	p := newPlace(t)
	calls := 0
	p.Fail(7, func(r *http.Request) int {
		if r.URL.Path == "/v3/conversations/"+ops+"/activities" {
			if calls++; calls == 1 {
				return http.StatusTooManyRequests
			}
		}
		return 0
	})
	p.Ask("select 1")
	p.Eventually("it was refused", func() bool { return len(p.Told()) == 2 })
	p.Pass(5 * time.Second)
	time.Sleep(1500 * time.Millisecond)
	if n := len(p.Posts(ops)); n != 0 {
		t.Errorf("%d posts within Retry-After", n)
	}
	p.Pass(5 * time.Second)
	p.shown("select 1")
	p.Fail(0, func(*http.Request) int { return http.StatusForbidden })
	p.Ask("select 2")
	p.Eventually("it is dead", func() bool {
		all := p.Told()
		return strings.HasPrefix(all[len(all)-1], "dead")
	})
}

// TestPlan: the same words on two systems are two things, and the card says which is which.
func TestPlan(t *testing.T) {
	p := newPlace(t)
	p.AskPlan("select 1")
	p.shown("Plan of 2")
	said := strings.Join(strings.Fields(p.says(0)), " ")
	for _, want := range []string{"2 data.read select customers postgres:billing/prod/customers → https://two.example", "1 data.read select customers postgres:billing/test/customers → https://one.example"} {
		if !strings.Contains(said, want) {
			t.Errorf("nobody sees %q in %q", want, said)
		}
	}
}
