package cli

import (
	"strings"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) emergencyCmd() *cobra.Command {
	c := group(&cobra.Command{
		Use: "emergency", Short: "Break-glass: list, show and review emergencies, and break the glass",
		Long: `Break-glass: for some minutes what one actor asks on one resource runs without
waiting for people. Masks, limits, denials and freezes stay. It is an alarm, and so is
each use of it; somebody else reviews it afterwards, or both are frozen.

Breaking the glass and reviewing take a signed-in session in the console, unless the
configuration says break_glass: { assurance: token }.`,
	})
	c.AddCommand(a.emergencyListCmd(), a.emergencyShowCmd(), a.emergencyBreakCmd(), a.emergencyReviewCmd())
	return c
}

func (a *app) emergencyListCmd() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "list", Short: "Emergencies that run, or wait for their review", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			found, err := c.Emergencies(cmd.Context())
			if err != nil {
				return err
			}
			list := []client.Emergency{}
			for _, e := range found {
				if all || e.State != "reviewed" {
					list = append(list, e)
				}
			}
			if a.json {
				return a.printJSON(list)
			}
			if len(list) == 0 {
				a.printf("no emergency waits for a review\n")
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			now := time.Now()
			for i := range list {
				e := &list[i]
				_, _ = w.Write([]byte(strings.Join([]string{
					e.ID, inline(e.Actor) + " on " + inline(e.Resource), emergencyState(e, now), count(e.Ran, "action ran", "actions ran"),
					"by " + inline(nameOf(e.By)), clip(inline(e.Reason), 60),
				}, "\t") + "\n"))
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&all, "all", false, "those that were reviewed, too")
	return c
}

// emergencyState says where an emergency stands, and until when.
func emergencyState(e *client.Emergency, now time.Time) string {
	switch {
	case e.State == "overdue":
		return "nobody reviewed it in time: frozen"
	case e.State == "reviewed":
		return e.Verdict
	case now.Before(e.Until):
		return "RUNS for " + span(e.Until.Sub(now)) + " more"
	}
	return "to be reviewed within " + span(e.ReviewBy.Sub(now))
}

func (a *app) emergencyShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "One emergency", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.Emergencies(cmd.Context())
			if err != nil {
				return err
			}
			for i := range list {
				if list[i].ID == args[0] {
					return a.printEmergency(&list[i])
				}
			}
			return failf(exitNotFound, "there is no emergency %s", inline(args[0]))
		},
	}
}

func (a *app) printEmergency(e *client.Emergency) error {
	if a.json {
		return a.printJSON(e)
	}
	now := time.Now()
	a.printf("%s: %s\n", e.ID, emergencyState(e, now))
	a.printf("  %s on %s, from %s until %s\n", inline(e.Actor), inline(e.Resource), e.Since.Local().Format(time.DateTime), e.Until.Local().Format(time.DateTime))
	a.printf("  the glass was broken by %s: %s\n", inline(nameOf(e.By)), inline(e.Reason))
	a.printf("  %s without waiting\n", count(e.Ran, "action ran", "actions ran"))
	if e.State == "reviewed" {
		a.printf("  %s found it %s at %s: %s\n", inline(e.Reviewer), e.Verdict, e.ReviewedAt.Local().Format(time.DateTime), inline(e.Note))
		return nil
	}
	a.printf("  somebody else reviews it by %s: assent emergency review %s --verdict justified|wrong --note …\n", e.ReviewBy.Local().Format(time.DateTime), e.ID)
	return nil
}

func (a *app) emergencyBreakCmd() *cobra.Command {
	var actor, resource, reason string
	var life time.Duration
	c := &cobra.Command{
		Use: "break", Short: "Break the glass for one actor on one resource", Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case actor == "" || resource == "":
				return usage(cmd, "breaking the glass needs --actor and --resource")
			case reason == "":
				return usage(cmd, "breaking the glass needs --reason: people and the log keep it")
			case !strings.Contains(actor, ":"):
				actor = "agent:" + actor
			}
			c, err := a.client(false)
			if err != nil {
				return err
			}
			e, err := c.BreakGlass(cmd.Context(), actor, resource, reason, life)
			if err != nil {
				return err
			}
			return a.printEmergency(e)
		},
	}
	c.Flags().StringVar(&actor, "actor", "", "whose actions no longer wait")
	c.Flags().StringVar(&resource, "resource", "", "on which resource: its URN, or the beginning of it up to a slash")
	c.Flags().DurationVar(&life, "for", 15*time.Minute, "how long")
	c.Flags().StringVar(&reason, "reason", "", "why; people and the log read it")
	return c
}

func (a *app) emergencyReviewCmd() *cobra.Command {
	var verdict, note string
	c := &cobra.Command{
		Use: "review ID", Short: "Say afterwards whether an emergency was one", Args: exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case verdict != "justified" && verdict != "wrong":
				return usage(cmd, "--verdict is justified or wrong; wrong freezes who broke the glass, and the actor")
			case note == "":
				return usage(cmd, "a review needs --note: people and the log keep it")
			}
			c, err := a.client(false)
			if err != nil {
				return err
			}
			e, err := c.ReviewEmergency(cmd.Context(), args[0], verdict, note)
			if err != nil {
				return err
			}
			return a.printEmergency(e)
		},
	}
	c.Flags().StringVar(&verdict, "verdict", "", "justified or wrong")
	c.Flags().StringVar(&note, "note", "", "what you found; kept in the log")
	return c
}
