package aws

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	classify "github.com/assenthq/assent/internal/classify/aws"
	"github.com/assenthq/assent/internal/sigv4"
)

// fleeting are headers of SDKs that differ from try to try, and mean nothing.
var fleeting = []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "X-Amz-User-Agent", "Accept"}

// account is what may stand for an account in the name of a host.
var account = regexp.MustCompile(`^[0-9]{12}$`)

// Describe says what a request does, and how it goes on.
func (g *Gate) Describe(ctx context.Context, x *httpgate.Exchange) (*httpgate.Call, error) {
	r := x.Request
	m := markOf(r)
	if s3(m.scope.Service) && m.scope.Service != "s3" {
		return nil, denied("S3's directory buckets, Outposts and Object Lambda can't be reached through this gate", "use a bucket of S3's own")
	}
	if s3(m.scope.Service) && r.Header.Get("X-Amz-Account-Id") == "" {
		to, err := g.place(m.scope, nil, "")
		if err != nil {
			return nil, err
		}
		if g.o.S3 == nil {
			return nil, denied("this gate has no S3", "")
		}
		call, err := g.o.S3.Describe(ctx, x, Endpoint{URL: to.URL, Region: to.Region, Key: to.Key, Transport: to.Transport, Virtual: g.o.Virtual || !to.Custom})
		for _, a := range callActions(call) {
			claim(a, m)
		}
		return call, err
	}
	body, err := x.Body.Whole(g.o.MaxBody)
	if err != nil {
		return nil, err
	}
	op, err := g.o.Classifier.Classify(classify.Request{Scope: m.scope.Service, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: r.Header, Body: body})
	if op != nil {
		m.protocol, m.version = op.Protocol, op.JSON
	}
	var refused *classify.Refused
	if errors.As(err, &refused) {
		return nil, unreadableRequest(refused.Reason)
	}
	if err != nil {
		return nil, err
	}
	owner := ""
	if op.Service == "s3control" && g.endpoint(m.scope.Service) == nil {
		if owner = r.Header.Get("X-Amz-Account-Id"); !account.MatchString(owner) {
			return nil, unreadableRequest("x-amz-account-id is no account")
		}
	}
	to, err := g.place(m.scope, op, owner)
	if err != nil {
		return nil, err
	}
	call := &httpgate.Call{
		Loose: fleeting, Same: op.Same, Upstream: httpgate.Upstream{URL: to.URL, Transport: to.Transport},
		Out:   func(ctx context.Context, out *http.Request) error { return g.sign(ctx, x, out, to) },
		Reply: httpgate.Reply{Tagged: op.Service == "dynamodb", Untrusted: op.Untrusted, Check: func(resp *http.Response) error { return g.check(resp, op) }},
	}
	if op.Harmless != "" {
		call.Harmless = op.Harmless
		return call, nil
	}
	call.Actions, call.Orders = []*action.Action{g.act(op, to)}, !carries(op)
	claim(call.Actions[0], m)
	return call, nil
}

func callActions(c *httpgate.Call) []*action.Action {
	if c == nil {
		return nil
	}
	return c.Actions
}

// claim tells a what session its client says it belongs to.
func claim(a *action.Action, m *mark) { a.Claims.Session = m.session }

func s3(service string) bool {
	return service == "s3" || service == "s3express" || service == "s3-object-lambda" || service == "s3-outposts"
}

// carries says that what op writes is in its request. Of anything else the request only
// says what the service is to do with data that nobody here sees.
func carries(op *classify.Analysis) bool {
	return len(op.Kinds) > 0 && !slices.ContainsFunc(op.Kinds, func(k action.Kind) bool { return k != action.DataWrite && k != action.MessageSend })
}

func (g *Gate) act(op *classify.Analysis, to Place) *action.Action {
	a := &action.Action{
		Kinds: op.Kinds, Verb: op.Verb, Target: op.Target, Title: op.Title, Shape: op.Shape, Reversible: op.Reversible,
		Objects: op.Objects, Columns: op.Columns, Statement: op.Statement,
		State: map[string]string{"service": to.Service, "region": to.Region, "endpoint": to.URL.Host},
		Data:  action.Data{Rows: op.Limit, Destination: op.Destination},
	}
	if op.Destination != "" {
		a.Data.DestinationTrust = "external"
	}
	for _, column := range op.Inferred {
		class := "*"
		if !strings.HasSuffix(column, ".*") && g.o.Class != nil {
			class = g.o.Class(column)
		}
		if class != "" && !slices.Contains(a.Data.InferredOf, class) {
			a.Data.InferredOf = append(a.Data.InferredOf, class)
		}
	}
	slices.Sort(a.Data.InferredOf)
	a.Data.Inferred = len(a.Data.InferredOf) > 0
	return a
}

// sign is the last change of what goes on: it goes on with the real key.
func (g *Gate) sign(ctx context.Context, x *httpgate.Exchange, out *http.Request, to Place) error {
	key, err := to.Key(ctx)
	if err != nil {
		return err
	}
	payload := sigv4.EmptyHash
	if x.Body.Length() != 0 {
		sum := x.Body.Sum()
		payload = hex.EncodeToString(sum[:])
	}
	_, err = key.Sign(out, to.Region, to.Service, payload, g.o.Now())
	return err
}

// maxMinted is how much of an answer that holds a credential is read.
const maxMinted = 4 << 20

// check looks at an answer before anything of it passes.
func (g *Gate) check(resp *http.Response, op *classify.Analysis) error {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
		return &gate.Denied{Status: gate.StatusLimit, Reason: "the service sends elsewhere, and nobody follows it", Hint: "sign for the region that the resource is in"}
	}
	resp.Header.Del("X-Amz-Crc32") // of a body that may be masked
	if !op.Mints || g.o.Mints || resp.StatusCode >= 300 {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxMinted+1))
	_ = resp.Body.Close()
	if err != nil || len(b) > maxMinted || resp.Header.Get("Content-Encoding") != "" && resp.Header.Get("Content-Encoding") != "identity" {
		return mintedAnswer()
	}
	if b, err = withhold(b, resp.Header.Get("Content-Type"), minted(op)); err != nil {
		return mintedAnswer()
	}
	setBody(resp, b)
	return nil
}

func mintedAnswer() error {
	return &gate.Denied{Status: gate.StatusLimit, Reason: "it ran, and its answer is withheld: it holds a credential, and can't be read without it"}
}

// alsoMinted are members of answers that hold a credential, or a link that works by
// itself, where the models don't call them sensitive.
var alsoMinted = []string{
	"SecretAccessKey", "SessionToken", "WebIdentityToken", "KeyMaterial", "authorizationToken", "TokenValue", "tokenValue", "StreamUrl", "streamUrl",
	"downloadUrl", "Location", "Url", "NotebookUrl", "AuthToken", "ActivationCode", "CustomerGatewayConfiguration", "PreSharedKey", "ServicePassword", "Token", "EndpointUrl",
}

func minted(op *classify.Analysis) []string {
	return slices.Concat(alsoMinted, slices.DeleteFunc(slices.Clone(op.Secrets), func(name string) bool {
		return strings.EqualFold(name, "AccessKeyId") || strings.EqualFold(name, "Description")
	}))
}
