package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/pins"
	"github.com/assenthq/assent/internal/show"
)

// Pins are the tools of MCP servers as they were first relied on, and those held back.
type Pins interface {
	List(gate string) []pins.Tool
	Unsound() []string
	Get(id string) (pins.Tool, error)
	Diff(t *pins.Tool) []pins.Line
	Release(ctx context.Context, id, digest, reason string, p change.Proposal) (change.Entry, error)
	Hold(ctx context.Context, id, reason string, p change.Proposal) (change.Entry, error)
}

// A ToolView is one tool of an MCP server.
type ToolView struct {
	ID     string     `json:"id"`
	Gate   string     `json:"gate"`
	Server string     `json:"server"`
	Name   string     `json:"name" doc:"Fit to be shown: what deceives is escaped"`
	State  string     `json:"state" enum:"pinned,held"`
	Pinned *ToolForm  `json:"pinned,omitempty" doc:"The definition that goes through"`
	Held   *ToolForm  `json:"held,omitempty" doc:"The definition that its server lists now, and that is left out and refused"`
	Lines  []ToolLine `json:"lines,omitempty" doc:"Of one tool alone: what is pinned compared with what is held, masked"`
}

// A ToolForm is one definition of a tool.
type ToolForm struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
	By     string    `json:"by,omitempty" doc:"Who released it; none: it was the first"`
	Why    []string  `json:"why,omitempty" doc:"Why it is or was held"`
}

// A ToolLine is one line of a comparison.
type ToolLine struct {
	Op   string `json:"op" doc:"- was, + is, a space both"`
	Text string `json:"text"`
}

// A ToolList is every tool that was seen.
type ToolList struct {
	Tools   []ToolView `json:"tools"`
	Unsound []string   `json:"unsound" doc:"Ids of tools whose rows were changed outside Assent: they are held"`
}

var errNoTools = problem(http.StatusNotFound, "no-tools", "This server keeps no tools of MCP servers.")

const maxToolName = 200

func toolView(t *pins.Tool) ToolView {
	form := func(f *pins.Form) *ToolForm {
		if f == nil {
			return nil
		}
		return &ToolForm{Digest: f.Digest, At: f.At, By: f.By, Why: f.Why}
	}
	return ToolView{ID: t.ID(), Gate: t.Gate, Server: t.Server, Name: show.Plain(t.Name, maxToolName), State: t.State(), Pinned: form(t.Pinned), Held: form(t.Held)}
}

type listToolsIn struct {
	Gate string `query:"gate" maxLength:"128" doc:"Of this gate alone"`
}

type listToolsOut struct{ Body ToolList }

func (s *server) listTools(_ context.Context, in *listToolsIn) (*listToolsOut, error) {
	if s.Pins == nil {
		return nil, errNoTools
	}
	out := &listToolsOut{Body: ToolList{Tools: []ToolView{}, Unsound: append([]string{}, s.Pins.Unsound()...)}}
	for _, t := range s.Pins.List(in.Gate) {
		out.Body.Tools = append(out.Body.Tools, toolView(&t))
	}
	return out, nil
}

type toolIn struct {
	ID string `path:"id" maxLength:"64"`
}

type toolOut struct{ Body ToolView }

func (s *server) getTool(_ context.Context, in *toolIn) (*toolOut, error) {
	if s.Pins == nil {
		return nil, errNoTools
	}
	t, err := s.Pins.Get(in.ID)
	if err != nil {
		return nil, err
	}
	out := &toolOut{Body: toolView(&t)}
	for _, l := range s.Pins.Diff(&t) {
		out.Body.Lines = append(out.Body.Lines, ToolLine(l))
	}
	return out, nil
}

// A ToolRequest asks to rely on what is held.
type ToolRequest struct {
	Digest string `json:"digest" minLength:"1" maxLength:"128" doc:"Of the held definition that was looked at"`
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

type releaseToolIn struct {
	ID   string `path:"id" maxLength:"64"`
	Body ToolRequest
}

func (s *server) releaseTool(ctx context.Context, in *releaseToolIn) (*changeOut, error) {
	return s.proposeTool(ctx, func(p change.Proposal) (change.Entry, error) {
		return s.Pins.Release(ctx, in.ID, in.Body.Digest, in.Body.Reason, p)
	})
}

// A HoldRequest refuses calls of a tool.
type HoldRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"2000"`
}

type holdToolIn struct {
	ID   string `path:"id" maxLength:"64"`
	Body HoldRequest
}

func (s *server) holdTool(ctx context.Context, in *holdToolIn) (*changeOut, error) {
	return s.proposeTool(ctx, func(p change.Proposal) (change.Entry, error) { return s.Pins.Hold(ctx, in.ID, in.Body.Reason, p) })
}

func (s *server) proposeTool(ctx context.Context, ask func(change.Proposal) (change.Entry, error)) (*changeOut, error) {
	p, err := proposal(callerOf(ctx))
	if err != nil {
		return nil, err
	}
	if s.Pins == nil {
		return nil, errNoTools
	}
	e, err := ask(*p)
	if err != nil {
		return nil, err
	}
	return &changeOut{Body: s.changeView(e)}, nil
}

func toolsProblem(err error) *Problem {
	switch {
	case errors.Is(err, pins.ErrUnknown):
		return problem(http.StatusNotFound, "not-found", "No such tool was seen. GET /v1/tools lists those that were.")
	case errors.Is(err, pins.ErrRefused):
		return problem(http.StatusConflict, "stale", "Nothing was changed: "+strings.TrimSuffix(err.Error(), ": "+pins.ErrRefused.Error())+".")
	}
	return nil
}
