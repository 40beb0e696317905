package cli

import (
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) onCallCmd() *cobra.Command {
	c := &cobra.Command{
		Use: "oncall", Short: "Who is on call; put another of a rotation's people there", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			turns, swaps, err := c.OnCall(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"turns": turns, "swaps": swaps})
			}
			if len(turns) == 0 {
				a.printf("the configuration has no rotation (oncall:)\n")
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			now := time.Now()
			for _, t := range turns {
				who := "nobody yet"
				if t.Person != nil {
					who = nameOf(*t.Person)
				}
				_, _ = w.Write([]byte(strings.Join([]string{inline(t.Group), inline(who), "next turn " + t.Next.Local().Format(time.DateTime)}, "\t") + "\n"))
			}
			for _, s := range swaps {
				if !s.Ended.IsZero() || now.After(s.Until) {
					continue
				}
				_, _ = w.Write([]byte(strings.Join([]string{"swap " + s.ID, inline(nameOf(s.Person)) + " in " + inline(s.Group), s.From.Local().Format(time.DateTime) + " until " + s.Until.Local().Format(time.DateTime)}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.AddCommand(a.onCallSwapCmd(), a.endCmd("end ID", "End a swap at once", "swap %s has ended\n", (*client.Client).EndSwap))
	return c
}

func (a *app) onCallSwapCmd() *cobra.Command {
	var life time.Duration
	var from, reason string
	c := &cobra.Command{
		Use: "swap GROUP PERSON", Short: "Ask to put one of a rotation's people on call for a while", Args: exactly("GROUP", "PERSON"),
		Long: `Ask to put another of a rotation's people on call for a while. It waits for an
administrator who is neither you nor whom it puts on call, and counts for what is asked afterwards.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			begin := time.Now()
			var later time.Time
			if from != "" {
				var err error
				if later, err = time.ParseInLocation("2006-01-02 15:04", from, time.Local); err != nil {
					return usage(cmd, "--from is a time like %q", begin.Format("2006-01-02 15:04"))
				}
				begin = later
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := c.SwapTurn(cmd.Context(), args[0], args[1], later, begin.Add(life), reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().DurationVar(&life, "for", 12*time.Hour, "how long")
	c.Flags().StringVar(&from, "from", "", "when it begins, in local time (default now)")
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}
