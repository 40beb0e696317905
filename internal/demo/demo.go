// Package demo plays the main job for real: an agent with its own short-lived
// credential works on a database through the gate, one of its actions waits for
// a person, and at the end the log proves what happened.
//
// Nothing in it is staged: the same server, gate, policy, approvals and log that
// `assent serve` runs, in one process, on loopback. It checks each step itself
// and fails when one comes out otherwise than told.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/server"
	"github.com/jackc/pgx/v5"

	"github.com/assenthq/assent/internal/freeport"
)

// Options of the demo.
type Options struct {
	Auto     bool   // a second identity reviews; nobody is waited for
	Data     string // keep what it wrote here; "": a temporary directory that goes away
	Open     func(url string) error
	Listen   string        // console; "": 127.0.0.1:8720, or a free port if that is taken
	Embedded bool          // use the embedded database even where PostgreSQL is installed
	Wait     time.Duration // how long the person may take; 0: the approval's own time
	Out      io.Writer
	Colour   bool
}

const (
	agent    = "nightly-exporter"
	owner    = "dana"
	reviewer = "mira"
	database = "shop"
)

// A story is one run of the demo.
type story struct {
	o   Options
	dir string
	db  db
	srv *server.Server
	tell

	agentToken string
	reads      *pgx.Conn
}

// db is the system behind the gate.
type db struct {
	what     string // for people: "PostgreSQL 15.18"
	real     bool
	host     string
	port     int
	user     string
	password string
	stop     func()
}

// Run plays the story. It returns nil only if every step came out as told.
func Run(ctx context.Context, o Options) (err error) {
	s := &story{o: o, tell: tell{out: o.Out, colour: o.Colour}}
	if err := s.setUp(ctx); err != nil {
		s.tearDown(ctx)
		return err
	}
	defer s.tearDown(ctx)
	s.introduce()
	for _, step := range []func(context.Context) error{s.readOrders, s.readCustomers, s.export, s.again, s.prove} {
		if err := step(ctx); err != nil {
			s.fail(err)
			return err
		}
	}
	return nil
}

func (s *story) setUp(ctx context.Context) error {
	s.dir = s.o.Data
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "assent-demo-")
		if err != nil {
			return fmt.Errorf("making a directory for the demo: %w", err)
		}
		s.dir = dir
	} else if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("making %s: %w", s.dir, err)
	}
	if err := s.startDatabase(ctx); err != nil {
		return err
	}
	return s.startServer(ctx)
}

func (s *story) startDatabase(ctx context.Context) error {
	_, err := pgcluster.Find()
	if err != nil || s.o.Embedded {
		return s.startEmbedded(ctx)
	}
	c, err := pgcluster.Start(ctx, pgcluster.Options{})
	if err != nil {
		return fmt.Errorf("starting a temporary PostgreSQL: %w", err)
	}
	s.db = db{real: true, host: c.Host, port: c.Port, user: "shop_app", password: newPassword(), stop: func() { _ = c.Stop() }}
	admin, err := pgx.Connect(ctx, c.DSN(c.User, "postgres"))
	if err != nil {
		return fmt.Errorf("filling the temporary PostgreSQL: %w", err)
	}
	defer func() { _ = admin.Close(ctx) }()
	if err := admin.QueryRow(ctx, "SELECT split_part(version(), ' ', 2)").Scan(&s.db.what); err != nil {
		return fmt.Errorf("filling the temporary PostgreSQL: %w", err)
	}
	s.db.what = "PostgreSQL " + s.db.what
	for _, stmt := range []string{"CREATE ROLE shop_app LOGIN PASSWORD '" + s.db.password + "'", "CREATE DATABASE shop OWNER shop_app"} {
		if _, err := admin.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("filling the temporary PostgreSQL: %w", err)
		}
	}
	shop, err := pgx.Connect(ctx, s.upstream())
	if err != nil {
		return fmt.Errorf("filling the temporary PostgreSQL: %w", err)
	}
	defer func() { _ = shop.Close(ctx) }()
	if _, err := shop.PgConn().Exec(ctx, seedSQL(postgresDialect)).ReadAll(); err != nil {
		return fmt.Errorf("filling the temporary PostgreSQL: %w", err)
	}
	return nil
}

func (s *story) startEmbedded(ctx context.Context) error {
	pw := newPassword()
	file := filepath.Join(s.dir, "shop.db")
	_ = os.Remove(file) // of an earlier demo in the same directory
	e, err := startEmbedded(ctx, file, "shop_app", pw)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(e.addr.String())
	n, _ := strconv.Atoi(port)
	s.db = db{what: "an embedded SQLite that speaks the PostgreSQL protocol", host: "127.0.0.1", port: n, user: "shop_app", password: pw, stop: e.stop}
	return nil
}

func (s *story) upstream() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(s.db.user, s.db.password), Host: net.JoinHostPort(s.db.host, strconv.Itoa(s.db.port)), Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *story) startServer(ctx context.Context) error {
	secret := filepath.Join(s.dir, "upstream.password")
	if err := os.WriteFile(secret, []byte(s.db.password), 0o600); err != nil {
		return fmt.Errorf("writing the upstream's password: %w", err)
	}
	listen := s.o.Listen
	if listen == "" {
		listen = freeAddress("127.0.0.1:8720")
	}
	_, port, _ := net.SplitHostPort(listen)
	conf := fmt.Sprintf(`data: %q
listen: %s
public_url: http://localhost:%s
policy: ["builtin:demo"]
people:
  - { id: %s, name: Mira Kovac, groups: [data-owners] }
  - { id: %s, name: Dana Whitfield, groups: [data-owners] }
actors:
  - { id: %s, type: agent, owner: %s }
gates:
  - name: shop
    type: postgres
    listen: 127.0.0.1:0
    env: prod
    upstream: { host: %s, port: %d, database: shop, user: %s, password: { file: %q }, tls: "off" }
log: { level: error, format: text }
`, filepath.Join(s.dir, "data"), listen, port, reviewer, owner, agent, owner, s.db.host, s.db.port, s.db.user, secret)
	if s.o.Data != "" {
		if err := os.WriteFile(filepath.Join(s.dir, "assent.yaml"), []byte(conf), 0o600); err != nil {
			return fmt.Errorf("keeping the demo's configuration: %w", err)
		}
	}
	cfg, err := server.ParseConfig("the demo's configuration", []byte(conf))
	if err != nil {
		return err
	}
	if s.srv, err = server.New(ctx, cfg, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if err := s.srv.Start(ctx); err != nil {
		return err
	}
	s.agentToken, err = s.srv.Mint(ctx, identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:" + agent}, Subject: "person:" + owner, TTL: time.Hour, By: "demo"})
	return err
}

// freeAddress is want, or a free one where that is taken.
func freeAddress(want string) string {
	if l, err := net.Listen("tcp", want); err == nil {
		_ = l.Close()
		return want
	}
	if other, err := freeport.Address(); err == nil {
		return other
	}
	return want
}

func (s *story) tearDown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if s.reads != nil {
		_ = s.reads.Close(ctx)
	}
	if s.srv != nil {
		_ = s.srv.Close(ctx)
	}
	if s.db.stop != nil {
		s.db.stop()
	}
	if s.o.Data == "" && s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// dsn is how the agent reaches the gate: its own name and token, never the database's password.
func (s *story) dsn() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(agent, s.agentToken), Host: s.srv.GateAddr("shop"), Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}

func (s *story) introduce() {
	kind := "Database: " + s.db.what + ", a temporary cluster on 127.0.0.1"
	if !s.db.real {
		kind = "Database: " + s.db.what + " (install PostgreSQL to see the real one)"
	}
	s.line("%s", kind)
	s.line("Gate:     %s  (agents connect here; the database's own password stays inside)", s.srv.GateAddr("shop"))
	if !s.o.Auto {
		link := s.srv.SignInLink("person:" + reviewer)
		s.line("Console:  %s", link)
		s.line("          (one-time link, ten minutes: you are Mira Kovac of data-owners)")
		s.line("psql:     psql '%s'", s.dsn())
		if s.o.Open != nil {
			if err := s.o.Open(link); err != nil {
				s.line("          no browser could be started: open the link yourself")
			}
		}
	}
	s.line("")
	s.line("It is 3 a.m. %s, an agent that Dana Whitfield owns, goes to work.", agent)
}

func (s *story) connect(ctx context.Context, notice func(string)) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(s.dsn())
	if err != nil {
		return nil, errors.New("the demo's own connection string does not parse")
	}
	if notice != nil {
		cfg.OnNotice = onNotice(notice)
	}
	c, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("the agent connects to the gate: %w", err)
	}
	return c, nil
}

// mustNotLeak fails when a value that policy masks came through in clear.
func mustNotLeak(text string) error {
	if strings.Contains(text, "@example.com") {
		return errors.New("an e-mail address came through unmasked")
	}
	if strings.Contains(text, "400000") {
		return errors.New("a card number came through unmasked")
	}
	return nil
}
