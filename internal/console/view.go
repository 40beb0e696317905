package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/freeze"
)

// Shell is what every signed-in page shows around its own content.
type Shell struct {
	Theme, Page, Title string
	Rooms              []Room
	Me                 Avatar
	MyID               string
	Groups             string
	CSRF               string
	Needs              int // approvals that wait for this person
	Log                logBadge
	Frozen             []string // what is, for every page
	FrozenUnknown      bool     // nobody knows, so everything is
	Glass              glassBar // what runs without people, for every page
	Now                time.Time
}

// Avatar is a person or a thing, small.
type Avatar struct {
	Name     []Piece
	Initials string
	Class    string // shape and colour
	Under    []Piece
	Title    string
}

// logBadge tells how far the log reaches and whether somebody checked it.
type logBadge struct {
	Size     int64
	Last     time.Time
	State    string // "ok", "bad" or "" when nothing is claimed
	Verified time.Time
	Covered  int64
}

func stateOf(a *approval.Approval) card.State { return card.StateOf(a) }

func label(id string) string { return card.Label(id) }

// initials are at most two letters of a name.
func initials(name string) string {
	var out []rune
	for _, w := range strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		r, _ := utf8.DecodeRuneInString(w)
		out = append(out, r)
	}
	if len(out) > 2 {
		out = []rune{out[0], out[len(out)-1]}
	}
	if len(out) == 0 {
		return "?"
	}
	return string(out)
}

func human(name, under, class string) Avatar {
	return Avatar{visible(name, maxTitle), strings.ToUpper(initials(name)), "hum " + class, visible(under, maxTitle), ""}
}

// countdown is the time left as mm:ss, hours in front when there are any.
func countdown(d time.Duration) string {
	s := max(0, int(d.Round(time.Second).Seconds()))
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// ago is a rough distance in words; the exact time stands in the title.
func ago(d time.Duration) string {
	switch {
	case d < 5*time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// ring is a countdown drawn as a circle of circumference 100.
type ring struct {
	Class   string
	Left    int // 0 to 100
	Text    string
	Begins  time.Time
	Expires time.Time
}

func ringOf(a *approval.Approval, class string, now time.Time) ring {
	whole, left := a.Expires.Sub(a.Created), a.Expires.Sub(now)
	r := ring{Class: class, Text: countdown(left), Begins: a.Created, Expires: a.Expires}
	if whole > 0 && left > 0 {
		r.Left = min(100, int(100*left/whole))
	}
	return r
}

// viewFuncs are what templates may call.
func viewFuncs() template.FuncMap {
	return template.FuncMap{
		"targets": func() []string {
			return []string{freeze.Actor, freeze.Person, freeze.Resource, freeze.Gate, freeze.Everything}
		},
		"decisions": func() []string {
			return []string{"allow", "review", "deny", "approve", "approved", "denied", "expired", "withdrawn", "executing", "executed", "failed", "unknown"}
		},
		"thousands": thousands,
		"inc":       func(n int) int { return n + 1 },
		"plural":    func(n int, noun string) string { return plural(int64(n), noun) },
		"show":      func(s string) []Piece { return visible(s, maxTitle) },
		"plain":     func(s string) string { return plain(s, maxTitle) },
		"label":     label,
		"iso":       func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") },
		"exact":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"clock":     func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"ago":       func(now, t time.Time) string { return ago(now.Sub(t)) },
		"short": func(d string) string {
			_, hex, _ := strings.Cut(d, ":")
			if len(hex) < 16 {
				return d
			}
			return hex[:6] + "…" + hex[len(hex)-6:]
		},
		"hm":          func(t time.Time) string { return t.UTC().Format("15:04") },
		"middle":      func(y, h float64) float64 { return y + h/2 + 4 },
		"thousands64": func(n int) string { return thousands(int64(n)) },
		"titled":      func(theme, title string) Shell { return Shell{Theme: theme, Title: title} },
	}
}
