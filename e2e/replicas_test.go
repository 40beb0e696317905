package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/server"
	"github.com/assenthq/assent/internal/store"
	"github.com/jackc/pgx/v5"
)

// pair is two nodes on one store, before one database.
type pair struct {
	t     *testing.T
	nodes [2]*house
	token string // of the worker
	mira  [2]*client.Client

	n atomic.Int64
	a acks

	mu       sync.Mutex
	from     map[int64]int        // at which node an insert was asked
	reviewed map[string]bool      // acknowledged, by approval
	decided  map[int64]time.Time  // when the answer that approved an insert was acknowledged
	by       map[int64]int        // by which node
	done     map[int64]time.Time  // when an insert was acknowledged
	released [2][]time.Duration   // from that to the insert's own acknowledgement: at the same node, and at the other
	firsts   map[string]time.Time // the first thing each node acknowledged since it was reset
}

func newPair(t *testing.T) *pair {
	t.Helper()
	c, err := pgcluster.Start(context.WithoutCancel(t.Context()), pgcluster.Options{Settings: map[string]string{"max_connections": "200"}})
	if err != nil {
		t.Fatalf("starting PostgreSQL (scripts/install installs it): %v", err)
	}
	t.Cleanup(func() { _ = c.Stop() })
	keys := filepath.Join(t.TempDir(), "keys")
	p := &pair{t: t, from: map[int64]int{}, reviewed: map[string]bool{}, decided: map[int64]time.Time{}, by: map[int64]int{}, done: map[int64]time.Time{}, firsts: map[string]time.Time{}}
	for i := range p.nodes {
		h := &house{t: t, dir: t.TempDir(), cluster: c, console: free(t), gate: free(t), shared: true}
		h.write("pg.password", c.Password)
		h.write("pack.yaml", pack)
		h.write("assent.yaml", fmt.Sprintf(`
data: data
store: { url: "postgres://%s@%s/assent", password: { file: pg.password } }
node: node%d
keys: %s
listen: %s
public_url: http://127.0.0.1:8720
policy: [pack.yaml]
people: [{ id: mira, groups: [reviewers] }, { id: dana }]
actors: [{ id: worker, owner: dana }]
limits: { pending_per_actor: 20000, export_after_rows: 100000000 }
gates:
  - name: shop
    type: postgres
    listen: %s
    env: test
    upstream: { host: %s, port: %d, database: postgres, user: %s, password: { file: pg.password }, tls: "off" }
`, c.User, c.Addr(), i, keys, h.console, h.gate, c.Host, c.Port, c.User))
		t.Cleanup(h.kill)
		p.nodes[i] = h
	}
	direct := p.nodes[0].direct()
	for _, q := range []string{"CREATE TABLE ran (n bigint)", "CREATE TABLE mark (id int PRIMARY KEY, n bigint)", "INSERT INTO mark VALUES (1, 0)", "CREATE DATABASE assent"} {
		if _, err := direct.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	p.nodes[0].start()
	p.nodes[1].start()
	p.token = p.nodes[0].worker()
	for i, h := range p.nodes {
		p.mira[i] = h.reviewer()
	}
	return p
}

// load inserts at both gates and approves at both consoles until ctx ends.
// Whoever loses a node comes back to it.
func (p *pair) load(ctx context.Context) *sync.WaitGroup {
	var wg sync.WaitGroup
	for i := range p.nodes {
		for range 2 {
			wg.Go(func() {
				for ctx.Err() == nil {
					p.insert(ctx, i)
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				p.approve(ctx, i)
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	return &wg
}

func (p *pair) insert(ctx context.Context, node int) {
	c, err := pgx.Connect(ctx, p.nodes[node].dsn(p.token))
	if err != nil {
		return
	}
	defer func() { _ = c.Close(context.Background()) }()
	for ctx.Err() == nil {
		k := p.n.Add(1)
		p.mu.Lock()
		p.from[k] = node
		p.mu.Unlock()
		if _, err := c.Exec(ctx, fmt.Sprintf("INSERT INTO ran VALUES (%d)", k)); err != nil {
			return
		}
		now := time.Now()
		p.a.mu.Lock()
		p.a.inserted = append(p.a.inserted, k)
		p.a.mu.Unlock()
		p.mu.Lock()
		p.done[k] = now
		p.release(k)
		p.first(fmt.Sprint("insert", node), now)
		p.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
	}
}

// release notes how long the decision on k took to reach whoever waited, once both
// are known; p.mu is held.
func (p *pair) release(k int64) {
	at, decided := p.decided[k]
	end, done := p.done[k]
	if !decided || !done {
		return
	}
	where := 0
	if p.by[k] != p.from[k] {
		where = 1
	}
	p.released[where] = append(p.released[where], max(end.Sub(at), 0)) // the answer may overtake the reviewer's own
}

// first notes the first of something; p.mu is held.
func (p *pair) first(what string, at time.Time) {
	if _, is := p.firsts[what]; !is {
		p.firsts[what] = at
	}
}

func (p *pair) approve(ctx context.Context, node int) {
	page, err := p.mira[node].Approvals(ctx, client.ListOptions{States: []string{"pending"}, Limit: 20})
	if err != nil {
		return
	}
	for _, a := range page.Approvals {
		k := first(a.Statement)
		p.mu.Lock()
		elsewhere := p.from[k] != node
		p.mu.Unlock()
		if time.Since(a.Created) < time.Second && elsewhere != (k%2 == 0) {
			continue // every second one is decided on the other node, if that lives
		}
		if _, err := p.mira[node].Review(ctx, a, "approve", "load"); err != nil {
			continue
		}
		now := time.Now()
		p.mu.Lock()
		p.reviewed[a.ID] = true
		p.decided[k], p.by[k] = now, node
		p.release(k)
		p.first(fmt.Sprint("review", node), now)
		p.mu.Unlock()
	}
}

// since resets what firsts tells, and returns when.
func (p *pair) since() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.firsts = map[string]time.Time{}
	return time.Now()
}

// waitFor waits for the first of something since p.since.
func (p *pair) waitFor(what string, most time.Duration) time.Time {
	p.t.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		at, is := p.firsts[what]
		p.mu.Unlock()
		if is {
			return at
		}
	}
	p.t.Fatalf("no %s was acknowledged within %s\n%s\n%s", what, most, tailOf(p.nodes[0].logs), tailOf(p.nodes[1].logs))
	return time.Time{}
}

func tailOf(b *strings.Builder) string {
	s := b.String()
	return s[max(0, len(s)-2000):]
}

// fenced waits until the store says that no process of a node's earlier life is alive.
func (p *pair) fenced(conn *pgx.Conn, node int, epoch int64, most time.Duration) time.Time {
	p.t.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var ended bool
		if err := conn.QueryRow(p.t.Context(), "SELECT ended FROM assent.node WHERE name = $1 AND epoch = $2", fmt.Sprint("node", node), epoch).Scan(&ended); err != nil {
			p.t.Fatal(err)
		}
		if ended {
			return time.Now()
		}
	}
	p.t.Fatalf("node %d was not taken for dead within %s", node, most)
	return time.Time{}
}

func (p *pair) storeConn() *pgx.Conn {
	p.t.Helper()
	c, err := pgx.Connect(p.t.Context(), p.nodes[0].cluster.DSN(p.nodes[0].cluster.User, "assent"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (p *pair) epoch(conn *pgx.Conn, node int) (n int64) {
	p.t.Helper()
	if err := conn.QueryRow(p.t.Context(), "SELECT max(epoch) FROM assent.node WHERE name = $1", fmt.Sprint("node", node)).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// settled waits until nothing executes that nobody runs.
func (p *pair) settled() {
	p.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		page, err := p.mira[0].Approvals(p.t.Context(), client.ListOptions{States: []string{"pending", "executing"}, Limit: 20})
		if err == nil && len(page.Approvals) == 0 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("not all approvals finish: %d are left, %v", len(page.Approvals), err)
		}
		p.approve(p.t.Context(), 0)
	}
}

// check holds the log and the database against what was acknowledged.
func (p *pair) check() {
	t := p.t
	p.settled()
	cfg, err := server.ReadConfig(filepath.Join(p.nodes[0].dir, "assent.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var st store.Store
	if st, err = server.OpenReadOnly(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	p.nodes[0].holdIn(st, &p.a)
	recs, err := st.Search(t.Context(), audit.Query{Types: []string{audit.TypeReview}})
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for _, r := range recs {
		times[r.Approval]++
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("the review of %s was applied %d times", id, n)
		}
	}
	for id := range p.reviewed {
		if times[id] == 0 {
			t.Errorf("the review of %s was acknowledged and is lost", id)
		}
	}
	for i, h := range p.nodes {
		h.verify()
		if i == 0 {
			t.Logf("%d inserts and %d reviews acknowledged, %d reviews on record", len(p.a.inserted), len(p.reviewed), len(times))
		}
	}
	for where, name := range []string{"the same node", "the other node"} {
		d := p.released[where]
		if len(d) == 0 {
			t.Errorf("no hold was released by a decision on %s", name)
			continue
		}
		slices.Sort(d)
		t.Logf("from a decision on %s to the released statement's answer: median %v, p99 %v, worst %v of %d",
			name, d[len(d)/2].Round(time.Millisecond), d[len(d)*99/100].Round(time.Millisecond), d[len(d)-1].Round(time.Millisecond), len(d))
	}
}

// TestReplicas kills one of two nodes again and again under load (3 times, or
// REPLICA_CYCLES), the other going on, and holds what they left against what
// was acknowledged.
func TestReplicas(t *testing.T) {
	cycles := 3
	if s := os.Getenv("REPLICA_CYCLES"); s != "" {
		var err error
		if cycles, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	p := newPair(t)
	conn := p.storeConn()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wg := p.load(ctx)
	var writes, fences []time.Duration
	for i := range cycles {
		p.since()
		for _, what := range []string{"insert0", "insert1", "review0", "review1"} {
			p.waitFor(what, 60*time.Second) // both are at work
		}
		victim, other := i%2, 1-i%2
		epoch := p.epoch(conn, victim)
		p.nodes[victim].kill()
		killed := p.since()
		// What waits on the other node is answered there, and the dead one's is taken over.
		writes = append(writes, p.waitFor(fmt.Sprint("review", other), 30*time.Second).Sub(killed))
		p.waitFor(fmt.Sprint("insert", other), 30*time.Second)
		fences = append(fences, p.fenced(conn, victim, epoch, 30*time.Second).Sub(killed))
		p.nodes[victim].start()
	}
	time.Sleep(500 * time.Millisecond)
	cancel()
	wg.Wait()
	p.check()
	slices.Sort(writes)
	slices.Sort(fences)
	t.Logf("%d kills; the other node's first decision after one: median %v, worst %v; the dead one's lease taken: median %v, worst %v", cycles,
		writes[len(writes)/2].Round(time.Millisecond), writes[len(writes)-1].Round(time.Millisecond),
		fences[len(fences)/2].Round(time.Millisecond), fences[len(fences)-1].Round(time.Millisecond))
}

// TestAReplicaThatStops stops one of two nodes for 8 s and lets it go on: the
// other goes on meanwhile, nothing runs twice, and the one that was taken for
// dead ends by itself.
func TestAReplicaThatStops(t *testing.T) {
	p := newPair(t)
	conn := p.storeConn()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wg := p.load(ctx)
	p.since()
	for _, what := range []string{"insert0", "insert1", "review0", "review1"} {
		p.waitFor(what, 60*time.Second)
	}
	time.Sleep(8 * time.Second) // long enough to be believed when it says that another is dead
	epoch := p.epoch(conn, 0)
	h := p.nodes[0]
	if err := h.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := p.since()
	t.Logf("the other node decided again after %s", p.waitFor("review1", 30*time.Second).Sub(stopped).Round(time.Millisecond))
	t.Logf("the stopped one's lease was taken after %s", p.fenced(conn, 0, epoch, 30*time.Second).Sub(stopped).Round(time.Millisecond))
	time.Sleep(time.Until(stopped.Add(8 * time.Second)))
	if err := h.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.done:
		if h.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(h.logs.String(), "taken for dead") && !strings.Contains(h.logs.String(), "lease") {
			t.Errorf("it ended with %s:\n%s", h.cmd.ProcessState, tailOf(h.logs))
		}
		h.cmd = nil
	case <-time.After(60 * time.Second):
		t.Fatalf("a node without a lease goes on\n%s", tailOf(h.logs))
	}
	h.start()
	p.since()
	p.waitFor("insert0", 30*time.Second)
	cancel()
	wg.Wait()
	p.check()
}
