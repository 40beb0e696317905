package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/assenthq/assent/internal/approval"
)

// A table names what an answer is of, so that a write ends only what it touches.
type table string

const (
	approvals table = "approval"
	reviews   table = "review"
	relations table = "relation"
	sealeds   table = "sealed"
	records   table = "log_record"
)

var errForeseeing = errors.New("what is only foreseen can't write")

// An answer came along with another: the rows of a question that is nearly always
// asked next. It holds until something of its table is written.
type answer struct {
	of     table
	conn   *pgx.Conn
	fields []pgconn.FieldDescription
	rows   [][][]byte
}

// take copies what the server answered.
func (a *answer) take(rows pgx.Rows) error {
	a.fields = append(a.fields[:0], rows.FieldDescriptions()...)
	for rows.Next() {
		values := rows.RawValues()
		row := make([][]byte, len(values))
		for i, v := range values {
			if v != nil {
				row[i] = append([]byte{}, v...)
			}
		}
		a.rows = append(a.rows, row)
	}
	return rows.Err()
}

// each has every row scanned, as often as it is asked.
func (a *answer) each(scan func(pgx.Row) error) error {
	for _, values := range a.rows {
		if err := scan(keptRow{a, values}); err != nil {
			return err
		}
	}
	return nil
}

type keptRow struct {
	*answer
	values [][]byte
}

// Scan implements pgx.Row.
func (r keptRow) Scan(dest ...any) error {
	if len(dest) != len(r.values) {
		return fmt.Errorf("a row of %d columns scanned into %d", len(r.values), len(dest))
	}
	for i, d := range dest {
		if err := r.conn.TypeMap().Scan(r.fields[i].DataTypeOID, r.fields[i].Format, r.values[i], d); err != nil {
			return err
		}
	}
	return nil
}

// key tells questions apart; "" for one whose answer is not kept.
func (q *question) key() string {
	if q.of == "" {
		return ""
	}
	b := append([]byte(q.query), 0)
	for _, arg := range q.args {
		switch v := arg.(type) {
		case raw:
			b = fmt.Appendf(b, "%q ", string(v))
		case []byte, [][]byte:
			b = fmt.Appendf(b, "%x ", v)
		case int, int64:
			b = fmt.Appendf(b, "%d ", v)
		default:
			return ""
		}
	}
	return string(b)
}

// wrote forgets what came along of a table that is written to.
func (tx *Tx) wrote(of table) {
	for k, a := range tx.ahead {
		if a.of == of {
			delete(tx.ahead, k)
		}
	}
}

// Soon implements approval.Tx: everything that fn reads is asked in one round trip.
func (tx *Tx) Soon(_ context.Context, fn func(approval.Tx)) error {
	tx.foreseen = []question{}
	fn(tx)
	questions := tx.foreseen
	tx.foreseen = nil
	seen := map[string]bool{"": true} // what can't be kept is not asked for nothing
	questions = slices.DeleteFunc(questions, func(q question) bool {
		k := q.key()
		twice := seen[k]
		seen[k] = true
		return twice
	})
	return tx.along(questions...)
}

// along asks questions whose answers are kept, in one round trip.
func (tx *Tx) along(questions ...question) error {
	for i := range questions {
		questions[i].scan = nil
	}
	return tx.ask(questions...)
}

// known is what a closure that writes has read or written: nobody else writes while it
// has the head, so a write that fits it needs no answer before the next. One that
// doesn't fit after all, because somebody went around the head, fails the transaction.
type known struct {
	approvals map[string]version         // by id
	sealed    map[string]int64           // by name: the revision; 0: there is none
	reviewers map[string]map[string]bool // by approval: who has reviewed it
}

type version struct {
	state    approval.State
	revision int64
}

func newKnown() known {
	return known{approvals: map[string]version{}, sealed: map[string]int64{}, reviewers: map[string]map[string]bool{}}
}

// once has a statement of one row fail unless it changes that row.
func once(change string) string {
	return "WITH done AS (" + change + " RETURNING 1) SELECT 1 / count(*) FROM done"
}

var errAround = errors.New("a row was changed by somebody who did not wait for the log's head")

// around says what it means that a statement made by once fails.
func around(err error) error {
	if said := (*pgconn.PgError)(nil); errors.As(err, &said) && said.Code == "22012" { // division by zero
		return fmt.Errorf("%w: %w", errAround, err)
	}
	return err
}
