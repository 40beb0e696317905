package connector

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/assenthq/assent/internal/enrol"
)

// A stream begins with the server's header: version, length of the system's
// name, name. The connector answers with one byte, and both sides go on with
// records: four bytes of length (big-endian) and as many of payload. A record
// of length 0 ends its direction; a stream that ends without one was cut off, so
// that a dead link is never taken for the end of what was sent.
const (
	streamVersion = 1
	maxRecord     = 32 << 10 // bytes of payload
	maxNote       = 16 << 10 // bytes of one message on the control stream, or of an enrolment
)

// What a connector answers to a header.
const (
	opened      = byte(0)
	notHere     = byte(1) // it was not started with that system
	unreachable = byte(2) // nothing answers there
	busy        = byte(3) // it has as many streams as it takes
)

// ErrCut means that the other side, or the link, ended in mid-stream.
var ErrCut = fmt.Errorf("the connector's stream was cut off: %w", io.ErrUnexpectedEOF)

func header(system string) []byte {
	return append([]byte{streamVersion, byte(len(system))}, system...)
}

// readHeader reads which system a stream is for, and nothing behind it.
func readHeader(r io.Reader) (string, error) {
	var fixed [2]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return "", fmt.Errorf("reading the header of a stream: %w", err)
	}
	if fixed[0] != streamVersion {
		return "", fmt.Errorf("the header of a stream has version %d, and this is version %d", fixed[0], streamVersion)
	}
	name := make([]byte, fixed[1])
	if _, err := io.ReadFull(r, name); err != nil {
		return "", fmt.Errorf("reading the header of a stream: %w", err)
	}
	if !enrol.ValidName(string(name)) {
		return "", errors.New("the header of a stream names no system")
	}
	return string(name), nil
}

// writeNote sends one JSON document with its length.
func writeNote(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxNote {
		return fmt.Errorf("a message of %d bytes is longer than the %d that may be sent", len(b), maxNote)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// readNote reads one JSON document of at most maxNote bytes.
func readNote(r io.Reader, into any) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxNote {
		return fmt.Errorf("a message of %d bytes is longer than the %d that are read", n, maxNote)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return errors.New("a message is not the JSON that was expected")
	}
	return nil
}

// A conn is one stream, as a connection whose directions end apart.
type conn struct {
	s     *yamux.Stream
	r     *bufio.Reader
	free  func()    // called once, when it is closed
	once  sync.Once // of Close
	close chan struct{}

	reading sync.Mutex // owns left and ended
	left    int        // bytes of the record that is read
	ended   bool       // the other side has ended its direction

	writing sync.Mutex // owns done
	done    bool       // our direction was ended
}

func newConn(s *yamux.Stream, free func()) *conn {
	return &conn{s: s, r: bufio.NewReaderSize(s, 4<<10), free: free, close: make(chan struct{})}
}

// records are buffers for one record with its length.
var records = sync.Pool{New: func() any { return new([4 + maxRecord]byte) }}

func (c *conn) Read(p []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for c.left == 0 {
		if c.ended {
			return 0, io.EOF
		}
		// Peek takes nothing from what a deadline may cut in two.
		b, err := c.r.Peek(4)
		if err != nil {
			return 0, c.failed(err)
		}
		n := binary.BigEndian.Uint32(b)
		if n > maxRecord {
			return 0, fmt.Errorf("a record of %d bytes on a connector's stream, which takes %d", n, maxRecord)
		}
		_, _ = c.r.Discard(4)
		c.left, c.ended = int(n), n == 0
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	if n > 0 {
		return n, nil
	}
	return 0, c.failed(err)
}

// failed is an error as net.Conn promises it.
func (c *conn) failed(err error) error {
	select {
	case <-c.close:
		return net.ErrClosed
	default:
	}
	var slow net.Error
	switch {
	case errors.As(err, &slow) && slow.Timeout():
		return os.ErrDeadlineExceeded
	case err == nil:
		return nil
	}
	return ErrCut // whatever yamux calls it: the end was not announced
}

func (c *conn) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.done {
		return 0, net.ErrClosed
	}
	total := 0
	for len(p) > 0 {
		n, err := c.record(p[:min(len(p), maxRecord)])
		total += n
		if err != nil {
			c.done = true // part of a record may be out
			return total, c.failed(err)
		}
		p = p[n:]
	}
	return total, nil
}

func (c *conn) record(p []byte) (int, error) {
	buf := records.Get().(*[4 + maxRecord]byte) //nolint:forcetypeassert // ours
	defer records.Put(buf)
	binary.BigEndian.PutUint32(buf[:4], uint32(len(p)))
	copy(buf[4:], p)
	n, err := c.s.Write(buf[:4+len(p)])
	return max(n-4, 0), err
}

// CloseWrite ends our direction; the other may go on.
func (c *conn) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.done {
		return nil
	}
	c.done = true
	_, err := c.s.Write(make([]byte, 4))
	return c.failed(err)
}

// Close ends both directions at once, and whoever reads or writes.
func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.close)
		_ = c.s.SetDeadline(time.Unix(1, 0))
		// It waits until the end is sent, which on a link that stands still is long.
		go func() { _ = c.s.Close() }()
		c.free()
	})
	return nil
}

func (c *conn) LocalAddr() net.Addr                { return c.s.LocalAddr() }
func (c *conn) RemoteAddr() net.Addr               { return c.s.RemoteAddr() }
func (c *conn) SetDeadline(t time.Time) error      { return c.s.SetDeadline(t) }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.s.SetReadDeadline(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.s.SetWriteDeadline(t) }

// pipe joins a stream and a connection until both directions have ended, or one broke.
func pipe(stream *conn, target net.Conn) {
	done := make(chan struct{}, 2)
	carry := func(to, from net.Conn) {
		defer func() { done <- struct{}{} }()
		buf := records.Get().(*[4 + maxRecord]byte) //nolint:forcetypeassert // ours
		defer records.Put(buf)
		// Neither side offers a shortcut that would help: what is read is framed.
		_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, buf[:maxRecord])
		half, ok := to.(interface{ CloseWrite() error })
		if err == nil && ok && half.CloseWrite() == nil {
			return
		}
		_ = stream.Close()
		_ = target.Close()
	}
	go carry(stream, target)
	carry(target, stream)
	<-done
	<-done
	_ = stream.Close()
	_ = target.Close()
}
