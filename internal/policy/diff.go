package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Direction says which way a change goes.
type Direction string

// Looser may let something pass, or pass with less, that did not before; Stricter
// can't; Same changes no decision. What nobody can tell is called looser.
const (
	Looser   Direction = "looser"
	Stricter Direction = "stricter"
	Same     Direction = "same"
)

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
}

// Compare says which rules mean something else in after than in before, and which packs are no
// longer locked, or are now. Text, order
// and layout don't count. It is careful: a change is called stricter only where the
// form of it shows that nothing more can pass.
func Compare(before, after *Set) []RuleChange {
	var out []RuleChange
	names := map[[2]string]bool{}
	for _, s := range []*Set{before, after} {
		for name := range s.byName {
			names[name] = true
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b [2]string) int { return strings.Compare(a[0]+"/"+a[1], b[0]+"/"+b[1]) }) {
		if c := compareRules(before.byName[name], after.byName[name]); c != nil {
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
		p := PartDiff{"locked", strconv.FormatBool(a.locked), strconv.FormatBool(b.locked), direction(a.locked, true)}
		out = append(out, RuleChange{Rule: a.name, What: "changed", Then: "pack", Direction: p.Direction, Kinds: []string{}, Envs: []string{}, Parts: []PartDiff{p}, File: b.at.file, Line: b.at.line})
	}
	return out
}

func compareRules(a, b *rule) *RuleChange {
	c := &RuleChange{What: "changed", Kinds: []string{}, Envs: []string{}}
	r := b
	switch {
	case a == nil:
		c.What, c.Direction = "added", direction(!b.tightens() && b.mode == enforce, b.mode == enforce)
	case b == nil:
		r, c.What, c.Direction = a, "removed", direction(a.then != thenAllow && a.mode != off, a.mode == enforce)
	default:
		if c.Parts = differences(a, b); len(c.Parts) == 0 {
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
	if a == Looser || b == Looser {
		return Looser
	}
	if a == Stricter || b == Stricter {
		return Stricter
	}
	return Same
}

// tightens reports a rule that can only take away: a review lifts the default deny, and
// so does break-glass past a deny.
func (r *rule) tightens() bool {
	return r.then == thenMask || r.then == thenDeny && r.unless == nil
}

// differences are the parts of a rule that mean something else.
func differences(a, b *rule) (out []PartDiff) {
	part := func(key, x, y string, d func() Direction) {
		if x != y {
			out = append(out, PartDiff{key, x, y, d()})
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
		x, y := a.line(key), b.line(key)
		part(strings.Replace(key, "scope.", "scope: ", 1), valuesOf(x), valuesOf(y), wider(lineCovers(y, x), lineCovers(x, y)))
	}
	part("when", whenOf(a), whenOf(b), wider(whenOf(b) == "", whenOf(a) == ""))
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
	if q == nil {
		return ""
	}
	out := q.Asks()
	out += ", used within " + q.UseWithin.String()
	if q.Wait > 0 {
		out += ", waits " + q.Wait.String()
	}
	for _, e := range q.Escalate {
		out += ", after " + e.After.String() + " " + strings.Join(e.To, " or ")
	}
	if q.FallBack != nil {
		out += ", falls back to " + strings.Join(q.FallBack.To, " or ")
	}
	if len(q.Notify) > 0 {
		out += ", tells " + strings.Join(q.Notify, ", ")
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
	}
	same := slices.Equal(sortedCopy(a.From), sortedCopy(b.From)) && slices.Equal(a.AllOf, b.AllOf) && slices.Equal(a.AnyOf, b.AnyOf) && a.Issuers == b.Issuers &&
		(!a.Reciprocal || b.Reciprocal) && slices.EqualFunc(a.Escalate, b.Escalate, func(x, y Escalation) bool { return x.After == y.After && slices.Equal(x.To, y.To) }) && (b.FallBack == nil || a.FallBack != nil && slices.Equal(a.FallBack.To, b.FallBack.To))
	strong := slices.Index(assurances(), b.Assurance) >= slices.Index(assurances(), a.Assurance) && (a.Assurance == "" || b.Assurance != "")
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
