package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/replay"
	"github.com/assenthq/assent/internal/server"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"
)

type replayFlags struct {
	since, facts, config, html, ack string
	policy                          []string
	generate                        int
	seed                            uint64
	workers                         int
	held                            bool
}

func (a *app) policyReplayCmd() *cobra.Command {
	var o replayFlags
	c := &cobra.Command{
		Use: "replay [--since 30d] [--policy PACK|DIR...] [--ack FILE] [--html FILE]", Short: "Say what another policy would have decided of what agents did", Args: exactly(),
		Long: `Decide recorded actions again under other packs, from the facts that the server
keeps beside its log (docs/replay.md), and say what would have been different: the
verdicts, approvals a day for each group of reviewers, and the shapes that changed.

The status is 1 when something that was denied would be allowed, unless its line
stands in the file of --ack: the id that is printed first, and whatever follows. With
--held also when something that people were asked about would flow.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.replay(cmd.Context(), cmd, &o) },
	}
	f := c.Flags()
	f.StringVar(&o.since, "since", "30d", "how far back: 30d, 12h, or a date such as 2026-11-01")
	f.StringArrayVar(&o.policy, "policy", nil, "pack, directory or builtin:NAME; again for more (default: the packs of --config)")
	f.StringVar(&o.config, "config", "", "configuration with the data directory, verdicts where no rule matches, and packs")
	f.StringVar(&o.facts, "facts", "", "directory of facts (default: facts in the data directory)")
	f.StringVar(&o.html, "html", "", "write a report with plots to this file")
	f.StringVar(&o.ack, "ack", "", "file of changes from deny to allow that are meant")
	f.BoolVar(&o.held, "held", false, "what people were asked about and would flow counts as loosened too")
	f.IntVar(&o.workers, "workers", 0, "how many cores to use (default: all)")
	f.IntVar(&o.generate, "generate", 0, "write a made-up history of so many actions to --facts instead, decided by the packs")
	f.Uint64Var(&o.seed, "seed", 1, "which history to make up")
	_ = f.MarkHidden("generate")
	_ = f.MarkHidden("seed")
	return c
}

func (a *app) replay(ctx context.Context, cmd *cobra.Command, o *replayFlags) error {
	set, dir, err := a.replayed(cmd, o)
	if err != nil {
		return err
	}
	if o.generate > 0 {
		if o.facts == "" {
			return usage(cmd, "--generate wants --facts: a directory of its own")
		}
		progress, done := a.progress("actions written")
		err := replay.Generate(dir, o.generate, o.seed, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), set, progress)
		done()
		return err
	}
	from, err := since(o.since, time.Now())
	if err != nil {
		return usage(cmd, "--since: %v", err)
	}
	if from.After(time.Now()) {
		return usage(cmd, "--since %s is to come: nothing was decided since then", o.since)
	}
	acked, err := readAcks(o.ack)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	d, err := facts.OpenDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return failf(exitUsage, "%s is not there: name the data directory of a server with --data, or a directory of facts with --facts", dir)
	}
	if err != nil {
		return err
	}
	defer d.Close()
	progress, done := a.progress("actions")
	r, err := replay.Run(ctx, replay.Options{Facts: d, Policy: set, Span: facts.Span{From: from}, Workers: o.workers, Progress: progress, Acked: acked, Held: o.held})
	done()
	if err != nil {
		return err
	}
	if o.html != "" {
		if err := os.WriteFile(o.html, []byte(r.HTML()), 0o600); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	if a.json {
		err = a.printJSON(r)
	} else {
		a.printf("%s", printable(r.Human()))
	}
	if err == nil && r.Actions == 0 {
		// A gate of CI must not pass because the facts are elsewhere, cut or too old.
		return failf(exitFailed, "no action was replayed: %s has none since %s", dir, from.Format(time.DateOnly))
	}
	if n := r.Unacknowledged(); err == nil && n > 0 {
		return failf(exitFailed, "%s would go %s\n  put the lines above that are meant into a file, and name it with --ack", count(n, "shape", "shapes"), map[bool]string{false: "from deny to allow", true: "from deny or review to allow"}[o.held])
	}
	return err
}

// replayed loads the packs and finds the facts.
func (a *app) replayed(cmd *cobra.Command, o *replayFlags) (*policy.Set, string, error) {
	var opts policy.Options
	dir, cfg := server.FactsDir(a.data), (*server.Config)(nil)
	if o.config != "" {
		var err error
		if cfg, err = server.ReadConfig(o.config); err != nil {
			return nil, "", &exitError{exitUsage, err}
		}
		opts = server.PolicyOptions(cfg)
		if !cmd.Flags().Changed("data") {
			dir = server.FactsDir(cfg.DataDir())
		}
	}
	if o.facts != "" {
		dir = o.facts
	}
	var set *policy.Set
	var err error
	switch {
	case len(o.policy) > 0:
		set, err = policy.LoadPaths(o.policy, opts)
	case cfg != nil:
		set, err = server.LoadPolicy(cfg, opts)
	default:
		return nil, "", usage(cmd, "--policy or --config is missing: which packs decide?")
	}
	if err != nil {
		return nil, "", &exitError{exitUsage, err}
	}
	return set, dir, nil
}

// since reads how far back: days, a duration or a date.
func since(s string, now time.Time) (time.Time, error) {
	if days, is := strings.CutSuffix(s, "d"); is {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 30d, 12h or 2026-11-01", s)
}

// readAcks reads the first word of each line that is no comment.
func readAcks(file string) (map[string]bool, error) {
	out := map[string]bool{}
	if file == "" {
		return out, nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading what is acknowledged: %w", err)
	}
	for lines := bufio.NewScanner(strings.NewReader(string(b))); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 0 && words[0][0] != '#' {
			out[words[0]] = true
		}
	}
	return out, nil
}

// progress draws a bar on a terminal, and nothing elsewhere.
func (a *app) progress(what string) (f func(done, total int64), end func()) {
	file, is := a.err.(*os.File)
	if !is || a.json || !term.IsTerminal(file.Fd()) {
		return nil, func() {}
	}
	var mu sync.Mutex
	var last time.Time
	return func(done, total int64) {
			mu.Lock()
			defer mu.Unlock()
			if time.Since(last) < 100*time.Millisecond || total <= 0 {
				return
			}
			last = time.Now()
			full := int(30 * min(done, total) / total)
			fmt.Fprintf(file, "\r[%s%s] %d of %d %s", strings.Repeat("█", full), strings.Repeat(" ", 30-full), done, total, what)
		}, func() {
			fmt.Fprint(file, "\r\x1b[K")
		}
}
