package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/audit"
)

func scanHead(row pgx.Row) (h audit.Head, err error) {
	var root []byte
	var last int64
	if err := row.Scan(&h.Size, &root, &last); err != nil {
		return h, err
	}
	if h.Size == 0 && len(root) == 0 {
		return audit.Head{}, nil
	}
	if len(root) != len(h.Root) || h.Size < 1 {
		return h, errors.New("the log's head has no root")
	}
	copy(h.Root[:], root)
	h.Last = fromMicros(last)
	return h, nil
}

const selectHead = "SELECT size, root, last FROM log_head WHERE one = 1"

// Head implements audit.Tx.
func (tx *Tx) Head(context.Context) (h audit.Head, err error) {
	if tx.writes {
		return tx.head, tx.failed
	}
	found := false
	err = tx.query(selectHead, nil, func(rows pgx.Row) (err error) {
		found = true
		h, err = scanHead(rows)
		return err
	})
	if err == nil && !found {
		err = errors.New("it is gone")
	}
	if err != nil {
		return h, fmt.Errorf("reading the log's head: %w", err)
	}
	return h, nil
}

// SwapHead implements audit.Tx.
func (tx *Tx) SwapHead(_ context.Context, old, next audit.Head) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	if tx.head.Size != old.Size {
		return fmt.Errorf("moving the log's head: it is not at %d", old.Size)
	}
	tx.head = next
	return nil
}

// A filed record is a leaf with the columns that it is found by.
type filed struct {
	index int64
	leaf  []byte
	r     *audit.Record
}

// InsertRecord implements audit.Tx. Nobody else writes while this transaction has
// the head: an index that the head covers, or that waits, is taken.
func (tx *Tx) InsertRecord(_ context.Context, index int64, leaf []byte, r *audit.Record) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	if index < tx.head.Size {
		return fmt.Errorf("storing record %d: there is one", index)
	}
	tx.wrote(records)
	tx.records = append(tx.records, filed{index, bytes.Clone(leaf), columnRecord(r)})
	return nil
}

// columnRecord keeps what a record is filed under: the caller's own may change before it is sent.
func columnRecord(r *audit.Record) *audit.Record {
	c := &audit.Record{
		Time: r.Time, Type: r.Type, Actor: r.Actor, Person: r.Person, Approval: r.Approval, Resource: r.Resource,
		Session: r.Session, Kinds: r.Kinds, About: r.About, Revision: r.Revision,
	}
	if r.Type == audit.TypeToken {
		c.Detail = map[string]string{"token": r.Detail["token"]}
	}
	return c
}

const insertRecords = `INSERT INTO log_record (idx, time, type, actor, person, approval, resource, session, kinds, about, revision, token, leaf)
	SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[],
		$9::bytea[], $10::bytea[], $11::bigint[], $12::bytea[], $13::bytea[])`

// files are the texts that a record is filed under, in the order of the table. What is
// too long for an index is cut: columns only find a record.
func files(r *audit.Record) [9][]byte {
	token := ""
	if r.Type == audit.TypeToken {
		token = r.Detail["token"]
	}
	return [9][]byte{
		[]byte(r.Type), column(r.Actor), column(r.Person), column(r.Approval), column(r.Resource), column(r.Session),
		[]byte(audit.KindsColumn(r.Kinds)), column(r.About), column(token),
	}
}

func column(s string) []byte { return []byte(s[:min(len(s), maxKey)]) }

func columnsOf(records []filed) []any {
	n := len(records)
	idx, times, revisions := make([]int64, n), make([]int64, n), make([]int64, n)
	var texts [9][][]byte
	for i := range texts {
		texts[i] = make([][]byte, n)
	}
	leaves := make([][]byte, n)
	for i, f := range records {
		idx[i], times[i], revisions[i], leaves[i] = f.index, micros(f.r.Time), f.r.Revision, f.leaf
		for t, text := range files(f.r) {
			texts[t][i] = text
		}
	}
	return []any{idx, times, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], texts[7], revisions, texts[8], leaves}
}

// Tile implements audit.Tx.
func (tx *Tx) Tile(_ context.Context, level int, n int64) (hashes []byte, err error) {
	if h, there := tx.tiles[tileID{level, n}]; there {
		return h, nil
	}
	if _, err := tx.one("SELECT hashes FROM log_tile WHERE level = $1 AND n = $2", []any{level, n}, &hashes); err != nil {
		return nil, fmt.Errorf("reading tile %d/%d: %w", level, n, err)
	}
	return hashes, nil
}

// PutTile implements audit.Tx. Of a tile that a group of closures fills, only the last version is written.
func (tx *Tx) PutTile(_ context.Context, level int, n int64, hashes []byte) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	id := tileID{level, n}
	was, there := tx.tiles[id]
	tx.undo = append(tx.undo, tileWas{id, was, there})
	tx.tiles[id] = bytes.Clone(hashes)
	return nil
}

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

// leafPage is how many leaves are read at a time.
const leafPage = 1000

// Leaves implements audit.Reader.
func (s *Store) Leaves(ctx context.Context, from, to int64, fn func(index int64, leaf []byte) error) error {
	return s.pages(ctx, from, to, "idx, leaf", func(rows pgx.Row) (func() error, int64, error) {
		var index int64
		var leaf []byte
		err := rows.Scan(&index, &leaf)
		return func() error { return fn(index, leaf) }, index, err
	})
}

// pages reads columns of the records from an index up to another, a page at a
// time, and calls what read returns for each outside of any transaction.
func (s *Store) pages(ctx context.Context, from, to int64, columns string, read func(pgx.Row) (then func() error, index int64, err error)) error {
	for from < to {
		var page []func() error
		last := from
		err := s.Read(ctx, func(tx *Tx) error {
			return tx.query("SELECT "+columns+" FROM log_record WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT $3",
				[]any{from, to, leafPage}, func(rows pgx.Row) error {
					then, index, err := read(rows)
					page, last = append(page, then), index
					return err
				})
		})
		if err != nil {
			return fmt.Errorf("reading records from %d: %w", from, err)
		}
		for _, then := range page {
			if err := then(); err != nil {
				return err
			}
		}
		if len(page) < leafPage {
			return nil
		}
		from = last + 1
	}
	return nil
}

// Search implements audit.Reader. Columns only find a record: what is returned is what its leaf says.
func (s *Store) Search(ctx context.Context, q audit.Query) (out []audit.Record, err error) {
	var w where
	if len(q.Types) > 0 {
		w.add("type = ANY($?)", raws(q.Types))
	}
	for _, c := range []struct{ column, to string }{
		{"actor", q.Actor}, {"person", q.Person}, {"approval", q.Approval}, {"resource", q.Resource}, {"session", q.Session}, {"about", q.About},
	} {
		if c.to != "" {
			w.add(c.column+" = $?", column(c.to))
			w.conds = append(w.conds, c.column+" <> ''") // so that the index that leaves it out is used
		}
	}
	if q.Kind != "" {
		w.add("position($? in kinds) > 0", raw(","+q.Kind+","))
	}
	switch {
	case q.Class == "":
	case !audit.IsWord(q.Class):
		w.conds = append(w.conds, "false")
	default:
		// First what is quick, then what is exact: inside of a text the quotes would be escaped. Not json's
		// operators, which refuse an escaped NUL in any text.
		w.add("position($? in leaf) > 0", blob([]byte(`"`+q.Class+`":`)))
		w.conds = append(w.conds, `convert_from(leaf, 'UTF8') ~ '"(findings|masked)":\{[^}]*"`+strings.ReplaceAll(q.Class, ".", `\.`)+`":'`)
	}
	if !q.Since.IsZero() {
		w.add("time >= $?", micros(q.Since))
	}
	if !q.Until.IsZero() {
		w.add("time < $?", micros(q.Until))
	}
	if q.Before > 0 {
		w.add("idx < $?", q.Before)
	}
	query := "SELECT leaf FROM log_record" + w.String() + " ORDER BY idx DESC" + w.limit(q.Limit)
	err = s.Read(ctx, func(tx *Tx) error {
		out, err = tx.leaves(query, w.args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("searching records: %w", err)
	}
	return out, nil
}

// leaves are the records that a query finds.
func (tx *Tx) leaves(query string, args ...any) (out []audit.Record, err error) {
	err = tx.ask(leavesQuestion(&out, query, args...))
	return out, err
}

func leavesQuestion(out *[]audit.Record, query string, args ...any) question {
	return question{records, query, args, func(rows pgx.Row) error {
		var leaf []byte
		if err := rows.Scan(&leaf); err != nil {
			return err
		}
		r, err := decodeRecord(leaf)
		*out = append(*out, r)
		return err
	}}
}

// becameOf finds what became of an approval, by records of becameTypes.
const becameOf = "SELECT leaf FROM log_record WHERE approval = $1 AND approval <> '' AND type = ANY($2) ORDER BY idx"

var becameTypes = []string{audit.TypeApproval, audit.TypeStarted, audit.TypeReview}

// became are those records, oldest first.
func (tx *Tx) became(id string) (recs []audit.Record, err error) {
	return tx.leaves(becameOf, column(id), raws(becameTypes))
}

func decodeRecord(leaf []byte) (r audit.Record, err error) {
	if err := json.Unmarshal(leaf, &r); err != nil {
		return r, fmt.Errorf("a stored record is not readable: %w", err)
	}
	return r, nil
}

// Filed implements store.Store. What an approval or a credential came to is looked up by columns.
func (s *Store) Filed(ctx context.Context, from, to int64, fn func(index int64, leaf []byte, filed bool) error) error {
	return s.pages(ctx, from, to, "idx, time, type, actor, person, approval, resource, session, kinds, about, token, revision, leaf",
		func(rows pgx.Row) (func() error, int64, error) {
			var index int64
			var c audit.Columns
			var token, leaf []byte
			err := rows.Scan(&index, &c.Time, &c.Type, &c.Actor, &c.Person, &c.Approval, &c.Resource, &c.Session, &c.Kinds, &c.About, &token, &c.Revision, &leaf)
			return func() error {
				return fn(index, leaf, audit.FiledAs(leaf, &c, maxKey) && bytes.Equal(token, tokenIn(leaf, c.Type)))
			}, index, err
		})
}

// tokenIn is which credential a record is about.
func tokenIn(leaf, kind []byte) []byte {
	if string(kind) != audit.TypeToken {
		return nil
	}
	r, err := decodeRecord(leaf)
	if err != nil {
		return nil
	}
	return column(r.Detail["token"])
}

// A where collects conditions with their arguments; $? is the next one.
type where struct {
	conds []string
	args  []any
}

func (w *where) add(cond string, arg any) {
	w.args = append(w.args, arg)
	w.conds = append(w.conds, strings.Replace(cond, "$?", "$"+strconv.Itoa(len(w.args)), 1))
}

// extend goes on with the last condition.
func (w *where) extend(cond string, arg any) {
	w.args = append(w.args, arg)
	w.conds[len(w.conds)-1] += strings.Replace(cond, "$?", "$"+strconv.Itoa(len(w.args)), 1)
}

func (w *where) String() string {
	if len(w.conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conds, " AND ")
}

func (w *where) limit(n int) string {
	if n <= 0 {
		return ""
	}
	w.args = append(w.args, n)
	return " LIMIT $" + strconv.Itoa(len(w.args))
}

// Reached implements approval.Approvals.
func (tx *Tx) Reached(_ context.Context, id string) (out []stateOf, err error) {
	recs, err := tx.became(id)
	if err != nil {
		return nil, fmt.Errorf("looking for what became of %s: %w", id, err)
	}
	for _, r := range recs {
		switch {
		case r.Approval != id || r.Type == audit.TypeReview: // or a longer name that begins like it
		case r.Type == audit.TypeStarted:
			out = append(out, executing)
		default:
			out = append(out, stateOf(r.Decision))
		}
	}
	return out, nil
}

// Reviewed implements approval.Approvals.
func (tx *Tx) Reviewed(_ context.Context, id string) (out []string, err error) {
	recs, err := tx.became(id)
	if err != nil {
		return nil, fmt.Errorf("looking for the reviews of %s: %w", id, err)
	}
	for _, r := range recs {
		if r.Approval == id && r.Type == audit.TypeReview {
			out = append(out, r.Detail["review"])
		}
	}
	return out, nil
}

// TokenRevoked implements store.Tx.
func (tx *Tx) TokenRevoked(_ context.Context, id string) (found bool, err error) {
	recs, err := tx.leaves("SELECT leaf FROM log_record WHERE token = $1 AND token <> ''", column(id))
	if err != nil {
		return false, fmt.Errorf("looking for the end of token %s: %w", id, err)
	}
	for _, r := range recs {
		found = found || r.Type == audit.TypeToken && r.Detail["token"] == id && r.Detail["what"] == "revoked"
	}
	return found, nil
}

const revisionOf = "SELECT coalesce(max(revision), 0) FROM log_record WHERE about = $1 AND about <> ''"

// RevisionOf implements sealed.Rows.
func (tx *Tx) RevisionOf(_ context.Context, kind, id string) (n int64, err error) {
	about := kind + "/" + id
	if _, err = tx.oneOf(records, revisionOf, []any{column(about)}, &n); err != nil {
		return 0, fmt.Errorf("asking the log about %s: %w", about, err)
	}
	return n, nil
}

// RevisionsOf implements sealed.Rows.
func (tx *Tx) RevisionsOf(_ context.Context, kind string, ids ...string) (map[string]int64, error) {
	out := map[string]int64{}
	cond, args := "about > $1 AND about < $2", []any{raw(kind + "/"), raw(kind + "0")} // '0' follows '/'
	if len(ids) > 0 {
		abouts := make([][]byte, len(ids))
		for i, id := range ids {
			abouts[i] = column(kind + "/" + id)
		}
		cond, args = "about = ANY($1)", []any{abouts}
	}
	err := tx.ask(question{records, "SELECT about, max(revision) FROM log_record WHERE " + cond + " AND about <> '' GROUP BY about", args, func(row pgx.Row) error {
		var about string
		var n int64
		err := row.Scan(str(&about), &n)
		out[strings.TrimPrefix(about, kind+"/")] = n
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("asking the log about rows of kind %s: %w", kind, err)
	}
	return out, nil
}
