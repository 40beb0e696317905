package postgres

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/assenthq/assent/gate"
)

// fickle masks by what a value says.
type fickle struct{}

var errFickle = errors.New("no")

func (fickle) Value(_ int, v []byte) ([]byte, error) {
	switch {
	case len(v) == 0:
		return v, nil
	case v[0] == 'l':
		return append([]byte("longer than "), v...), nil
	case v[0] == 's':
		return []byte{}, nil
	case v[0] == 'n':
		return nil, nil
	case v[0] == 'e':
		return nil, errFickle
	}
	return v, nil
}

func dataRow(values ...string) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(len(values)))
	for _, v := range values {
		if v == "NULL" {
			body = binary.BigEndian.AppendUint32(body, 0xffffffff)
			continue
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(v))), v...)
	}
	return appendFrame(nil, 'D', body)
}

// FuzzManyRows: rows relayed together are what they are one by one, and so are what is
// refused, what is counted and what is left in the reader.
func FuzzManyRows(f *testing.F) {
	plain, long, short, null, bad := dataRow("a", "NULL"), dataRow("a", "l"), dataRow("s", "b"), dataRow("n", "n"), dataRow("a", "e")
	end := appendFrame(nil, 'C', []byte("SELECT 3\x00"))
	for _, rows := range [][][]byte{
		{plain, plain, end},
		{plain, long, plain, plain, short, null, end},
		{plain, plain, bad, plain},
		{plain, long, bad},
		{plain, dataRow("l", "e"), plain},
		{plain, dataRow("a"), plain},
		{long, plain, plain[:9]},
		{plain, plain, {'D', 0, 0, 0, 4}, plain},
		{plain, {'D', 0, 0, 0, 10, 0, 2, 0, 0, 0, 9, 'a'}, plain},
		{plain, {'D', 0, 0, 0, 15, 0, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'}, plain},
	} {
		f.Add(bytes.Join(rows, nil))
	}
	fields := make([]field, 2)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4000 {
			return
		}
		one := newCodec(&Gate{cfg: Config{MaxMessage: 1 << 20}})
		permit := &countedPermit{}
		var n int64
		var left []byte
		var failed error
		for rest := in; ; {
			size := rowHere(rest, 1<<20)
			if size == 0 {
				left = rest
				break
			}
			row := rest[:size:size]
			rest = rest[size:]
			before := bytes.Clone(one.out)
			if failed = one.row(nil, row, fields, fickle{}, permit); failed != nil {
				left = rest
				if !bytes.Equal(one.out, before) {
					t.Fatalf("of a row that is refused %q is relayed", one.out[min(len(before), len(one.out)):])
				}
				break
			}
			n++
		}
		many := newCodec(&Gate{cfg: Config{MaxMessage: 1 << 20}})
		conn := &gate.Conn{Up: bufio.NewReader(bytes.NewReader(in))}
		_, _ = conn.Up.Peek(len(in))
		got, err := many.manyRows(conn, fields, fickle{}, permit)
		if got != n || !errors.Is(err, failed) {
			t.Fatalf("%d rows together (%v), %d one by one (%v)", got, err, n, failed)
		}
		if !bytes.Equal(many.out, one.out) || many.rows != one.rows || many.rows > 0 && many.mark != one.mark {
			t.Fatalf("together %q (%d rows from %d), one by one %q (%d rows from %d)", many.out, many.rows, many.mark, one.out, one.rows, one.mark)
		}
		if after, _ := conn.Up.Peek(conn.Up.Buffered()); !bytes.Equal(after, left) {
			t.Fatalf("left %q, want %q", after, left)
		}
	})
}
