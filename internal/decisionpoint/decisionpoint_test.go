package decisionpoint

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/netguard"
	"github.com/assenthq/assent/internal/policy"
)

func dial() func(ctx context.Context, network, address string) (net.Conn, error) {
	return netguard.New(netguard.Options{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).DialContext
}

func point(t *testing.T, url string, change ...func(*Options)) *Point {
	t.Helper()
	o := Options{Name: "outside", URL: url, Timeout: 5 * time.Second, Dial: dial(), Count: 1}
	for _, f := range change {
		f(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func question() *Question {
	a := &action.Action{
		Kinds: []action.Kind{action.DataExport}, Verb: "copy", Target: "customers 4111111111111111", Shape: "abc",
		Resource: action.Resource{URN: "postgres:billing/prod", Type: "postgres", Env: "prod", Labels: map[string]string{"tier": "gold"}},
		Data:     action.Data{Rows: action.KnownCount(10), Classes: []string{"email"}, Groups: []string{"pii"}, Findings: map[string]int64{"email": 2}, Destination: "https://user:pw@out.test/a?sig=s3cret", DestinationTrust: "external"},
		Actors:   []action.Link{{ID: "agent:a", Type: "agent"}}, Payload: []byte("copy customers"), Statement: "copy customers where email = 'ana@example.com'",
		Claims: action.Claims{Reason: "because ana@example.com", Ticket: "T-1", BreakGlass: true},
	}
	return &Question{
		ID: "act_1", Gate: "line", Verdict: policy.Review, Target: "customers ****", Statement: "copy customers where email = '****'", Reason: "because ****",
		Input: &policy.Input{Action: a, SubjectID: "person:maya", SubjectGroups: []string{"group:billing"}, ActorID: "agent:a", ActorType: "agent", ActorOwner: "person:maya", Time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Tainted: policy.Yes, NovelShape: policy.No, Risk: action.KnownCount(70)},
	}
}

const json200 = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

func body(text string) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", json200, len(text), text)
}

// raw answers every request with these bytes and hangs up.
func raw(t *testing.T, answer string) string {
	t.Helper()
	return serve(t, func(c net.Conn) { _, _ = io.WriteString(c, answer) })
}

func serve(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					f(c)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String() + "/access/v1/evaluation?key=s3cret"
}

func TestAnswers(t *testing.T) {
	review := func(props string) string {
		return `{"decision":false,"context":{"reason":"rows leave","obligations":[{"id":"1","type":"custom","properties":{"action":"review"` + props + `}}]}}`
	}
	for name, tt := range map[string]struct {
		answer string
		want   policy.Verdict
		who    string
		err    string
	}{
		"allow":                       {answer: `{"decision":true}`, want: policy.Allow},
		"allow, more members":         {answer: `{"decision":true,"x":[1,{"y":2}],"context":{"id":"1"}}`, want: policy.Allow},
		"allow, no obligations":       {answer: `{"decision":true,"context":{"obligations":[]}}`, want: policy.Allow},
		"allow, context is null":      {answer: ` { "decision" : true , "context" : null } `, want: policy.Allow},
		"deny":                        {answer: `{"decision":false}`},
		"deny, said why":              {answer: `{"decision":false,"context":{"reason_admin":{"en":"too many"}}}`},
		"deny, an unknown obligation": {answer: `{"decision":false,"context":{"obligations":[{"id":"1","type":"log"}]}}`},
		"review of whom it names":     {answer: review(`,"from":["group:owners","group:leads"],"count":2`), want: policy.Review, who: "[group:owners group:leads] 2"},
		"review of the configuration": {answer: review(""), want: policy.Review, who: "[group:reviewers] 1"},
		"permitted under a review":    {answer: strings.Replace(review(`,"from":["group:owners"]`), "false", "true", 1), want: policy.Review, who: "[group:owners] 1"},

		"an unknown obligation":        {answer: `{"decision":true,"context":{"obligations":[{"id":"1","type":"log"}]}}`, err: "not known here"},
		"a mask":                       {answer: `{"decision":true,"context":{"obligations":[{"id":"1","type":"custom","properties":{"action":"mask","mask":{"email":"redact"}}}]}}`, err: "not known here"},
		"a review and another":         {answer: `{"decision":true,"context":{"obligations":[{"type":"custom","properties":{"action":"review"}},{"type":"log"}]}}`, err: "not known here"},
		"two reviews":                  {answer: `{"decision":false,"context":{"obligations":[{"type":"custom","properties":{"action":"review"}},{"type":"custom","properties":{"action":"review"}}]}}`, err: "not known here"},
		"obligations are no list":      {answer: `{"decision":true,"context":{"obligations":{"type":"custom"}}}`, err: "can't be read"},
		"a review by no group":         {answer: review(`,"from":["owners"]`), err: "no group"},
		"a review by nobody":           {answer: review(`,"from":[]`), err: "names no groups"},
		"a review by a text":           {answer: review(`,"from":"group:owners"`), err: "names no groups"},
		"a review by none":             {answer: review(`,"count":0`), err: "1 to 20"},
		"a review by a fraction":       {answer: review(`,"count":1.5`), err: "1 to 20"},
		"a review by everybody":        {answer: review(`,"count":1000000`), err: "1 to 20"},
		"no decision":                  {answer: `{"result":true}`, err: "no decision"},
		"OPA's other path":             {answer: `{"result":{"decision":true}}`, err: "no decision"},
		"nothing":                      {answer: ``, err: "can't be read"},
		"an empty object":              {answer: `{}`, err: "no decision"},
		"a bare true":                  {answer: `true`, err: "can't be read"},
		"a list":                       {answer: `[{"decision":true}]`, err: "can't be read"},
		"a text that says true":        {answer: `{"decision":"true"}`, err: "no decision"},
		"one":                          {answer: `{"decision":1}`, err: "no decision"},
		"null":                         {answer: `{"decision":null}`, err: "no decision"},
		"in capitals":                  {answer: `{"Decision":true}`, err: "spelled otherwise"},
		"obligations in capitals":      {answer: `{"decision":true,"context":{"Obligations":[{"type":"log"}]}}`, err: "spelled otherwise"},
		"context in capitals":          {answer: `{"decision":true,"CONTEXT":{"obligations":[{"type":"log"}]}}`, err: "spelled otherwise"},
		"twice":                        {answer: `{"decision":false,"decision":true}`, err: "can't be read"},
		"twice, in two spellings":      {answer: `{"decision":true,"DECISION":false}`, err: "can't be read"},
		"twice, one escaped":           {answer: `{"decision":true,"\u0064ecision":false}`, err: "can't be read"},
		"trailing garbage":             {answer: `{"decision":true} {"decision":false}`, err: "can't be read"},
		"trailing text":                {answer: `{"decision":true}x`, err: "can't be read"},
		"cut short":                    {answer: `{"decision":true`, err: "can't be read"},
		"a comment":                    {answer: `{"decision":true/*x*/}`, err: "can't be read"},
		"a byte order mark":            {answer: "\ufeff" + `{"decision":true}`, err: "can't be read"},
		"not UTF-8":                    {answer: "{\"decision\":true,\"x\":\"\xff\"}", err: "can't be read"},
		"nested too deep":              {answer: `{"decision":true,"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, err: "can't be read"},
		"context is no object":         {answer: `{"decision":true,"context":[]}`, err: "context can't be read"},
		"more obligations than anyone": {answer: `{"decision":true,"context":{"obligations":[` + strings.Repeat(`{"type":"log"},`, 30) + `{"type":"log"}]}}`, err: "more than 20"},
	} {
		t.Run(name, func(t *testing.T) {
			p := point(t, raw(t, body(tt.answer)), func(o *Options) { o.From = []string{"group:reviewers"} })
			a := p.Ask(t.Context(), question())
			if tt.err != "" {
				if a.Err == nil || !strings.Contains(a.Err.Error(), tt.err) || a.Verdict != policy.Deny || a.Kind() != "none" || p.Err() == nil {
					t.Errorf("got %+v, want an error: %s", a, tt.err)
				}
				return
			}
			who := ""
			if a.From != nil {
				who = fmt.Sprint(a.From, " ", a.Count)
			}
			if a.Err != nil || a.Verdict != tt.want || who != tt.who || a.Point != "outside" || p.Err() != nil {
				t.Errorf("got %+v, want %s by %q", a, tt.want, tt.who)
			}
		})
	}
}

// Servers that misbehave below the JSON: whatever they do, it is no.
func TestServersThatMisbehave(t *testing.T) {
	yes := `{"decision":true}`
	for name, tt := range map[string]struct{ answer, err string }{
		"201":                    {strings.Replace(body(yes), "200 OK", "201 Created", 1), "status 201"},
		"404":                    {strings.Replace(body(yes), "200 OK", "404 Not Found", 1), "status 404"},
		"500":                    {strings.Replace(body(yes), "200 OK", "500 No", 1), "status 500"},
		"a redirect":             {"HTTP/1.1 307 Temporary Redirect\r\nLocation: /yes\r\nContent-Length: 0\r\n\r\n", "status 307"},
		"a redirect elsewhere":   {"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "status 302"},
		"another type":           {strings.Replace(body(yes), "application/json", "text/html", 1), "not application/json"},
		"no type":                {strings.Replace(body(yes), "Content-Type: application/json\r\n", "", 1), "not application/json"},
		"encoded":                {strings.Replace(body(yes), "Content-Type", "Content-Encoding: gzip\r\nContent-Type", 1), "encoded"},
		"huge":                   {body(yes + strings.Repeat(" ", maxAnswer)), "longer than 64 KiB"},
		"huge header":            {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", ""},
		"shorter than it says":   {json200 + "Content-Length: 500\r\n\r\n" + yes, "EOF"},
		"longer than it says":    {json200 + "Content-Length: 16\r\n\r\n" + yes, "can't be read"},
		"two lengths":            {json200 + "Content-Length: 17\r\nContent-Length: 5\r\n\r\n" + yes, ""},
		"a broken chunk":         {json200 + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + yes, ""},
		"a chunk that never is":  {json200 + "Transfer-Encoding: chunked\r\n\r\n11\r\n" + yes + "\r\n", "EOF"},
		"endless 1xx":            {strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", 1000)+"\r\n\r\n", 100), ""},
		"1xx and nothing":        {"HTTP/1.1 100 Continue\r\n\r\n", ""},
		"switching protocols":    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n" + yes, ""},
		"no HTTP":                {"SSH-2.0-OpenSSH_9.9\r\n", ""},
		"nothing":                {"", ""},
		"HTTP/0.9":               {yes, ""},
		"a body that is no JSON": {body("<html>yes</html>"), "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			p := point(t, raw(t, tt.answer))
			a := p.Ask(t.Context(), question())
			if a.Err == nil || a.Verdict != policy.Deny || !strings.Contains(a.Err.Error(), tt.err) || strings.Contains(a.Err.Error(), "s3cret") {
				t.Errorf("got %+v, want an error: …%s…", a, tt.err)
			}
		})
	}
	t.Run("an answer after hints counts", func(t *testing.T) {
		p := point(t, raw(t, "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"+body(yes)))
		if a := p.Ask(t.Context(), question()); a.Verdict != policy.Allow {
			t.Errorf("got %+v", a)
		}
	})
}

// One that answers late, byte by byte or never costs its timeout and no more.
func TestSlowServers(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, f := range map[string]func(net.Conn){
		"never": func(net.Conn) { <-release },
		"a head without a body": func(c net.Conn) {
			_, _ = io.WriteString(c, json200+"Content-Length: 17\r\n\r\n")
			<-release
		},
		"byte by byte": func(c net.Conn) {
			_, _ = io.WriteString(c, json200+"Content-Length: 100000\r\n\r\n")
			for {
				if _, err := io.WriteString(c, " "); err != nil {
					return
				}
				select {
				case <-release:
					return
				case <-time.After(time.Millisecond):
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := point(t, serve(t, f), func(o *Options) { o.Timeout = 50 * time.Millisecond })
			a := p.Ask(t.Context(), question())
			if a.Err == nil || a.Err.Error() != "no answer within 50ms" || a.Verdict != policy.Deny {
				t.Errorf("got %+v", a)
			}
			if err := p.Reach(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer within") {
				t.Errorf("it is reached: %v", err)
			}
		})
	}
	t.Run("nobody waits any more", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		p := point(t, serve(t, func(net.Conn) { leave(); <-release }))
		if a := p.Ask(ctx, question()); a.Verdict != policy.Deny || p.Err() != nil {
			t.Errorf("got %+v, and the point is blamed: %v", a, p.Err())
		}
	})
}

// What is sent holds no value, no credential of a URL and no text of an agent, unless it was asked for.
func TestWhatIsSent(t *testing.T) {
	var got []byte
	var head http.Header
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		head = r.Header
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"decision":true}`)
	}))
	defer s.Close()
	ask := func(send ...string) map[string]any {
		p := point(t, s.URL, func(o *Options) { o.Send, o.Token = send, "tok" })
		if a := p.Ask(t.Context(), question()); a.Err != nil {
			t.Fatal(a.Err)
		}
		var out map[string]any
		if err := json.Unmarshal(got, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	plain := ask()
	const want = `{"subject":{"type":"agent","id":"agent:a","properties":{"act":[{"type":"agent","id":"agent:a"}],"for":"person:maya","groups":["group:billing"],"owner":"person:maya"}},` +
		`"action":{"name":"copy","properties":{"kinds":["data.export"],"target":"customers ****","shape":"abc","reversible":false}},` +
		`"resource":{"type":"postgres","id":"postgres:billing/prod","properties":{"env":"prod","labels":{"tier":"gold"}}},` +
		`"context":{"time":"2026-11-24T12:00:00Z","gate":"line","verdict":"review","risk":70,"tainted":true,"novel_shape":false,"break_glass":true,` +
		`"data":{"rows":10,"classes":["email"],"classes_known":false,"groups":["pii"],"finding_counts":{"email":2},"destination":"https://out.test/a","destination_trust":"external"}}}`
	if string(got) != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
	if head.Get("Authorization") != "Bearer tok" || head.Get("X-Request-ID") != "act_1" || head.Get("X-Idempotency-Key") != "" {
		t.Errorf("header %v", head)
	}
	if plain["context"].(map[string]any)["claims"] != nil {
		t.Error("claims are sent unasked")
	}
	all := ask("statement", "claims")["context"].(map[string]any)
	if all["statement"] != "copy customers where email = '****'" || fmt.Sprint(all["claims"]) != "map[reason:because **** ticket:T-1]" {
		t.Errorf("asked for: %v, %v", all["statement"], all["claims"])
	}
	for _, value := range []string{"ana@example.com", "4111111111111111", "s3cret", "pw@"} {
		if strings.Contains(string(got), value) {
			t.Errorf("%s is sent", value)
		}
	}
}

// Nothing but a checked address is connected to, and no other certificate than a good one taken.
func TestWhereItConnects(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"decision":true}`)
	}))
	s.Config.ErrorLog = nil
	defer s.Close()
	if a := point(t, s.URL).Ask(t.Context(), question()); a.Err == nil || !strings.Contains(a.Err.Error(), "certificate") {
		t.Errorf("a certificate of nobody: %+v", a)
	}
	good := point(t, s.URL, func(o *Options) {
		o.TLS = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
	})
	if a := good.Ask(t.Context(), question()); a.Err != nil || a.Verdict != policy.Allow {
		t.Errorf("a good certificate: %+v", a)
	}
	if err := good.Reach(t.Context()); err != nil {
		t.Error(err)
	}
	guarded := point(t, s.URL, func(o *Options) { o.Dial = netguard.New(netguard.Options{}).DialContext })
	var refused *netguard.Refused
	if a := guarded.Ask(t.Context(), question()); !errors.As(a.Err, &refused) {
		t.Errorf("a loopback address that no network lists: %+v", a)
	}
}

func TestOptions(t *testing.T) {
	good := func() Options {
		return Options{Name: "opa", URL: "https://opa.test/v0/data/x", Timeout: time.Second, Dial: dial()}
	}
	for says, change := range map[string]func(*Options){
		"is no name":     func(o *Options) { o.Name = "Not A Name" },
		"https://host":   func(o *Options) { o.URL = "https://u:p@opa.test/" },
		"not of the":     func(o *Options) { o.URL = "opa" },
		"use https":      func(o *Options) { o.URL = "http://opa.test/" },
		"neither":        func(o *Options) { o.URL = "unix://opa.test/" },
		"between 0":      func(o *Options) { o.Timeout = time.Minute },
		"is no kind":     func(o *Options) { o.Kinds = []action.Kind{"data.reads"} },
		"can't be sent":  func(o *Options) { o.Send = []string{"payload"} },
		"is no group":    func(o *Options) { o.From, o.Count = []string{"owners"}, 1 },
		"by nobody":      func(o *Options) { o.From = []string{"group:owners"} },
		"nothing to dia": func(o *Options) { o.Dial = nil },
	} {
		o := good()
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	o := good()
	o.Kinds, o.Envs = []action.Kind{action.DataExport}, []string{"prod"}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind action.Kind
		env  string
		want bool
	}{{action.DataExport, "prod", true}, {action.DataRead, "prod", false}, {action.DataExport, "dev", false}, {action.DataExport, "", true}, {"made.up", "prod", true}} {
		if got := p.For(&action.Action{Kinds: []action.Kind{tt.kind}, Resource: action.Resource{Env: tt.env}}); got != tt.want {
			t.Errorf("%s in %q: asked is %v", tt.kind, tt.env, got)
		}
	}
}

// Whatever an answer holds, it permits only by a decision that is true, without an obligation.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"decision":true}`, `{"decision":false}`, `{"decision":true,"decision":false}`, `{"decision":true}{}`, `[]`, ``, `{"decision":"true"}`,
		`{"decision":true,"context":{"obligations":[{"type":"custom","properties":{"action":"review","from":["group:a"],"count":2}}]}}`,
		`{"decision":false,"context":{"reason":{"en":"\u0000\u202ex"},"obligations":[{"type":"log"}]}}`,
	} {
		f.Add([]byte(seed))
	}
	p := &Point{o: Options{Name: "p"}}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := p.parse(b)
		if err != nil {
			if a.Verdict != policy.Deny {
				t.Fatalf("an error, and %s", a.Verdict)
			}
			return
		}
		var said struct {
			Decision any `json:"decision"`
			Context  struct {
				Obligations []any `json:"obligations"`
			} `json:"context"`
		}
		if err := json.Unmarshal(b, &said); err != nil {
			t.Fatalf("read what encoding/json can't: %v", err)
		}
		if (a.Verdict == policy.Allow) != (said.Decision == true && len(said.Context.Obligations) == 0) {
			t.Fatalf("%s of %s", a.Verdict, b)
		}
		if (a.Verdict == policy.Review) != (len(a.From) > 0) || strings.ContainsAny(a.Reason, "\x00\n\u202e") || len(a.Reason) > 4*maxReason {
			t.Fatalf("%+v of %s", a, b)
		}
	})
}
