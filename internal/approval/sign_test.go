package approval_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/passkey"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

const passkeySite = "https://assent.test"

// signing is a house in which ana and ben have passkeys that count.
type signing struct {
	*house
	keys    *passkey.Keys
	devices map[string]*passkeytest.Authenticator
}

func newSigning(t *testing.T) *signing {
	t.Helper()
	s := &signing{devices: map[string]*passkeytest.Authenticator{}}
	s.house = newHouse(t, func(o *approval.Options) {
		box, err := sealed.NewBox(o.Store.(*sqlite.Store), o.Log, sealKey)
		must(t, err)
		s.keys, err = passkey.New(passkey.Options{Box: box, PublicURL: passkeySite, Secret: sealKey, Clock: o.Clock})
		must(t, err)
		o.Passkeys = s.keys
	})
	for _, p := range []string{"person:ana", "person:ben"} {
		s.devices[p] = s.enrol(p)
	}
	s.clock.add(25 * time.Hour)
	return s
}

func (s *signing) enrol(person string) *passkeytest.Authenticator {
	s.Helper()
	d := passkeytest.New("assent.test", passkeySite)
	q, err := s.keys.AskNew(context.Background(), identity.Person{ID: person, Name: person}, "session")
	must(s.TB, err)
	_, err = s.keys.Enrol(context.Background(), &passkey.Enrolment{
		Person: identity.Person{ID: person, Name: person}, Session: "session", Ticket: q.Ticket, New: d.Create(challengeOf(s.TB, q)),
	})
	must(s.TB, err)
	return d
}

func challengeOf(tb testing.TB, q *passkey.Question) []byte {
	tb.Helper()
	var o struct{ Challenge string }
	must(tb, json.Unmarshal(q.Options, &o))
	b, err := base64.RawURLEncoding.DecodeString(o.Challenge)
	must(tb, err)
	return b
}

// critical holds an action that needs one passkey.
func (s *signing) critical(sql string, people int) (*approval.Question, *approval.Approval) {
	s.Helper()
	q := ask(agent("agent:x"), sql, policy.Requirement{Rule: "r", From: []string{"owners"}, Count: people, Assurance: "passkey", Expires: 48 * time.Hour, UseWithin: 48 * time.Hour})
	return q, s.ask(q)
}

// signed is an answer that its person's authenticator signed.
func (s *signing) signed(a *approval.Approval, person, decision string) approval.Answer {
	s.Helper()
	in := answer(a, person, decision)
	in.Assurance = "console"
	s.sign(a, &in, s.devices[person])
	return in
}

func (s *signing) sign(a *approval.Approval, in *approval.Answer, d *passkeytest.Authenticator) {
	s.Helper()
	v := in.Signs(a)
	q, err := s.keys.AskReview(context.Background(), "session", &v)
	must(s.TB, err)
	got, err := s.keys.Answered(in.Person.ID, "session", q.Ticket, d.Answer(challengeOf(s.TB, q)))
	must(s.TB, err)
	in.Signature = &approval.Signature{Assertion: *got, Nonce: v.Nonce}
}

func (s *signing) answer(in approval.Answer) (*approval.Approval, error) {
	s.Helper()
	return s.engine.Answer(context.Background(), in)
}

// report is what an auditor finds about passkeys in the log.
func (s *signing) report() *audit.Report {
	s.Helper()
	ctx := context.Background()
	head, err := s.store.Head(ctx)
	must(s.TB, err)
	_, err = s.log.Sign(ctx, head)
	must(s.TB, err)
	r, err := audit.Verify(ctx, s.store, audit.VerifyOptions{VKeys: s.log.Verifiers(), HeadFile: filepath.Join(s.dir, "head")})
	must(s.TB, err)
	return r
}

func TestPasskeyReviewsApproveAndVerifyOffline(t *testing.T) {
	s := newSigning(t)
	q, a := s.critical("copy", 2)
	after, err := s.answer(s.signed(a, "person:ana", approval.Approve))
	must(t, err)
	if after.State != approval.Pending {
		t.Fatalf("one of two: %s", after.State)
	}
	after, err = s.answer(s.signed(s.get(a.ID), "person:ben", approval.Approve))
	must(t, err)
	if after.State != approval.Approved {
		t.Fatalf("two of two: %s", after.State)
	}
	s.restart()
	used, err := s.engine.Use(context.Background(), a.ID, use(q))
	must(t, err)
	for _, r := range used.Approval.Reviews {
		if r.Assurance != "passkey" || r.Signature == nil {
			t.Errorf("%+v", r)
		}
	}
	_, d := s.critical("drop", 1)
	if _, err := s.answer(s.signed(d, "person:ana", approval.Deny)); err != nil {
		t.Fatal(err)
	}
	s.state(d.ID, approval.Denied)
	r := s.report()
	if !r.OK() || r.Passkeys.Signatures != 3 || len(r.Passkeys.Persons) != 2 {
		t.Errorf("%+v", r)
	}
}

// TestPasskeyAttacks tries to get past with what isn't that person's signature
// of this decision. Each is refused, is on record, and decides nothing.
func TestPasskeyAttacks(t *testing.T) {
	s := newSigning(t)
	_, a := s.critical("copy", 1)
	_, b := s.critical("drop", 1)
	good := s.signed(a, "person:ana", approval.Approve)
	with := func(change func(*approval.Answer)) approval.Answer {
		in := good
		c := *good.Signature
		in.Signature = &c
		change(&in)
		return in
	}
	onDevice := func(change func(*passkeytest.Authenticator)) approval.Answer {
		d := *s.devices["person:ana"]
		change(&d)
		in := answer(a, "person:ana", approval.Approve)
		s.sign(a, &in, &d)
		return in
	}
	late := s.enrol("person:cas")
	for name, c := range map[string]struct {
		in   approval.Answer
		why  string
		deed string // of the record
	}{
		"approve turned to deny":  {in: with(func(in *approval.Answer) { in.Decision = approval.Deny }), why: "challenge"},
		"another reason":          {in: with(func(in *approval.Answer) { in.Reason = "I was told to" }), why: "challenge"},
		"another approval":        {in: with(func(in *approval.Answer) { in.Approval, in.Digest, in.Version = b.ID, b.Digest, b.Version }), why: "challenge"},
		"another nonce":           {in: with(func(in *approval.Answer) { in.Signature.Nonce = strings.Repeat("A", 43) }), why: "challenge"},
		"another person's answer": {in: with(func(in *approval.Answer) { in.Person.ID = "person:ben" }), why: "another person's"},
		"another person's key": {in: func() approval.Answer {
			in := answer(a, "person:ana", approval.Approve)
			s.sign(a, &in, s.devices["person:ben"])
			return in
		}(), why: "another person's"},
		"a key nobody knows": {in: func() approval.Answer {
			in := answer(a, "person:ana", approval.Approve)
			s.sign(a, &in, passkeytest.New("assent.test", passkeySite))
			return in
		}(), why: "isn't registered"},
		"a key that is too new": {in: func() approval.Answer {
			in := answer(a, "person:cas", approval.Approve)
			v := in.Signs(a)
			v.Nonce = strings.Repeat("A", 43)
			c := v.Challenge()
			in.Signature = &approval.Signature{Assertion: *late.Sign(c[:]), Nonce: v.Nonce}
			return in
		}(), why: "counts only from"},
		"an obligation taken away": {in: func() approval.Answer {
			in := answer(a, "person:ana", approval.Approve)
			in.Assurance, in.Obligation.Window = "console", time.Hour
			s.sign(a, &in, s.devices["person:ana"])
			in.Obligation.Window = 0
			return in
		}(), why: "challenge"},
		"user not verified":      {in: onDevice(func(d *passkeytest.Authenticator) { d.Flags = 0x01 }), why: "verify its user"},
		"made at another site":   {in: onDevice(func(d *passkeytest.Authenticator) { d.Origin = "https://evil.test" }), why: "it was made at"},
		"for another party":      {in: onDevice(func(d *passkeytest.Authenticator) { d.RPID = "evil.test" }), why: "another relying party"},
		"in a frame":             {in: onDevice(func(d *passkeytest.Authenticator) { d.CrossOrigin = true }), why: "frame"},
		"a registration instead": {in: onDevice(func(d *passkeytest.Authenticator) { d.Type = "webauthn.create" }), why: "isn't an assertion"},
	} {
		_, err := s.answer(c.in)
		var forged approval.ErrSignature
		if !errors.As(err, &forged) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.why)) {
			t.Errorf("%s: %v", name, err)
		}
		if last := s.records(audit.TypeRefused); len(last) == 0 || last[len(last)-1].Person != c.in.Person.ID || last[len(last)-1].Detail["credential"] == "" {
			t.Errorf("%s isn't on record", name)
		}
	}
	// What says "passkey" and brings no signature is worth nothing.
	bare := answer(a, "person:ana", approval.Approve)
	bare.Assurance = "passkey"
	var low approval.ErrAssurance
	if _, err := s.answer(bare); !errors.As(err, &low) {
		t.Errorf("no signature at all: %v", err)
	}
	// A signature of an older version of the card.
	_, two := s.critical("copy for two", 2)
	stale := s.signed(two, "person:ana", approval.Approve)
	_, err := s.answer(s.signed(two, "person:ben", approval.Approve))
	must(t, err)
	_, err = s.answer(stale)
	wantErr(t, err, approval.ErrChanged)
	stale.Version = s.get(two.ID).Version
	if _, err = s.answer(stale); !errors.As(err, new(approval.ErrSignature)) {
		t.Errorf("a signature of what the card said before: %v", err)
	}
	s.state(a.ID, approval.Pending)
	s.state(b.ID, approval.Pending)
	// The real one still counts, and only once.
	_, err = s.answer(good)
	must(t, err)
	_, err = s.answer(good)
	wantErr(t, err, approval.ErrDecided)
	if r := s.report(); !r.OK() || r.Passkeys.Signatures != 2 {
		t.Errorf("%+v", r)
	}
}

func TestACopiedAuthenticatorRaisesAnAlarm(t *testing.T) {
	s := newSigning(t)
	d := s.devices["person:ana"]
	d.Count, d.Step = 3, 1
	copied := *d
	_, a := s.critical("one", 1)
	_, b := s.critical("two", 1)
	_, err := s.answer(s.signed(a, "person:ana", approval.Approve))
	must(t, err)
	s.devices["person:ana"] = &copied
	before := len(s.records(audit.TypeAlarm))
	if _, err = s.answer(s.signed(b, "person:ana", approval.Approve)); !errors.Is(err, passkey.ErrCloned) {
		t.Fatal(err)
	}
	if got := s.records(audit.TypeAlarm); len(got) != before+1 || !strings.Contains(got[before].Detail["what"], "second copy") {
		t.Errorf("alarms: %+v", got)
	}
	s.state(b.ID, approval.Pending)
}

// TestARevokedKeyTakesItsUnusedReviewsWithIt: it was stolen, and that was found in time.
func TestARevokedKeyTakesItsUnusedReviewsWithIt(t *testing.T) {
	s := newSigning(t)
	q, a := s.critical("copy", 1)
	_, err := s.answer(s.signed(a, "person:ana", approval.Approve))
	must(t, err)
	s.state(a.ID, approval.Approved)
	must(t, s.keys.Revoke(context.Background(), evidence.PasskeyID(s.devices["person:ana"].Credential), "", "person:ana", "stolen"))
	_, err = s.engine.Use(context.Background(), a.ID, use(q))
	wantErr(t, err, approval.ErrNotApproved)
	s.state(a.ID, approval.Withdrawn)
	_, b := s.critical("drop", 1)
	in := answer(b, "person:ana", approval.Approve)
	v := in.Signs(b)
	v.Nonce = strings.Repeat("A", 43)
	c := v.Challenge()
	in.Signature = &approval.Signature{Assertion: *s.devices["person:ana"].Sign(c[:]), Nonce: v.Nonce}
	if _, err = s.answer(in); !errors.As(err, new(approval.ErrSignature)) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("signed with a revoked key: %v", err)
	}
	if r := s.report(); !r.OK() {
		t.Errorf("%+v", r.Problems)
	}
}

// TestALaterReviewMayShortenTheTime and the signatures before it still hold.
func TestALaterReviewMayShortenTheTime(t *testing.T) {
	s := newSigning(t)
	q, a := s.critical("copy", 2)
	_, err := s.answer(s.signed(a, "person:ana", approval.Approve))
	must(t, err)
	a = s.get(a.ID)
	in := answer(a, "person:ben", approval.Approve)
	in.Obligation = approval.Obligation{Window: time.Hour, Rows: action.KnownCount(7)}
	s.sign(a, &in, s.devices["person:ben"])
	_, err = s.answer(in)
	must(t, err)
	used, err := s.engine.Use(context.Background(), a.ID, use(q))
	must(t, err)
	if used.MaxRows != 7 {
		t.Errorf("bound to %d rows", used.MaxRows)
	}
	if r := s.report(); !r.OK() || r.Passkeys.Signatures != 2 {
		t.Errorf("%+v", r)
	}
}

// forge rewrites the one review of an approval and seals it anew, as an operator
// with the seal key can.
func (s *signing) forge(id string, change func(*approval.Review)) {
	s.Helper()
	r := s.get(id).Reviews[0]
	change(&r)
	body, err := json.Marshal(r)
	must(s.TB, err)
	h := hmac.New(sha256.New, sealKey)
	h.Write([]byte("assent-review/1\x00"))
	h.Write(body)
	if n := s.edit("UPDATE review SET body = ?, mac = ?, person = ? WHERE approval = ?", body, h.Sum(nil), r.Person, id); n != 1 {
		s.Fatalf("%d rows changed", n)
	}
}

// TestAReviewSealedWithoutASignatureFillsNoSeat is the operator who has every
// key of the server, and not the person's authenticator.
func TestAReviewSealedWithoutASignatureFillsNoSeat(t *testing.T) {
	s := newSigning(t)
	for name, change := range map[string]func(*approval.Review){
		"untouched":              func(*approval.Review) {},
		"stripped":               func(r *approval.Review) { r.Signature = nil },
		"called console":         func(r *approval.Review) { r.Assurance = "console" },
		"of another person":      func(r *approval.Review) { r.Person = "person:ben" },
		"another reason":         func(r *approval.Review) { r.Reason = "in my own words" },
		"signed with own key":    func(r *approval.Review) { r.Signature.Assertion.Credential = []byte("own") },
		"of another card":        func(r *approval.Review) { r.Signature.Card = "sha256:00" },
		"for a wider scope":      func(r *approval.Review) { r.Signature.Scope = "{}" },
		"without its obligation": func(r *approval.Review) { r.Obligation = approval.Obligation{} },
		"before the key":         func(r *approval.Review) { r.Time = r.Time.Add(-48 * time.Hour) },
		"a signature of zeros":   func(r *approval.Review) { r.Signature.Assertion.Signature = make([]byte, 70) },
	} {
		q, a := s.critical("copy "+name, 1)
		in := answer(a, "person:ana", approval.Approve)
		in.Obligation = approval.Obligation{Rows: action.KnownCount(5)}
		s.sign(a, &in, s.devices["person:ana"])
		_, err := s.answer(in)
		must(t, err)
		s.forge(a.ID, change)
		_, err = s.engine.Use(context.Background(), a.ID, use(q))
		if name == "untouched" {
			must(t, err)
			continue
		}
		if !errors.Is(err, approval.ErrNotApproved) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s.state(a.ID, approval.Withdrawn)
	}
}
