package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/gate/gatetest"
	classify "github.com/assenthq/assent/internal/classify/mcp"
)

// corpusJudge knows the tools of the corpus.
type corpusJudge struct{}

func (corpusJudge) Tool(_ classify.Server, def classify.Definition, _ []byte) classify.Result {
	if def.Name == "look" {
		return classify.Result{Kinds: []action.Kind{action.DataRead}}
	}
	return classify.Result{Kinds: []action.Kind{action.ToolCall}}
}

const corpusTools = `{"tools":[{"name":"look","inputSchema":{"type":"object"}},{"name":"drop","inputSchema":{"type":"object"}}]}`

// newGuard is a guard whose reads flow and whose other calls are denied.
func newGuard(t testing.TB) (*Guard, *gatetest.Authority) {
	t.Helper()
	a := &gatetest.Authority{
		Mask: func(v []byte) []byte {
			return bytes.ReplaceAll(bytes.ReplaceAll(v, []byte("secret"), []byte("[masked]")), []byte("4111111111111111"), []byte("[card]"))
		},
		Decide: func(_ context.Context, x *action.Action, _ func(gate.Held)) error {
			for _, k := range x.Kinds {
				if k != action.DataRead {
					return &gate.Denied{Status: gate.StatusDenied, Reason: "no"}
				}
			}
			return nil
		},
	}
	v, err := a.Bearer(t.Context(), gatetest.Token)
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.Login(t.Context(), v, gate.Peer{})
	if err != nil {
		t.Fatal(err)
	}
	g := &Guard{
		session: s, server: "one", place: "mcp:tools/one", judge: corpusJudge{}, tools: newCatalog("one", nil),
		ask: func(_ context.Context, method string, _ []byte) ([]byte, error) {
			if method != "tools/list" {
				return nil, errors.New("it is asked for something else")
			}
			return []byte(corpusTools), nil
		},
	}
	return g, a
}

// The files of testdata say what passes between a client (>) and a server (<), and
// what becomes of each message: forward (the very same bytes), to TEXT (another
// message with it in), answer TEXT (to who sent it), drop. A line that begins with # is for people.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			g, _ := newGuard(t)
			play(t, g, string(b))
			g.Close()
		})
	}
}

func play(t *testing.T, g *Guard, script string) {
	t.Helper()
	var message, became string
	for i, line := range strings.Split(script, "\n") {
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "> "), strings.HasPrefix(line, "< "):
			message = line[2:]
			became = turn(t, g, line[0] == '>', message)
		case strings.HasPrefix(line, "= "):
			verb, text, _ := strings.Cut(line[2:], " ")
			did, what, _ := strings.Cut(became, " ")
			if did != verb || !strings.Contains(what, text) || verb == "forward" && what != message {
				t.Errorf("line %d: it became %q, want %s", i+1, became, line[2:])
			}
		default:
			t.Fatalf("line %d is none of the corpus: %s", i+1, line)
		}
	}
}

func turn(t *testing.T, g *Guard, client bool, message string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if client {
		switch s := g.Client(ctx, []byte(message), nil); {
		case s.Forward != nil && string(s.Forward) == message:
			return "forward " + message
		case s.Forward != nil:
			return "to " + string(s.Forward)
		case s.Answer != nil:
			return "answer " + string(s.Answer)
		}
		return "drop"
	}
	switch r := g.Server(ctx, []byte(message), nil); {
	case r.Send == nil:
		return "drop"
	case string(r.Send) == message:
		return "forward " + message
	default:
		return "to " + string(r.Send)
	}
}

func FuzzClient(f *testing.F) {
	seeds(f, ">")
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, a := newGuard(t)
		s := g.Client(t.Context(), raw, nil)
		if s.Forward == nil {
			return
		}
		m, err := read(raw)
		if err != nil {
			t.Fatalf("%q goes on, and can't be read: %v", raw, err)
		}
		if _, err := read(s.Forward); err != nil {
			t.Fatalf("%q became %q, which can't be read: %v", raw, s.Forward, err)
		}
		if m.method == "tools/call" && (len(a.Actions()) != 1 || a.Actions()[0].State["tool"] != "look" || text(m.params, "name") != "look") {
			t.Fatalf("%q went on as %+v", raw, a.Actions())
		}
		if m.request() {
			g.Server(t.Context(), object("jsonrpc", "2.0", "id", m.id, "result", []byte("{}")), nil)
			if again := g.Server(t.Context(), object("jsonrpc", "2.0", "id", m.id, "result", []byte(`{"other":1}`)), nil); again.Send != nil {
				t.Fatalf("%q is answered twice", raw)
			}
		}
		g.Close()
		if n := len(a.Actions()) - len(a.Outcomes()); n != 0 {
			t.Fatalf("%q: %d permits are open", raw, n)
		}
	})
}

func FuzzServer(f *testing.F) {
	seeds(f, "<")
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, a := newGuard(t)
		g.Client(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look"}}`), nil)
		r := g.Server(t.Context(), raw, nil)
		if r.Send != nil {
			if _, err := read(r.Send); err != nil {
				t.Fatalf("%q became %q, which can't be read: %v", raw, r.Send, err)
			}
			if m, err := read(raw); err != nil {
				t.Fatalf("%q can't be read, and the client sees %q", raw, r.Send)
			} else if m.response() && m.key != "n1" {
				t.Fatalf("%q answers nothing", raw)
			}
		}
		g.Close()
		if n := len(a.Actions()) - len(a.Outcomes()); n != 0 {
			t.Fatalf("%q: %d permits are open", raw, n)
		}
	})
}

// seeds are the messages of the corpus.
func seeds(f *testing.F, from string) {
	files, _ := filepath.Glob("testdata/*/*.txt")
	for _, file := range files {
		b, _ := os.ReadFile(file)
		for _, line := range strings.Split(string(b), "\n") {
			if m, is := strings.CutPrefix(line, from+" "); is {
				f.Add([]byte(m))
			}
		}
	}
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"{\"a\":\"secret\"}"},{"type":"image","data":"c2VjcmV0","mimeType":"image/png"}],"structuredContent":{"secret":1,"a":["secret",2]}}}`))
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte("data: {}\n\n"))
	f.Add([]byte("\ufeffid: 1\r\nretry: 10\r\ndata: {\"a\":\rdata: 1}\r\n\r\n: comment\n\ndata"))
	f.Add([]byte("id\n\nevent: x\ndata\ndata:\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := newEvents(bytes.NewReader(raw))
		for {
			e, err := r.next()
			if err != nil {
				return
			}
			back := newEvents(bytes.NewReader(e.write(nil)))
			got, err := back.next()
			if err != nil || !bytes.Equal(got.data, bytes.ReplaceAll(e.data, []byte("\r"), nil)) || got.id != e.id || got.retry != e.retry {
				t.Fatalf("%v came back as %v, %v", e, got, err)
			}
			if _, err := back.next(); err == nil {
				t.Fatalf("%v came back as two", e)
			}
		}
	})
}

// What a veil must hide, wherever it stands, and what it must leave alone.
func TestVeil(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"text":               {`{"content":[{"type":"text","text":"a secret"}]}`, `{"content":[{"type":"text","text":"a [masked]"}]}`},
		"text that is JSON":  {`{"content":[{"type":"text","text":"{\"a\":\"a secret\"}"}]}`, `{"content":[{"type":"text","text":"{\"a\":\"a [masked]\"}"}]}`},
		"structured":         {`{"structuredContent":{"a":[{"b":"secret"}]}}`, `{"structuredContent":{"a":[{"b":"[masked]"}]}}`},
		"names":              {`{"structuredContent":{"secret":1,"a":{"secret":2}}}`, `{"structuredContent":{"[masked]":1,"a":{"[masked] 2":2}}}`},
		"base64 text":        {`{"contents":[{"uri":"x:secret","blob":"YSBzZWNyZXQ="}]}`, `{"contents":[{"uri":"x:secret","blob":"YSBbbWFza2VkXQ=="}]}`},
		"an image that lies": {`{"content":[{"type":"image","data":"YSBzZWNyZXQ=","mimeType":"image/png"}]}`, `{"content":[{"type":"image","data":"YSBbbWFza2VkXQ==","mimeType":"image/png"}]}`},
		"no base64":          {`{"content":[{"type":"image","data":"a secret!","mimeType":"secret"}]}`, `{"content":[{"type":"image","data":"a [masked]!","mimeType":"[masked]"}]}`},
		"meta":               {`{"_meta":{"x":"secret"},"nextCursor":"secret"}`, `{"_meta":{"x":"[masked]"},"nextCursor":"secret"}`},
		"a card in _meta":    {`{"_meta":{"n":4111111111111111,"secret":1}}`, `{"_meta":{"n":"[card]","[masked]":1}}`},
		"a card as a number": {`{"content":[{"type":"text","text":"x","priority":4111111111111111}]}`, `{"content":[{"type":"text","text":"x","priority":"[card]"}]}`},
		"JSON as a string":   {`{"content":[{"type":"text","text":"\"a \\u0073ecret\""}]}`, `{"content":[{"type":"text","text":"\"a [masked]\""}]}`},
		"lines of JSON":      {`{"content":[{"type":"text","text":"{\"a\":\"\\u0073ecret\"}\n{\"b\":1}\n"}]}`, `{"content":[{"type":"text","text":"{\"a\":\"[masked]\"}\n{\"b\":1}\n"}]}`},
		"text in text":       {`{"structuredContent":{"a":"{\"b\":\"{\\\"c\\\":\\\"\\\\u0073ecret\\\"}\"}"}}`, `{"structuredContent":{"a":"{\"b\":\"{\\\"c\\\":\\\"[masked]\\\"}\"}"}}`},
		"base64 with spaces": {`{"contents":[{"uri":"x:","blob":"YSBz ZWNy!ZXQ="}]}`, `{"contents":[{"uri":"x:","blob":"YSBbbWFza2VkXQ=="}]}`},
		"base64 unpadded":    {`{"contents":[{"uri":"x:","blob":"YSBzZWNyZXQ"}]}`, `{"contents":[{"uri":"x:","blob":"YSBbbWFza2VkXQ=="}]}`},
		"Latin-1":            {`{"contents":[{"uri":"x:","blob":"/CBzZWNyZXQ="}]}`, `{"contents":[{"uri":"x:","blob":"w7wgW21hc2tlZF0="}]}`},
		"UTF-16":             {`{"contents":[{"uri":"x:","blob":"//5zAGUAYwByAGUAdAA="}]}`, `{"contents":[{"uri":"x:","blob":"W21hc2tlZF0="}]}`},
		"a prompt":           {`{"messages":[{"role":"user","content":{"type":"text","text":"secret"}}]}`, `{"messages":[{"role":"user","content":{"type":"text","text":"[masked]"}}]}`},
	} {
		g, _ := newGuard(t)
		p, err := g.enforce(t.Context(), &action.Action{Kinds: []action.Kind{action.DataRead}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		in := fmt.Sprintf(`{"jsonrpc":"2.0","id":"secret","result":%s}`, c.in)
		got, err := newMasker(p).message([]byte(in))
		if want := fmt.Sprintf(`{"jsonrpc":"2.0","id":"secret","result":%s}`, c.want); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v\nwant %s", name, got, err, want)
		}
	}
	v := newMasker(gate.Nothing)
	if _, err := v.message([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"image","data":"iVBORw0KGgo=","mimeType":"image/png"}]}}`)); err != nil || v.unscanned != "image/png" {
		t.Errorf("an image: %q, %v", v.unscanned, err)
	}
}

func TestTooManyTools(t *testing.T) {
	g, _ := newGuard(t)
	list := []byte(`{"tools":[` + strings.Repeat(`{},`, maxTools) + `{}]}`) // none of them could be read
	if _, err := g.tools.page(t.Context(), list, true); err == nil || !strings.Contains(err.Error(), "more than 4096 tools") {
		t.Error(err)
	}
}
