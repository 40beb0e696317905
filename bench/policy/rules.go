package main

import (
	"fmt"
	"slices"
	"strings"
)

// A rule says the same in each language. Kind, environment and resource are what every
// side can look up; the rest is its condition.
type rule struct {
	id    string
	kinds []string
	env   string // "": any
	place string // beginning of the resource, "": any
	actor string // type of the actor, "": any
	verbs []string
	then  string // allow, mask, review, deny
	rest  string // what `then` needs, in YAML
	cel   string
	expr  string
	cedar string
	rego  string // alternatives are rules of their own
}

// twenty are the rules of one team.
func twenty() []rule {
	const review = "approval: { from: [group:owners], count: 2 }"
	return []rule{
		{id: "read", kinds: []string{"data.read"}, then: "allow"},
		{
			id: "read-small", kinds: []string{"data.read"}, env: "prod", then: "allow",
			cel: `data.rows <= 10000`, expr: `rows <= 10000`, cedar: `context.rows <= 10000`, rego: `input.rows <= 10000`,
		},
		{id: "mask", kinds: []string{"data.read", "data.export"}, actor: "agent", then: "mask", rest: "mask: { email: redact, card: partial }"},
		{
			id: "export", kinds: []string{"data.export"}, env: "prod", then: "review", rest: review,
			cel: `data.rows > 1000 && "pii" in data.groups`, expr: `rows > 1000 && "pii" in groups`,
			cedar: `context.rows > 1000 && context.groups.contains("pii")`, rego: `input.rows > 1000; "pii" in input.groups`,
		},
		{
			id: "export-small", kinds: []string{"data.export"}, env: "prod", then: "allow",
			cel: `data.rows <= 1000 && !("pii" in data.groups)`, expr: `rows <= 1000 && not ("pii" in groups)`,
			cedar: `context.rows <= 1000 && !(context.groups.contains("pii"))`, rego: `input.rows <= 1000; not "pii" in input.groups`,
		},
		{
			id: "external", kinds: []string{"data.export"}, then: "deny",
			cel: `data.destination_trust == "external" && data.bytes > 1000000`, expr: `trust_of_destination == "external" && bytes > 1000000`,
			cedar: `context.destination_trust == "external" && context.bytes > 1000000`, rego: `input.destination_trust == "external"; input.bytes > 1000000`,
		},
		{
			id: "write", kinds: []string{"data.write"}, env: "prod", then: "review", rest: review,
			cel: `data.rows > 5000 || context.hour < 6`, expr: `rows > 5000 || hour < 6`,
			cedar: `context.rows > 5000 || context.hour < 6`, rego: `input.rows > 5000 || input.hour < 6`,
		},
		{
			id: "write-ok", kinds: []string{"data.write"}, then: "allow",
			cel: `data.rows <= 5000 && actor.trust == "high"`, expr: `rows <= 5000 && trust == "high"`,
			cedar: `context.rows <= 5000 && context.trust == "high"`, rego: `input.rows <= 5000; input.trust == "high"`,
		},
		{
			id: "delete", kinds: []string{"data.delete"}, then: "review", rest: review,
			cel: `data.rows > 10`, expr: `rows > 10`, cedar: `context.rows > 10`, rego: `input.rows > 10`,
		},
		{id: "drop", kinds: []string{"schema.change"}, env: "prod", verbs: []string{"drop", "truncate"}, then: "deny"},
		{id: "schema", kinds: []string{"schema.change"}, then: "review", rest: review},
		{id: "privilege", kinds: []string{"privilege.change"}, then: "deny"},
		{
			id: "secret", kinds: []string{"secret.access"}, then: "deny",
			cel: `!("group:security" in subject.groups)`, expr: `not ("group:security" in subject_groups)`,
			cedar: `!(context.subject_groups.contains("group:security"))`, rego: `not "group:security" in input.subject_groups`,
		},
		{
			id: "execute", kinds: []string{"execute"}, then: "deny",
			cel: `resource.labels["tier"] == "gold"`, expr: `labels["tier"] == "gold"`, cedar: `context.labels.tier == "gold"`, rego: `input.labels.tier == "gold"`,
		},
		{
			id: "rate", kinds: []string{"data.read"}, env: "prod", then: "review", rest: review,
			cel: `context.rate_1h > 500 && actor.type == "agent"`, expr: `rate > 500 && actor == "agent"`,
			cedar: `context.rate > 500 && context.actor == "agent"`, rego: `input.rate > 500; input.actor == "agent"`,
		},
		{
			id: "night", kinds: []string{"deploy"}, env: "prod", then: "review", rest: review,
			cel: `context.hour >= 20 || context.weekday in ["sat", "sun"]`, expr: `hour >= 20 || weekday in ["sat", "sun"]`,
			cedar: `context.hour >= 20 || ["sat", "sun"].contains(context.weekday)`, rego: `input.hour >= 20 || input.weekday in {"sat", "sun"}`,
		},
		{
			id: "deploy", kinds: []string{"deploy"}, then: "allow",
			cel: `actor.type == "pipeline"`, expr: `actor == "pipeline"`, cedar: `context.actor == "pipeline"`, rego: `input.actor == "pipeline"`,
		},
		{
			id: "fetch", kinds: []string{"net.fetch"}, then: "allow",
			cel: `data.destination.startsWith("https://internal.")`, expr: `destination startsWith "https://internal."`,
			cedar: `context.destination like "https://internal.*"`, rego: `startswith(input.destination, "https://internal.")`,
		},
		{
			id: "tables", kinds: []string{"data.read"}, then: "review", rest: review,
			cel:   `action.target.endsWith("_secret") || data.classes.exists(c, c == "us-ssn")`,
			expr:  `target endsWith "_secret" || any(classes, # == "us-ssn")`,
			cedar: `context.target like "*_secret" || context.classes.contains("us-ssn")`,
			rego:  `endswith(input.target, "_secret") || "us-ssn" in input.classes`,
		},
		{
			id: "llm", kinds: []string{"llm.call"}, then: "allow",
			cel: `data.bytes < 1000000`, expr: `bytes < 1000000`, cedar: `context.bytes < 1000000`, rego: `input.bytes < 1000000`,
		},
	}
}

// rules are n: twenty for everybody, and twenty more for each further place.
func rules(n int) []rule {
	var out []rule
	for team := 0; len(out) < n; team++ {
		for _, r := range twenty() {
			if team > 0 {
				r.id, r.place = fmt.Sprintf("%s-%d", r.id, team), place(team)
			}
			out = append(out, r)
		}
	}
	return out
}

func place(team int) string { return fmt.Sprintf("postgres:team%d/shop/", team) }

// condition joins what the index of a peer doesn't say.
func condition(and string, parts ...string) string {
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" })
	if len(parts) == 0 {
		return "true"
	}
	for i, p := range parts {
		if and == " && " && len(parts) > 1 {
			parts[i] = "(" + p + ")"
		}
	}
	return strings.Join(parts, and)
}

// about is format with s, or nothing without one.
func about(format, s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf(format, s)
}

// quoted is a list of words in quotes, or nothing.
func quoted(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return `"` + strings.Join(words, `", "`) + `"`
}

// A spot is what a peer's index is asked for. An environment that no rule names is "".
type spot struct{ kind, env, place string }

// byHand is the index of a peer: the rules that may match at each spot.
type byHand struct {
	envs, places map[string]bool
	rules        map[spot][]int32
}

func newByHand(list []rule) *byHand {
	x := &byHand{envs: map[string]bool{"": true}, places: map[string]bool{"": true}, rules: map[spot][]int32{}}
	general := map[spot][]int32{}
	for _, r := range list {
		x.envs[r.env], x.places[r.place] = true, true
	}
	add := func(at map[spot][]int32, i int, r rule) {
		for _, kind := range r.kinds {
			for env := range x.envs {
				if r.env == "" || r.env == env {
					at[spot{kind, env, r.place}] = append(at[spot{kind, env, r.place}], int32(i))
				}
			}
		}
	}
	for i, r := range list {
		if r.place == "" {
			add(general, i, r)
		}
	}
	for i, r := range list {
		if r.place != "" {
			add(x.rules, i, r)
		}
	}
	for at, more := range general { // each place has the general rules too
		for place := range x.places {
			at.place = place
			x.rules[at] = append(slices.Clone(more), x.rules[at]...)
		}
	}
	return x
}

// spot is where r's rules are.
func (x *byHand) spot(r *request) spot {
	a := r.action
	at := spot{kind: string(a.Kinds[0]), env: a.Resource.Env, place: a.Resource.URN[:strings.LastIndexByte(a.Resource.URN, '/')+1]}
	if !x.envs[at.env] {
		at.env = ""
	}
	if !x.places[at.place] {
		at.place = ""
	}
	return at
}

// conclude finds the verdict of the rules that matched.
func conclude(list []rule, out *outcome) {
	out.verdict = "deny"
	permitted := false
	for _, i := range out.matched {
		switch list[i].then {
		case "deny":
			out.verdict = "deny"
			return
		case "review":
			out.verdict, permitted = "review", true
		case "allow":
			if !permitted {
				out.verdict, permitted = "allow", true
			}
		}
	}
}
