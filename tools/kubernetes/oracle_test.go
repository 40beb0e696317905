// Package kubernetes holds our reading of requests against Kubernetes' own code.
package kubernetes

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/internal/classify/kubernetes"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/randfill"
)

var words = []string{"api", "apis", "v1", "apps", "batch", "namespaces", "shop", "pods", "secrets", "web", "exec", "log", "watch", "proxy", "status", "finalize", "nodes", "deployments", "scale", "kube-system", "openapi", "v3", "metrics", "rbac.authorization.k8s.io", "a b"}

// What we read of a path is what the API server reads of it, wherever we read it at all.
func TestRequestInfo(t *testing.T) {
	theirs := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	r := rand.New(rand.NewPCG(1, 2))
	read, refused := 0, 0
	for range 300_000 {
		method := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}[r.IntN(6)]
		var path strings.Builder
		if n := r.IntN(4); n == 1 {
			path.WriteString("/api/v1")
		} else if n > 1 {
			path.WriteString("/apis/apps/v1")
		}
		for range r.IntN(8) {
			path.WriteString("/" + url.PathEscape(words[r.IntN(len(words))]))
			if r.IntN(60) == 0 {
				path.WriteString([]string{"/", "/..", "%2f", "%2e%2e", "//", "/."}[r.IntN(6)])
			}
		}
		if path.Len() == 0 || r.IntN(40) == 0 {
			path.WriteString("/")
		}
		query := []string{"", "watch=1", "watch=false", "watch=0", "watch=true&watch=false", "watch", "dryRun=All"}[r.IntN(7)]
		u, err := url.Parse("https://x" + path.String() + "?" + query)
		if err != nil {
			continue
		}
		ours, err := kubernetes.Read(method, u.EscapedPath(), u.Query())
		if err != nil {
			refused++
			continue
		}
		info, err := theirs.NewRequestInfo(&http.Request{Method: method, URL: u})
		if err != nil {
			t.Fatalf("%s %s: we read %+v, they don't: %v", method, u, ours, err)
		}
		read++
		if ours.Resourceful != info.IsResourceRequest {
			t.Fatalf("%s %s: %+v, theirs %+v", method, u, ours, info)
		}
		if !ours.Resourceful {
			continue
		}
		if ours.Verb != info.Verb || ours.Group != info.APIGroup || ours.Version != info.APIVersion || ours.Namespace != info.Namespace ||
			ours.Resource != info.Resource || ours.Subresource != info.Subresource || ours.Name != info.Name {
			t.Fatalf("%s %s:\n ours   %+v\n theirs %+v", method, u, ours, info)
		}
	}
	t.Logf("%d read alike, %d refused", read, refused)
	if read < 100_000 {
		t.Fatal("too few are read")
	}
}

// An object in protobuf is judged as the same object in JSON.
func TestProtobuf(t *testing.T) {
	j, err := kubernetes.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	pb := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	js := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{})
	fill := randfill.NewWithSeed(1).NilChance(.5).NumElements(1, 2).MaxDepth(14).Funcs(
		func(s *string, c randfill.Continue) {
			*s = []string{"", "default", "a", "Unconfined", "hostPath"}[c.Intn(5)]
		},
		func(f *metav1.FieldsV1, c randfill.Continue) { f.SetRawBytes([]byte(`{"f:spec":{}}`)) },
		func(e *runtime.RawExtension, c randfill.Continue) { e.Raw = []byte(`{"kind":"x"}`) },
	)
	for path, make := range map[string]func() runtime.Object{
		"/api/v1/namespaces/a/pods":                              func() runtime.Object { return &corev1.Pod{} },
		"/api/v1/namespaces/a/secrets":                           func() runtime.Object { return &corev1.Secret{} },
		"/api/v1/namespaces/a/configmaps":                        func() runtime.Object { return &corev1.ConfigMap{} },
		"/api/v1/namespaces/a/services":                          func() runtime.Object { return &corev1.Service{} },
		"/api/v1/namespaces":                                     func() runtime.Object { return &corev1.Namespace{} },
		"/apis/apps/v1/namespaces/a/deployments":                 func() runtime.Object { return &appsv1.Deployment{} },
		"/apis/apps/v1/namespaces/a/daemonsets":                  func() runtime.Object { return &appsv1.DaemonSet{} },
		"/apis/batch/v1/namespaces/a/cronjobs":                   func() runtime.Object { return &batchv1.CronJob{} },
		"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings": func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
	} {
		different := map[string]bool{}
		for range 300 {
			o := make()
			fill.Fill(o)
			if status := reflect.ValueOf(o).Elem().FieldByName("Status"); status.IsValid() {
				status.SetZero() // what the cluster says of itself is not read
			}
			kinds, _, err := scheme.Scheme.ObjectKinds(o)
			if err != nil {
				t.Fatal(err)
			}
			o.GetObjectKind().SetGroupVersionKind(kinds[0])
			var a, b bytes.Buffer
			if err := pb.Encode(o, &a); err != nil {
				t.Fatal(err)
			}
			if err := js.Encode(o, &b); err != nil {
				t.Fatal(err)
			}
			read := func(media string, body []byte) *kubernetes.Reading {
				got, err := j.Read(&kubernetes.Request{Method: "POST", Path: path, Type: media, Body: body})
				if err != nil {
					t.Fatalf("%s %s: %v\n%s", path, media, err, b.Bytes())
				}
				return got
			}
			p, q := read("application/vnd.kubernetes.protobuf", a.Bytes()), read("application/json", b.Bytes())
			slices.Sort(p.Notes)
			slices.Sort(q.Notes)
			for _, n := range q.Notes { // protobuf may say more: it writes what JSON leaves out as empty
				if !slices.Contains(p.Notes, n) {
					t.Fatalf("%s: protobuf %v, JSON %v\n%s\n%s", path, p.Notes, q.Notes, p.Document, q.Document)
				}
			}
			for _, k := range q.Kinds {
				if !slices.Contains(p.Kinds, k) {
					t.Fatalf("%s: protobuf %v, JSON %v", path, p.Kinds, q.Kinds)
				}
			}
			if !slices.Equal(p.Kinds, q.Kinds) {
				different[strings.Join(p.Notes, ", ")+" | "+strings.Join(q.Notes, ", ")] = true
			}
		}
		if len(different) > 0 {
			t.Errorf("%s is read as more in protobuf: %v", path, different)
		}
	}
}

// The schema that is committed is the one of the modules that are named here.
func TestSchema(t *testing.T) {
	want, err := exec.Command("go", "run", "./schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../../internal/classify/kubernetes/schema.txt"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("schema.txt is another (%v); run go -C tools/kubernetes run ./schema > internal/classify/kubernetes/schema.txt", err)
	}
}
