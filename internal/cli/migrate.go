package cli

import (
	"fmt"

	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) migrateCmd() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "migrate --data OLD --config assent.yaml",
		Short: "Move a data directory into PostgreSQL",
		Long: `Move the deployment in the data directory OLD into the store: of a configuration:
the same log under the same keys, the same approvals, tokens and entries.

Stop its server first. The store must be empty, and the configuration must name a
new data directory for this node. All of it is copied in one transaction, read back
and compared; then the log is verified in its new place. OLD keeps everything, as
evidence, and is marked so that it can't be served again.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := server.ReadConfig(file)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			live := isTerminal(a.err)
			m, err := server.Migrate(cmd.Context(), a.data, cfg, func(table string, rows int64) {
				if live {
					fmt.Fprintf(a.err, "\r\x1b[K%s: %d rows", table, rows)
				}
			})
			if live {
				fmt.Fprint(a.err, "\r\x1b[K")
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]any{"records": m.Size, "root": fmt.Sprintf("%x", m.Root), "before": string(m.Before), "after": string(m.After)})
			}
			a.printf("%d records are in the new store, verified, under the same root.\n\nbefore, in %s:\n%s\nafter, in the store:\n%s\n", m.Size, inline(a.data), m.Before, m.After)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "assent.yaml", "configuration of the first node on the new store")
	return c
}
