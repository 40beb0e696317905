package cli

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) fsckCmd() *cobra.Command {
	var file, key string
	c := &cobra.Command{
		Use:   "fsck [--data DIR | --config FILE]",
		Short: "Check everything that a data directory holds",
		Long: `Read everything that a data directory should hold, and say what is missing,
damaged, edited or open to others, with what to do about it: modes and owners of
files, the keys, the pages of the database (SQLite's own check), the log as assent
verify does (records, tiles, head, checkpoint, spool, archive), the seals of
entries, approvals, reviews, credentials and counters, and the vault.

It changes nothing; a running server may keep running. The exit status is 0 when
nothing was found. --config names the configuration where keys or archive lie
elsewhere; --key is the log's public key, as in assent verify.

Not checked: recordings, bodies and facts, which the log does not depend on.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			return a.fsck(cmd, cfg, key)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment; none: what --data names")
	c.Flags().StringVar(&key, "key", "", "the log's verifier key, from elsewhere")
	return c
}

func (a *app) fsck(cmd *cobra.Command, cfg *server.Config, key string) error {
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return failf(exitUsage, "%s is no data directory (--data names one)", cfg.DataDir())
	}
	live := isTerminal(a.err)
	r, err := server.Fsck(cmd.Context(), cfg, key, func(what string, done, total int64) {
		switch {
		case live && total > 0:
			fmt.Fprintf(a.err, "\r\x1b[K%s: %d of %d", what, done, total)
		case live:
			fmt.Fprintf(a.err, "\r\x1b[K%s", what)
		}
	})
	if live {
		fmt.Fprint(a.err, "\r\x1b[K")
	}
	if err != nil {
		return fmt.Errorf("checking %s: %w", cfg.DataDir(), err)
	}
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		if r.Log != nil {
			for _, l := range r.Log.Lines {
				a.printf("%s\n", inline(l))
			}
		}
		for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
			a.printf("%s: %s checked\n", table, count(r.Rows[table], "row", "rows"))
		}
	}
	if len(r.Findings) == 0 {
		return nil
	}
	for _, f := range r.Findings {
		fmt.Fprintf(a.err, "%s: %s\n  %s\n", inline(f.Place), inline(f.What), inline(f.Remedy))
	}
	return failf(exitFailed, "%s in %s", count(len(r.Findings), "finding", "findings"), cfg.DataDir())
}
