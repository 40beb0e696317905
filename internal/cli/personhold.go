package cli

import (
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) personHoldCmd() *cobra.Command {
	var reason, from, until string
	c := &cobra.Command{
		Use: "hold [NAME…] --reason TEXT [--from TIME] [--until TIME]", Short: "Ask for a legal hold: nothing of a person, or of a time, is erased",
		Long: `Ask that nothing of a person is erased, or nothing of a time (--from, --until, RFC 3339), or of
that person in that time. Another administrator decides in the console. Erasing what a hold
keeps is refused, and the refusal names the hold.`,
		Example: `  assent person hold person:mira --reason "case 12/2026"
  assent person hold --from 2026-01-01T00:00:00Z --until 2026-04-01T00:00:00Z --reason "audit of the first quarter"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			var at [2]time.Time
			for i, text := range []string{from, until} {
				var err error
				if text == "" {
					continue
				}
				if at[i], err = time.Parse(time.RFC3339, text); err != nil {
					return usage(cmd, "%q is no time: it looks like 2026-01-31T00:00:00Z", text)
				}
			}
			if reason == "" || len(args) == 0 && from == "" && until == "" {
				return usage(cmd, "a hold takes names or a time, and --reason: who allows it reads it")
			}
			cl, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := cl.PlaceHold(cmd.Context(), args, at[0], at[1], reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.Flags().StringVar(&from, "from", "", "records from then on")
	c.Flags().StringVar(&until, "until", "", "records before then")
	return c
}

func (a *app) personReleaseCmd() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "release HOLD --reason TEXT", Short: "Ask to end a legal hold", Args: exactly("HOLD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return usage(cmd, "ending a hold needs --reason: who allows it reads it")
			}
			cl, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := cl.ReleaseHold(cmd.Context(), args[0], reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	return c
}

func (a *app) personHoldsCmd() *cobra.Command {
	return &cobra.Command{
		Use: "holds", Short: "Legal holds", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := cl.Holds(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			for _, h := range list {
				who, when := "everybody", "always"
				if len(h.Names) > 0 {
					who = strings.Join(h.Names, ", ")
				}
				if !h.From.IsZero() || !h.Until.IsZero() {
					when = ""
					for _, t := range []time.Time{h.From, h.Until} {
						if when += " – "; !t.IsZero() {
							when += t.UTC().Format(time.RFC3339)
						}
					}
					when = strings.TrimPrefix(when, " – ")
				}
				_, _ = w.Write([]byte(strings.Join([]string{h.ID, h.State, inline(who), when, "placed " + h.At.Format(time.DateOnly)}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
}
