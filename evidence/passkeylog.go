package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/leaves"
)

// A PasskeyLog follows a log from its first record and checks every passkey
// signature in it: that a review's assertion signs exactly what the review's
// own record says, by a key that an earlier record bound to that person, that
// counted by then and wasn't revoked, with a counter that never went back, and
// that what needed passkeys was approved and used with them.
//
// It needs no key of the server's: whoever holds those can write records, and
// still can't sign for a person.
type PasskeyLog struct {
	first   time.Time // of the log's first record
	keys    map[string]*boundKey
	held    map[string]*signedApproval
	report  PasskeyReport
	persons map[string]bool
	plans   map[string][]string    // approved plan → its items
	items   map[string]plannedItem // by the approval of their own
}

// A PasskeyReport tells what a PasskeyLog checked.
type PasskeyReport struct {
	Signatures int64    `json:"signatures"` // of reviews
	Persons    []string `json:"persons"`    // who signed them
	Keys       int      `json:"keys"`       // registered
	// Unbacked keys were bound to their person by an open session alone: the
	// server's word, a day before they counted or on the deployment's first day.
	Unbacked int `json:"unbacked"`
	// Erased are registrations and reviews in records that were erased: who signed is not
	// named any more, so that the signature can't be checked. They count as they are told.
	Erased int64 `json:"erased,omitempty"`
}

type boundKey struct {
	erased  bool // its registration can't be checked any more
	person  string
	key     []byte
	rpID    string
	counts  time.Time // from when on it counts
	revoked bool
	counter uint32
}

type signedApproval struct {
	by   map[string]string // person → passkey id, of those who approved with one
	need bool              // passkeys were needed, and it is approved
}

// passkeyRecord is what matters here of a record.
type passkeyRecord struct {
	Time     time.Time         `json:"time"`
	Type     string            `json:"type"`
	Person   string            `json:"person"`
	Digest   string            `json:"digest"`
	Decision string            `json:"decision"`
	Approval string            `json:"approval"`
	About    string            `json:"about"`
	Detail   map[string]string `json:"detail"`
}

// NewPasskeyLog begins at a log's first record.
func NewPasskeyLog() *PasskeyLog {
	return &PasskeyLog{keys: map[string]*boundKey{}, held: map[string]*signedApproval{}, persons: map[string]bool{}, plans: map[string][]string{}, items: map[string]plannedItem{}}
}

// Report tells what was checked so far.
func (l *PasskeyLog) Report() PasskeyReport {
	r := l.report
	r.Persons = slices.Sorted(maps.Keys(l.persons))
	r.Keys = len(l.keys)
	return r
}

// Add checks the next record, given as its exact stored bytes. An error says
// what about it can't be believed; the records after it can still be added.
func (l *PasskeyLog) Add(leaf []byte) error {
	kind := typeOf(leaf)
	if l.first.IsZero() {
		var r struct{ Time time.Time }
		if err := json.Unmarshal(leaf, &r); err != nil {
			return errors.New("the record isn't JSON")
		}
		l.first = r.Time
	}
	var check func(*passkeyRecord) error
	switch kind {
	case "passkey.changed":
		check = l.change
	case "review":
		check = l.review
	case "approval":
		check = l.transition
	case "execution.started":
		check = l.started
	default:
		return nil
	}
	if f, ok := leaves.Read(leaf); ok && string(f.Type) == kind && l.settled(kind, &f) {
		return nil
	}
	var r passkeyRecord
	if err := json.Unmarshal(leaf, &r); err != nil {
		return errors.New("the record isn't JSON")
	}
	if r.Type != kind {
		return errors.New("the record names two types")
	}
	return check(&r)
}

// settled takes in what can be told of a record without decoding it, which is true of nearly
// all: it neither is nor needs anything signed.
func (l *PasskeyLog) settled(kind string, f *leaves.Fields) bool {
	says := func(text string) bool {
		return bytes.Contains(f.Detail, []byte(text)) || bytes.IndexByte(f.Detail, '\\') >= 0
	}
	switch kind {
	case "review":
		return !says(`"` + ByPasskey + `"`)
	case "approval":
		if string(f.Decision) == "approved" {
			return false
		}
		delete(l.held, string(f.Approval))
		l.unlist(string(f.Approval))
		return true
	case "execution.started":
		h := l.held[string(f.Approval)]
		if _, listed := l.items[string(f.Approval)]; listed || h != nil && h.need || says(`"plan"`) {
			return false
		}
		delete(l.held, string(f.Approval))
		return true
	}
	return false
}

// AddErased takes in what was left of a record that was erased: what it says of passkeys is
// believed, on the word of the erasure that left it, and counted.
func (l *PasskeyLog) AddErased(leaf []byte) error {
	switch typeOf(leaf) {
	case "passkey.changed", "review":
	default:
		return l.Add(leaf)
	}
	var r passkeyRecord
	if err := json.Unmarshal(leaf, &r); err != nil {
		return errors.New("the record isn't JSON")
	}
	if l.first.IsZero() {
		l.first = r.Time
	}
	if id, ok := strings.CutPrefix(r.About, "passkey/"); ok && r.Type == "passkey.changed" {
		l.report.Erased++
		if l.keys[id] == nil {
			l.keys[id] = &boundKey{erased: true, person: r.Person}
		}
		l.keys[id].revoked = l.keys[id].revoked || r.Decision == PasskeyRevoked
	}
	if r.Type == "review" && r.Detail["assurance"] == ByPasskey {
		l.report.Erased++
		if r.Decision == "approve" {
			l.approved(r.Approval, r.Person, "") // which passkey, it doesn't say any more
		}
	}
	return nil
}

// approved notes who approved with which passkey.
func (l *PasskeyLog) approved(approval, person, key string) {
	h := l.held[approval]
	if h == nil {
		h = &signedApproval{by: map[string]string{}}
		l.held[approval] = h
	}
	h.by[person] = key
}

// typeOf reads the type, which is written right behind index, time and salt,
// without parsing the rest: of ten million leaves few are about passkeys.
func typeOf(leaf []byte) string {
	_, rest, ok := bytes.Cut(leaf[:min(len(leaf), 160)], []byte(`,"type":"`))
	kind, _, found := bytes.Cut(rest, []byte(`"`))
	if !ok || !found {
		return ""
	}
	return string(kind)
}

func (l *PasskeyLog) change(r *passkeyRecord) error {
	id, ok := strings.CutPrefix(r.About, "passkey/")
	if !ok {
		return errors.New("a passkey's record names no passkey")
	}
	switch k := l.keys[id]; {
	case r.Decision == PasskeyRegistered:
		return l.register(id, r)
	case k == nil:
		return fmt.Errorf("passkey %s was never registered", id)
	case r.Decision == PasskeyRevoked:
		k.revoked = true
	case r.Decision != PasskeyUsed:
		return fmt.Errorf("passkey %s was %q, which nothing here knows", id, r.Decision)
	}
	return nil
}

func (l *PasskeyLog) register(id string, r *passkeyRecord) error {
	reg, err := registrationOf(r)
	if err == nil && id != PasskeyID(reg.Credential) {
		err = errors.New("its id isn't that of its credential")
	}
	if err == nil && l.keys[id] != nil {
		err = errors.New("it was registered before")
	}
	var from time.Time
	if err == nil {
		from, err = l.counts(reg, r)
	}
	if err != nil {
		return fmt.Errorf("passkey %s of %s: %w", id, r.Person, err)
	}
	l.keys[id] = &boundKey{person: r.Person, key: reg.Key, rpID: reg.RPID, counts: from}
	return nil
}

func registrationOf(r *passkeyRecord) (*Registration, error) {
	reg := &Registration{Person: r.Person, RPID: r.Detail["rp_id"], Nonce: r.Detail["nonce"]}
	var err error
	if reg.Credential, err = decode64(r.Detail["credential"]); err != nil || len(reg.Credential) == 0 {
		return nil, errors.New("no readable credential")
	}
	if reg.Key, err = decode64(r.Detail["key"]); err != nil {
		return nil, errors.New("no readable key")
	}
	if reg.Person == "" || reg.RPID == "" {
		return nil, errors.New("it names no person or no relying party")
	}
	return reg, CheckPasskey(reg.Key)
}

// counts is when a new key begins to count, by what binds it to its person. It
// is never earlier than the record claims, whatever the record claims.
func (l *PasskeyLog) counts(reg *Registration, r *passkeyRecord) (time.Time, error) {
	claimed, err := time.Parse(time.RFC3339Nano, r.Detail["counts_from"])
	if err != nil {
		return time.Time{}, errors.New("it doesn't say from when on it counts")
	}
	earliest := r.Time.Add(PasskeyWait)
	switch r.Detail["bound_by"] {
	case ByPasskey:
		earliest = r.Time
		err = l.vouched(reg, r)
	case BySignIn:
		if err = nonceOf(reg.Nonce); err == nil {
			err = signInNames(r.Detail["id_token"], reg.SignInNonce())
		}
	case ByFirst:
		earliest = r.Time
		if hadKey := slices.ContainsFunc(slices.Collect(maps.Values(l.keys)), func(k *boundKey) bool { return k.person == reg.Person }); hadKey || !r.Time.Before(l.first.Add(PasskeyWait)) {
			err = errors.New("it is neither its person's first nor of the deployment's first day")
		}
		l.report.Unbacked++
	case BySession:
		l.report.Unbacked++
	default:
		err = fmt.Errorf("nothing known binds it to its person: %q", r.Detail["bound_by"])
	}
	// A record's time is that of its writing, a moment behind the registration.
	if err == nil && claimed.Before(earliest.Add(-time.Minute)) {
		err = errors.New("it is said to count before it may")
	}
	return claimed, err
}

// vouched checks the older key's signature over the new one.
func (l *PasskeyLog) vouched(reg *Registration, r *passkeyRecord) error {
	older := map[string]string{}
	for _, name := range []string{"credential", "authenticator_data", "client_data", "signature"} {
		older[name] = r.Detail["by_"+name]
	}
	a, err := AssertionOf(older)
	if err == nil {
		err = nonceOf(reg.Nonce)
	}
	if err == nil {
		err = l.signs(a, reg.Person, r.Time, reg.Challenge())
	}
	if err != nil {
		return fmt.Errorf("no older key vouches for it: %w", err)
	}
	return nil
}

// signInNames reads the nonce of an ID token. Its signature is the issuer's: who
// wants to check that needs the issuer's keys of that day.
func signInNames(token, nonce string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("no ID token names it")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return errors.New("its ID token can't be read")
	}
	claims, err := uniqueMembers(payload)
	var got string
	if err != nil || json.Unmarshal(claims["nonce"], &got) != nil || got != nonce {
		return errors.New("its ID token names another key")
	}
	return nil
}

// signs errs unless a is by a key of person's that counts at the time.
func (l *PasskeyLog) signs(a *Assertion, person string, at time.Time, challenge [32]byte) error {
	id := PasskeyID(a.Credential)
	k := l.keys[id]
	switch {
	case k == nil:
		return fmt.Errorf("no earlier record binds passkey %s to anybody", id)
	case k.erased:
		return fmt.Errorf("passkey %s is of somebody who was erased", id)
	case k.person != person:
		return fmt.Errorf("passkey %s is another person's", id)
	case k.revoked:
		return fmt.Errorf("passkey %s was revoked before", id)
	case at.Before(k.counts):
		return fmt.Errorf("passkey %s counts only from %s", id, k.counts.Format(time.RFC3339))
	}
	answer, err := VerifyAssertion(a, k.key, challenge, Site{RPID: k.rpID})
	if err != nil {
		return err
	}
	if answer.Count <= k.counter && (answer.Count > 0 || k.counter > 0) {
		return fmt.Errorf("the counter of passkey %s went from %d to %d: there may be a second copy of it", id, k.counter, answer.Count)
	}
	k.counter = answer.Count
	return nil
}

// reviewOf reads what was signed from a review's record: its own fields.
func reviewOf(r *passkeyRecord) (*Review, error) {
	version, err := strconv.ParseInt(r.Detail["version"], 10, 64)
	if err != nil {
		return nil, errors.New("it doesn't say which version was shown")
	}
	v := &Review{
		Approval: r.Approval, Digest: r.Digest, Person: r.Person, Decision: r.Decision, Reason: r.Detail["reason"],
		Version: version, Scope: r.Detail["scope"], Card: r.Detail["card"], Nonce: r.Detail["nonce"],
	}
	return v, nonceOf(v.Nonce)
}

func (l *PasskeyLog) review(r *passkeyRecord) error {
	if r.Detail["assurance"] != ByPasskey {
		return nil
	}
	v, err := reviewOf(r)
	var a *Assertion
	if err == nil {
		a, err = AssertionOf(r.Detail)
	}
	if err == nil {
		err = l.signs(a, r.Person, r.Time, v.Challenge())
	}
	if err != nil {
		return fmt.Errorf("the review by %s isn't signed as it says: %w", r.Person, err)
	}
	l.report.Signatures++
	l.persons[r.Person] = true
	if r.Decision == "approve" {
		l.approved(r.Approval, r.Person, PasskeyID(a.Credential))
	}
	return nil
}

// transition checks that what needs passkeys was approved by as many who signed.
func (l *PasskeyLog) transition(r *passkeyRecord) error {
	h := l.held[r.Approval]
	if r.Decision != "approved" {
		delete(l.held, r.Approval)
		l.unlist(r.Approval)
		return nil
	}
	if err := l.list(r); err != nil {
		return err
	}
	if r.Detail["assurance"] != ByPasskey {
		return nil
	}
	seats, err := strconv.Atoi(r.Detail["seats"])
	if err != nil || seats < 1 {
		return errors.New("it is approved and doesn't say by how many people")
	}
	if h == nil || len(h.by) < seats {
		return fmt.Errorf("it is approved by %d people with passkeys, and fewer signatures are on record", seats)
	}
	h.need = true
	return nil
}

// started checks that none of the keys it was approved with was revoked before it ran.
func (l *PasskeyLog) started(r *passkeyRecord) error {
	h := l.held[r.Approval]
	delete(l.held, r.Approval)
	item, listed := l.items[r.Approval]
	switch {
	case listed && (r.Detail["plan"] != item.plan || r.Digest != item.digest), !listed && r.Detail["plan"] != "":
		return errors.New("it ran as an item of a plan that, approved, doesn't list it so")
	case listed:
		h = l.held[item.plan]
	}
	if h == nil || !h.need {
		return nil
	}
	for _, person := range slices.Sorted(maps.Keys(h.by)) {
		if k := l.keys[h.by[person]]; k != nil && k.revoked {
			return fmt.Errorf("it ran after the passkey by which %s had approved it was revoked", person)
		}
	}
	return nil
}
