package aws

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/sigv4"
	"github.com/assenthq/assent/internal/veil"
)

// check looks at an answer before anything of it passes.
func (c *s3Call) check(resp *http.Response) error {
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified:
		// A client that followed it would send what it signed to somebody else, past the gate.
		where := ""
		if region := resp.Header.Get("X-Amz-Bucket-Region"); plainRegion.MatchString(region) {
			where = ": it is in " + region
		}
		return &gate.Denied{Status: gate.StatusDenied, Reason: "S3 sends this request elsewhere, where nobody judged it" + where, Hint: "an operator sets the region or the endpoint of this bucket"}
	case resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusBadRequest:
		return c.refusedOurs(resp)
	case resp.StatusCode >= 300:
		return nil
	}
	if l := resp.Header.Get("Location"); strings.Contains(l, "//") {
		resp.Header.Set("Location", c.name.path())
	}
	switch c.op.Name {
	case "CreateMultipartUpload":
		return c.begun(resp)
	case "UploadPart":
		if c.edges != nil {
			found, unscanned := c.x.Body.Found()
			c.s.uploads.add(c.id, c.name, c.number, c.edges.part(strings.Trim(resp.Header.Get("ETag"), `"`), found, unscanned))
		}
	case "UploadPartCopy":
		c.s.uploads.blind(c.id, c.name)
	case "AbortMultipartUpload":
		c.s.uploads.end(c.id)
	}
	return nil
}

var (
	plainRegion = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
	uploadID    = regexp.MustCompile(`<UploadId>([^<]{1,999})</UploadId>`)
	ownKey      = regexp.MustCompile(`<Code>(InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired|RequestTimeTooSkewed|AuthorizationHeaderMalformed)</Code>`)
)

// refusedOurs withholds what upstream says of the gate's own key: it repeats the key's id
// and what was signed, and the client can do nothing about it.
func (c *s3Call) refusedOurs(resp *http.Response) error {
	body, err := peek(resp)
	if err != nil {
		return err
	}
	if m := ownKey.FindSubmatch(body); m != nil {
		return &gate.Denied{Status: gate.StatusUnreachable, Reason: "S3 did not take the gate's own signature (" + string(m[1]) + ")", Hint: "an operator looks at the gate's credential, its region and its clock"}
	}
	return nil
}

// peek reads the beginning of a body, and leaves it to be read.
func peek(resp *http.Response) ([]byte, error) {
	head, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	if err != nil {
		return nil, fmt.Errorf("reading S3's answer: %w", err)
	}
	return head, nil
}

// begun takes note of an upload in parts.
func (c *s3Call) begun(resp *http.Response) error {
	body, err := peek(resp)
	if err != nil {
		return err
	}
	m := uploadID.FindSubmatch(body)
	if m == nil {
		return withheld("S3 began an upload, and did not say which")
	}
	_, outside := c.s.outside(c.name.Bucket)
	c.s.uploads.begin(html.UnescapeString(string(m[1])), c.x.Credential, c.name, outside)
	return nil
}

// reply masks an answer.
func (c *s3Call) reply(resp *http.Response, p gate.Permit) error {
	defer c.shown(resp)
	switch {
	case c.op.Name == "GetObject" && resp.StatusCode < 300:
		return c.object(resp, p)
	case c.op.Name == "SelectObjectContent" && resp.StatusCode < 300 && !p.Bare():
		return withheld("what a query takes out of an object can't be masked: it may be a piece of a value, under another name")
	case strings.HasPrefix(c.op.Name, "List") && resp.StatusCode < 300 && !p.Bare():
		return c.list(resp, p)
	}
	return veil.Reply(resp, p, veil.Options{Fill: c.op.Name == "HeadObject"})
}

// maxListing is how long a list of names may be; S3 sends a thousand at a time.
const maxListing = 16 << 20

var encoded = regexp.MustCompile(`<EncodingType>\s*url\s*</EncodingType>`)

// list masks the names in a list: each text of it as it reads once its escapes are taken off.
func (c *s3Call) list(resp *http.Response, p gate.Permit) error {
	if d, is := param(c.x.Request, "delimiter"); is && d != "" && d != "/" {
		return withheld("names are masked, and a delimiter other than / cuts them where nobody could tell what they hold")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
	if err != nil {
		return fmt.Errorf("reading S3's answer: %w", err)
	}
	if len(body) > maxListing {
		return withheld("the list is too long")
	}
	_ = resp.Body.Close()
	out, rows := maskTexts(body, encoded.Match(body), p.Text)
	if err := p.Count(rows, 0); err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(out))
	resp.ContentLength = int64(len(out))
	resp.Header.Set("Content-Length", strconv.Itoa(len(out)))
	return veil.Reply(resp, p, veil.Options{}) // its headers, and what stands in its tags
}

// maskTexts masks each text between tags, unescaped, and as a URL has it where the list says so.
func maskTexts(body []byte, url bool, mask func([]byte) []byte) (out []byte, rows int64) {
	out = make([]byte, 0, len(body))
	for len(body) > 0 {
		i := bytes.IndexByte(body, '<')
		if i < 0 {
			i = len(body)
		}
		if i > 0 {
			out = append(out, maskText(body[:i], url, mask)...)
			body = body[i:]
			continue
		}
		end := bytes.IndexByte(body, '>')
		if end < 0 {
			end = len(body) - 1
		}
		if tag := string(body[:end+1]); tag == "<Contents>" || tag == "<Version>" || tag == "<DeleteMarker>" || tag == "<Upload>" || tag == "<Part>" {
			rows++
		}
		out = append(out, body[:end+1]...)
		body = body[end+1:]
	}
	return out, rows
}

func maskText(t []byte, url bool, mask func([]byte) []byte) []byte {
	if len(bytes.TrimSpace(t)) == 0 {
		return t
	}
	plain := html.UnescapeString(string(t))
	if url {
		// A plus sign is a space here, as S3 writes it.
		if s, ok := sigv4.Unescape(strings.ReplaceAll(plain, "+", " ")); ok {
			plain = s
		}
	}
	masked := string(mask([]byte(plain)))
	if masked == plain {
		return t
	}
	if url {
		masked = sigv4.Escape(masked, true)
	}
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(masked)) // a buffer takes everything
	return b.Bytes()
}
