package aws

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/sigv4"
)

const abortTimeout = 30 * time.Second

// now is the time that requests are signed with.
func now() time.Time { return time.Now() }

// out signs what goes on, with the real key: in the form that the client used as far as
// the way there allows, and with the body's own hash where all of it was read.
func (c *s3Call) out(ctx context.Context, out *http.Request) error {
	if c.digest != "" && c.s.uploads.whole(c.id, c.name, c.refs).digest != c.digest {
		return &gate.Denied{Status: gate.StatusDenied, Reason: "parts of the upload were changed while its completion was decided", Hint: "complete it again: it is judged anew"}
	}
	out.Header.Del("Expect")
	out.Header.Set("Accept-Encoding", "identity")
	c.hide(out)
	c.widen(out)
	key, err := c.to.Key(ctx)
	if err != nil {
		return fmt.Errorf("S3: the gate's own key: %w", err)
	}
	if c.number > 0 {
		c.edges = newEdges(out.Body)
		out.Body = c.edges
	}
	form, trailers, err := c.form(out)
	if err != nil {
		return err
	}
	body := out.Body
	switch form {
	case sigv4.SignedChunks, sigv4.SignedTrailer, sigv4.UnsignedTrailer:
		if coding := out.Header.Get("Content-Encoding"); coding != "" {
			out.Header.Set("Content-Encoding", "aws-chunked, "+coding)
		} else {
			out.Header.Set("Content-Encoding", "aws-chunked")
		}
		out.Header.Set("X-Amz-Decoded-Content-Length", strconv.FormatInt(out.ContentLength, 10))
		lengths := map[string]int{}
		for _, name := range trailers {
			lengths[name] = trailerLength[name]
		}
		if len(trailers) > 0 {
			out.Header.Set("X-Amz-Trailer", strings.Join(trailers, ","))
		}
		out.ContentLength = sigv4.ChunkedLength(form, out.ContentLength, lengths)
	}
	sig, err := key.Sign(out, c.to.Region, "s3", form, now())
	if err != nil {
		return err
	}
	for name, values := range out.Header {
		if strings.HasPrefix(name, "X-Amz-Meta-") { // as clients write them; some servers keep the case
			delete(out.Header, name)
			out.Header[strings.ToLower(name)] = values
		}
	}
	if out.Header.Get("X-Amz-Decoded-Content-Length") != "" {
		out.Body = struct {
			io.Reader
			io.Closer
		}{sig.Chunks(body, c.trailers), body}
	}
	return nil
}

// trailerLength is how long the value of a trailer is: base64 of its sum.
var trailerLength = map[string]int{
	"x-amz-checksum-crc32": 8, "x-amz-checksum-crc32c": 8, "x-amz-checksum-crc64nvme": 12,
	"x-amz-checksum-sha1": 28, "x-amz-checksum-sha256": 44,
}

// form is the form of the payload that goes on, and the trailers that follow it.
func (c *s3Call) form(out *http.Request) (string, []string, error) {
	if out.ContentLength == 0 {
		return sigv4.EmptyHash, nil, c.settle(out)
	}
	if c.x.Body.Kept() {
		sum := c.x.Body.Sum()
		return hex.EncodeToString(sum[:]), nil, c.settle(out)
	}
	form := sigv4.Unsigned
	if c.body != nil {
		form = c.body.Form()
	}
	if form == "" {
		form = sigv4.Unsigned
	}
	if c.body == nil || len(c.body.Announced()) == 0 {
		return form, nil, nil
	}
	for _, name := range c.body.Announced() {
		if trailerLength[name] == 0 {
			return "", nil, unreadable("a trailer was announced that is no checksum S3 knows", "send x-amz-checksum-crc32, crc32c, crc64nvme, sha1 or sha256")
		}
	}
	if form == sigv4.UnsignedTrailer && c.to.URL.Scheme != "https" {
		form = sigv4.SignedTrailer
	}
	return form, c.body.Announced(), nil
}

// settle makes headers of the trailers of a body that was read to its end.
func (c *s3Call) settle(out *http.Request) error {
	if c.body == nil {
		return nil
	}
	for _, t := range c.body.Trailers() {
		if out.Header.Get(t[0]) != "" {
			return unreadable("a checksum stands in a header and in a trailer", "send it once")
		}
		out.Header.Set(t[0], t[1])
	}
	return nil
}

// trailers are those of a body that has just passed, each as long as it was told.
func (c *s3Call) trailers() ([][2]string, error) {
	if c.body == nil || len(c.body.Announced()) == 0 {
		return nil, nil
	}
	list := c.body.Trailers()
	if len(list) != len(c.body.Announced()) {
		return nil, fmt.Errorf("the body's trailers did not come")
	}
	for _, t := range list {
		if len(t[1]) != trailerLength[t[0]] {
			return nil, fmt.Errorf("a checksum in a trailer has another length than its kind")
		}
	}
	return list, nil
}
