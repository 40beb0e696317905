package server

import (
	"context"
	"errors"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/prometheus/client_golang/prometheus"
)

const frozenTime = 30 * time.Second // to withdraw what a freeze stopped

// makeFreezes makes the switch, before what asks it.
func (s *Server) makeFreezes(ctx context.Context) error {
	var err error
	if s.freezes, err = freeze.New(freeze.Options{Box: s.box, Directory: s.dir, Logger: s.log}); err != nil {
		return err
	}
	// A table that was tampered with freezes everything; people may still look.
	if err := s.freezes.Load(ctx); err != nil && !errors.Is(err, sealed.ErrTampered) {
		return err
	}
	return s.makeGlass()
}

// makeGlass makes what people break in an emergency.
func (s *Server) makeGlass() error {
	o := emergency.Options{
		Box: s.box, Directory: s.dir, Freezes: s.freezes, Longest: s.cfg.BreakGlass.Longest, ReviewTime: s.cfg.BreakGlass.ReviewWithin,
		Tokens: s.cfg.BreakGlass.Assurance == "token", Logger: s.log,
	}
	for _, g := range s.cfg.BreakGlass.Groups {
		o.Groups = append(o.Groups, groupID(g))
	}
	for _, g := range s.cfg.Admins {
		o.Reviewers = append(o.Reviewers, groupID(g))
	}
	var err error
	if s.glass, err = emergency.New(o); err != nil {
		return err
	}
	return s.glassMetrics()
}

// glassMetrics count emergencies; -1 where they can't be read.
func (s *Server) glassMetrics() error {
	count := func(pick func(open, unreviewed, overdue int) int) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			list, err := s.glass.Known(ctx)
			if err != nil {
				return -1
			}
			return float64(pick(emergency.Counts(list, time.Now())))
		}
	}
	for _, m := range []struct {
		name, help string
		pick       func(open, unreviewed, overdue int) int
	}{
		{"assent_emergencies_open", "Emergencies in which actions run without waiting for people; -1: not known.", func(open, _, _ int) int { return open }},
		{"assent_emergencies_unreviewed", "Emergencies that nobody has reviewed yet; -1: not known.", func(_, unreviewed, _ int) int { return unreviewed }},
		{"assent_emergencies_overdue", "Emergencies that nobody reviewed in time, so that who broke the glass and the actor were frozen; -1: not known.", func(_, _, overdue int) int { return overdue }},
	} {
		if err := s.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.name, Help: m.help}, count(m.pick))); err != nil {
			return err
		}
	}
	return nil
}

// makeChanges makes what changes the rules, and cuts what is frozen.
func (s *Server) makeChanges() error {
	var admins []string
	for _, g := range s.cfg.Admins {
		admins = append(admins, groupID(g))
	}
	var err error
	s.changes, err = change.New(change.Options{
		Box: s.box, Approvals: s.engine, Directory: s.dir, Admins: admins, Stopped: s.freezes.Suspended, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.changes.HandleThaw(s.freezes)
	s.handlePolicy()
	s.handleErasure()
	s.freezes.OnChange(s.stopFrozen)
	if err := s.makePins(); err != nil {
		return err
	}
	return s.makeRules()
}

// groupID is how packs name a group of the configuration.
func groupID(name string) string { return "group:" + name }

// frozenBy tells the approval engine who froze what an approval is about. Changing
// the rules is never frozen: it is how a freeze ends.
func (s *Server) frozenBy(ctx context.Context, tx approval.Tx, a *approval.Approval) (string, error) {
	if a.Gate == change.Gate {
		return "", nil
	}
	for _, urn := range a.Places() {
		stop, err := s.freezes.FrozenNow(ctx, &s.box.Join(tx).Reader, &a.Asker, urn, a.Gate)
		if err != nil {
			return "", err
		}
		if stop != nil {
			return stop.Who, nil
		}
	}
	return "", nil
}

// freezeOf is what stops a, or one item of it; nil: nothing does.
func (s *Server) freezeOf(a *approval.Approval) *freeze.Stop {
	for _, urn := range a.Places() {
		if stop := s.freezes.Frozen(&a.Asker, urn, a.Gate); stop != nil {
			return stop
		}
	}
	return nil
}

// stopFrozen cuts the connections and withdraws the approvals of what is frozen.
func (s *Server) stopFrozen() {
	n := s.enforcer.CutFrozen()
	ctx, cancel := context.WithTimeout(context.Background(), frozenTime)
	defer cancel()
	withdrawn, err := s.withdrawFrozen(ctx)
	if err != nil {
		s.log.Error("withdrawing what is frozen; none of it can run", "err", err)
	}
	if n > 0 || withdrawn > 0 {
		s.log.Info("frozen", "connections cut", n, "approvals withdrawn", withdrawn)
	}
}

func (s *Server) withdrawFrozen(ctx context.Context) (n int, err error) {
	var errs []error
	f := approval.Filter{States: []approval.State{approval.Pending, approval.Approved}, Limit: 200}
	for {
		waiting, err := s.engine.List(ctx, f)
		if err != nil {
			return n, errors.Join(append(errs, err)...)
		}
		page, err := s.withdraw(ctx, waiting)
		n, errs = n+page, append(errs, err)
		if len(waiting) < f.Limit {
			return n, errors.Join(errs...)
		}
		last := waiting[len(waiting)-1]
		f.Behind = approval.Place{Created: last.Created, ID: last.ID}
	}
}

// withdraw ends those of waiting that something stops.
func (s *Server) withdraw(ctx context.Context, waiting []*approval.Approval) (n int, err error) {
	var errs []error
	for _, a := range waiting {
		if a.Gate == change.Gate {
			continue
		}
		stop := s.freezeOf(a)
		if stop == nil || stop.ID == "" { // unreadable: nothing runs, and nothing is ended for ever either
			continue
		}
		_, err := s.engine.Withdraw(ctx, a.ID, "", "frozen by "+stop.Who)
		if err == nil {
			n++
		} else if !errors.Is(err, approval.ErrDecided) && !errors.Is(err, approval.ErrConflict) {
			errs = append(errs, err)
		}
	}
	return n, errors.Join(errs...)
}
