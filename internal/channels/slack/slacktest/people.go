package slacktest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
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

	"github.com/gorilla/websocket"
)

// ErrNoButton says that a message has no such button.
var ErrNoButton = errors.New("the message has no such button")

// Button is a message's button by its action id.
func (m *Message) Button(id string) (value string, ok bool) {
	var blocks []block
	_ = json.Unmarshal(m.Blocks, &blocks)
	for _, b := range blocks {
		for _, raw := range b.Elements {
			var e element
			if json.Unmarshal(raw, &e) == nil && e.Type == "button" && e.ID == id {
				return e.Value, true
			}
		}
	}
	return "", false
}

// Press is a user pressing a message's button.
func (s *Slack) Press(user string, m *Message, button string) error {
	value, ok := m.Button(button)
	if !ok {
		return fmt.Errorf("%s: %w", button, ErrNoButton)
	}
	return s.Interact(s.Action(user, m, button, value))
}

// Action is the payload of a button, whether it is there or not.
func (s *Slack) Action(user string, m *Message, button, value string) map[string]any {
	s.mu.Lock()
	u := s.users[user]
	s.mu.Unlock()
	return object{
		"type": "block_actions", "api_app_id": App, "token": "unused",
		"team": object{"id": Team, "domain": "test"}, "user": object{"id": u.ID, "username": strings.ToLower(u.ID), "name": u.Name, "team_id": u.Team},
		"trigger_id": s.trigger(user), "response_url": s.hook(m.Channel, user, m.TS),
		"container": object{"type": "message", "message_ts": m.TS, "channel_id": m.Channel, "is_ephemeral": false}, "channel": object{"id": m.Channel, "name": "room"},
		"message": object{"type": "message", "ts": m.TS, "text": m.Text, "blocks": m.Blocks}, "state": object{"values": object{}},
		"actions": []object{{"type": "button", "action_id": button, "block_id": "b", "value": value, "action_ts": m.TS, "text": object{"type": "plain_text", "text": "x"}}},
	}
}

// Submit is a user sending an open form.
func (s *Slack) Submit(v *View, text string) error {
	s.mu.Lock()
	u := s.users[v.User]
	s.mu.Unlock()
	return s.Interact(object{
		"type": "view_submission", "api_app_id": App, "token": "unused", "trigger_id": s.trigger(v.User),
		"team": object{"id": Team, "domain": "test"}, "user": object{"id": u.ID, "username": strings.ToLower(u.ID), "name": u.Name, "team_id": u.Team},
		"view": object{
			"id": "V1", "team_id": Team, "type": "modal", "callback_id": v.Callback, "private_metadata": v.Private,
			"state": object{"values": object{"text": object{"text": object{"type": "plain_text_input", "value": text}}}},
		},
		"response_urls": []object{},
	})
}

// Command is a user typing /assent.
func (s *Slack) Command(user, channel, text string) error {
	f := object{
		"api_app_id": App, "team_id": Team, "team_domain": "test", "user_id": user, "user_name": strings.ToLower(user), "channel_id": channel, "channel_name": "room",
		"command": "/assent", "text": text, "trigger_id": s.trigger(user), "response_url": s.hook(channel, user, ""), "is_enterprise_install": "false", "token": "unused",
	}
	if s.App == "" {
		return s.overSocket("slash_commands", f)
	}
	v := url.Values{}
	for k, x := range f {
		v.Set(k, x.(string))
	}
	return s.deliver("/command", v.Encode())
}

// Interact delivers a payload, and errs unless the app acknowledges it in three seconds.
func (s *Slack) Interact(payload map[string]any) error {
	if s.App == "" {
		return s.overSocket("interactive", payload)
	}
	b, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	return s.deliver("/interactive", url.Values{"payload": {string(b)}}.Encode())
}

func (s *Slack) deliver(path, body string) error {
	status, err := s.Deliver(path, body, Sign(Signing, s.Clock(), body))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the app answered %d", status)
	}
	return err
}

// Deliver posts a body with any headers.
func (s *Slack) Deliver(path, body string, h http.Header) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.App+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header = h.Clone()
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode == http.StatusOK && len(b) > 0 {
		return 0, fmt.Errorf("an acknowledgement with a body, or none: %w", errors.Join(err, errors.New(string(b))))
	}
	return resp.StatusCode, nil
}

// Sign is how Slack signs a request.
func Sign(secret string, at time.Time, body string) http.Header {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("v0:" + stamp + ":" + body))
	return http.Header{"X-Slack-Request-Timestamp": {stamp}, "X-Slack-Signature": {"v0=" + hex.EncodeToString(mac.Sum(nil))}}
}

func (s *Slack) trigger(user string) string {
	return user + "@" + strconv.FormatInt(time.Now().UnixMicro(), 10)
}

func (s *Slack) hook(channel, user, ts string) string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[id] = hook{channel, user, ts}
	return s.server.URL + "/response/" + id
}

// A socket is one that the app opened.
type socket struct {
	conn *websocket.Conn
	mu   sync.Mutex // of writing
	acks chan string
	done chan struct{}
}

func (k *socket) close() { _ = k.conn.Close() }

func (k *socket) send(v any) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn.WriteJSON(v)
}

func (s *Slack) connect(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	k := &socket{conn: conn, acks: make(chan string, 100), done: make(chan struct{})}
	if k.send(object{"type": "hello", "num_connections": 1, "connection_info": object{"app_id": App}}) != nil {
		return
	}
	s.mu.Lock()
	s.socks = append(s.socks, k)
	s.mu.Unlock()
	defer close(k.done)
	go k.ping()
	for {
		var in struct {
			Envelope string `json:"envelope_id"`
		}
		if conn.ReadJSON(&in) != nil {
			return
		}
		k.acks <- in.Envelope
	}
}

func (k *socket) ping() {
	for {
		select {
		case <-k.done:
			return
		case <-time.After(5 * time.Second):
			_ = k.conn.WriteControl(websocket.PingMessage, []byte("ping"), time.Now().Add(time.Second))
		}
	}
}

// Sockets counts those that are open.
func (s *Slack) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, k := range s.socks {
		select {
		case <-k.done:
		default:
			n++
		}
	}
	return n
}

// Hang closes the sockets; the app opens another one.
func (s *Slack) Hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.socks {
		k.close()
	}
	s.socks = nil
}

func (s *Slack) overSocket(kind string, payload map[string]any) error {
	s.mu.Lock()
	var k *socket
	if n := len(s.socks); n > 0 {
		k = s.socks[n-1]
	}
	s.mu.Unlock()
	if k == nil {
		return errors.New("the app has opened no socket")
	}
	id := rand.Text()
	if err := k.send(object{"envelope_id": id, "type": kind, "accepts_response_payload": true, "payload": payload}); err != nil {
		return err
	}
	for end := time.After(3 * time.Second); ; {
		select {
		case got := <-k.acks:
			if got == id {
				return nil
			}
		case <-end:
			return errors.New("the app didn't acknowledge it in three seconds")
		case <-k.done:
			return errors.New("the socket was closed")
		}
	}
}
