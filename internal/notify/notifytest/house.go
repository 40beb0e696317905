// Package notifytest is a small deployment for tests of channels: a real engine
// on a real store and log, a few people, and an agent that asks.
package notifytest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// PublicURL of the house's console.
const PublicURL = "https://assent.test"

// A House is a deployment. Ana, Ben and Cas may review; Sub is whom the agent works for, Own owns it.
type House struct {
	testing.TB
	Store  *sqlite.Store
	Log    *audit.Log
	Box    *sealed.Box
	Engine *approval.Engine
	Dir    *identity.Static
	// Targets are what policy may name, for dispatchers made after it was set.
	Targets map[string][]notify.Target
	// Quiet spares people of dispatchers made after it was set.
	Quiet func(person, approval string, version int64, grave bool) time.Time

	mu  sync.Mutex
	now time.Time
}

// People of a House, each with an account in a chat: "slack|T1/UANA", "teams|tid/ana".
func People() []identity.Person {
	var out []identity.Person
	for _, n := range []struct{ id, groups string }{{"ana", "owners"}, {"ben", "owners"}, {"cas", "owners dba"}, {"sub", "owners"}, {"own", "owners"}, {"out", ""}} {
		p := identity.Person{ID: "person:" + n.id, Name: strings.ToUpper(n.id[:1]) + n.id[1:], Accounts: []string{"slack|T1/U" + strings.ToUpper(n.id), "teams|tid/" + n.id}}
		for _, g := range strings.Fields(n.groups) {
			p.Groups = append(p.Groups, "group:"+g)
		}
		out = append(out, p)
	}
	return out
}

// New opens a house in a temporary directory. tune may change the engine's options.
func New(tb testing.TB, tune ...func(*approval.Options)) *House {
	tb.Helper()
	dir, ctx := tb.TempDir(), context.Background()
	h := &House{TB: tb, now: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)}
	var err error
	h.Store, err = sqlite.Open(ctx, filepath.Join(dir, "data"))
	h.must(err)
	tb.Cleanup(func() { h.must(h.Store.Close()) })
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "log.key"), "test/log")
	h.must(err)
	h.Log, err = audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}, Now: h.Clock})
	h.must(err)
	h.must(h.Log.Open(ctx, h.Store))
	h.Box, err = sealed.NewBox(h.Store, h.Log, []byte(strings.Repeat("s", 32)))
	h.must(err)
	minter, err := grant.NewMinter(filepath.Join(dir, "grant.key"), PublicURL)
	h.must(err)
	h.Dir, err = identity.NewStatic(People(), []identity.Actor{{ID: "agent:exporter", Type: "agent", Owner: "person:own"}})
	h.must(err)
	o := approval.Options{
		Store: h.Store, Log: h.Log, Minter: minter, Directory: h.Dir, Clock: h.Clock, Issuer: PublicURL, PendingCap: 100_000,
		MatchKey: []byte(strings.Repeat("m", 32)), SealKey: []byte(strings.Repeat("s", 32)),
	}
	for _, t := range tune {
		t(&o)
	}
	h.Engine, err = approval.New(o)
	h.must(err)
	return h
}

func (h *House) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// Clock is the house's time; Pass moves it.
func (h *House) Clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

// Pass lets time pass, and has the engine do what is due then.
func (h *House) Pass(d time.Duration) {
	h.Helper()
	h.mu.Lock()
	h.now = h.now.Add(d)
	h.mu.Unlock()
	h.must(h.Engine.Tick(context.Background()))
}

// Ask has the agent ask for sql. Requirements unless given: one of group:owners, by a chat.
func (h *House) Ask(sql string, reqs ...policy.Requirement) *approval.Approval {
	h.Helper()
	return h.AskFor(action.DataRead, sql, reqs...)
}

// AskFor is Ask for something of another kind.
func (h *House) AskFor(kind action.Kind, sql string, reqs ...policy.Requirement) *approval.Approval {
	h.Helper()
	if len(reqs) == 0 {
		reqs = []policy.Requirement{{Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: "chat"}}
	}
	a, _, err := h.Engine.Ask(context.Background(), h.question(kind, sql, "prod", "client", reqs))
	h.must(err)
	return a
}

// AskPlan has the agent ask for a plan of the same sql on a test system and on the
// real one, each with a destination of its own.
func (h *House) AskPlan(sql string) *approval.Approval {
	h.Helper()
	reqs := []policy.Requirement{{Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: "chat"}}
	a, _, err := h.Engine.AskPlan(context.Background(), []*approval.Question{
		h.question(action.DataRead, sql, "test", "https://one.example", reqs),
		h.question(action.DataRead, sql, "prod", "https://two.example", reqs),
	})
	h.must(err)
	return a
}

func (h *House) question(kind action.Kind, sql, env, to string, reqs []policy.Requirement) *approval.Question {
	sub, _ := h.Dir.Person("person:sub")
	agent, _ := h.Dir.ActorByID("agent:exporter")
	asker := identity.Asker{Subject: sub, Chain: []identity.Actor{agent}, Credential: "tok", Scopes: []string{identity.ScopeAct}}
	return &approval.Question{
		Action: &action.Action{
			Kinds: []action.Kind{kind}, Verb: "select", Target: "customers", Data: action.Data{Destination: to},
			Resource: action.Resource{URN: "postgres:billing/" + env + "/customers", Type: "postgres", Env: env},
			Subject:  sub.ID, Actors: asker.Links(), Payload: []byte(sql), Statement: sql,
		},
		Asker: asker, Title: "select customers", Statement: sql, Gate: "pg",
		Decision: &policy.Decision{Verdict: policy.Review, Requirements: reqs, Bundle: "sha256:00", Rules: []policy.Hit{{Rule: reqs[0].Rule, Then: "review"}}, Reason: "customers are looked at by hand"},
	}
}

// Get reads an approval.
func (h *House) Get(id string) *approval.Approval {
	h.Helper()
	a, err := h.Engine.Get(context.Background(), id)
	h.must(err)
	return a
}

// Answer is a review of what is stored now, given in the console.
func (h *House) Answer(id, person, decision string) error {
	h.Helper()
	a := h.Get(id)
	_, err := h.Engine.Answer(context.Background(), approval.Answer{
		Approval: id, Person: identity.Person{ID: person}, Decision: decision, Reason: "because", Channel: "console", Assurance: "console", Digest: a.Digest, Version: a.Version,
	})
	return err
}

// Desk takes presses.
func (h *House) Desk() *notify.Desk {
	return &notify.Desk{Reviews: h.Engine, People: h.Dir, PublicURL: PublicURL}
}

// Dispatch runs a dispatcher until the test ends, or stop is called.
func (h *House) Dispatch(node string, routes []notify.Route, channels ...notify.Channel) (d *notify.Dispatcher, stop func()) {
	h.Helper()
	d, err := notify.New(notify.Options{
		Approvals: h.Engine, Box: h.Box, Channels: channels, Routes: routes, Targets: h.Targets, PublicURL: PublicURL, Node: node, Shared: true, Quiet: h.Quiet, Clock: h.Clock,
	})
	h.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	h.Cleanup(stop)
	return d, stop
}

// Eventually waits until ok holds, and fails the test with what it says when it doesn't.
func (h *House) Eventually(what string, ok func() bool) {
	h.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.Fatalf("never: %s", what)
		}
	}
}

// Told are the records of who was told, oldest first: "told slack #ops asked".
func (h *House) Told() []string {
	h.Helper()
	found, err := h.Store.Search(context.Background(), audit.Query{Types: []string{audit.TypeNotice}})
	h.must(err)
	var out []string
	for i := len(found) - 1; i >= 0; i-- {
		r := &found[i]
		out = append(out, fmt.Sprintf("%s %s %s %s", r.Decision, r.Detail["channel"], r.Detail["place"], r.Detail["what"]))
	}
	return out
}

// Message is what a place is told of a as it is now.
func Message(h *House, a *approval.Approval) *notify.Message {
	h.Helper()
	a = h.Get(a.ID)
	return &notify.Message{What: notify.Asked, Card: card.Of(a, h.Engine.Progress(a), PublicURL)}
}
