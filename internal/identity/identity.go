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
	Groups []string // "group:data-owners": those this person is in now, in their own right
	// Accounts are further ids that lead to this person: "corp|00u1", "slack|T1/U1".
	Accounts []string

	// Account is the one by which this person was found; "" when that was their own id.
	Account string `json:",omitempty"`
	// Since is when Account began to lead to this person and to count for
	// reviewing: it fills no seat of what was asked before. Zero: always.
	Since time.Time `json:",omitzero"`
	// Issuers are those who vouch that this is one human being: "" is the
	// configuration, another is the issuer of an account. Two people whom no
	// common one vouches for may be one human with two accounts.
	Issuers []string `json:",omitempty"`
	// Kin are further ids held to be the same human, for exclusion only: links
	// that ended lately.
	Kin []string `json:",omitempty"`
	// Gone says that provisioning ended the account by which this person was
	// found, or each of theirs: they stay known, and answer nothing.
	Gone bool `json:",omitempty"`
	// StandsFor are seats of others that this person may take for a while.
	StandsFor []Standing `json:",omitempty"`
}

// A Standing is a seat lent for a while: who holds it may fill it instead of
// Person, never beside them.
type Standing struct {
	ID     string   // of the appointment
	Person string   // whose seat it is
	Groups []string // of that person's, those it is lent for
}

// IDs are all ids that lead to this human being, or did lately: for exclusion.
func (p *Person) IDs() []string { return slices.Concat([]string{p.ID}, p.Accounts, p.Kin) }

// Key is the id by which to look p up again: a session that came in by an
// account keeps that, since an account may count for less than its person.
func (p *Person) Key() string {
	if p.Account != "" {
		return p.Account
	}
	return p.ID
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
	// MayAct are ids of actors that may take over its tasks (RFC 8693 may_act).
	MayAct []string
}

// Scopes a credential may carry. An agent's credential carries ScopeAct only.
const (
	ScopeAct    = "act"    // ask for actions as itself
	ScopeGate   = "gate"   // a gate: may assert another subject
	ScopeReview = "review" // answer reviews as a person
	ScopeRead   = "read"   // see approvals and the log
	ScopeAdmin  = "admin"
	ScopeMint   = "mint" // make tokens for the actors one owns
	ScopeSCIM   = "scim" // provision the accounts and groups of one issuer
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
