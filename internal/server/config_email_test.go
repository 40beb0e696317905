package server

import (
	"strings"
	"testing"
)

func TestEmailConfig(t *testing.T) {
	const with = good + `channels:
  - name: mail
    email: { server: "smtp.example.com:587", user: assent, password: { env: PW }, from: "Assent <assent@example.com>" }
    routes: [{ to: reviewers }, { to: ops@example.com }]
`
	if _, err := ParseConfig("a.yaml", []byte(with)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"in clear", "server:", "tls: off, server:", "tls off is for a server on this machine"},
		{"no port", "com:587", "com", "is not host:port"},
		{"user alone", "password: { env: PW }, ", "", "and user belong together"},
		{"no sender", `from: "Assent <assent@example.com>"`, `from: assent`, "is no address"},
		{"a place that is none", "to: ops@example.com", `to: "#ops"`, "channels[0].routes[1].to"},
		{"a password in the file", "{ env: PW }", "hunter2", "a secret never stands in this file"},
		{"a person's address", "id: mira,", `id: mira, email: "Mira <mira@example.com>",`, "people[0].email"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(with, c.from, c.to, 1)
			if c.name == "in clear" {
				text = strings.Replace(text, "tls: off", `tls: "off"`, 1)
			}
			if c.name == "a password in the file" { // the first one is the gate's
				text = good + strings.Replace(strings.TrimPrefix(with, good), c.from, c.to, 1)
			}
			if text == with {
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
