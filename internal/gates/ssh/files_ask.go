package ssh

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/shell"
)

// shapeOf is the fingerprint of what is done in which directory.
func shapeOf(verb, p string) string {
	sum := sha256.Sum256([]byte("sftp\x00" + verb + "\x00" + path.Dir(p)))
	return hex.EncodeToString(sum[:8])
}

// readKinds and writeKinds are what a path makes of reading or writing it. Hosts
// may not tell upper case from lower, or take a backslash for what a slash is here.
func readKinds(p string) []action.Kind  { return kindsOf(shell.ReadKinds, p) }
func writeKinds(p string) []action.Kind { return kindsOf(shell.WriteKinds, p) }

func kindsOf(of func(string) []action.Kind, p string) []action.Kind {
	kinds := slices.Clone(of(p))
	if lower := strings.ToLower(p); lower != p {
		kinds = append(kinds, of(lower)...)
	}
	if strings.Contains(p, `\`) {
		kinds = append(kinds, action.Unknown)
	}
	return kinds
}

// errMoved says that a path leads elsewhere than it did when it was judged.
var errMoved = &gate.Denied{Status: gate.StatusDenied, Reason: "the path leads elsewhere than when this was decided", Hint: "ask again"}

// steady errs when any of paths is no longer its own real path: a link was put in its place.
func (f *files) steady(paths ...string) error {
	for _, p := range paths {
		now, err := f.host.realpath(f.s.run, p)
		var said *statusError
		switch {
		case errors.As(err, &said), err == nil && now != p:
			f.s.c.refused("a path that leads elsewhere than when it was judged")
			return errMoved
		case err != nil:
			return err
		}
	}
	return nil
}

// place is the real path of something that is itself meant, also where it is a
// link: only the directory it lies in is followed.
func (f *files) place(p string) (whole, dir string, err error) {
	p = strings.TrimRight(p, "/")
	base := path.Base(p)
	if p == "" || base == "." || base == ".." || base == "/" {
		return "", "", failure("this name stands for a directory, so what is done to it can't be judged")
	}
	parent := p[:len(p)-len(base)]
	if parent == "" {
		parent = "."
	}
	if dir, err = f.host.realpath(f.s.run, parent); err != nil {
		return "", "", err
	}
	return path.Join(dir, base), dir, nil
}

// open has a file decided before it is opened.
func (f *files) open(p packet) (packet, error) {
	r := reader{b: p.body}
	name, flags, asked := r.path(), r.uint32(), r.attrs()
	if !r.end() || flags&^uint32(flagsKnown) != 0 {
		return packet{}, errSFTP
	}
	if len(f.handles) >= maxHandles {
		return packet{}, failure("too many files are open")
	}
	real, err := f.host.realpath(f.s.run, name)
	if err != nil {
		return packet{}, err
	}
	was, err := f.host.stat(f.s.run, fxLstat, real)
	var said *statusError
	there := err == nil
	if err != nil && !errors.As(err, &said) {
		return packet{}, err
	}
	if there && was.isDir() {
		return packet{}, failure("it is a directory")
	}
	// OpenSSH opens for reading unless WRITE is set, and creates and truncates even then.
	h := &file{path: real, read: flags&flagRead != 0 || flags&flagWrite == 0, write: flags&flagWrite != 0, mode: asked.mode & 0o7777}
	changes := flags&(flagWrite|flagAppend|flagCreate|flagTrunc) != 0
	body := append(binary.BigEndian.AppendUint32(putString(nil, real), flags), asked.raw...)
	a := f.openAction(h, changes, there, was, flags, body)
	permit, denied := f.s.ask(a, f.s.held)
	if denied != nil {
		return packet{}, denied
	}
	h.permit, h.began = permit, time.Now()
	if err := f.opened(h, a, body, was, there); err != nil {
		h.done(gate.Outcome{State: outcomeOf(err, changes)})
		return packet{}, err
	}
	return f.add(h), nil
}

// outcomeOf says what became of an opening that failed.
func outcomeOf(err error, changes bool) gate.OutcomeState {
	var said *statusError
	switch {
	case errors.As(err, &said):
		return gate.Failed
	case errors.Is(err, errMoved), !changes:
		return gate.NotRun
	}
	return gate.Unknown
}

func (f *files) openAction(h *file, changes, there bool, was attrs, flags uint32, body []byte) *action.Action {
	var kinds []action.Kind
	verb := "read"
	if h.read {
		kinds = append(kinds, action.DataRead)
		kinds = append(kinds, readKinds(h.path)...)
	}
	if changes {
		verb = "write"
		kinds = append(kinds, action.DataWrite)
		kinds = append(kinds, writeKinds(h.path)...)
		if h.mode&0o7000 != 0 { // whoever runs it does so as its owner
			kinds = append(kinds, action.PrivilegeChange)
		}
	}
	if there && !was.isRegular() { // a device, a pipe, a socket
		kinds = append(kinds, action.Unknown)
	}
	a := f.s.fileAction(verb, h.path, kinds, body)
	if h.read {
		a.Data.Unscanned = changes || !there || !was.isRegular() || was.flags&attrSize == 0 || was.size > maxScanned
		if there && was.flags&attrSize != 0 && was.size < 1<<53 {
			a.Data.Bytes = action.KnownCount(int64(was.size))
		}
	}
	if changes {
		how := "a new file"
		if there {
			how = "the file that is there"
			if flags&flagTrunc != 0 {
				how += ", from its beginning on anew"
			}
		}
		a.Statement = fmt.Sprintf("write %s\n%s; mode %04o; what is written is not known beforehand", h.path, how, h.mode)
	}
	return a
}

// opened opens a file that was permitted, where its path still leads.
func (f *files) opened(h *file, a *action.Action, body []byte, was attrs, there bool) error {
	if err := f.steady(h.path); err != nil {
		return err
	}
	at, err := f.host.open(f.s.run, body)
	if err != nil {
		return err
	}
	h.at = at
	shut := func(err error) error {
		_, _ = f.host.want(f.s.run, fxClose, putString(nil, at))
		h.at = ""
		return err
	}
	if err := f.steady(h.path); err != nil { // a link could have come and gone in between
		return shut(err)
	}
	now, err := f.host.stat(f.s.run, fxFstat, at)
	if err != nil {
		return shut(err)
	}
	if there && was.flags&attrMode != 0 && now.mode&0o170000 != was.mode&0o170000 || !there && !now.isRegular() {
		return shut(errMoved)
	}
	h.attrs = now
	if h.write || a.Data.Unscanned {
		return nil
	}
	if err := f.keep(h, a); err != nil {
		return shut(err)
	}
	if h.at == "" {
		return shut(nil)
	}
	return nil
}

// keep reads a file, masks it, and keeps it for the client. One that is not text, or
// longer than it was, is another question.
func (f *files) keep(h *file, a *action.Action) error {
	b, err := f.host.readAll(f.s.run, h.at, maxScanned)
	if err != nil {
		return err
	}
	if f.kept+len(b) > maxKept {
		return failure("too much is open: close a file first")
	}
	if len(b) > maxScanned || !isText(b) {
		if err := f.s.release(h.permit, a); err != nil {
			return err
		}
		return nil // read from the host as it comes
	}
	lines := int64(bytes.Count(b, []byte{'\n'}))
	if len(b) > 0 && b[len(b)-1] != '\n' {
		lines++
	}
	if err := h.permit.Count(lines, int64(len(b))); err != nil {
		return err
	}
	h.bytes = int64(len(b))
	h.content, h.at = bytes.Clone(h.permit.Text(b)), ""
	f.kept += len(h.content)
	return nil
}

// change has one change decided and sends it. paths are real, and must still be so afterwards.
func (f *files) change(a *action.Action, typ byte, body []byte, paths ...string) (packet, error) {
	permit, denied := f.s.ask(a, f.s.held)
	if denied != nil {
		return packet{}, denied
	}
	began := time.Now()
	err := f.steady(paths...)
	if err != nil {
		permit.Done(gate.Outcome{State: gate.NotRun})
		return packet{}, err
	}
	_, err = f.host.want(f.s.run, typ, body)
	o := gate.Outcome{State: gate.Executed, Duration: time.Since(began)}
	var said *statusError
	switch {
	case errors.As(err, &said):
		o.State, o.Code = gate.Failed, fmt.Sprintf("status %d", said.code)
	case err != nil:
		o.State = gate.Unknown
	}
	permit.Done(o)
	return ok(), err
}

// isDirectory asks the host; what can't be told counts as one.
func (f *files) isDirectory(ctx context.Context, p string) bool {
	a, err := f.host.stat(ctx, fxLstat, p)
	return err != nil || a.isDir()
}
