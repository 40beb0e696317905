package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/gates/postgres"
	"github.com/jackc/pgx/v5"
)

func TestConformance(t *testing.T) {
	direct(t, "drop table if exists conformance", "create table conformance(k int primary key, v text)", "insert into conformance values (1, '')")
	for name, mode := range map[string]pgx.QueryExecMode{"simple": pgx.QueryExecModeSimpleProtocol, "extended": pgx.QueryExecModeExec, "prepared": pgx.QueryExecModeCacheStatement} {
		t.Run(name, func(t *testing.T) {
			gatetest.Run(t, gatetest.Harness{
				Upstream: server(t).Addr(),
				Gate:     conformanceGate,
				Dial:     func(t *testing.T, addr string) gatetest.Client { return dialGate(t, addr, mode) },
				IsWrite:  writes,
				Sent: func(a *action.Action, wire []byte) bool {
					// Text and parameters travel in two messages: Parse and Bind.
					text, bind, extended := bytes.Cut(a.Payload, []byte{0})
					found := len(text) > 0 && bytes.Contains(wire, text)
					if extended {
						return found && bytes.Contains(wire, append([]byte{0}, bind...))
					}
					return found
				},
			})
		})
	}
}

func conformanceGate(t *testing.T, upstream string, a gate.Authority) gate.Config {
	host, port, err := net.SplitHostPort(upstream)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	g, err := postgres.New(postgres.Config{
		Name: "conformance", Authority: a, Classifier: classifier, Grace: time.Second,
		Upstream: postgres.Upstream{
			Host: host, Port: n, User: "postgres", Database: "postgres", Plain: true,
			Password: func(context.Context) ([]byte, error) { return []byte(upstreamPassword), nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.Config()
}

type pgClient struct {
	mu   sync.Mutex // held while c is used
	c    *pgx.Conn
	raw  net.Conn
	mode pgx.QueryExecMode
}

func dialGate(t *testing.T, addr string, mode pgx.QueryExecMode) gatetest.Client {
	c, err := pgx.Connect(context.Background(), fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", gatetest.User, gatetest.Token, addr))
	if err != nil {
		t.Fatal(err)
	}
	return &pgClient{c: c, raw: c.PgConn().Conn(), mode: mode}
}

func (p *pgClient) Write(v string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.c.Exec(context.Background(), "update conformance set v = $1 where k = 1", p.mode, v)
	return err
}

func (p *pgClient) Read() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var v string
	err := p.c.QueryRow(context.Background(), "select v from conformance where k = 1", p.mode).Scan(&v)
	return v, err
}

func (p *pgClient) Junk() error {
	if _, err := p.raw.Write([]byte("?\x00\x00\x00\x09junk!")); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, p.raw)
	return err
}

func (p *pgClient) Close() {
	_ = p.raw.Close() // at once, as a client that dies
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.c.Close(context.Background())
}
