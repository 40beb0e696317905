package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/console"
)

func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "development"
}

// checks are what /readyz asks: each is what would make an action fail now.
func (s *Server) checks() []api.Check {
	out := []api.Check{
		{Name: "store", Run: func(ctx context.Context) error {
			if err := s.store.Err(); err != nil {
				return err
			}
			_, err := s.store.Head(ctx)
			return err
		}},
		{Name: "log", Run: func(context.Context) error { return cmp.Or(s.auditLog.Err(), s.lastVerified(context.Background()).Err) }},
		{Name: "spool", Run: func(context.Context) error { return s.spool.Status().Err }},
		{Name: "freezes", Run: func(context.Context) error { return s.freezes.Err() }},
		{Name: "directory", Run: s.dir.Check},
		{Name: "policy", Run: func(context.Context) error { return s.policy.Err() }},
		{Name: "reviewers", Soft: true, Run: s.staffed},
		{Name: "parts", Run: func(context.Context) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.fatal
		}},
	}
	for _, w := range s.witnessChecks() {
		out = append(out, api.Check{Name: w.name, Soft: w.soft, Run: func(context.Context) error { return w.run() }})
	}
	if s.shared != nil {
		out = append(out, api.Check{Name: "clock", Soft: true, Run: s.clockHolds})
	}
	if len(s.cfg.Workloads) > 0 {
		out = append(out, api.Check{Name: "workload issuers", Soft: true, Run: s.workloads.Ready})
	}
	for i := range s.cfg.Gates {
		g := &s.cfg.Gates[i]
		if g.Type == "command" {
			continue
		}
		if g.At != "" {
			out = append(out, api.Check{Name: "gate process of " + g.Name, Soft: true, Run: func(context.Context) error { return s.isLinked(g.At) }})
			continue
		}
		// One application of several that is away is no reason to keep everybody from the others.
		// And a connector can't come to a node that nobody is led to because it is not ready.
		soft := g.Type == "http" && len(g.Routes) > 1 || g.through()
		out = append(out, api.Check{Name: "upstream of " + g.Name, Soft: soft, Run: func(ctx context.Context) error { return s.reach(ctx, g) }})
	}
	out = append(out, s.trafficChecks()...)
	out = append(out, s.streamChecks()...)
	out = append(out, s.traceChecks()...)
	out = append(out, s.pointChecks()...)
	return append(out, s.issuerChecks()...)
}

// remedies say what to do where a part of /readyz doesn't work, by the beginning of its name.
var remedies = []struct{ part, remedy string }{
	{"store", "see that the database answers, that its disk has room, and that the password under store still holds; nothing is decided until then"},
	{"log", "run assent verify: it names the record that doesn't fit. Nothing runs until the log can be written and verified (docs/audit-log.md)"},
	{"spool room", "raise limits.spool_bytes, or see that audit.archive takes what is closed (docs/retention.md)"},
	{"spool", "see that the disk of the data directory has room and can be written; no read runs until then"},
	{"freezes", "the store's freezes can't be read, so everything counts as frozen: see to the store first"},
	{"directory", "people and groups can't be read from the store: see to the store first"},
	{"policy", "run assent policy check --config FILE: it names the pack and the line; the rules before the change stay in force"},
	{"reviewers", "a rule asks for people who aren't there: assent doctor --config FILE names the rule; until then it denies"},
	{"clock", "set this machine's clock, and keep it by NTP (timedatectl says whether it is): tokens, grants and approvals end too late or too early on this node until then"},
	{"parts", "a listener or a loop of the server ended: read the server's own log, and start it anew"},
	{"witnesses", "fewer witnesses than audit.witnesses asks for have cosigned the log's newest head: see that they can be reached from here (docs/witness.md)"},
	{"witness", "see that the witnesses can be reached from here, and that their keys are those under audit.witnesses (docs/witness.md)"},
	{"workload issuers", "see that the addresses under workloads can be reached from here; tokens of machines are refused until then"},
	{"gate process of", "start assent gate where the system is, and read what it prints; assent gate list says since when it is away (docs/remote-gates.md)"},
	{"upstream of", "see that the system runs, and that host and port under upstream can be reached from this machine; through a connector: assent connector list"},
	{"archive of traffic", "see that audit.archive can be reached and written; nothing is lost while the spool has room (docs/retention.md)"},
	{"stream", "see that the receiver under streams answers; records wait here until it does (docs/streams.md)"},
	{"traces", "see that the collector under traces answers; spans are dropped until then (docs/tracing.md)"},
	{"decision point", "see that the decision point answers; what it is asked about waits for people until then (docs/decision-points.md)"},
	{"issuer", "see that the issuer's address can be reached from here; until it answers nobody new signs in through it"},
}

// RemedyOf says what to do where a part of the server, as /readyz names it, doesn't work.
func RemedyOf(part string) string {
	for _, r := range remedies {
		if part == r.part || strings.HasPrefix(part, r.part+" ") {
			return r.remedy
		}
	}
	return "the server's own log says why"
}

// about is what the console's settings page shows.
func (s *Server) about(ctx context.Context) console.About {
	set := s.policy.Current()
	a := console.About{Version: buildVersion(), Policy: set.Bundle(), Packs: set.Packs(), Storage: s.storage()}
	for _, g := range s.gates {
		state := "open"
		if err := s.reach(ctx, g.cfg); err != nil {
			state = "upstream unreachable"
		}
		listen := g.cfg.Listen
		if g.listener != nil {
			listen = g.listener.Addr().String()
		}
		a.Gates = append(a.Gates, console.Gate{Name: g.cfg.Name, Protocol: g.cfg.Type, Listen: listen, Upstream: behind(g.cfg), Env: g.cfg.Env, State: state})
	}
	if err := s.policy.Err(); err != nil {
		a.Problems = append(a.Problems, "the newest policy packs did not load; the last good ones decide")
	}
	return a
}

// verifyAtStart rehashes the log before anything may rely on what it says:
// approvals and credentials are held against it. The spool is not looked up in
// and is verified once the gates are open.
func (s *Server) verifyAtStart(ctx context.Context, data string) error {
	r, err := audit.Verify(ctx, s.store, audit.VerifyOptions{VKeys: s.logVerifiers(), HeadFile: headFile(data)})
	if err != nil {
		return err
	}
	if !r.OK() {
		return fmt.Errorf("the log does not verify: %s\n  nothing was started; assent verify --data %s lists all that is wrong. Keep the directory as evidence, and restore a copy whose log verifies", about(r.Problems[0]), data)
	}
	return nil
}

func about(p audit.Problem) string {
	if p.Index < 0 {
		return p.What
	}
	return fmt.Sprintf("record %d: %s", p.Index, p.What)
}

func (s *Server) lastVerified(context.Context) console.Verified {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.verified
}

// VerifyLog checks the log now and tells in lines for people.
func (s *Server) VerifyLog(ctx context.Context) ([]string, error) {
	r, err := s.verify(ctx)
	if err != nil {
		return nil, err
	}
	if !r.OK() {
		return nil, errors.New(about(r.Problems[0]))
	}
	return r.Lines, nil
}

// ProofOfExecution proves the newest start of an approved action, as a C2SP tlog-proof.
func (s *Server) ProofOfExecution(ctx context.Context) (string, error) {
	recs, err := s.store.Search(ctx, audit.Query{Types: []string{audit.TypeStarted}, Limit: 1})
	if err != nil {
		return "", err
	}
	if len(recs) == 0 {
		return "", errors.New("no approved action was started")
	}
	text, err := proving{s}.Proof(ctx, recs[0].Index)
	return string(text), err
}

// storage says where everything is kept.
func (s *Server) storage() string {
	if s.shared != nil {
		return "PostgreSQL, schema " + s.cfg.Store.Schema + "; this is node " + s.shared.Node()
	}
	return "SQLite, " + s.cfg.path(s.cfg.Data)
}

// Verifier is the public key of a deployment's log, from its key file. The
// checkpoint in the data directory says under which name.
func Verifier(c *Config) (string, error) {
	if c.Audit.Signer != nil {
		return c.Audit.Signer.Key, nil
	}
	k, err := loadKeyOf(c)
	if err != nil {
		return "", err
	}
	return k.Verifier(), nil
}

// behind names what is behind a gate.
func behind(g *GateConfig) string {
	if g.Type != "mcp" && g.Type != "ssh" && g.Type != "http" && g.Type != "llm" {
		return g.Upstream.Host + ":" + strconv.Itoa(g.Upstream.Port)
	}
	var names []string
	for _, r := range g.Routes {
		names = append(names, r.Name)
	}
	for _, h := range g.Hosts {
		names = append(names, h.Name)
	}
	if g.LLM != nil {
		for _, p := range g.LLM.Providers {
			names = append(names, p.Name)
		}
	}
	for _, m := range g.Servers {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}
