package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
)

// Upstream that is lost while people decide has run nothing, and the client hears
// that: not that nobody could decide, nor that nobody knows.
func TestUpstreamLostWhileHeld(t *testing.T) {
	for name, a := range map[string]*authority{"outside": {}, "bounded": {bound: 5}} {
		t.Run(name, func(t *testing.T) {
			tbl := table(t)
			d := direct(t)
			pid := uint32(0)
			a.decide = func(ctx context.Context, act *action.Action, held func(gate.Held)) error {
				if act.Verb != "update" {
					return nil
				}
				held(gate.Held{ID: "apr_1", Who: "1 of reviewers"})
				_, err := d.Exec(ctx, "select pg_terminate_backend($1, 5000)", pid)
				return err
			}
			c := connect(t, start(t, a))
			pid = c.PgConn().PID()
			_, err := c.Exec(t.Context(), "update "+tbl+" set n = -1 where id = 1")
			if code(err) != "57P01" || !strings.Contains(err.Error(), "did not run") {
				t.Errorf("the client heard %v", err)
			}
			waitFor(t, c.IsClosed)
			for _, o := range a.outcomes() {
				if o.State != gate.NotRun {
					t.Errorf("its outcome is %+v", o)
				}
			}
			if n := len(a.outcomes()); n != 1 {
				t.Errorf("%d outcomes", n)
			}
			var left int
			if err := d.QueryRow(t.Context(), "select count(*) from "+tbl+" where n = -1").Scan(&left); err != nil || left != 0 {
				t.Errorf("%d rows were changed, %v", left, err)
			}
		})
	}
}
