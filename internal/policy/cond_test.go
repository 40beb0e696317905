package policy

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// drawCondition makes a random condition over facts that are known.
func drawCondition(t *rapid.T, depth int) string {
	leaf := []string{
		"data.rows > 10", "data.rows <= 10", "data.bytes == 1000", "data.rows + 1 < data.bytes", "data.rows * 3 - 1 >= 29", "data.bytes / 3 != 333", "data.bytes % 7 == 6", "-data.rows < 0",
		`"pii" in data.groups`, `"card" in data.classes`, `action.verb in ["copy", "drop"]`, "size(data.groups) == 1", "size(action.verb) == 4",
		`data.classes.exists(c, c == "email")`, `data.classes.exists(c, c.startsWith("c") || size(c) > 6)`, `delegation.all(d, d.contains(":"))`, `delegation.all(d, d.startsWith("agent:"))`,
		`resource.urn.startsWith("postgres:")`, `resource.urn.endsWith("x")`, `action.target.contains(".")`, `resource.urn.matches("^[a-z]+:bill.*s$")`,
		`resource.labels["tier"] == "gold"`, `resource.labels.tier != "gold"`, `has(resource.labels.tier)`, `has(resource.labels.none)`, `"tier" in resource.labels`,
		`data.finding_counts["email"] >= 2`, `actor.type == "agent"`, `actor.trust != "low"`, "action.reversible", "context.tainted == false", "context.hour < 12",
		`context.weekday == "tue"`, `context.time >= timestamp("2026-11-24T12:00:00Z")`, `context.time < timestamp("2026-11-24T12:00:00Z")`, "true", `(data.rows > 3 ? "a" : "b") == "a"`, "(data.rows > 30 ? 1 : 2) == 2",
		`context.ticket == "T-1"`,
	}
	if depth == 0 {
		return "(" + rapid.SampledFrom(leaf).Draw(t, "leaf") + ")"
	}
	l := drawCondition(t, rapid.IntRange(0, depth-1).Draw(t, "left"))
	switch rapid.IntRange(0, 4).Draw(t, "op") {
	case 0:
		return "(" + l + " && " + drawCondition(t, depth-1) + ")"
	case 1:
		return "(" + l + " || " + drawCondition(t, depth-1) + ")"
	case 2:
		return "!(" + l + ")"
	case 3:
		return fmt.Sprintf("(%s ? %s : %s)", l, drawCondition(t, depth-1), drawCondition(t, depth-1))
	}
	return fmt.Sprintf("(%s == %s)", l, drawCondition(t, depth-1))
}

// Our closures and cel-go's interpreter give one answer wherever the facts are
// known. cel-go is the oracle here: it shares no code with the closures.
func TestClosuresAgreeWithCEL(t *testing.T) {
	c, err := newCompiler()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		source := drawCondition(r, rapid.IntRange(0, 3).Draw(r, "depth"))
		x, problem := c.compileCondition(source, false, nil)
		if problem != nil {
			r.Fatalf("%s: %s", source, problem.msg)
		}
		in := knownInput()
		in.Action.Data.Rows.N = rapid.Int64Range(-5, 40).Draw(r, "rows")
		in.Action.Reversible = rapid.Bool().Draw(r, "reversible")
		in.Action.Data.Groups = rapid.SampledFrom([][]string{nil, {"pii"}, {"pci", "pii"}}).Draw(r, "groups")
		if ours, theirs := x.test(in, ""), c.interpret(t, source)(in, ""); ours != theirs {
			r.Fatalf("%s with %d rows: %v, cel-go says %v", source, in.Action.Data.Rows.N, ours, theirs)
		}
	})
}
