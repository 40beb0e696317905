package llm_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/assenthq/assent/gate/gatetest"
	"github.com/assenthq/assent/internal/gates/llm"
)

// TestBypass: no way of writing a value into a request takes it past the gate.
func TestBypass(t *testing.T) {
	text, err := os.ReadFile("testdata/bypass.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t, nil, allMasked())
	for line := range strings.Lines(string(text)) {
		var c struct {
			Name, Path, Plant string
			Body              json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if c.Plant == "" {
			c.Plant = email
		}
		before := s.upstream.count()
		status, _, got := s.post(c.Path, strings.ReplaceAll(string(c.Body), "PLANT", email))
		if status != 200 || s.upstream.count() != before+1 {
			t.Errorf("%s: %d %s", c.Name, status, got)
			continue
		}
		arrived := s.upstream.bodies[before]
		for plant := range strings.SplitSeq(c.Plant, "|") {
			if strings.Contains(arrived, plant) || strings.Contains(arrived, email) {
				t.Errorf("%s: arrived: %s", c.Name, arrived)
			}
		}
		if !json.Valid([]byte(arrived)) {
			t.Errorf("%s: no JSON arrived: %s", c.Name, arrived)
		}
	}
	if strings.Contains(s.upstream.all(), "alice") {
		t.Error("a part of it arrived")
	}
}

// TestRefusedBodies: what two readers may read in two ways, or nobody looks into, goes nowhere.
func TestRefusedBodies(t *testing.T) {
	s := newStage(t, nil, allMasked())
	chat := "/openai/v1/chat/completions"
	for _, c := range []struct{ name, path, kind, body, header, value string }{
		{"the model twice", chat, "application/json", `{"model":"gpt-x","messages":[],"model":"o9"}`, "", ""},
		{"the model in two spellings", chat, "application/json", `{"model":"gpt-x","messages":[],"Model":"o9"}`, "", ""},
		{"another spelling", chat, "application/json", `{"model":"gpt-x","messages":[],"Stream":true}`, "", ""},
		{"a body that is compressed", chat, "application/json", "\x1f\x8b\x08\x00", "Content-Encoding", "gzip"},
		{"compressed, unsaid", chat, "application/json", "\x1f\x8b\x08\x00", "", ""},
		{"another coding", chat, "application/json", `{"model":"gpt-x"}`, "Content-Encoding", "zstd"},
		{"another alphabet", chat, "application/json; charset=utf-16", `{"model":"gpt-x"}`, "", ""},
		{"a mark of the order of bytes", chat, "application/json", "\ufeff" + `{"model":"gpt-x","messages":[]}`, "", ""},
		{"another type", chat, "text/plain", `{"model":"gpt-x","messages":[]}`, "", ""},
		{"more behind it", chat, "application/json", `{"model":"gpt-x","messages":[]} {"model":"o9"}`, "", ""},
		{"half a pair", chat, "application/json", `{"model":"gpt-x","messages":[{"role":"user","content":"\ud800"}]}`, "", ""},
		{"a value in the query", chat + "?q=alice.roe%40example.com", "application/json", `{"model":"gpt-x","messages":[]}`, "", ""},
		{"twice escaped in the query", chat + "?q=alice.roe%2540example.com", "application/json", `{"model":"gpt-x","messages":[]}`, "", ""},
		{"a value in the path", "/openai/v1/responses/alice.roe@example.com/cancel", "application/json", `{}`, "", ""},
		{"another protocol", "/openai/v1/realtime", "application/json", `{}`, "Upgrade", "websocket"},
		{"no provider", "/mistral/v1/chat/completions", "application/json", `{"model":"gpt-x","messages":[]}`, "", ""},
		{"no name of a model", chat, "application/json", `{"model":"gpt-x\nand more","messages":[]}`, "", ""},
		{"a form with two models", "/openai/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt-x\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\no9\r\n--b--\r\n", "", ""},
		{"a part named in two ways", "/openai/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"model\"; name*=utf-8''file\r\n\r\ngpt-x\r\n--b--\r\n", "", ""},
		{"an encoded part", "/openai/v1/audio/transcriptions", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64\r\n\r\nZ3B0\r\n--b--\r\n", "", ""},
		{"a form that is cut off", "/openai/v1/files", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nx", "", ""},
	} {
		status, head, got := s.do("POST", c.path, c.kind, c.body, c.header, c.value)
		if status != 400 || !strings.Contains(got, "invalid_request_error") || head.Get("X-Should-Retry") != "false" || strings.Contains(got, "alice") {
			t.Errorf("%s: %d %s", c.name, status, got)
		}
	}
	for _, path := range []string{"/openai/v1/assistants", "/openai/v1/threads/t/messages"} {
		if status, _, got := s.post(path, `{"model":"gpt-x"}`); status != 403 || !strings.Contains(got, "Assistants") {
			t.Errorf("%s: %d %s", path, status, got)
		}
	}
	if n := s.upstream.count(); n != 0 {
		t.Errorf("%d arrived: %s", n, s.upstream.all())
	}
}

// TestHeaders: what stands in headers goes on from a list only, and carries no value.
func TestHeaders(t *testing.T) {
	s := newStage(t, nil, allMasked())
	status, head, _ := s.post("/openai/v1/chat/completions", `{"model":"gpt-x","messages":[]}`,
		"User-Agent", "me "+email, "X-Stainless-Lang", "python", "X-Stainless-"+"Alice", "x", "Openai-Organization", "org-other", "Cookie", "a="+email, "X-New", "y", "Openai-Beta", "b=1", "Idempotency-Key", "YWxpY2Uucm9lQGV4YW1wbGUuY29t")
	arrived := s.upstream.all()
	for _, not := range []string{email, "YWxpY2Uu", "Alice", "org-other", "X-New", gatetest.Token} {
		if strings.Contains(arrived, not) {
			t.Errorf("%s arrived:\n%s", not, arrived)
		}
	}
	if status != 200 || !strings.Contains(arrived, "X-Stainless-Lang: python") || !strings.Contains(arrived, "Openai-Beta: b=1") || head.Get("Cache-Control") != "no-store" {
		t.Errorf("%d\n%s", status, arrived)
	}
	s.upstream.answer = func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "req_1")
		w.Header().Set("Openai-Organization", "org-ours")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Retry-After", "for "+email)
		_, _ = io.WriteString(w, "{}")
	}
	_, head, _ = s.post("/openai/v1/chat/completions", `{"model":"gpt-x","messages":[]}`)
	if head.Get("X-Request-Id") != "req_1" || head.Get("Openai-Organization")+head.Get("Set-Cookie")+head.Get("Retry-After") != "" {
		t.Errorf("%v", head)
	}
}

// TestForms: files of text are looked into line by line, and nothing around the parts goes on.
func TestForms(t *testing.T) {
	s := newStage(t, nil, allMasked())
	var b bytes.Buffer
	b.WriteString("before: " + email + "\r\n")
	w := multipart.NewWriter(&b)
	for name, value := range map[string]string{"purpose": "batch", "note": email} {
		if err := w.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.CreateFormFile("file", email+".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(f, `{"custom_id":"1","body":{"messages":[{"role":"user","content":"alice.roe\u0040example.com"}]}}`+"\nplain "+email+"\n")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b.WriteString("behind: " + email)
	status, _, got := s.do("POST", "/openai/v1/files", w.FormDataContentType(), b.String())
	arrived := s.upstream.all()
	if status != 200 || strings.Contains(arrived, "alice") || !strings.Contains(arrived, `"custom_id":"1"`) {
		t.Errorf("%d %s\n%s", status, got, arrived)
	}
	if a := s.house.Actions(); len(a) != 1 || a[0].Verb != "files.create" {
		t.Errorf("%+v", a[0])
	}
	b.Reset()
	w = multipart.NewWriter(&b)
	if f, err = w.CreateFormFile("file", "a.pdf"); err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte("%PDF-1.7\x00\xff"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.do("POST", "/openai/v1/files", w.FormDataContentType(), b.String())
	if a := s.house.Actions(); len(a) != 2 || !a[1].Data.Unscanned {
		t.Errorf("%+v", a)
	}
}

// TestSwapIsWhole: what is masked by no class stays exactly as it was sent.
func TestSwapIsWhole(t *testing.T) {
	s := newStage(t, nil, nil)
	body := `{ "model":"gpt-x", "messages":[ {"role":"user","content":"caf\u00e9 1.50 ` + email + `"} ], "seed":1.0e3 }`
	if status, _, _ := s.post("/openai/v1/chat/completions", body); status != 200 || s.upstream.bodies[0] != body {
		t.Errorf("%d %s", status, s.upstream.bodies)
	}
	big := newStage(t, nil, allMasked())
	long := strings.Repeat("some words of a long conversation. ", 40_000)
	status, _, got := big.post("/openai/v1/chat/completions", `{"model":"gpt-x","messages":[{"role":"user","content":"`+long+email+`"}]}`)
	if a := big.house.Actions(); status != 200 || a[0].Data.Unscanned || len(a[0].Data.Classes) != 1 || strings.Contains(big.upstream.all(), "alice") {
		t.Errorf("%d %s", status, got[:min(len(got), 300)])
	}
}

var _ = llm.MaxBody
