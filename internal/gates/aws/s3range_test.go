package aws

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate/gatetest"
)

const planted = "alice@example.com"

// masking masks the planted value where it stands whole.
func masking() *gatetest.Authority {
	return &gatetest.Authority{Flows: func(*action.Action) bool { return true }, Mask: func(v []byte) []byte {
		return bytes.ReplaceAll(v, []byte(planted), bytes.Repeat([]byte("*"), len(planted)))
	}}
}

// TestS3Ranges: whatever piece of an object is asked for, no byte of a value comes through
// its edges, and what comes is that piece.
func TestS3Ranges(t *testing.T) {
	g := newS3Gate(t, setup{authority: masking()})
	const before = 6000
	object := strings.Repeat("x", before-1) + " " + planted + " " + strings.Repeat("y", 6000)
	masked := strings.ReplaceAll(object, planted, strings.Repeat("*", len(planted)))
	n := len(object)
	for _, kind := range []string{"text/plain", "application/octet-stream", "image/png", "application/json"} {
		g.do(t, http.MethodPut, "/house/o", object, "Content-Type", kind)
		for _, r := range []struct {
			text        string
			first, last int
		}{
			{"", 0, n - 1},
			{"bytes=0-", 0, n - 1},
			{"bytes=0-99", 0, 99},
			{fmt.Sprintf("bytes=%d-", before+5), before + 5, n - 1},
			{fmt.Sprintf("bytes=%d-%d", before+5, before+9), before + 5, before + 9},
			{fmt.Sprintf("bytes=0-%d", before+3), 0, before + 3},
			{fmt.Sprintf("bytes=-%d", 6000+8), n - 6008, n - 1},
			{fmt.Sprintf("bytes=-%d", n), 0, n - 1},
			{"bytes=-1", n - 1, n - 1},
			{fmt.Sprintf("bytes=%d-999999", n-1), n - 1, n - 1},
			{"bytes=0-1,5-6", 0, n - 1},
			{"lines=1-2", 0, n - 1},
		} {
			header := []string{}
			if r.text != "" {
				header = []string{"Range", r.text}
			}
			resp, body := g.do(t, http.MethodGet, "/house/o", "", header...)
			if body != masked[r.first:r.last+1] {
				t.Errorf("%s, %s: %s, %d bytes: %.60q", kind, r.text, resp.Status, len(body), strings.Trim(body, "xy"))
			}
			if got := resp.Header.Get("Content-Type"); got != kind {
				t.Errorf("%s became %s", kind, got)
			}
			if want := fmt.Sprintf("bytes %d-%d/%d", r.first, r.last, n); resp.StatusCode == 206 && resp.Header.Get("Content-Range") != want {
				t.Errorf("%s: %s", r.text, resp.Header.Get("Content-Range"))
			}
		}
		for _, text := range []string{fmt.Sprintf("bytes=%d-", n), fmt.Sprintf("bytes=%d-%d", n+10, n+20)} {
			if resp, body := g.do(t, http.MethodGet, "/house/o", "", "Range", text); resp.StatusCode != http.StatusRequestedRangeNotSatisfiable || strings.Contains(body, "x") && strings.Contains(body, "yyy") {
				t.Errorf("%s: %s", text, resp.Status)
			}
		}
	}
}

// TestS3Overrides: what a request says of an answer's type is said to the client, and not
// to what masks it.
func TestS3Overrides(t *testing.T) {
	g := newS3Gate(t, setup{authority: masking()})
	g.do(t, http.MethodPut, "/house/o", "mail to "+planted, "Content-Type", "text/plain")
	g.up.forget()
	resp, body := g.do(t, http.MethodGet, "/house/o?response-content-type=image%2Fpng&response-content-encoding=br&response-content-disposition=attachment", "")
	if strings.Contains(body, planted) || !strings.HasPrefix(body, "mail to ***") {
		t.Errorf("%s %q", resp.Status, body)
	}
	if resp.Header.Get("Content-Type") != "image/png" || resp.Header.Get("Content-Disposition") != "attachment" {
		t.Errorf("%v", resp.Header)
	}
	for _, a := range g.up.seen() {
		if a.Query != "" {
			t.Errorf("%q arrived", a.Query)
		}
	}
}

// TestS3Lists: names in lists are masked as they read, escaped or not.
func TestS3Lists(t *testing.T) {
	g := newS3Gate(t, setup{authority: masking()})
	g.do(t, http.MethodPut, "/house/mail/alice%40example.com/1", "x")
	for _, query := range []string{"list-type=2", "list-type=2&encoding-type=url", "prefix=mail", "delimiter=%2F&encoding-type=url", "versions"} {
		resp, body := g.do(t, http.MethodGet, "/house?"+query, "")
		if resp.StatusCode != 200 || strings.Contains(body, "alice") {
			t.Errorf("%s: %s %s", query, resp.Status, body)
		}
	}
}

func TestMaskTexts(t *testing.T) {
	mask := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("a&b@c"), []byte("<m>")) }
	for _, c := range []struct {
		in, out string
		url     bool
		rows    int64
	}{
		{"<L><Contents><Key>a&amp;b@c</Key></Contents><Contents><Key>d</Key></Contents></L>", "<L><Contents><Key>&lt;m&gt;</Key></Contents><Contents><Key>d</Key></Contents></L>", false, 2},
		{"<Key>x%2Fa%26b%40c</Key>", "<Key>x/%3Cm%3E</Key>", true, 0},
		{"<Key>x+y%zz</Key>", "<Key>x+y%zz</Key>", true, 0},
		{"<Key a='>", "<Key a='>", false, 0},
		{"plain", "plain", false, 0},
		{"<open", "<open", false, 0},
		{"", "", false, 0},
	} {
		if out, rows := maskTexts([]byte(c.in), c.url, mask); string(out) != c.out || rows != c.rows {
			t.Errorf("%s: %s, %d rows", c.in, out, rows)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		skip, left int64
		want       string
		ok         bool
	}{{0, 5, "hello", true}, {1, 3, "ell", true}, {4, 1, "o", true}, {5, 1, "", false}, {2, 9, "llo", false}, {9, 1, "", false}} {
		got, err := io.ReadAll(&cut{in: io.NopCloser(iotest.OneByteReader(strings.NewReader("hello"))), skip: c.skip, left: c.left})
		if string(got) != c.want || (err == nil) != c.ok {
			t.Errorf("%d from %d: %q, %v", c.left, c.skip, got, err)
		}
	}
}

// FuzzReadList: what is read of a list is what another reader would find in it.
func FuzzReadList(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet><Object><Key>a&amp;b</Key><VersionId>1</VersionId></Object></Delete>`))
	f.Add([]byte(`<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"x"</ETag></Part></CompleteMultipartUpload>`))
	f.Add([]byte(`<Delete><Object><Key><![CDATA[x]]></Key></Object></Delete>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if list, err := readDelete(body); err == nil {
			if n := bytes.Count(body, []byte("<Object>")) + bytes.Count(body, []byte("<Object ")); len(list) == 0 || n > 0 && n < len(list) {
				t.Errorf("%d objects in %q", len(list), body)
			}
		}
		if list, err := readComplete(body); err == nil {
			for i, p := range list {
				if p.Number < 1 || i > 0 && p.Number <= list[i-1].Number {
					t.Errorf("parts %v", list)
				}
			}
		}
	})
}

// FuzzS3Name: a name that is read goes on as it was read, and never to another bucket.
func FuzzS3Name(f *testing.F) {
	for _, s := range []string{"/house/a", "/house//a", "/house/%2e%2e/x", "/arn:aws:s3:eu-west-1:123456789012:accesspoint/x/k", "/%68ouse/%00", "//"} {
		f.Add(s, "s3.gate.example", s)
	}
	s := &S3{S3Options: S3Options{Hosts: []string{"s3.gate.example"}}}
	f.Fuzz(func(t *testing.T, path, host, source string) {
		r, err := http.NewRequest(http.MethodGet, "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.URL.Path, r.URL.RawPath = host, "/"+path, ""
		n, err := s.name(r)
		if err != nil {
			return
		}
		again, err := http.NewRequest(http.MethodGet, "http://x"+n.path(), nil)
		if err != nil {
			t.Fatalf("%q: %v", n, err)
		}
		if back, err := s.name(again); err != nil || back != n {
			t.Errorf("%q came back as %q, %v", n, back, err)
		}
		if from, _, err := s.source(source); err == nil && (from.Key == "" || from.Bucket == "") {
			t.Errorf("%q is %q", source, from)
		}
	})
}
