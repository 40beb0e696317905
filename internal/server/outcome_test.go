package server

import (
	"encoding/json"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
)

// The outcome of a harmless read names the record of its request, and repeats
// nothing of it but who and where. That of anything else stands in another lane
// than its request, and says all by itself.
func TestOutcomesNameTheirRequests(t *testing.T) {
	b := newBench(t)
	b.pack(`apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 3.0.0, owner: tests }
rules:
  - id: all
    match: { kind: [data.write, data.read] }
    then: allow
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: allow } }
`)
	for _, kind := range []action.Kind{action.DataRead, action.DataWrite, action.DataRead} { // the second read uses the memory of the first
		p, err := b.ask(t.Context(), kind, "one")
		if err != nil {
			t.Fatal(err)
		}
		p.Done(gate.Outcome{State: gate.Executed, Rows: 2})
	}
	look := b.spool.Recent()
	defer look.Close()
	asked := map[int64]audit.Record{}
	var short, whole int
	for seq, next := look.Bounds(); seq < next; seq++ {
		var r audit.Record
		leaf, ok := look.Leaf(seq)
		if !ok || json.Unmarshal(leaf, &r) != nil {
			t.Fatalf("record %d can't be read", seq)
		}
		switch {
		case r.Type == audit.TypeRequest:
			asked[seq] = r
		case r.Type != audit.TypeOutcome:
		case r.Previous == 0:
			whole++
			if r.Resource == "" || r.Subject == "" || len(r.Kinds) != 1 || r.Kinds[0] != string(action.DataWrite) {
				t.Errorf("an outcome that names no request doesn't say what it is of: %s", leaf)
			}
		default:
			short++
			of, is := asked[r.Previous]
			delete(asked, r.Previous)
			if !is || of.Session != r.Session || of.Actor != r.Actor || of.Gate != r.Gate || r.Outcome != "executed" || *r.Rows != 2 || r.Resource != "" {
				t.Errorf("an outcome %s of the request %+v", leaf, of)
			}
		}
	}
	if short != 2 || whole != 1 || len(asked) != 0 {
		t.Errorf("%d outcomes of reads, %d of others, %d requests without one", short, whole, len(asked))
	}
}
