package postgres

import (
	"encoding/binary"
	"errors"

	"github.com/assenthq/assent/gate"
)

// row masks one row and stages it to be counted and sent.
func (c *codec) row(conn *gate.Conn, f frame, fields []field, rows gate.Rows, permit gate.Permit) error {
	if len(f) < 7 {
		return errRow
	}
	start := len(c.out)
	from, err := c.shownRow(f, 0, len(f), 0, fields, rows)
	if err != nil {
		return err
	}
	c.out = append(c.out, f[from:]...)
	return c.stage(conn, start, permit)
}

// manyRows relays the rows that wait in the reader's buffer, after one of the same
// result was relayed: it leaves everything that is no row, or not all there, to next.
// Every value is masked and every row counted before it passes, as row does.
// It returns how many rows it took.
func (c *codec) manyRows(conn *gate.Conn, fields []field, rows gate.Rows, permit gate.Permit) (n int64, err error) {
	b, err := conn.Up.Peek(conn.Up.Buffered())
	if err != nil {
		return 0, err
	}
	at, from := 0, 0 // rows up to at are done, bytes up to from are in c.out
	for err == nil {
		size := rowHere(b[at:], c.g.cfg.MaxMessage)
		if size == 0 {
			break
		}
		// What is not copied yet counts as waiting.
		if len(c.out)+at-from > flushAt {
			c.out, from = append(c.out, b[from:at]...), at
			if err = c.flush(conn); err != nil {
				break
			}
		}
		if permit != nil {
			if c.rows > 0 && c.limit != permit {
				err = errors.New("rows of two permits at once")
				break
			}
			if c.rows == 0 {
				c.out, from = append(c.out, b[from:at]...), at
				c.mark, c.limit = len(c.out), permit
			}
		}
		if from, err = c.shownRow(b, at, at+size, from, fields, rows); err == nil {
			n++
			if permit != nil {
				c.rows++
			}
		}
		at += size
	}
	if err == nil {
		c.out = append(c.out, b[from:at]...)
	}
	if _, bad := conn.Up.Discard(at); err == nil {
		err = bad
	}
	return n, err
}

// rowHere returns the size of the DataRow that b begins with; 0: there is none, or not all of it.
func rowHere(b []byte, limit int) int {
	if len(b) < 7 || b[0] != 'D' {
		return 0
	}
	size := int64(binary.BigEndian.Uint32(b[1:])) + 1
	if size < 7 || size > int64(len(b)) || size > int64(limit) {
		return 0
	}
	return int(size)
}

// shownRow masks the row b[at:end], where b up to from is in c.out: the rows between go there
// in one piece when one is changed. It returns how far b is in c.out now. After an error
// nothing of the row is.
func (c *codec) shownRow(b []byte, at, end, from int, fields []field, rows gate.Rows) (int, error) {
	head, changed := 0, false // where the row begins in c.out
	fail := func(err error) (int, error) {
		if changed {
			c.out = c.out[:head]
		} else {
			c.out = append(c.out, b[from:at]...)
		}
		return end, err
	}
	if int(binary.BigEndian.Uint16(b[at+5:])) != len(fields) {
		return fail(errRow) // a value that no column describes is not shown
	}
	p := at + 7
	for i := range fields {
		if end-p < 4 {
			return fail(errRow)
		}
		start := p
		size := int32(binary.BigEndian.Uint32(b[p:]))
		p += 4
		var v []byte
		switch {
		case size >= 0 && int(size) <= end-p:
			v = b[p : p+int(size) : p+int(size)]
			p += int(size)
		case size != -1:
			return fail(errRow)
		}
		var shown []byte
		var err error
		if rows != nil {
			shown, err = rows.Value(i, v) // NULL too: nullif(ssn, …) answers a question by it
		} else {
			shown = c.harmless(v, &fields[i])
		}
		if err != nil {
			return fail(err)
		}
		if same(shown, v) {
			continue
		}
		if !changed {
			head, changed = len(c.out)+at-from, true
		}
		size = -1
		if shown != nil {
			size = int32(len(shown))
		}
		if from < start {
			c.out = append(c.out, b[from:start]...)
		}
		from = p
		c.out = append(binary.BigEndian.AppendUint32(c.out, uint32(size)), shown...)
	}
	if p != end {
		return fail(errRow)
	}
	if changed {
		c.out, from = append(c.out, b[from:end]...), end
		binary.BigEndian.PutUint32(c.out[head+1:], uint32(len(c.out)-head-1))
	}
	return from, nil
}
