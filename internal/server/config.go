package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"golang.org/x/text/language"

	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/policy"
)

// Config is assent.yaml. Its zero value, with Data set, is a working server without gates.
type Config struct {
	Data           string                `yaml:"data" doc:"Data directory: database, keys, log. One process at a time." default:"./assent-data"`
	Store          *StoreConfig          `yaml:"store" doc:"PostgreSQL database that several replicas share. None: SQLite in the data directory, for one process."`
	Node           string                `yaml:"node" doc:"Name of this replica among those that share a store. Needed with store:, and different on each. Unset: the variable ASSENT_NODE."`
	Keys           string                `yaml:"keys" doc:"Directory of the keys. All replicas need the same ones. Default: keys in the data directory."`
	Listen         string                `yaml:"listen" doc:"Address of console and API. Of a gate process: of /healthz, /readyz and /metrics, nowhere unless set." default:"127.0.0.1:8720"`
	PublicURL      string                `yaml:"public_url" doc:"How people reach the console; links in notices and cards start with it." default:"http://localhost and the port of listen"`
	Hosts          []string              `yaml:"hosts" doc:"Further host names the console and API answer to (the public URL's and loopback always do)."`
	TLS            *KeyPair              `yaml:"tls" doc:"Certificate for console and API. Required when they listen beyond loopback."`
	Policy         []string              `yaml:"policy" doc:"Policy pack files or directories, relative to this file, and packs of the program (builtin:NAME; docs/packs.md). None: builtin:default."`
	PolicyLocked   bool                  `yaml:"policy_locked" doc:"Only a policy that was applied under approval may be in force: with other files on disk the server does not start." default:"false"`
	PolicyScopes   []PolicyScope         `yaml:"policy_scopes" doc:"What packs may speak for: a rule of theirs that could match anything else is not loaded."`
	BreakGlass     BreakGlassConfig      `yaml:"break_glass" doc:"Who may let one actor's actions run without waiting in an emergency. Nobody unless set."`
	Unmask         UnmaskConfig          `yaml:"unmask" doc:"Who may look at one masked value of a statement they may review. Nobody unless set."`
	Vault          VaultConfig           `yaml:"vault" doc:"Who may read back the values that policy keeps behind tokens. Nobody unless set."`
	Default        map[string]string     `yaml:"default" doc:"Verdict for an environment when no rule matches: deny (unless set) or review."`
	Admins         []string              `yaml:"admins" doc:"Groups whose members administer: changes of policy and settings take another of them, from the second one on." default:"admins"`
	Issuers        []IssuerConfig        `yaml:"issuers" doc:"OpenID providers that people sign in through. None: by one-time link, or a reviewer's token."`
	People         []PersonConfig        `yaml:"people" doc:"Who may review and on whose behalf agents act."`
	Groups         GroupMap              `yaml:"groups" doc:"Groups that policy packs name (without group:), with people and groups of issuers in them."`
	OnCall         []OnCallConfig        `yaml:"oncall" doc:"Groups whose member changes by schedule."`
	Actors         []ActorConfig         `yaml:"actors" doc:"Agents, pipelines and services that may ask."`
	Workloads      []WorkloadConfig      `yaml:"workloads" doc:"Foreign tokens that actors may exchange for one of ours at /oauth/token: of pipelines, Kubernetes, SPIFFE."`
	DecisionPoints []DecisionPointConfig `yaml:"decision_points" doc:"Policy decision points that others run, such as OPA, and that may tighten what policy says (docs/decision-points.md)."`
	Gates          []GateConfig          `yaml:"gates" doc:"Enforcement points, one for each system."`
	Remote         *RemoteConfig         `yaml:"remote" doc:"Where gates that run in processes of their own come in (docs/remote-gates.md). Nowhere unless set."`
	Control        string                `yaml:"control" doc:"Of a gate process (assent gate): address of its control plane's remote.listen, host:port. All but gates, data, limits.spool_bytes and log is the control plane's then."`
	Connectors     *ConnectorsConfig     `yaml:"connectors" doc:"Where connectors come to, through which gates reach systems in other networks (docs/connectors.md). None unless set."`
	Canaries       CanariesConfig        `yaml:"canaries" doc:"Holds that nobody asked for and that should be denied, to see whether cards are read (docs/reviewers.md). None unless set."`
	Channels       []ChannelConfig       `yaml:"channels" doc:"Where people are told and asked besides the console."`
	Streams        []StreamConfig        `yaml:"streams" doc:"Where the audit log is handed on while it is written: syslog, a webhook, OpenTelemetry (docs/streams.md)."`
	Trace          *TraceConfig          `yaml:"trace" doc:"Where OpenTelemetry's spans of what became of each action are sent (docs/tracing.md). None unless set."`
	Languages      map[string]string     `yaml:"languages" doc:"Catalogues of the console's sentences in other languages, by language tag: a JSON file each, relative to this one (docs/languages.md)."`
	Columns        map[string]string     `yaml:"columns" doc:"Catalogue: table.column and the class its values have, whatever they look like."`
	Detect         DetectConfig          `yaml:"detect" doc:"How sensitive data is looked for (docs/detection.md)."`
	Limits         Limits                `yaml:"limits" doc:"Bounds on what may wait and flow."`
	Facts          FactsConfig           `yaml:"facts" doc:"What decisions were made from, kept so that another policy can be replayed over it (docs/replay.md)."`
	Audit          AuditConfig           `yaml:"audit" doc:"Who sees that the audit log only grows (docs/audit-log.md)."`
	Log            LogConfig             `yaml:"log" doc:"The process's own log, not the audit log."`

	ClientCA     string              `yaml:"client_ca" doc:"Certificate authorities whose client certificates count (PEM): at the API and at gates that have tls."`
	Certificates []CertificateConfig `yaml:"certificates" doc:"Which client certificates stand for which actor."`

	file string // where it was read from; paths are relative to its directory
}

// PolicyScope holds packs to what is theirs.
type PolicyScope struct {
	Packs string              `yaml:"packs" doc:"File or directory of packs, as policy names it, or below."`
	Scope map[string][]string `yaml:"scope" doc:"Where they may speak, in the words of match in a pack: resource, env, kind, actor, type and so on, each with a list. Every key must hold."`
}

// limits are the scopes as the loader of packs takes them. Packs are called as the
// configuration does, or by where they lie.
func (c *Config) limits() []policy.Limit {
	var out []policy.Limit
	for _, p := range c.PolicyScopes {
		out = append(out, policy.Limit{Packs: []string{filepath.Clean(p.Packs), c.path(p.Packs)}, Scope: p.Scope})
	}
	return out
}

// BreakGlassConfig says who may break the glass, and what follows.
type BreakGlassConfig struct {
	Groups       []string      `yaml:"groups" doc:"Groups whose members may."`
	Longest      time.Duration `yaml:"longest" doc:"How long one emergency lasts at most." default:"1h"`
	ReviewWithin time.Duration `yaml:"review_within" doc:"Time from its end in which somebody else reviews it; otherwise who broke the glass and the actor are frozen." default:"24h"`
	Assurance    string        `yaml:"assurance" doc:"How who breaks the glass, and who reviews it, must be signed in: console, or token, which a command line has and an agent beside it may use." default:"console"`
}

// UnmaskConfig says who may look at masked values.
type UnmaskConfig struct {
	Groups []string `yaml:"groups" doc:"Groups whose members may, one value at a time, with a reason, each look a record."`
}

// VaultConfig says who may read values back.
type VaultConfig struct {
	Groups []string `yaml:"groups" doc:"Groups whose members may, one value at a time, with a reason, each look a record."`
}

// DetectConfig says how sensitive data is looked for in text.
type DetectConfig struct {
	Names string `yaml:"names" doc:"Whether a model looks for names of people, places, addresses, diseases and drugs in text: on, off, or all, which adds organisations. It reads some 30 MB a second, and takes some words that begin with a capital for names." default:"off"`
	Model string `yaml:"model" doc:"File with another model than the program's own, relative to this one."`

	Detectors []DetectorConfig `yaml:"detectors" doc:"Detectors of the deployment's own, 200 at most."`
	Off       []string         `yaml:"off" doc:"Classes that are not looked for, and whose columns are not known by name."`
}

// A PersonConfig names one human being.
type PersonConfig struct {
	ID       string   `yaml:"id" doc:"Short name; the console and the log show person:ID."`
	Name     string   `yaml:"name" doc:"For people to read."`
	Groups   []string `yaml:"groups" doc:"Groups this person is in, as policy packs name them without group:."`
	Email    string   `yaml:"email" doc:"Where mail goes. Unset: an address that an issuer has verified, where the scope email is asked."`
	Accounts []string `yaml:"accounts" doc:"Accounts that lead to this person: issuer|subject. Anybody else who signs in gets an id of their own."`
}

// An ActorConfig names one agent, pipeline or service.
type ActorConfig struct {
	ID      string   `yaml:"id" doc:"Short name; also the user name at a database gate."`
	Type    string   `yaml:"type" doc:"agent, pipeline or service." default:"agent"`
	Owner   string   `yaml:"owner" doc:"Person behind it. They never review what it asks. Without one it may do only what policy allows outright."`
	Related []string `yaml:"related" doc:"Further people who started or changed it; excluded from reviewing it too."`
	Model   string   `yaml:"model" doc:"Model it runs, for policy."`
	Trust   string   `yaml:"trust" doc:"Trust label, for policy."`
	MayAct  []string `yaml:"may_act" doc:"Actors that may take its tasks over, with both their tokens (docs/actors.md)."`
}

// A GateConfig is one enforcement point.
type GateConfig struct {
	Name     string            `yaml:"name" doc:"Name of the gate and of the resource behind it."`
	Type     string            `yaml:"type" doc:"Protocol: postgres, mysql (docs/mysql.md), http (docs/http.md), mcp (docs/mcp.md), ssh (docs/ssh.md), llm (docs/llm.md), aws (docs/aws.md), kubernetes (docs/kubernetes.md), egress (docs/egress.md) or command (docs/commands.md)."`
	At       string            `yaml:"at" doc:"Name of the gate process that this gate runs in, beside its system (docs/remote-gates.md): listen, tls and the credential for the system stand in that process's own configuration. Unset: it runs here."`
	Listen   string            `yaml:"listen" doc:"Address that agents connect to. Not of a command gate: it is reached where the API is."`
	Env      string            `yaml:"env" doc:"Environment of the resource, for policy: prod, staging, …"`
	Labels   map[string]string `yaml:"labels" doc:"Labels of the resource, for policy."`
	TLS      *KeyPair          `yaml:"tls" doc:"Certificate shown to agents. Required when the gate listens beyond loopback."`
	Upstream UpstreamConfig    `yaml:"upstream" doc:"The system behind the gate."`
	Servers  []MCPServerConfig `yaml:"servers" doc:"Of type mcp, in place of upstream: the servers behind the gate, each at /mcp/NAME."`
	MCP      MCPConfig         `yaml:"mcp" doc:"Of type mcp: how clients find the gate and sign in to it."`
	LLM      *LLMConfig        `yaml:"llm" doc:"Of type llm, in place of upstream: providers of language models, and what may be used of them."`
	Routes   []WebRouteConfig  `yaml:"routes" doc:"Of type http, in place of upstream: the applications behind the gate."`
	HTTP     HTTPConfig        `yaml:"http" doc:"Of type http: certificates, and how people sign in."`
	AWS      *AWSConfig        `yaml:"aws" doc:"Of type aws, in place of upstream: what is behind the gate, and the key that requests go on with."`
	Cluster  *KubernetesConfig `yaml:"kubernetes" doc:"Of type kubernetes, in place of upstream: the API server behind the gate."`
	Hosts    []SSHHostConfig   `yaml:"hosts" doc:"Of type ssh, in place of upstream: the hosts behind the gate."`
	Egress   *EgressConfig     `yaml:"egress" doc:"Of type egress, in place of upstream: the hosts that it leads to."`
	SSH      *SSHConfig        `yaml:"ssh" doc:"Of type ssh: who comes in how, and what they may ask for."`
	Actors   []string          `yaml:"actors" doc:"Of a command gate: ids of the actors whose commands it takes. None: of all that no other takes. Without any command gate there is one named commands, env workstation."`
}

// An UpstreamConfig is the system behind a gate and the credential the gate holds for it.
type UpstreamConfig struct {
	Host     string `yaml:"host" doc:"Host name or address."`
	Port     int    `yaml:"port" doc:"Port. PostgreSQL's own is 5432 and MySQL's 3306." default:"of the system"`
	Database string `yaml:"database" doc:"Database. Of a PostgreSQL gate agents can't choose another; of a MySQL gate it is where those begin that name none."`
	User     string `yaml:"user" doc:"Role the gate logs in as."`
	Password Secret `yaml:"password" doc:"The real credential; agents never see it."`
	TLS      string `yaml:"tls" doc:"verify-full, or off (loopback only)." default:"verify-full"`
	CA       string `yaml:"ca" doc:"Certificate authorities that may sign the upstream's certificate (PEM). Unset: the system's."`
	Via      string `yaml:"via" doc:"System that connectors serve, through which alone it is reached (docs/connectors.md). host is then the name in its certificate."`
}

// A KeyPair is a certificate chain and its key, as PEM files.
type KeyPair struct {
	Cert string `yaml:"cert" doc:"Certificate chain (PEM)."`
	Key  string `yaml:"key" doc:"Private key (PEM)."`
}

// A Secret says where a secret is: never the secret itself.
type Secret struct {
	File    string   `yaml:"file" doc:"File that holds the secret; a trailing newline is dropped."`
	Env     string   `yaml:"env" doc:"Environment variable that holds it."`
	Command []string `yaml:"command" doc:"Command that prints it (argv, no shell), run anew for each connection."`
}

// Limits bound what may wait and flow.
type Limits struct {
	PendingPerActor   int              `yaml:"pending_per_actor" doc:"Approvals one actor may have pending; past it: denied." default:"20"`
	PendingPerPerson  int              `yaml:"pending_per_person" doc:"Approvals that all actors working for one person may have pending; past it: denied. Three times pending_per_actor unless set."`
	PendingBytes      int64            `yaml:"pending_bytes" doc:"Bytes that the pending approvals of one person's actors may take; past it: denied." default:"67108864"`
	RubberStampSeat   bool             `yaml:"rubber_stamp_seat" doc:"An approval by somebody who seems not to read what they approve (10 or more in 30 days, half of them within three seconds) asks for one person more."`
	ExportAfterRows   int64            `yaml:"export_after_rows" doc:"Rows a person's agents may read from one resource in an hour before a read counts as data.export too." default:"10000"`
	ExportAfterRowsOf map[string]int64 `yaml:"export_after_rows_of" doc:"The same for rows with a class in them: a mapping of class to rows, such as card: 500."`
	ApprovalExpires   time.Duration    `yaml:"approval_expires" doc:"How long an approval waits for people unless its rule says otherwise." default:"30m"`
	ApprovalWindow    time.Duration    `yaml:"approval_window" doc:"How long an approval stays usable unless its rule says otherwise." default:"15m"`
	StandingUses      int              `yaml:"standing_uses" doc:"Most uses of one standing grant; -1: there are none." default:"100"`
	StandingLife      time.Duration    `yaml:"standing_life" doc:"How long a standing grant lasts at most." default:"8h"`
	Taint             time.Duration    `yaml:"taint" doc:"How long an actor counts as tainted after it saw classed values unmasked, a secret, or content that others wrote." default:"1h"`
	TransactionWait   time.Duration    `yaml:"transaction_wait" doc:"Longest hold inside an open transaction, where locks are kept." default:"60s"`
	SpoolBytes        int64            `yaml:"spool_bytes" doc:"Size of the traffic spool at which nothing more may run." default:"1073741824"`
	BodyBytes         int64            `yaml:"body_bytes" doc:"Largest body of an HTTP request that is kept, encrypted, until it was looked into or approved. What policy lets pass unseen isn't kept." default:"5368709120"`
	BodiesBytes       int64            `yaml:"bodies_bytes" doc:"Room on disk for all bodies that are kept at the same time." default:"10737418240"`
}

// LogConfig is the process's own log.
type LogConfig struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error." default:"info"`
	Format string `yaml:"format" doc:"json or text." default:"json"`
}

// A ConfigError names the place and the remedy.
type ConfigError struct {
	File         string
	Line, Column int
	Problem      string
	Remedy       string
}

func (e *ConfigError) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
	if e.Remedy != "" {
		s += "\n  " + e.Remedy
	}
	return s
}

// ReadConfig reads and checks a configuration file. Every error of its text is a *ConfigError or a list of them.
func ReadConfig(file string) (*Config, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return ParseConfig(file, b)
}

// ParseConfig is ReadConfig for text that was already read; file names it in errors.
func ParseConfig(file string, text []byte) (*Config, error) {
	text, err := readable(file, text)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, syntaxError(file, err)
	}
	if len(tree.Docs) > 1 {
		line := 1
		if body := tree.Docs[1].Body; body != nil { // "---" alone is a document without a body
			line = body.GetToken().Position.Line
		}
		return nil, &ConfigError{File: file, Line: line, Column: 1, Problem: "a second YAML document", Remedy: "keep one document in the file: what follows the first would be ignored"}
	}
	k := &checker{file: file, tree: tree}
	for _, d := range tree.Docs {
		k.shape("$", d.Body, reflect.TypeFor[Config]())
	}
	if len(k.errs) > 0 {
		return nil, errors.Join(k.errs...)
	}
	c := &Config{file: file}
	dec := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict(), yaml.DisallowUnknownField())
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, syntaxError(file, err)
	}
	c.fillDefaults()
	k.check(c)
	return c, errors.Join(k.errs...)
}

var (
	place  = regexp.MustCompile(`^\[(\d+):(\d+)\] ([^\n]*)`)
	quoted = regexp.MustCompile(`invalid header option: .*|cannot unmarshal .*`)
)

// syntaxError keeps the place and the first line of a parser's error: the lines
// around it, and some of what it quotes, may hold anything.
func syntaxError(file string, err error) error {
	e := &ConfigError{File: file, Line: 1, Column: 1, Problem: strings.SplitN(err.Error(), "\n", 2)[0], Remedy: "this is not valid YAML; often a quote, a bracket or a space is missing just before"}
	if m := place.FindStringSubmatch(err.Error()); m != nil {
		_, _ = fmt.Sscan(m[1], &e.Line)
		_, _ = fmt.Sscan(m[2], &e.Column)
		e.Problem = m[3]
	}
	e.Problem = quoted.ReplaceAllString(e.Problem, "this value can't be read")
	switch {
	case strings.Contains(e.Problem, "'\t'"):
		e.Problem, e.Remedy = "a tab where YAML wants spaces", "indent by spaces"
	case strings.Contains(e.Problem, "already defined"):
		e.Remedy = "keep one of them"
	}
	return e
}

// portOf is the port of an address to listen on, or the usual one where the kernel chooses it.
func portOf(listen string) string {
	if _, port, err := net.SplitHostPort(listen); err == nil && port != "0" && port != "" {
		return port
	}
	return "8720"
}

func (c *Config) fillDefaults() {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Data, "./assent-data")
	if c.Control == "" { // a gate process has neither console nor API
		def(&c.Listen, "127.0.0.1:8720")
	}
	def(&c.PublicURL, "http://localhost:"+portOf(c.Listen))
	def(&c.Log.Level, "info")
	def(&c.Log.Format, "json")
	if len(c.Admins) == 0 {
		c.Admins = []string{"admins"}
	}
	if c.Store != nil {
		def(&c.Store.Schema, "assent")
		def(&c.Node, os.Getenv("ASSENT_NODE")) // where all replicas have one file
	}
	for i := range c.Actors {
		def(&c.Actors[i].Type, "agent")
	}
	for i := range c.Workloads {
		def(&c.Workloads[i].Type, "oidc")
	}
	for i := range c.Gates {
		u := &c.Gates[i].Upstream
		def(&u.TLS, "verify-full")
		if u.Port == 0 {
			u.Port = ownPort(c.Gates[i].Type)
		}
	}
	for i := range c.Gates {
		c.Gates[i].fillHTTP()
	}
	c.fillIssuers()
	c.Facts.fill()
	c.Audit.fill()
	l := &c.Limits
	if l.PendingPerActor == 0 {
		l.PendingPerActor = 20
	}
	if l.PendingPerPerson == 0 {
		l.PendingPerPerson = 3 * l.PendingPerActor
	}
	if l.PendingBytes == 0 {
		l.PendingBytes = 64 << 20
	}
	if l.ExportAfterRows == 0 {
		l.ExportAfterRows = 10_000
	}
	if l.ApprovalExpires == 0 {
		l.ApprovalExpires = 30 * time.Minute
	}
	if l.ApprovalWindow == 0 {
		l.ApprovalWindow = 15 * time.Minute
	}
	if l.Taint == 0 {
		l.Taint = time.Hour
	}
	if l.TransactionWait == 0 {
		l.TransactionWait = time.Minute
	}
	if l.SpoolBytes == 0 {
		l.SpoolBytes = 1 << 30
	}
	if l.BodyBytes == 0 {
		l.BodyBytes = 5 << 30
	}
	if l.BodiesBytes == 0 {
		l.BodiesBytes = 10 << 30
	}
}

// path makes a path of the configuration relative to its file.
func (c *Config) path(p string) string {
	if p == "" || filepath.IsAbs(p) || c.file == "" {
		return p
	}
	return filepath.Join(filepath.Dir(c.file), p)
}

// checker collects what is wrong, each with its place in the file.
type checker struct {
	file string
	tree *ast.File
	errs []error
}

func (k *checker) fail(path, problem, remedy string) {
	e := &ConfigError{File: k.file, Line: 1, Column: 1, Problem: strings.TrimPrefix(path, "$.") + ": " + problem, Remedy: remedy}
	// The nearest node that exists: a missing key is reported at its parent.
	for p := path; p != "$" && p != ""; p = p[:max(strings.LastIndexAny(p, ".["), 0)] {
		yp, err := yaml.PathString(p)
		if err != nil {
			continue
		}
		if n, err := yp.FilterFile(k.tree); err == nil && n != nil {
			e.Line, e.Column = n.GetToken().Position.Line, n.GetToken().Position.Column
			break
		}
	}
	k.errs = append(k.errs, e)
}

var name = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

func (k *checker) check(c *Config) {
	k.store(c)
	if c.Control == "" || c.Listen != "" {
		k.address("$.listen", c.Listen, "$.tls", c.TLS)
	}
	if u, err := url.Parse(c.PublicURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		k.fail("$.public_url", "not an http or https URL", "for example https://assent.example.com")
	}
	k.issuers(c)
	k.channels(c)
	k.streams(c)
	k.tracing(c)
	k.canaries(c)
	k.facts(&c.Facts)
	k.audit(&c.Audit)
	people := k.people(c)
	k.groups(c, people)
	k.actors(c, people)
	k.mayAct(c)
	k.workloads(c, people)
	k.certificates(c)
	for tag, file := range c.Languages {
		if _, err := language.Parse(tag); err != nil {
			k.fail("$.languages."+tag, fmt.Sprintf("%q is no language", tag), "write a tag such as de or pt-BR")
		}
		if file == "" {
			k.fail("$.languages."+tag, "names no file", "assent words > de.json makes one to fill in")
		}
	}
	for env, v := range c.Default {
		if v != "deny" && v != "review" {
			k.fail("$.default."+env, fmt.Sprintf("verdict %q", v), "write deny or review")
		}
	}
	for i, p := range c.PolicyScopes {
		at := fmt.Sprintf("$.policy_scopes[%d]", i)
		if p.Packs == "" {
			k.fail(at+".packs", "names no packs", "write a file or directory of policy")
		}
		if err := (&policy.Limit{Packs: []string{p.Packs}, Scope: p.Scope}).Check(); err != nil {
			k.fail(at+".scope", err.Error(), "the words are those of match in a pack")
		}
	}
	if a := c.BreakGlass.Assurance; a != "" && a != "console" && a != "token" {
		k.fail("$.break_glass.assurance", fmt.Sprintf("assurance %q", a), "write console or token")
	}
	names := map[string]bool{}
	for i := range c.Gates {
		k.gate(fmt.Sprintf("$.gates[%d]", i), &c.Gates[i], names)
	}
	k.remote(c)
	k.sshActors(c)
	k.signsIn(c)
	k.commandGates(c)
	k.connectors(c)
	if !map[string]bool{"debug": true, "info": true, "warn": true, "error": true}[c.Log.Level] {
		k.fail("$.log.level", fmt.Sprintf("level %q", c.Log.Level), "write debug, info, warn or error")
	}
	if c.Log.Format != "json" && c.Log.Format != "text" {
		k.fail("$.log.format", fmt.Sprintf("format %q", c.Log.Format), "write json or text")
	}
	k.detectors(c)
	k.points(c)
	for class, n := range c.Limits.ExportAfterRowsOf {
		switch {
		case !detect.Class(class).Valid():
			k.fail("$.limits.export_after_rows_of."+class, "is no class", "docs/policy-reference.md lists them")
		case n <= 0:
			k.fail("$.limits.export_after_rows_of."+class, "is not a number of rows above 0", "leave it out for none")
		}
	}
	for _, l := range []struct {
		path string
		n    int64
	}{
		{"pending_per_actor", int64(c.Limits.PendingPerActor)},
		{"pending_per_person", int64(c.Limits.PendingPerPerson)},
		{"pending_bytes", c.Limits.PendingBytes},
		{"export_after_rows", c.Limits.ExportAfterRows},
		{"approval_expires", int64(c.Limits.ApprovalExpires)},
		{"approval_window", int64(c.Limits.ApprovalWindow)},
		{"taint", int64(c.Limits.Taint)},
		{"transaction_wait", int64(c.Limits.TransactionWait)},
		{"spool_bytes", c.Limits.SpoolBytes},
		{"body_bytes", c.Limits.BodyBytes},
		{"bodies_bytes", c.Limits.BodiesBytes},
	} {
		if l.n < 0 {
			k.fail("$.limits."+l.path, "is negative", "leave it out for the default")
		}
	}
}

func (k *checker) people(c *Config) map[string]bool {
	people := map[string]bool{}
	for i, p := range c.People {
		at := fmt.Sprintf("$.people[%d].id", i)
		if !name.MatchString(p.ID) {
			k.fail(at, fmt.Sprintf("%q is not a short name", p.ID), "use lower-case letters, digits, '.', '_' and '-'")
		}
		if people[p.ID] {
			k.fail(at, fmt.Sprintf("%q stands twice", p.ID), "one person has one entry, with all their groups: two would be two seats")
		}
		people[p.ID] = true
		k.mailAddress(fmt.Sprintf("$.people[%d].email", i), p.Email)
	}
	return people
}

func (k *checker) actors(c *Config, people map[string]bool) {
	seen := map[string]bool{}
	for i, a := range c.Actors {
		at := fmt.Sprintf("$.actors[%d]", i)
		if !name.MatchString(a.ID) {
			k.fail(at+".id", fmt.Sprintf("%q is not a short name", a.ID), "use lower-case letters, digits, '.', '_' and '-'")
		}
		if seen[a.ID] {
			k.fail(at+".id", fmt.Sprintf("%q stands twice", a.ID), "give each actor its own name")
		}
		seen[a.ID] = true
		if a.Type != "agent" && a.Type != "pipeline" && a.Type != "service" {
			k.fail(at+".type", fmt.Sprintf("type %q", a.Type), "write agent, pipeline or service")
		}
		if a.Owner != "" && !people[a.Owner] {
			k.fail(at+".owner", fmt.Sprintf("%q is not among people", a.Owner), "add them under people:")
		}
		for j, p := range a.Related {
			if !people[p] {
				k.fail(fmt.Sprintf("%s.related[%d]", at, j), fmt.Sprintf("%q is not among people", p), "add them under people:")
			}
		}
	}
}

func (k *checker) gate(at string, g *GateConfig, names map[string]bool) {
	if !name.MatchString(g.Name) {
		k.fail(at+".name", fmt.Sprintf("%q is not a short name", g.Name), "use lower-case letters, digits, '.', '_' and '-'")
	}
	if names[g.Name] {
		k.fail(at+".name", fmt.Sprintf("%q stands twice", g.Name), "give each gate its own name")
	}
	names[g.Name] = true
	if g.At != "" {
		if g.Listen != "" || g.TLS != nil {
			k.fail(at+".listen", "stands here, and the gate runs elsewhere", "write listen and tls into the configuration of the process "+g.At)
		}
	} else if g.Type != "ssh" && g.Type != "command" { // one encrypts by itself, one listens nowhere
		pair := g.TLS
		if pair == nil && g.secure() {
			pair = &KeyPair{Cert: "by host", Key: "by host"}
		}
		k.address(at+".listen", g.Listen, at+".tls", pair)
	}
	if g.Env == "" {
		k.fail(at+".env", "is missing", "say which environment it is (prod, staging, …): policy decides by it")
	}
	kind, ok := gateTypes()[g.Type]
	if !ok {
		k.fail(at+".type", fmt.Sprintf("no gate speaks %q", g.Type), "write one of: "+strings.Join(gateTypeNames(), ", "))
		return
	}
	kind.check(k, at, g)
}

// ownPort is where a system listens unless somebody says otherwise.
func ownPort(typ string) int {
	if typ == "mysql" {
		return 3306
	}
	return 5432
}

func (k *checker) databaseGate(at string, g *GateConfig) {
	k.noActors(at, g)
	u := &g.Upstream
	away := g.At != "" // who signs in to the system is known where the gate runs
	for _, f := range []struct{ key, v string }{{"host", u.Host}, {"database", u.Database}, {"user", u.User}} {
		if f.v == "" && (f.key != "user" || !away) {
			k.fail(at+".upstream."+f.key, "is missing", "the gate needs host, database, user and password of the system behind it")
		}
	}
	if u.Port < 1 || u.Port > 65535 {
		k.fail(at+".upstream.port", fmt.Sprintf("%d is no port", u.Port), "PostgreSQL's own is 5432, MySQL's 3306")
	}
	if n := u.Password.sources(); n != 1 && !away || n != 0 && away {
		if away {
			k.fail(at+".upstream.password", "stands here, and the gate runs elsewhere", "write it into the configuration of the process "+g.At)
			return
		}
		k.fail(at+".upstream.password", fmt.Sprintf("names %d sources", n), "give one of file, env or command")
	}
	switch {
	case u.TLS == "verify-full":
	case u.TLS == "off" && isLoopback(u.Host):
	case u.TLS == "off":
		k.fail(at+".upstream.tls", "off is for loopback only", "use verify-full, with ca: if the certificate is your own")
	default:
		k.fail(at+".upstream.tls", fmt.Sprintf("mode %q", u.TLS), "write verify-full or off")
	}
}

func (k *checker) address(at, addr, tlsAt string, pair *KeyPair) {
	host, port, err := net.SplitHostPort(addr)
	if _, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil {
		k.fail(at, fmt.Sprintf("%q is not host:port", addr), "for example 127.0.0.1:6432")
		return
	}
	if pair == nil && !isLoopback(host) {
		k.fail(at, "listens beyond loopback without TLS", "add "+strings.TrimPrefix(tlsAt, "$.")+" with cert and key, or listen on 127.0.0.1")
	}
	if pair != nil && (pair.Cert == "" || pair.Key == "") {
		k.fail(tlsAt, "needs both cert and key", "name two files in PEM form")
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *Secret) sources() int {
	n := 0
	if s.File != "" {
		n++
	}
	if s.Env != "" {
		n++
	}
	if len(s.Command) > 0 {
		n++
	}
	return n
}

// Read fetches the secret. The error never holds any of it.
func (s *Secret) Read(ctx context.Context, c *Config) ([]byte, error) {
	var b []byte
	var err error
	switch {
	case s.File != "":
		b, err = os.ReadFile(c.path(s.File)) //nolint:gosec // the operator's configuration names it
		if err != nil {
			return nil, fmt.Errorf("reading a secret: %w", err)
		}
	case s.Env != "":
		v, ok := os.LookupEnv(s.Env)
		if !ok {
			return nil, fmt.Errorf("reading a secret: the environment has no %s", s.Env)
		}
		b = []byte(v)
	case len(s.Command) > 0:
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		// Its standard error may hold the secret as well: the exit status is all that is told.
		if b, err = exec.CommandContext(ctx, s.Command[0], s.Command[1:]...).Output(); err != nil { //nolint:gosec // the operator's configuration names it
			return nil, fmt.Errorf("reading a secret: %s failed: exit status only is shown", s.Command[0])
		}
	default:
		return nil, errors.New("reading a secret: no source is configured")
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 {
		return nil, errors.New("reading a secret: it is empty")
	}
	return b, nil
}
