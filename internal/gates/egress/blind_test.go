package egress

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

func blindly(h *Host) { h.Blind = true }

// A client that pins the host's own certificate sees it.
func TestABlindTunnel(t *testing.T) {
	s := newSite(t, nil)
	a := &gatetest.Authority{}
	p := serve(t, a, nil, at(s, "example.com", blindly))
	tr := &http.Transport{Proxy: http.ProxyURL(p.url(gatetest.Token)), TLSClientConfig: &tls.Config{RootCAs: s.roots()}}
	resp, err := (&http.Client{Transport: tr}).Get("https://example.com/pinned")
	if got := read(t, resp, err); got != "hello from example.com" {
		t.Error(got)
	}
	asked := a.Actions()
	if len(asked) != 1 || !asked[0].Data.Unscanned || asked[0].Verb != "tunnel" || !slices.Contains(asked[0].Kinds, action.DataExport) || asked[0].Data.Destination != "example.com" {
		t.Errorf("%+v", asked)
	}
	tr.CloseIdleConnections()
}

func TestABlindTunnelThatIsDenied(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{Decide: func(context.Context, *action.Action, func(gate.Held)) error {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "not there"}
	}}, nil, at(s, "example.com", blindly))
	if _, resp := p.connect("example.com:443"); resp.StatusCode != 403 {
		t.Error(resp.Status)
	}
}

// TLS in a blind tunnel is for the host of the tunnel, says so in the clear, and is TLS.
func TestWhatBeginsABlindTunnel(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com", blindly))
	for name, first := range map[string][]byte{
		"another name":  clientHello(t, "other.example.com"),
		"no TLS":        []byte("SSH-2.0-OpenSSH_9.9\r\nand a lot more that nobody wants to read"),
		"a plain GET":   []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"),
		"a hidden name": hiddenHello(t),
	} {
		c, resp := p.connect("example.com:443")
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
		_, _ = c.Write(first)
		if b, err := io.ReadAll(c); len(b) > 0 {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if got := p.refusals(); len(got) != 4 {
		t.Errorf("recorded %q", got)
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests reached the site", n)
	}
}

// hiddenHello is a ClientHello with an encrypted one in it, as of a client that has no key for the host.
func hiddenHello(t *testing.T) []byte {
	t.Helper()
	hello := clientHello(t, "example.com")
	// The last extension's length fields are kept in step: record, handshake, extensions.
	ext := []byte{0xfe, 0x0d, 0x00, 0x04, 0x00, 0x00, 0x01, 0x00}
	out := append(slices.Clone(hello), ext...)
	add := func(at, size int) {
		n := 0
		for i := range size {
			n = n<<8 | int(out[at+i])
		}
		n += len(ext)
		for i := size - 1; i >= 0; i-- {
			out[at+i] = byte(n)
			n >>= 8
		}
	}
	add(3, 2) // record
	add(6, 3) // handshake
	at := 9 + 2 + 32
	at += 1 + int(out[at])                     // session id
	at += 2 + int(out[at])<<8 + int(out[at+1]) // cipher suites
	at += 1 + int(out[at])                     // compression
	add(at, 2)
	return out
}

func TestACutTunnel(t *testing.T) {
	s := newSite(t, nil)
	a := &gatetest.Authority{}
	p := serve(t, a, nil, at(s, "example.com", blindly))
	c, resp := p.connect("example.com:443")
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	secure := tls.Client(c, &tls.Config{RootCAs: s.roots(), ServerName: "example.com"})
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	a.Cut()
	if _, err := secure.Read(make([]byte, 1)); err == nil {
		t.Error("the tunnel is still open")
	}
}
