package evidence_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
)

const bundleOrigin = "assent.example/log"

// memory is a file in memory.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p) - len(m.b); need > 0 {
		m.b = append(m.b, make([]byte, need)...)
	}
	return copy(m.b[at:], p), nil
}

// A maker makes bundles of a log of its own, right ones and others.
type maker struct {
	t      testing.TB
	vkey   string
	signer note.Signer
	leaves [][]byte
	stored hashes
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, n := range at {
		out[i] = h[n]
	}
	return out, nil
}

var firstDay = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// newMaker has a log of n records, one an hour.
func newMaker(t testing.TB, n int) *maker {
	t.Helper()
	secret, vkey, err := note.GenerateKey(rand.Reader, bundleOrigin)
	if err != nil {
		t.Fatal(err)
	}
	m := &maker{t: t, vkey: vkey}
	if m.signer, err = note.NewSigner(secret); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m.add(fmt.Sprintf(`{"index":%d,"time":%q,"type":"request","actor":"agent:a%d"}`, i, hour(i).Format(time.RFC3339Nano), i%3))
	}
	return m
}

func hour(n int) time.Time { return firstDay.Add(time.Duration(n) * time.Hour) }

func (m *maker) add(leaf string) {
	m.t.Helper()
	more, err := tlog.StoredHashes(int64(len(m.leaves)), []byte(leaf), m.stored)
	if err != nil {
		m.t.Fatal(err)
	}
	m.leaves, m.stored = append(m.leaves, []byte(leaf)), append(m.stored, more...)
}

func (m *maker) note(text string) []byte {
	m.t.Helper()
	b, err := note.Sign(&note.Note{Text: text}, m.signer)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// a plan says what is written; the zero value with end set is a right bundle from the first record on.
type plan struct {
	first, end, size int
	since, until     int // hours; 0: none
	hide             func(i int) bool
	leaf             func(i int) []byte // nil: the log's
	manifest         func(m *evidence.Manifest)
	earlier          []int
	proofOf          func(i int) int // whose proof an earlier record bears; nil: its own
	checkpoint       func([]byte) []byte
}

func (m *maker) write(p plan) []byte {
	t := m.t
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := tlog.TreeHash(int64(p.size), m.stored)
	must(err)
	cp := evidence.Checkpoint{Origin: bundleOrigin, Size: int64(p.size), Root: root}
	signed := m.note(cp.Body())
	if p.checkpoint != nil {
		signed = p.checkpoint(signed)
	}
	f := &memory{}
	w, err := evidence.NewBundleWriter(f, signed)
	must(err)
	for _, i := range p.earlier {
		of := i
		if p.proofOf != nil {
			of = p.proofOf(i)
		}
		proof, err := tlog.ProveRecord(int64(p.size), int64(of), m.stored)
		must(err)
		must(w.Earlier(int64(i), m.leaves[i], proof))
	}
	for i := p.first; i < p.end; i++ {
		leaf := m.leaves[i]
		if p.leaf != nil {
			leaf = p.leaf(i)
		}
		if p.hide != nil && p.hide(i) {
			must(w.Hide(leaf))
		} else {
			must(w.Show(leaf))
		}
	}
	man := evidence.Manifest{Origin: bundleOrigin, Key: m.vkey, Software: "assent test", First: int64(p.first), End: int64(p.end)}
	for at, n := range map[**time.Time]int{&man.Since: p.since, &man.Until: p.until} {
		if n != 0 {
			t := hour(n)
			*at = &t
		}
	}
	for from, n := 0, p.first; n > 0; {
		level := 0
		for 1<<(level+1) <= n {
			level++
		}
		h, err := m.stored.ReadHashes([]int64{tlog.StoredHashIndex(level, int64(from>>level))})
		must(err)
		man.Left = append(man.Left, h...)
		from, n = from+1<<level, n-1<<level
	}
	if p.end > 0 && p.end < p.size {
		man.Consistency, err = tlog.ProveTree(int64(p.size), int64(p.end), m.stored)
		must(err)
	}
	if p.hide != nil {
		man.Query = map[string]string{"actor": "agent:a1"}
	}
	if p.manifest != nil {
		p.manifest(&man)
	}
	must(w.Close(man, func(text string) ([]byte, error) { return note.Sign(&note.Note{Text: text}, m.signer) }))
	return f.b
}

func open(b []byte, keys ...string) (*evidence.BundleReport, error) {
	x, err := evidence.OpenBundle(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return x.Verify(evidence.BundleOptions{VKeys: keys})
}

func TestBundles(t *testing.T) {
	m := newMaker(t, 40)
	odd := func(i int) bool { return i%2 == 1 && i != 9 && i != 29 }
	for name, p := range map[string]plan{
		"all":             {end: 40, size: 40},
		"to a checkpoint": {end: 40, size: 40, hide: odd},
		"a period":        {first: 9, end: 30, size: 40, since: 10, until: 29, earlier: []int{0}, hide: odd},
		"its beginning":   {end: 30, size: 40, until: 29},
		"its end":         {first: 16, end: 40, size: 40, since: 17, earlier: []int{0, 3}},
		"one record":      {end: 1, size: 1},
	} {
		b := m.write(p)
		r, err := open(b, m.vkey)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		shown := 0
		for i := p.first; i < p.end; i++ {
			if p.hide == nil || !p.hide(i) {
				shown++
			}
		}
		if r.Manifest.Shown != int64(shown) || r.Manifest.Hidden != int64(p.end-p.first-shown) || r.Manifest.History != int64(len(p.earlier)) || r.OwnKey || len(r.Problems) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if !bytes.Equal(b, m.write(p)) {
			t.Errorf("%s: two bundles of the same differ", name)
		}
		if own, err := open(b); err != nil || !own.OwnKey || !strings.Contains(own.Lines()[0], "OWN KEY ONLY") {
			t.Errorf("%s: without a key: %+v, %v", name, own, err)
		}
	}
}

// What a maker with the log's key could write, and what someone who changes a bundle could.
func TestBundlesThatLie(t *testing.T) {
	m := newMaker(t, 40)
	other := newMaker(t, 40)
	period := plan{first: 9, end: 30, size: 40, since: 10, until: 29, earlier: []int{0, 4}}
	for name, c := range map[string]struct {
		change func(p *plan)
		want   string
	}{
		"a record is another":              {func(p *plan) { p.leaf = other.swapped(m, 15) }, "missing, changed or added"},
		"a record is changed":              {func(p *plan) { p.leaf = m.edited(15) }, "missing, changed or added"},
		"a hidden record is changed":       {func(p *plan) { p.leaf = m.edited(15); p.hide = func(i int) bool { return i == 15 } }, "missing, changed or added"},
		"two records change places":        {func(p *plan) { p.leaf = m.exchanged(15, 16) }, "record 15"},
		"two hidden ones do":               {func(p *plan) { p.leaf = m.exchanged(15, 16); p.hide = func(i int) bool { return i == 15 || i == 16 } }, "missing, changed or added"},
		"what is left of it is another":    {func(p *plan) { p.manifest = func(m *evidence.Manifest) { m.Left[0][0]++ } }, "missing, changed or added"},
		"the proof is another":             {func(p *plan) { p.manifest = func(m *evidence.Manifest) { m.Consistency[0][0]++ } }, "missing, changed or added"},
		"records behind the end":           {func(p *plan) { p.until = 31 }, "records from 30 on may belong to the period too"},
		"no end is said":                   {func(p *plan) { p.until = 0 }, "records from 30 on may belong"},
		"records before the beginning":     {func(p *plan) { p.since = 9 }, "records before 9 may belong"},
		"no beginning is said":             {func(p *plan) { p.since = 0 }, "records before 9 may belong"},
		"the record at the edge is hidden": {func(p *plan) { p.hide = func(i int) bool { return i == 9 } }, "records before 9 may belong"},
		"the one at the other is":          {func(p *plan) { p.hide = func(i int) bool { return i == 29 } }, "records from 30 on may belong"},
		"an earlier record is another":     {func(p *plan) { p.proofOf = func(int) int { return 5 } }, "history.jsonl, record 0"},
		"earlier records out of order":     {func(p *plan) { p.earlier = []int{4, 0} }, "record 0"},
		"an earlier record of the range":   {func(p *plan) { p.earlier = []int{0, 12} }, "record 12"},
		"no first record":                  {func(p *plan) { p.earlier = nil }, "first record is not shown"},
		"another origin":                   {func(p *plan) { p.manifest = func(m *evidence.Manifest) { m.Origin = "other.example/log" } }, "isn't one of the log's"},
		"a key of somebody":                {func(p *plan) { p.manifest = func(m *evidence.Manifest) { m.Key = other.vkey } }, "none of those given"},
		"counts of the manifest":           {func(p *plan) { p.manifest = func(m *evidence.Manifest) { m.End++ } }, "not those from 9 to 31"},
		"records hidden without a filter": {func(p *plan) {
			p.hide = func(i int) bool { return i == 15 }
			p.manifest = func(m *evidence.Manifest) { m.Query = nil }
		}, "1 records are left out, and it tells no filter that left them out"},
		"a checkpoint by somebody": {func(p *plan) {
			p.checkpoint = func(b []byte) []byte { t, _, _ := strings.Cut(string(b), "\n\n"); return other.note(t + "\n") }
		}, "checkpoint.txt"},
	} {
		p := period
		c.change(&p)
		_, err := open(m.write(p), m.vkey)
		var at *evidence.BundleError
		if err == nil || !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want …%s…", name, err, c.want)
		}
	}
	if _, err := open(m.write(period), other.vkey); err == nil || !strings.Contains(err.Error(), "none of those given") {
		t.Errorf("another key was given: %v", err)
	}
}

func (m *maker) swapped(of *maker, at int) func(int) []byte {
	return func(i int) []byte {
		if i == at {
			return []byte(strings.Replace(string(of.leaves[i]), "agent:", "agent-of-others:", 1))
		}
		return of.leaves[i]
	}
}

func (m *maker) edited(at int) func(int) []byte {
	return func(i int) []byte {
		if i == at {
			return bytes.Replace(m.leaves[i], []byte("agent:"), []byte("human:"), 1)
		}
		return m.leaves[i]
	}
}

func (m *maker) exchanged(a, b int) func(int) []byte {
	return func(i int) []byte {
		switch i {
		case a:
			i = b
		case b:
			i = a
		}
		return m.leaves[i]
	}
}

// A bundle of which any byte was changed, left out or added is refused, and the place is named.
func TestEveryByteOfABundle(t *testing.T) {
	m := newMaker(t, 12)
	b := m.write(plan{first: 3, end: 10, size: 12, since: 4, until: 9, earlier: []int{0, 1}, hide: func(i int) bool { return i == 5 }})
	if _, err := open(b, m.vkey); err != nil {
		t.Fatal(err)
	}
	refused, places := 0, map[string]int{}
	try := func(what string, at int, changed []byte) {
		t.Helper()
		for _, keys := range [][]string{{m.vkey}, nil} {
			_, err := open(changed, keys...)
			var where *evidence.BundleError
			if !errors.As(err, &where) {
				t.Fatalf("%s byte %d of %d: %v", what, at, len(b), err)
			}
			refused++
			places[where.File]++
		}
	}
	changed := make([]byte, len(b))
	for i := range b {
		for _, x := range []byte{1, 0x20, 0x80, 0xff} {
			copy(changed, b)
			changed[i] ^= x
			try("changing", i, changed)
		}
		try("leaving out", i, append(append([]byte{}, b[:i]...), b[i+1:]...))
		try("cutting at", i, b[:i])
		try("adding at", i, append(append(append([]byte{}, b[:i]...), 'x'), b[i:]...))
	}
	try("adding at", len(b), append(append([]byte{}, b...), 0))
	t.Logf("%d changed bundles refused, found in %v", refused, places)
}

func FuzzBundle(f *testing.F) {
	m := newMaker(f, 12)
	good := m.write(plan{first: 3, end: 10, size: 12, since: 4, until: 9, earlier: []int{0, 1}, hide: func(i int) bool { return i == 5 }})
	f.Add(good)
	f.Add(m.write(plan{end: 12, size: 12}))
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := evidence.OpenBundle(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if _, err := x.Verify(evidence.BundleOptions{VKeys: []string{m.vkey}}); err == nil && !bytes.Equal(b, good) && x.Manifest().First == 3 {
			t.Error("another bundle of the same records verifies")
		}
	})
}

// Another program that reads zip files finds the same in it.
func TestABundleIsAZipFile(t *testing.T) {
	m := newMaker(t, 5)
	name := t.TempDir() + "/b.zip"
	if err := os.WriteFile(name, m.write(plan{end: 5, size: 5}), 0o600); err != nil {
		t.Fatal(err)
	}
	checkWithArchiveZip(t, name, map[string]func(io.Reader) error{
		"records.jsonl": func(r io.Reader) error {
			b, err := io.ReadAll(r)
			if err == nil && !bytes.Equal(b, append(bytes.Join(m.leaves, []byte("\n")), '\n')) {
				err = fmt.Errorf("records are %q", b)
			}
			return err
		},
	})
}
