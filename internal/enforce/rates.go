package enforce

import (
	"sync"
	"time"

	"github.com/assenthq/assent/action"
)

// rates counts the actions of each actor by minute. A window that reaches back
// before the process started is not known: unknown facts restrict.
type rates struct {
	now   func() time.Time
	since time.Time

	mu   sync.Mutex
	byID map[string]map[int64]int64 // actor → minute → actions; owned by mu
}

func newRates(now func() time.Time) *rates {
	return &rates{now: now, since: now(), byID: map[string]map[int64]int64{}}
}

func (r *rates) add(actor string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.byID[actor]
	if m == nil {
		m = map[int64]int64{}
		r.byID[actor] = m
	}
	minute := at.Unix() / 60
	if _, ok := m[minute]; !ok {
		for old := range m { // at most once a minute for each actor
			if old < minute-24*60 {
				delete(m, old)
			}
		}
	}
	m[minute]++
}

func (r *rates) count(actor string, now time.Time, window time.Duration) action.Count {
	if now.Sub(r.since) < window {
		return action.Count{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	first, n := now.Add(-window).Unix()/60, int64(0)
	for minute, c := range r.byID[actor] {
		if minute > first {
			n += c
		}
	}
	return action.KnownCount(n)
}
