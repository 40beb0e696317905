package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/scan"
	"github.com/spf13/cobra"
)

// exitUnseen of assent scan: an error, or something that was not looked into.
const exitUnseen = 2

// A scanning is one run of assent scan.
type scanning struct {
	finder
	a        *app
	o        scan.Options
	classes  []string
	min      float64
	format   string
	sarif    bool
	reveal   bool
	verbose  bool
	quiet    bool
	baseline string
	keyFile  string
	write    bool
	staged   bool
	live     bool
	fresh    bool
	report   *reporter // nil: no server hears of it

	prints *scan.Prints
	out    scan.Sink
	bar    *bar
}

func (a *app) scanCmd() *cobra.Command {
	s := &scanning{a: a}
	c := &cobra.Command{
		Use:   "scan [FILES|DIRS|-]",
		Short: "Look for sensitive data in files",
		Long: `Look for sensitive data in files and folders, or in standard input (-, or
nothing named): logs, JSON, CSV, dumps of databases, source trees, archives and
compressed files, three deep inside each other.

Findings are printed with file, line and column, class, groups and confidence, never with
the value unless --reveal says so. Names of columns and members count: "ssn" in
a header speaks for what stands under it.

Of folders, those of version control are left out, and binary files (--binary looks into them
as bytes). What could not be looked into is told on standard error.

Status 0: nothing found. 1: something was. 2: an error, or not everything was looked into.

  assent scan .                                  what lies in this tree
  assent scan --staged                           what a commit would add (a pre-commit hook)
  assent scan --sarif . > findings.sarif         for code scanning
  assent scan --baseline known.json .            only what is new
  assent scan --follow /var/log/app.log          live, and in the console's activity
  pg_dump shop | assent scan --format sql -      a dump, with the names of its columns`,
		RunE: func(c *cobra.Command, args []string) error {
			err := s.run(c.Context(), args)
			var e *exitError
			if err != nil && !errors.As(err, &e) {
				return &exitError{exitUnseen, err}
			}
			return err
		},
	}
	f := c.Flags()
	s.flags(c, false)
	f.StringSliceVar(&s.classes, "class", nil, "only these classes")
	f.StringSliceVar(&s.o.Groups, "group", nil, "only classes of these groups: pii, phi, pci, secret")
	f.Float64Var(&s.min, "min-confidence", 0.5, "only findings of this confidence or more, 0 to 1")
	f.StringVar(&s.format, "format", "", "what every file is: text, json, csv, tsv, sql (default: by name and content)")
	f.BoolVar(&s.sarif, "sarif", false, "print SARIF 2.1.0")
	f.BoolVar(&s.reveal, "reveal", false, "print what was found, too")
	f.BoolVar(&s.o.Binary, "binary", false, "look into binary files, as bytes")
	f.StringSliceVar(&s.o.Ignore, "ignore", nil, "leave out files and folders of these names or paths (patterns; a folder ends in /)")
	f.StringVar(&s.baseline, "baseline", "", "tell only what this file doesn't know")
	f.StringVar(&s.keyFile, "baseline-key", "", "file with the key of its fingerprints (default $ASSENT_BASELINE_KEY, or the baseline's name and .key)")
	f.BoolVar(&s.write, "write-baseline", false, "write what is found to the file of --baseline")
	f.BoolVar(&s.staged, "staged", false, "what the next commit of the git repository would add, line by line")
	f.BoolVar(&s.live, "follow", false, "go on as the files grow, across rotation, until interrupted; tell the server of ASSENT_TOKEN, or of --data, too")
	f.BoolVar(&s.fresh, "new", false, "with --follow: leave out what is there already")
	f.Int64Var(&s.o.Ratio, "max-ratio", 200, "most bytes unpacked for each byte of an archive, past 64 MiB")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "name what is left out, too")
	f.BoolVarP(&s.quiet, "quiet", "q", false, "no progress and no summary")
	return c
}

func (s *scanning) run(ctx context.Context, args []string) error {
	if err := s.prepare(); err != nil {
		return &exitError{exitUsage, err}
	}
	if s.staged && len(args) > 0 {
		return failf(exitUsage, "--staged takes no files: it looks at what is staged")
	}
	if s.staged && s.live || s.fresh && !s.live || s.write && s.live {
		return failf(exitUsage, "--follow goes with neither --staged nor --write-baseline, and --new only with --follow")
	}
	scanner, err := scan.New(s.o)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	sum, err := s.scan(ctx, scanner, args)
	s.bar.end()
	if end, ok := s.out.(interface{ end(*scan.Sum) error }); ok && err == nil {
		err = end.end(&sum)
	}
	if ctx.Err() != nil && !s.live {
		err = errors.New("interrupted: not everything was looked into")
	}
	if err != nil {
		return &exitError{exitUnseen, err}
	}
	if s.write {
		n, err := s.prints.Save(s.baseline)
		if err != nil {
			return &exitError{exitUnseen, err}
		}
		fmt.Fprintf(s.a.err, "%s written to %s\n", count(n, "finding", "findings"), inline(s.baseline))
	}
	s.summary(&sum)
	switch {
	case sum.Lost > 0:
		return &exitError{exitUnseen, nil}
	case sum.Findings > 0 && !s.write:
		return &exitError{exitFailed, nil}
	}
	return nil
}

func (s *scanning) scan(ctx context.Context, scanner *scan.Scanner, args []string) (scan.Sum, error) {
	if s.live {
		return s.follow(ctx, scanner, args)
	}
	if s.staged {
		return scanner.Staged(ctx, s)
	}
	if len(args) == 0 {
		args = []string{"-"}
	}
	var sum scan.Sum
	var paths []string
	for _, p := range args {
		if p != "-" {
			paths = append(paths, p)
			continue
		}
		one, err := scanner.Reader(ctx, "-", s.a.in, s)
		sum.Add(&one)
		if err != nil {
			return sum, err
		}
	}
	if len(paths) > 0 {
		rest, err := scanner.Paths(ctx, paths, s)
		sum.Add(&rest)
		return sum, err
	}
	return sum, nil
}

// prepare checks the flags and makes what they ask for.
func (s *scanning) prepare() (err error) {
	switch {
	case s.min < 0 || s.min > 1:
		return fmt.Errorf("--min-confidence %v: from 0 to 1", s.min)
	case s.o.Ratio < 1:
		return fmt.Errorf("--max-ratio %d: from 1", s.o.Ratio)
	case s.write && s.baseline == "":
		return errors.New("--write-baseline needs --baseline FILE to write to")
	case s.sarif && s.a.json:
		return errors.New("--sarif or --json, not both")
	}
	s.o.Min, s.o.Format, s.o.Reveal, s.o.Workers = float32(s.min), scan.Format(s.format), s.reveal, runtime.GOMAXPROCS(0)
	for _, c := range s.classes {
		s.o.Classes = append(s.o.Classes, detect.Class(c))
	}
	if s.o.Engine, err = s.engine(); err != nil {
		return err
	}
	if err := s.prepareBaseline(); err != nil {
		return err
	}
	s.bar = &bar{to: s.a.err, on: !s.quiet && isTerminal(s.a.err)}
	s.o.Passed = s.bar.passed
	switch {
	case s.sarif:
		s.out = newSARIF(s.a)
	case s.a.json:
		s.out = &jsonFindings{s.a}
	default:
		s.out = &lineFindings{s.a}
	}
	return nil
}

func (s *scanning) prepareBaseline() error {
	if s.baseline == "" {
		return nil
	}
	s.o.Own = []string{s.baseline, s.baseline + ".key"}
	key := []byte(os.Getenv("ASSENT_BASELINE_KEY"))
	if s.keyFile != "" || len(key) == 0 {
		file := s.keyFile
		if file == "" {
			file = s.baseline + ".key"
		}
		s.o.Own = append(s.o.Own, file)
		_, missing := os.Stat(file)
		var err error
		if key, err = scan.ReadKey(file, s.write); err != nil {
			return fmt.Errorf("%w\n  --baseline-key names its file, or ASSENT_BASELINE_KEY holds it", err)
		}
		if missing != nil {
			fmt.Fprintf(s.a.err, "a new key is in %s: keep it where the baseline is used, and out of version control\n", inline(file))
		}
	}
	var err error
	if s.prints, err = scan.NewPrints(key, s.baseline); err != nil {
		return err
	}
	s.o.Prints = s.prints
	if s.write {
		return nil
	}
	return s.prints.Load(s.baseline)
}

// Finding takes what was found.
func (s *scanning) Finding(f *scan.Finding) error {
	if s.write {
		s.prints.Take(f)
		return nil
	}
	if f.Known {
		return nil
	}
	if s.report != nil {
		s.report.take(f)
	}
	s.bar.clear()
	return s.out.Finding(f)
}

// Note takes what was not looked into.
func (s *scanning) Note(n *scan.Note) error {
	if n.Lost || s.verbose || s.live {
		s.bar.clear()
		fmt.Fprintf(s.a.err, "%s: %s\n", inline(n.File), inline(n.Why))
	}
	return s.out.Note(n)
}

// summary says in a line what was done.
func (s *scanning) summary(sum *scan.Sum) {
	if s.quiet {
		return
	}
	var left []string
	add := func(n int64, one, many string) {
		if n > 0 {
			left = append(left, count(int(n), one, many))
		}
	}
	fmt.Fprintf(s.a.err, "%s in %s, %s", count(int(sum.Findings), "finding", "findings"), count(int(sum.Files), "file", "files"), size(sum.Bytes))
	add(sum.Known, "finding that the baseline knows", "findings that the baseline knows")
	add(sum.Binary, "binary file", "binary files")
	add(sum.Folders, "folder of version control", "folders of version control")
	add(sum.Ignored, "ignored path", "ignored paths")
	if len(left) > 0 {
		fmt.Fprintf(s.a.err, "; left out: %s", strings.Join(left, ", "))
	}
	if sum.Lost > 0 {
		fmt.Fprintf(s.a.err, "; NOT LOOKED INTO: %s, named above", count(int(sum.Lost), "thing", "things"))
	}
	fmt.Fprintln(s.a.err)
}

// size is a number of bytes as people say it.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, k := float64(n), 0
	for v >= 1000 && k < len(units)-1 {
		v, k = v/1000, k+1
	}
	if k == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[k])
}

// bar shows on a terminal how far a scan is.
type bar struct {
	to    io.Writer
	on    bool
	n     atomic.Int64
	shown atomic.Int64 // when, in Unix milliseconds
}

// passed hears of bytes that were read.
func (b *bar) passed(n int64) {
	if !b.on {
		return
	}
	all, now, was := b.n.Add(n), time.Now().UnixMilli(), b.shown.Load()
	if now-was >= 100 && b.shown.CompareAndSwap(was, now) {
		fmt.Fprintf(b.to, "\r\x1b[K%s looked into", size(all))
	}
}

// clear makes room for a line.
func (b *bar) clear() {
	if b.on && b.shown.Swap(0) > 0 {
		fmt.Fprint(b.to, "\r\x1b[K")
	}
}

func (b *bar) end() { b.clear(); b.on = false }
