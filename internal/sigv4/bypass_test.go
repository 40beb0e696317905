package sigv4

import (
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// signed is a request that Sign made, ready to be tampered with.
func signed(t testing.TB, method, target, payload string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, "https://gate.example"+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	if _, err := (Key{ID: docID, Secret: docSecret}).Sign(r, "eu-central-1", "s3", payload, noon); err != nil {
		t.Fatal(err)
	}
	return r
}

func check(r *http.Request, now time.Time) (*Proof, error) {
	s, err := Read(r)
	if err != nil {
		return nil, err
	}
	return s.Verify(docSecret, now, nil)
}

// TestBypasses holds what somebody may try with a request that was rightly signed, and
// what they are told. Each line was a way in somewhere.
func TestBypasses(t *testing.T) {
	presigned := "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + docID + "%2F20260304%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Date=20260304T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" + strings.Repeat("ab", 32)
	for _, c := range []struct {
		name   string
		tamper func(r *http.Request)
		want   string
	}{
		{"nothing", func(*http.Request) {}, ""},
		{"a header that means something, added", func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }, "AccessDenied"},
		{"the same in another spelling", func(r *http.Request) { r.Header["x-amz-acl"] = []string{"public-read"} }, "AccessDenied"},
		{"and with an underscore", func(r *http.Request) { r.Header["X_Amz_Acl"] = []string{"public-read"} }, "AuthorizationHeaderMalformed"},
		{"a signed header twice", func(r *http.Request) { r.Header.Add("X-Amz-Meta-A", "2") }, "AuthorizationHeaderMalformed"},
		{"a signed header changed", func(r *http.Request) { r.Header.Set("X-Amz-Meta-A", "2") }, "SignatureDoesNotMatch"},
		{"a signed header taken away", func(r *http.Request) { r.Header.Del("X-Amz-Meta-A") }, "SignatureDoesNotMatch"},
		{"another host", func(r *http.Request) { r.Host = "other.gate.example" }, "SignatureDoesNotMatch"},
		{"another method", func(r *http.Request) { r.Method = http.MethodDelete }, "SignatureDoesNotMatch"},
		{"another key", func(r *http.Request) { r.URL.Path = "/b/other" }, "SignatureDoesNotMatch"},
		{"a sub-resource added", func(r *http.Request) { r.URL.RawQuery += "&acl" }, "SignatureDoesNotMatch"},
		{"a parameter twice", func(r *http.Request) { r.URL.RawQuery += "&versionId=2" }, "SignatureDoesNotMatch"},
		{"a plus sign for a space", func(r *http.Request) { r.URL.RawQuery += "&x=a+b" }, "InvalidURI"},
		{"a semicolon for an ampersand", func(r *http.Request) { r.URL.RawQuery += ";acl" }, "InvalidURI"},
		{"dot segments", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/b/../c", "" }, "InvalidURI"},
		{"dot segments, escaped", func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/b/../c", "/b/%2e%2e%2fc" }, "InvalidURI"},
		{"two Authorization headers", func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, "AuthorizationHeaderMalformed"},
		{"header and query both", func(r *http.Request) { r.URL.RawQuery = strings.SplitN(presigned, "?", 2)[1] }, "AuthorizationHeaderMalformed"},
		{"a signature of the query beside the header's", func(r *http.Request) { r.URL.RawQuery += "&x-amz-signature=00" }, "AuthorizationHeaderMalformed"},
		{"another day's key", func(r *http.Request) { swap(r, "/20260304/", "/20260303/") }, "SignatureDoesNotMatch"},
		{"another time", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260304T120100Z") }, "SignatureDoesNotMatch"},
		{"two times", func(r *http.Request) { r.Header.Add("X-Amz-Date", "20260304T120000Z") }, "AuthorizationHeaderMalformed"},
		{"another service's key", func(r *http.Request) { swap(r, "/s3/", "/iam/") }, "SignatureDoesNotMatch"},
		{"another region's key", func(r *http.Request) { swap(r, "eu-central-1", "us-east-1") }, "SignatureDoesNotMatch"},
		{"host not signed", func(r *http.Request) { swap(r, "SignedHeaders=host;", "SignedHeaders=") }, "AccessDenied"},
		{"signed headers out of order", func(r *http.Request) {
			swap(r, "x-amz-content-sha256;x-amz-date", "x-amz-date;x-amz-content-sha256")
		}, "AuthorizationHeaderMalformed"},
		{"upper case in signed headers", func(r *http.Request) { swap(r, "=host;", "=Host;") }, "AuthorizationHeaderMalformed"},
		{"a signature in upper case", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			i := strings.Index(a, "Signature=") + len("Signature=")
			r.Header.Set("Authorization", a[:i]+strings.ToUpper(a[i:]))
		}, "SignatureDoesNotMatch"},
		{"a second credential", func(r *http.Request) { swap(r, ", Signature", ", Credential=x, Signature") }, "AuthorizationHeaderMalformed"},
		{"something more in the header", func(r *http.Request) { swap(r, ", Signature", ", X=y, Signature") }, "AuthorizationHeaderMalformed"},
		{"no signature", func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), ", Signature=")
			r.Header.Set("Authorization", a)
		}, "AuthorizationHeaderMalformed"},
		{"an empty one", func(r *http.Request) {
			a, _, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", a+"Signature=")
		}, "SignatureDoesNotMatch"},
		{"a body's hash that isn't one", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED") }, "InvalidRequest"},
		{"another body", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", Unsigned) }, "SignatureDoesNotMatch"},
		{"SigV4A", func(r *http.Request) { swap(r, "AWS4-HMAC-SHA256 ", "AWS4-ECDSA-P256-SHA256 ") }, "InvalidRequest"},
		{"SigV4A's chunks", func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD")
		}, "InvalidRequest"},
		{"version 2", func(r *http.Request) { r.Header.Set("Authorization", "AWS "+docID+":c2ln") }, "InvalidRequest"},
		{"version 2 in the query", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "AWSAccessKeyId=" + docID + "&Expires=1893456000&Signature=c2ln"
		}, "InvalidRequest"},
		{"a token of ours", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, ErrNone.Error()},
		{"nothing signed", func(r *http.Request) { r.Header.Del("Authorization") }, ErrNone.Error()},
		{"presigned, wrong", func(r *http.Request) {
			*r = *bare(presigned)
		}, "SignatureDoesNotMatch"},
		{"presigned, for eight days", func(r *http.Request) {
			*r = *bare(strings.Replace(presigned, "Expires=60", "Expires=691200", 1))
		}, "AuthorizationQueryParametersError"},
		{"presigned, for ever", func(r *http.Request) {
			*r = *bare(strings.Replace(presigned, "Expires=60", "Expires=18446744073709551615", 1))
		}, "AuthorizationQueryParametersError"},
		{"presigned, a parameter twice", func(r *http.Request) { *r = *bare(presigned + "&X-Amz-Expires=900") }, "AuthorizationHeaderMalformed"},
		{"presigned, a parameter twice in two spellings", func(r *http.Request) { *r = *bare(presigned + "&x-amz-expires=900") }, "AuthorizationHeaderMalformed"},
		{"presigned, a header that means something", func(r *http.Request) {
			*r = *bare(presigned)
			r.Header.Set("X-Amz-Copy-Source", "/secret/key")
		}, "AccessDenied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signed(t, http.MethodPut, "/b/k?versionId=1", EmptyHash, "X-Amz-Meta-A", "1")
			c.tamper(r)
			if _, err := check(r, noon); code(err) != c.want {
				t.Errorf("%q is wanted, and it was %v", c.want, err)
			}
		})
	}
}

func bare(target string) *http.Request {
	r, err := http.NewRequest(http.MethodPut, "https://gate.example"+target, http.NoBody)
	if err != nil {
		panic(err)
	}
	return r
}

func swap(r *http.Request, old, new string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
}

func TestTime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "", 4 * time.Minute: "", -4 * time.Minute: "",
		6 * time.Minute: "RequestTimeTooSkewed", -6 * time.Minute: "RequestTimeTooSkewed", 24 * time.Hour: "RequestTimeTooSkewed",
	} {
		if _, err := check(signed(t, http.MethodGet, "/b/k", EmptyHash), noon.Add(d)); code(err) != want {
			t.Errorf("%v later: %v", d, err)
		}
	}
}

// TestChunkBypasses holds what somebody may do to a body in chunks on its way.
func TestChunkBypasses(t *testing.T) {
	a := strings.Repeat("a", 65536)
	for _, trailer := range []bool{false, true} {
		_, good := chunked(trailer)
		one := good[:strings.Index(good, "400;")]
		two := good[len(one) : strings.Index(good, "\r\n0;")+2]
		end := good[len(one)+len(two):]
		bodies := map[string]string{
			"in another order":            two + one + end,
			"one twice":                   one + one + end,
			"one left out":                one + end,
			"cut off after a chunk":       one + two,
			"cut off in a chunk":          one[:5000],
			"cut off in a head":           one + two[:20],
			"nothing":                     "",
			"a byte changed":              strings.Replace(good, "aaaa", "aaab", 1),
			"a byte more in a chunk":      strings.Replace(good, a+"\r\n", a+"a\r\n", 1),
			"a byte less in a chunk":      strings.Replace(good, a+"\r\n", a[1:]+"\r\n", 1),
			"bytes behind the end":        good + "x",
			"a second body behind it":     good + good,
			"an end before the end":       one + end,
			"no signature":                strings.Replace(good, ";chunk-signature="+good[22:86], "", 1),
			"another extension":           strings.Replace(good, ";chunk-signature=", ";x=", 1),
			"a bare line feed":            strings.Replace(good, "\r\n", "\n", 1),
			"a length with a sign":        "+" + good,
			"a length with 0x":            "0x" + good,
			"a length that wraps":         "fffffffffffffffff" + good[5:],
			"a longer chunk than all":     "10401" + good[5:],
			"a head without end":          strings.Repeat("0", 100_000),
			"a carriage return in a head": strings.Replace(good, "10000;", "10000\r;", 1),
		}
		if trailer {
			bodies["a trailer changed"] = strings.Replace(good, "sOO8/Q==", "sOO8/A==", 1)
			bodies["a trailer more"] = strings.Replace(good, "x-amz-trailer-sig", "x-amz-meta-a:b\r\nx-amz-trailer-sig", 1)
			bodies["a trailer twice"] = strings.Replace(good, "x-amz-trailer-sig", "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-sig", 1)
			bodies["no trailer"] = strings.Replace(good, "x-amz-checksum-crc32c:sOO8/Q==\r\n", "", 1)
			bodies["a trailer behind its signature"] = strings.Replace(good, "\r\n\r\n", "\r\nx-amz-meta-a:b\r\n\r\n", 1)
			bodies["no trailer signature"] = good[:strings.Index(good, "x-amz-trailer-sig")] + "\r\n"
			bodies["no end of trailers"] = strings.TrimSuffix(good, "\r\n")
		} else {
			bodies["a trailer nobody announced"] = strings.TrimSuffix(good, "\r\n") + "x-amz-meta-a:b\r\n\r\n"
		}
		for name, body := range bodies {
			head, _ := chunked(trailer)
			if body == good {
				t.Errorf("%s: it is the good body", name)
			}
			if got, _, err := decode(t, head, body); err == nil || len(got) == 66560 {
				t.Errorf("trailer %v, %s: %d bytes and %v", trailer, name, len(got), err)
			}
		}
	}
}

// TestBodies: whoever reads to the end of a body without chunks knows that its hash held,
// and never has all of one that didn't.
func TestBodies(t *testing.T) {
	hello := hexSum([]byte("hello"))
	for _, c := range []struct{ payload, body, want string }{
		{hello, "hello", ""},
		{hello, "hellp", "XAmzContentSHA256Mismatch"},
		{hello, "hello ", "XAmzContentSHA256Mismatch"},
		{hello, "hell", "XAmzContentSHA256Mismatch"},
		{hello, "", "XAmzContentSHA256Mismatch"},
		{EmptyHash, "", ""},
		{EmptyHash, "x", "XAmzContentSHA256Mismatch"},
		{Unsigned, "anything", ""},
	} {
		p, err := check(signed(t, http.MethodPut, "/b/k", c.payload), noon)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(p.Body(strings.NewReader(c.body)))
		if code(err) != c.want {
			t.Errorf("%q as %s: %v", c.body, c.payload, err)
		}
		if err != nil && len(got) >= len(c.body) && c.body != "" {
			t.Errorf("%q as %s: all of it was handed on", c.body, c.payload)
		}
	}
}

func TestChecksums(t *testing.T) {
	for name, want := range map[string]string{ // of "123456789", as the catalogues of such sums have them
		"crc32": "cbf43926", "crc32c": "e3069283", "crc64nvme": "ae8b14860a799888",
		"sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441", "sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	} {
		h := newChecksum("x-amz-checksum-" + name)
		h.Write([]byte("123456789"))
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	if newChecksum("x-amz-checksum-md4") != nil {
		t.Error("an unknown checksum was found")
	}
}
