package passkey_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // an intruder edits the file

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/passkey"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

const (
	site    = "https://assent.example"
	rpID    = "assent.example"
	session = "session-1"
)

var (
	ctx  = context.Background()
	mira = identity.Person{ID: "person:mira", Name: "Mira"}
	sam  = identity.Person{ID: "person:sam", Name: "Sam"}
)

type house struct {
	*passkey.Keys
	t     *testing.T
	store *sqlite.Store
	dir   string
	key   *audit.Key
	now   time.Time
	began time.Time
}

// newHouse is a deployment that began a month ago.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), now: time.Now().UTC().Truncate(time.Microsecond)}
	h.began = h.now.Add(-30 * 24 * time.Hour)
	clock := func() time.Time { return h.now }
	var err error
	h.store, err = sqlite.Open(ctx, h.dir)
	must(t, err)
	t.Cleanup(func() { must(t, h.store.Close()) })
	h.key, err = audit.LoadOrCreateKey(filepath.Join(h.dir, "key"), "test/log")
	must(t, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{h.key}, Now: clock})
	must(t, err)
	must(t, log.Open(ctx, h.store))
	box, err := sealed.NewBox(h.store, log, []byte(strings.Repeat("k", 32)))
	must(t, err)
	must(t, box.Update(ctx, func(w *sealed.Writer) error {
		return w.Record(ctx, &audit.Record{Type: audit.TypeStart})
	}))
	h.Keys, err = passkey.New(passkey.Options{
		Box: box, PublicURL: site, Secret: []byte(strings.Repeat("s", 32)), Clock: clock,
		Began: func(context.Context) (time.Time, error) { return h.began, nil },
	})
	must(t, err)
	return h
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error, words string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %v, want %v with %q", err, want, words)
	}
}

// challengeIn reads the challenge of a question's options.
func challengeIn(t *testing.T, q *passkey.Question) []byte {
	t.Helper()
	var o struct{ Challenge string }
	must(t, json.Unmarshal(q.Options, &o))
	b, err := base64.RawURLEncoding.DecodeString(o.Challenge)
	must(t, err)
	return b
}

// made is a new key's registration, ready to be enrolled.
func (h *house) made(p identity.Person, a *passkeytest.Authenticator) *passkey.Enrolment {
	h.t.Helper()
	q, err := h.AskNew(ctx, p, session)
	must(h.t, err)
	return &passkey.Enrolment{Person: p, Session: session, Name: "laptop", Ticket: q.Ticket, New: a.Create(challengeIn(h.t, q))}
}

// enrolled has a fresh key by nothing but a session, a day old.
func (h *house) enrolled(p identity.Person) *passkeytest.Authenticator {
	h.t.Helper()
	a := passkeytest.New(rpID, site)
	_, err := h.Enrol(ctx, h.made(p, a))
	must(h.t, err)
	h.now = h.now.Add(evidence.PasskeyWait)
	return a
}

func (h *house) review(p identity.Person) (*evidence.Review, *passkey.Question) {
	h.t.Helper()
	v := &evidence.Review{Approval: "apr_1", Digest: "sha256:aa", Person: p.ID, Decision: "approve", Version: 1, Scope: "{}", Card: "sha256:bb"}
	q, err := h.AskReview(ctx, session, v)
	must(h.t, err)
	return v, q
}

// accept takes an assertion as the engine does, within a transaction.
func (h *house) accept(person string, v *evidence.Review, a *evidence.Assertion) error {
	return h.store.UpdateSealed(ctx, func(tx sealed.Tx) error {
		return h.Accept(ctx, tx, person, v.Challenge(), a)
	})
}

func (h *house) holds(person string, at time.Time, v *evidence.Review, a *evidence.Assertion) error {
	return h.store.ViewSealed(ctx, func(tx sealed.Tx) error { return h.Holds(ctx, tx, person, at, v.Challenge(), a) })
}

// verified reads the whole log as an auditor does.
func (h *house) verified() *audit.Report {
	h.t.Helper()
	r, err := audit.Verify(ctx, h.store, audit.VerifyOptions{VKeys: []string{h.key.Verifier()}})
	must(h.t, err)
	if !r.OK() {
		h.t.Fatalf("the log doesn't verify: %v", r.Problems)
	}
	return r
}

func TestAReviewIsSignedOnceAndByItsPerson(t *testing.T) {
	h := newHouse(t)
	a, other := h.enrolled(mira), h.enrolled(sam)
	v, q := h.review(mira)
	answer := a.Answer(challengeIn(t, q))
	s, err := h.Answered(mira.ID, session, q.Ticket, answer)
	must(t, err)
	must(t, h.accept(mira.ID, v, s))
	must(t, h.holds(mira.ID, h.now, v, s))

	wantErr(t, h.accept(sam.ID, v, s), passkey.ErrRefused, "another person's")
	denial := *v
	denial.Decision = "deny"
	wantErr(t, h.accept(mira.ID, &denial, s), passkey.ErrRefused, "challenge")
	elsewhere := *v
	elsewhere.Approval = "apr_2"
	wantErr(t, h.accept(mira.ID, &elsewhere, s), passkey.ErrRefused, "challenge")
	wantErr(t, h.holds(mira.ID, h.now, &elsewhere, s), passkey.ErrRefused, "challenge")
	c := v.Challenge()
	wantErr(t, h.accept(mira.ID, v, other.Sign(c[:])), passkey.ErrRefused, "another person's")
	wantErr(t, h.accept(mira.ID, v, passkeytest.New(rpID, site).Sign(c[:])), passkey.ErrRefused, "isn't registered")
	wantErr(t, h.accept(mira.ID, v, nil), passkey.ErrRefused, "none")
	h.verified()
}

func TestAnAnswerFitsItsQuestion(t *testing.T) {
	h := newHouse(t)
	a := h.enrolled(mira)
	_, q := h.review(mira)
	answer := a.Answer(challengeIn(t, q))
	for name, try := range map[string]func() error{
		"another session": func() error { _, err := h.Answered(mira.ID, "session-2", q.Ticket, answer); return err },
		"another person":  func() error { _, err := h.Answered(sam.ID, session, q.Ticket, answer); return err },
		"another nonce": func() error {
			_, other := h.review(mira)
			_, err := h.Answered(mira.ID, session, passkey.Ticket{Nonce: other.Nonce, Ticket: q.Ticket.Ticket}, answer)
			return err
		},
		"another purpose": func() error {
			n, err := h.AskNew(ctx, mira, session)
			must(t, err)
			_, err = h.Answered(mira.ID, session, n.Ticket, answer)
			return err
		},
		"no ticket":    func() error { _, err := h.Answered(mira.ID, session, passkey.Ticket{}, answer); return err },
		"not readable": func() error { _, err := h.Answered(mira.ID, session, q.Ticket, []byte(`{"id":"x"}`)); return err },
		"too long": func() error {
			_, err := h.Answered(mira.ID, session, q.Ticket, []byte(strings.Repeat("x", 40_000)))
			return err
		},
	} {
		if err := try(); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.now = h.now.Add(2*time.Minute + time.Millisecond)
	if _, err := h.Answered(mira.ID, session, q.Ticket, answer); !errors.Is(err, passkey.ErrLate) {
		t.Errorf("after two minutes: %v", err)
	}
	h.now = h.now.Add(-time.Hour)
	if _, err := h.Answered(mira.ID, session, q.Ticket, answer); !errors.Is(err, passkey.ErrLate) {
		t.Errorf("before it was asked: %v", err)
	}
}

func TestForgedAnswersAreRefused(t *testing.T) {
	for name, change := range map[string]func(*passkeytest.Authenticator){
		"no user verification": func(a *passkeytest.Authenticator) { a.Flags = 0x01 },
		"nobody there":         func(a *passkeytest.Authenticator) { a.Flags = 0x04 },
		"another origin":       func(a *passkeytest.Authenticator) { a.Origin = "https://evil.example" },
		"a subdomain":          func(a *passkeytest.Authenticator) { a.Origin = "https://x.assent.example" },
		"another port":         func(a *passkeytest.Authenticator) { a.Origin = site + ":8443" },
		"another relying party": func(a *passkeytest.Authenticator) {
			a.RPID = "example"
		},
		"a frame":        func(a *passkeytest.Authenticator) { a.CrossOrigin = true },
		"a registration": func(a *passkeytest.Authenticator) { a.Type = "webauthn.create" },
		"suddenly synchronised": func(a *passkeytest.Authenticator) {
			a.Flags = 0x1d
		},
	} {
		h := newHouse(t)
		a := h.enrolled(mira)
		v, q := h.review(mira)
		change(a)
		s, err := h.Answered(mira.ID, session, q.Ticket, a.Answer(challengeIn(t, q)))
		must(t, err)
		if err := h.accept(mira.ID, v, s); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "another port" && name != "suddenly synchronised" { // the console may have moved; only a fresh answer tells
			if err := h.holds(mira.ID, h.now, v, s); !errors.Is(err, passkey.ErrRefused) {
				t.Errorf("%s, looked at again: %v", name, err)
			}
		}
	}
}

func TestACounterThatGoesBackIsRefused(t *testing.T) {
	h := newHouse(t)
	a := passkeytest.New(rpID, site)
	a.Count, a.Step = 5, 1
	_, err := h.Enrol(ctx, h.made(mira, a))
	must(t, err)
	h.now = h.now.Add(evidence.PasskeyWait)
	copied := *a
	sign := func(with *passkeytest.Authenticator) error {
		v, q := h.review(mira)
		return h.accept(mira.ID, v, with.Sign(challengeIn(t, q)))
	}
	must(t, sign(a)) // 6
	must(t, sign(a)) // 7
	wantErr(t, sign(&copied), passkey.ErrCloned, "second copy")
	a.Count, a.Step = 0, 0
	wantErr(t, sign(a), passkey.ErrCloned, "second copy")
	h.verified()
}

func TestANewKeyWaits(t *testing.T) {
	h := newHouse(t)
	a := passkeytest.New(rpID, site)
	k, err := h.Enrol(ctx, h.made(mira, a))
	must(t, err)
	if k.BoundBy != evidence.BySession || !k.CountsFrom.Equal(h.now.Add(evidence.PasskeyWait)) {
		t.Fatalf("%+v", k)
	}
	has := func(want bool) {
		t.Helper()
		if got, err := h.Has(ctx, mira.ID); err != nil || got != want {
			t.Fatalf("has: %v, %v", got, err)
		}
	}
	has(false)
	v := &evidence.Review{Person: mira.ID}
	_, err = h.AskReview(ctx, session, v)
	wantErr(t, err, passkey.ErrNoKey, "")
	c := v.Challenge()
	wantErr(t, h.accept(mira.ID, v, a.Sign(c[:])), passkey.ErrRefused, "counts only from")
	h.now = h.now.Add(evidence.PasskeyWait - time.Microsecond)
	has(false)
	h.now = h.now.Add(time.Microsecond)
	has(true)
	must(t, h.accept(mira.ID, v, a.Sign(c[:])))
	wantErr(t, h.holds(mira.ID, h.now.Add(-time.Second), v, a.Sign(c[:])), passkey.ErrRefused, "counts only from")
}

func TestAnOlderKeyVouchesForANewOne(t *testing.T) {
	h := newHouse(t)
	old, newer := h.enrolled(mira), passkeytest.NewEd25519(rpID, site)
	in := h.made(mira, newer)
	q, err := h.AskOlder(ctx, in)
	must(t, err)
	in.Older, in.OlderTicket = old.Answer(challengeIn(t, q)), q.Ticket
	k, err := h.Enrol(ctx, in)
	must(t, err)
	if k.BoundBy != evidence.ByPasskey || !k.Live(h.now) {
		t.Fatalf("%+v", k)
	}
	v, rq := h.review(mira)
	must(t, h.accept(mira.ID, v, newer.Sign(challengeIn(t, rq))))
	_, err = h.Enrol(ctx, in)
	wantErr(t, err, passkey.ErrKnown, "")

	// Vouching is for that key, by that person, asked in that session.
	another := h.made(mira, passkeytest.NewRSA(rpID, site))
	another.Older, another.OlderTicket = in.Older, in.OlderTicket
	_, err = h.Enrol(ctx, another)
	wantErr(t, err, passkey.ErrRefused, "challenge")
	theirs := h.made(sam, passkeytest.New(rpID, site))
	_, err = h.AskOlder(ctx, theirs)
	wantErr(t, err, passkey.ErrNoKey, "")
	theirs.Older, theirs.OlderTicket = in.Older, in.OlderTicket
	_, err = h.Enrol(ctx, theirs)
	wantErr(t, err, passkey.ErrRefused, "wasn't asked")
	own := h.made(mira, passkeytest.New(rpID, site))
	q, err = h.AskOlder(ctx, own)
	must(t, err)
	own.Older, own.OlderTicket = passkeytest.New(rpID, site).Answer(challengeIn(t, q)), q.Ticket
	_, err = h.Enrol(ctx, own)
	wantErr(t, err, passkey.ErrRefused, "isn't registered")
	if keys, err := h.Of(ctx, mira.ID); err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	if r := h.verified(); r.Passkeys.Keys != 2 || r.Passkeys.Unbacked != 1 {
		t.Errorf("%+v", r.Passkeys)
	}
}

func TestTheFirstDayBindsFirstKeysAtOnce(t *testing.T) {
	h := newHouse(t)
	h.began = h.now.Add(-23 * time.Hour)
	first, err := h.Enrol(ctx, h.made(mira, passkeytest.New(rpID, site)))
	must(t, err)
	second, err := h.Enrol(ctx, h.made(mira, passkeytest.New(rpID, site)))
	must(t, err)
	if first.BoundBy != evidence.ByFirst || !first.Live(h.now) || second.BoundBy != evidence.BySession || second.Live(h.now) {
		t.Fatalf("%+v\n%+v", first, second)
	}
	// A person whose only key is revoked is not new.
	must(t, h.Revoke(ctx, first.ID, mira.ID, mira.ID, "lost"))
	must(t, h.Revoke(ctx, second.ID, "", "person:admin", "lost"))
	third, err := h.Enrol(ctx, h.made(mira, passkeytest.New(rpID, site)))
	must(t, err)
	if third.BoundBy != evidence.BySession || third.Live(h.now) {
		t.Fatalf("%+v", third)
	}
	h.now = h.began.Add(24 * time.Hour)
	late, err := h.Enrol(ctx, h.made(sam, passkeytest.New(rpID, site)))
	must(t, err)
	if late.BoundBy != evidence.BySession {
		t.Fatalf("%+v", late)
	}
	h.verified()
}

func TestASignInNamesTheNewKey(t *testing.T) {
	h := newHouse(t)
	in := h.made(mira, passkeytest.New(rpID, site))
	nonce, err := h.SignInNonce(in)
	must(t, err)
	in.IDToken = "e30." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"nonce":%q}`, nonce)) + ".c2ln"
	k, err := h.Enrol(ctx, in)
	must(t, err)
	if k.BoundBy != evidence.BySignIn || k.Live(h.now) || !k.Live(h.now.Add(evidence.PasskeyWait)) {
		t.Fatalf("%+v", k)
	}
	if r := h.verified(); r.Passkeys.Unbacked != 0 {
		t.Errorf("%+v", r.Passkeys)
	}
}

func TestRevoking(t *testing.T) {
	h := newHouse(t)
	a := h.enrolled(mira)
	id := evidence.PasskeyID(a.Credential)
	v, q := h.review(mira)
	s := a.Sign(challengeIn(t, q))
	must(t, h.accept(mira.ID, v, s))
	wantErr(t, h.Revoke(ctx, id, sam.ID, sam.ID, "spite"), passkey.ErrNotFound, "")
	wantErr(t, h.Revoke(ctx, "psk_none", "", sam.ID, ""), passkey.ErrNotFound, "")
	must(t, h.Revoke(ctx, id, mira.ID, mira.ID, "lost"))
	must(t, h.Revoke(ctx, id, mira.ID, mira.ID, "lost again")) // said once
	wantErr(t, h.accept(mira.ID, v, s), passkey.ErrRefused, "revoked")
	wantErr(t, h.holds(mira.ID, h.now, v, s), passkey.ErrRefused, "revoked")
	keys, err := h.Of(ctx, mira.ID)
	must(t, err)
	if len(keys) != 1 || keys[0].Why != "lost" || keys[0].RevokedBy != mira.ID || keys[0].Live(h.now) {
		t.Fatalf("%+v", keys)
	}
	h.verified()
}

// TestRegistrationsThatAreRefused: what a stranger's page, script or copy could send.
func TestRegistrationsThatAreRefused(t *testing.T) {
	h := newHouse(t)
	a := func(change func(*passkeytest.Authenticator)) *passkey.Enrolment {
		made := passkeytest.New(rpID, site)
		if change != nil {
			change(made)
		}
		return h.made(mira, made)
	}
	with := func(change func(*passkey.Enrolment)) *passkey.Enrolment {
		in := a(nil)
		change(in)
		return in
	}
	for name, in := range map[string]*passkey.Enrolment{
		"no user verification":  a(func(a *passkeytest.Authenticator) { a.Flags = 0x01 }),
		"another origin":        a(func(a *passkeytest.Authenticator) { a.Origin = "https://evil.example" }),
		"another spelling":      a(func(a *passkeytest.Authenticator) { a.Origin = "https://ASSENT.example" }),
		"another relying party": a(func(a *passkeytest.Authenticator) { a.RPID = "evil.example" }),
		"a frame":               a(func(a *passkeytest.Authenticator) { a.CrossOrigin = true }),
		"an assertion":          a(func(a *passkeytest.Authenticator) { a.Type = "webauthn.get" }),
		"another session":       with(func(in *passkey.Enrolment) { in.Session = "session-2" }),
		"another person":        with(func(in *passkey.Enrolment) { in.Person = sam }),
		"another challenge": with(func(in *passkey.Enrolment) {
			in.New = passkeytest.New(rpID, site).Create([]byte("0123456789abcdef0123456789abcdef"))
		}),
		"no answer":   with(func(in *passkey.Enrolment) { in.New = nil }),
		"long name":   with(func(in *passkey.Enrolment) { in.Name = strings.Repeat("x", 61) }),
		"broken name": with(func(in *passkey.Enrolment) { in.Name = "\xff" }),
	} {
		if _, err := h.Enrol(ctx, in); !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := a(nil)
	h.now = h.now.Add(11 * time.Minute)
	_, err := h.Enrol(ctx, in)
	wantErr(t, err, passkey.ErrLate, "too late")
	if keys, err := h.All(ctx); err != nil || len(keys) > 0 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	// One credential is one person's, once: nobody else can take it over.
	shared := passkeytest.New(rpID, site)
	_, err = h.Enrol(ctx, h.made(mira, shared))
	must(t, err)
	_, err = h.Enrol(ctx, h.made(sam, shared))
	wantErr(t, err, passkey.ErrKnown, "")
	for range 19 {
		_, err = h.Enrol(ctx, h.made(mira, passkeytest.New(rpID, site)))
		must(t, err)
	}
	_, err = h.Enrol(ctx, h.made(mira, passkeytest.New(rpID, site)))
	wantErr(t, err, passkey.ErrTooMany, "")
}

// TestRowsEditedBySQL: whoever has the database, and not the seal key.
func TestRowsEditedBySQL(t *testing.T) {
	for name, edit := range map[string]string{
		"another person's":   `UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), 'person:mira', 'person:sam') AS BLOB), key = 'person:sam' WHERE kind = 'passkey'`,
		"revocation undone":  `UPDATE sealed SET body = (SELECT body FROM kept), mac = (SELECT mac FROM kept), revision = (SELECT revision FROM kept) WHERE kind = 'passkey'`,
		"taken away":         `DELETE FROM sealed WHERE kind = 'passkey'`,
		"counts earlier":     `UPDATE sealed SET body = CAST(replace(CAST(body AS TEXT), '"counts_from":"2', '"counts_from":"1') AS BLOB) WHERE kind = 'passkey'`,
		"under another kind": `UPDATE sealed SET kind = 'freeze' WHERE kind = 'passkey'`,
	} {
		h := newHouse(t)
		a := h.enrolled(mira)
		v, q := h.review(mira)
		s := a.Sign(challengeIn(t, q))
		db, err := sql.Open("sqlite", filepath.Join(h.dir, "assent.db")+"?_pragma=busy_timeout(10000)")
		must(t, err)
		_, err = db.Exec(`CREATE TABLE kept AS SELECT * FROM sealed WHERE kind = 'passkey'`)
		must(t, err)
		if name == "revocation undone" {
			must(t, h.Revoke(ctx, evidence.PasskeyID(a.Credential), "", mira.ID, "stolen"))
		}
		_, err = db.Exec(edit)
		must(t, err)
		must(t, db.Close())
		for _, person := range []string{mira.ID, sam.ID} {
			err := h.accept(person, v, s)
			if !errors.Is(err, sealed.ErrTampered) {
				t.Errorf("%s, by %s: %v", name, person, err)
			}
			if err := h.holds(person, h.now, v, s); !errors.Is(err, sealed.ErrTampered) {
				t.Errorf("%s, looked at again by %s: %v", name, person, err)
			}
		}
		if _, err := h.Of(ctx, mira.ID); !errors.Is(err, sealed.ErrTampered) {
			t.Errorf("%s: the list is believed: %v", name, err)
		}
	}
}

func TestWhereBrowsersRefusePasskeys(t *testing.T) {
	for url, usable := range map[string]bool{
		"http://localhost:8720": true, "https://assent.example": true, "https://assent.example:8443": true,
		"http://127.0.0.1:8720": false, "https://10.0.0.1": false, "https://[::1]:8720": false, "http://assent.example": false,
	} {
		var box sealed.Box
		k, err := passkey.New(passkey.Options{Box: &box, PublicURL: url, Secret: make([]byte, 32)})
		must(t, err)
		err = k.Usable()
		if usable != (err == nil) || !usable && !errors.Is(err, passkey.ErrUnusable) {
			t.Errorf("%s: %v", url, err)
		}
		if usable {
			continue
		}
		if _, err := k.AskNew(ctx, mira, session); !errors.Is(err, passkey.ErrUnusable) {
			t.Errorf("%s offers to register: %v", url, err)
		}
	}
}

func FuzzParseAssertion(f *testing.F) {
	f.Add(passkeytest.New(rpID, site).Answer(make([]byte, 32)))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"authenticatorData":"","clientDataJSON":"e30","signature":""}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := passkey.ParseAssertion(b)
		if err != nil {
			return
		}
		if len(a.Credential) == 0 {
			t.Fatal("an assertion without a credential")
		}
		_, _ = evidence.VerifyAssertion(a, passkeytest.New(rpID, site).PKIX(), [32]byte{}, evidence.Site{RPID: rpID})
	})
}
