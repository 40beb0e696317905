package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Login is a device code (RFC 8628) under way: show URL and UserCode to the
// person, then poll with Handle.
type Login struct {
	Handle   string    `json:"handle"`
	Issuer   string    `json:"issuer"`
	UserCode string    `json:"user_code"`
	URL      string    `json:"verification_uri"`
	Complete string    `json:"verification_uri_complete"`
	Expires  time.Time `json:"expires"`
	Interval int       `json:"interval"` // seconds between polls, at least
}

// LoggedIn is what comes of a login. Its token reads, and never reviews.
type LoggedIn struct {
	State   string    `json:"state"` // pending, done
	Token   string    `json:"token"`
	Person  string    `json:"person"`
	Session string    `json:"session"`
	Expires time.Time `json:"expires"`
}

// BeginLogin begins a login at an issuer; "" is the only one.
func (c *Client) BeginLogin(ctx context.Context, issuer string) (*Login, error) {
	in := struct {
		Issuer string `json:"issuer,omitempty"`
	}{issuer}
	var out Login
	if err := c.do(ctx, http.MethodPost, "/v1/login", nil, in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// PollLogin asks once whether the person has confirmed. agent names the command in the list of sessions.
func (c *Client) PollLogin(ctx context.Context, handle, agent string) (*LoggedIn, error) {
	in := struct {
		Handle string `json:"handle"`
		Agent  string `json:"agent,omitempty"`
	}{handle, agent}
	var out LoggedIn
	if err := c.do(ctx, http.MethodPost, "/v1/login/poll", nil, in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// A Session is one open sign-in.
type Session struct {
	ID       string    `json:"id"`
	Person   string    `json:"person"`
	Name     string    `json:"name,omitempty"`
	How      string    `json:"how"` // oidc, link, token, device
	Issuer   string    `json:"issuer,omitempty"`
	Account  string    `json:"account,omitempty"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires"`
	AuthTime time.Time `json:"auth_time,omitzero"`
	AMR      []string  `json:"amr,omitempty"`
	Agent    string    `json:"agent,omitempty"` // a claim
	Current  bool      `json:"current,omitempty"`
}

// Sessions lists your open sessions, newest first; an administrator's token lists everybody's.
func (c *Client) Sessions(ctx context.Context) ([]Session, error) {
	var out struct {
		Sessions []Session `json:"sessions"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/sessions", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Sessions, nil
}

// EndSession ends a session at once; "self" is the one this client's token came with.
func (c *Client) EndSession(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/sessions/"+url.PathEscape(id), nil, nil, nil)
}
