package approval_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// A clock that tests set; the engine and the log read it.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A town is who lives here; tests swap it to change groups and owners.
type town struct {
	mu  sync.Mutex
	d   *identity.Static
	all []identity.Person
}

func (t *town) get() *identity.Static {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.d
}

func (t *town) set(tb testing.TB, people []identity.Person, actors []identity.Actor) {
	tb.Helper()
	d, err := identity.NewStatic(people, actors)
	must(tb, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.d, t.all = d, people
}

func (t *town) Person(id string) (identity.Person, bool)   { return t.get().Person(id) }
func (t *town) ActorByID(id string) (identity.Actor, bool) { return t.get().ActorByID(id) }

// Members are those in g, and behind them those who stand in for one of them.
func (t *town) Members(g string) []identity.Person {
	out := t.get().Members(g)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.all {
		if !p.In(g) && slices.ContainsFunc(p.StandsFor, func(s identity.Standing) bool { return slices.Contains(s.Groups, g) }) {
			out = append(out, p)
		}
	}
	return out
}

func people() []identity.Person {
	return []identity.Person{
		{ID: "person:ana", Name: "Ana", Groups: []string{"owners", "dba"}, Accounts: []string{"slack:ANA"}},
		{ID: "person:ben", Name: "Ben", Groups: []string{"owners"}},
		{ID: "person:cas", Name: "Cas", Groups: []string{"owners", "dba"}},
		{ID: "person:dee", Name: "Dee", Groups: []string{"owners"}},
		{ID: "person:eve", Name: "Eve", Groups: []string{"dba"}},
		{ID: "person:own", Name: "Own", Groups: []string{"owners", "dba"}, Accounts: []string{"slack:OWN", "oidc:corp|own"}},
		{ID: "person:sub", Name: "Sub", Groups: []string{"owners", "dba"}, Accounts: []string{"slack:SUB"}},
		{ID: "person:out", Name: "Out"},
	}
}

func actors() []identity.Actor {
	return []identity.Actor{
		{ID: "agent:x", Type: "agent", Owner: "person:own", Related: []string{"person:dee"}},
		{ID: "agent:y", Type: "agent", Owner: "person:own"},
		{ID: "agent:orphan", Type: "agent"},
	}
}

// A house is a real engine on a real store and log.
type house struct {
	testing.TB
	dir    string
	clock  *clock
	town   *town
	store  *sqlite.Store
	log    *audit.Log
	minter *grant.Minter
	engine *approval.Engine
	tune   func(*approval.Options)
}

var matchKey, sealKey = []byte(strings.Repeat("m", 32)), []byte(strings.Repeat("s", 32))

func newHouse(tb testing.TB, tune func(*approval.Options)) *house {
	tb.Helper()
	h := &house{
		TB: tb, dir: quick(tb), tune: tune, town: &town{},
		clock: &clock{t: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)},
	}
	h.town.set(tb, people(), actors())
	h.open()
	tb.Cleanup(func() { _ = h.store.Close() })
	return h
}

func (h *house) open() {
	h.Helper()
	must(h.TB, h.start())
}

// start opens what a server opens. A log or an engine that refuses is an error.
func (h *house) start() error {
	h.Helper()
	ctx := context.Background()
	var err error
	if h.store, err = sqlite.Open(ctx, filepath.Join(h.dir, "data")); err != nil {
		return err
	}
	key, err := audit.LoadOrCreateKey(filepath.Join(h.dir, "log.key"), "test/log")
	must(h.TB, err)
	h.log, err = audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}, HeadFile: filepath.Join(h.dir, "head"), Now: h.clock.now})
	must(h.TB, err)
	h.minter, err = grant.NewMinter(filepath.Join(h.dir, "grant.key"), "https://assent.test")
	must(h.TB, err)
	h.engine = h.another()
	err = h.log.Open(ctx, h.store)
	if err == nil {
		err = h.engine.Recover(ctx)
	}
	if err != nil {
		must(h.TB, h.store.Close())
	}
	return err
}

// another is a second engine on the same store, as a replica would be.
func (h *house) another() *approval.Engine {
	h.Helper()
	o := approval.Options{
		Store: h.store, Log: h.log, Minter: h.minter, Directory: h.town, Clock: h.clock.now,
		MatchKey: matchKey, SealKey: sealKey, Issuer: "https://assent.test",
	}
	if h.tune != nil {
		h.tune(&o)
	}
	e, err := approval.New(o)
	must(h.TB, err)
	return e
}

// restart ends the process, as far as a test can, and starts it again.
func (h *house) restart() {
	h.Helper()
	must(h.TB, h.store.Close())
	h.open()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Fatalf("got error %v, want %v", err, want)
	}
}

func agent(id string) identity.Asker {
	p := people()[6] // sub
	all := actors()
	for _, a := range all {
		if a.ID == id {
			return identity.Asker{Subject: p, Chain: []identity.Actor{a}, Credential: "tok" + id, Scopes: []string{identity.ScopeAct}}
		}
	}
	panic("no such agent " + id)
}

func export(asker identity.Asker, sql string) *action.Action {
	return &action.Action{
		Kinds: []action.Kind{action.DataExport}, Verb: "copy", Target: "customers", Shape: "5ha9e",
		Resource: action.Resource{URN: "postgres:billing/prod/customers", Type: "postgres", Env: "prod"},
		Subject:  asker.Subject.ID, Actors: asker.Links(),
		Payload: []byte(sql), Statement: sql, State: map[string]string{"search_path": "public", "role": "app"},
	}
}

func ask(asker identity.Asker, sql string, reqs ...policy.Requirement) *approval.Question {
	if len(reqs) == 0 {
		reqs = []policy.Requirement{{Rule: "hold", From: []string{"owners"}, Count: 2}}
	}
	return &approval.Question{
		Action: export(asker, sql), Asker: asker, Title: "copy customers", Statement: "copy ‹masked›", Gate: "pg",
		Decision: &policy.Decision{Verdict: policy.Review, Requirements: reqs, Bundle: "sha256:00", Rules: []policy.Hit{{Rule: "hold"}}},
	}
}

func (h *house) ask(q *approval.Question) *approval.Approval {
	h.Helper()
	a, _, err := h.engine.Ask(context.Background(), q)
	must(h.TB, err)
	return a
}

func answer(a *approval.Approval, person, decision string) approval.Answer {
	return approval.Answer{
		Approval: a.ID, Person: identity.Person{ID: person}, Decision: decision, Reason: "because",
		Channel: "console", Assurance: "console", Digest: a.Digest, Version: a.Version,
	}
}

// review answers with what the engine shows right now.
func (h *house) review(id, person, decision string) (*approval.Approval, error) {
	h.Helper()
	return h.engine.Answer(context.Background(), answer(h.get(id), person, decision))
}

func (h *house) approve(id string, persons ...string) *approval.Approval {
	h.Helper()
	var a *approval.Approval
	for _, p := range persons {
		var err error
		a, err = h.review(id, p, approval.Approve)
		must(h.TB, err)
	}
	return a
}

func (h *house) get(id string) *approval.Approval {
	h.Helper()
	a, err := h.engine.Get(context.Background(), id)
	must(h.TB, err)
	return a
}

func (h *house) state(id string, want approval.State) {
	h.Helper()
	if got := h.get(id).State; got != want {
		h.Fatalf("%s is %s, want %s", id, got, want)
	}
}

func use(q *approval.Question) approval.Use {
	return approval.Use{
		Action: q.Action, Asker: q.Asker, MaxRows: -1,
		Recheck: func(context.Context, *approval.Approval) error { return nil },
	}
}

// records are those of one type, oldest first.
func (h *house) records(kind string) []audit.Record {
	h.Helper()
	found, err := h.store.Search(context.Background(), audit.Query{Types: []string{kind}})
	must(h.TB, err)
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found
}

// verify has the whole log rehashed by the offline verifier.
func (h *house) verify() {
	h.Helper()
	ctx := context.Background()
	head, err := h.store.Head(ctx)
	must(h.TB, err)
	_, err = h.log.Sign(ctx, head)
	must(h.TB, err)
	report, err := audit.Verify(ctx, h.store, audit.VerifyOptions{VKeys: h.log.Verifiers(), HeadFile: filepath.Join(h.dir, "head")})
	must(h.TB, err)
	if len(report.Problems) > 0 {
		h.Fatalf("the log has problems: %+v", report.Problems)
	}
}
