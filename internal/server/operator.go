package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// Operator is how commands on the same machine reach a running server: its
// address and an administrator's credential of their own. It lies in the data
// directory, readable by its owner only. It carries no review scope.
type Operator struct {
	URL   string `json:"url"`
	Token string `json:"token"`

	// Over TLS: where it listens, since URL has a name that it answers to, and the one certificate that it shows (PEM).
	Addr string `json:"addr,omitempty"`
	Cert string `json:"cert,omitempty"`
}

// Transport reaches the server over its own certificate, whatever names that bears and whoever
// signed it: the data directory vouches for it. nil, which is the usual way, without TLS.
func (o *Operator) Transport() (http.RoundTripper, error) {
	if o.Cert == "" {
		return nil, nil //nolint:nilnil // what client.New takes for http.DefaultTransport
	}
	block, _ := pem.Decode([]byte(o.Cert))
	if block == nil {
		return nil, errors.New("operator.json holds no certificate: start the server anew")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the server's certificate in operator.json: %w", err)
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	t.RootCAs.AddCert(leaf)
	switch {
	case len(leaf.DNSNames) > 0:
		t.ServerName = strings.Replace(leaf.DNSNames[0], "*", "any", 1)
	case len(leaf.IPAddresses) > 0:
		t.ServerName = leaf.IPAddresses[0].String()
	default:
		return nil, errors.New("the server's certificate names no host (subject alternative name): browsers won't take it either")
	}
	return &http.Transport{TLSClientConfig: t, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, o.Addr)
	}}, nil
}

// operator is what writeOperator leaves.
func (s *Server) operator(token string) Operator {
	o := Operator{URL: s.URL(), Token: token}
	if s.shown == nil {
		return o
	}
	at := s.listener.Addr().(*net.TCPAddr)
	o.URL, o.Addr = fmt.Sprintf("https://localhost:%d", at.Port), at.String()
	if at.IP.IsUnspecified() { // it listens everywhere, and so here
		o.Addr = fmt.Sprintf("localhost:%d", at.Port)
	}
	o.Cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.shown}))
	return o
}

const (
	operatorPerson = "person:operator"
	operatorLife   = 30 * 24 * time.Hour
)

func operatorFile(data string) string { return filepath.Join(data, "operator.json") }

// ReadOperator reads what a running server left for commands beside it.
func ReadOperator(data string) (*Operator, error) {
	b, err := os.ReadFile(operatorFile(data))
	if err != nil {
		return nil, fmt.Errorf("looking for a server's data directory in %s: %w", data, err)
	}
	var o Operator
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("reading %s: %w", operatorFile(data), err)
	}
	return &o, nil
}

// self is how this node names itself where it mints and revokes. It ends no other node's credentials.
func (s *Server) self() string {
	if s.cfg.Node == "" {
		return "server"
	}
	return "server " + s.cfg.Node
}

// writeOperator mints a fresh operator credential and ends those of earlier runs.
func (s *Server) writeOperator(ctx context.Context) error {
	old, err := s.tokens.List(ctx)
	if errors.Is(err, identity.ErrBadToken) {
		return fmt.Errorf("%w\n  a stored credential was edited, or the keys belong to another data directory: restore both from one backup, or start with a new data directory", err)
	}
	if err != nil {
		return err
	}
	for _, t := range old {
		if t.Subject == operatorPerson && t.CreatedBy == s.self() && t.Revoked.IsZero() && time.Now().Before(t.Expires) {
			if err := s.tokens.Revoke(ctx, t.ID, s.self()); err != nil {
				return err
			}
		}
	}
	token, err := s.Mint(ctx, identity.MintRequest{Kind: identity.KindPerson, Subject: operatorPerson, Scopes: []string{identity.ScopeAdmin, identity.ScopeRead}, TTL: operatorLife, By: s.self()})
	if err != nil {
		return err
	}
	b, err := json.Marshal(s.operator(token))
	if err != nil {
		return err
	}
	file := operatorFile(s.cfg.path(s.cfg.Data))
	tmp := file + ".new"
	_ = os.Remove(tmp) // left by a crash
	if err := writeSecret(tmp, string(b)+"\n"); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}
