package postgres

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/sql"
)

// A catalog knows what stands behind names and OIDs: the columns of a relation,
// and for a view where each of its columns comes from. It reads over connections of its
// own, so it never disturbs a session and never sees what has not been committed.
type catalog struct {
	g *Gate

	mu   sync.Mutex
	seen map[catalogKey]catalogEntry
	// changed counts schema changes through this gate: what was loaded while one
	// happened is not kept.
	changed int
}

// A catalogKey is a relation by OID, or by name as a statement wrote it.
type catalogKey struct {
	database, name string
	oid            uint32
}

type catalogEntry struct {
	relations []*relation // several when schemas share a name
	until     time.Time
}

// A relation is a table or view with the sources of its columns.
type relation struct {
	name    string // schema.name
	columns []string
	numbers map[int]string
	sources map[string][]string // of columns that are not only themselves: of views, generated, inherited
	derived map[string]bool     // columns that are computed

	definition [32]byte      // SHA-256 of a view's; zero for a table
	kinds      []action.Kind // what reading a view does beyond reading
	under      []*relation   // what a view reads
}

// catalogFor is how long a definition is believed that another way than this
// gate may have changed; catalogDepth how deep views over views are followed.
const (
	catalogFor   = 30 * time.Second
	catalogLimit = 10_000
	catalogDepth = 12
)

// forget drops everything: a schema change went through this gate.
func (c *catalog) forget() {
	c.mu.Lock()
	c.seen = nil
	c.changed++
	c.mu.Unlock()
}

// source names a column that a row description carries as OID and number, and says whether it is computed.
func (c *catalog) source(ctx context.Context, database string, oid uint32, number int) (sources []string, derived bool, err error) {
	l := &loader{c: c, ctx: ctx, database: database}
	defer l.close()
	relations, err := l.get(catalogKey{database: database, oid: oid}, 0)
	if err != nil {
		return nil, false, err
	}
	for _, r := range relations {
		if name, ok := r.numbers[number]; ok {
			return append([]string{r.name + "." + name}, r.sources[name]...), r.derived[name], nil
		}
	}
	return nil, false, nil
}

// resolve adds to each source ("customers.email", "customers.*") what stands behind it.
func (c *catalog) resolve(ctx context.Context, database string, sources []string) ([]string, error) {
	l := &loader{c: c, ctx: ctx, database: database}
	defer l.close()
	return l.resolve(sources, 0)
}

// behind says what stands behind objects besides tables: a digest of the view
// definitions, and what they do beyond reading.
func (c *catalog) behind(ctx context.Context, database string, objects []string) (digest string, kinds []action.Kind, err error) {
	l := &loader{c: c, ctx: ctx, database: database}
	defer l.close()
	var all []*relation
	for _, o := range objects {
		relations, err := l.get(catalogKey{database: database, name: o}, 0)
		if err != nil {
			return "", nil, err
		}
		all = append(all, relations...)
	}
	sum := sha256.New()
	for n := 0; len(all) > 0; n++ {
		r := all[0]
		all = append(all[1:], r.under...)
		if n > catalogLimit {
			return "", nil, errors.New("reading the catalogue: too many views")
		}
		if r.definition != [32]byte{} {
			digest = "views"
			sum.Write([]byte(r.name))
			sum.Write(r.definition[:])
			kinds = append(kinds, r.kinds...)
		}
	}
	if digest != "" {
		digest = hex.EncodeToString(sum.Sum(nil))
	}
	slices.Sort(kinds)
	return digest, slices.Compact(kinds), nil
}

// A loader is one use of the catalogue, over at most one connection.
type loader struct {
	c        *catalog
	ctx      context.Context // of the request that asks
	database string
	conn     net.Conn
	r        *bufio.Reader
}

func (l *loader) close() {
	if l.conn != nil {
		_, _ = l.conn.Write(appendFrame(nil, 'X'))
		_ = l.conn.Close()
	}
}

func (l *loader) resolve(sources []string, depth int) ([]string, error) {
	var out []string
	for _, s := range sources {
		out = append(out, s)
		dot := strings.LastIndexByte(s, '.')
		if dot <= 0 {
			continue
		}
		relations, err := l.get(catalogKey{database: l.database, name: s[:dot]}, depth)
		if err != nil {
			return nil, err
		}
		for _, r := range relations {
			for _, column := range r.columns {
				if s[dot+1:] == "*" || s[dot+1:] == column {
					out = append(append(out, r.name+"."+column), r.sources[column]...)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (l *loader) get(key catalogKey, depth int) ([]*relation, error) {
	l.c.mu.Lock()
	entry, is := l.c.seen[key]
	changed := l.c.changed
	l.c.mu.Unlock()
	if is && time.Now().Before(entry.until) {
		return entry.relations, nil
	}
	if depth > catalogDepth {
		return nil, errors.New("reading the catalogue: views are nested too deep")
	}
	relations, err := l.load(key, depth)
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w", err)
	}
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	if len(relations) > 0 && changed == l.c.changed {
		if l.c.seen == nil || len(l.c.seen) >= catalogLimit {
			l.c.seen = map[catalogKey]catalogEntry{}
		}
		l.c.seen[key] = catalogEntry{relations, time.Now().Add(catalogFor)}
	}
	return relations, nil
}

// load reads the relations behind key, and what the views among them are made of.
func (l *loader) load(key catalogKey, depth int) ([]*relation, error) {
	where := "c.oid = " + strconv.FormatUint(uint64(key.oid), 10)
	if key.name != "" {
		schema, name, qualified := strings.Cut(key.name, ".")
		if !qualified {
			schema, name = "", key.name
		}
		where = "c.relname = " + literal(name)
		if schema == "pg_temp" {
			where += " AND n.nspname LIKE 'pg\\_temp\\_%'"
		} else if qualified {
			where += " AND n.nspname = " + literal(schema)
		}
	}
	rows, err := l.query("SELECT c.oid, n.nspname || '.' || c.relname, a.attnum, a.attname, " +
		"CASE WHEN c.relkind IN ('v','m') THEN pg_catalog.pg_get_viewdef(c.oid) END, " +
		"CASE WHEN a.attgenerated <> '' THEN (SELECT 'SELECT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ' FROM ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) " +
		"FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid AND d.adnum = a.attnum) END, " +
		"(WITH RECURSIVE up(oid) AS (SELECT inhparent FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid " +
		"UNION SELECT i.inhparent FROM pg_catalog.pg_inherits i JOIN up ON i.inhrelid = up.oid) " +
		"SELECT pg_catalog.string_agg(m.nspname || '.' || k.relname, pg_catalog.chr(31)) FROM up " +
		"JOIN pg_catalog.pg_class k ON k.oid = up.oid JOIN pg_catalog.pg_namespace m ON m.oid = k.relnamespace) " +
		"FROM pg_catalog.pg_attribute a " +
		"JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace " +
		"WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r','v','m','f','p') " +
		"AND n.nspname NOT IN ('pg_catalog','information_schema','pg_toast') AND " + where + " ORDER BY c.oid, a.attnum")
	if err != nil {
		return nil, err
	}
	var out []*relation
	definitions := map[*relation]string{}
	last := ""
	for _, row := range rows {
		if len(row) != 7 {
			return nil, errRow
		}
		number, err := strconv.Atoi(string(row[2]))
		if err != nil {
			return nil, errRow
		}
		if oid := string(row[0]); oid != last {
			last = oid
			out = append(out, &relation{name: string(row[1]), numbers: map[int]string{}, sources: map[string][]string{}, derived: map[string]bool{}})
			if row[4] != nil {
				definitions[out[len(out)-1]] = string(row[4])
			}
		}
		r := out[len(out)-1]
		r.columns = append(r.columns, string(row[3]))
		r.numbers[number] = string(row[3])
		if err := l.stored(r, string(row[3]), row[5], row[6], depth); err != nil {
			return nil, err
		}
	}
	for r, definition := range definitions {
		if err := l.view(r, definition, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// stored notes what else a table's column holds: what its expression computes,
// and what the tables it inherits from, or is a partition of, have under its name.
func (l *loader) stored(r *relation, column string, expression, parents []byte, depth int) error {
	if parents != nil {
		for _, p := range strings.Split(string(parents), "\x1f") {
			r.sources[column] = append(r.sources[column], p+"."+column)
		}
	}
	if expression == nil {
		return nil
	}
	st := l.c.g.cfg.Classifier.Classify(string(expression), sql.State{Database: l.database, SearchPath: "pg_catalog"}).Statements[0]
	if len(st.Columns) != 1 {
		return errors.New("a generated column that is not understood")
	}
	// Its own table is not resolved: a generated column can't use another one.
	r.sources[column] = append(r.sources[column], st.Columns[0].Sources...)
	r.derived[column] = true
	return nil
}

// view notes where the columns of a view come from: its definition is classified as
// any other query. What does not come out column by column comes from everywhere in it.
func (l *loader) view(r *relation, definition string, depth int) error {
	st := l.c.g.cfg.Classifier.Classify(definition, sql.State{Database: l.database, SearchPath: "pg_catalog"}).Statements[0]
	r.definition = sha256.Sum256([]byte(definition))
	if !st.ReadOnly() {
		r.kinds = st.Kinds
	}
	for _, o := range st.Objects {
		under, err := l.get(catalogKey{database: l.database, name: o}, depth+1)
		if err != nil {
			return err
		}
		r.under = append(r.under, under...)
	}
	var all []string
	agree := len(st.Columns) == len(r.columns)
	for _, c := range st.Columns {
		all = append(all, c.Sources...)
	}
	if !agree {
		for _, o := range st.Objects {
			all = append(all, o+".*")
		}
	}
	for i, name := range r.columns {
		sources := all
		r.derived[name] = !agree || st.Columns[i].Derived
		if agree {
			sources = st.Columns[i].Sources
			for _, u := range r.under {
				for _, s := range sources {
					r.derived[name] = r.derived[name] || u.derived[s[strings.LastIndexByte(s, '.')+1:]]
				}
			}
		}
		var err error
		if r.sources[name], err = l.resolve(sources, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func literal(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "'", "''"), "\x00", "") + "'"
}

// query runs one simple query on the loader's connection.
func (l *loader) query(text string) (rows [][][]byte, err error) {
	if l.conn == nil {
		ctx, cancel := context.WithTimeout(l.ctx, 10*time.Second)
		defer cancel()
		if l.conn, l.r, err = l.c.g.login(ctx, l.database); err != nil {
			l.conn = nil
			return nil, err
		}
	}
	if _, err := l.conn.Write(appendFrame(nil, 'Q', cstr(text))); err != nil {
		return nil, err
	}
	refused := false
	for {
		f, err := readFrame(l.r, nil, l.c.g.cfg.MaxMessage)
		if err != nil {
			return nil, err
		}
		switch f.kind() {
		case 'D':
			w := walker{b: f.body()}
			row := make([][]byte, w.u16())
			for i := range row {
				row[i] = w.value()
			}
			if !w.done() {
				return nil, errRow
			}
			rows = append(rows, row)
		case 'E':
			refused = true
		case 'Z':
			if refused {
				return nil, errors.New("the system refused")
			}
			return rows, nil
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
