package cli

import (
	"errors"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) reviewCmd(decision string) *cobra.Command {
	var reason string
	short := map[string]string{"approve": "Approve a held action", "deny": "Deny a held action, with a reason"}[decision]
	c := &cobra.Command{
		Use: decision + " ID", Short: short, Args: cobra.ExactArgs(1),
		Long: short + `.

Your answer is bound to what the server shows now: its digest and version. A
terminal counts as "token" assurance; where policy asks for more, the answer is
the page that takes it, and exit status 77.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if decision == "deny" && reason == "" {
				return failf(exitUsage, "a denial needs --reason: the asker and the log are told why")
			}
			c, err := a.client(false)
			if err != nil {
				return err
			}
			p, err := c.Approval(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if p.YouNeed != "" {
				return failf(exitDenied, "this needs %s assurance, more than a token: decide at %s", p.YouNeed, p.URL)
			}
			after, err := c.Review(cmd.Context(), p, decision, reason)
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
	return c
}

func reviewError(p *client.Approval, err error) error {
	var e *client.Error
	if errors.As(err, &e) && e.Need != "" {
		return failf(exitDenied, "this needs %s assurance, more than a token: decide at %s", e.Need, p.URL)
	}
	return err
}

func missing(p *client.Approval) string {
	for _, s := range p.Seats {
		if s.Person == "" && len(s.Groups) > 0 {
			return s.Groups[0]
		}
	}
	return p.Asks
}
