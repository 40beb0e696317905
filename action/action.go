// Package action is the one public model of what an agent asks for: an Action
// has kinds, a verb, a resource, the data it carries or asks for, and a digest
// that binds an approval to exactly this action in exactly this state.
//
// It promises that two actions with one digest are the same bytes sent in the
// same session state, and it depends on nothing but the standard library. It
// refuses what has no canonical form: invalid UTF-8 and integers from 2⁵³ up.
package action

import (
	"strconv"
	"strings"
	"time"
)

// A Kind says what an action does. The list is closed: see Kinds.
type Kind string

// The kinds of docs/policy.md. An action may have several; the most restrictive verdict wins.
const (
	DataRead        Kind = "data.read"
	DataWrite       Kind = "data.write"
	DataDelete      Kind = "data.delete"
	DataExport      Kind = "data.export"
	SchemaChange    Kind = "schema.change"
	PrivilegeChange Kind = "privilege.change"
	IdentityChange  Kind = "identity.change"
	SecretAccess    Kind = "secret.access"
	Execute         Kind = "execute"
	CodeChange      Kind = "code.change"
	Deploy          Kind = "deploy"
	InfraCreate     Kind = "infra.create"
	InfraChange     Kind = "infra.change"
	InfraDestroy    Kind = "infra.destroy"
	NetworkChange   Kind = "network.change"
	NetFetch        Kind = "net.fetch"
	MessageSend     Kind = "message.send"
	Payment         Kind = "payment"
	LLMCall         Kind = "llm.call"
	ToolCall        Kind = "tool.call"
	SessionOpen     Kind = "session.open"
	AuditChange     Kind = "audit.change"
	ConfigChange    Kind = "config.change"
	Unknown         Kind = "unknown"
)

// Kinds lists every kind, in the order of the documentation.
func Kinds() []Kind {
	return []Kind{
		DataRead, DataWrite, DataDelete, DataExport, SchemaChange, PrivilegeChange, IdentityChange,
		SecretAccess, Execute, CodeChange, Deploy, InfraCreate, InfraChange, InfraDestroy, NetworkChange,
		NetFetch, MessageSend, Payment, LLMCall, ToolCall, SessionOpen, AuditChange, ConfigChange, Unknown,
	}
}

// Valid reports whether k is on the closed list.
func (k Kind) Valid() bool {
	for _, known := range Kinds() {
		if k == known {
			return true
		}
	}
	return false
}

// A Resource is what an action is done to.
type Resource struct {
	URN    string            // for example "postgres:billing/prod/customers"
	Type   string            // "postgres", "s3", "kubernetes", …
	Env    string            // environment set by the gate's configuration, never by the asker
	Labels map[string]string // set by the gate's configuration
}

// A Count is a number that may be unknown. The zero value is unknown, never zero.
type Count struct {
	N     int64
	Known bool
}

// KnownCount is a count somebody observed.
func KnownCount(n int64) Count { return Count{N: n, Known: true} }

// Of writes a known count with what it counts, in the singular: "4,800 rows".
func (c Count) Of(what string) string {
	digits := strconv.FormatInt(c.N, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	switch {
	case c.N == 1:
	case strings.HasSuffix(what, "x"):
		what += "es"
	default:
		what += "s"
	}
	return digits + " " + what
}

// Data is what is known about the data an action carries or asks for.
type Data struct {
	Rows, Bytes      Count
	ClassesKnown     bool             // false: Classes and Groups are a lower bound and the rest is unknown
	Classes          []string         // "email", "card", …: sorted, each once
	Groups           []string         // "pii", "phi", "pci", "secret": sorted, each once
	Findings         map[string]int64 // findings in the request itself, by class
	Unscanned        bool             // something was not fully decoded, so not fully scanned
	Inferred         bool             // a classed column stands outside a plain output list
	Computed         bool             // an output column computes with a classed column, or turns text
	Aggregated       bool             // an aggregate folds a classed column, or rows that one chose
	InferredOf       []string         // classes of the columns that Inferred is about; none: not said
	ComputedOf       []string         // and of Computed; "*" where any class may be in it
	AggregatedOf     []string         // and of Aggregated
	Destination      string           // where the data goes, "client" when only to the asker
	DestinationTrust string           // "", "internal" or "external", as configured
}

// Link is one link of a delegation chain: who acts for whom (RFC 8693 act).
type Link struct {
	ID   string // "agent:nightly-exporter"
	Type string // "agent", "pipeline", "service" or "human"
}

// An Action is one thing asked of one system. A gate makes it from the wire.
type Action struct {
	Kinds      []Kind
	Verb       string // lower case, from a parser: "select", "drop", "copy"
	Target     string // the main object, as the parser names it: "public.customers"
	Title      string // a short line made from the parsed action, never from the agent's own words
	Shape      string // the action without its literals: a hex fingerprint
	Reversible bool
	// Routine marks ordinary work on the asker's own working copy: a build, a
	// test, a formatter, by a tool on a list. It says what runs, not that the
	// code it runs is harmless.
	Routine  bool
	Resource Resource
	Data     Data

	Subject string // on whose behalf: an opaque identifier
	Actors  []Link // the chain, the acting one first

	// Payload is the exact bytes that go upstream. It enters the digest as its
	// SHA-256, and is never embedded.
	Payload []byte
	// Statement is what a person reads: text of the payload, not yet masked.
	Statement string
	// State is what gives the payload its meaning: database, role,
	// search_path, working directory, host. All of it enters the digest.
	State map[string]string

	// Objects are the tables, files or endpoints touched, and Columns the
	// output columns as far as the parser could tell.
	Objects []string
	Columns []Column
	// Named are whom and what it is about, as they stand in the request: what a person
	// names who means it. They are compared with the prompt, and never kept; nil: the target is.
	Named []Name        `json:"-"`
	Wait  time.Duration // longest useful hold; 0: until the approval expires
	Locks bool          // the asker holds locks of the system while it waits

	Claims Claims
}

// A Name is what a request says of whom or what it is about.
type Name struct {
	Value string
	ID    bool // it means something only to the system, and so can't be what a person would say
}

// A Column is one output column of a read, with where it comes from when the parser can tell.
type Column struct {
	Name    string   // as the client will see it
	Sources []string // "customers.email"; several for an expression
	Derived bool     // an expression, not a plain column
	// Turned: what the expression shows of its sources can't be recognised by
	// looking at it, as of reverse(notes).
	Turned    bool `json:",omitempty"`
	Aggregate bool `json:",omitempty"` // an aggregate function stands in the expression
}

// Claims are the asker's own words. They inform a card and may tighten a
// verdict; nothing they say permits anything.
type Claims struct {
	Reason, Ticket, Session, Intent string
	// Parent names what led to this action: the id of a command or a tool call
	// that is under way, in the asker's own session.
	Parent     string
	BreakGlass bool
	// Trace is where the asker says the action belongs (W3C traceparent). It is of use to
	// who watches, and nobody is shown it, nor is it kept.
	Trace string `json:"-"`
}
