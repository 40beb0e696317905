package ssh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// A fileHost is the gate's own SFTP conversation with a host. Ids are the gate's;
// an answer to nothing that was asked, or of a type that does not answer it, ends it.
type fileHost struct {
	w   io.Writer
	ext map[string]string // extensions that the host offers

	mu    sync.Mutex
	next  uint32                 // owned by mu
	waits map[uint32]chan packet // owned by mu; nil once it has ended
	err   error                  // owned by mu
}

var errHostEnded = errors.New("the host ended the file transfer")

// newFileHost agrees on version 3, and reads answers until the host ends.
func newFileHost(r io.Reader, w io.Writer) (*fileHost, error) {
	if _, err := w.Write([]byte{0, 0, 0, 5, fxInit, 0, 0, 0, 3}); err != nil {
		return nil, errHostEnded
	}
	p, err := readPacket(r) // the version stands where other packets have their id
	if err != nil || p.typ != fxVersion || p.id != 3 {
		return nil, errors.New("the host speaks no SFTP of version 3")
	}
	h := &fileHost{w: w, ext: map[string]string{}, waits: map[uint32]chan packet{}}
	f := reader{b: p.body}
	for len(f.b) > 0 && !f.bad {
		name, value := string(f.text()), string(f.text())
		h.ext[name] = value
	}
	if f.bad {
		return nil, errSFTP
	}
	go h.read(r)
	return h, nil
}

func (h *fileHost) read(r io.Reader) {
	var err error
	for err == nil {
		var p packet
		if p, err = readPacket(r); err != nil {
			break
		}
		h.mu.Lock()
		wait := h.waits[p.id]
		delete(h.waits, p.id)
		h.mu.Unlock()
		if wait == nil {
			err = fmt.Errorf("%w: an answer to nothing that was asked", errSFTP)
			break
		}
		wait <- p
	}
	h.mu.Lock()
	h.err = err
	for _, wait := range h.waits {
		close(wait)
	}
	h.waits = nil
	h.mu.Unlock()
}

// why is what the conversation ended by, nil for its ordinary end.
func (h *fileHost) why() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(h.err, errSFTP) {
		return h.err
	}
	return nil
}

// send asks; the answer comes through the channel, which is closed instead when the host ends.
func (h *fileHost) send(typ byte, body []byte) (<-chan packet, error) {
	wait := make(chan packet, 1)
	h.mu.Lock()
	if h.waits == nil {
		h.mu.Unlock()
		return nil, errHostEnded
	}
	h.next++
	for h.waits[h.next] != nil {
		h.next++
	}
	id := h.next
	h.waits[id] = wait
	h.mu.Unlock()
	// One goroutine sends, so packets are whole and in order.
	if _, err := h.w.Write(packet{typ, id, body}.bytes()); err != nil {
		return nil, errHostEnded
	}
	return wait, nil
}

// ask sends and waits for the answer.
func (h *fileHost) ask(ctx context.Context, typ byte, body []byte) (packet, error) {
	wait, err := h.send(typ, body)
	if err != nil {
		return packet{}, err
	}
	select {
	case p, ok := <-wait:
		if !ok {
			return packet{}, errHostEnded
		}
		return p, nil
	case <-ctx.Done():
		return packet{}, context.Cause(ctx)
	}
}

// answers says which types answer a request, beside STATUS.
var answers = map[byte][]byte{
	fxOpen: {fxHandle}, fxOpendir: {fxHandle}, fxRead: {fxData}, fxReaddir: {fxName}, fxRealpath: {fxName}, fxReadlink: {fxName},
	fxLstat: {fxAttrs}, fxStat: {fxAttrs}, fxFstat: {fxAttrs}, fxExtended: {fxExtendedReply, fxName},
}

// A statusError is a STATUS that says no.
type statusError struct{ status }

func (e *statusError) Error() string { return fmt.Sprintf("the host answers %d", e.code) }

// want asks for one thing. A STATUS is a *statusError unless it says OK.
func (h *fileHost) want(ctx context.Context, typ byte, body []byte) (packet, error) {
	p, err := h.ask(ctx, typ, body)
	if err != nil {
		return p, err
	}
	return p, fits(typ, p)
}

// fits holds an answer against its request.
func fits(typ byte, p packet) error {
	if p.typ == fxStatus {
		s, err := statusOfPacket(p)
		switch {
		case err != nil:
			return err
		case s.code != fxOK:
			return &statusError{s}
		case len(answers[typ]) == 0 || typ == fxExtended:
			return nil
		}
		return fmt.Errorf("%w: an answer without what was asked for", errSFTP)
	}
	if !slices.Contains(answers[typ], p.typ) {
		return fmt.Errorf("%w: an answer of another type", errSFTP)
	}
	return nil
}

// realpath is how the host calls a path, with links followed. Its last name need not be there.
func (h *fileHost) realpath(ctx context.Context, path string) (string, error) {
	p, err := h.want(ctx, fxRealpath, putString(nil, path))
	if err != nil {
		return "", err
	}
	list, err := namesOf(p)
	if err != nil || len(list) != 1 || len(list[0].name) == 0 || list[0].name[0] != '/' {
		return "", fmt.Errorf("%w: a path", errSFTP)
	}
	r := reader{b: putString(nil, list[0].name)}
	real := r.path()
	if r.bad {
		return "", fmt.Errorf("%w: a path that is not UTF-8", errSFTP)
	}
	return real, nil
}

// stat is a file's attributes; typ is STAT, LSTAT or FSTAT.
func (h *fileHost) stat(ctx context.Context, typ byte, of string) (attrs, error) {
	p, err := h.want(ctx, typ, putString(nil, of))
	if err != nil {
		return attrs{}, err
	}
	r := reader{b: p.body}
	a := r.attrs()
	if !r.end() {
		return attrs{}, errSFTP
	}
	return a, nil
}

// open opens path and returns the host's handle.
func (h *fileHost) open(ctx context.Context, body []byte) (string, error) {
	p, err := h.want(ctx, fxOpen, body)
	if err != nil {
		return "", err
	}
	return handleOf(p)
}

func handleOf(p packet) (string, error) {
	r := reader{b: p.body}
	handle := r.text()
	if !r.end() || len(handle) == 0 || len(handle) > 256 {
		return "", fmt.Errorf("%w: a handle", errSFTP)
	}
	return string(handle), nil
}

// readAll reads a file from its beginning, at most limit bytes and one more.
func (h *fileHost) readAll(ctx context.Context, handle string, limit int) ([]byte, error) {
	const each, ahead = 32 << 10, 16
	var out []byte
	type part struct {
		at   uint64
		wait <-chan packet
	}
	var queue []part
	next, ended := uint64(0), false
	for {
		for !ended && len(queue) < ahead && next <= uint64(limit) {
			b := binary.BigEndian.AppendUint64(putString(nil, handle), next)
			wait, err := h.send(fxRead, binary.BigEndian.AppendUint32(b, each))
			if err != nil {
				return nil, err
			}
			queue = append(queue, part{next, wait})
			next += each
		}
		if len(queue) == 0 {
			return out, nil
		}
		head := queue[0]
		queue = queue[1:]
		var p packet
		var ok bool
		select {
		case p, ok = <-head.wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !ok {
			return nil, errHostEnded
		}
		var said *statusError
		switch err := fits(fxRead, p); {
		case errors.As(err, &said) && said.code == fxEOF:
			ended = true
			continue
		case err != nil:
			return nil, err
		}
		r := reader{b: p.body}
		data := r.text()
		if !r.end() || len(data) == 0 || len(data) > each {
			return nil, fmt.Errorf("%w: data", errSFTP)
		}
		if head.at != uint64(len(out)) { // after a short answer what was asked for behind it is asked for again
			continue
		}
		out = append(out, data...)
		if len(out) > limit {
			ended = true
		}
		if len(data) < each {
			for _, q := range queue {
				<-q.wait
			}
			queue, next = nil, uint64(len(out))
		}
	}
}
