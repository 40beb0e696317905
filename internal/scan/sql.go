package scan

import (
	"bytes"
	"strings"

	"github.com/assenthq/assent/internal/detect"
)

const maxTables = 4096

// sqlFields reads dumps: CREATE TABLE for names of columns, INSERT, and COPY … FROM stdin with its lines.
// What else stands in a dump is passed over.
type sqlFields struct {
	engine *detect.Engine
	at     int64
	tables map[string][]string // names of columns

	state     sqlState
	last      byte // before this one
	v         value
	backslash bool   // escapes in this string
	escaped   bool   // the next byte is
	mysql     bool   // and in all
	quote     byte   // of a name
	tag       []byte // of a dollar quote
	tail      []byte // of what is in it
	bare      *bareSpans

	statement
}

type sqlState uint8

const (
	sqlBetween sqlState = iota
	sqlWord
	sqlString
	sqlName
	sqlLine  // -- comment
	sqlBlock // /* comment */
	sqlTag   // $tag
	sqlDollar
	sqlCopy // lines of COPY
)

// A statement is what is known of the one that is being read.
type statement struct {
	verb    string // "": not known yet
	table   string
	columns []string
	under   []named
	listing bool // names of columns come
	filling bool // values come
	fresh   bool // a name of a column comes
	stdin   bool
	cast    bool
	depth   int
	column  int
}

func newSQL(e *detect.Engine) *sqlFields {
	return &sqlFields{engine: e, tables: map[string][]string{}}
}

func (s *sqlFields) settled() int64 {
	if !s.v.long && (s.state == sqlString || s.state == sqlWord || s.state == sqlCopy) {
		return min(s.v.start, s.at)
	}
	return s.at
}

func (s *sqlFields) write(p []byte, to judge) {
	for _, b := range p {
		s.take(b, to)
		s.last = b
		s.at++
	}
}

func (s *sqlFields) end(to judge) {
	if s.state == sqlCopy {
		s.copied(to)
	}
}

func (s *sqlFields) take(b byte, to judge) {
	switch s.state {
	case sqlCopy:
		s.copyByte(b, to)
	case sqlString:
		s.stringByte(b, to)
	case sqlName:
		if b == s.quote {
			s.state = sqlBetween
			s.name(string(s.v.b))
			return
		}
		s.v.add(b)
	case sqlLine:
		if b == '\n' {
			s.state = sqlBetween
		}
	case sqlBlock:
		if b == '/' && s.last == '*' {
			s.state = sqlBetween
		}
	case sqlTag:
		s.tagByte(b)
	case sqlDollar:
		s.tail = append(s.tail, b)
		if n := len(s.tail) - len(s.tag); n > 0 {
			s.tail = s.tail[:copy(s.tail, s.tail[n:])]
		}
		if bytes.Equal(s.tail, s.tag) {
			s.state = sqlBetween
		}
	case sqlWord:
		if wordByte(b) || b == '.' {
			s.v.add(b)
			return
		}
		s.state = sqlBetween
		s.word(to)
		s.between(b)
	default:
		s.between(b)
	}
}

func wordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b >= 0x80
}

func (s *sqlFields) between(b byte) {
	switch {
	case wordByte(b) || b == '.':
		s.state = sqlWord
		s.v.begin(s.at)
		s.v.add(b)
	case b == '\'':
		s.backslash = s.mysql || s.last|0x20 == 'e' && strings.EqualFold(string(s.v.b), "e")
		s.state, s.escaped = sqlString, false
		s.v.begin(s.at + 1)
	case b == '"' || b == '`':
		s.mysql = s.mysql || b == '`'
		s.state, s.quote = sqlName, b
		s.v.begin(s.at + 1)
	case b == '-' && s.last == '-':
		s.state = sqlLine
	case b == '*' && s.last == '/':
		s.state = sqlBlock
	case b == '$':
		s.state, s.tag = sqlTag, append(s.tag[:0], b)
	default:
		s.punct(b)
	}
}

func (s *sqlFields) tagByte(b byte) {
	switch {
	case b == '$':
		s.tag = append(s.tag, b)
		s.state, s.tail = sqlDollar, s.tail[:0]
	case wordByte(b) && len(s.tag) < 64:
		s.tag = append(s.tag, b)
	default:
		s.state = sqlBetween
	}
}

// stringByte reads a string to its end. A quote before another is one of two: the value goes on, as
// a second piece.
func (s *sqlFields) stringByte(b byte, to judge) {
	switch {
	case s.escaped:
		s.escaped = false
	case b == '\\' && s.backslash:
		s.escaped = true
	case b == '\'':
		s.state = sqlBetween
		if s.filling && !s.v.long {
			s.judged(s.v.start, s.at, s.v.b, to)
		}
		s.v.b = s.v.b[:0]
		return
	}
	s.add(b, to)
}

func (s *sqlFields) add(b byte, to judge) {
	if s.v.add(b) && s.filling {
		s.judged(s.v.start, s.at+1, s.v.b, to)
		s.v.begin(s.at + 1)
	}
}

// judged tells of a value of the column at hand.
func (s *statement) judged(start, end int64, v []byte, to judge) {
	if s.column < len(s.under) && s.under[s.column].class != "" {
		to(start, end, v, s.under[s.column].class, s.under[s.column].sure)
	}
}
