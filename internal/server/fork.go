package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// Loss is what somebody accepts who lets a restored log go on without its newest records.
type Loss struct {
	Reason string
	// Seen is the newest checkpoint of the lost records that is known, from a witness or whoever kept one; nil: none.
	Seen []byte
}

// A Forked tells under which name a log goes on.
type Forked struct {
	Log  string `json:"log"`
	Key  string `json:"key"` // for witnesses and for whoever verifies
	Kept int64  `json:"kept"`
	Seen int64  `json:"seen,omitempty"` // records that there had been at least
}

// ForkRestored lets the log of a data directory, which was restored and verified and which nothing
// serves yet, go on under a new name and key. What witnesses and checkpoints said of the old
// name stays beside it, in forks/.
func ForkRestored(ctx context.Context, dir string, loss Loss) (_ *Forked, err error) {
	c := &Config{Data: dir}
	if loss.Reason == "" {
		return nil, errors.New("accepting the loss: say why (--reason)")
	}
	if _, err := os.Stat(c.nextKeyFile()); err == nil {
		return nil, errors.New("accepting the loss: in the middle of a rotation of the log's key; restore a backup from before or after it")
	}
	old, err := loadKeyOf(c)
	if err != nil {
		return nil, fmt.Errorf("accepting the loss takes the key that the log had: %w", err)
	}
	st, err := sqlite.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	head, err := st.Head(ctx)
	if err != nil {
		return nil, err
	}
	out := &Forked{Kept: head.Size}
	why := &audit.Record{Person: "person:operator", Detail: map[string]string{"reason": loss.Reason}}
	if loss.Seen != nil {
		cp, err := evidence.VerifyCheckpoint(loss.Seen, old.Verifier())
		switch {
		case err != nil:
			return nil, fmt.Errorf("accepting the loss: what was seen: %w", err)
		case cp.Size <= head.Size:
			return nil, fmt.Errorf("accepting the loss: the checkpoint is of %d records and %d are restored: nothing is lost that it tells of; restore without --accept-loss", cp.Size, head.Size)
		}
		out.Seen = cp.Size
		why.Detail["seen"] = strconv.FormatInt(cp.Size, 10)
		why.Detail["seen_root"] = cp.Root.String()
	}
	if err := keepOld(c, head.Size, loss.Seen); err != nil {
		return nil, fmt.Errorf("keeping what was signed before: %w", err)
	}
	out.Log = audit.ForkName(old.Name(), time.Now())
	next, err := audit.LoadOrCreateKey(c.nextKeyFile(), out.Log)
	if err != nil {
		return nil, err
	}
	out.Key = next.Verifier()
	update := func(fn func(audit.Tx) error) error {
		return st.Update(ctx, func(tx approval.Tx) error { return fn(tx) })
	}
	if err := audit.Fork(ctx, st, update, old, next, headFile(dir), why); err != nil {
		return nil, err
	}
	for _, file := range []string{c.oldKeyFile(), c.retiredFile(), witnessedFile(dir)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return out, os.Rename(c.nextKeyFile(), c.logKeyFile()) // the old key signs nothing any more
}

// keepOld copies what was signed under the old name, and is public, to where it stays.
func keepOld(c *Config, size int64, seen []byte) error {
	dir := filepath.Join(c.DataDir(), "forks", strconv.FormatInt(size, 10))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, from := range map[string]string{"checkpoint": headFile(c.DataDir()), "witnessed": witnessedFile(c.DataDir()), "retired": c.retiredFile()} {
		b, err := os.ReadFile(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = audit.WriteFile(filepath.Join(dir, name), b)
		}
		if err != nil {
			return err
		}
	}
	if seen == nil {
		return nil
	}
	return audit.WriteFile(filepath.Join(dir, "seen"), seen)
}

// logName is how the log is called: by the public host, and by when it was forked.
func (c *Config) logName() string {
	own := origin(c)
	if name, err := audit.KeyName(c.logKeyFile()); err == nil && audit.IsForkOf(name, own) {
		return name
	}
	return own
}

// haltForked stops everything after a fork, until administrators have let it go: who was let in,
// what was taken back and what ran after the backup, nothing here knows.
func (s *Server) haltForked(ctx context.Context) error {
	if !audit.IsFork(s.auditLog.Origin()) {
		return nil
	}
	recs, err := s.store.Search(ctx, audit.Query{Types: []string{audit.TypeFork}, Limit: 1})
	if err != nil {
		return fmt.Errorf("looking for the fork of the log: %w", err)
	}
	finding, reason := "forked without a record of it", "the log goes on under another name, and no record says why"
	if len(recs) == 1 {
		finding = fmt.Sprintf("forked at record %d", recs[0].Index)
		reason = fmt.Sprintf("a backup was restored and what the log said behind its first %d records was given up (%s): look again at credentials, members and settings that were changed after the backup, and at what was approved and ran, before this is let go", recs[0].Index, recs[0].Detail["reason"])
	}
	const most = 1500 // bytes of a reason
	halted, err := s.freezes.Halt(ctx, finding, reason[:min(len(reason), most)])
	if err != nil {
		return fmt.Errorf("freezing everything after the log was forked: %w", err)
	}
	if halted {
		s.log.Error("everything is frozen until administrators have looked: the log was forked", "finding", finding)
	}
	return nil
}
