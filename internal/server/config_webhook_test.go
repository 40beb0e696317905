package server

import (
	"strings"
	"testing"
)

const withWebhook = good + `channels:
  - name: siem
    webhook: { url: "https://siem.example.com/in", secrets: [{ env: A }, { file: b }] }
    routes: [{ to: all, risk: high, notices: [alarm] }]
`

func TestWebhookConfig(t *testing.T) {
	if _, err := ParseConfig("a.yaml", []byte(withWebhook)); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"unsigned", ", secrets: [{ env: A }, { file: b }]", "", "channels[0].webhook.secrets: are missing"},
		{"no address", `url: "https://siem.example.com/in", `, "", "channels[0].webhook.url: is missing"},
		{"no such format", "url:", "format: smoke, url:", `"smoke" is no format`},
		{"no key", "url:", "format: jira, url:", "channels[0].webhook.key: is missing"},
		{"two sources", "{ env: A }", "{ env: A, file: c }", "secrets[0]: names 2 sources"},
		{"a secret in the file", "{ env: A }", "hunter2", "a secret never stands in this file"},
		{"no place", "to: all, ", "", "routes[0].to: is missing"},
		{"no kind", `webhook: { url: "https://siem.example.com/in", secrets: [{ env: A }, { file: b }] }`, "", "names 0 kinds of channel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(withWebhook, c.from, c.to, 1)
			if text == withWebhook {
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
