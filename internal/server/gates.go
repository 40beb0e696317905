package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
	classifymysql "github.com/assenthq/assent/internal/classify/mysql"
	"github.com/assenthq/assent/internal/classify/sql"
	"github.com/assenthq/assent/internal/gates/mysql"
	"github.com/assenthq/assent/internal/gates/postgres"
)

// A gateType is one protocol there is a gate for.
type gateType struct {
	check func(k *checker, at string, g *GateConfig)          // what is the protocol's own in its configuration
	make  func(s *Server, g *GateConfig) (runningGate, error) // cfg is filled in
	reach func(ctx context.Context, s *Server, g *GateConfig) error
}

// gateTypes is every protocol there is a gate for. A new one is one row here.
// It is a function since the rows lead back to it.
func gateTypes() map[string]gateType {
	return map[string]gateType{
		"llm":      {(*checker).llmGate, llmGate, reachLLM},
		"http":     {(*checker).httpGate, httpGate, reachHTTP},
		"mcp":      {(*checker).mcpGate, mcpGate, reachMCP},
		"postgres": {(*checker).databaseGate, postgresGate, reachHost},
		"mysql":    {(*checker).databaseGate, mysqlGate, reachHost},
		"command":  {(*checker).commandGate, commandGate, reachNothing},
		"egress":   {(*checker).egressGate, egressGate, reachNothing},
		"ssh":      {(*checker).sshGate, sshGate, reachSSH},

		"kubernetes": {(*checker).kubernetesGate, kubernetesGate, reachKubernetes},
		"aws":        {(*checker).awsGate, awsGate, reachAWS},
	}
}

func gateTypeNames() []string { return slices.Sorted(maps.Keys(gateTypes())) }

// A runningGate is one gate of the configuration.
type runningGate struct {
	cfg      *GateConfig
	serve    func(ctx context.Context, l net.Listener) error // until ctx ends; nil: it is reached where the API is
	listener net.Listener
}

func (s *Server) makeGates() error {
	for i := range s.cfg.Gates {
		g := &s.cfg.Gates[i]
		if g.At != "" { // it is made where it runs
			continue
		}
		running, err := gateTypes()[g.Type].make(s, g)
		if err != nil {
			return fmt.Errorf("gate %s: %w", g.Name, err)
		}
		running.cfg = g
		s.gates = append(s.gates, &running)
	}
	return nil
}

// refusedAt records connections that ended before anybody had signed in.
func (s *Server) refusedAt(g *GateConfig) func(context.Context, gate.Peer, string) {
	return func(_ context.Context, from gate.Peer, detail string) {
		rec := &audit.Record{Type: audit.TypeRefused, Gate: g.Name, Resource: resourceOf(g).URN, Env: g.Env, Detail: map[string]string{"what": detail, "from": from.Address}}
		if _, err := s.spool.Append(rec); err != nil {
			s.log.Error("recording a refusal", "gate", g.Name, "err", err)
		}
	}
}

func (s *Server) startGates(ctx context.Context) error {
	for _, g := range s.gates {
		if g.serve == nil {
			continue
		}
		l, err := net.Listen("tcp", g.cfg.Listen)
		if err != nil {
			return fmt.Errorf("gate %s: %w (choose another listen: in the configuration)", g.cfg.Name, err)
		}
		g.listener = l
		s.work.Go(func() {
			if err := g.serve(ctx, l); err != nil && ctx.Err() == nil {
				s.fail("gate "+g.cfg.Name, err)
			}
		})
		s.log.Info("gate is open", "gate", g.cfg.Name, "listen", l.Addr().String())
	}
	return nil
}

func postgresGate(s *Server, g *GateConfig) (runningGate, error) {
	return makePostgres(s, g, s.enforcer.Gate(g.Name, resourceOf(g), systemOf(g)))
}

// makePostgres makes one under an authority that may be elsewhere. Of s it needs what finds
// data, the spool and the configuration.
func makePostgres(s *Server, g *GateConfig, by gate.Authority) (runningGate, error) {
	client, err := s.clientTLS(g.TLS)
	if err != nil {
		return runningGate{}, err
	}
	up, err := upstreamTLS(s.cfg, &g.Upstream)
	if err != nil {
		return runningGate{}, err
	}
	pg, err := postgres.New(postgres.Config{
		Name: g.Name, Authority: by, Classifier: sql.New(sql.Options{}),
		Upstream: postgres.Upstream{
			Host: g.Upstream.Host, Port: g.Upstream.Port, Database: g.Upstream.Database, User: g.Upstream.User,
			Password: func(ctx context.Context) ([]byte, error) { return g.Upstream.Password.Read(ctx, s.cfg) },
			TLS:      up, Plain: g.Upstream.TLS == "off", Dial: s.dialer(g.Upstream.Via),
		},
		ClientTLS: client, RequireClientTLS: client != nil, Class: s.classOf,
		TransactionWait: s.cfg.Limits.TransactionWait, Refused: s.refusedAt(g), Log: s.log,
	})
	if err != nil {
		return runningGate{}, err
	}
	return runningGate{serve: func(ctx context.Context, l net.Listener) error { return gate.Serve(ctx, l, pg.Config()) }}, nil
}

func mysqlGate(s *Server, g *GateConfig) (runningGate, error) {
	return makeMySQL(s, g, s.enforcer.Gate(g.Name, resourceOf(g), systemOf(g)))
}

// makeMySQL is makePostgres for MySQL and MariaDB.
func makeMySQL(s *Server, g *GateConfig, by gate.Authority) (runningGate, error) {
	client, err := s.clientTLS(g.TLS)
	if err != nil {
		return runningGate{}, err
	}
	up, err := upstreamTLS(s.cfg, &g.Upstream)
	if err != nil {
		return runningGate{}, err
	}
	my, err := mysql.New(mysql.Config{
		Name: g.Name, Authority: by, Classifier: classifymysql.New(classifymysql.Options{}),
		Upstream: mysql.Upstream{
			Host: g.Upstream.Host, Port: g.Upstream.Port, Database: g.Upstream.Database, User: g.Upstream.User,
			Password: func(ctx context.Context) ([]byte, error) { return g.Upstream.Password.Read(ctx, s.cfg) },
			TLS:      up, Plain: g.Upstream.TLS == "off", Dial: s.dialer(g.Upstream.Via),
		},
		ClientTLS: client, RequireClientTLS: client != nil, Class: s.classOf,
		TransactionWait: s.cfg.Limits.TransactionWait, Refused: s.refusedAt(g), Log: s.log,
	})
	if err != nil {
		return runningGate{}, err
	}
	return runningGate{serve: my.Serve}, nil
}

// databaseGates make the gates that can run in a process of their own.
var databaseGates = map[string]func(*Server, *GateConfig, gate.Authority) (runningGate, error){"postgres": makePostgres, "mysql": makeMySQL}

// classOf returns the class of a source column, by catalogue or by name; "" for none.
func (s *Server) classOf(source string) string {
	name := source
	if i := strings.LastIndexByte(source, '.'); i >= 0 {
		name = source[i+1:]
	}
	class, _ := s.detect.Column(name, []string{source})
	return string(class)
}

func (s *Server) clientTLS(pair *KeyPair) (*tls.Config, error) {
	if pair == nil {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(s.cfg.path(pair.Cert), s.cfg.path(pair.Key))
	if err != nil {
		return nil, fmt.Errorf("certificate for agents: %w", err)
	}
	return s.askCertificate(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}), nil
}

// upstreamTLS is verify-full, or nil where the configuration says off (loopback and Unix sockets only).
func upstreamTLS(c *Config, u *UpstreamConfig) (*tls.Config, error) {
	if u.TLS == "off" {
		return nil, nil
	}
	t := &tls.Config{ServerName: u.Host, MinVersion: tls.VersionTLS12}
	if u.CA == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.path(u.CA))
	if err != nil {
		return nil, fmt.Errorf("reading upstream.ca: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("upstream.ca: %s holds no certificate in PEM form", u.CA)
	}
	return t, nil
}

// reach tells whether the system behind a gate is there.
func (s *Server) reach(ctx context.Context, g *GateConfig) error {
	return gateTypes()[g.Type].reach(ctx, s, g)
}

// reachHost dials an upstream that has a host and a port.
func reachHost(ctx context.Context, s *Server, g *GateConfig) error {
	u := &g.Upstream
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := s.dialer(u.Via)(ctx, "tcp", net.JoinHostPort(u.Host, strconv.Itoa(u.Port)))
	if err != nil {
		return err
	}
	return conn.Close()
}
