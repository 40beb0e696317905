package cli

import (
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (a *app) groupsCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "groups", Short: "Groups and who is in them; add and remove members", Args: exactly(),
		Long: `Groups and who is in them. Adding a person or an issuer's group to one waits for an
administrator other than you and whom it lets in; taking somebody out happens at once,
unless the group administers or policy asks who is in it. Whoever is added answers only
what is asked afterwards. What was changed here holds beside the configuration.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.Groups(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, g := range list {
				names := make([]string, 0, len(g.Members))
				for _, m := range g.Members {
					names = append(names, nameOf(m))
				}
				how := strings.Join(g.From, " ")
				if len(g.Added) > 0 {
					how += " added: " + strings.Join(g.Added, " ")
				}
				if len(g.Removed) > 0 {
					how += " removed: " + strings.Join(g.Removed, " ")
				}
				if g.Rotating {
					how += " on call, by turns"
				}
				_, _ = w.Write([]byte(strings.Join([]string{inline(g.Name), count(len(names), "person", "people"), clip(inline(strings.Join(names, ", ")), 60), inline(strings.TrimSpace(how))}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.AddCommand(a.groupsEditCmd("add"), a.groupsEditCmd("remove"))
	return c
}

func (a *app) groupsEditCmd(verb string) *cobra.Command {
	var reason string
	short := "Ask to add people (by id) or issuers' groups (corp|00g1) to a group"
	if verb == "remove" {
		short = "Take people or issuers' groups out of a group, by whatever way they are in"
	}
	c := &cobra.Command{
		Use: verb + " GROUP MEMBER...", Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usage(cmd, "name a group and at least one member")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "changing a group needs --reason: who allows it reads it")
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			var add, remove []string
			if verb == "add" {
				add = args[1:]
			} else {
				remove = args[1:]
			}
			ch, err := c.ChangeGroup(cmd.Context(), args[0], add, remove, reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}
