package enforce

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// A book is a ledger in memory.
type book struct {
	of     map[[3]string]map[int64]int64 // subject, class and resource, then hour
	broken error
}

func (b *book) AddRows(_ context.Context, subject, class, resource string, at time.Time, rows, _ int64) error {
	k := [3]string{subject, class, resource}
	if b.of == nil {
		b.of = map[[3]string]map[int64]int64{}
	}
	if b.of[k] == nil {
		b.of[k] = map[int64]int64{}
	}
	b.of[k][at.Unix()/3600] += rows
	return nil
}

func (b *book) SumRows(_ context.Context, subject, resource string, since time.Time) (rows, bytes map[string]int64, err error) {
	rows = map[string]int64{}
	for k, hours := range b.of {
		for hour, n := range hours {
			if k[0] == subject && k[2] == resource && hour >= since.Unix()/3600 {
				rows[k[1]] += n
			}
		}
	}
	return rows, nil, b.broken
}

// Processes that come one after the other, ended or killed, alone or with others, know at each moment at least what
// there was, and as soon as the first of them is old enough, or at once where it is a deployment's first.
func TestRatesAfterARestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx, ledger := context.Background(), &book{}
		now := time.Unix(1_800_000_000+rapid.Int64Range(0, 3600).Draw(t, "offset"), 0)
		shared, fresh := rapid.Bool().Draw(t, "shared"), rapid.Bool().Draw(t, "fresh")
		begun := now
		start := func() *rates {
			r := newRates(func() time.Time { return now }, ledger, shared, slog.New(slog.DiscardHandler))
			if err := r.resume(ctx, func() (bool, error) { return fresh, nil }); err != nil {
				t.Fatal(err)
			}
			return r
		}
		nodes := []*rates{start()}
		if shared {
			nodes = append(nodes, start())
		}
		var all []time.Time
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 2*3600).Draw(t, "seconds")) * time.Second)
			i := rapid.IntRange(0, len(nodes)-1).Draw(t, "node")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0: // killed
				nodes[i] = start()
			case 1: // ended in order
				if err := nodes[i].settle(true); err != nil {
					t.Fatal(err)
				}
				nodes[i] = start()
			default:
				for range rapid.IntRange(0, 40).Draw(t, "actions") {
					if err := nodes[i].add("agent:a", now); err != nil {
						t.Fatal(err)
					}
					all = append(all, now)
				}
			}
			now = now.Add(refreshEvery)
			wantHour, wantDay := int64(0), int64(0)
			for _, at := range all {
				if ago := now.Unix()/60 - at.Unix()/60; ago < 24*60 {
					wantDay++
					if ago < 60 {
						wantHour++
					}
				}
			}
			hour, day := nodes[i].count(ctx, "agent:a", now)
			if old := now.Sub(begun); hour.Known != (fresh || old >= time.Hour) || day.Known != (fresh || old >= 24*time.Hour) {
				t.Fatalf("after %v known = %v, %v; a new deployment: %v", old, hour.Known, day.Known, fresh)
			}
			blocks := int64(0) // of the other process, used later than they were paid for
			if shared {
				blocks = int64(len(all))/(rateBlock/2) + 1
			}
			if hour.Known && hour.N+blocks < wantHour || day.Known && day.N+blocks < wantDay {
				t.Fatalf("counted %d and %d, there were %d and %d", hour.N, day.N, wantHour, wantDay)
			}
			if other, _ := nodes[i].count(ctx, "agent:b", now); other.Known && other.N != 0 {
				t.Fatalf("another actor did %d", other.N)
			}
		}
	})
}

// A mark that nobody can read leaves rates unknown, as does one that was taken away.
func TestRatesWithoutAMark(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		edit  func(*book)
		fails bool
	}{
		"taken away":       {func(b *book) { delete(b.of, [3]string{"", sinceMark + "0", RatesOf}) }, false},
		"unreadable":       {func(b *book) { b.of[[3]string{"", "since ever", RatesOf}] = map[int64]int64{0: 1} }, true},
		"sealed by nobody": {func(b *book) { b.broken = store.ErrLedgerEdited }, true},
	} {
		ledger, now := &book{}, time.Unix(1_800_000_000, 0)
		known := func(r *rates) bool { hour, _ := r.count(ctx, "agent:a", now); return hour.Known }
		start := func(fresh bool) (*rates, error) {
			r := newRates(func() time.Time { return now }, ledger, false, slog.New(slog.DiscardHandler))
			return r, r.resume(ctx, func() (bool, error) { return fresh, nil })
		}
		if r, err := start(true); err != nil || !known(r) {
			t.Fatalf("a new deployment: %v", err)
		}
		c.edit(ledger)
		r, err := start(false)
		if ledger.broken = nil; (err != nil) != c.fails || known(r) {
			t.Errorf("%s: known %t, %v", name, known(r), err)
		}
		if now = now.Add(time.Hour); !known(r) {
			t.Errorf("%s: an hour later it is not known", name)
		}
	}
}

// The ring says what a plain list of times says.
func TestRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		r := newRates(func() time.Time { return now }, &book{}, false, slog.New(slog.DiscardHandler))
		var all []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 3*3600).Draw(t, "seconds")) * time.Second)
			for range rapid.IntRange(0, 3).Draw(t, "actions") {
				_ = r.add("agent:a", now)
				all = append(all, now)
			}
			wantHour, wantDay := int64(0), int64(0)
			for _, at := range all {
				if ago := now.Unix()/60 - at.Unix()/60; ago < 24*60 {
					wantDay++
					if ago < 60 {
						wantHour++
					}
				}
			}
			hour, day := r.count(context.Background(), "agent:a", now)
			if old := now.Sub(time.Unix(r.since.Load(), 0)); hour.Known != (old >= time.Hour) || day.Known != (old >= 24*time.Hour) {
				t.Fatalf("after %v known = %v, %v", old, hour.Known, day.Known)
			}
			if hour.Known && hour.N != wantHour || day.Known && day.N != wantDay {
				t.Fatalf("counted %d and %d, want %d and %d", hour.N, day.N, wantHour, wantDay)
			}
		}
	})
}

// Several processes on one ledger count together: held to a limit, they allow what
// one would, and no more besides than what they had paid for ahead.
func TestRatesAreShared(t *testing.T) {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	store.SealLedger(make([]byte, 32))
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { return now }
	node := func() *rates { return newRates(clock, store, true, slog.New(slog.DiscardHandler)) }
	nodes := []*rates{node(), node(), node()}
	now = now.Add(25 * time.Hour)

	const limit = 80
	allowed := 0
	for range 3 * limit { // in turn, within one second: nobody looks again by itself
		for _, r := range nodes {
			hour, day := r.count(ctx, "agent:a", now)
			if !hour.Known || !day.Known {
				t.Fatal("not known")
			}
			if hour.N >= limit {
				continue
			}
			allowed++
			if err := r.add("agent:a", now); err != nil {
				t.Fatal(err)
			}
		}
	}
	if allowed < limit || allowed > limit+3*limit/rateBlock {
		t.Errorf("three processes allowed %d of %d", allowed, limit)
	}
	for i, r := range nodes {
		now = now.Add(refreshEvery)
		if hour, day := r.count(ctx, "agent:a", now); hour.N < int64(allowed) || day.N < int64(allowed) {
			t.Errorf("process %d knows of %d and %d of %d", i, hour.N, day.N, allowed)
		}
	}
	if hour, _ := nodes[0].count(ctx, "agent:b", now); hour.N != 0 {
		t.Errorf("another actor did %d", hour.N)
	}

	// Ended in order, they leave what was; one that starts then knows it.
	for _, r := range nodes {
		if err := r.settle(true); err != nil {
			t.Fatal(err)
		}
	}
	late := node()
	late.since.Store(now.Add(-25 * time.Hour).Unix())
	if hour, _ := late.count(ctx, "agent:a", now); hour.N != int64(allowed) {
		t.Errorf("afterwards there are %d of %d", hour.N, allowed)
	}
	now = now.Add(2 * time.Hour)
	if hour, day := late.count(ctx, "agent:a", now); hour.N != 0 || day.N != int64(allowed) {
		t.Errorf("two hours later: %d and %d", hour.N, day.N)
	}
	now = now.Add(24 * time.Hour)
	if hour, day := late.count(ctx, "agent:a", now); hour.N != 0 || day.N != 0 {
		t.Errorf("a day later: %d and %d", hour.N, day.N)
	}
}

// A count that can't be read or written is unknown, and what can't be counted doesn't happen.
func TestRatesThatCanNotBeCounted(t *testing.T) {
	ctx := context.Background()
	store, err := sqlite.Open(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store.SealLedger(make([]byte, 32))
	now := time.Unix(1_800_000_000, 0)
	r := newRates(func() time.Time { return now }, store, true, slog.New(slog.DiscardHandler))
	r.since.Store(now.Add(-25 * time.Hour).Unix())
	if err := r.add("agent:a", now); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(refreshEvery)
	if hour, day := r.count(ctx, "agent:a", now); hour.Known || day.Known {
		t.Errorf("known: %v, %v", hour, day)
	}
	if r.add("agent:a", now) == nil {
		t.Error("it was counted")
	}
}
