package notify

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/sealed"
)

// How a delivery is tried. None of them is a setting.
const (
	workers    = 8
	attempt    = 20 * time.Second // one call of a channel
	claim      = time.Minute      // after it, another node may take a delivery over
	giveUp     = 24 * time.Hour   // of failing, and a delivery is dead
	longestGap = 5 * time.Minute  // between attempts
	lookEvery  = time.Second      // for what is due
	dueBatch   = 200
	settle     = 5 * time.Second  // after an approval's end, and its card is looked at once more
	running    = 10 * time.Minute // between looks at one that is approved or runs
)

// A delivery is one card, or notice, at one place.
type delivery struct {
	Channel string  `json:"channel"`
	Place   string  `json:"place"`
	About   string  `json:"about,omitempty"` // id of the approval
	Notice  *Notice `json:"notice,omitempty"`

	Ref     string    `json:"ref,omitempty"`   // the channel's own
	Shown   string    `json:"shown,omitempty"` // what it shows, as a hash
	State   string    `json:"state,omitempty"` // and the name of its card's state
	Sent    bool      `json:"sent,omitempty"`  // an attempt was made to post it
	Node    string    `json:"node,omitempty"`  // who is at it, until Due
	Tries   int       `json:"tries,omitempty"` // that failed since it last worked
	Failing time.Time `json:"failing,omitzero"`
	Error   string    `json:"error,omitempty"`
	Dead    bool      `json:"dead,omitempty"`
	Told    time.Time `json:"told,omitzero"` // last
	What    string    `json:"what,omitempty"`
	First   time.Time `json:"first,omitzero"` // attempt

	Flood int  `json:"flood,omitempty"` // of a digest: how many there were at this place
	Open  bool `json:"open,omitempty"`  // and whether it lasts

	Count int64 `json:"count,omitempty"` // of what a rule matched: how many it tells of
}

const deliveryKind = sealed.Kind[delivery]("delivery")

// A Dispatcher keeps cards true. It is safe for concurrent use.
type Dispatcher struct {
	o        Options
	channels map[string]Channel

	mu    sync.Mutex
	queue []string          // approvals to look at, oldest first; owned by mu
	what  map[string]string // and why: those in queue; owned by mu
	busy  map[string]bool   // approvals that a worker is at; owned by mu
	wake  chan struct{}

	news    map[spot]map[string]time.Time // what is new at a place, and since when; owned by mu
	ruled   map[ruleKey]*ruled            // what rules matched; owned by mu
	counted map[spot]bool                 // places whose folds this process has looked through; owned by mu
}

// New refuses routes to channels that aren't there.
func New(o Options) (*Dispatcher, error) {
	if o.Approvals == nil || o.Box == nil {
		return nil, errors.New("telling people needs approvals and a store")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Dispatcher{o: o, channels: map[string]Channel{}, what: map[string]string{}, busy: map[string]bool{}, wake: make(chan struct{}, 1), news: map[spot]map[string]time.Time{}, counted: map[spot]bool{}, ruled: map[ruleKey]*ruled{}}
	for _, c := range o.Channels {
		if d.channels[c.Name()] != nil {
			return nil, fmt.Errorf("there are two channels named %s", quote(c.Name()))
		}
		d.channels[c.Name()] = c
	}
	for name, at := range o.Targets {
		for _, t := range at {
			if d.channels[t.Channel] == nil || t.Place == Reviewers {
				return nil, fmt.Errorf("policy's name %s leads to %s of channel %s, which isn't there", quote(name), quote(t.Place), quote(t.Channel))
			}
		}
	}
	for i := range o.Routes {
		if d.channels[o.Routes[i].Channel] == nil {
			return nil, fmt.Errorf("route %d goes to the channel %s, which isn't there", i+1, quote(o.Routes[i].Channel))
		}
		if err := o.Routes[i].Check(); err != nil {
			return nil, fmt.Errorf("route %d: %w", i+1, err)
		}
	}
	return d, nil
}

func quote(s string) string { return strconv.Quote(s) }

// Run tells until ctx ends. What it was at is taken up by the next one.
func (d *Dispatcher) Run(ctx context.Context) {
	events := d.o.Approvals.Subscribe(ctx)
	var work sync.WaitGroup
	for range workers {
		work.Go(func() { d.work(ctx) })
	}
	work.Go(func() { d.look(ctx) })
	work.Go(func() { d.saveRules(ctx) })
	for ev := range events {
		what := Changed
		switch ev.What {
		case approval.Remind:
			what = Reminded
		case approval.Escalate, approval.FallBack:
			what = Escalated
		}
		d.add(ev.ID, what)
	}
	work.Wait()
}

func (d *Dispatcher) add(id, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was, there := d.what[id]
	if !there {
		d.queue = append(d.queue, id)
	}
	if !there || was == Changed {
		d.what[id] = what
	}
	d.poke()
}

// first is add for what was begun already: it doesn't stand behind a flood.
func (d *Dispatcher) first(id, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, there := d.what[id]; !there {
		d.queue = slices.Insert(d.queue, 0, id)
		d.what[id] = what
	}
	d.poke()
}

func (d *Dispatcher) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// next is an approval that nobody else here is at.
func (d *Dispatcher) next() (id, what string, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.queue, func(id string) bool { return !d.busy[id] })
	if i < 0 {
		return "", "", false
	}
	id = d.queue[i]
	what = d.what[id]
	d.queue = slices.Delete(d.queue, i, i+1)
	delete(d.what, id)
	d.busy[id] = true
	if len(d.queue) > 0 {
		d.poke()
	}
	return id, what, true
}

func (d *Dispatcher) work(ctx context.Context) {
	for ctx.Err() == nil {
		id, what, ok := d.next()
		if !ok {
			select {
			case <-ctx.Done():
			case <-d.wake:
			case <-time.After(lookEvery):
			}
			continue
		}
		if d.o.Shared { // so that two nodes seldom reach for the same
			time.Sleep(rand.N(100 * time.Millisecond)) //nolint:gosec // spreads load, guards nothing
		}
		if err := d.tell(ctx, id, what); err != nil && ctx.Err() == nil {
			d.o.Logger.ErrorContext(ctx, "telling people", "approval", id, "err", err)
		}
		d.mu.Lock()
		delete(d.busy, id)
		d.mu.Unlock()
		d.poke()
	}
}

// look finds what is due: attempts to be made again, cards whose approval has
// ended, and whatever another process left.
func (d *Dispatcher) look(ctx context.Context) {
	d.adopt(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
		var due []*sealed.Entry[delivery]
		err := d.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
			due, err = deliveryKind.List(ctx, r, sealed.Selection{Due: d.o.Clock(), Limit: dueBatch})
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				d.o.Logger.ErrorContext(ctx, "looking for who is to be told", "err", err)
			}
			continue
		}
		for _, e := range due {
			if e.Value.Notice != nil {
				d.first(noticePrefix+e.ID, Noticed)
				continue
			}
			d.first(e.Value.About, Changed)
		}
	}
}

// adopt looks at all that is pending: somebody may have asked while nobody told.
func (d *Dispatcher) adopt(ctx context.Context) {
	pending, err := d.o.Approvals.List(ctx, approval.Filter{States: []approval.State{approval.Pending}})
	if err != nil {
		d.o.Logger.ErrorContext(ctx, "looking for what is pending", "err", err)
		return
	}
	for _, a := range pending {
		d.add(a.ID, Changed)
	}
}

// noticePrefix is before the row's id of what is told of no approval.
const noticePrefix = "notice/"

// tell does what is queued.
func (d *Dispatcher) tell(ctx context.Context, id, what string) error {
	row, notice := strings.CutPrefix(id, noticePrefix)
	if !notice {
		return d.show(ctx, id, what)
	}
	var e *sealed.Entry[delivery]
	err := d.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		e, err = deliveryKind.Get(ctx, r, row)
		return err
	})
	switch {
	case err != nil:
		return err
	case e.Due.IsZero() || e.Due.After(d.o.Clock()): // somebody was faster
		return nil
	case e.Value.Flood > 0:
		return d.digest(ctx, e)
	}
	d.deliver(ctx, e, &Message{What: Noticed, Notice: e.Value.Notice})
	return nil
}

// show brings every card of one approval up to date.
func (d *Dispatcher) show(ctx context.Context, id, what string) error {
	if len(d.channels) == 0 {
		return nil
	}
	a, err := d.o.Approvals.Get(ctx, id)
	if err != nil {
		return err
	}
	c := card.Of(a, d.o.Approvals.Progress(a), d.o.PublicURL)
	var there []*sealed.Entry[delivery]
	err = d.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		there, err = deliveryKind.List(ctx, r, sealed.Selection{Key: id})
		return err
	})
	if err != nil {
		return err
	}
	known := map[spot]bool{}
	for _, e := range there {
		s := spot{e.Value.Channel, e.Value.Place}
		known[s] = true
		if d.o.Clock().Sub(e.Value.First) < within {
			d.note(s, id, e.Value.First)
		}
	}
	if c.Pending {
		for _, s := range d.spots(a) {
			if !known[s] {
				if d.spared(s.place, c, what) {
					continue
				}
				folded, err := d.folded(ctx, s, c)
				if err != nil {
					return err
				}
				if folded {
					continue
				}
				there = append(there, &sealed.Entry[delivery]{ID: rowID(s.channel, s.place, id), Key: id, Value: delivery{Channel: s.channel, Place: s.place, About: id}})
			}
		}
	}
	if !c.Pending {
		if err := d.over(ctx, a); err != nil {
			return err
		}
	}
	for _, e := range there {
		m := &Message{What: e.Value.news(c, what), Card: c}
		if again := m.What == Reminded || m.What == Escalated; again && d.spared(e.Value.Place, c, m.What) {
			m.What = Changed // the card stays true, and nobody is woken
		}
		d.deliver(ctx, e, m)
	}
	return nil
}

// news is what a place is told for. A reminder that could not be told when it
// was due is still one when it can.
func (v *delivery) news(c *card.Card, what string) string {
	n := len(c.Steps)
	switch {
	case v.Ref == "":
		return Asked
	case what != Changed || n == 0 || !c.Steps[n-1].Time.After(v.Told):
		return what
	case c.Steps[n-1].Do == approval.Remind:
		return Reminded
	}
	return Escalated
}

// spared says that a person isn't written to now; what was kept back is told when
// that ends. A place of several people is nobody's bed.
func (d *Dispatcher) spared(place string, c *card.Card, what string) bool {
	if d.o.Quiet == nil || !strings.HasPrefix(place, "person:") {
		return false
	}
	until := d.o.Quiet(place, c.ID, c.Version, c.Risk.Class == "crit")
	if until.IsZero() {
		return false
	}
	if until.Before(c.Expires) {
		time.AfterFunc(max(until.Sub(d.o.Clock()), 0)+time.Second, func() { d.add(c.ID, what) })
	}
	return true
}

// deliver makes one attempt, unless the place shows it already, another node is
// at it, or it isn't time yet.
func (d *Dispatcher) deliver(ctx context.Context, e *sealed.Entry[delivery], m *Message) {
	v, now := &e.Value, d.o.Clock()
	ch := d.channels[v.Channel]
	hash := m.hash()
	switch {
	case v.Dead, ch == nil:
		return
	case v.Shown == hash:
		d.rest(ctx, e, m)
		return
	case v.Node != "" && now.Before(e.Due):
		d.soon(m) // what the other one shows may be older
		return
	case v.Tries > 0 && now.Before(e.Due):
		return
	}
	m.Again = v.Sent
	v.Node, e.Due, v.Sent = d.o.Node, now.Add(claim), true
	if v.First.IsZero() {
		v.First = now
	}
	if !d.put(ctx, e, "sending", m) {
		d.soon(m)
		return
	}
	key := e.ID
	m.Was = v.State
	if v.Flood > 1 {
		key += fmt.Sprintf(".%d", v.Flood)
	}
	try, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	var err error
	if v.Ref == "" {
		var ref string
		if ref, err = ch.Post(try, v.Place, key, m); err == nil {
			v.Ref = ref
		}
	} else {
		err = ch.Update(try, v.Place, v.Ref, m)
	}
	v.Node = ""
	if err != nil {
		d.failed(ctx, e, m, err)
		return
	}
	v.Shown, v.Tries, v.Error, v.Failing, v.Told, v.What = hash, 0, "", time.Time{}, now, m.What
	if m.Card != nil {
		v.State = m.Card.State.Name
	}
	e.Due = m.until(now)
	d.observe(v.Channel, Told)
	d.put(ctx, e, Told, m)
}

// soon looks at an approval once more.
func (d *Dispatcher) soon(m *Message) {
	if m.Card != nil {
		time.AfterFunc(lookEvery, func() { d.add(m.Card.ID, m.What) })
	}
}

// rest notes that nothing more is to be done about a card for now.
func (d *Dispatcher) rest(ctx context.Context, e *sealed.Entry[delivery], m *Message) {
	now := d.o.Clock()
	if e.Due.IsZero() || e.Due.After(now) {
		return
	}
	e.Due = m.until(now)
	d.put(ctx, e, "rests", m)
}

// until is when a card has to be looked at although nothing was heard; zero: never.
func (m *Message) until(now time.Time) time.Time {
	switch {
	case m.Card == nil:
		return m.next
	case m.Card.Over:
		return time.Time{}
	case m.Card.Pending && m.Card.Expires.After(now):
		return m.Card.Expires.Add(settle)
	}
	return now.Add(running)
}

func (d *Dispatcher) failed(ctx context.Context, e *sealed.Entry[delivery], m *Message, err error) {
	if ctx.Err() != nil { // we are stopping: the claim runs out, and it is tried again
		return
	}
	v, now := &e.Value, d.o.Clock()
	v.Tries++
	v.Error = errorText(err)
	if v.Failing.IsZero() {
		v.Failing = now
	}
	what := Failed
	gap := min(longestGap, time.Second<<min(v.Tries, 9))
	gap += rand.N(gap/4 + 1) //nolint:gosec // spreads load, guards nothing
	var later *laterError
	if errors.As(err, &later) {
		gap = max(gap, later.after)
	}
	e.Due = now.Add(gap)
	if errors.Is(err, ErrNever) || now.Sub(v.Failing) > giveUp {
		v.Dead, e.Due, what = true, never, Dead
	}
	d.o.Logger.WarnContext(ctx, "a channel failed", "channel", v.Channel, "place", v.Place, "approval", v.About, "tries", v.Tries, "dead", v.Dead, "err", err)
	d.observe(v.Channel, what)
	d.put(ctx, e, what, m)
}

const maxError = 300

func errorText(err error) string {
	s := err.Error()
	return s[:min(len(s), maxError)]
}

// put stores e with its record; false: somebody else was faster, or it can't be stored.
func (d *Dispatcher) put(ctx context.Context, e *sealed.Entry[delivery], what string, m *Message) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), attempt)
	defer cancel()
	v := &e.Value
	rec := &audit.Record{Type: audit.TypeNotice, Decision: what, Approval: v.About, Detail: map[string]string{"channel": v.Channel, "place": v.Place, "what": m.What}}
	if v.Error != "" {
		rec.Detail["error"] = v.Error
	}
	err := d.o.Box.Update(ctx, func(w *sealed.Writer) error { return deliveryKind.Put(ctx, w, e, rec) })
	if errors.Is(err, sealed.ErrConflict) {
		return false
	}
	if err != nil {
		d.o.Logger.ErrorContext(ctx, "noting who was told", "channel", v.Channel, "approval", v.About, "err", err)
		return false
	}
	return true
}

// hash tells whether a place shows m already.
func (m *Message) hash() string {
	b, err := json.Marshal([]any{m.Card, m.Notice})
	if err != nil { // strings, numbers and times: it can't fail
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

var lower = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func rowID(parts ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "assent-delivery/1 %q", parts))
	return lower.EncodeToString(sum[:15])
}

// Notify tells of n wherever a route asks for its kind. Once it returned, a
// restart tells it too.
func (d *Dispatcher) Notify(ctx context.Context, n Notice) error {
	for i := range d.o.Routes {
		r := &d.o.Routes[i]
		if !slices.Contains(r.Notices, n.Kind) || r.Place == Reviewers {
			continue
		}
		e := &sealed.Entry[delivery]{ID: rowID(r.Channel, r.Place, n.ID), Due: d.o.Clock(), Value: delivery{Channel: r.Channel, Place: r.Place, Notice: &n}}
		rec := &audit.Record{Type: audit.TypeNotice, Decision: "to tell", Detail: map[string]string{"channel": r.Channel, "place": r.Place, "what": n.Kind, "title": n.Title}}
		err := d.o.Box.Update(ctx, func(w *sealed.Writer) error { return deliveryKind.Put(ctx, w, e, rec) })
		if err != nil && !errors.Is(err, sealed.ErrConflict) { // a conflict: it is told already
			return fmt.Errorf("telling of %s: %w", n.Kind, err)
		}
	}
	return nil
}
