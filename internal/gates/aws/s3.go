package aws

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/httpgate"
	classify "github.com/assenthq/assent/internal/classify/aws"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/sigv4"
)

// S3Options are what the S3 part of a gate is made of. Classify is needed.
type S3Options struct {
	Classify *classify.Classifier
	Hosts    []string // bucket.HOST is a bucket's own host
	Buckets  []Bucket
	Opaque   bool                // objects that can't be looked into may be read
	Engine   *detect.Engine      // nil: no values are sought that are cut over two parts
	Mask     func(string) string // of names that go into records; nil: as they are
}

// An S3 describes requests of S3, and signs them anew. It is safe for concurrent use.
type S3 struct {
	S3Options
	uploads *uploads
	ends    sync.Map // *http.Request of a completion that is being decided, to its *s3Call
}

// NewS3 returns the S3 part of a gate.
func NewS3(o S3Options) (*S3, error) {
	if o.Classify == nil {
		return nil, errors.New("S3: a classifier is needed")
	}
	if o.Mask == nil {
		o.Mask = func(s string) string { return s }
	}
	for _, b := range o.Buckets {
		if b.Trust != Internal && b.Trust != External {
			return nil, fmt.Errorf("bucket %q: trust must be %s or %s", b.Name, Internal, External)
		}
	}
	return &S3{S3Options: o, uploads: newUploads(o.Engine)}, nil
}

// An Endpoint is where S3 is, and what signs requests for it.
type Endpoint struct {
	URL       *url.URL
	Region    string
	Key       func(context.Context) (sigv4.Key, error)
	Transport http.RoundTripper
	Virtual   bool // it wants bucket.host where a bucket's name fits into one
}

// loose are headers of SDKs that differ from try to try, and mean nothing.
var loose = []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "X-Amz-User-Agent", "Accept"}

// A s3Call is one request of S3 on its way.
type s3Call struct {
	s    *S3
	x    *httpgate.Exchange
	to   Endpoint
	name s3Name
	op   *classify.Analysis
	body *sigv4.Body // nil: the request was not signed with SigV4

	id     string // of an upload in parts
	number int    // of its part
	edges  *edges
	refs   []partRef
	digest string // of the parts that were judged
	span   *span  // of a range that was widened
	narrow bool   // it is a range that could not be
	hidden url.Values
}

// Describe says what a request of S3 does, and how it goes on to the endpoint. x.Request
// has had its signature taken (sigv4.Proof.Take), and verified.
func (s *S3) Describe(ctx context.Context, x *httpgate.Exchange, to Endpoint) (*httpgate.Call, error) {
	r := x.Request
	name, err := s.name(r)
	if err != nil {
		return nil, err
	}
	if p, is := pointOf(name.Bucket); is && p.region != to.Region {
		return nil, unreadable("the access point is in another region than the one that the request is signed for", "sign for the region in its ARN")
	}
	if !onlyOnce(r.URL.RawQuery) {
		return nil, unreadable("a parameter stands twice in the query", "send each once")
	}
	op, err := s.Classify.Classify(classify.Request{Scope: "s3", Method: r.Method, Path: name.path(), Query: r.URL.RawQuery, Header: r.Header})
	var refused *classify.Refused
	if errors.As(err, &refused) {
		return nil, unreadable(refused.Reason, "send one operation, as S3 describes it")
	}
	if err != nil {
		return nil, err
	}
	c := &s3Call{s: s, x: x, to: to, name: name, op: op}
	c.body, _ = r.Body.(*sigv4.Body)
	if x.Body.Length() < 0 {
		return nil, unreadable("the length of the body is not said", "send Content-Length, as S3 wants it")
	}
	call := &httpgate.Call{
		Loose: loose, Upstream: c.upstream(), Out: c.out,
		Reply: httpgate.Reply{Check: c.check, Body: c.reply, Fill: true, Lower: "x-amz-meta-"}, // SDKs keep the case of these
	}
	if err := c.describe(ctx, call); err != nil {
		return nil, err
	}
	return call, nil
}

// upstream is where the request goes: the bucket in the path, or in the host.
func (c *s3Call) upstream() httpgate.Upstream {
	u, n := *c.to.URL, c.name
	if p, is := pointOf(n.Bucket); is && c.to.Virtual {
		_, domain, _ := strings.Cut(u.Host, c.to.Region+".")
		u.Host = p.host() + ".s3-accesspoint." + c.to.Region + "." + domain
		return httpgate.Upstream{URL: &u, Transport: c.to.Transport, Path: "/" + sigv4.Escape(n.Key, true)}
	}
	if c.to.Virtual && n.Bucket != "" && fitsHost(n.Bucket) {
		u.Host = n.Bucket + "." + u.Host
		return httpgate.Upstream{URL: &u, Transport: c.to.Transport, Path: "/" + sigv4.Escape(n.Key, true)}
	}
	return httpgate.Upstream{URL: &u, Transport: c.to.Transport, Path: n.path()}
}

// fitsHost: a name with dots would not fit the endpoint's certificate.
func fitsHost(bucket string) bool {
	return !strings.ContainsAny(bucket, "._:") && strings.ToLower(bucket) == bucket
}

// action is what all actions here have.
func (c *s3Call) action() *action.Action {
	o := c.op
	a := &action.Action{
		Kinds: slices.Clone(o.Kinds), Verb: o.Verb, Target: o.Target, Title: o.Title, Shape: o.Shape, Reversible: o.Reversible,
		Objects: slices.Clone(o.Objects), Statement: o.Statement, State: map[string]string{"service": "s3", "region": c.to.Region, "endpoint": c.to.URL.Host},
	}
	if to := c.x.Request.Header.Get("X-Amz-Website-Redirect-Location"); to != "" && len(a.Kinds) > 0 {
		add(a, action.NetworkChange)
		a.Title += ", and lead whoever opens it elsewhere"
		a.Statement += "\nx-amz-website-redirect-location = " + c.s.Mask(clip(to, 300))
	}
	return a
}

func add(a *action.Action, kinds ...action.Kind) {
	for _, k := range kinds {
		if !slices.Contains(a.Kinds, k) {
			a.Kinds = append(a.Kinds, k)
		}
	}
	slices.Sort(a.Kinds)
}

// puts makes a the export that it is where its bucket is not one of the house's.
func (c *s3Call) puts(a *action.Action) (export bool) {
	trust, outside := c.s.outside(c.name.Bucket)
	a.Data.Destination, a.Data.DestinationTrust = "s3://"+c.name.Bucket, trust
	if outside {
		add(a, action.DataExport)
	}
	return outside
}

func (c *s3Call) describe(ctx context.Context, call *httpgate.Call) error {
	if c.op.Service != "s3" {
		return unreadable("this is no request of S3's own", "send it to the service that it is for")
	}
	if c.op.Mints {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "its answer would hold a credential that works past this gate", Hint: "use the key that you have: the gate signs with its own"}
	}
	c.id, _ = param(c.x.Request, "uploadId")
	a := c.action()
	call.Actions = []*action.Action{a}
	call.Orders = c.op.Name == "CompleteMultipartUpload" || c.op.Name == "DeleteObjects"
	switch c.op.Name {
	case "":
		return nil // unknown, and held as that
	case "PutObject", "RenameObject", "PutObjectAnnotation":
		c.puts(a)
	case "RestoreObject":
		body, err := c.x.Body.Whole(maxList)
		if err != nil {
			return err
		}
		if bytes.Contains(body, []byte("OutputLocation")) {
			add(a, action.DataExport) // what it reads goes where the body says
		}
	case "CopyObject", "UploadPartCopy":
		return c.copies(call, a)
	case "DeleteObjects":
		return c.deletes(a)
	case "CreateMultipartUpload":
		c.begins(call, a)
	case "UploadPart":
		return c.uploads(call, a)
	case "CompleteMultipartUpload":
		return c.completes(ctx, call, a)
	case "AbortMultipartUpload":
		if known, _, own := c.s.uploads.state(c.id, c.name, c.x.Credential); known && own {
			call.Actions, call.Harmless = nil, "an upload of the asker's own, which nobody sees before it is completed, is called off"
		}
	default:
		if slices.Contains(a.Kinds, action.DataRead) {
			c.reads(call, a)
		}
	}
	if call.Harmless == "" && len(a.Kinds) == 0 {
		call.Actions, call.Harmless = nil, c.op.Harmless
	}
	return nil
}

// reads marks what an external bucket answers as written by others.
func (c *s3Call) reads(call *httpgate.Call, a *action.Action) {
	if b, known := c.s.bucket(c.name.Bucket); known && b.Trust == External {
		call.Reply.Untrusted = "object of another's bucket"
	}
	if v, has := param(c.x.Request, "versionId"); has {
		a.State["version"] = v
	}
}

// copies describes a copy on the server: a read of its source, and a write of its target.
func (c *s3Call) copies(call *httpgate.Call, a *action.Action) error {
	from, version, err := c.s.source(c.x.Request.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return err
	}
	text := c.s.Mask(clip(from.String(), 200))
	read := &action.Action{
		Kinds: []action.Kind{action.DataRead}, Verb: c.op.Verb, Target: text, Title: "S3 copy from " + text, Shape: c.op.Shape,
		Objects: []string{text}, State: maps.Clone(a.State), Statement: c.op.Statement,
	}
	if version != "" {
		read.State["version"] = version
	}
	a.Kinds = slices.DeleteFunc(a.Kinds, func(k action.Kind) bool { return k == action.DataRead })
	a.Title += ", copied from " + text
	a.Statement += "\ncopied from " + text
	a.Objects = append(a.Objects, text)
	c.puts(a)
	a.Data.Unscanned = true // nobody here sees what is copied
	call.Actions = []*action.Action{read, a}
	return nil
}

// deletes describes a delete of many objects: each of them is on the card.
func (c *s3Call) deletes(a *action.Action) error {
	body, err := c.x.Body.Whole(maxList)
	if err != nil {
		return err
	}
	list, err := readDelete(body)
	if err != nil {
		return unreadable(err.Error(), "send the keys to delete as S3 describes them")
	}
	var text strings.Builder
	fmt.Fprintf(&text, "s3 DeleteObjects\nBucket = %s", c.s.Mask(c.name.Bucket))
	a.Objects = nil
	for _, d := range list {
		if err := c.s.checkName(s3Name{c.name.Bucket, d.Key}, false); err != nil {
			return err
		}
		key := c.s.Mask(d.Key)
		text.WriteString("\n" + strconv.QuoteToGraphic(key))
		if d.Version != "" {
			text.WriteString(" version " + strconv.QuoteToGraphic(d.Version))
		}
		a.Objects = append(a.Objects, c.s.Mask(c.name.Bucket)+"/"+key)
	}
	a.Statement = text.String()
	a.Title = fmt.Sprintf("S3 delete of %d objects in %s", len(list), c.s.Mask(c.name.Bucket))
	a.Reversible = false
	return nil
}

// begins describes the beginning of an upload in parts. Nothing of it is visible before it
// is completed, and there it is judged with all that its parts held. But who owns another
// bucket can complete an upload in it: there the beginning is the export.
func (c *s3Call) begins(call *httpgate.Call, a *action.Action) {
	if c.puts(a) {
		a.Title = "S3 upload in parts to " + a.Target
		a.Statement += "\nits content comes after this, and is not known yet"
		a.Data.Unscanned = true
		return
	}
	if len(a.Kinds) == 1 && a.Kinds[0] == action.DataWrite {
		call.Actions, call.Harmless = nil, "an upload in parts begins, which nobody sees before it is completed"
	}
}

// uploads describes one part: nothing by itself, where its upload is known and judged when it is completed.
func (c *s3Call) uploads(call *httpgate.Call, a *action.Action) error {
	text, _ := param(c.x.Request, "partNumber")
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxListed {
		return unreadable("a part's number must be 1 to 10000", "number the parts from 1")
	}
	c.number = n
	outside := c.puts(a)
	_, agreed, own := c.s.uploads.state(c.id, c.name, c.x.Credential)
	if !outside || agreed && own { // what was agreed to, was agreed to for its asker
		call.Actions, call.Harmless = nil, "a part of an upload that is judged when it is completed"
	}
	return nil
}

// completes describes the end of an upload in parts, with what was found in all of them.
func (c *s3Call) completes(ctx context.Context, call *httpgate.Call, a *action.Action) error {
	body, err := c.x.Body.Whole(maxList)
	if err != nil {
		return err
	}
	if c.refs, err = readComplete(body); err != nil {
		return unreadable(err.Error(), "send the list of parts as S3 describes it")
	}
	w := c.s.uploads.whole(c.id, c.name, c.refs)
	c.digest = w.digest
	outside := c.puts(a)
	_, agreed, own := c.s.uploads.state(c.id, c.name, c.x.Credential)
	a.Title = fmt.Sprintf("S3 write of %s, uploaded in %d parts", a.Target, len(c.refs))
	a.Data.Unscanned = !w.known || w.unscanned
	a.Data.ClassesKnown = !a.Data.Unscanned
	if outside && w.known && agreed && own && !w.unscanned && len(w.classes) == 0 {
		// It was permitted as the export of something unknown; there is nothing in it.
		call.Actions, call.Harmless = nil, "an upload that was permitted when it began, and in which nothing was found"
		return nil
	}
	if w.known {
		a.Data.Bytes = action.KnownCount(w.size)
	}
	a.Data.Classes = slices.Sorted(maps.Keys(w.classes))
	if r := c.x.Request; w.known {
		c.s.ends.Store(r, c)
		context.AfterFunc(ctx, func() { c.s.ends.Delete(r) })
	}
	a.State["parts"] = w.digest // the very bytes: a checksum of S3's own can be made to fit
	a.Statement += fmt.Sprintf("\n%d parts", len(c.refs))
	return nil
}

// Refused ends the upload whose completion by r was denied: what was staged is taken away
// again. It returns at once. r is a request that was described; of others it does nothing.
func (s *S3) Refused(r *http.Request, d *gate.Denied) {
	c, is := s.ends.LoadAndDelete(r)
	if !is || d.Status != gate.StatusDenied {
		return
	}
	call := c.(*s3Call)
	go s.abort(context.WithoutCancel(r.Context()), call.name, call.id, call.to)
}

func (s *S3) abort(ctx context.Context, name s3Name, id string, to Endpoint) {
	ctx, stop := context.WithTimeout(ctx, abortTimeout)
	defer stop()
	c := &s3Call{s: s, to: to, name: name}
	up := c.upstream()
	u := *up.URL
	u.RawPath, u.RawQuery = strings.TrimSuffix(u.EscapedPath(), "/")+up.Path, "uploadId="+sigv4.Escape(id, false)
	u.Path, _ = sigv4.Unescape(u.RawPath) // it was escaped here
	out := (&http.Request{Method: http.MethodDelete, URL: &u, Header: http.Header{}, Body: http.NoBody}).WithContext(ctx)
	key, err := to.Key(ctx)
	if err != nil {
		return
	}
	if _, err := key.Sign(out, to.Region, "s3", sigv4.EmptyHash, now()); err != nil {
		return
	}
	resp, err := to.Transport.RoundTrip(out)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	if resp.StatusCode < 300 {
		s.uploads.end(id)
	}
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
