package enforce

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// ledger adds up what each person's actors read from each resource. It answers
// from memory, filled from the store when a key is first seen, and writes what
// was added behind, so that a harmless read costs no transaction. What a crash
// loses is at most one flush.
type ledger struct {
	store Ledger
	now   func() time.Time

	mu    sync.Mutex
	known map[ledgerEntry]*window
	dirty map[ledgerEntry]added
}

type ledgerEntry struct{ subject, resource string }

type added struct{ rows, bytes int64 }

// window holds rows by minute for the last hour.
type window struct {
	minutes map[int64]int64
	used    time.Time
}

const ledgerWindow = time.Hour

func newLedger(store Ledger, now func() time.Time) *ledger {
	return &ledger{store: store, now: now, known: map[ledgerEntry]*window{}, dirty: map[ledgerEntry]added{}}
}

// sum is how many rows were read in the last hour.
func (l *ledger) sum(ctx context.Context, subject, resource string) (int64, error) {
	k, now := ledgerEntry{subject, resource}, l.now()
	l.mu.Lock()
	w := l.known[k]
	l.mu.Unlock()
	if w == nil {
		rows, _, err := l.store.SumRows(ctx, subject, resource, now.Add(-ledgerWindow))
		if err != nil {
			return 0, fmt.Errorf("reading the ledger: %w", err)
		}
		l.mu.Lock()
		if w = l.known[k]; w == nil { // counted as if read now: for too long rather than too short
			w = &window{minutes: map[int64]int64{now.Unix() / 60: rows + l.dirty[k].rows}}
			l.known[k] = w
		}
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return w.sum(now), nil
}

// sum is how many rows w holds for the hour before now. The caller holds the ledger's lock.
func (w *window) sum(now time.Time) int64 {
	w.used = now
	total, first := int64(0), now.Add(-ledgerWindow).Unix()/60
	for minute, n := range w.minutes {
		if minute < first {
			delete(w.minutes, minute)
			continue
		}
		total += n
	}
	return total
}

// add counts rows before they flow, and returns what they make with all that
// other statements of the same person have counted in the last hour.
func (l *ledger) add(subject, resource string, rows, bytes int64) (total int64) {
	k, now := ledgerEntry{subject, resource}, l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.dirty[k]
	l.dirty[k] = added{d.rows + rows, d.bytes + bytes}
	w := l.known[k]
	if w == nil {
		return rows
	}
	w.minutes[now.Unix()/60] += rows
	return w.sum(now)
}

// flush writes what was added. What can't be written is kept for the next time.
func (l *ledger) flush(ctx context.Context) error {
	l.mu.Lock()
	dirty := l.dirty
	l.dirty = map[ledgerEntry]added{}
	for k, w := range l.known {
		if l.now().Sub(w.used) > 2*ledgerWindow && dirty[k] == (added{}) {
			delete(l.known, k)
		}
	}
	l.mu.Unlock()
	var first error
	for k, d := range dirty {
		err := l.store.AddRows(ctx, k.subject, "", k.resource, l.now(), d.rows, d.bytes)
		if err == nil {
			continue
		}
		first = fmt.Errorf("writing the ledger: %w", err)
		l.mu.Lock()
		again := l.dirty[k]
		l.dirty[k] = added{again.rows + d.rows, again.bytes + d.bytes}
		l.mu.Unlock()
	}
	return first
}

// Run writes the ledger behind until ctx ends, and once more then.
func (e *Enforcer) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			return e.ledger.flush(last)
		case <-tick.C:
			if err := e.ledger.flush(ctx); err != nil && ctx.Err() == nil {
				e.o.Logger.Error("the ledger is behind", "err", err)
			}
		}
	}
}
