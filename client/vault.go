package client

import (
	"context"
	"net/http"
	"time"
)

// A KeptValue is the value behind a token, where a policy keeps it.
type KeptValue struct {
	Token string    `json:"token"`
	Class string    `json:"class"`
	Actor string    `json:"actor,omitempty"` // whose token it is; "": every actor's
	Kept  time.Time `json:"kept"`
	Value string    `json:"value"`
}

// ReadValue reads the value behind a token back, for who may. The look is on record.
func (c *Client) ReadValue(ctx context.Context, token, reason string) (*KeptValue, error) {
	var out KeptValue
	if err := c.do(ctx, http.MethodPost, "/v1/vault/read", nil, map[string]string{"token": token, "reason": reason}, &out); err != nil {
		return nil, err
	}
	return &out, nil
}

// An Erasure says which kept values are erased: those that fit all it says.
type Erasure struct {
	Token  string    `json:"token,omitempty"`
	Class  string    `json:"class,omitempty"`
	Actor  string    `json:"actor,omitempty"`
	Before time.Time `json:"before,omitzero"` // kept before
	Reason string    `json:"reason"`
}

// EraseValues erases values behind tokens for ever, and tells how many.
func (c *Client) EraseValues(ctx context.Context, what Erasure) (int64, error) {
	var out struct {
		Erased int64 `json:"erased"`
	}
	if err := c.do(ctx, http.MethodPost, "/v1/vault/erase", nil, what, &out); err != nil {
		return 0, err
	}
	return out.Erased, nil
}
