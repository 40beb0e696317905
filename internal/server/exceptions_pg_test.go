package server

import (
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/people"
)

const glassyFleet = oneKeys + "break_glass: { groups: [reviewers] }\n"

// An emergency that one node was told of is on the other at once, and when nobody
// reviews it both nodes may look at the same moment: it is frozen once.
func TestEmergenciesOnTwoNodes(t *testing.T) {
	f := newFleet(t)
	nodes := map[string]*bench{}
	for _, name := range []string{"a", "b"} {
		s, err := f.start(name, glassyFleet)
		if err != nil {
			t.Fatal(err)
		}
		nodes[name] = &bench{Server: s, t: t, dir: f.dir}
	}
	a, b := nodes["a"], nodes["b"]
	now := time.Now()
	glass := func(n *bench) *emergency.Glass {
		g, err := emergency.New(emergency.Options{Box: n.box, Directory: n.Server.dir, Freezes: n.freezes, Groups: []string{"group:reviewers"}, Clock: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	one, two := glass(a), glass(b)
	if list, err := b.glass.Known(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	e, err := one.Break(t.Context(), a.person("mira"), "console", "agent:worker", "line:test", "down", 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other node knows", func() bool {
		list, err := b.glass.Known(t.Context())
		return err == nil && len(list) == 1 && list[0].ID == e.ID
	})
	if !two.Active(t.Context(), "agent:worker") {
		t.Error("it doesn't count there")
	}
	now = now.Add(25 * time.Hour)
	var both sync.WaitGroup
	for _, g := range []*emergency.Glass{one, two} {
		both.Go(func() { _ = g.Sweep(t.Context()) }) // the one who comes second may be told so
	}
	both.Wait()
	for _, g := range []*emergency.Glass{one, two} {
		if err := g.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for name, n := range nodes {
		eventually(t, "node "+name+" has frozen both", func() bool { return n.freezes.Stopped("person:mira") && len(n.freezes.List(false)) == 2 })
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// What is changed of groups and settings on one node holds on the other.
func TestRulesOnTwoNodes(t *testing.T) {
	f := newFleet(t)
	a, b := f.node("a"), f.node("b")
	if !b.in("mira", "group:reviewers") {
		t.Fatal("mira isn't a reviewer")
	}
	p := change.Proposal{Author: a.person("operator"), Credential: "test", Admin: true}
	if e, err := a.rules.ChangeGroup(t.Context(), people.GroupChange{Group: "reviewers", Remove: []string{"mira"}}, "left", p); err != nil || !e.Tighter {
		t.Fatalf("%+v, %v", e, err)
	}
	if e, err := a.rules.ChangeSettings(t.Context(), map[string]string{"limits.standing_uses": "3"}, "less", p); err != nil || !e.Tighter {
		t.Fatalf("%+v, %v", e, err)
	}
	for name, n := range map[string]*bench{"a": a, "b": b} {
		eventually(t, "node "+name+" knows", func() bool {
			who, _ := n.Server.dir.Person("person:mira")
			uses, _ := n.engine.Ceiling()
			return !who.In("group:reviewers") && len(n.Server.dir.Members("group:reviewers")) == 0 && uses == 3
		})
	}
}
