package server

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/assenthq/assent/internal/gates/egress"
)

// EgressConfig is the hosts that an egress gate leads to.
type EgressConfig struct {
	Hosts      []EgressHostConfig `yaml:"hosts" doc:"Hosts that agents may ask for, and what is known of them."`
	Registries []string           `yaml:"registries" doc:"Package registries whose packages may be read: pypi, npm, go, crates, maven, debian; none for none of them. Unset: all." default:"all"`
	Unmatched  string             `yaml:"unmatched" doc:"What is asked of a host on no list: deny, or review, and policy decides." default:"deny"`
	Networks   []string           `yaml:"networks" doc:"Networks (CIDR) that any listed host may be in besides public addresses: private ones are refused otherwise."`
	CA         string             `yaml:"ca" doc:"Certificate authorities that may sign the certificates of hosts (PEM), in place of the system's."`
	Tunnels    int                `yaml:"tunnels" doc:"Tunnels that one credential may have open." default:"256"`
}

// An EgressHostConfig is one host, or those that a pattern names.
type EgressHostConfig struct {
	Host      string   `yaml:"host" doc:"Name, *.NAME for the names below it, address, or * for all. The most exact one counts."`
	Ports     []int    `yaml:"ports" doc:"Ports that may be asked for." default:"443, and 80 with plain"`
	Plain     bool     `yaml:"plain" doc:"Requests for http:// are passed on too, unencrypted." default:"false"`
	Inspect   *bool    `yaml:"inspect" doc:"false: what is in TLS is not looked into, for clients that pin certificates. The tunnel is one action, and all in it is unscanned." default:"true"`
	Trust     string   `yaml:"trust" doc:"internal or external: whether what is sent there leaves." default:"external"`
	Methods   []string `yaml:"methods" doc:"Methods that may be used. GET includes HEAD. Unset: all."`
	Routine   bool     `yaml:"routine" doc:"Reading from it is ordinary work: action.routine is true." default:"false"`
	Untrusted string   `yaml:"untrusted" doc:"What others wrote there, and what: web page, mail, issue; none where nobody did." default:"web page, of an external host"`
	Map       string   `yaml:"map" doc:"File that says what requests do there (docs/http-mapping.md). Unset: by method."`
	Networks  []string `yaml:"networks" doc:"Networks (CIDR) that it may be in besides public addresses."`
	Addresses []string `yaml:"addresses" doc:"Where it is (address:port), in place of what the resolver says."`
	CA        string   `yaml:"ca" doc:"Certificate authorities that may sign its certificate (PEM), in place of the gate's."`
}

func (k *checker) egressGate(at string, g *GateConfig) {
	if u := g.Upstream; u.Host != "" || u.Database != "" || u.User != "" || u.Password.sources() > 0 {
		k.fail(at+".upstream", "an egress gate has none", "list hosts under egress.hosts")
	}
	k.noActors(at, g)
	e := g.Egress
	if e == nil {
		return
	}
	at += ".egress"
	if e.Unmatched != "" && e.Unmatched != "deny" && e.Unmatched != "review" {
		k.fail(at+".unmatched", fmt.Sprintf("%q", e.Unmatched), "write deny or review")
	}
	if e.Tunnels < 0 {
		k.fail(at+".tunnels", "is negative", "leave it out for 256")
	}
	for i, r := range e.Registries {
		if !slices.Contains(egress.RegistryNames(), r) && (r != "none" || len(e.Registries) > 1) {
			k.fail(fmt.Sprintf("%s.registries[%d]", at, i), fmt.Sprintf("%q is not a registry that is known", r), "write some of "+strings.Join(egress.RegistryNames(), ", ")+", or none alone")
		}
	}
	k.networks(at+".networks", e.Networks)
	seen := map[string]bool{}
	for i := range e.Hosts {
		k.egressHost(fmt.Sprintf("%s.hosts[%d]", at, i), &e.Hosts[i], seen)
	}
}

func (k *checker) egressHost(at string, h *EgressHostConfig, seen map[string]bool) {
	pattern, err := egress.CheckPattern(h.Host)
	if err != nil {
		k.fail(at+".host", err.Error(), "for example api.github.com, *.example.com or 10.0.0.5")
	} else if seen[pattern] {
		k.fail(at+".host", fmt.Sprintf("%q stands twice", h.Host), "say all of it in one entry")
	}
	seen[pattern] = true
	if h.Trust != "" && h.Trust != egress.Internal && h.Trust != egress.External {
		k.fail(at+".trust", fmt.Sprintf("%q", h.Trust), "write internal or external")
	}
	for i, p := range h.Ports {
		if p < 1 || p > 65535 {
			k.fail(fmt.Sprintf("%s.ports[%d]", at, i), "is no port", "write a number between 1 and 65535")
		}
	}
	for i, m := range h.Methods {
		if m == "" || m != strings.ToUpper(m) || m == "CONNECT" || m == "TRACE" || strings.ContainsFunc(m, func(r rune) bool { return (r < 'A' || r > 'Z') && r != '-' }) {
			k.fail(fmt.Sprintf("%s.methods[%d]", at, i), fmt.Sprintf("%q is not a method that is passed on", m), "write it in capitals: GET, POST")
		}
	}
	if h.blind() && (h.Plain || len(h.Methods) > 0) {
		k.fail(at+".inspect", "nothing can be said of what is not looked into", "leave plain and methods out, or inspect")
	}
	k.networks(at+".networks", h.Networks)
	for i, a := range h.Addresses {
		if p, err := netip.ParseAddrPort(a); err != nil || p.Port() == 0 {
			k.fail(fmt.Sprintf("%s.addresses[%d]", at, i), fmt.Sprintf("%q is not an address and a port", a), "for example 10.0.0.5:443 or [fd00::5]:443")
		}
	}
	if len(h.Addresses) > 0 && strings.HasPrefix(h.Host, "*") {
		k.fail(at+".addresses", "are those of one host", "name the host")
	}
}

func (h *EgressHostConfig) blind() bool { return h.Inspect != nil && !*h.Inspect }

func (k *checker) networks(at string, list []string) {
	for i, n := range list {
		if _, err := netip.ParsePrefix(n); err != nil {
			k.fail(fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("%q is not a network", n), "for example 10.0.0.0/8 or fd00::/8")
		}
	}
}
