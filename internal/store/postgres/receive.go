package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
)

// ErrNotEmpty says that a deployment can't be moved here.
var ErrNotEmpty = errors.New("the store is not empty")

// A Source hands over a deployment that moves.
type Source interface {
	Head(ctx context.Context) (audit.Head, error)
	Rows(ctx context.Context, t store.Table, fn func(row []any) error) error
}

// Receive makes the tables in an empty database and copies all of a deployment
// into them, in one transaction: all of it is there, or nothing. before is called
// just before the commit, when everything was read back and compared.
func Receive(ctx context.Context, o Options, from Source, progress func(table string, rows int64), before func() error) error {
	s, err := newStore(&o)
	if err != nil {
		return fmt.Errorf("opening the PostgreSQL store: %w", err)
	}
	defer s.pool.Close()
	conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("opening the PostgreSQL store: %w", err)
	}
	defer func() { _ = closeConn(conn) }()
	if err := s.migrate(ctx, conn); err != nil {
		return fmt.Errorf("opening the PostgreSQL store: %w", err)
	}
	// It reads from a disk and sends: neither is to be cut short.
	if _, err := conn.Exec(ctx, "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = '10s'"); err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		r := &receiver{ctx: ctx, tx: tx, from: from, progress: progress}
		if err := r.empty(); err != nil {
			return err
		}
		for _, t := range store.Tables {
			if err := r.table(t); err != nil {
				return err
			}
		}
		if err := r.head(); err != nil {
			return err
		}
		return before()
	})
	if err != nil {
		return fmt.Errorf("moving into PostgreSQL: %w", err)
	}
	// Planners know nothing of what was just loaded.
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("it is moved, but ANALYZE failed: %w", err)
	}
	return nil
}

type receiver struct {
	ctx      context.Context
	tx       pgx.Tx
	from     Source
	progress func(string, int64)
}

// empty errs unless nobody has used this schema. It locks out every other node.
func (r *receiver) empty() error {
	head, err := scanHead(r.tx.QueryRow(r.ctx, selectHead+" FOR UPDATE"))
	if err != nil {
		return err
	}
	if head.Size > 0 {
		return fmt.Errorf("%w: its log holds %d records", ErrNotEmpty, head.Size)
	}
	for _, t := range append([]string{"node"}, tableNames()...) {
		var some bool
		if err := r.tx.QueryRow(r.ctx, "SELECT EXISTS (SELECT 1 FROM "+t+")").Scan(&some); err != nil {
			return err
		}
		if some {
			return fmt.Errorf("%w: table %s has rows", ErrNotEmpty, t)
		}
	}
	return nil
}

func tableNames() (out []string) {
	for _, t := range store.Tables {
		out = append(out, t.Name)
	}
	return out
}

// table copies one, reads it back and compares.
func (r *receiver) table(t store.Table) error {
	var sent, kept store.Sum
	columns := t.Columns
	if t.Name == "log_record" {
		columns = append(append([]string{}, columns...), "token")
	}
	rows := make(chan []any, 256)
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	read := make(chan error, 1)
	go func() {
		defer close(rows)
		read <- r.from.Rows(ctx, t, func(row []any) error {
			if err := sent.Add(row); err != nil {
				return err
			}
			if t.Name == "log_record" {
				token, err := tokenOf(row[len(row)-1].([]byte))
				if err != nil {
					return err
				}
				row = append(row, token)
			}
			select {
			case rows <- row:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	n := int64(0)
	_, err := r.tx.CopyFrom(r.ctx, pgx.Identifier{t.Name}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		row, more := <-rows
		if !more {
			return nil, nil
		}
		if n++; n%10_000 == 0 {
			r.progress(t.Name, n)
		}
		return row, nil
	}))
	cancel()
	for range rows {
		continue // what the reader still had in hand
	}
	if rerr := <-read; rerr != nil && err == nil {
		err = rerr
	}
	if err != nil {
		return fmt.Errorf("copying table %s: %w", t.Name, err)
	}
	order := strings.Replace(t.Order, "rowid", "n", 1)
	back, err := r.tx.Query(r.ctx, "SELECT "+strings.Join(t.Columns, ", ")+" FROM "+t.Name+" ORDER BY "+order)
	if err != nil {
		return err
	}
	defer back.Close()
	for back.Next() {
		row, err := back.Values()
		if err != nil {
			return err
		}
		for i, v := range row {
			if small, is := v.(int32); is {
				row[i] = int64(small)
			}
		}
		if err := kept.Add(row); err != nil {
			return err
		}
	}
	if err := back.Err(); err != nil {
		return err
	}
	if sent.Rows != kept.Rows || sent.Digest() != kept.Digest() {
		return fmt.Errorf("table %s is not what was sent: %d of %d rows", t.Name, kept.Rows, sent.Rows)
	}
	r.progress(t.Name, kept.Rows)
	return nil
}

func tokenOf(leaf []byte) ([]byte, error) {
	rec, err := decodeRecord(leaf)
	if err != nil {
		return nil, err
	}
	return files(&rec)[8], nil
}

func (r *receiver) head() error {
	head, err := r.from.Head(r.ctx)
	if err != nil || head.Size == 0 {
		return err
	}
	_, err = r.tx.Exec(r.ctx, "UPDATE log_head SET size = $1, root = $2, last = $3 WHERE one = 1", head.Size, head.Root[:], micros(head.Last))
	return err
}
