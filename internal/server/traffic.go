package server

import (
	"context"
	"errors"
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

func (s *Server) ship(ctx context.Context) error {
	if s.cfg.Audit.Archive == "" {
		return nil
	}
	if len(s.spool.Seals()) < 2 {
		return nil
	}
	recorded, err := audit.Recorded(ctx, s.store)
	if err != nil {
		return err
	}
	_, err = s.spool.Ship(recorded)
	if errors.Is(err, audit.ErrConflict) {
		alarm := &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "two segments of traffic with one number and different records", "node": s.cfg.nodeName()}}
		if s.conflict.CompareAndSwap(false, true) {
			err = errors.Join(err, s.record(ctx, alarm))
		}
	}
	return err
}
