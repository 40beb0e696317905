package policy

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/parser"
)

// Limits of one condition, in characters and nesting.
const (
	maxConditionSize  = 4096
	maxConditionDepth = 50
)

// A compiler parses and checks conditions with cel-go and turns the checked
// tree into closures. It lives as long as one load.
type compiler struct {
	env     *cel.Env
	vars    map[string]*variable
	names   []string            // of variables that conditions may read
	checked map[string]*cel.Ast // checking takes about a millisecond: share equal sources
	shared  map[sharedKey]*expression

	broad      map[string]broadness // by condition
	broadTried int

	patterns int // instructions of the patterns in all conditions, each counted once
}

// A sharedKey names a condition whose meaning hangs on its text alone.
type sharedKey struct {
	source     string
	permitting bool
}

func newCompiler() (*compiler, error) {
	c := &compiler{vars: map[string]*variable{}, checked: map[string]*cel.Ast{}, shared: map[sharedKey]*expression{}, broad: map[string]broadness{}}
	opts := []cel.EnvOption{
		cel.ParserRecursionLimit(maxConditionDepth),
		cel.ParserExpressionSizeLimit(maxConditionSize),
		cel.EnableMacroCallTracking(),
		cel.Function("in_calendar", cel.Overload("in_calendar_string", []*cel.Type{cel.StringType}, cel.BoolType)),
	}
	table := variables()
	for i := range table {
		v := &table[i]
		c.vars[v.name] = v
		if v.reason {
			continue
		}
		c.names = append(c.names, v.name)
		opts = append(opts, cel.Variable(v.name, celType(v.typ)))
	}
	var err error
	if c.env, err = cel.NewEnv(opts...); err != nil {
		return nil, fmt.Errorf("declaring the variables: %w", err)
	}
	return c, nil
}

func celType(t varType) *cel.Type {
	switch t {
	case intVar:
		return cel.IntType
	case boolVar:
		return cel.BoolType
	case listVar:
		return cel.ListType(cel.StringType)
	case textMap:
		return cel.MapType(cel.StringType, cel.StringType)
	case countMap:
		return cel.MapType(cel.StringType, cel.IntType)
	case timeVar:
		return cel.TimestampType
	}
	return cel.StringType
}

// A celError is a mistake at a place inside a condition.
type celError struct {
	line, column int // line from 1, column from 0, as cel-go counts
	msg, remedy  string
}

// check parses and type-checks source. Names are looked up first, because
// cel-go's own message names only the first part of a dotted variable.
func (c *compiler) check(source string) (*cel.Ast, *celError) {
	if known, ok := c.checked[source]; ok {
		return known, nil
	}
	parsed, issues := c.env.Parse(source)
	if issues.Err() != nil {
		return nil, firstIssue(issues)
	}
	rep := parsed.NativeRep()
	if e := c.unknownName(rep, rep.Expr(), nil); e != nil {
		return nil, e
	}
	checked, issues := c.env.Check(parsed)
	if issues.Err() != nil {
		return nil, firstIssue(issues)
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) {
		return nil, &celError{line: 1, msg: fmt.Sprintf("a condition must be true or false, this is %s", t), remedy: "compare it with something"}
	}
	c.checked[source] = checked
	return checked, nil
}

func firstIssue(issues *cel.Issues) *celError {
	all := issues.Errors()
	if len(all) == 0 {
		return &celError{line: 1, msg: issues.Err().Error()}
	}
	msg, _, _ := strings.Cut(all[0].Message, " expecting {") // the parser's list of tokens helps nobody
	out := &celError{line: all[0].Location.Line(), column: all[0].Location.Column(), msg: msg}
	for _, h := range hints() {
		if strings.Contains(msg, h.in) {
			out.remedy = h.remedy
			break
		}
	}
	return out
}

// A hint is what to try where the parser's or checker's message has some words in it.
type hint struct{ in, remedy string }

// hints are tried in order.
func hints() []hint {
	const parts = "make a rule of each part, or say under `match` what can be said there"
	return []hint{
		{"invalid int literal", "whole numbers go from -9223372036854775808 to 9223372036854775807"},
		{"exceeds limit: size", parts},
		{"recursion limit exceeded", parts},
		{"recognition error at: '= ", "equality is written =="},
		{"input 'and'", "and is written &&"},
		{"input 'or'", "or is written ||"},
		{"mismatched input", "not is written !, and is &&, or is ||; text stands in quotes"},
		{"extraneous input", "a number is digits alone: 10000, not 10_000 or 10k; text stands in quotes"},
		{"double", "numbers are whole here: 2, not 1.5"},
		{"'contains' applied to 'list", "ask a list with `in`: \"pii\" in data.groups"},
		{"no matching overload", "both sides must be of one type, which the policy reference names for each variable"},
	}
}

// dotted is the name that a chain of selections spells: "data.rows".
func dotted(e ast.Expr) (name string, root ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind:
		return e.AsIdent(), e
	case ast.SelectKind:
		if e.AsSelect().IsTestOnly() {
			return "", nil
		}
		if name, root = dotted(e.AsSelect().Operand()); name != "" {
			return name + "." + e.AsSelect().FieldName(), root
		}
	}
	return "", nil
}

// unknownName finds the first name in e that is no variable. bound are the
// names that exists() and all() introduce.
func (c *compiler) unknownName(a *ast.AST, e ast.Expr, bound []string) *celError {
	if name, root := dotted(e); name != "" {
		return c.lookUp(a, name, root, bound)
	}
	switch e.Kind() {
	case ast.SelectKind:
		return c.unknownName(a, e.AsSelect().Operand(), bound)
	case ast.ListKind:
		return c.unknownAmong(a, e.AsList().Elements(), bound)
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			if err := c.unknownName(a, call.Target(), bound); err != nil {
				return err
			}
		}
		return c.unknownAmong(a, call.Args(), bound)
	case ast.ComprehensionKind:
		loop := e.AsComprehension()
		if err := c.unknownName(a, loop.IterRange(), bound); err != nil {
			return err
		}
		bound = append(bound[:len(bound):len(bound)], loop.IterVar(), loop.IterVar2(), loop.AccuVar())
		return c.unknownAmong(a, []ast.Expr{loop.LoopCondition(), loop.LoopStep(), loop.Result()}, bound)
	}
	return nil
}

func (c *compiler) unknownAmong(a *ast.AST, list []ast.Expr, bound []string) *celError {
	for _, e := range list {
		if err := c.unknownName(a, e, bound); err != nil {
			return err
		}
	}
	return nil
}

func (c *compiler) lookUp(a *ast.AST, name string, root ast.Expr, bound []string) *celError {
	first, _, _ := strings.Cut(name, ".")
	if contains(bound, first) || contains(bound, name) {
		return nil
	}
	for known := name; known != ""; {
		if v, ok := c.vars[known]; ok && !v.reason && (known == name || v.typ == textMap || v.typ == countMap) {
			return nil
		}
		cut := strings.LastIndexByte(known, '.')
		if cut < 0 {
			break
		}
		known = known[:cut]
	}
	msg, remedy := fmt.Sprintf("there is no variable '%s'", name), didYouMean(name, c.names)
	if v, ok := c.vars[name]; ok && v.reason {
		msg, remedy = fmt.Sprintf("'%s' may stand in a reason only", name), ""
	}
	at := a.SourceInfo().GetStartLocation(root.ID())
	return &celError{line: at.Line(), column: at.Column(), msg: msg, remedy: remedy}
}

// source is e as text, for the atoms of a decision.
func source(a *ast.AST, e ast.Expr) string {
	s, err := parser.Unparse(e, a.SourceInfo())
	if err != nil {
		return "(condition)"
	}
	return s
}
