package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Connector lets gates reach systems in a network that nobody dials into.
type Connector struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`   // invited, enrolled (and away) or connected
	Systems []string  `json:"systems"` // what it may serve
	Serves  []string  `json:"serves,omitempty"`
	By      string    `json:"by"`
	Created time.Time `json:"created"`
	From    string    `json:"from,omitempty"`
	Version string    `json:"version,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Streams int64     `json:"streams,omitempty"`
}

// InviteConnector makes a one-time token by which a connector of that name enrols
// for these systems. life 0: an hour. It takes scope admin.
func (c *Client) InviteConnector(ctx context.Context, name string, systems []string, life time.Duration) (token string, err error) {
	in := struct {
		Name      string   `json:"name"`
		Systems   []string `json:"systems"`
		ExpiresIn int64    `json:"expires_in,omitempty"`
	}{name, systems, int64(life / time.Second)}
	var out struct {
		Token string `json:"token"`
	}
	err = c.do(ctx, http.MethodPost, "/v1/connectors", nil, in, &out)
	return out.Token, err
}

// Connectors lists those that are enrolled or may enrol yet, by name.
func (c *Client) Connectors(ctx context.Context) ([]Connector, error) {
	var out struct {
		Connectors []Connector `json:"connectors"`
	}
	err := c.do(ctx, http.MethodGet, "/v1/connectors", nil, nil, &out)
	return out.Connectors, err
}

// RevokeConnector ends a connector at once, with what is open through it.
func (c *Client) RevokeConnector(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/v1/connectors/"+url.PathEscape(name), nil, nil, nil)
}
