package controls

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/emergency"
)

const (
	mostListed = 200            // exceptions of one kind that are listed; all are counted
	endsWithin = 24 * time.Hour // of an action that began
)

// An Exception is one finding, with the record that shows it.
type Exception struct {
	Test     Test      `json:"test"`
	Lane     string    `json:"lane,omitempty"` // traffic; else the log
	Index    int64     `json:"index"`
	Time     time.Time `json:"time"`
	What     string    `json:"what"`
	Actor    string    `json:"actor,omitempty"`
	Person   string    `json:"person,omitempty"`
	Resource string    `json:"resource,omitempty"`
	Approval string    `json:"approval,omitempty"`
}

// A Checker looks at records, each lane in the order of its indexes: first the log, then
// the traffic. Memory grows with approvals, credentials and people, and by a bit for each
// request. It belongs to one goroutine.
type Checker struct {
	controls []Control
	behind   [][]int64 // records, by control and query

	first, end int64 // of the log
	last       map[string]time.Time
	from, to   time.Time
	n          map[string]int64 // records by lane
	types      map[string]int64
	counts     map[Test]int64
	listed     []Exception
	earlier    int64 // what began before the period, and could not be judged
	hidden     int64 // records that the source says were erased

	allowed   map[string]*bits
	lowest    map[string]int64 // first index of a lane
	approvals map[string]*held
	glass     map[string]*broken
	left      map[string]bool
	revoked   map[string]time.Time
	nodes     audit.Silences
	stats     stats
}

// held is an action that waits, waited or runs.
type held struct {
	asked    time.Time // zero: before the period
	subject  string
	approved bool // by at least one review
	decided  bool
	began    *audit.Record // and has no end yet
}

// broken is an emergency.
type broken struct {
	rec      audit.Record
	until    time.Time
	reviewed bool
}

// New returns a Checker for some controls.
func New(list []Control) *Checker {
	c := &Checker{
		controls: list, first: -1, last: map[string]time.Time{}, n: map[string]int64{}, types: map[string]int64{}, counts: map[Test]int64{},
		allowed: map[string]*bits{}, lowest: map[string]int64{}, approvals: map[string]*held{}, glass: map[string]*broken{},
		left: map[string]bool{}, revoked: map[string]time.Time{},
	}
	for i := range list {
		c.behind = append(c.behind, make([]int64, len(list[i].Queries)))
	}
	c.stats.init()
	return c
}

// Hidden says that so many records of the period are there as hashes only, because they were erased.
func (c *Checker) Hidden(n int64) { c.hidden = n }

// Add looks at one record as it was logged. Lane is "" for the log.
func (c *Checker) Add(lane string, index int64, leaf []byte) {
	var r audit.Record
	if err := json.Unmarshal(leaf, &r); err != nil || r.Index != index {
		c.found(Missing, lane, &audit.Record{Index: index, Time: c.last[lane]}, "it can't be read: run assent verify")
		return
	}
	c.inOrder(lane, &r)
	c.n[lane]++
	c.types[r.Type]++
	for i := range c.controls {
		for k := range c.controls[i].Queries {
			if c.controls[i].Queries[k].Matches(&r) {
				c.behind[i][k]++
			}
		}
	}
	c.stats.add(&r)
	c.content(lane, &r)
	c.ran(lane, &r)
	if lane != "" {
		c.session(lane, &r)
		return
	}
	c.nodes.Note(&r)
	c.waited(&r)
	c.people(&r)
	c.rules(&r)
	c.alarm(&r)
}

func (c *Checker) found(t Test, lane string, r *audit.Record, format string, args ...any) {
	if c.counts[t]++; c.counts[t] > mostListed {
		return
	}
	c.listed = append(c.listed, Exception{
		Test: t, Lane: lane, Index: r.Index, Time: r.Time, What: fmt.Sprintf(format, args...),
		Actor: r.Actor, Person: r.Person, Resource: r.Resource, Approval: r.Approval,
	})
}

func (c *Checker) inOrder(lane string, r *audit.Record) {
	last, seen := c.last[lane]
	switch {
	case !seen:
		c.lowest[lane] = r.Index
		if lane == "" {
			c.first, c.from = r.Index, r.Time
		}
	case r.Time.Before(last):
		c.found(Clock, lane, r, "%s is before %s", r.Time.Format(time.RFC3339Nano), last.Format(time.RFC3339Nano))
	}
	if lane == "" {
		if gap := r.Index - c.end; seen && gap > 0 && c.hidden < gap {
			c.found(Missing, lane, r, "%d records in front of it are not there", gap)
		} else if seen && gap > 0 {
			c.hidden -= gap
		}
		c.end, c.to = r.Index+1, r.Time
	}
	c.last[lane] = r.Time
}

// content looks at what a record must say.
func (c *Checker) content(lane string, r *audit.Record) {
	if what := r.Detail[audit.DetailCut]; what != "" {
		c.found(Cut, lane, r, "%s", what)
	}
	if r.Type != audit.TypeRequest {
		return
	}
	var lacks []string
	for _, f := range []struct{ name, text string }{{"actor", r.Actor}, {"resource", r.Resource}, {"decision", r.Decision}, {"policy", cmp.Or(r.Policy, r.Approval)}} {
		if f.text == "" {
			lacks = append(lacks, f.name)
		}
	}
	if lacks != nil {
		c.found(Bare, lane, r, "it doesn't say: %s", strings.Join(lacks, ", "))
	}
}

// ran looks at ends of what needed no approval.
func (c *Checker) ran(lane string, r *audit.Record) {
	switch {
	case r.Type == audit.TypeRequest && r.Decision == "allow":
		if c.allowed[lane] == nil {
			c.allowed[lane] = &bits{}
		}
		c.allowed[lane].set(r.Index - c.lowest[lane])
	case r.Type != audit.TypeOutcome || r.Approval != "" || r.Outcome == "not_run":
	case r.Previous == 0 && r.Grant == "" && c.lowest[lane] == 0:
		if !c.allowed[lane].has(0) {
			c.found(Undecided, lane, r, "it names neither a request nor an approval")
		}
	case r.Previous < c.lowest[lane]:
		c.earlier++
	case !c.allowed[lane].has(r.Previous - c.lowest[lane]):
		c.found(Undecided, lane, r, "record %d, which it names, allowed nothing", r.Previous)
	}
}

// waited follows what people were asked about.
func (c *Checker) waited(r *audit.Record) {
	if r.Approval == "" {
		return
	}
	h := c.approvals[r.Approval]
	if h == nil {
		h = &held{}
		if r.Type == audit.TypeRequest {
			h.asked = r.Time
		}
	}
	switch r.Type {
	case audit.TypeRequest:
		h.subject = r.Subject
	case audit.TypeReview:
		if r.Decision != "approve" {
			break
		}
		h.approved = true
		if r.Person != "" && (r.Person == r.Subject || r.Person == h.subject) {
			c.found(OwnReview, "", r, "%s asked for it", r.Person)
		}
		c.stats.reviewed(r)
	case audit.TypeApproval:
		c.stats.decided(h, r)
	case audit.TypeStarted:
		c.started(h, r)
	case audit.TypeOutcome:
		if r.Outcome == string(approval.Unknown) {
			c.found(UnknownEnd, "", r, "%s", cmp.Or(r.Detail["code"], "its end is unknown"))
		}
		h.began = nil
	case audit.TypeAlarm, audit.TypeNotice, audit.TypeChange, audit.TypePolicy:
		return // about an approval; they don't carry it on
	}
	c.approvals[r.Approval] = h
}

func (c *Checker) started(h *held, r *audit.Record) {
	began := *r
	h.began = &began
	if r.Detail["standing"] != "" || r.Detail["break_glass"] != "" {
		return
	}
	under := h
	if plan := c.approvals[r.Detail["plan"]]; plan != nil {
		under = plan
	}
	switch {
	case under.approved:
	case under.asked.IsZero():
		c.earlier++
	default:
		c.found(Unreviewed, "", r, "no approving review stands before it")
	}
}

// people follows who left, and which credentials count no more.
func (c *Checker) people(r *audit.Record) {
	switch {
	case r.Type == audit.TypePerson && r.Decision == "left":
		c.left[r.Person] = true
	case r.Type == audit.TypePerson && r.Detail["groups"] != "": // the issuer vouches for the account again
		delete(c.left, r.Person)
	case c.left[r.Person] && r.Person != "" && (r.Type == audit.TypeReview || r.Type == audit.TypeChange || r.Type == audit.TypeFreeze || r.Type == audit.TypeSignIn && r.Decision == "opened"):
		c.found(LeftActs, "", r, "%s had left", r.Person)
	case r.Type == audit.TypeToken && r.Detail["what"] == "revoked":
		if _, again := c.revoked[r.Detail["token"]]; !again {
			c.revoked[r.Detail["token"]] = r.Time
		}
	}
}

// session looks at connections, which the traffic tells.
func (c *Checker) session(lane string, r *audit.Record) {
	if r.Type != audit.TypeSession || r.Detail["event"] != "opened" {
		return
	}
	if at, is := c.revoked[r.Detail["credential"]]; is && r.Time.After(at) {
		c.found(RevokedUsed, lane, r, "credential %s was revoked at %s", r.Detail["credential"], at.Format(time.RFC3339))
	}
}

// rules looks at how policy and settings changed.
func (c *Checker) rules(r *audit.Record) {
	switch r.Type {
	case audit.TypeConfig:
		if r.Detail["approved"] == "no" && r.Detail["before"] != "" {
			c.found(Unapproved, "", r, "policy %s: %s", r.Detail["number"], r.Detail["why"])
		}
	case audit.TypeChange:
		if r.Detail["alone"] != "" && r.Decision == "applied" {
			c.found(Alone, "", r, "%s: %s", r.Detail["what"], r.Detail["alone"])
		}
	case audit.TypeNotice:
		if r.Decision == "dead" {
			c.found(NotTold, "", r, "channel %s, %s", r.Detail["channel"], r.Detail["what"])
		}
	}
}

func (c *Checker) alarm(r *audit.Record) {
	id, what := r.Detail["emergency"], r.Detail["what"]
	switch {
	case r.Type != audit.TypeAlarm:
	case id == "" && r.Detail["change"] != "": // by one administrator alone: its change says so
	case id == "" && r.Detail["packs"] != "":
		c.found(Unapproved, "", r, "%s: %s", what, r.Detail["packs"])
	case id == "":
		c.found(Alarmed, "", r, "%s", what)
	case what == emergency.SaysBroken:
		b := &broken{rec: *r}
		if t, err := time.Parse(time.RFC3339, r.Detail["until"]); err == nil {
			b.until = t
		} else {
			b.until = r.Time
		}
		c.glass[id] = b
	case what == emergency.SaysLate:
		c.found(GlassOpen, "", r, "emergency %s: %s", id, what)
		c.reviewed(id)
	case strings.HasPrefix(what, emergency.SaysReviewed):
		if strings.TrimPrefix(what, emergency.SaysReviewed) == emergency.Wrong {
			c.found(GlassWrong, "", r, "emergency %s", id)
		}
		c.reviewed(id)
	}
}

func (c *Checker) reviewed(id string) {
	if b := c.glass[id]; b != nil {
		b.reviewed = true
	}
}

// open finds what has no end at the end of the records.
func (c *Checker) open() {
	for _, h := range c.approvals {
		if h.began != nil && c.to.Sub(h.began.Time) > endsWithin {
			c.found(NoOutcome, "", h.began, "it began at %s", h.began.Time.Format(time.RFC3339))
		}
		h.began = nil
	}
	for id, b := range c.glass {
		if !b.reviewed && c.to.Sub(b.until) > endsWithin {
			c.found(GlassOpen, "", &b.rec, "emergency %s, until %s", id, b.until.Format(time.RFC3339))
		}
		b.reviewed = true
	}
	for _, s := range c.nodes.All() {
		until := "the end of the records"
		if !s.Until.IsZero() {
			until = s.Until.Format(time.RFC3339)
		}
		c.found(Silent, "", &audit.Record{Index: s.After, Time: s.From}, "node %s said nothing until %s", s.Node, until)
	}
	c.nodes = audit.Silences{}
	slices.SortFunc(c.listed, func(a, b Exception) int {
		return cmp.Or(cmp.Compare(slices.Index(Tests(), a.Test), slices.Index(Tests(), b.Test)), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Index, b.Index))
	})
}

// bits is a set of numbers from 0, which come in rising order.
type bits struct{ w []uint64 }

func (b *bits) set(n int64) {
	if n < 0 || n > math.MaxInt32 {
		return
	}
	for int64(len(b.w)) <= n/64 {
		b.w = append(b.w, 0)
	}
	b.w[n/64] |= 1 << (n % 64)
}

func (b *bits) has(n int64) bool {
	return b != nil && n >= 0 && n/64 < int64(len(b.w)) && b.w[n/64]>>(n%64)&1 == 1
}
