package replay

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/internal/page"
)

const mostShapes = 20

func verdicts() [3]string { return [3]string{"deny", "review", "allow"} }

// after says since when actions were looked for; "" where there was no bound.
func (r *Result) after() string {
	if r.Since.IsZero() {
		return ""
	}
	return " since " + r.Since.UTC().Format("2006-01-02 15:04") + " UTC"
}

// Human is the result for a terminal.
func (r *Result) Human() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d actions%s, %s to %s, decided again in %s (%.0f a second)\n%d are kept, %.1f bytes each on disk\nbundle %s\n\n",
		r.Actions, r.after(), day(r.From), day(r.To), r.Took.Round(time.Millisecond), r.PerSec, r.Kept, float64(r.Bytes)/max(float64(r.Kept), 1), r.Bundle)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "was \\ would be\tdeny\treview\tallow\t\n")
	for i, v := range verdicts() {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", v, r.Matrix[i][0], r.Matrix[i][1], r.Matrix[i][2])
	}
	_ = w.Flush()
	fmt.Fprintf(&b, "\n%d of %d change\n", r.Changed, r.Actions)
	if len(r.Groups) > 0 {
		fmt.Fprintf(&b, "\nApprovals a day (%.1f days):\n", r.Days)
		w = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, g := range r.Groups {
			fmt.Fprintf(w, "  %s\t%.1f\t→ %.1f\n", g.Group, g.BeforePerDay, g.AfterPerDay)
		}
		_ = w.Flush()
	}
	list(&b, "Shapes that changed most", r.Shapes, mostShapes)
	list(&b, r.loosened(), r.Opened, len(r.Opened))
	for _, n := range r.notes() {
		fmt.Fprintf(&b, "\nnote: %s", n)
	}
	if len(r.notes()) > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// loosened says what stands under Opened.
func (r *Result) loosened() string {
	if r.Held {
		return "From deny or review to allow"
	}
	return "From deny to allow"
}

func list(b *strings.Builder, title string, changes []Change, most int) {
	if len(changes) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for i := range changes[:min(most, len(changes))] {
		c := &changes[i]
		fmt.Fprintf(w, "  %s\t%d ×\t%s → %s\t%s\n", c.ID, c.Actions, c.Before, c.After, c.title())
	}
	_ = w.Flush()
	if n := len(changes) - most; n > 0 {
		fmt.Fprintf(b, "  and %d more: --json lists all\n", n)
	}
}

func (c *Change) title() string {
	s := strings.Join(c.Kinds, "+") + " " + c.Resource + " " + c.Verb
	if c.Shape != "" {
		s += " " + c.Shape[:min(12, len(c.Shape))]
	}
	if c.Rule != "" {
		s += " (" + c.Rule + ")"
	}
	if c.Acked {
		s += " acknowledged"
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\f' || r == '\v' {
			return ' '
		}
		return r
	}, s)
}

// notes say what could not be replayed as it was.
func (r *Result) notes() (out []string) {
	if r.Dropped > 0 {
		out = append(out, fmt.Sprintf("%d actions were not kept: they came faster than they could be written", r.Dropped))
	}
	if r.Frozen > 0 {
		out = append(out, fmt.Sprintf("%d actions were denied by a freeze, whatever policy said: left out", r.Frozen))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Inexact)) {
		what := "is kept without what may be a secret in it, or cut: rules about that part can't be replayed"
		if name == "context.reason" {
			what = "has its length and none of its words: rules that look for words are replayed as if there were none of them"
		}
		out = append(out, fmt.Sprintf("of %d actions %s %s", r.Inexact[name], name, what))
	}
	for _, f := range r.Torn {
		out = append(out, f+" ends in the middle of a block, which is left out: it is being written, or a crash came")
	}
	return out
}

func day(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.Format(time.DateOnly)
}

// HTML is the result as one page that needs nothing else, not even a script.
func (r *Result) HTML() string {
	var b strings.Builder
	esc := page.Esc
	page.Begin(&b, "Policy replay", "What this policy would have decided")
	fmt.Fprintf(&b, "<p>%d actions%s, from %s to %s. %d change.<br><small>%s</small></p>", r.Actions, r.after(), day(r.From), day(r.To), r.Changed, esc(r.Bundle))
	b.WriteString("<h2>Verdicts</h2>")
	r.plotMatrix(&b)
	b.WriteString("<h2>Approvals a day</h2>")
	r.plotDays(&b)
	b.WriteString("<table><tr><th>group<th>before<th>after</tr>")
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "<tr><td>%s<td class=n>%.1f<td class=n>%.1f</tr>", esc(g.Group), g.BeforePerDay, g.AfterPerDay)
	}
	b.WriteString("</table>")
	for _, part := range []struct {
		title string
		list  []Change
	}{{r.loosened(), r.Opened}, {"Shapes that changed most", r.Shapes[:min(100, len(r.Shapes))]}} {
		fmt.Fprintf(&b, "<h2>%s</h2>", part.title)
		if len(part.list) == 0 {
			b.WriteString("<p>None.</p>")
			continue
		}
		b.WriteString("<table><tr><th>id<th>actions<th>was<th>would be<th>what</tr>")
		for i := range part.list {
			c := &part.list[i]
			fmt.Fprintf(&b, "<tr><td><code>%s</code><td class=n>%d<td class=%s>%s<td class=%s>%s<td>%s</tr>", c.ID, c.Actions, c.Before, c.Before, c.After, c.After, esc(c.title()))
		}
		b.WriteString("</table>")
	}
	if notes := r.notes(); len(notes) > 0 {
		b.WriteString("<h2>What could not be replayed as it was</h2><ul>")
		for _, n := range notes {
			b.WriteString("<li>" + esc(n))
		}
		b.WriteString("</ul>")
	}
	page.End(&b)
	return b.String()
}

// plotMatrix draws before as rows, each divided by what it would become.
func (r *Result) plotMatrix(b *strings.Builder) {
	b.WriteString(`<svg viewBox="0 0 640 130" role="img" aria-label="What each verdict would become">`)
	for i, v := range verdicts() {
		total := r.Matrix[i][0] + r.Matrix[i][1] + r.Matrix[i][2]
		fmt.Fprintf(b, `<text x="0" y="%d">was %s</text>`, 28+40*i, v)
		x := 90.0
		for k, to := range verdicts() {
			n := r.Matrix[i][k]
			width := 430 * float64(n) / max(float64(total), 1)
			fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="26"><title>%s to %s: %d</title></rect>`, to, x, 10+40*i, width, v, to, n)
			x += width
		}
		fmt.Fprintf(b, `<text x="530" y="%d">%d</text>`, 28+40*i, total)
	}
	b.WriteString(`</svg>`)
	page.Key(b, "deny", "review", "allow")
	b.WriteString("<table><tr><th>was \\ would be<th>deny<th>review<th>allow</tr>")
	for i, v := range verdicts() {
		fmt.Fprintf(b, "<tr><td>%s<td class=n>%d<td class=n>%d<td class=n>%d</tr>", v, r.Matrix[i][0], r.Matrix[i][1], r.Matrix[i][2])
	}
	b.WriteString("</table>")
}

// plotDays draws approvals by day, before and after.
func (r *Result) plotDays(b *strings.Builder) {
	if len(r.PerDay) == 0 {
		return
	}
	most := int64(1)
	for _, d := range r.PerDay {
		most = max(most, d.Before, d.After)
	}
	fmt.Fprintf(b, `<svg viewBox="0 0 640 180" role="img" aria-label="Approvals by day"><text x="0" y="14">%d</text><line x1="0" y1="160" x2="640" y2="160"/>`, most)
	step := 640 / float64(len(r.PerDay))
	for i, d := range r.PerDay {
		for k, n := range []int64{d.Before, d.After} {
			h := 140 * float64(n) / float64(most)
			fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"><title>%s %s: %d</title></rect>`,
				[]string{"before", "after"}[k], float64(i)*step+float64(k)*step*.42, 160-h, step*.4, h, d.Date, []string{"before", "after"}[k], n)
		}
	}
	fmt.Fprintf(b, `<text x="0" y="176">%s</text><text x="640" y="176" text-anchor="end">%s</text></svg>`, r.PerDay[0].Date, r.PerDay[len(r.PerDay)-1].Date)
	page.Key(b, "before", "after")
}
