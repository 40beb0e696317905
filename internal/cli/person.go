package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/assenthq/assent/internal/known"
	"github.com/assenthq/assent/internal/server"
	"github.com/assenthq/assent/internal/store"
)

func (a *app) personCmd() *cobra.Command {
	c := group(&cobra.Command{Use: "person", Short: "What is known about a person"})
	var file string
	export := &cobra.Command{
		Use: "export NAME…", Short: "Print all that the log, the traffic and the store hold about a person",
		Long: `Print every record and row that names a person, as JSON lines, and at last a line that
says what was looked for, what was found where, and what was not looked into.

NAME is the person's id (person:mira); give every other name that texts may use too. What their
accounts are called at issuers is looked for by itself, and with --config the accounts and the
address that the configuration names. A name counts as a whole word, in capitals or not.

It reads the data directory (--data), or the store of a configuration (--config), also beside
a running server. What one could sign in with is withheld. Records name other people too: look
through them before you hand them out.`,
		Example: `  assent person export person:mira "Mira Novak" >mira.jsonl`,
		Args:    atLeast("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			for _, p := range cfg.People {
				if slices.Contains(args, "person:"+p.ID) {
					args = append(args, p.Accounts...)
					if p.Email != "" {
						args = append(args, p.Email)
					}
				}
			}
			return a.personExport(cmd, cfg, args)
		},
	}
	export.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment; none: what --data names")
	c.AddCommand(export)
	return c
}

func (a *app) personExport(cmd *cobra.Command, cfg *server.Config, names []string) error {
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return failf(exitUsage, "%s is no data directory (--data names one)", cfg.DataDir())
	}
	st, err := server.OpenReadOnly(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	src := known.Sources{Log: st, Traffic: func(fn func(int64, []byte) error) error {
		_, err := cfg.ReadTraffic(cmd.Context(), fn) // what is missing of it is for assent verify to say
		return err
	}}
	if s, ok := st.(tables); ok {
		src.Rows = s.Rows
	}
	sum, err := known.Collect(cmd.Context(), src, names, func(i *known.Item) error { return a.printLine(i) })
	if err != nil {
		return fmt.Errorf("collecting what is known: %w", err)
	}
	if err := a.printLine(map[string]any{"summary": sum}); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(sum.Found)) {
		fmt.Fprintf(a.err, "%s: %d\n", name, sum.Found[name])
	}
	for _, n := range sum.NotRead {
		fmt.Fprintf(a.err, "not looked into: %s\n", n)
	}
	return nil
}

// tables is a store whose tables can be read row by row.
type tables interface {
	Rows(ctx context.Context, t store.Table, fn func(row []any) error) error
}
