package audit_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

// TestVerifyChecksPasskeySignatures writes what a server with all its keys, but
// without the person's authenticator, could write.
func TestVerifyChecksPasskeySignatures(t *testing.T) {
	e64 := base64.RawURLEncoding.EncodeToString
	nonce := e64(make([]byte, 32))
	key, own := passkeytest.New("assent.example", "https://assent.example"), passkeytest.New("assent.example", "https://assent.example")
	review := func(by *passkeytest.Authenticator) *audit.Record {
		v := evidence.Review{Approval: "apr_1", Digest: "sha256:aa", Person: "person:mira", Decision: "approve", Version: 1, Scope: "{}", Card: "sha256:bb", Nonce: nonce}
		c := v.Challenge()
		d := map[string]string{"assurance": "passkey", "version": "1", "scope": v.Scope, "card": v.Card, "nonce": nonce}
		by.Sign(c[:]).AssertionDetail(d)
		return &audit.Record{Type: audit.TypeReview, Person: v.Person, Approval: v.Approval, Digest: v.Digest, Decision: v.Decision, Detail: d}
	}
	write := func(forged func(*audit.Record)) *audit.Report {
		b := newBench(t)
		put := func(r *audit.Record) {
			t.Helper()
			if err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, r) }); err != nil {
				t.Fatal(err)
			}
		}
		b.append(t, 1)
		put(&audit.Record{
			Type: audit.TypePasskey, Person: "person:mira", Decision: evidence.PasskeyRegistered, About: "passkey/" + evidence.PasskeyID(key.Credential), Revision: 1,
			Detail: map[string]string{
				"credential": e64(key.Credential), "key": e64(key.PKIX()), "rp_id": key.RPID, "nonce": nonce,
				"bound_by": evidence.ByFirst, "counts_from": b.now.Add(time.Second).UTC().Format(time.RFC3339Nano),
			},
		})
		b.now = b.now.Add(time.Minute)
		r := review(key)
		if forged != nil {
			forged(r)
		}
		put(r)
		b.sign(t)
		return verifyAll(t, b, "")
	}
	rep := write(nil)
	if !rep.OK() || rep.Passkeys.Signatures != 1 || !strings.Contains(strings.Join(rep.Lines, "\n"), "passkey signatures on reviews, each by a key registered before: 1; people: 1; keys: 1") {
		t.Fatalf("the untouched log: %+v", rep)
	}
	for name, forged := range map[string]func(*audit.Record){
		"stripped":         func(r *audit.Record) { delete(r.Detail, "signature") },
		"turned around":    func(r *audit.Record) { r.Decision = "deny" },
		"by an own key":    func(r *audit.Record) { *r = *review(own) },
		"for someone else": func(r *audit.Record) { r.Person = "person:sam" },
	} {
		if rep := write(forged); rep.OK() || rep.Problems[0].Index != 2 || rep.Passkeys.Signatures != 0 {
			t.Errorf("%s: %+v", name, rep)
		}
	}
}
