package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

// evidenceFlags say what goes into a bundle.
type evidenceFlags struct {
	q            audit.Query
	since, until string
	config, out  string
	server       string
	key, keys    string
}

func (a *app) evidenceCmd() *cobra.Command {
	var f evidenceFlags
	c := &cobra.Command{
		Use: "evidence --out FILE", Short: "Write records of the log into a file that others can verify", Args: exactly(),
		Long: `Write every record of a period into one zip file that assent verify, or the package
evidence, checks on a machine that has nothing else of this deployment: the exact
bytes of the records, proof that none of the period is missing, the signed checkpoint
with its witnesses' signatures, what led to today's key, and passkeys' signatures.

What a filter leaves out is there as its hash alone, so that the whole period is
proven; that nothing which matches was left out is the word of the log's key. It reads a data
directory (--data, or --config), also beside a running server; or with --server it
has one make the bundle, which its log then tells, and reads nothing else. The same
checkpoint and the same question give the same bytes.`,
		Example: `  assent evidence --since 2026-07-01 --until 2026-10-01 --out q3.zip
  assent evidence --since 30d --actor agent:reporter --out reporter.zip
  assent evidence --server https://assent.example.com --key "$(cat log.vkey)" --since 30d --out month.zip
  assent verify q3.zip --key "$(cat log.vkey)"`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.evidence(cmd, &f) },
	}
	c.AddCommand(a.sampleCmd(), a.controlsCmd())
	s := c.Flags()
	s.StringVarP(&f.out, "out", "o", "", "file to write; it must not be there yet")
	s.StringVarP(&f.config, "config", "c", "", "configuration of the deployment; none: what --data names")
	s.StringVar(&f.server, "server", "", "address of a server to ask, in place of reading a data directory")
	s.StringVar(&f.key, "key", "", "with --server: the log's verifier key, from elsewhere than the server")
	s.StringVar(&f.keys, "keys", "", "with --server: file of verifier keys, one a line")
	s.StringVar(&f.since, "since", "", "how far back: 30d, 12h, or a date such as 2026-11-01; none: from the first record")
	s.StringVar(&f.until, "until", "", "up to then; none: all that a checkpoint covers")
	s.StringVar(&f.q.Actor, "actor", "", "id of the actor: agent:reporter")
	s.StringVar(&f.q.Person, "person", "", "id of the person who reviewed or administered: person:mira")
	s.StringVar(&f.q.Resource, "resource", "", "name of the resource: postgres:shop/prod")
	s.StringVar(&f.q.Kind, "kind", "", "kind of action: data.export")
	s.StringVar(&f.q.Class, "class", "", "class of sensitive data that was found or masked: card")
	s.StringVar(&f.q.Session, "session", "", "session of the agent")
	s.StringVar(&f.q.Approval, "approval", "", "id of an approval")
	s.StringSliceVar(&f.q.Types, "type", nil, "types of record, separated by commas: request,review")
	return c
}

func (a *app) evidence(cmd *cobra.Command, f *evidenceFlags) (err error) {
	if f.out == "" {
		return usage(cmd, "--out is missing: the file to write, such as bundle.zip")
	}
	now := time.Now()
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"since", f.since, &f.q.Since}, {"until", f.until, &f.q.Until}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = since(t.text, now); err != nil {
			return usage(cmd, "--%s: %v", t.flag, err)
		}
	}
	if !f.q.Until.IsZero() && !f.q.Since.Before(f.q.Until) {
		return usage(cmd, "--until is not after --since")
	}
	online := cmd.Flags().Changed("server")
	switch a.url = cmp.Or(f.server, a.url); {
	case online && f.config != "":
		return usage(cmd, "--server asks a server, --config reads its data directory: one of the two")
	case !online && (f.key != "" || f.keys != ""):
		return usage(cmd, "--key and --keys go with --server: a data directory has the log's key")
	}
	out, err := os.OpenFile(f.out, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return failf(exitUsage, "%s is there already: name another file", f.out)
	}
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(f.out) // half a bundle is none
		}
	}()
	var o evidence.BundleOptions
	var size int64 // of the log when it was read; 0: that isn't known
	if online {
		o, err = a.askedBundle(cmd.Context(), f, out)
	} else {
		o, size, err = a.madeBundle(cmd.Context(), f, out)
	}
	if err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	// What it says now is what others will be told.
	progress, ends := a.progress("records")
	o.Progress = progress
	r, err := verifyBundle(out, o)
	ends()
	if err != nil {
		return fmt.Errorf("reading %s back: %w", f.out, err)
	}
	if a.json {
		return a.printJSON(r)
	}
	a.printf("%s\n", inline(f.out))
	a.printBundle(r)
	if f.q.Until.IsZero() && size > r.Manifest.End {
		a.printf("the newest %s under no checkpoint yet, and not in it\n", count(int(size-r.Manifest.End), "record is", "records are"))
	}
	return nil
}

// askedBundle has a server make the bundle, which puts it on record.
func (a *app) askedBundle(ctx context.Context, f *evidenceFlags, out *os.File) (o evidence.BundleOptions, err error) {
	if o.VKeys, err = keyList(f.key, f.keys); err != nil {
		return o, &exitError{exitUsage, err}
	}
	c, err := a.client(true)
	if err != nil {
		return o, err
	}
	q := client.Query{
		Types: f.q.Types, Actor: f.q.Actor, Person: f.q.Person, Approval: f.q.Approval, Resource: f.q.Resource,
		Session: f.q.Session, Kind: f.q.Kind, Class: f.q.Class, Since: f.q.Since, Until: f.q.Until,
	}
	body, size, err := c.Evidence(ctx, q)
	if err != nil {
		return o, err
	}
	defer func() { _ = body.Close() }()
	progress, ends := a.progress("bytes")
	defer ends()
	n, err := io.Copy(out, &counting{r: body, total: size, progress: progress})
	if err == nil && size >= 0 && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return o, fmt.Errorf("fetching the bundle: %w", err)
	}
	return o, nil
}

// counting tells how far a reader is.
type counting struct {
	r           io.Reader
	done, total int64
	progress    func(done, total int64)
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.done += int64(n); c.progress != nil {
		c.progress(c.done, c.total)
	}
	return n, err
}

// madeBundle makes the bundle of a data directory.
func (a *app) madeBundle(ctx context.Context, f *evidenceFlags, out *os.File) (o evidence.BundleOptions, size int64, err error) {
	cfg := &server.Config{Data: a.data}
	if f.config != "" {
		if cfg, err = server.ReadConfig(f.config); err != nil {
			return o, 0, &exitError{exitUsage, err}
		}
	}
	if _, err := os.Stat(cfg.DataDir()); err != nil {
		return o, 0, failf(exitUsage, "%s is no data directory (--data names one; --server asks a server for the bundle)", cfg.DataDir())
	}
	key, done, err := server.LogKey(cfg)
	if err != nil {
		return o, 0, failf(exitFailed, "the log's key signs the bundle: %w", err)
	}
	defer done()
	note, err := newestNote(cfg.VerifyOptions(key.Verifier()))
	if err != nil {
		return o, 0, err
	}
	store, err := server.OpenReadOnly(ctx, cfg)
	if err != nil {
		return o, 0, err
	}
	defer func() { _ = store.Close() }()
	progress, ends := a.progress("records")
	_, err = audit.Bundle(ctx, store, audit.Export{
		Checkpoint: note, Key: key, Software: "assent " + Version(), Query: f.q, Progress: progress,
	}, out)
	ends()
	if err != nil {
		return o, 0, err
	}
	if head, err := store.Head(ctx); err == nil {
		size = head.Size
	}
	return evidence.BundleOptions{VKeys: []string{key.Verifier()}, Witnesses: cfg.VerifyOptions().Witnesses}, size, nil
}

// newestNote is the newest checkpoint that is kept here, with witnesses' signatures where it has some.
func newestNote(o audit.VerifyOptions) ([]byte, error) {
	for _, name := range []string{o.Witnessed, o.HeadFile} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		if cp, err := evidence.VerifyCheckpoint(b, o.VKeys...); err == nil && cp.Size > 0 {
			return b, nil
		}
	}
	return nil, failf(exitFailed, "%s holds no checkpoint by this key: nothing can be proven before the server has signed one", filepath.Dir(o.HeadFile))
}

func verifyBundle(f *os.File, o evidence.BundleOptions) (*evidence.BundleReport, error) {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	b, err := evidence.OpenBundle(f, size)
	if err != nil {
		return nil, err
	}
	return b.Verify(o)
}

// verifyBundleFile is assent verify FILE.
func (a *app) verifyBundleFile(name string, keys, witnesses []string) error {
	f, err := os.Open(name)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	defer func() { _ = f.Close() }()
	progress, ends := a.progress("records")
	r, err := verifyBundle(f, evidence.BundleOptions{VKeys: keys, Witnesses: witnesses, Progress: progress})
	ends()
	if err != nil {
		return failf(exitFailed, "NOT VERIFIED: %s: %s", inline(name), inline(err.Error()))
	}
	if a.json {
		err = a.printJSON(r)
	} else {
		a.printBundle(r)
	}
	if n := len(r.Problems); err == nil && n > 0 {
		for _, p := range r.Problems[:min(n, 20)] {
			fmt.Fprintln(a.err, inline(p))
		}
		return failf(exitFailed, "NOT VERIFIED: %s what people signed", count(n, "record contradicts", "records contradict"))
	}
	return err
}

func (a *app) printBundle(r *evidence.BundleReport) {
	for _, l := range r.Lines() {
		a.printf("%s\n", inline(l))
	}
}

func (a *app) sampleCmd() *cobra.Command {
	var key, keys, seed, decision string
	var types []string
	var size int
	c := &cobra.Command{
		Use: "sample BUNDLE --seed TEXT", Short: "Verify a bundle, and draw records of it", Args: exactly("BUNDLE"),
		Long: `Verify a bundle, say how many of its records are asked for (the population), and print
those that are drawn: the ones whose SHA-256 of seed, line feed and index is smallest.
Nothing but the seed can be chosen; docs/evidence.md draws the same in six lines of Python.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if seed == "" || size < 1 {
				return usage(cmd, "--seed says what to draw by, --size how many records, from 1")
			}
			list, err := keyList(key, keys)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			return a.sample(args[0], evidence.BundleOptions{VKeys: list}, seed, size, func(leaf []byte) bool {
				var r client.Record
				return json.Unmarshal(leaf, &r) == nil && (len(types) == 0 || slices.Contains(types, r.Type)) && (decision == "" || r.Decision == decision || r.Outcome == decision)
			})
		},
	}
	s := c.Flags()
	s.StringVar(&key, "key", "", "the log's verifier key, from elsewhere than the bundle")
	s.StringVar(&keys, "keys", "", "file of verifier keys, one a line")
	s.StringVar(&seed, "seed", "", "text that the drawing hangs on, named after the bundle was received")
	s.IntVar(&size, "size", 25, "how many records")
	s.StringSliceVar(&types, "type", nil, "types of record, separated by commas: request,review")
	s.StringVar(&decision, "decision", "", "decision, or outcome: deny")
	return c
}

func (a *app) sample(name string, o evidence.BundleOptions, seed string, size int, want func(leaf []byte) bool) error {
	f, err := os.Open(name)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	defer func() { _ = f.Close() }()
	r, err := verifyBundle(f, o)
	if err != nil {
		return failf(exitFailed, "NOT VERIFIED: %s: %s", inline(name), inline(err.Error()))
	}
	b, err := evidence.OpenBundle(f, r.Size)
	if err != nil {
		return err
	}
	s, err := b.Sample(seed, size, want)
	if err != nil {
		return err
	}
	for _, l := range r.Lines() {
		fmt.Fprintln(a.err, inline(l))
	}
	fmt.Fprintf(a.err, "population: %d; drawn by the seed %q: %d\n", s.Population, seed, len(s.Drawn))
	if n := r.Manifest.Hidden; n > 0 {
		fmt.Fprintf(a.err, "%s as hashes only and can't be drawn: for a sample of the whole period ask for a bundle without a filter\n", count(int(n), "record is there", "records are there"))
	}
	for _, d := range s.Drawn {
		var rec client.Record
		if err := json.Unmarshal(d.Leaf, &rec); err != nil {
			return fmt.Errorf("record %d: %w", d.Index, err)
		}
		if !a.json {
			a.printf("%s\n", recordLine(fmt.Sprintf("#%d", rec.Index), &rec, time.DateTime, isTerminal(a.out)))
		} else if err := a.printLine(&rec); err != nil {
			return err
		}
	}
	return nil
}
