package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/netguard"
)

// A host that nobody listed gets no certificate, however often it is asked for.
func TestNoCertificateForWhatIsNotPermitted(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com"))
	for i := range 50 {
		if _, resp := p.connect(fmt.Sprintf("r%d.evil.test:443", i)); resp.StatusCode != 403 {
			t.Fatal(resp.Status)
		}
	}
	if n := p.gate.o.CA.order.Len(); n != 0 {
		t.Errorf("%d certificates were made", n)
	}
	if got := p.refusals(); len(got) != 50 || got[0] != "a host on no list: r0.evil.test" {
		t.Errorf("recorded %q", got)
	}
}

func TestTunnelsAreCounted(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, func(o *Config) { o.Tunnels = 3 }, at(s, "example.com"))
	var open []net.Conn
	for range 3 {
		c, resp := p.connect("example.com:443")
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		open = append(open, c)
	}
	if _, resp := p.connect("example.com:443"); resp.StatusCode != 503 {
		t.Errorf("the fourth: %s", resp.Status)
	}
	_ = open[0].Close()
	for range 100 { // until the end of the first was seen
		if _, resp := p.connect("example.com:443"); resp.StatusCode == 200 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("a closed tunnel still counts")
}

// Bytes that a client sends before it hears that the tunnel is there are the tunnel's.
func TestEarlyBytes(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com"))
	hello := clientHello(t, "example.com")
	c, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Authorization: "+basic(gatetest.Token)+"\r\n\r\n"+string(hello))
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"})
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	first, err := r.ReadByte()
	if err != nil || first != 0x16 { // a ServerHello
		t.Errorf("%x, %v", first, err)
	}
}

// clientHello is how a client begins.
func clientHello(t *testing.T, name string) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer func() { _ = a.Close() }()
	go func() { _ = tls.Client(b, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}).Handshake() }()
	buf := make([]byte, 16<<10)
	n, err := a.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestUpstreamsThatAreNotWhoTheySay(t *testing.T) {
	s := newSite(t, nil)
	stranger := at(s, "example.com")
	stranger.Upstream = NewUpstream(netguard.New(netguard.Options{}), x509.NewCertPool(), []netip.AddrPort{s.address()})
	a := &gatetest.Authority{}
	p := serve(t, a, nil, stranger, at(s, "named.test"))
	for _, u := range []string{"https://example.com/", "https://named.test/"} { // an authority nobody trusts; another's certificate
		resp, err := p.client().Get(u)
		if got := read(t, resp, err); resp.StatusCode != 502 || !strings.Contains(got, "not one that this gate trusts") {
			t.Errorf("%s: %s %s", u, resp.Status, got)
		}
	}
	for _, o := range a.Outcomes() {
		if o.State != gate.Failed {
			t.Errorf("%+v", o)
		}
	}
	if len(s.requests()) != 0 {
		t.Errorf("reached: %q", s.requests())
	}
}

func TestAServerThatAsksWhoWeAre(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newSite(t, nil)
		s.TLS.ClientAuth, s.TLS.MaxVersion = tls.RequestClientCert, version
		p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com"))
		resp, err := p.client().Get("https://example.com/")
		if got := read(t, resp, err); resp.StatusCode != 502 || !strings.Contains(got, "client certificate") {
			t.Errorf("%x: %s %s", version, resp.Status, got)
		}
	}
}

func TestWhatAnAnswerMayNotSay(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "https://evil.test/", http.StatusFound)
		default:
			w.Header().Set("Alt-Svc", `h3=":443"; ma=86400`)
			w.Header().Add("WWW-Authenticate", "Negotiate")
			w.Header().Add("WWW-Authenticate", "NTLM")
			w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(401)
		}
	})
	p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com"))
	resp, err := p.client().Get("https://example.com/")
	read(t, resp, err)
	if resp.Header.Get("Alt-Svc") != "" || !slices.Equal(resp.Header.Values("WWW-Authenticate"), []string{`Basic realm="x"`}) {
		t.Errorf("%v", resp.Header)
	}
	resp, err = p.client().Get("https://example.com/away")
	read(t, resp, err)
	if resp.StatusCode != 302 || len(s.requests()) != 2 {
		t.Errorf("a redirect was followed: %s", resp.Status)
	}
	followed := p.client()
	followed.CheckRedirect = nil
	if _, err := followed.Get("https://example.com/away"); err == nil {
		t.Error("the redirected request was not judged anew")
	}
}

func TestWhatNeverGoesOn(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com"))
	c := p.secure("example.com:443", "example.com", "http/1.1")
	_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: example.com\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nX-Forwarded-For: 10.0.0.1\r\nX_Forwarded_User: root\r\nTransfer-Encoding: chunked\r\nTrailer: X-After\r\n\r\n2\r\nhi\r\n0\r\nX-After: secret\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	read(t, resp, err)
	got := s.requests()
	if resp.StatusCode != 200 || len(got) != 1 {
		t.Fatalf("%s, %q", resp.Status, got)
	}
	for _, bad := range []string{"Proxy-", "orwarded", "After", "secret"} {
		if strings.Contains(got[0], bad) {
			t.Errorf("%q went on: %s", bad, got[0])
		}
	}
	if !strings.HasSuffix(got[0], "hi") {
		t.Errorf("the body: %s", got[0])
	}
}

// What a URL or a header carries out is an export, also of a read.
func TestReadsThatCarrySomethingOut(t *testing.T) {
	s := newSite(t, nil)
	a := &gatetest.Authority{}
	p := serve(t, a, nil, at(s, "example.com", func(h *Host) { h.Routine = true }))
	key := "AKIA" + "IOSFODNN7EXAMPLX"
	for _, c := range []struct {
		path, header string
		export       bool
	}{
		{"/search?q=weather", "", false},
		{"/search?q=" + key, "", true},
		{"/search?q=mira%40example.org", "", true},
		{"/" + key + "/x", "", true},
		{"/x", key, true},
	} {
		req, _ := http.NewRequest("GET", "https://example.com"+c.path, nil)
		if c.header != "" {
			req.Header.Set("X-Note", c.header)
		}
		req.Header.Set("Authorization", "Bearer "+key) // the host's own
		resp, err := p.client().Do(req)
		read(t, resp, err)
		asked := a.Actions()
		act := asked[len(asked)-1]
		if got := slices.Contains(act.Kinds, action.DataExport); got != c.export || act.Routine == c.export {
			t.Errorf("%s %s: %v, routine %v, %v", c.path, c.header, act.Kinds, act.Routine, act.Data.Classes)
		}
	}
}

func TestPackageRegistries(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "mail mira@example.org") })
	a := &gatetest.Authority{Mask: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("mira@example.org"), []byte("[email]")) }}
	reg := at(s, "example.com", func(h *Host) {
		h.registry, h.paths, h.Methods = "pypi", []string{"/simple/"}, []string{"GET", "HEAD"}
	})
	p := serve(t, a, nil, reg)
	resp, err := p.client().Get("https://example.com/simple/requests/")
	if got := read(t, resp, err); got != "mail mira@example.org" {
		t.Errorf("a package was changed: %q", got)
	}
	for _, path := range []string{"/simple/x/?q=1", "/other/", "/simple/" + strings.Repeat("a", 600) + "/"} {
		resp, err := p.client().Get("https://example.com" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	for i, act := range a.Actions() {
		if act.Routine != (i == 0) {
			t.Errorf("%s: routine %v", act.Target, act.Routine)
		}
	}
	if o := a.Outcomes()[0]; o.Untrusted != "" {
		t.Errorf("%+v", o)
	}
	resp, err = p.client().Post("https://example.com/simple/requests/", "text/plain", strings.NewReader("x"))
	if read(t, resp, err); resp.StatusCode != 403 {
		t.Errorf("publishing: %s", resp.Status)
	}
}

func TestHostsOnNoList(t *testing.T) {
	a := &gatetest.Authority{Decide: func(context.Context, *action.Action, func(gate.Held)) error {
		return &gate.Denied{Status: gate.StatusPending, Reason: "people are asked", ID: "apr_1"}
	}}
	guard := netguard.New(netguard.Options{Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("nothing is dialled in a test")
	}})
	p := serve(t, a, func(o *Config) { o.Review, o.Others = true, NewUpstream(guard, nil, nil) })
	resp, err := p.client().Get("https://new.test/page")
	if got := read(t, resp, err); resp.StatusCode != 403 || !strings.Contains(got, "pending_approval") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s", resp.Status, got)
	}
	asked := a.Actions()
	if len(asked) != 1 || !slices.Equal(asked[0].Kinds, []action.Kind{action.NetFetch}) || asked[0].Routine {
		t.Fatalf("%+v", asked)
	}
	if _, resp := p.connect("127.0.0.1:443"); resp.StatusCode != 403 { // nobody is asked about it
		t.Error(resp.Status)
	}
}

// A body without end to a host that is held is refused once it is longer than is kept.
func TestABodyWithoutEnd(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com"))
	resp, err := p.client().Post("https://example.com/", "application/octet-stream", io.LimitReader(zeros{}, 10<<30))
	if err == nil {
		read(t, resp, nil)
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s", resp.Status)
		}
	}
	if got := s.requests(); len(got) > 0 {
		t.Errorf("%d requests went on", len(got))
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// HTTP/2 in a tunnel names one host too, and opens no tunnels of its own.
func TestAnotherHostOverHTTP2(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com"), at(s, "other.example.com"))
	tr := &http.Transport{ForceAttemptHTTP2: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c := p.secure("example.com:443", "example.com", "h2")
		return c, c.HandshakeContext(ctx)
	}}
	defer tr.CloseIdleConnections()
	for u, want := range map[string]int{"https://example.com/": 200, "https://other.example.com/": 400, "https://example.com:8443/": 400, "https://evil.test/": 400} {
		resp, err := (&http.Client{Transport: tr}).Get(u)
		read(t, resp, err)
		if resp.StatusCode != want || resp.ProtoMajor != 2 {
			t.Errorf("%s: %s over %s", u, resp.Status, resp.Proto)
		}
	}
	if got := s.requests(); len(got) != 1 {
		t.Errorf("reached: %q", got)
	}
}
