package cli

import (
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) actorsCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "actors", Short: "Agents, pipelines and services: their owners, and when they were last seen", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listActors(cmd) },
	}
	c.AddCommand(a.actorsRegisterCmd(), a.actorsRetireCmd())
	return c
}

func (a *app) listActors(cmd *cobra.Command) error {
	c, err := a.client(true)
	if err != nil {
		return err
	}
	list, err := c.Actors(cmd.Context())
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for _, x := range list {
		seen, owner := "never seen", x.Owner
		if !x.LastSeen.IsZero() {
			seen = "seen " + ago(x.LastSeen, time.Now())
		}
		if !x.Retired.IsZero() {
			seen = "retired"
		}
		if owner == "" {
			owner = "nobody"
		}
		_, _ = w.Write([]byte(strings.Join([]string{inline(x.ID), "of " + inline(owner), seen}, "\t") + "\n"))
	}
	return w.Flush()
}

func (a *app) actorsRegisterCmd() *cobra.Command {
	var typ string
	c := &cobra.Command{
		Use: "register NAME", Short: "Make an actor of your own (a token with scope mint)", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(false)
			if err != nil {
				return err
			}
			made, err := c.RegisterActor(cmd.Context(), typ, args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(made)
			}
			a.printf("%s is registered; it is %s's\n", inline(made.ID), inline(made.Owner))
			return nil
		},
	}
	c.Flags().StringVar(&typ, "type", "agent", "agent, pipeline or service")
	return c
}

func (a *app) actorsRetireCmd() *cobra.Command {
	return &cobra.Command{
		Use: "retire ID", Short: "End an actor that was registered, with its credentials and connections", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			if err := c.RetireActor(cmd.Context(), args[0]); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"retired": args[0]})
			}
			a.printf("%s is retired\n", inline(args[0]))
			return nil
		},
	}
}
