package cli

import (
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

// toolsCmd is what tools of MCP servers look like, and what is held back of them.
func (a *app) toolsCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "tools", Short: "Tools of MCP servers: pinned, or held since they changed"})
	c.AddCommand(a.toolsListCmd(), a.toolsDiffCmd(), a.toolsReleaseCmd(), a.toolsHoldCmd())
	return c
}

func (a *app) toolsListCmd() *cobra.Command {
	var at string
	var held bool
	c := &cobra.Command{
		Use: "list", Short: "Every tool that was seen, and why some are held", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			tools, unsound, err := c.Tools(cmd.Context(), at)
			if err != nil {
				return err
			}
			if held {
				tools = slices.DeleteFunc(tools, func(t client.Tool) bool { return t.State != "held" })
			}
			if a.json {
				return a.printJSON(tools)
			}
			for _, id := range unsound {
				a.printf("tool %s was changed outside Assent, and is held\n", inline(id))
			}
			if len(tools) == 0 {
				a.printf("no tools: none was listed through an MCP gate yet\n")
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for i := range tools {
				t := &tools[i]
				why := ""
				if t.Held != nil {
					why = strings.Join(t.Held.Why, "; ")
				}
				_, _ = w.Write([]byte(strings.Join([]string{t.State, inline(t.Gate), inline(t.Server), inline(t.Name), inline(why)}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.Flags().StringVar(&at, "gate", "", "of this gate alone")
	c.Flags().BoolVar(&held, "held", false, "those that are held alone")
	return c
}

func (a *app) toolsDiffCmd() *cobra.Command {
	var at string
	c := &cobra.Command{
		Use: "diff SERVER TOOL", Short: "What is pinned of a tool beside what its server lists now", Args: exactly("SERVER", "TOOL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := a.findTool(cmd, at, args)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(t)
			}
			if t.Held == nil {
				a.printf("it is as pinned at %s\n", t.Pinned.At.Format("2006-01-02 15:04 UTC"))
			} else {
				a.printf("held: %s\n", inline(strings.Join(t.Held.Why, "; ")))
			}
			for _, l := range t.Lines {
				a.printf("%s %s\n", l.Op, inline(l.Text))
			}
			return nil
		},
	}
	c.Flags().StringVar(&at, "gate", "", "of this gate, where several have it")
	return c
}

// findTool reads the one tool that is meant, with its lines.
func (a *app) findTool(cmd *cobra.Command, gate string, args []string) (*client.Tool, error) {
	c, err := a.client(true)
	if err != nil {
		return nil, err
	}
	tools, _, err := c.Tools(cmd.Context(), gate)
	if err != nil {
		return nil, err
	}
	var found []client.Tool
	for i := range tools {
		if t := &tools[i]; t.Server == args[0] && t.Name == args[1] {
			found = append(found, *t)
		}
	}
	switch len(found) {
	case 0:
		return nil, failf(exitFailed, "no tool %s of a server %s was seen: assent tools list has those that were", inline(args[1]), inline(args[0]))
	case 1:
		return c.Tool(cmd.Context(), found[0].ID)
	}
	return nil, usage(cmd, "%d gates have a server %s with this tool: say which one by --gate", len(found), inline(args[0]))
}

func (a *app) toolsReleaseCmd() *cobra.Command {
	var at, reason string
	c := &cobra.Command{
		Use: "release SERVER TOOL", Short: "Ask to rely on a tool as its server lists it now", Args: exactly("SERVER", "TOOL"),
		Long: `Ask to rely on a held tool as its server lists it now. Another administrator
reads what changed in the console, and allows it or not. assent tools diff
shows it here.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "releasing a tool needs --reason: who allows it reads it")
			}
			t, err := a.findTool(cmd, at, args)
			if err != nil {
				return err
			}
			if t.Held == nil {
				return failf(exitFailed, "%s of %s isn't held", inline(t.Name), inline(t.Server))
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := c.ReleaseTool(cmd.Context(), t.ID, t.Held.Digest, reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringVar(&at, "gate", "", "of this gate, where several have it")
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}

func (a *app) toolsHoldCmd() *cobra.Command {
	var at, reason string
	c := &cobra.Command{
		Use: "hold SERVER TOOL", Short: "Refuse calls of a tool from now on", Args: exactly("SERVER", "TOOL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "holding a tool needs --reason")
			}
			t, err := a.findTool(cmd, at, args)
			if err != nil {
				return err
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := c.HoldTool(cmd.Context(), t.ID, reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringVar(&at, "gate", "", "of this gate, where several have it")
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}
