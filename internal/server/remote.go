package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/remote"
)

// RemoteConfig is where gates that run in processes of their own come in.
type RemoteConfig struct {
	Listen string `yaml:"listen" doc:"Address that they dial, over TLS 1.3 with certificates of this deployment's own."`
}

// remoteTypes are the gates that can run in a process of their own.
var remoteTypes = []string{"postgres", "mysql"}

// remote checks what says where gates run.
func (k *checker) remote(c *Config) {
	away := slices.ContainsFunc(c.Gates, func(g GateConfig) bool { return g.At != "" })
	switch {
	case c.Control != "":
		k.gateProcess(c)
	case c.Remote == nil && away:
		k.fail("$.remote", "is missing, and there are gates that run elsewhere", "add remote: with listen: the address that they dial (docs/remote-gates.md)")
	case c.Remote != nil:
		k.address("$.remote.listen", c.Remote.Listen, "$.remote.listen", &KeyPair{Cert: "own", Key: "own"})
		if c.Detect.Names != "" && c.Detect.Names != "off" && away {
			k.fail("$.detect.names", "is on, and gates that run elsewhere have no model of names", "leave it off, or run those gates here")
		}
	}
	for i := range c.Gates {
		g, at := &c.Gates[i], fmt.Sprintf("$.gates[%d]", i)
		if g.At == "" && c.Control == "" {
			continue
		}
		if !slices.Contains(remoteTypes, g.Type) {
			k.fail(at+".type", fmt.Sprintf("a gate of type %q can't run in a process of its own yet", g.Type), "run it in the control plane, or in a deployment of its own beside the system")
		}
		if g.At != "" && g.through() {
			k.fail(at+".upstream.via", "names connectors, and the gate runs elsewhere", "a gate process reaches its system by itself: remove via, or at")
		}
		if g.At != "" && !name.MatchString(g.At) {
			k.fail(at+".at", fmt.Sprintf("%q is not a short name", g.At), "use lower-case letters, digits, '.', '_' and '-'")
		}
	}
}

// gateProcess checks the configuration of a gate process: all but its gates is the control plane's.
func (k *checker) gateProcess(c *Config) {
	k.address("$.control", c.Control, "$.control", &KeyPair{Cert: "own", Key: "own"})
	if len(c.Gates) == 0 {
		k.fail("$.gates", "is empty", "a gate process needs a gate")
	}
	for _, f := range []struct {
		at  string
		has bool
	}{
		{"remote", c.Remote != nil},
		{"connectors", c.Connectors != nil},
		{"store", c.Store != nil},
		{"policy", len(c.Policy) > 0},
		{"people", len(c.People) > 0},
		{"groups", len(c.Groups) > 0},
		{"actors", len(c.Actors) > 0},
		{"issuers", len(c.Issuers) > 0},
		{"channels", len(c.Channels) > 0},
		{"streams", len(c.Streams) > 0},
		{"decision_points", len(c.DecisionPoints) > 0},
		{"columns", len(c.Columns) > 0},
		{"workloads", len(c.Workloads) > 0},
		{"trace", c.Trace != nil},
	} {
		if f.has {
			k.fail("$."+f.at, "stands in the configuration of a gate process", "it belongs to the control plane's; remove it here, or remove control:")
		}
	}
	for i := range c.Gates {
		if c.Gates[i].At != "" {
			k.fail(fmt.Sprintf("$.gates[%d].at", i), "stands in the configuration of a gate process", "it belongs to the control plane's: remove it")
		}
	}
}

// announced is a gate as both ends know it.
func announced(g *GateConfig) remote.Announced {
	r := resourceOf(g)
	return remote.Announced{Name: g.Name, Type: g.Type, URN: r.URN, Env: g.Env, Labels: g.Labels, System: systemOf(g)}
}

// makeRemote makes the end of links to gates that run elsewhere.
func (s *Server) makeRemote(k *keys) error {
	if s.cfg.Remote == nil {
		return nil
	}
	data := s.cfg.path(s.cfg.Data)
	temp := filepath.Join(data, "incoming")
	if err := errors.Join(os.RemoveAll(temp), os.MkdirAll(temp, 0o700)); err != nil {
		return fmt.Errorf("making room for the traffic of gates: %w", err)
	}
	s.taken = takenBy(data, s.archive)
	s.remote = remote.NewHost(remote.HostOptions{
		Authority: s.remoteAuthority, Ledger: s.store, Keeper: s.store,
		State: func() remote.State { return s.remoteState(k.mask) },
		Seal:  s.sealer.seal, Holds: s.sealer.holds, Record: s.record, Temp: temp, Log: s.log,
		Segments: func(ctx context.Context, node string) ([]int64, error) { return s.taken.Segments(ctx, node) },
		Ingest: func(ctx context.Context, seal audit.Seal, r *io.SectionReader) error {
			return s.taken.Ingest(ctx, seal, r)
		},
	})
	s.makeEntrance()
	return nil
}

// trafficDir is where traffic of gates that run elsewhere is kept, without an archive.
func trafficDir(data string) string { return filepath.Join(data, "traffic") }

// takenBy is where the traffic of gates that run elsewhere is.
func takenBy(data string, archive *audit.Archive) *audit.Archive {
	if archive == nil {
		return audit.NewArchive(audit.Dir(trafficDir(data)))
	}
	return archive
}

// remoteAuthority is the authority of a gate that the configuration has in the process of that name.
func (s *Server) remoteAuthority(process string, a remote.Announced) (gate.Authority, error) {
	for i := range s.cfg.Gates {
		g := &s.cfg.Gates[i]
		if g.Name != a.Name || g.At != process {
			continue
		}
		mine := announced(g)
		if d := mine.Differs(&a); d != "" {
			return nil, fmt.Errorf("gate %s: %s: both configurations must say the same", g.Name, d)
		}
		return s.enforcer.Gate(g.Name, resourceOf(g), systemOf(g)), nil
	}
	return nil, fmt.Errorf("the control plane's configuration has no gate %q at %q: add it under gates:, with at: %s", a.Name, process, process)
}

// remoteState is what gates that run elsewhere are told every second.
func (s *Server) remoteState(maskKey []byte) remote.State {
	set := s.policy.Current()
	files, how := set.Source()
	d := s.cfg.detectOptions()
	r := &remote.Rules{
		Default: how.Default, Unsafe: how.UnsafeDefaultAllow, From: how.DefaultFrom,
		Columns: d.Columns, Off: d.Off, Detectors: d.Detectors, MaskKey: maskKey,
		HoldInTx: s.cfg.Limits.TransactionWait, PublicURL: s.cfg.PublicURL,
	}
	r.Export, r.ExportOf = s.enforcer.ExportAfter()
	text, err := json.Marshal(r)
	sum := sha256.Sum256(text)
	return remote.State{
		Err: errors.Join(s.serving(), err), Online: len(s.points) > 0, Bundle: set.Bundle(), Settings: hex.EncodeToString(sum[:]),
		Rules: func() (*remote.Rules, error) { r.Files = files; return r, nil },
	}
}

// isLinked errs while the gate process of that name isn't there.
func (s *Server) isLinked(name string) error {
	if s.remote != nil {
		for _, l := range s.remote.Links() {
			if l.Name == name {
				return nil
			}
		}
	}
	return fmt.Errorf("the gate process %s is not linked: is assent gate running there?", name)
}
