package server

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/identity"
)

// BenchmarkHTTPGate is one read through the gate, with policy and log, for profiles:
// scripts/bench http compares.
func BenchmarkHTTPGate(b *testing.B) {
	body := []byte(`{"items":[` + strings.Repeat(`{"state":"open","title":"an item like many"},`, 22) + `{}]}`)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	defer up.Close()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pack.yaml"), []byte(webPack), 0o600); err != nil {
		b.Fatal(err)
	}
	cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(`
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: dana }]
actors: [{ id: worker, owner: dana }]
limits: { export_after_rows: 1000000000000 }
gates: [{ name: web, type: http, env: prod, listen: "127.0.0.1:0", routes: [{ name: app, host: 127.0.0.1, upstreams: ["`+up.URL+`"] }] }]
`))
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(b.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close(b.Context()) }()
	token, err := s.Mint(b.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		b.Fatal(err)
	}
	t := &http.Transport{DisableCompression: true}
	defer t.CloseIdleConnections()
	at := "http://" + s.GateAddr("web") + "/items"
	for b.Loop() {
		r, err := http.NewRequest("GET", at, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := t.RoundTrip(r)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status)
		}
	}
}
