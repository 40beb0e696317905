package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Freeze is one target that is stopped, or was.
type Freeze struct {
	ID       string    `json:"id"`
	What     string    `json:"what"` // actor, person, resource, gate, everything
	Name     string    `json:"name,omitempty"`
	Reason   string    `json:"reason"`
	By       Party     `json:"by"`
	At       time.Time `json:"at"`
	Thawed   time.Time `json:"thawed,omitzero"`
	ThawedBy string    `json:"thawed_by,omitempty"`
	Change   string    `json:"change,omitempty"` // the change that let it go
}

// A Change is a change of the rules, and what became of it.
type Change struct {
	ID       string    `json:"id"`
	What     string    `json:"what"`
	Title    string    `json:"title"`
	Text     string    `json:"text"`
	Author   Party     `json:"author"`
	At       time.Time `json:"at"`
	State    string    `json:"state"` // proposed (it waits for its approval), applied, refused
	Approval string    `json:"approval,omitempty"`
	URL      string    `json:"url,omitempty"`
	Alone    bool      `json:"alone,omitempty"`   // applied at once: there is no other administrator
	Tighter  bool      `json:"tighter,omitempty"` // applied at once: it permits nothing more
	Ended    time.Time `json:"ended,omitzero"`
	Why      string    `json:"why,omitempty"`
}

// Freezes lists what is frozen; with all, also what was.
func (c *Client) Freezes(ctx context.Context, all bool) ([]Freeze, error) {
	var out struct {
		Freezes []Freeze `json:"freezes"`
	}
	var q url.Values
	if all {
		q = url.Values{"all": {"true"}}
	}
	if err := c.do(ctx, http.MethodGet, "/v1/freezes", q, nil, &out); err != nil {
		return nil, err
	}
	return out.Freezes, nil
}

// Freeze stops an actor, a person's agents, a resource, a gate or everything, at once.
func (c *Client) Freeze(ctx context.Context, what, name, reason string) (*Freeze, error) {
	in := map[string]string{"what": what, "reason": reason}
	if name != "" {
		in["name"] = name
	}
	var out Freeze
	if err := c.do(ctx, http.MethodPost, "/v1/freezes", nil, in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Thaw asks to let a frozen target go. Unless there is no other administrator
// the change waits for one.
func (c *Client) Thaw(ctx context.Context, id, reason string) (*Change, error) {
	return c.change(ctx, "/v1/freezes/"+url.PathEscape(id)+"/thaw", map[string]string{"reason": reason})
}

func (c *Client) change(ctx context.Context, path string, in any) (*Change, error) {
	var out Change
	if err := c.do(ctx, http.MethodPost, path, nil, in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// Changes lists every change of the rules, newest first.
func (c *Client) Changes(ctx context.Context) ([]Change, error) {
	var out struct {
		Changes []Change `json:"changes"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/changes", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Changes, nil
}

// A StandingScope is what a reviewer allows beyond the one action. It counts
// only if every review of the quorum asks for one; the narrowest of all holds.
type StandingScope struct {
	Uses       int    `json:"uses"`
	ForSeconds int64  `json:"for_seconds"`      // from the moment everybody has approved
	Values     string `json:"values,omitempty"` // "same" (unless set), or "any": other literals in the same places
}

// A Standing is a standing grant.
type Standing struct {
	ID        string    `json:"id"`
	Live      bool      `json:"live"`
	Approval  string    `json:"approval"` // whose reviews it stands on
	Title     string    `json:"title"`
	Statement string    `json:"statement"` // masked
	Values    string    `json:"values"`
	Kinds     []string  `json:"kinds"`
	Actor     string    `json:"actor"`
	Subject   string    `json:"subject,omitempty"`
	Resource  string    `json:"resource"`
	Env       string    `json:"env,omitempty"`
	Gate      string    `json:"gate,omitempty"`
	Classes   []string  `json:"classes,omitempty"`
	Rows      *int64    `json:"rows,omitempty"`
	Reviewers []string  `json:"reviewers"`
	Uses      int       `json:"uses"`
	Used      int       `json:"used"`
	Since     time.Time `json:"since"`
	Until     time.Time `json:"until"`
	Revoked   time.Time `json:"revoked,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
	Why       string    `json:"why,omitempty"`
}

// Standings lists every standing grant, newest first.
func (c *Client) Standings(ctx context.Context) ([]Standing, error) {
	var out struct {
		Standing []Standing `json:"standing"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/standing", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Standing, nil
}

// RevokeStanding ends a standing grant at once.
func (c *Client) RevokeStanding(ctx context.Context, id, reason string) (*Standing, error) {
	var out Standing
	if err := c.do(ctx, http.MethodPost, "/v1/standing/"+url.PathEscape(id)+"/revoke", nil, map[string]string{"reason": reason}, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// ApplyPolicy asks to put packs in force, by file name, in the place of all that
// are. Unless there is no other administrator the change waits for one.
// Locked packs that unlock doesn't name must stay as they are.
func (c *Client) ApplyPolicy(ctx context.Context, files map[string]string, unlock ...string) (*Change, error) {
	body := map[string]any{"files": files}
	if len(unlock) > 0 {
		body["unlock"] = unlock
	}
	return c.change(ctx, "/v1/policy", body)
}
