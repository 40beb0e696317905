package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	classify "github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/console"
	"github.com/assenthq/assent/internal/notify"
	"github.com/assenthq/assent/internal/pins"
	"github.com/assenthq/assent/internal/show"
	"github.com/prometheus/client_golang/prometheus"
)

// makePins makes what keeps the tools of MCP servers as they were first relied on.
func (s *Server) makePins() error {
	var err error
	if s.pins, err = pins.Open(context.Background(), pins.Options{Box: s.box, Mask: s.masked, Held: s.tellHeld, Logger: s.log}); err != nil {
		return err
	}
	s.pins.HandleWith(s.changes)
	for _, m := range []struct{ name, help, state string }{
		{"assent_tools_pinned", "Tools of MCP servers that are as they were first relied on.", pins.Pinned},
		{"assent_tools_held", "Tools of MCP servers that are held back until somebody releases them.", pins.Held},
		{"assent_tools_unbelievable", "Tools of MCP servers whose rows were changed outside Assent; they are held.", pins.Unsound},
	} {
		if err := s.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.name, Help: m.help}, func() float64 { return float64(s.pins.Count(m.state)) })); err != nil {
			return err
		}
	}
	return nil
}

// tellHeld has channels told of a tool that is held, once an hour at most: a server
// whose tool never stays the same must not bury people.
func (s *Server) tellHeld(ctx context.Context, t pins.Tool) {
	if s.notify == nil {
		return
	}
	name, from := show.Plain(t.Name, noticeTitle), show.Plain(t.Server, noticeTitle)
	s.tell(ctx, &notify.Notice{
		ID: fmt.Sprintf("tool/%s/%d", t.ID(), t.Held.At.Unix()/int64(time.Hour/time.Second)), Kind: "alarm", Path: "/tools", Grave: t.Pinned != nil, Time: t.Held.At,
		Title: fmt.Sprintf("Held: the tool %s of %s", name, from),
		Text:  "Calls are refused until an administrator releases it. Why: " + strings.Join(t.Held.Why, "; ") + ".",
	})
}

// pinned are the pins of one gate.
type pinned struct {
	*pins.Keeper
	gate string
}

// Check is the keeper's, at this gate.
func (p pinned) Check(ctx context.Context, server string, defs []classify.Definition) ([]pins.Verdict, error) {
	return p.Keeper.Check(ctx, p.gate, server, defs)
}

// Known is the keeper's, at this gate.
func (p pinned) Known(ctx context.Context, server, tool string) (digest string, ok bool) {
	return p.Keeper.Known(ctx, p.gate, server, tool)
}

// pinned tells the keeper what the configuration says of a gate's servers.
func (s *Server) pinned(g *GateConfig) pinned {
	for i := range g.Servers {
		m := &g.Servers[i]
		s.pins.Serve(pins.Server{Gate: g.Name, Name: m.Name, Review: m.Pin == "review", Show: m.Held == "show", Allow: m.Allow, Deny: m.Deny})
	}
	return pinned{s.pins, g.Name}
}

// toolsPage is what the console shows of tools; nil where there is no gate for them.
func (s *Server) toolsPage() console.Pins {
	if !slices.ContainsFunc(s.cfg.Gates, func(g GateConfig) bool { return g.Type == "mcp" }) {
		return nil
	}
	return s.pins
}
