package scan

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

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
	over    map[string]detect.Class // what the caller says of names, in lower case
	seen    map[string]bool         // those of them that are there
	some    bool                    // one of columns has a class
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
	case c.inQuotes && (!c.wasQuote || b == '"'): // the second of two quotes, too
		c.wasQuote = false
		c.add(b, to)
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
	c.add(b, to)
}

func (c *csvFields) add(b byte, to judge) {
	if c.v.add(b) && c.headed {
		c.judged(c.at+1, to)
		c.v.begin(c.at + 1)
	}
}

// judged tells of the value that ends at end.
func (c *csvFields) judged(end int64, to judge) {
	if !c.v.long && c.column < len(c.columns) && c.columns[c.column].class != "" {
		to(c.v.start, end, c.v.b, c.columns[c.column].class, c.columns[c.column].sure)
	}
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
			n := named{}
			if c.begun {
				n = c.name(string(bytes.TrimPrefix(bytes.TrimSpace(c.v.b), []byte("\xef\xbb\xbf"))))
			}
			c.columns = append(c.columns, n)
			c.some = c.some || n.class != ""
		}
	case c.begun:
		c.judged(end, to)
	}
	c.begun, c.quoted, c.inQuotes, c.wasQuote = false, false, false, false
	c.v.b = c.v.b[:0]
}

// name is what a name of a column says.
func (c *csvFields) name(name string) named {
	if class, is := c.over[strings.ToLower(name)]; is {
		if c.seen == nil {
			c.seen = map[string]bool{}
		}
		c.seen[strings.ToLower(name)] = true
		if class == "" {
			class = cmp.Or(nameOf(c.engine, name, "").class, detect.Sensitive)
		}
		return named{class, asked}
	}
	return nameOf(c.engine, name, "")
}

// asked is how sure a name is that the caller speaks for.
const asked = 2

// missing is an error where a name that was asked for is none of the columns', once they are known.
func (c *csvFields) missing(all bool) error {
	if !c.headed && !all {
		return nil
	}
	for name := range c.over {
		if !c.seen[name] {
			return fmt.Errorf("there is no column %q", name)
		}
	}
	return nil
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
