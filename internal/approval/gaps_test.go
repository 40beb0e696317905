package approval_test

import (
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

func TestGaps(t *testing.T) {
	actors := []identity.Actor{{ID: "agent:x", Type: "agent", Owner: "person:own"}, {ID: "agent:b", Type: "agent", Owner: "person:boss"}}
	dir, err := identity.NewStatic(neighbours(), actors)
	must(t, err)
	open := func(g string) bool { return g == "group:open" }
	for block, want := range map[string]string{
		"{ from: [group:a], count: 2 }":                                           "",
		"{ from: [group:ghosts] }":                                                "asks for 1 of ghosts, and only 0 people are there; nobody is in ghosts",
		"{ from: [group:a, group:ghosts] }":                                       "",
		"{ from: [group:a], count: 9 }":                                           "asks for 9 of a, and only 7 people are there",
		"{ from: [group:boss] }":                                                  "when agent:b asks only 0 people are there, its owner and those related to it left out",
		"{ from: [group:boss, group:b], count: 2 }":                               "",
		"{ from: [group:a], count: 5 }":                                           "asks for 5 of a, and 7 people are there, but their accounts", // three of one issuer, and more of others
		"{ from: [group:a], count: 7, issuers: any }":                             "when agent:x asks only 6 people are there",
		"{ all_of: [{ group: a }, { group: ghosts }] }":                           "nobody is in ghosts",
		"{ any_of: [{ group: ghosts }, { group: a }] }":                           "",
		"{ from: [group:ghosts], fall_back: { after: 1m, to: [group:a] } }":       "",
		"{ from: [group:ghosts], escalate: [{ after: 1m, to: [group:ghouls] }] }": "nobody is in ghosts, ghouls",
		"{ from: [group:open], count: 9 }":                                        "",
	} {
		r := requirementOf(t, block)
		got := approval.GapOf(dir, &r, actors, open)
		switch {
		case want == "" && got != nil:
			t.Errorf("%s: %s", block, got)
		case want != "" && (got == nil || !strings.Contains(got.String(), want)):
			t.Errorf("%s: %v, want %q", block, got, want)
		}
	}
}
