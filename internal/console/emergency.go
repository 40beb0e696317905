package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/identity"
)

// A Glass is broken by people in an emergency, and others look at it afterwards.
type Glass interface {
	Break(ctx context.Context, by identity.Person, assurance, actor, resource, reason string, life time.Duration) (emergency.Entry, error)
	Review(ctx context.Context, id string, by identity.Person, assurance, verdict, note string) (emergency.Entry, error)
	Known(ctx context.Context) ([]emergency.Entry, error)
	MayBreak(person string) bool
	MayReview(e *emergency.Emergency, person string) error
}

const emergenciesShown = 100 // beside those that nobody has reviewed

func (c *Console) glassRoutes(mux *http.ServeMux) {
	if c.o.Glass == nil {
		return
	}
	mux.HandleFunc("GET /emergencies", c.signedIn(c.showEmergencies))
	mux.HandleFunc("POST /emergencies", c.signedIn(c.breakGlass))
	mux.HandleFunc("POST /emergencies/{id}/review", c.signedIn(c.reviewEmergency))
}

// glassBar is what every page says while something runs without people, or
// waits for somebody to look at it afterwards.
type glassBar struct {
	Show    bool
	Unknown bool // they can't be read
	Running []emergency.Entry
	Waiting int // over, and not reviewed
	Overdue int // frozen, because nobody did
	Mine    int // of them, what this person may review
}

func (c *Console) glassBar(ctx context.Context, p *who) (bar glassBar) {
	if c.o.Glass == nil {
		return bar
	}
	list, err := c.o.Glass.Known(ctx)
	if err != nil {
		c.o.Logger.ErrorContext(ctx, "reading emergencies", "err", err)
		return glassBar{Show: true, Unknown: true}
	}
	now := c.o.Clock()
	for _, e := range list {
		switch {
		case e.State == emergency.Reviewed:
			continue
		case e.Running(now):
			bar.Running = append(bar.Running, e)
		case e.State == emergency.Overdue:
			bar.Overdue++
		default:
			bar.Waiting++
		}
		if p != nil && c.o.Glass.MayReview(&e.Emergency, p.Key()) == nil {
			bar.Mine++
		}
	}
	bar.Show = len(bar.Running) > 0 || bar.Mine > 0
	return bar
}

// glassMark changes whenever the bar may.
func (c *Console) glassMark(ctx context.Context) string {
	bar := c.glassBar(ctx, nil)
	var b strings.Builder
	for _, e := range bar.Running {
		_, _ = fmt.Fprint(&b, e.ID, e.Ran, " ")
	}
	return fmt.Sprint(b.String(), bar.Waiting, bar.Overdue, bar.Unknown)
}

// emergenciesPage is what ran without people, and what others say of it.
type emergenciesPage struct {
	Shell
	Rows     []emergencyRow
	MayBreak bool
	Session  bool // this session is worth it
	Problem  string
}

type emergencyRow struct {
	emergency.Entry
	By, Class, Says, Reviewed string
	Running                   bool
	May                       bool
	MayNot                    string
}

func (c *Console) showEmergencies(w http.ResponseWriter, r *http.Request, p *who) {
	page := emergenciesPage{Shell: c.shellOf(r, p, "control", "Emergencies", -1), MayBreak: c.o.Glass.MayBreak(p.Key()), Session: p.assurance() == "console"}
	list, err := c.o.Glass.Known(r.Context())
	if err != nil {
		page.Problem = "The emergencies can't be read. What ran without people may not all be here; the server's log says why."
	}
	now, done := c.o.Clock(), 0
	for _, e := range list {
		if e.State == emergency.Reviewed {
			if done++; done > emergenciesShown {
				continue
			}
		}
		page.Rows = append(page.Rows, c.emergencyRow(e, p, now))
	}
	c.page(w, r, http.StatusOK, "emergencies", page)
}

func (c *Console) emergencyRow(e emergency.Entry, p *who, now time.Time) emergencyRow {
	row := emergencyRow{Entry: e, By: cmp.Or(e.Name, label(e.Person)), Running: e.Running(now)}
	switch {
	case row.Running:
		row.Class, row.Says = "bad", "runs without waiting"
	case e.State == emergency.Open:
		row.Class, row.Says = "warn", "over; to be reviewed"
	case e.State == emergency.Overdue:
		row.Class, row.Says = "bad", "nobody reviewed it in time: frozen"
	case e.Verdict == emergency.Justified:
		row.Class, row.Says = "ok", "justified"
	default:
		row.Class, row.Says = "bad", "wrong: frozen"
	}
	if e.State == emergency.Reviewed {
		row.Reviewed = label(e.Reviewer)
		if f, ok := c.o.People.Person(e.Reviewer); ok {
			row.Reviewed = personName(&f)
		}
		return row
	}
	switch err := c.o.Glass.MayReview(&e.Emergency, p.Key()); {
	case err == nil:
		row.May = true
	case errors.Is(err, emergency.ErrOwn):
		row.MayNot = "You are behind it, so another reviews it."
	default:
		row.MayNot = "Another reviews it."
	}
	return row
}

func (c *Console) breakGlass(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.confirmed(r, p) {
		http.Error(w, "Your sign-in could not be confirmed, so nothing was done. Sign in again.", http.StatusUnauthorized)
		return
	}
	minutes, err := strconv.Atoi(r.PostFormValue("minutes"))
	if err != nil || minutes < 1 || minutes > 24*60 {
		err = emergency.ErrBounds
	} else {
		_, err = c.o.Glass.Break(r.Context(), p.Person, p.assurance(), strings.TrimSpace(r.PostFormValue("actor")), strings.TrimSpace(r.PostFormValue("resource")), r.PostFormValue("reason"), time.Duration(minutes)*time.Minute)
	}
	c.glassed(w, r, "breaking the glass", err)
}

func (c *Console) reviewEmergency(w http.ResponseWriter, r *http.Request, p *who) {
	if !c.confirmed(r, p) {
		http.Error(w, "Your sign-in could not be confirmed, so nothing was decided. Sign in again.", http.StatusUnauthorized)
		return
	}
	_, err := c.o.Glass.Review(r.Context(), r.PathValue("id"), p.Person, p.assurance(), r.PostFormValue("verdict"), strings.TrimSpace(r.PostFormValue("note")))
	c.glassed(w, r, "reviewing an emergency", err)
}

// glassed goes back to the page, or says why nothing was done.
func (c *Console) glassed(w http.ResponseWriter, r *http.Request, what string, err error) {
	switch {
	case err == nil:
		http.Redirect(w, r, "/emergencies", http.StatusSeeOther)
	case errors.Is(err, emergency.ErrRight):
		c.fail(w, r, http.StatusForbidden, "You may not do this. Nothing was done.", "The configuration names who may, under break_glass.")
	case errors.Is(err, emergency.ErrOwn):
		c.fail(w, r, http.StatusForbidden, "You are behind it, so another reviews it. Nothing was decided.", "Ask somebody of the groups under break_glass or admins.")
	case errors.Is(err, emergency.ErrAssurance):
		c.fail(w, r, http.StatusForbidden, "A session that a pasted token opened is too little for this. Nothing was done.", "Sign in through your issuer, or by a one-time link.")
	case errors.Is(err, emergency.ErrBounds):
		c.fail(w, r, http.StatusUnprocessableEntity, "Something is missing, too long or not known. Nothing was done.", "Go back: name a known actor and a resource, say why, and for no longer than break_glass.longest. A review takes a verdict and a note.")
	case errors.Is(err, emergency.ErrDone):
		c.fail(w, r, http.StatusConflict, "Somebody has reviewed it already.", "Go back to the emergencies.")
	default:
		c.broken(w, r, what, err)
	}
}
