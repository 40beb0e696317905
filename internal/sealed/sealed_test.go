package sealed_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // an intruder edits the file

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/sealed"
	"github.com/assenthq/assent/internal/store/sqlite"
)

var ctx = context.Background()

type badge struct{ Name string }

const badges = sealed.Kind[badge]("badge")

type house struct {
	*sealed.Box
	dir string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	store, err := sqlite.Open(ctx, dir)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	must(t, err)
	log, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}})
	must(t, err)
	must(t, log.Open(ctx, store))
	box, err := sealed.NewBox(store, log, []byte(strings.Repeat("k", 32)))
	must(t, err)
	return &house{Box: box, dir: dir}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (h *house) put(e *sealed.Entry[badge]) error {
	return h.Update(ctx, func(w *sealed.Writer) error {
		return badges.Put(ctx, w, e, &audit.Record{Type: audit.TypePerson, Decision: "issued"})
	})
}

func (h *house) get(id string) (e *sealed.Entry[badge], err error) {
	err = h.View(ctx, func(r *sealed.Reader) error {
		e, err = badges.Get(ctx, r, id)
		return err
	})
	return e, err
}

func (h *house) all() (n int, err error) {
	err = h.View(ctx, func(r *sealed.Reader) error {
		all, err := badges.All(ctx, r)
		n = len(all)
		return err
	})
	return n, err
}

// intrude changes the database behind the store's back.
func (h *house) intrude(t *testing.T, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "assent.db")+"?_pragma=busy_timeout(10000)")
	must(t, err)
	defer func() { must(t, db.Close()) }()
	res, err := db.ExecContext(ctx, query)
	must(t, err)
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("the intruder changed %d rows: %v", n, err)
	}
}

func TestAnEntryComesBackAsItWasPut(t *testing.T) {
	h := newHouse(t)
	if _, err := h.get("a"); !errors.Is(err, sealed.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	e := &sealed.Entry[badge]{ID: "a", Key: "ana", Due: time.Now().Add(time.Hour), Value: badge{"Ana"}}
	must(t, h.put(e))
	got, err := h.get("a")
	must(t, err)
	if *got != *e || got.Revision != 1 {
		t.Errorf("got %+v, put %+v", got, e)
	}
	stale := *got
	got.Value.Name = "Ana B."
	must(t, h.put(got))
	if err := h.put(&stale); !errors.Is(err, sealed.ErrConflict) {
		t.Errorf("an older one over a newer: %v", err)
	}
	if err := h.put(&sealed.Entry[badge]{ID: "a"}); !errors.Is(err, sealed.ErrConflict) {
		t.Errorf("inserted twice: %v", err)
	}
	got, err = h.get("a")
	must(t, err)
	if got.Value.Name != "Ana B." || got.Revision != 2 {
		t.Errorf("got %+v", got)
	}
	must(t, h.View(ctx, func(r *sealed.Reader) error {
		for key, want := range map[string]int{"ana": 1, "ben": 0, "": 1} {
			list, err := badges.List(ctx, r, sealed.Selection{Key: key})
			if len(list) != want {
				t.Errorf("key %q: %d entries", key, len(list))
			}
			must(t, err)
		}
		return nil
	}))
}

func TestWatchersHearOfWhatIsDurable(t *testing.T) {
	h := newHouse(t)
	var heard []string
	h.Watch("badge", func(id string) { heard = append(heard, id) })
	boom := errors.New("boom")
	err := h.Update(ctx, func(w *sealed.Writer) error {
		must(t, badges.Put(ctx, w, &sealed.Entry[badge]{ID: "lost"}, &audit.Record{Type: audit.TypePerson}))
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatal(err)
	}
	must(t, h.put(&sealed.Entry[badge]{ID: "a"}))
	h.Told("badge/b", "other/c")
	if strings.Join(heard, " ") != "a b" {
		t.Errorf("heard %v", heard)
	}
}

// Whatever an intruder does to the rows, the entry is refused or as it was.
func TestAnIntrudersRowsAreRefused(t *testing.T) {
	const old = `CREATE TABLE old AS SELECT * FROM sealed`
	for name, c := range map[string]struct {
		before, after string
	}{
		"another body":     {after: `UPDATE sealed SET body = CAST('{"Name":"Eve"}' AS BLOB) WHERE id = 'a'`},
		"another key":      {after: `UPDATE sealed SET key = 'eve' WHERE id = 'a'`},
		"another due":      {after: `UPDATE sealed SET due = 1 WHERE id = 'a'`},
		"another id":       {after: `UPDATE sealed SET id = 'z' WHERE id = 'a'`},
		"another revision": {after: `UPDATE sealed SET revision = 3 WHERE id = 'a'`},
		"another kind":     {after: `UPDATE sealed SET kind = 'medal' WHERE id = 'a'`},
		"taken away":       {after: `DELETE FROM sealed WHERE id = 'a'`},
		"put back":         {before: old, after: `UPDATE sealed SET (revision, key, due, body, mac) = (SELECT revision, key, due, body, mac FROM old) WHERE id = 'a'`},
		"another's seal":   {after: `UPDATE sealed SET mac = (SELECT mac FROM sealed WHERE id = 'b') WHERE id = 'a'`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			e := &sealed.Entry[badge]{ID: "a", Key: "ana", Value: badge{"Ana"}}
			must(t, h.put(e))
			if c.before != "" {
				db, err := sql.Open("sqlite", filepath.Join(h.dir, "assent.db")+"?_pragma=busy_timeout(10000)")
				must(t, err)
				_, err = db.ExecContext(ctx, c.before)
				must(t, err)
				must(t, db.Close())
			}
			e.Value.Name = "Ana B."
			must(t, h.put(e))
			must(t, h.put(&sealed.Entry[badge]{ID: "b"}))
			if n, err := h.all(); n != 2 || err != nil {
				t.Fatalf("before: %d, %v", n, err)
			}
			h.intrude(t, c.after)
			if got, err := h.get("a"); !errors.Is(err, sealed.ErrTampered) {
				t.Errorf("got %+v, %v", got, err)
			}
			if _, err := h.all(); !errors.Is(err, sealed.ErrTampered) {
				t.Errorf("all: %v", err)
			}
		})
	}
}
