package aws

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/gate/httpgate"
	"github.com/assenthq/assent/internal/bodies"
	classify "github.com/assenthq/assent/internal/classify/aws"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/sigv4"
)

var (
	agentKey = sigv4.Key{ID: "ASIAAGENT", Secret: "agent-secret", Token: "agent-token"}
	realKey  = sigv4.Key{ID: "AKIAREAL", Secret: "real-secret"}
)

// fakeS3 is an S3 server that takes signatures with the real key only, and remembers what arrived.
type fakeS3 struct {
	http.Handler
	*httptest.Server
	stream bool // it keeps hashes of bodies instead of them
	quiet  bool // what is wrong with what arrives is no failure

	mu       sync.Mutex
	arrived  []arrival
	problems []string
}

type arrival struct {
	Method, Path, Query, Form string
	Header                    http.Header
	Body                      []byte
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := arrival{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("X-Amz-Content-Sha256"), r.Header.Clone(), nil}
	err := func() error {
		for _, h := range r.Header {
			if strings.Contains(strings.Join(h, " "), "agent-") {
				return fmt.Errorf("something of the agent's own arrived")
			}
		}
		s, err := sigv4.Read(r)
		if err != nil {
			return err
		}
		p, err := s.Verify(realKey.Secret, time.Now(), nil)
		if err != nil {
			return err
		}
		if err := p.Take(r); err != nil {
			return err
		}
		var b []byte
		if f.stream {
			h := sha256.New()
			if _, err := io.Copy(h, r.Body); err != nil {
				return err
			}
			b = h.Sum(nil)
		} else if b, err = io.ReadAll(r.Body); err != nil {
			return err
		}
		for _, t := range r.Body.(*sigv4.Body).Trailers() {
			r.Header.Set(t[0], t[1])
		}
		a.Body, r.Body = b, io.NopCloser(bytes.NewReader(b))
		r.Header.Set("Authorization", a.Header.Get("Authorization")) // some look whether there is one
		return nil
	}()
	f.mu.Lock()
	f.arrived = append(f.arrived, a)
	if err != nil {
		f.problems = append(f.problems, r.Method+" "+r.URL.String()+": "+err.Error())
	}
	f.mu.Unlock()
	if err != nil {
		http.Error(w, "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIAREAL</AWSAccessKeyId></Error>", http.StatusForbidden)
		return
	}
	f.Handler.ServeHTTP(w, r)
}

func (f *fakeS3) seen() []arrival {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.arrived)
}

func (f *fakeS3) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived = nil
}

// newFakeS3 is gofakes3 with a few buckets, over TLS or not.
func newFakeS3(t testing.TB, tls bool, handler http.Handler) *fakeS3 {
	t.Helper()
	if handler == nil {
		backend := s3mem.New()
		for _, name := range []string{"house", "house-two", "partner", "stranger"} {
			if err := backend.CreateBucket(name); err != nil {
				t.Fatal(err)
			}
		}
		handler = gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	}
	f := &fakeS3{Handler: handler}
	f.Server = httptest.NewUnstartedServer(f)
	if tls {
		f.StartTLS()
	} else {
		f.Start()
	}
	t.Cleanup(func() {
		f.Server.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, p := range f.problems {
			if f.quiet {
				break
			}
			t.Errorf("what arrived was not rightly signed: %s", p)
		}
	})
	return f
}

// s3Protocol is the S3 part of a gate alone.
type s3Protocol struct {
	s3 *S3
	to Endpoint
}

// otherCaller takes the keys of a suite of somebody else's.
var otherCaller func(*http.Request) (httpgate.Caller, error)

func (p *s3Protocol) Caller(r *http.Request) (httpgate.Caller, error) {
	if otherCaller != nil {
		return otherCaller(r)
	}
	s, err := sigv4.Read(r)
	if errors.Is(err, sigv4.ErrNone) {
		return httpgate.Caller{}, httpgate.ErrNoCredential
	}
	if err == nil && (s.KeyID != agentKey.ID || s.Token != agentKey.Token || s.Scope.Service != "s3") {
		err = fmt.Errorf("not a key of ours")
	}
	if err != nil {
		return httpgate.Caller{}, err
	}
	proof, err := s.Verify(agentKey.Secret, time.Now(), nil)
	if err == nil {
		err = proof.Take(r)
	}
	return httpgate.Caller{Proved: gate.Verifier{Proved: true, Credential: "cred_gatetest"}}, err
}

func (p *s3Protocol) Describe(ctx context.Context, x *httpgate.Exchange) (*httpgate.Call, error) {
	return p.s3.Describe(ctx, x, p.to)
}

func (p *s3Protocol) Refuse(w http.ResponseWriter, r *http.Request, status int, d *gate.Denied) {
	p.s3.Refused(r, d)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>%s</Message></Error>", httpgate.Sentence(d))
}

// s3Gate is a gate in front of an S3 server.
type s3Gate struct {
	*httptest.Server
	s3 *S3
	up *fakeS3
	a  *gatetest.Authority
}

type setup struct {
	tls       bool
	upstream  http.Handler
	authority *gatetest.Authority
	opaque    bool
	each      int64 // bytes that one body may have
	region    string
}

func newS3Gate(t testing.TB, o setup) *s3Gate {
	t.Helper()
	c, err := classify.New(classify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if o.region == "" {
		o.region = "eu-west-1"
	}
	if o.each == 0 {
		o.each = 256 << 20
	}
	store, err := bodies.NewStore(t.TempDir(), 1<<30, o.each, engine)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewS3(S3Options{Classify: c, Hosts: []string{"s3.gate.example"}, Engine: engine, Opaque: o.opaque, Buckets: []Bucket{
		{Name: "house*", Trust: Internal},
		{Name: "house-closed", Trust: External},
		{Name: "partner", Trust: External},
		{Name: "arn:aws:s3:eu-west-1:123456789012:accesspoint/ours", Trust: Internal},
	}})
	if err != nil {
		t.Fatal(err)
	}
	up := newFakeS3(t, o.tls, o.upstream)
	to, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := up.Client().Transport
	if o.authority == nil {
		o.authority = &gatetest.Authority{Flows: func(*action.Action) bool { return true }}
	}
	g, err := httpgate.New(httpgate.Config{
		Name: "aws", Authority: o.authority, Bodies: store, Log: slog.New(slog.DiscardHandler), AnyTarget: true,
		Protocol: &s3Protocol{s, Endpoint{URL: to, Region: o.region, Transport: transport, Key: func(context.Context) (sigv4.Key, error) { return realKey, nil }}},
	})
	if err != nil {
		t.Fatal(err)
	}
	served := httptest.NewUnstartedServer(g)
	if o.tls {
		served.StartTLS()
	} else {
		served.Start()
	}
	t.Cleanup(func() {
		served.Close()
		g.Close()
		if t, is := t.(*testing.T); is {
			o.authority.Check(t)
		}
	})
	return &s3Gate{Server: served, s3: s, up: up, a: o.authority}
}

// do sends a request that is signed with the agent's key.
func (g *s3Gate) do(t testing.TB, method, target, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, g.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	if _, err := agentKey.Sign(r, "eu-west-1", "s3", hex.EncodeToString(sum[:]), time.Now()); err != nil {
		t.Fatal(err)
	}
	resp, err := g.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Logf("%s %s: %v", method, target, err)
		return resp, "broken off: " + string(b)
	}
	return resp, string(b)
}

// last is the last action that was asked for.
func (g *s3Gate) last(t testing.TB) *action.Action {
	t.Helper()
	all := g.a.Actions()
	if len(all) == 0 {
		t.Fatal("nothing was asked")
	}
	return all[len(all)-1]
}
