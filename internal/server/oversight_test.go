package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOversights(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("ASSENT_TEST_HERE", "hunter2")
	for name, text := range map[string]string{"here": "hunter2\n", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const issuers = "issuers: [{ name: corp, issuer: \"https://idp.example.com\", client_id: a, client_secret: { file: here } }]\n"
	gate := func(password string) string {
		return "gates: [{ name: shop, type: postgres, listen: \"127.0.0.1:1\", env: prod, upstream: { host: db, database: d, user: u, password: " + password + " } }]\n"
	}
	const actor = "actors: [{ id: bot, owner: dana }]\n"
	for _, c := range []struct{ name, text, want, remedy string }{
		{"whole", issuers + gate("{ file: here }") + actor + "people: [{ id: dana, accounts: [\"corp|1\"] }]\n", "", ""},
		{"in the environment", gate("{ env: ASSENT_TEST_HERE }"), "", ""},
		{"a command is not run", gate("{ command: [/nonexistent] }"), "", ""},
		{"no file", gate("{ file: nowhere }"), "gates[0].upstream.password: reading a secret: open", "umask 077"},
		{"an empty file", gate("{ file: empty }"), "it is empty", "not empty"},
		{"nothing in the environment", gate("{ env: ASSENT_TEST_NOWHERE }"), "no ASSENT_TEST_NOWHERE", "set ASSENT_TEST_NOWHERE"},
		{"an owner without account", issuers + actor + "people: [{ id: dana }]\n", "no account of an issuer leads to dana", "corp|"},
		{"related, and only in a chat", issuers + "actors: [{ id: bot, related: [dana] }]\npeople: [{ id: dana, accounts: [\"chat|1\"] }]\nchannels: [{ name: chat, slack: { team: T1, app_id: A1, bot_token: { file: here }, signing_secret: { file: here } } }]\n", "dana is behind bot", ""},
		{"no issuer to sign in by", actor + "people: [{ id: dana }]\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := ParseConfig(filepath.Join(dir, "assent.yaml"), []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			got := Oversights(cfg)
			if c.want == "" {
				if len(got) > 0 {
					t.Fatalf("found %v", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0].What, c.want) || !strings.Contains(got[0].Remedy, c.remedy) || strings.Contains(got[0].What, "hunter2") {
				t.Fatalf("found %v, want %q", got, c.want)
			}
		})
	}
}
