// Package audittest keeps an audit log in memory, for tests of whatever writes
// to one. It behaves like a real store: what a transaction wrote is seen by it
// alone until it commits, an index can't be written twice, and a head that
// moved can't be swapped. It keeps nothing beyond the process.
package audittest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// TileName names a stored tile.
type TileName struct {
	Level int
	N     int64
}

// State is everything that is stored. Tests that tamper change it in place.
type State struct {
	Head   audit.Head
	Leaves [][]byte
	Tiles  map[TileName][]byte
	Erased []audit.Erased
}

// Memory is a log store in memory. Its zero value isn't ready: see NewMemory.
type Memory struct {
	writer sync.Mutex // held through one transaction

	mu    sync.Mutex
	State State // guarded by mu while a Log uses it
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{State: State{Tiles: map[TileName][]byte{}}} }

// Update runs fn in a transaction, which commits when fn returns nil.
func (m *Memory) Update(fn func(tx *Tx) error) error {
	m.writer.Lock()
	defer m.writer.Unlock()
	tx := &Tx{m: m, head: m.copyHead(), tiles: map[TileName][]byte{}, base: int64(m.count())}
	if err := fn(tx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.State.Head = tx.head
	m.State.Leaves = append(m.State.Leaves, tx.leaves...)
	maps.Copy(m.State.Tiles, tx.tiles)
	for index, leaf := range tx.replaced {
		m.State.Leaves[index] = leaf
	}
	m.State.Erased = append(m.State.Erased, tx.erased...)
	slices.SortStableFunc(m.State.Erased, func(a, b audit.Erased) int { return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.By, b.By)) })
	return nil
}

// Clone is a copy that shares nothing: a backup.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemory()
	c.State.Head = m.State.Head
	for _, l := range m.State.Leaves {
		c.State.Leaves = append(c.State.Leaves, slices.Clone(l))
	}
	c.State.Erased = slices.Clone(m.State.Erased)
	for n, t := range m.State.Tiles {
		c.State.Tiles[n] = slices.Clone(t)
	}
	return c
}

func (m *Memory) copyHead() audit.Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.State.Head
}

func (m *Memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.State.Leaves)
}

// Head implements audit.Reader.
func (m *Memory) Head(context.Context) (audit.Head, error) { return m.copyHead(), nil }

// Tile implements audit.Reader.
func (m *Memory) Tile(_ context.Context, level int, n int64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.State.Tiles[TileName{level, n}]), nil
}

// Leaves implements audit.Reader.
func (m *Memory) Leaves(ctx context.Context, from, to int64, fn func(int64, []byte) error) error {
	m.mu.Lock()
	leaves := m.State.Leaves
	m.mu.Unlock()
	for i := from; i < min(to, int64(len(leaves))); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(i, leaves[i]); err != nil {
			return err
		}
	}
	return nil
}

// Search implements audit.Reader by looking at every record.
func (m *Memory) Search(_ context.Context, q audit.Query) ([]audit.Record, error) {
	m.mu.Lock()
	leaves := m.State.Leaves
	m.mu.Unlock()
	var out []audit.Record
	for _, leaf := range slices.Backward(leaves) {
		var r audit.Record
		if err := json.Unmarshal(leaf, &r); err != nil {
			return nil, fmt.Errorf("reading a record: %w", err)
		}
		if matches(&r, q) {
			out = append(out, r)
		}
		if q.Limit > 0 && len(out) == q.Limit {
			break
		}
	}
	return out, nil
}

func matches(r *audit.Record, q audit.Query) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return (len(q.Types) == 0 || slices.Contains(q.Types, r.Type)) &&
		is(q.Actor, r.Actor) && is(q.Person, r.Person) && is(q.Approval, r.Approval) &&
		is(q.Resource, r.Resource) && is(q.Session, r.Session) && is(q.About, r.About) &&
		(q.Kind == "" || slices.Contains(r.Kinds, q.Kind)) &&
		(q.Since.IsZero() || !r.Time.Before(q.Since)) &&
		(q.Until.IsZero() || r.Time.Before(q.Until)) &&
		(q.Before == 0 || r.Index < q.Before)
}

// Tx is a transaction: it implements audit.Tx.
type Tx struct {
	m      *Memory
	head   audit.Head
	base   int64
	leaves [][]byte
	tiles  map[TileName][]byte

	replaced map[int64][]byte
	erased   []audit.Erased
}

// Savepoint runs fn and takes back what it wrote when it errs.
func (t *Tx) Savepoint(fn func() error) error {
	head, n, tiles := t.head, len(t.leaves), maps.Clone(t.tiles)
	err := fn()
	if err != nil {
		t.head, t.leaves, t.tiles = head, t.leaves[:n], tiles
	}
	return err
}

// Head implements audit.Tx.
func (t *Tx) Head(context.Context) (audit.Head, error) { return t.head, nil }

// SwapHead implements audit.Tx.
func (t *Tx) SwapHead(_ context.Context, old, next audit.Head) error {
	if t.head.Size != old.Size {
		return fmt.Errorf("the head is at %d, not %d", t.head.Size, old.Size)
	}
	next.Last = next.Last.Truncate(time.Microsecond)
	t.head = next
	return nil
}

// InsertRecord implements audit.Tx.
func (t *Tx) InsertRecord(_ context.Context, index int64, leaf []byte, r *audit.Record) error {
	if index != t.base+int64(len(t.leaves)) {
		return fmt.Errorf("record %d exists, or would leave a gap", index)
	}
	if r.Index != index {
		return fmt.Errorf("record %d bears the index %d", index, r.Index)
	}
	t.leaves = append(t.leaves, slices.Clone(leaf))
	return nil
}

// Tile implements audit.Tx.
func (t *Tx) Tile(ctx context.Context, level int, n int64) ([]byte, error) {
	if b, ok := t.tiles[TileName{level, n}]; ok {
		return slices.Clone(b), nil
	}
	return t.m.Tile(ctx, level, n)
}

// PutTile implements audit.Tx.
func (t *Tx) PutTile(_ context.Context, level int, n int64, hashes []byte) error {
	t.tiles[TileName{level, n}] = slices.Clone(hashes)
	return nil
}

// Erased implements audit.ErasedReader.
func (m *Memory) Erased(_ context.Context, from, to int64, fn func(audit.Erased) error) error {
	m.mu.Lock()
	all := slices.Clone(m.State.Erased)
	m.mu.Unlock()
	for _, e := range all {
		if e.Index < from || e.Index >= to {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// ReplaceRecord implements audit.EraseTx.
func (t *Tx) ReplaceRecord(_ context.Context, index int64, leaf []byte, r *audit.Record) error {
	if index >= t.base || r.Index != index {
		return fmt.Errorf("record %d isn't there, or bears the index %d", index, r.Index)
	}
	if t.replaced == nil {
		t.replaced = map[int64][]byte{}
	}
	t.replaced[index] = slices.Clone(leaf)
	return nil
}

// InsertErased implements audit.EraseTx.
func (t *Tx) InsertErased(_ context.Context, e audit.Erased) error {
	t.erased = append(t.erased, e)
	return nil
}
