package main

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// celGo is cel-go's interpreter with an activation that looks facts up as they are asked for.
func celGo(list []rule) (side, error) {
	text, words := []string{"resource.urn", "action.verb", "action.target", "actor.type", "actor.trust", "data.destination", "data.destination_trust", "context.weekday"}, []string{"subject.groups", "data.classes", "data.groups"}
	options := []cel.EnvOption{cel.Variable("resource.labels", cel.MapType(cel.StringType, cel.StringType))}
	for _, name := range text {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	for _, name := range words {
		options = append(options, cel.Variable(name, cel.ListType(cel.StringType)))
	}
	for _, name := range []string{"data.rows", "data.bytes", "context.hour", "context.rate_1h"} {
		options = append(options, cel.Variable(name, cel.IntType))
	}
	e, err := cel.NewEnv(options...)
	if err != nil {
		return side{}, err
	}
	programs, known := make([]cel.Program, len(list)), map[string]cel.Program{}
	for i, r := range list {
		source := condition(" && ", about("actor.type == %q", r.actor), about("action.verb in [%s]", quoted(r.verbs)), r.cel)
		if known[source] == nil {
			tree, issues := e.Compile(source)
			if issues.Err() != nil {
				return side{}, fmt.Errorf("%s: %w", source, issues.Err())
			}
			if known[source], err = e.Program(tree, cel.EvalOptions(cel.OptOptimize)); err != nil {
				return side{}, fmt.Errorf("%s: %w", source, err)
			}
		}
		programs[i] = known[source]
	}
	index, facts := newByHand(list), &activation{}
	return side{name: "cel-go", decide: func(r *request, out *outcome) error {
		facts.r = r
		out.matched = out.matched[:0]
		for _, i := range index.rules[index.spot(r)] {
			v, _, err := programs[i].Eval(facts)
			if err != nil {
				return err
			}
			if v == types.True {
				out.matched = append(out.matched, i)
			}
		}
		conclude(list, out)
		return nil
	}}, nil
}

// An activation names the facts of a request.
type activation struct{ r *request }

func (a *activation) Parent() cel.Activation { return nil }

func (a *activation) ResolveName(name string) (any, bool) {
	x := a.r.action
	switch name {
	case "resource.urn":
		return x.Resource.URN, true
	case "resource.labels":
		return x.Resource.Labels, true
	case "action.verb":
		return x.Verb, true
	case "action.target":
		return x.Target, true
	case "actor.type":
		return a.r.actorType, true
	case "actor.trust":
		return a.r.trust, true
	case "subject.groups":
		return a.r.subjectGroups, true
	case "data.rows":
		return x.Data.Rows.N, x.Data.Rows.Known
	case "data.bytes":
		return x.Data.Bytes.N, x.Data.Bytes.Known
	case "data.classes":
		return x.Data.Classes, true
	case "data.groups":
		return x.Data.Groups, true
	case "data.destination":
		return x.Data.Destination, true
	case "data.destination_trust":
		return x.Data.DestinationTrust, true
	case "context.hour":
		return int64(a.r.at.Hour()), true
	case "context.weekday":
		return weekday(a.r.at), true
	case "context.rate_1h":
		return a.r.rate, true
	}
	return nil, false
}

// facts is what expr reads.
type facts struct {
	Verb               string            `expr:"verb"`
	Target             string            `expr:"target"`
	Actor              string            `expr:"actor"`
	Trust              string            `expr:"trust"`
	Labels             map[string]string `expr:"labels"`
	SubjectGroups      []string          `expr:"subject_groups"`
	Rows               int64             `expr:"rows"`
	Bytes              int64             `expr:"bytes"`
	Classes            []string          `expr:"classes"`
	Groups             []string          `expr:"groups"`
	Destination        string            `expr:"destination"`
	TrustOfDestination string            `expr:"trust_of_destination"`
	Hour               int               `expr:"hour"`
	Weekday            string            `expr:"weekday"`
	Rate               int64             `expr:"rate"`
}

// exprLang is expr's virtual machine, one for all decisions.
func exprLang(list []rule) (side, error) {
	programs, known := make([]*vm.Program, len(list)), map[string]*vm.Program{}
	for i, r := range list {
		source := condition(" && ", about("actor == %q", r.actor), about("verb in [%s]", quoted(r.verbs)), r.expr)
		if known[source] == nil {
			p, err := expr.Compile(source, expr.Env(&facts{}), expr.AsBool())
			if err != nil {
				return side{}, fmt.Errorf("%s: %w", source, err)
			}
			known[source] = p
		}
		programs[i] = known[source]
	}
	index, env, machine := newByHand(list), &facts{}, &vm.VM{}
	return side{name: "expr", decide: func(r *request, out *outcome) error {
		a := r.action
		*env = facts{
			Verb: a.Verb, Target: a.Target, Actor: r.actorType, Trust: r.trust, Labels: a.Resource.Labels, SubjectGroups: r.subjectGroups,
			Rows: a.Data.Rows.N, Bytes: a.Data.Bytes.N, Classes: a.Data.Classes, Groups: a.Data.Groups,
			Destination: a.Data.Destination, TrustOfDestination: a.Data.DestinationTrust,
			Hour: r.at.Hour(), Weekday: weekday(r.at), Rate: r.rate,
		}
		out.matched = out.matched[:0]
		for _, i := range index.rules[index.spot(r)] {
			v, err := machine.Run(programs[i], env)
			if err != nil {
				return err
			}
			if v == true {
				out.matched = append(out.matched, i)
			}
		}
		conclude(list, out)
		return nil
	}}, nil
}
