package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
)

// A testCase is one inline test of a pack.
type testCase struct {
	name    string
	at      place
	in      Input
	reviews []reviewer
	want    expectation
}

// A reviewer answers in a test. One without groups is taken to be in every
// group that is asked.
type reviewer struct {
	id     string
	groups []string
}

// An expectation checks only what its pack wrote down.
type expectation struct {
	pack     string
	decision string
	rule     string
	ruleAt   place
	rules    []string // all that decided; nil: not asked
	count    int
	expires  time.Duration
	mask     map[string]string
	rows     *int64
	granted  string // "true", "false" or ""
	missing  int    // -1: not asked
	refused  map[string]string
}

func (d *decoder) tests(n *node, p *pack) {
	if n.kind != sequenceNode || len(n.items) == 0 {
		d.failAt(n, "tests must be a list with something in it", "")
		return
	}
	names := map[string]bool{}
	for _, x := range n.items {
		c := d.testCase(x)
		if c == nil {
			continue
		}
		if names[c.name] {
			d.fail(c.at, fmt.Sprintf("a test named '%s' is already in this pack", clip(c.name)), "")
		}
		names[c.name] = true
		p.tests = append(p.tests, c)
	}
}

func (d *decoder) testCase(n *node) *testCase {
	f := d.mapping(n, "a test", testKeys()...)
	if f == nil {
		return nil
	}
	d.require(n, f, "a test", "name", "given", "want")
	c := &testCase{at: d.place(n.line, n.column)}
	if x := f["name"]; x != nil {
		c.name, _ = d.scalar(x, "name")
		c.at = d.place(x.line, x.column)
	}
	if x := f["given"]; x != nil {
		c.in = d.given(x)
	}
	if x := f["reviews"]; x != nil {
		c.reviews = d.reviewers(x)
	}
	if x := f["want"]; x != nil {
		c.want = d.want(x)
	}
	return c
}

// A fact puts one key of `given:` into the input.
type fact struct {
	key string
	doc string
	set func(d *decoder, n *node, in *Input)
}

// unknownFact says that n spells a fact nobody knows.
func unknownFact(n *node) bool { return n.kind == scalarNode && !n.quoted && n.text == "unknown" }

func textFact(key string, at func(*Input) *string, known ...string) fact {
	doc := "text"
	if len(known) > 0 {
		doc = strings.Join(known, ", ")
	}
	return fact{key: key, doc: doc, set: func(d *decoder, n *node, in *Input) {
		if unknownFact(n) {
			return
		}
		s, ok := d.scalar(n, key)
		if ok && len(known) > 0 {
			s, _ = d.one(n, key, known...)
		}
		*at(in) = s
	}}
}

func countFact(key string, at func(*Input) *action.Count) fact {
	return fact{key: key, doc: "whole number or `unknown`", set: func(d *decoder, n *node, in *Input) {
		if unknownFact(n) {
			return
		}
		s, ok := d.scalar(n, key)
		v, err := strconv.ParseInt(s, 10, 64)
		if ok && (err != nil || v < 0) {
			d.failAt(n, fmt.Sprintf("%s must be a whole number from 0 up, or unknown", key), "")
		}
		*at(in) = action.KnownCount(v)
	}}
}

func triFact(key string, at func(*Input) *Tri) fact {
	return fact{key: key, doc: "`true`, `false` or `unknown`", set: func(d *decoder, n *node, in *Input) {
		if !unknownFact(n) {
			*at(in) = tri(d.flag(n, key))
		}
	}}
}

func flagFact(key string, at func(*Input) *bool) fact {
	return fact{key: key, doc: "`true` or `false`", set: func(d *decoder, n *node, in *Input) { *at(in) = d.flag(n, key) }}
}

// listFact reads a list that may be empty, which says that it is known to be.
func listFact(key string, known []string, set func(in *Input, list []string)) fact {
	return fact{key: key, doc: "list or `unknown`", set: func(d *decoder, n *node, in *Input) {
		switch {
		case unknownFact(n):
		case n.kind == sequenceNode && len(n.items) == 0:
			set(in, nil)
		default:
			list := d.words(n, key, known...)
			slices.Sort(list)
			set(in, list)
		}
	}}
}

// facts lists what `given:` may say. What it doesn't say is unknown.
var facts = sync.OnceValue(func() []fact {
	return slices.Concat(actionFacts(), dataFacts(), whoFacts(), contextFacts())
})

func actionFacts() []fact {
	return []fact{
		{key: "kind", doc: "one kind or a list", set: func(d *decoder, n *node, in *Input) {
			for _, k := range d.words(n, "kind", kindNames()...) {
				in.Action.Kinds = append(in.Action.Kinds, action.Kind(k))
			}
		}},
		textFact("verb", func(in *Input) *string { return &in.Action.Verb }),
		textFact("target", func(in *Input) *string { return &in.Action.Target }),
		textFact("shape", func(in *Input) *string { return &in.Action.Shape }),
		textFact("harmless", func(in *Input) *string { return &in.Harmless }),
		flagFact("routine", func(in *Input) *bool { return &in.Action.Routine }),
		flagFact("reversible", func(in *Input) *bool { return &in.Action.Reversible }),
		textFact("env", func(in *Input) *string { return &in.Action.Resource.Env }),
		textFact("resource", func(in *Input) *string { return &in.Action.Resource.URN }),
		textFact("type", func(in *Input) *string { return &in.Action.Resource.Type }),
		{key: "labels", doc: "mapping of text", set: func(d *decoder, n *node, in *Input) {
			in.Action.Resource.Labels = map[string]string{}
			for k, x := range d.mapping(n, "labels") {
				in.Action.Resource.Labels[k], _ = d.scalar(x, "a label")
			}
		}},
	}
}

func dataFacts() []fact {
	return []fact{
		countFact("rows", func(in *Input) *action.Count { return &in.Action.Data.Rows }),
		countFact("bytes", func(in *Input) *action.Count { return &in.Action.Data.Bytes }),
		listFact("classes", classNames(), func(in *Input, l []string) {
			in.Action.Data.ClassesKnown, in.Action.Data.Classes = true, l
			for _, class := range l {
				in.Action.Data.Groups = addSorted(in.Action.Data.Groups, groupsOf(class)...)
			}
		}),
		listFact("groups", groupNames(), func(in *Input, l []string) {
			in.Action.Data.ClassesKnown = true
			for _, g := range l {
				in.Action.Data.Groups = addSorted(in.Action.Data.Groups, g)
			}
		}),
		{key: "findings", doc: "mapping of classes to counts", set: func(d *decoder, n *node, in *Input) {
			in.Action.Data.Findings = map[string]int64{}
			for k, x := range d.mapping(n, "findings", classNames()...) {
				s, _ := d.scalar(x, "a count")
				v, err := strconv.ParseInt(s, 10, 64)
				if err != nil || v < 0 {
					d.failAt(x, "a count must be a whole number from 0 up", "")
				}
				in.Action.Data.Findings[k] = v
			}
		}},
		{key: "read_1h", doc: "mapping of classes, or `all`, to rows", set: func(d *decoder, n *node, in *Input) {
			read := givenReads{}
			for k, x := range d.mapping(n, "read_1h", append(classNames(), "all")...) {
				s, _ := d.scalar(x, "a number of rows")
				v, err := strconv.ParseInt(s, 10, 64)
				if err != nil || v < 0 {
					d.failAt(x, "rows must be a whole number from 0 up", "")
				}
				read[k] = v
			}
			in.Read = read
		}},
		flagFact("unscanned", func(in *Input) *bool { return &in.Action.Data.Unscanned }),
		flagFact("inferred", func(in *Input) *bool { return &in.Action.Data.Inferred }),
		flagFact("computed", func(in *Input) *bool { return &in.Action.Data.Computed }),
		flagFact("aggregated", func(in *Input) *bool { return &in.Action.Data.Aggregated }),
		listFact("inferred_of", classNames(), func(in *Input, l []string) { in.Action.Data.Inferred, in.Action.Data.InferredOf = len(l) > 0, l }),
		listFact("computed_of", classNames(), func(in *Input, l []string) { in.Action.Data.Computed, in.Action.Data.ComputedOf = len(l) > 0, l }),
		listFact("aggregated_of", classNames(), func(in *Input, l []string) {
			in.Action.Data.Aggregated, in.Action.Data.AggregatedOf = len(l) > 0, l
		}),
		textFact("destination", func(in *Input) *string { return &in.Action.Data.Destination }),
		textFact("destination_trust", func(in *Input) *string { return &in.Action.Data.DestinationTrust }, "internal", "external"),
	}
}

// givenReads are the reads that a test states.
type givenReads map[string]int64

func (g givenReads) Rows(class string) int64 { return g[class] }

func addSorted(list []string, more ...string) []string {
	for _, s := range more {
		if !contains(list, s) {
			list = append(list, s)
		}
	}
	slices.Sort(list)
	return list
}

func whoFacts() []fact {
	return []fact{
		textFact("subject", func(in *Input) *string { return &in.SubjectID }),
		listFact("subject_groups", nil, func(in *Input, l []string) { in.SubjectGroups = l }),
		{key: "actor", doc: "a type (" + strings.Join(actorTypes(), ", ") + "), or the id of an agent", set: func(d *decoder, n *node, in *Input) {
			s, ok := d.scalar(n, "actor")
			switch {
			case !ok || unknownFact(n):
			case contains(actorTypes(), s):
				in.ActorType = s
			default:
				in.ActorID, in.ActorType = s, "agent"
			}
		}},
		{key: "delegation", doc: "list of ids, the acting one first; unless said, the agent's own", set: func(d *decoder, n *node, in *Input) {
			for _, id := range d.words(n, "delegation") {
				in.Action.Actors = append(in.Action.Actors, action.Link{ID: id, Type: "agent"})
			}
		}},
		textFact("owner", func(in *Input) *string { return &in.ActorOwner }),
		textFact("model", func(in *Input) *string { return &in.ActorModel }),
		textFact("trust", func(in *Input) *string { return &in.ActorTrust }),
	}
}

func contextFacts() []fact {
	claims := func(in *Input) *action.Claims { return &in.Action.Claims }
	return []fact{
		{key: "time", doc: "quoted RFC 3339 time", set: func(d *decoder, n *node, in *Input) {
			if unknownFact(n) {
				return
			}
			s, ok := d.scalar(n, "time")
			t, err := time.Parse(time.RFC3339, s)
			if ok && err != nil {
				d.failAt(n, fmt.Sprintf("'%s' is no time", clip(s)), `write it as "2026-11-24T20:00:00+01:00" (RFC 3339)`)
			}
			in.Time = t
		}},
		textFact("ticket", func(in *Input) *string { return &claims(in).Ticket }),
		textFact("reason", func(in *Input) *string { return &claims(in).Reason }),
		textFact("session", func(in *Input) *string { return &claims(in).Session }),
		flagFact("break_glass", func(in *Input) *bool { return &claims(in).BreakGlass }),
		triFact("intent_named_target", func(in *Input) *Tri { return &in.IntentTarget }),
		triFact("novel_shape", func(in *Input) *Tri { return &in.NovelShape }),
		triFact("novel_target", func(in *Input) *Tri { return &in.NovelTarget }),
		triFact("tainted", func(in *Input) *Tri { return &in.Tainted }),
		triFact("saw_sensitive", func(in *Input) *Tri { return &in.SawSensitive }),
		triFact("saw_untrusted", func(in *Input) *Tri { return &in.SawUntrusted }),
		countFact("rate_1h", func(in *Input) *action.Count { return &in.Rate1h }),
		countFact("rate_24h", func(in *Input) *action.Count { return &in.Rate24h }),
		countFact("preview_rows", func(in *Input) *action.Count { return &in.Preview.Rows }),
		countFact("preview_objects", func(in *Input) *action.Count { return &in.Preview.Objects }),
		countFact("preview_creates", func(in *Input) *action.Count { return &in.Preview.Creates }),
		countFact("preview_changes", func(in *Input) *action.Count { return &in.Preview.Changes }),
		countFact("preview_destroys", func(in *Input) *action.Count { return &in.Preview.Destroys }),
		countFact("preview_smallest_group", func(in *Input) *action.Count { return &in.Preview.SmallestGroup }),
		riskFact(),
	}
}

// riskFact may be left out: it follows from the others.
func riskFact() fact {
	f := countFact("risk", func(in *Input) *action.Count { return &in.Risk })
	f.doc += "; what the other facts add up to where it isn't said"
	return f
}

func (d *decoder) given(n *node) Input {
	table := facts()
	keys := make([]string, len(table))
	for i, f := range table {
		keys[i] = f.key
	}
	in := Input{Action: &action.Action{}}
	if n.field("time") == nil {
		in.Time = d.now
	}
	fields := d.mapping(n, "given", keys...)
	for _, f := range table {
		if x := fields[f.key]; x != nil {
			f.set(d, x, &in)
		}
	}
	if in.ActorID != "" && in.Action.Actors == nil {
		in.Action.Actors = []action.Link{{ID: in.ActorID, Type: in.ActorType}}
	}
	in.Action.Subject = in.SubjectID
	if fields["risk"] == nil {
		in.Weigh()
	}
	return in
}

func (d *decoder) reviewers(n *node) []reviewer {
	if n.kind != sequenceNode {
		d.failAt(n, "reviews must be a list of who approves", "")
		return nil
	}
	var out []reviewer
	for _, x := range n.items {
		if x.kind == scalarNode {
			out = append(out, reviewer{id: x.text})
			continue
		}
		f := d.mapping(x, "each of reviews", "by", "groups")
		d.require(x, f, "each of reviews", "by", "groups")
		var r reviewer
		if by := f["by"]; by != nil {
			r.id, _ = d.scalar(by, "by")
		}
		if g := f["groups"]; g != nil {
			r.groups = d.groups(g)
		}
		out = append(out, r)
	}
	return out
}

func (d *decoder) want(n *node) expectation {
	f := d.mapping(n, "want", wantKeys()...)
	want := expectation{missing: -1}
	if len(f) == 0 {
		d.failAt(n, "a test that wants nothing can't fail", "want: { decision: deny }")
	}
	if x := f["decision"]; x != nil {
		want.decision, _ = d.one(x, "decision", "allow", "deny", "review")
	}
	if x := f["rule"]; x != nil {
		want.rule, _ = d.scalar(x, "rule")
		want.ruleAt = d.place(x.line, x.column)
	}
	if x := f["rules"]; x != nil {
		want.rules = d.words(x, "rules")
		want.ruleAt = d.place(x.line, x.column)
	}
	if x := f["count"]; x != nil {
		want.count = d.count(x, "count")
	}
	if x := f["expires"]; x != nil {
		want.expires = d.duration(x, "expires")
	}
	if x := f["mask"]; x != nil {
		want.mask = map[string]string{}
		if x.kind != mappingNode || len(x.fields) > 0 {
			want.mask = d.maskMethods(x)
		}
	}
	if x := f["limit"]; x != nil {
		d.wantLimit(x, &want)
	}
	if x := f["granted"]; x != nil {
		want.granted = strconv.FormatBool(d.flag(x, "granted"))
	}
	if x := f["missing"]; x != nil {
		v, err := strconv.Atoi(x.text)
		if want.missing = v; err != nil || v < 0 {
			d.failAt(x, "missing must be a whole number from 0 up", "")
		}
	}
	if x := f["refused"]; x != nil {
		want.refused = map[string]string{}
		for who, why := range d.mapping(x, "refused") {
			want.refused[who], _ = d.one(why, "reason why one is refused", refusals()...)
		}
	}
	return want
}

// refusals are why a review is not counted, as checkQuorum finds.
func refusals() []string {
	return []string{"owner", "actor", "subject", "already reviewed", "not in the group"}
}

// namedRules finds tests that want rules which their pack doesn't have.
func (d *decoder) namedRules(p *pack) {
	known := []string{RuleDefault, RuleHarmless}
	for _, r := range p.rules {
		known = append(known, r.id)
	}
	for _, c := range p.tests {
		w := &c.want
		w.pack, w.rule = p.name, strings.TrimPrefix(w.rule, p.name+"/")
		for i := range w.rules {
			w.rules[i] = strings.TrimPrefix(w.rules[i], p.name+"/")
		}
		for _, name := range append([]string{w.rule}, w.rules...) {
			if name != "" && !contains(known, name) {
				d.fail(w.ruleAt, fmt.Sprintf("this pack has no rule '%s'", clip(name)), didYouMean(name, known))
			}
		}
	}
}

func (d *decoder) wantLimit(x *node, want *expectation) {
	f := d.mapping(x, "limit", "rows")
	d.require(x, f, "limit", "rows")
	if r := f["rows"]; r != nil {
		v, err := strconv.ParseInt(r.text, 10, 64)
		if err != nil || v < 0 {
			d.failAt(r, "rows must be a whole number from 0 up", "")
		}
		want.rows = &v
	}
}

// A TestResult is how one inline test came out.
type TestResult struct {
	Pack     string   `json:"pack"`
	Test     string   `json:"test"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Passed   bool     `json:"passed"`
	Failures []string `json:"failures,omitempty"` // "decision is deny, want review"
	Rules    []string `json:"rules"`              // what matched, with the default
}

// Test runs the inline tests of every pack: each against its own pack alone,
// so that a pack means the same wherever it is used.
func (s *Set) Test() []TestResult {
	var out []TestResult
	for _, p := range s.packs {
		out = append(out, s.alone(p, "").test(p)...)
	}
	return out
}

// alone is a set of p only, without the rule named without.
func (s *Set) alone(p *pack, without string) *Set {
	own := &Set{packs: []*pack{p}, bundle: s.bundle}
	for _, r := range p.rules {
		if r.id != without {
			copied := *r // build numbers the masks of its rules
			own.rules = append(own.rules, &copied)
		}
	}
	own.build()
	return own
}

func (s *Set) test(p *pack) []TestResult {
	var out []TestResult
	for _, c := range p.tests {
		d := s.Explain(&c.in)
		r := TestResult{Pack: p.name, Test: c.name, File: c.at.file, Line: c.at.line, Failures: c.want.check(&d)}
		r.Failures = append(r.Failures, c.checkQuorum(&d)...)
		for _, h := range d.Rules {
			r.Rules = append(r.Rules, h.Rule)
		}
		for _, h := range d.Shadow {
			r.Rules = append(r.Rules, h.Rule)
		}
		r.Passed = len(r.Failures) == 0
		out = append(out, r)
	}
	return out
}

func (w *expectation) check(d *Decision) []string {
	var bad []string
	differ := func(what string, got, want any) {
		bad = append(bad, fmt.Sprintf("%s is %v, want %v", what, got, want))
	}
	if got := d.Verdict.String(); w.decision != "" && got != w.decision {
		differ("decision", got, w.decision)
	}
	var decided, masked []string
	for _, h := range d.Rules {
		switch h.Then {
		case d.Verdict.String():
			decided = append(decided, h.Rule)
		case thenMask.String():
			masked = append(masked, h.Rule)
		}
	}
	if w.rule != "" && !contains(decided, w.rule) && !contains(masked, w.rule) {
		differ("rule", namesOf(w.pack, append(decided, masked...)), named(w.pack, w.rule))
	}
	if contains(decided, RuleDefault) { // what rests on a claim may have matched, and lifted nothing
		for _, h := range d.Rules {
			if h.Then == Review.String() {
				decided = append(decided, h.Rule)
			}
		}
	}
	if w.rules != nil && !slices.Equal(slices.Sorted(slices.Values(decided)), slices.Sorted(slices.Values(w.rules))) {
		differ("rules", namesOf(w.pack, decided), namesOf(w.pack, w.rules))
	}
	if got := seatsNeeded(d); w.count != 0 && got != w.count {
		differ("count", got, w.count)
	}
	if got := soonest(d); w.expires != 0 && got != w.expires {
		differ("expires", got, w.expires)
	}
	if w.mask != nil && !maps.Equal(d.Masks, w.mask) {
		differ("mask", d.Masks, w.mask)
	}
	if w.rows != nil && (!d.RowLimit.Known || d.RowLimit.N != *w.rows) {
		differ("limit of rows", d.RowLimit, *w.rows)
	}
	return bad
}

// namesOf are rules of a pack as explain and the records name them.
func namesOf(pack string, rules []string) string {
	out := make([]string, len(rules))
	for i, id := range rules {
		out[i] = named(pack, id)
	}
	return strings.Join(out, ", ")
}

// seatsNeeded is the largest number of people one requirement asks for.
func seatsNeeded(d *Decision) int {
	n := 0
	for _, q := range d.Requirements {
		n = max(n, q.Count)
	}
	return n
}

func soonest(d *Decision) time.Duration {
	var t time.Duration
	for _, q := range d.Requirements {
		if t == 0 || q.Expires < t {
			t = q.Expires
		}
	}
	return t
}

// checkQuorum plays the reviews of a test: who is refused a seat, whether the
// quorum is reached, and how many seats are missing. It knows the exclusions a
// test can state: the subject, the actor and the actor's owner.
func (c *testCase) checkQuorum(d *Decision) []string {
	w := &c.want
	if w.granted == "" && w.missing < 0 && w.refused == nil {
		return nil
	}
	if d.Verdict != Review {
		return []string{"nobody is asked, so nothing can be granted"}
	}
	excluded := map[string]string{}
	for _, x := range [][2]string{{c.in.ActorOwner, "owner"}, {c.in.ActorID, "actor"}, {c.in.SubjectID, "subject"}} {
		if x[0] != "" {
			excluded[x[0]] = x[1]
		}
	}
	refused, seen := map[string]string{}, map[string]bool{}
	var seated []reviewer
	for _, r := range c.reviews {
		switch {
		case excluded[r.id] != "":
			refused[r.id] = excluded[r.id]
		case seen[r.id]:
			refused[r.id] = "already reviewed"
		case !eligible(r, d):
			refused[r.id] = "not in the group"
		default:
			seated = append(seated, r)
		}
		seen[r.id] = true
	}
	missing := 0
	for i := range d.Requirements {
		missing = max(missing, missingSeats(&d.Requirements[i], seated))
	}
	var bad []string
	if got := strconv.FormatBool(missing == 0); w.granted != "" && got != w.granted {
		bad = append(bad, fmt.Sprintf("granted is %s, want %s", got, w.granted))
	}
	if w.missing >= 0 && missing != w.missing {
		bad = append(bad, fmt.Sprintf("missing is %d, want %d", missing, w.missing))
	}
	if w.refused != nil && !maps.Equal(refused, w.refused) {
		bad = append(bad, fmt.Sprintf("refused is %v, want %v", refused, w.refused))
	}
	return bad
}

func eligible(r reviewer, d *Decision) bool {
	for i := range d.Requirements {
		q := &d.Requirements[i]
		for _, g := range q.From {
			if r.in(g) {
				return true
			}
		}
		for _, s := range slices.Concat(q.AllOf, q.AnyOf) {
			if r.in(s.Group) {
				return true
			}
		}
	}
	return false
}

func (r *reviewer) in(group string) bool { return len(r.groups) == 0 || contains(r.groups, group) }

// missingSeats is how many seats of q stay empty when each person takes one:
// a largest matching of people to seats, by augmenting paths.
func missingSeats(q *Requirement, people []reviewer) int {
	least := -1
	for _, s := range q.AnyOf {
		one := Requirement{From: []string{s.Group}, Count: s.Count}
		if n := missingSeats(&one, people); least < 0 || n < least {
			least = n
		}
	}
	if least >= 0 {
		return least
	}
	var seats [][]string // groups that may fill each seat
	for _, s := range q.AllOf {
		for range s.Count {
			seats = append(seats, []string{s.Group})
		}
	}
	if len(q.AllOf) == 0 {
		for range q.Count {
			seats = append(seats, q.From)
		}
	}
	taken := make([]int, len(seats)) // person + 1
	filled := 0
	for p := range people {
		if seat(p, people, seats, taken, make([]bool, len(seats))) {
			filled++
		}
	}
	return len(seats) - filled
}

func seat(p int, people []reviewer, seats [][]string, taken []int, tried []bool) bool {
	for i, groups := range seats {
		if tried[i] || !slices.ContainsFunc(groups, people[p].in) {
			continue
		}
		tried[i] = true
		if taken[i] == 0 || seat(taken[i]-1, people, seats, taken, tried) {
			taken[i] = p + 1
			return true
		}
	}
	return false
}
