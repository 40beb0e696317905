package enforce

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

const maxStatement = 4 << 10 // bytes of masked statement a record keeps; the digest binds the rest

// request is the record of a decision. Everything textual in it was masked before.
func (e *Enforcer) request(j *judgement) *audit.Record {
	r := &audit.Record{}
	d := e.fill(r, j, nil).with("act", j.named())
	if what := j.taint.Says(); what != "" {
		d = d.with("saw", what)
	}
	risk := policy.RiskOf(&j.input)
	r.Detail = d.with("risk.why", risk.Why()).byName()
	return r
}

// fill is request into a record whose memory is used again, with its details for themselves.
func (e *Enforcer) fill(r *audit.Record, j *judgement, d details) details {
	a := j.action
	*r = audit.Record{
		Kinds: r.Kinds[:0], Rules: r.Rules[:0], Actor: j.seen.chain[0], Chain: j.seen.chain,
		Type: audit.TypeRequest, Subject: a.Subject, Gate: j.where.Gate, Session: j.where.Session,
		Resource: a.Resource.URN, Env: a.Resource.Env, Verb: a.Verb, Target: j.target, Title: j.title, Shape: a.Shape,
		Decision: j.decision.Verdict.String(), Policy: j.decision.Bundle, Findings: j.findings,
	}
	for _, k := range a.Kinds {
		r.Kinds = append(r.Kinds, string(k))
	}
	for _, h := range j.decision.Rules {
		r.Rules = append(r.Rules, h.Name())
		if atoms := atomText(h.Atoms); atoms != "" && h.Then != policy.Allow.String() {
			d = d.with("rule."+h.Rule, atoms)
		}
	}
	for _, h := range j.decision.Shadow {
		d = d.with("shadow."+h.Rule, h.Then)
	}
	d = d.with("statement", cut(j.statement, maxStatement)).with("risk", strconv.FormatInt(j.input.Risk.N, 10)) // below 100: allocates nothing
	d = j.pointsSay(d)
	if j.preview != nil {
		d = d.with("preview", cut(j.preview.Describe(), 500))
	}
	if j.stop != nil {
		d = d.with("frozen", j.stop.ID)
	}
	if id := j.trace.ID(); id != "" {
		d = d.with("trace", id)
	}
	if j.asExport {
		d = d.with("ledger", "reads added up to an export")
	}
	if l := j.lead; l != nil {
		if l.Session != "" {
			d = d.with("session", l.Session)
		}
		if l.Prompt != nil {
			d = d.with("prompt", l.Prompt.Hash)
		}
		if n := len(l.By); n > 0 {
			d = d.with("parent", l.By[n-1].ID).with("parent.how", l.By[n-1].How)
		}
	}
	return d
}

// details are those of a record, sorted by name, each name once.
type details []audit.Detail

func (d details) with(name, value string) details {
	i := len(d)
	for i > 0 && d[i-1].Name >= name {
		i--
	}
	if i < len(d) && d[i].Name == name {
		d[i].Value = value
		return d
	}
	return slices.Insert(d, i, audit.Detail{Name: name, Value: value})
}

func (d details) byName() map[string]string {
	out := make(map[string]string, len(d))
	for _, one := range d {
		out[one.Name] = one.Value
	}
	return out
}

// cut shortens s to at most n bytes without breaking a rune, and says so.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + " … (cut)"
}

func join(parts []string) string { return strings.Join(parts, "; ") }

// outcome fills in the record of how the action ended. Its details are in p.ended.
func (p *permit) outcome(o gate.Outcome, masked map[string]int64) {
	a, r := p.j.action, &p.rec
	p.count = max(o.Rows, p.rows)
	var d details = p.ended.Details[:0]
	if o.Code != "" {
		d = d.with("code", o.Code)
	}
	d = d.with("took", took(o.Duration))
	if p.begun {
		d = d.with("act", p.j.act)
	}
	if o.Untrusted != "" {
		d = d.with("untrusted", cut(o.Untrusted, 100))
	}
	if len(o.Carried) > 0 {
		d = d.with("carried", carried(o.Carried))
	}
	if o.Used != "" {
		d = d.with("used", cut(o.Used, 100))
	}
	if o.Kept != "" {
		d = d.with("kept", o.Kept).with("kept_sha256", o.KeptDigest)
	}
	*r = audit.Record{
		Type: audit.TypeOutcome, Actor: p.seen.chain[0], Gate: p.j.where.Gate, Session: p.j.where.Session,
		Outcome: string(o.State), Rows: &p.count, Masked: masked, Kinds: r.Kinds[:0], Previous: p.j.asked,
	}
	p.ended.Details = d
	if p.j.asked != 0 { // the request stands in the same lane and says the rest
		return
	}
	r.Chain, r.Subject, r.Resource, r.Env = p.seen.chain, a.Subject, a.Resource.URN, a.Resource.Env
	r.Verb, r.Target, r.Title, r.Shape, r.Approval, r.Grant = a.Verb, a.Target, p.j.title, a.Shape, p.approval, p.grantID
	for _, k := range a.Kinds {
		r.Kinds = append(r.Kinds, string(k))
	}
}

// atomText is the conditions of a rule with the values they had.
func atomText(atoms []policy.Atom) string {
	var parts []string
	for _, a := range atoms {
		parts = append(parts, a.Value)
	}
	return cut(join(parts), 1000)
}

// carried is findings by class in one line, sorted.
func carried(found map[string]int64) string {
	parts := make([]string, 0, len(found))
	for _, class := range slices.Sorted(maps.Keys(found)) {
		parts = append(parts, class+" "+strconv.FormatInt(found[class], 10))
	}
	return cut(strings.Join(parts, ", "), 500)
}
