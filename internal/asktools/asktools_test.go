package asktools

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/assenthq/assent/client"
)

// A caller that asked for progress hears that the wait goes on, until it ends.
func TestProgressWhileItWaits(t *testing.T) {
	heard, ctx := make(chan string, 100), t.Context()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("wait") != "45" {
			t.Errorf("it waits for %q", r.URL.RawQuery)
		}
		for range 3 {
			<-heard
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"task":{"id":"apr_1","status":"approved","status_endpoint":"x"}}`))
	}))
	defer api.Close()
	s := server("test", time.Millisecond, func(context.Context) (*client.Client, error) { return client.New(api.URL, "token", nil) })
	near, far := mcp.NewInMemoryTransports()
	ss, err := s.Connect(ctx, far, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := mcp.NewClient(&mcp.Implementation{Name: "t", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			select {
			case heard <- r.Params.Message:
			default:
			}
		},
	})
	cs, err := c.Connect(ctx, near, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &mcp.CallToolParams{Name: "assent_wait", Arguments: Wait{ApprovalID: "apr_1"}}
	p.SetProgressToken("one")
	res, err := cs.CallTool(ctx, p)
	if err != nil || res.IsError {
		t.Fatalf("%+v, %v", res, err)
	}
	_ = cs.Close()
	_ = ss.Wait()
}

// What an item says is checked before anything is sent, and SQL is read besides.
func TestQuestions(t *testing.T) {
	tools := newTools(time.Second, nil)
	who := client.Subject{Type: "agent", ID: "agent:a"}
	for _, c := range []struct {
		in    Item
		kinds string
		verb  string
		err   string
	}{
		{in: Item{What: "sql", Text: "DROP TABLE t", Resource: "postgres:a/b", Kinds: []string{"data.read"}}, kinds: "data.read schema.change", verb: "drop"},
		{in: Item{What: "sql", Text: "neither SQL nor anything", Resource: "postgres:a/b"}, kinds: "unknown", verb: "unknown"},
		{in: Item{What: "sql", Text: "SELECT 1; DELETE FROM t", Resource: "postgres:a/b"}, kinds: "data.delete", verb: "sql"},
		{in: Item{What: "command", Text: "rm -rf /", Resource: "host:x", Kinds: []string{"data.delete", "execute"}}, kinds: "data.delete execute", verb: "run"},
		{in: Item{What: "tool", Text: "{}", Resource: "mcp:x"}, kinds: "tool.call", verb: "call"},
		{in: Item{What: "other", Text: "x", Resource: "a:b", Kinds: []string{"payment"}}, kinds: "payment", verb: "do"},
		{in: Item{What: "other", Text: "x", Resource: "a:b"}, err: "kinds"},
		{in: Item{What: "sql", Text: " ", Resource: "a:b"}, err: "exactly"},
		{in: Item{What: "sql", Text: "x", Resource: "prod"}, err: "type:name"},
		{in: Item{What: "SQL", Text: "x", Resource: "a:b"}, err: "not"},
	} {
		q, err := tools.question(&c.in, who)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: %v", c.in, err)
			}
			continue
		}
		got := q.Action.Properties.Kinds
		for _, k := range strings.Fields(c.kinds) {
			found := false
			for _, g := range got {
				found = found || g == k
			}
			if !found {
				t.Errorf("%q: kinds %v without %s", c.in.Text, got, k)
			}
		}
		if err != nil || q.Action.Name != c.verb || q.Action.Properties.Payload != c.in.Text {
			t.Errorf("%q: %+v %v", c.in.Text, q.Action, err)
		}
	}
}
