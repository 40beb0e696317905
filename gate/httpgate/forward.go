package httpgate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/trace"
	"github.com/assenthq/assent/internal/veil"
)

// A passage is one permitted request on its way to its upstream and back.
type passage struct {
	gate    *Gate
	ctx     context.Context
	x       *Exchange
	call    *Call
	permit  gate.Permit
	begun   time.Time
	outcome gate.Outcome
	left    bool // for the upstream
}

// forward passes a permitted request on, and its answer back.
func (g *Gate) forward(ctx context.Context, w http.ResponseWriter, x *Exchange, call *Call, p gate.Permit) {
	v := &passage{gate: g, ctx: ctx, x: x, call: call, permit: p, begun: time.Now(), outcome: gate.Outcome{State: gate.Failed, Code: "not sent", Untrusted: call.Reply.Untrusted}}
	defer v.done()
	if call.Reply.Lower != "" {
		w = &lowered{w, http.CanonicalHeaderKey(call.Reply.Lower)}
	}
	resp, err := v.send(v.request())
	if err == nil {
		if err = v.answered(resp); err != nil {
			_ = resp.Body.Close()
		}
	}
	if err != nil {
		v.failed(w, err)
		return
	}
	pass(w, resp)
}

// done completes the permit. It runs however the passage ended.
func (v *passage) done() {
	o := v.outcome
	o.Duration = time.Since(v.begun)
	if !v.x.Body.Kept() {
		_ = v.x.Body.Close() // nothing reads it any more
		o.Carried, _ = v.x.Body.Found()
	}
	v.permit.Done(o)
}

// request is what goes on. Of what belongs to one hop, webwire.Clean has left nothing. What an upstream says before its answer is
// heard by nobody: a context of our own has no trace for it.
func (v *passage) request() *http.Request {
	out, up, u := v.x.Request.WithContext(v.ctx), &v.call.Upstream, *v.x.Request.URL
	out.URL, out.Header, out.Close = &u, v.x.Request.Header.Clone(), false
	if up.URL != nil {
		out.URL.Scheme, out.URL.Host, out.Host = up.URL.Scheme, up.URL.Host, ""
	}
	if up.Host != "" {
		out.Host = up.Host
	}
	if up.URL != nil && strings.Trim(up.URL.Path, "/") != "" || up.Path != "" {
		escaped := v.path()
		// The path goes on exactly as it stands, whatever its decoded form is.
		out.URL.Opaque = ""
		out.URL.RawPath = escaped
		out.URL.Path = unescaped(escaped)
	}
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = []string{""} // not net/http's own
	}
	out.ContentLength = v.x.Body.Length()
	out.Trailer = nil // nobody judged it
	if v.call.Traced {
		Traced(out.Header, v.permit)
	}
	return out
}

// Traced has h say where in our trace the request belongs that it goes with. What isn't traced keeps what its client said.
func Traced(h http.Header, p gate.Permit) {
	if t, is := p.(gate.Traced); is {
		trace.Onward(h, t.Traceparent())
	}
}

func (v *passage) path() string {
	path := v.call.Upstream.Path
	if path == "" {
		path = v.x.Request.URL.EscapedPath()
	}
	if u := v.call.Upstream.URL; u != nil {
		path = strings.TrimSuffix(u.EscapedPath(), "/") + path
	}
	return path
}

// send sends the request with the body that was judged.
func (v *passage) send(out *http.Request) (*http.Response, error) {
	out.Body, out.GetBody = http.NoBody, nil
	if out.ContentLength != 0 {
		body, err := v.x.Body.Open()
		if err != nil {
			return nil, fmt.Errorf("reading the body: %w", err)
		}
		out.Body = body
	}
	if v.call.Reply.Body == nil {
		veil.Request(out, v.permit, v.call.Reply.options())
	}
	if v.call.Out != nil {
		if err := v.call.Out(v.ctx, out); err != nil {
			return nil, err
		}
	}
	if !v.call.reads() {
		once(out)
	}
	v.left = true
	v.outcome.State, v.outcome.Code = gate.Unknown, "lost"
	resp, err := v.call.Upstream.Transport.RoundTrip(out)
	if err != nil && unsent(err) {
		v.left = false
		v.outcome.State, v.outcome.Code = gate.Failed, "not sent"
	}
	return resp, err
}

// reads says that nothing but reading is done.
func (c *Call) reads() bool {
	for _, a := range c.Actions {
		if slices.ContainsFunc(a.Kinds, func(k action.Kind) bool { return k != action.DataRead && k != action.NetFetch }) {
			return false
		}
	}
	return true
}

// once keeps http.Transport from sending a request again when a connection that was used before ends without an answer: it
// may have run. It does so by method and by the names of two headers as net/http writes them, and never with a body that can't
// be had twice.
func once(out *http.Request) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		if values := out.Header[name]; values != nil {
			delete(out.Header, name)
			out.Header[strings.ToLower(name)] = values
		}
	}
	switch out.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		if out.Body == http.NoBody {
			out.Body = io.NopCloser(strings.NewReader(""))
		}
	}
}

// unsent says that an error came before anything was sent.
func unsent(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	return errors.As(err, &dns) || errors.As(err, &cert)
}

// answered masks an answer before its first byte passes.
func (v *passage) answered(resp *http.Response) error {
	oneHop(resp.Header)
	v.outcome.State, v.outcome.Code = gate.Executed, strconv.Itoa(resp.StatusCode)
	if resp.StatusCode >= 400 {
		v.outcome.State = gate.Failed
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return &gate.Denied{Status: gate.StatusLimit, Reason: "upstream changed the protocol, and nobody asked it to"}
	}
	reply := &v.call.Reply
	if reply.Check != nil {
		if err := reply.Check(resp); err != nil {
			return err
		}
	}
	if reply.Body != nil {
		if err := reply.Body(resp, v.permit); err != nil {
			return err
		}
	} else if err := veil.Reply(resp, v.permit, reply.options()); err != nil {
		return err
	}
	resp.Body = &counted{ReadCloser: resp.Body, n: &v.outcome.Bytes}
	return nil
}

func (r *Reply) options() veil.Options {
	return veil.Options{Fill: r.Fill, Opaque: r.Opaque, Tagged: r.Tagged}
}

// lowered writes names of headers in lower case.
type lowered struct {
	http.ResponseWriter
	prefix string
}

func (l *lowered) WriteHeader(status int) {
	h := l.Header()
	for name, values := range h {
		if strings.HasPrefix(name, l.prefix) {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
	l.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (l *lowered) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// counted counts what passes.
type counted struct {
	io.ReadCloser
	n *int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	*c.n += int64(n)
	return n, err
}

// failed answers a request that has no answer of its upstream's.
func (v *passage) failed(w http.ResponseWriter, err error) {
	if v.ctx.Err() != nil && !errors.Is(context.Cause(v.ctx), errCut) {
		panic(http.ErrAbortHandler) // the client is gone; if it isn't, silence would be an answer: 200
	}
	var d *gate.Denied
	switch {
	case errors.As(err, &d):
	case errors.Is(context.Cause(v.ctx), errCut):
		d = &gate.Denied{Status: gate.StatusDenied, Reason: "the session was ended", Hint: "ask for a new credential"}
	case v.left:
		v.gate.o.Log.Warn("an upstream went away", "gate", v.gate.o.Name, "problem", problem(err))
		d = &gate.Denied{Status: gate.StatusLost, Reason: "the system behind the gate went away after the request was sent: nobody here knows whether it ran", Hint: "look there before asking again"}
	default:
		v.gate.o.Log.Warn("an upstream can't be reached", "gate", v.gate.o.Name, "problem", problem(err))
		d = &gate.Denied{Status: gate.StatusUnreachable, Reason: "the system behind the gate can't be reached; nothing was sent", Hint: "try again later; an operator can look: assent doctor"}
	}
	v.gate.refuse(w, v.x.Request, d)
}

// problem says what went wrong with an upstream, without what it sent.
func problem(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &op), errors.As(err, &dns), errors.As(err, &cert):
		return err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection ended"
	}
	return fmt.Sprintf("%T", errors.Unwrap(err))
}
