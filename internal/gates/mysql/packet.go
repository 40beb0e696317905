package mysql

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/assenthq/assent/gate"
)

// maxPacket is the longest body of one packet; a longer message goes on in the next
// (MySQL documentation, "MySQL Packets"). chunk is how far a length is believed before its bytes came.
const (
	maxPacket = 1<<24 - 1
	chunk     = 64 << 10
)

// readMessage reads one message into buf, which it may reuse: the bodies of its packets
// joined. seq is the number that its first packet must have, and becomes the one after its last.
func readMessage(r *bufio.Reader, buf []byte, limit int, seq *byte) ([]byte, error) {
	buf = buf[:0]
	for {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:1]); err != nil { // an end here is an orderly one
			if len(buf) > 0 {
				err = noEOF(err)
			}
			return nil, err
		}
		if _, err := io.ReadFull(r, head[1:]); err != nil {
			return nil, fmt.Errorf("reading a packet: %w", noEOF(err))
		}
		n := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
		if head[3] != *seq {
			return nil, fmt.Errorf("packet %d where %d comes: %w", head[3], *seq, gate.ErrUnreadable)
		}
		*seq++
		if len(buf)+n > limit {
			return nil, fmt.Errorf("a message of more than %d bytes: %w", limit, gate.ErrUnreadable)
		}
		var err error
		if buf, err = readN(r, buf, len(buf)+n); err != nil {
			return nil, err
		}
		if n < maxPacket {
			return buf, nil
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func readN(r io.Reader, buf []byte, n int) ([]byte, error) {
	for len(buf) < n {
		at := len(buf)
		step := min(n-at, chunk)
		if cap(buf)-at < step {
			buf = append(buf, make([]byte, step)...)
		} else {
			buf = buf[:at+step]
		}
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return nil, fmt.Errorf("reading a packet: %w", noEOF(err))
		}
	}
	return buf, nil
}

// complete reports whether a whole packet is in r's buffer already.
func complete(r *bufio.Reader) bool {
	if r.Buffered() < 4 {
		return false
	}
	head, err := r.Peek(3)
	return err == nil && r.Buffered() >= 4+int(head[0])+int(head[1])<<8+int(head[2])<<16
}

// appendMessage adds the packets of one message to b. A message of which the last packet is full is followed by an empty one.
func appendMessage(b []byte, seq *byte, body []byte) []byte {
	for {
		n := min(len(body), maxPacket)
		b = append(b, byte(n), byte(n>>8), byte(n>>16), *seq)
		b = append(b, body[:n]...)
		*seq++
		body = body[n:]
		if n < maxPacket {
			return b
		}
	}
}

// A walker walks a message's body. After a read beyond the end bad is set and
// every further read returns nothing.
type walker struct {
	b   []byte
	bad bool
}

func (w *walker) take(n int) []byte {
	if n < 0 || n > len(w.b) {
		w.bad, w.b = true, nil
		return nil
	}
	out := w.b[:n:n]
	w.b = w.b[n:]
	return out
}

func (w *walker) u8() byte {
	if b := w.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (w *walker) u16() uint16 {
	if b := w.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (w *walker) u32() uint32 {
	if b := w.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (w *walker) u64() uint64 {
	if b := w.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// str reads up to a NUL.
func (w *walker) str() string {
	i := bytes.IndexByte(w.b, 0)
	if i < 0 {
		w.bad, w.b = true, nil
		return ""
	}
	return string(w.take(i + 1)[:i])
}

// num reads a length-encoded integer.
func (w *walker) num() uint64 {
	switch k := w.u8(); k {
	case 0xfc:
		return uint64(w.u16())
	case 0xfd:
		if b := w.take(3); b != nil {
			return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16
		}
		return 0
	case 0xfe:
		return w.u64()
	case 0xfb, 0xff:
		w.bad, w.b = true, nil
		return 0
	default:
		return uint64(k)
	}
}

// value reads a length-encoded string; nil is NULL.
func (w *walker) value() []byte {
	if len(w.b) > 0 && w.b[0] == 0xfb {
		w.b = w.b[1:]
		return nil
	}
	n := w.num()
	if w.bad || n > uint64(len(w.b)) {
		w.bad, w.b = true, nil
		return nil
	}
	if v := w.take(int(n)); v != nil {
		return v
	}
	return []byte{}
}

// done reports whether the body was read to its end and never beyond.
func (w *walker) done() bool { return !w.bad && len(w.b) == 0 }

func appendNum(b []byte, n uint64) []byte {
	switch {
	case n < 0xfb:
		return append(b, byte(n))
	case n < 1<<16:
		return append(b, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(b, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xfe), n)
}

// appendValue writes a length-encoded string; nil is NULL.
func appendValue(b, v []byte) []byte {
	if v == nil {
		return append(b, 0xfb)
	}
	return append(appendNum(b, uint64(len(v))), v...)
}
