// Package stream hands the audit log on while it is written, to where an
// organisation watches everything: syslog, a webhook, OpenTelemetry.
//
// It promises that each record of a lane is sent at least once and in order, from
// where a stream began, over restarts and outages of the receiver; that what could
// not be sent is told, never skipped in silence; and that a receiver can find a
// missing one by its index alone. It holds up nothing: what an agent does never
// waits for a receiver. Records are sent as they lie in the log, which holds no
// secret and no masked value.
package stream

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
)

// Lanes that records come from.
const (
	Decisions = "decisions" // the log: one for all nodes
	Traffic   = "traffic"   // what flowed: one for each node
)

// How records are sent. None of them is a setting.
const (
	lookEvery  = 500 * time.Millisecond // for new records
	batchMost  = 500                    // records of one Send
	batchBytes = 1 << 20                // of their leaves, by which a batch ends
	attempt    = 30 * time.Second       // one Send
	firstGap   = 250 * time.Millisecond // after a failure, doubled with each further one
	longestGap = time.Minute
)

// An Event is one record on its way.
type Event struct {
	Log   string // the log's origin
	Lane  string
	Node  string // whose traffic; "" for decisions
	Index int64  // in the lane, of this node where it is traffic
	Leaf  []byte // as it is stored: JSON
}

// An envelope is an event as JSON.
type envelope struct {
	Log   string `json:"log"`
	Lane  string `json:"lane"`
	Node  string `json:"node,omitempty"`
	Index int64  `json:"index"`
	// Hash is the record's in the Merkle tree (RFC 6962 section 2.1), of its bytes as they stand in Record.
	Hash   string          `json:"hash"`
	Record json.RawMessage `json:"record"`
}

// JSON is the event as one line, the record's own bytes in it.
func (e *Event) JSON() ([]byte, error) {
	if !json.Valid(e.Leaf) {
		return nil, fmt.Errorf("record %d of the %s isn't JSON: run assent verify", e.Index, e.Lane)
	}
	own, err := json.Marshal(envelope{e.Log, e.Lane, e.Node, e.Index, e.hash(), json.RawMessage("0")})
	if err != nil {
		return nil, err
	}
	// Marshal would write the record anew: other bytes would have another hash.
	return append(append(own[:len(own)-2], e.Leaf...), '}'), nil
}

func (e *Event) hash() string {
	h := evidence.LeafHash(e.Leaf)
	return base64.StdEncoding.EncodeToString(h[:])
}

// ID is the same whenever the event is sent, and no other event's.
func (e *Event) ID() string {
	if e.Lane == Decisions {
		return fmt.Sprintf("%s/%d", e.Log, e.Index)
	}
	return fmt.Sprintf("%s/traffic/%s/%d", e.Log, e.Node, e.Index)
}

// A Sink sends events to a receiver.
type Sink interface {
	// Send returns once the receiver has them, as far as its protocol can tell, or
	// says why it hasn't. Those that came before a failure may arrive twice.
	Send(ctx context.Context, events []Event) error
	Close()
}

// ErrTooLarge is what a Sink says of a batch that its receiver finds too large: a smaller one is tried.
var ErrTooLarge = errors.New("the receiver finds it too large")

// Refused is what a Sink says of records that its receiver will never take, the
// others of the batch being there.
type Refused struct {
	N   int64
	Why string // in our words
}

func (e *Refused) Error() string { return fmt.Sprintf("%d records were refused: %s", e.N, e.Why) }

// RetryAfter is an error of a receiver that said when to come again.
type RetryAfter struct {
	Err error
	In  time.Duration
}

func (e *RetryAfter) Error() string { return e.Err.Error() }
func (e *RetryAfter) Unwrap() error { return e.Err }

// A Source is a lane to read from.
type Source interface {
	Lane() string
	// End is the index after the newest record.
	End(ctx context.Context) (int64, error)
	// Read calls fn with records from index from on, in order, until fn says no or
	// there are none. A *Gap says that records from it on are no longer there.
	Read(ctx context.Context, from int64, fn func(index int64, leaf []byte) bool) error
}

// A Gap tells of records that can't be read any more.
type Gap struct{ From, To int64 } // To is the next that is there

func (g *Gap) Error() string {
	return fmt.Sprintf("records %d to %d are no longer there", g.From, g.To-1)
}

// A Cursor remembers how far a stream came. Mine says whether this process is the
// one that sends now.
type Cursor interface {
	// Load is the index of the next record to send; ok is false where nothing was sent yet.
	Load(ctx context.Context) (next int64, ok bool, err error)
	Store(ctx context.Context, next int64) error
	Mine(ctx context.Context) (bool, error)
}

// A Follower sends one lane to one sink.
type Follower struct {
	Name      string // of the stream
	Log       string // origin
	Node      string // whose traffic it is
	Source    Source
	Sink      Sink
	Cursor    Cursor
	Beginning bool // a new stream begins with the first record, not with the next one
	Logger    *slog.Logger
	Wait      func(ctx context.Context, d time.Duration) // nil: by the clock

	mu    sync.Mutex
	state State
}

// State is how a lane of a stream stands.
type State struct {
	Stream  string    `json:"stream"`
	Lane    string    `json:"lane"`
	Sent    int64     `json:"sent"` // records since the process began
	Behind  int64     `json:"behind"`
	Failed  int64     `json:"failed"` // attempts since the process began
	Since   time.Time `json:"failing_since,omitzero"`
	Error   string    `json:"error,omitempty"` // of the last attempt; "" when it went well
	Lost    int64     `json:"lost,omitempty"`  // records that were gone before they could be sent, or refused for good
	Sending bool      `json:"sending"`         // this node sends; false: another one does
}

// State may be asked at any time.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.state
	s.Stream, s.Lane = f.Name, f.Source.Lane()
	return s
}

func (f *Follower) change(fn func(*State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(&f.state)
}

// Run sends until ctx ends. It gives up on nothing.
func (f *Follower) Run(ctx context.Context) {
	defer f.Sink.Close()
	if f.Wait == nil {
		f.Wait = wait
	}
	gap := firstGap
	most := batchMost
	for ctx.Err() == nil {
		n, err := f.step(ctx, most)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			gap, most = firstGap, min(most*2, batchMost)
			f.well()
			if n == 0 {
				f.Wait(ctx, lookEvery)
			}
		case errors.Is(err, ErrTooLarge) && n > 1:
			most = n / 2
		default:
			f.failed(err)
			var later *RetryAfter
			if errors.As(err, &later) && later.In > gap {
				f.Wait(ctx, min(later.In, 10*longestGap))
			} else {
				f.Wait(ctx, gap/2+rand.N(gap/2+1)) //nolint:gosec // spreads attempts, guards nothing
			}
			gap = min(gap*2, longestGap)
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// step sends one batch of at most most records; n is how many there were.
func (f *Follower) step(ctx context.Context, most int) (n int, err error) {
	mine, err := f.Cursor.Mine(ctx)
	f.change(func(s *State) { s.Sending = mine && err == nil })
	if err != nil || !mine {
		return 0, err
	}
	end, err := f.Source.End(ctx)
	if err != nil {
		return 0, err
	}
	next, ok, err := f.Cursor.Load(ctx)
	if err != nil {
		return 0, err
	}
	if !ok {
		if !f.Beginning {
			next = end
		}
		if err := f.Cursor.Store(ctx, next); err != nil { // "now" stays where it was
			return 0, err
		}
	}
	if next > end {
		return 0, fmt.Errorf("the stream has sent %d records of the %s and there are %d: the log was put back to an earlier state", next, f.Source.Lane(), end)
	}
	f.change(func(s *State) { s.Behind = end - next })
	var batch []Event
	bytes := 0
	err = f.Source.Read(ctx, next, func(index int64, leaf []byte) bool {
		batch = append(batch, Event{f.Log, f.Source.Lane(), f.Node, index, append([]byte(nil), leaf...)})
		bytes += len(leaf)
		return len(batch) < most && bytes < batchBytes
	})
	var gap *Gap
	if errors.As(err, &gap) && len(batch) == 0 {
		f.Logger.Error("a stream lost records: they were removed before its receiver took them", "stream", f.Name, "lane", f.Source.Lane(), "first", gap.From, "last", gap.To-1)
		f.change(func(s *State) { s.Lost += gap.To - gap.From })
		return 1, f.Cursor.Store(ctx, gap.To)
	}
	if err != nil && gap == nil || len(batch) == 0 {
		return 0, err
	}
	sending, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	err = f.Sink.Send(sending, batch)
	var refused *Refused
	if errors.As(err, &refused) {
		f.Logger.Error("a stream's receiver refused records for good", "stream", f.Name, "lane", f.Source.Lane(), "among", []int64{batch[0].Index, batch[len(batch)-1].Index}, "refused", refused.N, "why", refused.Why)
		f.change(func(s *State) { s.Lost += refused.N })
	} else if err != nil {
		return len(batch), err
	}
	next = batch[len(batch)-1].Index + 1
	f.change(func(s *State) { s.Sent += int64(len(batch)); s.Behind = max(end-next, 0) })
	return len(batch), f.Cursor.Store(ctx, next)
}

// well tells that a failing stream works again.
func (f *Follower) well() {
	f.mu.Lock()
	since := f.state.Since
	f.state.Since, f.state.Error = time.Time{}, ""
	f.mu.Unlock()
	if !since.IsZero() {
		f.Logger.Info("a stream works again", "stream", f.Name, "lane", f.Source.Lane(), "failed_since", since)
	}
}

// failed tells of the first failure of a row; the rest is in State.
func (f *Follower) failed(err error) {
	f.mu.Lock()
	first := f.state.Since.IsZero()
	if first {
		f.state.Since = time.Now()
	}
	f.state.Failed++
	f.state.Error = err.Error()
	behind := f.state.Behind
	f.mu.Unlock()
	if first {
		f.Logger.Warn("a stream fails; it is tried until it works, and nothing waits for it", "stream", f.Name, "lane", f.Source.Lane(), "behind", behind, "err", err)
	}
}

// head is what is read of a record for words of a protocol.
type head struct {
	Time     time.Time `json:"time"`
	Type     string    `json:"type"`
	Actor    string    `json:"actor"`
	Subject  string    `json:"subject"`
	Person   string    `json:"person"`
	Session  string    `json:"session"`
	Gate     string    `json:"gate"`
	Resource string    `json:"resource"`
	Env      string    `json:"env"`
	Kinds    []string  `json:"kinds"`
	Decision string    `json:"decision"`
	Approval string    `json:"approval"`
	Grant    string    `json:"grant"`
	Outcome  string    `json:"outcome"`
	Detail   struct {
		Trace string `json:"trace"` // in hexadecimal (docs/tracing.md)
	} `json:"detail"`
}

func (e *Event) head() (head, error) {
	var h head
	if err := json.Unmarshal(e.Leaf, &h); err != nil {
		return h, fmt.Errorf("reading record %d of the %s: %w", e.Index, e.Lane, err)
	}
	return h, nil
}

// weight is how much a record matters, from 0, what is usual, to 2.
func (h *head) weight() int {
	switch {
	case h.Type == audit.TypeAlarm:
		return 2
	case h.Type == audit.TypeRefused, h.Type == audit.TypeFreeze, h.Decision == "deny":
		return 1
	}
	return 0
}

// short is the event as JSON without what the record says at length: a receiver
// that takes no more learns that it is there, and its hash.
func (e *Event) short(h *head) ([]byte, error) {
	cut := func(s string) string { return strings.ToValidUTF8(s[:min(len(s), 80)], "") }
	return json.Marshal(struct {
		Log    string         `json:"log"`
		Lane   string         `json:"lane"`
		Node   string         `json:"node,omitempty"`
		Index  int64          `json:"index"`
		Hash   string         `json:"hash"`
		Cut    int            `json:"cut"` // bytes of the record, which isn't here
		Record map[string]any `json:"part"`
	}{e.Log, e.Lane, e.Node, e.Index, e.hash(), len(e.Leaf), map[string]any{
		"index": e.Index, "time": h.Time, "type": cut(h.Type), "actor": cut(h.Actor), "person": cut(h.Person), "resource": cut(h.Resource),
		"decision": cut(h.Decision), "approval": cut(h.Approval), "outcome": cut(h.Outcome),
	}})
}
