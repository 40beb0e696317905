package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/assenthq/assent/internal/detect"
)

// A Column describes one column of a result set.
type Column struct {
	Name    string   // as the client will see it
	Type    uint32   // PostgreSQL type OID, or 0
	Binary  bool     // values come in the binary format of the type
	Sources []string // "customers.email"
	Derived bool     // an expression over its sources
	Turned  bool     // the expression shows text in a form in which nothing can be found
}

// Errors of values that cannot be masked. They never hold the value.
var (
	errMalformed = errors.New("value does not have the form of its type")
	errOpaque    = errors.New("a value of this type cannot be masked")
	errColumn    = errors.New("no such column")
)

// A Rows masks the values of one result set. It is used by one goroutine.
//
// A value whose column has a class (by catalogue, source, name, type or an
// earlier value) is masked as a whole; in any other, what is found in it is
// masked. A column never loses a class. Masked values are valid values of their
// type: numbers become 0, dates 2000-01-01, UUIDs zero, addresses 0.0.0.0. Types
// made by users are masked as text, in binary format only where that is text; what
// has no masked form (geometry, bit strings, multiranges…) is refused.
type Rows struct {
	set    *Set
	cols   []column
	first  []column // cols as they were before any value
	counts map[string]int64
	found  []detect.Finding // reused from value to value
	shown  []byte           // the mask of the last value, for as long as nobody asks for another
}

// maxShown is how large the memory of a mask may be to be used again.
const maxShown = 16 << 10

// Unscannable stands in place of a class for what an expression made of text that
// has none: reverse(notes) shows whatever notes holds, and nobody could find it.
const Unscannable detect.Class = "unscannable"

// says reports whether a value of the column can say that it is masked.
func (c *column) says() bool {
	return c.kind == kindText || c.kind == kindJSON || c.kind == kindJSONB || c.kind == kindRecord || c.kind == kindOther && (c.Type == 0 || c.Type >= firstUserType)
}

type column struct {
	Column
	kind  kind
	elem  kind // of an array
	class detect.Class
	rule  rule
	known bool  // class and rule hold
	clean bool  // what holds no finding is shown as it is, whatever else it may be
	few   bool  // an integer in text
	plain bool  // text that comes straight out of a column
	depth int   // of nested values
	n     int64 // masked values that are not in counts yet
}

// passes reports whether content shows every value that a scan finds nothing in.
func (c *column) passes() bool {
	switch c.kind {
	case kindText, kindOther:
		return true
	case kindRecord, kindOpaque, kindInt2, kindInt4, kindInt8, kindFloat4, kindFloat8, kindNumeric:
		return !c.Binary
	}
	return false
}

// Rows opens a result set.
func (s *Set) Rows(cols []Column) *Rows {
	r := &Rows{set: s, counts: map[string]int64{}}
	for _, c := range cols {
		col := column{Column: c, kind: kindOf(c.Type)}
		if col.kind == kindArray {
			col.elem = kindOf(elementOf(c.Type))
		}
		holds := col.kind
		if holds == kindArray {
			holds = col.elem
		}
		for _, src := range c.Sources {
			if class, _ := s.engine.Column("", []string{src}); class != "" && (c.Derived || fits(class, holds)) {
				r.learn(&col, class)
			}
		}
		if class, _ := s.engine.Column(c.Name, nil); class != "" && fits(class, holds) {
			r.learn(&col, class)
		}
		if holds == kindInet {
			r.learn(&col, detect.IP)
		}
		if holds == kindMAC || holds == kindMAC8 {
			r.learn(&col, detect.MAC)
		}
		if c.Turned && !col.known && len(s.rules) > 0 {
			col.Derived, col.class, col.rule, col.known = true, Unscannable, rule{method: Redact}, true
		}
		col.clean, col.plain = col.passes(), col.kind == kindText && !col.Derived
		if col.kind == kindInt2 || col.kind == kindInt4 || col.kind == kindInt8 {
			col.few = !col.Binary
		}
		r.cols = append(r.cols, col)
	}
	r.first = slices.Clone(r.cols)
	return r
}

// Reset makes r ready for another result set of the same columns.
func (r *Rows) Reset() {
	copy(r.cols, r.first)
	clear(r.counts)
}

// learn gives a column a class if the set masks it. The strictest method stays.
func (r *Rows) learn(c *column, class detect.Class) {
	rule, ok := r.set.rules[class]
	if !ok {
		return
	}
	rule.stored = !c.Derived && len(c.Sources) > 0
	if c.Derived {
		// The last four of reverse(card) are its first, and the token of one digit
		// is soon known: a union with a literal shows the literal's.
		rule.method = Redact
	}
	if !c.known || strictness(rule.method) > strictness(c.rule.method) {
		c.class, c.rule, c.known = class, rule, true
	}
}

// Counts returns how many values were masked, by class.
func (r *Rows) Counts() map[string]int64 {
	for i := range r.cols {
		if c := &r.cols[i]; c.n > 0 {
			r.counts[string(c.class)] += c.n
			c.n = 0
		}
	}
	return r.counts
}

// Value returns what may be shown for v, the value of column i, good until the next
// call. It never modifies v, and returns v itself when there is nothing to mask. NULL (nil)
// stays NULL, except where a classed value was computed with: there each value
// gets the same answer, because nullif(substr(ssn, 1, 1), '1') tells a digit by being
// NULL and string_to_array(ssn, '1') by its length. An error means that the value
// must not be delivered.
func (r *Rows) Value(i int, v []byte) ([]byte, error) {
	if uint(i) >= uint(len(r.cols)) {
		if len(r.set.rules) == 0 {
			return v, nil
		}
		return nil, fmt.Errorf("masking column %d of %d: %w", i, len(r.cols), errColumn)
	}
	switch c := &r.cols[i]; {
	case v == nil:
	case c.plain && c.known:
		c.n++ // a column keeps its class, so Counts can still tell which
		if c.rule.method == Redact {
			return c.rule.tag, nil
		}
		out := c.rule.appendTo(r.shown, c.class, v)
		if cap(out) <= maxShown {
			r.shown = out[:0]
		}
		return out, nil
	case c.known:
	case c.few && fewDigits(v), c.clean && r.set.engine.Clean(v):
		return v, nil
	}
	return r.value(i, v)
}

// fewDigits reports an integer that is too short for any class.
func fewDigits(v []byte) bool {
	for _, b := range v {
		if b-'0' > 9 && b != '-' {
			return false
		}
	}
	return len(v) < shortest
}

// shortest is how many digits the shortest number has that is of a class by itself.
const shortest = 7

// value is Value for what takes longer.
func (r *Rows) value(i int, v []byte) ([]byte, error) {
	c := &r.cols[i]
	if len(r.set.rules) == 0 {
		return v, nil
	}
	if v == nil && !(c.known && c.Derived) {
		return nil, nil
	}
	var out []byte
	var err error
	if c.class == Unscannable && !c.says() {
		// A number made of nothing would be taken for an answer.
		r.counts[string(c.class)]++
		return nil, nil
	}
	if c.known && c.Derived {
		out, err = c.constant()
		r.counts[string(c.class)]++
	} else {
		out, err = r.mask(c, c.kind, v)
	}
	if err != nil {
		return nil, fmt.Errorf("masking column %d of type %d: %w", i, c.Type, err)
	}
	return out, nil
}

func (r *Rows) mask(c *column, k kind, v []byte) ([]byte, error) {
	switch k {
	case kindArray:
		if c.Binary {
			return r.arrayBinary(c, v)
		}
		return r.arrayText(c, v)
	case kindRecord:
		if c.Binary {
			return r.recordBinary(c, v)
		}
	}
	if c.known {
		out, err := c.whole(k, v)
		if err == nil {
			r.counts[string(c.class)]++
		}
		return out, err
	}
	return r.content(c, k, v)
}

// whole returns the mask for a value of kind k as a whole.
func (c *column) whole(k kind, v []byte) ([]byte, error) {
	text := func() string { return c.rule.value(c.class, v) }
	switch k {
	case kindText:
		return []byte(text()), nil
	case kindJSON, kindJSONB:
		body, version, err := c.jsonBody(k, v)
		if err != nil {
			return nil, err
		}
		return append(version, jsonString(c.rule.value(c.class, unquoted(body)))...), nil
	case kindOther:
		if c.Type > 0 && c.Type < firstUserType || c.Binary && !isText(v) {
			return nil, errOpaque
		}
		return []byte(text()), nil
	case kindRecord:
		return []byte("(" + tag(c.class) + ")"), nil
	case kindOpaque:
		return nil, errOpaque
	}
	z := zeros[k]
	if c.Binary {
		if z.binary == nil {
			return nil, errOpaque
		}
		return slices.Clone(z.binary), nil
	}
	return []byte(z.text), nil
}

// constant returns the mask of a computed value: the same for every value of the column.
func (c *column) constant() ([]byte, error) {
	switch c.kind {
	case kindArray:
		if !c.Binary {
			return []byte("{}"), nil
		}
		return binary.BigEndian.AppendUint32(make([]byte, 8), elementOf(c.Type)), nil
	case kindRecord:
		if c.Binary {
			return make([]byte, 4), nil
		}
	case kindJSON, kindJSONB:
		if c.kind == kindJSONB && c.Binary {
			return append([]byte{1}, jsonString(tag(c.class))...), nil
		}
		return jsonString(tag(c.class)), nil
	case kindOther:
		if c.Type > 0 && c.Type < firstUserType {
			return nil, errOpaque
		}
		return []byte(tag(c.class)), nil
	}
	return c.whole(c.kind, nil)
}

// content masks what is found in a value whose column has no class.
func (r *Rows) content(c *column, k kind, v []byte) ([]byte, error) {
	switch k {
	case kindText:
		return r.text(c, v), nil
	case kindJSON, kindJSONB:
		body, version, err := c.jsonBody(k, v)
		if err != nil {
			return nil, err
		}
		out, err := r.json(body)
		if err != nil {
			return nil, err
		}
		if len(out) == len(body) && (len(out) == 0 || &out[0] == &body[0]) {
			return v, nil
		}
		return append(version, out...), nil
	case kindOther, kindRecord:
		if c.Binary && !isText(v) {
			return r.refuseFindings(v)
		}
		return r.text(c, v), nil
	case kindBytea:
		return r.bytea(c, v)
	case kindOpaque:
		switch holds := r.holdsNumber(c, k, v); {
		case holds && c.kind == kindOpaque:
			return nil, nil // there is no masked point or bit string
		case holds:
			return nil, errOpaque
		case c.Binary:
			return v, nil // positions, identifiers
		}
		return r.text(c, v), nil
	case kindMoney, kindRange:
		if r.holdsNumber(c, k, v) {
			return c.whole(k, v)
		}
		return v, nil
	case kindFloat8:
		if !c.Binary && bytes.IndexByte(v, 'e') >= 0 && r.holdsNumber(c, k, v) {
			return c.whole(k, v)
		}
		return r.number(c, k, v)
	case kindInt2, kindInt4, kindInt8, kindFloat4, kindNumeric:
		return r.number(c, k, v)
	}
	return v, nil // types that hold none of the classes: dates, UUIDs, booleans
}

// sure is the score from which a value that is wholly of a class gives it to its column.
const sure = 0.8

// text masks findings in text. When the whole value is one, the column has that
// class from now on.
func (r *Rows) text(c *column, v []byte) []byte {
	found := r.set.engine.Scan(v, r.found[:0])
	r.found = found
	if len(found) == 1 && found[0].Score >= sure && len(bytes.TrimSpace(v)) <= found[0].End-found[0].Start {
		if r.learn(c, found[0].Class); c.known {
			r.counts[string(c.class)]++
			return []byte(c.rule.value(c.class, v))
		}
	}
	out, counts := r.set.replace(v, found)
	for class, n := range counts {
		r.counts[class] += n
	}
	return out
}

// number masks a number that is, in decimal, a card, telephone or other number.
func (r *Rows) number(c *column, k kind, v []byte) ([]byte, error) {
	text := v
	if c.Binary {
		var buf [96]byte
		var err error
		if text, err = decimal(buf[:0], k, v); err != nil {
			return nil, err
		}
	}
	r.found = r.set.engine.Scan(text, r.found[:0])
	for _, f := range r.found {
		if _, ok := r.set.rules[f.Class]; ok {
			r.learn(c, f.Class)
			r.counts[string(c.class)]++
			return c.whole(k, v)
		}
	}
	return v, nil
}

// bytea masks text found in bytes.
func (r *Rows) bytea(c *column, v []byte) ([]byte, error) {
	if c.Binary {
		if class := r.set.packed(v); class != "" {
			r.counts[string(class)]++
			return []byte{}, nil
		}
		return r.free(v), nil
	}
	if len(v) < 2 || v[0] != '\\' || v[1] != 'x' {
		return r.free(v), nil // bytea_output = escape
	}
	raw := make([]byte, hex.DecodedLen(len(v)-2))
	if _, err := hex.Decode(raw, v[2:]); err != nil {
		return nil, errMalformed
	}
	if class := r.set.packed(raw); class != "" {
		r.counts[string(class)]++
		return []byte(`\x`), nil
	}
	out := r.free(raw)
	if len(out) == 0 || &out[0] == &raw[0] {
		return v, nil
	}
	return hex.AppendEncode([]byte(`\x`), out), nil
}

// free masks findings without giving the column a class.
func (r *Rows) free(v []byte) []byte {
	out, counts := r.set.TextCounted(v)
	for class, n := range counts {
		r.counts[class] += n
	}
	return out
}

// refuseFindings passes binary data of an unknown type only when nothing is found in it.
func (r *Rows) refuseFindings(v []byte) ([]byte, error) {
	found := r.set.engine.Find(v)
	defer found.Free()
	for _, f := range found.List {
		if _, ok := r.set.rules[f.Class]; ok {
			return nil, errOpaque
		}
	}
	return v, nil
}
