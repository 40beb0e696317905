// Package hook is the gate of coding agents that ask before each tool call: Claude
// Code, Codex, Cursor and Gemini CLI start a program or send a request with a JSON
// document, and do what the JSON document says that comes back.
//
// It promises an answer in the agent's own form to whatever comes in, that the answer is
// yes only where policy or people allow this very call, and that what a call brought
// back is masked where the agent lets a hook replace it. It refuses documents that two
// parsers could read in two ways, events it doesn't know, and tools it doesn't know as
// anything but unknown actions.
//
// What it can't see: all of a document is the asker's claim. A path is not resolved
// (a link may lead elsewhere), another hook may change a call after it was judged (the
// result then comes back for another input, and is withheld), and an agent whose
// settings no longer name the hook doesn't ask. Hooks warn early; a gate that holds the
// credential is what stops.
package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/mcp"
)

// MaxBody is how many bytes one document may have.
const MaxBody = 8 << 20

// MaxWait is how long one call may be held: less than the 600 seconds after which
// the agents give a hook up.
const MaxWait = 590 * time.Second

// longest is how long a call may run until it counts as one whose end nobody told.
const longest = 4 * time.Hour

// Agents are the names of the agents there is an adapter for, sorted.
func Agents() []string { return slices.Sorted(maps.Keys(agents())) }

// agents is every agent there is an adapter for. A new one is one row here.
func agents() map[string]adapter {
	return map[string]adapter{
		"claude-code": {claudePhases, claudeEvent, claudeAnswer, claudeTools},
		"codex":       {codexPhases, codexEvent, codexAnswer, codexTools},
		"cursor":      {cursorPhases, cursorEvent, cursorAnswer, cursorTools},
		"gemini":      {geminiPhases, geminiEvent, geminiAnswer, geminiTools},
	}
}

// An adapter is what is one agent's own.
type adapter struct {
	phases map[string]Phase             // of its events, by name
	event  func(fields) (*Event, error) // reads the document
	answer func(e *Event, a Answer) any // what the agent reads
	tools  map[string]tool              // its built-in tools; what is not there is unknown
}

// A Phase says when in the life of a call an event comes.
type Phase int

// Phases. The zero value asks: what nobody has thought of is refused.
const (
	Ask     Phase = iota // may this call run?
	Confirm              // the agent would ask its user about a call
	After                // a call has run
	Ended                // a call has failed or was not run
	Prompt               // a person said something
	Over                 // a session ends
	Note                 // nothing is asked
	Unread               // nobody could read it: the agent must stop
)

// An Event is a document of an agent, read. Slices of it share its memory.
type Event struct {
	Agent, Name string
	Phase       Phase
	Session     string
	Dir         string // working directory; not resolved
	Tool        string
	Input       []byte // of the tool: an object
	Use         string // id of the call, where the agent tells
	Server      string // of an MCP tool, where the agent tells
	Reply       []byte // what the call brought back: any JSON
	NotRun      bool   // with Ended: it never began
	Like        string // what it is, where the agent announces one call under several names
	Prompt      string
}

// An Answer is what the gate says to an event.
type Answer struct {
	Verdict Verdict
	Reason  string // of Deny and Defer, for the agent
	Reply   []byte // After: what stands in place of the reply; nil: it stays
}

// A Verdict is the answer in one word. The zero value denies.
type Verdict int

// Verdicts. Silent leaves it to the agent's own rules; Defer ends a run without a
// person at it, which asks again when it is resumed.
const (
	Deny Verdict = iota
	Allow
	Defer
	Silent
)

// Config is what a Gate is made of.
type Config struct {
	// Open lets an asker in, as gate.Sessions does, at the gate that takes the actor's commands.
	Open func(ctx context.Context, actor, bearer string, from gate.Peer, session string) (s gate.Session, credential string, release func(), err error)
	// Command makes an action of a script for a shell; nil where it has no canonical form.
	Command func(script, dir string) *action.Action
	// MCP judges the tools of MCP servers. Nothing vouches for a server here: its name
	// is the agent's word, and may only tighten.
	MCP *mcp.Classifier
	Log *slog.Logger
}

// A Gate answers the hooks of coding agents. It is safe for concurrent use.
type Gate struct {
	cfg  Config
	runs *gate.Runs

	mu    sync.Mutex
	calls map[string][]*call // owned by mu: calls that were let run, by what identifies them
	asked map[string]*asking // owned by mu: calls that are being decided, by their id
}

// A call was let run and has not ended yet.
type call struct {
	credential, session string
	run                 string
	untrusted           string
	mcp                 bool
	confirmed           bool // a second event about the same call was answered
}

// New returns a Gate.
func New(cfg Config) (*Gate, error) {
	if cfg.Open == nil || cfg.Command == nil || cfg.MCP == nil || cfg.Log == nil {
		return nil, errors.New("hook gate: a part is missing")
	}
	return &Gate{cfg: cfg, runs: gate.NewRuns(longest), calls: map[string][]*call{}, asked: map[string]*asking{}}, nil
}

// Close ends the calls that are under way as unknown.
func (g *Gate) Close() { g.runs.Close() }

// A Request is one document with what is known of where it came from.
type Request struct {
	Actor  string // id of the acting one, as its credential says
	Bearer string // "": the connection's certificate
	From   gate.Peer
	Body   []byte
	Wait   time.Duration // longest hold; 0: none
	Defer  bool          // what waits for people is deferred, where the agent knows that
	Trace  string        // where the call belongs in a trace (W3C traceparent): a claim
}

// A Result is the document for the agent, and in one word what it says.
type Result struct {
	Body     []byte
	Status   string // "allowed", "denied", "pending", "deferred" or "none"
	Approval string // id, where one decides
}

// ErrNoAgent means that there is no adapter of that name.
var ErrNoAgent = errors.New("there is no such agent")

// Answer answers one document. The error is ErrNoAgent, or that nobody came in
// (gate.ErrClosed among it); everything else is answered in the agent's own form.
func (g *Gate) Answer(ctx context.Context, agent string, r Request) (res Result, err error) {
	ad, ok := agents()[agent]
	if !ok {
		return Result{}, ErrNoAgent
	}
	e := &Event{Agent: agent, Phase: Unread}
	defer func() {
		if p := recover(); p != nil {
			g.cfg.Log.Error("a hook panicked", "agent", agent, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			res, err = refuse(ad, e, "no decision could be reached, so the answer is no"), nil
		}
	}()
	if len(r.Body) > MaxBody {
		return refuse(ad, ad.guess(agent, r.Body), tooLarge), nil
	}
	got, bad := read(agent, ad, r.Body)
	if bad != nil {
		return refuse(ad, ad.guess(agent, r.Body), "Assent can't read this document ("+bad.Error()+"), so the answer is no"), nil
	}
	e = got
	if e.Phase == Note {
		return Result{Body: document(ad.answer(e, Answer{Verdict: Silent})), Status: "none"}, nil
	}
	s, credential, release, err := g.cfg.Open(ctx, r.Actor, r.Bearer, r.From, sessionName(e.Session))
	if err != nil {
		return Result{}, err
	}
	return g.answer(ctx, ad, e, r, s, credential, release), nil
}

const tooLarge = "this call is larger than 8 MiB, so nobody could judge it"

// Refuse is the answer to a document of those who could not reach a gate, and
// whether the agent must be kept from what it asked for. What asks for nothing is
// answered with nothing.
func Refuse(agent string, body []byte, reason string) (answer []byte, block bool) {
	ad, ok := agents()[agent]
	if !ok {
		return nil, true
	}
	e, err := read(agent, ad, body)
	if err != nil {
		e = ad.guess(agent, body)
	}
	switch e.Phase {
	case Ask, Confirm, Unread:
		return refuse(ad, e, reason).Body, true
	case After:
		return refuse(ad, e, reason).Body, false
	}
	return document(ad.answer(e, Answer{Verdict: Silent})), false
}

func refuse(ad adapter, e *Event, reason string) Result {
	a := Answer{Verdict: Deny, Reason: reason}
	if e.Phase == After {
		a.Reply = withhold(e.Reply)
	}
	return Result{Body: document(ad.answer(e, a)), Status: "denied"}
}

// sessionName bounds a name that the asker chose.
func sessionName(s string) string {
	if len(s) <= 128 {
		return s
	}
	return hash(s)
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
