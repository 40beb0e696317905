package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// archiveDir is where closed segments of traffic go; "": nowhere.
func (c *Config) archiveDir() string {
	if c.Audit.Archive == "" {
		return ""
	}
	return c.path(c.Audit.Archive)
}

// openArchive returns nil where the configuration names none.
func (c *Config) openArchive() (*audit.Archive, error) {
	if c.Audit.Archive == "" {
		return nil, nil
	}
	return audit.OpenArchive(c.archiveDir())
}

// ReadTraffic reads every record of this node's harmless traffic in order, in its archive and its spool.
func (c *Config) ReadTraffic(fn func(seq int64, leaf []byte) error) ([]audit.Segment, error) {
	archive, err := c.openArchive()
	if err != nil {
		return nil, err
	}
	return audit.ReadTraffic(archive, c.nodeName(), spoolDir(c.path(c.Data)), fn)
}

// segmentBytes lets a small spool have several segments: an open one can't move.
func segmentBytes(spool int64) int64 { return min(64<<20, max(1<<20, spool/8)) }

// A sealer puts the roots of closed spool segments into the log, each once.
type sealer struct {
	log    audit.Reader
	record func(context.Context, ...*audit.Record) error

	mu     sync.Mutex // held while the log is read and written
	sealed audit.Sealed
}

// seal records those of seals that the log lacks, and whatever failed the last time.
func (s *sealer) seal(ctx context.Context, seals []audit.Seal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.sealed.Read(ctx, s.log); err != nil {
		return err
	}
	for _, seal := range s.sealed.Lacks(seals) {
		if err := s.record(ctx, seal.Record()); err != nil {
			return fmt.Errorf("recording spool segment %d: %w", seal.Segment, err)
		}
	}
	return s.sealed.Read(ctx, s.log)
}

// holds reports whether the log held just that seal when seal was called last.
func (s *sealer) holds(seal audit.Seal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed.Holds(seal)
}

// sealSpool records the segments that were closed, by this run or one before, and the log doesn't know.
func (s *Server) sealSpool(ctx context.Context) error { return s.sealer.seal(ctx, s.spool.Seals()) }

// onSeal is told of a closed segment. What it can't record, the next round of shipLoop does.
func (s *Server) onSeal(seal audit.Seal) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.sealer.seal(ctx, []audit.Seal{seal}); err != nil {
		s.log.Error("recording a sealed spool segment: it is tried again", "err", err)
	}
}

const shipEvery = 10 * time.Second

// shipLoop moves traffic that the log has seals of into the archive, and says when the spool fills.
func (s *Server) shipLoop(ctx context.Context) {
	tick := time.NewTicker(shipEvery)
	defer tick.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.ship(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("moving traffic into the archive: the spool fills meanwhile", "err", err)
		}
		st := s.spool.Status()
		if st.Warn && !told {
			s.log.Warn("the traffic spool is nearly full; when it is, nothing more may run: raise limits.spool_bytes or name audit.archive", "bytes", st.Bytes, "limit", st.Limit)
		}
		told = st.Warn
	}
}

// ship records the seals that the log lacks, and moves what it has seals of.
func (s *Server) ship(ctx context.Context) error {
	if err := s.sealSpool(ctx); err != nil {
		return err
	}
	if s.cfg.Audit.Archive == "" {
		return nil
	}
	_, err := s.spool.Ship(s.sealer.holds)
	if errors.Is(err, audit.ErrConflict) {
		alarm := &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "two segments of traffic with one number and different records", "node": s.cfg.nodeName()}}
		if s.conflict.CompareAndSwap(false, true) {
			err = errors.Join(err, s.record(ctx, alarm))
		}
	}
	return err
}
