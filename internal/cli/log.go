package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/ocsf"
	"github.com/assenthq/assent/internal/server"
	"github.com/assenthq/assent/internal/store"
)

// logFlags are what a search of the log goes by.
type logFlags struct {
	q            client.Query
	since, until string
	decision     string
	text         string
	limit        int
	offline      bool
	config       string
	traffic      bool
	csv, ocsf    bool
}

func (a *app) logCmd() *cobra.Command {
	var f logFlags
	c := &cobra.Command{
		Use: "log", Short: "Search the log, or show one session as it went", Args: exactly(),
		Long: `Print the newest records that match, oldest first: what one session did reads from
top to bottom. All that is named must hold.

--offline reads a data directory (--data, or --config) in place of the server, also
beside a running one; --traffic adds what flowed without asking anybody, from this
node's spool, in the order of time.`,
		Example: `  assent log --session s_4711
  assent log --actor agent:reporter --class card --since 24h
  assent log --person person:mira --type review --since 2026-11-01 --until 2026-12-01 --json`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.log(cmd, &f) },
	}
	s := c.Flags()
	s.StringVar(&f.q.Actor, "actor", "", "id of the actor: agent:reporter")
	s.StringVar(&f.q.Person, "person", "", "id of the person who reviewed or administered: person:mira")
	s.StringVar(&f.q.Resource, "resource", "", "name of the resource: postgres:shop/prod")
	s.StringVar(&f.q.Kind, "kind", "", "kind of action: data.export")
	s.StringVar(&f.q.Class, "class", "", "class of sensitive data that was found or masked: card")
	s.StringVar(&f.q.Session, "session", "", "session of the agent")
	s.StringVar(&f.q.Approval, "approval", "", "id of an approval")
	s.StringSliceVar(&f.q.Types, "type", nil, "types of record, separated by commas: request,review")
	s.StringVar(&f.decision, "decision", "", "decision, or outcome: deny")
	s.StringVar(&f.text, "grep", "", "text in what is printed")
	s.StringVar(&f.since, "since", "", "how far back: 30d, 12h, or a date such as 2026-11-01")
	s.StringVar(&f.until, "until", "", "up to then")
	s.IntVar(&f.limit, "limit", 100, "how many of the newest; 0: all")
	s.BoolVar(&f.csv, "csv", false, "print a table for a spreadsheet (RFC 4180); no cell of it is a formula")
	s.BoolVar(&f.ocsf, "ocsf", false, "print OCSF events (schema "+ocsf.Version+"), one a line")
	s.BoolVar(&f.offline, "offline", false, "read the data directory, not the server")
	s.StringVarP(&f.config, "config", "c", "", "with --offline: configuration of the deployment; none: what --data names")
	s.BoolVar(&f.traffic, "traffic", false, "with --offline: also what flowed, from this node's spool")
	return c
}

func (a *app) log(cmd *cobra.Command, f *logFlags) error {
	switch {
	case f.limit < 0:
		return usage(cmd, "--limit %d: 0 or more", f.limit)
	case !f.offline && (f.config != "" || f.traffic):
		return usage(cmd, "--config and --traffic go with --offline")
	case f.csv && a.json || f.ocsf && (f.csv || a.json):
		return usage(cmd, "--csv, --ocsf and --json: one of them")
	}
	now := time.Now()
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"since", f.since, &f.q.Since}, {"until", f.until, &f.q.Until}} {
		if t.text == "" {
			continue
		}
		at, err := since(t.text, now)
		if err != nil {
			return usage(cmd, "--%s: %v", t.flag, err)
		}
		*t.to = at
	}
	if f.offline && f.limit == 0 && !f.traffic && (f.csv || f.ocsf || a.json) {
		return a.printAll(cmd.Context(), f)
	}
	found, more, err := a.found(cmd.Context(), f)
	if err != nil {
		return err
	}
	if err := a.printFound(f, slices.Backward(found)); err != nil {
		return err
	}
	switch {
	case more:
		fmt.Fprintln(a.err, "… and older ones: --limit 0 shows all")
	case len(found) == 0:
		fmt.Fprintln(a.err, "no record matches")
	}
	return nil
}

// printFound prints records, which come oldest first.
func (a *app) printFound(f *logFlags, found iter.Seq2[int, *laneRecord]) error {
	if f.csv {
		return writeCSV(a.out, found)
	}
	for _, l := range found {
		var err error
		switch {
		case f.ocsf:
			err = a.printEvent(l)
		case a.json:
			err = a.printLine(l)
		default:
			a.printf("%s\n", recordLine(l.name(), &l.Record, time.DateTime, isTerminal(a.out)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// printAll prints all records of the log that match as they are read: none is kept.
func (a *app) printAll(ctx context.Context, f *logFlags) error {
	_, store, err := a.offlineLog(ctx, f)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	head, err := store.Head(ctx)
	if err != nil {
		return err
	}
	var reading error
	n := 0
	printing := a.printFound(f, func(yield func(int, *laneRecord) bool) {
		reading = store.Leaves(ctx, 0, head.Size, func(index int64, leaf []byte) error {
			var l laneRecord
			if err := json.Unmarshal(leaf, &l.Record); err != nil {
				return fmt.Errorf("record %d isn't JSON: run assent verify", index)
			}
			if !f.takes(&l.Record) || !matches(&f.q, &l.Record) {
				return nil
			}
			if n++; !yield(n, &l) {
				return errStopped
			}
			return nil
		})
	})
	if printing == nil && n == 0 && reading == nil {
		fmt.Fprintln(a.err, "no record matches")
	}
	return errors.Join(printing, reading)
}

// errStopped ends the reading of what nobody takes any more.
var errStopped = errors.New("printing stopped")

// takes is what a store's search doesn't know.
func (f *logFlags) takes(r *client.Record) bool {
	return (f.decision == "" || r.Decision == f.decision || r.Outcome == f.decision) && (&picks{text: f.text}).takes(r)
}

// laneRecord is a record and the lane it is in: "" is the log.
type laneRecord struct {
	Lane string `json:"lane,omitempty"`
	client.Record
}

func (l *laneRecord) name() string { return recordName(l.Lane, l.Index) }

func recordName(lane string, index int64) string {
	if lane != "" {
		return fmt.Sprintf("~%d", index) // numbers of traffic are not the log's
	}
	return fmt.Sprintf("#%d", index)
}

// found are the records that match, newest first, and whether there are more than the limit.
func (a *app) found(ctx context.Context, f *logFlags) (out []*laneRecord, more bool, err error) {
	take := func(lane string, r *client.Record) bool {
		if !f.takes(r) {
			return true
		}
		out = append(out, &laneRecord{lane, *r})
		return f.limit == 0 || len(out) <= f.limit || f.traffic
	}
	if f.offline {
		err = a.offlineRecords(ctx, f, take)
	} else {
		err = a.onlineRecords(ctx, f, take)
	}
	if err != nil {
		return nil, false, err
	}
	slices.SortStableFunc(out, func(a, b *laneRecord) int { return b.Time.Compare(a.Time) })
	if f.limit > 0 && len(out) > f.limit {
		return out[:f.limit], true, nil
	}
	return out, false, nil
}

func (a *app) onlineRecords(ctx context.Context, f *logFlags, take func(string, *client.Record) bool) error {
	c, err := a.client(true)
	if err != nil {
		return err
	}
	q := f.q
	for q.Limit = 1000; ; {
		records, next, err := c.Records(ctx, q)
		if err != nil {
			return err
		}
		for i := range records {
			if !take("", &records[i]) {
				return nil
			}
		}
		if next == 0 {
			return nil
		}
		q.Before = next
	}
}

// offlineLog opens what --config or --data names, for reading.
func (a *app) offlineLog(ctx context.Context, f *logFlags) (*server.Config, store.Store, error) {
	cfg := &server.Config{Data: a.data}
	if f.config != "" {
		var err error
		if cfg, err = server.ReadConfig(f.config); err != nil {
			return nil, nil, &exitError{exitUsage, err}
		}
	}
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return nil, nil, failf(exitUsage, "%s is no data directory (--data names one)", cfg.DataDir())
	}
	opened, err := server.OpenReadOnly(ctx, cfg)
	return cfg, opened, err
}

func (a *app) offlineRecords(ctx context.Context, f *logFlags, take func(string, *client.Record) bool) error {
	cfg, store, err := a.offlineLog(ctx, f)
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	q := audit.Query{
		Types: f.q.Types, Actor: f.q.Actor, Person: f.q.Person, Approval: f.q.Approval, Resource: f.q.Resource,
		Session: f.q.Session, Kind: f.q.Kind, Class: f.q.Class, Since: f.q.Since, Until: f.q.Until,
	}
	for q.Limit = 1000; ; {
		records, err := store.Search(ctx, q)
		if err != nil {
			return err
		}
		for i := range records {
			r, err := clientRecord(&records[i])
			if err != nil {
				return err
			}
			if !take("", r) {
				return nil
			}
		}
		if len(records) < q.Limit || records[len(records)-1].Index == 0 {
			break
		}
		q.Before = records[len(records)-1].Index
	}
	if !f.traffic {
		return nil
	}
	_, err = cfg.ReadTraffic(ctx, store, func(seq int64, leaf []byte) error {
		var r client.Record
		if err := json.Unmarshal(leaf, &r); err != nil {
			return fmt.Errorf("record %d of the traffic isn't JSON: run assent verify", seq)
		}
		if matches(&f.q, &r) {
			take("traffic", &r)
		}
		return nil
	})
	return err
}

// clientRecord is a record as the API gives it.
func clientRecord(r *audit.Record) (*client.Record, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out := &client.Record{}
	return out, json.Unmarshal(b, out)
}

// matches is the search of a store, for one record.
func matches(q *client.Query, r *client.Record) bool {
	is := func(want, have string) bool { return want == "" || want == have }
	_, found := r.Findings[q.Class]
	_, masked := r.Masked[q.Class]
	return (len(q.Types) == 0 || slices.Contains(q.Types, r.Type)) &&
		is(q.Actor, r.Actor) && is(q.Person, r.Person) && is(q.Approval, r.Approval) && is(q.Resource, r.Resource) && is(q.Session, r.Session) &&
		(q.Kind == "" || slices.Contains(r.Kinds, q.Kind)) && (q.Class == "" || found || masked) &&
		(q.Since.IsZero() || !r.Time.Before(q.Since)) && (q.Until.IsZero() || r.Time.Before(q.Until))
}
