package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/mysql"
)

// Server status flags of OK and EOF packets.
const (
	statusInTx          = 0x0001
	statusAutocommit    = 0x0002
	statusMoreResults   = 0x0008
	statusNoBackslashes = 0x0200
)

// A codec is one client's session. It belongs to the goroutine that serves the
// connection, but for conn, ctx, user, id and upstreamID, which are set before the session
// can be found by its id.
type codec struct {
	g          *Gate
	conn       *gate.Conn
	ctx        context.Context
	user       string
	caps       uint32 // agreed with the client
	id         uint32 // of the connection, as the client was told
	upstreamID uint32

	// What the session is, on the server's word only.
	version  string // of the server, as it says
	mariadb  bool
	status   uint16 // newest flags
	database string
	mode     string   // SQL mode
	means    meanings // settings that say what values mean
	vars     []string // columns whose values variables (@x) may hold
	temp     []mysql.Temp
	prepared map[uint32]*prepared
	newest   uint32 // of those; 0: none since a text was refused
	coded    bool   // code ran, which may have raised warnings of any text
	touched  bool   // the open transaction has changes that only this session sees
	locked   bool   // LOCK TABLES, which a transaction of the gate's own would undo
	known    bool   // mode, character set and database were read back since anything may have changed them

	uncertain bool // the catalogue could not be read for the request under way
	seq       byte // of the next packet to the client
	last      gate.Permit

	// What waits to be written to the client. Rows in it are counted first.
	out   []byte
	rows  int64
	mark  int // where the uncounted rows begin in out, and the number of their first packet
	first byte
	limit gate.Permit
	buf   []byte // of the packet being read
	row0  []byte // of the row being masked

	pending int  // where in a result upstream is; 0: at its end
	upSeq   byte // of the next packet from upstream, once copyRows returned
}

// meanings are settings under which the same text finds other rows.
type meanings struct{ timeZone, collation, nullIsLast string }

// pinned says why a statement may not set what it sets; "" where it may. The character set
// and the SQL mode decide how the server reads a text: under others it would
// see other statements than the gate (GBK, ANSI_QUOTES).
func pinned(st *mysql.Statement) string {
	for _, s := range st.Settings {
		v := strings.ToLower(s.Value)
		switch s.Name {
		case "sql_mode":
			if !s.Known || !goodMode(v) {
				return "the SQL mode is set here by a text, and without modes that change how a statement is read (" + strings.Join(mysql.LexicalModes[:3], ", ") + " and others)"
			}
		case "names", "charset", "character_set_client", "character_set_connection", "collation_connection":
			if !s.Known || !strings.HasPrefix(v, "utf8") {
				return "this gate speaks UTF-8 only: SET NAMES utf8mb4"
			}
		case "character_set_results":
			if !s.Known || !strings.HasPrefix(v, "utf8") && v != "null" {
				return "this gate speaks UTF-8 only: SET character_set_results = utf8mb4"
			}
		}
	}
	return ""
}

// goodMode reports whether a SQL mode leaves alone how a text is read.
func goodMode(mode string) bool {
	for _, m := range strings.Split(strings.ToUpper(mode), ",") {
		m = strings.TrimSpace(m)
		if slices.Contains(mysql.LexicalModes, m) || m == "DEFAULT" || m != "" && m[0] >= '0' && m[0] <= '9' {
			return false
		}
	}
	return true
}

// errLeft ends a session that the gate no longer reads as the server does.
var errLeft = errors.New("the session's SQL mode or character set can't be kept")

// settle reads back what gives a text its meaning, where it may have changed, and puts right
// what a server's own configuration brings.
func (c *codec) settle(conn *gate.Conn) error {
	if c.known {
		return nil
	}
	for attempt := range 3 {
		row, err := c.row(conn, "SELECT @@session.sql_mode, @@session.character_set_client, @@session.character_set_connection, DATABASE(), @@session.time_zone, @@session.collation_connection, @@session.sql_auto_is_null")
		if err != nil {
			return fmt.Errorf("reading the session's state back: %w", err)
		}
		if len(row) != 7 {
			return errors.New("reading the session's state back: upstream answered something else")
		}
		mode, client, connection := string(row[0]), string(row[1]), string(row[2])
		if goodMode(mode) && strings.HasPrefix(client, "utf8") && strings.HasPrefix(connection, "utf8") && c.status&statusNoBackslashes == 0 {
			c.mode, c.database, c.known = mode, string(row[3]), true
			c.means = meanings{string(row[4]), string(row[5]), string(row[6])}
			return nil
		}
		if attempt == 2 {
			break
		}
		keep := slices.DeleteFunc(strings.Split(mode, ","), func(m string) bool { return !goodMode(m) })
		if err := c.do(conn, "SET SESSION sql_mode = '"+strings.Join(keep, ",")+"'"); err != nil {
			return fmt.Errorf("setting the SQL mode: %w", err)
		}
		if err := c.do(conn, "SET NAMES utf8mb4"); err != nil {
			return fmt.Errorf("setting the character set: %w", err)
		}
	}
	return errLeft
}

// meaning is what gives a text its meaning, for the classifier.
func (c *codec) meaning() mysql.State {
	return mysql.State{Database: c.database, MariaDB: c.mariadb, Vars: c.vars, Temp: c.temp, Catalog: &c.g.catalog}
}

// classify reads text by a catalogue that is not older than a few seconds.
func (c *codec) classify(text, database string) *mysql.Statement {
	c.uncertain = false
	meaning := c.meaning()
	meaning.Database = database
	st := c.g.cfg.Classifier.Classify(text, meaning)
	for range maxViews {
		changed, err := c.g.catalog.renew(c.ctx, st.Objects)
		if err != nil {
			c.uncertain = true
			if c.g.cfg.Log != nil {
				c.g.cfg.Log.Warn("the catalogue could not be read", "gate", c.g.cfg.Name, "err", err)
			}
			return st
		}
		if !changed {
			return st
		}
		st = c.g.cfg.Classifier.Classify(text, meaning)
	}
	c.uncertain = true
	return st
}

// state is what gives a text its meaning, for the digest.
func (c *codec) state(st *mysql.Statement, database string) map[string]string {
	sum := sha256.Sum256([]byte(c.g.catalog.definitions(st.Objects)))
	var temp []string
	for _, t := range c.temp {
		temp = append(temp, t.Name)
	}
	return map[string]string{
		"database": database, "sql_mode": c.mode, "server": c.version, "time_zone": c.means.timeZone, "collation": c.means.collation, "sql_auto_is_null": c.means.nullIsLast,
		"variables": strings.Join(c.vars, ","), "temporary": strings.Join(temp, ","), "definitions": hex.EncodeToString(sum[:16]),
	}
}

// Recheck reads the state again after a hold and compares: somebody may have replaced a
// view, and an administrator anything.
func (c *codec) Recheck(conn *gate.Conn, r *gate.Request) error {
	k := r.State.(*ask)
	if k.st == nil {
		return nil
	}
	before := c.state(k.st, k.database)
	c.known = false
	if err := c.settle(conn); err != nil {
		return err
	}
	c.g.catalog.forget()
	if k.p == nil {
		k.database = c.database
	}
	now := c.classify(k.text, k.database)
	if c.uncertain || !slices.Equal(now.Kinds, k.st.Kinds) || !slices.Equal(now.Objects, k.st.Objects) || !maps.Equal(before, c.state(now, k.database)) {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "what the statement means changed while it waited", Hint: "Ask again: it will be decided as it now is."}
	}
	return nil
}

// acknowledged takes over what a statement that ran has changed.
func (c *codec) acknowledged(k *ask) {
	switch k.command {
	case comInitDB:
		c.database = k.text
		return
	case comResetConn:
		c.known, c.coded, c.locked, c.vars, c.temp = false, false, false, nil, nil
		clear(c.prepared)
		return
	case comReset:
		if p := c.prepared[k.id]; p != nil {
			p.long, p.size = nil, 0
		}
		return
	}
	st := k.st
	if st == nil {
		return
	}
	if st.Database != "" || len(st.Settings) > 0 || k.code {
		c.known = false
	}
	if st.SetsVars {
		c.assigned(st.Assigns...)
	}
	c.coded = c.coded || k.code
	if k.code { // which may have put anything into variables
		c.assigned("*")
		for _, o := range st.Objects {
			c.assigned(o + ".*")
		}
	}
	switch st.Verb {
	case "lock":
		c.locked = true
	case "unlock tables", "begin", "start transaction": // which release them
		c.locked = false
	}
	if st.Temp != nil {
		c.temp = append(slices.Clone(c.temp), *st.Temp)
	}
	if st.Has(action.SchemaChange) || k.code {
		c.g.catalog.forget()
	}
}

// maxVars bounds the columns that are remembered for variables, one by one.
const maxVars = 200

func (c *codec) assigned(sources ...string) {
	if len(sources) == 0 {
		return
	}
	c.vars = slices.Concat(c.vars, sources)
	slices.Sort(c.vars)
	if c.vars = slices.Compact(c.vars); len(c.vars) > maxVars {
		c.vars = []string{"*"}
	}
}

// text masks what upstream says outside any action. Before the first permit
// of a session nothing of the resource can have been read by it.
func (c *codec) text(b []byte) []byte {
	if c.last == nil || len(b) == 0 {
		return b
	}
	return c.last.Text(b)
}

// end ends the session, for a KILL of the same asker's.
func (c *codec) end() { _ = c.conn.Client().Close() }

// do runs a statement of the gate's own that answers without rows.
func (c *codec) do(conn *gate.Conn, text string) error {
	_, err := c.row(conn, text)
	return err
}

// row runs a statement of the gate's own and returns its first row; nil where it has none.
func (c *codec) row(conn *gate.Conn, text string) ([][]byte, error) {
	seq := byte(0)
	if err := conn.Send(appendMessage(nil, &seq, append([]byte{comQuery}, text...))); err != nil {
		return nil, err
	}
	var first [][]byte
	err := readResult(conn.Up, c.g.cfg.MaxMessage, func(row [][]byte) {
		if first == nil {
			first = row
		}
	}, &c.status)
	return first, err
}
