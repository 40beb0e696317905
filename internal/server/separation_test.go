package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/channels/slack/slacktest"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/people"
)

// Nobody approves their own action, whatever they are to it, by whatever path
// and channel. Each relation is tried on each path through each channel; an
// unrelated person gets through on the same path, so that a path that is merely
// broken is found too. A row is added by adding to relations, paths or channels.

const separationPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: separation, version: 1.0.0, owner: tests }
rules:
  - id: one
    match: { kind: [data.write] }
    then: review
    approval: { from: [group:owners], count: 1, expires: 20m, assurance: token }
  - id: two
    match: { kind: [data.delete] }
    then: review
    approval: { from: [group:owners, group:security], count: 2, expires: 20m, assurance: token }
  - id: night
    match: { kind: [message.send] }
    then: review
    approval: { from: [group:night], count: 1, expires: 20m, assurance: token }
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: review } }
`

// A relation is what somebody is to the action that an agent asks for. Each
// would be a reviewer otherwise.
type relation struct {
	name  string
	who   string   // their person id, without "person:"
	chain []string // agents, the acting one first
	for_  string   // the person acted for; "": the acting agent's owner
}

var relations = []relation{
	{name: "requester", who: "r-both", chain: []string{"both"}, for_: "r-both"},
	{name: "owner", who: "r-owner", chain: []string{"owned"}, for_: "dana"},
	{name: "acted for", who: "r-subject", chain: []string{"served"}, for_: "r-subject"},
	{name: "first delegate's owner", who: "r-mid", chain: []string{"top1", "mid"}},
	{name: "second delegate's owner", who: "r-low", chain: []string{"top2", "mid2", "low"}},
	{name: "changed it last", who: "r-changed", chain: []string{"changed"}},
	{name: "owned it lately", who: "r-former", chain: []string{"former"}},
	{name: "owns it by a second account", who: "r-second", chain: []string{"second"}},
	{name: "administrator", who: "r-admin", chain: []string{"admins"}},
	{name: "joined the group late", who: "late", chain: []string{"plain"}},
}

// unrelated is the control: nothing to the action of agent:plain.
var unrelated = relation{name: "unrelated", who: "u1", chain: []string{"plain"}}

func separationConfig(issuer, slack string, after bool) string {
	var b strings.Builder
	owner := func(id string) string {
		if after {
			return "dana" // who ran it has given it away
		}
		return id
	}
	plain := "dana"
	if after {
		plain = "u2" // and somebody else has taken this one
	}
	fmt.Fprintf(&b, `
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
issuers: [{ name: corp, issuer: %q, client_id: assent, client_secret: { file: corp.secret }, everyone: true, scim: true }]
limits: { pending_per_actor: 100000, pending_per_person: 100000 }
admins: [admins]
groups: { owners: { from: ["corp|g-owners"] } }
channels: [{ name: chat, slack: { team: T1, app_id: A1, api: %q, bot_token: { file: slack.bot }, signing_secret: { file: slack.signing } } }]
oncall: [{ group: night, people: [u2, u1, late%s], start: %q, every: 300d }]
people:
  - { id: dana }
  - { id: root, groups: [admins] }
  - { id: h, accounts: [%q] }
  - { id: dana2, accounts: [%q] }
`, issuer, slack, strings.Join(slices.Concat([]string{""}, each(who(), func(s string) string { return ", " + s })), ""), time.Now().UTC().Add(-48*time.Hour).Format("2006-01-02 15:04"), slackAccount("h"), slackAccount("dana2"))
	for _, id := range append(who(), "u1", "u2", "u3") {
		more := ""
		if id == "r-admin" {
			more = ", admins"
		}
		fmt.Fprintf(&b, "  - { id: %s, groups: [owners, security%s], accounts: [\"corp|%s\", %q] }\n", id, more, id, slackAccount(id))
	}
	late := "[]"
	if after {
		late = "[owners]"
	}
	fmt.Fprintf(&b, "  - { id: late, groups: %s, accounts: [\"corp|late\", %q] }\n", late, slackAccount("late"))
	fmt.Fprintf(&b, `actors:
  - { id: both, owner: %s }
  - { id: owned, owner: %s }
  - { id: served, owner: dana }
  - { id: top1, owner: dana }
  - { id: mid, owner: %s }
  - { id: top2, owner: dana }
  - { id: mid2, owner: dana }
  - { id: low, owner: %s }
  - { id: changed, owner: dana%s }
  - { id: former, owner: dana }
  - { id: second, owner: %s }
  - { id: admins, owner: %s }
  - { id: plain, owner: %s }
`, owner("r-both"), owner("r-owner"), owner("r-mid"), owner("r-low"), map[bool]string{false: ", related: [r-changed]"}[after], owner("r-second"), owner("r-admin"), plain)
	return b.String()
}

// who are the related people, but those of other groups.
func who() (out []string) {
	for _, r := range relations {
		if r.who != "late" {
			out = append(out, r.who)
		}
	}
	return out
}

// A site is a real server with everybody in it.
type site struct {
	*bench
	idp      *oidctest.Provider
	slack    *slacktest.Slack
	n        int
	tokens   map[string]string // by key of a person or account, and of agents
	sessions map[string]*browser
	gates    map[string]gate.Session
}

func newSite(t *testing.T) *site {
	t.Helper()
	idp, err := oidctest.New(oidctest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(idp.Close)
	x := &site{bench: &bench{t: t, dir: t.TempDir()}, idp: idp, slack: slacktest.New()}
	t.Cleanup(x.slack.Close)
	x.slack.Room("C0OPS", "ops")
	for name, text := range map[string]string{"pack.yaml": separationPack, "corp.secret": "secret\n", "slack.bot": slacktest.Token, "slack.signing": slacktest.Signing} {
		if err := os.WriteFile(filepath.Join(x.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x.start(false)
	t.Cleanup(func() {
		if err := x.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	// Who gave an agent away before it asked was related to it all the same.
	if err := x.engine.Relate(t.Context(), []identity.Actor{{ID: "agent:former", Type: "agent", Owner: "person:r-former"}}); err != nil {
		t.Fatal(err)
	}
	return x
}

func (x *site) start(after bool) {
	x.t.Helper()
	cfg, err := ParseConfig(filepath.Join(x.dir, "assent.yaml"), []byte(separationConfig(x.idp.Issuer(), x.slack.URL, after)))
	if err != nil {
		x.t.Fatal(err)
	}
	if x.bench.Server, err = New(x.t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		x.t.Fatal(err)
	}
	if err := x.Start(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	x.sessions, x.gates = map[string]*browser{}, map[string]gate.Session{}
	if x.tokens == nil {
		x.tokens = map[string]string{}
	}
}

func (x *site) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *site) found(key string) *identity.Person {
	x.t.Helper()
	p, ok := x.Server.dir.Person(key)
	if !ok {
		x.t.Fatalf("nobody is %s", key)
	}
	return &p
}

// signIn notes a sign-in of an account, as the session of a browser does.
func (x *site) signIn(subject string, groups ...string) string {
	x.t.Helper()
	_, err := x.Server.dir.SignedIn(x.t.Context(), people.Claims{
		Issuer: "corp", URL: x.idp.Issuer(), Subject: subject, Name: subject, Groups: groups, Until: time.Now().Add(time.Hour),
	})
	x.must(err)
	return "corp|" + subject
}

// token is a credential that reviews in somebody's name.
func (x *site) token(key string) string {
	x.t.Helper()
	if x.tokens[key] == "" {
		text, err := x.Mint(x.t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: key, Scopes: []string{identity.ScopeReview}, TTL: time.Hour, By: "test"})
		x.must(err)
		x.tokens[key] = text
	}
	return x.tokens[key]
}

// fresh is a name that nobody had.
func (x *site) fresh(prefix string) string {
	x.n++
	return fmt.Sprintf("%s-%d", prefix, x.n)
}

// A held action waits; ran tells whether it was let go.
type held struct {
	*approval.Approval
	answer chan error
	cancel context.CancelFunc
	ended  error
	done   bool
}

// hold has the relation's agent ask, and returns once people are asked.
func (x *site) hold(r *relation, kind action.Kind) *held {
	x.t.Helper()
	s := x.gates[r.name]
	if s == nil {
		req := identity.MintRequest{Kind: identity.KindActor, Actors: each(r.chain, func(a string) string { return "agent:" + a }), TTL: time.Hour, By: "test"}
		if r.for_ != "" {
			req.Subject = personID(r.for_)
		}
		if x.tokens["agent of "+r.name] == "" {
			text, err := x.Mint(x.t.Context(), req)
			x.must(err)
			x.tokens["agent of "+r.name] = text
		}
		g := x.enforcer.Gate("line", action.Resource{URN: "line:test", Type: "line", Env: "test"}, "")
		id, err := identity.TokenID(x.tokens["agent of "+r.name])
		x.must(err)
		if s, err = g.Login(x.t.Context(), gate.Verifier{Credential: id}, gate.Peer{Gate: "line", Address: "test"}); err != nil {
			x.t.Fatal(err)
		}
		x.gates[r.name] = s
	}
	text := x.fresh("line")
	ctx, cancel := context.WithCancel(context.Background())
	h := &held{answer: make(chan error, 1), cancel: cancel}
	go func() {
		a := &action.Action{Kinds: []action.Kind{kind}, Verb: "write", Title: text, Statement: text, Payload: []byte(text)}
		s.Describe(a)
		p, err := s.Enforce(ctx, a, gate.Hooks{})
		if err == nil {
			p.Done(gate.Outcome{State: gate.Executed, Rows: 1})
		}
		h.answer <- err
	}()
	for range 600 {
		list, err := x.engine.List(x.t.Context(), approval.Filter{States: []approval.State{approval.Pending}, Limit: 20})
		x.must(err)
		for _, a := range list {
			if a.Title == text {
				h.Approval = a
				return h
			}
		}
		select {
		case err := <-h.answer:
			x.t.Fatalf("%s: nothing was held: %v", r.name, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	x.t.Fatalf("%s: nothing was held", r.name)
	return nil
}

// drop ends a held action; one that ran is what the test is about.
func (x *site) drop(h *held) {
	x.t.Helper()
	defer h.cancel()
	if _, err := x.engine.Withdraw(x.t.Context(), h.ID, "person:root", "over"); err != nil && !errors.Is(err, approval.ErrDecided) {
		x.t.Error(err)
	}
	if h.ran() == nil {
		x.t.Errorf("the action %s ran", h.ID)
	}
}

// ran waits for the end of the action; nil: it ran.
func (h *held) ran() error {
	if !h.done {
		select {
		case h.ended = <-h.answer:
		case <-time.After(20 * time.Second):
			h.ended = errors.New("it still waits")
		}
		h.done = true
	}
	return h.ended
}

// refused has one try and checks that it left nothing behind: no seat more than
// there was, no state, no run.
func (x *site) refused(t *testing.T, channel, hand string, h *held, seats int) {
	t.Helper()
	err := channels[channel](x, hand, h.Approval)
	if err == nil {
		t.Errorf("%s answered over %s", hand, channel)
	}
	a, gerr := x.engine.Get(t.Context(), h.ID)
	if gerr != nil {
		t.Fatal(gerr)
	}
	taken := 0
	for _, s := range x.engine.Progress(a) {
		if s.Person != "" {
			taken++
		}
	}
	if a.State != approval.Pending || taken != seats {
		t.Errorf("%s, with %d seats taken of %d reviews, after %v", a.State, taken, len(a.Reviews), err)
	}
	select {
	case err := <-h.answer:
		h.ended, h.done = err, true
		if err == nil {
			t.Error("the action ran")
		}
	default:
	}
}

// passed has one try that must get through, to the action's end.
func (x *site) passed(t *testing.T, channel, hand string, h *held) {
	t.Helper()
	if err := channels[channel](x, hand, h.Approval); err != nil {
		t.Errorf("an unrelated person was refused: %v", err)
		return
	}
	if err := h.ran(); err != nil {
		t.Errorf("approved, and the action did not run: %v", err)
	}
}

func TestSeparation(t *testing.T) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			x := newSite(t) // what one path leaves behind must not stop another
			for _, r := range relations {
				t.Run(r.name, func(t *testing.T) {
					x.t = t
					hand, h, undo := p.walk(x, &r)
					for _, c := range channelNames() {
						t.Run(c, func(t *testing.T) {
							x.t = t
							x.refused(t, c, hand, h, 0)
						})
					}
					x.t = t
					x.drop(h)
					undo()
				})
			}
			if p.never {
				return
			}
			for _, c := range channelNames() {
				if c == "mcp" {
					continue // an agent's credential answers for nobody
				}
				t.Run(unrelated.name+"/"+c, func(t *testing.T) {
					x.t = t
					hand, h, undo := p.control(x)
					if c == "slack" && !x.configured(hand) { // a chat's account that is linked now counts tomorrow
						x.refused(t, c, hand, h, 0)
					} else {
						x.passed(t, c, hand, h)
					}
					h.cancel()
					undo()
				})
			}
		})
	}
	t.Run("two seats", func(t *testing.T) { newSite(t).twoSeats(t) })
	t.Run("configuration edited, and a restart", func(t *testing.T) { newSite(t).restarted(t) })
}
