package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
)

// Transaction statuses of ReadyForQuery.
const (
	idle   = 'I'
	inTx   = 'T'
	failed = 'E'
)

// A codec is one client's session. It belongs to the goroutine that serves
// the connection, but for conn, ctx and upstreamKey, which are set before
// the session can be found by its cancel key.
type codec struct {
	g           *Gate
	conn        *gate.Conn
	ctx         context.Context
	key         cancelKey
	upstreamKey []byte

	user, database string
	minor          uint32
	claims         map[string]string // accepted start-up parameters

	// What the session is, on the server's word only.
	status     byte
	role       string // "none", or what SET ROLE made it
	auth       string // session authorization
	searchPath string
	reported   map[string]string // ParameterStatus
	reports    int               // how many there were
	kept       known
	spare      *batch // of the last request
	known      bool   // role, auth and searchPath were read back since anything may have changed them
	canceled   bool   // a cancel request met a statement of our own
	suspect    bool   // code ran that may have prepared statements under names we know
	touched    bool   // something in this transaction may have changed them: its end may change them back
	reshaped   bool   // this transaction changed what names mean, which no snapshot shows yet
	altered    bool   // something in this transaction may have changed a schema: its end lets others see it
	prepared   map[string]*prepared
	portals    map[string]*portal
	cursors    map[string]*cursor
	temp       []sql.Temp
	builtins   map[uint32]bool // functions whose number the server has confirmed
	pinned     error           // a parameter left its pin: the session ends before the next statement
	unsynced   bool            // messages went up since the last Sync
	snap       *snapshot       // of the catalogue, as the request under way is judged; nil: it could not be read
	skip       skipping
	// What an error may quote: at parse analysis any name, while rows are read nothing.
	phase   phase
	reading bool
	said    string // text of the statement under way
	own     bool   // a statement of the gate's own is under way: its notices are not the client's

	tx   *ownTx      // the transaction that the gate opened around this request; nil: none
	last gate.Permit // newest permit: it masks what belongs to no action

	// What waits to be written to the client. Rows in it are counted first.
	out   []byte
	rows  int64
	mark  int // where the uncounted rows begin in out
	limit gate.Permit
	buf   []byte // of the frame being copied
}

// phase is how far the server is with a statement.
type phase uint8

const (
	phaseRun      phase = iota
	phaseAnalysis       // Parse and Describe: no row is read
)

// skipping says who discards what the client sends up to its Sync.
type skipping uint8

const (
	skipNothing  skipping = iota
	skipUpstream          // the server does: it is waiting for Sync
	skipHere              // we do: the server has been synchronised
)

// prepared is a statement that the server acknowledged, or will if it accepts this batch.
type prepared struct {
	text   string
	bySQL  bool              // by PREPARE: text is the whole PREPARE statement
	types  []uint32          // parameter types as declared
	actual []uint32          // as the server resolved them
	state  map[string]string // named with the types
	named  map[string]string
	of     uintptr // identity of named

	found   *sql.Result // what the classifier said of text,
	foundAt uint64      // in the setting of this epoch
}

// portal is a bound statement. Planning at Bind can already run functions, so
// its action is decided before Bind goes upstream, and every Execute of it
// runs under that one permit.
type portal struct {
	name   string
	run    run
	state  string      // what names meant when it was bound
	types  []uint32    // of the parameters, as far as they are known
	permit gate.Permit // once it outlives the request that bound it
	fields []field
	known  bool // fields were described
}

// cursor is an SQL-level cursor with the permit it was declared under.
type cursor struct {
	inner   *sql.Statement
	columns []action.Column
	permit  gate.Permit // nil when the query is harmless
	hold    bool
	code    bool // reading it may run code
	rows    int64
}

func newCodec(g *Gate) *codec {
	return &codec{
		g: g, claims: map[string]string{}, reported: map[string]string{},
		prepared: map[string]*prepared{}, portals: map[string]*portal{}, cursors: map[string]*cursor{},
	}
}

// parameterStatus notes what the server reports and ends the session when a
// parameter that decides how text is read has left its pin: the parser would
// see other statements than the server runs (GBK, backslash escapes).
func (c *codec) parameterStatus(conn *gate.Conn, f frame) error {
	w := walker{b: f.body()}
	name, value := w.str(), w.str()
	if !w.done() {
		return errors.New("upstream sent a malformed parameter status")
	}
	c.reported[name] = value
	c.reports++
	if _, is := pins[name]; is && !holds(name, value) {
		c.pinned = leftPin(name)
	}
	masked := c.text([]byte(value))
	if string(masked) == value {
		c.out = append(c.out, f...)
	} else {
		c.out = appendFrame(c.out, 'S', cstr(name), masked, []byte{0})
	}
	return nil
}

// pins are the parameters that decide how the server reads a text.
var pins = map[string]string{"client_encoding": "UTF8", "standard_conforming_strings": "on", "server_encoding": "UTF8"}

// holds reports whether the server says that a parameter is at its pin. UNICODE is its
// other name for UTF8, which it keeps when a client has set that; under SQL_ASCII it
// converts nothing, so texts are read, and checked, as the UTF8 of the database.
func holds(name, value string) bool {
	return value == pins[name] || name == "client_encoding" && (value == "UNICODE" || value == "SQL_ASCII")
}

func leftPin(name string) error {
	return refuse("22023", name+" left the value this gate depends on; the connection ends", nil)
}

// text masks what upstream says outside any action. Before the first permit
// of a session nothing of the resource can have been read by it.
func (c *codec) text(b []byte) []byte {
	if c.last == nil || len(b) == 0 { // an empty value is not NULL, whatever a mask makes of it
		return b
	}
	return noNUL(c.last.Text(b))
}

// noNUL keeps a mask from ending a C string early.
func noNUL(b []byte) []byte {
	if slices.Contains(b, 0) {
		return []byte("(withheld)")
	}
	return b
}

// look takes the snapshot by which the request is judged. Without one whatever
// has an effect is refused.
func (c *codec) look() {
	s, err := c.g.catalog.current(c.ctx, c.database)
	if c.snap = s; err != nil && c.g.cfg.Log != nil {
		c.g.cfg.Log.Warn("the catalogue could not be read", "gate", c.g.cfg.Name, "database", c.database, "err", err)
	}
}

// sqlState is what gives a text its meaning, for the classifier.
func (c *codec) sqlState() sql.State {
	st := sql.State{
		Database: c.database, Role: c.effectiveRole(), SearchPath: c.searchPath, ServerVersion: sqlVersion(c.reported["server_version"]),
		Key: c.auth + "\x00" + c.reported["DateStyle"], Temp: c.temp,
	}
	if c.snap != nil {
		st.Catalog = c.snap
	}
	return st
}

func (c *codec) effectiveRole() string {
	if c.role == "" || c.role == "none" {
		return c.auth
	}
	return c.role
}

// actionState is the same for the digest.
func (c *codec) actionState() map[string]string {
	var settings, temp []string
	for _, name := range []string{"DateStyle", "IntervalStyle", "TimeZone", "default_transaction_read_only", "is_superuser"} {
		settings = append(settings, name+"="+c.reported[name])
	}
	for _, t := range c.temp {
		temp = append(temp, t.Name+"<"+strings.Join(t.Sources, ",")+">")
	}
	return map[string]string{
		"database": c.database, "role": c.effectiveRole(), "session_user": c.auth, "search_path": c.searchPath,
		"settings": strings.Join(settings, ";"), "temp": strings.Join(temp, ";"),
	}
}

// stateQueries ask what settle wants to know.
var stateQueries = []string{"SHOW role", "SHOW session_authorization", "SHOW search_path", "SHOW standard_conforming_strings", "SHOW client_encoding"}

// errCanceled marks that a cancel request met a statement of the gate's own.
var errCanceled = errors.New("canceled")

// settle reads role, authorization and search path back from the server when
// something may have changed them. SHOW takes no snapshot, so it may stand before
// SET TRANSACTION; a Flush instead of a Sync keeps an implicit transaction open.
func (c *codec) settle(conn *gate.Conn) error {
	if c.known || c.status == failed {
		return nil
	}
	// The server reports a parameter that left its pin only at its next
	// ReadyForQuery, too late for what is pipelined behind the change.
	shown, err := c.show(conn, stateQueries...)
	if errors.Is(err, errCanceled) {
		// The client called off what was to come, or what had just ended.
		if c.canceled = true; c.status == failed {
			return nil
		}
		shown, err = c.show(conn, stateQueries...)
	}
	if err != nil {
		return fmt.Errorf("reading the session's state back: %w", err)
	}
	if c.suspect {
		if err := c.verifyNames(conn); err != nil {
			return fmt.Errorf("reading the prepared statements back: %w", err)
		}
	}
	if !holds("standard_conforming_strings", shown[3]) || !holds("client_encoding", shown[4]) {
		c.pinned = leftPin("a parse-relevant setting")
	}
	if c.pinned != nil {
		return c.fatal(conn, c.pinned)
	}
	c.role, c.auth, c.searchPath, c.known = shown[0], shown[1], shown[2], true
	return nil
}

// Recheck reads the state again after a hold and compares. The session itself
// could not change it, but an administrator could have, and anybody may have
// replaced a view.
func (c *codec) Recheck(conn *gate.Conn, r *gate.Request) error {
	changed := &gate.Denied{Status: gate.StatusDenied, Reason: "what the statement means changed while it waited", Hint: "Ask again: it will be decided as it now is."}
	before := c.actionState()
	c.known, c.canceled = false, false
	err := c.settle(conn)
	if errors.Is(err, errCanceled) || c.canceled {
		return &gate.Denied{Status: gate.StatusCanceled, Reason: "canceled before it ran", Hint: "The same request asked again finds its approval."}
	}
	if err != nil {
		return err
	}
	if !maps.Equal(before, c.actionState()) {
		return changed
	}
	c.g.catalog.forget()
	was := c.snap
	if c.look(); c.snap == nil {
		return errors.New("reading the catalogue again failed")
	}
	if was == c.snap {
		return nil
	}
	b := r.State.(*batch)
	for _, j := range b.judged {
		same, err := c.sameAgain(b, j)
		if err != nil {
			return err
		}
		if !same {
			return changed
		}
	}
	return nil
}

// ownName marks statements and portals of the gate's own; clients may not use it.
const ownName = "_assent"

// verifyNames drops each prepared statement that is no longer the text we
// judge it by: a function or an unknown text can deallocate a name and prepare another.
// The unnamed statement is the protocol's alone, so no code reaches it.
func (c *codec) verifyNames(conn *gate.Conn) error {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(c.prepared)), func(name string) bool { return name == "" })
	queries := make([]string, len(names))
	for i, name := range names {
		queries[i] = "SELECT statement FROM pg_catalog.pg_prepared_statements WHERE name OPERATOR(pg_catalog.=) " + literal(name)
	}
	for len(queries) > 0 {
		n := min(len(queries), 100)
		texts, err := c.values(conn, queries[:n])
		if err != nil {
			return err
		}
		for i, text := range texts {
			if text == nil || *text != c.prepared[names[i]].text {
				delete(c.prepared, names[i])
			}
		}
		names, queries = names[n:], queries[n:]
	}
	c.suspect = false
	return nil
}

// show runs SHOW statements of our own and returns their values.
func (c *codec) show(conn *gate.Conn, queries ...string) ([]string, error) {
	values, err := c.values(conn, queries)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(values))
	for i, v := range values {
		if v == nil {
			return nil, errors.New("upstream did not answer")
		}
		out[i] = *v
	}
	return out, nil
}

// values runs statements of our own and returns what each says, nil when it
// has no row. Named statements leave the client's unnamed one alone.
func (c *codec) values(conn *gate.Conn, queries []string) ([]*string, error) {
	m := appendFrame(nil, 'C', []byte{'P'}, cstr(ownName)) // what an error left behind
	m = appendFrame(m, 'C', []byte{'S'}, cstr(ownName))
	for _, q := range queries {
		m = appendFrame(m, 'P', cstr(ownName), cstr(q), []byte{0, 0})
		m = appendFrame(m, 'B', cstr(ownName), cstr(ownName), make([]byte, 6))
		m = appendFrame(m, 'E', cstr(ownName), make([]byte, 4))
		m = appendFrame(m, 'C', []byte{'P'}, cstr(ownName))
		m = appendFrame(m, 'C', []byte{'S'}, cstr(ownName))
	}
	closes := 2*len(queries) + 2
	end := byte('S')
	if c.unsynced {
		end = 'H'
	}
	if err := conn.Send(appendFrame(m, end)); err != nil {
		return nil, err
	}
	c.own = true
	defer func() { c.own = false }()
	values := make([]*string, len(queries))
	at := 0
	for {
		f, err := c.next(conn)
		if err != nil {
			return nil, err
		}
		switch f.kind() {
		case 'D':
			w := walker{b: f.body()}
			w.u16()
			v := string(w.value())
			if w.bad || at >= len(values) {
				return nil, errRow
			}
			values[at] = &v
		case 'C':
			at++
		case 'E':
			no := saidNo(f)
			if end == 'H' || errors.Is(no, gate.ErrLost) {
				return nil, no
			}
			if _, err := c.drain(conn); err != nil { // the connection stays in step
				return nil, err
			}
			return nil, no
		case '3':
			if closes--; closes == 0 && end == 'H' {
				return values, nil
			}
		case 'Z':
			c.ready(f)
			if at != len(queries) {
				return nil, errors.New("upstream did not answer")
			}
			return values, nil
		case '1', '2', 'n', 'T':
		default:
			return nil, fmt.Errorf("upstream sent message %q", f.kind())
		}
	}
}

// saidNo is upstream's refusal of a statement of the gate's own. FATAL is its last word.
func saidNo(f frame) error {
	code, severity := errorCode(f.body())
	if severity == "FATAL" || severity == "PANIC" {
		return fmt.Errorf("upstream error %s: %w", code, gate.ErrLost)
	}
	if code == "57014" {
		return fmt.Errorf("upstream error %s: %w", code, errCanceled)
	}
	return fmt.Errorf("upstream error %s", code)
}

// next reads upstream's next message and deals with those that may come at any time.
func (c *codec) next(conn *gate.Conn) (frame, error) {
	for {
		if len(c.out) > 0 && !complete(conn.Up) {
			if err := c.flush(conn); err != nil {
				return nil, err
			}
		}
		f, copied, err := peekFrame(conn.Up, c.buf, c.g.cfg.MaxMessage)
		if err != nil {
			return nil, err
		}
		if copied && cap(f) <= 1<<20 { // one huge row must not stay with an idle connection
			c.buf = f[:0]
		}
		done, err := c.async(conn, f)
		if err != nil {
			return nil, err
		}
		if !done {
			return f, nil
		}
	}
}

// async handles the messages that upstream may send at any time.
func (c *codec) async(conn *gate.Conn, f frame) (bool, error) {
	switch f.kind() {
	case 'S':
		return true, c.parameterStatus(conn, f)
	case 'N':
		if !c.own {
			c.out = c.appendReport(c.out, f, c.text)
		}
		return true, nil
	case 'A':
		w := walker{b: f.body()}
		pid, channel, payload := w.u32(), w.str(), w.str()
		if !w.done() {
			return false, errors.New("upstream sent a malformed notification")
		}
		c.out = appendFrame(c.out, 'A', binary.BigEndian.AppendUint32(nil, pid), c.text([]byte(channel)), []byte{0}, c.text([]byte(payload)), []byte{0})
		return true, nil
	}
	return false, nil
}

// Idle copies what the server says between requests. An error there is its
// last word (shutdown, time-out), so the connection ends with it.
func (c *codec) Idle(conn *gate.Conn) error {
	for conn.Up.Buffered() > 0 {
		f, err := readFrame(conn.Up, nil, c.g.cfg.MaxMessage)
		if err != nil {
			return err
		}
		if f.kind() == 'E' {
			c.out = c.appendReport(c.out, f, c.text)
			return errors.Join(c.flush(conn), errors.New("upstream ended the session"))
		}
		done, err := c.async(conn, f)
		if err != nil {
			return err
		}
		if !done {
			return fmt.Errorf("upstream sent message %q unasked", f.kind())
		}
	}
	if c.pinned != nil {
		return c.fatal(conn, c.pinned)
	}
	return c.flush(conn)
}

// ready takes a ReadyForQuery: the true transaction status, and what ends with a transaction.
func (c *codec) ready(f frame) {
	c.status, c.unsynced = failed, false
	if len(f.body()) == 1 {
		c.status = f.body()[0]
	}
	if c.status != idle {
		return
	}
	if c.altered {
		c.g.catalog.forget()
		c.altered, c.reshaped = false, false
	}
	for _, p := range c.portals {
		p.finish()
	}
	clear(c.portals)
	for name, cur := range c.cursors {
		if !cur.hold {
			cur.finish()
			delete(c.cursors, name)
		}
	}
	if c.touched {
		c.known, c.touched = false, false
	}
}

func (p *portal) finish() {
	if p.permit != nil {
		p.permit.Done(gate.Outcome{State: gate.Executed})
		p.permit = nil
	}
}

func (cur *cursor) finish() {
	if cur.permit != nil {
		cur.permit.Done(gate.Outcome{State: gate.Executed, Rows: cur.rows})
		cur.permit = nil
	}
}

// abort makes an open transaction fail, so that COMMIT cannot keep half of what
// was asked for. The text is no statement: the server refuses it and the status becomes E.
func (c *codec) abort(conn *gate.Conn) error {
	m := appendFrame(nil, 'P', cstr(ownName), cstr("denied by the gate"), []byte{0, 0})
	if err := conn.Send(appendFrame(m, 'S')); err != nil {
		return err
	}
	c.own = true
	defer func() { c.own = false }()
	_, err := c.drain(conn)
	return err
}

// drain discards replies up to ReadyForQuery, and reports whether an error was among them.
func (c *codec) drain(conn *gate.Conn) (failed bool, err error) {
	for {
		f, err := c.next(conn)
		if err != nil {
			return failed, err
		}
		switch f.kind() {
		case 'E':
			failed = true
		case 'Z':
			c.ready(f)
			return failed, nil
		}
	}
}
