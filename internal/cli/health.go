package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/server"
	"github.com/spf13/cobra"
)

func (a *app) healthCmd() *cobra.Command {
	var file string
	var live bool
	c := &cobra.Command{
		Use:   "health [--config FILE] [--live]",
		Short: "Ask the server on this machine whether it is ready",
		Long: `Ask the server on this machine whether it is ready, for HEALTHCHECK of a container and for
monitors without an HTTP client. Status 0: ready. Status 1: not, or no answer in five seconds.

Where it listens stands in operator.json of its data directory. Over TLS it must show the
certificate that its configuration names.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg := &server.Config{Data: a.data}
			if file != "" {
				var err error
				if cfg, err = server.ReadConfig(file); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			said, err := askHealth(ctx, cfg, live)
			if err != nil {
				return err
			}
			a.printf("%s\n", inline(said))
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration of the server; none: the data directory that --data names, without TLS")
	c.Flags().BoolVar(&live, "live", false, "only whether the process answers: what doesn't work needs no restart")
	return c
}

// askHealth asks /readyz, or /healthz, of the server that the configuration describes.
func askHealth(ctx context.Context, cfg *server.Config, live bool) (string, error) {
	o, err := server.ReadOperator(cfg.DataDir())
	if err != nil {
		return "", fmt.Errorf("it has not started, or another user runs it: %w", err)
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return "", errors.New("operator.json holds no address")
	}
	addr := u.Host
	if host, port, err := net.SplitHostPort(addr); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() { // it listens everywhere, and so here
			addr = net.JoinHostPort("localhost", port)
		}
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}}
	if u.Scheme == "https" {
		if transport.TLSClientConfig, err = ownTLS(cfg); err != nil {
			return "", err
		}
	}
	path := map[bool]string{true: "/healthz", false: "/readyz"}[live]
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Scheme+"://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", fmt.Errorf("it does not answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // its status is what counts
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("not ready: %s", notReady(b, resp.Status))
	}
	if live {
		return "it answers", nil
	}
	return "ready", nil
}

// notReady names the checks that failed.
func notReady(body []byte, status string) string {
	var doc struct {
		Checks []struct {
			Name string
			OK   bool
		}
	}
	var names []string
	if json.Unmarshal(body, &doc) == nil {
		for _, c := range doc.Checks {
			if !c.OK {
				names = append(names, c.Name)
			}
		}
	}
	if len(names) == 0 {
		return "it answers " + status
	}
	return strings.Join(names, ", ")
}

// ownTLS trusts the server's own certificate, by the file, and no other.
func ownTLS(cfg *server.Config) (*tls.Config, error) {
	if cfg.TLS == nil {
		return nil, errors.New("the server speaks TLS: name its configuration with --config")
	}
	b, err := os.ReadFile(cfg.TLSCertFile())
	if err != nil {
		return nil, fmt.Errorf("reading the server's certificate: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("reading the server's certificate: the file holds none")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the server's certificate: %w", err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	t.RootCAs.AddCert(leaf)
	switch {
	case len(leaf.DNSNames) > 0:
		t.ServerName = strings.Replace(leaf.DNSNames[0], "*", "any", 1)
	case len(leaf.IPAddresses) > 0:
		t.ServerName = leaf.IPAddresses[0].String()
	default:
		return nil, errors.New("the server's certificate names no host (subject alternative name)")
	}
	return t, nil
}
