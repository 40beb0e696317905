package server

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/stream"
	"github.com/assenthq/assent/internal/trace"
)

// makeTracer makes what sends spans, where the configuration asks for it.
func (s *Server) makeTracer(ctx context.Context) error {
	c := s.cfg.Trace
	if c == nil {
		return nil
	}
	client, headers, err := s.receiverOf(ctx, c.OTLP.Private, c.OTLP.CA, c.OTLP.Headers)
	if err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	s.tracer = trace.New(trace.Options{
		Sink: stream.NewTraces(stream.OTLPOptions{URL: c.OTLP.URL, Client: client, Headers: headers, Node: s.cfg.nodeName(), Version: buildVersion()}),
		Join: c.Came == "parent", OneIn: c.OneIn, Logger: s.log,
	})
	s.registry.MustRegister(traceMetrics{s.tracer})
	return nil
}

// traceChecks tell of spans that nobody has taken for a while. Nothing waits for them.
func (s *Server) traceChecks() []api.Check {
	if s.cfg.Trace == nil {
		return nil
	}
	return []api.Check{{Name: "traces", Soft: true, Run: func(context.Context) error {
		if st := s.tracer.State(); !st.Since.IsZero() && time.Since(st.Since) > streamFails {
			return fmt.Errorf("spans have not been taken since %s, %d were dropped: %s", st.Since.UTC().Format(time.RFC3339), st.Dropped, st.Error)
		}
		return nil
	}}}
}

// traceMetrics are read when they are asked for.
type traceMetrics struct{ t *trace.Tracer }

// Describe implements prometheus.Collector.
func (m traceMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m traceMetrics) Collect(ch chan<- prometheus.Metric) {
	st := m.t.State()
	for _, v := range []struct {
		name, help string
		kind       prometheus.ValueType
		n          int64
	}{
		{"assent_trace_spans_total", "Spans that the receiver took.", prometheus.CounterValue, st.Sent},
		{"assent_trace_dropped_total", "Spans that nobody will see: too many waited, or the receiver was away or refused them.", prometheus.CounterValue, st.Dropped},
		{"assent_trace_failures_total", "Attempts to send spans that failed.", prometheus.CounterValue, st.Failed},
		{"assent_trace_waiting", "Traces that wait to be sent.", prometheus.GaugeValue, int64(st.Waiting)},
	} {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(v.name, v.help, nil, nil), v.kind, float64(v.n))
	}
}
