package witness_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
	"github.com/assenthq/assent/internal/witness"
)

const origin = "assent.example/log"

var quiet = slog.New(slog.DiscardHandler)

// logged is a log over a store in memory, as a Source.
type logged struct {
	*audit.Log
	t     *testing.T
	dir   string
	store *audittest.Memory
}

func newLog(t *testing.T, dir string, store *audittest.Memory) *logged {
	t.Helper()
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "log.key"), origin)
	if err != nil {
		t.Fatal(err)
	}
	l, err := audit.New(audit.Options{Origin: origin, Keys: []*audit.Key{key}, HeadFile: filepath.Join(dir, "head")})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Open(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	return &logged{Log: l, t: t, dir: dir, store: store}
}

func (l *logged) grow(n int) {
	l.t.Helper()
	err := l.store.Update(func(tx *audittest.Tx) error {
		for range n {
			if err := l.Append(l.t.Context(), tx, &audit.Record{Type: audit.TypeNotice}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.Sign(l.t.Context(), l.store.State.Head); err != nil {
		l.t.Fatal(err)
	}
}

func (l *logged) Size(ctx context.Context) (int64, error) {
	h, err := l.store.Head(ctx)
	return h.Size, err
}

func (l *logged) Consistency(ctx context.Context, older, newer int64) ([]evidence.Hash, error) {
	return l.ConsistencyProof(ctx, l.store, older, newer)
}

// place is a witness that can be restarted, behind one address.
type place struct {
	*witness.Witness
	t    *testing.T
	o    witness.Options
	http *httptest.Server

	mu  sync.Mutex
	say http.Handler // instead of the witness; nil: it answers itself
}

func newPlace(t *testing.T, name string, logs ...string) *place {
	p := &place{t: t, o: witness.Options{Dir: filepath.Join(t.TempDir(), "w"), Name: name, Logs: logs, Logger: quiet}}
	p.open()
	p.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		say := p.say
		p.mu.Unlock()
		if say == nil {
			say = p.Witness
		}
		say.ServeHTTP(w, r)
	}))
	t.Cleanup(p.http.Close)
	return p
}

func (p *place) open() {
	p.t.Helper()
	var err error
	if p.Witness, err = witness.Open(p.o); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = p.Witness.Close() })
}

func (p *place) restart() {
	p.t.Helper()
	if err := p.Close(); err != nil {
		p.t.Fatal(err)
	}
	p.open()
}

func (p *place) answers(fn http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.say = fn
	if fn == nil {
		p.say = nil
	}
}

func (p *place) remote() witness.Remote {
	return witness.Remote{Key: p.Verifier(), URL: p.http.URL + "/"}
}

// asks makes a collector for a log; told is what it tells.
func asks(t *testing.T, l *logged, require int, now func() time.Time, places ...*place) (*witness.Collector, *[]witness.State) {
	t.Helper()
	told := &[]witness.State{}
	var mu sync.Mutex
	o := witness.CollectorOptions{
		VKeys: l.Verifiers(), Require: require, Lag: time.Minute, File: filepath.Join(l.dir, "witnessed"), Source: l, HTTP: &http.Client{}, Now: now, Logger: quiet,
		Told: func(s witness.State) { mu.Lock(); defer mu.Unlock(); *told = append(*told, s) },
	}
	for _, p := range places {
		o.Witnesses = append(o.Witnesses, p.remote())
	}
	c, err := witness.NewCollector(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, told
}

func round(t *testing.T, c *witness.Collector) {
	t.Helper()
	if err := c.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func keysOf(places ...*place) (out []string) {
	for _, p := range places {
		out = append(out, p.Verifier())
	}
	return out
}

func TestWitnessesCosign(t *testing.T) {
	l := newLog(t, t.TempDir(), audittest.NewMemory())
	a, b := newPlace(t, "a.example/w", l.Verifiers()...), newPlace(t, "b.example/w", l.Verifiers()...)
	c, _ := asks(t, l, 2, nil, a, b)
	if c.Err() == nil {
		t.Error("witnessed before anybody was asked")
	}
	for _, n := range []int{0, 1, 300, 1} {
		if n > 0 {
			l.grow(n)
		}
		round(t, c)
		cp, sigs, err := evidence.VerifyCosigned(c.Published(), l.Verifiers(), keysOf(a, b))
		if err != nil || cp.Size != l.Signed().Size || len(sigs) != 2 {
			t.Fatalf("published at %d: %v, %d cosignatures", l.Signed().Size, err, len(sigs))
		}
		if age := time.Since(sigs[0].Time); age < 0 || age > time.Minute {
			t.Errorf("cosigned %s ago", age)
		}
		if err := c.Err(); err != nil {
			t.Error(err)
		}
	}
	if a.Seen(origin) != 302 {
		t.Errorf("a has seen %d", a.Seen(origin))
	}
	a.restart()
	if a.Seen(origin) != 302 {
		t.Errorf("after a restart a has seen %d", a.Seen(origin))
	}
	// A note that nothing was added to is published once, and read back at start.
	again, _ := asks(t, l, 2, nil, a, b)
	if !bytes.Equal(again.Published(), c.Published()) {
		t.Error("after a restart another note is published")
	}
	// Another key under the same name proves nothing.
	other := newPlace(t, "a.example/w")
	if _, sigs, err := evidence.VerifyCosigned(c.Published(), l.Verifiers(), keysOf(other)); err != nil || len(sigs) != 0 {
		t.Errorf("by another key of that name: %v, %v", sigs, err)
	}
}

// A witness that has seen more than is stored stops the log: an old database was put back with its head file.
func TestARestoredLogIsRefusedByItsWitness(t *testing.T) {
	dir := t.TempDir()
	l := newLog(t, dir, audittest.NewMemory())
	p := newPlace(t, "w.example", l.Verifiers()...)
	c, _ := asks(t, l, 0, nil, p)
	l.grow(10)
	round(t, c)
	backup := l.store.Clone()
	head, err := os.ReadFile(filepath.Join(dir, "head"))
	if err != nil {
		t.Fatal(err)
	}
	l.grow(5)
	round(t, c)

	restored := func(t *testing.T) (*logged, *witness.Collector) {
		t.Helper()
		_ = os.Remove(filepath.Join(dir, "witnessed")) // restored as well, or lost
		if err := os.WriteFile(filepath.Join(dir, "head"), head, 0o600); err != nil {
			t.Fatal(err)
		}
		old := newLog(t, dir, backup.Clone())
		c, _ := asks(t, old, 0, nil, p)
		return old, c
	}
	t.Run("asked before the start", func(t *testing.T) {
		old, c := restored(t)
		var behind *audit.BehindError
		if err := c.Look(t.Context(), head, 10); !errors.As(err, &behind) || behind.By != "w.example" || behind.Seen != 15 || behind.Have != 10 {
			t.Fatalf("looked: %v", err)
		}
		if old.Err() != nil {
			t.Error("looking stops nothing by itself")
		}
	})
	t.Run("found while it runs", func(t *testing.T) {
		old, c := restored(t)
		_ = c.Round(t.Context())
		if err := old.Err(); !errors.Is(err, audit.ErrRolledBack) {
			t.Fatalf("the log goes on: %v", err)
		}
		if _, err := old.Sign(t.Context(), old.store.State.Head); !errors.Is(err, audit.ErrRolledBack) {
			t.Errorf("it signs: %v", err)
		}
	})
	t.Run("grown past what was lost", func(t *testing.T) {
		old, c := restored(t)
		old.grow(20)
		_ = c.Round(t.Context())
		var fork *audit.ForkError
		if err := old.Err(); !errors.As(err, &fork) || !errors.Is(err, audit.ErrRolledBack) || fork.Seen != 15 {
			t.Fatalf("the log goes on: %v", err)
		}
	})
	t.Run("grown to the same size", func(t *testing.T) {
		old, c := restored(t)
		old.grow(5)
		_ = c.Round(t.Context())
		var fork *audit.ForkError
		if err := old.Err(); !errors.As(err, &fork) {
			t.Fatalf("the log goes on: %v", err)
		}
	})
	if p.Seen(origin) != 15 {
		t.Errorf("the witness has seen %d", p.Seen(origin))
	}
}

// Two nodes that write one log feed one witness; neither takes the other for a rollback.
func TestTwoNodesOneWitness(t *testing.T) {
	store := audittest.NewMemory()
	dirs := []string{t.TempDir(), t.TempDir()}
	one := newLog(t, dirs[0], store)
	b, err := os.ReadFile(filepath.Join(dirs[0], "log.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dirs[1], "log.key"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	two := newLog(t, dirs[1], store)
	p := newPlace(t, "w.example", one.Verifiers()...)
	c1, _ := asks(t, one, 1, nil, p)
	c2, _ := asks(t, two, 1, nil, p)
	one.grow(3)
	round(t, c1)
	two.grow(4)
	round(t, c2) // the witness has seen one's
	_ = c1.Round(t.Context())
	for name, l := range map[string]*logged{"one": one, "two": two} {
		if err := l.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := one.Sign(t.Context(), store.State.Head); err != nil {
		t.Fatal(err)
	}
	round(t, c1)
	if err := c1.Err(); err != nil {
		t.Error(err)
	}
}

// What a witness says is believed only where it holds; nothing that it says passes for a cosignature.
func TestAWitnessThatLies(t *testing.T) {
	l := newLog(t, t.TempDir(), audittest.NewMemory())
	l.grow(7)
	p, stranger := newPlace(t, "w.example", l.Verifiers()...), newPlace(t, "w.example", l.Verifiers()...)
	other := newLog(t, t.TempDir(), audittest.NewMemory())
	other.grow(7)
	reply := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	conflict := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409); _, _ = io.WriteString(w, body) }
	}
	// Its true signature on another log's tree of the same size.
	signs := newPlace(t, "x", other.Verifiers()...)
	elsewhere, _ := asks(t, other, 0, nil, signs)
	round(t, elsewhere)
	another := string(bytes.TrimPrefix(elsewhere.Published(), other.Checkpoint()))

	for name, say := range map[string]http.HandlerFunc{
		"nothing":                          reply(""),
		"another key of its name":          stranger.ServeHTTP,
		"a signature on another root":      reply(strings.Replace(another, "— x ", "— w.example ", 1)),
		"garbage":                          reply("— w.example AAAA\n— \n\x00"),
		"no newline":                       reply(strings.TrimSuffix(another, "\n")),
		"without end":                      reply(strings.Repeat("— w.example AAAA\n", 10_000)),
		"a conflict without a size":        conflict("many\n"),
		"a conflict with a negative size":  conflict("-1\n"),
		"a conflict with a size twice":     conflict("7\n7\n"),
		"a conflict in another spelling":   conflict("07\n"),
		"the size it was sent, a conflict": conflict("0\n"),
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(filepath.Join(l.dir, "witnessed"))
			c, told := asks(t, l, 1, nil, p)
			p.answers(say)
			defer p.answers(nil)
			round(t, c)
			if c.Err() == nil {
				t.Error("counts as witnessed")
			}
			if len(*told) != 1 || !(*told)[0].Lied || !errors.Is((*told)[0].Err, witness.ErrLied) {
				t.Errorf("told: %+v", *told)
			}
			if cp, sigs, err := evidence.VerifyCosigned(c.Published(), l.Verifiers(), keysOf(p)); err != nil || len(sigs) != 0 || cp.Size != 7 {
				t.Errorf("published: %v, %v", sigs, err)
			}
			if err := l.Err(); err != nil {
				t.Errorf("the log stopped: %v", err)
			}
			// Found out once is told once; an honest answer is told again.
			round(t, c)
			p.answers(nil)
			round(t, c)
			if len(*told) != 2 || (*told)[1].Err != nil || c.Err() != nil {
				t.Errorf("afterwards: %+v", *told)
			}
		})
	}
}

func TestAWitnessThatForgets(t *testing.T) {
	l := newLog(t, t.TempDir(), audittest.NewMemory())
	p := newPlace(t, "w.example", l.Verifiers()...)
	c, told := asks(t, l, 1, nil, p)
	l.grow(3)
	round(t, c)
	p.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409); _, _ = io.WriteString(w, "0\n") })
	l.grow(3)
	round(t, c)
	if n := len(*told); n != 2 || !(*told)[1].Lied {
		t.Errorf("told: %+v", *told)
	}
}

// A witness that is gone or late stops only what must be witnessed, and is told.
func TestAWitnessThatLagsOrIsGone(t *testing.T) {
	var clock struct {
		sync.Mutex
		time.Time
	}
	clock.Time = time.Now()
	now := func() time.Time { clock.Lock(); defer clock.Unlock(); return clock.Time }
	l := newLog(t, t.TempDir(), audittest.NewMemory())
	a, b := newPlace(t, "a", l.Verifiers()...), newPlace(t, "b", l.Verifiers()...)
	one, told := asks(t, l, 1, now, a, b)
	two, err := witness.NewCollector(witness.CollectorOptions{VKeys: l.Verifiers(), Require: 2, Lag: time.Minute, File: filepath.Join(l.dir, "second"), Source: l, HTTP: &http.Client{}, Now: now, Logger: quiet, Witnesses: []witness.Remote{a.remote(), b.remote()}})
	if err != nil {
		t.Fatal(err)
	}
	l.grow(1)
	round(t, one)
	round(t, two)
	b.http.CloseClientConnections()
	b.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	l.grow(1)
	round(t, one)
	round(t, two)
	if one.Err() != nil || two.Err() != nil {
		t.Errorf("within its lag: %v, %v", one.Err(), two.Err())
	}
	clock.Lock()
	clock.Time = clock.Add(61 * time.Second)
	clock.Unlock()
	l.grow(1)
	round(t, one)
	round(t, two)
	if one.Err() != nil {
		t.Errorf("one of two is enough: %v", one.Err())
	}
	if err := two.Err(); err == nil || !strings.Contains(err.Error(), "missing: b") {
		t.Errorf("two are needed: %v", err)
	}
	last := (*told)[len(*told)-1]
	if last.Name != "b" || last.Err == nil || last.Lied {
		t.Errorf("told: %+v", *told)
	}
	if _, sigs, err := evidence.VerifyCosigned(one.Published(), l.Verifiers(), keysOf(a, b)); err != nil || len(sigs) != 1 || sigs[0].Witness != "a" {
		t.Errorf("published: %v, %v", sigs, err)
	}
	if l.Err() != nil {
		t.Error(l.Err())
	}
}

func post(t *testing.T, p *place, body string) (int, string, string) {
	t.Helper()
	resp, err := http.Post(p.http.URL+"/add-checkpoint", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), resp.Header.Get("Content-Type")
}

// Each status of the specification, in its order.
func TestAddCheckpoint(t *testing.T) {
	l := newLog(t, t.TempDir(), audittest.NewMemory())
	l.grow(5)
	five := string(l.Checkpoint())
	l.grow(5)
	ten := string(l.Checkpoint())
	proof := func(from, to int64) (out string) {
		hashes, err := l.ConsistencyProof(t.Context(), l.store, from, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hashes {
			out += h.String() + "\n"
		}
		return out
	}
	stranger := newLog(t, t.TempDir(), audittest.NewMemory())
	stranger.grow(10)
	unknown := strings.ReplaceAll(five, origin, "other.example/log")
	p := newPlace(t, "w.example", l.Verifiers()...)
	type step struct {
		name, body string
		status     int
		want       string
	}
	for _, s := range []step{
		{"no old size", five, 400, ""},
		{"old size in another spelling", "old 00\n\n" + five, 400, ""},
		{"a proof line that is no hash", "old 0\nAAAA\n\n" + five, 400, ""},
		{"too many proof lines", "old 0\n" + strings.Repeat(strings.Repeat("A", 43)+"=\n", 64) + "\n" + five, 400, ""},
		{"too long", "old 0\n\n" + five + strings.Repeat("x", 70_000), 400, ""},
		{"an unknown log", "old 0\n\n" + unknown, 404, ""},
		{"another key", "old 0\n\n" + string(stranger.Checkpoint()), 403, ""},
		{"a changed size", "old 0\n\n" + strings.Replace(five, "\n5\n", "\n6\n", 1), 403, ""},
		{"old larger than the checkpoint", "old 6\n\n" + five, 400, ""},
		{"an old size it has not", "old 3\n\n" + five, 409, "0\n"},
		{"a proof from nothing", "old 0\n" + proof(5, 10) + "\n" + five, 422, ""},
		{"the first", "old 0\n\n" + five, 200, "— w.example "},
		{"the first again", "old 0\n\n" + five, 409, "5\n"},
		{"the same again", "old 5\n\n" + five, 200, "— w.example "},
		{"without the proof", "old 5\n\n" + ten, 422, ""},
		{"a proof cut short", "old 5\n" + proof(5, 10)[:45] + "\n" + ten, 422, ""},
		{"the second", "old 5\n" + proof(5, 10) + "\n" + ten, 200, "— w.example "},
		{"back again", "old 5\n\n" + five, 409, "10\n"},
		{"back again, without memory", "old 0\n\n" + five, 409, "10\n"},
	} {
		status, body, kind := post(t, p, s.body)
		if status != s.status || !strings.HasPrefix(body, s.want) || status == 409 && (body != s.want || kind != "text/x.tlog.size") {
			t.Errorf("%s: %d %q (%s)", s.name, status, body, kind)
		}
	}
	if resp, err := http.Get(p.http.URL + "/add-checkpoint"); err != nil || resp.StatusCode != 405 {
		t.Errorf("GET: %v, %v", resp, err)
	}
}

// Of requests that race, none makes the witness cosign two trees side by side, or go back.
func TestAddCheckpointRaces(t *testing.T) {
	l := newLog(t, t.TempDir(), audittest.NewMemory())
	p := newPlace(t, "w.example", l.Verifiers()...)
	var notes []string
	for range 8 {
		l.grow(1)
		notes = append(notes, string(l.Checkpoint()))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for range 4 {
		for _, n := range notes {
			wg.Go(func() {
				if status, _, _ := post(t, p, "old 0\n\n"+n); status == 200 {
					mu.Lock()
					accepted++
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	if accepted != 1 {
		t.Errorf("%d of them were first", accepted)
	}
}

// What a witness has seen is not lost, shared, edited or begun anew without notice.
func TestAWitnessKeepsWhatItHasSeen(t *testing.T) {
	l := newLog(t, t.TempDir(), audittest.NewMemory())
	p := newPlace(t, "w.example", l.Verifiers()...)
	l.grow(3)
	c, _ := asks(t, l, 1, nil, p)
	round(t, c)
	if _, err := witness.Open(p.o); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	_ = p.Close()
	refused := func(name, want string) {
		t.Helper()
		w, err := witness.Open(p.o)
		if err == nil {
			_ = w.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	state, key := filepath.Join(p.o.Dir, "seen.json"), filepath.Join(p.o.Dir, "witness.key")
	good, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(good); i += 7 {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(state, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := witness.Open(p.o)
		if err != nil {
			continue
		}
		if w.Seen(origin) != 3 { // a space more is no lie
			t.Errorf("byte %d changed, and it has seen %d", i, w.Seen(origin))
		}
		_ = w.Close()
	}
	if err := os.Remove(state); err != nil {
		t.Fatal(err)
	}
	refused("state gone", "seen.json is gone")
	if err := os.WriteFile(state, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	refused("key gone", "witness.key is gone")
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	p.open()
	if p.Seen(origin) != 3 {
		t.Errorf("put back, it has seen %d", p.Seen(origin))
	}
}

// A cosignature is on disk before it leaves: where the disk takes nothing, nothing leaves.
func TestNothingIsCosignedUnwritten(t *testing.T) {
	l := newLog(t, t.TempDir(), audittest.NewMemory())
	p := newPlace(t, "w.example", l.Verifiers()...)
	l.grow(3)
	moved := p.o.Dir + ".moved"
	if err := os.Rename(p.o.Dir, moved); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := post(t, p, "old 0\n\n"+string(l.Checkpoint())); status != 500 || strings.Contains(body, "—") {
		t.Errorf("%d %q", status, body)
	}
	if p.Seen(origin) != 0 {
		t.Error("it believes to have seen what it could not write")
	}
	if err := os.Rename(moved, p.o.Dir); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := post(t, p, "old 0\n\n"+string(l.Checkpoint())); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

func FuzzAddCheckpoint(f *testing.F) {
	f.Add([]byte("old 0\n\norigin\n0\nAAAA\n\n— x AAAA\n"))
	f.Add([]byte("old 5\n" + strings.Repeat("A", 43) + "=\n\nassent.example/log\n5\n" + strings.Repeat("A", 43) + "=\n\n— assent.example/log AAAA\n"))
	dir := f.TempDir()
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "log.key"), origin)
	if err != nil {
		f.Fatal(err)
	}
	w, err := witness.Open(witness.Options{Dir: filepath.Join(dir, "w"), Name: "w.example", Logs: []string{key.Verifier()}, Logger: quiet})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = w.Close() })
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRecorder()
		w.ServeHTTP(r, httptest.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(body)))
		if r.Code == http.StatusOK || r.Code >= 500 {
			t.Errorf("%d for what no log signed: %q", r.Code, body)
		}
		if w.Seen(origin) != 0 {
			t.Error("it has seen something")
		}
	})
}
