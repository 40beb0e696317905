package approval

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// A relation is one person seen behind an actor, and when last; or, under names
// that no actor has, for whom a person approved and what was denied.
type relation struct {
	Person string    `json:"person"`
	Why    string    `json:"why"`
	Seen   time.Time `json:"seen"`
}

// relations are all who were seen behind one actor: one row, whose revision the
// log tells, so that nobody is forgotten because a row was edited or taken away.
type relations struct {
	Seen []relation `json:"seen"`
}

const relationKind = sealed.Kind[relations]("relation")

const (
	relationMemory = 30 * 24 * time.Hour
	subjectMemory  = 24 * time.Hour
	// noteEvery is how old "seen" may get before it is written again; so much
	// longer everybody is remembered.
	noteEvery = 10 * time.Minute
)

// sealing is the engine's store as that of sealed rows.
type sealing struct{ Store }

func (s sealing) UpdateSealed(ctx context.Context, fn func(sealed.Tx) error) error {
	return s.Update(ctx, func(tx Tx) error { return fn(tx) })
}

func (s sealing) ViewSealed(ctx context.Context, fn func(sealed.Tx) error) error {
	return s.View(ctx, func(tx Tx) error { return fn(tx) })
}

// note remembers that people are behind actor today, each with why.
func (e *Engine) note(ctx context.Context, tx Tx, actor string, people map[string]string, now time.Time) error {
	w := e.box.Join(tx)
	row, err := relationKind.Get(ctx, &w.Reader, actor)
	if errors.Is(err, sealed.ErrNotFound) {
		row, err = &sealed.Entry[relations]{ID: actor}, nil
	}
	if err != nil {
		return unbelieved(actor, err)
	}
	var fresh []string
	kept := slices.DeleteFunc(slices.Clone(row.Value.Seen), func(r relation) bool { return r.Seen.Before(now.Add(-relationMemory - noteEvery)) })
	for person, why := range people {
		i := slices.IndexFunc(kept, func(r relation) bool { return r.Person == person && r.Why == why })
		switch {
		case i < 0:
			kept = append(kept, relation{Person: person, Why: why, Seen: now})
		case now.Sub(kept[i].Seen) >= noteEvery:
			kept[i].Seen = now
		default:
			continue
		}
		fresh = append(fresh, person+" ("+why+")")
	}
	if len(fresh) == 0 {
		return nil
	}
	slices.Sort(fresh)
	row.Value.Seen = kept
	rec := &audit.Record{Type: audit.TypePerson, Decision: "related", Detail: map[string]string{"to": actor, "who": strings.Join(fresh, ", ")}}
	return unbelieved(actor, relationKind.Put(ctx, w, row, rec))
}

// noted lists who was seen behind actor within the memory of relations.
func (e *Engine) noted(ctx context.Context, tx Tx, actor string, now time.Time) ([]relation, error) {
	since := now.Add(-relationMemory - noteEvery)
	// As versions before this one noted it, in rows of their own.
	old, err := tx.RelationsOf(ctx, actor, since)
	if err != nil {
		return nil, unbelieved(actor, err)
	}
	var out []relation
	for _, r := range old {
		if !hmac.Equal(r.MAC, e.sealRelation(r)) {
			return nil, unbelieved(actor, ErrTampered)
		}
		out = append(out, relation{Person: r.Person, Why: r.Why, Seen: r.Seen})
	}
	row, err := relationKind.Get(ctx, &e.box.Join(tx).Reader, actor)
	if errors.Is(err, sealed.ErrNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, unbelieved(actor, err)
	}
	for _, r := range row.Value.Seen {
		if !r.Seen.Before(since) {
			out = append(out, r)
		}
	}
	return out, nil
}

// denialsOf are the names under which denials of an action like a are noted.
func denialsOf(a *Approval) []string {
	out := []string{"denied match " + a.Match}
	if a.Shape != "" {
		out = append(out, "denied shape "+a.Shape)
	}
	return out
}

// noteDenial remembers that a was denied, so that its row can't be taken away unnoticed.
func (e *Engine) noteDenial(ctx context.Context, tx Tx, a *Approval) error {
	for _, name := range denialsOf(a) {
		if err := e.note(ctx, tx, name, map[string]string{a.ID: string(Denied)}, a.Decided); err != nil {
			return err
		}
	}
	return nil
}

// allDenials errs when a denial since then that counts for a was not there to be counted.
func (e *Engine) allDenials(ctx context.Context, tx Tx, a *Approval, there map[string]bool, since time.Time) error {
	for _, name := range denialsOf(a) {
		of, err := e.noted(ctx, tx, name, a.Created)
		if err != nil {
			return err
		}
		for _, d := range of {
			if !there[d.Person] && !d.Seen.Before(since) {
				return fmt.Errorf("the denial of %s is gone: %w", d.Person, ErrTampered)
			}
		}
	}
	return nil
}

// unbelieved names the actor whose relations could not be read or written.
func unbelieved(actor string, err error) error {
	if errors.Is(err, sealed.ErrTampered) {
		err = errors.Join(ErrTampered, err)
	}
	if err != nil {
		err = fmt.Errorf("who is behind %s: %w", actor, err)
	}
	return err
}
