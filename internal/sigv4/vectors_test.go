package sigv4

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// The keys and figures of these tests are the ones that AWS publishes beside its description of the signature.
const (
	docID, docSecret     = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	suiteID, suiteSecret = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

// request reads a request as a server would, from head and body.
func request(t testing.TB, head, body string) *http.Request {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	r, err := http.NewRequest(method, "http://host"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines[1:] {
		k, v, _ := strings.Cut(l, ":")
		if strings.EqualFold(k, "host") {
			r.Host = strings.TrimSpace(v)
			continue
		}
		r.Header.Add(k, strings.TrimSpace(v))
	}
	return r
}

func authorization(id, scope, signed, signature string) string {
	return "AWS4-HMAC-SHA256 Credential=" + id + "/" + scope + ",SignedHeaders=" + signed + ",Signature=" + signature
}

func TestPublishedVectors(t *testing.T) {
	const s3, suite = "20130524/us-east-1/s3/aws4_request", "20150830/us-east-1/service/aws4_request"
	doc := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	old := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	empty := "\nx-amz-content-sha256: " + EmptyHash + "\nx-amz-date: 20130524T000000Z\nHost: examplebucket.s3.amazonaws.com\n"
	for _, c := range []struct {
		name, head, secret string
		now                time.Time
	}{
		{"get object with a range", "GET /test.txt\nRange: bytes=0-9" + empty + "Authorization: " +
			authorization(docID, s3, "host;range;x-amz-content-sha256;x-amz-date", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"), docSecret, doc},
		{"put object with an escaped key", "PUT /test%24file.text\nDate: Fri, 24 May 2013 00:00:00 GMT\nx-amz-storage-class: REDUCED_REDUNDANCY" +
			strings.Replace(empty, EmptyHash, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072", 1) + "Authorization: " +
			authorization(docID, s3, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"), docSecret, doc},
		{"sub-resource without a value", "GET /?lifecycle" + empty + "Authorization: " +
			authorization(docID, s3, "host;x-amz-content-sha256;x-amz-date", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"), docSecret, doc},
		{"list", "GET /?max-keys=2&prefix=J" + empty + "Authorization: " +
			authorization(docID, s3, "host;x-amz-content-sha256;x-amz-date", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"), docSecret, doc},
		{"presigned", "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" + docID + "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404\nHost: examplebucket.s3.amazonaws.com", docSecret, doc.Add(23 * time.Hour)},
		{"suite: vanilla", "GET /\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z\nAuthorization: " +
			authorization(suiteID, suite, "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"), suiteSecret, old},
		{"suite: order of keys", "GET /?Param2=value2&Param1=value1\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z\nAuthorization: " +
			authorization(suiteID, suite, "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"), suiteSecret, old},
		{"suite: post", "POST /\nHost:example.amazonaws.com\nX-Amz-Date:20150830T123600Z\nAuthorization: " +
			authorization(suiteID, suite, "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"), suiteSecret, old},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Read(request(t, c.head, ""))
			if err != nil {
				t.Fatal(err)
			}
			var sum *[32]byte
			if s.WantsBody() {
				b, _ := hex.DecodeString(EmptyHash)
				sum = (*[32]byte)(b)
			}
			if _, err := s.Verify(c.secret, c.now, sum); err != nil {
				t.Error(err)
			}
			if _, err := s.Verify(c.secret+"x", c.now, sum); code(err) != "SignatureDoesNotMatch" {
				t.Errorf("with another secret: %v", err)
			}
			if _, err := s.Verify(c.secret, c.now.Add(2*time.Hour), sum); code(err) != "RequestTimeTooSkewed" && code(err) != "AccessDenied" {
				t.Errorf("two hours later: %v", err)
			}
		})
	}
}

// chunked is AWS's published upload in chunks: 66560 bytes of "a", of which the first chunk has 64 KiB.
func chunked(trailer bool) (head, body string) {
	a := func(n int) string { return strings.Repeat("a", n) }
	if !trailer {
		head = `PUT /examplebucket/chunkObject.txt
Host: s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD
Content-Encoding: aws-chunked
x-amz-decoded-content-length: 66560
Authorization: ` + authorization(docID, "20130524/us-east-1/s3/aws4_request",
			"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
			"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
		body = "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + a(65536) + "\r\n" +
			"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + a(1024) + "\r\n" +
			"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
		return head, body
	}
	head = `PUT /examplebucket/chunkObject.txt
Host: s3.amazonaws.com
x-amz-date: 20130524T000000Z
x-amz-storage-class: REDUCED_REDUNDANCY
x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER
Content-Encoding: aws-chunked
x-amz-decoded-content-length: 66560
x-amz-trailer: x-amz-checksum-crc32c
Authorization: ` + authorization(docID, "20130524/us-east-1/s3/aws4_request",
		"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
		"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
	body = "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + a(65536) + "\r\n" +
		"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + a(1024) + "\r\n" +
		"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" +
		"x-amz-checksum-crc32c:sOO8/Q==\r\n" +
		"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
	return head, body
}

// decode verifies head and reads body through it.
func decode(t testing.TB, head, body string) ([]byte, *Body, error) {
	t.Helper()
	r := request(t, head, "")
	r.ContentLength = 66824
	s, err := Read(r)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Verify(docSecret, time.Date(2013, 5, 24, 0, 1, 0, 0, time.UTC), nil)
	if err != nil {
		t.Fatal(err)
	}
	b := p.Body(iotest.HalfReader(strings.NewReader(body)))
	got, err := io.ReadAll(b)
	return got, b, err
}

func TestPublishedChunks(t *testing.T) {
	for _, trailer := range []bool{false, true} {
		head, body := chunked(trailer)
		got, b, err := decode(t, head, body)
		if err != nil || len(got) != 66560 || bytes.Trim(got, "a") != nil && len(bytes.Trim(got, "a")) > 0 {
			t.Errorf("trailer %v: %d bytes, %v", trailer, len(got), err)
		}
		if want := map[bool]int{true: 1}[trailer]; len(b.Trailers()) != want {
			t.Errorf("trailers %v", b.Trailers())
		}
	}
}

// code is AWS's name for err, "" where it has none.
func code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func itoa(n int) string { return strconv.Itoa(n) }

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
