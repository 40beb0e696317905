package mysql

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/mysql"
)

// How long what is known of a table is good, how many are known at once, and how deep views may stand on views.
const (
	catalogAge = 10 * time.Second
	maxTables  = 10_000
	maxViews   = 16
)

// catalog is what stands behind the names that statements used: columns, definitions of
// views, triggers. It is asked of the server by a connection of the gate's own, table by table.
type catalog struct {
	g *Gate

	asking sync.Mutex // held while the server is asked
	own    *control

	mu      sync.Mutex
	version uint64
	tables  map[string]*known
}

// known is what is known of one table.
type known struct {
	at       time.Time
	columns  []string
	view     string // its definition
	isView   bool
	triggers []string          // their code; that they can't be seen is one, too
	made     map[string]string // generated columns, by name: their expressions
	from     map[string]*action.Column
	foreign  bool
	engine   string // upper case; "" of a view
	sum      [32]byte
	parsed   *mysql.View
}

// Columns of a table or view; nil: nobody knows.
func (c *catalog) Columns(table string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.tables[table]; k != nil {
		return k.columns
	}
	return nil
}

// Triggers reports whether changing rows of a table runs code.
func (c *catalog) Triggers(table string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.tables[table]
	return k != nil && len(k.triggers) > 0
}

// Generated works out what a generated column is made of; nil: it is none.
func (c *catalog) Generated(table, column string) *action.Column {
	c.mu.Lock()
	k := c.tables[table]
	if k == nil || len(k.made) == 0 {
		c.mu.Unlock()
		return nil
	}
	column = strings.ToLower(column)
	text, is := k.made[column]
	from := k.from[column]
	c.mu.Unlock()
	if !is || from != nil {
		return from
	}
	from = &action.Column{Derived: true, Turned: true, Sources: []string{table + ".*"}}
	schema, _, _ := strings.Cut(table, ".")
	// Its own table is not looked up: a generated column that is made of others would never end.
	if st := viewClassifier.Classify("SELECT "+text+" FROM "+quoted(table), mysql.State{Database: schema}); len(st.Columns) == 1 && !st.Has(action.Unknown) {
		from = &action.Column{Derived: true, Turned: st.Columns[0].Turned, Sources: st.Columns[0].Sources}
		for other := range k.made {
			if strings.Contains(strings.ToLower(text), "`"+other+"`") { // made of another one: of any
				from.Sources, from.Turned = append(from.Sources, table+".*"), true
			}
		}
	}
	c.mu.Lock()
	k.from[column] = from
	c.mu.Unlock()
	return from
}

func quoted(table string) string {
	schema, name, _ := strings.Cut(table, ".")
	return "`" + strings.ReplaceAll(schema, "`", "``") + "`.`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// Foreign reports whether the rows of a table come from elsewhere.
func (c *catalog) Foreign(table string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.tables[table]
	return k != nil && k.foreign
}

// takesBack reports whether a table's engine undoes what a transaction did to it.
func (c *catalog) takesBack(table string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.tables[table]
	return k != nil && slices.Contains([]string{"INNODB", "ROCKSDB"}, k.engine)
}

// Version changes when any answer may.
func (c *catalog) Version() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.version
}

// View works out what stands behind a view by its definition; nil: it is none. A view
// that reads one which is not known yet is unknown until that is known too.
func (c *catalog) View(table string) *mysql.View { return (&walk{catalog: c}).View(table) }

// A walk is the catalogue on the way through views over views.
type walk struct {
	*catalog
	above []string
}

func (w *walk) View(table string) *mysql.View {
	c := w.catalog
	c.mu.Lock()
	k := c.tables[table]
	if k == nil || !k.isView || k.parsed != nil {
		defer c.mu.Unlock()
		if k == nil {
			return nil
		}
		return k.parsed
	}
	c.mu.Unlock()
	if k.view == "" || len(w.above) >= maxViews || slices.Contains(w.above, table) {
		return &mysql.View{
			Kinds: []action.Kind{action.DataRead, action.Unknown}, Why: []string{"a view whose definition the gate can't see or follow"},
			Columns: []action.Column{{Name: "*", Derived: true, Turned: true}},
		}
	}
	schema, _, _ := strings.Cut(table, ".")
	st := viewClassifier.Classify(k.view, mysql.State{Database: schema, Catalog: &walk{c, append(slices.Clip(w.above), table)}})
	v := &mysql.View{Kinds: st.Kinds, Why: st.Why, Steers: st.Inferred, Objects: st.Objects}
	if len(st.Kinds) == 0 {
		v.Kinds = []action.Kind{action.DataRead}
	}
	named := len(st.Columns) == len(k.columns)
	for i, name := range k.columns {
		col := action.Column{Name: name, Derived: true}
		if named {
			col = st.Columns[i]
			col.Name = name
		} else {
			for _, other := range st.Columns {
				col.Sources = append(col.Sources, other.Sources...)
				col.Turned = col.Turned || other.Turned
			}
		}
		v.Columns = append(v.Columns, col)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tables[table] == k && len(w.above) == 0 && c.allKnown(st.Objects) {
		k.parsed = v
	}
	return v
}

// viewClassifier keeps nothing: what it says of a view is kept with the view.
var viewClassifier = mysql.New(mysql.Options{CacheEntries: -1})

// allKnown reports whether the tables behind a view are known. c.mu is held.
func (c *catalog) allKnown(objects []string) bool {
	return !slices.ContainsFunc(objects, func(o string) bool { return !ofServer(o) && c.tables[o] == nil })
}

// ofServer reports whether a table is one of the server's own, which are not looked up.
func ofServer(table string) bool {
	schema, _, qualified := strings.Cut(strings.ToLower(table), ".")
	return !qualified || slices.Contains([]string{"information_schema", "performance_schema", "mysql", "sys"}, schema)
}

// forget makes every table be looked up again when it is next named.
func (c *catalog) forget() {
	c.mu.Lock()
	for _, k := range c.tables {
		k.at = time.Time{}
	}
	c.mu.Unlock()
}

// renew looks up those of objects, and of the tables behind views among them, that are not known or
// known for too long, and reports whether anything is other than it was.
func (c *catalog) renew(ctx context.Context, objects []string) (changed bool, err error) {
	var old []string
	c.mu.Lock()
	now := time.Now()
	for _, o := range objects {
		if k := c.tables[o]; !ofServer(o) && (k == nil || now.Sub(k.at) > catalogAge) {
			old = append(old, o)
		}
	}
	c.mu.Unlock()
	if len(old) == 0 {
		return false, nil
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, table := range old {
		k, err := c.ask(ctx, table)
		if err != nil { // perhaps the connection was closed meanwhile: once more, on a new one
			c.drop()
			if k, err = c.ask(ctx, table); err != nil {
				c.drop()
				return false, err
			}
		}
		changed = c.keep(table, k) || changed
	}
	return changed, nil
}

// keep remembers what was told of a table, and reports whether it is other than before.
func (c *catalog) keep(table string, k *known) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.tables[table]
	if was != nil && was.sum == k.sum {
		was.at = k.at
		return false
	}
	if c.tables == nil || len(c.tables) >= maxTables {
		c.tables = map[string]*known{}
	}
	c.tables[table] = k
	c.version++
	for _, other := range c.tables { // views over it are other ones now
		other.parsed = nil
	}
	return true
}

// definitions is what the names stand for, for a digest.
func (c *catalog) definitions(objects []string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, o := range objects {
		if k := c.tables[o]; k != nil {
			fmt.Fprintf(&b, "%q %x\n", o, k.sum)
		}
	}
	return b.String()
}

func (c *catalog) close() {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.drop()
}

func (c *catalog) drop() {
	if c.own != nil {
		c.own.close()
		c.own = nil
	}
}

// ask asks the server about one table. c.asking is held.
func (c *catalog) ask(ctx context.Context, table string) (*known, error) {
	if c.own == nil {
		own, err := c.g.control(ctx)
		if err != nil {
			return nil, err
		}
		c.own = own
		for _, q := range []string{"SET SESSION sql_mode = ''", "SET NAMES utf8mb4"} {
			if _, err := own.query(ctx, q); err != nil {
				return nil, err
			}
		}
	}
	schema, name, _ := strings.Cut(table, ".")
	at := " = " + literal(schema) + " AND "
	k := &known{at: time.Now(), made: map[string]string{}, from: map[string]*action.Column{}}
	sum := sha256.New()
	for i, q := range []string{
		"SELECT COLUMN_NAME, GENERATION_EXPRESSION FROM information_schema.COLUMNS WHERE TABLE_SCHEMA" + at + "TABLE_NAME = " + literal(name) + " ORDER BY ORDINAL_POSITION",
		"SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA" + at + "TABLE_NAME = " + literal(name),
		"SELECT ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA" + at + "EVENT_OBJECT_TABLE = " + literal(name) + " ORDER BY TRIGGER_NAME",
		"SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA" + at + "TABLE_NAME = " + literal(name),
	} {
		rows, err := c.own.query(ctx, q)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sum, "%d\n", i)
		for _, row := range rows {
			if len(row) == 0 {
				return nil, errors.New("asking about a table: upstream answered something else")
			}
			v := string(row[0])
			fmt.Fprintf(sum, "%q\n", row)
			switch i {
			case 0:
				k.columns = append(k.columns, v)
				if len(row) > 1 && len(row[1]) > 0 {
					k.made[strings.ToLower(v)] = string(row[1])
				}
			case 1:
				k.isView, k.view = true, v
			case 2:
				k.triggers = append(k.triggers, v)
			default:
				k.engine = strings.ToUpper(v)
				k.foreign = slices.Contains([]string{"FEDERATED", "CONNECT", "SPIDER", "S3", "NDBCLUSTER"}, k.engine)
			}
		}
	}
	grants, err := c.own.query(ctx, "SHOW GRANTS")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, row := range grants {
		if len(row) == 1 {
			lines = append(lines, string(row[0]))
		}
	}
	if seen := triggersSeen(lines); !slices.ContainsFunc(seen, func(s scope) bool { return s.holds(schema, name) }) {
		k.triggers = append(k.triggers, "not to be seen")
		fmt.Fprintln(sum, "triggers are not to be seen")
	}
	sum.Sum(k.sum[:0])
	return k, nil
}

// literal writes a string under a SQL mode without NO_BACKSLASH_ESCAPES.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`).Replace(s) + "'"
}
