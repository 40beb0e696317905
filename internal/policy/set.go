package policy

import (
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a deployment, not a pack, says.
type Options struct {
	// Default is the verdict for what no rule permits, by environment; "" is
	// every environment not named. Without an entry it is Deny. Allow is refused
	// unless the environment is listed in UnsafeDefaultAllow.
	Default            map[string]Verdict
	UnsafeDefaultAllow []string
	// DefaultFrom are the groups any of which answers where Default says Review.
	DefaultFrom []string
	// Versions are names of what else gives a bundle its meaning, such as the
	// detector's version. They enter the bundle's digest.
	Versions []string
	// Targets are whom rules may tell under notify, such as "slack:#incidents".
	// They change no decision. nil: packs that name others load too.
	Targets []string
	// Unfilled is told of each reason whose template failed, by its rule's name; first:
	// no other of the rule did since the packs were loaded. It must not wait. nil: nobody is.
	Unfilled func(rule string, first bool)
	// Limits say which packs may speak for what. They change no decision.
	Limits []Limit
}

// A Set is every loaded pack, compiled. It is immutable and safe for concurrent use.
type Set struct {
	files   map[string][]byte // what it was loaded from
	packs   []*pack
	rules   []*rule // in canonical order: pack, then place in the pack
	options Options
	bundle  string

	byName    map[[2]string]*rule // by pack and id
	index     index
	masks     maskSets
	maskRules []*rule // those that are not off
	defaults  defaultHits
	previews  bool // a rule reads preview.*

	unfilled atomic.Int64 // reasons whose templates failed
	failed   sync.Map     // names of their rules
}

// Source is what LoadFiles made the set from, for who decides by it elsewhere. The
// files must not be changed; of the options there is what changes decisions, but for Versions.
func (s *Set) Source() (map[string][]byte, Options) {
	return s.files, Options{Default: s.options.Default, UnsafeDefaultAllow: s.options.UnsafeDefaultAllow, DefaultFrom: s.options.DefaultFrom}
}

// Bundle is "sha256:" and the digest of everything that gives decisions their
// meaning: packs, options, schema, taxonomy and the versions given in Options.
func (s *Set) Bundle() string { return s.bundle }

// Packs names the loaded packs as "name@version", sorted.
func (s *Set) Packs() []string {
	out := make([]string, len(s.packs))
	for i, p := range s.packs {
		out[i] = p.name + "@" + p.version
	}
	return out
}

// LoadFiles loads packs from memory: file name → content.
func LoadFiles(files map[string][]byte, o Options) (*Set, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("loading policy: no packs given")
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	var errs Errors
	s := &Set{options: o, files: files}
	c, err := newCompiler()
	if err != nil {
		return nil, fmt.Errorf("loading policy: %w", err)
	}
	for _, name := range names {
		d := &decoder{file: name, compiler: c, targets: o.Targets}
		if p := d.pack(files[name]); p != nil {
			s.packs = append(s.packs, p)
		}
		errs = append(errs, d.errs...)
	}
	sort.SliceStable(s.packs, func(i, j int) bool { return s.packs[i].name < s.packs[j].name })
	for i := 1; i < len(s.packs); i++ {
		if a, b := s.packs[i-1], s.packs[i]; a.name == b.name {
			errs = append(errs, b.at.error(fmt.Sprintf("a pack named %q is already in %s", b.name, a.at.file), "give each pack its own metadata.name"))
		}
	}
	if len(errs) > 0 {
		sort.SliceStable(errs, func(i, j int) bool {
			return errs[i].File < errs[j].File || errs[i].File == errs[j].File && errs[i].Line < errs[j].Line
		})
		return nil, errs
	}
	if err := checkOptions(o); err != nil {
		return nil, fmt.Errorf("loading policy: %w", err)
	}
	if s.bundle, err = bundleDigest(s.packs, o); err != nil {
		return nil, fmt.Errorf("loading policy: %w", err)
	}
	if errs, err = outside(s.packs, o.Limits); err != nil {
		return nil, fmt.Errorf("loading policy: %w", err)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	for _, p := range s.packs {
		if p.locked {
			if p.digest, err = p.sum(); err != nil {
				return nil, err
			}
		}
		p.raw = nil // it is larger than all the rest
		s.rules = append(s.rules, p.rules...)
	}
	s.build()
	s.previews = readsPreview(s.rules)
	return s, nil
}

func checkOptions(o Options) error {
	for env, v := range o.Default {
		switch {
		case v > Allow:
			return fmt.Errorf("the default of environment %q is not a verdict", env)
		case v == Allow && !contains(o.UnsafeDefaultAllow, env):
			return fmt.Errorf("the default of environment %q is allow: list it under unsafe_default_allow if nothing in it is worth protecting", env)
		case v == Review && len(o.DefaultFrom) == 0:
			return fmt.Errorf("the default of environment %q is review, but nobody is named to review: set default_from", env)
		}
	}
	for _, g := range o.DefaultFrom {
		if !validGroup(g) {
			return fmt.Errorf("default_from: %q is no group: write group:NAME", g)
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// defaultHits are what stands in a decision that no rule made, by environment.
type defaultHits struct {
	byEnv    map[string]Verdict
	other    Verdict
	review   Requirement
	harmless Hit
	hits     [3]Hit
}

func newDefaults(o Options) defaultHits {
	d := defaultHits{byEnv: o.Default, other: o.Default[""], harmless: Hit{Rule: RuleHarmless, Then: Allow.String()}}
	for v := range d.hits {
		d.hits[v] = Hit{Rule: RuleDefault, Then: Verdict(v).String()}
	}
	d.review = Requirement{
		Rule: RuleDefault, From: o.DefaultFrom, Count: 1,
		Expires: defaultExpires, UseWithin: defaultUseWithin, Unsaid: Unsaid{Expires: true, UseWithin: true},
		Reason: "no rule permits this; the environment's default is review",
	}
	return d
}

// verdict is the default for env. An unknown environment has the strictest of all defaults.
func (d *defaultHits) verdict(env string) Verdict {
	if v, ok := d.byEnv[env]; ok && env != "" {
		return v
	}
	strictest := d.other
	if env == "" {
		for _, v := range d.byEnv {
			strictest = min(strictest, v)
		}
	}
	return strictest
}

const (
	defaultExpires   = 30 * time.Minute
	defaultUseWithin = 15 * time.Minute
)
