package approval

import (
	"fmt"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// ways lists how one requirement may be met, any of which will do: for each, the
// groups any of which may fill each of its places. besides are groups that timers
// have asked: they may fill every place.
func ways(r *policy.Requirement, besides []string) [][][]string {
	place := func(groups ...string) []string {
		return slices.Compact(slices.Concat(groups, besides))
	}
	var first [][]string
	groups := slices.Clone(r.From)
	for _, s := range r.AllOf {
		first = append(first, slices.Repeat([][]string{place(s.Group)}, s.Count)...)
		groups = append(groups, s.Group)
	}
	if len(r.From) > 0 {
		first = append(first, slices.Repeat([][]string{place(r.From...)}, r.Count)...)
	}
	var out [][][]string
	if len(first) > 0 {
		out = append(out, append(first, slices.Repeat([][]string{place(groups...)}, r.More)...))
	}
	for _, s := range r.AnyOf {
		out = append(out, slices.Repeat([][]string{place(s.Group)}, s.Count+r.More))
	}
	return out
}

// groupsOf lists every group that a requirement asks, or comes to ask.
func groupsOf(r *policy.Requirement) []string {
	out := slices.Clone(r.From)
	for _, s := range slices.Concat(r.AllOf, r.AnyOf) {
		out = append(out, s.Group)
	}
	for _, s := range r.Escalate {
		out = append(out, s.To...)
	}
	if r.FallBack != nil {
		out = append(out, r.FallBack.To...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// maxSeats bounds the seats of one requirement: nobody finds more people than that.
const maxSeats = 100

// wellFormed refuses a requirement that a number or a missing group would make
// weaker than its words, or that nothing could ever meet.
func wellFormed(r *policy.Requirement) error {
	bad := len(r.From) == 0 && len(r.AllOf) == 0 && len(r.AnyOf) == 0 ||
		len(r.From) > 0 && r.Count < 1 || r.Count > maxSeats || r.More < 0 || r.More > maxSeats ||
		len(r.AnyOf) > 0 && (len(r.From) > 0 || len(r.AllOf) > 0)
	for _, s := range slices.Concat(r.AllOf, r.AnyOf) {
		bad = bad || s.Group == "" || s.Count < 1 || s.Count > maxSeats
	}
	if bad || slices.Contains(groupsOf(r), "") {
		return fmt.Errorf("rule %s asks for no one in particular", r.Rule)
	}
	if r.Assurance != "" && level(r.Assurance) < 0 {
		return fmt.Errorf("rule %s asks for an assurance that is not on the list", r.Rule)
	}
	if !slices.Contains([]string{"", policy.IssuersOne, policy.IssuersAny, policy.IssuersDifferent}, r.Issuers) {
		return fmt.Errorf("rule %s asks for issuers in a way that is not on the list", r.Rule)
	}
	return nil
}

// A voter is a person who may fill seats, with the groups they count for.
type voter struct {
	groups  map[string]bool
	issuers []string // who vouches for them, sorted; "" is this deployment's own configuration
}

// issuersOf names who vouches for p: the issuers of their accounts, where the directory doesn't say.
func issuersOf(p *identity.Person) []string {
	if len(p.Issuers) > 0 {
		return p.Issuers
	}
	var out []string
	for _, account := range p.Accounts {
		if issuer, _, ok := strings.Cut(account, "|"); ok {
			out = append(out, issuer)
		}
	}
	if len(out) == 0 {
		out = []string{""}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// seated seats voters in one requirement in the way that leaves the fewest places
// empty: its places, and for each the index of its voter or -1.
func seated(r *policy.Requirement, besides []string, voters []voter) (places [][]string, filled []int) {
	for _, way := range ways(r, besides) {
		for _, got := range seatings(r.Issuers, way, voters) {
			if places == nil || len(way)-count(got) < len(places)-count(filled) {
				places, filled = way, got
			}
		}
	}
	return places, filled
}

func count(filled []int) (n int) {
	for _, p := range filled {
		if p >= 0 {
			n++
		}
	}
	return n
}

// seatings are the ways to seat voters that the rule on issuers leaves: all seats
// from one issuer, unless a rule says that they may, or must, come from several.
// One human with an account here and another there that nobody linked is one seat.
func seatings(rule string, places [][]string, voters []voter) [][]int {
	switch rule {
	case policy.IssuersAny:
		return [][]int{match(places, voters)}
	case policy.IssuersDifferent:
		return [][]int{matchIssuers(places, voters)}
	}
	var issuers []string
	for _, v := range voters {
		issuers = append(issuers, v.issuers...)
	}
	slices.Sort(issuers)
	out := [][]int{slices.Repeat([]int{-1}, len(places))}
	for _, issuer := range slices.Compact(issuers) {
		own := slices.Clone(voters)
		for i := range own {
			if !slices.Contains(own[i].issuers, issuer) {
				own[i].groups = nil
			}
		}
		out = append(out, match(places, own))
	}
	return out
}

// matchIssuers is match with each seat from an issuer of its own: a person counts
// for the first of theirs.
func matchIssuers(places [][]string, voters []voter) []int {
	at := map[string]int{} // issuer → index in its voter
	var each []voter
	for _, v := range voters {
		name := v.issuers[0]
		if _, ok := at[name]; !ok {
			at[name] = len(each)
			each = append(each, voter{groups: map[string]bool{}})
		}
		for g := range v.groups {
			each[at[name]].groups[g] = true
		}
	}
	filled := match(places, each)
	for s, issuer := range filled {
		if issuer < 0 {
			continue
		}
		filled[s] = slices.IndexFunc(voters, func(v voter) bool {
			return at[v.issuers[0]] == issuer && slices.ContainsFunc(places[s], func(g string) bool { return v.groups[g] })
		})
	}
	return filled
}

// match fills places with people, each in at most one place (augmenting paths:
// Kuhn's algorithm). It returns for each place the index of its person, or -1.
func match(places [][]string, people []voter) []int {
	filled := slices.Repeat([]int{-1}, len(places))
	var seat func(person int, tried []bool) bool
	seat = func(person int, tried []bool) bool {
		for s, groups := range places {
			if tried[s] || !slices.ContainsFunc(groups, func(g string) bool { return people[person].groups[g] }) {
				continue
			}
			tried[s] = true
			if filled[s] < 0 || seat(filled[s], tried) {
				filled[s] = person
				return true
			}
		}
		return false
	}
	for p := range people {
		seat(p, make([]bool, len(places)))
	}
	return filled
}
