package oidc

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestEmail: an address counts once its issuer says that it has verified it.
func TestEmail(t *testing.T) {
	for doc, want := range map[string]string{
		`{"email":"mira@example.com","email_verified":true}`:                             "mira@example.com",
		`{"email":"mira@example.com","email_verified":"true"}`:                           "mira@example.com",
		`{"email":"mira@example.com","email_verified":false}`:                            "",
		`{"email":"mira@example.com","email_verified":"yes"}`:                            "",
		`{"email":"mira@example.com","email_verified":1}`:                                "",
		`{"email":"mira@example.com"}`:                                                   "",
		`{"email_verified":true}`:                                                        "",
		`{"email":["mira@example.com"],"email_verified":true}`:                           "",
		`{"email":"Mira <mira@example.com>","email_verified":true}`:                      "",
		`{"email":"mira@example.com, eve@evil.example","email_verified":true}`:           "",
		`{"email":"mira@example.com\r\nBcc: eve@evil.example","email_verified":true}`:    "",
		`{"email":"` + strings.Repeat("m", 300) + `@example.com","email_verified":true}`: "",
	} {
		var c claims
		if err := json.Unmarshal([]byte(doc), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.email(); got != want {
			t.Errorf("%.80s: %q, want %q", doc, got, want)
		}
	}
}
