package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/action"
	classify "github.com/assenthq/assent/internal/classify/kubernetes"
)

const (
	previewTime = 5 * time.Second
	maxPreview  = 8 << 20
	maxLines    = 60
)

// preview finds out what r would do: a change by a dry run of the very body, a deletion by counting.
// It is nil where there is nothing to find out. A deletion is never tried: whether the API server reads
// dryRun of one from the query or from the body depends on whether there is a body.
func (g *Gate) preview(r *classify.Reading, asked *classify.Request) func(context.Context) action.Preview {
	if !r.Resourceful || r.DryRun {
		return nil
	}
	switch r.Verb {
	case "create", "update", "patch":
		if !g.judge.DryRuns(&r.Info) {
			return nil
		}
		return func(ctx context.Context) action.Preview { return g.timed(ctx, r, asked, g.tried) }
	case "delete", "deletecollection":
		if r.Subresource != "" {
			return nil
		}
		return func(ctx context.Context) action.Preview { return g.timed(ctx, r, asked, g.counted) }
	}
	return nil
}

type finder func(context.Context, *classify.Reading, *classify.Request, *action.Preview) error

func (g *Gate) timed(ctx context.Context, r *classify.Reading, asked *classify.Request, find finder) action.Preview {
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	out := action.Preview{By: "the API server, asked by the gate", Time: time.Now()}
	if err := find(ctx, r, asked, &out); err != nil {
		out = action.Preview{Why: "the API server could not say: " + clip(err.Error(), 200)}
	}
	return out
}

// ask sends a request of the gate's own.
func (g *Gate) ask(ctx context.Context, method, path string, query url.Values, media, accept string, body []byte) (map[string]any, int, error) {
	to := *g.o.Upstream
	escaped := strings.TrimSuffix(to.EscapedPath(), "/") + path
	plain, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, 0, err
	}
	to.Path, to.RawPath, to.RawQuery = plain, escaped, query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	req.Header.Set("Accept", accept)
	if err := g.sign(ctx, req.Header); err != nil {
		return nil, 0, err
	}
	resp, err := g.o.Transport.RoundTrip(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPreview+1))
	if err != nil || len(b) > maxPreview {
		return nil, resp.StatusCode, fmt.Errorf("its answer is too long (%w)", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, resp.StatusCode, fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return v, resp.StatusCode, nil
}

// tried is a dry run, and what it would change.
func (g *Gate) tried(ctx context.Context, r *classify.Reading, asked *classify.Request, out *action.Preview) error {
	query := url.Values{"dryRun": {"All"}}
	for _, k := range []string{"fieldManager", "force", "fieldValidation"} {
		if v, is := asked.Query[k]; is {
			query[k] = v
		}
	}
	before := map[string]any{}
	if r.Name != "" {
		v, code, err := g.ask(ctx, http.MethodGet, asked.Path, nil, "", "application/json", nil)
		if err != nil {
			return err
		}
		if code == http.StatusOK {
			before = v
		}
	}
	after, code, err := g.ask(ctx, asked.Method, asked.Path, query, asked.Type, "application/json", asked.Body)
	if err != nil {
		return err
	}
	if code >= 300 {
		text, _ := after["message"].(string)
		if r.Resource == "secrets" {
			text = "it says why, which may hold a value" // a message of validation quotes what it refuses
		}
		return fmt.Errorf("it would refuse (%d): %s", code, text)
	}
	if len(before) == 0 {
		out.Creates, out.Changes, out.Destroys = action.KnownCount(1), action.KnownCount(0), action.KnownCount(0)
		out.Text = "would create " + r.Target
		return nil
	}
	lines := differences(before, after, r.Resource == "secrets" && r.Group == "")
	n := int64(1)
	if len(lines) == 0 {
		n = 0
		lines = []string{"nothing would change"}
	}
	out.Creates, out.Changes, out.Destroys = action.KnownCount(0), action.KnownCount(n), action.KnownCount(0)
	if len(lines) > maxLines {
		lines = append(lines[:maxLines], fmt.Sprintf("and %d more", len(lines)-maxLines))
	}
	out.Text = "would change " + r.Target + ":\n" + strings.Join(lines, "\n")
	return nil
}

// counted says what a deletion would take with it.
func (g *Gate) counted(ctx context.Context, r *classify.Reading, asked *classify.Request, out *action.Preview) error {
	const list = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
	query := url.Values{"limit": {"500"}}
	if r.Verb == "deletecollection" {
		for _, k := range []string{"labelSelector", "fieldSelector"} {
			if v, is := asked.Query[k]; is {
				query[k] = v
			}
		}
		n, names, err := g.count(ctx, asked.Path, query, list)
		if err != nil {
			return err
		}
		out.Destroys, out.Objects = action.KnownCount(n), action.KnownCount(n)
		out.Text = fmt.Sprintf("would delete %d %s: %s", n, r.Resource, names)
		return nil
	}
	v, code, err := g.ask(ctx, http.MethodGet, asked.Path, nil, "", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json", nil)
	if err != nil {
		return err
	}
	if code != http.StatusOK || v["metadata"] == nil {
		return fmt.Errorf("it answered %d", code)
	}
	if r.Resource != "namespaces" || r.Group != "" {
		out.Destroys, out.Objects = action.KnownCount(1), action.KnownCount(1)
		out.Text = "would delete " + r.Target
		return nil
	}
	total, parts := int64(1), []string{}
	for _, kind := range [][2]string{{"pods", "/api/v1"}, {"services", "/api/v1"}, {"configmaps", "/api/v1"}, {"secrets", "/api/v1"}, {"persistentvolumeclaims", "/api/v1"}, {"deployments", "/apis/apps/v1"}, {"statefulsets", "/apis/apps/v1"}, {"jobs", "/apis/batch/v1"}} {
		n, _, err := g.count(ctx, kind[1]+"/namespaces/"+url.PathEscape(r.Name)+"/"+kind[0], query, list)
		if err != nil {
			return err
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, kind[0]))
		}
		total += n
	}
	out.Destroys, out.Objects = action.KnownCount(total), action.KnownCount(total)
	out.Text = "would delete the namespace " + r.Name + " and all that is in it"
	if len(parts) > 0 {
		out.Text += ": " + strings.Join(parts, ", ")
	}
	return nil
}

func (g *Gate) count(ctx context.Context, path string, query url.Values, accept string) (n int64, names string, err error) {
	v, code, err := g.ask(ctx, http.MethodGet, path, query, "", accept, nil)
	if err != nil {
		return 0, "", err
	}
	items, is := v["items"].([]any)
	if code != http.StatusOK || !is && v["items"] != nil {
		return 0, "", fmt.Errorf("it answered %d", code)
	}
	var some []string
	for _, i := range items[:min(len(items), 10)] {
		m, _ := i.(map[string]any)
		meta, _ := m["metadata"].(map[string]any)
		if name, is := meta["name"].(string); is {
			some = append(some, name)
		}
	}
	n = int64(len(items))
	meta, _ := v["metadata"].(map[string]any)
	if more, is := meta["remainingItemCount"].(json.Number); is {
		if m, err := more.Int64(); err == nil {
			n += m
		}
	} else if c, _ := meta["continue"].(string); c != "" {
		return 0, "", fmt.Errorf("there are more than %d", n)
	}
	names = strings.Join(some, ", ")
	if n > int64(len(some)) {
		names += ", …"
	}
	return n, names, nil
}

// bookkeeping are members that the API server changes by itself.
var bookkeeping = []string{"managedFields", "resourceVersion", "generation", "kubectl.kubernetes.io/last-applied-configuration", "status"}

// differences are the places at which two objects differ, a line each. Of secrets no value is shown.
func differences(before, after any, secret bool) []string {
	var out []string
	var walk func(at string, a, b any)
	walk = func(at string, a, b any) {
		if reflect.DeepEqual(a, b) || len(out) > 10*maxLines {
			return
		}
		am, aIs := a.(map[string]any)
		bm, bIs := b.(map[string]any)
		if aIs && bIs {
			for _, k := range union(am, bm) {
				if !slices.Contains(bookkeeping, k) {
					walk(at+"."+k, am[k], bm[k])
				}
			}
			return
		}
		al, aIs := a.([]any)
		bl, bIs := b.([]any)
		if aIs && bIs {
			for i := range max(len(al), len(bl)) {
				var x, y any
				if i < len(al) {
					x = al[i]
				}
				if i < len(bl) {
					y = bl[i]
				}
				walk(fmt.Sprintf("%s[%d]", at, i), x, y)
			}
			return
		}
		hide := secret && (strings.HasPrefix(at, ".data") || strings.HasPrefix(at, ".stringData"))
		key := at[strings.LastIndexByte(at, '.')+1:]
		out = append(out, fmt.Sprintf("%s: %s -> %s", strings.TrimPrefix(at, "."), shown(key, a, hide), shown(key, b, hide)))
	}
	walk("", before, after)
	return out
}

// plain are members whose text may stand in a preview: no value of data does.
var plain = []string{"image", "type", "serviceAccountName", "serviceAccount", "nodeName", "name", "kind", "apiGroup", "strategy", "clusterIP", "protocol", "phase", "restartPolicy", "imagePullPolicy", "schedule", "storageClassName"}

// shown is a value in a line. Text of members on no list is left out: it may be anything.
func shown(key string, v any, hide bool) string {
	switch v := v.(type) {
	case nil:
		return "(nothing)"
	case bool, json.Number:
		if !hide {
			return fmt.Sprint(v)
		}
	case string:
		if slices.Contains(plain, key) && !hide {
			return clip(v, 200)
		}
		return "(text)"
	case map[string]any:
		return "(" + clip(strings.Join(union(v, nil), ", "), 200) + ")"
	case []any:
		return fmt.Sprintf("(%d entries)", len(v))
	}
	return "(a value)"
}

func union(a, b map[string]any) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, is := a[k]; !is {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
