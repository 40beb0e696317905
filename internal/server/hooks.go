package server

import (
	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/mcp"
	"github.com/assenthq/assent/internal/gates/command"
	"github.com/assenthq/assent/internal/gates/hook"
)

// makeHooks makes the gate of coding agents' hooks, after the gates of commands: what
// an agent's tools do counts as its commands do. It is reached at the API.
func (s *Server) makeHooks() error {
	tools, err := mcp.New(mcp.Options{Class: s.classOf, Mask: s.masked})
	if err != nil {
		return err
	}
	s.hooks, err = hook.New(hook.Config{
		Open: s.commands.Open,
		Command: func(script, dir string) *action.Action {
			c := &command.Command{Script: script, Dir: dir}
			if c.Check() != nil {
				return nil
			}
			return command.Describe(c)
		},
		MCP: tools, Log: s.log,
	})
	return err
}
