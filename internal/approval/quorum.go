package approval

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// levels are the ways to give a review, lowest first.
var levels = []string{"token", "chat", "console", "passkey"}

// level is -1 for a word that is not on the list: it is below everything.
func level(assurance string) int { return slices.Index(levels, assurance) }

// Assurance is the lowest assurance a review of a needs: the highest of its
// requirements. Where a rule names none, a bearer token is enough only for
// actions that read or write plain data; an agent may sit on the same machine.
// A session that is opened is no such one: whatever is typed into it runs.
func (a *Approval) Assurance() string {
	need := 0
	for _, r := range a.Requirements {
		l := level(r.Assurance)
		if l < 0 {
			l = level("console")
			if r.Assurance == "" && a.plain() {
				l = 0
			}
		}
		need = max(need, l)
	}
	return levels[need]
}

func (a *Approval) plain() bool {
	plain := []action.Kind{action.DataRead, action.DataWrite, action.LLMCall}
	return len(a.Kinds) > 0 && !slices.ContainsFunc(a.Kinds, func(k action.Kind) bool {
		return !slices.Contains(plain, k)
	})
}

// voters are the reviews that count for a quorum, with the groups each counts
// for: those their person was in when the action was asked and when they answered.
func (e *Engine) voters(a *Approval) (reviews []Review, voters []voter) {
	need := level(a.Assurance())
	for _, r := range a.Reviews {
		if r.Decision != Approve || r.Digest != a.Digest || r.level() < need || e.excluded(a, r.Person) != "" || e.frozenPerson(r.Person) {
			continue
		}
		if _, known := e.o.Directory.Person(r.Person); !known {
			continue // nobody can tell any more whose second self this is
		}
		if slices.ContainsFunc(reviews, func(o Review) bool { return e.oneHuman(o.Person, r.Person) }) {
			continue // one person, one review
		}
		v := voter{groups: map[string]bool{}, issuers: r.Issuers}
		if len(v.issuers) == 0 {
			v.issuers = []string{""}
		}
		for _, g := range a.Eligible[r.Person] {
			if slices.Contains(r.Groups, g) {
				v.groups[g] = true
			}
		}
		reviews, voters = append(reviews, r), append(voters, v)
	}
	e.lend(a, reviews, voters)
	return reviews, voters
}

func (e *Engine) frozenPerson(id string) bool { return e.o.Stopped != nil && e.o.Stopped(id) }

// Progress lists the seats of a's quorum and who fills them.
func (e *Engine) Progress(a *Approval) []Seat {
	var out []Seat
	reviews, voters := e.voters(a)
	for i := range a.Requirements {
		r := &a.Requirements[i]
		places, filled := seated(r, a.besides(i), voters)
		for s, person := range filled {
			seat := Seat{Requirement: i, Rule: r.Rule, Groups: places[s]}
			if person >= 0 {
				seat.Person, seat.Name = reviews[person].Person, reviews[person].Name
			}
			out = append(out, seat)
		}
	}
	return out
}

// quorum reports whether every seat of every requirement is filled and nobody said no.
func (e *Engine) quorum(a *Approval) bool {
	if slices.ContainsFunc(a.Reviews, func(r Review) bool { return r.Decision != Approve }) {
		return false
	}
	for i := range a.Requirements {
		if wellFormed(&a.Requirements[i]) != nil {
			return false
		}
	}
	all := e.Progress(a)
	return len(all) > 0 && !slices.ContainsFunc(all, func(s Seat) bool { return s.Person == "" })
}

// satisfiable refuses a when the people who may review it can't fill its seats,
// and notes who they are: those in any group that is asked, or may come to be. A
// fallback is taken at once where nobody else could answer.
func (e *Engine) satisfiable(a *Approval) error {
	a.Eligible, a.StandIns = map[string][]string{}, nil
	for i := range a.Requirements {
		r := &a.Requirements[i]
		if err := wellFormed(r); err != nil {
			return err
		}
		voters := e.electorate(a, groupsOf(r))
		if len(emptyPlaces(r, a.besides(i), voters)) == 0 {
			continue
		}
		var later []string
		for s := range a.Steps {
			step := &a.Steps[s]
			if step.Requirement != i || step.Do == Remind || !step.Done.IsZero() {
				continue
			}
			if step.Do == FallBack {
				step.Done = a.Created
			}
			later = append(later, step.Groups...)
		}
		if len(later) == 0 || len(emptyPlaces(r, later, voters)) > 0 {
			return e.unsatisfiable(a, r, voters)
		}
	}
	return nil
}

// electorate are the people of groups who are not excluded; it notes them in a.
func (e *Engine) electorate(a *Approval, groups []string) []voter {
	at := map[string]int{}
	var out []voter
	for _, g := range groups {
		for _, p := range e.o.Directory.Members(g) {
			if e.excluded(a, p.ID) != "" {
				continue
			}
			if !p.In(g) {
				e.noteStandIn(a, &p, g)
				continue // the one they stand in for is counted
			}
			if _, ok := at[p.ID]; !ok {
				at[p.ID] = len(out)
				out = append(out, voter{groups: map[string]bool{}, issuers: issuersOf(&p)})
			}
			out[at[p.ID]].groups[g] = true
			if !slices.Contains(a.Eligible[p.ID], g) {
				a.Eligible[p.ID] = append(a.Eligible[p.ID], g)
			}
		}
	}
	return out
}

func emptyPlaces(r *policy.Requirement, besides []string, voters []voter) (empty [][]string) {
	places, filled := seated(r, besides, voters)
	for s, person := range filled {
		if person < 0 {
			empty = append(empty, places[s])
		}
	}
	return empty
}

// unsatisfiable says whom a rule asks for and, where only a seat that a recent
// denial costs is missing, which denial that was.
func (e *Engine) unsatisfiable(a *Approval, r *policy.Requirement, voters []voter) error {
	err := &UnsatisfiableError{Rule: r.Rule, Pack: r.Pack, Asks: Who([]policy.Requirement{*r}), Groups: groupsOf(r), Have: len(voters)}
	for _, way := range ways(r, nil) {
		if err.Need == 0 || len(way) < err.Need {
			err.Need = len(way)
		}
	}
	without := *r
	without.More = 0
	if r.More > 0 && len(emptyPlaces(&without, nil, voters)) == 0 {
		err.Denial = a.Denial
	}
	return err
}

// excluded says why the person with this id may not review a; "" when they may.
func (e *Engine) excluded(a *Approval, id string) string {
	for _, id := range e.ids(id) {
		if why, found := a.Excluded[id]; found {
			return why
		}
	}
	return ""
}

// exclude adds to a everyone whom m names, under each id that leads to them. Nobody is ever taken out.
func (e *Engine) exclude(a *Approval, m map[string]string) (grew bool) {
	if a.Excluded == nil {
		a.Excluded = map[string]string{}
	}
	for id, why := range m {
		for _, id := range e.ids(id) {
			if _, there := a.Excluded[id]; !there {
				a.Excluded[id], grew = why, true
			}
		}
	}
	return grew
}

// related is who stands behind the asker now: as the credential says, and as
// the directory says at this moment.
func (e *Engine) related(asker *identity.Asker) map[string]string {
	out := asker.Excluded()
	now := identity.Asker{}
	for _, link := range asker.Chain {
		if actor, ok := e.o.Directory.ActorByID(link.ID); ok {
			now.Chain = append(now.Chain, actor)
		}
	}
	for id, why := range now.Excluded() {
		if _, there := out[id]; !there {
			out[id] = why
		}
	}
	return out
}

const whySubject = "subject"

// remember notes who is behind the asker today and returns who was, during the
// last 30 days; whom the actor acted for counts for a day.
func (e *Engine) remember(ctx context.Context, tx Tx, asker *identity.Asker, now time.Time) (map[string]string, error) {
	out := e.related(asker)
	if err := e.note(ctx, tx, asker.Chain[0].ID, out, now); err != nil {
		return nil, err
	}
	for _, link := range asker.Chain {
		of, err := e.noted(ctx, tx, link.ID, now)
		if err != nil {
			return nil, err
		}
		for _, r := range of {
			_, there := out[r.Person]
			if there || r.Why == whySubject && r.Seen.Before(now.Add(-subjectMemory-noteEvery)) {
				continue
			}
			out[r.Person] = r.Why + ", until lately"
		}
	}
	return out, nil
}

// Relate notes who is behind actors today, whether or not they ever ask: one
// who gives an agent away before it asks was related to it all the same.
func (e *Engine) Relate(ctx context.Context, actors []identity.Actor) error {
	return e.update(ctx, "", func(tx Tx) ([]Event, error) {
		for _, actor := range actors {
			asker := identity.Asker{Chain: []identity.Actor{actor}}
			if _, err := e.remember(ctx, tx, &asker, e.now()); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
}

// knownHuman errs unless a person this deployment knows is behind the asker.
func (e *Engine) knownHuman(asker *identity.Asker) error {
	for _, id := range []string{asker.Subject.ID, asker.Chain[0].Owner} {
		if _, ok := e.o.Directory.Person(id); ok && id != "" {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", asker.Chain[0].ID, ErrNoHuman)
}

// MayReview says why p may not answer a in this way now; nil when they may.
func (e *Engine) MayReview(a *Approval, p *identity.Person, assurance string) error {
	if a == nil || p == nil {
		return ErrNotEligible
	}
	_, err := e.reviewer(a, p.Key(), assurance)
	return err
}

// reviewer is the directory's own entry of who answers, held against all rules.
func (e *Engine) reviewer(a *Approval, id, assurance string) (*identity.Person, error) {
	switch {
	case a.Plan != "":
		return nil, ErrPart
	case a.State == Expired:
		return nil, ErrExpired
	case a.State != Pending:
		return nil, ErrDecided
	case !e.now().Before(a.Expires):
		return nil, ErrExpired
	}
	now := *a
	now.Excluded = nil
	e.exclude(&now, a.Excluded)
	e.exclude(&now, e.related(&a.Asker))
	if why := e.excluded(&now, id); why != "" {
		return nil, ErrExcluded{Why: why}
	}
	p, ok := e.o.Directory.Person(id)
	if !ok || p.Since.After(a.Created) || !p.In(a.Groups(p.ID)...) && !e.standsIn(&now, &p) {
		return nil, ErrNotEligible
	}
	if slices.ContainsFunc(a.Reviews, func(r Review) bool { return e.oneHuman(r.Person, p.ID) }) {
		return nil, ErrReviewed
	}
	if need := a.Assurance(); level(assurance) < level(need) {
		return nil, ErrAssurance{Need: need}
	}
	return &p, nil
}
