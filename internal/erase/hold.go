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

// keeps errs where a hold is in force for any name or record that is to be erased.
func keeps(ctx context.Context, r *sealed.Reader, src known.Sources, person *known.Person, copies []*audit.Record) error {
	all, err := Holds.All(ctx, r)
	if err != nil {
		return err
	}
	for _, h := range all {
		if h.Key != Held {
			continue
		}
		is := len(h.Value.Names) == 0
		if !is {
			held, err := known.Look(ctx, src, h.Value.Names)
			if err != nil {
				return err
			}
			is = slices.ContainsFunc(held.Names(), person.InText) || slices.ContainsFunc(person.Names(), held.InText)
		}
		timed := !h.Value.From.IsZero() || !h.Value.Until.IsZero()
		if is && timed {
			is = slices.ContainsFunc(copies, func(c *audit.Record) bool {
				return !c.Time.Before(h.Value.From) && (h.Value.Until.IsZero() || c.Time.Before(h.Value.Until))
			})
		}
		if is {
			return fmt.Errorf("%w: hold %s, placed on %s; two administrators release it (assent person release %s)", ErrHeld, h.ID, h.Value.At.Format(time.DateOnly), h.ID)
		}
	}
	return nil
}
