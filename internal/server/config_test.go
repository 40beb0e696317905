package server

import (
	"os"
	"strings"
	"testing"
)

func TestConfigReferenceIsCurrent(t *testing.T) {
	got, err := os.ReadFile("../../docs/configuration.md")
	if err != nil || string(got) != ConfigReference() {
		t.Errorf("docs/configuration.md is not current: go run ./cmd/assent config reference > docs/configuration.md (%v)", err)
	}
}

const good = `
people: [{ id: mira, groups: [data-owners] }]
actors: [{ id: exporter, owner: mira }]
gates:
  - name: shop
    type: postgres
    listen: 127.0.0.1:6432
    env: prod
    upstream: { host: 127.0.0.1, database: shop, user: app, tls: "off", password: { env: PW } }
`

func TestConfigErrorsNamePlaceAndRemedy(t *testing.T) {
	if _, err := ParseConfig("a.yaml", []byte(good)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown key", "people:", "peoples: []\npeople:", "a.yaml:2:1: unknown field \"peoples\""},
		{"second document", "people:", "---\nlisten: x\n---\npeople:", "second YAML document"},
		{"no owner", "owner: mira", "owner: bob", "a.yaml:3:33: actors[0].owner: \"bob\" is not among people\n  add them"},
		{"plain password", "password: { env: PW }", "password: hunter2hunter2", "a.yaml:9:"},
		{"two sources", "{ env: PW }", "{ env: PW, file: x }", "names 2 sources"},
		{"beyond loopback", "127.0.0.1:6432", "0.0.0.0:6432", "a.yaml:7:13: gates[0].listen: listens beyond loopback without TLS"},
		{"no env", "    env: prod\n", "", "gates[0].env: is missing"},
		{"unknown gate", "type: postgres", "type: oracle", "write one of: postgres"},
		{"tls off to a far host", "host: 127.0.0.1", "host: db.example.com", "off is for loopback"},
		{"person twice", "[{ id: mira,", "[{ id: mira }, { id: mira,", "stands twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(good, c.from, c.to, 1)
			if text == good {
				t.Fatal("the case changes nothing")
			}
			_, err := ParseConfig("a.yaml", []byte(text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v\nwant  %s", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParseConfig("a.yaml", b) })
}
