package policy

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/parser"
)

// A cond is a condition as closures. The string is the element that exists()
// or all() stands at.
type cond func(in *Input, each string) Tri

// An expression is a compiled condition.
type expression struct {
	source string
	test   cond
	atoms  []atom
	spelt  string // the source in one spelling
	blind  Tri    // what it says when nothing is known
	cost   int
	// calendars are those it asks for, by name: where there are any, it means something in its pack alone.
	calendars map[string]*calendar
	// rowLimit is the row bound of a permitting condition, -1 when it has none.
	rowLimit int64
	reads    []*variable
}

// An atom is one comparison of a condition, kept to explain a decision.
type atom struct {
	id    int64 // of its expression
	line  int   // in the condition, from 1
	text  string
	parts []part // text with variables to fill in
	test  cond
	bound bool // a row bound that is enforced when the rows are unknown
}

// A value is a compiled part of a condition: exactly one of the functions is
// set, that of its type. Constants keep their value besides.
type value struct {
	truth cond
	str   func(in *Input, each string) (string, bool)
	num   func(in *Input, each string) (int64, bool)
	list  *listGetter
	texts func(*Input, string) string
	count func(*Input, string) (int64, bool)

	text   *string
	number *int64
	words  []string // of a constant list of strings
	from   *variable
	hidden bool // texts are unknown
}

// A build compiles one condition.
type build struct {
	*compiler
	tree       *ast.AST
	permitting bool
	calendars  map[string]*calendar
	twist      *twist // nil: none
	iter       string // name of the element in exists() or all()
	negated    bool   // under an odd number of !
	out        *expression
}

// failure carries a celError out of the recursion of one build; compileCondition returns it.
type failure struct{ err *celError }

func (b *build) fail(e ast.Expr, remedy, format string, args ...any) {
	at := b.tree.SourceInfo().GetStartLocation(e.ID())
	column := at.Column()
	if v := b.variable(e); v != nil { // cel-go's place of a dotted name is its last dot
		column -= max(0, strings.LastIndexByte(v.name, '.'))
	}
	panic(failure{&celError{line: at.Line(), column: max(0, column), msg: fmt.Sprintf(format, args...), remedy: remedy}})
}

// compileCondition compiles source. In a permitting rule a claimed variable is
// an error, and a row bound among the conditions that all must hold becomes a limit.
func (c *compiler) compileCondition(source string, permitting bool, calendars map[string]*calendar) (x *expression, err *celError) {
	key := sharedKey{source, permitting}
	if x := c.shared[key]; x != nil {
		return x, nil
	}
	if x, err = c.compileTwisted(source, permitting, calendars, nil); err == nil {
		x.blind = c.blind(source, calendars)
	}
	if err == nil && len(x.calendars) == 0 { // a calendar is its pack's own
		c.shared[key] = x
	}
	return x, err
}

// compileTwisted compiles source with one change; nil: as it stands.
func (c *compiler) compileTwisted(source string, permitting bool, calendars map[string]*calendar, t *twist) (x *expression, err *celError) {
	checked, err := c.check(source)
	if err != nil {
		return nil, err
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			x, err = nil, r.err
		default:
			panic(r)
		}
	}()
	b := &build{compiler: c, tree: checked.NativeRep(), permitting: permitting, calendars: calendars, twist: t, out: &expression{source: source, rowLimit: -1}}
	b.out.cost, b.out.spelt = cost(b.tree.Expr()), source
	if s, err := parser.Unparse(b.tree.Expr(), b.tree.SourceInfo()); err == nil {
		b.out.spelt = s
	}
	b.out.test = b.condition(b.tree.Expr(), permitting)
	return b.out, nil
}

// condition compiles a truth value. must says that the whole condition can
// only hold if e does, and that the rule permits.
func (b *build) condition(e ast.Expr, must bool) cond {
	if e.Kind() == ast.CallKind {
		args := e.AsCall().Args()
		switch e.AsCall().FunctionName() {
		case "_&&_":
			return and(b.condition(args[0], must), b.condition(args[1], must))
		case "_||_":
			return or(b.condition(args[0], false), b.condition(args[1], false))
		case "!_":
			b.negated = !b.negated
			inner := b.condition(args[0], false)
			b.negated = !b.negated
			return not(inner)
		}
	}
	return b.leaf(e, must)
}

func and(l, r cond) cond {
	return func(in *Input, each string) Tri {
		x := l(in, each)
		if x == No {
			return No
		}
		if y := r(in, each); y != Yes {
			return y
		}
		return x
	}
}

func or(l, r cond) cond {
	return func(in *Input, each string) Tri {
		x := l(in, each)
		if x == Yes {
			return Yes
		}
		if y := r(in, each); y != No {
			return y
		}
		return x
	}
}

func not(f cond) cond {
	return func(in *Input, each string) Tri { return f(in, each).not() }
}

func (b *build) leaf(e ast.Expr, must bool) cond {
	b.rising(e)
	test, bound := b.truth(e), false
	if b.twist != nil && b.twist.by == 0 && b.twist.id == e.ID() {
		test = not(test)
	} else if limit, ok := b.rowBound(e); ok && must && (b.twist == nil || !b.twist.blind) {
		if b.out.rowLimit < 0 || limit < b.out.rowLimit {
			b.out.rowLimit = limit
		}
		test, bound = within(limit), true
	}
	if b.iter == "" {
		text := source(b.tree, e)
		b.out.atoms = append(b.out.atoms, atom{id: e.ID(), line: b.tree.SourceInfo().GetStartLocation(e.ID()).Line(), text: text, parts: b.parts(text), test: test, bound: bound})
	}
	return test
}

// within holds for unknown rows, because the decision's RowLimit then ends the
// stream at the first row past the bound.
func within(limit int64) cond {
	return func(in *Input, _ string) Tri {
		rows := in.Action.Data.Rows
		return tri(!rows.Known || rows.N <= limit)
	}
}

// rowBound recognises data.rows <= N, data.rows < N, N >= data.rows and N > data.rows.
func (b *build) rowBound(e ast.Expr) (int64, bool) {
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return 0, false
	}
	rows, limit, op := e.AsCall().Args()[0], e.AsCall().Args()[1], e.AsCall().FunctionName()
	if op == "_>=_" || op == "_>_" {
		rows, limit = limit, rows
		op = strings.Replace(op, ">", "<", 1)
	}
	if op != "_<=_" && op != "_<_" || b.variable(rows) != b.vars["data.rows"] {
		return 0, false
	}
	n := b.value(limit).number
	if n == nil {
		return 0, false
	}
	if op == "_<_" {
		return max(*n-1, 0), *n > 0
	}
	return *n, *n >= 0
}

// variable is the variable e stands for, or nil.
func (b *build) variable(e ast.Expr) *variable {
	ref, ok := b.tree.ReferenceMap()[e.ID()]
	if !ok || ref.Name == "" || ref.Name == b.iter {
		return nil
	}
	return b.vars[ref.Name]
}

func (b *build) truth(e ast.Expr) cond {
	v := b.value(e)
	if v.truth == nil {
		b.fail(e, "", "this is not true or false")
	}
	return v.truth
}

func (b *build) value(e ast.Expr) *value {
	if v := b.variable(e); v != nil {
		return b.read(e, v)
	}
	switch e.Kind() {
	case ast.LiteralKind:
		return b.literal(e)
	case ast.IdentKind:
		if b.iter != "" && e.AsIdent() == b.iter {
			return &value{str: func(_ *Input, each string) (string, bool) { return each, true }}
		}
	case ast.ListKind:
		return b.words(e)
	case ast.SelectKind:
		return b.selected(e)
	case ast.ComprehensionKind:
		return b.loop(e)
	case ast.CallKind:
		return b.call(e)
	}
	b.fail(e, "the policy reference lists what conditions understand", "conditions don't understand this")
	return nil
}

func (b *build) read(e ast.Expr, v *variable) *value {
	if b.permitting && v.vouch == claimed {
		b.fail(e, "let a deny rule's `unless`, or a person, take the asker's word", "'%s' is only what the asker claims: it can't permit anything", v.name)
	}
	if !slices.Contains(b.out.reads, v) {
		b.out.reads = append(b.out.reads, v)
	}
	if b.twist != nil && b.twist.blind {
		return unknownOf(v)
	}
	out := &value{from: v, list: v.list, texts: v.texts, count: v.count}
	if v.str != nil {
		out.str = func(in *Input, _ string) (string, bool) { return v.str(in) }
	}
	if v.num != nil {
		out.num = func(in *Input, _ string) (int64, bool) { return v.num(in) }
	}
	if v.truth != nil {
		out.truth = func(in *Input, _ string) Tri { return v.truth(in) }
	}
	return out
}

func constant(s string) *value {
	return &value{text: &s, str: func(*Input, string) (string, bool) { return s, true }}
}

func integer(n int64) *value {
	return &value{number: &n, num: func(*Input, string) (int64, bool) { return n, true }}
}

func (b *build) literal(e ast.Expr) *value {
	switch v := e.AsLiteral().(type) {
	case types.String:
		return constant(string(v))
	case types.Int:
		if b.twist != nil && b.twist.by != 0 && b.twist.id == e.ID() {
			return integer(int64(v) + b.twist.by)
		}
		return integer(int64(v))
	case types.Bool:
		t := tri(bool(v))
		return &value{truth: func(*Input, string) Tri { return t }}
	}
	b.fail(e, "use text, whole numbers, true or false", "conditions don't understand this value")
	return nil
}

func (b *build) words(e ast.Expr) *value {
	var words []string
	for _, x := range e.AsList().Elements() {
		v := b.value(x)
		if v.text == nil {
			b.fail(x, "", "a list may hold quoted text only")
		}
		words = append(words, *v.text)
	}
	return &value{words: words, list: &listGetter{
		size: func(*Input) (int, bool) { return len(words), true },
		at:   func(_ *Input, i int) string { return words[i] },
	}}
}

// selected is resource.labels.team, or has(resource.labels.team).
func (b *build) selected(e ast.Expr) *value {
	sel := e.AsSelect()
	m := b.value(sel.Operand())
	if sel.IsTestOnly() {
		return &value{truth: b.has(e, m, constant(sel.FieldName()))}
	}
	return b.at(e, m, constant(sel.FieldName()))
}

// at is one entry of a map.
func (b *build) at(e ast.Expr, m, key *value) *value {
	k := key.str
	switch {
	case k == nil:
	case m.texts != nil:
		return &value{str: func(in *Input, each string) (string, bool) {
			s, ok := k(in, each)
			return m.texts(in, s), ok && !m.hidden
		}}
	case m.count != nil:
		b.oneOf(e, key, m.from.enum)
		return &value{num: func(in *Input, each string) (int64, bool) {
			s, ok := k(in, each)
			n, known := m.count(in, s)
			return n, ok && known
		}}
	}
	b.fail(e, `write resource.labels["name"]`, "only a map has entries")
	return nil
}

// has is whether a map has an entry: a label that isn't empty, a count above zero.
func (b *build) has(e ast.Expr, m, key *value) cond {
	entry := b.at(e, m, key)
	return func(in *Input, each string) Tri {
		if entry.str != nil {
			s, ok := entry.str(in, each)
			return decided(s != "", ok)
		}
		n, ok := entry.num(in, each)
		return decided(n > 0, ok)
	}
}

func (t Tri) not() Tri { return [...]Tri{DontKnow, Yes, No}[t] }

func decided(holds, known bool) Tri {
	if !known {
		return DontKnow
	}
	return tri(holds)
}

// loop is list.exists(x, …) or list.all(x, …).
func (b *build) loop(e ast.Expr) *value {
	c := e.AsComprehension()
	step := c.LoopStep()
	over := b.value(c.IterRange()).list
	if over == nil || b.iter != "" || c.HasIterVar2() || step.Kind() != ast.CallKind || len(step.AsCall().Args()) != 2 {
		b.fail(e, "use exists(x, …) or all(x, …) on a list, not inside one another", "conditions don't understand this loop")
	}
	stop := Yes
	switch step.AsCall().FunctionName() {
	case "_||_":
	case "_&&_":
		stop = No
	default:
		b.fail(e, "use exists(x, …) or all(x, …)", "conditions don't understand this loop")
	}
	b.iter = c.IterVar()
	each := b.condition(step.AsCall().Args()[1], false)
	b.iter = ""
	return &value{truth: func(in *Input, _ string) Tri {
		n, complete := over.size(in)
		end := stop.not()
		if !complete {
			end = DontKnow
		}
		for i := range n {
			switch each(in, over.at(in, i)) {
			case stop:
				return stop
			case DontKnow:
				end = DontKnow
			}
		}
		return end
	}}
}

func (b *build) call(e ast.Expr) *value {
	call := e.AsCall()
	name := call.FunctionName()
	switch name {
	case "_&&_", "_||_", "!_":
		return &value{truth: b.condition(e, false)}
	case "in_calendar":
		return b.inCalendar(e)
	case "timestamp":
		return b.timestamp(e)
	}
	var args []*value
	if call.IsMemberFunction() {
		args = append(args, b.value(call.Target()))
	}
	for _, x := range call.Args() {
		args = append(args, b.value(x))
	}
	switch name {
	case "_==_", "_!=_":
		return &value{truth: b.equal(e, args[0], args[1], name == "_==_")}
	case "_<_", "_<=_", "_>_", "_>=_":
		return &value{truth: b.compare(e, name, args[0], args[1])}
	case "@in":
		return &value{truth: b.in(e, args[0], args[1])}
	case "_[_]":
		return b.at(e, args[0], args[1])
	case "_?_:_":
		return b.choose(e, args)
	case "_+_", "_-_", "_*_", "_/_", "_%_", "-_":
		return b.arithmetic(e, name, args)
	case "startsWith", "endsWith", "contains":
		return &value{truth: b.substring(e, name, args)}
	case "matches":
		return &value{truth: b.matches(e, args)}
	case "size":
		return b.size(e, args[0])
	}
	b.fail(e, "the policy reference lists what conditions understand", "conditions don't understand %s", strings.Trim(name, "_@"))
	return nil
}

func (b *build) inCalendar(e ast.Expr) *value {
	name := b.value(e.AsCall().Args()[0]).text
	if name == nil {
		b.fail(e, "", "in_calendar takes a quoted name")
	}
	c, ok := b.calendars[*name]
	if !ok {
		known := make([]string, 0, len(b.calendars))
		for n := range b.calendars {
			known = append(known, n)
		}
		slices.Sort(known)
		remedy := didYouMean(*name, known)
		if remedy == "" {
			remedy = "name it under `calendars` of this pack"
		}
		b.fail(e.AsCall().Args()[0], remedy, "there is no calendar '%s' in this pack", *name)
	}
	if b.out.calendars == nil {
		b.out.calendars = map[string]*calendar{}
	}
	b.out.calendars[*name] = c
	if b.twist != nil && b.twist.blind {
		return &value{truth: func(*Input, string) Tri { return DontKnow }}
	}
	return &value{truth: func(in *Input, _ string) Tri { return c.open(in.Time) }}
}

// Times are compared as nanoseconds since 1970, which go no further.
const firstYear, lastYear = 1677, 2262

func (b *build) timestamp(e ast.Expr) *value {
	s := b.value(e.AsCall().Args()[0]).text
	if s == nil {
		b.fail(e, "", "timestamp takes quoted text")
	}
	t, err := time.Parse(time.RFC3339, *s)
	if err != nil {
		b.fail(e, `write it as "2026-11-24T20:00:00+01:00" (RFC 3339)`, "'%s' is no time", *s)
	}
	if year := t.UTC().Year(); year <= firstYear || year >= lastYear {
		b.fail(e, fmt.Sprintf("name a year between %d and %d", firstYear, lastYear), "'%s' is too far away to be compared", *s)
	}
	return integer(t.UnixNano())
}

// oneOf refuses a constant that the other side can never be.
func (b *build) oneOf(e ast.Expr, constant *value, known []string) {
	if constant.text != nil && len(known) > 0 && *constant.text != "" && !slices.Contains(known, *constant.text) {
		b.fail(e, didYouMean(*constant.text, known), "'%s' is never the value here", *constant.text)
	}
}

func (b *build) enums(e ast.Expr, l, r *value) {
	if l.from != nil {
		b.oneOf(e, r, l.from.enum)
	}
	if r.from != nil {
		b.oneOf(e, l, r.from.enum)
	}
}

func (b *build) equal(e ast.Expr, l, r *value, want bool) cond {
	switch {
	case l.str != nil && r.str != nil:
		b.enums(e, l, r)
		return func(in *Input, each string) Tri {
			x, ok := l.str(in, each)
			y, ok2 := r.str(in, each)
			return decided((x == y) == want, ok && ok2)
		}
	case l.num != nil && r.num != nil:
		return func(in *Input, each string) Tri {
			x, ok := l.num(in, each)
			y, ok2 := r.num(in, each)
			return decided((x == y) == want, ok && ok2)
		}
	case l.truth != nil && r.truth != nil:
		return func(in *Input, each string) Tri {
			x, y := l.truth(in, each), r.truth(in, each)
			return decided((x == y) == want, x != DontKnow && y != DontKnow)
		}
	}
	b.fail(e, "compare text, numbers, times or truth values; ask a list with `in`", "these can't be compared")
	return nil
}

func (b *build) compare(e ast.Expr, op string, l, r *value) cond {
	if l.num == nil || r.num == nil {
		b.fail(e, "", "only numbers and times have an order here")
	}
	x, y := l.num, r.num
	if op == "_>_" || op == "_>=_" {
		x, y = y, x
	}
	if op == "_<_" || op == "_>_" {
		return func(in *Input, each string) Tri {
			m, ok := x(in, each)
			n, ok2 := y(in, each)
			return decided(m < n, ok && ok2)
		}
	}
	return func(in *Input, each string) Tri {
		m, ok := x(in, each)
		n, ok2 := y(in, each)
		return decided(m <= n, ok && ok2)
	}
}

func (b *build) in(e ast.Expr, x, l *value) cond {
	switch {
	case x.str == nil:
	case l.list != nil:
		if l.from != nil {
			b.oneOf(e, x, l.from.enum)
		}
		if x.from != nil {
			for _, w := range l.words {
				b.oneOf(e, constant(w), x.from.enum)
			}
		}
		return func(in *Input, each string) Tri {
			s, ok := x.str(in, each)
			if !ok {
				return DontKnow
			}
			n, complete := l.list.size(in)
			for i := range n {
				if l.list.at(in, i) == s {
					return Yes
				}
			}
			return decided(false, complete)
		}
	case l.texts != nil || l.count != nil:
		return b.has(e, l, x)
	}
	b.fail(e, "", "`in` wants text on its left and a list or map on its right")
	return nil
}

func (b *build) choose(e ast.Expr, args []*value) *value {
	test, l, r := args[0].truth, args[1], args[2]
	switch {
	case l.truth != nil && r.truth != nil:
		return &value{truth: func(in *Input, each string) Tri {
			switch test(in, each) {
			case Yes:
				return l.truth(in, each)
			case No:
				return r.truth(in, each)
			}
			return DontKnow
		}}
	case l.num != nil && r.num != nil:
		return &value{num: func(in *Input, each string) (int64, bool) {
			switch test(in, each) {
			case Yes:
				return l.num(in, each)
			case No:
				return r.num(in, each)
			}
			return 0, false
		}}
	case l.str != nil && r.str != nil:
		return &value{str: func(in *Input, each string) (string, bool) {
			switch test(in, each) {
			case Yes:
				return l.str(in, each)
			case No:
				return r.str(in, each)
			}
			return "", false
		}}
	}
	b.fail(e, "", "both sides of ?: must be text, numbers or truth values")
	return nil
}

// arithmetic on whole numbers. Overflow and division by zero are unknown.
func (b *build) arithmetic(e ast.Expr, op string, args []*value) *value {
	for _, x := range args {
		if x.num == nil {
			b.fail(e, "", "conditions calculate with whole numbers only")
		}
	}
	if op == "-_" {
		args, op = []*value{integer(0), args[0]}, "_-_"
	}
	l, r := args[0].num, args[1].num
	f := map[string]func(x, y int64) (int64, bool){"_+_": add, "_-_": subtract, "_*_": multiply, "_/_": divide, "_%_": remainder}[op]
	out := &value{num: func(in *Input, each string) (int64, bool) {
		x, ok := l(in, each)
		y, ok2 := r(in, each)
		if !ok || !ok2 {
			return 0, false
		}
		return f(x, y)
	}}
	if args[0].number != nil && args[1].number != nil {
		if n, ok := f(*args[0].number, *args[1].number); ok {
			return integer(n)
		}
	}
	return out
}

func add(x, y int64) (int64, bool) {
	s := x + y
	return s, (s > x) == (y > 0)
}

func subtract(x, y int64) (int64, bool) {
	s := x - y
	return s, (s < x) == (y > 0)
}

func multiply(x, y int64) (int64, bool) {
	if x == 0 || y == 0 {
		return 0, true
	}
	p := x * y
	return p, p/y == x && (x != -1 || y != math.MinInt64) && (y != -1 || x != math.MinInt64)
}

func divide(x, y int64) (int64, bool) {
	if y == 0 || y == -1 && x == math.MinInt64 {
		return 0, false
	}
	return x / y, true
}

func remainder(x, y int64) (int64, bool) {
	if y == 0 || y == -1 && x == math.MinInt64 {
		return 0, false
	}
	return x % y, true
}

func (b *build) substring(e ast.Expr, name string, args []*value) cond {
	if len(args) != 2 || args[0].str == nil || args[1].str == nil {
		b.fail(e, "", "%s wants text on both sides", name)
	}
	f := map[string]func(string, string) bool{"startsWith": strings.HasPrefix, "endsWith": strings.HasSuffix, "contains": strings.Contains}[name]
	l, r := args[0].str, args[1].str
	return func(in *Input, each string) Tri {
		x, ok := l(in, each)
		y, ok2 := r(in, each)
		return decided(f(x, y), ok && ok2)
	}
}

func (b *build) matches(e ast.Expr, args []*value) cond {
	if len(args) != 2 || args[0].str == nil || args[1].text == nil {
		b.fail(e, "", "matches wants a quoted pattern")
	}
	re, err := regexp.Compile(*args[1].text)
	if err != nil {
		b.fail(e, "patterns are RE2: https://github.com/google/re2/wiki/Syntax", "%v", err)
	}
	l := args[0].str
	return func(in *Input, each string) Tri {
		x, ok := l(in, each)
		return decided(re.MatchString(x), ok)
	}
}

func (b *build) size(e ast.Expr, v *value) *value {
	switch {
	case v.str != nil:
		return &value{num: func(in *Input, each string) (int64, bool) {
			s, ok := v.str(in, each)
			return int64(len([]rune(s))), ok
		}}
	case v.list != nil:
		return &value{num: func(in *Input, _ string) (int64, bool) {
			n, complete := v.list.size(in)
			return int64(n), complete
		}}
	}
	b.fail(e, "", "only text and lists have a size")
	return nil
}
