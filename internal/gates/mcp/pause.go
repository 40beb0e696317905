package mcp

import (
	"context"
	"strconv"
	"time"

	"github.com/assenthq/assent/gate"
)

// A Waiting is one request of a client that may have to wait for people.
type Waiting struct {
	Server       string
	Credential   string // who may ask for what comes of it
	Method       string
	ID           []byte // as it stands
	Params       []byte
	Version      string // revision, "" before it is known
	Capabilities []byte // of the client, for this request; nil for none
	Progress     []byte // progress token; nil for none

	// Run decides, sends the request to the server and returns the answer for the
	// client, masked. With params it is those that are judged and sent instead of
	// what came. It blocks while people decide, and calls held once they are
	// asked. Where it is refused, refused says why, and answer says so to the
	// client. Both are nil when nobody waits for an answer any more, or it comes
	// on another stream. Once deciding ends nobody waits for people any more; what
	// is under way by then goes on until ctx ends. It is called once.
	Run func(ctx, deciding context.Context, params []byte, held func(gate.Held)) (answer []byte, refused *gate.Denied)
	// Tell sends the client a message on the stream that it waits on.
	Tell func(message []byte)
	// Ask asks the client something, as a server would, and returns its result. It is
	// nil where a client can't be asked.
	Ask func(ctx context.Context, method string, params []byte) (result []byte, err error)
	// Deny is how a refusal is told.
	Deny func(*gate.Denied) []byte
}

// A Pauser decides what a client sees while a call of a tool waits for people.
type Pauser interface {
	// Call answers one tools/call; nil: nothing more is said.
	Call(ctx context.Context, w *Waiting) []byte
	// Method answers a request for something of its own, such as tasks/get. Any
	// other it leaves alone: false.
	Method(ctx context.Context, w *Waiting) (answer []byte, mine bool)
}

// LongPoll keeps a call waiting, and then says that it is pending: the same call
// made again finds its approval.
type LongPoll struct {
	Budget time.Duration // 0: 45 s, below the minute that most clients wait
	Beat   time.Duration // between two notes of progress; 0: 10 s
}

// Call answers one tools/call.
func (l LongPoll) Call(ctx context.Context, w *Waiting) []byte {
	budget, beat := l.Budget, l.Beat
	if budget == 0 {
		budget = 45 * time.Second
	}
	if beat == 0 {
		beat = 10 * time.Second
	}
	deciding, stop := context.WithCancel(ctx)
	defer stop()
	asked := make(chan gate.Held, 1)
	type result struct {
		answer  []byte
		refused *gate.Denied
	}
	done := make(chan result, 1)
	go func() {
		answer, refused := w.Run(ctx, deciding, nil, func(h gate.Held) { asked <- h })
		done <- result{answer, refused}
	}()
	var held gate.Held
	var over, tick <-chan time.Time
	for n := 1; ; n++ {
		select {
		case r := <-done:
			return r.answer
		case held = <-asked:
			timer := time.NewTimer(budget)
			defer timer.Stop()
			ticker := time.NewTicker(beat)
			defer ticker.Stop()
			over, tick = timer.C, ticker.C
			w.progress(n, held)
		case <-tick:
			w.progress(n, held)
		case <-over:
			stop()
			if r := <-done; r.answer != nil { // it was decided in the last moment
				return r.answer
			}
			return w.Deny(&gate.Denied{Status: gate.StatusPending, ID: held.ID, URL: held.URL, Reason: "still waiting for " + held.Who})
		}
	}
}

// Method knows none.
func (LongPoll) Method(context.Context, *Waiting) ([]byte, bool) { return nil, false }

// progress tells a client that asked for it what it waits for.
func (w *Waiting) progress(n int, h gate.Held) {
	if w.Progress == nil {
		return
	}
	w.Tell(object("jsonrpc", "2.0", "method", "notifications/progress", "params",
		object("progressToken", w.Progress, "progress", []byte(strconv.Itoa(n)), "message", "waiting for "+h.Who+": "+h.URL)))
}
