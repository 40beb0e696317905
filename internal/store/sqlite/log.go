package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/audit"
)

// leafPage is how many leaves are read at a time, so that a reader of the
// whole log holds up no checkpoint of the database.
const leafPage = 1000

// Head implements audit.Reader.
func (s *Store) Head(ctx context.Context) (h audit.Head, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		h, err = tx.Head(ctx)
		return err
	})
	return h, err
}

// Tile implements audit.Reader.
func (s *Store) Tile(ctx context.Context, level int, n int64) (hashes []byte, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		hashes, err = tx.Tile(ctx, level, n)
		return err
	})
	return hashes, err
}

type indexed struct {
	index int64
	leaf  []byte
}

// Leaves implements audit.Reader.
func (s *Store) Leaves(ctx context.Context, from, to int64, fn func(index int64, leaf []byte) error) error {
	for from < to {
		var page []indexed
		err := s.Read(ctx, func(tx *Tx) error {
			return tx.query(ctx, "SELECT idx, leaf FROM log_record WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3",
				[]any{from, to, leafPage}, func(rows *sql.Rows) error {
					var l indexed
					err := rows.Scan(&l.index, &l.leaf)
					page = append(page, l)
					return err
				})
		})
		if err != nil {
			return fmt.Errorf("reading records from %d: %w", from, err)
		}
		for _, l := range page {
			if err := fn(l.index, l.leaf); err != nil {
				return err
			}
			from = l.index + 1
		}
		if len(page) < leafPage {
			return nil
		}
	}
	return nil
}

// Search implements audit.Reader. Columns only find a record: what is returned is what its leaf says.
func (s *Store) Search(ctx context.Context, q audit.Query) (out []audit.Record, err error) {
	var w where
	if len(q.Types) > 0 {
		types := make([]any, len(q.Types))
		for i, t := range q.Types {
			types[i] = t
		}
		w.in("type", types)
	}
	w.equalIndexed("actor", q.Actor)
	w.equal("person", q.Person)
	w.equalIndexed("approval", q.Approval)
	w.equal("resource", q.Resource)
	w.equalIndexed("session", q.Session)
	w.equalIndexed("about", q.About)
	if q.Kind != "" {
		w.add("instr(kinds, ?) > 0", ","+q.Kind+",")
	}
	switch {
	case q.Class == "":
	case !audit.IsWord(q.Class):
		w.add("FALSE")
	default: // first what is quick, then what is exact
		w.add("instr(leaf, CAST(? AS BLOB)) > 0", `"`+q.Class+`":`)
		w.add("(json_type(CAST(leaf AS TEXT), ?) IS NOT NULL OR json_type(CAST(leaf AS TEXT), ?) IS NOT NULL)", `$.findings."`+q.Class+`"`, `$.masked."`+q.Class+`"`)
	}
	w.since("time", q.Since)
	if !q.Until.IsZero() {
		w.add("time < ?", micros(q.Until))
	}
	if q.Before > 0 {
		w.add("idx < ?", q.Before)
	}
	query := "SELECT leaf FROM log_record" + w.String() + " ORDER BY idx DESC" + w.limit(q.Limit)
	err = s.Read(ctx, func(tx *Tx) error {
		return tx.query(ctx, query, w.args, func(rows *sql.Rows) error {
			var leaf []byte
			if err := rows.Scan(&leaf); err != nil {
				return err
			}
			r, err := decodeRecord(leaf)
			out = append(out, r)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("searching records: %w", err)
	}
	return out, nil
}

// filedBlock is how many records with their columns are read at a time.
const filedBlock = 256

// Between columns, and between records, in what is read of a block at once.
const (
	betweenColumns = 0x1f
	betweenRecords = '\n'
)

const (
	filedColumns  = "time, revision, type, actor, person, approval, resource, session, about, kinds"
	filedPage     = "SELECT idx, leaf, " + filedColumns + " FROM log_record NOT INDEXED WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3"
	filedTogether = `SELECT count(*), min(idx), max(idx), CAST(group_concat(leaf, x'0a') AS BLOB), CAST(group_concat(
		time || x'1f' || revision || x'1f' || type || x'1f' || actor || x'1f' || person || x'1f' || approval || x'1f' || resource || x'1f' ||
		session || x'1f' || about || x'1f' || kinds, x'0a') AS BLOB) FROM log_record NOT INDEXED WHERE idx >= $1 AND idx < $2`
)

// Filed implements store.Store. Rows are read one by one only where a block of them can't be
// read as one value: that costs a third.
func (s *Store) Filed(ctx context.Context, from, to int64, fn func(index int64, leaf []byte, filed bool) error) error {
	b := new(block)
	for from < to {
		until := min(from+filedBlock, to)
		if err := s.Read(ctx, func(tx *Tx) error { return b.read(ctx, tx, from, until) }); err != nil {
			return fmt.Errorf("reading records from %d: %w", from, err)
		}
		if b.whole(from, until) {
			from = until
			if err := b.each(fn); err != nil {
				return err
			}
			continue
		}
		next, err := s.filedPage(ctx, from, to, fn)
		if err != nil || next == 0 {
			return err
		}
		from = next
	}
	return nil
}

// A block is what all rows of a range hold, in two texts.
type block struct {
	count, first, last int64
	leaves, columns    []byte
}

func (b *block) read(ctx context.Context, tx *Tx, from, to int64) error {
	return tx.query(ctx, filedTogether, []any{from, to}, func(rows *sql.Rows) error {
		var first, last sql.NullInt64
		var leaves, columns sql.RawBytes
		if err := rows.Scan(&b.count, &first, &last, &leaves, &columns); err != nil {
			return err
		}
		b.first, b.last = first.Int64, last.Int64
		b.leaves, b.columns = append(b.leaves[:0], leaves...), append(b.columns[:0], columns...)
		return nil
	})
}

// whole reports whether the texts can be cut in one way only: each row of the range is there,
// none holds what stands between two, and each leaf names its row's index.
func (b *block) whole(from, to int64) bool {
	n := int(b.count)
	if b.first != from || b.last != to-1 || b.count != to-from ||
		bytes.Count(b.leaves, []byte{betweenRecords}) != n-1 || bytes.Count(b.columns, []byte{betweenRecords}) != n-1 ||
		bytes.Count(b.columns, []byte{betweenColumns}) != n*strings.Count(filedColumns, ",") {
		return false
	}
	index, rest := from, b.leaves
	for more := true; more; index++ {
		var leaf []byte
		leaf, rest, more = bytes.Cut(rest, []byte{betweenRecords})
		if own, ok := audit.LeafIndex(leaf); !ok || own != index {
			return false
		}
	}
	return true
}

func (b *block) each(fn func(index int64, leaf []byte, filed bool) error) error {
	leaves, columns := b.leaves, b.columns
	for index := b.first; index <= b.last; index++ {
		var leaf, row []byte
		leaf, leaves, _ = bytes.Cut(leaves, []byte{betweenRecords})
		row, columns, _ = bytes.Cut(columns, []byte{betweenRecords})
		if err := fn(index, leaf, filed(leaf, row)); err != nil {
			return err
		}
	}
	return nil
}

// filed compares a leaf with its row, whose columns are those of filedColumns.
func filed(leaf, row []byte) bool {
	next := func() (column []byte) {
		column, row, _ = bytes.Cut(row, []byte{betweenColumns})
		return column
	}
	var c audit.Columns
	var err, err2 error
	c.Time, err = strconv.ParseInt(string(next()), 10, 64)
	c.Revision, err2 = strconv.ParseInt(string(next()), 10, 64)
	for _, into := range textColumns(&c) {
		*into = next()
	}
	return err == nil && err2 == nil && audit.FiledAs(leaf, &c, 0)
}

// textColumns are those behind time and revision in filedColumns.
func textColumns(c *audit.Columns) [8]*[]byte {
	return [...]*[]byte{&c.Type, &c.Actor, &c.Person, &c.Approval, &c.Resource, &c.Session, &c.About, &c.Kinds}
}

// filedPage reads rows one by one; next is 0 behind the last.
func (s *Store) filedPage(ctx context.Context, from, to int64, fn func(index int64, leaf []byte, filed bool) error) (next int64, err error) {
	type row struct {
		indexed
		filed bool
	}
	var page []row
	err = s.Read(ctx, func(tx *Tx) error {
		return tx.query(ctx, filedPage, []any{from, to, filedBlock}, func(rows *sql.Rows) error {
			var r row
			var c audit.Columns
			var at, revision any
			dest := []any{&r.index, &r.leaf, &at, &revision}
			for _, into := range textColumns(&c) {
				dest = append(dest, into)
			}
			err := rows.Scan(dest...)
			var timed, counted bool
			c.Time, timed = at.(int64)
			c.Revision, counted = revision.(int64)
			r.filed = timed && counted && audit.FiledAs(r.leaf, &c, 0)
			page = append(page, r)
			return err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("reading records from %d: %w", from, err)
	}
	for _, r := range page {
		if err := fn(r.index, r.leaf, r.filed); err != nil {
			return 0, err
		}
	}
	if len(page) < filedBlock {
		return 0, nil
	}
	return page[len(page)-1].index + 1, nil
}
