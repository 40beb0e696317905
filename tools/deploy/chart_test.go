package deploy

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

const chartDir = "../../packaging/helm/assent"

var update = flag.Bool("update", false, "write what the example renders to")

// The example is linted as helm lint --strict does, rendered, read strictly as Kubernetes' own types, and compared with the
// document that internal/gates/kubernetes gives to a real API server.
func TestChart(t *testing.T) {
	values := example(t)
	l := lint.RunAll(chartDir, values, "assent")
	for _, m := range l.Messages {
		if m.Severity >= support.WarningSev {
			t.Error(m)
		}
	}
	text, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("..", "..", "internal", "gates", "kubernetes", "testdata", "chart.yaml")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != text {
		t.Errorf("the example renders to something else than %s (%v): go -C tools/deploy test -run TestChart . -update", golden, err)
	}
	objects := decode(t, text)
	judge(t, objects)
	if len(objects) != 7 {
		t.Errorf("%d objects are rendered", len(objects))
	}
}

// judge holds what every rendering must: nothing is root, writable, secret or open to everybody.
func judge(t *testing.T, objects []runtime.Object) {
	t.Helper()
	pods := 0
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Secret:
			t.Error("the chart makes a Secret")
		case *corev1.ServiceAccount:
			if o.AutomountServiceAccountToken == nil || *o.AutomountServiceAccountToken {
				t.Error("the service account has a token")
			}
		case *networkingv1.NetworkPolicy:
			if len(o.Spec.PolicyTypes) != 2 {
				t.Error("the network policy leaves a direction open")
			}
			for _, r := range o.Spec.Ingress {
				if len(r.From) == 0 || len(r.Ports) == 0 {
					t.Errorf("everybody is let in: %v", r)
				}
			}
			for _, r := range o.Spec.Egress {
				if len(r.To) == 0 && (len(r.Ports) != 2 || r.Ports[0].Port.IntVal != 53 || r.Ports[1].Port.IntVal != 53) {
					t.Errorf("it may go everywhere: %v", r)
				}
			}
		case *policyv1.PodDisruptionBudget:
			if o.Spec.MaxUnavailable.IntValue() != 1 {
				t.Error("more than one may be away")
			}
		case *appsv1.StatefulSet:
			pods++
			pod(t, o.Spec.Template.Spec)
		}
	}
	if pods != 1 {
		t.Errorf("%d StatefulSets", pods)
	}
}

func pod(t *testing.T, p corev1.PodSpec) {
	t.Helper()
	if p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken || p.HostNetwork || p.HostPID || p.HostIPC {
		t.Error("the pod has a token, or a namespace of its host's")
	}
	c, s := p.Containers[0], p.SecurityContext
	if len(p.Containers) != 1 || len(p.InitContainers) != 0 {
		t.Error("there are other containers")
	}
	if !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *s.FSGroupChangePolicy != corev1.FSGroupChangeOnRootMismatch {
		t.Errorf("the pod's security context: %v", s)
	}
	if cs := c.SecurityContext; *cs.AllowPrivilegeEscalation || !*cs.ReadOnlyRootFilesystem || !slices.Equal(cs.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(cs.Capabilities.Add) != 0 {
		t.Errorf("the container's security context: %v", cs)
	}
	for name, probe := range map[string]*corev1.Probe{"/readyz": c.ReadinessProbe, "/healthz": c.LivenessProbe} {
		if g := probe.HTTPGet; g == nil || g.Path != name || g.Scheme != "HTTPS" || len(g.HTTPHeaders) != 1 || g.HTTPHeaders[0].Value != "localhost" {
			t.Errorf("the probe of %s: %v", name, probe)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			t.Errorf("%s: a secret in the environment", e.Name)
		}
	}
	written := map[string]bool{"data": true, "tmp": true}
	for _, m := range c.VolumeMounts {
		if m.ReadOnly == written[m.Name] {
			t.Errorf("%s: read-only is %v", m.Name, m.ReadOnly)
		}
	}
	for _, v := range p.Volumes {
		if v.HostPath != nil || v.Secret != nil && (v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o400) {
			t.Errorf("volume %s: %v", v.Name, v)
		}
	}
}

// What can't work, or holds a secret, or names nobody, is refused or let nobody in.
func TestChartRefuses(t *testing.T) {
	for _, c := range []struct {
		what, want string
		change     func(v map[string]any)
	}{
		{"replicas without a store", "more than one needs a database", func(v map[string]any) {
			v["store"] = map[string]any{"url": ""}
			v["keysSecret"] = ""
		}},
		{"a store without keys", "make them with assent keys make", func(v map[string]any) { v["keysSecret"] = "" }},
		{"a store without a password", "store.passwordSecret.name", func(v map[string]any) { v["store"].(map[string]any)["passwordSecret"] = map[string]any{"name": ""} }},
		{"a password in the address", "and no password", func(v map[string]any) { v["store"].(map[string]any)["url"] = "postgres://assent:hunter2@db/assent" }},
		{"a password in a parameter", "and no password", func(v map[string]any) {
			v["store"].(map[string]any)["url"] = "postgres://assent@db/assent?password=hunter2"
		}},
		{"keys without a store", "leave it empty", func(v map[string]any) {
			v["store"] = map[string]any{"url": ""}
			v["replicas"] = 1
		}},
		{"another data directory", "/config", func(v map[string]any) { v["config"].(map[string]any)["data"] = "/tmp" }},
		{"no image", "/image/repository", func(v map[string]any) { v["image"] = map[string]any{"repository": ""} }},
		{"no certificate", "/tlsSecret", func(v map[string]any) { v["tlsSecret"] = "" }},
		{"no address of the console", "config.public_url", func(v map[string]any) { delete(v["config"].(map[string]any), "public_url") }},
		{"a word it doesn't know", "replica", func(v map[string]any) { v["replica"] = 3 }},
		{"everybody as a peer", "/networkPolicy/gatesFrom", func(v map[string]any) {
			v["networkPolicy"].(map[string]any)["gatesFrom"] = []any{map[string]any{}}
		}},
	} {
		values := example(t)
		c.change(values)
		if text, err := render(t, values); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: rendered %d bytes, %v", c.what, len(text), err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the password: %v", c.what, err)
		}
	}
	// The smallest that works: one pod, nobody let in.
	text, err := render(t, map[string]any{
		"image": map[string]any{"repository": "r.example/assent"}, "tlsSecret": "tls", "gates": []any{map[string]any{"name": "shop", "port": 6432}},
		"config": map[string]any{"public_url": "https://assent.example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, text)
	judge(t, objects)
	for _, o := range objects {
		switch o := o.(type) {
		case *networkingv1.NetworkPolicy:
			if len(o.Spec.Ingress) != 0 || len(o.Spec.Egress) != 1 {
				t.Errorf("nobody is named, and let in: %v", o.Spec)
			}
		case *policyv1.PodDisruptionBudget:
			t.Error("a budget for one pod, which could never be moved")
		}
	}
}

func example(t *testing.T) map[string]any {
	t.Helper()
	b, err := os.ReadFile("../../packaging/helm/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(b, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// render is helm template.
func render(t *testing.T, values map[string]any) (string, error) {
	t.Helper()
	chart, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := commonutil.ToRenderValues(chart, values, common.ReleaseOptions{Name: "assent", Namespace: "assent", IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(files[name]) != "" {
			out.WriteString("---\n# " + name + "\n" + strings.TrimSpace(files[name]) + "\n")
		}
	}
	return out.String(), nil
}

// decode reads each document as its Kubernetes type; a field that it hasn't is an error.
func decode(t *testing.T, text string) []runtime.Object {
	t.Helper()
	d := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var out []runtime.Object
	for _, doc := range strings.Split(text, "\n---\n") {
		doc = strings.TrimPrefix(doc, "---\n")
		o, _, err := d.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Errorf("%v in\n%s", err, doc)
			continue
		}
		out = append(out, o)
	}
	return out
}
