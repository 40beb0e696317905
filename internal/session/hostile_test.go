package session_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/assenthq/assent/internal/oidc/oidctest"
	"github.com/assenthq/assent/internal/session"
)

// TestNobodyBreaksTheQuestionOff: who lost a group and leaves each time the
// issuer is asked about them doesn't keep the group by it.
func TestNobodyBreaksTheQuestionOff(t *testing.T) {
	var leave atomic.Pointer[context.CancelFunc]
	h := newHouse(t, oidctest.Options{Through: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if f := leave.Load(); f != nil && r.URL.Path == "/token" {
				(*f)()
			}
			next.ServeHTTP(w, r)
		})
	}})
	r := h.replica()
	_, s := r.open(mira.Sub)
	fewer := mira
	fewer.Groups = fewer.Groups[:1]
	h.idp.Set(fewer)
	h.pass(2 * session.ReviewMaxAge)
	ctx, cancel := context.WithCancel(t.Context())
	leave.Store(&cancel)
	_ = r.Fresh(ctx, s)
	leave.Store(nil)
	if ctx.Err() == nil {
		t.Fatal("the issuer was not asked")
	}
	if err := r.Fresh(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if g, _ := r.of(s.Account); len(g) != 1 {
		t.Errorf("who left in the middle keeps %v", g)
	}
}
