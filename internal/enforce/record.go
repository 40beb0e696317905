package enforce

import (
	"strings"
	"unicode/utf8"

	"github.com/assenthq/assent/internal/audit"
)

const maxStatement = 4 << 10 // bytes of masked statement a record keeps; the digest binds the rest

// request is the record of a decision. Everything textual in it was masked before.
func (e *Enforcer) request(j *judgement) *audit.Record {
	a := j.action
	r := &audit.Record{
		Type: audit.TypeRequest, Subject: a.Subject, Gate: j.where.Gate, Session: j.where.Session,
		Resource: a.Resource.URN, Env: a.Resource.Env, Verb: a.Verb, Target: a.Target, Title: j.title, Shape: a.Shape,
		Decision: j.decision.Verdict.String(), Policy: j.decision.Bundle, Findings: j.findings, Detail: map[string]string{},
	}
	for i, l := range a.Actors {
		if i == 0 {
			r.Actor = l.ID
		}
		r.Chain = append(r.Chain, l.ID)
	}
	for _, k := range a.Kinds {
		r.Kinds = append(r.Kinds, string(k))
	}
	for _, h := range j.decision.Rules {
		r.Rules = append(r.Rules, h.Pack+"/"+h.Rule)
		if atoms := atomText(h.Atoms); atoms != "" && h.Then != "allow" {
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
	if j.asExport {
		r.Detail["ledger"] = "reads added up to an export"
	}
	return r
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
