// Package asktools is Assent's own MCP server: tools with which an agent asks
// people for what it wants to do, waits for their decision, and learns why something was
// refused. Gates need none of them; they help an agent that was told "pending".
//
// It promises to do nothing that the HTTP API would not do for the same token: each
// tool is a call of that API, made with the caller's own credential. There is no
// tool that answers a review, and a credential that could answer one is refused here. It can't
// see whether the agent then does what was approved: that is a gate's business.
package asktools

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/classify/sql"
)

// A Caller is who calls a tool, as a client of the API with their own token.
type Caller func(ctx context.Context) (*client.Client, error)

// maxWait is how long a tool waits at most: clients give a call 60 seconds.
const maxWait = 45 * time.Second

// progressEvery is how often a caller that asked for progress hears that it still waits.
const progressEvery = 10 * time.Second

const instructions = `Assent stands between you and systems where some actions need a person's approval.
When a gate answers "pending" with an approvalId, call assent_wait with it, then repeat exactly the same call: it finds its approval.
Use assent_ask for what no gate stands before, or to ask about several actions at once. Only people decide; nothing here approves anything.`

// tools are what a Server's handlers share. Nothing in it changes.
type tools struct {
	caller Caller
	sql    *sql.Classifier
	tick   time.Duration
}

func newTools(tick time.Duration, caller Caller) *tools {
	return &tools{caller: caller, sql: sql.New(sql.Options{CacheEntries: -1}), tick: tick}
}

// Server makes an MCP server of the tools.
func Server(version string, caller Caller) *mcp.Server { return server(version, progressEvery, caller) }

func server(version string, tick time.Duration, caller Caller) *mcp.Server {
	t := newTools(tick, caller)
	s := mcp.NewServer(&mcp.Implementation{Name: "assent", Title: "Assent", Version: version}, &mcp.ServerOptions{
		Instructions: instructions, Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
	})
	here := false
	mcp.AddTool(s, &mcp.Tool{
		Name: "assent_ask", Title: "Ask for approval",
		Description: "Ask whether you may do something, and ask people where policy wants their approval. " +
			"Give each action with the exact text you will run and where; several actions are a plan that people approve or deny as one. " +
			"Returns status allowed (go ahead), pending (people were asked: call assent_wait with approval_id), approved, or denied with the reason. " +
			"Systems behind an Assent gate need no assent_ask: just use them, the gate asks by itself. " +
			"The same actions asked again find the same approval. When it is approved, call assent_ask once more for one action with use=true right before you do it: an approval works once.",
		InputSchema: schemaOf[Ask](), OutputSchema: schemaOf[Asked](),
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &here, OpenWorldHint: &here, IdempotentHint: true},
	}, t.ask)
	mcp.AddTool(s, &mcp.Tool{
		Name: "assent_wait", Title: "Wait for a decision",
		Description: "Wait until people have decided about an approval, for at most 45 seconds. Takes the approvalId that a gate or assent_ask gave you. " +
			"While it is still pending, call it again; other work can go on meanwhile, and the approval stays. " +
			"Once approved: repeat exactly the call that was held (or assent_ask with use=true). Reviewers' questions come back here: answer them with assent_answer.",
		InputSchema: schemaOf[Wait](), OutputSchema: schemaOf[Waited](),
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &here},
	}, t.wait)
	mcp.AddTool(s, &mcp.Tool{
		Name: "assent_list", Title: "List my approvals",
		Description: "List your own approvals, newest first, wherever they were asked, and the standing grants under which you may repeat something without asking.",
		InputSchema: schemaOf[List](), OutputSchema: schemaOf[Listed](),
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &here},
	}, t.list)
	mcp.AddTool(s, &mcp.Tool{
		Name: "assent_explain", Title: "Explain a decision",
		Description: "Explain what policy says about an action, without asking anybody or holding anything: allowed, denied by which rule, or who would have to approve. " +
			"With approval_id instead, explain how that approval of yours stands and what you can do next.",
		InputSchema: schemaOf[Explain](), OutputSchema: schemaOf[Explained](),
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true, OpenWorldHint: &here},
	}, t.explain)
	mcp.AddTool(s, &mcp.Tool{
		Name: "assent_withdraw", Title: "Withdraw a request",
		Description: "Take back an approval of yours that is no longer needed, so that nobody spends time on it. It can't be undone; you can ask anew.",
		InputSchema: schemaOf[Withdraw](), OutputSchema: schemaOf[Waited](),
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &here, OpenWorldHint: &here, IdempotentHint: true},
	}, t.withdraw)
	mcp.AddTool(s, &mcp.Tool{
		Name: "assent_answer", Title: "Answer a reviewer's question",
		Description: "Answer a question that a reviewer asked about an approval of yours (assent_wait shows them). The answer is shown as your claim and decides nothing.",
		InputSchema: schemaOf[Reply](), OutputSchema: schemaOf[Replied](),
		Annotations: &mcp.ToolAnnotations{DestructiveHint: &here, OpenWorldHint: &here},
	}, t.answer)
	return s
}

// result puts text beside the structured output, for models and clients that read only one.
func result[T any](out T, format string, args ...any) (*mcp.CallToolResult, T, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}, out, nil
}

// refusal is an error for the model: what the API said, in words, and nothing of the inside.
func refusal(err error) error {
	var p *client.Error
	if !errors.As(err, &p) {
		return errors.New("Assent can't be reached, so the answer is no. Try again later.")
	}
	text := strings.TrimSuffix(p.Title, ".")
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	for _, f := range p.Fields {
		text += fmt.Sprintf(" (%s: %s)", f.Location, f.Message)
	}
	return errors.New(text)
}

// self is the subject that the caller's token asks as.
func self(ctx context.Context, c *client.Client) (client.Subject, error) {
	me, err := c.WhoAmI(ctx)
	if err != nil {
		return client.Subject{}, refusal(err)
	}
	if len(me.Chain) == 0 {
		return client.Subject{}, errNotActor
	}
	return client.Subject{Type: me.Chain[0].Type, ID: me.Chain[0].ID}, nil
}

var errNotActor = errors.New("these tools are for agents, and this token is no agent's: use one made by assent token mint --actor NAME")
