package policy

import (
	"fmt"
	"strings"
)

// Reference is docs/policy-reference.md: what packs may say, in Markdown, from
// the tables that the loader itself reads.
func Reference() string {
	var b strings.Builder
	b.WriteString("# Policy reference\n\nGenerated from the tables in `internal/policy` by `go generate ./internal/policy`; a test keeps it current. " +
		"[policy.md](policy.md) explains what packs mean.\n")
	referenceVariables(&b)
	referenceRisk(&b)
	referenceConditions(&b)
	referenceMatch(&b)
	referenceApproval(&b)
	referenceClasses(&b)
	referenceTests(&b)
	return b.String()
}

func code(words []string) string { return "`" + strings.Join(words, "` `") + "`" }

func referenceVariables(b *strings.Builder) {
	b.WriteString("\n## Variables\n\n" +
		"Who vouches: **observed** by Assent itself, **signed** by a checked credential, or **claimed** by the asker. " +
		"A permitting rule that reads a claimed one doesn't load, nor does a rule in which one that **tightens only** could lower a verdict.\n\n| variable | type | who vouches | what it is |\n|---|---|---|---|\n")
	for _, v := range variables() {
		doc := v.doc
		if len(v.enum) > 0 && len(v.enum) <= 8 {
			doc += " One of " + code(v.enum) + "."
		}
		if v.raises {
			doc += " Tightens only."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", v.name, v.typ, v.vouch, doc)
	}
}

func referenceRisk(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Risk\n\n`risk.score` is the sum of these terms, %d at most. Of each row the step that holds counts, of the kinds the gravest. "+
		"Its class on cards is critical from %d, high from %d, and moderate below. The last row is on the card alone: it is found when people are asked.\n\n"+
		"| term | points | when |\n|---|---|---|\n", MaxRisk, RiskCritical, RiskHigh)
	for _, row := range append(riskRows[:len(riskRows):len(riskRows)], deniedBefore) {
		for _, s := range row.steps {
			why := s.why
			if row.name == "kind" {
				why = code([]string{s.why})
			}
			fmt.Fprintf(b, "| %s | %d | %s |\n", row.name, s.points, why)
		}
	}
}

func referenceConditions(b *strings.Builder) {
	b.WriteString(`
## Conditions

` + "`when` is a typed [CEL](https://cel.dev) expression. It understands:" + `

| what | how |
|---|---|
| logic | ` + "`&&` `\\|\\|` `!` `test ? a : b`" + ` |
| comparison | ` + "`==` `!=`, and `<` `<=` `>` `>=` for numbers and times" + ` |
| arithmetic | ` + "`+` `-` `*` `/` `%` on whole numbers; overflow and division by zero are unknown" + ` |
| text | ` + "`startsWith` `endsWith` `contains` `matches` (RE2) `size`" + ` |
| lists | ` + "`x in list` `size(list)` `list.exists(x, …)` `list.all(x, …)`, not inside one another" + ` |
| maps | ` + "`resource.labels[\"team\"]` `data.finding_counts[\"card\"]` `has(resource.labels.team)`" + ` |
| time | ` + "`context.time < timestamp(\"2026-12-24T00:00:00Z\")` `in_calendar(\"name\")`" + ` |

Anything else is a load error. So is a quoted word that its variable can never be, such as ` + "`actor.type == \"agnt\"`" + `.
`)
}

func referenceMatch(b *strings.Builder) {
	b.WriteString("\n## match\n\nEvery line must hold; each takes one value or a list, any of which will do.\n\n| line | matches |\n|---|---|\n| `kind` | what the action does: " + code(kindNames()) + " |\n")
	for _, s := range lineSpecs() {
		doc := s.doc
		if len(s.enum) > 0 {
			doc += ": " + code(s.enum)
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", s.key, doc)
	}
}

func referenceApproval(b *strings.Builder) {
	fmt.Fprintf(b, `
## approval

| key | means | unless set |
|---|---|---|
| `+"`from`"+` | groups any of which may answer: `+"`group:name` or `issuer\\|id`"+` | – |
| `+"`all_of`"+` | list of `+"`{ group, count }`"+`, every one filled by different people | – |
| `+"`any_of`"+` | list of `+"`{ group, count }`"+`, one of which is filled | – |
| `+"`count`"+` | how many different people of `+"`from`"+` | 1 |
| `+"`issuers`"+` | whether the seats may be people of several issuers of accounts: %s | one |
| `+"`reciprocal`"+` | `+"`deny`"+`: nobody whose own action was approved within the last 30 days by a person behind this one | allow |
| `+"`expires`"+` | how long it waits for people | %s |
| `+"`use_within`"+` | how long an approval stays usable | %s |
| `+"`wait`"+` | longest time the asker's connection is held | the gate's own |
| `+"`assurance`"+` | least a review must be given with: %s | by kind |
| `+"`remind`"+` | after how long, once or several times, those who were asked are reminded | at half time alone |
| `+"`escalate`"+` | list of `+"`{ after, to }`"+`: further groups asked besides, for the same seats | nobody |
| `+"`fall_back`"+` | `+"`{ after, to }`"+`: groups asked besides when the first ones didn't answer, or at once when they can't | nobody |
| `+"`notify`"+` | who is told: `+"`slack:` `teams:` `email:` `webhook:`"+` and a target | nobody |

`+"`show`"+` on a rule lists what its card shows: %s.
`, code(issuerRules()), defaultExpires, defaultUseWithin, code(assurances()), code(shown()))
}

func referenceClasses(b *strings.Builder) {
	b.WriteString("\n## Classes and masks\n\nMask methods, strictest first: " + code(maskNames()) + ". A mask names classes or groups.\n\n" +
		"A hash, token or format-preserving mask is the same for the same value to one actor, and tells it nothing about what others see. `linkable` makes it the same for all actors " +
		"of the deployment, except of classes with few values. `vault` keeps the value, sealed, for who may read it back.\n\n| class | groups |\n|---|---|\n")
	for _, class := range classNames() {
		fmt.Fprintf(b, "| `%s` | %s |\n", class, code(groupsOf(class)))
	}
}

func referenceTests(b *strings.Builder) {
	b.WriteString("\n## tests\n\n`given` states the facts; what it leaves out is unknown.\n\n| key | value |\n|---|---|\n")
	for _, f := range facts() {
		fmt.Fprintf(b, "| `%s` | %s |\n", f.key, f.doc)
	}
	b.WriteString("\n`reviews` lists who approves, as a name (taken to be in every group asked) or `{ by, groups }`.\n\n" +
		"`want` may have `decision`, `rule` (`default` when none permits), `rules` (all those of that verdict), `count`, `expires`, `mask`, `limit: { rows }`, `granted`, `missing` and `refused`.\n")
}
