package cli

import (
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
		Use: "list", Short: "Approvals that wait for people", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			return a.printList(page.Approvals, all)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "decided ones too")
	c.Flags().IntVar(&limit, "limit", 50, "how many at the most")
	return c
}

func (a *app) printList(list []*client.Approval, all bool) error {
	if len(list) == 0 {
		a.printf("nothing waits\n")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	now := time.Now()
	for _, p := range list {
		when := "expires in " + span(p.Expires.Sub(now))
		if all && p.State != "pending" {
			when = ago(p.Created, now)
		}
		_, _ = w.Write([]byte(strings.Join([]string{p.ID, p.State, printable(clip(p.Title, 60)), printable(who(p)), p.Asks, when}, "\t") + "\n"))
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
	return &cobra.Command{
		Use: "show ID", Short: "One approval: who asks, what would run (masked), why it is held", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			p, err := c.Approval(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(p)
			}
			a.printApproval(p)
			return nil
		},
	}
}

func (a *app) printApproval(p *client.Approval) {
	now := time.Now()
	a.printf("%s  %s  %s\n", p.ID, p.State, printable(p.Title))
	a.printf("  who      %s\n", printable(who(p)))
	a.printf("  to       %s (%s)\n", printable(p.Resource), printable(p.Env))
	a.printf("  kinds    %s\n", strings.Join(p.Kinds, ", "))
	if len(p.Data.Classes) > 0 {
		more := ""
		if !p.Data.ClassesKnown {
			more = " and what the reply may hold"
		}
		a.printf("  data     %s%s\n", strings.Join(p.Data.Classes, ", "), more)
	}
	a.printf("  asks     %s\n", p.Asks)
	a.printf("  asked    %s", ago(p.Created, now))
	if p.State == "pending" {
		a.printf(", expires in %s", span(p.Expires.Sub(now)))
	}
	a.printf("\n  digest   %s\n", p.Digest)
	if p.Reason != "" {
		a.printf("  why      %s\n", printable(p.Reason))
	}
	for _, r := range p.Rules {
		a.printf("           %s by rule %s of pack %s\n", r.Then, r.Rule, r.Pack)
		for _, t := range r.Atoms {
			a.printf("             %s\n", printable(t.Value))
		}
	}
	a.printf("  runs     (sensitive values are masked here; the digest binds the real ones)\n")
	for _, l := range strings.Split(printable(p.Statement), "\n") {
		a.printf("           %s\n", l)
	}
	if p.Claims.Reason != "" {
		a.printf("  says     %q (the asker's own words)\n", printable(p.Claims.Reason))
	}
	for _, r := range p.Reviews {
		a.printf("  review   %s: %s by %s %q, %s\n", printable(r.Name), r.Decision, r.Channel, printable(r.Reason), ago(r.Time, now))
	}
	switch {
	case p.Grant != "":
		a.printf("  grant    %s %s\n", p.Grant, p.Outcome)
	case p.State == "pending" && p.YouMay:
		a.printf("\n  assent approve %s   or   assent deny %s --reason …\n", p.ID, p.ID)
	case p.State == "pending" && p.YouNeed != "":
		a.printf("\n  decide at %s (this needs %s)\n", p.URL, p.YouNeed)
	case p.State == "pending" && p.YouCant != "":
		a.printf("\n  you may not review this: %s\n", printable(p.YouCant))
	}
}
