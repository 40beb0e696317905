package webwire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

// requests runs the machine over raw byte by byte, and says where each whole request ends.
func requests(raw []byte) (ends []int, bad *Refusal) {
	m := &machine{state: stMethod}
	for at := 0; at < len(raw); {
		if m.state == stMethod && m.nameLen == 0 && at > 0 && (len(ends) == 0 || ends[len(ends)-1] != at) {
			ends = append(ends, at)
		}
		m.switched = false
		if _, bad := m.feed(raw[at : at+1]); bad != nil {
			return ends, bad
		}
		at++
	}
	if m.state == stMethod && m.nameLen == 0 && len(raw) > 0 {
		ends = append(ends, len(raw))
	}
	return ends, nil
}

// What the machine takes, net/http reads as the same requests, however the bytes arrive.
func FuzzFraming(f *testing.F) {
	for _, raw := range seeds(f) {
		f.Add(raw, 7)
	}
	f.Fuzz(func(t *testing.T, raw []byte, piece int) {
		ends, bad := requests(raw)
		m := &machine{state: stMethod}
		var other *Refusal
		for rest, n := raw, 1+(piece&0xfff); len(rest) > 0 && other == nil; {
			m.switched = false
			var fed int
			fed, other = m.feed(rest[:min(n, len(rest))])
			rest = rest[fed:]
		}
		if (bad == nil) != (other == nil) || bad != nil && *bad != *other {
			t.Fatalf("byte by byte %v, in pieces %v", bad, other)
		}
		src := bytes.NewReader(raw)
		if len(ends) > 0 {
			src = bytes.NewReader(raw[:ends[len(ends)-1]])
		} else {
			src.Reset(nil)
		}
		size := src.Len()
		br := bufio.NewReader(src)
		for i, end := range ends {
			r, err := http.ReadRequest(br)
			if err != nil {
				return // net/http refuses more, such as an escape that is none: it answers 400 too
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatalf("request %d: its body: %v", i, err)
			}
			if at := size - src.Len() - br.Buffered(); at != end {
				t.Fatalf("request %d ends at %d for net/http, at %d for us (body %q)", i, at, end, body)
			}
		}
		if n := br.Buffered() + src.Len(); n != 0 {
			t.Fatalf("%d bytes are left", n)
		}
	})
}

func seeds(f *testing.F) (all [][]byte) {
	text, err := os.ReadFile("testdata/smuggling.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, "name: ") {
			all = append(all, nil)
		} else if strings.HasPrefix(line, `"`) {
			s, err := strconv.Unquote(line)
			if err != nil {
				f.Fatal(err)
			}
			all[len(all)-1] = append(all[len(all)-1], s...)
		}
	}
	return all
}

// The preface of HTTP/2 lets everything pass, and only whole.
func TestPreface(t *testing.T) {
	for raw, passes := range map[string]bool{
		preface + "\x00\x00\x00":               true,
		preface[:20]:                           true, // so far
		"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n\x00": false,
		"PRI * HTTP/1.1\r\nHost: a\r\n\r\n":    true, // a method like another
		"P\x00":                                false,
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n": false,
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + preface:             false,
	} {
		m := &machine{state: stPreface}
		if _, bad := m.feed([]byte(raw)); (bad == nil) != passes {
			t.Errorf("%q: %v", raw, bad)
		}
	}
}

const head = "GET /api/v1/things/7?fields=name,state HTTP/1.1\r\nHost: things.example.com\r\nUser-Agent: python-requests/2.32.3\r\n" +
	"Accept-Encoding: gzip, deflate\r\nAccept: application/json\r\nConnection: keep-alive\r\nAuthorization: Bearer assent_0123456789abcdef0123456789abcdef0123456789ab\r\n" +
	"X-Request-Id: 0b1d3f5a-7c9e-4b2d-8f6a-1c3e5d7b9f02\r\n\r\n"

func TestNoAllocations(t *testing.T) {
	p, m := []byte(head), &machine{state: stMethod}
	if n := testing.AllocsPerRun(100, func() {
		if _, bad := m.feed(p); bad != nil {
			t.Fatal(bad)
		}
	}); n != 0 {
		t.Errorf("%v allocations a request", n)
	}
}

func BenchmarkHead(b *testing.B) {
	p, m := []byte(head), &machine{state: stMethod}
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		if _, bad := m.feed(p); bad != nil {
			b.Fatal(bad)
		}
	}
}

func BenchmarkBody(b *testing.B) {
	p, m := make([]byte, 32<<10), &machine{}
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		m.state, m.left = stBody, int64(2*len(p))
		_, _ = m.feed(p)
	}
}
