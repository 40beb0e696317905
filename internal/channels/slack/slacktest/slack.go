// Package slacktest is a small Slack on loopback, for tests and the demo: it
// keeps messages as the Web API is told of them, holds to Slack's limits, and
// lets people press buttons, fill in forms and type commands, which reach the
// app signed by HTTP or over a socket, as Slack's do.
package slacktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a Slack gives out.
const (
	Team    = "T1"
	App     = "A1"
	Token   = "xoxb-test"
	AppTok  = "xapp-test"
	Signing = "8f742231b10e8888abcd99yyyzzz85a5"
)

// A User is an account. A guest of Slack Connect has another team.
type User struct {
	ID, Team, Name string
	Bot, Deleted   bool
}

// A Message is one that was posted.
type Message struct {
	Channel, TS, Thread, Text string
	Blocks                    json.RawMessage
	Metadata                  struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"event_payload"`
	}
	Only    string // the user who alone sees it
	Updates int
}

// A View is an open form.
type View struct{ Trigger, User, Callback, Private, Raw string }

// A Fault makes a method fail. Done: it does its work first, and the answer is lost.
type Fault struct {
	Status int    // 429, 500; 0: the connection is cut
	After  int    // seconds, of a 429
	Error  string // of an answer with status 200
	Done   bool
}

// A Slack is a workspace. Fields are set before it is used.
type Slack struct {
	URL string // of its methods, ending in a slash
	App string // where presses are posted, PUBLIC_URL/channels/NAME; "": over the socket
	// Fault, if set, is asked before each call, the nth of its method.
	Fault func(method string, n int) *Fault
	// PerSecond messages a channel takes; 0: any number.
	PerSecond int
	Scopes    string // of the bot's token, with commas between
	Clock     func() time.Time

	server *httptest.Server
	mu     sync.Mutex // guards what follows
	users  map[string]User
	rooms  map[string]string // id → name
	posts  []*Message
	views  []View
	calls  map[string]int
	sent   map[string][]time.Time // of each channel
	hooks  map[string]hook
	next   int
	socks  []*socket
}

type hook struct{ channel, user, ts string }

// New starts one. Close ends it.
func New() *Slack {
	s := &Slack{Clock: time.Now, users: map[string]User{}, rooms: map[string]string{}, calls: map[string]int{}, sent: map[string][]time.Time{}, hooks: map[string]hook{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/{method}", s.call)
	mux.HandleFunc("POST /response/{id}", s.respond)
	mux.HandleFunc("GET /socket", s.connect)
	s.server = httptest.NewServer(mux)
	s.URL = s.server.URL + "/api/"
	return s
}

// Close ends it.
func (s *Slack) Close() {
	s.Hang()
	s.server.CloseClientConnections()
	s.server.Close()
}

// Join adds people to the workspace.
func (s *Slack) Join(users ...User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range users {
		if u.Team == "" {
			u.Team = Team
		}
		s.users[u.ID] = u
	}
}

// Room adds a channel that the app is in.
func (s *Slack) Room(id, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[id] = name
}

// Messages are those of a channel, oldest first, with replies and what only one sees; "": all.
func (s *Slack) Messages(channel string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Message
	for _, m := range s.posts {
		if channel == "" || m.Channel == channel {
			out = append(out, *m)
		}
	}
	return out
}

// Views are the forms that were opened.
func (s *Slack) Views() []View {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.views)
}

// Calls counts the calls of a method.
func (s *Slack) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// Delete takes a message away, as its channel's people may.
func (s *Slack) Delete(channel, ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posts = slices.DeleteFunc(s.posts, func(m *Message) bool { return m.Channel == channel && m.TS == ts })
}

type object = map[string]any

func bad(code string) object { return object{"ok": false, "error": code} }

func (s *Slack) call(w http.ResponseWriter, r *http.Request) {
	method := r.PathValue("method")
	in, err := read(r)
	if err != nil {
		write(w, bad("invalid_form_data"))
		return
	}
	s.mu.Lock()
	s.calls[method]++
	n := s.calls[method]
	s.mu.Unlock()
	var f *Fault
	if s.Fault != nil {
		f = s.Fault(method, n)
	}
	if f != nil && !f.Done {
		f.answer(w)
		return
	}
	token := in.Get("token")
	if h := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); h != "" {
		token = h
	}
	want := Token
	if method == "apps.connections.open" {
		want = AppTok
	}
	out := bad("invalid_auth")
	if token == want {
		s.mu.Lock()
		out = s.do(method, in)
		s.mu.Unlock()
	}
	if f != nil {
		f.answer(w)
		return
	}
	if after, limited := out["retry"].(int); limited {
		(&Fault{Status: http.StatusTooManyRequests, After: after}).answer(w)
		return
	}
	w.Header().Set("X-OAuth-Scopes", s.Scopes)
	write(w, out)
}

func (f *Fault) answer(w http.ResponseWriter) {
	switch {
	case f.Error != "":
		write(w, bad(f.Error))
	case f.Status == http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(f.After))
		w.WriteHeader(f.Status)
	case f.Status != 0:
		w.WriteHeader(f.Status)
	default:
		panic(http.ErrAbortHandler)
	}
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// read takes a form, or JSON whose values become a form's.
func read(r *http.Request) (url.Values, error) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		err := r.ParseForm()
		return r.Form, err
	}
	in := map[string]json.RawMessage{}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	v := url.Values{}
	for k, raw := range in {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		v.Set(k, text)
	}
	return v, nil
}

// do is one method; mu is held.
func (s *Slack) do(method string, in url.Values) object {
	switch method {
	case "auth.test":
		return object{"ok": true, "team_id": Team, "team": "test", "user_id": "UBOT", "user": "assent", "bot_id": "B1"}
	case "chat.postMessage", "chat.postEphemeral":
		return s.post(in, method == "chat.postEphemeral")
	case "chat.update":
		return s.update(in)
	case "conversations.open":
		user := in.Get("users")
		if _, known := s.users[user]; !known {
			return bad("user_not_found")
		}
		s.rooms["D"+user] = ""
		return object{"ok": true, "channel": object{"id": "D" + user}}
	case "users.conversations":
		return s.conversations()
	case "conversations.history":
		return s.history(in)
	case "users.info":
		u, known := s.users[in.Get("user")]
		if !known {
			return bad("user_not_found")
		}
		return object{"ok": true, "user": object{
			"id": u.ID, "team_id": u.Team, "name": strings.ToLower(u.ID), "deleted": u.Deleted, "is_bot": u.Bot, "is_stranger": u.Team != Team,
			"profile": object{"real_name": u.Name},
		}}
	case "views.open":
		return s.open(in)
	case "apps.connections.open":
		return object{"ok": true, "url": "ws" + strings.TrimPrefix(s.server.URL, "http") + "/socket"}
	}
	return bad("unknown_method")
}

func (s *Slack) stamp() string {
	s.next++
	return fmt.Sprintf("%d.%06d", s.Clock().Unix(), s.next)
}

func (s *Slack) post(in url.Values, only bool) object {
	channel := in.Get("channel")
	if _, known := s.rooms[channel]; !known {
		return bad("channel_not_found")
	}
	if code := checkMessage(in.Get("text"), in.Get("blocks")); code != "" {
		return bad(code)
	}
	if now := time.Now(); s.PerSecond > 0 {
		recent := slices.DeleteFunc(s.sent[channel], func(t time.Time) bool { return now.Sub(t) > time.Second })
		s.sent[channel] = recent
		if len(recent) >= s.PerSecond {
			return object{"retry": 1}
		}
		s.sent[channel] = append(recent, now)
	}
	m := &Message{Channel: channel, TS: s.stamp(), Thread: in.Get("thread_ts"), Text: in.Get("text"), Blocks: json.RawMessage(in.Get("blocks"))}
	if raw := in.Get("metadata"); raw != "" {
		if json.Unmarshal([]byte(raw), &m.Metadata) != nil || m.Metadata.Type == "" {
			return bad("invalid_metadata_format")
		}
	}
	if only {
		if m.Only = in.Get("user"); s.users[m.Only].ID == "" {
			return bad("user_not_in_channel")
		}
	}
	s.posts = append(s.posts, m)
	return object{"ok": true, "channel": channel, "ts": m.TS, "message_ts": m.TS}
}

func (s *Slack) find(channel, ts string) *Message {
	i := slices.IndexFunc(s.posts, func(m *Message) bool { return m.Channel == channel && m.TS == ts })
	if i < 0 {
		return nil
	}
	return s.posts[i]
}

func (s *Slack) update(in url.Values) object {
	m := s.find(in.Get("channel"), in.Get("ts"))
	if m == nil {
		return bad("message_not_found")
	}
	if code := checkMessage(in.Get("text"), in.Get("blocks")); code != "" {
		return bad(code)
	}
	m.Text, m.Blocks = in.Get("text"), json.RawMessage(in.Get("blocks"))
	m.Updates++
	return object{"ok": true, "channel": m.Channel, "ts": m.TS, "text": m.Text}
}

func (s *Slack) conversations() object {
	var list []object
	for _, id := range slices.Sorted(maps.Keys(s.rooms)) {
		if s.rooms[id] != "" {
			list = append(list, object{"id": id, "name": s.rooms[id]})
		}
	}
	return object{"ok": true, "channels": list}
}

// history gives pages of two messages, newest first, so that nobody forgets the cursor.
func (s *Slack) history(in url.Values) object {
	oldest, _ := strconv.ParseFloat(in.Get("oldest"), 64)
	skip, _ := strconv.Atoi(in.Get("cursor"))
	var list []object
	for _, m := range slices.Backward(s.posts) {
		at, _ := strconv.ParseFloat(m.TS, 64)
		if m.Channel != in.Get("channel") || m.Thread != "" || m.Only != "" || at < oldest {
			continue
		}
		o := object{"type": "message", "ts": m.TS, "text": m.Text}
		if in.Get("include_all_metadata") != "" && m.Metadata.Type != "" {
			o["metadata"] = object{"event_type": m.Metadata.Type, "event_payload": m.Metadata.Payload}
		}
		list = append(list, o)
	}
	const page = 2
	skip = min(skip, len(list))
	end := min(len(list), skip+page)
	out := object{"ok": true, "messages": list[skip:end], "has_more": end < len(list)}
	if end < len(list) {
		out["response_metadata"] = object{"next_cursor": strconv.Itoa(end)}
	}
	return out
}

func (s *Slack) open(in url.Values) object {
	var v struct {
		Type     string          `json:"type"`
		Callback string          `json:"callback_id"`
		Private  string          `json:"private_metadata"`
		Title    text            `json:"title"`
		Submit   text            `json:"submit"`
		Blocks   json.RawMessage `json:"blocks"`
	}
	if json.Unmarshal([]byte(in.Get("view")), &v) != nil || v.Type != "modal" || long(v.Title.Text, 24) || long(v.Submit.Text, 24) || len(v.Private) > 3000 {
		return bad("invalid_arguments")
	}
	if code := checkBlocks(v.Blocks); code != "" {
		return bad(code)
	}
	user, at, ok := strings.Cut(in.Get("trigger_id"), "@")
	micro, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil || time.Since(time.UnixMicro(micro)) > 3*time.Second {
		return bad("expired_trigger_id")
	}
	s.views = append(s.views, View{Trigger: in.Get("trigger_id"), User: user, Callback: v.Callback, Private: v.Private, Raw: in.Get("view")})
	return object{"ok": true, "view": json.RawMessage(in.Get("view"))}
}

// respond takes what an app answers at a response_url.
func (s *Slack) respond(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, known := s.hooks[r.PathValue("id")]
	var in struct {
		Text            string          `json:"text"`
		ReplaceOriginal bool            `json:"replace_original"`
		Blocks          json.RawMessage `json:"blocks"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !known {
		http.Error(w, "expired_url", http.StatusNotFound)
		return
	}
	if !in.ReplaceOriginal {
		s.posts = append(s.posts, &Message{Channel: h.channel, TS: s.stamp(), Text: in.Text, Blocks: in.Blocks, Only: h.user})
	} else if m := s.find(h.channel, h.ts); m != nil {
		m.Text, m.Blocks = in.Text, in.Blocks
		m.Updates++
	}
	_, _ = w.Write([]byte("ok"))
}
