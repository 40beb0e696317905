// Package scan looks for sensitive data in files: logs, JSON, CSV, dumps of databases,
// source trees, archives and compressed files inside each other.
//
// It promises that memory stays bounded whatever a file holds, that findings come in the order of
// files and offsets, and that whatever was not looked into is told. A name of a column or member is
// a prior, as it is at the gates. It can't see what is encrypted, what an image shows, or what was
// compressed by a method that it doesn't know: those are told as not seen. It never returns an
// error with a value it found.
package scan

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/assenthq/assent/internal/detect"
)

// A Finding is one value found in a file.
type Finding struct {
	// File is the path as it was named; what lies in archives follows behind '!'.
	File string
	// Start and End are offsets in bytes: of the file, or of the member of an archive once it is unpacked.
	Start, End int64
	Line, Col  int // of Start, from 1; Col counts characters
	EndLine    int
	EndCol     int
	Class      detect.Class
	Score      float32
	// Print is the fingerprint of the value under the baseline's key, "" without one.
	Print string
	// Value is what was found, at most maxShown bytes of it; nil unless Options.Reveal.
	Value []byte
	Known bool // by the baseline
}

// A Note is something that was not looked into.
type Note struct {
	File string
	Why  string
	// Lost says that it may hold what was looked for. Without it, it was left out as agreed.
	Lost bool
}

// Options say what to look for. Engine is needed, everything else may be zero.
type Options struct {
	Engine  *detect.Engine
	Min     float32         // findings of less confidence are left out
	Classes []detect.Class  // none: all
	Groups  []string        // none: all
	Format  Format          // of every file; "": by name and content
	Binary  bool            // look into binary files too, as bytes
	Reveal  bool            // findings have their values
	Ratio   int64           // most bytes unpacked for each byte read; 0: 200
	Workers int             // files at a time; 0: 2
	Ignore  []string        // patterns of paths that are left out (path.Match, or a folder's name)
	Prints  *Prints         // makes fingerprints; may be nil
	Own     []string        // files of the scan itself, such as the baseline: left out of folders
	Passed  func(n int64)   // hears of bytes that were read; may be nil, called from several goroutines
	Skipped map[string]bool // names of folders that are left out; nil: .git, .hg, .svn
}

// A Sink takes what is found, in order, from one goroutine.
type Sink interface {
	Finding(f *Finding) error
	Note(n *Note) error
}

// Sum is what a scan did.
type Sum struct {
	Files    int64 // looked into, with members of archives
	Bytes    int64 // looked into, unpacked
	Findings int64 // without what the baseline knows
	Known    int64 // by the baseline
	Binary   int64 // files left out
	Folders  int64 // left out
	Ignored  int64 // files left out
	Lost     int64 // notes of what may hold what was looked for
}

// maxShown bounds a value that is shown.
const maxShown = 4096

// A Scanner scans. It is safe for concurrent use.
type Scanner struct {
	o    Options
	want map[detect.Class]bool // nil: all
}

// New returns a scanner. A class, group or format that doesn't exist is an error.
func New(o Options) (*Scanner, error) {
	s := &Scanner{o: o}
	if s.o.Ratio == 0 {
		s.o.Ratio = 200
	}
	if s.o.Workers <= 0 {
		s.o.Workers = 2
	}
	if s.o.Skipped == nil {
		s.o.Skipped = map[string]bool{".git": true, ".hg": true, ".svn": true}
	}
	if !o.Format.Valid() {
		return nil, fmt.Errorf("format %q: want one of text, json, csv, tsv, sql", o.Format)
	}
	if len(o.Classes)+len(o.Groups) > 0 {
		s.want = map[detect.Class]bool{}
	}
	for _, c := range o.Classes {
		if !c.Valid() {
			return nil, fmt.Errorf("there is no class %q", c)
		}
		s.want[c] = true
	}
	for _, g := range o.Groups {
		some := false
		for _, c := range detect.Classes() {
			if slices.Contains(detect.GroupOf(c), g) {
				s.want[c], some = true, true
			}
		}
		if !some {
			return nil, fmt.Errorf("there is no group %q", g)
		}
	}
	return s, nil
}

// wants reports whether a finding is asked for.
func (s *Scanner) wants(f *detect.Finding) bool {
	return f.Score >= s.o.Min && (s.want == nil || s.want[f.Class])
}

// Reader scans what r brings, under a name.
func (s *Scanner) Reader(ctx context.Context, name string, r io.Reader, to Sink) (Sum, error) {
	return s.run(ctx, to, func(jobs *queue) error {
		return jobs.add(ctx, &job{name: name, explicit: true, open: func() (io.ReadCloser, int64, error) { return io.NopCloser(r), -1, nil }})
	})
}

// Group is the group that a class is told under, where one word must do: the first
// of pci, phi, secret, pii and a deployment's own that it belongs to.
func Group(c detect.Class) string {
	of := detect.GroupOf(c)
	for _, g := range []string{detect.PCI, detect.PHI, detect.Secret, detect.PII} {
		if slices.Contains(of, g) {
			return g
		}
	}
	if len(of) > 0 {
		return of[0]
	}
	return ""
}

// Add adds what another scan did.
func (s *Sum) Add(o *Sum) {
	s.Files += o.Files
	s.Bytes += o.Bytes
	s.Findings += o.Findings
	s.Known += o.Known
	s.Binary += o.Binary
	s.Folders += o.Folders
	s.Ignored += o.Ignored
	s.Lost += o.Lost
}
