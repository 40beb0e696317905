package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/server"
	"github.com/assenthq/assent/internal/suggest"
	"github.com/spf13/cobra"
)

// suggestFlags are those of policy suggest.
type suggestFlags struct {
	config, out string
	since       time.Duration
	o           suggest.Options
}

func (a *app) policySuggestCmd() *cobra.Command {
	var f suggestFlags
	c := &cobra.Command{
		Use: "suggest [--config FILE | --data DIR] [PACK|DIR...]", Short: "Propose rules for what people approve again and again",
		Long: `Read in a deployment's log what people approved again and again, and print the rules
that would spare them the asking: as one difference of the packs, for git apply, with
tests, an owner and a last day, and with what it would have done to the log's requests.
The packs are those given, or those of --config.

Nothing is applied. Once the difference is in your packs, assent policy apply puts them
in force under approval, as ever. What was denied, expired, tainted, one reviewer's
habit, or approved faster than it can be read is never suggested, nor is a kind of
action of which each is decided by itself.

  assent policy suggest --data ./assent-data packs/ | git apply`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.suggest(cmd, &f, args) },
	}
	c.Flags().StringVarP(&f.config, "config", "c", "", "configuration of the deployment; none: what --data names")
	c.Flags().StringVar(&f.out, "out", "", "write the difference to this file")
	c.Flags().DurationVar(&f.since, "since", 30*24*time.Hour, "how far back the log is read")
	c.Flags().IntVar(&f.o.Approvals, "approvals", 5, "least approvals of one habit, from 3")
	c.Flags().IntVar(&f.o.People, "people", 2, "least people who gave them, from 2")
	c.Flags().IntVar(&f.o.Days, "days", 3, "least days on which they did")
	c.Flags().DurationVar(&f.o.Life, "for", 90*24*time.Hour, "how long a suggested rule permits, up to a year")
	return c
}

func (a *app) suggest(cmd *cobra.Command, f *suggestFlags, args []string) error {
	switch {
	case f.o.Approvals < 3 || f.o.People < 2 || f.o.Days < 1:
		return usage(cmd, "less than 3 approvals, 2 people or 1 day is no habit")
	case f.o.Life < 24*time.Hour || f.o.Life > 366*24*time.Hour || f.since <= 0:
		return usage(cmd, "--for is from a day to a year, --since more than nothing")
	case f.config == "" && len(args) == 0:
		return usage(cmd, "PACK or DIR is missing: nothing in a data directory says which packs are in force; --config does")
	}
	cfg := &server.Config{Data: a.data}
	var err error
	if f.config != "" {
		if cfg, err = server.ReadConfig(f.config); err != nil {
			return &exitError{exitUsage, err}
		}
	}
	files, err := suggestTo(cfg, args)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return failf(exitUsage, "%s is no data directory (--data names one)", cfg.DataDir())
	}
	f.o.Now = time.Now()
	records, err := history(cmd.Context(), cfg, f.o.Now.Add(-f.since))
	if err != nil {
		return err
	}
	p, err := suggest.Propose(suggest.Read(records), files, f.o)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	return a.printProposal(p, f.out)
}

// suggestTo are the packs, under names that git knows where they lie below the working directory.
func suggestTo(cfg *server.Config, args []string) (map[string][]byte, error) {
	var read map[string][]byte
	var err error
	if len(args) > 0 {
		read, err = policy.ReadPaths(args)
	} else {
		read, err = server.ReadPolicy(cfg)
	}
	if err != nil {
		return nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name, text := range read {
		if near, err := filepath.Rel(here, name); err == nil && filepath.IsAbs(name) && filepath.IsLocal(near) {
			name = near
		}
		files[name] = text
	}
	return files, nil
}

// history is what a deployment's log has since then of what suggestions stand on, with what its
// spool has of refusals, of what a rule in shadow mode would have held, and of how approved actions ended.
func history(ctx context.Context, cfg *server.Config, since time.Time) ([]audit.Record, error) {
	store, err := server.OpenReadOnly(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	const page = 5000
	var out []audit.Record
	for before := int64(0); ; {
		recs, err := store.Search(ctx, audit.Query{Types: suggest.Types(), Since: since, Before: before, Limit: page})
		if err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		out = append(out, recs...)
		if len(recs) < page || recs[len(recs)-1].Index == 0 {
			break
		}
		before = recs[len(recs)-1].Index
	}
	_, err = cfg.ReadTraffic(ctx, store, func(_ int64, leaf []byte) error {
		var r audit.Record
		if err := json.Unmarshal(leaf, &r); err != nil {
			return fmt.Errorf("a record of the spool: %w", err)
		}
		refused := r.Type == audit.TypeRequest && (r.Decision != policy.Allow.String() || suggest.Watches(&r))
		if r.Time.After(since) && (refused || r.Type == audit.TypeOutcome && r.Approval != "") {
			r.Index, r.Previous = 0, 0 // another lane: its numbers are not the log's
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

// suggestionJSON is what --json prints of a suggestion. docs/cli.md names its members.
type suggestionJSON struct {
	Rule      string    `json:"rule"`
	File      string    `json:"file"`
	Owner     string    `json:"owner"`
	Until     time.Time `json:"until"`
	Actor     string    `json:"actor"`
	Resource  string    `json:"resource"`
	Kinds     []string  `json:"kinds"`
	Title     string    `json:"title"`
	Held      []string  `json:"held_by"`
	Approved  int       `json:"approved"`
	Asked     int       `json:"asked"`
	People    int       `json:"people"`
	Days      int       `json:"days"`
	Requests  int       `json:"replayed"`
	Unasked   int       `json:"unasked"`
	OtherFlow int       `json:"others_let_through"`
}

type refusedJSON struct {
	Actor    string   `json:"actor"`
	Resource string   `json:"resource"`
	Kinds    []string `json:"kinds"`
	Title    string   `json:"title"`
	Why      string   `json:"why"`
}

type shadowJSON struct {
	Rule    string    `json:"rule"`
	File    string    `json:"file"`
	Owner   string    `json:"owner"`
	Until   time.Time `json:"until"`
	Days    int       `json:"days"`
	Would   int       `json:"would_hold"`
	Allowed int       `json:"allowed"`
	Most    int       `json:"most_a_day"`
}

type proposalJSON struct {
	Suggestions []suggestionJSON `json:"suggestions"`
	Shadows     []shadowJSON     `json:"shadows"`
	Refused     []refusedJSON    `json:"refused"`
	Diff        string           `json:"diff"`
}

func (a *app) printProposal(p *suggest.Proposal, file string) error {
	if file != "" {
		if err := os.WriteFile(file, p.Diff, 0o600); err != nil {
			return err
		}
	}
	if a.json {
		out := proposalJSON{Suggestions: []suggestionJSON{}, Shadows: []shadowJSON{}, Refused: []refusedJSON{}, Diff: string(p.Diff)}
		for _, s := range p.Suggestions {
			b := s.Habit
			out.Suggestions = append(out.Suggestions, suggestionJSON{
				s.Rule, s.File, s.Owner, s.Until, b.Actor, b.Resource, b.Kinds, b.Title, s.Held, b.Approved, b.Asked, len(b.People), len(b.Days), s.Requests, s.Unasked, s.Other + s.Opened,
			})
		}
		for _, s := range p.Shadows {
			out.Shadows = append(out.Shadows, shadowJSON{s.Rule, s.File, s.Owner, s.Until, s.Days, s.Would, s.Flew, s.Most})
		}
		for _, r := range p.Refused {
			out.Refused = append(out.Refused, refusedJSON{r.Actor, r.Resource, r.Kinds, r.Title, r.Why})
		}
		return a.printJSON(out)
	}
	for i, s := range p.Suggestions { // git apply passes over what stands before a difference
		b := s.Habit
		a.printf("# %d. %s: %s by %s on %s\n", i+1, s.Rule, inline(clip(b.Title, 80)), inline(b.Actor), inline(b.Resource))
		a.printf("#    people said yes %d of %d times: %s, on %d days, %s to %s\n", b.Approved+b.Quick, b.Asked, inline(strings.Join(slices.Sorted(slices.Values(b.People)), ", ")), len(b.Days), b.First.UTC().Format(time.DateOnly), b.Last.UTC().Format(time.DateOnly))
		a.printf("#    held by %s; permits up to %d rows until %s\n", strings.Join(s.Held, ", "), max(b.Rows.N, 1), s.Until.Format(time.DateOnly))
		a.printf("#    of %d requests in the log %d would not have been asked about, and nothing else would flow that did not\n", s.Requests, s.Unasked)
	}
	for _, s := range p.Shadows {
		a.printf("# %s watched, and could begin: on %d days it would have held %d of %d requests, at most %d a day; %d of them were allowed\n", s.Rule, s.Days, s.Would, s.Of, s.Most, s.Flew)
		a.printf("#    it begins by itself on %s; its pack is of %s\n", s.Until.Format(time.DateOnly), inline(nameOr(s.Owner, "nobody yet: name an owner")))
	}
	for _, why := range p.NotYet {
		a.printf("# %s\n", inline(why))
	}
	if len(p.Suggestions)+len(p.Shadows) == 0 {
		a.printf("# nothing to suggest\n")
	}
	for _, r := range p.Refused {
		a.printf("# not %s by %s on %s: %s\n", inline(clip(r.Title, 80)), inline(r.Actor), inline(r.Resource), inline(r.Why))
	}
	if file == "" {
		a.printf("%s", p.Diff)
	}
	return nil
}
