package server

import (
	"bytes"
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
	for size, held := range map[int]bool{1 << 10: true, 5 << 20: false} {
		r := x.raid(t)
		r.send(&pgproto3.Parse{Query: "update orders set item = $1 where id = 1"}, &pgproto3.Bind{Parameters: [][]byte{bytes.Repeat([]byte("x"), size)}}, &pgproto3.Execute{}, &pgproto3.Sync{})
		if r.held != held || r.dead || held == bytes.Contains(r.conn.all(), []byte("too long for anybody to read")) {
			t.Errorf("%d bytes: held %v, dead %v, heard %q", size, r.held, r.dead, r.conn.all())
		}
	}
}
