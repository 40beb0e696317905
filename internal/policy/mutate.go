package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
)

// A Survivor is a change of a rule that no test of its pack notices.
type Survivor struct {
	Pack   string `json:"pack"`
	Rule   string `json:"rule"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Change string `json:"change,omitempty"` // what was changed; "" when the rule was dropped
}

func (m Survivor) String() string {
	if m.Change == "" {
		return fmt.Sprintf("%s:%d: no test fails without the rule '%s'", m.File, m.Line, m.Rule)
	}
	return fmt.Sprintf("%s:%d: no test fails when the rule '%s' %s", m.File, m.Line, m.Rule, m.Change)
}

// Mutate drops each rule in turn and returns those that no test missed. A pack
// whose tests already fail has none to tell.
func (s *Set) Mutate() []Survivor {
	var out []Survivor
	for _, p := range s.packs {
		for _, r := range p.rules {
			if r.mode != off && !s.noticed(p, r, nil) {
				out = append(out, r.survivor("", 0))
			}
		}
	}
	return out
}

// MutateAll is Mutate, and changes each rule that is missed a little at a time: a
// condition negated, a number moved by one, a line of match left out, a weaker
// verdict, mask or count.
func (s *Set) MutateAll() ([]Survivor, error) {
	c, err := newCompiler()
	if err != nil {
		return nil, fmt.Errorf("changing rules: %w", err)
	}
	var out []Survivor
	for _, p := range s.packs {
		for _, r := range p.rules {
			switch {
			case r.mode == off:
			case !s.noticed(p, r, nil):
				out = append(out, r.survivor("", 0))
			default:
				for _, m := range r.mutants(c, p) {
					if !s.noticed(p, r, m.rule) {
						out = append(out, r.survivor(m.change, m.line))
					}
				}
			}
		}
	}
	return out, nil
}

func (r *rule) survivor(change string, line int) Survivor {
	if line == 0 {
		line = r.at.line
	}
	return Survivor{Pack: r.pack, Rule: r.id, File: r.at.file, Line: line, Change: change}
}

// noticed reports whether a test of p fails when r is another, or when it is gone.
func (s *Set) noticed(p *pack, r, other *rule) bool {
	own := &Set{packs: []*pack{p}, bundle: s.bundle}
	for _, x := range p.rules {
		if x == r {
			x = other
		}
		if x != nil {
			copied := *x // build numbers the masks of its rules
			own.rules = append(own.rules, &copied)
		}
	}
	own.build()
	var d Decision
	return slices.ContainsFunc(p.tests, func(c *testCase) bool {
		own.Decide(&c.in, &d)
		return len(c.want.check(&d))+len(c.checkQuorum(&d)) > 0
	})
}

// A mutant is a rule with one change, and where that is.
type mutant struct {
	change string
	line   int
	rule   *rule
}

func (r *rule) mutants(c *compiler, p *pack) []mutant {
	var out []mutant
	with := func(line int, change string, f func(*rule)) {
		other := *r
		f(&other)
		other.hit.Then = other.then.String()
		out = append(out, mutant{change, line, &other})
	}
	if r.kindLine > 0 {
		with(r.kindLine, "matches every kind", func(o *rule) { o.kinds = everyKind; o.fitKinds() })
	}
	for i, l := range r.lines {
		if !l.scope {
			with(l.at, "has no match line '"+l.name+"'", func(o *rule) { o.lines = slices.Delete(slices.Clone(o.lines), i, i+1) })
		}
	}
	out = append(out, r.twisted(c, p)...)
	switch r.then {
	case thenDeny:
		with(0, "is a review", func(o *rule) {
			o.then, o.approval, o.unless = thenReview, &Requirement{Rule: r.id, Pack: r.pack, From: []string{"group:anybody"}, Count: 1}, nil
		})
	case thenReview:
		with(0, "allows", func(o *rule) { o.then, o.approval = thenAllow, nil; o.fitKinds() })
	case thenMask:
		for _, class := range slices.Sorted(maps.Keys(r.masks)) {
			with(0, "doesn't mask "+class, func(o *rule) { o.masks = maps.Clone(o.masks); delete(o.masks, class) })
		}
	}
	for _, q := range []struct {
		of  *Requirement
		set func(*rule, *Requirement)
	}{{r.approval, func(o *rule, q *Requirement) { o.approval = q }}, {r.unless, func(o *rule, q *Requirement) { o.unless = q }}} {
		for _, w := range q.of.weaker() {
			with(0, w.change, func(o *rule) { q.set(o, w.to) })
		}
	}
	return out
}

type weaker struct {
	change string
	to     *Requirement
}

// weaker are the requirements that ask fewer people than q.
func (q *Requirement) weaker() (out []weaker) {
	if q == nil {
		return nil
	}
	if len(q.From) > 0 && q.Count > 1 {
		w := *q
		w.Count = 1
		out = append(out, weaker{"asks 1 person instead of " + strconv.Itoa(q.Count), &w})
	}
	for i, s := range q.AllOf {
		w := *q
		w.AllOf = slices.Clone(q.AllOf)
		change := "asks 1 of " + s.Group + " instead of " + strconv.Itoa(s.Count)
		switch {
		case s.Count > 1:
			w.AllOf[i].Count = 1
			w.Count -= s.Count - 1
		case len(q.AllOf) > 1:
			w.AllOf = slices.Delete(w.AllOf, i, i+1)
			w.Count -= s.Count
			change = "asks nobody of " + s.Group
		default:
			continue
		}
		out = append(out, weaker{change, &w})
	}
	return out
}

// A twist changes one part of a condition while it is compiled: by 0 negates an
// atom, another number is added to a literal.
type twist struct {
	id, by int64
	blind  bool // every fact is unknown
}

// twisted are the mutants of a rule's condition.
func (r *rule) twisted(c *compiler, p *pack) []mutant {
	if r.when == nil {
		return nil
	}
	checked, cerr := c.check(r.when.source)
	if cerr != nil {
		return nil
	}
	var out []mutant
	add := func(change string, line int, t twist) {
		x, err := c.compileTwisted(r.when.source, r.then == thenAllow, p.calendars, &t)
		if err != nil {
			return // such as a number too large
		}
		other := *r
		other.when = x
		out = append(out, mutant{change, r.whenLine + r.inBlock(line), &other})
	}
	for _, a := range r.when.atoms {
		add("has '"+a.text+"' negated", a.line, twist{id: a.id})
	}
	tree := checked.NativeRep()
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.LiteralKind {
			return
		}
		n, ok := e.AsLiteral().(types.Int)
		if !ok {
			return
		}
		line := tree.SourceInfo().GetStartLocation(e.ID()).Line()
		for _, by := range []int64{1, -1} {
			add(fmt.Sprintf("says %d instead of %d", int64(n)+by, int64(n)), line, twist{id: e.ID(), by: by})
		}
	}))
	return out
}

// inBlock is how far below when: the line of its text stands.
func (r *rule) inBlock(line int) int {
	if r.whenBlock {
		return line
	}
	return 0
}
