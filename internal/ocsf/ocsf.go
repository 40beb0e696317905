// Package ocsf writes records of the log as events of the Open Cybersecurity Schema
// Framework, version 1.8.0 (schema.ocsf.io), for tools that read nothing else. What
// has no attribute there stands under unmapped, with the record's own names; the salt
// of a record is left out, since who erases a person counts on it being nowhere else.
package ocsf

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/audit"
)

// Version is the schema's.
const Version = "1.8.0"

// Classes by their class_uid. The thousands are the category.
const (
	baseEvent       = 0
	eventLog        = 1008 // Event Log Activity
	detection       = 2004 // Detection Finding
	accountChange   = 3001
	authentication  = 3002
	entityManaged   = 3004 // Entity Management
	apiActivity     = 6003
	other           = 99
	informational   = 1
	medium          = 3
	high            = 4
	success         = 1
	failure         = 2
	securityControl = "security_control" // a profile
)

// An Object is an object of an event, ready for encoding/json.
type Object map[string]any

// set sets what has a value.
func (o Object) set(name string, v any) {
	switch x := v.(type) {
	case string:
		if x == "" {
			return
		}
	case []string:
		if len(x) == 0 {
			return
		}
	case map[string]string:
		if len(x) == 0 {
			return
		}
	case map[string]int64:
		if len(x) == 0 {
			return
		}
	}
	o[name] = v
}

// Event is r as an event. Software is the version of Assent that writes it, lane is "" for the log.
func Event(r *audit.Record, lane, software string) Object {
	e := Object{
		"time": r.Time.UnixMilli(), "severity_id": informational, "status_id": 0,
		"message": message(r), "metadata": metadata(r, lane, software), "unmapped": unmapped(r),
	}
	switch r.Type {
	case audit.TypeRequest, audit.TypeStarted, audit.TypeOutcome, audit.TypeReview:
		api(e, r)
	case audit.TypeSignIn, audit.TypeSession:
		signIn(e, r)
	case audit.TypePerson, audit.TypeActor, audit.TypeToken, audit.TypePasskey:
		account(e, r)
	case audit.TypeAlarm, audit.TypeRefused, audit.TypeTaint, audit.TypeFinding:
		finding(e, r)
	case audit.TypePolicy, audit.TypeConfig, audit.TypeChange, audit.TypeFreeze, audit.TypeStanding, audit.TypeTool, audit.TypeMember:
		entity(e, r)
	case audit.TypeEvidence, audit.TypePrune, audit.TypeKey, audit.TypeSpoolSeal, audit.TypeStart, audit.TypeStop:
		ofLog(e, r)
	default:
		class(e, baseEvent, other, r.Type)
	}
	return e
}

// class sets what an event is.
func class(e Object, class, activity int, name string) {
	e["class_uid"], e["category_uid"] = class, class/1000
	e["activity_id"], e["type_uid"] = activity, class*100+activity
	if activity == other {
		e["activity_name"] = name
	}
}

func metadata(r *audit.Record, lane, software string) Object {
	log := cmp.Or(lane, "log")
	m := Object{
		"version":    Version,
		"product":    Object{"name": "Assent", "vendor_name": "Assent", "version": cmp.Or(software, "unknown")},
		"log_name":   log,
		"uid":        fmt.Sprintf("%s/%d", log, r.Index),
		"event_code": r.Type, "sequence": r.Index,
		"original_time": r.Time.UTC().Format(time.RFC3339Nano),
	}
	m.set("correlation_uid", cmp.Or(r.Approval, r.Session))
	return m
}

func message(r *audit.Record) string {
	parts := []string{r.Type}
	for _, s := range []string{r.Decision, r.Outcome, cmp.Or(r.Title, r.Detail["what"])} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// unmapped is what has no attribute in the schema, or more of it than an attribute holds.
func unmapped(r *audit.Record) Object {
	u := Object{}
	for name, v := range map[string]any{
		"actor": r.Actor, "subject": r.Subject, "person": r.Person, "chain": r.Chain, "session": r.Session, "gate": r.Gate, "resource": r.Resource,
		"env": r.Env, "kinds": r.Kinds, "verb": r.Verb, "target": r.Target, "shape": r.Shape, "digest": r.Digest, "decision": r.Decision, "rules": r.Rules,
		"policy": r.Policy, "approval": r.Approval, "about": r.About, "grant": r.Grant, "outcome": r.Outcome, "findings": r.Findings, "masked": r.Masked, "detail": r.Detail,
	} {
		u.set(name, v)
	}
	if r.Rows != nil {
		u["rows"] = *r.Rows
	}
	if r.Revision != 0 {
		u["revision"] = r.Revision
	}
	if r.Previous != 0 {
		u["previous"] = r.Previous
	}
	return u
}

// user is somebody by their id: a person, or an agent.
func user(id string) Object {
	u := Object{"uid": cmp.Or(id, "unknown")}
	switch {
	case strings.HasPrefix(id, "person:"):
		u["type_id"] = 1 // User
	case id == "":
		u["type_id"] = 0
	default:
		kind, _, _ := strings.Cut(id, ":")
		u["type_id"], u["type"] = other, kind
	}
	return u
}

// endpoint is where somebody came from: by address where the record has one, else by name.
func endpoint(r *audit.Record, name string) Object {
	if at, err := netip.ParseAddrPort(r.Detail["from"]); err == nil {
		return Object{"ip": at.Addr().Unmap().WithZone("").String(), "port": int(at.Port())}
	}
	if at, err := netip.ParseAddr(r.Detail["from"]); err == nil {
		return Object{"ip": at.Unmap().WithZone("").String()}
	}
	return Object{"name": cmp.Or(name, "unknown")}
}

// api is an action, its end, or a person's answer.
func api(e Object, r *audit.Record) {
	by, operation, activity := r.Actor, cmp.Or(r.Verb, strings.Join(r.Kinds, "+"), "unknown"), activityOf(r.Kinds)
	if r.Type == audit.TypeReview {
		by, operation, activity = r.Person, "review", 3
	}
	class(e, apiActivity, activity, cmp.Or(strings.Join(r.Kinds, "+"), operation))
	e["actor"] = Object{"user": user(by)}
	e["api"] = Object{"operation": operation}
	if r.Gate != "" {
		e["api"] = Object{"operation": operation, "service": Object{"name": r.Gate}}
	}
	e["src_endpoint"] = endpoint(r, by)
	if r.Resource != "" {
		resource := Object{"uid": r.Resource}
		resource.set("name", r.Target)
		resource.set("type", strings.SplitN(r.Resource, ":", 2)[0])
		e["resources"] = []Object{resource}
	}
	switch r.Type {
	case audit.TypeRequest:
		verdict(e, r)
	case audit.TypeOutcome:
		e["status_id"] = map[string]int{"executed": success, "failed": failure, "not_run": failure}[r.Outcome]
		e.set("status_code", r.Detail["code"])
	case audit.TypeReview:
		e["status_id"] = success
	}
}

// verdict is what was decided of a request, by the profile for what guards.
func verdict(e Object, r *audit.Record) {
	e["metadata"].(Object)["profiles"] = []string{securityControl}
	decided := Object{"decision": r.Decision}
	if r.Policy != "" {
		p := Object{"uid": r.Policy, "is_applied": true}
		e["policy"], decided["policy"] = p, p
	}
	e["authorizations"] = []Object{decided}
	switch r.Decision {
	case "allow":
		e["action_id"], e["disposition_id"], e["status_id"] = 1, 1, success
	case "deny":
		e["action_id"], e["disposition_id"], e["status_id"], e["severity_id"] = 2, 2, failure, medium
	default:
		e["action_id"], e["action"], e["disposition_id"] = other, cmp.Or(r.Decision, "unknown"), 14 // Delayed
		e["status_id"], e["status"] = other, "held"
		if r.Decision != "review" {
			e["disposition_id"], e["status_id"], e["status"] = 0, 0, "unknown"
		}
	}
}

// activityOf is the most severe of what an action does: delete, update, create, read.
func activityOf(kinds []string) int {
	is := func(list ...action.Kind) bool {
		return slices.ContainsFunc(list, func(k action.Kind) bool { return slices.Contains(kinds, string(k)) })
	}
	switch {
	case is(action.DataDelete, action.InfraDestroy):
		return 4
	case is(action.DataWrite, action.SchemaChange, action.PrivilegeChange, action.IdentityChange, action.CodeChange, action.InfraChange, action.NetworkChange, action.AuditChange, action.ConfigChange):
		return 3
	case is(action.InfraCreate):
		return 1
	case len(kinds) > 0 && !slices.ContainsFunc(kinds, func(k string) bool {
		return k != string(action.DataRead) && k != string(action.DataExport) && k != string(action.SecretAccess) && k != string(action.NetFetch)
	}):
		return 2
	}
	return other
}

func signIn(e Object, r *audit.Record) {
	who, service, what := cmp.Or(r.Subject, r.Person), "console", r.Decision
	if r.Type == audit.TypeSession {
		who, service, what = cmp.Or(r.Actor, r.Subject), cmp.Or(r.Gate, "gate"), r.Detail["event"]
	}
	activity := other
	switch what {
	case "opened":
		activity = 1 // Logon
	case "closed", "ended":
		activity = 2 // Logoff
	}
	class(e, authentication, activity, cmp.Or(what, r.Type))
	e["user"], e["service"], e["status_id"] = user(who), Object{"name": service}, success
	e["src_endpoint"] = endpoint(r, who)
	if r.Session != "" {
		e["session"] = Object{"uid": r.Session}
	}
}

func account(e Object, r *audit.Record) {
	what, who := cmp.Or(r.Decision, r.Detail["what"], r.Type), cmp.Or(r.Subject, r.Person, r.Detail["to"], r.Detail["account"])
	if r.Type == audit.TypeActor || r.Type == audit.TypeToken {
		who = cmp.Or(r.Actor, who)
	}
	activity := other
	switch r.Type + " " + what {
	case audit.TypeActor + " registered":
		activity = 1 // Create
	case audit.TypeActor + " retired", audit.TypePerson + " left":
		activity = 5 // Disable
	case audit.TypePasskey + " registered":
		activity = 10 // MFA Factor Enable
	case audit.TypePasskey + " revoked":
		activity = 11 // MFA Factor Disable
	}
	class(e, accountChange, activity, what)
	e["user"], e["status_id"] = user(who), success
	if r.Person != "" {
		e["actor"] = Object{"user": user(r.Person)}
	}
}

func finding(e Object, r *audit.Record) {
	class(e, detection, 1, "")
	e["finding_info"] = Object{"uid": e["metadata"].(Object)["uid"], "title": cmp.Or(r.Detail["what"], r.Title, r.Type)}
	e["severity_id"], e["status_id"] = medium, 1 // New
	if r.Type == audit.TypeAlarm {
		e["severity_id"], e["is_alert"] = high, true
	}
	if r.Resource != "" {
		e["resources"] = []Object{{"uid": r.Resource}}
	}
}

func entity(e Object, r *audit.Record) {
	activity, what := 3, cmp.Or(r.Decision, r.Detail["what"], r.Type) // Update
	switch r.Type + " " + r.Decision {
	case audit.TypeStanding + " minted":
		activity = 1 // Create
	case audit.TypeStanding + " revoked":
		activity = 4 // Delete
	}
	class(e, entityManaged, activity, what)
	name := cmp.Or(r.Detail["what"], r.Resource, r.Actor, r.Gate, r.Subject, r.Type)
	managed := Object{"name": name, "type_id": other, "type": r.Type}
	if r.Type == audit.TypePolicy || r.Type == audit.TypeConfig {
		managed["type_id"], managed["type"] = 5, "Policy"
		managed.set("uid", r.Policy)
	}
	e["entity"], e["status_id"] = managed, success
	e.set("comment", r.Detail["why"])
	if r.Person != "" {
		e["actor"] = Object{"user": user(r.Person)}
	}
}

func ofLog(e Object, r *audit.Record) {
	activity := map[string]int{
		audit.TypeEvidence: 3, audit.TypePrune: 2, audit.TypeKey: 5, audit.TypeSpoolSeal: 4, audit.TypeStart: 6, audit.TypeStop: 7,
	}[r.Type]
	class(e, eventLog, activity, "")
	e["log_name"], e["log_provider"], e["status_id"] = "log", "Assent", success
	if r.Type == audit.TypeSpoolSeal || r.Type == audit.TypePrune {
		e["log_name"] = "traffic"
	}
	if r.Person != "" {
		e["actor"] = Object{"user": user(r.Person)}
	}
}
