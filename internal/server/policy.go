package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

// policyOptions are what gives packs their meaning beside their text.
func (s *Server) policyOptions() policy.Options {
	o := PolicyOptions(s.cfg)
	o.Versions = []string{"detect " + s.detect.Version()}
	o.Unfilled = func(rule string, first bool) {
		s.unfilled.Add(1)
		if first {
			s.log.Warn("a rule's reason could not be filled in; its name and the kinds stand in for it: assent policy explain shows the facts it reads", "rule", rule)
		}
	}
	return o
}

// namedOptions are policyOptions for packs whose names under notify have to lead somewhere.
func (s *Server) namedOptions() policy.Options {
	o := s.policyOptions()
	o.Targets = s.cfg.Targets()
	return o
}

// PolicyOptions are those that a configuration states.
func PolicyOptions(c *Config) policy.Options {
	o := policy.Options{Limits: c.limits(), Default: map[string]policy.Verdict{}}
	for env, v := range c.Default {
		if v == "review" {
			o.Default[env] = policy.Review
		}
	}
	return o
}

// diskPolicy reads the packs that the configuration names: files, directories, and "builtin:NAME".
func (s *Server) diskPolicy() (map[string][]byte, error) { return ReadPolicy(s.cfg) }

// loadPolicy loads them.
func (s *Server) loadPolicy() (*policy.Set, error) { return LoadPolicy(s.cfg, s.policyOptions()) }

// LoadPolicy loads the packs a configuration names; none: the built-in one.
func LoadPolicy(c *Config, o policy.Options) (*policy.Set, error) {
	files, err := ReadPolicy(c)
	if err != nil {
		return nil, err
	}
	o.Limits, o.Targets = c.limits(), c.Targets()
	return policy.LoadFiles(files, o)
}

// ReadPolicy reads the packs that a configuration names, or the built-in one.
func ReadPolicy(c *Config) (map[string][]byte, error) {
	names := c.Policy
	if len(names) == 0 {
		names = []string{policy.BuiltinScheme + "default"}
	}
	paths := make([]string, len(names))
	for i, p := range names {
		if paths[i] = p; !strings.HasPrefix(p, policy.BuiltinScheme) {
			paths[i] = c.path(p)
		}
	}
	files, err := policy.ReadPaths(paths)
	if err != nil {
		return nil, fmt.Errorf("configuration, policy: %w", err)
	}
	return files, nil
}

// ReloadPolicy loads the packs again: all of them, or the last good ones stay.
func (s *Server) ReloadPolicy(ctx context.Context) error {
	before := s.policy.Current().Bundle()
	err := s.reloadDisk(ctx)
	rec := &audit.Record{Type: audit.TypePolicy, Policy: s.policy.Current().Bundle(), Detail: map[string]string{"before": before}}
	if err != nil {
		s.log.Error("the policy was not reloaded; the last good one stays", "err", err)
		rec.Detail["refused"] = refusedPacks(err)
	} else {
		s.log.Info("the policy was reloaded", "bundle", rec.Policy)
		s.tellGaps(ctx)
	}
	if rerr := s.record(ctx, rec); rerr != nil && err == nil {
		err = rerr
	}
	return err
}
