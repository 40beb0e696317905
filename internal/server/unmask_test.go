package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/console"
)

// TestUnmask: a value is shown while its asker waits here, after the look is on record, and is
// itself in no record.
func TestUnmask(t *testing.T) {
	b := newBench(t)
	if b.unmasker() != nil {
		t.Error("with nothing configured somebody may look")
	}
	b.cfg.Unmask.Groups = []string{"reviewers"}
	u := b.unmasker()
	mira, _ := b.Server.dir.Person("person:mira")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	const secret = "ana.lopez@example.com"
	answer := b.background(ctx, "write to "+secret+" and to bo@example.org")
	a := b.waiting(1)[0]
	if len(a.Masked) != 2 || strings.Contains(a.Statement, secret) {
		t.Fatalf("%d masked values in %q", len(a.Masked), a.Statement)
	}
	for n, want := range []string{secret, "bo@example.org"} {
		if got, class, err := u.Value(t.Context(), &mira, a, n, "is it ours? ask cy@example.net"); err != nil || got != want || class != "email" {
			t.Errorf("value %d: %q, %q, %v", n, got, class, err)
		}
	}
	recs := b.records(audit.TypeUnmask)
	if len(recs) != 2 || recs[0].Person != "person:mira" || recs[0].Approval != a.ID || recs[0].Detail["class"] != "email" {
		t.Fatalf("records: %+v", recs)
	}
	if all := fmt.Sprintf("%+v", recs); strings.Contains(all, "example.") {
		t.Errorf("a value is in a record: %s", all)
	}
	leave()
	<-answer
	if got, _, err := u.Value(t.Context(), &mira, a, 0, "again"); !errors.Is(err, console.ErrNotHere) || got != "" {
		t.Errorf("after its asker left: %q, %v", got, err)
	}
	closed, cancel := context.WithCancel(t.Context())
	cancel()
	if got, _, err := u.Value(closed, &mira, a, 0, "unrecorded"); err == nil || got != "" {
		t.Errorf("what can't be recorded: %q, %v", got, err)
	}
}

// TestTargetsAreMasked: what a gate names as the target may hold what an asker typed.
func TestTargetsAreMasked(t *testing.T) {
	b := newBench(t)
	ctx, leave := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		a := &action.Action{Kinds: []action.Kind{action.DataWrite}, Verb: "rm", Target: "/srv/ana.lopez@example.com", Title: "rm", Statement: "rm x", Payload: []byte("rm x")}
		b.session.Describe(a)
		_, err := b.session.Enforce(ctx, a, gate.Hooks{})
		answer <- err
	}()
	a := b.waiting(1)[0]
	leave()
	<-answer
	if strings.Contains(a.Target, "ana.lopez") || !strings.HasPrefix(a.Target, "/srv/") {
		t.Errorf("the card says %q", a.Target)
	}
	if all := fmt.Sprintf("%+v", b.records(audit.TypeRequest)); strings.Contains(all, "ana.lopez") {
		t.Errorf("a record says it: %s", all)
	}
}
