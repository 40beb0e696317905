package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
)

// reviewingPage is how people review: one's own for everybody, all for those who administer.
type reviewingPage struct {
	Shell
	Nudge  string // what the person is told of themselves
	All    bool
	People []reviewerRow
	Groups []groupRow
	Load   loadChart
}

type reviewerRow struct {
	ID, Name, Groups string
	reviewed
	Median, P90 string
	Says        string // why it looks as if nothing was read
	Load        loadChart
}

type groupRow struct {
	Name   string
	People int
	reviewed
}

// reviewed are figures that add up.
type reviewed struct {
	Reviews, Approved, Fast, Canaries, Missed int
}

func (r *reviewed) add(o reviewed) {
	r.Reviews += o.Reviews
	r.Approved += o.Approved
	r.Fast += o.Fast
	r.Canaries += o.Canaries
	r.Missed += o.Missed
}

// Share is "7 of 10 (70 %)".
func (r reviewed) Share() string {
	if r.Reviews == 0 {
		return "none"
	}
	return fmt.Sprintf("%d of %d (%d %%)", r.Approved, r.Reviews, 100*r.Approved/r.Reviews)
}

// A loadChart is reviews by hour of the day, drawn here.
type loadChart struct {
	Says string
	Bars []loadBar
}

type loadBar struct {
	X, Y, H int
	Title   string
}

// Heights of the drawing, in its own units.
const (
	loadWide  = 10
	loadTall  = 48
	loadHours = 24
)

func loadOf(hours [loadHours]int) loadChart {
	most, busiest, total := 0, 0, 0
	for h, n := range hours {
		total += n
		if n > most {
			most, busiest = n, h
		}
	}
	c := loadChart{Says: "No reviews"}
	if total > 0 {
		c.Says = fmt.Sprintf("Reviews by hour of the day, UTC: most between %02d and %02d, %d", busiest, busiest+1, most)
	}
	for h, n := range hours {
		if n > 0 {
			tall := max(loadTall*n/most, 1)
			c.Bars = append(c.Bars, loadBar{X: h*loadWide + 1, Y: loadTall - tall, H: tall, Title: fmt.Sprintf("%02d:00 UTC: %d", h, n)})
		}
	}
	return c
}

func (c *Console) showReviewing(w http.ResponseWriter, r *http.Request, p *who) {
	page := reviewingPage{Shell: c.shellOf(r, p, "reviewers", "How people review", -1), All: c.administers(p)}
	if c.o.Nudge != nil {
		page.Nudge = c.o.Nudge(p.ID)
	}
	found, err := c.o.Quality(r.Context())
	if err != nil {
		c.o.Logger.ErrorContext(r.Context(), "reading how people review", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "How people review can't be told now.", "Try again in a minute; the server's log says why.")
		return
	}
	groups, all := map[string]*groupRow{}, [loadHours]int{}
	for i := range found {
		q := &found[i]
		if !page.All && q.Person != p.ID {
			continue
		}
		row, in := c.reviewerRow(q)
		page.People = append(page.People, row)
		for h, n := range q.Hours {
			all[h] += n
		}
		for _, g := range in {
			if groups[g] == nil {
				groups[g] = &groupRow{Name: g}
			}
			groups[g].People++
			groups[g].add(row.reviewed)
		}
	}
	page.Load = loadOf(all)
	if page.All {
		for _, g := range groups {
			page.Groups = append(page.Groups, *g)
		}
		slices.SortFunc(page.Groups, func(a, b groupRow) int { return strings.Compare(a.Name, b.Name) })
	}
	c.page(w, r, http.StatusOK, "reviewing", page)
}

// reviewerRow is one person's, and the groups they are in now.
func (c *Console) reviewerRow(q *approval.Reviewer) (reviewerRow, []string) {
	row := reviewerRow{
		ID: q.Person, Name: q.Person, Says: q.Stamps(), Load: loadOf(q.Hours),
		reviewed: reviewed{q.Reviews, q.Approved, q.Fast, q.Canaries, q.Missed},
		Median:   q.Median.Round(100 * time.Millisecond).String(), P90: q.P90.Round(100 * time.Millisecond).String(),
	}
	var in []string
	if person, ok := c.o.People.Person(q.Person); ok {
		row.Name = person.Name
		for _, g := range person.Groups {
			in = append(in, strings.TrimPrefix(g, "group:"))
		}
	}
	row.Groups = strings.Join(in, ", ")
	return row, in
}
