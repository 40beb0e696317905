package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/audit"
)

const (
	pollEvery = 500 * time.Millisecond // in case a notification is lost
	followMax = 1000                   // records told at a time
)

// follow tells what other nodes appended to the log, from an index on. Indexes
// have no gap and are visible in order, so nothing is missed; a notification
// only makes it look sooner.
func (s *Store) follow(ctx context.Context, seen int64) {
	var conn *pgx.Conn
	drop := func() {
		if conn != nil {
			_ = closeConn(conn)
			conn = nil
		}
	}
	defer drop()
	for ctx.Err() == nil {
		err := func() (err error) {
			if conn == nil {
				if conn, err = s.connect(ctx); err != nil {
					return err
				}
				if _, err := conn.Exec(ctx, `LISTEN "`+s.channel()+`"`); err != nil {
					return err
				}
			}
			if seen, err = s.catchUp(ctx, conn, seen); err != nil {
				return err
			}
			wait, cancel := context.WithTimeout(ctx, pollEvery)
			defer cancel()
			_, err = conn.WaitForNotification(wait)
			if err != nil && wait.Err() != nil && !conn.IsClosed() {
				return nil
			}
			return err
		}()
		if err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("following the log", "err", err)
			drop()
			select {
			case <-ctx.Done():
			case <-time.After(pollEvery):
			}
		}
	}
}

// catchUp tells the records from seen on, and returns up to where it told.
func (s *Store) catchUp(ctx context.Context, conn *pgx.Conn, seen int64) (int64, error) {
	s.mu.Lock()
	hooks := slices.Clone(s.foreign)
	s.mu.Unlock()
	if len(hooks) == 0 {
		return seen, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for {
		head, err := scanHead(conn.QueryRow(ctx, selectHead))
		if err != nil || head.Size <= seen {
			return seen, err
		}
		s.tell(head)
		to := min(head.Size, seen+followMax)
		rows, err := conn.Query(ctx, `SELECT idx, leaf FROM log_record WHERE idx >= $1 AND idx < $2
			AND (approval <> '' OR about <> '' OR token <> '') ORDER BY idx`, seen, to)
		if err != nil {
			return seen, err
		}
		var recs []audit.Record
		for rows.Next() {
			var index int64
			var leaf []byte
			if err := rows.Scan(&index, &leaf); err != nil {
				rows.Close()
				return seen, err
			}
			if s.isOwn(index) {
				continue
			}
			r, err := decodeRecord(leaf)
			if err != nil { // verifying the log says so too, and stops the node
				s.o.Logger.Error("following the log", "record", index, "err", err)
				continue
			}
			recs = append(recs, r)
		}
		if err := rows.Err(); err != nil {
			return seen, err
		}
		if len(recs) > 0 {
			for _, fn := range hooks {
				fn(recs)
			}
		}
		seen = to
		s.passed(seen)
	}
}

func (s *Store) isOwn(index int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.own {
		if index >= o.from && index < o.to {
			return true
		}
	}
	return false
}

// passed forgets our own records up to an index.
func (s *Store) passed(to int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own = slices.DeleteFunc(s.own, func(o span) bool { return o.to <= to })
}
