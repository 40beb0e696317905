package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/show"
)

// A place takes so many new cards in so long; what is more is folded into one
// message that counts them, so that a flood neither tires people nor exceeds
// what a chat takes. None of it is a setting.
const (
	room    = 10
	within  = time.Minute
	recount = 30 * time.Second // between two looks at what is folded
	gather  = 2 * time.Second  // before the first
)

// A fold is an approval that a place is told of by number only, for now.
type fold struct {
	Channel string    `json:"channel"`
	Place   string    `json:"place"`
	About   string    `json:"about"`
	Score   int       `json:"score"` // of its risk
	High    bool      `json:"high"`
	Asked   time.Time `json:"asked"`
	Ended   bool      `json:"ended,omitempty"` // it has its own card, or is over
}

const foldKind = sealed.Kind[fold]("fold")

func (s spot) foldID(about string) string { return rowID("fold", s.channel, s.place, about) }
func (s spot) key() string                { return rowID("folds", s.channel, s.place) }
func (s spot) digestID() string           { return rowID("digest", s.channel, s.place) }

// take reserves room for a new card at s; false: there is none now.
func (d *Dispatcher) take(s spot, about string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.news[s]
	for id, t := range at {
		if now.Sub(t) >= within {
			delete(at, id)
		}
	}
	if _, has := at[about]; !has && len(at) >= room {
		return false
	}
	d.noteLocked(s, about, now)
	return true
}

// note counts a card that is new at s, here or by another node.
func (d *Dispatcher) note(s spot, about string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noteLocked(s, about, at)
}

func (d *Dispatcher) noteLocked(s spot, about string, at time.Time) {
	if d.news[s] == nil {
		d.news[s] = map[string]time.Time{}
	}
	d.news[s][about] = at
}

// release gives back what take reserved.
func (d *Dispatcher) release(s spot, about string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.news[s], about)
}

// folded says that s is told of c by number only, and sees to it. What is
// critical never is.
func (d *Dispatcher) folded(ctx context.Context, s spot, c *card.Card) (bool, error) {
	now := d.o.Clock()
	if c.Risk.Class == "crit" {
		d.note(s, c.ID, now)
		return false, nil
	}
	there, open := false, false
	err := d.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		there, open, err = d.folds(ctx, r, s, c.ID)
		return err
	})
	if err != nil || there {
		return there, err
	}
	if !open && d.take(s, c.ID, now) {
		return false, nil
	}
	put := func(w *sealed.Writer) error {
		there, open, err := d.folds(ctx, &w.Reader, s, c.ID)
		if err != nil || there {
			return err
		}
		f := &sealed.Entry[fold]{ID: s.foldID(c.ID), Key: s.key(), Value: fold{Channel: s.channel, Place: s.place, About: c.ID, Score: c.Risk.Score, High: c.Risk.Class == "high", Asked: c.Created}}
		if err := foldKind.Put(ctx, w, f, f.Value.record("folded")); err != nil || open {
			return err
		}
		return s.begin(ctx, w, now)
	}
	for range 3 {
		if err = d.o.Box.Update(ctx, put); !errors.Is(err, sealed.ErrConflict) {
			break
		}
	}
	return true, err
}

func (f *fold) record(what string) *audit.Record {
	return &audit.Record{Type: audit.TypeNotice, Decision: what, Approval: f.About, Detail: map[string]string{"channel": f.Channel, "place": f.Place, "what": Asked}}
}

// folds looks whether an approval is folded at s, and whether anything is.
func (d *Dispatcher) folds(ctx context.Context, r *sealed.Reader, s spot, about string) (there, open bool, err error) {
	f, err := foldKind.Get(ctx, r, s.foldID(about))
	if err == nil {
		return !f.Value.Ended, true, nil
	}
	if !errors.Is(err, sealed.ErrNotFound) {
		return false, false, err
	}
	e, err := deliveryKind.Get(ctx, r, s.digestID())
	if errors.Is(err, sealed.ErrNotFound) {
		return false, false, nil
	}
	return false, err == nil && e.Value.Open && !e.Value.Dead, err
}

// begin has the place's digest written: a new message for each flood.
func (s spot) begin(ctx context.Context, w *sealed.Writer, now time.Time) error {
	e, err := deliveryKind.Get(ctx, &w.Reader, s.digestID())
	if errors.Is(err, sealed.ErrNotFound) {
		e, err = &sealed.Entry[delivery]{ID: s.digestID()}, nil
	}
	if err != nil {
		return err
	}
	e.Due = now.Add(gather)
	e.Value = delivery{Channel: s.channel, Place: s.place, Flood: e.Value.Flood + 1, Open: true, Notice: &Notice{ID: e.ID, Kind: Digest, Path: "/approvals", Time: now}}
	return deliveryKind.Put(ctx, w, e, &audit.Record{Type: audit.TypeNotice, Decision: "to tell", Detail: map[string]string{"channel": s.channel, "place": s.place, "what": Digest}})
}

// digest gives the gravest of what is folded at a place their own cards, as far
// as there is room, and counts the rest in one message.
func (d *Dispatcher) digest(ctx context.Context, e *sealed.Entry[delivery]) error {
	v, now := &e.Value, d.o.Clock()
	s := spot{v.Channel, v.Place}
	if v.Open && !v.Dead {
		left, err := d.unfold(ctx, s)
		if err != nil {
			return err
		}
		v.Notice.Title, v.Notice.Text = sum(left)
		v.Open = len(left) > 0
	}
	m := &Message{What: Noticed, Notice: v.Notice}
	if v.Open {
		m.next = now.Add(recount)
	}
	if !v.Open && !v.Sent { // it was over before anybody was told
		e.Due = time.Time{}
		d.put(ctx, e, "rests", m)
		return nil
	}
	d.deliver(ctx, e, m)
	return nil
}

// unfold returns what stays folded.
func (d *Dispatcher) unfold(ctx context.Context, s spot) ([]*sealed.Entry[fold], error) {
	var all []*sealed.Entry[fold]
	err := d.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		all, err = foldKind.List(ctx, r, sealed.Selection{Key: s.key()})
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *sealed.Entry[fold]) int {
		return cmp.Or(cmp.Compare(b.Value.Score, a.Value.Score), a.Value.Asked.Compare(b.Value.Asked), strings.Compare(a.ID, b.ID))
	})
	if all, err = d.stillPending(ctx, s, all); err != nil {
		return nil, err
	}
	var left []*sealed.Entry[fold]
	for i, f := range all {
		shown, err := d.unfoldOne(ctx, s, f)
		if errors.Is(err, errFull) {
			return append(left, all[i:]...), nil
		}
		if err != nil {
			return nil, err
		}
		if !shown {
			left = append(left, f)
		}
	}
	return left, nil
}

// stillPending ends, once in a process, what was decided while nobody here told.
func (d *Dispatcher) stillPending(ctx context.Context, s spot, all []*sealed.Entry[fold]) ([]*sealed.Entry[fold], error) {
	d.mu.Lock()
	done := d.counted[s]
	d.counted[s] = true
	d.mu.Unlock()
	if done || len(all) == 0 {
		return all, nil
	}
	pending, err := d.o.Approvals.List(ctx, approval.Filter{States: []approval.State{approval.Pending}})
	if err != nil {
		return nil, err
	}
	waits := map[string]bool{}
	for _, a := range pending {
		waits[a.ID] = true
	}
	var out []*sealed.Entry[fold]
	for _, f := range all {
		if waits[f.Value.About] {
			out = append(out, f)
		} else if err := d.end(ctx, f); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var errFull = errors.New("there is no room for another card now")

// unfoldOne gives one approval its card; false: it stays folded.
func (d *Dispatcher) unfoldOne(ctx context.Context, s spot, f *sealed.Entry[fold]) (bool, error) {
	id := f.Value.About
	now := d.o.Clock()
	if !d.take(s, id, now) {
		return false, errFull
	}
	a, err := d.o.Approvals.Get(ctx, id)
	if err != nil {
		return false, err
	}
	c := card.Of(a, d.o.Approvals.Progress(a), d.o.PublicURL)
	e := &sealed.Entry[delivery]{ID: rowID(s.channel, s.place, id), Key: id, Value: delivery{Channel: s.channel, Place: s.place, About: id}}
	there := false
	err = d.o.Box.View(ctx, func(r *sealed.Reader) error {
		_, err := deliveryKind.Get(ctx, r, e.ID)
		if there = err == nil; errors.Is(err, sealed.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return false, err
	}
	switch {
	case !c.Pending || there:
		d.release(s, id)
	case d.spared(s.place, c, Asked):
		d.release(s, id)
		return false, nil
	default:
		d.deliver(ctx, e, &Message{What: Asked, Card: c})
	}
	return true, d.end(ctx, f) // after its card is there: what ends in between is told twice rather than never
}

// end notes that an approval is no longer folded.
func (d *Dispatcher) end(ctx context.Context, f *sealed.Entry[fold]) error {
	f.Value.Ended, f.Key = true, ""
	err := d.o.Box.Update(ctx, func(w *sealed.Writer) error { return foldKind.Put(ctx, w, f, f.Value.record("unfolded")) })
	if errors.Is(err, sealed.ErrConflict) { // by another node
		return nil
	}
	return err
}

// over ends what is folded of an approval that no longer waits.
func (d *Dispatcher) over(ctx context.Context, a *approval.Approval) error {
	for _, s := range d.spots(a) {
		var f *sealed.Entry[fold]
		err := d.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
			f, err = foldKind.Get(ctx, r, s.foldID(a.ID))
			return err
		})
		if errors.Is(err, sealed.ErrNotFound) || err == nil && f.Value.Ended {
			continue
		}
		if err != nil {
			return err
		}
		if err := d.end(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// sum is what a digest says.
func sum(left []*sealed.Entry[fold]) (title, text string) {
	n, high := int64(len(left)), int64(0)
	for _, f := range left {
		if f.Value.High {
			high++
		}
	}
	switch n {
	case 0:
		return "No more approvals wait behind this", "What was counted here has its own card, or is over."
	case 1:
		title = "1 more approval waits"
	default:
		title = fmt.Sprintf("%s more approvals wait", show.Thousands(n))
	}
	if high > 0 {
		text = fmt.Sprintf("%s at high risk. ", show.Thousands(high))
	}
	return title, text + "More was asked within a minute than anybody reads here. Each gets its own card as there is room, the gravest first; the console has all of them."
}
