package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/passkey"
	"github.com/assenthq/assent/internal/policy"
)

// CheckReviewers says which rules of set ask for people whom the configuration
// doesn't have: what they hold is denied. It is an error where nobody could ever
// review, and a warning where only some actor leaves too few, or nobody can have
// the passkey that a rule asks for.
func CheckReviewers(c *Config, set *policy.Set) (errs, warnings []*policy.Error, err error) {
	dir, err := configured(c)
	if err != nil {
		return nil, nil, err
	}
	demands := set.Demands()
	noKeys := passkey.Unusable(c.PublicURL)
	for i := range demands {
		d := &demands[i]
		if noKeys != "" && d.Assurance == "passkey" {
			warnings = append(warnings, d.Problem(fmt.Sprintf("rule %s of pack %s asks for a passkey, which nobody can have at %s", d.Rule, d.Pack, c.PublicURL), noKeys))
		}
		gap := approval.GapOf(dir, &d.Requirement, dir.Actors(), c.open)
		switch {
		case gap == nil:
		case gap.Actor == "":
			errs = append(errs, d.Problem(gap.String(), "name more people in the configuration, or ask for fewer"))
		default:
			warnings = append(warnings, d.Problem(gap.String(), "name more people in the configuration, or ask for fewer"))
		}
	}
	return errs, warnings, nil
}

// open says that a group has members whom an issuer names when they sign in.
func (c *Config) open(group string) bool {
	for name, g := range c.Groups {
		if groupID(name) == group && len(g.From) > 0 {
			return true
		}
	}
	return len(group) > 0 && !isName(group) // an issuer's own group: "corp|00g1"
}

func isName(group string) bool { return len(group) > 6 && group[:6] == "group:" }

// configured is the directory as the configuration alone makes it: everyone who is
// ever on call is in the group.
func configured(c *Config) (*identity.Static, error) {
	pc := peopleConfig(c)
	at := map[string]int{}
	for i, p := range pc.People {
		at[p.ID] = i
	}
	join := func(group string, ids []string) {
		for _, id := range ids {
			if i, ok := at[id]; ok && !slices.Contains(pc.People[i].Groups, group) {
				pc.People[i].Groups = append(pc.People[i].Groups, group)
			}
		}
	}
	for _, g := range pc.Groups {
		join(g.Name, g.People)
	}
	for _, r := range pc.OnCall {
		join(r.Group, r.People)
	}
	d, err := identity.NewStatic(pc.People, pc.Actors)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return d, nil
}

// gaps are the rules in force whose reviewers can't be found now.
func (s *Server) gaps() (out []approval.Gap) {
	demands := s.policy.Current().Demands()
	for i := range demands {
		if g := approval.GapOf(s.dir, &demands[i].Requirement, s.dir.Actors(), s.cfg.open); g != nil {
			out = append(out, *g)
		}
	}
	return out
}

// staffed errs while a rule in force asks for people who aren't there.
func (s *Server) staffed(context.Context) error {
	if gaps := s.gaps(); len(gaps) > 0 {
		return fmt.Errorf("%d rules ask for people who aren't there, the first of them: %s", len(gaps), &gaps[0])
	}
	return nil
}

// tellGaps writes them to the process's log: nobody finds out when it is too late.
func (s *Server) tellGaps(ctx context.Context) {
	for _, g := range s.gaps() {
		s.log.WarnContext(ctx, "a rule asks for people who aren't there: what it holds is denied", "gap", g.String(), "remedy", "name more people, or ask for fewer: assent policy check --config says where")
	}
}
