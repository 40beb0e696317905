package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	classify "github.com/assenthq/assent/internal/classify/llm"
	"github.com/assenthq/assent/internal/gates/llm"

	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/api"
)

func llmGate(s *Server, g *GateConfig) (runningGate, error) {
	o := llm.Config{Name: g.Name, Resource: resourceOf(g).URN, Detect: s.detect, Ledger: s.store, Log: s.log}
	for i := range g.LLM.Providers {
		p, err := s.llmProvider(&g.LLM.Providers[i])
		if err != nil {
			return runningGate{}, fmt.Errorf("provider %s: %w", g.LLM.Providers[i].Name, err)
		}
		o.Providers = append(o.Providers, p)
	}
	for _, b := range g.LLM.Budgets {
		o.Budgets = append(o.Budgets, llm.Budget{Person: b.Each == "person", Only: b.Only, Input: b.Input, Output: b.Output, Cost: micros(b.Cost), Minute: b.Minute})
	}
	for _, p := range g.LLM.Prices {
		o.Prices = append(o.Prices, llm.Price{Model: p.Model, Input: micros(p.Input), Output: micros(p.Output)})
	}
	protocol, err := llm.New(o)
	if err != nil {
		return runningGate{}, err
	}
	return s.webGate(g, protocol, func(o *httpgate.Config) { o.Wait = 50 * time.Second })
}

func (s *Server) llmProvider(c *LLMProviderConfig) (llm.Provider, error) {
	at, err := url.Parse(c.address())
	if err != nil {
		return llm.Provider{}, err
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(s.cfg.path(c.CA))
		if err != nil {
			return llm.Provider{}, fmt.Errorf("reading ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return llm.Provider{}, fmt.Errorf("ca: %s holds no certificate in PEM form", c.CA)
		}
	}
	return llm.Provider{
		Name: c.Name, API: classify.API(c.API), URL: at, Header: c.Header, Headers: c.Headers, External: c.Trust != "internal",
		Models: c.Models, Hosted: c.Hosted, Output: c.Output, Secrets: c.Secrets == "policy",
		Key: func(ctx context.Context) ([]byte, error) { return c.Key.Read(ctx, s.cfg) },
		Transport: &http.Transport{
			TLSClientConfig: t, Proxy: nil, ForceAttemptHTTP2: true, DisableCompression: true, MaxIdleConnsPerHost: 100,
			IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: 30 * time.Minute,
			DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		},
	}, nil
}

// reachLLM tells whether every provider behind a gate is there.
func reachLLM(ctx context.Context, _ *Server, g *GateConfig) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	for i := range g.LLM.Providers {
		p := &g.LLM.Providers[i]
		u, err := url.Parse(p.address())
		if err != nil {
			return err
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			return fmt.Errorf("provider %s: %w", p.Name, err)
		}
		_ = conn.Close()
	}
	return nil
}

// providersOf are what programs are told about a gate's models.
func providersOf(g *GateConfig) []api.EnvironmentProvider {
	if g.LLM == nil {
		return nil
	}
	var out []api.EnvironmentProvider
	for _, p := range g.LLM.Providers {
		out = append(out, api.EnvironmentProvider{Name: p.Name, API: p.API})
	}
	return out
}
