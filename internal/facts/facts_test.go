package facts

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/action"
	"github.com/assenthq/assent/internal/policy"
)

// fill gives every field that a decision is made from a value of its own.
func fill(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Date(2026, 11, 24, 12, 30, 15, 250e6, time.UTC)
		return
	case *action.Count:
		*x = action.KnownCount(int64(len(path)) * 7)
		return
	case *policy.Tri:
		*x = policy.Yes
		return
	case *policy.Reads:
		*x = &reads{[]Count{{"all", 900}, {"email", 12}, {"card", 3}}}
		return
	case *map[string]int64:
		*x = map[string]int64{"email": 2, "card": 1}
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("v " + path)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				fill(t, v.Field(i), path+"."+f.Name)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), fmt.Sprintf("%s%d", path, i))
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"tier": path, "team": "x"}))
	case reflect.Int64, reflect.Uint8:
		v.Set(reflect.ValueOf(7).Convert(v.Type()))
	default:
		t.Fatalf("%s is of a type that this test doesn't fill: teach it", path)
	}
}

// write keeps facts in a new directory and returns it.
func write(t *testing.T, o Options, note func(w *Writer)) string {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "facts")
	}
	w, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	note(w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Run(ctx)
	return o.Dir
}

func each(t *testing.T, dir string, f func(r *Record)) *Dir {
	t.Helper()
	d, err := OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Each(t.Context(), Span{}, 1, nil, func(_ int, r *Record) error { f(r); return nil }); err != nil {
		t.Fatal(err)
	}
	return d
}

// A variable that is added to the policy and not kept here fails this: see tuple.go.
func TestEveryVariableIsKept(t *testing.T) {
	var full policy.Input
	fill(t, reflect.ValueOf(&full).Elem(), "in")
	full.Action.Claims.Reason = strings.Repeat(fillRune, 9) // of the reason, only its length
	empty := policy.Input{Action: &action.Action{}}
	scanned, looked := full, *full.Action
	scanned.Action, looked.Data.Unscanned = &looked, false
	want := []map[string]string{policy.Values(&empty), policy.Values(&full), policy.Values(&scanned)}
	for name, v := range want[1] {
		if v == want[0][name] && want[2][name] == v && !strings.HasPrefix(name, "context.seen") {
			t.Errorf("%s reads %s in a full input as in an empty one: fill it", name, v)
		}
	}
	dir := write(t, Options{}, func(w *Writer) {
		w.Note(&empty, &policy.Decision{}, Facts{})
		w.Note(&full, &policy.Decision{}, Facts{})
		w.Note(&scanned, &policy.Decision{}, Facts{})
	})
	n := 0
	each(t, dir, func(r *Record) {
		got, k := policy.Values(&r.Input), 0
		switch {
		case r.Input.ActorID != "" && r.Input.Action.Data.Unscanned:
			k = 1
		case r.Input.ActorID != "":
			k = 2
		}
		for name, v := range want[k] {
			if name != "context.seen" && got[name] != v { // for reasons only
				t.Errorf("record %d: %s is %s, was %s", k, name, got[name], v)
			}
		}
		n++
	})
	if n != 3 {
		t.Fatalf("%d records, want 3", n)
	}
}

func TestDecisionsAreKept(t *testing.T) {
	in := policy.Input{Action: &action.Action{Kinds: []action.Kind{action.DataExport}}, Time: time.UnixMilli(1e12)}
	d := policy.Decision{
		Verdict: policy.Review, Bundle: "sha256:aa", RowLimit: action.KnownCount(50), Masks: map[string]string{"email": "hash", "card": "redact"},
		Rules:        []policy.Hit{{Rule: "hold", Pack: "p", Then: "review"}},
		Shadow:       []policy.Hit{{Rule: "watch", Pack: "p", Then: "deny"}},
		Requirements: []policy.Requirement{{From: []string{"group:b"}, AllOf: []policy.Seats{{Group: "group:a"}}, AnyOf: []policy.Seats{{Group: "group:b"}}}},
	}
	dir := write(t, Options{}, func(w *Writer) {
		w.Note(&in, &d, Facts{Gate: "billing", Ask: "apr_1"})
		w.Note(&in, &d, Facts{Gate: "billing", Ask: "apr_2", Joined: true, Frozen: true})
		w.Note(&in, &d, Facts{Gate: "billing", Outcome: Standing})
		w.Answered("apr_1", Approved, 90*time.Second)
	})
	n := 0
	each(t, dir, func(r *Record) {
		n++
		if r.Verdict != policy.Review || r.Bundle != "sha256:aa" || r.Limit != 50 || r.Gate != "billing" ||
			!reflect.DeepEqual(r.Rules, []Rule{{"review", "p", "hold"}}) || !reflect.DeepEqual(r.Shadow, []Rule{{"deny", "p", "watch"}}) ||
			!reflect.DeepEqual(r.Asked, []string{"group:a", "group:b"}) || !reflect.DeepEqual(r.Masks, []string{"card=redact", "email=hash"}) {
			t.Errorf("read back as %+v", r)
		}
		if first := !r.Frozen && r.Outcome == Approved && r.Took == 90*time.Second; r.Prompted() != first {
			t.Errorf("prompted: %v of %+v", r.Prompted(), r)
		}
	})
	if n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

// some notes n actions, most of which have much in common.
func some(w *Writer, n int) {
	rnd := rand.New(rand.NewPCG(1, 2))
	labels := map[string]string{"tier": "gold"}
	for i := range n {
		in := policy.Input{
			Action: &action.Action{
				Kinds: []action.Kind{action.Kinds()[i%3]}, Verb: "select", Target: fmt.Sprint("t", rnd.IntN(50)), Shape: fmt.Sprint("s", i%40),
				Resource: action.Resource{URN: fmt.Sprint("postgres:db", i%5), Env: "prod", Labels: labels},
			},
			ActorID: fmt.Sprint("agent:", i%7), Time: time.Now().Add(time.Duration(i) * 40 * time.Millisecond), Rate1h: action.KnownCount(int64(i % 900)),
			Read: &reads{[]Count{{"all", int64(i)}, {"email", int64(i / 2)}}},
		}
		d := policy.Decision{Verdict: policy.Verdict(i % 3)}
		w.Note(&in, &d, Facts{})
	}
}

func TestSealingKeepsAll(t *testing.T) {
	for _, seal := range []int{1 << 20, 1} {
		dir := write(t, Options{seal: seal, queue: 4 << 20}, func(w *Writer) { some(w, 3000) })
		seen, sum := 0, int64(0)
		last, before := "", map[string]bool{}
		d := each(t, dir, func(r *Record) {
			seen++
			sum += r.Input.Read.Rows("email")
			if where := string(r.Input.Action.Kinds[0]) + r.Input.Action.Resource.URN; where != last {
				if before[where] {
					t.Fatalf("%s stands in two places: not sorted by kind and resource", where)
				}
				last, before[where] = where, true
			}
		})
		if seen != 3000 || sum != 1500*1499 || d.Dropped != 0 {
			t.Errorf("seal at %d: %d records, %d rows, %d dropped", seal, seen, sum, d.Dropped)
		}
		t.Logf("%.1f bytes an action", float64(d.Bytes)/3000)
	}
}

func TestWhatIsDroppedIsCounted(t *testing.T) {
	dir := write(t, Options{queue: 64 << 10}, func(w *Writer) {
		some(w, 1000)
		if w.Kept()+w.Dropped() != 1000 || w.Dropped() == 0 {
			t.Errorf("%d kept, %d dropped of 1000", w.Kept(), w.Dropped())
		}
	})
	n := int64(0)
	if d := each(t, dir, func(*Record) { n++ }); n+d.Dropped != 1000 || d.Dropped == 0 {
		t.Errorf("the file says %d and %d dropped of 1000", n, d.Dropped)
	}
}

func TestNoteAllocatesNothing(t *testing.T) {
	w, err := Open(Options{Dir: t.TempDir(), queue: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var in policy.Input
	fill(t, reflect.ValueOf(&in).Elem(), "in")
	d := policy.Decision{Verdict: policy.Allow, Masks: map[string]string{"email": "hash"}}
	w.Note(&in, &d, Facts{})
	if n := testing.AllocsPerRun(1000, func() { w.Note(&in, &d, Facts{Gate: "g"}) }); n != 0 {
		t.Errorf("Note allocates %v times", n)
	}
}

// Only the last block of a file that is added to may be missing its end.
func TestTornAndDamagedFiles(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		o := Options{seal: 1 << 20}
		if sealed {
			o.seal = 1
		}
		dir := write(t, o, func(w *Writer) { some(w, 6) })
		names, err := listFiles(dir)
		if err != nil || len(names) != 1 || names[0].sealed != sealed {
			t.Fatal(names, err)
		}
		good, err := os.ReadFile(names[0].path)
		if err != nil {
			t.Fatal(err)
		}
		read := func(b []byte) (n int, d *Dir, err error) {
			if err := os.WriteFile(names[0].path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if d, err = OpenDir(dir); err != nil {
				return 0, nil, err
			}
			defer d.Close()
			return n, d, d.Each(t.Context(), Span{}, 1, nil, func(int, *Record) error { n++; return nil })
		}
		for i := range good {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << (i % 8)
			var at *BlockError
			if n, _, err := read(bad); !errors.As(err, &at) || at.File != names[0].path || at.Offset != 0 {
				t.Fatalf("sealed %v, byte %d flipped: %d records, %v", sealed, i, n, err)
			}
		}
		for i := range good {
			_, d, err := read(good[:i])
			if sealed == (err == nil) || !sealed && (d.Rows != 0 || (len(d.Torn) == 1) != (i > 0)) {
				t.Fatalf("sealed %v, cut at %d: %v", sealed, i, err)
			}
			if _, err = read2(read, good, good[:i]); !sealed && err != nil {
				t.Fatalf("cut behind a whole block at %d: %v", i, err)
			}
		}
	}
}

// Facts of a file that was copied would count twice.
func TestACopiedFileIsNotReadTwice(t *testing.T) {
	for _, seal := range []int{1, 1 << 20} {
		dir := write(t, Options{seal: seal}, func(w *Writer) { some(w, 6) })
		names, err := listFiles(dir)
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		b, err := os.ReadFile(names[0].path)
		if err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(dir, "00000009"+filepath.Ext(names[0].path))
		if err := os.WriteFile(other, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var at *BlockError
		if _, err := OpenDir(dir); !errors.As(err, &at) || at.File != other || !strings.Contains(err.Error(), "the same facts stand in "+names[0].path) {
			t.Errorf("%v", err)
		}
	}
}

// read2 reads a whole block and the beginning of another.
func read2(read func([]byte) (int, *Dir, error), whole, part []byte) (int, error) {
	n, _, err := read(append(append([]byte(nil), whole...), part...))
	if err == nil && n != 6 {
		err = fmt.Errorf("%d records", n)
	}
	return n, err
}

func TestARestartCutsOffWhatIsTornAndGoesOn(t *testing.T) {
	dir := write(t, Options{}, func(w *Writer) { some(w, 40) })
	file := filepath.Join(dir, "00000001.part")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(b, b[:len(b)/2]...), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, Options{Dir: dir}, func(w *Writer) { some(w, 2) })
	n := 0
	if d := each(t, dir, func(*Record) { n++ }); n != 42 || len(d.Torn) != 0 || len(d.files) != 1 {
		t.Errorf("%d records in %d files, torn: %q", n, len(d.files), d.Torn)
	}
	b[70] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, Options{Dir: dir}, func(w *Writer) { some(w, 2) })
	if after, err := os.ReadFile(file); err != nil || string(after[:len(b)]) != string(b) {
		t.Errorf("a damaged file was changed: %v", err)
	}
}

func TestWhatIsPastItsBoundsIsRemoved(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		write(t, Options{Dir: dir, seal: 1, Bytes: 5000}, func(w *Writer) { some(w, 200) })
	}
	if names, err := listFiles(dir); err != nil || len(names) != 1 || names[0].number != 3 {
		t.Errorf("left: %v, %v", names, err)
	}
	write(t, Options{Dir: dir, seal: 1, Age: time.Hour, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }}, func(w *Writer) { some(w, 200) })
	if names, err := listFiles(dir); err != nil || len(names) != 0 {
		t.Errorf("left: %v, %v", names, err)
	}
}

func TestSecretsStayOut(t *testing.T) {
	in := policy.Input{Action: &action.Action{
		Target: "https://user:hunter2@files.example/a/b?sig=hunter2#hunter2", Verb: "get", Statement: "hunter2", Payload: []byte("hunter2"), Title: "hunter2",
		Resource: action.Resource{URN: "/hooks/x?token=hunter2"},
		Data:     action.Data{Destination: "mask me: hunter2"},
		Claims:   action.Claims{Reason: "hunter2", Ticket: "hunter2", Session: "hunter2", Intent: "hunter2"},
	}, Seen: "hunter2"}
	mask := func(s string) string { return strings.ReplaceAll(s, "hunter2", "[secret]") }
	dir := write(t, Options{Clean: mask}, func(w *Writer) {
		w.Note(&in, &policy.Decision{Reason: "hunter2"}, Facts{})
	})
	b, err := os.ReadFile(filepath.Join(dir, "00000001.part"))
	if err != nil || strings.Contains(string(b), "hunter2") {
		t.Errorf("%v, in the file: %q", err, b)
	}
	if info, err := os.Stat(filepath.Join(dir, "00000001.part")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	each(t, dir, func(r *Record) {
		a := r.Input.Action
		if a.Target != "https://files.example/a/b" || a.Data.Destination != "mask me: [secret]" || a.Resource.URN != "/hooks/x" || len([]rune(a.Claims.Reason)) != 7 {
			t.Errorf("kept %+v", a)
		}
		if want := ResourceCleaned | TargetCleaned | DestinationCleaned | SessionCleaned | TicketCleaned | ReasonLength; r.Inexact != want {
			t.Errorf("inexact %b, want %b", r.Inexact, want)
		}
	})
}

// FuzzBlock reads foreign blocks whose checksums hold.
func FuzzBlock(f *testing.F) {
	for _, seal := range []int{1, 1 << 20} {
		w, err := Open(Options{Dir: f.TempDir(), seal: seal})
		if err != nil {
			f.Fatal(err)
		}
		some(w, 30)
		if err := w.flush(); err != nil {
			f.Fatal(err)
		}
		names, err := listFiles(w.o.Dir)
		if err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(names[0].path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[headerSize:], 30, 0)
	}
	dec := &decoder{}
	f.Fuzz(func(t *testing.T, payload []byte, rows, answers int) {
		if rows < 0 || rows > 4096 || answers < 0 || answers > 100 {
			return
		}
		h := header{version: version, length: len(payload), rows: rows, answers: answers, sum: checksum(payload)}
		if _, err := dec.open(&h, payload); err != nil {
			return
		}
		c := recorder{d: dec}
		if c.open(0) != nil {
			return
		}
		n := 0
		err := dec.each(func() error {
			n++
			policy.Values(&c.record().Input)
			return nil
		})
		if err == nil && n != rows {
			t.Errorf("%d records of %d", n, rows)
		}
	})
}
