package console

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/policy"
)

// PolicyInForce is what decides now, and where it came from.
type PolicyInForce struct {
	Set     *policy.Set
	Number  int64 // which one in a row; 0: not told
	At      time.Time
	Change  string // under which it was applied; "": the files on disk
	Problem string // why the newest files don't decide
}

// policiesPage is the packs with their rules, what each came to, and what waits.
type policiesPage struct {
	Shell
	Cards    []figure
	Bundle   string
	From     string
	At       time.Time
	Problem  string
	Packs    []packView
	Failed   []policy.TestResult
	Waiting  []change.Entry
	Missing  string
	Watching int
}

type packView struct {
	policy.ListedPack
	Rules []ruleView
}

// ruleView is a rule with what it did in the last day.
type ruleView struct {
	policy.ListedRule
	Class string
	Asks  []string
	Hits  int64
	Tests []testView
}

type testView struct {
	Name   string
	Passed bool
}

// tested keeps the results of a set's own tests, which never change.
type tested struct {
	bundle string
	report policy.Report
}

func (c *Console) showPolicies(w http.ResponseWriter, r *http.Request, p *who) {
	ctx := r.Context()
	now, err := c.o.Policies(ctx)
	if err != nil {
		c.broken(w, r, "reading the policy in force", err)
		return
	}
	if err := c.tally.step(ctx); err != nil {
		c.broken(w, r, "counting what happened", err)
		return
	}
	sum := c.tally.last(24 * time.Hour)
	report := c.reportOf(now.Set)
	page := policiesPage{Bundle: now.Set.Bundle(), At: now.At, Problem: now.Problem, Missing: missing(&sum), From: "the files on disk"}
	if now.Change != "" {
		page.From = "an approved change"
	}
	if now.Number > 0 {
		page.From = fmt.Sprintf("number %d, from %s", now.Number, page.From)
	}
	of := map[string][]testView{} // by pack and rule
	for _, t := range report.Tests {
		if !t.Passed {
			page.Failed = append(page.Failed, t)
		}
		for _, rule := range t.Rules {
			if !strings.Contains(rule, "/") {
				rule = t.Pack + "/" + rule
			}
			of[rule] = append(of[rule], testView{t.Test, t.Passed})
		}
	}
	var rules, hit int64
	for _, l := range now.Set.Listed() {
		v := packView{ListedPack: l}
		for _, rule := range l.Rules {
			n := sum.Rules[rule.Name]
			if rule.Mode == "shadow" {
				page.Watching++
				n = sum.Shadow[rule.ID]
			}
			if n > 0 {
				hit++
			}
			rules++
			v.Rules = append(v.Rules, ruleView{ListedRule: rule, Class: thenClass[rule.Then], Asks: Asks(rule.Asks), Hits: n, Tests: of[rule.Name]})
		}
		page.Packs = append(page.Packs, v)
	}
	if c.o.Changes != nil {
		all, err := c.o.Changes.List(ctx)
		if err != nil {
			c.broken(w, r, "listing changes", err)
			return
		}
		page.Waiting = slices.DeleteFunc(all, func(e change.Entry) bool { return e.State != change.Proposed })
	}
	page.Cards = []figure{
		{"Rules", thousands(rules), fmt.Sprintf("in %s; %s matched something in the last day", plural(int64(len(page.Packs)), "pack"), thousands(hit)), ""},
		testFigure(report),
		{"Only watching", thousands(int64(page.Watching)), "in shadow mode: recorded, not enforced", map[bool]string{true: "warn"}[page.Watching > 0]},
		{"Changes that wait", thousands(int64(len(page.Waiting))), "each needs somebody else than its author", map[bool]string{true: "warn"}[len(page.Waiting) > 0]},
	}
	page.Shell = c.shellOf(r, p, "policies", "Policies", -1)
	c.page(w, r, http.StatusOK, "policies", page)
}

func testFigure(r policy.Report) figure {
	passed := 0
	for _, t := range r.Tests {
		if t.Passed {
			passed++
		}
	}
	f := figure{"Tests in the packs", fmt.Sprintf("%d of %d", passed, len(r.Tests)), "hold with this version of Assent", ""}
	if passed < len(r.Tests) {
		f.Class = "bad"
	}
	if n := len(r.Warnings); n > 0 {
		f.Under = plural(int64(n), "warning") + " of assent policy check"
	}
	return f
}

var thenClass = map[string]string{"deny": "bad", "review": "wait", "allow": "ok", "mask": "info"}

// Asks says whom requirements ask for.
func Asks(in []policy.Requirement) []string {
	var out []string
	for _, q := range in {
		var parts []string
		if q.Count > 0 && len(q.From) > 0 {
			parts = append(parts, fmt.Sprintf("%d of %s", q.Count, strings.Join(labels(q.From), " or ")))
		}
		for _, s := range q.AllOf {
			parts = append(parts, fmt.Sprintf("%d of %s", s.Count, label(s.Group)))
		}
		text := strings.Join(parts, ", and ")
		if len(q.AnyOf) > 0 {
			var any []string
			for _, s := range q.AnyOf {
				any = append(any, fmt.Sprintf("%d of %s", s.Count, label(s.Group)))
			}
			text = strings.Join(nonEmpty(text, strings.Join(any, ", or ")), ", and ")
		}
		if q.Assurance != "" {
			text += ", by " + q.Assurance
		}
		if q.Expires > 0 {
			text += ", within " + spell(q.Expires)
		}
		out = append(out, text)
	}
	return out
}

// reportOf runs a set's own tests, once for each set.
func (c *Console) reportOf(s *policy.Set) policy.Report {
	c.testedMu.Lock()
	defer c.testedMu.Unlock()
	if c.tested.bundle != s.Bundle() {
		c.tested = tested{s.Bundle(), s.Report(false, false)}
	}
	return c.tested.report
}
