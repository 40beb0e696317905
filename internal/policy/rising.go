package policy

import "cel.dev/cel-go/common/ast"

// rising refuses e where it reads a variable that may raise a verdict, and could lower
// one with it: in a permitting rule, negated, or other than as itself or as a number that
// must be large. So the more such a variable says, the stricter is what follows.
func (b *build) rising(e ast.Expr) {
	var at ast.Expr
	var v *variable
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		if found := b.variable(x); found != nil && found.raises && v == nil {
			at, v = x, found
		}
	}))
	if v == nil {
		return
	}
	if b.permitting {
		b.fail(at, "let a review or a deny read it", "'%s' may raise a verdict, never lower one: it can't permit anything", v.name)
	}
	remedy := "write " + v.name + " by itself, without ! before it"
	if v.typ == intVar {
		remedy = "write " + v.name + " >= 60, or any other number"
	}
	if b.negated || b.iter != "" || !b.grows(e, v) {
		b.fail(at, remedy, "'%s' may raise a verdict, never lower one: here a graver action could pass more easily", v.name)
	}
}

// grows says that e is v itself, or that v is at least a number, or more than one.
func (b *build) grows(e ast.Expr, v *variable) bool {
	if b.variable(e) == v {
		return v.typ == boolVar
	}
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return false
	}
	large, small := e.AsCall().Args()[0], e.AsCall().Args()[1]
	switch e.AsCall().FunctionName() {
	case "_>=_", "_>_":
	case "_<=_", "_<_":
		large, small = small, large
	default:
		return false
	}
	return b.variable(large) == v && small.Kind() == ast.LiteralKind
}
