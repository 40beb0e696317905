package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/identity"
	rows "github.com/assenthq/assent/internal/sealed"
)

// Freezes stop, and know what is stopped.
type Freezes interface {
	Freeze(ctx context.Context, t freeze.Target, reason string, by identity.Person) (freeze.Entry, error)
	List(old bool) []freeze.Entry
	Frozen(asker *identity.Asker, resource, gate string) *freeze.Stop
}

// Changes of the rules wait for somebody else than who asked.
type Changes interface {
	Thaw(ctx context.Context, id, reason string, p change.Proposal) (change.Entry, error)
	Get(ctx context.Context, id string) (change.Entry, error)
	List(ctx context.Context) ([]change.Entry, error)
}

// A FreezeView is one target that is stopped, or was.
type FreezeView struct {
	ID       string    `json:"id"`
	What     string    `json:"what" enum:"actor,person,resource,gate,everything"`
	Name     string    `json:"name,omitempty"`
	Reason   string    `json:"reason"`
	By       Party     `json:"by"`
	At       time.Time `json:"at"`
	Thawed   time.Time `json:"thawed,omitzero"`
	ThawedBy string    `json:"thawed_by,omitempty"`
	Change   string    `json:"change,omitempty" doc:"The change that let it go"`
}

func freezeView(e freeze.Entry) FreezeView {
	return FreezeView{
		ID: e.ID, What: e.What, Name: e.Name, Reason: e.Reason, By: Party{ID: e.By, Name: e.ByName}, At: e.At,
		Thawed: e.Thawed, ThawedBy: e.ThawedBy, Change: e.Change,
	}
}

// A FreezeList is what is frozen.
type FreezeList struct {
	Freezes []FreezeView `json:"freezes"`
}

type listFreezesIn struct {
	All bool `query:"all" doc:"Those that ended too"`
}

type listFreezesOut struct{ Body FreezeList }

func (s *server) listFreezes(_ context.Context, in *listFreezesIn) (*listFreezesOut, error) {
	out := &listFreezesOut{Body: FreezeList{Freezes: []FreezeView{}}}
	for _, e := range s.Freezes.List(in.All) {
		out.Body.Freezes = append(out.Body.Freezes, freezeView(e))
	}
	return out, nil
}

// A FreezeRequest says what to stop, and why.
type FreezeRequest struct {
	What   string `json:"what" enum:"actor,person,resource,gate,everything" doc:"person stops all that acts for them or belongs to them"`
	Name   string `json:"name,omitempty" maxLength:"512" doc:"agent:NAME, person:NAME, a resource's URN or its beginning up to a slash, a gate's name"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000" doc:"For people; the one who is stopped isn't told"`
}

type createFreezeIn struct{ Body FreezeRequest }

type freezeOut struct{ Body FreezeView }

func (s *server) createFreeze(ctx context.Context, in *createFreezeIn) (*freezeOut, error) {
	c := callerOf(ctx)
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People freeze; nothing else does.")
	}
	e, err := s.Freezes.Freeze(ctx, freeze.Target{What: in.Body.What, Name: in.Body.Name}, in.Body.Reason, *c.Person)
	if err != nil {
		return nil, err
	}
	return &freezeOut{Body: freezeView(e)}, nil
}

// A ThawRequest says why something may go on.
type ThawRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

type thawIn struct {
	ID   string `path:"id" maxLength:"64" pattern:"^frz_[0-9a-z]+$"`
	Body ThawRequest
}

// A ChangeView is a change of the rules, and what became of it.
type ChangeView struct {
	ID       string    `json:"id"`
	What     string    `json:"what"`
	Title    string    `json:"title"`
	Text     string    `json:"text"`
	Author   Party     `json:"author"`
	At       time.Time `json:"at"`
	State    string    `json:"state" enum:"proposed,applied,refused" doc:"proposed: it waits for the approval"`
	Approval string    `json:"approval,omitempty"`
	URL      string    `json:"url,omitempty" doc:"Where somebody else allows it"`
	Alone    bool      `json:"alone,omitempty" doc:"Applied at once: there is no other administrator"`
	Tighter  bool      `json:"tighter,omitempty" doc:"Applied at once: it permits nothing more"`
	Ended    time.Time `json:"ended,omitzero"`
	Why      string    `json:"why,omitempty"`
}

type changeOut struct{ Body ChangeView }

func (s *server) changeView(e change.Entry) ChangeView {
	v := ChangeView{
		ID: e.ID, What: e.What, Title: e.Title, Text: e.Text, Author: Party{ID: e.Author, Name: e.Name}, At: e.At,
		State: e.State, Approval: e.Approval, Alone: e.Alone, Tighter: e.Tighter, Ended: e.Ended, Why: e.Why,
	}
	if e.Approval != "" {
		v.URL = s.base + "/approvals/" + e.Approval
	}
	return v
}

// proposal is what a caller asks to change; nil: people only.
func proposal(c *identity.Caller) (*change.Proposal, error) {
	if c.Person == nil {
		return nil, problem(http.StatusForbidden, "scope", "People change the rules; nothing else does.")
	}
	return &change.Proposal{Author: *c.Person, Credential: c.Token, Admin: c.Has(identity.ScopeAdmin)}, nil
}

func (s *server) thaw(ctx context.Context, in *thawIn) (*changeOut, error) {
	p, err := proposal(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	e, err := s.Changes.Thaw(ctx, in.ID, strings.TrimSpace(in.Body.Reason), *p)
	if err != nil {
		return nil, err
	}
	return &changeOut{Body: s.changeView(e)}, nil
}

type getChangeIn struct {
	ID string `path:"id" maxLength:"64" pattern:"^chg_[0-9a-z]+$"`
}

func (s *server) getChange(ctx context.Context, in *getChangeIn) (*changeOut, error) {
	e, err := s.Changes.Get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &changeOut{Body: s.changeView(e)}, nil
}

// A ChangeList is every change, newest first.
type ChangeList struct {
	Changes []ChangeView `json:"changes"`
}

type listChangesOut struct{ Body ChangeList }

func (s *server) listChanges(ctx context.Context, _ *nothing) (*listChangesOut, error) {
	all, err := s.Changes.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &listChangesOut{Body: ChangeList{Changes: []ChangeView{}}}
	for _, e := range all {
		out.Body.Changes = append(out.Body.Changes, s.changeView(e))
	}
	return out, nil
}

// A PolicyRequest is a whole policy.
type PolicyRequest struct {
	Files  map[string]string `json:"files" doc:"Packs by file name, as YAML: all that shall be in force"`
	Unlock []string          `json:"unlock,omitempty" doc:"Locked packs that may change or go"`
}

type applyPolicyIn struct{ Body PolicyRequest }

func (s *server) applyPolicy(ctx context.Context, in *applyPolicyIn) (*changeOut, error) {
	p, err := proposal(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	if s.ApplyPolicy == nil {
		return nil, problem(http.StatusNotFound, "no-policy", "This server takes no policy.")
	}
	e, err := s.ApplyPolicy(ctx, in.Body.Files, in.Body.Unlock, *p)
	if err != nil {
		return nil, err
	}
	return &changeOut{Body: s.changeView(e)}, nil
}

// exceptionProblem maps errors of freezes and changes, whose words are for people.
func exceptionProblem(err error) *Problem {
	var bad *change.BodyError
	switch {
	case errors.As(err, &bad):
		return problem(http.StatusUnprocessableEntity, "invalid", bad.Error())
	case errors.Is(err, freeze.ErrTarget), errors.Is(err, freeze.ErrReason):
		return problem(http.StatusUnprocessableEntity, "invalid", "Name an actor, a known person, a resource, a gate or everything, and say why.")
	case errors.Is(err, freeze.ErrThawed):
		return problem(http.StatusConflict, "thawed", "It is not frozen any more.")
	case errors.Is(err, change.ErrFrozen):
		return problem(http.StatusForbidden, "frozen", "You are frozen, so you change nothing.")
	case errors.Is(err, change.ErrNobody):
		return problem(http.StatusForbidden, "no-administrator", "There is no administrator to ask. The configuration names them under admins.")
	case errors.Is(err, change.ErrTogether):
		return problem(http.StatusForbidden, "together", "This takes two administrators, and there is none beside you to ask. The configuration names them under admins.")
	case errors.Is(err, change.ErrUnbelieved):
		return problem(http.StatusServiceUnavailable, "unbelieved", "Rows about people can't be believed, so nobody can tell who administers, and nothing is changed. The server's log names them; they are put right while it is stopped.")
	case errors.Is(err, change.ErrStale):
		return problem(http.StatusConflict, "stale", "This can't be applied any more. Look at what holds now, and ask again.")
	case errors.Is(err, rows.ErrNotFound):
		return problem(http.StatusNotFound, "not-found", "There is no such entry.")
	case errors.Is(err, rows.ErrConflict):
		return problem(http.StatusConflict, "changed", "It was changed at the same time. Look again.")
	}
	return nil
}
