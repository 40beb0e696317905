// Package teamstest is the part of Microsoft Teams that a bot talks to, on
// loopback: the Bot Framework's metadata and keys, the tenant's token endpoint
// and the connector. It checks what Teams checks of a bot.
package teamstest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Ids of the fake's tenant and app.
const (
	Tenant = "11111111-2222-3333-4444-555555555555"
	App    = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	Secret = "the app's secret"
)

// Object is the object id of a person in the tenant: "ana" always has the same.
func Object(name string) string {
	return fmt.Sprintf("00000000-0000-0000-0000-%012x", []byte(fmt.Sprintf("%.6s", name+"      ")))
}

// A Fake is Teams. Posts are what the bot showed, by conversation and activity id.
type Fake struct {
	testing.TB
	*httptest.Server
	key *rsa.PrivateKey

	mu     sync.Mutex
	posts  map[string]map[string]any // "conversation activity" → its newest content
	order  []string
	next   int
	tokens int
	down   func(r *http.Request) int // status to answer with instead; 0: none
	after  int
}

// New starts a fake that ends with the test.
func New(tb testing.TB) *Fake {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	f := &Fake{TB: tb, key: key, posts: map[string]map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metadata", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"issuer": "https://api.botframework.com", "jwks_uri": f.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", f.keys)
	mux.HandleFunc("POST /token", f.token)
	mux.HandleFunc("POST /v3/conversations", f.open)
	mux.HandleFunc("POST /v3/conversations/{c}/activities", f.post)
	mux.HandleFunc("PUT /v3/conversations/{c}/activities/{a}", f.put)
	f.Server = httptest.NewServer(mux)
	tb.Cleanup(f.Close)
	return f
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (f *Fake) keys(w http.ResponseWriter, _ *http.Request) {
	b, _ := json.Marshal(jose.JSONWebKey{Key: f.key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"})
	var k map[string]any
	_ = json.Unmarshal(b, &k)
	k["endorsements"] = []string{"msteams"}
	other, _ := json.Marshal(jose.JSONWebKey{Key: f.key.Public(), KeyID: "other", Algorithm: "RS256", Use: "sig"})
	var o map[string]any
	_ = json.Unmarshal(other, &o)
	o["endorsements"] = []string{"webchat", ""}
	answer(w, http.StatusOK, map[string]any{"keys": []any{k, o}})
}

func (f *Fake) token(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil || r.PostForm.Get("client_id") != App || r.PostForm.Get("client_secret") != Secret || r.PostForm.Get("scope") != "https://api.botframework.com/.default" || r.PostForm.Get("grant_type") != "client_credentials" {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tokens++
	answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": fmt.Sprintf("bot-%d", f.tokens)})
}

// Fail has calls answered with a status, until fn says 0; after is the Retry-After in seconds.
func (f *Fake) Fail(after int, fn func(r *http.Request) int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down, f.after = fn, after
}

// allowed checks the bot's token and what a test wants to go wrong.
func (f *Fake) allowed(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		if status := f.down(r); status != 0 {
			if f.after > 0 {
				w.Header().Set("Retry-After", fmt.Sprint(f.after))
			}
			w.WriteHeader(status)
			return false
		}
	}
	if r.Header.Get("Authorization") != fmt.Sprintf("Bearer bot-%d", f.tokens) {
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	return true
}

func (f *Fake) open(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Bot      struct{ ID string }
		Members  []struct{ ID string }
		TenantID string
	}
	if !f.allowed(w, r) {
		return
	}
	if json.NewDecoder(r.Body).Decode(&in) != nil || len(in.Members) != 1 || in.TenantID != Tenant || in.Bot.ID != "28:"+App {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"id": "a:" + in.Members[0].ID})
}

func (f *Fake) post(w http.ResponseWriter, r *http.Request) {
	if !f.allowed(w, r) {
		return
	}
	b, _ := io.ReadAll(r.Body)
	var content map[string]any
	if len(b) > 28<<10 || json.Unmarshal(b, &content) != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	id := fmt.Sprintf("m%d", f.next)
	at := r.PathValue("c") + " " + id
	f.posts[at], f.order = content, append(f.order, at)
	answer(w, http.StatusCreated, map[string]any{"id": id})
}

func (f *Fake) put(w http.ResponseWriter, r *http.Request) {
	if !f.allowed(w, r) {
		return
	}
	at := r.PathValue("c") + " " + r.PathValue("a")
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.posts[at] == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var content map[string]any
	if json.NewDecoder(r.Body).Decode(&content) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	f.posts[at] = content
	answer(w, http.StatusOK, map[string]any{"id": r.PathValue("a")})
}

// Posts are what stands in a conversation now, oldest first.
func (f *Fake) Posts(conversation string) []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []map[string]any
	for _, at := range f.order {
		if strings.HasPrefix(at, conversation+" ") {
			out = append(out, f.posts[at])
		}
	}
	return out
}

// Text is all that a reader could read of a post, whatever element it is in.
func Text(v any) string {
	var b strings.Builder
	var walk func(any)
	walk = func(v any) {
		switch x := v.(type) {
		case map[string]any:
			for _, k := range []string{"text", "title", "label"} {
				if s, ok := x[k].(string); ok {
					b.WriteString(s + "\n")
				}
			}
			for _, k := range []string{"attachments", "content", "body", "items", "actions", "card", "value"} {
				walk(x[k])
			}
			runs, _ := x["inlines"].([]any)
			for _, r := range runs {
				s, _ := r.(map[string]any)["text"].(string)
				b.WriteString(s)
			}
			if len(runs) > 0 {
				b.WriteString("\n")
			}
		case []any:
			for _, e := range x {
				walk(e)
			}
		case string:
			b.WriteString(x + "\n")
		}
	}
	walk(v)
	return b.String()
}

// A Token is what a request of the fake says; zero fields are as Teams says them.
type Token struct {
	Issuer, Audience, ServiceURL, KeyID, Alg string
	Age                                      time.Duration // since it was made; it lasts an hour
	Key                                      any
}

// Sign makes the Authorization header of a request.
func (f *Fake) Sign(t Token) string {
	f.Helper()
	or := func(s, def string) string {
		if s == "" {
			return def
		}
		return s
	}
	key := t.Key
	if key == nil {
		key = f.key
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(or(t.Alg, "RS256")), Key: jose.JSONWebKey{Key: key, KeyID: or(t.KeyID, "k1")}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	made := time.Now().Add(-t.Age)
	raw, err := jwt.Signed(signer).Claims(jwt.Claims{
		Issuer: or(t.Issuer, "https://api.botframework.com"), Audience: jwt.Audience{or(t.Audience, App)},
		IssuedAt: jwt.NewNumericDate(made), NotBefore: jwt.NewNumericDate(made), Expiry: jwt.NewNumericDate(made.Add(time.Hour)),
	}).Claims(map[string]any{"serviceurl": or(t.ServiceURL, f.URL+"/")}).Serialize()
	if err != nil {
		f.Fatal(err)
	}
	return "Bearer " + raw
}

// Activity is one of who in a conversation. more replaces what it says.
func (f *Fake) Activity(who, conversation string, more map[string]any) map[string]any {
	f.mu.Lock()
	f.next++
	id := fmt.Sprintf("u%d", f.next)
	f.mu.Unlock()
	a := map[string]any{
		"id": id, "channelId": "msteams", "serviceUrl": f.URL + "/",
		"conversation": map[string]any{"id": conversation, "tenantId": Tenant}, "channelData": map[string]any{"tenant": map[string]any{"id": Tenant}},
		"from": map[string]any{"name": who, "aadObjectId": Object(who)},
	}
	for k, v := range more {
		a[k] = v
	}
	return a
}

// Press is the activity of a button, with data as the card has it.
func (f *Fake) Press(who, conversation string, data map[string]any) map[string]any {
	return f.Activity(who, conversation, map[string]any{"type": "invoke", "name": "adaptiveCard/action", "value": map[string]any{
		"action": map[string]any{"type": "Action.Execute", "verb": data["verb"], "data": data},
	}})
}

// Button is the data of the action with this verb on a card, fallbacks of older clients included.
func Button(v any, verb string) map[string]any {
	switch x := v.(type) {
	case map[string]any:
		if x["verb"] == verb {
			if d, ok := x["data"].(map[string]any); ok {
				return d
			}
		}
		for _, k := range []string{"attachments", "content", "refresh", "action", "actions", "card", "value"} {
			if d := Button(x[k], verb); d != nil {
				return d
			}
		}
	case []any:
		for _, e := range x {
			if d := Button(e, verb); d != nil {
				return d
			}
		}
	}
	return nil
}

// Send posts an activity to the bot and returns its answer.
func (f *Fake) Send(to, authorization string, activity any) (status int, answer map[string]any) {
	f.Helper()
	b, err := json.Marshal(activity)
	if err != nil {
		f.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		f.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, u.String(), bytes.NewReader(b))
	if err != nil {
		f.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	out, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(out, &answer)
	return resp.StatusCode, answer
}
