package sigv4

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// Take takes the signature off r, the request that was verified: its headers and
// parameters, the form of its chunks. r.Body is a *Body from then on, and r.ContentLength
// its decoded length. Parameters x-amz-* that are left in the query mean what a header of
// the name means, as presigned requests have them: they become that header, and one that
// stands in both places is an error.
func (p *Proof) Take(r *http.Request) error {
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Decoded-Content-Length", "X-Amz-Trailer"} {
		r.Header.Del(name)
	}
	if err := hoist(r); err != nil {
		return err
	}
	var codings []string
	for coding := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Encoding"), ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "aws-chunked") {
			codings = append(codings, coding)
		}
	}
	r.Header.Del("Content-Encoding")
	if len(codings) > 0 {
		r.Header.Set("Content-Encoding", strings.Join(codings, ", "))
	}
	in := r.Body
	if in == nil {
		in = http.NoBody
	}
	if p.Chunked() {
		r.ContentLength, r.TransferEncoding = p.Decoded, nil
	}
	b := p.Body(in)
	b.closer = in
	r.Body, r.GetBody = b, nil
	return nil
}

func hoist(r *http.Request) error {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	moved := false
	for _, p := range q {
		lower := strings.ToLower(p.name)
		if !strings.HasPrefix(lower, "x-amz-") {
			continue
		}
		moved = true
		if OfSignature(lower) {
			continue
		}
		if r.Header.Get(lower) != "" {
			return malformed("%s stands in the query twice, or there and in a header", lower)
		}
		if strings.ContainsFunc(p.value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
			return malformed("%s holds a control character", lower)
		}
		r.Header.Set(lower, p.value)
	}
	if moved {
		r.URL.RawQuery = slices.DeleteFunc(q, func(p pair) bool { return strings.HasPrefix(strings.ToLower(p.name), "x-amz-") }).canonical()
	}
	return nil
}

// Form is the form of the payload as the client sent it.
func (b *Body) Form() string { return b.p.Payload }

// Announced are the names of the trailers to come.
func (b *Body) Announced() []string { return b.p.Trailers }

// Close closes what is read from.
func (b *Body) Close() error {
	if b.closer == nil {
		return nil
	}
	return b.closer.Close()
}

var _ io.ReadCloser = (*Body)(nil)
