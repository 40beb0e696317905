package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/calm"
)

// Calm spares people; *calm.Keeper is one.
type Calm interface {
	Hours(person string) calm.Hours
	SetHours(ctx context.Context, person string, h calm.Hours) error
	Snooze(ctx context.Context, person, approval string, version int64, d time.Duration) error
	Snoozed(person, approval string, version int64) time.Time
}

// setQuiet takes the hours in which nobody writes to this person.
func (c *Console) setQuiet(w http.ResponseWriter, r *http.Request, p *who) {
	h := calm.Hours{From: r.PostFormValue("from"), To: r.PostFormValue("to"), Zone: r.PostFormValue("zone"), Grave: r.PostFormValue("grave") == "yes"}
	if r.PostFormValue("off") == "yes" {
		h = calm.Hours{}
	}
	err := c.o.Calm.SetHours(r.Context(), p.ID, h)
	switch {
	case errors.Is(err, calm.ErrRefused):
		c.fail(w, r, http.StatusUnprocessableEntity, "Nothing was changed: "+plain(err.Error(), maxTitle)+".", "Go back and try again.")
	case err != nil:
		c.broken(w, r, "setting quiet hours", err)
	default:
		http.Redirect(w, r, "/settings#quiet", http.StatusSeeOther)
	}
}

// snooze puts an approval aside for this person, for some minutes; 0 takes it up again.
func (c *Console) snooze(w http.ResponseWriter, r *http.Request, p *who) {
	n, err := strconv.Atoi(r.PostFormValue("minutes"))
	version, err2 := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil || err2 != nil || n < 0 || n > 240 {
		c.fail(w, r, http.StatusUnprocessableEntity, "It was not put aside: say for how many minutes, up to 240.", "Go back and try again.")
		return
	}
	if _, err := c.o.Approvals.Get(r.Context(), r.PathValue("id")); err != nil {
		bad := c.refused(r, err)
		c.fail(w, r, bad.status, bad.says, "Go back to the list.")
		return
	}
	if err := c.o.Calm.Snooze(r.Context(), p.ID, r.PathValue("id"), version, time.Duration(n)*time.Minute); err != nil {
		c.broken(w, r, "putting an approval aside", err)
		return
	}
	http.Redirect(w, r, "/approvals", http.StatusSeeOther)
}

// aside is until when this person put a aside; zero: they did not.
func (c *Console) aside(a *approval.Approval, p *who) time.Time {
	if c.o.Calm == nil || a.State != approval.Pending {
		return time.Time{}
	}
	return c.o.Calm.Snoozed(p.ID, a.ID, a.Version)
}
