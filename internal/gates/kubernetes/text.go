package kubernetes

import (
	"bytes"
	"io"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
)

// quiet is how long the beginning of a line is kept back, for a value to become whole.
const quiet = 200 * time.Millisecond

// A text is an answer of plain text, such as a log that goes on, masked as it comes.
type text struct {
	from   io.ReadCloser
	pieces chan piece
	stop   chan struct{}
	once   sync.Once
	stream gate.Stream
	p      gate.Permit
	out    bytes.Buffer
	open   bool // something may be kept back
	err    error
}

type piece struct {
	b   []byte
	err error
}

func newText(from io.ReadCloser, p gate.Permit) io.ReadCloser {
	t := &text{from: from, pieces: make(chan piece), stop: make(chan struct{}), p: p}
	t.stream = p.Stream(&t.out, false)
	go t.read()
	return t
}

// read ends when the answer does, or once it is closed.
func (t *text) read() {
	for {
		b := make([]byte, 32<<10)
		n, err := t.from.Read(b)
		select {
		case t.pieces <- piece{b[:n], err}:
		case <-t.stop:
			return
		}
		if err != nil {
			return
		}
	}
}

func (t *text) Close() error {
	t.once.Do(func() { close(t.stop) })
	return t.from.Close()
}

func (t *text) Read(b []byte) (int, error) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for t.out.Len() == 0 && t.err == nil {
		select {
		case one := <-t.pieces:
			t.take(one)
		case <-timer.C:
			timer.Reset(quiet)
			if t.open {
				t.open = false
				t.fail(t.stream.Flush())
			}
		}
	}
	if t.out.Len() > 0 {
		return t.out.Read(b)
	}
	return 0, t.err
}

func (t *text) take(one piece) {
	if len(one.b) > 0 {
		if t.fail(t.p.Count(int64(bytes.Count(one.b, []byte("\n"))), int64(len(one.b)))); t.err != nil {
			return
		}
		_, err := t.stream.Write(one.b)
		t.open = true
		t.fail(err)
	}
	if one.err != nil {
		t.fail(t.stream.Close())
		t.fail(one.err)
	}
}

func (t *text) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}
