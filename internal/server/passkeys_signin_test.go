package server

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

// newKey makes a key and returns the form that enrols it.
func (s *surfer) newKey() url.Values {
	s.t.Helper()
	code, body, _ := s.send("POST", base+"/settings/passkeys/new", url.Values{}, "same-origin")
	var q struct {
		PublicKey     struct{ Challenge string }
		Nonce, Ticket string
	}
	if code != http.StatusOK || json.Unmarshal([]byte(body), &q) != nil {
		s.t.Fatalf("asking for a new key: %d %s", code, body)
	}
	challenge, err := base64.RawURLEncoding.DecodeString(q.PublicKey.Challenge)
	if err != nil {
		s.t.Fatal(err)
	}
	return url.Values{"nonce": {q.Nonce}, "ticket": {q.Ticket}, "name": {"laptop"}, "new": {string(passkeytest.New("localhost", base).Create(challenge))}}
}

func (s *surfer) enrol(form url.Values, proof string) (int, string) {
	s.t.Helper()
	form.Set("proof", proof)
	code, body, _ := s.send("POST", base+"/settings/passkeys", form, "same-origin")
	return code, body
}

// proves signs in anew as sub, with the nonce that names the form's key.
func (s *surfer) proves(form url.Values, sub string) int {
	s.t.Helper()
	code, body, _ := s.send("POST", base+"/settings/passkeys/signin", form, "same-origin")
	code, _, _ = s.send("GET", s.click(code, body, sub), nil, "cross-site")
	return code
}

// TestAFreshSignInBindsAPasskey: where people sign in through issuers, a session
// alone binds no key, and a fresh sign-in binds the one that its nonce names.
func TestAFreshSignInBindsAPasskey(t *testing.T) {
	b := newSignedIn(t, "")
	mira := b.surfer()
	if code := mira.in("corp", oidcMira.Sub); code != http.StatusOK {
		t.Fatalf("mira: %d", code)
	}
	form := mira.newKey()
	if code, body := mira.enrol(form, ""); code != http.StatusForbidden || !strings.Contains(body, "fresh sign-in") {
		t.Errorf("a session alone: %d %s", code, body)
	}
	if code, body := mira.enrol(form, "sign-in"); code != http.StatusForbidden || !strings.Contains(body, "No fresh sign-in") {
		t.Errorf("a proof that isn't there: %d %s", code, body)
	}
	if code := mira.proves(form, oidcOmar.Sub); code != http.StatusForbidden {
		t.Errorf("another account's sign-in: %d", code)
	}
	if code, body := mira.enrol(form, "sign-in"); code != http.StatusForbidden {
		t.Errorf("after another account's sign-in: %d %s", code, body)
	}
	other := mira.newKey()
	if code := mira.proves(other, oidcMira.Sub); code != http.StatusOK {
		t.Fatalf("the fresh sign-in: %d", code)
	}
	if code, body := mira.enrol(form, "sign-in"); code != http.StatusForbidden {
		t.Errorf("a sign-in that names another key: %d %s", code, body)
	}
	if code, body := mira.enrol(other, "sign-in"); code != http.StatusOK || !strings.Contains(body, "counts from") {
		t.Fatalf("the key that it names: %d %s", code, body)
	}
	if code, body := mira.enrol(other, "sign-in"); code == http.StatusOK {
		t.Errorf("the same once more: %s", body)
	}
	keys, err := b.passkeys.All(t.Context())
	if err != nil || len(keys) != 1 || keys[0].BoundBy != evidence.BySignIn || keys[0].CountsFrom.Sub(keys[0].Created) != evidence.PasskeyWait {
		t.Fatalf("%+v, %v", keys, err)
	}
	recs := b.records("passkey.changed")
	if len(recs) != 1 || strings.Count(recs[0].Detail["id_token"], ".") != 2 || recs[0].Detail["account"] == "" {
		t.Errorf("on record: %+v", recs)
	}
	if r := b.verified(); !r.OK() || r.Passkeys.Keys != 1 || r.Passkeys.Unbacked != 0 {
		t.Errorf("offline: %+v", r)
	}
	// A one-time link opens nothing beside issuers.
	_, secret, _ := strings.Cut(b.console.SignInLink(b.person("dana")), "?t=")
	dana := b.surfer()
	dana.send("POST", base+"/signin", url.Values{"t": {secret}}, "same-origin")
	if code, _ := dana.get("/settings"); code != http.StatusSeeOther {
		t.Errorf("a one-time link: %d", code)
	}
}
