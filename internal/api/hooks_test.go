package api_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/gates/hook"
)

// hooks keeps what it was asked.
type hooks struct {
	mu   sync.Mutex
	last hook.Request
	res  hook.Result
	err  error
}

func (h *hooks) Answer(_ context.Context, agent string, r hook.Request) (hook.Result, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = r
	if agent != "claude-code" {
		return hook.Result{}, hook.ErrNoAgent
	}
	return h.res, h.err
}

const hookDocument = `{"session_id":"s","cwd":"/","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"}}`

// TestHooks: whoever has a credential gets 200 and a document, whatever went wrong
// inside; whoever has none, or another kind of one, gets no document.
func TestHooks(t *testing.T) {
	h := &hooks{res: hook.Result{Body: []byte("{}\n"), Status: "pending", Approval: "apr_1"}}
	w := newWorld(t, func(o *api.Options) { o.Hooks = h })
	const path = "/v1/hooks/claude-code"
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	a := w.call("POST", path+"?wait=7&pending=defer", w.agent, hookDocument, func(r *http.Request) { r.Header.Set("Traceparent", parent) })
	switch {
	case a.status != 200 || string(a.body) != "{}\n" || a.header.Get("Assent-Status") != "pending" || a.header.Get("Assent-Approval") != "apr_1":
		t.Errorf("%d %q %v", a.status, a.body, a.header)
	case h.last.Wait != 7*time.Second || !h.last.Defer || h.last.Bearer != w.agent || !strings.Contains(h.last.Actor, "nightly") || string(h.last.Body) != hookDocument || h.last.Trace != parent:
		t.Errorf("asked %+v", h.last)
	}
	if a := w.call("POST", path, w.agent, hookDocument); a.status != 200 || h.last.Wait != hook.MaxWait || h.last.Defer {
		t.Errorf("unless it says otherwise: %+v", h.last)
	}
	h.err = errors.New("inner detail")
	if a := w.call("POST", path, w.agent, hookDocument); a.status != 200 || !bytes.Contains(a.body, []byte(`"permissionDecision":"deny"`)) || bytes.Contains(a.body, []byte("inner")) {
		t.Errorf("nobody came in: %d %s", a.status, a.body)
	}
	h.err = nil
	for _, tt := range []struct {
		path, token string
		status      int
	}{
		{path, "", 401}, {path, w.jonas, 403}, {path, w.gate, 403}, {"/v1/hooks/nobody", w.agent, 404}, {path + "?wait=591", w.agent, 422}, {path + "?pending=ask", w.agent, 422},
	} {
		if a := w.call("POST", tt.path, tt.token, hookDocument); a.status != tt.status {
			t.Errorf("%s: %d, want %d", tt.path, a.status, tt.status)
		}
	}
	if a := w.call("POST", path, w.agent, strings.Repeat("x", 12<<20)); a.status != 200 || len(h.last.Body) != hook.MaxBody+1 {
		t.Errorf("too large: %d, %d bytes were read", a.status, len(h.last.Body))
	}
}
