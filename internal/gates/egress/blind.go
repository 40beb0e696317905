package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
)

// asItIs passes an answer on unmasked: archives are checked by their digest, and hold nothing of ours.
func asItIs(resp *http.Response, p gate.Permit) error {
	resp.Body = &numbered{ReadCloser: resp.Body, p: p}
	return nil
}

// numbered counts what is read before it is passed on.
type numbered struct {
	io.ReadCloser
	p gate.Permit
}

func (c *numbered) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if n > 0 {
		if cerr := c.p.Count(0, int64(n)); cerr != nil {
			return 0, cerr
		}
	}
	return n, err
}

// blind describes a tunnel into a host that is not looked into: all that may pass in it is one action.
func (g *Gate) blind(x *httpgate.Exchange, t *tunnel) *httpgate.Call {
	host := hostport("https", t.name, t.port)
	trust := External
	if !t.host.external() {
		trust = Internal
	}
	a := &action.Action{
		Kinds: []action.Kind{action.NetFetch, action.DataExport}, Verb: "tunnel", Target: host, Title: "tunnel to " + host + ", not looked into",
		Shape: shape("CONNECT", host, "", nil), Objects: []string{host}, Routine: t.host.Routine,
		Resource: action.Resource{URN: "egress:" + g.o.Name + "/" + host},
		Data:     action.Data{Unscanned: true, Destination: host, DestinationTrust: trust},
		State:    map[string]string{"host": host, "way": "tunnel"},
	}
	return &httpgate.Call{
		Actions: []*action.Action{a},
		Take: func(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, p gate.Permit) gate.Outcome {
			return g.splice(ctx, w, x, t, p)
		},
	}
}

// splice connects a client with a host that is not looked into. TLS must be for that host.
func (g *Gate) splice(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, t *tunnel, p gate.Permit) gate.Outcome {
	out := gate.Outcome{State: gate.Failed, Code: "not sent", Untrusted: t.host.wrote()}
	begun := time.Now()
	defer func() { out.Duration = time.Since(begun) }()
	up, err := t.host.Upstream.dial(ctx, "tcp", net.JoinHostPort(t.name, strconv.Itoa(t.port)))
	if err != nil {
		d := &gate.Denied{Status: gate.StatusUnreachable, Reason: t.name + " can't be reached; nothing was sent"}
		_ = errors.As(explain(t.name, err), &d)
		g.o.Log.Warn("an upstream can't be reached", "gate", g.o.Name, "host", t.name)
		protocol{g}.Refuse(w, x.Request, http.StatusBadGateway, d)
		return out
	}
	defer func() { _ = up.Close() }()
	c := g.leave(w, x, t)
	if c == nil {
		return out
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close(); _ = up.Close() })()
	hello, err := greeted(c, t)
	if err != nil {
		x.Session.Refused(ctx, err.Error())
		return out
	}
	out.State, out.Code = gate.Unknown, "lost"
	_ = up.SetWriteDeadline(time.Now().Add(greeting))
	if _, err := up.Write(hello); err != nil {
		return out
	}
	_ = up.SetWriteDeadline(time.Time{})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.Copy(up, c)
		half(up)
	}()
	n, _ := io.Copy(&taker{c, p}, up)
	half(c.Conn)
	_ = c.SetReadDeadline(time.Now().Add(greeting)) // whoever got its answer has little left to say
	<-sent
	out.State, out.Code, out.Bytes = gate.Executed, "closed", n
	return out
}

// half ends one direction.
func half(c net.Conn) {
	if t, is := c.(interface{ CloseWrite() error }); is {
		_ = t.CloseWrite()
		return
	}
	_ = c.Close()
}

// A taker counts what it passes on.
type taker struct {
	to io.Writer
	p  gate.Permit
}

func (t *taker) Write(b []byte) (int, error) {
	if err := t.p.Count(0, int64(len(b))); err != nil {
		return 0, err
	}
	return t.to.Write(b)
}

// encryptedHello is the extension that hides the name a client asks for (ECH).
const encryptedHello = 0xfe0d

// errHeard ends our part of a handshake that is not for us.
var errHeard = errors.New("heard enough")

// greeted reads the first words of TLS from c, which must be for t's host, and returns their bytes.
func greeted(c net.Conn, t *tunnel) ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(greeting))
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	l := &listener{Conn: c}
	var heard atomic.Pointer[tls.ClientHelloInfo]
	err := tls.Server(l, &tls.Config{MinVersion: tls.VersionTLS10, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) { //nolint:gosec // nothing is agreed on here
		heard.Store(h)
		return nil, errHeard
	}}).Handshake()
	h := heard.Load()
	if h == nil {
		return nil, errors.New("what came in a tunnel is not TLS: " + reason(err))
	}
	if err := t.agrees(h); err != nil {
		return nil, err
	}
	if slices.Contains(h.Extensions, encryptedHello) {
		return nil, errors.New("TLS in a tunnel hides the name that it asks for (ECH)")
	}
	return l.came.Bytes(), nil
}

func reason(err error) string {
	var record tls.RecordHeaderError
	if errors.As(err, &record) {
		return record.Msg
	}
	return "nothing that begins TLS"
}

// A listener keeps what it reads and says nothing.
type listener struct {
	net.Conn
	came bytes.Buffer
}

func (l *listener) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	l.came.Write(b[:n])
	return n, err
}

func (l *listener) Write(b []byte) (int, error) { return len(b), nil }
func (l *listener) Close() error                { return nil }
