package server

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/freeze"
)

// ready is what /readyz says of a part.
func (b *bench) ready(part string) error {
	b.t.Helper()
	for _, c := range b.checks() {
		if c.Name == part {
			return c.Run(b.t.Context())
		}
	}
	b.t.Fatalf("no check %s", part)
	return nil
}

// A log that doesn't verify stops everything, until an administrator has looked and
// another agrees; what is found besides stops everything again.
func TestALogThatDoesNotVerifyFreezes(t *testing.T) {
	b := ruled(t, threeAdmins)
	waiting := b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	if ok, _ := b.verifyNow(t.Context(), time.Now()); !ok || b.ready("log") != nil {
		t.Fatalf("an untouched log: %v", b.ready("log"))
	}
	edit(t, b.dir, "UPDATE log_record SET leaf = CAST(replace(CAST(leaf AS TEXT), 'minted', 'mintee') AS BLOB) WHERE type = 'token.changed'")
	if ok, looked := b.verifyNow(t.Context(), time.Now()); ok || !looked {
		t.Fatalf("nobody notices: %v, %v", ok, looked)
	}
	refusedWith(t, <-waiting, gate.StatusDenied, "frozen")
	if got, err := b.engine.Get(t.Context(), a.ID); err != nil || got.State != approval.Withdrawn {
		t.Errorf("what waited is %v, %v", got.State, err)
	}
	select {
	case <-b.session.Cut():
	default:
		t.Error("the connection is open")
	}
	stopped := func() bool {
		_, err := b.ask(t.Context(), action.DataRead, "two")
		var d *gate.Denied
		return errors.As(err, &d) && strings.Contains(d.Reason, "frozen")
	}
	if err := b.ready("log"); !stopped() || err == nil || !strings.Contains(err.Error(), "assent verify") {
		t.Fatalf("a read is not stopped, or readyz says %v", err)
	}
	frozen := b.freezes.List(false)
	if len(frozen) != 1 || frozen[0].What != freeze.Everything {
		t.Fatalf("frozen: %+v", frozen)
	}
	e, err := b.changes.Thaw(t.Context(), frozen[0].ID, "looked at", b.proposal("mira"))
	if err != nil || !stopped() {
		t.Fatalf("one administrator alone: %v", err)
	}
	if err := b.allow(e.Approval, "omar"); err != nil {
		t.Fatal(err)
	}
	if got := b.settled(e.ID); got.State != change.Applied {
		t.Fatalf("let go: %+v", got)
	}
	eventually(t, "what was let go flows", func() bool { return !stopped() })
	b.verifyNow(t.Context(), time.Now())
	if stopped() {
		t.Error("what was looked at stops everything again")
	}
	if b.ready("log") == nil {
		t.Error("readyz says that the log verifies")
	}
	edit(t, b.dir, "UPDATE log_record SET type = 'request' WHERE idx = 0")
	b.verifyNow(t.Context(), time.Now())
	if !stopped() {
		t.Error("what was found besides stops nothing")
	}
}

// Where the freeze itself can't be written, this node stops all the same; what
// could not be looked at stops everything once that lasts.
func TestALogThatCanNotBeWrittenFreezes(t *testing.T) {
	b := ruled(t, oneAdmin)
	edit(t, b.dir, "UPDATE log_head SET size = size - 1")
	t.Cleanup(func() { edit(t, b.dir, "UPDATE log_head SET size = size + 1") })
	b.verifyNow(t.Context(), time.Now())
	if b.freezes.Err() == nil {
		t.Fatal("nothing is stopped")
	}
	_, err := b.ask(t.Context(), action.DataRead, "one")
	refusedWith(t, err, gate.StatusDenied, "nothing may run")
	if err := b.freezes.Load(t.Context()); err != nil || b.freezes.Err() == nil {
		t.Errorf("reading what is frozen again lets go: %v", err)
	}
}

func TestALogThatCanNotBeReadFreezesWhenItLasts(t *testing.T) {
	b := ruled(t, oneAdmin)
	edit(t, b.dir, "CREATE TABLE kept AS SELECT * FROM log_head", "UPDATE log_head SET root = x'00'")
	for _, ago := range []time.Duration{0, 2 * verifyLate} { // what stops everything stays: now comes first
		want := ago > verifyLate
		if ok, looked := b.verifyNow(t.Context(), time.Now().Add(-ago)); ok || looked {
			t.Fatalf("it was looked at: %v, %v", ok, looked)
		}
		if got := b.freezes.Err() != nil; got != want {
			t.Errorf("after %s: stopped is %v", ago, got)
		}
		if b.ready("log") == nil {
			t.Error("readyz says that the log verifies")
		}
	}
}
