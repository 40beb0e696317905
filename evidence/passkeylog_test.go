package evidence_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/passkey/passkeytest"
)

// rec is a record as the log writes it: index, time and type first.
type rec struct {
	Index    int64             `json:"index"`
	Time     time.Time         `json:"time"`
	Type     string            `json:"type"`
	Person   string            `json:"person,omitempty"`
	Digest   string            `json:"digest,omitempty"`
	Decision string            `json:"decision,omitempty"`
	Approval string            `json:"approval,omitempty"`
	About    string            `json:"about,omitempty"`
	Detail   map[string]string `json:"detail,omitempty"`
}

var (
	day  = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	e64  = base64.RawURLEncoding.EncodeToString
	long = day.Add(30 * 24 * time.Hour) // far behind the first day
)

// registered is the record of a new key, bound as by says.
func registered(a *passkeytest.Authenticator, person string, at time.Time, by string) rec {
	from := at.Add(evidence.PasskeyWait)
	if by == evidence.ByPasskey || by == evidence.ByFirst {
		from = at
	}
	return rec{
		Time: at, Type: "passkey.changed", Person: person, Decision: evidence.PasskeyRegistered, About: "passkey/" + evidence.PasskeyID(a.Credential),
		Detail: map[string]string{
			"credential": e64(a.Credential), "key": e64(a.PKIX()), "rp_id": a.RPID, "origin": a.Origin, "nonce": nonce1,
			"bound_by": by, "counts_from": from.Format(time.RFC3339Nano),
		},
	}
}

// vouchedBy adds the older key's signature.
func vouchedBy(r rec, older, newer *passkeytest.Authenticator) rec {
	c := registration(r.Person, newer).Challenge()
	d := map[string]string{}
	older.Sign(c[:]).AssertionDetail(d)
	for k, v := range d {
		r.Detail["by_"+k] = v
	}
	return r
}

func registration(person string, a *passkeytest.Authenticator) *evidence.Registration {
	return &evidence.Registration{Person: person, Credential: a.Credential, Key: a.PKIX(), RPID: a.RPID, Nonce: nonce1}
}

// reviewed is the record of a signed review.
func reviewed(a *passkeytest.Authenticator, person, approval, decision string, at time.Time) rec {
	v := &evidence.Review{
		Approval: approval, Digest: "sha256:aa", Person: person, Decision: decision, Reason: "fine", Version: 1,
		Scope: `{"rows":10}`, Card: evidence.CardHash([]byte("card")), Nonce: nonce1,
	}
	d := map[string]string{
		"assurance": "passkey", "reason": v.Reason, "version": strconv.FormatInt(v.Version, 10), "scope": v.Scope, "card": v.Card, "nonce": v.Nonce,
	}
	c := v.Challenge()
	a.Sign(c[:]).AssertionDetail(d)
	return rec{Time: at, Type: "review", Person: person, Approval: approval, Digest: v.Digest, Decision: decision, Detail: d}
}

func revoked(a *passkeytest.Authenticator, person string, at time.Time) rec {
	return rec{Time: at, Type: "passkey.changed", Person: person, Decision: evidence.PasskeyRevoked, About: "passkey/" + evidence.PasskeyID(a.Credential)}
}

func approved(approval string, seats int, at time.Time) rec {
	return rec{Time: at, Type: "approval", Approval: approval, Decision: "approved", Detail: map[string]string{"assurance": "passkey", "seats": strconv.Itoa(seats)}}
}

func started(approval string, at time.Time) rec {
	return rec{Time: at, Type: "execution.started", Approval: approval, Decision: "executing"}
}

// read adds the records behind a log's first and returns what was found wrong.
func read(t testing.TB, recs ...rec) (evidence.PasskeyReport, []string) {
	t.Helper()
	l := evidence.NewPasskeyLog()
	var wrong []string
	for i, r := range append([]rec{{Time: day, Type: "node.started"}}, recs...) {
		r.Index = int64(i)
		leaf, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Add(leaf); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return l.Report(), wrong
}

func TestPasskeyLogReadsWhatWasSigned(t *testing.T) {
	first, second, other := passkeytest.New(rpID, site), passkeytest.NewRSA(rpID, site), passkeytest.NewEd25519(rpID, site)
	first.Count, first.Step = 1, 1
	token := "e30." + e64([]byte(fmt.Sprintf(`{"sub":"x","nonce":%q}`, registration("person:sam", other).SignInNonce()))) + ".c2ln"
	bySignIn := registered(other, "person:sam", long, evidence.BySignIn)
	bySignIn.Detail["id_token"] = token
	report, wrong := read(t,
		registered(first, "person:mira", day.Add(time.Hour), evidence.ByFirst),
		reviewed(first, "person:mira", "apr_1", "approve", day.Add(2*time.Hour)),
		approved("apr_1", 1, day.Add(2*time.Hour)), started("apr_1", day.Add(3*time.Hour)),
		vouchedBy(registered(second, "person:mira", long, evidence.ByPasskey), first, second),
		bySignIn,
		reviewed(second, "person:mira", "apr_2", "deny", long.Add(time.Second)),
		reviewed(other, "person:sam", "apr_3", "approve", long.Add(25*time.Hour)),
		rec{Time: long, Type: "review", Person: "person:omar", Decision: "approve", Detail: map[string]string{"assurance": "console"}},
		revoked(first, "person:mira", long.Add(26*time.Hour)),
	)
	if len(wrong) > 0 || report.Signatures != 3 || report.Keys != 3 || report.Unbacked != 1 || !slices.Equal(report.Persons, []string{"person:mira", "person:sam"}) {
		t.Fatalf("%+v, %q", report, wrong)
	}
}

func TestPasskeyLogRefuses(t *testing.T) {
	at := long.Add(48 * time.Hour)
	key, other := passkeytest.New(rpID, site), passkeytest.New(rpID, site)
	known := registered(key, "person:mira", long, evidence.BySession)
	others := registered(other, "person:sam", long, evidence.BySession)
	with := func(r rec, change func(*rec)) rec {
		r.Detail = maps.Clone(r.Detail)
		change(&r)
		return r
	}
	field := func(name, to string) func(*rec) { return func(r *rec) { r.Detail[name] = to } }
	good := reviewed(key, "person:mira", "apr_1", "approve", at)
	counting := passkeytest.New(rpID, site)
	counting.Count = 7
	noUV := passkeytest.New(rpID, site)
	noUV.Flags = 0x01
	away := passkeytest.New(rpID, site)
	away.Origin = "https://evil.example"
	alien := passkeytest.New(rpID, site)
	newer := passkeytest.New(rpID, site)
	reviewBy := func(a *passkeytest.Authenticator) []rec {
		return []rec{registered(a, "person:mira", long, evidence.BySession), reviewed(a, "person:mira", "apr_1", "approve", at)}
	}
	idToken := func(nonce string) func(*rec) {
		return field("id_token", "e30."+e64([]byte(`{"nonce":"`+nonce+`"}`))+".c2ln")
	}
	for name, c := range map[string]struct {
		why  string
		recs []rec
	}{
		"assertion stripped":         {"isn't signed", []rec{known, with(good, func(r *rec) { delete(r.Detail, "signature") })}},
		"approve turned to deny":     {"another challenge", []rec{known, with(good, func(r *rec) { r.Decision = "deny" })}},
		"other approval":             {"another challenge", []rec{known, with(good, func(r *rec) { r.Approval = "apr_2" })}},
		"other digest":               {"another challenge", []rec{known, with(good, func(r *rec) { r.Digest = "sha256:bb" })}},
		"other reason":               {"another challenge", []rec{known, with(good, field("reason", "something else"))}},
		"other scope":                {"another challenge", []rec{known, with(good, field("scope", `{"rows":11}`))}},
		"other card":                 {"another challenge", []rec{known, with(good, field("card", "sha256:00"))}},
		"other version":              {"another challenge", []rec{known, with(good, field("version", "2"))}},
		"no version":                 {"which version", []rec{known, with(good, field("version", "x"))}},
		"short nonce":                {"32 bytes", []rec{known, with(good, field("nonce", "AAAA"))}},
		"other person's name":        {"another person's", []rec{known, others, with(good, func(r *rec) { r.Person = "person:sam" })}},
		"other person's key":         {"another person's", []rec{known, others, reviewed(other, "person:mira", "apr_1", "approve", at)}},
		"unbound key":                {"binds passkey", []rec{good}},
		"registered later":           {"binds passkey", []rec{good, known}},
		"not counting yet":           {"counts only from", []rec{known, reviewed(key, "person:mira", "apr_1", "approve", long.Add(23*time.Hour))}},
		"revoked before":             {"revoked before", []rec{known, revoked(key, "person:mira", at.Add(-time.Hour)), good}},
		"replayed":                   {"another challenge", []rec{known, good, with(good, func(r *rec) { r.Approval = "apr_9" })}},
		"counter went back":          {"second copy", append(reviewBy(counting), reviewed(counting, "person:mira", "apr_2", "approve", at))},
		"user not verified":          {"verify its user", reviewBy(noUV)},
		"made elsewhere":             {"it was made at", reviewBy(away)},
		"registered twice":           {"registered before", []rec{known, known}},
		"id of another credential":   {"isn't that of its credential", []rec{with(known, func(r *rec) { r.About = others.About })}},
		"no id":                      {"names no passkey", []rec{with(known, func(r *rec) { r.About = "freeze/1" })}},
		"no key":                     {"no readable key", []rec{with(known, field("key", "!"))}},
		"key of no kind":             {"the key", []rec{with(known, field("key", e64([]byte("key"))))}},
		"counts too early":           {"before it may", []rec{with(known, field("counts_from", long.Format(time.RFC3339Nano)))}},
		"never says when":            {"from when on", []rec{with(known, field("counts_from", "soon"))}},
		"bound by nothing":           {"nothing known binds", []rec{with(known, field("bound_by", "an administrator"))}},
		"first day long ago":         {"first day", []rec{registered(newer, "person:mira", long, evidence.ByFirst)}},
		"second key on first day":    {"first", []rec{registered(key, "person:mira", day, evidence.ByFirst), registered(newer, "person:mira", day, evidence.ByFirst)}},
		"vouched by nobody":          {"no older key", []rec{known, registered(newer, "person:mira", at, evidence.ByPasskey)}},
		"vouched by a stranger":      {"no older key", []rec{known, vouchedBy(registered(newer, "person:mira", at, evidence.ByPasskey), alien, newer)}},
		"vouched by another person":  {"another person's", []rec{known, others, vouchedBy(registered(newer, "person:mira", at, evidence.ByPasskey), other, newer)}},
		"vouched by a revoked key":   {"revoked before", []rec{known, revoked(key, "person:mira", at), vouchedBy(registered(newer, "person:mira", at, evidence.ByPasskey), key, newer)}},
		"vouched before it counts":   {"counts only from", []rec{known, vouchedBy(registered(newer, "person:mira", long, evidence.ByPasskey), key, newer)}},
		"vouched for another key":    {"another challenge", []rec{known, vouchedBy(registered(newer, "person:mira", at, evidence.ByPasskey), key, alien)}},
		"sign-in without a token":    {"no ID token", []rec{registered(newer, "person:mira", at, evidence.BySignIn)}},
		"sign-in for another key":    {"names another key", []rec{with(registered(newer, "person:mira", at, evidence.BySignIn), idToken(registration("person:mira", alien).SignInNonce()))}},
		"sign-in counts at once":     {"before it may", []rec{with(with(registered(newer, "person:mira", at, evidence.BySignIn), idToken(registration("person:mira", newer).SignInNonce())), field("counts_from", at.Format(time.RFC3339Nano)))}},
		"revoked, never registered":  {"never registered", []rec{revoked(alien, "person:mira", at)}},
		"a word nobody knows":        {"nothing here knows", []rec{known, with(known, func(r *rec) { r.Decision = "lent" })}},
		"approved without signature": {"fewer signatures", []rec{approved("apr_1", 1, at)}},
		"approved by one of two":     {"fewer signatures", []rec{known, good, approved("apr_1", 2, at)}},
		"approved by a denial":       {"fewer signatures", []rec{known, reviewed(key, "person:mira", "apr_1", "deny", at), approved("apr_1", 1, at)}},
		"approved by who knows":      {"by how many", []rec{known, good, with(approved("apr_1", 1, at), func(r *rec) { delete(r.Detail, "seats") })}},
		"ran after revocation":       {"was revoked", []rec{known, good, approved("apr_1", 1, at), revoked(key, "person:mira", at), started("apr_1", at)}},
	} {
		report, wrong := read(t, c.recs...)
		if len(wrong) != 1 || !strings.Contains(wrong[0], c.why) {
			t.Errorf("%s: %q", name, wrong)
		}
		if strings.HasPrefix(c.why, "another") && report.Signatures > 1 {
			t.Errorf("%s: %d signatures count", name, report.Signatures)
		}
	}
	if _, wrong := read(t, known, good, approved("apr_1", 1, at), started("apr_1", at)); len(wrong) > 0 {
		t.Errorf("the untouched log: %q", wrong)
	}
}

func FuzzPasskeyLog(f *testing.F) {
	key := passkeytest.New(rpID, site)
	for _, r := range []rec{registered(key, "person:mira", long, evidence.BySession), reviewed(key, "person:mira", "apr_1", "approve", long.Add(48*time.Hour)), approved("apr_1", 1, long), started("apr_1", long), revoked(key, "person:mira", long)} {
		leaf, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(leaf)
	}
	f.Add([]byte(`{"index":0,"time":"x","type":"review","detail":{"assurance":"passkey"}}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		l := evidence.NewPasskeyLog()
		_ = l.Add(leaf)
		_ = l.Add(leaf)
		if n := l.Report().Signatures; n > 0 {
			t.Fatalf("%d signatures verify without a key bound before them", n)
		}
	})
}
