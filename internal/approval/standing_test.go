package approval_test

import (
	"slices"
	"testing"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

// Somebody whom the directory no longer knows neither answers nor keeps a seat:
// nobody could tell any more whose second account they were.
func TestAReviewerDeletedMeanwhile(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy"))
	gone := slices.DeleteFunc(people(), func(p identity.Person) bool { return p.ID == "person:ana" })

	h.town.set(t, gone, actors())
	_, err := h.review(a.ID, "person:ana", approval.Approve)
	wantErr(t, err, approval.ErrNotEligible)

	h.town.set(t, people(), actors())
	h.approve(a.ID, "person:ana")
	h.town.set(t, gone, actors())
	h.approve(a.ID, "person:ben")
	h.state(a.ID, approval.Pending)
	h.town.set(t, people(), actors())
	h.approve(a.ID, "person:cas")
	h.state(a.ID, approval.Approved)
}

// A seat that was lent is filled once, by its holder or by one stand-in, and by
// nobody whose appointment came after the asking or ended before the answer.
func TestALentSeat(t *testing.T) {
	lend := func(ids ...string) []identity.Person {
		out := people()
		for i, p := range out {
			if slices.Contains(ids, p.ID) {
				out[i].StandsFor = []identity.Standing{{ID: "s-" + p.ID, Person: "person:ana", Groups: []string{"owners"}}}
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		asked, answered []identity.Person
		reviews         []string
		want            approval.State
	}{
		"lent in time":         {lend("person:out"), lend("person:out"), []string{"person:out", "person:ben"}, approval.Approved},
		"lent too late":        {people(), lend("person:out"), []string{"person:out", "person:ben"}, approval.Pending},
		"ended before":         {lend("person:out"), people(), []string{"person:out", "person:ben"}, approval.Pending},
		"with its holder":      {lend("person:out"), lend("person:out"), []string{"person:out", "person:ana"}, approval.Pending},
		"beside the own seat":  {lend("person:ben"), lend("person:ben"), []string{"person:ben"}, approval.Pending},
		"nothing lent, nobody": {people(), people(), []string{"person:out", "person:ben"}, approval.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nil)
			h.town.set(t, c.asked, actors())
			a := h.ask(ask(agent("agent:x"), "copy"))
			h.town.set(t, c.answered, actors())
			for _, p := range c.reviews {
				_, _ = h.review(a.ID, p, approval.Approve)
			}
			h.state(a.ID, c.want)
		})
	}
}
