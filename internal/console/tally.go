package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

const (
	slotLong  = 5 * time.Minute
	slotsKept = int(24 * time.Hour / slotLong)
	mostWays  = 1000 // actor, gate, resource and outcome together, in one slot; what comes after is "others"
	mostOpen  = 4096 // requests whose outcome may still say that values were masked
	perStep   = 4096 // records read in one step; what a busy lane has more of is counted by its numbers only
)

// A way is who reached what, by which gate, and what came of it.
type way struct{ Actor, Gate, Resource, Class string }

// slot is what five minutes came to.
type slot struct {
	start   time.Time
	ways    map[way]int64
	minutes [int(slotLong / time.Minute)][4]int64 // by outcome, as series orders them
	masked  int64                                 // values
	replies int64                                 // in so many replies
	rules   map[string]int64                      // requests that a rule matched, by pack and rule
	shadow  map[string]int64                      // by rules that only watch
	missed  int64                                 // actions that went by too fast to be looked at
}

// tally counts the requests of the last day, of both lanes, as they come: a page
// that would search for them would read a day anew for each who looks. It counts
// from when the process started, and what it could not look at it says.
type tally struct {
	log     audit.Reader
	traffic *Traffic
	now     func() time.Time

	mu    sync.Mutex // owns what follows
	began time.Time  // of what is counted; zero: with the oldest record that is read
	read  bool       // the log's newest records were
	log1  int64      // the next record of the log
	lane1 int64      // the next of the traffic lane
	slots []*slot    // oldest first
	open  map[[2]int64]opened
	skim  audit.Skim
	alike repeats
	asked time.Time     // of the clock, in this step
	look  *audit.Recent // nil before it is needed; no file is open
}

// repeats are requests one after the other that are counted alike: all of them at once.
type repeats struct {
	slot   *slot // nil: there is none
	way    way
	rules  []string
	minute int
	n      int64
}

// opened is a request that was let through, until its outcome is known.
type opened struct {
	way way
	at  time.Time
}

func newTally(log audit.Reader, traffic *Traffic, now func() time.Time) *tally {
	t := &tally{log: log, traffic: traffic, now: now, open: map[[2]int64]opened{}}
	if traffic != nil {
		t.began = now() // earlier reads are sealed into segments
		look := traffic.Spool.Recent()
		_, t.lane1 = look.Bounds()
		look.Close()
	}
	return t
}

// step counts what came since the last one. The first reads the newest records of the day.
func (t *tally) step(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.settle()
	t.asked = t.now()
	head, err := t.log.Head(ctx)
	if err != nil {
		return err
	}
	if !t.read {
		t.read = true
		if t.log1 = max(0, head.Size-counted); t.log1 == 0 && t.traffic == nil {
			t.began = t.asked.Add(-25 * time.Hour) // the whole log is read
		}
	}
	to := min(head.Size, t.log1+counted)
	err = t.log.Leaves(ctx, t.log1, to, func(i int64, leaf []byte) error {
		t.count(0, i, leaf)
		t.log1 = i + 1
		return nil
	})
	if err != nil {
		return fmt.Errorf("counting records: %w", err)
	}
	t.follow()
	return nil
}

// follow counts the traffic lane; mu is held.
func (t *tally) follow() {
	if t.traffic == nil {
		return
	}
	if t.look == nil {
		t.look = t.traffic.Spool.Recent()
	}
	look := t.look
	defer look.Close()
	oldest, next := look.Bounds()
	from := max(oldest, next-perStep, t.lane1)
	if missed := from - t.lane1; missed > 0 {
		t.at(t.asked).missed += missed / 2 // a request and its outcome
	}
	for n := from; n < next; n++ {
		if leaf, ok := look.Leaf(n); ok {
			t.count(1, n, leaf)
		}
	}
	t.lane1 = next
}

// at is the slot of a time, made where there is none; nil: it is too old. mu is held.
func (t *tally) at(when time.Time) *slot {
	if n := len(t.slots); n > 0 {
		if since := when.Sub(t.slots[n-1].start); since >= 0 && since < slotLong {
			return t.slots[n-1]
		}
	}
	start := when.Truncate(slotLong)
	if t.asked.Sub(start) > time.Duration(slotsKept)*slotLong {
		return nil
	}
	for i := len(t.slots) - 1; i >= 0; i-- {
		if t.slots[i].start.Equal(start) {
			return t.slots[i]
		}
		if t.slots[i].start.Before(start) {
			break
		}
	}
	s := &slot{start: start, ways: map[way]int64{}, rules: map[string]int64{}, shadow: map[string]int64{}}
	i := len(t.slots)
	for i > 0 && t.slots[i-1].start.After(start) {
		i--
	}
	t.slots = append(t.slots[:i], append([]*slot{s}, t.slots[i:]...)...)
	if len(t.slots) > slotsKept+1 {
		t.slots = t.slots[1:]
	}
	return s
}

// count takes one record of a lane; mu is held.
func (t *tally) count(lane, index int64, leaf []byte) {
	r, err := t.skim.Read(leaf)
	if err != nil {
		return
	}
	if t.began.IsZero() {
		t.began = r.Time
	}
	switch r.Type {
	case audit.TypeRequest:
		class, _ := outcomeOf(&r)
		w := way{firstOf(r.Actor, r.Subject, "nobody"), firstOf(r.Gate, "api"), firstOf(r.Resource, r.Gate, "unnamed"), class}
		t.request(w, &r, watched(leaf))
		if class == "ok" {
			if len(t.open) >= mostOpen {
				clear(t.open)
			}
			t.open[[2]int64{lane, index}] = opened{w, r.Time}
		}
	case audit.TypeOutcome:
		o, known := t.open[[2]int64{lane, r.Previous}]
		delete(t.open, [2]int64{lane, r.Previous})
		n := total(r.Masked)
		if n == 0 {
			return
		}
		if s := t.at(r.Time); s != nil {
			s.masked, s.replies = s.masked+n, s.replies+1
		}
		if s := t.at(o.at); known && r.Previous != 0 && s != nil {
			t.settle()
			minute := int(o.at.Sub(s.start) / time.Minute)
			s.add(o.way, minute, -1)
			o.way.Class = "info"
			s.add(o.way, minute, 1)
		}
	}
}

// watched is a record's details when a rule in shadow mode stands in them; a Skim leaves them out.
func watched(leaf []byte) map[string]string {
	if !bytes.Contains(leaf, []byte(`"shadow.`)) {
		return nil
	}
	var r struct{ Detail map[string]string }
	_ = json.Unmarshal(leaf, &r) // what can't be read is not counted
	return r.Detail
}

// request counts one, with those before it where it is like them.
func (t *tally) request(w way, r *audit.Record, detail map[string]string) {
	s := t.at(r.Time)
	if s == nil {
		return
	}
	s.watched(detail)
	minute := int(r.Time.Sub(s.start) / time.Minute)
	if c := &t.alike; c.slot != s || c.minute != minute || c.way != w || !same(c.rules, r.Rules) {
		t.settle()
		*c = repeats{slot: s, way: w, rules: r.Rules, minute: minute}
	}
	t.alike.n++
}

// same reports whether two lists are one.
func same(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// settle counts what was alike, and ends it; mu is held.
func (t *tally) settle() {
	c := t.alike
	if t.alike = (repeats{}); c.slot == nil {
		return
	}
	c.slot.add(c.way, c.minute, c.n)
	for _, name := range c.rules {
		if _, known := c.slot.rules[name]; known || len(c.slot.rules) < mostWays {
			c.slot.rules[name] += c.n
		}
	}
}

// watched counts the rules that only watch.
func (s *slot) watched(detail map[string]string) {
	for name := range detail {
		rule, watches := strings.CutPrefix(name, "shadow.")
		if _, known := s.shadow[rule]; watches && (known || len(s.shadow) < mostWays) {
			s.shadow[rule]++
		}
	}
}

func (s *slot) add(w way, minute int, n int64) {
	if _, known := s.ways[w]; !known && len(s.ways) >= mostWays {
		w.Actor, w.Resource = others, others
	}
	if s.ways[w] += n; s.ways[w] <= 0 {
		delete(s.ways, w)
	}
	for k, l := range series() {
		if l.Class == w.Class {
			s.minutes[minute][k] += n
		}
	}
}

// counts is what a stretch of time came to.
type counts struct {
	From            time.Time // what is counted begins here
	Whole           bool      // nothing of the stretch is missing
	Ways            map[way]int64
	Minutes         map[time.Time][4]int64
	Masked, Replies int64
	Missed          int64
	Rules, Shadow   map[string]int64
}

// last sums the newest d, to the slot.
func (t *tally) last(d time.Duration) counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := t.now().Add(-d).Truncate(slotLong)
	c := counts{From: from, Whole: !t.began.After(from), Ways: map[way]int64{}, Minutes: map[time.Time][4]int64{}, Rules: map[string]int64{}, Shadow: map[string]int64{}}
	if !c.Whole {
		c.From = t.began
	}
	for _, s := range t.slots {
		if s.start.Before(from) {
			continue
		}
		for w, n := range s.ways {
			c.Ways[w] += n
		}
		for name, n := range s.rules {
			c.Rules[name] += n
		}
		for name, n := range s.shadow {
			c.Shadow[name] += n
		}
		for i, m := range s.minutes {
			if m != [4]int64{} {
				c.Minutes[s.start.Add(time.Duration(i)*time.Minute)] = m
			}
		}
		c.Masked, c.Replies, c.Missed = c.Masked+s.masked, c.Replies+s.replies, c.Missed+s.missed
	}
	c.Whole = c.Whole && c.Missed == 0
	return c
}

// byClass sums ways that match by outcome: allowed, masked, held, denied.
func (c *counts) byClass(match func(way) bool) (out [4]int64, all int64) {
	for w, n := range c.Ways {
		if !match(w) {
			continue
		}
		all += n
		for k, l := range series() {
			if l.Class == w.Class {
				out[k] += n
			}
		}
	}
	return out, all
}

const followEvery = 250 * time.Millisecond

// Run keeps the counts of the last day until ctx ends. Without it they are made when a page asks.
func (c *Console) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for failed := false; ; {
		err := c.tally.step(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			c.o.Logger.ErrorContext(ctx, "counting what happened, for the console", "err", err)
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
