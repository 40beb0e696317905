package mcp

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assenthq/assent/gate"
)

// Bounds of tasks.
const (
	tasksEach    = 100              // of one credential, at a time
	tasksAll     = 10_000           // of all
	tasksBytes   = 64 << 20         // of results that nobody has fetched, together
	taskKept     = 10 * time.Minute // a result, once there is one
	taskPoll     = 2 * time.Second  // between two looks; one that comes sooner is kept waiting
	maxRounds    = 20               // of questions of the server to the client, in one task
	taskIDPrefix = "task_"
)

// tasks are calls that were answered with a handle. They are in memory, and belong
// to the credential that made the call: to any other they don't exist.
type tasks struct {
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu    sync.Mutex
	open  map[string]*task // owned by mu, by id
	bytes int              // owned by mu: of the results in open
	shut  bool             // owned by mu
}

// A task is one call. Its fields below mu are owned by tasks.mu.
type task struct {
	id, credential, server string
	approval, who, url     string
	created                time.Time
	deciding               context.CancelCauseFunc // nobody waits for people any more
	wake                   chan []byte             // params of the next round

	status  string
	says    string
	updated time.Time
	expires time.Time
	result  []byte
	fault   []byte
	inputs  []byte // what the server asks, by the keys that the client sees
	given   map[string][]byte
	round   int
	ended   bool
	changed chan struct{} // closed with the next change
	timer   *time.Timer
}

func newTasks() *tasks {
	ctx, stop := context.WithCancel(context.Background())
	return &tasks{ctx: ctx, stop: stop, open: map[string]*task{}}
}

func (s *tasks) close() {
	s.mu.Lock()
	s.shut = true
	for _, t := range s.open {
		t.timer.Stop()
	}
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
}

// room reports whether one more may be made. If so, close waits until work.Done.
func (s *tasks) room(credential string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, t := range s.open {
		if t.credential == credential && !t.ended {
			n++
		}
	}
	if s.shut || n >= tasksEach || len(s.open) >= tasksAll {
		return false
	}
	s.work.Add(1)
	return true
}

// task runs a call that may become a task: it does once people are asked. There is room for it.
func (l *Ladder) task(ctx context.Context, w *Waiting, params []byte) []byte {
	s := l.tasks
	kept, release := w.Keep()
	run, cancel := context.WithCancel(kept)
	unlink := context.AfterFunc(s.ctx, cancel)
	leaves := context.AfterFunc(ctx, cancel) // until it is a task, it ends with its request
	deciding, stop := context.WithCancelCause(run)
	end := func() { stop(nil); unlink(); cancel(); release(); s.work.Done() }
	holds, done := make(chan gate.Held, 1), make(chan ran, 1)
	held := func(h gate.Held) { holds <- h }
	go func() {
		answer, refused := w.Run(run, deciding, params, held)
		done <- ran{answer, refused}
	}()
	select {
	case r := <-done:
		leaves()
		end()
		return r.answer
	case h := <-holds:
		if !leaves() { // the client left meanwhile
			<-done
			end()
			return nil
		}
		t := s.begin(w, h, stop)
		go func() {
			defer end()
			s.follow(run, deciding, w, t, params, done)
		}()
		s.mu.Lock()
		defer s.mu.Unlock()
		return object("jsonrpc", "2.0", "id", w.ID, "result", t.view("task"))
	}
}

func (s *tasks) begin(w *Waiting, h gate.Held, stop context.CancelCauseFunc) *task {
	now := time.Now()
	t := &task{
		id: taskIDPrefix + rand.Text(), credential: w.Credential, server: w.Server, approval: h.ID, who: h.Who, url: h.URL, created: now,
		deciding: stop, wake: make(chan []byte, 1), status: "working", says: "waiting for " + h.Who + ": " + h.URL,
		updated: now, expires: h.Expires.Add(taskKept), given: map[string][]byte{}, changed: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[t.id] = t
	t.timer = time.AfterFunc(time.Until(t.expires), func() { s.drop(t) })
	return t
}

// drop forgets a task that is over. What it still waits for ends.
func (s *tasks) drop(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := time.Until(t.expires); left > 0 && !s.shut {
		t.timer.Reset(left)
		return
	}
	delete(s.open, t.id)
	s.bytes -= len(t.result)
	t.deciding(nil)
	t.end("failed", "it is over", nil, fault(codeInternal, "the task is over: make the same call again"))
}

// follow keeps a task true until its call is answered.
func (s *tasks) follow(run, deciding context.Context, w *Waiting, t *task, params []byte, done <-chan ran) {
	r := <-done
	for {
		next, more := s.came(w, t, r)
		if !more {
			return
		}
		select {
		case given := <-t.wake:
			answer, refused := w.Run(run, deciding, with(params, map[string][]byte{"inputResponses": given, "requestState": next}), func(h gate.Held) {
				s.change(t, func() { t.approval, t.says = h.ID, "waiting for "+h.Who+": "+h.URL })
			})
			r = ran{answer, refused}
		case <-deciding.Done():
			s.change(t, func() { t.end("cancelled", "it was cancelled", nil, nil) })
			return
		}
	}
}

func (s *tasks) change(t *task, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.ended {
		return
	}
	f()
	t.updated = time.Now()
	close(t.changed)
	t.changed = make(chan struct{})
}

// end is the last change. The caller holds tasks.mu.
func (t *task) end(status, says string, result, fault []byte) {
	if t.ended {
		return
	}
	t.ended, t.status, t.says, t.result, t.fault, t.inputs = true, status, says, result, fault, nil
	if until := time.Now().Add(taskKept); t.expires.Before(until) {
		t.expires = until
	}
}

// came takes what a run came to. more: the server has questions, and state is what it wants back.
func (s *tasks) came(w *Waiting, t *task, r ran) (state []byte, more bool) {
	result, wrong := member(r.answer, "result"), member(r.answer, "error")
	if text(result, "resultType") == "input_required" && t.round < maxRounds && isObject(member(result, "inputRequests")) {
		s.change(t, func() {
			t.inputs, t.given = renamed(member(result, "inputRequests"), t.round), map[string][]byte{}
			t.round++
			t.status, t.says = "input_required", "the server asks something"
		})
		return member(result, "requestState"), true
	}
	s.change(t, func() {
		switch {
		case r.answer == nil:
			t.end("cancelled", "nothing has run", nil, nil)
		case wrong != nil:
			t.end("failed", "the call ended with an error", nil, wrong)
		default:
			if s.bytes+len(result) > tasksBytes {
				result = member(w.Deny(&gate.Denied{Status: gate.StatusLimit, Reason: "it ran, and there is no room to keep its answer until somebody fetches it"}), "result")
			}
			s.bytes += len(result)
			t.end("completed", "", result, nil)
		}
	})
	return nil, false
}

// renamed gives the server's keys names that no round before had.
func renamed(requests []byte, round int) []byte {
	if round == 0 {
		return requests
	}
	var pairs []any
	for _, f := range members(requests) {
		pairs = append(pairs, strconv.Itoa(round)+"."+f.Name, f.Value)
	}
	return object(pairs...)
}

// view is the task as a client sees it. The caller holds tasks.mu.
func (t *task) view(resultType string) []byte {
	ttl := t.expires.Sub(t.created).Milliseconds()
	pairs := []any{"resultType", resultType, "taskId", t.id, "status", t.status}
	if t.says != "" {
		pairs = append(pairs, "statusMessage", t.says)
	}
	pairs = append(pairs, "createdAt", stamp(t.created), "lastUpdatedAt", stamp(t.updated), "ttlMs", int(ttl), "pollIntervalMs", int(taskPoll/time.Millisecond))
	switch t.status {
	case "completed":
		pairs = append(pairs, "result", t.result)
	case "failed":
		pairs = append(pairs, "error", t.fault)
	case "input_required":
		pairs = append(pairs, "inputRequests", t.inputs)
	}
	return object(pairs...)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func fault(code int, text string) []byte { return object("code", code, "message", text) }

// find returns a task of this credential at this server; nil: there is none.
func (s *tasks) find(w *Waiting) *task {
	id := text(w.Params, "taskId")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[id]
	if t == nil || t.credential != w.Credential || t.server != w.Server {
		return nil
	}
	return t
}

// method answers tasks/get, tasks/update and tasks/cancel.
func (s *tasks) method(ctx context.Context, w *Waiting, l *Ladder) []byte {
	t := s.find(w)
	if t == nil {
		return fail(w.ID, codeParams, "Task not found: it is over, or it is not yours. Make the same call again: it finds its approval.")
	}
	result := object("resultType", "complete")
	switch w.Method {
	case "tasks/get":
		result = s.look(ctx, t)
	case "tasks/update":
		s.update(t, member(w.Params, "inputResponses"))
	case "tasks/cancel":
		s.cancel(ctx, w, t, l)
	}
	return object("jsonrpc", "2.0", "id", w.ID, "result", result)
}

// look waits a moment for a task that is under way: a client that asks without a
// pause is slowed, and one that waits hears at once.
func (s *tasks) look(ctx context.Context, t *task) []byte {
	timer := time.NewTimer(taskPoll)
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := t.changed
	if t.status == "working" {
		s.mu.Unlock()
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		s.mu.Lock()
	}
	return t.view("complete")
}

// update takes answers to the server's questions; once all are there the call goes on with them.
func (s *tasks) update(t *task, responses []byte) {
	var given []byte
	s.change(t, func() {
		if t.status != "input_required" {
			return
		}
		for _, f := range members(responses) {
			if member(t.inputs, f.Name) != nil {
				t.given[f.Name] = slices.Clone(f.Value)
			}
		}
		var pairs []any
		for _, f := range members(t.inputs) {
			v := t.given[f.Name]
			if v == nil {
				return
			}
			pairs = append(pairs, strings.TrimPrefix(f.Name, strconv.Itoa(t.round-1)+"."), v)
		}
		given = object(pairs...)
		t.status, t.says, t.inputs = "working", "", nil
	})
	if given != nil {
		t.wake <- given
	}
}

// cancel withdraws the approval that a task waits for. What runs already runs on.
func (s *tasks) cancel(ctx context.Context, w *Waiting, t *task, l *Ladder) {
	s.mu.Lock()
	ended, approval := t.ended, t.approval
	s.mu.Unlock()
	if ended {
		return
	}
	t.deciding(gate.ErrComesBack)
	if l.o.Withdraw == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := l.o.Withdraw(ctx, w.Credential, approval, "the client cancelled its task"); err != nil {
		l.o.Log.Info("the approval of a cancelled task stays", "approval", approval, "err", fmt.Sprint(err))
	}
}
