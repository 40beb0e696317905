package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// channelMetrics counts what channels are told. Both labels come from closed
// lists: channels of the configuration, and results.
func (s *Server) channelMetrics() func(channel, result string) {
	told := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assent_channel_deliveries_total", Help: "Attempts to tell people, by channel and result: told, failed or dead."}, []string{"channel", "result"})
	s.registry.MustRegister(told, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "assent_channel_dead", Help: "Deliveries that are tried no more until one is replayed; -1 when the store doesn't tell."}, func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n, err := s.notify.DeadOnes(ctx)
		if err != nil {
			return -1
		}
		return float64(n)
	}))
	return func(channel, result string) { told.WithLabelValues(channel, result).Inc() }
}
