package controls

import (
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/page"
	"github.com/assenthq/assent/internal/show"
)

const (
	mostColumns   = 92 // of a plot over time
	mostReviewers = 20
)

// text is foreign text for the page: one line, without what can't be seen or turns the line around.
func text(s string) string { return page.Esc(show.Plain(s, 400)) }

// HTML is the result as one page that needs nothing else.
func (r *Result) HTML() string {
	var b strings.Builder
	page.Begin(&b, "Controls", "What the log shows of controls")
	r.head(&b)
	r.tiles(&b)
	b.WriteString(`<section><h2>Decisions over time</h2>`)
	columns, unit := r.Stats.columns()
	verdicts := Verdicts()
	if len(columns) == 0 {
		b.WriteString("<p>No action was asked for.</p>")
	} else {
		page.Columns(&b, "Requests by verdict, each "+unit, verdicts[:], columns)
		page.Key(&b, verdicts[:]...)
		fmt.Fprintf(&b, "<p><small>Requests by verdict, each %s, in UTC.</small></p>", unit)
	}
	b.WriteString(`</section><section><h2>By verdict</h2>`)
	rows := make([]page.Bar, 3)
	for i, v := range verdicts {
		rows[i] = page.Bar{Name: v, Parts: make([]int64, 3)}
		rows[i].Parts[i] = r.Stats.Verdicts[i]
	}
	page.Rows(&b, "Requests by verdict", verdicts[:], rows)
	b.WriteString(`</section>`)
	r.waiting(&b)
	r.reviewers(&b)
	r.perControl(&b)
	r.inFull(&b)
	r.exceptions(&b)
	page.End(&b)
	return b.String()
}

func (r *Result) head(b *strings.Builder) {
	if r.Records == 0 {
		b.WriteString("<p>No record of the period.</p>")
	} else {
		fmt.Fprintf(b, "<p>%s to %s: records %d to %d of the log", r.From.UTC().Format("2006-01-02 15:04 UTC"), r.To.UTC().Format("2006-01-02 15:04 UTC"), r.First, r.End-1)
		if r.Traffic > 0 {
			fmt.Fprintf(b, ", and %d of the traffic", r.Traffic)
		}
		b.WriteString(".</p>")
	}
	fmt.Fprintf(b, "<p>Read from <code>%s</code>.</p>", text(r.Source))
	if len(r.Verified) == 0 {
		b.WriteString(`<p class="note bad">Not verified: the records are as the data directory has them. assent verify proves them, or a bundle of evidence.</p>`)
	} else {
		b.WriteString(`<div class="note">`)
		for _, l := range r.Verified {
			class := ""
			if strings.Contains(l, "OWN KEY ONLY") || strings.HasPrefix(l, "CONTRADICTED") {
				class = ` class="bad"`
			}
			fmt.Fprintf(b, "<div%s>%s</div>", class, text(l))
		}
		b.WriteString("</div>")
	}
	if r.Earlier > 0 {
		fmt.Fprintf(b, `<p class="note">%d rest on records from before the period, and could not be judged.</p>`, r.Earlier)
	}
	b.WriteString("<p>Whether a control is met is for the auditor to say. No exception means that none of the kinds below was found in these records.</p>")
}

func (r *Result) tiles(b *strings.Builder) {
	v := r.Stats.Verdicts
	b.WriteString(`<ul class="tiles">`)
	for _, t := range []struct {
		n    int64
		what string
	}{{v[0] + v[1] + v[2], "requests decided"}, {v[1], "held for people"}, {v[0], "denied"}} {
		fmt.Fprintf(b, "<li><b>%d</b>%s</li>", t.n, t.what)
	}
	class := "good"
	if r.Count() > 0 {
		class = "bad"
	}
	fmt.Fprintf(b, `<li><b class="%s">%d</b>exceptions</li></ul>`, class, r.Count())
}

// columns are the days, or the weeks or months where days are too many.
func (s *Stats) columns() (out []page.Bar, unit string) {
	unit = "day"
	name := func(t time.Time) string { return t.Format(time.DateOnly) }
	if n := len(s.Days); n > 0 {
		switch days := int(s.day(n-1).Sub(s.day(0)).Hours()/24) + 1; {
		case days > mostColumns*7:
			unit, name = "month", func(t time.Time) string { return t.Format("2006-01") }
		case days > mostColumns:
			unit, name = "week", func(t time.Time) string {
				return t.AddDate(0, 0, -(int(t.Weekday())+6)%7).Format(time.DateOnly)
			}
		}
	}
	for i := range s.Days {
		n := name(s.day(i))
		if len(out) == 0 || out[len(out)-1].Name != n {
			// A day on which nothing was asked is a gap, as long as there is room.
			for unit == "day" && len(out) > 0 && out[len(out)-1].Name != name(s.day(i).AddDate(0, 0, -1)) {
				last, err := time.Parse(time.DateOnly, out[len(out)-1].Name)
				if err != nil || len(out) > mostColumns {
					break
				}
				out = append(out, page.Bar{Name: name(last.AddDate(0, 0, 1)), Parts: make([]int64, 3)})
			}
			out = append(out, page.Bar{Name: n, Parts: make([]int64, 3)})
		}
		for k, v := range s.Days[i].Verdicts {
			out[len(out)-1].Parts[k] += v
		}
	}
	if more := len(out) - mostColumns; unit == "month" && more > 0 {
		out = out[more:]
	}
	return out, unit
}

func (s *Stats) day(i int) time.Time {
	t, err := time.Parse(time.DateOnly, s.Days[i].Date)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (r *Result) waiting(b *strings.Builder) {
	s := &r.Stats
	b.WriteString(`<section><h2>Time to decide</h2>`)
	if s.Median == 0 && s.P90 == 0 && s.Decisions == [7]int64{} {
		fmt.Fprintf(b, "<p>People decided nothing that was asked in the period; %d ended without anybody's decision.</p></section>", s.Undecided)
		return
	}
	var bars []page.Bar
	bounds := Waits()
	for i, n := range s.Decisions {
		name := "a day or more"
		if i < len(bounds)-1 {
			name = "under " + short(bounds[i])
		}
		bars = append(bars, page.Bar{Name: name, Parts: []int64{n}})
	}
	page.Rows(b, "Approvals by the time until people decided", []string{"decided"}, bars)
	fmt.Fprintf(b, "<p>Half within %s, nine of ten within %s. %d ended without anybody's decision.</p></section>", seconds(s.Median), seconds(s.P90), s.Undecided)
}

func short(d time.Duration) string {
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return "a day"
}

func seconds(s float64) string {
	text := time.Duration(s * float64(time.Second)).Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}

func (r *Result) reviewers(b *strings.Builder) {
	b.WriteString(`<section><h2>Who reviews</h2>`)
	if len(r.Stats.Reviewers) == 0 {
		b.WriteString("<p>Nobody reviewed anything.</p></section>")
		return
	}
	var bars []page.Bar
	others := page.Bar{Parts: make([]int64, 2)}
	for i, v := range r.Stats.Reviewers {
		if i < mostReviewers {
			bars = append(bars, page.Bar{Name: show.Plain(v.Person, 60), Parts: []int64{v.Reviews, v.Denied}})
			continue
		}
		others.Parts[0], others.Parts[1] = others.Parts[0]+v.Reviews, others.Parts[1]+v.Denied
	}
	if n := len(r.Stats.Reviewers) - mostReviewers; n > 0 {
		others.Name = fmt.Sprintf("%d others", n)
		bars = append(bars, others)
	}
	page.Rows(b, "Reviews by person", []string{"approved", "denied"}, bars)
	page.Key(b, "approved", "denied")
	b.WriteString("</section>")
}

func (r *Result) perControl(b *strings.Builder) {
	var bars []page.Bar
	for i := range r.Controls {
		if c := &r.Controls[i]; c.Exceptions > 0 {
			bars = append(bars, page.Bar{Name: c.ID, Parts: []int64{c.Exceptions}})
		}
	}
	b.WriteString(`<section><h2>Exceptions per control</h2>`)
	if len(bars) == 0 {
		b.WriteString(`<p class="good">None.</p>`)
	} else {
		page.Rows(b, "Exceptions per control", []string{"exceptions"}, bars)
		b.WriteString("<p><small>One exception may count for several controls.</small></p>")
	}
	b.WriteString("</section>")
}

func (r *Result) inFull(b *strings.Builder) {
	framework := ""
	for i := range r.Controls {
		c := &r.Controls[i]
		if c.Framework != framework {
			framework = c.Framework
			fmt.Fprintf(b, "<h2>%s</h2>", page.Esc(framework))
		}
		class := "good"
		if c.Exceptions > 0 {
			class = "bad"
		}
		if len(c.Tests) == 0 {
			class = "faint"
		}
		fmt.Fprintf(b, `<section id="%s"><h3>%s %s</h3><p class="%s">%s</p><p>%s</p><table><tr><th class="n">records<th>what they are<th>search</tr>`,
			page.Esc(c.ID), page.Esc(c.ID), page.Esc(c.Name), class, page.Esc(c.Verdict()), page.Esc(c.Claim))
		for k := range c.Queries {
			fmt.Fprintf(b, `<tr><td class="n">%d<td>%s<td><code>%s</code></tr>`, c.Records[k], page.Esc(c.Queries[k].Says), page.Esc(c.Queries[k].Command()))
		}
		b.WriteString(`</table>`)
		if len(c.Tests) > 0 {
			b.WriteString(`<table><tr><th class="n">found<th>exception<th>which is</tr>`)
			for k, t := range c.Tests {
				fmt.Fprintf(b, `<tr><td class="n">%d<td class="nowrap"><code>%s</code><td>%s</tr>`, c.Found[k], page.Esc(string(t)), page.Esc(t.Says()))
			}
			b.WriteString(`</table>`)
		}
		fmt.Fprintf(b, `<p class="faint">Not in the log: %s</p></section>`, page.Esc(c.Silent))
	}
}

// Verdict is what was found, in a few words.
func (c *Checked) Verdict() string {
	switch {
	case len(c.Tests) == 0:
		return "none is looked for"
	case c.Exceptions == 0:
		return "no exception"
	}
	var parts []string
	for i, t := range c.Tests {
		if c.Found[i] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", t, c.Found[i]))
		}
	}
	return strings.Join(parts, ", ")
}

func (r *Result) exceptions(b *strings.Builder) {
	b.WriteString("<h2>Exceptions</h2>")
	if len(r.Exceptions) == 0 {
		b.WriteString(`<p class="good">None.</p>`)
		return
	}
	if n := r.Count() - int64(len(r.Exceptions)); n > 0 {
		fmt.Fprintf(b, "<p>%d of %d are listed: the first %d of each kind.</p>", len(r.Exceptions), r.Count(), mostListed)
	}
	b.WriteString(`<table><tr><th>record<th>time (UTC)<th>exception<th>who<th>on what<th>what</tr>`)
	for i := range r.Exceptions {
		e := &r.Exceptions[i]
		mark := "#"
		if e.Lane != "" {
			mark = "~"
		}
		fmt.Fprintf(b, `<tr><td class="nowrap">%s%d<td class="nowrap">%s<td class="nowrap"><code>%s</code><td>%s<td>%s<td>%s</tr>`, mark, e.Index, e.Time.UTC().Format(time.DateTime),
			page.Esc(string(e.Test)), text(strings.TrimSpace(e.Actor+" "+e.Person)), text(e.Resource), text(strings.TrimSpace(e.Approval+" "+e.What)))
	}
	b.WriteString("</table><p><small>#12 is record 12 of the log, ~12 of the traffic: <code>assent log --offline</code> shows it.</small></p>")
}
