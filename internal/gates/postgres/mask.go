package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
)

// A field is one column of a RowDescription.
type field struct {
	name      string
	table     uint32 // OID of the relation it comes from, or 0
	attribute int
	typ       uint32
	binary    bool
}

var errRow = errors.New("upstream sent a malformed row")

func readFields(f frame) ([]field, error) {
	w := walker{b: f.body()}
	n := w.u16()
	fields := make([]field, 0, min(n, 1664)) // the server's own bound on columns
	for range n {
		fd := field{name: w.str(), table: w.u32(), attribute: w.u16(), typ: w.u32()}
		w.u16() // size
		w.u32() // modifier
		format := w.u16()
		if w.bad || format > 1 {
			return nil, errRow
		}
		fd.binary = format == 1
		fields = append(fields, fd)
	}
	if !w.done() {
		return nil, errRow
	}
	return fields, nil
}

// appendFields relays a row description. A column may be named after a value, so names are masked as text.
func (c *codec) appendFields(out []byte, f frame, fields []field, mask func([]byte) []byte) []byte {
	changed := false
	for w := (walker{b: f.body()[2:]}); len(w.b) > 0 && !changed; w.take(18) {
		name := w.bytes()
		changed = !same(mask(name), name)
	}
	if !changed {
		return append(out, f...)
	}
	body := binary.BigEndian.AppendUint16(nil, uint16(len(fields)))
	w := walker{b: f.body()}
	w.u16()
	for range fields {
		body = append(append(append(body, mask(w.bytes())...), 0), w.take(18)...)
	}
	return appendFrame(out, 'T', body)
}

// columns says of each column where it comes from: on the parser's word, by
// position where both sides agree on the number, and on the server's provenance.
// Where they disagree every column may come from every source.
func (c *codec) columns(run *run, fields []field) ([]gate.Column, error) {
	parsed := run.columns
	agree := len(parsed) == len(fields)
	var all []string
	anyTurned := false
	for _, p := range parsed {
		all = append(all, p.Sources...)
		anyTurned = anyTurned || p.Turned
		agree = agree && p.Name != "*" && !strings.HasSuffix(p.Name, ".*")
	}
	out := make([]gate.Column, len(fields))
	for i, f := range fields {
		col := gate.Column{Name: f.name, Type: f.typ, Binary: f.binary}
		var from action.Column
		if f.table != 0 && f.attribute > 0 {
			var err error
			if from, err = c.g.catalog.source(c.ctx, c.database, f.table, f.attribute); err != nil {
				return nil, err
			}
		}
		switch {
		case agree:
			col.Sources, col.Derived, col.Turned = slices.Concat(from.Sources, parsed[i].Sources), parsed[i].Derived, parsed[i].Turned
		case len(from.Sources) > 0:
			col.Sources = from.Sources
		default:
			col.Sources, col.Derived, col.Turned = all, true, anyTurned
		}
		col.Derived, col.Turned = col.Derived || from.Derived, col.Turned || from.Turned
		out[i] = col
	}
	return out, nil
}

// same reports whether shown is v; NULL is not the empty value.
func same(shown, v []byte) bool {
	if len(shown) != len(v) || (shown == nil) != (v == nil) {
		return false
	}
	return len(v) == 0 || &shown[0] == &v[0] || bytes.Equal(shown, v)
}

// harmless masks one value of a harmless statement. Its rows have no masks of their own:
// they are scanned as text.
func (c *codec) harmless(v []byte, fd *field) []byte {
	if v == nil || fd.binary && !textual(fd.typ) {
		return v
	}
	return c.text(v)
}

// errorCode returns the SQLSTATE and severity of an ErrorResponse or NoticeResponse body.
func errorCode(body []byte) (code, severity string) {
	code = "XX000"
	w := walker{b: body}
	for {
		k := w.u8()
		if k == 0 {
			return code, severity
		}
		v := w.str()
		switch {
		case k == 'C' && len(v) == 5:
			code = v
		case k == 'V':
			severity = v
		}
	}
}

// errorText returns the message of an ErrorResponse body. Only that of parse analysis,
// when no row has been read, may be shown.
func errorText(body []byte) []byte {
	w := walker{b: body}
	for k := w.u8(); k != 0; k = w.u8() {
		if v := w.str(); k == 'M' {
			return []byte(v)
		}
	}
	return nil
}

// appendReport relays an ErrorResponse or NoticeResponse: an allow-list of
// fields, each masked. Detail, context and internal query show values of rows,
// so they stay here; the SQLSTATE is kept.
func (c *codec) appendReport(out []byte, f frame, mask func([]byte) []byte) []byte {
	code, _ := errorCode(f.body())
	var body []byte
	w := walker{b: f.body()}
	for {
		k := w.u8()
		if k == 0 {
			break
		}
		v := []byte(w.str())
		switch k {
		case 'S', 'V', 'C', 'P':
		case 'M':
			v = mask(c.withoutValues(code, v))
		case 'H', 's', 't', 'c', 'd', 'n':
			v = mask(v)
		case 'D':
			v = []byte("The detail is withheld by the gate.")
		default:
			continue
		}
		body = append(append(append(body, k), v...), 0)
	}
	return appendFrame(out, f.kind(), body, []byte{0})
}

// quotes are what messages put around names and values, in any language the
// server may be set to.
const quotes = "\"«»„“”‘’‚「」『』"

// withoutValues removes what a message quotes when that may be a value of a row
// and not a name of the client's own: a cast made to fail prints the value
// (ssn::int, note::regclass). Before rows are read nothing can be; integrity
// violations (class 23) name constraints and columns only.
func (c *codec) withoutValues(code string, text []byte) []byte {
	switch class := code[:2]; {
	case code == "22021" || code == "22P05": // these spell the bytes out
		return []byte("a character that has no equivalent in the other encoding (withheld)")
	case class == "23" || class == "00" || class == "01":
		return text
	case class == "22" || class == "P0" || class == "XX" || c.reading:
	case c.phase == phaseAnalysis:
		return text
	}
	first, last := bytes.IndexAny(text, quotes), bytes.LastIndexAny(text, quotes)
	if first < 0 {
		return withoutNumbers(text)
	}
	_, size := utf8.DecodeRune(text[last:])
	end := last + size
	if first == last { // a quote that does not end
		end = len(text)
	}
	quoted := string(text[first:end])
	if !c.reading && code[:2] == "42" && c.said != "" && strings.Contains(strings.ToLower(c.said), strings.ToLower(strings.Trim(quoted, quotes))) {
		return text
	}
	return withoutNumbers(append(append(bytes.Clone(text[:first]), "(withheld)"...), text[end:]...))
}

// withoutNumbers replaces the numbers that a message says without quotes:
// "requested character too large for encoding: 123456789", by chr(ssn).
func withoutNumbers(text []byte) []byte {
	return numbers.ReplaceAll(text, []byte("(withheld)"))
}

var numbers = regexp.MustCompile(`[0-9][0-9.,:/-]*`)

func errorFrame(severity, code, message, detail, hint string) []byte {
	return report('E', severity, code, message, detail, hint)
}

func noticeFrame(code, message, hint string) []byte {
	return report('N', "NOTICE", code, message, "", hint)
}

func report(kind byte, severity, code, message, detail, hint string) []byte {
	var body []byte
	for _, f := range []struct {
		k byte
		v string
	}{{'S', severity}, {'V', severity}, {'C', code}, {'M', message}, {'D', detail}, {'H', hint}} {
		if f.v != "" {
			body = append(append(append(body, f.k), strings.ReplaceAll(f.v, "\x00", "")...), 0)
		}
	}
	return appendFrame(nil, kind, body, []byte{0})
}
