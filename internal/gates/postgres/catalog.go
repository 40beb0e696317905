package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// A catalog knows the names behind the relation OIDs that the server's row
// descriptions carry. It reads them over connections of its own, so it never
// disturbs a session, and never sees what another transaction has not committed.
type catalog struct {
	load func(ctx context.Context, database string, table uint32) (map[int]string, error)

	mu   sync.Mutex
	seen map[catalogKey]catalogEntry
}

type catalogKey struct {
	database string
	table    uint32
}

type catalogEntry struct {
	columns map[int]string // attribute number → schema.table.column
	until   time.Time
}

// How long names are believed, and that there are none. A renamed column keeps
// its old name this long; its class comes from its values meanwhile.
const (
	catalogFor   = time.Minute
	catalogMiss  = 5 * time.Second
	catalogLimit = 10_000
)

// source names a column, or reports that it can't.
func (c *catalog) source(ctx context.Context, database string, table uint32, attribute int) (string, bool) {
	key := catalogKey{database, table}
	c.mu.Lock()
	entry, is := c.seen[key]
	c.mu.Unlock()
	if _, found := entry.columns[attribute]; !is || time.Now().After(entry.until) || !found && time.Now().Add(catalogMiss).Before(entry.until) && len(entry.columns) > 0 {
		columns, err := c.load(ctx, database, table)
		entry = catalogEntry{columns, time.Now().Add(catalogFor)}
		if err != nil || len(columns) == 0 {
			entry.until = time.Now().Add(catalogMiss)
		}
		c.mu.Lock()
		if c.seen == nil || len(c.seen) >= catalogLimit {
			c.seen = map[catalogKey]catalogEntry{}
		}
		c.seen[key] = entry
		c.mu.Unlock()
	}
	name, ok := entry.columns[attribute]
	return name, ok
}

// columnsOf reads the columns of one relation over a connection of its own.
func (g *Gate) columnsOf(ctx context.Context, database string, table uint32) (map[int]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, r, err := g.login(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w", err)
	}
	defer conn.Close()
	query := "SELECT a.attnum, n.nspname || '.' || c.relname || '.' || a.attname FROM pg_catalog.pg_attribute a " +
		"JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " +
		"WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = " + strconv.FormatUint(uint64(table), 10)
	m := appendFrame(nil, 'Q', cstr(query))
	if _, err := conn.Write(appendFrame(m, 'X')); err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w", err)
	}
	out := map[int]string{}
	for {
		f, err := readFrame(r, nil, g.cfg.MaxMessage)
		if err != nil {
			return nil, fmt.Errorf("reading the catalogue: %w", err)
		}
		switch f.kind() {
		case 'D':
			w := walker{b: f.body()}
			w.u16()
			number, name := w.value(), w.value()
			n, err := strconv.Atoi(string(number))
			if err != nil || !w.done() {
				return nil, errRow
			}
			out[n] = string(name)
		case 'E':
			return nil, errors.New("reading the catalogue: the system refused")
		case 'Z':
			return out, nil
		}
	}
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
	start := startupFrame("user", g.cfg.Upstream.User, "database", database, "client_encoding", "UTF8",
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
