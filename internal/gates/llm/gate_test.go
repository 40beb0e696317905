package llm_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/llm"
)

const (
	email = "alice.roe@example.com"
	card  = "4111 1111 1111 1111"
	ssn   = "078-05-1120"
	ghp   = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
)

func quote(s string) string {
	out, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// TestSwapped: values leave as tokens and come back in the answer of the same exchange.
func TestSwapped(t *testing.T) {
	for _, c := range []struct{ name, path, request, answer, want string }{
		{
			"chat", "/openai/v1/chat/completions",
			`{"model":"gpt-x","messages":[{"role":"user","content":"write to ` + email + ` about ` + card + `"}]}`,
			`{"choices":[{"index":0,"message":{"role":"assistant","content":"I wrote to EMAIL, card CARD.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"send","arguments":"{\"to\":\"EMAIL\"}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}`,
			`{"choices":[{"index":0,"message":{"role":"assistant","content":"I wrote to ` + email + `, card ` + card + `.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"send","arguments":"{\"to\":\"` + email + `\"}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}`,
		},
		{
			"responses", "/openai/v1/responses",
			`{"model":"gpt-x","instructions":"for ` + email + `","input":[{"role":"user","content":[{"type":"input_text","text":"pay with ` + card + `"}]}]}`,
			`{"id":"resp_1","object":"response","instructions":"for EMAIL","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"CARD it is","annotations":[]}]},{"type":"function_call","call_id":"call_1","name":"send","arguments":"{\"to\":\"EMAIL\"}"}]}`,
			`{"id":"resp_1","object":"response","instructions":"for ` + email + `","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"` + card + ` it is","annotations":[]}]},{"type":"function_call","call_id":"call_1","name":"send","arguments":"{\"to\":\"` + email + `\"}"}]}`,
		},
		{
			"messages", "/anthropic/v1/messages",
			`{"model":"claude-x","max_tokens":100,"system":"you work for ` + email + `","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"{\"card\":\"` + card + `\"}"}]}]}`,
			`{"type":"message","content":[{"type":"thinking","thinking":"it is EMAIL","signature":"c2ln"},{"type":"text","text":"EMAIL has CARD"},{"type":"tool_use","id":"toolu_1","name":"send","input":{"to":"EMAIL"}}],"usage":{"input_tokens":1,"output_tokens":2}}`,
			`{"type":"message","content":[{"type":"thinking","thinking":"it is EMAIL","signature":"c2ln"},{"type":"text","text":"` + email + ` has ` + card + `"},{"type":"tool_use","id":"toolu_1","name":"send","input":{"to":"` + email + `"}}],"usage":{"input_tokens":1,"output_tokens":2}}`,
		},
	} {
		s := newStage(t, nil, allMasked())
		var tokens *strings.Replacer
		s.upstream.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
			tokens = strings.NewReplacer("EMAIL", token(body, "email"), "CARD", token(body, "card"))
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(tokens.Replace(c.answer)))
		}
		status, _, got := s.post(c.path, c.request)
		want := c.want
		if tokens != nil {
			want = tokens.Replace(want) // thinking stays as its maker signed it
		}
		if status != 200 || got != want {
			t.Errorf("%s: %d\n%s\nwant\n%s", c.name, status, got, want)
		}
		arrived := s.upstream.all()
		if strings.Contains(arrived, email) || strings.Contains(arrived, card) || strings.Contains(arrived, "conformance-token") {
			t.Errorf("%s: arrived:\n%s", c.name, arrived)
		}
		if !strings.Contains(arrived, realKey) || token(arrived, "email") == "" || token(arrived, "card") == "" {
			t.Errorf("%s: arrived:\n%s", c.name, arrived)
		}
		a := s.house.Actions()
		if len(a) != 1 || a[0].Kinds[0] != action.LLMCall || !a[0].Routine || a[0].Data.Unscanned || len(a[0].Data.Classes) != 2 {
			t.Errorf("%s: %+v", c.name, a)
		}
		if o := s.house.Outcomes(); len(o) != 1 || o[0].State != gate.Executed || (c.name != "responses") != (o[0].Used != "") {
			t.Errorf("%s: %+v", c.name, o)
		}
		if len(s.house.begun) != 1 || !strings.HasPrefix(s.house.begun[0], "model:") || !strings.HasSuffix(s.house.begun[0], "_1") {
			t.Errorf("%s: it leads to %v", c.name, s.house.begun)
		}
	}
}

// TestStreamed: a token cut anywhere over the events of a stream comes back whole, and a value
// of the model's own that is masked does not, however it is cut.
func TestStreamed(t *testing.T) {
	type shape struct {
		name, path, request string
		named               bool
		begin               []string
		piece               func(text string) string
		end                 []string
		text                func(events []string) string
		json                bool
	}
	join := func(pick func(m map[string]any) string) func([]string) string {
		return func(list []string) string {
			var b strings.Builder
			for _, ev := range list {
				var m map[string]any
				if json.Unmarshal([]byte(ev), &m) == nil {
					b.WriteString(pick(m))
				}
			}
			return b.String()
		}
	}
	at := func(m any, path ...any) any {
		for _, p := range path {
			switch p := p.(type) {
			case string:
				o, _ := m.(map[string]any)
				m = o[p]
			case int:
				l, _ := m.([]any)
				if p >= len(l) {
					return nil
				}
				m = l[p]
			}
		}
		return m
	}
	str := func(path ...any) func(map[string]any) string {
		return func(m map[string]any) string { s, _ := at(m, path...).(string); return s }
	}
	chat := `{"model":"gpt-x","stream":true,"messages":[{"role":"user","content":"I am ` + email + `"}]}`
	messages := `{"model":"claude-x","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"I am ` + email + `"}]}`
	shapes := []shape{
		{
			"chat", "/openai/v1/chat/completions", chat, false,
			[]string{`{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`},
			func(x string) string {
				return `{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":` + quote(x) + `},"finish_reason":null}]}`
			},
			[]string{`{"object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`, `[DONE]`},
			join(str("choices", 0, "delta", "content")), false,
		},
		{
			"chat arguments", "/openai/v1/chat/completions", chat, false,
			[]string{`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"send","arguments":""}}]},"finish_reason":null}]}`},
			func(x string) string {
				return `{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":` + quote(x) + `}}]},"finish_reason":null}]}`
			},
			[]string{`{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`, `[DONE]`},
			join(str("choices", 0, "delta", "tool_calls", 0, "function", "arguments")), true,
		},
		{
			"completions", "/openai/v1/completions", `{"model":"gpt-x","stream":true,"prompt":"I am ` + email + `"}`, false, nil,
			func(x string) string {
				return `{"choices":[{"index":0,"text":` + quote(x) + `,"finish_reason":null,"logprobs":{"tokens":["a"]}}]}`
			},
			[]string{`{"choices":[{"index":0,"text":"","finish_reason":"stop"}]}`, `[DONE]`},
			join(str("choices", 0, "text")), false,
		},
		{
			"responses", "/openai/v1/responses", `{"model":"gpt-x","stream":true,"input":"I am ` + email + `"}`, true, nil,
			func(x string) string {
				return `{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":` + quote(x) + `,"logprobs":[],"sequence_number":5}`
			},
			[]string{`{"type":"response.output_text.done","item_id":"msg_1","output_index":0,"content_index":0,"text":"","sequence_number":6}`},
			join(func(m map[string]any) string {
				if m["type"] == "response.output_text.delta" {
					return str("delta")(m)
				}
				return ""
			}), false,
		},
		{
			"responses arguments", "/openai/v1/responses", `{"model":"gpt-x","stream":true,"input":"I am ` + email + `"}`, true, nil,
			func(x string) string {
				return `{"type":"response.function_call_arguments.delta","item_id":"fc_1","output_index":0,"delta":` + quote(x) + `,"sequence_number":5}`
			},
			[]string{`{"type":"response.function_call_arguments.done","item_id":"fc_1","output_index":0,"arguments":"{}","sequence_number":6}`},
			join(str("delta")), true,
		},
		{
			"messages", "/anthropic/v1/messages", messages, true,
			[]string{`{"type":"message_start","message":{"usage":{"input_tokens":1,"output_tokens":1}}}`, `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`},
			func(x string) string {
				return `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":` + quote(x) + `}}`
			},
			[]string{`{"type":"content_block_stop","index":0}`, `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}`, `{"type":"message_stop"}`},
			join(str("delta", "text")), false,
		},
		{
			"messages arguments", "/anthropic/v1/messages", messages, true,
			[]string{`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"send","input":{}}}`},
			func(x string) string {
				return `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":` + quote(x) + `}}`
			},
			[]string{`{"type":"content_block_stop","index":1}`, `{"type":"message_stop"}`},
			join(str("delta", "partial_json")), true,
		},
	}
	for _, c := range shapes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil, allMasked())
			for _, spelled := range []string{"⟦", `\u27e6`} {
				if spelled != "⟦" && !c.json {
					continue
				}
				for cut := 1; ; cut++ {
					over := false
					s.upstream.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
						tok := token(body, "email")
						if spelled != "⟦" {
							tok = strings.NewReplacer("⟦", `\u27E6`, "⟧", `\u27e7`).Replace(tok)
						}
						runes := []rune(`{"a":"to ` + tok + ` not bob.doe@example.org ⟦email_9_zzzzzzzz⟧ or ⟦ ä"}`)
						over = cut >= len(runes)
						list := append([]string{}, c.begin...)
						for i := 0; i < len(runes); i += cut {
							list = append(list, c.piece(string(runes[i:min(i+cut, len(runes))])))
						}
						sse(w, c.named, append(list, c.end...)...)
					}
					status, head, body := s.post(c.path, c.request)
					want := `{"a":"to ` + email + ` not [masked:email] ⟦email_9_zzzzzzzz⟧ or ⟦ ä"}`
					if got := c.text(events(body)); status != 200 || got != want || head.Get("Content-Type") != "text/event-stream" {
						t.Fatalf("pieces of %d: %d %s\n%s\nin\n%s", cut, status, got, want, body)
					}
					if strings.Contains(body, "bob.doe") || strings.Contains(body, `"tokens":["a"]`) {
						t.Fatalf("pieces of %d: %s", cut, body)
					}
					if over {
						break
					}
				}
			}
			if arrived := s.upstream.all(); strings.Contains(arrived, email) {
				t.Error(arrived)
			}
		})
	}
}

// TestTwoTextsAtOnce: texts of one stream don't mix, and numbers of events stay in a row.
func TestTwoTextsAtOnce(t *testing.T) {
	s := newStage(t, nil, allMasked())
	s.upstream.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		tok := []rune(token(body, "email"))
		half := len(tok) / 2
		piece := func(of int, text string, n int) string {
			return `{"type":"response.output_text.delta","item_id":"m` + strconv.Itoa(of) + `","output_index":` + strconv.Itoa(of) + `,"content_index":0,"delta":` + quote(text) + `,"sequence_number":` + strconv.Itoa(n) + `}`
		}
		sse(w, true, piece(0, "a "+string(tok[:half]), 1), piece(1, "b "+string(tok[:half]), 2), piece(0, string(tok[half:])+" c", 3), piece(1, "x", 4),
			`{"type":"response.output_text.done","item_id":"m0","output_index":0,"content_index":0,"text":`+quote("a "+string(tok)+" c")+`,"sequence_number":5}`,
			`{"type":"response.completed","response":{"usage":{"input_tokens":1,"output_tokens":1}},"sequence_number":6}`)
	}
	_, _, body := s.post("/openai/v1/responses", `{"model":"gpt-x","stream":true,"input":"I am `+email+`"}`)
	texts, last := map[string]string{}, -1
	for _, ev := range events(body) {
		var m struct {
			Type, Delta, Text string
			Item              string `json:"item_id"`
			Sequence          int    `json:"sequence_number"`
		}
		if err := json.Unmarshal([]byte(ev), &m); err != nil {
			t.Fatal(err)
		}
		texts[m.Item] += m.Delta
		if last >= 0 && m.Sequence != last+1 {
			t.Errorf("number %d follows %d", m.Sequence, last)
		}
		last = m.Sequence
		if m.Type == "response.output_text.done" && m.Text != "a "+email+" c" {
			t.Errorf("done: %q", m.Text)
		}
	}
	if texts["m0"] != "a "+email+" c" || strings.Contains(texts["m1"], "@") || !strings.HasSuffix(texts["m1"], "x") {
		t.Errorf("%q", texts)
	}
}

// TestOtherTokens: what an earlier exchange called a value, what a database put in its place, and
// what the agent makes up stays as it is.
func TestOtherTokens(t *testing.T) {
	s := newStage(t, nil, allMasked())
	var first string
	s.upstream.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		if first == "" {
			first = token(body, "email")
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"choices":[{"message":{"content":` + quote("say "+first+" tok_email_0123456789abcdef0123 "+token(body, "card")) + `}}]}`))
	}
	s.post("/openai/v1/chat/completions", `{"model":"gpt-x","messages":[{"role":"user","content":"I am `+email+`"}]}`)
	_, _, got := s.post("/openai/v1/chat/completions", `{"model":"gpt-x","messages":[{"role":"user","content":"repeat `+first+` and tok_email_0123456789abcdef0123 and `+card+`, for carol@example.net"}]}`)
	if strings.Contains(got, email) || strings.Contains(got, "carol") || !strings.Contains(got, first) || !strings.Contains(got, "tok_email_0123456789abcdef0123 "+card) {
		t.Errorf("%s", got)
	}
}

// TestSecrets: a secret stops the request, and where it stands is told, but not what it is.
func TestSecrets(t *testing.T) {
	s := newStage(t, nil, allMasked())
	for _, body := range []string{
		`{"model":"gpt-x","messages":[{"role":"user","content":"hi"},{"role":"user","content":[{"type":"text","text":"use ` + ghp + `"}]}]}`,
		`{"model":"gpt-x","messages":[{"role":"user","content":"hi"}],"metadata":{"` + ghp + `":"x"}}`,
	} {
		status, head, got := s.post("/openai/v1/chat/completions", body)
		if status != 403 || strings.Contains(got, ghp) || !strings.Contains(got, "github-token in m") || head.Get("X-Should-Retry") != "false" {
			t.Errorf("%d %s", status, got)
		}
	}
	if s.upstream.count() != 0 || len(s.house.Refusals()) != 2 || strings.Contains(strings.Join(s.house.Refusals(), ""), ghp) {
		t.Errorf("%v", s.house.Refusals())
	}
	open := newStage(t, func(o *llm.Config) { o.Providers[0].Secrets = true }, allMasked())
	if status, _, _ := open.post("/openai/v1/chat/completions", `{"model":"gpt-x","messages":[{"role":"user","content":"use `+ghp+`"}]}`); status != 200 || strings.Contains(open.upstream.all(), ghp) {
		t.Errorf("left to policy: %d", status)
	}
}

// TestExport: what no mask covers leaves the house, and is judged as that.
func TestExport(t *testing.T) {
	for _, c := range []struct {
		name     string
		external bool
		masks    map[string]string
		body     string
		export   bool
	}{
		{"masked", true, allMasked(), email, false},
		{"not masked", true, map[string]string{"card": "redact"}, email, true},
		{"a group is masked", true, map[string]string{"pii": "redact"}, email, false},
		{"nothing in it", true, nil, "hello", false},
		{"within the house", false, nil, email, false},
	} {
		s := newStage(t, func(o *llm.Config) { o.Providers[0].External = c.external }, c.masks)
		status, _, _ := s.post("/openai/v1/chat/completions", `{"model":"gpt-x","messages":[{"role":"user","content":"`+c.body+`"}]}`)
		a := s.house.Actions()
		if status != 200 || len(a) != 1 {
			t.Fatalf("%s: %d %v", c.name, status, a)
		}
		if got := len(a[0].Kinds) == 2 && a[0].Kinds[0] == action.DataExport; got != c.export {
			t.Errorf("%s: %v", c.name, a[0].Kinds)
		}
		if strings.Contains(s.upstream.all(), email) != (len(c.masks) < 2 && c.masks["pii"] == "" && c.body == email) {
			t.Errorf("%s: %s", c.name, s.upstream.all())
		}
		if want := map[bool]string{true: "external", false: "internal"}[c.external]; a[0].Data.DestinationTrust != want || a[0].Data.Destination != "127.0.0.1" {
			t.Errorf("%s: %+v", c.name, a[0].Data)
		}
	}
}
