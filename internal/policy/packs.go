package policy

import (
	_ "embed" // packs are part of the binary
	"fmt"
)

//go:embed packs/default.yaml
var defaultPack []byte

//go:embed packs/demo.yaml
var demoPack []byte

// Default is the policy for someone who wrote none: reads flow, masked for
// agents; what changes or moves something waits for group:reviewers; nobody
// changes privileges or the log.
func Default(o Options) (*Set, error) {
	return embedded("default.yaml", defaultPack, o)
}

// Demo is the policy of `assent demo`.
func Demo(o Options) (*Set, error) { return embedded("demo.yaml", demoPack, o) }

func embedded(name string, pack []byte, o Options) (*Set, error) {
	s, err := LoadFiles(map[string][]byte{"assent:" + name: pack}, o)
	if err != nil {
		return nil, fmt.Errorf("the built-in pack %s: %w", name, err)
	}
	return s, nil
}

// Text of the packs in the binary, to start one's own from.

// DefaultPack is the YAML of Default.
func DefaultPack() []byte { return append([]byte(nil), defaultPack...) }

// DemoPack is the YAML of Demo.
func DemoPack() []byte { return append([]byte(nil), demoPack...) }
