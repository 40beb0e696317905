package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A TokenRequest asks for a credential.
type TokenRequest struct {
	Kind    string   // actor, person, gate
	Subject string   // person id; of an actor's credential unset: its owner
	Actors  []string // of an actor's credential, the acting one first
	Scopes  []string // of a person's credential: review, read, admin
	Life    time.Duration
}

// A Token is a credential without its secret.
type Token struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Subject   string    `json:"subject,omitempty"`
	Actors    []string  `json:"actors,omitempty"`
	Scopes    []string  `json:"scopes"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	CreatedBy string    `json:"created_by"`
	Revoked   time.Time `json:"revoked,omitzero"`
}

// CreateToken mints a credential and returns its text, which nobody can show again. It takes scope admin.
func (c *Client) CreateToken(ctx context.Context, r TokenRequest) (secret string, t *Token, err error) {
	var out struct {
		Token string `json:"token"`
		Info  Token  `json:"info"`
	}
	in := struct {
		Kind      string   `json:"kind"`
		Subject   string   `json:"subject,omitempty"`
		Actors    []string `json:"actors,omitempty"`
		Scopes    []string `json:"scopes,omitempty"`
		ExpiresIn int64    `json:"expires_in,omitempty"`
	}{r.Kind, r.Subject, r.Actors, r.Scopes, int64(r.Life / time.Second)}
	if err := c.do(ctx, http.MethodPost, "/v1/tokens", nil, in, &out); err != nil {
		return "", nil, err
	}
	return out.Token, &out.Info, nil
}

// Tokens lists every credential, newest first.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var out struct {
		Tokens []Token `json:"tokens"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/tokens", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Tokens, nil
}

// RevokeToken ends a credential at once.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil, nil)
}
