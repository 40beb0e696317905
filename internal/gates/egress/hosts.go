package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	classify "github.com/assenthq/assent/internal/classify/http"
	"github.com/assenthq/assent/internal/netguard"
)

// Trust of a host: whose it is.
const (
	Internal = "internal" // what is sent there stays with us
	External = "external"
)

// A Host is what the configuration says of the hosts that a pattern names.
type Host struct {
	Pattern   string   // "api.github.com", "*.example.com" (names below it, not itself), an address, or "*"
	Ports     []int    // that may be asked for; none: 443, and 80 where Plain
	Plain     bool     // http:// is passed on unencrypted
	Blind     bool     // tunnelled without a look inside
	Trust     string   // Internal or External; "": External
	Methods   []string // that may be used; none: all but TRACE and CONNECT
	Routine   bool     // reading from it is ordinary work
	Untrusted string   // what others wrote there; "": "web page" of an external host
	Ours      bool     // nothing there was written by others, whatever Untrusted says
	// Networks are where it may be besides public addresses, and Addresses where it
	// is, in place of what a resolver says.
	Networks  []netip.Prefix
	Addresses []netip.AddrPort
	Map       *classify.Mapping // what requests do there; nil: by method alone
	Upstream  *Upstream

	paths    []string // of a shipped registry: what of it is packages
	registry string   // its name; "": not one
}

// A table finds what the configuration says of a host.
type table struct {
	exact  map[string]*Host
	suffix []*Host // "*.…", the longest first
	any    *Host
}

func newTable(hosts []Host) (*table, error) {
	t := &table{exact: map[string]*Host{}}
	for i := range hosts {
		h := &hosts[i]
		if err := t.add(h); err != nil {
			return nil, fmt.Errorf("host %s: %w", h.Pattern, err)
		}
	}
	slices.SortStableFunc(t.suffix, func(a, b *Host) int { return len(b.Pattern) - len(a.Pattern) })
	return t, nil
}

func (t *table) add(h *Host) error {
	if h.Pattern == "*" {
		if t.any != nil {
			return errors.New("stands twice")
		}
		t.any = h
		return nil
	}
	name, err := CheckPattern(h.Pattern)
	if err != nil {
		return err
	}
	h.Pattern = name
	if strings.HasPrefix(name, "*.") {
		if slices.ContainsFunc(t.suffix, func(o *Host) bool { return o.Pattern == name }) {
			return errors.New("stands twice")
		}
		t.suffix = append(t.suffix, h)
		return nil
	}
	if t.exact[name] != nil {
		return errors.New("stands twice")
	}
	t.exact[name] = h
	return nil
}

// CheckPattern returns a pattern in lower case. An error says what is wrong with it.
func CheckPattern(p string) (string, error) {
	if p == "*" {
		return p, nil
	}
	rest, wild := strings.CutPrefix(p, "*.")
	name, literal, err := netguard.Host(rest)
	if err != nil {
		return "", err
	}
	if !wild {
		return name, nil
	}
	if literal.IsValid() {
		return "", errors.New("an address has no names below it")
	}
	if !strings.Contains(name, ".") {
		return "", errors.New("all of a top-level domain: name the domains below it")
	}
	return "*." + name, nil
}

// find returns what is said of a host; nil: nothing.
func (t *table) find(name string) *Host {
	if h := t.exact[name]; h != nil {
		return h
	}
	for _, h := range t.suffix {
		if strings.HasSuffix(name, h.Pattern[1:]) {
			return h
		}
	}
	return t.any
}

// takes says that a port may be asked for.
func (h *Host) takes(port int, plain bool) bool {
	if len(h.Ports) > 0 {
		return slices.Contains(h.Ports, port)
	}
	return port == 443 && !plain || port == 80
}

// allows says that a method may be used.
func (h *Host) allows(method string) bool {
	return len(h.Methods) == 0 || slices.Contains(h.Methods, method) || method == "HEAD" && slices.Contains(h.Methods, "GET")
}

func (h *Host) external() bool { return h.Trust != Internal }

// wrote is what others wrote at a host.
func (h *Host) wrote() string {
	switch {
	case h.Ours || h.registry != "" && h.Untrusted == "":
		return ""
	case h.Untrusted != "":
		return h.Untrusted
	case h.external():
		return "web page"
	}
	return ""
}

// Registries are the package registries that the gate knows, by name. Reading a package from them
// is routine. The last column is what of a host is packages and their index; the rest of it is as any
// host's.
func registries() []struct {
	name, host string
	plain      bool
	paths      []string
} {
	type r = struct {
		name, host string
		plain      bool
		paths      []string
	}
	return []r{
		{"pypi", "pypi.org", false, []string{"/simple/", "/pypi/"}},
		{"pypi", "files.pythonhosted.org", false, []string{"/packages/"}},
		{"npm", "registry.npmjs.org", false, []string{"/"}},
		{"npm", "registry.yarnpkg.com", false, []string{"/"}},
		{"go", "proxy.golang.org", false, []string{"/"}},
		{"go", "sum.golang.org", false, []string{"/"}},
		{"crates", "index.crates.io", false, []string{"/"}},
		{"crates", "static.crates.io", false, []string{"/"}},
		{"crates", "crates.io", false, []string{"/api/v1/crates/"}},
		{"maven", "repo1.maven.org", false, []string{"/maven2/"}},
		{"maven", "repo.maven.apache.org", false, []string{"/maven2/"}},
		{"debian", "deb.debian.org", true, []string{"/debian/", "/debian-security/"}},
		{"debian", "security.debian.org", true, []string{"/debian-security/", "/debian/"}},
	}
}

// RegistryNames are the registries that the gate knows.
func RegistryNames() (out []string) {
	for _, r := range registries() {
		if !slices.Contains(out, r.name) {
			out = append(out, r.name)
		}
	}
	return out
}

// Registries are hosts of these names; where own speaks of one of them itself, that counts.
func Registries(names []string, own []Host) (out []Host) {
	for _, r := range registries() {
		mine := slices.ContainsFunc(own, func(h Host) bool { return strings.EqualFold(h.Pattern, r.host) })
		if slices.Contains(names, r.name) && !mine {
			out = append(out, Host{Pattern: r.host, Plain: r.plain, Trust: External, Methods: []string{"GET", "HEAD"}, registry: r.name, paths: r.paths})
		}
	}
	return out
}

// maxPackagePath is how long the path of a package may be and still be one.
const maxPackagePath = 512

// packages says that a path of a registry is of a package: an index, an archive, a signature. What
// carries a query, or more than a name and a version have room for, is judged as any request is.
func (h *Host) packages(method, path, query string) bool {
	if h.registry == "" || query != "" || len(path) > maxPackagePath || method != "GET" && method != "HEAD" {
		return false
	}
	return slices.ContainsFunc(h.paths, func(p string) bool { return strings.HasPrefix(path, p) })
}
