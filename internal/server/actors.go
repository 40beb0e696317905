package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/workload"
)

// makeWorkloads reads the rules by which foreign tokens stand for actors.
func (s *Server) makeWorkloads() error {
	var rules []workload.Rule
	for i := range s.cfg.Workloads {
		rules = append(rules, s.cfg.rule(&s.cfg.Workloads[i]))
	}
	var err error
	if s.workloads, err = workload.New(rules, nil); err != nil {
		return fmt.Errorf("configuration, workloads: %w", err)
	}
	return nil
}

// makeDesk makes what exchanges credentials.
func (s *Server) makeDesk() (*actors.Desk, error) {
	return actors.New(actors.Options{
		Tokens: s.tokens, Workloads: s.workloads, Directory: s.dir, Relate: s.engine.Relate, Refused: s.refusedExchange,
		Audience: strings.TrimSuffix(s.cfg.PublicURL, "/"), Machine: operatorPerson, Logger: s.log,
	})
}

// refusedExchange records that somebody who proved who they are was refused a token.
func (s *Server) refusedExchange(_ context.Context, actor, detail string) {
	rec := &audit.Record{Type: audit.TypeRefused, Actor: actor, Gate: "api", Detail: map[string]string{"what": detail}}
	if _, err := s.spool.Append(rec); err != nil {
		s.log.Error("recording a refusal", "gate", "api", "err", err)
	}
}
