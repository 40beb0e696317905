package remote

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// A ledger is what a link knows of the control plane's. While the link is down and the
// lease is not over, it goes by that, and owes what is counted meanwhile: it is paid before the
// next lease. A process that ends in between owes nobody: what it read in its last ten seconds isn't
// counted, and stands in its traffic.
type ledger struct {
	mu    sync.Mutex // guards what follows
	known map[account]map[int64]*sums
	debts map[debt]*summing
}

// An account is whose rows of what.
type account struct{ subject, resource string }

type debt struct {
	account
	class string
	hour  int64
}

const maxAccounts = 10_000

// away reports whether err says that nobody answered, and a lease is still in force.
func (l *Link) away(err error) bool {
	var answered *AnswerError
	return err != nil && !errors.As(err, &answered) && l.Serving() == nil
}

// AddRows adds to the ledger of the control plane.
func (l *Link) AddRows(ctx context.Context, subject, class, resource string, at time.Time, rows, bytes int64) error {
	in := summing{Subject: subject, Class: class, Resource: resource, At: at, Rows: rows, Bytes: bytes}
	err := l.Call(ctx, "add", in, &nothing{})
	away := l.away(err)
	if err != nil && !away {
		return err
	}
	g := &l.ledger
	g.mu.Lock()
	defer g.mu.Unlock()
	a := account{subject, resource}
	for since, s := range g.known[a] {
		if since <= at.Unix() {
			s.Rows[class] += rows
			s.Bytes[class] += bytes
		}
	}
	if !away {
		return nil
	}
	if len(g.debts) >= maxAccounts {
		return err
	}
	k := debt{a, class, at.Unix() / 3600}
	if d := g.debts[k]; d != nil {
		d.Rows, d.Bytes = d.Rows+rows, d.Bytes+bytes
		return nil
	}
	if g.debts == nil {
		g.debts = map[debt]*summing{}
	}
	g.debts[k] = &in
	return nil
}

// SumRows asks the ledger of the control plane.
func (l *Link) SumRows(ctx context.Context, subject, resource string, since time.Time) (rows, bytes map[string]int64, err error) {
	var out sums
	err = l.Call(ctx, "sum", summing{Subject: subject, Resource: resource, At: since}, &out)
	g := &l.ledger
	g.mu.Lock()
	defer g.mu.Unlock()
	a := account{subject, resource}
	if err != nil {
		if s := g.known[a][since.Unix()]; s != nil && l.away(err) {
			return maps.Clone(s.Rows), maps.Clone(s.Bytes), nil
		}
		return nil, nil, err
	}
	if out.Rows == nil {
		out.Rows = map[string]int64{}
	}
	if out.Bytes == nil {
		out.Bytes = map[string]int64{}
	}
	if g.known == nil || len(g.known) >= maxAccounts {
		g.known = map[account]map[int64]*sums{}
	}
	if g.known[a] == nil || len(g.known[a]) > 8 {
		g.known[a] = map[int64]*sums{}
	}
	g.known[a][since.Unix()] = &sums{Rows: maps.Clone(out.Rows), Bytes: maps.Clone(out.Bytes)}
	return out.Rows, out.Bytes, nil
}

// payDebts brings the control plane's ledger up to what was counted without it.
func (l *Link) payDebts(ctx context.Context) error {
	g := &l.ledger
	for {
		g.mu.Lock()
		var k debt
		var in summing
		found := false
		for key, d := range g.debts {
			k, in, found = key, *d, true
			break
		}
		if found {
			delete(g.debts, k)
		}
		g.mu.Unlock()
		if !found {
			return nil
		}
		if err := l.Call(ctx, "add", in, &nothing{}); err != nil {
			var answered *AnswerError
			if errors.As(err, &answered) {
				l.o.Log.Warn("the control plane doesn't take what was counted without it", "err", err)
				continue
			}
			g.mu.Lock()
			if d := g.debts[k]; d != nil {
				d.Rows, d.Bytes = d.Rows+in.Rows, d.Bytes+in.Bytes
			} else {
				g.debts[k] = &in
			}
			g.mu.Unlock()
			return err
		}
	}
}
