// Package netguard dials for gates whose upstream an agent can name.
//
// It promises that a connection goes only to an address that was checked after
// the name was resolved, and to the very address that was checked: every answer
// of the resolver must be public, or in a network that the configuration lists.
// Where one answer is not, nothing is dialled. The deployment's own listeners are
// never dialled, whatever is listed. It refuses numbers that stand for addresses
// in a form that not everybody reads alike (127.1, 0x7f000001, 0177.0.0.1), and
// names that no resolver should be asked for.
//
// It can't see where a public address leads: a server there may pass requests on
// to wherever it likes.
package netguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// dialTime is how long one address may take to answer.
const dialTime = 10 * time.Second

// maxAnswers is how many addresses of one name are looked at.
const maxAnswers = 64

// A Resolver finds the addresses of a name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options of a Guard. The zero value reaches public addresses only.
type Options struct {
	Resolver Resolver       // nil: the system's
	Networks []netip.Prefix // that may be dialled although they are not public
	// Never returns the listeners of this deployment. An unspecified address
	// stands for all of this machine's.
	Never func() []netip.AddrPort
	// Dial makes the connection to a checked address; nil: TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Guard dials. It is safe for concurrent use.
type Guard struct {
	o    Options
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// New returns a guard.
func New(o Options) *Guard {
	g := &Guard{o: o, dial: o.Dial}
	if g.o.Resolver == nil {
		g.o.Resolver = net.DefaultResolver
	}
	if g.dial == nil {
		g.dial = (&net.Dialer{Timeout: dialTime, KeepAlive: 30 * time.Second}).DialContext
	}
	return g
}

// With returns a guard that reaches further networks.
func (g *Guard) With(networks ...netip.Prefix) *Guard {
	o := g.o
	o.Networks = append(append([]netip.Prefix(nil), g.o.Networks...), networks...)
	return New(o)
}

// A Refused says that an address may not be dialled. It is for people and agents to read.
type Refused struct {
	Host string
	Why  string // "is a loopback address"
}

func (e *Refused) Error() string {
	return fmt.Sprintf("%s %s, which this gate does not connect to; an administrator can list its network in the configuration", e.Host, e.Why)
}

// DialContext connects to host:port. Errors of refused addresses are *Refused.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" && network != "tcp4" && network != "tcp6" {
		return nil, fmt.Errorf("dialling: %s is not TCP", network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling: %w", err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 {
		return nil, errors.New("dialling: the port is not a number between 1 and 65535")
	}
	found, err := g.Lookup(ctx, host, uint16(port))
	if err != nil {
		return nil, err
	}
	var last error
	for _, a := range found {
		if network == "tcp4" && !a.Is4() || network == "tcp6" && a.Is4() {
			continue
		}
		// The address that was checked, never the name: it may answer otherwise by now.
		conn, err := g.dial(ctx, network, netip.AddrPortFrom(a, uint16(port)).String())
		if err == nil {
			return conn, nil
		}
		last = err
		if ctx.Err() != nil {
			break
		}
	}
	if last == nil {
		last = errors.New("it has no address of this kind")
	}
	return nil, fmt.Errorf("connecting to %s: %w", host, last)
}

// Lookup returns the addresses of host, all of which may be dialled at port.
func (g *Guard) Lookup(ctx context.Context, host string, port uint16) ([]netip.Addr, error) {
	name, literal, err := Host(host)
	if err != nil {
		return nil, err
	}
	found := []netip.Addr{literal}
	if !literal.IsValid() {
		// The dot at its end keeps search domains out.
		if found, err = g.o.Resolver.LookupNetIP(ctx, "ip", name+"."); err != nil {
			return nil, fmt.Errorf("looking up %s: %w", name, err)
		}
		if len(found) == 0 || len(found) > maxAnswers {
			return nil, fmt.Errorf("looking up %s: %d addresses", name, len(found))
		}
	}
	for i, a := range found {
		if err := g.check(name, a, port); err != nil {
			return nil, err
		}
		found[i] = a.Unmap()
	}
	return found, nil
}

// check says why a may not be dialled.
func (g *Guard) check(host string, a netip.Addr, port uint16) error {
	if own, err := g.own(a.Unmap().WithZone(""), port); err != nil || own {
		return &Refused{host, "leads to this deployment itself"}
	}
	why := Why(a)
	if why == "" {
		return nil
	}
	for _, p := range g.o.Networks {
		if a.Zone() == "" && p.Contains(a.Unmap()) {
			return nil
		}
	}
	return &Refused{host, why}
}

// own says that a listener of this deployment is at a.
func (g *Guard) own(a netip.Addr, port uint16) (bool, error) {
	if g.o.Never == nil {
		return false, nil
	}
	for _, l := range g.o.Never() {
		if l.Port() != port {
			continue
		}
		at := l.Addr().Unmap().WithZone("")
		if at == a || a.IsUnspecified() || at.IsLoopback() && a.IsLoopback() {
			return true, nil
		}
		if !at.IsUnspecified() {
			continue
		}
		if a.IsLoopback() {
			return true, nil
		}
		mine, err := net.InterfaceAddrs()
		if err != nil {
			return false, err
		}
		for _, m := range mine {
			if p, err := netip.ParsePrefix(m.String()); err == nil && p.Addr().Unmap().WithZone("") == a {
				return true, nil
			}
		}
	}
	return false, nil
}

// Host reads the host of an address. It returns it in lower case and, where it is
// a number, the address. What two resolvers may read differently is an error.
func Host(host string) (name string, literal netip.Addr, err error) {
	if bare, is := strings.CutPrefix(host, "["); is {
		if bare, is = strings.CutSuffix(bare, "]"); !is || !strings.Contains(bare, ":") {
			return "", netip.Addr{}, errors.New("the host is not a name or an address")
		}
		host = bare
	}
	if strings.Contains(host, ":") {
		a, err := netip.ParseAddr(host)
		if err != nil || a.Zone() != "" {
			return "", netip.Addr{}, errors.New("the host is not an IPv6 address without a zone")
		}
		return a.String(), a, nil
	}
	if host == "" || len(host) > 253 {
		return "", netip.Addr{}, errors.New("the host is empty or too long")
	}
	name = strings.ToLower(host)
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if err := label(l); err != nil {
			return "", netip.Addr{}, err
		}
	}
	last := labels[len(labels)-1]
	if !numeric(last) {
		return name, netip.Addr{}, nil
	}
	// As in the WHATWG URL standard: what ends in a number is an address. Of its
	// forms only the one that everybody reads alike is taken.
	if literal, err = netip.ParseAddr(name); err != nil {
		return "", netip.Addr{}, errors.New("the host is a number that not everybody reads as the same address: write four decimal numbers without leading zeros")
	}
	return name, literal, nil
}

func label(l string) error {
	if l == "" || len(l) > 63 {
		return errors.New("the host has an empty or overlong part: write it without a dot at its end")
	}
	for i := range len(l) {
		c := l[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return errors.New("the host holds a character that names don't have: write names of other scripts in their xn-- form")
		}
	}
	return nil
}

// numeric says that a last label makes the whole a number: decimal, octal or hexadecimal.
func numeric(l string) bool {
	digits := true
	for i := range len(l) {
		digits = digits && l[i] >= '0' && l[i] <= '9'
	}
	if digits {
		return true
	}
	rest, hex := strings.CutPrefix(l, "0x")
	if !hex {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
