package teams

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/notify"
)

// A connector is the Bot Framework's REST API, as far as it is needed.
type connector struct {
	o *Options

	mu    sync.Mutex
	token string    // owned by mu
	ends  time.Time // owned by mu
}

const maxAnswer = 64 << 10 // bytes of an answer that are read

func (c *connector) post(ctx context.Context, conversation string, activity any) (string, error) {
	var out struct {
		ID string `json:"id"`
	}
	err := c.call(ctx, http.MethodPost, c.o.ServiceURL, "v3/conversations/"+url.PathEscape(conversation)+"/activities", activity, &out)
	return out.ID, err
}

func (c *connector) put(ctx context.Context, conversation, id string, activity any) error {
	return c.call(ctx, http.MethodPut, c.o.ServiceURL, "v3/conversations/"+url.PathEscape(conversation)+"/activities/"+url.PathEscape(id), activity, nil)
}

// reply answers in a conversation at the service it came from.
func (c *connector) reply(ctx context.Context, a *activity, text string) error {
	return c.call(ctx, http.MethodPost, a.ServiceURL, "v3/conversations/"+url.PathEscape(a.Conversation.ID)+"/activities", map[string]any{
		"type": "message", "textFormat": "plain", "text": text, "replyToId": a.ID,
	}, nil)
}

// open begins the chat with one person of the tenant.
func (c *connector) open(ctx context.Context, oid string) (string, error) {
	var out struct {
		ID string `json:"id"`
	}
	err := c.call(ctx, http.MethodPost, c.o.ServiceURL, "v3/conversations", map[string]any{
		"bot": map[string]any{"id": "28:" + c.o.AppID}, "members": []any{map[string]any{"id": oid}}, "isGroup": false,
		"tenantId": c.o.Tenant, "channelData": map[string]any{"tenant": map[string]any{"id": c.o.Tenant}},
	}, &out)
	if err == nil && out.ID == "" {
		err = errors.New("teams named no conversation")
	}
	return out.ID, err
}

func (c *connector) call(ctx context.Context, method, service, path string, body, into any) error {
	if !c.o.mayAnswer(service) {
		return fmt.Errorf("%s is not a service of Teams that is configured: %w", service, notify.ErrNever)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	for again := range 2 {
		token, err := c.bearer(ctx, again > 0)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(service, "/")+"/"+path, bytes.NewReader(b))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		status, answer, after, err := do(c.o.HTTP, req)
		switch {
		case err != nil:
			return err
		case status == http.StatusUnauthorized && again == 0:
			continue
		case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
			return notify.Later(fmt.Errorf("teams answered %d", status), after)
		case status == http.StatusForbidden || status == http.StatusNotFound:
			return fmt.Errorf("teams answered %d: the bot is not in this conversation: %w", status, notify.ErrNever)
		case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge:
			return fmt.Errorf("teams answered %d to what we sent: %w", status, notify.ErrNever)
		case status < 200 || status > 299:
			return fmt.Errorf("teams answered %d", status)
		}
		if into == nil || len(answer) == 0 {
			return nil
		}
		if err := json.Unmarshal(answer, into); err != nil {
			return errors.New("teams answered something else than JSON")
		}
		return nil
	}
	return errors.New("teams doesn't take our token")
}

func do(h *http.Client, req *http.Request) (status int, body []byte, after time.Duration, err error) {
	resp, err := h.Do(req)
	if err != nil {
		return 0, nil, 0, withoutQuery(err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if s, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && s > 0 {
		after = min(time.Duration(s)*time.Second, time.Hour)
	}
	return resp.StatusCode, body, after, err
}

// withoutQuery keeps what stands in an address out of logs.
func withoutQuery(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// bearer is our token for the service: client credentials (RFC 6749, 4.4).
func (c *connector) bearer(ctx context.Context, anew bool) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !anew && c.token != "" && c.o.Clock().Before(c.ends) {
		return c.token, nil
	}
	secret, err := c.o.Secret(ctx)
	if err != nil {
		return "", fmt.Errorf("reading the app's secret: %w", err)
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {c.o.AppID}, "client_secret": {string(secret)}, "scope": {"https://api.botframework.com/.default"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, after, err := do(c.o.HTTP, req)
	if err != nil {
		return "", fmt.Errorf("asking for a token: %w", err)
	}
	var out struct {
		Token string `json:"access_token"`
		Life  int64  `json:"expires_in"`
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &out) != nil || status != http.StatusOK || out.Token == "" {
		err := fmt.Errorf("asking for a token: the tenant answered %d (%.60s): check app_id, tenant and secret", status, out.Error)
		return "", notify.Later(err, after)
	}
	c.token, c.ends = out.Token, c.o.Clock().Add(max(time.Duration(out.Life)*time.Second-5*time.Minute, time.Minute))
	return c.token, nil
}
