package server

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are the enforcer's counters. Labels come from closed lists: gates of
// the configuration, verdicts, classes; never from an asker.
type metrics struct {
	decisions *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	masked    *prometheus.CounterVec
	answers   *prometheus.CounterVec
	answering *prometheus.HistogramVec

	mu     sync.RWMutex
	places map[gateVerdict]counters // guarded by mu; gates and verdicts are few
}

func newMetrics(reg *prometheus.Registry, pending func() float64) *metrics {
	m := &metrics{
		places:    map[gateVerdict]counters{},
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assent_decisions_total", Help: "Actions decided, by gate and verdict."}, []string{"gate", "verdict"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "assent_decision_seconds", Help: "Time to find data and evaluate policy, without waiting for people.",
			Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .1, 1},
		}, []string{"gate"}),
		masked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assent_masked_values_total", Help: "Values masked on their way back, by class."}, []string{"class"}),
	}
	m.answers = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assent_decision_point_answers_total", Help: "Answers of decision points, by point and answer: allow, review, deny or none."}, []string{"point", "answer"})
	m.answering = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "assent_decision_point_seconds", Help: "Time that a decision point took to answer, or until it was given up.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
	}, []string{"point"})
	reg.MustRegister(m.decisions, m.seconds, m.masked, m.answers, m.answering,
		// Heap, goroutines, file descriptors: what shows a leak.
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assent_approvals_pending", Help: "Approvals waiting for people."}, pending))
	return m
}

// A gateVerdict names the counters of one gate and verdict.
type gateVerdict struct{ gate, verdict string }

type counters struct {
	decisions prometheus.Counter
	seconds   prometheus.Observer
}

func (m *metrics) Decided(gate, verdict string, took time.Duration) {
	m.mu.RLock()
	c, known := m.places[gateVerdict{gate, verdict}]
	m.mu.RUnlock()
	if !known {
		c = counters{m.decisions.WithLabelValues(gate, verdict), m.seconds.WithLabelValues(gate)}
		m.mu.Lock()
		m.places[gateVerdict{gate, verdict}] = c
		m.mu.Unlock()
	}
	c.decisions.Inc()
	c.seconds.Observe(took.Seconds())
}

func (m *metrics) Masked(class string, n int64) { m.masked.WithLabelValues(class).Add(float64(n)) }

func (m *metrics) Consulted(point, answer string, took time.Duration) {
	m.answers.WithLabelValues(point, answer).Inc()
	m.answering.WithLabelValues(point).Observe(took.Seconds())
}
