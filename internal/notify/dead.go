package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// ErrNotDead says that there is nothing to replay.
var ErrNotDead = errors.New("this delivery is not dead")

// ErrNoChannel says that the configuration has no channel of that name.
var ErrNoChannel = errors.New("there is no such channel")

// never is when a dead delivery is due: no clock gets there, and those that are
// dead are found without reading all that are done with.
var never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Results of attempts, for Options.Observe.
const (
	Told   = "told"
	Failed = "failed"
	Dead   = "dead"
)

// A Delivery is what is listed of one.
type Delivery struct {
	ID, Channel, Place, Approval, Notice, Error string
	Tries                                       int
	Dead                                        bool
	Failing, Due                                time.Time
}

// Deliveries lists those that are dead, or failing now.
func (d *Dispatcher) Deliveries(ctx context.Context) (out []Delivery, err error) {
	err = d.o.Box.View(ctx, func(r *sealed.Reader) error {
		all, err := deliveryKind.List(ctx, r, sealed.Selection{Due: never})
		for _, e := range all {
			v := &e.Value
			if !v.Dead && v.Tries == 0 {
				continue
			}
			x := Delivery{ID: e.ID, Channel: v.Channel, Place: v.Place, Approval: v.About, Error: v.Error, Tries: v.Tries, Dead: v.Dead, Failing: v.Failing}
			if !v.Dead {
				x.Due = e.Due
			}
			if v.Notice != nil {
				x.Notice = v.Notice.Kind
			}
			out = append(out, x)
		}
		return err
	})
	slices.SortFunc(out, func(x, y Delivery) int { return x.Failing.Compare(y.Failing) })
	return out, err
}

// DeadOnes is how many deliveries are dead; it errs rather than guess.
func (d *Dispatcher) DeadOnes(ctx context.Context) (n int, err error) {
	all, err := d.Deliveries(ctx)
	for i := range all {
		if all[i].Dead {
			n++
		}
	}
	return n, err
}

// Replay tries a dead delivery again, from now on. ErrNotDead: there is nothing to try.
func (d *Dispatcher) Replay(ctx context.Context, id, by string) error {
	return d.o.Box.Update(ctx, func(w *sealed.Writer) error {
		e, err := deliveryKind.Get(ctx, &w.Reader, id)
		if err != nil {
			return err
		}
		if !e.Value.Dead {
			return ErrNotDead
		}
		e.Value.Dead, e.Value.Tries, e.Value.Failing, e.Value.Node, e.Due = false, 0, time.Time{}, "", d.o.Clock()
		return deliveryKind.Put(ctx, w, e, &audit.Record{Type: audit.TypeNotice, Decision: "replayed", Person: by, Approval: e.Value.About, Detail: map[string]string{"channel": e.Value.Channel, "place": e.Value.Place}})
	})
}

// A ChannelState is how one channel is doing.
type ChannelState struct {
	Name          string
	Places        []string
	Failing, Dead int
	Error         string // of the one that fails longest
}

// States are all channels', by name.
func (d *Dispatcher) States(ctx context.Context) ([]ChannelState, error) {
	bad, err := d.Deliveries(ctx)
	if err != nil {
		return nil, err
	}
	var out []ChannelState
	for i := range d.o.Channels {
		s := ChannelState{Name: d.o.Channels[i].Name()}
		s.Places = d.places(s.Name)
		for j := range bad {
			switch {
			case bad[j].Channel != s.Name:
				continue
			case bad[j].Dead:
				s.Dead++
			default:
				s.Failing++
			}
			if s.Error == "" {
				s.Error = bad[j].Error
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y ChannelState) int { return compare(x.Name, y.Name) })
	return out, nil
}

func compare(x, y string) int {
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// places are those of a channel's routes, each once.
func (d *Dispatcher) places(channel string) []string {
	var out []string
	for i := range d.o.Routes {
		if r := &d.o.Routes[i]; r.Channel == channel && !slices.Contains(out, r.Place) {
			out = append(out, r.Place)
		}
	}
	return out
}

// A Tested is what came of a test at one place; Error is "" where it was told.
type Tested struct{ Place, Error string }

// Test tells each place of a channel that this is a test, now and once. Where a
// route is to reviewers, only by is told.
func (d *Dispatcher) Test(ctx context.Context, channel, by string) ([]Tested, error) {
	ch := d.channels[channel]
	if ch == nil {
		return nil, ErrNoChannel
	}
	out := []Tested{}
	n := &Notice{
		ID: "test-" + rand.Text(), Kind: "test", Title: "A test of the channel " + channel,
		Text: "Somebody who administers Assent asked for it. Nothing is to be done.", Time: d.o.Clock(),
	}
	for _, place := range d.places(channel) {
		if place == Reviewers {
			if place = by; by == "" {
				continue
			}
		}
		try, cancel := context.WithTimeout(ctx, attempt)
		_, err := ch.Post(try, place, rowID(channel, place, n.ID), &Message{What: Noticed, Notice: n})
		cancel()
		t, result := Tested{Place: place}, Told
		if err != nil {
			t.Error, result = errorText(err), Failed
		}
		d.observe(channel, result)
		out = append(out, t)
		rec := &audit.Record{Type: audit.TypeNotice, Decision: "tested", Person: by, Detail: map[string]string{"channel": channel, "place": place, "what": "test"}}
		if t.Error != "" {
			rec.Detail["error"] = t.Error
		}
		if err := d.o.Box.Update(ctx, func(w *sealed.Writer) error { return w.Record(ctx, rec) }); err != nil {
			return out, fmt.Errorf("recording a test of a channel: %w", err)
		}
	}
	return out, nil
}

func (d *Dispatcher) observe(channel, result string) {
	if d.o.Observe != nil {
		d.o.Observe(channel, result)
	}
}
