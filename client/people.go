package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// An Account leads to a person.
type Account struct {
	ID         string    `json:"id"`
	Person     Party     `json:"person"`
	Name       string    `json:"name,omitempty"`
	Groups     int       `json:"groups"`
	Configured bool      `json:"configured,omitempty"`
	First      time.Time `json:"first,omitzero"`
	Refreshed  time.Time `json:"refreshed,omitzero"`
	Left       time.Time `json:"left,omitzero"`
}

// A Link says that an account belongs to a person.
type Link struct {
	ID      string    `json:"id"`
	State   string    `json:"state"`
	Person  Party     `json:"person"`
	With    string    `json:"with,omitempty"`
	Account string    `json:"account,omitempty"`
	Name    string    `json:"name,omitempty"`
	By      string    `json:"by"`
	Begun   time.Time `json:"begun"`
	Counts  time.Time `json:"counts,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Accounts lists those of the caller; an administrator sees everybody's.
func (c *Client) Accounts(ctx context.Context) ([]Account, []Link, error) {
	var out struct {
		Accounts []Account `json:"accounts"`
		Links    []Link    `json:"links"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/accounts", nil, nil, &out); err != nil {
		return nil, nil, err
	}
	return out.Accounts, out.Links, nil
}

// EndLink ends a link of accounts.
func (c *Client) EndLink(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/links/"+url.PathEscape(id), nil, nil, nil)
}

// A StandIn is a seat lent for a while.
type StandIn struct {
	ID     string    `json:"id"`
	From   Party     `json:"from"`
	To     Party     `json:"to"`
	Groups []string  `json:"groups"`
	Reason string    `json:"reason,omitempty"`
	Begun  time.Time `json:"begun"`
	Until  time.Time `json:"until"`
	Ended  time.Time `json:"ended,omitzero"`
	Active bool      `json:"active"`
}

// StandIns lists them, the latest first.
func (c *Client) StandIns(ctx context.Context) ([]StandIn, error) {
	var out struct {
		StandIns []StandIn `json:"stand_ins"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/standins", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.StandIns, nil
}

// EndStandIn ends one at once.
func (c *Client) EndStandIn(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/v1/standins/"+url.PathEscape(id), nil, nil, nil)
}
