// Package kubernetes is the gate in front of a Kubernetes API server: kubectl and
// every other client speak to it with a token of ours, and it holds the real
// credential.
//
// It promises that a request goes on only with the path, query and body that were
// judged, that nobody who asks can name whom they act as, that values of Secrets
// leave masked by the policy of class sensitive wherever they stand in an answer,
// and that exec, attach and port-forward each need a permit of their own, with
// what exec and attach show recorded. Previews of changes are server-side dry runs;
// deletions are counted, never tried.
//
// It can't see what controllers, webhooks and images do once an object is there,
// what is typed into an exec, nor what passes through a port-forward.
package kubernetes

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	classify "github.com/assenthq/assent/internal/classify/kubernetes"
	"github.com/assenthq/assent/internal/classify/shell"
	"github.com/assenthq/assent/internal/recording"
)

// MaxBody is how long a request's body may be: the API server itself takes 3 MiB.
const MaxBody = 4 << 20

// Config is a gate's.
type Config struct {
	Name      string
	Upstream  *url.URL // scheme, host and, if need be, a path
	Transport *http.Transport
	// Token is the real credential; nil: the transport's client certificate.
	Token func(ctx context.Context) ([]byte, error)
	// Rules say what resources of groups are that Kubernetes itself doesn't serve.
	Rules []classify.Rule
	// Recordings is where terminals are kept; nil: there are none.
	Recordings *recording.Store
	Log        *slog.Logger
}

// A Gate is the Protocol of one API server.
type Gate struct {
	o     Config
	judge *classify.Judge
	late  fallbacks
}

// New returns a gate's Protocol.
func New(o Config) (*Gate, error) {
	if o.Upstream == nil || o.Transport == nil || o.Log == nil {
		return nil, errors.New("kubernetes: a part is missing")
	}
	j, err := classify.New(o.Rules)
	if err != nil {
		return nil, err
	}
	return &Gate{o: o, judge: j}, nil
}

// Caller takes the bearer token, which kubectl has from its kubeconfig. A browser's way of sending
// one, as a protocol of a WebSocket, is not taken.
func (g *Gate) Caller(r *http.Request) (httpgate.Caller, error) {
	v := r.Header.Values("Authorization")
	r.Header.Del("Authorization")
	if len(v) == 0 || len(v) == 1 && v[0] == "" {
		return httpgate.Caller{}, httpgate.ErrNoCredential
	}
	scheme, token, _ := strings.Cut(v[0], " ")
	if len(v) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " ,") {
		return httpgate.Caller{}, &gate.Denied{Status: gate.StatusDenied, Reason: "the credential is not one bearer token", Hint: "use a kubeconfig of assent kubernetes kubeconfig"}
	}
	return httpgate.Caller{Bearer: token}, nil
}

// impersonates says that a header, however it is spelled, names whom to act as.
func impersonates(h http.Header) bool {
	for name := range h {
		low := strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return c
			}
			return '-'
		}, strings.ToLower(name))
		if strings.HasPrefix(strings.Trim(low, "-"), "impersonate") {
			return true
		}
	}
	return false
}

// loose are headers that name one run of a client, and not what it asks.
var loose = []string{"Kubectl-Session", "Kubectl-Command", "Accept"}

// Describe says what a request does.
func (g *Gate) Describe(ctx context.Context, x *httpgate.Exchange) (*httpgate.Call, error) {
	r := x.Request
	if impersonates(r.Header) {
		return nil, &gate.Denied{Status: gate.StatusUnreadable, Reason: "nobody may say here whom they act as", Hint: "leave out --as, --as-group and Impersonate headers"}
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, &gate.Denied{Status: gate.StatusUnreadable, Reason: "the body is compressed, and the API server would not decompress it", Hint: "send it as it is"}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, &gate.Denied{Status: gate.StatusUnreadable, Reason: "the query can't be read in one way only", Hint: "encode ; and %"}
	}
	body, err := x.Body.Whole(MaxBody)
	if err != nil {
		return nil, err
	}
	asked := &classify.Request{Method: r.Method, Path: r.URL.EscapedPath(), Query: query, Type: r.Header.Get("Content-Type"), Body: body, Upgrade: x.Came.Header.Get("Upgrade") != ""}
	if err := x.Body.Keep(ctx); err != nil {
		return nil, err
	}
	reading, err := g.judge.Read(asked)
	if err != nil {
		return nil, refused(err)
	}
	call := &httpgate.Call{
		Harmless: reading.Harmless, Loose: loose, Traced: true, Upstream: httpgate.Upstream{URL: g.o.Upstream, Transport: g.o.Transport},
		Out: g.out(reading), Reply: g.reply(reading),
	}
	if streams(reading) {
		if err := g.mayStream(x, reading); err != nil {
			return nil, err
		}
		call.Take = func(ctx context.Context, w http.ResponseWriter, x *httpgate.Exchange, p gate.Permit) gate.Outcome {
			return g.stream(ctx, w, x, p, reading, call.Actions[0])
		}
	}
	if reading.Harmless == "" {
		a := g.action(x, reading, asked)
		call.Actions = []*action.Action{a}
		if preview := g.preview(reading, asked); preview != nil {
			call.Preview = preview
		}
	}
	return call, nil
}

// refused is an error of the classifier in the words of a gate.
func refused(err error) error {
	d := &gate.Denied{Status: gate.StatusUnreadable, Reason: err.Error(), Hint: "the request was refused as it can't be judged"}
	var r *classify.Refusal
	if errors.As(err, &r) && r.Status == http.StatusUnsupportedMediaType {
		d.Hint = otherType
	}
	return d
}

// otherType is the hint by which Refuse tells that another type of body would do.
const otherType = "send the body as JSON"

// action is what is decided.
func (g *Gate) action(x *httpgate.Exchange, r *classify.Reading, asked *classify.Request) *action.Action {
	a := &action.Action{
		Kinds: r.Kinds, Verb: r.Does, Target: r.Target, Title: r.Title, Shape: r.Shape, Objects: r.Objects,
		Reversible: r.DryRun || r.Verb == "get" || r.Verb == "list" || r.Verb == "watch",
		State:      map[string]string{"server": g.o.Upstream.Host},
	}
	if len(r.Command) > 0 {
		found := shell.Argv(r.Command, shell.Context{Dir: "/", Home: "/"})
		a.Kinds = append(slices.Clone(a.Kinds), found.Kinds...)
		slices.Sort(a.Kinds)
		a.Kinds = slices.Compact(a.Kinds)
	}
	a.Data.Unscanned = r.Opaque || r.Subresource == "portforward"
	a.Statement = statement(x.Request, r, asked)
	return a
}

// statement is the request for people to read.
func statement(r *http.Request, reading *classify.Reading, asked *classify.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Method, reading.Path)
	for i, k := range slices.Sorted(keys(asked.Query)) {
		for _, v := range asked.Query[k] {
			if k == "command" || k == "fieldManager" || k == "fieldValidation" {
				continue
			}
			b.WriteString(map[bool]string{true: "?", false: "&"}[i == 0])
			fmt.Fprintf(&b, "%s=%s", k, v)
		}
	}
	b.WriteByte('\n')
	if len(reading.Command) > 0 {
		b.WriteString("\n" + strings.Join(reading.Command, " ") + "\n")
	}
	for _, n := range reading.Notes {
		b.WriteString("\n- " + n)
	}
	if len(reading.Notes) > 0 {
		b.WriteByte('\n')
	}
	switch {
	case reading.Document != nil:
		b.WriteString("\n" + string(reading.Document) + "\n")
	case len(asked.Body) > 0:
		fmt.Fprintf(&b, "\n(a body of %d bytes that can't be shown)\n", len(asked.Body))
	}
	return b.String()
}

func keys(q url.Values) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range q {
			if !yield(k) {
				return
			}
		}
	}
}

// out puts the real credential on what goes on, and asks for an answer that can be read.
func (g *Gate) out(reading *classify.Reading) func(context.Context, *http.Request) error {
	return func(ctx context.Context, out *http.Request) error {
		out.Header.Del("Cookie")
		if reading.Harmless == "" && reading.Subresource != "proxy" && reading.Verb != "proxy" {
			out.Header.Set("Accept", accept(out.Header.Values("Accept")))
			out.Header.Set("Accept-Encoding", "identity")
		}
		return g.sign(ctx, out.Header)
	}
}

func (g *Gate) sign(ctx context.Context, h http.Header) error {
	h.Del("Authorization")
	if g.o.Token == nil {
		return nil
	}
	token, err := g.o.Token(ctx)
	if err != nil {
		return fmt.Errorf("reading the credential of %s: %w", g.o.Name, err)
	}
	h.Set("Authorization", "Bearer "+string(token))
	return nil
}

// accept keeps of what a client accepts what can be masked. A client that wants nothing
// else gets JSON all the same: those of Kubernetes read what they are told it is.
func accept(lines []string) string {
	var kept []string
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			media, _, err := mime.ParseMediaType(one)
			if err == nil && media == "application/json" {
				kept = append(kept, strings.TrimSpace(one))
			}
		}
	}
	if len(kept) == 0 {
		return "application/json, */*;q=0.1"
	}
	return strings.Join(kept, ",")
}

// reply says how an answer is masked.
func (g *Gate) reply(r *classify.Reading) httpgate.Reply {
	out := httpgate.Reply{}
	switch {
	case r.Harmless != "": // what every cluster of that version says
		out.Body = func(*http.Response, gate.Permit) error { return nil }
		out.Check = taken
		return out
	case r.Subresource == "proxy", r.Verb == "proxy":
		return out
	case r.Subresource == "log":
		out.Untrusted = "log"
	}
	out.Body = func(resp *http.Response, p gate.Permit) error { return g.mask(resp, p, r) }
	out.Check = taken
	return out
}

// taken refuses to pass on that the gate's own credential is not taken: a client would look for the fault in its own.
func taken(resp *http.Response) error {
	if resp.StatusCode == http.StatusUnauthorized {
		return &gate.Denied{Status: gate.StatusNobody, Reason: "the API server does not take the gate's own credential", Hint: "an operator must look: it may have expired"}
	}
	return nil
}

// dialTLS is the transport's TLS for a connection that leaves HTTP.
func (g *Gate) dialTLS() *tls.Config {
	if g.o.Transport.TLSClientConfig == nil {
		return nil
	}
	c := g.o.Transport.TLSClientConfig.Clone()
	c.NextProtos = []string{"http/1.1"}
	return c
}
