package mcp

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/jsontext"
)

// Tasks is the extension by which a call is answered with a handle (SEP-2663).
const Tasks = "io.modelcontextprotocol/tasks"

// urls is the first revision in which a client may be asked to open an address.
const urls = "2025-11-25"

// A LadderConfig is what a Ladder is made of. Key is needed.
type LadderConfig struct {
	Key []byte // 32 secret bytes or more, the same on every node
	// Withdraw ends an approval of a credential whose user declined it; nil: none can be.
	Withdraw func(ctx context.Context, credential, approval, why string) error
	Poll     LongPoll
	Log      *slog.Logger
}

// A Ladder is a Pauser that waits in the best way that the client declared, for
// this request: by a task, by showing its user where people decide, or by
// keeping the call waiting; and in the end by saying that it is pending.
//
// Whatever the way, the approval is one: the same call made again finds it. An
// answer of the client's user is never a decision. What is kept (tasks, and which approvals were
// shown) is in memory: after a restart the same call made again finds its approval.
type Ladder struct {
	o      LadderConfig
	states states
	tasks  *tasks

	mu    sync.Mutex
	shown map[string]time.Time // owned by mu: approvals that a user was shown, until they expire
}

// NewLadder makes a Ladder.
func NewLadder(o LadderConfig) (*Ladder, error) {
	if len(o.Key) < 32 {
		return nil, errors.New("the ladder's key needs 32 bytes")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Ladder{o: o, states: newStates(o.Key), tasks: newTasks(), shown: map[string]time.Time{}}, nil
}

// Close ends what waits. Its approvals stay.
func (l *Ladder) Close() { l.tasks.close() }

// abilities are what a client declared.
type abilities struct{ tasks, url bool }

func (w *Waiting) abilities() abilities {
	var a abilities
	a.url = w.Version >= urls && isObject(member(member(w.Capabilities, "elicitation"), "url"))
	a.tasks = w.Version >= Stateless && isObject(member(member(w.Capabilities, "extensions"), Tasks))
	return a
}

func isObject(raw []byte) bool { return len(raw) > 0 && raw[0] == '{' }

// Call answers one tools/call.
func (l *Ladder) Call(ctx context.Context, w *Waiting) []byte {
	params, was, answer := l.resume(ctx, w)
	if answer != nil {
		return answer
	}
	if w.abilities().tasks {
		params = withoutTasks(orBytes(params, w.Params))
		if w.Keep != nil && l.tasks.room(w.Credential) {
			return l.task(ctx, w, params)
		}
	}
	return l.wait(ctx, w, params, was)
}

// wait keeps a request waiting, and shows its user the approval where that can be done.
func (l *Ladder) wait(ctx context.Context, w *Waiting, params []byte, was *state) []byte {
	var asked func(context.Context, gate.Held) []byte
	var asking sync.WaitGroup
	defer asking.Wait()
	if w.abilities().url && (w.Version < Stateless || rounds[w.Method]) {
		asked = func(ctx context.Context, h gate.Held) []byte {
			if was != nil && was.Approval == h.ID || !l.first(h) {
				return nil
			}
			switch {
			case w.Version >= Stateless:
				return l.inputRequired(w, orBytes(params, w.Params), h)
			case w.Ask != nil:
				asking.Go(func() { l.show(ctx, w, h) })
				return nil
			}
			return urlRequired(w.ID, h)
		}
	}
	return l.o.Poll.call(ctx, w, params, asked)
}

// rounds are the methods whose answer may be that input is required (SEP-2322).
var rounds = map[string]bool{"tools/call": true, "prompts/get": true, "resources/read": true}

func orBytes(b, other []byte) []byte {
	if b == nil {
		return other
	}
	return b
}

// first reports whether nobody here was shown this approval yet, and notes that
// they are now: one approval asks a user once, whatever their client does.
func (l *Ladder) first(h gate.Held) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.shown[h.ID]; there {
		return false
	}
	if len(l.shown) >= 10_000 {
		for id, until := range l.shown {
			if now.After(until) {
				delete(l.shown, id)
			}
		}
		if len(l.shown) >= 10_000 {
			return false
		}
	}
	l.shown[h.ID] = h.Expires
	return true
}

// inputRequired asks a client's user to look at the approval, and the client to
// make the same call again. nil: it can't be asked in this way.
func (l *Ladder) inputRequired(w *Waiting, params []byte, h gate.Held) []byte {
	st := state{
		Approval: h.ID, Digest: digestOf(w.Method, params), Credential: w.Credential, Server: w.Server, URL: h.URL, Expires: h.Expires.Unix(),
		Responses: member(params, "inputResponses"), State: member(params, "requestState"),
	}
	sealed := l.states.seal(st)
	if sealed == "" {
		return nil
	}
	ask := object("method", "elicitation/create", "params", object("mode", "url", "url", h.URL, "message", invitation(h)))
	return object("jsonrpc", "2.0", "id", w.ID, "result",
		object("resultType", "input_required", "inputRequests", object(inputKey, ask), "requestState", sealed))
}

// inputKey names our question among the inputs that a call requires.
const inputKey = "assent_approval"

func invitation(h gate.Held) string {
	return "This call waits for " + h.Who + " (approval " + h.ID + "). The page shows it; opening it approves nothing. Decline to withdraw the request."
}

// show asks a client of an earlier revision to show the approval to its user.
func (l *Ladder) show(ctx context.Context, w *Waiting, h gate.Held) {
	result, err := w.Ask(ctx, "elicitation/create", object("mode", "url", "message", invitation(h), "url", h.URL, "elicitationId", h.ID))
	if err == nil && text(result, "action") == "decline" {
		l.withdraw(ctx, w, h.ID)
	}
}

// urlRequired is for a client that declared that it can open addresses, and can't be asked to.
func urlRequired(id []byte, h gate.Held) []byte {
	one := object("mode", "url", "elicitationId", h.ID, "url", h.URL, "message", invitation(h))
	return fail(id, codeOpenURL, "people must approve this call first: open the address, and make the same call again", object("elicitations", append(append([]byte{'['}, one...), ']')))
}

// withdraw ends an approval that the client's own user does not want.
func (l *Ladder) withdraw(ctx context.Context, w *Waiting, approval string) {
	if l.o.Withdraw == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := l.o.Withdraw(ctx, w.Credential, approval, "declined by the user of the client that asked"); err != nil {
		l.o.Log.Info("an approval that was declined at its client stays", "approval", approval, "err", err)
	}
}

// resume reads what a client brings back. Its params are those of the call without
// it; nil: as they came. was is set when its user was shown an approval for this
// very call. answer is set when the user's answer ends it.
func (l *Ladder) resume(ctx context.Context, w *Waiting) (params []byte, was *state, answer []byte) {
	brought := text(w.Params, "requestState")
	if !strings.HasPrefix(brought, statePrefix) {
		return nil, nil, nil
	}
	action := text(member(member(w.Params, "inputResponses"), inputKey), "action")
	was, err := l.states.open(brought, w.Credential, w.Server, digestOf(w.Method, w.Params), time.Now())
	if err != nil { // other arguments, or another's: an action of its own
		return with(w.Params, map[string][]byte{"requestState": nil, "inputResponses": nil}), nil, nil
	}
	params = with(w.Params, map[string][]byte{"requestState": was.State, "inputResponses": was.Responses})
	switch action {
	case "accept": // it was opened: no more than that
	case "decline":
		l.withdraw(ctx, w, was.Approval)
		return nil, nil, w.Deny(&gate.Denied{Status: gate.StatusDenied, ID: was.Approval, Reason: "the user of this client declined it, so the request was withdrawn"})
	default:
		return nil, nil, w.Deny(&gate.Denied{Status: gate.StatusPending, ID: was.Approval, URL: was.URL, Reason: "still waiting for people"})
	}
	return params, was, nil
}

// withoutTasks takes the extension out of what a server is told that the client can
// do: its own tasks could not be asked for through here.
func withoutTasks(params []byte) []byte {
	meta := member(params, "_meta")
	declared := member(meta, metaCapabilities)
	extensions := without(member(declared, "extensions"), Tasks)
	declared = replaced(declared, "extensions", extensions)
	return with(params, map[string][]byte{"_meta": replaced(meta, metaCapabilities, declared)})
}

// without is an object without one member; replaced one with another value in its place.
func without(raw []byte, name string) []byte { return replaced(raw, name, nil) }

func replaced(raw []byte, name string, value []byte) []byte {
	if !isObject(raw) {
		return raw
	}
	var pairs []any
	for _, f := range members(raw) {
		v := f.Value
		if f.Name == name {
			v = value
		}
		if v != nil {
			pairs = append(pairs, f.Name, v)
		}
	}
	return object(pairs...)
}

// Method answers what belongs to tasks, says of a server that they are to be had here,
// and keeps a read waiting as it does a call.
func (l *Ladder) Method(ctx context.Context, w *Waiting) (answer []byte, mine bool) {
	if requests[w.Method].describe != nil {
		params, was, answer := l.resume(ctx, w)
		if answer == nil {
			answer = l.wait(ctx, w, params, was)
		}
		return answer, true
	}
	if w.Version < Stateless {
		return nil, false
	}
	switch w.Method {
	case "server/discover":
		answer, _ = w.Run(ctx, ctx, nil, nil)
		return offering(answer), true
	case "subscriptions/listen":
		wanted := member(w.Params, "notifications")
		if member(wanted, "taskIds") == nil {
			return nil, false
		}
		if !w.abilities().tasks {
			return missingTasks(w.ID), true
		}
		// Ids of tasks here are nothing to the server, whose acknowledgement names none: the client asks by tasks/get.
		answer, _ = w.Run(ctx, ctx, with(w.Params, map[string][]byte{"notifications": without(wanted, "taskIds")}), nil)
		return answer, true
	case "tasks/get", "tasks/update", "tasks/cancel":
		if !w.abilities().tasks {
			return missingTasks(w.ID), true
		}
		return l.tasks.method(ctx, w, l), true
	}
	return nil, false
}

func missingTasks(id []byte) []byte {
	need := object("requiredCapabilities", object("extensions", object(Tasks, []byte("{}"))))
	return fail(id, codeMissing, "Missing required client capability: "+Tasks, need)
}

// offering adds the extension to a server's answer to server/discover.
func offering(answer []byte) []byte {
	result := member(answer, "result")
	capabilities := member(result, "capabilities")
	if !isObject(capabilities) {
		return answer
	}
	extensions := member(capabilities, "extensions")
	if !isObject(extensions) {
		extensions = []byte("{}")
	}
	extensions = put(extensions, Tasks, []byte("{}"))
	return replaced(answer, "result", replaced(result, "capabilities", put(capabilities, "extensions", extensions)))
}

// put is an object with that member, in the place of one of its name.
func put(raw []byte, name string, value []byte) []byte {
	raw = without(raw, name)
	out := append([]byte{}, raw[:len(raw)-1]...)
	if len(out) > 1 {
		out = append(out, ',')
	}
	out = append(jsontext.Append(out, []byte(name)), ':')
	return append(append(out, value...), '}')
}
