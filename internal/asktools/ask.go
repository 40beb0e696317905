package asktools

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/classify/sql"
)

// An Item is one action as a model describes it.
type Item struct {
	What     string   `json:"what" jsonschema:"how to read text: sql, command (one command line), tool (a tool call as JSON) or other"`
	Text     string   `json:"text" jsonschema:"exactly what you will run: the statement, the command line, the tool call with its arguments"`
	Resource string   `json:"resource" jsonschema:"what it is done to, as type:name, for example postgres:shop/prod, host:build-7 or mcp:github"`
	Kinds    []string `json:"kinds,omitempty" jsonschema:"what it does, needed for other; for the rest what you know besides. The gravest one decides"`
	Target   string   `json:"target,omitempty" jsonschema:"the main object: a table, a file, a channel"`
}

// Ask is the input of assent_ask.
type Ask struct {
	Actions []Item `json:"actions" jsonschema:"1 to 50 actions; several are a plan, approved or denied as one"`
	Reason  string `json:"reason" jsonschema:"why you want this, in a sentence for the people who decide; it is shown as your claim"`
	Ticket  string `json:"ticket,omitempty" jsonschema:"the ticket or task it belongs to, if any"`
	Use     bool   `json:"use,omitempty" jsonschema:"true: use the approval of this one action now, right before you do it; an approval works once"`
}

// Asked is what assent_ask returns.
type Asked struct {
	Status     string   `json:"status" jsonschema:"allowed, pending, approved, denied, expired, withdrawn or partial"`
	ApprovalID string   `json:"approval_id,omitempty"`
	URL        string   `json:"url,omitempty" jsonschema:"where a person can look at it"`
	WaitsFor   string   `json:"waits_for,omitempty" jsonschema:"who can approve"`
	Reason     string   `json:"reason,omitempty"`
	Rule       string   `json:"rule,omitempty" jsonschema:"the policy rule that decided"`
	Items      []Answer `json:"items,omitempty" jsonschema:"of a plan: each action's own status, in your order"`
	Next       string   `json:"next" jsonschema:"what to do now"`
}

// An Answer is one action of a plan.
type Answer struct {
	Status     string `json:"status"`
	ApprovalID string `json:"approval_id,omitempty"`
	Rule       string `json:"rule,omitempty"`
}

// maxItems is how many actions one plan may have, as the API has it.
const maxItems = 50

func (t *tools) ask(ctx context.Context, _ *mcp.CallToolRequest, in Ask) (*mcp.CallToolResult, Asked, error) {
	if len(in.Actions) == 0 || len(in.Actions) > maxItems {
		return nil, Asked{}, fmt.Errorf("give 1 to %d actions; there are %d", maxItems, len(in.Actions))
	}
	if in.Use && len(in.Actions) > 1 {
		return nil, Asked{}, errors.New("use=true is for one action: use each of a plan by itself, right before you do it")
	}
	c, err := t.caller(ctx)
	if err != nil {
		return nil, Asked{}, refusal(err)
	}
	who, err := self(ctx, c)
	if err != nil {
		return nil, Asked{}, err
	}
	qs := make([]client.Question, len(in.Actions))
	for i := range in.Actions {
		if qs[i], err = t.question(&in.Actions[i], who); err != nil {
			return nil, Asked{}, fmt.Errorf("action %d: %w", i+1, err)
		}
		qs[i].Context = &client.Context{Reason: in.Reason, Ticket: in.Ticket}
	}
	var out Asked
	if len(qs) == 1 {
		out, err = askOne(ctx, c, qs[0], in.Use)
	} else {
		out, err = askPlan(ctx, c, qs)
	}
	if err != nil {
		return nil, Asked{}, err
	}
	return result(out, "%s", said(out.Status, out.ApprovalID, out.WaitsFor, out.Reason, out.Next, out.URL))
}

// askOne evaluates, asks people where they may be asked, and uses what they approved if told to.
func askOne(ctx context.Context, c *client.Client, q client.Question, use bool) (Asked, error) {
	d, err := c.Evaluate(ctx, q)
	if err != nil {
		return Asked{}, refusal(err)
	}
	if out, done := concluded(d); done {
		return out, nil
	}
	r, err := c.Request(ctx, q, d)
	if err != nil {
		return Asked{}, refusal(err)
	}
	if !use || r.Approval == nil {
		return asked(r, d), nil
	}
	q.Context.Approval = r.Approval
	if d, err = c.Evaluate(ctx, q); err != nil {
		return Asked{}, refusal(err)
	}
	out, done := concluded(d)
	if !done {
		return Asked{}, errors.New("the approval can't be used any more: ask again without use")
	}
	out.ApprovalID = r.ID
	if d.Decision {
		out.Next = "Do exactly what was approved, now and once. Its approval is used."
	}
	return out, nil
}

// askPlan evaluates each, and asks people for those that policy holds. What policy
// denies refuses the plan.
func askPlan(ctx context.Context, c *client.Client, qs []client.Question) (Asked, error) {
	ds, err := c.EvaluateAll(ctx, qs...)
	if err != nil {
		return Asked{}, refusal(err)
	}
	out := Asked{Status: "allowed", Next: "Go ahead with all of them."}
	var held []client.Question
	var denials []*client.Decision
	var places []int
	for i, d := range ds {
		if d.Context != nil && d.Context.Error != nil {
			return Asked{}, fmt.Errorf("action %d can't be asked: %s", i+1, d.Context.Error.Message)
		}
		one, done := concluded(d)
		if done && !d.Decision {
			one.Reason = fmt.Sprintf("action %d of the plan: %s", i+1, one.Reason)
			one.Next = "Nobody was asked. " + one.Next
			return one, nil
		}
		out.Items = append(out.Items, Answer{Status: one.Status, Rule: one.Rule})
		if !done {
			held, denials, places = append(held, qs[i]), append(denials, d), append(places, i)
		}
	}
	if len(held) == 0 {
		return out, nil
	}
	r, err := c.RequestPlan(ctx, held, denials)
	if err != nil {
		return Asked{}, refusal(err)
	}
	items := out.Items
	out = asked(r, denials[0])
	for n, item := range r.Items {
		if n < len(places) {
			items[places[n]] = Answer{Status: status(item.Status), ApprovalID: item.ID, Rule: rule(denials[n])}
		}
	}
	out.Items = items
	if r.Status == "approved" {
		out.Next = "Do them one by one: right before each, call assent_ask with that action alone and use=true. After one that fails, ask again for the rest."
	}
	return out, nil
}

// concluded is a decision that needs nobody; done is false where people must be asked.
func concluded(d *client.Decision) (out Asked, done bool) {
	switch {
	case d.Decision:
		return Asked{Status: "allowed", Rule: rule(d), Next: "Go ahead."}, true
	case d.Context == nil:
		return Asked{Status: "denied", Reason: "no reason was given", Next: "Don't do it."}, true
	case d.Context.AccessRequest != nil:
		return Asked{Status: "pending", Rule: rule(d), WaitsFor: d.Context.Who}, false
	}
	out = Asked{Status: "denied", Rule: rule(d)}
	switch d.Context.Reason {
	case "obligations":
		out.Reason = "policy masks or limits it, which only a gate can do"
		out.Next = "Run it at the system's Assent gate instead: it is decided there."
	case "undecided":
		out.Reason, out.Next = "nobody could decide just now, so the answer is no", "Try again later."
	default:
		out.Reason = "policy denies it"
		out.Next = "Don't do it: nobody can approve this as it stands. Ask for something the policy permits, or tell the person you work for."
	}
	if out.Rule != "" {
		out.Reason += ", by rule " + out.Rule
	}
	return out, true
}

func rule(d *client.Decision) string {
	if d.Context == nil {
		return ""
	}
	return d.Context.Rule
}

// asked is a request in a model's words.
func asked(r *client.Request, d *client.Decision) Asked {
	out := Asked{Status: status(r.Status), ApprovalID: r.ID, URL: r.Links["ticket"], Rule: rule(d)}
	if out.Status == "pending" && d.Context != nil {
		out.WaitsFor = d.Context.Who
	}
	out.Reason, out.Next = next(r, true)
	return out
}

// question turns an item into what the API evaluates. What it says of the action is
// the model's claim, as all that it writes is.
func (t *tools) question(in *Item, who client.Subject) (client.Question, error) {
	typ, name, found := strings.Cut(in.Resource, ":")
	if !found || typ == "" || name == "" {
		return client.Question{}, errors.New("resource says what it is done to as type:name, for example postgres:shop/prod")
	}
	if strings.TrimSpace(in.Text) == "" {
		return client.Question{}, errors.New("text must be exactly what you will run")
	}
	q := client.Question{Subject: who, Resource: client.Resource{Type: typ, ID: in.Resource}}
	q.Action.Properties = client.ActionProperties{Kinds: slices.Clone(in.Kinds), Target: in.Target, Payload: in.Text}
	switch in.What {
	case "sql":
		t.readSQL(&q.Action, in.Text)
	case "command":
		q.Action.Name = "run"
		q.Action.Properties.Kinds = append(q.Action.Properties.Kinds, string(action.Execute))
	case "tool":
		q.Action.Name = "call"
		q.Action.Properties.Kinds = append(q.Action.Properties.Kinds, string(action.ToolCall))
	case "other":
		q.Action.Name = "do"
		if len(in.Kinds) == 0 {
			return client.Question{}, errors.New("say by kinds what it does")
		}
	default:
		return client.Question{}, fmt.Errorf("what is sql, command, tool or other, not %q", in.What)
	}
	slices.Sort(q.Action.Properties.Kinds)
	q.Action.Properties.Kinds = slices.Compact(q.Action.Properties.Kinds)
	return q, nil
}

// readSQL adds what a parser finds in the text to what the model says.
func (t *tools) readSQL(a *client.Action, text string) {
	a.Name = "sql"
	res := t.sql.Classify(text, sql.State{})
	kinds := map[string]bool{}
	for i := range res.Statements {
		st := &res.Statements[i]
		for _, k := range st.Kinds {
			kinds[string(k)] = true
		}
		if len(res.Statements) == 1 {
			if verb, _, _ := strings.Cut(st.Verb, " "); verb != "" {
				a.Name = verb // one word, as the API wants it
			}
			if a.Properties.Target == "" {
				a.Properties.Target = st.Target
			}
		}
	}
	if len(kinds) == 0 && len(a.Properties.Kinds) == 0 {
		kinds[string(action.Unknown)] = true
	}
	for k := range kinds {
		a.Properties.Kinds = append(a.Properties.Kinds, k)
	}
}
