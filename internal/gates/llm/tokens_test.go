package llm

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/classify/llm"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/mask"
)

func TestTokens(t *testing.T) {
	tok := newTokens([]byte("a body"))
	one, two := tok.of("us-ssn", "078-05-1120"), tok.of("us-ssn", "078-05-1121")
	if one == two || tok.of("us-ssn", "078-05-1120") != one || !strings.HasPrefix(one, "⟦us_ssn_1_") || !tok.is(one) || tok.is("⟦us_ssn_1⟧") {
		t.Errorf("%s, %s", one, two)
	}
	quoted := tok.of("sensitive", "a \"b\"\\\n")
	escape := strings.NewReplacer("⟦", `\u27E6`, "⟧", `\u27e7`)
	for _, c := range []struct {
		text, want string
		escaped    bool
	}{
		{"no " + one + two + " no", "no 078-05-1120078-05-1121 no", false},
		{"⟦" + one + "⟧", "⟦078-05-1120⟧", false},
		{"⟦us_ssn_1_⟧ ⟦ ⟧ ⟦⟦", "⟦us_ssn_1_⟧ ⟦ ⟧ ⟦⟦", false},
		{strings.ToUpper(one), strings.ToUpper(one), false},
		{escape.Replace(one), escape.Replace(one), false},
		{escape.Replace(one) + `\n\u27e6x\`, `078-05-1120\n\u27e6x\`, true},
		{`{"a":"` + quoted + `"}`, `{"a":"a \"b\"\\\n"}`, true},
		{`\\u27e6` + one, `\\u27e6078-05-1120`, true},
		{quoted, "a \"b\"\\\n", false},
		{"⟦" + strings.Repeat("a", 100) + one, "⟦" + strings.Repeat("a", 100) + "078-05-1120", false},
		{"\xe2\x9f" + one + "\xff\xe2", "\xe2\x9f078-05-1120\xff\xe2", false},
	} {
		for cut := 1; cut <= len(c.text); cut++ {
			r := restorer{tokens: tok, escaped: c.escaped}
			var out []byte
			for i := 0; i < len(c.text); i += cut {
				out = r.add(out, []byte(c.text[i:min(i+cut, len(c.text))]))
				if utf8.ValidString(c.text) && !utf8.Valid(out) {
					t.Errorf("%q in pieces of %d: half a letter", c.text, cut)
				}
			}
			if got := string(r.end(out)); got != c.want {
				t.Errorf("%q in pieces of %d: %q, want %q", c.text, cut, got, c.want)
			}
		}
	}
}

// FuzzRestore: pieces give what the whole gives, and text without a token stays as it is.
func FuzzRestore(f *testing.F) {
	for _, s := range []string{"⟦email_1_", "⟦TOKEN⟧", `\u27e6email`, `\\u27e6TOKEN`, "\xe2\x9f", "TOKENTOKEN"} {
		f.Add(s, 1, true)
		f.Add(s, 3, false)
	}
	tok := newTokens(nil)
	token := tok.of("email", `a"@example.com`)
	f.Fuzz(func(t *testing.T, text string, cut int, escaped bool) {
		text = strings.ReplaceAll(text, "TOKEN", token)
		cut = 1 + (cut&0x7fffffff)%(len(text)+1)
		whole := restorer{tokens: tok, escaped: escaped}
		want := string(whole.end(whole.add(nil, []byte(text))))
		r := restorer{tokens: tok, escaped: escaped}
		var out []byte
		for i := 0; i < len(text); i += cut {
			out = r.add(out, []byte(text[i:min(i+cut, len(text))]))
			if len(r.kept) > 2*longest+32 {
				t.Fatalf("%d bytes are kept back", len(r.kept))
			}
		}
		if got := string(r.end(out)); got != want {
			t.Fatalf("%q in pieces of %d: %q, want %q", text, cut, got, want)
		}
		if !strings.Contains(text, tok.suffix) && want != text {
			t.Fatalf("%q became %q", text, want)
		}
	})
}

// free is a permit that masks as set does.
type free struct {
	gate.Permit
	set *mask.Set
}

func (f free) Bare() bool                              { return f.set == nil }
func (f free) Clear(string, []byte) bool               { return f.set == nil }
func (f free) Count(int64, int64) error                { return nil }
func (f free) Text(b []byte) []byte                    { return f.set.Text(b) }
func (f free) Stream(to io.Writer, _ bool) gate.Stream { return f.set.Writer(to) }

func passageOf(w http.ResponseWriter, set *mask.Set, tok *tokens) *passage {
	q := &question{gate: &Gate{}, provider: &Provider{API: llm.OpenAI, URL: &url.URL{}}, action: &action.Action{}, body: &payload{}}
	a := &answer{q: q, w: w, permit: free{set: set}, tokens: tok, plain: set == nil && len(tok.values) == 0}
	return &passage{answer: a, open: map[string]*channel{}}
}

// FuzzStream: no stream makes a value pass that is masked, and nothing panics.
func FuzzStream(f *testing.F) {
	engine, err := detect.New(detect.Options{})
	if err != nil {
		f.Fatal(err)
	}
	set := mask.New([]byte("k"), engine).For("a", map[string]string{"email": mask.Redact})
	for _, s := range []string{
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\ndata: [DONE]\n\n",
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\"}}\n\n",
		"data: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"delta\":\"bob.doe@exa\",\"sequence_number\":1}\n\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"m\",\"delta\":\"mple.org\",\"sequence_number\":2}\n\n",
		"data: bob.doe@example.org\ndata:\n:x\nid: 1\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"bob.doe@example.org\"}},{\"delta\":[1]}]}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		tok := newTokens(nil)
		tok.of("email", "carol@example.net")
		err := passageOf(w, set, tok).run(strings.NewReader(body))
		out := w.Body.String()
		if err == nil && strings.Contains(out, "bob.doe@example.org") || strings.Contains(out, "carol@") && !strings.Contains(body, "carol@") {
			t.Fatalf("%q passed as %q", body, out)
		}
	})
}

// BenchmarkEvent is what one event of a stream costs on its way.
func BenchmarkEvent(b *testing.B) {
	engine, err := detect.New(detect.Options{})
	if err != nil {
		b.Fatal(err)
	}
	masks := map[string]string{}
	for _, c := range detect.Classes() {
		masks[string(c)] = mask.Redact
	}
	set := mask.New([]byte("k"), engine).For("a", masks)
	events := map[string]string{
		"chat":      `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1800000000,"model":"gpt-x","choices":[{"index":0,"delta":{"content":" words of an answer"},"logprobs":null,"finish_reason":null}]}`,
		"responses": `{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":" words of an answer","logprobs":[],"sequence_number":5}`,
		"messages":  `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" words of an answer"}}`,
	}
	for name, ev := range events {
		for how, set := range map[string]*mask.Set{"masked": set, "plain": nil} {
			b.Run(name+"/"+how, func(b *testing.B) {
				tok := newTokens(nil)
				if set != nil {
					tok.of("email", "carol@example.net")
				}
				w := &nowhere{header: http.Header{}}
				p := passageOf(w, set, tok)
				data := []byte(ev)
				b.ReportAllocs()
				for b.Loop() {
					if err := p.event("", data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}
