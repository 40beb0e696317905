package trail

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// rows is how taint is stored: one entry an actor, whose id names person and actor.
const rows = sealed.Kind[entry]("taint")

// entry is what an actor has seen.
type entry struct {
	Person    string        `json:"person"`
	Actor     string        `json:"actor"`
	Sensitive *approval.Saw `json:"sensitive,omitempty"`
	Untrusted *approval.Saw `json:"untrusted,omitempty"`
	// Edited names entries of this actor that were found to be edited or gone, and at which revision of the log.
	Edited map[string]int64 `json:"edited,omitempty"`
}

// fact is the newest of what was seen of one kind.
type fact struct{ last atomic.Pointer[approval.Saw] }

// add keeps s where it counts for longer.
func (f *fact) add(s *approval.Saw) {
	for s != nil {
		was := f.last.Load()
		if was != nil && !s.Until.After(was.Until) || f.last.CompareAndSwap(was, s) {
			return
		}
	}
}

func (f *fact) at(now time.Time) *approval.Saw {
	if s := f.last.Load(); s != nil && now.Before(s.Until) {
		return s
	}
	return nil
}

type facts struct {
	sensitive, untrusted fact
	mu                   sync.Mutex // one write at a time
}

func (f *facts) of(kind string) *fact {
	if kind == approval.SawSensitive {
		return &f.sensitive
	}
	return &f.untrusted
}

// person is what all actors of a person have seen.
type person struct{ sensitive, untrusted fact }

func (p *person) of(kind string) *fact {
	if kind == approval.SawSensitive {
		return &p.sensitive
	}
	return &p.untrusted
}

// loaded says whether what is stored is known.
type loaded struct{ yes atomic.Bool }

// A Taint is what an actor has seen, as far as it matters to one action.
type Taint struct {
	Known                bool
	Sensitive, Untrusted *approval.Saw // nil: nothing lately
}

// Taint tells what this actor has seen lately and, where an action could carry it out,
// what the person's other actors have.
func (b *Book) Taint(now time.Time, outbound bool) Taint {
	t := Taint{Known: b.t.state.yes.Load(), Sensitive: b.facts.sensitive.at(now), Untrusted: b.facts.untrusted.at(now)}
	if outbound && t.Sensitive == nil {
		t.Sensitive = b.person.sensitive.at(now)
	}
	if outbound && t.Untrusted == nil {
		t.Untrusted = b.person.untrusted.at(now)
	}
	return t
}

// Says is what was seen, in words for reviewers and the log.
func (t *Taint) Says() string {
	var parts []string
	for _, s := range []*approval.Saw{t.Sensitive, t.Untrusted} {
		if s != nil {
			parts = append(parts, s.What+" at "+s.Time.Format("15:04")+" UTC by "+s.Actor)
		}
	}
	return strings.Join(parts, "; ")
}

// Outbound says that an action could carry what its actor knows to somewhere else.
func Outbound(a *action.Action) bool {
	if to := a.Data.Destination; to != "" && to != "client" {
		return true
	}
	for _, k := range a.Kinds {
		switch k {
		case action.DataRead, action.DataWrite, action.DataDelete, action.SchemaChange, action.PrivilegeChange, action.IdentityChange,
			action.SecretAccess, action.SessionOpen, action.AuditChange, action.ConfigChange:
		default: // what this list forgot may carry something out
			return true
		}
	}
	return false
}

// Sees says that it was noted lately that the actor sees such: See would note nothing.
func (b *Book) Sees(kind string, now time.Time) bool {
	s := b.facts.of(kind).at(now)
	return s != nil && !s.Until.Before(now.Add(b.t.o.Window))
}

// See notes that the actor is about to see something. When it returns nil, that is durable.
func (b *Book) See(ctx context.Context, saw approval.Saw, now time.Time) error {
	window := b.t.o.Window
	b.facts.mu.Lock()
	defer b.facts.mu.Unlock()
	if b.Sees(saw.Kind, now) {
		return nil // meanwhile
	}
	// A little longer than the window, so that not each read is a transaction.
	saw.Actor, saw.Time, saw.Until = b.who.Actor, now.UTC(), now.Add(window+window/16).UTC()
	if err := b.t.put(ctx, b.who, &saw); err != nil {
		return fmt.Errorf("noting what an actor sees: %w", err)
	}
	b.add(&saw)
	return nil
}

// Feared notes in memory what could not be stored.
func (b *Book) Feared(saw approval.Saw, now time.Time) {
	saw.Actor, saw.Time, saw.Until = b.who.Actor, now.UTC(), now.Add(b.t.o.Window).UTC()
	b.add(&saw)
}

func (b *Book) add(s *approval.Saw) {
	if s != nil {
		b.facts.of(s.Kind).add(s)
		b.person.of(s.Kind).add(s)
	}
}

func (b *Book) take(e *entry) {
	b.add(e.Sensitive)
	b.add(e.Untrusted)
}

// rowID names the entry of an actor. Further ones stand beside one that was edited.
func rowID(w Who, n int) string {
	id := url.QueryEscape(w.Person) + "&" + url.QueryEscape(w.Actor)
	if n > 0 {
		id += "&" + strconv.Itoa(n)
	}
	return id
}

// maxEntries is how often the entries of one actor may have been edited.
const maxEntries = 100

// put stores what was seen, beside what is there.
func (t *Trail) put(ctx context.Context, w Who, saw *approval.Saw) error {
	const tries = 5
	for i := 0; ; i++ {
		err := t.o.Box.Update(ctx, func(w2 *sealed.Writer) error {
			e, edited, err := current(ctx, &w2.Reader, w)
			if err != nil {
				return err
			}
			v := &e.Value
			v.Person, v.Actor = w.Person, w.Actor
			detail := map[string]string{"saw": saw.Kind, "what": saw.What, "act": saw.Act, "until": saw.Until.Format(time.RFC3339)}
			for id, at := range edited {
				t.suspect(v, id, at)
				detail["edited"] = id
			}
			if saw.Kind == approval.SawSensitive {
				v.Sensitive = saw
			} else {
				v.Untrusted = saw
			}
			return rows.Put(ctx, w2, e, &audit.Record{Type: audit.TypeTaint, Actor: w.Actor, Subject: w.Person, Detail: detail})
		})
		if err == nil || i >= tries || !errors.Is(err, sealed.ErrConflict) {
			return err
		}
	}
}

// current reads the last entry of an actor that can be believed, a new one where there
// is none, and the ids of those that can't and that it doesn't know of.
func current(ctx context.Context, r *sealed.Reader, w Who) (*sealed.Entry[entry], map[string]int64, error) {
	edited := map[string]int64{}
	for n := range maxEntries {
		id := rowID(w, n)
		e, err := rows.Get(ctx, r, id)
		switch {
		case errors.Is(err, sealed.ErrTampered):
			if edited[id], err = r.Tx.RevisionOf(ctx, string(rows), id); err != nil {
				return nil, nil, err
			}
			continue
		case errors.Is(err, sealed.ErrNotFound):
			e, err = &sealed.Entry[entry]{ID: id, Key: w.Person}, nil
		case err != nil:
			return nil, nil, err
		}
		for id, at := range edited {
			if known, is := e.Value.Edited[id]; is && known == at {
				delete(edited, id)
			}
		}
		return e, edited, err
	}
	return nil, nil, fmt.Errorf("too many entries of %s: %w", w.Actor, sealed.ErrTampered)
}

// suspect has an actor count as tainted for a window, because an entry about it was edited or is gone.
func (t *Trail) suspect(v *entry, id string, at int64) {
	now := t.o.Clock().UTC()
	saw := approval.Saw{What: "what it has seen was edited outside Assent", Actor: v.Actor, Time: now, Until: now.Add(t.o.Window)}
	sensitive, untrusted := saw, saw
	sensitive.Kind, untrusted.Kind = approval.SawSensitive, approval.SawUntrusted
	v.Sensitive, v.Untrusted = &sensitive, &untrusted
	if v.Edited == nil {
		v.Edited = map[string]int64{}
	}
	v.Edited[id] = at
}

// Load reads what is stored about every actor. Until it succeeded, every taint is
// unknown. Whoever's entry was edited or taken away counts as tainted for a window.
func (t *Trail) Load(ctx context.Context) error {
	var found []*sealed.Entry[entry]
	ids := map[Who]bool{}
	err := t.o.Box.View(ctx, func(r *sealed.Reader) error {
		var err error
		if found, err = rows.All(ctx, r); !errors.Is(err, sealed.ErrTampered) {
			return err
		}
		known, err := r.Tx.RevisionsOf(ctx, string(rows))
		for id := range known {
			if w, ok := whoOf(id); ok {
				ids[w] = true
			}
		}
		return err
	})
	if err == nil {
		for w := range ids {
			err = errors.Join(err, t.read(ctx, w))
		}
	}
	if err != nil {
		return fmt.Errorf("reading what actors have seen: %w", err)
	}
	for _, e := range found {
		t.Book(Who{e.Value.Person, e.Value.Actor}).take(&e.Value)
	}
	t.state.yes.Store(true)
	return nil
}

// read reads the entry of one actor again.
func (t *Trail) read(ctx context.Context, w Who) error {
	var e *sealed.Entry[entry]
	var edited map[string]int64
	err := t.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		e, edited, err = current(ctx, r, w)
		return err
	})
	if err != nil {
		return err
	}
	if len(edited) == 0 {
		t.Book(w).take(&e.Value)
		return nil
	}
	err = t.o.Box.Update(ctx, func(x *sealed.Writer) error {
		if e, edited, err = current(ctx, &x.Reader, w); err != nil || len(edited) == 0 {
			return err
		}
		e.Value.Person, e.Value.Actor = w.Person, w.Actor
		rec := &audit.Record{Type: audit.TypeAlarm, Actor: w.Actor, Subject: w.Person, Detail: map[string]string{
			"what": "what an actor has seen was edited or taken away outside Assent", "so": "it counts as tainted until " + t.o.Clock().Add(t.o.Window).UTC().Format(time.RFC3339),
		}}
		for id, at := range edited {
			t.suspect(&e.Value, id, at)
		}
		return rows.Put(ctx, x, e, rec)
	})
	if err != nil && !errors.Is(err, sealed.ErrConflict) {
		return err
	}
	t.o.Logger.ErrorContext(ctx, "alarm: what an actor has seen was edited outside Assent", "actor", w.Actor)
	t.Book(w).take(&e.Value)
	return nil
}

func whoOf(id string) (w Who, ok bool) {
	parts := strings.Split(id, "&")
	if len(parts) < 2 {
		return w, false
	}
	person, err := url.QueryUnescape(parts[0])
	actor, err2 := url.QueryUnescape(parts[1])
	return Who{person, actor}, err == nil && err2 == nil
}

// wake notes that the entry with an id changed, here or elsewhere.
func (t *Trail) wake(id string) {
	t.mu.Lock()
	t.changed[id] = true
	t.mu.Unlock()
	select {
	case t.dirty <- struct{}{}:
	default:
	}
}

// Run reads what changes until ctx ends, and what could not be read again.
func (t *Trail) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.dirty:
		case <-tick.C:
		}
		if err := t.refresh(ctx); err != nil && ctx.Err() == nil {
			t.state.yes.Store(false) // somebody else may have seen something
			t.o.Logger.ErrorContext(ctx, "what actors have seen can't be read; every taint is unknown", "err", err)
		}
	}
}

func (t *Trail) refresh(ctx context.Context) error {
	t.mu.Lock()
	ids := t.changed
	t.changed = map[string]bool{}
	t.mu.Unlock()
	if !t.state.yes.Load() {
		return t.Load(ctx)
	}
	for id := range ids {
		w, ok := whoOf(id)
		if !ok {
			continue
		}
		if err := t.read(ctx, w); err != nil {
			return err // all of it is read again
		}
	}
	return nil
}
