package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/gates/ssh"
	"github.com/assenthq/assent/internal/grant"
)

// MadeKeys says what MakeKeys made.
type MadeKeys struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"`
	Log   string   `json:"log"` // verifier key of the log
}

// MakeKeys makes what the first start of a deployment would make in its key directory, and
// what its gates would: for nodes that can read that directory alone. One that holds anything is
// left as it is, since new keys beside old data open nothing.
func MakeKeys(c *Config) (*MadeKeys, error) {
	dir := c.keysDir()
	switch list, err := os.ReadDir(dir); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("making keys: %w", err)
	case len(list) > 0:
		return nil, fmt.Errorf("making keys: %s holds something already: keys are made once, for a new deployment; name an empty directory with --out", dir)
	}
	if _, err := loadKeys(dir, true); err != nil {
		return nil, err
	}
	if _, err := grant.NewMinter(c.grantFile(), c.PublicURL); err != nil {
		return nil, err
	}
	out := &MadeKeys{Dir: dir}
	if c.Audit.Signer == nil {
		key, err := audit.LoadOrCreateKey(c.logKeyFile(), origin(c))
		if err != nil {
			return nil, err
		}
		out.Log = key.Verifier()
	} else {
		out.Log = c.Audit.Signer.Key
	}
	for i := range c.Gates {
		if c.Gates[i].Type != "ssh" {
			continue
		}
		if _, err := ssh.HostKey(c.sshKeyFile()); err != nil {
			return nil, err
		}
	}
	if c.hasEgress() {
		if _, err := egressAuthority(c); err != nil {
			return nil, err
		}
	}
	list, err := os.ReadDir(dir)
	for _, e := range list {
		out.Files = append(out.Files, e.Name())
	}
	return out, err
}
