package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// An Actor is an agent, pipeline or service.
type Actor struct {
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Owner      string    `json:"owner"`
	Related    []string  `json:"related"`
	MayAct     []string  `json:"may_act"`
	Registered time.Time `json:"registered"`
	Retired    time.Time `json:"retired"`
	LastSeen   time.Time `json:"last_seen"`
	Credential string    `json:"credential"`
}

// Actors lists them in the order of their ids.
func (c *Client) Actors(ctx context.Context) ([]Actor, error) {
	var out struct {
		Actors []Actor `json:"actors"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/actors", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Actors, nil
}

// RegisterActor makes an actor whose owner is the caller; typ is agent, pipeline or service.
func (c *Client) RegisterActor(ctx context.Context, typ, name string) (*Actor, error) {
	var out Actor
	in := map[string]string{"type": typ, "name": name}
	if err := c.do(ctx, http.MethodPost, "/v1/actors", nil, in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// RetireActor ends an actor that was registered, for ever.
func (c *Client) RetireActor(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "/v1/actors/"+url.PathEscape(id)+"/retire", nil, nil, nil)
}
