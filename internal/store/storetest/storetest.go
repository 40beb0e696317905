// Package storetest is the conformance suite of a store: what approvals, the
// audit log and credentials rely on, asked of the real thing. Every store runs
// it; one that passes can carry a deployment.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/identity"
	"github.com/assenthq/assent/internal/store"
)

// A Store is what one deployment needs.
type Store = store.Store

// Run runs the suite. open opens the store in dir; the second time it finds what the first one wrote.
func Run(t *testing.T, open func(tb testing.TB, dir string) Store) {
	s := &suite{open: open}
	t.Run("what was committed is there after reopening", s.durable)
	t.Run("an error undoes everything of its own and nothing else", s.undone)
	t.Run("a cancelled caller leaves no half of anything", s.cancelled)
	t.Run("a panic is an error", s.panics)
	t.Run("of concurrent swaps one wins", s.swaps)
	t.Run("a swap needs state and revision", s.guards)
	t.Run("a reader sees one moment", s.snapshot)
	t.Run("selections", s.selections)
	t.Run("one person, one review", s.reviews)
	t.Run("relations", s.relations)
	t.Run("what is read soon", s.foreseen)
	t.Run("tokens", s.tokens)
	t.Run("sealed rows", s.sealedRows)
	t.Run("values of tokens", s.vault)
	t.Run("head, records and tiles", s.log)
	t.Run("search", s.search)
	t.Run("the log over many concurrent writers verifies", s.concurrentLog)
	t.Run("rows follow a model", s.model)
}

type suite struct {
	open func(testing.TB, string) Store
}

var (
	ctx  = context.Background()
	noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)
)

func (s *suite) fresh(tb testing.TB) Store {
	tb.Helper()
	st := s.open(tb, tb.TempDir())
	tb.Cleanup(func() { _ = st.Close() })
	return st
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func row(id string, state approval.State) approval.Row {
	return approval.Row{
		ID: id, Revision: 1, State: state, Match: "m" + id, Shape: "shape", Actor: "agent:x", Credential: "tok", Person: "person:ana",
		Created: noon, Due: noon.Add(time.Hour), Body: []byte("body " + id), MAC: []byte{0, 1, 2, 255},
	}
}

func insert(tb testing.TB, s Store, rows ...approval.Row) {
	tb.Helper()
	must(tb, s.Update(ctx, func(tx approval.Tx) error {
		for _, r := range rows {
			if err := tx.InsertApproval(ctx, r); err != nil {
				return err
			}
		}
		return nil
	}))
}

func get(s Store, id string) (r approval.Row, err error) {
	err = s.View(ctx, func(tx approval.Tx) error {
		r, err = tx.ApprovalByID(ctx, id)
		return err
	})
	return r, err
}

func (s *suite) durable(t *testing.T) {
	dir := t.TempDir()
	st := s.open(t, dir)
	want := row("a", approval.Pending)
	want.Decided = noon.Add(time.Minute)
	insert(t, st, want)
	must(t, st.Close())
	st = s.open(t, dir)
	defer func() { must(t, st.Close()) }()
	got, err := get(st, "a")
	must(t, err)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if _, err := get(st, "b"); !errors.Is(err, approval.ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
}

func (s *suite) undone(t *testing.T) {
	st := s.fresh(t)
	boom := errors.New("boom")
	var wg sync.WaitGroup
	for i := range 40 { // good and bad ones share commits
		wg.Go(func() {
			err := st.Update(ctx, func(tx approval.Tx) error {
				if err := tx.InsertApproval(ctx, row(fmt.Sprint(i), approval.Pending)); err != nil {
					return err
				}
				if i%3 == 0 {
					return boom
				}
				if i%3 == 1 { // a constraint that fails in the middle
					_ = tx.InsertApproval(ctx, row(fmt.Sprint(i), approval.Pending))
				}
				return nil
			})
			if (i%3 == 0) != errors.Is(err, boom) {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range 40 {
		_, err := get(st, fmt.Sprint(i))
		if gone := errors.Is(err, approval.ErrNotFound); gone != (i%3 == 0) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func (s *suite) cancelled(t *testing.T) {
	st := s.fresh(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			c, cancel := context.WithCancel(ctx)
			err := st.Update(c, func(tx approval.Tx) error {
				if i%2 == 0 {
					cancel() // in the middle: what was begun is finished or undone whole
				}
				if err := tx.InsertApproval(c, row(fmt.Sprint("a", i), approval.Pending)); err != nil {
					return err
				}
				return tx.InsertApproval(c, row(fmt.Sprint("b", i), approval.Pending))
			})
			cancel()
			_, a := get(st, fmt.Sprint("a", i))
			_, b := get(st, fmt.Sprint("b", i))
			if (a == nil) != (b == nil) || (err == nil) != (a == nil) {
				t.Errorf("%d: update says %v, the rows %v and %v", i, err, a, b)
			}
		})
	}
	wg.Wait()
	c, cancel := context.WithCancel(ctx)
	cancel()
	if err := st.Update(c, func(approval.Tx) error { return nil }); err == nil {
		t.Error("an update of a caller who had left")
	}
}

func (s *suite) panics(t *testing.T) {
	st := s.fresh(t)
	err := st.Update(ctx, func(tx approval.Tx) error {
		panic(tx.InsertApproval(ctx, row("a", approval.Pending)))
	})
	if err == nil {
		t.Error("a panic was no error")
	}
	if _, err := get(st, "a"); !errors.Is(err, approval.ErrNotFound) {
		t.Errorf("what the panic left: %v", err)
	}
	insert(t, st, row("b", approval.Pending))
}

func (s *suite) swaps(t *testing.T) {
	st := s.fresh(t)
	insert(t, st, row("a", approval.Approved))
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 50 {
		wg.Go(func() {
			next := row("a", approval.Executing)
			next.Revision = 2
			err := st.Update(ctx, func(tx approval.Tx) error { return tx.SwapApproval(ctx, approval.Approved, 1, next) })
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, approval.ErrConflict) {
				t.Errorf("losing: %v", err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d swaps won", won)
	}
}

func (s *suite) guards(t *testing.T) {
	st := s.fresh(t)
	insert(t, st, row("a", approval.Pending))
	for name, try := range map[string]struct {
		id       string
		from     approval.State
		revision int64
	}{
		"another state": {"a", approval.Approved, 1}, "an old revision": {"a", approval.Pending, 0},
		"a coming revision": {"a", approval.Pending, 2}, "another id": {"b", approval.Pending, 1},
	} {
		err := st.Update(ctx, func(tx approval.Tx) error {
			return tx.SwapApproval(ctx, try.from, try.revision, row(try.id, approval.Denied))
		})
		if !errors.Is(err, approval.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got, err := get(st, "a"); err != nil || got.State != approval.Pending {
		t.Errorf("it is %s: %v", got.State, err)
	}
}

func (s *suite) snapshot(t *testing.T) {
	st := s.fresh(t)
	insert(t, st, row("a", approval.Pending))
	must(t, st.View(ctx, func(tx approval.Tx) error {
		if _, err := tx.ApprovalByID(ctx, "a"); err != nil {
			return err
		}
		insert(t, st, row("b", approval.Pending)) // commits while the reader reads
		if _, err := tx.ApprovalByID(ctx, "b"); !errors.Is(err, approval.ErrNotFound) {
			return fmt.Errorf("the reader saw what came later: %w", err)
		}
		return nil
	}))
	err := st.View(ctx, func(tx approval.Tx) error { return tx.InsertApproval(ctx, row("c", approval.Pending)) })
	if _, missing := get(st, "c"); err == nil || missing == nil {
		t.Errorf("a reader wrote: %v", err)
	}
}

func (s *suite) selections(t *testing.T) {
	st := s.fresh(t)
	a, b, c := row("a", approval.Pending), row("b", approval.Denied), row("c", approval.Approved)
	b.Created, b.Decided, b.Due, b.Shape = noon.Add(time.Minute), noon.Add(2*time.Minute), time.Time{}, "other"
	c.Created, c.Due, c.Actor = noon.Add(2*time.Minute), noon.Add(time.Minute), "agent:y"
	insert(t, st, a, b, c)
	for name, x := range map[string]struct {
		sel  approval.Selection
		want []string
	}{
		"everything, newest first": {approval.Selection{}, []string{"c", "b", "a"}},
		"limit":                    {approval.Selection{Limit: 2}, []string{"c", "b"}},
		"one state":                {approval.Selection{States: []approval.State{approval.Denied}}, []string{"b"}},
		"two states":               {approval.Selection{States: []approval.State{approval.Pending, approval.Approved}}, []string{"c", "a"}},
		"actor":                    {approval.Selection{Actor: "agent:y"}, []string{"c"}},
		"match":                    {approval.Selection{Match: "ma"}, []string{"a"}},
		"shape":                    {approval.Selection{Shape: "shape"}, []string{"c", "a"}},
		"created":                  {approval.Selection{Created: noon.Add(time.Minute)}, []string{"c", "b"}},
		"decided":                  {approval.Selection{Decided: noon.Add(2 * time.Minute)}, []string{"b"}},
		"due, soonest first":       {approval.Selection{Due: noon.Add(time.Hour), SoonestFirst: true}, []string{"c", "a"}},
		"due before":               {approval.Selection{Due: noon.Add(time.Hour - 1000)}, []string{"c"}},
		"nothing":                  {approval.Selection{Match: "%"}, nil},
		"behind one":               {approval.Selection{Behind: approval.Place{Created: c.Created, ID: "c"}}, []string{"b", "a"}},
		"behind one of that time":  {approval.Selection{Behind: approval.Place{Created: b.Created, ID: "bb"}, Limit: 1}, []string{"b"}},
		"behind all":               {approval.Selection{Behind: approval.Place{Created: a.Created, ID: "a"}}, nil},
	} {
		must(t, st.View(ctx, func(tx approval.Tx) error {
			rows, err := tx.ListApprovals(ctx, x.sel)
			var got []string
			for _, r := range rows {
				got = append(got, r.ID)
			}
			if d := cmp.Diff(x.want, got); d != "" {
				t.Errorf("%s: %s", name, d)
			}
			return err
		}))
	}
	must(t, st.View(ctx, func(tx approval.Tx) error {
		for actor, want := range map[string]int{"agent:x": 1, "agent:y": 0, "agent:z": 0} {
			if n, err := tx.CountPending(ctx, actor); n != want || err != nil {
				t.Errorf("%s has %d pending: %v", actor, n, err)
			}
		}
		for person, want := range map[string]int{"person:ana": 1, "person:ben": 0, "": 0} {
			if n, size, err := tx.PendingOf(ctx, person); n != want || size != int64(want*len(a.Body)) || err != nil {
				t.Errorf("%s has %d pending of %d bytes: %v", person, n, size, err)
			}
		}
		return nil
	}))
	planned := row("planned", approval.Planned) // it waits with one that is pending, which counts
	planned.Person = a.Person
	insert(t, st, planned)
	must(t, st.View(ctx, func(tx approval.Tx) error {
		n, size, err := tx.PendingOf(ctx, a.Person)
		if want := len(a.Body) + len(planned.Body); n != 1 || size != int64(want) || err != nil {
			t.Errorf("%d pending of %d bytes, want 1 of %d: %v", n, size, want, err)
		}
		return nil
	}))
}

func (s *suite) reviews(t *testing.T) {
	st := s.fresh(t)
	put := func(id, of, person string) error {
		return st.Update(ctx, func(tx approval.Tx) error {
			return tx.InsertReview(ctx, approval.ReviewRow{ID: id, Approval: of, Person: person, Body: []byte(id), MAC: []byte("mac")})
		})
	}
	must(t, put("z", "a", "ana"))
	must(t, put("y", "a", "ben"))
	must(t, put("x", "b", "ana"))
	if put("w", "a", "ana") == nil {
		t.Error("a second review of one person was stored")
	}
	if put("z", "c", "cas") == nil {
		t.Error("an id was used twice")
	}
	must(t, st.View(ctx, func(tx approval.Tx) error {
		got, err := tx.ReviewsOf(ctx, "a")
		want := []approval.ReviewRow{
			{ID: "z", Approval: "a", Person: "ana", Body: []byte("z"), MAC: []byte("mac")},
			{ID: "y", Approval: "a", Person: "ben", Body: []byte("y"), MAC: []byte("mac")},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		all, err2 := tx.ReviewsOf(ctx, "b", "a", "none")
		if d := cmp.Diff(append(want, approval.ReviewRow{ID: "x", Approval: "b", Person: "ana", Body: []byte("x"), MAC: []byte("mac")}), all); d != "" {
			t.Error(d)
		}
		none, err3 := tx.ReviewsOf(ctx)
		if len(none) > 0 {
			t.Errorf("reviews of nothing: %v", none)
		}
		return errors.Join(err, err2, err3)
	}))
}

func (s *suite) relations(t *testing.T) {
	st := s.fresh(t)
	early := approval.RelationRow{Actor: "agent:x", Person: "ana", Why: "owner", Seen: noon, MAC: []byte("1")}
	later := early
	later.Seen, later.MAC = noon.Add(time.Hour), []byte("2")
	old := approval.RelationRow{Actor: "agent:x", Person: "ben", Why: "owner", Seen: noon.Add(-time.Hour), MAC: []byte("3")}
	must(t, st.Update(ctx, func(tx approval.Tx) error {
		return errors.Join(tx.PutRelation(ctx, early), tx.PutRelation(ctx, old), tx.PutRelation(ctx, later))
	}))
	must(t, st.View(ctx, func(tx approval.Tx) error {
		got, err := tx.RelationsOf(ctx, "agent:x", noon)
		if d := cmp.Diff([]approval.RelationRow{later}, got); d != "" {
			t.Error(d)
		}
		return err
	}))
}

func (s *suite) tokens(t *testing.T) {
	st := s.fresh(t)
	a := identity.TokenRow{ID: "a", User: "x", Body: []byte("1"), MAC: []byte("m")}
	b := identity.TokenRow{ID: "b", User: "x", Body: []byte("2"), MAC: []byte("m")}
	c := identity.TokenRow{ID: "c", User: "", Body: []byte("3"), MAC: []byte("m")}
	changed := b
	changed.Body = []byte("4")
	must(t, st.UpdateTokens(ctx, func(tx identity.TokenTx) error {
		return errors.Join(tx.PutToken(ctx, a), tx.PutToken(ctx, b), tx.PutToken(ctx, c), tx.PutToken(ctx, changed))
	}))
	must(t, st.ViewTokens(ctx, func(tx identity.TokenTx) error {
		one, err := tx.TokenByID(ctx, "b")
		must(t, err)
		byUser, err := tx.TokensByUser(ctx, "x")
		must(t, err)
		all, err := tx.ListTokens(ctx)
		must(t, err)
		if _, err := tx.TokenByID(ctx, "d"); !errors.Is(err, identity.ErrNoToken) {
			t.Errorf("an unknown token: %v", err)
		}
		if d := cmp.Diff([]any{changed, []identity.TokenRow{a, changed}, []identity.TokenRow{a, changed, c}}, []any{one, byUser, all}); d != "" {
			t.Error(d)
		}
		return nil
	}))
}

func (s *suite) log(t *testing.T) {
	st := s.fresh(t)
	head, err := st.Head(ctx)
	must(t, err)
	if head != (audit.Head{}) {
		t.Errorf("the head of an empty log is %+v", head)
	}
	next := audit.Head{Size: 2, Root: [32]byte{1, 2, 3}, Last: noon}
	must(t, st.Update(ctx, func(tx approval.Tx) error {
		return errors.Join(
			tx.InsertRecord(ctx, 0, []byte(`{"index":0}`), &audit.Record{Time: noon}),
			tx.InsertRecord(ctx, 1, []byte(`{"index":1}`), &audit.Record{Index: 1, Time: noon}),
			tx.PutTile(ctx, 0, 0, []byte("hash")), tx.PutTile(ctx, 0, 0, []byte("hashhash")),
			tx.SwapHead(ctx, audit.Head{}, next))
	}))
	for name, bad := range map[string]func(tx approval.Tx) error{
		"an index twice":        func(tx approval.Tx) error { return tx.InsertRecord(ctx, 1, []byte("x"), &audit.Record{}) },
		"a head from elsewhere": func(tx approval.Tx) error { return tx.SwapHead(ctx, audit.Head{Size: 1}, audit.Head{Size: 3}) },
		"a second first head":   func(tx approval.Tx) error { return tx.SwapHead(ctx, audit.Head{}, audit.Head{Size: 3}) },
	} {
		if st.Update(ctx, bad) == nil {
			t.Errorf("%s was stored", name)
		}
	}
	if head, err = st.Head(ctx); err != nil || head != next {
		t.Errorf("the head is %+v: %v", head, err)
	}
	for n, want := range map[int64]string{0: "hashhash", 1: ""} {
		if got, err := st.Tile(ctx, 0, n); err != nil || string(got) != want {
			t.Errorf("tile %d is %q: %v", n, got, err)
		}
	}
	var seen []string
	must(t, st.Leaves(ctx, 0, 5, func(i int64, leaf []byte) error {
		seen = append(seen, fmt.Sprint(i, string(leaf)))
		return nil
	}))
	if d := cmp.Diff([]string{`0{"index":0}`, `1{"index":1}`}, seen); d != "" {
		t.Error(d)
	}
}

// newLog is a real log on st.
func newLog(tb testing.TB, st Store, dir string) *audit.Log {
	tb.Helper()
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	must(tb, err)
	l, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}, HeadFile: filepath.Join(dir, "head")})
	must(tb, err)
	must(tb, l.Open(ctx, st))
	return l
}

func (s *suite) search(t *testing.T) {
	st := s.fresh(t)
	l := newLog(t, st, t.TempDir())
	recs := []*audit.Record{
		{Type: audit.TypeRequest, Actor: "agent:x", Session: "s1", Resource: "r1", Kinds: []string{"data.read"}},
		{Type: audit.TypeReview, Actor: "agent:x", Person: "ana", Approval: "apr_1", Detail: map[string]string{"review": "rev_1"}},
		{Type: audit.TypeRequest, Actor: "agent:y", Session: "s2", Resource: "r1", Kinds: []string{"data.read", "data.export"}, Findings: map[string]int64{"card": 2}, Masked: map[string]int64{"email": 1}, Title: "nul \x00"},
		{Type: audit.TypeAlarm, Detail: map[string]string{"what": "%' OR 1=1 --", "email": `"card":"email":`}},
	}
	recs = append(recs, &audit.Record{Type: audit.TypeStarted, Approval: "apr_2"})
	must(t, st.Update(ctx, func(tx approval.Tx) error { return l.Append(ctx, tx, recs...) }))
	must(t, st.View(ctx, func(tx approval.Tx) error {
		for id, want := range map[string][]approval.State{"apr_1": nil, "apr_2": {approval.Executing}, "": nil} {
			if got, err := tx.Reached(ctx, id); !slices.Equal(got, want) || err != nil {
				t.Errorf("%q reached: %v, %v", id, got, err)
			}
		}
		for id, want := range map[string][]string{"apr_1": {"rev_1"}, "apr_2": nil, "": nil} {
			if got, err := tx.Reviewed(ctx, id); !slices.Equal(got, want) || err != nil {
				t.Errorf("reviews of %q: %v, %v", id, got, err)
			}
		}
		return nil
	}))
	last := recs[4].Time
	for name, x := range map[string]struct {
		q    audit.Query
		want []int64
	}{
		"everything": {audit.Query{}, []int64{4, 3, 2, 1, 0}}, "limit": {audit.Query{Limit: 2}, []int64{4, 3}},
		"types": {audit.Query{Types: []string{audit.TypeReview, audit.TypeAlarm}}, []int64{3, 1}},
		"actor": {audit.Query{Actor: "agent:x"}, []int64{1, 0}}, "person": {audit.Query{Person: "ana"}, []int64{1}},
		"approval": {audit.Query{Approval: "apr_1"}, []int64{1}}, "resource": {audit.Query{Resource: "r1"}, []int64{2, 0}},
		"session": {audit.Query{Session: "s2"}, []int64{2}}, "kind": {audit.Query{Kind: "data.export"}, []int64{2}},
		"class found": {audit.Query{Class: "card"}, []int64{2}}, "class masked": {audit.Query{Class: "email"}, []int64{2}}, "no class": {audit.Query{Class: "car"}, nil},
		"a class like code": {audit.Query{Class: `x"' OR 1=1 --`}, nil}, "half a kind": {audit.Query{Kind: "data"}, nil}, "before": {audit.Query{Before: 2}, []int64{1, 0}},
		"since": {audit.Query{Since: last.Add(time.Microsecond)}, nil}, "until": {audit.Query{Until: recs[0].Time}, nil},
		"at": {audit.Query{Since: recs[0].Time, Until: last.Add(time.Microsecond)}, []int64{4, 3, 2, 1, 0}},
	} {
		found, err := st.Search(ctx, x.q)
		must(t, err)
		var got []int64
		for _, r := range found {
			got = append(got, r.Index)
			if d := cmp.Diff(*recs[r.Index], r); d != "" {
				t.Errorf("%s: record %d: %s", name, r.Index, d)
			}
		}
		if d := cmp.Diff(x.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func (s *suite) concurrentLog(t *testing.T) {
	st, dir := s.fresh(t), t.TempDir()
	l := newLog(t, st, dir)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 40 {
				boom := errors.New("boom")
				err := st.Update(ctx, func(tx approval.Tx) error {
					if err := l.Append(ctx, tx, &audit.Record{Type: audit.TypeRequest, Detail: map[string]string{"n": fmt.Sprint(i, n)}}); err != nil {
						return err
					}
					if n%5 == 0 {
						return boom
					}
					return nil
				})
				if err != nil && !errors.Is(err, boom) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	head, err := st.Head(ctx)
	must(t, err)
	if head.Size != 16*32 {
		t.Fatalf("%d records", head.Size)
	}
	_, err = l.Sign(ctx, head)
	must(t, err)
	report, err := audit.Verify(ctx, st, audit.VerifyOptions{VKeys: l.Verifiers(), HeadFile: filepath.Join(dir, "head")})
	must(t, err)
	if len(report.Problems) > 0 {
		t.Errorf("%+v", report.Problems)
	}
}

// model lets rows be inserted and swapped at random, in transactions that may fail, beside a map.
func (s *suite) model(t *testing.T) {
	st := s.fresh(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		want := map[string]approval.Row{}
		for range rapid.IntRange(1, 8).Draw(rt, "transactions") {
			next := map[string]approval.Row{}
			for k, v := range want {
				next[k] = v
			}
			boom := errors.New("boom")
			wrong := "" // fn may run on a goroutine of the store: it must not end the test
			err := st.Update(ctx, func(tx approval.Tx) error {
				for range rapid.IntRange(1, 4).Draw(rt, "steps") {
					id := fmt.Sprint(run, "-", rapid.IntRange(0, 3).Draw(rt, "id"))
					r := row(id, rapid.SampledFrom([]approval.State{approval.Pending, approval.Approved}).Draw(rt, "state"))
					r.Body = rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(rt, "body")
					old, there := next[id]
					if !there {
						if err := tx.InsertApproval(ctx, r); err != nil {
							wrong = err.Error()
						}
						next[id] = r
						continue
					}
					from := rapid.SampledFrom([]approval.State{approval.Pending, approval.Approved}).Draw(rt, "from")
					r.Revision = old.Revision + 1
					err := tx.SwapApproval(ctx, from, old.Revision, r)
					if (err == nil) != (from == old.State) {
						wrong = fmt.Sprintf("swap from %s of %s: %v", from, old.State, err)
					}
					if err == nil {
						next[id] = r
					}
				}
				if rapid.Bool().Draw(rt, "fails") {
					return boom
				}
				return nil
			})
			if wrong != "" {
				rt.Fatal(wrong)
			}
			if err == nil {
				want = next
			}
		}
		for i := range 4 {
			id := fmt.Sprint(run, "-", i)
			got, err := get(st, id)
			w, there := want[id]
			if there != (err == nil) {
				rt.Fatalf("%s: %v", id, err)
			}
			if d := cmp.Diff(w, got); there && d != "" {
				rt.Fatal(d)
			}
		}
	})
}
