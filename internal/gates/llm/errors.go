package llm

import (
	"encoding/json"
	"net/http"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/classify/llm"
)

// A fault is a refusal in the words of both APIs. Clients show the message to the model.
type fault struct {
	Type     string  `json:"type"`
	Code     string  `json:"code,omitempty"`
	Message  string  `json:"message"`
	Param    *string `json:"param"`
	Approval string  `json:"approval_id,omitempty"`
	URL      string  `json:"approval_url,omitempty"`
}

// typeOf is the type of an error by its status.
func typeOf(api llm.API, status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusRequestEntityTooLarge:
		if api == llm.Anthropic {
			return "request_too_large"
		}
	}
	if status >= 500 {
		return map[llm.API]string{llm.OpenAI: "server_error", llm.Anthropic: "api_error"}[api]
	}
	return "invalid_request_error"
}

// problem is the error document of an API.
func problem(api llm.API, status int, d *gate.Denied) []byte {
	f := fault{Type: typeOf(api, status), Code: "assent_" + httpgate.Decision(d), Message: httpgate.Sentence(d), Approval: d.ID, URL: d.URL}
	var doc any
	if api == llm.Anthropic {
		doc = struct {
			Type  string `json:"type"`
			Error fault  `json:"error"`
		}{"error", f}
	} else {
		doc = struct {
			Error fault `json:"error"`
		}{f}
	}
	out, _ := json.Marshal(doc) // of strings alone
	return append(out, '\n')
}

// broken is the event by which a stream ends that can't go on.
func broken(q *question, d *gate.Denied, sequence int64) []byte {
	switch {
	case q.provider.API == llm.Anthropic:
		doc := problem(llm.Anthropic, http.StatusInternalServerError, d)
		return append(append([]byte("event: error\ndata: "), doc...), '\n')
	case q.op.Name == "responses":
		doc, _ := json.Marshal(struct {
			Type     string  `json:"type"`
			Code     string  `json:"code"`
			Message  string  `json:"message"`
			Param    *string `json:"param"`
			Sequence int64   `json:"sequence_number"`
		}{"error", "assent_" + httpgate.Decision(d), httpgate.Sentence(d), nil, sequence})
		return append(append([]byte("event: error\ndata: "), doc...), "\n\n"...)
	}
	doc := problem(llm.OpenAI, http.StatusInternalServerError, d)
	return append(append([]byte("data: "), doc...), '\n')
}
