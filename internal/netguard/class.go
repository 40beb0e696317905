package netguard

import "net/netip"

// A block is a range of addresses that is not of the public internet.
type block struct {
	prefix netip.Prefix
	why    string
}

// blocks is IANA's registries of special-purpose addresses, as far as they are not
// globally reachable, with the ranges that hold an IPv4 address inside: those are
// refused whole, since what they lead to depends on who translates.
func blocks() []block {
	return []block{
		{netip.MustParsePrefix("0.0.0.0/8"), "is an address of this host itself"},
		{netip.MustParsePrefix("10.0.0.0/8"), private},
		{netip.MustParsePrefix("100.64.0.0/10"), "is a provider's shared address (RFC 6598)"},
		{netip.MustParsePrefix("127.0.0.0/8"), loopback},
		{netip.MustParsePrefix("169.254.0.0/16"), linkLocal},
		{netip.MustParsePrefix("172.16.0.0/12"), private},
		{netip.MustParsePrefix("192.0.0.0/24"), reserved},
		{netip.MustParsePrefix("192.0.2.0/24"), reserved},
		{netip.MustParsePrefix("192.31.196.0/24"), reserved},
		{netip.MustParsePrefix("192.52.193.0/24"), reserved},
		{netip.MustParsePrefix("192.88.99.0/24"), reserved},
		{netip.MustParsePrefix("192.168.0.0/16"), private},
		{netip.MustParsePrefix("192.175.48.0/24"), reserved},
		{netip.MustParsePrefix("198.18.0.0/15"), reserved},
		{netip.MustParsePrefix("198.51.100.0/24"), reserved},
		{netip.MustParsePrefix("203.0.113.0/24"), reserved},
		{netip.MustParsePrefix("224.0.0.0/4"), "is a multicast address"},
		{netip.MustParsePrefix("240.0.0.0/4"), reserved},
		// A public address that answers only inside Azure.
		{netip.MustParsePrefix("168.63.129.16/32"), "is a cloud's metadata service"},

		{netip.MustParsePrefix("::/96"), "is the unspecified, the loopback or an IPv4-compatible address"},
		{netip.MustParsePrefix("64:ff9b::/96"), translated},
		{netip.MustParsePrefix("64:ff9b:1::/48"), translated},
		{netip.MustParsePrefix("2001::/23"), "is a Teredo or another special address"},
		{netip.MustParsePrefix("2001:db8::/32"), reserved},
		{netip.MustParsePrefix("2002::/16"), translated},
		{netip.MustParsePrefix("3fff::/20"), reserved},
		{netip.MustParsePrefix("fc00::/7"), private},
		{netip.MustParsePrefix("fe80::/10"), linkLocal},
		{netip.MustParsePrefix("ff00::/8"), "is a multicast address"},
	}
}

const (
	loopback   = "is a loopback address"
	linkLocal  = "is a link-local address, where clouds keep their metadata service"
	private    = "is an address of a private network"
	reserved   = "is a reserved address"
	translated = "holds an IPv4 address that a translator would reach (NAT64, 6to4)"
)

// public is what of IPv6 is given out at all.
func public() netip.Prefix { return netip.MustParsePrefix("2000::/3") }

// table is made once: blocks are read for every connection.
var table, global = blocks(), public()

// Why says why a is not an address of the public internet; "" where it is one.
func Why(a netip.Addr) string {
	if !a.IsValid() {
		return "is no address"
	}
	if a.Zone() != "" {
		return linkLocal
	}
	a = a.Unmap() // ::ffff:a.b.c.d is dialled as a.b.c.d
	for _, b := range table {
		if b.prefix.Contains(a) {
			return b.why
		}
	}
	if a.Is6() && !global.Contains(a) {
		return reserved
	}
	return ""
}
