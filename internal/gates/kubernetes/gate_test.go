package kubernetes_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/bodies"
	"github.com/assenthq/assent/internal/gates/kubernetes"
	"github.com/assenthq/assent/internal/gates/kubernetes/kubetest"
	"github.com/assenthq/assent/internal/recording"
)

// planted is a value that must reach no client.
const planted = "hunter2-planted"

var (
	once    sync.Once
	shared  *kubetest.Cluster
	started error
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.Close()
	}
	os.Exit(code)
}

// cluster is one for all tests of this package.
func cluster(t *testing.T) *kubetest.Cluster {
	t.Helper()
	once.Do(func() {
		shared, started = kubetest.Start("first line\npassword=" + planted + "\nlast line\n")
		if started == nil {
			started = shared.Seed(planted)
		}
	})
	if started != nil {
		t.Fatal(started)
	}
	return shared
}

// A client is kubectl through the gate, and what the gate was asked.
type client struct {
	t         *testing.T
	config    string
	url       string
	http      *http.Client
	authority *gatetest.Authority
	store     *recording.Store
}

func hide(v []byte) []byte { return bytes.ReplaceAll(v, []byte(planted), []byte("[hidden]")) }

// through is a gate in front of the cluster.
func through(t *testing.T, a *gatetest.Authority, change ...func(*kubernetes.Config)) *client {
	t.Helper()
	return throughAuthority(t, a, a, change...)
}

func throughAuthority(t *testing.T, by gate.Authority, a *gatetest.Authority, change ...func(*kubernetes.Config)) *client {
	t.Helper()
	c := cluster(t)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CA)
	up, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	store, err := recording.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := kubernetes.Config{
		Name: "k8s", Upstream: up, Recordings: store, Log: slog.New(slog.DiscardHandler),
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true},
		Token:     func(context.Context) ([]byte, error) { return []byte(kubetest.Token), nil },
	}
	for _, f := range change {
		f(&o)
	}
	t.Cleanup(o.Transport.CloseIdleConnections)
	p, err := kubernetes.New(o)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := bodies.NewStore(t.TempDir(), 1<<30, 1<<28, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair := httptest.NewUnstartedServer(nil)
	pair.StartTLS()
	certificate := pair.TLS.Certificates[0]
	pair.Close()
	g, err := httpgate.New(httpgate.Config{
		Name: "k8s", Authority: by, Protocol: p, Bodies: kept, Log: slog.New(slog.DiscardHandler),
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	out := &client{t: t, config: filepath.Join(t.TempDir(), "config"), url: "https://" + l.Addr().String(), authority: a, store: store}
	if err := kubetest.WriteConfig(out.config, out.url, ca, gatetest.Token); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	out.http = &http.Client{Transport: transport}
	return out
}

func (c *client) kubectl(args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 60*time.Second)
	defer cancel()
	return kubetest.Kubectl(ctx, c.config, nil, args...)
}

// must is kubectl, which succeeds.
func (c *client) must(args ...string) string {
	c.t.Helper()
	out, err := c.kubectl(args...)
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// kinds is all that was asked so far.
func (c *client) kinds() []action.Kind {
	var out []action.Kind
	for _, a := range c.authority.Actions() {
		out = append(out, a.Kinds...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// forKind refuses actions of these kinds with err and permits the others.
func forKind(err error, kinds ...action.Kind) func(context.Context, *action.Action, func(gate.Held)) error {
	return func(_ context.Context, a *action.Action, _ func(gate.Held)) error {
		for _, k := range kinds {
			if slices.Contains(a.Kinds, k) {
				return err
			}
		}
		return nil
	}
}

// Reads flow as they are; nothing that is masked reaches the client in any form of answer.
func TestReads(t *testing.T) {
	t.Parallel()
	c := through(t, &gatetest.Authority{Mask: hide})
	plain := base64.StdEncoding.EncodeToString([]byte(planted))
	for _, args := range [][]string{
		{"get", "pods"},
		{"get", "pods", "-o", "wide"},
		{"get", "pods", "-o", "yaml"},
		{"get", "pod", "web", "-o", "json"},
		{"describe", "pod", "web"},
		{"get", "secret", "db", "-o", "yaml"},
		{"get", "secrets", "-o", "json"},
		{"get", "secrets", "-A"},
		{"get", "secret,configmap,pod", "-o", "yaml"},
		{"describe", "secret", "db"},
		{"get", "configmap", "app", "-o", "yaml"},
		{"logs", "web"},
		{"api-resources"},
		{"explain", "pods.spec"},
		{"get", "--raw", "/api/v1/namespaces/shop/secrets"},
		{"get", "--raw", "/api/v1/watch/namespaces/shop/secrets/db?timeoutSeconds=1"},
		{"get", "--raw", "/api/v1/namespaces/shop/secrets?watch=1&resourceVersion=0&timeoutSeconds=1"},
		{"get", "deployments", "-o", "yaml"},
	} {
		out := c.must(args...)
		if strings.Contains(out, planted) || strings.Contains(out, plain) {
			t.Errorf("kubectl %s shows what was planted:\n%s", strings.Join(args, " "), out)
		}
	}
	if out := c.must("get", "pods", "-o", "wide"); !strings.Contains(out, "web") || !strings.Contains(out, "10.1.2.3") || !strings.Contains(out, "Running") {
		t.Errorf("pods:\n%s", out)
	}
	if out := c.must("logs", "web"); !strings.HasPrefix(out, "first line\n") || !strings.Contains(out, "[hidden]") || !strings.HasSuffix(out, "last line\n") {
		t.Errorf("logs: %q", out)
	}
	if out := c.must("get", "secret", "db", "-o", "jsonpath={.data.password}"); out != base64.StdEncoding.EncodeToString([]byte("[hidden]")) {
		t.Errorf("a masked value is no base64: %q", out)
	}
	if want := []action.Kind{action.DataRead, action.SecretAccess}; !slices.Equal(c.kinds(), want) {
		t.Errorf("asked for %v, want %v", c.kinds(), want)
	}
}

// What changes, runs or destroys something is asked about, and refused in a way that kubectl prints once.
func TestHeldAndDenied(t *testing.T) {
	t.Parallel()
	pending := &gate.Denied{Status: gate.StatusPending, Reason: "waits for 1 of reviewers", ID: "apr_1", URL: "https://assent.example/approvals/apr_1"}
	c := through(t, &gatetest.Authority{Mask: hide, Decide: forKind(pending, action.InfraDestroy, action.Execute, action.Deploy, action.PrivilegeChange, action.ConfigChange, action.NetworkChange)})
	for _, args := range [][]string{
		{"delete", "namespace", "shop"},
		{"delete", "pods", "--all"},
		{"scale", "deployment", "web", "--replicas=3"},
		{"rollout", "restart", "deployment", "web"},
		{"set", "image", "deployment/web", "c=evil:1"},
		{"create", "deployment", "x", "--image=nginx"},
		{"create", "clusterrolebinding", "x", "--clusterrole=cluster-admin", "--user=me"},
		{"create", "token", "default"},
		{"create", "configmap", "x", "--from-literal=a=b"},
		{"exec", "web", "--", "touch", "/tmp/assent-must-not-run"},
		{"attach", "web"},
		{"port-forward", "pod/web", ":80"},
		{"drain", "n1", "--force", "--ignore-daemonsets"},
		{"debug", "web", "--image=busybox"},
		{"label", "namespace", "shop", "pod-security.kubernetes.io/enforce=privileged"},
	} {
		before := len(c.authority.Actions())
		out, err := c.kubectl(args...)
		if args[0] == "drain" && err == nil {
			t.Errorf("drain went through:\n%s", out)
		}
		if err == nil || !strings.Contains(out, "apr_1") || !strings.Contains(out, "Waiting for approval") {
			t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		writes := 0
		for _, a := range c.authority.Actions()[before:] {
			if !slices.Equal(a.Kinds, []action.Kind{action.DataRead}) {
				writes++
			}
		}
		if writes > 3 {
			t.Errorf("kubectl %s asked %d times", strings.Join(args, " "), writes)
		}
	}
	if out, err := shared.Kubectl(nil, "get", "ns", "shop", "-o", "jsonpath={.status.phase}"); err != nil || out != "Active" {
		t.Errorf("the namespace is %s, %v", out, err)
	}
}

// An approved request goes on as it was, in every format that kubectl writes.
func TestWrites(t *testing.T) {
	t.Parallel()
	c := through(t, &gatetest.Authority{Mask: hide})
	manifest := filepath.Join(t.TempDir(), "m.yaml")
	if err := os.WriteFile(manifest, []byte("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: applied\ndata:\n  a: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"create", "deployment", "made", "--image=nginx:1.0"}, // protobuf
		{"scale", "deployment", "made", "--replicas=2"},
		{"set", "image", "deployment/made", "nginx=nginx:1.1"},
		{"apply", "-f", manifest},
		{"apply", "--server-side", "--force-conflicts", "-f", manifest},
		{"apply", "--dry-run=server", "-f", manifest},
		{"patch", "deployment", "made", "--type=json", "-p", `[{"op":"replace","path":"/spec/replicas","value":1}]`},
		{"create", "secret", "generic", "made", "--from-literal=p=" + planted},
		{"label", "configmap", "applied", "x=y"},
		{"annotate", "configmap", "applied", "x=y"},
		{"create", "serviceaccount", "made"},
		{"create", "role", "made", "--verb=get", "--resource=pods"},
		{"create", "namespace", "made"},
		{"expose", "deployment", "made", "--port=80"},
		{"auth", "can-i", "get", "pods"},
		{"delete", "deployment,service", "made"},
		{"delete", "secret,serviceaccount,role", "made"},
		{"delete", "configmap", "applied"},
		{"delete", "namespace", "made", "--wait=false"},
	} {
		c.must(args...)
	}
	media := map[string]bool{}
	for _, a := range c.authority.Actions() {
		for line := range strings.Lines(string(a.Payload)) {
			if m, is := strings.CutPrefix(line, "content-type: "); is {
				media[strings.TrimSpace(m)] = true
			}
		}
		if strings.Contains(a.Statement, planted) || strings.Contains(a.Statement, base64.StdEncoding.EncodeToString([]byte(planted))) {
			t.Errorf("a card would show a secret:\n%s", a.Statement)
		}
		if slices.Contains(a.Kinds, action.Unknown) {
			t.Errorf("unknown: %s\n%s", a.Title, a.Statement)
		}
	}
	for _, m := range []string{"application/vnd.kubernetes.protobuf", "application/json", "application/apply-patch+yaml", "application/json-patch+json"} {
		if !media[m] {
			t.Errorf("kubectl never sent %s, only %v", m, media)
		}
	}
}

// A command's output is masked and recorded; its status comes back.
func TestExec(t *testing.T) {
	t.Parallel()
	c := through(t, &gatetest.Authority{Mask: hide})
	out := c.must("exec", "web", "--", "sh", "-c", "echo the value is "+planted[:7]+planted[7:]+"; echo other >&2")
	if !strings.Contains(out, "the value is [hidden]") || !strings.Contains(out, "other") || strings.Contains(out, planted) {
		t.Errorf("exec: %q", out)
	}
	var exited *exec.ExitError
	if _, err := c.kubectl("exec", "web", "--", "sh", "-c", "exit 7"); !errors.As(err, &exited) || exited.ExitCode() != 7 {
		t.Errorf("exit status 7 came back as %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if out, err := kubetest.Kubectl(ctx, c.config, strings.NewReader("typed\n"), "exec", "-i", "web", "--", "cat"); err != nil || out != "typed\n" {
		t.Errorf("exec -i: %q, %v", out, err)
	}
	list, err := c.store.List()
	if err != nil || len(list) != 3 {
		t.Fatalf("%d recordings, %v", len(list), err)
	}
	for _, one := range list {
		f, _, err := c.store.Read(one.About.ID)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		_ = f.Close()
		if err != nil || strings.Contains(string(b), planted) && !strings.Contains(one.About.Command, planted) {
			t.Errorf("a recording holds what was planted (%v)\n%s", err, b)
		}
	}
	asked := c.authority.Actions()
	last := asked[len(asked)-1]
	if !slices.Contains(last.Kinds, action.Execute) || !strings.Contains(last.Title, "exec pods web in shop: cat") {
		t.Errorf("%v %q", last.Kinds, last.Title)
	}
	for _, o := range c.authority.Outcomes() {
		if o.State == gate.Executed && o.Kept != "" && o.KeptDigest == "" {
			t.Error("an outcome has no digest of its recording")
		}
	}
}

func TestPortForward(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "from inside") }))
	t.Cleanup(inside.Close)
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	c := through(t, &gatetest.Authority{})
	program, err := kubetest.Program("kubectl")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--cache-dir", t.TempDir(), "port-forward", "pod/web", ":"+port)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.config)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	b := make([]byte, 200)
	n, err := out.Read(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	_, rest, _ := strings.Cut(string(b[:n]), "127.0.0.1:")
	local, _, _ := strings.Cut(rest, " ")
	resp, err := http.Get("http://127.0.0.1:" + local)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	defer func() { _ = resp.Body.Close() }()
	if body, _ := io.ReadAll(resp.Body); string(body) != "from inside" {
		t.Errorf("%q", body)
	}
	asked := c.authority.Actions()
	if last := asked[len(asked)-1]; !last.Data.Unscanned || !slices.Contains(last.Kinds, action.SessionOpen) {
		t.Errorf("%v, unscanned %v", last.Kinds, last.Data.Unscanned)
	}
}

// do is a request by hand.
func (c *client) do(method, target string, body string, header ...string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+gatetest.Token)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header[header[i]] = []string{header[i+1]}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// What isn't taken is refused by a Status, before the API server hears of it.
func TestRefused(t *testing.T) {
	t.Parallel()
	c := through(t, &gatetest.Authority{Mask: hide})
	for _, l := range []struct {
		name, method, target, body string
		header                     []string
		code                       int
		says                       string
	}{
		{"impersonation", "GET", "/api/v1/namespaces/shop/pods", "", []string{"Impersonate-User", "admin"}, 400, "whom they act as"},
		{"impersonation, otherwise spelled", "GET", "/api/v1/namespaces/shop/pods", "", []string{"impersonate_Extra-scopes", "x"}, 400, "whom they act as"},
		{"dots", "GET", "/api/v1/namespaces/shop/pods/%2e%2e/secrets", "", nil, 400, ""},
		{"double slash", "GET", "/api/v1//secrets", "", nil, 400, ""},
		{"CBOR", "POST", "/api/v1/namespaces/shop/pods", "x", []string{"Content-Type", "application/cbor"}, 415, "JSON"},
		{"compressed", "POST", "/api/v1/namespaces/shop/pods", "x", []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 400, "compressed"},
		{"SPDY", "POST", "/api/v1/namespaces/shop/pods/web/exec?command=id", "", []string{"Upgrade", "SPDY/3.1", "Connection", "Upgrade"}, 403, "WebSocket"},
		{"no credential", "GET", "/api/v1/namespaces/shop/pods", "", []string{"Authorization", ""}, 401, ""},
		{"the cluster's credential", "GET", "/api/v1/namespaces/shop/pods", "", []string{"Authorization", "Bearer " + kubetest.Token}, 401, ""},
		{"a basic credential", "GET", "/api/v1/namespaces/shop/pods", "", []string{"Authorization", "Basic YTpi"}, 403, "bearer"},
		{"a token in the query", "GET", "/api/v1/namespaces/shop/pods?access_token=x", "", []string{"Authorization", ""}, 401, ""},
	} {
		code, body := c.do(l.method, l.target, l.body, l.header...)
		var s struct{ Kind, Status, Message, Reason string }
		if err := json.Unmarshal([]byte(body), &s); err != nil || s.Kind != "Status" || s.Status != "Failure" || code != l.code || !strings.Contains(s.Message, l.says) {
			t.Errorf("%s: %d %s (%v)", l.name, code, body, err)
		}
	}
	if n := len(c.authority.Actions()); n != 0 {
		t.Errorf("%d actions were asked about", n)
	}
	code, body := c.do("GET", "/api/v1/namespaces/shop/pods", "", "X-Remote-User", "admin", "X-Remote-Group", "system:masters", "Accept", "application/vnd.kubernetes.protobuf")
	if code != 200 || !strings.Contains(body, `"kind":"PodList"`) || strings.Contains(body, planted) {
		t.Errorf("%d %.300s", code, body)
	}
}

// A watch is masked event by event as it comes, and ends when the session is cut.
func TestWatchIsCut(t *testing.T) {
	t.Parallel()
	a := &gatetest.Authority{Mask: hide}
	c := through(t, a)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/api/v1/namespaces/shop/secrets?watch=1&resourceVersion=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+gatetest.Token)
	resp, err := c.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	d := json.NewDecoder(resp.Body)
	next := func() string {
		var event struct {
			Type   string
			Object struct {
				Metadata struct{ Name string }
				Data     map[string]string
				Message  string
			}
		}
		if err := d.Decode(&event); err != nil {
			t.Fatal(err)
		}
		for k, v := range event.Object.Data {
			if plain, err := base64.StdEncoding.DecodeString(v); err != nil || strings.Contains(string(plain), planted) {
				t.Errorf("%s is shown: %s", k, plain)
			}
		}
		return event.Type + " " + event.Object.Metadata.Name + event.Object.Message
	}
	for next() != "ADDED db" {
	}
	if out, err := shared.Kubectl(nil, "-n", "shop", "create", "secret", "generic", "watched", "--from-literal=p="+planted); err != nil {
		t.Fatal(out)
	}
	for next() != "ADDED watched" { // other tests make Secrets too
	}
	a.Cut()
	over := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, resp.Body); over <- err }()
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Fatal("the watch goes on after the session was cut")
	}
}

// A preview of a deletion counts, and whatever the client says of dry runs, nothing is deleted by it; one of a
// change is a dry run that changes nothing.
func TestPreviewNeverDeletes(t *testing.T) {
	var previews []action.Preview
	no := &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
	a := &previewing{Authority: &gatetest.Authority{Decide: forKind(no, action.InfraDestroy, action.Deploy, action.ConfigChange, action.SecretAccess)}, seen: func(p action.Preview) { previews = append(previews, p) }}
	c := throughAuthority(t, a, a.Authority)
	for _, l := range []struct{ method, target, body, media, says string }{
		{"DELETE", "/api/v1/namespaces/shop?dryRun=All", `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"}`, "application/json", "all that is in it: "},
		{"DELETE", "/api/v1/namespaces/shop/pods", "", "", "would delete 1 pods: web"},
		{"DELETE", "/apis/apps/v1/namespaces/shop/deployments/web?dryRun=All", "", "", "would delete"},
		{"PATCH", "/apis/apps/v1/namespaces/shop/deployments/web", `{"spec":{"replicas":7}}`, "application/merge-patch+json", "spec.replicas: 1 -> 7"},
		{"PATCH", "/api/v1/namespaces/shop/secrets/db", `{"stringData":{"password":"` + planted + `2"}}`, "application/merge-patch+json", "data.password: (text) -> (text)"},
		{"PATCH", "/api/v1/namespaces/shop/configmaps/app", `{"data":{"note":"` + planted + `2"}}`, "application/merge-patch+json", "data.note: (text) -> (text)"},
		{"POST", "/api/v1/namespaces/shop/configmaps", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"never"}}`, "application/json", "would create"},
	} {
		previews = nil
		header := []string{}
		if l.media != "" {
			header = []string{"Content-Type", l.media}
		}
		code, body := c.do(l.method, l.target, l.body, header...)
		if code != http.StatusForbidden || len(previews) != 1 || !strings.Contains(previews[0].Text, l.says) || strings.Contains(previews[0].Text, planted) || previews[0].Claimed {
			t.Errorf("%s %s: %d %s %+v", l.method, l.target, code, body, previews)
		}
	}
	if out, err := shared.Kubectl(nil, "-n", "shop", "get", "ns/shop", "pod/web", "deployment/web", "-o", "name"); err != nil {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := shared.Kubectl(nil, "-n", "shop", "get", "configmap", "never"); err == nil {
		t.Errorf("a dry run created it: %s", out)
	}
	if out, err := shared.Kubectl(nil, "-n", "shop", "get", "deployment/web", "-o", "jsonpath={.spec.replicas}"); err != nil || out != "1" {
		t.Errorf("%s, %v", out, err)
	}
}

// previewing asks for the preview of whatever it decides.
type previewing struct {
	*gatetest.Authority
	seen func(action.Preview)
}

type previewingSession struct {
	gate.Session
	seen func(action.Preview)
}

func (p *previewing) Login(ctx context.Context, v gate.Verifier, from gate.Peer) (gate.Session, error) {
	s, err := p.Authority.Login(ctx, v, from)
	return &previewingSession{s, p.seen}, err
}

func (s *previewingSession) Enforce(ctx context.Context, a *action.Action, h gate.Hooks) (gate.Permit, error) {
	if h.Preview != nil {
		s.seen(h.Preview(ctx))
	}
	return s.Session.Enforce(ctx, a, h)
}

// An exec ends with its session.
func TestExecIsCut(t *testing.T) {
	t.Parallel()
	a := &gatetest.Authority{}
	c := through(t, a)
	done := make(chan error, 1)
	go func() { _, err := c.kubectl("exec", "web", "--", "sleep", "60"); done <- err }()
	for len(a.Actions()) < 2 { // the pod is read first
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	a.Cut()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the command ended as if it had succeeded")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the command goes on after the session was cut")
	}
}

// The fault of the gate's own credential is not told as one of the client's.
func TestOwnCredentialIsNotTaken(t *testing.T) {
	t.Parallel()
	c := through(t, &gatetest.Authority{}, func(o *kubernetes.Config) {
		o.Token = func(context.Context) ([]byte, error) { return []byte("expired"), nil }
	})
	code, body := c.do("GET", "/api/v1/namespaces/shop/pods", "")
	if code != http.StatusInternalServerError || !strings.Contains(body, "own credential") || strings.Contains(body, "expired\"") {
		t.Errorf("%d %s", code, body)
	}
}
