package policy

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a machine without a zone database would otherwise refuse every pack with a calendar
)

// A calendar is a weekly window in one time zone. A window whose end is not
// after its start reaches into the next day.
type calendar struct {
	zone     *time.Location
	days     [7]bool // by time.Weekday, of the day a window starts
	from, to int     // minutes after midnight
}

// open says whether the window is open at t; nobody knows at an unknown time.
func (c *calendar) open(t time.Time) Tri {
	if t.IsZero() {
		return DontKnow
	}
	t = t.In(c.zone)
	minute := t.Hour()*60 + t.Minute()
	today, yesterday := c.days[t.Weekday()], c.days[(t.Weekday()+6)%7]
	if c.from < c.to {
		return tri(today && c.from <= minute && minute < c.to)
	}
	return tri(today && c.from <= minute || yesterday && minute < c.to)
}

// text is the calendar in one spelling.
func (c *calendar) text() string {
	var days []string
	for d, on := range c.days {
		if on {
			days = append(days, strings.ToLower(time.Weekday(d).String()[:3]))
		}
	}
	return fmt.Sprintf("%s %02d:%02d to %02d:%02d %s", strings.Join(days, " "), c.from/60, c.from%60, c.to/60, c.to%60, c.zone)
}

// clockMinutes reads "20:00"; 24:00 is the end of the day.
func clockMinutes(s string) (int, bool) {
	if s == "24:00" {
		return 24 * 60, true
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, false
	}
	return t.Hour()*60 + t.Minute(), true
}
