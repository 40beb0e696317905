package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/command"
)

// maxCommand bounds a question about a command: its text, scripts, standard input and
// preview, as JSON, in bytes.
const maxCommand = 8 << 20

// Commands decides about commands that askers run on their own machines.
type Commands interface {
	Ask(ctx context.Context, q *command.Asking) (*command.Answer, error)
	Output(credential, run, text string) (masked string, ok bool, err error)
	End(credential, run string, e command.End) bool
}

// A CommandQuestion is a command that the asker's machine would run. All of it is a claim.
type CommandQuestion struct {
	Argv   []string `json:"argv,omitempty" maxItems:"65536" doc:"A program and its arguments, without a shell. Either this or script"`
	Script string   `json:"script,omitempty" doc:"Bash source"`

	Dir  string `json:"dir" maxLength:"4096" doc:"Working directory"`
	Home string `json:"home,omitempty" maxLength:"4096"`
	Host string `json:"host" maxLength:"253"`
	User string `json:"user" maxLength:"256"`

	Binary  *CommandFile    `json:"binary,omitempty" doc:"The program that was found, or the shell of a script"`
	Files   []CommandFile   `json:"files,omitempty" maxItems:"64" doc:"Scripts and manifests that arguments name"`
	Stdin   *CommandStdin   `json:"stdin,omitempty" doc:"Missing: there is none"`
	Env     *CommandEnv     `json:"env,omitempty"`
	Preview *CommandPreview `json:"preview,omitempty" doc:"What the asker's own tool says that it would do. People see it as a claim"`
	Context *CommandContext `json:"context,omitempty"`

	Wait int  `json:"wait,omitempty" minimum:"0" maximum:"50" doc:"Seconds to wait for people"`
	More bool `json:"more,omitempty" doc:"The same is asked again at once when the wait ends"`
}

// A CommandContext is the asker's own words.
type CommandContext struct {
	Reason  string `json:"reason,omitempty" maxLength:"2000" doc:"A claim, shown to reviewers as such"`
	Ticket  string `json:"ticket,omitempty" maxLength:"200" doc:"A claim"`
	Session string `json:"session,omitempty" maxLength:"200" doc:"A claim"`
	Intent  string `json:"intent,omitempty" maxLength:"2000" doc:"A claim"`
	Parent  string `json:"parent,omitempty" maxLength:"200" doc:"A claim: the command or tool call that this one comes from"`
}

// A CommandFile is a file as it was when the command was asked for.
type CommandFile struct {
	Path    string  `json:"path" maxLength:"4096"`
	SHA256  string  `json:"sha256" pattern:"^[0-9a-f]{64}$"`
	Content *string `json:"content,omitempty" maxLength:"1048576" doc:"Text of at most 1 MiB: it is classified"`
}

// A CommandStdin is what the command reads.
type CommandStdin struct {
	SHA256  string  `json:"sha256,omitempty" pattern:"^([0-9a-f]{64})?$"`
	Bytes   int64   `json:"bytes,omitempty" minimum:"0"`
	Content *string `json:"content,omitempty" maxLength:"1048576"`
	Live    bool    `json:"live,omitempty" doc:"A terminal or an open stream: nobody knows it before the command runs"`
}

// A CommandEnv is what matters of the environment.
type CommandEnv struct {
	Names  []string `json:"names,omitempty" maxItems:"1024" doc:"Of its variables, those that change what a command does"`
	Digest string   `json:"digest,omitempty" maxLength:"128" doc:"Of their values, under a key that stays on the machine"`
}

// A CommandPreview is what a tool said.
type CommandPreview struct {
	Tool     string    `json:"tool" enum:"terraform,tofu,kubectl"`
	Creates  *int64    `json:"creates,omitempty" minimum:"0"`
	Changes  *int64    `json:"changes,omitempty" minimum:"0"`
	Destroys *int64    `json:"destroys,omitempty" minimum:"0"`
	Detail   string    `json:"detail,omitempty" maxLength:"262144"`
	Digest   string    `json:"digest,omitempty" maxLength:"128"`
	Why      string    `json:"why,omitempty" maxLength:"500" doc:"Why there is none"`
	Time     time.Time `json:"time"`
}

// A CommandAnswer permits one run, or says what the command waits for.
type CommandAnswer struct {
	Run     string            `json:"run,omitempty" doc:"A secret: with it the same credential masks what the command prints, and tells how it ended"`
	Masks   map[string]string `json:"masks,omitempty" doc:"What must be masked in what it prints: class to method"`
	Pending *CommandPending   `json:"pending,omitempty"`
}

// A CommandPending is what a command waits for. The same command asked again finds it.
type CommandPending struct {
	Approval string    `json:"approval"`
	URL      string    `json:"url"`
	Who      string    `json:"who" doc:"Who can review"`
	Expires  time.Time `json:"expires"`
}

type askCommandIn struct{ Body CommandQuestion }

type commandOut struct {
	Status int
	Body   CommandAnswer
}

func (s *server) askCommand(ctx context.Context, in *askCommandIn) (*commandOut, error) {
	c := callerOf(ctx)
	if s.Commands == nil || c.Asker == nil || len(c.Asker.Chain) == 0 {
		return nil, noCommands()
	}
	patient(ctx)
	b := &in.Body
	cmd := b.command()
	cmd.Claims.Trace = infoOf(ctx).trace
	got, err := s.Commands.Ask(ctx, &command.Asking{
		Actor: c.Asker.Chain[0].ID, Bearer: infoOf(ctx).bearer, Address: infoOf(ctx).remote,
		Command: cmd, Wait: time.Duration(b.Wait) * time.Second, More: b.More,
	})
	var pending *command.PendingError
	switch {
	case errors.As(err, &pending):
		h := pending.Held
		return &commandOut{Status: http.StatusAccepted, Body: CommandAnswer{Pending: &CommandPending{Approval: h.ID, URL: h.URL, Who: h.Who, Expires: h.Expires.UTC()}}}, nil
	case errors.Is(err, command.ErrNoGate):
		return nil, noCommands()
	case err != nil:
		return nil, deniedProblem(err)
	}
	return &commandOut{Status: http.StatusOK, Body: CommandAnswer{Run: got.Run, Masks: got.Masks}}, nil
}

func noCommands() *Problem {
	return problem(http.StatusForbidden, "no-gate", "No gate takes this actor's commands. An administrator adds one of type command.")
}

// deniedProblem is a refusal as its asker hears it; of other errors it is err.
func deniedProblem(err error) error {
	var d *gate.Denied
	if !errors.As(err, &d) {
		return err
	}
	status, slug := http.StatusForbidden, "denied"
	switch d.Status {
	case gate.StatusNobody:
		status, slug = http.StatusServiceUnavailable, "undecided"
	case gate.StatusUnreadable:
		status, slug = http.StatusUnprocessableEntity, "invalid"
	case gate.StatusPending:
		status, slug = http.StatusConflict, "again"
	case gate.StatusExpired, gate.StatusLimit:
		slug = d.Status
	}
	p := problem(status, slug, d.Reason)
	if d.Hint != "" {
		p.Detail += ": " + d.Hint
	}
	p.Approval, p.URL = d.ID, d.URL
	return p
}

// command is the question as its gate reads it.
func (q *CommandQuestion) command() *command.Command {
	c := &command.Command{Argv: q.Argv, Script: q.Script, Dir: q.Dir, Home: q.Home, Host: q.Host, User: q.User}
	if q.Binary != nil {
		c.Binary = q.Binary.file()
	}
	for i := range q.Files {
		c.Files = append(c.Files, q.Files[i].file())
	}
	if in := q.Stdin; in != nil {
		c.Stdin = command.Stdin{Digest: in.SHA256, Bytes: in.Bytes, Live: in.Live}
		if in.Content != nil {
			c.Stdin.Content, c.Stdin.Sent = *in.Content, true
		}
	}
	if q.Env != nil {
		c.Env = command.Env{Names: q.Env.Names, Digest: q.Env.Digest}
	}
	if p := q.Preview; p != nil {
		c.Preview = &command.Preview{Tool: p.Tool, Creates: said(p.Creates), Changes: said(p.Changes), Destroys: said(p.Destroys), Detail: p.Detail, Digest: p.Digest, Why: p.Why, Time: p.Time}
	}
	if w := q.Context; w != nil {
		c.Claims = action.Claims{Reason: w.Reason, Ticket: w.Ticket, Session: w.Session, Intent: w.Intent, Parent: w.Parent}
	}
	return c
}

func said(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

func (f *CommandFile) file() command.File {
	out := command.File{Path: f.Path, Digest: f.SHA256}
	if f.Content != nil {
		out.Content, out.Sent = *f.Content, true
	}
	return out
}

// Output is a piece of text that a run printed.
type Output struct {
	Text string `json:"text" maxLength:"524288" doc:"Whole lines: what a cut divides is not found"`
}

type outputIn struct {
	Run  string `path:"run" maxLength:"64" pattern:"^run_[0-9A-Z]+$"`
	Body Output
}

type outputOut struct{ Body Output }

func (s *server) maskOutput(ctx context.Context, in *outputIn) (*outputOut, error) {
	if s.Commands == nil {
		return nil, noRun()
	}
	text, ok, err := s.Commands.Output(callerOf(ctx).Token, in.Run, in.Body.Text)
	switch {
	case !ok:
		return nil, noRun()
	case err != nil:
		return nil, deniedProblem(err)
	}
	return &outputOut{Body: Output{text}}, nil
}

func noRun() *Problem {
	return problem(http.StatusNotFound, "not-found", "This credential has no such run, or it has ended.")
}

// A RunOutcome is how a command ended.
type RunOutcome struct {
	Ran    bool   `json:"ran" doc:"false: it was never started"`
	Exit   int    `json:"exit,omitempty" minimum:"0" maximum:"255"`
	Signal string `json:"signal,omitempty" maxLength:"16" pattern:"^[A-Z0-9]*$" doc:"What ended it: KILL"`
	Bytes  int64  `json:"bytes,omitempty" minimum:"0" doc:"It printed"`
	Millis int64  `json:"millis,omitempty" minimum:"0" doc:"It took"`
}

type endRunIn struct {
	Run  string `path:"run" maxLength:"64" pattern:"^run_[0-9A-Z]+$"`
	Body RunOutcome
}

func (s *server) endRun(ctx context.Context, in *endRunIn) (*nothing, error) {
	b := &in.Body
	if s.Commands == nil || !s.Commands.End(callerOf(ctx).Token, in.Run, command.End{Ran: b.Ran, Exit: b.Exit, Signal: b.Signal, Bytes: b.Bytes, Took: time.Duration(b.Millis) * time.Millisecond}) {
		return nil, noRun()
	}
	return nil, nil
}
