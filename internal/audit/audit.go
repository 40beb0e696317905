// Package audit is the tamper-evident log: records become leaves of a Merkle
// tree (RFC 6962, C2SP tlog-tiles) in the same transaction as the state they
// tell about, under signed checkpoints that anyone can verify offline.
//
// It promises that a record is durable before the thing it tells about happens,
// and that what is missing shows as missing. It refuses to sign a tree smaller
// than one it has signed before.
package audit

import "time"

// A Record is one audit entry. It holds facts and masked text only: no
// secret and no masked value may be put in any field.
type Record struct {
	Index    int64             `json:"index"`
	Time     time.Time         `json:"time"`           // UTC, microseconds, never behind the record before
	Salt     string            `json:"salt,omitempty"` // random bits of a record that names somebody: its hash tells nothing once it is erased
	Type     string            `json:"type"`           // one of the Type constants
	Actor    string            `json:"actor,omitempty"`
	Subject  string            `json:"subject,omitempty"`
	Chain    []string          `json:"chain,omitempty"`
	Person   string            `json:"person,omitempty"` // who did it, where a person did: reviewer, administrator
	Session  string            `json:"session,omitempty"`
	Gate     string            `json:"gate,omitempty"`
	Resource string            `json:"resource,omitempty"`
	Env      string            `json:"env,omitempty"`
	Kinds    []string          `json:"kinds,omitempty"`
	Verb     string            `json:"verb,omitempty"`
	Target   string            `json:"target,omitempty"`
	Title    string            `json:"title,omitempty"`
	Shape    string            `json:"shape,omitempty"`
	Digest   string            `json:"digest,omitempty"` // action digest
	Decision string            `json:"decision,omitempty"`
	Rules    []string          `json:"rules,omitempty"`
	Policy   string            `json:"policy,omitempty"` // bundle digest
	Approval string            `json:"approval,omitempty"`
	About    string            `json:"about,omitempty"`    // "kind/id" of the sealed row that this is a revision of
	Revision int64             `json:"revision,omitempty"` // of that row, from 1
	Grant    string            `json:"grant,omitempty"`    // grant id (jti), never the token
	Outcome  string            `json:"outcome,omitempty"`
	Rows     *int64            `json:"rows,omitempty"`
	Findings map[string]int64  `json:"findings,omitempty"` // by class
	Masked   map[string]int64  `json:"masked,omitempty"`   // values masked on the way back, by class
	Detail   map[string]string `json:"detail,omitempty"`
	Previous int64             `json:"previous,omitempty"` // index, in the same lane, of the record this one follows from; an outcome that names its request does not repeat it
}

// Types of records.
const (
	TypeRequest   = "request"           // an action was asked for and decided
	TypeReview    = "review"            // a person answered
	TypeApproval  = "approval"          // an approval changed its state
	TypeCanary    = "approval.canary"   // what was held was a canary: opens the commitment of its request
	TypeStep      = "approval.step"     // while it waits: people were reminded, further ones asked
	TypeTalk      = "approval.talk"     // a reviewer asked the asker's side, or was answered
	TypeUnmask    = "approval.unmask"   // a reviewer looked at one masked value
	TypeVault     = "vault"             // the value behind a token was read back, or values were erased
	TypeStarted   = "execution.started" // a grant was used
	TypeOutcome   = "execution.outcome" // how it ended
	TypeRefused   = "refused"           // a malformed or unknown message; a failed login
	TypeSession   = "session"           // a connection was opened or closed
	TypePolicy    = "policy.loaded"
	TypeConfig    = "config.loaded"
	TypeToken     = "token.changed"
	TypePerson    = "person.changed"   // an account, a link, a stand-in
	TypeSignIn    = "session.changed"  // a person signed in or out
	TypeActor     = "actor.changed"    // an actor was registered, retired, or seen after a while
	TypePasskey   = "passkey.changed"  // a person's authenticator was registered or revoked
	TypeFreeze    = "freeze.changed"   // something was stopped, or let go again
	TypeStanding  = "standing.changed" // a standing grant was minted, used or revoked
	TypePrompt    = "prompt"           // what an agent was told to do, as its side tells
	TypeTaint     = "taint.changed"    // an actor saw what makes its next actions suspect
	TypeChange    = "config.changed"   // policy, a group or a setting changed while running
	TypeMember    = "member.changed"   // a connector or a gate elsewhere was invited, enrolled, replaced or revoked
	TypeTool      = "tool.changed"     // the definition of an MCP tool was pinned, held or released
	TypeFinding   = "scan.finding"     // somebody's scan found sensitive data in something of theirs, as they tell
	TypeNotice    = "notice"           // people were told on a channel, or could not be
	TypeKey       = "key.rotate"
	TypeFork      = "log.fork"        // the log goes on under another name, without a tail that was lost
	TypeEvidence  = "evidence.export" // somebody takes records away as a bundle
	TypeAlarm     = "alarm"           // something was found that must not be
	TypeLink      = "gate.link"       // a gate in a process of its own came, or went
	TypeStart     = "node.started"
	TypeStop      = "node.stopped"
	TypeBeat      = "node.heartbeat" // a node was there
	TypeErase     = "privacy.erase"  // records were erased, so that they name a person no more
	TypeHold      = "privacy.hold"   // something is kept from erasure, or is no more
	TypePrune     = "audit.prune"    // archived segments of traffic are past their term, and are deleted
	TypeSpoolSeal = "spool.sealed"   // a traffic spool segment was closed: its root is in Detail
)
