package llm

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/action"
)

func TestRoute(t *testing.T) {
	for _, c := range []struct {
		api          API
		method, path string
		name         string
		kinds        []action.Kind
	}{
		{OpenAI, "POST", "/v1/chat/completions", "chat", kinds(action.LLMCall)},
		{OpenAI, "POST", "/v1/chat/completions/chatcmpl_1", "chat.update", kinds(action.DataWrite)},
		{OpenAI, "POST", "/v1/responses", "responses", kinds(action.LLMCall)},
		{OpenAI, "POST", "/v1/responses/compact", "responses.compact", kinds(action.LLMCall)},
		{OpenAI, "GET", "/v1/responses/resp_1", "responses.get", kinds(action.DataRead)},
		{OpenAI, "GET", "/v1/responses/resp_1/input_items", "responses.input_items", kinds(action.DataRead)},
		{OpenAI, "POST", "/v1/responses/resp_1/cancel", "responses.cancel", kinds(action.DataWrite)},
		{OpenAI, "DELETE", "/v1/files/file_1", "files.delete", kinds(action.DataDelete)},
		{OpenAI, "POST", "/v1/files", "files.create", kinds(action.LLMCall, action.DataWrite)},
		{OpenAI, "GET", "/v1/models", "models.list", nil},
		{OpenAI, "POST", "/v1/messages", "", kinds(action.Unknown)},
		{OpenAI, "POST", "/v1/fine_tuning/jobs", "", kinds(action.Unknown)},
		{OpenAI, "POST", "/chat/completions", "", kinds(action.Unknown)},
		{OpenAI, "POST", "/v1/chat/completions/", "", kinds(action.Unknown)},
		{OpenAI, "PUT", "/v1/chat/completions", "", kinds(action.Unknown)},
		{Anthropic, "POST", "/v1/messages", "messages", kinds(action.LLMCall)},
		{Anthropic, "POST", "/v1/messages/count_tokens", "messages.count_tokens", kinds(action.LLMCall)},
		{Anthropic, "POST", "/v1/messages/batches", "batches.create", kinds(action.LLMCall)},
		{Anthropic, "GET", "/v1/messages/batches/b1/results", "batches.results", kinds(action.DataRead)},
		{Anthropic, "POST", "/v1/chat/completions", "", kinds(action.Unknown)},
		{Anthropic, "POST", "/v1/agents", "", kinds(action.Unknown)},
	} {
		op := Route(c.api, c.method, c.path)
		if op.Name != c.name || !slices.Equal(op.Kinds, c.kinds) || (len(op.Kinds) == 0) != (op.Harmless != "") {
			t.Errorf("%s %s: %+v", c.method, c.path, op)
		}
	}
	for _, path := range []string{"/v1/assistants", "/v1/threads/t1/runs"} {
		if op := Route(OpenAI, "POST", path); op.Gone == "" {
			t.Errorf("%s is not refused", path)
		}
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, path, body, model, err string }{
		{"plain", "/v1/chat/completions", `{"model":"gpt-x","messages":[]}`, "gpt-x", ""},
		{"the model twice", "/v1/chat/completions", `{"model":"gpt-x","messages":[],"model":"gpt-y"}`, "", "twice"},
		{"twice by case", "/v1/chat/completions", `{"model":"gpt-x","Model":"gpt-y"}`, "", "twice"},
		{"twice by escape", "/v1/chat/completions", `{"model":"gpt-x","\u006dodel":"gpt-y"}`, "", "twice"},
		{"twice inside", "/v1/chat/completions", `{"model":"gpt-x","messages":[{"role":"user","content":"a","content":"b"}]}`, "", "twice"},
		{"another spelling", "/v1/chat/completions", `{"model":"gpt-x","Stream":true}`, "", "spelled"},
		{"no model", "/v1/chat/completions", `{"messages":[]}`, "", "model is missing"},
		{"no string", "/v1/chat/completions", `{"model":["gpt-x"]}`, "", "no string"},
		{"no object", "/v1/chat/completions", `["gpt-x"]`, "", "not an object"},
		{"more behind it", "/v1/chat/completions", `{"model":"gpt-x"}{}`, "", "follows"},
		{"no number", "/v1/chat/completions", `{"model":"gpt-x","max_tokens":1e99}`, "", "whole number"},
		{"a negative one", "/v1/chat/completions", `{"model":"gpt-x","max_tokens":-1}`, "", "whole number"},
		{"a stored prompt", "/v1/responses", `{"model":"gpt-x","prompt":{"id":"p","variables":{"a":"b"}},"input":"x"}`, "gpt-x", ""},
	} {
		r, err := Read(Route(OpenAI, "POST", c.path), []byte(c.body))
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
		case err != nil || r.Model != c.model:
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
}

func TestReadOfBatches(t *testing.T) {
	op := Route(Anthropic, "POST", "/v1/messages/batches")
	r, err := Read(op, []byte(`{"requests":[{"custom_id":"a","params":{"model":"m","max_tokens":10,"messages":[]}},{"custom_id":"b","params":{"model":"m","max_tokens":20,"messages":[]}}]}`))
	if err != nil || r.Model != "m" || r.Output != 30 || r.Answers() != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Read(op, []byte(`{"requests":[{"params":{"model":"m"}},{"params":{"model":"n"}}]}`)); err == nil {
		t.Error("a second model is not seen")
	}
}

// TestWalk: every text is shown, and with its place.
func TestWalk(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []string // place: text
		unscanned  bool
		fetches    []string
	}{
		{"a message", `{"model":"m","messages":[{"role":"user","content":"hello"}]}`, []string{"messages[0].content: hello"}, false, nil},
		{
			"parts are read as one", `{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"ali"},{"type":"text","text":"ce@"}]},{"role":"user","content":"example"}]}`,
			[]string{"messages[0].content[0].text: ali|ce@|example"},
			false, nil,
		},
		{"another side ends it", `{"model":"m","messages":[{"role":"user","content":"one"},{"role":"assistant","content":"two"}]}`, []string{"messages[0].content: one", "messages[1].content: two"}, false, nil},
		{
			"arguments", `{"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"email\":\"x\\u0040y\"}"}}]}]}`,
			[]string{"messages[0].tool_calls[0].function.arguments.email: email=x@y"},
			false, nil,
		},
		{
			"a result of a tool", `{"model":"m","messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"{\"ssn\":\"s\"}"}]}]}]}`,
			[]string{"messages[0].content[0].content[0].text.ssn: ssn=s"},
			false, nil,
		},
		{
			"input of a tool", `{"model":"m","messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"ssn":"s","n":4111111111111111}}]}]}`,
			[]string{"messages[0].content[0].input.ssn: ssn=s", "messages[0].content[0].input.n: n=4111111111111111"},
			false, nil,
		},
		{"a name", `{"model":"m","messages":[],"metadata":{"a-long-name":"v"}}`, []string{"metadata.(a name) (a name): a-long-name", "metadata.(a name): v"}, false, nil},
		{
			"the schema of a tool", `{"model":"m","messages":[],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"properties":{"q":{"enum":["e1"]}}}}}]}`,
			[]string{"tools[0].function.description: d", "tools[0].function.parameters.properties.q.enum[0]: e1"},
			false, nil,
		},
		{"a picture", `{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}]}`, nil, true, nil},
		{
			"a document of text", `{"model":"m","messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"text/plain","data":"aGVsbG8gdGV4dA=="}}]}]}`,
			[]string{"messages[0].content[0].source.data: hello text"},
			false, nil,
		},
		{"a document", `{"model":"m","messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0A/w=="}}]}]}`, nil, true, nil},
		{"a part that nobody knows", `{"model":"m","messages":[{"role":"user","content":[{"type":"hologram","text":"x"}]}]}`, []string{"messages[0].content[0].text: x"}, true, nil},
		{"a picture from elsewhere", `{"model":"m","messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://evil.example/?q=1"}}]}]}`, nil, false, []string{"evil.example"}},
	} {
		r, err := Read(Route(OpenAI, "POST", "/v1/chat/completions"), []byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		r.Walk(func(u *Unit) []string {
			line := u.Where + ": "
			if u.Key != "" {
				line += u.Key + "="
			}
			got = append(got, line+strings.Join(u.Texts, "|"))
			return nil
		})
		for _, w := range c.want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q is not among\n%s", c.name, w, strings.Join(got, "\n"))
			}
		}
		if (r.Unscanned != "") != c.unscanned || !slices.Equal(r.Fetches, c.fetches) {
			t.Errorf("%s: unscanned %q, fetches %v", c.name, r.Unscanned, r.Fetches)
		}
		if r.Root.Changed() || !sameJSON(t, c.body, string(r.Root.Append(nil))) {
			t.Errorf("%s: it was changed", c.name)
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatal(err)
	}
	return json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

func TestDeltas(t *testing.T) {
	for _, c := range []struct {
		event string
		keys  []string
		ended []string
	}{
		{`{"object":"chat.completion.chunk","choices":[{"index":1,"delta":{"role":"assistant","content":"x"},"finish_reason":null}]}`, []string{"c1.content"}, nil},
		{`{"choices":[{"index":0,"delta":{"tool_calls":[{"index":2,"id":"i","type":"function","function":{"name":"f","arguments":"{"}}]},"finish_reason":"tool_calls"}]}`, []string{"c0.tool_calls2.function.arguments"}, []string{"c0."}},
		{`{"choices":[{"index":0,"text":"x","finish_reason":"stop"}]}`, []string{"c0.text"}, []string{"c0."}},
		{`{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"x"}}`, []string{"b3.text"}, nil},
		{`{"type":"content_block_delta","index":3,"delta":{"type":"input_json_delta","partial_json":"x"}}`, []string{"b3.partial_json"}, nil},
		{`{"type":"content_block_delta","index":3,"delta":{"type":"signature_delta","signature":"x"}}`, nil, nil},
		{`{"type":"content_block_stop","index":3}`, nil, []string{"b3."}},
		{`{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":4}}`, nil, []string{""}},
		{`{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":1,"delta":"x","sequence_number":4}`, []string{"response.output_text/m/0/1"}, nil},
		{`{"type":"response.output_text.done","item_id":"m","output_index":0,"content_index":1,"text":"x","sequence_number":4}`, nil, []string{"response.output_text/m/0/1"}},
		{`{"type":"response.function_call_arguments.delta","item_id":"m","output_index":0,"delta":"{"}`, []string{"response.function_call_arguments/m/0"}, nil},
		{`{"type":"response.audio.delta","delta":"AAAA"}`, nil, nil},
		{`{"type":"response.completed","response":{}}`, nil, []string{""}},
	} {
		n, err := Parse([]byte(c.event))
		if err != nil {
			t.Fatal(err)
		}
		var keys []string
		for _, d := range Deltas(n) {
			keys = append(keys, d.Key)
			if d.JSON != (strings.Contains(d.Key, "arguments") || strings.Contains(d.Key, "partial_json")) {
				t.Errorf("%s: JSON %v", d.Key, d.JSON)
			}
		}
		if !slices.Equal(keys, c.keys) || !slices.Equal(Ended(n), c.ended) {
			t.Errorf("%s: %v, ended %v", c.event, keys, Ended(n))
		}
	}
}

func TestUsageAndCalls(t *testing.T) {
	for _, c := range []struct {
		doc     string
		in, out int64
		calls   []Call
	}{
		{`{"usage":{"prompt_tokens":5,"completion_tokens":7},"choices":[{"message":{"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]}}]}`, 5, 7, []Call{{"c1", "f"}}},
		{`{"usage":{"input_tokens":5,"cache_read_input_tokens":100,"cache_creation_input_tokens":10,"output_tokens":7},"content":[{"type":"tool_use","id":"t1","name":"Bash","input":{}}]}`, 115, 7, []Call{{"t1", "Bash"}}},
		{`{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":4},"output":[{"type":"function_call","id":"fc","call_id":"call_1","name":"g"}]}}`, 3, 4, []Call{{"call_1", "g"}}},
		{`{"type":"message_start","message":{"usage":{"input_tokens":3,"output_tokens":1}}}`, 3, 1, nil},
	} {
		n, err := Parse([]byte(c.doc))
		if err != nil {
			t.Fatal(err)
		}
		var u Usage
		u.Add(n)
		if u.Input != c.in || u.Output != c.out || !slices.Equal(Calls(n), c.calls) {
			t.Errorf("%s: %+v, %v", c.doc, u, Calls(n))
		}
	}
}

// FuzzRead: what is read is written as it stood, and nothing panics.
func FuzzRead(f *testing.F) {
	seeds, err := os.ReadFile("testdata/requests.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(seeds)) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/messages/batches"} {
			api := OpenAI
			if strings.HasPrefix(path, "/v1/messages") {
				api = Anthropic
			}
			r, err := Read(Route(api, "POST", path), []byte(body))
			if err != nil {
				continue
			}
			r.Walk(func(*Unit) []string { return nil })
			if out := r.Root.Patched([]byte(body)); string(out) != body {
				t.Fatalf("%q patched is %q", body, out)
			}
			if out := r.Root.Append(nil); r.Root.Changed() || !sameJSON(t, body, string(out)) {
				t.Fatalf("%s became %s", body, out)
			}
			Deltas(r.Root)
			Ended(r.Root)
			Calls(r.Root)
			DropLogprobs(r.Root)
			_ = Texts(r.Root, nil, func(text string, _, _ bool) (string, error) { return text + "!", nil })
			if !json.Valid(r.Root.Append(nil)) {
				t.Fatalf("%q became no JSON", body)
			}
			if n, err := Parse([]byte(body)); err == nil {
				_ = Texts(n, nil, func(text string, _, _ bool) (string, error) { return text + "!", nil })
				if patched := string(n.Patched([]byte(body))); !sameJSON(t, string(n.Append(nil)), patched) {
					t.Fatalf("%q patched is %q", body, patched)
				}
			}
		}
	})
}

// TestHosted: whatever runs at the provider is told, however it is asked for.
func TestHosted(t *testing.T) {
	for _, c := range []struct{ path, body, want string }{
		{"chat/completions", `{"model":"m","tools":[{"type":"function","function":{"name":"f"}}]}`, ""},
		{"chat/completions", `{"model":"m","web_search_options":{}}`, "web_search"},
		{"chat/completions", `{"model":"gpt-4o-search-preview"}`, "web_search"},
		{"responses", `{"model":"o4-mini-deep-research"}`, "web_search"},
		{"responses", `{"model":"m","prompt":{"id":"pmpt_1"}}`, "prompt"},
		{"responses", `{"model":"m","tools":[{"type":"namespace","name":"n","tools":[{"type":"mcp","server_label":"x"}]}]}`, "mcp"},
		{"responses", `{"model":"m","input":[{"type":"tool_search_output","tools":[{"type":"code_interpreter"}]}]}`, "code_interpreter"},
	} {
		r, err := Read(Route(OpenAI, "POST", "/v1/"+c.path), []byte(c.body))
		if err != nil || strings.Join(r.Hosted, " ") != c.want {
			t.Errorf("%s: %+v, %v", c.body, r, err)
		}
	}
}
