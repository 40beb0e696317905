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
	byID map[string]*minutes // by actor; guarded by mu
}

// minutes is the last day of one actor, in a ring.
type minutes struct {
	last      int64 // minute that was counted last, since 1970
	n         [24 * 60]int32
	hour, day int64 // actions in the 60 and in the 1440 minutes up to last
}

func newRates(now func() time.Time) *rates {
	return &rates{now: now, since: now(), byID: map[string]*minutes{}}
}

func (r *rates) add(actor string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.byID[actor]
	if m == nil {
		m = &minutes{last: at.Unix() / 60}
		r.byID[actor] = m
	}
	m.advance(at.Unix() / 60)
	m.n[m.last%int64(len(m.n))]++
	m.hour++
	m.day++
}

// advance lets the windows end at minute. Time that runs back counts as the last minute.
func (m *minutes) advance(minute int64) {
	if minute-m.last >= int64(len(m.n)) {
		*m = minutes{last: minute}
		return
	}
	day := int64(len(m.n))
	for m.last < minute {
		m.last++
		m.hour -= int64(m.n[(m.last-60+day)%day])
		m.day -= int64(m.n[m.last%day])
		m.n[m.last%day] = 0
	}
}

// count is how many actions there were in the last hour and the last day.
func (r *rates) count(actor string, now time.Time) (hour, day action.Count) {
	r.mu.Lock()
	defer r.mu.Unlock()
	inHour, inDay := int64(0), int64(0)
	if m := r.byID[actor]; m != nil {
		m.advance(now.Unix() / 60)
		inHour, inDay = m.hour, m.day
	}
	if now.Sub(r.since) >= time.Hour {
		hour = action.KnownCount(inHour)
	}
	if now.Sub(r.since) >= 24*time.Hour {
		day = action.KnownCount(inDay)
	}
	return hour, day
}
