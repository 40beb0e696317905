package aws

import (
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/sigv4"
)

// Trusts of a bucket, as the configuration gives them. A bucket that is on no list is
// treated as external, and its trust is not known.
const (
	Internal = "internal"
	External = "external"
)

// A Bucket says what the configuration knows of buckets: one by its name or the ARN of
// an access point, or all whose names begin as its name does before a "*" at the end.
type Bucket struct {
	Name   string
	Trust  string // Internal or External
	Opaque bool   // what can't be looked into may be read
}

// An s3Name is what a request's host and path name: nothing, a bucket, or an object.
type s3Name struct{ Bucket, Key string }

func (n s3Name) String() string {
	if n.Key == "" {
		return n.Bucket
	}
	return n.Bucket + "/" + n.Key
}

// path is how n is written behind the host, as it is signed.
func (n s3Name) path() string {
	if n.Bucket == "" {
		return "/"
	}
	p := "/" + sigv4.Escape(n.Bucket, false)
	if n.Key != "" {
		p += "/" + sigv4.Escape(n.Key, true)
	}
	return p
}

var (
	bucketName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$`)
	accessPoint = regexp.MustCompile(`^arn:aws[a-z-]*:s3:[a-z0-9-]+:[0-9]{12}:accesspoint[:/][a-z0-9-]{3,63}$`)
	pointInPath = regexp.MustCompile(`^(arn:aws[a-z-]*:s3:[a-z0-9-]+:[0-9]{12}:accesspoint[:/][a-z0-9-]{3,63})(/.*)?$`)
)

func unreadable(reason, hint string) *gate.Denied {
	return &gate.Denied{Status: gate.StatusUnreadable, Reason: reason, Hint: hint}
}

// name reads what a request is about from its host and its path. The key is kept as it
// stands but for its escapes: S3 has no other reading of it.
func (s *S3) name(r *http.Request) (s3Name, error) {
	plain, ok := sigv4.Unescape(r.URL.EscapedPath())
	if !ok || !strings.HasPrefix(plain, "/") {
		return s3Name{}, unreadable("the path holds an escape that is none, or doesn't begin with a slash", "send the key as S3 escapes it")
	}
	plain = plain[1:]
	var n s3Name
	if bucket := s.hostBucket(r.Host); bucket != "" {
		n = s3Name{Bucket: bucket, Key: plain}
	} else if m := pointInPath.FindStringSubmatch(plain); m != nil {
		n = s3Name{Bucket: m[1], Key: strings.TrimPrefix(m[2], "/")}
	} else {
		n.Bucket, n.Key, _ = strings.Cut(plain, "/")
	}
	return n, s.checkName(n, plain == "")
}

func (s *S3) checkName(n s3Name, empty bool) error {
	switch {
	case n.Bucket == "" && empty:
		return nil
	case !bucketName.MatchString(n.Bucket) && !accessPoint.MatchString(n.Bucket):
		return unreadable("the name of the bucket is none that S3 knows", "name a bucket, or the ARN of an access point in one region")
	case strings.HasSuffix(n.Bucket, "--x-s3"), strings.HasSuffix(n.Bucket, "--xa-s3"):
		return unreadable("directory buckets have sessions of their own, which this gate doesn't open", "use a general purpose bucket")
	case strings.HasSuffix(n.Bucket, "--ol-s3"):
		return unreadable("object lambda access points run code on what is read, which this gate doesn't judge", "use the bucket")
	case strings.ContainsRune(n.Key, 0):
		return unreadable("the key holds a zero byte", "name the object otherwise")
	}
	for segment := range strings.SplitSeq(n.Key, "/") {
		if segment == "." || segment == ".." {
			return unreadable("the key holds a dot segment, which two servers may read in two ways", "name the object otherwise")
		}
	}
	return nil
}

// hostBucket is the bucket that a host names: bucket.s3.gate.example.
func (s *S3) hostBucket(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(host)
	for _, base := range s.Hosts {
		if bucket, is := strings.CutSuffix(host, "."+strings.ToLower(base)); is {
			for _, b := range s.Buckets {
				if p, is := pointOf(b.Name); is && p.host() == bucket {
					return b.Name
				}
			}
			return bucket
		}
	}
	return ""
}

// A point is an access point in one region.
type point struct{ region, account, name string }

// pointOf reads the ARN of an access point.
func pointOf(arn string) (point, bool) {
	if !accessPoint.MatchString(arn) {
		return point{}, false
	}
	parts := strings.SplitN(arn, ":", 6)
	return point{parts[3], parts[4], parts[5][len("accesspoint/"):]}, true
}

// host is how an access point is called in a host's name.
func (p point) host() string { return p.name + "-" + p.account }

// bucket is what the configuration knows of one, the longest name that fits. known is
// false for one on no list.
func (s *S3) bucket(name string) (b Bucket, known bool) {
	best := -1
	for _, c := range s.Buckets {
		prefix, open := strings.CutSuffix(c.Name, "*")
		if (c.Name == name || open && strings.HasPrefix(name, prefix)) && len(c.Name) > best {
			b, known, best = c, true, len(c.Name)
			if !open {
				return c, true
			}
		}
	}
	return b, known
}

// outside reports whether what is put into a bucket leaves the house, as far as anybody knows.
func (s *S3) outside(bucket string) (trust string, is bool) {
	b, known := s.bucket(bucket)
	return b.Trust, !known || b.Trust != Internal
}

// source reads x-amz-copy-source: bucket/key, /bucket/key or an access point's ARN with
// /object/key, escaped, and a version behind it.
func (s *S3) source(value string) (n s3Name, version string, err error) {
	problem := unreadable("x-amz-copy-source can't be read in one way", "send bucket/key, escaped, with ?versionId= behind it where a version is meant")
	path, query, has := strings.Cut(value, "?")
	if has {
		v, ok := strings.CutPrefix(query, "versionId=")
		if version, ok = unescapeIf(v, ok); !ok || version == "" || strings.ContainsAny(version, "&?") {
			return n, "", problem
		}
	}
	plain, ok := sigv4.Unescape(strings.TrimPrefix(path, "/"))
	if !ok || strings.Contains(plain, "?versionId=") {
		// Some read a version out of the key once it is unescaped.
		return n, "", problem
	}
	if m := pointInPath.FindStringSubmatch(plain); m != nil {
		key, is := strings.CutPrefix(m[2], "/object/")
		if !is {
			return n, "", problem
		}
		n = s3Name{m[1], key}
	} else {
		n.Bucket, n.Key, _ = strings.Cut(plain, "/")
	}
	if n.Key == "" {
		return n, "", problem
	}
	return n, version, s.checkName(n, false)
}

func unescapeIf(v string, ok bool) (string, bool) {
	if !ok {
		return "", false
	}
	return sigv4.Unescape(v)
}

// only reports whether each parameter of a query stands once, in any case of letters.
func onlyOnce(query string) bool {
	var seen []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		plain, ok := sigv4.Unescape(name)
		if !ok {
			return false
		}
		if plain = strings.ToLower(plain); plain == "" {
			continue
		}
		if slices.Contains(seen, plain) {
			return false
		}
		seen = append(seen, plain)
	}
	return true
}

// param is a parameter of a query, unescaped. has tells "?acl" from none.
func param(r *http.Request, name string) (value string, has bool) {
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		n, v, _ := strings.Cut(part, "=")
		if plain, ok := sigv4.Unescape(n); ok && plain == name {
			value, _ = sigv4.Unescape(v)
			return value, true
		}
	}
	return "", false
}
