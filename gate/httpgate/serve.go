package httpgate

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/bodies"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/webwire"
)

// ServeHTTP takes one request.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.busy.Add(1)
	defer g.busy.Done()
	if g.o.Own(w, r) {
		return
	}
	from := gate.Peer{Gate: g.o.Name, Address: r.RemoteAddr, Client: clip(r.UserAgent(), 100)}
	if !g.o.AnyTarget {
		if err := webwire.Target(r, g.o.Rules); err != nil {
			g.unreadable(w, r, from, err)
			return
		}
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		r = r.WithContext(identity.WithCertificates(r.Context(), r.TLS.VerifiedChains[0]))
	}
	upgrade := r.Header.Get("Upgrade") != ""
	came := r
	if upgrade || r.Method == http.MethodConnect {
		r = new(http.Request)
		*r = *came
		r.Header = came.Header.Clone()
	}
	caller, err := g.o.Protocol.Caller(r)
	if err != nil && !errors.Is(err, ErrNoCredential) {
		g.stranger(w, r, from, err)
		return
	}
	if err := webwire.Clean(r.Header); err != nil {
		g.unreadable(w, r, from, err)
		return
	}
	session, credential, release, err := g.open(r.Context(), caller, from)
	if err != nil {
		g.stranger(w, r, from, err)
		return
	}
	defer release()
	x := &Exchange{Request: r, Came: came, Session: session, Credential: credential}
	x.Body = g.o.Bodies.Body(r.Body, r.ContentLength)
	x.Body.Headed(r.Header)
	defer func() { _ = x.Body.Close() }()
	g.exchange(w, x, upgrade)
}

func (g *Gate) open(ctx context.Context, c Caller, from gate.Peer) (gate.Session, string, func(), error) {
	if c.Proved.Proved {
		s, release, err := g.sessions.OpenProved(ctx, c.Proved, from, c.Session)
		return s, c.Proved.Credential, release, err
	}
	if c.Bearer == "" && len(identity.Certificates(ctx)) == 0 {
		return nil, "", nil, ErrNoCredential
	}
	return g.sessions.Open(ctx, c.Bearer, from, c.Session)
}

// stranger answers who does not come in.
func (g *Gate) stranger(w http.ResponseWriter, r *http.Request, from gate.Peer, err error) {
	var d *gate.Denied
	switch {
	case errors.As(err, &d):
		g.refuse(w, r, d)
		return
	case errors.Is(err, ErrNoCredential):
		g.o.Protocol.Refuse(w, r, http.StatusUnauthorized, &gate.Denied{Status: gate.StatusDenied, Reason: "nothing was shown that proves who asks", Hint: "send a token of Assent; assent token mint makes one"})
		return
	case errors.Is(err, identity.ErrBadToken):
		g.o.Refused(r.Context(), from, "a credential that is not valid")
	default:
		g.o.Log.Warn("nobody could say who asks", "gate", g.o.Name, "err", err)
		g.o.Refused(r.Context(), from, "a credential that could not be checked")
	}
	g.o.Protocol.Refuse(w, r, http.StatusUnauthorized, &gate.Denied{Status: gate.StatusDenied, Reason: "the credential is not valid here; it may have expired", Hint: "ask for a new one"})
}

// unreadable answers a request that two readers may read differently, or nobody can.
func (g *Gate) unreadable(w http.ResponseWriter, r *http.Request, from gate.Peer, err error) {
	g.o.Refused(r.Context(), from, clip(err.Error(), 300))
	d := &gate.Denied{Status: gate.StatusUnreadable, Reason: err.Error(), Hint: "send it so that nobody can read it in two ways"}
	var two *webwire.Refusal
	if errors.As(err, &two) && two.Status == http.StatusMisdirectedRequest { // browsers open another connection then
		d.Hint = "ask for this host on a connection of its own"
		g.o.Protocol.Refuse(w, r, two.Status, d)
		return
	}
	g.refuse(w, r, d)
}

// exchange describes, decides and passes on.
func (g *Gate) exchange(w http.ResponseWriter, x *Exchange, upgrade bool) {
	r := x.Request
	ctx, stop := context.WithCancelCause(r.Context())
	defer stop(nil)
	defer watch(ctx, x.Session, stop).Stop()
	call, err := g.o.Protocol.Describe(ctx, x)
	switch {
	case err != nil:
		g.refused(ctx, w, x, err)
		return
	case upgrade && call.Take == nil:
		x.Session.Refused(ctx, "a change of protocol that is not known here")
		g.refuse(w, r, &gate.Denied{Status: gate.StatusUnreadable, Reason: "the protocol that the request would change to is not known here", Hint: "ask without an Upgrade header"})
		return
	case len(call.Actions) == 0 && call.Harmless == "":
		x.Session.Refused(ctx, "a request that is on no list")
		g.refuse(w, r, &gate.Denied{Status: gate.StatusDenied, Reason: "nobody knows what this request does, so the answer is no", Hint: "its mapping must say so"})
		return
	}
	permit, err := g.decide(ctx, x, call)
	if err != nil {
		g.refused(ctx, w, x, err)
		return
	}
	if call.Take != nil {
		begun, outcome := time.Now(), gate.Outcome{State: gate.Unknown}
		defer func() {
			if outcome.Duration == 0 {
				outcome.Duration = time.Since(begun)
			}
			permit.Done(outcome)
		}()
		outcome = call.Take(ctx, w, x, permit)
		return
	}
	g.forward(ctx, w, x, call, permit)
}

// refused answers a request that was not described or not permitted.
func (g *Gate) refused(ctx context.Context, w http.ResponseWriter, x *Exchange, err error) {
	var d *gate.Denied
	switch {
	case errors.As(err, &d):
		if d.Status == gate.StatusUnreadable {
			x.Session.Refused(ctx, clip(d.Reason, 300))
		}
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), errCut):
		d = &gate.Denied{Status: gate.StatusDenied, Reason: "the session was ended", Hint: "ask for a new credential"}
	case ctx.Err() != nil: // nobody listens any more; if somebody does, silence would be an answer: 200
		d = &gate.Denied{Status: gate.StatusNobody, Reason: "the request ended before anybody decided", Hint: "make it again"}
	case errors.Is(err, bodies.ErrTooLarge):
		d = &gate.Denied{Status: gate.StatusUnreadable, Reason: err.Error(), Hint: "send less at a time, or ask an operator to raise the limit of bodies"}
		x.Session.Refused(ctx, clip(err.Error(), 300))
		g.o.Protocol.Refuse(w, x.Request, http.StatusRequestEntityTooLarge, d)
		return
	case errors.Is(err, bodies.ErrNoSpace):
		g.o.Protocol.Refuse(w, x.Request, http.StatusInsufficientStorage, &gate.Denied{Status: gate.StatusNobody, Reason: err.Error(), Hint: "try again later"})
		return
	case errors.Is(err, errUndecided):
		d = undecided()
	default:
		x.Session.Refused(ctx, clip("a request that can't be read: "+err.Error(), 300))
		d = &gate.Denied{Status: gate.StatusUnreadable, Reason: err.Error(), Hint: "the request was refused as it can't be read"}
	}
	g.refuse(w, x.Request, d)
}

// errUndecided says that nobody could decide.
var errUndecided = errors.New("no decision could be reached")

func undecided() *gate.Denied {
	return &gate.Denied{Status: gate.StatusNobody, Reason: "no decision could be reached, so the answer is no", Hint: "try again later"}
}

// errCut ends what a session has under way.
var errCut = errors.New("the session was cut")

// watch ends a request when its session ends, until ctx does. What is over within a second is not watched.
func watch(ctx context.Context, s gate.Session, stop context.CancelCauseFunc) *time.Timer {
	return time.AfterFunc(time.Second, func() {
		select {
		case <-s.Cut():
			stop(errCut)
		case <-ctx.Done():
		}
	})
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
