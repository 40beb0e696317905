package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	e, err := b.glass.Break(b.t.Context(), b.person("omar"), "console", actor, resource, "the shop is down", 10*time.Minute)
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
			if _, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), "console", emergency.Justified, "it was"); err != nil {
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
		_, err := b.glass.Break(t.Context(), who, "console", actor, resource, reason, life)
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
		if _, err := b.glass.Review(t.Context(), e.ID, b.person(who), "console", emergency.Justified, "fine"); !errors.Is(err, want) {
			t.Errorf("%s: %v", who, err)
		}
	}
	got, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), "console", emergency.Wrong, "it was no emergency")
	if err != nil || got.State != emergency.Reviewed {
		t.Fatalf("%+v, %v", got, err)
	}
	if !b.freezes.Stopped("person:omar") || len(b.freezes.List(false)) != 2 {
		t.Error("nobody is frozen")
	}
	if _, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), "console", emergency.Justified, "again"); !errors.Is(err, emergency.ErrDone) {
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
	if _, err := g.Break(t.Context(), b.person("omar"), "console", "agent:worker", "line:test", "down", 10*time.Minute); err != nil {
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
	if _, err := g.Review(t.Context(), all[0].ID, b.person("mira"), "console", emergency.Justified, "late, but it was one"); err != nil {
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

// A token that lies on a laptop breaks no glass and reviews nothing, unless the
// configuration says so: an agent may share it.
func TestATokenBreaksNoGlass(t *testing.T) {
	b := ruled(t, glassy)
	if _, err := b.glass.Break(t.Context(), b.person("omar"), "token", "agent:worker", "line:test", "down", time.Minute); !errors.Is(err, emergency.ErrAssurance) {
		t.Errorf("broken by a token: %v", err)
	}
	if _, err := b.glass.Break(t.Context(), b.person("omar"), "", "agent:worker", "line:test", "down", time.Minute); !errors.Is(err, emergency.ErrAssurance) {
		t.Errorf("broken by nobody knows what: %v", err)
	}
	e := b.glassFor("agent:worker", "line:test")
	if _, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), "token", emergency.Justified, "fine"); !errors.Is(err, emergency.ErrAssurance) {
		t.Errorf("reviewed by a token: %v", err)
	}
	b = ruled(t, strings.Replace(glassy, "longest: 30m", "longest: 30m, assurance: token", 1))
	e, err := b.glass.Break(t.Context(), b.person("omar"), "token", "agent:worker", "line:test", "down", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), "token", emergency.Justified, "fine"); err != nil {
		t.Error(err)
	}
	if _, err := ParseConfig("assent.yaml", []byte("break_glass: { assurance: none }")); err == nil {
		t.Error("any word is taken")
	}
}

// Whoever stands in for one who may, or is one human with who broke the glass, has no right by it.
func TestAStandInReviewsNoEmergency(t *testing.T) {
	b := ruled(t, glassy)
	mira, lena := b.person("mira"), b.person("lena")
	if _, err := b.Server.dir.Appoint(t.Context(), &mira, lena.ID, nil, time.Now().Add(time.Hour), "away"); err != nil {
		t.Fatal(err)
	}
	omar := b.person("omar")
	if _, err := b.Server.dir.Appoint(t.Context(), &omar, lena.ID, nil, time.Now().Add(time.Hour), "away"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.glass.Break(t.Context(), b.person("lena"), "console", "agent:worker", "line:test", "down", time.Minute); !errors.Is(err, emergency.ErrRight) {
		t.Errorf("a stand-in breaks it: %v", err)
	}
	e := b.glassFor("agent:worker", "line:test")
	if _, err := b.glass.Review(t.Context(), e.ID, b.person("lena"), "console", emergency.Justified, "fine"); !errors.Is(err, emergency.ErrRight) {
		t.Errorf("a stand-in reviews it: %v", err)
	}
}

// What nobody reviewed in time is frozen although the server slept meanwhile.
func TestAnUnreviewedEmergencyOutlivesARestart(t *testing.T) {
	b := ruled(t, glassy)
	then := time.Now().Add(-25 * time.Hour)
	g, err := emergency.New(emergency.Options{Box: b.box, Directory: b.Server.dir, Freezes: b.freezes, Groups: []string{"group:sre"}, Clock: func() time.Time { return then }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Break(t.Context(), b.person("omar"), "console", "agent:worker", "line:test", "down", 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	again := ruledIn(t, b.dir, glassy)
	t.Cleanup(func() { _ = again.Close(context.Background()) })
	for range 500 {
		if again.freezes.Stopped("person:omar") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := len(again.freezes.List(false)); n != 2 || !again.freezes.Stopped("person:omar") {
		t.Fatalf("%d are frozen", n)
	}
	if list, err := again.glass.Known(t.Context()); err != nil || list[0].State != emergency.Overdue {
		t.Errorf("%+v, %v", list, err)
	}
	if got := again.gauges(t, "assent_emergencies_"); got != "open 0, overdue 1, unreviewed 0" {
		t.Errorf("metrics say %s", got)
	}
}

// gauges reads metrics by the beginning of their name.
func (s *Server) gauges(t *testing.T, prefix string) string {
	t.Helper()
	all, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range all {
		if name, ok := strings.CutPrefix(f.GetName(), prefix); ok {
			out = append(out, fmt.Sprint(name, " ", f.GetMetric()[0].GetGauge().GetValue()))
		}
	}
	return strings.Join(out, ", ")
}

// Who watches hears of the breaking, of each use and of the review, in order.
func TestEmergenciesAreTold(t *testing.T) {
	b := ruled(t, glassy)
	g, err := emergency.New(emergency.Options{Box: b.box, Directory: b.Server.dir, Freezes: b.freezes, Groups: []string{"group:sre"}, Reviewers: []string{"group:admins"}})
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan emergency.Event, 16)
	g.Watch(func(_ context.Context, e emergency.Event) { heard <- e })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { g.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()
	next := func(what string, revision int64) {
		t.Helper()
		select {
		case e := <-heard:
			if e.What != what || e.Revision != revision {
				t.Errorf("heard %s at revision %d, want %s at %d", e.What, e.Revision, what, revision)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("never heard of %s", what)
		}
	}
	e := b.glassFor("agent:worker", "line:test")
	next(emergency.Broken, 1)
	if list, err := b.glass.Known(t.Context()); err != nil || len(list) != 1 || list[0].Ran != 0 {
		t.Fatalf("%+v, %v", list, err)
	}
	if got := b.gauges(t, "assent_emergencies_"); got != "open 1, overdue 0, unreviewed 1" {
		t.Errorf("metrics say %s", got)
	}
	if b.waits(action.DataWrite, "one") {
		t.Fatal("it waits")
	}
	next(emergency.Ran, 2)
	if list, err := b.glass.Known(t.Context()); err != nil || list[0].Ran != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err := b.glass.Review(t.Context(), e.ID, b.person("mira"), "console", emergency.Justified, "it was one"); err != nil {
		t.Fatal(err)
	}
	next(emergency.Reviewed, 3)
	if got := b.gauges(t, "assent_emergencies_"); got != "open 0, overdue 0, unreviewed 0" {
		t.Errorf("metrics say %s", got)
	}
}
