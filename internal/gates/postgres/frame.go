package postgres

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/assenthq/assent/gate"
)

// maxStartup bounds every message before the login, as the server does
// (MAX_STARTUP_PACKET_LENGTH); chunk is how far a length is believed before its bytes came.
const (
	maxStartup = 10_000
	chunk      = 64 << 10
)

// A frame is one message: its type, its length, its body. It is relayed as it
// came unless something in it is masked.
type frame []byte

func (f frame) kind() byte   { return f[0] }
func (f frame) body() []byte { return f[5:] }

// readFrame reads a message into buf, which it may reuse. The length is bounded before anything
// is allocated, and allocated only as the bytes arrive (CVE-2024-27304).
func readFrame(r *bufio.Reader, buf []byte, limit int) (frame, error) {
	return appendMessage(r, buf[:0], limit)
}

// peekFrame is readFrame without a copy for a message that fits into r's buffer:
// it is good until the next read.
func peekFrame(r *bufio.Reader, buf []byte, limit int) (f frame, copied bool, err error) {
	head, err := r.Peek(5)
	if err == nil {
		if n := int64(binary.BigEndian.Uint32(head[1:])) + 1; n >= 5 && n <= int64(limit) && n <= int64(r.Size()) {
			whole, err := r.Peek(int(n))
			if err != nil {
				return nil, false, fmt.Errorf("reading a message: %w", noEOF(err))
			}
			_, err = r.Discard(int(n))
			return whole, false, err
		}
	}
	f, err = readFrame(r, buf, limit)
	return f, true, err
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendMessage reads a message to the end of buf.
func appendMessage(r *bufio.Reader, buf []byte, limit int) ([]byte, error) {
	head, err := r.Peek(5)
	if err != nil {
		if len(head) > 0 {
			err = noEOF(err)
		}
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || int64(n)+1 > int64(limit) {
		return nil, fmt.Errorf("a message of %d bytes: %w", n, gate.ErrUnreadable)
	}
	return readN(r, buf, len(buf)+int(n)+1)
}

func readN(r io.Reader, buf []byte, n int) (frame, error) {
	for len(buf) < n {
		at := len(buf)
		step := min(n-at, chunk)
		if cap(buf)-at < step {
			buf = append(buf, make([]byte, step)...)
		} else {
			buf = buf[:at+step]
		}
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return nil, fmt.Errorf("reading a message: %w", err)
		}
	}
	return buf, nil
}

// complete reports whether a whole message is in r's buffer already.
func complete(r *bufio.Reader) bool {
	if r.Buffered() < 5 {
		return false
	}
	head, err := r.Peek(5)
	return err == nil && int64(r.Buffered()) > int64(binary.BigEndian.Uint32(head[1:]))
}

// appendFrame adds a message of the given parts to b.
func appendFrame(b []byte, kind byte, parts ...[]byte) []byte {
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	b = append(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func cstr(s string) []byte { return append([]byte(s), 0) }

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

func (w *walker) u16() int {
	if b := w.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (w *walker) u32() uint32 {
	if b := w.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (w *walker) str() string { return string(w.bytes()) }

// bytes is str without a copy.
func (w *walker) bytes() []byte {
	i := bytes.IndexByte(w.b, 0)
	if i < 0 {
		w.bad, w.b = true, nil
		return nil
	}
	return w.take(i + 1)[:i]
}

// value reads a length-prefixed value; nil is NULL.
func (w *walker) value() []byte {
	n := int32(w.u32())
	if w.bad || n == -1 {
		return nil
	}
	v := w.take(int(n))
	if v == nil {
		v = []byte{}
	}
	return v
}

// done reports whether the body was read to its end and never beyond.
func (w *walker) done() bool { return !w.bad && len(w.b) == 0 }
