package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// A job is one closure on its way through the writer.
type job struct {
	ctx  context.Context
	fn   func(*Tx) error
	err  error
	done chan struct{}
}

// A writer owns the one connection that writes. Closures that arrive while it
// works share the next commit, each within a savepoint of its own.
type writer struct {
	s     *Store
	conn  *sql.Conn
	tx    *Tx
	head  audit.Head
	group []*job
}

func newWriter(ctx context.Context, s *Store) (*writer, error) {
	conn, err := s.writeDB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	var mode string
	var sync int
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&sync); err != nil {
		return nil, err
	}
	if mode != "wal" || sync != 2 {
		return nil, fmt.Errorf("SQLite runs with journal_mode=%s and synchronous=%d: commits would not be durable", mode, sync)
	}
	w := &writer{s: s, conn: conn, tx: &Tx{newStatements(conn)}}
	w.head, err = w.tx.Head(ctx)
	return w, err
}

func (w *writer) run() {
	defer func() {
		if err := w.tx.close(); err != nil {
			_ = w.s.die(err)
		}
		close(w.s.done)
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
	head, err := w.transact()
	if err != nil {
		err = w.s.die(err)
	}
	for _, j := range w.group {
		if err != nil {
			j.err = err
		}
		close(j.done)
	}
	if err == nil && head != w.head {
		w.head = head
		w.s.committed(head)
	}
}

func (w *writer) transact() (audit.Head, error) {
	if err := w.s.Err(); err != nil {
		return audit.Head{}, err
	}
	if err := w.exec("BEGIN IMMEDIATE"); err != nil {
		return audit.Head{}, err
	}
	for i := 0; i < len(w.group); i++ {
		if err := w.savepoint(w.group[i]); err != nil {
			return audit.Head{}, errors.Join(err, w.exec("ROLLBACK"))
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
	head, err := w.tx.Head(context.Background())
	if err != nil {
		return head, errors.Join(err, w.exec("ROLLBACK"))
	}
	return head, w.exec("COMMIT")
}

// savepoint runs one closure; its own error undoes only itself. The error that
// is returned is about the transaction: SQLite ends it by itself when a disk is
// full or broken, and then the savepoint isn't there any more.
func (w *writer) savepoint(j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil
	}
	if err := w.exec("SAVEPOINT one"); err != nil {
		return err
	}
	if j.err = call(j.fn, w.tx); j.err != nil {
		if err := w.exec("ROLLBACK TO one"); err != nil {
			return errors.Join(j.err, err)
		}
	}
	return w.exec("RELEASE one")
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

func (w *writer) exec(query string) error {
	if _, err := w.tx.exec(context.Background(), query); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

// Write runs fn in the next group commit, and returns once it is durable or undone.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	if s.jobs == nil {
		return ErrRead
	}
	if err := s.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case <-s.quit:
		return ErrClosed
	default:
	}
	select {
	case s.jobs <- j:
	case <-s.quit:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	// From here the writer works with what fn captured: there is no leaving early.
	<-j.done
	return j.err
}

// Read runs fn on one snapshot.
func (s *Store) Read(ctx context.Context, fn func(*Tx) error) (err error) {
	var tx *Tx
	select {
	case <-s.quit:
		return ErrClosed
	case tx = <-s.readers:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { s.readers <- tx }()
	if _, err := tx.exec(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("beginning to read: %w", err)
	}
	defer func() {
		_, end := tx.exec(ctx, "ROLLBACK")
		err = errors.Join(err, end)
	}()
	return fn(tx)
}

// Update implements approval.Store.
func (s *Store) Update(ctx context.Context, fn func(approval.Tx) error) error {
	return s.Write(ctx, func(tx *Tx) error { return fn(tx) })
}

// View implements approval.Store.
func (s *Store) View(ctx context.Context, fn func(approval.Tx) error) error {
	return s.Read(ctx, func(tx *Tx) error { return fn(tx) })
}

// UpdateTokens implements identity.TokenStore.
func (s *Store) UpdateTokens(ctx context.Context, fn func(identity.TokenTx) error) error {
	return s.Write(ctx, func(tx *Tx) error { return fn(tx) })
}

// ViewTokens implements identity.TokenStore.
func (s *Store) ViewTokens(ctx context.Context, fn func(identity.TokenTx) error) error {
	return s.Read(ctx, func(tx *Tx) error { return fn(tx) })
}

// statements prepares each query of a connection once. One goroutine at a time uses it.
type statements struct {
	conn   *sql.Conn
	byText map[string]*sql.Stmt
}

func newStatements(conn *sql.Conn) *statements {
	return &statements{conn: conn, byText: map[string]*sql.Stmt{}}
}

// close ends the statements before their connection: SQLite keeps the files of
// one with statements open, and with them those of all others to the database.
func (p *statements) close() error {
	var errs []error
	for _, st := range p.byText {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, p.conn.Close())...)
}

func (p *statements) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if st := p.byText[query]; st != nil {
		return st, nil
	}
	st, err := p.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("preparing a statement: %w", err)
	}
	p.byText[query] = st
	return st, nil
}
