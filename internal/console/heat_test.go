package console

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestHeat(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 3, 0, 0, time.UTC)
	ta := newTally(nil, nil, func() time.Time { return now })
	ta.asked = now
	add := func(w way, when time.Time, n int64) {
		s := ta.at(when)
		s.add(w, int(when.Sub(s.start)/time.Minute), n)
	}
	add(way{"agent:a", "g", "r", "ok"}, now, 100)
	if ta.heatOf(time.Hour) != nil {
		t.Error("one agent is compared with nobody")
	}
	add(way{"agent:a", "g", "r", "bad"}, now.Add(-50*time.Minute), 3)
	add(way{"agent:b", "g", "r", "wait"}, now.Add(-10*time.Minute), 50)
	add(way{"agent:b", "g", "r", "ok"}, now.Add(-2*time.Hour), 1000) // before what is shown
	for i := range 50 {
		add(way{fmt.Sprintf("agent:c%02d", i), "g", "r", "ok"}, now, 1)
	}
	h := ta.heatOf(time.Hour)
	if len(h.Columns) != 12 || len(h.Rows) != heatRows || h.More != 12 {
		t.Fatalf("%d columns, %d rows, %d more", len(h.Columns), len(h.Rows), h.More)
	}
	a, b := h.Rows[0], h.Rows[1]
	if a.Actor != "agent:a" || a.Total != "103" || a.Denied != 3 || a.Cells[11].Level != 5 || a.Cells[1].Class != "bad" || a.Cells[1].Level != 1 {
		t.Errorf("%+v", a)
	}
	if b.Total != "50" || b.Cells[9].Level != 4 || b.Cells[9].Class != "wait" || !strings.Contains(b.Cells[9].Title, "50 held") || b.Cells[11].Level != 0 {
		t.Errorf("%+v", b)
	}
	if day := ta.heatOf(24 * time.Hour); len(day.Columns) != 24 || day.Rows[0].Actor != "agent:b" {
		t.Errorf("a day: %d columns, %s first", len(day.Columns), day.Rows[0].Actor)
	}
}
