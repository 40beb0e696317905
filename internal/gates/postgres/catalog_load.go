package postgres

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/classify/sql"
)

// A loader is one look at the catalogue, over at most one connection.
type loader struct {
	g        *Gate
	ctx      context.Context // of the request that asks, with an end
	database string
	conn     net.Conn
	r        *bufio.Reader
	err      error // the first of those that parsing rows met
}

func (l *loader) close() {
	if l.conn != nil {
		_, _ = l.conn.Write(appendFrame(nil, 'X'))
		_ = l.conn.Close()
	}
}

// userMade is what CREATE made: OIDs below are the server's own. Temporary
// relations are their session's, which knows them by itself.
const userMade = " >= 16384"

// version is a fingerprint of everything that a snapshot holds: each row by what
// names it and by the transaction that wrote it, which every change of it changes.
func (l *loader) version() (string, error) {
	rows, err := l.query(versionQuery, 1)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0][0]) == 0 {
		return "", errRow
	}
	return string(rows[0][0]), nil
}

var versionQuery = func() string {
	var parts []string
	for _, t := range [][3]string{
		{"pg_class c", "c.oid", "c.oid" + userMade + " AND c.relpersistence <> 't' AND c.relkind IN ('r','v','m','f','p')"},
		{"pg_attribute c", "c.attrelid", "c.attrelid" + userMade + " AND c.attnum > 0"},
		{"pg_attrdef c", "c.oid", "c.oid" + userMade},
		{"pg_inherits c", "c.inhrelid", "c.inhrelid" + userMade},
		{"pg_rewrite c", "c.oid", "c.oid" + userMade},
		{"pg_namespace c", "c.oid", "c.nspname NOT LIKE 'pg~_temp~_%' ESCAPE '~' AND c.nspname NOT LIKE 'pg~_toast~_temp~_%' ESCAPE '~'"},
	} {
		parts = append(parts, "(SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat("+
			t[1]+", ' ', c.xmin), 0))) FROM pg_catalog."+t[0]+" WHERE "+t[2]+")")
	}
	return "SELECT pg_catalog.concat_ws(' ', " + strings.Join(parts, ", ") + ")"
}()

// snapshot loads everything.
func (l *loader) snapshot(version string) (*snapshot, error) {
	s := &snapshot{version: version, relations: map[uint32]*relation{}, named: map[string]*relation{}, bare: map[string][]*relation{}}
	classifier, state := l.g.cfg.Classifier, sql.State{Database: l.database, SearchPath: "pg_catalog"}
	s.classify = func(text string) *sql.Statement { return &classifier.Classify(text, state).Statements[0] }
	for _, load := range []func(*snapshot) error{l.relations, l.columns, l.families} {
		if err := load(s); err != nil {
			return nil, err
		}
	}
	return s, l.err
}

func (l *loader) relations(s *snapshot) error {
	rows, err := l.query("SELECT c.oid, n.nspname, c.relname, c.relkind, "+
		"CASE WHEN c.relkind IN ('v','m') THEN pg_catalog.pg_get_viewdef(c.oid) END "+
		"FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "+
		"WHERE c.oid"+userMade+" AND c.relpersistence <> 't' AND c.relkind IN ('r','v','m','f','p') AND n.nspname <> 'pg_toast' ORDER BY c.oid", 5)
	if err != nil {
		return err
	}
	for _, row := range rows {
		r := &relation{oid: l.oid(row[0]), schema: string(row[1]), base: string(row[2]), kind: l.char(row[3]), view: string(row[4])}
		s.relations[r.oid] = r
		s.named[r.name()] = r
		s.bare[r.base] = append(s.bare[r.base], r)
	}
	return nil
}

func (l *loader) columns(s *snapshot) error {
	rows, err := l.query("SELECT a.attrelid, a.attnum, a.attname, a.atttypid, "+
		"CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END "+
		"FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "+
		"WHERE a.attrelid"+userMade+" AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum", 5)
	if err != nil {
		return err
	}
	for _, row := range rows {
		r := s.relations[l.oid(row[0])]
		if r == nil {
			continue // of an index, a sequence or a temporary table
		}
		number, err := strconv.Atoi(string(row[1]))
		if err != nil {
			return errRow
		}
		r.columns = append(r.columns, column{name: string(row[2]), number: number, typ: l.oid(row[3]), generated: string(row[4])})
	}
	return nil
}

func (l *loader) families(s *snapshot) error {
	rows, err := l.query("SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid"+userMade, 2)
	if err != nil {
		return err
	}
	for _, row := range rows {
		child, parent := s.relations[l.oid(row[0])], s.relations[l.oid(row[1])]
		if child != nil && parent != nil { // indexes have families too
			child.parents = append(child.parents, parent)
			parent.children = append(parent.children, child)
		}
	}
	return nil
}

func (l *loader) oid(b []byte) uint32 {
	n, err := strconv.ParseUint(string(b), 10, 32)
	if err != nil && l.err == nil {
		l.err = errRow
	}
	return uint32(n)
}

func (l *loader) char(b []byte) byte {
	if len(b) != 1 {
		if l.err == nil {
			l.err = errRow
		}
		return 0
	}
	return b[0]
}

func literal(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "'", "''"), "\x00", "") + "'"
}

// query runs one simple query on the loader's connection. Each row has width values.
func (l *loader) query(text string, width int) (rows [][][]byte, err error) {
	if l.conn == nil {
		if l.conn, l.r, err = l.g.login(l.ctx, l.database); err != nil {
			l.conn = nil
			return nil, err
		}
	}
	if _, err := l.conn.Write(appendFrame(nil, 'Q', cstr(text))); err != nil {
		return nil, err
	}
	code := ""
	for {
		f, err := readFrame(l.r, nil, l.g.cfg.MaxMessage)
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
			if !w.done() || len(row) != width {
				return nil, errRow
			}
			rows = append(rows, row)
		case 'E':
			code, _ = errorCode(f.body())
		case 'Z':
			if code != "" {
				return nil, errors.New("the system refused with SQLSTATE " + code)
			}
			return rows, nil
		}
	}
}
