package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

// recordAt is the decision with that index in the log. It is asked of the server, or read
// from the data directory where none runs: home is that directory then.
func (a *app) recordAt(cmd *cobra.Command, o *explainFlags) (r *client.Record, home string, err error) {
	recs, err := a.recordsBefore(cmd.Context(), o.record+1)
	var api *client.Error
	named := a.url != "" || os.Getenv("ASSENT_URL") != "" // another machine's: what lies here is not its log
	if err != nil && !errors.As(err, &api) && !named {
		cfg := &server.Config{Data: a.data}
		if o.config != "" {
			c, cerr := server.ReadConfig(o.config)
			if cerr != nil {
				return nil, "", &exitError{exitUsage, cerr}
			}
			cfg = c
		}
		stored, serr := storedBefore(cmd.Context(), cfg, o.record+1)
		if serr != nil {
			return nil, "", errors.Join(err, serr)
		}
		recs, err, home = stored, nil, cfg.DataDir()
	}
	if err != nil {
		return nil, "", err
	}
	if len(recs) == 0 || recs[len(recs)-1].Index != o.record {
		return nil, "", failf(exitNotFound, "there is no record %d in the log", o.record)
	}
	r = &recs[len(recs)-1]
	if r.Type != audit.TypeRequest {
		return nil, "", failf(exitUsage, "record %d is of type %s: a decision is of type request", o.record, r.Type)
	}
	return r, home, nil
}

func (a *app) recordsBefore(ctx context.Context, index int64) ([]client.Record, error) {
	c, err := a.client(true)
	if err != nil {
		return nil, err
	}
	recs, _, err := c.Records(ctx, client.Query{Before: index, Limit: 1})
	return recs, err
}

// storedBefore reads the record before that index from a deployment's store.
func storedBefore(ctx context.Context, cfg *server.Config, index int64) ([]client.Record, error) {
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return nil, failf(exitUsage, "%s is no data directory (--data names one)", cfg.DataDir())
	}
	st, err := server.OpenReadOnly(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = st.Close() }()
	kept, err := st.Search(ctx, audit.Query{Before: index, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return nil, err
	}
	var recs []client.Record
	if err := json.Unmarshal(b, &recs); err != nil { // the API gives them as they are
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	return recs, nil
}

// A keptAt is where the facts of a decision stand among those of a directory.
type keptAt struct {
	block, nth int
	away       time.Duration // from the record's time
	tie        bool
}

// withFacts calls f with the facts that were kept of a decision, and reports whether there
// were any: those of the same action, asker and verdict nearest to the record's time.
func withFacts(ctx context.Context, dir string, r *client.Record, f func(in *policy.Input) error) (bool, error) {
	const apart = 5 * time.Second
	d, err := facts.OpenDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = d.Close() }()
	span := facts.Span{From: r.Time.Add(-apart), To: r.Time.Add(apart)}
	var best *keptAt
	block, nth := -1, 0
	walk := func(f func(k *facts.Record) error) error {
		block, nth = -1, 0
		return d.Each(ctx, span, 1, nil, func(_ int, k *facts.Record) error {
			if nth++; k.Block != block {
				block, nth = k.Block, 0
			}
			return f(k)
		})
	}
	if err := walk(func(k *facts.Record) error {
		away := k.Input.Time.Sub(r.Time).Abs()
		switch {
		case !factsOf(k, r) || best != nil && away > best.away:
		case best != nil && away == best.away:
			best.tie = true
		default:
			best = &keptAt{block, nth, away, false}
		}
		return nil
	}); err != nil || best == nil || best.tie {
		return false, err
	}
	return true, walk(func(k *facts.Record) error {
		if block == best.block && nth == best.nth {
			return f(&k.Input)
		}
		return nil
	})
}

// factsOf reports facts that may be those of r.
func factsOf(k *facts.Record, r *client.Record) bool {
	a := k.Input.Action
	kinds := make([]string, len(a.Kinds))
	for i, kind := range a.Kinds {
		kinds[i] = string(kind)
	}
	slices.Sort(kinds)
	return k.Input.ActorID == r.Actor && a.Verb == r.Verb && a.Shape == r.Shape && a.Resource.Env == r.Env && k.Verdict.String() == r.Decision &&
		slices.Equal(kinds, slices.Sorted(slices.Values(r.Kinds)))
}
