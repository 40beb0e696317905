// Package cli is the command line: one file a command, each thin over the
// package that does the work. Output is for people on a terminal and JSON with
// --json; what went wrong goes to standard error and into the exit status.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

// Exit statuses. docs/cli.md lists them; scripts may rely on them.
const (
	exitOK       = 0
	exitFailed   = 1  // it did not work
	exitUsage    = 2  // the command line, configuration or policy is wrong
	exitNotFound = 4  // no such approval, record or token
	exitPending  = 75 // EX_TEMPFAIL of sysexits.h: people have not decided yet
	exitDenied   = 77 // EX_NOPERM: denied, or you may not do this
)

// exitError carries an exit status with an error.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func failf(status int, format string, args ...any) error {
	return &exitError{status, fmt.Errorf(format, args...)}
}

// app is what every command works with.
type app struct {
	in       io.Reader
	out, err io.Writer
	json     bool
	url      string
	data     string
}

// Main runs one command and returns the exit status.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{in: in, out: out, err: errw}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	status := exitFailed
	var e *exitError
	var p *client.Error
	switch {
	case errors.As(err, &e):
		status = e.status
	case errors.As(err, &p) && p.Status == 404:
		status = exitNotFound
	case errors.As(err, &p) && (p.Status == 401 || p.Status == 403):
		status = exitDenied
	case isUsage(err):
		status = exitUsage
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintln(errw, "assent:", msg)
	}
	return status
}

// isUsage tells cobra's own complaints, which have no type.
func isUsage(err error) bool {
	for _, s := range []string{"unknown command", "unknown flag", "unknown shorthand", "accepts ", "requires ", "flag needs", "invalid argument", "required flag"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "assent",
		Short: "Approval, masking and a verifiable log between agents and the systems they act on",
		Long: `Assent stands between agents and the systems they act on. Harmless things
flow, sensitive values are masked, and what matters pauses until the right
person says yes.

  assent demo                     see it work, nothing to configure
  assent serve --config FILE      run it
  assent list                     what waits for people

ASSENT_URL (default http://127.0.0.1:8720) and ASSENT_TOKEN say which server
and who you are.`,
		SilenceUsage: true, SilenceErrors: true,
		Version: Version(),
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	root.PersistentFlags().StringVar(&a.url, "url", "", "server to talk to (default $ASSENT_URL or http://127.0.0.1:8720)")
	root.PersistentFlags().StringVar(&a.data, "data", "./assent-data", "data directory of a server on this machine")
	root.AddCommand(
		a.serveCmd(), a.demoCmd(),
		a.listCmd(), a.showCmd(), a.reviewCmd("approve"), a.reviewCmd("deny"), a.tailCmd(),
		a.verifyCmd(), a.policyCmd(), a.tokenCmd(), a.doctorCmd(), a.classifyCmd(), a.configCmd(),
	)
	return root
}

// Version is the module's version as the build recorded it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// client talks to the configured server as the caller. Commands that only read
// or administer may fall back to the credential a server beside leaves in its
// data directory; reviewing never does.
func (a *app) client(operator bool) (*client.Client, error) {
	url, token := a.url, os.Getenv("ASSENT_TOKEN")
	if url == "" {
		url = os.Getenv("ASSENT_URL")
	}
	if token == "" && operator {
		o, err := server.ReadOperator(a.data)
		if err != nil {
			return nil, failf(exitUsage, "no credential: set ASSENT_TOKEN, or name a running server's data directory with --data (%w)", err)
		}
		token = o.Token
		if url == "" {
			url = o.URL
		}
	}
	if token == "" {
		return nil, failf(exitUsage, "no credential: set ASSENT_TOKEN to a reviewer's token (an operator makes one with assent token mint --person NAME --scope review)")
	}
	if url == "" {
		url = "http://127.0.0.1:8720"
	}
	c, err := client.New(url, token, nil)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return c, nil
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// printable makes text from elsewhere safe for a terminal: no control
// characters, no escape sequences, no bidirectional tricks.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u061c' || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff || r >= 0xe0000 && r <= 0xe007f:
			fmt.Fprintf(&b, "\\u{%x}", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// ago says how long since t, as people say it.
func ago(t, now time.Time) string { return span(now.Sub(t)) + " ago" }

func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
