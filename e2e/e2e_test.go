// Package e2e drives the real binary against a real PostgreSQL: kills it under
// load, restarts it with actions held, and holds ten thousand at once.
package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/server"
	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/freeport"
)

// binary builds assent once for all tests of the package.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "assent-e2e-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "assent")
	out, err := exec.Command("go", "build", "-o", path, "../cmd/assent").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// TestMain runs the tests, or, started again by one of them, is the process that
// the variable names: see procs_test.go.
func TestMain(m *testing.M) {
	if serve, ok := procs[os.Getenv(procVar)]; ok {
		os.Exit(serve(os.Args[1:]))
	}
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// house is one deployment under test.
type house struct {
	t       testing.TB
	dir     string
	cluster *pgcluster.Cluster
	console string
	gate    string
	profile string            // file for a CPU profile of the server; it is then the test binary that serves
	shared  bool              // its store is one that other nodes share
	run     func(func())      // where it starts its server; nil: here
	web     http.RoundTripper // that reaches it; nil: any

	cmd  *exec.Cmd
	done chan struct{}
	logs *strings.Builder
}

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: e2e, version: 1.0.0, owner: tests }
rules:
  - id: reads
    match: { kind: [data.read] }
    then: allow
  - id: marks-are-allowed
    match: { kind: [data.write], verb: [update] }
    then: allow
  - id: inserts-wait
    match: { kind: [data.write], verb: [insert] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 10m, use_within: 10m, assurance: token }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
  - { name: updates, given: { kind: data.write, verb: update }, want: { decision: allow } }
  - { name: inserts, given: { kind: data.write, verb: insert }, want: { decision: review } }
`

func newHouse(t testing.TB) *house {
	t.Helper()
	h := houseWith(t, pack, pgcluster.Options{})
	if _, err := h.direct().Exec(t.Context(), "CREATE TABLE ran (n bigint); CREATE TABLE mark (id int PRIMARY KEY, n bigint); INSERT INTO mark VALUES (1, 0)"); err != nil {
		t.Fatal(err)
	}
	return h
}

// houseWith is a house under another policy, before a server with other settings.
func houseWith(t testing.TB, pack string, o pgcluster.Options) *house {
	t.Helper()
	c, err := pgcluster.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("starting PostgreSQL (scripts/install installs it): %v", err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	h := &house{t: t, dir: t.TempDir(), cluster: c, console: free(t), gate: free(t)}
	h.write("pg.password", c.Password)
	h.write("pack.yaml", pack)
	h.write("assent.yaml", fmt.Sprintf(`
data: data
listen: %s
public_url: http://%s
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
limits: { pending_per_actor: 20000, export_after_rows: 100000000 }
gates:
  - name: shop
    type: postgres
    listen: %s
    env: test
    upstream: { host: %s, port: %d, database: postgres, user: %s, password: { file: pg.password }, tls: "off" }
`, h.console, h.console, h.gate, c.Host, c.Port, c.User))
	t.Cleanup(h.kill)
	return h
}

func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func free(t testing.TB) string {
	address, err := freeport.Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// direct is a connection past the gate, to see what really happened.
func (h *house) direct() *pgx.Conn {
	h.t.Helper()
	c, err := pgx.Connect(h.t.Context(), h.cluster.DSN(h.cluster.User, "postgres"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// start runs the server and returns how long it took to say that it accepts.
func (h *house) start() time.Duration {
	h.t.Helper()
	bin, err := binary()
	if err != nil {
		h.t.Fatal(err)
	}
	began := time.Now()
	serve := []string{"serve", "--config", filepath.Join(h.dir, "assent.yaml")}
	h.cmd = exec.Command(bin, serve...)
	if h.profile != "" {
		h.cmd = proc("profiled", append([]string{h.profile}, serve...)...)
	}
	h.logs = &strings.Builder{}
	errs, err := h.cmd.StderrPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	run := h.run
	if run == nil {
		run = func(f func()) { f() }
	}
	if run(func() { err = h.cmd.Start() }); err != nil {
		h.t.Fatal(err)
	}
	ready := make(chan struct{})
	h.done = make(chan struct{})
	go func() {
		in := bufio.NewScanner(errs)
		in.Buffer(nil, 1<<20)
		said := false
		for in.Scan() {
			var line struct{ Msg string }
			if !said && json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "ready" {
				said = true
				close(ready)
			}
			h.logs.WriteString(in.Text() + "\n")
		}
		_, _ = io.Copy(io.Discard, errs)
		_ = h.cmd.Wait()
		close(h.done)
	}()
	select {
	case <-ready:
	case <-h.done:
		h.t.Fatalf("the server ended before it was ready:\n%s", h.logs)
	case <-time.After(60 * time.Second):
		h.t.Fatal("the server was not ready within a minute")
	}
	return time.Since(began)
}

// kill ends the server as a power cut would: SIGKILL, nothing flushed.
func (h *house) kill() {
	if h.cmd != nil && h.cmd.Process != nil {
		_ = h.cmd.Process.Kill()
		<-h.done
		h.cmd = nil
	}
}

// stop ends the server as an operator would, and waits for it.
func (h *house) stop() {
	if h.cmd != nil && h.cmd.Process != nil {
		_ = h.cmd.Process.Signal(syscall.SIGTERM)
		<-h.done
		h.cmd = nil
	}
}

func (h *house) operator() *client.Client {
	h.t.Helper()
	o, err := server.ReadOperator(filepath.Join(h.dir, "data"))
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := client.New(o.URL, o.Token, h.web)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *house) mint(r client.TokenRequest) string {
	h.t.Helper()
	token, _, err := h.operator().CreateToken(h.t.Context(), r)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

func (h *house) worker() string {
	return h.mint(client.TokenRequest{Kind: "actor", Actors: []string{"agent:worker"}, Life: time.Hour})
}

func (h *house) reviewer() *client.Client {
	h.t.Helper()
	c, err := client.New("http://"+h.console, h.mint(client.TokenRequest{Kind: "person", Subject: "person:mira", Scopes: []string{"review", "read"}, Life: time.Hour}), h.web)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *house) dsn(token string) string {
	return fmt.Sprintf("postgres://worker:%s@%s/postgres?sslmode=disable", token, h.gate)
}

// verify runs the real command on the data directory.
func (h *house) verify() string {
	h.t.Helper()
	bin, err := binary()
	if err != nil {
		h.t.Fatal(err)
	}
	args := []string{"verify", "--data", filepath.Join(h.dir, "data")}
	if h.shared {
		args = []string{"verify", "--config", filepath.Join(h.dir, "assent.yaml")}
	}
	out, err := exec.Command(bin, args...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("the log does not verify: %v\n%s", err, out)
	}
	return string(out)
}
