package api_test

import (
	"bufio"
	"net/http"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// TestRevokedWhileItWaits: who was revoked while a request of theirs waited
// hears nothing of its end, and a stream of theirs ends.
func TestRevokedWhileItWaits(t *testing.T) {
	w := newWorld(t)
	secret, tok, err := w.tokens.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:lena", Scopes: []string{identity.ScopeReview, identity.ScopeRead}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	id := w.hold(w.agent, "copy customers to stdout")
	get := func(path string) *http.Response {
		r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+path, nil))(t)
		r.Header.Set("Authorization", "Bearer "+secret)
		return must(http.DefaultClient.Do(r))(t)
	}
	stream := get("/v1/events?records=true")
	defer stream.Body.Close()
	if stream.StatusCode != http.StatusOK {
		t.Fatalf("the stream: %d", stream.StatusCode)
	}
	first := bufio.NewReader(stream.Body)
	if _, err := first.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	status := make(chan int)
	go func() {
		res := get("/v1/approvals/" + id + "?wait=20s")
		_ = res.Body.Close()
		status <- res.StatusCode
	}()
	time.Sleep(300 * time.Millisecond) // it waits by now; when it doesn't, it is refused at the door
	if err := w.tokens.Revoke(t.Context(), tok.ID, "test"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		for err := error(nil); err == nil; {
			_, err = first.ReadString('\n')
		}
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(12 * time.Second):
		t.Error("the stream of a revoked credential goes on")
	}
	if a := w.review(w.mira, id, "approve", "fine"); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	if got := <-status; got != http.StatusUnauthorized {
		t.Errorf("who was revoked while it waited: %d", got)
	}
}
