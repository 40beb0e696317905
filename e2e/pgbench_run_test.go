package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/pgcluster"
)

// An end is one side: where pgbench connects, and whose CPU time counts.
type end struct {
	side, addr, user, password string
	pid                        int // of the hop; 0: there is none
}

func (e end) dsn() string {
	return fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", e.user, e.password, e.addr)
}

// A turn is what one run of pgbench showed.
type turn struct {
	rate     float64 // transactions a second, without connecting
	p50, p99 float64 // µs
	cpu      float64 // µs of the hop's CPU a transaction; NaN: not to be had
}

// A match is the sides' turns at all cases.
type match struct {
	t       testing.TB
	bin     string // directory of pgbench
	dir     string // for its scripts and logs
	seconds int
	ends    []end
	ran     []workload
	results map[string]map[string][]turn // by case and side, a turn for each round
}

var tps = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

func (m *match) pgbench(e end, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(e.addr)
	c := exec.Command(filepath.Join(m.bin, "pgbench"), append(args, "-h", host, "-p", port, "-U", e.user, "postgres")...)
	c.Env = append(os.Environ(), "PGPASSWORD="+e.password, "PGSSLMODE=disable", "PGGSSENCMODE=disable")
	return c
}

// play runs one turn and keeps what it showed. Where the machine is so busy that
// logging in takes the whole turn, it is played again.
func (m *match) play(w workload, e end) {
	m.t.Helper()
	for range 3 {
		t, ok := m.turn(w, e)
		if !ok {
			fmt.Printf("%-18s %-9s no transaction within %d s: again\n", w.name, e.side, m.seconds)
			continue
		}
		if m.results[w.name] == nil {
			m.results[w.name] = map[string][]turn{}
		}
		m.results[w.name][e.side] = append(m.results[w.name][e.side], t)
		fmt.Printf("%-18s %-9s %8.0f /s  p50 %6.0f  p99 %6.0f µs  CPU %s µs/tx\n", w.name, e.side, t.rate, t.p50, t.p99, number1(t.cpu))
		return
	}
	m.t.Fatalf("%s at %s: no transaction within %d s, three times: make turns longer by ASSENT_BENCH_SECONDS", w.name, e.side, m.seconds)
}

// turn runs pgbench once. It reports false when not even one transaction ended in time.
func (m *match) turn(w workload, e end) (t turn, ok bool) {
	m.t.Helper()
	logs := filepath.Join(m.dir, "log")
	args := append(slices.Clone(w.args), "-n", "-c", strconv.Itoa(w.clients), "-j", strconv.Itoa(min(w.clients, 2)),
		"-T", strconv.Itoa(m.seconds), "-l", "--log-prefix="+logs)
	cmd := m.pgbench(e, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	samples, err := watchCPU(e.pid, done)
	if err == nil && bytes.Contains(out.Bytes(), []byte("actually processed: 0\n")) {
		return turn{}, false
	}
	found := tps.FindSubmatch(out.Bytes())
	if err != nil || found == nil || bytes.Contains(out.Bytes(), []byte("aborted")) {
		m.t.Fatalf("%s at %s: pgbench: %v\n%s", w.name, e.side, err, &out)
	}
	t.rate, _ = strconv.ParseFloat(string(found[1]), 64)
	log := m.readLogs(logs)
	t.p50, t.p99, t.cpu = log.quantile(0.5), log.quantile(0.99), log.cpu(samples)
	return t, true
}

// A sample is a process's CPU time at a moment.
type sample struct {
	at   time.Time
	used time.Duration
}

// watchCPU samples the process until done delivers, whose error it returns.
func watchCPU(pid int, done <-chan error) ([]sample, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var all []sample
	for {
		select {
		case err := <-done:
			return all, err
		case <-tick.C:
			if pid == 0 {
				continue
			}
			if used, err := cpuTime(pid); err == nil {
				all = append(all, sample{time.Now(), used})
			}
		}
	}
}

// cpuTime is the user and system time of all threads (proc(5), /proc/PID/stat: fields 14 and 15, in ticks of 10 ms).
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name before it may hold anything
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// A txLog is pgbench's own log of a turn: when each transaction ended, and its length.
type txLog struct {
	ended []int64   // µs since 1970, sorted
	took  []float64 // µs, sorted
}

// readLogs reads and removes what pgbench's threads wrote.
func (m *match) readLogs(prefix string) txLog {
	m.t.Helper()
	files, _ := filepath.Glob(prefix + ".*") // the only error is a bad pattern
	var l txLog
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			m.t.Fatal(err)
		}
		for in := bufio.NewScanner(f); in.Scan(); {
			var client, n, script, took, sec, usec int64
			if _, err := fmt.Sscan(in.Text(), &client, &n, &took, &script, &sec, &usec); err != nil {
				m.t.Fatalf("pgbench's log: %q: %v", in.Text(), err)
			}
			l.ended, l.took = append(l.ended, sec*1e6+usec), append(l.took, float64(took))
		}
		_ = f.Close()
		_ = os.Remove(name)
	}
	if len(l.took) == 0 {
		m.t.Fatal("pgbench logged no transaction")
	}
	slices.Sort(l.ended)
	slices.Sort(l.took)
	return l
}

func (l txLog) quantile(q float64) float64 {
	return l.took[int(q*float64(len(l.took)-1))]
}

// cpu is what a transaction cost between the first and the last sample that fall
// into the run proper: logins are not counted, and neither is what comes after.
func (l txLog) cpu(samples []sample) float64 {
	from, to := l.ended[0], l.ended[len(l.ended)-1]
	samples = slices.DeleteFunc(samples, func(s sample) bool { return s.at.UnixMicro() < from || s.at.UnixMicro() > to })
	if len(samples) < 2 {
		return math.NaN()
	}
	a, b := samples[0], samples[len(samples)-1]
	i, _ := slices.BinarySearch(l.ended, a.at.UnixMicro())
	j, _ := slices.BinarySearch(l.ended, b.at.UnixMicro())
	if i == j {
		return math.NaN()
	}
	return float64((b.used - a.used).Microseconds()) / float64(j-i)
}

// A summary is the medians of one side at one case.
type summary struct {
	rate, p50, p99, cpu float64
	ofDirect, ofSplice  float64 // NaN: that side did not play
	added50, added99    float64 // µs over direct
	spread              string  // of ofSplice
}

func (m *match) sum(w workload, side string) summary {
	turns := m.results[w.name]
	mine := turns[side]
	over := func(other string, f func(a, b turn) float64) []float64 {
		var all []float64
		for i := range min(len(mine), len(turns[other])) {
			all = append(all, f(mine[i], turns[other][i]))
		}
		return all
	}
	one := func(f func(turn) float64) float64 {
		var all []float64
		for _, t := range mine {
			all = append(all, f(t))
		}
		return median(all)
	}
	rates := func(a, b turn) float64 { return a.rate / b.rate }
	ofSplice := over("splice", rates)
	s := summary{
		rate: one(func(t turn) float64 { return t.rate }), cpu: one(func(t turn) float64 { return t.cpu }),
		p50: one(func(t turn) float64 { return t.p50 }), p99: one(func(t turn) float64 { return t.p99 }),
		ofDirect: median(over("direct", rates)), ofSplice: median(ofSplice),
		added50: median(over("direct", func(a, b turn) float64 { return a.p50 - b.p50 })),
		added99: median(over("direct", func(a, b turn) float64 { return a.p99 - b.p99 })),
	}
	if len(ofSplice) > 0 {
		s.spread = fmt.Sprintf("%.2f %.2f", slices.Min(ofSplice), slices.Max(ofSplice))
	}
	return s
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return math.NaN()
	}
	all = slices.Sorted(slices.Values(all))
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

// startPgbouncer runs it before the cluster until the test ends.
func startPgbouncer(t testing.TB, c *pgcluster.Cluster) (addr string, pid int) {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/pgbouncer"); err != nil {
			t.Fatal("pgbouncer is not installed: scripts/install bench, or leave it out with ASSENT_BENCH_SIDES=direct,splice,assent")
		}
	}
	dir, err := os.MkdirTemp("", "assent-pgbouncer-") // not t.TempDir: its user can't reach into it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	addr = free(t)
	host, port, _ := net.SplitHostPort(addr)
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
postgres = host=%s port=%d dbname=postgres
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = session
max_client_conn = 200
default_pool_size = 100
ignore_startup_parameters = extra_float_digits
server_tls_sslmode = disable
log_connections = 0
log_disconnections = 0
`, c.Host, c.Port, host, port, users)
	cmd := exec.Command(path, "-q", config)
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 { // it refuses to run as root
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ = strconv.Atoi(nobody.Uid)
		gid, _ = strconv.Atoi(nobody.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	for name, content := range map[string]string{config: text, users: fmt.Sprintf("%q %q\n", c.User, c.Password)} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	for range 200 {
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			_ = conn.Close()
			return addr, cmd.Process.Pid
		}
		select {
		case <-ended:
			t.Fatalf("pgbouncer ended at once:\n%s", &said)
		case <-time.After(25 * time.Millisecond):
		}
	}
	t.Fatal("pgbouncer did not listen within 5 s")
	return "", 0
}
