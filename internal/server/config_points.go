package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/decisionpoint"
	"github.com/assenthq/assent/internal/netguard"
)

// pointTimeout is how long a decision point may take unless it is said.
const pointTimeout = 500 * time.Millisecond

// A DecisionPointConfig is a policy decision point that others run (docs/decision-points.md).
type DecisionPointConfig struct {
	Name     string        `yaml:"name" doc:"Name in records and on cards: a-z, 0-9 and -."`
	URL      string        `yaml:"url" doc:"Its evaluation endpoint, https, or http on a loopback address. OPA: http://127.0.0.1:8181/v0/data/PACKAGE/RULE."`
	Timeout  time.Duration `yaml:"timeout" doc:"Time for the whole answer, 10s at most; past it the answer is no." default:"500ms"`
	Token    *Secret       `yaml:"token" doc:"Bearer token that is sent. Read at start."`
	TLS      *KeyPair      `yaml:"tls" doc:"Client certificate that is shown."`
	CA       string        `yaml:"ca" doc:"Certificate authorities that may sign its certificate (PEM), in place of the system's."`
	Networks []string      `yaml:"networks" doc:"Networks (CIDR) that it may be in besides public addresses: 127.0.0.0/8 for one beside the server."`
	For      PointFor      `yaml:"for" doc:"What it is asked about. Unset: every action that policy does not deny."`
	Send     []string      `yaml:"send" doc:"What it is told besides, masked: statement, claims."`
	Review   PointReview   `yaml:"review" doc:"Who reviews what it asks people about without saying whom."`
}

// PointFor selects actions.
type PointFor struct {
	Kinds []string `yaml:"kinds" doc:"Actions that have one of these kinds."`
	Env   []string `yaml:"env" doc:"Actions in these environments, and where nobody knows in which."`
}

// PointReview says who reviews.
type PointReview struct {
	From  []string `yaml:"from" doc:"Groups any of which may answer: group:NAME."`
	Count int      `yaml:"count" doc:"How many different people." default:"1"`
}

func (p *DecisionPointConfig) options() decisionpoint.Options {
	o := decisionpoint.Options{Name: p.Name, URL: p.URL, Timeout: p.Timeout, Envs: p.For.Env, Send: p.Send, From: p.Review.From, Count: p.Review.Count}
	if o.Timeout == 0 {
		o.Timeout = pointTimeout
	}
	if o.Count == 0 {
		o.Count = 1
	}
	for _, k := range p.For.Kinds {
		o.Kinds = append(o.Kinds, action.Kind(k))
	}
	return o
}

func (k *checker) points(c *Config) {
	names := map[string]bool{}
	for i := range c.DecisionPoints {
		p, at := &c.DecisionPoints[i], fmt.Sprintf("$.decision_points[%d]", i)
		o := p.options()
		if err := o.Check(); err != nil {
			k.fail(at, err.Error(), "docs/decision-points.md")
		}
		if names[p.Name] {
			k.fail(at+".name", fmt.Sprintf("%q stands twice", p.Name), "give each its own")
		}
		names[p.Name] = true
		if p.Token != nil && p.Token.sources() != 1 {
			k.fail(at+".token", fmt.Sprintf("names %d sources", p.Token.sources()), "give one of file, env or command")
		}
		k.networks(at+".networks", p.Networks)
	}
}

// makePoints makes the decision points of the configuration.
func (s *Server) makePoints(ctx context.Context) error {
	for i := range s.cfg.DecisionPoints {
		c := &s.cfg.DecisionPoints[i]
		o := c.options()
		o.Dial = netguard.New(netguard.Options{Networks: prefixes(c.Networks), Never: s.listeners}).DialContext
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.CA != "" {
			pem, err := os.ReadFile(s.cfg.path(c.CA))
			if err != nil {
				return fmt.Errorf("decision point %s: %w", c.Name, err)
			}
			if o.TLS.RootCAs = x509.NewCertPool(); !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("decision point %s: %s holds no certificate", c.Name, c.CA)
			}
		}
		if c.TLS != nil {
			pair, err := tls.LoadX509KeyPair(s.cfg.path(c.TLS.Cert), s.cfg.path(c.TLS.Key))
			if err != nil {
				return fmt.Errorf("decision point %s: %w", c.Name, err)
			}
			o.TLS.Certificates = []tls.Certificate{pair}
		}
		if c.Token != nil {
			token, err := c.Token.Read(ctx, s.cfg)
			if err != nil {
				return fmt.Errorf("decision point %s: %w", c.Name, err)
			}
			o.Token = string(token)
		}
		p, err := decisionpoint.New(o)
		if err != nil {
			return err
		}
		s.points = append(s.points, p)
	}
	return nil
}

// pointChecks say whether decision points answer. One that doesn't denies what it is asked
// about, on every node alike.
func (s *Server) pointChecks() (out []api.Check) {
	for _, p := range s.points {
		out = append(out, api.Check{Name: "decision point " + p.Name(), Soft: true, Run: p.Reach})
	}
	return out
}
