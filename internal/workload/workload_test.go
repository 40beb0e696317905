package workload_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/assenthq/assent/internal/workload"
	"github.com/assenthq/assent/internal/workload/workloadtest"
)

const aud = "https://assent.example.com"

var ctx = context.Background()

func ruleOf(i *workloadtest.Issuer) workload.Rule {
	return workload.Rule{
		Name: "deploy", Type: workload.OIDC, Issuer: i.URL, Audience: aud, Actor: "pipeline:deployer",
		Match: map[string]string{"sub": "repo:acme/shop:ref:refs/heads/*"},
	}
}

func verifier(t testing.TB, rules ...workload.Rule) *workload.Verifier {
	t.Helper()
	v, err := workload.New(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refused says that a token isn't taken, and that the refusal names a part of the reason.
func refused(t *testing.T, what string, err error, why string) {
	t.Helper()
	if err == nil || !errors.Is(err, workload.ErrRefused) || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: %v, want a refusal that says %q", what, err, why)
	}
}

func TestAGoodToken(t *testing.T) {
	i := workloadtest.New(t)
	v := verifier(t, ruleOf(i))
	claims := i.Claims(aud, nil)
	p, err := v.Verify(ctx, i.Sign(t, claims), "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Rule.Actor != "pipeline:deployer" || p.Once == "" || p.Person != "" || p.Subject != claims["sub"] || p.Expires.Unix() != claims["exp"] {
		t.Errorf("proved %+v", p)
	}
	if !v.Holds("deploy", "pipeline:deployer") || v.Holds("deploy", "agent:x") || v.Holds("gone", "pipeline:deployer") {
		t.Error("what a rule holds")
	}
}

// Every claim of a good token, changed in every way that matters.
func TestBadClaims(t *testing.T) {
	i := workloadtest.New(t)
	v := verifier(t, ruleOf(i))
	now := time.Now().Unix()
	for name, c := range map[string]struct {
		change map[string]any
		why    string
	}{
		"another issuer":        {map[string]any{"iss": "https://evil.example.com"}, "no rule"},
		"issuer with a slash":   {map[string]any{"iss": i.URL + "/"}, "no rule"},
		"no issuer":             {map[string]any{"iss": nil}, "no rule"},
		"issuer as a list":      {map[string]any{"iss": []string{i.URL}}, "no rule"},
		"another audience":      {map[string]any{"aud": "https://other.example.com"}, "another audience"},
		"audience with a slash": {map[string]any{"aud": aud + "/"}, "another audience"},
		"no audience":           {map[string]any{"aud": nil}, "another audience"},
		"two audiences":         {map[string]any{"aud": []string{aud, "https://other.example.com"}}, "several audiences"},
		"no audiences":          {map[string]any{"aud": []string{}}, "another audience"},
		"audience as an object": {map[string]any{"aud": map[string]any{"a": aud}}, "another audience"},
		"expired":               {map[string]any{"exp": now - 61, "iat": now - 300}, "expired"},
		"no expiry":             {map[string]any{"exp": nil}, "proper times"},
		"expiry as text":        {map[string]any{"exp": fmt.Sprint(now + 300)}, "proper times"},
		"expiry without end":    {map[string]any{"exp": 1e300}, "proper times"},
		"negative times":        {map[string]any{"iat": -1}, "proper times"},
		"no issue time":         {map[string]any{"iat": nil}, "proper times"},
		"issued in the future":  {map[string]any{"iat": now + 90, "exp": now + 300}, "not valid yet"},
		"not yet":               {map[string]any{"nbf": now + 90}, "not valid yet"},
		"nbf as text":           {map[string]any{"nbf": "0"}, "proper times"},
		"lives for a day":       {map[string]any{"exp": now + 86400}, "lives longer"},
		"ends before it begins": {map[string]any{"iat": now + 30, "exp": now}, "lives longer"},
		"no subject":            {map[string]any{"sub": nil}, "no subject"},
		"another subject":       {map[string]any{"sub": "repo:evil/shop:ref:refs/heads/main"}, "claim sub"},
		"a branch's child":      {map[string]any{"sub": "repo:acme/shop:ref:refs/heads/a/b"}, "claim sub"},
		"a pull request":        {map[string]any{"sub": "repo:acme/shop:pull_request"}, "claim sub"},
		"subject as a list":     {map[string]any{"sub": []string{"repo:acme/shop:ref:refs/heads/main"}}, "no subject"},
	} {
		_, err := v.Verify(ctx, i.Sign(t, i.Claims(aud, c.change)), "")
		refused(t, name, err, c.why)
	}
	for name, change := range map[string]map[string]any{
		"one audience in a list": {"aud": []string{aud}},
		"a minute of skew":       {"exp": now - 50, "iat": now - 200},
		"issued a bit ahead":     {"iat": now + 50, "nbf": now + 50},
		"another branch":         {"sub": "repo:acme/shop:ref:refs/heads/x"},
		"no nbf":                 {"nbf": nil},
	} {
		if _, err := v.Verify(ctx, i.Sign(t, i.Claims(aud, change)), ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Signatures, algorithms and headers.
func TestForgedTokens(t *testing.T) {
	i, other := workloadtest.New(t), workloadtest.New(t)
	v := verifier(t, ruleOf(i))
	claims := i.Claims(aud, nil)
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	kid, key := i.Key()
	_, theirs := other.Key()
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := i.Sign(t, claims)
	b64 := base64.RawURLEncoding.EncodeToString
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"none":                     b64([]byte(`{"alg":"none","kid":"`+kid+`"}`)) + "." + b64(body) + ".",
		"None":                     b64([]byte(`{"alg":"None","kid":"`+kid+`"}`)) + "." + b64(body) + "." + parts[2],
		"HMAC by the public key":   workloadtest.Sign(t, jose.HS256, point, kid, body, nil),
		"HMAC by the key set":      workloadtest.Sign(t, jose.HS256, i.KeySet("sig"), kid, body, nil),
		"another's key":            workloadtest.Sign(t, jose.ES256, theirs, kid, body, nil),
		"another's key and kid":    other.SignRaw(t, body, nil),
		"a key it brings itself":   workloadtest.Sign(t, jose.ES256, theirs, kid, body, map[string]any{"jwk": jose.JSONWebKey{Key: theirs.Public()}}),
		"the address of a key":     i.SignRaw(t, body, map[string]any{"jku": other.URL + "/keys"}),
		"the address of a chain":   i.SignRaw(t, body, map[string]any{"x5u": other.URL}),
		"an unknown header":        i.SignRaw(t, body, map[string]any{"b64x": true}),
		"no kid":                   workloadtest.Sign(t, jose.ES256, key, "", body, nil),
		"a short RSA key":          workloadtest.Sign(t, jose.RS256, weak, kid, body, nil),
		"another curve":            workloadtest.Sign(t, jose.ES384, p384, kid, body, nil),
		"a grant's type":           i.SignRaw(t, body, map[string]any{"typ": "assent-grant+jwt"}),
		"an access token's type":   i.SignRaw(t, body, map[string]any{"typ": "at+jwt"}),
		"a binding token's type":   i.SignRaw(t, body, map[string]any{"typ": "assent-binding+jwt"}),
		"a logout token's type":    i.SignRaw(t, body, map[string]any{"typ": "logout+jwt"}),
		"changed claims":           parts[0] + "." + b64([]byte(strings.Replace(string(body), "acme", "evil", 1))) + "." + parts[2],
		"changed header":           b64([]byte(`{"alg":"ES256","kid":"`+kid+`","typ":"JOSE"}`)) + "." + parts[1] + "." + parts[2],
		"a header twice":           b64([]byte(`{"alg":"ES256","alg":"none","kid":"`+kid+`"}`)) + "." + parts[1] + "." + parts[2],
		"cut":                      parts[0] + "." + parts[1] + ".",
		"two parts":                parts[0] + "." + parts[1],
		"JSON serialization":       `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"padding":                  parts[0] + "." + parts[1] + "=." + parts[2],
		"a line break":             parts[0] + "." + parts[1] + "\n." + parts[2],
		"empty":                    "",
		"ours":                     "ast_0123456789ab_" + strings.Repeat("0", 43),
		"not JSON":                 i.SignRaw(t, []byte("acme"), nil),
		"two values":               i.SignRaw(t, append(body, " {}"...), nil),
		"a list":                   i.SignRaw(t, []byte(`[`+string(body)+`]`), nil),
		"a claim twice":            i.SignRaw(t, []byte(`{"sub":"repo:acme/shop:ref:refs/heads/main",`+string(body[1:])), nil),
		"a claim in two spellings": i.SignRaw(t, []byte(`{"SUB":"x",`+string(body[1:])), nil),
		"a nested claim twice":     i.SignRaw(t, []byte(`{"x":{"a":1,"a":2},`+string(body[1:])), nil),
		"invalid UTF-8":            i.SignRaw(t, []byte("{\"x\":\"\xff\","+string(body[1:])), nil),
		"deep":                     i.SignRaw(t, []byte(`{"x":`+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`,`+string(body[1:])), nil),
		"500 claims":               i.SignRaw(t, []byte(`{"x":[`+strings.Repeat("1,", 499)+`1],`+string(body[1:])), nil),
		"too long":                 i.SignRaw(t, []byte(`{"x":"`+strings.Repeat("x", 16<<10)+`",`+string(body[1:])), nil),
	} {
		if p, err := v.Verify(ctx, token, ""); err == nil || !errors.Is(err, workload.ErrRefused) {
			t.Errorf("%s: %+v, %v", name, p, err)
		} else if strings.Contains(err.Error(), "acme") || strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: the refusal quotes the token: %v", name, err)
		}
	}
	if _, err := v.Verify(ctx, good, ""); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// Keys are cached, found anew when the issuer rotates, and not used for long while it is down.
func TestKeys(t *testing.T) {
	i := workloadtest.New(t)
	now := time.Now()
	v, err := workload.New([]workload.Rule{ruleOf(i)}, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	sign := func() string {
		return i.Sign(t, i.Claims(aud, map[string]any{"iat": now.Unix(), "nbf": nil, "exp": now.Unix() + 300}))
	}
	take := func(what, token string, want error) {
		t.Helper()
		if _, err := v.Verify(ctx, token, ""); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	old := sign()
	for range 5 {
		take("cached", old, nil)
	}
	if n := i.Asks.Load(); n != 1 {
		t.Errorf("keys were asked for %d times", n)
	}
	i.Rotate(t)
	for range 20 {
		take("an id that isn't there, at once", sign(), workload.ErrRefused)
	}
	if n := i.Asks.Load(); n != 1 {
		t.Errorf("invented key ids made %d requests", n-1)
	}
	now = now.Add(31 * time.Second)
	take("rotated", sign(), nil)
	take("by the old key", old, workload.ErrRefused)
	i.Down(true)
	take("down, keys are cached", sign(), nil)
	now = now.Add(11 * time.Minute)
	take("down for long", sign(), workload.ErrIssuer)
	if err := v.Ready(ctx); err == nil || !strings.Contains(err.Error(), i.URL) {
		t.Errorf("ready: %v", err)
	}
	i.Down(false)
	take("up again, at once", sign(), workload.ErrIssuer)
	now = now.Add(6 * time.Second)
	take("up again", sign(), nil)
	if err := v.Ready(ctx); err != nil {
		t.Errorf("ready: %v", err)
	}
	now = now.Add(-time.Hour) // keys from the future are looked at again
	take("the clock went back", sign(), nil)
}

// What an issuer, or somebody in its place, may answer.
func TestOddIssuers(t *testing.T) {
	i, evil := workloadtest.New(t), workloadtest.New(t)
	for name, odd := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"another's document": func(w http.ResponseWriter, _ *http.Request) bool {
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": evil.URL, "jwks_uri": i.URL + "/keys"})
			return true
		},
		"keys over http elsewhere": func(w http.ResponseWriter, _ *http.Request) bool {
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": "http://192.0.2.1/keys"})
			return true
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, evil.URL+r.URL.Path, http.StatusFound)
			return true
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
			return true
		},
		"endless": func(w http.ResponseWriter, r *http.Request) bool {
			for range 200 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					break
				}
			}
			return true
		},
		"symmetric keys only": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/keys" {
				return false
			}
			_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","kid":"a","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`))
			return true
		},
		"a private key": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/keys" {
				return false
			}
			kid, key := i.Key()
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: kid}}})
			return true
		},
		"keys for encryption": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/keys" {
				_, _ = w.Write(i.KeySet("enc"))
			}
			return r.URL.Path == "/keys"
		},
		"an empty set": func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/keys" {
				_, _ = w.Write([]byte(`{"keys":[]}`))
			}
			return r.URL.Path == "/keys"
		},
	} {
		i.Odd(odd)
		if _, err := verifier(t, ruleOf(i)).Verify(ctx, i.Sign(t, i.Claims(aud, nil)), ""); !errors.Is(err, workload.ErrIssuer) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	good := workload.Rule{Name: "r", Type: workload.OIDC, Issuer: "https://ci.example.com", Audience: aud, Actor: "pipeline:x", Match: map[string]string{"sub": "x"}}
	for name, change := range map[string]func(*workload.Rule){
		"no type":              func(r *workload.Rule) { r.Type = "" },
		"http":                 func(r *workload.Rule) { r.Issuer = "http://ci.example.com" },
		"a query":              func(r *workload.Rule) { r.Issuer += "?x" },
		"no issuer":            func(r *workload.Rule) { r.Issuer = "" },
		"no audience":          func(r *workload.Rule) { r.Audience = "" },
		"no actor":             func(r *workload.Rule) { r.Actor = "" },
		"no match":             func(r *workload.Rule) { r.Match = nil },
		"matches everything":   func(r *workload.Rule) { r.Match = map[string]string{"sub": "*"} },
		"two stars":            func(r *workload.Rule) { r.Match = map[string]string{"sub": "a**"} },
		"an empty value":       func(r *workload.Rule) { r.Match = map[string]string{"sub": ""} },
		"matches the audience": func(r *workload.Rule) { r.Match = map[string]string{"aud": "x"} },
		"everybody's GitHub": func(r *workload.Rule) {
			r.Issuer, r.Match = "https://token.actions.githubusercontent.com", map[string]string{"ref": "refs/heads/main"}
		},
		"everybody's GitLab":  func(r *workload.Rule) { r.Issuer, r.Match = "https://gitlab.com", map[string]string{"ref": "main"} },
		"a life of two hours": func(r *workload.Rule) { r.Life = 2 * time.Hour },
		"tokens of a week":    func(r *workload.Rule) { r.TokenLife = 7 * 24 * time.Hour },
		"a person by their login": func(r *workload.Rule) {
			r.Person = &workload.PersonClaim{Claim: "actor", People: map[string]string{"a": "b"}}
		},
		"a person by e-mail":     func(r *workload.Rule) { r.Person = &workload.PersonClaim{Claim: "email", Account: "x"} },
		"a person by nothing":    func(r *workload.Rule) { r.Person = &workload.PersonClaim{Claim: "actor_id"} },
		"a person that is fixed": func(r *workload.Rule) { r.Person = &workload.PersonClaim{Claim: "sub", Account: "x"} },
		"spiffe by https":        func(r *workload.Rule) { r.Type = workload.SPIFFE },
		"spiffe without keys":    func(r *workload.Rule) { r.Type, r.Issuer = workload.SPIFFE, "spiffe://example.org" },
		"a bundle over http": func(r *workload.Rule) {
			r.Type, r.Issuer, r.Bundle = workload.SPIFFE, "spiffe://example.org", "http://example.org"
		},
		"a file that isn't there": func(r *workload.Rule) { r.Keys = "/does/not/exist" },
		"no name":                 func(r *workload.Rule) { r.Name = "" },
	} {
		r := good
		r.Match = maps.Clone(good.Match)
		change(&r)
		if _, err := workload.New([]workload.Rule{r}, nil); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := workload.New([]workload.Rule{good, good}, nil); err == nil {
		t.Error("one name twice was taken")
	}
	verifier(t, good)
}

func TestThePersonBehindIt(t *testing.T) {
	i := workloadtest.New(t)
	r := ruleOf(i)
	r.Person = &workload.PersonClaim{Claim: "actor_id", People: map[string]string{"583231": "person:mira"}}
	byAccount := r
	byAccount.Name, byAccount.Person = "account", &workload.PersonClaim{Claim: "actor_id", Account: "github"}
	v, w := verifier(t, r), verifier(t, byAccount)
	for id, want := range map[any]string{"583231": "person:mira", 583231: "person:mira", "999": "", nil: "", "": "", true: ""} {
		p, err := v.Verify(ctx, i.Sign(t, i.Claims(aud, map[string]any{"actor_id": id})), "")
		if want == "" {
			refused(t, fmt.Sprint(id), err, "claim")
		} else if err != nil || p.Person != want {
			t.Errorf("%v: %+v, %v", id, p, err)
		}
	}
	p, err := w.Verify(ctx, i.Sign(t, i.Claims(aud, map[string]any{"actor_id": "999"})), "")
	if err != nil || p.Person != "github|999" {
		t.Errorf("by account: %+v, %v", p, err)
	}
}

func TestSeveralActorsFit(t *testing.T) {
	i := workloadtest.New(t)
	a, b := ruleOf(i), ruleOf(i)
	b.Name, b.Actor = "migrate", "pipeline:migrator"
	v := verifier(t, a, b)
	_, err := v.Verify(ctx, i.Sign(t, i.Claims(aud, nil)), "")
	refused(t, "two", err, "several actors")
	p, err := v.Verify(ctx, i.Sign(t, i.Claims(aud, nil)), "pipeline:migrator")
	if err != nil || p.Rule.Name != "migrate" {
		t.Errorf("named: %+v, %v", p, err)
	}
	_, err = v.Verify(ctx, i.Sign(t, i.Claims(aud, nil)), "agent:other")
	refused(t, "one that it isn't", err, "no rule")
}

// A Kubernetes service account's token, by a key file: the API server gives its keys to nobody outside.
func TestKubernetes(t *testing.T) {
	i := workloadtest.New(t)
	i.Down(true)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, i.KeySet(""), 0o600); err != nil {
		t.Fatal(err)
	}
	r := workload.Rule{
		Name: "pod", Type: workload.Kubernetes, Issuer: "https://kubernetes.default.svc.cluster.local", Audience: aud, Actor: "service:reporter", Keys: file, Reusable: true,
		Match: map[string]string{"sub": "system:serviceaccount:shop:reporter", "kubernetes.io/serviceaccount/uid": "0b6c3f3e-7b0a-4b0a-9d0f-1f7a3c1f6a11"},
	}
	v := verifier(t, r)
	now := time.Now().Unix()
	in := map[string]any{
		"namespace": "shop", "serviceaccount": map[string]any{"name": "reporter", "uid": "0b6c3f3e-7b0a-4b0a-9d0f-1f7a3c1f6a11"},
		"pod": map[string]any{"name": "reporter-6f9c", "uid": "5a7e"}, "warnafter": now + 3607,
	}
	claims := func(more map[string]any) string {
		c := i.Claims("", map[string]any{"iss": r.Issuer, "aud": []string{aud}, "sub": "system:serviceaccount:shop:reporter", "iat": now, "nbf": now, "exp": now + 3607, "kubernetes.io": in})
		maps.Copy(c, more)
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return i.SignRaw(t, b, nil)
	}
	p, err := v.Verify(ctx, claims(nil), "")
	if err != nil || p.Once != "" {
		t.Fatalf("%+v, %v", p, err)
	}
	_, err = v.Verify(ctx, claims(map[string]any{"kubernetes.io": map[string]any{"serviceaccount": map[string]any{"uid": "another"}}}), "")
	refused(t, "an account made again under the same name", err, "uid")
	_, err = v.Verify(ctx, claims(map[string]any{"exp": now + 365*86400}), "")
	refused(t, "the year of a legacy token", err, "lives longer")
	_, err = v.Verify(ctx, claims(map[string]any{"sub": "system:serviceaccount:evil:reporter"}), "")
	refused(t, "another namespace", err, "claim sub")
	_, err = v.Verify(ctx, claims(map[string]any{"kubernetes.io/serviceaccount/uid": "0b6c3f3e-7b0a-4b0a-9d0f-1f7a3c1f6a11"}), "")
	refused(t, "a claim that can be read in two ways", err, "uid")
}

// SPIFFE JWT-SVIDs, by a bundle file and by the domain's endpoint.
func TestSPIFFE(t *testing.T) {
	i := workloadtest.New(t)
	file := filepath.Join(t.TempDir(), "bundle.json")
	if err := os.WriteFile(file, i.KeySet("jwt-svid"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := workload.Rule{
		Name: "svid", Type: workload.SPIFFE, Issuer: "spiffe://example.org", Audience: aud, Actor: "agent:exporter", Keys: file,
		Match: map[string]string{"sub": "spiffe://example.org/ns/shop/sa/exporter"},
	}
	byURL := r
	byURL.Keys, byURL.Bundle = "", i.URL+"/bundle"
	id := map[string]any{"iss": nil, "iat": nil, "nbf": nil, "jti": nil, "sub": "spiffe://example.org/ns/shop/sa/exporter"}
	for _, rule := range []workload.Rule{r, byURL} {
		v := verifier(t, rule)
		p, err := v.Verify(ctx, i.Sign(t, i.Claims(aud, id)), "")
		if err != nil || p.Rule.Actor != "agent:exporter" || !strings.HasPrefix(p.Once, "spiffe://example.org\x00sha256:") {
			t.Fatalf("%+v, %v", p, err)
		}
		for name, sub := range map[string]string{
			"another domain": "spiffe://example.com/ns/shop/sa/exporter", "another path": "spiffe://example.org/ns/shop/sa/other", "no path": "spiffe://example.org",
			"not an id": "exporter", "a port": "spiffe://example.org:1/ns/shop/sa/exporter", "upper case": "spiffe://EXAMPLE.org/ns/shop/sa/exporter", "dots": "spiffe://example.org/ns/../ns/shop/sa/exporter",
		} {
			c := maps.Clone(id)
			c["sub"] = sub
			_, err := v.Verify(ctx, i.Sign(t, i.Claims(aud, c)), "")
			refused(t, name, err, "")
		}
		long := maps.Clone(id)
		long["exp"] = time.Now().Add(2 * time.Hour).Unix()
		_, err = v.Verify(ctx, i.Sign(t, i.Claims(aud, long)), "")
		refused(t, "two hours", err, "lives longer")
	}
	plain := filepath.Join(t.TempDir(), "jwks.json") // keys for X.509-SVIDs or plain JWTs are none for JWT-SVIDs
	if err := os.WriteFile(plain, i.KeySet("sig"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Keys = plain
	if _, err := workload.New([]workload.Rule{r}, nil); err == nil {
		t.Error("a bundle without JWT authorities was taken")
	}
}

// FuzzVerify feeds tokens: none but a signed one is taken, and none does harm.
func FuzzVerify(f *testing.F) {
	i := workloadtest.New(f)
	v := verifier(f, ruleOf(i))
	good := i.Sign(f, i.Claims(aud, nil))
	for _, seed := range []string{"", good, "..", "a.b.c", strings.ToUpper(good), good + ".", "e30.e30.", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(ctx, token, ""); token != good && err == nil {
			t.Errorf("%q was taken", token)
		}
	})
}
