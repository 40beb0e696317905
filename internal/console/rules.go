package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/rules"
)

// Rules are groups, turns and settings, and changes of them.
type Rules interface {
	Groups() []people.GroupView
	ChangeGroup(ctx context.Context, c people.GroupChange, reason string, p change.Proposal) (change.Entry, error)
	ChangeTurn(ctx context.Context, t rules.Turn, reason string, p change.Proposal) (change.Entry, error)
	Settings(ctx context.Context) ([]rules.SettingView, error)
	ChangeSettings(ctx context.Context, set map[string]string, reason string, p change.Proposal) (change.Entry, error)
}

func (c *Console) rulesRoutes(mux *http.ServeMux) {
	if c.o.Rules == nil || c.o.Directory == nil {
		return
	}
	mux.HandleFunc("GET /control/rules", c.signedIn(c.showRules))
	mux.HandleFunc("POST /control/groups", c.signedIn(c.changeGroup))
	mux.HandleFunc("POST /control/oncall", c.signedIn(c.changeTurn))
	mux.HandleFunc("POST /control/settings", c.signedIn(c.changeSettings))
}

// rulesPage is who is in which group, who is on call, and which limits hold.
type rulesPage struct {
	Shell
	May      bool // this session may ask for changes
	Groups   []people.GroupView
	Turns    []people.Turn
	Settings []settingRow
	People   []option
	Problem  string
}

type settingRow struct {
	rules.SettingView
	Now, Configured string
}

// option is one person to choose.
type option struct{ ID, Name string }

// everybody lists the people whom the directory knows, for a form to offer; not who
// stands for the machine.
func (c *Console) everybody() []option {
	var out []option
	for _, p := range c.o.Directory.Everybody() {
		if p.ID != change.Operator {
			out = append(out, option{p.ID, personName(&p)})
		}
	}
	slices.SortFunc(out, func(a, b option) int { return strings.Compare(a.Name+"\x00"+a.ID, b.Name+"\x00"+b.ID) })
	return out
}

func (c *Console) showRules(w http.ResponseWriter, r *http.Request, p *who) {
	page := rulesPage{
		Shell: c.shellOf(r, p, "control", "Groups and settings", -1), May: c.administers(p), Groups: c.o.Rules.Groups(),
		Turns: c.o.Directory.OnCall(), People: c.everybody(),
	}
	all, err := c.o.Rules.Settings(r.Context())
	if err != nil {
		c.o.Logger.ErrorContext(r.Context(), "reading the settings", "err", err)
		page.Problem = "The settings can't be read; those that held last hold still. The server's log says why."
	}
	for _, s := range all {
		page.Settings = append(page.Settings, settingRow{SettingView: s, Now: s.Text(s.Value), Configured: s.Text(s.Default)})
	}
	c.page(w, r, http.StatusOK, "rules", page)
}

// mayChange refuses who doesn't administer, and has their issuer confirm who does.
func (c *Console) mayChange(w http.ResponseWriter, r *http.Request, p *who) (change.Proposal, bool) {
	if c.administers(p) && c.confirmed(r, p) && c.administers(p) {
		return change.Proposal{Author: p.Person, Credential: "console"}, true
	}
	c.fail(w, r, http.StatusForbidden, "Only an administrator asks for this, signed in to the console. Nothing was changed.", "The configuration names administrators under admins.")
	return change.Proposal{}, false
}

func (c *Console) changeGroup(w http.ResponseWriter, r *http.Request, p *who) {
	proposal, may := c.mayChange(w, r, p)
	if !may {
		return
	}
	g := people.GroupChange{Group: strings.TrimSpace(r.PostFormValue("group"))}
	switch member := strings.TrimSpace(r.PostFormValue("member")); r.PostFormValue("do") {
	case "add":
		g.Add = []string{member}
	case "remove":
		g.Remove = []string{member}
	}
	e, err := c.o.Rules.ChangeGroup(r.Context(), g, r.PostFormValue("reason"), proposal)
	c.proposed(w, r, e, err)
}

func (c *Console) changeTurn(w http.ResponseWriter, r *http.Request, p *who) {
	proposal, may := c.mayChange(w, r, p)
	if !may {
		return
	}
	hours, err := strconv.Atoi(r.PostFormValue("hours"))
	if err != nil || hours < 1 || hours > 30*24 {
		c.fail(w, r, http.StatusUnprocessableEntity, "A turn lasts between an hour and 30 days. Nothing was changed.", "Go back and say how long.")
		return
	}
	group, person, _ := strings.Cut(r.PostFormValue("who"), " ")
	e, err := c.o.Rules.ChangeTurn(r.Context(), rules.Turn{Group: group, Person: person, Until: c.o.Clock().Add(time.Duration(hours) * time.Hour)}, r.PostFormValue("reason"), proposal)
	c.proposed(w, r, e, err)
}

func (c *Console) changeSettings(w http.ResponseWriter, r *http.Request, p *who) {
	proposal, may := c.mayChange(w, r, p)
	if !may {
		return
	}
	e, err := c.o.Rules.ChangeSettings(r.Context(), map[string]string{r.PostFormValue("name"): r.PostFormValue("value")}, r.PostFormValue("reason"), proposal)
	c.proposed(w, r, e, err)
}

// proposed shows what waits for others, goes back where it is done, or says why nothing was.
func (c *Console) proposed(w http.ResponseWriter, r *http.Request, e change.Entry, err error) {
	var bad *change.BodyError
	var nobody *approval.UnsatisfiableError
	switch {
	case err == nil && e.Approval != "" && e.State == change.Proposed:
		http.Redirect(w, r, "/approvals/"+e.Approval, http.StatusSeeOther)
	case err == nil:
		http.Redirect(w, r, "/control/rules", http.StatusSeeOther)
	case errors.As(err, &bad):
		c.fail(w, r, http.StatusUnprocessableEntity, plain(bad.Error(), maxClaim)+". Nothing was changed.", "Go back and fill it in.")
	case errors.Is(err, rules.ErrSelf):
		c.fail(w, r, http.StatusForbidden, "Nobody puts themselves on call. Nothing was changed.", "Ask another administrator.")
	case errors.Is(err, change.ErrStale):
		c.fail(w, r, http.StatusConflict, "It was changed at the same time. Nothing was changed by you.", "Look at what holds now, and ask again.")
	case errors.Is(err, people.ErrUnknown), errors.Is(err, people.ErrRefused):
		text := strings.NewReplacer(": "+people.ErrRefused.Error(), "", ": "+people.ErrUnknown.Error(), " is nobody the directory knows").Replace(err.Error())
		c.fail(w, r, http.StatusUnprocessableEntity, plain(text, maxClaim)+". Nothing was changed.", "Go back and fill it in.")
	case errors.As(err, &nobody):
		c.fail(w, r, http.StatusForbidden, "Nobody may allow this: every other administrator is behind it.", "The configuration can change it, or name another one under admins.")
	default:
		c.controlled(w, r, "changing the rules", err)
	}
}
