package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/assenthq/assent/client"
)

// maxPlan bounds a plan's file, as the server bounds a request.
const maxPlan = 1 << 20

// A plan is what assent ask --plan asks for.
type plan struct {
	file, reason, ticket string
	wait                 time.Duration
}

func (p *plan) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.file, "plan", "", "ask people for the actions in this file (YAML or JSON), all or none, as the actor of ASSENT_TOKEN")
	c.Flags().StringVar(&p.reason, "reason", "", "with --plan: why, as a claim that reviewers see")
	c.Flags().StringVar(&p.ticket, "ticket", "", "with --plan: a claim too")
	c.Flags().DurationVar(&p.wait, "wait", 0, "with --plan: wait up to this long for people's decision")
}

// A step is one action of a plan, as the API has it.
type step struct {
	Action   client.Action   `json:"action"`
	Resource client.Resource `json:"resource"`
}

// readPlan reads a list of steps. What it doesn't know is refused: it could be what matters.
func readPlan(file string) ([]step, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, failf(exitUsage, "reading the plan: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxPlan+1))
	if err != nil {
		return nil, failf(exitUsage, "reading the plan %s: %w", file, err)
	}
	if len(text) > maxPlan {
		return nil, failf(exitUsage, "the plan %s is larger than 1 MiB: ask for it in parts", file)
	}
	return parsePlan(file, text)
}

func parsePlan(file string, text []byte) ([]step, error) {
	body, err := yaml.YAMLToJSON(text)
	if err != nil {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return nil, failf(exitUsage, "the plan %s is neither YAML nor JSON: %s", file, inline(line))
	}
	var steps []step
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&steps); err != nil {
		return nil, failf(exitUsage, "the plan %s is a list of action and resource, as docs/api.md has them: %s", file, inline(err.Error()))
	}
	if len(steps) == 0 || len(steps) > 50 {
		return nil, failf(exitUsage, "the plan %s has %d actions, and a plan has 1 to 50", file, len(steps))
	}
	return steps, nil
}

// askPlan evaluates each action, and asks people for those that policy holds.
func (a *app) askPlan(cmd *cobra.Command, p *plan) error {
	steps, err := readPlan(p.file)
	if err != nil {
		return err
	}
	c, err := a.client(false)
	if err != nil {
		return err
	}
	me, err := c.WhoAmI(cmd.Context())
	if err != nil {
		return err
	}
	if len(me.Chain) == 0 {
		return failf(exitDenied, "a plan is asked for by an actor, and ASSENT_TOKEN is no actor's: assent token mint --actor NAME")
	}
	questions := make([]client.Question, len(steps))
	for i, s := range steps {
		questions[i] = client.Question{
			Subject: client.Subject{Type: me.Chain[0].Type, ID: me.Chain[0].ID}, Action: s.Action, Resource: s.Resource,
			Context: &client.Context{Reason: p.reason, Ticket: p.ticket},
		}
	}
	decisions, err := c.EvaluateAll(cmd.Context(), questions...)
	if err != nil {
		return err
	}
	held, positions, flows, err := holding(p.file, decisions)
	if err != nil {
		return err
	}
	if len(held) == 0 {
		a.printf("%s: policy asks nobody about any of it\n", p.file)
		return nil
	}
	asked := make([]client.Question, len(held))
	for i, at := range positions {
		asked[i] = questions[at-1]
	}
	r, err := c.RequestPlan(cmd.Context(), asked, held)
	if err != nil {
		return err
	}
	if p.wait > 0 && r.Status == "pending" {
		if r, err = awaited(cmd, c, r, p.wait); err != nil {
			return err
		}
	}
	return a.printPlan(p, r, questions, positions, flows)
}

// holding sorts what policy said: what people are asked about, with its places in the
// file, and what flows anyway. What policy denies refuses the plan.
func holding(file string, decisions []*client.Decision) (held []*client.Decision, positions, flows []int, err error) {
	for i, d := range decisions {
		switch {
		case d.Decision:
			flows = append(flows, i+1)
		case d.Context != nil && d.Context.AccessRequest != nil:
			held, positions = append(held, d), append(positions, i+1)
		case d.Context != nil && d.Context.Error != nil:
			return nil, nil, nil, failf(exitUsage, "item %d of %s can't be asked: %s", i+1, file, inline(d.Context.Error.Message))
		default:
			why := "no reason given"
			if d.Context != nil {
				why = strings.TrimSpace(d.Context.Reason + " " + d.Context.Rule)
				if d.Context.Reason == "obligations" {
					why = "policy masks or limits it, which only a gate can do: ask it there (rule " + d.Context.Rule + ")"
				}
			}
			return nil, nil, nil, failf(exitDenied, "item %d of %s is denied, so nothing was asked: %s", i+1, file, inline(why))
		}
	}
	return held, positions, flows, nil
}

// awaited is the request once it is decided, or after the wait.
func awaited(cmd *cobra.Command, c *client.Client, r *client.Request, wait time.Duration) (*client.Request, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), wait)
	defer cancel()
	if got, err := c.AwaitRequest(ctx, r.ID); err == nil || ctx.Err() == nil {
		return got, err
	}
	return c.RequestStatus(cmd.Context(), r.ID)
}

// printPlan says how far a plan is, with an exit status: 0 approved, 75 pending, 77 not approved.
func (a *app) printPlan(p *plan, r *client.Request, questions []client.Question, positions, flows []int) error {
	if a.json {
		out := struct {
			*client.Request
			Positions []int `json:"positions"` // of the items in the file
			Flows     []int `json:"flows"`     // allowed anyway
		}{r, positions, slices.Concat([]int{}, flows)}
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else {
		a.printf("%s  %s  %s\n", r.ID, r.Status, inline(r.Links["ticket"]))
		for i := range questions {
			q, says := &questions[i], "flows"
			if at := slices.Index(positions, i+1); at >= 0 && at < len(r.Items) {
				says = strings.TrimSpace(r.Items[at].Status + " " + r.Items[at].Execution)
			}
			a.printf("  %2d  %-10s %s %s\n", i+1, says, inline(q.Action.Name), inline(q.Action.Properties.Target))
		}
	}
	switch r.Status {
	case "approved":
		return nil
	case "pending":
		waits := "people"
		if r.Display != nil {
			waits = strings.TrimPrefix(r.Display.Title, "Waiting for ")
		}
		return failf(exitPending, "%s still waits for %s", r.ID, inline(waits))
	}
	return failf(exitDenied, "%s is %s", r.ID, inline(r.Status))
}

// printItems shows the actions of a plan, the gravest first.
func (a *app) printItems(p *client.Approval, line func(label, format string, args ...any)) {
	items := slices.Clone(p.Items)
	slices.SortStableFunc(items, func(x, y client.PlanItem) int { return x.Rank - y.Rank })
	place := map[string]int{}
	for i := range p.Items {
		place[p.Items[i].ID] = i + 1
	}
	line("runs", "%s", "all of these or none, the gravest first (sensitive values are masked here; the digest binds the real ones)")
	for _, item := range items {
		state := ""
		if item.State != "" && item.State != "planned" {
			state = "  " + item.State
		}
		line("", "%d of %d  %s  [%s] on %s%s", place[item.ID], len(items), item.Title, strings.Join(item.Kinds, ", "), item.Resource, state)
		if v := item.Preview; v != nil {
			line("", "    preview: %s", previewed(v))
		}
		for _, l := range strings.Split(item.Statement, "\n") {
			line("", "    %s", l)
		}
	}
}

func planOf(p *client.Approval) string {
	if p.Plan == "" {
		return ""
	}
	return fmt.Sprintf("item %d of plan %s", p.PlanItem, p.Plan)
}
