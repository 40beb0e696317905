package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"testing"

	ahocorasick "github.com/petar-dambovaliev/aho-corasick"
	"github.com/rs/zerolog"
	re2 "github.com/wasilibs/go-re2"
	gitleaks "github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/logging"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/names"
)

// structured is the side that ratios are to: every class but those of the model.
const structured = "assent"

const mib = 1 << 20

// ours are Assent's scanner by itself, and with the model of names.
func ours() []side {
	model, err := names.Default()
	if err != nil {
		panic(err)
	}
	var all []side
	for _, o := range []struct {
		name string
		detect.Options
	}{{structured, detect.Options{}}, {structured + " and names", detect.Options{Names: model}}} {
		e, err := detect.New(o.Options)
		if err != nil {
			panic(err)
		}
		found := make([]detect.Finding, 0, 1<<16)
		scan := func(p []byte) int {
			found = e.Scan(p, found[:0])
			return len(found)
		}
		all = append(all, side{name: o.name, bytes: 1 << 30, turn: here(scan), allocs: func(pieces [][]byte) float64 {
			return testing.AllocsPerRun(3, func() {
				for _, p := range pieces {
					scan(p)
				}
			}) / float64(len(pieces))
		}})
	}
	return all
}

// peers are everybody else.
func peers() ([]side, error) {
	var std []*regexp.Regexp
	var two []*re2.Regexp
	for _, p := range patterns {
		std = append(std, regexp.MustCompile(p))
		two = append(two, re2.MustCompile(p))
	}
	zerolog.SetGlobalLevel(zerolog.Disabled)
	logging.Logger = zerolog.Nop()
	leaks, err := gitleaks.NewDetectorDefaultConfig()
	if err != nil {
		return nil, fmt.Errorf("gitleaks: %w", err)
	}
	var keywords []string
	for k := range leaks.Config.Keywords {
		keywords = append(keywords, k)
	}
	slices.Sort(keywords)
	builder := ahocorasick.NewAhoCorasickBuilder(ahocorasick.Opts{AsciiCaseInsensitive: true, MatchKind: ahocorasick.LeftMostLongestMatch, DFA: true})
	automaton := builder.Build(keywords)
	all := []side{
		{name: "regexp, 40 patterns", bytes: mib / 4, turn: here(func(p []byte) (n int) {
			for _, r := range std {
				n += len(r.FindAllIndex(p, -1))
			}
			return n
		})},
		{name: "go-re2, 40 patterns", bytes: mib, turn: here(func(p []byte) (n int) {
			for _, r := range two {
				n += len(r.FindAllIndex(p, -1))
			}
			return n
		})},
		{name: "gitleaks", bytes: mib, turn: here(func(p []byte) int { return len(leaks.DetectBytes(p)) })},
		{name: "Aho-Corasick, gitleaks' keywords", bytes: 8 * mib, turn: here(func(p []byte) (n int) {
			for it := automaton.IterByte(p); it.Next() != nil; {
				n++
			}
			return n
		})},
		{name: "bytes.IndexByte", bytes: 1 << 30, turn: here(func(p []byte) int { return 1 + bytes.IndexByte(p, 1) })},
	}
	more, err := hyperscan()
	return append(all, more...), err
}
