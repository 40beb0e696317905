package cli

import (
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/ocsf"
)

// printEvent prints a record as an OCSF event, one line.
func (a *app) printEvent(l *laneRecord) error {
	return a.printLine(ocsf.Event(auditRecord(&l.Record), l.Lane, Version()))
}

// auditRecord is a record as the log has it.
func auditRecord(r *client.Record) *audit.Record {
	return &audit.Record{
		Index: r.Index, Time: r.Time, Salt: r.Salt, Type: r.Type, Actor: r.Actor, Subject: r.Subject, Chain: r.Chain, Person: r.Person,
		Session: r.Session, Gate: r.Gate, Resource: r.Resource, Env: r.Env, Kinds: r.Kinds, Verb: r.Verb, Target: r.Target, Title: r.Title,
		Shape: r.Shape, Digest: r.Digest, Decision: r.Decision, Rules: r.Rules, Policy: r.Policy, Approval: r.Approval, About: r.About,
		Revision: r.Revision, Grant: r.Grant, Outcome: r.Outcome, Rows: r.Rows, Findings: r.Findings, Masked: r.Masked, Detail: r.Detail, Previous: r.Previous,
	}
}
