package console

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// sessionsOf groups records, newest first, by the session that they belong to.
func sessionsOf(in []entry) []sessionLine {
	var out []sessionLine
	by := map[string]*[4]int64{}
	for i := range in {
		r := &in[i]
		if r.Session == "" {
			continue
		}
		at := slices.IndexFunc(out, func(s sessionLine) bool { return s.ID == r.Session })
		if at < 0 {
			at = len(out)
			out = append(out, sessionLine{ID: r.Session, Href: "/sessions/" + url.PathEscape(r.Session), Last: r.Time})
			by[r.Session] = &[4]int64{}
		}
		s := &out[at]
		s.First, s.Gate = r.Time, cmp.Or(s.Gate, r.Gate)
	}
	for _, r := range requests(in) {
		at := slices.IndexFunc(out, func(s sessionLine) bool { return s.ID == r.Session })
		if at < 0 {
			continue
		}
		class, _ := outcomeOf(&r.Record)
		for k, l := range series() {
			if l.Class == class {
				by[r.Session][k]++
			}
		}
		out[at].Actions++
	}
	for i := range out {
		out[i].Share = shareOf(*by[out[i].ID], int64(out[i].Actions))
	}
	return out
}

// sessionView is everything that was done in one session, in order.
type sessionView struct {
	Shell
	ID     string
	Actor  []Piece
	Href   string
	Gate   string
	Line   sessionLine
	Rows   []stepRow
	Lasted string
	Cut    bool   // more happened than is shown
	Asker  bool   // the asker's side names it so
	All    string // page of what the asker's side names as one session, this among it
}

// stepRow is one record of a session; Gap is how long nothing happened before.
type stepRow struct {
	recordRow
	Gap   string
	Held  bool
	Depth int    // how many actions led to it, 4 at most
	By    string // the last of them; "" where it isn't on the page
	How   string
}

const (
	inSession = 1000
	quietFrom = time.Minute // a gap of that is worth a line
)

func (c *Console) showSession(w http.ResponseWriter, r *http.Request, p *who) {
	id, actor := r.PathValue("id"), r.URL.Query().Get("actor")
	in, err := c.sessionRecords(r.Context(), id, actor)
	if err != nil {
		c.broken(w, r, "reading a session's records", err)
		return
	}
	if len(in) == 0 {
		c.fail(w, r, http.StatusNotFound, "There are no records of that session here.",
			"What it only read leaves this page after a while and stays in the sealed segments of the traffic lane; this server or node may also never have seen it.")
		return
	}
	// An outcome belongs to its request; what else happened stands for itself.
	steps := requests(in)
	for i := range in {
		if t := in[i].Type; t != audit.TypeRequest && t != audit.TypeOutcome {
			steps = append(steps, in[i])
		}
	}
	slices.SortStableFunc(steps, func(a, b entry) int { return a.Time.Compare(b.Time) })
	view := sessionView{ID: id, Cut: len(in) == inSession, Asker: actor != ""}
	if view.Asker {
		view.Line = wholeLine(steps)
		view.Lasted = spell(view.Line.Last.Sub(view.Line.First))
	} else if lines := sessionsOf(in); len(lines) > 0 {
		view.Line, view.Gate = lines[0], lines[0].Gate
		view.Lasted = spell(view.Line.Last.Sub(view.Line.First))
	}
	depths := depthsOf(in)
	var before time.Time
	for i, row := range c.recordRows(steps) {
		if view.Href == "" && strings.HasPrefix(steps[i].Actor, "agent:") {
			view.Actor, view.Href = visible(label(steps[i].Actor), maxName), "/agents/"+url.PathEscape(steps[i].Actor)
		}
		s := stepRow{recordRow: row, Held: steps[i].Approval != ""}
		if at := depths[keyOf(&steps[i])]; at.depth > 0 {
			s.Depth, s.By, s.How = min(at.depth, 4), plain(at.by, 120), at.how
		}
		if name := steps[i].Detail["session"]; name != "" && !view.Asker && view.All == "" {
			view.All = "/sessions/" + url.PathEscape(name) + "?actor=" + url.QueryEscape(steps[i].Actor)
		}
		if gap := steps[i].Time.Sub(before); !before.IsZero() && gap >= quietFrom {
			s.Gap = spell(gap)
		}
		before = steps[i].Time
		view.Rows = append(view.Rows, s)
	}
	view.Shell = c.shellOf(r, p, "activity", "Session", -1)
	c.page(w, r, http.StatusOK, "session", view)
}
