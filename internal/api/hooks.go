package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/hook"
)

// Hooks answers the documents of coding agents.
type Hooks interface {
	Answer(ctx context.Context, agent string, r hook.Request) (hook.Result, error)
}

type hookIn struct {
	Agent   string `path:"agent" maxLength:"32" pattern:"^[a-z-]+$" doc:"claude-code, codex, cursor or gemini"`
	Wait    int    `query:"wait" minimum:"0" maximum:"590" default:"590" doc:"Seconds to hold the call while it waits for people"`
	Pending string `query:"pending" enum:"deny,defer" default:"deny" doc:"What is said of a call that still waits: defer ends a run without a person at it, which asks again when it is resumed"`
}

// statusHeader and approvalHeader tell a client, in one word, what the document says.
const (
	statusHeader   = "Assent-Status"
	approvalHeader = "Assent-Approval"
)

// answerHook answers 200 whatever the document says or is: an agent that gets
// anything else may let the call run. The body is the agent's own and is not read
// as one of ours.
func (s *server) answerHook(ctx context.Context, in *hookIn) (*huma.StreamResponse, error) {
	if s.Hooks == nil {
		return nil, problem(http.StatusNotFound, "not-found", "This server answers no hooks.")
	}
	asker := callerOf(ctx).Asker
	if asker == nil || len(asker.Chain) == 0 {
		return nil, problem(http.StatusForbidden, "scope", "This credential names no actor.")
	}
	actor := asker.Chain[0].ID
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		body, err := readHook(w, r)
		if err != nil {
			problem(http.StatusBadRequest, "body", "The body did not arrive whole.").write(w, r)
			return
		}
		res, err := s.Hooks.Answer(r.Context(), in.Agent, hook.Request{
			Actor: actor, Bearer: infoOf(ctx).bearer, From: gate.Peer{Address: r.RemoteAddr, Client: in.Agent}, Body: body,
			Wait: time.Duration(in.Wait) * time.Second, Defer: in.Pending == "defer", Trace: infoOf(ctx).trace,
		})
		switch {
		case errors.Is(err, hook.ErrNoAgent):
			problem(http.StatusNotFound, "not-found", "There is no adapter for that agent. Known are "+strings.Join(hook.Agents(), ", ")+".").write(w, r)
			return
		case err != nil:
			res.Status = "denied"
			res.Body, _ = hook.Refuse(in.Agent, body, refusedHook(err))
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set(statusHeader, res.Status)
		if res.Approval != "" {
			w.Header().Set(approvalHeader, res.Approval)
		}
		_, _ = w.Write(res.Body) // the agent left: nobody to tell
	}}, nil
}

// refusedHook says why nobody came in, who had a valid credential a moment ago.
func refusedHook(err error) string {
	var d *gate.Denied
	if errors.As(err, &d) {
		return "Assent refused this: " + d.Reason + ". " + d.Hint
	}
	return "Assent could not open a session for this credential, so the answer is no"
}

// readHook reads a body, and of one that is too large so much that it is seen to be.
func readHook(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(readTime)) // of a connection that has none, reads end with it
	body, err := io.ReadAll(io.LimitReader(r.Body, hook.MaxBody+1))
	if err == nil && len(body) <= hook.MaxBody {
		_ = rc.SetReadDeadline(time.Time{})
	}
	return body, err
}
