package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) grantsCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "grants", Short: "Standing grants: list and revoke"})
	c.AddCommand(a.grantsListCmd(), a.grantsRevokeCmd())
	return c
}

func (a *app) grantsListCmd() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "list", Short: "Standing grants that cover something now", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			found, err := c.Standings(cmd.Context())
			if err != nil {
				return err
			}
			list := []client.Standing{}
			for _, s := range found {
				if all || s.Live {
					list = append(list, s)
				}
			}
			if a.json {
				return a.printJSON(list)
			}
			if len(list) == 0 {
				a.printf("no standing grants\n")
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			now := time.Now()
			for _, s := range list {
				state := "until " + s.Until.Local().Format("15:04") + ", in " + span(s.Until.Sub(now))
				switch {
				case !s.Revoked.IsZero():
					state = "revoked " + ago(s.Revoked, now)
				case !s.Live:
					state = "over"
				}
				_, _ = w.Write([]byte(strings.Join([]string{
					s.ID, inline(s.Actor), clip(inline(s.Title), 60), fmt.Sprintf("%s values", s.Values), fmt.Sprintf("%d of %d used", s.Used, s.Uses),
					state, "by " + inline(strings.Join(s.Reviewers, ", ")),
				}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&all, "all", false, "those that are over, too")
	return c
}

func (a *app) grantsRevokeCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "revoke ID", Short: "End a standing grant at once", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "revoking needs --reason: the log keeps it")
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			s, err := c.RevokeStanding(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(s)
			}
			a.printf("%s is revoked\n", s.ID)
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; kept in the log")
	return c
}

// scope is what an approval allows beyond the one action, from its flags.
type scope struct {
	uses int
	life time.Duration
	any  bool
}

func (s *scope) flags(c *cobra.Command) {
	c.Flags().IntVar(&s.uses, "standing", 0, "allow the same again so often, if every reviewer does; the narrowest of all holds")
	c.Flags().DurationVar(&s.life, "for", time.Hour, "with --standing: how long")
	c.Flags().BoolVar(&s.any, "any-values", false, "with --standing: other literals in the same places too")
}

// asked is nil when nothing is allowed beyond.
func (s *scope) asked() *client.StandingScope {
	if s.uses == 0 {
		return nil
	}
	out := &client.StandingScope{Uses: s.uses, ForSeconds: int64(s.life / time.Second)}
	if s.any {
		out.Values = "any"
	}
	return out
}
