// Package grant mints and verifies the signed, single-use token that lets
// exactly one approved action run once: a JWS (EdDSA, typ assent-grant+jwt)
// with the action digest and its bounds in authorization_details (RFC 9396).
package grant

import "time"

// Claims are what a grant says.
type Claims struct {
	ID       string // jti
	Issuer   string
	Audience string // resource URN
	Subject  string
	Actors   []string // the chain, the acting one first (RFC 8693 act)
	Issued   time.Time
	Expires  time.Time // at most ten minutes after Issued

	Digest   string // action digest
	Kinds    []string
	MaxRows  int64             // -1: no bound
	Masks    map[string]string // class → method: what must be masked in what comes back
	Policy   string
	Approval string
	Reviews  []ReviewedBy
	LogIndex int64  // audit index of the "execution started" record
	KeyID    string // RFC 7800 cnf: thumbprint or id of the asking credential
}

// ReviewedBy says who reviewed, how and when.
type ReviewedBy struct {
	Person    string    `json:"person"`
	Channel   string    `json:"channel"`
	Assurance string    `json:"assurance"`
	Time      time.Time `json:"time"`
}
