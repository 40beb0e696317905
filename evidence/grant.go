package evidence

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The fixed words of a grant.
const (
	GrantType   = "assent-grant+jwt" // JWS typ: a token of any other type is no grant
	GrantDetail = "assent_action"    // RFC 9396 authorization_details type
)

// MaxGrantLife is the longest that a grant may live.
const MaxGrantLife = 10 * time.Minute

// grantSkew is how far behind the minting clock the verifier's may be. There
// is no tolerance at the other end: an expired grant is expired.
const grantSkew = 5 * time.Second

const maxGrant = 64 << 10

// A Grant is what a grant token says: these claims are its JSON.
type Grant struct {
	Issuer   string        `json:"iss"`
	Audience string        `json:"aud"` // URN of the one resource it is for
	Subject  string        `json:"sub,omitempty"`
	Actor    *GrantActor   `json:"act,omitempty"` // the acting one; its own actor is nested (RFC 8693 section 4.1)
	ID       string        `json:"jti"`
	Issued   int64         `json:"iat"` // seconds since 1970, as the next two
	Earliest int64         `json:"nbf"`
	Expires  int64         `json:"exp"`
	Confirm  *GrantConfirm `json:"cnf,omitempty"`
	Details  []GrantAction `json:"authorization_details"` // exactly one
}

// A GrantActor is one link of the delegation chain.
type GrantActor struct {
	Subject string      `json:"sub"`
	Actor   *GrantActor `json:"act,omitempty"`
}

// A GrantConfirm names the credential that asked (RFC 7800).
type GrantConfirm struct {
	KeyID string `json:"kid"`
}

// A GrantAction is the action a grant lets run (RFC 9396).
type GrantAction struct {
	Type     string        `json:"type"`
	Digest   string        `json:"digest"` // "sha256:" and 64 hexadecimal digits
	Kinds    []string      `json:"kinds"`
	Bounds   GrantBounds   `json:"bounds"`
	Policy   string        `json:"policy,omitempty"`
	Approval string        `json:"approval,omitempty"`
	Reviews  []GrantReview `json:"reviews,omitempty"`
	LogIndex int64         `json:"log_index"` // of its "execution started" record
}

// GrantBounds are the limits under which it may run.
type GrantBounds struct {
	Rows *int64 `json:"rows,omitempty"` // most rows it may touch; nil: no bound
	// Masks are the least that is masked in what comes back: class to method.
	Masks map[string]string `json:"masks,omitempty"`
}

// A GrantReview says who reviewed, how and when.
type GrantReview struct {
	Person    string    `json:"person"`
	Channel   string    `json:"channel"`
	Assurance string    `json:"assurance"`
	Time      time.Time `json:"time"`
}

// VerifyGrant checks a grant offline against the issuer's JWKS: signature,
// type, audience, time and form. It says that the grant is authentic, not that
// it wasn't used before. The caller compares Issuer, and the digest with the
// action at hand.
func VerifyGrant(token string, jwks []byte, audience string, now time.Time) (*Grant, error) {
	if len(token) > maxGrant {
		return nil, fmt.Errorf("verifying grant: %d bytes are too many", len(token))
	}
	kid, err := grantHeader(token)
	if err != nil {
		return nil, fmt.Errorf("verifying grant: %w", err)
	}
	key, err := findKey(jwks, kid)
	if err != nil {
		return nil, fmt.Errorf("verifying grant: %w", err)
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, fmt.Errorf("verifying grant: %w", err)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, fmt.Errorf("verifying grant: %w", err)
	}
	g, err := parseGrant(payload)
	if err != nil {
		return nil, fmt.Errorf("verifying grant: %w", err)
	}
	if err := g.check(audience, now); err != nil {
		return nil, fmt.Errorf("verifying grant %s: %w", g.ID, err)
	}
	return g, nil
}

// grantHeader accepts exactly the header we write. jku, x5u, jwk, crit, b64,
// another typ, another alg: each is a difference, and a difference is refused
// before any of it can steer a library.
func grantHeader(token string) (kid string, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("not a compact JWS")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil {
		return "", errors.New("its header isn't base64url")
	}
	var h struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
		Typ string `json:"typ"`
	}
	if err := strictJSON(raw, &h); err != nil {
		return "", errors.New("its header isn't one of ours")
	}
	again, err := json.Marshal(h)
	if err != nil || !bytes.Equal(again, raw) || h.Alg != "EdDSA" || h.Typ != GrantType || h.Kid == "" {
		return "", fmt.Errorf("its header isn't exactly alg EdDSA, a kid and typ %s", GrantType)
	}
	// A second spelling of the same signature would be a second token.
	if _, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
		return "", errors.New("its signature isn't base64url")
	}
	return h.Kid, nil
}

func findKey(jwks []byte, kid string) (ed25519.PublicKey, error) {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(jwks, &set); err != nil {
		return nil, fmt.Errorf("reading JWKS: %w", err)
	}
	found := set.Key(kid)
	if len(found) != 1 {
		return nil, fmt.Errorf("%d keys in the JWKS have its kid", len(found))
	}
	k := found[0]
	pub, ok := k.Key.(ed25519.PublicKey)
	if !ok || k.Algorithm != "EdDSA" || k.Use != "sig" {
		return nil, errors.New("the key with its kid isn't an Ed25519 key for signatures")
	}
	return pub, nil
}

// parseGrant refuses unknown fields: a bound that this code doesn't know is a bound it would break.
func parseGrant(payload []byte) (*Grant, error) {
	g := new(Grant)
	if err := strictJSON(payload, g); err != nil {
		return nil, fmt.Errorf("reading claims: %w", err)
	}
	if len(g.Details) != 1 || g.Details[0].Type != GrantDetail {
		return nil, fmt.Errorf("it doesn't carry exactly one %s", GrantDetail)
	}
	return g, nil
}

func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.InputOffset() != int64(len(b)) {
		return errors.New("something follows the JSON")
	}
	return nil
}

func (g *Grant) check(audience string, now time.Time) error {
	d := g.Details[0]
	hexDigest, ok := strings.CutPrefix(d.Digest, "sha256:")
	sum, err := hex.DecodeString(hexDigest)
	switch {
	case g.Audience == "" || g.Audience != audience:
		return errors.New("it is for another audience")
	case g.ID == "" || g.Issuer == "" || (g.Subject == "" && g.Actor == nil):
		return errors.New("it names no id, issuer or asker")
	case !ok || err != nil || len(sum) != 32:
		return errors.New("it has no action digest")
	case d.Bounds.Rows != nil && *d.Bounds.Rows < 0:
		return errors.New("its row bound is negative")
	case g.Issued < 0 || g.Expires <= g.Issued || g.Earliest < g.Issued, // in this order the next line can't wrap
		g.Expires-g.Issued > int64(MaxGrantLife/time.Second):
		return errors.New("its times don't fit together")
	case !now.Before(time.Unix(g.Expires, 0)):
		return errors.New("it has expired")
	case now.Add(grantSkew).Before(time.Unix(g.Earliest, 0)):
		return errors.New("it isn't valid yet")
	}
	return nil
}
