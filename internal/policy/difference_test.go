package policy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Random packs decide random actions twice: by closures and index, and by cel-go's
// interpreter, rule by rule. Agreement means, for each condition and each input:
//   - ours is Yes or No exactly where cel-go says true or false;
//   - ours is DontKnow exactly where cel-go says unknown, or fails (overflow, division by zero).
//
// An unknown fact is one of cel-go's unknowns. An incomplete list is what is known of it, and an
// unknown beside: x in list is (x in list || rest), exists() likewise, all() is (… && !rest) and
// its size is unknown. And the decisions of both are equal.
//
// ACTIONS says how many, ASSENT_SEED repeats a run; scripts/soak policy runs ten million.
func TestClosuresAndInterpreterDecideAlike(t *testing.T) {
	actions := 100_000
	if n, err := strconv.Atoi(os.Getenv("ACTIONS")); err == nil && n > 0 {
		actions = n
	}
	if testing.Short() {
		actions = 5000
	}
	seed := uint64(1)
	if n, err := strconv.ParseUint(os.Getenv("ASSENT_SEED"), 10, 64); err == nil {
		seed = n
	} else if actions > 100_000 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("ASSENT_SEED=%d", seed)
	workers := runtime.GOMAXPROCS(0)
	var mu sync.Mutex
	var wg sync.WaitGroup
	total := newCounts()
	for w := range workers {
		wg.Go(func() {
			run, err := newDifference(rand.New(rand.NewPCG(seed, uint64(w))))
			for err == nil && run.seen.actions < actions/workers {
				err = run.pack(1000)
				if w == 0 && run.seen.actions%500_000 == 0 {
					t.Logf("%d of %d actions", workers*run.seen.actions, actions)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if run != nil {
				total.add(run.seen)
			}
		})
	}
	wg.Wait()
	t.Log(total)
	if !t.Failed() && !testing.Short() {
		total.complete(t)
	}
}

// A difference is one worker.
type difference struct {
	drawer
	env     *cel.Env
	unknown *types.Unknown
	seen    *counts
}

func newDifference(r *rand.Rand) (*difference, error) {
	x := &difference{
		drawer: drawer{Rand: r, vars: variables(), calendars: slices.Sorted(maps.Keys(windows()))}, seen: newCounts(),
		unknown: types.NewUnknown(1, types.NewAttributeTrail("fact")),
	}
	options := []cel.EnvOption{cel.Variable("rows_open", cel.BoolType)}
	for i := range x.vars {
		if v := &x.vars[i]; !v.reason {
			options = append(options, cel.Variable(v.name, celType(v.typ)))
			if v.typ == listVar {
				options = append(options, cel.Variable(v.name+restOf, cel.BoolType))
			}
		}
	}
	for name := range windows() {
		options = append(options, cel.Variable("calendar_"+name, cel.BoolType))
	}
	var err error
	x.env, err = cel.NewEnv(options...)
	return x, err
}

// A window is a calendar.
type window struct{ zone, days, from, to string }

func windows() map[string]window {
	return map[string]window{
		"day": {"UTC", "mon, tue, wed, thu, fri", "08:00", "18:00"}, "night": {"Europe/Berlin", "fri, sun", "22:00", "06:00"},
		"week": {"Asia/Kolkata", "sun, mon, tue, wed, thu, fri, sat", "00:00", "24:00"},
	}
}

// open says from the definition, a day at a time, whether t is in w.
func (w window) open(t time.Time) bool {
	zone, err := time.LoadLocation(w.zone)
	if err != nil {
		panic(err)
	}
	t = t.In(zone)
	clock := func(s string) int {
		var h, m int
		_, _ = fmt.Sscanf(s, "%d:%d", &h, &m)
		return h*60 + m
	}
	from, to := clock(w.from), clock(w.to)
	if to <= from {
		to += 24 * 60
	}
	for back := range 2 {
		day := strings.ToLower(t.AddDate(0, 0, -back).Format("Mon"))
		if now := t.Hour()*60 + t.Minute() + back*24*60; strings.Contains(w.days, day) && from <= now && now < to {
			return true
		}
	}
	return false
}

// A drawn rule is its text without the condition, and that.
type drawn struct {
	text string // "%s" stands for the condition
	then string
	when *term
}

func (x *difference) rule(id int) drawn {
	pick := x.pick
	then := pick("allow", "deny", "review", "mask")
	var b strings.Builder
	fmt.Fprintf(&b, "  - id: r%d\n    then: %s\n    match: { kind: %s", id, then, pick("data.read", "data.export", "[data.read, data.write]", "[unknown, data.delete]", "[data.read, schema.change, privilege.change]"))
	for _, l := range []string{
		"env: prod", "env: [prod, dev]", "resource: 'postgres:*'", "resource: ['postgres:a/x', 'mysql:*']", "resource: 'postgres:billing/prod/*'", "actor: [agent, human]",
		"verb: drop", "type: postgres", "subject: group:x", "destination: 'https://*'", "class: [email, card]", "group: pii",
	} {
		if key, _, _ := strings.Cut(l, ":"); x.IntN(8) == 0 && !strings.Contains(b.String(), " "+key+":") {
			b.WriteString(", " + l)
		}
	}
	b.WriteString(" }\n")
	switch then {
	case "review":
		b.WriteString("    approval: { from: [group:x], count: " + pick("1", "2") + " }\n")
	case "mask":
		b.WriteString("    mask: { " + pick("email", "card", "pii") + ": " + pick(maskNames()...) + " }\n")
	case "deny":
		b.WriteString(pick("", "    unless: { break_glass: true, approval: { from: [group:y] } }\n"))
	}
	b.WriteString(pick("", "", "", "", "    mode: shadow\n    until: 2026-11-23\n", "    mode: off\n"))
	x.permitting = then == "allow"
	r := drawn{then: then, when: x.drawBool(x.IntN(4))}
	r.text = b.String() + "    when: |-\n      %s\n"
	return r
}

func yamlOf(rules []drawn) []byte {
	var b strings.Builder
	b.WriteString("apiVersion: assent/v1\nkind: PolicyPack\nmetadata: { name: p, version: 1.0.0 }\ncalendars:\n")
	for _, name := range slices.Sorted(maps.Keys(windows())) {
		w := windows()[name]
		fmt.Fprintf(&b, "  %s: { tz: %s, days: [%s], from: %q, to: %q }\n", name, w.zone, w.days, w.from, w.to)
	}
	b.WriteString("rules:\n")
	for _, r := range rules {
		fmt.Fprintf(&b, r.text, r.when.write(false))
	}
	return []byte(b.String())
}

// load is a pack twice: as Assent decides it, and with cel-go's interpreter and no index.
func (x *difference) load(rules []drawn) (ours, theirs *Set, err error) {
	if ours, err = LoadFiles(map[string][]byte{"p.yaml": yamlOf(rules)}, Options{}); err != nil {
		return nil, nil, err
	}
	theirs = &Set{bundle: ours.bundle}
	for i, r := range ours.rules {
		copied := *r
		ask, err := x.interpreter(rules[i].when.asked(rules[i].then == "allow"))
		if err != nil {
			return nil, nil, err
		}
		copied.when = &expression{test: ask, rowLimit: r.when.rowLimit}
		theirs.rules = append(theirs.rules, &copied)
	}
	theirs.build()
	for i := range theirs.index {
		k := &theirs.index[i]
		*k = kindIndex{all: k.all, anyEnv: bucket{rules: k.all}}
	}
	for _, r := range theirs.rules {
		r.rest = r.lines
	}
	return ours, theirs, nil
}

// interpreter evaluates source by cel-go. It keeps its answer for the input it saw last.
func (x *difference) interpreter(source string) (cond, error) {
	tree, issues := x.env.Compile(source)
	if issues.Err() != nil {
		return nil, fmt.Errorf("cel-go refuses %s: %w", source, issues.Err())
	}
	program, err := x.env.Program(tree, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, fmt.Errorf("cel-go refuses %s: %w", source, err)
	}
	facts := &interpretedFacts{x: x}
	var last *Input
	var answer Tri
	return func(in *Input, _ string) Tri {
		if in == last {
			return answer
		}
		facts.in = in
		v, _, err := program.Eval(facts)
		last, answer = in, DontKnow
		if b, ok := v.(types.Bool); ok && err == nil {
			answer = tri(bool(b))
		}
		return answer
	}, nil
}

// interpretedFacts gives cel-go the facts of an input by name.
type interpretedFacts struct {
	x  *difference
	in *Input
}

func (a *interpretedFacts) Parent() cel.Activation { return nil }

func (a *interpretedFacts) ResolveName(name string) (any, bool) {
	known := func(v any, ok bool) (any, bool) {
		if !ok {
			return a.x.unknown, true
		}
		return v, true
	}
	if name == "rows_open" {
		return !a.in.Action.Data.Rows.Known, true
	}
	if c, ok := strings.CutPrefix(name, "calendar_"); ok {
		return known(windows()[c].open(a.in.Time), !a.in.Time.IsZero())
	}
	rest := strings.HasSuffix(name, restOf)
	name = strings.TrimSuffix(name, restOf)
	i := slices.IndexFunc(a.x.vars, func(v variable) bool { return v.name == name })
	if i < 0 {
		return nil, false
	}
	v := &a.x.vars[i]
	if rest {
		_, complete := v.list.size(a.in)
		return known(false, complete)
	}
	switch v.typ {
	case stringVar:
		return known(v.str(a.in))
	case intVar:
		return known(v.num(a.in))
	case boolVar:
		t := v.truth(a.in)
		return known(t == Yes, t != DontKnow)
	case timeVar:
		return known(a.in.Time, !a.in.Time.IsZero())
	case textMap:
		return a.in.Action.Resource.Labels, true
	case countMap:
		if v.name == "data.read_1h" {
			reads, ok := a.in.Read.(givenReads)
			return known(map[string]int64(reads), ok)
		}
		found := a.in.Action.Data.Findings
		_, ok := v.count(a.in, "")
		if found == nil {
			found = map[string]int64{}
		}
		return known(found, ok)
	}
	n, _ := v.list.size(a.in)
	out := make([]string, n)
	for i := range out {
		out[i] = v.list.at(a.in, i)
	}
	return out, true
}

// pack draws a pack and lets it decide n actions both ways.
func (x *difference) pack(n int) error {
	var rules []drawn
	for len(rules) < 10 {
		r := x.rule(len(rules))
		_, _, err := x.load([]drawn{r})
		switch {
		case err == nil:
			rules = append(rules, r)
		case refusal(err):
			x.seen.refused++
		default:
			return fmt.Errorf("%w\n%s", err, yamlOf([]drawn{r}))
		}
	}
	ours, theirs, err := x.load(rules)
	if err != nil {
		return err
	}
	x.seen.packs++
	for _, r := range rules {
		for _, t := range r.when.all() {
			x.seen.words[t.name]++
			if t.from != nil {
				x.seen.words[t.from.name]++
			}
		}
	}
	var d, e Decision
	for range n {
		in := x.input()
		x.seen.actions++
		for i, r := range ours.rules {
			got, want := r.when.test(in, ""), theirs.rules[i].when.test(in, "")
			x.seen.answers[got]++
			if got != want {
				return x.smallest(rules[i], in)
			}
		}
		ours.Decide(in, &d)
		theirs.Decide(in, &e)
		x.seen.verdicts[d.Verdict]++
		if a, b := said(&d), said(&e); a != b {
			return x.fewest(rules, in)
		}
	}
	x.seen.lost(x.vars, x.input())
	return nil
}

// refusal reports an error that a condition of the right types may have: it names what can never
// be, costs too much, or lets a score permit.
func refusal(err error) bool {
	return slices.ContainsFunc([]string{"is never the value here", " steps, more than ", "may raise a verdict, never lower one", "a rule that permits everything"}, func(s string) bool {
		return strings.Contains(err.Error(), s)
	})
}

// said is all of a decision that conditions have a part in.
func said(d *Decision) string {
	var b strings.Builder
	b.WriteString(d.Verdict.String())
	for _, h := range d.Rules {
		b.WriteString(" " + h.Rule + ":" + h.Then)
	}
	for _, h := range d.Shadow {
		b.WriteString(" shadow " + h.Rule)
	}
	for _, q := range d.Requirements {
		b.WriteString(" asks " + q.Rule)
	}
	for _, class := range slices.Sorted(maps.Keys(d.Masks)) {
		b.WriteString(" " + class + "=" + d.Masks[class])
	}
	if d.RowLimit.Known {
		b.WriteString(" rows " + strconv.FormatInt(d.RowLimit.N, 10))
	}
	return b.String()
}

// smallest is the disagreement about a condition, made as small as goes.
func (x *difference) smallest(r drawn, in *Input) error {
	differ := func(when *term, in *Input) (got, want Tri, yes bool) {
		try := r
		try.when = when
		ours, theirs, err := x.load([]drawn{try})
		if err != nil {
			return 0, 0, false
		}
		got, want = ours.rules[0].when.test(in, ""), theirs.rules[0].when.test(in, "")
		return got, want, got != want
	}
	in = shrink(in, func(in *Input) bool { _, _, yes := differ(r.when, in); return yes })
	for again := true; again; {
		again = false
		for _, t := range r.when.all() {
			for _, by := range smaller(t) {
				if less := r.when.with(t, by); len(less.write(false)) < len(r.when.write(false)) {
					if _, _, yes := differ(less, in); yes {
						r.when, again = less, true
						break
					}
				}
			}
			if again {
				break
			}
		}
	}
	in = shrink(in, func(in *Input) bool { _, _, yes := differ(r.when, in); return yes })
	got, want, _ := differ(r.when, in)
	names := [...]string{"unknown", "false", "true"}
	var facts strings.Builder
	for _, t := range r.when.all() {
		if t.from != nil {
			fmt.Fprintf(&facts, "\n  %s: %s", t.from.name, t.from.render(in))
		}
	}
	return fmt.Errorf("closures say %s, cel-go says %s, in a rule that says %s:\n  %s\nwhich cel-go was asked as\n  %s\nwith%s",
		names[got], names[want], r.then, r.when.write(false), r.when.asked(r.then == "allow"), facts.String())
}

// smaller are terms that may stand for t.
func smaller(t *term) []*term {
	var out []*term
	if t.typ == boolVar {
		out = append(out, literal(boolVar, "true"), literal(boolVar, "false"))
	}
	for _, k := range t.all()[1:] {
		if k.typ == t.typ && k.form != "x" {
			out = append(out, k)
		}
	}
	return out
}

// shrink resets what the difference doesn't hang on.
func shrink(in *Input, differs func(*Input) bool) *Input {
	for _, reset := range resets() {
		less := in.clone()
		if reset(less); differs(less) {
			in = less
		}
	}
	return in
}

// fewest is the disagreement between two decisions, with as few rules as go.
func (x *difference) fewest(rules []drawn, in *Input) error {
	differ := func(rules []drawn, in *Input) (a, b string) {
		ours, theirs, err := x.load(rules)
		if err != nil {
			return "", ""
		}
		var d, e Decision
		ours.Decide(in, &d)
		theirs.Decide(in, &e)
		return said(&d), said(&e)
	}
	for i := 0; i < len(rules) && len(rules) > 1; {
		less := slices.Delete(slices.Clone(rules), i, i+1)
		if a, b := differ(less, in); a != b {
			rules = less
		} else {
			i++
		}
	}
	in = shrink(in, func(in *Input) bool { a, b := differ(rules, in); return a != b })
	a, b := differ(rules, in)
	return fmt.Errorf("closures decide %q, cel-go %q, by\n%s\non %+v\nof %+v", a, b, yamlOf(rules), *in.Action, *in)
}

// counts are what a run saw.
type counts struct {
	actions, packs, refused int
	answers                 [3]int
	verdicts                [3]int
	words                   map[string]int  // operators, functions and variables in conditions
	known, gone             map[string]bool // variables that were known, and that were not
}

func newCounts() *counts {
	return &counts{words: map[string]int{}, known: map[string]bool{}, gone: map[string]bool{}}
}

func (c *counts) add(o *counts) {
	c.actions, c.packs, c.refused = c.actions+o.actions, c.packs+o.packs, c.refused+o.refused
	for i := range o.answers {
		c.answers[i] += o.answers[i]
		c.verdicts[i] += o.verdicts[i]
	}
	for w, n := range o.words {
		c.words[w] += n
	}
	maps.Copy(c.known, o.known)
	maps.Copy(c.gone, o.gone)
}

// lost notes which facts are known in in.
func (c *counts) lost(vars []variable, in *Input) {
	for i := range vars {
		v, ok := &vars[i], true
		switch {
		case v.str != nil:
			_, ok = v.str(in)
		case v.num != nil:
			_, ok = v.num(in)
		case v.truth != nil:
			ok = v.truth(in) != DontKnow
		case v.list != nil:
			_, ok = v.list.size(in)
		case v.count != nil:
			_, ok = v.count(in, "email")
		}
		if ok {
			c.known[v.name] = true
		} else {
			c.gone[v.name] = true
		}
	}
}

func (c *counts) String() string {
	return fmt.Sprintf("%d actions decided alike by %d packs; conditions: %d true, %d false, %d unknown; verdicts: %d deny, %d review, %d allow; %d conditions refused",
		c.actions, c.packs, c.answers[Yes], c.answers[No], c.answers[DontKnow], c.verdicts[Deny], c.verdicts[Review], c.verdicts[Allow], c.refused)
}

// complete errs where something of the language, or a variable, was never part of it.
func (c *counts) complete(t *testing.T) {
	for _, w := range []string{
		"&&", "||", "!", "?:", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "negate", "in", "entry", "select", "has", "list",
		"exists", "all", "startsWith", "endsWith", "contains", "matches", "size", "in_calendar", "time difference",
	} {
		if c.words[w] == 0 {
			t.Errorf("no condition had %q", w)
		}
	}
	losses := unknowns()
	for _, v := range variables() {
		if v.reason {
			continue
		}
		if c.words[v.name] == 0 || !c.known[v.name] {
			t.Errorf("no condition read %s, or it was never known", v.name)
		}
		if losses[v.name].lose != nil && !c.gone[v.name] {
			t.Errorf("%s was never unknown", v.name)
		}
	}
	for i, n := range c.answers {
		if n < 10*c.actions/50 || c.verdicts[i] < c.actions/100 {
			t.Errorf("answers %v, verdicts %v: one of them is nearly never there", c.answers, c.verdicts)
			break
		}
	}
}
