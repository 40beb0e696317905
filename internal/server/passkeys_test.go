package server

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

const publicSite = "http://localhost:8720" // the configuration's default

// visitor is a browser as far as the console's forms go.
type visitor struct {
	b      *bench
	cookie string
	csrf   string
}

func (s *visitor) do(method, path string, form url.Values) (int, string) {
	s.b.t.Helper()
	req, err := http.NewRequestWithContext(s.b.t.Context(), method, s.b.URL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.b.t.Fatal(err)
	}
	req.Host = strings.TrimPrefix(publicSite, "http://")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", publicSite)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set("X-CSRF-Token", s.csrf)
	}
	req.Header.Set("Cookie", s.cookie)
	res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		s.b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.b.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		s.cookie = c.Name + "=" + c.Value
	}
	return res.StatusCode, string(text)
}

var pageCSRF = regexp.MustCompile(`data-csrf="([^"]+)"`)

// signedIn opens a session by a form: a one-time link, or a pasted token.
func (b *bench) signedIn(form url.Values) *visitor {
	b.t.Helper()
	s := &visitor{b: b}
	if code, text := s.do("POST", "/signin", form); code != http.StatusSeeOther {
		b.t.Fatalf("signing in: %d %s", code, text)
	}
	_, page := s.do("GET", "/settings", nil)
	m := pageCSRF.FindStringSubmatch(page)
	if m == nil {
		b.t.Fatalf("not signed in: %s", page)
	}
	s.csrf = m[1]
	return s
}

func (b *bench) byLink(id string) *visitor {
	b.t.Helper()
	_, secret, _ := strings.Cut(b.console.SignInLink(b.person(id)), "?t=")
	return b.signedIn(url.Values{"t": {secret}})
}

// asked posts for a question; the form that comes back answers it once with is filled in.
func (s *visitor) asked(path string, form url.Values) (challenge []byte, ticket url.Values) {
	s.b.t.Helper()
	code, text := s.do("POST", path, form)
	if code != http.StatusOK {
		s.b.t.Fatalf("%s: %d %s", path, code, text)
	}
	var q struct {
		PublicKey     struct{ Challenge string }
		Nonce, Ticket string
	}
	if err := json.Unmarshal([]byte(text), &q); err != nil {
		s.b.t.Fatal(err)
	}
	challenge, err := base64.RawURLEncoding.DecodeString(q.PublicKey.Challenge)
	if err != nil {
		s.b.t.Fatal(err)
	}
	return challenge, url.Values{"nonce": {q.Nonce}, "ticket": {q.Ticket}}
}

func (s *visitor) register() (*passkeytest.Authenticator, int, string) {
	s.b.t.Helper()
	d := passkeytest.New("localhost", publicSite)
	challenge, form := s.asked("/settings/passkeys/new", nil)
	form.Set("name", "laptop")
	form.Set("new", string(d.Create(challenge)))
	code, text := s.do("POST", "/settings/passkeys", form)
	return d, code, text
}

func answerForm(a *approval.Approval, decision string) url.Values {
	return url.Values{"decision": {decision}, "reason": {"looked at"}, "digest": {a.Digest.String()}, "version": {"1"}, "confirmed": {"yes"}}
}

// review signs with d, unless it is nil.
func (s *visitor) review(a *approval.Approval, decision string, d *passkeytest.Authenticator) (int, string) {
	s.b.t.Helper()
	form := answerForm(a, decision)
	if d != nil {
		challenge, ticket := s.asked("/approvals/"+a.ID+"/challenge", form)
		for k, v := range ticket {
			form[k] = v
		}
		form.Set("assertion", string(d.Answer(challenge)))
	}
	return s.do("POST", "/approvals/"+a.ID+"/review", form)
}

// signing is a server whose writes wait for a passkey of a reviewer's.
func signing(t *testing.T) *bench {
	t.Helper()
	b := threatBench(t, strings.Replace(heldPack, "assurance: token", "assurance: passkey", 1))
	b.session = b.login()
	return b
}

// TestAPasskeyDecidesOnARealServer: registered, held, signed, run, verified offline.
func TestAPasskeyDecidesOnARealServer(t *testing.T) {
	b := signing(t)
	mira := b.byLink("mira")
	device, code, text := mira.register()
	if code != http.StatusOK || !strings.Contains(text, "counts from now on") {
		t.Fatalf("registering on the first day: %d %s", code, text)
	}
	done := b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	if code, text := mira.review(a, approval.Approve, nil); code != http.StatusForbidden || !strings.Contains(text, "passkey") {
		t.Errorf("a session alone: %d %s", code, text)
	}
	if code, text := mira.review(a, approval.Approve, passkeytest.New("localhost", publicSite)); code != http.StatusForbidden || !strings.Contains(text, "isn't registered") {
		t.Errorf("a key of nobody's: %d %s", code, text)
	}
	if code, text := mira.review(a, approval.Approve, device); code != http.StatusOK {
		t.Fatalf("signed: %d %s", code, text)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r := b.verified()
	if !r.OK() || r.Passkeys.Signatures != 1 || len(r.Passkeys.Persons) != 1 || !strings.Contains(strings.Join(r.Lines, "\n"), "passkey signatures") {
		t.Errorf("offline: %+v", r)
	}
}

func (b *bench) verified() *audit.Report {
	b.t.Helper()
	key, err := Verifier(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := audit.Verify(b.t.Context(), b.store, audit.VerifyOptions{VKeys: []string{key}})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// TestNoTokenReachesAPasskey: agents', reviewers' and administrators' tokens at
// every path that leads to passkeys, as bearer, as a cookie, and pasted.
func TestNoTokenReachesAPasskey(t *testing.T) {
	b := signing(t)
	done := b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	tokens := map[string]string{}
	for name, req := range map[string]identity.MintRequest{
		"agent":    {Kind: identity.KindActor, Actors: []string{"agent:worker"}},
		"reviewer": {Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{identity.ScopeReview}},
		"admin":    {Kind: identity.KindPerson, Subject: "person:mira", Scopes: []string{identity.ScopeAdmin}},
	} {
		req.TTL, req.By = time.Hour, "test"
		var err error
		if tokens[name], _, err = b.tokens.Mint(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	for name, token := range tokens {
		code, text := b.call("POST", "/v1/approvals/"+a.ID+"/review", token, `{"decision":"approve","digest":"`+a.Digest.String()+`","version":1}`)
		if code != http.StatusForbidden {
			t.Errorf("%s reviews by the API: %d %s", name, code, text)
		}
		s := &visitor{b: b, cookie: "assent-8720=" + token}
		for _, path := range []string{"/settings/passkeys/new", "/settings/passkeys/older", "/settings/passkeys", "/approvals/" + a.ID + "/challenge", "/approvals/" + a.ID + "/review", "/settings/passkeys/psk_x/revoke"} {
			if code, _ := s.do("POST", path, answerForm(a, approval.Approve)); code != http.StatusUnauthorized {
				t.Errorf("%s at %s: %d", name, path, code)
			}
			if code, _ := b.call("POST", path, token, ""); code != http.StatusMisdirectedRequest && code != http.StatusForbidden && code != http.StatusUnauthorized {
				t.Errorf("%s as bearer at %s: %d", name, path, code)
			}
		}
	}
	// A reviewer's token may lie where an agent can read it: pasted, it registers nothing.
	pasted := b.signedIn(url.Values{"token": {tokens["reviewer"]}})
	if code, text := pasted.do("POST", "/settings/passkeys/new", nil); code != http.StatusForbidden || !strings.Contains(text, "pasted token") {
		t.Errorf("a pasted token begins a registration: %d %s", code, text)
	}
	d := passkeytest.New("localhost", publicSite)
	q, err := b.passkeys.AskNew(t.Context(), b.person("mira"), "another session")
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Challenge string }
	if err := json.Unmarshal(q.Options, &o); err != nil {
		t.Fatal(err)
	}
	challenge, _ := base64.RawURLEncoding.DecodeString(o.Challenge)
	form := url.Values{"nonce": {q.Nonce}, "ticket": {q.Ticket.Ticket}, "new": {string(d.Create(challenge))}}
	if code, text := pasted.do("POST", "/settings/passkeys", form); code != http.StatusForbidden {
		t.Errorf("a pasted token ends one: %d %s", code, text)
	}
	dana := b.byLink("dana")
	if code, text := dana.do("POST", "/settings/passkeys", form); code != http.StatusForbidden || !strings.Contains(text, "wasn't asked") {
		t.Errorf("another session ends one: %d %s", code, text)
	}
	if keys, err := b.passkeys.All(t.Context()); err != nil || len(keys) > 0 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	b.waiting(1)
	if _, err := b.engine.Withdraw(t.Context(), a.ID, "person:mira", "test"); err != nil {
		t.Fatal(err)
	}
	<-done
}

// TestPasskeysAreSeenAndEndedByTheirOwner, or by an administrator, by the API.
func TestPasskeysAreSeenAndEndedByTheirOwner(t *testing.T) {
	b := signing(t)
	device, _, _ := b.byLink("mira").register()
	other, _, _ := b.byLink("dana").register()
	id := evidence.PasskeyID(device.Credential)
	mint := func(who string, scopes ...string) string {
		token, _, err := b.tokens.Mint(t.Context(), identity.MintRequest{Kind: identity.KindPerson, Subject: "person:" + who, Scopes: scopes, TTL: time.Hour, By: "test"})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	if _, text := b.call("GET", "/v1/passkeys", mint("dana", identity.ScopeRead), ""); strings.Contains(text, id) || !strings.Contains(text, evidence.PasskeyID(other.Credential)) {
		t.Errorf("dana sees %s", text)
	}
	if _, text := b.call("GET", "/v1/passkeys", mint("dana", identity.ScopeAdmin), ""); !strings.Contains(text, id) {
		t.Errorf("an administrator sees %s", text)
	}
	if code, text := b.call("DELETE", "/v1/passkeys/"+id, mint("dana", identity.ScopeReview), ""); code != http.StatusNotFound {
		t.Errorf("dana ends mira's: %d %s", code, text)
	}
	if code, text := b.call("DELETE", "/v1/passkeys/"+id+"?why=lost", mint("mira", identity.ScopeReview), ""); code != http.StatusNoContent {
		t.Errorf("mira ends her own: %d %s", code, text)
	}
	if code, text := b.call("DELETE", "/v1/passkeys/"+evidence.PasskeyID(other.Credential), mint("mira", identity.ScopeAdmin), ""); code != http.StatusNoContent {
		t.Errorf("an administrator ends dana's: %d %s", code, text)
	}
	// An administrator can end keys and not make one: her next waits a day.
	third, code, text := b.byLink("mira").register()
	if code != http.StatusOK || strings.Contains(text, "from now on") {
		t.Errorf("a key after a lost one: %d %s", code, text)
	}
	if keys, err := b.passkeys.Of(t.Context(), "person:mira"); err != nil || len(keys) != 2 || keys[0].Why != "lost" || keys[1].ID != evidence.PasskeyID(third.Credential) || keys[1].Live(time.Now()) {
		t.Errorf("%+v, %v", keys, err)
	}
	if r := b.verified(); !r.OK() {
		t.Errorf("offline: %+v", r.Problems)
	}
}
