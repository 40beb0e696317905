package erase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/known"
	"github.com/assenthq/assent/internal/sealed"
)

// States of a hold.
const (
	Held     = "held"
	Released = "released"
)

// ErrHeld refuses to erase what must be kept.
var ErrHeld = errors.New("a legal hold keeps it")

// A Hold says that nothing of a person, or of a time, or of a person in a time, is erased.
type Hold struct {
	Names []string  `json:"names,omitempty"` // of one person; none: everybody
	From  time.Time `json:"from,omitzero"`   // records from then on; zero: from the first
	Until time.Time `json:"until,omitzero"`  // records before then; zero: to the newest
	At    time.Time `json:"at"`
}

// Holds are the rows of holds; their key is the state.
const Holds = sealed.Kind[Hold]("hold")

// WhatHold is the kind of change that places or releases a hold.
const WhatHold = "hold"

// A HoldRequest is the body of a change that places a hold, or releases one.
type HoldRequest struct {
	Names   []string  `json:"names,omitempty"`
	From    time.Time `json:"from,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Release string    `json:"release,omitempty"` // id of the hold
}

// ReadHold reads a request.
func ReadHold(body []byte) (*HoldRequest, error) {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	var r HoldRequest
	if err := d.Decode(&r); err != nil || d.More() {
		return nil, &change.BodyError{Problem: "a hold has names, a time, or both"}
	}
	timed := !r.From.IsZero() || !r.Until.IsZero()
	switch {
	case r.Release != "" && (timed || len(r.Names) > 0):
		return nil, &change.BodyError{Problem: "releasing a hold takes its id, and nothing beside"}
	case r.Release == "" && !timed && len(r.Names) == 0 || len(r.Names) > maxNames:
		return nil, &change.BodyError{Problem: fmt.Sprintf("a hold has names of one person (%d at most), a time, or both", maxNames)}
	case !r.From.IsZero() && !r.Until.IsZero() && !r.From.Before(r.Until):
		return nil, &change.BodyError{Problem: "the hold's time ends before it begins"}
	}
	return &r, nil
}

// HoldApplier places and releases holds.
func HoldApplier() change.Applier {
	return change.Applier{
		Together: true,
		Check:    func(_ context.Context, body []byte) error { _, err := ReadHold(body); return err },
		Apply: func(ctx context.Context, w *sealed.Writer, id string, c *change.Change) error {
			r, err := ReadHold(c.Body)
			if err != nil {
				return errors.Join(err, change.ErrStale)
			}
			h := &sealed.Entry[Hold]{ID: id, Key: Held, Value: Hold{Names: r.Names, From: r.From, Until: r.Until, At: time.Now().UTC().Truncate(time.Second)}}
			if r.Release != "" {
				if h, err = Holds.Get(ctx, &w.Reader, r.Release); err != nil || h.Key != Held {
					return errors.Join(fmt.Errorf("hold %q isn't in force", r.Release), err, change.ErrStale)
				}
				h.Key = Released
			}
			return Holds.Put(ctx, w, h, &audit.Record{Type: audit.TypeHold, Person: c.Author, Approval: c.Approval, Decision: h.Key})
		},
	}
}

// KeepsTraffic says which hold in force keeps harmless traffic of a time; "": none. A hold
// of a person keeps everybody's, since traffic isn't searched before it goes.
func KeepsTraffic(ctx context.Context, r *sealed.Reader, from, to time.Time) (why string, err error) {
	all, err := Holds.All(ctx, r)
	if err != nil {
		return "", err
	}
	for _, h := range all {
		v := h.Value
		if h.Key == Held && !to.Before(v.From) && (v.Until.IsZero() || from.Before(v.Until)) {
			return "hold " + h.ID, nil
		}
	}
	return "", nil
}

// A keeper is a hold in force.
type keeper struct {
	*sealed.Entry[Hold]
	who   *known.Person // nil: everybody
	timed bool
}

// keepers are all holds in force.
func keepers(ctx context.Context, r *sealed.Reader, src known.Sources) (out []*keeper, err error) {
	all, err := Holds.All(ctx, r)
	if err != nil {
		return nil, err
	}
	for _, h := range all {
		if h.Key != Held {
			continue
		}
		k := &keeper{Entry: h, timed: !h.Value.From.IsZero() || !h.Value.Until.IsZero()}
		if len(h.Value.Names) > 0 {
			if k.who, err = known.Look(ctx, src, h.Value.Names); err != nil {
				return nil, fmt.Errorf("hold %s: %w", h.ID, err)
			}
		}
		out = append(out, k)
	}
	return out, nil
}

func (k *keeper) refuse() error {
	return fmt.Errorf("%w: hold %s, placed on %s; two administrators release it (assent person release %s)", ErrHeld, k.ID, k.Value.At.Format(time.DateOnly), k.ID)
}

// is reports whether the hold is of that person.
func (k *keeper) is(p *known.Person) bool {
	return k.who != nil && (slices.ContainsFunc(k.who.Names(), p.InText) || slices.ContainsFunc(p.Names(), k.who.InText))
}

// person errs where the hold keeps all of a person.
func (k *keeper) person(p *known.Person) error {
	if !k.timed && (k.who == nil || k.is(p)) {
		return k.refuse()
	}
	return nil
}

// record errs where the hold keeps a record that an erasure changes: that it names somebody else
// as well is no matter, for its texts are cut. own are records of the erasure's own order: a hold
// of a person leaves those, or nobody who is held could decide one.
func (k *keeper) record(v any, at time.Time, own bool) error {
	if k.in(at) && k.of(v, own) {
		return k.refuse()
	}
	return nil
}

// row is record for a row, which is of every time that it tells.
func (k *keeper) row(at map[string]any, own bool) error {
	if k.of(at, own) && (!k.timed || k.tells(at)) {
		return k.refuse()
	}
	return nil
}

func (k *keeper) of(v any, own bool) bool { return k.who == nil || !own && k.who.In(v) }

func (k *keeper) in(at time.Time) bool {
	return !at.Before(k.Value.From) && (k.Value.Until.IsZero() || at.Before(k.Value.Until))
}

// tells reports whether a value tells a time of the hold's.
func (k *keeper) tells(v any) bool {
	switch v := v.(type) {
	case string:
		t, err := time.Parse(time.RFC3339, v)
		return err == nil && !t.IsZero() && k.in(t)
	case []any:
		return slices.ContainsFunc(v, k.tells)
	case map[string]any:
		for _, x := range v {
			if k.tells(x) {
				return true
			}
		}
	}
	return false
}
