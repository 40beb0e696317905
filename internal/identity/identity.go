// Package identity says who asks and who may answer: persons, the actors that
// work for them, and the chain between the two.
//
// A group is named by issuer and immutable id. Nothing an actor says about
// itself enters here: a credential that was checked does.
package identity

import (
	"slices"
	"time"

	"github.com/assenthq/assent/action"
)

// A Person is a human being, however many accounts lead to them.
type Person struct {
	ID     string   // opaque: "person:mira"
	Name   string   // for people to read
	Groups []string // "group:data-owners", or "issuer|id" once several issuers exist
	// Accounts are further ids that lead to this person: "slack:U1", "oidc:issuer|sub".
	Accounts []string
}

// In reports whether p is in any of groups.
func (p *Person) In(groups ...string) bool {
	for _, g := range groups {
		if slices.Contains(p.Groups, g) {
			return true
		}
	}
	return false
}

// An Actor is who acts: an agent, a pipeline, a service or a human.
type Actor struct {
	ID    string // "agent:nightly-exporter"
	Type  string // "agent", "pipeline", "service", "human"
	Owner string // id of the person behind it; an actor without one may do only what policy allows outright
	Model string
	Trust string
	// Related are ids of further people who started or changed it; they are
	// excluded from every quorum about it.
	Related []string
}

// Scopes a credential may carry. An agent's credential carries ScopeAct only.
const (
	ScopeAct    = "act"    // ask for actions as itself
	ScopeGate   = "gate"   // a gate: may assert another subject
	ScopeReview = "review" // answer reviews as a person
	ScopeRead   = "read"   // see approvals and the log
	ScopeAdmin  = "admin"
)

// An Asker is everything known about who asks, from a checked credential.
type Asker struct {
	Subject    Person  // the person behind it; ID "" when there is none
	Chain      []Actor // the acting one first
	Credential string  // id of the credential used, never the secret
	Expires    time.Time
	Scopes     []string
}

// Links is the chain in the form an Action carries.
func (a *Asker) Links() []action.Link {
	out := make([]action.Link, len(a.Chain))
	for i, c := range a.Chain {
		out[i] = action.Link{ID: c.ID, Type: c.Type}
	}
	return out
}

// Excluded is everyone who may not review what a asks for, with why:
// the subject, each actor in the chain, their owners and related people.
func (a *Asker) Excluded() map[string]string {
	out := map[string]string{}
	for _, c := range a.Chain {
		for _, r := range c.Related {
			out[r] = "related to " + c.ID
		}
		if c.Owner != "" {
			out[c.Owner] = "owner of " + c.ID
		}
		out[c.ID] = "actor"
	}
	if a.Subject.ID != "" {
		out[a.Subject.ID] = "subject"
	}
	return out
}
