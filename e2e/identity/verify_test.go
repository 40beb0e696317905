// Package identity_test runs the examples of docs/http.md that verify who asks.
package identity_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/passport"
)

const issuer = "https://assent.example.com"

// examples are the commands that run the document's code, by language.
func examples(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	python, err := filepath.Abs("../../.cache/python/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	js, err := os.MkdirTemp("node_modules", ".verify-") // modules are looked for from where the file is
	if err != nil {
		t.Fatalf("%v (scripts/install installs what this test needs)", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(js) })
	dir, out := t.TempDir(), map[string][]string{}
	for _, m := range regexp.MustCompile("(?s)```(go|python|js)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		file := map[string]string{"go": filepath.Join(dir, "verify.go"), "python": filepath.Join(dir, "verify.py"), "js": filepath.Join(js, "verify.mjs")}[m[1]]
		if err := os.WriteFile(file, []byte(m[2]), 0o600); err != nil {
			t.Fatal(err)
		}
		out[m[1]] = map[string][]string{"go": {filepath.Join(dir, "verify")}, "python": {python, file}, "js": {"node", file}}[m[1]]
	}
	if len(out) != 3 {
		t.Fatalf("%d examples", len(out))
	}
	if b, err := exec.Command("go", "build", "-o", out["go"][0], filepath.Join(dir, "verify.go")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return out
}

// Each example believes what the gate says, and nothing else.
func TestExamples(t *testing.T) {
	now := time.Now()
	sign := func(seed byte, issuer string, at time.Time, audience string) (string, *passport.Signer) {
		s, err := passport.New(bytes.Repeat([]byte{seed}, 32), issuer, func() time.Time { return at })
		if err != nil {
			t.Fatal(err)
		}
		text, err := s.Sign(passport.Claims{Audience: audience, Subject: "person:mira", Actors: []string{"agent:worker"}, Groups: []string{"group:finance"}})
		if err != nil {
			t.Fatal(err)
		}
		return text, s
	}
	good, signer := sign(1, issuer, now, "billing")
	minter, err := grant.NewMinter(filepath.Join(t.TempDir(), "grant.jwks"), issuer)
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // both purposes, as the API publishes them
		w.Header().Set("Content-Type", "application/jwk-set+json")
		var all, more struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if json.Unmarshal(minter.JWKS(), &all) != nil || json.Unmarshal(signer.JWKS(), &more) != nil {
			t.Error("the keys can't be read")
		}
		all.Keys = append(all.Keys, more.Keys...)
		_ = json.NewEncoder(w).Encode(all)
	}))
	defer keys.Close()
	cases := map[string]string{"good": good}
	cases["another audience"], _ = sign(1, issuer, now, "other")
	cases["another issuer"], _ = sign(1, "https://evil.example.com", now, "billing")
	cases["other keys"], _ = sign(2, issuer, now, "billing")
	cases["over"], _ = sign(1, issuer, now.Add(-10*time.Minute), "billing")
	parts := strings.Split(good, ".")
	cases["without a signature"] = parts[0] + "." + parts[1] + "."
	cases["unsigned"] = "eyJhbGciOiJub25lIiwidHlwIjoiYXNzZW50LWlkZW50aXR5K2p3dCJ9." + parts[1] + "."
	if cases["a grant"], err = minter.Mint(grant.Claims{ID: "g", Audience: "billing", Subject: "person:mira", Digest: "sha256:" + strings.Repeat("0", 64), Issued: now, Expires: now.Add(time.Minute), LogIndex: 1}); err != nil {
		t.Fatal(err)
	}
	for language, command := range examples(t) {
		for name, header := range cases {
			t.Run(language+"/"+name, func(t *testing.T) {
				c := exec.Command(command[0], command[1:]...)
				c.Env = append(os.Environ(), "JWKS="+keys.URL, "ISSUER="+issuer, "AUDIENCE=billing", "HEADER="+header)
				b, err := c.CombinedOutput()
				if (err == nil) != (name == "good") || err == nil && !strings.Contains(string(b), "group:finance") {
					t.Errorf("%v: %s", err, b)
				}
			})
		}
	}
}
