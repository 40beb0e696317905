package audittest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
)

// Shelf is what every audit.Shelf must do. The shelf must be empty.
func Shelf(t *testing.T, s audit.Shelf) {
	ctx := t.Context()
	put := func(name string, b []byte) error {
		return s.Put(ctx, name, io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b))))
	}
	all := func(name string) []byte {
		t.Helper()
		f, err := s.Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if names, err := s.Names(ctx, "node-a"); err != nil || len(names) != 0 {
		t.Errorf("an empty shelf has %v, %v", names, err)
	}
	if _, err := s.Open(ctx, "node-a/1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that isn't there: %v", err)
	}
	if err := s.Remove(ctx, "node-a/none"); err != nil {
		t.Errorf("removing what isn't there: %v", err)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/16) // more than is read at a time
	for name, b := range map[string][]byte{"node-a/1": big, "node-a/10": []byte("ten"), "node-a%2Fb/1": []byte("another node"), "node-ab/1": []byte("ab")} {
		if err := put(name, b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := all(name); !bytes.Equal(got, b) {
			t.Errorf("%s: %d bytes come back of %d", name, len(got), len(b))
		}
	}
	if err := put("node-a/1", []byte("other")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing a file again: %v", err)
	}
	if !bytes.Equal(all("node-a/1"), big) {
		t.Error("a file was written over")
	}
	names, err := s.Names(ctx, "node-a")
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"1", "10"}) {
		t.Errorf("the names are %v, %v", names, err)
	}
	f, err := s.Open(ctx, "node-a/1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	buf := make([]byte, 100)
	for _, at := range []int64{4<<20 - 50, 3, 5<<20 - 100} { // over the edge of a window, back, and the end
		if n, err := f.ReadAt(buf, at); n != 100 || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(buf, big[at:at+100]) {
			t.Errorf("reading at %d: %d bytes, %v", at, n, err)
		}
	}
	if n, err := f.ReadAt(buf, f.Size()-40); n != 40 || !errors.Is(err, io.EOF) {
		t.Errorf("reading past the end: %d bytes, %v", n, err)
	}
	if until, err := s.Locked(ctx, "node-a/10"); err != nil || !until.IsZero() && until.Before(time.Now()) {
		t.Errorf("locked until %v, %v", until, err)
	} else if until.IsZero() {
		if err := s.Remove(ctx, "node-a/1"); err != nil {
			t.Error(err)
		}
		if names, err := s.Names(ctx, "node-a"); err != nil || !slices.Equal(names, []string{"10"}) {
			t.Errorf("after one was removed: %v, %v", names, err)
		}
	}
}
