package approval_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestWaitReturnsTheDecision(t *testing.T) {
	h := newHouse(t, nil)
	a := h.ask(ask(agent("agent:x"), "copy"))
	got := make(chan *approval.Approval, 3)
	for range 3 {
		go func() {
			a, err := h.engine.Wait(context.Background(), a.ID)
			if err != nil {
				t.Error(err)
			}
			got <- a
		}()
	}
	h.approve(a.ID, "person:ana", "person:ben")
	for range 3 {
		if a := <-got; a == nil || a.State != approval.Approved {
			t.Fatalf("waited for %+v", a)
		}
	}
	// Decided already: no waiting at all.
	if a, err := h.engine.Wait(context.Background(), a.ID); err != nil || a.State != approval.Approved {
		t.Fatalf("got %v, %v", a, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := h.ask(ask(agent("agent:x"), "copy more"))
	_, err := h.engine.Wait(ctx, b.ID)
	wantErr(t, err, context.Canceled)
	_, err = h.engine.Wait(context.Background(), "apr_none")
	wantErr(t, err, approval.ErrNotFound)
}

func TestAWaiterExpiresItsApprovalWithoutRun(t *testing.T) {
	h := newHouse(t, func(o *approval.Options) { o.Clock = time.Now; o.Expires = 20 * time.Millisecond })
	a := h.ask(ask(agent("agent:x"), "copy"))
	got, err := h.engine.Wait(context.Background(), a.ID)
	must(t, err)
	if got.State != approval.Expired {
		t.Fatalf("waited for %s", got.State)
	}
}

func TestRestartInEachState(t *testing.T) {
	h := newHouse(t, nil)
	q := func(s string) *approval.Question { return ask(agent("agent:x"), s) }
	pending, half := h.ask(q("pending")), h.ask(q("half"))
	h.approve(half.ID, "person:ana")
	approved, executing := h.ask(q("approved")), h.ask(q("executing"))
	h.approve(approved.ID, "person:ana", "person:ben")
	h.approve(executing.ID, "person:ana", "person:ben")
	used, err := h.engine.Use(context.Background(), executing.ID, use(q("executing")))
	must(t, err)

	h.restart()
	h.state(pending.ID, approval.Pending)
	h.state(half.ID, approval.Pending)
	h.state(approved.ID, approval.Approved)
	h.state(executing.ID, approval.Unknown)
	outcome := h.records(audit.TypeOutcome)
	if len(outcome) != 1 || outcome[0].Grant != used.GrantID || outcome[0].Outcome != "unknown" || outcome[0].Rows != nil {
		t.Fatalf("records of the outcome: %+v", outcome)
	}
	err = h.engine.Finish(context.Background(), executing.ID, approval.Outcome{State: approval.Executed})
	wantErr(t, err, approval.ErrDecided)

	// What was held before the restart is approved after it, and runs once.
	h.approve(half.ID, "person:ben")
	for _, s := range []string{"half", "approved"} {
		if again := h.ask(q(s)); again.State != approval.Approved {
			t.Fatalf("%s asked again is %s", s, again.State)
		} else if _, err := h.engine.Use(context.Background(), again.ID, use(q(s))); err != nil {
			t.Fatal(err)
		}
	}
	must(t, h.engine.Finish(context.Background(), half.ID, approval.Outcome{State: approval.Executed, Code: "COPY 7", Rows: 7}))
	if got := h.get(half.ID); got.State != approval.Executed || got.Rows != 7 || got.Outcome != "COPY 7" {
		t.Fatalf("finished as %+v", got)
	}
	h.verify()
}

func TestASlowSubscriberIsCoalescedAndBlocksNobody(t *testing.T) {
	h := newHouse(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	events := h.engine.Subscribe(ctx)
	a := h.ask(ask(agent("agent:x"), "copy"))
	h.approve(a.ID, "person:ana", "person:ben") // nobody reads meanwhile
	_, err := h.engine.Withdraw(context.Background(), a.ID, "person:sub", "done")
	must(t, err)
	n := 0
	for ev := range events {
		n++
		if ev.State == approval.Withdrawn {
			break
		}
	}
	if n > 2 { // one may be on its way already, the rest is one
		t.Errorf("%d events reached a reader that slept through four changes", n)
	}
	cancel()
	for range events {
	}
}

func TestADeadStoreMeansNo(t *testing.T) {
	h := newHouse(t, nil)
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	h.approve(a.ID, "person:ana", "person:ben")
	must(t, h.store.Close())
	if _, err := h.engine.Use(context.Background(), a.ID, use(q)); err == nil {
		t.Fatal("used without a store")
	}
	if _, _, err := h.engine.Ask(context.Background(), q); err == nil {
		t.Fatal("asked without a store")
	}
}

// A log that refuses is the disk that is full: nothing may have moved.
func TestALogThatRefusesUndoesTheChange(t *testing.T) {
	refusing := &refusingLog{}
	h := newHouse(t, func(o *approval.Options) { refusing.Log = o.Log; o.Log = refusing })
	q := ask(agent("agent:x"), "copy")
	a := h.ask(q)
	h.approve(a.ID, "person:ana")
	refusing.no(errors.New("full"))
	if _, err := h.review(a.ID, "person:ben", approval.Approve); err == nil {
		t.Fatal("reviewed without a record")
	}
	refusing.no(nil)
	if got := h.get(a.ID); got.State != approval.Pending || len(got.Reviews) != 1 {
		t.Fatalf("it is %s with %d reviews", got.State, len(got.Reviews))
	}
	h.approve(a.ID, "person:ben")
	refusing.no(errors.New("full"))
	if _, err := h.engine.Use(context.Background(), a.ID, use(q)); err == nil {
		t.Fatal("used without a record")
	}
	refusing.no(nil)
	h.state(a.ID, approval.Approved)
}

type refusingLog struct {
	approval.Log
	mu  sync.Mutex
	err error
}

func (l *refusingLog) no(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *refusingLog) Append(ctx context.Context, tx audit.Tx, recs ...*audit.Record) error {
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	return errors.Join(err, l.Log.Append(ctx, tx, recs...))
}

// BenchmarkWaiting holds 10,000 actions and prints what each costs in memory,
// stacks and heap, once all are parked.
func BenchmarkWaiting(b *testing.B) {
	const n = 10_000
	h := newHouse(b, func(o *approval.Options) { o.PendingCap = n + 1; o.Clock = time.Now; o.Expires = time.Hour })
	for b.Loop() {
		before := footprint()
		ctx, cancel := context.WithCancel(context.Background())
		var ready, done sync.WaitGroup
		for i := range n {
			ready.Add(1)
			done.Go(func() {
				a, _, err := h.engine.Ask(context.Background(), ask(agent("agent:x"), fmt.Sprint("copy ", i)))
				ready.Done()
				if err != nil {
					b.Error(err)
					return
				}
				_, err = h.engine.Wait(ctx, a.ID)
				if !errors.Is(err, context.Canceled) {
					b.Error(err)
				}
			})
		}
		ready.Wait()
		for range 6 { // each collection halves the stacks that shrank
			runtime.GC()
		}
		b.ReportMetric(float64(footprint()-before)/n/1024, "KiB/waiting")
		b.ReportMetric(float64(resident(b))/n, "KiB-rss/waiting")
		cancel()
		done.Wait()
	}
}

func footprint() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// resident is what the whole process holds, in KiB.
func resident(b *testing.B) int64 {
	status, err := os.ReadFile("/proc/self/status")
	must(b, err)
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	must(b, err)
	return kib
}
