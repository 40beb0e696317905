package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/mask"
)

// LinkOptions of a Link. All but Apply's Rules are needed.
type LinkOptions struct {
	// Dial makes a connection on which each end has proved itself to the other.
	Dial    func(ctx context.Context) (net.Conn, error)
	Gates   []Announced
	Version string
	// Apply puts what the control plane decides by in force here, and returns the bundle of the policy that is.
	Apply func(r *Rules) (bundle string, err error)
	Spool func() audit.SpoolStatus
	Log   *slog.Logger
}

// A Link is the gate process's end. It is safe for concurrent use.
type Link struct {
	o LinkOptions

	epoch atomic.Int64 // of the connection; moves with each new one

	mu       sync.Mutex // guards what follows
	mux      *yamux.Session
	node     string
	renewed  time.Time // when the lease in force was asked for
	ahead    time.Duration
	stopped  error // why there is no lease, whatever its age
	online   bool
	bundle   string // in force here
	settings string
	theirs   string        // bundle of the control plane
	ready    chan struct{} // closed with the first lease
	last     error         // why the last connection ended

	ledger ledger
}

// NewLink returns a Link that has no connection yet: see Run.
func NewLink(o LinkOptions) *Link {
	return &Link{o: o, ready: make(chan struct{}), stopped: errNoLink}
}

var (
	errNoLink = errors.New("the control plane was not reached yet")
	errOver   = fmt.Errorf("the control plane has not been heard of for %v", Lease)
)

// A RefusedError is the control plane's refusal of a link: coming again changes nothing by itself.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return "the control plane refuses this gate: " + e.Why }

// Run connects, and connects again, until ctx ends.
func (l *Link) Run(ctx context.Context) {
	wait := 100 * time.Millisecond
	told := ""
	for ctx.Err() == nil {
		began := time.Now()
		err := l.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > 10*time.Second {
			wait = 100 * time.Millisecond
		}
		l.mu.Lock()
		l.mux, l.last = nil, err
		l.mu.Unlock()
		if text := fmt.Sprint(err); text != told {
			l.o.Log.Warn("no link to the control plane: what is more than a read is refused, and reads when the lease is over", "err", err, "lease", Lease)
			told = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // it spreads processes out, and keeps no secret
		}
		wait = min(2*wait, 3*time.Second)
	}
}

// once is one connection.
func (l *Link) once(ctx context.Context) error {
	dctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	conn, err := l.o.Dial(dctx)
	cancel()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	mux, err := yamux.Client(conn, muxing())
	if err != nil {
		return err
	}
	defer func() { _ = mux.Close() }()
	defer context.AfterFunc(ctx, func() { _ = mux.Close() })()
	var w welcome
	if err := ask(ctx, mux, "hello", hello{Oldest: OldestProtocol, Newest: NewestProtocol, Version: l.o.Version, Gates: l.o.Gates}, &w); err != nil {
		var answered *AnswerError
		if errors.As(err, &answered) {
			return &RefusedError{answered.Why}
		}
		return err
	}
	st, err := begin(mux, "lease", nil)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	l.mu.Lock()
	l.mux, l.node = mux, w.Node
	l.mu.Unlock()
	if err := l.payDebts(ctx); err != nil {
		return err
	}
	l.epoch.Add(1) // sessions of before must be opened again before anything flows by a lease of this link
	first := true
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		if err := l.renew(st); err != nil {
			return fmt.Errorf("renewing the lease: %w", err)
		}
		if first {
			first = false
			l.o.Log.Info("linked to the control plane", "node", w.Node, "protocol", w.Protocol)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-mux.CloseChan():
			return errors.New("the connection ended")
		case <-tick.C:
		}
	}
}

// renew asks for the lease to go on. It counts from before it was asked for.
func (l *Link) renew(st net.Conn) error {
	s := l.o.Spool()
	in := renew{Bundle: l.bundle, Settings: l.settings, Spool: SpoolStatus{Bytes: s.Bytes, Limit: s.Limit}}
	if s.Err != nil {
		in.Spool.Error = s.Err.Error()
	}
	asked := time.Now()
	_ = st.SetDeadline(asked.Add(5 * time.Second))
	if err := send(st, in); err != nil {
		return err
	}
	var out renewed
	if err := receive(st, &out); err != nil {
		return err
	}
	stopped := error(nil)
	if out.Stopped != "" {
		stopped = fmt.Errorf("the control plane has stopped: %s", out.Stopped)
	}
	bundle, settings := l.bundle, l.settings
	if out.Rules != nil {
		var err error
		if bundle, err = l.o.Apply(out.Rules); err != nil {
			l.o.Log.Error("what the control plane decides by can't be put in force here, so nothing runs", "err", err)
			stopped = fmt.Errorf("what the control plane decides by can't be put in force here: %w", err)
			bundle, settings = "", ""
		} else {
			settings = out.Settings
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if bundle != l.bundle && bundle != out.Bundle && stopped == nil {
		l.o.Log.Warn("the same packs mean something else to this version, so each action is decided by the control plane: run the same version on both", "here", bundle, "there", out.Bundle)
	}
	l.bundle, l.settings, l.theirs, l.online, l.stopped = bundle, settings, out.Bundle, out.Online, stopped
	l.renewed, l.ahead = asked, out.Now.Sub(asked.Round(0))
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
	return nil
}

// Ready is closed once there was a lease.
func (l *Link) Ready() <-chan struct{} { return l.ready }

// Now is the control plane's clock: what this machine's says does not count.
func (l *Link) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renewed.IsZero() {
		return time.Now()
	}
	return l.renewed.Round(0).Add(l.ahead).Add(time.Since(l.renewed))
}

// Serving errs while there is no lease: nothing may run.
func (l *Link) Serving() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stopped != nil:
		return l.stopped
	case time.Since(l.renewed) > Lease: // by the monotonic clock
		return errOver
	}
	return nil
}

// Err is why the control plane can't be reached; nil while it is.
func (l *Link) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mux == nil {
		return errors.Join(errNoLink, l.last)
	}
	return nil
}

// local says that reads may be decided here: by the same policy, wholly known.
func (l *Link) local() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.online && l.bundle != "" && l.bundle == l.theirs
}

func (l *Link) session() (*yamux.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mux == nil {
		return nil, errors.Join(errNoLink, l.last)
	}
	return l.mux, nil
}

// An AnswerError is a refusal that the control plane gave a reason for.
type AnswerError struct{ Why string }

func (e *AnswerError) Error() string { return "the control plane answers: " + e.Why }

func begin(mux *yamux.Session, do string, in any) (net.Conn, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	st, err := mux.OpenStream()
	if err != nil {
		return nil, err
	}
	_ = st.SetWriteDeadline(time.Now().Add(firstWait))
	if err := send(st, call{Do: do, Body: body}); err != nil {
		_ = st.Close()
		return nil, err
	}
	_ = st.SetWriteDeadline(time.Time{})
	return st, nil
}

// answered reads what a call is answered.
func answered(st net.Conn, out any) error {
	var a answer
	if err := receive(st, &a); err != nil {
		return err
	}
	switch {
	case a.Denied != nil:
		return a.Denied
	case a.Error != "":
		return &AnswerError{a.Error}
	}
	return strictly(a.Body, out)
}

func ask(ctx context.Context, mux *yamux.Session, do string, in, out any) error {
	st, err := begin(mux, do, in)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	defer context.AfterFunc(ctx, func() { _ = st.SetDeadline(time.Unix(1, 0)) })()
	_ = st.SetReadDeadline(time.Now().Add(30 * time.Second))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return answered(st, out)
}

// Call asks the control plane one thing.
func (l *Link) Call(ctx context.Context, do string, in, out any) error {
	mux, err := l.session()
	if err != nil {
		return err
	}
	return ask(ctx, mux, do, in, out)
}

// KeepValues keeps the values of tokens where the control plane does.
func (l *Link) KeepValues(ctx context.Context, values []mask.Kept) error {
	return l.Call(ctx, "keep", keeping{values}, &nothing{})
}

// Seal has the log hold the seals of closed segments, and tells of which it does.
func (l *Link) Seal(ctx context.Context, seals []audit.Seal) (map[int64]bool, error) {
	out := map[int64]bool{}
	for len(seals) > 0 {
		some := seals[:min(len(seals), 1000)]
		seals = seals[len(some):]
		var h held
		if err := l.Call(ctx, "seal", sealing{some}, &h); err != nil {
			return nil, err
		}
		if len(h.Holds) != len(some) {
			return nil, errors.New("the control plane answered for other seals")
		}
		for i, s := range some {
			out[s.Segment] = h.Holds[i]
		}
	}
	return out, nil
}

// Ingest hands a closed segment to the control plane. When it returns nil, it is durable there.
func (l *Link) Ingest(ctx context.Context, seal audit.Seal, r *io.SectionReader) error {
	mux, err := l.session()
	if err != nil {
		return err
	}
	st, err := begin(mux, "segment", segment{Seal: seal, Bytes: r.Size()})
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	defer context.AfterFunc(ctx, func() { _ = st.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.Copy(st, r); err != nil {
		return err
	}
	_ = st.SetReadDeadline(time.Now().Add(time.Minute))
	return answered(st, &nothing{})
}

// Segments are those of node that the control plane has.
func (l *Link) Segments(ctx context.Context, node string) ([]int64, error) {
	var out shelved
	if err := l.Call(ctx, "segments", nothing{}, &out); err != nil {
		return nil, err
	}
	if out.Node != node {
		return nil, fmt.Errorf("the control plane knows this process as %s, and the spool as %s", out.Node, node)
	}
	return out.Segments, nil
}

// Open opens nothing: what was handed over is read there.
func (l *Link) Open(context.Context, string, int64) (audit.ShelfFile, error) {
	return nil, fs.ErrNotExist
}
