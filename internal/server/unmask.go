package server

import (
	"context"
	"errors"
	"strconv"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/console"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/identity"
)

// unmasking shows reviewers single values of statements whose asker waits here.
type unmasking struct {
	s      *Server
	groups []string
}

func (s *Server) unmasker() console.Unmasker {
	if len(s.cfg.Unmask.Groups) == 0 {
		return nil
	}
	u := &unmasking{s: s}
	for _, g := range s.cfg.Unmask.Groups {
		u.groups = append(u.groups, groupID(g))
	}
	return u
}

func (u *unmasking) May(p *identity.Person) bool { return p.In(u.groups...) }

// Value records first: what can't be recorded isn't shown.
func (u *unmasking) Value(ctx context.Context, p *identity.Person, a *approval.Approval, n int, reason string) (value, class string, err error) {
	rec := &audit.Record{Type: audit.TypeUnmask, Person: p.ID, Approval: a.ID, Resource: a.Resource.URN, Env: a.Resource.Env, Detail: map[string]string{
		"value": strconv.Itoa(n + 1), "class": a.Masked[n].Class, "reason": u.s.masked(reason),
	}}
	if err := u.s.record(ctx, rec); err != nil {
		return "", "", err
	}
	value, class, err = u.s.enforcer.MaskedValue(a.ID, n)
	if errors.Is(err, enforce.ErrNotHere) {
		err = console.ErrNotHere
	}
	return value, class, err
}
