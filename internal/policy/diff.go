package policy

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
)

// A Direction says which way a change goes.
type Direction string

// Looser may let something pass, or pass with less, that did not before; Stricter
// can't; Same changes no decision. Both is looser for some actions and stricter for others.
// Of Unsure, actions that were tried showed nothing looser, and not all were tried. What
// nobody can try is called looser.
const (
	Looser   Direction = "looser"
	Both     Direction = "both"
	Unsure   Direction = "unsure"
	Stricter Direction = "stricter"
	Same     Direction = "same"
)

// MayLoosen reports what may let more pass.
func (d Direction) MayLoosen() bool { return d == Looser || d == Both || d == Unsure }

// A RuleChange is one rule that means something else, is new, or is gone.
type RuleChange struct {
	Rule      string     `json:"rule"`
	What      string     `json:"what"` // "added", "removed" or "changed"
	Then      string     `json:"then"`
	Direction Direction  `json:"direction"`
	Kinds     []string   `json:"kinds"` // that it is for; empty: all
	Envs      []string   `json:"envs"`
	Parts     []PartDiff `json:"parts,omitempty"`
	Before    []string   `json:"asked_before,omitempty"` // who may approve
	After     []string   `json:"asked_after,omitempty"`
	File      string     `json:"file"`
	Line      int        `json:"line"`
}

// A PartDiff is one key of a rule, before and after.
type PartDiff struct {
	Key       string    `json:"key"`
	Before    string    `json:"before"`
	After     string    `json:"after"`
	Direction Direction `json:"direction"`
	Tried     string    `json:"tried,omitempty"` // of a condition: on how many actions
	Shown     []Shown   `json:"shown,omitempty"` // actions that show the direction
}

// Compare says which rules mean something else in after than in before, and which packs are no
// longer locked, or are now. Text, order
// and layout don't count. It is careful: a change is called stricter only where the
// form of it shows that nothing more can pass.
func Compare(before, after *Set) []RuleChange {
	var out []RuleChange
	both := &comparison{before: before, after: after}
	names := map[[2]string]bool{}
	for _, s := range []*Set{before, after} {
		for name := range s.byName {
			names[name] = true
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b [2]string) int { return strings.Compare(a[0]+"/"+a[1], b[0]+"/"+b[1]) }) {
		if c := both.rules(before.byName[name], after.byName[name]); c != nil {
			both.unmasks(c)
			out = append(out, *c)
		}
	}
	return append(locks(before, after), out...)
}

// locks are the packs that are locked in one set only. A pack that goes unlocked may
// be changed by whoever writes its file.
func locks(before, after *Set) (out []RuleChange) {
	for _, a := range before.packs {
		i := slices.IndexFunc(after.packs, func(b *pack) bool { return b.name == a.name })
		if i < 0 || after.packs[i].locked == a.locked {
			continue
		}
		b := after.packs[i]
		p := PartDiff{Key: "locked", Before: strconv.FormatBool(a.locked), After: strconv.FormatBool(b.locked), Direction: direction(a.locked, true)}
		out = append(out, RuleChange{Rule: a.name, What: "changed", Then: "pack", Direction: p.Direction, Kinds: []string{}, Envs: []string{}, Parts: []PartDiff{p}, File: b.at.file, Line: b.at.line})
	}
	return out
}

// A comparison is that of two policies.
type comparison struct {
	before, after *Set
	compiler      *compiler // once a condition is tried
}

func (x *comparison) rules(a, b *rule) *RuleChange {
	c := &RuleChange{What: "changed", Kinds: []string{}, Envs: []string{}}
	r := b
	switch {
	case a == nil:
		c.What, c.Direction = "added", direction(!b.tightens() && b.mode == enforce, b.mode == enforce)
	case b == nil:
		r, c.What, c.Direction = a, "removed", direction(a.then != thenAllow && a.mode != off, a.mode == enforce)
	default:
		if c.Parts = x.differences(a, b); len(c.Parts) == 0 {
			return nil
		}
		c.Direction = Same
		for _, p := range c.Parts {
			c.Direction = worse(c.Direction, p.Direction)
		}
		c.Before = asked(a)
	}
	if b != nil {
		c.After = asked(b)
	} else {
		c.Before = asked(a)
	}
	c.Rule, c.Then, c.File, c.Line = r.hit.Name(), r.then.String(), r.at.file, r.at.line
	if kinds := namedKinds(r.kinds); a != nil && b != nil {
		c.Kinds = append(c.Kinds, namedKinds(a.kinds|b.kinds)...)
	} else {
		c.Kinds = append(c.Kinds, kinds...)
	}
	if l := r.line("env"); l != nil {
		c.Envs = append(c.Envs, l.values...)
	}
	return c
}

// unmasks calls a mask that does more looser where a rule reads what is inferred of masked
// values, computed with them or aggregated over them, and then permits more or stops less.
func (x *comparison) unmasks(c *RuleChange) {
	if c.Then != thenMask.String() || c.Direction != Stricter {
		return
	}
	for _, r := range x.after.rules {
		if r.mode == off || r.when == nil || !slices.ContainsFunc(r.when.reads, ofMasks) {
			continue
		}
		rises, falls := true, true // where nobody can tell
		if compiler, err := x.compilerOf(); err == nil {
			if checked, cerr := compiler.check(r.when.source); cerr == nil {
				b := &build{compiler: compiler, tree: checked.NativeRep()}
				rises, falls = b.polarity(b.tree.Expr(), false)
			}
		}
		if r.then == thenAllow && rises || r.tightens() && falls {
			c.Direction = Looser
			c.Parts = append(c.Parts, PartDiff{Key: "masked", After: "what is masked counts as inferred, computed or aggregated, which " + r.hit.Name() + " reads", Direction: Looser})
			return
		}
	}
}

// ofMasks reports a fact that hangs on what a decision masks.
func ofMasks(v *variable) bool {
	return v.name == "data.inferred" || v.name == "data.computed" || v.name == "data.aggregated"
}

// polarity says whether a fact of masks that becomes true may make e true, and whether it may make it false.
func (b *build) polarity(e ast.Expr, negated bool) (rises, falls bool) {
	if v := b.variable(e); v != nil && ofMasks(v) {
		return !negated, negated
	}
	if e.Kind() == ast.CallKind {
		call := e.AsCall()
		switch call.FunctionName() {
		case "!_":
			return b.polarity(call.Args()[0], !negated)
		case "_&&_", "_||_":
			for _, x := range call.Args() {
				r, f := b.polarity(x, negated)
				rises, falls = rises || r, falls || f
			}
			return rises, falls
		}
	}
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		if v := b.variable(x); v != nil && ofMasks(v) {
			rises, falls = true, true
		}
	}))
	return rises, falls
}

func (x *comparison) compilerOf() (*compiler, error) {
	if x.compiler == nil {
		c, err := newCompiler()
		if err != nil {
			return nil, err
		}
		x.compiler = c
	}
	return x.compiler, nil
}

func asked(r *rule) (out []string) {
	for _, q := range []*Requirement{r.approval, r.unless} {
		if q != nil {
			out = append(out, q.Asks())
		}
	}
	return out
}

// direction is looser, or stricter where the rule acts at all.
func direction(looser, acts bool) Direction {
	switch {
	case looser:
		return Looser
	case acts:
		return Stricter
	}
	return Same
}

func worse(a, b Direction) Direction {
	for _, d := range []Direction{Looser, Both, Unsure, Stricter} {
		if a == d || b == d {
			return d
		}
	}
	return Same
}

// tightens reports a rule that can only take away: a review lifts the default deny, and
// so does break-glass past a deny.
func (r *rule) tightens() bool {
	return r.then == thenMask || r.then == thenDeny && r.unless == nil
}

// differences are the parts of a rule that mean something else.
func (x *comparison) differences(a, b *rule) (out []PartDiff) {
	part := func(key, x, y string, d func() Direction) {
		if x != y {
			out = append(out, PartDiff{Key: key, Before: x, After: y, Direction: d()})
		}
	}
	restricts := a.tightens() && b.tightens()
	permits := a.then == thenAllow && b.then == thenAllow
	// wider is what a rule that matches more does.
	wider := func(more, less bool) func() Direction {
		return func() Direction {
			switch {
			case more && restricts, less && permits:
				return Stricter
			}
			return Looser
		}
	}
	fixed := func(d Direction) func() Direction { return func() Direction { return d } }
	part("then", a.then.String(), b.then.String(), func() Direction {
		if a.then != thenMask && b.then == thenDeny || a.then == thenAllow && b.then == thenReview {
			return Stricter
		}
		return Looser
	})
	part("mode", modeInWords(a), modeInWords(b), func() Direction {
		if b.mode == enforce && b.tightens() || a.mode == enforce && a.then == thenAllow && b.then == thenAllow {
			return Stricter
		}
		if b.then == thenAllow && b.mode != enforce && a.mode != enforce {
			return Same
		}
		return Looser
	})
	part("kind", strings.Join(namedKinds(a.kinds), ", "), strings.Join(namedKinds(b.kinds), ", "), wider(b.kinds&a.kinds == a.kinds, b.kinds&a.kinds == b.kinds))
	keys := map[string]bool{}
	for _, r := range []*rule{a, b} {
		for _, l := range r.lines {
			keys[l.name] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		l, m := a.line(key), b.line(key)
		part(strings.Replace(key, "scope.", "scope: ", 1), valuesOf(l), valuesOf(m), wider(lineCovers(m, l), lineCovers(l, m)))
	}
	if whenOf(a) != whenOf(b) {
		out = append(out, x.conditions(a, b))
	}
	calendars := map[string]bool{}
	for _, r := range []*rule{a, b} {
		for name := range r.calendars() {
			calendars[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(calendars)) {
		// Whether more or fewer hours let more pass is for the condition to say.
		part("calendar "+name, calendarText(a.calendars()[name]), calendarText(b.calendars()[name]), fixed(Looser))
	}
	part("approval", requirementOf(a.approval), requirementOf(b.approval), func() Direction { return requirements(a.approval, b.approval) })
	part("unless", requirementOf(a.unless), requirementOf(b.unless), func() Direction {
		if b.unless == nil {
			return Stricter
		}
		if a.unless == nil {
			return Looser
		}
		return requirements(a.unless, b.unless)
	})
	part("mask", masksOf(a.masks), masksOf(b.masks), func() Direction {
		for class, method := range a.masks {
			if stricter(method, b.masks[class]) != b.masks[class] {
				return Looser
			}
		}
		return Stricter
	})
	part("show", strings.Join(sortedCopy(a.show), ", "), strings.Join(sortedCopy(b.show), ", "), fixed(Same))
	part("notify", strings.Join(sortedCopy(a.notify), ", "), strings.Join(sortedCopy(b.notify), ", "), fixed(Same))
	part("reason", a.reason.text(), b.reason.text(), fixed(Same))
	return out
}

// conditions tries which way the condition of a rule changed.
func (x *comparison) conditions(a, b *rule) PartDiff {
	p := PartDiff{Key: "when", Before: whenOf(a), After: whenOf(b), Direction: Looser}
	if a.then != b.then || a.tightens() != b.tightens() {
		return p // what it does changed too
	}
	compiler, err := x.compilerOf()
	if err != nil {
		return p
	}
	t := tryConditions(compiler, x.before, x.after, a, b)
	if p.Direction = t.direction(); t.n == 0 || a.boundTo(b) && !p.Direction.MayLoosen() {
		p.Direction = Looser
	}
	p.Tried = t.tells()
	for _, d := range []Direction{Looser, Stricter} {
		if s, ok := t.shown[d]; ok {
			p.Shown = append(p.Shown, s)
		}
	}
	return p
}

// boundTo reports that b ends the stream of what it permits later than r, or never.
func (r *rule) boundTo(b *rule) bool {
	bound := func(r *rule) int64 {
		if r.when == nil || r.when.rowLimit < 0 {
			return math.MaxInt64
		}
		return r.when.rowLimit
	}
	return b.then == thenAllow && bound(b) > bound(r)
}

func modeInWords(r *rule) string {
	if r.mode == shadow {
		return "shadow until " + r.until.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return modeNames()[r.mode]
}

func valuesOf(l *line) string {
	if l == nil {
		return ""
	}
	return strings.Join(sortedCopy(l.values), ", ")
}

func sortedCopy(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

// lineCovers reports whether wide matches all that narrow does. nil matches everything.
func lineCovers(wide, narrow *line) bool {
	if wide == nil {
		return true
	}
	if narrow == nil {
		return false
	}
	key := strings.TrimPrefix(wide.name, "scope.")
	for _, v := range narrow.values {
		if !slices.ContainsFunc(wide.values, func(w string) bool { return covers(key, w, v) }) {
			return false
		}
	}
	return true
}

// calendars are those that the rule's condition asks for.
func (r *rule) calendars() map[string]*calendar {
	if r.when == nil {
		return nil
	}
	return r.when.calendars
}

func calendarText(c *calendar) string {
	if c == nil {
		return ""
	}
	return c.text()
}

// whenOf is a condition in one spelling.
func whenOf(r *rule) string {
	if r.when == nil {
		return ""
	}
	return r.when.spelt
}

func requirementOf(q *Requirement) string {
	out := decisive(q)
	if q != nil && q.Wait > 0 {
		out += ", waits " + q.Wait.String()
	}
	if q != nil && len(q.Notify) > 0 {
		out += ", tells " + strings.Join(sortedCopy(q.Notify), ", ")
	}
	return out
}

// decisive is what of a requirement has a part in who may approve. How long a gate waits
// for that, and who is told besides, has none.
func decisive(q *Requirement) string {
	if q == nil {
		return ""
	}
	out := q.Asks()
	out += ", used within " + q.UseWithin.String()
	for _, e := range q.Escalate {
		out += ", after " + e.After.String() + " " + strings.Join(e.To, " or ")
	}
	if q.FallBack != nil {
		out += ", falls back after " + q.FallBack.After.String() + " to " + strings.Join(q.FallBack.To, " or ")
	}
	return out
}

// requirements says which way a change of who must approve goes: stricter only where
// the same groups are asked, for as many or more, no longer and no weaker.
func requirements(a, b *Requirement) Direction {
	switch {
	case a == nil:
		return Stricter
	case b == nil:
		return Looser
	case decisive(a) == decisive(b):
		return Same
	}
	same := slices.Equal(sortedCopy(a.From), sortedCopy(b.From)) && slices.Equal(a.AllOf, b.AllOf) && slices.Equal(a.AnyOf, b.AnyOf) && a.Issuers == b.Issuers &&
		(!a.Reciprocal || b.Reciprocal) && slices.EqualFunc(a.Escalate, b.Escalate, func(x, y Escalation) bool { return x.After == y.After && slices.Equal(x.To, y.To) }) && (b.FallBack == nil || a.FallBack != nil && b.FallBack.After >= a.FallBack.After && slices.Equal(a.FallBack.To, b.FallBack.To))
	// Where a rule names none, the kinds' own holds, which may be the console's.
	strong := a.Assurance == b.Assurance || b.Assurance != "" && slices.Index(assurances(), b.Assurance) >= slices.Index(assurances(), cmp.Or(a.Assurance, "console"))
	if same && strong && b.Count >= a.Count && b.Expires <= a.Expires && b.UseWithin <= a.UseWithin {
		return Stricter
	}
	return Looser
}

func masksOf(masks map[string]string) string {
	var parts []string
	folded := FoldMasks(masks)
	for _, class := range slices.Sorted(maps.Keys(folded)) {
		parts = append(parts, class+" "+folded[class])
	}
	return strings.Join(parts, ", ")
}

func (t template) text() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.text)
		if p.variable != nil {
			b.WriteString("{{" + p.variable.name)
			if p.key != "" {
				b.WriteString("[" + strconv.Quote(p.key) + "]")
			}
			b.WriteString("}}")
		}
	}
	return b.String()
}

// Where says in words what a change is for: "data.export in prod".
func (c *RuleChange) Where() string {
	kinds := "every kind"
	if len(c.Kinds) > 0 {
		kinds = strings.Join(c.Kinds, ", ")
	}
	if len(c.Envs) > 0 {
		return fmt.Sprintf("%s in %s", kinds, strings.Join(c.Envs, ", "))
	}
	return kinds
}
