package remote

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/yamux"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
)

// HostOptions of a Host. All are needed.
type HostOptions struct {
	// Authority is the one of a gate that runs in the process enrolled as name. It
	// errs for gates that the configuration doesn't have there, or has otherwise.
	Authority func(name string, a Announced) (gate.Authority, error)
	Ledger    enforce.Ledger
	Keeper    mask.Keeper
	// State is what a lease is about now.
	State func() State
	Seal  func(ctx context.Context, seals []audit.Seal) error
	Holds func(audit.Seal) bool
	// Segments are those of a node's that were taken in.
	Segments func(ctx context.Context, node string) ([]int64, error)
	Ingest   func(ctx context.Context, seal audit.Seal, r *io.SectionReader) error
	Record   func(ctx context.Context, recs ...*audit.Record) error
	Now      func() time.Time // nil: time.Now
	// Temp is a directory for segments on their way.
	Temp string
	Log  *slog.Logger
}

// A State is what gates are told with their lease.
type State struct {
	Err      error // not nil: nothing may run anywhere
	Online   bool  // what decides can't be handed to gates
	Bundle   string
	Settings string
	Rules    func() (*Rules, error)
}

// A Host is the control plane's end. It is safe for concurrent use.
type Host struct {
	o HostOptions

	mu    sync.Mutex
	links map[string]*hosted // by name; owned by mu
}

// NewHost returns a Host.
func NewHost(o HostOptions) *Host {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Host{o: o, links: map[string]*hosted{}}
}

// A LinkStatus tells of a gate process.
type LinkStatus struct {
	Name, From, Version string
	Since               time.Time
	Gates               []string
	Sessions            int
	Spool               SpoolStatus
}

// Links are the gate processes that are there.
func (h *Host) Links() []LinkStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []LinkStatus
	for name, l := range h.links {
		l.mu.Lock()
		st := LinkStatus{Name: name, From: l.from, Version: l.hello.Version, Since: l.since, Sessions: len(l.sessions), Spool: l.spool}
		l.mu.Unlock()
		for _, g := range l.hello.Gates {
			st.Gates = append(st.Gates, g.Name)
		}
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b LinkStatus) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// Drop ends the link of the process enrolled as name, if it is there.
func (h *Host) Drop(name string) {
	h.mu.Lock()
	l := h.links[name]
	h.mu.Unlock()
	if l != nil {
		_ = l.mux.Close()
	}
}

// hosted is one gate process, as the control plane sees it.
type hosted struct {
	h           *Host
	name, from  string
	since       time.Time
	mux         *yamux.Session
	hello       hello
	authorities map[string]gate.Authority
	work        sync.WaitGroup
	room        chan struct{} // one for each stream that is served

	mu       sync.Mutex // guards what follows
	sessions map[string]handed
	paid     map[summing]int64 // rows that this link brought, but for when
	spool    SpoolStatus
}

// handed is what a session of the enforcer has besides gate.Session.
type handed interface {
	gate.Session
	Asker() *identity.Asker
	ID() string
	See(ctx context.Context, saw approval.Saw) error
}

// handedPermit is what its permits have besides gate.Permit.
type handedPermit interface {
	Granted() enforce.Granted
	Masked(map[string]int64)
}

// maxStreams is how many sessions and calls one gate process has at once; each held action is one.
const maxStreams = 100_000

// Serve serves the gate process that conn was proved to be, until the link ends. A process
// that comes again under its name takes the place of the one before.
func (h *Host) Serve(ctx context.Context, name string, conn net.Conn) error {
	mux, err := yamux.Server(conn, muxing())
	if err != nil {
		return fmt.Errorf("gate process %s: %w", name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &hosted{h: h, name: name, from: conn.RemoteAddr().String(), since: time.Now(), mux: mux, authorities: map[string]gate.Authority{}, room: make(chan struct{}, maxStreams), sessions: map[string]handed{}, paid: map[summing]int64{}}
	stop := context.AfterFunc(ctx, func() { _ = mux.Close() })
	defer stop()
	defer func() { _ = mux.Close() }()
	if err := l.greet(ctx); err != nil {
		return fmt.Errorf("gate process %s at %s: %w", name, l.from, err)
	}
	h.mu.Lock()
	before := h.links[name]
	h.links[name] = l
	h.mu.Unlock()
	if before != nil {
		_ = before.mux.Close()
	}
	defer func() {
		h.mu.Lock()
		if h.links[name] == l {
			delete(h.links, name)
		}
		h.mu.Unlock()
	}()
	err = l.accept(ctx)
	cancel()
	_ = mux.Close()
	l.work.Wait()
	rctx, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	if rerr := h.o.Record(rctx, l.record("ended")); rerr != nil {
		h.o.Log.Error("recording the end of a link", "gate", name, "err", rerr)
	}
	return err
}

func (l *hosted) record(event string) *audit.Record {
	return &audit.Record{Type: audit.TypeLink, Gate: NodeOf(l.name), Decision: event, Detail: map[string]string{"from": l.from, "version": l.hello.Version}}
}

// greet agrees on a protocol and on what the gates are.
func (l *hosted) greet(ctx context.Context) error {
	st, err := l.mux.AcceptStreamWithContext(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	_ = st.SetDeadline(time.Now().Add(firstWait))
	c, err := first(st)
	if err != nil {
		return err
	}
	refuse := func(err error) error {
		_ = send(st, answer{Error: err.Error()})
		_ = st.Close()
		// What is on its way must not be cut off by the end of the connection.
		time.AfterFunc(time.Second, func() { _ = l.mux.Close() })
		_, _ = io.Copy(io.Discard, io.LimitReader(st, 1<<10))
		return err
	}
	if c.Do != "hello" {
		return refuse(fmt.Errorf("it said %.20q and no hello", c.Do))
	}
	if err := json.Unmarshal(c.Body, &l.hello); err != nil { // whatever a newer one says besides
		return refuse(err)
	}
	p, err := common(&l.hello)
	if err != nil {
		return refuse(err)
	}
	if len(l.hello.Version) > 100 || len(l.hello.Gates) == 0 || len(l.hello.Gates) > 1000 {
		return refuse(errors.New("it names no gates, or too many"))
	}
	for _, g := range l.hello.Gates {
		if l.authorities[g.Name], err = l.h.o.Authority(l.name, g); err != nil {
			return refuse(err)
		}
	}
	if err := l.h.o.Record(ctx, l.record("began")); err != nil {
		return refuse(errors.New("the log can't be written"))
	}
	return reply(st, welcome{Protocol: p, Node: NodeOf(l.name)})
}

func (l *hosted) accept(ctx context.Context) error {
	for {
		st, err := l.mux.AcceptStreamWithContext(ctx)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		select {
		case l.room <- struct{}{}:
		default:
			_ = st.Close()
			continue
		}
		l.work.Go(func() {
			defer func() { <-l.room }()
			defer func() { _ = st.Close() }()
			defer func() {
				if r := recover(); r != nil {
					l.h.o.Log.Error("serving a gate panicked", "gate", l.name, "panic", fmt.Sprintf("%T", r))
				}
			}()
			if err := l.serve(ctx, st); err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, yamux.ErrStreamClosed) && !errors.Is(err, yamux.ErrSessionShutdown) {
				l.h.o.Log.Warn("a call of a gate", "gate", l.name, "err", err)
			}
		})
	}
}

func first(st net.Conn) (call, error) {
	var c call
	err := receive(st, &c)
	return c, err
}

func reply(st net.Conn, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return send(st, answer{Body: b})
}

// calls are those that are answered once.
var calls = map[string]func(l *hosted, ctx context.Context, body []byte) (any, error){
	"verifier": once((*hosted).verifier),
	"bearer":   once((*hosted).bearer),
	"foresee":  once((*hosted).foresee),
	"prompted": once((*hosted).prompted),
	"saw":      once((*hosted).saw),
	"add":      once((*hosted).add),
	"sum":      once((*hosted).sum),
	"keep":     once((*hosted).keep),
	"seal":     once((*hosted).seal),
	"segments": once((*hosted).segments),
}

func once[In, Out any](f func(*hosted, context.Context, *In) (Out, error)) func(*hosted, context.Context, []byte) (any, error) {
	return func(l *hosted, ctx context.Context, body []byte) (any, error) {
		var in In
		if err := strictly(body, &in); err != nil {
			return nil, err
		}
		return f(l, ctx, &in)
	}
}

// serve answers one stream.
func (l *hosted) serve(ctx context.Context, st net.Conn) error {
	_ = st.SetDeadline(time.Now().Add(firstWait))
	c, err := first(st)
	if err != nil {
		return err
	}
	_ = st.SetDeadline(time.Time{})
	if f := calls[c.Do]; f != nil {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		out, err := f(l, ctx, c.Body)
		if err != nil {
			return refused(st, err)
		}
		return reply(st, out)
	}
	switch c.Do {
	case "lease":
		return l.lease(st)
	case "open":
		return l.open(ctx, st, c.Body)
	case "enforce":
		return l.enforce(ctx, st, c.Body)
	case "segment":
		return l.segment(ctx, st, c.Body)
	}
	return send(st, answer{Error: fmt.Sprintf("%.20q is no call of this protocol", c.Do)})
}

// refused tells the gate why there is no answer.
func refused(st net.Conn, err error) error {
	a := answer{Error: err.Error()}
	var denied *gate.Denied
	if errors.As(err, &denied) {
		a = answer{Denied: denied}
	}
	return send(st, a)
}

// lease answers until the link ends. A lease begins when the gate asks, not when it is answered.
func (l *hosted) lease(st net.Conn) error {
	for {
		var r renew
		_ = st.SetReadDeadline(time.Now().Add(2 * Lease))
		if err := receive(st, &r); err != nil {
			return err
		}
		l.mu.Lock()
		l.spool = r.Spool
		l.mu.Unlock()
		s := l.h.o.State()
		out := renewed{Now: l.h.o.Now(), Bundle: s.Bundle, Settings: s.Settings, Online: s.Online}
		if s.Err != nil {
			out.Stopped = s.Err.Error()
		}
		if r.Bundle != s.Bundle || r.Settings != s.Settings {
			rules, err := s.Rules()
			if err != nil {
				out.Stopped = "the policy can't be handed on: " + err.Error()
			}
			out.Rules = rules
		}
		if err := send(st, out); err != nil {
			return err
		}
	}
}

func (l *hosted) authority(name string) (gate.Authority, error) {
	a := l.authorities[name]
	if a == nil {
		return nil, fmt.Errorf("gate %.100q was not announced", name)
	}
	return a, nil
}

func withCertificates(ctx context.Context, ders [][]byte) (context.Context, error) {
	var chain []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("a client's certificate: %w", err)
		}
		chain = append(chain, c)
	}
	return identity.WithCertificates(ctx, chain), nil
}

func (l *hosted) verifier(ctx context.Context, in *asking) (gate.Verifier, error) {
	a, err := l.authority(in.Gate)
	if err != nil {
		return gate.Verifier{}, err
	}
	if ctx, err = withCertificates(ctx, in.Certificates); err != nil {
		return gate.Verifier{}, err
	}
	return a.Verifier(ctx, in.User)
}

func (l *hosted) bearer(ctx context.Context, in *asking) (gate.Verifier, error) {
	a, err := l.authority(in.Gate)
	if err != nil {
		return gate.Verifier{}, err
	}
	if ctx, err = withCertificates(ctx, in.Certificates); err != nil {
		return gate.Verifier{}, err
	}
	return a.Bearer(ctx, in.Token)
}

// open holds a session open for as long as its stream is.
func (l *hosted) open(ctx context.Context, st net.Conn, body []byte) error {
	var in opening
	if err := strictly(body, &in); err != nil {
		return refused(st, err)
	}
	a, err := l.authority(in.Gate)
	if err != nil {
		return refused(st, err)
	}
	if ctx, err = withCertificates(ctx, in.Certificates); err != nil {
		return refused(st, err)
	}
	in.Peer.Gate = in.Gate
	got, err := a.Login(ctx, gate.Verifier{Credential: in.Credential}, in.Peer)
	if err != nil {
		return refused(st, err)
	}
	defer got.Close()
	s, is := got.(handed)
	if !is {
		return refused(st, errors.New("the session can't be handed on"))
	}
	var b [16]byte
	_, _ = rand.Read(b[:])
	key := hex.EncodeToString(b[:])
	l.mu.Lock()
	l.sessions[key] = s
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.sessions, key)
		l.mu.Unlock()
	}()
	if err := reply(st, opened{Key: key, ID: s.ID(), Asker: *s.Asker()}); err != nil {
		return err
	}
	gone := make(chan struct{})
	go func() { // until the gate closes the stream, or the link ends
		_, _ = io.Copy(io.Discard, st)
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-s.Cut():
		_ = send(st, event{Cut: true})
		<-gone
		return nil
	case <-ctx.Done():
		_ = st.Close()
		return nil
	}
}

func (l *hosted) session(key string) (handed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sessions[key]
	if s == nil {
		return nil, errors.New("there is no such session on this link")
	}
	return s, nil
}

var errLeft = errors.New("the client left")

// enforce decides one action, and stays until the gate said how it ended.
func (l *hosted) enforce(ctx context.Context, st net.Conn, body []byte) error {
	var in enforcing
	if err := strictly(body, &in); err != nil {
		return send(st, event{Error: err.Error()})
	}
	s, err := l.session(in.Session)
	if err != nil {
		return send(st, event{Error: err.Error()})
	}
	a := &in.Action
	a.Named = in.Named
	s.Describe(a) // subject, actors, environment and labels are never the gate's word
	if !slices.ContainsFunc(l.hello.Gates, func(g Announced) bool { return g.URN == a.Resource.URN }) {
		return send(st, event{Error: "the action is about a resource that is not behind this gate"})
	}
	d, err := a.Digest(action.Salt{})
	if err != nil || d.String() != in.Digest {
		return send(st, event{Error: "the action is not what the gate judged"})
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	previews, dones := make(chan *action.Preview, 1), make(chan *ended, 1)
	go func() {
		defer close(dones)
		for {
			var e event
			if err := receive(st, &e); err != nil {
				cancel(errLeft)
				return
			}
			switch {
			case e.Leave == "back":
				cancel(gate.ErrComesBack)
			case e.Leave != "":
				cancel(errLeft)
			case e.Preview != nil:
				select {
				case previews <- e.Preview:
				default: // nobody asked
				}
			case e.Done != nil:
				dones <- e.Done
				return
			}
		}
	}()
	h := gate.Hooks{Held: func(w gate.Held) { _ = send(st, event{Held: &w}) }}
	if in.Preview {
		h.Preview = func(ctx context.Context) action.Preview {
			if send(st, event{Look: true}) != nil {
				return action.Preview{Why: "the gate could not be asked"}
			}
			select {
			case p := <-previews:
				return *p
			case <-ctx.Done():
				return action.Preview{Why: "the gate did not answer"}
			}
		}
	}
	p, err := s.Enforce(ctx, a, h)
	if err != nil {
		var denied *gate.Denied
		if errors.As(err, &denied) {
			return send(st, event{Denied: denied})
		}
		return send(st, event{Error: "nobody decided"})
	}
	over := gate.Outcome{State: gate.NotRun}
	told := false
	defer func() {
		if !told {
			p.Done(over)
		}
	}()
	full, is := p.(handedPermit)
	if !is {
		return send(st, event{Error: "the permit can't be handed on"})
	}
	granted := full.Granted()
	over = gate.Outcome{State: gate.Unknown} // from here on it may run
	if err := send(st, event{Permit: &granted}); err != nil {
		return err
	}
	end, is := <-dones
	if !is || end == nil {
		return nil
	}
	full.Masked(end.Masked)
	told = true
	p.Done(end.Outcome)
	return send(st, event{Recorded: true})
}

func (l *hosted) foresee(ctx context.Context, in *enforcing) (map[string]string, error) {
	s, err := l.session(in.Session)
	if err != nil {
		return nil, err
	}
	f, is := s.(gate.Foreseeing)
	if !is {
		return nil, errors.New("nothing can be foreseen here")
	}
	in.Action.Named = in.Named
	s.Describe(&in.Action)
	return f.Foresee(ctx, &in.Action)
}

func (l *hosted) prompted(ctx context.Context, in *telling) (nothing, error) {
	s, err := l.session(in.Session)
	if err != nil {
		return nothing{}, err
	}
	return nothing{}, gate.Prompt(ctx, s, in.Name, in.Text)
}

func (l *hosted) saw(ctx context.Context, in *telling) (nothing, error) {
	s, err := l.session(in.Session)
	if err != nil || in.Saw == nil {
		return nothing{}, errors.Join(err, errors.New("nothing was seen"))
	}
	if in.Saw.Kind != approval.SawSensitive && in.Saw.Kind != approval.SawUntrusted {
		return nothing{}, fmt.Errorf("%.40q is no kind of what can be seen", in.Saw.Kind)
	}
	return nothing{}, s.See(ctx, *in.Saw)
}

// counts errs unless what a gate counts is its own business: rows of what it stands before, and actions.
func (l *hosted) counts(in *summing) error {
	if in.Resource == enforce.RatesOf {
		return nil
	}
	for _, g := range l.hello.Gates {
		if in.Resource == g.System || in.Resource == g.URN {
			return nil
		}
	}
	return fmt.Errorf("rows of %.100q are not for this gate to count", in.Resource)
}

func (l *hosted) add(ctx context.Context, in *summing) (nothing, error) {
	if err := l.counts(in); err != nil {
		return nothing{}, err
	}
	if in.Subject == "" {
		return nothing{}, errors.New("rows of nobody")
	}
	k := summing{Subject: in.Subject, Class: in.Class, Resource: in.Resource}
	l.mu.Lock()
	if len(l.paid) > 100_000 {
		clear(l.paid) // what it has left over is not given back then
	}
	had := l.paid[k] + in.Rows
	if had >= 0 {
		l.paid[k] = had
	}
	l.mu.Unlock()
	if had < 0 {
		return nothing{}, errors.New("more is given back than was brought")
	}
	return nothing{}, l.h.o.Ledger.AddRows(ctx, in.Subject, in.Class, in.Resource, in.At, in.Rows, in.Bytes)
}

func (l *hosted) sum(ctx context.Context, in *summing) (out sums, err error) {
	if err := l.counts(in); err != nil {
		return out, err
	}
	out.Rows, out.Bytes, err = l.h.o.Ledger.SumRows(ctx, in.Subject, in.Resource, in.At)
	return out, err
}

func (l *hosted) keep(ctx context.Context, in *keeping) (nothing, error) {
	return nothing{}, l.h.o.Keeper.KeepValues(ctx, in.Values)
}

func (l *hosted) seal(ctx context.Context, in *sealing) (held, error) {
	for _, s := range in.Seals {
		if s.Node != NodeOf(l.name) {
			return held{}, fmt.Errorf("a seal of node %.100q is not for this gate to bring", s.Node)
		}
	}
	if err := l.h.o.Seal(ctx, in.Seals); err != nil {
		return held{}, err
	}
	out := held{Holds: make([]bool, len(in.Seals))}
	for i, s := range in.Seals {
		out.Holds[i] = l.h.o.Holds(s)
	}
	return out, nil
}

func (l *hosted) segments(ctx context.Context, _ *nothing) (out shelved, err error) {
	out.Node = NodeOf(l.name)
	out.Segments, err = l.h.o.Segments(ctx, out.Node)
	return out, err
}

const maxSegment = 80 << 20 // bytes: what a spool makes at most, and some

// segment takes in a closed segment of the gate's traffic, of which the log has the seal.
func (l *hosted) segment(ctx context.Context, st net.Conn, body []byte) error {
	var in segment
	if err := strictly(body, &in); err != nil {
		return refused(st, err)
	}
	switch {
	case in.Seal.Node != NodeOf(l.name):
		return refused(st, errors.New("the segment is another node's"))
	case in.Bytes <= 0 || in.Bytes > maxSegment:
		return refused(st, fmt.Errorf("a segment of %d bytes, and %d is the most", in.Bytes, maxSegment))
	case !l.h.o.Holds(in.Seal):
		return refused(st, errors.New("the log has no such seal"))
	}
	f, err := os.CreateTemp(l.h.o.Temp, "segment-*")
	if err != nil {
		return refused(st, errors.New("the control plane has no room for it"))
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	_ = st.SetReadDeadline(time.Now().Add(5 * time.Minute))
	if _, err := io.CopyN(f, st, in.Bytes); err != nil {
		return err
	}
	if err := l.h.o.Ingest(ctx, in.Seal, io.NewSectionReader(f, 0, in.Bytes)); err != nil {
		if errors.Is(err, audit.ErrConflict) {
			alarm := &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "two segments of traffic with one number and different records", "node": NodeOf(l.name)}}
			err = errors.Join(err, l.h.o.Record(ctx, alarm))
		}
		l.h.o.Log.Error("taking in traffic of a gate", "gate", l.name, "segment", in.Seal.Segment, "err", err)
		return refused(st, err)
	}
	return reply(st, nothing{})
}
