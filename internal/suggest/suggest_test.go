package suggest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: orders, version: 1.0.0, owner: orders-team }
rules:
  # Writes wait.
  - id: hold-writes
    match: { kind: [data.write], env: [prod] }
    then: review
    approval: { from: [group:owners], count: 1 }

  - id: hold-reads
    match: { kind: [data.read] }
    when: '!("group:analysts" in subject.groups)'
    then: review
    approval: { from: [group:owners] }

# What must hold.
tests:
  - name: a write waits
    given: { kind: data.write, env: prod, rows: 1 }
    want: { decision: review, rule: hold-writes }
  - name: a write elsewhere is nobody's
    given: { kind: data.write, env: dev, rows: 1 }
    want: { decision: deny }
  - name: what reads waits
    given: { kind: data.read, env: prod, subject: sam, subject_groups: [group:x] }
    want: { decision: review, rule: hold-reads }
  - name: analysts read nothing here
    given: { kind: data.read, env: prod, subject: sam, subject_groups: [group:analysts] }
    want: { decision: deny }
  - name: what changes the schema is nobody's
    given: { kind: schema.change, env: prod, rows: 1 }
    want: { decision: deny }
`

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// A story is one habit, as the log tells it.
type story struct {
	actor, shape, kind, rule string
	times                    int
	people                   []string
	days                     int
	took, later              time.Duration
	change                   func(i int, recs []audit.Record) []audit.Record
}

func usual() story {
	return story{actor: "agent:exporter", shape: "a1b2c3d4e5", kind: "data.write", rule: "orders/hold-writes", times: 6, people: []string{"mira", "dana"}, days: 3, took: time.Minute}
}

var index int64

func (s story) records() []audit.Record {
	var out []audit.Record
	for i := range s.times {
		at := start.AddDate(0, 0, i%s.days).Add(time.Duration(i)*time.Hour + s.later)
		index += 10
		one := audit.Record{
			Index: index, Time: at, Type: audit.TypeRequest, Actor: s.actor, Chain: []string{s.actor}, Resource: "postgres:orders/prod/orders", Env: "prod",
			Verb: "update", Target: "public.orders", Title: "UPDATE public.orders", Shape: s.shape, Kinds: []string{s.kind}, Rules: []string{s.rule},
			Decision: "review", Approval: fmt.Sprintf("apr_%d", index),
		}
		review, decided, ended := one, one, one
		person := s.people[i%len(s.people)]
		rows := int64(10 + i)
		review.Index, review.Type, review.Time, review.Person, review.Decision = index+1, audit.TypeReview, at.Add(s.took), person, "approve"
		review.Detail = map[string]string{"asked": at.Format(time.RFC3339Nano)}
		decided.Index, decided.Type, decided.Time, decided.Decision = index+2, audit.TypeApproval, at.Add(s.took), "approved"
		ended.Index, ended.Type, ended.Time, ended.Decision, ended.Rows = index+3, audit.TypeOutcome, at.Add(s.took+time.Second), "", &rows
		recs := []audit.Record{one, review, decided, ended}
		if s.change != nil {
			recs = s.change(i, recs)
		}
		out = append(out, recs...)
	}
	return out
}

func propose(t *testing.T, stories ...story) *Proposal {
	t.Helper()
	var records []audit.Record
	for _, s := range stories {
		records = append(records, s.records()...)
	}
	p, err := Propose(Read(records), map[string][]byte{"packs/orders.yaml": []byte(pack)}, Options{Now: start.AddDate(0, 0, 20)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// git applies the difference; the packs then pass everything, and the habit flows.
func TestAHabitBecomesARule(t *testing.T) {
	second := usual()
	second.shape, second.kind, second.rule, second.actor = "ffff0000", "data.read", "orders/hold-reads", "agent:reporter"
	second.later = 10 * time.Minute // or the same people would answer two at once
	p := propose(t, usual(), second)
	if len(p.Suggestions) != 2 || len(p.Refused) != 0 {
		t.Fatalf("%+v, refused %+v", p.Suggestions, p.Refused)
	}
	s := p.Suggestions[0]
	if s.Rule != "orders/exporter-update-a1b2c3d4" || s.Owner != "orders-team" || s.Requests != 12 || s.Flow != 6 || s.Unasked != 6 || s.Until != time.Date(2027, 2, 20, 0, 0, 0, 0, time.UTC) {
		t.Errorf("%+v", s)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "packs", "orders.yaml")
	_ = os.Mkdir(filepath.Dir(file), 0o700)
	if err := os.WriteFile(file, []byte(pack), 0o600); err != nil {
		t.Fatal(err)
	}
	git := exec.Command("git", "apply", "-")
	git.Dir, git.Stdin = dir, strings.NewReader(string(p.Diff))
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v: %s\n%s", err, out, p.Diff)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != string(p.Files["packs/orders.yaml"]) {
		t.Fatalf("%v: git makes something else of it:\n%s", err, text)
	}
	if r := policy.CheckMutants([]string{file}, true); !r.OK {
		t.Errorf("%s\n%s", r.Human(), text)
	}
	if !strings.Contains(string(text), "# Writes wait.\n") || !strings.Contains(string(text), "data.rows <= 15") {
		t.Errorf("%s", text)
	}
}

func TestWhatIsNeverSuggested(t *testing.T) {
	change := func(f func(r *audit.Record)) func(int, []audit.Record) []audit.Record {
		return func(i int, recs []audit.Record) []audit.Record {
			if i == 2 {
				for k := range recs {
					f(&recs[k])
				}
			}
			return recs
		}
	}
	for name, c := range map[string]struct {
		change func(*story)
		why    string
	}{
		"one reviewer's habit":  {func(s *story) { s.people = []string{"mira"} }, "habit of 1 reviewer"},
		"a busy day":            {func(s *story) { s.days = 1 }, "on 1 days"},
		"nobody read":           {func(s *story) { s.took = 2 * time.Second }, "without reading"},
		"rights":                {func(s *story) { s.kind = "privilege.change" }, "decided by itself"},
		"the log":               {func(s *story) { s.kind = "audit.change" }, "decided by itself"},
		"payments":              {func(s *story) { s.kind = "payment" }, "decided by itself"},
		"deletions":             {func(s *story) { s.kind = "data.delete" }, "decided by itself"},
		"an unknown kind":       {func(s *story) { s.kind = "nonsense" }, "decided by itself"},
		"exports":               {func(s *story) { s.kind = "data.export" }, "where it goes"},
		"commands":              {func(s *story) { s.kind = "execute" }, "what a execute carries"},
		"no shape":              {func(s *story) { s.shape = "" }, "what shape it is"},
		"a rule of nobody here": {func(s *story) { s.rule = "other/hold" }, "not in these packs"},
		"tainted": {func(s *story) {
			s.change = change(func(r *audit.Record) { r.Detail = map[string]string{"saw": "2 card", "asked": r.Detail["asked"]} })
		}, "must not carry out"},
		"denied once": {func(s *story) {
			s.change = change(func(r *audit.Record) {
				if r.Type == audit.TypeReview {
					r.Decision = "deny"
				}
			})
		}, "1 of them were denied"},
		"denied by policy": {func(s *story) {
			s.change = change(func(r *audit.Record) {
				if r.Type == audit.TypeRequest {
					r.Decision, r.Approval = "deny", ""
				}
			})
		}, "1 of them were denied"},
		"expired once": {func(s *story) {
			s.change = func(i int, recs []audit.Record) []audit.Record {
				if i != 2 {
					return recs
				}
				recs[2].Decision = "expired"
				return []audit.Record{recs[0], recs[2]}
			}
		}, "never answered"},
		"rows that nobody counted": {func(s *story) { s.change = change(func(r *audit.Record) { r.Rows = nil }) }, "rows it touches"},
		"canaries": {func(s *story) {
			s.change = func(i int, recs []audit.Record) []audit.Record {
				if i > 1 {
					c := recs[2]
					c.Type, c.Decision, c.Person = audit.TypeCanary, "deny", "mira"
					recs = append(recs, c)
				}
				return recs
			}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := usual()
			c.change(&s)
			p := propose(t, s)
			if len(p.Suggestions) != 0 || len(p.Diff) != 0 {
				t.Fatalf("%s", p.Diff)
			}
			if c.why == "" {
				return
			}
			if len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Why, c.why) {
				t.Errorf("want %q: %+v", c.why, p.Refused)
			}
		})
	}
}

// A pack that can't be changed is refused with the reason, and is left as it was.
func TestPacksThatAreNotOurs(t *testing.T) {
	for name, c := range map[string]struct{ file, pack, why string }{
		"locked":              {"p.yaml", strings.Replace(pack, "rules:\n", "locked: true\nrules:\n", 1), "is locked"},
		"built in":            {policy.BuiltinScheme + "orders", pack, "built-in pack"},
		"braces":              {"p.yaml", strings.Replace(pack, "  - id: hold-writes\n    match: { kind: [data.write], env: [prod] }\n    then: review\n    approval: { from: [group:owners], count: 1 }\n", "  - { id: hold-writes, match: { kind: [data.write], env: [prod] }, then: review, approval: { from: [group:owners] } }\n", 1), "write it as a block"},
		"a second rule holds": {"p.yaml", strings.Replace(pack, "rules:\n", "rules:\n  - id: also\n    match: { actor: [agent] }\n    then: deny\n", 1), "would still not let it through"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Propose(Read(usual().records()), map[string][]byte{c.file: []byte(c.pack)}, Options{Now: start.AddDate(0, 0, 20)})
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Suggestions) != 0 || len(p.Diff) != 0 || len(p.Refused) != 1 || !strings.Contains(p.Refused[0].Why, c.why) {
				t.Errorf("want %q: %+v\n%s", c.why, p.Refused, p.Diff)
			}
		})
	}
}

// A rule that watched and would seldom have asked may begin; one that would often have asked, or
// whose pack says otherwise, may not.
func TestAShadowMayBegin(t *testing.T) {
	watched := strings.Replace(pack, "# What must hold.\n", "  - id: watch\n    mode: shadow\n    until: 2026-12-31\n    match: { kind: [data.read], env: [dev] }\n    then: review\n    approval: { from: [group:owners] }\n\n# What must hold.\n", 1)
	for name, c := range map[string]struct {
		pack      string
		days, day int
		want      int
		notYet    string
	}{
		"seldom":         {watched, 8, 2, 1, ""},
		"often":          {watched, 8, 11, 0, ""},
		"not long":       {watched, 6, 2, 0, ""},
		"never":          {watched, 8, 0, 0, ""},
		"over":           {strings.Replace(watched, "until: 2026-12-31", "until: 2026-11-02", 1), 8, 2, 0, ""},
		"locked":         {strings.Replace(watched, "rules:\n", "locked: true\nrules:\n", 1), 8, 2, 0, ""},
		"a test says no": {strings.Replace(watched, "tests:\n", "tests:\n  - name: reads in dev are nobody's\n    given: { kind: data.read, env: dev, subject: sam, subject_groups: [group:analysts] }\n    want: { decision: deny }\n", 1), 8, 2, 0, "reads in dev are nobody's"},
		"a rule in {…}":  {strings.Replace(watched, "  - id: watch\n    mode: shadow\n    until: 2026-12-31\n    match: { kind: [data.read], env: [dev] }\n    then: review\n    approval: { from: [group:owners] }\n", "  - { id: watch, mode: shadow, until: 2026-12-31, then: review, approval: { from: [group:owners] } }\n", 1), 8, 2, 0, "write it as a block"},
	} {
		t.Run(name, func(t *testing.T) {
			var records []audit.Record
			for i := range c.days {
				at := start.AddDate(0, 0, i)
				records = append(records, audit.Record{Time: at, Type: audit.TypeRequest, Decision: "allow", Actor: "agent:a"})
				for k := range c.day {
					records = append(records, audit.Record{Time: at.Add(time.Duration(k) * time.Minute), Type: audit.TypeRequest, Decision: "allow", Actor: "agent:a", Detail: map[string]string{"shadow.watch": "review"}})
				}
			}
			p, err := Propose(Read(records), map[string][]byte{"p.yaml": []byte(c.pack)}, Options{Now: start.AddDate(0, 0, 20)})
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Shadows) != c.want || (len(p.Diff) > 0) != (c.want > 0) || !strings.Contains(strings.Join(p.NotYet, " "), c.notYet) || (len(p.NotYet) > 0) != (c.notYet != "") {
				t.Fatalf("%+v %v\n%s", p.Shadows, p.NotYet, p.Diff)
			}
			if c.want > 0 && (p.Shadows[0].Would != 16 || p.Shadows[0].Flew != 16 || strings.Contains(string(p.Files["p.yaml"]), "shadow")) {
				t.Errorf("%+v\n%s", p.Shadows, p.Diff)
			}
		})
	}
}
