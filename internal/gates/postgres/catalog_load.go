package postgres

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// kept are the relations of a snapshot, in pg_class k.
const kept = "k.oid" + userMade + " AND k.relpersistence <> 't' AND k.relkind IN ('r','v','m','f','p','c')"

// madeByUsers are the functions of a snapshot, in pg_proc c: also one of the server's own
// whose text somebody replaced, in another language than C or SQL.
const madeByUsers = "(c.oid" + userMade + " OR c.prolang NOT IN (12, 13, 14))"

var versionQuery = func() string {
	of := func(table, key string) [3]string {
		return [3]string{table + " c JOIN pg_catalog.pg_class k ON k.oid = c." + key, "c." + key + ", ' ', c.xmin", kept}
	}
	var parts []string
	for _, t := range [][3]string{ // from, what tells a row's state, which
		{"pg_class k", "k.oid, ' ', k.relname, ' ', k.relnamespace, ' ', k.relkind, ' ', k.relrowsecurity", kept},
		of("pg_attribute", "attrelid"), of("pg_attrdef", "adrelid"), of("pg_inherits", "inhrelid"), of("pg_rewrite", "ev_class"),
		of("pg_trigger", "tgrelid"), of("pg_policy", "polrelid"), of("pg_constraint", "conrelid"), of("pg_index", "indrelid"),
		of("pg_foreign_table", "ftrelid"),
		{"pg_foreign_server c", "c.oid, ' ', c.xmin", "c.oid" + userMade},
		{"pg_event_trigger c", "c.oid, ' ', c.xmin", "c.oid" + userMade},
		{"pg_proc c", "c.oid, ' ', c.xmin", madeByUsers},
		{"pg_operator c", "c.oid, ' ', c.xmin", "c.oid" + userMade},
		{"pg_cast c", "c.oid, ' ', c.xmin", "c.oid" + userMade},
		{"pg_aggregate c", "c.aggfnoid, ' ', c.xmin", "c.aggfnoid" + userMade},
		{"pg_type c", "c.oid, ' ', c.xmin", "c.oid" + userMade + " AND (c.typtype IN ('d','e','r','m') OR c.typtype = 'b' AND c.typelem = 0)"},
		{"pg_constraint c", "c.oid, ' ', c.xmin", "c.contypid <> 0"},
		{"pg_depend c", "c.objid, ' ', c.xmin", "c.refclassid = 3079 AND c.deptype = 'e'"}, // members of extensions
		{"pg_namespace c", "c.oid, ' ', c.nspname", "c.nspname NOT LIKE 'pg~_temp~_%' ESCAPE '~' AND c.nspname NOT LIKE 'pg~_toast~_temp~_%' ESCAPE '~'"},
	} {
		parts = append(parts, "(SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat("+
			t[1]+"), 0))) FROM pg_catalog."+t[0]+" WHERE "+t[2]+")")
	}
	return "SELECT pg_catalog.concat_ws(' ', " + strings.Join(parts, ", ") + ")"
}()

// snapshot loads everything.
func (l *loader) snapshot(version string) (*snapshot, error) {
	sum := sha256.Sum256([]byte(version))
	s := &snapshot{
		version: version, key: hex.EncodeToString(sum[:16]), vouched: l.g.cfg.Classifier.Vouched,
		relations: map[uint32]*relation{}, named: map[string]*relation{}, bare: map[string][]*relation{},
		functions: map[string][]*function{}, code: map[uint32]*function{}, operators: map[string][]*operator{},
		types: map[uint32]*userType{}, typeNamed: map[string]*userType{},
	}
	for _, load := range []func(*snapshot) error{
		l.relations, l.columns, l.families, l.foreign, l.userTypes, l.loadFunctions, l.operators, l.casts, l.rules, l.triggers, l.expressions, l.cascades,
	} {
		if err := load(s); err != nil {
			return nil, err
		}
	}
	if l.err != nil {
		return nil, l.err
	}
	classifier, state := l.g.cfg.Classifier, sql.State{Database: l.database, SearchPath: "pg_catalog", ServerVersion: newestSyntax}
	s.settleTypes(func(pass int, text string) *sql.Statement {
		state.Catalog = passing{s, pass}
		return &classifier.Classify(text, state).Statements[0]
	})
	state.Catalog = s
	s.classify = func(text string) *sql.Statement { return &classifier.Classify(text, state).Statements[0] }
	return s, nil
}

func (l *loader) relations(s *snapshot) error {
	rows, err := l.query("SELECT k.oid, n.nspname, k.relname, k.relkind, "+
		"CASE WHEN k.relkind IN ('v','m') THEN pg_catalog.pg_get_viewdef(k.oid) END, CASE WHEN k.relrowsecurity THEN 1 ELSE 0 END "+
		"FROM pg_catalog.pg_class k JOIN pg_catalog.pg_namespace n ON n.oid = k.relnamespace "+
		"WHERE "+kept+" ORDER BY k.oid", 6)
	if err != nil {
		return err
	}
	for _, row := range rows {
		r := &relation{oid: l.oid(row[0]), schema: string(row[1]), base: string(row[2]), kind: l.char(row[3]), view: string(row[4]), security: string(row[5]) == "1"}
		s.relations[r.oid] = r
		if r.kind == 'c' { // a row type without rows
			continue
		}
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
