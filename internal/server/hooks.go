package server

import (
	"context"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/classify/shell"
	"github.com/assenthq/assent/internal/gates/hook"
)

// makeHooks makes the gate of coding agents' hooks. It is reached at the API.
func (s *Server) makeHooks() error {
	tools, err := mcp.New(mcp.Options{})
	if err != nil {
		return err
	}
	const name = "commands"
	res := action.Resource{URN: "command:" + name, Type: "command", Env: "workstation"}
	pool := gate.NewSessions(s.enforcer.Gate(name, res, ""), 10*time.Minute)
	s.hooks, err = hook.New(hook.Config{
		Open: func(ctx context.Context, _, bearer string, from gate.Peer, session string) (gate.Session, string, func(), error) {
			from.Gate = name
			return pool.Open(ctx, bearer, from, session)
		},
		MCP: tools, Log: s.log,
		Command: func(script, dir string) *action.Action {
			r := shell.Script(script, shell.Context{Dir: dir, StdinKnown: true})
			return &action.Action{
				Kinds: r.Kinds, Verb: r.Verb, Target: r.Target, Title: r.Title, Shape: r.Shape, Reversible: r.Reversible, Routine: r.Routine,
				Payload: []byte(script), Statement: script, Data: action.Data{Destination: strings.Join(r.Hosts, ", ")},
			}
		},
	})
	s.endHooks = func() { s.hooks.Close(); pool.Close() }
	return err
}
