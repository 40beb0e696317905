package slack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/channels/slack"
	"github.com/assenthq/assent/internal/channels/slack/slacktest"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/notify/notifytest"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/policy"
)

// A place is a house, a Slack and the channel between them.
type place struct {
	*notifytest.House
	*slacktest.Slack
	ch   *slack.Channel
	disp *notify.Dispatcher
	stop func()

	mu      sync.Mutex
	offered []people.Claims
}

// setting changes how a place is made.
type setting func(*place, *slack.Options)

func socket(_ *place, o *slack.Options) {
	o.Signing, o.App = nil, func(context.Context) ([]byte, error) { return []byte(slacktest.AppTok), nil }
}

var rooms = []notify.Route{{Channel: "slack", Place: "C0OPS", Notices: []string{"alarm"}}}

func open(t *testing.T, routes []notify.Route, settings ...setting) *place {
	t.Helper()
	p := &place{House: notifytest.New(t), Slack: slacktest.New()}
	t.Cleanup(p.Slack.Close)
	p.Slack.Clock = p.House.Clock
	for _, u := range []string{"ANA", "BEN", "CAS", "SUB", "OWN", "OUT", "NEW"} {
		p.Join(slacktest.User{ID: "U" + u, Name: u[:1] + strings.ToLower(u[1:])})
	}
	p.Join(slacktest.User{ID: "UGUEST", Team: "T2", Name: "Guest"}, slacktest.User{ID: "UROBOT", Bot: true})
	p.Room("C0OPS", "ops")
	p.Room("C0SEC", "security")
	fixed := func(s string) slack.Secret {
		return func(context.Context) ([]byte, error) { return []byte(s), nil }
	}
	o := slack.Options{
		Name: "slack", Team: slacktest.Team, AppID: slacktest.App, PublicURL: notifytest.PublicURL, Bot: fixed(slacktest.Token), Signing: fixed(slacktest.Signing),
		Desk: p.Desk(), API: p.URL, Clock: p.House.Clock,
		Accounts: func(id string) []string { who, _ := p.Dir.Person(id); return who.Accounts },
		Offer: func(_ context.Context, code string, c people.Claims) (string, error) {
			if code != "lnk_"+strings.Repeat("0", 24) {
				return "", people.ErrUnknown
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.offered = append(p.offered, c)
			return "Ana", nil
		},
	}
	for _, s := range settings {
		s(p, &o)
	}
	var err error
	if p.ch, err = slack.New(o); err != nil {
		t.Fatal(err)
	}
	if o.Signing != nil {
		door := httptest.NewServer(http.StripPrefix("/channels/slack", p.ch))
		t.Cleanup(door.Close)
		p.App = door.URL + "/channels/slack"
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.ch.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	if o.App != nil {
		p.Eventually("the socket is open", func() bool { return p.Sockets() == 1 })
	}
	p.disp, p.stop = p.Dispatch("n1", routes, p.ch)
	return p
}

// card waits for the card of an approval in a channel.
func (p *place) card(channel string, a *approval.Approval) *slacktest.Message {
	p.House.Helper()
	var found *slacktest.Message
	p.Eventually("there is a card", func() bool {
		for _, m := range p.Messages(channel) {
			if m.Thread == "" && m.Only == "" && strings.Contains(string(m.Blocks), a.ID) {
				found = &m
				return true
			}
		}
		return false
	})
	return found
}

// shows waits until the card of an approval holds text.
func (p *place) shows(channel string, a *approval.Approval, text string) {
	p.House.Helper()
	p.Eventually("the card says "+text, func() bool { return strings.Contains(string(p.card(channel, a).Blocks), text) })
}

// hears waits until a user alone is told something with text in it.
func (p *place) hears(user, text string) {
	p.House.Helper()
	defer func() {
		if p.House.Failed() {
			for _, m := range p.Messages("") {
				p.House.Logf("%s %s: %s", m.Channel, m.Only, m.Text)
			}
		}
	}()
	p.Eventually(user+" hears "+text, func() bool {
		for _, m := range p.Messages("") {
			if m.Only == user && strings.Contains(m.Text, text) {
				return true
			}
		}
		return false
	})
}

func (p *place) must(err error) {
	p.House.Helper()
	if err != nil {
		p.House.Fatal(err)
	}
}

// form waits for the form that a user was shown last.
func (p *place) form(n int) *slacktest.View {
	p.House.Helper()
	p.Eventually("a form opens", func() bool { return len(p.Views()) == n })
	return &p.Views()[n-1]
}

// TestStory: asked, questioned, denied with a reason, approved, expired, each by
// HTTP and over a socket, and each seen by everybody.
func TestStory(t *testing.T) {
	for name, by := range map[string][]setting{"http": nil, "socket": {socket}} {
		t.Run(name, func(t *testing.T) {
			p := open(t, rooms, by...)
			a := p.Ask("select 1")
			c := p.card("C0OPS", a)
			p.must(p.Press("UANA", c, "assent:ask"))
			p.must(p.Submit(p.form(1), "which customers?"))
			p.shows("C0OPS", a, "which customers?")
			p.must(p.Press("UANA", p.card("C0OPS", a), "assent:deny"))
			p.must(p.Submit(p.form(2), "not on a Sunday"))
			p.shows("C0OPS", a, "Ana denied it")
			p.shows("C0OPS", a, "not on a Sunday")
			if got := p.Get(a.ID); got.State != approval.Denied || len(got.Reviews) != 1 || got.Reviews[0].Person != "person:ana" || got.Reviews[0].Assurance != "chat" || got.Reviews[0].Channel != "slack" {
				t.Errorf("it is %s by %+v", got.State, got.Reviews)
			}
			if _, there := p.card("C0OPS", a).Button("assent:approve"); there {
				t.Error("a decided card has buttons")
			}
			b := p.Ask("select 2")
			p.must(p.Press("UBEN", p.card("C0OPS", b), "assent:approve"))
			p.shows("C0OPS", b, "Ben approved it")
			if got := p.Get(b.ID); got.State != approval.Approved {
				t.Errorf("it is %s", got.State)
			}
			late := p.Ask("select 3")
			old := p.card("C0OPS", late)
			p.Pass(time.Hour)
			p.shows("C0OPS", late, "Expired")
			p.must(p.Press("UANA", old, "assent:approve"))
			p.hears("UANA", "expired")
		})
	}
}

// TestElsewhere: what a click in a chat may not approve has no button for it, and
// one that comes all the same decides nothing.
func TestElsewhere(t *testing.T) {
	p := open(t, rooms)
	need := func(assurance string) policy.Requirement {
		return policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: assurance}
	}
	long := p.Ask("select '" + strings.Repeat("x", 2_000_000) + "'")
	hidden := p.Ask("select '" + strings.Repeat("\u202e", 700) + "'") // escaped it is longer than a card
	high := []*approval.Approval{p.Ask("select 1", need("console")), p.Ask("select 2", need("passkey"))}
	for _, a := range append(high, long, hidden) {
		c := p.card("C0OPS", a)
		if _, there := c.Button("assent:approve"); there {
			t.Errorf("%s has an Approve button", a.ID)
		}
		if !strings.Contains(string(c.Blocks), notifytest.PublicURL+"/approvals/"+a.ID) || !strings.Contains(string(c.Blocks), "console") {
			t.Errorf("%s doesn't lead to the console: %s", a.ID, c.Blocks)
		}
		value, _ := c.Button("assent:ask")
		if a != hidden { // which the desk takes for shown: Slack alone can't show all of it
			p.must(p.Interact(p.Action("UANA", c, "assent:approve", value)))
			p.hears("UANA", "console")
			p.hears("UANA", a.ID)
		}
		if got := p.Get(a.ID); got.State != approval.Pending {
			t.Errorf("%s is %s", a.ID, got.State)
		}
	}
	for _, a := range high { // nor is a denial taken here, though a question is
		c := p.card("C0OPS", a)
		if _, there := c.Button("assent:deny"); there {
			t.Errorf("%s has a Deny button", a.ID)
		}
		p.must(p.Press("UBEN", c, "assent:ask"))
	}
	p.Eventually("two forms open", func() bool { return len(p.Views()) == 2 })
	for _, a := range []*approval.Approval{long, hidden} {
		p.must(p.Press("UANA", p.card("C0OPS", a), "assent:deny"))
	}
	p.Eventually("four forms open", func() bool { return len(p.Views()) == 4 })
	for _, v := range p.Views()[2:] {
		p.must(p.Submit(&v, "no"))
	}
	for _, a := range []*approval.Approval{long, hidden} {
		p.shows("C0OPS", a, "denied it")
	}
}

// TestWhoMayPress: strangers, guests, the asker's own people and those who
// weren't asked decide nothing, and hear why.
func TestWhoMayPress(t *testing.T) {
	p := open(t, rooms)
	a := p.Ask("select 1")
	c := p.card("C0OPS", a)
	for user, want := range map[string]string{
		"UNEW": "/assent link", "UGUEST": "Only accounts of this workspace", "USUB": "can't review", "UOWN": "can't review", "UOUT": "not among those",
	} {
		p.must(p.Press(user, c, "assent:approve"))
		p.hears(user, want)
		p.must(p.Press(user, c, "assent:deny"))
	}
	p.must(p.Interact(p.Action("UANA", c, "assent:burn", "x y 1")))
	p.hears("UANA", "does nothing any more")
	p.must(p.Interact(p.Action("UANA", c, "assent:approve", "x")))
	p.hears("UANA", "of another time")
	value, _ := c.Button("assent:approve")
	f := strings.Fields(value)
	for _, v := range []string{f[0] + " " + f[1] + " 99", "gone " + f[1] + " 1", f[0] + " sha256:00 1"} {
		p.must(p.Interact(p.Action("UBEN", c, "assent:approve", v)))
	}
	p.hears("UBEN", "changed")
	p.hears("UBEN", "no such approval")
	p.hears("UBEN", "didn't say what was shown")
	if got := p.Get(a.ID); got.State != approval.Pending || len(got.Reviews) != 0 {
		t.Errorf("it is %s with %d reviews", got.State, len(got.Reviews))
	}
	if n := len(p.Views()); n != 0 {
		t.Errorf("%d forms were opened for people who may not answer", n)
	}
	p.must(p.Press("UANA", c, "assent:approve"))
	p.shows("C0OPS", a, "Ana approved it")
	p.must(p.Interact(p.Action("UANA", c, "assent:approve", value))) // twice
	p.hears("UANA", "already decided")
	if got := p.Get(a.ID); len(got.Reviews) != 1 {
		t.Errorf("%d reviews", len(got.Reviews))
	}
}

// TestForged: what Slack didn't sign, lately, once, for this app and workspace
// is refused at the door.
func TestForged(t *testing.T) {
	p := open(t, rooms)
	a := p.Ask("select 1")
	c := p.card("C0OPS", a)
	value, _ := c.Button("assent:approve")
	body := func(change func(map[string]any)) string {
		x := p.Action("UANA", c, "assent:approve", value)
		if change != nil {
			change(x)
		}
		b, err := json.Marshal(x)
		p.must(err)
		return url.Values{"payload": {string(b)}}.Encode()
	}
	good, now := body(nil), p.House.Clock()
	h := slacktest.Sign(slacktest.Signing, now, good)
	changed := h.Clone()
	changed.Set("X-Slack-Request-Timestamp", fmt.Sprint(now.Unix()+1))
	bare := h.Clone()
	bare.Set("X-Slack-Signature", strings.TrimPrefix(h.Get("X-Slack-Signature"), "v0="))
	none := h.Clone()
	none.Del("X-Slack-Signature")
	far := h.Clone()
	far.Set("X-Slack-Request-Timestamp", "99999999999999999999")
	team := func(x map[string]any) { x["team"] = map[string]any{"id": "T2"} }
	app := func(x map[string]any) { x["api_app_id"] = "A2" }
	sign := func(b string) http.Header { return slacktest.Sign(slacktest.Signing, now, b) }
	for _, x := range []struct {
		name, path, body string
		head             http.Header
		want             int
	}{
		{"nothing signed", "/interactive", good, http.Header{}, 401},
		{"no signature", "/interactive", good, none, 401},
		{"another secret", "/interactive", good, slacktest.Sign("x", now, good), 401},
		{"no secret", "/interactive", good, slacktest.Sign("", now, good), 401},
		{"old", "/interactive", good, slacktest.Sign(slacktest.Signing, now.Add(-6*time.Minute), good), 401},
		{"of the future", "/interactive", good, slacktest.Sign(slacktest.Signing, now.Add(6*time.Minute), good), 401},
		{"another time", "/interactive", good, changed, 401},
		{"a time without end", "/interactive", good, far, 401},
		{"another version", "/interactive", good, bare, 401},
		{"another body", "/interactive", body(nil), h, 401},
		{"another team", "/interactive", body(team), nil, 403},
		{"another app", "/interactive", body(app), nil, 403},
		{"no JSON", "/interactive", "payload=x", nil, 400},
		{"no form", "/interactive", "%zz", nil, 400},
		{"a command as JSON", "/interactive", "payload=" + url.QueryEscape(`{"type":"slash_command"}`), nil, 400},
		{"too long", "/interactive", strings.Repeat("x", 2<<20), http.Header{}, 413},
		{"elsewhere", "/", good, h, 404},
		{"a command from another team", "/command", "team_id=T2&api_app_id=A1&text=inbox", nil, 403},
	} {
		head := x.head
		if head == nil {
			head = sign(x.body)
		}
		if got, err := p.Deliver(x.path, x.body, head); got != x.want {
			t.Errorf("%s: %d %v, want %d", x.name, got, err, x.want)
		}
	}
	if got := p.Get(a.ID); got.State != approval.Pending {
		t.Fatalf("it is %s", got.State)
	}
	if got, err := p.Deliver("/interactive", good, h); got != 200 {
		t.Fatalf("the real one: %d %v", got, err)
	}
	if got, _ := p.Deliver("/interactive", good, h); got != 401 {
		t.Errorf("the same again: %d", got)
	}
	p.shows("C0OPS", a, "Ana approved it")
}

// TestFoundAgain: a card that was posted while the answer was lost, or the
// process ended, is found by its key, and not posted twice.
func TestFoundAgain(t *testing.T) {
	p := open(t, rooms, func(p *place, _ *slack.Options) {
		p.Fault = func(method string, n int) *slacktest.Fault {
			if method == "chat.postMessage" && n <= 1 {
				return &slacktest.Fault{Done: true}
			}
			return nil
		}
	})
	for i := range 5 {
		p.Ask(fmt.Sprintf("select %d", i))
	}
	p.Eventually("four are there, and the lost one", func() bool { return len(p.Messages("C0OPS")) == 5 })
	p.Pass(10 * time.Second)
	p.Eventually("nothing is owed", func() bool {
		all, err := p.disp.Deliveries(t.Context())
		return err == nil && len(all) == 0
	})
	if n := len(p.Messages("C0OPS")); n != 5 || p.Calls("conversations.history") == 0 {
		t.Errorf("%d cards for 5 approvals", n)
	}
}

// TestLimits: Slack's rate is waited for, and every card gets there once.
func TestLimits(t *testing.T) {
	p := open(t, rooms, func(p *place, _ *slack.Options) {
		p.Fault = func(method string, n int) *slacktest.Fault {
			if method == "chat.postMessage" && n%2 == 1 && n < 8 {
				return &slacktest.Fault{Status: 429, After: 7}
			}
			return nil
		}
	})
	for i := range 8 {
		p.Ask(fmt.Sprintf("select %d", i))
	}
	p.Eventually("Slack asks for patience", func() bool {
		all, err := p.disp.Deliveries(t.Context())
		return err == nil && slices.ContainsFunc(all, func(d notify.Delivery) bool {
			return strings.Contains(d.Error, "patience") && !d.Due.Before(p.House.Clock().Add(7*time.Second))
		})
	})
	p.Eventually("all are there", func() bool {
		p.Pass(time.Second)
		time.Sleep(20 * time.Millisecond)
		return len(p.Messages("C0OPS")) == 8
	})
}

// TestUndrawn: what Slack refuses to draw is told as a link.
func TestUndrawn(t *testing.T) {
	p := open(t, rooms, func(p *place, _ *slack.Options) {
		p.Fault = func(method string, n int) *slacktest.Fault {
			if method == "chat.postMessage" && n == 1 {
				return &slacktest.Fault{Error: "invalid_blocks"}
			}
			return nil
		}
	})
	c := p.card("C0OPS", p.Ask("select 1"))
	if !strings.Contains(c.Text, "can't be drawn") {
		t.Errorf("it says %s", c.Text)
	}
}

// TestPeopleAreToldOneByOne: in direct messages, and only those who may answer
// and linked an account.
func TestPeopleAreToldOneByOne(t *testing.T) {
	p := open(t, []notify.Route{{Channel: "slack", Place: notify.Reviewers}, {Channel: "slack", Place: "#security"}})
	a := p.Ask("select 1")
	for _, at := range []string{"DUANA", "DUBEN", "DUCAS", "C0SEC"} {
		p.card(at, a)
	}
	p.must(p.Press("UBEN", p.card("DUBEN", a), "assent:approve"))
	for _, at := range []string{"DUANA", "DUBEN", "DUCAS", "C0SEC"} {
		p.shows(at, a, "Ben approved it")
	}
	if n := len(p.Messages("")); n != 4 {
		t.Errorf("%d messages", n)
	}
}

// TestReminders stand below the card.
func TestReminders(t *testing.T) {
	p := open(t, rooms)
	a := p.Ask("select 1", policy.Requirement{
		Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: "chat", Expires: time.Hour, Escalate: []policy.Escalation{{After: 45 * time.Minute, To: []string{"group:dba"}}},
	})
	c := p.card("C0OPS", a)
	replies := func() (out []string) {
		for _, m := range p.Messages("C0OPS") {
			if m.Thread == c.TS {
				out = append(out, m.Text)
			}
		}
		return out
	}
	p.Pass(31 * time.Minute)
	p.Eventually("it is reminded of", func() bool { r := replies(); return len(r) == 1 && strings.Contains(r[0], "Still waiting") })
	p.Pass(15 * time.Minute)
	p.Eventually("it is escalated", func() bool { r := replies(); return len(r) == 2 && strings.Contains(r[1], "dba") })
}

func TestCommands(t *testing.T) {
	p := open(t, rooms)
	p.must(p.Command("UANA", "C0OPS", "inbox"))
	p.hears("UANA", "Nothing waits")
	a := p.Ask("select 1")
	p.must(p.Command("UBEN", "C0OPS", "inbox"))
	p.hears("UBEN", a.ID)
	p.must(p.Command("USUB", "C0OPS", "inbox"))
	p.hears("USUB", "Nothing waits")
	p.must(p.Command("UNEW", "C0OPS", "why "+a.ID))
	p.hears("UNEW", "/assent link")
	p.must(p.Command("UANA", "C0OPS", "why "+a.ID))
	p.hears("UANA", "looked at by hand")
	p.must(p.Command("UANA", "C0OPS", "why <!channel>"))
	p.hears("UANA", "no such approval")
	p.must(p.Command("UANA", "C0OPS", "burn"))
	p.hears("UANA", "/assent inbox")
	code := "lnk_" + strings.Repeat("0", 24)
	for user, want := range map[string]string{"UNEW": "confirm it in the console", "UGUEST": "can't be linked", "UROBOT": "can't be linked"} {
		p.must(p.Command(user, "C0OPS", "link https://assent.test/settings/people/link?code="+code))
		p.hears(user, want)
	}
	p.must(p.Command("UNEW", "C0OPS", "link lnk_"+strings.Repeat("1", 24)))
	p.hears("UNEW", "Nobody waits for that code")
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.offered) != 1 || p.offered[0].Account() != "slack|T1/UNEW" || p.offered[0].URL != "slack://T1" || p.offered[0].Name != "New" {
		t.Errorf("offered were %+v", p.offered)
	}
}

// TestNothingIsMarkup: what an agent wrote names nobody, links nowhere, hides
// nothing and ends nothing.
func TestNothingIsMarkup(t *testing.T) {
	p := open(t, rooms)
	evil := "<!channel> <@UANA> <https://evil.test|Approve> ``` *b* _i_ &lt; \u202e\u200b\u2066 select 1"
	a := p.Ask(evil)
	c := p.card("C0OPS", a)
	var blocks []map[string]any
	p.must(json.Unmarshal(c.Blocks, &blocks))
	shown := ""
	for _, b := range blocks {
		raw, _ := json.Marshal(b)
		if strings.Contains(string(raw), "mrkdwn") && strings.Contains(string(raw), "evil") {
			t.Errorf("an agent's text is read as markup: %s", raw)
		}
		if b["type"] == "rich_text" {
			var s any
			p.must(json.Unmarshal(raw, &s))
			shown += texts(s)
		}
	}
	if !strings.Contains(shown, `<!channel> <@UANA> <https://evil.test|Approve> `+"```"+` *b* _i_ &lt; \u202e\u200b\u2066 select 1`) {
		t.Errorf("it shows %q", shown)
	}
	if strings.ContainsAny(string(c.Blocks)+c.Text, "\u202e\u200b\u2066") || strings.Contains(c.Text, "<!channel>") {
		t.Error("something invisible went out")
	}
}

// texts joins all strings named text.
func texts(v any) string {
	out := ""
	switch v := v.(type) {
	case map[string]any:
		if s, ok := v["text"].(string); ok {
			out += s
		}
		for _, k := range []string{"elements", "text"} {
			out += texts(v[k])
		}
	case []any:
		for _, x := range v {
			out += texts(x)
		}
	}
	return out
}

func TestNotice(t *testing.T) {
	p := open(t, rooms)
	p.must(p.disp.Notify(t.Context(), notify.Notice{ID: "1", Kind: "alarm", Title: "The log can't be <verified>", Text: "A row <!here> is gone.", Path: "/activity", Time: p.House.Clock()}))
	p.Eventually("it is told", func() bool { return len(p.Messages("C0OPS")) == 1 })
	m := p.Messages("C0OPS")[0]
	if strings.Contains(m.Text, "<") || !strings.Contains(string(m.Blocks), notifytest.PublicURL+"/activity") {
		t.Errorf("it says %s %s", m.Text, m.Blocks)
	}
}

// TestSocketOpensAgain after Slack closes it, as it does each few hours.
func TestSocketOpensAgain(t *testing.T) {
	p := open(t, rooms, socket)
	p.Hang()
	p.Eventually("it is open again", func() bool { return p.Sockets() == 1 })
	a := p.Ask("select 1")
	p.must(p.Press("UANA", p.card("C0OPS", a), "assent:approve"))
	p.shows("C0OPS", a, "Ana approved it")
}

// TestSecretsStayHere: a token that is refused is in no error.
func TestSecretsStayHere(t *testing.T) {
	p := open(t, rooms, func(_ *place, o *slack.Options) {
		o.Bot = func(context.Context) ([]byte, error) { return []byte("xoxb-wrong-secret"), nil }
	})
	p.Ask("select 1")
	p.Eventually("it failed", func() bool {
		all, err := p.disp.Deliveries(t.Context())
		if err != nil || len(all) == 0 {
			return false
		}
		if strings.Contains(all[0].Error, "secret") || !strings.Contains(all[0].Error, "invalid_auth") {
			t.Errorf("it says %s", all[0].Error)
		}
		return true
	})
}

func TestOptions(t *testing.T) {
	if err := slack.Check("C1", "A1"); err == nil {
		t.Error("a channel is no workspace")
	}
	if _, err := slack.New(slack.Options{Name: "x", Team: "T1", AppID: "A1"}); err == nil {
		t.Error("a channel without a token")
	}
}

// TestReach: what keeps cards from getting there is said before anybody waits for one.
func TestReach(t *testing.T) {
	p := open(t, rooms, func(p *place, _ *slack.Options) { p.Scopes = strings.Join(slack.Scopes, ",") })
	p.must(p.ch.Reach(t.Context(), []string{"#ops", "C0SEC", notify.Reviewers}))
	if err := p.ch.Reach(t.Context(), []string{"#nowhere"}); err == nil || !strings.Contains(err.Error(), "invite it") {
		t.Errorf("a channel that isn't there: %v", err)
	}
	p.Scopes = "chat:write"
	if err := p.ch.Reach(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no scope commands") {
		t.Errorf("without a scope: %v", err)
	}
	other := open(t, rooms, func(p *place, o *slack.Options) { o.Team, p.Scopes = "T2", strings.Join(slack.Scopes, ",") })
	if err := other.ch.Reach(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "workspace T1") {
		t.Errorf("another workspace: %v", err)
	}
}

func TestManifest(t *testing.T) {
	var m struct {
		Features struct {
			Commands []struct{ Command, URL string } `yaml:"slash_commands"`
		}
		OAuth struct {
			Scopes struct{ Bot []string }
		} `yaml:"oauth_config"`
		Settings struct {
			Interactivity struct {
				On  bool   `yaml:"is_enabled"`
				URL string `yaml:"request_url"`
			}
			Socket bool `yaml:"socket_mode_enabled"`
		}
	}
	for _, socket := range []bool{false, true} {
		p := []byte(slack.Manifest("https://assent.test/", "ops", socket))
		m.Features.Commands, m.Settings.Interactivity.URL = nil, ""
		if err := yaml.Unmarshal(p, &m); err != nil {
			t.Fatal(err)
		}
		command, press := "https://assent.test/channels/ops/command", "https://assent.test/channels/ops/interactive"
		if socket {
			command, press = "", ""
		}
		if got := m.Features.Commands; len(got) != 1 || got[0].Command != "/assent" || got[0].URL != command {
			t.Errorf("commands are %+v", got)
		}
		if m.Settings.Interactivity.URL != press || !m.Settings.Interactivity.On || m.Settings.Socket != socket || !slices.Equal(m.OAuth.Scopes.Bot, slack.Scopes) {
			t.Errorf("it says %+v", m)
		}
	}
}

// TestPlan: the same words on two systems are two things, and the card says which is which.
func TestPlan(t *testing.T) {
	p := open(t, rooms)
	a := p.AskPlan("select 1")
	var blocks any
	p.must(json.Unmarshal(p.card("C0OPS", a).Blocks, &blocks))
	shown := ""
	for _, b := range blocks.([]any) {
		shown += texts(b)
	}
	for _, want := range []string{"2. select customers", "on postgres:billing/prod/customers, data leaves for https://two.example", "1. select customers", "on postgres:billing/test/customers, data leaves for https://one.example"} {
		if !strings.Contains(shown, want) {
			t.Errorf("nobody sees %q in %q", want, shown)
		}
	}
}
