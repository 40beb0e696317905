package oidc_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/assenthq/assent/internal/oidc"
	"github.com/assenthq/assent/internal/oidc/oidctest"
)

// stumbling is a provider whose endpoints the test may answer for; nil: they answer themselves.
func stumbling(t *testing.T, o oidctest.Options) (*pair, *atomic.Pointer[http.HandlerFunc]) {
	t.Helper()
	var instead atomic.Pointer[http.HandlerFunc]
	o.Through = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if f := instead.Load(); f != nil && r.URL.Path != "/.well-known/openid-configuration" {
				(*f)(w, r)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	return newPair(t, o), &instead
}

// TestHalfAnAnswerIsNone: an answer that is cut off ends nobody's sign-in; one without end does.
func TestHalfAnAnswerIsNone(t *testing.T) {
	p, instead := stumbling(t, oidctest.Options{NoRefresh: true, GroupsInUserinfo: true})
	s, err := p.signIn(mira.Sub)
	if err != nil {
		t.Fatal(err)
	}
	half := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"sub":"` + mira.Sub + `","groups":["00g1own`))
	})
	instead.Store(&half)
	if _, err := p.Again(t.Context(), *s); !errors.Is(err, oidc.ErrDown) || errors.Is(err, oidc.ErrRefused) {
		t.Errorf("half an answer: %v", err)
	}
	endless := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"sub":"` + mira.Sub + `","groups":["00g1owners"],"x":"` + strings.Repeat("x", 2<<20) + `"}`))
	})
	instead.Store(&endless)
	if _, err := p.Again(t.Context(), *s); !errors.Is(err, oidc.ErrRefused) {
		t.Errorf("an answer without end: %v", err)
	}
}

// TestNobodyTakesAnIssuerDown: a stranger with a made-up code can't make an
// issuer count as down for everybody, by leaving in the middle or by making it stumble.
func TestNobodyTakesAnIssuerDown(t *testing.T) {
	p, instead := stumbling(t, oidctest.Options{})
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "stumbled", code) }
	}
	var leave context.CancelFunc
	for name, f := range map[string]http.HandlerFunc{
		"500": status(500), "429": status(429),
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"leaves": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			leave()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, flow := p.begin(oidc.Question{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			leave = cancel
			instead.Store(&f)
			_, err := p.Finish(ctx, flow, url.Values{"state": {flow.State}, "code": {"made-up"}, "iss": {p.URL()}})
			instead.Store(nil)
			if !errors.Is(err, oidc.ErrDown) {
				t.Errorf("finished: %v", err)
			}
			if _, _, err := p.Begin(t.Context(), oidc.Question{Redirect: callback}); err != nil {
				t.Errorf("nobody can sign in any more: %v", err)
			}
			ctx, cancel = context.WithCancel(t.Context())
			defer cancel()
			leave = cancel
			instead.Store(&f)
			_, err = p.PollDevice(ctx, "made-up")
			instead.Store(nil)
			if !errors.Is(err, oidc.ErrDown) || p.Err() != nil {
				t.Errorf("a device code: %v, then %v", err, p.Err())
			}
		})
	}
	if _, err := p.signIn(mira.Sub); err != nil {
		t.Error(err)
	}
}
