package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/card"
	"github.com/assenthq/assent/internal/policy"
)

// An outsider is a decision point whose answer a test sets.
type outsider struct {
	*httptest.Server
	mu     sync.Mutex
	answer string // guarded by mu; "": none at all
	asked  []string
}

func (o *outsider) says(answer string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

func (o *outsider) questions() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.asked)
}

// outside makes a decision point, and what a configuration says of it.
func outside(t *testing.T, name, more string) (*outsider, string) {
	t.Helper()
	o := &outsider{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		o.mu.Lock()
		o.asked = append(o.asked, string(body))
		answer := o.answer
		o.mu.Unlock()
		if answer == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(o.Close)
	return o, fmt.Sprintf("  - { name: %s, url: %q, timeout: 5s, networks: [127.0.0.0/8]%s }", name, o.URL+"/access/v1/evaluation", more)
}

const (
	yes      = `{"decision":true}`
	no       = `{"decision":false,"context":{"reason":"not on a Monday"}}`
	askMira  = `{"decision":false,"context":{"reason":"somebody must look","obligations":[{"id":"1","type":"custom","properties":{"action":"review","from":["group:reviewers"]}}]}}`
	openPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 4.0.0, owner: tests }
rules:
  - id: lines
    match: { kind: [data.write, data.read] }
    then: allow
tests:
  - { name: writes, given: { kind: data.write }, want: { decision: allow } }
`
)

func (b *bench) details(n int) map[string]string {
	b.t.Helper()
	recs := b.records(audit.TypeRequest)
	if len(recs) != n {
		b.t.Fatalf("%d requests are on record, want %d", len(recs), n)
	}
	return recs[0].Detail
}

// A decision point tightens what policy allows, and each answer is on record.
func TestADecisionPointTightens(t *testing.T) {
	o, config := outside(t, "opa", "")
	b := newBench(t, "decision_points:", config)
	b.pack(openPack)
	o.says(yes)
	p, err := b.ask(t.Context(), action.DataWrite, "one")
	if err != nil {
		t.Fatal(err)
	}
	p.Done(gate.Outcome{State: gate.Executed})
	if d := b.details(1); !strings.HasSuffix(d["point.opa"], ", allow") {
		t.Errorf("on record: %v", d)
	}
	o.says(no)
	_, err = b.ask(t.Context(), action.DataWrite, "two")
	refusedWith(t, err, gate.StatusDenied, "denied by decision point opa")
	if strings.Contains(err.Error(), "Monday") {
		t.Errorf("the agent is told why: %v", err)
	}
	if d := b.details(2); !strings.HasSuffix(d["point.opa"], ", deny: not on a Monday") || !strings.Contains(d["rule.opa"], "not on a Monday") {
		t.Errorf("on record: %v", d)
	}
	o.says("")
	_, err = b.ask(t.Context(), action.DataWrite, "three")
	refusedWith(t, err, gate.StatusNobody, "decision point opa gave no answer")
	if d := b.details(3); !strings.HasSuffix(d["point.opa"], ", none: status 503, not 200") {
		t.Errorf("on record: %v", d)
	}
	found := 0
	for _, c := range b.pointChecks() {
		if err := c.Run(t.Context()); c.Name == "decision point opa" && c.Soft && err != nil && strings.Contains(err.Error(), "status 503") {
			found++
		}
	}
	if found != 1 {
		t.Error("readiness doesn't say that it gives no answer")
	}
	// Reads that would flow at once are asked about too.
	if p, err := b.session.(interface {
		Flow(context.Context, *action.Action) (gate.Permit, error)
	}).Flow(t.Context(), aRead("read")); p != nil || err != nil {
		t.Errorf("a read flows past the point: %v, %v", p, err)
	}
	o.says(yes)
	a := aRead("read")
	b.session.Describe(a)
	if p, err = b.session.Enforce(t.Context(), a, gate.Hooks{}); err != nil {
		t.Fatal(err)
	}
	p.Done(gate.Outcome{State: gate.Executed})
}

func aRead(text string) *action.Action {
	return &action.Action{Kinds: []action.Kind{action.DataRead}, Verb: "read", Title: "read a line", Statement: text, Payload: []byte(text)}
}

// One that asks for people has them asked, is on the card, and is asked again when the approval is used.
func TestADecisionPointHasPeopleAsked(t *testing.T) {
	o, config := outside(t, "opa", "")
	b := newBench(t, "decision_points:", config)
	b.pack(openPack)
	o.says(askMira)
	done := b.background(t.Context(), "one")
	a := b.waiting(1)[0]
	if c := card.Of(a, nil, "https://assent.test"); len(c.Rules) != 1 || c.Rules[0] != "opa" || !strings.Contains(c.Why, "decision point opa asks for it: somebody must look") {
		t.Errorf("on the card: %v, %q", c.Rules, c.Why)
	}
	if len(a.Requirements) != 1 || a.Requirements[0].Pack != policy.OutsidePack || a.Requirements[0].Count != 1 {
		t.Errorf("asked: %+v", a.Requirements)
	}
	b.approve(a)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := o.questions(); n != 2 {
		t.Errorf("it was asked %d times, want once more when the approval is used", n)
	}
	for name, tt := range map[string]struct{ now, says string }{
		"denies":         {no, "the policy denies it since it was approved"},
		"is silent":      {"", "the policy denies it since it was approved"},
		"asks for other": {strings.Replace(askMira, "group:reviewers", "group:others", 1), "the policy asks for other reviewers"},
	} {
		o.says(askMira)
		ctx, leave := context.WithCancel(t.Context())
		first := b.background(ctx, name)
		a := b.waiting(1)[0]
		leave() // approved while nobody waits, so that its use comes later
		<-first
		b.approve(a)
		o.says(tt.now)
		b.use(t, a, name, tt.says)
	}
}

// use uses an approval whose asker is gone, past the decision that would come first.
func (b *bench) use(t *testing.T, a *approval.Approval, text, says string) {
	t.Helper()
	act := &action.Action{Kinds: []action.Kind{action.DataWrite}, Verb: "write", Title: "write a line", Statement: text, Payload: []byte(text)}
	b.session.Describe(act)
	_, err := b.enforcer.Redeem(t.Context(), a.Asker, act, a.ID)
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: used: %v, want %s", text, err, says)
	}
}

// What policy denies is no question, and no answer permits it.
func TestADecisionPointPermitsNothing(t *testing.T) {
	o, config := outside(t, "opa", "")
	b := newBench(t, "decision_points:", config)
	o.says(yes)
	b.pack(denyPack)
	_, err := b.ask(t.Context(), action.DataWrite, "one")
	refusedWith(t, err, gate.StatusDenied, "nothing-any-more")
	if n := o.questions(); n != 0 {
		t.Errorf("it was asked %d times about what policy denies", n)
	}
	b.pack(heldPack)
	done := b.background(t.Context(), "two")
	b.approve(b.waiting(1)[0]) // people are asked although the point says yes
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var q struct {
		Context struct {
			Verdict string `json:"verdict"`
		} `json:"context"`
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := json.Unmarshal([]byte(o.asked[0]), &q); err != nil || q.Context.Verdict != "review" {
		t.Errorf("it was told %q (%v)", q.Context.Verdict, err)
	}
}

// Of several points the strictest counts, and one that is not asked says nothing.
func TestSeveralDecisionPoints(t *testing.T) {
	first, one := outside(t, "first", "")
	second, two := outside(t, "second", "")
	third, three := outside(t, "third", ", for: { kinds: [payment] }")
	b := newBench(t, "decision_points:", one, two, three)
	b.pack(openPack)
	first.says(askMira)
	second.says(no)
	_, err := b.ask(t.Context(), action.DataWrite, "one")
	refusedWith(t, err, gate.StatusDenied, "denied by decision point second")
	d := b.details(1)
	if !strings.Contains(d["point.first"], "review") || !strings.Contains(d["point.second"], "deny") || d["point.third"] != "" || third.questions() != 0 {
		t.Errorf("on record: %v", d)
	}
	second.says("")
	first.says(no)
	_, err = b.ask(t.Context(), action.DataWrite, "two")
	refusedWith(t, err, gate.StatusDenied, "denied by decision point first") // not: try again
}
