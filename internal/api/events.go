package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/identity"
)

const (
	heartbeat    = 15 * time.Second       // a comment, so that dead connections show
	recheck      = time.Second            // is the credential still good?
	tailInterval = 250 * time.Millisecond // how often the log's head is looked at
	tailBatch    = 500                    // records read at once
	writeTime    = 10 * time.Second       // a reader that takes nothing for that long is cut off
)

type streamIn struct {
	Records bool   `query:"records" doc:"Also every record of the audit log as it is written. Takes scope read or admin"`
	From    int64  `query:"from" minimum:"-1" default:"-1" doc:"Index of the first record to send; -1: only new ones"`
	LastID  string `header:"Last-Event-ID" maxLength:"20" doc:"Where a reconnecting client goes on: the index of the last record it saw"`
}

// An ApprovalEvent says that an approval changed; look it up to see how.
type ApprovalEvent struct {
	ID      string `json:"id"`
	Version int64  `json:"version"`
	State   string `json:"state"`
}

// streamEvents answers with server-sent events (WHATWG HTML section 9.2):
// "approval" carries an ApprovalEvent, "record" a leaf of the log with its
// index as the event id.
func (s *server) streamEvents(ctx context.Context, in *streamIn) (*huma.StreamResponse, error) {
	c := callerOf(ctx)
	if in.Records && !c.Has(identity.ScopeRead) && !c.Has(identity.ScopeAdmin) {
		return nil, problem(http.StatusForbidden, "scope", "Records take scope read or admin.")
	}
	next, err := s.tailFrom(ctx, in)
	if err != nil {
		return nil, err
	}
	if !s.streams.begin(nameOf(c)) {
		p := problem(http.StatusServiceUnavailable, "busy", "Too many event streams are open.")
		p.retryAfter = 30 * time.Second
		return nil, p
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer s.streams.end(nameOf(c))
		s.metrics.streams.Inc()
		defer s.metrics.streams.Dec()
		_, w := humago.Unwrap(ctx)
		ctx.SetHeader("Content-Type", "text/event-stream")
		ctx.SetHeader("X-Accel-Buffering", "no") // a proxy that buffers would hold events back
		ctx.SetStatus(http.StatusOK)
		t := &tail{server: s, out: &eventWriter{w: w, control: http.NewResponseController(w)}, next: next, caller: c, checked: time.Now()}
		if err := t.run(ctx.Context()); err != nil && ctx.Context().Err() == nil {
			s.Logger.InfoContext(ctx.Context(), "event stream ended", "request_id", infoOf(ctx.Context()).id, "error", err)
		}
	}}, nil
}

// tailFrom is the index of the first record to send, -1 for none.
func (s *server) tailFrom(ctx context.Context, in *streamIn) (int64, error) {
	if !in.Records {
		return -1, nil
	}
	if in.LastID != "" {
		var last int64
		if n, err := fmt.Sscanf(in.LastID, "%d", &last); n != 1 || err != nil || last < 0 {
			return 0, badRequest("header.Last-Event-ID", "not an index of ours")
		}
		return last + 1, nil
	}
	if in.From >= 0 {
		return in.From, nil
	}
	head, err := s.Audit.Head(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the log's head: %w", err)
	}
	return head.Size, nil
}

// A tail is one open stream; its goroutine owns it.
type tail struct {
	server *server
	out    *eventWriter
	caller *identity.Caller
	next   int64 // index of the next record to send; -1: none are asked for

	checked time.Time // when the credential was last found good
}

func (t *tail) run(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, t.caller.Expires)
	defer cancel()
	events := t.server.Approvals.Subscribe(ctx)
	beat, look, check := time.NewTicker(heartbeat), time.NewTicker(tailInterval), time.NewTicker(recheck)
	defer beat.Stop()
	defer look.Stop()
	defer check.Stop()
	if err := t.out.comment("open"); err != nil {
		return err
	}
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-events:
			if !open {
				return nil
			}
			err = t.approval(e)
		case <-look.C:
			err = t.records(ctx)
		case <-beat.C:
			err = t.out.comment("")
		case <-check.C:
			err = t.stillGood(ctx)
		}
		if err != nil {
			return err
		}
	}
}

func (t *tail) approval(e approval.Event) error {
	body, err := json.Marshal(ApprovalEvent{ID: e.ID, Version: e.Version, State: string(e.State)})
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return t.out.event("approval", "", body)
}

// records sends what the log holds beyond the last record sent.
func (t *tail) records(ctx context.Context) error {
	if t.next < 0 {
		return nil
	}
	head, err := t.server.Audit.Head(ctx)
	if err != nil {
		return fmt.Errorf("reading the log's head: %w", err)
	}
	for t.next < head.Size {
		to := min(t.next+tailBatch, head.Size)
		err := t.server.Audit.Leaves(ctx, t.next, to, func(index int64, leaf []byte) error {
			if time.Since(t.checked) > recheck { // a long log is read for long, and slowly by whoever wants to
				if err := t.stillGood(ctx); err != nil {
					return err
				}
			}
			t.next = index + 1
			return t.out.event("record", fmt.Sprint(index), leaf)
		})
		if err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
	}
	return nil
}

// stillGood ends the stream of a credential that was revoked meanwhile.
func (t *tail) stillGood(ctx context.Context) error {
	if _, err := t.server.Credentials.Proved(ctx, t.caller.Token); err != nil {
		return fmt.Errorf("checking the credential again: %w", err)
	}
	t.checked = time.Now()
	return nil
}

// An eventWriter writes server-sent events, each flushed, each within writeTime.
type eventWriter struct {
	w       io.Writer
	control *http.ResponseController
}

func (e *eventWriter) event(name, id string, data []byte) error {
	frame := "event: " + name + "\n"
	if id != "" {
		frame += "id: " + id + "\n"
	}
	return e.write(frame + "data: " + string(data) + "\n\n") // JSON of ours has no line break
}

func (e *eventWriter) comment(text string) error { return e.write(": " + text + "\n\n") }

func (e *eventWriter) write(frame string) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		return fmt.Errorf("setting a deadline: %w", err)
	}
	if _, err := io.WriteString(e.w, frame); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	if err := e.control.Flush(); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return nil
}
