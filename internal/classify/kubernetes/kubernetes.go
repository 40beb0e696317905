// Package kubernetes says what a request to a Kubernetes API server does: from
// its method, path and query, as the API server itself reads them, and from its
// body, in JSON, YAML, a patch of either, or the protobuf of Kubernetes' own types.
//
// It promises that a request it doesn't know in full is of kind unknown, or is
// refused: a path that two servers could read in two ways, a body in a format on
// no list, a member twice. Names in a body count wherever they stand, so a host
// path in an annotation makes an action stricter than it is, never milder.
// It can't see what controllers, admission webhooks and operators do next, nor
// what the code in an image does.
package kubernetes

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// A Rule says what the resources of a group are that Kubernetes itself doesn't serve.
type Rule struct {
	Group, Resource string // Resource "*" is each one of Group
	As              string // one of Classes
}

// Classes are what a Rule may say.
func Classes() []string {
	var out []string
	for name := range classes {
		if name != "ask" && name != "token" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// A Judge reads requests.
type Judge struct {
	known  map[string]string
	rules  []Rule
	schema *schema
}

// New returns a Judge. Rules can't say otherwise of what Kubernetes itself serves.
func New(rules []Rule) (*Judge, error) {
	s, err := readSchema(schemaText)
	if err != nil {
		return nil, err
	}
	j := &Judge{known: known(), rules: rules, schema: s}
	for _, r := range rules {
		if !slices.Contains(Classes(), r.As) || !strings.Contains(r.Group, ".") || r.Resource == "" {
			return nil, fmt.Errorf("resource %q of group %q as %q: name a group with a dot, a resource or *, and one of %s", r.Resource, r.Group, r.As, strings.Join(Classes(), ", "))
		}
		if r.Resource != "*" && j.known[r.Group+"/"+r.Resource] != "" {
			return nil, fmt.Errorf("resource %s of group %s is known, and can't be told otherwise", r.Resource, r.Group)
		}
	}
	return j, nil
}

// A Request is what there is to judge.
type Request struct {
	Method, Path string // Path escaped, as it stood on the wire
	Query        url.Values
	Type         string // Content-Type
	Body         []byte
	Upgrade      bool // it asks for another protocol
}

// A Reading is what a request does.
type Reading struct {
	Info
	Kinds    []action.Kind
	Does     string // a verb for people and policy: "delete", "exec", "restart"
	Target   string // "pods/web in shop"
	Title    string
	Shape    string
	Notes    []string // what people should know of the body
	Objects  []string
	Command  []string // of exec
	Document []byte   // the body as JSON, with the values of secrets left out; nil: none
	Harmless string   // instead of Kinds: why nobody needs to decide
	DryRun   bool     // the client asks for a dry run, and it is one
	Media    string   // the body's media type, "" for none
	Opaque   bool     // the body can't be read
	called   string   // what is created by a name in the body, for its title
}

// A Refusal is a request that is not taken, and why. Status is HTTP's.
type Refusal struct {
	Status int
	Text   string
}

func (r *Refusal) Error() string { return r.Text }

func refuse(status int, format string, a ...any) error {
	return &Refusal{status, fmt.Sprintf(format, a...)}
}

// Read judges one request. Its errors are a *Refusal.
func (j *Judge) Read(r *Request) (*Reading, error) {
	info, err := Read(r.Method, r.Path, r.Query)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%v; ask for the resource by its plain path", err)
	}
	out := &Reading{Info: info, Does: info.Verb}
	if !info.Resourceful {
		if err := out.plain(r); err != nil {
			return nil, err
		}
		return out, nil
	}
	var c class
	out.Kinds, c = j.kindsOf(&info)
	if err := out.upgrade(r); err != nil {
		return nil, err
	}
	if err := j.body(out, r, c); err != nil {
		return nil, err
	}
	if info.Namespace != "" && strings.HasPrefix(info.Namespace, "kube-") && slices.Contains(out.Kinds, action.ConfigChange) {
		out.add("it changes settings of the cluster itself", action.PrivilegeChange)
	}
	out.dryRun(j, r)
	out.name()
	slices.Sort(out.Kinds)
	out.Kinds = slices.Compact(out.Kinds)
	return out, nil
}

// add notes something, and that the action is of these kinds too.
func (r *Reading) add(note string, k ...action.Kind) {
	if note != "" && !slices.Contains(r.Notes, note) && len(r.Notes) < maxNotes {
		r.Notes = append(r.Notes, note)
	}
	r.Kinds = append(r.Kinds, k...)
}

const maxNotes = 40

// plain is a path that names no resource.
func (r *Reading) plain(q *Request) error {
	if q.Upgrade || len(q.Body) > 0 && q.Method != http.MethodPost {
		return refuse(http.StatusBadRequest, "a request for %s has neither a body nor another protocol", r.Path)
	}
	r.Target, r.Title = r.Path, strings.ToLower(q.Method)+" "+r.Path
	first, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
	reading := q.Method == http.MethodGet || q.Method == http.MethodHead
	switch {
	case !reading:
		r.Kinds = kinds(action.Unknown)
	case r.Path == "/" || slices.Contains([]string{"api", "apis", "openapi", "version", "healthz", "livez", "readyz", "openid"}, first) || r.Path == "/.well-known/openid-configuration":
		r.Harmless = "discovery"
	case first == "metrics":
		r.Kinds = kinds(action.DataRead)
	default:
		r.Kinds = kinds(action.Unknown, action.DataRead)
	}
	r.Shape = shape(q.Method, r.Path)
	slices.Sort(r.Kinds)
	return nil
}

// upgrade reads what a request that becomes a stream asks for.
func (r *Reading) upgrade(q *Request) error {
	streams := slices.Contains([]string{"exec", "attach", "portforward"}, r.Subresource)
	if q.Upgrade && !streams {
		return refuse(http.StatusBadRequest, "only exec, attach and port-forward go on as a stream; leave out Upgrade")
	}
	if !streams {
		return nil
	}
	r.Does = r.Subresource
	if r.Subresource == "exec" {
		r.Command = q.Query["command"]
	}
	return nil
}

// DryRuns says that a dry run of i is one: Kubernetes' own resources, not what another
// server behind the API server may do.
func (j *Judge) DryRuns(i *Info) bool {
	class := j.known[i.Group+"/"+i.Resource]
	if class == "" || class == "ask" || class == "token" { // reviews answer a dry run as they answer anything
		return false
	}
	return i.Group != "metrics.k8s.io" && i.Resource != "bindings" && (i.Subresource == "" || i.Subresource == "status" || i.Subresource == "scale")
}

// dryRun reads the client's own wish for one. Such a request changes nothing, and
// shows what lies there. Of a deletion it may stand in the body or in the query,
// of which one is ignored, so there it counts for nothing. Nor does it of a JSON
// patch, which copies a value to where no name says what it is, and tests for one.
func (r *Reading) dryRun(j *Judge, q *Request) {
	if r.Media == mediaJSONPatch {
		return
	}
	if v := q.Query["dryRun"]; len(v) != 1 || v[0] != "All" || !j.DryRuns(&r.Info) || !slices.Contains([]string{"create", "update", "patch"}, r.Verb) {
		return
	}
	looks := kinds(action.DataRead)
	if slices.Contains(r.Kinds, action.SecretAccess) {
		looks = append(looks, action.SecretAccess)
	}
	if slices.Contains(r.Kinds, action.Unknown) {
		looks = append(looks, action.Unknown)
	}
	r.Kinds, r.DryRun, r.Does = looks, true, "dry run of "+r.Does
}

// name says what it is in words.
func (r *Reading) name() {
	what := r.Resource
	if r.Group != "" {
		what += "." + r.Group
	}
	r.Target = what
	if r.Name != "" {
		r.Target += "/" + r.Name
	}
	if r.Namespace != "" && !(r.Resource == "namespaces" && r.Group == "") {
		r.Target = r.Namespace + "/" + r.Target
	}
	r.Objects = []string{r.Target}
	verb := r.Does
	if r.Subresource != "" && r.Subresource != verb {
		verb += " " + r.Subresource + " of"
	}
	r.Title = strings.TrimSpace(verb + " " + what + " " + cmp.Or(r.Name, r.called))
	if r.Namespace != "" && r.Resource != "namespaces" {
		r.Title += " in " + r.Namespace
	}
	if r.Resource == "secrets" && r.Group == "" && r.Namespace == "" {
		r.Title += " in all namespaces"
	}
	if len(r.Command) > 0 {
		r.Title += ": " + clip(strings.Join(r.Command, " "), 200)
	}
	r.Shape = shape(r.Does, r.Group, r.Version, r.Namespace, r.Resource, r.Subresource, strings.Join(r.Rest, "/"), strings.Join(r.Notes, "\n"))
}

func shape(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
