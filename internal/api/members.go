package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// Members invites parts of the deployment that run elsewhere, lists them and ends them.
type Members interface {
	Invite(ctx context.Context, by identity.Person, role, name string, life time.Duration) (token string, until time.Time, err error)
	Members(ctx context.Context) ([]MemberView, error)
	End(ctx context.Context, by identity.Person, role, name string) error
}

// A MemberError says why a part can't be invited or ended.
type MemberError struct {
	Problem string
	Missing bool // there is no such part
}

func (e *MemberError) Error() string { return e.Problem }

// A MemberRequest invites a part of the deployment that runs elsewhere.
type MemberRequest struct {
	Role      string `json:"role" enum:"gate"`
	Name      string `json:"name" minLength:"1" maxLength:"63" pattern:"^[a-z0-9][a-z0-9._-]*$" doc:"As gates of the configuration name it under at"`
	ExpiresIn int64  `json:"expires_in,omitempty" minimum:"1" maximum:"2592000" doc:"Seconds in which the token may be used; an hour unless set"`
}

// A MemberToken enrols one part, once.
type MemberToken struct {
	Token   string    `json:"token" doc:"Keep it: nobody can show it again"`
	Expires time.Time `json:"expires"`
}

// A MemberView is a part that runs elsewhere.
type MemberView struct {
	Role       string    `json:"role"`
	Name       string    `json:"name"`
	State      string    `json:"state" enum:"invited,enrolled,expired,ended" doc:"expired: its token was not used in time"`
	Invited    time.Time `json:"invited"`
	Enrolled   time.Time `json:"enrolled,omitzero"`
	Ended      time.Time `json:"ended,omitzero"`
	TokenUntil time.Time `json:"token_until,omitzero" doc:"While a token waits to be used"`
	From       string    `json:"from,omitempty" doc:"Address"`
	Linked     time.Time `json:"linked,omitzero" doc:"Since when it is there; missing: it is not, at this node"`
	Version    string    `json:"version,omitempty"`
	Gates      []string  `json:"gates,omitempty"`
	Sessions   int       `json:"sessions,omitempty"`
}

// A MemberList is every part that was ever invited.
type MemberList struct {
	Members []MemberView `json:"members"`
}

type (
	inviteMemberIn  struct{ Body MemberRequest }
	inviteMemberOut struct{ Body MemberToken }
	listMembersOut  struct{ Body MemberList }
	endMemberIn     struct {
		Role string `path:"role" enum:"gate"`
		Name string `path:"name" maxLength:"63" pattern:"^[a-z0-9][a-z0-9._-]*$"`
	}
)

var errNoMembers = problem(http.StatusNotFound, "no-members", "Nothing of this deployment runs elsewhere.")

func (s *server) inviteMember(ctx context.Context, in *inviteMemberIn) (*inviteMemberOut, error) {
	if s.Options.Members == nil {
		return nil, errNoMembers
	}
	by, err := person(ctx)
	if err != nil {
		return nil, err
	}
	b := &in.Body
	life := time.Duration(b.ExpiresIn) * time.Second
	if life == 0 {
		life = time.Hour
	}
	token, until, err := s.Options.Members.Invite(ctx, *by, b.Role, b.Name, life)
	if err != nil {
		return nil, err
	}
	return &inviteMemberOut{Body: MemberToken{Token: token, Expires: until}}, nil
}

func (s *server) listMembers(ctx context.Context, _ *nothing) (*listMembersOut, error) {
	if s.Options.Members == nil {
		return nil, errNoMembers
	}
	all, err := s.Options.Members.Members(ctx)
	if err != nil {
		return nil, err
	}
	return &listMembersOut{Body: MemberList{Members: append([]MemberView{}, all...)}}, nil
}

func (s *server) endMember(ctx context.Context, in *endMemberIn) (*nothing, error) {
	if s.Options.Members == nil {
		return nil, errNoMembers
	}
	by, err := person(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.Options.Members.End(ctx, *by, in.Role, in.Name)
}

func memberProblem(err error) *Problem {
	var p *MemberError
	switch {
	case !errors.As(err, &p):
		return nil
	case p.Missing:
		return problem(http.StatusNotFound, "not-found", p.Problem)
	}
	return problem(http.StatusBadRequest, "member", p.Problem)
}

// person is who asks, who must be somebody.
func person(ctx context.Context) (*identity.Person, error) {
	if c := callerOf(ctx); c != nil && c.Person != nil {
		return c.Person, nil
	}
	return nil, problem(http.StatusForbidden, "no-person", "There is no person behind this credential.")
}
