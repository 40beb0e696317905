package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
)

// An Erased says that the bytes of a record were taken away, so that the log names a
// person no more. Its leaf hash stays where the tree has it; in the place of its bytes
// lies a copy without the person.
type Erased struct {
	Index int64
	By    int64     // index of the record of the erasure, which is of TypeErase
	Copy  tlog.Hash // RFC 6962 leaf hash of the copy that this erasure left
}

// Details of the record of an erasure.
const (
	erasedCount  = "records" // how many it took the bytes of
	erasedRanges = "indexes" // where: "3-5 9", as many as there is room for
	erasedRoot   = "root"    // RFC 6962 root over erasedLeaf of each, in the order of their indexes
)

// maxRanges is how many bytes of ranges a record of an erasure lists. The root covers all of them.
const maxRanges = 8 << 10

// ErrErased says that a record's bytes were erased, so that what needs them can't be had.
var ErrErased = errors.New("the record was erased: its hash is under the tree, its bytes are gone")

// kept are records that no erasure takes the bytes of: keys, roots and erasures are read from them.
var kept = []string{TypeKey, TypeFork, TypeSpoolSeal, TypePrune, TypeErase, TypeStart, TypeStop, TypeBeat}

// Erasable reports whether records of a type may be erased.
func Erasable(kind string) bool { return !slices.Contains(kept, kind) }

// An EraseTx is a Tx that can replace what is stored of a record.
type EraseTx interface {
	Tx
	// ReplaceRecord stores leaf in the place of the record's bytes, and r's columns in the place of its own.
	ReplaceRecord(ctx context.Context, index int64, leaf []byte, r *Record) error
	InsertErased(ctx context.Context, e Erased) error
}

// An ErasedReader is a Reader of a store whose records may be erased. A store that
// isn't one holds none.
type ErasedReader interface {
	// Erased calls fn with what erasures did to the records from index from up to but not
	// including to, in the order of indexes, and of erasures for one index.
	Erased(ctx context.Context, from, to int64, fn func(Erased) error) error
}

// erasedLeaf is what an erasure binds of one record.
func erasedLeaf(index int64, was, copied tlog.Hash) tlog.Hash {
	return tlog.RecordHash(fmt.Appendf(nil, "assent-erased/1\n%d\n%s\n%s\n", index, was, copied))
}

// Erase puts copies, in the order of their indexes, in the place of the records of those
// indexes, and appends rec, which says who decided it and binds all of them: verifying the
// log shows what was erased, and that nothing else was changed. A copy has the type, index
// and time of its record, and is given bytes of its own that nobody can guess.
func (l *Log) Erase(ctx context.Context, tx EraseTx, rec *Record, copies []*Record) error {
	head, err := tx.Head(ctx)
	if err != nil {
		return fmt.Errorf("erasing records: %w", err)
	}
	var root frontier
	entries := make([]Erased, len(copies))
	for i, c := range copies {
		if i > 0 && copies[i-1].Index >= c.Index || c.Index < 0 || c.Index >= head.Size || !Erasable(c.Type) {
			return fmt.Errorf("erasing record %d of type %s: it can't be erased, or stands out of its place", c.Index, c.Type)
		}
		was, err := leafHashAt(ctx, tx, c.Index)
		if err != nil {
			return fmt.Errorf("erasing record %d: %w", c.Index, err)
		}
		c.Salt = newSalt()
		leaf, stored, err := leafOf(nil, c)
		if err != nil {
			return fmt.Errorf("erasing record %d: %w", c.Index, err)
		}
		if err := tx.ReplaceRecord(ctx, c.Index, leaf, stored); err != nil {
			return fmt.Errorf("erasing record %d: %w", c.Index, err)
		}
		entries[i] = Erased{Index: c.Index, Copy: tlog.RecordHash(leaf)}
		root.add(erasedLeaf(c.Index, was, entries[i].Copy), nil)
	}
	rec.Type = TypeErase
	if rec.Detail == nil {
		rec.Detail = map[string]string{}
	}
	rec.Detail[erasedCount], rec.Detail[erasedRanges], rec.Detail[erasedRoot] = strconv.Itoa(len(copies)), rangesOf(entries), root.root().String()
	if err := l.Append(ctx, tx, rec); err != nil {
		return err
	}
	for _, e := range entries {
		e.By = rec.Index
		if err := tx.InsertErased(ctx, e); err != nil {
			return fmt.Errorf("erasing record %d: %w", e.Index, err)
		}
	}
	return nil
}

// leafHashAt is the hash under the tree of a record whose bytes may be gone. Whoever uses
// it proves it under a root.
func leafHashAt(ctx context.Context, t tiler, index int64) (h tlog.Hash, err error) {
	tile, err := t.Tile(ctx, 0, index>>tileHeight)
	if err != nil {
		return h, err
	}
	at := int(index%tileWidth) * tlog.HashSize
	if len(tile) < at+tlog.HashSize {
		return h, fmt.Errorf("the tile with its hash is gone: run assent verify")
	}
	copy(h[:], tile[at:])
	return h, nil
}

// Stands is the hash that a stored record stands for under the tree: its own, or where its
// bytes were erased, theirs. It is believed once a proof holds.
func Stands(ctx context.Context, r Reader, index int64, leaf []byte) (h evidence.Hash, erased bool, err error) {
	err = erasedOf(ctx, r, index, index+1, func(Erased) error { erased = true; return nil })
	if err != nil || !erased {
		return tlog.RecordHash(leaf), erased, err
	}
	h, err = leafHashAt(ctx, r, index)
	return h, true, err
}

// erasedOf calls fn for the erased records of r; a store that knows of none has none.
func erasedOf(ctx context.Context, r any, from, to int64, fn func(Erased) error) error {
	if e, ok := r.(ErasedReader); ok {
		if err := e.Erased(ctx, from, to, fn); err != nil {
			return fmt.Errorf("reading what was erased: %w", err)
		}
	}
	return nil
}

// rangesOf lists indexes that follow each other as one range.
func rangesOf(list []Erased) string {
	var b []byte
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1].Index == list[j].Index+1 {
			j++
		}
		if len(b) > maxRanges {
			return string(append(b, " …"...))
		}
		if i > 0 {
			b = append(b, ' ')
		}
		if b = strconv.AppendInt(b, list[i].Index, 10); j > i {
			b = strconv.AppendInt(append(b, '-'), list[j].Index, 10)
		}
		i = j + 1
	}
	return string(b)
}

// erasures checks what a log says was erased against the records that say so.
type erasures struct {
	of    map[int64][]Erased // by index, oldest erasure first
	roots map[int64]*frontier
	told  map[int64]*Record // records of erasures, by index
}

func newErasures(ctx context.Context, r Reader, size int64) (*erasures, error) {
	x := &erasures{of: map[int64][]Erased{}, roots: map[int64]*frontier{}, told: map[int64]*Record{}}
	err := erasedOf(ctx, r, 0, size, func(e Erased) error {
		x.of[e.Index] = append(x.of[e.Index], e)
		return nil
	})
	return x, err
}

// leaf takes in an erased record: copied is the hash of what is stored, was that under the tree.
func (x *erasures) leaf(index int64, leaf []byte, was, copied tlog.Hash) error {
	list := x.of[index]
	for _, e := range list {
		if x.roots[e.By] == nil {
			x.roots[e.By] = &frontier{}
		}
		x.roots[e.By].add(erasedLeaf(index, was, e.Copy), nil)
		if e.By <= index {
			return errors.New("the record is said to be erased by one before it")
		}
	}
	var r Record
	switch err := json.Unmarshal(leaf, &r); {
	case err != nil:
		return errors.New("what was left of the erased record isn't JSON")
	case !Erasable(r.Type):
		return fmt.Errorf("a record of type %s is never erased, and this one is said to be", r.Type)
	case list[len(list)-1].Copy != copied:
		return errors.New("what is stored isn't what its erasure left of the record")
	}
	return nil
}

// note takes in the record of an erasure.
func (x *erasures) note(index int64, r *Record) {
	if r.Detail[erasedRoot] != "" {
		x.told[index] = r
	}
}

// check tells, of each erasure, whether a record of the log binds just what is stored of it,
// and whether two people decided it.
func (x *erasures) check(ctx context.Context, r Reader, problem func(index int64, format string, args ...any) error) (people int, err error) {
	first := map[int64]int64{} // erasure → a record of it
	for index, list := range x.of {
		for _, e := range list {
			if have, ok := first[e.By]; !ok || index < have {
				first[e.By] = index
			}
		}
	}
	for by, index := range first {
		if x.told[by] == nil {
			if err := problem(index, "the record lacks its bytes, and record %d, said to be its erasure, is none", by); err != nil {
				return 0, err
			}
		}
	}
	for by, rec := range x.told {
		got, size := emptyRoot(), int64(0)
		if f := x.roots[by]; f != nil {
			got, size = f.root(), f.size
		}
		if rec.Detail[erasedRoot] != got.String() || rec.Detail[erasedCount] != strconv.FormatInt(size, 10) {
			if err := problem(by, "the erasure is of %s records, and what is stored of %d isn't what it left of them", rec.Detail[erasedCount], size); err != nil {
				return 0, err
			}
			continue
		}
		who, err := decidedBy(ctx, r, rec.Approval, by)
		if err != nil {
			if err := problem(by, "who decided this erasure can't be told: %v", err); err != nil {
				return 0, err
			}
			continue
		}
		if who < 2 {
			if err := problem(by, "an erasure takes two people, and %d decided this one", who); err != nil {
				return 0, err
			}
		}
	}
	return len(x.told), nil
}

// decidedBy counts the people who wanted the erasure that an approval was about: who asked, and who approved,
// before the record of the erasure at index by. An approval of something else decides none.
func decidedBy(ctx context.Context, r Reader, approval string, by int64) (int, error) {
	if approval == "" {
		return 0, nil
	}
	recs, err := r.Search(ctx, Query{Types: []string{TypeReview, TypeChange}, Approval: approval})
	if err != nil {
		return 0, fmt.Errorf("looking for who decided %s: %w", approval, err)
	}
	people, asked := map[string]bool{}, false
	for i := range recs {
		if recs[i].Index >= by {
			continue // what is said afterwards decided nothing
		}
		if recs[i].Type == TypeChange {
			if recs[i].Detail["what"] != erasure {
				continue
			}
			asked = true
		}
		if p := recs[i].Person; p != "" && p != operator && (recs[i].Type == TypeChange || recs[i].Decision == "approve") {
			people[p] = true
		}
	}
	if !asked {
		return 0, nil
	}
	return len(people), nil
}

// erasure is what the records of a change that orders one say it is about.
const erasure = "erasure"

// operator is whoever holds the data directory's own credential: nobody knows which person uses it.
const operator = "person:operator"
