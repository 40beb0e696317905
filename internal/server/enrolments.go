package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/enrol"
	"github.com/assenthq/assent/internal/identity"
)

// makeMembers makes the authority of parts of the deployment that run elsewhere.
func (s *Server) makeMembers(k *keys) (err error) {
	o := enrol.Options{Box: s.box, Secret: k.api, Logger: s.log}
	switch {
	case s.cfg.Connectors != nil:
		o.Life = s.cfg.Connectors.Life
	case s.cfg.Remote == nil:
		return nil
	}
	s.members, err = enrol.New(o)
	return err
}

// makeEntrance makes what lets gate processes in.
func (s *Server) makeEntrance() {
	s.entrance = &enrol.Desk{Authority: s.members, Log: s.log, Serve: map[enrol.Role]func(context.Context, enrol.Entry, net.Conn){enrol.Gate: s.serveGate}}
}

func (s *Server) serveGate(ctx context.Context, part enrol.Entry, conn net.Conn) {
	if err := s.remote.Serve(ctx, part.Name, conn); err != nil && ctx.Err() == nil {
		s.log.Warn("the link of a gate process ended", "name", part.Name, "err", err)
	}
}

// startRemote listens for them.
func (s *Server) startRemote(ctx context.Context) error {
	if s.cfg.Remote == nil {
		return nil
	}
	l, err := net.Listen("tcp", s.cfg.Remote.Listen)
	if err != nil {
		return fmt.Errorf("remote.listen: %w (choose another in the configuration)", err)
	}
	s.remoteAddr = l.Addr().String()
	s.log.Info("parts that run elsewhere can come in", "listen", s.remoteAddr)
	s.work.Go(func() {
		if err := s.entrance.Listen(ctx, l); err != nil && ctx.Err() == nil {
			s.fail("remote", err)
		}
	})
	return nil
}

// RemoteAddr is where parts of the deployment that run elsewhere come in; "" where none can.
func (s *Server) RemoteAddr() string { return s.remoteAddr }

// Invite makes a token with which a part of that role and name enrols, once. What was enrolled under the
// name before goes on until the token is used.
func (s *Server) Invite(ctx context.Context, by identity.Person, role, name string, life time.Duration) (string, time.Time, error) {
	switch {
	case s.entrance == nil:
		return "", time.Time{}, &api.MemberError{Problem: "nothing can come in: the configuration has no remote: (docs/remote-gates.md)"}
	case s.entrance.Serve[enrol.Role(role)] == nil:
		return "", time.Time{}, &api.MemberError{Problem: fmt.Sprintf("no %s is taken in here", role)}
	case enrol.Role(role) == enrol.Gate && !slices.ContainsFunc(s.cfg.Gates, func(g GateConfig) bool { return g.At == name }):
		return "", time.Time{}, &api.MemberError{Problem: fmt.Sprintf("no gate of the configuration runs at %q: add one under gates:, with at: %s", name, name)}
	}
	token, e, err := s.members.Invite(ctx, by, enrol.Role(role), name, nil, life)
	if errors.Is(err, enrol.ErrName) || errors.Is(err, enrol.ErrToken) {
		err = &api.MemberError{Problem: err.Error()}
	}
	return token, e.Until, err
}

// Members are the newest entries of each part, and whether it is there.
func (s *Server) Members(ctx context.Context) (out []api.MemberView, err error) {
	if s.entrance == nil {
		return nil, nil
	}
	for role := range s.entrance.Serve {
		all, err := s.members.List(ctx, role)
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, e := range all {
			state := e.State(time.Now())
			if seen[e.Name] && state != "enrolled" { // the newest, and the one that counts
				continue
			}
			seen[e.Name] = true
			v := api.MemberView{Role: string(role), Name: e.Name, State: state, Invited: e.At, Enrolled: e.Enrolled, Ended: e.Ended}
			if state == "invited" {
				v.TokenUntil = e.Until
			}
			if state == "enrolled" && role == enrol.Gate {
				for _, l := range s.remote.Links() {
					if l.Name == e.Name {
						v.Linked, v.From, v.Version, v.Gates, v.Sessions = l.Since.UTC(), l.From, l.Version, l.Gates, l.Sessions
					}
				}
			}
			out = append(out, v)
		}
	}
	return out, nil
}

// End makes a part's certificates and tokens worthless, and ends its connections.
func (s *Server) End(ctx context.Context, by identity.Person, role, name string) error {
	if s.entrance == nil || s.entrance.Serve[enrol.Role(role)] == nil {
		return &api.MemberError{Missing: true, Problem: "no " + role + " was ever enrolled here"}
	}
	_, err := s.members.Revoke(ctx, by, enrol.Role(role), name)
	if errors.Is(err, enrol.ErrUnknown) {
		err = &api.MemberError{Missing: true, Problem: fmt.Sprintf("there is no %s %q that could be ended", role, name)}
	}
	return err
}
