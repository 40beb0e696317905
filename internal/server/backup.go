package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/backup"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// BackupSource is what a backup of this node holds. The copy of the database is verified before it
// is packed, unless unverified.
func (c *Config) BackupSource(unverified bool) backup.Source {
	data := c.DataDir()
	src := backup.Source{
		Checkpoint: headFile(data), Witnessed: witnessedFile(data), Operator: operatorFile(data), Keys: c.keysDir(),
		Spool: spoolDir(data), Traffic: trafficDir(data), Facts: FactsDir(data), Recordings: filepath.Join(data, "recordings"), Forks: filepath.Join(data, "forks"),
	}
	if c.Store != nil {
		return src // the database is backed up by its own means
	}
	src.Copy = func(ctx context.Context, to string) error { return sqlite.Snapshot(ctx, data, to) }
	if !unverified {
		src.Check = func(ctx context.Context, dir string) error {
			key, err := Verifier(c)
			if err != nil {
				return err
			}
			o := c.VerifyOptions(key)
			o.HeadFile, o.Witnessed = headFile(dir), witnessedFile(dir)
			return verifyCopy(ctx, dir, o)
		}
	}
	return src
}

// VerifyRestored verifies what was unpacked into dir, by its own key unless one is given.
func VerifyRestored(ctx context.Context, dir, key string) (*audit.Report, error) {
	c := &Config{Data: dir}
	if key == "" {
		var err error
		if key, err = Verifier(c); err != nil {
			return nil, fmt.Errorf("%w (or give the log's public key by --key)", err)
		}
	}
	o := c.VerifyOptions(key)
	st, err := sqlite.OpenReadOnly(ctx, dir)
	if err != nil {
		return nil, err
	}
	r, err := audit.Verify(ctx, st, o)
	return r, errors.Join(err, st.Close())
}

func verifyCopy(ctx context.Context, dir string, o audit.VerifyOptions) error {
	st, err := sqlite.OpenReadOnly(ctx, dir)
	if err != nil {
		return err
	}
	r, err := audit.Verify(ctx, st, o)
	if err = errors.Join(err, st.Close()); err != nil {
		return err
	}
	if !r.OK() {
		return fmt.Errorf("the log does not verify (%s): see assent verify; --unverified backs it up as it is", r.Problems[0].What)
	}
	return nil
}
