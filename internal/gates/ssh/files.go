package ssh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
)

const (
	maxHandles = 64
	maxScanned = 8 << 20  // bytes of a file that is masked as a whole
	maxKept    = 32 << 20 // bytes of such files that one session has open
	maxPending = 64       // reads and writes under way
)

// files is one SFTP session between a client and a host. Requests are taken one
// after the other; reads and writes of files that were permitted overlap.
type files struct {
	s    *session
	host *fileHost
	look gate.Permit // for names and attributes; used by the goroutine that serves

	handles map[string]*file
	minted  int
	kept    int // bytes in memory

	slots   chan struct{}
	pending sync.WaitGroup

	writing sync.Mutex // of packets to the client
	gone    error      // owned by writing
}

// A file is what a handle of the client stands for.
type file struct {
	path        string
	dir         bool
	read, write bool
	mode        uint32 // that it was opened with
	at          string // the host's handle; "" where what is read is in memory
	content     []byte // masked
	attrs       attrs
	began       time.Time
	pending     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	permit gate.Permit
	bytes  int64
	failed bool
}

// sftp serves the subsystem. Names and attributes are one action; each file is another.
func (s *session) sftp() {
	a := s.fileAction("look", "", []action.Kind{action.DataRead}, nil)
	a.Title, a.Statement = "see names and attributes of files"+s.where(), "sftp"
	permit, denied := s.ask(a, s.held)
	if denied != nil {
		s.refuse(denied)
		return
	}
	began := time.Now()
	err := s.serveFiles(permit)
	o := gate.Outcome{State: gate.Executed, Duration: time.Since(began)}
	switch {
	case err == nil:
	case errors.Is(err, errHostEnded):
		o.State = gate.Failed
	default:
		o.State, o.Code = gate.Failed, "ended"
		if s.run.Err() == nil {
			s.c.refused(err.Error())
		}
	}
	permit.Done(o)
	if err == nil {
		s.exit(0)
		return
	}
	s.refuse(&gate.Denied{Status: gate.StatusUnreadable, Reason: err.Error()})
}

func (s *session) serveFiles(look gate.Permit) error {
	r := &run{}
	if err := s.open(r); err != nil {
		return err
	}
	defer func() { _ = r.up.Close() }()
	if ok, err := r.up.SendRequest("subsystem", true, putString(nil, "sftp")); err != nil || !ok {
		return errors.New("the host has no file transfer")
	}
	s.work.Go(func() { _, _ = io.Copy(io.Discard, r.up.Stderr()) })
	stopped := context.AfterFunc(s.run, func() { _ = r.up.Close() })
	defer stopped()
	first, err := readPacket(s.ch)
	if err != nil || first.typ != fxInit || first.id < 3 {
		return fmt.Errorf("%w: not a beginning", errSFTP)
	}
	host, err := newFileHost(r.up, r.up)
	if err != nil {
		return err
	}
	f := &files{s: s, host: host, look: look, handles: map[string]*file{}, slots: make(chan struct{}, maxPending)}
	var offer []byte
	for _, name := range extensions {
		if v, has := host.ext[name]; has {
			offer = putString(putString(offer, name), v)
		}
	}
	if err := f.send(packet{fxVersion, 3, offer}); err != nil {
		return err
	}
	if err = f.serve(); err != nil {
		_ = r.up.Close() // nothing under way is waited for
	}
	f.end(err)
	return err
}

// extensions are those that are offered on, where the host has them.
var extensions = []string{
	"posix-rename@openssh.com", "hardlink@openssh.com", "fsync@openssh.com", "lsetstat@openssh.com",
	"statvfs@openssh.com", "fstatvfs@openssh.com", "limits@openssh.com", "expand-path@openssh.com",
}

// serve answers requests until the client ends.
func (f *files) serve() error {
	for {
		p, err := readPacket(f.s.ch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f.one(p)
		}
		if why := f.host.why(); why != nil {
			return fmt.Errorf("the host: %w", why)
		}
		if err != nil {
			return err
		}
	}
}

// one answers one request, or sees to it that it will be answered. An error ends the session.
func (f *files) one(p packet) error {
	handle := f.handler(p.typ)
	if handle == nil {
		return fmt.Errorf("%w: a type that is on no list", errSFTP)
	}
	reply, err := handle(p)
	var denied *gate.Denied
	var said *statusError
	switch {
	case err == nil && reply.typ == 0: // later
		return nil
	case err == nil:
	case errors.As(err, &denied):
		reply = packet{typ: fxStatus, body: statusBody(fxDenied, "assent: "+deniedText(denied))}
	case errors.As(err, &said):
		reply = packet{typ: fxStatus, body: statusBody(said.code, string(f.look.Text(said.text)))}
	default:
		return err
	}
	reply.id = p.id
	return f.send(reply)
}

func (f *files) handler(typ byte) func(packet) (packet, error) {
	switch typ {
	case fxOpen:
		return f.open
	case fxClose:
		return f.close
	case fxRead:
		return f.read
	case fxWrite:
		return f.write
	case fxStat, fxLstat:
		return f.stat
	case fxFstat:
		return f.fstat
	case fxSetstat, fxFsetstat:
		return f.setstat
	case fxOpendir:
		return f.opendir
	case fxReaddir, fxRealpath, fxReadlink:
		return f.names
	case fxRemove, fxRmdir, fxMkdir:
		return f.entry
	case fxRename, fxSymlink:
		return f.twoPaths
	case fxExtended:
		return f.extended
	}
	return nil
}

func (f *files) send(p packet) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.gone == nil {
		_, f.gone = f.s.ch.Write(p.bytes())
	}
	return f.gone
}

func ok() packet { return packet{typ: fxStatus, body: statusBody(fxOK, "")} }

func failure(text string) error {
	return &statusError{status{fxFailure, []byte("assent: " + text)}}
}

// end completes what is open.
func (f *files) end(err error) {
	f.pending.Wait()
	for _, h := range f.handles {
		o := gate.Outcome{State: gate.Executed}
		if err != nil && h.write {
			o.State = gate.Unknown
		}
		h.done(o)
	}
}

func (h *file) done(o gate.Outcome) {
	h.pending.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.permit == nil {
		return
	}
	if h.failed && o.State == gate.Executed {
		o.State = gate.Failed
	}
	o.Bytes, o.Duration = h.bytes, time.Since(h.began)
	h.permit.Done(o)
	h.permit = nil
}

// add mints a handle of ours: the host's own never reach a client.
func (f *files) add(h *file) packet {
	f.minted++
	name := fmt.Sprintf("h%d", f.minted)
	h.began = time.Now()
	f.handles[name] = h
	return packet{typ: fxHandle, body: putString(nil, name)}
}

// handle finds what a request is about; one that is not open is refused and on record.
func (f *files) handle(r *reader) (*file, string, error) {
	name := string(r.text())
	if r.bad {
		return nil, "", errSFTP
	}
	h := f.handles[name]
	if h == nil {
		f.s.c.refused("a handle that is not open")
		return nil, "", failure("no such handle")
	}
	return h, name, nil
}

func (f *files) close(p packet) (packet, error) {
	r := reader{b: p.body}
	h, name, err := f.handle(&r)
	if err != nil || !r.end() {
		return packet{}, orMalformed(err)
	}
	delete(f.handles, name)
	f.kept -= len(h.content)
	h.pending.Wait()
	if h.at != "" {
		_, err = f.host.want(f.s.run, fxClose, putString(nil, h.at))
	}
	o := gate.Outcome{State: gate.Executed}
	var said *statusError
	switch {
	case errors.As(err, &said):
		o.State = gate.Failed
	case err != nil:
		o.State = gate.Unknown
	}
	h.done(o)
	return ok(), err
}

func orMalformed(err error) error {
	if err != nil {
		return err
	}
	return errSFTP
}

// read answers from memory, or from the host where that was decided.
func (f *files) read(p packet) (packet, error) {
	r := reader{b: p.body}
	h, _, err := f.handle(&r)
	at, n := r.uint64(), r.uint32()
	switch {
	case err != nil || !r.end():
		return packet{}, orMalformed(err)
	case h.dir || !h.read:
		return packet{}, failure("it is not open for reading")
	case h.at == "":
		if at >= uint64(len(h.content)) {
			return packet{}, &statusError{status{code: fxEOF}}
		}
		part := h.content[at:]
		return packet{typ: fxData, body: putString(nil, part[:min(len(part), int(n), 256<<10)])}, nil
	}
	body := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(putString(nil, h.at), at), min(n, 256<<10))
	return packet{}, f.later(p, h, body, func(answer packet) packet {
		d := reader{b: answer.body}
		data := d.text()
		if !d.end() {
			return packet{typ: fxStatus, body: statusBody(fxFailure, "assent: the host's answer can't be read")}
		}
		if err := h.count(int64(len(data))); err != nil {
			return packet{typ: fxStatus, body: statusBody(fxDenied, "assent: "+deniedText(refusal(err)))}
		}
		return answer
	})
}

func (h *file) count(n int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.permit == nil || h.failed {
		return &gate.Denied{Status: gate.StatusLimit, Reason: "nothing more may be read of this file"}
	}
	if err := h.permit.Count(0, n); err != nil {
		h.failed = true
		return err
	}
	h.bytes += n
	return nil
}

func (f *files) write(p packet) (packet, error) {
	r := reader{b: p.body}
	h, _, err := f.handle(&r)
	at, data := r.uint64(), r.text()
	switch {
	case err != nil || !r.end():
		return packet{}, orMalformed(err)
	case h.dir || !h.write:
		return packet{}, failure("it is not open for writing")
	}
	h.mu.Lock()
	h.bytes += int64(len(data))
	h.mu.Unlock()
	body := putString(binary.BigEndian.AppendUint64(putString(nil, h.at), at), data)
	return packet{}, f.later(p, h, body, nil)
}

// later forwards a read or write, and answers when the host does.
func (f *files) later(p packet, h *file, body []byte, see func(packet) packet) error {
	select {
	case f.slots <- struct{}{}:
	case <-f.s.run.Done():
		return context.Cause(f.s.run)
	}
	wait, err := f.host.send(p.typ, body)
	if err != nil {
		<-f.slots
		return err
	}
	h.pending.Add(1)
	f.pending.Go(func() {
		defer f.s.c.guard()
		defer func() { <-f.slots }()
		defer h.pending.Done()
		answer, came := <-wait
		if !came {
			return // the session ends
		}
		var said *statusError
		switch err := fits(p.typ, answer); {
		case errors.As(err, &said):
			if said.code != fxEOF {
				h.fail()
			}
			// A plain word of ours: what the host says of a read or write may quote anything.
			answer = packet{typ: fxStatus, body: statusBody(said.code, statusWords[said.code])}
		case err != nil:
			h.fail()
			answer = packet{typ: fxStatus, body: statusBody(fxFailure, "assent: the host's answer can't be read")}
		case see != nil:
			answer = see(answer)
		}
		answer.id = p.id
		_ = f.send(answer)
	})
	return nil
}

func (h *file) fail() {
	h.mu.Lock()
	h.failed = true
	h.mu.Unlock()
}

var statusWords = map[uint32]string{fxEOF: "End of file", fxNoFile: "No such file", fxDenied: "Permission denied", fxFailure: "Failure"}

// fileAction is an action on files; its state says where, and its payload what is sent.
func (s *session) fileAction(verb, path string, kinds []action.Kind, payload []byte) *action.Action {
	slices.Sort(kinds)
	if payload == nil {
		payload = []byte("sftp")
	}
	a := &action.Action{
		Kinds: slices.Compact(kinds), Verb: verb, Target: path, Shape: shapeOf(verb, path),
		Title: verb + " " + path + s.where(), Statement: verb + " " + path, Payload: payload, State: s.state("sftp"),
	}
	if path != "" {
		a.Objects = []string{path}
	}
	return a
}
