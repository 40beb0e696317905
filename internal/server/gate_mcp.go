package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/actors"
	classify "github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/gates/mcp"
	"github.com/assenthq/assent/internal/identity"
)

func mcpGate(s *Server, g *GateConfig) (runningGate, error) {
	client, err := s.clientTLS(g.TLS)
	if err != nil {
		return runningGate{}, err
	}
	tools, err := classify.New(classify.Options{Class: s.classOf, Mask: s.masked})
	if err != nil {
		return runningGate{}, err
	}
	o := mcp.Config{
		Name: g.Name, Authority: s.enforcer.Gate(g.Name, resourceOf(g), systemOf(g)), Judge: tools, Pins: s.pinned(g),
		Resource: g.MCP.Resource, Authorization: g.MCP.Authorization, Hosts: g.MCP.Hosts, Origins: g.MCP.Origins,
		Refused: s.refusedAt(g), Log: s.log,
	}
	if len(o.Authorization) == 0 {
		o.Authorization = []string{strings.TrimSuffix(s.cfg.PublicURL, "/")}
	}
	if len(s.cfg.Workloads) > 0 {
		o.Exchange = s.takeForeign
	}
	for i := range g.Servers {
		m, err := s.mcpServer(&g.Servers[i])
		if err != nil {
			return runningGate{}, err
		}
		o.Servers = append(o.Servers, m)
	}
	if o.Pauser, err = mcp.NewLadder(mcp.LadderConfig{Key: s.pauseKey, Withdraw: s.withdrawHeld, Log: s.log}); err != nil {
		return runningGate{}, err
	}
	gate, err := mcp.New(o)
	if err != nil {
		return runningGate{}, err
	}
	return runningGate{
		serve: func(ctx context.Context, l net.Listener) error {
			if client != nil {
				client.NextProtos = []string{"h2", "http/1.1"}
				l = tls.NewListener(l, client)
			}
			return gate.Serve(ctx, l)
		},
	}, nil
}

// withdrawHeld ends an approval for the credential that asked for it, and for no other.
func (s *Server) withdrawHeld(ctx context.Context, credential, id, why string) error {
	a, err := s.engine.Get(ctx, id)
	if err != nil {
		return err
	}
	if a.Asker.Credential != credential || len(a.Asker.Chain) == 0 {
		return fmt.Errorf("withdrawing %s: another credential asked for it", id)
	}
	if a.Plan != "" {
		return fmt.Errorf("withdrawing %s: it is one item of plan %s, which is taken back as a whole", id, a.Plan)
	}
	_, err = s.engine.Withdraw(ctx, id, a.Asker.Chain[0].ID, why)
	return err
}

func (s *Server) mcpServer(m *MCPServerConfig) (mcp.Server, error) {
	out := mcp.Server{Name: m.Name, URL: m.URL, Untrusted: m.Untrusted, Tunnel: m.Tunnel, Tools: m.classed()}
	if len(m.Command) > 0 {
		out.Command = func(ctx context.Context, who mcp.Who) (mcp.Command, error) { return s.mcpCommand(ctx, m, who) }
	}
	if m.URL == "" {
		return out, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if m.CA != "" {
		pem, err := os.ReadFile(s.cfg.path(m.CA))
		if err != nil {
			return out, fmt.Errorf("server %s: reading ca: %w", m.Name, err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return out, fmt.Errorf("server %s: ca: %s holds no certificate in PEM form", m.Name, m.CA)
		}
	}
	out.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: t, Proxy: nil, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second}}
	out.Headers = func(ctx context.Context, who mcp.Who) (http.Header, error) {
		h := http.Header{}
		for name, secret := range m.Headers {
			value, err := secret.readFor(ctx, s.cfg, who)
			if err != nil {
				return nil, fmt.Errorf("header %s of server %s: %w", name, m.Name, err)
			}
			h.Set(name, string(value))
		}
		return h, nil
	}
	return out, nil
}

// mcpCommand is how a server is started for who asks.
func (s *Server) mcpCommand(ctx context.Context, m *MCPServerConfig, who mcp.Who) (mcp.Command, error) {
	c := mcp.Command{Argv: m.Command, Dir: s.cfg.path(m.Dir)}
	for name, value := range m.Env {
		c.Env = append(c.Env, name+"="+value)
	}
	for name, secret := range m.SecretEnv {
		value, err := secret.readFor(ctx, s.cfg, who)
		if err != nil {
			return c, fmt.Errorf("%s of server %s: %w", name, m.Name, err)
		}
		c.Env = append(c.Env, name+"="+string(value))
	}
	return c, nil
}

// whoName is what may stand in a path or an argument for a person or an actor.
var whoName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)

// readFor is Read of a secret that each person or actor has their own of.
func (s *Secret) readFor(ctx context.Context, c *Config, who mcp.Who) ([]byte, error) {
	var missing error
	fill := func(text string) string {
		for place, value := range map[string]string{"{person}": who.Person, "{actor}": who.Actor} {
			if !strings.Contains(text, place) {
				continue
			}
			if !whoName.MatchString(value) || strings.Contains(value, "..") {
				missing = errors.New("reading a secret: there is no " + place + " here, or its name can't stand in a path")
			}
			text = strings.ReplaceAll(text, place, value)
		}
		return text
	}
	own := Secret{File: fill(s.File), Env: s.Env}
	for _, arg := range s.Command {
		own.Command = append(own.Command, fill(arg))
	}
	if missing != nil {
		return nil, missing
	}
	return own.Read(ctx, c)
}

// takeForeign exchanges a foreign token in place. It must be for this gate and nothing else.
func (s *Server) takeForeign(ctx context.Context, foreign, resource string) (string, time.Time, error) {
	parts := strings.Split(foreign, ".")
	var claims struct {
		Audience any `json:"aud"`
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &claims) != nil || !onlyFor(claims.Audience, resource) {
		return "", time.Time{}, fmt.Errorf("%w: a foreign token that is not for this gate", identity.ErrBadToken)
	}
	issued, err := s.exchange.Exchange(ctx, actors.Request{GrantType: actors.GrantType, SubjectToken: foreign, SubjectType: actors.JWT})
	var refused *actors.Error
	if errors.As(err, &refused) && !refused.Unsure {
		return "", time.Time{}, fmt.Errorf("%w: %w", identity.ErrBadToken, err)
	}
	if err != nil {
		return "", time.Time{}, err
	}
	return issued.Text, issued.Token.Expires, nil
}

func onlyFor(audience any, resource string) bool {
	if list, is := audience.([]any); is && len(list) == 1 {
		audience = list[0]
	}
	return audience == resource
}

// reachMCP tells whether every server behind a gate is there.
func reachMCP(ctx context.Context, _ *Server, g *GateConfig) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for _, m := range g.Servers {
		if m.URL == "" {
			if len(m.Command) > 0 {
				if _, err := exec.LookPath(m.Command[0]); err != nil {
					return fmt.Errorf("server %s: %w", m.Name, err)
				}
			}
			continue
		}
		u, err := url.Parse(m.URL)
		if err != nil {
			return err
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			return fmt.Errorf("server %s: %w", m.Name, err)
		}
		_ = conn.Close()
	}
	return nil
}
