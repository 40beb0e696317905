package console

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
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

// TestASlowExportEndsWithTheSession: whoever signs out, or is signed out, reads no further.
func TestASlowExportEndsWithTheSession(t *testing.T) {
	h := newHouse(t)
	var all []*audit.Record
	for range 400 {
		all = append(all, &audit.Record{Type: audit.TypeNotice, Title: strings.Repeat("x", 60_000)})
	}
	h.records(all...)
	c := newClient(h).signIn(sam)
	r, err := http.NewRequestWithContext(t.Context(), "GET", h.url+"/audit/export", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	c.send("POST", "/signout", url.Values{"csrf": {c.csrf}})
	time.Sleep(1500 * time.Millisecond) // what fits into buffers was sent before
	n, err := io.Copy(io.Discard, res.Body)
	if n > 400*60_000 || err == nil {
		t.Errorf("%d bytes went to nobody: %v", n, err)
	}
}
