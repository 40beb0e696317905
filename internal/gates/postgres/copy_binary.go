package postgres

import (
	"bytes"
	"encoding/binary"

	"github.com/assenthq/assent/gate"
)

// copySignature begins COPY data in binary format (PostgreSQL documentation, COPY,
// "Binary Format"); flags and the length of an extension follow, both zero today.
const copySignature = "PGCOPY\n\xff\r\n\x00"

// maskBinary masks one message of COPY data in binary format: the header if it is
// the first, then one row or the trailer. The server sends each row as one message,
// so another shape is a server that this gate does not know.
func (f *copyFormat) maskBinary(body []byte, first bool, rows gate.Rows) (out []byte, isRow bool, err error) {
	w := walker{b: body}
	if first {
		if string(w.take(len(copySignature))) != copySignature || w.u32() != 0 || w.u32() != 0 {
			return nil, false, errCopyLine
		}
	}
	n := w.u16()
	if n == 0xffff { // trailer
		if !w.done() {
			return nil, false, errCopyLine
		}
		return body, false, nil
	}
	if n != len(f.fields) || w.bad {
		return nil, false, errCopyLine
	}
	out = append(out, body[:len(body)-len(w.b)]...)
	changed := false
	for i := range n {
		v := w.value()
		if w.bad {
			return nil, false, errCopyLine
		}
		shown, err := rows.Value(i, v)
		if err != nil {
			return nil, false, err
		}
		changed = changed || !bytes.Equal(shown, v) || (shown == nil) != (v == nil)
		if shown == nil {
			out = binary.BigEndian.AppendUint32(out, 0xffffffff)
			continue
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(shown)))
		out = append(out, shown...)
	}
	if !w.done() {
		return nil, false, errCopyLine
	}
	if !changed {
		return body, true, nil
	}
	return out, true, nil
}
