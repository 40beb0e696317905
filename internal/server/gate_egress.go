package server

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/api"
	classify "github.com/assenthq/assent/internal/classify/http"
	"github.com/assenthq/assent/internal/gates/egress"
	"github.com/assenthq/assent/internal/netguard"
)

// egressKeyFile is what the roots of egress gates follow from.
func (c *Config) egressKeyFile() string { return filepath.Join(c.keysDir(), "egress.key") }

// hasEgress says whether a gate needs the authority.
func (c *Config) hasEgress() bool {
	for i := range c.Gates {
		if c.Gates[i].Type == "egress" {
			return true
		}
	}
	return false
}

// egressAuthority reads the key of the authority, or makes it.
func egressAuthority(c *Config) (*egress.CA, error) {
	file := c.egressKeyFile()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, fmt.Errorf("making the key directory: %w", err)
	}
	key, err := loadKey(file, true)
	if errors.Is(err, fs.ErrExist) { // another made it meanwhile
		key, err = loadKey(file, false)
	}
	if err != nil {
		return nil, err
	}
	return egress.NewCA(key, origin(c), nil)
}

// makeAuthority makes the authority of egress gates, the same one at every node.
func (s *Server) makeAuthority(ctx context.Context) error {
	if !s.cfg.hasEgress() {
		return nil
	}
	var err error
	if s.authority, err = egressAuthority(s.cfg); err != nil || s.shared == nil {
		return err
	}
	text, err := os.ReadFile(s.cfg.egressKeyFile())
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	mine := check(key, "egress")
	kept, err := s.shared.FirstSetting(ctx, keyChecks+"-egress", []byte(mine))
	if err != nil {
		return err
	}
	if string(kept) != mine {
		return fmt.Errorf("%s is not this deployment's: programs would trust the authority of one node and not of another; copy the file of a node that serves", s.cfg.egressKeyFile())
	}
	return nil
}

func egressGate(s *Server, g *GateConfig) (runningGate, error) {
	client, err := s.clientTLS(g.TLS)
	if err != nil {
		return runningGate{}, err
	}
	c := g.Egress
	if c == nil {
		c = &EgressConfig{}
	}
	guard := netguard.New(netguard.Options{Networks: prefixes(c.Networks), Never: s.listeners})
	roots, err := s.rootsOf(c.CA)
	if err != nil {
		return runningGate{}, err
	}
	o := egress.Config{
		Name: g.Name, Authority: s.enforcer.Gate(g.Name, resourceOf(g), systemOf(g)), CA: s.authority, Review: c.Unmatched == "review", Others: egress.NewUpstream(guard, roots, nil),
		Bodies: s.bodies, Classes: s.classesIn, TLS: client, Tunnels: c.Tunnels, Refused: s.refusedAt(g), Log: s.log,
	}
	for i := range c.Hosts {
		h, err := s.egressHost(guard, roots, &c.Hosts[i])
		if err != nil {
			return runningGate{}, fmt.Errorf("host %s: %w", c.Hosts[i].Host, err)
		}
		o.Hosts = append(o.Hosts, h)
	}
	names := c.Registries
	if len(names) == 0 {
		names = egress.RegistryNames()
	}
	for _, h := range egress.Registries(names, o.Hosts) {
		h.Upstream = o.Others
		o.Hosts = append(o.Hosts, h)
	}
	one, err := egress.New(o)
	if err != nil {
		return runningGate{}, err
	}
	return runningGate{serve: one.Serve}, nil
}

func (s *Server) egressHost(guard *netguard.Guard, roots *x509.CertPool, c *EgressHostConfig) (egress.Host, error) {
	h := egress.Host{
		Pattern: c.Host, Ports: c.Ports, Plain: c.Plain, Blind: c.blind(), Trust: c.Trust, Methods: c.Methods, Routine: c.Routine,
		Untrusted: c.Untrusted, Networks: prefixes(c.Networks),
	}
	if h.Trust == "" {
		h.Trust = egress.External
	}
	if h.Untrusted == "none" {
		h.Untrusted, h.Ours = "", true
	}
	if c.Map != "" {
		var err error
		if h.Map, err = classify.Load(s.cfg.path(c.Map)); err != nil {
			return h, err
		}
	}
	for _, a := range c.Addresses {
		at, err := netip.ParseAddrPort(a)
		if err != nil {
			return h, err
		}
		h.Addresses = append(h.Addresses, at)
	}
	own := h.Networks
	if a, err := netip.ParseAddr(c.Host); err == nil { // it is listed itself
		own = append(own, netip.PrefixFrom(a, a.BitLen()))
	}
	if c.CA != "" {
		var err error
		if roots, err = s.rootsOf(c.CA); err != nil {
			return h, err
		}
	}
	h.Upstream = egress.NewUpstream(guard.With(own...), roots, h.Addresses)
	return h, nil
}

// prefixes are networks that were checked.
func prefixes(list []string) (out []netip.Prefix) {
	for _, n := range list {
		if p, err := netip.ParsePrefix(n); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// rootsOf reads authorities; nil: the system's.
func (s *Server) rootsOf(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(s.cfg.path(file))
	if err != nil {
		return nil, fmt.Errorf("reading ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca: %s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// classesIn are the classes that a text shows.
func (s *Server) classesIn(text string) (out []string) {
	f := s.detect.FindString(text)
	defer f.Free()
	for _, one := range f.List {
		out = append(out, string(one.Class))
	}
	return out
}

// listeners are where this deployment listens: nobody is led there through a gate.
func (s *Server) listeners() (out []netip.AddrPort) {
	add := func(l net.Listener) {
		if l == nil {
			return
		}
		if a, err := netip.ParseAddrPort(l.Addr().String()); err == nil {
			out = append(out, a)
		}
	}
	add(s.listener)
	if a, err := netip.ParseAddrPort(s.connectorsAt); err == nil {
		out = append(out, a)
	}
	for _, g := range s.gates {
		add(g.listener)
	}
	return out
}

// egressOf is where programs find a gate of outgoing HTTP; nil where there is none.
func (s *Server) egressOf() *api.Egress {
	for _, g := range s.gates {
		addr := s.GateAddr(g.cfg.Name)
		if g.cfg.Type != "egress" || addr == "" || s.authority == nil {
			continue
		}
		text, err := s.egressCA()
		if err != nil {
			s.log.Error("the authority of the egress gate", "err", err)
			return nil
		}
		u := url.URL{Scheme: "http", Host: addr}
		if g.cfg.TLS != nil {
			u.Scheme = "https"
		}
		host, port, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() { // it listens everywhere: it is where the server is
			if public, err := url.Parse(s.cfg.PublicURL); err == nil {
				u.Host = net.JoinHostPort(public.Hostname(), port)
			}
		}
		return &api.Egress{Proxy: u.String(), CA: string(text)}
	}
	return nil
}

// egressCA is the certificates of the authority; nil where there is none.
func (s *Server) egressCA() ([]byte, error) {
	if s.authority == nil {
		return nil, nil
	}
	return s.authority.PEM()
}

// EgressCA is the certificates that programs behind the egress gates of a deployment trust.
func EgressCA(c *Config) ([]byte, error) {
	ca, err := egressAuthority(c)
	if err != nil {
		return nil, err
	}
	return ca.PEM()
}

// EgressHosts are hosts that the egress gates of a configuration lead to by name, as host:port.
func EgressHosts(c *Config) (out []string) {
	for i := range c.Gates {
		if c.Gates[i].Type != "egress" || c.Gates[i].Egress == nil {
			continue
		}
		for _, h := range c.Gates[i].Egress.Hosts {
			if strings.Contains(h.Host, "*") {
				continue
			}
			if len(h.Addresses) > 0 {
				out = append(out, h.Addresses[0])
				continue
			}
			port := 443
			if len(h.Ports) > 0 {
				port = h.Ports[0]
			}
			out = append(out, net.JoinHostPort(h.Host, strconv.Itoa(port)))
		}
	}
	return out
}
