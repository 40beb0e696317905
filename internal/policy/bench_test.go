package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/assenthq/assent/action"
)

// twenty are the rules of one team, for one resource.
const twenty = `  - { id: r%[1]d-read, match: { kind: [data.read], resource: ["%[2]s/*"] }, then: allow }
  - { id: r%[1]d-read-small, match: { kind: [data.read], env: [prod], resource: ["%[2]s/*"] }, when: 'data.rows <= 10000', then: allow }
  - { id: r%[1]d-mask, match: { kind: [data.read, data.export], actor: [agent], resource: ["%[2]s/*"] }, then: mask, mask: { email: redact, card: partial } }
  - { id: r%[1]d-export, match: { kind: [data.export], env: [prod], resource: ["%[2]s/*"] }, when: 'data.rows > 1000 && "pii" in data.groups', then: review, approval: { from: [group:owners], count: 2 } }
  - { id: r%[1]d-export-small, match: { kind: [data.export], env: [prod], resource: ["%[2]s/*"] }, when: 'data.rows <= 1000 && !("pii" in data.groups)', then: allow }
  - { id: r%[1]d-external, match: { kind: [data.export], resource: ["%[2]s/*"] }, when: 'data.destination_trust == "external" && data.bytes > 1000000', then: deny }
  - { id: r%[1]d-write, match: { kind: [data.write], env: [prod], resource: ["%[2]s/*"] }, when: 'data.rows > 100 || context.hour < 6', then: review, approval: { from: [group:dba] } }
  - { id: r%[1]d-write-ok, match: { kind: [data.write], resource: ["%[2]s/*"] }, when: 'data.rows <= 100 && actor.trust == "high"', then: allow }
  - { id: r%[1]d-delete, match: { kind: [data.delete], resource: ["%[2]s/*"] }, when: 'data.rows > 10', then: review, approval: { from: [group:dba] } }
  - { id: r%[1]d-drop, match: { kind: [schema.change], env: [prod], verb: [drop, truncate], resource: ["%[2]s/*"] }, then: deny }
  - { id: r%[1]d-schema, match: { kind: [schema.change], resource: ["%[2]s/*"] }, then: review, approval: { from: [group:dba] } }
  - { id: r%[1]d-priv, match: { kind: [privilege.change], resource: ["%[2]s/*"] }, then: deny }
  - { id: r%[1]d-secret, match: { kind: [secret.access], resource: ["%[2]s/*"] }, when: '!("group:security" in subject.groups)', then: deny }
  - { id: r%[1]d-exec, match: { kind: [execute], resource: ["%[2]s/*"] }, when: 'resource.labels["tier"] == "gold"', then: deny }
  - { id: r%[1]d-rate, match: { kind: [data.read], env: [prod], resource: ["%[2]s/*"] }, when: 'context.rate_1h > 500 && actor.type == "agent"', then: review, approval: { from: [group:sre] } }
  - { id: r%[1]d-night, match: { kind: [deploy], env: [prod], resource: ["%[2]s/*"] }, when: 'context.hour >= 20 || context.weekday in ["sat", "sun"]', then: review, approval: { from: [group:sre] } }
  - { id: r%[1]d-deploy, match: { kind: [deploy], resource: ["%[2]s/*"] }, when: 'actor.type == "pipeline"', then: allow }
  - { id: r%[1]d-net, match: { kind: [net.fetch], resource: ["%[2]s/*"] }, when: 'data.destination.startsWith("https://internal.")', then: allow }
  - { id: r%[1]d-tables, match: { kind: [data.read], resource: ["%[2]s/*"] }, when: 'action.target.endsWith("_secret") || data.classes.exists(c, c == "us-ssn")', then: review, approval: { from: [group:privacy] } }
  - { id: r%[1]d-llm, match: { kind: [llm.call], resource: ["%[2]s/*"] }, when: 'data.bytes < 100000', then: allow }
`

// benchSet has n rules: twenty for each of n/20 resources.
func benchSet(tb testing.TB, n int) (*Set, []*Input) {
	tb.Helper()
	var b strings.Builder
	b.WriteString("apiVersion: assent/v1\nkind: PolicyPack\nmetadata: { name: bench, version: 1.0.0 }\nrules:\n")
	for i := range n / 20 {
		fmt.Fprintf(&b, twenty, i, fmt.Sprintf("postgres:team%d/prod", i))
	}
	files := map[string][]byte{}
	for i, part := range chunks(b.String()) {
		files[fmt.Sprintf("bench%d.yaml", i)] = part
	}
	s, err := LoadFiles(files, Options{})
	if err != nil {
		tb.Fatal(err)
	}
	if len(s.rules) != n {
		tb.Fatalf("%d rules, want %d", len(s.rules), n)
	}
	return s, benchInputs(n / 20)
}

// chunks splits a pack that is larger than one file may be.
func chunks(pack string) [][]byte {
	head, rules, _ := strings.Cut(pack, "rules:\n")
	lines := strings.SplitAfter(strings.TrimRight(rules, "\n"), "\n")
	var out [][]byte
	for i := 0; i < len(lines); i += 1000 {
		name := strings.Replace(head, "name: bench", fmt.Sprintf("name: bench%d", len(out)), 1)
		out = append(out, []byte(name+"rules:\n"+strings.Join(lines[i:min(i+1000, len(lines))], "")))
	}
	return out
}

func benchInputs(teams int) []*Input {
	kinds := []action.Kind{action.DataRead, action.DataExport, action.DataWrite, action.Deploy, action.SchemaChange, action.DataRead, action.NetFetch, action.LLMCall}
	var out []*Input
	for i := range 64 {
		out = append(out, &Input{
			Action: &action.Action{
				Kinds: kinds[i%len(kinds) : i%len(kinds)+1], Verb: "select", Target: "public.orders",
				Resource: action.Resource{URN: fmt.Sprintf("postgres:team%d/prod/orders", i*7%teams), Type: "postgres", Env: "prod", Labels: map[string]string{"tier": "gold"}},
				Data: action.Data{
					Rows: action.KnownCount(int64(i * 100)), Bytes: action.KnownCount(int64(i) * 40000), ClassesKnown: true,
					Classes: []string{"card", "email"}, Groups: []string{"pci", "pii"}, Destination: "https://internal.example/x", DestinationTrust: "internal",
				},
			},
			SubjectID: "sam", SubjectGroups: []string{"group:billing"}, ActorID: "agent:x", ActorType: "agent", ActorTrust: "high",
			Time: time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC), Rate1h: action.KnownCount(12),
		})
	}
	return out
}

// BenchmarkDecide decides by our closures and, over the same index and inputs
// in the same run, by cel-go's interpreter. The goal is 0.5 µs and no
// allocation at 1,000 rules.
func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{20, 1000, 10000} {
		s, inputs := benchSet(b, n)
		slow := interpreted(b, s)
		var ours float64
		b.Run(fmt.Sprintf("closures/rules=%d", n), func(b *testing.B) {
			ours = decideAll(b, s, inputs)
		})
		b.Run(fmt.Sprintf("cel-go/rules=%d", n), func(b *testing.B) {
			b.ReportMetric(decideAll(b, slow, inputs)/ours, "times-ours")
		})
	}
}

func decideAll(b *testing.B, s *Set, inputs []*Input) float64 {
	var d Decision
	for _, in := range inputs {
		s.Decide(in, &d)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Decide(inputs[i%len(inputs)], &d)
	}
	return float64(b.Elapsed().Nanoseconds()) / float64(b.N)
}

// interpreted is s with each condition evaluated by cel-go.
func interpreted(tb testing.TB, s *Set) *Set {
	tb.Helper()
	c, err := newCompiler()
	if err != nil {
		tb.Fatal(err)
	}
	out := &Set{bundle: s.bundle}
	for _, r := range s.rules {
		copied := *r
		if r.when != nil {
			copied.when = &expression{test: c.interpret(tb, r.when.source), rowLimit: r.when.rowLimit}
		}
		out.rules = append(out.rules, &copied)
	}
	out.build()
	return out
}

// interpret evaluates source by cel-go itself; an error is unknown.
func (c *compiler) interpret(tb testing.TB, source string) cond {
	tb.Helper()
	tree, problem := c.check(source)
	if problem != nil {
		tb.Fatal(problem.msg)
	}
	program, err := c.env.Program(tree, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		tb.Fatal(err)
	}
	return func(in *Input, _ string) Tri {
		v, _, err := program.Eval(&activation{vars: c.vars, in: in})
		if err != nil {
			return DontKnow
		}
		return tri(v == types.True)
	}
}

// An activation gives cel-go the facts by name; unknown ones are not there.
type activation struct {
	vars map[string]*variable
	in   *Input
}

func (a *activation) Parent() cel.Activation { return nil }

func (a *activation) ResolveName(name string) (any, bool) {
	v, ok := a.vars[name]
	if !ok {
		return nil, false
	}
	switch v.typ {
	case stringVar:
		return v.str(a.in)
	case intVar:
		return v.num(a.in)
	case boolVar:
		t := v.truth(a.in)
		return t == Yes, t != DontKnow
	case listVar:
		n, complete := v.list.size(a.in)
		out := make([]string, n)
		for i := range out {
			out[i] = v.list.at(a.in, i)
		}
		return out, complete
	case textMap:
		return a.in.Action.Resource.Labels, true
	case countMap:
		return a.in.Action.Data.Findings, a.in.Action.Data.ClassesKnown
	case timeVar:
		return a.in.Time, !a.in.Time.IsZero()
	}
	return nil, false
}

// BenchmarkLoad reads, checks and compiles 1,000 rules, most of them with a condition.
func BenchmarkLoad(b *testing.B) {
	var pack strings.Builder
	pack.WriteString(header + "rules:\n")
	for i := range 50 {
		fmt.Fprintf(&pack, twenty, i, fmt.Sprintf("postgres:team%d/prod", i))
	}
	files := map[string][]byte{"p.yaml": []byte(pack.String())}
	for b.Loop() {
		if _, err := LoadFiles(files, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
