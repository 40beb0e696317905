package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Member is a part of the deployment that runs elsewhere with a certificate of the deployment's: a gate beside its system.
type Member struct {
	Role       string    `json:"role"` // gate
	Name       string    `json:"name"`
	State      string    `json:"state"` // invited, enrolled, expired, ended
	Enrolled   time.Time `json:"enrolled,omitzero"`
	Ended      time.Time `json:"ended,omitzero"`
	TokenUntil time.Time `json:"token_until,omitzero"` // while a token waits to be used
	From       string    `json:"from,omitempty"`
	Linked     time.Time `json:"linked,omitzero"` // since when it is there, at the node that was asked
	Version    string    `json:"version,omitempty"`
	Gates      []string  `json:"gates,omitempty"`
	Sessions   int       `json:"sessions,omitempty"`
}

// InviteMember makes a token with which one part enrols, once. It takes scope admin.
func (c *Client) InviteMember(ctx context.Context, role, name string, life time.Duration) (token string, until time.Time, err error) {
	var out struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	}
	in := map[string]any{"role": role, "name": name, "expires_in": int64(life / time.Second)}
	if err := c.do(ctx, http.MethodPost, "/v1/members", nil, in, &out); err != nil {
		return "", time.Time{}, err
	}
	return out.Token, out.Expires, nil
}

// Members lists every part that was ever invited. It takes scope admin.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	var out struct {
		Members []Member `json:"members"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/members", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Members, nil
}

// EndMember makes a part's certificates worthless, and ends its link. It takes scope admin.
func (c *Client) EndMember(ctx context.Context, role, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/members/"+url.PathEscape(role)+"/"+url.PathEscape(name), nil, nil, nil)
}
