package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// problemURN begins the type of every problem of ours; docs/api.md lists them.
const problemURN = "urn:assent:problem:"

// arapURN begins the types that the Access Request and Approval Profile defines.
const arapURN = "urn:openid:authzen:access-request:error:"

// A Problem is the only form of an error on this API (RFC 9457). Nothing in it
// comes from an inner error: what was wrong inside stays in the log, under the same request id.
type Problem struct {
	Type      string         `json:"type" doc:"What went wrong, as a URI that doesn't change"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Detail    string         `json:"detail,omitempty" doc:"What to do about it, for a person to read"`
	Need      string         `json:"need,omitempty" doc:"The assurance that a review needs"`
	Approval  string         `json:"approval,omitempty" doc:"Of a command that may not run: the approval that says so"`
	URL       string         `json:"url,omitempty" doc:"Where that can be looked at"`
	RequestID string         `json:"request_id,omitempty" doc:"Finds this request in the server's log"`
	Errors    []ProblemField `json:"errors,omitempty"`

	retryAfter time.Duration
	challenge  bool // WWW-Authenticate goes with it
}

// A ProblemField says which part of a request was wrong.
type ProblemField struct {
	Location string `json:"location,omitempty"`
	Message  string `json:"message"`
}

func (p *Problem) Error() string { return p.Type + ": " + p.Detail }

// GetStatus makes a Problem the status error that huma writes.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is application/problem+json (RFC 9457 section 3).
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problem(status int, slug, detail string) *Problem {
	return &Problem{Type: problemURN + slug, Title: http.StatusText(status), Status: status, Detail: detail}
}

func arapProblem(status int, name, detail string) *Problem {
	p := problem(status, "", detail)
	p.Type = arapURN + name
	return p
}

// headers are what must accompany the body.
func (p *Problem) headers(set func(name, value string)) {
	if p.retryAfter > 0 {
		set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	if p.challenge {
		set("WWW-Authenticate", `Bearer realm="assent"`)
	}
}

// write answers a request that never reached an operation.
func (p *Problem) write(w http.ResponseWriter, r *http.Request) {
	p.RequestID = infoOf(r.Context()).id
	h := w.Header()
	h.Set("Content-Type", p.ContentType(""))
	p.headers(h.Set)
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(p) // the client left: nobody to tell
	}
}

// asProblem turns every error into one that may leave the house.
func asProblem(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, context.DeadlineExceeded):
		p = problem(http.StatusServiceUnavailable, "timeout", "Nobody could decide in time, so nothing was allowed. Try again.")
		p.retryAfter = 5 * time.Second
		return p
	}
	for _, m := range knownErrors() {
		if p := m(err); p != nil {
			return p
		}
	}
	return problem(http.StatusInternalServerError, "internal", "Something broke on our side, and nothing was allowed. The log has the request id.")
}

// transform is the last thing before a body is written: whatever error huma
// made by itself becomes a Problem, without the value that was wrong (it may be
// a secret or a whole body).
func transform(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*Problem)
	if m, huma := v.(*huma.ErrorModel); huma {
		p, ok = problem(m.Status, slugOf(m.Status), m.Detail), true
		if m.Status >= 500 {
			p.Detail = ""
		}
		for _, e := range m.Errors {
			if e != nil && m.Status < 500 {
				p.Errors = append(p.Errors, ProblemField{Location: e.Location, Message: e.Message})
			}
		}
	}
	if !ok {
		return v, nil
	}
	out := *p
	out.RequestID = infoOf(ctx.Context()).id
	out.headers(ctx.SetHeader)
	return &out, nil
}

func slugOf(status int) string {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "invalid"
	case http.StatusRequestEntityTooLarge:
		return "too-large"
	case http.StatusUnsupportedMediaType:
		return "media-type"
	case http.StatusRequestTimeout:
		return "timeout"
	}
	return "internal"
}
