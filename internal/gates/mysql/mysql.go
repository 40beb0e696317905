// Package mysql is the gate for the MySQL protocol, for MySQL and MariaDB servers.
//
// It ends the agent's TLS and login here and logs in upstream with the real
// credential. Every statement is classified and decided before a byte that could
// run it goes upstream; what goes upstream is the agent's own bytes, never a
// re-encoding. Replies are read packet by packet, masked and counted on the way
// back, in the text and the binary protocol. A denial is an ERR packet, and the
// connection lives on.
//
// It refuses several statements in one text, LOAD DATA LOCAL, PREPARE and EXECUTE
// as text (the protocol's own prepared statements pass), server-side cursors, changing the user, compression,
// replication and every command that is on no list. The character set of the
// session stays UTF-8 and its SQL mode one under which a text is read by one set
// of rules; both are read back from the server whenever code ran that may have changed them.
//
// What a write would change is counted over a connection of the gate's own, and the
// number that people agreed to is kept: in a transaction of the gate's own, or behind a savepoint in the client's.
//
// What a view shows is followed to its tables by the definitions in
// information_schema, which are read anew after definitions change through this
// gate and every ten seconds. What a stored function or trigger does is not looked into: it is execute.
package mysql

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/mysql"
)

// Upstream is the server behind the gate.
type Upstream struct {
	Host     string
	Port     int    // 0: 3306
	Database string // where a client names none; "": none
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

// Config of one gate. Name, Upstream, Authority and Classifier are required.
type Config struct {
	Name       string
	Upstream   Upstream
	Authority  gate.Authority
	Classifier *mysql.Classifier

	ClientTLS        *tls.Config // nil: clients connect without TLS
	RequireClientTLS bool        // refuse a client that does not ask for TLS

	// Class returns the class of a source column ("shop.customers.email"), "" for none.
	// nil: every column may have any, so each one used in a condition is an inference.
	Class func(source string) string

	Wait            time.Duration // longest hold; 0: until the approval expires
	TransactionWait time.Duration // longest hold inside an open transaction; 0: 60 s
	MaxMessage      int           // bytes of one message from the client or upstream; 0: 64 MiB
	Grace           time.Duration // for running statements at shutdown; 0: 10 s

	Refused func(ctx context.Context, from gate.Peer, detail string)
	Log     *slog.Logger
}

// A Gate serves one MySQL or MariaDB system.
type Gate struct {
	cfg  Config
	fake [32]byte // key of the salts that unknown users are shown

	key func() (*rsa.PrivateKey, []byte, error) // for passwords without TLS on loopback, with its public half as PEM

	catalog  catalog
	previews chan struct{}          // one for each that is under way
	version  atomic.Pointer[string] // of the server, as it said last

	mu       sync.Mutex
	sessions map[uint32]*codec // by the connection id that the gate gave
}

// New checks cfg.
func New(cfg Config) (*Gate, error) {
	u := &cfg.Upstream
	if cfg.Name == "" || cfg.Authority == nil || cfg.Classifier == nil || u.Host == "" || u.User == "" || u.Password == nil {
		return nil, errors.New("a MySQL gate needs name, authority, classifier, upstream host, user and password")
	}
	if u.Port == 0 {
		u.Port = 3306
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
	g := &Gate{cfg: cfg, sessions: map[uint32]*codec{}, key: newKey(), previews: make(chan struct{}, previewTurns)}
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
	defer g.catalog.close()
	return gate.Serve(ctx, l, g.Config())
}

// Config is how the runtime serves this gate.
func (g *Gate) Config() gate.Config {
	return gate.Config{
		Name: g.cfg.Name, Authority: g.cfg.Authority, New: func() gate.Codec { return &codec{g: g, prepared: map[uint32]*prepared{}} },
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

// register gives the session the connection id that its client is told.
func (g *Gate) register(c *codec) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for {
		var b [4]byte
		_, _ = rand.Read(b[:])
		c.id = binary.LittleEndian.Uint32(b[:]) >> 1
		if _, taken := g.sessions[c.id]; !taken && c.id != 0 {
			g.sessions[c.id] = c
			break
		}
	}
	context.AfterFunc(c.ctx, func() {
		g.mu.Lock()
		delete(g.sessions, c.id)
		g.mu.Unlock()
	})
}

// session finds a session by the id that its client was told.
func (g *Gate) session(id uint64) *codec {
	g.mu.Lock()
	defer g.mu.Unlock()
	if id > 1<<31 {
		return nil
	}
	return g.sessions[uint32(id)]
}
