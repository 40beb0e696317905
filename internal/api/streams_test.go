package api_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

// TestNobodyTakesAllStreams: one agent that opens as many as it can leaves room for others.
func TestNobodyTakesAllStreams(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	get := func(token string) int {
		r := must(http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+"/v1/events", nil))(t)
		r.Header.Set("Authorization", "Bearer "+token)
		res := must(http.DefaultClient.Do(r))(t)
		t.Cleanup(func() { _ = res.Body.Close() })
		return res.StatusCode
	}
	refused := false
	for range 64 {
		if refused = get(w.mira) == http.StatusServiceUnavailable; refused {
			break
		}
	}
	if !refused {
		t.Error("one caller opened 64 streams")
	}
	if code := get(w.lena); code != http.StatusOK {
		t.Errorf("somebody else hears nothing: %d", code)
	}
	cancel()
	ctx = t.Context()
	for range 100 { // what was closed is given back
		if get(w.mira) == http.StatusOK {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("closed streams still count")
}

// TestRevokedWhileItReadsALongLog: whoever reads slowly doesn't read on after the end of their credential.
func TestRevokedWhileItReadsALongLog(t *testing.T) {
	w := newWorld(t)
	const most = 400
	err := w.store.Update(t.Context(), func(tx approval.Tx) error {
		for range most {
			if err := w.log.Append(t.Context(), tx, &audit.Record{Type: audit.TypeNotice, Title: strings.Repeat("x", 60_000)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	secret, tok, err := w.tokens.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:lena", Scopes: []string{identity.ScopeRead}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/v1/events?records=true&from=0", nil))(t)
	r.Header.Set("Authorization", "Bearer "+secret)
	res := must(http.DefaultClient.Do(r))(t)
	defer res.Body.Close()
	lines := bufio.NewReaderSize(res.Body, 128<<10)
	seen := 0
	for seen < 10 {
		l, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(l, "event: record") {
			seen++
		}
	}
	if err := w.tokens.Revoke(t.Context(), tok.ID, "test"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // past the next look at the credential; what fits into buffers was sent before
	for {
		l, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if strings.HasPrefix(l, "event: record") {
			seen++
		}
		if seen >= most {
			t.Fatalf("a revoked credential read %d records", seen)
		}
	}
}
