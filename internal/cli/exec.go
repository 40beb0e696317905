package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/launch"
	"github.com/spf13/cobra"
)

// execution is what assent exec was told.
type execution struct {
	script    string
	wait      time.Duration
	quiet     bool
	noStdin   bool
	noPreview bool
	tokenFile string
	reason    string
	ticket    string
}

func (a *app) execCmd() *cobra.Command {
	x := &execution{}
	c := &cobra.Command{
		Use:   "exec [-c SCRIPT] [-- COMMAND [ARG...]]",
		Short: "Run a command once the server permits it",
		Long: `Ask the server whether a command may run here, wait for people where it says so,
and run it. The command is what stands after --, without a shell; or a bash
script after -c. Its exit status is this one's (128 and the number of a signal
that ended it), but for

  75  people have not decided yet: the same command asked again finds its approval
  77  denied
  69  the server can't be reached, so nothing ran
  78  there is no credential, or no server is named
  126, 127  the program can't be run, or isn't there

ASSENT_TOKEN or --token-file is the actor's credential.

This warns early. Whoever may run assent exec may run the command without it: an
agent that has a credential of its own is stopped by a gate before the system,
not by this.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if x.script != "" && len(args) > 0 {
				return usage(cmd, "a script after -c and a command after --: give one of them")
			}
			if x.script == "" && len(args) == 0 {
				return usage(cmd, "there is no command")
			}
			if cmd.ArgsLenAtDash() > 0 {
				return usage(cmd, "unexpected %q before --", args[0])
			}
			wait := x.wait
			if !cmd.Flags().Changed("wait") {
				wait = -1
			}
			return a.exec(cmd.Context(), x, args, wait)
		},
	}
	c.Flags().StringVarP(&x.script, "script", "c", "", "bash script to run instead of a command")
	c.Flags().DurationVar(&x.wait, "wait", 0, "how long to wait for people (default: until the approval expires; 0: not at all)")
	c.Flags().BoolVarP(&x.quiet, "quiet", "q", false, "say nothing while people are asked")
	c.Flags().BoolVar(&x.noStdin, "no-stdin", false, "the command reads nothing, whatever standard input is")
	c.Flags().BoolVar(&x.noPreview, "no-preview", false, "don't ask terraform or kubectl what the command would do")
	c.Flags().StringVar(&x.tokenFile, "token-file", "", "file that holds the actor's credential (default $ASSENT_TOKEN)")
	c.Flags().StringVar(&x.reason, "reason", "", "why, for those who review it")
	c.Flags().StringVar(&x.ticket, "ticket", "", "ticket, for those who review it")
	c.Flags().SetInterspersed(false)
	return c
}

// exec asks, waits, runs and tells.
func (a *app) exec(ctx context.Context, x *execution, argv []string, wait time.Duration) error {
	c, err := a.actorClient(x.tokenFile)
	if err != nil {
		return err
	}
	r := &launch.Request{
		Argv: argv, Script: x.script, Out: a.out, Err: a.err, Env: os.Environ(), NoPreview: x.noPreview,
		Claims: client.CommandContext{Reason: x.reason, Ticket: x.ticket, Session: os.Getenv("ASSENT_SESSION"), Parent: os.Getenv("ASSENT_PARENT")},
	}
	if in, ok := a.in.(*os.File); ok && !x.noStdin {
		r.In = in
	}
	defer r.Close()
	out, remove, err := a.execOutgoing(ctx, c, x)
	if err != nil {
		return err
	}
	defer remove()
	for range maxChanges {
		status, again, err := a.execOnce(ctx, c, r, x, wait, out)
		if again {
			continue
		}
		if err != nil {
			return err
		}
		return ended(status)
	}
	return failf(exitDenied, "what the command names changes while it waits: nothing ran")
}

// maxChanges is how often a command is asked for anew because a file of it changed.
const maxChanges = 3

// execOutgoing are the variables of the server's gate of outgoing HTTP. The command is
// not described by them: they are as new each time as the files that they name.
func (a *app) execOutgoing(ctx context.Context, c *client.Client, x *execution) (set []string, remove func(), err error) {
	token, err := actorToken(x.tokenFile)
	if err != nil {
		return nil, nil, err
	}
	found, err := c.Environment(ctx)
	if err != nil {
		return nil, nil, notPermitted(ctx, err)
	}
	return outgoing(found, token)
}

// execOnce runs the command with these variables besides, or says that something changed
// under it and it is to be asked for again.
func (a *app) execOnce(ctx context.Context, c *client.Client, r *launch.Request, x *execution, wait time.Duration, out []string) (status int, again bool, err error) {
	p, err := launch.Prepare(ctx, r)
	if err != nil {
		return 0, false, notPrepared(err)
	}
	defer p.Close()
	answer, err := p.Ask(ctx, c, wait, func(w *launch.Waiting) { a.tellWaiting(x, w) })
	if err != nil {
		return 0, false, notPermitted(ctx, err)
	}
	p.LeadsTo(answer.Run)
	p.Outgoing(out)
	result, err := p.Run(answer.Masks)
	// The command ran, whatever became of us: the server is told.
	tell, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if terr := c.EndRun(tell, answer.Run, result.Outcome()); terr != nil && !x.quiet {
		fmt.Fprintln(a.err, "assent: the server was not told how it ended:", printable(terr.Error()))
	}
	var changed *launch.ChangedError
	switch {
	case errors.As(err, &changed):
		fmt.Fprintf(a.err, "assent: %s changed meanwhile, so it is asked for again\n", printable(changed.Path))
		return 0, true, nil
	case err != nil:
		return 0, false, notPrepared(err)
	}
	return result.Status(), false, nil
}

// ended is the exit status of a command, without a word of ours.
func ended(status int) error {
	if status == 0 {
		return nil
	}
	return &exitError{status: status}
}

// actorClient talks to the server as an actor.
func (a *app) actorClient(tokenFile string) (*client.Client, error) {
	token, err := actorToken(tokenFile)
	if err != nil {
		return nil, err
	}
	c, err := client.New(a.server(), token, traced{})
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	return c, nil
}

// actorToken is the actor's credential.
func actorToken(file string) (string, error) {
	token := os.Getenv("ASSENT_TOKEN")
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", failf(exitConfig, "reading the credential: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	if token == "" {
		return "", failf(exitConfig, "no credential: set ASSENT_TOKEN to the actor's token, or name a file with --token-file (an operator makes one with assent token mint --actor NAME)")
	}
	return token, nil
}

func notPrepared(err error) error {
	var missing *launch.NotFoundError
	var changed *launch.ChangedError
	switch {
	case errors.As(err, &missing):
		return &exitError{missing.Status, err}
	case errors.As(err, &changed):
		return failf(exitDenied, "%w: nothing ran", err)
	case errors.Is(err, context.Canceled):
		return failf(130, "interrupted: nothing ran")
	}
	return err
}

func notPermitted(ctx context.Context, err error) error {
	var p *client.Error
	switch {
	case ctx.Err() != nil:
		return failf(130, "interrupted: nothing ran")
	case errors.Is(err, launch.ErrPending):
		return failf(exitPending, "%w: nothing ran. The same command asked again finds its approval", err)
	case errors.As(err, &p) && p.Status < 500:
		text := p.Detail
		if p.URL != "" {
			text += "\n  " + p.URL
		}
		status := exitDenied
		if p.Status == 400 || p.Status == 404 || p.Status == 413 || p.Status == 422 {
			status, text = exitUsage, p.Error()
		}
		return failf(status, "%s", text)
	}
	return failf(exitAway, "%w\n  nothing ran: without an answer there is no permission", err)
}

// tellWaiting says on standard error what the command waits for.
func (a *app) tellWaiting(x *execution, w *launch.Waiting) {
	switch {
	case x.quiet:
	case a.json:
		line := struct {
			State string `json:"state"`
			*launch.Waiting
		}{"pending", w}
		to := &app{out: a.err}
		_ = to.printLine(line) // nobody reads it
	default:
		_, _ = io.WriteString(a.err, fmt.Sprintf("assent: waiting for %s, until %s\n  %s\n", inline(w.Who), w.Expires.Local().Format("15:04:05"), inline(w.URL)))
	}
}
