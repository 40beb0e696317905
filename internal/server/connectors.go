package server

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/connector"
	"github.com/assenthq/assent/internal/enrol"
	"github.com/assenthq/assent/internal/identity"
)

// A dialer opens connections to what is behind a gate. net.Dialer's DialContext is one.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// dialer is how the systems of a gate are reached: through connectors where the
// configuration names a system, and then in no other way.
func (s *Server) dialer(via string) dialer {
	if via == "" {
		return (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return s.hub.Dial(ctx, via) }
}

// makeConnectors makes what connectors come to, if the configuration has them.
func (s *Server) makeConnectors(*keys) error {
	if s.cfg.Connectors == nil {
		return nil
	}
	var err error
	if s.hub, err = connector.NewHub(connector.HubOptions{Authority: s.members, Logger: s.log, Event: s.connectorEvent}); err != nil {
		return err
	}
	s.registry.MustRegister(connectorMetrics{s})
	return nil
}

// connectorEvent records who came, left and was refused, beside the traffic.
func (s *Server) connectorEvent(what, name, from, why string) {
	rec := &audit.Record{Type: audit.TypeMember, Decision: what, Detail: map[string]string{"role": string(enrol.Connector), "from": from}}
	if name != "" {
		rec.Detail["name"] = name
	}
	if why != "" {
		rec.Detail["why"] = why
	}
	if _, err := s.spool.Append(rec); err != nil {
		s.log.Error("recording an event of a connector", "connector", name, "err", err)
	}
}

// startConnectors listens. It ends after the gates, whose running actions go through it.
func (s *Server) startConnectors(ctx context.Context) error {
	s.stopConnectors = func() {}
	if s.hub == nil {
		return nil
	}
	l, err := net.Listen("tcp", s.cfg.Connectors.Listen)
	if err != nil {
		return fmt.Errorf("connectors: %w (choose another listen: in the configuration)", err)
	}
	s.connectorsAt = l.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() {
		if err := s.hub.Serve(ctx, l); err != nil {
			s.fail("connectors", err)
		}
	})
	s.stopConnectors = func() {
		cancel()
		work.Wait()
	}
	s.log.Info("connectors may come", "listen", s.connectorsAt)
	return nil
}

// ConnectorsAddr is where connectors come to; "": nowhere.
func (s *Server) ConnectorsAddr() string { return s.connectorsAt }

// connectorsAPI is what the API administers of them.
type connectorsAPI struct{ s *Server }

// apiConnectors is nil without a listener.
func apiConnectors(s *Server) api.Connectors {
	if s.hub == nil {
		return nil
	}
	return connectorsAPI{s}
}

func (c connectorsAPI) Invite(ctx context.Context, by identity.Person, name string, systems []string, life time.Duration) (string, error) {
	text, _, err := c.s.members.Invite(ctx, by, enrol.Connector, name, systems, life)
	return text, err
}

func (c connectorsAPI) Revoke(ctx context.Context, by identity.Person, name string) error {
	_, err := c.s.members.Revoke(ctx, by, enrol.Connector, name)
	return err
}

// Connectors are those that are enrolled or may enrol yet, with whether they are here.
func (c connectorsAPI) Connectors(ctx context.Context) ([]api.ConnectorView, error) {
	list, err := c.s.members.List(ctx, enrol.Connector)
	if err != nil {
		return nil, err
	}
	links, now := c.s.hub.Links(), time.Now()
	var out []api.ConnectorView
	for i := range list {
		e := &list[i]
		state := e.State(now)
		if state != "enrolled" && state != "invited" {
			continue
		}
		v := api.ConnectorView{Name: e.Name, State: state, Systems: e.Systems, By: e.By, Created: e.At}
		if at := slices.IndexFunc(links, func(l connector.Link) bool { return l.Name == e.Name }); at >= 0 && state == "enrolled" {
			l := links[at]
			v.State, v.From, v.Version, v.Since, v.Streams, v.Serves = "connected", l.From, l.Program, l.Since, l.Streams, l.Systems
		}
		out = append(out, v)
	}
	return out, nil
}

// connectorMetrics tells of connectors and of the systems that gates reach through them.
type connectorMetrics struct{ s *Server }

var (
	connectorUp      = prometheus.NewDesc("assent_connectors", "Connectors that are connected and serve a system.", []string{"system"}, nil)
	connectorStreams = prometheus.NewDesc("assent_connector_streams", "Streams that are open through a connector.", []string{"connector"}, nil)
	connectorDials   = prometheus.NewDesc("assent_connector_dials_total", "Connections that gates opened through connectors, by whether they came about.", []string{"result"}, nil)
	connectorRefused = prometheus.NewDesc("assent_connector_refused_total", "Connectors that were refused, or cut off because they did what they may not.", nil, nil)
)

func (m connectorMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- connectorUp
	ch <- connectorStreams
	ch <- connectorDials
	ch <- connectorRefused
}

func (m connectorMetrics) Collect(ch chan<- prometheus.Metric) {
	links := m.s.hub.Links()
	up := map[string]int{}
	for _, v := range m.s.cfg.vias() {
		up[v.system] = 0
	}
	for _, l := range links {
		ch <- prometheus.MustNewConstMetric(connectorStreams, prometheus.GaugeValue, float64(l.Streams), l.Name)
		for _, system := range l.Systems {
			up[system]++
		}
	}
	for system, n := range up {
		ch <- prometheus.MustNewConstMetric(connectorUp, prometheus.GaugeValue, float64(n), system)
	}
	ch <- prometheus.MustNewConstMetric(connectorDials, prometheus.CounterValue, float64(m.s.hub.Dialed.Load()), "opened")
	ch <- prometheus.MustNewConstMetric(connectorDials, prometheus.CounterValue, float64(m.s.hub.Failed.Load()), "failed")
	ch <- prometheus.MustNewConstMetric(connectorRefused, prometheus.CounterValue, float64(m.s.hub.Refused.Load()))
}
