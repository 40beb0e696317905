package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// Operator is how commands on the same machine reach a running server: its
// address and an administrator's credential of their own. It lies in the data
// directory, readable by its owner only. It carries no review scope.
type Operator struct {
	URL   string `json:"url"`
	Token string `json:"token"`
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
	b, err := json.Marshal(Operator{URL: s.URL(), Token: token})
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
