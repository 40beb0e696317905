package server

import (
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/notify/notifytest"
	"github.com/prometheus/client_golang/prometheus"
)

// TestFatigueIsCounted: what is asked, and how it ends, once each.
func TestFatigueIsCounted(t *testing.T) {
	h := notifytest.New(t)
	reg := prometheus.NewRegistry()
	f := newFatigue(reg)
	go f.run(t.Context(), h.Engine)
	read := func(name, end string) (n float64) {
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range all {
			for _, m := range family.GetMetric() {
				for _, l := range m.GetLabel() {
					if family.GetName() == name && (end == "" || l.GetValue() == end) {
						n += m.GetCounter().GetValue()
						break
					}
				}
			}
		}
		return n
	}
	asked := func() float64 { return read("assent_approvals_asked_total", "") }
	n := 0
	eventually(t, "it listens", func() bool { // what is asked before is not heard
		n++
		h.Ask("select 'first'" + strings.Repeat(" ", n))
		return asked() > 0
	})
	before := asked()
	yes, no, never := h.Ask("select 1"), h.Ask("select 2"), h.Ask("select 3")
	eventually(t, "three are asked", func() bool { return asked() >= before+3 }) // more where an early one is heard late
	for id, d := range map[string]string{yes.ID: approval.Approve, no.ID: approval.Deny} {
		if err := h.Answer(id, "person:ana", d); err != nil {
			t.Fatal(err)
		}
	}
	end := func(s string) float64 { return read("assent_approvals_ended_total", s) }
	eventually(t, "two are decided", func() bool { return end("approved") == 1 && end("denied") == 1 })
	h.Pass(2 * 3600e9)
	eventually(t, "the rest expired", func() bool { return end("expired") >= 1 })
	if end("approved") != 1 || h.Get(never.ID).State != approval.Expired {
		t.Errorf("approved %v", end("approved"))
	}
}
