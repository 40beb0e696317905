package mcp

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/assenthq/assent/gate"
)

// begun makes a call that becomes a task.
func (d *desk) begun(params string) (id string, w *Waiting) {
	d.t.Helper()
	w = d.call(Stateless, tasksToo, params)
	got := resultOf(d.l.Call(d.t.Context(), w))
	id = text(got, "taskId")
	if text(got, "resultType") != "task" || text(got, "status") != "working" || !strings.HasPrefix(id, taskIDPrefix) || !strings.Contains(text(got, "statusMessage"), "1 of reviewers") {
		d.t.Fatalf("no task: %s", got)
	}
	return id, w
}

// about sends a method of tasks, and returns the whole answer.
func (d *desk) about(w *Waiting, method, id string, more ...string) []byte {
	d.t.Helper()
	ask := *w
	ask.Method, ask.ID = method, []byte("2")
	ask.Params = []byte(`{"taskId":` + strconv.Quote(id) + strings.Join(more, "") + `}`)
	got, mine := d.l.Method(d.t.Context(), &ask)
	if !mine {
		d.t.Fatalf("%s is left to the server", method)
	}
	return got
}

func (d *desk) status(w *Waiting, id string) string {
	return text(resultOf(d.about(w, "tasks/get", id)), "status")
}

func TestATaskRunsOnceItIsApproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.l.Close()
		id, w := d.begun(strings.TrimSuffix(drop1, "}") + `,"_meta":{"` + metaCapabilities + `":` + tasksToo + `}}`)
		start := time.Now()
		if s := d.status(w, id); s != "working" || time.Since(start) != taskPoll {
			t.Errorf("%s after %s", s, time.Since(start))
		}
		d.counts(1, 0)
		d.decide("approved")
		got := resultOf(d.about(w, "tasks/get", id))
		if text(got, "status") != "completed" || text(got, "resultType") != "complete" || string(member(member(got, "result"), "content")) != "[]" {
			t.Errorf("%s", got)
		}
		if again := resultOf(d.about(w, "tasks/get", id)); string(again) != string(got) {
			t.Errorf("asked again: %s", again)
		}
		d.counts(1, 1)
		if strings.Contains(d.ran[0], Tasks) || !strings.Contains(d.ran[0], "x/y") {
			t.Errorf("the server is told of tasks: %s", d.ran[0])
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if got := d.about(w, "tasks/get", id); string(member(member(got, "error"), "code")) != "-32602" {
			t.Errorf("long over: %s", got)
		}
	})
}

// To any other credential, and at any other server, a task doesn't exist.
func TestATaskIsItsCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.l.Close()
		id, w := d.begun(drop1)
		for name, change := range map[string]func(w *Waiting){
			"credential": func(w *Waiting) { w.Credential = "other" },
			"server":     func(w *Waiting) { w.Server = "two" },
		} {
			other := *w
			change(&other)
			for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
				if got := d.about(&other, method, id, `,"inputResponses":{}`); string(member(member(got, "error"), "code")) != "-32602" || strings.Contains(string(got), "apr_") {
					t.Errorf("%s, %s: %s", name, method, got)
				}
			}
		}
		if len(d.withdrawn) != 0 || d.status(w, id) != "working" {
			t.Error("another's cancel reached it")
		}
		for _, wrong := range []string{"", "task_", id + "x", strings.ToLower(id), "apr_1", "\x00"} {
			if got := d.about(w, "tasks/get", wrong); string(member(member(got, "error"), "code")) != "-32602" {
				t.Errorf("%q: %s", wrong, got)
			}
		}
	})
}

func TestTasksNeedTheirCapability(t *testing.T) {
	d := newDesk(t)
	defer d.l.Close()
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		got := d.about(d.call(Stateless, urlOnly, drop1), method, "task_x")
		if string(member(member(got, "error"), "code")) != "-32021" || !strings.Contains(string(got), `"requiredCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}`) {
			t.Errorf("%s: %s", method, got)
		}
	}
	w := d.call(Stateless, urlOnly, `{"notifications":{"taskIds":["task_x"]}}`)
	w.Method = "subscriptions/listen"
	if got, mine := d.l.Method(t.Context(), w); !mine || string(member(member(got, "error"), "code")) != "-32021" {
		t.Errorf("listening: %s", got)
	}
	w = d.call(Stateless, tasksToo, `{"notifications":{"taskIds":["task_x"],"toolsListChanged":true}}`)
	w.Method = "subscriptions/listen"
	w.Run = func(_, _ context.Context, params []byte, _ func(gate.Held)) ([]byte, *gate.Denied) {
		return params, nil
	}
	if got, mine := d.l.Method(t.Context(), w); !mine || string(got) != `{"notifications":{"toolsListChanged":true}}` {
		t.Errorf("the server is asked %s", got)
	}
	for _, version := range []string{"", "2025-11-25"} { // there they are another thing, and nothing of ours
		if _, mine := d.l.Method(t.Context(), &Waiting{Method: "tasks/get", Version: version, Capabilities: []byte(tasksToo)}); mine {
			t.Errorf("%q has tasks", version)
		}
	}
}

func TestACancelledTaskWithdraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.l.Close()
		id, w := d.begun(drop1)
		if got := resultOf(d.about(w, "tasks/cancel", id)); string(got) != `{"resultType":"complete"}` {
			t.Errorf("%s", got)
		}
		synctest.Wait()
		if s := d.status(w, id); s != "cancelled" || len(d.withdrawn) != 1 {
			t.Errorf("%s, withdrawn %q", s, d.withdrawn)
		}
		d.about(w, "tasks/cancel", id)
		if d.counts(1, 0); len(d.withdrawn) != 1 {
			t.Errorf("cancelled twice: %q", d.withdrawn)
		}
	})
}

// A denied approval completes its task with a result that says so; an error of
// JSON-RPC fails it.
func TestHowATaskEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.l.Close()
		id, w := d.begun(drop1)
		d.decide("denied")
		synctest.Wait()
		got := resultOf(d.about(w, "tasks/get", id))
		if text(got, "status") != "completed" || string(member(member(got, "result"), "isError")) != "true" {
			t.Errorf("%s", got)
		}
		d.replies = [][]byte{[]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"broken"}}`)}
		id, w = d.begun(drop1)
		d.decide("approved")
		synctest.Wait()
		got = resultOf(d.about(w, "tasks/get", id))
		if text(got, "status") != "failed" || string(member(member(got, "error"), "code")) != "-32000" {
			t.Errorf("%s", got)
		}
	})
}

// A client that leaves before anybody is asked leaves no task behind.
func TestNoTaskOfAClientThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.l.Close()
		w := d.call(Stateless, tasksToo, drop1)
		ctx, leave := context.WithCancel(t.Context())
		w.Run = func(run, _ context.Context, _ []byte, _ func(gate.Held)) ([]byte, *gate.Denied) {
			leave()
			<-run.Done()
			return nil, nil
		}
		if got := d.l.Call(ctx, w); got != nil || len(d.l.tasks.open) != 0 {
			t.Errorf("%s", got)
		}
		ctx, leave = context.WithCancel(t.Context())
		w.Run = func(run, deciding context.Context, _ []byte, held func(gate.Held)) ([]byte, *gate.Denied) {
			leave()
			<-run.Done()
			held(gate.Held{ID: "apr_1", Expires: time.Now().Add(time.Hour)}) // too late: nobody would know its name
			<-deciding.Done()
			return nil, nil
		}
		if got := d.l.Call(ctx, w); got != nil || len(d.l.tasks.open) != 0 {
			t.Errorf("%s", got)
		}
	})
}

// What the server asks in the middle of a task is asked under keys of their own,
// and the call goes on with all of the answers.
func TestATaskAsksForInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		defer d.l.Close()
		asks := []byte(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"name":{"method":"elicitation/create"},"age":{"method":"elicitation/create"}},"requestState":"s\u0031"}}`)
		d.replies = [][]byte{asks, asks}
		id, w := d.begun(drop1)
		d.decide("approved")
		synctest.Wait()
		got := resultOf(d.about(w, "tasks/get", id))
		if text(got, "status") != "input_required" || member(member(got, "inputRequests"), "age") == nil {
			t.Fatalf("%s", got)
		}
		d.about(w, "tasks/update", id, `,"inputResponses":{"name":{"action":"accept"},"other":{}}`)
		synctest.Wait()
		if s := d.status(w, id); s != "input_required" {
			t.Errorf("half answered it is %s", s)
		}
		d.about(w, "tasks/update", id, `,"inputResponses":{"age":{"action":"decline"}}`)
		synctest.Wait()
		d.decide("approved") // with answers it is another action
		synctest.Wait()
		got = resultOf(d.about(w, "tasks/get", id))
		if text(got, "status") != "input_required" || member(member(got, "inputRequests"), "1.age") == nil || member(member(got, "inputRequests"), "age") != nil {
			t.Fatalf("the second round: %s", got)
		}
		d.about(w, "tasks/update", id, `,"inputResponses":{"1.age":{"x":1},"1.name":{"x":2},"name":{"x":3}}`)
		synctest.Wait()
		d.decide("approved")
		synctest.Wait()
		if s := d.status(w, id); s != "completed" {
			t.Errorf("it is %s", s)
		}
		d.counts(3, 3)
		want := []string{
			`"inputResponses":{"name":{"action":"accept"},"age":{"action":"decline"}},"requestState":"s\u0031"`,
			`"inputResponses":{"name":{"x":2},"age":{"x":1}},"requestState":"s\u0031"`,
		}
		for i, s := range want {
			if !strings.Contains(d.ran[i+1], s) {
				t.Errorf("round %d: %s", i+1, d.ran[i+1])
			}
		}
	})
}

// The end of the gate ends tasks in every state, and waits for them.
func TestTheEndEndsTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.replies = [][]byte{[]byte(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"a":{}}}}`)}
		asks, w := d.begun(`{"name":"asks"}`)
		d.decide("approved")
		synctest.Wait()
		waits, _ := d.begun(`{"name":"waits"}`)
		var kept atomic.Int64
		w2 := d.call(Stateless, tasksToo, `{"name":"third"}`)
		w2.Keep = func() (context.Context, func()) {
			kept.Add(1)
			ctx, stop := context.WithCancel(context.Background())
			return ctx, func() { stop(); kept.Add(-1) }
		}
		d.l.Call(t.Context(), w2)
		if kept.Load() != 1 {
			t.Error("nothing keeps it")
		}
		d.l.Close()
		if kept.Load() != 0 {
			t.Error("it is kept though the gate has ended")
		}
		for _, id := range []string{asks, waits} {
			if s := d.status(w, id); s != "cancelled" {
				t.Errorf("it is %s", s)
			}
		}
		d.counts(3, 1)
	})
}

// One credential has so many tasks at a time, and then its calls wait as others do.
// Large results that nobody fetches are not kept without bound.
func TestTasksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var ids []string
		for i := range tasksEach {
			id, _ := d.begun(`{"name":"drop","arguments":{"n":` + strconv.Itoa(i) + `}}`)
			ids = append(ids, id)
		}
		if slices.Sort(ids); len(slices.Compact(ids)) != tasksEach {
			t.Error("ids are used twice")
		}
		if got := resultOf(d.l.Call(t.Context(), d.call(Stateless, tasksToo, drop1))); text(got, "resultType") != "input_required" {
			t.Errorf("one too many: %s", got)
		}
		d.l.tasks.bytes = tasksBytes - 10
		d.decide("approved")
		synctest.Wait()
		over := 0
		w := d.call(Stateless, tasksToo, drop1)
		for _, id := range ids {
			if task := d.l.tasks.open[id]; task.ended {
				got := resultOf(d.about(w, "tasks/get", id))
				if strings.Contains(string(got), "no room to keep") && text(got, "status") == "completed" {
					over++
				}
			}
		}
		if over != 1 {
			t.Errorf("%d results were told to be too large", over)
		}
		d.l.Close()
		if got := resultOf(d.l.Call(t.Context(), d.call(Stateless, tasksToo, `{"name":"late"}`))); text(got, "resultType") == "task" {
			t.Errorf("after the end: %s", got)
		}
	})
}

func FuzzTaskID(f *testing.F) {
	d := &desk{}
	l, err := NewLadder(LadderConfig{Key: make([]byte, 32)})
	if err != nil {
		f.Fatal(err)
	}
	d.l = l
	w := &Waiting{Server: "one", Credential: "cred", Version: Stateless, Capabilities: []byte(tasksToo)}
	good := l.tasks.begin(w, gate.Held{ID: "apr_1", Expires: time.Now().Add(time.Hour)}, func(error) {})
	l.tasks.mu.Lock()
	good.end("completed", "", []byte(`{"secret":1}`), nil)
	l.tasks.mu.Unlock()
	f.Cleanup(l.Close)
	for _, seed := range []string{`{"taskId":"x"}`, `{"taskId":1}`, `{"taskId":"task_"}`, `{}`, ``, `[]`, `{"taskId":"a","taskId":"b"}`, `{"taskId":{"a":1}}`, `{"taskId":"` + good.id + `x"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, params []byte) {
		ask := *w
		ask.Params, ask.ID = params, []byte("1")
		for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
			ask.Method = method
			got, mine := l.Method(t.Context(), &ask)
			if !mine || (resultOf(got) != nil) != (text(params, "taskId") == good.id) {
				t.Errorf("%s %q: %s", method, params, got)
			}
		}
	})
}
