package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/people"
)

// People is the directory, as far as it is more than the configuration. Linking
// accounts and lending a seat is done in a signed-in console session, never with
// a bearer token: an administrator could mint one in another person's name.
type People interface {
	Accounts() []people.Account
	Links() []people.Link
	EndLink(ctx context.Context, id string, p *identity.Person, admin bool) error
	StandIns() []people.StandIn
	EndStandIn(ctx context.Context, id string, p *identity.Person, admin bool) error
	OnCall() []people.Turn
	Swaps() []people.Swap
	EndSwap(ctx context.Context, id, by string) error
}

// An AccountView is one account that leads to a person.
type AccountView struct {
	ID         string    `json:"id" doc:"issuer|subject"`
	Person     Party     `json:"person"`
	Name       string    `json:"name,omitempty" doc:"What the issuer calls it"`
	Groups     int       `json:"groups" doc:"How many groups the issuer told of"`
	Configured bool      `json:"configured,omitempty"`
	First      time.Time `json:"first,omitzero"`
	Refreshed  time.Time `json:"refreshed,omitzero"`
	Left       time.Time `json:"left,omitzero" doc:"When its issuer no longer let it in"`
}

// A LinkView is a link between an account and a person. Both sides are named.
type LinkView struct {
	ID      string    `json:"id"`
	State   string    `json:"state" enum:"begun,offered,young,linked,ended,lapsed" doc:"young: excludes already, and counts for reviewing after a day"`
	Person  Party     `json:"person"`
	With    string    `json:"with,omitempty" doc:"The account it was begun with"`
	Account string    `json:"account,omitempty"`
	Name    string    `json:"name,omitempty" doc:"What that account is called"`
	By      string    `json:"by"`
	Begun   time.Time `json:"begun"`
	Counts  time.Time `json:"counts,omitzero" doc:"From when it counts for reviewing"`
	Ended   time.Time `json:"ended,omitzero"`
}

// AccountList is who is known by which accounts. Administrators see everybody's, others their own.
type AccountList struct {
	Accounts []AccountView `json:"accounts"`
	Links    []LinkView    `json:"links"`
}

type listAccountsOut struct{ Body AccountList }

func (s *server) listAccounts(ctx context.Context, _ *nothing) (*listAccountsOut, error) {
	out := &listAccountsOut{Body: AccountList{Accounts: []AccountView{}, Links: []LinkView{}}}
	if s.People == nil {
		return out, nil
	}
	c := callerOf(ctx)
	all := c.Has(identity.ScopeAdmin)
	for _, a := range s.People.Accounts() {
		if all || mine(c, a.Person) {
			out.Body.Accounts = append(out.Body.Accounts, AccountView{
				ID: a.ID, Person: s.party(a.Person), Name: a.Name, Groups: len(a.Groups), Configured: a.Configured,
				First: a.First, Refreshed: a.Refreshed, Left: a.Left,
			})
		}
	}
	for _, l := range s.People.Links() {
		if all || mine(c, l.Person, l.Account) {
			out.Body.Links = append(out.Body.Links, LinkView{
				ID: l.ID, State: l.State, Person: s.party(l.Person), With: l.Begin, Account: l.Account, Name: l.AccountName,
				By: l.By, Begun: l.Begun, Counts: l.Counts, Ended: l.Ended,
			})
		}
	}
	return out, nil
}

// mine reports whether one of ids leads to the caller.
func mine(c *identity.Caller, ids ...string) bool {
	return c.Person != nil && slices.ContainsFunc(ids, func(id string) bool { return id != "" && slices.Contains(c.Person.IDs(), id) })
}

func (s *server) party(id string) Party {
	if p, ok := s.Directory.Person(id); ok {
		return Party{ID: p.ID, Name: p.Name}
	}
	return Party{ID: id}
}

type rowIn struct {
	ID string `path:"id" maxLength:"64" pattern:"^[0-9a-z]+$"`
}

func (s *server) endLink(ctx context.Context, in *rowIn) (*nothing, error) {
	c := callerOf(ctx)
	if s.People == nil || c.Person == nil {
		return nil, people.ErrUnknown
	}
	return nil, s.People.EndLink(ctx, in.ID, c.Person, c.Has(identity.ScopeAdmin))
}

// A StandInView is a seat lent for a while.
type StandInView struct {
	ID     string    `json:"id"`
	From   Party     `json:"from" doc:"Whose seat it is. The two fill one seat together"`
	To     Party     `json:"to"`
	Groups []string  `json:"groups" doc:"None: all of from's"`
	Reason string    `json:"reason,omitempty"`
	Begun  time.Time `json:"begun" doc:"It counts for what is asked after this"`
	Until  time.Time `json:"until"`
	Ended  time.Time `json:"ended,omitzero"`
	Active bool      `json:"active"`
}

// StandInList is who stands in for whom, the latest first.
type StandInList struct {
	StandIns []StandInView `json:"stand_ins"`
}

type listStandInsOut struct{ Body StandInList }

func (s *server) listStandIns(context.Context, *nothing) (*listStandInsOut, error) {
	out := &listStandInsOut{Body: StandInList{StandIns: []StandInView{}}}
	if s.People == nil {
		return out, nil
	}
	for _, v := range s.People.StandIns() {
		out.Body.StandIns = append(out.Body.StandIns, StandInView{
			ID: v.ID, From: Party{ID: v.From, Name: v.FromName}, To: Party{ID: v.To, Name: v.ToName}, Groups: append([]string{}, v.Groups...),
			Reason: v.Reason, Begun: v.Begun, Until: v.Until, Ended: v.Ended, Active: v.Active,
		})
	}
	return out, nil
}

func (s *server) endStandIn(ctx context.Context, in *rowIn) (*nothing, error) {
	c := callerOf(ctx)
	if s.People == nil || c.Person == nil {
		return nil, people.ErrUnknown
	}
	return nil, s.People.EndStandIn(ctx, in.ID, c.Person, c.Has(identity.ScopeAdmin))
}

// A TurnView is who is on call.
type TurnView struct {
	Group  string    `json:"group"`
	Person *Party    `json:"person,omitempty" doc:"Absent before the rotation starts"`
	Next   time.Time `json:"next" doc:"When the next turn begins"`
	People []string  `json:"people" doc:"The rotation"`
}

// A SwapView puts another of a rotation's people on call for a while.
type SwapView struct {
	ID     string    `json:"id"`
	Group  string    `json:"group"`
	Person Party     `json:"person"`
	By     string    `json:"by"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	Ended  time.Time `json:"ended,omitzero"`
}

// OnCallList is who is on call, and what was changed by hand.
type OnCallList struct {
	Turns []TurnView `json:"turns"`
	Swaps []SwapView `json:"swaps"`
}

type listOnCallOut struct{ Body OnCallList }

func (s *server) listOnCall(context.Context, *nothing) (*listOnCallOut, error) {
	out := &listOnCallOut{Body: OnCallList{Turns: []TurnView{}, Swaps: []SwapView{}}}
	if s.People == nil {
		return out, nil
	}
	for _, t := range s.People.OnCall() {
		v := TurnView{Group: t.Group, Next: t.Next.UTC(), People: t.People}
		if t.Person != "" {
			p := s.party(t.Person)
			v.Person = &p
		}
		out.Body.Turns = append(out.Body.Turns, v)
	}
	for _, w := range s.People.Swaps() {
		out.Body.Swaps = append(out.Body.Swaps, s.swapView(&w))
	}
	return out, nil
}

func (s *server) swapView(w *people.Swap) SwapView {
	return SwapView{ID: w.ID, Group: w.Group, Person: s.party(w.Person), By: w.By, From: w.From, Until: w.Until, Ended: w.Ended}
}

func (s *server) endSwap(ctx context.Context, in *rowIn) (*nothing, error) {
	c := callerOf(ctx)
	if s.People == nil || c.Person == nil {
		return nil, people.ErrUnknown
	}
	for _, w := range s.People.Swaps() {
		if w.ID == in.ID && !mine(c, w.Person) && slices.ContainsFunc(s.People.OnCall(), func(t people.Turn) bool {
			return t.Group == w.Group && slices.ContainsFunc(t.People, func(id string) bool { return mine(c, id) })
		}) {
			return nil, problem(http.StatusForbidden, "excluded", "Nobody puts themselves on call, and to end another's turn may: ask another administrator.")
		}
	}
	return nil, s.People.EndSwap(ctx, in.ID, c.Person.ID)
}

// peopleProblem maps the directory's errors, whose words are for people.
func peopleProblem(err error) *Problem {
	switch {
	case errors.Is(err, people.ErrUnknown):
		return problem(http.StatusNotFound, "not-found", "The directory has no such person, account or entry.")
	case errors.Is(err, people.ErrNotYours):
		return problem(http.StatusForbidden, "not-yours", "Only the people it is about may end it, or an administrator.")
	case errors.Is(err, people.ErrRefused):
		text, _, _ := strings.Cut(err.Error(), ": "+people.ErrRefused.Error())
		return problem(http.StatusConflict, "refused", text)
	}
	return nil
}
