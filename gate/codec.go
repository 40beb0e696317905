package gate

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/assenthq/assent/action"
)

// A Codec teaches a gate one protocol. The runtime makes one for each
// connection and calls it from one goroutine, so a Codec may keep state of its
// connection. That state may change only on upstream's acknowledgement: what a
// client asked for and a server refused must not be remembered as true.
type Codec interface {
	// Handshake checks the client's credential, calls c.Login and c.Dial, and
	// logs in upstream. Before it returns an error it has told the client.
	Handshake(ctx context.Context, c *Conn) error
	// ReadRequest reads from c.In one request: the smallest unit that can be
	// refused without breaking the protocol. What it cannot understand is an
	// error wrapping ErrUnreadable, and the connection ends; what it
	// understands and never lets through is a *Denied, and the connection goes on.
	ReadRequest(c *Conn) (*Request, error)
	// CopyReply copies upstream's whole reply from c.Up to c.Out, passing every
	// value that came from the resource through r.Permit(i), and tells by
	// r.Done how each action ended. What it leaves open the runtime
	// completes: Executed when it returns nil, else Unknown.
	CopyReply(c *Conn, r *Request) error
	// Deny tells the client, in the protocol's own form, that r was refused. It
	// leaves the connection usable unless d.Status is StatusUnreadable or
	// StatusLost. r is nil when nothing was read.
	Deny(c *Conn, r *Request, d *Denied) error
}

// An Idler is a Codec whose upstream may speak unasked. Idle copies what has
// arrived on c.Up while no request is under way.
type Idler interface{ Idle(c *Conn) error }

// A Holder is a Codec that can tell its client what it waits for.
type Holder interface {
	Held(c *Conn, r *Request, h Held) error
}

// A Rechecker is a Codec with session state. Recheck is called after a hold,
// before the request goes upstream, and errs when what gives the request its
// meaning is no longer what was approved.
type Rechecker interface {
	Recheck(c *Conn, r *Request) error
}

// A Previewer is a Codec that can find out what action i of r would do without
// doing it, within a few seconds and without any lasting effect. What it can't
// find out stays unknown, and Why says so.
type Previewer interface {
	Preview(ctx context.Context, c *Conn, r *Request, i int) action.Preview
}

// A Bounder is a Codec that can keep an action from changing more than rows
// rows. An action with a bound is refused where the codec is none, or errs.
type Bounder interface {
	Bound(c *Conn, r *Request, i int, rows int64) error
}

// ErrUnreadable marks a request that the codec could not understand. The text
// of an error that wraps it is recorded: it must hold no payload.
var ErrUnreadable = errors.New("unreadable request")

// ErrLost marks that upstream ended the connection, where a codec knows it by
// the protocol's own last word; that reading or writing failed, the runtime sees itself.
var ErrLost = errors.New("upstream ended the connection")

// A Request is what a client sent. The zero value is refused.
type Request struct {
	Raw      []byte           // the exact bytes to send once every action is permitted
	Actions  []*action.Action // what it asks for, in order
	Harmless string           // without actions: the name of why it may pass
	State    any              // the codec's own note to its other methods
	Reads    bool             // its reply may ask the client for more (COPY): CopyReply reads c.In

	permits []*onePermit
	sent    time.Time
}

// Reset makes r empty for the next request, and keeps its memory. A codec may
// use one Request for all of a connection.
func (r *Request) Reset() {
	*r = Request{Raw: r.Raw[:0], Actions: r.Actions[:0], permits: r.permits[:0]}
}

func (r *Request) add(p Permit) {
	n := len(r.permits)
	if n < cap(r.permits) {
		if old := r.permits[:n+1][n]; old != nil {
			r.permits = r.permits[:n+1]
			old.again(p)
			return
		}
	}
	r.permits = append(r.permits, &onePermit{Permit: p})
}

// Permit returns the permit of action i. Without one it returns a permit that
// shows nothing.
func (r *Request) Permit(i int) Permit {
	if i < 0 || i >= len(r.permits) {
		return Nothing
	}
	return r.permits[i]
}

// Done completes the permit of action i, if that was not done before.
func (r *Request) Done(i int, o Outcome) {
	if i >= 0 && i < len(r.permits) {
		if o.Duration == 0 && !r.sent.IsZero() {
			o.Duration = time.Since(r.sent)
		}
		r.permits[i].Done(o)
	}
}

// Keep takes the permit of action i out of the request, for an action that
// goes on after its reply (a cursor). The codec calls its Done; what it
// leaves open is completed as Executed when the connection ends.
func (r *Request) Keep(c *Conn, i int) Permit {
	if i < 0 || i >= len(r.permits) {
		return Nothing
	}
	p := r.permits[i]
	c.kept = append(slices.DeleteFunc(c.kept, (*onePermit).isDone), p)
	r.permits[i] = &onePermit{Permit: p.Permit, done: true}
	return p
}

func (r *Request) finish(o Outcome) {
	for i := range r.permits {
		r.Done(i, o)
	}
}

// onePermit lets Done through exactly once.
type onePermit struct {
	Permit
	mu   sync.Mutex
	done bool
}

// again makes p the permit of another action.
func (p *onePermit) again(next Permit) {
	p.mu.Lock()
	p.Permit, p.done = next, false
	p.mu.Unlock()
}

func (p *onePermit) isDone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

func (p *onePermit) Done(o Outcome) {
	p.mu.Lock()
	first := !p.done
	p.done = true
	p.mu.Unlock()
	if first {
		p.Permit.Done(o)
	}
}

// Nothing is a permit that permits nothing and shows nothing: free text is
// withheld, values become NULL, and any row is one too many.
var Nothing Permit = nothing{}

type nothing struct{}

func (nothing) Rows([]Column) Rows                { return nothing{} }
func (nothing) Value(int, []byte) ([]byte, error) { return nil, nil }
func (nothing) Text([]byte) []byte                { return []byte("(withheld)") }
func (nothing) Bound() int64                      { return 0 }
func (nothing) Stream(io.Writer, bool) Stream     { return nothing{} }
func (nothing) Clear(string, []byte) bool         { return false }
func (nothing) Bare() bool                        { return false }
func (nothing) Flush() error                      { return nil }
func (nothing) Close() error                      { return nil }
func (nothing) Done(Outcome)                      {}
func (nothing) Write([]byte) (int, error) {
	return 0, &Denied{Status: StatusLimit, Reason: "nothing was permitted here"}
}

func (nothing) Count(rows, bytes int64) error {
	if rows == 0 && bytes == 0 {
		return nil
	}
	return &Denied{Status: StatusLimit, Reason: "nothing was permitted here"}
}

// Check reports whether password is the one v was made from (RFC 5802 section
// 3), for protocols that send it in clear inside TLS.
func (v Verifier) Check(password []byte) error {
	if v.Iterations < 1 || len(v.StoredKey) != sha256.Size {
		return fmt.Errorf("checking a password: the verifier is not complete")
	}
	salted, err := pbkdf2.Key(sha256.New, string(password), v.Salt, v.Iterations, sha256.Size)
	if err != nil {
		return fmt.Errorf("checking a password: %w", err)
	}
	mac := hmac.New(sha256.New, salted)
	mac.Write([]byte("Client Key"))
	stored := sha256.Sum256(mac.Sum(nil))
	if !hmac.Equal(stored[:], v.StoredKey) {
		return fmt.Errorf("checking a password: it is another one")
	}
	return nil
}
