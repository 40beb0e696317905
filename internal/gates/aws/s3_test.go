package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
)

func kinds(a *action.Action) string {
	var out []string
	for _, k := range a.Kinds {
		out = append(out, string(k))
	}
	return strings.Join(out, " ")
}

// TestS3Actions holds what is asked for, and where it goes.
func TestS3Actions(t *testing.T) {
	g := newS3Gate(t, setup{})
	for _, o := range []string{"house/a", "house/b c", "partner/in"} {
		if resp, body := g.do(t, http.MethodPut, "/"+strings.ReplaceAll(o, " ", "%20"), "content"); resp.StatusCode != 200 {
			t.Fatal(resp.Status, body)
		}
	}
	for _, c := range []struct {
		name, method, target, body string
		header                     []string
		kinds, object, destination string
		status                     int
	}{
		{"read", "GET", "/house/a", "", nil, "data.read", "house/a", "", 200},
		{"head", "HEAD", "/house/a", "", nil, "data.read", "house/a", "", 200},
		{"list", "GET", "/house?list-type=2&prefix=a", "", nil, "data.read", "house", "", 200},
		{"write", "PUT", "/house/n", "x", nil, "data.write", "house/n", "s3://house internal", 200},
		{"write to a partner", "PUT", "/partner/n", "x", nil, "data.export data.write", "partner/n", "s3://partner external", 200},
		{"write to nobody knows whom", "PUT", "/stranger/n", "x", nil, "data.export data.write", "stranger/n", "s3://stranger ", 200},
		{"the longest name counts", "PUT", "/house-closed/n", "x", nil, "data.export data.write", "house-closed/n", "s3://house-closed external", 404},
		{"a bucket in the host", "PUT", "/n", "x", []string{"Host", "partner.s3.gate.example"}, "data.export data.write", "partner/n", "s3://partner external", 200},
		{"an access point", "PUT", "/arn%3Aaws%3As3%3Aeu-west-1%3A123456789012%3Aaccesspoint%2Fours/n", "x", nil, "data.write", "arn:aws:s3:eu-west-1:123456789012:accesspoint/ours/n", "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/ours internal", 0},
		{"written for everybody", "PUT", "/house/n", "x", []string{"X-Amz-Acl", "public-read"}, "data.write privilege.change", "house/n", "s3://house internal", 200},
		{"and said in the query", "PUT", "/house/n?x-amz-acl=public-read", "x", nil, "data.write privilege.change", "house/n", "s3://house internal", 200},
		{"that leads elsewhere", "PUT", "/house/n", "x", []string{"X-Amz-Website-Redirect-Location", "https://elsewhere.example/"}, "data.write network.change", "house/n", "s3://house internal", 200},
		{"copy", "PUT", "/house/copy", "", []string{"X-Amz-Copy-Source", "/house/b%20c"}, "data.write", "house/b c", "s3://house internal", 200},
		{"copy to a partner", "PUT", "/partner/copy", "", []string{"X-Amz-Copy-Source", "house/a"}, "data.export data.write", "house/a", "s3://partner external", 200},
		{"delete", "DELETE", "/house/n", "", nil, "data.delete", "house/n", "", 204},
		{"delete many", "POST", "/house?delete", "<Delete><Object><Key>a</Key></Object><Object><Key>b c</Key><VersionId>1</VersionId></Object></Delete>", nil, "data.delete", "house/b c", "", 200},
		{"a policy", "PUT", "/house?policy", "{}", nil, "privilege.change", "house", "", 0},
		{"what nobody knows", "PATCH", "/house/n", "", nil, "unknown", "", "", 0},
		{"a new bucket", "PUT", "/house-new", "", nil, "infra.create", "house-new", "", 200},
		{"the bucket's end", "DELETE", "/house-new", "", nil, "infra.destroy", "house-new", "", 204},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(g.a.Actions())
			resp, body := g.do(t, c.method, c.target, c.body, c.header...)
			if c.status != 0 && resp.StatusCode != c.status {
				t.Errorf("answered %s: %s", resp.Status, body)
			}
			if len(g.a.Actions()) == before {
				t.Fatalf("nothing was asked: %s %s", resp.Status, body)
			}
			a := g.last(t)
			if kinds(a) != c.kinds || c.object != "" && !slices.Contains(a.Objects, c.object) {
				t.Errorf("kinds %q of %q", kinds(a), a.Objects)
			}
			if got := a.Data.Destination + " " + a.Data.DestinationTrust; c.destination != "" && got != c.destination {
				t.Errorf("goes to %q", got)
			}
			if strings.HasPrefix(c.name, "copy") {
				all := g.a.Actions()
				if read := all[len(all)-2]; kinds(read) != "data.read" || !a.Data.Unscanned {
					t.Errorf("the source is %q, unscanned %v", kinds(read), a.Data.Unscanned)
				}
			}
		})
	}
}

// TestS3Bypasses holds what is refused before anybody is asked, and never goes upstream.
func TestS3Bypasses(t *testing.T) {
	g := newS3Gate(t, setup{})
	many := func(inner string) string { return "<Delete>" + inner + "</Delete>" }
	for _, c := range []struct {
		name, method, target, body string
		header                     []string
	}{
		{"dot segments in a key of many", "POST", "/house?delete", many("<Object><Key>../partner/x</Key></Object>"), nil},
		{"a zero byte", "GET", "/house/a%00b", "", nil},
		{"a bucket that is none", "GET", "/ho@use/x", "", nil},
		{"a bucket in a host that is none", "GET", "/y", "", []string{"Host", "-b.s3.gate.example"}},
		{"a directory bucket", "GET", "/x--euw1-az1--x-s3/k", "", nil},
		{"a session's credential", "GET", "/house?session", "", nil},
		{"a parameter twice", "GET", "/house/a?versionId=1&versionId=2", "", nil},
		{"a parameter twice, in two spellings", "GET", "/house/a?acl&Acl", "", nil},
		{"two sub-resources", "PUT", "/house?acl&policy", "", nil},
		{"a multi-region access point", "GET", "/arn%3Aaws%3As3%3A%3A123456789012%3Aaccesspoint%2Fx.mrap/k", "", nil},
		{"an access point elsewhere", "GET", "/arn%3Aaws%3As3%3Aeu-west-2%3A123456789012%3Aaccesspoint%2Fours/k", "", nil},
		{"a source without a key", "PUT", "/house/n", "", []string{"X-Amz-Copy-Source", "/partner"}},
		{"a source with two versions", "PUT", "/house/n", "", []string{"X-Amz-Copy-Source", "/house/a?versionId=1&versionId=2"}},
		{"a source with a version in its key", "PUT", "/house/n", "", []string{"X-Amz-Copy-Source", "/house/a%3FversionId%3D1"}},
		{"a source with something else", "PUT", "/house/n", "", []string{"X-Amz-Copy-Source", "/house/a?acl"}},
		{"a source with dots", "PUT", "/house/n", "", []string{"X-Amz-Copy-Source", "/house/../partner/a"}},
		{"a source of a read", "GET", "/house/n", "", []string{"X-Amz-Copy-Source", "/partner/a"}},
		{"two deletes in one", "POST", "/house?delete", many("<Object><Key>a</Key></Object>") + many("<Object><Key>b</Key></Object>"), nil},
		{"a key twice in one object", "POST", "/house?delete", many("<Object><Key>a</Key><Key>b</Key></Object>"), nil},
		{"a key behind a comment", "POST", "/house?delete", many("<Object><Key>a<!-- --></Key></Object>"), nil},
		{"an entity of its own", "POST", "/house?delete", `<!DOCTYPE d [<!ENTITY k "b">]>` + many("<Object><Key>&k;</Key></Object>"), nil},
		{"another namespace", "POST", "/house?delete", many(`<x:Object xmlns:x="y"><x:Key>a</x:Key></x:Object>`), nil},
		{"an element nobody knows", "POST", "/house?delete", many("<Object><Key>a</Key><Path>b</Path></Object>"), nil},
		{"nothing to delete", "POST", "/house?delete", many(""), nil},
		{"parts out of order", "POST", "/house/n?uploadId=u", "<CompleteMultipartUpload><Part><PartNumber>2</PartNumber><ETag>a</ETag></Part><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>", nil},
		{"a part without a number", "PUT", "/house/n?uploadId=u&partNumber=x", "y", nil},
		{"another account's way", "GET", "/house", "", []string{"X-Amz-Account-Id", "123456789012"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g.up.forget()
			before := len(g.a.Actions())
			resp, body := g.do(t, c.method, c.target, c.body, c.header...)
			if resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusForbidden {
				t.Errorf("answered %s: %s", resp.Status, body)
			}
			if len(g.up.seen()) != 0 || len(g.a.Actions()) != before {
				t.Errorf("%d requests arrived, %d actions", len(g.up.seen()), len(g.a.Actions())-before)
			}
		})
	}
	t.Run("nobody's", func(t *testing.T) {
		for _, target := range []string{"/house/a", "/house/a?X-Amz-Algorithm=AWS4-HMAC-SHA256"} {
			resp, err := g.Client().Get(g.URL + target)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Error(resp.Status)
			}
		}
	})
}

// TestS3Upstream holds where a request goes.
func TestS3Upstream(t *testing.T) {
	const arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/ours"
	aws, own := "https://s3.eu-west-1.amazonaws.com", "https://minio.example:9000"
	s := &S3{S3Options: S3Options{Hosts: []string{"s3.gate.example"}, Buckets: []Bucket{{Name: arn, Trust: Internal}}}}
	for _, c := range []struct {
		to      string
		virtual bool
		host    string
		target  string
		want    string
	}{
		{aws, true, "gate.example", "/house/a%20b", "https://house.s3.eu-west-1.amazonaws.com/a%20b"},
		{aws, true, "gate.example", "/house.with.dots/a", "https://s3.eu-west-1.amazonaws.com/house.with.dots/a"},
		{aws, true, "gate.example", "/House/a", "https://s3.eu-west-1.amazonaws.com/House/a"},
		{aws, true, "house.s3.gate.example:8443", "/a/b?x", "https://house.s3.eu-west-1.amazonaws.com/a/b"},
		{aws, true, "gate.example", "/", "https://s3.eu-west-1.amazonaws.com/"},
		{aws, true, "ours-123456789012.s3.gate.example", "/k", "https://ours-123456789012.s3-accesspoint.eu-west-1.amazonaws.com/k"},
		{aws, true, "theirs-123456789012.s3.gate.example", "/k", "https://theirs-123456789012.s3.eu-west-1.amazonaws.com/k"},
		{own, false, "gate.example", "/house/a", "https://minio.example:9000/house/a"},
		{own, false, "house.s3.gate.example", "/%C3%BC%2Fx", "https://minio.example:9000/house/%C3%BC/x"},
	} {
		r, err := http.NewRequest(http.MethodGet, "http://x"+c.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		u, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		name, err := s.name(r)
		if err != nil {
			t.Fatalf("%s%s: %v", c.host, c.target, err)
		}
		up := (&s3Call{s: s, name: name, to: Endpoint{URL: u, Region: "eu-west-1", Virtual: c.virtual}}).upstream()
		if got := up.URL.String() + up.Path; got != c.want {
			t.Errorf("%s%s goes to %s", c.host, c.target, got)
		}
	}
}

// held is an authority that holds what hold says, until its word is given.
func held(hold func(*action.Action) bool, word <-chan error) *gatetest.Authority {
	return &gatetest.Authority{
		Flows: func(a *action.Action) bool { return !hold(a) },
		Decide: func(ctx context.Context, a *action.Action, told func(gate.Held)) error {
			if !hold(a) {
				return nil
			}
			if told != nil {
				told(gate.Held{ID: "apr_1", Until: time.Now().Add(time.Minute)})
			}
			select {
			case err := <-word:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	}
}

func exports(a *action.Action) bool { return slices.Contains(a.Kinds, action.DataExport) }

// TestS3ExportHeld: an export waits, nothing of it leaves before somebody approves, and
// then the very bytes do.
func TestS3ExportHeld(t *testing.T) {
	word := make(chan error)
	g := newS3Gate(t, setup{authority: held(exports, word)})
	body := strings.Repeat("0123456789abcdef", 64<<10) + "alice@example.com"
	done := make(chan string)
	go func() {
		resp, text := g.do(t, http.MethodPut, "/partner/export.csv", body)
		done <- resp.Status + text
	}()
	word <- nil // somebody waits for it
	if got := <-done; !strings.HasPrefix(got, "200") {
		t.Fatal(got)
	}
	all := g.up.seen()
	if len(all) != 1 || string(all[0].Body) != body {
		t.Fatalf("%d requests arrived", len(all))
	}
	if a := g.last(t); !slices.Contains(a.Data.Classes, "email") || a.Data.Bytes.N != int64(len(body)) || a.Data.Unscanned {
		t.Errorf("what was asked: %+v", a.Data)
	}
	g.up.forget()
	go func() {
		resp, text := g.do(t, http.MethodPut, "/partner/export.csv", body)
		done <- resp.Status + text
	}()
	word <- &gate.Denied{Status: gate.StatusDenied, Reason: "not this"}
	if got := <-done; !strings.HasPrefix(got, "403") || !strings.Contains(got, "not this") {
		t.Fatal(got)
	}
	if n := len(g.up.seen()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

// upload sends an object in parts, and returns what answers its completion.
func (g *s3Gate) upload(t *testing.T, object string, parts ...string) (*http.Response, string) {
	t.Helper()
	id := g.begin(t, object)
	var list strings.Builder
	for i, p := range parts {
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, g.part(t, object, id, i+1, p))
	}
	return g.do(t, http.MethodPost, object+"?uploadId="+id, "<CompleteMultipartUpload>"+list.String()+"</CompleteMultipartUpload>")
}

func (g *s3Gate) begin(t *testing.T, object string) string {
	t.Helper()
	resp, body := g.do(t, http.MethodPost, object+"?uploads", "")
	m := uploadID.FindStringSubmatch(body)
	if resp.StatusCode != 200 || m == nil {
		t.Fatal(resp.Status, body)
	}
	return m[1]
}

func (g *s3Gate) part(t *testing.T, object, id string, n int, body string) (etag string) {
	t.Helper()
	resp, text := g.do(t, http.MethodPut, fmt.Sprintf("%s?partNumber=%d&uploadId=%s", object, n, id), body)
	if resp.StatusCode != 200 {
		t.Fatal(resp.Status, text)
	}
	return resp.Header.Get("ETag")
}

// TestS3Parts: what is found in any part is known when the upload is completed, a value
// that is cut over parts too, wherever it is cut.
func TestS3Parts(t *testing.T) {
	const value = "4111 1111 1111 1111"
	for i := 1; i < len(value); i += 3 {
		g := newS3Gate(t, setup{})
		before, after := strings.Repeat("lorem ipsum ", 500)+"card "+value[:i], value[i:]+" dolor"+strings.Repeat(" sit amet", 500)
		resp, body := g.upload(t, "/house/big", before, after)
		if resp.StatusCode != 200 {
			t.Fatal(resp.Status, body)
		}
		all := g.a.Actions()
		if len(all) != 1 || !slices.Contains(all[0].Data.Classes, "card") || all[0].Data.Unscanned || all[0].Data.Bytes.N != int64(len(before)+len(after)) {
			t.Errorf("cut at %d: %d actions, %+v", i, len(all), all[0].Data)
		}
		if got, text := g.do(t, http.MethodGet, "/house/big", ""); text != before+after {
			t.Errorf("%s, %d bytes came back", got.Status, len(text))
		}
	}
	t.Run("over three", func(t *testing.T) {
		g := newS3Gate(t, setup{})
		g.upload(t, "/house/big", "card 4111 11", "11 1111", " 1111 x")
		if a := g.last(t); !slices.Contains(a.Data.Classes, "card") {
			t.Errorf("%+v", a.Data)
		}
	})
	t.Run("in one of them", func(t *testing.T) {
		g := newS3Gate(t, setup{})
		g.upload(t, "/house/big", "lorem", "alice@example.com", "ipsum")
		if a := g.last(t); !slices.Equal(a.Data.Classes, []string{"email"}) {
			t.Errorf("%+v", a.Data)
		}
	})
	t.Run("nothing in them", func(t *testing.T) {
		g := newS3Gate(t, setup{})
		g.upload(t, "/house/big", "lorem", "ipsum")
		if a := g.last(t); len(a.Data.Classes) != 0 || !a.Data.ClassesKnown {
			t.Errorf("%+v", a.Data)
		}
	})
	t.Run("from elsewhere", func(t *testing.T) {
		g := newS3Gate(t, setup{})
		id := g.begin(t, "/house/big")
		etag := g.part(t, "/house/big", id, 1, "lorem")
		g.s3.uploads.end(id) // as after a restart
		g.do(t, http.MethodPost, "/house/big?uploadId="+id, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+etag+"</ETag></Part></CompleteMultipartUpload>")
		if a := g.last(t); !a.Data.Unscanned || a.Data.ClassesKnown || a.Data.Bytes.Known {
			t.Errorf("%+v", a.Data)
		}
	})
	t.Run("copied", func(t *testing.T) {
		g := newS3Gate(t, setup{})
		g.do(t, http.MethodPut, "/house/a", "alice@example.com")
		id := g.begin(t, "/house/big")
		g.do(t, http.MethodPut, "/house/big?partNumber=1&uploadId="+id, "", "X-Amz-Copy-Source", "/house/a")
		if !slices.ContainsFunc(g.a.Actions(), func(a *action.Action) bool {
			return slices.Contains(a.Kinds, action.DataRead) && strings.Contains(a.Target, "house/a")
		}) {
			t.Errorf("nobody was asked whether it may be read: %+v", g.last(t))
		}
	})
}

// TestS3PartsDenied: an upload whose completion is denied is taken away, and one whose
// parts change while people look at it doesn't run.
func TestS3PartsDenied(t *testing.T) {
	word := make(chan error)
	g := newS3Gate(t, setup{authority: held(func(a *action.Action) bool { return len(a.Data.Classes) > 0 }, word)})
	done := make(chan string)
	go func() {
		resp, text := g.upload(t, "/house/big", "alice@example.com")
		done <- resp.Status + text
	}()
	word <- &gate.Denied{Status: gate.StatusDenied, Reason: "not this"}
	if got := <-done; !strings.HasPrefix(got, "403") {
		t.Fatal(got)
	}
	aborted := func() bool {
		return slices.ContainsFunc(g.up.seen(), func(a arrival) bool { return a.Method == http.MethodDelete })
	}
	for end := time.Now().Add(10 * time.Second); !aborted(); {
		if time.Now().After(end) {
			t.Fatal("the upload was not called off")
		}
		time.Sleep(time.Millisecond)
	}
	for _, a := range g.up.seen() {
		if a.Method == http.MethodPost && strings.Contains(a.Query, "uploadId") {
			t.Error("the completion arrived")
		}
	}
}

// TestS3PartsChanged: parts that change while people look at their upload, under the same
// number and checksum of S3's, don't become it.
func TestS3PartsChanged(t *testing.T) {
	a := &gatetest.Authority{}
	g := newS3Gate(t, setup{authority: a})
	a.Decide = func(context.Context, *action.Action, func(gate.Held)) error {
		g.s3.uploads.mu.Lock()
		defer g.s3.uploads.mu.Unlock()
		g.s3.uploads.order.Front().Value.(*upload).parts[1][0].sum[0]++
		return nil
	}
	resp, text := g.upload(t, "/house/big", "bob@example.com")
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(text, "changed") {
		t.Error(resp.Status, text)
	}
	for _, a := range g.up.seen() {
		if a.Method == http.MethodPost && strings.Contains(a.Query, "uploadId") {
			t.Error("the completion arrived")
		}
	}
}

// TestS3PartsOutside: in another's bucket the beginning of an upload is the export, since
// its owner could complete it.
func TestS3PartsOutside(t *testing.T) {
	word := make(chan error, 1)
	g := newS3Gate(t, setup{authority: held(exports, word)})
	word <- &gate.Denied{Status: gate.StatusDenied, Reason: "not this"}
	if resp, _ := g.do(t, http.MethodPost, "/partner/big?uploads", ""); resp.StatusCode != http.StatusForbidden || len(g.up.seen()) != 0 {
		t.Errorf("%s, %d requests arrived", resp.Status, len(g.up.seen()))
	}
	// A part of an upload that nobody agreed to waits as well.
	word <- &gate.Denied{Status: gate.StatusDenied, Reason: "not this"}
	if resp, _ := g.do(t, http.MethodPut, "/partner/big?partNumber=1&uploadId=x", "lorem"); resp.StatusCode != http.StatusForbidden || len(g.up.seen()) != 0 {
		t.Errorf("%s, %d requests arrived", resp.Status, len(g.up.seen()))
	}
	// So does one that another credential adds to an upload that was agreed to.
	g.s3.uploads.begin("theirs", "cred_other", s3Name{"partner", "big"}, true)
	word <- &gate.Denied{Status: gate.StatusDenied, Reason: "not this"}
	if resp, _ := g.do(t, http.MethodPut, "/partner/big?partNumber=1&uploadId=theirs", "lorem"); resp.StatusCode != http.StatusForbidden || len(g.up.seen()) != 0 {
		t.Errorf("%s, %d requests arrived", resp.Status, len(g.up.seen()))
	}
	word <- nil // the beginning alone, where nothing is found in the parts
	if resp, body := g.upload(t, "/partner/big", "lorem", "ipsum"); resp.StatusCode != 200 {
		t.Error(resp.Status, body)
	}
	word <- nil
	done := make(chan string)
	go func() {
		resp, body := g.upload(t, "/partner/big", "lorem alice@example.com", "ipsum")
		done <- resp.Status + body
	}()
	word <- nil // and its end, where something is
	if got := <-done; !strings.HasPrefix(got, "200") {
		t.Error(got)
	}
	if a := g.last(t); !slices.Equal(a.Data.Classes, []string{"email"}) || a.Data.Destination != "s3://partner" {
		t.Errorf("%+v", a.Data)
	}
}

// TestS3Elsewhere: what sends a client past the gate doesn't reach it, nor what S3 says of the gate's key.
func TestS3Elsewhere(t *testing.T) {
	status, header, doc := 307, http.Header{"Location": {"https://partner.s3.eu-west-3.amazonaws.com/x"}, "X-Amz-Bucket-Region": {"eu-west-3"}}, "<Error><Endpoint>partner.s3.eu-west-3.amazonaws.com</Endpoint></Error>"
	up := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(doc))
	})
	g := newS3Gate(t, setup{upstream: up})
	for _, status = range []int{301, 302, 307, 308} {
		resp, body := g.do(t, http.MethodGet, "/house/a", "")
		all, _ := json.Marshal(resp.Header)
		if resp.StatusCode != http.StatusForbidden || strings.Contains(body+string(all), "amazonaws") || !strings.Contains(body, "eu-west-3") {
			t.Errorf("%d: %s %s %s", status, resp.Status, all, body)
		}
	}
	status, header, doc = 403, nil, "<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>AKIAREAL</AWSAccessKeyId></Error>"
	if resp, body := g.do(t, http.MethodGet, "/house/a", ""); resp.StatusCode != http.StatusBadGateway || strings.Contains(body, "AKIAREAL") {
		t.Error(resp.Status, body)
	}
	status, doc = 403, "<Error><Code>AccessDenied</Code></Error>"
	if resp, body := g.do(t, http.MethodGet, "/house/a", ""); resp.StatusCode != http.StatusForbidden || body != doc {
		t.Error(resp.Status, body)
	}
}
