package console

import (
	"encoding/json"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// Traffic remembers the newest records of the traffic lane, which is sealed into
// the log by segments and can't be searched before. What is remembered is for
// looking at only, and starts empty with the process.
type Traffic struct {
	mu    sync.Mutex
	ring  [][]byte // leaves; guarded by mu, as count is
	count int64    // record n is at n%trafficKept while it is among the newest
}

// trafficKept is how many records are remembered: some 4 MB as a rule; none takes more than keptLeaf.
const (
	trafficKept = 4096
	keptLeaf    = 16 << 10
)

// Tap remembers a record that the lane has written.
func (t *Traffic) Tap(leaf []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	if len(leaf) > keptLeaf {
		leaf = nil // it is in the lane, and was no record of a harmless read
	}
	if len(t.ring) < trafficKept {
		t.ring = append(t.ring, make([]byte, 0, 1<<10))
	}
	at := &t.ring[(t.count-1)%trafficKept]
	*at = append((*at)[:0], leaf...)
}

// leaf appends the leaf of record n to buf; ok is false when it is not among the newest any more.
func (t *Traffic) leaf(buf []byte, n int64) (_ []byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n < 0 || n >= t.count || n < t.count-trafficKept {
		return buf, false
	}
	return append(buf, t.ring[n%trafficKept]...), true
}

// total is how many records went through; it tells whether there is news.
func (t *Traffic) total() int64 {
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// search returns the newest records first that match q, as far as they are
// remembered; whole is false when older ones of the time asked for were dropped.
func (t *Traffic) search(q audit.Query) (out []audit.Record, whole bool) {
	if t == nil {
		return nil, true
	}
	var buf []byte
	for n := t.total() - 1; ; n-- {
		var ok bool
		if buf, ok = t.leaf(buf[:0], n); !ok {
			return out, n < 0
		}
		var r audit.Record
		if json.Unmarshal(buf, &r) != nil {
			continue
		}
		if r.Time.Before(q.Since) {
			return out, true
		}
		if matches(&r, &q) {
			if len(out) == q.Limit && q.Limit > 0 {
				return out, false
			}
			out = append(out, r)
		}
	}
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
	type key struct{ session, actor, shape string }
	var out []entry
	open := map[key]int{}
	for i := len(in) - 1; i >= 0; i-- {
		r := &in[i]
		k := key{r.Session, r.Actor, r.Shape}
		switch at, asked := open[k]; {
		case r.Type == audit.TypeRequest:
			open[k] = len(out)
			out = append(out, *r)
		case r.Type == audit.TypeOutcome && asked:
			out[at].Rows = r.Rows
			if len(r.Masked) > 0 {
				out[at].Masked = r.Masked
			}
			delete(open, k)
		}
	}
	slices.Reverse(out)
	return out
}

// since is a query for everything of the last d.
func since(now time.Time, d time.Duration, limit int) audit.Query {
	return audit.Query{Since: now.Add(-d), Limit: limit}
}
