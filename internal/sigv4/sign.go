package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Key signs requests.
type Key struct {
	ID, Secret string
	Token      string // of temporary credentials
}

// GoString keeps the secret out of %#v.
func (k Key) GoString() string { return "sigv4.Key{" + k.ID + "}" }

// String keeps the secret out of %v.
func (k Key) String() string { return k.ID }

// signedHeader reports whether a header is signed of a request that we make.
func signedHeader(lower string) bool {
	return strings.HasPrefix(lower, "x-amz-") || lower == "content-type" || lower == "content-md5" || lower == "range"
}

// A Signature is one that was made. It goes on to sign the body's chunks.
type Signature struct {
	chain   chain
	payload string
}

// Sign signs r for a region and service in its headers, and takes away what it showed of
// another signature. payload is the body's hash in hex, or a form. For S3 the query and
// the path go on as they were signed, written in AWS's one way.
func (k Key) Sign(r *http.Request, region, service, payload string, now time.Time) (*Signature, error) {
	if k.ID == "" || k.Secret == "" {
		return nil, fmt.Errorf("signing a request: there is no key")
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	q = slices.DeleteFunc(q, func(p pair) bool { return OfSignature(p.name) })
	s3 := service == "s3"
	if s3 {
		plain, ok := Unescape(r.URL.EscapedPath())
		if !ok {
			return nil, &Error{"InvalidURI", "the path holds an escape that is none"}
		}
		r.URL.Path, r.URL.RawPath = plain, Escape(plain, true)
	}
	r.URL.RawQuery = q.canonical()
	for _, name := range []string{"Authorization", "X-Amz-Security-Token", "X-Amz-Content-Sha256"} {
		r.Header.Del(name)
	}
	now = now.UTC()
	r.Header.Set("X-Amz-Date", now.Format(stamp))
	if k.Token != "" {
		r.Header.Set("X-Amz-Security-Token", k.Token)
	}
	if s3 || payload == Unsigned {
		r.Header.Set("X-Amz-Content-Sha256", payload)
	}
	signed := []string{"host"}
	for name := range r.Header {
		if lower := strings.ToLower(name); signedHeader(lower) {
			signed = append(signed, lower)
		}
	}
	slices.Sort(signed)
	text, err := canonicalRequest(r, q, signed, payload, s3)
	if err != nil {
		return nil, err
	}
	scope := Scope{Day: now.Format("20060102"), Region: region, Service: service}
	s := &Signature{payload: payload, chain: chain{key: signingKey(k.Secret, scope), at: now, sc: scope}}
	r.Header.Set("Authorization", algorithm+" Credential="+k.ID+"/"+scope.String()+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+hex.EncodeToString(s.chain.request(text)))
	return s, nil
}

// OfSignature reports whether a query's parameter belongs to a presigned request's signature.
func OfSignature(name string) bool {
	switch strings.ToLower(name) {
	case "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders",
		"x-amz-signature", "x-amz-security-token", "x-amz-content-sha256":
		return true
	}
	return false
}

// chunkSize is the size of the chunks that we make; S3 wants 8 KiB at least.
const chunkSize = 64 << 10

// ChunkedLength is how long n bytes are in chunks of form payload. trailers are their names
// and the lengths of their values.
func ChunkedLength(payload string, n int64, trailers map[string]int) int64 {
	ext := int64(len(";chunk-signature=") + 64)
	if payload == UnsignedTrailer {
		ext = 0
	}
	one := func(size int64) int64 { return int64(len(strconv.FormatInt(size, 16))) + ext + 2 + size + 2 }
	total := n / chunkSize * one(chunkSize)
	if rest := n % chunkSize; rest > 0 {
		total += one(rest)
	}
	total += 1 + ext + 2 + 2
	for name, length := range trailers {
		total += int64(len(name) + 1 + length + 2)
	}
	if payload == SignedTrailer {
		total += int64(len("x-amz-trailer-signature:") + 64 + 2)
	}
	return total
}

// Chunks writes in as aws-chunked, each chunk signed where the form wants it. trailers is
// asked once in has ended; nil: there are none.
func (s *Signature) Chunks(in io.Reader, trailers func() ([][2]string, error)) io.Reader {
	return &chunker{s: s, in: in, trailers: trailers, buf: make([]byte, chunkSize)}
}

type chunker struct {
	s        *Signature
	in       io.Reader
	trailers func() ([][2]string, error)
	buf, out []byte
	err      error
}

func (c *chunker) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.next()
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

func (c *chunker) next() {
	// Not io.ReadFull: its word for a last short chunk is also that of a body that broke off.
	n, err := 0, error(nil)
	for n < len(c.buf) && err == nil {
		var more int
		more, err = c.in.Read(c.buf[n:])
		n += more
	}
	if n > 0 {
		c.out = append(c.head(c.buf[:n]), c.buf[:n]...)
		c.out = append(c.out, '\r', '\n')
	}
	if err == nil {
		return
	}
	if err != io.EOF { //nolint:errorlint // a wrapped end is not the end
		c.out, c.err = nil, err
		return
	}
	var tail [][2]string
	if c.trailers != nil {
		if tail, err = c.trailers(); err != nil {
			c.out, c.err = nil, err
			return
		}
	}
	c.err = io.EOF
	c.out = append(c.out, c.head(nil)...)
	var canonical strings.Builder
	for _, t := range tail {
		line := t[0] + ":" + t[1]
		canonical.WriteString(line + "\n")
		c.out = append(c.out, line+"\r\n"...)
	}
	if c.s.payload == SignedTrailer {
		c.out = append(c.out, "x-amz-trailer-signature:"+hex.EncodeToString(c.s.chain.trailer(canonical.String()))+"\r\n"...)
	}
	c.out = append(c.out, '\r', '\n')
}

func (c *chunker) head(chunk []byte) []byte {
	line := strconv.FormatInt(int64(len(chunk)), 16)
	if c.s.payload != UnsignedTrailer {
		sum := sha256.Sum256(chunk)
		line += ";chunk-signature=" + hex.EncodeToString(c.s.chain.chunk(sum[:]))
	}
	return []byte(line + "\r\n")
}
