package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
)

// A field is one column of a result as the server describes it.
type field struct {
	schema, table, name  string // name: as the client sees it
	orgTable, orgName    string
	charset              uint16
	typ                  byte
	unsigned, unreadable bool // unreadable: text in a character set that isn't looked into
}

// Character sets by their collations (MySQL documentation, "Character sets"): bytes, ASCII and UTF-8.
func readable(collation uint16) bool {
	switch c := collation; {
	case c == 63, c == 11, c == 65, c == 33, c == 45, c == 46, c == 76, c == 83, c == 0:
		return true
	case c >= 192 && c <= 215, c >= 223 && c <= 247, c >= 255 && c <= 323: // utf8mb3, utf8mb4, and its newer ones
		return true
	case c >= 576 && c <= 639, c >= 1057 && c <= 1070, c >= 1216 && c <= 1247, c >= 2048: // MariaDB's own of utf8mb3 and utf8mb4
		return c < 2048 || c >= 2048 && c <= 2559
	}
	return false
}

// readField reads a column definition of protocol 4.1.
func readField(b []byte) (f field, err error) {
	w := walker{b: b}
	w.value() // catalogue
	f.schema, f.table, f.orgTable = string(w.value()), string(w.value()), string(w.value())
	f.name, f.orgName = string(w.value()), string(w.value())
	if w.num() != 12 {
		return f, errRow
	}
	f.charset = w.u16()
	w.u32() // longest value
	f.typ = w.u8()
	f.unsigned = w.u16()&0x20 != 0
	w.u8()
	w.u16()
	if w.bad {
		return f, errRow
	}
	f.unreadable = textual(f.typ) && !readable(f.charset)
	return f, nil
}

// field relays a column definition. A column may be named after a value, so names are masked as text;
// a default value, which only listings of columns have, is left out.
func (c *codec) field(b []byte) (field, error) {
	f, err := readField(b)
	if err != nil {
		return f, err
	}
	w := walker{b: b}
	out := appendValue(nil, w.value())
	for range 5 {
		v := w.value()
		if shown := c.text(v); v != nil && !bytes.Equal(shown, v) {
			v = append([]byte{}, shown...)
		}
		out = appendValue(out, v)
	}
	c.send(append(out, w.take(13)...))
	if w.bad {
		return f, errRow
	}
	return f, nil
}

// copyFields copies n column definitions and the EOF behind them.
func (c *codec) copyFields(conn *gate.Conn, n int, seq *byte) ([]field, error) {
	var fields []field
	for range n {
		b, err := c.next(conn, seq)
		if err != nil {
			return nil, err
		}
		f, err := c.field(b)
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
	}
	if n == 0 {
		return nil, nil
	}
	b, err := c.next(conn, seq)
	if err != nil {
		return nil, err
	}
	if b[0] != replyEOF || len(b) != 5 {
		return nil, errRow
	}
	c.flags(binary.LittleEndian.Uint16(b[3:]))
	c.send(b)
	return fields, nil
}

// copyPrepared copies the reply to COM_STMT_PREPARE. Only with it the gate begins to know the statement.
func (c *codec) copyPrepared(conn *gate.Conn, k *ask) error {
	seq := k.packets()
	b, err := c.next(conn, &seq)
	if err != nil {
		return err
	}
	if b[0] == replyError {
		c.send(c.report(b))
		return nil
	}
	w := walker{b: b[1:]}
	id, columns, params := w.u32(), w.u16(), w.u16()
	if b[0] != replyOK || w.bad {
		return errors.New("upstream sent a malformed answer to a prepared statement")
	}
	c.send(b)
	if _, err := c.copyFields(conn, int(params), &seq); err != nil {
		return err
	}
	if _, err := c.copyFields(conn, int(columns), &seq); err != nil {
		return err
	}
	c.newest = id
	c.prepared[id] = &prepared{text: k.text, database: c.database, params: int(params)}
	return nil
}

// copyRows copies one result set, of which head is the first message.
func (c *codec) copyRows(conn *gate.Conn, r *gate.Request, k *ask, head []byte, permit gate.Permit, seq *byte) (n int64, failed bool, err error) {
	w := walker{b: head}
	count := w.num()
	if !w.done() || count == 0 || count > 4096 { // the servers' own bound on columns
		return 0, false, errors.New("upstream sent a malformed result")
	}
	c.send(head)
	fields, err := c.copyFields(conn, int(count), seq)
	if err != nil {
		return 0, false, err
	}
	var rows gate.Rows
	c.pending = inRows
	defer func() { c.upSeq = *seq }()
	for {
		b, err := c.next(conn, seq)
		if err != nil {
			return n, false, err
		}
		switch {
		case b[0] == replyError:
			c.pending = 0
			if err := c.count(); err != nil {
				return n, false, limited(err)
			}
			c.failed(r, k, b, n)
			return n, true, nil
		case b[0] == replyEOF && len(b) < 9:
			if len(b) != 5 {
				return n, false, errRow
			}
			if err := c.count(); err != nil { // what upstream still sends ends here, or with the next results
				c.flags(binary.LittleEndian.Uint16(b[3:]))
				if c.pending = 0; c.status&statusMoreResults != 0 {
					c.pending = atResult
				}
				return n, false, limited(err)
			}
			c.pending = 0
			c.flags(binary.LittleEndian.Uint16(b[3:]))
			c.send(b)
			return n, false, nil
		}
		if rows == nil && permit != nil {
			rows = permit.Rows(c.columns(k, fields))
		}
		start, first := len(c.out), c.seq
		var shown []byte
		if k.st != nil && k.st.Warnings && len(fields) > 1 {
			shown, err = c.warning(b, k.command == comExecute, fields)
		} else {
			shown, err = c.shownRow(b, k.command == comExecute, fields, rows)
		}
		if err != nil {
			return n, false, limited(err)
		}
		c.send(shown)
		n++
		if permit != nil {
			if c.rows == 0 {
				c.mark, c.first, c.limit = start, first, permit
			}
			c.rows++
		}
		if len(c.out) > flushAt {
			if err := c.flush(conn); err != nil {
				return n, false, err
			}
		}
		if n == wideAfter {
			conn.Widen()
		}
	}
}

// warning shows one row of SHOW WARNINGS, whose text is one of an error: level, number, text.
func (c *codec) warning(b []byte, inBinary bool, fields []field) ([]byte, error) {
	if len(fields) != 3 || inBinary {
		return nil, &gate.Denied{Status: gate.StatusDenied, Reason: "warnings are shown by the text protocol here"}
	}
	w := walker{b: b}
	level, number, text := w.value(), w.value(), w.value()
	if !w.done() {
		return nil, errRow
	}
	n, err := strconv.ParseUint(string(number), 10, 16)
	if err != nil || c.coded { // code may raise any of any text
		text = []byte(withheld)
	}
	return appendValue(appendValue(appendValue(nil, level), number), c.text(said(uint16(n), text))), nil
}

// shownRow masks one row of the text protocol, or of the binary one.
func (c *codec) shownRow(b []byte, binaryRow bool, fields []field, rows gate.Rows) ([]byte, error) {
	if binaryRow {
		return c.shownBinary(b, fields, rows)
	}
	w := walker{b: b}
	out := c.row0[:0]
	changed := false
	for i := range fields {
		v := w.value()
		if w.bad {
			return nil, errRow
		}
		shown, err := c.shown(i, v, &fields[i], rows)
		if err != nil {
			return nil, err
		}
		changed = changed || !same(shown, v)
		out = appendValue(out, shown)
	}
	if !w.done() {
		return nil, errRow
	}
	if c.row0 = out; cap(out) > 1<<20 {
		c.row0 = nil
	}
	if !changed {
		return b, nil
	}
	return out, nil
}

// shownBinary masks a row of the binary protocol: a value that is shown otherwise and no longer has
// its column's form is NULL.
func (c *codec) shownBinary(b []byte, fields []field, rows gate.Rows) ([]byte, error) {
	n := (len(fields) + 9) / 8
	if len(b) < 1+n || b[0] != 0 {
		return nil, errRow
	}
	nulls := bytes.Clone(b[1 : 1+n])
	w := walker{b: b[1+n:]}
	out := append(c.row0[:0], b[:1+n]...)
	changed := false
	for i := range fields {
		f := &fields[i]
		var v []byte
		raw := w.b
		null := nulls[(i+2)/8]>>((i+2)%8)&1 == 1
		if !null {
			var ok bool
			if v, ok = readBinary(&w, f.typ, f.unsigned); !ok || v == nil {
				return nil, errRow
			}
		}
		raw = raw[:len(raw)-len(w.b)]
		shown, err := c.shown(i, v, f, rows)
		switch {
		case err != nil:
			return nil, err
		case same(shown, v):
			out = append(out, raw...)
			continue
		case shown != nil && textual(f.typ) && !null:
			out = appendValue(out, shown)
		case shown != nil && !null && appendBinary(&out, shown, f.typ):
		case !null:
			nulls[(i+2)/8] |= 1 << ((i + 2) % 8)
		}
		changed = true
	}
	if !w.done() {
		return nil, errRow
	}
	if c.row0 = out; cap(out) > 1<<20 {
		c.row0 = nil
	}
	if !changed {
		return b, nil
	}
	copy(out[1:], nulls)
	return out, nil
}

// appendBinary writes a value of the text protocol in the binary one's form; false: it has none.
func appendBinary(out *[]byte, v []byte, typ byte) bool {
	s := string(v)
	integer := func(bits int) bool {
		n, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			return false
		}
		*out = append(*out, binary.LittleEndian.AppendUint64(nil, uint64(n))[:bits/8]...)
		return true
	}
	date := func(t time.Time) []byte {
		return append(binary.LittleEndian.AppendUint16(nil, uint16(t.Year())), byte(t.Month()), byte(t.Day()))
	}
	switch typ {
	case typeTiny:
		return integer(8)
	case typeShort, typeYear:
		return integer(16)
	case typeLong, typeInt24:
		return integer(32)
	case typeLongLong:
		return integer(64)
	case typeFloat, typeDouble:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return false
		}
		if typ == typeFloat {
			*out = binary.LittleEndian.AppendUint32(*out, math.Float32bits(float32(n)))
		} else {
			*out = binary.LittleEndian.AppendUint64(*out, math.Float64bits(n))
		}
		return true
	case typeDate:
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			return false
		}
		*out = append(append(*out, 4), date(t)...)
		return true
	case typeDatetime, typeTimestamp:
		t, err := time.Parse("2006-01-02 15:04:05.999999", s)
		if err != nil {
			return false
		}
		*out = append(append(append(*out, 11), date(t)...), byte(t.Hour()), byte(t.Minute()), byte(t.Second()))
		*out = binary.LittleEndian.AppendUint32(*out, uint32(t.Nanosecond()/1000))
		return true
	}
	return false
}

// shown masks one value.
func (c *codec) shown(i int, v []byte, f *field, rows gate.Rows) ([]byte, error) {
	switch {
	case rows == nil && v == nil:
		return nil, nil
	case f.unreadable && v != nil && len(v) > 0 && c.last != nil && !c.last.Bare():
		return []byte("(withheld)"), nil
	case rows != nil:
		return rows.Value(i, v) // NULL too: nullif(ssn, …) answers a question by it
	case !textual(f.typ):
		return v, nil
	}
	return c.text(v), nil
}

// same reports whether shown is v; NULL is not the empty value.
func same(shown, v []byte) bool {
	if len(shown) != len(v) || (shown == nil) != (v == nil) {
		return false
	}
	return len(v) == 0 || &shown[0] == &v[0] || bytes.Equal(shown, v)
}

// oid is the type as the masks know it, by PostgreSQL's numbers: what is no text is masked in its own form.
func oid(f *field) uint32 {
	switch f.typ {
	case typeTiny, typeShort, typeInt24, typeYear, typeLong, typeLongLong:
		return 20
	case typeFloat, typeDouble:
		return 701
	case typeDecimal, typeNewDecimal:
		return 1700
	case typeDate:
		return 1082
	case typeDatetime, typeTimestamp:
		return 1114
	case typeTime:
		return 1083
	case typeJSON:
		return 114
	}
	if f.charset == 63 {
		return 0 // bytes
	}
	return 25
}

// columns says of each column where it comes from: on the parser's word, by position where both
// sides agree on the number, and on the server's. Where they disagree every column may come from every source.
func (c *codec) columns(k *ask, fields []field) []gate.Column {
	parsed := k.meaning
	agree := len(parsed) == len(fields)
	var all []string
	turned := false
	for _, p := range parsed {
		all = append(all, p.Sources...)
		turned = turned || p.Turned
		agree = agree && p.Name != "*"
	}
	if k.st != nil && len(parsed) == 0 && (k.code || k.st.Verb != "select") {
		turned = k.code // what a procedure returns nobody can follow
	}
	out := make([]gate.Column, len(fields))
	for i := range fields {
		f := &fields[i]
		col := gate.Column{Name: f.name, Type: oid(f)}
		var from []string
		if f.orgTable != "" && f.orgName != "" {
			from = []string{f.schema + "." + f.orgTable + "." + f.orgName}
			if g := c.g.catalog.Generated(f.schema+"."+f.orgTable, f.orgName); g != nil {
				from = append(from, g.Sources...)
				col.Derived, col.Turned = true, col.Turned || g.Turned
			}
			if v := c.g.catalog.View(f.schema + "." + f.orgTable); v != nil {
				for _, vc := range v.Columns {
					if strings.EqualFold(vc.Name, f.orgName) || vc.Name == "*" {
						from = append(from, vc.Sources...)
						col.Derived, col.Turned = col.Derived || vc.Derived, col.Turned || vc.Turned
					}
				}
			}
			for _, t := range c.temp {
				if strings.EqualFold(t.Name, f.schema+"."+f.orgTable) {
					from = append(from, t.Sources...)
				}
			}
		}
		switch {
		case agree:
			p := parsed[i]
			col.Sources, col.Derived, col.Turned = append(from, p.Sources...), col.Derived || p.Derived, col.Turned || p.Turned
		case len(from) > 0 && k.st != nil && slices.Contains(k.st.Objects, f.schema+"."+f.orgTable):
			col.Sources = from
		default:
			col.Sources, col.Derived, col.Turned = append(from, all...), true, col.Turned || turned
		}
		out[i] = col
	}
	return out
}
