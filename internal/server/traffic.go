package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/bucket"
)

// remoteArchive reports whether the archive is a bucket.
func (c *Config) remoteArchive() bool { return strings.HasPrefix(c.Audit.Archive, bucket.Scheme) }

// openArchive makes the archive that the configuration names, and asks nobody; nil
// where it names none. done lets go of its connections.
func (c *Config) openArchive() (a *audit.Archive, done func()) {
	switch {
	case c.Audit.Archive == "":
		return nil, func() {}
	case !c.remoteArchive():
		return audit.NewArchive(audit.Dir(c.path(c.Audit.Archive))), func() {}
	}
	o := bucket.Options{URL: c.Audit.Archive}
	if g := c.Audit.S3; g != nil {
		o.Endpoint, o.Region, o.Lock, o.Keep, o.Hold = g.Endpoint, g.Region, g.Lock, g.Keep, g.LegalHold
	}
	shelf := bucket.New(o)
	return audit.NewArchive(shelf), shelf.Close
}

// archiver is a without the nil pointer in it.
func archiver(a *audit.Archive) audit.Archiver {
	if a == nil {
		return nil
	}
	return a
}

// ReadTraffic reads every record of this node's harmless traffic in order, in its archive
// and its spool, but for what the log says is deleted.
func (c *Config) ReadTraffic(ctx context.Context, log audit.Reader, fn func(seq int64, leaf []byte) error) ([]audit.Segment, error) {
	archive, done := c.openArchive()
	defer done()
	var pruned audit.Pruned
	if err := pruned.Read(ctx, log); err != nil {
		return nil, err
	}
	gone := func(segment int64) bool { return pruned.Holds(c.nodeName(), segment) }
	return audit.ReadTraffic(ctx, archive, c.nodeName(), spoolDir(c.path(c.Data)), gone, fn)
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
	told, failing := false, ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := s.ship(ctx)
		if ctx.Err() != nil {
			return
		}
		s.shipped.note(err, time.Now())
		switch text := fmt.Sprint(err); {
		case err != nil && text != failing: // once, not each ten seconds of an outage
			s.log.Error("moving traffic into the archive: the spool fills meanwhile", "err", err)
			failing = text
		case err == nil && failing != "":
			s.log.Info("traffic moves into the archive again")
			failing = ""
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
	if s.archive == nil {
		return nil
	}
	_, err := s.spool.Ship(ctx, s.sealer.holds)
	if errors.Is(err, audit.ErrConflict) {
		alarm := &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "two segments of traffic with one number and different records", "node": s.cfg.nodeName()}}
		if s.conflict.CompareAndSwap(false, true) {
			err = errors.Join(err, s.record(ctx, alarm))
		}
	}
	return err
}

const pruneEvery = time.Hour

// pruneLoop deletes archived traffic that is past its term.
func (s *Server) pruneLoop(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := s.prune(ctx, time.Now()); err != nil && ctx.Err() == nil {
			s.log.Error("deleting archived traffic that is past its term: it is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// prune records what goes, and deletes it then: what is found missing always has its
// record. Nodes that share a log do it for each other, so a node that is gone leaves nothing behind.
func (s *Server) prune(ctx context.Context, now time.Time) error {
	var sealed audit.Sealed
	var pruned audit.Pruned
	if err := errors.Join(sealed.Read(ctx, s.store), pruned.Read(ctx, s.store)); err != nil {
		return err
	}
	due, again, err := s.archive.Due(ctx, &sealed, &pruned, audit.Retention{Term: s.cfg.Audit.Retention, Now: now, Held: s.heldTraffic})
	if err != nil {
		return err
	}
	for _, p := range due {
		if err := s.record(ctx, p.Record()); err != nil {
			return err
		}
	}
	for _, p := range append(again, due...) {
		n, err := s.archive.Delete(ctx, p)
		if err != nil {
			return err
		}
		s.log.Info("archived traffic is past its term and was deleted", "node", p.Node, "from", p.From, "segments", n)
	}
	return nil
}

// shipping is how the last round of moving traffic went.
type shipping struct {
	mu    sync.Mutex
	err   error
	since time.Time // of the first failure of those that have not ended
}

func (s *shipping) note(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && err != nil {
		s.since = now
	}
	s.err = err
}

// Err tells since when nothing moves, and why.
func (s *shipping) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("no traffic is archived since %s: %w", s.since.UTC().Format(time.RFC3339), s.err)
}

// trafficChecks are rows of /readyz: what will stop actions when the spool is full.
func (s *Server) trafficChecks() []api.Check {
	out := []api.Check{{Name: "spool room", Soft: true, Run: func(context.Context) error {
		if st := s.spool.Status(); st.Warn {
			return fmt.Errorf("the spool holds %d of %d bytes; when it is full nothing more may run: raise limits.spool_bytes, or see that audit.archive takes what is closed", st.Bytes, st.Limit)
		}
		return nil
	}}}
	if s.archive != nil {
		out = append(out, api.Check{Name: "archive of traffic", Soft: true, Run: func(context.Context) error { return s.shipped.Err() }})
	}
	return out
}

// trafficMetrics tells of the spool and its archive.
type trafficMetrics struct{ s *Server }

var (
	spoolBytes    = prometheus.NewDesc("assent_spool_bytes", "Bytes in the spool of traffic; at assent_spool_limit_bytes nothing more may run.", nil, nil)
	spoolLimit    = prometheus.NewDesc("assent_spool_limit_bytes", "Bytes at which the spool of traffic is full.", nil, nil)
	spoolSegments = prometheus.NewDesc("assent_spool_segments", "Closed segments in the spool; with an archive all but the newest wait to move there.", nil, nil)
	archiveUp     = prometheus.NewDesc("assent_archive_up", "1 while the last round of moving traffic into the archive did not fail.", nil, nil)
)

func (m trafficMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{spoolBytes, spoolLimit, spoolSegments, archiveUp} {
		ch <- d
	}
}

func (m trafficMetrics) Collect(ch chan<- prometheus.Metric) {
	st := m.s.spool.Status()
	ch <- prometheus.MustNewConstMetric(spoolBytes, prometheus.GaugeValue, float64(st.Bytes))
	ch <- prometheus.MustNewConstMetric(spoolLimit, prometheus.GaugeValue, float64(st.Limit))
	ch <- prometheus.MustNewConstMetric(spoolSegments, prometheus.GaugeValue, float64(len(m.s.spool.Seals())))
	if m.s.archive != nil {
		up := 1.0
		if m.s.shipped.Err() != nil {
			up = 0
		}
		ch <- prometheus.MustNewConstMetric(archiveUp, prometheus.GaugeValue, up)
	}
}
