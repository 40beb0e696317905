package server

import (
	"context"

	"github.com/assenthq/assent/internal/approval"
	"github.com/prometheus/client_golang/prometheus"
)

// fatigue counts what people are asked, and what comes of it: a rule that asks
// often and is always answered alike is a rule to change. Every node counts what
// happens on all of them.
type fatigue struct {
	asked *prometheus.CounterVec
	ended *prometheus.CounterVec
	took  *prometheus.HistogramVec
}

func newFatigue(reg *prometheus.Registry) *fatigue {
	f := &fatigue{
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assent_approvals_asked_total", Help: "Approvals that people were asked for, by the rule that holds; one approval may count for several."}, []string{"rule"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assent_approvals_ended_total", Help: "What became of them, by rule: approved, denied, expired or withdrawn."}, []string{"rule", "end"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "assent_approval_wait_seconds", Help: "Time from the asking to people's decision.",
			Buckets: []float64{3, 10, 30, 60, 120, 300, 600, 1200, 3600, 14400},
		}, []string{"end"}),
	}
	reg.MustRegister(f.asked, f.ended, f.took)
	return f
}

// run counts until ctx ends. What is missed while events come faster than they
// are read isn't counted twice.
func (f *fatigue) run(ctx context.Context, e *approval.Engine) {
	seen := map[string]bool{} // asked and not yet ended, as far as was heard
	for ev := range e.Subscribe(ctx) {
		over := ev.State != approval.Pending
		if seen[ev.ID] && !over || ev.What != "" {
			continue
		}
		if ev.State == approval.Executing || ev.State == approval.Executed || ev.State == approval.Failed || ev.State == approval.Unknown {
			continue // its end was counted when it was approved
		}
		a, err := e.Get(ctx, ev.ID)
		if err != nil {
			continue // whoever looks at it is told why
		}
		f.count(a, seen)
	}
}

func (f *fatigue) count(a *approval.Approval, seen map[string]bool) {
	var rules []string
	for _, h := range a.Rules {
		if h.Then == "review" {
			rules = append(rules, h.Rule)
		}
	}
	if !seen[a.ID] && a.State == approval.Pending {
		seen[a.ID] = true
		for _, r := range rules {
			f.asked.WithLabelValues(r).Inc()
		}
		return
	}
	end := string(a.State)
	switch a.State {
	case approval.Approved, approval.Denied:
		f.took.WithLabelValues(end).Observe(a.Decided.Sub(a.Created).Seconds())
	case approval.Expired, approval.Withdrawn:
		if !seen[a.ID] {
			return // it was approved, and is counted
		}
	default:
		return
	}
	delete(seen, a.ID)
	for _, r := range rules {
		f.ended.WithLabelValues(r, end).Inc()
	}
}
