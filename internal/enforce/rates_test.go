package enforce

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/store/sqlite"
)

// The ring says what a plain list of times says.
func TestRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		r := newRates(func() time.Time { return now }, nil, slog.New(slog.DiscardHandler))
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
			if old := now.Sub(r.since); hour.Known != (old >= time.Hour) || day.Known != (old >= 24*time.Hour) {
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
	node := func() *rates { return newRates(clock, store, slog.New(slog.DiscardHandler)) }
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
	late.since = now.Add(-25 * time.Hour)
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
	r := newRates(func() time.Time { return now }, store, slog.New(slog.DiscardHandler))
	r.since = now.Add(-25 * time.Hour)
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
