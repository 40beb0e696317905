package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Besides is what a reviewer asks for besides; it only ever tightens.
type Besides struct {
	Masks  map[string]string `json:"masks,omitempty"`      // class or group to method
	Rows   *int64            `json:"max_rows,omitempty"`   // nil: no limit added
	Window int64             `json:"use_within,omitempty"` // seconds; 0: as it was
}

// A Remark is a reviewer's question to the asker's side, or the answer to one (Of).
type Remark struct {
	ID   string    `json:"id"`
	Of   string    `json:"of,omitempty"`
	By   string    `json:"by"`
	Name string    `json:"name,omitempty"`
	Text string    `json:"text"` // an answer is the asker's own words, unchecked
	Time time.Time `json:"time"`
}

// A Step is what happens while it waits: "remind", "escalate" or "fall back".
type Step struct {
	At     time.Time  `json:"at"`
	Do     string     `json:"do"`
	Groups []string   `json:"groups,omitempty"`
	Done   *time.Time `json:"done,omitempty"`
}

// ReviewWith is Review with an obligation, and what is allowed beyond the one
// action; nil is none.
func (c *Client) ReviewWith(ctx context.Context, a *Approval, decision, reason string, o *Besides, s *StandingScope) (*Approval, error) {
	return c.approval(ctx, http.MethodPost, a.ID, "/review", nil, struct {
		Decision   string   `json:"decision"`
		Reason     string   `json:"reason,omitempty"`
		Digest     string   `json:"digest"`
		Version    int64    `json:"version"`
		Obligation *Besides `json:"obligation,omitempty"`

		Standing *StandingScope `json:"standing,omitempty"`
	}{decision, reason, a.Digest, a.Version, o, s})
}

type said struct {
	Text string `json:"text"`
}

// Ask asks the asker's side a question. It decides nothing.
func (c *Client) Ask(ctx context.Context, id, question string) (*Approval, error) {
	return c.approval(ctx, http.MethodPost, id, "/questions", nil, said{question})
}

// Answer answers a reviewer's question, as the asker or the person behind it. It
// returns the text as reviewers see it: masked.
func (c *Client) Answer(ctx context.Context, id, question, text string) (string, error) {
	var out said
	err := c.do(ctx, http.MethodPost, "/v1/approvals/"+url.PathEscape(id)+"/questions/"+url.PathEscape(question)+"/answer", nil, said{text}, &out)
	return out.Text, err
}
