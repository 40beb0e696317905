//go:build !race

package gate

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// socket is a connection whose reads and writes do not tell the scheduler that they
// may block: the socket is non-blocking, so they never do. A busy gate is spared the
// wake-ups of threads that would take over from one that the scheduler thinks blocked.
// Waiting, deadlines and closing are the connection's own. The race detector learns
// what happened before what from net's own calls, so it keeps them.
type socket struct {
	net.Conn
	in, out half
	ask     []byte // to be written once the next Read waits for its answer; of whoever reads and writes
}

// half is one direction.
type half struct {
	raw syscall.RawConn
	try func(fd uintptr) bool // made once: a closure for each call would be an allocation

	mu   sync.Mutex // guards what follows, and is held through one call
	b    []byte     // what is to be read into or written
	n    int
	fail syscall.Errno
}

const quickens = true

// maxTry is the most that is copied in one go: meanwhile nothing can be preempted.
const maxTry = 64 << 10

// quick is c with cheaper reads and writes where c is a socket.
func quick(c net.Conn) net.Conn {
	var raw syscall.RawConn
	var err error
	switch c := c.(type) { // not whatever has a SyscallConn: TLS bytes must not pass beside TLS
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	default:
		return c
	}
	if err != nil {
		return c
	}
	s := &socket{Conn: c}
	s.in.raw, s.out.raw = raw, raw
	s.in.try, s.out.try = s.receive, s.out.write
	return s
}

func (s *socket) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	h := &s.in
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = b
	defer func() { h.b = nil }()
	err := h.raw.Read(h.try)
	if err == nil && s.ask != nil { // there was no room for all of it, or its peer is gone
		if err = s.askNow(); err == nil {
			err = h.raw.Read(h.try)
		}
	}
	switch {
	case err != nil:
		return 0, err
	case h.fail != 0:
		return 0, s.failed("read", h.fail)
	case h.n == 0:
		return 0, io.EOF
	}
	return h.n, nil
}

// Ask writes b by the time that the next Read, Write or askNow returns: who asks and then
// reads at once would only see that there is no answer yet. b must stay as it is until
// then. Only whoever reads next may ask.
func (s *socket) Ask(b []byte) { s.ask = b }

// askNow writes what Ask was told and no Read has written.
func (s *socket) askNow() error {
	b := s.ask
	if s.ask = nil; b == nil {
		return nil
	}
	_, err := s.write(b)
	return err
}

// receive is read, but that what is to be asked goes first. By then the connection has
// begun to listen for what arrives, so an answer to it can't be missed.
func (s *socket) receive(fd uintptr) bool {
	if s.ask == nil {
		return s.in.read(fd)
	}
	n, e := attempt(syscall.SYS_WRITE, fd, s.ask)
	if n == len(s.ask) {
		s.ask = nil
		return false // wait: it can't have been answered yet
	}
	if e == 0 {
		s.ask = s.ask[n:]
	}
	return true // Read does the rest, or meets the same error
}

func (s *socket) Write(b []byte) (int, error) {
	if err := s.askNow(); err != nil {
		return 0, err
	}
	return s.write(b)
}

func (s *socket) write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	h := &s.out
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b, h.n, h.fail = b, 0, 0
	err := h.raw.Write(h.try)
	h.b = nil
	if err == nil && h.fail != 0 {
		err = s.failed("write", h.fail)
	}
	return h.n, err
}

func (s *socket) failed(op string, e syscall.Errno) error {
	return &net.OpError{Op: op, Net: s.LocalAddr().Network(), Source: s.LocalAddr(), Addr: s.RemoteAddr(), Err: os.NewSyscallError(op, e)}
}

// read reports false when there is nothing to read yet.
func (h *half) read(fd uintptr) bool {
	h.n, h.fail = 0, 0
	n, e := attempt(syscall.SYS_READ, fd, h.b)
	if e == syscall.EAGAIN {
		return false
	}
	h.n, h.fail = n, e
	return true
}

// write reports false when there is no room for the rest yet.
func (h *half) write(fd uintptr) bool {
	for h.n < len(h.b) {
		n, e := attempt(syscall.SYS_WRITE, fd, h.b[h.n:])
		if e == syscall.EAGAIN {
			return false
		}
		if h.fail = e; e != 0 {
			return true
		}
		h.n += n
	}
	return true
}

func attempt(call, fd uintptr, b []byte) (int, syscall.Errno) {
	for {
		n, _, e := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(min(len(b), maxTry)))
		if e == syscall.EINTR {
			continue
		}
		if e != 0 {
			return 0, e
		}
		return int(n), 0
	}
}
