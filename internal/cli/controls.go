package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/controls"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

// controlsFlags say which records are held against which controls.
type controlsFlags struct {
	ids          []string
	since, until string
	from, to     time.Time
	config       string
	key, keys    string
	html, pdf    string
	oscal        string
	traffic      bool
	reference    bool
}

func (a *app) controlsCmd() *cobra.Command {
	var f controlsFlags
	c := &cobra.Command{
		Use: "controls [BUNDLE]", Short: "Say what the log shows of SOC 2 and NIST SP 800-53, and its exceptions", Args: cobra.MaximumNArgs(1),
		Long: `Count, for each control, the records behind its claim, and look for exceptions: an
action that ran undecided, a review by who asked, an emergency that nobody reviewed,
heartbeats that are missing (docs/controls.md lists all). With a bundle, it is verified
first; without, the records are read from a data directory (--data, or --config), also
beside a running server, and assent verify is what proves them.

The status is 1 when there is an exception. Whether a control is met is for the auditor to say.`,
		Example: `  assent evidence controls q3.zip --key "$(cat log.vkey)"
  assent evidence controls --since 90d --traffic --html controls.html
  assent evidence controls q3.zip --control CC6.1,AC-5`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.controls(cmd, args, &f) },
	}
	s := c.Flags()
	s.StringSliceVar(&f.ids, "control", nil, "ids of controls, separated by commas, to be told in full: CC6.1,AC-2")
	s.StringVar(&f.since, "since", "", "how far back: 30d, 12h, or a date such as 2026-11-01; none: from the first record")
	s.StringVar(&f.until, "until", "", "up to then; none: all there is")
	s.StringVarP(&f.config, "config", "c", "", "configuration of the deployment; none: what --data names")
	s.StringVar(&f.key, "key", "", "with a bundle: the log's verifier key, from elsewhere than the bundle")
	s.StringVar(&f.keys, "keys", "", "with a bundle: file of verifier keys, one a line")
	s.BoolVar(&f.traffic, "traffic", false, "with a data directory: also what flowed, from this node's spool")
	s.StringVar(&f.html, "html", "", "write a report with plots to this file")
	s.StringVar(&f.pdf, "pdf", "", "write a summary as PDF to this file")
	s.StringVar(&f.oscal, "oscal", "", "write OSCAL assessment results ("+controls.OSCALVersion+", JSON) to this file")
	s.BoolVar(&f.reference, "reference", false, "print the table of controls as a page, and read nothing")
	return c
}

func (a *app) controls(cmd *cobra.Command, args []string, f *controlsFlags) error {
	if f.reference {
		a.printf("%s", controls.Reference())
		return nil
	}
	list, unknown := controls.Find(f.ids)
	if unknown != "" {
		return usage(cmd, "--control %s: the table has no such control; docs/controls.md lists them", inline(unknown))
	}
	now := time.Now()
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"since", f.since, &f.from}, {"until", f.until, &f.to}} {
		if t.text == "" {
			continue
		}
		at, err := since(t.text, now)
		if err != nil {
			return usage(cmd, "--%s: %v", t.flag, err)
		}
		*t.to = at
	}
	c := controls.New(list)
	var r *controls.Result
	var err error
	switch {
	case len(args) == 1 && (f.config != "" || f.traffic):
		return usage(cmd, "--config and --traffic go with a data directory, not with a bundle")
	case len(args) == 1:
		r, err = a.controlsOfBundle(args[0], f, c)
	case f.key != "" || f.keys != "":
		return usage(cmd, "--key and --keys go with a bundle")
	default:
		r, err = a.controlsOfDirectory(cmd.Context(), f, c)
	}
	if err != nil {
		return err
	}
	if f.html != "" {
		if err := os.WriteFile(f.html, []byte(r.HTML()), 0o600); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	if f.pdf != "" {
		b, err := r.PDF(now, Version())
		if err == nil {
			err = os.WriteFile(f.pdf, b, 0o600)
		}
		if err != nil {
			return fmt.Errorf("writing the summary: %w", err)
		}
	}
	if f.oscal != "" {
		b, err := json.MarshalIndent(r.OSCAL(now, Version()), "", "  ")
		if err == nil {
			err = os.WriteFile(f.oscal, append(b, '\n'), 0o600)
		}
		if err != nil {
			return fmt.Errorf("writing assessment results: %w", err)
		}
	}
	if a.json {
		err = a.printJSON(r)
	} else {
		a.printControls(r, len(f.ids) > 0)
	}
	if err == nil && r.Count() > 0 {
		return failf(exitFailed, "%s", count(int(r.Count()), "exception", "exceptions"))
	}
	return err
}

// in reports whether a record of this time is of the period.
func (f *controlsFlags) in(t time.Time) bool {
	return (f.from.IsZero() || !t.Before(f.from)) && (f.to.IsZero() || t.Before(f.to))
}

// controlsOfBundle verifies a bundle, and holds its period against the controls.
func (a *app) controlsOfBundle(name string, f *controlsFlags, c *controls.Checker) (*controls.Result, error) {
	keys, err := keyList(f.key, f.keys)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	defer func() { _ = file.Close() }()
	progress, ends := a.progress("records")
	told, err := verifyBundle(file, evidence.BundleOptions{VKeys: keys, Progress: progress})
	ends()
	if err != nil {
		return nil, failf(exitFailed, "NOT VERIFIED: %s: %s", inline(name), inline(err.Error()))
	}
	m := &told.Manifest
	for what := range m.Query {
		if what != "erased" {
			return nil, failf(exitUsage, "%s was made with a filter (%s), so that exceptions may be among what it leaves out: make one of the whole period", inline(name), inline(what))
		}
	}
	for at, t := range map[*time.Time]*time.Time{&f.from: m.Since, &f.to: m.Until} {
		if t != nil && at.IsZero() {
			*at = *t
		}
	}
	b, err := evidence.OpenBundle(file, told.Size)
	if err != nil {
		return nil, err
	}
	c.Hidden(m.Hidden)
	err = b.Records(func(index int64, leaf []byte) error {
		if index >= m.First && f.in(timeOf(leaf)) {
			c.Add("", index, leaf)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r := c.Result()
	r.Source, r.Verified = name, told.Lines()
	for _, p := range told.Problems {
		r.Verified = append(r.Verified, "CONTRADICTED BY A SIGNATURE: "+p)
	}
	return r, nil
}

// timeOf is the time of a leaf that can be read; else the zero time, which every open period has.
func timeOf(leaf []byte) time.Time {
	var r struct{ Time time.Time }
	if err := json.Unmarshal(leaf, &r); err != nil {
		return time.Time{}
	}
	return r.Time
}

// controlsOfDirectory holds the log of a data directory against the controls, and the traffic.
func (a *app) controlsOfDirectory(ctx context.Context, f *controlsFlags, c *controls.Checker) (*controls.Result, error) {
	cfg := &server.Config{Data: a.data}
	if f.config != "" {
		var err error
		if cfg, err = server.ReadConfig(f.config); err != nil {
			return nil, &exitError{exitUsage, err}
		}
	}
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return nil, failf(exitUsage, "%s is no data directory (--data names one; a bundle needs none)", cfg.DataDir())
	}
	store, err := server.OpenReadOnly(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = store.Close() }()
	head, err := store.Head(ctx)
	if err != nil {
		return nil, err
	}
	first := int64(0)
	if !f.from.IsZero() {
		before, err := store.Search(ctx, audit.Query{Until: f.from, Limit: 1}) // times never go back in the log
		if err != nil {
			return nil, err
		}
		if len(before) > 0 {
			first = before[0].Index + 1
		}
	}
	progress, ends := a.progress("records")
	err = store.Leaves(ctx, first, head.Size, func(index int64, leaf []byte) error {
		if progress != nil && index%1024 == 0 {
			progress(index-first, head.Size-first)
		}
		if f.to.IsZero() || f.in(timeOf(leaf)) {
			c.Add("", index, leaf)
		}
		return nil
	})
	ends()
	if err == nil && f.traffic {
		_, err = cfg.ReadTraffic(ctx, store, func(seq int64, leaf []byte) error {
			if f.in(timeOf(leaf)) {
				c.Add("traffic", seq, leaf)
			}
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	r := c.Result()
	r.Source = cfg.DataDir()
	return r, nil
}

// printControls tells the result: a line a control, or each in full.
func (a *app) printControls(r *controls.Result, full bool) {
	a.printf("%s: ", inline(r.Source))
	if r.Records == 0 {
		a.printf("no record of the period\n")
	} else {
		a.printf("records %d to %d of the log, %s to %s", r.First, r.End-1, r.From.Format(time.RFC3339), r.To.Format(time.RFC3339))
		if r.Traffic > 0 {
			a.printf("; %s", count(int(r.Traffic), "record of traffic", "records of traffic"))
		}
		a.printf("\n")
	}
	for _, l := range r.Verified {
		a.printf("%s\n", inline(l))
	}
	if len(r.Verified) == 0 {
		a.printf("NOT VERIFIED: the records are as the data directory has them; assent verify proves them\n")
	}
	if r.Earlier > 0 {
		a.printf("%s on records from before the period, and could not be judged\n", count(int(r.Earlier), "record rests", "records rest"))
	}
	framework := ""
	for i := range r.Controls {
		c := &r.Controls[i]
		if c.Framework != framework {
			framework = c.Framework
			a.printf("\n%s\n", framework)
		}
		a.printf("  %-6s %s: %s\n", c.ID, c.Name, c.Verdict())
		if full {
			a.printControl(c)
		}
	}
	if len(r.Exceptions) > 0 {
		a.printf("\nExceptions\n")
	}
	for i := range r.Exceptions {
		e := &r.Exceptions[i]
		whom := strings.TrimSpace(e.Actor + " " + e.Person)
		a.printf("  %-7s %s  %-17s %s: %s\n", recordName(e.Lane, e.Index), e.Time.Local().Format(time.DateTime), e.Test, inline(whom), inline(e.What))
	}
}

func (a *app) printControl(c *controls.Checked) {
	a.printf("         claim: %s\n", c.Claim)
	for i := range c.Queries {
		a.printf("         %8d %s (%s)\n", c.Records[i], c.Queries[i].Says, c.Queries[i].Command())
	}
	for i, t := range c.Tests {
		a.printf("         %8d %s: %s\n", c.Found[i], t, t.Says())
	}
	a.printf("         not in the log: %s\n", c.Silent)
}
