package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) verifyCmd() *cobra.Command {
	var key, keys, file string
	var witnesses []string
	c := &cobra.Command{
		Use:   "verify [BUNDLE | --data DIR | --config FILE]",
		Short: "Verify a deployment's log, or a bundle of evidence, offline",
		Long: `Rehash every record of a data directory, check the tree, the signed checkpoint,
the copy of it kept outside the database and the traffic spool, and say what holds.

It needs no server and changes nothing; a running server may keep running.
--config names the configuration of a node whose store is PostgreSQL: its log is
read from there, its checkpoint and spool from the node's data directory.
--key takes the log's public key (a C2SP verifier key) from elsewhere: with the
key in the data directory itself, whoever wrote the directory could have signed it.
--witness takes the key of a witness whose cosignatures count, beside those in
the configuration; without one the log is said to be not witnessed.

A BUNDLE that assent evidence wrote is verified by itself: each of its bytes, that its
records are in the log, and that none of its period is missing. --key and --keys give
the log's key from elsewhere; without one a bundle can only agree with itself, which is said.

Status 0: all of it holds. 1: something does not. 2: it could not be read.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if file != "" {
					return usage(cmd, "--config goes with no bundle")
				}
				list, err := keyList(key, keys)
				if err != nil {
					return &exitError{exitUsage, err}
				}
				return a.verifyBundleFile(args[0], list, witnesses)
			}
			if keys != "" {
				return usage(cmd, "--keys goes with a bundle; --key gives one key")
			}
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			return a.verify(cmd, cfg, key, witnesses)
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the deployment; none: what --data names")
	c.Flags().StringVar(&key, "key", "", "the log's verifier key, for example from /v1/audit/checkpoint's documentation")
	c.Flags().StringVar(&keys, "keys", "", "with a bundle: file of verifier keys, one a line")
	c.Flags().StringArrayVar(&witnesses, "witness", nil, "key of a witness, as it prints it at its start (repeatable)")
	return c
}

// keyList are the keys given by a flag and in a file; # begins a comment.
func keyList(key, file string) (out []string, err error) {
	if key != "" {
		out = append(out, key)
	}
	if file == "" {
		return out, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no key: one a line, as assent keys prints it", file)
	}
	return out, nil
}

func (a *app) verify(cmd *cobra.Command, cfg *server.Config, key string, witnesses []string) error {
	data := cfg.DataDir()
	if _, err := os.Stat(data); err != nil {
		return failf(exitUsage, "%s is no data directory (--data names one)", data)
	}
	if key == "" {
		var err error
		if key, err = server.Verifier(cfg); err != nil {
			return failf(exitUsage, "%w (or give the public key by --key)", err)
		}
	}
	store, err := server.OpenReadOnly(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	progress := func(int64, int64) {}
	if isTerminal(a.err) {
		progress = func(done, total int64) { fmt.Fprintf(a.err, "\r%d of %d records", done, total) }
	}
	o := cfg.VerifyOptions(key)
	o.Progress = progress
	for _, w := range witnesses {
		if _, err := evidence.CheckWitness(w); err != nil {
			return failf(exitUsage, "--witness: %w", err)
		}
		if !slices.Contains(o.Witnesses, w) {
			o.Witnesses = append(o.Witnesses, w)
		}
	}
	r, err := audit.Verify(cmd.Context(), store, o)
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
			a.printf("%s\n", inline(l))
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
			fmt.Fprintf(a.err, "record %d: %s\n", p.Index, inline(p.What))
		} else {
			fmt.Fprintf(a.err, "%s\n", inline(p.What))
		}
	}
	return failf(exitFailed, "NOT VERIFIED: %s; keep this directory as it is, it is evidence", count(len(r.Problems), "problem", "problems"))
}
