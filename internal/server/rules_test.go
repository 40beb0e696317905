package server

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
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/rules"
	"github.com/assenthq/assent/internal/sealed"
)

const manyAdmins = `people: [{ id: mira, groups: [reviewers, admins] }, { id: dana, groups: [admins] }, { id: omar, groups: [reviewers, admins] }, { id: lena }, { id: ivo }]
oncall: [{ group: night, people: [mira, lena], start: "2026-01-05 09:00", every: 800000h }]
`

func (b *bench) editGroup(by, group string, add, remove []string) change.Entry {
	b.t.Helper()
	e, err := b.rules.ChangeGroup(b.t.Context(), people.GroupChange{Group: group, Add: add, Remove: remove}, "because", b.proposal(by))
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

// in reports whether somebody is in a group, and may be asked for it.
func (b *bench) in(who, group string) bool {
	b.t.Helper()
	p := b.person(who)
	member := slices.ContainsFunc(b.Server.dir.Members(group), func(m identity.Person) bool { return m.ID == p.ID })
	if member != p.In(group) {
		b.t.Errorf("%s is a member of %s: %v, and in it: %v", who, group, member, p.In(group))
	}
	return member
}

// answers tries an approval in somebody's name.
func (b *bench) answers(who string, a *approval.Approval) error {
	_, err := b.engine.Answer(b.t.Context(), approval.Answer{Approval: a.ID, Person: b.person(who), Decision: approval.Approve, Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version})
	return err
}

// Somebody is let in to a group, by a change that everybody allowed: what was asked before is not theirs.
func TestAGroupEditedAfterTheAskLetsNobodyIn(t *testing.T) {
	b := ruled(t, manyAdmins)
	b.background(t.Context(), "one")
	first := b.waiting(1)[0]

	e := b.editGroup("omar", "reviewers", []string{"lena"}, nil)
	if e.State != change.Proposed || b.in("lena", "group:reviewers") {
		t.Fatalf("an administrator alone lets somebody in: %+v", e)
	}
	for _, who := range []string{"omar", "lena"} {
		if err := b.allow(e.Approval, who); err == nil {
			t.Errorf("%s allows it", who)
		}
	}
	if err := b.allow(e.Approval, "mira"); err != nil {
		t.Fatal(err)
	}
	if e = b.settled(e.ID); e.State != change.Applied {
		t.Fatalf("%+v", e)
	}
	eventually(t, "lena is let in", func() bool { return b.in("lena", "group:reviewers") })
	if err := b.answers("lena", first); !errors.Is(err, approval.ErrNotEligible) {
		t.Errorf("who was let in since answers what was asked before: %v", err)
	}
	b.background(t.Context(), "two")
	second := b.waiting(2)[slices.IndexFunc(b.waiting(2), func(a *approval.Approval) bool { return a.ID != first.ID })]

	// Out again, at once, by one administrator: and what was asked meanwhile is not theirs either.
	if e := b.editGroup("omar", "reviewers", nil, []string{"lena"}); e.State != change.Applied || !e.Tighter || e.Alone {
		t.Fatalf("%+v", e)
	}
	if err := b.answers("lena", second); !errors.Is(err, approval.ErrNotEligible) {
		t.Errorf("who was taken out answers: %v", err)
	}
	// A configured one too, and over a restart.
	b.editGroup("dana", "reviewers", nil, []string{"mira"})
	if b.in("mira", "group:reviewers") {
		t.Error("a configured member can't be taken out")
	}
	if err := b.answers("omar", second); err != nil {
		t.Errorf("who stayed can't answer: %v", err)
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	again := &bench{Server: ruledIn(t, b.dir, manyAdmins), t: t, dir: b.dir}
	defer func() { _ = again.Close(context.Background()) }()
	if again.in("mira", "group:reviewers") || again.in("lena", "group:reviewers") || !again.in("omar", "group:reviewers") {
		t.Error("a restart forgot it")
	}
}

// Whatever permits more waits for another administrator, who is not whom it lets in.
func TestWhatPermitsMoreWaits(t *testing.T) {
	b := ruled(t, manyAdmins)
	for name, e := range map[string]change.Entry{
		"an administrator more":   b.editGroup("omar", "admins", []string{"lena"}, nil),
		"an administrator less":   b.editGroup("omar", "admins", nil, []string{"dana"}),
		"in and out at once":      b.editGroup("omar", "reviewers", []string{"lena"}, []string{"mira"}),
		"oneself, out of admins":  b.editGroup("dana", "group:admins", nil, []string{"person:dana"}),
		"a group nobody knew yet": b.editGroup("mira", "newcomers", []string{"ivo"}, nil),
	} {
		if e.State != change.Proposed || e.Approval == "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
	own := b.editGroup("dana", "reviewers", []string{"omar"}, nil)
	if err := b.allow(own.Approval, "omar"); err == nil {
		t.Error("whom it lets in allows it")
	}
	for name, c := range map[string]people.GroupChange{
		"nobody known": {Group: "reviewers", Add: []string{"nobody"}}, "no issuer": {Group: "reviewers", Add: []string{"corp|00g1"}},
		"nothing": {Group: "reviewers"}, "twice": {Group: "reviewers", Add: []string{"lena"}, Remove: []string{"lena"}}, "no name": {Group: "Group Of", Add: []string{"lena"}},
	} {
		if _, err := b.rules.ChangeGroup(t.Context(), c, "because", b.proposal("mira")); err == nil {
			t.Errorf("%s: it is asked", name)
		}
	}
	// Not an administrator, with a token that is none: people are asked, even to tighten.
	p := change.Proposal{Author: b.person("ivo"), Credential: "test"}
	if e, err := b.rules.ChangeGroup(t.Context(), people.GroupChange{Group: "reviewers", Remove: []string{"mira"}}, "x", p); err != nil || e.State != change.Proposed {
		t.Errorf("anybody takes somebody out: %+v, %v", e, err)
	}
}

// Where policy asks in which groups the subject is, being taken out of one may permit more.
func TestAGroupThatPolicyReadsIsNoOnesAlone(t *testing.T) {
	b := ruled(t, manyAdmins)
	b.pack(heldPack + `
  - { name: interns, given: { kind: data.read }, want: { decision: deny } }
`)
	if b.policy.Current().ReadsGroups() {
		t.Fatal("the pack of the test reads groups already")
	}
	b.pack(strings.Replace(heldPack, "rules:\n", `rules:
  - id: interns
    match: { kind: [data.read] }
    when: '"group:interns" in subject.groups'
    then: deny
`, 1))
	if !b.policy.Current().ReadsGroups() {
		t.Fatal("nobody noticed that the pack reads groups")
	}
	if e := b.editGroup("omar", "reviewers", nil, []string{"mira"}); e.State != change.Proposed {
		t.Errorf("%+v", e)
	}
}

// What was asked before somebody tightened the same is not applied after it.
func TestAChangeAskedBeforeIsStale(t *testing.T) {
	b := ruled(t, manyAdmins)
	more := b.editGroup("omar", "reviewers", []string{"lena", "ivo"}, nil)
	b.editGroup("mira", "reviewers", nil, []string{"lena"})
	if err := b.allow(more.Approval, "dana"); err != nil {
		t.Fatal(err)
	}
	if e := b.settled(more.ID); e.State != change.Refused || b.in("ivo", "group:reviewers") || b.in("lena", "group:reviewers") {
		t.Errorf("%+v", e)
	}
	looser, err := b.rules.ChangeSettings(t.Context(), map[string]string{"limits.pending_per_actor": "50"}, "why", b.proposal("omar"))
	if err != nil {
		t.Fatal(err)
	}
	if e, err := b.rules.ChangeSettings(t.Context(), map[string]string{"limits.pending_per_actor": "1"}, "it floods us", b.proposal("mira")); err != nil || !e.Tighter {
		t.Fatalf("%+v, %v", e, err)
	}
	if err := b.allow(looser.Approval, "dana"); err != nil {
		t.Fatal(err)
	}
	if e := b.settled(looser.ID); e.State != change.Refused {
		t.Errorf("%+v", e)
	}
}

func (b *bench) setting(name string) string {
	b.t.Helper()
	all, err := b.rules.Settings(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, s := range all {
		if s.Name == name {
			return s.Text(s.Value)
		}
	}
	return ""
}

func TestSettings(t *testing.T) {
	b := ruled(t, manyAdmins)
	set := func(by, name, value string) change.Entry {
		t.Helper()
		e, err := b.rules.ChangeSettings(t.Context(), map[string]string{name: value}, "why", b.proposal(by))
		if err != nil {
			t.Fatalf("%s=%s: %v", name, value, err)
		}
		return e
	}
	for _, bad := range []map[string]string{{}, {"limits.nothing": "1"}, {"limits.approval_window": "0s"}, {"limits.approval_window": "30"}, {"limits.pending_per_actor": "1.5"}, {"limits.pending_per_actor": "-1"}} {
		if e, err := b.rules.ChangeSettings(t.Context(), bad, "why", b.proposal("omar")); err == nil {
			t.Errorf("%v: %+v", bad, e)
		}
	}
	// Less holds at once: one may wait, and the second is denied.
	if e := set("omar", "limits.pending_per_actor", "1"); e.State != change.Applied || !e.Tighter {
		t.Fatalf("%+v", e)
	}
	ctx, leave := context.WithCancel(t.Context())
	one := b.background(ctx, "one")
	a := b.waiting(1)[0]
	if _, err := b.ask(t.Context(), action.DataWrite, "two"); err == nil || !strings.Contains(err.Error(), "1") {
		t.Errorf("a second one waits: %v", err)
	}
	leave()
	<-one
	if _, err := b.engine.Withdraw(t.Context(), a.ID, "person:mira", "enough"); err != nil {
		t.Fatal(err)
	}
	set("omar", "limits.approval_window", "2m")
	b.background(t.Context(), "three")
	if a := b.waiting(1)[0]; a.Window != 2*time.Minute {
		t.Errorf("usable for %s", a.Window)
	}
	set("omar", "limits.standing_uses", "0")
	if err := b.engine.Coverable(a, approval.Scope{Uses: 1, For: time.Hour, Values: approval.SameValues}); err == nil {
		t.Error("a standing grant can be had")
	}
	// More waits; applied, it holds, also after a restart. A configured value is back by its name.
	e := set("mira", "limits.pending_per_actor", "7")
	if e.State != change.Proposed || b.setting("limits.pending_per_actor") != "1" {
		t.Fatalf("one administrator alone permits more: %+v", e)
	}
	if err := b.allow(e.Approval, "dana"); err != nil {
		t.Fatal(err)
	}
	if e := b.settled(e.ID); e.State != change.Applied {
		t.Fatalf("%+v", e)
	}
	eventually(t, "7 may wait", func() bool { return b.setting("limits.pending_per_actor") == "7" })
	if e := set("mira", "limits.standing_uses", "default"); e.State != change.Proposed {
		t.Errorf("back to more: %+v", e)
	}
	if e := set("mira", "limits.approval_window", "1m"); e.State != change.Applied {
		t.Errorf("less once more: %+v", e)
	}
	if n := len(b.records(audit.TypeAlarm)); n != 0 {
		t.Errorf("%d alarms", n)
	}
	if err := b.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	again := &bench{Server: ruledIn(t, b.dir, manyAdmins), t: t, dir: b.dir}
	defer func() { _ = again.Close(context.Background()) }()
	if again.setting("limits.pending_per_actor") != "7" || again.setting("limits.approval_window") != "1m" {
		t.Error("a restart forgot it")
	}
	if uses, _ := again.engine.Ceiling(); uses != 0 {
		t.Errorf("after a restart a standing grant may be used %d times", uses)
	}
}

// One who is on call was put there by two others.
func TestATurnIsNoOnesAlone(t *testing.T) {
	b := ruled(t, manyAdmins)
	turn := rules.Turn{Group: "night", Person: "lena", Until: time.Now().Add(time.Hour)}
	if _, err := b.rules.ChangeTurn(t.Context(), rules.Turn{Group: "night", Person: "mira", Until: turn.Until}, "", b.proposal("mira")); !errors.Is(err, rules.ErrSelf) {
		t.Errorf("oneself: %v", err)
	}
	for name, bad := range map[string]rules.Turn{
		"over": {Group: "night", Person: "lena", Until: time.Now().Add(-time.Hour)}, "too long": {Group: "night", Person: "lena", Until: time.Now().Add(40 * 24 * time.Hour)},
		"not of the rotation": {Group: "night", Person: "omar", Until: turn.Until}, "no rotation": {Group: "reviewers", Person: "lena", Until: turn.Until},
	} {
		if _, err := b.rules.ChangeTurn(t.Context(), bad, "", b.proposal("dana")); err == nil {
			t.Errorf("%s: it is asked", name)
		}
	}
	e, err := b.rules.ChangeTurn(t.Context(), turn, "mira is ill", b.proposal("dana"))
	if err != nil || e.State != change.Proposed || b.in("lena", "group:night") {
		t.Fatalf("%+v, %v", e, err)
	}
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if e := b.settled(e.ID); e.State != change.Applied {
		t.Errorf("%+v", e)
	}
	eventually(t, "lena is on call instead of mira", func() bool { return b.in("lena", "group:night") && !b.in("mira", "group:night") })
}

// A row of a group or a setting that was edited, taken away or put back is nobody's word.
func TestTamperedRulesHoldNothing(t *testing.T) {
	const old = "CREATE TABLE old AS SELECT * FROM sealed WHERE kind IN ('group', 'settings')"
	for name, attack := range map[string][]string{
		"edited": {
			"UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), 'person:mira', 'person:nobody') AS BLOB) WHERE kind = 'group'",
			"UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), '60', '86000') AS BLOB) WHERE kind = 'settings'",
		},
		"taken away": {"DELETE FROM sealed WHERE kind IN ('group', 'settings')"},
		"put back":   {"UPDATE sealed SET (revision, body, mac) = (SELECT revision, body, mac FROM old WHERE old.id = sealed.id) WHERE kind IN ('group', 'settings')"},
	} {
		t.Run(name, func(t *testing.T) {
			b := ruled(t, manyAdmins)
			tighten := func(window, who string) {
				t.Helper()
				if _, err := b.rules.ChangeSettings(t.Context(), map[string]string{"limits.approval_window": window}, "why", b.proposal("omar")); err != nil {
					t.Fatal(err)
				}
				b.editGroup("omar", "reviewers", nil, []string{who})
			}
			tighten("2m", "lena")
			if name == "put back" {
				edit(t, b.dir, old)
			}
			tighten("1m", "mira")
			edit(t, b.dir, attack...)
			if err := b.rules.Load(t.Context()); !errors.Is(err, sealed.ErrTampered) {
				t.Errorf("the settings are believed: %v", err)
			}
			if b.in("mira", "group:reviewers") {
				t.Error("who was taken out is in again")
			}
			if err := b.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			if s, err := startIn(t, b.dir, manyAdmins); err == nil {
				_ = s.Close(context.Background())
				t.Error("it starts on rows that nobody can believe")
			} else if !errors.Is(err, sealed.ErrTampered) {
				t.Errorf("it doesn't start, for another reason: %v", err)
			}
		})
	}
}
