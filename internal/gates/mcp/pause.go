package mcp

import (
	"context"
	"strconv"
	"sync"
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
	// is under way by then goes on until ctx ends. It may be called again once it returned.
	Run func(ctx, deciding context.Context, params []byte, held func(gate.Held)) (answer []byte, refused *gate.Denied)
	// Keep keeps what Run needs beyond the request that came, until release. ctx ends
	// with the session of its credential.
	Keep func() (ctx context.Context, release func())
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

// How long a call is kept waiting, below the minute that most clients wait, and
// the time between two notes of progress.
const (
	waitBudget = 45 * time.Second
	waitBeat   = 10 * time.Second
)

// LongPoll keeps a call waiting, and then says that it is pending: the same call
// made again finds its approval.
type LongPoll struct {
	Budget time.Duration // 0: 45 s
	Beat   time.Duration // between two notes of progress; 0: 10 s
}

// Call answers one tools/call.
func (l LongPoll) Call(ctx context.Context, w *Waiting) []byte { return l.call(ctx, w, nil, nil) }

// Method knows none.
func (LongPoll) Method(context.Context, *Waiting) ([]byte, bool) { return nil, false }

// ran is what a run came to.
type ran struct {
	answer  []byte
	refused *gate.Denied
}

// call keeps a call waiting. asked is told once people are asked: what it returns is
// told to the client at once, and nobody waits then; nil: the wait goes on.
func (l LongPoll) call(ctx context.Context, w *Waiting, params []byte, asked func(ctx context.Context, h gate.Held) []byte) []byte {
	budget, beat := orTime(l.Budget, waitBudget), orTime(l.Beat, waitBeat)
	deciding, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	holds, done := make(chan gate.Held, 1), make(chan ran, 1)
	var working sync.WaitGroup
	defer working.Wait()
	working.Go(func() {
		answer, refused := w.Run(ctx, deciding, params, func(h gate.Held) { holds <- h })
		done <- ran{answer, refused}
	})
	// later is what the client hears unless it was decided in the last moment.
	later := func(answer []byte) []byte {
		stop(gate.ErrComesBack)
		if r := <-done; r.answer != nil {
			return r.answer
		}
		return answer
	}
	var held gate.Held
	var over, tick <-chan time.Time
	for n := 1; ; n++ {
		select {
		case r := <-done:
			return r.answer
		case held = <-holds:
			timer := time.NewTimer(budget)
			defer timer.Stop()
			ticker := time.NewTicker(beat)
			defer ticker.Stop()
			over, tick = timer.C, ticker.C
			if asked != nil {
				if answer := asked(deciding, held); answer != nil {
					return later(answer)
				}
			}
			w.progress(n, held)
		case <-tick:
			w.progress(n, held)
		case <-over:
			return later(w.Deny(&gate.Denied{Status: gate.StatusPending, ID: held.ID, URL: held.URL, Reason: "still waiting for " + held.Who}))
		}
	}
}

func orTime(d, other time.Duration) time.Duration {
	if d == 0 {
		return other
	}
	return d
}

// progress tells a client that asked for it what it waits for.
func (w *Waiting) progress(n int, h gate.Held) {
	if w.Progress == nil {
		return
	}
	w.Tell(object("jsonrpc", "2.0", "method", "notifications/progress", "params",
		object("progressToken", w.Progress, "progress", []byte(strconv.Itoa(n)), "message", "waiting for "+h.Who+": "+h.URL)))
}
