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
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf16"

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
	exitAway     = 69 // EX_UNAVAILABLE: the server can't be reached
	exitPending  = 75 // EX_TEMPFAIL of sysexits.h: people have not decided yet
	exitDenied   = 77 // EX_NOPERM: denied, or you may not do this
	exitConfig   = 78 // EX_CONFIG: no credential, or no server, to ask with
)

// exitError carries an exit status with an error; without one, nothing is said.
type exitError struct {
	status int
	err    error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}
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
	loggedIn bool // by assent login: reads, and never reviews
}

// Main runs one command and returns the exit status.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what doesn't heed the first
	a := &app{in: in, out: out, err: errw}
	if status, ok := a.hook(ctx, args); ok {
		return status
	}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var silent *exitError
	if errors.As(err, &silent) && silent.err == nil {
		return silent.status
	}
	// What a server says may quote what an agent wrote.
	fmt.Fprintln(errw, "assent:", printable(err.Error()))
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		fmt.Fprintln(errw, "  is assent serve running? ASSENT_URL or --url names another server")
	}
	return statusOf(err)
}

// statusOf maps an error to an exit status: the one place that does.
func statusOf(err error) int {
	var e *exitError
	var p *client.Error
	switch {
	case errors.As(err, &e):
		return e.status
	case errors.As(err, &p) && p.Status == 404:
		return exitNotFound
	case errors.As(err, &p) && (p.Status == 400 || p.Status == 422):
		return exitUsage
	case errors.As(err, &p) && (p.Status == 401 || p.Status == 403):
		return exitDenied
	}
	return exitFailed
}

// usage is an error about the command line of c.
func usage(c *cobra.Command, format string, args ...any) error {
	return failf(exitUsage, "%s\n  %s --help says how it is used", fmt.Sprintf(format, args...), c.CommandPath())
}

// exactly takes one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) > len(names):
			return usage(c, "unexpected %q", args[len(names)])
		case len(args) < len(names):
			return usage(c, "%s is missing", names[len(args)])
		}
		return nil
	}
}

// atLeast takes one argument of the name or more.
func atLeast(name string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(c, "%s is missing", name)
		}
		return nil
	}
}

// group makes c a command of commands: alone it shows its help, and a word it
// doesn't know is an error (cobra shows the help of a subcommand instead, with status 0).
func group(c *cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			return usage(c, "there is no command %q; did you mean %s?", args[0], strings.Join(near, " or "))
		}
		return usage(c, "there is no command %q", args[0])
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.SuggestionsMinimumDistance = 2
	return c
}

func (a *app) root() *cobra.Command {
	root := group(&cobra.Command{
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
	})
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%v", err) })
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	root.PersistentFlags().StringVar(&a.url, "url", "", "server to talk to (default $ASSENT_URL or http://127.0.0.1:8720)")
	root.PersistentFlags().StringVar(&a.data, "data", "./assent-data", "data directory of a server on this machine")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		a.serveCmd(), a.gateCmd(), a.healthCmd(), a.witnessCmd(), a.connectorCmd(), a.demoCmd(),
		a.listCmd(), a.showCmd(), a.reviewCmd("approve"), a.reviewCmd("deny"), a.askCmd(), a.answerCmd(), a.reviewersCmd(), a.withdrawCmd(), a.tailCmd(), a.logCmd(), a.wordsCmd(),
		a.verifyCmd(), a.fsckCmd(), a.evidenceCmd(), a.backupCmd(), a.restoreCmd(), a.keysCmd(), a.migrateCmd(), a.policyCmd(), a.tokenCmd(), a.actorsCmd(), a.loginCmd(), a.logoutCmd(), a.whoamiCmd(), a.sessionsCmd(), a.accountsCmd(), a.standInCmd(), a.passkeysCmd(), a.doctorCmd(), a.classifyCmd(), a.configCmd(),
	)
	root.AddCommand(a.freezeCmd(), a.thawCmd(), a.grantsCmd(), a.emergencyCmd(), a.vaultCmd(), a.groupsCmd(), a.personCmd(), a.onCallCmd(), a.settingsCmd(), a.slackCmd(), a.teamsCmd())
	root.AddCommand(a.channelsCmd(), a.inboxCmd(), a.mcpCmd(), a.toolsCmd(), a.hookCmd())
	root.AddCommand(a.sshCmd(), a.execCmd(), a.runCmd(), a.recordingsCmd(), a.mapCmd())
	root.AddCommand(a.awsCmd())
	root.AddCommand(a.kubernetesCmd())
	root.AddCommand(a.egressCmd(), a.detectCmd())
	root.AddCommand(a.scanCmd(), a.maskCmd())
	return root
}

// Version is the module's version as the build recorded it.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// server is the address of the one that is meant.
func (a *app) server() string {
	switch env := os.Getenv("ASSENT_URL"); {
	case a.url != "":
		return strings.TrimSuffix(a.url, "/")
	case env != "":
		return strings.TrimSuffix(env, "/")
	}
	return "http://127.0.0.1:8720"
}

// client talks to the configured server as the caller. Commands that only read
// or administer may fall back to the credential a server beside leaves in its
// data directory; reviewing never does.
func (a *app) client(operator bool) (*client.Client, error) {
	url, token := a.server(), os.Getenv("ASSENT_TOKEN")
	var way http.RoundTripper
	if token == "" && operator {
		o, err := server.ReadOperator(a.data)
		if err == nil {
			token = o.Token
			if a.url == "" && os.Getenv("ASSENT_URL") == "" {
				url = o.URL
				if way, err = o.Transport(); err != nil {
					return nil, &exitError{exitFailed, err}
				}
			}
		} else if _, ok := stored(url); !ok {
			return nil, failf(exitUsage, "no credential: set ASSENT_TOKEN, or name a running server's data directory with --data, or read with assent login (%w)", err)
		}
	}
	if token == "" {
		l, ok := stored(url)
		if !ok {
			return nil, failf(exitUsage, "no credential: set ASSENT_TOKEN to a reviewer's token (an operator makes one with assent token mint --person NAME --scope review), or log in with assent login to read")
		}
		token, a.loggedIn = l.Token, true
	}
	c, err := client.New(url, token, way)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return c, nil
}

// printJSON prints one indented document.
func (a *app) printJSON(v any) error { return a.encode(v, "  ") }

// printLine prints one line of JSON lines.
func (a *app) printLine(v any) error { return a.encode(v, "") }

func (a *app) encode(v any, indent string) error {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	_, err := io.WriteString(a.out, asciiControls(b.String()))
	return err
}

// asciiControls escapes what a terminal might act on in JSON: encoding/json
// leaves C1 controls, bidirectional and invisible characters as they are. In
// JSON such a character stands in a string only, so that the text means the same.
func asciiControls(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\n' || visible(r) {
			b.WriteRune(r)
			continue
		}
		for _, u := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, "\\u%04x", u)
		}
	}
	return b.String()
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// printable makes text from elsewhere safe for a terminal: no control
// characters, no escape sequences, nothing invisible, no bidirectional tricks.
// Line breaks and tabs stay; where text must keep to its line, use inline.
func printable(s string) string { return escaped(s, "\n\t") }

// inline is printable for text that stands in the middle of a line of ours: a
// line break in it would let it write lines that look like ours.
func inline(s string) string { return escaped(s, "") }

func escaped(s, keep string) string {
	var b strings.Builder
	for _, r := range s {
		if visible(r) || strings.ContainsRune(keep, r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u{%x}", r)
		}
	}
	return b.String()
}

// visible reports whether r shows as itself: letters, marks, digits,
// punctuation, symbols and the plain space, without those that a terminal
// shows as nothing at all.
func visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// count is "1 gate", "2 gates".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// ago says how long since t, as people say it.
func ago(t, now time.Time) string { return span(now.Sub(t)) + " ago" }

func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(max(-d, -(d+1))) // the most negative duration has no negative
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
