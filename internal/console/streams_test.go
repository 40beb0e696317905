package console

import (
	"net/http"
	"testing"
)

// TestNobodyTakesAllStreams: one person with a hundred pages leaves room for others.
func TestNobodyTakesAllStreams(t *testing.T) {
	h := newHouse(t)
	open := func(c *client) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", h.url+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res.StatusCode
	}
	greedy, refused := newClient(h).signIn(sam), false
	for range 64 {
		if refused = open(greedy) == http.StatusServiceUnavailable; refused {
			break
		}
	}
	if !refused {
		t.Error("one person opened 64 streams")
	}
	if code := open(newClient(h).signIn(mira)); code != http.StatusOK {
		t.Errorf("somebody else's page hears nothing: %d", code)
	}
}
