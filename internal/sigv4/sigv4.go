// Package sigv4 verifies and makes AWS Signature Version 4, in headers and in queries,
// with every form of payload that S3 takes.
//
// It promises that a request it verified was signed as it came with the secret of the
// key that it names: method, path, query, host and each x-amz-* header, for this
// service, within minutes of now. Of a body it promises that the last bytes of it
// are not handed on before its hash, each chunk's signature and each checksum in its
// trailers have held.
//
// It refuses what two readers may take in two ways: a signature in header and query,
// a parameter of the signature twice, an x-amz-* header that is not signed, a path with
// dot segments, a plus sign in a query. It refuses signature version 2, and SigV4A,
// whose keys are not made here. It can't tell a request that is sent again within those
// minutes from the first.
package sigv4

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	stamp      = "20060102T150405Z"
	terminator = "aws4_request"

	// Skew is how far a request's time may be from ours.
	Skew = 5 * time.Minute
	// maxExpires is how long a presigned request may be good for: a week, as AWS has it.
	maxExpires = 7 * 24 * time.Hour
)

// The forms of payload. Any other value of X-Amz-Content-Sha256 is a hash.
const (
	Unsigned        = "UNSIGNED-PAYLOAD"
	SignedChunks    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	SignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	UnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// EmptyHash is the hash of a body without a byte.
const EmptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// ErrNone says that a request shows no AWS signature of any version.
var ErrNone = errors.New("the request is not signed")

// An Error is why a signature is not taken. Code is AWS's name for it.
type Error struct{ Code, Problem string }

func (e *Error) Error() string { return e.Problem }

func malformed(format string, a ...any) error {
	return &Error{"AuthorizationHeaderMalformed", fmt.Sprintf(format, a...)}
}

func mismatch(format string, a ...any) error {
	return &Error{"SignatureDoesNotMatch", fmt.Sprintf(format, a...)}
}

func denied(format string, a ...any) error {
	return &Error{"AccessDenied", fmt.Sprintf(format, a...)}
}

// A Scope is what a signing key is for.
type Scope struct{ Day, Region, Service string }

func (s Scope) String() string {
	return s.Day + "/" + s.Region + "/" + s.Service + "/" + terminator
}

// Shown is what a request shows of its signature, before anything of it is proved.
type Shown struct {
	KeyID   string
	Token   string // X-Amz-Security-Token
	Scope   Scope
	Time    time.Time
	Expires time.Duration // of a presigned request; 0 in the header's form
	Query   bool          // the signature is in the query: a presigned request
	Signed  []string      // the signed headers, in lower case, sorted
	// Payload is a form, a hash in lower-case hex, or "" where the request doesn't say:
	// then the hash of its body is signed, and Verify wants it.
	Payload string
	// Decoded is the length of the body once its chunks are taken off; -1: not said.
	Decoded int64
	// Trailers are the names that the request announces behind its chunks, in lower case.
	Trailers []string

	signature []byte
	request   *http.Request
}

// Read reads the signature of r, and checks what needs no key. ErrNone: there is none.
// r must be as it came: Verify reads its headers again.
func Read(r *http.Request) (*Shown, error) {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	auth := r.Header.Values("Authorization")
	inQuery := query.has("X-Amz-Algorithm") || query.has("X-Amz-Signature") || query.has("X-Amz-Credential")
	for name := range r.Header {
		// Two spellings of one name can't be told apart by a server that folds them.
		if strings.Contains(name, "_") && strings.HasPrefix(strings.ToLower(strings.ReplaceAll(name, "_", "-")), "x-amz-") {
			return nil, malformed("the header %q is written with an underscore", name)
		}
	}
	switch {
	case len(auth) > 1:
		return nil, malformed("there are %d Authorization headers", len(auth))
	case len(auth) == 1 && inQuery:
		return nil, malformed("the request is signed in its header and in its query: send one")
	case query.has("AWSAccessKeyId") || query.has("Signature") && query.has("Expires"):
		return nil, &Error{"InvalidRequest", "signature version 2 is not taken: sign with AWS4-HMAC-SHA256"}
	}
	s := &Shown{request: r, Decoded: -1}
	switch {
	case inQuery:
		err = s.readQuery(query)
	case len(auth) == 1:
		err = s.readHeader(auth[0])
	default:
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	if err := s.checkHeaders(); err != nil {
		return nil, err
	}
	if err := s.readPayload(query); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Shown) readHeader(value string) error {
	name, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	switch {
	case name == "AWS":
		return &Error{"InvalidRequest", "signature version 2 is not taken: sign with AWS4-HMAC-SHA256"}
	case strings.HasPrefix(name, "AWS4-ECDSA"):
		return errV4A()
	case name != algorithm:
		return ErrNone
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		k, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[k]; !ok || twice {
			return malformed("the Authorization header has %q twice, or something without a value", k)
		}
		parts[k] = v
	}
	if len(parts) != 3 {
		return malformed("the Authorization header needs Credential, SignedHeaders and Signature, and nothing else")
	}
	date, err := one(s.request.Header, "X-Amz-Date")
	if err != nil {
		return err
	}
	at, err := time.Parse(stamp, date)
	if date == "" {
		if date, err = one(s.request.Header, "Date"); err == nil {
			at, err = http.ParseTime(date)
		}
	}
	if err != nil {
		return denied("the request needs its time in X-Amz-Date (20060102T150405Z)")
	}
	s.Time = at.UTC()
	if s.Token, err = one(s.request.Header, "X-Amz-Security-Token"); err != nil {
		return err
	}
	return s.fill(parts["Credential"], parts["SignedHeaders"], parts["Signature"])
}

func (s *Shown) readQuery(q query) error {
	s.Query = true
	values := map[string]string{}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token"} {
		v, n := q.get(name)
		if n > 1 {
			return malformed("the query has %s %d times", name, n)
		}
		if n == 0 && name != "X-Amz-Security-Token" {
			return &Error{"AuthorizationQueryParametersError", "a presigned request needs " + name}
		}
		values[name] = v
	}
	if strings.HasPrefix(values["X-Amz-Algorithm"], "AWS4-ECDSA") {
		return errV4A()
	}
	if values["X-Amz-Algorithm"] != algorithm {
		return &Error{"AuthorizationQueryParametersError", "X-Amz-Algorithm must be " + algorithm}
	}
	at, err := time.Parse(stamp, values["X-Amz-Date"])
	if err != nil {
		return &Error{"AuthorizationQueryParametersError", "X-Amz-Date must look like 20060102T150405Z"}
	}
	seconds, err := strconv.ParseUint(values["X-Amz-Expires"], 10, 32)
	if s.Expires = time.Duration(seconds) * time.Second; err != nil || seconds == 0 || s.Expires > maxExpires {
		return &Error{"AuthorizationQueryParametersError", "X-Amz-Expires must be 1 to 604800 seconds"}
	}
	s.Time, s.Token = at.UTC(), values["X-Amz-Security-Token"]
	if t := s.request.Header.Values("X-Amz-Security-Token"); len(t) > 0 {
		return malformed("a presigned request has its X-Amz-Security-Token in the query, not in a header")
	}
	return s.fill(values["X-Amz-Credential"], values["X-Amz-SignedHeaders"], values["X-Amz-Signature"])
}

func (s *Shown) fill(credential, signed, signature string) error {
	c := strings.Split(credential, "/")
	if len(c) != 5 || c[4] != terminator || slices.Contains(c, "") {
		return malformed("a credential is KEY/20060102/REGION/SERVICE/%s", terminator)
	}
	s.KeyID, s.Scope = c[0], Scope{Day: c[1], Region: c[2], Service: c[3]}
	if s.Scope.Day != s.Time.Format("20060102") {
		return mismatch("the credential's day is not the day of the request's time")
	}
	s.Signed = strings.Split(signed, ";")
	for i, name := range s.Signed {
		if name == "" || name != strings.ToLower(name) || i > 0 && s.Signed[i-1] >= name {
			return malformed("SignedHeaders must be in lower case, sorted, each once")
		}
	}
	var err error
	if s.signature, err = hex.DecodeString(signature); err != nil || len(s.signature) != 32 || strings.ToLower(signature) != signature {
		return mismatch("a signature is 64 hex digits in lower case")
	}
	return nil
}

// checkHeaders wants host and every x-amz-* header signed, and each of them once.
func (s *Shown) checkHeaders() error {
	if !slices.Contains(s.Signed, "host") {
		return denied("the host header must be signed")
	}
	for name, values := range s.request.Header {
		lower := strings.ToLower(name)
		if !strings.HasPrefix(lower, "x-amz-") {
			continue
		}
		if len(values) != 1 {
			return malformed("the header %s is there %d times", lower, len(values))
		}
		if !slices.Contains(s.Signed, lower) {
			return denied("the header %s is not signed", lower)
		}
	}
	for _, name := range s.Signed {
		if _, ok := headerValue(s.request, name); !ok {
			return mismatch("the header %s is signed and not there", name)
		}
	}
	return nil
}

func (s *Shown) readPayload(q query) error {
	said, err := one(s.request.Header, "X-Amz-Content-Sha256")
	if err != nil {
		return err
	}
	if v, n := q.get("X-Amz-Content-Sha256"); s.Query && n > 0 {
		if n > 1 || said != "" && said != v {
			return malformed("X-Amz-Content-Sha256 is said twice")
		}
		said = v
	}
	if said == "" && s.Query && s.Scope.Service == "s3" {
		said = Unsigned
	}
	s.Payload = said
	trailers, err := one(s.request.Header, "X-Amz-Trailer")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.ToLower(trailers), ",") {
		if name = strings.TrimSpace(name); name != "" {
			s.Trailers = append(s.Trailers, name)
		}
	}
	switch said {
	case "", Unsigned:
	case SignedChunks, SignedTrailer, UnsignedTrailer:
		length, err := one(s.request.Header, "X-Amz-Decoded-Content-Length")
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(length, 10, 63)
		if err != nil {
			return &Error{"MissingContentLength", "a body in chunks needs X-Amz-Decoded-Content-Length"}
		}
		s.Decoded = int64(n)
	default:
		if strings.HasPrefix(said, "STREAMING-AWS4-ECDSA") {
			return errV4A()
		}
		if b, err := hex.DecodeString(said); err != nil || len(b) != 32 || strings.ToLower(said) != said {
			return &Error{"InvalidRequest", "X-Amz-Content-Sha256 must be a SHA-256 in lower-case hex, or a form of payload that is known here"}
		}
	}
	if (said == SignedTrailer || said == UnsignedTrailer) != (len(s.Trailers) > 0) {
		return &Error{"InvalidRequest", "X-Amz-Trailer and the form of the payload don't agree"}
	}
	return nil
}

// Chunked reports whether the body comes in aws-chunked form.
func (s *Shown) Chunked() bool {
	return s.Payload == SignedChunks || s.Payload == SignedTrailer || s.Payload == UnsignedTrailer
}

func errV4A() error {
	return &Error{"InvalidRequest", "SigV4A (AWS4-ECDSA-P256-SHA256) is not taken: multi-region access points and their keys can't be used here; sign for one region with AWS4-HMAC-SHA256"}
}

// one is the value of a header that may be there once at most.
func one(h http.Header, name string) (string, error) {
	v := h.Values(name)
	if len(v) > 1 {
		return "", malformed("the header %s is there %d times", strings.ToLower(name), len(v))
	}
	if len(v) == 0 {
		return "", nil
	}
	return v[0], nil
}
