// Package postgres keeps everything of one deployment in one PostgreSQL
// database, for any number of replicas: each is a process with a lease, and
// their commits are put in order by one row that every writing transaction
// locks first, the log's head. So the index of a record, the state it tells
// about and the new head commit together or not at all, without a gap.
//
// It promises that an Update which returned nil survives a crash of any
// process and of the database. An Update whose answer was lost finds out what
// became of it before it says anything, or says that it doesn't know. A process
// whose lease was taken away writes nothing any more.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
)

// Errors beside those of package store.
var (
	// ErrUnknown says that a commit's answer was lost and the database could not be asked again in time.
	ErrUnknown = errors.New("whether this was written is not known: the database was lost while it committed")
	// ErrFenced says that this process was taken for dead. It may not write again.
	ErrFenced = errors.New("this node's lease has ended: another node was told to take it for dead; start it anew")
	// ErrUnreachable says that nothing was written.
	ErrUnreachable = errors.New("the database can't be reached: nothing was written")
)

// Options say where the database is and who is asking.
type Options struct {
	URL string // without a password
	// Password is asked for each connection; nil: the URL, or PostgreSQL's own means, need none.
	Password func(context.Context) ([]byte, error)
	Schema   string // "": assent
	Node     string // the name of this process among the replicas; "": it may not write
	Lease    time.Duration
	Logger   *slog.Logger
}

const (
	maxGroup  = 256              // closures of one commit
	poolSize  = 8                // connections that read
	askTime   = 15 * time.Second // the longest wait for one answer of the server
	solveTime = 20 * time.Second // the longest wait for what became of a commit
)

// A Store is one process's view of the database. It is safe for concurrent use.
type Store struct {
	o       Options
	connect func(ctx context.Context) (*pgx.Conn, error) // for writing, durably
	pool    *pgxpool.Pool
	node    *node // nil: for reading only

	jobs chan *job
	quit chan struct{} // closed by Close
	stop context.CancelFunc
	work sync.WaitGroup
	once sync.Once
	end  error // of Close; written inside once
	dead atomic.Pointer[error]

	ledgerKey []byte // set before the ledger is used

	mu      sync.Mutex             // guards what follows
	hooks   []func(audit.Head)     // after each commit, ours or another's
	foreign []func([]audit.Record) // what others wrote
	own     []span                 // records of ours that the follower has not passed yet

	telling sync.Mutex // held while hooks are told of a head, so that they hear in order
	told    int64      // size of the newest head they heard of; guarded by telling
}

// A span is records from one index up to but not including another.
type span struct{ from, to int64 }

var (
	_ store.Replicated = (*Store)(nil)
	_ store.Tx         = (*Tx)(nil)
)

// Open connects, makes or brings up to date the tables, and takes a lease for
// this node. It waits for the lease of a node of the same name that was killed.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := newStore(&o)
	if err != nil {
		return nil, fmt.Errorf("opening the PostgreSQL store: %w", err)
	}
	if err := s.open(ctx); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("opening the PostgreSQL store: %w", err)
	}
	return s, nil
}

// OpenReadOnly connects for reading. Every Update is refused, and so are tables
// of a newer program.
func OpenReadOnly(ctx context.Context, o Options) (*Store, error) {
	o.Node = ""
	s, err := newStore(&o)
	if err != nil {
		return nil, fmt.Errorf("opening the PostgreSQL store: %w", err)
	}
	db := stdlib.OpenDBFromPool(s.pool)
	has, err := s.version(ctx, db)
	if err = errors.Join(err, db.Close()); err == nil {
		err = store.Known(migrations, has)
	}
	if err == nil {
		_, err = s.Head(ctx)
	}
	if err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("opening the PostgreSQL store: %w", err)
	}
	return s, nil
}

func newStore(o *Options) (*Store, error) {
	if o.Schema == "" {
		o.Schema = "assent"
	}
	if o.Lease == 0 {
		o.Lease = defaultLease
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{o: *o, quit: make(chan struct{})}
	return s, s.configure()
}

func (s *Store) open(ctx context.Context) error {
	if s.o.Node == "" || len(s.o.Node) > 100 {
		return errors.New("this node needs a name of at most 100 bytes: node: in the configuration")
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return err
	}
	err = s.migrate(ctx, conn)
	if err == nil {
		s.node, err = s.register(ctx, conn)
	}
	if err != nil {
		return errors.Join(err, closeConn(conn))
	}
	head, err := s.Head(ctx)
	if err != nil {
		return errors.Join(err, closeConn(conn))
	}
	run, stop := context.WithCancel(context.Background())
	s.stop, s.jobs = stop, make(chan *job)
	w := &writer{s: s, conn: conn, head: head}
	s.work.Go(w.run)
	s.work.Go(func() { s.keep(run) })
	s.work.Go(func() { s.follow(run, head.Size) })
	return nil
}

// Err tells why the store has stopped; nil while it writes.
func (s *Store) Err() error {
	if err := s.dead.Load(); err != nil {
		return *err
	}
	if s.node == nil {
		return nil
	}
	return s.node.late()
}

// die makes err the answer to every later Update.
func (s *Store) die(err error) error {
	err = fmt.Errorf("%w: %w", store.ErrDead, err)
	s.dead.CompareAndSwap(nil, &err)
	return *s.dead.Load()
}

// OnCommit implements store.Store.
func (s *Store) OnCommit(fn func(audit.Head)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, fn)
}

// OnForeign implements store.Replicated.
func (s *Store) OnForeign(fn func([]audit.Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.foreign = append(s.foreign, fn)
}

// committed tells of a commit of ours that moved the head from from.
func (s *Store) committed(from int64, h audit.Head) {
	s.mu.Lock()
	if n := len(s.own); n > 0 && s.own[n-1].to == from {
		s.own[n-1].to = h.Size
	} else {
		s.own = append(s.own, span{from, h.Size})
	}
	s.mu.Unlock()
	s.tell(h)
}

// tell tells of a durable head, unless a newer one was told of.
func (s *Store) tell(h audit.Head) {
	s.mu.Lock()
	hooks := s.hooks
	s.mu.Unlock()
	s.telling.Lock()
	defer s.telling.Unlock()
	if h.Size <= s.told {
		return
	}
	s.told = h.Size
	for _, fn := range hooks {
		fn(h)
	}
}

// Close waits for the commit under way, gives the lease back and disconnects.
func (s *Store) Close() error {
	s.once.Do(func() {
		close(s.quit)
		if s.stop != nil {
			s.stop()
		}
		s.work.Wait()
		s.end = s.release()
		s.pool.Close()
	})
	return s.end
}

func closeConn(c *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return c.Close(ctx)
}
