package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/trace"
)

// A spanReceiver is a collector of a test: OTLP over HTTP.
type spanReceiver struct {
	*httptest.Server
	mu   sync.Mutex
	down bool
	raw  []byte
	got  []*spans.Span
}

func newSpanReceiver(t *testing.T) *spanReceiver {
	t.Helper()
	r := &spanReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		z, err := gzip.NewReader(q.Body)
		if err != nil || q.Header.Get("Content-Type") != "application/x-protobuf" || q.Header.Get("Authorization") != "Bearer spans" || q.URL.Path != "/v1/traces" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b, err := io.ReadAll(z)
		var m collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(b, &m) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.raw = append(r.raw, b...)
		for _, rs := range m.GetResourceSpans() {
			for _, ss := range rs.GetScopeSpans() {
				r.got = append(r.got, ss.GetSpans()...)
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// trace waits for the trace that has a span called name, which wanted likes, and returns its spans by name.
func (r *spanReceiver) trace(t *testing.T, name string, wanted func(*spans.Span) bool) map[string]*spans.Span {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		got := r.got
		r.mu.Unlock()
		for _, s := range got {
			if s.GetName() != name || !wanted(s) {
				continue
			}
			out := map[string]*spans.Span{}
			for _, other := range got {
				if bytes.Equal(other.GetTraceId(), s.GetTraceId()) {
					out[other.GetName()] = other
				}
			}
			return out
		}
	}
	t.Fatalf("no span %s came", name)
	return nil
}

// said is an attribute of a span as text.
func said(s *spans.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() != key {
			continue
		}
		if list := a.GetValue().GetArrayValue(); list != nil {
			var out []string
			for _, v := range list.GetValues() {
				out = append(out, v.GetStringValue())
			}
			return strings.Join(out, " ")
		}
		if n := a.GetValue().GetIntValue(); n != 0 {
			return strconv.FormatInt(n, 10)
		}
		return a.GetValue().GetStringValue()
	}
	return ""
}

func saying(key, value string) func(*spans.Span) bool {
	return func(s *spans.Span) bool { return said(s, key) == value }
}

// expect holds attributes of a span against pairs.
func expect(t *testing.T, s *spans.Span, pairs ...string) {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		if got := said(s, pairs[i]); got != pairs[i+1] {
			t.Errorf("span %s: %s is %q, want %q: %v", s.GetName(), pairs[i], got, pairs[i+1], s.GetAttributes())
		}
	}
}

const tracedPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: traced, version: 1.0.0, owner: tests }
rules:
  - id: schema-stays
    match: { kind: [schema.change] }
    then: deny
  - id: writes-wait
    match: { kind: [data.write, data.delete, tool.call] }
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 20m, assurance: token }
  - id: reads-flow
    match: { kind: [data.read, data.export] }
    then: allow
  - id: masked
    match: { actor: [agent] }
    then: mask
    mask: { email: redact }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// An action of a database, an application and a tool is one trace each: at the gate, decided,
// held, run upstream. What agents claim is a link, and nothing of what they say or get is in a span.
func TestTraces(t *testing.T) {
	c := attackCluster(t)
	defer c.Stop()
	const secret = "4012888888881881"
	const claim = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00" // its flag says: don't sample
	receiver := newSpanReceiver(t)
	heard := make(chan http.Header, 100)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.Header.Clone()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"owner":"ana.lopes@example.net"}`)
	}))
	defer app.Close()
	toolTraces := make(chan string, 1000)
	tools := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	mcp.AddTool(tools, &mcp.Tool{Name: "read_note"}, func(_ context.Context, r *mcp.CallToolRequest, _ noteArgs) (*mcp.CallToolResult, any, error) {
		toolTraces <- r.Extra.Header.Get("Traceparent")
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "nothing"}}}, nil, nil
	})
	notes := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{Stateless: true}))
	defer notes.Close()

	root, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s dbname=postgres sslmode=disable", c.Port, c.User, c.Password))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close(context.Background()) }()
	if _, err := root.Exec(t.Context(), "create table orders (id int, card text); insert into orders values (1, '"+secret+"')").ReadAll(); err != nil {
		t.Fatal(err)
	}
	s := testServer(t, tracedPack, `
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
trace: { otlp: { url: "`+receiver.URL+`/v1/traces", private: true, headers: { Authorization: { file: spans } } } }
gates:
  - name: shop
    type: postgres
    listen: 127.0.0.1:0
    env: prod
    upstream: { host: 127.0.0.1, port: `+strconv.Itoa(c.Port)+`, database: postgres, user: `+c.User+`, password: { file: pw }, tls: "off" }
  - name: web
    type: http
    env: prod
    listen: 127.0.0.1:0
    routes: [{ name: billing, host: 127.0.0.1, upstreams: ["`+app.URL+`"] }]
  - name: tools
    type: mcp
    env: prod
    listen: 127.0.0.1:0
    servers: [{ name: notes, url: "`+notes.URL+`", tools: [{ tool: read_note, kinds: [data.read] }] }]
`, map[string]string{"pw": c.Password, "spans": "Bearer spans\n"})
	b := &bench{Server: s, t: t}
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(s.GateAddr("shop"))
	db, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=worker password=%s dbname=postgres sslmode=disable", host, port, token))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }()

	t.Run("a read", func(t *testing.T) {
		if _, err := db.Exec(t.Context(), "select id, card from orders where card <> '"+secret+"' /*traceparent='"+claim+"'*/").ReadAll(); err != nil {
			t.Fatal(err)
		}
		got := receiver.trace(t, "SELECT orders", func(*spans.Span) bool { return true })
		gate, decide, up := got["gate shop"], got["decide"], got["SELECT orders"]
		if len(got) != 3 || gate == nil || decide == nil {
			t.Fatalf("spans %v", got)
		}
		if l := gate.GetLinks(); len(l) != 1 || hex.EncodeToString(l[0].GetTraceId()) != claim[3:35] || hex.EncodeToString(gate.GetTraceId()) == claim[3:35] || len(gate.GetParentSpanId()) != 0 {
			t.Errorf("the claim: %v", gate)
		}
		if !bytes.Equal(decide.GetParentSpanId(), gate.GetSpanId()) || !bytes.Equal(up.GetParentSpanId(), gate.GetSpanId()) || gate.GetKind() != spans.Span_SPAN_KIND_SERVER || up.GetKind() != spans.Span_SPAN_KIND_CLIENT {
			t.Errorf("who is whose: %v", got)
		}
		if gate.GetStartTimeUnixNano() > up.GetStartTimeUnixNano() || up.GetStartTimeUnixNano() > up.GetEndTimeUnixNano() || up.GetEndTimeUnixNano() > gate.GetEndTimeUnixNano() || gate.GetStatus().GetCode() != spans.Status_STATUS_CODE_UNSET {
			t.Errorf("times and status: %v", got)
		}
		expect(t, gate, "assent.gate", "shop", "assent.actor", "agent:worker", "assent.kinds", "data.read", "assent.outcome", "executed", "deployment.environment.name", "prod", "assent.resource", "postgres:shop/postgres")
		expect(t, decide, "assent.decision", "allow", "assent.policy", s.policy.Current().Bundle())
		if !strings.Contains(said(decide, "assent.rules"), "reads-flow") {
			t.Errorf("rules: %s", said(decide, "assent.rules"))
		}
		expect(t, up, "db.system.name", "postgresql", "db.namespace", "postgres", "db.operation.name", "SELECT", "db.collection.name", "orders", "server.address", "127.0.0.1", "server.port", strconv.Itoa(c.Port))
	})
	t.Run("an error upstream", func(t *testing.T) {
		if _, err := db.Exec(t.Context(), "select id / 0 from orders").ReadAll(); err == nil {
			t.Fatal("one can divide by zero")
		}
		got := receiver.trace(t, "SELECT", saying("db.response.status_code", "22012"))
		if up := got["SELECT"]; up.GetStatus().GetCode() != spans.Status_STATUS_CODE_ERROR || said(up, "error.type") != "22012" || said(got["gate shop"], "assent.outcome") != "failed" {
			t.Errorf("%v", got)
		}
	})
	t.Run("a write that waits", func(t *testing.T) {
		done := make(chan error, 1)
		go func() {
			_, err := db.Exec(t.Context(), "update orders set id = 2").ReadAll()
			done <- err
		}()
		a := b.waiting(1)[0]
		b.approve(a)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		got := receiver.trace(t, "hold", saying("assent.approval", a.ID))
		if got["UPDATE orders"] == nil || got["decide"] == nil {
			t.Fatalf("spans %v", got)
		}
		expect(t, got["hold"], "assent.approval.state", "approved")
		expect(t, got["gate shop"], "assent.approval", a.ID, "assent.outcome", "executed")
		expect(t, got["decide"], "assent.decision", "review")
		recs, err := s.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeRequest}, Limit: 10})
		if err != nil || len(recs) != 1 || recs[0].Detail["trace"] != hex.EncodeToString(got["hold"].GetTraceId()) {
			t.Errorf("the log says %v, %v", recs, err)
		}
	})
	t.Run("a denial", func(t *testing.T) {
		if _, err := db.Exec(t.Context(), "drop table orders").ReadAll(); err == nil {
			t.Fatal("not denied")
		}
		got := receiver.trace(t, "gate shop", saying("assent.refused", "denied"))
		if len(got) != 2 || got["gate shop"].GetStatus().GetCode() != spans.Status_STATUS_CODE_UNSET {
			t.Errorf("spans %v", got)
		}
		expect(t, got["decide"], "assent.decision", "deny", "assent.rules", "traced/schema-stays traced/masked")
	})
	t.Run("a request of HTTP", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.GateAddr("web")+"/invoices/"+secret+"?q="+secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Traceparent", claim)
		r.Header.Set("Tracestate", "vendor=agent")
		r.Header.Set("Baggage", "card="+secret)
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatal(err, res)
		}
		_ = res.Body.Close()
		got := receiver.trace(t, "GET", func(*spans.Span) bool { return true })
		up, gate := got["GET"], got["gate web"]
		head := <-heard
		sent, ok := trace.Parse(head.Get("Traceparent"))
		if !ok || !bytes.Equal(sent.Trace[:], up.GetTraceId()) || !bytes.Equal(sent.Span[:], up.GetSpanId()) || !sent.Sampled || head.Get("Tracestate") != "" {
			t.Errorf("the application heard %v, the span is %v", head, up)
		}
		if l := gate.GetLinks(); len(l) != 1 || hex.EncodeToString(l[0].GetSpanId()) != claim[36:52] {
			t.Errorf("links %v", l)
		}
		u, _ := url.Parse(app.URL)
		expect(t, up, "http.request.method", "GET", "http.response.status_code", "200", "server.address", "127.0.0.1", "server.port", u.Port(), "url.scheme", "http")
	})
	t.Run("a call of a tool", func(t *testing.T) {
		cs, err := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: "http://" + s.GateAddr("tools") + "/mcp", HTTPClient: &http.Client{Transport: withToken(token)}, MaxRetries: -1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cs.Close() }()
		if _, err := cs.CallTool(t.Context(), &mcp.CallToolParams{Meta: mcp.Meta{"traceparent": claim}, Name: "read_note", Arguments: map[string]any{"text": secret}}); err != nil {
			t.Fatal(err)
		}
		got := receiver.trace(t, "tools/call read_note", func(*spans.Span) bool { return true })
		up := got["tools/call read_note"]
		expect(t, up, "mcp.method.name", "tools/call", "gen_ai.tool.name", "read_note", "gen_ai.operation.name", "execute_tool")
		if sent, ok := trace.Parse(<-toolTraces); !ok || !bytes.Equal(sent.Span[:], up.GetSpanId()) {
			t.Errorf("the server heard %v", sent)
		}
		if len(got["gate tools"].GetLinks()) != 1 {
			t.Errorf("links of %v", got["gate tools"])
		}
	})
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	for _, never := range []string{secret, "ana.lopes", "invoices", "select id", "dana", token} {
		if bytes.Contains(receiver.raw, []byte(never)) {
			t.Errorf("a span holds %q", never)
		}
	}
}

// While the receiver of spans is away agents notice nothing, what waits is bounded, and what was dropped is counted.
func TestNothingWaitsForSpans(t *testing.T) {
	receiver := newSpanReceiver(t)
	receiver.down = true
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer app.Close()
	s := testServer(t, tracedPack, `
people: [{ id: dana }]
actors: [{ id: worker, owner: dana }]
trace: { otlp: { url: "`+receiver.URL+`/v1/traces", private: true, headers: { Authorization: { file: spans } } } }
gates:
  - name: web
    type: http
    env: prod
    listen: 127.0.0.1:0
    routes: [{ name: billing, host: 127.0.0.1, upstreams: ["`+app.URL+`"] }]
`, map[string]string{"spans": "Bearer spans\n"})
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.GateAddr("web")+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil || res.StatusCode != http.StatusNoContent {
			t.Fatal(err, res)
		}
		_ = res.Body.Close()
	}
	for end := time.Now().Add(60 * time.Second); s.tracer.State().Failed == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody noticed that spans aren't taken")
		}
	}
	if st := s.tracer.State(); st.Sent != 0 || !strings.Contains(st.Error, "503") {
		t.Errorf("%+v", st)
	}
}
