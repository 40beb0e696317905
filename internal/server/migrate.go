package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/postgres"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// A Move is what Migrate did.
type Move struct {
	Before []byte // the newest checkpoint of the directory
	After  []byte // the first one of the store it moved to
	Size   int64
	Root   [32]byte
}

// Migrate moves the deployment in the data directory old into the store of cfg,
// whose node it makes ready to start: the same log under the same keys, the same
// approvals, credentials and entries. The directory is marked, so that it is never
// served again; nothing else in it changes but the seals of its last traffic.
func Migrate(ctx context.Context, old string, cfg *Config, progress func(table string, rows int64)) (*Move, error) {
	if cfg.Store == nil {
		return nil, errors.New("the configuration names no store to move into: store: with the url of a PostgreSQL database")
	}
	data := cfg.DataDir()
	if same(old, data) {
		return nil, fmt.Errorf("the configuration's data directory is the one that moves (%s): name a new one, for this node's checkpoint and spool", data)
	}
	if _, err := os.Stat(headFile(data)); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the data directory %s is in use: name a new one", data)
	}
	if _, err := os.Stat(filepath.Join(old, store.FileName)); err != nil {
		return nil, fmt.Errorf("%s holds no deployment: %w", old, err)
	}
	m := &mover{ctx: ctx, old: old, cfg: cfg, progress: progress}
	defer m.close()
	for _, step := range []func() error{m.open, m.keys, m.move, m.ready} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &m.Move, nil
}

func same(a, b string) bool {
	ia, err := os.Stat(a)
	if err != nil {
		return false
	}
	ib, err := os.Stat(b)
	return err == nil && os.SameFile(ia, ib)
}

type mover struct {
	Move
	ctx      context.Context
	old      string
	cfg      *Config
	progress func(string, int64)

	from *sqlite.Store
	log  *audit.Log
	head audit.Head
}

func (m *mover) close() {
	if m.from != nil {
		_ = m.from.Close()
	}
}

// open takes the directory, seals what its spool has left, and verifies all of it.
func (m *mover) open() (err error) {
	if m.from, err = sqlite.Open(m.ctx, m.old); err != nil {
		return err
	}
	was := &Config{Data: m.old, Audit: m.cfg.Audit}
	if !m.cfg.remoteArchive() {
		was.Audit.Archive = m.cfg.path(was.Audit.Archive)
	}
	if m.Before, err = os.ReadFile(headFile(m.old)); err != nil {
		return fmt.Errorf("reading the checkpoint: %w", err)
	}
	name, _, _ := strings.Cut(string(m.Before), "\n")
	if !audit.IsForkOf(name, origin(m.cfg)) {
		return fmt.Errorf("the log is named %s, and public_url would name it %s: keep the host of public_url", name, origin(m.cfg))
	}
	key, err := loadLogKey(was, name)
	if err != nil {
		return err
	}
	if m.log, err = audit.New(audit.Options{Origin: name, Keys: []*audit.Key{key}, HeadFile: headFile(m.old)}); err != nil {
		return err
	}
	if err := m.log.Open(m.ctx, m.from); err != nil {
		return err
	}
	if err := m.seal(); err != nil {
		return err
	}
	if m.head, err = m.from.Head(m.ctx); err != nil {
		return err
	}
	if m.Before, err = m.log.Sign(m.ctx, m.head); err != nil {
		return err
	}
	return verified(m.ctx, m.from, was.VerifyOptions(key.Verifier()))
}

func loadLogKey(c *Config, name string) (*audit.Key, error) {
	if _, err := os.Stat(c.logKeyFile()); err != nil {
		return nil, fmt.Errorf("reading the log's key: %w", err)
	}
	return audit.LoadOrCreateKey(c.logKeyFile(), name)
}

// seal records the spool's segments that the log does not know yet.
func (m *mover) seal() error {
	archive, done := m.cfg.openArchive()
	defer done()
	spool, err := audit.OpenSpool(audit.SpoolOptions{Dir: spoolDir(m.old), Node: localNode, Archive: archiver(archive)})
	if err != nil {
		return err
	}
	seals := spool.Seals()
	if err := spool.Close(); err != nil {
		return err
	}
	s := &Server{store: m.from, auditLog: m.log}
	return (&sealer{log: m.from, record: s.record}).seal(m.ctx, seals)
}

func verified(ctx context.Context, r audit.Reader, o audit.VerifyOptions) error {
	report, err := audit.Verify(ctx, r, o)
	if err != nil {
		return err
	}
	if !report.OK() {
		return fmt.Errorf("the log does not verify: %s", about(report.Problems[0]))
	}
	return nil
}

// keys copies the key directory, unless the new node has the same one already.
func (m *mover) keys() error {
	from, to := filepath.Join(m.old, "keys"), m.cfg.keysDir()
	if same(from, to) {
		return nil
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		if !f.Type().IsRegular() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			return err
		}
		err = writeSecret(filepath.Join(to, f.Name()), string(b))
		if errors.Is(err, fs.ErrExist) {
			there, rerr := os.ReadFile(filepath.Join(to, f.Name()))
			if rerr != nil || !bytes.Equal(there, b) {
				return fmt.Errorf("%s holds another %s than the deployment that moves: name an empty directory under keys:", to, f.Name())
			}
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// move copies everything. The directory is marked before the copy is committed:
// whatever happens, it is never served beside what it moved to.
func (m *mover) move() error {
	o := storeOptions(m.cfg, slog.New(slog.DiscardHandler))
	marked := false
	err := postgres.Receive(m.ctx, o, m.from, m.progress, func() error {
		err := store.MarkMoved(m.old, fmt.Sprintf("to %s, schema %s, on %s with %d records; remove this file only if nothing is there", whereTo(m.cfg), m.cfg.Store.Schema, time.Now().UTC().Format(time.RFC3339), m.head.Size))
		marked = err == nil
		return err
	})
	if err == nil || !marked {
		return err
	}
	st, rerr := postgres.OpenReadOnly(m.ctx, o)
	if rerr != nil {
		return fmt.Errorf("%w (and whether it was moved is not known: the directory stays marked)", err)
	}
	defer func() { _ = st.Close() }()
	if head, rerr := st.Head(m.ctx); rerr != nil || head.Size > 0 {
		return fmt.Errorf("%w (and it may have been moved: the directory stays marked)", err)
	}
	return errors.Join(err, store.UnmarkMoved(m.old))
}

// whereTo is the store without whoever signs in there.
func whereTo(c *Config) string {
	u, err := url.Parse(c.Store.URL)
	if err != nil {
		return "PostgreSQL"
	}
	return "postgres://" + u.Host + u.Path
}

// ready verifies what was moved, signs it, and leaves this node its checkpoint
// and the deployment the check of its keys.
func (m *mover) ready() error {
	st, err := postgres.OpenReadOnly(m.ctx, storeOptions(m.cfg, slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	head, err := st.Head(m.ctx)
	if err != nil {
		return err
	}
	if head != m.head {
		return fmt.Errorf("what was moved has %d records and another root than the %d of %s", head.Size, m.head.Size, m.old)
	}
	data := m.cfg.DataDir()
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(headFile(data), m.Before, 0o600); err != nil {
		return err
	}
	key, err := loadLogKey(m.cfg, m.cfg.logName())
	if err != nil {
		return err
	}
	log, err := audit.New(audit.Options{Origin: m.cfg.logName(), Keys: []*audit.Key{key}, HeadFile: headFile(data)})
	if err != nil {
		return err
	}
	if err := log.Open(m.ctx, st); err != nil {
		return err
	}
	if err := verified(m.ctx, st, audit.VerifyOptions{VKeys: log.Verifiers(), HeadFile: headFile(data)}); err != nil {
		return err
	}
	m.After, m.Size, m.Root = log.Checkpoint(), head.Size, head.Root
	return m.pinKeys(log)
}

// pinKeys stores the check that a node's keys are the deployment's.
func (m *mover) pinKeys(log *audit.Log) error {
	k, err := loadKeys(m.cfg.keysDir(), false)
	if err != nil {
		return err
	}
	minter, err := grant.NewMinter(m.cfg.grantFile(), m.cfg.PublicURL)
	if err != nil {
		return err
	}
	st, err := postgres.Open(m.ctx, storeOptions(m.cfg, slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	s := &Server{cfg: m.cfg, store: st, shared: st, auditLog: log, minter: minter}
	return errors.Join(s.checkKeys(m.ctx, k), st.Close())
}
