package cli

import (
	"errors"
	"strings"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) reviewCmd(decision string) *cobra.Command {
	var reason string
	var besides obligation
	var standing scope
	short := map[string]string{"approve": "Approve a held action", "deny": "Deny a held action, with a reason"}[decision]
	c := &cobra.Command{
		Use: decision + " ID", Short: short, Args: exactly("ID"),
		Long: short + `.

Your answer is bound to what the server shows now: its digest and version. A
terminal counts as "token" assurance; where policy asks for more, the answer is
the page that takes it, and exit status 77.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if decision == "deny" && reason == "" {
				return usage(cmd, "a denial needs --reason: the asker and the log are told why")
			}
			c, err := a.client(false)
			if err != nil {
				return err
			}
			p, err := c.Approval(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.loggedIn {
				return failf(exitDenied, "a login reads and never reviews: decide at %s", p.URL)
			}
			if p.YouNeed != "" {
				return failf(exitDenied, "this needs %s assurance, more than a token: decide at %s", p.YouNeed, p.URL)
			}
			after, err := c.ReviewWith(cmd.Context(), p, decision, reason, besides.asked(), standing.asked())
			if err != nil {
				return reviewError(p, err)
			}
			if a.json {
				return a.printJSON(after)
			}
			if after.State == "pending" {
				a.printf("%s: your review counts; it still waits for %s\n", after.ID, missing(after))
				return nil
			}
			a.printf("%s: %s\n", after.ID, after.State)
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; kept in the log")
	if decision == client.Approve {
		c.Flags().StringToStringVar(&besides.masks, "mask", nil, "approve only with this class or group masked too: email=redact")
		c.Flags().Int64Var(&besides.rows, "max-rows", 0, "approve only up to this many rows")
		c.Flags().DurationVar(&besides.within, "use-within", 0, "approve only if it is used within this time: 5m")
		standing.flags(c)
	}
	return c
}

// obligation is what an approval is given with besides, from its flags.
type obligation struct {
	masks  map[string]string
	rows   int64
	within time.Duration
}

// asked is nil when nothing is asked for.
func (o *obligation) asked() *client.Besides {
	if len(o.masks) == 0 && o.rows == 0 && o.within == 0 {
		return nil
	}
	out := &client.Besides{Masks: o.masks, Window: int64(o.within / time.Second)}
	if o.rows != 0 {
		out.Rows = &o.rows
	}
	return out
}

func reviewError(p *client.Approval, err error) error {
	var e *client.Error
	switch {
	case errors.As(err, &e) && e.Need != "":
		return failf(exitDenied, "this needs %s assurance, more than a token: decide at %s", e.Need, p.URL)
	case client.Is(err, "changed"):
		return failf(exitFailed, "%s changed while you looked at it, and nothing was decided: look again with assent show %s", p.ID, p.ID)
	}
	return err
}

// missing names who has not answered yet.
func missing(p *client.Approval) string {
	for _, s := range p.Seats {
		if s.Person == "" && len(s.Groups) > 0 {
			return strings.TrimPrefix(s.Groups[0], "group:")
		}
	}
	return p.Asks
}

func (a *app) withdrawCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "withdraw ID", Short: "End an approval without a decision", Args: exactly("ID"),
		Long: `End an approval without a decision: it is neither granted nor remembered as a
denial. The asker is told that it was withdrawn. Reviewers and operators may.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "withdrawing needs --reason: the log keeps it")
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			after, err := c.Withdraw(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(after)
			}
			a.printf("%s: %s\n", after.ID, after.State)
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; kept in the log")
	return c
}
