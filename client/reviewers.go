package client

import (
	"context"
	"net/http"
)

// A Reviewer is how one person reviewed in the last 30 days.
type Reviewer struct {
	Person   string       `json:"person"`
	Name     string       `json:"name,omitempty"`
	Reviews  int          `json:"reviews"`
	Approved int          `json:"approved"`
	Fast     int          `json:"fast"` // approvals within three seconds
	Median   float64      `json:"median_seconds"`
	P90      float64      `json:"p90_seconds"`
	Canaries int          `json:"canaries,omitempty"` // holds that nobody asked for, which they answered
	Missed   int          `json:"canaries_approved,omitempty"`
	Hours    []int        `json:"by_hour"`          // reviews by hour of the day, UTC
	Stamps   string       `json:"stamps,omitempty"` // why it looks as if nothing was read
	Pairs    []ReviewPair `json:"pairs,omitempty"`
}

// A ReviewPair are two people who approve each other's actions.
type ReviewPair struct {
	With   string `json:"with"`
	Given  int    `json:"given"`
	Gotten int    `json:"gotten"`
}

// Reviewers says how people review, those who approve fastest first.
func (c *Client) Reviewers(ctx context.Context) ([]Reviewer, error) {
	var out struct {
		Reviewers []Reviewer `json:"reviewers"`
	}
	err := c.do(ctx, http.MethodGet, "/v1/reviewers/quality", nil, nil, &out)
	return out.Reviewers, err
}
