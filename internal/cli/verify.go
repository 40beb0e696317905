package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/server"
	"github.com/assenthq/assent/internal/store/sqlite"
	"github.com/spf13/cobra"
)

func (a *app) verifyCmd() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use:   "verify --data DIR",
		Short: "Verify the log of a data directory, offline",
		Long: `Rehash every record of a data directory, check the tree, the signed checkpoint,
the copy of it kept outside the database and the traffic spool, and say what holds.

It needs no server and changes nothing; a running server may keep running.
--key takes the log's public key (a C2SP verifier key) from elsewhere: with the
key in the data directory itself, whoever wrote the directory could have signed it.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.verify(cmd, a.data, key) },
	}
	c.Flags().StringVar(&key, "key", "", "the log's verifier key, for example from /v1/audit/checkpoint's documentation")
	return c
}

func (a *app) verify(cmd *cobra.Command, data, key string) error {
	if _, err := os.Stat(data); err != nil {
		return failf(exitUsage, "%s is no data directory (--data names one)", data)
	}
	if key == "" {
		var err error
		if key, err = server.Verifier(data); err != nil {
			return failf(exitUsage, "%w (or give the public key by --key)", err)
		}
	}
	store, err := sqlite.OpenReadOnly(cmd.Context(), data)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	progress := func(int64, int64) {}
	if isTerminal(a.err) {
		progress = func(done, total int64) { fmt.Fprintf(a.err, "\r%d of %d records", done, total) }
	}
	r, err := audit.Verify(cmd.Context(), store, audit.VerifyOptions{VKeys: []string{key}, HeadFile: filepath.Join(data, "checkpoint"), SpoolDir: filepath.Join(data, "spool"), Progress: progress})
	if isTerminal(a.err) {
		fmt.Fprint(a.err, "\r\x1b[K")
	}
	if err != nil {
		return fmt.Errorf("verifying %s: %w", data, err)
	}
	if a.json {
		if err := a.printJSON(r); err != nil {
			return err
		}
	} else {
		for _, l := range r.Lines {
			a.printf("%s\n", l)
		}
	}
	if !r.OK() {
		return a.problems(r)
	}
	return nil
}

// problems tells what is not as it was written, first things first.
func (a *app) problems(r *audit.Report) error {
	const most = 20
	for i, p := range r.Problems {
		if i == most {
			fmt.Fprintf(a.err, "… and %d more\n", len(r.Problems)-most)
			break
		}
		if p.Index >= 0 {
			fmt.Fprintf(a.err, "record %d: %s\n", p.Index, p.What)
		} else {
			fmt.Fprintf(a.err, "%s\n", p.What)
		}
	}
	return failf(exitFailed, "NOT VERIFIED: %s; keep this directory as it is, it is evidence", count(len(r.Problems), "problem", "problems"))
}
