package slack_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/channels/slack/slacktest"
	"github.com/assenthq/assent/internal/freeport"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/policy"
)

// here errs where scripts/install has not brought a package of the oracle's.
func here(t *testing.T, file string) string {
	t.Helper()
	p, err := filepath.Abs(filepath.Join("oracle", "node_modules", filepath.FromSlash(file)))
	if err == nil {
		_, err = os.Stat(p)
	}
	if err != nil {
		t.Fatalf("%s is not here (%v): scripts/install brings it", file, err)
	}
	return p
}

// TestTypes: Slack's own types hold for every block and form that we send.
func TestTypes(t *testing.T) {
	tsc := here(t, "typescript/bin/tsc")
	p := open(t, rooms)
	all := map[string]json.RawMessage{}
	a := p.Ask("select '<!channel>' \u202e -- `x`")
	p.must(p.Press("UANA", p.card("C0OPS", a), "assent:ask"))
	p.must(p.Submit(p.form(1), "which *one*?"))
	p.shows("C0OPS", a, "which *one*?")
	high := p.AskFor(action.DataExport, "copy customers")
	passkey := p.Ask("select 2", policy.Requirement{Rule: "hold", From: []string{"group:owners"}, Count: 1, Assurance: "passkey"})
	denied := p.Ask("select 3")
	p.card("C0OPS", denied)
	p.must(p.Answer(denied.ID, "person:ana", approval.Deny))
	p.shows("C0OPS", denied, "denied it")
	for name, x := range map[string]*approval.Approval{"asked": a, "high": high, "passkey": passkey, "denied": denied, "long": p.Ask("select " + strings.Repeat("&", 5000))} {
		all[name] = p.card("C0OPS", x).Blocks
	}
	p.must(p.disp.Notify(t.Context(), notify.Notice{ID: "1", Kind: "alarm", Title: "x", Text: "y", Path: "/activity", Time: p.House.Clock()}))
	p.Eventually("the notice", func() bool { return len(p.Messages("C0OPS")) == 6 })
	all["notice"] = p.Messages("C0OPS")[5].Blocks
	check := func(extra string) (string, error) {
		dir := t.TempDir()
		p.must(os.Symlink(filepath.Dir(filepath.Dir(here(t, "@slack/types"))), filepath.Join(dir, "node_modules")))
		var src strings.Builder
		src.WriteString("import type { KnownBlock, ModalView } from \"@slack/types\";\n")
		for name, blocks := range all {
			fmt.Fprintf(&src, "export const %s: KnownBlock[] = %s;\n", name, blocks)
		}
		fmt.Fprintf(&src, "export const form: ModalView = %s;\n%s", p.Views()[0].Raw, extra)
		p.must(os.WriteFile(filepath.Join(dir, "cards.ts"), []byte(src.String()), 0o600))
		p.must(os.WriteFile(filepath.Join(dir, "tsconfig.json"), []byte(`{"compilerOptions":{"strict":true,"noEmit":true,"types":[],"skipLibCheck":true,"module":"nodenext","target":"es2022"},"files":["cards.ts"]}`), 0o600))
		out, err := exec.CommandContext(t.Context(), "node", tsc, "-p", dir).CombinedOutput()
		return string(out), err
	}
	if out, err := check(""); err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
	wrong := `export const wrong: KnownBlock[] = [{ type: "actions", elements: [{ type: "button", text: { type: "plain_text", text: "x" }, style: "green" }] }];`
	if out, err := check(wrong); err == nil || !strings.Contains(out, "green") || strings.Count(out, "error TS") != 1 {
		t.Errorf("a green button passes: %v %s", err, out)
	}
}

// TestBolt: what our fake Slack sends, signed, is what Slack's own framework
// takes; so what our door is tried with is what Slack sends.
func TestBolt(t *testing.T) {
	here(t, "@slack/bolt/package.json")
	p := open(t, rooms)
	a := p.Ask("select 1")
	c := p.card("C0OPS", a)
	free, err := freeport.Port()
	p.must(err)
	port := strconv.Itoa(free)
	cmd := exec.CommandContext(t.Context(), "node", "oracle/bolt.mjs")
	cmd.Env = append(os.Environ(), "PORT="+port, "SIGNING="+slacktest.Signing, "TOKEN="+slacktest.Token, "API="+p.URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	p.must(err)
	p.must(cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ready := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if strings.TrimSpace(line) != "ready" {
			err = errors.Join(err, fmt.Errorf("bolt says %q", line))
		}
		ready <- err
	}()
	select {
	case err := <-ready:
		p.must(err)
	case <-time.After(60 * time.Second):
		t.Fatal("bolt doesn't start")
	}
	p.Slack.Clock = time.Now // Bolt's clock is the world's
	p.App = "http://127.0.0.1:" + port
	value, _ := c.Button("assent:approve")
	p.must(p.Press("UANA", c, "assent:approve"))
	p.Eventually("bolt answers at the response_url", func() bool { return strings.Contains(p.Messages("C0OPS")[0].Text, "UANA C0OPS "+value) })
	p.must(p.Interact(p.Action("UANA", c, "assent:deny", value)))
	p.must(p.Submit(p.form(1), "too early"))
	p.hears("UANA", "reason: too early")
	p.must(p.Command("UBEN", "C0OPS", "inbox"))
	p.hears("UBEN", "typed inbox in C0OPS")
	status, err := p.Deliver("/interactive", "payload=%7B%7D", slacktest.Sign("another", time.Now(), "payload=%7B%7D"))
	if status != 401 {
		t.Errorf("another secret: %d %v", status, err)
	}
}
