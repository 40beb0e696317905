package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A fate is what a client was told of what it wanted to write.
type fate int8

const (
	lost    fate = iota // no answer, or one that says that nobody knows
	acked               // it is done
	refused             // it is not done: denied, expired, called off, rolled back
)

// fateOf reads an answer. An error after which the connection goes on is the
// server's or the gate's word that nothing was done; anything else is no word.
func fateOf(err error) fate {
	var e *pgconn.PgError
	switch {
	case err == nil:
		return acked
	case errors.As(err, &e) && e.Severity == "ERROR", errors.Is(err, pgx.ErrTxCommitRollback):
		return refused
	}
	return lost
}

// A group is rows that one statement, pipeline or transaction writes: all of
// them or none, and never twice.
type group struct {
	id   int64
	rows int
	fate fate
	what string // which kind of load wrote it, for the error
}

// A ledger is what clients were told, kept by this process: what dies takes none of it along.
type ledger struct {
	mu     sync.Mutex
	groups []group
	counts map[string]int64 // answers by kind of load and outcome
	broken []string         // what must not be
	quiet  time.Time        // until then a lost connection has a reason
}

// begin notes rows that are about to be written, and returns their group's id.
func (l *ledger) begin(what string, rows int) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups = append(l.groups, group{id: int64(len(l.groups)) + 1, rows: rows, what: what})
	return int64(len(l.groups))
}

func (l *ledger) settle(id int64, f fate) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups[id-1].fate = f
}

func (l *ledger) count(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[name]++
}

func (l *ledger) violated(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.broken) < 100 {
		l.broken = append(l.broken, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// fault says that something is about to be broken on purpose, and connections may be lost for a while.
func (l *ledger) fault(name string, lasts time.Duration) {
	l.count("fault " + name)
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(lasts); until.After(l.quiet) {
		l.quiet = until
	}
}

// excused reports whether something was broken since: what broke a statement that
// waited is heard when the wait ends.
func (l *ledger) excused(since time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return since.Before(l.quiet)
}

// sum adds up the counts whose name begins with prefix.
func (l *ledger) sum(prefix string) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, c := range l.counts {
		if strings.HasPrefix(name, prefix) {
			n += c
		}
	}
	return n
}

func (l *ledger) written() (byFate [3]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, g := range l.groups {
		byFate[g.fate]++
	}
	return byFate
}

// table prints what was asked and how it was answered.
func (l *ledger) table() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(l.counts)) {
		fmt.Printf("  %-46s %9d\n", name, l.counts[name])
	}
}

// settled holds the ledger against what the database has.
func (s *soak) settled(ctx context.Context) error {
	rows, err := s.admin(ctx).Query(ctx, `SELECT g, count(*), count(DISTINCT k) FROM
		(SELECT g, k FROM flow UNION ALL SELECT g, k FROM asked UNION ALL SELECT g, k FROM refused UNION ALL SELECT g, k FROM late) r GROUP BY g`)
	if err != nil {
		return err
	}
	type found struct{ rows, distinct int }
	have := map[int64]found{}
	for rows.Next() {
		var g int64
		var f found
		if err := rows.Scan(&g, &f.rows, &f.distinct); err != nil {
			return err
		}
		have[g] = f
	}
	if rows.Err() != nil {
		return rows.Err()
	}
	l := s.ledger
	for _, g := range l.groups {
		f := have[g.id]
		delete(have, g.id)
		switch {
		case f.rows != f.distinct:
			l.violated("%s, group %d: %d rows are there %d times: something ran twice", g.what, g.id, f.distinct, f.rows)
		case g.fate == acked && f.rows != g.rows:
			l.violated("%s, group %d was acknowledged with %d rows; the database has %d", g.what, g.id, g.rows, f.rows)
		case g.fate == refused && f.rows != 0:
			l.violated("%s, group %d was refused, and %d rows of it are in the database", g.what, g.id, f.rows)
		case f.rows != 0 && f.rows != g.rows:
			l.violated("%s, group %d: %d of %d rows, half of what belongs together", g.what, g.id, f.rows, g.rows)
		}
	}
	for id := range have {
		l.violated("group %d is in the database and nobody wrote it", id)
	}
	var never, kept int
	err = s.admin(ctx).QueryRow(ctx, "SELECT (SELECT count(*) FROM refused) + (SELECT count(*) FROM late), (SELECT count(*) FROM big)").Scan(&never, &kept)
	if err != nil {
		return err
	}
	if never != 0 {
		l.violated("%d rows were written that a person had refused, or that nobody had answered in time", never)
	}
	if kept != bigRows {
		l.violated("big has %d rows and had %d: a denied DELETE ran", kept, bigRows)
	}
	return nil
}
