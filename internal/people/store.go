package people

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

func newID() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	return lower.EncodeToString(b)
}

// table is one kind of entry, for load and reload.
type table interface {
	kind() string
	all(ctx context.Context, r *sealed.Reader) error
	one(ctx context.Context, r *sealed.Reader, id string) (func(), error)
}

type tableOf[T any] struct {
	k  sealed.Kind[T]
	in entries[T]
}

func (t tableOf[T]) kind() string { return string(t.k) }

func (t tableOf[T]) all(ctx context.Context, r *sealed.Reader) error {
	list, err := t.k.All(ctx, r)
	for _, e := range list {
		t.in[e.ID] = e
	}
	return err
}

// one reads an entry and returns what takes it over, unless a newer one is there.
func (t tableOf[T]) one(ctx context.Context, r *sealed.Reader, id string) (func(), error) {
	e, err := t.k.Get(ctx, r, id)
	if err != nil {
		return nil, err
	}
	return func() {
		if old := t.in[id]; old == nil || old.Revision < e.Revision {
			t.in[id] = e
		}
	}, nil
}

func (d *Directory) tables() []table {
	return []table{
		tableOf[account]{accountKind, d.accounts},
		tableOf[link]{linkKind, d.links},
		tableOf[standIn]{standInKind, d.standins},
		tableOf[swap]{swapKind, d.swaps},
		tableOf[ProvisionedUser]{userKind, d.users},
		tableOf[ProvisionedGroup]{groupKind, d.pgroups},
		tableOf[edit]{editKind, d.edits},
	}
}

func (d *Directory) load(ctx context.Context) error {
	return d.o.Box.View(ctx, func(r *sealed.Reader) error {
		for _, t := range d.tables() {
			if err := t.all(ctx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// change runs fn in a transaction and takes over what it put. Somebody else who
// changed the same at that moment has it run again.
func (d *Directory) change(ctx context.Context, fn func(w *sealed.Writer, now time.Time) error) error {
	if d.o.Box == nil {
		return fmt.Errorf("nothing is remembered here: %w", ErrRefused)
	}
	var put []string
	var err error
	for range 3 {
		err = d.o.Box.Update(ctx, func(w *sealed.Writer) error {
			d.mu.Lock()
			now := d.clock()
			d.mu.Unlock()
			if err := fn(w, now); err != nil {
				return err
			}
			put = w.Put()
			return nil
		})
		if !errors.Is(err, sealed.ErrConflict) {
			break
		}
	}
	if err != nil {
		return err
	}
	return d.reload(ctx, put)
}

// reload takes over entries that changed, named "kind/id".
func (d *Directory) reload(ctx context.Context, about []string) error {
	if len(about) == 0 {
		return nil
	}
	var take []func()
	err := d.o.Box.View(ctx, func(r *sealed.Reader) error {
		take = nil
		for _, a := range about {
			kind, id, _ := strings.Cut(a, "/")
			for _, t := range d.tables() {
				if t.kind() != kind {
					continue
				}
				fn, err := t.one(ctx, r, id)
				if err != nil {
					return err
				}
				take = append(take, fn)
			}
		}
		return nil
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	if errors.Is(err, sealed.ErrTampered) {
		d.broken = err // until the server is started on rows that can be believed
		d.o.Logger.ErrorContext(ctx, "the directory can't be believed: nobody may review", "err", err)
	}
	for _, fn := range take {
		fn()
	}
	d.rebuild()
	if d.o.Gone != nil && slices.ContainsFunc(about, func(a string) bool { return strings.HasPrefix(a, string(userKind)+"/") }) {
		d.o.Gone()
	}
	return err
}

// watch queues what changes elsewhere; Run takes it over.
func (d *Directory) watch() {
	for _, t := range d.tables() {
		d.o.Box.Watch(t.kind(), func(id string) {
			d.todoM.Lock()
			if d.todo[t.kind()] == nil {
				d.todo[t.kind()] = map[string]bool{}
			}
			d.todo[t.kind()][id] = true
			d.todoM.Unlock()
			select {
			case d.dirty <- struct{}{}:
			default:
			}
		})
	}
}

// heard is what changed and was not taken over yet.
func (d *Directory) heard() (about []string) {
	d.todoM.Lock()
	defer d.todoM.Unlock()
	for kind, ids := range d.todo {
		for id := range ids {
			about = append(about, kind+"/"+id)
		}
	}
	clear(d.todo)
	return about
}

// Refresh takes over at once what was just changed here by somebody else's transaction.
func (d *Directory) Refresh(ctx context.Context) error {
	about := d.heard()
	err := d.reload(ctx, about)
	if err != nil && !errors.Is(err, sealed.ErrTampered) { // Run tries again
		d.todoM.Lock()
		for _, a := range about {
			kind, id, _ := strings.Cut(a, "/")
			if d.todo[kind] == nil {
				d.todo[kind] = map[string]bool{}
			}
			d.todo[kind][id] = true
		}
		d.todoM.Unlock()
		select {
		case d.dirty <- struct{}{}:
		default:
		}
	}
	return err
}

// Run takes over what changes elsewhere, until ctx ends.
func (d *Directory) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.dirty:
		}
		about := d.heard()
		for err := d.reload(ctx, about); err != nil && ctx.Err() == nil && !errors.Is(err, sealed.ErrTampered); err = d.reload(ctx, about) {
			d.o.Logger.ErrorContext(ctx, "reading what changed in the directory", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Second):
			}
		}
		if d.o.Changed != nil {
			d.o.Changed()
		}
	}
}

// noteClaims keeps what the configuration says of accounts: one it gives to
// somebody counts from the start that first saw it, and one it no longer gives
// is a link that ended.
func (d *Directory) noteClaims(ctx context.Context) error {
	var put []*sealed.Entry[link]
	now := d.clock()
	for _, account := range d.cfg.claims() {
		id := rowID("claim", account, d.cfg.owner[account])
		e := d.links[id]
		if e != nil && e.Value.Ended.IsZero() {
			continue
		}
		fresh := &sealed.Entry[link]{ID: id, Value: link{
			Account: account, Person: d.cfg.owner[account], By: byConfig, Begun: now, Confirmed: now, Counts: now,
		}}
		if e != nil {
			fresh.Revision = e.Revision
		}
		put = append(put, fresh)
	}
	for _, id := range slices.Sorted(maps.Keys(d.links)) {
		e := d.links[id]
		if l := &e.Value; l.By == byConfig && l.Ended.IsZero() && d.cfg.owner[l.Account] != l.Person {
			ended := *e
			ended.Value.Ended, ended.Value.EndedBy = now, byConfig
			put = append(put, &ended)
		}
	}
	if len(put) == 0 {
		return nil
	}
	err := d.change(ctx, func(w *sealed.Writer, _ time.Time) error {
		for _, e := range put {
			again := *e // a second attempt starts from the revision that was read
			rec := linkRecord(&again.Value)
			if err := linkKind.Put(ctx, w, &again, rec); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, sealed.ErrConflict) { // another replica starts with the same configuration
		return d.load(ctx)
	}
	return err
}

func linkRecord(l *link) *audit.Record {
	what := "link begun"
	switch {
	case !l.Ended.IsZero():
		what = "link ended"
	case !l.Confirmed.IsZero():
		what = "linked"
	case !l.Offered.IsZero():
		what = "link offered"
	}
	r := &audit.Record{Type: audit.TypePerson, Decision: what, Person: l.By, Subject: l.Person, Detail: map[string]string{"account": l.Account, "begun_with": l.Begin}}
	if !l.Ended.IsZero() {
		r.Person = l.EndedBy
	}
	if !l.Counts.IsZero() {
		r.Detail["counts"] = stamp(l.Counts)
	}
	return r
}
