package command

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
)

// Times that bound what is kept for a machine that does not come back.
const (
	idle    = 10 * time.Minute // a session nobody uses
	longest = 24 * time.Hour   // a run nobody tells the end of
	between = 5 * time.Second  // from one request of a long wait to the next

	// MaxWait is the longest that one request waits: proxies cut longer ones.
	MaxWait = 50 * time.Second
)

// A Place is one command gate of the configuration.
type Place struct {
	Name      string
	Authority gate.Authority
	Actors    []string // ids of those whose commands it takes; none: everybody's whom no other place takes
}

// Gates are the command gates of a server. An actor's commands go to the one that
// names it, or to the one that names nobody: it can't choose.
type Gates struct {
	places   map[string]*place // by actor
	rest     *place            // nil: none
	runs     *gate.Runs
	sessions []*gate.Sessions

	mu      sync.Mutex
	waiting map[waitKey]*waiting // owned by mu
	shut    bool                 // owned by mu
	work    sync.WaitGroup
}

type place struct {
	name     string
	sessions *gate.Sessions
}

// New makes the gates.
func New(places []Place) (*Gates, error) {
	g := &Gates{places: map[string]*place{}, runs: gate.NewRuns(longest), waiting: map[waitKey]*waiting{}}
	for _, p := range places {
		made := &place{name: p.Name, sessions: gate.NewSessions(p.Authority, idle)}
		g.sessions = append(g.sessions, made.sessions)
		if len(p.Actors) == 0 {
			if g.rest != nil {
				return nil, fmt.Errorf("gates %s and %s both take everybody's commands", g.rest.name, p.Name)
			}
			g.rest = made
		}
		for _, actor := range p.Actors {
			if other := g.places[actor]; other != nil {
				return nil, fmt.Errorf("gates %s and %s both take the commands of %s", other.name, p.Name, actor)
			}
			g.places[actor] = made
		}
	}
	return g, nil
}

// Close ends what runs and waits.
func (g *Gates) Close() {
	g.mu.Lock()
	g.shut = true
	for _, w := range g.waiting {
		w.cancel()
	}
	g.mu.Unlock()
	g.work.Wait()
	g.runs.Close()
	for _, s := range g.sessions {
		s.Close()
	}
}

// An Asking is one request of a machine.
type Asking struct {
	Actor   string // id of the acting one, as its credential says
	Bearer  string // "" : the connection's certificate
	Address string // where it came from
	Command *Command
	Wait    time.Duration // how long to wait for people, at most MaxWait
	// More says that the machine asks again at once when the wait ends: until
	// then nobody is told that it left.
	More bool
}

// An Answer permits one run.
type Answer struct {
	Run   string            // a secret of the credential
	Masks map[string]string // class to method: what must be masked in what it prints
	Grant string
}

// A PendingError is a wait that ended before people had decided.
type PendingError struct{ Held gate.Held }

func (e *PendingError) Error() string { return "still waiting for " + e.Held.Who }

// ErrNoGate says that no gate takes an actor's commands.
var ErrNoGate = errors.New("no gate takes this actor's commands")

type waitKey struct {
	credential, session string
	command             [sha256.Size]byte
}

// A waiting is a command that is being decided, between the requests of the machine that waits for it.
type waiting struct {
	cancel  context.CancelFunc
	held    chan struct{} // closed once what is known
	what    gate.Held     // owned by who decides until held is closed
	done    chan struct{}
	permit  gate.Permit // owned by who decides until done is closed, then by Gates.mu
	err     error
	release func()

	users int // owned by Gates.mu
	timer *time.Timer
}

// Ask decides about a command. Errors are a *gate.Denied, a *PendingError, ErrNoGate, or
// say that nobody decided; of all of them the command must not run.
func (g *Gates) Ask(ctx context.Context, q *Asking) (*Answer, error) {
	if err := q.Command.Check(); err != nil {
		return nil, &gate.Denied{Status: gate.StatusUnreadable, Reason: err.Error(), Hint: "nothing was asked"}
	}
	session, credential, release, err := g.Open(ctx, q.Actor, q.Bearer, gate.Peer{Address: q.Address, Client: "assent exec"}, q.Command.Claims.Session)
	if err != nil {
		return nil, err
	}
	a := Describe(q.Command)
	session.Describe(a)
	env, err := a.Envelope()
	if err != nil {
		release()
		return nil, &gate.Denied{Status: gate.StatusUnreadable, Reason: "the command has no canonical form", Hint: "nothing was asked"}
	}
	w, err := g.join(waitKey{credential, q.Command.Claims.Session, sha256.Sum256(env)}, session, a, q.Command.Preview, release)
	if err != nil {
		return nil, err
	}
	return g.await(ctx, w, credential, q, a)
}

// Open lets an asker in at the gate that takes the actor's commands, as gate.Sessions
// does, for those who describe a command and run it by other means.
func (g *Gates) Open(ctx context.Context, actor, bearer string, from gate.Peer, session string) (s gate.Session, credential string, release func(), err error) {
	at := g.at(actor)
	if at == nil {
		return nil, "", nil, ErrNoGate
	}
	from.Gate = at.name
	return at.sessions.Open(ctx, bearer, from, session)
}

// Name is the gate that takes an actor's commands; "" when none does.
func (g *Gates) Name(actor string) string {
	if p := g.at(actor); p != nil {
		return p.name
	}
	return ""
}

// at is the place that takes an actor's commands; nil: none does.
func (g *Gates) at(actor string) *place {
	if p := g.places[actor]; p != nil {
		return p
	}
	return g.rest
}

// join finds the same command where it is being decided, or begins to decide it.
func (g *Gates) join(k waitKey, s gate.Session, a *action.Action, p *Preview, release func()) (*waiting, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		release()
		return nil, gate.ErrClosed
	}
	if w := g.waiting[k]; w != nil {
		release()
		w.users++
		if w.timer != nil {
			w.timer.Stop()
			w.timer = nil
		}
		return w, nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &waiting{cancel: cancel, held: make(chan struct{}), done: make(chan struct{}), release: release, users: 1}
	g.waiting[k] = w
	g.work.Go(func() {
		defer cancel()
		h := gate.Hooks{Held: func(held gate.Held) { w.what = held; close(w.held) }}
		if p != nil {
			h.Preview = func(context.Context) action.Preview { return p.preview() }
		}
		ended := make(chan struct{})
		g.work.Go(func() { // a session that is cut asks nobody any longer
			select {
			case <-s.Cut():
				cancel()
			case <-ended:
			}
		})
		w.permit, w.err = s.Enforce(ctx, a, h)
		close(ended)
		if ctx.Err() != nil && w.err != nil && isCut(s) {
			w.err = &gate.Denied{Status: gate.StatusDenied, Reason: "the credential was revoked, has expired or is frozen", Hint: "nothing ran"}
		}
		close(w.done)
		g.drop(w)
	})
	return w, nil
}

func isCut(s gate.Session) bool {
	select {
	case <-s.Cut():
		return true
	default:
		return false
	}
}

// drop forgets w once it was decided: who asks the same from now on asks anew. What
// was permitted and is fetched by nobody is not run.
func (g *Gates) drop(w *waiting) {
	g.mu.Lock()
	if w.users == 0 && w.timer == nil {
		g.expire(w)
	}
	g.mu.Unlock()
}

// expire ends w for good. g.mu is held.
func (g *Gates) expire(w *waiting) {
	maps.DeleteFunc(g.waiting, func(_ waitKey, other *waiting) bool { return other == w })
	w.cancel()
	select {
	case <-w.done:
	default:
		return // it ends by itself, and drop comes back
	}
	if w.permit != nil {
		w.permit.Done(gate.Outcome{State: gate.NotRun})
		w.permit = nil
	}
	if w.release != nil {
		w.release()
		w.release = nil
	}
}

// await waits for the answer as long as q says.
func (g *Gates) await(ctx context.Context, w *waiting, credential string, q *Asking, a *action.Action) (*Answer, error) {
	timer := time.NewTimer(min(max(q.Wait, 0), MaxWait))
	defer timer.Stop()
	var held chan struct{} // what is decided without people takes none of their time
	for over := timer.C; ; {
		select {
		case <-w.done:
			return g.take(w, credential, a)
		case <-over:
			over, held = nil, w.held
		case <-held:
			if g.leave(w, q.More) {
				return g.take(w, credential, a)
			}
			return nil, &PendingError{w.what}
		case <-ctx.Done():
			if g.leave(w, q.More) {
				g.mu.Lock()
				if w.users--; w.users == 0 {
					g.expire(w)
				}
				g.mu.Unlock()
			}
			return nil, ctx.Err()
		}
	}
}

// leave is a machine that no longer waits, or comes back at once. true: it was decided
// meanwhile, and the answer is still to be taken.
func (g *Gates) leave(w *waiting, more bool) (decided bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.done:
		return true
	default:
	}
	w.users--
	if w.users > 0 {
		return false
	}
	if !more {
		g.expire(w)
		return false
	}
	w.timer = time.AfterFunc(between, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if w.users == 0 {
			w.timer = nil
			g.expire(w)
		}
	})
	return false
}

// take hands the answer to one of those who wait for it.
func (g *Gates) take(w *waiting, credential string, a *action.Action) (*Answer, error) {
	g.mu.Lock()
	maps.DeleteFunc(g.waiting, func(_ waitKey, other *waiting) bool { return other == w })
	w.users--
	permit, release := w.permit, w.release
	w.permit, w.release = nil, nil
	g.mu.Unlock()
	if w.err != nil || permit == nil {
		if release != nil {
			release()
		}
		if w.err == nil {
			return nil, &gate.Denied{Status: gate.StatusPending, Reason: "another request of this credential runs the same command", Hint: "ask again"}
		}
		return nil, w.err
	}
	out := &Answer{}
	if m, ok := permit.(interface{ Masks() map[string]string }); ok {
		out.Masks = m.Masks()
	}
	out.Run = g.runs.Begin(credential, "", &told{Permit: permit, web: slices.Contains(a.Kinds, action.NetFetch)}, release)
	return out, nil
}

// told notes what the outcome of a run brought with it, and what the machine says
// that it printed beside what was masked here.
type told struct {
	gate.Permit
	web     bool
	counted int64 // bytes
}

func (t *told) Count(rows, bytes int64) error {
	t.counted += bytes
	return t.Permit.Count(rows, bytes)
}

func (t *told) Begun(run, name string) {
	if b, is := t.Permit.(gate.Begun); is {
		b.Begun(run, name)
	}
}

func (t *told) Done(o gate.Outcome) {
	if more := o.Bytes - t.counted; more > 0 && o.State != gate.NotRun {
		_ = t.Permit.Count(0, more) // it was printed: what is left is to add it up
	}
	if t.web && o.State != gate.NotRun && o.Untrusted == "" {
		o.Untrusted = "web page"
	}
	t.Permit.Done(o)
}

// Output masks a piece of what a run printed. false: the credential has no such run.
func (g *Gates) Output(credential, run, text string) (masked string, ok bool, err error) {
	ok = g.runs.Use(credential, run, func(p gate.Permit) {
		if err = p.Count(0, int64(len(text))); err == nil {
			masked = string(p.Text([]byte(text)))
		}
	})
	return masked, ok, err
}

// An End is how a run ended, as the machine tells.
type End struct {
	Ran    bool   // false: it was never started
	Exit   int    // its exit status
	Signal string // what ended it, "" when it ended by itself
	Bytes  int64  // it printed
	Took   time.Duration
}

// End completes a run. false: the credential has no such run, or it ended already.
func (g *Gates) End(credential, run string, e End) bool {
	o := gate.Outcome{State: gate.Executed, Code: fmt.Sprintf("exit %d", e.Exit), Bytes: e.Bytes, Duration: e.Took}
	switch {
	case !e.Ran:
		o = gate.Outcome{State: gate.NotRun}
	case e.Signal != "":
		o.State, o.Code = gate.Failed, "signal "+strings.ToUpper(e.Signal)
	case e.Exit != 0:
		o.State = gate.Failed
	}
	return g.runs.End(credential, run, o)
}
