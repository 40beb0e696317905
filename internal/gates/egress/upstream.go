package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/netguard"
)

// An Upstream is how the hosts of one entry are reached: each entry has connections of its
// own, so that what one may do with its networks and authorities no other can.
type Upstream struct {
	guard     *netguard.Guard
	transport *http.Transport
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	tls       *tls.Config
}

// errAsked ends a handshake in which a server asks who we are.
var errAsked = errors.New("the server asks for a client certificate, and this gate has none to show: it would be the gate's, not the agent's")

// NewUpstream reaches hosts through guard. roots are the authorities that may sign
// their certificates; nil: the system's. addresses are where they are, in place of what
// a resolver says.
func NewUpstream(guard *netguard.Guard, roots *x509.CertPool, addresses []netip.AddrPort) *Upstream {
	u := &Upstream{guard: guard, dial: guard.DialContext}
	if len(addresses) > 0 {
		var own []netip.Prefix
		for _, a := range addresses {
			own = append(own, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()))
		}
		listed := guard.With(own...)
		u.dial = func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
			for _, a := range addresses {
				if conn, err = listed.DialContext(ctx, network, a.String()); err == nil {
					return conn, nil
				}
			}
			return nil, err
		}
	}
	u.tls = &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return nil, errAsked },
	}
	u.transport = &http.Transport{
		DialContext: u.dial, TLSClientConfig: u.tls, ForceAttemptHTTP2: true, DisableCompression: true,
		MaxIdleConnsPerHost: 32, MaxIdleConns: 256, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 256 << 10, ExpectContinueTimeout: time.Second,
		ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10,
	}
	return u
}

// check says why a host that is an address may not be dialled.
func (u *Upstream) check(address string, port int) error {
	_, err := u.guard.Lookup(context.Background(), address, uint16(port))
	return err
}

// Close ends the connections that nobody uses.
func (u *Upstream) Close() { u.transport.CloseIdleConnections() }

// RoundTrip sends one request and follows nothing.
func (u *Upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := u.transport.RoundTrip(r)
	if err != nil {
		return nil, explain(r.URL.Hostname(), err)
	}
	// Another way to the same host, over UDP, that leads around this gate.
	resp.Header.Del("Alt-Svc")
	onConnection(resp.Header)
	return resp, nil
}

// onConnection takes away offers to sign in a connection instead of a request: ours
// are shared between agents.
func onConnection(h http.Header) {
	for _, name := range []string{"Www-Authenticate", "Proxy-Authenticate"} {
		kept := h[name][:0:0]
		for _, v := range h[name] {
			if !bound(v) {
				kept = append(kept, v)
			}
		}
		if len(kept) == 0 {
			delete(h, name)
		} else {
			h[name] = kept
		}
	}
}

// bound says that a scheme of authentication is the connection's, not the request's (RFC 4559, NTLM).
func bound(v string) bool {
	scheme, _, _ := strings.Cut(strings.TrimSpace(v), " ")
	return strings.EqualFold(scheme, "NTLM") || strings.EqualFold(scheme, "Negotiate")
}

// A notSent is a refusal by this gate while it connected.
type notSent struct{ denied *gate.Denied }

func (e *notSent) Error() string { return e.denied.Reason }

// Unwrap is the refusal, and that nothing was sent.
func (e *notSent) Unwrap() []error {
	return []error{e.denied, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New(e.denied.Reason)}}
}

// explain turns what this gate refused while it connected into an answer that says so.
func explain(host string, err error) error {
	var refused *netguard.Refused
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refused):
		return &notSent{&gate.Denied{Status: gate.StatusDenied, Reason: refused.Error()}}
	case errors.Is(err, errAsked):
		return &notSent{&gate.Denied{Status: gate.StatusUnreachable, Reason: host + ": " + errAsked.Error(), Hint: "an administrator can list the host with inspect: false; then the agent shows its own"}}
	case errors.As(err, &cert):
		return &notSent{&gate.Denied{Status: gate.StatusUnreachable, Reason: "the certificate of " + host + " is not one that this gate trusts; nothing was sent", Hint: "an administrator can name its authority with ca"}}
	}
	return err
}
