package server

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/remote"
	"github.com/jackc/pgx/v5/pgproto3"
)

// besidePack has masked reads flow and people decide on writes.
var besidePack = strings.Replace(peopleDecide, "rules:\n", `rules:
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { pii: redact }
`, 1)

// says sends a statement and tells whether rows came of it, and all that was heard.
func (r *raider) says(statement string) (rows bool, heard string) {
	r.t.Helper()
	r.conn.forget()
	r.held = false
	r.send(&pgproto3.Query{String: statement})
	if r.held {
		r.t.Fatalf("%s: it waits for people: %q", statement, r.conn.all())
	}
	h := r.conn.all()
	return bytes.Contains(h, []byte("SELECT ")) && !bytes.Contains(h, []byte("assent")), string(h)
}

// traffic is what the gate process's own spool holds of a type.
func (x *target) traffic(typ string) (n int) {
	x.t.Helper()
	dir := filepath.Join(filepath.Dir(x.cfg.file), "there", "spool")
	if err := x.process.s.spool.Sync(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	if _, err := audit.ReadSpool(dir, func(_ int64, leaf []byte) error {
		if bytes.Contains(leaf, []byte(`"type":"`+typ+`"`)) {
			n++
		}
		return nil
	}); err != nil {
		x.t.Fatal(err)
	}
	return n
}

func (x *target) verifies(t *testing.T) *audit.Report {
	t.Helper()
	r, err := x.verify(t.Context())
	if err != nil || !r.OK() {
		t.Fatalf("the log: %v %+v", err, r)
	}
	return r
}

// A gate beside its system decides reads by its lease, has everything else decided and
// recorded by the control plane, and goes on by itself for as long as its lease.
func TestAGateElsewhere(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	x := newTarget(t, c, "beside", besidePack, elsewhere)
	r := x.raid(t)
	const read = "select id, email from customers where id = 1"
	if rows, heard := r.says(read); !rows || strings.Contains(heard, "zoe.secret") {
		t.Fatalf("a read: %q", heard)
	}
	if n := x.traffic(audit.TypeRequest); n != 1 {
		t.Errorf("%d reads in the gate's own traffic, want 1", n)
	}
	got := x.request(t, r, func(a *approval.Approval) {
		if a.Gate != "shop" || a.Asker.Chain[0].ID != "agent:worker" || a.Preview == nil || !strings.Contains(a.Preview.Text, "1 row") {
			t.Errorf("people were shown %+v, preview %+v", a, a.Preview)
		}
		x.approve(t, a)
	}, &pgproto3.Query{String: "update orders set quantity = 9 where id = 1"})
	if len(got.tags) != 1 || len(got.codes) != 0 {
		t.Fatalf("an approved write: %q", got.heard)
	}
	started, ended := x.searched(t, audit.TypeStarted), x.searched(t, audit.TypeOutcome)
	if len(started) != 1 || len(ended) != 1 || ended[0].Outcome != "executed" || ended[0].Grant != started[0].Grant || ended[0].Rows == nil || *ended[0].Rows != 1 {
		t.Errorf("started %+v, ended %+v", started, ended)
	}

	// Its traffic is sealed in the log, and handed over.
	if err := x.process.s.spool.Rotate(); err != nil {
		t.Fatal(err)
	}
	r.says(read) // the newest segment stays
	if err := x.process.s.spool.Rotate(); err != nil {
		t.Fatal(err)
	}
	inTime(t, "a segment was handed over", func() bool {
		if err := x.process.ship(t.Context()); err != nil {
			t.Fatal(err)
		}
		there, err := x.taken.Segments(t.Context(), remote.NodeOf("there"))
		return err == nil && len(there) == 1
	})
	if lines := strings.Join(x.verifies(t).Lines, "\n"); !strings.Contains(lines, "of gate.there in 1 segments") {
		t.Errorf("verifying says\n%s", lines)
	}

	// Cut off, reads go on for as long as the lease, and nothing else does.
	x.process.part(true)
	if rows, heard := r.says(read); !rows {
		t.Errorf("a read by the lease: %q", heard)
	}
	if _, heard := r.says("update orders set quantity = 8 where id = 1"); !strings.Contains(heard, "control plane can't be reached") {
		t.Errorf("a write without the control plane: %q", heard)
	}
	text, tok, err := x.tokens.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	inTime(t, "the lease is over", func() bool { rows, _ := r.says(read); return !rows })
	if _, heard := r.says(read); !strings.Contains(heard, "no decision could be reached") {
		t.Errorf("a read behind the lease: %q", heard)
	}
	x.process.part(false)
	inTime(t, "reads go on", func() bool { rows, _ := r.says(read); return rows })

	// What was revoked meanwhile does not come back.
	keep := x.token
	x.token = text
	revoked := x.raid(t)
	if rows, heard := revoked.says(read); !rows {
		t.Fatalf("a second credential: %q", heard)
	}
	x.process.part(true)
	if err := (revoking{x.Server}).Revoke(t.Context(), tok.ID, "test"); err != nil {
		t.Fatal(err)
	}
	x.process.part(false)
	inTime(t, "the process is linked again", func() bool { return x.isLinked("there") == nil })
	inTime(t, "it heard what was revoked", func() bool {
		defer func() { _ = recover() }()
		revoked.conn.forget()
		revoked.send(&pgproto3.Query{String: read})
		return revoked.dead || bytes.Contains(revoked.conn.all(), []byte("assent"))
	})
	x.token = keep

	// A freeze cuts what is open.
	mira, _ := x.dir.Person("person:mira")
	stop, err := x.freezes.Freeze(t.Context(), freeze.Target{What: freeze.Actor, Name: "agent:worker"}, "test", mira)
	if err != nil {
		t.Fatal(err)
	}
	inTime(t, "the connection was cut", func() bool { r.send(&pgproto3.Query{String: read}); return r.dead })
	_ = stop
	x.verifies(t)

	// Ended, the process is nobody.
	if err := x.End(t.Context(), mira, "gate", "there"); err != nil {
		t.Fatal(err)
	}
	inTime(t, "the link is cut for good", func() bool { return x.process.link.Err() != nil && x.isLinked("there") != nil })
	if err := x.End(t.Context(), mira, "gate", "elsewhere"); err == nil {
		t.Error("a process that isn't there was ended")
	}
}

// What ran while the link broke is unknown to the control plane, and told by the gate's traffic.
func TestALinkThatBreaksWhileItRuns(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	x := newTarget(t, c, "breaking", peopleDecide, elsewhere)
	x.must(x.root, "create table slow (n int)", "insert into slow values (1)",
		"create function dawdle() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return new; end $$", "create trigger t before update on slow for each row execute function dawdle()",
		"select pg_advisory_lock(7)")
	waits := func() bool {
		rows, err := x.root.Exec(t.Context(), "select 1 from pg_locks where locktype = 'advisory' and not granted").ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return len(rows[0].Rows) == 1
	}
	r := x.raid(t)
	x.request(t, r, func(a *approval.Approval) {
		x.approve(t, a)
		inTime(t, "it runs at the database", waits)
		x.process.part(true)
		inTime(t, "the control plane settled it", func() bool { return len(x.searched(t, audit.TypeOutcome)) == 1 })
		if o := x.searched(t, audit.TypeOutcome)[0]; o.Outcome != "unknown" {
			t.Errorf("outcome %q", o.Outcome)
		}
		x.must(x.root, "select pg_advisory_unlock(7)")
	}, &pgproto3.Query{String: "update slow set n = 2"})
	inTime(t, "the gate's traffic tells", func() bool { return x.traffic(audit.TypeOutcome) == 1 })
	x.process.part(false)
	inTime(t, "the process is linked again", func() bool { return x.isLinked("there") == nil })
	x.verifies(t)
}

// What was tried at a gate of the server's own is tried at one elsewhere: ASSENT_GATES=elsewhere has
// every test of a target do so.
func TestAttacksOnAGateElsewhere(t *testing.T) {
	t.Setenv("ASSENT_GATES", "elsewhere")
	t.Run("laundering", TestAttackLaundering)
	t.Run("previews", TestPreviewIsWhatRuns)
	t.Run("floors", TestAggregatesBelowAFloor)
}
