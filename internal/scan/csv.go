package scan

import (
	"bytes"

	"github.com/assenthq/assent/internal/detect"
)

// maxColumns bounds the columns of a table that have names.
const maxColumns = 4096

// csvFields reads RFC 4180, with the separator that its first line has. Quotes inside a field
// that does not begin with one are bytes as others.
type csvFields struct {
	engine *detect.Engine
	comma  byte
	at     int64

	first   []byte // of the first line, until comma is known
	headed  bool
	columns []named
	some    bool // one of columns has a class
	column  int

	v        value
	begun    bool // a byte of the field came
	quoted   bool
	inQuotes bool
	wasQuote bool
}

func (c *csvFields) settled() int64 {
	if c.begun && !c.v.long {
		return c.v.start
	}
	return c.at
}

func (c *csvFields) write(p []byte, to judge) {
	if c.comma == 0 {
		c.first = append(c.first, p...)
		line := bytes.IndexAny(c.first, "\r\n")
		if line < 0 && len(c.first) < 64<<10 {
			return
		}
		c.choose(line)
		p, c.first = c.first, nil
	}
	for i, b := range p {
		if c.headed && !c.some {
			c.at += int64(len(p) - i)
			return
		}
		c.take(b, to)
		c.at++
	}
}

// choose takes the separator that the first line has most of.
func (c *csvFields) choose(line int) {
	if line < 0 {
		line = len(c.first)
	}
	c.comma = ','
	most := 0
	for _, s := range []byte(",;\t|") {
		if n := bytes.Count(c.first[:line], []byte{s}); n > most {
			c.comma, most = s, n
		}
	}
}

func (c *csvFields) take(b byte, to judge) {
	switch {
	case c.inQuotes && b == '"' && !c.wasQuote:
		c.wasQuote = true
		return
	case c.inQuotes && !c.wasQuote:
		c.v.add(b)
		return
	case c.inQuotes && b == '"': // two of them
		c.wasQuote = false
		c.v.add(b)
		return
	case b == c.comma, b == '\n', b == '\r':
		c.field(to)
		if b == c.comma {
			c.column++
		} else {
			c.line()
		}
		return
	case c.inQuotes: // something between the last quote and the separator
		c.inQuotes, c.wasQuote = false, false
	case !c.begun && b == '"':
		c.begun, c.quoted, c.inQuotes, c.wasQuote = true, true, true, false
		c.v.begin(c.at + 1)
		return
	case !c.begun:
		c.begun = true
		c.v.begin(c.at)
	}
	c.v.add(b)
}

// field ends a field at c.at, which is behind it.
func (c *csvFields) field(to judge) {
	end := c.at
	if c.inQuotes && c.wasQuote {
		end--
	}
	switch {
	case !c.headed:
		if len(c.columns) < maxColumns {
			n := nameOf(c.engine, string(bytes.TrimPrefix(bytes.TrimSpace(c.v.b), []byte("\xef\xbb\xbf"))), "")
			if !c.begun {
				n = named{}
			}
			c.columns = append(c.columns, n)
			c.some = c.some || n.class != ""
		}
	case c.begun && !c.v.long && c.column < len(c.columns) && c.columns[c.column].class != "":
		to(c.v.start, end, c.v.b, c.columns[c.column].class, c.columns[c.column].sure)
	}
	c.begun, c.quoted, c.inQuotes, c.wasQuote = false, false, false, false
	c.v.b = c.v.b[:0]
}

// line ends a line. Lines before the first name are none.
func (c *csvFields) line() {
	if !c.headed && (len(c.columns) > 1 || len(c.columns) == 1 && c.some) {
		c.headed = true
	}
	if !c.headed {
		c.columns = c.columns[:0]
	}
	c.column = 0
}

func (c *csvFields) end(to judge) {
	if c.comma == 0 {
		p := c.first
		c.choose(len(p))
		c.first = nil
		c.write(p, to)
	}
	if c.begun {
		c.field(to)
	}
}
