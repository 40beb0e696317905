package cli

import (
	"cmp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// channelsCmd says how the ways to people are doing, and mends what was dead.
func (a *app) channelsCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "channels", Short: "Slack, Teams, e-mail and webhooks: how they are doing, and what could not be told"})
	c.AddCommand(a.channelsListCmd(), a.channelsTestCmd(), a.channelsDeadCmd(), a.channelsReplayCmd())
	return c
}

func (a *app) channelsListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Every channel, where it leads, and what fails", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			all, err := c.Channels(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(all)
			}
			if len(all) == 0 {
				a.printf("no channels: docs/channels.md says how one is configured\n")
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, ch := range all {
				state := "nothing failed"
				if ch.Dead+ch.Failing > 0 {
					state = strconv.Itoa(ch.Failing) + " failing, " + strconv.Itoa(ch.Dead) + " dead: " + clip(inline(ch.Error), 80)
				}
				_, _ = w.Write([]byte(inline(ch.Name) + "\t" + inline(strings.Join(ch.Places, ", ")) + "\t" + state + "\n"))
			}
			return w.Flush()
		},
	}
}

func (a *app) channelsTestCmd() *cobra.Command {
	return &cobra.Command{
		Use: "test NAME", Short: "Tell every place of a channel that this is a test", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			all, err := c.TestChannel(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				if err := a.printJSON(all); err != nil {
					return err
				}
			}
			failed := 0
			for _, t := range all {
				if t.Error != "" {
					failed++
				}
				if !a.json {
					a.printf("%s: %s\n", inline(t.Place), inline(cmp.Or(t.Error, "told")))
				}
			}
			switch {
			case failed > 0:
				return failf(exitFailed, "%s could not be told", count(failed, "place", "places"))
			case len(all) == 0:
				return failf(exitFailed, "no route of %s leads anywhere", args[0])
			}
			return nil
		},
	}
}

func (a *app) channelsDeadCmd() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "dead", Short: "What could not be told, and is tried no more", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.Deliveries(cmd.Context(), !all)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			if len(list) == 0 {
				a.printf("nothing is dead\n")
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, d := range list {
				state := "dead"
				if !d.Dead {
					state = "again in " + span(time.Until(d.Due))
				}
				_, _ = w.Write([]byte(strings.Join([]string{
					d.ID, inline(d.Channel), inline(d.Place), inline(cmp.Or(d.Approval, d.Notice)), state, "failing for " + span(time.Since(d.Failing)), clip(inline(d.Error), 80),
				}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&all, "failing", false, "those too that are tried again by themselves")
	return c
}

func (a *app) channelsReplayCmd() *cobra.Command {
	return &cobra.Command{
		Use: "replay ID", Short: "Try a dead delivery again", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			if err := c.Replay(cmd.Context(), args[0]); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"replayed": args[0]})
			}
			a.printf("%s is tried again\n", inline(args[0]))
			return nil
		},
	}
}
