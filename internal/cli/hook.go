package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/gates/hook"
	"github.com/assenthq/assent/internal/trace"
	"github.com/spf13/cobra"
)

const (
	// hookWait is how long a call is held unless --wait says otherwise: less than
	// the 600 seconds after which the agents give a hook up.
	hookWait = 570 * time.Second
	// hookSlice is how long one request waits where proxies may stand between.
	hookSlice = 50 * time.Second
	// hookAnswer is the longest answer that is passed on.
	hookAnswer = 4 * hook.MaxBody
)

// exitBlocked is the status by which every agent that is known here blocks a call.
const exitBlocked = 2

// hook runs assent hook AGENT: what the agent's hook says on standard input goes to
// the server, and the server's answer to standard output, and nothing else. It
// stands before all other commands, since it is started for each call of a tool.
// ok is false where the arguments are of another command.
func (a *app) hook(ctx context.Context, args []string) (status int, ok bool) {
	if len(args) < 2 || args[0] != "hook" || !slices.Contains(hook.Agents(), args[1]) || slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		return 0, false
	}
	h := &hooking{app: a, agent: args[1]}
	defer func() {
		if p := recover(); p != nil {
			status, ok = h.refuse(fmt.Errorf("it panicked (%T)", p)), true
		}
	}()
	err := h.read()
	if err == nil {
		err = h.parse(args[2:])
	}
	if err != nil {
		return h.refuse(err), true
	}
	answer, err := h.ask(ctx)
	if err != nil {
		return h.refuse(err), true
	}
	if _, err := a.out.Write(answer); err != nil {
		return exitBlocked, true
	}
	return exitOK, true
}

// A hooking is one call of assent hook AGENT.
type hooking struct {
	*app
	agent    string
	body     []byte
	wait     time.Duration
	headless string
	token    string
	client   *http.Client
}

// parse reads the flags, and the credential that they name.
func (h *hooking) parse(args []string) error {
	return h.flags(args, false)
}

func (h *hooking) flags(args []string, only bool) error {
	set := flag.NewFlagSet("hook", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	address, file, headless := set.String("url", "", ""), set.String("token-file", "", ""), set.String("headless", "deny", "")
	wait := set.Duration("wait", hookWait, "")
	if err := set.Parse(args); err != nil || set.NArg() > 0 {
		return errors.New("assent hook was called with arguments it doesn't know: run assent hook install again")
	}
	if *headless != "deny" && *headless != "defer" {
		return fmt.Errorf("--headless %q: it is deny or defer", *headless)
	}
	if *wait < 0 || *wait > hook.MaxWait {
		return fmt.Errorf("--wait %s: at most %s, since the agents wait no longer than 600 seconds", *wait, hook.MaxWait)
	}
	h.app.url, h.wait, h.headless = *address, *wait, *headless
	if only {
		return nil
	}
	var err error
	h.token, err = hookToken(*file)
	return err
}

// hookToken is the agent's credential: of the file that is named, else of the environment.
func hookToken(file string) (string, error) {
	if file == "" {
		if t := os.Getenv("ASSENT_TOKEN"); t != "" {
			return t, nil
		}
		if file = os.Getenv("ASSENT_TOKEN_FILE"); file == "" {
			return "", errors.New("it has no credential: set ASSENT_TOKEN, or name a file with --token-file")
		}
	}
	b, err := os.ReadFile(file) //nolint:gosec // whoever starts us names the file, and only a server sees it
	if err != nil {
		return "", fmt.Errorf("its credential can't be read: %w", err)
	}
	if t := strings.TrimSpace(string(b)); t != "" {
		return t, nil
	}
	return "", fmt.Errorf("its credential's file %s is empty", file)
}

// read takes the document, and of one that is too large no more than shows it.
func (h *hooking) read() (err error) {
	if h.body, err = io.ReadAll(io.LimitReader(h.in, hook.MaxBody+1)); err != nil {
		return errors.New("its input did not arrive")
	}
	if len(h.body) > hook.MaxBody {
		return fmt.Errorf("this call is larger than %d MiB, so nobody could judge it", hook.MaxBody>>20)
	}
	return nil
}

// ask sends the document until there is an answer, or until the wait is over.
func (h *hooking) ask(ctx context.Context) ([]byte, error) {
	until := time.Now().Add(h.wait)
	slice := hookSlice
	if local(h.server()) {
		slice = h.wait
	}
	h.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for {
		left := max(0, time.Until(until))
		answer, status, err := h.post(ctx, min(left, slice), left > slice)
		if err != nil || status != "pending" || left <= slice {
			return answer, err
		}
	}
}

// local reports whether an address is this machine's own, where no proxy cuts a request.
func local(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// post asks once. more says that it is asked again if people need longer.
func (h *hooking) post(ctx context.Context, wait time.Duration, more bool) (answer []byte, status string, err error) {
	seconds := int(wait / time.Second)
	ctx, cancel := context.WithTimeout(ctx, wait+15*time.Second)
	defer cancel()
	q := url.Values{"wait": {strconv.Itoa(seconds)}}
	if !more && h.defers() {
		q.Set("pending", "defer")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.server()+"/v1/hooks/"+h.agent+"?"+q.Encode(), bytes.NewReader(h.body))
	if err != nil {
		return nil, "", errors.New("the server's address is not one (--url or ASSENT_URL)")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+h.token)
	trace.Onward(req.Header, os.Getenv(traceEnv))
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("the server at %s does not answer: is assent serve running? (ASSENT_URL or --url names another)", h.server())
	}
	defer resp.Body.Close()
	if answer, err = io.ReadAll(io.LimitReader(resp.Body, hookAnswer+1)); err != nil {
		return nil, "", errors.New("the server went away before it had answered")
	}
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, "", errors.New("the server does not take this credential: it may have expired or been revoked")
	case resp.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("the server answered %s", resp.Status)
	case resp.Header.Get("Assent-Status") == "" || len(answer) > hookAnswer || !strings.HasPrefix(string(answer), "{"):
		return nil, "", errors.New("what answered is not an Assent server")
	}
	return answer, resp.Header.Get("Assent-Status"), nil
}

// defers says that this is a run without a person at it, which knows to come back.
func (h *hooking) defers() bool {
	return h.headless == "defer" && h.agent == "claude-code" && strings.HasPrefix(os.Getenv("CLAUDE_CODE_ENTRYPOINT"), "sdk")
}

// refuse says no in the agent's own form, and by the exit status.
func (h *hooking) refuse(why error) int {
	reason := "Assent could not decide, so the answer is no: " + inline(why.Error())
	answer, block := hook.Refuse(h.agent, h.body, reason)
	_, _ = h.out.Write(answer)
	fmt.Fprintln(h.err, reason)
	if block {
		return exitBlocked
	}
	return exitOK
}

func (a *app) hookCmd() *cobra.Command {
	c := group(&cobra.Command{
		Use: "hook", Short: "Ask before a coding agent's tool calls",
		Long: `Ask before each tool call of a coding agent. assent hook install puts the command
into the agent's settings; the agent then runs it, with its document on standard
input, and does what the document on standard output says.

Whatever goes wrong is a no. Hooks warn early: an agent that runs as you can be
told to run without them. What must not happen is stopped at a gate.`,
	})
	for _, agent := range hook.Agents() {
		sub := &cobra.Command{
			Use: agent, Short: "Answer one hook of " + agent, Args: exactly(),
			RunE: func(*cobra.Command, []string) error {
				return failf(exitUsage, "assent hook %s reads a document on standard input; assent hook install %s has the agent do that", agent, agent)
			},
		}
		sub.Flags().String("token-file", "", "file with the agent's credential (default $ASSENT_TOKEN, then $ASSENT_TOKEN_FILE)")
		sub.Flags().Duration("wait", hookWait, "how long a call is held while people decide")
		sub.Flags().String("headless", "deny", "what a run without a person at it hears of a call that still waits: deny, or defer until it is resumed (Claude Code)")
		c.AddCommand(sub)
	}
	c.AddCommand(a.hookInstallCmd(), a.hookUninstallCmd())
	return c
}
