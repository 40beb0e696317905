package api_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/api"
	"github.com/assenthq/assent/internal/audit"
)

func TestReviewing(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	path := "/v1/approvals/" + id + "/review"
	v := w.view(w.mira, id)
	if !v.YouMay || v.State != "pending" || v.Asks != "1 of data-owners" || v.Statement == "" || len(v.Seats) != 1 || v.Chain[0].ID != "agent:nightly-exporter" {
		t.Fatalf("%+v", v)
	}
	answer := func(decision, reason, digest string, version int64) map[string]any {
		return map[string]any{"decision": decision, "reason": reason, "digest": digest, "version": version}
	}
	if lena := w.view(w.lena, id); lena.YouMay || lena.YouCant == "" {
		t.Errorf("the agent's owner may review: %+v", lena)
	}
	w.call("POST", path, w.lena, answer("approve", "", v.Digest, v.Version)).problem(t, 403, "excluded")
	outsider := w.mint(reviewToken("person:ada"))
	w.call("POST", path, outsider, answer("approve", "", v.Digest, v.Version)).problem(t, 403, "not-eligible")
	w.call("POST", path, w.mira, answer("approve", "", "sha256:"+strings.Repeat("0", 64), v.Version)).problem(t, 409, "changed")
	w.call("POST", path, w.mira, answer("approve", "", v.Digest, v.Version+1)).problem(t, 409, "changed")
	w.call("POST", path, w.mira, answer("approve", "", "none", v.Version)).problem(t, 400, "invalid")
	w.call("POST", path, w.mira, answer("deny", " ", v.Digest, v.Version)).problem(t, 400, "invalid")
	w.call("POST", path, w.mira, answer("maybe", "", v.Digest, v.Version)).problem(t, 422, "invalid")
	if got := w.state(id); got != "pending" {
		t.Fatalf("the approval is %s", got)
	}
	a := w.call("POST", path, w.mira, answer("approve", "quarterly", v.Digest, v.Version))
	var after api.ApprovalView
	a.json(t, &after)
	if a.status != 200 || after.State != "approved" || len(after.Reviews) != 1 || after.Reviews[0].Assurance != "token" || after.Reviews[0].Channel != "api" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.call("POST", path, w.jonas, answer("deny", "late", after.Digest, after.Version)).problem(t, 409, "decided")
	w.call("GET", "/v1/approvals/apr_0000000000000000", w.mira, nil).problem(t, 404, "not-found")
	w.call("GET", "/v1/approvals/1%20or%201=1", w.mira, nil).problem(t, 422, "invalid")
}

func TestATokenIsNotEnoughWherePolicyWantsMore(t *testing.T) {
	w := newWorld(t)
	q := question("data.delete", customers, "delete from customers")
	var task api.TaskResponse
	w.call("POST", "/access/v1/requests", w.agent, w.deny(w.agent, q)).json(t, &task)
	v := w.view(w.mira, task.Task.ID)
	if v.YouMay || v.YouNeed != "console" {
		t.Errorf("may %v, needs %q", v.YouMay, v.YouNeed)
	}
	a := w.review(w.mira, task.Task.ID, "approve", "")
	a.problem(t, 403, "assurance")
	if !strings.Contains(string(a.body), `"need":"console"`) || w.state(task.Task.ID) != "pending" {
		t.Errorf("%s", a.body)
	}
}

func TestPagesHoldEachApprovalOnce(t *testing.T) {
	w := newWorld(t)
	want := map[string]bool{}
	for i := range 7 {
		want[w.hold(w.agent, fmt.Sprintf("copy customers to stdout -- %d", i))] = true
	}
	got, cursor := map[string]bool{}, ""
	for range 10 {
		var p api.Page
		a := w.call("GET", "/v1/approvals?limit=3&state=pending,approved&cursor="+cursor, w.reader, nil)
		a.json(t, &p)
		for _, v := range p.Approvals {
			if got[v.ID] {
				t.Errorf("%s came twice", v.ID)
			}
			got[v.ID] = true
		}
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d of %d approvals", len(got), len(want))
	}
	w.call("GET", "/v1/approvals?cursor=nonsense", w.reader, nil).problem(t, 400, "invalid")
	w.call("GET", "/v1/approvals?limit=1000", w.reader, nil).problem(t, 422, "invalid")
	w.call("GET", "/v1/approvals?state=maybe", w.reader, nil).problem(t, 422, "invalid")
	w.call("GET", "/v1/approvals?colour=red", w.reader, nil).problem(t, 422, "invalid")
}

func TestLongPollReturnsWithTheDecision(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	if a := w.call("GET", "/v1/approvals/"+id+"?wait=0s", w.mira, nil); a.status != 200 || !strings.Contains(string(a.body), `"state":"pending"`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	var wg sync.WaitGroup
	var reviewer, asker *answer
	wg.Go(func() { reviewer = w.call("GET", "/v1/approvals/"+id+"?wait=60s", w.jonas, nil) })
	wg.Go(func() { asker = w.call("GET", "/access/v1/requests/"+id+"?wait=60", w.agent, nil) })
	if a := w.review(w.mira, id, "deny", "not today"); a.status != 200 {
		t.Fatalf("%s", a.body)
	}
	wg.Wait()
	if !strings.Contains(string(reviewer.body), `"state":"denied"`) || !strings.Contains(string(asker.body), `"status":"denied"`) {
		t.Errorf("%s\n%s", reviewer.body, asker.body)
	}
	w.call("GET", "/v1/approvals/"+id+"?wait=61s", w.mira, nil).problem(t, 400, "invalid")
	w.call("GET", "/v1/approvals/"+id+"?wait=1h", w.mira, nil).problem(t, 422, "invalid")
}

func TestWithdraw(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	w.call("POST", "/v1/approvals/"+id+"/withdraw", w.reader, map[string]any{"reason": "x"}).problem(t, 403, "scope")
	w.call("POST", "/v1/approvals/"+id+"/withdraw", w.admin, map[string]any{}).problem(t, 422, "invalid")
	if a := w.call("POST", "/v1/approvals/"+id+"/withdraw", w.admin, map[string]any{"reason": "the exporter is gone"}); a.status != 200 || w.state(id) != "withdrawn" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.review(w.mira, id, "approve", "").problem(t, 409, "decided")
}

func TestAuditOverTheAPI(t *testing.T) {
	w := newWorld(t)
	id := w.hold(w.agent, "copy customers to stdout")
	w.review(w.mira, id, "approve", "fine")
	var page api.Records
	w.call("GET", "/v1/audit/records?limit=2", w.reader, nil).json(t, &page)
	if len(page.Records) != 2 || page.Next != page.Records[1].Index {
		t.Fatalf("%+v", page)
	}
	var rest api.Records
	w.call("GET", fmt.Sprintf("/v1/audit/records?before=%d", page.Next), w.reader, nil).json(t, &rest)
	if len(rest.Records) == 0 || rest.Records[0].Index != page.Next-1 {
		t.Fatalf("%+v", rest)
	}
	var reviews api.Records
	w.call("GET", "/v1/audit/records?type=review&approval="+id+"&since=2020-01-01T00:00:00Z", w.reader, nil).json(t, &reviews)
	if len(reviews.Records) != 1 || reviews.Records[0].Person != "person:mira" || reviews.Records[0].Type != audit.TypeReview {
		t.Fatalf("%+v", reviews)
	}
	index := reviews.Records[0].Index
	proof := w.call("GET", fmt.Sprintf("/v1/audit/proof?index=%d", index), w.reader, nil)
	var leaf []byte
	if err := w.store.Leaves(t.Context(), index, index+1, func(_ int64, l []byte) error { leaf = append(leaf, l...); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, _, err := evidence.VerifyProof(proof.body, leaf, w.vkeys...); err != nil {
		t.Fatalf("the proof doesn't hold: %v", err)
	}
	if cp := w.call("GET", "/v1/audit/checkpoint", w.reader, nil); cp.status != 200 || !strings.HasPrefix(string(cp.body), "localhost/assent/log\n") {
		t.Fatalf("%d %s", cp.status, cp.body)
	}
	unsigned := newWorld(t, func(o *api.Options) { o.Log = neverSigned{} })
	unsigned.call("GET", "/v1/audit/proof?index=0", unsigned.reader, nil).problem(t, 503, "not-signed")
	unsigned.call("GET", "/v1/audit/checkpoint", unsigned.reader, nil).problem(t, 404, "not-found")
	w.call("GET", "/v1/audit/proof?index=100000", w.reader, nil).problem(t, 404, "not-found")
	w.call("GET", "/v1/audit/proof", w.reader, nil).problem(t, 422, "invalid")
	w.call("GET", "/v1/audit/records?since=yesterday", w.reader, nil).problem(t, 422, "invalid")
}

func TestAskingAgainAfterTheEndIsAnotherRequest(t *testing.T) {
	w := newWorld(t)
	first := w.hold(w.agent, "copy customers to stdout")
	if a := w.review(w.mira, first, "deny", "no"); a.status != 200 {
		t.Fatalf("%s", a.body)
	}
	second := w.hold(w.agent, "copy customers to stdout")
	v := w.view(w.mira, second)
	if second == first || v.Repeats != 1 || len(v.Seats) != 2 {
		t.Fatalf("after a denial: %+v", v)
	}
	if v.Expires.Sub(v.Created) != 15*time.Minute {
		t.Errorf("it lives for %s", v.Expires.Sub(v.Created))
	}
}

// An agent that floods people is told which refusal it met, and when to come back.
func TestTooManyPending(t *testing.T) {
	w := newWorld(t)
	for i := range 20 {
		w.hold(w.agent, fmt.Sprintf("copy customers to stdout -- %d", i))
	}
	q := question("data.export", "postgres:shop/customers", "copy customers to stdout -- one more")
	a := w.call("POST", "/access/v1/requests", w.agent, w.deny(w.agent, q))
	a.problem(t, 429, "too-many-pending")
	if a.header.Get("Retry-After") == "" {
		t.Error("it isn't told when to come back")
	}
}

// Other words for what people denied are no new question.
func TestReworded(t *testing.T) {
	w := newWorld(t)
	if a := w.review(w.mira, w.hold(w.agent, "copy customers to stdout"), "deny", "no"); a.status != 200 {
		t.Fatalf("%s", a.body)
	}
	if v := w.view(w.mira, w.hold(w.agent, "COPY customers TO stdout -- please")); v.Repeats != 1 || len(v.Seats) != 2 {
		t.Errorf("after a denial: %+v", v)
	}
}

// neverSigned is a log whose signer is gone.
type neverSigned struct{ api.Log }

func (neverSigned) Checkpoint() []byte                           { return nil }
func (neverSigned) Proof(context.Context, int64) ([]byte, error) { return nil, errEnough }
