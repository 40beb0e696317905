package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// An OwnRequest is one of an actor's own approvals, as a list shows it.
type OwnRequest struct {
	ID        string    `json:"id"`
	Status    string    `json:"status"` // pending, approved, denied, expired, cancelled
	Execution string    `json:"execution,omitempty"`
	Created   time.Time `json:"created"`
	ExpiresAt time.Time `json:"expires_at"`
	Gate      string    `json:"gate,omitempty"`
	Resource  Resource  `json:"resource"`
	Action    Action    `json:"action"`
	Items     int       `json:"items,omitempty"` // of a plan
	Who       string    `json:"who,omitempty"`
	Questions int       `json:"questions,omitempty"`
	Ticket    string    `json:"ticket"`
}

// An OwnGrant is a standing grant under which an actor's actions run without asking.
type OwnGrant struct {
	ID       string    `json:"id"`
	Approval string    `json:"approval"`
	Kinds    []string  `json:"kinds"`
	Resource string    `json:"resource"`
	Gate     string    `json:"gate,omitempty"`
	Values   string    `json:"values"` // same, any
	Uses     int       `json:"uses"`
	Used     int       `json:"used"`
	Until    time.Time `json:"until"`
}

// OwnRequests are an actor's newest approvals, and its live standing grants.
type OwnRequests struct {
	Requests []OwnRequest `json:"requests"`
	Grants   []OwnGrant   `json:"grants"`
	More     bool         `json:"more,omitempty"` // there are older ones
}

// OwnRequests lists the caller's own, newest first; with open those alone that wait
// for people, or were approved and not used. limit is at most 100; 0: the server's own.
func (c *Client) OwnRequests(ctx context.Context, open bool, limit int) (*OwnRequests, error) {
	q := url.Values{}
	if open {
		q.Set("status", "open")
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var out OwnRequests
	if err := c.do(ctx, http.MethodGet, "/access/v1/requests", q, nil, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// WaitRequest returns the request once it is no longer pending, or after that time (at
// most a minute, in whole seconds).
func (c *Client) WaitRequest(ctx context.Context, id string, wait time.Duration) (*Request, error) {
	q := url.Values{}
	if s := int(min(wait, time.Minute) / time.Second); s > 0 {
		q.Set("wait", strconv.Itoa(s))
	}
	return c.request(ctx, http.MethodGet, "/access/v1/requests/"+url.PathEscape(id), q, nil)
}

// An OpenQuestion is a reviewer's question that waits for the asker's side.
type OpenQuestion struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}
