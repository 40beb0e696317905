package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// An Emergency is the glass once broken.
type Emergency struct {
	ID         string    `json:"id"`
	Actor      string    `json:"actor"`
	Resource   string    `json:"resource"` // URN, or the beginning of it up to a slash
	By         Party     `json:"by"`
	Reason     string    `json:"reason"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
	ReviewBy   time.Time `json:"review_by"` // unless somebody else has by then, who broke the glass and the actor are frozen
	Ran        int       `json:"ran"`
	State      string    `json:"state"` // open, reviewed, overdue
	Reviewer   string    `json:"reviewer,omitempty"`
	ReviewedAt time.Time `json:"reviewed_at,omitzero"`
	Verdict    string    `json:"verdict,omitempty"` // justified, wrong
	Note       string    `json:"note,omitempty"`
}

// Emergencies lists every emergency, newest first.
func (c *Client) Emergencies(ctx context.Context) ([]Emergency, error) {
	var out struct {
		Emergencies []Emergency `json:"emergencies"`
	}
	if err := c.do(ctx, http.MethodGet, "/v1/emergencies", nil, nil, &out); err != nil {
		return nil, err
	}
	return out.Emergencies, nil
}

// BreakGlass lets what an actor asks on a resource run without waiting for a while, loudly.
func (c *Client) BreakGlass(ctx context.Context, actor, resource, reason string, life time.Duration) (*Emergency, error) {
	var out Emergency
	in := map[string]any{"actor": actor, "resource": resource, "reason": reason, "seconds": int64(life / time.Second)}
	if err := c.do(ctx, http.MethodPost, "/v1/emergencies", nil, in, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// ReviewEmergency says afterwards whether an emergency was one: justified, or
// wrong, which freezes who broke the glass and the actor.
func (c *Client) ReviewEmergency(ctx context.Context, id, verdict, note string) (*Emergency, error) {
	var out Emergency
	if err := c.do(ctx, http.MethodPost, "/v1/emergencies/"+url.PathEscape(id)+"/review", nil, map[string]string{"verdict": verdict, "note": note}, &out); err != nil {
		return nil, err
	}
	return &out, nil
}
