package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/bodies"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/netguard"
)

// A site is a real server of HTTPS that remembers what reached it.
type site struct {
	*httptest.Server
	mu  sync.Mutex
	got []string
}

func newSite(t *testing.T, h http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b strings.Builder
		b.WriteString(r.Method + " " + r.Host + r.RequestURI + "\n")
		_ = r.Header.Write(&b)
		body, err := io.ReadAll(r.Body)
		b.Write(body)
		if err != nil {
			b.WriteString("\ncut short")
		}
		s.mu.Lock()
		s.got = append(s.got, b.String())
		s.mu.Unlock()
		if h != nil {
			h(w, r)
			return
		}
		_, _ = io.WriteString(w, "hello from "+r.Host)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// requests are what reached the site.
func (s *site) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.got...)
}

func (s *site) address() netip.AddrPort {
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func (s *site) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

// A proxy is a gate that serves.
type proxy struct {
	t    *testing.T
	addr string
	ca   *x509.CertPool
	gate *Gate
	auth *gatetest.Authority

	mu      sync.Mutex
	refused []string
}

// at is an entry for a site. Its certificate is good for example.com and *.example.com.
func at(s *site, pattern string, change ...func(*Host)) Host {
	h := Host{Pattern: pattern, Trust: External, Upstream: NewUpstream(netguard.New(netguard.Options{}), s.roots(), []netip.AddrPort{s.address()}), Addresses: []netip.AddrPort{s.address()}}
	for _, f := range change {
		f(&h)
	}
	return h
}

func serve(t *testing.T, auth *gatetest.Authority, change func(*Config), hosts ...Host) *proxy {
	t.Helper()
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := bodies.NewStore(t.TempDir(), 64<<20, 32<<20, e)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, auth: auth}
	o := Config{
		Name: "out", Authority: auth, CA: newCA(t, nil), Hosts: hosts, Bodies: store, Log: slog.New(slog.DiscardHandler), Wait: 5 * time.Second,
		Classes: func(s string) []string { return classesOf(e, s) },
		Refused: func(_ context.Context, _ gate.Peer, what string) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.refused = append(p.refused, what)
		},
	}
	if change != nil {
		change(&o)
	}
	if p.gate, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.gate.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(15 * time.Second):
			t.Error("Serve did not end")
		}
		auth.Check(t)
	})
	p.addr, p.ca = l.Addr().String(), pool(t, o.CA)
	return p
}

func classesOf(e *detect.Engine, s string) (out []string) {
	f := e.FindString(s)
	defer f.Free()
	for _, one := range f.List {
		out = append(out, string(one.Class))
	}
	return out
}

func (p *proxy) refusals() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append(append([]string(nil), p.refused...), p.auth.Refusals()...)
}

func (p *proxy) url(token string) *url.URL {
	return &url.URL{Scheme: "http", Host: p.addr, User: url.UserPassword("agent", token)}
}

// client is Go's own, as HTTPS_PROXY leads it.
func (p *proxy) client() *http.Client {
	tr := &http.Transport{Proxy: http.ProxyURL(p.url(gatetest.Token)), TLSClientConfig: &tls.Config{RootCAs: p.ca}, ForceAttemptHTTP2: true}
	p.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func basic(token string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("agent:"+token))
}

// connect opens a tunnel by hand.
func (p *proxy) connect(target string) (net.Conn, *http.Response) {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, "CONNECT "+target+" HTTP/1.1\r\nHost: "+target+"\r\nProxy-Authorization: "+basic(gatetest.Token)+"\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"})
	if err != nil {
		p.t.Fatalf("CONNECT %s: %v", target, err)
	}
	if r.Buffered() > 0 && resp.StatusCode == 200 {
		p.t.Fatal("bytes after the answer to CONNECT")
	}
	return c, resp
}

// secure begins TLS in a tunnel.
func (p *proxy) secure(target, sni string, protos ...string) *tls.Conn {
	p.t.Helper()
	c, resp := p.connect(target)
	if resp.StatusCode != 200 {
		p.t.Fatalf("CONNECT %s: %s", target, resp.Status)
	}
	return tls.Client(c, &tls.Config{RootCAs: p.ca, ServerName: sni, NextProtos: protos})
}

func read(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
