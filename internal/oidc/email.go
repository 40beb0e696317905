package oidc

import (
	"encoding/json"
	"net/mail"
)

// email is the address that the issuer says it has verified; "" for any other.
// Some issuers write the yes as a text.
func (c claims) email() string {
	var address string
	if json.Unmarshal(c["email"], &address) != nil || len(address) > 254 || !clean(address) {
		return ""
	}
	if v := string(c["email_verified"]); v != "true" && v != `"true"` {
		return ""
	}
	if a, err := mail.ParseAddress(address); err != nil || a.Address != address {
		return ""
	}
	return address
}
