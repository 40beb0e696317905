// Command drivers runs the test suite of a PostgreSQL driver against a temporary
// PostgreSQL, directly and through the gate with everything allowed, and says which
// tests the gate changes the result of.
//
//	go run ./e2e/drivers psycopg DIR [pytest arguments]
//	go run ./e2e/drivers psycopg2 DIR [pytest arguments]
//	go run ./e2e/drivers serve
//
// DIR is the driver's source with its tests; PYTHON (python3) must have the driver
// pytest and pytest-timeout installed. It runs directly twice: what differs between those two
// says nothing about the gate. serve only starts both and prints where they are,
// for any other client.
package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: scripts/drivers psycopg|psycopg2 DIR [pytest arguments]
       scripts/drivers serve

psycopg (3):  git clone -b 3.2.13 https://github.com/psycopg/psycopg DIR
              python3 -m venv VENV && VENV/bin/pip install "DIR/psycopg[test]" DIR/psycopg_pool pytest-timeout
psycopg2:     the sdist of psycopg2 2.9 from PyPI, unpacked in DIR
              python3 -m venv VENV && VENV/bin/pip install DIR pytest pytest-timeout
then          PYTHON=VENV/bin/python scripts/drivers psycopg DIR`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "drivers:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "serve" {
		return serve(ctx)
	}
	if len(args) < 2 {
		return errors.New(usage)
	}
	s, is := suites[args[0]]
	if !is {
		return errors.New(usage)
	}
	dir, err := filepath.Abs(args[1])
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "tests")); err != nil {
		return fmt.Errorf("%s has no tests\n%s", dir, usage)
	}
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.close()
	var got [3]results
	for i, a := range []address{h.direct, h.direct, h.gate} {
		began := time.Now()
		if got[i], err = s.run(ctx, h, dir, a, args[2:]); err != nil {
			return err
		}
		fmt.Printf("%-16s %s in %s\n", []string{"direct", "direct again", "through the gate"}[i], got[i].counts(), time.Since(began).Round(time.Second))
	}
	fmt.Println(h.summary())
	return compare(got[0], got[1], got[2])
}

func serve(ctx context.Context) error {
	h, err := open(ctx)
	if err != nil {
		return err
	}
	defer h.close()
	fmt.Printf("direct  %s\ngate    %s\nlog     %s\nCtrl-C ends both.\n", h.direct.dsn(), h.gate.dsn(), filepath.Join(h.dir, "serve.log"))
	<-ctx.Done()
	return nil
}

// A suite is how a driver's tests are run with pytest.
type suite struct {
	env  func(address) []string
	args []string
}

var suites = map[string]suite{
	"psycopg": {
		env: func(a address) []string {
			return []string{"PSYCOPG_TEST_DSN=" + a.dsn(), "PSYCOPG_IMPL=python"}
		},
		// Type checks, DNS and gevent are no business of a connection's; the slow ones look for leaks in Python.
		args: []string{"-m", "not mypy and not dns and not gevent and not slow", "-p", "no:randomly", "--ignore=tests/crdb", "--ignore=tests/scripts"},
	},
	"psycopg2": {
		env: func(a address) []string {
			return []string{
				"PSYCOPG2_TESTDB=" + database, "PSYCOPG2_TESTDB_HOST=" + a.host, "PSYCOPG2_TESTDB_PORT=" + a.port,
				"PSYCOPG2_TESTDB_USER=" + a.user, "PSYCOPG2_TESTDB_PASSWORD=" + a.password, "PSYCOPG2_TEST_REPL_DSN=" + "",
			}
		},
		args: []string{"-p", "no:randomly"},
	},
}

func (s suite) run(ctx context.Context, h *house, dir string, a address, extra []string) (results, error) {
	python := os.Getenv("PYTHON")
	if python == "" {
		python = "python3"
	}
	report := filepath.Join(h.dir, "junit.xml")
	if err := os.Remove(report); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	args := slices.Concat([]string{"-m", "pytest", "-q", "--tb=short", "--timeout=120", "--junitxml=" + report}, s.args, extra)
	if !slices.ContainsFunc(extra, func(s string) bool { return strings.HasPrefix(s, "tests") }) {
		args = append(args, "tests")
	}
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), s.env(a)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, failed := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); ctx.Err() != nil || code != 0 && code != 1 { // 1: some tests failed
		return nil, fmt.Errorf("%s did not run to its end (%w), which compares nothing\n%s\n%s", python, errors.Join(failed, ctx.Err()), out, usage)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, fmt.Errorf("%s wrote no report: %w\n%s\n%s", python, failed, out, usage)
	}
	if keep := os.Getenv("DRIVERS_OUT"); keep != "" {
		name := filepath.Join(keep, fmt.Sprintf("%s-%d", a.user, time.Now().Unix()))
		if err := errors.Join(os.WriteFile(name+".xml", text, 0o600), os.WriteFile(name+".txt", out, 0o600)); err != nil {
			return nil, err
		}
	}
	return parse(text)
}

// results say of each test how it ended: "" passed, "skipped", or why it failed.
type results map[string]string

const skipped = "skipped"

func parse(text []byte) (results, error) {
	type why struct {
		Message string `xml:"message,attr"`
	}
	var doc struct {
		Suites []struct {
			Cases []struct {
				Class   string `xml:"classname,attr"`
				Name    string `xml:"name,attr"`
				Failure *why   `xml:"failure"`
				Error   *why   `xml:"error"`
				Skipped *why   `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("reading the report: %w", err)
	}
	out := results{}
	for _, s := range doc.Suites {
		for _, c := range s.Cases {
			name, said := c.Class+"::"+c.Name, ""
			switch {
			case c.Failure != nil:
				said = c.Failure.Message + " "
			case c.Error != nil:
				said = c.Error.Message + " "
			case c.Skipped != nil:
				said = skipped
			}
			if out[name] == "" {
				out[name] = said
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the suite ran no test")
	}
	return out, nil
}

func (r results) counts() string {
	var passed, skips int
	for _, said := range r {
		switch said {
		case "":
			passed++
		case skipped:
			skips++
		}
	}
	return fmt.Sprintf("%d passed, %d failed, %d skipped", passed, len(r)-passed-skips, skips)
}

// compare prints what the gate changes. A test is the gate's only if it passed directly both times.
func compare(first, second, gate results) error {
	var both, neither, unsteady int
	var lost []string
	for _, name := range names(first, second, gate) {
		d1, ok1 := first[name]
		d2, ok2 := second[name]
		g, ok3 := gate[name]
		switch {
		case d1 == skipped && d2 == skipped && g == skipped:
		case d1 == "" && d2 == "" && ok1 && ok2:
			if g == "" && ok3 {
				both++
				continue
			}
			lost = append(lost, name+"\n    "+line(g))
		case (d1 == "") != (d2 == ""):
			unsteady++
			fmt.Printf("unsteady directly  %s\n", name)
		default:
			neither++
			fmt.Printf("fails directly     %s\n", name)
		}
	}
	for _, l := range lost {
		fmt.Printf("only directly      %s\n", l)
	}
	fmt.Printf("\npassed both ways %d, only directly %d, unsteady directly %d, failed directly %d\n", both, len(lost), unsteady, neither)
	return nil
}

func names(all ...results) []string {
	var out []string
	for _, r := range all {
		for name := range r {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// line is the first of a message, short.
func line(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s[:min(len(s), 200)]
}
