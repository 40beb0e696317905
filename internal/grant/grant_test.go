package grant_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/grant"
)

const (
	issuer   = "https://assent.example"
	audience = "postgres:billing/prod/customers"
)

var now = time.Date(2026, 11, 22, 3, 4, 5, 678e6, time.UTC)

func newMinter(t testing.TB) (*grant.Minter, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "grant.keys")
	m, err := grant.NewMinter(path, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return m, path
}

func sample() grant.Claims {
	return grant.Claims{
		ID: "gr_1", Audience: audience, Subject: "person:bea",
		Actors: []string{"agent:nightly-exporter", "pipeline:nightly", "service:scheduler"},
		Issued: now, Expires: now.Add(10 * time.Minute),
		Digest: "sha256:" + strings.Repeat("ab", 32), Kinds: []string{"data.read", "data.export"},
		MaxRows: 18234, Policy: "sha256:beef", Approval: "apr_1", LogIndex: 42, KeyID: "cred_7",
		Reviews: []grant.ReviewedBy{{Person: "person:mira", Channel: "console", Assurance: "passkey", Time: now}},
	}
}

func mint(t testing.TB, m *grant.Minter, c grant.Claims) string {
	t.Helper()
	token, err := m.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// parts decodes a compact JWS without any JOSE library.
func parts(t testing.TB, token string) (header, payload, sig []byte, signed string) {
	t.Helper()
	p := strings.Split(token, ".")
	if len(p) != 3 {
		t.Fatalf("%d parts", len(p))
	}
	var out [3][]byte
	for i := range p {
		var err error
		if out[i], err = base64.RawURLEncoding.Strict().DecodeString(p[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out[0], out[1], out[2], p[0] + "." + p[1]
}

func TestRoundTrip(t *testing.T) {
	m, _ := newMinter(t)
	for name, c := range map[string]grant.Claims{
		"everything": sample(),
		"no bound":   func() grant.Claims { c := sample(); c.MaxRows = -1; return c }(),
		"zero rows":  func() grant.Claims { c := sample(); c.MaxRows = 0; return c }(),
		"allowed outright": {
			ID: "gr_2", Audience: audience, Actors: []string{"agent:a"}, Issued: now, Expires: now.Add(time.Minute),
			Digest: sample().Digest, MaxRows: -1,
		},
	} {
		got, err := m.Verify(mint(t, m, c), audience, now.Add(30*time.Second))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c.Issuer, c.Issued, c.Expires = issuer, c.Issued.Truncate(time.Second), c.Expires.Truncate(time.Second)
		if d := cmp.Diff(c, *got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// The token is a plain JWT by the standards' names, and the signature holds
// for the standard library without any JOSE library between.
func TestTokenByOtherMeans(t *testing.T) {
	m, _ := newMinter(t)
	header, payload, sig, signed := parts(t, mint(t, m, sample()))
	var jwks struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(m.JWKS(), &jwks); err != nil || len(jwks.Keys) != 1 {
		t.Fatalf("%v: %s", err, m.JWKS())
	}
	k := jwks.Keys[0]
	x, err := base64.RawURLEncoding.DecodeString(k["x"].(string))
	if err != nil || !ed25519.Verify(x, []byte(signed), sig) {
		t.Error("crypto/ed25519 refuses the signature")
	}
	want := map[string]any{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": m.KeyID(), "x": k["x"]}
	if d := cmp.Diff(want, k); d != "" {
		t.Errorf("JWKS: %s", d)
	}
	if got, want := string(header), `{"alg":"EdDSA","kid":"`+m.KeyID()+`","typ":"assent-grant+jwt"}`; got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	var claims any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	d := cmp.Diff(map[string]any{
		"iss": issuer, "aud": audience, "sub": "person:bea", "jti": "gr_1",
		"iat": 1795316645.0, "nbf": 1795316645.0, "exp": 1795317245.0,
		"act": map[string]any{"sub": "agent:nightly-exporter", "act": map[string]any{
			"sub": "pipeline:nightly", "act": map[string]any{"sub": "service:scheduler"},
		}},
		"cnf": map[string]any{"kid": "cred_7"},
		"authorization_details": []any{map[string]any{
			"type": "assent_action", "digest": sample().Digest, "kinds": []any{"data.read", "data.export"},
			"bounds": map[string]any{"rows": 18234.0}, "policy": "sha256:beef", "approval": "apr_1", "log_index": 42.0,
			"reviews": []any{map[string]any{"person": "person:mira", "channel": "console", "assurance": "passkey", "time": now.Format(time.RFC3339Nano)}},
		}},
	}, claims)
	if d != "" {
		t.Errorf("claims: %s", d)
	}
}

func TestMintRefuses(t *testing.T) {
	m, _ := newMinter(t)
	for name, change := range map[string]func(*grant.Claims){
		"eleven minutes":   func(c *grant.Claims) { c.Expires = c.Issued.Add(11 * time.Minute) },
		"a moment longer":  func(c *grant.Claims) { c.Expires = c.Issued.Add(10*time.Minute + 1) },
		"no life":          func(c *grant.Claims) { c.Expires = c.Issued },
		"a life backwards": func(c *grant.Claims) { c.Expires = c.Issued.Add(-time.Hour) },
		"no times":         func(c *grant.Claims) { c.Issued, c.Expires = time.Time{}, time.Time{} },
		"no id":            func(c *grant.Claims) { c.ID = "" },
		"no audience":      func(c *grant.Claims) { c.Audience = "" },
		"nobody":           func(c *grant.Claims) { c.Subject, c.Actors = "", nil },
		"no digest":        func(c *grant.Claims) { c.Digest = "" },
		"short digest":     func(c *grant.Claims) { c.Digest = "sha256:ab" },
		"other issuer":     func(c *grant.Claims) { c.Issuer = "https://other.example" },
		"bound below -1":   func(c *grant.Claims) { c.MaxRows = -2 },
		"negative index":   func(c *grant.Claims) { c.LogIndex = -1 },
		"zero claims":      func(c *grant.Claims) { *c = grant.Claims{} },
	} {
		c := sample()
		change(&c)
		if token, err := m.Mint(c); err == nil {
			t.Errorf("%s: minted %s", name, token)
		}
	}
}

func TestTimeAndAudience(t *testing.T) {
	m, _ := newMinter(t)
	token := mint(t, m, sample())
	issued := now.Truncate(time.Second)
	for _, c := range []struct {
		aud string
		at  time.Time
		ok  bool
	}{
		{audience, issued, true},
		{audience, issued.Add(10*time.Minute - 1), true},
		{audience, issued.Add(10 * time.Minute), false},
		{audience, issued.Add(time.Hour), false},
		{audience, issued.Add(-5 * time.Second), true},
		{audience, issued.Add(-6 * time.Second), false},
		{audience, time.Time{}, false},
		{audience + "x", issued, false},
		{strings.ToUpper(audience), issued, false},
		{"", issued, false},
	} {
		if _, err := m.Verify(token, c.aud, c.at); (err == nil) != c.ok {
			t.Errorf("for %q at %v: %v, want ok %v", c.aud, c.at, err, c.ok)
		}
	}
}

// private reads the signing key out of the key file, to forge with.
func private(t testing.TB, path string) jose.JSONWebKey {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(b, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys[len(set.Keys)-1]
}

// seal signs any header and payload with our own key: what a bug of ours, or
// another kind of token under the same key, might bring about.
func seal(t testing.TB, key ed25519.PrivateKey, header map[string]any, payload []byte) string {
	t.Helper()
	h, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	signed := base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(payload)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(signed)))
}

func TestConfusionMatrix(t *testing.T) {
	m, path := newMinter(t)
	key := private(t, path)
	priv := key.Key.(ed25519.PrivateKey)
	token := mint(t, m, sample())
	_, payload, sig, _ := parts(t, token)
	good := map[string]any{"alg": "EdDSA", "kid": m.KeyID(), "typ": "assent-grant+jwt"}
	with := func(name string, value any) map[string]any {
		h := maps.Clone(good)
		h[name] = value
		if value == nil {
			delete(h, name)
		}
		return h
	}
	if _, err := m.Verify(seal(t, priv, good, payload), audience, now); err != nil {
		t.Fatalf("the forger's own method doesn't work: %v", err)
	}
	cases := map[string]string{
		"alg none":             seal(t, priv, with("alg", "none"), payload),
		"alg HS256":            seal(t, priv, with("alg", "HS256"), payload),
		"alg ES256":            seal(t, priv, with("alg", "ES256"), payload),
		"alg eddsa":            seal(t, priv, with("alg", "eddsa"), payload),
		"alg Ed25519":          seal(t, priv, with("alg", "Ed25519"), payload),
		"no alg":               seal(t, priv, with("alg", nil), payload),
		"typ JWT":              seal(t, priv, with("typ", "JWT"), payload),
		"typ at+jwt":           seal(t, priv, with("typ", "at+jwt"), payload),
		"typ in capitals":      seal(t, priv, with("typ", "ASSENT-GRANT+JWT"), payload),
		"typ with application": seal(t, priv, with("typ", "application/assent-grant+jwt"), payload),
		"no typ":               seal(t, priv, with("typ", nil), payload),
		"no kid":               seal(t, priv, with("kid", nil), payload),
		"unknown kid":          seal(t, priv, with("kid", "../../dev/null"), payload),
		"jku":                  seal(t, priv, with("jku", "https://evil.example/jwks"), payload),
		"x5u":                  seal(t, priv, with("x5u", "https://evil.example/cert"), payload),
		"x5c":                  seal(t, priv, with("x5c", []string{"AAAA"}), payload),
		"jwk":                  seal(t, priv, with("jwk", json.RawMessage(m.JWKS())), payload),
		"crit":                 seal(t, priv, with("crit", []string{"exp"}), payload),
		"crit b64":             seal(t, priv, map[string]any{"alg": "EdDSA", "kid": m.KeyID(), "typ": "assent-grant+jwt", "crit": []string{"b64"}, "b64": false}, payload),
		"cty":                  seal(t, priv, with("cty", "JWT"), payload),
		"no signature":         token[:strings.LastIndexByte(token, '.')+1],
		"two parts":            token[:strings.LastIndexByte(token, '.')],
		"four parts":           token + ".AAAA",
		"padded signature":     token + "==",
		"leading space":        " " + token,
		"JSON serialization": `{"payload":"` + base64.RawURLEncoding.EncodeToString(payload) + `","protected":"` + strings.Split(token, ".")[0] +
			`","signature":"` + base64.RawURLEncoding.EncodeToString(sig) + `"}`,
		"empty": "",
		"huge":  strings.Repeat("A", 100_000) + "." + strings.Repeat("A", 1000) + ".AA",
	}
	hs := seal(t, priv, with("alg", "HS256"), payload)
	mac := hmac.New(sha256.New, priv.Public().(ed25519.PublicKey))
	mac.Write([]byte(hs[:strings.LastIndexByte(hs, '.')]))
	cases["HS256 with the public key as secret"] = hs[:strings.LastIndexByte(hs, '.')+1] + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cases["a stranger's key under our kid"] = seal(t, stranger, good, payload)
	for name, text := range map[string]string{
		"trailing claims":       string(payload) + `{}`,
		"unknown claim":         strings.Replace(string(payload), `"jti"`, `"scope":"*","jti"`, 1),
		"unknown bound":         strings.Replace(string(payload), `"bounds":{`, `"bounds":{"objects":1,`, 1),
		"audience list":         strings.Replace(string(payload), `"aud":"`+audience+`"`, `"aud":["`+audience+`"]`, 1),
		"two actions":           strings.Replace(string(payload), `"authorization_details":[`, `"authorization_details":[{"type":"assent_action"},`, 1),
		"no action":             strings.Replace(string(payload), "assent_action", "payment_initiation", 1),
		"another issuer":        strings.Replace(string(payload), issuer, "https://other.example", 1),
		"a longer life":         strings.Replace(string(payload), `"exp":1795317245`, `"exp":1795317246`, 1),
		"a life that wraps":     strings.Replace(string(payload), `"iat":1795316645`, `"iat":-9223372036854775808`, 1),
		"expiry as text":        strings.Replace(string(payload), `"exp":1795317245`, `"exp":"1795317245"`, 1),
		"no expiry":             strings.Replace(string(payload), `"exp":1795317245,`, ``, 1),
		"valid before issued":   strings.Replace(string(payload), `"nbf":1795316645`, `"nbf":1`, 1),
		"negative row bound":    strings.Replace(string(payload), `"rows":18234`, `"rows":-1`, 1),
		"no digest":             strings.Replace(string(payload), `"digest":"sha256:`, `"digest":"sha512:`, 1),
		"not an object":         `"x"`,
		"null":                  `null`,
		"claims of an ID token": `{"iss":"` + issuer + `","aud":"` + audience + `","sub":"x","exp":1795317245,"iat":1795316645}`,
	} {
		if text == string(payload) {
			t.Errorf("%s: nothing was changed", name)
		}
		cases[name] = seal(t, priv, good, []byte(text))
	}
	for name, forged := range cases {
		if c, err := m.Verify(forged, audience, now); err == nil {
			t.Errorf("%s: accepted %+v", name, c)
		}
	}
}

func TestTokenChangedAtEveryByte(t *testing.T) {
	m, _ := newMinter(t)
	token := mint(t, m, sample())
	for i := range token {
		for bit := range 7 {
			bad := []byte(token)
			bad[i] ^= 1 << bit
			if _, err := m.Verify(string(bad), audience, now); err == nil {
				t.Errorf("bit %d of byte %d changed: it passes", bit, i)
			}
		}
	}
}

func TestForeignJWKS(t *testing.T) {
	m, path := newMinter(t)
	token := mint(t, m, sample())
	key := private(t, path)
	if _, err := evidence.VerifyGrant(token, m.JWKS(), audience, now); err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub := key.Public()
	for name, set := range map[string]jose.JSONWebKeySet{
		"no keys":         {},
		"kid twice":       {Keys: []jose.JSONWebKey{pub, pub}},
		"RSA key":         {Keys: []jose.JSONWebKey{{Key: rsaKey.Public(), KeyID: m.KeyID(), Algorithm: "EdDSA", Use: "sig"}}},
		"symmetric key":   {Keys: []jose.JSONWebKey{{Key: []byte("secret"), KeyID: m.KeyID(), Algorithm: "EdDSA", Use: "sig"}}},
		"private key":     {Keys: []jose.JSONWebKey{key}},
		"for encryption":  {Keys: []jose.JSONWebKey{{Key: pub.Key, KeyID: m.KeyID(), Algorithm: "EdDSA", Use: "enc"}}},
		"other algorithm": {Keys: []jose.JSONWebKey{{Key: pub.Key, KeyID: m.KeyID(), Algorithm: "HS256", Use: "sig"}}},
	} {
		b, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := evidence.VerifyGrant(token, b, audience, now); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, text := range []string{"", "null", "[]", "{}", "<html>"} {
		if _, err := evidence.VerifyGrant(token, []byte(text), audience, now); err == nil {
			t.Errorf("JWKS %q: accepted", text)
		}
	}
}

func TestRotation(t *testing.T) {
	m, path := newMinter(t)
	first, secret := m.KeyID(), private(t, path)
	old := mint(t, m, sample())
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 20 {
				if _, err := m.Verify(mint(t, m, sample()), audience, now); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		if err := m.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	workers.Wait()
	again, err := grant.NewMinter(path, issuer)
	if err != nil {
		t.Fatal(err)
	}
	if again.KeyID() != m.KeyID() || again.KeyID() == first || string(again.JWKS()) != string(m.JWKS()) {
		t.Error("a restart finds other keys")
	}
	for _, token := range []string{old, mint(t, m, sample())} {
		if _, err := again.Verify(token, audience, now); err != nil {
			t.Error(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := base64.RawURLEncoding.EncodeToString(secret.Key.(ed25519.PrivateKey).Seed())
	if strings.Contains(string(b), d) {
		t.Error("the retired key's private half is still in the file")
	}
	if strings.Count(string(b), `"d"`) != 1 || strings.Contains(string(m.JWKS()), `"d"`) {
		t.Error("not exactly one private key in the file, or one in the JWKS")
	}
}

func TestKeyFile(t *testing.T) {
	m, path := newMinter(t)
	if err := m.Rotate(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seed := base64.RawURLEncoding.EncodeToString(private(t, path).Key.(ed25519.PrivateKey).Seed())
	for name, bad := range map[string]string{
		"empty":           "",
		"no keys":         `{"keys":[]}`,
		"cut":             string(good[:len(good)/2]),
		"unknown field":   strings.Replace(string(good), `"keys"`, `"more":1,"keys"`, 1),
		"kid changed":     strings.Replace(string(good), m.KeyID(), strings.Repeat("x", 43), 1),
		"only public":     string(m.JWKS()),
		"damaged private": strings.Replace(string(good), seed[:10], "!!!!!!!!!!", 1),
	} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := grant.NewMinter(path, issuer)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), seed[10:20]) {
			t.Errorf("%s: the error holds the key", name)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != bad {
			t.Errorf("%s: the file was overwritten", name)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := grant.NewMinter(path, issuer); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key file that others can read: %v", err)
	}
	if _, err := grant.NewMinter(path, ""); err == nil {
		t.Error("a minter without an issuer")
	}
}

func FuzzVerify(f *testing.F) {
	m, _ := newMinter(f)
	token := mint(f, m, sample())
	f.Add(token)
	f.Add("e30.e30.")
	f.Add(`{"payload":"","protected":"","signature":""}`)
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := m.Verify(s, audience, now); err == nil && s != token {
			t.Fatalf("forged: %s", s)
		}
	})
}

func BenchmarkMint(b *testing.B) {
	m, _ := newMinter(b)
	for b.Loop() {
		mint(b, m, sample())
	}
}

func BenchmarkVerify(b *testing.B) {
	m, _ := newMinter(b)
	token := mint(b, m, sample())
	for b.Loop() {
		if _, err := m.Verify(token, audience, now); err != nil {
			b.Fatal(err)
		}
	}
}
