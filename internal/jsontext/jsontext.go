// Package jsontext reads foreign JSON (RFC 8259) so that no second parser could
// have read something else, and replaces values in it without touching a byte
// of the rest.
//
// It refuses what two parsers are known to read in two ways: a member twice,
// bytes that are not UTF-8, half a surrogate pair, anything behind the value,
// nesting past MaxDepth. It compares names as bytes, never by case.
package jsontext

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth is how many arrays and objects may be open at once.
const MaxDepth = 128

// An Error says where a text stopped being JSON that everybody reads alike. It holds none of it.
type Error struct {
	Offset  int // bytes
	Problem string
}

func (e *Error) Error() string {
	return "JSON at byte " + strconv.Itoa(e.Offset) + ": " + e.Problem
}

// Check reports whether data is one JSON value that everybody reads alike.
func Check(data []byte) error {
	_, err := Replace(data, nil)
	return err
}

// A Kind says what a scalar is.
type Kind uint8

// The scalars that a Replacer sees. Name is the name of a member.
const (
	String Kind = iota
	Number
	Name
)

// A Value is one string, number or name on its way.
type Value struct {
	Kind Kind
	// Path is the names that lead to the value, outermost first, without the
	// indexes of arrays. It is good until the Replacer returns.
	Path []string
	Text []byte // decoded; of a number its digits. The Replacer must not keep it.
}

// Key is the innermost name that leads to v, "" at the top.
func (v *Value) Key() string {
	if len(v.Path) == 0 {
		return ""
	}
	return v.Path[len(v.Path)-1]
}

// A Replacer returns what stands for v from now on, as text; false leaves it as
// it is. A number that is replaced becomes a string.
type Replacer func(v *Value) ([]byte, bool, error)

// Replace returns data with values replaced by f, which may be nil. Where f
// changes nothing, data itself is returned. Errors of the text are an *Error.
func Replace(data []byte, f Replacer) ([]byte, error) {
	s := &scanner{data: data, replace: f}
	if err := s.value(0); err != nil {
		return nil, err
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	if s.out == nil {
		return data, nil
	}
	return append(s.out, data[s.kept:]...), nil
}

// A Member is one member of an object.
type Member struct {
	Name  string
	Value []byte // as it stands, without space around it
}

// Members are those of the object that data is, in their order. It refuses what
// Check refuses, and names that differ by case only: of an envelope, some parsers
// take the one for the other.
func Members(data []byte) ([]Member, error) {
	s := &scanner{data: data}
	s.space()
	if s.peek() != '{' {
		return nil, s.unless("not an object")
	}
	out := make([]Member, 0, 8)
	err := s.object(0, func(name, value []byte) error {
		for i := range out {
			if strings.EqualFold(out[i].Name, string(name)) {
				return s.fail("a member stands twice in two spellings")
			}
		}
		if len(out) == maxMembers {
			return s.fail("too many members")
		}
		out = append(out, Member{string(name), value})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, s.end()
}

// maxMembers bounds an envelope: what its names are compared with each other by is slow.
const maxMembers = 1000

// Elements are those of the array that data is, as they stand.
func Elements(data []byte) ([][]byte, error) {
	s := &scanner{data: data}
	s.space()
	if s.peek() != '[' {
		return nil, s.unless("not an array")
	}
	var out [][]byte
	if err := s.array(0, func(value []byte) { out = append(out, value) }); err != nil {
		return nil, err
	}
	return out, s.end()
}

// Text is the string that data is, decoded; false when it is anything else.
func Text(data []byte) (string, bool) {
	s := &scanner{data: data}
	if s.peek() != '"' {
		return "", false
	}
	t, err := s.text()
	if err != nil || s.at != len(data) {
		return "", false
	}
	return string(t), true
}

// Append writes text as a JSON string.
func Append(out, text []byte) []byte {
	out = append(out, '"')
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		case c < 0x20:
			out = append(out, fmt.Sprintf("\\u%04x", c)...)
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && n == 1 {
				out = append(out, "\\ufffd"...)
			} else {
				out = append(out, text[i:i+n]...)
			}
			i += n
			continue
		default:
			out = append(out, c)
		}
		i++
	}
	return append(out, '"')
}

type scanner struct {
	data    []byte
	at      int
	path    []string // empty without a replacer
	names   [][]byte // of the members of all objects that are open
	replace Replacer
	out     []byte // nil: nothing was replaced yet
	kept    int    // data up to here is in out
	buffer  []byte // of decoded text
	offered Value
}

func (s *scanner) fail(problem string) error { return &Error{Offset: s.at, Problem: problem} }

// end errs unless nothing but space follows.
func (s *scanner) end() error {
	if s.space(); s.at < len(s.data) {
		return s.fail("something follows the value")
	}
	return nil
}

// unless says what is wrong with a text: that it isn't JSON, or else problem.
func (s *scanner) unless(problem string) error {
	if err := Check(s.data); err != nil {
		return err
	}
	return s.fail(problem)
}

func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) error {
	s.space()
	if depth > MaxDepth {
		return s.fail("nested too deeply")
	}
	begin := s.at
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth, nil)
	case c == '[':
		return s.array(depth, nil)
	case c == '"':
		text, err := s.text()
		if err != nil {
			return err
		}
		return s.offer(String, text, begin)
	case c == '-' || c >= '0' && c <= '9':
		if err := s.number(); err != nil {
			return err
		}
		return s.offer(Number, s.data[begin:s.at], begin)
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if n := s.at + len(word); n <= len(s.data) && string(s.data[s.at:n]) == word {
			s.at = n
			return nil
		}
	}
	if s.at >= len(s.data) {
		return s.fail("it ends too early")
	}
	return s.fail("no value")
}

// object reads an object, and shows each member to each, which may be nil.
func (s *scanner) object(depth int, each func(name, value []byte) error) error {
	s.at++
	s.space()
	if s.peek() == '}' {
		s.at++
		return nil
	}
	first := len(s.names)
	var many map[string]bool
	for {
		s.space()
		begin := s.at
		if s.peek() != '"' {
			return s.fail("no name of a member")
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if many, err = s.once(name, first, many); err != nil {
			return err
		}
		if s.replace != nil {
			s.path = append(s.path, string(name))
			if err := s.offer(Name, name, begin); err != nil {
				return err
			}
		}
		s.space()
		if s.peek() != ':' {
			return s.fail("no colon after a name")
		}
		s.at++
		s.space()
		from := s.at
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if each != nil {
			if err := each(s.names[len(s.names)-1], s.data[from:s.at]); err != nil {
				return err
			}
		}
		if s.replace != nil {
			s.path = s.path[:len(s.path)-1]
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
		case '}':
			s.at++
			s.names = s.names[:first]
			return nil
		default:
			return s.fail("an object is not closed")
		}
	}
}

// few is how many names are compared one by one.
const few = 16

// once errs if an object whose names begin at first has a member of that name already.
func (s *scanner) once(name []byte, first int, many map[string]bool) (map[string]bool, error) {
	if s.decoded(name) {
		name = bytes.Clone(name)
	}
	if many == nil && len(s.names)-first >= few {
		many = map[string]bool{}
		for _, other := range s.names[first:] {
			many[string(other)] = true
		}
	}
	if many != nil {
		if many[string(name)] {
			return nil, s.fail("a member stands twice")
		}
		many[string(name)] = true
	} else {
		for _, other := range s.names[first:] {
			if bytes.Equal(other, name) {
				return nil, s.fail("a member stands twice")
			}
		}
	}
	s.names = append(s.names, name)
	return many, nil
}

// decoded says that text stands in s.buffer and not in the data itself.
func (s *scanner) decoded(text []byte) bool {
	return len(text) > 0 && len(s.buffer) > 0 && &text[0] == &s.buffer[0]
}

// array reads an array, and shows each element to each, which may be nil.
func (s *scanner) array(depth int, each func(value []byte)) error {
	s.at++
	s.space()
	if s.peek() == ']' {
		s.at++
		return nil
	}
	for {
		s.space()
		from := s.at
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if each != nil {
			each(s.data[from:s.at])
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
		case ']':
			s.at++
			return nil
		default:
			return s.fail("an array is not closed")
		}
	}
}

// offer shows one scalar to the replacer.
func (s *scanner) offer(k Kind, text []byte, begin int) error {
	if s.replace == nil {
		return nil
	}
	s.offered = Value{Kind: k, Path: s.path, Text: text}
	if k == Name {
		s.offered.Path = s.path[:len(s.path)-1]
	}
	next, changed, err := s.replace(&s.offered)
	if err != nil || !changed {
		return err
	}
	if s.out == nil {
		s.out = make([]byte, 0, len(s.data)+64)
	}
	s.out = append(s.out, s.data[s.kept:begin]...)
	s.out = Append(s.out, next)
	s.kept = s.at
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	switch c := s.peek(); {
	case c == '0':
		s.at++
	case c >= '1' && c <= '9':
		s.digits()
	default:
		return s.fail("no digit in a number")
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return s.fail("no digit in a number")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return s.fail("no digit in a number")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	begin := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > begin
}

// text reads a string and decodes it. What it returns is good until the next call.
func (s *scanner) text() ([]byte, error) {
	s.at++
	begin := s.at
	for s.at < len(s.data) { // most strings hold no escape: they are their own text
		switch c := s.data[s.at]; {
		case c == '"':
			text := s.data[begin:s.at]
			s.at++
			if !utf8.Valid(text) {
				return nil, s.fail("a string is not UTF-8")
			}
			return text, nil
		case c == '\\':
			return s.escaped(begin)
		case c < 0x20:
			return nil, s.fail("a control character in a string")
		}
		s.at++
	}
	return nil, s.fail("a string is not closed")
}

func (s *scanner) escaped(begin int) ([]byte, error) {
	s.buffer = append(s.buffer[:0], s.data[begin:s.at]...)
	for s.at < len(s.data) {
		c := s.data[s.at]
		s.at++
		switch {
		case c == '"':
			if !utf8.Valid(s.buffer) {
				return nil, s.fail("a string is not UTF-8")
			}
			return s.buffer, nil
		case c < 0x20:
			return nil, s.fail("a control character in a string")
		case c != '\\':
			s.buffer = append(s.buffer, c)
		default:
			if err := s.escape(); err != nil {
				return nil, err
			}
		}
	}
	return nil, s.fail("a string is not closed")
}

var plain = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

func (s *scanner) escape() error {
	c := s.peek()
	s.at++
	if p, ok := plain[c]; ok {
		s.buffer = append(s.buffer, p)
		return nil
	}
	if c != 'u' {
		return s.fail("an unknown escape")
	}
	r, err := s.unit()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if s.peek() != '\\' || s.at+1 >= len(s.data) || s.data[s.at+1] != 'u' {
			return s.fail("half a surrogate pair")
		}
		s.at += 2
		low, err := s.unit()
		if err != nil {
			return err
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return s.fail("half a surrogate pair")
		}
	}
	s.buffer = utf8.AppendRune(s.buffer, r)
	return nil
}

func (s *scanner) unit() (rune, error) {
	if s.at+4 > len(s.data) {
		return 0, s.fail("an escape is cut off")
	}
	n, err := strconv.ParseUint(string(s.data[s.at:s.at+4]), 16, 16)
	if err != nil {
		return 0, s.fail("an escape without four hexadecimal digits")
	}
	s.at += 4
	return rune(n), nil
}
