package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) reviewersCmd() *cobra.Command {
	return &cobra.Command{
		Use: "reviewers", Short: "How people reviewed in the last 30 days", Args: exactly(),
		Long: `How people reviewed in the last 30 days, as the log tells: how many reviews, how
many approved, how many of those within three seconds of the asking or of their
own review before, the median time, and who approves each other's actions.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client(true)
			if err != nil {
				return err
			}
			list, err := c.Reviewers(cmd.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			if len(list) == 0 {
				a.printf("nobody reviewed anything yet\n")
				return nil
			}
			w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "person\treviews\tapproved\tunder 3 s\tmedian\t90%\tcanaries missed\t")
			for _, r := range list {
				var notes []string
				if r.Stamps != "" {
					notes = append(notes, "seems not to read: "+r.Stamps)
				}
				for _, p := range r.Pairs {
					notes = append(notes, fmt.Sprintf("approves %d of %s's, who approves %d of theirs", p.Given, p.With, p.Gotten))
				}
				took := time.Duration(r.Median * float64(time.Second)).Round(time.Millisecond)
				most := time.Duration(r.P90 * float64(time.Second)).Round(time.Millisecond)
				canaries := "-"
				if r.Canaries > 0 {
					canaries = fmt.Sprintf("%d of %d", r.Missed, r.Canaries)
				}
				_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", inline(nameOr(r.Name, r.Person)), r.Reviews, r.Approved, r.Fast, took, most, canaries, inline(strings.Join(notes, "; ")))
			}
			return w.Flush()
		},
	}
}

func nameOr(name, id string) string {
	if name != "" {
		return name
	}
	return id
}
