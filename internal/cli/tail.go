package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/spf13/cobra"
)

func (a *app) tailCmd() *cobra.Command {
	var from int64
	var n int
	var f picks
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
				if e.Record != nil && f.takes(e.Record) {
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
	c.Flags().StringVar(&f.actor, "actor", "", "only records of actors with this in their id")
	c.Flags().StringVar(&f.person, "person", "", "only of people with this in their id")
	c.Flags().StringVar(&f.kind, "type", "", "only of this type, or of those below it: token, token.mint")
	c.Flags().StringVar(&f.decision, "decision", "", "only with this decision: deny")
	c.Flags().StringVar(&f.resource, "resource", "", "only of resources with this in their name")
	c.Flags().StringVar(&f.text, "grep", "", "only with this text in what is printed")
	return c
}

func (a *app) printRecord(r *client.Record) error {
	if a.json {
		return a.printLine(r)
	}
	a.printf("%s\n", recordLine(fmt.Sprintf("#%d", r.Index), r, time.TimeOnly, isTerminal(a.out)))
	return nil
}
