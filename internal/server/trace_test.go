package server

import (
	"context"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	spans "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/gate"
	"github.com/assenthq/assent/internal/identity"
)

// Spans of gates that have nothing of their own to say, of each way to end, and of an approval that nobody gave in time.
func TestTracesOfEachEnd(t *testing.T) {
	receiver := newSpanReceiver(t)
	b := &bench{t: t, Server: testServer(t, tracedPack, `
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
trace: { otlp: { url: "`+receiver.URL+`/v1/traces", private: true, headers: { Authorization: { file: spans } } } }
`, map[string]string{"spans": "Bearer spans\n"})}
	if _, err := b.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b.session = b.login()
	cases := []struct {
		kind, verb, upstream string
		outcome              gate.Outcome
		failed               bool
	}{
		{"kubernetes", "get", "kubernetes get", gate.Outcome{State: gate.Executed, Code: "200"}, false},
		{"aws", "s3:getobject", "aws s3:getobject", gate.Outcome{State: gate.Failed, Code: "AccessDenied"}, true},
		{"llm", "chat", "llm chat", gate.Outcome{State: gate.Unknown}, true},
		{"ssh", "4012888888881881", "ssh", gate.Outcome{State: gate.Executed}, false},
		{"command", "rm", "command", gate.Outcome{State: gate.NotRun}, false},
	}
	for _, c := range cases {
		g := b.enforcer.Gate("of-"+c.kind, action.Resource{URN: c.kind + ":test", Type: c.kind, Env: "test"}, "")
		v, err := g.Verifier(t.Context(), "worker")
		if err != nil {
			t.Fatal(err)
		}
		s, err := g.Login(t.Context(), v, gate.Peer{Gate: "of-" + c.kind, Address: "test"})
		if err != nil {
			t.Fatal(err)
		}
		a := &action.Action{Kinds: []action.Kind{action.DataRead}, Verb: c.verb, Title: "read", Statement: "x", Payload: []byte("x")}
		s.Describe(a)
		p, err := s.Enforce(t.Context(), a, gate.Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		if p.(gate.Traced).Traceparent() == "" {
			t.Error("nobody upstream hears of the trace")
		}
		p.Done(c.outcome)
		s.Close()
	}
	for _, c := range cases {
		got := receiver.trace(t, "gate of-"+c.kind, func(*spans.Span) bool { return true })
		root, up := got["gate of-"+c.kind], got[c.upstream]
		expect(t, root, "assent.outcome", string(c.outcome.State))
		if (up == nil) != (c.outcome.State == gate.NotRun) || up != nil && (up.GetStatus().GetCode() == spans.Status_STATUS_CODE_ERROR) != c.failed {
			t.Errorf("%s: %v", c.kind, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := b.background(ctx, "nobody decides")
	a := b.waiting(1)[0]
	cancel()
	if err := <-gone; err == nil {
		t.Fatal("permitted")
	}
	got := receiver.trace(t, "hold", saying("assent.approval", a.ID))
	expect(t, got["hold"], "assent.approval.state", "pending")
	expect(t, got["gate line"], "assent.refused", "gone")
	if len(got) != 3 {
		t.Errorf("spans %v", got)
	}
}

type withTraceparent string

func (v withTraceparent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Traceparent", string(v))
	return http.DefaultTransport.RoundTrip(r)
}

// A command that a machine asks about, and a question of a policy enforcement point elsewhere, link to the trace they come from.
func TestTracesOfTheAPI(t *testing.T) {
	const claim = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	receiver := newSpanReceiver(t)
	s := testServer(t, tracedPack, `
people: [{ id: dana }]
actors: [{ id: worker, owner: dana }]
trace: { otlp: { url: "`+receiver.URL+`/v1/traces", private: true, headers: { Authorization: { file: spans } } } }
gates: [{ name: lab, type: command, env: lab }]
`, map[string]string{"spans": "Bearer spans\n"})
	token, err := s.Mint(t.Context(), identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:worker"}, TTL: time.Hour, By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(s.URL(), token, withTraceparent(claim))
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.AskCommand(t.Context(), argv("cat", "README.md"), 0, false)
	if err != nil || a.Run == "" {
		t.Fatalf("%+v, %v", a, err)
	}
	if err := c.EndRun(t.Context(), a.Run, client.RunOutcome{Ran: true, Exit: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Evaluate(t.Context(), client.Question{Subject: client.Subject{Type: "agent", ID: "agent:worker"}, Action: client.Action{Name: "read", Properties: client.ActionProperties{Kinds: []string{"data.read"}, Payload: "get"}}, Resource: client.Resource{Type: "s3", ID: "bucket/4012888888881881"}}); err != nil {
		t.Fatal(err)
	}
	run := receiver.trace(t, "command", func(*spans.Span) bool { return true })
	asked := receiver.trace(t, "gate api", func(*spans.Span) bool { return true })
	for _, root := range []*spans.Span{run["gate lab"], asked["gate api"]} {
		if l := root.GetLinks(); len(l) != 1 || hex.EncodeToString(l[0].GetSpanId()) != claim[36:52] {
			t.Errorf("%s links to %v", root.GetName(), l)
		}
	}
	expect(t, run["gate lab"], "assent.outcome", "failed")
	expect(t, run["command"], "error.type", "exit 1")
	expect(t, asked["gate api"], "assent.outcome", "evaluated", "assent.actor", "agent:worker")
	expect(t, asked["decide"], "assent.decision", "allow")
}
