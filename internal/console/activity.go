package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

// activityPage is what runs right now.
type activityPage struct {
	Shell
	Spans   []tab
	Span    string
	Cards   []figure
	Chart   chart
	Flow    flow
	Heat    *heat // nil: nothing to compare
	Records []recordRow
	Filter  streamFilter
	From    string // where the stream goes on
	Missing string // what is not counted; "" nothing
}

// figure is one number with its name.
type figure struct{ Name, Value, Under, Class string }

const (
	streamed = 60   // records of the stream when it opens
	searched = 2000 // records that a filter looks through for them
)

// spanOf is the stretch of time a page asks for.
func spanOf(r *http.Request) (key string, d time.Duration) {
	if r.URL.Query().Get("span") == "24h" {
		return "24h", 24 * time.Hour
	}
	return "1h", time.Hour
}

func (c *Console) showActivity(w http.ResponseWriter, r *http.Request, p *who) {
	ctx, now := r.Context(), c.o.Clock()
	if err := c.tally.step(ctx); err != nil {
		c.broken(w, r, "counting what happened", err)
		return
	}
	key, span := spanOf(r)
	sum := c.tally.last(span)
	filter := filterOf(r.URL.Query())
	at := follower{c: c}
	if _, err := at.next(ctx); err != nil { // before what is shown is read: better a record twice, which the page sees, than never
		c.broken(w, r, "reading the log's head", err)
		return
	}
	var newest []recordRow
	if r.Header.Get("X-Refresh") == "" { // an open page has its stream
		var err error
		if newest, err = c.newest(ctx, filter); err != nil {
			c.broken(w, r, "reading the newest records", err)
			return
		}
	}
	decided, err := c.o.Approvals.List(ctx, approval.Filter{Since: now.Add(-span), Limit: maxListed})
	if err != nil {
		c.broken(w, r, "listing what people decided", err)
		return
	}
	page := activityPage{
		Shell: c.shellOf(r, p, "activity", "Activity", -1), Span: key, Cards: cardsOf(&sum, decided),
		Chart: chartOf(&sum, span, now), Flow: flowOf(&sum), Heat: c.tally.heatOf(span), Records: newest, Filter: filter, From: at.place(),
	}
	for _, s := range []string{"1h", "24h"} {
		v := filter.values()
		v.Set("span", s)
		page.Spans = append(page.Spans, tab{Key: s, Label: map[string]string{"1h": "1 h", "24h": "24 h"}[s], Href: "/activity?" + v.Encode(), Selected: s == key})
	}
	page.Missing = missing(&sum)
	c.page(w, r, http.StatusOK, "activity", page)
}

// missing says what a sum does not hold.
func missing(s *counts) string {
	switch {
	case s.Missed > 0:
		return "About " + thousands(s.Missed) + " more actions went by too fast to be looked at one by one. All of them are in the log."
	case !s.Whole:
		return "Counted since " + s.From.UTC().Format("2006-01-02 15:04 UTC") + "; what was before is in the log."
	}
	return ""
}

// streamFilter is what the live stream shows of everything.
type streamFilter struct{ Actor, Result, Text string }

func filterOf(v url.Values) streamFilter {
	return streamFilter{strings.TrimSpace(v.Get("actor")), v.Get("result"), strings.ToLower(strings.TrimSpace(v.Get("text")))}
}

func (f streamFilter) values() url.Values {
	v := url.Values{}
	for name, s := range map[string]string{"actor": f.Actor, "result": f.Result, "text": f.Text} {
		if s != "" {
			v.Set(name, s)
		}
	}
	return v
}

// Any reports whether it leaves anything out.
func (f streamFilter) Any() bool { return f != streamFilter{} }

// admits reports whether a record belongs to the stream.
func (f streamFilter) admits(r *audit.Record) bool {
	if f.Actor != "" && r.Actor != f.Actor && label(r.Actor) != f.Actor {
		return false
	}
	if f.Result != "" {
		class, _ := outcomeOf(r)
		if r.Type != audit.TypeRequest || class != f.Result {
			return false
		}
	}
	if f.Text == "" {
		return true
	}
	for _, s := range []string{r.Title, r.Verb, r.Target, r.Resource, r.Gate, r.Person, r.Type, r.Session} {
		if strings.Contains(strings.ToLower(s), f.Text) {
			return true
		}
	}
	return slices.ContainsFunc(r.Kinds, func(k string) bool { return strings.Contains(k, f.Text) })
}

// newest is the stream as it stands when the page opens.
func (c *Console) newest(ctx context.Context, f streamFilter) ([]recordRow, error) {
	n := streamed
	if f.Any() {
		n = searched
	}
	in, _, err := c.recent(ctx, audit.Query{Limit: n})
	if err != nil {
		return nil, err
	}
	in = slices.DeleteFunc(in, func(e entry) bool { return !f.admits(&e.Record) })
	return c.recordRows(in[:min(len(in), streamed)]), nil
}

// cardsOf are the figures at the top.
func cardsOf(s *counts, approvals []*approval.Approval) []figure {
	by, asked := s.byClass(func(way) bool { return true })
	flowed, held, denied := by[0]+by[1], by[2], by[3]
	var byPeople int64
	var took []time.Duration
	for _, a := range approvals {
		if len(a.Reviews) > 0 && !a.Decided.IsZero() {
			took = append(took, a.Decided.Sub(a.Created))
		}
		if a.State == approval.Denied {
			byPeople++
		}
	}
	share := "no actions yet"
	if asked > 0 {
		share = fmt.Sprintf("%.1f%% flowed without a person", 100*float64(flowed)/float64(asked))
	}
	median, slow := "–", "nobody had to decide"
	if len(took) > 0 {
		slices.Sort(took)
		median, slow = spell(took[len(took)/2]), "p95 "+spell(took[len(took)*95/100])
	}
	class := ""
	if denied+byPeople > 0 {
		class = "bad"
	}
	return []figure{
		{"Actions", thousands(asked), share, ""},
		{"Masked values", thousands(s.Masked), "in " + repliesOf(s.Replies), ""},
		{"Sent for approval", thousands(held), "held until people decide", ""},
		{"Median time to decide", median, slow, ""},
		{"Denied", thousands(denied + byPeople), thousands(denied) + " by policy, " + thousands(byPeople) + " by people", class},
	}
}

func repliesOf(n int64) string {
	if n == 1 {
		return "1 reply"
	}
	return thousands(n) + " replies"
}

func spell(d time.Duration) string {
	switch {
	case d < time.Second:
		return "< 1 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return fmt.Sprintf("%d min", int(d.Minutes()))
}
