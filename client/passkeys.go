package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Passkey is one person's authenticator.
type Passkey struct {
	ID         string    `json:"id"`
	Person     Party     `json:"person"`
	Name       string    `json:"name,omitempty"`
	BoundBy    string    `json:"bound_by"` // passkey, sign-in, session or first
	BackedUp   bool      `json:"backed_up,omitempty"`
	Created    time.Time `json:"created"`
	CountsFrom time.Time `json:"counts_from"`
	Revoked    time.Time `json:"revoked,omitzero"`
	RevokedBy  string    `json:"revoked_by,omitempty"`
	Why        string    `json:"why,omitempty"`
}

// Passkeys lists the caller's own; an administrator sees everybody's.
func (c *Client) Passkeys(ctx context.Context) ([]Passkey, error) {
	var out struct {
		Passkeys []Passkey `json:"passkeys"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/passkeys", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Passkeys, nil
}

// RevokePasskey ends one for good.
func (c *Client) RevokePasskey(ctx context.Context, id, why string) error {
	return c.do(ctx, http.MethodDelete, "/v1/passkeys/"+url.PathEscape(id), url.Values{"why": {why}}, nil, nil)
}
