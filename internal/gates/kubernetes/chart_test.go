package kubernetes_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// TestChartAtAnAPIServer: what packaging/helm/example.yaml renders to (tools/deploy holds the file to that) is
// taken by Kubernetes' own API server without a warning, in a namespace that enforces its restricted standard for pods; and the pod
// itself is admitted there.
func TestChartAtAnAPIServer(t *testing.T) {
	c := cluster(t)
	text, err := os.ReadFile("testdata/chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	namespace := `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"assent","labels":{"pod-security.kubernetes.io/enforce":"restricted","pod-security.kubernetes.io/warn":"restricted"}}}`
	if out, err := c.Kubectl(strings.NewReader(namespace), "create", "-f", "-"); err != nil {
		t.Fatal(err, out)
	}
	defer func() {
		if out, err := c.Kubectl(nil, "delete", "namespace", "assent", "--wait=false"); err != nil {
			t.Error(err, out)
		}
	}()
	create := func(doc []byte) (string, error) {
		return c.Kubectl(bytes.NewReader(doc), "-n", "assent", "create", "--validate=strict", "--warnings-as-errors", "-f", "-")
	}
	out, err := create(text)
	if err != nil || strings.Count(out, " created") != 7 {
		t.Fatalf("%v: %s", err, out)
	}
	// No controller runs here that would make pods of the StatefulSet.
	var set struct {
		Spec struct {
			Template struct {
				Metadata map[string]any
				Spec     map[string]any
			}
		}
	}
	for _, doc := range regexp.MustCompile(`(?m)^---\n`).Split(string(text), -1) {
		if strings.Contains(doc, "kind: StatefulSet") {
			if err := yaml.Unmarshal([]byte(doc), &set); err != nil {
				t.Fatal(err)
			}
		}
	}
	pod := func(change func(spec map[string]any)) (string, error) {
		spec := set.Spec.Template.Spec
		volumes, _ := spec["volumes"].([]any)
		spec["volumes"] = append(volumes, map[string]any{"name": "data", "emptyDir": map[string]any{}})
		defer func() { spec["volumes"] = volumes }()
		change(spec)
		meta := set.Spec.Template.Metadata
		meta["name"] = "assent-0"
		doc, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
		if err != nil {
			t.Fatal(err)
		}
		return create(doc)
	}
	if out, err := pod(func(map[string]any) {}); err != nil {
		t.Fatalf("the pod is not admitted: %v: %s", err, out)
	}
	if out, err := pod(func(s map[string]any) { s["hostNetwork"] = true }); err == nil || !strings.Contains(out, `violates PodSecurity "restricted`) {
		t.Errorf("the namespace enforces nothing: %v: %s", err, out)
	}
}
