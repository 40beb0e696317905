package server

import (
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/card"
)

const riskPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: held, version: 3.0.0, owner: tests }
rules:
  - id: writes
    match: { kind: [data.write] }
    then: allow
  - id: grave-writes
    match: { kind: [data.write] }
    when: risk.score >= 60
    then: review
    approval: { from: [group:reviewers] }
tests:
  - { name: small, given: { kind: data.write, env: test, reversible: true, risk: 59 }, want: { decision: allow, rule: writes } }
  - { name: grave, given: { kind: data.write, env: prod, destination: elsewhere, destination_trust: external }, want: { decision: review, rule: grave-writes } }
`

// The score that a rule read, the one in the record and the one on the card are one.
func TestOneRiskForRuleRecordAndCard(t *testing.T) {
	b := newBench(t)
	b.pack(riskPack)
	ask := func(trust string) (gate.Permit, error) {
		a := &action.Action{Kinds: []action.Kind{action.DataWrite}, Verb: "write", Title: "write " + trust, Statement: trust, Payload: []byte(trust)}
		a.Data.Destination, a.Data.DestinationTrust = "elsewhere", trust
		b.session.Describe(a)
		return b.session.Enforce(t.Context(), a, gate.Hooks{})
	}
	p, err := ask("internal")
	if err != nil {
		t.Fatal(err)
	}
	p.Done(gate.Outcome{State: gate.Executed})
	go func() { _, _ = ask("external") }()
	held := b.waiting(1)[0]
	recs := b.records(audit.TypeRequest)
	if len(recs) != 2 || recs[0].Approval != held.ID || recs[1].Decision != "allow" {
		t.Fatalf("%d requests are on record: %+v", len(recs), recs)
	}
	if r := card.RiskOf(held); held.Risk == nil || r.Score < 60 || recs[0].Detail["risk.why"] != r.Why || !strings.Contains(r.Why, "leaves for outside 12") {
		t.Errorf("card %+v, record %v", r, recs[0].Detail)
	}
	if recs[0].Detail["risk"] == recs[1].Detail["risk"] || recs[1].Detail["risk"] == "" {
		t.Errorf("risk of what was held and of what was allowed: %q, %q", recs[0].Detail["risk"], recs[1].Detail["risk"])
	}
	old := &approval.Approval{Kinds: held.Kinds, Resource: held.Resource, Data: held.Data}
	if r := card.RiskOf(old); !strings.Contains(r.Why, "data.write 40") || !strings.Contains(r.Why, "leaves for outside 12") {
		t.Errorf("an approval that was stored without its risk: %+v", r)
	}
}
