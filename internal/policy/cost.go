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

// maxPatterns is how many instructions the patterns of all packs may have together: each
// takes about 40 bytes for as long as the packs are in force.
const maxPatterns = 1_000_000

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

// patterns is how many instructions the patterns in e have.
func patterns(e ast.Expr) (n int) {
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.CallKind && x.AsCall().FunctionName() == "matches" {
			n += instructions(x.AsCall())
		}
	}))
	return n
}

// instructions is how long a pattern's program is at most. It is told from the pattern's
// tree, because the program of a short one may be large. A bad pattern is told of elsewhere.
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
	return 2 + length(re) + ranges(re)
}

// length is how many instructions re makes at most. syntax.Parse has seen to it that the
// product of what is repeated stays small enough for an int.
func length(re *syntax.Regexp) (n int) {
	for _, sub := range re.Sub {
		n += length(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		return max(1, len(re.Rune))
	case syntax.OpCharClass:
		return 1
	case syntax.OpCapture:
		return n + 2
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		return n + 1
	case syntax.OpConcat:
		return max(1, n)
	case syntax.OpAlternate:
		return n + len(re.Sub) - 1
	case syntax.OpRepeat:
		if re.Max < 0 {
			return n*max(1, re.Min) + 1
		}
		return max(1, n*re.Min+(n+1)*(re.Max-re.Min))
	}
	return max(1, n)
}

// ranges is what the ranges of classes add, which take memory and are shared by what is repeated.
func ranges(re *syntax.Regexp) (n int) {
	for _, sub := range re.Sub {
		n += ranges(sub)
	}
	if re.Op == syntax.OpCharClass {
		n += len(re.Rune) / 8
	}
	return n
}
