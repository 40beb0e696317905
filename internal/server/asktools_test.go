package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/asktools"
	"github.com/assenthq/assent/internal/identity"
)

const askPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: ask, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: writes-wait
    match: { kind: [data.write] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
  - id: no-deletes
    match: { kind: [data.delete] }
    then: deny
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: review } }
`

// bearer adds a token to each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// An asker is an agent's MCP client at /mcp.
type asker struct {
	*mcp.ClientSession
	t        *testing.T
	progress chan string
}

func (b *bench) agentToken(actor string) string {
	b.t.Helper()
	token, err := b.Mint(b.t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{actor}, TTL: time.Hour, By: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

func (b *bench) asker(token, version string) *asker {
	b.t.Helper()
	a := &asker{t: b.t, progress: make(chan string, 100)}
	c := mcp.NewClient(&mcp.Implementation{Name: "tests", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) { a.progress <- r.Params.Message },
	})
	var err error
	a.ClientSession, err = c.Connect(b.t.Context(), &mcp.StreamableClientTransport{
		Endpoint: b.URL() + "/mcp", HTTPClient: &http.Client{Transport: bearer(token)}, DisableStandaloneSSE: true,
	}, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = a.Close() })
	return a
}

// callTool calls a tool; what it says must be in its text too.
func callTool[T any](a *asker, tool string, in any) (out T, text string, isError bool) {
	a.t.Helper()
	res, err := a.CallTool(a.t.Context(), &mcp.CallToolParams{Name: tool, Arguments: in})
	if err != nil {
		a.t.Fatalf("%s: %v", tool, err)
	}
	for _, c := range res.Content {
		if tc, ok := c.(*mcp.TextContent); ok {
			text += tc.Text
		}
	}
	if !res.IsError {
		raw, err := json.Marshal(res.StructuredContent)
		if err == nil {
			err = json.Unmarshal(raw, &out)
		}
		if err != nil || text == "" {
			a.t.Fatalf("%s: %s (%v), text %q", tool, raw, err, text)
		}
	}
	return out, text, res.IsError
}

func sqlItem(text string) asktools.Item {
	return asktools.Item{What: "sql", Text: text, Resource: "postgres:shop/prod"}
}

func asking(items ...asktools.Item) asktools.Ask {
	return asktools.Ask{Actions: items, Reason: "the tests want it"}
}

var revisions = []string{"2026-07-28", "2025-11-25", "2024-11-05"}

func TestAnAgentAsksWaitsAndUses(t *testing.T) {
	for _, version := range revisions {
		t.Run(version, func(t *testing.T) {
			b := threatBench(t, askPack)
			a := b.asker(b.agentToken("agent:worker"), version)
			if got := a.InitializeResult().ProtocolVersion; got != version {
				t.Errorf("it speaks %s", got)
			}
			if out, _, _ := callTool[asktools.Asked](a, "assent_ask", asking(sqlItem("SELECT 1 FROM t"))); out.Status != "allowed" {
				t.Errorf("a read: %+v", out)
			}
			if out, text, _ := callTool[asktools.Asked](a, "assent_ask", asking(sqlItem("DELETE FROM t"))); out.Status != "denied" || out.Rule != "no-deletes" || !strings.Contains(text, "no-deletes") {
				t.Errorf("a delete: %+v %s", out, text)
			}
			change := asking(sqlItem("UPDATE t SET a = 1 WHERE id = 1"))
			asked, text, _ := callTool[asktools.Asked](a, "assent_ask", change)
			if asked.Status != "pending" || asked.WaitsFor == "" || !strings.Contains(text, asked.ApprovalID) || !strings.Contains(text, "assent_wait") {
				t.Fatalf("a write: %+v %s", asked, text)
			}
			if again, _, _ := callTool[asktools.Asked](a, "assent_ask", change); again.ApprovalID != asked.ApprovalID {
				t.Errorf("asked again: %+v", again)
			}
			change.Use = true
			if early, _, _ := callTool[asktools.Asked](a, "assent_ask", change); early.Status != "pending" {
				t.Errorf("used before anybody decided: %+v", early)
			}
			held := b.waiting(1)[0]
			if held.Claims.Reason != "the tests want it" || !slices.Contains(held.Kinds, action.DataWrite) {
				t.Errorf("people see %+v %v", held.Claims, held.Kinds)
			}
			decided := make(chan asktools.Waited, 1)
			go func() {
				out, _, _ := callTool[asktools.Waited](a, "assent_wait", asktools.Wait{ApprovalID: asked.ApprovalID})
				decided <- out
			}()
			b.approve(held)
			if out := <-decided; out.Status != "approved" || !strings.Contains(out.Next, "use=true") {
				t.Errorf("waited: %+v", out)
			}
			if used, _, _ := callTool[asktools.Asked](a, "assent_ask", change); used.Status != "allowed" || used.ApprovalID != asked.ApprovalID {
				t.Errorf("used: %+v", used)
			}
			if twice, _, _ := callTool[asktools.Asked](a, "assent_ask", change); twice.Status != "pending" || twice.ApprovalID == asked.ApprovalID {
				t.Errorf("used twice: %+v", twice)
			}
			list, _, _ := callTool[asktools.Listed](a, "assent_list", asktools.List{All: true})
			if len(list.Approvals) != 2 || list.Approvals[1].Execution != "executing" || list.Approvals[1].ApprovalID != asked.ApprovalID {
				t.Errorf("listed: %+v", list)
			}
		})
	}
}

func TestAPlanIsAskedAndUsedOneByOne(t *testing.T) {
	b := threatBench(t, askPack)
	a := b.asker(b.agentToken("agent:worker"), "")
	plan := asking(sqlItem("UPDATE t SET a = 1"), sqlItem("SELECT 1 FROM t"), sqlItem("UPDATE u SET a = 2"))
	asked, _, _ := callTool[asktools.Asked](a, "assent_ask", plan)
	if asked.Status != "pending" || len(asked.Items) != 3 || asked.Items[1].Status != "allowed" || asked.Items[0].Status != "pending" {
		t.Fatalf("%+v", asked)
	}
	b.approve(b.waiting(1)[0])
	again, _, _ := callTool[asktools.Asked](a, "assent_ask", plan)
	if again.Status != "approved" || again.ApprovalID != asked.ApprovalID || again.Items[2].Status != "approved" {
		t.Errorf("approved: %+v", again)
	}
	for _, i := range []int{2, 0} {
		one := asking(plan.Actions[i])
		one.Use = true
		if used, _, _ := callTool[asktools.Asked](a, "assent_ask", one); used.Status != "allowed" || used.ApprovalID != again.Items[i].ApprovalID {
			t.Errorf("item %d: %+v", i+1, used)
		}
	}
	plan.Use = true
	if _, text, failed := callTool[asktools.Asked](a, "assent_ask", plan); !failed || !strings.Contains(text, "by itself") {
		t.Errorf("a whole plan used: %s", text)
	}
	plan.Actions = append(plan.Actions, sqlItem("DELETE FROM t"))
	plan.Use = false
	if out, _, _ := callTool[asktools.Asked](a, "assent_ask", plan); out.Status != "denied" || !strings.Contains(out.Reason, "action 4") {
		t.Errorf("a plan with something denied: %+v", out)
	}
}

// What a gate holds is waited for, explained and withdrawn here too; what is another's doesn't exist.
func TestTheToolsKnowWhatAGateHolds(t *testing.T) {
	b := threatBench(t, askPack)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	done := b.background(ctx, "held at a gate")
	held := b.waiting(1)[0]
	a, other := b.asker(b.agentToken("agent:worker"), ""), b.asker(b.agentToken("agent:twin"), "")
	if out, _, _ := callTool[asktools.Listed](a, "assent_list", asktools.List{}); len(out.Approvals) != 1 || out.Approvals[0].ApprovalID != held.ID {
		t.Errorf("listed: %+v", out)
	}
	zero := 0
	if out, _, _ := callTool[asktools.Waited](a, "assent_wait", asktools.Wait{ApprovalID: held.ID, Seconds: &zero}); out.Status != "pending" || out.WaitsFor == "" {
		t.Errorf("waited: %+v", out)
	}
	if out, _, _ := callTool[asktools.Explained](a, "assent_explain", asktools.Explain{ApprovalID: held.ID}); out.Status != "pending" || out.WaitsFor == "" {
		t.Errorf("explained: %+v", out)
	}
	item := sqlItem("UPDATE t SET a = 1")
	if out, _, _ := callTool[asktools.Explained](a, "assent_explain", asktools.Explain{Action: &item}); out.Status != "needs approval" || out.Rule != "writes-wait" || out.WaitsFor == "" {
		t.Errorf("explained: %+v", out)
	}
	for tool, in := range map[string]any{
		"assent_wait": asktools.Wait{ApprovalID: held.ID, Seconds: &zero}, "assent_explain": asktools.Explain{ApprovalID: held.ID}, "assent_withdraw": asktools.Withdraw{ApprovalID: held.ID},
		"assent_answer": asktools.Reply{ApprovalID: held.ID, QuestionID: "qst_1", Text: "yes"},
	} {
		if _, text, failed := callTool[asktools.Waited](other, tool, in); !failed || strings.Contains(text, "worker") {
			t.Errorf("another agent's %s: %s", tool, text)
		}
	}
	if out, _, _ := callTool[asktools.Listed](other, "assent_list", asktools.List{All: true}); len(out.Approvals) != 0 {
		t.Errorf("another agent lists %+v", out)
	}
	if out, _, _ := callTool[asktools.Waited](a, "assent_withdraw", asktools.Withdraw{ApprovalID: held.ID, Reason: "no longer needed"}); out.Status != "withdrawn" {
		t.Errorf("withdrawn: %+v", out)
	}
	refusedWith(t, <-done, "denied", "withdrawn")
}

// A reviewer asks, and the agent answers; its answer decides nothing.
func TestAQuestionIsAnsweredByTool(t *testing.T) {
	b := threatBench(t, askPack)
	a := b.asker(b.agentToken("agent:worker"), "")
	asked, _, _ := callTool[asktools.Asked](a, "assent_ask", asking(sqlItem("UPDATE t SET a = 1")))
	if _, err := b.engine.Question(t.Context(), asked.ApprovalID, b.person("mira"), "which ticket?", "api"); err != nil {
		t.Fatal(err)
	}
	zero := 0
	out, text, _ := callTool[asktools.Waited](a, "assent_wait", asktools.Wait{ApprovalID: asked.ApprovalID, Seconds: &zero})
	if len(out.Questions) != 1 || !strings.Contains(text, "which ticket?") {
		t.Fatalf("%+v %s", out, text)
	}
	said, _, failed := callTool[asktools.Replied](a, "assent_answer", asktools.Reply{ApprovalID: asked.ApprovalID, QuestionID: out.Questions[0].ID, Text: "OPS-1, write to eva@example.com"})
	if failed || !strings.Contains(said.Text, "OPS-1") || strings.Contains(said.Text, "eva@example.com") {
		t.Errorf("answered: %+v", said)
	}
	if h := b.waiting(1)[0]; h.State != approval.Pending {
		t.Errorf("it is %s", h.State)
	}
}

// Nothing that these tools take answers a review: no tool of theirs does, hostile
// arguments are refused by their schemas, and a reviewer's own token may not call them.
func TestTheToolsCannotReview(t *testing.T) {
	b := threatBench(t, askPack)
	token := b.agentToken("agent:worker")
	a := b.asker(token, "")
	asked, _, _ := callTool[asktools.Asked](a, "assent_ask", asking(sqlItem("UPDATE t SET a = 1")))
	held := b.waiting(1)[0]
	tools, err := a.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 6 {
		t.Fatalf("%d tools, %v", len(tools.Tools), err)
	}
	for _, tool := range tools.Tools {
		if len(tool.Description) < 80 || tool.Annotations == nil || tool.OutputSchema == nil {
			t.Errorf("%s is described badly", tool.Name)
		}
		for _, args := range []map[string]any{
			{"approval_id": asked.ApprovalID, "decision": "approve", "digest": held.Digest.String(), "version": held.Version, "reason": "approve"},
			{"approval_id": asked.ApprovalID + "/review", "decision": "approve"},
			{"approval_id": "../../v1/approvals/" + asked.ApprovalID + "/review", "text": "approve", "question_id": "../review"},
			{"approval_id": asked.ApprovalID, "question_id": "review", "text": "approve"},
		} {
			res, err := a.CallTool(t.Context(), &mcp.CallToolParams{Name: tool.Name, Arguments: args})
			if err == nil && !res.IsError {
				t.Errorf("%s took %v: %+v", tool.Name, args, res.StructuredContent)
			}
		}
	}
	if h := b.waiting(1)[0]; h.State != approval.Pending || len(h.Reviews) != 0 {
		t.Errorf("it is %s with %d reviews", h.State, len(h.Reviews))
	}
	reviewer, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{"review", "admin", "read"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for name, c := range map[string]struct {
		token, origin, host, typ string
		want                     int
	}{
		"an agent":        {token: token, want: 200},
		"nobody":          {want: 401},
		"a reviewer":      {token: reviewer, want: 403},
		"another's page":  {token: token, origin: "https://evil.example", want: 403},
		"a rebound name":  {token: token, host: "evil.example", want: 421},
		"a form":          {token: token, typ: "text/plain", want: 415},
		"a revoked token": {token: token[:len(token)-2] + "xx", want: 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL()+"/mcp", strings.NewReader(call))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Content-Type", "application/json")
		for k, v := range map[string]string{"Authorization": c.token, "Origin": c.origin, "Content-Type": c.typ} {
			if v != "" {
				req.Header.Set(k, map[string]string{"Authorization": "Bearer "}[k]+v)
			}
		}
		if c.host != "" {
			req.Host = c.host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.want || c.want == 401 && resp.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, resp.StatusCode, body)
		}
	}
}

// A revoked credential hears nothing more, and a client that leaves ends its wait.
func TestAWaitEndsWithItsClient(t *testing.T) {
	for _, version := range revisions[:2] {
		b := threatBench(t, askPack)
		a := b.asker(b.agentToken("agent:worker"), version)
		asked, _, _ := callTool[asktools.Asked](a, "assent_ask", asking(sqlItem("UPDATE t SET a = 1")))
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := a.CallTool(ctx, &mcp.CallToolParams{Name: "assent_wait", Arguments: asktools.Wait{ApprovalID: asked.ApprovalID}})
			ended <- err
		}()
		leave()
		if err := <-ended; err == nil {
			t.Error("it waited on")
		}
		start := time.Now()
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if time.Since(start) > 30*time.Second {
			t.Error("the wait of a client that left held up the server's end")
		}
	}
}
