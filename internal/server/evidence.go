package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
)

// exporter makes evidence bundles for those who don't have the data directory, one at a time.
type exporter struct {
	s    *Server
	busy chan struct{}
}

func newExporter(s *Server) *exporter { return &exporter{s, make(chan struct{}, 1)} }

// covering is how long a bundle waits for a published checkpoint over its own record.
const covering = 5 * time.Second

// Export records first: what can't be recorded isn't handed out.
func (x *exporter) Export(ctx context.Context, rec *audit.Record, q audit.Query) (*os.File, error) {
	select {
	case x.busy <- struct{}{}:
		defer func() { <-x.busy }()
	default:
		return nil, api.ErrExporting
	}
	if err := x.s.record(ctx, rec); err != nil {
		return nil, err
	}
	note, err := x.note(ctx, rec.Index)
	if err != nil {
		return nil, err
	}
	dir := x.s.cfg.DataDir()
	f, err := os.CreateTemp(dir, "evidence-*.tmp")
	if err != nil {
		return nil, fmt.Errorf("making a bundle: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil { // it goes with whoever has it open
		return nil, errors.Join(fmt.Errorf("making a bundle: %w", err), f.Close())
	}
	room, err := roomOf(dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a bundle: %w", err), f.Close())
	}
	e := audit.Export{Checkpoint: note, Software: "assent " + buildVersion(), Query: q}
	if _, err := x.s.auditLog.Evidence(ctx, x.s.store, e, &bounded{f, room / 2}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("making a bundle: %w", err), f.Close())
	}
	return f, nil
}

// note is the published checkpoint once it covers record index, or as it is after a while:
// where witnesses lag, what they have cosigned.
func (x *exporter) note(ctx context.Context, index int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, covering)
	defer cancel()
	tick := time.NewTicker(signEvery)
	defer tick.Stop()
	for {
		note := x.s.published()
		cp, err := evidence.VerifyCheckpoint(note, x.s.logVerifiers()...)
		if err == nil && cp.Size > index {
			return note, nil
		}
		select {
		case <-ctx.Done():
			if err == nil && cp.Size > 0 {
				return note, nil
			}
			return nil, errors.New("making a bundle: no checkpoint has been signed yet")
		case <-tick.C:
		}
	}
}

// bounded refuses what lies behind a number of bytes: a bundle leaves room for the log.
type bounded struct {
	io.WriterAt
	most int64
}

func (b *bounded) WriteAt(p []byte, off int64) (int, error) {
	if off > math.MaxInt64-int64(len(p)) || off+int64(len(p)) > b.most {
		return 0, fmt.Errorf("the bundle takes more than %d MB, half of what is free where the log is kept: ask for a shorter period", b.most>>20)
	}
	return b.WriterAt.WriteAt(p, off)
}
