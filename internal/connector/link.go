package connector

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

// Protocols of TLS's ALPN.
const (
	linkProtocol = "assent-connector/1"
	joinProtocol = "assent-connector-enrol/1"
)

const (
	handshakeTime = 10 * time.Second // for TLS, enrolment and the first message
	dialTime      = 10 * time.Second // until a stream is open
	stuck         = 30 * time.Second // a write that got nowhere for so long ends its stream
	pingEvery     = 3 * time.Second

	// DefaultSilence is how long a link may say nothing before it counts as dead.
	DefaultSilence = 8 * time.Second
)

// A heard is a TLS connection that knows when the other side was last heard of. yamux writes the
// header and the body of a frame apart: here they leave as one.
type heard struct {
	net.Conn
	last atomic.Int64 // monotonic nanoseconds since began
	kept []byte       // a header whose body comes with the next write; owned by yamux's one sender
}

var began = time.Now()

const frameHeader = 12 // bytes; yamux's specification, "Framing"

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	if n > 0 {
		h.last.Store(int64(time.Since(began)))
	}
	return n, err
}

func (h *heard) Write(p []byte) (int, error) {
	if len(h.kept) > 0 {
		before := len(h.kept)
		h.kept = append(h.kept, p...)
		n, err := h.Conn.Write(h.kept)
		if cap(h.kept) > 64<<10 {
			h.kept = nil
		}
		h.kept = h.kept[:0]
		return max(n-before, 0), err
	}
	const typeData = 0
	if len(p) == frameHeader && p[1] == typeData && p[8]|p[9]|p[10]|p[11] != 0 {
		h.kept = append(h.kept, p...)
		return len(p), nil
	}
	return h.Conn.Write(p)
}

func (h *heard) silence() time.Duration { return time.Since(began) - time.Duration(h.last.Load()) }

func settings(log *slog.Logger) *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput, c.Logger = nil, slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	c.EnableKeepAlive = false // watch does it: a busy link that answers late is not dead
	c.ConnectionWriteTimeout = stuck
	c.StreamCloseTimeout = stuck
	c.StreamOpenTimeout = stuck
	return c
}

// watch ends a session whose other side falls silent, or with ctx.
func watch(ctx context.Context, s *yamux.Session, h *heard, silence time.Duration) {
	defer func() { _ = s.Close() }()
	go func() {
		tick := time.NewTicker(min(pingEvery, silence/3+1))
		defer tick.Stop()
		for {
			select {
			case <-s.CloseChan():
				return
			case <-tick.C:
				_, _ = s.Ping() // what counts is that something comes back
			}
		}
	}()
	tick := time.NewTicker(min(time.Second, silence/4+1))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.CloseChan():
			return
		case <-tick.C:
			if h.silence() > silence {
				return
			}
		}
	}
}

// tuned is a TLS configuration for links.
func tuned(c *tls.Config) *tls.Config {
	c.DynamicRecordSizingDisabled = true // frames of many streams, not one page for a browser
	return c
}

// greeting is the connector's first message on a link; yamux begins behind its answer.
type greeting struct {
	Version int      `json:"version"`
	Program string   `json:"program"` // its version, for people
	Systems []string `json:"systems"`
}

type answer struct {
	Error string   `json:"error,omitempty"`
	Again bool     `json:"again,omitempty"` // it may be otherwise in a while
	Name  string   `json:"name,omitempty"`
	Chain [][]byte `json:"chain,omitempty"` // DER, of a renewal or an enrolment
}

// renewal asks for another certificate, on the one stream that a connector may open.
type renewal struct {
	Renew bool `json:"renew"`
}

// joining asks for a first certificate.
type joining struct {
	Token   string `json:"token"`
	Request []byte `json:"request"` // PKCS #10, DER
}
