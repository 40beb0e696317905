package egress

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/gate/gatetest"
)

// A trick is one way around the gate that somebody thought of.
type trick struct {
	Name string `json:"name"`
	// Raw is sent as it is: to the proxy, or with Tunnel inside TLS through it. $AUTH is a credential that counts.
	Raw    string `json:"raw"`
	Tunnel string `json:"tunnel"` // CONNECT target
	SNI    string `json:"sni"`
	Status int    `json:"status"` // of the answer; 0: none, the connection ends
}

// Of every trick nothing reaches a site, and the answer says so.
func TestBypasses(t *testing.T) {
	f, err := os.Open("testdata/bypass.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	s := newSite(t, nil)
	p := serve(t, &gatetest.Authority{}, nil,
		at(s, "example.com", func(h *Host) { h.Plain = true }), at(s, "other.example.com"),
		at(s, "readonly.example.com", func(h *Host) { h.Methods = []string{"GET"} }),
		at(s, "blind.example.com", func(h *Host) { h.Blind = true }),
	)
	n := 0
	for d := json.NewDecoder(f); ; n++ {
		var c trick
		if err := d.Decode(&c); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		t.Run(c.Name, func(t *testing.T) {
			got := p.try(t, c)
			if got != c.Status {
				t.Errorf("answered %d, want %d", got, c.Status)
			}
			if reached := s.requests(); len(reached) > 0 {
				t.Fatalf("reached: %q", reached)
			}
		})
	}
	if n < 40 {
		t.Errorf("%d tricks", n)
	}
	if kept := p.gate.o.CA.order.Len(); kept > 4 {
		t.Errorf("%d certificates were made for 3 hosts", kept)
	}
}

// try plays one trick and returns the status of what comes back.
func (p *proxy) try(t *testing.T, c trick) int {
	t.Helper()
	raw := strings.ReplaceAll(c.Raw, "$AUTH", basic(gatetest.Token))
	var conn net.Conn
	if c.Tunnel == "" {
		plain, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn = plain
	} else {
		sni := c.SNI
		if sni == "" {
			sni, _, _ = net.SplitHostPort(c.Tunnel)
		}
		inner, resp := p.connect(c.Tunnel)
		if resp.StatusCode != 200 {
			return resp.StatusCode
		}
		secure := tls.Client(inner, &tls.Config{RootCAs: p.ca, ServerName: strings.TrimSuffix(sni, "-"), InsecureSkipVerify: true})
		if err := secure.Handshake(); err != nil {
			return 0
		}
		conn = secure
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, raw)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	return resp.StatusCode
}
