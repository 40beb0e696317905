package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/postgres"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// openStore opens what keeps the deployment's state and log.
func (s *Server) openStore(ctx context.Context, data string) error {
	if s.cfg.Store == nil {
		st, err := sqlite.Open(ctx, data)
		if err != nil {
			return err // not a nil *sqlite.Store in an interface
		}
		s.store = st
		return nil
	}
	if _, err := os.Stat(filepath.Join(data, store.FileName)); err == nil {
		return fmt.Errorf("the data directory %s holds a deployment of its own: move it into the store (assent migrate), and give this node an empty directory", data)
	}
	var err error
	if s.lock, err = store.Lock(filepath.Join(data, "lock")); err != nil {
		return err
	}
	st, err := postgres.Open(ctx, storeOptions(s.cfg, s.log))
	if err != nil {
		return err
	}
	s.store, s.shared = st, st
	return nil
}

func storeOptions(c *Config, log *slog.Logger) postgres.Options {
	o := postgres.Options{URL: c.Store.URL, Schema: c.Store.Schema, Node: c.Node, Logger: log}
	if c.Store.Password.sources() > 0 {
		o.Password = func(ctx context.Context) ([]byte, error) { return c.Store.Password.Read(ctx, c) }
	}
	return o
}

// OpenReadOnly opens a deployment's store for reading, as its configuration names it.
func OpenReadOnly(ctx context.Context, c *Config) (store.Store, error) {
	if c.Store == nil {
		st, err := sqlite.OpenReadOnly(ctx, c.path(c.Data))
		if err != nil {
			return nil, err
		}
		return st, nil
	}
	st, err := postgres.OpenReadOnly(ctx, storeOptions(c, slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, err
	}
	return st, nil
}

// VerifyOptions say what a deployment's log is verified against on this node.
func (c *Config) VerifyOptions(vkeys ...string) audit.VerifyOptions {
	data := c.path(c.Data)
	archive, _ := c.openArchive() // its connections end by themselves
	return audit.VerifyOptions{VKeys: vkeys, HeadFile: headFile(data), Witnessed: witnessedFile(data), Witnesses: c.Audit.witnessKeys(), SpoolDir: spoolDir(data), Archive: archive, Taken: takenBy(data, archive), Node: c.nodeName()}
}

// joining reports whether this node sees a log for the first time that other
// nodes write too. A node that has served and has lost its head file does not join.
func (s *Server) joining(data string) (bool, error) {
	if s.shared == nil {
		return false, nil
	}
	_, err := os.Stat(headFile(data))
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if s.shared.First() {
		return true, nil
	}
	return false, fmt.Errorf("%w: node %s has served before, and its head file %s is gone; put it back from its copy, or give this node a new name (node: in the configuration): it then joins anew, and takes the log as it finds it", audit.ErrRolledBack, s.cfg.Node, headFile(data))
}

// DataDir is this node's data directory.
func (c *Config) DataDir() string { return c.path(c.Data) }
