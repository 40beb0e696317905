// Command detect compares Assent's scanner with other ways to find the same: regular
// expressions on two engines, gitleaks with its own rules, an Aho-Corasick automaton over
// gitleaks' keywords (a prefilter that validates nothing), Hyperscan, and bytes.IndexByte,
// which reads every byte and does nothing with it. All look at the same generated texts, in
// pieces of 64 KiB that end with a line, on one thread, in interleaved rounds; what counts is
// CPU time, user and system, and ratios of one machine and minute.
//
//	scripts/bench detect
//
// ASSENT_BENCH_ROUNDS=5, _MIB=16 (of each text), _SIDES=assent,re2 (names that begin so), _CSV=FILE.
// What is slow sees less of each text. Peers run in this process; the SIMD build of the scanner,
// which is another binary, in a second one that takes its turn when asked.
package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/internal/detect/detecttest"
)

func main() {
	runtime.GOMAXPROCS(1)
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "turns":
		err = turns(os.Args[2], os.Stdin, os.Stdout)
	case len(os.Args) <= 2:
		err = run(append(os.Args[1:], "")[0])
	default:
		err = fmt.Errorf("usage: %s [SIMD-BUILD]", os.Args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func env(name, otherwise string) string {
	if v := os.Getenv("ASSENT_BENCH_" + name); v != "" {
		return v
	}
	return otherwise
}

func number(name string, otherwise int) int {
	n, err := strconv.Atoi(env(name, strconv.Itoa(otherwise)))
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

// A side is one way to look at text.
type side struct {
	name  string
	bytes int // of each text, at most
	// turn looks at a text's pieces and returns the CPU time and how much was found.
	turn func(text int, pieces [][]byte) (time.Duration, int, error)
	// allocs counts allocations of a turn, where that is asked; the seconds are not measured then.
	allocs func(pieces [][]byte) float64
}

// cpu is the time that this process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// here measures a side of this process.
func here(scan func(piece []byte) int) func(int, [][]byte) (time.Duration, int, error) {
	return func(_ int, pieces [][]byte) (time.Duration, int, error) {
		begin, n := cpu(), 0
		for _, p := range pieces {
			n += scan(p)
		}
		return cpu() - begin, n, nil
	}
}

// pieces cuts text into pieces of 64 KiB that end with a line.
func pieces(text []byte, limit int) [][]byte {
	text = text[:min(len(text), limit)]
	var all [][]byte
	for len(text) > 0 {
		n := min(len(text), 64<<10)
		if n < len(text) {
			n = bytes.LastIndexByte(text[:n], '\n') + 1
		}
		all = append(all, text[:n:n])
		text = text[n:]
	}
	return all
}

func texts() []detecttest.Corpus { return detecttest.Corpora(1, number("MIB", 16)<<20) }

// turns is the second process: a line "text bytes" in, "nanoseconds found" out.
func turns(name string, in io.Reader, out io.Writer) error {
	all := texts()
	var one *side
	for _, s := range ours() {
		if s.name == name {
			one = &s
		}
	}
	if one == nil {
		return fmt.Errorf("there is no side %q", name)
	}
	for {
		var text, limit int
		if _, err := fmt.Fscanln(in, &text, &limit); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		d, n, err := one.turn(text, pieces(all[text].Text, limit))
		if err != nil {
			return err
		}
		fmt.Fprintln(out, d.Nanoseconds(), n)
	}
}

// second is a side of another build of this program, in a process of its own.
func second(build string, s side) (side, func(), error) {
	c := exec.Command(build, "turns", s.name)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return side{}, nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return side{}, nil, err
	}
	if err := c.Start(); err != nil {
		return side{}, nil, err
	}
	answers := bufio.NewReader(out)
	s.name += ", SIMD build"
	s.allocs = nil
	s.turn = func(text int, p [][]byte) (time.Duration, int, error) {
		size := 0
		for _, piece := range p {
			size += len(piece)
		}
		if _, err := fmt.Fprintln(in, text, size); err != nil {
			return 0, 0, err
		}
		var ns int64
		var n int
		_, err := fmt.Fscanln(answers, &ns, &n)
		return time.Duration(ns), n, err
	}
	return s, func() { _ = in.Close(); _ = c.Wait() }, nil
}

// A result is what one side did with one text, over all rounds.
type result struct {
	text  string
	side  string
	bytes int
	found int
	times []time.Duration
}

// rate is the median of the rounds, in bytes a second.
func (r *result) rate() float64 {
	t := slices.Clone(r.times)
	slices.Sort(t)
	return float64(r.bytes) / max(t[len(t)/2], 1).Seconds()
}

func run(simd string) error {
	all := texts()
	sides, err := wanted(simd)
	if err != nil {
		return err
	}
	for _, s := range sides {
		if s.allocs != nil {
			for _, c := range all {
				fmt.Printf("%s: %.2f allocations a scan of 64 KiB, %s\n", s.name, s.allocs(pieces(c.Text, 4<<20)), c.Name)
			}
		}
	}
	var results []*result
	for _, c := range all {
		for _, s := range sides {
			results = append(results, &result{text: c.Name, side: s.name})
		}
	}
	for round := range number("ROUNDS", 5) + 1 {
		for i, c := range all {
			for k, s := range sides {
				p := pieces(c.Text, s.bytes)
				d, n, err := s.turn(i, p)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				if round == 0 {
					continue // warms up
				}
				r := results[i*len(sides)+k]
				r.bytes, r.found = 0, n
				for _, piece := range p {
					r.bytes += len(piece)
				}
				r.times = append(r.times, d)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round, number("ROUNDS", 5))
	}
	if err := report(results, all, sides); err != nil {
		return err
	}
	return writeCSV(results)
}

// wanted are the sides that are asked for.
func wanted(simd string) ([]side, error) {
	all := ours()
	if simd != "" {
		for _, s := range ours() {
			two, _, err := second(simd, s)
			if err != nil {
				return nil, err
			}
			all = append(all, two)
		}
	} else {
		fmt.Println("no SIMD build was given: it is not compared")
	}
	others, err := peers()
	if err != nil {
		return nil, err
	}
	all = append(all, others...)
	only := env("SIDES", "")
	if only == "" {
		return all, nil
	}
	return slices.DeleteFunc(all, func(s side) bool {
		return !slices.ContainsFunc(strings.Split(only, ","), func(p string) bool { return strings.HasPrefix(s.name, p) })
	}), nil
}

func report(results []*result, all []detecttest.Corpus, sides []side) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "MB/s of CPU\t")
	for _, c := range all {
		fmt.Fprintf(w, "%s\t", c.Name)
	}
	fmt.Fprintln(w, "all\tassent is\t")
	rates := overall(results)
	for k, s := range sides {
		fmt.Fprintf(w, "%s\t", s.name)
		for i := range all {
			fmt.Fprintf(w, "%.*f\t", places(results[i*len(sides)+k].rate()), results[i*len(sides)+k].rate()/1e6)
		}
		fmt.Fprintf(w, "%.*f\t%.2f×\t\n", places(rates[s.name]), rates[s.name]/1e6, rates[structured]/rates[s.name])
	}
	fmt.Fprintln(w, "found in a MB"+strings.Repeat("\t", len(all)+3))
	for k, s := range sides {
		fmt.Fprintf(w, "%s\t", s.name)
		for i := range all {
			r := results[i*len(sides)+k]
			fmt.Fprintf(w, "%.1f\t", float64(r.found)/float64(r.bytes)*1e6)
		}
		fmt.Fprintln(w, "\t\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	goals(rates)
	return nil
}

func places(rate float64) int {
	if rate < 20e6 {
		return 2
	}
	return 0
}

// overall is the rate of each side when every text counts the same.
func overall(results []*result) map[string]float64 {
	times, n := map[string]float64{}, map[string]float64{}
	for _, r := range results {
		times[r.side] += 1 / r.rate()
		n[r.side]++
	}
	for s := range times {
		times[s] = n[s] / times[s]
	}
	return times
}

// goals prints whether each of the goals is met.
func goals(rates map[string]float64) {
	for _, g := range []struct {
		what, ours, peer string
		least            float64
	}{
		{"go-re2 with the same entities", structured, "go-re2, 40 patterns", 100},
		{"gitleaks with its own rules", structured, "gitleaks", 10},
		{"Hyperscan without offsets, portable build", structured, "Hyperscan, no offsets", 3},
		{"bytes.IndexByte, SIMD build", structured + ", SIMD build", "bytes.IndexByte", 0.15},
	} {
		ours, peer := rates[g.ours], rates[g.peer]
		if ours == 0 || peer == 0 {
			fmt.Printf("goal: %v× %s: not measured\n", g.least, g.what)
			continue
		}
		verdict := "met"
		if ours/peer < g.least {
			verdict = "NOT met"
		}
		fmt.Printf("goal: %v× %s: %.2f×, %s\n", g.least, g.what, ours/peer, verdict)
	}
}

func writeCSV(results []*result) error {
	file := env("CSV", "")
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"text", "side", "round", "bytes", "cpu_seconds", "found"})
	for _, r := range results {
		for i, t := range r.times {
			_ = w.Write([]string{r.text, r.side, strconv.Itoa(i + 1), strconv.Itoa(r.bytes), strconv.FormatFloat(t.Seconds(), 'f', 6, 64), strconv.Itoa(r.found)})
		}
	}
	w.Flush()
	return errors.Join(w.Error(), f.Close())
}
