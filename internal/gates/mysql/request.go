package mysql

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/mysql"
	"github.com/assenthq/assent/internal/classify/uses"
)

// Commands (MySQL documentation, "Command Phase").
const (
	comQuit       = 0x01
	comInitDB     = 0x02
	comQuery      = 0x03
	comFieldList  = 0x04
	comStatistics = 0x09
	comPing       = 0x0e
	comPrepare    = 0x16
	comExecute    = 0x17
	comLongData   = 0x18
	comClose      = 0x19
	comReset      = 0x1a
	comSetOption  = 0x1b
	comFetch      = 0x1c
	comResetConn  = 0x1f
)

// lastPrepared stands for the statement prepared last, to a MariaDB server: its clients send it before they have read its id.
const lastPrepared = 1<<32 - 1

// What a session may make the gate remember.
const (
	maxPrepared = 16_382 // the servers' own bound
	maxText     = 4 << 20
)

// A prepared statement that the server acknowledged.
type prepared struct {
	text     string
	database string // in which the server looks its names up
	params   int
	types    []uint16          // of its parameters, as they were bound last
	long     map[uint16][]byte // parameters that came in pieces
	size     int               // of those, in bytes
}

// An ask is one request: what was asked and how its reply looks.
type ask struct {
	command  byte
	body     []byte // of the client's message
	text     string
	database string // in which its names are looked up
	st       *mysql.Statement
	meaning  []action.Column
	p        *prepared
	types    []uint16 // of its parameters, once they went up
	values   [][]byte // of those
	bound    *bound   // how many rows it may change; nil: as many as it does
	id       uint32   // of the prepared statement
	answer   []byte   // given here: nothing goes upstream
	silent   bool     // the server doesn't answer
	code     bool     // may run code, its own or a trigger's
	refusal  string
}

// packets is how many the client's message took: its reply is numbered on from there.
func (k *ask) packets() byte { return byte(len(k.body)/maxPacket + 1) }

// ReadRequest reads one command and makes its action.
func (c *codec) ReadRequest(conn *gate.Conn) (*gate.Request, error) {
	c.seq = 0
	body, err := readMessage(conn.In, nil, c.g.cfg.MaxMessage, &c.seq)
	if err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, fmt.Errorf("an empty command: %w", gate.ErrUnreadable)
	}
	if err := c.settle(conn); err != nil {
		return nil, c.fatal(conn, err)
	}
	k := &ask{command: body[0], body: body}
	r := &gate.Request{State: k}
	if err := c.command(conn, r, k); err != nil {
		return nil, err
	}
	if k.refusal != "" {
		return r, &gate.Denied{Status: gate.StatusDenied, Reason: k.refusal}
	}
	for _, a := range r.Actions {
		if c.status&statusInTx != 0 { // locks are held meanwhile
			a.Wait, a.Locks = c.g.cfg.TransactionWait, true
			if w := c.g.cfg.Wait; w > 0 && w < a.Wait {
				a.Wait = w
			}
		}
	}
	if len(r.Actions) == 0 && r.Harmless == "" {
		r.Harmless = "a statement without effect"
	}
	return r, nil
}

func (c *codec) command(conn *gate.Conn, r *gate.Request, k *ask) error {
	seq := byte(0)
	forward := func(why string) { r.Raw, r.Harmless = appendMessage(r.Raw, &seq, k.body), why }
	w := walker{b: k.body[1:]}
	switch k.command {
	case comQuit:
		return io.EOF
	case comPing, comStatistics:
		if !w.done() {
			return malformed(k.command)
		}
		forward("asks whether the server is there")
	case comInitDB:
		k.text = string(w.b)
		if !utf8.ValidString(k.text) || k.text == "" {
			k.refusal = "the name of a database is UTF-8"
			return nil
		}
		forward("another default database")
	case comQuery:
		return c.query(r, k, string(w.b))
	case comPrepare:
		k.text, c.newest = string(w.b), 0
		switch {
		case len(c.prepared) >= maxPrepared || len(k.text) > maxText:
			k.refusal = "too many or too long prepared statements"
		case !utf8.ValidString(k.text):
			k.refusal = "statements are UTF-8 here"
		default: // the server reads it and runs nothing; it is decided when it is executed
			if st := c.classify(k.text, c.database); st.SQLPrepare || st.LocalFile {
				k.refusal = refusedText(st)
				return nil
			}
			forward("prepares a statement")
		}
	case comExecute:
		return c.execute(r, k)
	case comLongData:
		id, param := w.u32(), w.u16()
		if w.bad {
			return malformed(k.command)
		}
		p := c.prepared[id]
		k.silent = true
		if p == nil || int(param) >= p.params { // as the server does, nothing is said until it is executed
			r.Harmless = "a part of a parameter that nobody knows"
			return nil
		}
		if p.size += len(w.b); p.size > c.g.cfg.MaxMessage {
			return fmt.Errorf("parameters of more than %d bytes: %w", c.g.cfg.MaxMessage, gate.ErrUnreadable)
		}
		if p.long == nil {
			p.long = map[uint16][]byte{}
		}
		p.long[param] = append(p.long[param], w.b...)
		r.Harmless = "a part of a parameter, kept until it is used"
	case comClose, comReset:
		k.id = w.u32()
		if !w.done() {
			return malformed(k.command)
		}
		k.silent = k.command == comClose
		forward("a prepared statement that is no longer used")
	case comResetConn:
		if !w.done() {
			return malformed(k.command)
		}
		forward("the session begins anew")
	case comFieldList, comSetOption, comFetch:
		k.refusal = map[byte]string{
			comFieldList: "lists of columns are asked for by SHOW COLUMNS here",
			comSetOption: "several statements in one text are not let through",
			comFetch:     "cursors of the server are not let through; fetch the whole result",
		}[k.command]
	default:
		k.refusal = fmt.Sprintf("command %#02x is on no list of this gate", k.command)
	}
	return nil
}

func malformed(command byte) error {
	return fmt.Errorf("malformed command %#02x: %w", command, gate.ErrUnreadable)
}

func refusedText(st *mysql.Statement) string {
	switch {
	case st.LocalFile:
		return "LOAD DATA LOCAL is not let through: it would let the server read files of the client"
	case st.SQLPrepare:
		return "PREPARE and EXECUTE as text are not let through; use the prepared statements of the protocol"
	}
	return ""
}

func (c *codec) query(r *gate.Request, k *ask, text string) error {
	switch {
	case len(text) > maxText: // nobody could read it
		k.refusal = "a statement has at most 4 MiB here; send large values as parameters"
		return nil
	case !utf8.ValidString(text):
		k.refusal = "statements are UTF-8 here"
		return nil
	}
	k.text, k.database, k.st = text, c.database, c.classify(text, c.database)
	if k.refusal = refusedText(k.st); k.refusal != "" {
		return nil
	}
	if k.refusal = pinned(k.st); k.refusal != "" {
		return nil
	}
	if k.st.Kill != 0 {
		if c.kill(k) {
			r.Harmless = "a session of the same asker is called off"
			return nil
		}
	}
	seq := byte(0)
	r.Raw = appendMessage(nil, &seq, k.body)
	c.plan(r, k, text, k.body[1:])
	return nil
}

// plan makes the action of a statement, where it has an effect.
func (c *codec) plan(r *gate.Request, k *ask, shown string, payload []byte) {
	st := k.st
	k.code = st.Has(action.Execute) || st.Has(action.Unknown)
	k.meaning = st.Columns
	if len(st.Kinds) == 0 && st.Harmless != "" {
		r.Harmless = st.Harmless
		return
	}
	a := &action.Action{
		Kinds: st.Kinds, Verb: st.Verb, Target: st.Target, Title: st.Title, Shape: st.Shape, Reversible: st.Reversible,
		Objects: st.Objects, Columns: st.Columns, State: c.state(st, k.database), Payload: payload, Statement: shown,
	}
	for _, why := range st.Why {
		a.Statement += "\n-- " + why
	}
	uses.Of(st.Columns, st.Inferred, c.g.class()).Tell(&a.Data)
	if st.ReadOnly() && st.Limit.Known {
		a.Data.Rows = st.Limit
	}
	if c.uncertain { // nobody knows what stands behind names
		a.Kinds = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(a.Kinds), action.Unknown))))
		a.Statement += "\n-- the catalogue could not be read"
		k.code = true
	}
	r.Actions = append(r.Actions, a)
}

// class is cfg.Class, for which all columns of a table may be of any.
func (g *Gate) class() func(string) string {
	if g.cfg.Class == nil {
		return nil
	}
	return func(source string) string {
		if source == "*" || strings.HasSuffix(source, ".*") {
			return "*"
		}
		return g.cfg.Class(source)
	}
}

// kill calls off a session of this gate, where it is the same asker's.
func (c *codec) kill(k *ask) bool {
	other := c.g.session(k.st.Kill)
	if other == nil || other == c || other.user != c.user {
		return false
	}
	switch {
	case other.conn.Interrupt():
	case k.st.KillQuery:
		c.g.killUpstream(c.ctx, other.upstreamID)
	default:
		other.end()
	}
	k.answer = c.okBody()
	return true
}

// execute takes COM_STMT_EXECUTE: text and parameters meet here.
func (c *codec) execute(r *gate.Request, k *ask) error {
	w := walker{b: k.body[1:]}
	id, flags, times := w.u32(), w.u8(), w.u32()
	if w.bad {
		return malformed(k.command)
	}
	if id == lastPrepared && c.mariadb {
		id = c.newest
	}
	p := c.prepared[id]
	switch {
	case p == nil:
		k.refusal = "the gate knows no such prepared statement; prepare it again"
		return nil
	case flags != 0:
		k.refusal = "cursors of the server are not let through; fetch the whole result"
		return nil
	case times != 1:
		return malformed(k.command)
	}
	params, types, err := p.bound(&w)
	if err != nil {
		return err
	}
	k.p, k.id, k.text, k.database, k.st = p, id, p.text, p.database, c.classify(p.text, p.database)
	if k.refusal = pinned(k.st); k.refusal != "" {
		return nil
	}
	if len(k.st.Settings) > 0 && p.params > 0 {
		k.refusal = "settings of the session are set by constants here"
		return nil
	}
	payload := append([]byte(p.text), 0)
	shown := strings.Builder{}
	shown.WriteString(p.text)
	for i, v := range params {
		fmt.Fprintf(&shown, "\n-- ?%d = ", i+1)
		shown.Write(appendShown(nil, v, types[i]))
	}
	seq := byte(0)
	for _, i := range slices.Sorted(mapsKeys(p.long)) {
		m := append([]byte{comLongData}, k.body[1:5]...)
		m = append(append(m, byte(i), byte(i>>8)), p.long[i]...)
		seq = 0
		r.Raw = appendMessage(r.Raw, &seq, m)
		payload = append(append(payload, m[5:]...), 0)
	}
	seq = 0
	r.Raw = appendMessage(r.Raw, &seq, k.body)
	payload = fmt.Append(append(payload, k.body[10:]...), "\x00", types)
	k.types, k.values, p.long, p.size = types, params, nil, 0 // the server forgets them, too
	c.plan(r, k, shown.String(), payload)
	return nil
}

func mapsKeys(m map[uint16][]byte) func(func(uint16) bool) {
	return func(yield func(uint16) bool) {
		for i := range m {
			if !yield(i) {
				return
			}
		}
	}
}

// bound reads the parameters of COM_STMT_EXECUTE to its end.
func (p *prepared) bound(w *walker) (values [][]byte, types []uint16, err error) {
	if p.params == 0 {
		if !w.done() {
			return nil, nil, malformed(comExecute)
		}
		return nil, nil, nil
	}
	nulls := w.take((p.params + 7) / 8)
	types = p.types
	if w.u8() == 1 {
		types = make([]uint16, p.params)
		for i := range types {
			types[i] = w.u16()
		}
	}
	if w.bad || len(types) != p.params {
		return nil, nil, malformed(comExecute)
	}
	for i := range p.params {
		long, is := p.long[uint16(i)]
		switch {
		case is:
			values = append(values, append([]byte{}, long...))
			continue
		case nulls[i/8]>>(i%8)&1 == 1:
			values = append(values, nil)
			continue
		}
		v, ok := readBinary(w, byte(types[i]), types[i]&0x8000 != 0)
		if !ok {
			return nil, nil, malformed(comExecute)
		}
		if v == nil && byte(types[i]) != typeNull {
			v = []byte{}
		}
		values = append(values, v)
	}
	if !w.done() {
		return nil, nil, malformed(comExecute)
	}
	return values, types, nil
}

// What people are shown of one parameter. Of a longer text they see nothing: cut in
// the middle, a value or a key would no longer be found, and so not be masked. What
// they approve is all of it, by its digest.
const (
	shownBytes = 256
	shownText  = 64 << 10
)

func appendShown(b, v []byte, typ uint16) []byte {
	leftOut := func(b []byte, what string) []byte {
		sum := sha256.Sum256(v)
		return fmt.Appendf(b, "(%d bytes of %s, sha256 %x…)", len(v), what, sum[:8])
	}
	switch {
	case v == nil:
		return append(b, "NULL"...)
	case !textual(byte(typ)):
		return append(b, v...)
	case !utf8.Valid(v):
		b = hex.AppendEncode(append(b, '0', 'x'), v[:min(len(v), shownBytes)])
		if len(v) > shownBytes {
			return leftOut(append(b, "… "...), "a binary value")
		}
		return b
	case len(v) > shownText:
		return leftOut(b, "text")
	}
	return strconv.AppendQuote(b, string(v))
}

// Types of columns and parameters (MySQL documentation, "Field types").
const (
	typeDecimal    = 0
	typeTiny       = 1
	typeShort      = 2
	typeLong       = 3
	typeFloat      = 4
	typeDouble     = 5
	typeNull       = 6
	typeTimestamp  = 7
	typeLongLong   = 8
	typeInt24      = 9
	typeDate       = 10
	typeTime       = 11
	typeDatetime   = 12
	typeYear       = 13
	typeVarchar    = 15
	typeBit        = 16
	typeJSON       = 245
	typeNewDecimal = 246
	typeEnum       = 247
	typeSet        = 248
	typeTinyBlob   = 249
	typeBlob       = 252
	typeVarString  = 253
	typeString     = 254
	typeGeometry   = 255
)

// textual types hold text or bytes, with their length before them in the binary protocol.
func textual(t byte) bool {
	return t == typeVarchar || t == typeBit || t >= typeJSON || t == typeDecimal
}

// readBinary reads one value of the binary protocol and writes it as the text protocol does.
func readBinary(w *walker, typ byte, unsigned bool) ([]byte, bool) {
	integer := func(v uint64, bits int) []byte {
		if unsigned {
			return strconv.AppendUint(nil, v, 10)
		}
		return strconv.AppendInt(nil, int64(v<<(64-bits))>>(64-bits), 10)
	}
	var v []byte
	switch typ {
	case typeNull:
		return nil, true
	case typeTiny:
		v = integer(uint64(w.u8()), 8)
	case typeShort, typeYear:
		v = integer(uint64(w.u16()), 16)
	case typeLong, typeInt24:
		v = integer(uint64(w.u32()), 32)
	case typeLongLong:
		v = integer(w.u64(), 64)
	case typeFloat:
		v = strconv.AppendFloat(nil, float64(math.Float32frombits(w.u32())), 'g', -1, 32)
	case typeDouble:
		v = strconv.AppendFloat(nil, math.Float64frombits(w.u64()), 'g', -1, 64)
	case typeDate, typeDatetime, typeTimestamp:
		n := w.u8()
		year, month, day := 0, 0, 0
		var hour, minute, second byte
		micro := uint32(0)
		switch n {
		case 0, 4, 7, 11:
		default:
			return nil, false
		}
		if n >= 4 {
			year, month, day = int(w.u16()), int(w.u8()), int(w.u8())
		}
		if n >= 7 {
			hour, minute, second = w.u8(), w.u8(), w.u8()
		}
		if n == 11 {
			micro = w.u32()
		}
		v = fmt.Appendf(nil, "%04d-%02d-%02d", year, month, day)
		if typ != typeDate {
			v = fmt.Appendf(v, " %02d:%02d:%02d", hour, minute, second)
		}
		if micro > 0 {
			v = fmt.Appendf(v, ".%06d", micro)
		}
	case typeTime:
		n := w.u8()
		if n != 0 && n != 8 && n != 12 {
			return nil, false
		}
		sign, days := "", uint32(0)
		var hour, minute, second byte
		if n >= 8 {
			if w.u8() == 1 {
				sign = "-"
			}
			days, hour, minute, second = w.u32(), w.u8(), w.u8(), w.u8()
		}
		v = fmt.Appendf(nil, "%s%02d:%02d:%02d", sign, uint64(days)*24+uint64(hour), minute, second)
		if n == 12 {
			v = fmt.Appendf(v, ".%06d", w.u32())
		}
	default:
		if !textual(typ) {
			return nil, false
		}
		v = w.value()
		if v == nil { // NULL stands in the bitmap
			return nil, false
		}
	}
	return v, !w.bad
}
