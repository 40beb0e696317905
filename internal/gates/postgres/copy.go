package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
)

// copyFormat says how the lines of a COPY TO STDOUT are to be read.
type copyFormat struct {
	csv    bool
	binary bool
	header bool
	delim  byte
	null   string
	fields []field // from describing the same columns as a query
}

var errCopy = refuse("0A000", "the gate cannot mask a COPY with these options; use format binary, or text or csv with header, delimiter and null only", nil)

// planCopy reads the options of COPY TO STDOUT and asks the server which
// columns it will send: in the very session state in which it will run. What
// cannot be masked column by column is refused.
func (c *codec) planCopy(conn *gate.Conn, text string, cp *sql.Copy) (*copyFormat, error) {
	source, options, ok := splitCopy(text)
	if !ok {
		return nil, errCopy
	}
	f, ok := copyOptions(options)
	if !ok {
		return nil, errCopy
	}
	var query string
	switch {
	case cp.Query:
		query = strings.TrimSuffix(strings.TrimPrefix(source, "("), ")")
	case strings.HasSuffix(source, ")"):
		open := strings.IndexByte(source, '(')
		query = "SELECT " + source[open+1:len(source)-1] + " FROM ONLY " + source[:open]
	default:
		query = "SELECT * FROM ONLY " + source
	}
	var err error
	if f.fields, err = c.describeQuery(conn, query); err != nil {
		return nil, err
	}
	for i := range f.fields {
		f.fields[i].binary = f.binary
	}
	return f, nil
}

// splitCopy finds the last TO STDOUT outside quotes and parentheses.
func splitCopy(text string) (source, options string, ok bool) {
	toks := tokens(text)
	depth := 0
	for i := 0; i+1 < len(toks); i++ {
		switch toks[i].text {
		case "(":
			depth++
		case ")":
			depth--
		case "to":
			if depth == 0 && toks[i+1].text == "stdout" && len(toks) > 2 && toks[0].text == "copy" {
				from := toks[0].end
				if toks[1].text == "binary" {
					return "", "", false
				}
				return strings.TrimSpace(text[from:toks[i].start]), text[toks[i+1].end:], true
			}
		}
	}
	return "", "", false
}

// A token of an SQL text: words in lower case, everything quoted as one token.
type token struct {
	text       string
	start, end int
}

// tokens splits what a COPY needs to be understood. Texts it could read
// differently from the server (dollar quotes, nested comments) yield a token
// that fits nowhere, so the COPY is refused.
func tokens(s string) []token {
	var out []token
	for i := 0; i < len(s); {
		start := i
		switch ch := s[i]; {
		case ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r' || ch == '\f':
			i++
			continue
		case ch == '\'' || ch == '"':
			escapes := ch == '\'' && start > 0 && (s[start-1] == 'e' || s[start-1] == 'E')
			for i++; i < len(s); i++ {
				if escapes && s[i] == '\\' {
					i++
				} else if s[i] == ch {
					if i+1 < len(s) && s[i+1] == ch {
						i++
						continue
					}
					break
				}
			}
			i = min(i+1, len(s))
			out = append(out, token{s[start:i], start, i})
			continue
		case ch == '-' && strings.HasPrefix(s[i:], "--"), ch == '/' && strings.HasPrefix(s[i:], "/*"), ch == '$':
			return append(out, token{"?", start, len(s)})
		case isWordByte(ch):
			for i < len(s) && isWordByte(s[i]) {
				i++
			}
		default:
			i++
		}
		out = append(out, token{strings.ToLower(s[start:i]), start, i})
	}
	return out
}

func isWordByte(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// copyOptions reads both spellings: WITH (FORMAT csv, HEADER) and WITH CSV HEADER.
func copyOptions(s string) (*copyFormat, bool) {
	f := &copyFormat{delim: '\t', null: "\\N"}
	delim, null := false, false
	toks := tokens(s)
	for i := 0; i < len(toks); i++ {
		next := ""
		if i+1 < len(toks) {
			next = toks[i+1].text
		}
		switch toks[i].text {
		case "with", "(", ")", ",", ";", "text", "as":
		case "format":
			switch next {
			case "csv", "'csv'", "text", "'text'":
			case "binary", "'binary'":
				f.binary = true
				i++
			default:
				return nil, false
			}
		case "binary":
			f.binary = true
		case "csv", "'csv'":
			f.csv = true
		case "'text'":
		case "header":
			f.header = true
			switch next {
			case "off", "false", "0":
				f.header = false
				i++
			case "on", "true", "1", "match":
				i++
			}
		case "delimiter", "null":
			value, used, ok := copyString(s, toks[i+1:])
			if !ok {
				return nil, false
			}
			if toks[i].text == "null" {
				f.null, null = value, true
			} else if len(value) == 1 {
				f.delim, delim = value[0], true
			} else {
				return nil, false
			}
			i += used
		default:
			return nil, false
		}
	}
	if f.binary {
		return f, !f.csv && !f.header && !delim && !null
	}
	if null && !f.csv && f.null != "\\N" && f.null != "" {
		return nil, false // a value that is the null string would pass for NULL
	}
	if f.csv && !delim {
		f.delim = ','
	}
	if f.csv && !null {
		f.null = ""
	}
	return f, true
}

// copyString reads an option's value, which may follow AS and be E'…', and says how
// many tokens it took. Of the escapes it reads those that name one character.
func copyString(s string, toks []token) (value string, used int, ok bool) {
	if used < len(toks) && toks[used].text == "as" {
		used++
	}
	escapes := used < len(toks) && toks[used].text == "e"
	if escapes {
		used++
	}
	if used == len(toks) {
		return "", 0, false
	}
	t := toks[used]
	if t.end-t.start < 2 || s[t.start] != '\'' || s[t.end-1] != '\'' || escapes != (t.start > 0 && s[t.start-1]|0x20 == 'e') {
		return "", 0, false
	}
	raw := strings.ReplaceAll(s[t.start+1:t.end-1], "''", "'")
	if !escapes {
		return raw, used + 1, true
	}
	var out []byte
	for i := 0; i < len(raw); i++ {
		ch := raw[i]
		if ch == '\\' {
			if i++; i == len(raw) {
				return "", 0, false
			}
			at := strings.IndexByte(`bfnrt\`, raw[i])
			if at < 0 {
				return "", 0, false
			}
			ch = "\b\f\n\r\t\\"[at]
		}
		out = append(out, ch)
	}
	return string(out), used + 1, true
}

// describeQuery asks the server for the columns of a query without running it.
func (c *codec) describeQuery(conn *gate.Conn, query string) ([]field, error) {
	m := appendFrame(nil, 'P', cstr(ownName), cstr(query), []byte{0, 0})
	m = appendFrame(m, 'D', []byte{'S'}, cstr(ownName))
	m = appendFrame(m, 'C', []byte{'S'}, cstr(ownName))
	end := byte('S')
	if c.unsynced {
		end = 'H'
	}
	if err := conn.Send(appendFrame(m, end)); err != nil {
		return nil, err
	}
	c.own = true
	defer func() { c.own = false }()
	var fields []field
	var failure error
	for {
		f, err := c.next(conn)
		if err != nil {
			return nil, err
		}
		switch f.kind() {
		case 'T':
			if fields, err = readFields(f); err != nil {
				return nil, err
			}
		case 'E':
			code, _ := errorCode(f.body())
			failure = refuse(code, "the server cannot say which columns this COPY has: "+string(c.text(errorText(f.body()))), nil)
			if end == 'H' {
				return nil, errors.New("describing a COPY failed inside a pipeline")
			}
		case '3':
			if end == 'H' {
				return fields, describable(fields)
			}
		case 'Z':
			c.ready(f)
			if failure != nil {
				return nil, failure
			}
			return fields, describable(fields)
		case '1', 't', 'n':
		default:
			return nil, fmt.Errorf("upstream sent message %q", f.kind())
		}
	}
}

func describable(fields []field) error {
	if len(fields) == 0 {
		return refuse("0A000", "the gate cannot tell the columns of this COPY", nil)
	}
	return nil
}

// copyOut relays COPY data line by line with every value masked and every line counted.
func (c *codec) copyOut(conn *gate.Conn, run *run, permit gate.Permit, f frame) (rows int64, err error) {
	w := walker{b: f.body()}
	binary, n := w.u8(), w.u16()
	format := run.copy
	if permit == nil || format == nil || (binary != 0) != format.binary || w.bad || n != len(format.fields) {
		return 0, &gate.Denied{Status: gate.StatusDenied, Reason: "the gate cannot mask this COPY"}
	}
	c.out = append(c.out, f...)
	columns, err := c.columns(run, format.fields)
	if err != nil {
		return 0, &gate.Denied{Status: gate.StatusNobody, Reason: "the gate cannot tell where these columns come from"}
	}
	masks := permit.Rows(columns)
	header, first := format.header, true
	for {
		m, err := c.next(conn)
		if err != nil {
			return rows, err
		}
		switch m.kind() {
		case 'd':
			start := len(c.out)
			if header {
				header = false
				c.out = appendFrame(c.out, 'd', permit.Text(m.body()))
				continue
			}
			line, isRow, err := format.maskMessage(m.body(), first, masks)
			if err != nil {
				return rows, err
			}
			first = false
			c.out = appendFrame(c.out, 'd', line)
			if !isRow {
				continue
			}
			rows++
			if err := c.stage(conn, start, permit); err != nil {
				return rows, err
			}
		case 'c':
			if err := c.count(); err != nil {
				return rows, err
			}
			c.out = append(c.out, m...)
			return rows, nil
		case 'E': // the caller's business, but the message is read
			if err := c.count(); err != nil {
				return rows, err
			}
			return rows, &copyFailed{bytes.Clone(m)}
		default:
			return rows, fmt.Errorf("upstream sent message %q inside COPY", m.kind())
		}
	}
}

// copyFailed carries an ErrorResponse that came in the middle of COPY data.
type copyFailed struct{ f frame }

func (*copyFailed) Error() string { return "upstream failed inside COPY" }

// errCopyLine is a denial: what can't be read can't be masked.
var errCopyLine = &gate.Denied{Status: gate.StatusDenied, Reason: "the gate cannot mask this COPY data"}

func (f *copyFormat) maskMessage(body []byte, first bool, rows gate.Rows) (out []byte, isRow bool, err error) {
	if f.binary {
		return f.maskBinary(body, first, rows)
	}
	out, err = f.mask(body, rows)
	return out, true, err
}

// mask masks one line. The server sends each row as one message.
func (f *copyFormat) mask(line []byte, rows gate.Rows) ([]byte, error) {
	body, ok := bytes.CutSuffix(line, []byte("\n"))
	if !ok {
		return nil, errCopyLine
	}
	raw := f.split(body)
	if len(raw) != len(f.fields) {
		return nil, errCopyLine
	}
	changed := false
	for i, piece := range raw {
		v, ok := f.decode(piece)
		if !ok {
			return nil, errCopyLine
		}
		shown, err := rows.Value(i, v)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(shown, v) || (shown == nil) != (v == nil) {
			raw[i], changed = f.encode(shown), true
		}
	}
	if !changed {
		return line, nil
	}
	return append(bytes.Join(raw, []byte{f.delim}), '\n'), nil
}

// split cuts a line at its delimiters (PostgreSQL documentation, COPY, "File Formats").
func (f *copyFormat) split(line []byte) [][]byte {
	var out [][]byte
	start, quoted := 0, false
	for i := 0; i < len(line); i++ {
		switch ch := line[i]; {
		case !f.csv && ch == '\\':
			i++ // whatever follows is data
		case f.csv && ch == '"':
			quoted = !quoted
		case ch == f.delim && !quoted:
			out = append(out, line[start:i:i])
			start = i + 1
		}
	}
	return append(out, line[start:])
}

// decode returns the value of a piece; nil is NULL.
func (f *copyFormat) decode(piece []byte) ([]byte, bool) {
	if string(piece) == f.null {
		return nil, true
	}
	out := make([]byte, 0, len(piece))
	if f.csv {
		quoted := false
		for i := 0; i < len(piece); i++ {
			if piece[i] != '"' {
				out = append(out, piece[i])
				continue
			}
			if quoted && i+1 < len(piece) && piece[i+1] == '"' {
				out = append(out, '"')
				i++
				continue
			}
			quoted = !quoted
		}
		return out, !quoted
	}
	for i := 0; i < len(piece); i++ {
		if piece[i] != '\\' {
			out = append(out, piece[i])
			continue
		}
		if i++; i == len(piece) {
			return nil, false
		}
		ch := piece[i]
		if at := strings.IndexByte("bfnrtv", ch); at >= 0 {
			ch = "\b\f\n\r\t\v"[at]
		}
		out = append(out, ch)
	}
	return out, true
}

// encode writes a masked value so that it reads back as itself; nil as NULL.
func (f *copyFormat) encode(v []byte) []byte {
	if v == nil {
		return []byte(f.null)
	}
	if f.csv {
		out := append([]byte{'"'}, bytes.ReplaceAll(v, []byte(`"`), []byte(`""`))...)
		return append(out, '"')
	}
	var out []byte
	for _, ch := range v {
		switch at := strings.IndexByte("\b\f\n\r\t\v", ch); {
		case at >= 0:
			out = append(out, '\\', "bfnrtv"[at])
		case ch == '\\' || ch == f.delim:
			out = append(out, '\\', ch)
		default:
			out = append(out, ch)
		}
	}
	return out
}
