package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/witness"
)

// witnessedFile keeps the note that was published last.
func witnessedFile(data string) string { return filepath.Join(data, "witnessed") }

// logVerifiers are the keys that the log is or was signed with.
func (s *Server) logVerifiers() []string { return append(s.auditLog.Verifiers(), s.retired...) }

// witnessed is the log as its witnesses are asked about it.
type witnessed struct{ s *Server }

func (w witnessed) Checkpoint() []byte { return w.s.auditLog.Checkpoint() }

func (w witnessed) Size(ctx context.Context) (int64, error) {
	h, err := w.s.store.Head(ctx)
	return h.Size, err
}

func (w witnessed) Consistency(ctx context.Context, older, newer int64) ([]evidence.Hash, error) {
	return w.s.auditLog.ConsistencyProof(ctx, w.s.store, older, newer)
}

// Refuse stops all signing, and with it everything that must be recorded.
func (w witnessed) Refuse(err error) {
	w.s.log.Error("alarm: a witness has seen what the log no longer holds; nothing is recorded or let through", "err", err)
	w.s.auditLog.Refuse(err)
}

// makeWitnesses asks each witness what it has seen, before anything is signed:
// a log that went back in time together with its head file is refused here.
func (s *Server) makeWitnesses(ctx context.Context, data string) error {
	a := &s.cfg.Audit
	if len(a.Witnesses) == 0 {
		return nil
	}
	o := witness.CollectorOptions{
		VKeys: s.logVerifiers(), Require: a.Require, Lag: a.Lag, Every: a.Every, File: witnessedFile(data), Source: witnessed{s}, Logger: s.log, Told: s.toldOfWitness,
		// No proxy and no redirect: a witness is the address that was named.
		HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 5 * time.Second}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	for _, w := range a.Witnesses {
		o.Witnesses = append(o.Witnesses, witness.Remote{Key: w.Key, URL: w.URL})
	}
	var err error
	if s.witnesses, err = witness.NewCollector(o); err != nil {
		return err
	}
	s.registry.MustRegister(witnessMetrics{s.witnesses})
	note, err := os.ReadFile(headFile(data))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading head file: %w", err)
	}
	head, err := s.store.Head(ctx)
	if err != nil {
		return err
	}
	if _, err := evidence.VerifyCheckpoint(note, s.logVerifiers()...); err != nil {
		return nil // the log says what is wrong with it
	}
	return s.witnesses.Look(ctx, note, head.Size)
}

// published is the note for everybody: cosigned where there are witnesses.
func (s *Server) published() []byte {
	if s.witnesses != nil {
		if note := s.witnesses.Published(); note != nil {
			return note
		}
	}
	return s.auditLog.Checkpoint()
}

// toldOfWitness tells of a witness whose state changed; one that lied is an alarm on record.
func (s *Server) toldOfWitness(w witness.State) {
	if w.Err == nil {
		s.log.Info("a witness cosigned", "witness", w.Name, "records", w.Size)
		return
	}
	s.log.Warn("a witness did not cosign", "witness", w.Name, "err", w.Err)
	if !w.Lied {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.record(ctx, &audit.Record{Type: audit.TypeAlarm, Detail: map[string]string{"what": "a witness's answer does not hold", "witness": w.Name, "why": w.Err.Error()}}); err != nil {
		s.log.Error("recording an alarm", "err", err)
	}
}

// witnessing errs while fewer witnesses than must have cosigned lately.
func (s *Server) witnessing() error {
	if s.witnesses == nil {
		return nil
	}
	return s.witnesses.Err()
}

// witnessChecks are rows of /readyz: what is required stops, what is missing beside is told.
func (s *Server) witnessChecks() []checkRow {
	if s.witnesses == nil {
		return nil
	}
	out := []checkRow{{name: "witnesses", run: s.witnessing}}
	for i, w := range s.witnesses.States() {
		out = append(out, checkRow{name: "witness " + w.Name, soft: true, run: func() error {
			return s.witnesses.States()[i].Err
		}})
	}
	return out
}

type checkRow struct {
	name string
	soft bool
	run  func() error
}

// witnessMetrics tells of each witness.
type witnessMetrics struct{ c *witness.Collector }

var (
	witnessUp   = prometheus.NewDesc("assent_witness_up", "1 while the newest answer of a witness was a cosignature.", []string{"witness"}, nil)
	witnessSize = prometheus.NewDesc("assent_witness_records", "Records under the newest checkpoint that a witness cosigned.", []string{"witness"}, nil)
	witnessAge  = prometheus.NewDesc("assent_witness_age_seconds", "Seconds since a witness cosigned; -1 where it has not since the start.", []string{"witness"}, nil)
)

func (m witnessMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- witnessUp
	ch <- witnessSize
	ch <- witnessAge
}

func (m witnessMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, s := range m.c.States() {
		up, age := 0.0, -1.0
		if s.Err == nil {
			up = 1
		}
		if !s.At.IsZero() {
			age = time.Since(s.At).Seconds()
		}
		ch <- prometheus.MustNewConstMetric(witnessUp, prometheus.GaugeValue, up, s.Name)
		ch <- prometheus.MustNewConstMetric(witnessSize, prometheus.GaugeValue, float64(s.Size), s.Name)
		ch <- prometheus.MustNewConstMetric(witnessAge, prometheus.GaugeValue, age, s.Name)
	}
}

// heartbeatLoop writes a record now and then that this node is there: between
// two that are further apart than that, it was not, or is made to look so.
func (s *Server) heartbeatLoop(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Audit.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.record(ctx, audit.Heartbeat(s.cfg.nodeName(), s.cfg.Audit.Heartbeat)); err != nil && ctx.Err() == nil {
			s.log.Error("recording a heartbeat", "err", err)
		}
	}
}
