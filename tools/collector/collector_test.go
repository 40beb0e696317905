// Package collector holds the spans and log records that a server sends against the OpenTelemetry Collector's own receiver.
package collector

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// collector starts the receiver as the Collector runs it.
func collector(t *testing.T, address string) (*consumertest.TracesSink, *consumertest.LogsSink) {
	t.Helper()
	f := otlpreceiver.NewFactory()
	cfg := f.CreateDefaultConfig()
	text := map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}}
	if err := confmap.NewFromStringMap(text).Unmarshal(&cfg); err != nil {
		t.Fatal(err)
	}
	traces, logs := new(consumertest.TracesSink), new(consumertest.LogsSink)
	set := receivertest.NewNopSettings(f.Type())
	spans, err := f.CreateTraces(t.Context(), set, cfg, traces)
	if err != nil {
		t.Fatal(err)
	}
	records, err := f.CreateLogs(t.Context(), set, cfg, logs)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []component.Component{spans, records} {
		if err := r.Start(t.Context(), componenttest.NewNopHost()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Shutdown(t.Context()) })
	}
	return traces, logs
}

const pack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: web, version: 1.0.0, owner: tests }
rules:
  - { id: reads-flow, match: { kind: [data.read] }, then: allow }
tests:
  - { name: reads, given: { kind: data.read }, want: { decision: allow } }
`

// serve builds the program, runs it, and returns the token of an agent.
func serve(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "assent")
	build := exec.Command("go", "build", "-o", program, "./cmd/assent")
	build.Dir, build.Env = "../..", append(os.Environ(), "GOFLAGS=-trimpath")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, text := range map[string]string{"assent.yaml": config, "pack.yaml": pack} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "serve", "--config", filepath.Join(dir, "assent.yaml"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
	var at struct {
		URL string `json:"url"`
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(dir, "data", "operator.json"))
		if err == nil && json.Unmarshal(b, &at) == nil && at.URL != "" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the server did not start")
		}
	}
	out, err := exec.Command(program, "token", "mint", "--actor", "worker", "--json", "--data", filepath.Join(dir, "data"), "--url", at.URL).Output()
	var minted struct {
		Token string `json:"token"`
	}
	if err != nil || json.Unmarshal(out, &minted) != nil || minted.Token == "" {
		t.Fatalf("minting: %v %s", err, out)
	}
	return minted.Token
}

// An agent's request through an HTTP gate is read by the Collector's receiver: three spans of one trace, in order,
// and the record of the log with the trace's id.
func TestTheCollectorReadsWhatIsSent(t *testing.T) {
	address, gate := free(t), free(t)
	traces, logs := collector(t, address)
	heard := make(chan string, 10)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { heard <- r.Header.Get("Traceparent") }))
	defer app.Close()
	token := serve(t, `
data: data
listen: 127.0.0.1:0
policy: [pack.yaml]
people: [{ id: dana }]
actors: [{ id: worker, owner: dana }]
trace: { otlp: { url: "http://`+address+`/v1/traces", private: true } }
streams: [{ name: collector, lanes: [traffic], otlp: { url: "http://`+address+`/v1/logs", private: true } }]
gates:
  - { name: web, type: http, env: prod, listen: "`+gate+`", routes: [{ name: app, host: 127.0.0.1, upstreams: ["`+app.URL+`"] }] }
`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+gate+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(err, res)
	}
	_ = res.Body.Close()
	spans := map[string]ptrace.Span{}
	var record *plog.LogRecord
	for end := time.Now().Add(60 * time.Second); len(spans) < 3 || record == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d spans came, record %v", len(spans), record != nil)
		}
		for _, all := range traces.AllTraces() {
			for _, rs := range all.ResourceSpans().All() {
				if name, _ := rs.Resource().Attributes().Get("service.name"); name.Str() != "assent" {
					t.Errorf("service.name %q", name.Str())
				}
				for _, ss := range rs.ScopeSpans().All() {
					for _, s := range ss.Spans().All() {
						spans[s.Name()] = s
					}
				}
			}
		}
		for _, all := range logs.AllLogs() {
			for _, rl := range all.ResourceLogs().All() {
				for _, sl := range rl.ScopeLogs().All() {
					for _, l := range sl.LogRecords().All() {
						if strings.HasSuffix(l.EventName(), ".request") {
							record = &l
						}
					}
				}
			}
		}
	}
	root, decide, up := spans["gate web"], spans["decide"], spans["GET"]
	if root.Kind() != ptrace.SpanKindServer || up.Kind() != ptrace.SpanKindClient || decide.ParentSpanID() != root.SpanID() || up.ParentSpanID() != root.SpanID() || up.TraceID() != root.TraceID() || decide.TraceID() != root.TraceID() {
		t.Errorf("spans of another shape: %v %v %v", root, decide, up)
	}
	if root.Links().Len() != 1 || root.Links().At(0).TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Error("the claim is no link")
	}
	if status, _ := up.Attributes().Get("http.response.status_code"); status.Int() != 200 {
		t.Errorf("the status is %v", status.Int())
	}
	if got := <-heard; got != "00-"+up.TraceID().String()+"-"+up.SpanID().String()+"-01" {
		t.Errorf("the application heard %q", got)
	}
	if record.TraceID() != root.TraceID() {
		t.Errorf("the log's record is of trace %s, the spans are of %s", record.TraceID(), root.TraceID())
	}
}
