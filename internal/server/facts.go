package server

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/facts"
	"github.com/assenthq/assent/internal/mask"
	"github.com/prometheus/client_golang/prometheus"
)

// A FactsConfig says how long what decisions were made from is kept.
type FactsConfig struct {
	Off   bool          `yaml:"off" doc:"Nothing is kept, so nothing can be replayed." default:"false"`
	Age   time.Duration `yaml:"age" doc:"Older facts are removed, a file at a time." default:"2160h"`
	Bytes int64         `yaml:"bytes" doc:"Room on disk for them; past it the oldest file is removed." default:"268435456"`
}

func (c *FactsConfig) fill() {
	if c.Age == 0 {
		c.Age = 90 * 24 * time.Hour
	}
	if c.Bytes == 0 {
		c.Bytes = 256 << 20
	}
}

func (k *checker) facts(c *FactsConfig) {
	if c.Age < 0 {
		k.fail("$.facts.age", "a negative time", "write how long, such as 720h, or off: true")
	}
	if c.Bytes < 0 {
		k.fail("$.facts.bytes", "a negative number", "write how many bytes, or off: true")
	}
}

// FactsDir is where a server with this data directory keeps facts.
func FactsDir(data string) string { return filepath.Join(data, "facts") }

// unfilledMetric counts reasons that could not be filled in.
func (s *Server) unfilledMetric() prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "assent_policy_reasons_unfilled_total", Help: "Reasons of rules whose template failed; the rule's name was told instead."}, func() float64 { return float64(s.unfilled.Load()) })
}

// makeFacts opens the facts, unless they are off.
func (s *Server) makeFacts() error {
	s.registry.MustRegister(s.unfilledMetric())
	c := s.cfg.Facts
	if c.Off {
		return nil
	}
	var err error
	s.facts, err = facts.Open(facts.Options{
		Dir: FactsDir(s.cfg.DataDir()), Age: c.Age, Bytes: c.Bytes, Logger: s.log,
		Clean: func(text string) string {
			masked, _, _ := mask.MaskStatement(text, s.detect)
			return masked
		},
	})
	if err != nil {
		return err
	}
	s.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "assent_facts_kept_total", Help: "Actions whose facts were taken in for replay."}, func() float64 { return float64(s.facts.Kept()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "assent_facts_dropped_total", Help: "Actions whose facts were not kept: they came faster than they could be written, or the disk failed."}, func() float64 { return float64(s.facts.Dropped()) }))
	return nil
}

// keepFacts writes facts, and what became of approvals, until ctx ends.
func (s *Server) keepFacts(ctx context.Context) {
	if s.facts == nil {
		return
	}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { s.facts.Run(ctx) })
	for ev := range s.engine.Subscribe(ctx) {
		o := map[approval.State]facts.Outcome{
			approval.Approved: facts.Approved, approval.Executing: facts.Approved, approval.Executed: facts.Approved, approval.Failed: facts.Approved, approval.Unknown: facts.Approved,
			approval.Denied: facts.Denied, approval.Expired: facts.Expired, approval.Withdrawn: facts.Withdrawn,
		}[ev.State]
		if o == facts.NoOutcome || ev.What != "" {
			continue
		}
		a, err := s.engine.Get(ctx, ev.ID)
		if err != nil {
			continue // whoever looks at it is told why
		}
		if o != facts.Denied && !a.Decided.IsZero() {
			o = facts.Approved // and used, or not in time
		}
		took := a.Decided.Sub(a.Created)
		if a.Decided.IsZero() {
			took = 0
		}
		s.facts.Answered(ev.ID, o, took)
	}
}
