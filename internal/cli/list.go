package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) listCmd() *cobra.Command {
	var all bool
	var limit int
	c := &cobra.Command{
		Use: "list", Short: "Approvals that wait for people", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 200 {
				return usage(cmd, "--limit %d: from 1 to 200", limit)
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			o := client.ListOptions{Limit: limit}
			if !all {
				o.States = []string{"pending"}
			}
			page, err := c.Approvals(cmd.Context(), o)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(page.Approvals)
			}
			if err := a.printList(page.Approvals, all); err != nil {
				return err
			}
			if page.Next != "" {
				fmt.Fprintf(a.err, "… and more: --limit %d shows up to 200\n", min(2*limit, 200))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "decided ones too")
	c.Flags().IntVar(&limit, "limit", 50, "how many at the most, up to 200")
	return c
}

func (a *app) printList(list []*client.Approval, all bool) error {
	if len(list) == 0 {
		if all {
			a.printf("no approvals yet\n")
		} else {
			a.printf("nothing waits\n")
		}
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	now := time.Now()
	for _, p := range list {
		when := "expires in " + span(p.Expires.Sub(now))
		if all && p.State != "pending" {
			when = ago(p.Created, now)
		}
		_, _ = w.Write([]byte(strings.Join([]string{p.ID, p.State, clip(inline(p.Title), 60), inline(who(p)), inline(p.Asks), when}, "\t") + "\n"))
	}
	return w.Flush()
}

// who says who asks for whom.
func who(p *client.Approval) string {
	s := p.Subject.ID
	if len(p.Chain) > 0 {
		s = p.Chain[0].ID
		if p.Subject.ID != "" {
			s += " for " + nameOf(p.Subject)
		}
	}
	return s
}

func nameOf(p client.Party) string {
	if p.Name != "" {
		return p.Name
	}
	return p.ID
}

func (a *app) showCmd() *cobra.Command {
	var wait time.Duration
	c := &cobra.Command{
		Use: "show ID", Short: "One approval: who asks, what would run (masked), why it is held", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			p, err := decided(cmd.Context(), c, args[0], wait)
			if err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(p); err != nil {
					return err
				}
			} else {
				a.printApproval(p)
			}
			if wait > 0 {
				return answerOf(p)
			}
			return nil
		},
	}
	c.Flags().DurationVar(&wait, "wait", 0, "wait up to this long for people's decision, and answer with an exit status: 0 approved, 75 still pending, 77 not approved")
	return c
}

// decided reads an approval, once it is decided or after the wait.
func decided(ctx context.Context, c *client.Client, id string, wait time.Duration) (*client.Approval, error) {
	if wait > 0 {
		ctx, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if p, err := c.Wait(ctx, id); err == nil || ctx.Err() == nil {
			return p, err
		}
	}
	return c.Approval(ctx, id)
}

// answerOf is people's decision as an exit status.
func answerOf(p *client.Approval) error {
	switch p.State {
	case "approved", "executing", "executed", "failed", "unknown":
		return nil
	case "pending":
		return failf(exitPending, "%s still waits for %s", p.ID, missing(p))
	}
	return failf(exitDenied, "%s is %s", p.ID, p.State)
}

func (a *app) printApproval(p *client.Approval) {
	now := time.Now()
	a.printf("%s  %s  %s\n", p.ID, p.State, inline(p.Title))
	line := func(label, format string, args ...any) {
		a.printf("  %-8s %s\n", label, inline(fmt.Sprintf(format, args...)))
	}
	line("who", "%s", who(p))
	line("to", "%s (%s)", p.Resource, p.Env)
	line("kinds", "%s", strings.Join(p.Kinds, ", "))
	if d := dataOf(p.Data); d != "" {
		line("data", "%s", d)
	}
	if to := p.Data.Destination; to != "" && to != "client" {
		line("data to", "%s", to)
	}
	if v := p.Preview; v != nil {
		line("preview", "%s", previewed(v))
	}
	line("asks", "%s", p.Asks)
	asked := ago(p.Created, now)
	if p.State == "pending" {
		asked += ", expires in " + span(p.Expires.Sub(now))
	}
	line("asked", "%s", asked)
	line("digest", "%s", p.Digest)
	if p.Reason != "" {
		line("why", "%s", p.Reason)
	}
	for _, r := range p.Rules {
		line("", "%s by rule %s of pack %s", r.Then, r.Rule, r.Pack)
		for _, t := range r.Atoms {
			if t.Value != "" {
				line("", "  %s", t.Value)
			}
		}
	}
	if s := planOf(p); s != "" {
		line("plan", "%s", s)
	}
	if len(p.Items) > 0 {
		a.printItems(p, line)
	} else {
		line("runs", "%s", "(sensitive values are masked here; the digest binds the real ones)")
		for _, l := range strings.Split(p.Statement, "\n") {
			line("", "%s", l)
		}
	}
	if p.Claims.Reason != "" {
		line("says", "“%s” (the asker's own words)", p.Claims.Reason)
	}
	for _, x := range leadLines(p.Lead) {
		line(x[0], "%s", x[1])
	}
	for _, r := range p.Reviews {
		line("review", "%s: %s by %s “%s”, %s", r.Name, r.Decision, r.Channel, r.Reason, ago(r.Time, now))
		if r.Obligation != nil {
			line("", "only with %s", besides(r.Obligation))
		}
	}
	for _, r := range p.Remarks {
		if r.Of == "" {
			line("asked", "%s by %s: “%s”, %s", r.ID, cmp.Or(r.Name, r.By), r.Text, ago(r.Time, now))
		} else {
			line("answer", "%s by %s: “%s” (the asker's own words), %s", r.Of, cmp.Or(r.Name, r.By), r.Text, ago(r.Time, now))
		}
	}
	for _, s := range p.Steps {
		if s.Done != nil {
			line("since", "%s: %s %s", ago(*s.Done, now), map[string]string{"remind": "reminded", "escalate": "asked also", "fall back": "fell back to"}[s.Do], strings.Join(s.Groups, ", "))
		}
	}
	a.printNext(p)
}

// besides is an obligation in words.
func besides(o *client.Besides) string {
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(o.Masks)) {
		parts = append(parts, class+" masked by "+o.Masks[class])
	}
	if o.Rows != nil {
		parts = append(parts, "at most "+count(int(*o.Rows), "row", "rows"))
	}
	if o.Window > 0 {
		parts = append(parts, "use within "+(time.Duration(o.Window)*time.Second).String())
	}
	return strings.Join(parts, ", ")
}

// previewed says what an action would do, and what of it is held to that.
func previewed(v *client.Preview) string {
	if v.Text == "" {
		return "no preview: " + v.Why
	}
	s := v.Text
	if v.Time != nil {
		s += ", found at " + v.Time.UTC().Format("15:04:05") + " UTC by " + v.By
	}
	if v.Bound != nil {
		s += "; if more, nothing of it is kept"
	}
	if v.Why != "" {
		s += "; " + v.Why
	}
	return s
}

// dataOf says what the action touches, as far as it is known.
func dataOf(d client.Data) string {
	var known []string
	if d.Rows != nil {
		known = append(known, count(int(*d.Rows), "row", "rows"))
	}
	known = append(known, d.Classes...)
	s := strings.Join(known, ", ")
	if s != "" && !d.ClassesKnown {
		s += " and what the reply may hold"
	}
	return s
}

// printNext says what can be done about an approval now.
func (a *app) printNext(p *client.Approval) {
	switch {
	case p.Grant != "":
		a.printf("  grant    %s %s\n", inline(p.Grant), inline(p.Outcome))
	case p.Canary != "":
		a.printf("  %s\n", inline(p.Canary))
	case p.State != "pending":
	case p.YouMay:
		a.printf("\n  assent approve %s   or   assent deny %s --reason …\n", p.ID, p.ID)
	case p.YouNeed != "":
		a.printf("\n  decide at %s (this needs %s)\n", inline(p.URL), inline(p.YouNeed))
	case p.YouCant != "":
		a.printf("\n  you may not review this: %s\n  reviewers decide at %s\n", inline(p.YouCant), inline(p.URL))
	}
}
