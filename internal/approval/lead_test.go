package approval

import (
	"testing"
	"time"
)

// A plan says what its actor has seen for any of its items.
func TestLeadOfSeveral(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	saw := func(kind string, minutes int) Saw {
		return Saw{Kind: kind, Until: at.Add(time.Duration(minutes) * time.Minute)}
	}
	first := &Lead{Session: "s1", Names: "yes", Saw: []Saw{saw(SawSensitive, 5)}}
	l := (*Lead)(nil).with(nil).with(first).with(nil).with(&Lead{Saw: []Saw{saw(SawSensitive, 9), saw(SawUntrusted, 1)}}).with(&Lead{Saw: []Saw{saw(SawSensitive, 7)}})
	if l.Session != "s1" || l.Names != "" || len(l.Saw) != 2 || !l.Saw[0].Until.Equal(at.Add(9*time.Minute)) {
		t.Errorf("%+v", l)
	}
	if first.Names != "yes" || len(first.Saw) != 1 || !first.Saw[0].Until.Equal(at.Add(5*time.Minute)) {
		t.Errorf("an item's own changed: %+v", first)
	}
	if (*Lead)(nil).with(nil) != nil {
		t.Error("something out of nothing")
	}
}
