package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
)

// A catalog keeps one snapshot of the catalogue for each database. It reads over
// connections of its own, so it never disturbs a session and never sees what has
// not been committed.
type catalog struct {
	g         *Gate
	databases sync.Map // name to *database
	types     typeSets
	// changes counts what may have changed a schema through this gate.
	changes atomic.Int64
}

// A database is the newest snapshot of one database, and the load under way.
type database struct {
	newest atomic.Pointer[checked]

	mu      sync.Mutex
	loading *loading // nil: nobody loads
}

// checked is a snapshot with the time and the change count at which the server was last
// asked whether it still holds.
type checked struct {
	*snapshot
	at      time.Time
	changes int64
}

// A loading is one look at the server that several requests wait for.
type loading struct {
	done    chan struct{}
	changes int64 // as they were before the server was asked
	result  *checked
	err     error
}

// catalogFor is how long a snapshot is believed that another way than this gate
// may have made old; catalogWait bounds one look at the server.
const (
	catalogFor  = 30 * time.Second
	catalogWait = 20 * time.Second
)

// forget makes the next request ask the server whether the snapshot still holds:
// what may have changed a schema went through this gate.
func (c *catalog) forget() { c.changes.Add(1) }

// current returns a snapshot of database that holds everything committed through
// this gate, and what others committed more than catalogFor ago.
func (c *catalog) current(ctx context.Context, name string) (*snapshot, error) {
	d, is := c.databases.Load(name)
	if !is {
		d, _ = c.databases.LoadOrStore(name, &database{})
	}
	return c.of(ctx, d.(*database), name)
}

func (c *catalog) of(ctx context.Context, d *database, name string) (*snapshot, error) {
	need := c.changes.Load()
	for {
		have := d.newest.Load()
		if have != nil && have.changes >= need && time.Since(have.at) < catalogFor {
			return have.snapshot, nil
		}
		d.mu.Lock()
		l := d.loading
		if l == nil { // this request loads for all
			l = &loading{done: make(chan struct{}), changes: c.changes.Load()}
			d.loading = l
			d.mu.Unlock()
			c.load(ctx, d, name, l)
		} else {
			d.mu.Unlock()
			select {
			case <-l.done:
			case <-ctx.Done():
				return nil, fmt.Errorf("reading the catalogue: %w", ctx.Err())
			}
		}
		switch {
		case l.changes < need: // it may have looked before the change
		case l.err == nil:
			return l.result.snapshot, nil
		case ctx.Err() != nil || !errors.Is(l.err, context.Canceled): // another request's end is not ours
			return nil, l.err
		}
	}
}

// load asks the server and wakes those who wait.
func (c *catalog) load(ctx context.Context, d *database, name string, l *loading) {
	ctx, cancel := context.WithTimeout(ctx, catalogWait)
	defer cancel()
	at := time.Now()
	s, err := c.look(ctx, name, d.newest.Load())
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = errors.Join(err, cause)
		}
		l.err = fmt.Errorf("reading the catalogue: %w", err)
	} else {
		l.result = &checked{snapshot: s, at: at, changes: l.changes}
		d.newest.Store(l.result)
	}
	d.mu.Lock()
	d.loading = nil
	d.mu.Unlock()
	close(l.done)
}

// look returns old if the server's catalogue is still what it was, or a new snapshot.
func (c *catalog) look(ctx context.Context, name string, old *checked) (*snapshot, error) {
	l := &loader{g: c.g, ctx: ctx, database: name}
	defer l.close()
	version, err := l.version()
	if err != nil {
		return nil, err
	}
	if old != nil && old.version == version {
		return old.snapshot, nil
	}
	return l.snapshot(version)
}

// source says where a column comes from that a row description carries as OID and number. What the snapshot lacks (it was made a moment ago, or is temporary) is looked up.
func (c *catalog) source(ctx context.Context, name string, oid uint32, number int) (action.Column, error) {
	s, err := c.current(ctx, name)
	if err != nil {
		return action.Column{}, err
	}
	if r := s.relations[oid]; r != nil {
		return s.column(r, number)
	}
	if oid < firstUserType {
		return action.Column{}, nil
	}
	l := &loader{g: c.g, ctx: ctx, database: name}
	defer l.close()
	rows, err := l.query("SELECT c.relname, a.attname FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid WHERE c.oid = "+
		strconv.FormatUint(uint64(oid), 10)+" AND a.attnum = "+strconv.Itoa(number), 2)
	if err != nil {
		return action.Column{}, fmt.Errorf("reading the catalogue: %w", err)
	}
	var col action.Column
	for _, row := range rows {
		col.Sources = append(col.Sources, string(row[0])+"."+string(row[1]))
	}
	return col, nil
}

// login opens a connection of the gate's own, read-only.
func (g *Gate) login(ctx context.Context, database string) (net.Conn, *bufio.Reader, error) {
	raw, err := g.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = raw.SetDeadline(deadline)
	}
	conn, err := g.secure(ctx, raw)
	if err != nil {
		return nil, nil, errors.Join(err, raw.Close())
	}
	r := bufio.NewReader(conn)
	start := startupFrame("user", g.cfg.Upstream.User, "database", database, "client_encoding", "UTF8", "standard_conforming_strings", "on",
		"application_name", "assent catalogue", "default_transaction_read_only", "on", "search_path", "pg_catalog")
	if _, err = conn.Write(start); err == nil {
		err = g.prove(ctx, conn, r)
	}
	for err == nil {
		var f frame
		if f, err = readFrame(r, nil, g.cfg.MaxMessage); err != nil {
			break
		}
		switch f.kind() {
		case 'Z':
			return conn, r, nil
		case 'E':
			err = errors.New("the system refused the gate's login")
		}
	}
	return nil, nil, errors.Join(err, conn.Close())
}
