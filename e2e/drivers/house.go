package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/freeport"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/server"
)

// database is where the suites run; actor is who the gate knows them as.
const (
	database = "driver_test"
	actor    = "suite"
)

// A house is a temporary PostgreSQL with the real binary before it.
type house struct {
	direct, gate address

	cluster *pgcluster.Cluster
	dir     string
	serve   *exec.Cmd
	ended   chan struct{}
}

// An address is what a client needs to connect.
type address struct{ host, port, user, password string }

func (a address) dsn() string {
	return fmt.Sprintf("host=%s port=%s user=%s password=%s dbname=%s", a.host, a.port, a.user, a.password, database)
}

// open starts both. Everything that has a kind is allowed and nothing is masked; what
// no parser understands can't be allowed by a rule, so a reviewer says yes to it at once.
func open(ctx context.Context) (*house, error) {
	h := &house{ended: make(chan struct{})}
	err := h.start(ctx)
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *house) start(ctx context.Context) (err error) {
	h.cluster, err = pgcluster.Start(ctx, pgcluster.Options{Settings: map[string]string{
		"max_prepared_transactions": "10", "wal_level": "logical", "max_connections": "200", "fsync": "off",
	}})
	if err != nil {
		return fmt.Errorf("%w (scripts/install installs it)", err)
	}
	port := fmt.Sprint(h.cluster.Port)
	h.direct = address{h.cluster.Host, port, h.cluster.User, h.cluster.Password}
	for _, s := range [][2]string{{"postgres", "CREATE DATABASE " + database}, {database, "CREATE EXTENSION hstore"}} {
		psql := exec.CommandContext(ctx, filepath.Join(h.cluster.Bin, "psql"), "-qXc", s[1], h.cluster.DSN(h.cluster.User, s[0]))
		if out, err := psql.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", s[1], err, out)
		}
	}
	if h.dir, err = os.MkdirTemp("", "assent-drivers-"); err != nil {
		return err
	}
	console, listen := free(), free()
	for name, text := range map[string]string{
		"pg.password": h.cluster.Password,
		"pack.yaml":   pack(),
		"assent.yaml": fmt.Sprintf(`
data: data
listen: %s
public_url: http://%s
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: %s, owner: dana }]
limits: { pending_per_actor: 10000, export_after_rows: 1000000000 }
log: { level: warn }
gates:
  - name: drivers
    type: postgres
    listen: %s
    env: test
    upstream: { host: %s, port: %s, database: %s, user: %s, password: { file: pg.password }, tls: "off" }
`, console, console, actor, listen, h.cluster.Host, port, database, h.cluster.User),
	} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := h.run(ctx); err != nil {
		return err
	}
	secret, err := h.credentials(ctx, "http://"+console)
	if err != nil {
		return err
	}
	host, gatePort, _ := net.SplitHostPort(listen)
	h.gate = address{host, gatePort, actor, secret}
	return nil
}

// pack allows every kind that can be allowed.
func pack() string {
	var kinds []string
	for _, k := range action.Kinds() {
		if k != action.Unknown {
			kinds = append(kinds, string(k))
		}
	}
	return `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: drivers, version: 1.0.0, owner: tests }
rules:
  - id: everything
    match: { kind: [` + strings.Join(kinds, ", ") + `] }
    then: allow
  - id: unknown-is-asked
    match: { kind: [unknown] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 10m, assurance: token }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
  - { name: unknown, given: { kind: unknown }, want: { decision: review } }
`
}

// run builds and starts the server, and returns once it accepts.
func (h *house) run(ctx context.Context) error {
	binary := filepath.Join(h.dir, "assent")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/assent").CombinedOutput(); err != nil {
		return fmt.Errorf("building assent: %w: %s", err, out)
	}
	h.serve = exec.CommandContext(ctx, binary, "serve", "--config", filepath.Join(h.dir, "assent.yaml"))
	h.serve.Cancel = func() error { return h.serve.Process.Signal(os.Interrupt) }
	errs, err := h.serve.StderrPipe()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(h.dir, "serve.log"))
	if err != nil {
		return err
	}
	if err := h.serve.Start(); err != nil {
		return err
	}
	go func() {
		defer close(h.ended)
		defer log.Close()
		_, _ = io.Copy(log, bufio.NewReader(errs))
		_ = h.serve.Wait()
	}()
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		select {
		case <-h.ended:
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the server ended: %s", text)
		default:
		}
		if o, err := server.ReadOperator(filepath.Join(h.dir, "data")); err == nil {
			if c, err := client.New(o.URL, o.Token, nil); err == nil {
				if r, err := c.Ready(ctx); err == nil && r != nil {
					return nil
				}
			}
		}
	}
	return errors.New("the server was not ready within a minute")
}

// credentials makes the suite's password, and a reviewer who approves whatever is asked.
func (h *house) credentials(ctx context.Context, console string) (string, error) {
	o, err := server.ReadOperator(filepath.Join(h.dir, "data"))
	if err != nil {
		return "", err
	}
	operator, err := client.New(o.URL, o.Token, nil)
	if err != nil {
		return "", err
	}
	token, _, err := operator.CreateToken(ctx, client.TokenRequest{Kind: "person", Subject: "person:mira", Scopes: []string{"review", "read"}, Life: 8 * time.Hour})
	if err != nil {
		return "", err
	}
	reviewer, err := client.New(console, token, nil)
	if err != nil {
		return "", err
	}
	go func() {
		_ = reviewer.Tail(ctx, client.TailOptions{}, func(e client.Event) error {
			if e.Approval == nil {
				return nil
			}
			a, err := reviewer.Approval(ctx, e.Approval.ID)
			if err == nil && a.State == "pending" {
				_, err = reviewer.Review(ctx, a, client.Approve, "")
			}
			if err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "reviewing:", err)
			}
			return nil
		})
	}()
	secret, _, err := operator.CreateToken(ctx, client.TokenRequest{Kind: "actor", Actors: []string{"agent:" + actor}, Life: 8 * time.Hour})
	return secret, err
}

func (h *house) close() {
	if h.serve != nil && h.serve.Process != nil {
		_ = h.serve.Process.Signal(os.Interrupt)
		select {
		case <-h.ended:
		case <-time.After(20 * time.Second):
			_ = h.serve.Process.Kill()
		}
	}
	if h.cluster != nil {
		_ = h.cluster.Stop()
	}
	if h.dir != "" {
		_ = os.RemoveAll(h.dir)
	}
}

// summary counts the log's records, to say that the suite really went through the gate.
func (h *house) summary() string {
	out, err := exec.Command(filepath.Join(h.dir, "assent"), "verify", "--data", filepath.Join(h.dir, "data"), "--json").Output()
	if err != nil {
		return "the log does not verify: " + err.Error()
	}
	var v struct {
		Records int64 `json:"records"`
		Spool   int64 `json:"spool_records"`
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d records in the log and %d in the spool, verified", v.Records, v.Spool)
}

func free() string {
	address, err := freeport.Address()
	if err != nil {
		return "127.0.0.1:0"
	}
	return address
}
