package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/session"
)

// Sessions are who is signed in.
type Sessions interface {
	List(ctx context.Context, person string) ([]session.Session, error)
	End(ctx context.Context, id, by, why string) error
}

// Logins sign commands in by device codes (RFC 8628).
type Logins interface {
	Begin(ctx context.Context, issuer string) (*Login, error)
	// Poll returns nil until somebody confirmed.
	Poll(ctx context.Context, handle, agent string) (*LoggedIn, error)
}

// A LoginError may be told to the caller as it is.
type LoginError struct {
	Text string
	Busy bool // try again later
}

func (e *LoginError) Error() string { return e.Text }

// A Login is a device code under way.
type Login struct {
	Handle   string // opaque: what to poll with
	Issuer   string
	UserCode string
	URL      string
	Complete string
	Expires  time.Time
	Interval time.Duration
}

// LoggedIn is what comes of one.
type LoggedIn struct {
	Token, Person, Session string
	Expires                time.Time
}

// A LoginRequest begins a login of a command.
type LoginRequest struct {
	Issuer string `json:"issuer,omitempty" maxLength:"63" doc:"Which issuer; may be left out where there is one"`
}

// A LoginStart is what to show the person.
type LoginStart struct {
	Handle   string    `json:"handle" doc:"Poll with it. Opaque"`
	Issuer   string    `json:"issuer"`
	UserCode string    `json:"user_code"`
	URL      string    `json:"verification_uri" doc:"Where the person types user_code"`
	Complete string    `json:"verification_uri_complete,omitempty" doc:"The same with the code filled in"`
	Expires  time.Time `json:"expires"`
	Interval int       `json:"interval" doc:"Seconds between polls, at least"`
}

// A LoginPoll asks how far a login is.
type LoginPoll struct {
	Handle string `json:"handle" minLength:"1" maxLength:"4096"`
	Agent  string `json:"agent,omitempty" maxLength:"80" doc:"What the command calls itself, for the list of sessions"`
}

// A LoginState is how far it is.
type LoginState struct {
	State   string    `json:"state" enum:"pending,done"`
	Token   string    `json:"token,omitempty" doc:"Reads, and never reviews. Keep it: nobody can show it again"`
	Person  string    `json:"person,omitempty"`
	Session string    `json:"session,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

type (
	startLoginIn  struct{ Body LoginRequest }
	startLoginOut struct{ Body LoginStart }
	pollLoginIn   struct{ Body LoginPoll }
	pollLoginOut  struct{ Body LoginState }
)

func (s *server) startLogin(ctx context.Context, in *startLoginIn) (*startLoginOut, error) {
	if s.Logins == nil {
		return nil, problem(http.StatusNotFound, "not-found", "This deployment has no issuers: people sign in otherwise.")
	}
	l, err := s.Logins.Begin(ctx, in.Body.Issuer)
	if err != nil {
		return nil, loginProblem(err)
	}
	return &startLoginOut{Body: LoginStart{
		Handle: l.Handle, Issuer: l.Issuer, UserCode: l.UserCode, URL: l.URL, Complete: l.Complete, Expires: l.Expires, Interval: int(l.Interval / time.Second),
	}}, nil
}

func (s *server) pollLogin(ctx context.Context, in *pollLoginIn) (*pollLoginOut, error) {
	if s.Logins == nil {
		return nil, problem(http.StatusNotFound, "not-found", "This deployment has no issuers: people sign in otherwise.")
	}
	done, err := s.Logins.Poll(ctx, in.Body.Handle, in.Body.Agent)
	if err != nil {
		return nil, loginProblem(err)
	}
	if done == nil {
		return &pollLoginOut{Body: LoginState{State: "pending"}}, nil
	}
	return &pollLoginOut{Body: LoginState{State: "done", Token: done.Token, Person: done.Person, Session: done.Session, Expires: done.Expires}}, nil
}

func loginProblem(err error) error {
	var e *LoginError
	if !errors.As(err, &e) {
		return err
	}
	if e.Busy {
		p := problem(http.StatusServiceUnavailable, "busy", "Nobody was logged in: "+e.Text+".")
		p.retryAfter = 30 * time.Second
		return p
	}
	return problem(http.StatusForbidden, "login", "Nobody was logged in: "+e.Text+".")
}

// A SessionView is one open sign-in.
type SessionView struct {
	ID       string    `json:"id"`
	Person   string    `json:"person"`
	Name     string    `json:"name,omitempty" doc:"The person's, for people to read"`
	How      string    `json:"how" enum:"oidc,link,token,device"`
	Issuer   string    `json:"issuer,omitempty"`
	Account  string    `json:"account,omitempty"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	AuthTime time.Time `json:"auth_time,omitzero" doc:"When the person really signed in at the issuer, as it says"`
	AMR      []string  `json:"amr,omitempty" doc:"How, as the issuer says"`
	Agent    string    `json:"agent,omitempty" doc:"What the browser or command calls itself: a claim"`
	Current  bool      `json:"current,omitempty" doc:"The session of the credential that asks"`
}

// SessionList is every open one that the caller may see, newest first.
type SessionList struct {
	Sessions []SessionView `json:"sessions"`
}

type listSessionsOut struct{ Body SessionList }

// sessionsOf is what a caller may see and end: their own; an administrator's, everybody's.
func (s *server) sessionsOf(ctx context.Context) ([]session.Session, error) {
	c := callerOf(ctx)
	if s.Sessions == nil || c == nil || c.Person == nil {
		return nil, nil
	}
	whose := c.Person.ID
	if c.Has(identity.ScopeAdmin) {
		whose = ""
	}
	return s.Sessions.List(ctx, whose)
}

func (s *server) listSessions(ctx context.Context, _ *nothing) (*listSessionsOut, error) {
	all, err := s.sessionsOf(ctx)
	if err != nil {
		return nil, err
	}
	out := &listSessionsOut{Body: SessionList{Sessions: []SessionView{}}}
	for _, v := range all {
		out.Body.Sessions = append(out.Body.Sessions, SessionView{
			ID: v.ID, Person: v.Person, Name: s.party(v.Person).Name, How: v.How, Issuer: v.Issuer, Account: v.Account, Created: v.Created, Expires: v.Expires,
			AuthTime: v.AuthTime, AMR: v.AMR, Agent: v.Agent, Current: v.Token != "" && v.Token == callerOf(ctx).Token,
		})
	}
	return out, nil
}

type endSessionIn struct {
	ID string `path:"id" maxLength:"64" pattern:"^[0-9a-z]+$" doc:"A session's id, or self for the one of the credential that asks"`
}

func (s *server) endSession(ctx context.Context, in *endSessionIn) (*nothing, error) {
	all, err := s.sessionsOf(ctx)
	if err != nil {
		return nil, err
	}
	c := callerOf(ctx)
	for _, v := range all {
		own := v.Token != "" && v.Token == c.Token
		if v.ID != in.ID && (in.ID != "self" || !own) {
			continue
		}
		if !own && !c.Has(identity.ScopeReview) && !c.Has(identity.ScopeAdmin) {
			return nil, problem(http.StatusForbidden, "scope", "This credential only reads: it ends its own session, and no other of yours. End it in the console.")
		}
		if err := s.Sessions.End(ctx, v.ID, nameOf(c), "ended by the API"); err != nil && !errors.Is(err, session.ErrNone) {
			return nil, err
		}
		return nil, nil
	}
	return nil, problem(http.StatusNotFound, "not-found", "You have no such session.")
}
