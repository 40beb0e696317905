// Package sqlite keeps everything of one deployment in one SQLite file: the
// approvals, reviews and credentials, and the audit log's records and tiles, so
// that state and the record of it commit together or not at all.
//
// It promises that an Update which returned nil survives a crash (WAL with
// synchronous=FULL), and that at most one process writes a directory. It
// refuses everything after a commit that failed: what the disk holds then is
// unknown, and a second fsync would only say what one wants to hear.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver named "sqlite"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Errors of a store that can't be used.
var (
	ErrDead   = store.ErrDead
	ErrClosed = store.ErrClosed
	ErrInUse  = store.ErrInUse
	ErrRead   = store.ErrRead
)

const (
	fileName = store.FileName
	poolSize = 8   // connections that read
	maxGroup = 256 // closures of one commit
)

// A Store is an open data directory. It is safe for concurrent use.
type Store struct {
	path    string // of the database
	lock    *os.File
	writeDB *sql.DB
	readDB  *sql.DB
	readers chan *Tx // the idle ones
	pool    int      // how many there are in all

	jobs chan *job     // nil: for reading only
	quit chan struct{} // closed by Close
	done chan struct{} // closed when the writer has ended
	stop func() error  // closes all, once
	dead atomic.Pointer[error]

	ledgerKey []byte // set before the ledger is used

	hookMu sync.Mutex
	hooks  []func(audit.Head) // guarded by hookMu
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Tx    = (*Tx)(nil)
)

// Open opens dir for reading and writing, makes it when it isn't there, and
// migrates its tables. A second process gets ErrInUse.
func Open(ctx context.Context, dir string) (*Store, error) {
	s, err := open(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	return s, nil
}

func newStore() *Store {
	s := &Store{quit: make(chan struct{}), done: make(chan struct{})}
	s.stop = sync.OnceValue(func() error {
		close(s.quit)
		<-s.done
		return s.closeFiles()
	})
	return s
}

func open(ctx context.Context, dir string) (_ *Store, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := newStore()
	s.jobs = make(chan *job)
	if s.lock, err = store.Lock(filepath.Join(dir, "lock")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeFiles())
		}
	}()
	if err := store.Moved(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fileName)
	s.path = path
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // SQLite would make it readable for all
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	if s.writeDB, err = openDB(path, "rw", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-32768)"); err != nil {
		return nil, err
	}
	s.writeDB.SetMaxOpenConns(1)
	if err := quiet(ctx, s.writeDB); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.writeDB); err != nil {
		return nil, err
	}
	if s.readDB, err = openDB(path, "rw", "query_only(1)", "cache_size(-4096)"); err != nil {
		return nil, err
	}
	if err := s.openReaders(ctx); err != nil {
		return nil, err
	}
	w, err := newWriter(ctx, s)
	if err != nil {
		return nil, err
	}
	go w.run()
	return s, nil
}

// OpenReadOnly opens dir without changing a byte of it, beside a running
// process or on a copy. Every Update is refused, and so are tables of a newer
// program.
func OpenReadOnly(ctx context.Context, dir string) (*Store, error) {
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	s := newStore()
	close(s.done)
	var err error
	if s.readDB, err = openDB(path, "ro"); err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	if err = readable(ctx, s.readDB); err != nil {
		_, wal := os.Stat(path + "-wal")
		if !errors.Is(wal, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("opening the store in %s: %w", dir, err), s.readDB.Close())
		}
		// No log beside it and no right to make one: nobody is writing.
		if err := s.readDB.Close(); err != nil {
			return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
		}
		if s.readDB, err = openDB(path, "ro&immutable=1"); err != nil {
			return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
		}
		if err = readable(ctx, s.readDB); err != nil {
			return nil, errors.Join(fmt.Errorf("opening the store in %s: %w", dir, err), s.readDB.Close())
		}
	}
	if err = known(ctx, s.readDB); err == nil {
		err = s.openReaders(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store in %s: %w", dir, err), s.closeFiles())
	}
	return s, nil
}

// known refuses tables of a version that this program doesn't know.
func known(ctx context.Context, db *sql.DB) error {
	var has int64
	if err := db.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&has); err != nil {
		return fmt.Errorf("reading the version of the tables: %w", err)
	}
	return store.Known(migrations, has)
}

func (s *Store) openReaders(ctx context.Context) error {
	s.readers = make(chan *Tx, poolSize)
	for range poolSize {
		conn, err := s.readDB.Conn(ctx)
		if err != nil {
			return err
		}
		s.readers <- &Tx{newStatements(conn)}
		s.pool++
	}
	return nil
}

func readable(ctx context.Context, db *sql.DB) error {
	var n int
	return db.QueryRowContext(ctx, "SELECT count(*) FROM log_head").Scan(&n)
}

func openDB(path, mode string, pragmas ...string) (*sql.DB, error) {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	dsn := u.String() + "?mode=" + mode + "&_pragma=busy_timeout(10000)"
	for _, p := range pragmas {
		dsn += "&_pragma=" + p
	}
	return sql.Open("sqlite", dsn)
}

func migrate(ctx context.Context, db *sql.DB) error { return migrateTo(ctx, db, math.MaxInt64) }

// migrateTo brings the tables to a version, or to the newest where that is older.
func migrateTo(ctx context.Context, db *sql.DB, version int64) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	has, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("reading the version of the tables: %w", err)
	}
	if err := store.Known(migrations, has); err != nil {
		return err
	}
	if _, err := p.UpTo(ctx, version); err != nil {
		return fmt.Errorf("migrating tables: %w", err)
	}
	return nil
}

// Err tells why the store has stopped; nil while it writes.
func (s *Store) Err() error {
	if err := s.dead.Load(); err != nil {
		return *err
	}
	return nil
}

// die makes err the answer to every later Update.
func (s *Store) die(err error) error {
	err = fmt.Errorf("%w: %w", ErrDead, err)
	s.dead.CompareAndSwap(nil, &err)
	return err
}

// OnCommit calls fn with the log's head after each commit that moved it, in
// order, on the writer's goroutine: fn must be quick and must not use Update.
func (s *Store) OnCommit(fn func(audit.Head)) {
	s.hookMu.Lock()
	defer s.hookMu.Unlock()
	s.hooks = append(s.hooks, fn)
}

func (s *Store) committed(h audit.Head) {
	s.hookMu.Lock()
	hooks := s.hooks
	s.hookMu.Unlock()
	for _, fn := range hooks {
		fn(h)
	}
}

// Close waits for the commit and the reads under way and releases the directory.
func (s *Store) Close() error { return s.stop() }

func (s *Store) closeFiles() error {
	var errs []error
	for ; s.pool > 0; s.pool-- {
		tx := <-s.readers
		errs = append(errs, tx.close())
	}
	for _, db := range []*sql.DB{s.readDB, s.writeDB} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
