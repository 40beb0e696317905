package api_test

import (
	"strings"
	"testing"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/api"
)

// TestAReviewWithAnObligation: what a reviewer adds is on the card, bound in the grant
// and owed by whoever lets the action run.
func TestAReviewWithAnObligation(t *testing.T) {
	w := newWorld(t)
	sql := "copy customers to stdout"
	id := w.hold(w.agent, sql)
	path := "/v1/approvals/" + id + "/review"
	v := w.view(w.mira, id)
	answer := func(o map[string]any) map[string]any {
		return map[string]any{"decision": "approve", "digest": v.Digest, "version": v.Version, "obligation": o}
	}
	for name, o := range map[string]map[string]any{
		"no class": {"masks": map[string]string{"everything": "redact"}}, "no method": {"masks": map[string]string{"email": "show"}},
		"a longer window": {"use_within": 86400},
	} {
		if a := w.call("POST", path, w.mira, answer(o)); a.status != 422 || !strings.Contains(string(a.body), "can't be added") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	w.call("POST", path, w.mira, answer(map[string]any{"max_rows": 0})).problem(t, 422, "invalid")
	w.call("POST", path, w.mira, answer(map[string]any{"loosen": true})).problem(t, 422, "invalid")
	rows := int64(7)
	c := w.client(w.mira)
	p, err := c.Approval(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	after, err := c.ReviewWith(t.Context(), p, client.Approve, "", &client.Besides{Masks: map[string]string{"phone": "redact"}, Rows: &rows, Window: 60}, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := after.Reviews[0].Obligation
	if after.State != "approved" || o == nil || *o.Rows != 7 || *after.RowLimit != 7 || after.Masks["phone"] != "redact" || after.UseUntil != 60 {
		t.Fatalf("%+v", after)
	}
	var task api.TaskResponse
	w.call("GET", "/access/v1/requests/"+id, w.agent, nil).json(t, &task)
	q := question("data.export", customers, sql)
	q["context"] = map[string]any{"approval": task.Result.Approval}
	if d := w.evaluate(w.agent, q); d.Decision || d.Context.Reason != "obligations" {
		t.Errorf("an agent that can't mask: %+v", d.Context)
	}
}

func TestReviewerQualityIsOnesOwnOrAnAdministrators(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	if a := w.review(w.mira, id, "approve", ""); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.call("GET", "/v1/reviewers/quality", w.agent, nil).problem(t, 403, "scope")
	if own, err := w.client(w.mira).Reviewers(t.Context()); err != nil || len(own) != 1 || own[0].Person != "person:mira" {
		t.Errorf("her own: %+v, %v", own, err)
	}
	if none, err := w.client(w.lena).Reviewers(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("a colleague's: %+v, %v", none, err)
	}
	list, err := w.client(w.admin).Reviewers(t.Context())
	if err != nil || len(list) != 1 || list[0].Person != "person:mira" || list[0].Reviews != 1 || list[0].Approved != 1 || list[0].Name == "" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestQuestionsOverTheAPI(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	said := func(text string) map[string]any { return map[string]any{"text": text} }
	ask := "/v1/approvals/" + id + "/questions"
	w.call("POST", ask, w.lena, said("why?")).problem(t, 403, "excluded")
	w.call("POST", ask, w.agent, said("why?")).problem(t, 403, "scope")
	w.call("POST", ask, w.mira, said("")).problem(t, 422, "invalid")
	var v api.ApprovalView
	w.call("POST", ask, w.mira, said("for bob@corp.example?")).json(t, &v)
	if len(v.Remarks) != 1 || strings.Contains(v.Remarks[0].Text, "bob@") || v.State != "pending" {
		t.Fatalf("%+v", v.Remarks)
	}
	var task api.TaskResponse
	w.call("GET", "/access/v1/requests/"+id, w.agent, nil).json(t, &task)
	if len(task.Task.Questions) != 1 || !strings.HasSuffix(task.Task.Questions[0].Answer, ask+"/"+v.Remarks[0].ID+"/answer") {
		t.Fatalf("the asker sees %+v", task.Task.Questions)
	}
	reply := ask + "/" + v.Remarks[0].ID + "/answer"
	w.call("POST", reply, w.other, said("for me")).problem(t, 404, "unknown_task")
	w.call("POST", reply, w.jonas, said("for me")).problem(t, 403, "not-asked")
	w.call("POST", ask+"/qst_0000000000000000/answer", w.agent, said("for me")).problem(t, 404, "not-found")
	stale := v.Version
	if text, err := w.client(w.agent).Answer(t.Context(), id, v.Remarks[0].ID, "yes, 4111 1111 1111 1111 wanted it"); err != nil || strings.Contains(text, "4111") {
		t.Fatalf("%q, %v", text, err)
	}
	w.call("POST", reply, w.agent, said("again")).problem(t, 404, "not-found")
	w.call("POST", "/v1/approvals/"+id+"/review", w.mira, map[string]any{"decision": "approve", "digest": v.Digest, "version": stale}).problem(t, 409, "changed")
	if got := w.view(w.mira, id); len(got.Remarks) != 2 || got.Remarks[1].By != "agent:nightly-exporter" || len(got.Steps) == 0 {
		t.Errorf("%+v", got.Remarks)
	}
	again, err := w.client(w.mira).Ask(t.Context(), id, "and when?")
	if err != nil {
		t.Fatal(err)
	}
	w.call("POST", ask+"/"+again.Remarks[2].ID+"/answer", w.lena, said("tonight")).json(t, &api.Answered{}) // its owner
	if got := w.view(w.jonas, id); got.State != "pending" || got.Remarks[3].By != "person:lena" {
		t.Errorf("%+v", got.Remarks)
	}
}
