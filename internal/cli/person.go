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
	c.AddCommand(export, a.personEraseCmd(), a.personHoldCmd(), a.personReleaseCmd(), a.personHoldsCmd())
	return c
}

func (a *app) personEraseCmd() *cobra.Command {
	var file, reason string
	var run bool
	c := &cobra.Command{
		Use: "erase NAME… --reason TEXT | erase --run", Short: "Ask to erase a person, or carry out what was decided",
		Long: `Ask to erase whoever goes by these names. Give the person's id (person:mira) and every other
name that texts may use; what the configuration and accounts tell is added. Another
administrator decides in the console, and sees how much will go and what won't. Neither may be
that person.

What was decided is carried out by --run on the server's machine, while the server is stopped:
in the log and the tables, names are replaced by a pseudonym and texts that may tell of them
are cut, in one transaction, and the database file is written anew without what was there.
Cut off, it is run again. Open approvals that name the person stop it; so does a log that
doesn't verify.

Not erased: the traffic lane, facts, recordings, bodies, the configuration, backups, and what
went out. docs/privacy.md says what to do about each. It can't be undone.`,
		Example: `  assent person erase person:mira "Mira Novak" --reason "she asked us to"
  assent person erase --run --config assent.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if run {
				if len(args) > 0 || reason != "" {
					return usage(cmd, "--run carries out what was decided: it takes no names")
				}
				return a.personErase(cmd, file)
			}
			if len(args) == 0 || reason == "" || file != "" {
				return usage(cmd, "erasing takes the person's names and --reason: who allows it reads it")
			}
			cl, err := a.client(true)
			if err != nil {
				return err
			}
			ch, err := cl.ErasePerson(cmd.Context(), args, reason)
			if err != nil {
				return err
			}
			return a.printChange(ch)
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why")
	c.Flags().BoolVar(&run, "run", false, "carry out what was decided; the server is stopped")
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment; none: what --data names")
	return c
}

func (a *app) personErase(cmd *cobra.Command, file string) error {
	cfg := &server.Config{Data: a.data}
	if file != "" {
		var err error
		if cfg, err = server.ReadConfig(file); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return failf(exitUsage, "%s is no data directory (--data names one)", cfg.DataDir())
	}
	done, err := server.ErasePeople(cmd.Context(), cfg)
	if a.json && err == nil {
		return a.printJSON(done)
	}
	for _, e := range done {
		a.printf("%s: erased, now %s\n  log: %s\n", e.Order, e.Pseudonym, count(e.Records, "record", "records"))
		for _, t := range slices.Sorted(maps.Keys(e.Rows)) {
			a.printf("  %s: %s\n", t, count(int(e.Rows[t]), "row", "rows"))
		}
		for _, n := range e.Later {
			a.printf("  not erased: %s, which these names lead to since it was decided: order it too\n", inline(n))
		}
		for _, l := range e.Left {
			a.printf("  not erased: %s\n", inline(l))
		}
	}
	if err == nil && len(done) == 0 {
		a.printf("nothing waits to be erased\n")
	}
	return err
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
		_, err := cfg.ReadTraffic(cmd.Context(), st, fn) // what is missing of it is for assent verify to say
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
