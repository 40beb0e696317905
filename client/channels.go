package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Channel tells people or another system beside the console.
type Channel struct {
	Name    string   `json:"name"`
	Places  []string `json:"places"`
	Failing int      `json:"failing"` // deliveries that are tried again
	Dead    int      `json:"dead"`    // deliveries that are not, until one is replayed
	Error   string   `json:"error,omitempty"`
}

// A Delivery is a card or notice that could not be told.
type Delivery struct {
	ID       string    `json:"id"`
	Channel  string    `json:"channel"`
	Place    string    `json:"place"`
	Approval string    `json:"approval,omitempty"`
	Notice   string    `json:"notice,omitempty"`
	Error    string    `json:"error"`
	Tries    int       `json:"tries"`
	Dead     bool      `json:"dead"`
	Failing  time.Time `json:"failing_since,omitzero"`
	Due      time.Time `json:"due,omitzero"`
}

// A TestedPlace is what came of a test at one place; Error is "" where it was told.
type TestedPlace struct {
	Place string `json:"place"`
	Error string `json:"error,omitempty"`
}

// Channels lists the configuration's channels and how they are doing.
func (c *Client) Channels(ctx context.Context) ([]Channel, error) {
	var out struct {
		Channels []Channel `json:"channels"`
	}
	err := c.do(ctx, http.MethodGet, "/v1/channels", nil, nil, &out)
	return out.Channels, err
}

// TestChannel tells every place of a channel that this is a test.
func (c *Client) TestChannel(ctx context.Context, name string) ([]TestedPlace, error) {
	var out struct {
		Results []TestedPlace `json:"results"`
	}
	err := c.do(ctx, http.MethodPost, "/v1/channels/"+url.PathEscape(name)+"/test", nil, nil, &out)
	return out.Results, err
}

// Deliveries lists what could not be told; dead: those alone that are tried no more.
func (c *Client) Deliveries(ctx context.Context, dead bool) ([]Delivery, error) {
	var out struct {
		Deliveries []Delivery `json:"deliveries"`
	}
	q := url.Values{}
	if dead {
		q.Set("dead", "true")
	}
	err := c.do(ctx, http.MethodGet, "/v1/deliveries", q, nil, &out)
	return out.Deliveries, err
}

// Replay tries a dead delivery again.
func (c *Client) Replay(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "/v1/deliveries/"+url.PathEscape(id)+"/replay", nil, nil, nil)
}
