package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
)

// A Tx is one transaction, and must not be kept. It has the head, the tiles and
// the records that closures wrote in memory, and sends statements together with
// the next one that needs an answer: a closure that only appends to the log
// costs no round trip of its own.
type Tx struct {
	conn   *pgx.Conn
	writes bool
	begun  bool  // of a reading one: BEGIN was sent
	failed error // what broke the whole transaction

	base, head audit.Head
	tiles      map[tileID][]byte
	undo       []tileWas          // of the closure under way
	ops        []op               // not sent yet, in order
	records    []filed            // not sent yet
	at         mark               // where the closure under way began
	saved      bool               // its savepoint was sent
	ahead      map[string]*answer // of the closure under way, by question
	known      known              // by the closure under way
	foreseen   []question         // not nil: reads are noted here and not asked
}

type tileID struct {
	level int
	n     int64
}

type tileWas struct {
	id     tileID
	hashes []byte
	there  bool
}

type op struct {
	query string
	args  []any
}

// A mark is a place to come back to.
type mark struct {
	ops, records int
	head         audit.Head
}

func newTx(conn *pgx.Conn) *Tx {
	return &Tx{conn: conn, tiles: map[tileID][]byte{}, ahead: map[string]*answer{}, known: newKnown()}
}

// open begins a closure.
func (tx *Tx) open() {
	tx.at, tx.saved, tx.undo = mark{len(tx.ops), len(tx.records), tx.head}, false, tx.undo[:0]
	clear(tx.ahead)
	tx.known, tx.foreseen = newKnown(), nil
}

// close ends a closure: what it did stays, or is undone.
func (tx *Tx) close(keep bool) {
	if keep {
		if tx.saved {
			tx.ops = append(tx.ops, op{query: "RELEASE SAVEPOINT one"})
		}
		return
	}
	tx.head = tx.at.head
	for i := len(tx.undo) - 1; i >= 0; i-- {
		u := tx.undo[i]
		if u.there {
			tx.tiles[u.id] = u.hashes
		} else {
			delete(tx.tiles, u.id)
		}
	}
	tx.ops, tx.records = tx.ops[:tx.at.ops], tx.records[:tx.at.records]
	if tx.saved {
		tx.ops = append(tx.ops, op{query: "ROLLBACK TO SAVEPOINT one"}, op{query: "RELEASE SAVEPOINT one"})
	}
}

// queue puts everything that waits into b, with the closure's savepoint where it belongs.
func (tx *Tx) queue(b *pgx.Batch) {
	put := func(ops []op, records []filed) {
		for _, o := range ops {
			b.Queue(o.query, o.args...)
		}
		if len(records) > 0 {
			b.Queue(insertRecords, columnsOf(records)...)
		}
	}
	if !tx.saved {
		put(tx.ops[:tx.at.ops], tx.records[:tx.at.records])
		b.Queue("SAVEPOINT one")
		tx.saved = true
		put(tx.ops[tx.at.ops:], tx.records[tx.at.records:])
	} else {
		put(tx.ops, tx.records)
	}
	tx.ops, tx.records = tx.ops[:0], tx.records[:0]
	tx.at.ops, tx.at.records = 0, 0
}

// mayWrite says why nothing may be written now.
func (tx *Tx) mayWrite() error {
	switch {
	case !tx.writes:
		return store.ErrRead
	case tx.foreseen != nil:
		return errForeseeing
	}
	return tx.failed
}

// later sends a statement with the next one. It must not fail.
func (tx *Tx) later(query string, args ...any) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	tx.ops = append(tx.ops, op{query, args})
	return nil
}

// exec runs a statement without rows, and tells how many it changed.
func (tx *Tx) exec(query string, args ...any) (n int64, err error) {
	if err := tx.mayWrite(); err != nil {
		return 0, err
	}
	b := &pgx.Batch{}
	tx.queue(b)
	b.Queue(query, args...)
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	br := tx.conn.SendBatch(ctx, b)
	for range b.Len() { // the last one's answer is the one that counts
		tag, err := br.Exec()
		if err != nil {
			_ = br.Close()
			return 0, tx.fail(err)
		}
		n = tag.RowsAffected()
	}
	if err := br.Close(); err != nil {
		return 0, tx.fail(err)
	}
	return n, nil
}

// query calls scan for each row. The end of the caller's context does not reach
// the connection: it would end the transaction of others.
func (tx *Tx) query(query string, args []any, scan func(pgx.Row) error) error {
	return tx.ask(question{query: query, args: args, scan: scan})
}

type question struct {
	of    table // "": its answer is never kept
	query string
	args  []any
	scan  func(pgx.Row) error // nil: the answer is kept until it is asked for
}

// ask is query for several at once, in one round trip, or none for what came along before.
func (tx *Tx) ask(questions ...question) error {
	if tx.failed != nil {
		return tx.failed
	}
	if tx.foreseen != nil {
		tx.foreseen = append(tx.foreseen, questions...)
		return nil
	}
	var bad error // scan's own error breaks no transaction
	open := questions[:0:0]
	for _, q := range questions {
		a := tx.ahead[q.key()]
		switch {
		case a == nil:
			open = append(open, q)
		case q.scan != nil && bad == nil:
			bad = a.each(q.scan)
		}
	}
	if len(open) == 0 {
		return bad
	}
	b := &pgx.Batch{}
	switch {
	case tx.writes:
		tx.queue(b)
	case !tx.begun:
		b.Queue("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
		tx.begun = true
	}
	for _, q := range open {
		b.Queue(q.query, q.args...).Query(func(rows pgx.Rows) error {
			if q.scan == nil {
				a := &answer{of: q.of, conn: tx.conn}
				if k := q.key(); k != "" {
					tx.ahead[k] = a
				}
				return a.take(rows)
			}
			for rows.Next() {
				if bad == nil {
					bad = q.scan(rows)
				}
			}
			return rows.Err()
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	if err := tx.conn.SendBatch(ctx, b).Close(); err != nil {
		return tx.fail(err)
	}
	return bad
}

func (tx *Tx) fail(err error) error {
	tx.failed = around(err)
	return tx.failed
}

// one reads a single row into dest; found is false when there is none.
func (tx *Tx) one(query string, args []any, dest ...any) (found bool, err error) {
	return tx.oneOf("", query, args, dest...)
}

// oneOf is one, whose answer may have come along before.
func (tx *Tx) oneOf(of table, query string, args []any, dest ...any) (found bool, err error) {
	err = tx.ask(question{of, query, args, func(row pgx.Row) error {
		found = true
		return row.Scan(dest...)
	}})
	return found, err
}

// commit sends all that waits, the tiles, the head and the COMMIT.
func (tx *Tx) commit() (tag string, err error) {
	b := &pgx.Batch{}
	for _, o := range tx.ops {
		b.Queue(o.query, o.args...)
	}
	if len(tx.records) > 0 {
		b.Queue(insertRecords, columnsOf(tx.records)...)
	}
	if len(tx.tiles) > 0 {
		var levels []int32
		var ns []int64
		var hashes [][]byte
		for id, h := range tx.tiles {
			levels, ns, hashes = append(levels, int32(id.level)), append(ns, id.n), append(hashes, h)
		}
		b.Queue(`INSERT INTO log_tile (level, n, hashes) SELECT * FROM unnest($1::int[], $2::bigint[], $3::bytea[])
			ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes`, levels, ns, hashes)
	}
	if tx.head != tx.base {
		b.Queue("UPDATE log_head SET size = $1, root = $2, last = $3 WHERE one = 1", tx.head.Size, tx.head.Root[:], micros(tx.head.Last))
	}
	b.Queue("COMMIT")
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	br := tx.conn.SendBatch(ctx, b)
	for range b.Len() {
		t, err := br.Exec()
		if err != nil {
			_ = br.Close()
			return "", around(err)
		}
		tag = t.String()
	}
	return tag, br.Close()
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// A raw is text as bytea keeps it, whatever bytes it has.
type raw string

// ScanBytes implements pgtype.BytesScanner.
func (r *raw) ScanBytes(v []byte) error { *r = raw(v); return nil }

// str scans bytea into a string.
func str(s *string) *raw { return (*raw)(s) }

// BytesValue implements pgtype.BytesValuer.
func (r raw) BytesValue() ([]byte, error) { return []byte(r), nil }

func raws[T ~string](list []T) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

// maxKey is the longest text that an index takes, with room to spare.
const maxKey = 1000

var errTooLong = errors.New("a name is too long to be stored")

// short errs when one of these, which are indexed, is too long.
func short(keys ...string) error {
	for _, k := range keys {
		if len(k) > maxKey {
			return fmt.Errorf("%w: %d bytes, at most %d", errTooLong, len(k), maxKey)
		}
	}
	return nil
}
