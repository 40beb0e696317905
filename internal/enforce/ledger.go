package enforce

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/detect"
)

// ledger adds up what each person's actors read from each system, in all and by
// class. It answers from memory, filled from the store when an account is first asked
// for. Rows are paid for in the store before they pass: in blocks, so that a
// harmless read costs no transaction of its own. What a crash leaves says that up to a
// block more was read than was, never less; an orderly end gives the rest back.
type ledger struct {
	store Ledger
	now   func() time.Time
	block int64 // rows paid for at once, at least
	// shared says that other processes pay too: what they paid is looked up every refreshEvery.
	shared bool

	mu       sync.Mutex
	accounts map[ledgerEntry]*account // owned by mu
}

type ledgerEntry struct{ subject, resource string }

// classSet is a set of classes as bits, in the order of ledgerClasses; the
// lowest stands for all rows, whatever is in them.
type classSet [maxLedgerClasses / 64]uint64

var allRows = classSet{1}

// ledgerClasses are the classes that are counted each by itself.
var ledgerClasses = append([]string{""}, func() (out []string) {
	for _, c := range detect.Classes() {
		if detect.Counted(c) == c {
			out = append(out, string(c))
		}
	}
	return out
}()...)

// ledgerIndex is the place of a class in ledgerClasses; 0: none.
func ledgerIndex(class string) int {
	if _, _, own := detect.OwnClass(detect.Class(class)); own {
		class = string(detect.Counted(detect.Class(class)))
	}
	return ledgerPlaces[class]
}

var ledgerPlaces = func() map[string]int {
	places := map[string]int{}
	for _, c := range detect.Classes() {
		places[string(c)] = slices.Index(ledgerClasses, string(detect.Counted(c)))
	}
	return places
}()

func setOf(class string) (set classSet) {
	if i := ledgerIndex(class); i > 0 {
		set.put(i)
	}
	return set
}

func (s *classSet) put(i int)          { s[i/64] |= 1 << (i % 64) }
func (s *classSet) has(i int) bool     { return s[i/64]&(1<<(i%64)) != 0 }
func (s *classSet) empty() bool        { return *s == classSet{} }
func (s *classSet) join(more classSet) { s.each(&more, func(a, b uint64) uint64 { return a | b }) }
func (s *classSet) keep(only classSet) { s.each(&only, func(a, b uint64) uint64 { return a & b }) }
func (s *classSet) drop(some classSet) { s.each(&some, func(a, b uint64) uint64 { return a &^ b }) }

func (s *classSet) each(other *classSet, op func(a, b uint64) uint64) {
	for i := range s {
		s[i] = op(s[i], other[i])
	}
}

// all yields the places in the set.
func (s *classSet) all(yield func(int) bool) {
	for k, word := range s {
		for ; word != 0; word &= word - 1 {
			if !yield(k*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// maxLedgerClasses is more than there are, which a test holds.
const maxLedgerClasses = 128

// An account is what one person's actors read from one system.
type account struct {
	key  ledgerEntry
	mu   sync.Mutex // guards what follows; held while the store is written
	used time.Time
	hour int64 // that paid is for
	paid [maxLedgerClasses]purse
	read [maxLedgerClasses]*window // nil: nothing

	// Of a shared ledger: what the store had when it was last asked, from which
	// hour on, and what this process has paid since then.
	asked time.Time
	since int64
	known [maxLedgerClasses]int64
	ours  [maxLedgerClasses]int64
}

const refreshEvery = 2 * time.Second

// A purse is what the store has of an hour: all of it, and how much of that has not been read.
type purse struct{ rows, left, bytes int64 }

// window holds rows by minute for the last hour.
type window struct {
	minutes [61]int64
	last    int64 // minute that was written last
	sum     int64
}

const ledgerWindow = time.Hour

func newLedger(store Ledger, now func() time.Time, limit int64, shared bool) *ledger {
	return &ledger{store: store, now: now, block: max(limit/100, 1), shared: shared, accounts: map[ledgerEntry]*account{}}
}

// account finds or opens the account of a person and a system.
func (l *ledger) account(ctx context.Context, subject, resource string, now time.Time) (*account, error) {
	k := ledgerEntry{subject, resource}
	l.mu.Lock()
	a := l.accounts[k]
	l.mu.Unlock()
	if a != nil {
		return a, l.refresh(ctx, a, now)
	}
	rows, _, err := l.store.SumRows(ctx, subject, resource, now.Add(-ledgerWindow))
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	a = &account{key: k, used: now}
	for i, class := range ledgerClasses {
		if rows[class] != 0 {
			a.window(i).add(now.Unix()/60, rows[class]) // as if read now: for too long rather than too short
		}
		a.known[i] = rows[class]
	}
	a.asked, a.since = now, hoursBack(now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if first := l.accounts[k]; first != nil {
		return first, nil
	}
	l.accounts[k] = a
	return a, nil
}

// hoursBack is the hour in which the window that ends at now begins.
func hoursBack(now time.Time) int64 { return now.Add(-ledgerWindow).Unix() / 3600 }

// refresh adds what other processes have paid for since the store was last
// asked, as if it were read now. An error means that it isn't known.
func (l *ledger) refresh(ctx context.Context, a *account, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !l.shared || now.Sub(a.asked) < refreshEvery {
		return nil
	}
	rows, _, err := l.store.SumRows(ctx, a.key.subject, a.key.resource, time.Unix(a.since*3600, 0))
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	for i, class := range ledgerClasses {
		if more := rows[class] - a.known[i] - a.ours[i]; more > 0 {
			a.window(i).add(now.Unix()/60, more)
		}
	}
	if since := hoursBack(now); since != a.since { // the oldest hour has left the window
		if rows, _, err = l.store.SumRows(ctx, a.key.subject, a.key.resource, time.Unix(since*3600, 0)); err != nil {
			return fmt.Errorf("reading the ledger: %w", err)
		}
		a.since = since
	}
	for i, class := range ledgerClasses {
		a.known[i], a.ours[i] = rows[class], 0
	}
	a.asked = now
	return nil
}

// window is what was read of a class. The account's lock is held.
func (a *account) window(i int) *window {
	if a.read[i] == nil {
		a.read[i] = new(window)
	}
	return a.read[i]
}

// forget drops minutes that are older than the window.
func (w *window) forget(minute int64) {
	if minute <= w.last {
		return
	}
	for m := max(w.last+1, minute-60); m <= minute; m++ {
		w.sum -= w.minutes[m%61]
		w.minutes[m%61] = 0
	}
	w.last = minute
}

func (w *window) add(minute, rows int64) {
	w.forget(minute)
	w.minutes[w.last%61] += rows
	w.sum += rows
}

// Rows is what was read with a class in it in the last hour; "all" is all.
func (r *reads) Rows(class string) int64 {
	i := 0
	if class != "all" {
		if i = ledgerIndex(class); i == 0 {
			return 0
		}
	}
	r.account.mu.Lock()
	defer r.account.mu.Unlock()
	w := r.account.window(i)
	w.forget(r.now.Unix() / 60)
	return w.sum
}

// reads is an account at the moment of a decision.
type reads struct {
	account *account
	now     time.Time
}

// over returns the first class of set of which more than its limit was read, or
// as much with none to spare; ok is false when there is none.
func (a *account) over(set classSet, limits *ledgerLimits, spare bool, now time.Time) (class string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = now
	for i := range set.all {
		limit := limits[i]
		if limit == 0 {
			continue
		}
		w := a.window(i)
		if w.forget(now.Unix() / 60); w.sum > limit || !spare && w.sum >= limit {
			return ledgerClasses[i], true
		}
	}
	return "", false
}

// ledgerLimits are rows an hour, in the order of ledgerClasses; 0: none.
type ledgerLimits [maxLedgerClasses]int64

// add counts rows of classes before they flow. An error means that they can't be
// counted, and must not flow.
func (l *ledger) add(a *account, set classSet, rows, bytes int64, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used = now
	if hour := now.Unix() / 3600; hour != a.hour {
		a.hour, a.paid = hour, [maxLedgerClasses]purse{} // what is left of another hour is lost: too much rather than too little
	}
	for i := range set.all {
		p := &a.paid[i]
		p.bytes += bytes
		if p.left < rows {
			more := max(l.block, rows-p.left, p.rows/4)
			if err := l.pay(a, i, now, more, p.bytes); err != nil {
				return err
			}
			a.ours[i] += more
			p.rows, p.left, p.bytes = p.rows+more, p.left+more, 0
		}
		p.left -= rows
		a.window(i).add(now.Unix()/60, rows)
	}
	return nil
}

func (l *ledger) pay(a *account, class int, at time.Time, rows, bytes int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := l.store.AddRows(ctx, a.key.subject, ledgerClasses[class], a.key.resource, at, rows, bytes); err != nil {
		return fmt.Errorf("writing the ledger: %w", err)
	}
	return nil
}

// settle gives back what was paid for and not read, and forgets accounts that
// nobody uses. end: all of it.
func (l *ledger) settle(end bool) error {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var first error
	for k, a := range l.accounts {
		a.mu.Lock()
		idle := now.Sub(a.used) > 2*ledgerWindow
		for i := range a.paid {
			if p := &a.paid[i]; end && a.hour == now.Unix()/3600 && (p.left > 0 || p.bytes > 0) {
				if err := l.pay(a, i, now, -p.left, p.bytes); err != nil && first == nil {
					first = err
				}
				*p = purse{}
			}
		}
		a.mu.Unlock()
		if idle {
			delete(l.accounts, k)
		}
	}
	return first
}

// Run keeps the ledger and the rates until ctx ends, and settles them then.
func (e *Enforcer) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return errors.Join(e.ledger.settle(true), e.rates.settle(true))
		case <-tick.C:
			if err := errors.Join(e.ledger.settle(false), e.rates.settle(false)); err != nil {
				e.o.Logger.Error("the ledger can't be settled", "err", err)
			}
		}
	}
}
