package sql

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// texts are all texts of both corpora, and pairs that differ in a literal only.
func texts(t testing.TB) []string {
	var out []string
	for _, file := range []string{"corpus.jsonl", "bypass.jsonl"} {
		for _, l := range lines(t, file) {
			out = append(out, l.SQL)
		}
	}
	return append(out,
		"SELECT a FROM t WHERE b = 'x'", "SELECT a FROM t WHERE b = 'yyyyyyyyy'", "SELECT a FROM t WHERE b = ''",
		"SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 99999999999999999999", "SELECT a FROM t WHERE b = 1.5",
		"SELECT a, b FROM t ORDER BY 1", "SELECT a, b FROM t ORDER BY 2", "SELECT a, b FROM t GROUP BY 1", "SELECT a, b FROM t GROUP BY 2",
		"SELECT a FROM t WHERE b = 1;", "SELECT a FROM t WHERE b = 22; -- end", "SELECT a FROM t WHERE b = 333; -- end", "SELECT a FROM t WHERE b = 1; DROP TABLE t", "SELECT a FROM t WHERE b = 1;;", "SELECT a FROM t WHERE b = ';'; DROP TABLE t --'",
		"SELECT a FROM t LIMIT 5", "SELECT a FROM t LIMIT 5000000",
		"SELECT set_config('role', 'a', false)", "SELECT set_config('jit', 'a', false)",
		`SELECT U&"t!0061" UESCAPE '!' FROM t`, `SELECT U&"t!0061" UESCAPE '#' FROM t`,
		"SET jit = 'on'", "SET ROLE 'x'", "SET application_name = 'a'", "SET application_name = 'b'",
		"SELECT 'a' 'b'", "SELECT 'a'\n'b'", "SELECT 'a' -- x\n'b'", "SELECT 'a' /* x */ 'b'",
		"SELECT 1a FROM t", "SELECT 2a FROM t", "SELECT 0x1F", "SELECT 1_0", "SELECT a.1", "SELECT $1", "SELECT $12",
		"DELETE FROM t WHERE a = 'x'", "DELETE FROM t WHERE a = '\xe0'", "DELETE FROM t WHERE a = '\x00'", "DELETE FROM t WHERE a = 1", "DELETE FROM t WHERE a = 2", "UPDATE t SET a = 'x' WHERE b = 2", "UPDATE t SET a = 'y' WHERE b = 3",
		"SELECT 'pg_shadow'::regclass", "SELECT 'orders'::regclass", "INSERT INTO t VALUES (1, 'a')", "INSERT INTO t VALUES (2, 'b')",
	)
}

var unexported = cmp.AllowUnexported(Statement{})

// Cached is uncached, for each text after each other text: no text can lend
// its verdict to another one.
func TestCacheChangesNothing(t *testing.T) {
	all := texts(t)
	st := State{Database: "shop", Role: "agent", ServerVersion: 150018}
	plain := New(Options{CacheEntries: -1})
	want := make([]*Result, len(all))
	for i, text := range all {
		want[i] = plain.Classify(text, st)
	}
	shared := 0
	for i, first := range all {
		c := New(Options{})
		lent := c.Classify(first, st)
		for j, text := range all {
			if r := c.cache.lookup(text, st); r != nil && r == lent && text != first {
				shared++
				if diff := cmp.Diff(want[j], r, unexported); diff != "" {
					t.Errorf("%q lends a wrong verdict to %q:\n%s", first, text, diff)
				}
			}
		}
		if diff := cmp.Diff(want[i], c.Classify(first, st), unexported); diff != "" {
			t.Errorf("%q differs the second time:\n%s", first, diff)
		}
	}
	if shared < 4 {
		t.Errorf("only %d verdicts were shared: the fingerprint does nothing", shared)
	}
	c := New(Options{}) // and one cache that has seen them all
	for range 2 {
		for i, text := range all {
			if diff := cmp.Diff(want[i], c.Classify(text, st), unexported, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%q: cached differs:\n%s", text, diff)
			}
		}
	}
}

// Each part of the state is part of the key.
func TestCacheKeyHoldsState(t *testing.T) {
	c := New(Options{})
	base := State{Database: "d", Role: "r", SearchPath: "s", Key: "k", ServerVersion: 150000, Temp: []Temp{{Name: "t", Sources: []string{"a"}}}}
	const text = "SELECT a FROM t"
	first := c.Classify(text, base)
	others := []State{base, base, base, base, base, base, base, base}
	others[0].Database = "x"
	others[1].Role = "x"
	others[2].SearchPath = "x"
	others[3].Key = "x"
	others[4].ServerVersion = 170000
	others[5].Temp = nil
	others[6].Temp = []Temp{{Name: "t", Sources: []string{"b"}}}
	others[7].Database, others[7].Role = "dr", ""
	for i, st := range others {
		if c.Classify(text, st) == first {
			t.Errorf("state %d finds the verdict of another state", i)
		}
	}
	if c.Classify(text, base) != first {
		t.Error("the same state does not find its own verdict")
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := New(Options{CacheEntries: 8})
	for i := range 100 {
		c.Classify("SELECT lower('"+itoa(int32(i))+"')", State{})
		c.Classify("SELECT c"+itoa(int32(i))+" FROM t", State{})
	}
	if n, m := len(c.cache.exacts), len(c.cache.shapes); n > 8 || m > 8 || n == 0 || m == 0 {
		t.Errorf("%d exact and %d similar entries, want 1 to 8 of each", n, m)
	}
}

// Many callers at once get what one gets.
func TestConcurrentCallers(t *testing.T) {
	all := texts(t)
	plain, shared := New(Options{CacheEntries: -1}), New(Options{CacheEntries: 32})
	want := make([]*Result, len(all))
	for i, text := range all {
		want[i] = plain.Classify(text, State{})
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range all {
				j := (i + worker*50) % len(all)
				if diff := cmp.Diff(want[j], shared.Classify(all[j], State{}), unexported); diff != "" {
					t.Errorf("%q: (-alone +together)\n%s", all[j], diff)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkCacheHitSimilar(b *testing.B) {
	c := New(Options{})
	st := State{Database: "shop", Role: "agent", SearchPath: `"$user", public`, Key: "1"}
	c.Classify("SELECT id, name FROM customers WHERE id = 1 AND name = 'x'", st)
	b.ReportAllocs()
	for b.Loop() {
		c.Classify("SELECT id, name FROM customers WHERE id = 77 AND name = 'yyy'", st)
	}
}

func BenchmarkCacheHitExact(b *testing.B) {
	c := New(Options{})
	st := State{Database: "shop", Role: "agent", SearchPath: `"$user", public`, Key: "1"}
	b.ReportAllocs()
	for b.Loop() {
		c.Classify("SELECT id, lower(name) FROM customers WHERE id = 77", st)
	}
}

func BenchmarkUncached(b *testing.B) {
	c := New(Options{CacheEntries: -1})
	b.ReportAllocs()
	for b.Loop() {
		c.Classify("SELECT id, name FROM customers WHERE id = 77 AND name = 'yyy'", State{})
	}
}

func BenchmarkParseAlone(b *testing.B) {
	p := newParser()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Parse("SELECT id, name FROM customers WHERE id = 77 AND name = 'yyy'"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRatio prints how much a cache hit saves.
func BenchmarkRatio(b *testing.B) {
	const text, runs = "SELECT id, name FROM customers WHERE id = 77 AND name = 'yyy'", 2000
	hit, miss := New(Options{}), New(Options{CacheEntries: -1})
	hit.Classify(text, State{})
	start := time.Now()
	for range runs {
		miss.Classify(text, State{})
	}
	uncached := float64(time.Since(start).Nanoseconds()) / runs
	for b.Loop() {
		hit.Classify(text, State{})
	}
	b.ReportMetric(uncached/(float64(b.Elapsed().Nanoseconds())/float64(b.N)), "uncached/hit")
}
