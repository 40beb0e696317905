// Package aws is the gate of AWS APIs, and of what speaks like them. Agents sign with a
// short-lived key pair that is worth nothing elsewhere; the gate verifies the
// signature, tells from the request which operation it is, and signs it anew with the
// real key once it was permitted.
//
// It promises that a request goes on only for the service and the region that it was
// signed for, to an address that the configuration or AWS's own naming makes of them; that
// the real key is in nothing an agent sees; and that answers which would hand an agent
// a credential hand it none, unless the configuration says so. It refuses what
// internal/sigv4 and internal/classify/aws refuse.
//
// What it can't see: what happens behind AWS once an operation ran (a function that is
// invoked, a role that a machine gets), and links to AWS that it did not make.
package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/awskey"
	classify "github.com/assenthq/assent/internal/classify/aws"
	"github.com/assenthq/assent/internal/sigv4"
)

// Keys tells whose a key pair is, and its secret.
type Keys interface {
	Check(id, token string, now time.Time) (credential, secret string, err error)
}

// Config is a gate's. Keys, Classifier and Key are needed.
type Config struct {
	Keys       Keys
	Classifier *classify.Classifier
	// Key is the real key that requests go on with.
	Key func(context.Context) (sigv4.Key, error)
	// Endpoints say where services are, by the name they are signed for; "*": all others.
	// Without one a service is where AWS has it.
	Endpoints map[string]*url.URL
	Regions   []string // that may be asked; none: any
	Services  []string // that may be asked, by the name they are signed for; none: any
	Transport http.RoundTripper
	// Class is the class of a column, "table.column"; "" for none. nil: any column may be of any class.
	Class func(string) string
	// Mints says that agents may get the credentials that an answer holds.
	Mints bool
	// MaxBody is the largest body of a request that isn't S3's; 0: 16 MiB.
	MaxBody int64
	// S3 describes requests of S3 itself; nil: there are none here.
	S3      *S3
	Virtual bool // a configured endpoint of S3 wants buckets in the host name
	// Refused records who could not prove who they are.
	Refused func(ctx context.Context, from gate.Peer, detail string)
	Name    string
	Now     func() time.Time
}

// A Place is where a request goes, and what it is signed for.
type Place struct {
	URL             *url.URL
	Region, Service string
	Key             func(context.Context) (sigv4.Key, error)
	Transport       http.RoundTripper
	Custom          bool // the configuration says where it is
}

// A Gate is the Protocol of AWS's APIs.
type Gate struct{ o Config }

var _ httpgate.Protocol = (*Gate)(nil)

// New returns a gate.
func New(o Config) (*Gate, error) {
	if o.Keys == nil || o.Classifier == nil || o.Key == nil {
		return nil, errors.New("a gate of AWS needs key pairs, a classifier and a real key")
	}
	if o.MaxBody == 0 {
		o.MaxBody = 16 << 20
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Refused == nil {
		o.Refused = func(context.Context, gate.Peer, string) {}
	}
	return &Gate{o}, nil
}

// A mark is what is known of a request besides what stands in it.
type mark struct {
	scope    sigv4.Scope
	protocol string // to answer in
	version  string // of JSON
	code     string // AWS's name for what is wrong
	session  string
}

type markKey struct{}

func markOf(r *http.Request) *mark {
	if m, is := r.Context().Value(markKey{}).(*mark); is {
		return m
	}
	return guess(r)
}

// Caller verifies the signature, and takes it off.
func (g *Gate) Caller(r *http.Request) (httpgate.Caller, error) {
	m := guess(r)
	*r = *r.WithContext(context.WithValue(r.Context(), markKey{}, m))
	shown, err := sigv4.Read(r)
	if errors.Is(err, sigv4.ErrNone) {
		m.code = "MissingAuthenticationToken"
		return httpgate.Caller{}, httpgate.ErrNoCredential
	}
	if err != nil {
		return httpgate.Caller{}, g.stranger(r, m, err)
	}
	m.scope = shown.Scope
	m.setProtocol(r, g.o.Classifier)
	credential, secret, err := g.o.Keys.Check(shown.KeyID, shown.Token, g.o.Now())
	if err != nil {
		return httpgate.Caller{}, g.stranger(r, m, err)
	}
	var sum *[32]byte
	if shown.WantsBody() { // who holds a sealed token may have it read
		if sum, err = g.readBody(r); err != nil {
			return httpgate.Caller{}, g.stranger(r, m, err)
		}
	}
	proof, err := shown.Verify(secret, g.o.Now(), sum)
	if err == nil {
		err = proof.Take(r)
	}
	if err != nil {
		return httpgate.Caller{}, g.stranger(r, m, err)
	}
	m.session = sessionOf(r)
	return httpgate.Caller{Proved: gate.Verifier{Credential: credential, Proved: true}, Session: m.session}, nil
}

// readBody takes the body into memory and returns its hash.
func (g *Gate) readBody(r *http.Request) (*[32]byte, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, g.o.MaxBody+1))
	if err != nil {
		return nil, &sigv4.Error{Code: "IncompleteBody", Problem: "the body broke off"}
	}
	if int64(len(b)) > g.o.MaxBody {
		return nil, &sigv4.Error{Code: "RequestEntityTooLarge", Problem: fmt.Sprintf("the body is longer than %d bytes", g.o.MaxBody)}
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
	sum := sha256.Sum256(b)
	return &sum, nil
}

// stranger refuses who has not proved who they are, by AWS's own name for why.
func (g *Gate) stranger(r *http.Request, m *mark, err error) error {
	d := &gate.Denied{Status: gate.StatusDenied, Reason: "the signature was not taken", Hint: "ask for a new key pair: assent aws credentials"}
	var bad *sigv4.Error
	switch {
	case errors.As(err, &bad):
		m.code, d.Reason = bad.Code, bad.Problem
		if bad.Code != "RequestTimeTooSkewed" {
			d.Hint = "sign the request with the key pair that assent aws credentials prints"
		} else {
			d.Hint = "set the clock"
		}
	case errors.Is(err, awskey.ErrExpired):
		m.code, d.Reason = "ExpiredToken", "the key pair has expired"
	case errors.Is(err, awskey.ErrBad):
		m.code, d.Reason = "InvalidClientTokenId", "the key pair is not one of this gate's"
	default:
		return err
	}
	g.o.Refused(r.Context(), gate.Peer{Gate: g.o.Name, Address: r.RemoteAddr}, "a signature that was not taken: "+m.code)
	return d
}

// app is how SDKs tell the name of an application (AWS_SDK_UA_APP_ID).
var app = regexp.MustCompile(`(?:^| )app/([A-Za-z0-9._-]{1,64})(?: |$)`)

// sessionOf is the session that the client says it belongs to.
func sessionOf(r *http.Request) string {
	for _, name := range []string{"X-Amz-User-Agent", "User-Agent"} {
		if found := app.FindStringSubmatch(r.Header.Get(name)); found != nil {
			return found[1]
		}
	}
	return ""
}

// region is what may stand for a region in the name of a host.
var region = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)

// service is what may stand for a service there.
var service = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$`)

// place says where a request goes that was signed for a scope.
func (g *Gate) place(s sigv4.Scope, op *classify.Analysis, account string) (Place, error) {
	p := Place{Region: s.Region, Service: s.Service, Key: g.o.Key, Transport: g.o.Transport}
	switch {
	case s.Region == "aws-global":
		p.Region = "us-east-1"
	case !region.MatchString(s.Region) && g.endpoint(s.Service) == nil:
		return p, denied("there is no region of that name", "sign for one of AWS's regions")
	}
	if !service.MatchString(s.Service) {
		return p, denied("there is no service of that name", "sign for one of AWS's services")
	}
	if len(g.o.Regions) > 0 && !slices.Contains(g.o.Regions, p.Region) {
		return p, denied("this gate does not reach that region", "an operator can add it to regions: of the gate")
	}
	if len(g.o.Services) > 0 && !slices.Contains(g.o.Services, s.Service) {
		return p, denied("this gate does not reach that service", "an operator can add it to services: of the gate")
	}
	if u := g.endpoint(s.Service); u != nil {
		p.URL, p.Custom = u, true
		return p, nil
	}
	host, signed := awsHost(p.Region, s.Service, op)
	if account != "" {
		host = account + "." + host
	}
	p.Region, p.URL = signed, &url.URL{Scheme: "https", Host: host}
	return p, nil
}

func (g *Gate) endpoint(service string) *url.URL {
	if u := g.o.Endpoints[service]; u != nil {
		return u
	}
	return g.o.Endpoints["*"]
}

// global are services with one endpoint in each partition, and the region that it is signed for.
var global = map[string]map[string][2]string{
	"iam":           {"aws": {"iam.amazonaws.com", "us-east-1"}, "aws-cn": {"iam.cn-north-1.amazonaws.com.cn", "cn-north-1"}, "aws-us-gov": {"iam.us-gov.amazonaws.com", "us-gov-west-1"}},
	"route53":       {"aws": {"route53.amazonaws.com", "us-east-1"}, "aws-cn": {"route53.amazonaws.com.cn", "cn-northwest-1"}, "aws-us-gov": {"route53.us-gov.amazonaws.com", "us-gov-west-1"}},
	"organizations": {"aws": {"organizations.us-east-1.amazonaws.com", "us-east-1"}, "aws-cn": {"organizations.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"}, "aws-us-gov": {"organizations.us-gov-west-1.amazonaws.com", "us-gov-west-1"}},
}

// awsHost is where AWS has a service, and the region to sign for.
func awsHost(region, service string, op *classify.Analysis) (host, signed string) {
	partition, domain := "aws", "amazonaws.com"
	switch {
	case strings.HasPrefix(region, "cn-"):
		partition, domain = "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	if one, is := global[service][partition]; is {
		return one[0], one[1]
	}
	prefix := service
	if op != nil && op.Host != "" {
		prefix = op.Host
	}
	return prefix + "." + region + "." + domain, region
}

func denied(reason, hint string) error {
	return &gate.Denied{Status: gate.StatusDenied, Reason: reason, Hint: hint}
}

func unreadableRequest(reason string) error {
	return &gate.Denied{Status: gate.StatusUnreadable, Reason: reason, Hint: "send one operation, as the service describes it"}
}
