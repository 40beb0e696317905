package audit_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

// withErasure is a log in which mira asked, reviewed and was erased: records 3, 5, and 300 to 309.
func withErasure(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	for i := range 400 {
		r := &audit.Record{Type: audit.TypeRequest, Actor: "agent:exporter", Subject: "person:otto", Title: "a plain read"}
		switch {
		case i == 3:
			r = &audit.Record{Type: audit.TypeReview, Person: "person:mira", Approval: "apr_old", Decision: "deny", Detail: map[string]string{"reason": "ask Mira Novak"}}
		case i == 5, i >= 300 && i < 310:
			r.Subject, r.Title = "person:mira", "the address of Mira Novak"
		}
		b.put(t, r)
		b.now = b.now.Add(time.Second)
	}
	b.decide(t, "apr_erase", "person:ana", "person:ben")
	b.sign(t)
	b.erase(t, "apr_erase", "mira", "erased-1")
	b.append(t, 2)
	b.sign(t)
	return b
}

// decide has people ask for and approve something.
func (b *bench) decide(t *testing.T, approval string, people ...string) {
	t.Helper()
	b.put(t, &audit.Record{Type: audit.TypeChange, Person: people[0], Approval: approval, Decision: "asked", Detail: map[string]string{"what": "erasure"}})
	for _, p := range people[1:] {
		b.put(t, &audit.Record{Type: audit.TypeReview, Person: p, Approval: approval, Decision: "approve"})
	}
}

// erase takes out every record that names somebody.
func (b *bench) erase(t *testing.T, approval, name, pseudonym string) {
	t.Helper()
	if err := b.tryErase(approval, b.copies(t, name, pseudonym)); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) tryErase(approval string, copies []*audit.Record) error {
	return b.store.Update(func(tx *audittest.Tx) error {
		return b.Erase(context.Background(), tx, &audit.Record{Approval: approval}, copies)
	})
}

// isNamed reports whether somebody is named: with what is before a name, since four letters
// alone stand in a random salt, too.
func isNamed(text []byte, name string) bool {
	text = bytes.ToLower(text)
	return bytes.Contains(text, []byte(":"+name)) || bytes.Contains(text, []byte(" "+name))
}

func (b *bench) copies(t *testing.T, name, pseudonym string) (copies []*audit.Record) {
	t.Helper()
	for _, leaf := range b.store.State.Leaves {
		if !isNamed(leaf, name) {
			continue
		}
		r := &audit.Record{}
		if err := json.Unmarshal(leaf, r); err != nil {
			t.Fatal(err)
		}
		r.Subject, r.Person = strings.ReplaceAll(r.Subject, name, pseudonym), strings.ReplaceAll(r.Person, name, pseudonym)
		r.Title = ""
		delete(r.Detail, "reason")
		copies = append(copies, r)
	}
	return copies
}

func TestErasedRecordsVerify(t *testing.T) {
	b := withErasure(t)
	rep := verifyAll(t, b, "")
	if !rep.OK() || rep.Erased != 12 {
		t.Fatal(rep.Erased, rep.Problems)
	}
	if text := strings.Join(rep.Lines, "\n"); !strings.Contains(text, "12 records were erased by 1 erasures, each decided by two people") {
		t.Error(text)
	}
	for i, leaf := range b.store.State.Leaves {
		if isNamed(leaf, "mira") {
			t.Errorf("record %d: %s", i, leaf)
		}
	}
	var rec audit.Record
	if err := json.Unmarshal(b.store.State.Leaves[402], &rec); err != nil || rec.Type != audit.TypeErase || rec.Detail["indexes"] != "3 5 300-309" || rec.Detail["records"] != "12" {
		t.Error(rec, err)
	}
	// Another person who is in some of the same records goes later.
	b.decide(t, "apr_second", "person:ben", "person:ana")
	b.erase(t, "apr_second", "otto", "erased-2")
	b.erase(t, "apr_second", "erased-1", "erased-3")
	b.sign(t)
	if rep := verifyAll(t, b, ""); !rep.OK() || rep.Erased != 400 {
		t.Error(rep.Erased, rep.Problems)
	}
	b.reopen(t)
	if err := b.Open(t.Context(), b.store); err != nil {
		t.Error(err)
	}
}

func TestFakedErasureIsFound(t *testing.T) {
	replace := func(b *bench, index int, old, with string) {
		leaf := b.store.State.Leaves[index]
		b.store.State.Leaves[index] = bytes.Replace(leaf, []byte(old), []byte(with), 1)
		if bytes.Equal(leaf, b.store.State.Leaves[index]) {
			panic("nothing was changed")
		}
	}
	for name, c := range map[string]struct {
		fake func(t *testing.T, b *bench)
		want string
	}{
		"another verdict":  {func(_ *testing.T, b *bench) { replace(b, 3, "deny", "approve") }, "what is stored isn't what its erasure left"},
		"a row taken away": {func(_ *testing.T, b *bench) { b.store.State.Erased = b.store.State.Erased[1:] }, "isn't the one that tile 0/0 has the hash of"},
		"another record":   {func(_ *testing.T, b *bench) { forge(b, 7, 402) }, "isn't what it left of them"},
		"no erasure":       {func(_ *testing.T, b *bench) { forge(b, 7, 403) }, "record 403, said to be its erasure, is none"},
		"an earlier one":   {func(_ *testing.T, b *bench) { forge(b, 403, 402) }, "erased by one before it"},
		"another copy":     {func(_ *testing.T, b *bench) { b.store.State.Erased[1].Copy[0] ^= 1 }, "isn't what its erasure left"},
		"the tile":         {func(_ *testing.T, b *bench) { b.store.State.Tiles[audittest.TileName{}][5*32] ^= 1 }, "aren't those that were signed"},
		"not JSON":         {func(_ *testing.T, b *bench) { replace(b, 5, "}", "") }, "isn't JSON"},
		"a second person, afterwards": {func(t *testing.T, b *bench) {
			b.decide(t, "apr_1", "person:ana", "person:ana")
			b.erase(t, "apr_1", "otto", "erased-2")
			b.put(t, &audit.Record{Type: audit.TypeReview, Person: "person:ben", Approval: "apr_1", Decision: "approve"})
		}, "takes two people, and 1 decided"},
		"one person": {func(t *testing.T, b *bench) {
			b.decide(t, "apr_1", "person:ana", "person:ana")
			b.erase(t, "apr_1", "otto", "erased-2")
		}, "takes two people, and 1 decided"},
		"the operator": {func(t *testing.T, b *bench) {
			b.decide(t, "apr_1", "person:operator", "person:ana")
			b.erase(t, "apr_1", "otto", "erased-2")
		}, "takes two people, and 1 decided"},
		"nobody": {func(t *testing.T, b *bench) { b.erase(t, "", "otto", "erased-2") }, "takes two people, and 0 decided"},
		"a review that says": {func(t *testing.T, b *bench) {
			b.put(t, &audit.Record{Type: audit.TypeReview, Person: "person:eve", Approval: "apr_1", Decision: "deny"}, &audit.Record{Type: audit.TypeChange, Person: "person:ana", Approval: "apr_1", Detail: map[string]string{"what": "erasure"}})
			b.erase(t, "apr_1", "otto", "erased-2")
		}, "takes two people, and 1 decided"},
		"two people decided something else": {func(t *testing.T, b *bench) {
			b.put(t, &audit.Record{Type: audit.TypeChange, Person: "person:ana", Approval: "apr_1", Detail: map[string]string{"what": "policy"}}, &audit.Record{Type: audit.TypeReview, Person: "person:eve", Approval: "apr_1", Decision: "approve"})
			b.erase(t, "apr_1", "otto", "erased-2")
		}, "takes two people, and 0 decided"},
	} {
		t.Run(name, func(t *testing.T) {
			b := withErasure(t)
			c.fake(t, b)
			b.reopen(t)
			rep := verifyAll(t, b, "")
			told := fmt.Sprint(rep.Problems)
			if rep.OK() || !strings.Contains(told, c.want) {
				t.Errorf("want %q, told %s", c.want, told)
			}
		})
	}
}

// forge changes a record and says that an erasure did.
func forge(b *bench, index, by int64) {
	leaf := bytes.Replace(b.store.State.Leaves[index], []byte("agent:exporter"), []byte("agent:nobody"), 1)
	b.store.State.Leaves[index] = leaf
	e := audit.Erased{Index: index, By: by, Copy: tlog.RecordHash(leaf)}
	at, _ := slices.BinarySearchFunc(b.store.State.Erased, index, func(e audit.Erased, i int64) int { return cmp.Compare(e.Index, i) })
	b.store.State.Erased = slices.Insert(b.store.State.Erased, at, e)
}

func TestWhatCantBeErased(t *testing.T) {
	b := withErasure(t)
	for name, copies := range map[string][]*audit.Record{
		"beyond the head": {{Index: 1 << 20, Type: audit.TypeRequest}},
		"an erasure":      {{Index: 402, Type: audit.TypeErase}},
		"out of order":    {{Index: 9, Type: audit.TypeRequest}, {Index: 9, Type: audit.TypeRequest}},
	} {
		if err := b.tryErase("apr_erase", copies); err == nil {
			t.Errorf("%s was erased", name)
		}
	}
	if rep := verifyAll(t, b, ""); !rep.OK() {
		t.Error(rep.Problems)
	}
}

func TestABundleHoldsErasedRecordsAsHashes(t *testing.T) {
	b := withErasure(t)
	rep, text := b.export(t, audit.Query{})
	if m := rep.Manifest; m.Hidden != 12 || !strings.HasPrefix(m.Query["erased"], "12 records are there as hashes") {
		t.Errorf("%+v", m)
	}
	if isNamed(text, "mira") {
		t.Error("the bundle names who was erased")
	}
	// A period that begins and ends among erased records is widened to records on each side that can be shown.
	at := func(index int) time.Time {
		var r audit.Record
		if err := json.Unmarshal(b.store.State.Leaves[index], &r); err != nil {
			t.Fatal(err)
		}
		return r.Time
	}
	rep, _ = b.export(t, audit.Query{Since: at(303), Until: at(306)})
	if m := rep.Manifest; m.First != 299 || m.End != 311 || m.Shown != 2 {
		t.Errorf("%+v", m)
	}
	if _, err := b.BundleAt(t.Context(), b.store, "000.p/1"); !errors.Is(err, audit.ErrNoTile) && err != nil {
		t.Error(err)
	}
	if _, err := b.BundleAt(t.Context(), b.store, "000"); !errors.Is(err, audit.ErrErased) {
		t.Errorf("a bundle of entries with an erased one: %v", err)
	}
	hash, erased, err := audit.Stands(t.Context(), b.store, 5, b.store.State.Leaves[5])
	if err != nil || !erased {
		t.Fatal(erased, err)
	}
	proof, err := b.InclusionProof(t.Context(), b.store, 5, b.store.State.Head.Size)
	if err == nil {
		err = tlog.CheckRecord(proof, b.store.State.Head.Size, b.store.State.Head.Root, 5, hash)
	}
	if err != nil {
		t.Error(err)
	}
}

// A leaf hash that stays must not tell whether a guess of what was erased is right.
func TestRecordsThatNameSomebodyAreSalted(t *testing.T) {
	b := newBench(t)
	salts := map[string]bool{}
	for range 3 {
		b.put(t, &audit.Record{Type: audit.TypeReview, Person: "person:mira"}, &audit.Record{Type: audit.TypeSpoolSeal})
	}
	for i, leaf := range b.store.State.Leaves {
		var r audit.Record
		if err := json.Unmarshal(leaf, &r); err != nil {
			t.Fatal(err)
		}
		if named := i%2 == 0; named != (len(r.Salt) == 22) || salts[r.Salt] && named {
			t.Errorf("record %d has salt %q", i, r.Salt)
		}
		salts[r.Salt] = true
	}
}

// Signatures on erased records can't be checked any more; what rests on them still counts.
func TestErasedReviewsWithPasskeysCount(t *testing.T) {
	e64 := base64.RawURLEncoding.EncodeToString
	nonce := e64(make([]byte, 32))
	key := passkeytest.New("assent.example", "https://assent.example")
	b := newBench(t)
	b.append(t, 1)
	b.put(t, &audit.Record{
		Type: audit.TypePasskey, Person: "person:mira", Decision: evidence.PasskeyRegistered, About: "passkey/" + evidence.PasskeyID(key.Credential), Revision: 1,
		Detail: map[string]string{
			"credential": e64(key.Credential), "key": e64(key.PKIX()), "rp_id": key.RPID, "nonce": nonce,
			"bound_by": evidence.ByFirst, "counts_from": b.now.Add(time.Second).UTC().Format(time.RFC3339Nano),
		},
	})
	b.now = b.now.Add(time.Minute)
	v := evidence.Review{Approval: "apr_1", Digest: "sha256:aa", Person: "person:mira", Decision: "approve", Version: 1, Scope: "{}", Card: "sha256:bb", Nonce: nonce}
	c := v.Challenge()
	d := map[string]string{"assurance": "passkey", "version": "1", "scope": v.Scope, "card": v.Card, "nonce": nonce}
	key.Sign(c[:]).AssertionDetail(d)
	b.put(t, &audit.Record{Type: audit.TypeReview, Person: v.Person, Approval: v.Approval, Digest: v.Digest, Decision: v.Decision, Detail: d})
	b.put(t, &audit.Record{Type: audit.TypeApproval, Approval: v.Approval, Digest: v.Digest, Decision: "approved", Detail: map[string]string{"assurance": "passkey", "seats": "1"}})
	b.put(t, &audit.Record{Type: audit.TypeStarted, Approval: v.Approval, Digest: v.Digest})
	b.decide(t, "apr_erase", "person:ana", "person:ben")
	b.sign(t)
	if rep := verifyAll(t, b, ""); !rep.OK() || rep.Passkeys.Signatures != 1 {
		t.Fatal(rep.Problems, rep.Passkeys)
	}
	copies := b.copies(t, "mira", "erased-1")
	for _, c := range copies {
		delete(c.Detail, "signature")
	}
	if err := b.tryErase("apr_erase", copies); err != nil {
		t.Fatal(err)
	}
	b.sign(t)
	if rep := verifyAll(t, b, ""); !rep.OK() || rep.Passkeys.Erased != 2 || rep.Passkeys.Signatures != 0 {
		t.Fatal(rep.Problems, rep.Passkeys)
	}
	// Without the review's record, the approval has too few.
	all := b.store.State.Erased
	b.store.State.Erased = all[:1]
	if rep := verifyAll(t, b, ""); rep.OK() {
		t.Error("nobody noticed")
	}
	b.store.State.Erased = all
	if r, _ := b.export(t, audit.Query{}); r.Manifest.Hidden != 4 {
		t.Errorf("%+v", r.Manifest)
	}
}
