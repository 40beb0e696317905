package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
)

// A pack is one file of rules.
type pack struct {
	name, version, owner string
	locked               bool   // it is changed under its own name only
	digest               string // of a locked one
	scope                *scope // where it applies; nil: everywhere
	at                   place
	calendars            map[string]*calendar
	rules                []*rule
	tests                []*testCase
	raw                  any // for the bundle's digest
}

// effect is what a rule does when it matches.
type effect uint8

const (
	thenDeny effect = iota
	thenReview
	thenAllow
	thenMask
)

func (t effect) String() string { return effectNames()[t] }

func effectNames() []string { return []string{"deny", "review", "allow", "mask"} }

type mode uint8

const (
	enforce mode = iota
	shadow
	off
)

// A rule is one compiled rule. It never changes after load.
type rule struct {
	// What each decision looks at stands together.
	kinds kindSet // what it can match
	then  effect
	mode  mode
	rest  []line // of lines: those that the index leaves open
	test  cond   // of when

	id, pack  string
	at        place
	kindLine  int       // where its match names kinds; 0: nowhere
	whenLine  int       // where its condition stands
	whenBlock bool      // below that line, as a block
	until     time.Time // end of a shadow mode
	untilAt   *place
	broad     bool // it permits everything that was tried
	lines     []line
	when      *expression // nil: always
	claims    bool        // when reads something claimed
	raises    bool        // when reads what may raise a verdict and never lower one
	unless    *Requirement
	approval  *Requirement
	masks     map[string]string
	maskID    maskID
	show      []string
	notify    []string
	tags      []string // threats of public lists: ASI02, T1485
	reason    template
	hit       Hit // as it stands in a decision
	excused   Hit // as it stands when unless turned its deny into a review
}

// A decoder reads one file. It collects every mistake instead of stopping at the first.
type decoder struct {
	*compiler
	file  string
	lines []string
	errs  Errors

	targets []string  // Options.Targets
	now     time.Time // of facts that say no time
}

func (d *decoder) place(line, column int) place {
	p := place{file: d.file, line: line, column: column}
	if line > 0 && line <= len(d.lines) {
		p.source = printable(d.lines[line-1])
	}
	return p
}

func (d *decoder) fail(p place, msg, remedy string) {
	switch {
	case len(d.errs) < maxErrors:
		d.errs = append(d.errs, p.error(msg, remedy))
	case len(d.errs) == maxErrors:
		d.errs = append(d.errs, place{file: d.file, line: p.line}.error("more mistakes than are told", "mend those above first"))
	}
}

func (d *decoder) failAt(n *node, msg, remedy string) {
	d.fail(d.place(n.line, n.column), msg, remedy)
}

// mapping is n's fields by name. Keys that are not in known are errors, so are repeated ones.
func (d *decoder) mapping(n *node, what string, known ...string) map[string]*node {
	if n.kind != mappingNode {
		d.failAt(n, fmt.Sprintf("%s must be a mapping, this is %s", what, n.kind), "")
		return nil
	}
	out := make(map[string]*node, len(n.fields))
	for _, f := range n.fields {
		switch {
		case len(known) > 0 && !contains(known, f.key.text):
			d.failAt(f.key, fmt.Sprintf("%s has no key '%s'", what, clip(f.key.text)), didYouMean(f.key.text, known))
		case out[f.key.text] != nil:
			d.failAt(f.key, fmt.Sprintf("'%s' stands here twice", clip(f.key.text)), "")
		default:
			out[f.key.text] = f.value
		}
	}
	return out
}

func (d *decoder) scalar(n *node, what string) (string, bool) {
	switch {
	case n.kind != scalarNode:
		d.failAt(n, fmt.Sprintf("%s must be a single value, this is %s", what, n.kind), "")
		return "", false
	case strings.TrimSpace(n.text) == "":
		d.failAt(n, what+" must not be empty", "write a value, or leave it out")
		return "", false
	}
	return n.text, true
}

// words is a list of single values; one value alone is a list of one.
func (d *decoder) words(n *node, what string, known ...string) []string {
	items := n.items
	if n.kind == scalarNode {
		items = []*node{n}
	}
	if len(items) == 0 {
		d.failAt(n, what+" must be a list with something in it", "")
		return nil
	}
	var out []string
	for _, x := range items {
		s, ok := d.scalar(x, "each of "+what)
		switch {
		case !ok:
		case invisible(s) != "":
			d.failAt(x, fmt.Sprintf("a character that can't be seen (%s) is in this %s", invisible(s), what), "leave it out: with it the word is another than it looks")
		case len(known) > 0 && !contains(known, s):
			d.failAt(x, fmt.Sprintf("'%s' is no %s", clip(s), what), didYouMean(s, known))
		case contains(out, s):
			d.failAt(x, fmt.Sprintf("'%s' stands here twice", clip(s)), "")
		default:
			out = append(out, s)
		}
	}
	return out
}

func (d *decoder) one(n *node, what string, known ...string) (string, bool) {
	s, ok := d.scalar(n, what)
	if ok && !contains(known, s) {
		d.failAt(n, fmt.Sprintf("'%s' is no %s", clip(s), what), didYouMean(s, known))
		return "", false
	}
	return s, ok
}

func (d *decoder) flag(n *node, what string) bool {
	s, _ := d.one(n, what, "true", "false")
	return s == "true"
}

func (d *decoder) count(n *node, what string) int {
	s, ok := d.scalar(n, what)
	if !ok {
		return 0
	}
	const most = 100
	i, err := strconv.Atoi(s)
	if err != nil || i < 1 || i > most || s[0] == '0' || s[0] == '+' {
		d.failAt(n, fmt.Sprintf("%s must be a whole number from 1 to %d", what, most), "")
		return 0
	}
	return i
}

func (d *decoder) duration(n *node, what string) time.Duration {
	s, ok := d.scalar(n, what)
	if !ok {
		return 0
	}
	const longest = 31 * 24 * time.Hour
	t, err := time.ParseDuration(s)
	if err != nil || t <= 0 || t > longest {
		d.failAt(n, fmt.Sprintf("'%s' is no duration for %s", clip(s), what), "write it as 90s, 15m or 2h30m, up to 744h")
		return 0
	}
	return t
}

func (d *decoder) name(n *node, what string) string {
	s, ok := d.scalar(n, what)
	if ok && !validName(s) {
		d.failAt(n, fmt.Sprintf("'%s' is no name for %s", clip(s), what), "use lower-case letters, digits, '-', '_' and '.'")
	}
	return s
}

// validName is [a-z0-9][a-z0-9._-]{0,99}.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return s != "" && len(s) <= 100
}

// pack reads the file. It returns nil when there were errors.
func (d *decoder) pack(data []byte) *pack {
	root := d.parseYAML(data)
	if root == nil || len(d.errs) > 0 {
		return nil
	}
	f := d.mapping(root, "a pack", packKeys()...)
	if f == nil {
		return nil
	}
	p := &pack{at: d.place(root.line, root.column), calendars: map[string]*calendar{}, raw: root.canonical()}
	d.require(root, f, "a pack", "apiVersion", "kind", "metadata", "rules")
	if n := f["apiVersion"]; n != nil {
		d.one(n, "apiVersion", "assent/v1")
	}
	if n := f["kind"]; n != nil {
		d.one(n, "kind of file", "PolicyPack")
	}
	if n := f["metadata"]; n != nil {
		d.metadata(n, p)
	}
	if n := f["locked"]; n != nil {
		p.locked = d.flag(n, "locked")
	}
	if n := f["scope"]; n != nil {
		p.scope = &scope{}
		p.scope.kinds, _, p.scope.lines = d.matched(n, "scope")
		for i := range p.scope.lines {
			p.scope.lines[i].scope = true
		}
	}
	if n := f["calendars"]; n != nil {
		d.calendars(n, p)
	}
	if n := f["rules"]; n != nil {
		d.rules(n, p)
	}
	if n := f["tests"]; n != nil {
		d.tests(n, p)
	}
	if len(d.errs) == 0 {
		d.namedRules(p)
	}
	if len(d.errs) > 0 {
		return nil
	}
	return p
}

// howToWrite is what stands for a key that is missing.
var howToWrite = map[string]string{
	"apiVersion": "apiVersion: assent/v1",
	"kind":       "kind: PolicyPack",
	"metadata":   "metadata: { name: NAME, version: 1.0.0 }",
	"rules":      "rules: [{ id: ID, match: { kind: data.export }, then: deny }]",
}

func (d *decoder) require(at *node, f map[string]*node, what string, keys ...string) {
	for _, k := range keys {
		if f[k] == nil {
			d.failAt(at, fmt.Sprintf("%s needs '%s'", what, k), howToWrite[k])
		}
	}
}

func (d *decoder) metadata(n *node, p *pack) {
	f := d.mapping(n, "metadata", metadataKeys()...)
	d.require(n, f, "metadata", "name", "version")
	if x := f["name"]; x != nil {
		p.name, p.at = d.name(x, "a pack"), d.place(x.line, x.column)
	}
	if x := f["version"]; x != nil {
		p.version, _ = d.scalar(x, "version")
	}
	if x := f["owner"]; x != nil {
		p.owner, _ = d.scalar(x, "owner")
	}
}

func (d *decoder) calendars(n *node, p *pack) {
	if n.kind != mappingNode {
		d.failAt(n, "calendars must be a mapping of names", "")
		return
	}
	for _, f := range n.fields {
		if p.calendars[f.key.text] != nil {
			d.failAt(f.key, fmt.Sprintf("a calendar named '%s' is already here", clip(f.key.text)), "")
		}
		p.calendars[d.name(f.key, "a calendar")] = d.calendar(f.value)
	}
}

func (d *decoder) calendar(n *node) *calendar {
	c, before := &calendar{zone: time.UTC}, len(d.errs)
	f := d.mapping(n, "a calendar", calendarKeys()...)
	d.require(n, f, "a calendar", "tz", "days", "from", "to")
	if x := f["tz"]; x != nil {
		s, ok := d.scalar(x, "tz")
		zone, err := time.LoadLocation(s)
		if ok && (err != nil || s == "Local") {
			d.failAt(x, fmt.Sprintf("there is no time zone '%s'", clip(s)), "use a name such as Europe/Berlin or UTC")
		} else if ok {
			c.zone = zone
		}
	}
	if x := f["days"]; x != nil {
		days := d.words(x, "day", dayNames()...)
		for i, name := range dayNames() {
			c.days[i] = contains(days, name)
		}
	}
	for key, minutes := range map[string]*int{"from": &c.from, "to": &c.to} {
		if x := f[key]; x != nil {
			s, ok := d.scalar(x, key)
			if m, valid := clockMinutes(s); ok && valid {
				*minutes = m
			} else if ok {
				d.failAt(x, fmt.Sprintf("'%s' is no time of day", clip(s)), `write it quoted, as "20:00"`)
			}
		}
	}
	if x := f["to"]; x != nil && f["from"] != nil && c.from%(24*60) == c.to%(24*60) && (c.from != 0 || c.to == 0) && len(d.errs) == before {
		d.failAt(x, fmt.Sprintf("this window ends when it begins, at %s: that may be no time or a whole day", clip(x.text)), `for whole days write from: "00:00" and to: "24:00"`)
	}
	return c
}

func (d *decoder) rules(n *node, p *pack) {
	if n.kind != sequenceNode || len(n.items) == 0 {
		d.failAt(n, "an empty pack: it has no rules", "")
		return
	}
	seen := map[string]bool{}
	for _, x := range n.items {
		before := len(d.errs)
		r := d.rule(x, p)
		if r == nil {
			continue
		}
		if r.id != "" && seen[r.id] {
			d.fail(r.at, fmt.Sprintf("a rule named '%s' is already in this pack", r.id), "give each rule its own id")
		}
		seen[r.id] = true
		if len(d.errs) == before {
			p.rules = append(p.rules, r)
		}
	}
}

func (d *decoder) rule(n *node, p *pack) *rule {
	f := d.mapping(n, "a rule", ruleKeys()...)
	if f == nil {
		return nil
	}
	r := &rule{pack: p.name, kinds: everyKind, at: d.place(n.line, n.column)}
	d.require(n, f, "a rule", "id", "then")
	if x := f["id"]; x != nil {
		r.id, r.at = d.name(x, "a rule"), d.place(x.line, x.column)
		if r.id == RuleDefault || r.id == RuleHarmless {
			d.failAt(x, fmt.Sprintf("'%s' names what decides when no rule does", r.id), "choose another id")
		}
	}
	if f["then"] == nil {
		return r
	}
	then, ok := d.one(f["then"], "verdict", effectNames()...)
	if !ok {
		return r
	}
	r.then = effect(slices.Index(effectNames(), then))
	d.mode(n, f, r)
	if x := f["match"]; x != nil {
		d.match(x, r)
	}
	everywhere := r.everywhere()
	d.intoScope(n, r, p.scope)
	if x := f["when"]; x != nil {
		d.when(x, r, p)
	}
	d.consequences(n, f, r)
	for key, list := range map[string]*[]string{"show": &r.show, "notify": &r.notify} {
		if x := f[key]; x != nil {
			*list = d.list(x, key)
		}
	}
	if x := f["reason"]; x != nil {
		d.reason(x, r)
	}
	if x := f["tags"]; x != nil {
		r.tags = d.tags(x)
	}
	exact := false
	if r.then == thenAllow && everywhere && r.when != nil && r.when.blind == DontKnow {
		r.broad, exact = d.alwaysKnown(r)
	}
	if r.then == thenAllow && everywhere && (f["when"] == nil || r.when != nil && (r.when.blind == Yes || r.broad && exact)) {
		d.failAt(n, "a rule that permits everything", "say under `match` or `when` what it permits: a condition that always holds, every kind, or `resource: '*'` says nothing")
	}
	d.finish(n, r)
	return r
}

// finish fits the kinds to the verdict and prepares what decisions copy.
func (d *decoder) finish(n *node, r *rule) {
	r.fitKinds()
	if r.kinds == 0 && len(d.errs) == 0 {
		d.failAt(n, "a rule can't permit the kind 'unknown'", "let people decide: `then: review`")
	}
	r.hit = Hit{Rule: r.id, Pack: r.pack, Then: r.then.String(), name: r.pack + "/" + r.id}
	r.excused = Hit{Rule: r.id, Pack: r.pack, Then: thenReview.String(), name: r.hit.name}
	for _, q := range []*Requirement{r.approval, r.unless} {
		if q != nil {
			q.Rule, q.Pack = r.id, r.pack
		}
	}
}

// fitKinds fits the kinds of a rule to its verdict.
func (r *rule) fitKinds() {
	switch r.then {
	case thenAllow:
		r.kinds &^= kindUnknown | noKind // what nobody understood is never permitted outright
	case thenMask:
		r.kinds |= kindUnknown // unknown may be any kind, so a mask applies
	}
}

func (d *decoder) mode(n *node, f map[string]*node, r *rule) {
	if x := f["mode"]; x != nil {
		s, _ := d.one(x, "mode", modeNames()...)
		r.mode = map[string]mode{"shadow": shadow, "off": off}[s]
	}
	x := f["until"]
	switch {
	case x == nil && r.mode == shadow:
		d.failAt(n, "a shadow mode needs 'until'", "write until: 2026-12-31, the last day it only watches")
	case x != nil && r.mode != shadow:
		d.failAt(x, "'until' ends a shadow mode, and this rule has none", "")
	case x != nil:
		s, ok := d.scalar(x, "until")
		day, err := time.Parse(time.DateOnly, s)
		if ok && err != nil {
			d.failAt(x, fmt.Sprintf("'%s' is no date", clip(s)), "write it as 2026-12-31")
		}
		at := d.place(x.line, x.column)
		r.until, r.untilAt = day.AddDate(0, 0, 1), &at
	}
}

func (d *decoder) match(n *node, r *rule) {
	r.kinds, r.kindLine, r.lines = d.matched(n, "match")
}

// matched reads match, or the scope of a pack, which says where in the same words.
func (d *decoder) matched(n *node, what string) (kinds kindSet, kindLine int, lines []line) {
	kinds = everyKind
	specs := lineSpecs()
	keys := []string{"kind"}
	for _, s := range specs {
		keys = append(keys, s.key)
	}
	f := d.mapping(n, what, keys...)
	if f != nil && len(f) == 0 {
		d.failAt(n, "an empty "+what, "leave it out to match everything")
	}
	if x := f["kind"]; x != nil {
		kinds, kindLine = 0, x.line
		for _, k := range d.words(x, "kind", kindNames()...) {
			kinds |= kindBit(action.Kind(k))
		}
	}
	for _, s := range specs {
		x := f[s.key]
		if x == nil {
			continue
		}
		known := s.enum
		if s.key == "class" || s.key == "group" {
			known = append(ownWords(x), known...)
		}
		values := d.words(x, s.key, known...)
		for _, v := range values {
			if s.key == "verb" && v != strings.ToLower(v) {
				d.failAt(x, fmt.Sprintf("the verb '%s' is not in lower case", clip(v)), "")
			}
			if exactly(s.key) && s.enum == nil && strings.ContainsAny(v, "*?") {
				d.failAt(x, fmt.Sprintf("%s takes no wildcards: '%s' would be compared as it stands", s.key, clip(v)), "list them, or leave it out for any")
			}
			if s.key == "subject" && !validGroup(v) {
				d.failAt(x, fmt.Sprintf("'%s' is no group", clip(v)), "write group:NAME")
			}
		}
		lines = append(lines, line{name: s.key, at: x.line, values: values, fact: d.vars[s.fact], test: s.test})
	}
	return kinds, kindLine, lines
}

func (d *decoder) when(n *node, r *rule, p *pack) {
	source, ok := d.scalar(n, "when")
	if !ok {
		return
	}
	if hidden := invisible(source); hidden != "" {
		d.failAt(n, fmt.Sprintf("a character that can't be seen (%s) is in this condition", hidden), `leave it out, or write it as an escape: "\u200b"`)
		return
	}
	if d.tooDear(n, r, source) { // before its patterns are compiled
		return
	}
	x, err := d.compileCondition(source, r.then == thenAllow, p.calendars)
	if err != nil {
		d.fail(d.inside(n, err), err.msg, err.remedy)
		return
	}
	if x.cost > maxCost {
		d.dear(n, r, x.cost)
		return
	}
	r.when, r.whenLine, r.whenBlock = x, n.line, n.block
	for _, v := range x.reads {
		r.claims = r.claims || v.vouch == claimed
		r.raises = r.raises || v.raises
	}
}

// tooDear reports, and says, that the patterns of a condition are more than those of one,
// or of all packs, may be.
func (d *decoder) tooDear(n *node, r *rule, source string) bool {
	known := d.checked[source] != nil
	checked, err := d.check(source)
	if err != nil {
		return false // the compiler says so
	}
	e := checked.NativeRep().Expr()
	own, before := patterns(e), d.patterns
	if own > maxCost {
		d.dear(n, r, own)
		return true
	}
	if known {
		return false
	}
	if d.patterns += own; d.patterns <= maxPatterns {
		return false
	}
	if before <= maxPatterns { // once is enough
		d.failAt(n, fmt.Sprintf("with the rule '%s' the patterns of all packs have %d instructions, more than %d", clip(r.id), d.patterns, maxPatterns), "shorten what they repeat, as in a{1,1000}, or say under `match` what can be said there")
	}
	return true
}

func (d *decoder) dear(n *node, r *rule, steps int) {
	d.failAt(n, fmt.Sprintf("the rule '%s' may cost %d steps, more than %d", clip(r.id), steps, maxCost), "make a rule of each part, or say under `match` what can be said there")
}

// inside is the place of a mistake within the text of n.
func (d *decoder) inside(n *node, e *celError) place {
	line, column := n.line, n.column+e.column
	switch {
	case n.block:
		line += e.line
		if line > len(d.lines) {
			return d.place(n.line, n.column)
		}
		column = d.indent(n.line) + e.column + 1
	case e.line > 1:
		column = n.column
	case n.quoted:
		column++
	}
	return d.place(line, column)
}

// indent is that of the block whose | or > stands on line, which its first text sets.
func (d *decoder) indent(line int) int {
	for _, text := range d.lines[line:] {
		if trimmed := strings.TrimLeft(text, " "); strings.TrimSpace(trimmed) != "" {
			return len(text) - len(trimmed)
		}
	}
	return 0
}

func (d *decoder) reason(n *node, r *rule) {
	text, ok := d.scalar(n, "reason")
	if !ok {
		return
	}
	t, errs := d.template(strings.TrimSpace(text))
	for _, err := range errs {
		d.fail(d.inside(n, err), err.msg, err.remedy)
	}
	r.reason = t
}

// shown is what a card can show.
func shown() []string {
	return []string{"rows", "bytes", "classes", "finding_counts", "destination", "ticket", "claims", "preview", "statement_masked", "target", "objects", "delegation"}
}

func (d *decoder) list(n *node, key string) []string {
	if key == "show" {
		return d.words(n, key, shown()...)
	}
	list := d.words(n, key)
	for _, s := range list {
		channel, target, ok := strings.Cut(s, ":")
		switch {
		case strings.Contains(s, "://"): // such a URL is a secret: the error doesn't repeat it
			p := d.place(n.line, n.column)
			p.source = ""
			d.fail(p, "a URL is nobody to notify", "name the target as the deployment's configuration does: webhook:NAME")
		case !ok || target == "" || !contains(channelNames(), channel):
			d.failAt(n, fmt.Sprintf("'%s' is nobody to notify", clip(s)), `write "slack:#incidents"; channels are `+strings.Join(channelNames(), ", "))
		case d.targets != nil && !contains(d.targets, s):
			d.failAt(n, fmt.Sprintf("'%s' is no place that the configuration names", clip(s)), cmp.Or(didYouMean(s, d.targets), "name it under `channels`: as `to` of a route, or under `places`"))
		}
	}
	return list
}
