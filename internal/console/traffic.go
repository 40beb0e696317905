package console

import (
	"encoding/json"
	"slices"
	"sort"

	"github.com/assenthq/assent/internal/audit"
)

// Traffic shows the newest records of the traffic lane, which is sealed into the
// log by segments and can't be searched before. What can be shown is for looking
// at only, and begins anew with the process.
type Traffic struct{ Spool *audit.Spool }

// total is how many records went through; it tells whether there is news.
func (t *Traffic) total() int64 {
	if t == nil {
		return 0
	}
	return t.Spool.Status().Records
}

// search returns the newest records first that match q, as far as they can still be
// read back; whole is false when older ones of the time asked for can't.
func (t *Traffic) search(q audit.Query) (out []audit.Record, whole bool) {
	if t == nil {
		return nil, true
	}
	look := t.Spool.Recent()
	defer look.Close()
	began, next := look.Bounds()
	whole = next-began < audit.RecentKept
	for n := next - 1; n >= began; n-- {
		leaf, ok := look.Leaf(n)
		if !ok {
			return out, false
		}
		var r audit.Record
		if json.Unmarshal(leaf, &r) != nil {
			continue
		}
		if r.Time.Before(q.Since) {
			return out, true
		}
		if matches(&r, &q) {
			if len(out) == q.Limit && q.Limit > 0 {
				return out, false
			}
			out = append(out, ofWhat(look, r))
		}
	}
	return out, whole
}

// ofWhat is an outcome with what its request says of it: it names that, and does not repeat it.
func ofWhat(look *audit.Recent, r audit.Record) audit.Record {
	if r.Type != audit.TypeOutcome || r.Previous == 0 {
		return r
	}
	var asked audit.Record
	if leaf, ok := look.Leaf(r.Previous); !ok || json.Unmarshal(leaf, &asked) != nil || asked.Session != r.Session {
		return r
	}
	r.Subject, r.Chain, r.Resource, r.Env = asked.Subject, asked.Chain, asked.Resource, asked.Env
	r.Kinds, r.Verb, r.Target, r.Title, r.Shape = asked.Kinds, asked.Verb, asked.Target, asked.Title, asked.Shape
	return r
}

func matches(r *audit.Record, q *audit.Query) bool {
	same := func(want, have string) bool { return want == "" || want == have }
	return (len(q.Types) == 0 || slices.Contains(q.Types, r.Type)) && (q.Until.IsZero() || r.Time.Before(q.Until)) &&
		same(q.Actor, r.Actor) && same(q.Session, r.Session) && same(q.Approval, r.Approval)
}

// entry is a record of either lane.
type entry struct {
	audit.Record
	Traffic bool // its index counts in the traffic lane, and it has no proof yet
}

// merge joins both lanes, the newest first.
func merge(log, traffic []audit.Record, limit int) []entry {
	out := make([]entry, 0, len(log)+len(traffic))
	for _, r := range log {
		out = append(out, entry{Record: r})
	}
	for _, r := range traffic {
		out = append(out, entry{Record: r, Traffic: true})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Time.After(out[j].Time) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

// requests picks the requests out of records, newest first, and gives each
// what its outcome told: rows, and values masked on the way back.
func requests(in []entry) []entry {
	type key struct {
		session, actor, shape string
		traffic               bool
		index                 int64 // of the request, where its outcome names it
	}
	var out []entry
	open := map[key]int{}
	for i := len(in) - 1; i >= 0; i-- {
		r := &in[i]
		like, exactly := key{session: r.Session, actor: r.Actor, shape: r.Shape}, key{traffic: r.Traffic, index: r.Index}
		if r.Type == audit.TypeRequest {
			open[like], open[exactly] = len(out), len(out)
			out = append(out, *r)
			continue
		}
		if r.Previous != 0 {
			like = key{traffic: r.Traffic, index: r.Previous}
		}
		if at, asked := open[like]; asked && r.Type == audit.TypeOutcome {
			out[at].Rows = r.Rows
			if len(r.Masked) > 0 {
				out[at].Masked = r.Masked
			}
			delete(open, like)
		}
	}
	slices.Reverse(out)
	return out
}
