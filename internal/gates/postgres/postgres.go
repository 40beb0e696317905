// Package postgres is the gate for the PostgreSQL wire protocol, version 3.
//
// It ends the agent's TLS and SCRAM login here and logs in upstream with the
// real credential. Every statement is classified and decided before a byte
// that could run it goes upstream; what goes upstream is the agent's own bytes,
// never a re-encoding. Replies are an allow-list of messages and fields, masked
// and counted on the way back. A denial is an ERROR with the true transaction
// status, and the connection lives on.
//
// What the gate believes of a session (prepared statements, portals, cursors)
// changes only on the server's acknowledgement; role, authorization and search
// path are read back from the server whenever something may have changed them.
//
// It refuses function calls but those of large objects, replication, GSSENC, start-up options, encodings other
// than UTF8, standard_conforming_strings off, and COPY with options that it can't read a value by.
//
// Every statement is judged in a snapshot of the catalogue: which functions,
// triggers, rules, policies and foreign tables it may reach is part of its kinds, and
// how they are defined is part of its digest. What a function that nobody vouches
// for does is not looked into: it is execute. Names in text that such a function puts
// together while it runs are not followed. A trigger that changes a
// parse-relevant setting is noticed at the next idle point, not inside one pipeline.
package postgres

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/sql"
)

// Upstream is the server behind the gate.
type Upstream struct {
	Host     string
	Port     int    // 0: 5432
	Database string // "": whatever the client names
	User     string
	// Password returns the real credential. It is asked for at each login, and
	// the slice is overwritten after use.
	Password func(ctx context.Context) ([]byte, error)
	// TLS verifies the server; nil: the system's roots and Host (verify-full).
	TLS *tls.Config
	// Plain allows a connection without TLS, to a loopback address only.
	Plain bool
	// Dial opens the connections; nil: net.Dialer's, with 10 s.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Config of one PostgreSQL gate. Name, Upstream, Authority and Classifier are required.
type Config struct {
	Name       string
	Upstream   Upstream
	Authority  gate.Authority
	Classifier *sql.Classifier

	ClientTLS        *tls.Config // nil: clients connect without TLS
	RequireClientTLS bool        // refuse a client that does not ask for TLS

	// Class returns the class of a source column ("customers.email"), "" for none.
	// nil: every column may have any, so each one used in a condition is an inference.
	Class func(source string) string

	Wait            time.Duration // longest hold; 0: until the approval expires
	TransactionWait time.Duration // longest hold inside an open transaction; 0: 60 s
	MaxMessage      int           // bytes of one message or batch from the client, and of one message from upstream; 0: 64 MiB
	Grace           time.Duration // for running statements at shutdown; 0: 10 s

	Refused func(ctx context.Context, from gate.Peer, detail string)
	Log     *slog.Logger
}

// A Gate serves one PostgreSQL system.
type Gate struct {
	cfg  Config
	fake [32]byte // key of the salts that unknown users are shown

	catalog  catalog
	previews chan struct{} // turns

	mu   sync.Mutex
	keys map[cancelKey]*codec // gate-issued cancel keys
}

// New checks cfg.
func New(cfg Config) (*Gate, error) {
	u := &cfg.Upstream
	if cfg.Name == "" || cfg.Authority == nil || cfg.Classifier == nil || u.Host == "" || u.User == "" || u.Password == nil {
		return nil, errors.New("a PostgreSQL gate needs name, authority, classifier, upstream host, user and password")
	}
	if u.Port == 0 {
		u.Port = 5432
	}
	if u.Dial == nil {
		u.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	if u.Plain && !loopback(u.Host) {
		return nil, fmt.Errorf("gate %s: %s is not a loopback address: a connection without TLS is refused", cfg.Name, u.Host)
	}
	if cfg.RequireClientTLS && cfg.ClientTLS == nil {
		return nil, fmt.Errorf("gate %s: TLS is required of clients and no certificate is configured", cfg.Name)
	}
	if cfg.TransactionWait == 0 {
		cfg.TransactionWait = time.Minute
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = 64 << 20
	}
	g := &Gate{cfg: cfg, keys: map[cancelKey]*codec{}, previews: make(chan struct{}, previewTurns)}
	_, _ = rand.Read(g.fake[:])
	g.catalog.g = g
	return g, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Serve accepts clients on l until ctx ends.
func (g *Gate) Serve(ctx context.Context, l net.Listener) error {
	return gate.Serve(ctx, l, g.Config())
}

// Config is how the runtime serves this gate.
func (g *Gate) Config() gate.Config {
	return gate.Config{
		Name: g.cfg.Name, Authority: g.cfg.Authority, New: func() gate.Codec { return newCodec(g) },
		Dial: g.dial, Wait: g.cfg.Wait, Grace: g.cfg.Grace, Refused: g.cfg.Refused, Log: g.cfg.Log,
	}
}

func (g *Gate) dial(ctx context.Context) (net.Conn, error) {
	addr := net.JoinHostPort(g.cfg.Upstream.Host, strconv.Itoa(g.cfg.Upstream.Port))
	conn, err := g.cfg.Upstream.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return conn, nil
}
