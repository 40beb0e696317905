package people

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// A swap puts another of a rotation's people on call for a while.
type swap struct {
	Group  string    `json:"group"`
	Person string    `json:"person"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	By     string    `json:"by"`
	Ended  time.Time `json:"ended,omitzero"`
}

const swapKind = sealed.Kind[swap]("oncall")

const longestSwap = 30 * 24 * time.Hour

// turn puts who is on call now into the rotation's group.
func (w *drawing) turn(r *Rotation) {
	person, next := r.now(w.now)
	w.at(next)
	var newest *sealed.Entry[swap]
	for _, e := range w.d.swaps {
		s := &e.Value
		if s.Group != r.Group || !s.Ended.IsZero() || !slices.Contains(r.People, s.Person) {
			continue
		}
		w.at(s.From)
		w.at(s.Until)
		if w.now.Before(s.From) || !w.now.Before(s.Until) {
			continue
		}
		if newest == nil || cmp.Or(s.From.Compare(newest.Value.From), strings.Compare(e.ID, newest.ID)) > 0 {
			person, newest = s.Person, e
		}
	}
	if person != "" {
		w.turns[person] = append(w.turns[person], r.Group)
	}
}

// now says whose turn it is at t and when the next begins; "" before the start.
func (r *Rotation) now(t time.Time) (person string, next time.Time) {
	if t.Before(r.Start) {
		return "", r.Start
	}
	if r.Days == 0 {
		n := int64(t.Sub(r.Start) / r.Length)
		return r.People[n%int64(len(r.People))], r.Start.Add(time.Duration(n+1) * r.Length)
	}
	start := r.Start.In(r.Zone)
	n := int(t.Sub(start).Hours()/24) / r.Days
	for start.AddDate(0, 0, n*r.Days).After(t) { // a day of 23 hours lies between
		n--
	}
	for !start.AddDate(0, 0, (n+1)*r.Days).After(t) {
		n++
	}
	return r.People[n%len(r.People)], start.AddDate(0, 0, (n+1)*r.Days)
}

// A Swap is what is listed of one.
type Swap struct {
	ID, Group, Person, By string
	From, Until, Ended    time.Time
}

// Swap puts person on call for group from from until until, instead of whose
// turn it is. Only people whom the rotation names can be; it counts for what is
// asked from then on.
func (d *Directory) Swap(ctx context.Context, group, person, by string, from, until time.Time) (*Swap, error) {
	if err := d.CheckSwap(group, person); err != nil {
		return nil, err
	}
	var e *sealed.Entry[swap]
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) (err error) {
		e, err = putSwap(ctx, w, now, swap{Group: group, Person: person, From: from, Until: until, By: by})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("changing who is on call: %w", err)
	}
	return swapOf(e), nil
}

// CheckSwap errs when Swap would, but for the times.
func (d *Directory) CheckSwap(group, person string) error {
	i := slices.IndexFunc(d.cfg.OnCall, func(r Rotation) bool { return r.Group == group })
	if i < 0 {
		return fmt.Errorf("on call for %s: the configuration has no such rotation: %w", group, ErrUnknown)
	}
	if !slices.Contains(d.cfg.OnCall[i].People, person) {
		return fmt.Errorf("on call for %s: %s is not in its rotation; somebody else is added in the configuration: %w", group, person, ErrRefused)
	}
	return nil
}

// SwapWithin is Swap in somebody else's transaction; Refresh takes it over afterwards.
func (d *Directory) SwapWithin(ctx context.Context, w *sealed.Writer, group, person, by string, from, until time.Time) error {
	if err := d.CheckSwap(group, person); err != nil {
		return err
	}
	_, err := putSwap(ctx, w, d.tell(), swap{Group: group, Person: person, From: from, Until: until, By: by})
	return err
}

func putSwap(ctx context.Context, w *sealed.Writer, now time.Time, s swap) (*sealed.Entry[swap], error) {
	if s.From.Before(now) {
		s.From = now
	}
	if !s.Until.After(s.From) || s.Until.Sub(s.From) > longestSwap {
		return nil, fmt.Errorf("from %s until %s is not a while of at most 30 days: %w", stamp(s.From), stamp(s.Until), ErrRefused)
	}
	e := &sealed.Entry[swap]{ID: newID(), Key: s.Group, Value: s}
	return e, swapKind.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: "on call", Person: s.By, Detail: map[string]string{
		"group": s.Group, "who": s.Person, "from": stamp(s.From), "until": stamp(s.Until),
	}})
}

// EndSwap ends one at once. Ending twice is harmless.
func (d *Directory) EndSwap(ctx context.Context, id, by string) error {
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		e, err := swapKind.Get(ctx, &w.Reader, id)
		if errors.Is(err, sealed.ErrNotFound) {
			return ErrUnknown
		}
		if err != nil || !e.Value.Ended.IsZero() {
			return err
		}
		e.Value.Ended = now
		return swapKind.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: "no longer on call", Person: by, Detail: map[string]string{"group": e.Value.Group, "who": e.Value.Person}})
	})
	if err != nil {
		return fmt.Errorf("changing who is on call: %w", err)
	}
	return nil
}

// Swaps lists them, the latest first.
func (d *Directory) Swaps() []Swap {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Swap
	for _, e := range d.swaps {
		out = append(out, *swapOf(e))
	}
	slices.SortFunc(out, func(a, b Swap) int { return b.From.Compare(a.From) })
	return out
}

func swapOf(e *sealed.Entry[swap]) *Swap {
	v := &e.Value
	return &Swap{ID: e.ID, Group: v.Group, Person: v.Person, By: v.By, From: v.From, Until: v.Until, Ended: v.Ended}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// A Turn is who is on call in a group now.
type Turn struct {
	Group  string
	Person string // "" before the rotation starts
	Next   time.Time
	People []string
}

// OnCall lists who is on call, swaps counted in.
func (d *Directory) OnCall() []Turn {
	pic, now := d.picture(), d.tell()
	var out []Turn
	for i := range d.cfg.OnCall {
		r := &d.cfg.OnCall[i]
		_, next := r.now(now)
		t := Turn{Group: r.Group, Next: next, People: r.People}
		for _, id := range r.People {
			if slices.Contains(pic.turns[id], r.Group) {
				t.Person = id
			}
		}
		out = append(out, t)
	}
	return out
}
