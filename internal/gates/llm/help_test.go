package llm_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/bodies"
	classify "github.com/assenthq/assent/internal/classify/llm"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/gates/llm"
	"github.com/assenthq/assent/internal/mask"
)

// A house masks as an enforcer does, and decides as the test says.
type house struct {
	*gatetest.Authority
	set    *mask.Set
	masks  map[string]string
	engine *detect.Engine

	mu      sync.Mutex
	prompts []string
	begun   []string
}

func (h *house) Login(ctx context.Context, v gate.Verifier, from gate.Peer) (gate.Session, error) {
	s, err := h.Authority.Login(ctx, v, from)
	return &room{s, h}, err
}

type room struct {
	gate.Session
	h *house
}

func (r *room) Enforce(ctx context.Context, a *action.Action, hooks gate.Hooks) (gate.Permit, error) {
	p, err := r.Session.Enforce(ctx, a, hooks)
	if err != nil {
		return nil, err
	}
	return &pass{p, r.h}, nil
}

func (r *room) Foresee(context.Context, *action.Action) (map[string]string, error) {
	return r.h.masks, nil
}

func (r *room) Prompted(_ context.Context, session, text string) error {
	r.h.mu.Lock()
	defer r.h.mu.Unlock()
	r.h.prompts = append(r.h.prompts, session+": "+text)
	return nil
}

type pass struct {
	gate.Permit
	h *house
}

func (p *pass) Masks() map[string]string                { return p.h.masks }
func (p *pass) Bare() bool                              { return len(p.h.masks) == 0 }
func (p *pass) Clear(string, []byte) bool               { return p.Bare() }
func (p *pass) Text(b []byte) []byte                    { return p.h.set.Text(b) }
func (p *pass) Stream(to io.Writer, _ bool) gate.Stream { return p.h.set.Writer(to) }
func (p *pass) Begun(run, _ string) {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	p.h.begun = append(p.h.begun, run)
}

// A provider answers as the test says, and keeps what arrived.
type provider struct {
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
	paths  []string
	answer func(w http.ResponseWriter, r *http.Request, body string)
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.bodies, p.heads, p.paths = append(p.bodies, string(body)), append(p.heads, r.Header.Clone()), append(p.paths, r.URL.RequestURI())
	answer := p.answer
	p.mu.Unlock()
	if answer == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"x","choices":[]}`)
		return
	}
	answer(w, r, string(body))
}

// all is every byte that arrived.
func (p *provider) all() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for i := range p.bodies {
		b.WriteString(p.paths[i] + "\n" + p.bodies[i] + "\n")
		_ = p.heads[i].Write(&b)
	}
	return b.String()
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.bodies)
}

// A stage is a gate with two providers behind it.
type stage struct {
	t        *testing.T
	house    *house
	upstream *provider
	server   *httptest.Server
	url      string
}

const realKey = "the-real-key-of-the-provider"

// allMasked are masks for every class.
func allMasked() map[string]string {
	out := map[string]string{}
	for _, c := range detect.Classes() {
		out[string(c)] = mask.Redact
	}
	return out
}

func newStage(t *testing.T, change func(*llm.Config), masks map[string]string) *stage {
	t.Helper()
	engine, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, upstream: &provider{}, house: &house{Authority: &gatetest.Authority{}, masks: masks, engine: engine}}
	s.house.set = mask.New([]byte("a key"), engine).For("agent:x", masks)
	up := httptest.NewServer(s.upstream)
	t.Cleanup(up.Close)
	at, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	key := func(context.Context) ([]byte, error) { return []byte(realKey + "\n"), nil }
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	o := llm.Config{
		Name: "models", Resource: "llm:models", Detect: engine, Log: slog.New(slog.DiscardHandler),
		Providers: []llm.Provider{
			{Name: "openai", API: classify.OpenAI, URL: at, Transport: transport, Key: key, Models: []string{"gpt-*"}},
			{Name: "anthropic", API: classify.Anthropic, URL: at, Transport: transport, Key: key, Models: []string{"claude-*"}},
		},
	}
	if change != nil {
		change(&o)
	}
	g, err := llm.New(o)
	if err != nil {
		t.Fatal(err)
	}
	store, err := bodies.NewStore(t.TempDir(), 64<<20, 64<<20, engine)
	if err != nil {
		t.Fatal(err)
	}
	h, err := httpgate.New(httpgate.Config{Name: "models", Authority: s.house, Protocol: g, Bodies: store, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(h)
	s.url = s.server.URL
	t.Cleanup(func() {
		s.server.Close()
		h.Close()
		s.house.Check(t)
	})
	return s
}

// post sends a body and returns the status, the headers and what came back.
func (s *stage) post(path, body string, headers ...string) (int, http.Header, string) {
	s.t.Helper()
	return s.do("POST", path, "application/json", body, headers...)
}

func (s *stage) do(method, path, kind, body string, headers ...string) (int, http.Header, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Authorization", "Bearer "+gatetest.Token)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] != "" {
			req.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(out)
}

// token finds the token of a class in what arrived.
func token(body, class string) string {
	at := strings.Index(body, "⟦"+class)
	if at < 0 {
		return ""
	}
	end := strings.Index(body[at:], "⟧")
	if end < 0 {
		return ""
	}
	return body[at : at+end+len("⟧")]
}

// events are the data of a stream.
func events(body string) []string {
	var out []string
	for line := range strings.Lines(body) {
		if data, is := strings.CutPrefix(line, "data: "); is {
			out = append(out, strings.TrimRight(data, "\n"))
		}
	}
	return out
}

func sse(w http.ResponseWriter, named bool, list ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, ev := range list {
		var b bytes.Buffer
		if named {
			_, name, _ := strings.Cut(ev, `"type":"`)
			name, _, _ = strings.Cut(name, `"`)
			b.WriteString("event: " + name + "\n")
		}
		b.WriteString("data: " + ev + "\n\n")
		_, _ = w.Write(b.Bytes())
		w.(http.Flusher).Flush()
	}
}

var _ = slices.Contains[[]string]
