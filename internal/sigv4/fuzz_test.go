package sigv4

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// FuzzRead: what anybody sends is refused or read, and nothing verifies by chance.
func FuzzRead(f *testing.F) {
	good := signed(f, http.MethodGet, "/b/k?list-type=2&prefix=a%2Fb", EmptyHash)
	f.Add(good.Header.Get("Authorization"), good.Header.Get("X-Amz-Date"), good.URL.Path, good.URL.RawQuery)
	f.Add("AWS4-HMAC-SHA256 Credential=a/20260304/b/c/aws4_request,SignedHeaders=host,Signature=", "", "/", "X-Amz-Date=%")
	f.Add("", "20260304T120000Z", "/../%2e", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=a+b;c")
	f.Fuzz(func(t *testing.T, auth, date, path, query string) {
		r := signed(t, http.MethodGet, "/", EmptyHash)
		r.Header.Set("Authorization", auth)
		r.Header.Set("X-Amz-Date", date)
		r.URL.Path, r.URL.RawQuery = "/"+path, query
		s, err := Read(r)
		if err != nil {
			return
		}
		if _, err := s.Verify("another secret", noon, &[32]byte{}); err == nil {
			t.Errorf("it verifies: %q %q %q %q", auth, date, path, query)
		}
	})
}

// FuzzEscape: what is escaped comes back, and twice escaped is not once escaped.
func FuzzEscape(f *testing.F) {
	f.Add("a b+c/%2F~é\x00")
	f.Fuzz(func(t *testing.T, s string) {
		for _, path := range []bool{true, false} {
			if got, ok := Unescape(Escape(s, path)); !ok || got != s {
				t.Errorf("%q came back as %q", s, got)
			}
		}
	})
}

// FuzzChunks: no body but the one that was signed is handed on whole, wherever it is cut.
func FuzzChunks(f *testing.F) {
	for _, trailer := range []bool{false, true} {
		_, body := chunked(trailer)
		f.Add([]byte(body), trailer)
		f.Add([]byte(strings.Replace(body, "10000;", "400;", 1)), trailer)
	}
	f.Fuzz(func(t *testing.T, body []byte, trailer bool) {
		head, good := chunked(trailer)
		got, _, err := decode(t, head, string(body))
		if err == nil && !bytes.Equal(got, bytes.Repeat([]byte("a"), 66560)) {
			t.Errorf("%d bytes of %q came through", len(got), good[:20])
		}
	})
}

// TestChunksThereAndBack holds that our chunks verify, in each form, at the length that
// was told before, and that a body which breaks off never ends in a last chunk.
func TestChunksThereAndBack(t *testing.T) {
	for _, form := range []string{SignedChunks, SignedTrailer, UnsignedTrailer} {
		for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 17} {
			data := bytes.Repeat([]byte("ghijklmnopqrstuv"), n/16+1)[:n]
			header := []string{"X-Amz-Decoded-Content-Length", itoa(n)}
			var tail [][2]string
			lengths := map[string]int{}
			if form != SignedChunks {
				h := newChecksum("x-amz-checksum-crc64nvme")
				h.Write(data)
				tail = [][2]string{{"x-amz-checksum-crc64nvme", base64Of(h.Sum(nil))}}
				lengths[tail[0][0]] = len(tail[0][1])
				header = append(header, "X-Amz-Trailer", "x-amz-checksum-crc64nvme")
			}
			r, err := http.NewRequest(http.MethodPut, "https://gate.example/b/k", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			sig, err := Key{ID: docID, Secret: docSecret}.Sign(r, "eu-central-1", "s3", form, noon)
			if err != nil {
				t.Fatal(err)
			}
			wire, err := io.ReadAll(sig.Chunks(iotest.HalfReader(bytes.NewReader(data)), func() ([][2]string, error) { return tail, nil }))
			if err != nil || int64(len(wire)) != ChunkedLength(form, int64(n), lengths) {
				t.Fatalf("%s, %d bytes: %d on the wire, %d told, %v", form, n, len(wire), ChunkedLength(form, int64(n), lengths), err)
			}
			p, err := check(r, noon.Add(time.Second))
			if err != nil {
				t.Fatal(err)
			}
			b := p.Body(iotest.OneByteReader(bytes.NewReader(wire)))
			if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, data) || len(b.Trailers()) != len(tail) {
				t.Errorf("%s, %d bytes: %d came back, %v", form, n, len(got), err)
			}
			broken := errors.New("broken")
			for _, end := range []error{broken, io.ErrUnexpectedEOF} {
				cut, err := io.ReadAll(sig.Chunks(io.MultiReader(bytes.NewReader(data), iotest.ErrReader(end)), nil))
				if !errors.Is(err, end) || bytes.Contains(cut, []byte("\r\n0")) || n < chunkSize && len(cut) > 0 {
					t.Errorf("%s: a body that breaks off after %d bytes ended as %q, %v", form, n, cut[max(0, len(cut)-90):], err)
				}
			}
		}
	}
}
