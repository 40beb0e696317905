package hook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/gates/command"
	"github.com/assenthq/assent/internal/gates/hook"
)

var update = flag.Bool("update", false, "write the golden files anew")

// desk decides by a verdict that the test sets, and keeps what it was asked.
type desk struct {
	gate.Session
	mu      sync.Mutex
	verdict func(*action.Action) error
	asked   []*action.Action
	prompts []string
	refused []string
	done    []gate.Outcome
	limit   bool
}

func (d *desk) Describe(a *action.Action) { a.Resource.URN = "command:test" }

func (d *desk) Enforce(_ context.Context, a *action.Action, _ gate.Hooks) (gate.Permit, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, a)
	if d.verdict != nil {
		if err := d.verdict(a); err != nil {
			return nil, err
		}
	}
	return &permit{d: d}, nil
}

func (d *desk) Prompted(_ context.Context, session, text string) error {
	d.prompts = append(d.prompts, session+": "+text)
	return nil
}

func (d *desk) Refused(_ context.Context, detail string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = append(d.refused, detail)
}

type permit struct {
	gate.Permit
	d *desk
}

const secret = "ann@example.com"

func (p *permit) Text(b []byte) []byte {
	return bytes.ReplaceAll(b, []byte(secret), []byte("[email]"))
}

func (p *permit) Rows([]gate.Column) gate.Rows { return p }

func (p *permit) Value(_ int, v []byte) ([]byte, error) {
	return p.Text(v), nil
}

func (p *permit) Count(_, _ int64) error {
	if p.d.limit {
		return &gate.Denied{Status: gate.StatusLimit, Reason: "too much"}
	}
	return nil
}

func (p *permit) Done(o gate.Outcome) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.done = append(p.d.done, o)
}

func newGate(t testing.TB, d *desk) *hook.Gate {
	t.Helper()
	tools, err := mcp.New(mcp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := hook.New(hook.Config{
		Open: func(_ context.Context, _, bearer string, _ gate.Peer, _ string) (gate.Session, string, func(), error) {
			if bearer == "nobody" {
				return nil, "", nil, errors.New("nobody")
			}
			return d, "cred_" + bearer, func() {}, nil
		},
		Command: func(script, dir string) *action.Action {
			c := &command.Command{Script: script, Dir: dir}
			if c.Check() != nil {
				return nil
			}
			return command.Describe(c)
		},
		MCP: tools, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

// verdicts are what people or policy say, by the word in a golden file's name.
var verdicts = map[string]func(*action.Action) error{
	"allow": nil,
	"deny": func(*action.Action) error {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "denied by rule no-web of pack house", Hint: "talk to its owner"}
	},
	"pending": func(*action.Action) error {
		return &gate.Denied{Status: gate.StatusPending, ID: "apr_1", URL: "https://assent.example/approvals/apr_1", Reason: "still waiting for 1 of reviewers"}
	},
	"broken": func(*action.Action) error { return errors.New("inner detail") },
}

// summary is what of an action a golden file holds.
type summary struct {
	Kinds                     []action.Kind
	Verb, Target, Title       string
	Statement                 string
	State                     map[string]string
	Objects                   []string `json:",omitempty"`
	Destination, Payload      string   `json:",omitempty"`
	Session                   string
	Reversible, Routine, Unsc bool `json:",omitempty"`
}

// TestGolden plays testdata/AGENT/NAME.VERDICT.in.json, documents one a line, and holds
// the answers, one a line, and the actions that were asked, against the files beside it.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.in.json")
	if err != nil || len(files) < len(hook.Agents()) {
		t.Fatalf("%d golden files: %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".in.json")
		agent, word := filepath.Base(filepath.Dir(file)), strings.TrimPrefix(filepath.Ext(base), ".")
		t.Run(agent+"/"+filepath.Base(base), func(t *testing.T) {
			verdict, ok := verdicts[word]
			if !ok && word != "defer" {
				t.Fatalf("%s says no verdict", file)
			}
			if word == "defer" {
				verdict = verdicts["pending"]
			}
			d := &desk{verdict: verdict}
			g := newGate(t, d)
			in, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var answers bytes.Buffer
			for line := range strings.Lines(string(in)) {
				res, err := g.Answer(t.Context(), agent, hook.Request{Bearer: "a", Body: []byte(strings.TrimSpace(line)), Defer: word == "defer"})
				if err != nil {
					t.Fatal(err)
				}
				if !json.Valid(res.Body) || bytes.Count(res.Body, []byte("\n")) != 1 {
					t.Errorf("an answer is not one line of JSON: %q", res.Body)
				}
				answers.Write(res.Body)
			}
			list := []summary{}
			for _, a := range d.asked {
				list = append(list, summary{
					a.Kinds, a.Verb, a.Target, a.Title, a.Statement, a.State, a.Objects, a.Data.Destination, string(a.Payload),
					a.Claims.Session, a.Reversible, a.Routine, a.Data.Unscanned,
				})
				if _, err := a.Envelope(); err != nil {
					t.Errorf("an action without a canonical form: %v", err)
				}
				for _, k := range a.Kinds {
					if !k.Valid() {
						t.Errorf("kind %q", k)
					}
				}
			}
			var actions bytes.Buffer
			enc := json.NewEncoder(&actions)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			_ = enc.Encode(list)
			golden(t, base+".out.json", answers.Bytes())
			golden(t, base+".actions.json", actions.Bytes())
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -run TestGolden -update writes it anew):\n%s", file, got)
	}
}

const pre = `{"session_id":"s","cwd":"/w","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"make","description":"d"},"tool_use_id":"t1"}`

func answer(t *testing.T, g *hook.Gate, agent, body string) string {
	t.Helper()
	res, err := g.Answer(t.Context(), agent, hook.Request{Bearer: "a", Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return string(res.Body)
}

// TestRuns: a call that was let run ends once, masked, and by its own credential.
func TestRuns(t *testing.T) {
	after := strings.Replace(strings.Replace(pre, "PreToolUse", "PostToolUse", 1), `"tool_use_id"`, `"tool_response":{"stdout":"mail `+secret+`","code":0},"tool_use_id"`, 1)
	d := &desk{}
	g := newGate(t, d)
	if got := answer(t, g, "claude-code", after); !strings.Contains(got, "(withheld by Assent)") || strings.Contains(got, secret) {
		t.Errorf("a result of what nobody let run: %s", got)
	}
	answer(t, g, "claude-code", pre)
	if got := answer(t, g, "claude-code", strings.Replace(after, `"s"`, `"other"`, 1)); !strings.Contains(got, "withheld") {
		t.Errorf("another session: %s", got)
	}
	res, _ := g.Answer(t.Context(), "claude-code", hook.Request{Bearer: "b", Body: []byte(after)})
	if !strings.Contains(string(res.Body), "withheld") {
		t.Errorf("another credential: %s", res.Body)
	}
	if got := answer(t, g, "claude-code", after); got != `{"hookSpecificOutput":{"hookEventName":"PostToolUse","updatedToolOutput":{"stdout":"mail [email]","code":0}}}`+"\n" {
		t.Errorf("masked: %s", got)
	}
	if got := answer(t, g, "claude-code", after); !strings.Contains(got, "withheld") {
		t.Errorf("told twice: %s", got)
	}
	if len(d.done) != 1 || d.done[0].State != gate.Executed {
		t.Errorf("ended: %+v", d.done)
	}
	if len(d.refused) != 4 {
		t.Errorf("recorded: %q", d.refused)
	}

	answer(t, g, "claude-code", pre)
	if got := answer(t, g, "claude-code", strings.Replace(after, "make", "make evil", 1)); !strings.Contains(got, "withheld") {
		t.Errorf("it ran with another input: %s", got)
	}
	answer(t, g, "claude-code", pre)
	answer(t, g, "claude-code", strings.Replace(strings.Replace(pre, "PreToolUse", "PostToolUseFailure", 1), `"tool_use_id"`, `"error":"x","tool_use_id"`, 1))
	answer(t, g, "claude-code", pre)
	answer(t, g, "claude-code", strings.Replace(strings.Replace(pre, "PreToolUse", "PermissionDenied", 1), `"tool_use_id"`, `"reason":"x","tool_use_id"`, 1))
	answer(t, g, "claude-code", pre)
	answer(t, g, "claude-code", `{"session_id":"s","cwd":"/w","hook_event_name":"SessionEnd","reason":"other"}`)
	var states []gate.OutcomeState
	for _, o := range d.done {
		states = append(states, o.State)
	}
	if want := []gate.OutcomeState{gate.Executed, gate.Unknown, gate.Failed, gate.NotRun, gate.Unknown}; !slices.Equal(states, want) {
		t.Errorf("ended %v, want %v", states, want)
	}
}

// TestConfirm: what was let run leaves the agent's own question to its user, once;
// what nobody judged is judged.
func TestConfirm(t *testing.T) {
	confirm := strings.Replace(pre, "PreToolUse", "PermissionRequest", 1)
	d := &desk{}
	g := newGate(t, d)
	answer(t, g, "claude-code", pre)
	if got := answer(t, g, "claude-code", confirm); got != "{}\n" {
		t.Errorf("after it was let run: %s", got)
	}
	d.verdict = verdicts["deny"]
	if got := answer(t, g, "claude-code", confirm); !strings.Contains(got, `"behavior":"deny"`) {
		t.Errorf("a second time: %s", got)
	}
	if len(d.asked) != 2 {
		t.Errorf("asked %d times", len(d.asked))
	}
}

// TestSameCall: what is asked again is the same action, whatever the call's id and the model's own words.
func TestSameCall(t *testing.T) {
	d := &desk{}
	g := newGate(t, d)
	answer(t, g, "claude-code", pre)
	answer(t, g, "claude-code", strings.NewReplacer("t1", "t2", `"d"`, `"other words"`, `"s"`, `"resumed"`).Replace(pre))
	answer(t, g, "claude-code", strings.Replace(pre, `"description":"d"`, `"dangerouslyDisableSandbox":true`, 1))
	answer(t, g, "claude-code", strings.Replace(pre, "/w", "/elsewhere", 1))
	var keys []string
	for _, a := range d.asked {
		k, err := a.Match([]byte("key"))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	if keys[0] != keys[1] || keys[0] == keys[2] || keys[0] == keys[3] {
		t.Errorf("matches: %q", keys)
	}
}

func TestLimits(t *testing.T) {
	d := &desk{limit: true}
	g := newGate(t, d)
	call := `{"session_id":"s","cwd":"/w","hook_event_name":"PreToolUse","tool_name":"mcp__db__query","tool_input":{"sql":"SELECT 1"},"tool_use_id":"t1"}`
	answer(t, g, "claude-code", call)
	got := answer(t, g, "claude-code", strings.Replace(strings.Replace(call, "PreToolUse", "PostToolUse", 1), `"tool_use_id"`, `"tool_response":[{"type":"text","text":"many rows"}],"tool_use_id"`, 1))
	if strings.Contains(got, "many rows") || !strings.Contains(got, `"type":"text"`) {
		t.Errorf("past a limit: %s", got)
	}
	huge := strings.Replace(pre, "make", strings.Repeat("x", hook.MaxBody), 1)
	if got := answer(t, g, "claude-code", huge); !strings.Contains(got, `"permissionDecision":"deny"`) {
		t.Errorf("too large: %.200s", got)
	}
	answer(t, g, "claude-code", `{"session_id":"s","cwd":"/w","hook_event_name":"UserPromptSubmit","prompt":"delete the old ones"}`)
	if !slices.Equal(d.prompts, []string{"s: delete the old ones"}) {
		t.Errorf("prompts: %q", d.prompts)
	}
	if _, err := g.Answer(t.Context(), "nobody", hook.Request{}); !errors.Is(err, hook.ErrNoAgent) {
		t.Errorf("an agent nobody knows: %v", err)
	}
	if _, err := g.Answer(t.Context(), "claude-code", hook.Request{Bearer: "nobody", Body: []byte(pre)}); err == nil {
		t.Error("nobody came in")
	}
}

// TestWait: a hold is never longer than the agents wait, and none is none.
func TestWait(t *testing.T) {
	d := &desk{}
	g := newGate(t, d)
	for in, want := range map[time.Duration]time.Duration{time.Hour: hook.MaxWait, 0: time.Millisecond, time.Minute: time.Minute} {
		d.asked = nil
		if _, err := g.Answer(t.Context(), "claude-code", hook.Request{Bearer: "a", Body: []byte(pre), Wait: in}); err != nil || d.asked[0].Wait != want {
			t.Errorf("wait %s: %v, %v", in, d.asked[0].Wait, err)
		}
	}
}

// yes reports whether an agent would go on after an answer to a question.
func yes(agent string, body []byte) bool {
	var doc struct {
		Continue   *bool
		Decision   string
		Permission string
		Specific   *struct {
			Permission string `json:"permissionDecision"`
			Decision   *struct{ Behavior string }
		} `json:"hookSpecificOutput"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return true
	}
	switch {
	case agent == "cursor" && doc.Permission == "deny", doc.Decision == "block", doc.Decision == "deny":
		return false
	case doc.Specific != nil && (doc.Specific.Permission == "deny" || doc.Specific.Permission == "defer"):
		return false
	case doc.Specific != nil && doc.Specific.Decision != nil && doc.Specific.Decision.Behavior == "deny":
		return false
	}
	return true
}

// FuzzAnswer: whatever comes in, an agent is told to go on only by what was judged and
// let run, or by what asks for nothing.
func FuzzAnswer(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.in.json")
	for _, file := range files {
		in, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(in)) {
			f.Add(filepath.Base(filepath.Dir(file)), []byte(line))
		}
	}
	for _, s := range []string{"", "{}", "null", `{"hook_event_name":"PreToolUse"}`, `{"hook_event_name":"Stop","hook_event_name":"PreToolUse"}`, pre + "{}", `{"hook_event_name":"PreToolUse","x":"\ud800"}`} {
		for _, agent := range hook.Agents() {
			f.Add(agent, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, agent string, body []byte) {
		d := &desk{verdict: verdicts["deny"]}
		res, err := newGate(t, d).Answer(t.Context(), agent, hook.Request{Bearer: "a", Body: body})
		if err != nil {
			return
		}
		var doc map[string]json.RawMessage
		if json.Unmarshal(res.Body, &doc) != nil {
			t.Fatalf("not an object: %q", res.Body)
		}
		if yes(agent, res.Body) && hook.Asks(agent, body) {
			t.Errorf("%s was told to go on by %s", agent, res.Body)
		}
		if answer, _ := hook.Refuse(agent, body, "no"); yes(agent, answer) && hook.Asks(agent, body) {
			t.Errorf("%s was told to go on without a server by %s", agent, answer)
		}
	})
}

// TestTwoHooks: a call that two hooks ask about at the same time is decided once.
func TestTwoHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		decide := make(chan struct{})
		asked := 0
		d := &desk{}
		d.verdict = func(*action.Action) error {
			asked++
			d.mu.Unlock() // others may come in
			<-decide
			d.mu.Lock()
			return nil
		}
		g := newGate(t, d)
		answers := make(chan string)
		for range 3 {
			go func() { answers <- answer(t, g, "claude-code", pre) }()
		}
		go func() { answers <- answer(t, g, "claude-code", strings.Replace(pre, "make", "make evil", 1)) }()
		synctest.Wait()
		if asked != 2 {
			t.Errorf("asked %d times about two calls", asked)
		}
		close(decide)
		for range 4 {
			if got := <-answers; !strings.Contains(got, `"allow"`) {
				t.Errorf("%s", got)
			}
		}
	})
}
