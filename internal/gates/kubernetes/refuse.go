package kubernetes

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
)

// A status is Kubernetes' own error document
// (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/).
type status struct {
	Kind       string         `json:"kind"`
	APIVersion string         `json:"apiVersion"`
	Metadata   struct{}       `json:"metadata"`
	Status     string         `json:"status"`
	Message    string         `json:"message"`
	Reason     string         `json:"reason"`
	Details    *statusDetails `json:"details,omitempty"`
	Code       int            `json:"code"`
}

type statusDetails struct {
	Name   string        `json:"name,omitempty"` // the approval's id
	Kind   string        `json:"kind,omitempty"`
	Causes []statusCause `json:"causes,omitempty"`
}

type statusCause struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// reasons are Kubernetes' words for HTTP's numbers.
var reasons = map[int]string{
	http.StatusBadRequest: "BadRequest", http.StatusUnauthorized: "Unauthorized", http.StatusForbidden: "Forbidden",
	http.StatusRequestEntityTooLarge: "RequestEntityTooLarge", http.StatusUnsupportedMediaType: "UnsupportedMediaType",
	http.StatusInternalServerError: "InternalError",
}

// Refuse answers by a Status, of which kubectl prints the message. What could not be decided
// is 500 and no 503, and what waits is 403: clients send 429, 503 and whatever has Retry-After beside a
// 5xx again by themselves, and would ask people again and again.
func (g *Gate) Refuse(w http.ResponseWriter, r *http.Request, code int, d *gate.Denied) {
	switch {
	case d.Hint == otherType:
		code = http.StatusUnsupportedMediaType
	case code >= 500:
		code = http.StatusInternalServerError
		w.Header().Del("Retry-After")
	}
	s := status{
		Kind: "Status", APIVersion: "v1", Status: "Failure", Message: message(d), Reason: reasons[code], Code: code,
		Details: &statusDetails{Causes: []statusCause{{Reason: "Assent" + reasonOf(d), Message: d.Reason}}},
	}
	if d.ID != "" {
		s.Details.Name, s.Details.Kind = d.ID, "approvals"
		s.Details.Causes = append(s.Details.Causes, statusCause{Reason: "AssentApproval", Message: d.ID})
	}
	if d.URL != "" {
		s.Details.Causes = append(s.Details.Causes, statusCause{Reason: "AssentURL", Message: d.URL})
	}
	g.late.keep(r, d)
	b, err := json.Marshal(s)
	if err != nil {
		b = []byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","code":500}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n'))
}

func message(d *gate.Denied) string { return "assent: " + httpgate.Sentence(d) }

// reasonOf is a refusal's state in one word: PendingApproval, Denied, Expired, …
func reasonOf(d *gate.Denied) string {
	var out strings.Builder
	for word := range strings.SplitSeq(httpgate.Decision(d), "_") {
		if word != "" {
			out.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return out.String()
}

// fallbacks remember what an exec was refused with: kubectl asks at once again over SPDY, which is not
// spoken here, and shows only what it hears last.
type fallbacks struct {
	mu   sync.Mutex
	last map[string]fallback // owned by mu
}

type fallback struct {
	credential string       // whose request it is, of one that is under way
	denied     *gate.Denied // of one that was refused
	until      time.Time
}

const (
	maxFallbacks = 1000
	fallbackTime = 10 * time.Second
)

// note remembers whose a request for a stream is, until it is answered.
func (f *fallbacks) note(r *http.Request, credential string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room()
	f.last[r.RemoteAddr+" "+r.URL.RequestURI()] = fallback{credential: credential, until: time.Now().Add(time.Hour)}
}

// room drops what is over, and everything where there is too much. f.mu is held.
func (f *fallbacks) room() {
	now := time.Now()
	for k, one := range f.last {
		if len(f.last) >= maxFallbacks || now.After(one.until) {
			delete(f.last, k)
		}
	}
	if f.last == nil {
		f.last = map[string]fallback{}
	}
}

// keep remembers what a request that note knows was refused with.
func (f *fallbacks) keep(r *http.Request, d *gate.Denied) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := r.RemoteAddr + " " + r.URL.RequestURI()
	whose, is := f.last[at]
	if !is {
		return
	}
	delete(f.last, at)
	f.last[whose.credential+" "+r.URL.RequestURI()] = fallback{denied: d, until: time.Now().Add(fallbackTime)}
}

// find is what the same request of the same credential was refused with just now.
func (f *fallbacks) find(r *http.Request, credential string) *gate.Denied {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := credential + " " + r.URL.RequestURI()
	one, is := f.last[at]
	if !is || one.denied == nil || time.Now().After(one.until) {
		return nil
	}
	delete(f.last, at)
	return one.denied
}
