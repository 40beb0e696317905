package approval_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// requirementOf is the approval block of a rule, as a pack says it.
func requirementOf(tb testing.TB, block string) policy.Requirement {
	tb.Helper()
	s, err := policy.LoadFiles(map[string][]byte{"p.yaml": []byte(`apiVersion: assent/v1
kind: PolicyPack
metadata: { name: p, version: 1.0.0 }
rules:
  - id: r
    match: { kind: [data.export] }
    then: review
    approval: ` + block + "\n")}, policy.Options{})
	must(tb, err)
	var d policy.Decision
	s.Decide(&policy.Input{Action: &action.Action{Kinds: []action.Kind{action.DataExport}}}, &d)
	if len(d.Requirements) != 1 {
		tb.Fatalf("%s: %d requirements", block, len(d.Requirements))
	}
	return d.Requirements[0]
}

// neighbours are people of three issuers, and a few whom only the configuration names.
func neighbours() []identity.Person {
	person := func(id string, accounts []string, groups ...string) identity.Person {
		for i := range groups {
			groups[i] = "group:" + groups[i]
		}
		return identity.Person{ID: "person:" + id, Name: strings.ToUpper(id[:1]) + id[1:], Groups: groups, Accounts: accounts}
	}
	return []identity.Person{
		person("own", nil, "a", "b"), person("sub", nil, "a", "b"),
		person("ada", []string{"corp|1"}, "a"), person("bob", []string{"corp|2"}, "a", "b"), person("cyd", []string{"corp|3"}, "b"),
		person("dan", []string{"partner|1"}, "a"), person("eva", []string{"partner|2"}, "b"),
		person("fay", []string{"guild|1", "corp|9"}, "a"),
		person("gus", nil, "a"), person("hal", nil, "b"), person("boss", []string{"corp|7"}, "boss"),
	}
}

func neighbourhood(t *testing.T, tune func(*approval.Options)) *house {
	t.Helper()
	h := newHouse(t, tune)
	h.town.set(t, neighbours(), []identity.Actor{{ID: "agent:x", Type: "agent", Owner: "person:own"}, {ID: "agent:y", Type: "agent", Owner: "person:own"}})
	return h
}

// TestQuorums says of each way to ask who is enough. A rule is read from a pack,
// reviewers are asked one after the other, and the last of them must decide.
func TestQuorums(t *testing.T) {
	for _, x := range []struct{ block, enough, short string }{
		{"{ from: [group:a], count: 2 }", "ada bob", "ada dan; ada gus; ada"},
		{"{ from: [group:a, group:b], count: 2 }", "ada cyd", "ada eva"},
		{"{ all_of: [{ group: a }, { group: b }] }", "bob ada", "ada; bob; ada eva"},
		{"{ all_of: [{ group: a, count: 2 }, { group: b }] }", "ada fay cyd", "ada bob; ada fay"},
		{"{ any_of: [{ group: a, count: 3 }, { group: b, count: 2 }] }", "bob cyd", "ada bob; ada fay; cyd"},
		{"{ any_of: [{ group: a, count: 3 }, { group: b, count: 2 }] }", "ada fay bob", "ada fay; fay cyd; dan eva ada"},
		{"{ any_of: [{ group: boss }, { group: a, count: 2 }] }", "boss", "ada; ada gus"},
		{"{ from: [group:a], count: 2, issuers: any }", "ada dan", "ada"},
		{"{ from: [group:a], count: 2, issuers: any }", "ada gus", "gus"},
		{"{ from: [group:a], count: 2, issuers: different }", "ada dan", "ada bob"},
		{"{ from: [group:a], count: 2, issuers: different }", "gus ada", "ada bob"},
		{"{ from: [group:a], count: 2, issuers: one }", "ada fay", "dan fay; gus dan"},
		{"{ all_of: [{ group: a }, { group: b }], issuers: different }", "ada eva", "ada cyd; dan eva"},
		{"{ all_of: [{ group: a }, { group: b }], issuers: different }", "bob dan", "bob cyd"},
	} {
		t.Run(x.block, func(t *testing.T) {
			h := neighbourhood(t, nil)
			r := requirementOf(t, x.block)
			play := func(sql, who string) approval.State {
				q := ask(agent("agent:x"), sql, r)
				q.Action.Shape = sql
				id := h.ask(q).ID
				for i, name := range strings.Fields(who) {
					if i > 0 && h.get(id).State != approval.Pending {
						t.Errorf("%s: decided before %s", who, name)
					}
					_, err := h.review(id, "person:"+name, approval.Approve)
					must(t, err)
				}
				return h.get(id).State
			}
			if got := play("enough", x.enough); got != approval.Approved {
				t.Errorf("%s: %s", x.enough, got)
			}
			for short := range strings.SplitSeq(x.short, "; ") {
				if got := play("short "+short, short); got != approval.Pending {
					t.Errorf("%s: %s", short, got)
				}
			}
		})
	}
}

func TestADenialCostsASeatInEveryWay(t *testing.T) {
	for block, want := range map[string]string{
		"{ from: [group:a] }":                                             "2 of a",
		"{ all_of: [{ group: a }, { group: b }] }":                        "1 of a and 1 of b and 1 more of a or b",
		"{ any_of: [{ group: a }, { group: b }] }":                        "2 of a, or 2 of b",
		"{ from: [group:a, group:b], issuers: any }":                      "2 of a or b",
		"{ all_of: [{ group: a, count: 2 }] }":                            "2 of a and 1 more of a",
		"{ from: [group:a], fall_back: { after: 1m, to: [group:boss] } }": "2 of a",
	} {
		h := neighbourhood(t, nil)
		r := requirementOf(t, block)
		a := h.ask(ask(agent("agent:x"), "copy", r))
		_, err := h.review(a.ID, "person:bob", approval.Deny)
		must(t, err)
		a = h.ask(ask(agent("agent:x"), "copy", r))
		if got := a.Asks(); got != want || a.Denial == nil || a.Denial.Name != "Bob" {
			t.Errorf("%s: asks %q after a denial of %+v, want %q", block, got, a.Denial, want)
		}
	}
}

// TestTheDenialIsNamed: with one reviewer a denial leaves nobody who could approve,
// and what says so names it.
func TestTheDenialIsNamed(t *testing.T) {
	h := neighbourhood(t, nil)
	r := requirementOf(t, "{ from: [group:boss] }")
	first := h.ask(ask(agent("agent:x"), "copy", r))
	_, err := h.review(first.ID, "person:boss", approval.Deny)
	must(t, err)
	_, _, err = h.engine.Ask(context.Background(), ask(agent("agent:x"), "copy", r))
	var nobody *approval.UnsatisfiableError
	if !errors.As(err, &nobody) || nobody.Denial == nil || nobody.Denial.Approval != first.ID || nobody.Denial.Person != "person:boss" {
		t.Fatalf("asked again: %v", err)
	}
	for _, want := range []string{"rule r", "2 of boss", "only 1", "Boss denied the same at 03:00:00 UTC", "until 04:00:00 UTC", first.ID} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	reason, hint := nobody.ForAsker()
	for _, want := range []string{"rule r", "2 of boss", "a reviewer denied the same at 03:00 UTC", "after 04:00 UTC"} {
		if !strings.Contains(reason+hint, want) {
			t.Errorf("the asker hears %q, %q: not %q", reason, hint, want)
		}
	}
	if strings.Contains(reason+hint, "Boss") || strings.Contains(reason+hint, first.ID) {
		t.Errorf("the asker hears too much: %q, %q", reason, hint)
	}
	h.clock.add(time.Hour + time.Second)
	h.ask(ask(agent("agent:x"), "copy", r))
	_, _, err = h.engine.Ask(context.Background(), ask(agent("agent:x"), "other", requirementOf(t, "{ from: [group:ghosts] }")))
	if !errors.As(err, &nobody) || nobody.Denial != nil {
		t.Errorf("a group of nobody blames a denial: %v", err)
	}
}

// TestReciprocalReviews: two owners approve each other's agents, where a rule forbids it.
func TestReciprocalReviews(t *testing.T) {
	h := neighbourhood(t, nil)
	h.town.set(t, neighbours(), []identity.Actor{
		{ID: "agent:x", Type: "agent", Owner: "person:ada"}, {ID: "agent:y", Type: "agent", Owner: "person:bob"},
	})
	asker := func(agent, subject string) identity.Asker {
		a, _ := h.town.ActorByID(agent)
		p, _ := h.town.Person(subject)
		return identity.Asker{Subject: p, Chain: []identity.Actor{a}, Credential: "tok" + agent, Scopes: []string{identity.ScopeAct}}
	}
	deny, free := requirementOf(t, "{ from: [group:a], reciprocal: deny }"), requirementOf(t, "{ from: [group:a] }")
	both := func(sql string, r policy.Requirement) (byBob, byAda error) {
		_, byBob = h.review(h.ask(ask(asker("agent:x", "person:ada"), sql, r)).ID, "person:bob", approval.Approve)
		_, byAda = h.review(h.ask(ask(asker("agent:y", "person:bob"), sql, r)).ID, "person:ada", approval.Approve)
		return byBob, byAda
	}
	one, two := both("free", free)
	if one != nil || two != nil {
		t.Fatalf("no rule forbids it: %v, %v", one, two)
	}
	one, two = both("forbidden", deny)
	var excluded approval.ErrExcluded
	if !errors.As(one, &excluded) || !errors.As(two, &excluded) {
		t.Errorf("each approves the other's: %v, %v", one, two)
	}
	_, err := h.review(h.ask(ask(asker("agent:x", "person:ada"), "third", deny)).ID, "person:dan", approval.Approve)
	must(t, err)
	h.clock.add(31 * 24 * time.Hour)
	if one, _ = both("a month later", deny); one != nil {
		t.Errorf("a month later: %v", one)
	}
	// Approved by two sides at once: what makes them a pair comes between review and use.
	h.clock.add(31 * 24 * time.Hour)
	q := ask(asker("agent:x", "person:ada"), "before", deny)
	a := h.ask(q)
	later := h.ask(ask(asker("agent:y", "person:bob"), "between", free))
	h.approve(a.ID, "person:bob")
	h.approve(later.ID, "person:ada")
	_, err = h.engine.Use(context.Background(), a.ID, use(q))
	wantErr(t, err, approval.ErrNotApproved)
}

// TestSteps plays a wait from the asking to its end, with a restart between any two moments.
func TestSteps(t *testing.T) {
	h := neighbourhood(t, nil)
	r := requirementOf(t, "{ from: [group:b], count: 2, expires: 20m, remind: [2m, 15m], escalate: [{ after: 5m, to: [group:boss] }, { after: 12m, to: [group:a] }] }")
	q := ask(agent("agent:x"), "copy", r)
	a := h.ask(q)
	joined := append(neighbours(), identity.Person{ID: "person:late", Name: "Late", Groups: []string{"group:boss", "group:b"}, Accounts: []string{"corp|99"}})
	h.town.set(t, joined, []identity.Actor{{ID: "agent:x", Type: "agent", Owner: "person:own"}})
	at := func(minute int) *approval.Approval {
		h.clock.add(a.Created.Add(time.Duration(minute) * time.Minute).Sub(h.clock.now()))
		h.restart()
		return h.get(a.ID)
	}
	done := func(got *approval.Approval) (out []string) {
		for _, s := range got.Steps {
			if !s.Done.IsZero() {
				out = append(out, s.Do)
			}
		}
		return out
	}
	_, err := h.review(a.ID, "person:boss", approval.Approve)
	wantErr(t, err, approval.ErrNotEligible) // not yet asked
	if got := at(1); len(done(got)) != 0 || got.Asks() != "2 of b" {
		t.Errorf("after a minute: %v, %s", done(got), got.Asks())
	}
	if got := at(6); !slices.Equal(done(got), []string{approval.Remind, approval.Escalate}) || got.Asks() != "2 of b or boss" || !got.Expires.Equal(a.Expires) || got.Version != a.Version {
		t.Errorf("after six: %v, %s, version %d", done(got), got.Asks(), got.Version)
	}
	_, err = h.review(a.ID, "person:late", approval.Approve)
	wantErr(t, err, approval.ErrNotEligible) // joined after the asking
	_, err = h.review(a.ID, "person:ada", approval.Approve)
	wantErr(t, err, approval.ErrNotEligible)
	h.approve(a.ID, "person:boss")
	h.state(a.ID, approval.Pending) // one of two: the count stays
	if got := at(13); !slices.Equal(done(got), []string{approval.Remind, approval.Escalate, approval.Remind, approval.Escalate}) || got.Asks() != "2 of b or boss or a" {
		t.Errorf("after thirteen: %v, %s", done(got), got.Asks())
	}
	h.approve(a.ID, "person:ada")
	h.state(a.ID, approval.Approved)
	if _, err := h.engine.Use(context.Background(), a.ID, use(q)); err != nil {
		t.Error(err)
	}
	var told []string
	for _, rec := range h.records(audit.TypeStep) {
		told = append(told, rec.Decision+" "+rec.Detail["groups"])
	}
	if want := []string{"remind ", "escalate group:boss", "remind ", "escalate group:a"}; !slices.Equal(told, want) {
		t.Errorf("on record: %q", told)
	}
	h.verify()
}

func TestNobodyAnsweredIsExpired(t *testing.T) {
	h := neighbourhood(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy", requirementOf(t, "{ from: [group:b], expires: 20m, escalate: [{ after: 5m, to: [group:boss] }] }")))
	h.clock.add(time.Hour) // every timer at once: what is over isn't asked for again
	must(t, h.engine.Recover(context.Background()))
	h.state(a.ID, approval.Expired)
	if n := len(h.records(audit.TypeStep)); n != 0 {
		t.Errorf("%d steps of an approval that has expired", n)
	}
}

// TestStepsAreTakenOnce has two engines meet the same timers.
func TestStepsAreTakenOnce(t *testing.T) {
	h := neighbourhood(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy", requirementOf(t, "{ from: [group:b], expires: 20m, remind: 1m }")))
	h.clock.add(2 * time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	events := h.engine.Subscribe(ctx)
	ended := make(chan error, 2)
	for _, e := range []*approval.Engine{h.engine, h.another()} {
		go func() { ended <- e.Run(ctx) }()
	}
	for deadline := time.Now().Add(20 * time.Second); len(h.records(audit.TypeStep)) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody was reminded")
		}
	}
	time.Sleep(100 * time.Millisecond) // the other one sweeps too
	cancel()
	for range 2 {
		must(t, <-ended)
	}
	for range events { // drained: it is closed when ctx ends
	}
	if n := len(h.records(audit.TypeStep)); n != 1 {
		t.Errorf("%d reminders of one", n)
	}
	h.state(a.ID, approval.Pending)
}

func TestFallBack(t *testing.T) {
	h := neighbourhood(t, nil)
	rule := "{ from: [group:%], expires: 20m, fall_back: { after: 10m, to: [group:boss] } }"
	at := func(group string) *approval.Approval {
		return h.ask(ask(agent("agent:x"), group, requirementOf(t, strings.Replace(rule, "%", group, 1))))
	}
	empty, slow := at("ghosts"), at("b")
	if got := empty.Asks(); got != "1 of ghosts or boss" {
		t.Errorf("a group of nobody: %s", got)
	}
	h.approve(empty.ID, "person:boss")
	h.state(empty.ID, approval.Approved)
	_, err := h.review(slow.ID, "person:boss", approval.Approve)
	wantErr(t, err, approval.ErrNotEligible)
	h.clock.add(11 * time.Minute)
	must(t, h.engine.Recover(context.Background()))
	h.approve(slow.ID, "person:boss")
	h.state(slow.ID, approval.Approved)
	// The fallback loosens nothing: as many are asked, and nobody who is excluded.
	_, _, err = h.engine.Ask(context.Background(), ask(agent("agent:x"), "two", requirementOf(t, "{ from: [group:ghosts], count: 2, fall_back: { after: 1m, to: [group:boss] } }")))
	var nobody *approval.UnsatisfiableError
	if !errors.As(err, &nobody) {
		t.Errorf("two of one: %v", err)
	}
	_, _, err = h.engine.Ask(context.Background(), ask(agent("agent:x"), "own", requirementOf(t, "{ from: [group:ghosts], count: 6, fall_back: { after: 1m, to: [group:a] } }")))
	if !errors.As(err, &nobody) || nobody.Have != 5 {
		t.Errorf("six of five, for two are excluded: %v", err)
	}
}

// TestStepsAreSealed: an operator with SQL can neither bring an escalation forward nor widen it.
func TestStepsAreSealed(t *testing.T) {
	h := neighbourhood(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy", requirementOf(t, "{ from: [group:b], expires: 20m, escalate: [{ after: 15m, to: [group:boss] }] }")))
	h.edit("UPDATE approval SET due = 1")
	_, err := h.engine.Get(context.Background(), a.ID)
	wantErr(t, err, approval.ErrTampered)
}
