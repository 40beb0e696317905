package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/approval"
)

// standingPage is what a standing grant of one scope would cover, and what not,
// before anybody asks for one.
type standingPage struct {
	Shell
	ID      string
	Title   []Piece
	Preview *standingPreview
}

type standingPreview struct {
	Asked   bool // a scope was named
	Why     string
	Covers  []string
	Not     []string
	Past    approval.Past
	Shown   [][]Piece // texts of the last 30 days, masked
	Unknown bool      // the past can't be read
}

// standingCeiling is the widest scope there may be; no uses: there is none for a.
type standingCeiling struct {
	Uses    int
	Minutes int
	Life    string
	Any     bool // values may be left open
}

// ceilingOf says whether the form offers a standing grant for a, and how wide.
func (c *Console) ceilingOf(a *approval.Approval) standingCeiling {
	if c.o.Standings == nil {
		return standingCeiling{}
	}
	uses, life := c.o.Standings.Ceiling()
	least := approval.Scope{Uses: 1, For: time.Minute, Values: approval.SameValues}
	if uses < 1 || c.o.Standings.Coverable(a, least) != nil {
		return standingCeiling{}
	}
	out := standingCeiling{Uses: uses, Minutes: int(life / time.Minute), Life: inWords(life)}
	least.Values = approval.AnyValues
	out.Any = c.o.Standings.Coverable(a, least) == nil
	return out
}

// scopeOf reads the standing grant that a form asks for; nil: none.
func scopeOf(value func(string) string) (*approval.Scope, *verdict) {
	uses := strings.TrimSpace(value("standing_uses"))
	if uses == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(uses)
	m, err2 := strconv.Atoi(strings.TrimSpace(value("standing_minutes")))
	values := value("standing_values")
	if err != nil || err2 != nil || n < 1 || m < 1 || m > 366*24*60 || values != approval.SameValues && values != approval.AnyValues {
		return nil, &verdict{http.StatusUnprocessableEntity, "A standing grant says how often and for how many minutes, from 1, and whether the values may change. Nothing was decided."}
	}
	return &approval.Scope{Uses: n, For: time.Duration(m) * time.Minute, Values: values}, nil
}

// showStanding previews a standing grant. It decides nothing.
func (c *Console) showStanding(w http.ResponseWriter, r *http.Request, p *who) {
	a, err := c.o.Approvals.Get(r.Context(), r.PathValue("id"))
	if errors.Is(err, approval.ErrNotFound) {
		c.fail(w, r, http.StatusNotFound, "There is no such approval.", "It may be older than the log's retention, or the link is cut off.")
		return
	}
	if err != nil {
		c.broken(w, r, "reading an approval", err)
		return
	}
	page := standingPage{Shell: c.shellOf(r, p, "approvals", "A standing grant", -1), ID: a.ID, Title: visible(a.Title, maxTitle)}
	page.Preview = c.previewOf(r, a)
	c.page(w, r, http.StatusOK, "standing", page)
}

func (c *Console) previewOf(r *http.Request, a *approval.Approval) *standingPreview {
	v := &standingPreview{}
	scope, bad := scopeOf(r.URL.Query().Get)
	switch {
	case bad != nil:
		v.Asked, v.Why = true, "Say how often and for how many minutes, from 1."
		return v
	case scope == nil:
		return v
	}
	v.Asked = true
	if err := c.o.Standings.Coverable(a, *scope); err != nil {
		var no *approval.StandingError
		v.Why = "Such a standing grant can't be had."
		if errors.As(err, &no) {
			v.Why = "Such a standing grant can't be had: " + plain(no.Why, maxClaim) + "."
		}
		return v
	}
	v.Covers, v.Not = coverage(a, scope)
	var err error
	if v.Past, err = approval.PastOf(r.Context(), c.o.Log, a, c.o.Clock()); err != nil {
		c.o.Logger.ErrorContext(r.Context(), "looking at what was asked before", "err", err)
		v.Unknown = true
	}
	for _, text := range v.Past.Examples {
		v.Shown = append(v.Shown, visible(text, maxClaim))
	}
	return v
}

// coverage says in sentences what a standing grant minted from a would let run without asking, and what not.
func coverage(a *approval.Approval, s *approval.Scope) (covers, not []string) {
	who := agentName(a)
	if a.Asker.Subject.ID != "" {
		who += " for " + subjectName(a)
	}
	what := "exactly this, byte for byte, in the same session state"
	if s.Values == approval.AnyValues {
		what = "this with other values in the same places, in the same session state"
	}
	where := resourceName(a)
	if a.Gate != "" {
		where += " by gate " + a.Gate
	}
	if a.Data.Destination != "" {
		where += ", to " + a.Data.Destination
	}
	covers = append(covers,
		"Asked by "+plain(who, maxTitle)+" and nobody else",
		strings.ToUpper(what[:1])+what[1:],
		"On "+plain(where, maxTitle),
		"At most "+plural(int64(s.Uses), "time")+", within "+inWords(s.For)+" of the last approval",
	)
	if n := a.MostRows(); n.Known {
		covers = append(covers, "At most "+plural(n.N, "row")+" each time")
	}
	if len(a.Data.Classes) > 0 {
		covers = append(covers, "Only with these kinds of data, or fewer: "+plain(strings.Join(a.Data.Classes, ", "), maxTitle))
	} else {
		covers = append(covers, "Only without sensitive data")
	}
	not = append(not, "Another agent, or this one for another person", "Another statement, table, gate, place or destination")
	if s.Values != approval.AnyValues {
		not = append(not, "The same statement with another value in it")
	}
	not = append(not,
		"What policy denies by then, or a freeze stops",
		"Anything, unless everybody whose approval this takes asks for a standing grant too: the narrowest holds",
	)
	return covers, not
}

// inWords is a time in whole hours where it is, or in minutes.
func inWords(d time.Duration) string {
	if d >= time.Hour && d%time.Hour == 0 {
		return strconv.Itoa(int(d/time.Hour)) + " h"
	}
	return strconv.Itoa(int(d/time.Minute)) + " min"
}
