package cli_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/cli"
)

// endless is a document that goes on for as long as somebody reads it.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	const head = `{"session_id":"s","cwd":"/","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"`
	if e.read == 0 {
		e.read = copy(b, head)
		return e.read, nil
	}
	if e.read > 100<<20 {
		return 0, io.EOF
	}
	for i := range b {
		b[i] = 'x'
	}
	e.read += len(b)
	return len(b), nil
}

// TestHookTooLarge: a call of 100 MB is refused, and little of it is read.
func TestHookTooLarge(t *testing.T) {
	t.Setenv("ASSENT_TOKEN", "ast_x")
	in := &endless{}
	var out, errs bytes.Buffer
	if status := cli.Main([]string{"hook", "claude-code"}, in, &out, &errs); status != 2 {
		t.Errorf("status %d", status)
	}
	if !strings.HasPrefix(out.String(), `{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"deny"`) {
		t.Errorf("%.200s", out.String())
	}
	if in.read > 20<<20 {
		t.Errorf("%d MiB were read", in.read>>20)
	}
}
