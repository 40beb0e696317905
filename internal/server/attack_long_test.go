package server

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// What people would have to approve and nobody could read is refused, and not kept
// for a card: a parameter of 40 MB cost 23 s and 1 GB.
func TestAttackLongHold(t *testing.T) {
	c := attackCluster(t)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	x := newTarget(t, c, "long", "")
	// One long value is shown by its size and digest; many of those that are shown are too much.
	for n, held := range map[int]bool{1: true, 90: false} {
		places := make([]string, n)
		values := make([][]byte, n)
		for i := range n {
			places[i], values[i] = fmt.Sprintf("$%d::text", i+1), bytes.Repeat([]byte("x"), 60<<10)
		}
		r := x.raid(t)
		r.send(&pgproto3.Parse{Query: "update orders set item = concat(" + strings.Join(places, ", ") + ") where id = 1"}, &pgproto3.Bind{Parameters: values}, &pgproto3.Execute{}, &pgproto3.Sync{})
		if r.held != held || r.dead || held == bytes.Contains(r.conn.all(), []byte("too long for anybody to read")) {
			t.Errorf("%d values: held %v, dead %v", n, r.held, r.dead)
		}
	}
}
