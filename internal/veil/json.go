package veil

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/jsontext"
)

const (
	longest   = 256 << 10 // bytes of a string that is held as a whole
	deepNest  = 1000      // arrays and objects open at once
	maxName   = 256       // bytes of a name that tell what its values are
	maxBefore = 128       // bytes that stand before a text by habit
)

// document masks JSON as it passes: one value, or one after the other. Values are masked by name and content,
// every other byte stays as it is. It holds one string at most; one that is longer than
// longest passes in pieces. What is not JSON is masked as text from there on.
type document struct {
	to     io.Writer
	values Values
	fill   bool
	tagged bool // between a name and its value stands the value's type
	depth  int  // texts of JSON inside each other that may still come

	stack []frame
	names []byte // of the objects that are open
	token []byte // what is read of a string, without its first quote, or of a number or word
	state state
	value bool // a value ended, and nothing came since
	any   bool // something other than space came
	begun bool // nothing stands before it any more

	long  gate.Stream // of a string that is long
	align *aligned    // behind it, where lengths are kept
	tail  *document   // instead of it: JSON in such a string
	rest  gate.Stream // of what is not JSON
	off   bool        // a long string that is masked as a whole goes on

	someStack [8]frame // what most need, with the rest
	someNames [96]byte
}

type state uint8

const (
	between state = iota
	inString
	escaped // behind a backslash in a string
	inWord
)

// A frame is an object or array that is open.
type frame struct {
	object bool
	naming bool // a name comes next
	begin  int  // of its name in names
	key    int  // index of the frame that names what stands in it; -1: none
}

func newDocument(to io.Writer, p gate.Permit, fill bool, depth int) *document {
	d := &document{to: to, values: Values{Permit: p}, fill: fill, depth: depth}
	d.stack, d.names = d.someStack[:0], d.someNames[:0]
	return d
}

func (d *document) write(p []byte) (err error) {
	if !d.begun {
		if p, err = d.start(p); err != nil {
			return err
		}
	}
	for len(p) > 0 && err == nil {
		switch {
		case d.rest != nil:
			_, err = d.rest.Write(p)
			return err //nolint:wrapcheck // a Denied, told as it is
		case d.state == between:
			p, err = d.skip(p)
		case d.state == inString:
			p, err = d.string(p)
		case d.state == escaped:
			d.token = append(d.token, p[0])
			if d.state, p = inString, p[1:]; len(d.token) > longest { // a string may be all escapes
				err = d.pour(false)
			}
		default:
			p, err = d.wordOf(p)
		}
	}
	return err
}

// start passes what stands before a text by habit (")]}',", "for(;;);", "callback("), and returns the rest.
func (d *document) start(p []byte) ([]byte, error) {
	if len(d.token) == 0 {
		switch rest := bytes.TrimLeft(p, " \t\r\n\xef\xbb\xbf"); {
		case len(rest) == 0:
			return p, nil
		case rest[0] == '{' || rest[0] == '[' || rest[0] == '"':
			d.begun = true
			return p, nil
		}
	}
	d.token = append(d.token, p...)
	n := bytes.IndexAny(d.token, "{[")
	if n < 0 && len(d.token) < maxBefore {
		return nil, nil
	}
	return d.started(n)
}

// started ends what stands before a text, n bytes; -1: there is no text.
func (d *document) started(n int) ([]byte, error) {
	p := d.token
	d.begun, d.token = true, nil
	if n < 0 || n > maxBefore {
		return p, d.give()
	}
	out := p[:n]
	if !d.values.Permit.Clear("", out) {
		if out = d.values.Permit.Text(out); d.fill {
			out = filled(p[:n], out)
		}
	}
	return p[n:], d.pass(out)
}

// skip takes what stands between tokens, and tokens that are wholly in p; what it masks nothing in
// passes as it is, in one piece.
func (d *document) skip(p []byte) ([]byte, error) {
	from, i := 0, 0
	for i < len(p) {
		ok, begins, err := d.structure(p[i])
		if err != nil {
			return nil, err
		}
		if ok && !begins {
			i++
			continue
		}
		inside, end := i, 0
		if ok {
			inside, end = d.within(p, i)
		}
		if end == 0 {
			if err := d.pass(p[from:i]); err != nil {
				return nil, err
			}
			d.token = d.token[:0]
			if !ok {
				return p[i:], d.give()
			}
			return p[inside:], nil
		}
		raw, next := p[inside:end], end+inside-i // past a string's second quote
		var out []byte
		if d.state == inString {
			out, err = d.masked(raw)
			d.state, d.value = between, true
		} else if out, ok, err = d.wordMasked(raw); !ok && err == nil {
			if err = d.pass(p[from:i]); err == nil {
				d.state = between
				err = d.give()
			}
			return p[i:], err
		}
		if err != nil {
			return nil, err
		}
		if i, end = next, i; out == nil {
			continue
		}
		if err := errors.Join(d.pass(p[from:end]), d.pass(out)); err != nil {
			return nil, err
		}
		from = i
	}
	return nil, d.pass(p[from:])
}

// within is where the inside of the token at i begins and ends; end 0: not in p, or with escapes.
func (d *document) within(p []byte, i int) (inside, end int) {
	if d.state == inString {
		for k := i + 1; k < len(p); k++ {
			switch p[k] {
			case '"':
				return i + 1, k
			case '\\':
				return i + 1, 0
			}
		}
		return i + 1, 0
	}
	for k := i; k < len(p) && k-i <= maxName; k++ {
		if endsWord(p[k]) {
			return i, k
		}
	}
	return i, 0
}

// string takes a string up to its end or next escape.
func (d *document) string(p []byte) ([]byte, error) {
	n := 0
	for n < len(p) && p[n] != '"' && p[n] != '\\' {
		n++
	}
	d.token = append(d.token, p[:n]...)
	switch {
	case n == len(p):
		p = nil
	case p[n] == '"':
		return p[n+1:], d.text()
	default:
		d.token = append(d.token, '\\')
		d.state, p = escaped, p[n+1:]
	}
	if len(d.token) > longest && d.state == inString {
		return p, d.pour(false)
	}
	return p, nil
}

// wordOf takes a number or word up to its end.
func (d *document) wordOf(p []byte) ([]byte, error) {
	n := 0
	for n < len(p) && !endsWord(p[n]) {
		n++
	}
	d.token = append(d.token, p[:n]...)
	if n == len(p) && len(d.token) <= maxName {
		return nil, nil
	}
	if ok, err := d.word(); err != nil || ok {
		return p[n:], err
	}
	return p[n:], d.give()
}

func (d *document) pass(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := d.to.Write(b)
	return err //nolint:wrapcheck // of what is behind
}

func endsWord(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', ',', ']', '}', ':', '"', '{', '[':
		return true
	}
	return false
}

// structure takes a byte between tokens. ok: it may stand there. begins: a string or word begins with it.
func (d *document) structure(c byte) (ok, begins bool, err error) {
	top := len(d.stack) - 1
	switch c {
	case ' ', '\t', '\n', '\r', 0x1e:
		return true, false, nil
	case 0xef, 0xbb, 0xbf:
		return !d.any, false, nil // a mark of UTF-8
	}
	d.any = true
	switch c {
	case ',':
		if top < 0 || !d.value {
			return false, false, nil
		}
		d.value = false
		if d.stack[top].object {
			d.stack[top].naming = true
		}
		return true, false, nil
	case ':':
		if top < 0 || !d.stack[top].object || !d.stack[top].naming || !d.value {
			return false, false, nil
		}
		d.value, d.stack[top].naming = false, false
		return true, false, nil
	case '}', ']':
		if top < 0 || d.stack[top].object != (c == '}') {
			return false, false, nil
		}
		d.names = d.names[:d.stack[top].begin]
		d.stack = d.stack[:top]
		d.value = true
		if top == 0 {
			d.values.next() // another document may follow
		}
		return true, false, nil
	}
	if d.value && top >= 0 || top >= 0 && d.stack[top].naming && c != '"' {
		return false, false, nil
	}
	switch {
	case c == '{' || c == '[':
		if top+1 >= deepNest {
			return false, false, errDeep
		}
		f := frame{object: c == '{', naming: c == '{', begin: len(d.names), key: -1}
		if f.object {
			f.key = top + 1
		} else if top >= 0 {
			f.key = d.stack[top].key
		}
		d.stack = append(d.stack, f)
		d.value = false
		return true, false, nil
	case c == '"':
		d.state = inString
		return true, true, nil
	case top < 0: // a number or word alone: what follows it may be no JSON
		return false, false, nil
	}
	d.state = inWord
	return true, true, nil
}

// key is the name of what stands here. It is good until the next token.
func (d *document) key() string {
	if len(d.stack) == 0 {
		return ""
	}
	k := d.stack[len(d.stack)-1].key
	for k > 0 && d.tagged && isTag(d.named(k)) {
		k = d.stack[k-1].key
	}
	if k < 0 {
		return ""
	}
	name := d.named(k)
	if len(name) == 0 {
		return ""
	}
	return unsafe.String(&name[0], len(name))
}

// named is the name that a member of frame k has now.
func (d *document) named(k int) []byte {
	if k+1 < len(d.stack) {
		return d.names[d.stack[k].begin:d.stack[k+1].begin]
	}
	return d.names[d.stack[k].begin:]
}

// isTag says that a name tells the type of what stands under it, as DynamoDB writes its values.
func isTag(name []byte) bool {
	switch string(name) {
	case "S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M":
		return true
	}
	return false
}

// naming says that a string here is the name of a member.
func (d *document) naming() bool {
	return len(d.stack) > 0 && d.stack[len(d.stack)-1].naming
}

// text ends a string that came in pieces or has escapes.
func (d *document) text() error {
	if d.long != nil || d.tail != nil || d.off {
		d.state, d.value = between, true
		return d.pour(true)
	}
	raw := d.token
	out, err := d.masked(raw)
	d.state, d.value, d.token = between, true, d.token[:0]
	switch {
	case err != nil:
		return err
	case out != nil:
		return d.pass(out)
	}
	return errors.Join(d.pass(quote), d.pass(raw), d.pass(quote))
}

// masked is what stands for a string, with its quotes; nil: itself.
func (d *document) masked(raw []byte) (out []byte, err error) {
	plain := raw
	if bytes.IndexByte(raw, '\\') >= 0 {
		plain = unescaped(raw)
	}
	out = plain
	if d.naming() {
		f := &d.stack[len(d.stack)-1]
		d.names = append(d.names[:f.begin], plain[:min(len(plain), maxName)]...)
		if name, is := d.values.Name(plain); is {
			out = name
		}
	} else if out, err = d.member(plain); err != nil {
		return nil, err
	}
	switch {
	case same(out, plain):
		return nil, nil
	case d.fill:
		shown := append(make(pieces, 0, len(raw)+2), '"')
		a := aligned{to: &shown, raw: bytes.Clone(raw)}
		if _, err := a.Write(filled(plain, out)); err != nil {
			return nil, err
		}
		return append(shown, '"'), nil
	}
	return jsontext.Append(make([]byte, 0, len(out)+2), out), nil
}

var quote = []byte{'"'}

func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}

// member masks the value of a string.
func (d *document) member(plain []byte) ([]byte, error) {
	if !d.fill {
		return d.values.Member(d.key(), plain, d.depth)
	}
	if key := d.key(); d.values.Permit.Clear(key, plain) {
		return plain, nil
	} else if d.values.named(key) {
		return d.values.member(key, plain)
	}
	if d.depth > 0 && isJSON(plain) {
		var out pieces
		inner := newDocument(&out, d.values.Permit, true, d.depth-1)
		if err := inner.write(plain); err != nil {
			return nil, err
		}
		if err := inner.end(); err != nil {
			return nil, err
		}
		return out, nil
	}
	return fill(d.values.Permit, plain)
}

// word ends a number, or true, false or null, that came in pieces. ok: it is one of them.
func (d *document) word() (ok bool, err error) {
	t := d.token
	out, ok, err := d.wordMasked(t)
	if err != nil || !ok {
		return false, err
	}
	d.token = d.token[:0]
	if out == nil {
		out = t
	}
	return true, d.pass(out)
}

// wordMasked is what stands for a number, or true, false or null; nil: itself. ok: it is one of them.
func (d *document) wordMasked(t []byte) (out []byte, ok bool, err error) {
	switch string(t) {
	case "true", "false", "null":
		d.state, d.value = between, true
		return nil, true, nil
	}
	for i, c := range t {
		if (c < '0' || c > '9') && c != '-' && (i == 0 || c != '+' && c != '.' && c|0x20 != 'e') {
			return nil, false, nil
		}
	}
	d.state, d.value = between, true
	if len(t) < Shortest {
		return nil, true, nil
	}
	out, err = d.values.number(d.key(), t)
	switch {
	case err != nil:
		return nil, false, err
	case same(out, t):
		return nil, true, nil
	case d.fill:
		out = bytes.Repeat([]byte{'0'}, len(t))
		out[0] = '1'
		return out, true, nil
	}
	return jsontext.Append(nil, out), true, nil
}

// give masks what follows as text: it is not JSON. A word that was begun is part of it.
func (d *document) give() error {
	d.rest = d.values.Permit.Stream(d.to, d.fill)
	begun := d.token
	if d.state != inWord {
		begun = nil
	}
	d.state, d.token = between, nil
	_, err := d.rest.Write(begun)
	return err //nolint:wrapcheck // a Denied, told as it is
}

// pour passes on what there is of a long string.
func (d *document) pour(last bool) error {
	if d.long == nil && d.tail == nil && !d.off {
		if err := d.begin(); err != nil {
			return err
		}
	}
	whole := len(d.token)
	if !last {
		whole = complete(d.token)
	}
	if err := d.pourInto(d.token[:whole]); err != nil {
		return err
	}
	d.token = d.token[:copy(d.token, d.token[whole:])]
	if !last {
		return nil
	}
	var err error
	switch {
	case d.tail != nil:
		err = d.tail.end()
	case d.long != nil:
		err = d.long.Close()
	}
	closed := d.off && !d.fill // by the mask that stands for it
	d.tail, d.long, d.align, d.off = nil, nil, nil, false
	if err != nil || closed {
		return err //nolint:wrapcheck // a Denied, told as it is
	}
	return d.pass(quote)
}

func (d *document) pourInto(raw []byte) error {
	switch {
	case d.off && d.fill:
		stars(raw)
		return d.pass(raw)
	case d.off:
		return nil
	case d.tail != nil:
		return d.tail.write(unescaped(raw))
	default:
		if d.align != nil {
			d.align.raw = append(d.align.raw, raw...)
		}
		_, err := d.long.Write(unescaped(raw))
		return err //nolint:wrapcheck // a Denied, told as it is
	}
}

// begin decides how a long string passes.
func (d *document) begin() error {
	if d.naming() {
		return errName
	}
	p, key := d.values.Permit, d.key()
	if d.values.named(key) {
		out, err := d.values.member(key, []byte("x"))
		if err != nil {
			return err
		}
		if string(out) != "x" {
			d.off = true
			if d.fill {
				return d.pass(quote)
			}
			return d.pass(jsontext.Append(nil, out))
		}
	}
	if err := d.pass(quote); err != nil {
		return err
	}
	switch {
	case d.fill:
		d.align = &aligned{to: d.to}
		d.long = p.Stream(d.align, true)
	case d.depth > 0 && isJSON(unescaped(d.token[:complete(d.token)])):
		d.tail = newDocument(quoting{d.to}, p, false, d.depth-1)
	default:
		d.long = p.Stream(quoting{d.to}, false)
	}
	return nil
}

// end ends the text.
func (d *document) end() error {
	if !d.begun && len(d.token) > 0 {
		p, err := d.started(-1)
		if err == nil {
			_, err = d.rest.Write(p)
		}
		if err != nil {
			return err //nolint:wrapcheck // a Denied, told as it is
		}
	}
	if d.rest != nil {
		return d.rest.Close() //nolint:wrapcheck // a Denied, told as it is
	}
	switch d.state {
	case inString, escaped: // cut off: it has no end
		if d.long != nil || d.tail != nil || d.off {
			return errCut
		}
		return d.cut()
	case inWord:
		if ok, err := d.word(); err != nil || ok {
			return err
		}
	default:
		return nil
	}
	if err := d.give(); err != nil {
		return err
	}
	return d.rest.Close() //nolint:wrapcheck // a Denied, told as it is
}

// cut ends a string that has no end.
func (d *document) cut() error {
	raw := d.token[:complete(d.token)]
	plain := unescaped(raw)
	out := plain
	var err error
	if !d.naming() {
		out, err = d.member(plain)
	} else if name, is := d.values.Name(plain); is {
		out = name
	}
	switch {
	case err != nil:
		return err
	case same(out, plain):
		return errors.Join(d.pass(quote), d.pass(d.token))
	case d.fill:
		stars(d.token)
		return errors.Join(d.pass(quote), d.pass(d.token))
	}
	shown := jsontext.Append(nil, out)
	return d.pass(shown[:len(shown)-1])
}

// quoting writes text as the inside of a string of JSON. Pieces end between characters or not at all.
type quoting struct{ to io.Writer }

func (q quoting) Write(b []byte) (int, error) {
	out := make([]byte, 0, len(b)+16)
	at := 0
	for i, c := range b { // bytes above ASCII stay as they are, cut or not
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, b[at:i]...)
		quoted := jsontext.Append(nil, b[i:i+1])
		out = append(out, quoted[1:len(quoted)-1]...)
		at = i + 1
	}
	if _, err := q.to.Write(append(out, b[at:]...)); err != nil {
		return 0, err //nolint:wrapcheck // of what is behind
	}
	return len(b), nil
}

// unit reads one character or escape of a string: its size, and what it stands for. An escape that
// nobody knows stands for what follows the backslash. size 0: it is cut off.
func unit(raw []byte) (size int, out [utf8.UTFMax]byte, n int) {
	if raw[0] != '\\' {
		return 1, [4]byte{raw[0]}, 1
	}
	if len(raw) < 2 {
		return 0, out, 0
	}
	switch c := raw[1]; c {
	case 'b':
		return 2, [4]byte{'\b'}, 1
	case 'f':
		return 2, [4]byte{'\f'}, 1
	case 'n':
		return 2, [4]byte{'\n'}, 1
	case 'r':
		return 2, [4]byte{'\r'}, 1
	case 't':
		return 2, [4]byte{'\t'}, 1
	case 'u':
	default:
		return 2, [4]byte{c}, 1
	}
	if len(raw) < 6 {
		return 0, out, 0
	}
	r, ok := hex4(raw[2:6])
	if !ok {
		return 2, [4]byte{'u'}, 1
	}
	size = 6
	if utf16.IsSurrogate(r) {
		if len(raw) < 12 && len(raw) == 6 || len(raw) > 6 && len(raw) < 12 && raw[6] == '\\' {
			return 0, out, 0
		}
		if len(raw) >= 12 && raw[6] == '\\' && raw[7] == 'u' {
			if low, ok := hex4(raw[8:12]); ok {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					r, size = both, 12
				}
			}
		}
	}
	n = utf8.EncodeRune(out[:], r)
	return size, out, n
}

func hex4(b []byte) (r rune, ok bool) {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescaped is what the inside of a string stands for.
func unescaped(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		if n := bytes.IndexByte(raw, '\\'); n != 0 {
			if n < 0 {
				n = len(raw)
			}
			out, raw = append(out, raw[:n]...), raw[n:]
			continue
		}
		size, c, n := unit(raw)
		if size == 0 {
			size, c, n = wholly(raw)
		}
		out, raw = append(out, c[:n]...), raw[size:]
	}
	return out
}

// wholly is unit for a string that ends in an escape that is cut off.
func wholly(raw []byte) (size int, out [utf8.UTFMax]byte, n int) {
	padded := append(append(make([]byte, 0, len(raw)+12), raw...), "            "...)
	size, out, n = unit(padded)
	return min(size, len(raw)), out, n
}

// complete is how many bytes of raw are whole characters and escapes.
func complete(raw []byte) int {
	at := max(0, len(raw)-24)
	for at > 0 && (raw[at] == '\\' || raw[at-1] == '\\') { // begin where no escape does
		at--
	}
	for at < len(raw) {
		size, _, _ := unit(raw[at:])
		if size == 0 || at+size > len(raw) {
			break
		}
		at += size
	}
	return at
}

// aligned takes text that is as long as what raw stands for, and writes raw with stars where they differ.
type aligned struct {
	to  io.Writer
	raw []byte
	got []byte
}

func (a *aligned) Write(b []byte) (int, error) {
	a.got = append(a.got, b...)
	out := make([]byte, 0, len(a.raw))
	raw, got := a.raw, a.got
	for len(raw) > 0 && len(got) > 0 {
		size, c, n := unit(raw)
		if size == 0 {
			size, c, n = wholly(raw)
		}
		if len(got) < n {
			break
		}
		out = append(out, raw[:size]...)
		if !bytes.Equal(got[:n], c[:n]) {
			stars(out[len(out)-size:])
		}
		raw, got = raw[size:], got[n:]
	}
	a.raw = a.raw[:copy(a.raw, raw)]
	a.got = a.got[:copy(a.got, got)]
	if len(out) > 0 {
		if _, err := a.to.Write(out); err != nil {
			return 0, err //nolint:wrapcheck // of what is behind
		}
	}
	return len(b), nil
}
