package console

import (
	"fmt"
	"sort"
	"time"
)

// chart is the hour's decisions, a stacked bar a minute, in the units of its viewBox.
type chart struct {
	W, H   int
	Bars   []bar
	Ticks  []tick
	Lines  []tick // horizontal: a value and its height
	Says   string // for those who can't see it
	Legend []legend
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

const minutesShown = 60

// chartOf counts requests by minute and outcome.
func chartOf(records []entry, now time.Time) chart {
	end := now.Truncate(time.Minute)
	c := chart{W: 720, H: 168, Legend: series()}
	var counts [minutesShown][4]int
	for i := range records {
		r := &records[i]
		age := int(end.Sub(r.Time.Truncate(time.Minute)) / time.Minute)
		if age < 0 || age >= minutesShown {
			continue
		}
		class, _ := outcomeOf(&r.Record)
		for k := range c.Legend {
			if c.Legend[k].Class == class {
				counts[minutesShown-1-age][k]++
				c.Legend[k].N++
			}
		}
	}
	c.draw(counts, end)
	return c
}

func (c *chart) draw(counts [minutesShown][4]int, end time.Time) {
	const top, base, step, width, left = 14.0, 146.0, 11.4, 8.0, 30.0
	most := 0
	for _, m := range counts {
		most = max(most, m[0]+m[1]+m[2]+m[3])
	}
	scale := niceCeil(most)
	for i, m := range counts {
		y := base
		for k, n := range m {
			if n == 0 {
				continue
			}
			h := (base - top) * float64(n) / float64(scale)
			y -= h
			c.Bars = append(c.Bars, bar{
				X: left + float64(i)*step, Y: y, W: width, H: h, Class: c.Legend[k].Class,
				Title: fmt.Sprintf("%d %s at %s UTC", n, c.Legend[k].Name, end.Add(time.Duration(i-minutesShown+1)*time.Minute).UTC().Format("15:04")),
			})
		}
	}
	for i, at := range []int{0, 15, 30, 45, 59} {
		c.Ticks = append(c.Ticks, tick{At: left + float64(at)*step + width/2, Time: end.Add(time.Duration(at-minutesShown+1) * time.Minute), Anchor: []string{"start", "middle", "middle", "middle", "end"}[i]})
	}
	c.Lines = []tick{{At: top, Text: fmt.Sprint(scale)}, {At: (top + base) / 2, Text: half(scale)}, {At: base}}
	c.Says = fmt.Sprintf("Actions per minute in the last hour: %d allowed, %d masked, %d held, %d denied; at most %d in a minute",
		c.Legend[0].N, c.Legend[1].N, c.Legend[2].N, c.Legend[3].N, most)
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

// flow is the hour as ribbons from actor to resource to outcome.
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
func flowOf(records []entry) flow {
	type path struct{ actor, resource, class string }
	counts := map[path]int{}
	actors, resources := map[string]int{}, map[string]int{}
	for i := range records {
		r := &records[i]
		class, _ := outcomeOf(&r.Record)
		p := path{label(firstOf(r.Actor, r.Subject, "nobody")), firstOf(r.Resource, r.Gate, "unnamed"), class}
		counts[p]++
		actors[p.actor]++
		resources[p.resource]++
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
