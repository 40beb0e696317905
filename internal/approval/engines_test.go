package approval_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/store/postgres"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// Two engines on one store, whose transactions are lost, whose answers are lost, and
// which are killed, asked by many at once. What is checked is not what each call
// answers but what may never be:
//
//   - one approval is used at most once, and only what its store says was used;
//   - a review that was acknowledged is there for ever, and nobody has two;
//   - no state is left that is final, and no step is taken that the table lacks;
//   - whoever was approved had a quorum of people who were asked, were in the group
//     before and are now, and are not part of what is asked.

// errCrash is what a caller sees of a process that died while it worked.
var errCrash = errors.New("the process died")

// A flaky store loses transactions, or the answer to them.
type flaky struct {
	approval.Store
	tosses *atomic.Int64 // what the next updates meet, two bits each
}

func (f flaky) Update(ctx context.Context, fn func(approval.Tx) error) error {
	fate := f.tosses.Load()
	f.tosses.Store(fate >> 2)
	switch fate & 3 {
	case 1:
		return errors.Join(errCrash, f.Store.Update(ctx, func(tx approval.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return errCrash // everything was written, nothing committed
		}))
	case 2:
		if err := f.Store.Update(ctx, fn); err != nil {
			return err
		}
		return errCrash // committed, and nobody heard
	}
	return f.Store.Update(ctx, fn)
}

// A backend opens the store of one node, again and again.
type backend func(tb testing.TB, node string) closing

type closing interface {
	approval.Store
	audit.Reader
	Close() error
}

// An engineer is one node: its store, log and engine.
type engineer struct {
	store  closing
	log    *audit.Log
	engine *approval.Engine
	tosses atomic.Int64
	node   string
}

type engines struct {
	testing.TB
	dir    string
	clock  *clock
	town   *town
	open   backend
	one    bool // store for both nodes
	key    *audit.Key
	minter *grant.Minter
	nodes  [2]*engineer
	runs   int
	checks int

	mu      sync.Mutex                 // guards what follows
	order   []string                   // approvals, as they were asked
	asked   map[string]int             // approval → question
	acked   map[string]map[string]bool // approval → reviews acknowledged
	last    map[string]approval.State  // as it was seen last
	uses    map[string]int             // acknowledged
	item    map[string]bool            // items of plans
	touched map[string]bool            // what the last calls were about; set before they run
}

var questions = []policy.Requirement{
	{Rule: "two", From: []string{"owners"}, Count: 2},
	{Rule: "each", AllOf: []policy.Seats{{Group: "owners", Count: 1}, {Group: "dba", Count: 1}}},
	{Rule: "either", AnyOf: []policy.Seats{{Group: "owners", Count: 3}, {Group: "dba", Count: 1}}},
	{
		Rule: "later", From: []string{"dba"}, Count: 2, Expires: 10 * time.Minute, Remind: []time.Duration{time.Minute},
		Escalate: []policy.Escalation{{After: 4 * time.Minute, To: []string{"owners"}}},
	},
}

func questionOf(i int) *approval.Question {
	who := []string{"agent:x", "agent:y"}[i%2]
	q := ask(agent(who), fmt.Sprint("copy ", i), questions[i%len(questions)])
	q.Action.Shape = fmt.Sprint("shape ", i%3)
	return q
}

func newEngines(tb testing.TB, open backend, one bool) *engines {
	tb.Helper()
	w := &engines{
		TB: tb, dir: quick(tb), open: open, one: one, town: &town{},
		clock: &clock{t: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)},
		asked: map[string]int{}, acked: map[string]map[string]bool{}, last: map[string]approval.State{},
		uses: map[string]int{}, touched: map[string]bool{}, item: map[string]bool{},
	}
	w.town.set(tb, people(), actors())
	var err error
	w.key, err = audit.LoadOrCreateKey(filepath.Join(w.dir, "log.key"), "test/log")
	must(tb, err)
	w.minter, err = grant.NewMinter(filepath.Join(w.dir, "grant.key"), "https://assent.test")
	must(tb, err)
	w.start(0)
	w.start(1)
	return w
}

// quick is a directory in memory where there is one: the log syncs each commit.
func quick(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "assent-engines")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// start makes node i anew, as after a kill: what it knew is gone, what it ran is settled.
func (w *engines) start(i int) {
	w.Helper()
	ctx := context.Background()
	w.runs++
	n := &engineer{node: fmt.Sprintf("n%d-%d", i, w.runs)}
	if other := w.nodes[1-i]; w.one && other != nil {
		n.store, n.log = other.store, other.log
	} else {
		n.store = w.open(w.TB, n.node)
		var err error
		n.log, err = audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{w.key}, HeadFile: filepath.Join(w.dir, "head"), Now: w.clock.now})
		must(w.TB, err)
		must(w.TB, n.log.Open(ctx, n.store))
	}
	var err error
	n.engine, err = approval.New(approval.Options{
		Store: flaky{n.store, &n.tosses}, Log: n.log, Minter: w.minter, Directory: w.town, Clock: w.clock.now, Node: n.node,
		MatchKey: matchKey, SealKey: sealKey, Issuer: "https://assent.test", PendingCap: 6, PersonCap: 8,
	})
	must(w.TB, err)
	w.nodes[i] = n
}

// kill ends a node. With one store for both, the process that holds it is both.
func (w *engines) kill(i int) {
	w.Helper()
	ctx := context.Background()
	gone := map[string]bool{w.nodes[i].node: true}
	must(w.TB, w.nodes[i].store.Close())
	again := []int{i}
	if w.one {
		gone[w.nodes[1-i].node], again = true, []int{i, 1 - i}
		w.nodes[1-i] = nil
	}
	w.nodes[i] = nil
	for _, k := range again {
		w.start(k)
	}
	must(w.TB, w.nodes[i].engine.Settle(ctx, func(node string) bool { return gone[node] }))
}

func (w *engines) close() {
	for i, n := range w.nodes {
		if n != nil && (i == 0 || !w.one) {
			_ = n.store.Close()
		}
	}
}

// An act is one call on one node.
type act func(n *engineer)

// pick draws one of the newest approvals, of those in a state if there are any.
func (w *engines) pick(t *rapid.T, in approval.State) string {
	if len(w.order) == 0 {
		return "apr_none"
	}
	recent := w.order[max(0, len(w.order)-12):]
	fit := slices.DeleteFunc(slices.Clone(recent), func(id string) bool { return w.last[id] != in })
	if len(fit) > 0 && rapid.IntRange(0, 3).Draw(t, "fitting") > 0 {
		recent = fit
	}
	id := rapid.SampledFrom(recent).Draw(t, "approval")
	w.touched[id] = true
	return id
}

func (w *engines) draw(t *rapid.T) act {
	ctx := context.Background()
	switch rapid.SampledFrom([]string{"ask", "ask", "plan", "review", "review", "review", "review", "review", "review", "review", "review", "review", "use", "use", "use", "use", "finish", "finish", "finish", "withdraw", "talk", "tick"}).Draw(t, "do") {
	case "ask":
		i := rapid.IntRange(0, 7).Draw(t, "question")
		return func(n *engineer) { w.ask(n, i) }
	case "plan":
		i, n := rapid.IntRange(0, 7).Draw(t, "question"), rapid.IntRange(1, 3).Draw(t, "items")
		return func(e *engineer) { w.askPlan(e, i, n) }
	case "review":
		who := rapid.SampledFrom([]string{"person:ana", "person:ben", "person:cas", "person:dee", "person:eve", "person:own", "person:sub", "person:out"}).Draw(t, "who")
		decision := rapid.SampledFrom([]string{approval.Approve, approval.Approve, approval.Approve, approval.Approve, approval.Approve, approval.Deny}).Draw(t, "decision")
		obliged := rapid.IntRange(0, 4).Draw(t, "rows")
		id := w.pick(t, approval.Pending)
		return func(n *engineer) { w.review(n, id, who, decision, obliged) }
	case "use":
		id := w.pick(t, approval.Approved)
		return func(n *engineer) { w.use(n, id) }
	case "finish":
		to := rapid.SampledFrom([]approval.State{approval.Executed, approval.Failed, approval.Unknown}).Draw(t, "to")
		id := w.pick(t, approval.Executing)
		return func(n *engineer) { _ = n.engine.Finish(ctx, id, approval.Outcome{State: to}) }
	case "withdraw":
		id := w.pick(t, approval.Pending)
		return func(n *engineer) { _, _ = n.engine.Withdraw(ctx, id, "person:sub", "") }
	case "talk":
		id := w.pick(t, approval.Pending)
		return func(n *engineer) { w.talk(n, id) }
	}
	return func(n *engineer) { _ = n.engine.Tick(ctx) }
}

func (w *engines) ask(n *engineer, i int) {
	a, existing, err := n.engine.Ask(context.Background(), questionOf(i))
	if err != nil || existing {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = append(w.order, a.ID)
	w.asked[a.ID], w.acked[a.ID], w.last[a.ID] = i, map[string]bool{}, approval.Pending
}

// askPlan asks n questions of one actor at once, the first of them i.
func (w *engines) askPlan(e *engineer, i, n int) {
	var qs []*approval.Question
	for k := range n {
		qs = append(qs, questionOf((i+2*k)%8))
	}
	a, existing, err := e.engine.AskPlan(context.Background(), qs)
	if err != nil || existing {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = append(w.order, a.ID)
	w.asked[a.ID], w.acked[a.ID], w.last[a.ID] = i, map[string]bool{}, approval.Pending
	for k := range a.Items {
		id := a.Items[k].Approval
		w.order, w.item[id] = append(w.order, id), true
		w.asked[id], w.acked[id], w.last[id] = (i+2*k)%8, map[string]bool{}, approval.Planned
	}
}

// lookPlan holds a plan and its items to each other: none is approved, or used, without
// the plan, and none is left behind where it ended.
func (w *engines) lookPlan(t *rapid.T, a *approval.Approval) {
	items, err := w.nodes[w.checks%2].engine.ItemsOf(context.Background(), a)
	if err != nil {
		t.Fatalf("the items of %s: %v", a.ID, err)
	}
	for _, item := range items {
		wait := item.State == approval.Planned
		ready := item.State == approval.Approved
		if wait != (a.State == approval.Pending) || ready && a.State != approval.Approved || !item.Started.IsZero() && !sanctioned(a) {
			t.Fatalf("item %d of %s is %s, and the plan %s", item.Position, a.ID, item.State, a.State)
		}
		if a.State == approval.Executed && item.State != approval.Executed {
			t.Fatalf("%s is over, and item %d %s", a.ID, item.Position, item.State)
		}
	}
}

func (w *engines) review(n *engineer, id, who, decision string, rows int) {
	ctx := context.Background()
	a, err := n.engine.Get(ctx, id)
	if err != nil {
		return
	}
	in := answer(a, who, decision)
	if decision == approval.Approve && rows > 0 {
		in.Obligation = rowsOf(int64(1000 - 10*len(a.Reviews) - rows))
	}
	if a, err = n.engine.Answer(ctx, in); err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range a.Reviews {
		if r.Person == who {
			w.acked[id][r.ID] = true
		}
	}
}

func rowsOf(n int64) approval.Obligation { return rows(n) }

func (w *engines) use(n *engineer, id string) {
	w.mu.Lock()
	i, known := w.asked[id]
	w.mu.Unlock()
	if !known {
		return
	}
	if _, err := n.engine.Use(context.Background(), id, use(questionOf(i))); err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uses[id]++
}

func (w *engines) talk(n *engineer, id string) {
	ctx := context.Background()
	a, err := n.engine.Question(ctx, id, identity.Person{ID: "person:ana"}, "why?", "console")
	if err != nil || len(a.Open()) == 0 {
		return
	}
	_, _ = n.engine.Reply(ctx, approval.Reply{Approval: id, Question: a.Open()[0].ID, Person: &identity.Person{ID: "person:own"}, Text: "because"})
}

// next are the states that one step may lead to.
var next = map[approval.State][]approval.State{
	approval.Planned:   {approval.Approved, approval.Denied, approval.Expired, approval.Withdrawn},
	approval.Pending:   {approval.Approved, approval.Denied, approval.Expired, approval.Withdrawn},
	approval.Approved:  {approval.Executing, approval.Executed, approval.Expired, approval.Withdrawn}, // executed at once: a plan whose items all ran
	approval.Executing: {approval.Executed, approval.Failed, approval.Unknown},
}

// reachable says that a state may have come of another, by steps that nobody looked at.
func reachable(from, to approval.State) bool {
	return from == to || slices.ContainsFunc(next[from], func(s approval.State) bool { return reachable(s, to) })
}

// check looks at what the last calls were about, and now and then at what began.
func (w *engines) check(t *rapid.T) {
	if w.checks++; w.checks%25 == 0 {
		w.checkUses(t)
	}
	for id := range w.touched {
		if _, known := w.last[id]; known {
			w.look(t, id)
		}
	}
	clear(w.touched)
}

// look compares one approval with what was seen of it before.
func (w *engines) look(t *rapid.T, id string) {
	a, err := w.nodes[w.checks%2].engine.Get(context.Background(), id)
	if err != nil {
		t.Fatalf("%s can't be read: %v", id, err)
	}
	if !reachable(w.last[id], a.State) {
		t.Fatalf("%s went from %s to %s", id, w.last[id], a.State)
	}
	w.last[id] = a.State
	w.checkReviews(t, a)
	if len(a.Items) > 0 {
		w.lookPlan(t, a)
	}
	of := a
	if a.Plan != "" {
		if of, err = w.nodes[w.checks%2].engine.Get(context.Background(), a.Plan); err != nil {
			t.Fatalf("the plan of %s can't be read: %v", id, err)
		}
		w.lookPlan(t, of)
	}
	if (a.State == approval.Approved || !a.Started.IsZero()) && !sanctioned(of) {
		t.Fatalf("%s is %s without a quorum: %+v of %+v", id, a.State, a.Reviews, a.Requirements)
	}
}

func (w *engines) checkReviews(t *rapid.T, a *approval.Approval) {
	people, ids := map[string]bool{}, map[string]bool{}
	for _, r := range a.Reviews {
		if people[r.Person] {
			t.Fatalf("%s has two reviews of %s", a.ID, r.Person)
		}
		people[r.Person], ids[r.ID] = true, true
		if r.Decision == approval.Deny && a.State != approval.Denied {
			t.Fatalf("%s was denied, and is %s", a.ID, a.State)
		}
	}
	for id := range w.acked[a.ID] {
		if !ids[id] {
			t.Fatalf("%s has lost review %s, which was acknowledged", a.ID, id)
		}
	}
}

// checkUses reads what is new in the log: it, not an engine, says what began.
func (w *engines) checkUses(t *rapid.T) {
	ctx := context.Background()
	found, err := w.nodes[0].store.Search(ctx, audit.Query{Types: []string{audit.TypeStarted}, Limit: 1 << 20})
	must(w.TB, err)
	began := map[string]int{}
	for _, r := range found {
		began[r.Approval]++
	}
	for id, n := range began {
		if n > 1 {
			t.Fatalf("%s began %d times", id, n)
		}
	}
	for id, n := range w.uses {
		if n > began[id] {
			t.Fatalf("%s was used %d times, and began %d times", id, n, began[id])
		}
	}
}

// sanctioned counts the quorum of a apart from the engine, by trying everybody in
// every seat. The groups are those of people(): nobody joins or leaves here.
func sanctioned(a *approval.Approval) bool {
	in := map[string][]string{
		"person:ana": {"owners", "dba"}, "person:ben": {"owners"}, "person:cas": {"owners", "dba"}, "person:eve": {"dba"},
	}
	if a.Asker.Chain[0].ID == "agent:y" {
		in["person:dee"] = []string{"owners"} // related to agent:x alone
	}
	var who []string
	for _, r := range a.Reviews {
		if r.Decision == approval.Approve && in[r.Person] != nil {
			who = append(who, r.Person)
		}
	}
	may := func(person string, groups ...string) bool {
		return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(in[person], g) })
	}
	var seat func(places [][]string, left []string) bool
	seat = func(places [][]string, left []string) bool {
		if len(places) == 0 {
			return true
		}
		return slices.ContainsFunc(left, func(p string) bool {
			return may(p, places[0]...) && seat(places[1:], slices.DeleteFunc(slices.Clone(left), func(q string) bool { return q == p }))
		})
	}
	more := min(a.Repeats, 1)
	return !slices.ContainsFunc(a.Requirements, func(r policy.Requirement) bool { return !filled(a, r, more, who, seat) })
}

func filled(a *approval.Approval, r policy.Requirement, more int, who []string, seat func([][]string, []string) bool) bool {
	switch r.Rule {
	case "two":
		return seat(slices.Repeat([][]string{{"owners"}}, 2+more), who)
	case "each":
		return seat(append([][]string{{"owners"}, {"dba"}}, slices.Repeat([][]string{{"owners", "dba"}}, more)...), who)
	case "either":
		return seat(slices.Repeat([][]string{{"owners"}}, 3+more), who) || seat(slices.Repeat([][]string{{"dba"}}, 1+more), who)
	}
	groups := []string{"dba"}
	if slices.ContainsFunc(a.Steps, func(s approval.Step) bool { return s.Do == approval.Escalate && !s.Done.IsZero() }) {
		groups = append(groups, "owners")
	}
	return seat(slices.Repeat([][]string{groups}, 2+more), who)
}

// play runs a batch of calls at once, each on a node of its own choice.
func (w *engines) play(t *rapid.T) int {
	batch := rapid.IntRange(1, 3).Draw(t, "at once")
	fate := rapid.SampledFrom([]int64{0, 0, 0, 0, 0, 1, 2, 4, 8}).Draw(t, "fate")
	w.nodes[rapid.IntRange(0, 1).Draw(t, "unlucky")].tosses.Store(fate)
	acts, on := make([]act, batch), make([]*engineer, batch) // all drawn before any runs
	for i := range batch {
		acts[i], on[i] = w.draw(t), w.nodes[rapid.IntRange(0, 1).Draw(t, "node")]
	}
	var wg sync.WaitGroup
	for i := range batch {
		wg.Go(func() { acts[i](on[i]) })
	}
	wg.Wait()
	for _, n := range w.nodes {
		n.tosses.Store(0)
	}
	return batch
}

// runEngines plays at least steps calls and says how many there were.
func runEngines(t *testing.T, steps int, open func(tb testing.TB, dir string) backend, one bool) {
	t.Helper()
	was := flag.Lookup("rapid.checks").Value.String()
	must(t, flag.Set("rapid.checks", "1"))
	perRun := flag.Lookup("rapid.steps").Value.String()
	must(t, flag.Set("rapid.steps", "400"))
	defer func() { _, _ = flag.Set("rapid.checks", was), flag.Set("rapid.steps", perRun) }()
	done, kills, runs, states, items := 0, 0, 0, map[approval.State]int{}, map[approval.State]int{}
	for done < steps && !t.Failed() {
		rapid.Check(t, func(rt *rapid.T) {
			w := newEngines(t, open(t, quick(t)), one)
			defer w.close()
			runs++
			rt.Repeat(map[string]func(*rapid.T){
				"calls":       func(rt *rapid.T) { done += w.play(rt) },
				"more":        func(rt *rapid.T) { done += w.play(rt) },
				"calls again": func(rt *rapid.T) { done += w.play(rt) },
				"again":       func(rt *rapid.T) { done += w.play(rt) },
				"time": func(rt *rapid.T) {
					w.clock.add(time.Duration(rapid.IntRange(1, 90).Draw(rt, "seconds")) * time.Second)
				},
				"kill": func(rt *rapid.T) {
					if rapid.IntRange(0, 9).Draw(rt, "really") == 0 {
						w.kill(rapid.IntRange(0, 1).Draw(rt, "node"))
						kills++
					}
				},
				"": w.check,
			})
			w.checkUses(rt)
			for _, id := range w.order {
				w.look(rt, id)
				states[w.last[id]]++
				if w.item[id] {
					items[w.last[id]]++
				}
			}
			w.verify(rt)
		})
	}
	t.Logf("%d calls in %d runs, %d nodes killed; approvals ended as %v, items of plans among them as %v", done, runs, kills, states, items)
	if done > 2000 && items[approval.Executed]+items[approval.Unknown]+items[approval.Failed] == 0 {
		t.Error("no item of a plan ever began")
	}
	for _, s := range []approval.State{approval.Denied, approval.Expired, approval.Withdrawn, approval.Executed, approval.Unknown} {
		if done > 2000 && states[s] == 0 {
			t.Errorf("nothing came to %s: this tries less than it says", s)
		}
	}
}

// verify has the whole log rehashed by the offline verifier.
func (w *engines) verify(t *rapid.T) {
	ctx := context.Background()
	n := w.nodes[0]
	head, err := n.store.Head(ctx)
	must(w.TB, err)
	_, err = n.log.Sign(ctx, head)
	must(w.TB, err)
	report, err := audit.Verify(ctx, n.store, audit.VerifyOptions{VKeys: n.log.Verifiers(), HeadFile: filepath.Join(w.dir, "head")})
	must(w.TB, err)
	if len(report.Problems) > 0 {
		t.Fatalf("the log has problems: %+v", report.Problems)
	}
}

// steps is how many calls a test plays: ASSENT_STEPS, or few.
func steps(tb testing.TB, few int) int {
	tb.Helper()
	if s := os.Getenv("ASSENT_STEPS"); s != "" {
		n, err := strconv.Atoi(s)
		must(tb, err)
		return n
	}
	return few
}

func TestTwoEnginesAndCrashes(t *testing.T) {
	runEngines(t, steps(t, 3000), func(_ testing.TB, dir string) backend {
		return func(tb testing.TB, _ string) closing {
			tb.Helper()
			s, err := sqlite.Open(context.Background(), filepath.Join(dir, "data"))
			must(tb, err)
			return s
		}
	}, true)
}

func TestTwoEnginesAndCrashesOnPostgreSQL(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{})
	must(t, err)
	defer func() { _ = cluster.Stop() }()
	u, err := url.Parse(cluster.DSN("postgres", "postgres"))
	must(t, err)
	u.User = url.User("postgres")
	runEngines(t, steps(t, 3000)/10, func(testing.TB, string) backend {
		var b [8]byte
		_, _ = rand.Read(b[:])
		schema := "t" + hex.EncodeToString(b[:])
		return func(tb testing.TB, node string) closing {
			tb.Helper()
			s, err := postgres.Open(ctx, postgres.Options{
				URL: u.String(), Password: func(context.Context) ([]byte, error) { return []byte(cluster.Password), nil },
				Schema: schema, Node: node, Lease: 5 * time.Second,
			})
			must(tb, err)
			return s
		}
	}, false)
}
