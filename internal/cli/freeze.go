package cli

import (
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) freezeCmd() *cobra.Command {
	var reason string
	var all bool
	c := &cobra.Command{
		Use: "freeze [actor|person|resource|gate|everything [NAME]]", Short: "Stop something at once, or show what is stopped",
		Long: `Stop an actor, a person's agents, a resource, a gate or everything, at once: open
connections are cut, what waits is withdrawn, what was approved can't run. Without
arguments it shows what is frozen. Letting go (assent thaw) takes somebody else.

  assent freeze actor nightly-exporter --reason "reads what it never read"
  assent freeze everything --reason "keys leaked"`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.printFrozen(cmd, all)
			}
			name := ""
			if len(args) == 2 {
				name = args[1]
			}
			switch {
			case reason == "":
				return usage(cmd, "freezing needs --reason: people and the log keep it")
			case (args[0] == "everything") != (name == ""):
				return usage(cmd, "name what to freeze: an actor, a person, a resource, a gate; everything has no name")
			case args[0] == "actor" && !strings.Contains(name, ":"):
				name = "agent:" + name
			case args[0] == "person" && !strings.Contains(name, ":"):
				name = "person:" + name
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			f, err := c.Freeze(cmd.Context(), args[0], name, reason)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(f)
			}
			a.printf("%s is frozen\n  to let it go: assent thaw %s --reason …\n", inline(target(*f)), f.ID)
			return nil
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why; for people and the log, never for who is frozen")
	c.Flags().BoolVar(&all, "all", false, "what was let go too")
	return c
}

func target(f client.Freeze) string { return strings.TrimSpace(f.What + " " + f.Name) }

func (a *app) printFrozen(cmd *cobra.Command, all bool) error {
	c, err := a.client(true)
	if err != nil {
		return err
	}
	list, err := c.Freezes(cmd.Context(), all)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.printf("nothing is frozen\n")
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	now := time.Now()
	for _, f := range list {
		state := "frozen " + ago(f.At, now)
		if !f.Thawed.IsZero() {
			state = "let go " + ago(f.Thawed, now)
		}
		_, _ = w.Write([]byte(strings.Join([]string{f.ID, inline(target(f)), state, "by " + inline(nameOf(f.By)), clip(inline(f.Reason), 60)}, "\t") + "\n"))
	}
	return w.Flush()
}

func (a *app) thawCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "thaw ID", Short: "Ask to let something frozen go", Args: exactly("ID"),
		Long: `Ask to let something frozen go. It happens once an administrator has allowed it
in the console who neither asked nor is behind the frozen one; where there is only
one administrator it happens at once, and the log says so as an alarm.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "letting go needs --reason: who allows it reads it")
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := c.Thaw(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why it may go on")
	return c
}

// printChange says what became of a change, and what has to happen yet.
func (a *app) printChange(c *client.Change) error {
	switch {
	case a.json:
		if err := a.printJSON(c); err != nil {
			return err
		}
	case c.Alone:
		a.printf("%s: done at once, and recorded as an alarm: there is no other administrator\n", inline(c.Title))
	case c.Tighter:
		a.printf("%s: done at once: it permits nothing more\n", inline(c.Title))
	case c.State == "applied":
		a.printf("%s: done\n", inline(c.Title))
	case c.State == "proposed":
		a.printf("%s: waits for another administrator at\n  %s\n", inline(c.Title), inline(c.URL))
	default:
		a.printf("%s: %s: %s\n", inline(c.Title), c.State, inline(c.Why))
	}
	if c.State == "proposed" {
		return failf(exitPending, "%s is not done yet", c.ID)
	}
	return nil
}
