// Package ssh is the gate for SSH: commands, file transfers and terminals on
// hosts that the gate alone has a credential for.
//
// It promises that an agent logs in with a credential that is good here and
// nowhere else, that no command is sent to a host and no file there is opened, changed or removed
// before it was permitted, and that the bytes that were judged are the bytes
// that are sent. The host's own key is pinned. Text that comes back is masked
// and counted. Forwarding of agents, ports and displays is refused, and so is
// every request that is on no list.
//
// It can't see what a program does once it runs, what a shell on the host
// makes of its own start files, or what is typed into a program: a command that reads
// its orders from standard input is unknown, and a terminal is recorded, not
// judged line by line. Output that is not text can't be scanned.
package ssh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/recording"
	gossh "golang.org/x/crypto/ssh"
)

// Config is what a gate needs. Name, Hosts and HostKey are required.
type Config struct {
	Name  string
	Hosts []*Host
	// HostKey is what the gate proves itself with.
	HostKey gossh.Signer
	// Key returns who a public key or user certificate stands for, once its
	// holder has proved it. nil: none stands for anybody.
	Key func(ctx context.Context, user string, key gossh.PublicKey) (gate.Verifier, error)
	// Recordings keeps what terminals show. nil: there are none.
	Recordings *recording.Store
	// Env are the environment variables that a client may set; a trailing * stands for any ending.
	Env []string

	Wait             time.Duration // longest hold; 0: until the approval expires
	DialTimeout      time.Duration // 0: 10 s
	HandshakeTimeout time.Duration // of a client that has not logged in; 0: 20 s
	Grace            time.Duration // what a running command gets at shutdown; 0: 10 s

	Refused func(ctx context.Context, from gate.Peer, detail string)
	Log     *slog.Logger
}

// Bounds on what one client may have open.
const (
	maxWaiting  = 128      // connections that have not logged in
	maxChannels = 10       // sessions of one connection, as sshd's MaxSessions
	maxCommand  = 64 << 10 // bytes of a command
	maxEnv      = 32       // variables of a session
	maxTries    = 4
)

// defaultEnv is what OpenSSH clients send unasked, and no more.
var defaultEnv = []string{"LANG", "LC_*"}

// A Gate serves one listener.
type Gate struct {
	cfg    Config
	server *gossh.ServerConfig // without callbacks, which belong to a connection
	waits  chan struct{}       // one for each connection that has not logged in
}

// New checks cfg.
func New(cfg Config) (*Gate, error) {
	if cfg.HostKey == nil || len(cfg.Hosts) == 0 {
		return nil, fmt.Errorf("ssh gate %q: a host key and hosts are required", cfg.Name)
	}
	for i, h := range cfg.Hosts {
		if h.Authority == nil || h.Address == "" || h.User == "" {
			return nil, fmt.Errorf("ssh gate %q: host %q needs an authority, an address and a user", cfg.Name, h.Name)
		}
		if slices.ContainsFunc(cfg.Hosts[:i], func(o *Host) bool { return o.Name == h.Name }) {
			return nil, fmt.Errorf("ssh gate %q: host %q stands twice", cfg.Name, h.Name)
		}
	}
	for _, d := range []struct {
		v    *time.Duration
		none time.Duration
	}{{&cfg.DialTimeout, 10 * time.Second}, {&cfg.HandshakeTimeout, 20 * time.Second}, {&cfg.Grace, 10 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.none
		}
	}
	if cfg.Env == nil {
		cfg.Env = defaultEnv
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Refused == nil {
		cfg.Refused = func(_ context.Context, from gate.Peer, detail string) {
			cfg.Log.Warn("connection refused", "gate", from.Gate, "from", from.Address, "why", detail)
		}
	}
	server := &gossh.ServerConfig{Config: algorithms(), MaxAuthTries: maxTries, ServerVersion: "SSH-2.0-Assent"}
	server.PublicKeyAuthAlgorithms = gossh.SupportedAlgorithms().PublicKeyAuths
	server.AddHostKey(cfg.HostKey)
	return &Gate{cfg: cfg, server: server, waits: make(chan struct{}, maxWaiting)}, nil
}

// algorithms are those without known weaknesses. SHA-1 is left out as a MAC too.
func algorithms() gossh.Config {
	all := gossh.SupportedAlgorithms()
	return gossh.Config{
		KeyExchanges: all.KeyExchanges, Ciphers: all.Ciphers,
		MACs: slices.DeleteFunc(all.MACs, func(m string) bool { return m == gossh.HMACSHA1 }),
	}
}

// Serve accepts connections until ctx ends. Then it ends holds (their approvals
// stay pending), gives running commands the grace period, and returns nil.
func (g *Gate) Serve(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err == nil:
			wg.Go(func() { g.serve(ctx, conn) })
		case !errors.Is(err, net.ErrClosed): // out of file descriptors, say
			g.cfg.Log.Warn("accepting", "gate", g.cfg.Name, "error", err)
			t := time.NewTimer(100 * time.Millisecond)
			select {
			case <-ctx.Done():
			case <-t.C:
			}
			t.Stop()
		default:
			return fmt.Errorf("gate %s: accepting: %w", g.cfg.Name, err)
		}
	}
}

// host finds the host that a user name asks for: "actor+host", or "actor" where there is one.
func (g *Gate) host(suffix string, named bool) *Host {
	if !named {
		if len(g.cfg.Hosts) == 1 {
			return g.cfg.Hosts[0]
		}
		return nil
	}
	for _, h := range g.cfg.Hosts {
		if h.Name == suffix {
			return h
		}
	}
	return nil
}
