package suggest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

// A Suggestion is a rule that would spare people the asking, and what it stands on.
type Suggestion struct {
	Habit *Habit
	Rule  string // its name: pack/rule
	File  string
	Owner string // of the pack
	Until time.Time
	Held  []string // rules that it makes an exception of
	Replay
}

// A Replay is what a suggestion would have done to the requests in the log, as far as the log
// has their facts. What it doesn't have was taken as unknown.
type Replay struct {
	Requests int // that were decided
	Flow     int // held under the packs as they are, and let through with the suggestion
	Unasked  int // of them, whose people said yes
	Opened   int // denied under the packs as they are, and let through: never
	Other    int // let through besides, that are not of this habit: never
}

// A Proposal is every suggestion, as one change of the packs.
type Proposal struct {
	Suggestions []Suggestion
	Refused     []Refused
	Shadows     []Shadow
	NotYet      []string          // rules in shadow mode that can't act as their packs stand, and why
	Files       map[string][]byte // as they would be
	Diff        []byte            // unified, for git apply
}

// Propose writes rules for the habits of h into copies of the packs in files. Nothing is changed:
// whoever wants them applies the difference, and then the packs under approval as ever.
func Propose(h *History, files map[string][]byte, o Options) (*Proposal, error) {
	o = o.defaults()
	if o.Now.IsZero() {
		return nil, fmt.Errorf("suggesting: no time was given")
	}
	good, not := h.Habits(o)
	p := &Proposal{Refused: not, Files: map[string][]byte{}}
	for name, text := range files {
		p.Files[name] = text
	}
	for _, b := range good {
		s, next, err := p.write(h, b, o)
		if err != nil {
			p.Refused = append(p.Refused, Refused{b, err.Error()})
			continue
		}
		p.Files[s.File] = next
		p.Suggestions = append(p.Suggestions, *s)
	}
	if err := p.shadows(h, o); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		p.Diff = append(p.Diff, unified(name, files[name], p.Files[name])...)
	}
	return p, nil
}

// unified is a difference that git apply takes.
func unified(name string, old, now []byte) []byte {
	name = filepath.ToSlash(filepath.Clean(name))
	d := diff.Diff("a/"+strings.TrimPrefix(name, "/"), old, "b/"+strings.TrimPrefix(name, "/"), now)
	_, d, _ = bytes.Cut(d, []byte("\n")) // a line that names both once more
	return d
}

// write adds the rule of one habit to a copy of the pack that holds it.
func (p *Proposal) write(h *History, b *Habit, o Options) (*Suggestion, []byte, error) {
	set, err := policy.LoadFiles(p.Files, policy.Options{})
	if err != nil {
		return nil, nil, err
	}
	pack, held, err := holder(set, b)
	if err != nil {
		return nil, nil, err
	}
	s := &Suggestion{Habit: b, File: pack.File, Owner: pack.Owner, Until: o.Now.UTC().Add(o.Life).Truncate(24 * time.Hour)}
	for _, r := range held {
		s.Held = append(s.Held, pack.Name+"/"+r)
	}
	id := b.name(pack)
	s.Rule = pack.Name + "/" + id
	a := policy.Amendment{Rule: b.rule(id, s)}
	for _, r := range held {
		a.Except = append(a.Except, policy.Exception{Rule: r, When: b.condition(s.Until)})
	}
	text := p.Files[pack.File]
	first, err := policy.Amend(pack.File, text, a)
	if err != nil {
		return nil, nil, err
	}
	if a.Tests, err = b.tests(pack.File, pack.Name, id, first, s.Until); err != nil {
		return nil, nil, err
	}
	next, err := policy.Amend(pack.File, text, a)
	if err != nil {
		return nil, nil, err
	}
	files := map[string][]byte{}
	for name, text := range p.Files {
		files[name] = text
	}
	files[pack.File] = next
	with, err := policy.LoadFiles(files, policy.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := survives(set, with); err != nil {
		return nil, nil, err
	}
	s.Replay = h.replay(b, set, with)
	switch {
	case s.Opened > 0 || s.Other > 0:
		return nil, nil, fmt.Errorf("it would also let %d denied and %d other requests through", s.Opened, s.Other)
	case s.Flow == 0:
		return nil, nil, fmt.Errorf("it would let nothing through of what the log has: another rule holds it too, or a fact is not in the log")
	}
	return s, next, nil
}

// survives errs when a test fails, or one of the changes that test --mutate makes is newly missed.
func survives(was, now *policy.Set) error {
	for _, t := range now.Test() {
		if !t.Passed {
			return fmt.Errorf("the test '%s' of the pack would fail: %s", t.Test, strings.Join(t.Failures, "; "))
		}
	}
	old, err := was.MutateAll()
	if err != nil {
		return err
	}
	left, err := now.MutateAll()
	if err != nil {
		return err
	}
	for _, m := range left {
		if !slices.ContainsFunc(old, func(o policy.Survivor) bool {
			return o.Pack == m.Pack && o.Rule == m.Rule && (o.Change == m.Change || o.Change == "")
		}) {
			return fmt.Errorf("no test would miss the rule '%s' when it %s", m.Rule, m.Change)
		}
	}
	return nil
}

// holder is the pack whose rules hold b, and which of them do.
func holder(set *policy.Set, b *Habit) (*policy.ListedPack, []string, error) {
	var pack *policy.ListedPack
	var held []string
	packs := set.Listed()
	for i := range packs {
		for _, r := range packs[i].Rules {
			if r.Then != "review" || r.Mode != "enforce" || !slices.Contains(b.Rules, r.Name) {
				continue
			}
			if pack != nil && pack != &packs[i] {
				return nil, nil, fmt.Errorf("rules of two packs hold it, %s and %s: an exception belongs into one", pack.Name, packs[i].Name)
			}
			pack = &packs[i]
			held = append(held, r.ID)
		}
	}
	switch {
	case pack == nil:
		return nil, nil, fmt.Errorf("the rules that held it (%s) are not in these packs", strings.Join(b.Rules, ", "))
	case strings.HasPrefix(pack.File, policy.BuiltinScheme):
		return nil, nil, fmt.Errorf("the built-in pack %s holds it: write it to a file first (assent policy packs), and name that in the configuration", pack.Name)
	case pack.Locked:
		return nil, nil, fmt.Errorf("the pack %s that holds it is locked", pack.Name)
	}
	return pack, held, nil
}

// name is the id of the rule, which no rule of the pack has.
func (b *Habit) name(pack *policy.ListedPack) string {
	clean := func(s string) string {
		s = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '-'
		}, strings.ToLower(s))
		return strings.Trim(s[:min(len(s), 40)], "-")
	}
	_, actor, _ := strings.Cut(b.Actor, ":")
	name := strings.Trim(clean(actor)+"-"+clean(b.Verb)+"-"+clean(b.Shape[:min(len(b.Shape), 8)]), "-")
	for n := 1; ; n++ {
		id := name
		if n > 1 {
			id += "-" + strconv.Itoa(n)
		}
		if !slices.ContainsFunc(pack.Rules, func(r policy.ListedRule) bool { return r.ID == id }) {
			return id
		}
	}
}

// atoms are the conditions that make an action one of b.
func (b *Habit) atoms() []string {
	return []string{
		"actor.id == " + strconv.Quote(b.Actor), "resource.urn == " + strconv.Quote(b.Resource), "action.shape == " + strconv.Quote(b.Shape), "!context.tainted",
	}
}

// condition is what a rule that holds b leaves out, until that day.
func (b *Habit) condition(until time.Time) string {
	return strings.Join(append(b.atoms(), "context.time < timestamp("+strconv.Quote(until.Format(time.RFC3339))+")"), " &&\n")
}

func (b *Habit) rule(id string, s *Suggestion) string {
	owner := s.Owner
	if owner == "" {
		owner = "nobody yet: name one"
	}
	var t strings.Builder
	fmt.Fprintf(&t, "# Suggested from the log: approved %d of %d times by %d people on %d days, %s to %s, never denied.\n",
		b.Approved+b.Quick, b.Asked, len(b.People), len(b.Days), b.First.UTC().Format(time.DateOnly), b.Last.UTC().Format(time.DateOnly))
	fmt.Fprintf(&t, "# Owner: %s. It permits until %s; from then on people are asked again.\n", line(owner), s.Until.Format(time.DateOnly))
	fmt.Fprintf(&t, "- id: %s\n  match: { kind: [%s] }\n  when: |-\n", id, strings.Join(b.Kinds, ", "))
	for _, l := range strings.Split(b.condition(s.Until)+" &&\ndata.rows <= "+strconv.FormatInt(b.most(), 10), "\n") {
		t.WriteString("    " + l + "\n")
	}
	t.WriteString("  then: allow")
	return t.String()
}

// most is the row bound: what the largest run touched.
func (b *Habit) most() int64 { return max(b.Rows.N, 1) }

// line is s on one line of a comment.
func line(s string) string { return strings.Join(strings.Fields(s), " ") }

// A variation is an action that b's rule must not let through, or the one that it must.
type variation struct {
	name   string
	change func(*given)
}

type given struct {
	Actor, Resource, Shape, Env, Verb, Target string
	Kinds                                     []string
	Rows                                      int64
	Tainted                                   policy.Tri
	Time                                      time.Time
}

// tests are YAML of tests: the habit flows, and nothing that differs in one respect does. What
// they want is what the pack decides, so that each is true when it is written.
func (b *Habit) tests(file, pack, id string, text []byte, until time.Time) (string, error) {
	set, err := policy.LoadFiles(map[string][]byte{file: text}, policy.Options{})
	if err != nil {
		return "", err
	}
	base := given{Actor: b.Actor, Resource: b.Resource, Shape: b.Shape, Env: b.Env, Verb: b.Verb, Target: b.Target, Kinds: b.Kinds, Rows: b.most(), Tainted: policy.No, Time: until.AddDate(0, 0, -1)}
	var out []string
	for _, v := range []variation{
		{"what people approved flows", func(*given) {}},
		{"of another actor it waits", func(g *given) { g.Actor = "agent:another" }},
		{"on another resource it waits", func(g *given) { g.Resource = "other:" + g.Resource }},
		{"of another shape it waits", func(g *given) { g.Shape = "another" }},
		{"once tainted it waits", func(g *given) { g.Tainted = policy.Yes }},
		{"after its last day it waits", func(g *given) { g.Time = until }},
		{"with more rows it does not flow", func(g *given) { g.Rows++ }},
		{"what deletes is no part of it", func(g *given) { g.Kinds = []string{string(action.DataDelete)} }},
	} {
		g := base
		v.change(&g)
		var d policy.Decision
		set.Decide(g.input(), &d)
		mine := slices.ContainsFunc(d.Rules, func(h policy.Hit) bool { return h.Rule == id })
		if first := len(out) == 0; first && (!mine || d.Verdict != policy.Allow) {
			return "", fmt.Errorf("the pack %s would still not let it through: %s decides", pack, d.Rules[0].Name())
		} else if !first && mine {
			return "", fmt.Errorf("the rule would match too much: %s", v.name)
		}
		out = append(out, g.yaml(id+": "+v.name, d.Verdict.String()))
	}
	return strings.Join(out, "\n"), nil
}

func (g *given) input() *policy.Input {
	a := &action.Action{
		Verb: g.Verb, Target: g.Target, Shape: g.Shape, Resource: action.Resource{URN: g.Resource, Env: g.Env},
		Data: action.Data{Rows: action.KnownCount(g.Rows)}, Actors: []action.Link{{ID: g.Actor, Type: "agent"}},
	}
	for _, k := range g.Kinds {
		a.Kinds = append(a.Kinds, action.Kind(k))
	}
	return &policy.Input{Action: a, ActorID: g.Actor, ActorType: "agent", Tainted: g.Tainted, Time: g.Time}
}

func (g *given) yaml(name, want string) string {
	tainted := map[policy.Tri]string{policy.Yes: "true", policy.No: "false"}[g.Tainted]
	fields := []string{"kind: [" + strings.Join(g.Kinds, ", ") + "]", "actor: " + strconv.Quote(g.Actor), "resource: " + strconv.Quote(g.Resource), "shape: " + strconv.Quote(g.Shape)}
	for _, f := range [][2]string{{"env", g.Env}, {"verb", g.Verb}, {"target", g.Target}} {
		if f[1] != "" {
			fields = append(fields, f[0]+": "+strconv.Quote(f[1]))
		}
	}
	fields = append(fields, "rows: "+strconv.FormatInt(g.Rows, 10), "tainted: "+tainted, "time: "+strconv.Quote(g.Time.Format(time.RFC3339)))
	return "- name: " + strconv.Quote(name) + "\n  given: { " + strings.Join(fields, ", ") + " }\n  want: { decision: " + want + " }"
}

// replay decides every request in the log by both sets.
func (h *History) replay(b *Habit, was, now *policy.Set) Replay {
	r := Replay{Requests: len(h.Requests)}
	var before, after policy.Decision
	for i := range h.Requests {
		q := &h.Requests[i]
		in := input(q)
		was.Decide(in, &before)
		now.Decide(in, &after)
		if after.Verdict <= before.Verdict || before.Verdict == policy.Allow {
			continue
		}
		same := key(q) == b.key()
		switch {
		case before.Verdict == policy.Deny && q.Decision == "deny":
			r.Opened++
		case after.Verdict == policy.Allow && same:
			r.Flow++
			if of := h.held[q.Approval]; of != nil && of.state != "" {
				r.Unasked++
			}
		case after.Verdict == policy.Allow:
			r.Other++
		}
	}
	return r
}

func (b *Habit) key() string {
	return strings.Join([]string{b.Actor, b.Resource, b.Env, b.Verb, b.Target, b.Shape, strings.Join(b.Kinds, " ")}, "\x00")
}

// input is what a request's record says of it; the rest is unknown.
func input(r *audit.Record) *policy.Input {
	a := &action.Action{Verb: r.Verb, Target: r.Target, Shape: r.Shape, Resource: action.Resource{URN: r.Resource, Env: r.Env}, Subject: r.Subject}
	for _, k := range r.Kinds {
		a.Kinds = append(a.Kinds, action.Kind(k))
	}
	kind, _, _ := strings.Cut(r.Actor, ":")
	if len(r.Chain) == 0 {
		kind = ""
	}
	in := &policy.Input{Action: a, ActorID: r.Actor, ActorType: kind, SubjectID: r.Subject, Time: r.Time, Tainted: policy.No}
	if r.Detail["saw"] != "" {
		in.Tainted = policy.Yes
	}
	for _, id := range r.Chain {
		a.Actors = append(a.Actors, action.Link{ID: id})
	}
	return in
}
