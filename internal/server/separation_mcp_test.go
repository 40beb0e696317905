package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/assenthq/assent/internal/approval"
)

// byTools sends an approval to each of the agents' tools, as a model that was talked
// into it might. It returns an error unless every one of them let it be.
func (x *site) byTools(token string, a *approval.Approval) error {
	x.t.Helper()
	for _, tool := range []string{"assent_ask", "assent_wait", "assent_list", "assent_explain", "assent_withdraw", "assent_answer", "assent_review", "assent_approve"} {
		status, body := x.message(token, "tools/call", map[string]any{"name": tool, "arguments": map[string]any{
			"approval_id": a.ID, "decision": approval.Approve, "digest": a.Digest.String(), "version": a.Version,
		}})
		if status == http.StatusOK && !strings.Contains(body, `"isError":true`) && !strings.Contains(body, `"error":`) {
			return fmt.Errorf("%s took it: %s", tool, body)
		}
	}
	return nil
}

// message is one JSON-RPC message to the agents' tools.
func (x *site) message(token, method string, params any) (status int, body string) {
	x.t.Helper()
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	x.must(err)
	req, err := http.NewRequestWithContext(x.t.Context(), http.MethodPost, x.URL()+"/mcp", strings.NewReader(string(b)))
	x.must(err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("MCP-Protocol-Version", "2025-11-25")
	resp, err := http.DefaultClient.Do(req)
	x.must(err)
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	x.must(err)
	return resp.StatusCode, string(out)
}
