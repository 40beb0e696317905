package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestWhy(t *testing.T) {
	for _, s := range []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "169.254.170.2",
		"100.64.0.1", "100.100.100.200", "100.127.255.255", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1",
		"2002:7f00:1::", "2002:a9fe:a9fe::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "fd00:ec2::254", "fc00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "5f00::1", "4000::1",
	} {
		if Why(netip.MustParseAddr(s)) == "" {
			t.Errorf("%s counts as public", s)
		}
	}
	for _, s := range []string{"1.1.1.1", "8.8.8.8", "140.82.121.4", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "169.253.255.255", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8"} {
		if why := Why(netip.MustParseAddr(s)); why != "" {
			t.Errorf("%s %s", s, why)
		}
	}
	if Why(netip.Addr{}) == "" {
		t.Error("no address counts as public")
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"API.GitHub.com": "api.github.com", "a_b.example": "a_b.example", "localhost": "localhost", "1.2.3.4": "1.2.3.4",
		"::1": "::1", "[::1]": "::1", "[2606:4700:0::1111]": "2606:4700::1111", "xn--bcher-kva.example": "xn--bcher-kva.example", "1e100.net": "1e100.net", "0x7f.example": "0x7f.example",
	} {
		if got, _, err := Host(in); err != nil || got != want {
			t.Errorf("Host(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "1.2.3.04", "1.2.3.256", "example.0x1", "example.1", "0x",
		"example.com.", ".example.com", "a..b", "bücher.example", "１２７.0.0.1", "127。0。0。1", "a b", "a\x00b", "a\r\nb", "a/b", "a@b", "a%2eb", "a\\b", "[1.2.3.4]", "[::1", "::1]", "[fe80::1%eth0]", "fe80::1%eth0", "[::1]:80", "a:b",
		strings.Repeat("a", 64) + ".example", strings.Repeat("a.", 127) + "example",
	} {
		if got, a, err := Host(in); err == nil {
			t.Errorf("Host(%q) = %q, %v", in, got, a)
		}
	}
}

// names answers each name with one list after the other.
type names struct {
	mu  sync.Mutex
	of  map[string][][]string
	ask []string
}

func (n *names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ask = append(n.ask, host)
	answers := n.of[host]
	if len(answers) == 0 {
		return nil, errors.New("no such host")
	}
	if len(answers) > 1 {
		n.of[host] = answers[1:]
	}
	var out []netip.Addr
	for _, s := range answers[0] {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

// dialled is a Dial that connects nowhere and remembers where to.
type dialled struct {
	mu sync.Mutex
	to []string
}

func (d *dialled) dial(_ context.Context, _, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = append(d.to, address)
	a, b := net.Pipe()
	_ = b.Close()
	return a, nil
}

func TestARebindingResolver(t *testing.T) {
	n := &names{of: map[string][][]string{
		"rebind.example.": {{"93.184.215.14"}, {"127.0.0.1"}},
		"mixed.example.":  {{"93.184.215.14", "169.254.169.254"}},
		"mapped.example.": {{"::ffff:127.0.0.1"}},
		"six.example.":    {{"::ffff:93.184.215.14"}},
	}}
	d := &dialled{}
	g := New(Options{Resolver: n, Dial: d.dial})
	if _, err := g.DialContext(t.Context(), "tcp", "rebind.example:443"); err != nil {
		t.Fatal(err)
	}
	if len(n.ask) != 1 {
		t.Errorf("asked %d times for one connection", len(n.ask))
	}
	for _, name := range []string{"rebind.example:443", "mixed.example:443", "mapped.example:443"} {
		var refused *Refused
		if _, err := g.DialContext(t.Context(), "tcp", name); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := g.DialContext(t.Context(), "tcp", "six.example:443"); err != nil {
		t.Error(err)
	}
	if want := []string{"93.184.215.14:443", "93.184.215.14:443"}; !slices.Equal(d.to, want) {
		t.Errorf("dialled %v, want %v", d.to, want)
	}
}

func TestListedNetworks(t *testing.T) {
	n := &names{of: map[string][][]string{"git.corp.": {{"10.1.2.3"}}, "other.corp.": {{"10.2.0.1"}}}}
	d := &dialled{}
	g := New(Options{Resolver: n, Dial: d.dial}).With(netip.MustParsePrefix("10.1.0.0/16"))
	if _, err := g.DialContext(t.Context(), "tcp", "git.corp:443"); err != nil {
		t.Error(err)
	}
	for _, to := range []string{"other.corp:443", "10.2.0.1:443", "127.0.0.1:443", "[::ffff:10.2.0.1]:443", "[fe80::1%25lo]:443", "2130706433:80", "git.corp:0", "git.corp:https", "git.corp"} {
		if _, err := g.DialContext(t.Context(), "tcp", to); err == nil {
			t.Errorf("%s was dialled", to)
		}
	}
	if _, err := g.DialContext(t.Context(), "udp", "git.corp:443"); err == nil {
		t.Error("UDP was dialled")
	}
	if len(d.to) != 1 {
		t.Errorf("dialled %v", d.to)
	}
}

// What listens for this deployment is out of reach, even where loopback is listed.
func TestOwnListeners(t *testing.T) {
	d := &dialled{}
	g := New(Options{
		Dial: d.dial, Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		Never: func() []netip.AddrPort {
			return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8720"), netip.MustParseAddrPort("[::]:3128")}
		},
	})
	to := []string{"127.0.0.1:8720", "127.0.0.2:8720", "0.0.0.0:8720", "[::1]:8720", "[::ffff:127.0.0.1]:8720", "[::]:8720", "127.0.0.1:3128", "[::1]:3128", "0.0.0.0:3128"}
	mine, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range mine {
		if p := netip.MustParsePrefix(a.String()); p.Addr().Zone() == "" {
			to = append(to, netip.AddrPortFrom(p.Addr(), 3128).String())
		}
	}
	for _, address := range to {
		if _, err := g.DialContext(t.Context(), "tcp", address); err == nil {
			t.Errorf("%s was dialled", address)
		}
	}
	if _, err := g.DialContext(t.Context(), "tcp", "127.0.0.1:8721"); err != nil {
		t.Error(err)
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range []string{"example.com", "127.1", "0x7f.1", "[::1]", "::ffff:127.0.0.1", "1.2.3.4", "xn--a.b", "a_b", "017700000001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, a, err := Host(s)
		if err != nil {
			return
		}
		again, b, err := Host(name)
		if err != nil || again != name || a != b {
			t.Fatalf("Host(%q) = %q, %v and Host of that = %q, %v, %v", s, name, a, again, b, err)
		}
		if strings.ContainsAny(name, "/@%\\ \t\r\n\x00[]") {
			t.Fatalf("Host(%q) = %q", s, name)
		}
	})
}
