package enforce

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
)

// rates counts the actions of each actor by minute. Each is paid for in the store before it
// happens, as rows are, in blocks: an eighth of the last hour's at once. So what a process before this one
// counted is known when it starts: by the hour, and as if the last one or two hours' had happened now. A crash leaves up
// to a block more than there was, never less.
//
// A window that reaches back before the time since when the store has counted is
// not known: unknown facts restrict. A new deployment did nothing before.
//
// Where several processes decide, each pays one by one at first, and hears at each
// payment, and every refreshEvery, what the others paid. So together they allow what
// one would, and at most the last blocks more: what uses a block that was paid for earlier
// in its hour is as old to the others as the payment.
type rates struct {
	now    func() time.Time
	since  atomic.Int64 // Unix seconds; before, nobody counted
	store  Ledger
	shared bool // other processes pay too
	logger *slog.Logger

	mu   sync.Mutex
	byID map[string]*tally // by actor; guarded by mu
}

// RatesOf is under what the ledger keeps them; systems have names with a colon.
const RatesOf = "actions"

const (
	rateBlock = 8  // which part of the last hour's actions is paid for at once
	rateAlone = 16 // how many at least, where no other process counts on it
)

// sinceMark begins the class under which the ledger has, for nobody, since when actions
// are counted: Unix seconds follow. Of several the last holds.
const sinceMark = "since "

// A tally is the last day of one actor.
type tally struct {
	mu sync.Mutex // guards what follows; held while the store is asked
	minutes
	paidHour int64 // that left is for
	left     int64 // paid for and not used

	opened bool      // the store was asked
	asked  time.Time // when it was asked last
	from   int64     // from which hour on
	known  int64     // what it had then
	ours   int64     // what this process has paid since
}

// minutes is a day in a ring.
type minutes struct {
	last      int64 // minute that was counted last, since 1970
	n         [24 * 60]int32
	hour, day int64 // actions in the 60 and in the 1440 minutes up to last
}

func newRates(now func() time.Time, store Ledger, shared bool, logger *slog.Logger) *rates {
	r := &rates{now: now, store: store, shared: shared, logger: logger, byID: map[string]*tally{}}
	r.since.Store(secondsUp(now()))
	return r
}

// secondsUp is t in Unix seconds, rounded up.
func secondsUp(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

// resume takes up what the store has counted. fresh tells, where it never counted, whether nothing
// was ever decided before: then all that happened will have been counted.
func (r *rates) resume(ctx context.Context, fresh func() (bool, error)) error {
	marks, _, err := r.store.SumRows(ctx, "", RatesOf, time.Unix(0, 0))
	if err != nil {
		return fmt.Errorf("reading since when actions are counted: %w", err)
	}
	since := int64(-1)
	for class := range marks {
		at, err := strconv.ParseInt(strings.TrimPrefix(class, sinceMark), 10, 64)
		if err != nil || at < 0 {
			return fmt.Errorf("reading since when actions are counted: the ledger says %q", class)
		}
		since = max(since, at)
	}
	if since < 0 {
		never, err := fresh()
		if err != nil {
			return fmt.Errorf("finding what was decided before: %w", err)
		}
		if since = secondsUp(r.now()); never {
			since = 0
		}
		if err := r.store.AddRows(ctx, "", sinceMark+strconv.FormatInt(since, 10), RatesOf, time.Unix(0, 0), 1, 0); err != nil {
			return fmt.Errorf("noting since when actions are counted: %w", err)
		}
	}
	r.since.Store(since)
	return nil
}

// Resume takes up how much each actor did, as the store has it, before anything is decided. fresh says
// whether nothing was decided in this deployment before; it is asked where the store never counted. After an error rates are
// known when this process is old enough to know them.
func (e *Enforcer) Resume(ctx context.Context, fresh func() (bool, error)) error {
	return e.rates.resume(ctx, fresh)
}

func (r *rates) tally(actor string, at time.Time) *tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.byID[actor]
	if t == nil {
		t = &tally{minutes: minutes{last: at.Unix()/60 - 61}}
		r.byID[actor] = t
	}
	return t
}

// add counts an action. An error means that it can't be counted, and must not happen.
func (r *rates) add(actor string, at time.Time) error {
	t := r.tally(actor, at)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := r.pay(actor, t, at); err != nil {
		return err
	}
	t.add(at.Unix()/60, 1)
	return nil
}

// pay has one more action of t paid for.
func (r *rates) pay(actor string, t *tally, at time.Time) error {
	if hour := at.Unix() / 3600; hour != t.paidHour {
		t.paidHour, t.left = hour, 0 // what is left of another hour is lost: too much rather than too little
	}
	if t.left == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		least := int64(rateAlone)
		if r.shared {
			least = 1
		}
		if r.shared || !t.opened {
			if err := r.hear(ctx, actor, t, at); err != nil {
				return err
			}
		}
		more := max(t.hour/rateBlock, least)
		if err := r.store.AddRows(ctx, actor, "", RatesOf, at, more, 0); err != nil {
			return fmt.Errorf("counting actions: %w", err)
		}
		t.left, t.ours = more, t.ours+more
	}
	t.left--
	return nil
}

// hear adds what other processes have paid for since the store was asked last, as
// if it had happened now.
func (r *rates) hear(ctx context.Context, actor string, t *tally, now time.Time) error {
	sum := func(from int64) (int64, error) {
		rows, _, err := r.store.SumRows(ctx, actor, RatesOf, time.Unix(from*3600, 0))
		if err != nil {
			return 0, fmt.Errorf("counting actions: %w", err)
		}
		return rows[""], nil
	}
	from, minute := now.Add(-24*time.Hour).Unix()/3600, now.Unix()/60
	if !t.opened {
		day, err := sum(from)
		if err != nil {
			return err
		}
		hour, err := sum(now.Add(-time.Hour).Unix() / 3600)
		if err != nil {
			return err
		}
		t.add(minute-60, day-hour)
		t.add(minute, hour)
		t.opened, t.asked, t.from, t.known = true, now, from, day
		return nil
	}
	total, err := sum(t.from)
	if err != nil {
		return err
	}
	t.add(minute, max(total-t.known-t.ours, 0))
	if from != t.from { // the oldest hour has left the window
		if total, err = sum(from); err != nil {
			return err
		}
	}
	t.asked, t.from, t.known, t.ours = now, from, total, 0
	return nil
}

func (m *minutes) add(minute, n int64) {
	m.advance(minute)
	at := &m.n[m.last%int64(len(m.n))]
	n = min(n, math.MaxInt32-int64(*at))
	*at += int32(n)
	m.hour += n
	m.day += n
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
func (r *rates) count(ctx context.Context, actor string, now time.Time) (hour, day action.Count) {
	t := r.tally(actor, now)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.opened || r.shared && now.Sub(t.asked) >= refreshEvery {
		if err := r.hear(ctx, actor, t, now); err != nil {
			r.logger.Warn("how much an actor did is not known", "actor", actor, "err", err)
			return hour, day
		}
	}
	t.advance(now.Unix() / 60)
	counted := now.Unix() - r.since.Load()
	if counted >= 3600 {
		hour = action.KnownCount(t.hour)
	}
	if counted >= 24*3600 {
		day = action.KnownCount(t.day)
	}
	return hour, day
}

// settle forgets actors that did nothing for a day. end: what was paid for and not
// used is given back.
func (r *rates) settle(end bool) error {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	var first error
	for actor, t := range r.byID {
		t.mu.Lock()
		if end && t.left > 0 && t.paidHour == now.Unix()/3600 {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			if err := r.store.AddRows(ctx, actor, "", RatesOf, now, -t.left, 0); err != nil && first == nil {
				first = fmt.Errorf("counting actions: %w", err)
			}
			cancel()
			t.left = 0
		}
		idle := now.Unix()/60-t.last > int64(len(t.n))
		t.mu.Unlock()
		if idle {
			delete(r.byID, actor)
		}
	}
	return first
}
