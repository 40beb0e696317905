package mcp

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
	"github.com/gorilla/websocket"
)

// bodyTime is how long a request's body may take.
const bodyTime = 60 * time.Second

// ServeHTTP serves /mcp/NAME for each server, and /mcp.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if why := g.stranger(r); why != "" {
		g.o.Refused(r.Context(), gate.Peer{Gate: g.name, Address: r.RemoteAddr}, why)
		http.Error(w, why, http.StatusForbidden)
		return
	}
	if path, is := strings.CutPrefix(r.URL.Path, wellKnown); is {
		g.describeResource(w, r, path)
		return
	}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		r = r.WithContext(identity.WithCertificates(r.Context(), r.TLS.VerifiedChains[0]))
	}
	s := g.route(r.URL.Path)
	if s == nil {
		http.Error(w, "there is no such server here", http.StatusNotFound)
		return
	}
	in, ok := g.admit(w, r)
	if !ok {
		return
	}
	switch r.Method {
	case http.MethodPost:
		g.post(w, r, s, in)
	case http.MethodGet:
		if websocket.IsWebSocketUpgrade(r) {
			g.socket(w, r, s, in)
			return
		}
		g.get(w, r, s, in)
	case http.MethodDelete:
		defer in.release()
		v := g.find(r.Header.Get(headSession), in.credential, s)
		if v == nil {
			http.Error(w, "no such session", http.StatusNotFound)
			return
		}
		v.close()
		w.WriteHeader(http.StatusNoContent)
	default:
		in.release()
		w.Header().Set("Allow", "GET, POST, DELETE")
		http.Error(w, "POST, GET or DELETE", http.StatusMethodNotAllowed)
	}
}

// post takes one message.
func (g *Gate) post(w http.ResponseWriter, r *http.Request, s *Server, in *caller) {
	kept := false
	defer func() {
		if !kept {
			in.release()
		}
	}()
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != typeJSON {
		http.Error(w, "Content-Type must be application/json", http.StatusUnsupportedMediaType)
		return
	}
	size := r.ContentLength
	if size < 0 || size > MaxMessage {
		size = MaxMessage
	}
	defer g.inHand.Add(-size)
	if g.inHand.Add(size) > maxInHand {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "too much is being asked at once; try again", http.StatusServiceUnavailable)
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxMessage))
	if err != nil {
		code := http.StatusBadRequest
		var long *http.MaxBytesError
		if errors.As(err, &long) {
			code = http.StatusRequestEntityTooLarge
			in.session.Refused(r.Context(), "a message of more than 16 MiB")
		}
		reply(w, code, fail(nil, codeInvalid, "refused: the message could not be read whole; at most 16 MiB are taken"))
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	m, err := read(raw)
	if err != nil {
		in.session.Refused(r.Context(), "a message that can't be read: "+err.Error())
		reply(w, http.StatusBadRequest, fail(nil, codeParse, "refused: "+err.Error()+"; send one JSON-RPC message at a time"))
		return
	}
	if why := mismatch(r.Header, m); why != "" {
		in.session.Refused(r.Context(), why)
		reply(w, http.StatusBadRequest, fail(m.id, codeMismatch, why))
		return
	}
	v, why := g.conversation(r, s, in, m)
	if v == nil {
		reply(w, http.StatusNotFound, fail(m.id, codeInvalid, why))
		return
	}
	kept = v.id == "" || m.method == "initialize" // it releases the session itself
	done, ok := v.use()
	if !ok {
		reply(w, http.StatusNotFound, fail(m.id, codeInvalid, "no such session: begin a new one"))
		return
	}
	defer done()
	out := &httpTaker{w: w, accepts: r.Header.Get("Accept")}
	if m.method == "initialize" {
		out.session = v.id
	}
	ctx, cancel := v.during(r.Context())
	defer cancel()
	o := v.exchange(ctx, m, r.Header, out)
	if m.method == "initialize" && !v.begun() { // the server did not take it
		out.session = ""
		defer v.close()
	}
	out.finish(o, m)
}

// conversation finds the one that a message belongs to, or begins one.
func (g *Gate) conversation(r *http.Request, s *Server, in *caller, m *message) (v *conversation, why string) {
	var err error
	switch id := r.Header.Get(headSession); {
	case m.method == "initialize":
		v, err = g.begin(r.Context(), in, s, true)
	case id != "":
		if v = g.find(id, in.credential, s); v == nil {
			return nil, "no such session: begin a new one"
		}
		return v, ""
	default:
		v, err = g.begin(r.Context(), in, s, false)
	}
	if err != nil {
		return nil, err.Error()
	}
	return v, ""
}

// mismatch says which header names something else than the body does.
func mismatch(h http.Header, m *message) string {
	version := h.Get(headVersion)
	meta := text(member(m.params, "_meta"), metaVersion)
	for _, name := range []string{headVersion, headMethod, headName, headSession} {
		if len(h.Values(name)) > 1 {
			return "header mismatch: " + name + " stands twice"
		}
	}
	if m.request() && (version >= Stateless || meta >= Stateless) {
		switch {
		case version != meta:
			return "header mismatch: " + headVersion + " and _meta name different revisions"
		case h.Get(headMethod) == "":
			return "header mismatch: " + headMethod + " is missing"
		}
	}
	if method := h.Get(headMethod); method != "" && m.method != "" && method != m.method {
		return "header mismatch: " + headMethod + " names another method than the body"
	}
	var name string
	switch m.method {
	case "tools/call", "prompts/get":
		name = text(m.params, "name")
	case "tasks/get", "tasks/update", "tasks/cancel":
		name = text(m.params, "taskId")
	case "resources/read":
		name = text(m.params, "uri")
	default:
		return ""
	}
	said := h.Get(headName)
	if said != name && decoded(said) != name && (said != "" || version >= Stateless) {
		return "header mismatch: " + headName + " names something else than the body"
	}
	return ""
}

// get opens the stream of what belongs to no request.
func (g *Gate) get(w http.ResponseWriter, r *http.Request, s *Server, in *caller) {
	defer in.release()
	if !strings.Contains(r.Header.Get("Accept"), typeEvents) {
		http.Error(w, "Accept must name text/event-stream", http.StatusNotAcceptable)
		return
	}
	id := r.Header.Get(headSession)
	if id == "" {
		w.Header().Set("Allow", "POST")
		http.Error(w, "there is no stream without a session", http.StatusMethodNotAllowed)
		return
	}
	v := g.find(id, in.credential, s)
	if v == nil {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	done, ok := v.use()
	if !ok {
		http.Error(w, "no such session", http.StatusNotFound)
		return
	}
	defer done()
	ctx, cancel := v.during(r.Context())
	defer cancel()
	out := &httpTaker{w: w, accepts: typeEvents}
	err := v.listen(ctx, r.Header.Get(headLast), r.Header, out.begin, out)
	var refused *statusError
	switch {
	case err == nil:
	case errors.As(err, &refused) && refused.code/100 == 4:
		http.Error(w, err.Error(), refused.code)
	default:
		g.log.Debug("a stream was not opened", "gate", g.name, "server", s.Name, "err", err)
		http.Error(w, "the server behind the gate can't be reached", http.StatusBadGateway)
	}
}

func reply(w http.ResponseWriter, code int, body []byte) {
	w.Header().Set("Content-Type", typeJSON)
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// An httpTaker answers one request: by JSON where the answer is all there is, by a
// stream of events otherwise.
type httpTaker struct {
	w       http.ResponseWriter
	accepts string
	session string // named in what answers initialize

	mu       sync.Mutex
	streams  bool // owned by mu
	finished bool // owned by mu
}

var errNoStream = errors.New("the client takes no stream")

func (t *httpTaker) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stream()
}

// stream begins a stream. t.mu is held.
func (t *httpTaker) stream() {
	if t.streams {
		return
	}
	t.streams = true
	t.headers()
	t.w.Header().Set("Content-Type", typeEvents)
	t.w.Header().Set("Cache-Control", "no-cache, no-transform")
	t.w.Header().Set("X-Accel-Buffering", "no")
	t.w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(t.w).Flush()
}

func (t *httpTaker) headers() {
	if t.session != "" {
		t.w.Header().Set(headSession, t.session)
	}
}

func (t *httpTaker) opened() {}

func (t *httpTaker) event(e event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished || !strings.Contains(t.accepts, typeEvents) {
		return errNoStream
	}
	t.stream()
	return t.send(e)
}

func (t *httpTaker) send(e event) error {
	if _, err := t.w.Write(e.write(nil)); err != nil {
		return err
	}
	return http.NewResponseController(t.w).Flush()
}

// finish sends the answer.
func (t *httpTaker) finish(o outcome, m *message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.finished = true
	switch {
	case t.streams:
		if len(o.last.data) > 0 {
			_ = t.send(o.last)
		}
	case len(o.last.data) > 0 && strings.Contains(t.accepts, typeEvents) && (o.stream || !strings.Contains(t.accepts, typeJSON) && !strings.Contains(t.accepts, "*/*")):
		t.stream()
		_ = t.send(o.last)
	case len(o.last.data) > 0:
		t.headers()
		reply(t.w, orNumber(o.status, statusOf(o.last.data)), o.last.data)
	case m.request():
		t.stream() // without an answer: it comes on another stream, or nobody waits for one
	default:
		t.w.WriteHeader(http.StatusAccepted)
	}
}

// statusOf is the status of an answer of our own.
func statusOf(answer []byte) int {
	fault := member(answer, "error")
	switch string(member(fault, "code")) {
	case "-32700", "-32600", "-32020", "-32021":
		return http.StatusBadRequest
	}
	return http.StatusOK
}

func orNumber(n, other int) int {
	if n == 0 {
		return other
	}
	return n
}
