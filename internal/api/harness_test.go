package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/actors"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/calm"
	rules "github.com/assenthq/assent/internal/change"
	"github.com/assenthq/assent/internal/detect"
	"github.com/assenthq/assent/internal/emergency"
	"github.com/assenthq/assent/internal/enforce"
	"github.com/assenthq/assent/internal/freeze"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/mask"
	livepeople "github.com/assenthq/assent/internal/people"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
	"github.com/assenthq/assent/internal/workload"
)

// believed is a directory whose rows nobody spoiled, and in which nobody is silenced.
type believed struct{ *identity.Static }

func (believed) Check(context.Context) error { return nil }

func (believed) Silenced(string) []identity.Person { return nil }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testPolicy = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: test, version: 1.0.0, owner: tests }
rules:
  - id: hold-exports
    match: { kind: [data.export] }
    then: review
    approval: { from: [group:data-owners], count: 1, expires: 15m, assurance: token }
    reason: "{{data.summary}} leaves {{resource.urn}}"
  - id: hold-deletes-for-two
    match: { kind: [data.delete] }
    then: review
    approval: { from: [group:data-owners], count: 2, expires: 15m, assurance: console }
    reason: "rows go away"
  - id: hold-messages
    match: { kind: [message.send] }
    then: review
    approval: { from: [group:data-owners], count: 1, assurance: token }
    reason: "a message leaves"
  - id: masked-messages
    match: { kind: [message.send] }
    then: mask
    mask: { email: redact }
  - id: masked-reads
    match: { kind: [data.read], resource: ["postgres:shop/customers"] }
    then: mask
    mask: { email: redact }
  - id: plain-reads
    match: { kind: [data.read] }
    then: allow
`

// A world is the real thing, but for the network: store, log, engine, policy,
// enforcer and API, with the people of the tests.
type world struct {
	t      *testing.T
	server *httptest.Server
	engine *approval.Engine
	tokens *identity.Tokens
	store  *sqlite.Store
	logs   *syncBuffer
	log    *audit.Log

	agent, other, gate, mira, jonas, lena, reader, admin string // tokens
	vkeys                                                []string
}

// proving is the log as the API wants it.
type proving struct {
	log   *audit.Log
	store *sqlite.Store
}

func (p proving) Checkpoint() []byte { return p.log.Checkpoint() }
func (p proving) Published() []byte  { return p.log.Checkpoint() }
func (p proving) Tile(ctx context.Context, path string) ([]byte, error) {
	return p.log.TileAt(ctx, p.store, path)
}

func (p proving) Bundle(ctx context.Context, path string) ([]byte, error) {
	return p.log.BundleAt(ctx, p.store, path)
}

func (p proving) Proof(ctx context.Context, index int64) ([]byte, error) {
	proof, err := p.log.Proof(ctx, p.store, index)
	if err != nil {
		return nil, err
	}
	return proof.Text(), nil
}

type recorder struct {
	log   *audit.Log
	store *sqlite.Store
}

func (r recorder) Record(ctx context.Context, recs ...*audit.Record) error {
	return r.store.Update(ctx, func(tx approval.Tx) error { return r.log.Append(ctx, tx, recs...) })
}

type apiEnforcer struct{ *enforce.Enforcer }

func (e apiEnforcer) Evaluate(ctx context.Context, asker identity.Asker, a *action.Action) (api.Evaluation, error) {
	ev, err := e.Enforcer.Evaluate(ctx, asker, a)
	return shown(ev), err
}

func (e apiEnforcer) Redeem(ctx context.Context, asker identity.Asker, a *action.Action, id string) (api.Evaluation, error) {
	ev, err := e.Enforcer.Redeem(ctx, asker, a, id)
	return shown(ev), err
}

func shown(ev enforce.Evaluation) api.Evaluation {
	return api.Evaluation{Verdict: ev.Verdict, Rule: ev.Rule, Who: ev.Who, Masks: ev.Masks, RowLimit: ev.RowLimit, Grant: ev.Grant}
}

type noMetrics struct{}

func (noMetrics) Decided(string, string, time.Duration) {}

func (noMetrics) Consulted(string, string, time.Duration) {}
func (noMetrics) Masked(string, int64)                    {}

// syncBuffer collects the log of a server that many goroutines write to.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func people(t testing.TB) *identity.Static {
	return must(identity.NewStatic([]identity.Person{
		{ID: "person:mira", Name: "Mira", Groups: []string{"group:data-owners"}},
		{ID: "person:jonas", Name: "Jonas", Groups: []string{"group:data-owners"}},
		{ID: "person:lena", Name: "Lena", Groups: []string{"group:data-owners"}},
		{ID: "person:ada", Name: "Ada"},
	}, []identity.Actor{
		{ID: "agent:nightly-exporter", Type: "agent", Owner: "person:lena"},
		{ID: "agent:other", Type: "agent", Owner: "person:lena"},
	}))(t)
}

func newWorld(t *testing.T, change ...func(*api.Options)) *world {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	w := &world{t: t, logs: &syncBuffer{}}
	logger := slog.New(slog.NewJSONHandler(w.logs, nil))
	w.store = must(sqlite.Open(ctx, dir))(t)
	w.store.SealLedger([]byte("a key of the tests"))
	t.Cleanup(func() { _ = w.store.Close() })
	key := must(audit.LoadOrCreateKey(filepath.Join(dir, "log.key"), "localhost/assent/log"))(t)
	log := must(audit.New(audit.Options{Origin: "localhost/assent/log", Keys: []*audit.Key{key}, HeadFile: filepath.Join(dir, "head")}))(t)
	if err := log.Open(ctx, w.store); err != nil {
		t.Fatal(err)
	}
	w.vkeys, w.log = log.Verifiers(), log
	w.signing(log)
	spool := must(audit.OpenSpool(audit.SpoolOptions{Dir: filepath.Join(dir, "spool"), Node: "test"}))(t)
	t.Cleanup(func() { _ = spool.Close() })
	minter := must(grant.NewMinter(filepath.Join(dir, "grant.json"), "http://localhost:8720"))(t)
	directory := people(t)
	seal := bytes.Repeat([]byte{7}, 32)
	w.tokens = must(identity.NewTokens(identity.TokenOptions{
		Store: w.store, Directory: directory, SealKey: seal,
		Record: func(ctx context.Context, tx identity.TokenTx, c identity.TokenChange) error {
			return log.Append(ctx, tx.(audit.Tx), &audit.Record{Type: audit.TypeToken, Person: c.By, Detail: map[string]string{"what": c.What, "token": c.Token.ID}})
		},
	}))(t)
	w.engine = must(approval.New(approval.Options{
		Store: w.store, Log: log, Minter: minter, Directory: directory,
		MatchKey: bytes.Repeat([]byte{8}, 32), SealKey: seal, Issuer: "http://localhost:8720", Logger: logger,
	}))(t)
	box := must(sealed.NewBox(w.store, log, seal))(t)
	freezes := must(freeze.New(freeze.Options{Box: box, Directory: directory, Logger: logger}))(t)
	changes := must(rules.New(rules.Options{Box: box, Approvals: w.engine, Directory: believed{directory}, Admins: []string{"group:admins"}, Stopped: freezes.Stopped, Logger: logger}))(t)
	changes.HandleThaw(freezes)
	if err := freezes.Load(ctx); err != nil {
		t.Fatal(err)
	}
	w.running(freezes.Run)
	glass := must(emergency.New(emergency.Options{Box: box, Directory: directory, Freezes: freezes, Logger: logger}))(t)
	set := must(policy.LoadFiles(map[string][]byte{"test.yaml": []byte(testPolicy)}, policy.Options{}))(t)
	finder := must(detect.New(detect.Options{}))(t)
	enforcer := must(enforce.New(enforce.Options{
		Policy: policy.NewHolder(set), Detect: finder, Masker: mask.New(bytes.Repeat([]byte{9}, 32), finder),
		Approvals: w.engine, Record: recorder{log, w.store}, Spool: spool, Ledger: w.store, Freezes: freezes, PublicURL: "http://localhost:8720",
		ExportAfterRows: 1000, Logger: logger, Metrics: noMetrics{},
	}))(t)
	live := must(livepeople.Open(ctx, livepeople.Options{Config: livepeople.Config{People: []identity.Person{{ID: "person:mira"}, {ID: "person:jonas"}, {ID: "person:lena"}, {ID: "person:ada"}}}, Box: box}))(t)
	registry := must(actors.OpenRegistry(ctx, box, live, w.engine.Relate, logger))(t)
	workloads := must(workload.New(nil, nil))(t)
	desk := must(actors.New(actors.Options{Tokens: w.tokens, Workloads: workloads, Directory: directory, Relate: w.engine.Relate, Audience: "http://localhost:8720", Logger: logger}))(t)
	o := api.Options{
		Actors: registry, Machine: "person:operator", Exchange: desk,
		PublicURL: "http://localhost:8720", Version: "test", Credentials: w.tokens, Tokens: w.tokens, Directory: directory,
		Enforcer: apiEnforcer{enforcer}, Approvals: w.engine, Reviews: w.engine, Freezes: freezes, Changes: changes, Standings: w.engine, Glass: glass, Audit: w.store, Log: proving{log, w.store}, Quality: w.quality, Calm: must(calm.Open(ctx, box, nil, logger))(t), Mask: func(s string) string { text, _, _ := mask.MaskStatement(s, finder); return text }, JWKS: minter.JWKS,
		Looker: &api.Looker{Engine: finder, Masks: mask.New(bytes.Repeat([]byte{9}, 32), finder).For, Record: func(ctx context.Context, r *audit.Record) error { return recorder{log, w.store}.Record(ctx, r) }},
		Seed:   bytes.Repeat([]byte{1}, 32), Ready: []api.Check{{Name: "store", Run: func(context.Context) error { return w.store.Err() }}}, Logger: logger,
	}
	for _, c := range change {
		c(&o)
	}
	w.server = httptest.NewServer(must(api.New(o))(t))
	t.Cleanup(w.server.Close)
	w.mintAll()
	return w
}

// running runs a part of the server until the test ends.
// quality reads the log each time.
func (w *world) quality(ctx context.Context) ([]approval.Reviewer, error) {
	found, err := w.store.Search(ctx, audit.Query{Types: []string{audit.TypeReview}})
	return approval.Quality(found), err
}

func (w *world) running(run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	var loop sync.WaitGroup
	loop.Go(func() { run(ctx) })
	w.t.Cleanup(func() { cancel(); loop.Wait() })
}

// signing signs heads as they become durable, until the test ends.
func (w *world) signing(log *audit.Log) {
	heads, stop := make(chan audit.Head, 1), make(chan struct{})
	w.store.OnCommit(func(h audit.Head) {
		for {
			select {
			case heads <- h:
				return
			case <-heads: // an older one: the newer covers it
			}
		}
	})
	var loop sync.WaitGroup
	ctx := context.WithoutCancel(w.t.Context())
	loop.Go(func() {
		for {
			select {
			case h := <-heads:
				if _, err := log.Sign(ctx, h); err != nil && w.store.Err() == nil {
					w.t.Logf("signing: %v", err)
				}
			case <-stop:
				return
			}
		}
	})
	w.t.Cleanup(func() { close(stop); loop.Wait() })
}

func (w *world) mint(m identity.MintRequest) string {
	w.t.Helper()
	m.By = "test"
	secret, _, err := w.tokens.Mint(w.t.Context(), m)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func (w *world) mintAll() {
	person := func(id string, scopes ...string) string {
		return w.mint(identity.MintRequest{Kind: identity.KindPerson, Subject: id, Scopes: scopes})
	}
	w.agent = w.mint(identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:nightly-exporter"}})
	w.other = w.mint(identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:other"}})
	w.gate = w.mint(identity.MintRequest{Kind: identity.KindGate})
	w.mira = person("person:mira", identity.ScopeReview, identity.ScopeRead)
	w.jonas = person("person:jonas", identity.ScopeReview)
	w.lena = person("person:lena", identity.ScopeReview)
	w.reader = person("person:ada", identity.ScopeRead)
	w.admin = person("person:ada", identity.ScopeAdmin)
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) json(t testing.TB, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(a.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

// problem checks that an answer is a whole problem document of that kind.
func (a *answer) problem(t testing.TB, status int, kind string) {
	t.Helper()
	var p api.Problem
	if a.status != status || a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("got %d %s %s, want a %d problem", a.status, a.header.Get("Content-Type"), a.body, status)
	}
	a.json(t, &p)
	if p.Status != status || !strings.HasSuffix(p.Type, ":"+kind) || p.Title == "" || p.RequestID == "" || p.RequestID != a.header.Get("X-Request-ID") {
		t.Fatalf("got %s, want kind %s", a.body, kind)
	}
}

// call sends one request. body may be a string to be sent as it is.
func (w *world) call(method, path, token string, body any, change ...func(*http.Request)) *answer {
	w.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		r = bytes.NewReader(must(json.Marshal(b))(w.t))
	}
	req := must(http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, r))(w.t)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, c := range change {
		c(req)
	}
	resp := must(w.server.Client().Do(req))(w.t)
	defer resp.Body.Close()
	return &answer{resp.StatusCode, resp.Header, must(io.ReadAll(resp.Body))(w.t)}
}

// question is an evaluation request of the nightly exporter.
func question(kind, resource, sql string) map[string]any {
	return map[string]any{
		"subject":  map[string]any{"type": "agent", "id": "agent:nightly-exporter"},
		"action":   map[string]any{"name": "select", "properties": map[string]any{"kinds": []string{kind}, "payload": sql, "target": "customers"}},
		"resource": map[string]any{"type": "postgres", "id": resource},
	}
}

// open is call, but leaves a stream as soon as it began.
func (w *world) open(method, path, token string, body any) *answer {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	var r io.Reader
	if s, ok := body.(string); ok {
		r = strings.NewReader(s)
	}
	req := must(http.NewRequestWithContext(ctx, method, w.server.URL+path, r))(w.t)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp := must(w.server.Client().Do(req))(w.t)
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		a.body = must(io.ReadAll(resp.Body))(w.t)
	}
	return a
}

func mustDecode(t testing.TB, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%v in %.200s", err, b)
	}
}

// deny evaluates a question that people may lift, and returns the submission for it.
func (w *world) deny(token string, q map[string]any) map[string]any {
	w.t.Helper()
	var d api.Decision
	a := w.call("POST", "/access/v1/evaluation", token, q)
	if a.status != 200 {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	a.json(w.t, &d)
	if d.Decision || d.Context.Reason != "approval_required" || d.Context.AccessRequest == nil || d.Context.Who == "" {
		w.t.Fatalf("want a requestable denial, got %s", a.body)
	}
	sub := map[string]any{"denial": map[string]any{
		"evaluation_id": d.Context.EvaluationID, "expires_at": d.Context.AccessRequest.ExpiresAt,
		"binding_token": d.Context.AccessRequest.BindingToken, "reason": d.Context.Reason,
	}}
	for k, v := range q {
		sub[k] = v
	}
	return sub
}

// hold asks people for an export and returns the approval's id.
func (w *world) hold(token, sql string) string {
	w.t.Helper()
	q := question("data.export", "postgres:shop/customers", sql)
	a := w.call("POST", "/access/v1/requests", token, w.deny(token, q))
	if a.status != 202 || a.header.Get("Retry-After") == "" {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	var task api.TaskResponse
	a.json(w.t, &task)
	if task.Task.Status != "pending" || a.header.Get("Location") != task.Task.StatusEndpoint || task.Result != nil {
		w.t.Fatalf("%s", a.body)
	}
	return task.Task.ID
}

func (w *world) state(id string) string {
	w.t.Helper()
	return string(must(w.engine.Get(w.t.Context(), id))(w.t).State)
}

// view is what a reviewer sees.
func (w *world) view(token, id string) api.ApprovalView {
	w.t.Helper()
	var v api.ApprovalView
	a := w.call("GET", "/v1/approvals/"+id, token, nil)
	if a.status != 200 {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	a.json(w.t, &v)
	return v
}

func (w *world) review(token, id, decision, reason string) *answer {
	w.t.Helper()
	v := w.view(token, id)
	return w.call("POST", "/v1/approvals/"+id+"/review", token, map[string]any{"decision": decision, "reason": reason, "digest": v.Digest, "version": v.Version})
}

func newActorToken() identity.MintRequest {
	return identity.MintRequest{Kind: identity.KindActor, Actors: []string{"agent:nightly-exporter"}}
}

func reviewToken(person string) identity.MintRequest {
	return identity.MintRequest{Kind: identity.KindPerson, Subject: person, Scopes: []string{identity.ScopeReview}}
}

func allApprovals() approval.Filter { return approval.Filter{} }
