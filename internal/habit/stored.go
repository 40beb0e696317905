package habit

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
)

// rows is how books are stored: one entry an actor, and further ones beside one that can't be believed.
const rows = sealed.Kind[entry]("habit")

// entry is a book as it is stored. Marks are packed: eight bytes of hash, two of the day.
type entry struct {
	Actor   string `json:"actor"`
	Shapes  []byte `json:"shapes,omitempty"`
	Targets []byte `json:"targets,omitempty"`
}

const packed = 10

func (m marks) pack() []byte {
	out := make([]byte, 0, packed*len(m))
	for _, hash := range slices.Sorted(maps.Keys(m)) {
		out = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(out, hash), m[hash])
	}
	return out
}

// join is m and what is packed in b.
func (m marks) join(b []byte) marks {
	if m == nil {
		m = make(marks, len(b)/packed)
	}
	for ; len(b) >= packed; b = b[packed:] {
		hash := binary.BigEndian.Uint64(b)
		m[hash] = max(m[hash], binary.BigEndian.Uint16(b[8:]))
	}
	return m
}

// prune forgets what is too old, and the oldest beyond most.
func (m marks) prune(today uint16, most int) {
	maps.DeleteFunc(m, func(_ uint64, at uint16) bool { return at+maxAgeDays < today })
	if len(m) <= most {
		return
	}
	oldest := slices.SortedFunc(maps.Keys(m), func(x, y uint64) int {
		return cmp.Or(cmp.Compare(m[x], m[y]), cmp.Compare(x, y))
	})
	for _, hash := range oldest[:len(m)-most] {
		delete(m, hash)
	}
}

const maxEntries = 100 // how often the rows of one actor may have been edited

func rowID(actor string, n int) string {
	id := url.QueryEscape(actor)
	if n > 0 {
		id += "&" + strconv.Itoa(n)
	}
	return id
}

// current is the entry of an actor that can be believed, a new one where there is none.
// edited says that another was there and can't be believed.
func current(ctx context.Context, r *sealed.Reader, actor string) (e *sealed.Entry[entry], edited bool, err error) {
	for n := range maxEntries {
		id := rowID(actor, n)
		e, err := rows.Get(ctx, r, id)
		switch {
		case errors.Is(err, sealed.ErrTampered):
			edited = true
			continue
		case errors.Is(err, sealed.ErrNotFound):
			return &sealed.Entry[entry]{ID: id, Key: actor, Value: entry{Actor: actor}}, edited, nil
		}
		return e, edited, err
	}
	return nil, true, fmt.Errorf("too many entries of %s: %w", actor, sealed.ErrTampered)
}

// read takes in what is stored of b.
func (b *Book) read(ctx context.Context) error {
	var e *sealed.Entry[entry]
	var edited bool
	err := b.m.o.Box.View(ctx, func(r *sealed.Reader) (err error) {
		e, edited, err = current(ctx, r, b.actor)
		return err
	})
	if err != nil {
		return fmt.Errorf("reading what %s did: %w", b.actor, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if edited && !b.edited {
		b.m.o.Logger.ErrorContext(ctx, "alarm: what an actor did before was edited or taken away outside Assent; all of it is new to it again", "actor", b.actor)
		b.edited = true
	}
	b.shapes, b.targets, b.ready = b.shapes.join(e.Value.Shapes), b.targets.join(e.Value.Targets), true
	return nil
}

// Keep writes what was learnt, and reads again what other nodes wrote.
func (m *Memory) Keep(ctx context.Context) error {
	m.mu.Lock()
	changed := m.changed
	m.changed = map[string]bool{}
	var all []*Book
	for _, b := range m.books {
		all = append(all, b)
	}
	m.mu.Unlock()
	var errs []error
	for _, b := range all {
		b.mu.RLock()
		dirty, ready := b.dirty, b.ready
		b.mu.RUnlock()
		var err error
		switch {
		case dirty:
			err = b.write(ctx)
		case ready && changed[b.actor]:
			err = b.read(ctx)
		}
		if err != nil && changed[b.actor] {
			m.wake(rowID(b.actor, 0))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// write stores what b knows beside what is stored. What is learnt meanwhile stays for the next time.
func (b *Book) write(ctx context.Context) error {
	today := day(b.m.o.Clock())
	b.mu.Lock()
	shapes, targets := maps.Clone(b.shapes), maps.Clone(b.targets)
	b.dirty = false
	b.mu.Unlock()
	var edited bool
	err := b.m.o.Box.Update(ctx, func(w *sealed.Writer) error {
		e, was, err := current(ctx, &w.Reader, b.actor)
		if err != nil {
			return err
		}
		edited = was
		shapes, targets = shapes.join(e.Value.Shapes), targets.join(e.Value.Targets)
		shapes.prune(today, MaxShapes)
		targets.prune(today, MaxTargets)
		e.Value = entry{Actor: b.actor, Shapes: shapes.pack(), Targets: targets.pack()}
		detail := map[string]string{"what": "learnt", "shapes": strconv.Itoa(len(shapes)), "targets": strconv.Itoa(len(targets))}
		if edited {
			detail["edited"] = "what it did before was edited or taken away outside Assent"
		}
		return rows.Put(ctx, w, e, &audit.Record{Type: audit.TypeActor, Actor: b.actor, Detail: detail})
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.dirty = true
		if errors.Is(err, sealed.ErrConflict) {
			return nil // another node wrote at the same time: the next time takes both
		}
		return fmt.Errorf("keeping what %s did: %w", b.actor, err)
	}
	b.edited = b.edited || edited
	b.shapes, b.targets, b.ready = b.shapes.join(shapes.pack()), b.targets.join(targets.pack()), true
	return nil
}

// wake notes that a row changed, here or elsewhere.
func (m *Memory) wake(id string) {
	name, _, _ := strings.Cut(id, "&")
	actor, err := url.QueryUnescape(name)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed[actor] = true
}
