package api_test

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

// fetch asks as a client of tlog-tiles does; no token: without a credential.
func (w *world) fetch(path, token string, headers ...string) (*http.Response, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Host = "localhost:8720"
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, b
}

// grow brings the log to n records and signs them.
func (w *world) grow(n int64) {
	w.t.Helper()
	err := w.store.Update(w.t.Context(), func(tx approval.Tx) error {
		head, err := tx.Head(w.t.Context())
		if err != nil {
			return err
		}
		for range n - head.Size {
			if err := w.log.Append(w.t.Context(), tx, &audit.Record{Type: audit.TypeNotice}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	head, err := w.store.Head(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.log.Sign(w.t.Context(), head); err != nil {
		w.t.Fatal(err)
	}
}

func TestTilesOverHTTP(t *testing.T) {
	w := newWorld(t)
	w.grow(300)
	resp, note := w.fetch("/log/checkpoint", w.reader)
	cp, err := evidence.VerifyCheckpoint(note, w.vkeys...)
	if err != nil || cp.Size != 300 || resp.Header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("checkpoint: %v, %v", err, resp.Header)
	}
	const forEver = "private, max-age=31536000, immutable"
	for path, size := range map[string]int{"/log/tile/0/000": 8192, "/log/tile/0/001.p/44": 44 * 32, "/log/tile/0/001.p/3": 3 * 32, "/log/tile/1/000.p/1": 32} {
		resp, b := w.fetch(path, w.mira)
		if resp.StatusCode != 200 || len(b) != size || resp.Header.Get("Cache-Control") != forEver || resp.Header.Get("Content-Type") != "application/octet-stream" {
			t.Errorf("%s: %d, %d bytes, %v", path, resp.StatusCode, len(b), resp.Header)
		}
	}
	for _, path := range []string{"/log/tile/0/002", "/log/tile/0/001", "/log/tile/0/001.p/45", "/log/tile/1/000", "/log/tile/0/x000/001.p/3", "/log/tile/9/000", "/log/tile/data/000", "/log/tile/entries/001", "/log/tile/0/1", "/log/nothing"} {
		if resp, _ := w.fetch(path, w.reader); resp.StatusCode != http.StatusNotFound || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
	}
	plain, b := w.fetch("/log/tile/entries/000", w.reader)
	if n := int(binary.BigEndian.Uint16(b)); n > len(b) || plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Cache-Control") != forEver {
		t.Errorf("bundle: first record of %d bytes, %v", n, plain.Header)
	}
	packed, z := w.fetch("/log/tile/entries/000", w.reader, "Accept-Encoding", "br;q=1, gzip;q=0.5")
	r, err := gzip.NewReader(strings.NewReader(string(z)))
	if err != nil {
		t.Fatalf("not compressed: %v, %v", err, packed.Header)
	}
	if whole, err := io.ReadAll(r); err != nil || string(whole) != string(b) {
		t.Errorf("the compressed bundle is another one: %v", err)
	}
	if refused, same := w.fetch("/log/tile/entries/000", w.reader, "Accept-Encoding", "gzip;q=0"); refused.Header.Get("Content-Encoding") != "" || string(same) != string(b) {
		t.Error("compressed for a client that refuses it")
	}
}

// A public log shows that it only grows to everybody, and what it holds to nobody more.
func TestPublicLogShowsHashesOnly(t *testing.T) {
	w := newWorld(t, func(o *api.Options) { o.PublicLog = true })
	w.grow(300)
	for path, want := range map[string]int{"/log/checkpoint": 200, "/log/tile/0/000": 200, "/log/tile/entries/000": 401, "/v1/audit/checkpoint": 401, "/v1/audit/records": 401} {
		resp, _ := w.fetch(path, "")
		if resp.StatusCode != want {
			t.Errorf("%s without a credential: %d", path, resp.StatusCode)
		}
	}
	if resp, _ := w.fetch("/log/tile/0/000", ""); resp.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Error(resp.Header)
	}
	closed := newWorld(t)
	closed.grow(300)
	for _, path := range []string{"/log/checkpoint", "/log/tile/0/000", "/log/tile/entries/000"} {
		if resp, _ := closed.fetch(path, ""); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s of a log that isn't public: %d", path, resp.StatusCode)
		}
		if resp, _ := closed.fetch(path, closed.agent); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s for an agent: %d", path, resp.StatusCode)
		}
	}
}
