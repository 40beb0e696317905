package api_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/api"
)

const customers = "postgres:shop/customers"

func (w *world) evaluate(token string, q map[string]any) api.Decision {
	w.t.Helper()
	a := w.call("POST", "/access/v1/evaluation", token, q)
	if a.status != 200 {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	var d api.Decision
	a.json(w.t, &d)
	return d
}

func TestEvaluation(t *testing.T) {
	w := newWorld(t)
	if d := w.evaluate(w.agent, question("data.read", "postgres:shop/orders", "select 1")); !d.Decision || d.Context.Reason != "allowed" || d.Context.EvaluationID == "" {
		t.Errorf("a plain read: %+v", d)
	}
	// Masks that only the agent would apply are no masks.
	if d := w.evaluate(w.agent, question("data.read", customers, "select email from customers")); d.Decision || d.Context.Reason != "obligations" {
		t.Errorf("a masked read by an agent: %+v", d.Context)
	}
	d := w.evaluate(w.gate, question("data.read", customers, "select email from customers"))
	if !d.Decision || len(d.Context.Obligations) != 1 || d.Context.Obligations[0].Properties.Mask["email"] != "redact" {
		t.Errorf("a masked read by a gate: %+v", d.Context)
	}
	// Nor are people asked for what an agent could not run afterwards.
	if d := w.evaluate(w.agent, question("message.send", customers, "hello")); d.Decision || d.Context.Reason != "obligations" || d.Context.AccessRequest != nil {
		t.Errorf("a masked message by an agent: %+v", d.Context)
	}
	if d := w.evaluate(w.gate, question("message.send", customers, "hello")); d.Decision || d.Context.AccessRequest == nil {
		t.Errorf("a masked message by a gate: %+v", d.Context)
	}
	if d := w.evaluate(w.agent, question("privilege.change", customers, "grant all")); d.Decision || d.Context.Reason != "policy_denied" || d.Context.NextAction != "none" || d.Context.AccessRequest != nil {
		t.Errorf("no rule matches: %+v", d.Context)
	}
}

func TestApprovedActionIsReevaluatedOnce(t *testing.T) {
	w := newWorld(t)
	const sql = "copy customers to stdout"
	id := w.hold(w.agent, sql)
	if again := w.hold(w.agent, sql); again != id {
		t.Fatalf("the same action asked again made %s beside %s", again, id)
	}
	if a := w.review(w.mira, id, "approve", "quarterly"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var task api.TaskResponse
	w.call("GET", "/access/v1/requests/"+id, w.agent, nil).json(t, &task)
	if task.Task.Status != "approved" || task.Result == nil || task.Result.Mode != "reevaluate" || task.Result.Approval.State == "" {
		t.Fatalf("%+v", task)
	}
	with := func(q map[string]any, ref any) map[string]any {
		q = maps.Clone(q)
		q["context"] = map[string]any{"approval": ref}
		return q
	}
	q := question("data.export", customers, sql)
	ref := task.Result.Approval

	other := question("data.export", customers, sql+" ")
	if d := w.evaluate(w.agent, with(other, ref)); d.Decision || d.Context.Reason != "out_of_scope" || d.Context.RetryAfter != 0 || !requestable(d) {
		t.Errorf("one more space ran on the approval, or is told to try again: %+v", d.Context)
	}
	forged := ref
	forged.State = ref.State[:len(ref.State)-4] + "AAAA"
	if d := w.evaluate(w.agent, with(q, forged)); d.Decision || d.Context.Reason != "approval_unverifiable" {
		t.Errorf("a forged state: %+v", d.Context)
	}
	second := w.mint(newActorToken())
	if d := w.evaluate(second, with(q, ref)); d.Decision || d.Context.Reason != "approval_unverifiable" {
		t.Errorf("another credential of the same agent: %+v", d.Context)
	}
	if d := w.evaluate(w.agent, q); d.Decision {
		t.Error("it ran without the approval's reference")
	}
	if d := w.evaluate(w.agent, with(q, ref)); !d.Decision || d.Context.Reason != "approved" || d.Context.Grant != "" || d.Context.Approval == nil || d.Context.Approval.ID != id || d.Context.Approval.State != "" {
		t.Errorf("the approved action: %+v", d.Context)
	}
	if d := w.evaluate(w.agent, with(q, ref)); d.Decision || d.Context.Reason != "approval_expired" || d.Context.RetryAfter != 0 || !requestable(d) {
		t.Errorf("it ran twice, or is told to try again: %+v", d.Context)
	}
	var after api.TaskResponse
	w.call("GET", "/access/v1/requests/"+id, w.agent, nil).json(t, &after)
	w.call("POST", "/access/v1/requests/"+id+"/outcome", w.agent, map[string]any{"state": "failed"}).problem(t, 403, "scope")
	w.call("POST", "/access/v1/requests/"+id+"/outcome", w.gate, map[string]any{"state": "failed"}).problem(t, 404, "unknown_task")
	if after.Task.Status != "approved" || after.Task.Execution != "executing" || after.Result.Approval.State != "" {
		t.Errorf("after its use: %+v", after)
	}
}

func TestRequestIsBoundToItsDenial(t *testing.T) {
	w := newWorld(t)
	q := question("data.export", customers, "copy customers to stdout")
	sub := w.deny(w.agent, q)
	change := func(fn func(map[string]any)) map[string]any {
		var c map[string]any
		mustDecode(t, must(json.Marshal(sub))(t), &c)
		fn(c)
		return c
	}
	props := func(c map[string]any) map[string]any {
		return c["action"].(map[string]any)["properties"].(map[string]any)
	}
	denial := func(c map[string]any) map[string]any { return c["denial"].(map[string]any) }
	for name, bad := range map[string]map[string]any{
		"another payload":  change(func(c map[string]any) { props(c)["payload"] = "copy cards to stdout" }),
		"another state":    change(func(c map[string]any) { props(c)["state"] = map[string]string{"role": "admin"} }),
		"another kind":     change(func(c map[string]any) { props(c)["kinds"] = []string{"data.read"} }),
		"another resource": change(func(c map[string]any) { c["resource"].(map[string]any)["id"] = "postgres:shop/cards" }),
		"another expiry":   change(func(c map[string]any) { denial(c)["expires_at"] = time.Now().Add(time.Hour) }),
		"another question": change(func(c map[string]any) { denial(c)["evaluation_id"] = "eval_other" }),
		"no token":         change(func(c map[string]any) { denial(c)["binding_token"] = "" }),
	} {
		a := w.call("POST", "/access/v1/requests", w.agent, bad)
		if a.status != 400 || !strings.Contains(string(a.body), "error:invalid_denial_binding") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	stale := change(func(c map[string]any) { denial(c)["expires_at"] = time.Now().Add(-time.Second) })
	w.call("POST", "/access/v1/requests", w.agent, stale).problem(t, 410, "expired_denial")
	second := w.mint(newActorToken())
	w.call("POST", "/access/v1/requests", second, sub).problem(t, 400, "invalid_denial_binding")
	if found := must(w.engine.List(t.Context(), allApprovals()))(t); len(found) != 0 {
		t.Fatalf("%d approvals came of it", len(found))
	}
}

func TestTasksAreTheirAskersOnly(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	path := "/access/v1/requests/" + id
	for _, token := range []string{w.other, w.gate} {
		w.call("GET", path, token, nil).problem(t, 404, "unknown_task")
		w.call("POST", path+"/cancel", token, nil).problem(t, 404, "unknown_task")
	}
	w.call("GET", "/access/v1/requests/apr_0000000000000000", w.agent, nil).problem(t, 404, "unknown_task")
	renewed := w.mint(newActorToken())
	if a := w.call("GET", path, renewed, nil); a.status != 200 {
		t.Fatalf("a renewed token lost its request: %d", a.status)
	}
	var task api.TaskResponse
	a := w.call("POST", path+"/cancel", w.agent, nil)
	a.json(t, &task)
	if a.status != 200 || task.Task.Status != "cancelled" || w.state(id) != "withdrawn" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.call("POST", path+"/cancel", w.agent, nil).problem(t, 409, "invalid_task_state")
}

func TestAnAgentSeesNoFigureNorFinding(t *testing.T) {
	w := newWorld(t)
	q := question("data.export", customers, "select * from customers where email = 'mia.wong@example.com' or card = '4111111111111111'")
	sub := w.deny(w.agent, q)
	a := w.call("POST", "/access/v1/requests", w.agent, sub)
	var task api.TaskResponse
	a.json(t, &task)
	review := w.review(w.mira, task.Task.ID, "deny", "has 1 card in it")
	if review.status != 200 {
		t.Fatalf("%s", review.body)
	}
	for _, body := range []string{
		string(w.call("POST", "/access/v1/evaluation", w.agent, q).body), string(a.body),
		string(w.call("GET", "/access/v1/requests/"+task.Task.ID, w.agent, nil).body),
	} {
		for _, word := range []string{"email", "card", "4111", "mia.wong", "findings", "classes", "Mira", "person:mira", "has 1"} {
			if strings.Contains(body, word) {
				t.Errorf("an agent reads %q in %s", word, body)
			}
		}
	}
	seen := string(w.call("GET", "/v1/approvals/"+task.Task.ID, w.mira, nil).body)
	if !strings.Contains(seen, `"email":1`) || strings.Contains(seen, "4111111111111111") || strings.Contains(seen, "mia.wong") {
		t.Errorf("a reviewer sees %s", seen)
	}
}

func TestOnlyGatesAssertSubjectsAndFacts(t *testing.T) {
	w := newWorld(t)
	path := "/access/v1/evaluation"
	edit := func(fn func(q map[string]any)) map[string]any {
		q := question("data.read", "postgres:shop/orders", "select 1")
		fn(q)
		return q
	}
	subject := func(s map[string]any) map[string]any { return edit(func(q map[string]any) { q["subject"] = s }) }
	w.call("POST", path, w.agent, subject(map[string]any{"type": "agent", "id": "agent:other"})).problem(t, 403, "subject")
	w.call("POST", path, w.agent, subject(map[string]any{"type": "person", "id": "person:mira"})).problem(t, 403, "subject")
	w.call("POST", path, w.agent, subject(map[string]any{"type": "person", "id": "person:lena", "properties": map[string]any{"act": []string{"agent:other"}}})).problem(t, 403, "subject")
	if d := w.evaluate(w.agent, subject(map[string]any{"type": "person", "id": "person:lena"})); !d.Decision {
		t.Errorf("its own subject: %+v", d)
	}
	env := edit(func(q map[string]any) { q["resource"].(map[string]any)["properties"] = map[string]any{"env": "dev"} })
	w.call("POST", path, w.agent, env).problem(t, 403, "facts")
	data := edit(func(q map[string]any) {
		q["context"] = map[string]any{"data": map[string]any{"rows": 1, "scanned": true}}
	})
	w.call("POST", path, w.agent, data).problem(t, 403, "facts")

	if d := w.evaluate(w.gate, env); !d.Decision {
		t.Errorf("a gate states the environment: %+v", d)
	}
	if d := w.evaluate(w.gate, data); !d.Decision {
		t.Errorf("a gate states facts: %+v", d)
	}
	for name, s := range map[string]map[string]any{
		"unknown actor":  {"type": "agent", "id": "agent:ghost"},
		"unknown person": {"type": "person", "id": "person:ghost"},
		"unknown act":    {"type": "person", "id": "person:lena", "properties": map[string]any{"act": []string{"agent:ghost"}}},
		"wrong type":     {"type": "service", "id": "agent:other"},
	} {
		if a := w.call("POST", path, w.gate, subject(s)); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestBadQuestionsAreRefused(t *testing.T) {
	w := newWorld(t)
	edit := func(fn func(q, props map[string]any)) map[string]any {
		q := question("data.read", "postgres:shop/orders", "select 1")
		fn(q, q["action"].(map[string]any)["properties"].(map[string]any))
		return q
	}
	for name, q := range map[string]map[string]any{
		"unknown kind":          edit(func(_, p map[string]any) { p["kinds"] = []string{"data.peek"} }),
		"no kind":               edit(func(_, p map[string]any) { p["kinds"] = []string{} }),
		"unknown property":      edit(func(_, p map[string]any) { p["rows"] = 1 }),
		"empty payload":         edit(func(_, p map[string]any) { p["payload"] = "" }),
		"two payloads":          edit(func(_, p map[string]any) { p["payload_base64"] = "YQ==" }),
		"bad base64":            edit(func(_, p map[string]any) { delete(p, "payload"); p["payload_base64"] = "YQ=" }),
		"loose base64":          edit(func(_, p map[string]any) { delete(p, "payload"); p["payload_base64"] = "YR==" }),
		"unknown context":       edit(func(q, _ map[string]any) { q["context"] = map[string]any{"ip": "10.0.0.1"} }),
		"unknown subject type":  edit(func(q, _ map[string]any) { q["subject"] = map[string]any{"type": "user", "id": "x"} }),
		"no resource":           edit(func(q, _ map[string]any) { delete(q, "resource") }),
		"upper-case verb":       edit(func(q, _ map[string]any) { q["action"].(map[string]any)["name"] = "SELECT" }),
		"unknown at the top":    edit(func(q, _ map[string]any) { q["options"] = map[string]any{} }),
		"an approval of no one": edit(func(q, _ map[string]any) { q["context"] = map[string]any{"approval": map[string]any{"id": "apr_1"}} }),
	} {
		a := w.call("POST", "/access/v1/evaluation", w.agent, q)
		if a.status != 400 && a.status != 422 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
			continue
		}
		a.problem(t, a.status, "invalid")
	}
}

func TestEvaluations(t *testing.T) {
	w := newWorld(t)
	yes, no := question("data.read", "postgres:shop/orders", "select 1"), question("privilege.change", customers, "grant all")
	ask := func(semantic string, items ...map[string]any) api.Decisions {
		body := map[string]any{"subject": yes["subject"], "evaluations": items}
		if semantic != "" {
			body["options"] = map[string]any{"evaluations_semantic": semantic}
		}
		a := w.call("POST", "/access/v1/evaluations", w.agent, body)
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		var d api.Decisions
		a.json(t, &d)
		return d
	}
	bare := func(q map[string]any) map[string]any { q = maps.Clone(q); delete(q, "subject"); return q }
	yes, no = bare(yes), bare(no)
	yes["subject"] = question("", "", "")["subject"]
	for semantic, want := range map[string]int{"": 3, "execute_all": 3, "deny_on_first_deny": 2, "permit_on_first_permit": 1} {
		d := ask(semantic, yes, no, yes)
		if len(d.Evaluations) != want || !d.Evaluations[0].Decision || want > 1 && d.Evaluations[1].Decision {
			t.Errorf("%q: %d answers", semantic, len(d.Evaluations))
		}
	}
	one := w.call("POST", "/access/v1/evaluations", w.agent, yes)
	var d api.Decisions
	one.json(t, &d)
	if d.Decision == nil || !*d.Decision || d.Evaluations != nil {
		t.Errorf("without items: %s", one.body)
	}
	many := make([]map[string]any, 51)
	for i := range many {
		many[i] = yes
	}
	w.call("POST", "/access/v1/evaluations", w.agent, map[string]any{"evaluations": many}).problem(t, 422, "invalid")
	bad := maps.Clone(yes)
	bad["subject"] = map[string]any{"type": "agent", "id": "agent:other"}
	some := ask("", map[string]any{}, bad, yes)
	for i, status := range []int{400, 403, 0} {
		e := some.Evaluations[i]
		if e.Decision != (status == 0) || status != 0 && (e.Context.Error == nil || e.Context.Error.Status != status || e.Context.AccessRequest != nil) {
			t.Errorf("item %d: %+v", i, e.Context)
		}
	}
}

// requestable: people may be asked anew, with a token for exactly that.
func requestable(d api.Decision) bool {
	return d.Context.NextAction == "request" && d.Context.AccessRequest != nil && d.Context.AccessRequest.BindingToken != ""
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	key := header("Idempotency-Key", "7b8d0f0d")
	one := w.deny(w.agent, question("data.export", customers, "copy customers to stdout"))
	first := w.call("POST", "/access/v1/requests", w.agent, one, key)
	again := w.call("POST", "/access/v1/requests", w.agent, one, key)
	if first.status != 202 || again.status != 202 || string(first.body) == "" {
		t.Fatalf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	other := w.deny(w.agent, question("data.export", customers, "copy cards to stdout"))
	w.call("POST", "/access/v1/requests", w.agent, other, key).problem(t, 409, "duplicate_request")
	if a := w.call("POST", "/access/v1/requests", w.agent, other); a.status != 202 {
		t.Errorf("without the key: %d %s", a.status, a.body)
	}
	if found := must(w.engine.List(t.Context(), allApprovals()))(t); len(found) != 2 {
		t.Errorf("%d approvals", len(found))
	}
}

func TestClientAndCancellationAreClaims(t *testing.T) {
	w := newWorld(t)
	sub := w.deny(w.agent, question("data.export", customers, "copy customers to stdout"))
	sub["client"] = map[string]any{"name": "nightly", "source": map[string]any{"session_id": "run 7", "external_url": "https://tickets.example/9"}}
	a := w.call("POST", "/access/v1/requests", w.agent, sub)
	var task api.TaskResponse
	a.json(t, &task)
	held := must(w.engine.Get(t.Context(), task.Task.ID))(t)
	if held.Claims.Session != "run 7" || held.Claims.Ticket != "https://tickets.example/9" {
		t.Errorf("claims: %+v", held.Claims)
	}
	gone := w.call("POST", "/access/v1/requests/"+task.Task.ID+"/cancel", w.agent, map[string]any{"reason": "superseded", "comment": "see \u202e the other"})
	if gone.status != 200 {
		t.Fatalf("%d %s", gone.status, gone.body)
	}
	held = must(w.engine.Get(t.Context(), task.Task.ID))(t)
	if held.State != "withdrawn" || held.Why != "taken back by the asker: superseded see  the other" {
		t.Errorf("%s: %q", held.State, held.Why)
	}
}

// A gate that says it can't mask is told no, and people aren't asked for nothing.
func TestObligationsThatAGateCannotCarryOut(t *testing.T) {
	w := newWorld(t)
	for supported, want := range map[string]bool{"custom": true, "step-up": false} {
		q := question("data.read", customers, "select email from customers")
		q["context"] = map[string]any{"supported_obligations": []string{supported}}
		if d := w.evaluate(w.gate, q); d.Decision != want || !want && d.Context.Reason != "obligations" {
			t.Errorf("a gate that can %s: %+v", supported, d.Context)
		}
	}
	q := question("data.read", customers, "select email from customers")
	q["context"] = map[string]any{"supported_obligations": []string{"custom"}}
	if d := w.evaluate(w.agent, q); d.Decision {
		t.Errorf("an agent's word that it would mask: %+v", d.Context)
	}
}

func TestAGateGetsTheGrant(t *testing.T) {
	w := newWorld(t)
	q := question("data.export", customers, "copy customers to stdout")
	a := w.call("POST", "/access/v1/requests", w.gate, w.deny(w.gate, q))
	var task api.TaskResponse
	a.json(t, &task)
	if a := w.review(w.mira, task.Task.ID, "approve", ""); a.status != http.StatusOK {
		t.Fatalf("%s", a.body)
	}
	w.call("GET", "/access/v1/requests/"+task.Task.ID, w.gate, nil).json(t, &task)
	q["context"] = map[string]any{"approval": task.Result.Approval}
	d := w.evaluate(w.gate, q)
	if !d.Decision || strings.Count(d.Context.Grant, ".") != 2 {
		t.Fatalf("%+v", d.Context)
	}
	var done api.TaskResponse
	w.call("POST", "/access/v1/requests/"+task.Task.ID+"/outcome", w.gate, map[string]any{"state": "failed", "code": "57P01", "rows": 7}).json(t, &done)
	again := w.call("POST", "/access/v1/requests/"+task.Task.ID+"/outcome", w.gate, map[string]any{"state": "executed"})
	again.problem(t, 409, "decided")
	if done.Task.Execution != "failed" || w.view(w.mira, task.Task.ID).State != "failed" {
		t.Errorf("after its outcome: %+v", done)
	}
	if strings.Contains(w.logs.String(), d.Context.Grant) {
		t.Fatal("the log holds a grant")
	}
}

func TestUndecidedIsNo(t *testing.T) {
	w := newWorld(t)
	if err := w.store.Close(); err != nil {
		t.Fatal(err)
	}
	a := w.call("POST", "/access/v1/evaluation", w.agent, question("data.read", "postgres:shop/orders", "select 1"))
	a.problem(t, 401, "credential") // not even the credential can be checked
}
