package server

import (
	"context"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
)

// A looker answers previews with what is set, and counts how often it was asked.
type looker struct {
	now   action.Preview
	asked int
}

func (l *looker) look(context.Context) action.Preview {
	l.asked++
	return l.now
}

func (b *bench) askWith(ctx context.Context, kind action.Kind, l *looker) (gate.Permit, error) {
	a := &action.Action{Kinds: []action.Kind{kind}, Verb: "write", Title: "write a line", Statement: "one", Payload: []byte("one")}
	b.session.Describe(a)
	return b.session.Enforce(ctx, a, gate.Hooks{Preview: l.look})
}

func rows(n int64) action.Preview {
	return action.Preview{Rows: action.KnownCount(n), Binds: true, Text: "would change rows"}
}

// hold asks, lets people approve what they are shown, and leaves it to be used later.
func (b *bench) hold(l *looker) {
	b.t.Helper()
	ctx, leave := context.WithCancel(b.t.Context())
	left := make(chan error, 1)
	go func() { _, err := b.askWith(ctx, action.DataWrite, l); left <- err }()
	a := b.waiting(1)[0]
	leave()
	<-left
	b.approve(a)
}

// What reviewers were shown is what the grant bounds, and what grew since is held again.
func TestPreviewBindsAndGrows(t *testing.T) {
	for _, c := range []struct {
		name       string
		shown, now action.Preview
		runs       bool
		bound      int64
	}{
		{"the same", rows(18), rows(18), true, 18},
		{"fewer", rows(18), rows(3), true, 18},
		{"one more", rows(18), rows(19), false, 0},
		{"unknown now, and held while it runs", rows(18), action.Preview{Why: "too slow"}, true, 18},
		{"unknown then", action.Preview{Why: "too slow"}, rows(5000), true, -1},
		{"an estimate bounds nothing", action.Preview{Estimate: action.KnownCount(5), Text: "reads"}, rows(5000), true, -1},
		{"what nobody can hold must be told again", action.Preview{Destroys: action.KnownCount(1), Text: "drops"}, action.Preview{Why: "too slow"}, false, 0},
		{"more objects", action.Preview{Destroys: action.KnownCount(1), Text: "drops"}, action.Preview{Destroys: action.KnownCount(2), Text: "drops"}, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			l := &looker{now: c.shown}
			b.hold(l)
			l.now = c.now
			p, err := b.askWith(t.Context(), action.DataWrite, l)
			if !c.runs {
				refusedWith(t, err, gate.StatusDenied, "since it was approved")
				if err != nil && strings.ContainsAny(err.Error(), "0123456789") {
					t.Errorf("the agent learns a figure: %v", err)
				}
				if n := len(b.records(audit.TypeStarted)); n != 0 {
					t.Errorf("%d executions were started", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.Bound() != c.bound {
				t.Errorf("its bound is %d, want %d", p.Bound(), c.bound)
			}
			p.Done(gate.Outcome{State: gate.Executed})
		})
	}
}

const previewPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 3.0.0, owner: tests }
rules:
  - id: few-rows
    match: { kind: [data.write] }
    when: preview.rows <= 10
    then: allow
  - id: reads
    match: { kind: [data.read] }
    then: allow
tests:
  - { name: few, given: { kind: data.write, preview_rows: 3 }, want: { decision: allow, rule: few-rows } }
  - { name: reads, given: { kind: data.read }, want: { decision: allow, rule: reads } }
`

// A rule may permit by a preview: up to what was counted, never by a guess, and
// nobody looks where no rule would read it.
func TestRulesReadThePreview(t *testing.T) {
	b := newBench(t)
	b.pack(previewPack)
	for _, c := range []struct {
		name    string
		preview action.Preview
		kind    action.Kind
		allowed bool
		asked   int
	}{
		{"few", rows(7), action.DataWrite, true, 1},
		{"many", rows(11), action.DataWrite, false, 1},
		{"unknown", action.Preview{Why: "too slow"}, action.DataWrite, false, 1},
		{"a guess", action.Preview{Estimate: action.KnownCount(1)}, action.DataWrite, false, 1},
		{"rows that nobody can hold it to", action.Preview{Rows: action.KnownCount(1)}, action.DataWrite, false, 1},
		{"no rule reads it", rows(1), action.DataRead, true, 0},
	} {
		l := &looker{now: c.preview}
		p, err := b.askWith(t.Context(), c.kind, l)
		if (err == nil) != c.allowed || l.asked != c.asked {
			t.Errorf("%s: answer %v after %d previews", c.name, err, l.asked)
		}
		if err != nil {
			continue
		}
		if n := p.Bound(); c.kind == action.DataWrite && n != 7 {
			t.Errorf("%s: its bound is %d", c.name, n)
		}
		p.Done(gate.Outcome{State: gate.Executed})
	}
	b.pack(denyPack)
	if l := (&looker{}); true {
		if _, err := b.askWith(t.Context(), action.DataWrite, l); err == nil || l.asked != 0 {
			t.Errorf("denied whatever it does: answer %v after %d previews", err, l.asked)
		}
	}
}

const rowsPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 3.0.0, owner: tests }
rules:
  - id: few-rows
    match: { kind: [data.write] }
    when: data.rows <= 10
    then: allow
tests:
  - { name: few, given: { kind: data.write, rows: 3 }, want: { decision: allow, rule: few-rows } }
`

// A rule that permits a write up to a number of rows permits it where a gate
// counted them and holds it to that number, and nowhere else.
func TestRowLimitOfAWrite(t *testing.T) {
	b := newBench(t)
	b.pack(rowsPack)
	for _, c := range []struct {
		name    string
		preview action.Preview
		refused string
	}{
		{"few", rows(7), ""},
		{"as many", rows(10), ""},
		{"many", rows(11), "it would change more"},
		{"unknown", action.Preview{Why: "too slow"}, "can't be told"},
		{"a guess", action.Preview{Estimate: action.KnownCount(1)}, "can't be told"},
		{"rows that nobody can hold it to", action.Preview{Rows: action.KnownCount(1)}, "can't be told"},
	} {
		p, err := b.askWith(t.Context(), action.DataWrite, &looker{now: c.preview})
		if c.refused != "" {
			refusedWith(t, err, gate.StatusDenied, c.refused)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if n := p.Bound(); n != 10 {
			t.Errorf("%s: its bound is %d", c.name, n)
		}
		p.Done(gate.Outcome{State: gate.Executed})
	}
	if n := len(b.records(audit.TypeRequest)); n != 6 {
		t.Errorf("%d requests are recorded", n)
	}
}
