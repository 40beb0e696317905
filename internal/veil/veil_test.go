package veil

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

// permit masks as the enforcer's does.
type permit struct {
	set     *mask.Set
	limit   int64 // bytes; 0: none
	counted int64
	masked  map[string]int64
}

func newPermit(t testing.TB, masks map[string]string) *permit {
	t.Helper()
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &permit{set: mask.New([]byte("key"), e).For("agent:a", masks), masked: map[string]int64{}}
}

func masking(t testing.TB) *permit {
	return newPermit(t, map[string]string{"pii": mask.Redact, "pci": mask.Redact, "secret": mask.Redact})
}

func (p *permit) Rows(cols []gate.Column) gate.Rows {
	var own []mask.Column
	for _, c := range cols {
		own = append(own, mask.Column{Name: c.Name, Type: c.Type})
	}
	return p.set.Rows(own)
}

func (p *permit) Text(b []byte) []byte {
	out, counts := p.set.TextCounted(b)
	for c, n := range counts {
		p.masked[c] += n
	}
	return out
}

func (p *permit) Stream(to io.Writer, fill bool) gate.Stream {
	if fill {
		return p.set.Filler(to)
	}
	return p.set.Writer(to)
}
func (p *permit) Clear(name string, v []byte) bool { return p.set.Clear(name, v) }
func (p *permit) Bare() bool                       { return p.set.Bare() }
func (p *permit) Bound() int64                     { return -1 }
func (p *permit) Done(gate.Outcome)                {}
func (p *permit) Count(_, n int64) error {
	if p.counted += n; p.limit > 0 && p.counted > p.limit {
		return &gate.Denied{Status: gate.StatusLimit, Reason: "the limit is reached"}
	}
	return nil
}

// slow reads a few bytes at a time.
type slow struct {
	b    []byte
	step int
	shut bool
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.b)
	s.b = s.b[n:]
	return n, nil
}

func (s *slow) Close() error { s.shut = true; return nil }

func reply(body []byte, step int, length bool, headers ...string) *http.Response {
	r := &http.Response{StatusCode: 200, Header: http.Header{}, Body: &slow{b: body, step: step}, ContentLength: -1}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if length {
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return r
}

func through(p gate.Permit, r *http.Response, o Options) (string, error) {
	if err := Reply(r, p, o); err != nil {
		return "", err
	}
	out, err := io.ReadAll(r.Body)
	if e := r.Body.Close(); e != nil {
		return "", e
	}
	return string(out), err
}

func gz(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// The planted values: one that shows what it is, one that only its name tells, one that is long.
const (
	planted = "ann@example.com"
	named   = "hunter2x"
	card    = "4111 1111 1111 1111"
)

// Whatever a body is, and however it is cut, what is planted in it doesn't come out, and the rest does as it was.
func TestEveryKind(t *testing.T) {
	for _, c := range []struct{ name, typ, in, out string }{
		{"JSON", "application/json", `{"mail":"ann@example.com", "n":[1,"to ann@example.com now",{"password":"hunter2x"}], "ok":true}`, `{"mail":"[masked:email]", "n":[1,"to [masked:email] now",{"password":"[masked:sensitive]"}], "ok":true}`},
		{"JSON, escaped", "application/json", `{"a":"x\nann\u0040example.com \u00e9","password":"hunt\u0065r2x"}`, `{"a":"x\n[masked:email] é","password":"[masked:sensitive]"}`},
		{"JSON in JSON", "application/problem+json", `{"a":"{\"password\":\"hunter2x\",\"b\":[1]}"}`, `{"a":"{\"password\":\"[masked:sensitive]\",\"b\":[1]}"}`},
		{"JSON's names", "application/json", `{"ann@example.com":1,"bob@example.com":{"x":"y"}}`, `{"[masked:email]":1,"[masked:email] 2":{"x":"y"}}`},
		{"numbers", "application/json", `{"card":4111111111111111,"n":12345678,"e":-1.5e9}`, `{"card":"[masked:card]","n":12345678,"e":-1.5e9}`},
		{"a name and its values", "application/json", `{"password":["hunter2x",12345678,{"v":"x"}]}`, `{"password":["[masked:sensitive]","[masked:sensitive]",{"v":"x"}]}`},
		{"lines of JSON", "application/x-ndjson", "{\"password\":\"hunter2x\"}\n{\"a\":\"ann@example.com\"}\n{\"a\":\"b\"}\n", "{\"password\":\"[masked:sensitive]\"}\n{\"a\":\"[masked:email]\"}\n{\"a\":\"b\"}\n"},
		{"JSON twice", "application/json", `{"a":1,"a":"ann@example.com","password":"hunter2x","password":"hunter2x"}`, `{"a":1,"a":"[masked:email]","password":"[masked:sensitive]","password":"[masked:sensitive]"}`},
		{"no JSON", "application/json", `[INFO] card 4111 1111 1111 1111 "ann@example.com"`, `[INFO] card [masked:card] "[masked:email]"`},
		{"no JSON either", "application/json", `{"a":"b"} ann@example.com {"a`, `{"a":"b"} [masked:email] {"a`},
		{"JSON behind a guard", "application/json", ")]}',\n{\"password\":\"hunter2x\"}", ")]}',\n{\"password\":\"[masked:sensitive]\"}"},
		{"JSON in a call", "text/javascript", `/**/cb({"pass\u0077ord":"hunter2x"});`, `/**/cb({"pass\u0077ord":"[masked:sensitive]"});`},
		{"JSON as events", "text/event-stream", `{"password":"hunter2x"}`, `{"password":"[masked:sensitive]"}`},
		{"JSON, a number alone", "application/json", `4111111111111111`, `[masked:card]`},
		{"JSON, cut off", "application/json", `{"password":"hunter2x`, `{"password":"[masked:sensitive]`},
		{"JSON as text", "text/plain", `  {"password":"hunter2x"}`, `  {"password":"[masked:sensitive]"}`},
		{"JSON behind lines", "text/plain", "\n\n \t\r\n\n{\"password\":\"hunter2x\"}", "\n\n \t\r\n\n{\"password\":\"[masked:sensitive]\"}"},
		{"JSON behind much space", "", strings.Repeat(" ", 600) + `{"password":"hunter2x"}`, strings.Repeat(" ", 600) + `{"password":"[masked:sensitive]"}`},
		{"JSON as nothing", "", `[{"password":"hunter2x"}]`, `[{"password":"[masked:sensitive]"}]`},
		{"JSON as an image", "image/png", `[{"password":"hunter2x"}]`, `[{"password":"[masked:sensitive]"}]`},
		{"JSON as parts", "multipart/mixed; boundary=b", `{"password":"hunter2x"}`, `{"password":"[masked:sensitive]"}`},
		{"JSON as a message", "application/x-protobuf", `{"password":"hunter2x"}`, `{"password":"********"}`},
		{"text as an image", "image/bmp", `BM ann@example.com`, `BM [masked:email]`},
		{"text", "text/plain; charset=utf-8", "to ann@example.com,\nor 4111 1111 1111 1111.", "to [masked:email],\nor [masked:card]."},
		{"HTML", "text/html", `<a href="mailto:ann@example.com">ann&#64;example.com</a>`, `<a href="mailto:[masked:email]">[masked:email]</a>`},
		{"XML", "application/soap+xml", `<m>ann@example.com</m>`, `<m>[masked:email]</m>`},
		{"form", "application/x-www-form-urlencoded", "a=b%20c&password=hunter2x&to=ann%40example.com", "a=b%20c&password=%5Bmasked%3Asensitive%5D&to=%5Bmasked%3Aemail%5D"},
		{"CSV", "text/csv", "id,password,note\r\n1,hunter2x,\"a, \"\"b\"\"\"\r\n2,\"hunter2x\",to ann@example.com\r\n", "id,password,note\r\n1,[masked:sensitive],\"a, \"\"b\"\"\"\r\n2,\"[masked:sensitive]\",to [masked:email]\r\n"},
		{"TSV without an end", "text/tab-separated-values", "id\tpassword\n1\thunter2x", "id\tpassword\n1\t[masked:sensitive]"},
		{"CSV of semicolons", "text/csv", "id;password\n1;hunter2x\n", "id;password\n1;[masked:sensitive]\n"},
		{"CSV, lines in a field", "text/csv", "a,b\n\"x\nann@example.com\",2\n", "a,b\n\"x\n[masked:email]\",2\n"},
		{"events", "text/event-stream", ": hi\n\nevent: a\ndata: {\"password\":\"hunter2x\"}\n\ndata: to\ndata: ann@example.com\n\ndata: [DONE]\n\n", ": hi\n\nevent: a\ndata: {\"password\":\"[masked:sensitive]\"}\n\ndata: to\ndata: [masked:email]\n\ndata: [DONE]\n\n"},
		{"events, JSON over lines", "text/event-stream", "data: {\"a\":1,\r\ndata:\"password\":\"hunter2x\"}\r\nid: 1\r\n\r\n", "data: {\"a\":1,\ndata: \"password\":\"[masked:sensitive]\"}\nid: 1\r\n\r\n"},
		{"events, cut off", "text/event-stream", "data: ann@example.com", "data: [masked:email]\n"},
		{"parts", "multipart/mixed; boundary=b", "--b\r\nContent-Type: application/json\r\n\r\n{\"password\":\"hunter2x\"}\r\n--b\r\nX: ann@example.com\r\nContent-Length: 15\r\n\r\nann@example.com\r\n--b--\r\n", "--b\r\nContent-Type: application/json\r\n\r\n{\"password\":\"[masked:sensitive]\"}\r\n--b\r\nX: [masked:email]\r\n\r\n[masked:email]\r\n--b--\r\n"},
		{"an empty part", "multipart/mixed; boundary=b", "--b\n\n--b\nContent-Type: application/json\n\n{\"password\":\"hunter2x\"}\n--b--", "--b\n\n--b\nContent-Type: application/json\n\n{\"password\":\"[masked:sensitive]\"}\n--b--"},
		{"parts, cut off", "multipart/mixed; boundary=b", "--b\r\n\r\nann@example.com", "--b\r\n\r\n[masked:email]"},
		{"bytes", "application/octet-stream", "\x00\x01ann@example.com\x00", "\x00\x01***************\x00"},
		{"two bytes a character", "text/plain", string(wideOf("to ann@example.com\n", false)), "\xef\xbb\xbfto [masked:email]\n"},
		{"two bytes without a mark", "text/plain; charset=utf-16be", string(wideOf("to ann@example.com\n", true)[2:]), "\xef\xbb\xbfto [masked:email]\n"},
		{"messages", "application/x-protobuf", "\x0a\x0fann@example.com\x12\x11\x0a\x0fann@example.com", "\x0a\x0f***************\x12\x11\x0a\x0f***************"},
		{"gRPC", "application/grpc+proto", "\x00\x00\x00\x00\x11\x0a\x0fann@example.com\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x11\x0a\x0f***************\x00\x00\x00\x00\x00"},
		{"Connect", "application/connect+json", "\x00\x00\x00\x00\x17{\"password\":\"hunter2x\"}"[:5] + `{"password":"hunter2x"}`, "\x00\x00\x00\x00\x21" + `{"password":"[masked:sensitive]"}`},
		{"gRPC-web in base64", "application/grpc-web-text", base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x00\x11\x0a\x0fann@example.com")), base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x00\x11\x0a\x0f***************"))},
		{"a watch", "application/vnd.kubernetes.protobuf;stream=watch", "\x00\x00\x00\x15k8s\x00\x0a\x0fann@example.com", "\x00\x00\x00\x15k8s\x00\x0a\x0f***************"},
	} {
		for step := 1; step <= len(c.in); step += 1 + step/100 {
			for _, length := range []bool{true, false} {
				p := masking(t)
				got, err := through(p, reply([]byte(c.in), step, length, "Content-Type", c.typ), Options{})
				if c.typ == "application/grpc-web-text" { // comes in pieces, each in base64 of its own
					got = rejoined(t, got)
				}
				if err != nil || got != c.out {
					t.Fatalf("%s in pieces of %d: %q, %v\nwant %q", c.name, step, got, err, c.out)
				}
				if p.counted != int64(len(c.in)) {
					t.Fatalf("%s: %d bytes were counted of %d", c.name, p.counted, len(c.in))
				}
			}
		}
		same := strings.NewReplacer(planted, "ann-example-com", named, "", card, "n").Replace(c.in)
		if c.typ == "image/png" || strings.HasPrefix(c.name, "two bytes") || c.name == "numbers" || strings.Contains(c.in, `\u0040`) || strings.Contains(c.typ, "proto") || strings.Contains(c.typ, "grpc") || strings.Contains(c.typ, "connect") || len(c.in) == 16 {
			continue
		}
		same = strings.NewReplacer(`:""`, `:"x"`).Replace(same)
		clean := newPermit(t, map[string]string{"iban": mask.Redact})
		if got, err := through(clean, reply([]byte(same), 7, false, "Content-Type", c.typ), Options{}); err != nil || got != same && !strings.Contains(same, "Content-Length") && c.name != "events, cut off" {
			t.Errorf("%s: without values it became %q, %v\nfrom %q", c.name, got, err, same)
		}
	}
}

func rejoined(t *testing.T, s string) string {
	t.Helper()
	var all []byte
	for len(s) >= 4 {
		b, err := base64.StdEncoding.DecodeString(s[:4])
		if err != nil {
			t.Fatal(err)
		}
		all, s = append(all, b...), s[4:]
	}
	return base64.StdEncoding.EncodeToString(all)
}

func wideOf(s string, big bool) (out []byte) {
	for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
		if big {
			out = binary.BigEndian.AppendUint16(out, u)
		} else {
			out = binary.LittleEndian.AppendUint16(out, u)
		}
	}
	return out
}

// With Fill nothing moves, and what isn't masked stays.
func TestFill(t *testing.T) {
	for _, c := range []struct{ name, typ, in, out string }{
		{"JSON", "application/json", `{"a":"to ann@example.com now","password":"hunter2x","n":4111111111111111}`, `{"a":"to *************** now","password":"********","n":1000000000000000}`},
		{"JSON, escaped", "application/json", `{"a":"x\nann\u0040example.com\n","password":"a\\b\"c"}`, `{"a":"x\n********************\n","password":"*******"}`},
		{"JSON in JSON", "application/json", `{"a":"{\"password\":\"hunter2x\",\"b\":[1]}"}`, `{"a":"{\"password\":\"********\",\"b\":[1]}"}`},
		{"a name", "application/json", `{"ann@example.com":1}`, `{"***************":1}`},
		{"text", "text/plain", "to ann@example.com.", "to ***************."},
		{"CSV", "text/csv", "id,password\n1,hunter2x\n2,\"a\"\"b\"\n3,\"hunter2x\"\n", "id,password\n1,********\n2,\"****\"\n3,\"********\"\n"},
		{"form", "application/x-www-form-urlencoded", "to=ann%40example.com", "to=*****************"},
		{"events", "text/event-stream", "data: ann@example.com\n\n", "data: ***************\n\n"},
		{"parts", "multipart/mixed; boundary=b", "--b\r\nContent-Length: 15\r\nX: ann@example.com\r\n\r\nann@example.com\r\n--b--\r\n", "--b\r\nContent-Length: 15\r\nX: ***************\r\n\r\n***************\r\n--b--\r\n"},
	} {
		for step := 1; step <= len(c.in); step++ {
			r := reply([]byte(c.in), step, step%2 == 0, "Content-Type", c.typ)
			got, err := through(masking(t), r, Options{Fill: true})
			if err != nil || got != c.out || len(got) != len(c.in) || r.ContentLength >= 0 && r.ContentLength != int64(len(c.in)) {
				t.Fatalf("%s in pieces of %d: %q, %v\nwant %q", c.name, step, got, err, c.out)
			}
		}
	}
}

// A string of any length is masked with bounded memory.
func TestLongStrings(t *testing.T) {
	pad := strings.Repeat(`nothing of note \"here\" \u00e9\n`, 20<<10)
	inside, err := json.Marshal(`{"b":"` + pad + `","password":"hunter2x"}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, in, gone, kept string }{
		{"by content", `{"a":"` + pad + `ann\u0040example.com` + pad + `"}`, "example.com", "[masked:email]"},
		{"by name", `{"password":"` + pad + `"}`, "nothing", `{"password":"[masked:sensitive]"}`},
		{"JSON inside", `{"a":` + string(inside) + `}`, named, `[masked:sensitive]`},
	} {
		for _, fill := range []bool{false, true} {
			got, err := through(masking(t), reply([]byte(c.in), 8191, false, "Content-Type", "application/json"), Options{Fill: fill})
			if err != nil || !json.Valid([]byte(got)) {
				t.Fatalf("%s: %v, valid %v", c.name, err, json.Valid([]byte(got)))
			}
			if c.name == "JSON inside" && fill {
				continue // by content only: see docs/http-bodies.md
			}
			if strings.Contains(got, c.gone) || !fill && !strings.Contains(got, c.kept) || fill && len(got) != len(c.in) {
				t.Errorf("%s, fill %v: %d bytes, %.200q", c.name, fill, len(got), got)
			}
		}
	}
	in := `{"a":"` + pad + `"}`
	got, err := through(masking(t), reply([]byte(in), 8191, false, "Content-Type", "application/json"), Options{})
	var was, is any
	if err != nil || json.Unmarshal([]byte(in), &was) != nil || json.Unmarshal([]byte(got), &is) != nil || was.(map[string]any)["a"] != is.(map[string]any)["a"] {
		t.Errorf("a long string without values changed: %v", err)
	}
}

// A string that is all escapes is passed on in pieces too, however it is cut, and a value in it is masked.
func TestAStringOfEscapesIsNotKept(t *testing.T) {
	p := masking(t)
	for _, size := range []int{4096, 4095} {
		var out pieces
		d := newDocument(&out, p, false, Deepest)
		text := `{"note":"` + strings.Repeat(`\n\"`, 1<<18) + `4111 1111 1111 1111` + strings.Repeat(`\\`, 1<<19) + `"}`
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if err := d.write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			if rest = rest[n:]; cap(d.token) > 4*longest {
				t.Fatalf("keeps %d bytes after %d", cap(d.token), len(text)-len(rest))
			}
		}
		if err := d.end(); err != nil {
			t.Fatal(err)
		}
		if want := strings.Replace(text, "4111 1111 1111 1111", "[masked:card]", 1); string(out) != want {
			t.Errorf("in pieces of %d: %d bytes came out, want %d", size, len(out), len(want))
		}
	}
}

func TestCodings(t *testing.T) {
	text := []byte(strings.Repeat("nothing of note\n", 10000) + planted)
	var brotlied, zstded bytes.Buffer
	b := brotli.NewWriter(&brotlied)
	_, _ = b.Write(text)
	_ = b.Close()
	z, err := zstd.NewWriter(&zstded)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = z.Write(text)
	_ = z.Close()
	for coding, body := range map[string][]byte{"gzip": gz(t, text), "br": brotlied.Bytes(), "zstd": zstded.Bytes(), "identity": text, "br, gzip": gz(t, brotlied.Bytes())} {
		p := masking(t)
		r := reply(body, 1000, true, "Content-Type", "text/plain", "Content-Encoding", coding, "ETag", `"x"`)
		got, err := through(p, r, Options{})
		if want := strings.Replace(string(text), planted, "[masked:email]", 1); err != nil || got != want || r.Header.Get("ETag") != "" || r.ContentLength != -1 || p.counted != int64(len(text)) {
			t.Errorf("%s: %d bytes, %v, %v", coding, len(got), err, r.Header)
		}
		if coding != "identity" && r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: still said to be coded", coding)
		}
	}
	for name, c := range map[string]struct {
		body   []byte
		coding string
	}{
		"a bomb":            {gz(t, make([]byte, 80<<20)), "gzip"},
		"cut off":           {gz(t, text)[:100], "gzip"},
		"not what it says":  {text, "gzip"},
		"unknown":           {text, "compress"},
		"as good as a bomb": {text, "gzip, gzip, gzip, gzip"},
	} {
		_, err := through(masking(t), reply(c.body, 1<<20, false, "Content-Type", "text/plain", "Content-Encoding", c.coding), Options{})
		var d *gate.Denied
		if !errors.As(err, &d) || !strings.HasPrefix(d.Reason, "it ran, and its answer is withheld") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What can't be looked into is withheld before its headers pass, or lets through by the operator's word.
func TestWithheld(t *testing.T) {
	zipped := append([]byte("PK\x03\x04"), make([]byte, 2000)...)
	for name, r := range map[string]func() *http.Response{
		"an archive":             func() *http.Response { return reply(zipped, 100, true, "Content-Type", "application/zip") },
		"an archive as text":     func() *http.Response { return reply(zipped, 1000, true, "Content-Type", "text/plain") },
		"an archive as bytes":    func() *http.Response { return reply(zipped, 1, false, "Content-Type", "application/octet-stream") },
		"an archive as an image": func() *http.Response { return reply(zipped, 100, false, "Content-Type", "image/png") },
		"an archive as JSON": func() *http.Response {
			return reply(gz(t, []byte("{}")), 100, true, "Content-Type", "application/json")
		},
		"PDF": func() *http.Response { return reply([]byte("%PDF-1.7"), 100, true, "Content-Type", "application/pdf") },
		"a charset nobody knows": func() *http.Response {
			return reply([]byte("x"), 100, true, "Content-Type", "text/plain; charset=utf-7")
		},
		"a charset that it isn't in": func() *http.Response {
			return reply([]byte("ann@example.com"), 100, true, "Content-Type", "text/plain; charset=utf-16")
		},
		"compressed in a part": func() *http.Response {
			return reply([]byte("--b\r\nContent-Encoding: gzip\r\n\r\n123\r\n--b--"), 100, true, "Content-Type", "multipart/mixed; boundary=b")
		},
	} {
		for _, o := range []Options{{}, {Fill: true}} {
			res := r()
			body := res.Body.(*slow)
			if got, err := through(masking(t), res, o); err == nil || got != "" {
				t.Errorf("%s, %v: %q, %v", name, o, got, err)
			} else if !body.shut {
				t.Errorf("%s: left open", name)
			}
		}
		want, _ := io.ReadAll(r().Body)
		if name == "compressed in a part" {
			continue
		}
		if got, err := through(masking(t), r(), Options{Opaque: true}); err != nil || got != string(want) {
			t.Errorf("%s, by the operator's word: %q, %v", name, got, err)
		}
		if got, err := through(newPermit(t, nil), r(), Options{}); err != nil || got != string(want) {
			t.Errorf("%s, where nothing is masked: %q, %v", name, got, err)
		}
	}
	r := reply([]byte("x"), 1, true, "Content-Type", "text/plain")
	r.StatusCode = http.StatusSwitchingProtocols
	if err := Reply(r, masking(t), Options{}); err == nil {
		t.Error("another protocol passed")
	}
}

func TestParts(t *testing.T) {
	part := func(typ, from string, body string) *http.Response {
		r := reply([]byte(body), 100, true, "Content-Type", typ, "Content-Range", "bytes "+from+"/1000")
		r.StatusCode = http.StatusPartialContent
		return r
	}
	if _, err := through(masking(t), part("text/plain", "0-9", "x"), Options{}); err == nil {
		t.Error("a part passed where values may be cut apart")
	}
	for _, c := range []struct {
		typ, from, in, out string
	}{
		{"text/plain", "100-200", "ann@example.com", "***************"},
		{"application/json", "0-200", `{"password":"hunter`, `{"password":"******`},
		{"application/json", "100-200", `ter2x","b":1}`, ""},
		{"text/csv", "100-200", `1,hunter2x`, ""},
		{"application/octet-stream", "100-200", "\x00\x01", ""},
		{"image/png", "100-200", "\x01ann", ""},
	} {
		got, err := through(masking(t), part(c.typ, c.from, c.in), Options{Fill: true})
		if got != c.out || (err == nil) != (c.out != "") {
			t.Errorf("%s from %s: %q, %v", c.typ, c.from, got, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	p := masking(t)
	r := reply([]byte("to ann@example.com"), 100, true, "Content-Type", "text/plain", "ETag", `"x"`, "X-Amz-Checksum-Crc32", "x", "Accept-Ranges", "bytes",
		"X-User", "ann@example.com", "Location", "/u/ann%40example.com", "Date", "Sun, 22 Nov 2026 20:41:09 GMT")
	r.Trailer = http.Header{"X-Trailer": nil}
	if err := Reply(r, p, Options{}); err != nil {
		t.Fatal(err)
	}
	r.Trailer["X-Trailer"] = []string{planted}
	out, err := io.ReadAll(r.Body)
	want := http.Header{"Content-Type": {"text/plain"}, "X-User": {"[masked:email]"}, "Location": {"/u/[masked:email]"}, "Date": {"Sun, 22 Nov 2026 20:41:09 GMT"}, "Content-Length": {"17"}}
	if err != nil || string(out) != "to [masked:email]" || !maps.EqualFunc(r.Header, want, func(a, b []string) bool { return a[0] == b[0] }) || r.ContentLength != 17 || r.Trailer.Get("X-Trailer") != "[masked:email]" {
		t.Errorf("%q, %v, %v, %v", out, err, r.Header, r.Trailer)
	}
	same := reply([]byte("to all"), 100, true, "Content-Type", "text/plain", "ETag", `"x"`, "Accept-Ranges", "bytes")
	before := same.Header.Clone()
	if got, err := through(p, same, Options{}); err != nil || got != "to all" || !maps.EqualFunc(same.Header, before, func(a, b []string) bool { return a[0] == b[0] }) {
		t.Errorf("what stays the same lost headers: %v, %v", same.Header, err)
	}
	long := reply([]byte(strings.Repeat("x ", whole)), 9999, true, "Content-Type", "text/plain", "ETag", `"x"`)
	long.Trailer = http.Header{}
	if err := Reply(long, p, Options{}); err != nil || long.ContentLength != -1 || long.Header.Get("ETag")+long.Header.Get("Content-Length") != "" {
		t.Errorf("%v, %v", long.Header, err)
	}
	for _, status := range []int{http.StatusNoContent, http.StatusNotModified, http.StatusOK} {
		r := reply(nil, 1, false, "ETag", `"x"`, "X-User", planted, "Content-Type", "text/plain", "Content-Length", "100")
		r.StatusCode, r.Body, r.Request = status, http.NoBody, &http.Request{Method: http.MethodHead, Header: http.Header{"If-None-Match": {`"y", W/"x"`}}}
		if err := Reply(r, p, Options{}); err != nil || r.Header.Get("X-User") != "[masked:email]" || (r.Header.Get("ETag") != "") != (status == http.StatusNotModified) {
			t.Errorf("%d without a body: %v, %v", status, r.Header, err)
		}
	}
}

// Digests of a body that is only seen masked are told to nobody who didn't have them.
func TestTagsOfWhatIsMasked(t *testing.T) {
	for match, want := range map[string]string{"": "", "*": "", `"y"`: "", `"y", "x"`: `"x"`} {
		r := reply(nil, 1, false, "ETag", `"x"`, "Content-MD5", "x", "X-Amz-Checksum-Sha256", "x", "Content-Type", "text/plain")
		r.StatusCode, r.Body, r.Request = http.StatusNotModified, http.NoBody, &http.Request{Method: http.MethodGet, Header: http.Header{"If-None-Match": {match}}}
		if err := Reply(r, masking(t), Options{}); err != nil || r.Header.Get("ETag") != want || r.Header.Get("Content-MD5")+r.Header.Get("X-Amz-Checksum-Sha256") != "" {
			t.Errorf("If-None-Match: %s: %v, %v", match, r.Header, err)
		}
	}
}

// An agent may choose what a body is called where the system has it in the address. A value over several lines is
// none the less one.
func TestLinesThatAreOneValue(t *testing.T) {
	const key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun\nVTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u+qKhbwKfBstIs+bMY2Zkp18gnTxK\n-----END RSA PRIVATE KEY-----\n"
	const pgp = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBFMIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ff\nVTLw7onLRnrq0/IzW7yWR7QkrmBL7jTKEn5u+qKhbwKfBstIs+bMY2Zkp18gnTxK\n-----END PGP PRIVATE KEY BLOCK-----\n"
	for _, body := range []string{key, "words\n" + key, pgp} {
		for _, typ := range []string{
			"text/plain", "text/event-stream", "text/csv", "application/json", "application/x-www-form-urlencoded", "application/x-protobuf", "image/png",
			`multipart/mixed; boundary="---BEGIN"`, `multipart/mixed; boundary="---BEGIN RSA"`, `multipart/mixed; boundary="---BEGIN RSA PRIVATE KEY-----"`,
			`multipart/mixed; boundary="---BEGIN PGP PRIVATE KEY BLOCK-----"`, `multipart/mixed; boundary="---"`,
		} {
			for _, fill := range []bool{false, true} {
				if body == pgp && typ == "text/event-stream" { // its empty line ends an event
					continue
				}
				got, err := through(masking(t), reply([]byte(body), 7, true, "Content-Type", typ), Options{Fill: fill})
				if err == nil && strings.Contains(got, "VTLw7onLRnrq0") {
					t.Errorf("%s, fill %v: %q", typ, fill, got)
				}
			}
		}
	}
	if got, err := through(masking(t), reply([]byte("--x ann@example.com\r\n\r\nhi\r\n--x--\r\n"), 7, true, "Content-Type", "multipart/mixed; boundary=x"), Options{}); err == nil {
		t.Errorf("behind a mark: %q", got)
	}
}

// Messages of a WebSocket are masked by the names in them too.
func TestMessage(t *testing.T) {
	for in, want := range map[string]string{
		`{"password":"hunter2x"}`:                          `{"password":"[masked:sensitive]"}`,
		`42["said",{"password":"hunter2x"}]`:               `42["said",{"password":"[masked:sensitive]"}]`,
		`{"data":"{\"password\":\"hunter2x\"}"}`:           `{"data":"{\"password\":\"[masked:sensitive]\"}"}`,
		"from ann@example.com {":                           "from [masked:email] {",
		"ann@example.com:[1]":                              "[masked:email]:[1]",
		"MESSAGE\nid:1\n\n{\"password\":\"hunter2x\"}\x00": "MESSAGE\nid:1\n\n{\"password\":\"[masked:sensitive]\"}\x00",
	} {
		if got, err := Message(masking(t), []byte(in)); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v", in, got, err)
		}
	}
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		masks map[string]string
		fill  bool
		want  http.Header
	}{
		{nil, false, http.Header{"Range": {"bytes=0-1"}, "If-Range": {"x"}, "Accept-Encoding": {"gzip"}}},
		{map[string]string{"pii": mask.Redact}, false, http.Header{"Accept-Encoding": {"identity"}}},
		{map[string]string{"pii": mask.Redact}, true, http.Header{"Range": {"bytes=0-1"}, "If-Range": {"x"}, "Accept-Encoding": {"identity"}}},
	} {
		out := &http.Request{Header: http.Header{"Range": {"bytes=0-1"}, "If-Range": {"x"}, "Accept-Encoding": {"gzip"}}}
		Request(out, newPermit(t, c.masks), Options{Fill: c.fill})
		if !maps.EqualFunc(out.Header, c.want, func(a, b []string) bool { return a[0] == b[0] }) {
			t.Errorf("%v: %v", c.want, out.Header)
		}
	}
}

// A limit in the middle of a body is an error of its Read, never an end.
func TestLimit(t *testing.T) {
	text := []byte(strings.Repeat("nothing of note\n", 20000))
	for _, masks := range []map[string]string{nil, {"pii": mask.Redact}} {
		p := newPermit(t, masks)
		p.limit = 100 << 10
		got, err := through(p, reply(text, 10<<10, true, "Content-Type", "text/plain"), Options{})
		var d *gate.Denied
		if !errors.As(err, &d) || len(got) > 100<<10 {
			t.Errorf("%d bytes passed, %v", len(got), err)
		}
		p = newPermit(t, masks)
		p.limit = 10
		if _, err := through(p, reply(text[:100], 100, true, "Content-Type", "text/plain"), Options{}); !errors.As(err, &d) {
			t.Errorf("a short one: %v", err)
		}
	}
	if _, err := through(masking(t), &http.Response{StatusCode: 200, Header: http.Header{}, ContentLength: 10, Body: io.NopCloser(strings.NewReader("short"))}, Options{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short body: %v", err)
	}
}

// An event passes when it is whole, and not before its end came.
func TestEventsPassOneByOne(t *testing.T) {
	r, w := io.Pipe()
	res := &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: r, ContentLength: -1}
	if err := Reply(res, masking(t), Options{}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	for _, end := range []string{"\n\n", "\r\n\r\n", "\r\r"} {
		go func() { _, _ = io.WriteString(w, "data: ann@example.com"+end) }()
		n, err := res.Body.Read(buf)
		if err != nil || !strings.HasPrefix(string(buf[:n]), "data: [masked:email]") {
			t.Fatalf("%q: %q, %v", end, buf[:n], err)
		}
	}
	_ = w.Close()
}

func FuzzReply(f *testing.F) {
	types := []string{
		"", "application/json", "text/plain", "text/csv", "text/event-stream", "application/x-www-form-urlencoded", "multipart/mixed; boundary=b", "application/x-protobuf", "application/grpc",
		"application/grpc-web-text", "application/octet-stream", "image/png", "text/plain; charset=utf-16le", "application/connect+json", "application/vnd.kubernetes.protobuf;stream=watch",
	}
	for i := range types {
		f.Add([]byte(`{"a":["ann@example.com",{"password":"hunter2x"}],"n":1e5}`), uint8(i), uint8(3), false)
		f.Add([]byte("--b\r\nContent-Type: text/csv\r\n\r\na,password\n1,\"x\"\n\r\n--b--\r\n"), uint8(i), uint8(5), true)
		f.Add([]byte("data: {\"a\":\"\\ud83d\\ude00\\u0040\r\ndata: \"}\r\n\r\n"), uint8(i), uint8(2), true)
		f.Add([]byte("\x00\x00\x00\x00\x11\x0a\x0fann@example.com"), uint8(i), uint8(1), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, typ, step uint8, fill bool) {
		p := masking(t)
		run := func(step int, length bool) (string, error) {
			return through(p, reply(in, step, length, "Content-Type", types[int(typ)%len(types)]), Options{Fill: fill})
		}
		whole, err := run(len(in)+1, true)
		cut, cutErr := run(int(step)+1, false)
		if types[int(typ)%len(types)] == "application/grpc-web-text" {
			return // each piece is in base64 of its own
		}
		if err == nil && cutErr == nil && whole != cut && types[int(typ)%len(types)] != "" && types[int(typ)%len(types)] != "text/plain" {
			t.Fatalf("in pieces %q, whole %q", cut, whole)
		}
		if err == nil && fill && len(whole) != len(in) {
			t.Fatalf("%d bytes became %d", len(in), len(whole))
		}
		if err == nil && json.Valid(in) && types[int(typ)%len(types)] == "application/json" && len(in) > 0 && (in[0] == '{' || in[0] == '[') {
			if !json.Valid([]byte(whole)) {
				t.Fatalf("%q became %q", in, whole)
			}
			if strings.Contains(whole, planted) {
				t.Fatalf("planted in %q", whole)
			}
		}
	})
}

// Names that tell of sensitive values are never given up on, however many there are.
func TestManyNames(t *testing.T) {
	var in strings.Builder
	in.WriteString("{")
	for i := range 2 * maxNames {
		in.WriteString(`"password_` + strconv.Itoa(i) + `x":"hunter2x",`)
	}
	in.WriteString(`"a":1}`)
	if got, err := through(masking(t), reply([]byte(in.String()), 1000, true, "Content-Type", "application/json"), Options{}); err == nil || strings.Contains(got, named) {
		t.Errorf("%v: %.200q", err, got)
	}
}

// DynamoDB writes the type of a value between its name and it: the name still counts.
func TestTypesBetween(t *testing.T) {
	for name, in := range map[string]string{
		"item":      `{"Item":{"password":{"S":"hunter2x"},"id":{"N":"7"}}}`,
		"in a map":  `{"Items":[{"login":{"M":{"password":{"S":"hunter2x"}}}}]}`,
		"in a list": `{"Item":{"password":{"L":[{"S":"hunter2x"},{"M":{"of":{"S":"1"}}}]}}}`,
		"a set":     `{"Responses":{"t":[{"password":{"SS":["hunter2x"]}}]}}`,
	} {
		for _, step := range []int{1, 7, 1000} {
			got, err := through(masking(t), reply([]byte(in), step, true, "Content-Type", "application/x-amz-json-1.0"), Options{Tagged: true})
			if err != nil || strings.Contains(got, "hunter2x") || !strings.Contains(got, `"password"`) {
				t.Errorf("%s, %d bytes at once: %s (%v)", name, step, got, err)
			}
		}
	}
	const plain = `{"Item":{"colour":{"S":"hunter2x"}}}`
	if got, err := through(masking(t), reply([]byte(plain), 1000, true, "Content-Type", "application/x-amz-json-1.0"), Options{Tagged: true}); err != nil || got != plain {
		t.Errorf("%s (%v)", got, err)
	}
}
