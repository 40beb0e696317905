package server

import (
	"context"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/gates/kubernetes/kubetest"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
)

// An agent works on a real cluster with kubectl under the built-in pack: what it reads flows, masked; the
// deletion of a namespace waits with a count of what is in it, and goes on once it is approved; a command in a pod waits
// with its words on the card, and is recorded.
func TestKubernetesGate(t *testing.T) {
	const planted = "hunter2-planted"
	cluster, err := kubetest.Start("password=" + planted + "\n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	if err := cluster.Seed(planted); err != nil {
		t.Fatal(err)
	}
	s := testServer(t, string(policy.DefaultPack()), `
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
gates:
  - name: cluster
    type: kubernetes
    env: prod
    listen: 127.0.0.1:0
    kubernetes:
      server: `+cluster.URL+`
      ca: ca.pem
      token: { file: token }
`, map[string]string{"token": kubetest.Token + "\n", "ca.pem": string(cluster.CA)})
	b := &bench{Server: s, t: t}
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	operator, err := ReadOperator(s.cfg.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	api, err := client.New(operator.URL, token, nil)
	if err != nil {
		t.Fatal(err)
	}
	found, err := api.Environment(t.Context())
	if err != nil || len(found.Gates) == 0 || found.Gates[0].Type != "kubernetes" || !strings.Contains(found.Gates[0].CA, "BEGIN CERTIFICATE") || strings.Contains(found.Gates[0].CA, "PRIVATE") {
		t.Fatalf("%+v, %v", found, err)
	}
	config := filepath.Join(t.TempDir(), "config")
	if err := kubetest.WriteConfig(config, "https://"+s.GateAddr("cluster"), []byte(found.Gates[0].CA), token); err != nil {
		t.Fatal(err)
	}
	kubectl := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		return kubetest.Kubectl(ctx, config, nil, args...)
	}
	for _, args := range [][]string{{"get", "pods"}, {"get", "pod", "web", "-o", "yaml"}, {"get", "configmap", "app", "-o", "yaml"}, {"logs", "web"}} {
		if out, err := kubectl(args...); err != nil || strings.Contains(out, planted) {
			t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}

	approve := func(a *approval.Approval) {
		t.Helper()
		p, _ := s.dir.Person("person:mira")
		if _, err := s.engine.Answer(t.Context(), approval.Answer{Approval: a.ID, Person: p, Decision: approval.Approve, Channel: "console", Assurance: "console", Digest: a.Digest, Version: a.Version}); err != nil {
			t.Fatal(err)
		}
	}
	type done struct {
		out string
		err error
	}
	begin := func(args ...string) <-chan done {
		c := make(chan done, 1)
		go func() { out, err := kubectl(args...); c <- done{out, err} }()
		return c
	}
	deleting := begin("delete", "namespace", "shop", "--wait=false")
	a := b.waiting(1)[0]
	if a.Verb != "delete" || a.Target != "namespaces/shop" || !strings.Contains(a.Title, "delete namespaces shop") || a.Preview == nil || !strings.Contains(a.Preview.Text, "1 pods") || a.Preview.Destroys.N < 5 {
		t.Errorf("the card: %q %q %q %+v", a.Verb, a.Target, a.Title, a.Preview)
	}
	exec := begin("exec", "web", "--", "echo", "from inside, password="+planted)
	for _, other := range b.waiting(2) {
		if other.ID == a.ID {
			continue
		}
		if !strings.Contains(other.Statement, "echo") || strings.Contains(other.Statement, planted) {
			t.Errorf("the card of exec: %q", other.Statement)
		}
		approve(other)
	}
	if got := <-exec; got.err != nil || !strings.Contains(got.out, "from inside") || strings.Contains(got.out, planted) {
		t.Errorf("exec: %+v", got)
	}
	reading := begin("get", "secret", "db", "-o", "yaml")
	for _, other := range b.waiting(2) {
		if other.ID != a.ID {
			approve(other)
		}
	}
	if got := <-reading; got.err != nil || strings.Contains(got.out, planted) || strings.Contains(got.out, base64.StdEncoding.EncodeToString([]byte(planted))) || !strings.Contains(got.out, base64.StdEncoding.EncodeToString([]byte("[masked:sensitive]"))) {
		t.Errorf("an approved Secret, masked by the pack: %+v", got)
	}
	patching := begin("set", "image", "deployment/web", "c=nginx:2.0")
	for _, other := range b.waiting(2) {
		if other.ID == a.ID {
			continue
		}
		if other.Preview == nil || !strings.Contains(other.Preview.Text, `image: "nginx:1.0" -> "nginx:2.0"`) && !strings.Contains(other.Preview.Text, "image: nginx:1.0 -> nginx:2.0") || other.Preview.Claimed {
			t.Errorf("the card of a change: %+v", other.Preview)
		}
		approve(other)
	}
	if got := <-patching; got.err != nil {
		t.Errorf("set image: %+v", got)
	}
	if out, err := cluster.Kubectl(nil, "get", "ns", "shop", "-o", "jsonpath={.status.phase}"); err != nil || out != "Active" {
		t.Fatalf("while it is held the namespace is %s, %v", out, err)
	}
	approve(a)
	if got := <-deleting; got.err != nil || !strings.Contains(got.out, "deleted") {
		t.Errorf("delete: %+v", got)
	}
	if out, err := cluster.Kubectl(nil, "get", "ns", "shop", "-o", "jsonpath={.status.phase}"); err != nil || out != "Terminating" {
		t.Errorf("once it is approved the namespace is %s, %v", out, err)
	}
	if list, err := s.recordings.List(); err != nil || len(list) != 1 || list[0].About.Actor != "agent:worker" {
		t.Errorf("recordings: %+v, %v", list, err)
	}
	for _, k := range a.Kinds {
		if k != action.InfraDestroy {
			t.Errorf("kind %s", k)
		}
	}
}

// What a configuration of a Kubernetes gate may not say.
func TestKubernetesConfig(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":       {"", "kubernetes"},
		"http":          {"kubernetes: { server: http://10.0.0.1:6443, token: { file: t } }", "kubernetes.server"},
		"no credential": {"kubernetes: { server: https://10.0.0.1:6443 }", "kubernetes.token"},
		"two":           {"kubernetes: { server: https://10.0.0.1:6443, token: { file: t }, client: { cert: c, key: k } }", "kubernetes.token"},
		"half a pair":   {"kubernetes: { server: https://10.0.0.1:6443, client: { cert: c } }", "kubernetes.client"},
		"known group":   {"kubernetes: { server: https://10.0.0.1:6443, token: { file: t }, resources: [{ group: rbac.authorization.k8s.io, resource: roles, as: config }] }", "kubernetes.resources"},
		"no class":      {"kubernetes: { server: https://10.0.0.1:6443, token: { file: t }, resources: [{ group: a.example, as: harmless }] }", "kubernetes.resources"},
	} {
		_, err := ParseConfig("assent.yaml", []byte("data: data\ngates:\n  - name: cluster\n    type: kubernetes\n    listen: 127.0.0.1:0\n    "+c.text+"\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
