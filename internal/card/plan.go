package card

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/show"
)

// ItemOf is one item of a plan drawn as an approval of its own: what it would do,
// with what reviewers of the plan added. It decides nothing.
func ItemOf(a *approval.Approval, i int) *approval.Approval {
	of := &a.Items[i]
	return &approval.Approval{
		ID: of.Approval, Plan: a.ID, Position: i + 1, State: a.State, Asker: a.Asker, Reviews: a.Reviews,
		Kinds: of.Kinds, Verb: of.Verb, Target: of.Target, Title: of.Title, Statement: of.Statement, Masked: of.Masked,
		Resource: of.Resource, Data: of.Data, Masks: of.Masks, RowLimit: of.RowLimit, Preview: of.Preview, Risk: of.Risk, Reason: of.Reason, Repeats: of.Repeats,
	}
}

// Order lists the items of a plan, the gravest first: what matters is not to be
// found under what doesn't.
func Order(a *approval.Approval) []int {
	at, score := make([]int, len(a.Items)), make([]int, len(a.Items))
	for i := range a.Items {
		at[i], score[i] = i, RiskOf(ItemOf(a, i)).Score
	}
	slices.SortStableFunc(at, func(x, y int) int { return cmp.Compare(score[y], score[x]) })
	return at
}

// Title is what a is called: of a plan, by its gravest item.
func Title(a *approval.Approval) string {
	if len(a.Items) < 2 {
		return a.Title
	}
	return fmt.Sprintf("Plan of %d: %s, and %d more", len(a.Items), a.Items[Order(a)[0]].Title, len(a.Items)-1)
}

// planRisk is that of the gravest item.
func planRisk(a *approval.Approval) Risk {
	i := Order(a)[0]
	r := RiskOf(ItemOf(a, i))
	r.Why = fmt.Sprintf("item %d: %s", i+1, r.Why)
	return r
}

// planItems draws every item, the gravest first. Together they show as much of their
// statements as one action does; what is cut says so, and then the card isn't whole.
func planItems(a *approval.Approval) []Item {
	out, left := make([]Item, 0, len(a.Items)), maxStatement
	for _, i := range Order(a) {
		of := ItemOf(a, i)
		item := Item{N: i + 1, Kind: string(Worst(of.Kinds)), Title: show.Plain(of.Title, maxTitle), Risk: RiskOf(of), State: StateOf(of), On: show.Plain(Resource(of), maxPlace), Where: show.Plain(Where(of), maxPlace)}
		item.Statement, item.Cut = show.Text(of.Statement, left)
		left -= len(of.Statement) - item.Cut
		out = append(out, item)
	}
	return out
}

// planEffects are what would happen of all items together.
func planEffects(a *approval.Approval, say func(class, format string, args ...any)) {
	say("known", "%s, approved together or not at all", show.Plural(int64(len(a.Items)), "action"))
	worst := map[action.Kind]int{}
	var order []action.Kind
	for _, i := range Order(a) {
		k := Worst(a.Items[i].Kinds)
		if worst[k]++; worst[k] == 1 {
			order = append(order, k)
		}
	}
	for _, k := range order {
		say("known", "%d of them: %s", worst[k], k)
	}
	say("bound", "Each runs once, by its own bytes; after the first that doesn't succeed no other begins")
}
