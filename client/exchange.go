package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Types of tokens that can be exchanged (RFC 8693 section 3).
const (
	TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token" // one of this server's
	TypeJWT         = "urn:ietf:params:oauth:token-type:jwt"          // a workload's own, or a JWT-SVID
)

// An Exchange asks for an actor's token in exchange for another.
type Exchange struct {
	Subject, SubjectType string        // "": the client's own token
	Actor                string        // "agent:nightly-exporter"; needed with a person's token
	ActorToken           string        // of the actor that takes the subject's task over
	Life                 time.Duration // 0: as long as it may be
}

// An Exchanged is a token of an actor.
type Exchanged struct {
	Token     string `json:"access_token"`
	ExpiresIn int64  `json:"expires_in"` // seconds
	Username  string `json:"username"`   // at a database gate; the token is the password there
	Subject   string `json:"sub"`
	Bound     string `json:"x5t#S256"`
}

// Exchange exchanges a credential (RFC 8693). It sends no other credential along.
func (c *Client) Exchange(ctx context.Context, x Exchange) (*Exchanged, error) {
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {x.Subject}, "subject_token_type": {x.SubjectType}}
	if x.Subject == "" {
		form.Set("subject_token", c.token)
		form.Set("subject_token_type", TypeAccessToken)
	}
	if x.Actor != "" {
		form.Set("requested_actor", x.Actor)
	}
	if x.ActorToken != "" {
		form.Set("actor_token", x.ActorToken)
		form.Set("actor_token_type", TypeAccessToken)
	}
	if s := int64(x.Life / time.Second); s > 0 {
		form.Set("expires_in", strconv.FormatInt(s, 10))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("/oauth/token").String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", c.base.Host, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var refused struct {
			Code string `json:"error"`
			Text string `json:"error_description"`
		}
		_ = json.Unmarshal(body, &refused) // whatever it is, it is no token
		return nil, &Error{Type: "urn:ietf:params:oauth:error:" + refused.Code, Title: http.StatusText(resp.StatusCode), Status: resp.StatusCode, Detail: refused.Text}
	}
	var out Exchanged
	if err := json.Unmarshal(body, &out); err != nil || out.Token == "" {
		return nil, fmt.Errorf("the answer of %s is no token", c.base.Host)
	}
	return &out, nil
}
