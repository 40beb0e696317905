// Package gate runs enforcement points. A gate for a new protocol is a Codec;
// everything else (listening, dialling, pausing, noticing that the client left,
// failing closed, completing each permit exactly once) is here, once.
//
// It promises that no byte of a request goes upstream before every action in
// it was permitted, and that a permit is completed exactly once. It refuses a
// request without actions unless the codec marks it harmless by name.
package gate

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/assenthq/assent/action"
)

// An Authority checks an agent's credential and opens a Session for it.
type Authority interface {
	// Verifier returns what is needed to check that a client knows the
	// credential of user, without the credential itself. An unknown user is an
	// error; the gate answers it exactly as it answers a wrong credential.
	Verifier(ctx context.Context, user string) (Verifier, error)
	// Login opens a session after the credential was proved. It reads the
	// credential again: one that was revoked or has expired is an error.
	Login(ctx context.Context, v Verifier, from Peer) (Session, error)
	// Bearer checks a token that was presented whole, over TLS or loopback, and
	// returns a verifier that is Proved. Every error means nobody.
	Bearer(ctx context.Context, token string) (Verifier, error)
}

// A Verifier is the stored half of a credential: SCRAM-SHA-256 keys (RFC 5802 section 3).
type Verifier struct {
	Credential string // id of the credential, never the secret
	Salt       []byte
	Iterations int
	StoredKey  []byte
	ServerKey  []byte
	// Proved says that the connection itself has proved the credential, by a
	// client certificate: nothing is asked of the client, and there are no keys.
	Proved bool
}

// Peer is where a client came from, as the gate saw it.
type Peer struct {
	Gate    string // name of the gate in the configuration
	Address string // remote address
	Client  string // what the client calls itself: a claim
}

// A Session is one authenticated client connection, through which its actions
// are decided. It is safe for concurrent use.
type Session interface {
	// Describe fills in what the session knows: subject, actors, resource
	// environment and labels. The codec calls it on each action it makes.
	Describe(a *action.Action)
	// Enforce decides. It blocks while the action waits for a person, and
	// returns when the action may run or may not (a *Denied error). Any other
	// error means that nobody decided, and the gate refuses. ctx ends when the
	// client leaves: the approval then stays pending, marked "asker gone".
	// a is the gate's, which uses its memory again once the permit is done.
	Enforce(ctx context.Context, a *action.Action, h Hooks) (Permit, error)
	// Refused records a request or connection the codec had to refuse by
	// itself (a malformed message, a message on no list). detail never holds payload.
	Refused(ctx context.Context, detail string)
	// Cut is closed when the session must end at once: freeze or revocation.
	Cut() <-chan struct{}
	Close()
}

// A Flowing is a Session that can say at once whether an action may run as it stands, with
// less known about it than there might be.
type Flowing interface {
	// Flow is Enforce where policy allows the action as it stands. Otherwise the permit is nil:
	// nothing was decided, recorded or asked, and Enforce must be called once more is known.
	Flow(ctx context.Context, a *action.Action) (Permit, error)
}

// Hooks are what a gate offers while one action is decided. Any may be nil. They
// are called from the goroutine that called Enforce, and not after it returned.
type Hooks struct {
	// Held is called once the action begins to wait for a person.
	Held func(Held)
	// Preview finds out what the action would do without doing it. It is asked
	// only where the answer matters, and again when an approval is used.
	Preview func(ctx context.Context) action.Preview
}

// Held tells a waiting client what it waits for.
type Held struct {
	ID      string    // approval id
	URL     string    // where it can be looked at
	Who     string    // who can review: "2 of data-owners"
	Expires time.Time // when the approval expires
	Until   time.Time // when this wait ends, not after Expires
}

// A Permit lets one action run once.
type Permit interface {
	// Rows opens one result set for masking. The returned value is used by one goroutine.
	Rows(columns []Column) Rows
	// Text masks free text from upstream: errors, notices, parameter values.
	Text(b []byte) []byte
	// Stream masks free text that comes in pieces, on its way to another writer.
	// fill: each byte of a masked value becomes a '*', so that nothing moves.
	Stream(to io.Writer, fill bool) Stream
	// Clear says cheaply that nothing is masked in v, a value of a column or member
	// called name ("" for free text). False says nothing. It keeps neither.
	Clear(name string, v []byte) bool
	// Bare says that nothing at all is masked.
	Bare() bool
	// Count adds rows and bytes before they are passed on. A *Denied error
	// means that a limit was reached and nothing more may flow.
	Count(rows, bytes int64) error
	// Bound is the largest number of rows that a write may change; -1: none.
	Bound() int64
	// Done records how it went. The gate calls it exactly once.
	Done(Outcome)
}

// A Begun is a Permit that takes note when its action runs out of the gate's sight: what
// the action does in its turn may name it by the run's id, or by the name that its
// client gave to the run.
type Begun interface {
	Begun(run, name string)
}

// A Traced is a Permit that says where what its action does upstream belongs in a trace.
type Traced interface {
	// Traceparent is a header's value (W3C Trace Context); "" where nothing is traced.
	Traceparent() string
}

// A Reader is a Permit that remembers, in memory alone, which names and ids stood together in
// what its action brought back: so a prompt that names a thing names it by its id too.
type Reader interface {
	Returned(texts [][]byte)
}

// A Foreseeing is a Session that tells what a decision of an action would mask as things
// stand, class to method, without deciding anything.
type Foreseeing interface {
	Foresee(ctx context.Context, a *action.Action) (masks map[string]string, err error)
}

// A Prompted is a Session that takes in what the agent was told to do: text, in a
// session that its client names so. It is the asker's word, and permits nothing.
type Prompted interface {
	Prompted(ctx context.Context, session, text string) error
}

// Prompt hands text to s. Sessions that don't take it in lose nothing by it.
func Prompt(ctx context.Context, s Session, session, text string) error {
	if p, is := s.(Prompted); is {
		return p.Prompted(ctx, session, text)
	}
	return nil
}

// Rows masks the values of one result set.
type Rows interface {
	// Value returns what may be shown for v, the value of column i. v is never
	// modified. NULL (nil) stays NULL. binary values come in the upstream's wire format.
	// What it returns is good until the next call.
	Value(i int, v []byte) ([]byte, error)
}

// A Stream masks text that comes in pieces, however it is cut: what may still become part of
// a value is kept back until it is settled. It is used by one goroutine.
type Stream interface {
	io.Writer
	// Flush passes on what is kept back as if the text ended here.
	Flush() error
	// Close is the last Flush. It closes nothing behind the stream.
	Close() error
}

// A Column describes one column of a result as upstream announced it.
type Column struct {
	Name    string   // as upstream announced it
	Type    uint32   // PostgreSQL type OID, or 0
	Binary  bool     // values come in binary format
	Sources []string // "customers.email", from the upstream's provenance and the parser
	Derived bool     // an expression over its sources
	Turned  bool     // the expression shows text in a form in which nothing sensitive can be found
}

// Outcome is how an action ended.
type Outcome struct {
	State    OutcomeState
	Code     string // the protocol's own code: an SQLSTATE, an HTTP status
	Rows     int64  // returned or changed, as upstream told
	Bytes    int64
	Duration time.Duration
	// Untrusted says that the reply brought content that others wrote ("web
	// page", "mail", "issue"): whoever reads it may be told what to do by it.
	Untrusted string
	// Carried are findings by class in what went upstream after it was permitted, where
	// it was too long to be seen before.
	Carried map[string]int64
	// Used says what the action used up, in words and figures: "input 120, output 30 tokens".
	Used string
	// Kept names what is kept of it beside the log, such as a terminal's
	// recording, and KeptDigest is the SHA-256 of that, in hex.
	Kept, KeptDigest string
}

// OutcomeState is one of Executed, Failed, Unknown, NotRun.
type OutcomeState string

// Outcomes. Unknown: the connection was lost after the request was sent, so
// nobody here knows; it is never run again by us. NotRun: a permit that was
// given and never used, because another action of the same request was denied.
const (
	Executed OutcomeState = "executed"
	Failed   OutcomeState = "failed"
	Unknown  OutcomeState = "unknown"
	NotRun   OutcomeState = "not_run"
)

// Denied is the refusal of an action. Its text goes to the agent: it tells
// the rule, who decides and where, never a value or a figure of a finding.
type Denied struct {
	Status string // one of the Status constants
	Reason string
	ID     string // of the approval, when there is one
	URL    string
	Hint   string // what the agent can do next
}

// Why an action may not run. They are different answers, to people and agents.
const (
	StatusDenied  = "denied"  // by policy or by a reviewer
	StatusPending = "pending" // the wait budget ended; the same action asked again finds its approval
	StatusExpired = "expired"
	StatusNobody  = "undecided" // nobody could decide: an error on our side
	StatusLimit   = "limit"     // a limit was reached in mid-stream

	StatusUnreadable  = "unreadable"  // the gate could not read the request; the connection ends
	StatusLost        = "lost"        // upstream went away after the request was sent: nobody here knows whether it ran
	StatusUnreachable = "unreachable" // upstream can't be reached: nothing was sent
	StatusCanceled    = "canceled"    // the client itself called its waiting request off
)

func (d *Denied) Error() string { return fmt.Sprintf("%s: %s", d.Status, d.Reason) }
