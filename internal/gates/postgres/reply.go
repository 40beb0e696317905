package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
)

// flushAt is how many bytes wait before they are counted and written; after
// wideAfter rows they are read in larger pieces.
const (
	flushAt   = 60 << 10
	wideAfter = 100
)

// stopped means that the rest of a reply may not reach the client, and that the
// statement is to be called off.
type stopped struct{ denied *gate.Denied }

func (s *stopped) Error() string { return s.denied.Reason }

// CopyReply copies the replies of a batch, and ends the transaction that the gate opened for it.
func (c *codec) CopyReply(conn *gate.Conn, r *gate.Request) error {
	err := c.copyReply(conn, r)
	if err == nil && c.tx != nil {
		return c.closeOwn(conn, r)
	}
	return err
}

// copyReply copies the replies of a batch, one step after the other.
func (c *codec) copyReply(conn *gate.Conn, r *gate.Request) error {
	b := r.State.(*batch)
	if b.local {
		c.out = append(c.out, 'Z', 0, 0, 0, 5, c.status)
		return c.flush(conn)
	}
	if !b.synced {
		c.unsynced = true
	}
	for i := range b.steps {
		failed, err := c.copyStep(conn, r, b, &b.steps[i])
		switch {
		case err != nil:
			return c.broken(conn, r, b, &b.steps[i], err)
		case failed:
			return c.afterError(conn, r, b, i)
		}
	}
	c.keepPortals(conn, r, b)
	return c.flush(conn)
}

// broken ends a reply that went wrong: by a limit, or with the connection.
func (c *codec) broken(conn *gate.Conn, r *gate.Request, b *batch, s *step, err error) error {
	var stop *stopped
	if errors.As(err, &stop) {
		return c.callOff(conn, r, b, s, stop.denied)
	}
	c.lose(b)
	if c.ctx.Err() != nil { // cut off: a closed connection alone does not stop what runs
		c.g.cancelUpstream(context.WithoutCancel(c.ctx), c.upstreamKey)
	}
	return err
}

// lose marks what ran under older permits: nobody knows how it went.
func (c *codec) lose(b *batch) {
	for _, s := range b.steps {
		if s.portal != nil && s.portal.permit != nil {
			s.portal.permit.Done(gate.Outcome{State: gate.Unknown})
		}
		for _, run := range s.runs {
			if run.cursor != nil && run.cursor.permit != nil {
				run.cursor.permit.Done(gate.Outcome{State: gate.Unknown})
			}
		}
	}
}

// afterError skips, as the server does, what follows step i up to Sync.
func (c *codec) afterError(conn *gate.Conn, r *gate.Request, b *batch, i int) error {
	c.dropPortals(b)
	c.notRun(r)
	if !b.synced {
		c.skip = skipUpstream
		return c.flush(conn)
	}
	_, err := c.copyStep(conn, r, b, &b.steps[len(b.steps)-1])
	if err != nil {
		return err
	}
	return c.flush(conn)
}

// keepPortals takes over the permits of portals that live on.
func (c *codec) keepPortals(conn *gate.Conn, r *gate.Request, b *batch) {
	for name, po := range b.portals {
		if po != nil && c.portals[name] == po && po.run.action >= 0 && po.permit == nil {
			po.permit, b.kept = r.Keep(conn, po.run.action), true
		}
	}
}

// dropPortals forgets portals of a batch that failed behind them: a savepoint may keep
// them on the server, but their permits end with the batch.
func (c *codec) dropPortals(b *batch) {
	for name, po := range b.portals {
		if po != nil && c.portals[name] == po && po.run.action >= 0 && po.permit == nil {
			delete(c.portals, name)
		}
	}
}

// permit returns what a run may show, and nil when it is harmless.
func (c *codec) permit(r *gate.Request, run *run, po *portal) gate.Permit {
	var p gate.Permit
	switch {
	case po != nil && po.permit != nil:
		p = po.permit
	case run.cursor != nil:
		p = run.cursor.permit
	case run.action >= 0:
		p = r.Permit(run.action)
	}
	if p != nil {
		c.last = p
	}
	return p
}

// copyStep copies the reply of one step. failed means that the server refused it.
func (c *codec) copyStep(conn *gate.Conn, r *gate.Request, b *batch, s *step) (failed bool, err error) {
	c.phase, c.reading, c.said = phaseRun, false, ""
	switch s.kind {
	case stepQuery:
		return false, c.copyQuery(conn, r, s)
	case stepCall:
		return false, c.copyCall(conn, r, s)
	case stepParse, stepDescribeStatement, stepDescribePortal:
		c.phase = phaseAnalysis
	case stepExecute:
		return c.copyRun(conn, r, &s.portal.run, s.portal, 'E')
	}
	if s.portal != nil {
		c.permit(r, &s.portal.run, s.portal)
	}
	for {
		f, err := c.next(conn)
		if err != nil {
			return false, err
		}
		if f.kind() == 'E' && s.kind == stepSync {
			// The commit of an implicit transaction failed: a deferred constraint, the
			// query of a cursor WITH HOLD. ReadyForQuery follows.
			c.reading = true // rows were read
			c.out = c.appendReport(c.out, f, c.text)
			continue
		}
		if f.kind() == 'E' {
			c.out = c.appendReport(c.out, f, c.text)
			code, _ := errorCode(f.body())
			if s.portal != nil && s.portal.run.action >= 0 {
				r.Done(s.portal.run.action, gate.Outcome{State: gate.Failed, Code: code})
			}
			return true, nil
		}
		done, err := c.acknowledge(f, s)
		if err != nil {
			return false, err
		}
		if done {
			return false, nil
		}
	}
}

// acknowledge takes the server's answer to one extended message. This is the
// only place where the gate begins to believe it.
func (c *codec) acknowledge(f frame, s *step) (done bool, err error) {
	switch k := f.kind(); {
	case k == '1' && s.kind == stepParse:
		c.prepared[s.name] = s.prepared
	case k == '2' && s.kind == stepBind:
		if old := c.portals[s.name]; old != nil {
			old.finish()
		}
		c.closeCursor(s.name)
		c.portals[s.name] = s.portal
	case k == '3' && s.kind == stepCloseStatement:
		delete(c.prepared, s.name)
	case k == '3' && s.kind == stepClosePortal:
		c.closePortal(s.name)
		c.closeCursor(s.name)
	case k == 't' && s.kind == stepDescribeStatement:
		w := walker{b: f.body()}
		var types []uint32
		for range w.u16() {
			types = append(types, w.u32())
		}
		if !w.done() {
			return false, errors.New("upstream sent a malformed parameter description")
		}
		if s.prepared != nil {
			s.prepared.actual = types
		}
		c.out = append(c.out, f...)
		return false, nil // the row description follows
	case k == 'T' && (s.kind == stepDescribePortal || s.kind == stepDescribeStatement):
		var known *meaning
		if s.portal != nil {
			known = s.portal.run.meaning
		}
		fields, err := known.fieldsOf(f)
		if err != nil {
			return false, err
		}
		if s.portal != nil {
			s.portal.fields = fields
		}
		if !s.hidden {
			c.out = c.appendFields(c.out, f, fields, c.text)
		}
		return true, nil
	case k == 'n' && (s.kind == stepDescribePortal || s.kind == stepDescribeStatement):
	case k == 'Z' && s.kind == stepSync:
		c.ready(f)
		if c.tx != nil {
			return true, nil // the client hears once it is committed
		}
	default:
		return false, fmt.Errorf("upstream answered with message %q where it cannot", k)
	}
	if !s.hidden {
		c.out = append(c.out, f...)
	}
	return true, nil
}

// copyQuery copies the replies of a simple query: one for each statement, then ReadyForQuery.
func (c *codec) copyQuery(conn *gate.Conn, r *gate.Request, s *step) error {
	for i := 0; ; i++ {
		var failed, ended bool
		var err error
		switch {
		case i < len(s.runs):
			failed, err = c.copyRun(conn, r, &s.runs[i], nil, 'Q')
		case s.loose && len(s.runs) > 0:
			// Upstream's grammar found more statements than ours: all of them run under
			// the permit for the text as a whole.
			ended, failed, err = c.copyMore(conn, r, &s.runs[len(s.runs)-1])
		default:
			failed = true
		}
		if err != nil || ended {
			return err
		}
		if failed {
			break
		}
	}
	c.notRun(r)
	f, err := c.next(conn)
	if err != nil {
		return err
	}
	if f.kind() != 'Z' {
		return fmt.Errorf("upstream answered with message %q where it cannot", f.kind())
	}
	c.ready(f)
	if c.tx == nil {
		c.out = append(c.out, f...)
	}
	return nil
}

func (c *codec) copyMore(conn *gate.Conn, r *gate.Request, last *run) (ended, failed bool, err error) {
	if !complete(conn.Up) {
		if err := c.flush(conn); err != nil {
			return false, false, err
		}
	}
	kind, err := conn.Up.Peek(1)
	if err != nil {
		return false, false, err
	}
	if kind[0] == 'Z' {
		return false, true, nil
	}
	failed, err = c.copyRun(conn, r, last, nil, 'Q')
	return false, failed, err
}

// copyRun copies the reply of one statement, up to its completion or error.
func (c *codec) copyRun(conn *gate.Conn, r *gate.Request, run *run, po *portal, protocol byte) (failed bool, err error) {
	permit := c.permit(r, run, po)
	c.said, c.reading = run.text, protocol == 'E'
	defer func() { c.reading = false }()
	var fields []field
	var rows gate.Rows
	if po != nil {
		fields = po.fields
	}
	var n int64
	for {
		f, err := c.next(conn)
		if err != nil {
			return false, limited(err)
		}
		switch f.kind() {
		case 'T':
			c.reading = true // the simple protocol's analysis is over
			if fields, err = run.meaning.fieldsOf(f); err != nil || protocol != 'Q' {
				return false, errors.Join(err, onlyIf(protocol == 'Q', "a row description in the extended protocol"))
			}
			c.out = c.appendFields(c.out, f, fields, c.text)
		case 'D':
			if rows == nil && permit != nil {
				columns, err := c.source(run, fields)
				if err != nil {
					return false, &stopped{&gate.Denied{Status: gate.StatusNobody, Reason: "the gate cannot tell where these columns come from"}}
				}
				rows = permit.Rows(columns)
			}
			n++
			if err := c.row(conn, f, fields, rows, permit); err != nil {
				return false, limited(err)
			}
			more, err := c.manyRows(conn, fields, rows, permit)
			if n += more; n >= wideAfter {
				conn.Widen()
			}
			if err != nil {
				return false, limited(err)
			}
		case 'G':
			if err := c.copyIn(conn, run, permit, protocol == 'E' && r.State.(*batch).synced, f); err != nil {
				return false, err
			}
		case 'H':
			sent, err := c.copyOut(conn, run, permit, f)
			n += sent
			var failure *copyFailed
			if errors.As(err, &failure) {
				return true, c.failed(r, run, po, failure.f, n)
			}
			if err != nil {
				return false, limited(err)
			}
		case 'C', 'I', 's':
			if err := c.completed(conn, r, run, po, f, n); err != nil {
				return false, limited(err)
			}
			return false, nil
		case 'E':
			return true, c.failed(r, run, po, f, n)
		default:
			return false, fmt.Errorf("upstream answered with message %q where it cannot", f.kind())
		}
	}
}

// failed relays the server's error for a run. Rows before it are counted first.
func (c *codec) failed(r *gate.Request, run *run, po *portal, f frame, n int64) error {
	if err := c.count(); err != nil {
		return limited(err)
	}
	c.out = c.appendReport(c.out, f, c.text)
	code, _ := errorCode(f.body())
	c.finished(r, run, po, gate.Outcome{State: gate.Failed, Code: code, Rows: n})
	c.dirty(run, po)
	c.alters(run.st) // a procedure may have committed before it failed
	return nil
}

func onlyIf(ok bool, text string) error {
	if ok {
		return nil
	}
	return errors.New("upstream sent " + text)
}

// limited turns a limit that was reached into the order to call the statement off.
func limited(err error) error {
	var d *gate.Denied
	if errors.As(err, &d) {
		return &stopped{d}
	}
	return err
}

// stage notes that what follows start in c.out is a row under permit.
func (c *codec) stage(conn *gate.Conn, start int, permit gate.Permit) error {
	if permit == nil {
		if len(c.out) > flushAt {
			return c.flush(conn)
		}
		return nil
	}
	if c.rows > 0 && c.limit != permit {
		return errors.New("rows of two permits at once")
	}
	if c.rows == 0 {
		c.mark, c.limit = start, permit
	}
	c.rows++
	if len(c.out) > flushAt {
		return c.flush(conn)
	}
	return nil
}

// count asks for the staged rows before they are passed on. What is refused is forgotten.
func (c *codec) count() error {
	if c.rows == 0 {
		return nil
	}
	rows, permit := c.rows, c.limit
	c.rows, c.limit = 0, nil
	if err := permit.Count(rows, int64(len(c.out)-c.mark)); err != nil {
		c.out = c.out[:c.mark]
		var d *gate.Denied
		if !errors.As(err, &d) {
			d = &gate.Denied{Status: gate.StatusNobody, Reason: "the rows could not be counted"}
		}
		return d
	}
	return nil
}

// flush counts and writes what waits.
func (c *codec) flush(conn *gate.Conn) error {
	if err := c.count(); err != nil {
		return err
	}
	if len(c.out) == 0 {
		return nil
	}
	w := io.Writer(conn.Out)
	if conn.Out.Buffered() == 0 {
		w = conn.Client()
	}
	_, err := w.Write(c.out)
	if cap(c.out) > 4*flushAt {
		c.out = nil // one huge row must not stay with an idle connection
	}
	c.out = c.out[:0]
	if err != nil {
		return fmt.Errorf("writing to the client: %w", err)
	}
	return conn.Out.Flush()
}

// completed takes CommandComplete, EmptyQueryResponse or PortalSuspended.
func (c *codec) completed(conn *gate.Conn, r *gate.Request, run *run, po *portal, f frame, n int64) error {
	if err := c.count(); err != nil {
		return err
	}
	if f.kind() == 's' && run.bound == nil {
		if po != nil && po.permit == nil && run.action >= 0 { // what follows in its batch may fail
			po.permit, r.State.(*batch).kept = r.Keep(conn, run.action), true
		}
		c.out = append(c.out, f...)
		c.dirty(run, po)
		c.alters(run.st)
		return nil // the permit goes on with the portal
	}
	rows := n
	if f.kind() == 'C' {
		if told, ok := taggedRows(f.body()); ok {
			rows = max(rows, told)
		}
	}
	if run.cursor != nil {
		run.cursor.rows += rows
	}
	if err := pastBound(run, f, rows); err != nil {
		return err
	}
	if !c.tx.holds(r.State.(*batch), run, f) {
		c.out = append(c.out, f...)
	}
	c.applied(conn, r, run, po)
	if run.declare == nil {
		c.finished(r, run, po, gate.Outcome{State: gate.Executed, Code: "00000", Rows: rows})
	}
	return nil
}

// finished completes the action of a run, unless it goes on in a cursor.
func (c *codec) finished(r *gate.Request, run *run, po *portal, o gate.Outcome) {
	switch {
	case po != nil && po.permit != nil:
		po.permit.Done(o)
	case c.tx.later(run, o):
	case run.action >= 0:
		r.Done(run.action, o)
	}
}

// taggedRows is the number at the end of a command tag: "INSERT 0 5", "SELECT 3".
func taggedRows(tag []byte) (n int64, ok bool) {
	digits := bytes.TrimSuffix(tag, []byte{0})
	digits = digits[bytes.LastIndexByte(digits, ' ')+1:]
	for _, d := range digits {
		if d < '0' || d > '9' || n > math.MaxInt64/10-1 {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, len(digits) > 0
}

// dirty notes that a statement may have changed role, authorization or
// search_path: by itself, or by a function or trigger it ran. Code also prepares,
// closes and declares under names that we know, and that stays when it fails or is
// suspended; only the portal that runs it, which may be nil, it cannot close.
func (c *codec) dirty(run *run, running *portal) {
	st := run.st
	if run.code {
		c.suspect = len(c.prepared) > 0
		for name := range c.cursors {
			c.closeCursor(name)
		}
		for name, po := range c.portals {
			if po != running {
				c.closePortal(name)
			}
		}
	}
	switch st.Tx.Op {
	case sql.TxBegin, sql.TxSavepoint, sql.TxRelease:
		return
	case sql.TxNone:
		if st.ReadOnly() && len(st.Session) == 0 && !run.code {
			return
		}
		c.touched = true
	}
	if c.touched {
		c.known = false
	}
}

// alters notes that a statement may have changed a schema. Others see that when
// the transaction ends, this session at once.
func (c *codec) alters(st *sql.Statement) {
	if st.Has(action.SchemaChange) || st.Has(action.Execute) || st.Has(action.Unknown) || len(st.CreatesTemp) > 0 {
		c.altered = true
		c.reshaped = c.reshaped || st.Has(action.SchemaChange) && !slices.Contains(onlyAdding, st.Verb)
		c.g.catalog.forget()
	}
}

// onlyAdding are definitions after which every other name means what it did, and the new
// one a table: nothing is behind it until a further definition puts it there.
var onlyAdding = []string{"create table", "create index", "create sequence", "comment"}

// applied commits to the gate's state what the server acknowledged.
func (c *codec) applied(conn *gate.Conn, r *gate.Request, run *run, po *portal) {
	st := run.st
	c.dirty(run, po)
	switch {
	case st.Prepare != nil:
		c.prepared[st.Prepare.Name] = &prepared{text: run.text, bySQL: true}
	case st.Deallocate == "*":
		clear(c.prepared)
	case st.Deallocate != "":
		delete(c.prepared, st.Deallocate)
	case run.declare != nil:
		c.closePortal(st.Cursor.Name)
		c.closeCursor(st.Cursor.Name)
		if run.action >= 0 {
			run.declare.permit = r.Keep(conn, run.action)
			r.State.(*batch).kept = true
		}
		c.cursors[st.Cursor.Name] = run.declare
	case st.Cursor != nil && st.Cursor.Op == sql.CursorClose && st.Cursor.Name == "*":
		for name := range c.cursors {
			c.closeCursor(name)
		}
		for name := range c.portals {
			c.closePortal(name)
		}
	case st.Cursor != nil && st.Cursor.Op == sql.CursorClose:
		c.closeCursor(st.Cursor.Name)
		c.closePortal(st.Cursor.Name)
	}
	for _, e := range st.Session {
		if e.Kind == sql.SessionDiscard && (e.Name == "*" || strings.EqualFold(e.Name, "all")) {
			clear(c.prepared)
			for name := range c.cursors {
				c.closeCursor(name)
			}
		}
	}
	c.alters(st)
	for _, t := range st.CreatesTemp {
		// A rollback may uncover the relation that t hides, so t is also a source of itself.
		c.temp = append(c.temp, sql.Temp{Name: t.Name, Sources: append([]string{t.Name}, t.Sources...)})
	}
}

// closePortal forgets a portal. Portals and cursors are one table of the server:
// what closes or makes one under a name does it to the other.
func (c *codec) closePortal(name string) {
	if p := c.portals[name]; p != nil {
		p.finish()
		delete(c.portals, name)
	}
}

func (c *codec) closeCursor(name string) {
	if cur := c.cursors[name]; cur != nil {
		cur.finish()
		delete(c.cursors, name)
	}
}

// callOff ends a statement whose reply may not go on: it cancels upstream,
// discards up to ReadyForQuery, and answers with an ERROR and the true status.
func (c *codec) callOff(conn *gate.Conn, r *gate.Request, b *batch, s *step, d *gate.Denied) error {
	c.rows, c.limit = 0, nil
	c.dropPortals(b)
	ran := s.runs
	if s.portal != nil {
		ran = append(ran, s.portal.run)
	}
	for i := range ran {
		c.finished(r, &ran[i], s.portal, gate.Outcome{State: gate.Failed, Code: sqlstate(d)})
		c.dirty(&ran[i], s.portal)
	}
	c.g.cancelUpstream(context.WithoutCancel(c.ctx), c.upstreamKey)
	if b.synced {
		failed, err := c.drain(conn)
		if err != nil {
			return err
		}
		if !failed && c.tx == nil && c.status == idle && slices.ContainsFunc(b.actions, func(a *action.Action) bool { return !onlyReads(a.Kinds) }) {
			late := *d
			late.Hint = strings.TrimSpace(d.Hint + " What else was in its message had been committed by then.")
			d = &late
		}
		if c.tx != nil {
			c.tx.denied = true // rolled back once the client has its error
		} else if c.status == inTx { // the cancel came too late to undo it
			if err := c.abort(conn); err != nil {
				return err
			}
		}
	} else if err := c.abort(conn); err != nil {
		return err
	}
	c.out = append(c.out, c.denial(d, "")...)
	switch {
	case c.tx != nil:
	case b.synced:
		c.out = append(c.out, 'Z', 0, 0, 0, 5, c.status)
	default:
		c.skip = skipHere
	}
	return c.flush(conn)
}

// copyIn relays what the client sends for COPY FROM STDIN, under its permit.
func (c *codec) copyIn(conn *gate.Conn, run *run, permit gate.Permit, synced bool, f frame) error {
	if permit == nil || run.st.Copy == nil || run.st.Copy.Out {
		return errors.New("upstream asked for COPY data that nobody permitted")
	}
	c.out = append(c.out, f...)
	if err := c.flush(conn); err != nil {
		return err
	}
	var lines int64
	bound := permit.Bound()
	for {
		m, err := readFrame(conn.In, c.buf, c.g.cfg.MaxMessage)
		if err != nil {
			return fmt.Errorf("reading COPY data: %w", err)
		}
		switch m.kind() {
		case 'd':
			lines += int64(strings.Count(string(m.body()), "\n"))
			if bound >= 0 && lines > bound {
				m = appendFrame(nil, 'f', cstr("more rows than were approved"))
			}
		case 'H', 'S':
			continue // the server ignores them until CopyDone, and so do we
		case 'c', 'f':
		default:
			return fmt.Errorf("message %q inside COPY: %w", m.kind(), gate.ErrUnreadable)
		}
		if err := conn.Send(m); err != nil {
			return err
		}
		if m.kind() == 'd' {
			continue
		}
		return c.syncAfterCopy(conn, synced)
	}
}

// syncAfterCopy: in the extended protocol the server ignored the batch's Sync
// while it copied, so it waits for another one, which the client sends.
func (c *codec) syncAfterCopy(conn *gate.Conn, synced bool) error {
	if !synced {
		return nil
	}
	f, err := readFrame(conn.In, nil, maxStartup)
	if err != nil {
		return fmt.Errorf("reading the Sync after COPY: %w", err)
	}
	if f.kind() != 'S' {
		return fmt.Errorf("message %q where Sync must follow COPY: %w", f.kind(), gate.ErrUnreadable)
	}
	return conn.Send(f)
}

// Deny refuses a batch in the protocol's own way: ERROR, then the true
// transaction status. Inside a transaction upstream is made to fail too.
func (c *codec) Deny(conn *gate.Conn, r *gate.Request, d *gate.Denied) error {
	switch d.Status {
	case gate.StatusLost:
		c.out, c.rows = c.out[:0], 0
		_, err := conn.Out.Write(errorFrame("FATAL", "57P01", d.Reason, "", ""))
		return err
	case gate.StatusUnreadable:
		_, err := conn.Out.Write(errorFrame("FATAL", "08P01", d.Reason, "", ""))
		return err
	}
	b, _ := r.State.(*batch)
	if b == nil {
		return errors.New("denying a request that was not read")
	}
	code := ""
	if b.refusal != nil {
		code = b.refusal.code
	}
	if err := c.withdraw(conn); err != nil {
		return err
	}
	if c.status == inTx || c.unsynced {
		if err := c.abort(conn); err != nil {
			return err
		}
	}
	c.out = append(c.out, c.denial(d, code)...)
	if b.synced {
		c.out = append(c.out, 'Z', 0, 0, 0, 5, c.status)
	} else {
		c.skip = skipHere
	}
	return c.flush(conn)
}

// sqlstate is the code of a refusal. Class AS is ours.
func sqlstate(d *gate.Denied) string {
	switch d.Status {
	case gate.StatusPending:
		return "AS001"
	case gate.StatusExpired:
		return "AS002"
	case gate.StatusLimit:
		return "AS003"
	case gate.StatusNobody:
		return "AS004"
	case gate.StatusCanceled:
		return "57014"
	}
	return "42501"
}

func (c *codec) denial(d *gate.Denied, code string) []byte {
	if code == "" {
		code = sqlstate(d)
	}
	hint := d.Hint
	if d.ID != "" {
		hint = strings.TrimSpace("Approval " + d.ID + ". " + hint)
	}
	if d.URL != "" {
		hint = strings.TrimSpace(hint + " " + d.URL)
	}
	return errorFrame("ERROR", code, "assent: "+d.Reason, "", hint)
}

// Held tells a waiting client what it waits for.
func (c *codec) Held(conn *gate.Conn, _ *gate.Request, h gate.Held) error {
	text := "assent: waiting for approval " + h.ID
	if h.Who != "" {
		text += " by " + h.Who
	}
	hint := ""
	if h.URL != "" {
		hint = "See " + h.URL
	}
	c.out = append(c.out, noticeFrame("AS001", text, hint)...)
	if err := c.flush(conn); err != nil {
		return err
	}
	c.out, c.buf = nil, nil // 100,000 waiting sessions keep their statement, not their buffers
	return nil
}
