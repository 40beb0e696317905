package postgres_test

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/postgres"
)

// openLog is a node's own log object on s, with the key that all nodes share.
func openLog(tb testing.TB, s *postgres.Store, dir, node string, join bool) *audit.Log {
	tb.Helper()
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	must(tb, err)
	l, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}, HeadFile: filepath.Join(dir, "head-"+node), Join: join})
	must(tb, err)
	must(tb, l.Open(ctx, s))
	return l
}

func appendOne(s *postgres.Store, l *audit.Log, r *audit.Record) error {
	return s.Update(ctx, func(tx approval.Tx) error { return l.Append(ctx, tx, r) })
}

// named is o for another node.
func named(o postgres.Options, node string) postgres.Options {
	o.Node = node
	return o
}

func verify(tb testing.TB, s *postgres.Store, l *audit.Log, head string) {
	tb.Helper()
	h, err := s.Head(ctx)
	must(tb, err)
	_, err = l.Sign(ctx, h)
	must(tb, err)
	report, err := audit.Verify(ctx, s, audit.VerifyOptions{VKeys: l.Verifiers(), HeadFile: head})
	must(tb, err)
	if !report.OK() {
		tb.Fatalf("%+v", report.Problems)
	}
}

func TestThreeNodesWriteOneLog(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	var stores []*postgres.Store
	var logs []*audit.Log
	for i := range 3 {
		s := open(t, named(o, fmt.Sprint("n", i)))
		defer func() { must(t, s.Close()) }()
		stores, logs = append(stores, s), append(logs, openLog(t, s, dir, fmt.Sprint(i), true))
	}
	heard := make(chan int64, 1000)
	stores[0].OnForeign(func(recs []audit.Record) {
		for _, r := range recs {
			heard <- r.Index
		}
	})
	boom := errors.New("boom")
	var wg sync.WaitGroup
	var kept atomic.Int64
	for i := range 12 {
		wg.Go(func() {
			s, l := stores[i%3], logs[i%3]
			for n := range 30 {
				err := s.Update(ctx, func(tx approval.Tx) error {
					if i%2 == 0 { // half of them ask before they write
						if _, err := tx.CountPending(ctx, "x"); err != nil {
							return err
						}
					}
					if err := l.Append(ctx, tx, &audit.Record{Type: audit.TypeReview, Approval: fmt.Sprint("apr", i%3)}); err != nil {
						return err
					}
					if n%5 == 0 {
						return boom
					}
					return nil
				})
				if err == nil {
					kept.Add(1)
				} else if !errors.Is(err, boom) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	h, err := stores[0].Head(ctx)
	must(t, err)
	if h.Size != kept.Load() || h.Size != 12*24 {
		t.Fatalf("%d records, %d acknowledged", h.Size, kept.Load())
	}
	for i := range stores {
		verify(t, stores[i], logs[i], filepath.Join(dir, fmt.Sprint("head-", i)))
	}
	// The first hears of everything that the others wrote, once and in order.
	last, n := int64(-1), 0
	for n < 8*24 {
		select {
		case i := <-heard:
			if i <= last {
				t.Fatalf("record %d was told after %d", i, last)
			}
			last = i
			n++
		case <-time.After(5 * time.Second):
			t.Fatalf("heard of %d records", n)
		}
	}
}

func TestANodesNameIsTakenOnce(t *testing.T) {
	o := options(t.TempDir())
	s := open(t, o)
	if _, err := postgres.Open(ctx, o); !errors.Is(err, postgres.ErrNodeInUse) {
		t.Errorf("a second of the same name: %v", err)
	}
	first := s.Node()
	must(t, s.Close())
	s = open(t, o) // given back: no waiting
	if s.Node() == first {
		t.Errorf("%s serves twice", first)
	}
	must(t, s.Close())
	must(t, s.Close())
	if err := insert(s, "a"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("writing after Close: %v", err)
	}
	if _, err := s.Head(ctx); !errors.Is(err, store.ErrClosed) {
		t.Errorf("reading after Close: %v", err)
	}
}

// A wire carries connections to the database, and can be cut or held.
type wire struct {
	net.Listener
	mu      sync.Mutex
	conns   []net.Conn
	held    chan struct{} // nil: bytes flow; else until it is closed
	cutBack bool          // the next bytes from the server are lost with the connection
}

func newWire(tb testing.TB, to string) *wire {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(tb, err)
	w := &wire{Listener: l}
	tb.Cleanup(func() { _ = l.Close(); w.cut() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			w.mu.Lock()
			w.conns = append(w.conns, c, up)
			w.mu.Unlock()
			go w.pump(up, c, false)
			go w.pump(c, up, true)
		}
	}()
	return w
}

func (w *wire) pump(to, from net.Conn, back bool) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		w.mu.Lock()
		held, lose := w.held, back && w.cutBack && committed(buf[:n])
		w.mu.Unlock()
		if held != nil {
			<-held
		}
		if lose || err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// committed reports whether the server's bytes hold the answer to a COMMIT.
func committed(b []byte) bool {
	const tag = "C\x00\x00\x00\x0bCOMMIT\x00" // CommandComplete, PostgreSQL documentation, "Message Formats"
	for i := 0; i+len(tag) <= len(b); i++ {
		if string(b[i:i+len(tag)]) == tag {
			return true
		}
	}
	return false
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

func (w *wire) set(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn()
}

func through(tb testing.TB, o postgres.Options, w *wire) postgres.Options {
	tb.Helper()
	u, err := url.Parse(o.URL)
	must(tb, err)
	u.Host = w.Addr().String()
	u.RawQuery = "sslmode=disable"
	o.URL = u.String()
	return o
}

// The answer to a commit is lost on the wire: the store finds out that it is there.
func TestACommitWhoseAnswerWasLost(t *testing.T) {
	dir := t.TempDir()
	w := newWire(t, cluster.Addr())
	s := open(t, through(t, options(dir), w))
	defer func() { must(t, s.Close()) }()
	l := openLog(t, s, dir, "one", false)
	must(t, appendOne(s, l, &audit.Record{Type: audit.TypeRequest}))
	for i := range 5 {
		w.set(func() { w.cutBack = true })
		done := make(chan error)
		r := &audit.Record{Type: audit.TypeRequest}
		go func() { done <- appendOne(s, l, r) }()
		time.Sleep(100 * time.Millisecond)
		w.set(func() { w.cutBack = false })
		must(t, <-done)
		if h, err := s.Head(ctx); err != nil || h.Size != int64(i)+2 || r.Index != int64(i)+1 {
			t.Fatalf("record %d, %d are there: %v", r.Index, h.Size, err)
		}
	}
	verify(t, s, l, filepath.Join(dir, "head-one"))
}

// Nothing is acknowledged while the database is away, and nothing of it appears later.
func TestWhileTheDatabaseIsAway(t *testing.T) {
	dir := t.TempDir()
	w := newWire(t, cluster.Addr())
	s := open(t, through(t, options(dir), w))
	defer func() { must(t, s.Close()) }()
	l := openLog(t, s, dir, "one", false)
	must(t, appendOne(s, l, &audit.Record{Type: audit.TypeRequest}))
	must(t, w.Listener.Close())
	w.cut()
	for range 3 {
		if err := appendOne(s, l, &audit.Record{Type: audit.TypeRequest}); !errors.Is(err, postgres.ErrUnreachable) {
			t.Fatalf("writing: %v", err)
		}
	}
	time.Sleep(2500 * time.Millisecond)
	if err := s.Err(); !errors.Is(err, postgres.ErrUnreachable) {
		t.Errorf("without a lease: %v", err)
	}
	other := open(t, named(options(dir), "two"))
	defer func() { must(t, other.Close()) }()
	if h, err := other.Head(ctx); err != nil || h.Size != 1 {
		t.Errorf("%d records are there: %v", h.Size, err)
	}
}

// A node that stops in the middle of a transaction holds up the others for some seconds at
// most; its lease is taken; what it had begun is undone and it never writes again.
func TestANodeThatStopsIsFenced(t *testing.T) {
	dir := t.TempDir()
	w := newWire(t, cluster.Addr())
	slow := open(t, through(t, options(dir), w))
	defer func() { must(t, slow.Close()) }()
	slowLog := openLog(t, slow, dir, "slow", true)
	other := open(t, named(options(dir), "two"))
	defer func() { must(t, other.Close()) }()
	l := openLog(t, other, dir, "two", true)
	time.Sleep(3500 * time.Millisecond) // the other is steady

	hold := make(chan struct{})
	inside := make(chan struct{})
	stuck := make(chan error, 1)
	go func() {
		stuck <- slow.Update(ctx, func(tx approval.Tx) error {
			if err := tx.InsertApproval(ctx, row("half")); err != nil { // the head is taken, and a row is written
				return err
			}
			w.set(func() { w.held = hold })
			close(inside)
			return slowLog.Append(ctx, tx, &audit.Record{Type: audit.TypeRequest})
		})
	}()
	<-inside
	start := time.Now()
	must(t, appendOne(other, l, &audit.Record{Type: audit.TypeRequest}))
	t.Logf("the other wrote after %s", time.Since(start).Round(time.Millisecond))
	for n := 0; n == 0; {
		var err error
		n, err = other.Fence(ctx)
		must(t, err)
		if time.Since(start) > 10*time.Second {
			t.Fatal("nobody took the lease for 10 s")
		}
		time.Sleep(50 * time.Millisecond)
	}
	gone, err := other.Gone(ctx)
	must(t, err)
	if !gone(slow.Node()) || gone(other.Node()) || !gone("") {
		t.Error("who is gone is not known")
	}
	if at, err := other.Clock(ctx); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("the database on this machine says it is %s: %v", at, err)
	}
	w.set(func() { w.held = nil })
	close(hold)
	if err := <-stuck; err == nil {
		t.Error("what it had begun was acknowledged")
	}
	if err := slow.View(ctx, func(tx approval.Tx) error { _, err := tx.ApprovalByID(ctx, "half"); return err }); !errors.Is(err, approval.ErrNotFound) {
		t.Errorf("half of it is there: %v", err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for !errors.Is(slow.Err(), postgres.ErrFenced) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not know that it is fenced: %v", slow.Err())
		}
		if err := appendOne(slow, slowLog, &audit.Record{Type: audit.TypeRequest}); err == nil {
			t.Fatal("a fenced node wrote")
		}
		time.Sleep(20 * time.Millisecond)
	}
	verify(t, other, l, filepath.Join(dir, "head-two"))
	if h, err := other.Head(ctx); err != nil || h.Size != 1 {
		t.Errorf("%d records: %v", h.Size, err)
	}
}

// The server dies and comes back between two writes, and in the middle of many.
func TestTheServerRestarts(t *testing.T) {
	dir := t.TempDir()
	o := options(dir)
	o.Lease = 30 * time.Second
	s := open(t, o)
	defer func() { must(t, s.Close()) }()
	l := openLog(t, s, dir, "one", false)
	stop := make(chan struct{})
	var mu sync.Mutex
	acked := map[int64]bool{}
	unknown := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r := &audit.Record{Type: audit.TypeRequest}
				err := appendOne(s, l, r)
				mu.Lock()
				switch {
				case err == nil && acked[r.Index]:
					t.Errorf("record %d was acknowledged twice", r.Index)
				case err == nil:
					acked[r.Index] = true
				case errors.Is(err, postgres.ErrUnknown):
					unknown++
				}
				mu.Unlock()
			}
		})
	}
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		must(t, cluster.Kill())
		time.Sleep(200 * time.Millisecond)
		must(t, cluster.Restart(ctx))
		time.Sleep(1500 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	must(t, appendOne(s, l, &audit.Record{Type: audit.TypeRequest}))
	h, err := s.Head(ctx)
	must(t, err)
	for i := range acked {
		if i >= h.Size {
			t.Fatalf("record %d was acknowledged, and %d are there", i, h.Size)
		}
	}
	if n := int64(len(acked)); h.Size < n+1 || h.Size > n+1+int64(unknown) {
		t.Errorf("%d acknowledged, %d unknown, %d there", n, unknown, h.Size)
	}
	t.Logf("%d acknowledged, %d unknown", len(acked), unknown)
	verify(t, s, l, filepath.Join(dir, "head-one"))
}
