package console

import (
	"maps"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// Appender is the traffic lane: audit.Spool.
type Appender interface {
	Append(r *audit.Record) (seq int64, err error)
	AppendSoon(r *audit.Record) error
}

// Traffic passes records on to the traffic lane and remembers the newest: that
// lane is sealed into the log by segments and can't be searched before. What is
// remembered is for looking at only, and starts empty with the process.
type Traffic struct {
	next Appender

	mu    sync.Mutex
	ring  []audit.Record // owned by mu; oldest at at%len once it is full
	at    int
	count int64
}

// trafficKept is how many records are remembered: some 4 MB at most.
const trafficKept = 4096

// NewTraffic stands before next.
func NewTraffic(next Appender) *Traffic { return &Traffic{next: next} }

// Append implements Appender. Only what next has written is remembered.
func (t *Traffic) Append(r *audit.Record) (int64, error) {
	seq, err := t.next.Append(r)
	if err == nil {
		t.keep(r)
	}
	return seq, err
}

// AppendSoon implements Appender.
func (t *Traffic) AppendSoon(r *audit.Record) error {
	err := t.next.AppendSoon(r)
	if err == nil {
		t.keep(r)
	}
	return err
}

// keep remembers a copy of r, in the memory of the oldest once there are enough.
func (t *Traffic) keep(r *audit.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	if len(t.ring) < trafficKept {
		t.ring = append(t.ring, audit.Record{})
		copyRecord(&t.ring[len(t.ring)-1], r)
		return
	}
	copyRecord(&t.ring[t.at], r)
	t.at = (t.at + 1) % trafficKept
}

// copyRecord makes dst a copy of src that shares no list or map with it.
func copyRecord(dst, src *audit.Record) {
	kinds, chain, rules := append(dst.Kinds[:0], src.Kinds...), append(dst.Chain[:0], src.Chain...), append(dst.Rules[:0], src.Rules...)
	findings, masked, detail := copyMap(dst.Findings, src.Findings), copyMap(dst.Masked, src.Masked), copyMap(dst.Detail, src.Detail)
	rows := dst.Rows
	*dst = *src
	dst.Kinds, dst.Chain, dst.Rules, dst.Findings, dst.Masked, dst.Detail = kinds, chain, rules, findings, masked, detail
	if src.Rows != nil {
		if rows == nil {
			rows = new(int64)
		}
		*rows = *src.Rows
		dst.Rows = rows
	}
}

func copyMap[V any](dst, src map[string]V) map[string]V {
	clear(dst)
	if dst == nil && len(src) > 0 {
		dst = make(map[string]V, len(src))
	}
	maps.Copy(dst, src)
	return dst
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
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.ring)
	for i := range n {
		r := &t.ring[(t.at+n-1-i)%n]
		if r.Time.Before(q.Since) {
			return out, true
		}
		if matches(r, &q) {
			if len(out) == q.Limit && q.Limit > 0 {
				return out, false
			}
			var c audit.Record
			copyRecord(&c, r)
			out = append(out, c)
		}
	}
	return out, t.count == int64(n)
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
