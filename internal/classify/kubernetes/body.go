package kubernetes

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/jsontext"
)

// Media types of bodies.
const (
	mediaJSON      = "application/json"
	mediaYAML      = "application/yaml"
	mediaProtobuf  = "application/vnd.kubernetes.protobuf"
	mediaJSONPatch = "application/json-patch+json"
	mediaMerge     = "application/merge-patch+json"
	mediaStrategic = "application/strategic-merge-patch+json"
	mediaApply     = "application/apply-patch+yaml"
)

// body reads what is sent, and adds to out what it does beyond its path.
func (j *Judge) body(out *Reading, r *Request, c class) error {
	if len(r.Body) == 0 {
		if out.Verb == "patch" || out.Verb == "update" {
			if out.Subresource != "proxy" && out.Verb != "proxy" {
				return refuse(http.StatusBadRequest, "there is no body to %s with", out.Verb)
			}
		}
		return nil
	}
	if out.Subresource == "proxy" || out.Verb == "proxy" {
		out.Opaque = true
		return nil
	}
	if reads(out.Verb) {
		return refuse(http.StatusBadRequest, "a %s has no body", out.Verb)
	}
	media, _, err := mime.ParseMediaType(r.Type)
	if r.Type == "" && out.Verb != "patch" {
		media, err = mediaJSON, nil
	}
	if err != nil {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type can't be read; send %s", mediaJSON)
	}
	out.Media = media
	tree, err := j.tree(out, media, r.Body)
	if err != nil {
		return err
	}
	if out.Resource == "secrets" && out.Group == "" && maskedAgain(tree, false) {
		return refuse(http.StatusBadRequest, "a value of the Secret is masked: writing it would lose the value; send a patch of what changes")
	}
	w := walker{out: out, seen: map[string]bool{}, pods: c.pods || slices.Contains(out.Kinds, action.Unknown)}
	if media == mediaJSONPatch {
		if err := w.patch(tree); err != nil {
			return err
		}
	} else {
		w.value(tree)
	}
	if media == mediaYAML || media == mediaApply {
		w.raw(r.Body)
	}
	w.close()
	out.Document = document(out, tree)
	if out.Verb == "create" && out.Name == "" {
		out.called = called(tree)
	}
	return nil
}

// called is the name that an object has in itself, or "".
func called(tree any) string {
	object, _ := tree.(map[string]any)
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	if len(name) > 253 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.:") != "" {
		return "" // not one that Kubernetes takes
	}
	return name
}

// tree is a body as encoding/json would give it.
func (j *Judge) tree(out *Reading, media string, body []byte) (any, error) {
	switch patching := out.Verb == "patch"; {
	case patching && slices.Contains([]string{mediaJSONPatch, mediaMerge, mediaStrategic}, media), !patching && media == mediaJSON:
		return parseJSON(body)
	case patching && media == mediaApply, !patching && media == mediaYAML:
		if t := bytes.TrimLeft(body, " \t\r\n"); len(t) > 0 && t[0] == '{' {
			return parseJSON(body) // which is YAML
		}
		return parseYAML(body)
	case !patching && media == mediaProtobuf:
		return j.schema.read(body, out)
	case patching:
		return nil, refuse(http.StatusUnsupportedMediaType, "patches of type %s are not taken; send JSON, as %s, %s, %s or %s", clip(media, 80), mediaMerge, mediaStrategic, mediaJSONPatch, mediaApply)
	}
	return nil, refuse(http.StatusUnsupportedMediaType, "bodies of type %s are not taken; send %s", clip(media, 80), mediaJSON)
}

func parseJSON(body []byte) (any, error) {
	if err := jsontext.Check(body); err != nil {
		return nil, refuse(http.StatusBadRequest, "the body can't be read in one way only: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, refuse(http.StatusBadRequest, "the body is not JSON")
	}
	return v, nil
}

// document is what people are shown of tree. It is nil where that can't be written.
func document(out *Reading, tree any) []byte {
	b, err := json.Marshal(tree)
	if err != nil {
		return nil
	}
	if slices.Contains(out.Kinds, action.SecretAccess) || out.Resource == "secrets" {
		if out.Media == mediaJSONPatch && out.Resource == "secrets" {
			b = bytes.ReplaceAll(b, []byte(`"value":`), []byte(`"data":`)) // hidden as data is
		}
		b, err = Secrets(b, out.Resource == "secrets", func([]byte) []byte { return []byte(leftOut) })
		if err != nil {
			return nil
		}
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, b, "", "  ") != nil {
		return nil
	}
	return pretty.Bytes()
}

// maskTag is what stands in the place of a value that was masked.
var maskTag = regexp.MustCompile(`^\[masked:[a-z0-9-]{2,40}\]$`)

// maskedAgain says that a mask stands in v where a value should.
func maskedAgain(v any, data bool) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if maskedAgain(e, data || strings.EqualFold(k, "data") || strings.EqualFold(k, "stringData") || k == "value") {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return maskedAgain(e, data) })
	case string:
		plain, err := base64.StdEncoding.DecodeString(v)
		return data && (maskTag.MatchString(v) || err == nil && maskTag.Match(plain))
	}
	return false
}

const leftOut = "[left out]"

// unread stands for a value that is known only once the API server has applied a patch.
type unread struct{}

// A walker looks for what makes a body more than its path says.
type walker struct {
	out    *Reading
	pods   bool // there may be a pod in it
	images []string
	seen   map[string]bool // names of pod members that were met
}

func (w *walker) value(v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range sorted(v) {
			w.member(k, v[k])
		}
	case []any:
		for _, e := range v {
			w.value(e)
		}
	}
}

func sorted(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// patch reads the operations of RFC 6902: what they set counts as a member of that name.
func (w *walker) patch(v any) error {
	ops, is := v.([]any)
	if !is {
		return refuse(http.StatusBadRequest, "a JSON patch is an array")
	}
	for _, o := range ops {
		op, _ := o.(map[string]any)
		path, is := op["path"].(string)
		name, named := op["op"].(string)
		if !is || !named {
			return refuse(http.StatusBadRequest, "an operation of the JSON patch has no op or no path")
		}
		value := op["value"]
		switch name {
		case "remove", "test":
			w.names(path, nil)
			continue
		case "move", "copy":
			value = unread{}
		case "add", "replace":
		default:
			return refuse(http.StatusBadRequest, "the JSON patch has an operation of another name than add, remove, replace, move, copy, test")
		}
		w.names(path, value)
	}
	return nil
}

var pointer = strings.NewReplacer("~1", "/", "~0", "~")

// names walks down a JSON pointer and then into what is put there.
func (w *walker) names(path string, v any) {
	parts := strings.Split(path, "/")
	if len(parts) < 2 {
		w.value(v)
		return
	}
	for n := len(parts) - 1; n > 0; n-- {
		v = map[string]any{pointer.Replace(parts[n]): v}
	}
	w.value(v)
}

func (w *walker) close() {
	slices.Sort(w.images)
	for _, i := range slices.Compact(w.images) {
		w.out.add("image "+clip(i, 200), action.Deploy)
	}
}
