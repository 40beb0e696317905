package veil

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

var smallReply = []byte(`{"id":8412,"name":"Quarterly report","state":"open","labels":["finance","draft"],"owner":{"login":"mira","admin":false},"created":"2026-11-22","comments":3,"body":"Numbers for the third quarter, to be reviewed."}`)

// BenchmarkSmall is a reply without findings as most are, beside one under a permit that masks nothing.
func BenchmarkSmall(b *testing.B) {
	for name, p := range map[string]*permit{"masking": masking(b), "bare": newPermit(b, nil)} {
		b.Run(name, func(b *testing.B) {
			header := http.Header{"Content-Type": {"application/json"}, "Date": {"Sun, 22 Nov 2026 20:41:09 GMT"}, "Content-Length": {"212"}, "Server": {"x"}}
			from := bytes.NewReader(nil)
			body := io.NopCloser(from)
			buf := make([]byte, 4096)
			b.ReportAllocs()
			for b.Loop() {
				from.Reset(smallReply)
				r := http.Response{StatusCode: 200, Header: header, Body: body, ContentLength: int64(len(smallReply))}
				if err := Reply(&r, p, Options{}); err != nil {
					b.Fatal(err)
				}
				for {
					if _, err := r.Body.Read(buf); err != nil {
						break
					}
				}
				_ = r.Body.Close()
			}
		})
	}
}

// BenchmarkLarge is MB/s of large bodies, beside a copy.
func BenchmarkLarge(b *testing.B) {
	p := masking(b)
	rows := "[" + strings.Repeat(string(smallReply)+",\n", 4<<20/len(smallReply)) + "1]"
	for _, c := range []struct{ name, typ, body string }{
		{"copy", "", rows},
		{"JSON", "application/json", rows},
		{"text", "text/plain; x=y", strings.Repeat("Numbers for the third quarter, to be reviewed by all of us.\n", 4<<20/60)},
		{"CSV", "text/csv", "id,name,state,note\n" + strings.Repeat("8412,Quarterly report,open,\"to be reviewed, by all\"\n", 4<<20/52)},
		{"events", "text/event-stream", strings.Repeat("data: "+string(smallReply)+"\n\n", 4<<20/220)},
		{"bytes", "application/octet-stream", "\x00" + strings.Repeat("\x01\x02Numbers for the third quarter\x03", 4<<20/32)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			for b.Loop() {
				r := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {c.typ}}, Body: io.NopCloser(strings.NewReader(c.body)), ContentLength: -1}
				if c.name != "copy" {
					if err := Reply(r, p, Options{}); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r.Body}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
