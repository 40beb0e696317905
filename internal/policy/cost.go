package policy

import (
	"regexp/syntax"

	"cel.dev/cel-go/common/ast"
)

// What one condition may cost: steps that it takes at most, where a list of the
// action is taken to be listLength long and a pattern to take a step for each of its
// instructions. It bounds what one rule adds to every decision that asks it.
const (
	maxCost    = 20_000
	listLength = 100
)

// cost is what e may cost. It grows with the text alone, so that it is known at load.
func cost(e ast.Expr) int {
	n := 1
	switch e.Kind() {
	case ast.SelectKind:
		n += cost(e.AsSelect().Operand())
	case ast.ListKind:
		for _, x := range e.AsList().Elements() {
			n += cost(x)
		}
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			n += cost(call.Target())
		}
		for _, x := range call.Args() {
			n += cost(x)
		}
		switch call.FunctionName() {
		case "matches":
			n += instructions(call)
		case "@in":
			if r := call.Args()[1]; r.Kind() != ast.ListKind {
				n += listLength
			}
		}
	case ast.ComprehensionKind:
		loop, times := e.AsComprehension(), listLength
		if loop.IterRange().Kind() == ast.ListKind {
			times = len(loop.IterRange().AsList().Elements())
		}
		n += cost(loop.IterRange()) + times*cost(loop.LoopStep())
	}
	return n
}

// instructions is the length of a pattern's program. A bad pattern is told of elsewhere.
func instructions(call ast.CallExpr) int {
	args := call.Args()
	if len(args) == 0 || args[len(args)-1].Kind() != ast.LiteralKind {
		return 0
	}
	pattern, ok := args[len(args)-1].AsLiteral().Value().(string)
	if !ok {
		return 0
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0
	}
	return len(prog.Inst)
}
