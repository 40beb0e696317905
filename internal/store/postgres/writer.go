package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
)

// A job is one closure on its way through the writer.
type job struct {
	ctx  context.Context
	fn   func(*Tx) error
	err  error
	done chan struct{}
}

// A writer owns the connection that writes. Closures that arrive while it works,
// or while another node holds the head, share the next commit.
type writer struct {
	s     *Store
	conn  *pgx.Conn // nil: to be made
	head  audit.Head
	group []*job
	down  time.Time // when the database was last found away
}

func (w *writer) run() {
	defer func() {
		if w.conn != nil {
			_ = closeConn(w.conn)
		}
	}()
	for {
		select {
		case j := <-w.s.jobs:
			w.commit(j)
		case <-w.s.quit:
			return
		}
	}
}

// commit runs first and whatever else is waiting in one transaction.
func (w *writer) commit(first *job) {
	w.group = append(w.group[:0], first)
	from, head, err := w.transact()
	if errors.Is(err, ErrFenced) {
		err = w.s.die(err)
	}
	for _, j := range w.group {
		if err != nil && j.err == nil {
			j.err = err
		}
		close(j.done)
	}
	if err != nil || head == w.head && from == head.Size {
		return
	}
	w.head = head
	if head.Size > from {
		w.s.committed(from, head)
		w.s.node.notify()
	}
}

// transact returns the head that it found and the one that it left.
func (w *writer) transact() (from int64, head audit.Head, err error) {
	if err := w.s.Err(); err != nil {
		return 0, head, err
	}
	tx, mark, err := w.begin()
	if err != nil {
		return 0, head, err
	}
	from = tx.head.Size
	for i := 0; i < len(w.group); i++ {
		w.one(tx, w.group[i])
		if tx.failed != nil {
			w.rollback()
			return from, head, fmt.Errorf("writing: %w", tx.failed)
		}
		if len(w.group) == maxGroup {
			break
		}
		select {
		case j := <-w.s.jobs:
			w.group = append(w.group, j)
		default:
		}
	}
	head = tx.head
	return from, head, w.end(tx, mark)
}

// begin opens a transaction, takes the head and says who is writing.
func (w *writer) begin() (*Tx, int64, error) {
	fresh := w.conn == nil
	for {
		if w.conn == nil {
			if time.Since(w.down) < time.Second { // do not make everybody wait for the same timeout
				return nil, 0, ErrUnreachable
			}
			ctx, cancel := context.WithTimeout(context.Background(), askTime)
			conn, err := w.s.connect(ctx)
			cancel()
			if err != nil {
				w.down = time.Now()
				return nil, 0, err
			}
			w.conn = conn
		}
		tx, mark, err := w.tryBegin()
		if err == nil {
			return tx, mark, nil
		}
		w.rollback()
		// A connection that was found broken before anything was asked of it is made anew, once.
		if w.conn != nil || fresh || errors.Is(err, ErrFenced) {
			return nil, 0, err
		}
		fresh = true
	}
}

func (w *writer) tryBegin() (*Tx, int64, error) {
	tx := newTx(w.conn)
	tx.writes = true
	var mark int64
	var alive bool
	n := w.s.node
	b := &pgx.Batch{}
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
	b.Queue("SELECT size, root, last FROM log_head WHERE one = 1 FOR UPDATE").QueryRow(func(row pgx.Row) (err error) {
		tx.head, err = scanHead(row)
		return err
	})
	b.Queue("UPDATE node_mark SET n = n + 1 WHERE name = $1 AND epoch = $2 RETURNING n", n.name, n.epoch).QueryRow(func(row pgx.Row) error {
		return row.Scan(&mark)
	})
	b.Queue("SELECT EXISTS (SELECT 1 FROM node WHERE name = $1 AND epoch = $2 AND NOT ended)", n.name, n.epoch).QueryRow(func(row pgx.Row) error {
		return row.Scan(&alive)
	})
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	if err := w.conn.SendBatch(ctx, b).Close(); err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			return nil, 0, fmt.Errorf("%w (its row is gone)", ErrFenced)
		}
		return nil, 0, fmt.Errorf("beginning to write: %w", err)
	}
	if !alive {
		return nil, 0, ErrFenced
	}
	tx.base = tx.head
	return tx, mark, nil
}

// one runs one closure; its own error undoes only itself.
func (w *writer) one(tx *Tx, j *job) {
	if j.err = j.ctx.Err(); j.err != nil {
		return
	}
	tx.open()
	j.err = call(j.fn, tx)
	if tx.failed == nil {
		tx.close(j.err == nil)
	}
}

// call turns a panic of fn into its error, so that it can't take the writer down with it.
func call(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v", p)
		}
	}()
	return fn(tx)
}

// end commits, and finds out what became of it when the answer is lost.
func (w *writer) end(tx *Tx, mark int64) error {
	tag, err := tx.commit()
	if err == nil && tag == "COMMIT" {
		return nil
	}
	if err == nil {
		w.rollback()
		return fmt.Errorf("committing: the server said %s", tag)
	}
	if said := (*pgconn.PgError)(nil); errors.As(err, &said) && said.Severity == "ERROR" && !w.conn.IsClosed() {
		w.rollback() // a statement was refused, and the COMMIT behind it was skipped
		return fmt.Errorf("committing: %w", err)
	}
	w.s.o.Logger.Warn("the answer to a commit was lost", "err", err)
	w.drop()
	return w.solve(mark, err)
}

// solve finds out whether the transaction with this mark was committed. Taking
// the head first waits for its end, if it hasn't ended yet.
func (w *writer) solve(mark int64, lost error) error {
	ctx, cancel := context.WithTimeout(context.Background(), solveTime)
	defer cancel()
	for {
		n, err := w.marked(ctx)
		switch {
		case err == nil && n >= mark:
			w.s.o.Logger.Warn("the commit whose answer was lost is there")
			return nil
		case err == nil:
			return fmt.Errorf("%w: %w", ErrUnreachable, lost)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (w *writer) marked(ctx context.Context) (n int64, err error) {
	if w.conn == nil {
		if w.conn, err = w.s.connect(ctx); err != nil {
			return 0, err
		}
	}
	node := w.s.node
	b := &pgx.Batch{}
	b.Queue("BEGIN")
	b.Queue("SELECT 1 FROM log_head WHERE one = 1 FOR UPDATE")
	b.Queue("SELECT n FROM node_mark WHERE name = $1 AND epoch = $2", node.name, node.epoch).QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
	b.Queue("ROLLBACK")
	if err := w.conn.SendBatch(ctx, b).Close(); err != nil {
		w.drop()
		return 0, err
	}
	return n, nil
}

func (w *writer) drop() {
	if w.conn != nil {
		_ = closeConn(w.conn)
		w.conn = nil
	}
}

// rollback leaves the connection without a transaction, or leaves the connection.
func (w *writer) rollback() {
	if w.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if w.conn.IsClosed() {
		w.drop()
		return
	}
	if w.conn.PgConn().TxStatus() == 'I' {
		return
	}
	if _, err := w.conn.Exec(ctx, "ROLLBACK"); err != nil {
		w.drop()
	}
}

// Write runs fn in the next group commit, and returns once it is durable or undone.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	if s.jobs == nil {
		return store.ErrRead
	}
	select {
	case <-s.quit:
		return store.ErrClosed
	default:
	}
	if err := s.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case s.jobs <- j:
	case <-s.quit:
		return store.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	// From here the writer works with what fn captured: there is no leaving early.
	<-j.done
	return j.err
}
