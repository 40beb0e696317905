package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	defaultLease = 6 * time.Second
	beatEvery    = time.Second
	notifyEvery  = 5 * time.Millisecond // NOTIFY inside each transaction would halve their rate
)

// ErrNodeInUse says that another process has this node's name.
var ErrNodeInUse = errors.New("another process serves under this node's name")

// A node is this process among the replicas: a row with a lease. Who holds the
// lease may write; others take it away when it has not been renewed in time.
type node struct {
	s     *Store
	name  string
	epoch int64
	wake  chan struct{} // something was committed

	mu    sync.Mutex
	last  time.Time // when the newest renewal that succeeded was sent
	since time.Time // since when renewals have succeeded without a gap
}

// Node implements store.Replicated.
func (s *Store) Node() string {
	if s.node == nil {
		return ""
	}
	return nodeID(s.node.name, s.node.epoch)
}

// First implements store.Replicated.
func (s *Store) First() bool { return s.node != nil && s.node.epoch == 1 }

func nodeID(name string, epoch int64) string { return name + "/" + strconv.FormatInt(epoch, 10) }

// register takes a lease under this node's name, in an epoch of its own. A
// living node of that name is not disturbed; one that was killed is waited for.
func (s *Store) register(ctx context.Context, conn *pgx.Conn) (*node, error) {
	var first time.Time
	for {
		epoch, beat, err := s.tryRegister(ctx, conn)
		if err != nil {
			return nil, fmt.Errorf("registering node %s: %w", s.o.Node, err)
		}
		if epoch > 0 {
			now := time.Now()
			return &node{s: s, name: s.o.Node, epoch: epoch, wake: make(chan struct{}, 1), last: now, since: now}, nil
		}
		if first.IsZero() {
			s.o.Logger.Info("waiting for the lease of an earlier process to end", "node", s.o.Node)
			first = beat
		}
		if !beat.Equal(first) {
			return nil, fmt.Errorf("registering node %s: %w: give each replica a name of its own (node: in the configuration)", s.o.Node, ErrNodeInUse)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// tryRegister returns the new epoch, or 0 and the last beat of who holds the name.
func (s *Store) tryRegister(ctx context.Context, conn *pgx.Conn) (epoch int64, beat time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// With the head taken no transaction of the earlier process is under way, and none can follow.
		if _, err := tx.Exec(ctx, "SELECT 1 FROM log_head WHERE one = 1 FOR UPDATE"); err != nil {
			return err
		}
		var newest int64
		var live bool
		err := tx.QueryRow(ctx, `SELECT epoch, beat, NOT ended AND beat > clock_timestamp() - make_interval(secs => $2)
			FROM node WHERE name = $1 ORDER BY epoch DESC LIMIT 1`, s.o.Node, s.o.Lease.Seconds()).Scan(&newest, &beat, &live)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if live {
			return nil
		}
		epoch = newest + 1
		b := &pgx.Batch{}
		b.Queue("UPDATE node SET ended = true WHERE name = $1", s.o.Node)
		b.Queue("INSERT INTO node (name, epoch, started, beat) VALUES ($1, $2, clock_timestamp(), clock_timestamp())", s.o.Node, epoch)
		b.Queue("INSERT INTO node_mark (name, epoch, n) VALUES ($1, $2, 0)", s.o.Node, epoch)
		return tx.SendBatch(ctx, b).Close()
	})
	return epoch, beat, err
}

// late says that the lease has not been renewed in time: others may have taken it.
func (n *node) late() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if gap := time.Since(n.last); gap > n.s.o.Lease {
		return fmt.Errorf("%w: the lease of node %s was last renewed %s ago", ErrUnreachable, n.name, gap.Round(time.Second))
	}
	return nil
}

func (n *node) renewed(sent time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if sent.Sub(n.last) > n.s.o.Lease {
		n.since = sent
	}
	n.last = sent
}

// steady reports whether this node has been in touch for so long that whoever
// else lives has been too: after an outage everybody looks dead at first.
func (n *node) steady() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last.Sub(n.since) > n.s.o.Lease+beatEvery && time.Since(n.last) < n.s.o.Lease/2
}

// notify has the other nodes look at the log soon.
func (n *node) notify() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// keep renews the lease and wakes the other nodes, on a connection of its own.
func (s *Store) keep(ctx context.Context) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			_ = closeConn(conn)
		}
	}()
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		var err error
		if conn == nil {
			if conn, err = s.connect(ctx); err == nil {
				err = s.beat(ctx, conn)
			}
		} else {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				err = s.beat(ctx, conn)
			case <-s.node.wake:
				err = s.wakeOthers(ctx, conn)
			}
		}
		switch {
		case errors.Is(err, ErrFenced):
			_ = s.die(err)
			s.o.Logger.Error("this node's lease was taken away", "node", s.Node())
			return
		case err != nil && ctx.Err() == nil:
			s.o.Logger.Warn("renewing the lease", "node", s.Node(), "err", err)
			if conn != nil {
				_ = closeConn(conn)
				conn = nil
			}
			select {
			case <-ctx.Done():
			case <-time.After(beatEvery / 4):
			}
		}
	}
}

func (s *Store) beat(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Lease/2)
	defer cancel()
	sent := time.Now()
	tag, err := conn.Exec(ctx, "UPDATE node SET beat = clock_timestamp() WHERE name = $1 AND epoch = $2 AND NOT ended", s.node.name, s.node.epoch)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != 1 {
		return ErrFenced
	}
	s.node.renewed(sent)
	return nil
}

func (s *Store) channel() string { return "assent_" + s.o.Schema }

func (s *Store) wakeOthers(ctx context.Context, conn *pgx.Conn) error {
	actx, cancel := context.WithTimeout(ctx, s.o.Lease/2)
	defer cancel()
	if _, err := conn.Exec(actx, "SELECT pg_notify($1, '')", s.channel()); err != nil {
		return err
	}
	select { // the next commits share one
	case <-ctx.Done():
	case <-time.After(notifyEvery):
	}
	return nil
}

// Fence implements store.Replicated. What a node had under way when it was
// fenced can't commit any more: it is done with the head in hand.
func (s *Store) Fence(ctx context.Context) (int, error) {
	if s.node == nil || !s.node.steady() {
		return 0, nil
	}
	const silent = "NOT ended AND beat < clock_timestamp() - make_interval(secs => $1)"
	var found int64
	err := s.Read(ctx, func(tx *Tx) error {
		_, err := tx.one("SELECT count(*) FROM node WHERE "+silent, []any{s.o.Lease.Seconds()}, &found)
		return err
	})
	if err == nil && found > 0 {
		err = s.Write(ctx, func(tx *Tx) (err error) {
			found, err = tx.exec("UPDATE node SET ended = true WHERE "+silent, s.o.Lease.Seconds())
			return err
		})
	}
	if err != nil {
		return 0, fmt.Errorf("looking for nodes that are gone: %w", err)
	}
	return int(found), nil
}

// Gone implements store.Replicated.
func (s *Store) Gone(ctx context.Context) (func(node string) bool, error) {
	live := map[string]bool{}
	err := s.Read(ctx, func(tx *Tx) error {
		return tx.query("SELECT name, epoch FROM node WHERE NOT ended", nil, func(rows pgx.Row) error {
			var name string
			var epoch int64
			err := rows.Scan(&name, &epoch)
			live[nodeID(name, epoch)] = true
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("looking for nodes: %w", err)
	}
	return func(node string) bool { return !live[node] }, nil
}

// Clock implements store.Replicated.
func (s *Store) Clock(ctx context.Context) (at time.Time, err error) {
	err = s.Read(ctx, func(tx *Tx) error {
		_, err := tx.one("SELECT clock_timestamp()", nil, &at)
		return err
	})
	if err != nil {
		return at, fmt.Errorf("asking the database for the time: %w", err)
	}
	return at, nil
}

// release gives the lease back.
func (s *Store) release() error {
	if s.node == nil || s.dead.Load() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, err := s.pool.Exec(ctx, "UPDATE node SET ended = true WHERE name = $1 AND epoch = $2", s.node.name, s.node.epoch)
	if said := (*pgconn.PgError)(nil); err != nil && !errors.As(err, &said) {
		return nil // the database is away: the lease ends by itself
	}
	return err
}

// FenceNode takes the lease from every process of a name, as Fence does from silent ones.
func (tx *Tx) FenceNode(name string) error {
	_, err := tx.exec("UPDATE node SET ended = true WHERE name = $1", name)
	return err
}
