package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

func spoolOf(t *testing.T, dir string) *audit.Spool {
	t.Helper()
	s, err := audit.OpenSpool(audit.SpoolOptions{Dir: dir, Node: "n", SegmentBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fill(t *testing.T, s *audit.Spool, from, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.Append(&audit.Record{Type: audit.TypeRequest, Title: fmt.Sprint("title ", from+i, strings.Repeat(".", (from+i)%900))}); err != nil {
			t.Fatal(err)
		}
	}
}

// drain reads all that f has, and says which records they are.
func drain(t *testing.T, f *audit.Follow) (out []int64) {
	t.Helper()
	for {
		seq, leaf, ok, err := f.Read()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		if want := fmt.Sprintf(`"title":"title %d`, seq); !strings.Contains(string(leaf), want) {
			t.Fatalf("record %d is %s", seq, leaf)
		}
		out = append(out, seq)
	}
}

func sequence(from, to int64) (out []int64) {
	for ; from < to; from++ {
		out = append(out, from)
	}
	return out
}

func TestFollowReadsOverSegmentsAndRuns(t *testing.T) {
	dir := t.TempDir()
	s := spoolOf(t, dir)
	fill(t, s, 0, 100)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = spoolOf(t, dir)
	defer func() { _ = s.Close() }()
	for _, from := range []int64{0, 1, 37, 99, 100} {
		f := s.Follow(from)
		if got := drain(t, f); !slices.Equal(got, sequence(from, 100)) {
			t.Errorf("from %d: %v", from, got)
		}
		f.Close()
	}
	f := s.Follow(50)
	defer f.Close()
	if got := drain(t, f); !slices.Equal(got, sequence(50, 100)) {
		t.Fatal(got)
	}
	for i := int64(100); i < 160; i += 3 { // while it is written to
		fill(t, s, int(i), 3)
		if got := drain(t, f); !slices.Equal(got, sequence(i, i+3)) {
			t.Fatalf("at %d: %v", i, got)
		}
	}
}

func TestFollowWhileOthersWrite(t *testing.T) {
	s := spoolOf(t, t.TempDir())
	defer func() { _ = s.Close() }()
	const n = 3000
	go func() {
		for i := range n {
			if _, err := s.Append(&audit.Record{Type: audit.TypeRequest, Title: fmt.Sprint("title ", i)}); err != nil {
				t.Error(err)
			}
		}
	}()
	f := s.Follow(0)
	defer f.Close()
	var got []int64
	for end := time.Now().Add(30 * time.Second); len(got) < n && time.Now().Before(end); {
		got = append(got, drain(t, f)...)
	}
	if !slices.Equal(got, sequence(0, n)) {
		t.Fatalf("%d records of %d, or not in order", len(got), n)
	}
}

func TestFollowGoesOnBehindWhatIsGone(t *testing.T) {
	dir := t.TempDir()
	s := spoolOf(t, dir)
	fill(t, s, 0, 200)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.spool"))
	if err != nil || len(paths) < 5 {
		t.Fatal(paths, err)
	}
	// The second is torn, as by a crash.
	if err := os.Truncate(paths[1], 1500); err != nil {
		t.Fatal(err)
	}
	s = spoolOf(t, dir)
	defer func() { _ = s.Close() }()
	f := s.Follow(0)
	got := drain(t, f)
	f.Close()
	if len(got) == 200 || got[0] != 0 || got[len(got)-1] != 199 || !slices.IsSorted(got) {
		t.Fatal(got)
	}
	// The first is removed.
	if err := os.Remove(paths[0]); err != nil {
		t.Fatal(err)
	}
	f = s.Follow(0)
	defer f.Close()
	if rest := drain(t, f); rest[0] == 0 || !slices.Equal(rest, got[len(got)-len(rest):]) {
		t.Fatal(rest)
	}
}
