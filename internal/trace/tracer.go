package trace

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// How spans are sent. None of it is a setting.
const (
	maxWaiting = 2048                   // traces that wait to be sent; those beyond it are dropped
	batchMost  = 512                    // spans of one Send, or the four or so of one trace more
	batchEvery = 500 * time.Millisecond // how long a span waits for others
	attempt    = 10 * time.Second       // one Send
	firstGap   = 500 * time.Millisecond // after a failure, doubled with each further one
	longestGap = 15 * time.Second
	attempts   = 6               // then a batch is dropped
	lastWords  = 3 * time.Second // to send what is left when the process ends
)

// A Sink sends spans to a receiver.
type Sink interface {
	// Send returns once the receiver has them. lost is how many of them it will never take.
	Send(ctx context.Context, spans []*Span) (lost int, err error)
	Close()
}

// ErrNever is wrapped by what a Sink says where sending the same again is of no use.
var ErrNever = errors.New("it will not be taken")

// Later is an error of a receiver that said when to come again.
type Later struct {
	Err error
	In  time.Duration
}

func (e *Later) Error() string { return e.Err.Error() }
func (e *Later) Unwrap() error { return e.Err }

// Options of a Tracer.
type Options struct {
	Sink Sink
	// Join has an action stand in the trace that its asker claims. Otherwise it begins one of its own, with a link there.
	Join bool
	// OneIn says of how many actions that ran without asking anybody one is sent; 0: each. What was
	// held, denied or failed is always sent.
	OneIn  int
	Logger *slog.Logger
}

// A Tracer collects traces and sends them. It is safe for concurrent use.
type Tracer struct {
	o       Options
	waiting chan []*Span
	stop    chan struct{}
	ended   chan struct{}
	once    sync.Once
	ctx     context.Context // of what is sent; ends soon after stop
	cancel  context.CancelFunc

	mu    sync.Mutex
	begun bool  // owned by mu
	state State // owned by mu
}

// State tells how sending goes.
type State struct {
	Sent    int64 // spans
	Dropped int64 // spans that nobody will see: too many waited, or the receiver was away or refused them
	Failed  int64 // attempts
	Waiting int   // traces
	Since   time.Time
	Error   string // of the last attempt; "" while it works
}

// New returns a Tracer that sends nothing before Start.
func New(o Options) *Tracer {
	if o.OneIn < 1 {
		o.OneIn = 1
	}
	t := &Tracer{o: o, waiting: make(chan []*Span, maxWaiting), stop: make(chan struct{}), ended: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Start begins to send, until Close.
func (t *Tracer) Start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun {
		return
	}
	t.begun = true
	go t.run()
}

// Close tries once, for a few seconds, to send what is left.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		close(t.stop)
		defer time.AfterFunc(lastWords, t.cancel).Stop()
		t.mu.Lock()
		begun := t.begun
		t.mu.Unlock()
		if begun {
			<-t.ended
		}
		t.cancel()
		t.o.Sink.Close()
	})
}

// State tells how it goes.
func (t *Tracer) State() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.state
	s.Waiting = len(t.waiting)
	return s
}

func (t *Tracer) add(spans []*Span) {
	select {
	case t.waiting <- spans:
	default:
		t.drop(len(spans))
	}
}

func (t *Tracer) drop(n int) {
	t.mu.Lock()
	t.state.Dropped += int64(n)
	t.mu.Unlock()
}

func (t *Tracer) run() {
	defer close(t.ended)
	for {
		select {
		case first := <-t.waiting:
			t.deliver(t.gather(first))
		case <-t.stop:
			t.rest()
			return
		}
	}
}

// gather adds to first what comes within a moment.
func (t *Tracer) gather(first []*Span) []*Span {
	batch := append(make([]*Span, 0, batchMost), first...)
	timer := time.NewTimer(batchEvery)
	defer timer.Stop()
	for len(batch) < batchMost {
		select {
		case more := <-t.waiting:
			batch = append(batch, more...)
		case <-timer.C:
			return batch
		case <-t.stop:
			return batch
		}
	}
	return batch
}

// deliver sends a batch, or gives it up.
func (t *Tracer) deliver(batch []*Span) {
	gap := firstGap
	for n := 1; ; n++ {
		err := t.send(batch)
		if err == nil {
			return
		}
		if errors.Is(err, ErrNever) || n == attempts {
			t.drop(len(batch))
			return
		}
		pause := gap
		var later *Later
		if errors.As(err, &later) {
			pause = max(pause, min(later.In, time.Minute))
		}
		gap = min(2*gap, longestGap)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-t.stop:
			timer.Stop()
			if t.send(batch) != nil {
				t.drop(len(batch))
			}
			return
		}
	}
}

// rest sends what waits when the process ends, as far as it can in a few seconds.
func (t *Tracer) rest() {
	for {
		batch := make([]*Span, 0, batchMost)
		for len(batch) < batchMost && len(t.waiting) > 0 {
			batch = append(batch, <-t.waiting...)
		}
		if len(batch) == 0 {
			return
		}
		if t.ctx.Err() != nil || t.send(batch) != nil {
			t.drop(len(batch))
			t.cancel()
		}
	}
}

func (t *Tracer) send(batch []*Span) error {
	ctx, cancel := context.WithTimeout(t.ctx, attempt)
	defer cancel()
	lost, err := t.o.Sink.Send(ctx, batch)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		if !t.state.Since.IsZero() {
			t.o.Logger.Info("spans are taken again")
		}
		t.state.Sent += int64(len(batch) - lost)
		t.state.Dropped += int64(lost)
		t.state.Since, t.state.Error = time.Time{}, ""
		return nil
	}
	t.state.Failed++
	t.state.Error = err.Error()
	if t.state.Since.IsZero() { // the first of a row; the rest is in State
		t.state.Since = time.Now()
		t.o.Logger.Warn("spans can't be sent; nothing waits for them, and what is left over is dropped", "err", err)
	}
	return err
}
