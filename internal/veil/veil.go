// Package veil masks what a system answers over HTTP: headers, body and trailers, by what the
// body says it is and what its first bytes show.
//
// It promises that a value that its permit masks doesn't leave in a body that it looked into,
// however the body is cut, coded or compressed, and that a body it can't look into is withheld. It
// uses bounded memory. What it does not look into is listed in docs/http-bodies.md.
package veil

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"unsafe"

	"github.com/assenthq/assent/gate"
)

// Options say how a reply is masked. The zero value: by what it is.
type Options struct {
	// Fill keeps lengths: each byte of a masked value becomes a '*'. A part of a body may then be
	// asked for, and the caller sees to it that no value is cut apart by it.
	Fill bool
	// Opaque lets pass what can't be looked into.
	Opaque bool
	// Tagged says that between a member's name and its value stands the value's type, as in DynamoDB's
	// {"password": {"S": "…"}}: the value is masked by the name above.
	Tagged bool
}

// Request takes off out what would make its reply one that can't be masked: codings, and, without
// Fill, ranges, between which a value could be cut apart.
func Request(out *http.Request, p gate.Permit, o Options) {
	if p.Bare() {
		return
	}
	out.Header["Accept-Encoding"] = []string{"identity"}
	for _, name := range []string{"Grpc-Accept-Encoding", "Connect-Accept-Encoding"} {
		if out.Header[name] != nil {
			out.Header[name] = []string{"identity"}
		}
	}
	if !o.Fill {
		delete(out.Header, "Range")
		delete(out.Header, "If-Range")
	}
}

// Reply makes resp one that masks what p masks, and counts its body as it is read. A short
// body is masked at once. An error means that nothing of resp may pass; a *gate.Denied says why. What
// must end in the middle of a body is an error of its Read: the connection has to end then, or half
// would be taken for all. p is used by whoever reads, until the body is closed.
func Reply(resp *http.Response, p gate.Permit, o Options) error {
	if p.Bare() {
		if resp.Body != nil && resp.Body != http.NoBody {
			resp.Body = &counted{ReadCloser: resp.Body, permit: p}
		}
		return nil
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if o.Opaque {
			return nil
		}
		return errTwo
	}
	b := &body{closer: resp.Body, permit: p, o: o, media: mediaOf(first(resp.Header, "Content-Type")), resp: resp}
	if types := resp.Header["Content-Type"]; len(types) > 1 {
		resp.Header["Content-Type"] = types[:1] // nobody takes another one
	}
	maskHeader(resp.Header, p)
	if empty(resp) {
		switch {
		case o.Fill && (resp.StatusCode < 300 || resp.StatusCode == http.StatusNotModified): // a HEAD tells of the object what it is
		case resp.StatusCode == http.StatusNotModified:
			unknownTags(resp)
		case b.media.kind != unseen:
			changes(resp, b, false)
		}
		return nil
	}
	if err := b.open(resp); err != nil {
		return errors.Join(err, closed(resp))
	}
	switch {
	case resp.ContentLength >= 0 && resp.ContentLength <= whole && len(codingsOf(resp.Header["Content-Encoding"])) == 0:
		if err := b.atOnce(resp); err != nil {
			return errors.Join(err, closed(resp))
		}
		return nil
	case b.media.kind == unknown || b.media.kind == unseen || b.media.kind == sealed || b.middle: // what it is must be known before its headers pass
		if err := b.prime(); err != nil {
			return errors.Join(err, closed(resp))
		}
	}
	switch b.to.(type) {
	case straight:
	case still:
		changes(resp, b, resp.ContentLength >= 0)
	default:
		changes(resp, b, o.Fill)
	}
	resp.Body = b
	return nil
}

// closed closes what nobody will read.
func closed(resp *http.Response) error {
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("closing a reply: %w", err)
	}
	return nil
}

func first(h http.Header, name string) string {
	if v := h[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// empty says that a reply has no body, whatever its headers say.
func empty(resp *http.Response) bool {
	return resp.Body == nil || resp.Body == http.NoBody || resp.ContentLength == 0 || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified ||
		resp.Request != nil && resp.Request.Method == http.MethodHead
}

// open finds out how the body is coded.
func (b *body) open(resp *http.Response) error {
	b.src = resp.Body
	codings := codingsOf(resp.Header["Content-Encoding"])
	if resp.StatusCode == http.StatusPartialContent {
		if (!b.o.Fill || len(codings) > 0) && !b.o.Opaque {
			return errRange
		}
		b.middle = !strings.HasPrefix(first(resp.Header, "Content-Range"), "bytes 0-") && b.media.kind != parts
	}
	b.coded = first(resp.Header, "Grpc-Encoding") + first(resp.Header, "Connect-Content-Encoding")
	if len(codings) == 0 {
		b.exact = b.o.Fill && resp.ContentLength >= 0
		return nil
	}
	d, err := decoded(resp.Body, codings)
	if err != nil {
		if b.o.Opaque {
			b.to = straight{&b.out}
			return nil
		}
		return err
	}
	b.src, b.closer = d, &ends{d, resp.Body}
	delete(resp.Header, "Content-Encoding")
	delete(resp.Header, "Content-Length")
	resp.ContentLength, resp.Uncompressed = -1, true
	return nil
}

// ends closes a decoder, and what it reads.
type ends struct {
	d *decoder
	io.Closer
}

func (e *ends) Close() error {
	e.d.end()
	return e.Closer.Close() //nolint:wrapcheck // of the reply itself
}

// prime reads until it is known what the body is.
func (b *body) prime() error {
	for b.to == nil && b.err == nil {
		b.step()
	}
	if b.err != nil && !errors.Is(b.err, io.EOF) {
		return b.err
	}
	return nil
}

// atOnce masks a short body before anything of it passes.
func (b *body) atOnce(resp *http.Response) error {
	b.in, b.short = buffers.Get().(*[]byte), true
	in := (*b.in)[:resp.ContentLength]
	_, err := io.ReadFull(b.src, in)
	if err != nil {
		err = fmt.Errorf("reading a reply: %w", err)
	} else if b.out = make(pieces, 0, len(in)+32); len(in) > 0 {
		err = b.take(in)
	}
	if err == nil {
		err = b.finish()
	}
	if err == nil && !bytes.Equal(in, b.out) {
		changes(resp, b, b.o.Fill)
		resp.ContentLength = int64(len(b.out))
		resp.Header["Content-Length"] = []string{strconv.Itoa(len(b.out))}
	}
	b.fail(err)
	resp.Body = b
	return err
}

// digests are headers that tell of bytes which the client does not get.
var digests = []string{"Etag", "Content-Md5", "Digest", "Content-Digest", "Repr-Digest", "X-Goog-Hash", "X-Ms-Blob-Content-Md5", "X-Ms-Content-Crc64"}

// changes takes off what is no longer true of a body that may change.
func changes(resp *http.Response, b *body, exact bool) {
	h := resp.Header
	for _, name := range digests {
		delete(h, name)
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			delete(h, name)
		}
	}
	for name := range resp.Trailer {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			delete(resp.Trailer, name)
		}
	}
	if !exact {
		delete(h, "Accept-Ranges")
		delete(h, "Content-Length")
		resp.ContentLength = -1
	}
	if _, wide := b.media.charset(); wide {
		h["Content-Type"] = []string{b.media.typ + "; charset=utf-8"}
	}
}

// unknownTags takes digests off an answer that nothing changed, but for the tag that the client named: `If-None-Match: *`
// would have them told of a body that it only sees masked.
func unknownTags(resp *http.Response) {
	tag := first(resp.Header, "Etag")
	for _, name := range digests {
		delete(resp.Header, name)
	}
	for name := range resp.Header {
		if strings.HasPrefix(name, "X-Amz-Checksum-") {
			delete(resp.Header, name)
		}
	}
	if resp.Request == nil || tag == "" {
		return
	}
	for _, line := range resp.Request.Header["If-None-Match"] {
		for named := range strings.SplitSeq(line, ",") {
			if strings.TrimPrefix(strings.TrimSpace(named), "W/") == strings.TrimPrefix(tag, "W/") {
				resp.Header["Etag"] = []string{tag}
			}
		}
	}
}

// Header masks the values of headers, or of trailers, as text.
func Header(h http.Header, p gate.Permit) { maskHeader(h, p) }

// dates are headers that hold nothing else.
func isDate(name string) bool { return name == "Date" || name == "Last-Modified" || name == "Expires" }

// maskHeader masks the values of headers as text.
func maskHeader(h http.Header, p gate.Permit) {
	for name, values := range h {
		if name == "Content-Length" || isDate(name) && len(values) == 1 && len(values[0]) == len(http.TimeFormat) {
			continue
		}
		for i, v := range values {
			if v == "" || p.Clear("", unsafe.Slice(unsafe.StringData(v), len(v))) {
				continue
			}
			if out := p.Text([]byte(v)); string(out) != v {
				values[i] = string(out)
			}
		}
	}
}
