package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// cedarGo has one policy set for each spot, in which every rule is a permit: its diagnostics
// then name each rule that matched, and the verdict is concluded from them.
func cedarGo(list []rule) (side, error) {
	policies := make([]*cedar.Policy, len(list))
	for i, r := range list {
		var p cedar.Policy
		source := condition(" && ", about("context.actor == %q", r.actor), about("[%s].contains(context.verb)", quoted(r.verbs)), r.cedar)
		if err := p.UnmarshalCedar([]byte("permit (principal, action, resource) when { " + source + " };")); err != nil {
			return side{}, fmt.Errorf("%s: %w", source, err)
		}
		policies[i] = &p
	}
	index, sets := newByHand(list), map[spot]*cedar.PolicySet{}
	for at, rules := range index.rules {
		sets[at] = cedar.NewPolicySet()
		for _, i := range rules {
			sets[at].Add(cedar.PolicyID(strconv.Itoa(int(i))), policies[i])
		}
	}
	return side{name: "cedar-go", decide: func(r *request, out *outcome) error {
		out.matched = out.matched[:0]
		if set := sets[index.spot(r)]; set != nil {
			_, why := cedar.Authorize(set, nil, cedarRequest(r))
			if len(why.Errors) > 0 {
				return fmt.Errorf("%v", why.Errors)
			}
			for _, x := range why.Reasons {
				i, err := strconv.ParseInt(string(x.PolicyID), 10, 32)
				if err != nil {
					return err
				}
				out.matched = append(out.matched, int32(i))
			}
		}
		conclude(list, out)
		return nil
	}}, nil
}

func cedarRequest(r *request) cedar.Request {
	set := func(words []string) types.Value {
		out := make([]types.Value, len(words))
		for i, w := range words {
			out[i] = types.String(w)
		}
		return types.NewSet(out...)
	}
	a := r.action
	labels := make(types.RecordMap, len(a.Resource.Labels))
	for k, v := range a.Resource.Labels {
		labels[types.String(k)] = types.String(v)
	}
	return cedar.Request{
		Principal: types.NewEntityUID("Actor", types.String(r.actor)),
		Action:    types.NewEntityUID("Action", types.String(a.Kinds[0])),
		Resource:  types.NewEntityUID("Resource", types.String(a.Resource.URN)),
		Context: types.NewRecord(types.RecordMap{
			"verb": types.String(a.Verb), "target": types.String(a.Target), "actor": types.String(r.actorType), "trust": types.String(r.trust),
			"labels": types.NewRecord(labels), "subject_groups": set(r.subjectGroups),
			"rows": types.Long(a.Data.Rows.N), "bytes": types.Long(a.Data.Bytes.N), "classes": set(a.Data.Classes), "groups": set(a.Data.Groups),
			"destination": types.String(a.Data.Destination), "destination_trust": types.String(a.Data.DestinationTrust),
			"hour": types.Long(r.at.Hour()), "weekday": types.String(weekday(r.at)), "rate": types.Long(r.rate),
		}),
	}
}

// opa is one prepared query. Kind, environment and place are equalities, which OPA indexes.
func opa(list []rule) (side, error) {
	var module strings.Builder
	module.WriteString("package bench\n")
	for i, r := range list {
		for _, kind := range r.kinds {
			for _, when := range strings.Split(r.rego, " || ") {
				lines := []string{fmt.Sprintf("input.kind == %q", kind)}
				for _, line := range []string{about("input.env == %q", r.env), about("input.place == %q", r.place), about("input.actor == %q", r.actor), about("input.verb in {%s}", quoted(r.verbs)), when} {
					if line != "" {
						lines = append(lines, strings.ReplaceAll(line, "; ", "\n\t"))
					}
				}
				fmt.Fprintf(&module, "\nmatched contains \"%d\" if {\n\t%s\n}\n", i, strings.Join(lines, "\n\t"))
			}
		}
	}
	ctx := context.Background()
	query, err := rego.New(rego.Query("data.bench.matched"), rego.Module("bench.rego", module.String())).PrepareForEval(ctx)
	if err != nil {
		return side{}, err
	}
	return side{name: "OPA", decide: func(r *request, out *outcome) error {
		out.matched = out.matched[:0]
		results, err := query.Eval(ctx, rego.EvalParsedInput(opaInput(r)))
		if err != nil {
			return err
		}
		for _, id := range results[0].Expressions[0].Value.([]any) {
			i, err := strconv.ParseInt(id.(string), 10, 32)
			if err != nil {
				return err
			}
			out.matched = append(out.matched, int32(i))
		}
		conclude(list, out)
		return nil
	}}, nil
}

func opaInput(r *request) ast.Value {
	a := r.action
	text := func(key, s string) [2]*ast.Term { return ast.Item(ast.InternedTerm(key), ast.StringTerm(s)) }
	number := func(key string, n int64) [2]*ast.Term {
		return ast.Item(ast.InternedTerm(key), ast.IntNumberTerm(int(n)))
	}
	list := func(key string, words []string) [2]*ast.Term {
		terms := make([]*ast.Term, len(words))
		for i, w := range words {
			terms[i] = ast.StringTerm(w)
		}
		return ast.Item(ast.InternedTerm(key), ast.ArrayTerm(terms...))
	}
	labels := make([][2]*ast.Term, 0, len(a.Resource.Labels))
	for k, v := range a.Resource.Labels {
		labels = append(labels, text(k, v))
	}
	return ast.NewObject(
		text("kind", string(a.Kinds[0])), text("env", a.Resource.Env), text("place", a.Resource.URN[:strings.LastIndexByte(a.Resource.URN, '/')+1]),
		text("verb", a.Verb), text("target", a.Target), text("actor", r.actorType), text("trust", r.trust),
		ast.Item(ast.InternedTerm("labels"), ast.NewTerm(ast.NewObject(labels...))), list("subject_groups", r.subjectGroups),
		number("rows", a.Data.Rows.N), number("bytes", a.Data.Bytes.N), list("classes", a.Data.Classes), list("groups", a.Data.Groups),
		text("destination", a.Data.Destination), text("destination_trust", a.Data.DestinationTrust),
		number("hour", int64(r.at.Hour())), text("weekday", weekday(r.at)), number("rate", r.rate),
	)
}
