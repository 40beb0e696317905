package aws

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/sigv4"
	"github.com/assenthq/assent/internal/veil"
)

// margin is how much more than a range is read on each side of it, so that a value that
// the range's edge cuts is still seen as one.
const margin = 4 << 10

// A span is the range that a client asked for.
type span struct{ first, last int64 } // last -1: to the end

var oneRange = regexp.MustCompile(`^bytes=([0-9]{0,18})-([0-9]{0,18})$`)

// widen asks for more than the client's range. A range in another form is left out, as
// servers may: the client gets the whole.
func (c *s3Call) widen(out *http.Request) {
	text := out.Header.Get("Range")
	if text == "" || c.op.Name != "GetObject" {
		return
	}
	m := oneRange.FindStringSubmatch(strings.ReplaceAll(text, " ", ""))
	if m == nil || len(out.Header.Values("Range")) > 1 || m[1] == "" && m[2] == "" {
		out.Header.Del("Range")
		return
	}
	first, _ := strconv.ParseInt(m[1], 10, 64)
	last, err := strconv.ParseInt(m[2], 10, 64)
	switch {
	case m[1] == "": // the last bytes: not all servers take more than there are
		c.narrow = true
		return
	case err != nil:
		last = -1
	case last < first:
		out.Header.Del("Range")
		return
	}
	c.span = &span{first, last}
	wide := fmt.Sprintf("bytes=%d-", max(0, first-margin))
	if last >= 0 {
		wide += strconv.FormatInt(last+margin, 10)
	}
	out.Header.Set("Range", wide)
}

// hide takes off what would make an answer say that it is something else than it is, and
// so be looked at in another way. What it asks for is done once the answer was masked.
func (c *s3Call) hide(out *http.Request) {
	if c.op.Name != "GetObject" {
		return
	}
	var kept []string
	for part := range strings.SplitSeq(out.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		plain, _ := sigv4.Unescape(name)
		if header := overrides[strings.ToLower(plain)]; header != "" {
			if v, ok := sigv4.Unescape(value); ok {
				if c.hidden == nil {
					c.hidden = url.Values{}
				}
				c.hidden.Set(header, v)
			}
			continue
		}
		kept = append(kept, part)
	}
	out.URL.RawQuery = strings.Join(kept, "&")
}

var overrides = map[string]string{
	"response-content-type": "Content-Type", "response-content-encoding": "Content-Encoding",
	"response-content-disposition": "Content-Disposition", "response-content-language": "Content-Language",
	"response-cache-control": "Cache-Control", "response-expires": "Expires",
}

// shown does what response-* asked for.
func (c *s3Call) shown(resp *http.Response) {
	for header, v := range c.hidden {
		if resp.StatusCode < 300 && !strings.ContainsFunc(v[0], func(r rune) bool { return r < ' ' || r == 0x7f }) {
			resp.Header.Set(header, v[0])
		}
	}
}

// structured are media types whose values are masked by the names of their members or
// columns too, which a piece of them doesn't show.
var structured = regexp.MustCompile(`(?i)json|csv|tab-separated|xml|x-www-form|yaml`)

// maxWhole is how long an object may be that is read whole for a piece of it.
const maxWhole = 64 << 20

// object masks an object's bytes, and cuts the client's range out of a wider one.
func (c *s3Call) object(resp *http.Response, p gate.Permit) error {
	declared := resp.Header.Get("Content-Type")
	opaque := c.s.Opaque
	if b, known := c.s.bucket(c.name.Bucket); known && b.Opaque {
		opaque = true
	}
	if resp.StatusCode != http.StatusPartialContent {
		if resp.StatusCode == http.StatusOK && !p.Bare() {
			sniff(resp, declared)
		}
		if err := veil.Reply(resp, p, veil.Options{Fill: true, Opaque: opaque}); err != nil {
			return err
		}
		restore(resp, declared)
		return nil
	}
	first, last, total, ok := contentRange(resp.Header.Get("Content-Range"))
	if !ok {
		return withheld("upstream told of a range that can't be read")
	}
	want := span{first, last}
	if c.span != nil {
		if want, ok = c.span.within(total); !ok {
			unsatisfied(resp, total)
			return nil
		}
	}
	if !p.Bare() {
		if err := c.wider(resp, &first, &last, total, declared); err != nil {
			return err
		}
		sniff(resp, declared)
	}
	if want.first < first || want.last > last {
		return withheld("upstream sent another range than was asked for")
	}
	if want != (span{first, last}) {
		for name := range resp.Header { // of more than the client gets
			if strings.HasPrefix(name, "X-Amz-Checksum-") || name == "Content-Md5" {
				delete(resp.Header, name)
			}
		}
	}
	// The veil sees a whole answer, whatever piece of the object it is.
	resp.StatusCode, resp.Status = http.StatusOK, ""
	resp.Header.Del("Content-Range")
	length := last - first + 1
	resp.ContentLength = length
	resp.Header.Set("Content-Length", strconv.FormatInt(length, 10))
	if err := veil.Reply(resp, p, veil.Options{Fill: true, Opaque: opaque}); err != nil {
		return err
	}
	if resp.ContentLength != length {
		return withheld("a piece of it can't be masked with its length kept; read it whole")
	}
	restore(resp, declared)
	resp.StatusCode, resp.Status = http.StatusPartialContent, "206 Partial Content"
	resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", want.first, want.last, total))
	resp.ContentLength = want.last - want.first + 1
	resp.Header.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	resp.Body = &cut{in: resp.Body, skip: want.first - first, left: resp.ContentLength}
	return nil
}

// unsatisfied is the answer to a range behind the end of an object, of which only the
// wider one had a piece.
func unsatisfied(resp *http.Response, total int64) {
	_ = resp.Body.Close()
	doc := `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>InvalidRange</Code><Message>The requested range is not satisfiable</Message></Error>"
	resp.StatusCode, resp.Status = http.StatusRequestedRangeNotSatisfiable, "416 Requested Range Not Satisfiable"
	resp.Header = http.Header{"Content-Type": {"application/xml"}, "Content-Range": {fmt.Sprintf("bytes */%d", total)}, "Content-Length": {strconv.Itoa(len(doc))}}
	resp.ContentLength, resp.Body = int64(len(doc)), io.NopCloser(strings.NewReader(doc))
}

func withheld(reason string) *gate.Denied {
	return &gate.Denied{Status: gate.StatusLimit, Reason: "the answer is withheld: " + reason}
}

// within is a span as numbers of an object of total bytes.
func (s span) within(total int64) (span, bool) {
	if s.last < 0 || s.last >= total {
		s.last = total - 1
	}
	return s, s.first < total
}

var ranges = regexp.MustCompile(`^bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})$`)

func contentRange(text string) (first, last, total int64, ok bool) {
	m := ranges.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, 0, false
	}
	first, _ = strconv.ParseInt(m[1], 10, 64)
	last, _ = strconv.ParseInt(m[2], 10, 64)
	total, _ = strconv.ParseInt(m[3], 10, 64)
	return first, last, total, first <= last && last < total
}

// wider reads the answer again where it is too narrow to be masked: a part by its number or
// the end of an object, whose edges were not known, or a piece of what is masked by names.
func (c *s3Call) wider(resp *http.Response, first, last *int64, total int64, declared string) error {
	from, to := *first, *last
	if _, has := param(c.x.Request, "partNumber"); has || c.narrow {
		from, to = max(0, from-margin), min(total-1, to+margin)
	}
	if structured.MatchString(declared) {
		if total > maxWhole {
			return withheld("a piece of an object whose values are masked by their names can't be shown, and it is too long to be read whole for it")
		}
		from, to = 0, total-1
	}
	if from == *first && to == *last {
		return nil
	}
	_ = resp.Body.Close()
	again := resp.Request.Clone(resp.Request.Context())
	again.Body, again.Header = http.NoBody, http.Header{}
	for name, values := range resp.Request.Header {
		again.Header[http.CanonicalHeaderKey(name)] = values
	}
	q := again.URL.Query()
	q.Del("partNumber")
	again.URL.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	again.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to))
	if tag := resp.Header.Get("ETag"); tag != "" {
		again.Header.Set("If-Match", tag) // the same object, not one that came meanwhile
	}
	key, err := c.to.Key(again.Context())
	if err != nil {
		return fmt.Errorf("S3: the gate's own key: %w", err)
	}
	if _, err := key.Sign(again, c.to.Region, "s3", sigv4.EmptyHash, now()); err != nil {
		return err
	}
	wide, err := c.to.Transport.RoundTrip(again)
	if err != nil {
		return err
	}
	f, l, t, ok := contentRange(wide.Header.Get("Content-Range"))
	if wide.StatusCode != http.StatusPartialContent || !ok || f != from || l != to || t != total {
		_ = wide.Body.Close()
		return withheld("upstream did not send the wider range that masking it takes")
	}
	resp.Body, *first, *last = wide.Body, from, to
	return nil
}

// sniff looks at what an object is, whatever it says it is: text under another name is
// masked as text.
func sniff(resp *http.Response, declared string) {
	r := bufio.NewReaderSize(resp.Body, 4<<10)
	head, _ := r.Peek(4 << 10)
	if text(head) && !structured.MatchString(declared) && resp.Header.Get("Content-Encoding") == "" {
		resp.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{r, resp.Body}
}

// text reports whether b may be part of a text in UTF-8 or in one of its forerunners.
func text(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool {
		return c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1b || c == 0x7f
	})
}

func restore(resp *http.Response, declared string) {
	if resp.Header.Get("Content-Type") != declared {
		resp.Header.Set("Content-Type", declared)
		if declared == "" {
			resp.Header.Del("Content-Type")
		}
	}
}

// A cut is a piece of what it reads. An error of what it reads is one of its own, and a
// body that ends before the piece does is one too.
type cut struct {
	in         io.ReadCloser
	skip, left int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.skip > 0 {
		n, err := io.CopyN(io.Discard, c.in, c.skip)
		if c.skip -= n; err != nil {
			return 0, short(err)
		}
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.in.Read(p)
	if c.left -= int64(n); c.left > 0 && err != nil {
		return n, short(err)
	}
	return n, nil
}

func (c *cut) Close() error { return c.in.Close() }

func short(err error) error {
	if err == io.EOF { //nolint:errorlint // a plain end is what is meant
		return io.ErrUnexpectedEOF
	}
	return err
}
