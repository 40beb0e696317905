package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
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
	if s.cfg.ClientCA == "" {
		return nil
	}
	var certs []workload.CertificateRule
	for i := range s.cfg.Certificates {
		certs = append(certs, s.cfg.certificateRule(&s.cfg.Certificates[i]))
	}
	if s.clients, err = workload.NewCertificates(s.cfg.path(s.cfg.ClientCA), certs, nil); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// sawActor notes that an actor came, once there is where to note it.
func (s *Server) sawActor(a *identity.Asker) {
	if s.actors != nil && (len(a.Chain) == 0 || a.Chain[0].Type != "human") { // people are no actors of the registry
		s.actors.Seen(a)
	}
}

// makeDoor joins tokens and certificates: it comes after both.
func (s *Server) makeDoor() {
	s.sshKeys = actors.NewSSHKeys()
	s.door = &actors.Door{Tokens: s.tokens, Directory: s.dir, SSH: s.sshKeys, Saw: s.sawActor}
	if s.clients != nil { // an interface with a nil in it would not be nil
		s.door.Certificates = s.clients
	}
}

// askCertificate has clients asked for a certificate, where any counts. Who has
// none may still come with a token.
func (s *Server) askCertificate(t *tls.Config) *tls.Config {
	if s.clients != nil {
		t.ClientCAs, t.ClientAuth = s.clients.Pool, tls.VerifyClientCertIfGiven
	}
	return t
}

// makeDesk makes what exchanges credentials.
func (s *Server) makeDesk() (*actors.Desk, error) {
	var err error
	if s.actors, err = actors.OpenRegistry(context.Background(), s.box, s.dir, s.engine.Relate, s.log); err != nil {
		return nil, err
	}
	s.actors.OnChange(s.lookAgain)
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

const lookEvery = 10 * time.Second // at what no change tells of: a certificate that ended, an edited row

// lookAgain has cutLoop look at once.
func (s *Server) lookAgain() {
	select {
	case s.look <- struct{}{}:
	default: // it will
	}
}

// cutLoop ends the connections of credentials that no longer count, as soon as
// anything changed that they stand on: directory and registry say so once they have
// taken it over.
func (s *Server) cutLoop(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.look:
		case <-tick.C:
		}
		if n := s.enforcer.CutEnded(ctx); n > 0 {
			s.log.Info("connections ended with their credentials", "connections", n)
		}
	}
}
