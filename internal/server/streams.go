package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/channels/webhook"
	"github.com/assenthq/assent/internal/stream"
)

// makeStreams makes a follower for each lane of each stream.
func (s *Server) makeStreams(ctx context.Context) error {
	for i := range s.cfg.Streams {
		c := &s.cfg.Streams[i]
		lanes := c.Lanes
		if len(lanes) == 0 {
			lanes = []string{stream.Decisions}
		}
		for _, lane := range lanes {
			sink, err := s.makeSink(ctx, c)
			if err != nil {
				return fmt.Errorf("stream %s: %w", c.Name, err)
			}
			f := &stream.Follower{Name: c.Name, Log: s.cfg.logName(), Sink: sink, Beginning: c.From == "beginning", Logger: s.log}
			if lane == stream.Traffic {
				f.Node, f.Source = s.cfg.nodeName(), stream.FromSpool(s.spool)
				f.Cursor = stream.FileCursor(filepath.Join(s.cfg.path(s.cfg.Data), "streams", c.Name+".json"))
			} else {
				f.Source, f.Cursor = stream.FromLog(s.store), stream.SharedCursor(c.Name, s.store, s.shared)
			}
			s.streams = append(s.streams, f)
		}
	}
	if len(s.streams) > 0 {
		s.registry.MustRegister(streamMetrics{s})
	}
	return nil
}

func (s *Server) makeSink(ctx context.Context, c *StreamConfig) (stream.Sink, error) {
	switch {
	case c.Syslog != nil:
		return s.syslogOf(c.Syslog)
	case c.OTLP != nil:
		client, headers, err := s.receiverOf(ctx, c.OTLP.Private, c.OTLP.CA, c.OTLP.Headers)
		if err != nil {
			return nil, err
		}
		return stream.NewOTLP(stream.OTLPOptions{URL: c.OTLP.URL, Client: client, Headers: headers, Node: s.cfg.nodeName(), Version: buildVersion()}), nil
	}
	w := c.Webhook
	client, headers, err := s.receiverOf(ctx, w.Private, w.CA, w.Headers)
	if err != nil {
		return nil, err
	}
	o := stream.WebhookOptions{URL: w.URL, Client: client, Headers: headers, Lines: w.Format == "lines"}
	var secrets [][]byte
	for i := range w.Secrets {
		b, err := w.Secrets[i].Read(ctx, s.cfg)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, b)
	}
	keys, err := webhook.NewSigners(secrets)
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		o.Sign = func(h http.Header, id string, body []byte) { keys.Sign(h, id, time.Now(), body) }
	}
	return stream.NewWebhook(o)
}

// receiverOf is what calls a receiver over HTTP, and the headers it asks for.
func (s *Server) receiverOf(ctx context.Context, private bool, caFile string, headers map[string]Secret) (*http.Client, map[string]string, error) {
	var ca []byte
	if caFile != "" {
		var err error
		if ca, err = os.ReadFile(s.cfg.path(caFile)); err != nil {
			return nil, nil, err
		}
	}
	client, err := webhook.NewClient(private, ca)
	if err != nil {
		return nil, nil, err
	}
	read := map[string]string{}
	for name, secret := range headers {
		b, err := secret.Read(ctx, s.cfg)
		if err != nil {
			return nil, nil, err
		}
		if slices.ContainsFunc(b, func(c byte) bool { return c < ' ' || c == 0x7f }) {
			return nil, nil, fmt.Errorf("the value of header %s has a control character in it", name)
		}
		read[name] = string(b)
	}
	return client, read, nil
}

func (s *Server) syslogOf(c *SyslogConfig) (stream.Sink, error) {
	o := stream.SyslogOptions{Address: c.Address, Facility: cmp.Or(c.Facility, 13), Limit: cmp.Or(c.Limit, 8192), Version: buildVersion()}
	if c.TLS != "off" {
		host, _, err := net.SplitHostPort(c.Address)
		if err != nil {
			return nil, err
		}
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
		if c.CA != "" {
			b, err := os.ReadFile(s.cfg.path(c.CA))
			if err != nil {
				return nil, err
			}
			o.TLS.RootCAs = x509.NewCertPool()
			if !o.TLS.RootCAs.AppendCertsFromPEM(b) {
				return nil, errors.New("ca holds no certificate in PEM form")
			}
		}
		if c.Identity != nil {
			pair, err := tls.LoadX509KeyPair(s.cfg.path(c.Identity.Cert), s.cfg.path(c.Identity.Key))
			if err != nil {
				return nil, err
			}
			o.TLS.Certificates = []tls.Certificate{pair}
		}
	}
	return stream.NewSyslog(o)
}

const streamFails = 5 * time.Minute // of failing, and readyz says so

// streamChecks tell of streams that have failed for a while. Nothing waits for them.
func (s *Server) streamChecks() []api.Check {
	var out []api.Check
	for i := range s.cfg.Streams {
		name := s.cfg.Streams[i].Name
		out = append(out, api.Check{Name: "stream " + name, Soft: true, Run: func(context.Context) error {
			for _, f := range s.streams {
				if st := f.State(); st.Stream == name && !st.Since.IsZero() && time.Since(st.Since) > streamFails {
					return fmt.Errorf("its %s have not been taken since %s, %d wait: %s", st.Lane, st.Since.UTC().Format(time.RFC3339), st.Behind, st.Error)
				}
			}
			return nil
		}})
	}
	return out
}

// streamMetrics are read when they are asked for. Labels come from the configuration.
type streamMetrics struct{ s *Server }

func streamDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"stream", "lane"}, nil)
}

// Describe implements prometheus.Collector.
func (m streamMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m streamMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, f := range m.s.streams {
		st := f.State()
		for _, v := range []struct {
			name, help string
			kind       prometheus.ValueType
			n          int64
		}{
			{"assent_stream_records_total", "Records that a receiver took from this node.", prometheus.CounterValue, st.Sent},
			{"assent_stream_behind", "Records that wait to be sent, as far as this node sends.", prometheus.GaugeValue, st.Behind},
			{"assent_stream_failures_total", "Attempts that failed.", prometheus.CounterValue, st.Failed},
			{"assent_stream_lost_total", "Records that were removed before they could be sent, or that the receiver refused for good.", prometheus.CounterValue, st.Lost},
		} {
			ch <- prometheus.MustNewConstMetric(streamDesc(v.name, v.help), v.kind, float64(v.n), st.Stream, st.Lane)
		}
	}
}
