package server

import (
	"context"
	"fmt"
	"slices"

	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/gates/command"
)

// everybodysCommands is the gate of commands where the configuration has none.
func everybodysCommands() GateConfig {
	return GateConfig{Name: "commands", Type: "command", Env: "workstation"}
}

// makeCommands makes the gates of commands, before the API that they are reached through.
func (s *Server) makeCommands() error {
	var places []command.Place
	for i := range s.cfg.Gates {
		if g := &s.cfg.Gates[i]; g.Type == "command" {
			places = append(places, s.commandPlace(g))
		}
	}
	if len(places) == 0 {
		g := everybodysCommands()
		places = append(places, s.commandPlace(&g))
	}
	var err error
	s.commands, err = command.New(places)
	return err
}

func (s *Server) commandPlace(g *GateConfig) command.Place {
	p := command.Place{Name: g.Name, Authority: s.enforcer.Gate(g.Name, resourceOf(g), systemOf(g))}
	for _, id := range g.Actors {
		for _, a := range s.cfg.Actors {
			if a.ID == id {
				p.Actors = append(p.Actors, a.Type+":"+a.ID)
			}
		}
	}
	return p
}

// commandGate has nothing of its own to serve: makeCommands made it.
func commandGate(*Server, *GateConfig) (runningGate, error) { return runningGate{}, nil }

// reachNothing is of gates without an upstream.
func reachNothing(context.Context, *Server, *GateConfig) error { return nil }

// environment tells an actor which gates there are.
func (s *Server) environment(actor string) api.Environment {
	out := api.Environment{Gates: []api.EnvironmentGate{}, Commands: s.commands.Name(actor), Egress: s.egressOf()}
	for _, g := range s.gates {
		if addr := s.GateAddr(g.cfg.Name); addr != "" {
			out.Gates = append(out.Gates, api.EnvironmentGate{Name: g.cfg.Name, Type: g.cfg.Type, Address: addr, Env: g.cfg.Env, Database: g.cfg.Upstream.Database, TLS: g.cfg.TLS != nil, Region: regionOf(g.cfg), Providers: providersOf(g.cfg), CA: s.trusted(g.cfg)})
		}
	}
	return out
}

func (k *checker) commandGate(at string, g *GateConfig) {
	if g.Listen != "" || g.TLS != nil {
		k.fail(at+".listen", "a command gate listens nowhere", "leave listen and tls out: it is reached where the API is")
	}
	if u := g.Upstream; u.Host != "" || u.Database != "" || u.User != "" || u.Password.sources() > 0 {
		k.fail(at+".upstream", "a command gate has none", "leave it out")
	}
}

// noActors refuses actors: of a gate that takes whoever connects to it.
func (k *checker) noActors(at string, g *GateConfig) {
	if len(g.Actors) > 0 {
		k.fail(at+".actors", "is of command gates only", "leave it out: policy says who may do what")
	}
}

// commandGates checks that each actor's commands have one gate.
func (k *checker) commandGates(c *Config) {
	rest, of := "", map[string]string{}
	for i := range c.Gates {
		g := &c.Gates[i]
		if g.Type != "command" {
			continue
		}
		at := fmt.Sprintf("$.gates[%d]", i)
		if len(g.Actors) == 0 {
			if rest != "" {
				k.fail(at+".actors", fmt.Sprintf("%s takes everybody's commands already", rest), "name the actors of all command gates but one")
			}
			rest = g.Name
		}
		for j, actor := range g.Actors {
			place := fmt.Sprintf("%s.actors[%d]", at, j)
			switch {
			case !slices.ContainsFunc(c.Actors, func(a ActorConfig) bool { return a.ID == actor }):
				k.fail(place, fmt.Sprintf("%q is not among actors", actor), "add it under actors:")
			case of[actor] != "":
				k.fail(place, fmt.Sprintf("%s takes the commands of %q already", of[actor], actor), "keep one of them: an actor can't choose its gate")
			}
			of[actor] = g.Name
		}
	}
}
