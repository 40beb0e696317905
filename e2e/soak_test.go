package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/pgcluster"
	"github.com/assenthq/assent/internal/store/sqlite"
	"github.com/jackc/pgx/v5"
)

const soakPack = `apiVersion: assent/v1
kind: PolicyPack
metadata: { name: soak, version: 1.0.0, owner: tests }
rules:
  - { id: reads, match: { kind: [data.read, data.export] }, then: allow }
  - { id: masked, match: { actor: [agent] }, then: mask, mask: { email: redact } }
  - id: flow
    match: { kind: [data.write] }
    when: action.target.endsWith("flow")
    then: allow
  - id: asked
    match: { kind: [data.write] }
    when: '!action.target.endsWith("flow") && !action.target.endsWith("late")'
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 10m, use_within: 10m, assurance: token }
  - id: late
    match: { kind: [data.write] }
    when: action.target.endsWith("late")
    then: review
    approval: { from: [group:reviewers], count: 1, expires: 2s, assurance: token }
  - { id: kept, match: { kind: [data.delete] }, then: deny }
tests:
  - { name: reads, given: { kind: data.read, actor: agent, classes: [email] }, want: { decision: allow, mask: { email: redact } } }
  - { name: flow, given: { kind: data.write, target: public.flow }, want: { decision: allow } }
  - { name: asked, given: { kind: data.write, target: public.asked }, want: { decision: review, expires: 10m } }
  - { name: late, given: { kind: data.write, target: public.late }, want: { decision: review, expires: 2s } }
  - { name: kept, given: { kind: data.delete }, want: { decision: deny } }
`

// A soak is a mixed load, and what is broken under it on purpose.
type soak struct {
	t      *testing.T
	house  *house
	ledger *ledger
	token  string
	mira   *client.Client
	web    *http.Transport
	direct *pgx.Conn

	seed    uint64
	rand    *rand.Rand // of the faults
	workers []*worker
	spell   time.Duration // one stretch of load
	began   time.Time
	life    int
	first   rest   // of this life, after its first spell
	rests   []rest // the first of them before any load
}

// TestMixed puts a mixed load before a real database, breaks what can break, and
// holds what clients were told against what is there: every acknowledged write
// exactly once, nothing that was refused, nothing half, nothing twice, no value in the
// clear; the log verifies after each kill, and what the server holds goes back to
// what it was. It lasts 20 s, or SOAK. ASSENT_SEED repeats a run's choices.
func TestMixed(t *testing.T) {
	lasts := 20 * time.Second
	if v := os.Getenv("SOAK"); v != "" {
		var err error
		if lasts, err = time.ParseDuration(v); err != nil {
			t.Fatalf("SOAK=%s: %v", v, err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	if v := os.Getenv("ASSENT_SEED"); v != "" {
		var err error
		if seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("ASSENT_SEED=%s: %v", v, err)
		}
	}
	fmt.Printf("soak: %v with ASSENT_SEED=%d; worker n draws from PCG(seed, n), faults from PCG(seed, 0)\n", lasts, seed)
	s := newSoak(t, seed, min(max(lasts/30, 3*time.Second), time.Minute))
	s.run(lasts)
	s.finish()
}

func newSoak(t *testing.T, seed uint64, spell time.Duration) *soak {
	h := houseWith(t, soakPack, pgcluster.Options{Settings: map[string]string{"max_connections": "200"}})
	s := &soak{
		t: t, house: h, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), spell: spell, web: &http.Transport{},
		ledger: &ledger{counts: map[string]int64{}},
	}
	t.Cleanup(func() {
		s.web.CloseIdleConnections()
		if s.direct != nil {
			_ = s.direct.Close(context.Background())
		}
	})
	_, err := s.admin(t.Context()).Exec(t.Context(), fmt.Sprintf(`
		CREATE TABLE flow (g bigint, k int); CREATE TABLE asked (LIKE flow); CREATE TABLE refused (LIKE flow); CREATE TABLE late (LIKE flow);
		CREATE TABLE big AS SELECT n::bigint AS id, 'row ' || n AS note, 'person' || n || '@example.com' AS email FROM generate_series(1, %d) n;
		ALTER TABLE big ADD PRIMARY KEY (id)`, bigRows), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	h.start()
	s.life, s.began = 1, time.Now()
	s.token = h.worker()
	reviewer := h.mint(client.TokenRequest{Kind: "person", Subject: "person:mira", Scopes: []string{"review", "read"}, Life: 3 * time.Hour})
	if s.mira, err = client.New("http://"+h.console, reviewer, s.web); err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		s.workers = append(s.workers, &worker{n: n + 1, rand: rand.New(rand.NewPCG(seed, uint64(n+1))), soak: s})
	}
	return s
}

// admin is a connection past the gate, dialled anew when the database was away.
func (s *soak) admin(ctx context.Context) *pgx.Conn {
	if s.direct != nil && !s.direct.IsClosed() && s.direct.Ping(ctx) == nil {
		return s.direct
	}
	var err error
	if s.direct, err = pgx.Connect(ctx, s.house.cluster.DSN(s.house.cluster.User, "postgres")+"&application_name=soak"); err != nil {
		s.t.Fatalf("reaching the database past the gate: %v", err)
	}
	return s.direct
}

// run is lives of the server: short ones that end in a kill under load, then a long
// one, where what it holds must stay as it was.
func (s *soak) run(lasts time.Duration) {
	stop := s.progress()
	defer stop()
	s.rested() // before any load
	for time.Since(s.began) < lasts/2 && s.sound() {
		s.load(s.rand.IntN(2) == 0)
		s.rested()
		for range 2 {
			if time.Since(s.began) < lasts/2-s.spell {
				s.load(true)
				s.rested()
			}
		}
		s.killed()
	}
	for i := 0; (i < 3 || time.Since(s.began) < lasts) && s.sound(); i++ {
		s.load(i%3 == 1)
		s.rested()
	}
}

// sound reports whether nothing is wrong so far: a run that has failed ends.
func (s *soak) sound() bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	return len(s.ledger.broken) == 0
}

// load is one spell; the database is restarted in the midst of it, or not.
func (s *soak) load(restart bool) {
	end := s.underLoad()
	for over := time.After(s.spell); ; {
		pause := s.spell/12 + time.Duration(s.rand.Int64N(int64(s.spell/12)))
		select {
		case <-over:
			end()
			return
		case <-time.After(pause):
		}
		if restart && s.rand.IntN(4) == 0 {
			s.restartDatabase()
			restart = false
			continue
		}
		s.ledger.fault("backend terminated", 3*time.Second)
		// Sessions of the gate's own are fair game as well.
		_, err := s.admin(s.t.Context()).Exec(s.t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'soak' OFFSET $1 LIMIT 1", s.rand.IntN(len(s.workers)))
		s.ledger.fault("backend gone", 3*time.Second) // however long that took
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// underLoad starts workers and a reviewer; end waits until they have hung up.
func (s *soak) underLoad() (end func()) {
	stop := make(chan struct{})
	ctx, cancel := context.WithCancel(s.t.Context())
	var workers, reviewer sync.WaitGroup
	for _, w := range s.workers {
		workers.Go(func() { w.run(stop) })
	}
	reviewer.Go(func() { s.review(ctx) })
	return func() {
		close(stop)
		workers.Wait() // with the reviewer still there, whom some of them wait for
		cancel()
		reviewer.Wait()
		s.web.CloseIdleConnections()
	}
}

// review answers what waits, by the table it would write to: late is left to expire.
func (s *soak) review(ctx context.Context) {
	answered := map[string]bool{}
	for ctx.Err() == nil {
		page, err := s.mira.Approvals(ctx, client.ListOptions{States: []string{"pending"}, Limit: 100})
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for _, a := range page.Approvals {
			decision := "approve"
			switch {
			case answered[a.ID], strings.Contains(a.Statement, "INTO late"):
				continue
			case strings.Contains(a.Statement, "INTO refused"):
				decision = "deny"
			}
			if _, err := s.mira.Review(ctx, a, decision, "soak"); err == nil {
				answered[a.ID] = true
				s.ledger.count("review: " + decision)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *soak) restartDatabase() {
	name := "database restarted"
	if s.rand.IntN(2) == 0 {
		name = "database killed"
	}
	s.ledger.fault(name, time.Minute)
	if name == "database killed" {
		if err := s.house.cluster.Kill(); err != nil {
			s.t.Fatal(err)
		}
	}
	time.Sleep(time.Duration(s.rand.IntN(1000)) * time.Millisecond)
	if err := s.house.cluster.Restart(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.ledger.mu.Lock()
	s.ledger.quiet = time.Now().Add(5 * time.Second)
	s.ledger.mu.Unlock()
}

// killed ends the server under load, verifies its log, and starts it again.
func (s *soak) killed() {
	end := s.underLoad()
	time.Sleep(s.spell/4 + time.Duration(s.rand.Int64N(int64(s.spell/4))))
	s.ledger.fault("server killed", time.Minute)
	s.house.kill()
	// Workers meet a server that isn't there, and one that comes back under their feet.
	time.Sleep(time.Duration(s.rand.IntN(300)) * time.Millisecond)
	s.house.verify()
	s.house.start()
	s.life++
	s.first = rest{}
	s.ledger.mu.Lock()
	s.ledger.quiet = time.Now().Add(5 * time.Second)
	s.ledger.mu.Unlock()
	time.Sleep(s.spell / 4)
	end()
}

// rested takes the figures and compares them.
func (s *soak) rested() {
	r, err := s.rest(s.t.Context())
	if err != nil {
		s.t.Fatalf("taking figures of the server: %v", err)
	}
	s.rests = append(s.rests, r)
	fmt.Println("rest:", r)
	if len(s.rests) == 1 {
		return
	}
	if still := s.gone(r); still != "" {
		s.ledger.violated("at %v with nobody connected: %s", r.at.Round(time.Second), still)
	}
	if s.first.heap == 0 {
		s.first = r
	}
	if more := s.grown(r); more != "" {
		s.ledger.violated("at %v with nobody connected: %s", r.at.Round(time.Second), more)
	}
}

// finish holds everything against everything, prints the table and gives the verdict.
func (s *soak) finish() {
	s.house.kill()
	s.house.verify()
	if err := s.settled(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := s.startedOnce(); err != nil {
		s.t.Fatal(err)
	}
	l := s.ledger
	fmt.Println("\nload, and how it was answered:")
	l.table()
	byFate := l.written()
	fmt.Printf("\nwrites: %d acknowledged, %d refused, %d without an answer\n", byFate[acked], byFate[refused], byFate[lost])
	fmt.Println("at rest:")
	for _, r := range s.rests {
		fmt.Println(" ", r)
	}
	for _, o := range ops {
		if o.weight > 3 && l.sum(o.name+": ") == 0 {
			l.violated("%s: never asked, so nothing is known of it", o.name)
		}
	}
	if byFate[acked] == 0 || l.sum("review: approve") == 0 || l.sum("fault ") == 0 {
		l.violated("too little happened to say anything")
	}
	for _, v := range l.broken {
		s.t.Error(v)
	}
	if len(l.broken) > 0 {
		s.t.Errorf("repeat it with ASSENT_SEED=%d; the server said at last:\n%s", s.seed, tail(telling(s.house.logs.String()), 8000))
	}
}

// telling leaves out of the server's log what it says of every request.
func telling(log string) string {
	var out strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"msg":"request"`) {
			out.WriteString(line)
		}
	}
	return out.String()
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// startedOnce: no approval began to run twice, by the log's own word.
func (s *soak) startedOnce() error {
	store, err := sqlite.OpenReadOnly(s.t.Context(), filepath.Join(s.house.dir, "data"))
	if err != nil {
		return err
	}
	defer store.Close()
	started := map[string]int{}
	for q := (audit.Query{Types: []string{audit.TypeStarted}, Limit: 1000}); ; {
		records, err := store.Search(s.t.Context(), q)
		if err != nil {
			return err
		}
		for _, r := range records {
			started[r.Approval]++
			q.Before = r.Index
		}
		if len(records) < q.Limit {
			break
		}
	}
	for id, n := range started {
		if n > 1 {
			s.ledger.violated("approval %s was started %d times", id, n)
		}
	}
	var ran int
	// A statement's rows share a group, and one approval is one statement.
	if err := s.admin(s.t.Context()).QueryRow(s.t.Context(), "SELECT count(DISTINCT g) FROM asked").Scan(&ran); err != nil {
		return err
	}
	if ran > len(started) {
		s.ledger.violated("%d statements ran that must be approved, and %d approvals were used", ran, len(started))
	}
	return nil
}

// progress prints a line every ten seconds.
func (s *soak) progress() (stop func()) {
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			l := s.ledger
			byFate := l.written()
			fmt.Printf("%6s  writes %d acked %d refused %d lost  approved %d  called off %d  clients killed %d  backends terminated %d  database restarts %d  kills %d\n",
				time.Since(s.began).Round(time.Second), byFate[acked], byFate[refused], byFate[lost], l.sum("review: approve"), l.sum("fault cancel"),
				l.sum("fault client"), l.sum("fault backend"), l.sum("fault database"), l.sum("fault server"))
		}
	}()
	return func() { close(ended); <-done }
}
