package cli

import (
	"context"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

// accountsCmd lists the accounts that lead to people. Linking is done in the
// console, in a session of each account: a command holds only a token.
func (a *app) accountsCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "accounts", Short: "Accounts that lead to you, and links between them (an administrator's credential shows everybody's)", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			accounts, links, err := c.Accounts(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"accounts": accounts, "links": links})
			}
			if len(accounts)+len(links) == 0 {
				a.printf("no account leads to you, and none is linked\n")
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, x := range accounts {
				state := "never signed in"
				if !x.Refreshed.IsZero() {
					state = "last heard of " + x.Refreshed.Local().Format(time.DateTime)
				}
				if !x.Left.IsZero() {
					state = "no longer let in by its issuer"
				}
				_, _ = w.Write([]byte(strings.Join([]string{inline(x.ID), inline(x.Person.ID), inline(x.Name), state}, "\t") + "\n"))
			}
			for _, l := range links {
				_, _ = w.Write([]byte(strings.Join([]string{"link " + l.ID, inline(l.Account) + " to " + inline(l.Person.ID), l.State, "by " + inline(l.By)}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.AddCommand(a.endCmd("unlink ID", "End a link: both sides stay excluded where the other is, for 30 days", "link %s has ended\n", (*client.Client).EndLink))
	return c
}

// standInCmd lists who stands in for whom. Appointing is done in the console: a
// token that an administrator minted in somebody's name must not lend their seat.
func (a *app) standInCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "standin", Short: "Who stands in for whom; one is appointed in the console's settings", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.StandIns(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			if len(list) == 0 {
				a.printf("nobody stands in for anybody\n")
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, s := range list {
				state := "until " + s.Until.Local().Format(time.DateTime)
				if !s.Active {
					state = "over"
				}
				groups := "all groups"
				if len(s.Groups) > 0 {
					groups = strings.Join(s.Groups, " ")
				}
				_, _ = w.Write([]byte(strings.Join([]string{s.ID, inline(s.To.ID) + " for " + inline(s.From.ID), inline(groups), state}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.AddCommand(a.endCmd("end ID", "End a stand-in at once", "stand-in %s has ended\n", (*client.Client).EndStandIn))
	return c
}

// endCmd is a command that ends one thing by its id. said is what it then prints, with the id in it.
func (a *app) endCmd(use, short, said string, end func(*client.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			if err := end(c, cmd.Context(), args[0]); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"ended": args[0]})
			}
			a.printf(said, inline(args[0]))
			return nil
		},
	}
}
