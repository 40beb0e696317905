package people

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/sealed"
)

// A standIn lends somebody's seats for a while.
type standIn struct {
	From    string    `json:"from"`
	To      string    `json:"to"`
	Groups  []string  `json:"groups,omitempty"` // none: all of From's
	Begun   time.Time `json:"begun"`
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason,omitempty"`
	Ended   time.Time `json:"ended,omitzero"`
	EndedBy string    `json:"ended_by,omitempty"`
}

const standInKind = sealed.Kind[standIn]("standin")

const maxStandIns = 10 // of one person at once

// A StandIn is what is listed of one.
type StandIn struct {
	ID, From, FromName, To, ToName string
	Groups                         []string // none: all of From's
	Reason                         string
	Begun, Until, Ended            time.Time
	Active                         bool
}

// Appoint lets another person take p's seats until a time, in what is asked from
// now on. p keeps them: the two fill one. Groups narrows them; none means all.
func (d *Directory) Appoint(ctx context.Context, p *identity.Person, to string, groups []string, until time.Time, reason string) (*StandIn, error) {
	var e *sealed.Entry[standIn]
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		other, ok := d.Person(to)
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", to, ErrUnknown)
		case slices.Contains(p.IDs(), other.ID) || slices.ContainsFunc(other.IDs(), func(id string) bool { return slices.Contains(p.IDs(), id) }):
			return fmt.Errorf("nobody stands in for themselves: %w", ErrRefused)
		case !until.After(now) || until.Sub(now) > LongestStandIn:
			return fmt.Errorf("until %s is not a while of at most 30 days: %w", stamp(until), ErrRefused)
		case len(p.Groups) == 0:
			return fmt.Errorf("you are in no group, so there is no seat to lend: %w", ErrRefused)
		case len(reason) > 500:
			return fmt.Errorf("the reason is longer than 500 bytes: %w", ErrRefused)
		}
		for _, g := range groups {
			if !p.In(g) {
				return fmt.Errorf("you are not in %s in your own right: %w", g, ErrRefused)
			}
		}
		active := 0
		for _, s := range d.StandIns() {
			if s.From == p.ID && s.Active {
				active++
			}
		}
		if active >= maxStandIns {
			return fmt.Errorf("you have %d stand-ins already: %w", active, ErrRefused)
		}
		e = &sealed.Entry[standIn]{ID: newID(), Key: p.ID, Due: until, Value: standIn{From: p.ID, To: other.ID, Groups: tidy(groups), Begun: now, Until: until.UTC(), Reason: reason}}
		return standInKind.Put(ctx, w, e, standInRecord(&e.Value, p.ID))
	})
	if err != nil {
		return nil, fmt.Errorf("appointing a stand-in: %w", err)
	}
	s := d.standInOf(e, e.Value.Begun)
	return &s, nil
}

func standInRecord(s *standIn, by string) *audit.Record {
	what := "stand-in appointed"
	if !s.Ended.IsZero() {
		what = "stand-in ended"
	}
	return &audit.Record{Type: audit.TypePerson, Decision: what, Person: by, Subject: s.From, Detail: map[string]string{
		"stand_in": s.To, "groups": strings.Join(s.Groups, " "), "until": stamp(s.Until),
	}}
}

// EndStandIn ends one at once: whoever lent or holds the seat may, and with
// admin an administrator. Ending twice is harmless.
func (d *Directory) EndStandIn(ctx context.Context, id string, p *identity.Person, admin bool) error {
	err := d.change(ctx, func(w *sealed.Writer, now time.Time) error {
		e, err := standInKind.Get(ctx, &w.Reader, id)
		if err != nil {
			return notFound(err)
		}
		v := &e.Value
		if mine := p.IDs(); !admin && !slices.Contains(mine, v.From) && !slices.Contains(mine, v.To) {
			return ErrNotYours
		}
		if !v.Ended.IsZero() {
			return nil
		}
		v.Ended, v.EndedBy = now, p.ID
		return standInKind.Put(ctx, w, e, standInRecord(v, p.ID))
	})
	if err != nil {
		return fmt.Errorf("ending a stand-in: %w", err)
	}
	return nil
}

// StandIns lists all of them, the latest first.
func (d *Directory) StandIns() []StandIn {
	d.mu.Lock()
	now := d.clock()
	var all []*sealed.Entry[standIn]
	for _, e := range d.standins {
		all = append(all, e)
	}
	d.mu.Unlock()
	var out []StandIn
	for _, e := range all {
		out = append(out, d.standInOf(e, now))
	}
	slices.SortFunc(out, func(a, b StandIn) int { return b.Begun.Compare(a.Begun) })
	return out
}

func (d *Directory) standInOf(e *sealed.Entry[standIn], now time.Time) StandIn {
	v := &e.Value
	s := StandIn{ID: e.ID, From: v.From, To: v.To, Groups: v.Groups, Reason: v.Reason, Begun: v.Begun, Until: v.Until, Ended: v.Ended}
	s.Active = v.Ended.IsZero() && now.Before(v.Until)
	if p, ok := d.Person(v.From); ok {
		s.FromName = p.Name
	}
	if p, ok := d.Person(v.To); ok {
		s.ToName = p.Name
	}
	return s
}
