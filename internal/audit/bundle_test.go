package audit_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

// export writes a bundle and verifies it against keys, or the log's own.
func (b *bench) export(t *testing.T, q audit.Query, keys ...string) (*evidence.BundleReport, []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "b.zip")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	e := audit.Export{Checkpoint: b.Checkpoint(), Key: b.key, Software: "assent test", Query: q}
	if _, err := audit.Bundle(t.Context(), b.store, e, f); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	x, err := evidence.OpenBundle(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	if keys == nil {
		keys = []string{b.key.Verifier()}
	}
	r, err := x.Verify(evidence.BundleOptions{VKeys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return r, text
}

func (b *bench) put(t *testing.T, recs ...*audit.Record) {
	t.Helper()
	for _, r := range recs {
		if err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, r) }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBundleOfAPeriod(t *testing.T) {
	b := newBench(t)
	start := b.now
	for i := range 700 { // more than two tiles
		b.put(t, &audit.Record{Type: audit.TypeRequest, Actor: fmt.Sprintf("agent:a%d", i%5), Kinds: []string{"data.read"}})
		b.now = b.now.Add(time.Minute)
	}
	b.sign(t)
	b.append(t, 3) // under no checkpoint yet

	at := func(minute int) time.Time {
		return start.Add(time.Duration(minute) * time.Minute).Truncate(time.Microsecond)
	}
	for name, c := range map[string]struct {
		q                    audit.Query
		first, end           int64
		shown, hidden, other int64
	}{
		"all":        {audit.Query{}, 0, 700, 700, 0, 0},
		"period":     {audit.Query{Since: at(100), Until: at(200)}, 99, 201, 102, 0, 1},
		"until":      {audit.Query{Until: at(300)}, 0, 301, 301, 0, 0},
		"since":      {audit.Query{Since: at(513)}, 512, 700, 188, 0, 1},
		"an actor's": {audit.Query{Since: at(100), Until: at(200), Actor: "agent:a2"}, 99, 201, 22, 80, 1},
		"nobody's":   {audit.Query{Actor: "agent:none"}, 0, 700, 2, 698, 0},
		"later":      {audit.Query{Since: at(10000)}, 699, 700, 1, 0, 1},
		"before":     {audit.Query{Until: at(-10)}, 0, 1, 1, 0, 0},
	} {
		r, text := b.export(t, c.q)
		m := &r.Manifest
		if m.First != c.first || m.End != c.end || m.Shown != c.shown || m.Hidden != c.hidden || m.History != c.other {
			t.Errorf("%s: %+v", name, m)
		}
		if _, again := b.export(t, c.q); !bytes.Equal(text, again) {
			t.Errorf("%s: the same question gave other bytes", name)
		}
	}
}

// A bundle of later days is checked with the passkeys, reviews and keys of before.
func TestBundleRestsOnWhatWasBefore(t *testing.T) {
	e64 := base64.RawURLEncoding.EncodeToString
	nonce := e64(make([]byte, 32))
	key := passkeytest.New("assent.example", "https://assent.example")
	approve := func(approval string) *audit.Record {
		v := evidence.Review{Approval: approval, Digest: "sha256:aa", Person: "person:mira", Decision: "approve", Version: 1, Scope: "{}", Card: "sha256:bb", Nonce: nonce}
		c := v.Challenge()
		d := map[string]string{"assurance": "passkey", "version": "1", "scope": v.Scope, "card": v.Card, "nonce": nonce}
		key.Sign(c[:]).AssertionDetail(d)
		return &audit.Record{Type: audit.TypeReview, Person: v.Person, Approval: v.Approval, Digest: v.Digest, Decision: v.Decision, Detail: d}
	}
	approved := func(approval string) *audit.Record {
		return &audit.Record{Type: audit.TypeApproval, Approval: approval, Decision: "approved", Digest: "sha256:aa", Detail: map[string]string{"assurance": "passkey", "seats": "1"}}
	}
	build := func(forge func(r *audit.Record)) (*bench, string, time.Time) {
		b := newBench(t)
		old := b.key.Verifier()
		b.append(t, 1)
		b.put(t, &audit.Record{
			Type: audit.TypePasskey, Person: "person:mira", Decision: evidence.PasskeyRegistered, About: "passkey/" + evidence.PasskeyID(key.Credential), Revision: 1,
			Detail: map[string]string{
				"credential": e64(key.Credential), "key": e64(key.PKIX()), "rp_id": key.RPID, "nonce": nonce,
				"bound_by": evidence.ByFirst, "counts_from": b.now.Add(time.Second).UTC().Format(time.RFC3339Nano),
			},
		})
		next, err := audit.LoadOrCreateKey(filepath.Join(b.dir, "next.key"), origin)
		if err != nil {
			t.Fatal(err)
		}
		rotation, err := audit.Rotation(b.key, next, b.now.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		b.put(t, rotation)
		b.key = next
		if b.Log, err = audit.New(audit.Options{Origin: origin, Keys: []*audit.Key{next}, Retired: []string{old}, HeadFile: b.headFile(), Now: func() time.Time { return b.now }}); err != nil {
			t.Fatal(err)
		}
		if err := b.Open(t.Context(), b.store); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(time.Hour)
		r := approve("apr_1")
		if forge != nil {
			forge(r)
		}
		b.put(t, r) // its approval comes on the next day
		b.append(t, 20)
		day := b.now.Add(12 * time.Hour)
		b.now = day.Add(time.Hour)
		b.append(t, 5)
		b.put(t, approved("apr_1"), &audit.Record{Type: audit.TypeStarted, Approval: "apr_1", Digest: "sha256:aa"})
		b.append(t, 5)
		b.sign(t)
		return b, old, day
	}
	b, old, day := build(nil)
	r, _ := b.export(t, audit.Query{Since: day}, old) // the key of the first day is all that one knows
	if len(r.Problems) != 0 || r.Rotations != 1 || r.Passkeys.Signatures != 1 || r.Manifest.History != 4 {
		t.Errorf("history of a period: %+v", r)
	}
	if r, _ := b.export(t, audit.Query{Since: day, Types: []string{audit.TypeStarted}}, old); len(r.Problems) != 0 || r.Passkeys.Signatures != 1 || r.Manifest.Shown != 4 {
		t.Errorf("what an execution rests on: %+v", r) // itself, its approval, and the records at the edges
	}
	if r, _ := b.export(t, audit.Query{}, old); len(r.Problems) != 0 || r.Passkeys.Signatures != 1 {
		t.Errorf("all of it: %+v", r)
	}
	b, old, day = build(func(r *audit.Record) { r.Detail["card"] = "sha256:cc" })
	if r, _ := b.export(t, audit.Query{Since: day}, old); len(r.Problems) == 0 || !strings.Contains(r.Problems[0], "isn't signed as it says") {
		t.Errorf("a review that its person did not sign: %+v", r)
	}
}
