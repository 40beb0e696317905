package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// An Unmasker shows a reviewer one masked value of a statement that waits.
type Unmasker interface {
	// May says whether the deployment lets a person look at all.
	May(p *identity.Person) bool
	// Value puts on record that p looks at masked value n of a, and why, and then
	// returns it. ErrNotHere: the text isn't with this process. Other errors: nothing was shown.
	Value(ctx context.Context, p *identity.Person, a *approval.Approval, n int, reason string) (value, class string, err error)
}

// ErrNotHere says that the text of what waits can't be had.
var ErrNotHere = errors.New("the text is not here")

const maxUnmasked = 4_000 // runes of one value

// unmaskPage shows one value, once.
type unmaskPage struct {
	Shell
	ID, Class, Value string
	N, Of            int
}

// unmask shows one masked value to somebody who may review what it stands in. What it
// shows is on record before.
func (c *Console) unmask(w http.ResponseWriter, r *http.Request, p *who) {
	no := func(status int, says, next string) { c.fail(w, r, status, says+" Nothing was shown.", next) }
	if p.assurance() != "console" || !c.confirmed(r, p) || !c.o.Unmask.May(&p.Person) {
		no(http.StatusForbidden, "You may not look at masked values.", "Who may is in the configuration: unmask.groups. It takes a session that you signed in to.")
		return
	}
	a, err := c.o.Approvals.Get(r.Context(), r.PathValue("id"))
	if errors.Is(err, approval.ErrNotFound) {
		no(http.StatusNotFound, "There is no such approval.", "It may have been mistyped.")
		return
	}
	if err != nil {
		c.broken(w, r, "reading an approval", err)
		return
	}
	if not := c.o.Approvals.MayReview(a, &p.Person, c.level(r.Context(), p)); not != nil || a.State != approval.Pending {
		no(http.StatusForbidden, "Only who may review an approval that waits can look at its values.", "Go back to the approval.")
		return
	}
	n, err := strconv.Atoi(r.PostFormValue("n"))
	if err != nil || n < 1 || n > len(a.Masked) {
		no(http.StatusUnprocessableEntity, "There is no such masked value.", "Go back and choose one.")
		return
	}
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if reason == "" || len(reason) > maxReason || !utf8.ValidString(reason) {
		no(http.StatusUnprocessableEntity, "Looking at a value takes a reason of at most 2,000 bytes.", "Go back and write it: it is kept in the audit log.")
		return
	}
	value, class, err := c.o.Unmask.Value(r.Context(), &p.Person, a, n-1, reason)
	switch {
	case errors.Is(err, ErrNotHere):
		no(http.StatusConflict, "The action's own text is not here: its asker left, waits at another node, or asked over the API. That you asked is on record.", "Ask the asker's side a question, or deny.")
	case err != nil:
		c.broken(w, r, "unmasking a value", err)
	default:
		c.page(w, r, http.StatusOK, "unmask", unmaskPage{Shell: c.shellOf(r, p, "approvals", "One value", -1), ID: a.ID, Class: class, Value: plain(value, maxUnmasked), N: n, Of: len(a.Masked)})
	}
}

// maskedOf are the classes of the masked values of a that p may look at, one each.
func (c *Console) maskedOf(a *approval.Approval, p *who, may bool) []string {
	if !may || len(a.Items) > 0 || c.o.Unmask == nil || p.assurance() != "console" || !c.o.Unmask.May(&p.Person) {
		return nil
	}
	out := make([]string, len(a.Masked))
	for i, m := range a.Masked {
		out[i] = plain(m.Class, 40)
	}
	return out
}
