package api

import (
	"context"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// An OwnRequest is one of the caller's own approvals in a list: what it asked
// for and how far that is, with nothing of what was found in it.
type OwnRequest struct {
	ID        string       `json:"id"`
	Status    string       `json:"status" enum:"pending,approved,denied,expired,cancelled"`
	Execution string       `json:"execution,omitempty" doc:"executing, executed, failed or unknown, once it was started"`
	Created   time.Time    `json:"created"`
	ExpiresAt time.Time    `json:"expires_at"`
	Gate      string       `json:"gate,omitempty" doc:"Where it was asked; api: here"`
	Resource  ItemResource `json:"resource"`
	Action    ItemAction   `json:"action"`
	Items     int          `json:"items,omitempty" doc:"Of a plan: how many actions"`
	Who       string       `json:"who,omitempty" doc:"Whom it waits for, while it is pending"`
	Questions int          `json:"questions,omitempty" doc:"How many questions of reviewers wait for an answer"`
	Ticket    string       `json:"ticket" doc:"Where a person can look at it"`
}

// An OwnGrant is a standing grant under which the caller's actions run without asking.
type OwnGrant struct {
	ID       string    `json:"id"`
	Approval string    `json:"approval"`
	Kinds    []string  `json:"kinds"`
	Resource string    `json:"resource"`
	Gate     string    `json:"gate,omitempty"`
	Values   string    `json:"values" enum:"same,any" doc:"same: the same action byte for byte. any: other literals in the same places"`
	Uses     int       `json:"uses"`
	Used     int       `json:"used"`
	Until    time.Time `json:"until"`
}

// OwnRequests are the caller's newest approvals, and its live standing grants.
type OwnRequests struct {
	Requests []OwnRequest `json:"requests"`
	Grants   []OwnGrant   `json:"grants"`
	More     bool         `json:"more,omitempty" doc:"There are older ones"`
}

type listRequestsIn struct {
	Status string `query:"status" enum:"open,all" default:"all" doc:"open: pending, or approved and not used yet"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type listRequestsOut struct{ Body OwnRequests }

// listRequests shows an actor its own approvals, newest first, wherever they were asked.
func (s *server) listRequests(ctx context.Context, in *listRequestsIn) (*listRequestsOut, error) {
	c := callerOf(ctx)
	if c.Asker == nil || len(c.Asker.Chain) == 0 {
		return nil, problem(http.StatusForbidden, "scope", "This credential asks for nobody.")
	}
	out := &listRequestsOut{Body: OwnRequests{Requests: []OwnRequest{}, Grants: []OwnGrant{}}}
	var err error
	if out.Body.Requests, out.Body.More, err = s.ownRequests(ctx, c, in); err != nil {
		return nil, err
	}
	all, err := s.Standings.Standings(ctx)
	if err != nil {
		return nil, err
	}
	now := s.Clock()
	for _, e := range all {
		if len(e.Actors) == 0 || e.Actors[0].ID != c.Asker.Chain[0].ID || e.Subject != c.Asker.Subject.ID || !e.Live(now) {
			continue
		}
		g := OwnGrant{ID: e.ID, Approval: e.Approval, Kinds: []string{}, Resource: e.Resource.URN, Gate: e.Gate, Values: e.Values, Uses: e.Uses, Used: e.Used, Until: e.Until}
		for _, k := range e.Kinds {
			g.Kinds = append(g.Kinds, string(k))
		}
		out.Body.Grants = append(out.Body.Grants, g)
	}
	return out, nil
}

// maxLooked bounds how many of an actor's approvals one list looks at: those of
// its other subjects are among them, and are not shown.
const maxLooked = 1000

func (s *server) ownRequests(ctx context.Context, c *identity.Caller, in *listRequestsIn) (out []OwnRequest, more bool, err error) {
	out = []OwnRequest{}
	f := approval.Filter{Actor: c.Asker.Chain[0].ID, Limit: 100}
	if in.Status == "open" {
		f.States = []approval.State{approval.Pending, approval.Approved}
	}
	for looked := 0; looked < maxLooked; looked += f.Limit {
		found, err := s.Approvals.List(ctx, f)
		if err != nil {
			return nil, false, err
		}
		for _, a := range found {
			if !owns(c, a) {
				continue
			}
			if len(out) == in.Limit {
				return out, true, nil
			}
			out = append(out, s.ownRequest(a))
		}
		if len(found) < f.Limit {
			return out, false, nil
		}
		last := found[len(found)-1]
		f.Behind = approval.Place{Created: last.Created, ID: last.ID}
	}
	return out, true, nil
}

func (s *server) ownRequest(a *approval.Approval) OwnRequest {
	r := OwnRequest{
		ID: a.ID, Created: a.Created.UTC(), ExpiresAt: a.Expires.UTC(), Gate: a.Gate, Items: len(a.Items),
		Resource: ItemResource{a.Resource.Type, a.Resource.URN}, Ticket: s.base + "/approvals/" + a.ID,
		Action: ItemAction{a.Verb, ItemProperties{Kinds: []string{}, Target: a.Target}},
	}
	for _, k := range a.Kinds {
		r.Action.Properties.Kinds = append(r.Action.Properties.Kinds, string(k))
	}
	r.Status, r.Execution = statusOf(a)
	if a.State == approval.Pending {
		r.Who, r.Questions = a.Asks(), len(a.Open())
	}
	return r
}
