package kubernetes_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/classify/kubernetes"
)

// A line of a corpus: a request, and the kinds it has; or the HTTP status it is refused with.
type line struct {
	Name, Method, Path, Query, Type, Body string
	Upgrade                               bool
	Kinds                                 []action.Kind
	Refused                               int
	Harmless                              bool
	Notes                                 []string // parts of what people are told
	Hides                                 []string // what the document must not hold
}

func corpus(t testing.TB, file string) []line {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []line
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.TrimSpace(s.Text()) == "" || strings.HasPrefix(s.Text(), "//") {
			continue
		}
		var l line
		d := json.NewDecoder(strings.NewReader(s.Text()))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			t.Fatalf("%s: %v", s.Text(), err)
		}
		out = append(out, l)
	}
	if len(out) < 20 {
		t.Fatalf("%s has %d lines", file, len(out))
	}
	return out
}

func judge(t testing.TB) *kubernetes.Judge {
	t.Helper()
	j, err := kubernetes.New([]kubernetes.Rule{{Group: "cert-manager.io", Resource: "*", As: "config"}})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func (l *line) read(j *kubernetes.Judge) (*kubernetes.Reading, error) {
	q, err := url.ParseQuery(l.Query)
	if err != nil {
		return nil, err
	}
	return j.Read(&kubernetes.Request{Method: l.Method, Path: l.Path, Query: q, Type: l.Type, Body: []byte(l.Body), Upgrade: l.Upgrade})
}

func TestTitlesNameWhatIsCreated(t *testing.T) {
	j := judge(t)
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", "/apis/apps/v1/namespaces/shop/deployments", `{"metadata":{"name":"web"}}`, "create deployments.apps web in shop"},
		{"POST", "/apis/apps/v1/namespaces/shop/deployments", `{"metadata":{"name":"web in prod\n"}}`, "create deployments.apps in shop"},
		{"POST", "/apis/apps/v1/namespaces/shop/deployments", `{"metadata":{"name":7}}`, "create deployments.apps in shop"},
		{"GET", "/api/v1/secrets", "", "list secrets in all namespaces"},
		{"GET", "/api/v1/namespaces/shop/secrets", "", "list secrets in shop"},
	} {
		r, err := j.Read(&kubernetes.Request{Method: c.method, Path: c.path, Body: []byte(c.body)})
		if err != nil || r.Title != c.want {
			t.Errorf("%s %s %s: %+v, %v; want %q", c.method, c.path, c.body, r, err, c.want)
		}
	}
}

// Lines of either corpus are never removed.
func TestCorpus(t *testing.T) { run(t, "testdata/corpus.jsonl") }

func TestBypass(t *testing.T) { run(t, "testdata/bypass.jsonl") }

func run(t *testing.T, file string) {
	j := judge(t)
	for _, l := range corpus(t, file) {
		t.Run(l.Name, func(t *testing.T) {
			got, err := l.read(j)
			var refused *kubernetes.Refusal
			switch {
			case l.Refused > 0:
				if !errors.As(err, &refused) || refused.Status != l.Refused {
					t.Fatalf("%+v, %v; want it refused with %d", got, err, l.Refused)
				}
				return
			case err != nil:
				t.Fatal(err)
			case (got.Harmless != "") != l.Harmless:
				t.Fatalf("harmless: %q", got.Harmless)
			}
			slices.Sort(l.Kinds)
			if !slices.Equal(got.Kinds, l.Kinds) {
				t.Errorf("kinds %v, want %v", got.Kinds, l.Kinds)
			}
			told := strings.Join(got.Notes, "\n") + "\n" + got.Title
			for _, n := range l.Notes {
				if !strings.Contains(told, n) {
					t.Errorf("%q doesn't say %q", told, n)
				}
			}
			for _, h := range l.Hides {
				if strings.Contains(string(got.Document)+told, h) {
					t.Errorf("%q is shown", h)
				}
			}
		})
	}
}

// Every kind is on the closed list, and each class is of something.
func TestTable(t *testing.T) {
	j := judge(t)
	for _, verb := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		for _, path := range []string{"/api/v1/pods", "/api/v1/namespaces/a/secrets/x", "/apis/apps/v1/namespaces/a/deployments/x", "/apis/nobody.example/v1/things/x", "/api/v1/nodes/x/strange"} {
			l := line{Method: verb, Path: path, Type: "application/json"}
			switch verb {
			case "PATCH":
				l.Type, l.Body = "application/merge-patch+json", "{}"
			case "PUT", "POST":
				l.Body = "{}"
			}
			got, err := l.read(j)
			if err != nil {
				t.Errorf("%s %s: %v", verb, path, err)
				continue
			}
			if len(got.Kinds) == 0 {
				t.Errorf("%s %s is of no kind", verb, path)
			}
			for _, k := range got.Kinds {
				if !k.Valid() {
					t.Errorf("%s %s: %q is on no list", verb, path, k)
				}
			}
		}
	}
}

func TestRules(t *testing.T) {
	for _, r := range []kubernetes.Rule{
		{Group: "apps", Resource: "*", As: "config"},
		{Group: "rbac.authorization.k8s.io", Resource: "roles", As: "config"},
		{Group: "a.example", Resource: "things", As: "harmless"},
		{Group: "a.example", Resource: "things", As: "ask"},
		{Group: "a.example", As: "config"},
	} {
		if _, err := kubernetes.New([]kubernetes.Rule{r}); err == nil {
			t.Errorf("%+v is taken", r)
		}
	}
}

func TestSecrets(t *testing.T) {
	for name, text := range map[string]string{
		"one":         `{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}`,
		"a list":      `{"kind":"SecretList","items":[{"data":{"password":"aHVudGVyMg=="}}]}`,
		"a v1 list":   `{"kind":"List","items":[{"kind":"ConfigMap","data":{"a":"b"}},{"data":{"password":"aHVudGVyMg=="},"kind":"Secret"}]}`,
		"an event":    `{"type":"ADDED","object":{"data":{"password":"aHVudGVyMg=="},"kind":"Secret"}}`,
		"a table":     `{"kind":"Table","rows":[{"cells":["x"],"object":{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}}]}`,
		"annotation":  `{"kind":"Secret","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"password\":\"aHVudGVyMg==\"}}"}}}`,
		"plain":       `{"kind":"Secret","stringData":{"password":"hunter2"}}`,
		"no base64":   `{"kind":"Secret","data":{"password":"hunter2"}}`,
		"as one text": `{"kind":"Secret","data":"aHVudGVyMg=="}`,
		"a number":    `{"kind":"Secret","data":{"password":["hunter2"]}}`,
		"other case":  `{"kind":"secret","Data":{"password":"hunter2"}}`,
	} {
		got, err := kubernetes.Secrets([]byte(text), false, func([]byte) []byte { return []byte("[secret]") })
		if err != nil || strings.Contains(string(got), "hunter2") || strings.Contains(string(got), "aHVudGVyMg") {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
	if got, err := kubernetes.Secrets([]byte(`{"kind":"ConfigMap","data":{"a":"b"}}`), false, nil); err != nil || string(got) != `{"kind":"ConfigMap","data":{"a":"b"}}` {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range []string{"testdata/corpus.jsonl", "testdata/bypass.jsonl"} {
		for _, l := range corpus(f, file) {
			f.Add(l.Method, l.Path, l.Query, l.Type, []byte(l.Body))
		}
	}
	f.Add("POST", "/api/v1/namespaces/a/pods", "", "application/vnd.kubernetes.protobuf", []byte("k8s\x00\n\x09\n\x02v1\x12\x03Pod\x12\x02\n\x00"))
	j := judge(f)
	f.Fuzz(func(t *testing.T, method, path, query, media string, body []byte) {
		l := line{Method: method, Path: path, Query: query, Type: media, Body: string(body)}
		got, err := l.read(j)
		if err == nil && got.Harmless == "" && len(got.Kinds) == 0 {
			t.Errorf("%+v is of no kind", l)
		}
		var refused *kubernetes.Refusal
		if err != nil && errors.As(err, &refused) && (refused.Status < 400 || refused.Status > 499) {
			t.Errorf("%d", refused.Status)
		}
	})
}
