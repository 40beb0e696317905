package postgres

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// Reading a parameter runs its type's input function: a domain's check, an extension's
// C code, a range's comparison. What users build from parts that are the server's own
// runs nothing of theirs: enums, and rows, arrays and ranges of such types.

// firstUserType is the first OID that CREATE gives out (FirstNormalObjectId).
const firstUserType = 16384

// typeSet is a set of types in a database.
type typeSet struct{ database, oids string }

// typeSets are those that were found inert, with when and at which count of changes.
type typeSets struct {
	mu    sync.Mutex
	found map[typeSet]inertSince
}

type inertSince struct {
	at      time.Time
	changes int64
}

const maxTypeSets = 1000

// inert reports whether reading values of these types runs only the server's own code.
// A type that has not been committed yet is not seen, so it is not inert.
func (c *catalog) inert(ctx context.Context, database string, oids []uint32) (bool, error) {
	var made []string
	for _, oid := range oids {
		if oid >= firstUserType {
			made = append(made, strconv.FormatUint(uint64(oid), 10))
		}
	}
	if len(made) == 0 {
		return true, nil
	}
	slices.Sort(made)
	key := typeSet{database, strings.Join(slices.Compact(made), ",")}
	now := inertSince{time.Now(), c.changes.Load()}
	c.types.mu.Lock()
	since, is := c.types.found[key]
	c.types.mu.Unlock()
	if is && since.changes == now.changes && now.at.Sub(since.at) < catalogFor {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, catalogWait)
	defer cancel()
	l := &loader{g: c.g, ctx: ctx, database: database}
	defer l.close()
	first := strconv.Itoa(firstUserType)
	rows, err := l.query("WITH RECURSIVE need(oid) AS (SELECT unnest(ARRAY["+key.oids+"]::oid[]) UNION "+
		"SELECT p.oid FROM need n JOIN pg_type t ON t.oid = n.oid CROSS JOIN LATERAL (SELECT t.typelem WHERE t.typelem <> 0 "+
		"UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped "+
		"UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid OR r.rngmultitypid = t.oid) p(oid)) "+
		"SELECT count(*) FROM need n LEFT JOIN pg_type t ON t.oid = n.oid LEFT JOIN pg_range r ON r.rngtypid = t.oid OR r.rngmultitypid = t.oid "+
		"WHERE t.oid IS NULL OR t.oid >= "+first+" AND NOT (t.typtype IN ('b','c','e','r','m') AND t.typinput::oid < "+first+" AND t.typreceive::oid < "+first+
		" AND coalesce(r.rngcanonical::oid < "+first+" AND r.rngsubopc < "+first+", t.typtype NOT IN ('r','m')))", 1)
	if err != nil {
		return false, fmt.Errorf("reading the catalogue: %w", err)
	}
	if len(rows) != 1 || string(rows[0][0]) != "0" {
		return false, nil
	}
	c.types.mu.Lock()
	defer c.types.mu.Unlock()
	if c.types.found == nil || len(c.types.found) >= maxTypeSets {
		c.types.found = map[typeSet]inertSince{}
	}
	c.types.found[key] = now
	return true, nil
}

// withParameters is st with what reading its parameters does.
func (c *codec) withParameters(st *sql.Statement, types []uint32) (*sql.Statement, error) {
	inert, err := c.g.catalog.inert(c.ctx, c.database, types)
	if err != nil || inert {
		return st, err
	}
	more := *st
	more.Kinds = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(st.Kinds), action.Unknown))))
	return &more, nil
}
