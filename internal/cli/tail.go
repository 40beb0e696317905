package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) tailCmd() *cobra.Command {
	var from int64
	var n int
	c := &cobra.Command{
		Use: "tail", Short: "Follow the log as it is written", Args: exactly(),
		Long: `Print the newest records, then each new one as it is written (until interrupted).

Harmless reads go to the traffic spool and appear here when their segment is sealed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n < 0 || n > 1000 {
				return usage(cmd, "--lines %d: from 0 to 1000", n)
			}
			c, err := a.client(true)
			if err != nil {
				return err
			}
			if from < 0 && n > 0 {
				recs, _, err := c.Records(cmd.Context(), client.Query{Limit: n})
				if err != nil {
					return err
				}
				from = 0
				if len(recs) > 0 {
					from = recs[len(recs)-1].Index
				}
			}
			err = c.Tail(cmd.Context(), client.TailOptions{Records: true, From: from}, func(e client.Event) error {
				if e.Record != nil {
					return a.printRecord(e.Record)
				}
				return nil
			})
			if cmd.Context().Err() != nil || errors.Is(err, cmd.Context().Err()) {
				return nil
			}
			return err
		},
	}
	c.Flags().Int64Var(&from, "from", -1, "index of the first record")
	c.Flags().IntVarP(&n, "lines", "n", 10, "how many of the newest records to begin with")
	return c
}

func (a *app) printRecord(r *client.Record) error {
	if a.json {
		return a.printLine(r)
	}
	parts := []string{fmt.Sprintf("#%d", r.Index), r.Time.Local().Format("15:04:05"), inline(r.Type)}
	for _, p := range []string{r.Decision, r.Outcome, r.Actor, r.Person, r.Title, r.Resource, r.Approval, r.Detail["what"]} {
		if p != "" {
			parts = append(parts, clip(inline(p), 80))
		}
	}
	a.printf("%s\n", strings.Join(parts, "  "))
	return nil
}
