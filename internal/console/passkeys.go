package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/passkey"
	"github.com/assenthq/assent/internal/session"
)

// bySignature is the assurance of a review that a passkey signed.
const bySignature = "passkey"

func (c *Console) passkeyRoutes(mux *http.ServeMux) {
	if c.o.Passkeys == nil {
		return
	}
	mux.HandleFunc("POST /approvals/{id}/challenge", c.signedIn(c.challenge))
	mux.HandleFunc("POST /settings/passkeys/new", c.signedIn(c.newPasskey))
	mux.HandleFunc("POST /settings/passkeys/older", c.signedIn(c.olderPasskey))
	mux.HandleFunc("POST /settings/passkeys/signin", c.signedIn(c.provePasskey))
	mux.HandleFunc("POST /settings/passkeys", c.signedIn(c.enrolPasskey))
	mux.HandleFunc("POST /settings/passkeys/{id}/revoke", c.signedIn(c.revokePasskey))
}

// session names the open session that a challenge belongs to.
func (w *who) session() string { return w.Session.ID }

// pasted reports a session that a reviewer's token opened. Such a token may lie
// where an agent can read it, so it makes no new keys.
func (w *who) pasted() bool { return w.Session.How == session.ByToken }

// level is the best that this person can give a review: their passkey's
// signature, or what their session is worth.
func (c *Console) level(ctx context.Context, p *who) string {
	if c.hasPasskey(ctx, p) {
		return bySignature
	}
	return p.assurance()
}

// waitsFor reports whether a waits for this person: also when what it lacks is
// only their passkey, which they can register.
func (c *Console) waitsFor(a *approval.Approval, p *who, level string) bool {
	if c.o.Passkeys != nil && a.Assurance() == bySignature {
		level = bySignature
	}
	return c.o.Approvals.MayReview(a, &p.Person, level) == nil
}

func (c *Console) hasPasskey(ctx context.Context, p *who) bool {
	if c.o.Passkeys == nil {
		return false
	}
	has, err := c.o.Passkeys.Has(ctx, p.ID)
	if err != nil {
		c.o.Logger.ErrorContext(ctx, "reading passkeys", "err", err)
	}
	return has && err == nil
}

// passkeyFor tells the page when to ask for a passkey: "all" where the session
// is worth too little, "approve" where a critical approval is confirmed by it, "" never.
func (c *Console) passkeyFor(a *approval.Approval, p *who, critical bool, level string) string {
	switch {
	case level != bySignature:
		return ""
	case errors.As(c.o.Approvals.MayReview(a, &p.Person, p.assurance()), new(approval.ErrAssurance)):
		return "all"
	case critical:
		return "approve"
	}
	return ""
}

// challenge asks the person's passkey to sign the answer that the form holds.
func (c *Console) challenge(w http.ResponseWriter, r *http.Request, p *who) {
	in, bad := c.answerOf(r, p)
	if bad == nil {
		bad = c.mayAnswer(r, in)
	}
	if bad != nil {
		say(w, bad)
		return
	}
	a, err := c.o.Approvals.Get(r.Context(), in.Approval)
	if err == nil {
		err = c.o.Approvals.MayReview(a, &p.Person, bySignature)
	}
	if err == nil && (in.Digest != a.Digest || in.Version != a.Version) {
		err = approval.ErrChanged
	}
	if err != nil {
		say(w, c.refused(r, err))
		return
	}
	v := in.Signs(a)
	q, err := c.o.Passkeys.AskReview(r.Context(), p.session(), &v)
	c.question(w, r, q, err)
}

// signature reads what a passkey signed, where the form holds it.
func (c *Console) signature(r *http.Request, p *who) (*approval.Signature, *verdict) {
	answer := r.PostFormValue("assertion")
	if answer == "" {
		return nil, nil
	}
	if c.o.Passkeys == nil {
		return nil, &verdict{http.StatusForbidden, "No passkeys are kept here. Nothing was decided."}
	}
	t := ticketOf(r, "")
	s, err := c.o.Passkeys.Answered(p.ID, p.session(), t, []byte(answer))
	if err != nil {
		return nil, c.unsigned(r, err)
	}
	return &approval.Signature{Assertion: *s, Nonce: t.Nonce}, nil
}

func ticketOf(r *http.Request, prefix string) passkey.Ticket {
	return passkey.Ticket{Nonce: r.PostFormValue(prefix + "nonce"), Ticket: r.PostFormValue(prefix + "ticket")}
}

// unsigned puts into words why a passkey's answer isn't taken.
func (c *Console) unsigned(r *http.Request, err error) *verdict {
	switch {
	case errors.Is(err, passkey.ErrLate):
		return &verdict{http.StatusConflict, "That took longer than two minutes, so nothing was done. Try again."}
	case errors.Is(err, passkey.ErrCloned):
		return &verdict{http.StatusForbidden, "Your passkey's counter went back: there may be a second copy of it. Nothing was done, and an alarm is on record. Revoke it and register another."}
	case errors.Is(err, passkey.ErrNoKey):
		return &verdict{http.StatusForbidden, "You have no passkey that counts. Register one under Settings."}
	case errors.Is(err, passkey.ErrKnown), errors.Is(err, passkey.ErrTooMany):
		return &verdict{http.StatusConflict, "It was not registered: " + last(err) + "."}
	case errors.Is(err, passkey.ErrRefused), errors.Is(err, passkey.ErrUnusable):
		return &verdict{http.StatusForbidden, "Your passkey was not accepted: " + plain(last(err), maxTitle) + ". Nothing was done."}
	}
	c.o.Logger.ErrorContext(r.Context(), "using a passkey", "err", err)
	return &verdict{http.StatusServiceUnavailable, "The passkey could not be checked, so nothing was done. Try again in a moment."}
}

// last is an error's own words, without what we were doing.
func last(err error) string {
	for _, known := range []error{passkey.ErrKnown, passkey.ErrTooMany} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	s := err.Error()
	if _, after, ok := strings.Cut(s, passkey.ErrRefused.Error()+": "); ok {
		return after
	}
	return s
}

func (c *Console) question(w http.ResponseWriter, r *http.Request, q *passkey.Question, err error) {
	if err != nil {
		say(w, c.unsigned(r, err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(q)
}

// say answers our script in plain words.
func say(w http.ResponseWriter, v *verdict) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(v.status)
	_, _ = w.Write([]byte(v.says))
}

// enrolment reads what the page says of a new key.
func (c *Console) enrolment(r *http.Request, p *who) *passkey.Enrolment {
	return &passkey.Enrolment{
		Person: p.Person, Session: p.session(), Name: r.PostFormValue("name"), Ticket: ticketOf(r, ""), New: []byte(r.PostFormValue("new")),
		Older: []byte(r.PostFormValue("older")), OlderTicket: ticketOf(r, "older_"),
	}
}

var pastedMakesNone = &verdict{http.StatusForbidden, "A session that a pasted token opened can only add a passkey with an older one: the token may lie where others can read it. Sign in by a link or through your issuer."}

var youngMakesNone = &verdict{http.StatusForbidden, "This account was linked less than a day ago. It answers nothing yet, and registers no passkey until it does."}

var issuerBinds = &verdict{http.StatusForbidden, "People sign in through an issuer here, so a new passkey is bound by a fresh sign-in there, or by an older passkey. Nothing was registered."}

// byIssuer reports that a new key needs more than an open session: there is
// somebody who can be asked once more who this person is.
func (c *Console) byIssuer() bool { return c.o.SignIns != nil && len(c.o.SignIns.Issuers()) > 0 }

// mayEnrol says why this session alone makes no new key; nil: it does.
func (c *Console) mayEnrol(p *who) *verdict {
	switch {
	case p.pasted():
		return pastedMakesNone
	case c.byIssuer():
		return issuerBinds
	}
	return nil
}

// newPasskey begins a registration.
func (c *Console) newPasskey(w http.ResponseWriter, r *http.Request, p *who) {
	if p.Since.After(c.o.Clock()) {
		say(w, youngMakesNone)
		return
	}
	if bad := c.mayEnrol(p); bad != nil && p.Session.Issuer == "" && !c.hasPasskey(r.Context(), p) {
		say(w, bad)
		return
	}
	q, err := c.o.Passkeys.AskNew(r.Context(), p.Person, p.session())
	c.question(w, r, q, err)
}

// olderPasskey asks an older key to vouch for the new one.
func (c *Console) olderPasskey(w http.ResponseWriter, r *http.Request, p *who) {
	q, err := c.o.Passkeys.AskOlder(r.Context(), c.enrolment(r, p))
	c.question(w, r, q, err)
}

// provePasskey has the person sign in anew at their issuer, with a nonce that
// names the new key. The page keeps the key meanwhile.
func (c *Console) provePasskey(w http.ResponseWriter, r *http.Request, p *who) {
	nonce, err := c.o.Passkeys.SignInNonce(c.enrolment(r, p))
	if err != nil {
		v := c.unsigned(r, err)
		c.fail(w, r, v.status, "The new passkey was not accepted.", v.says)
		return
	}
	if !c.reauthenticate(w, r, p, nonce, "/settings") {
		c.fail(w, r, http.StatusForbidden, "This session is no issuer's.", "Sign in through your issuer, then register the passkey.")
	}
}

// proven adds the fresh sign-in that names the new key, where the page says there is one.
func (c *Console) proven(r *http.Request, p *who, in *passkey.Enrolment) *verdict {
	if r.PostFormValue("proof") == "" || c.o.SignIns == nil {
		return nil
	}
	nonce, err := c.o.Passkeys.SignInNonce(in)
	if err != nil {
		return c.unsigned(r, err)
	}
	proof, err := c.o.SignIns.TakeProof(r.Context(), p.Session.ID, nonce)
	if errors.Is(err, session.ErrNone) || err == nil && proof.Person != p.ID {
		return &verdict{http.StatusForbidden, "No fresh sign-in names that passkey. Begin again; nothing was registered."}
	}
	if err != nil {
		return c.unsigned(r, err)
	}
	in.IDToken, in.Account = proof.IDToken, proof.Account
	return nil
}

func (c *Console) enrolPasskey(w http.ResponseWriter, r *http.Request, p *who) {
	in := c.enrolment(r, p)
	bad := c.proven(r, p, in)
	if bad == nil && len(in.Older) == 0 && in.IDToken == "" {
		bad = c.mayEnrol(p)
	}
	if bad != nil {
		say(w, bad)
		return
	}
	key, err := c.o.Passkeys.Enrol(r.Context(), in)
	if err != nil {
		say(w, c.unsigned(r, err))
		return
	}
	text := "Registered. It counts from now on."
	if !key.Live(c.o.Clock()) {
		text = "Registered. It counts from " + key.CountsFrom.UTC().Format("2 January 15:04") + " UTC."
	}
	say(w, &verdict{http.StatusOK, text})
}

// revokePasskey ends one of the person's own keys.
func (c *Console) revokePasskey(w http.ResponseWriter, r *http.Request, p *who) {
	err := c.o.Passkeys.Revoke(r.Context(), r.PathValue("id"), p.ID, p.ID, "by its owner")
	switch {
	case errors.Is(err, passkey.ErrNotFound):
		c.fail(w, r, http.StatusNotFound, "You have no such passkey.", "Go back to the settings.")
	case err != nil:
		c.o.Logger.ErrorContext(r.Context(), "revoking a passkey", "err", err)
		c.fail(w, r, http.StatusServiceUnavailable, "The passkey could not be revoked.", "Try again in a moment; until then it counts.")
	default:
		http.Redirect(w, r, "/settings#passkeys", http.StatusSeeOther)
	}
}

// passkeysView is the settings page's part about them.
type passkeysView struct {
	Kept   bool
	Why    string // why none can be used here
	Keys   []passkeyRow
	Live   bool // one counts now
	Pasted bool
	Issuer string // whose fresh sign-in binds a new key
	Alone  bool   // an open session alone makes one
}

type passkeyRow struct {
	ID, Name, State, Class, Bound string
	Created, From                 time.Time
	Revocable                     bool
}

var boundWords = map[string]string{
	evidence.ByPasskey: "vouched for by an older passkey", evidence.BySignIn: "bound by a fresh sign-in",
	evidence.BySession: "bound by an open session", evidence.ByFirst: "the first, on this deployment's first day",
}

func (c *Console) passkeysOf(ctx context.Context, p *who) (v passkeysView) {
	if c.o.Passkeys == nil {
		return v
	}
	v.Kept, v.Pasted, v.Issuer, v.Alone = true, p.pasted(), p.Session.Issuer, c.mayEnrol(p) == nil
	if err := c.o.Passkeys.Usable(); err != nil {
		v.Why = strings.TrimPrefix(err.Error(), passkey.ErrUnusable.Error()+": ")
	}
	keys, err := c.o.Passkeys.Of(ctx, p.ID)
	if err != nil {
		c.o.Logger.ErrorContext(ctx, "reading passkeys", "err", err)
		v.Why = "they can't be read; the server's log says why"
		return v
	}
	now := c.o.Clock()
	for _, k := range keys {
		row := passkeyRow{ID: k.ID, Name: k.Name, Bound: boundWords[k.BoundBy], Created: k.Created, Revocable: k.Revoked.IsZero()}
		switch {
		case !k.Revoked.IsZero():
			row.State, row.Class = "revoked", "bad"
		case k.Live(now):
			row.State, row.Class, v.Live = "counts", "ok", true
		default:
			row.State, row.Class, row.From = "counts from", "wait", k.CountsFrom
		}
		v.Keys = append(v.Keys, row)
	}
	return v
}
