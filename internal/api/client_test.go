package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
)

func (w *world) client(token string) *client.Client {
	w.t.Helper()
	return must(client.New(w.server.URL, token, w.server.Client().Transport))(w.t)
}

func TestClientTellsTheWholeStory(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	agent, mira, admin, reader := w.client(w.agent), w.client(w.mira), w.client(w.admin), w.client(w.reader)
	q := client.Question{
		Subject:  client.Subject{Type: "agent", ID: "agent:nightly-exporter"},
		Action:   client.Action{Name: "copy", Properties: client.ActionProperties{Kinds: []string{"data.export"}, PayloadBase64: []byte("copy customers to stdout"), Target: "customers"}},
		Resource: client.Resource{Type: "postgres", ID: customers},
		Context:  &client.Context{Reason: "the nightly report", Ticket: "OPS-1"},
	}
	d := must(agent.Evaluate(ctx, q))(t)
	if d.Decision || d.Context.Who != "1 of data-owners" {
		t.Fatalf("%+v", d)
	}
	task := must(agent.Request(ctx, q, d))(t)
	page := must(mira.Approvals(ctx, client.ListOptions{States: []string{"pending"}, Limit: 10}))(t)
	if len(page.Approvals) != 1 || page.Approvals[0].ID != task.ID || page.Approvals[0].Claims.Ticket != "OPS-1" {
		t.Fatalf("%+v", page)
	}
	var wg sync.WaitGroup
	var waited *client.Approval
	var awaited *client.Request
	var waitErr, awaitErr error
	wg.Go(func() { waited, waitErr = mira.Wait(ctx, task.ID) })
	wg.Go(func() { awaited, awaitErr = agent.AwaitRequest(ctx, task.ID) })
	if _, err := mira.Review(ctx, page.Approvals[0], client.Deny, ""); !client.Is(err, "invalid") {
		t.Errorf("a denial without a reason: %v", err)
	}
	stale := *page.Approvals[0]
	stale.Version--
	if _, err := mira.Review(ctx, &stale, client.Approve, ""); !client.Is(err, "changed") {
		t.Errorf("a stale approval: %v", err)
	}
	if a := must(mira.Review(ctx, page.Approvals[0], client.Approve, "fine"))(t); a.State != "approved" {
		t.Fatalf("%+v", a)
	}
	wg.Wait()
	if waitErr != nil || awaitErr != nil || waited.State != "approved" || awaited.Approval == nil {
		t.Fatalf("%v %v %+v %+v", waitErr, awaitErr, waited, awaited)
	}
	q.Context.Approval = awaited.Approval
	if d := must(agent.Evaluate(ctx, q))(t); !d.Decision {
		t.Fatalf("%+v", d.Context)
	}
	records, next, err := reader.Records(ctx, client.Query{Approval: task.ID, Since: time.Now().Add(-time.Hour)})
	if err != nil || next != 0 || !slices.ContainsFunc(records, func(r client.Record) bool { return r.Type == audit.TypeStarted }) {
		t.Fatalf("%v %d %+v", err, next, records)
	}
	if _, err := evidence.VerifyCheckpoint(must(reader.Checkpoint(ctx))(t), w.vkeys...); err != nil {
		t.Errorf("the checkpoint doesn't hold: %v", err)
	}
	if proof := must(reader.Proof(ctx, 0))(t); !strings.HasPrefix(string(proof), "c2sp.org/tlog-proof") {
		t.Errorf("%s", proof)
	}
	if _, _, err := admin.CreateToken(ctx, client.TokenRequest{Kind: "person", Subject: "person:jonas", Scopes: []string{"review"}, Life: time.Hour}); !client.Is(err, "not-yours") {
		t.Errorf("in another's name: %v", err)
	}
	secret, tok, err := admin.CreateToken(ctx, client.TokenRequest{Kind: "person", Subject: "person:ada", Scopes: []string{"read"}, Life: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ada := w.client(secret)
	if me := must(ada.WhoAmI(ctx))(t); me.Person.ID != "person:ada" || me.Credential != tok.ID {
		t.Errorf("%+v", me)
	}
	if err := admin.RevokeToken(ctx, tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := ada.WhoAmI(ctx); !client.Is(err, "credential") || strings.Contains(err.Error(), secret) {
		t.Errorf("after its revocation: %v", err)
	}
	if all := must(admin.Tokens(ctx))(t); len(all) != 9 || all[0].Revoked.IsZero() {
		t.Errorf("%d tokens", len(all))
	}
	if r := must(reader.Ready(ctx))(t); !r.Ready {
		t.Errorf("%+v", r)
	}
}

func TestClientSeesTheSameMembersAsTheServerWrites(t *testing.T) {
	for _, pair := range [][2]reflect.Type{
		{reflect.TypeFor[api.ApprovalView](), reflect.TypeFor[client.Approval]()},
		{reflect.TypeFor[audit.Record](), reflect.TypeFor[client.Record]()},
		{reflect.TypeFor[api.DecisionContext](), reflect.TypeFor[client.DecisionContext]()},
		{reflect.TypeFor[api.EvaluationRequest](), reflect.TypeFor[client.Question]()},
		{reflect.TypeFor[api.ActionProperties](), reflect.TypeFor[client.ActionProperties]()},
		{reflect.TypeFor[api.Context](), reflect.TypeFor[client.Context]()},
		{reflect.TypeFor[api.DataFacts](), reflect.TypeFor[client.Facts]()},
		{reflect.TypeFor[api.DataView](), reflect.TypeFor[client.Data]()},
		{reflect.TypeFor[api.TokenView](), reflect.TypeFor[client.Token]()},
		{reflect.TypeFor[api.Identity](), reflect.TypeFor[client.Identity]()},
		{reflect.TypeFor[api.Reply](), reflect.TypeFor[client.Review]()},
		{reflect.TypeFor[api.PlanItem](), reflect.TypeFor[client.PlanItem]()},
		{reflect.TypeFor[api.Seat](), reflect.TypeFor[client.Seat]()},
		{reflect.TypeFor[api.ApprovalRef](), reflect.TypeFor[client.ApprovalRef]()},
		{reflect.TypeFor[api.OutcomeReport](), reflect.TypeFor[client.Outcome]()},
	} {
		if s, c := jsonNames(pair[0]), jsonNames(pair[1]); !slices.Equal(s, c) {
			t.Errorf("%s has %v, %s has %v", pair[0], s, pair[1], c)
		}
	}
}

func jsonNames(t reflect.Type) []string {
	var out []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

var errEnough = errors.New("enough")

func TestTailMissesNothing(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	var next int64
	var states []string
	reviewed := false
	err := w.client(w.mira).Tail(t.Context(), client.TailOptions{Records: true, From: 0}, func(e client.Event) error {
		switch {
		case e.Approval != nil && e.Approval.ID == id:
			states = append(states, e.Approval.State)
		case e.Record != nil:
			if e.Record.Index != next {
				t.Errorf("record %d after %d", e.Record.Index, next-1)
			}
			next++
			var leaf audit.Record
			mustDecode(t, e.Leaf, &leaf)
			if leaf.Index != e.Record.Index {
				t.Errorf("the leaf says %d, the record %d", leaf.Index, e.Record.Index)
			}
			if e.Record.Type == audit.TypeRequest && !reviewed {
				reviewed = true
				if a := w.review(w.mira, id, "approve", ""); a.status != 200 {
					t.Errorf("%s", a.body)
				}
			}
			if e.Record.Type == audit.TypeReview && next > 1 {
				return errEnough
			}
		}
		return nil
	})
	if !errors.Is(err, errEnough) || !slices.Contains(states, "approved") {
		t.Fatalf("%v, states %v", err, states)
	}
}

func TestTailGoesOnAfterABrokenConnection(t *testing.T) {
	w := newWorld(t)
	w.hold(w.agent, "copy customers to stdout")
	var next int64
	err := w.client(w.mira).Tail(t.Context(), client.TailOptions{Records: true, From: 2}, func(e client.Event) error {
		if e.Record == nil {
			return nil
		}
		if want := next + 2; e.Record.Index != want {
			t.Errorf("record %d, want %d", e.Record.Index, want)
		}
		if next++; next == 3 {
			w.server.CloseClientConnections()
			w.mint(identity.MintRequest{Kind: identity.KindGate})
			w.mint(identity.MintRequest{Kind: identity.KindGate})
		}
		if head := must(w.store.Head(t.Context()))(t); next > 5 && e.Record.Index+1 == head.Size {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
}

func TestTailEndsWhenRefused(t *testing.T) {
	w := newWorld(t)
	if err := w.client(w.agent).Tail(t.Context(), client.TailOptions{}, nil); !client.Is(err, "scope") {
		t.Errorf("an agent: %v", err)
	}
	if err := w.client(w.jonas).Tail(t.Context(), client.TailOptions{Records: true}, nil); !client.Is(err, "scope") {
		t.Errorf("records without read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := w.client(w.reader).Tail(ctx, client.TailOptions{Records: true, From: 0}, func(client.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}

func TestStreamsAreBounded(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func() *http.Response {
		req := must(http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+"/v1/events", nil))(t)
		req.Header.Set("Authorization", "Bearer "+w.reader)
		return must(w.server.Client().Do(req))(t)
	}
	for range 32 {
		resp := open()
		defer resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("%d", resp.StatusCode)
		}
	}
	resp := open()
	defer resp.Body.Close()
	var p api.Problem
	if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || !strings.HasSuffix(p.Type, ":busy") {
		t.Fatalf("%d %+v %v", resp.StatusCode, p, err)
	}
}
