package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
)

// A batch is one request: a simple query, or extended messages up to a Sync,
// a Flush, or a point where the session's state may change under what follows.
type batch struct {
	raw     []byte
	steps   []step
	actions []*action.Action
	judged  []judged // of each action
	refusal *refused // the first; the rest of the batch is only read
	synced  bool     // ends with Sync, or is a simple query
	local   bool     // answered here: upstream was synchronised when we denied

	prepared map[string]*prepared // as it will be if upstream accepts; nil: closed
	portals  map[string]*portal
	cursors  map[string]*cursor
	in       []byte // the client's last message
	payloads []byte
	params   []param
	request  gate.Request
	kept     bool // something of it lives on: its memory is not used again
	shifted  bool // an earlier statement of this request changes what gives later ones their meaning
	coded    bool // an earlier statement of this text runs code, which may rename what we know by name
}

type stepKind uint8

const (
	stepQuery stepKind = iota
	stepParse
	stepBind
	stepDescribeStatement
	stepDescribePortal
	stepExecute
	stepCloseStatement
	stepClosePortal
	stepSync
	stepCall
)

// A step is one message sent, with the reply it will have.
type step struct {
	kind     stepKind
	hidden   bool // ours: the client must not see the reply
	name     string
	prepared *prepared
	portal   *portal
	runs     []run
	call     field // what a function call returns
	loose    bool  // upstream may see other statements than the parser did
}

// A run is one statement that will run.
type run struct {
	st      *sql.Statement
	action  int // in the request; -1: harmless, or under an older permit
	text    string
	runs    string   // EXECUTE: the name of what runs; text is its text
	types   []uint32 // of its parameters, as declared by the protocol
	cursor  *cursor  // FETCH and MOVE: runs under its permit
	declare *cursor
	copy    *copyFormat
	columns []action.Column // with everything behind their sources
	meaning *meaning
	bound   *int64 // rows it may change; nil: any number
	code    bool   // may run code, its own or a trigger's, a view's, a rule's
}

type param struct {
	value  []byte // nil: NULL
	binary bool
}

// What a session may make the gate remember: prepared statements, and bytes of each.
const (
	maxPrepared = 10_000
	maxText     = 4 << 20
)

// clientMessages are the types a client may send after its login.
const clientMessages = "QPBDECHSXFdcf"

// ReadRequest reads one batch and makes its actions.
func (c *codec) ReadRequest(conn *gate.Conn) (*gate.Request, error) {
	if c.pinned != nil {
		return nil, c.fatal(conn, c.pinned)
	}
	b := c.batch()
	for {
		kind, err := conn.In.Peek(1)
		if err != nil {
			return nil, err
		}
		if strings.IndexByte(clientMessages, kind[0]) < 0 {
			return nil, fmt.Errorf("message %q from the client: %w", kind[0], gate.ErrUnreadable)
		}
		if b.coded && strings.IndexByte("PBDEC", kind[0]) >= 0 { // judged once the code has run
			b.raw = appendFrame(b.raw, 'H')
			return c.request(b)
		}
		f, err := b.read(conn, c.g.cfg.MaxMessage)
		if err != nil {
			return nil, err
		}
		if len(b.raw)+len(f) > c.g.cfg.MaxMessage {
			return nil, fmt.Errorf("a batch of more than %d bytes: %w", c.g.cfg.MaxMessage, gate.ErrUnreadable)
		}
		if f.kind() == 'X' {
			return nil, io.EOF
		}
		if c.skip != skipNothing && f.kind() != 'S' {
			continue // as the server does after an error
		}
		end, err := c.add(conn, b, f)
		if err != nil {
			return nil, err
		}
		if end {
			return c.request(b)
		}
	}
}

func (c *codec) request(b *batch) (*gate.Request, error) {
	r := &b.request
	r.Raw, r.Actions, r.State, r.Reads = b.raw, b.actions, b, b.reads()
	if b.refusal != nil {
		return r, &gate.Denied{Status: gate.StatusDenied, Reason: b.refusal.text}
	}
	if len(r.Actions) == 0 {
		r.Harmless = "statements without effect"
	}
	for _, a := range r.Actions {
		if c.status == inTx || c.unsynced { // locks are held meanwhile
			a.Wait, a.Locks = c.g.cfg.TransactionWait, true
			if w := c.g.cfg.Wait; w > 0 && w < a.Wait {
				a.Wait = w
			}
		}
	}
	return r, nil
}

// reads reports whether the server may ask for COPY data while b runs.
func (b *batch) reads() bool {
	copies := func(r *run) bool { return r.st.Copy != nil && !r.st.Copy.Out }
	for i := range b.steps {
		s := &b.steps[i]
		if s.loose || s.portal != nil && copies(&s.portal.run) {
			return true
		}
		for j := range s.runs {
			if copies(&s.runs[j]) {
				return true
			}
		}
	}
	return false
}

// add takes one message into the batch. It reports whether the batch ends with it.
func (c *codec) add(conn *gate.Conn, b *batch, f frame) (end bool, err error) {
	switch f.kind() {
	case 'Q':
		if len(b.steps) > 0 || c.unsynced {
			return false, fmt.Errorf("a simple query inside an extended batch: %w", gate.ErrUnreadable)
		}
		b.synced = true
		return true, c.addQuery(conn, b, f)
	case 'F':
		if len(b.steps) > 0 || c.unsynced {
			return false, fmt.Errorf("a function call inside an extended batch: %w", gate.ErrUnreadable)
		}
		b.synced = true
		return true, c.addCall(conn, b, f)
	case 'S':
		b.synced = true
		b.local = c.skip == skipHere
		c.skip = skipNothing
		if !b.local {
			b.raw = append(b.raw, f...)
			b.steps = append(b.steps, step{kind: stepSync})
		}
		return true, nil
	case 'H':
		b.raw = append(b.raw, f...)
		return len(b.steps) > 0 || b.refusal != nil, nil
	case 'd', 'c', 'f': // what a client had under way when its COPY failed; the server drops it too
		return false, nil
	case 'P', 'B', 'D', 'E', 'C':
		if longName(f) {
			b.refuse("42622", "names of statements and portals have at most 63 bytes")
		}
	default:
		return false, fmt.Errorf("message %q from the client: %w", f.kind(), gate.ErrUnreadable)
	}
	if b.refusal != nil {
		return false, nil
	}
	return c.addExtended(conn, b, f)
}

// longName reports whether a message names something by more bytes than the
// server compares (NAMEDATALEN - 1): it takes two such names for one.
func longName(f frame) bool {
	w := walker{b: f.body()}
	if f.kind() == 'D' || f.kind() == 'C' {
		w.u8()
	}
	return len(w.str()) > 63 || f.kind() == 'B' && len(w.str()) > 63
}

func (b *batch) refuse(code, text string) {
	if b.refusal == nil {
		b.refusal = &refused{code: code, text: text}
	}
}

func malformed(f frame) error {
	return fmt.Errorf("malformed message %q: %w", f.kind(), gate.ErrUnreadable)
}

func (c *codec) addExtended(conn *gate.Conn, b *batch, f frame) (end bool, err error) {
	w := walker{b: f.body()}
	switch f.kind() {
	case 'P':
		if len(c.prepared) >= maxPrepared || len(f) > maxText {
			b.refuse("54000", "too many or too long prepared statements")
			return false, nil
		}
		name, p := w.str(), &prepared{text: w.str()}
		for range w.u16() {
			p.types = append(p.types, w.u32())
		}
		if !w.done() {
			return false, malformed(f)
		}
		if strings.HasPrefix(name, ownName) || !utf8.ValidString(name) || !utf8.ValidString(p.text) {
			b.refuse("22021", "statement names and texts must be UTF-8 and not begin with "+ownName)
			return false, nil
		}
		b.prepared[name] = p
		b.push(f, step{kind: stepParse, name: name, prepared: p})
	case 'B':
		return false, c.addBind(conn, b, f)
	case 'E':
		return c.addExecute(conn, b, f)
	case 'D', 'C':
		what, name := w.u8(), w.str()
		if !w.done() || what != 'S' && what != 'P' || strings.HasPrefix(name, ownName) {
			return false, malformed(f)
		}
		c.addAbout(b, f, what, name)
	}
	return false, nil
}

func (b *batch) push(f frame, s step) {
	b.raw = append(b.raw, f...)
	b.steps = append(b.steps, s)
}

// addAbout takes a Describe or a Close.
func (c *codec) addAbout(b *batch, f frame, what byte, name string) {
	s := step{name: name}
	switch {
	case f.kind() == 'D' && what == 'S':
		s.kind, s.prepared = stepDescribeStatement, c.lookup(b, name)
	case f.kind() == 'D':
		s.kind, s.portal = stepDescribePortal, c.portal(b, name)
		if s.portal != nil {
			s.portal.known = true
		}
	case what == 'S':
		s.kind = stepCloseStatement
		b.prepared[name] = nil
	default:
		s.kind, s.portal = stepClosePortal, c.portal(b, name)
		b.portals[name], b.cursors[name] = nil, nil // the server has one table for both
	}
	b.push(f, s)
}

func (c *codec) lookup(b *batch, name string) *prepared {
	if p, is := b.prepared[name]; is {
		return p
	}
	return c.prepared[name]
}

func (c *codec) portal(b *batch, name string) *portal {
	if p, is := b.portals[name]; is {
		return p
	}
	return c.portals[name]
}

func (c *codec) cursor(b *batch, name string) *cursor {
	if cur, is := b.cursors[name]; is {
		return cur
	}
	return c.cursors[name]
}

// addBind decides a portal's action: text and parameters meet here.
func (c *codec) addBind(conn *gate.Conn, b *batch, f frame) error {
	w := walker{b: f.body()}
	name, statement := w.str(), w.str()
	tail := w.b
	params, ok := readParams(&w, b.params[:0])
	if !ok {
		return malformed(f)
	}
	// Before the look-up: it forgets names that no longer mean what they did.
	if err := c.settle(conn); err != nil {
		return err
	}
	b.params = params
	p := c.lookup(b, statement)
	switch {
	case strings.HasPrefix(name, ownName):
		b.refuse("42602", "portal names must not begin with "+ownName)
		return nil
	case p == nil || p.bySQL:
		b.refuse("26000", "the gate knows no such prepared statement; prepare it again")
		return nil
	}
	for _, v := range params {
		if !v.binary && !utf8.Valid(v.value) {
			b.refuse("22021", "parameters must be UTF-8")
			return nil
		}
	}
	c.look()
	res := c.classify(p, c.knows())
	if len(res.Statements) != 1 {
		b.refuse("42601", "a prepared statement holds one statement")
		return nil
	}
	st, err := c.withParameters(&res.Statements[0], p.types)
	if err != nil {
		b.refuse("AS004", "the gate cannot tell what the types of these parameters are; try again later")
		return nil
	}
	r, err := c.plan(conn, b, st, p.text, b.payload(p.text, tail))
	if err != nil || b.refusal != nil {
		return err
	}
	r.code = r.code || runsCode(st)
	if r.action >= 0 {
		a := b.actions[r.action]
		a.State = p.withTypes(a.State)
		types := p.types
		if len(p.actual) > 0 {
			types = p.actual
		}
		a.Statement = describeParams(a.Statement, params, types)
	}
	if st != &res.Statements[0] { // what runs by name has kinds of its own
		if r.action < 0 {
			b.refuse("0A000", "parameters of types made by users are not let through here")
			return nil
		}
		a := b.actions[r.action]
		a.Kinds = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(a.Kinds), action.Unknown))))
	}
	po := &portal{name: name, run: r, state: c.knows().meaning, types: p.types}
	if len(p.actual) > 0 {
		po.types = p.actual
	}
	b.portals[name], b.cursors[name] = po, nil
	b.push(f, step{kind: stepBind, name: name, portal: po})
	return nil
}

// readParams reads a Bind's formats, parameters and result formats to its end.
func readParams(w *walker, params []param) ([]param, bool) {
	var few [8]int
	formats := few[:0]
	for range w.u16() {
		if formats = append(formats, w.u16()); w.bad || formats[len(formats)-1] > 1 {
			return nil, false
		}
	}
	n := w.u16()
	if w.bad || len(formats) > 1 && len(formats) != n {
		return nil, false
	}
	for i := range n {
		p := param{value: w.value()}
		switch {
		case len(formats) == 1:
			p.binary = formats[0] == 1
		case i < len(formats):
			p.binary = formats[i] == 1
		}
		if w.bad {
			return nil, false
		}
		params = append(params, p)
	}
	for range w.u16() {
		if w.u16() > 1 {
			return nil, false
		}
	}
	return params, w.done()
}

// describeParams adds parameters to text for people to read.
func describeParams(text string, params []param, types []uint32) string {
	if len(params) == 0 {
		return text
	}
	var s strings.Builder
	s.Grow(len(text) + 48*len(params))
	s.WriteString(text)
	var buf [256]byte
	for i, p := range params {
		oid := uint32(0)
		if i < len(types) {
			oid = types[i]
		}
		one := strconv.AppendInt(append(buf[:0], "\n-- $"...), int64(i+1), 10)
		s.Write(appendParam(append(one, " = "...), p, oid))
	}
	return s.String()
}

func appendParam(b []byte, p param, oid uint32) []byte {
	switch {
	case p.value == nil:
		return append(b, "NULL"...)
	case !p.binary || textual(oid) && utf8.Valid(p.value):
		if len(p.value) > shownText {
			return appendLeftOut(b, p.value, "text")
		}
		return strconv.AppendQuote(b, string(p.value))
	}
	switch len(p.value) {
	case 1, 2, 4, 8:
		if oid == 16 || oid == 20 || oid == 21 || oid == 23 || oid == 26 {
			var n int64
			for i, x := range p.value {
				if i == 0 {
					n = int64(int8(x))
					continue
				}
				n = n<<8 | int64(x)
			}
			return strconv.AppendInt(b, n, 10)
		}
	}
	b = hex.AppendEncode(append(b, '\\', 'x'), p.value[:min(len(p.value), shownBytes)])
	if len(p.value) > shownBytes {
		return appendLeftOut(append(b, "… "...), p.value, "a binary value")
	}
	return b
}

// What people are shown of one parameter. Of a longer text they see nothing: cut in
// the middle, a value or a key would no longer be found, and so not be masked. What
// they approve is all of it, by its digest.
const (
	shownBytes = 256
	shownText  = 64 << 10
)

// appendLeftOut tells a value by its size and the beginning of its SHA-256.
func appendLeftOut(b []byte, value []byte, what string) []byte {
	sum := sha256.Sum256(value)
	return fmt.Appendf(b, "(%d bytes of %s, sha256 %x…)", len(value), what, sum[:8])
}

// textual types have the same bytes in text and binary format.
func textual(oid uint32) bool {
	return slices.Contains([]uint32{0, 18, 19, 25, 114, 142, 705, 1042, 1043}, oid)
}

// addExecute lets a decided portal run. Where that may change how the server
// reads what follows, the batch ends here, with a Flush of our own.
func (c *codec) addExecute(conn *gate.Conn, b *batch, f frame) (end bool, err error) {
	w := walker{b: f.body()}
	name, _ := w.str(), w.u32()
	if !w.done() {
		return false, malformed(f)
	}
	po := c.portal(b, name)
	if po == nil {
		b.refuse("34000", "the gate knows no such portal")
		return false, nil
	}
	same, err := c.sameMeaning(conn, b, po)
	if err != nil {
		return false, err
	}
	if !same {
		b.refuse("55000", "what this portal means changed since it was bound; bind it again")
		return false, nil
	}
	if !po.known && po.run.copy == nil {
		b.push(appendFrame(nil, 'D', []byte{'P'}, cstr(name)), step{kind: stepDescribePortal, hidden: true, portal: po})
		po.known = true
	}
	b.push(f, step{kind: stepExecute, portal: po})
	c.willRun(b, &po.run)
	b.coded = b.coded || po.run.code
	if shifts(po.run.st) {
		b.raw = appendFrame(b.raw, 'H')
		return true, nil
	}
	return false, nil
}

// sameMeaning reports whether a portal still runs what was decided when it was
// bound. The server looks up the names in EXECUTE, FETCH and utility statements
// only when it runs them.
func (c *codec) sameMeaning(conn *gate.Conn, b *batch, po *portal) (bool, error) {
	if c.portals[po.name] == po {
		if err := c.settle(conn); err != nil {
			return false, err
		}
		if po.state != c.knows().meaning {
			return false, nil
		}
	}
	if po.run.cursor != nil && c.cursor(b, po.run.st.Cursor.Name) != po.run.cursor {
		return false, nil
	}
	if po.run.runs == "" {
		return true, nil
	}
	p := c.lookup(b, po.run.runs)
	return p != nil && p.text == po.run.text && slices.Equal(p.types, po.run.types), nil
}

// meaning is what names mean in this session, for comparison.
func (c *codec) meaningNow() string {
	return c.effectiveRole() + "\x00" + c.auth + "\x00" + c.searchPath + "\x00" + strconv.Itoa(len(c.temp))
}

// willRun notes what the names of this batch mean once the run has run. A
// statement that is bound and never executed changes nothing.
func (c *codec) willRun(b *batch, r *run) {
	st := r.st
	switch {
	case st.Prepare != nil:
		b.prepared[st.Prepare.Name] = &prepared{text: r.text, bySQL: true}
	case st.Deallocate == "*":
		for name := range c.prepared {
			b.prepared[name] = nil
		}
		for name := range b.prepared {
			b.prepared[name] = nil
		}
	case st.Deallocate != "":
		b.prepared[st.Deallocate] = nil
	case r.declare != nil:
		b.cursors[st.Cursor.Name], b.portals[st.Cursor.Name] = r.declare, nil
	case st.Cursor != nil && st.Cursor.Op == sql.CursorClose && st.Cursor.Name != "*":
		b.cursors[st.Cursor.Name], b.portals[st.Cursor.Name] = nil, nil
	case st.Cursor != nil && st.Cursor.Op == sql.CursorClose:
		for name := range c.portals {
			b.portals[name] = nil
		}
		for name := range b.portals {
			b.portals[name] = nil
		}
	}
}

// shifts reports whether a statement may change what gives later ones their meaning.
func shifts(st *sql.Statement) bool {
	switch st.Tx.Op {
	case sql.TxNone, sql.TxBegin, sql.TxSavepoint, sql.TxRelease:
	default:
		return true
	}
	return len(st.Session) > 0 || runsCode(st) || st.Has(action.SchemaChange)
}

// runsCode reports whether a statement may run code that prepares, closes, declares
// and sets what it likes.
func runsCode(st *sql.Statement) bool { return st.Has(action.Execute) || st.Has(action.Unknown) }

// addQuery takes a simple query: every statement is decided, the whole message waits.
func (c *codec) addQuery(conn *gate.Conn, b *batch, f frame) error {
	w := walker{b: f.body()}
	body := w.bytes()
	if !w.done() {
		return malformed(f)
	}
	if len(body) > maxText { // nobody parses it, and nobody could read it
		b.refuse("54000", "a statement has at most 4 MiB here; send large values as parameters or by COPY")
		return nil
	}
	if !utf8.Valid(body) {
		b.refuse("22021", "a query must be UTF-8")
		return nil
	}
	if err := c.settle(conn); err != nil {
		return err
	}
	c.look()
	known := c.knows()
	text := known.text(body)
	res := c.g.cfg.Classifier.Classify(text, known.state)
	s := step{kind: stepQuery, loose: res.ParseError, runs: b.runs()}
	for i := range res.Statements {
		r, err := c.plan(conn, b, &res.Statements[i], text, body)
		if err != nil || b.refusal != nil {
			return err
		}
		s.runs = append(s.runs, r)
		c.willRun(b, &r)
		b.coded = b.coded || r.code
		b.shifted = b.shifted || b.coded || shiftsText(&res.Statements[i], c.touched || b.shifted)
	}
	b.push(f, s)
	return nil
}

// shiftsText is shifts for one text, which the server parses as a whole before
// it runs any of it: only names can change their meaning.
func shiftsText(st *sql.Statement, touched bool) bool {
	switch st.Tx.Op {
	case sql.TxCommit, sql.TxRollback, sql.TxRollbackTo, sql.TxPrepare:
		return touched
	}
	for _, e := range st.Session {
		switch {
		case e.Kind == sql.SessionRole, e.Kind == sql.SessionAuthorization, e.Kind == sql.SessionSearchPath, e.Kind == sql.SessionDiscard:
			return true
		case e.Name == "*" || e.Name == "role" || e.Name == "session_authorization" || e.Name == "search_path":
			return true
		}
	}
	return false
}

// plan says how one statement runs: as an action of its own, under the permit
// of its cursor, or as harmless.
func (c *codec) plan(conn *gate.Conn, b *batch, st *sql.Statement, text string, payload []byte) (run, error) {
	r := run{st: st, action: -1, text: st.Text(text)}
	source := text
	start, _ := st.Span(text)
	if c.status == failed && st.Tx.Op == sql.TxNone {
		// What the session is once the transaction has ended is not known yet,
		// so nothing may stand behind its end in one message.
		b.refuse("25P02", "current transaction is aborted, commands ignored until end of transaction block")
		return r, nil
	}
	for _, e := range st.Session {
		if want, is := pins[strings.ToLower(e.Name)]; is && e.Kind != sql.SessionReset && (!e.Known || !samePin(e.Value, want)) {
			b.refuse("22023", strings.ToLower(e.Name)+" is pinned to "+want+" by this gate")
			return r, nil
		}
	}
	if done, err := c.planNamed(b, &r); done || err != nil || b.refusal != nil {
		return r, err
	}
	if cp := r.st.Copy; cp != nil && cp.Out && !cp.File && !cp.Program {
		format, err := c.planCopy(conn, r.text, cp)
		var no *refused
		if errors.As(err, &no) {
			b.refuse(no.code, no.text)
			return r, nil
		}
		if err != nil {
			return r, err
		}
		r.copy = format
	}
	if len(r.st.Kinds) == 0 && r.st.Harmless != "" && !(c.reshaped && slices.Contains(evaluating, r.st.Verb)) {
		harmless, err := c.plansOnly(r.st)
		if err != nil {
			b.refuse("AS004", "the gate cannot tell what planning this statement runs; try again later")
		}
		if err != nil || harmless {
			return r, nil
		}
	}
	if r.runs != "" { // EXECUTE s says nothing: people see, and approve, what s is
		payload = append(append(slices.Clone(payload), 0), r.text...)
		text += "\n-- " + strconv.Quote(r.runs) + " is: " + r.text
		if len(r.types) > 0 {
			payload = fmt.Append(payload, "\x00", r.types)
			text += fmt.Sprint("\n-- with parameters of types ", r.types)
		}
	}
	m, err := c.meaningOf(r.st)
	if err != nil {
		b.refuse("AS004", "the gate cannot tell where the columns of this statement come from; try again later")
		return r, nil
	}
	r.action, r.columns, r.meaning = len(b.actions), m.ask.Columns, m
	if r.declare != nil {
		r.declare.columns = r.columns
	}
	a := c.describe(b, m, text, payload)
	r.code = slices.Contains(a.Kinds, action.Execute) || slices.Contains(a.Kinds, action.Unknown)
	if r.declare != nil {
		r.declare.code = r.code
	}
	b.judged = append(b.judged, judged{start: start, text: source, plan: m.plan})
	return r, nil
}

// evaluating are statements that call functions even where they touch no rows.
var evaluating = []string{"select", "prepare", "execute", "explain", "declare cursor"}

// plansOnly reports whether a statement without kinds stays without: EXPLAIN plans,
// which runs functions that call themselves immutable, in a view's definition too,
// and may ask a foreign server for estimates.
func (c *codec) plansOnly(st *sql.Statement) (bool, error) {
	if st.Explain == nil || len(st.Objects) == 0 {
		return true, nil
	}
	if c.snap == nil {
		return false, errors.New("the catalogue could not be read")
	}
	p, err := c.snap.planned(st, c.g.cfg.Class)
	return err == nil && len(p.kinds) == 0, err
}

func samePin(value, want string) bool {
	v := strings.ToLower(strings.Trim(value, "'\""))
	if want == "UTF8" {
		return v == "utf8" || v == "utf-8" || v == "unicode" || v == "sql_ascii"
	}
	return v == want || v == "true" || v == "1" || v == "yes"
}

// preparable are what PREPARE takes. The protocol prepares anything, and EXECUTE would run
// it: a PREPARE, DEALLOCATE, DECLARE or ROLLBACK whose effect on the session nobody noted.
var preparable = []string{"select", "insert", "update", "delete", "merge"}

// takesOwnName says that st gives something a name of the gate's own, by SQL. The
// gate could then no longer ask the server anything in this session.
func takesOwnName(st *sql.Statement) bool {
	return st.Prepare != nil && strings.HasPrefix(st.Prepare.Name, ownName) ||
		st.Cursor != nil && st.Cursor.Op == sql.CursorDeclare && strings.HasPrefix(st.Cursor.Name, ownName)
}

// planNamed resolves what runs by name: EXECUTE, FETCH and MOVE, and notes
// what DECLARE makes. An unknown name is refused.
func (c *codec) planNamed(b *batch, r *run) (done bool, err error) {
	st := r.st
	switch {
	case takesOwnName(st):
		b.refuse("42602", "names of statements and cursors must not begin with "+ownName)
		return true, nil
	case b.coded && (st.Execute != "" || st.Cursor != nil && (st.Cursor.Op == sql.CursorFetch || st.Cursor.Op == sql.CursorMove)):
		b.refuse("55000", "what this name means is known only when the code before it has run; send it by itself")
		return true, nil
	case st.Execute != "":
		p := c.lookup(b, st.Execute)
		if p == nil {
			b.refuse("26000", "the gate knows no such prepared statement; prepare it again")
			return true, nil
		}
		inner := &c.g.cfg.Classifier.Classify(p.text, c.knows().state).Statements[0]
		switch {
		case p.bySQL && inner.Prepare == nil:
			b.refuse("26000", "the prepared statement is not understood")
			return true, nil
		case p.bySQL:
			inner = inner.Prepare.Inner
		case !slices.Contains(preparable, inner.Verb):
			b.refuse("0A000", "EXECUTE runs here what PREPARE could have prepared; run this statement by Bind, or by itself")
			return true, nil
		}
		if inner, err = c.withParameters(inner, p.types); err != nil {
			b.refuse("AS004", "the gate cannot tell what the types of these parameters are; try again later")
			return true, nil
		}
		resolved := st.Resolve(inner)
		r.st, r.text, r.runs, r.types = &resolved, p.text, st.Execute, p.types
	case st.Cursor == nil:
	case st.Cursor.Op == sql.CursorDeclare:
		r.declare = &cursor{inner: st.Cursor.Inner, hold: st.Cursor.Hold}
	case st.Cursor.Op == sql.CursorFetch || st.Cursor.Op == sql.CursorMove:
		r.cursor = c.cursor(b, st.Cursor.Name)
		if r.cursor == nil {
			b.refuse("34000", "the gate knows no such cursor")
			return true, nil
		}
		resolved := st.Resolve(r.cursor.inner)
		r.st, r.columns, r.code = &resolved, r.cursor.columns, r.cursor.code
		return true, nil // under the permit it was declared with
	}
	return false, nil
}
