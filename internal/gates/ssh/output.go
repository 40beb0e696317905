package ssh

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/assenthq/assent/gate"
)

const (
	chunk    = 32 << 10
	longLine = 256 << 10 // of output that is masked as one
	longPEM  = 64 << 10
	longWord = 64 << 10               // a line without any sign for so long is cut anywhere
	quiet    = 200 * time.Millisecond // after which the beginning of a line is passed on
)

// An output masks and counts what a host sends for one action. Its two streams share it.
type output struct {
	release func() error // asks whether output that can't be scanned may pass

	mu     sync.Mutex // a permit is used by one goroutine at a time; guards what follows
	permit gate.Permit
	raw    bool // passes as it is, which was decided
	rows   int64
	bytes  int64
}

func (o *output) counted() (rows, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rows, o.bytes
}

// copy passes from on to to, until from ends. A *gate.Denied says that no more may pass.
func (o *output) copy(to io.Writer, from io.Reader) error {
	type read struct {
		b   []byte
		err error
	}
	reads, stop := make(chan read), make(chan struct{})
	ended := make(chan struct{})
	defer func() { close(stop) }()
	go func() { // ends when from does, or once nobody listens
		defer close(ended)
		for {
			b := make([]byte, chunk)
			n, err := from.Read(b)
			select {
			case reads <- read{b[:n], err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	var kept []byte
	for {
		var flush, last bool
		select {
		case r := <-reads:
			kept = append(kept, r.b...)
			last = r.err != nil
			if last && !errors.Is(r.err, io.EOF) {
				return r.err
			}
		case <-timer.C:
			flush = true
		}
		n := o.whole(kept, flush, last)
		if n > 0 {
			if err := o.pass(to, kept[:n]); err != nil {
				return err
			}
			kept = append(kept[:0], kept[n:]...)
		}
		if last {
			return nil
		}
		timer.Reset(quiet)
	}
}

// whole is how much of b can be judged: whole lines, and a key in PEM form never
// in part, unless that takes too long. A rune is cut only at the end.
func (o *output) whole(b []byte, flush, last bool) int {
	if last || o.isRaw() {
		return len(b)
	}
	if flush || len(b) >= longLine {
		n := len(b)
		if !flush { // a value that is cut in two is not found
			if between := bytes.LastIndexAny(b[:n-1], " \t\n\"'`,;|<>(){}[]=&"); between > n-longWord {
				return between + 1
			}
		}
		for back := 1; back < utf8.UTFMax && back <= n; back++ {
			if utf8.RuneStart(b[n-back]) {
				if !utf8.FullRune(b[n-back:]) {
					n -= back
				}
				break
			}
		}
		return n
	}
	n := bytes.LastIndexByte(b, '\n') + 1
	begin := bytes.LastIndex(b, []byte("-----BEGIN "))
	if begin >= 0 && begin < n && !bytes.Contains(b[begin:n], []byte("-----END ")) && len(b)-begin < longPEM {
		return begin
	}
	return n
}

func (o *output) isRaw() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.raw
}

// pass masks, counts and writes b.
func (o *output) pass(to io.Writer, b []byte) error {
	o.mu.Lock()
	if !o.raw && !isText(b) {
		if err := o.release(); err != nil {
			o.mu.Unlock()
			return err
		}
		o.raw = true
	}
	lines := int64(bytes.Count(b, []byte{'\n'}))
	if o.raw { // newlines mean nothing there; its bytes count
		lines = 0
	}
	err := o.permit.Count(lines, int64(len(b)))
	if err == nil {
		o.rows, o.bytes = o.rows+lines, o.bytes+int64(len(b))
		if !o.raw {
			b = bytes.Clone(o.permit.Text(b)) // the permit may use its memory again
		}
	}
	o.mu.Unlock()
	if err != nil {
		return err
	}
	_, err = to.Write(b)
	return err
}

// isText reports whether findings in b can be seen. UTF-16 has NULs, so it is none.
func isText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }
