package policy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"github.com/assenthq/assent/action"
)

// Two conditions are compared by trying them: on actions whose facts are drawn from what
// the conditions compare with, a little more, a little less, something else, and unknown.
// Where each condition compares single facts with constants and all combinations fit, that
// is every case there is; else it is a sample.
const (
	mostTried = 50_000 // combinations that are tried one by one
	mostDrawn = 20_000 // of more than those

	// mostBroad is how many conditions of one load are tried for permitting everything, each
	// once, so that a pack of nothing else loads in time.
	mostBroad = 200
)

// A Shown action is one that a rule matched and matches no longer, or the other way.
type Shown struct {
	Given  string `json:"given"`   // in the words of given:
	Now    bool   `json:"matches"` // after, and not before
	Before string `json:"before"`  // what the whole policy says of it
	After  string `json:"after"`
}

// An axis is one fact with the values that are tried, the unknown one last.
type axis struct {
	fact   fact
	values []sample
}

// A sample is one value of a fact: the words of given:, and the same as a node.
type sample struct {
	said []string // nil: it isn't said, so nobody knows
	node *node
}

// An compared is what is compared within one condition: the facts and the constants.
type compared struct {
	vars  []*variable
	texts []string
	ints  []int64
	plain bool // one fact with constants
}

// tried compares the conditions of two rules that do the same thing.
type tried struct {
	sets  [2]*Set
	rules [2]*rule
	base  []axis // what the lines of match ask for
	axes  []axis
	most  int // combinations
	exact bool
	n     int
	shown map[Direction]Shown
}

// tryConditions says which way the conditions of a and b differ.
func tryConditions(c *compiler, before, after *Set, a, b *rule) *tried {
	t := &tried{sets: [2]*Set{before, after}, rules: [2]*rule{a, b}, exact: true, most: mostTried, shown: map[Direction]Shown{}}
	if t.draw(c) {
		t.run()
	}
	return t
}

// direction is looser or stricter where an action shows it. What no action showed is
// Stricter or Same only where every case was tried.
func (t *tried) direction() Direction {
	_, looser := t.shown[Looser]
	_, stricter := t.shown[Stricter]
	switch {
	case looser && stricter:
		return Both
	case looser:
		return Looser
	case !t.exact:
		return Unsure
	case stricter:
		return Stricter
	}
	return Same
}

// A broadness is what alwaysKnown found.
type broadness struct{ always, exact bool }

// alwaysKnown reports whether the condition of r holds for each action that is tried of
// those whose facts are known, and whether those are all there are.
func (c *compiler) alwaysKnown(r *rule) (always, exact bool) {
	if known, ok := c.broad[r.when.source]; ok && len(r.when.calendars) == 0 {
		return known.always, known.exact
	}
	if c.broadTried++; c.broadTried > mostBroad {
		return false, false
	}
	defer func() { c.broad[r.when.source] = broadness{always, exact} }()
	t := &tried{rules: [2]*rule{r, r}, exact: true, most: mostTried / 20}
	if !t.draw(c) {
		return false, false
	}
	for i := range t.axes {
		t.axes[i].values = slices.DeleteFunc(t.axes[i].values, func(s sample) bool { return s.node == nil })
	}
	always = true
	t.each(func(pick []int) bool {
		in, ok := t.action(pick)
		if ok {
			t.n++
			always = r.when.test(in, "") == Yes
		}
		return always
	})
	return always && t.n > 0, t.exact
}

func (t *tried) run() {
	t.each(func(pick []int) bool { t.one(pick); return true })
}

// each calls f for the combinations that are tried, until it says no.
func (t *tried) each(f func(pick []int) bool) {
	all := 1
	for _, x := range t.axes {
		if all *= len(x.values); all > t.most {
			break
		}
	}
	pick := make([]int, len(t.axes))
	if all <= t.most {
		for i := range all {
			for j, x := range t.axes {
				pick[j] = i % len(x.values)
				i /= len(x.values)
			}
			if !f(pick) {
				return
			}
		}
		return
	}
	t.exact = false
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same actions each time
	for range min(mostDrawn, t.most) {
		for j, x := range t.axes {
			pick[j] = r.IntN(len(x.values))
		}
		if !f(pick) {
			return
		}
	}
}

// action is that of one combination; ok: it can be said.
func (t *tried) action(pick []int) (in *Input, ok bool) {
	in = &Input{Action: &action.Action{}}
	d := &decoder{}
	for j, x := range t.axes {
		if v := x.values[pick[j]]; v.node != nil {
			x.fact.set(d, v.node, in)
		}
	}
	for _, x := range t.base {
		if !t.varies(x.fact.key) {
			x.fact.set(d, x.values[0].node, in)
		}
	}
	if len(d.errs) > 0 {
		t.exact = false
		return nil, false
	}
	if in.SubjectGroups != nil && in.SubjectID == "" {
		in.SubjectID = "someone"
	}
	if !t.varies("risk") {
		in.Weigh()
	}
	return in, true
}

func (t *tried) varies(key string) bool {
	return slices.ContainsFunc(t.axes, func(x axis) bool { return x.fact.key == key })
}

// one tries the action of one combination on both rules.
func (t *tried) one(pick []int) {
	in, ok := t.action(pick)
	if !ok {
		return
	}
	t.n++
	var match [2]bool
	for i, r := range t.rules {
		if lines := holds(r.lines, in); lines == No || lines == DontKnow && r.then == thenAllow {
			return
		}
		when := Yes
		if r.when != nil {
			when = r.when.test(in, "")
		}
		match[i] = when == Yes || when == DontKnow && r.then != thenAllow
	}
	if match[0] == match[1] {
		return
	}
	var verdicts [2]Decision
	for i, s := range t.sets {
		s.Decide(in, &verdicts[i])
	}
	way := t.way(match[1], verdicts[0].Verdict, verdicts[1].Verdict)
	if _, known := t.shown[way]; !known && way != Same {
		t.shown[way] = Shown{Given: t.words(pick, in), Now: match[1], Before: verdicts[0].Verdict.String(), After: verdicts[1].Verdict.String()}
	}
}

// way is what it means that a rule matches an action now, or no longer. A review may
// hold what was allowed, or let people allow what was denied, so the verdicts say it.
func (t *tried) way(now bool, before, after Verdict) Direction {
	r := t.rules[1]
	switch {
	case r.tightens():
		return direction(!now, true)
	case r.then == thenAllow:
		return direction(now, true)
	}
	t.exact = false // other rules have a part in it, and their facts were not varied
	switch {
	case after > before:
		return Looser
	case after < before:
		return Stricter
	}
	return Same
}

// words is an action as given: takes it.
func (t *tried) words(pick []int, in *Input) string {
	var parts []string
	said := map[string]bool{}
	add := func(key string, values []string) {
		if !said[key] {
			said[key] = true
			parts = append(parts, strings.TrimSpace(GivenWords(key, values)))
		}
	}
	for j, x := range t.axes {
		if v := x.values[pick[j]]; v.said != nil {
			add(x.fact.key, v.said)
		}
		said[x.fact.key] = true
	}
	var base []string
	base, parts = parts, nil
	for _, x := range t.base {
		add(x.fact.key, x.values[0].said)
	}
	if in.SubjectID == "someone" {
		add("subject", []string{"someone"})
	}
	return "{ " + strings.Join(append(parts, base...), ", ") + " }"
}

// draw finds the facts to vary and their values. It reports whether there is anything to try.
func (t *tried) draw(c *compiler) bool {
	found := map[string]*compared{} // by fact, what it is compared with
	calendars := false
	for _, r := range t.rules {
		if r.when == nil {
			continue
		}
		calendars = calendars || len(r.when.calendars) > 0
		checked, err := c.check(r.when.source)
		if err != nil {
			t.exact = false
			return false
		}
		b := &build{compiler: c, tree: checked.NativeRep()}
		for _, at := range b.comparisons(b.tree.Expr()) {
			t.exact = t.exact && at.plain
			for _, v := range at.vars {
				all := found[v.name]
				if all == nil {
					all = &compared{vars: []*variable{v}, plain: true}
					found[v.name] = all
				}
				all.plain = all.plain && at.plain
				all.texts, all.ints = append(all.texts, at.texts...), append(all.ints, at.ints...)
			}
		}
	}
	if calendars {
		t.exact = false
		if found["context.time"] == nil {
			found["context.time"] = &compared{vars: []*variable{c.vars["context.time"]}}
		}
	}
	t.matched()
	byKey, group := map[string]*axis{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		at := found[name]
		key := givenKey(name)
		f := slices.IndexFunc(facts(), func(f fact) bool { return f.key == key })
		if f < 0 {
			t.exact = false
			continue
		}
		if group[together(name)]++; group[together(name)] > 1 { // not independent
			t.exact = false
		}
		x := byKey[key]
		if x == nil {
			x = &axis{fact: facts()[f]}
			byKey[key] = x
		}
		x.values = append(x.values, t.samples(x.fact, at, calendars)...)
	}
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		x := byKey[key]
		for _, b := range t.base {
			if b.fact.key == key {
				x.values = append(slices.Clone(b.values), x.values...)
			}
		}
		if !strings.Contains(x.fact.doc, "or `false`") { // what is never unknown, but for kinds
			x.values = append(x.values, sample{})
		}
		t.axes = append(t.axes, *x)
	}
	return true
}

// matched are facts with which the lines of match hold.
func (t *tried) matched() {
	add := func(key string, values ...string) {
		i := slices.IndexFunc(facts(), func(f fact) bool { return f.key == key })
		x := axis{fact: facts()[i]}
		x.values = append(x.values, sampleOf(x.fact, values...))
		t.base = append(t.base, x)
	}
	a, b := t.rules[0], t.rules[1]
	kind := "data.read"
	if kinds := namedKinds(a.kinds & b.kinds); len(kinds) > 0 {
		kind = kinds[0]
	}
	add("kind", kind)
	keys := map[string]string{"env": "env", "verb": "verb", "actor": "actor", "resource": "resource", "type": "type", "subject": "subject_groups", "destination": "destination", "class": "classes", "group": "groups"}
	done := map[string]bool{}
	for _, r := range []*rule{b, a} {
		for _, l := range r.lines {
			if key := keys[l.name]; key != "" && !done[key] {
				done[key] = true
				value := strings.NewReplacer("*", "x", "?", "x").Replace(l.values[0])
				for _, v := range l.values {
					if other := a.line(l.name); other != nil && slices.Contains(other.values, v) {
						value = strings.NewReplacer("*", "x", "?", "x").Replace(v)
						break
					}
				}
				add(key, value)
			}
		}
	}
	if !done["env"] {
		add("env", "prod")
	}
	if !done["resource"] {
		add("resource", "a:b/c")
	}
}

// samples are the values of a fact that are tried.
func (t *tried) samples(f fact, at *compared, calendars bool) (out []sample) {
	v := at.vars[0]
	add := func(values ...string) { out = append(out, sampleOf(f, values...)) }
	texts := slices.Compact(slices.Sorted(slices.Values(at.texts)))
	ints := slices.Compact(slices.Sorted(slices.Values(at.ints)))
	switch {
	case f.key == "time":
		for _, text := range texts {
			if moment, err := time.Parse(time.RFC3339, text); err == nil {
				for _, by := range []time.Duration{-time.Second, 0, time.Second} {
					add(moment.Add(by).UTC().Format(time.RFC3339))
				}
			}
		}
		step := time.Hour
		if calendars {
			step = 30 * time.Minute
		}
		if calendars || v.name != "context.time" {
			for at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC); at.Day() < 30; at = at.Add(step) {
				add(at.Format(time.RFC3339))
			}
		}
	case f.key == "kind":
		t.exact = false
		for _, text := range texts {
			add(t.base[0].values[0].said[0], text)
		}
	case v.typ == intVar:
		for _, n := range append(ints, 0) {
			for _, by := range []int64{-1, 0, 1} {
				if m, ok := add64(n, by); ok && m >= 0 {
					add(strconv.FormatInt(m, 10))
				}
			}
		}
	case v.typ == boolVar:
		add("true")
		add("false")
	case v.typ == listVar:
		t.exact = t.exact && len(texts) <= 1
		add()
		for _, text := range texts {
			add(text)
		}
		if len(texts) > 1 {
			add(texts...)
			add(texts[:2]...)
		}
	case v.typ == textMap, v.typ == countMap:
		t.exact = false
		for _, k := range texts {
			for _, n := range append(ints, 0) {
				if m, ok := add64(n, 1); ok && n >= 0 && v.typ == countMap {
					add(k + "=" + strconv.FormatInt(n, 10))
					add(k + "=" + strconv.FormatInt(m, 10))
				}
			}
			for _, w := range texts {
				if v.typ == textMap {
					add(k + "=" + w)
				}
			}
		}
	default:
		t.exact = t.exact && !slices.Contains(texts, "")
		for _, text := range texts {
			if text != "" {
				add(text)
			}
			if !at.plain {
				add(text + "x")
				add("x" + text)
				add("x" + text + "x")
			}
		}
		if len(v.enum) == 0 {
			add("other")
		}
		for _, w := range v.enum {
			if !slices.Contains(texts, w) {
				add(w)
			}
		}
	}
	return slices.DeleteFunc(out, func(s sample) bool {
		d := &decoder{}
		f.set(d, s.node, &Input{Action: &action.Action{}})
		t.exact = t.exact && len(d.errs) == 0
		return len(d.errs) > 0
	})
}

func add64(n, by int64) (int64, bool) {
	if by == 0 {
		return n, true
	}
	return add(n, by)
}

// sampleOf is a value of a fact as said, and as the node that its setter takes.
func sampleOf(f fact, values ...string) sample {
	s := sample{said: append([]string{}, values...)}
	list, mapping := false, false
	for _, g := range GivenFacts() {
		if g.Key == f.key {
			list, mapping = g.List, g.Mapping
		}
	}
	word := func(v string) *node { return &node{text: v, quoted: true} }
	switch {
	case mapping:
		s.node = &node{kind: mappingNode}
		for _, v := range values {
			k, w, _ := strings.Cut(v, "=")
			s.node.fields = append(s.node.fields, field{word(k), word(w)})
		}
	case list:
		s.node = &node{kind: sequenceNode}
		for _, v := range values {
			s.node.items = append(s.node.items, word(v))
		}
		if len(values) == 0 {
			s.said = []string{""}
		}
	default:
		s.node = word(values[0])
	}
	return s
}

// givenKey is the key of given: that states a variable.
func givenKey(name string) string {
	switch name {
	case "subject.id":
		return "subject"
	case "actor.id", "actor.type":
		return "actor"
	case "action.kinds":
		return "kind"
	case "data.finding_counts":
		return "findings"
	case "context.hour", "context.weekday":
		return "time"
	case "resource.urn":
		return "resource"
	case "risk.score":
		return "risk"
	}
	part, rest, _ := strings.Cut(name, ".")
	switch part {
	case "subject":
		return "subject_" + rest
	case "preview":
		return "preview_" + rest
	case "delegation":
		return part
	}
	return rest
}

// together names what a variable stands with: those of one name hang on one another.
func together(name string) string {
	switch name {
	case "data.classes", "data.groups", "data.unscanned", "data.finding_counts":
		return "data"
	case "context.tainted", "context.saw_sensitive", "context.saw_untrusted":
		return "seen"
	case "context.time", "context.hour", "context.weekday":
		return "time"
	case "actor.id", "actor.type", "delegation":
		return "actor"
	case "subject.id", "subject.groups":
		return "subject"
	}
	return name
}

// comparisons are the comparisons in e, below &&, || and !.
func (b *build) comparisons(e ast.Expr) (out []compared) {
	if e.Kind() == ast.CallKind {
		switch call := e.AsCall(); call.FunctionName() {
		case "_&&_", "_||_", "!_":
			for _, x := range call.Args() {
				out = append(out, b.comparisons(x)...)
			}
			return out
		}
	}
	at := compared{plain: b.plain(e)}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		if v := b.variable(x); v != nil && !slices.Contains(at.vars, v) {
			at.vars = append(at.vars, v)
		}
		switch x.Kind() {
		case ast.SelectKind:
			at.texts = append(at.texts, x.AsSelect().FieldName())
		case ast.CallKind:
			if args := x.AsCall().Args(); x.AsCall().FunctionName() == "matches" && len(args) > 0 && args[len(args)-1].Kind() == ast.LiteralKind {
				if pattern, ok := args[len(args)-1].AsLiteral().(types.String); ok {
					at.texts = append(at.texts, exampleOf(string(pattern)))
				}
			}
		case ast.LiteralKind:
			switch v := x.AsLiteral().(type) {
			case types.String:
				at.texts = append(at.texts, string(v))
			case types.Int:
				at.ints = append(at.ints, int64(v))
			}
		}
	}))
	if at.plain && len(at.vars) == 1 && at.vars[0].typ != textMap { // the parts of its name are no constants
		at.texts = slices.DeleteFunc(at.texts, func(s string) bool { return slices.Contains(strings.Split(at.vars[0].name, "."), s) && !b.says(e, s) })
	}
	return append(out, at)
}

// says reports whether text stands in e as a constant.
func (b *build) says(e ast.Expr, text string) (found bool) {
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.LiteralKind {
			s, ok := x.AsLiteral().(types.String)
			found = found || ok && string(s) == text
		}
	}))
	return found
}

// plain reports that e compares one fact with constants.
func (b *build) plain(e ast.Expr) bool {
	if v := b.variable(e); v != nil {
		return v.typ == boolVar
	}
	if e.Kind() == ast.LiteralKind {
		return true
	}
	if e.Kind() != ast.CallKind || len(e.AsCall().Args()) != 2 {
		return false
	}
	switch e.AsCall().FunctionName() {
	case "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in":
	default:
		return false
	}
	facts := 0
	for _, x := range e.AsCall().Args() {
		switch {
		case b.variable(x) != nil:
			facts++
		case x.Kind() == ast.LiteralKind:
		case x.Kind() == ast.ListKind && !slices.ContainsFunc(x.AsList().Elements(), func(y ast.Expr) bool { return y.Kind() != ast.LiteralKind }):
		default:
			return false
		}
	}
	return facts <= 1
}

// exampleOf is a text that a pattern matches.
func exampleOf(pattern string) string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return pattern
	}
	return example(re)
}

func example(re *syntax.Regexp) string {
	const longest = 200
	var b strings.Builder
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		if len(re.Rune) > 0 {
			return string(re.Rune[:1])
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "x"
	case syntax.OpAlternate:
		return example(re.Sub[0])
	case syntax.OpRepeat:
		for range re.Min {
			if b.WriteString(example(re.Sub[0])); b.Len() > longest {
				break
			}
		}
	case syntax.OpPlus, syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			b.WriteString(example(sub))
		}
	}
	return b.String()
}

// tells says in words what was tried.
func (t *tried) tells() string {
	if t.exact {
		return fmt.Sprintf("each of the %d cases there are was tried", t.n)
	}
	return fmt.Sprintf("%d actions were tried, which are not all there are", t.n)
}
