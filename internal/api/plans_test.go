package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

// plan evaluates exports and returns the submission for all of them.
func (w *world) plan(token string, sqls ...string) map[string]any {
	w.t.Helper()
	var items []any
	var subject any
	for _, sql := range sqls {
		sub := w.deny(token, question("data.export", customers, sql))
		subject = sub["subject"]
		items = append(items, map[string]any{"action": sub["action"], "resource": sub["resource"], "denial": sub["denial"]})
	}
	return map[string]any{"subject": subject, "items": items}
}

func (w *world) holdPlan(token string, sqls ...string) api.Task {
	w.t.Helper()
	a := w.call("POST", "/access/v1/requests", token, w.plan(token, sqls...))
	if a.status != 202 || a.header.Get("Retry-After") == "" {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	var out api.TaskResponse
	a.json(w.t, &out)
	if out.Task.Status != "pending" || a.header.Get("Location") != out.Task.StatusEndpoint || out.Result != nil || len(out.Task.Items) != len(sqls) {
		w.t.Fatalf("%s", a.body)
	}
	return out.Task
}

func (w *world) task(id string) api.TaskResponse {
	w.t.Helper()
	var out api.TaskResponse
	a := w.call("GET", "/access/v1/requests/"+id, w.agent, nil)
	if a.status != 200 {
		w.t.Fatalf("%d %s", a.status, a.body)
	}
	a.json(w.t, &out)
	return out
}

func statuses(t api.Task) (out []string) {
	for _, item := range t.Items {
		out = append(out, strings.TrimSpace(item.Status+" "+item.Execution))
	}
	return out
}

func TestAPlanOverHTTP(t *testing.T) {
	w := newWorld(t)
	sqls := []string{"copy customers to stdout", "copy orders to stdout", "copy cards to stdout"}
	task := w.holdPlan(w.agent, sqls...)
	if task.Links["cancel"] == "" || task.Items[1].Resource.ID != customers || task.Items[1].Action.Name != "select" || task.Items[1].Result != nil {
		t.Fatalf("%+v", task)
	}
	again := w.holdPlan(w.agent, sqls...)
	if again.ID != task.ID {
		t.Error("the same plan asked again is another")
	}
	w.call("GET", "/access/v1/requests/"+task.ID, w.other, nil).problem(t, 404, "unknown_task")
	w.call("GET", "/access/v1/requests/"+task.Items[0].ID, w.other, nil).problem(t, 404, "unknown_task")
	w.call("POST", "/access/v1/requests/"+task.Items[0].ID+"/cancel", w.agent, nil).problem(t, 409, "invalid_task_state")
	if one := w.task(task.Items[0].ID); one.Task.Status != "pending" || one.Task.Links["cancel"] != "" || !strings.HasSuffix(one.Task.Links["plan"], task.ID) {
		t.Errorf("an item by itself: %+v", one.Task)
	}

	v := w.view(w.mira, task.ID)
	if len(v.Items) != 3 || v.Items[2].Statement != sqls[2] || v.Items[2].State != "planned" || v.Items[0].Rank != 1 || !v.YouMay {
		t.Fatalf("reviewers see %+v", v)
	}
	if item := w.view(w.mira, task.Items[1].ID); item.State != "planned" || item.Plan != task.ID || item.PlanItem != 2 || item.YouMay {
		t.Errorf("an item by itself: %+v", item)
	}
	w.review(w.mira, task.Items[1].ID, "approve", "").problem(t, 409, "part-of-a-plan")
	w.review(w.lena, task.ID, "approve", "").problem(t, 403, "excluded")
	var page api.Page
	w.call("GET", "/v1/approvals", w.mira, nil).json(t, &page)
	if len(page.Approvals) != 1 || page.Approvals[0].ID != task.ID {
		t.Errorf("%d are listed", len(page.Approvals))
	}
	if a := w.review(w.mira, task.ID, "approve", "fine"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}

	got := w.task(task.ID)
	if got.Task.Status != "approved" || got.Result != nil || !slices.Equal(statuses(got.Task), []string{"approved", "approved", "approved"}) {
		t.Fatalf("%+v", got)
	}
	redeem := func(sql string, item api.TaskItem) *api.Decision {
		q := maps.Clone(question("data.export", customers, sql))
		q["context"] = map[string]any{"approval": item.Result.Approval}
		d := w.evaluate(w.agent, q)
		return &d
	}
	if d := redeem(sqls[0], got.Task.Items[1]); d.Decision || d.Context.Reason != "out_of_scope" {
		t.Errorf("one item with the approval of another: %+v", d.Context)
	}
	for _, i := range []int{2, 0, 1} {
		if d := redeem(sqls[i], got.Task.Items[i]); !d.Decision || d.Context.Approval.ID != task.Items[i].ID {
			t.Errorf("item %d: %+v", i+1, d.Context)
		}
		if d := redeem(sqls[i], got.Task.Items[i]); d.Decision {
			t.Errorf("item %d ran twice", i+1)
		}
	}
	if after := w.task(task.ID).Task; after.Status != "approved" || statuses(after)[0] != "approved executing" {
		t.Errorf("%v", statuses(after))
	}
	if n := len(must(w.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeStarted}}))(t)); n != 3 {
		t.Errorf("%d starts on record", n)
	}
}

func TestAPlanThatEndsInParts(t *testing.T) {
	w := newWorld(t)
	task := w.holdPlan(w.agent, "copy a", "copy b", "copy c")
	if a := w.review(w.mira, task.ID, "approve", "fine"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	got := w.task(task.ID).Task
	q := question("data.export", customers, "copy b")
	q["context"] = map[string]any{"approval": got.Items[1].Result.Approval}
	if d := w.evaluate(w.agent, q); !d.Decision {
		t.Fatalf("%+v", d.Context)
	}
	if err := w.engine.Finish(t.Context(), got.Items[1].ID, approval.Outcome{State: approval.Failed}); err != nil {
		t.Fatal(err)
	}
	after := w.task(task.ID).Task
	if after.Status != "partial" || !slices.Equal(statuses(after), []string{"cancelled", "approved failed", "cancelled"}) {
		t.Errorf("%s: %v", after.Status, statuses(after))
	}
	w.call("POST", "/access/v1/requests/"+task.ID+"/cancel", w.agent, nil).problem(t, 409, "invalid_task_state")

	for name, end := range map[string]func(id string) *answer{
		"denied":    func(id string) *answer { return w.review(w.mira, id, "deny", "no") },
		"cancelled": func(id string) *answer { return w.call("POST", "/access/v1/requests/"+id+"/cancel", w.agent, nil) },
	} {
		task := w.holdPlan(w.agent, name+" a", name+" b")
		if a := end(task.ID); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if after := w.task(task.ID).Task; after.Status != name || !slices.Equal(statuses(after), []string{name, name}) {
			t.Errorf("%s: %v", after.Status, statuses(after))
		}
	}
}

func TestAPlanIsBoundItemByItem(t *testing.T) {
	w := newWorld(t)
	sub := w.plan(w.agent, "copy a", "copy b")
	change := func(fn func(c map[string]any, item func(i int) map[string]any)) map[string]any {
		var c map[string]any
		mustDecode(t, must(json.Marshal(sub))(t), &c)
		fn(c, func(i int) map[string]any { return c["items"].([]any)[i].(map[string]any) })
		return c
	}
	bad := func(name string, status int, kind, says string, body map[string]any) {
		t.Helper()
		a := w.call("POST", "/access/v1/requests", w.agent, body)
		a.problem(t, status, kind)
		if !strings.Contains(string(a.body), says) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	type m = map[string]any
	bad("no denial", 400, "invalid_denial_binding", "Item 2: ", change(func(_ m, item func(int) m) { delete(item(1), "denial") }))
	bad("denials swapped", 400, "invalid_denial_binding", "Item 1: ", change(func(_ m, item func(int) m) {
		item(0)["denial"], item(1)["denial"] = item(1)["denial"], item(0)["denial"]
	}))
	bad("another payload", 400, "invalid_denial_binding", "Item 2: ", change(func(_ m, item func(int) m) {
		item(1)["action"].(m)["properties"].(m)["payload"] = "copy c"
	}))
	bad("another state", 400, "invalid_denial_binding", "Item 2: ", change(func(_ m, item func(int) m) {
		item(1)["action"].(m)["properties"].(m)["state"] = m{"role": "admin"}
	}))
	bad("a denial of the whole", 400, "invalid_denial_binding", "of its own", change(func(c m, item func(int) m) { c["denial"] = item(0)["denial"] }))
	bad("an action of the whole", 400, "invalid", "body.items", change(func(c m, item func(int) m) { c["action"] = item(0)["action"] }))
	bad("an approval", 400, "invalid", "needs no request", change(func(c m, _ func(int) m) {
		c["context"] = m{"approval": m{"id": "apr_x", "approved_until": "2030-01-01T00:00:00Z"}}
	}))
	bad("no kinds", 400, "invalid", "body.items[1].action.properties", change(func(_ m, item func(int) m) {
		item(1)["action"].(m)["properties"].(m)["kinds"] = []string{"made.up"}
	}))
	bad("the same twice", 400, "invalid", "Item 3: ", change(func(c m, item func(int) m) { c["items"] = []any{item(0), item(1), item(0)} }))
	bad("an empty plan", 400, "invalid", "or items", change(func(c m, _ func(int) m) { c["items"] = []any{} }))
	many := change(func(c m, item func(int) m) {
		for range 49 {
			c["items"] = append(c["items"].([]any), item(0))
		}
	})
	if a := w.call("POST", "/access/v1/requests", w.agent, many); a.status < 400 || a.status >= 500 {
		t.Errorf("51 items: %d", a.status)
	}
	second := w.mint(newActorToken())
	w.call("POST", "/access/v1/requests", second, sub).problem(t, 400, "invalid_denial_binding")
	if found := must(w.engine.List(t.Context(), allApprovals()))(t); len(found) != 0 {
		t.Fatalf("%d approvals came of it", len(found))
	}
	key := header("Idempotency-Key", "k1")
	if a := w.call("POST", "/access/v1/requests", w.agent, sub, key); a.status != 202 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.call("POST", "/access/v1/requests", w.agent, w.plan(w.agent, "copy a", "copy c"), key).problem(t, 409, "duplicate_request")
}

func TestTheClientAsksForAPlan(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	agent, mira := w.client(w.agent), w.client(w.mira)
	var qs []client.Question
	for i := range 2 {
		qs = append(qs, client.Question{
			Subject:  client.Subject{Type: "agent", ID: "agent:nightly-exporter"},
			Action:   client.Action{Name: "copy", Properties: client.ActionProperties{Kinds: []string{"data.export"}, Payload: fmt.Sprint("copy ", i)}},
			Resource: client.Resource{Type: "postgres", ID: customers}, Context: &client.Context{Reason: "the night's work"},
		})
	}
	ds := must(agent.EvaluateAll(ctx, qs...))(t)
	if _, err := agent.RequestPlan(ctx, qs, ds[:1]); err == nil {
		t.Error("a plan with a denial too few")
	}
	task := must(agent.RequestPlan(ctx, qs, ds))(t)
	page := must(mira.Approvals(ctx, client.ListOptions{}))(t)
	if len(page.Approvals) != 1 || len(page.Approvals[0].Items) != 2 || page.Approvals[0].Claims.Reason != "the night's work" {
		t.Fatalf("%+v", page)
	}
	if a := must(mira.Review(ctx, page.Approvals[0], client.Approve, "fine"))(t); a.State != "approved" || a.Items[0].State != "approved" {
		t.Fatalf("%+v", a)
	}
	got := must(agent.AwaitRequest(ctx, task.ID))(t)
	if got.Status != "approved" || got.Approval != nil || len(got.Items) != 2 {
		t.Fatalf("%+v", got)
	}
	for i, q := range qs {
		q.Context.Approval = got.Items[i].Approval
		if d := must(agent.Evaluate(ctx, q))(t); !d.Decision {
			t.Errorf("item %d: %+v", i+1, d.Context)
		}
	}
}

// Frozen since it was evaluated: the plan is refused, and says which item.
func TestAPlanWithAFrozenItem(t *testing.T) {
	w := newWorld(t)
	sub := w.plan(w.agent, "copy a")
	cold := w.deny(w.agent, question("data.export", "postgres:shop/orders", "copy b"))
	sub["items"] = append(sub["items"].([]any), map[string]any{"action": cold["action"], "resource": cold["resource"], "denial": cold["denial"]})
	if a := w.call("POST", "/v1/freezes", w.mira, map[string]any{"what": "resource", "name": "postgres:shop/orders", "reason": "look"}); a.status >= 300 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a := w.call("POST", "/access/v1/requests", w.agent, sub)
	a.problem(t, 403, "denied")
	if !strings.Contains(string(a.body), "Item 2: frozen") {
		t.Errorf("%s", a.body)
	}
	if found := must(w.engine.List(t.Context(), allApprovals()))(t); len(found) != 0 {
		t.Fatalf("%d approvals came of it", len(found))
	}
}

// Not asked about, or denied by policy: either refuses the plan and says which item.
func TestAPlanHoldsOnlyWhatPeopleAreAskedAbout(t *testing.T) {
	w := newWorld(t)
	sub := w.plan(w.agent, "copy a")
	for kind, says := range map[string]string{"data.read": "no denial", "payment": "no denial"} {
		q := question(kind, "postgres:shop/orders", "x")
		body := map[string]any{"subject": q["subject"], "items": append(slices.Clone(sub["items"].([]any)), map[string]any{"action": q["action"], "resource": q["resource"]})}
		a := w.call("POST", "/access/v1/requests", w.agent, body)
		a.problem(t, 400, "invalid_denial_binding")
		if !strings.Contains(string(a.body), "Item 2: ") || !strings.Contains(string(a.body), says) {
			t.Errorf("%s: %s", kind, a.body)
		}
	}
}
