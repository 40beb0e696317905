package enforce

import (
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

const maxStatement = 4 << 10 // bytes of masked statement a record keeps; the digest binds the rest

// request is the record of a decision. Everything textual in it was masked before.
func (e *Enforcer) request(j *judgement) *audit.Record {
	r := &audit.Record{}
	e.fill(r, j)
	return r
}

// fill is request into a record whose memory is used again.
func (e *Enforcer) fill(r *audit.Record, j *judgement) {
	a := j.action
	detail := r.Detail
	if clear(detail); detail == nil {
		detail = map[string]string{}
	}
	*r = audit.Record{
		Kinds: r.Kinds[:0], Rules: r.Rules[:0], Actor: j.seen.chain[0], Chain: j.seen.chain,
		Type: audit.TypeRequest, Subject: a.Subject, Gate: j.where.Gate, Session: j.where.Session,
		Resource: a.Resource.URN, Env: a.Resource.Env, Verb: a.Verb, Target: a.Target, Title: j.title, Shape: a.Shape,
		Decision: j.decision.Verdict.String(), Policy: j.decision.Bundle, Findings: j.findings, Detail: detail,
	}
	for _, k := range a.Kinds {
		r.Kinds = append(r.Kinds, string(k))
	}
	for _, h := range j.decision.Rules {
		r.Rules = append(r.Rules, h.Name())
		if atoms := atomText(h.Atoms); atoms != "" && h.Then != policy.Allow.String() {
			r.Detail["rule."+h.Rule] = atoms
		}
	}
	for _, h := range j.decision.Shadow {
		r.Detail["shadow."+h.Rule] = h.Then
	}
	r.Detail["statement"] = cut(j.statement, maxStatement)
	if j.preview != nil {
		r.Detail["preview"] = cut(j.preview.Describe(), 500)
	}
	if j.stop != nil {
		r.Detail["frozen"] = j.stop.ID
	}
	if j.asExport {
		r.Detail["ledger"] = "reads added up to an export"
	}
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
