package habit_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // an intruder edits the file

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/habit"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

// house is a deployment's store, which outlives the memories on it.
type house struct {
	t     *testing.T
	dir   string
	store *sqlite.Store
	box   *sealed.Box
	now   time.Time
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)}
	h.open()
	t.Cleanup(func() { _ = h.store.Close() })
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) open() {
	h.t.Helper()
	var err error
	h.store, err = sqlite.Open(context.Background(), h.dir)
	h.must(err)
	key, err := audit.LoadOrCreateKey(filepath.Join(h.dir, "key"), "test/log")
	h.must(err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	h.must(err)
	h.must(log.Open(context.Background(), h.store))
	h.box, err = sealed.NewBox(h.store, log, []byte(strings.Repeat("k", 32)))
	h.must(err)
}

func (h *house) memory() *habit.Memory {
	h.t.Helper()
	m, err := habit.New(habit.Options{Box: h.box, Key: []byte(strings.Repeat("h", 32)), Clock: func() time.Time { return h.now }})
	h.must(err)
	return m
}

// restart is the same deployment after its process ended; meanwhile somebody runs sql on its database.
func (h *house) restart(edit ...string) *habit.Memory {
	h.t.Helper()
	h.must(h.store.Close())
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "assent.db"))
	h.must(err)
	for _, q := range edit {
		res, err := db.Exec(q)
		h.must(err)
		if n, err := res.RowsAffected(); err != nil || n == 0 && !strings.HasPrefix(q, "create") {
			h.t.Fatalf("the intruder changed %d rows: %v", n, err)
		}
	}
	h.must(db.Close())
	h.open()
	return h.memory()
}

const worker = "agent:worker"

func (h *house) knows(m *habit.Memory, actor, shape, target, want string) {
	h.t.Helper()
	s, g := m.Book(actor).Knows(h.t.Context(), m.Act("pg:shop", shape, target), h.now)
	words := []string{"unknown", "before", "never"}
	if got := words[s] + " " + words[g]; got != want {
		h.t.Errorf("%s, %s on %s: %s, want %s", actor, shape, target, got, want)
	}
}

func TestWhatWasDoneIsRemembered(t *testing.T) {
	h := newHouse(t)
	m := h.memory()
	h.knows(m, worker, "aa", "orders", "never never")
	h.knows(m, worker, "aa", "orders", "never never") // asking is not doing
	m.Book(worker).Did(m.Act("pg:shop", "aa", "orders"), h.now)
	h.knows(m, worker, "aa", "orders", "before before")
	h.knows(m, worker, "bb", "orders", "never before")
	h.knows(m, worker, "", "orders", "unknown before")
	h.knows(m, "agent:other", "aa", "orders", "never never")
	if s, g := m.Book(worker).Knows(t.Context(), m.Act("pg:other", "aa", "orders"), h.now); s != habit.Never || g != habit.Never {
		t.Error("what was done to one system was done to another")
	}
	h.must(m.Keep(t.Context()))
	m = h.restart()
	h.knows(m, worker, "aa", "orders", "before before")
	h.knows(m, worker, "bb", "items", "never never")
}

func TestWhatIsStoredSaysNothing(t *testing.T) {
	h := newHouse(t)
	m := h.memory()
	m.Book(worker).Did(m.Act("pg:shop", "aa", "salaries of Ana"), h.now)
	h.must(m.Keep(t.Context()))
	h.must(h.store.Close())
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "assent.db"))
	h.must(err)
	defer func() { _ = db.Close() }()
	var body string
	h.must(db.QueryRow(`select body from sealed where kind = 'habit'`).Scan(&body))
	if strings.Contains(body, "salaries") || strings.Contains(body, "Ana") || !strings.Contains(body, worker) {
		t.Errorf("stored: %s", body)
	}
}

// Nothing is written for what is known, and one record for all that was learnt since.
func TestWritesAreFew(t *testing.T) {
	h := newHouse(t)
	m := h.memory()
	learnt := func() int {
		recs, err := h.store.Search(t.Context(), audit.Query{Types: []string{audit.TypeActor}, Limit: 100})
		h.must(err)
		return len(recs)
	}
	b := m.Book(worker)
	for i := range 500 {
		b.Did(m.Act("pg:shop", fmt.Sprint(i), fmt.Sprint(i%7)), h.now)
	}
	if n := learnt(); n != 0 {
		t.Errorf("%d records before anything is kept", n)
	}
	for range 3 {
		h.must(m.Keep(t.Context()))
		b.Did(m.Act("pg:shop", "1", "1"), h.now)
	}
	h.now = h.now.Add(6 * 24 * time.Hour)
	b.Did(m.Act("pg:shop", "1", "1"), h.now)
	h.must(m.Keep(t.Context()))
	if n := learnt(); n != 1 {
		t.Errorf("%d records, want one", n)
	}
	a := m.Act("pg:shop", "1", "1")
	if n := testing.AllocsPerRun(100, func() { b.Knows(t.Context(), a, h.now); b.Did(a, h.now) }); n != 0 {
		t.Errorf("what is known allocates %v times", n)
	}
}

func TestOldHabitsAreForgotten(t *testing.T) {
	h := newHouse(t)
	m := h.memory()
	b := m.Book(worker)
	b.Did(m.Act("pg:shop", "old", "orders"), h.now)
	b.Did(m.Act("pg:shop", "kept", "orders"), h.now)
	h.must(m.Keep(t.Context()))
	h.now = h.now.Add(habit.MaxAge - 24*time.Hour)
	h.knows(m, worker, "old", "orders", "before before")
	b.Did(m.Act("pg:shop", "kept", "orders"), h.now)
	h.now = h.now.Add(3 * 24 * time.Hour)
	h.knows(m, worker, "old", "orders", "never before")
	h.must(m.Keep(t.Context()))
	m = h.restart()
	h.knows(m, worker, "old", "orders", "never before")
	h.knows(m, worker, "kept", "orders", "before before")
}

// However much an actor does, what is remembered has a bound; the oldest goes first.
func TestBounds(t *testing.T) {
	h := newHouse(t)
	m := h.memory()
	b := m.Book(worker)
	b.Did(m.Act("pg:shop", "first", "first"), h.now)
	h.must(m.Keep(t.Context()))
	h.now = h.now.Add(24 * time.Hour)
	for i := range 3 * habit.MaxShapes {
		b.Did(m.Act("pg:shop", fmt.Sprint(i), fmt.Sprint(i)), h.now)
	}
	h.must(m.Keep(t.Context()))
	h.must(h.store.Close())
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "assent.db"))
	h.must(err)
	var size int
	h.must(db.QueryRow(`select length(body) from sealed where kind = 'habit'`).Scan(&size))
	h.must(db.Close())
	if most := (habit.MaxShapes+habit.MaxTargets)*10*4/3 + 200; size > most {
		t.Errorf("%d bytes are stored, at most %d", size, most)
	}
	h.open()
	h.knows(h.memory(), worker, "first", "first", "never never")
}

// Two nodes of one store learn from each other.
func TestNodesLearnFromEachOther(t *testing.T) {
	h := newHouse(t)
	one, two := h.memory(), h.memory()
	h.knows(one, worker, "aa", "orders", "never never")
	h.knows(two, worker, "bb", "items", "never never")
	one.Book(worker).Did(one.Act("pg:shop", "aa", "orders"), h.now)
	two.Book(worker).Did(two.Act("pg:shop", "bb", "items"), h.now)
	h.must(one.Keep(t.Context()))
	h.must(two.Keep(t.Context()))
	h.must(one.Keep(t.Context()))
	for _, m := range []*habit.Memory{one, two, h.restart()} {
		h.knows(m, worker, "aa", "orders", "before before")
		h.knows(m, worker, "bb", "items", "before before")
	}
}

// A row that was edited, put back or taken away is not believed: its actor begins anew.
func TestEditedHabits(t *testing.T) {
	for name, edit := range map[string]string{
		"edited":     `update sealed set body = cast(replace(cast(body as text), 'agent:worker', 'agent:xorker') as blob) where kind = 'habit'`,
		"taken away": `delete from sealed where kind = 'habit'`,
		"put back":   `update sealed set body = (select body from old), mac = (select mac from old), revision = 1 where kind = 'habit'`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			m := h.memory()
			m.Book(worker).Did(m.Act("pg:shop", "aa", "orders"), h.now)
			h.must(m.Keep(t.Context()))
			m = h.restart(`create table old as select * from sealed where kind = 'habit'`)
			m.Book(worker).Did(m.Act("pg:shop", "bb", "items"), h.now)
			h.must(m.Keep(t.Context()))
			m = h.restart(edit)
			h.knows(m, worker, "aa", "orders", "never never")
			m.Book(worker).Did(m.Act("pg:shop", "aa", "orders"), h.now)
			h.must(m.Keep(t.Context()))
			m = h.restart()
			h.knows(m, worker, "aa", "orders", "before before")
			h.knows(m, worker, "bb", "items", "never never")
		})
	}
}

// While the store can't be read, nobody knows; and what is learnt meanwhile is kept later.
func TestAStoreThatCannotBeRead(t *testing.T) {
	h := newHouse(t)
	m := h.memory()
	h.must(h.store.Close())
	h.knows(m, worker, "aa", "orders", "unknown unknown")
	m.Book(worker).Did(m.Act("pg:shop", "aa", "orders"), h.now)
	if err := m.Keep(t.Context()); err == nil {
		t.Error("it was kept in a store that is closed")
	}
	h.knows(m, worker, "aa", "orders", "unknown unknown")
}
