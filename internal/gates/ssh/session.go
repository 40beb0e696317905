package ssh

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	gossh "golang.org/x/crypto/ssh"
)

// Exit statuses that the gate itself answers with, of sysexits.h.
const (
	exitPending = 75 // EX_TEMPFAIL: ask again
	exitDenied  = 77 // EX_NOPERM
	exitLost    = 255
)

// A session is one session channel of a client. Its requests are answered by one
// goroutine; what it runs has another.
type session struct {
	c  *conn
	ch gossh.Channel

	// hold ends when what waits here must not go on, run when what runs must end.
	hold, run context.Context
	callOff   context.CancelCauseFunc // ends hold
	stop      context.CancelCauseFunc // ends both

	env     []variable
	pty     *pty // that was asked for
	started bool
	work    sync.WaitGroup

	mu      sync.Mutex
	running gossh.Channel // at the host; owned by mu
	resized func(size)    // tells the recording; owned by mu
	status  bool          // an exit status was sent; owned by mu
}

func (c *conn) serveSession(nc gossh.NewChannel) {
	defer c.channelEnds()
	defer c.guard()
	// Before people are asked for anything: is there a host to run it on?
	if _, err := c.upstream(); err != nil {
		if c.run.Err() == nil {
			c.refused(err.Error())
		}
		_ = nc.Reject(gossh.ConnectionFailed, "assent: "+err.Error())
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	s := &session{c: c, ch: ch}
	s.run, s.stop = context.WithCancelCause(c.run)
	s.hold, s.callOff = context.WithCancelCause(c.hold)
	context.AfterFunc(s.run, func() { s.callOff(context.Cause(s.run)) })
	for r := range requests {
		ok, work := s.request(r)
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if work != nil {
			s.work.Go(func() {
				defer c.guard()
				work()
			})
		}
	}
	s.stop(errGone)
	s.work.Wait()
	_ = ch.Close()
}

// guard ends the connection of a client whose bytes made the gate panic, and nothing else.
func (c *conn) guard() {
	if p := recover(); p != nil {
		c.session.Refused(context.WithoutCancel(c.run), fmt.Sprintf("the gate panicked: %T", p))
		c.stop(errPanicked)
		c.disconnect()
	}
}

// request answers one request of the client. What it begins is run after the answer.
func (s *session) request(r *gossh.Request) (ok bool, work func()) {
	switch r.Type {
	case "env":
		return s.setEnv(r.Payload), nil
	case "exec":
		text, err := commandText(r.Payload)
		switch {
		case !s.start():
			return false, nil
		case err != nil:
			s.c.refused("a command that can't be read: " + err.Error())
			return true, func() { s.refuse(&gate.Denied{Status: gate.StatusDenied, Reason: err.Error()}) }
		}
		return true, func() { s.exec(text) }
	case "signal":
		name, err := oneString(r.Payload)
		return err == nil && s.signal(name), nil
	case "eow@openssh.com": // the client reads no more of what is written
		return false, nil
	case "auth-agent-req@openssh.com":
		s.c.refused("forwarding of an authentication agent")
	case "x11-req":
		s.c.refused("forwarding of a display")
	case "pty-req":
		return s.setTerminal(r.Payload), nil
	case "shell":
		if s.c.g.cfg.Recordings == nil || len(r.Payload) != 0 {
			s.c.refused("a terminal")
			return false, nil
		}
		if !s.start() {
			return false, nil
		}
		return true, s.shell
	case "window-change":
		return s.resize(r.Payload), nil
	case "subsystem":
		name, err := oneString(r.Payload)
		if err != nil || name != "sftp" {
			s.c.refused("a subsystem that is on no list")
			return false, nil
		}
		if !s.start() {
			return false, nil
		}
		return true, s.sftp
	default:
		s.c.refused("a session request that is on no list")
	}
	return false, nil
}

// start marks that the one thing this channel is for has begun.
func (s *session) start() bool {
	if s.started {
		s.c.refused("a second command on one channel")
		return false
	}
	s.started = true
	return true
}

// setEnv takes a variable that the host will be told, before anything runs.
func (s *session) setEnv(payload []byte) bool {
	v, err := envOf(payload)
	if err != nil || s.started || len(s.env) >= maxEnv || !v.permitted(s.c.g.cfg.Env) {
		s.c.refused("an environment variable that is on no list")
		return false
	}
	s.env = append(s.env, v)
	return true
}

// signal passes a signal on to what runs; what waits is called off by it.
func (s *session) signal(name string) bool {
	if !signals[name] {
		s.c.refused("a signal that is on no list")
		return false
	}
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if running == nil {
		s.callOff(errCalled)
		return true
	}
	_, err := running.SendRequest("signal", false, putString(nil, name))
	return err == nil
}

// ask has a decided, and returns its permit, or why it may not run.
func (s *session) ask(a *action.Action, told func(gate.Held)) (gate.Permit, *gate.Denied) {
	return s.c.ask(s.hold, a, told)
}

// ask is for a wait that ends with hold.
func (c *conn) ask(hold context.Context, a *action.Action, told func(gate.Held)) (gate.Permit, *gate.Denied) {
	c.session.Describe(a)
	if a.Wait == 0 {
		a.Wait = c.g.cfg.Wait
	}
	p, err := c.session.Enforce(hold, a, gate.Hooks{Held: told})
	if hold.Err() != nil {
		if p != nil && err == nil {
			p.Done(gate.Outcome{State: gate.NotRun}) // permitted and called off in the same moment: nothing ran
		}
		err = context.Cause(hold)
	} else if err == nil && p != nil {
		return p, nil
	}
	return nil, refusal(err)
}

// refusal turns what Enforce said into what the client hears. Inner detail of an error stays inside.
func refusal(err error) *gate.Denied {
	var d *gate.Denied
	switch {
	case errors.As(err, &d):
		return d
	case errors.Is(err, errCalled):
		return &gate.Denied{Status: gate.StatusCanceled, Reason: "called off while waiting for a person", Hint: "the same command asked again finds its approval"}
	case errors.Is(err, errDraining):
		return &gate.Denied{Status: gate.StatusPending, Reason: "the gate is shutting down", Hint: "the same command asked again finds its approval"}
	case errors.Is(err, errCut):
		return &gate.Denied{Status: gate.StatusDenied, Reason: "the session was cut"}
	}
	return &gate.Denied{Status: gate.StatusNobody, Reason: "no decision could be reached", Hint: "try again later"}
}

// say writes a line of ours where the client's own errors go.
func (s *session) say(line string) {
	end := "\n"
	if s.pty != nil { // the client's terminal is raw
		end = "\r\n"
	}
	_, _ = fmt.Fprintf(s.ch.Stderr(), "assent: %s%s", line, end)
}

// held tells the client what it waits for.
func (s *session) held(h gate.Held) {
	text := "waiting for approval " + h.ID
	if h.Who != "" {
		text += " by " + h.Who
	}
	if !h.Expires.IsZero() {
		text += ", until " + h.Expires.UTC().Format("15:04 MST")
	}
	if h.URL != "" {
		text += "; see " + h.URL
	}
	s.say(text)
}

// refuse tells the client why nothing runs, and ends its channel.
func (s *session) refuse(d *gate.Denied) {
	s.say(deniedText(d))
	s.exit(exitOf(d))
}

func deniedText(d *gate.Denied) string {
	text := d.Status + ": " + d.Reason
	if d.Hint != "" {
		text += " (" + d.Hint + ")"
	}
	if d.ID != "" {
		text += "; approval " + d.ID
	}
	if d.URL != "" {
		text += ", see " + d.URL
	}
	return text
}

func exitOf(d *gate.Denied) uint32 {
	switch d.Status {
	case gate.StatusPending, gate.StatusCanceled, gate.StatusNobody:
		return exitPending
	case gate.StatusLost:
		return exitLost
	}
	return exitDenied
}

// exit ends the channel with a status of ours.
func (s *session) exit(status uint32) {
	s.finish("exit-status", binary.BigEndian.AppendUint32(nil, status))
}

// finish sends how it ended, once, and closes the channel.
func (s *session) finish(request string, payload []byte) {
	s.mu.Lock()
	first := !s.status
	s.status = true
	s.mu.Unlock()
	if first {
		_ = s.ch.CloseWrite()
		_, _ = s.ch.SendRequest(request, false, payload)
		_ = s.ch.Close()
	}
}
