package enforce

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The ring says what a plain list of times says.
func TestRates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		r := newRates(func() time.Time { return now })
		var all []time.Time
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, 3*3600).Draw(t, "seconds")) * time.Second)
			for range rapid.IntRange(0, 3).Draw(t, "actions") {
				r.add("agent:a", now)
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
			hour, day := r.count("agent:a", now)
			if old := now.Sub(r.since); hour.Known != (old >= time.Hour) || day.Known != (old >= 24*time.Hour) {
				t.Fatalf("after %v known = %v, %v", old, hour.Known, day.Known)
			}
			if hour.Known && hour.N != wantHour || day.Known && day.N != wantDay {
				t.Fatalf("counted %d and %d, want %d and %d", hour.N, day.N, wantHour, wantDay)
			}
		}
	})
}
