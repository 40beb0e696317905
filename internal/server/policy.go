package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/policy"
)

// loadPolicy reads the packs of the configuration: files, directories, and "builtin:NAME".
func (s *Server) loadPolicy() (*policy.Set, error) {
	o := policy.Options{Versions: []string{"detect " + s.detect.Version()}, Default: map[string]policy.Verdict{}}
	for env, v := range s.cfg.Default {
		if v == "review" {
			o.Default[env] = policy.Review
		}
	}
	return LoadPolicy(s.cfg, o)
}

// LoadPolicy loads the packs a configuration names.
func LoadPolicy(c *Config, o policy.Options) (*policy.Set, error) {
	files := map[string][]byte{}
	var paths []string
	for _, p := range c.Policy {
		if name, ok := strings.CutPrefix(p, "builtin:"); ok {
			text, err := policy.Builtin(name)
			if err != nil {
				return nil, fmt.Errorf("configuration, policy: %w", err)
			}
			files[p] = text
			continue
		}
		paths = append(paths, c.path(p))
	}
	if len(c.Policy) == 0 {
		text, err := policy.Builtin("default")
		if err != nil {
			return nil, err
		}
		files["builtin:default"] = text
	}
	read, err := policy.ReadPaths(paths)
	if err != nil {
		return nil, fmt.Errorf("configuration, policy: %w", err)
	}
	for k, v := range read {
		files[k] = v
	}
	return policy.LoadFiles(files, o)
}

// ReloadPolicy loads the packs again: all of them, or the last good ones stay.
func (s *Server) ReloadPolicy(ctx context.Context) error {
	before := s.policy.Current().Bundle()
	err := s.policy.Reload(s.loadPolicy)
	rec := &audit.Record{Type: audit.TypePolicy, Policy: s.policy.Current().Bundle(), Detail: map[string]string{"before": before}}
	if err != nil {
		s.log.Error("the policy was not reloaded; the last good one stays", "err", err)
		rec.Detail["refused"] = "the new packs do not load"
	} else {
		s.log.Info("the policy was reloaded", "bundle", rec.Policy)
	}
	if rerr := s.record(ctx, rec); rerr != nil && err == nil {
		err = rerr
	}
	return err
}
