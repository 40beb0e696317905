package console

import (
	"fmt"
	"sort"
	"time"
)

// chart is decisions over time as stacked bars, in the units of its viewBox.
type chart struct {
	W, H   int
	Bars   []bar
	Ticks  []tick
	Lines  []tick // horizontal: a value and its height
	Says   string // for those who can't see it
	Legend []legend
	Per    string
}

type bar struct {
	X, Y, W, H float64
	Class      string
	Title      string
}

type tick struct {
	At     float64
	Text   string
	Time   time.Time
	Anchor string
}

type legend struct {
	Class, Name string
	N           int
}

// series are what a request can come to, in the order they stack.
func series() []legend {
	return []legend{{"ok", "allowed", 0}, {"info", "masked", 0}, {"wait", "held", 0}, {"bad", "denied", 0}}
}

const barsShown = 60

// chartOf draws what was counted in the last span, a bar for each part of it.
func chartOf(c *counts, span time.Duration, now time.Time) chart {
	part := span / barsShown
	if part > time.Minute {
		part = (span / (barsShown - 12)).Truncate(slotLong) // half hours of a day
	}
	n := int(span / part)
	out := chart{W: 720, H: 222, Legend: series(), Per: "minute"}
	if part > time.Minute {
		out.Per = fmt.Sprintf("%d minutes", int(part/time.Minute))
	}
	end := now.Truncate(part).Add(part)
	bars := make([][4]int, n)
	for at, m := range c.Minutes {
		i := n - 1 - int(end.Add(-time.Nanosecond).Sub(at)/part)
		if i < 0 || i >= n {
			continue
		}
		for k := range m {
			bars[i][k] += int(m[k])
			out.Legend[k].N += int(m[k])
		}
	}
	out.draw(bars, part, end)
	return out
}

func (c *chart) draw(bars [][4]int, part time.Duration, end time.Time) {
	const top, base, left, right = 14.0, 200.0, 30.0, 714.0
	step := (right - left) / float64(len(bars))
	width := step * 0.7
	most := 0
	for _, m := range bars {
		most = max(most, m[0]+m[1]+m[2]+m[3])
	}
	scale := niceCeil(most)
	begins := func(i int) time.Time { return end.Add(time.Duration(i-len(bars)) * part) }
	for i, m := range bars {
		y := base
		for k, n := range m {
			if n == 0 {
				continue
			}
			h := (base - top) * float64(n) / float64(scale)
			y -= h
			c.Bars = append(c.Bars, bar{
				X: left + float64(i)*step, Y: y, W: width, H: h, Class: c.Legend[k].Class,
				Title: fmt.Sprintf("%d %s from %s UTC", n, c.Legend[k].Name, begins(i).UTC().Format("15:04")),
			})
		}
	}
	for q := range 5 {
		i := min(q*len(bars)/4, len(bars)-1)
		c.Ticks = append(c.Ticks, tick{At: left + float64(i)*step + width/2, Time: begins(i), Anchor: []string{"start", "middle", "middle", "middle", "end"}[q]})
	}
	c.Lines = []tick{{At: top, Text: fmt.Sprint(scale)}, {At: (top + base) / 2, Text: half(scale)}, {At: base}}
	c.Says = fmt.Sprintf("Actions per %s: %d allowed, %d masked, %d held, %d denied; at most %d in one",
		c.Per, c.Legend[0].N, c.Legend[1].N, c.Legend[2].N, c.Legend[3].N, most)
}

// niceCeil is the next of 2, 4, 6, 8, 10, 20, 40, … so that half of it is whole.
func niceCeil(n int) int {
	for unit := 1; ; unit *= 10 {
		for _, m := range []int{2, 4, 6, 8, 10} {
			if n <= m*unit {
				return m * unit
			}
		}
	}
}

func half(n int) string { return fmt.Sprint(n / 2) }

// flow is what was counted as ribbons from actor to resource to outcome.
type flow struct {
	W, H    int
	Nodes   []node
	Ribbons []ribbon
}

type node struct {
	X, Y, H, TextX float64
	Class, Anchor  string
	Name           []Piece
	N              int
}

type ribbon struct{ Path, Class, Title string }

const flowNodes = 6 // in a column; the rest is one node "others"

// flowOf draws who reached what, and what came of it. Widths are counts.
func flowOf(c *counts) flow {
	type path struct{ actor, resource, class string }
	counts := map[path]int{}
	actors, resources := map[string]int{}, map[string]int{}
	for w, n := range c.Ways {
		p := path{label(w.Actor), w.Resource, w.Class}
		counts[p] += int(n)
		actors[p.actor] += int(n)
		resources[p.resource] += int(n)
	}
	if len(counts) == 0 {
		return flow{}
	}
	left, right := map[[2]string]int{}, map[[2]string]int{}
	topActors, topResources := topNames(actors), topNames(resources)
	for p, n := range counts {
		a, r := fold(p.actor, topActors), fold(p.resource, topResources)
		left[[2]string{a, r}] += n
		right[[2]string{r, p.class}] += n
	}
	names := map[string]string{}
	var outcomes []string
	for _, s := range series() {
		names[s.Class] = s.Name
		outcomes = append(outcomes, s.Class)
	}
	f := flow{W: 1120, H: 300}
	a := f.column(topActors, sums(left, 0), 190, "end", func(string) string { return "act" }, nil)
	r := f.column(topResources, sums(left, 1), 600, "start", func(string) string { return "res" }, nil)
	o := f.column(outcomes, sums(right, 1), 1000, "start", func(s string) string { return s }, names)
	f.join(topActors, topResources, left, a, r, func(string) string { return "" })
	f.join(topResources, outcomes, right, r, o, func(s string) string { return s })
	return f
}

const others = "others"

// topNames are the biggest, by count and then by name, and "others" when there are more.
func topNames(m map[string]int) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Slice(out, func(i, j int) bool {
		if m[out[i]] != m[out[j]] {
			return m[out[i]] > m[out[j]]
		}
		return out[i] < out[j]
	})
	if len(out) > flowNodes {
		out = append(out[:flowNodes:flowNodes], others)
	}
	return out
}

func fold(name string, top []string) string {
	for _, t := range top {
		if t == name {
			return name
		}
	}
	return others
}

func sums(links map[[2]string]int, end int) map[string]int {
	out := map[string]int{}
	for k, n := range links {
		out[k[end]] += n
	}
	return out
}

// column is one column of nodes: where it stands and where ribbons join each.
type column struct {
	x  float64
	at map[string]*stack
}

// stack is where the next ribbon leaves and enters a node.
type stack struct{ in, out, scale float64 }

const (
	nodeWidth = 10.0
	nodeGap   = 16.0
)

// column places the nodes of one column.
func (f *flow) column(names []string, n map[string]int, x float64, anchor string, class func(string) string, shown map[string]string) column {
	whole := 0
	for _, v := range n {
		whole += v
	}
	scale := (float64(f.H) - nodeGap*float64(flowNodes+1)) / float64(whole)
	y := nodeGap / 2
	out := map[string]*stack{}
	for _, name := range names {
		if n[name] == 0 {
			continue
		}
		h := max(1.5, float64(n[name])*scale)
		text := name
		if s, ok := shown[name]; ok {
			text = s
		}
		at := x + nodeWidth + 8
		if anchor == "end" {
			at = x - 8
		}
		f.Nodes = append(f.Nodes, node{X: x, Y: y, H: h, TextX: at, Class: class(name), Anchor: anchor, Name: visible(text, 48), N: n[name]})
		out[name] = &stack{y, y, scale}
		y += h + nodeGap
	}
	f.place(out, x, y-nodeGap/2)
	return column{x, out}
}

// place centres a column that is shorter than the drawing.
func (f *flow) place(col map[string]*stack, x, used float64) {
	shift := max(0, (float64(f.H)-used)/2)
	for i := range f.Nodes {
		if f.Nodes[i].X == x {
			f.Nodes[i].Y += shift
		}
	}
	for _, s := range col {
		s.in += shift
		s.out += shift
	}
}

// join draws the ribbons between two columns.
func (f *flow) join(from, to []string, links map[[2]string]int, left, right column, class func(string) string) {
	x0, x1, a, b := left.x+nodeWidth, right.x, left.at, right.at
	for _, s := range from {
		for _, t := range to {
			n := links[[2]string{s, t}]
			if n == 0 {
				continue
			}
			h0, h1 := float64(n)*a[s].scale, float64(n)*b[t].scale
			y0, y1 := a[s].out, b[t].in
			a[s].out += h0
			b[t].in += h1
			m := (x0 + x1) / 2
			f.Ribbons = append(f.Ribbons, ribbon{
				Path:  fmt.Sprintf("M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fV%.1fC%.1f %.1f %.1f %.1f %.1f %.1fZ", x0, y0, m, y0, m, y1, x1, y1, y1+h1, m, y1+h1, m, y0+h0, x0, y0+h0),
				Class: class(t), Title: fmt.Sprintf("%d", n),
			})
		}
	}
}
