package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/card"
)

const maxReason = 2_000 // bytes of a reviewer's reason

// verdict is the answer to a review, for the script that sent it.
type verdict struct {
	status int
	says   string
}

// review takes one person's answer. It hands the engine what the page showed
// (digest and version): the engine refuses an answer to anything else.
func (c *Console) review(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.confirmed(r, p) { // who left, or lost a group, a moment ago decides nothing
		http.Error(w, "Your sign-in could not be confirmed, so nothing was decided. Sign in again.", http.StatusUnauthorized)
		return
	}
	in, bad := c.answerOf(r, p)
	if bad == nil {
		in.Signature, bad = c.signature(r, p)
	}
	if bad == nil {
		bad = c.mayAnswer(r, in)
	}
	if bad == nil {
		if _, err := c.o.Approvals.Answer(r.Context(), *in); err != nil {
			bad = c.refused(r, err)
		}
	}
	if bad == nil {
		bad = &verdict{http.StatusOK, map[string]string{approval.Approve: "Your approval is recorded.", approval.Deny: "Denied. The asker is told so."}[in.Decision]}
	}
	if r.Header.Get("X-CSRF-Token") != "" { // our script reads the plain answer
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(bad.status)
		_, _ = w.Write([]byte(bad.says))
		return
	}
	if bad.status == http.StatusOK {
		http.Redirect(w, r, "/approvals/"+in.Approval, http.StatusSeeOther)
		return
	}
	c.fail(w, r, bad.status, bad.says, "Go back and read the approval again.")
}

// answerOf reads the form. Everything in it must be there and exact.
func (c *Console) answerOf(r *http.Request, p *who) (*approval.Answer, *verdict) {
	in := &approval.Answer{
		Approval: r.PathValue("id"), Person: p.Person, Channel: "console", Assurance: p.assurance(),
		Decision: r.PostFormValue("decision"), Reason: strings.TrimSpace(r.PostFormValue("reason")),
	}
	digest, err := action.ParseDigest(r.PostFormValue("digest"))
	version, err2 := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil || err2 != nil {
		return in, &verdict{http.StatusBadRequest, "The answer didn't say what was shown. Reload the page; nothing was decided."}
	}
	in.Digest, in.Version = digest, version
	var bad *verdict
	if in.Obligation, bad = obligationOf(r); bad != nil {
		return in, bad
	}
	if in.Decision == approval.Approve {
		if in.Standing, bad = scopeOf(r.PostFormValue); bad != nil {
			return in, bad
		}
	}
	switch {
	case in.Decision != approval.Approve && in.Decision != approval.Deny:
		return in, &verdict{http.StatusBadRequest, "An answer is approve or deny. Nothing was decided."}
	case in.Decision == approval.Deny && in.Reason == "":
		return in, &verdict{http.StatusUnprocessableEntity, "A denial needs a reason: the asker and the log are told it."}
	case len(in.Reason) > maxReason || !utf8.ValidString(in.Reason):
		return in, &verdict{http.StatusUnprocessableEntity, "The reason is too long: 2,000 bytes at most."}
	}
	return in, nil
}

// mayAnswer adds the console's own conditions: nobody approves what can't be
// shown whole, and a critical one is confirmed in a second step.
func (c *Console) mayAnswer(r *http.Request, in *approval.Answer) *verdict {
	if in.Decision != approval.Approve {
		return nil
	}
	a, err := c.o.Approvals.Get(r.Context(), in.Approval)
	if err != nil {
		return c.refused(r, err)
	}
	if length(a) > maxShown {
		return &verdict{http.StatusConflict, "It is too long to be shown whole, and nobody can approve what nobody can read. Deny it, or ask for it in parts."}
	}
	if card.RiskOf(a).Class == "crit" && r.PostFormValue("confirmed") != "yes" {
		return &verdict{http.StatusPreconditionRequired, "A critical approval must be confirmed. Nothing was decided."}
	}
	return nil
}

// refused maps the engine's errors; what it doesn't know is our fault and still no.
func (c *Console) refused(r *http.Request, err error) *verdict {
	status := http.StatusServiceUnavailable
	var excluded approval.ErrExcluded
	var level approval.ErrAssurance
	var obligation *approval.ObligationError
	var standing *approval.StandingError
	switch {
	case errors.As(err, &standing):
		return &verdict{http.StatusUnprocessableEntity, "Nothing was decided: such a standing grant can't be had: " + plain(standing.Why, maxClaim) + "."}
	case errors.As(err, &obligation):
		return &verdict{http.StatusUnprocessableEntity, "Nothing was decided: " + plain(obligation.Error(), maxClaim) + "."}
	case errors.Is(err, approval.ErrNotFound):
		return &verdict{http.StatusNotFound, "There is no such approval."}
	case errors.As(err, new(approval.ErrSignature)):
		return c.unsigned(r, err)
	case errors.As(err, &excluded), errors.As(err, &level), errors.Is(err, approval.ErrNotEligible):
		status = http.StatusForbidden
	case errors.Is(err, approval.ErrChanged), errors.Is(err, approval.ErrConflict),
		errors.Is(err, approval.ErrDecided), errors.Is(err, approval.ErrExpired):
		status = http.StatusConflict
	default:
		c.o.Logger.ErrorContext(r.Context(), "recording a review", "approval", r.PathValue("id"), "err", err)
		return &verdict{status, "The answer could not be recorded, so nothing was decided. Try again in a moment."}
	}
	return &verdict{status, explain(err)}
}
