package approval_test

import (
	"context"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// Who owned the agent until yesterday has its rows edited or taken away by SQL, to
// be forgotten and approve: the agent asks for nothing any more.
func TestARelationCannotBeForgotten(t *testing.T) {
	for name, edit := range map[string]string{
		"deleted":  `DELETE FROM sealed WHERE kind = 'relation' AND id = 'agent:x'`,
		"renamed":  `UPDATE sealed SET id = 'agent:other' WHERE kind = 'relation' AND id = 'agent:x'`,
		"put back": `UPDATE sealed SET revision = o.revision, body = o.body, mac = o.mac FROM kept o WHERE sealed.kind = 'relation' AND sealed.id = 'agent:x'`,
		"edited":   `UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), 'person:own', 'person:eve') AS BLOB) WHERE kind = 'relation' AND id = 'agent:x'`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			asker := agent("agent:x")
			first := asker
			first.Chain = []identity.Actor{{ID: "agent:x", Type: "agent", Owner: "person:cas"}}
			h.ask(ask(first, "select 1"))
			h.edit(`CREATE TABLE kept AS SELECT * FROM sealed WHERE kind = 'relation' AND id = 'agent:x'`)
			h.clock.add(time.Hour)
			h.ask(ask(asker, "select 2")) // seen: own is the owner
			h.clock.add(time.Hour)
			handed := actors()
			handed[0].Owner, handed[0].Related = "person:cas", nil
			h.town.set(t, people(), handed)
			asker.Chain[0] = handed[0]
			if h.edit(edit) != 1 {
				t.Fatal("nothing was edited")
			}
			_, _, err := h.engine.Ask(context.Background(), ask(asker, "copy"))
			wantErr(t, err, approval.ErrTampered)
		})
	}
}

// What was denied is taken away or made something else by SQL, so that it may be asked
// again without the further seat that this costs.
func TestADenialCannotBeForgotten(t *testing.T) {
	for name, edits := range map[string][]string{
		"deleted":  {`DELETE FROM approval`, `DELETE FROM review`},
		"all":      {`DELETE FROM approval`, `DELETE FROM review`, `DELETE FROM sealed WHERE kind = 'relation' AND id LIKE 'denied %'`},
		"in state": {`UPDATE approval SET state = 'expired'`},
		"in time":  {`UPDATE approval SET decided = 1`},
		"in shape": {`UPDATE approval SET shape = 'x', match = 'x'`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			q := ask(agent("agent:x"), "copy")
			a := h.ask(q)
			_, err := h.review(a.ID, "person:ana", approval.Deny)
			must(t, err)
			for _, q := range edits {
				h.edit(q)
			}
			_, _, err = h.engine.Ask(context.Background(), q)
			wantErr(t, err, approval.ErrTampered)
			h.clock.add(61 * time.Minute) // then it doesn't count any more
			if name != "all" {
				h.ask(q)
			}
		})
	}
}
