package workload

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// algorithms are those with public keys. None, and HMAC with a public key as
// its secret, are not among them.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
}

// Bounds on what a token may hold.
const (
	maxClaims = 200
	maxNested = 6
)

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// A token was parsed, and until source.verify says so nothing in it is true.
type token struct {
	jws     *jose.JSONWebSignature
	alg     string
	kid     string
	typ     string
	claims  map[string]any // strings, json.Number, bool, nil, []any, map[string]any
	signed  string         // what the signature is over
	expires time.Time
}

func parse(text string) (*token, error) {
	if len(text) > maxToken {
		return nil, refuse("it is longer than %d bytes", maxToken)
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 || strings.ContainsFunc(text, func(r rune) bool { return r != '.' && !strings.ContainsRune(base64url, r) }) {
		return nil, refuse("it is not a signed JWT") // Go's decoder skips line breaks: one token would have many spellings
	}
	head, err := object(parts[0])
	if err != nil {
		return nil, refuse("its header: %v", err)
	}
	t := &token{signed: parts[0] + "." + parts[1]}
	for name, value := range head {
		text, _ := value.(string)
		switch name {
		case "alg":
			t.alg = text
		case "kid":
			t.kid = text
		case "typ":
			t.typ = text
		case "x5t", "x5t#S256": // which certificate signed: the key is found by kid
		default: // jku, x5u, jwk, x5c: keys of its own; crit, b64, zip: another reading
			return nil, refuse("its header holds %.20q", name)
		}
	}
	switch {
	case t.kid == "" || len(t.kid) > 256:
		return nil, refuse("its header names no key (kid)")
	case t.typ != "" && !strings.EqualFold(t.typ, "JWT") && t.typ != "JOSE":
		return nil, refuse("it is of another type (typ)")
	}
	if t.jws, err = jose.ParseSignedCompact(text, algorithms()); err != nil || len(t.jws.Signatures) != 1 {
		return nil, refuse("its algorithm is not one that is accepted, or its form is wrong")
	}
	if t.claims, err = object(parts[1]); err != nil {
		return nil, refuse("its claims: %v", err)
	}
	return t, nil
}

var errObject = errors.New("not one JSON object in base64url")

// object reads one JSON object so that no second parser could have read another.
func object(part string) (map[string]any, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || !utf8.Valid(raw) || !json.Valid(raw) || bytes.Contains(raw, []byte("\ufffd")) {
		return nil, errObject
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	n := 0
	v, err := value(dec, 0, &n)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errObject
	}
	return m, nil
}

// value reads one value of text that is valid JSON.
func value(dec *json.Decoder, depth int, n *int) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, errObject
	}
	if *n++; *n > maxClaims || depth > maxNested {
		return nil, errors.New("too many, or nested too deeply")
	}
	open, is := tok.(json.Delim)
	if !is {
		return tok, nil
	}
	if open == '[' {
		list := []any{}
		for dec.More() {
			v, err := value(dec, depth+1, n)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = dec.Token()
		return list, err
	}
	m := map[string]any{}
	seen := map[string]bool{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errObject
		}
		key, _ := name.(string)
		if seen[strings.ToLower(key)] {
			return nil, errors.New("a name stands in it twice, or in two spellings")
		}
		seen[strings.ToLower(key)] = true
		if m[key], err = value(dec, depth+1, n); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return m, err
}

// text is a claim that is a string, "" if it is none.
func (t *token) text(name string) string {
	s, _ := t.claims[name].(string)
	return s
}

// claim is a claim as text. A name with slashes leads into objects
// ("kubernetes.io/serviceaccount/name"); one that can be read both ways is none.
func (t *token) claim(name string) (string, bool) {
	v, plain := t.claims[name]
	var m any = t.claims
	nested := strings.Contains(name, "/")
	for _, part := range strings.Split(name, "/") {
		o, is := m.(map[string]any)
		if m, nested = o[part], nested && is; !nested {
			break
		}
	}
	switch {
	case nested && m != nil && plain:
		return "", false
	case nested && m != nil:
		v = m
	}
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// from reports whether the token says that it comes from a rule's issuer.
func (t *token) from(r *Rule) bool {
	if r.Type != SPIFFE {
		return t.text("iss") == r.Issuer
	}
	id, err := spiffeid.FromString(t.text("sub"))
	return err == nil && id.TrustDomain().IDString() == r.Issuer
}

// fits holds a token whose signature was checked against a rule.
func (t *token) fits(r *Rule, now time.Time) error {
	if err := t.audience(r.Audience); err != nil {
		return err
	}
	if err := t.times(r, now); err != nil {
		return err
	}
	if t.text("sub") == "" {
		return refuse("it names no subject (sub)")
	}
	for claim, pattern := range r.Match {
		if v, ok := t.claim(claim); !ok || !matches(pattern, v) {
			return refuse("its claim %s is not what rule %s asks for", claim, r.Name)
		}
	}
	return nil
}

func (t *token) audience(want string) error {
	switch aud := t.claims["aud"].(type) {
	case string:
		if aud == want {
			return nil
		}
	case []any:
		if len(aud) == 1 && aud[0] == want {
			return nil
		}
		if len(aud) > 1 {
			return refuse("it is good for several audiences (aud): ask for one with this one alone")
		}
	}
	return refuse("it is for another audience (aud)")
}

// times checks exp, nbf and iat with the allowed difference of clocks.
func (t *token) times(r *Rule, now time.Time) error {
	longest := r.TokenLife
	if longest == 0 {
		longest = defaultToken
	}
	exp, expOK := numericDate(t.claims["exp"])
	iat, iatOK := numericDate(t.claims["iat"])
	nbf, nbfOK := numericDate(t.claims["nbf"])
	began := iat
	if _, is := t.claims["iat"]; !is && r.Type == SPIFFE { // optional there
		began, iatOK = now, true
		if exp.Before(now) {
			began = exp
		}
	}
	_, hasNBF := t.claims["nbf"]
	switch {
	case !expOK || !iatOK || hasNBF && !nbfOK:
		return refuse("it has no proper times (exp, iat, nbf)")
	case !now.Before(exp.Add(Skew)):
		return refuse("it has expired: get a new one, and look at both clocks")
	case began.After(now.Add(Skew)) || hasNBF && nbf.After(now.Add(Skew)):
		return refuse("it is not valid yet: look at both clocks (more than %s apart)", Skew)
	case exp.Sub(began) > longest || exp.Before(began):
		return refuse("it lives longer than %s (exp, iat)", longest)
	}
	t.expires = exp
	return nil
}

// numericDate reads seconds since 1970 (RFC 7519 section 2).
func numericDate(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1<<40 || math.IsNaN(f) {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}

// once names this token: its jti, or the hash of what was signed. A signature
// alone can have two spellings, the bytes under it can't.
func (t *token) once() string {
	if id := t.text("jti"); id != "" {
		return "jti:" + id
	}
	sum := sha256.Sum256([]byte(t.signed))
	return "sha256:" + hex.EncodeToString(sum[:])
}
