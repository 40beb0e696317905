package llm_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/gates/llm"
)

func says(kind, body string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

const hello = `{"model":"gpt-x","messages":[{"role":"user","content":"hello"}]}`

// TestAnswers: what an answer holds that the request did not is masked, wherever it stands.
func TestAnswers(t *testing.T) {
	s := newStage(t, nil, allMasked())
	for _, c := range []struct{ name, kind, answer, has string }{
		{"text", "application/json", `{"choices":[{"message":{"content":"it is ` + email + `"}}]}`, "[masked:email]"},
		{"arguments", "application/json", `{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"to\":\"alice.roe\\u0040example.com\"}"}}]}}]}`, `{\"to\":\"[masked:email]\"}`},
		{"a number in a tool's input", "application/json", `{"content":[{"type":"tool_use","id":"t","name":"f","input":{"n":4111111111111111}}]}`, "[masked:card]"},
		{"an id", "application/json", `{"id":"` + email + `"}`, "[masked:email]"},
		{"an error", "application/json", `{"error":{"message":"no such user ` + email + `","type":"x"}}`, "[masked:email]"},
		{"a member that nobody knows", "application/json", `{"new":{"deep":["` + email + `"]}}`, "[masked:email]"},
		{"log probabilities", "application/json", `{"choices":[{"message":{"content":"x"},"logprobs":{"content":[{"token":"alice","bytes":[97]}]}}]}`, `"logprobs":null`},
		{"lines", "application/x-jsonl", `{"custom_id":"a","result":{"content":"alice.roe\u0040example.com"}}` + "\n" + email + "\n", "[masked:email]"},
		{"text of a file", "text/plain", "from " + email, "[masked:email]"},
		{"text of no type", "application/octet-stream", "from " + email, "[masked:email]"},
	} {
		s.upstream.answer = says(c.kind, c.answer)
		status, _, got := s.post("/openai/v1/chat/completions", hello)
		if status != 200 || strings.Contains(got, "alice") || strings.Contains(got, "4111111111111111") || !strings.Contains(got, c.has) {
			t.Errorf("%s: %d %s", c.name, status, got)
		}
	}
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request, string)
		says   string
	}{
		{"two readings", says("application/json", `{"a":1,"a":"`+email+`"}`), "one way"},
		{"no JSON", says("application/json", `{"a":`+email), "one way"},
		{"encoded", func(w http.ResponseWriter, r *http.Request, b string) {
			w.Header().Set("Content-Encoding", "gzip")
			says("application/json", "\x1f\x8b")(w, r, b)
		}, "encoded"},
		{"elsewhere", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(307)
		}, "nothing follows"},
		{"bytes of no type", says("application/octet-stream", "\x00\x01"+email), "can't be looked into"},
		{"the gate's own key", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.WriteHeader(401)
			_, _ = io.WriteString(w, "Incorrect API key provided: "+realKey)
		}, "own credential"},
	} {
		s.upstream.answer = c.answer
		status, head, got := s.post("/openai/v1/chat/completions", hello)
		if status != 502 || !strings.Contains(got, c.says) || strings.Contains(got, "alice") || strings.Contains(got, realKey) || head.Get("X-Should-Retry") != "false" {
			t.Errorf("%s: %d %s", c.name, status, got)
		}
	}
	for _, c := range []struct{ kind, body string }{{"audio/mpeg", "\xff\xfb\x90"}, {"image/png", "\x89PNG"}} {
		s.upstream.answer = says(c.kind, c.body)
		if status, _, got := s.post("/openai/v1/audio/speech", `{"model":"gpt-x","input":"x","voice":"v"}`); status != 200 || got != c.body {
			t.Errorf("%s: %d %q", c.kind, status, got)
		}
	}
	o := s.house.Outcomes()
	if last := o[len(o)-1]; last.Code != "200 unscanned" || last.Bytes != 4 {
		t.Errorf("%+v", last)
	}
}

// TestBrokenStreams: a stream that breaks off ends with an error of the API's own.
func TestBrokenStreams(t *testing.T) {
	s := newStage(t, nil, allMasked())
	cut := func(first string) func(http.ResponseWriter, *http.Request, string) {
		return func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, first)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	for _, c := range []struct{ name, path, body, first, want string }{
		{"chat", "/openai/v1/chat/completions", hello, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"bob\"}}]}\n\n", `data: {"error":{"type":"server_error","code":"assent_lost"`},
		{"responses", "/openai/v1/responses", `{"model":"gpt-x","input":"x"}`, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"bob\",\"sequence_number\":7}\n\n", `"type":"error","code":"assent_lost"`},
		{"messages", "/anthropic/v1/messages", `{"model":"claude-x","max_tokens":1,"messages":[]}`, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"bob\"}}\n\n", "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""},
	} {
		s.upstream.answer = cut(c.first)
		status, _, got := s.post(c.path, c.body)
		if status != 200 || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d %s", c.name, status, got)
		}
	}
	for _, o := range s.house.Outcomes() {
		if o.State != gate.Unknown || !strings.Contains(o.Code, "broken off") {
			t.Errorf("%+v", o)
		}
	}
	s.upstream.answer = says("text/event-stream", "data: "+strings.Repeat("x", 17<<20))
	if _, _, got := s.post("/openai/v1/chat/completions", hello); !strings.Contains(got, "assent_lost") {
		t.Error("an event without an end is taken whole")
	}
	s.upstream.answer = says("text/event-stream", ": "+email+"\nid: "+email+"\nevent: "+email+"\nretry: "+email+"\ndata: hello "+email+"\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"bob.doe@exam\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"ple.org\"}}]}")
	if _, _, got := s.post("/openai/v1/chat/completions", hello); strings.Contains(got, "alice") || strings.Contains(got, "bob.doe") || strings.Count(got, "[masked:email]") != 2 {
		t.Errorf("%s", got)
	}
}

// TestRefusals: each refusal is the API's own error, with a status that clients don't send again.
func TestRefusals(t *testing.T) {
	s := newStage(t, nil, allMasked())
	for _, c := range []struct {
		denied *gate.Denied
		status int
		has    []string
	}{
		{&gate.Denied{Status: gate.StatusDenied, Reason: "denied by rule x"}, 403, []string{`"permission_error"`, "denied by rule x", "assent_denied"}},
		{&gate.Denied{Status: gate.StatusPending, ID: "appr_1", URL: "https://a.example/approvals/appr_1", Reason: "still waiting for 1 of reviewers"}, 403, []string{"assent_pending_approval", `"approval_id":"appr_1"`, "exactly the same request again"}},
		{&gate.Denied{Status: gate.StatusExpired, ID: "appr_1", Reason: "nobody decided in time"}, 403, []string{"assent_expired"}},
		{&gate.Denied{Status: gate.StatusNobody, Reason: "no decision"}, 503, []string{"assent_undecided"}},
	} {
		s.house.Decide = func(context.Context, *action.Action, func(gate.Held)) error { return c.denied }
		for _, api := range []struct{ path, body, begin string }{
			{"/openai/v1/chat/completions", hello, `{"error":{`},
			{"/anthropic/v1/messages", `{"model":"claude-x","max_tokens":1,"messages":[]}`, `{"type":"error","error":{`},
		} {
			status, head, got := s.post(api.path, api.body)
			if status != c.status || head.Get("X-Should-Retry") != "false" || !strings.HasPrefix(got, api.begin) {
				t.Errorf("%s: %d %v %s", c.denied.Status, status, head, got)
			}
			for _, has := range c.has {
				if !strings.Contains(got, has) && c.status == 403 {
					t.Errorf("%s: %s is not in %s", c.denied.Status, has, got)
				}
			}
		}
	}
	for _, header := range [][]string{{"Authorization", "Bearer wrong"}, {"Authorization", ""}, {"Authorization", "Bearer a", "X-Api-Key", "b"}, {"Authorization", "Basic YTpi"}} {
		if status, _, got := s.post("/openai/v1/chat/completions", hello, header...); status != 401 || !strings.Contains(got, "authentication_error") {
			t.Errorf("%v: %d %s", header, status, got)
		}
	}
	if s.upstream.count() != 0 {
		t.Error(s.upstream.all())
	}
	s.house.Decide = nil
	req, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/anthropic/v1/models", http.NoBody)
	req.Header.Set("X-Api-Key", "conformance-token-7f21")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("a key of Anthropic's kind: %v, %v", resp, err)
	} else {
		_ = resp.Body.Close()
	}
	if h := s.upstream.heads[0]; h.Get("X-Api-Key") != realKey || h.Get("Authorization") != "" {
		t.Errorf("%v", h)
	}
}

// TestModels: what the configuration lists is routine, and the rest is not.
func TestModels(t *testing.T) {
	s := newStage(t, func(o *llm.Config) {
		o.Providers[0].Output = 100
		o.Providers[0].Hosted = []string{"web_search*"}
		o.Providers[1].Models = nil
	}, nil)
	for _, c := range []struct {
		name, path, body string
		status           int
		routine          bool
		kinds            int
		untrusted        string
	}{
		{"listed", "/openai/v1/chat/completions", hello, 200, true, 1, ""},
		{"not listed", "/openai/v1/chat/completions", `{"model":"o9","messages":[]}`, 403, false, 0, ""},
		{"another to fall back on", "/openai/v1/chat/completions", `{"model":"gpt-x","models":["gpt-y","o9"],"messages":[]}`, 403, false, 0, ""},
		{"listed ones to fall back on", "/openai/v1/chat/completions", `{"model":"gpt-x","models":["gpt-y"],"messages":[]}`, 200, true, 1, ""},
		{"a tool's model", "/openai/v1/responses", `{"model":"gpt-x","input":"x","tools":[{"type":"web_search_preview","model":"o9"}]}`, 403, false, 0, ""},
		{"a tool's model, deeper", "/openai/v1/responses", `{"model":"gpt-x","input":"x","tools":[{"type":"namespace","tools":[{"type":"web_search_x","parameters":{"model":"o9"}}]}]}`, 403, false, 0, ""},
		{"a tool's model among what was found", "/openai/v1/responses", `{"model":"gpt-x","input":[{"type":"tool_search_output","tools":[{"type":"web_search_x","model":"o9"}]}]}`, 403, false, 0, ""},
		{"a function with a model of its own", "/openai/v1/responses", `{"model":"gpt-x","input":"x","tools":[{"type":"function","name":"f","parameters":{"properties":{"model":{"type":"string"}}}}]}`, 200, true, 1, ""},
		{"an advisor", "/anthropic/v1/messages", `{"model":"claude-x","max_tokens":1,"messages":[],"tools":[{"type":"advisor_1","name":"advisor","model":"claude-y"}]}`, 200, false, 1, ""},
		{"no list", "/anthropic/v1/messages", `{"model":"claude-latest","max_tokens":1,"messages":[]}`, 200, false, 1, ""},
		{"too long an answer", "/openai/v1/chat/completions", `{"model":"gpt-x","max_tokens":101,"messages":[]}`, 403, false, 0, ""},
		{"several answers", "/openai/v1/chat/completions", `{"model":"gpt-x","n":3,"max_tokens":100,"messages":[]}`, 200, true, 1, ""},
		{"a tool of the client's", "/openai/v1/responses", `{"model":"gpt-x","input":"x","tools":[{"type":"function","name":"f"},{"type":"local_shell"}]}`, 200, true, 1, ""},
		{"a search", "/openai/v1/responses", `{"model":"gpt-x","input":"x","tools":[{"type":"web_search_preview"}]}`, 200, true, 1, "web page"},
		{"another server", "/openai/v1/responses", `{"model":"gpt-x","input":"x","tools":[{"type":"mcp","server_url":"https://m.example/"}]}`, 200, false, 2, "tool"},
		{"a picture from elsewhere", "/openai/v1/chat/completions", `{"model":"gpt-x","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://evil.example/a?b"}}]}]}`, 200, false, 2, ""},
		{"what nobody knows", "/openai/v1/videos", `{"model":"gpt-x"}`, 200, true, 1, ""},
		{"text in numbers", "/openai/v1/completions", `{"model":"gpt-x","prompt":[1212,318]}`, 200, true, 1, ""},
	} {
		before := len(s.house.Actions())
		status, _, got := s.post(c.path, c.body)
		if status != c.status {
			t.Errorf("%s: %d %s", c.name, status, got)
		}
		if a := s.house.Actions(); status == 200 {
			a := a[before]
			o := s.house.Outcomes()
			if a.Routine != c.routine || len(a.Kinds) != c.kinds || o[len(o)-1].Untrusted != c.untrusted {
				t.Errorf("%s: routine %v, %v, %q", c.name, a.Routine, a.Kinds, o[len(o)-1].Untrusted)
			}
			if c.name == "text in numbers" && !a.Data.Unscanned {
				t.Error("numbers of tokens count as looked into")
			}
			if c.name == "what nobody knows" && a.Kinds[0] != action.Unknown {
				t.Errorf("%v", a.Kinds)
			}
		}
	}
	if !strings.Contains(s.upstream.bodies[0], `"max_completion_tokens":100`) {
		t.Errorf("no limit was set: %s", s.upstream.bodies[0])
	}
}

// A purse keeps what was used.
type purse struct {
	mu   sync.Mutex
	used map[string]int64
	fail error
}

func (p *purse) AddRows(_ context.Context, subject, class, _ string, _ time.Time, rows, _ int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used[subject+" "+class] += rows
	return p.fail
}

func (p *purse) SumRows(_ context.Context, subject, _ string, _ time.Time) (rows, bytes map[string]int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rows = map[string]int64{}
	for k, n := range p.used {
		if s, class, _ := strings.Cut(k, " "); s == subject {
			rows[class] = n
		}
	}
	return rows, nil, p.fail
}

// TestBudgets: what is used is counted for who uses it, by the provider's own figures.
func TestBudgets(t *testing.T) {
	p := &purse{used: map[string]int64{}}
	now := time.Unix(1_800_000_000, 0)
	s := newStage(t, func(o *llm.Config) {
		o.Ledger, o.Now = p, func() time.Time { return now }
		o.Budgets = []llm.Budget{{Input: 1000, Output: 100, Minute: 5}, {Person: true, Cost: 3000}}
		o.Prices = []llm.Price{{Model: "gpt-x", Input: 2_000_000, Output: 10_000_000}}
	}, nil)
	s.upstream.answer = says("application/json", `{"usage":{"prompt_tokens":20,"completion_tokens":40}}`)
	ask := func(want int, has string, body ...string) {
		t.Helper()
		if len(body) == 0 {
			body = []string{hello}
		}
		status, head, got := s.post("/openai/v1/chat/completions", body[0])
		if status != want || !strings.Contains(got, has) || (status == 429) != (head.Get("Retry-After") != "") {
			t.Fatalf("%d %v %s", status, head, got)
		}
	}
	ask(200, "")
	if p.used["agent:agent input"] != 20 || p.used["agent:agent output"] != 40 || p.used["person:alice cost"] != 20*2+40*10 {
		t.Errorf("%v", p.used)
	}
	ask(200, "")
	ask(200, "")
	ask(403, "no tokens for answers left")
	p.used["agent:agent output"] = 0
	ask(403, "too few tokens", `{"model":"gpt-x","messages":[{"role":"user","content":"`+strings.Repeat("long ", 900)+`"}]}`)
	p.used["person:alice cost"] = 2999
	ask(403, "is spent")
	p.used["person:alice cost"] = 0
	ask(200, "")
	ask(200, "")
	ask(429, "more than 5 requests")
	now = now.Add(time.Minute)
	ask(403, "no price", strings.Replace(hello, "gpt-x", "gpt-y", 1))
	ask(403, "later, where nobody", `{"model":"gpt-x","background":true,"messages":[]}`)
	p.used["agent:agent output"] = 0
	s.upstream.answer = func(w http.ResponseWriter, _ *http.Request, _ string) {
		sse(w, false, `{"choices":[{"index":0,"delta":{"content":"twelve bytes"}}]}`, "[DONE]")
	}
	ask(200, "twelve")
	if p.used["agent:agent output"] != 3 {
		t.Errorf("guessed: %v", p.used)
	}
	s.upstream.answer = nil
	ask(200, "", `{"model":"gpt-x","background":true,"max_tokens":90,"messages":[]}`)
	if p.used["agent:agent output"] != 93 {
		t.Errorf("answered later: %v", p.used)
	}
	p.fail = context.DeadlineExceeded
	ask(503, "can't be counted")
}

// TestIntent: what a person told the agent is taken in once, under the session that the client names.
func TestIntent(t *testing.T) {
	s := newStage(t, nil, nil)
	for range 2 {
		s.post("/openai/v1/chat/completions", hello, "Assent-Session", "run-1")
	}
	s.post("/anthropic/v1/messages", `{"model":"claude-x","max_tokens":1,"metadata":{"user_id":"user_a_account_b_session_c-1"},"messages":[{"role":"user","content":"delete the table"},{"role":"assistant","content":"x"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"rows"}]}]}`)
	if got := strings.Join(s.house.prompts, "; "); got != "run-1: hello; c-1: delete the table" {
		t.Errorf("%s", got)
	}
	if a := s.house.Actions(); a[0].Claims.Session != "run-1" || a[2].Claims.Session != "c-1" {
		t.Errorf("%+v", a[0].Claims)
	}
	if strings.Contains(s.upstream.all(), "run-1") {
		t.Error("the session's name went on")
	}
}

// TestCut: what is under way ends with an error when the session ends.
func TestCut(t *testing.T) {
	s := newStage(t, nil, nil)
	begun := make(chan struct{}, 2)
	s.upstream.answer = func(w http.ResponseWriter, r *http.Request, body string) {
		if strings.Contains(body, "stream") {
			sse(w, false, `{"choices":[{"index":0,"delta":{"content":"x"}}]}`)
		}
		begun <- struct{}{}
		<-r.Context().Done()
	}
	type reply struct {
		status int
		body   string
	}
	answers := make(chan reply, 2)
	for _, body := range []string{hello, strings.Replace(hello, "{", `{"stream":true,`, 1)} {
		go func() {
			status, _, got := s.post("/openai/v1/chat/completions", body)
			answers <- reply{status, got}
		}()
	}
	<-begun
	<-begun
	s.house.Cut()
	for range 2 {
		if a := <-answers; a.status == 200 != strings.HasPrefix(a.body, "data: {\"choices\"") || !strings.Contains(a.body, "the session was ended") {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

// TestSpaceStays: what is swapped or restored inside of JSON leaves the rest of it as it was written.
func TestSpaceStays(t *testing.T) {
	s := newStage(t, nil, allMasked())
	file := "{\n  \"to\":  \"" + email + "\",\n  \"n\": [ 1.50 ]\n}\n"
	s.upstream.answer = func(w http.ResponseWriter, _ *http.Request, body string) {
		text := strings.ReplaceAll(file, email, token(body, "email"))
		says("application/json", `{ "choices" : [ {"message":{"content":`+quote(text)+`,"tool_calls":[{"id":"c","function":{"name":"f","arguments":`+quote(text)+`}}]}} ] }`)(w, nil, "")
	}
	status, _, got := s.post("/openai/v1/chat/completions", `{ "model":"gpt-x",  "messages":[ {"role":"tool","tool_call_id":"c","content":`+quote(file)+`} ]}`)
	want := `{ "choices" : [ {"message":{"content":` + quote(file) + `,"tool_calls":[{"id":"c","function":{"name":"f","arguments":` + quote(file) + `}}]}} ] }`
	if status != 200 || got != want {
		t.Errorf("%d %s\nwant %s", status, got, want)
	}
	tok := token(s.upstream.bodies[0], "email")
	if arrived := `{ "model":"gpt-x",  "messages":[ {"role":"tool","tool_call_id":"c","content":` + quote(strings.ReplaceAll(file, email, tok)) + `} ]}`; s.upstream.bodies[0] != arrived {
		t.Errorf("%s\nwant %s", s.upstream.bodies[0], arrived)
	}
}
