package server

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/sealed"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/identity"
)

const glassy = `break_glass: { groups: [sre], longest: 30m }
people: [{ id: mira, groups: [reviewers, admins] }, { id: dana, groups: [sre] }, { id: omar, groups: [sre] }, { id: lena, groups: [reviewers] }]
`

func (b *bench) glassFor(actor, resource string) emergency.Entry {
	b.t.Helper()
	e, err := b.glass.Break(b.t.Context(), b.person("omar"), actor, resource, "the shop is down", 10*time.Minute)
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

// waits reports whether an action is held.
func (b *bench) waits(kind action.Kind, text string) bool {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 200*time.Millisecond)
	defer cancel()
	p, err := b.ask(ctx, kind, text)
	if err == nil {
		p.Done(gate.Outcome{State: gate.Executed, Rows: 1})
	}
	return err != nil
}

func TestBreakingTheGlassRunsAtOnceAndLoudly(t *testing.T) {
	b := ruled(t, glassy)
	if !b.waits(action.DataWrite, "one") {
		t.Fatal("it runs without")
	}
	e := b.glassFor("agent:worker", "line:test")
	if b.waits(action.DataWrite, "two") {
		t.Fatal("it waits still")
	}
	alarms := b.records(audit.TypeAlarm)
	if len(alarms) != 2 || alarms[0].Detail["emergency"] != e.ID || alarms[0].Person != "person:omar" || alarms[0].Detail["approval"] == "" {
		t.Fatalf("the use isn't loud: %+v", alarms)
	}
	a, err := b.engine.Get(t.Context(), alarms[0].Detail["approval"])
	if err != nil || a.State != approval.Executed || a.BreakGlass != e.ID {
		t.Fatalf("%+v, %v", a, err)
	}
	if started := b.records(audit.TypeStarted); len(started) != 1 || started[0].Detail["break_glass"] != e.ID || started[0].Index < alarms[0].Index {
		t.Fatalf("%+v", started)
	}
	// What no rule asks people about, or a rule denies, is as before.
	if !b.waits(action.PrivilegeChange, "grant") {
		t.Error("what is denied runs")
	}
	b.freeze("actor", "agent:worker")
	if !b.waits(action.DataWrite, "three") {
		t.Error("a frozen one runs")
	}
}

func TestTheGlassCoversNothingElse(t *testing.T) {
	for name, x := range map[string]func(b *bench){
		"another actor":    func(b *bench) { b.glassFor("agent:other", "line:test") },
		"another resource": func(b *bench) { b.glassFor("agent:worker", "line:tes") },
		"reviewed": func(b *bench) {
			e := b.glassFor("agent:worker", "line:test")
			if _, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), emergency.Justified, "it was"); err != nil {
				t.Fatal(err)
			}
		},
		"its row is edited": func(b *bench) {
			b.glassFor("agent:other", "line:test")
			edit(t, b.dir, `UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), 'agent:other', 'agent:worker') AS BLOB) WHERE kind = 'emergency'`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := ruled(t, glassy)
			x(b)
			if !b.waits(action.DataWrite, "one") {
				t.Error("it runs")
			}
		})
	}
}

func TestWhoBreaksTheGlass(t *testing.T) {
	b := ruled(t, glassy)
	try := func(who identity.Person, actor, resource, reason string, life time.Duration) error {
		_, err := b.glass.Break(t.Context(), who, actor, resource, reason, life)
		return err
	}
	if err := try(b.person("lena"), "agent:worker", "line:test", "why", time.Minute); !errors.Is(err, emergency.ErrRight) {
		t.Errorf("without the right: %v", err)
	}
	if err := try(identity.Person{ID: "agent:worker", Groups: []string{"group:sre"}}, "agent:worker", "line:test", "why", time.Minute); !errors.Is(err, emergency.ErrRight) {
		t.Errorf("an agent: %v", err)
	}
	for name, err := range map[string]error{
		"no reason": try(b.person("omar"), "agent:worker", "line:test", " ", time.Minute), "no resource": try(b.person("omar"), "agent:worker", "", "why", time.Minute),
		"nobody": try(b.person("omar"), "agent:nobody", "line:test", "why", time.Minute), "too long": try(b.person("omar"), "agent:worker", "line:test", "why", time.Hour),
	} {
		if !errors.Is(err, emergency.ErrBounds) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.freeze("person", "person:omar")
	if err := try(b.person("omar"), "agent:worker", "line:test", "why", time.Minute); !errors.Is(err, emergency.ErrRight) {
		t.Errorf("a frozen one: %v", err)
	}
}

// Others review it; the one who broke the glass and who is behind the actor don't.
func TestAnEmergencyIsReviewedByAnother(t *testing.T) {
	b := ruled(t, glassy)
	e := b.glassFor("agent:worker", "line:test")
	for who, want := range map[string]error{"omar": emergency.ErrOwn, "dana": emergency.ErrOwn, "lena": emergency.ErrRight} {
		if _, err := b.glass.Review(t.Context(), e.ID, b.person(who), emergency.Justified, "fine"); !errors.Is(err, want) {
			t.Errorf("%s: %v", who, err)
		}
	}
	got, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), emergency.Wrong, "it was no emergency")
	if err != nil || got.State != emergency.Reviewed {
		t.Fatalf("%+v, %v", got, err)
	}
	if !b.freezes.Stopped("person:omar") || len(b.freezes.List(false)) != 2 {
		t.Error("nobody is frozen")
	}
	if _, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), emergency.Justified, "again"); !errors.Is(err, emergency.ErrDone) {
		t.Errorf("twice: %v", err)
	}
}

// Nobody reviews it in time: who broke the glass and the actor are frozen, once.
func TestAnEmergencyThatNobodyReviews(t *testing.T) {
	b := ruled(t, glassy)
	now := time.Now()
	g, err := emergency.New(emergency.Options{
		Box: b.box, Directory: b.Server.dir, Freezes: b.freezes, Groups: []string{"group:sre"}, Reviewers: []string{"group:admins"}, Clock: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Break(t.Context(), b.person("omar"), "agent:worker", "line:test", "down", 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	now = now.Add(24 * time.Hour)
	if err := g.Sweep(t.Context()); err != nil || len(b.freezes.List(false)) != 0 {
		t.Fatalf("too early: %v", err)
	}
	now = now.Add(11 * time.Minute)
	for range 2 {
		if err := g.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !b.freezes.Stopped("person:omar") || len(b.freezes.List(false)) != 2 {
		t.Fatalf("%+v", b.freezes.List(false))
	}
	all, err := g.List(t.Context())
	if err != nil || all[0].State != emergency.Overdue {
		t.Fatalf("%+v, %v", all, err)
	}
	if _, err := g.Review(t.Context(), all[0].ID, b.person("mira"), emergency.Justified, "late, but it was one"); err != nil {
		t.Errorf("it can't be reviewed afterwards: %v", err)
	}
}

// An emergency that waits for its review is taken out of sight by SQL: it is missed, with an alarm.
func TestAnEmergencyCannotBeForgotten(t *testing.T) {
	for _, q := range []string{
		"DELETE FROM sealed WHERE kind = 'emergency'",
		"UPDATE sealed SET key = 'reviewed' WHERE kind = 'emergency'",
		"UPDATE sealed SET due = 0 WHERE kind = 'emergency'",
	} {
		b := ruled(t, glassy)
		b.glassFor("agent:worker", "line:test")
		edit(t, b.dir, q)
		before := len(b.records(audit.TypeAlarm))
		for range 2 {
			if err := b.glass.Sweep(t.Context()); !errors.Is(err, sealed.ErrTampered) {
				t.Errorf("%s: %v", q, err)
			}
		}
		if n := len(b.records(audit.TypeAlarm)) - before; n > 1 || before+n < 2 {
			t.Errorf("%s: %d alarms more", q, n)
		}
	}
}
