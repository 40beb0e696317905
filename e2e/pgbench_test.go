package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/policy"
	"github.com/jackc/pgx/v5"
)

// bulkRows is how many rows the result has that the bulk cases read again and again.
const bulkRows = 5000

// sides in the order of the first round; each round starts with the next one.
var sides = []string{"direct", "pgbouncer", "splice", "proxy", "assent"}

// benchConfig is which part of the benchmark runs, from the environment.
type benchConfig struct {
	rounds  int            // ASSENT_BENCH_ROUNDS: times that each side has its turn
	seconds int            // ASSENT_BENCH_SECONDS: length of a turn
	scale   int            // ASSENT_BENCH_SCALE: pgbench's, 100,000 accounts each
	only    *regexp.Regexp // ASSENT_BENCH_ONLY: cases, such as select/simple/8
	sides   []string       // ASSENT_BENCH_SIDES: some of direct,pgbouncer,splice,proxy,assent
	profile string         // ASSENT_BENCH_PROFILE: file for a CPU profile of the gate
}

func readBenchConfig(t testing.TB) benchConfig {
	t.Helper()
	number := func(name string, unset int) int {
		s := os.Getenv(name)
		if s == "" {
			return unset
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("%s=%q is not a number from 1 on", name, s)
		}
		return n
	}
	c := benchConfig{
		rounds: number("ASSENT_BENCH_ROUNDS", 3), seconds: number("ASSENT_BENCH_SECONDS", 4), scale: number("ASSENT_BENCH_SCALE", 20),
		sides: sides, profile: os.Getenv("ASSENT_BENCH_PROFILE"),
	}
	var err error
	if c.only, err = regexp.Compile(os.Getenv("ASSENT_BENCH_ONLY")); err != nil {
		t.Fatalf("ASSENT_BENCH_ONLY: %v", err)
	}
	if s := os.Getenv("ASSENT_BENCH_SIDES"); s != "" {
		c.sides = strings.Split(s, ",")
	}
	for _, s := range c.sides {
		if !slices.Contains(sides, s) {
			t.Fatalf("ASSENT_BENCH_SIDES: there is no side %q (%s)", s, strings.Join(sides, ","))
		}
	}
	return c
}

// A workload is one case: what pgbench runs and what we want to see.
type workload struct {
	name    string
	args    []string // of pgbench
	clients int
	rows    int     // of a transaction's result, when that is what counts
	goal    float64 // share of the splice's rate; 0: none
	micros  float64 // of the gate's CPU a transaction; 0: none
}

func workloads(dir string) []workload {
	var all []workload
	for _, kind := range []struct{ name, arg string }{{"select", "-S"}, {"tpcb", "--builtin=tpcb-like"}} {
		for _, protocol := range []string{"simple", "prepared"} {
			for _, clients := range []int{1, 8, 64} {
				w := workload{name: fmt.Sprintf("%s/%s/%d", kind.name, protocol, clients), args: []string{kind.arg, "-M", protocol}, clients: clients}
				if kind.name == "select" && clients == 8 {
					w.goal, w.micros = 0.85, 50
				}
				all = append(all, w)
			}
		}
	}
	for _, r := range []struct {
		name string
		goal float64
	}{{"clean", 0.8}, {"masked", 0.6}, {"masked3", 0.7}} {
		all = append(all, workload{
			name: "rows/" + r.name, args: []string{"-f", filepath.Join(dir, r.name+".sql"), "-M", "simple"},
			clients: 1, rows: bulkRows, goal: r.goal,
		})
	}
	return all
}

// measuredPack is the built-in pack, but what pgbench's TPC-B writes is allowed:
// to hold it would measure people. Another pack could not say so, for none loosens.
func measuredPack(t testing.TB) string {
	t.Helper()
	rules, _, ok := strings.Cut(string(policy.DefaultPack()), "\ntests:\n")
	flows := regexp.MustCompile(`(?s)  - id: hold-writes\n.*?\n\n`).ReplaceAllString(rules, "")
	if !ok || flows == rules {
		t.Fatal("the built-in pack has no rule hold-writes, or no tests: change measuredPack")
	}
	return flows + `
  - id: tpcb-writes
    match: { kind: [data.write], verb: [update, insert] }
    then: allow
tests:
  - { name: writes, given: { kind: data.write, verb: update }, want: { decision: allow } }
  - { name: deletes, given: { kind: data.delete }, want: { decision: review } }
`
}

// BenchmarkPostgres runs pgbench's selects and TPC-B and a bulk read at the server,
// through pgbouncer, through a splice and through us, in turns, and prints how much
// of the rate each hop leaves and what it adds. Every hop is a process of its own on
// loopback TCP without TLS; clients log in with SCRAM everywhere. pgbouncer pools
// sessions, as only that keeps what a session means. The server doesn't wait for its
// disk (fsync and synchronous_commit off), for the disk is not what is compared; the
// gate's own log does.
func BenchmarkPostgres(b *testing.B) {
	config := readBenchConfig(b)
	h := houseWith(b, measuredPack(b), pgcluster.Options{Settings: map[string]string{
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
		"shared_buffers": "512MB", "max_wal_size": "4GB", "max_connections": "300",
	}})
	h.profile = config.profile
	h.start()
	m := &match{t: b, bin: h.cluster.Bin, ends: h.ends(config.sides), seconds: config.seconds, dir: b.TempDir(), results: map[string]map[string][]turn{}}
	m.prepare(h, config.scale)
	m.run(config)
	h.stop()
	m.print()
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Printf("\n%d cores; load of the whole machine over the last 1, 5 and 15 minutes: %s\n", runtime.NumCPU(), bytes.Join(bytes.Fields(load)[:3], []byte(" ")))
	}
	if config.profile != "" {
		fmt.Printf("\nCPU profile of the gate: go tool pprof %s\n", config.profile)
	}
	b.ReportMetric(0, "ns/op")
}

// run plays the cases that were asked for, each side having its turn in each round.
func (m *match) run(config benchConfig) {
	for _, w := range workloads(m.dir) {
		if !config.only.MatchString(w.name) {
			continue
		}
		m.ran = append(m.ran, w)
		for round := range config.rounds {
			for i := range m.ends {
				m.play(w, m.ends[(i+round)%len(m.ends)])
			}
		}
	}
	if len(m.ran) == 0 {
		m.t.Fatal("ASSENT_BENCH_ONLY matches no case; they are called like select/simple/8, tpcb/prepared/64, rows/masked")
	}
}

// ends are where each side is reached.
func (h *house) ends(names []string) []end {
	var all []end
	for _, name := range names {
		e := end{side: name, user: h.cluster.User, password: h.cluster.Password, addr: h.cluster.Addr()}
		switch name {
		case "pgbouncer":
			e.addr, e.pid = startPgbouncer(h.t, h.cluster)
		case "splice", "proxy":
			e.addr, e.pid = startHop(h.t, name, h.cluster.Addr())
		case "assent":
			e.addr, e.pid, e.user, e.password = h.gate, h.cmd.Process.Pid, "worker", h.worker()
		}
		all = append(all, e)
	}
	return all
}

// prepare fills the tables and makes sure that each side gives what it should.
func (m *match) prepare(h *house, scale int) {
	h.t.Helper()
	direct := end{user: h.cluster.User, password: h.cluster.Password, addr: h.cluster.Addr()}
	if out, err := m.pgbench(direct, "-i", "-q", "-s", strconv.Itoa(scale)).CombinedOutput(); err != nil {
		h.t.Fatalf("pgbench -i: %v\n%s", err, out)
	}
	_, err := h.direct().Exec(h.t.Context(), fmt.Sprintf(`
		CREATE TABLE clean AS SELECT n AS id, 'item number ' || n AS name, n * 7 %% 1000 AS amount, 'of shelf ' || n %% 40 || ', blue, in stock' AS note
			FROM generate_series(1, %[1]d) n;
		CREATE TABLE masked AS SELECT n AS id, 'person' || n || '@example.com' AS email, '4111 1111 1111 1111' AS card, 'of shelf ' || n %% 40 || ', blue, in stock' AS note
			FROM generate_series(1, %[1]d) n;
		CREATE TABLE masked3 AS SELECT n AS id, 'person' || n || '@example.com' AS email, '4111 1111 1111 1111' AS card,
			'219-09-' || to_char(n %% 9000 + 1000, 'FM0000') AS ssn, 'of shelf ' || n %% 40 || ', blue, in stock' AS note
			FROM generate_series(1, %[1]d) n`, bulkRows), pgx.QueryExecModeSimpleProtocol)
	if err == nil {
		_, err = h.direct().Exec(h.t.Context(), "VACUUM ANALYZE")
	}
	if err != nil {
		h.t.Fatal(err)
	}
	for _, table := range []string{"clean", "masked", "masked3"} {
		if err := os.WriteFile(filepath.Join(m.dir, table+".sql"), []byte("SELECT * FROM "+table+";\n"), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	for _, e := range m.ends {
		m.check(e)
	}
}

// check reads the bulk tables once: all rows are there, and what must be masked is, at our side alone.
func (m *match) check(e end) {
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, e.dsn())
	if err != nil {
		m.t.Fatalf("%s: %v", e.side, err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	for _, table := range []string{"clean", "masked", "masked3"} {
		rows, err := c.Query(ctx, "SELECT * FROM "+table, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			m.t.Fatalf("%s: %v", e.side, err)
		}
		n, plain := 0, 0
		for rows.Next() {
			n++
			text := fmt.Sprintf("%s", rows.RawValues())
			if strings.Contains(text, "@example.com") || strings.Contains(text, "4111 1111 1111 1111") || strings.Contains(text, "219-09-") {
				plain++
			}
		}
		want := 0
		if table != "clean" && e.user != "worker" {
			want = bulkRows
		}
		if rows.Err() != nil || n != bulkRows || plain != want {
			m.t.Fatalf("%s: table %s: %d rows, %d of them with data in the clear (want %d), %v", e.side, table, n, plain, want, rows.Err())
		}
	}
}

// print shows the medians, each against what the same round saw at the other sides.
func (m *match) print() {
	tw := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "\ncase\tside\trate /s\tof direct\tof splice\t(from to)\tp50 µs\tadded\tp99 µs\tadded\tCPU µs/tx\t")
	for _, w := range m.ran {
		for _, e := range m.ends {
			s := m.sum(w, e.side)
			fmt.Fprintf(tw, "%s\t%s\t%.0f\t%s\t%s\t%s\t%.0f\t%s\t%.0f\t%s\t%s\t\n", w.name, e.side, s.rate*float64(max(w.rows, 1)),
				ratio(s.ofDirect), ratio(s.ofSplice), s.spread, s.p50, plus(s.added50), s.p99, plus(s.added99), number1(s.cpu))
		}
	}
	_ = tw.Flush()
	m.goals()
}

// goals says what was wanted and what was seen; nothing fails of it, for the machine is shared.
func (m *match) goals() {
	said := false
	for _, w := range m.ran {
		if w.goal == 0 {
			continue
		}
		s := m.sum(w, "assent")
		if math.IsNaN(s.ofSplice) {
			continue // one of the two did not play
		}
		if !said {
			fmt.Println("\ngoals:")
			said = true
		}
		fmt.Printf("  %-18s of the splice's rate: goal %.2f, seen %s %s\n", w.name, w.goal, ratio(s.ofSplice), met(s.ofSplice >= w.goal))
		if w.micros > 0 {
			fmt.Printf("  %-18s gate CPU a transaction: goal %.0f µs, seen %s %s\n", w.name, w.micros, number1(s.cpu), met(s.cpu <= w.micros))
		}
	}
}

func met(ok bool) string {
	if ok {
		return "(met)"
	}
	return "(not met)"
}

func ratio(x float64) string { return formatted("%.2f", x) }

func plus(x float64) string { return formatted("%+.0f", x) }

func number1(x float64) string { return formatted("%.1f", x) }

func formatted(form string, x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return fmt.Sprintf(form, x)
}
