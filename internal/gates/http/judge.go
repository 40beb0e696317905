package proxy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/bodies"
	classify "github.com/assenthq/assent/internal/classify/http"
)

// mapped is how much of a body a mapping may look into.
const mapped = 256 << 10

// judge says what a request does, by the path as the upstream will see it.
func (r *Route) judge(x *httpgate.Exchange, path string) (classify.Result, error) {
	req := x.Request
	if isGRPC(req) {
		return r.judgeGRPC(req, path), nil
	}
	var body []byte
	if n := x.Body.Length(); n == 0 {
		body = []byte{} // read: there is nothing in it
	} else if r.Mapping != nil && n <= mapped {
		b, err := x.Body.Whole(mapped)
		if err != nil && !errors.Is(err, bodies.ErrTooLarge) { // a longer one counts as one that was not read
			return classify.Result{}, err
		}
		if err == nil {
			body = b
		}
	}
	j := r.Mapping.Classify(req.Method, path, req.URL.RawQuery, req.Header, body)
	if j.Refused != "" {
		return j, errors.New(j.Refused)
	}
	return j, nil
}

// judgeGRPC says what a call of gRPC does: its method's path is what a mapping goes by,
// and its body is nothing that a mapping could read. Asking what there is and whether
// it works reads.
func (r *Route) judgeGRPC(req *http.Request, path string) classify.Result {
	j := r.Mapping.Classify(req.Method, path, req.URL.RawQuery, req.Header, nil)
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if j.Row != "" {
		return j
	}
	j.Target, j.Title = path, "Call "+path
	if j.Verb = strings.ToLower(method); method == "" {
		j.Verb = "call"
	}
	if strings.HasPrefix(service, "grpc.reflection.") || service == "grpc.health.v1.Health" {
		j.Kinds = []action.Kind{action.DataRead}
	}
	return j
}

// reads says that nothing but reading is done.
func reads(kinds []action.Kind) bool {
	return !slices.ContainsFunc(kinds, func(k action.Kind) bool { return k != action.DataRead })
}

// pathFor is the path for the upstream, as it is written there.
func (r *Route) pathFor(u *url.URL) string {
	path := u.EscapedPath()
	if r.Strip != "" && within(path, r.Strip) {
		path = strings.TrimPrefix(path, strings.TrimSuffix(r.Strip, "/"))
	}
	path = strings.TrimSuffix(r.Prepend, "/") + path
	if path == "" {
		path = "/"
	}
	return path
}

// short ends a body of unknown length past the route's limit.
func (r *Route) short(src io.Reader) io.Reader { return &limited{src, r.MaxBody} }

type limited struct {
	src  io.Reader
	left int64
}

func (l *limited) Read(b []byte) (int, error) {
	n, err := l.src.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return 0, bodies.ErrTooLarge
	}
	return n, err
}
