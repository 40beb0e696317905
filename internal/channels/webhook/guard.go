package webhook

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// A guard lets connections be made only to addresses where a receiver may be.
// It looks at the address that is really dialled, after the name was resolved:
// a name that leads elsewhere the second time gains nothing.
type guard struct{ private bool }

// never are addresses at which nobody but the machine, its cloud or its network
// answers: link-local, metadata services, and ways to write one address as another.
var never = prefixes(
	"0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32", "100.100.100.200/32",
	"::/128", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::/32", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "100::/64", "::/96",
)

// inside are addresses of private networks, and this machine.
var inside = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "::1/128", "fc00::/7")

func prefixes(in ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range in {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func in(set []netip.Prefix, a netip.Addr) bool {
	for _, p := range set {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// allows says why an address may not be called.
func (g guard) allows(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	switch {
	case a.IsLoopback(), in(inside, a) && !in(never, a):
		if !g.private {
			return fmt.Errorf("%s is on a private network: private: true in the webhook's configuration allows it", a)
		}
	case !a.IsValid() || in(never, a):
		return fmt.Errorf("%s is no address of a receiver", a)
	}
	return nil
}

func (g guard) dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("reading the address to call: %w", err)
		}
		return g.allows(ap.Addr())
	}}
}
