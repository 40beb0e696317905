package server

import (
	"bytes"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/identity"
)

// heard is what passed between a server and an issuer that is nobody else's business.
type heard struct {
	mu     sync.Mutex
	values map[string]string // secret to what it is
}

func (h *heard) add(what, secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(secret) > 8 {
		h.values[secret] = what
	}
}

var told = regexp.MustCompile(`"(access_token|refresh_token|id_token|device_code)":"([^"]+)"`)

// through listens before a provider.
func (h *heard) through(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
		if form, err := url.ParseQuery(string(sent)); err == nil {
			for _, name := range []string{"code", "code_verifier", "refresh_token", "device_code"} {
				h.add(name, form.Get(name))
			}
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for _, m := range told.FindAllStringSubmatch(rec.Body.String(), -1) {
			h.add(m[1], m[2])
		}
		for name, v := range rec.Header() {
			w.Header()[name] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// debugLog is a log that several write to at once.
type debugLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *debugLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// TestNoSecretLeavesInWriting drives sign-in, refreshes, device codes and
// exchanges, with failures among them, and looks for every secret on the way in
// the debug log and in each byte that the server wrote to disk.
func TestNoSecretLeavesInWriting(t *testing.T) {
	h, log := &heard{values: map[string]string{}}, &debugLog{}
	b := newSignedIn(t, "", func(b *signedIn) {
		b.through, b.log = h.through, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	mira := b.surfer()
	address := mira.start("/signin/start/corp", oidcMira.Sub)
	cookies := func() {
		u, _ := url.Parse(base)
		for _, k := range mira.http.Jar.Cookies(u) {
			h.add("cookie "+k.Name, k.Value)
		}
	}
	cookies() // the flow
	if code, _, _ := mira.send("GET", address, nil, "cross-site"); code != http.StatusOK {
		t.Fatalf("signing in: %d", code)
	}
	mira.settings()
	cookies()
	h.add("csrf", mira.csrf)
	if code, _, _ := mira.send("GET", address, nil, "cross-site"); code != http.StatusForbidden {
		t.Errorf("the same answer again: %d", code)
	}
	s, err := b.sessions.List(t.Context(), "")
	if err != nil || len(s) != 1 {
		t.Fatalf("%d sessions, %v", len(s), err)
	}

	open, err := client.New(b.URL(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := open.BeginLogin(t.Context(), "corp")
	if err != nil {
		t.Fatal(err)
	}
	h.add("handle", l.Handle)
	b.corp.Confirm(l.UserCode, oidcMira.Sub)
	time.Sleep(600 * time.Millisecond) // the provider's interval
	in, err := open.PollLogin(t.Context(), l.Handle, "test")
	if err != nil || in.Token == "" {
		t.Fatalf("%+v, %v", in, err)
	}
	h.add("device token", in.Token)
	if _, err := open.PollLogin(t.Context(), l.Handle, "test"); err == nil {
		t.Error("a device code was good twice")
	}
	text, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:dana", Scopes: []string{identity.ScopeMint}, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	h.add("mint token", text)
	for _, token := range []string{text, in.Token, "ast_madeupmadeup_madeupmadeupmadeup", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtaXJhIn0."} {
		kind := actors.AccessToken
		if strings.HasPrefix(token, "eyJ") {
			kind = actors.IDToken
		}
		h.add("shown for exchange", token)
		form := url.Values{"grant_type": {actors.GrantType}, "subject_token": {token}, "subject_token_type": {kind}, "requested_actor": {"agent:worker"}}
		res, err := http.PostForm(b.URL()+"/oauth/token", form)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if got := told.FindSubmatch(body); (got != nil) != (token == text) {
			t.Errorf("%.12s: %d %s", token, res.StatusCode, body)
		} else if got != nil {
			h.add("exchanged token", string(got[2]))
		}
	}
	b.corp.Down(true)
	_ = b.sessions.Fresh(t.Context(), &s[0])
	b.corp.Down(false)
	if err := b.sessions.End(t.Context(), s[0].ID, "test", "over"); err != nil {
		t.Error(err)
	}
	if err := b.Server.Close(t.Context()); err != nil {
		t.Error(err)
	}

	if len(h.values) < 12 {
		t.Errorf("only %d secrets were heard", len(h.values))
	}
	look := func(where string, b []byte) {
		for secret, what := range h.values {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s holds a secret: %s", where, what)
			}
		}
	}
	log.mu.Lock()
	look("the log", log.b.Bytes())
	if !strings.Contains(log.b.String(), "operation=/oauth/token") {
		t.Error("nothing was logged")
	}
	log.mu.Unlock()
	err = filepath.WalkDir(filepath.Join(b.dir, "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return unlessGone(err)
		}
		text, err := os.ReadFile(path)
		look(filepath.Base(path), text)
		return unlessGone(err)
	})
	if err != nil {
		t.Error(err)
	}
}
