package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/shell"
	gossh "golang.org/x/crypto/ssh"
)

// exec has a command decided, and runs it.
func (s *session) exec(text string) {
	a := s.command(text)
	if s.pty != nil {
		s.terminal(a, "exec", text)
		return
	}
	permit, denied := s.ask(a, s.held)
	if denied != nil {
		s.refuse(denied)
		return
	}
	r := &run{s: s, out: &output{permit: permit, raw: a.Data.Unscanned, release: func() error { return s.release(permit, a) }}}
	s.runAt(permit, r, "exec", putString(nil, text))
}

// command is the action of running text by the login shell of the host. It is
// never routine: what lies there is not the asker's own working copy.
func (s *session) command(text string) *action.Action {
	env := map[string]string{}
	for _, v := range s.env {
		env[v.name] = v.value
	}
	an := shell.Script(text, shell.Context{Dir: s.c.host.home(), Home: s.c.host.home(), Env: env})
	a := &action.Action{
		Kinds: an.Kinds, Verb: an.Verb, Target: an.Target, Title: an.Title, Shape: an.Shape,
		Reversible: an.Reversible, Payload: []byte(text), Statement: text,
		State: s.state("exec"), Objects: append(an.Reads, an.Writes...),
	}
	if len(a.Kinds) == 0 && an.Harmless != "" {
		a.Kinds = []action.Kind{action.DataRead} // it runs on a host, so it is asked for
	}
	if len(a.Kinds) == 0 {
		a.Kinds = []action.Kind{action.Unknown}
	}
	if a.Verb == "" {
		a.Verb = "run"
	}
	if a.Title == "" {
		a.Title = "run a command"
	}
	a.Title += s.where()
	for i := len(s.env) - 1; i >= 0; i-- {
		a.Statement = "# " + s.env[i].name + "=" + s.env[i].value + "\n" + a.Statement
	}
	if len(an.Hosts) > 0 && slices.Contains(a.Kinds, action.DataExport) {
		a.Data.Destination = strings.Join(an.Hosts, " ")
	}
	if transfers(an) {
		a.Data.Unscanned = true // what it writes is a protocol of its own
	}
	return a
}

// where says on cards which account it is.
func (s *session) where() string { return s.c.where() }

func (c *conn) where() string { return " (as " + c.host.User + " on " + c.host.Name + ")" }

// state is what gives a request its meaning beside its bytes.
func (s *session) state(by string) map[string]string {
	state := s.c.state(by)
	for _, v := range s.env {
		state["env."+v.name] = v.value
	}
	return state
}

func (c *conn) state(by string) map[string]string {
	return map[string]string{"by": by, "host": c.host.Name, "address": c.host.Address, "user": c.host.User}
}

// transfers says that a command speaks a protocol of its own with the client, in
// which not a byte can be replaced.
func transfers(an shell.Analysis) bool {
	for _, c := range an.Commands {
		if len(c.Argv) == 0 {
			continue
		}
		name := c.Argv[0][strings.LastIndexByte(c.Argv[0], '/')+1:]
		switch {
		case name == "git-upload-pack", name == "git-receive-pack", name == "git-upload-archive",
			name == "rsync" && len(c.Argv) > 1 && c.Argv[1] == "--server",
			name == "scp" && (hasFlag(c.Argv, 'f') || hasFlag(c.Argv, 't')):
			return true
		}
	}
	return false
}

func hasFlag(argv []string, flag byte) bool {
	for _, w := range argv[1:] {
		if len(w) > 1 && w[0] == '-' && w[1] != '-' && strings.IndexByte(w[1:], flag) >= 0 {
			return true
		}
	}
	return false
}

// release asks whether output that can't be scanned may pass. Who approved a
// command was told that such output passes as it is.
func (s *session) release(permit gate.Permit, a *action.Action) error {
	if g, ok := permit.(interface{ Grant() string }); ok && g.Grant() != "" {
		return nil
	}
	b := *a
	b.Kinds, b.Verb, b.Routine, b.Data = []action.Kind{action.DataRead}, "show", false, action.Data{Unscanned: true}
	b.Title = "show output that is not text, of " + a.Title
	b.State = maps.Clone(a.State)
	b.State["output"] = "not text"
	p, denied := s.ask(&b, s.held)
	if denied != nil {
		return denied
	}
	p.Done(gate.Outcome{State: gate.Executed})
	return nil
}

// A run is one thing that a host does for a session.
type run struct {
	s     *session
	up    gossh.Channel
	out   passer
	ended chan exit // how the host says that it ended
	// before is sent ahead of the request, after is told how it ended; both may be nil.
	before func(up gossh.Channel) error
	after  func(*gate.Outcome)
}

// A passer passes on what a host sends. Its two streams share it.
type passer interface {
	copy(to io.Writer, from io.Reader) error
	counted() (rows, bytes int64)
}

// exit is an exit-status or exit-signal request of the host.
type exit struct {
	request string
	payload []byte
}

// runAt sends one request to the host and passes on what comes back.
func (s *session) runAt(permit gate.Permit, r *run, request string, payload []byte) {
	began := time.Now()
	done := func(o gate.Outcome) {
		o.Duration = time.Since(began)
		if r.after != nil {
			r.after(&o)
		}
		permit.Done(o)
	}
	err := s.open(r)
	if err == nil && r.before != nil {
		if err = r.before(r.up); err != nil {
			_ = r.up.Close()
		}
	}
	if err != nil {
		done(gate.Outcome{State: gate.NotRun})
		s.refuse(&gate.Denied{Status: gate.StatusNobody, Reason: err.Error(), Hint: "it did not run"})
		return
	}
	defer func() { _ = r.up.Close() }()
	switch ok, err := r.up.SendRequest(request, true, payload); {
	case err != nil:
		done(gate.Outcome{State: gate.Unknown})
		s.refuse(lostRun())
		return
	case !ok:
		done(gate.Outcome{State: gate.NotRun, Code: "refused by the host"})
		s.refuse(&gate.Denied{Status: gate.StatusDenied, Reason: "the host refused to run it"})
		return
	}
	s.setRunning(r.up)
	defer s.setRunning(nil)
	how, err := r.copy()
	done(r.outcome(how, err))
	var limit *gate.Denied
	switch {
	case errors.As(err, &limit):
		s.refuse(limit)
	case how.request == "":
		s.refuse(lostRun())
	default:
		s.finish(how.request, how.payload)
	}
}

func lostRun() *gate.Denied {
	return &gate.Denied{Status: gate.StatusLost, Reason: "the connection to the host was lost; whether it ran is unknown"}
}

// open opens a channel at the host, with the variables that were judged.
func (s *session) open(r *run) error {
	select {
	case <-s.c.session.Cut():
		return errCut
	default:
	}
	if s.run.Err() != nil {
		return context.Cause(s.run)
	}
	host, err := s.c.upstream()
	if err != nil {
		return err
	}
	up, requests, err := host.OpenChannel("session", nil)
	if err != nil {
		return fmt.Errorf("host %s opened no session", s.c.host.Name)
	}
	r.s, r.up, r.ended = s, up, make(chan exit, 1)
	go r.watch(requests)
	for _, v := range s.env {
		// Without an answer, as clients do: which variables a host takes is its own matter.
		if _, err := up.SendRequest("env", false, putString(putString(nil, v.name), v.value)); err != nil {
			_ = up.Close()
			return fmt.Errorf("host %s ended the session", s.c.host.Name)
		}
	}
	return nil
}

func (s *session) setRunning(up gossh.Channel) {
	s.mu.Lock()
	s.running = up
	s.mu.Unlock()
}

// watch keeps how the host says that it ended.
func (r *run) watch(requests <-chan *gossh.Request) {
	var how exit
	answerNo(requests, func(q *gossh.Request) {
		switch {
		case how.request != "": // the first counts
		case q.Type == "exit-status" && len(q.Payload) == 4:
			how = exit{q.Type, q.Payload}
		case q.Type == "exit-signal" && signalOf(q.Payload) != "":
			// Without what the host says of it, which nobody has masked.
			how = exit{q.Type, putString(putString(append(putString(nil, signalOf(q.Payload)), 0), ""), "")}
		}
	})
	r.ended <- how
}

// copy passes standard input, output and errors on until the host ends the channel.
func (r *run) copy() (exit, error) {
	s := r.s
	s.work.Go(func() { // ends with the client's channel
		_, err := io.Copy(r.up, s.ch)
		if err == nil {
			_ = r.up.CloseWrite()
		}
	})
	stopped := context.AfterFunc(s.run, func() { _ = r.up.Close() })
	defer stopped()
	var group sync.WaitGroup
	var errs [2]error
	for i, pipe := range []struct {
		to   io.Writer
		from io.Reader
	}{{s.ch, r.up}, {s.ch.Stderr(), r.up.Stderr()}} {
		group.Go(func() {
			defer s.c.guard()
			if errs[i] = r.out.copy(pipe.to, pipe.from); errs[i] != nil {
				_ = r.up.Close() // what runs is told that nobody reads
			}
		})
	}
	group.Wait()
	err := errors.Join(errs[0], errs[1])
	if err != nil {
		return exit{}, err
	}
	select {
	case how := <-r.ended:
		return how, nil
	case <-s.run.Done():
		return exit{}, context.Cause(s.run)
	}
}

// outcome is how the record says that it ended.
func (r *run) outcome(how exit, err error) gate.Outcome {
	rows, bytes := r.out.counted()
	o := gate.Outcome{State: gate.Unknown, Rows: rows, Bytes: bytes}
	var limit *gate.Denied
	switch {
	case errors.As(err, &limit):
		o.State, o.Code = gate.Failed, limit.Status
	case how.request == "exit-status":
		o.State = gate.Executed
		if code := statusOf(how.payload); code != 0 {
			o.State, o.Code = gate.Failed, fmt.Sprintf("exit %d", code)
		}
	case how.request == "exit-signal":
		o.State, o.Code = gate.Failed, "signal "+signalOf(how.payload)
	}
	return o
}
