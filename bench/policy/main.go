// Command policy compares Assent's decisions with those of cel-go, expr, Cedar and OPA
// under one policy of 20, 1,000 and 10,000 rules. Before anything is timed, each side must give
// the same verdict and the same matched rules as Assent for every request. What a side needs
// to read a request is built anew for each decision and counts. Peers get an index by
// kind, environment and resource that is made by hand (OPA has one of its own, over the same
// equalities), and need not gather reasons, masks or reviewers, as Assent does.
//
//	scripts/bench policy
//
// What counts is CPU time, user and system, of short interleaved turns on one thread with its
// garbage collector: the median, and the fastest beside it, which others on the machine
// disturb least. A ratio is the median of those of one round, whose turns are neighbours.
// ASSENT_BENCH_ROUNDS=51, _SIDES=assent,cel-go (names that begin so), _SIZES=20,1000, _TURN=10ms, _CSV=FILE,
// _PROFILE=FILE (a CPU profile of Assent's turns).
package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

func main() {
	runtime.GOMAXPROCS(1)
	if err := run(); err != nil {
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

// An outcome is a verdict and the rules that matched, by their place in the list.
type outcome struct {
	verdict string
	matched []int32
	asked   bool // matched is wanted of a side that names rules in another way
}

// A side decides requests.
type side struct {
	name string
	// decide answers in out, whose memory it may use again.
	decide func(r *request, out *outcome) error
}

// A lane is a side with one number of rules, and what its turns took per decision.
type lane struct {
	side
	rules  int
	asks   []*request
	allocs float64
	times  []time.Duration
}

func (l *lane) median() time.Duration { return median(l.times) }

func median[T cmp.Ordered](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// timesOf is how many times as long as o l takes.
func (l *lane) timesOf(o *lane) float64 {
	ratios := make([]float64, len(l.times))
	for i := range l.times {
		ratios[i] = float64(l.times[i]) / float64(o.times[i])
	}
	return median(ratios)
}

// cpu is the time that this process has computed.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func run() error {
	lanes, err := prepare()
	if err != nil {
		return err
	}
	rounds := number("ROUNDS", 51)
	turn, err := time.ParseDuration(env("TURN", "10ms"))
	if err != nil {
		return err
	}
	stop, err := profile()
	if err != nil {
		return err
	}
	for round := range rounds + 1 {
		for _, l := range lanes {
			t, err := l.turn(turn)
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			if round > 0 { // the first warms up
				l.times = append(l.times, t)
			}
		}
	}
	if err := stop(); err != nil {
		return err
	}
	report(lanes)
	return writeCSV(lanes)
}

// profile begins a profile where one is asked for; _SIDES=assent keeps others out of it.
func profile() (stop func() error, err error) {
	file := env("PROFILE", "")
	if file == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, pprof.StartCPUProfile(f)
}

// turn decides every request again and again for so long and tells the CPU time of one decision.
func (l *lane) turn(length time.Duration) (time.Duration, error) {
	var out outcome
	begin, n := cpu(), 0
	for {
		for _, r := range l.asks {
			if err := l.decide(r, &out); err != nil {
				return 0, err
			}
		}
		n += len(l.asks)
		if spent := cpu() - begin; spent >= length {
			return spent / time.Duration(n), nil
		}
	}
}

// prepare loads every side with every number of rules, and checks that all decide alike.
func prepare() ([]*lane, error) {
	var lanes []*lane
	for _, size := range strings.Split(env("SIZES", "20,1000,10000"), ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n%len(twenty()) != 0 || n == 0 {
			return nil, fmt.Errorf("%q rules: write a multiple of %d", size, len(twenty()))
		}
		list, asks := rules(n), requests(n)
		sides, err := load(list)
		if err != nil {
			return nil, err
		}
		if err := alike(sides, asks); err != nil {
			return nil, fmt.Errorf("%d rules: %w", n, err)
		}
		for _, s := range wanted(sides) {
			l := &lane{side: s, rules: n, asks: asks}
			l.allocs = l.count()
			lanes = append(lanes, l)
		}
	}
	return lanes, nil
}

// load is Assent first, then its peers.
func load(list []rule) ([]side, error) {
	var sides []side
	for _, f := range []func([]rule) (side, error){assent, celGo, exprLang, cedarGo, opa} {
		begin := time.Now()
		s, err := f(list)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%s: %d rules loaded in %s\n", s.name, len(list), time.Since(begin).Round(time.Millisecond))
		sides = append(sides, s)
	}
	return sides, nil
}

// alike makes sure that every side says of every request what the first one says.
func alike(sides []side, asks []*request) error {
	verdicts := map[string]int{}
	for i, r := range asks {
		want, got := outcome{}, outcome{asked: true}
		for k, s := range sides {
			if err := s.decide(r, &got); err != nil {
				return fmt.Errorf("%s: request %d: %w", s.name, i, err)
			}
			slices.Sort(got.matched)
			if k == 0 {
				want = outcome{verdict: got.verdict, matched: slices.Clone(got.matched)}
				verdicts[got.verdict]++
			}
			if got.verdict != want.verdict || !slices.Equal(got.matched, want.matched) {
				return fmt.Errorf("request %d: %s says %s by %v, %s says %s by %v", i, sides[0].name, want.verdict, want.matched, s.name, got.verdict, got.matched)
			}
		}
	}
	if len(verdicts) < 3 {
		return fmt.Errorf("the requests reach only %v", verdicts)
	}
	fmt.Fprintf(os.Stderr, "%d sides agree about %d requests: %v\n", len(sides), len(asks), verdicts)
	return nil
}

func wanted(all []side) []side {
	only := env("SIDES", "")
	if only == "" {
		return all
	}
	return slices.DeleteFunc(all, func(s side) bool {
		return !slices.ContainsFunc(strings.Split(only, ","), func(p string) bool { return strings.HasPrefix(s.name, p) })
	})
}

// count is the allocations of one decision.
func (l *lane) count() float64 {
	var out outcome
	n := testing.AllocsPerRun(5, func() {
		for _, r := range l.asks {
			_ = l.decide(r, &out)
		}
	})
	return n / float64(len(l.asks))
}

func report(lanes []*lane) {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "rules\tside\tns of CPU a decision\tfastest\tallocations\ttimes Assent\t")
	ours := map[int]*lane{}
	for _, l := range lanes {
		if l.name == "assent" {
			ours[l.rules] = l
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%.1f\t", l.rules, l.name, l.median().Nanoseconds(), slices.Min(l.times).Nanoseconds(), l.allocs)
		if base := ours[l.rules]; base != nil {
			fmt.Fprintf(w, "%.1f×", l.timesOf(base))
		}
		fmt.Fprintln(w, "\t")
	}
	_ = w.Flush()
	goals := map[int]time.Duration{20: 300, 1000: 500, 10000: 700}
	for _, l := range lanes {
		if goal := goals[l.rules]; l.name == "assent" && goal > 0 {
			verdict := "met"
			if l.median() > goal || l.allocs > 0 {
				verdict = "NOT met"
			}
			fmt.Printf("goal: %d rules in %d ns without allocation: %d ns (fastest %d), %.1f allocations, %s\n", l.rules, goal.Nanoseconds(), l.median().Nanoseconds(), slices.Min(l.times).Nanoseconds(), l.allocs, verdict)
		}
	}
}

func writeCSV(lanes []*lane) error {
	file := env("CSV", "")
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"rules", "side", "round", "cpu_nanoseconds", "allocations"})
	for _, l := range lanes {
		for i, t := range l.times {
			_ = w.Write([]string{strconv.Itoa(l.rules), l.name, strconv.Itoa(i + 1), strconv.FormatInt(t.Nanoseconds(), 10), strconv.FormatFloat(l.allocs, 'f', 1, 64)})
		}
	}
	w.Flush()
	return errors.Join(w.Error(), f.Close())
}
