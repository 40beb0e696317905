package ssh

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/recording"
	gossh "golang.org/x/crypto/ssh"
)

// A pty is what a client asks of a terminal (RFC 4254 section 6.2).
type pty struct {
	term    string
	size    size
	payload []byte // as it was
}

type size struct{ columns, rows uint32 }

var termName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)

const maxModes = 1 << 10

func ptyOf(payload []byte) (*pty, error) {
	r := reader{b: payload}
	p := &pty{term: string(r.text()), payload: slices.Clone(payload)}
	p.size = size{r.uint32(), r.uint32()}
	r.uint32() // in pixels
	r.uint32()
	modes := r.text()
	if !r.end() || !termName.MatchString(p.term) || len(modes) > maxModes || !p.size.plain() || !plainModes(modes) {
		return nil, errMalformed
	}
	return p, nil
}

func (s size) plain() bool { return s.columns <= 2000 && s.rows <= 2000 }

// plainModes reports whether b is opcodes with a number each, up to the end (RFC 4254 section 8).
func plainModes(b []byte) bool {
	for len(b) > 0 {
		switch {
		case b[0] == 0:
			return len(b) == 1
		case b[0] >= 160 || len(b) < 5:
			return false
		}
		b = b[5:]
	}
	return true
}

func sizeOf(payload []byte) (size, error) {
	r := reader{b: payload}
	z := size{r.uint32(), r.uint32()}
	r.uint32()
	r.uint32()
	if !r.end() || !z.plain() {
		return size{}, errMalformed
	}
	return z, nil
}

// setTerminal takes what a client asks of the terminal that a command or shell will have.
func (s *session) setTerminal(payload []byte) bool {
	p, err := ptyOf(payload)
	if err != nil || s.started || s.pty != nil || s.c.g.cfg.Recordings == nil {
		s.c.refused("a terminal")
		return false
	}
	s.pty = p
	return true
}

// resize passes a new size on to what runs.
func (s *session) resize(payload []byte) bool {
	z, err := sizeOf(payload)
	if err != nil || s.pty == nil {
		s.c.refused("a size for no terminal")
		return false
	}
	s.mu.Lock()
	up, resized := s.running, s.resized
	s.mu.Unlock()
	if up == nil {
		return false
	}
	if resized != nil {
		resized(z)
	}
	_, err = up.SendRequest("window-change", false, payload)
	return err == nil
}

// shell has a terminal, or a shell that reads commands from the client, decided.
func (s *session) shell() {
	a := &action.Action{
		Verb: "open terminal", Title: "open a terminal" + s.where(), Target: s.c.host.Name, Shape: shapeOf("terminal", s.c.host.User),
		Statement: "a terminal: what is typed into it is recorded, and not judged line by line", Payload: []byte("shell"), State: s.state("shell"),
	}
	s.terminal(a, "shell", "")
}

// terminal has a decided with the terminal it asks for, and runs it under a recording.
func (s *session) terminal(a *action.Action, request, text string) {
	a.Kinds = append(slices.Clone(a.Kinds), action.SessionOpen)
	slices.Sort(a.Kinds)
	a.Kinds = slices.Compact(a.Kinds)
	if s.pty != nil {
		a.State["terminal"] = s.pty.term
		if request == "exec" {
			a.Title = "in a terminal: " + a.Title
		}
	}
	permit, denied := s.ask(a, s.held)
	if denied != nil {
		s.refuse(denied)
		return
	}
	rec, err := s.c.g.cfg.Recordings.New(s.header(a, string(permit.Text([]byte(text)))))
	if err != nil {
		s.c.g.cfg.Log.Error("a terminal can't be recorded, so there is none", "gate", s.c.g.cfg.Name, "err", err)
		permit.Done(gate.Outcome{State: gate.NotRun, Code: "no recording"})
		s.refuse(&gate.Denied{Status: gate.StatusNobody, Reason: "the terminal can't be recorded, so there is none", Hint: "an operator must look: the data directory may be full"})
		return
	}
	s.mu.Lock()
	s.resized = func(z size) { _ = rec.Resize(z.columns, z.rows) }
	s.mu.Unlock()
	out := &screen{permit: permit, rec: rec}
	r := &run{s: s, out: out, after: func(o *gate.Outcome) {
		out.flush()
		digest, err := rec.Close()
		if err != nil {
			s.c.g.cfg.Log.Error("the end of a recording", "recording", rec.ID, "err", err)
		}
		o.Kept, o.KeptDigest = rec.ID, digest
	}}
	if s.pty != nil {
		r.before = func(up gossh.Channel) error {
			if ok, err := up.SendRequest("pty-req", true, s.pty.payload); err != nil || !ok {
				return errors.New("the host gives no terminal")
			}
			return nil
		}
	}
	var payload []byte
	if request == "exec" {
		payload = putString(nil, text)
	}
	s.say("this terminal is recorded, as " + rec.ID)
	s.runAt(permit, r, request, payload)
}

func (s *session) header(a *action.Action, command string) recording.Header {
	h := recording.Header{Width: 80, Height: 24, Title: a.Title, About: recording.About{
		Subject: a.Subject, Gate: s.c.g.cfg.Name, Resource: a.Resource.URN, User: s.c.host.User, Command: command,
	}}
	if len(a.Actors) > 0 {
		h.About.Actor = a.Actors[0].ID
	}
	if s.pty != nil {
		h.Width, h.Height = int(s.pty.size.columns), int(s.pty.size.rows)
		h.Env = map[string]string{"TERM": s.pty.term}
	}
	return h
}

// A screen masks, counts and records what a terminal shows. What is shown is passed on at once; the
// recording gets whole lines where there are some, so that a value drawn in pieces is found there.
type screen struct {
	mu     sync.Mutex // a permit is used by one goroutine at a time; guards what follows
	permit gate.Permit
	rec    *recording.Recording
	kept   []byte // not yet in the recording
	bytes  int64
}

// maxHeldBack is how much of a line the recording waits for.
const maxHeldBack = 4 << 10

func (o *screen) counted() (rows, bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return 0, o.bytes
}

func (o *screen) copy(to io.Writer, from io.Reader) error {
	b := make([]byte, chunk)
	for {
		n, err := from.Read(b)
		if n > 0 {
			shown, err := o.show(b[:n])
			if err != nil {
				return err
			}
			if _, err := to.Write(shown); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// show records b and returns what may be shown of it.
func (o *screen) show(b []byte) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.permit.Count(0, int64(len(b))); err != nil {
		return nil, err
	}
	o.bytes += int64(len(b))
	o.kept = append(o.kept, b...)
	cut := 0
	for i, c := range o.kept {
		if c == '\n' {
			cut = i + 1
		}
	}
	if len(o.kept)-cut > maxHeldBack {
		cut = len(o.kept)
	}
	if err := o.record(cut); err != nil {
		return nil, err
	}
	return slices.Clone(o.permit.Text(b)), nil
}

// record writes the first n bytes of what is kept; mu is held.
func (o *screen) record(n int) error {
	if n == 0 {
		return nil
	}
	err := o.rec.Output(o.permit.Text(o.kept[:n]))
	o.kept = append(o.kept[:0], o.kept[n:]...)
	if err != nil {
		reason := "the terminal can't be recorded any further, so it ends"
		if errors.Is(err, recording.ErrFull) {
			reason = fmt.Sprintf("the recording is full (%d MiB), so the terminal ends", recording.MaxBytes>>20)
		}
		return &gate.Denied{Status: gate.StatusLimit, Reason: reason}
	}
	return nil
}

func (o *screen) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.record(len(o.kept))
}
