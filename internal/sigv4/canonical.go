package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A pair is one parameter of a query, decoded.
type pair struct{ name, value string }

type query []pair

func (q query) has(name string) bool { _, n := q.get(name); return n > 0 }

// get returns the first value of name, and how many there are in any case of letters.
func (q query) get(name string) (value string, n int) {
	for _, p := range q {
		if strings.EqualFold(p.name, name) {
			if n++; n == 1 {
				value = p.value
			}
		}
	}
	return value, n
}

func (q query) canonical() string {
	parts := make([]pair, 0, len(q))
	for _, p := range q {
		parts = append(parts, pair{Escape(p.name, false), Escape(p.value, false)})
	}
	slices.SortFunc(parts, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

// parseQuery reads a raw query. A plus sign is a space to some and itself to others, a
// semicolon parts two parameters to some: both are refused.
func parseQuery(raw string) (query, error) {
	var q query
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		if strings.ContainsAny(part, "+;") {
			return nil, &Error{"InvalidURI", "the query holds a plus sign or a semicolon that is not escaped, and two readers may take it in two ways: write %20, %2B or %3B"}
		}
		name, value, _ := strings.Cut(part, "=")
		n, ok1 := Unescape(name)
		v, ok2 := Unescape(value)
		if !ok1 || !ok2 {
			return nil, &Error{"InvalidURI", "the query holds an escape that is none"}
		}
		q = append(q, pair{n, v})
	}
	return q, nil
}

const upperHex = "0123456789ABCDEF"

// Escape writes s as AWS does: everything but A-Z a-z 0-9 - . _ ~ becomes %XX, a slash
// only where path is not set.
func Escape(s string, path bool) string {
	n := 0
	for i := range len(s) {
		if !unreserved(s[i], path) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; unreserved(c, path) {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte, path bool) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.' || c == '_' || c == '~' || path && c == '/'
}

// Unescape takes %XX back. A plus sign stays one. ok is false at an escape that is none.
func Unescape(s string) (text string, ok bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", false
		}
		b = append(b, byte(c))
		i += 2
	}
	return string(b), true
}

// canonicalPath is the path as it is signed: for S3 escaped once, for all others the
// escaped path escaped again. Others take dot segments and empty ones away, and not all
// of them the same way: such a path is refused, and for S3 one with dot segments.
func canonicalPath(escaped string, s3 bool) (string, error) {
	if escaped == "" {
		escaped = "/"
	}
	plain, ok := Unescape(escaped)
	if !ok || escaped[0] != '/' {
		return "", &Error{"InvalidURI", "the path holds an escape that is none, or doesn't begin with a slash"}
	}
	for segment := range strings.SplitSeq(plain, "/") {
		if segment == "." || segment == ".." {
			return "", &Error{"InvalidURI", "the path holds a dot segment, which two servers may read in two ways"}
		}
	}
	if s3 {
		return Escape(plain, true), nil
	}
	if strings.Contains(plain, "//") {
		return "", &Error{"InvalidURI", "the path holds an empty segment, which two signers take in two ways"}
	}
	return Escape(escaped, true), nil
}

// headerValue is what is signed of a header: its values, trimmed, runs of blanks made one.
func headerValue(r *http.Request, name string) (string, bool) {
	switch name {
	case "host":
		if r.Host != "" {
			return r.Host, true
		}
		return r.URL.Host, r.URL.Host != ""
	case "content-length":
		if r.ContentLength >= 0 {
			return strconv.FormatInt(r.ContentLength, 10), true
		}
		return "", false
	}
	values := r.Header.Values(name)
	if len(values) == 0 {
		return "", false
	}
	if len(values) == 1 && !strings.Contains(values[0], "  ") && !strings.Contains(values[0], "\t") {
		return strings.Trim(values[0], " "), true
	}
	clean := make([]string, len(values))
	for i, v := range values {
		clean[i] = strings.Join(strings.FieldsFunc(v, func(c rune) bool { return c == ' ' || c == '\t' }), " ")
	}
	return strings.Join(clean, ","), true
}

// canonicalRequest is the text whose hash is signed. Of a presigned request the
// signature itself is left out.
func canonicalRequest(r *http.Request, q query, signed []string, payload string, s3 bool) (string, error) {
	path, err := canonicalPath(r.URL.EscapedPath(), s3)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	b.WriteString(path)
	b.WriteByte('\n')
	b.WriteString(slices.DeleteFunc(slices.Clone(q), func(p pair) bool { return p.name == "X-Amz-Signature" }).canonical())
	b.WriteByte('\n')
	for _, name := range signed {
		v, ok := headerValue(r, name)
		if !ok {
			return "", mismatch("the header %s is signed and not there", name)
		}
		b.WriteString(name)
		b.WriteByte(':')
		b.WriteString(v)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(signed, ";"))
	b.WriteByte('\n')
	b.WriteString(payload)
	return b.String(), nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// signingKey derives the key of one day, region and service.
func signingKey(secret string, s Scope) []byte {
	k := mac([]byte("AWS4"+secret), s.Day)
	k = mac(k, s.Region)
	k = mac(k, s.Service)
	return mac(k, terminator)
}

// A chain signs the request, then each chunk over the signature before it.
type chain struct {
	key  []byte
	at   time.Time
	sc   Scope
	last []byte // the signature before
}

func (c *chain) request(canonical string) []byte {
	c.last = mac(c.key, algorithm+"\n"+c.at.Format(stamp)+"\n"+c.sc.String()+"\n"+hexSum([]byte(canonical)))
	return c.last
}

func (c *chain) chunk(sum []byte) []byte {
	c.last = mac(c.key, algorithm+"-PAYLOAD\n"+c.at.Format(stamp)+"\n"+c.sc.String()+"\n"+
		hex.EncodeToString(c.last)+"\n"+EmptyHash+"\n"+hex.EncodeToString(sum))
	return c.last
}

func (c *chain) trailer(canonical string) []byte {
	c.last = mac(c.key, algorithm+"-TRAILER\n"+c.at.Format(stamp)+"\n"+c.sc.String()+"\n"+
		hex.EncodeToString(c.last)+"\n"+hexSum([]byte(canonical)))
	return c.last
}
