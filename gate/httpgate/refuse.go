package httpgate

import (
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/assenthq/assent/gate"
)

// statusOf is the HTTP status of a refusal. One that people have not answered yet is 403 too: clients
// would send a 409, a 429 or a 503 again by themselves, and ask people again and again.
func statusOf(d *gate.Denied) int {
	switch d.Status {
	case gate.StatusUnreadable:
		return http.StatusBadRequest
	case gate.StatusNobody:
		return http.StatusServiceUnavailable
	case gate.StatusLost, gate.StatusUnreachable:
		return http.StatusBadGateway
	}
	return http.StatusForbidden
}

func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, d *gate.Denied) {
	if d.Status == gate.StatusPending {
		w.Header().Set("Retry-After", "5")
	}
	g.o.Protocol.Refuse(w, r, statusOf(d), d)
}

// Problem answers by a problem document (RFC 9457).
func Problem(w http.ResponseWriter, status int, d *gate.Denied) {
	doc := struct {
		Type     string `json:"type"`
		Title    string `json:"title"`
		Status   int    `json:"status"`
		Detail   string `json:"detail,omitempty"`
		Decision string `json:"decision"`
		Approval string `json:"approvalId,omitempty"`
		URL      string `json:"url,omitempty"`
		Hint     string `json:"hint,omitempty"`
	}{"about:blank", Title(d), status, d.Reason, Decision(d), d.ID, d.URL, d.Hint}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc)
}

// Decision is how answers name the state of a refusal.
func Decision(d *gate.Denied) string {
	if d.Status == gate.StatusPending {
		return "pending_approval"
	}
	return d.Status
}

// Title is a refusal in a few words.
func Title(d *gate.Denied) string {
	switch d.Status {
	case gate.StatusPending:
		return "Waiting for approval"
	case gate.StatusExpired:
		return "Approval expired"
	case gate.StatusNobody:
		return "Undecided"
	case gate.StatusLimit:
		return "Withheld"
	case gate.StatusUnreadable:
		return "Refused"
	case gate.StatusLost:
		return "Outcome unknown"
	case gate.StatusUnreachable:
		return "Unreachable"
	}
	return "Denied"
}

// Sentence is a refusal in one line, for protocols whose errors are a line.
func Sentence(d *gate.Denied) string {
	s := Title(d) + ": " + d.Reason + "."
	if d.ID != "" {
		s += " Approval " + d.ID + "."
	}
	if d.URL != "" {
		s += " Look at it here: " + d.URL
	}
	if d.Status == gate.StatusPending {
		s += " Make exactly the same request again: it finds this approval, and runs once it is approved."
	} else if d.Hint != "" {
		s += " What to do: " + d.Hint + "."
	}
	return s
}

func unescaped(path string) string {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return path
	}
	return plain
}
