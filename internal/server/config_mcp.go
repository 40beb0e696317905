package server

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// An MCPConfig says how clients find an MCP gate.
type MCPConfig struct {
	Resource      string   `yaml:"resource" doc:"Address that clients use, https://…/mcp: what tokens of other issuers must be for (aud). Needed when the gate listens beyond loopback."`
	Authorization []string `yaml:"authorization_servers" doc:"Who issues tokens for it, as clients are told (RFC 9728). Unset: the public URL."`
	Hosts         []string `yaml:"hosts" doc:"Further host names that the gate answers to (the resource's and loopback always do)."`
	Origins       []string `yaml:"origins" doc:"Origins of web pages that may use the gate, besides its own."`
}

// An MCPServerConfig is one MCP server behind a gate.
type MCPServerConfig struct {
	Name      string            `yaml:"name" doc:"Short name: the server is at /mcp/NAME."`
	URL       string            `yaml:"url" doc:"Address of streamable HTTP: https, or http on loopback."`
	CA        string            `yaml:"ca" doc:"Certificate authorities that may sign the server's certificate (PEM). Unset: the system's."`
	Headers   map[string]Secret `yaml:"headers" doc:"Headers with the gate's own credential for the server, such as Authorization. In file: and command: {person} and {actor} stand for who asks."`
	Untrusted string            `yaml:"untrusted" doc:"Everything that this server returns was written by others, and is what: web page, mail, issue."`
}

func (k *checker) mcpGate(at string, g *GateConfig) {
	if len(g.Servers) == 0 {
		k.fail(at+".servers", "is missing", "name at least one server, with name: and url:")
	}
	if g.MCP.Resource != "" {
		if u, err := url.Parse(g.MCP.Resource); err != nil || u.Host == "" || u.Path != "/mcp" || u.RawQuery != "" || u.Scheme != "https" && !isLoopback(u.Hostname()) {
			k.fail(at+".mcp.resource", "is not the address of the gate", "for example https://assent.example.com/mcp")
		}
	} else if g.TLS != nil {
		k.fail(at+".mcp.resource", "is missing", "say by which address clients reach the gate: https://…/mcp")
	}
	seen := map[string]bool{}
	for i := range g.Servers {
		s := &g.Servers[i]
		at := fmt.Sprintf("%s.servers[%d]", at, i)
		if !name.MatchString(s.Name) || strings.Contains(s.Name, "__") || seen[s.Name] {
			k.fail(at+".name", fmt.Sprintf("%q is not a short name of its own", s.Name), "use lower-case letters, digits, '.', '_' and '-', and another name for each; '__' divides server and tool")
		}
		seen[s.Name] = true
		u, err := url.Parse(s.URL)
		switch {
		case s.URL == "":
			k.fail(at+".url", "is missing", "say where the server is: https://…/mcp")
		case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
			k.fail(at+".url", "is not an address", "for example https://mcp.example.com/mcp; credentials belong in headers:")
		case u.Scheme == "http" && !isLoopback(u.Hostname()):
			k.fail(at+".url", "is not encrypted", "use https: what the gate sends holds its credential")
		}
		for name, secret := range s.Headers {
			if !headerName(name) {
				k.fail(at+".headers."+name, "is not a header that may be set", "for example Authorization or X-Api-Key")
			}
			if n := secret.sources(); n != 1 {
				k.fail(at+".headers."+name, fmt.Sprintf("names %d sources", n), "give one of file, env or command")
			}
		}
	}
}

// headerName says whether a server's credential may go in a header of that name:
// not in one of those that HTTP and MCP themselves mean something by.
func headerName(name string) bool {
	lower := strings.ToLower(name)
	if strings.HasPrefix(lower, "mcp-") || slices.Contains([]string{"host", "content-type", "content-length", "accept", "connection", "transfer-encoding", "last-event-id", "te", "upgrade", "trailer"}, lower) {
		return false
	}
	for _, c := range lower {
		if c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
