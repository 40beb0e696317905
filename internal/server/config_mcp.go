package server

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	classify "github.com/assenthq/assent/internal/classify/mcp"
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
	Command   []string          `yaml:"command" doc:"Instead of url: starts the server (argv, no shell), which speaks over standard input and output; one process for each conversation."`
	Dir       string            `yaml:"dir" doc:"Of command: its working directory."`
	Env       map[string]string `yaml:"env" doc:"Of command: its environment. It gets nothing else but PATH."`
	SecretEnv map[string]Secret `yaml:"secret_env" doc:"Of command: variables with credentials. In file: and command: {person} and {actor} stand for who asks."`
	Tunnel    bool              `yaml:"tunnel" doc:"Instead of url: the client starts the server where it is, with assent mcp --server NAME -- COMMAND."`
	Untrusted string            `yaml:"untrusted" doc:"Everything that this server returns was written by others, and is what: web page, mail, issue."`
	Kind      string            `yaml:"kind" doc:"What server it is, by your word: github, filesystem, postgres, … (docs/mcp-tools.md lists them). Its tools are then known by the shipped table."`
	Trust     string            `yaml:"trust" doc:"annotations: what the server itself says of its tools is believed where nobody mapped them. Unset: it only tightens."`
	Pin       string            `yaml:"pin" default:"first" doc:"first: the first definition of a tool is relied on, and another one is held. review: a tool is held until an administrator releases it."`
	Held      string            `yaml:"held" default:"hide" doc:"hide: a held tool is left out of lists. show: it is listed with a text that says it is held."`
	Allow     []string          `yaml:"allow" doc:"Names or patterns of the tools that may be listed and called. Unset: all."`
	Deny      []string          `yaml:"deny" doc:"Names or patterns of tools that are left out and refused. Goes before allow."`
	Tools     []MCPToolConfig   `yaml:"tools" doc:"What its tools do, by your word; it goes before the shipped table."`
}

// An MCPToolConfig says what the tools of some names do.
type MCPToolConfig struct {
	Tool       string   `yaml:"tool" doc:"Name, or pattern with * and ?. An exact name goes before a pattern, a longer pattern before a shorter one."`
	Kinds      []string `yaml:"kinds" doc:"Kinds of action that a call is."`
	SQL        []string `yaml:"sql" doc:"Arguments that hold SQL, which is judged besides."`
	Shell      []string `yaml:"shell" doc:"Arguments that hold a command, which is judged besides."`
	Reads      []string `yaml:"reads" doc:"Arguments that name a file that is read."`
	Writes     []string `yaml:"writes" doc:"Arguments that name a file that is written."`
	URLs       []string `yaml:"urls" doc:"Arguments that hold an address that is fetched."`
	To         []string `yaml:"to" doc:"Arguments that say to whom something goes. A call that gives one is message.send too, and context.intent_named_target is whether the prompt named them all."`
	On         []string `yaml:"on" doc:"Arguments that say what it is done to. What is given in them has to be named for context.intent_named_target too."`
	Reversible bool     `yaml:"reversible" doc:"What they do can be undone."`
	Untrusted  bool     `yaml:"untrusted" doc:"What they return was written by others."`
}

// classed is the server as the classifier knows it.
func (m *MCPServerConfig) classed() classify.Server {
	out := classify.Server{Name: m.Name, Kind: m.Kind, Trusted: m.Trust == "annotations"}
	for _, t := range m.Tools {
		r := classify.Rule{Tool: t.Tool, SQL: t.SQL, Shell: t.Shell, Reads: t.Reads, Writes: t.Writes, URLs: t.URLs, To: t.To, On: t.On, Reversible: t.Reversible, Untrusted: t.Untrusted}
		for _, kind := range t.Kinds {
			r.Kinds = append(r.Kinds, action.Kind(kind))
		}
		out.Rules = append(out.Rules, r)
	}
	return out
}

func (k *checker) mcpGate(at string, g *GateConfig) {
	if len(g.Servers) == 0 {
		k.fail(at+".servers", "is missing", "name at least one server, with name: and url: or command:")
	}
	if g.MCP.Resource != "" {
		if u, err := url.Parse(g.MCP.Resource); err != nil || u.Host == "" || u.Path != "/mcp" || u.RawQuery != "" || u.Scheme != "https" && !isLoopback(u.Hostname()) {
			k.fail(at+".mcp.resource", "is not the address of the gate", "for example https://assent.example.com/mcp")
		}
	} else if g.TLS != nil {
		k.fail(at+".mcp.resource", "is missing", "say by which address clients reach the gate: https://…/mcp")
	}
	seen := map[string]bool{}
	tools, err := classify.New(classify.Options{})
	if err != nil {
		k.fail(at, err.Error(), "")
		return
	}
	for i := range g.Servers {
		s := &g.Servers[i]
		at := fmt.Sprintf("%s.servers[%d]", at, i)
		if !name.MatchString(s.Name) || strings.Contains(s.Name, "__") || seen[s.Name] {
			k.fail(at+".name", fmt.Sprintf("%q is not a short name of its own", s.Name), "use lower-case letters, digits, '.', '_' and '-', and another name for each; '__' divides server and tool")
		}
		seen[s.Name] = true
		k.mcpWay(at, s)
		classed := s.classed()
		if err := tools.Check(&classed); err != nil {
			k.fail(at, err.Error(), "docs/mcp-tools.md has an example")
		}
		if s.Trust != "" && s.Trust != "annotations" {
			k.fail(at+".trust", fmt.Sprintf("%q", s.Trust), "write annotations, or leave it out")
		}
		if s.Pin != "" && s.Pin != "first" && s.Pin != "review" {
			k.fail(at+".pin", fmt.Sprintf("%q", s.Pin), "write first or review")
		}
		if s.Held != "" && s.Held != "hide" && s.Held != "show" {
			k.fail(at+".held", fmt.Sprintf("%q", s.Held), "write hide or show")
		}
		for name := range s.Headers {
			if !headerName(name) {
				k.fail(at+".headers."+name, "is not a header that may be set", "for example Authorization or X-Api-Key")
			}
		}
		k.secrets(at+".headers", s.Headers)
		k.secrets(at+".secret_env", s.SecretEnv)
	}
}

func (k *checker) secrets(at string, of map[string]Secret) {
	for name, secret := range of {
		if n := secret.sources(); n != 1 {
			k.fail(at+"."+name, fmt.Sprintf("names %d sources", n), "give one of file, env or command")
		}
	}
}

// mcpWay checks how a server is reached.
func (k *checker) mcpWay(at string, s *MCPServerConfig) {
	ways := 0
	for _, is := range []bool{s.URL != "", len(s.Command) > 0, s.Tunnel} {
		if is {
			ways++
		}
	}
	if ways != 1 {
		k.fail(at, "is reached in "+fmt.Sprint(ways)+" ways", "give one of url, command or tunnel")
	}
	if s.URL == "" && len(s.Headers) > 0 {
		k.fail(at+".headers", "are of a server with a url", "use secret_env")
	}
	if len(s.Command) == 0 && len(s.Env)+len(s.SecretEnv) > 0 {
		k.fail(at+".env", "is of a server with a command", "give command, or leave it out")
	}
	if s.URL == "" {
		return
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		k.fail(at+".url", "is not an address", "for example https://mcp.example.com/mcp; credentials belong in headers:")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		k.fail(at+".url", "is not encrypted", "use https: what the gate sends holds its credential")
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
