package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNewKeepsTheTokenFromTheClear(t *testing.T) {
	for _, base := range []string{"http://assent.example.com", "ftp://localhost", "localhost:8720", "", "://", "http://localhost.evil.example"} {
		if _, err := New(base, "ast_x", nil); err == nil {
			t.Errorf("%q was taken", base)
		}
	}
	for _, base := range []string{"https://assent.example.com", "http://localhost:8720", "http://127.0.0.1:8720", "http://[::1]:8720"} {
		if _, err := New(base, "ast_x", nil); err != nil {
			t.Errorf("%q: %v", base, err)
		}
	}
	if _, err := New("https://assent.example.com", "ast_x\r\nX: y", nil); err == nil || strings.Contains(err.Error(), "ast_x") {
		t.Errorf("a token with a line break: %v", err)
	}
}

// TestNothingButAWholeAnswerIsAYes sends what servers, proxies and captive portals send instead.
func TestNothingButAWholeAnswerIsAYes(t *testing.T) {
	stolen := make(chan string, 1)
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stolen <- r.Header.Get("Authorization")
		fmt.Fprint(w, `{"decision":true}`)
	}))
	defer thief.Close()
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		},
		"page":           func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>{"decision":true}</html>`) },
		"nothing":        func(http.ResponseWriter, *http.Request) {},
		"half":           func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"decision":true`) },
		"error with yes": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500); fmt.Fprint(w, `{"decision":true}`) },
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"decision":true}`)
		},
		"too much": func(w http.ResponseWriter, _ *http.Request) {
			for range maxAnswer >> 20 {
				fmt.Fprint(w, strings.Repeat(" ", 1<<20))
			}
			fmt.Fprint(w, `{"decision":true}`)
		},
	} {
		server := httptest.NewServer(http.HandlerFunc(answer))
		c, err := New(server.URL, "ast_x", nil)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := c.Evaluate(t.Context(), Question{}); err == nil {
			t.Errorf("%s: %+v", name, d)
		}
		server.Close()
	}
	if len(stolen) > 0 {
		t.Error("the token followed a redirect")
	}
}

func TestErrorsReadAnything(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		if r.URL.Path == "/v1/whoami" {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"type":"urn:assent:problem:slow","detail":"wait","status":200}`)
	}))
	defer server.Close()
	c, err := New(server.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.WhoAmI(t.Context())
	var e *Error
	if !errors.As(err, &e) || !Is(err, "slow") || e.Status != 429 || e.RetryAfter.Seconds() != 7 || e.Error() != "429 Too Many Requests: wait" {
		t.Errorf("%+v", e)
	}
	if _, err := c.Tokens(t.Context()); !errors.As(err, &e) || e.Type != "" || e.Status != 429 {
		t.Errorf("no problem document: %+v", e)
	}
	if Is(context.Canceled, "slow") || Is(nil, "slow") {
		t.Error("another error is that kind")
	}
}

func TestRequestNeedsARequestableDenial(t *testing.T) {
	c, err := New("http://localhost:1", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Decision{nil, {}, {Decision: true, Context: &DecisionContext{AccessRequest: &AccessRequest{}}}, {Context: &DecisionContext{}}} {
		if _, err := c.Request(t.Context(), Question{}, d); err == nil || strings.Contains(err.Error(), "localhost") {
			t.Errorf("%+v: %v", d, err)
		}
	}
}

func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		": open\n\nevent: approval\ndata: {\"id\":\"apr_1\",\"version\":1,\"state\":\"pending\"}\n\n",
		"event: record\nid: 3\ndata: {\"index\":3,\"time\":\"2026-11-22T03:00:00Z\",\"type\":\"request\"}\n\n",
		"event: record\ndata: {\"index\":3", "data: a\ndata: b\n\n", "event:x\r\ndata:y\r\n\r\n", "\n\n\n", "data\n\n", ":\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		lines := strings.Count(stream, "\n")
		events := 0
		err := readEvents(strings.NewReader(stream), func(name string, data []byte) error {
			if events++; data == nil {
				t.Fatal("an event without data")
			}
			e, err := parseEvent(name, data)
			if err == nil && e != nil && (e.Approval == nil) == (e.Record == nil) {
				t.Fatalf("%+v", e)
			}
			return nil
		})
		if err == nil || events > lines {
			t.Fatalf("%d events in %d lines, error %v", events, lines, err)
		}
	})
}
