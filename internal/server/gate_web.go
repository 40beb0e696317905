package server

import (
	"context"
	"fmt"
	"net"

	"github.com/assenthq/assent/gate/httpgate"
)

// webGate runs one gate of a protocol that is shaped like HTTP. What is the gate's own is set by change, which may be nil.
func (s *Server) webGate(g *GateConfig, p httpgate.Protocol, change func(*httpgate.Config)) (runningGate, error) {
	client, err := s.clientTLS(g.TLS)
	if err != nil {
		return runningGate{}, err
	}
	o := httpgate.Config{
		Name: g.Name, Authority: s.enforcer.Gate(g.Name, resourceOf(g), systemOf(g)), Protocol: p,
		TLS: client, Bodies: s.bodies, Refused: s.refusedAt(g), Log: s.log,
	}
	if change != nil {
		change(&o)
	}
	web, err := httpgate.New(o)
	if err != nil {
		return runningGate{}, fmt.Errorf("making the gate: %w", err)
	}
	return runningGate{serve: func(ctx context.Context, l net.Listener) error { return web.Serve(ctx, l) }}, nil
}
