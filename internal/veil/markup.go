package veil

import (
	"bytes"
	"html"
	"io"
	"strings"

	"github.com/assenthq/assent/gate"
)

const (
	maxTag  = 1 << 20  // bytes of a tag
	maxText = 16 << 10 // bytes of text between two tags that are looked at as one
	maxHead = 64       // columns of a table
)

// markup masks XML and HTML: values by the names of their elements and attributes, by a name that
// stands beside them (<key>password</key><string>…, <th>SSN</th><td>…), and everything by what it
// holds, character references resolved. It needs not be exact: what is no markup is text.
type markup struct {
	text   stream // of everything, masked by what it holds
	values Values
	fill   bool
	html   bool

	buf  []byte // not looked at yet
	from int    // what of it was searched for the end of what it begins with
	raw  string // what ends the comment, script or declaration that goes on; "": none does

	key    string // of the element that is open, and named; "": none is
	within string // its name
	depth  int    // of elements of that name in it

	naming string   // the element whose text may name what follows
	said   []byte   // that text
	beside string   // what it named
	heads  []string // what the columns of a table are called
	cell   int      // column that we are in
}

func newMarkup(to io.Writer, p gate.Permit, fill, isHTML bool) *markup {
	return &markup{text: stream{p.Stream(to, fill)}, values: Values{Permit: p, flows: true}, fill: fill, html: isHTML, cell: -1}
}

func (m *markup) write(p []byte) error {
	m.buf = append(m.buf, p...)
	return m.take(false)
}

func (m *markup) end() error {
	if err := m.take(true); err != nil {
		return err
	}
	return m.text.end()
}

// take takes whole pieces off what came; at the end, all of it.
func (m *markup) take(all bool) error {
	at := 0
	for at < len(m.buf) {
		n, err := m.piece(m.buf[at:], all)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		at, m.from = at+n, 0
	}
	m.buf = m.buf[:copy(m.buf, m.buf[at:])]
	return nil
}

// piece takes one piece off b, and says how long it is; 0: not all of it came.
func (m *markup) piece(b []byte, all bool) (int, error) {
	switch {
	case m.raw != "":
		return m.rest(b, all)
	case b[0] != '<':
		return m.words(b, all)
	case len(b) < len("<![CDATA[") && !all && bytes.IndexByte(b, '>') < 0:
		return 0, nil
	case bytes.HasPrefix(b, []byte("<![CDATA[")):
		return m.cdata(b, all)
	case bytes.HasPrefix(b, []byte("<!--")):
		return m.begin("-->", b[:4])
	case bytes.HasPrefix(b, []byte("<!")):
		return m.begin(">", b[:2])
	case bytes.HasPrefix(b, []byte("<?")):
		return m.begin("?>", b[:2])
	case len(b) > 1 && (isLetter(b[1]) || b[1] == '/' && len(b) > 2 && isLetter(b[2])):
		return m.tag(b, all)
	}
	return 1, m.text.write(b[:1])
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }

// begin passes what goes on to a mark of its own.
func (m *markup) begin(mark string, head []byte) (int, error) {
	m.raw = mark
	return len(head), m.text.write(head)
}

// rest passes what m.raw ends.
func (m *markup) rest(b []byte, all bool) (int, error) {
	n := indexFold(b, m.raw)
	switch {
	case n >= 0 && m.raw[0] == '<': // an end tag of its own
		m.raw = ""
	case n >= 0:
		n, m.raw = n+len(m.raw), ""
	case all:
		n = len(b)
	default:
		n = max(len(b)-len(m.raw), 0)
	}
	if n == 0 {
		if m.raw == "" { // nothing was in it
			return m.piece(b, all)
		}
		return 0, nil
	}
	return n, m.text.write(b[:n])
}

// indexFold is bytes.Index where capitals don't count.
func indexFold(b []byte, mark string) int {
	for at := 0; ; at++ {
		n := bytes.IndexByte(b[at:], mark[0])
		if n < 0 || at+n+len(mark) > len(b) {
			return -1
		}
		if at += n; strings.EqualFold(string(b[at:at+len(mark)]), mark) {
			return at
		}
	}
}

// words takes text up to the next tag.
func (m *markup) words(b []byte, all bool) (int, error) {
	n := bytes.IndexByte(b[m.from:], '<')
	switch {
	case n >= 0:
		n += m.from
	case all || len(b) > maxText:
		n = len(b)
	default:
		m.from = len(b)
		return 0, nil
	}
	if n > maxText { // cut between words, where there are some
		if n = bytes.LastIndexAny(b[:maxText], " \t\r\n") + 1; n == 0 {
			n = maxText
		}
	}
	if m.naming != "" && len(m.said)+n <= maxName {
		m.said = append(m.said, b[:n]...)
	}
	shown, err := m.shown(m.key, b[:n], true)
	if err != nil {
		return 0, err
	}
	return n, m.text.write(shown)
}

// shown is what may be shown of a value called key, or of text that nothing names.
func (m *markup) shown(key string, raw []byte, escaped bool) ([]byte, error) {
	inner := bytes.TrimSpace(raw)
	if len(inner) == 0 || key == "" && (!escaped || bytes.IndexByte(inner, '&') < 0) {
		return raw, nil // the stream looks at it
	}
	was := inner
	if escaped && bytes.IndexByte(inner, '&') >= 0 {
		was = []byte(html.UnescapeString(string(inner)))
	}
	out, err := m.values.member(key, was)
	switch {
	case err != nil:
		return nil, err
	case bytes.Equal(out, was):
		return raw, nil
	case m.fill:
		out = bytes.Repeat([]byte("*"), len(inner))
	case escaped:
		out = []byte(html.EscapeString(string(out)))
	}
	at := len(raw) - len(bytes.TrimLeft(raw, " \t\r\n"))
	at = bytes.Index(raw[at:], inner) + at
	shown := append(make([]byte, 0, len(raw)+len(out)), raw[:at]...)
	return append(append(shown, out...), raw[at+len(inner):]...), nil
}

// cdata takes a section of text without references.
func (m *markup) cdata(b []byte, all bool) (int, error) {
	const head, mark = "<![CDATA[", "]]>"
	if m.key == "" {
		return m.begin(mark, b[:len(head)])
	}
	n := bytes.Index(b[max(m.from-len(mark), len(head)):], []byte(mark))
	switch {
	case n >= 0:
		n += max(m.from-len(mark), len(head))
	case len(b) > maxTag:
		return 0, errLong
	case !all:
		m.from = len(b)
		return 0, nil
	default:
		n = len(b)
	}
	shown, err := m.shown(m.key, b[len(head):n], false)
	if err != nil {
		return 0, err
	}
	end := min(n+len(mark), len(b))
	return end, m.text.write(append(append([]byte(head), bytes.ReplaceAll(shown, []byte(mark), nil)...), b[n:end]...))
}

// tag takes one tag, from '<' to '>'.
func (m *markup) tag(b []byte, all bool) (int, error) {
	n := tagEnd(b)
	switch {
	case n == 0 && len(b) > maxTag:
		return 0, errLong
	case n == 0 && !all:
		return 0, nil
	case n == 0:
		n = len(b)
	}
	t := b[:n]
	if t[1] == '/' {
		m.closes(m.named(tagName(t[2:])))
		return n, m.text.write(t)
	}
	shown, err := m.opens(t)
	if err != nil {
		return 0, err
	}
	return n, m.text.write(shown)
}

// tagEnd is where a tag ends: at a '>' outside of quotes; 0: not yet.
func tagEnd(b []byte) int {
	quote := byte(0)
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '>':
			return i + 1
		case (c == '"' || c == '\'') && b[i-1] == '=', (c == '"' || c == '\'') && bytes.HasSuffix(bytes.TrimRight(b[:i], " \t\r\n"), []byte("=")):
			quote = c
		}
	}
	return 0
}

func tagName(b []byte) string {
	n := bytes.IndexAny(b, " \t\r\n/>")
	if n < 0 {
		n = len(b)
	}
	return string(b[:min(n, maxName)])
}

// local is a name without its prefix.
func local(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }

// closes ends an element.
func (m *markup) closes(name string) {
	if m.key != "" && strings.EqualFold(name, m.within) {
		if m.depth--; m.depth == 0 {
			m.key = ""
		}
	}
	if m.naming == "" || !strings.EqualFold(name, m.naming) {
		return
	}
	m.beside = ""
	if said := strings.TrimSpace(html.UnescapeString(string(m.said))); said != "" && m.values.named(said) {
		m.beside = said
	}
	if name == "th" && m.cell >= 0 && m.cell < maxHead {
		for len(m.heads) <= m.cell {
			m.heads = append(m.heads, "")
		}
		m.heads[m.cell] = m.beside
	}
	m.naming = ""
}
