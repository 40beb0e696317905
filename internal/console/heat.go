package console

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A heat is a fleet at a glance: a row for each agent, a column for each stretch of
// time, and how busy it was in it.
type heat struct {
	Columns []time.Time // when each begins
	Rows    []heatRow
	More    int // agents that have no row of their own
}

type heatRow struct {
	Name   []Piece
	Actor  string // what the stream filters by
	Cells  []heatCell
	Total  string
	Denied int64
}

// heatCell is one agent in one stretch. Level is 0 to 5; Class tells that something was held or denied.
type heatCell struct {
	Level int
	Class string
	Title string
}

const (
	heatRows    = 40
	heatColumns = 24
)

// heatOf is nil where fewer than two agents were busy: there is nothing to compare.
func (t *tally) heatOf(span time.Duration) *heat {
	t.mu.Lock()
	defer t.mu.Unlock()
	width := max(span/heatColumns, slotLong)
	columns := int(span / width)
	first := t.now().Truncate(width).Add(-time.Duration(columns-1) * width)
	type sums struct {
		cells [heatColumns][4]int64
		all   int64
	}
	by := map[string]*sums{}
	for _, s := range t.slots {
		i := int(s.start.Sub(first) / width)
		if s.start.Before(first) || i >= columns {
			continue
		}
		for w, n := range s.ways {
			a := by[w.Actor]
			if a == nil {
				a = &sums{}
				by[w.Actor] = a
			}
			for k, l := range series() {
				if l.Class == w.Class {
					a.cells[i][k] += n
					a.all += n
				}
			}
		}
	}
	if len(by) < 2 {
		return nil
	}
	names := make([]string, 0, len(by))
	var most int64
	for name, a := range by {
		names = append(names, name)
		for _, c := range a.cells {
			most = max(most, c[0]+c[1]+c[2]+c[3])
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(by[b].all, by[a].all), strings.Compare(a, b)) })
	h := &heat{More: max(0, len(names)-heatRows)}
	for i := range columns {
		h.Columns = append(h.Columns, first.Add(time.Duration(i)*width))
	}
	for _, name := range names[:min(len(names), heatRows)] {
		a := by[name]
		r := heatRow{Name: visible(label(name), maxName), Actor: name, Total: thousands(a.all)}
		for i := range columns {
			c := a.cells[i]
			r.Cells = append(r.Cells, heatCellOf(c, most))
			r.Denied += c[3]
		}
		h.Rows = append(h.Rows, r)
	}
	return h
}

// heatCellOf grades by powers of two below the busiest cell: a fleet has few busy agents and many quiet ones.
func heatCellOf(c [4]int64, most int64) heatCell {
	n := c[0] + c[1] + c[2] + c[3]
	cell := heatCell{Title: thousands(n)}
	if n == 0 {
		return cell
	}
	cell.Level = 5
	for top := most; cell.Level > 1 && n <= top/2; top /= 2 {
		cell.Level--
	}
	if c[2] > 0 {
		cell.Class, cell.Title = "wait", cell.Title+", "+thousands(c[2])+" held"
	}
	if c[3] > 0 {
		cell.Class, cell.Title = "bad", cell.Title+", "+thousands(c[3])+" denied"
	}
	return cell
}
