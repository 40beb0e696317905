package sigv4

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"time"
)

// WantsBody reports whether the signature is over a hash of the body that the request
// doesn't tell, so that Verify needs it.
func (s *Shown) WantsBody() bool { return s.Payload == "" }

// A Proof is a signature that held. It goes on to verify the body.
type Proof struct {
	*Shown
	chain chain
}

// Verify checks the signature with the secret of s.KeyID, and the request's time. body is
// the hash of the body, nil where WantsBody is false. The caller compares s.Scope.Service
// and s.Scope.Region with what the request is for.
func (s *Shown) Verify(secret string, now time.Time, body *[32]byte) (*Proof, error) {
	if secret == "" {
		return nil, denied("there is no secret to verify with")
	}
	payload := s.Payload
	if payload == "" {
		if body == nil {
			return nil, fmt.Errorf("verifying a signature: the body's hash is needed, and was not given")
		}
		payload = hex.EncodeToString(body[:])
	}
	q, err := parseQuery(s.request.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	text, err := canonicalRequest(s.request, q, s.Signed, payload, s.Scope.Service == "s3")
	if err != nil {
		return nil, err
	}
	p := &Proof{Shown: s, chain: chain{key: signingKey(secret, s.Scope), at: s.Time, sc: s.Scope}}
	if !hmac.Equal(p.chain.request(text), s.signature) {
		return nil, mismatch("the signature is not the one that the key's secret makes for this request")
	}
	// Only who holds the key learns that the time is wrong.
	switch d := now.Sub(s.Time); {
	case d < -Skew, s.Expires == 0 && d > Skew:
		return nil, &Error{"RequestTimeTooSkewed", "the request's time is more than five minutes from the time here"}
	case s.Expires > 0 && d > s.Expires:
		return nil, denied("the presigned request has expired")
	}
	return p, nil
}
