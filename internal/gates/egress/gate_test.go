package egress

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

func TestThroughATunnel(t *testing.T) {
	s := newSite(t, nil)
	a := &gatetest.Authority{}
	p := serve(t, a, nil, at(s, "example.com", func(h *Host) { h.Routine = true }))
	c := p.client()
	resp, err := c.Get("https://example.com/one?q=1")
	if got := read(t, resp, err); got != "hello from example.com" || resp.ProtoMajor != 2 {
		t.Errorf("%q over %s", got, resp.Proto)
	}
	resp, err = c.Post("https://example.com/two", "text/plain", strings.NewReader("some text"))
	read(t, resp, err)
	asked := a.Actions()
	if len(asked) != 2 {
		t.Fatalf("asked about %d actions", len(asked))
	}
	get, post := asked[0], asked[1]
	if len(get.Kinds) != 1 || get.Kinds[0] != action.NetFetch || !get.Routine || get.Verb != "get" || get.Target != "example.com/one" {
		t.Errorf("%+v", get)
	}
	if len(post.Kinds) != 1 || post.Kinds[0] != action.DataExport || post.Routine || post.Data.Destination != "example.com" || post.Data.DestinationTrust != "external" {
		t.Errorf("%+v", post)
	}
	for _, got := range s.requests() {
		if strings.Contains(got, gatetest.Token) || strings.Contains(got, "Proxy-") {
			t.Errorf("the credential went on: %s", got)
		}
	}
	for _, o := range a.Outcomes() {
		if o.Untrusted != "web page" || o.State != gate.Executed {
			t.Errorf("%+v", o)
		}
	}
}

func TestNobodyComesInWithoutACredential(t *testing.T) {
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, nil, at(s, "example.com", func(h *Host) { h.Plain = true }))
	for _, token := range []string{"", "wrong"} {
		tr := &http.Transport{Proxy: http.ProxyURL(p.url(token))}
		for _, u := range []string{"https://example.com/", "http://example.com/"} {
			resp, err := (&http.Client{Transport: tr}).Get(u)
			if err == nil {
				if resp.StatusCode != 407 || resp.Header.Get("Proxy-Authenticate") == "" {
					t.Errorf("%s with %q: %s", u, token, resp.Status)
				}
				read(t, resp, nil)
			} else if !strings.Contains(err.Error(), "Proxy Authentication Required") {
				t.Errorf("%s with %q: %v", u, token, err)
			}
		}
		tr.CloseIdleConnections()
	}
	if got := s.requests(); len(got) != 0 {
		t.Errorf("reached: %q", got)
	}
}

// Beyond loopback the proxy itself speaks TLS.
func TestTheProxyOverTLS(t *testing.T) {
	s := newSite(t, nil)
	own := newCA(t, nil)
	p := serve(t, &gatetest.Authority{}, func(o *Config) {
		leaf, err := own.Leaf("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		o.TLS = &tls.Config{Certificates: []tls.Certificate{*leaf}}
	}, at(s, "example.com", func(h *Host) { h.Plain = false }))
	u := p.url(gatetest.Token)
	u.Scheme = "https"
	tr := &http.Transport{Proxy: http.ProxyURL(u), TLSClientConfig: &tls.Config{RootCAs: p.ca}, ForceAttemptHTTP2: true} // one secret, one authority
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Get("https://example.com/")
	if got := read(t, resp, err); got != "hello from example.com" {
		t.Error(got)
	}
	if resp, err := p.client().Get("https://example.com/"); err == nil {
		t.Errorf("the proxy took a request in the clear: %s", resp.Status)
	}
}
