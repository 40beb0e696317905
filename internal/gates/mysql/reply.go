package mysql

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/assenthq/assent/gate"
)

// flushAt is how many bytes wait before they are counted and written; after
// wideAfter rows they are read in larger pieces.
const (
	flushAt   = 60 << 10
	wideAfter = 100
)

// The first byte of a reply.
const (
	replyOK    = 0x00
	replyLocal = 0xfb // asks the client for a file
	replyEOF   = 0xfe
	replyError = 0xff
)

// stopped means that the rest of a reply may not reach the client, and that the
// statement is to be called off.
type stopped struct{ denied *gate.Denied }

func (s *stopped) Error() string { return s.denied.Reason }

// limited turns a limit that was reached into the order to call the statement off.
func limited(err error) error {
	var d *gate.Denied
	if errors.As(err, &d) {
		return &stopped{d}
	}
	return err
}

// CopyReply copies the reply to one command.
func (c *codec) CopyReply(conn *gate.Conn, r *gate.Request) error {
	k := r.State.(*ask)
	if k.answer != nil {
		c.send(k.answer)
		return c.flush(conn)
	}
	if k.silent {
		if k.command == comClose {
			delete(c.prepared, k.id)
		}
		return nil
	}
	if k.p != nil { // they went up
		k.p.types = k.types
	}
	var err error
	if k.command == comPrepare {
		err = c.copyPrepared(conn, k)
	} else {
		err = c.copyResults(conn, r, k)
	}
	c.touched = c.status&statusInTx != 0 && (c.touched || len(r.Actions) > 0 && !k.st.ReadOnly())
	var stop *stopped
	switch {
	case errors.As(err, &stop):
		return c.callOff(conn, r, stop.denied)
	case err != nil:
		if c.ctx.Err() != nil { // cut off: a closed connection alone does not stop what runs
			c.g.killUpstream(context.WithoutCancel(c.ctx), c.upstreamID)
		}
		return err
	}
	return c.flush(conn)
}

// next reads upstream's next message. It is good until the one after it.
func (c *codec) next(conn *gate.Conn, seq *byte) ([]byte, error) {
	if len(c.out) > 0 && !complete(conn.Up) {
		if err := c.flush(conn); err != nil {
			return nil, limited(err)
		}
	}
	b, err := readMessage(conn.Up, c.buf, c.g.cfg.MaxMessage, seq)
	if err != nil {
		return nil, noEOF(err)
	}
	if cap(b) <= 1<<20 { // one huge row must not stay with an idle connection
		c.buf = b[:0]
	} else {
		c.buf = nil
	}
	if len(b) == 0 {
		return nil, errors.New("upstream sent an empty message")
	}
	return b, nil
}

// send adds a message to what waits for the client.
func (c *codec) send(body []byte) { c.out = appendMessage(c.out, &c.seq, body) }

// copyResults copies every result of one command; a procedure may have several.
func (c *codec) copyResults(conn *gate.Conn, r *gate.Request, k *ask) error {
	permit := c.permit(r)
	seq := k.packets()
	rows := int64(0)
	for {
		b, err := c.next(conn, &seq)
		if err != nil {
			return err
		}
		switch {
		case k.bound != nil:
			return c.keepBound(conn, r, k, b)
		case b[0] == replyError:
			c.failed(r, k, b, rows)
			return nil
		case k.command == comStatistics:
			c.send(b) // a line about the server
			return nil
		case b[0] == replyLocal:
			return errors.New("upstream asked for a file of the client")
		case b[0] == replyOK, b[0] == replyEOF && len(b) < 9:
			affected, err := c.okay(b)
			if err != nil {
				return err
			}
			rows += affected
		default:
			n, failed, err := c.copyRows(conn, r, k, b, permit, &seq)
			if rows += n; err != nil || failed {
				return err
			}
		}
		if c.status&statusMoreResults == 0 {
			c.acknowledged(k)
			r.Done(0, gate.Outcome{State: gate.Executed, Code: "00000", Rows: rows})
			return nil
		}
	}
}

func (c *codec) permit(r *gate.Request) gate.Permit {
	if len(r.Actions) == 0 {
		return nil
	}
	c.last = r.Permit(0)
	return c.last
}

// okay relays an OK packet. What it says in words names numbers of rows, and is masked as text.
func (c *codec) okay(b []byte) (affected int64, err error) {
	w := walker{b: b[1:]}
	if b[0] == replyEOF { // an EOF packet
		w.u16()
		c.flags(w.u16())
		if w.bad {
			return 0, errors.New("upstream sent a malformed EOF packet")
		}
		c.send(b)
		return 0, nil
	}
	n := w.num()
	w.num()
	c.flags(w.u16())
	w.u16()
	if w.bad {
		return 0, errors.New("upstream sent a malformed OK packet")
	}
	head := b[:len(b)-len(w.b)]
	c.send(append(bytes.Clone(head), c.text(w.b)...))
	return int64(min(n, 1<<62)), nil
}

// flags takes the server's status.
func (c *codec) flags(f uint16) {
	if (f^c.status)&statusNoBackslashes != 0 {
		c.known = false
	}
	c.status = f
}

// failed relays an error.
func (c *codec) failed(r *gate.Request, k *ask, b []byte, rows int64) {
	state, number := errorCode(b)
	if k.code { // code may raise any error with any text
		c.send(errorBody(number, state, withheld))
	} else {
		c.send(c.report(b))
	}
	switch {
	case k.code: // it may have done something before it failed
		c.acknowledged(k)
	case k.st != nil && k.st.SetsVars: // of too many rows the first is in its variables
		c.assigned(k.st.Assigns...)
	}
	r.Done(0, gate.Outcome{State: gate.Failed, Code: state, Rows: rows})
}

// errorCode returns the SQLSTATE and the number of an ERR packet.
func errorCode(b []byte) (state string, number uint16) {
	w := walker{b: b[1:]}
	number = w.u16()
	if len(w.b) >= 6 && w.b[0] == '#' {
		return string(w.b[1:6]), number
	}
	return "HY000", number
}

// named are errors whose text quotes names and the statement's own words, and no value of a row.
var named = map[uint16]bool{
	1007: true, 1008: true, 1044: true, 1045: true, 1046: true, 1048: true, 1049: true, 1050: true, 1051: true, 1052: true, 1053: true, 1054: true, 1055: true, 1056: true, 1060: true, 1061: true, 1064: true, 1065: true,
	1066: true, 1067: true, 1068: true, 1070: true, 1072: true, 1091: true, 1093: true, 1109: true, 1110: true, 1111: true, 1115: true, 1136: true, 1140: true, 1142: true, 1143: true, 1146: true, 1149: true, 1158: true, 1159: true,
	1161: true, 1169: true, 1175: true, 1176: true, 1193: true, 1205: true, 1213: true, 1215: true, 1216: true, 1217: true, 1222: true, 1227: true, 1234: true, 1235: true, 1241: true, 1242: true, 1243: true,
	1248: true, 1250: true, 1271: true, 1290: true, 1304: true, 1305: true, 1317: true, 1318: true, 1348: true, 1356: true, 1364: true, 1370: true, 1394: true, 1395: true, 1406: true, 1415: true, 1451: true, 1452: true,
	1471: true, 1568: true, 1582: true, 1583: true, 1629: true, 1630: true, 1701: true, 1792: true, 1969: true, 3024: true, 3167: true, 4025: true,
}

// report relays an ERR packet: its number and SQLSTATE, and its text without what may be the value
// of a row ("Duplicate entry 'a@b' for key").
func (c *codec) report(b []byte) []byte {
	state, number := errorCode(b)
	w := walker{b: b[1:]}
	w.u16()
	if len(w.b) >= 6 && w.b[0] == '#' {
		w.take(6)
	}
	return errorBody(number, state, string(c.text(said(number, w.b))))
}

const withheld = "the text is withheld: code raised it"

// said is what may be shown of the text of an error or a warning.
func said(number uint16, text []byte) []byte {
	switch {
	case number == 1643 || number == 1644: // SIGNAL, of any text
		return []byte(withheld)
	case named[number]:
		return text
	}
	return withoutValues(text)
}

// withoutValues removes what a message quotes, and its numbers.
func withoutValues(text []byte) []byte {
	first, last := bytes.IndexAny(text, "'\"`"), bytes.LastIndexAny(text, "'\"`")
	if first >= 0 {
		end := last + 1
		if first == last { // a quote that does not end
			end = len(text)
		}
		text = append(append(bytes.Clone(text[:first]), "(withheld)"...), text[end:]...)
	}
	return numbers.ReplaceAll(text, []byte("(withheld)"))
}

var numbers = regexp.MustCompile(`[0-9][0-9.,:/-]*`)

func errorBody(number uint16, state, text string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{replyError}, number)
	return append(append(append(b, '#'), state...), text...)
}

func (c *codec) okBody() []byte {
	b := binary.LittleEndian.AppendUint16([]byte{replyOK, 0, 0}, c.status&^statusMoreResults)
	return append(b, 0, 0)
}

// count asks for the staged rows before they are passed on. What is refused is forgotten.
func (c *codec) count() error {
	if c.rows == 0 {
		return nil
	}
	rows, permit := c.rows, c.limit
	c.rows, c.limit = 0, nil
	if err := permit.Count(rows, int64(len(c.out)-c.mark)); err != nil {
		c.out, c.seq = c.out[:c.mark], c.first
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
		return limited(err)
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
		c.out = nil
	}
	c.out = c.out[:0]
	if err != nil {
		return fmt.Errorf("writing to the client: %w", err)
	}
	return conn.Out.Flush()
}

// callOff ends a statement whose rows reached a limit: the server is told, what it still sends is
// read and dropped, and the client gets an error where the next row would be.
func (c *codec) callOff(conn *gate.Conn, r *gate.Request, d *gate.Denied) error {
	c.g.killUpstream(context.WithoutCancel(c.ctx), c.upstreamID)
	for c.pending > 0 {
		b, err := readMessage(conn.Up, c.buf, c.g.cfg.MaxMessage, &c.upSeq)
		if err != nil {
			return noEOF(err)
		}
		if len(b) == 0 {
			return errors.New("upstream sent an empty message")
		}
		if err := c.dropped(b); err != nil {
			return err
		}
	}
	r.Done(0, gate.Outcome{State: gate.Failed, Code: "70100"})
	c.send(denialBody(d))
	_, err := conn.Out.Write(c.out)
	c.out = c.out[:0]
	if err != nil {
		return err
	}
	return conn.Out.Flush()
}

// dropped follows a result that is not passed on to its end.
func (c *codec) dropped(b []byte) error {
	eof := b[0] == replyEOF && len(b) < 9
	switch {
	case b[0] == replyError:
		c.pending = 0
	case c.pending == inRows && eof:
		w := walker{b: b[3:]}
		c.flags(w.u16())
		if c.pending = 0; c.status&statusMoreResults != 0 {
			c.pending = atResult
		}
	case c.pending == inRows:
	case c.pending == atResult && b[0] == replyOK:
		w := walker{b: b[1:]}
		w.num()
		w.num()
		c.flags(w.u16())
		if c.status&statusMoreResults == 0 {
			c.pending = 0
		}
	case c.pending == atResult:
		c.pending = inColumns
	case eof:
		c.pending = inRows
	}
	return nil
}

// Where in a result upstream is.
const (
	atResult = 1 + iota
	inColumns
	inRows
)

// Deny tells the client that r was refused.
func (c *codec) Deny(conn *gate.Conn, r *gate.Request, d *gate.Denied) error {
	k, _ := stateOf(r)
	switch {
	case d.Status == gate.StatusLost:
		c.out, c.rows = c.out[:0], 0
		_, err := conn.Out.Write(appendMessage(nil, &c.seq, errorBody(1053, "08S01", "assent: "+d.Reason)))
		return err
	case d.Status == gate.StatusUnreadable:
		_, err := conn.Out.Write(appendMessage(nil, &c.seq, errorBody(1835, "08S01", "assent: "+d.Reason)))
		return err
	case k == nil:
		return errors.New("denying a request that was not read")
	case k.silent:
		return nil
	}
	if err := c.withdraw(conn, k); err != nil {
		return err
	}
	c.send(denialBody(d))
	return c.flush(conn)
}

func stateOf(r *gate.Request) (*ask, bool) {
	if r == nil {
		return nil, false
	}
	k, is := r.State.(*ask)
	return k, is
}

// denialBody says why in an ERR packet. 1227 is what a server says where a right is missing; 1205
// where asking again is of use; 1317 where a statement was interrupted.
func denialBody(d *gate.Denied) []byte {
	number, state := uint16(1227), "42000"
	switch d.Status {
	case gate.StatusPending, gate.StatusExpired:
		number, state = 1205, "HY000"
	case gate.StatusLimit, gate.StatusCanceled:
		number, state = 1317, "70100"
	case gate.StatusNobody:
		number, state = 1105, "HY000"
	}
	text := "assent: " + d.Reason
	for _, more := range []string{approvalText(d), d.URL, d.Hint} {
		if more != "" {
			text += ". " + strings.TrimSuffix(more, ".")
		}
	}
	return errorBody(number, state, strings.ReplaceAll(text, "\x00", ""))
}

func approvalText(d *gate.Denied) string {
	if d.ID == "" {
		return ""
	}
	return "Approval " + d.ID
}

// fatal tells the client that the connection ends, and returns err.
func (c *codec) fatal(conn *gate.Conn, err error) error {
	number, state, text := uint16(1105), "08S01", "the gate could not go on with this connection"
	var r *refused
	if errors.As(err, &r) {
		number, state, text = r.number, r.state, r.text
	}
	_, _ = conn.Out.Write(appendMessage(nil, &c.seq, errorBody(number, state, "assent: "+text)))
	_ = conn.Out.Flush()
	return err
}

// readResult reads the result of a statement of the gate's own: row is called for each, and what
// it gets is its to keep.
func readResult(up *bufio.Reader, limit int, row func([][]byte), status *uint16) error {
	seq := byte(1)
	at := atResult
	columns := 0
	for {
		b, err := readMessage(up, nil, limit, &seq)
		if err != nil {
			return noEOF(err)
		}
		if len(b) == 0 {
			return errors.New("upstream sent an empty message")
		}
		eof := b[0] == replyEOF && len(b) < 9
		w := walker{b: b}
		switch {
		case b[0] == replyError:
			state, number := errorCode(b)
			return &serverError{number, state, bytes.Clone(b)}
		case at == atResult && b[0] == replyOK:
			w.u8()
			w.num()
			w.num()
			*status = w.u16()
			return nil
		case at == atResult:
			n := w.num()
			if !w.done() || n > 4096 {
				return errRow
			}
			columns, at = int(n), inColumns
		case at == inColumns && eof:
			at = inRows
		case at == inColumns:
		case eof:
			w.take(3)
			*status = w.u16()
			return nil
		default:
			values := make([][]byte, columns)
			for i := range values {
				values[i] = w.value()
			}
			if !w.done() {
				return errRow
			}
			row(values)
		}
	}
}

// serverError is an error of the server's about a statement of the gate's own. Its text may quote values.
type serverError struct {
	number uint16
	state  string
	packet []byte
}

func (e *serverError) Error() string {
	return fmt.Sprintf("upstream error %d (%s)", e.number, e.state)
}

var errRow = errors.New("upstream sent a malformed row")
