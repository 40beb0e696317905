package gatetest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// A wire stands between gate and server and keeps what the gate sends.
type wire struct {
	l        net.Listener
	upstream string
	wg       sync.WaitGroup

	mu      sync.Mutex
	sent    bytes.Buffer
	severed bool
	conns   []net.Conn
}

func newWire(t *testing.T, upstream string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{l: l, upstream: upstream}
	w.wg.Go(w.accept)
	return w
}

func (w *wire) addr() string { return w.l.Addr().String() }

func (w *wire) accept() {
	for {
		c, err := w.l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", w.upstream)
		if err != nil {
			_ = c.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, c, up)
		w.mu.Unlock()
		w.wg.Go(func() {
			_, _ = io.Copy(c, up)
			_ = c.Close()
		})
		w.wg.Go(func() {
			_, _ = io.Copy(writer{w, up}, c)
			_ = up.Close()
			_ = c.Close()
		})
	}
}

// A writer records before it forwards; a severed wire takes bytes and loses them.
type writer struct {
	w  *wire
	up net.Conn
}

func (r writer) Write(b []byte) (int, error) {
	r.w.mu.Lock()
	severed := r.w.severed
	if !severed {
		r.w.sent.Write(b)
	}
	r.w.mu.Unlock()
	if severed {
		return 0, io.ErrClosedPipe
	}
	return r.up.Write(b)
}

func (w *wire) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.sent.Bytes())
}

// sever makes the server die with the next bytes that are sent to it.
func (w *wire) sever() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.severed = true
}

func (w *wire) close() {
	_ = w.l.Close()
	w.mu.Lock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.mu.Unlock()
	w.wg.Wait()
}
