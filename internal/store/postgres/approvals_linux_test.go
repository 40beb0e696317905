package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/grant"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/policy"
	"github.com/assenthq/assent/internal/store"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// askers is how many people have agents that ask.
const askers = 1000

// A workshop is the engine on a store, with reviewers and many who ask.
type workshop struct {
	testing.TB
	store  store.Store
	engine *approval.Engine
	writes *timed // of the engine
	mu     sync.Mutex
	ahead  time.Duration // what the clock is ahead of the real one; guarded by mu
}

func (w *workshop) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.ahead)
}

func newWorkshop(tb testing.TB, kind string) *workshop {
	tb.Helper()
	dir := tb.TempDir()
	w := &workshop{TB: tb}
	switch kind {
	case "sqlite":
		s, err := sqlite.Open(ctx, dir)
		must(tb, err)
		w.store = s
	case "postgres":
		o := options(dir)
		o.Lease = time.Minute
		w.store = open(tb, o)
	}
	tb.Cleanup(func() { must(tb, w.store.Close()) })
	people := []identity.Person{{ID: "person:mira", Name: "Mira", Groups: []string{"group:reviewers"}}}
	var actors []identity.Actor
	for i := range askers {
		people = append(people, identity.Person{ID: fmt.Sprint("person:p", i)})
		actors = append(actors, identity.Actor{ID: fmt.Sprint("agent:a", i), Type: "agent", Owner: fmt.Sprint("person:p", i)})
	}
	d, err := identity.NewStatic(people, actors)
	must(tb, err)
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	must(tb, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}, HeadFile: filepath.Join(dir, "head"), Now: w.now})
	must(tb, err)
	must(tb, log.Open(ctx, w.store))
	minter, err := grant.NewMinter(filepath.Join(dir, "grant"), "https://assent.test")
	must(tb, err)
	w.writes = &timed{Store: w.store}
	w.engine, err = approval.New(approval.Options{
		Store: w.writes, Log: log, Minter: minter, Directory: d, MatchKey: make([]byte, 32), SealKey: make([]byte, 32), Issuer: "https://assent.test",
		PendingCap: 1 << 20, PersonCap: 1 << 20, BytesCap: 1 << 40, Clock: w.now,
	})
	must(tb, err)
	return w
}

// When those that wait expire: a few before anybody is reminded of the others.
const (
	sooner = 9 * time.Hour
	later  = 100 * time.Hour
)

// timed measures what each writing transaction takes.
type timed struct {
	approval.Store
	mu   sync.Mutex
	took []time.Duration // guarded by mu
}

func (s *timed) Update(ctx context.Context, fn func(approval.Tx) error) error {
	start := time.Now()
	err := s.Store.Update(ctx, fn)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, time.Since(start))
	return err
}

// fill has n approvals wait. The first few expire sooner than the others.
func (w *workshop) fill(n, few int) (ids []string) {
	w.Helper()
	next := make(chan int)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := range next {
				who := i % askers
				q := &approval.Question{
					Action: &action.Action{
						Kinds: []action.Kind{action.DataWrite}, Verb: "update", Target: "customers", Shape: fmt.Sprint("shape", i%5000),
						Resource: action.Resource{URN: "postgres:billing/prod", Type: "postgres", Env: "prod"}, Subject: fmt.Sprint("person:p", who),
						Actors: []action.Link{{ID: fmt.Sprint("agent:a", who), Type: "agent"}}, Payload: []byte(strconv.Itoa(i)), Statement: "UPDATE " + strings.Repeat("x", 600),
					},
					Title: "update customers", Statement: "UPDATE customers SET plan = $1 WHERE id = $2 " + strings.Repeat("-", 500), Gate: "pg",
					Decision: &policy.Decision{Verdict: policy.Review, Bundle: "sha256:00", Rules: []policy.Hit{{Rule: "hold"}}, Requirements: []policy.Requirement{{Rule: "hold", From: []string{"group:reviewers"}, Count: 1, Expires: later}}},
				}
				if i < few {
					q.Decision.Requirements[0].Expires = sooner
				}
				q.Asker = identity.Asker{Subject: identity.Person{ID: fmt.Sprint("person:p", who)}, Chain: []identity.Actor{{ID: fmt.Sprint("agent:a", who), Type: "agent", Owner: fmt.Sprint("person:p", who)}}, Credential: fmt.Sprint("tok", who), Scopes: []string{identity.ScopeAct}}
				q.Action.Actors = q.Asker.Links()
				a, _, err := w.engine.Ask(ctx, q)
				if err != nil {
					w.Error(err)
					continue
				}
				mu.Lock()
				ids = append(ids, a.ID)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return ids
}

// decide approves one, as the API does: it reads what it shows and answers that.
func (w *workshop) decide(id string) error {
	a, err := w.engine.Get(ctx, id)
	if err != nil {
		return err
	}
	_, err = w.engine.Answer(ctx, approval.Answer{Approval: id, Person: identity.Person{ID: "person:mira"}, Decision: approval.Approve, Channel: "api", Assurance: "token", Digest: a.Digest, Version: a.Version})
	return err
}

func p99(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)*99/100]
}

// BenchmarkDecisions is decisions a second and their p99, beside the raw
// write+fdatasync rate of the same disk in the same minute.
func BenchmarkDecisions(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		for _, deciders := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", kind, deciders), func(b *testing.B) {
				w := newWorkshop(b, kind)
				ids := w.fill(b.N, 0)
				raw := rawRate(b)
				next := make(chan string, len(ids))
				for _, id := range ids {
					next <- id
				}
				close(next)
				var mu sync.Mutex
				var took []time.Duration
				var wg sync.WaitGroup
				b.ResetTimer()
				for range deciders {
					wg.Go(func() {
						for id := range next {
							start := time.Now()
							if err := w.decide(id); err != nil {
								b.Error(err)
							}
							d := time.Since(start)
							mu.Lock()
							took = append(took, d)
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				rate := float64(b.N) / b.Elapsed().Seconds()
				b.ReportMetric(rate, "decisions/s")
				b.ReportMetric(raw, "fdatasync/s")
				b.ReportMetric(rate/raw, "x-fdatasync")
				b.ReportMetric(float64(p99(took).Microseconds())/1000, "p99-ms")
			})
		}
	}
}

// rawRate is how many 700-byte writes, each with its own sync, the disk does in a second.
func rawRate(b *testing.B) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "raw"))
	must(b, err)
	defer func() { must(b, f.Close()) }()
	start, buf, n := time.Now(), make([]byte, 700), 0
	for ; time.Since(start) < time.Second; n++ {
		_, err := f.Write(buf)
		must(b, err)
		must(b, syscall.Fdatasync(int(f.Fd())))
	}
	return float64(n) / time.Since(start).Seconds()
}

// BenchmarkPile is what a pile of pending approvals (100,000, or PENDING) makes of
// listing, deciding and expiring: the p99 of each, beside nobody else at work.
func BenchmarkPile(b *testing.B) {
	n := 100_000
	if s := os.Getenv("PENDING"); s != "" {
		var err error
		n, err = strconv.Atoi(s)
		must(b, err)
	}
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			w := newWorkshop(b, kind)
			start := time.Now()
			ids := w.fill(n, 2000)
			b.Logf("%d asked in %s", n, time.Since(start).Round(time.Second))
			const rounds = 300
			measure := func(what string, do func(i int) error) {
				var took []time.Duration
				for i := range rounds {
					start := time.Now()
					if err := do(i); err != nil {
						b.Fatalf("%s: %v", what, err)
					}
					took = append(took, time.Since(start))
				}
				b.ReportMetric(float64(p99(took).Microseconds())/1000, what+"-p99-ms")
			}
			for b.Loop() {
				pending := approval.Filter{States: []approval.State{approval.Pending}, Limit: 51}
				var deep approval.Filter
				measure("list", func(i int) error {
					list, err := w.engine.List(ctx, pending)
					if err == nil && len(list) != 51 {
						err = fmt.Errorf("%d are listed", len(list))
					}
					return err
				})
				measure("page", func(i int) error { // from page to page, some way down
					deep.States, deep.Limit = pending.States, 51
					list, err := w.engine.List(ctx, deep)
					if err == nil {
						last := list[len(list)-1]
						deep.Behind = approval.Place{Created: last.Created, ID: last.ID}
						if len(list) < deep.Limit {
							deep.Behind = approval.Place{}
						}
					}
					return err
				})
				rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				at := 0
				measure("decide", func(int) error {
					for {
						id := ids[at]
						at++
						a, err := w.engine.Get(ctx, id)
						if err != nil || a.State == approval.Pending && a.Expires.Sub(a.Created) > sooner {
							if err == nil {
								err = w.decide(id)
							}
							return err
						}
					}
				})
				w.expire(measure)
				b.ReportMetric(float64(p99(w.writes.took).Microseconds())/1000, "expire-p99-ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// expire lets those that expire sooner do so, a sweep at a time. While one writes,
// decisions wait.
func (w *workshop) expire(measure func(string, func(int) error)) {
	w.mu.Lock()
	w.ahead = sooner + time.Minute
	w.mu.Unlock()
	w.writes.mu.Lock()
	w.writes.took = nil
	w.writes.mu.Unlock()
	run, stop := context.WithCancel(ctx)
	start := time.Now()
	ended := make(chan error, 1)
	go func() { ended <- w.engine.Run(run) }()
	for {
		left := 0
		must(w.TB, w.store.View(ctx, func(tx approval.Tx) error {
			rows, err := tx.ListApprovals(ctx, approval.Selection{Due: w.now(), SoonestFirst: true, Limit: 1})
			left = len(rows)
			return err
		}))
		if left == 0 {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.Logf("2000 expired in %s", time.Since(start).Round(time.Millisecond))
	stop()
	must(w.TB, <-ended)
	measure("nothing-due", func(int) error { return w.engine.RecoverFrom(ctx, func(string) bool { return false }) })
}
