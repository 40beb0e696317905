package bodies

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/assenthq/assent/internal/detect"
)

func engine(t testing.TB) *detect.Engine {
	t.Helper()
	e, err := detect.New(detect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func store(t testing.TB, total, each int64) *Store {
	t.Helper()
	s, err := NewStore(t.TempDir(), total, each, engine(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// random is text of n bytes that no two runs of it have alike.
func random(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	out := make([]byte, n)
	for i := range out {
		out[i] = "abcdefgh \n"[r.IntN(10)]
	}
	return out
}

func TestKeepAndOpen(t *testing.T) {
	s := store(t, 1<<30, 1<<28)
	for _, size := range []int{0, 1, 511, 512, inMemory - 1, inMemory, inMemory + 1, inMemory + chunk, inMemory + 2*chunk + 7, 3 << 20} {
		want := random(size)
		for _, said := range []int64{-1, int64(size)} {
			b := s.Body(iotest.DataErrReader(bytes.NewReader(want)), said)
			if b.Length() != said || b.Kept() {
				t.Fatalf("%d: before: %d, %v", size, b.Length(), b.Kept())
			}
			if err := b.Keep(context.Background()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				r, err := b.Open()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d: came back with %d bytes, %v", size, len(got), err)
				}
			}
			whole, err := b.Whole(int64(size))
			if err != nil || !bytes.Equal(whole, want) || !b.Kept() || b.Length() != int64(size) || b.Sum() != sha256.Sum256(want) {
				t.Fatalf("%d: whole: %d bytes, %v, kept %v, length %d", size, len(whole), err, b.Kept(), b.Length())
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.Held() != 0 {
		t.Errorf("%d bytes are still counted", s.Held())
	}
}

// A body that begins in memory goes on from there, kept or passed on.
func TestWholeThenMore(t *testing.T) {
	s := store(t, 1<<30, 1<<28)
	want := random(700 << 10)
	for _, max := range []int64{0, 10, 600 << 10} {
		b := s.Body(bytes.NewReader(want), -1)
		if _, err := b.Whole(max); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("whole: %v", err)
		}
		if err := b.Keep(context.Background()); err != nil || b.Sum() != sha256.Sum256(want) {
			t.Fatalf("keep: %v", err)
		}
		r, err := b.Open()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("kept: %d bytes, %v", len(got), err)
		}
		b = s.Body(bytes.NewReader(want), -1)
		_, _ = b.Whole(max)
		if r, err = b.Open(); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) || b.Kept() || b.Sum() != sha256.Sum256(want) {
			t.Fatalf("passed on: %d bytes, %v", len(got), err)
		}
		if _, err := b.Open(); err == nil {
			t.Error("a body that is gone was opened again")
		}
		if err := b.Keep(context.Background()); err == nil {
			t.Error("a body that is gone was kept")
		}
	}
}

func TestBounds(t *testing.T) {
	s := store(t, 1<<20, 600<<10)
	ctx := context.Background()
	if err := s.Body(iotest.ErrReader(errors.New("read")), 601<<10).Keep(ctx); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one that says it is too large: %v", err)
	}
	b := s.Body(bytes.NewReader(random(900<<10)), -1)
	if err := b.Keep(ctx); !errors.Is(err, ErrTooLarge) || b.Kept() {
		t.Errorf("one that is too large: %v", err)
	}
	if _, err := b.Open(); err == nil {
		t.Error("the beginning of one that is too large can be read")
	}
	_ = b.Close()
	first := s.Body(bytes.NewReader(random(600<<10)), -1)
	if err := first.Keep(ctx); err != nil {
		t.Fatal(err)
	}
	second := s.Body(bytes.NewReader(random(600<<10)), -1)
	if err := second.Keep(ctx); !errors.Is(err, ErrNoSpace) {
		t.Errorf("one too many: %v", err)
	}
	_, _ = first.Close(), second.Close()
	if s.Held() != 0 {
		t.Errorf("%d bytes are still counted", s.Held())
	}
	third := s.Body(bytes.NewReader(random(600<<10)), -1)
	if err := third.Keep(ctx); err != nil {
		t.Errorf("after the others: %v", err)
	}
}

func TestLengthsThatLie(t *testing.T) {
	s := store(t, 1<<30, 1<<28)
	for _, size := range []int{10, 400 << 10} {
		for _, said := range []int64{int64(size) - 1, int64(size) + 1} {
			b := s.Body(bytes.NewReader(random(size)), said)
			if err := b.Keep(context.Background()); !errors.Is(err, ErrShort) || b.Kept() {
				t.Errorf("%d said to be %d: kept %v, %v", size, said, b.Kept(), err)
			}
			b = s.Body(bytes.NewReader(random(size)), said)
			r, err := b.Open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(r); !errors.Is(err, ErrShort) {
				t.Errorf("%d said to be %d: passed on: %v", size, said, err)
			}
			if _, unscanned := b.Found(); !unscanned {
				t.Error("half a body was scanned in full")
			}
		}
	}
	broken := errors.New("broken")
	b := s.Body(io.MultiReader(bytes.NewReader(random(300<<10)), iotest.ErrReader(broken)), -1)
	if err := b.Keep(context.Background()); !errors.Is(err, broken) {
		t.Errorf("a wire that breaks: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b = s.Body(readerFunc(func(p []byte) (int, error) { stop(); return len(p), nil }), -1)
	if err := b.Keep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestWrap(t *testing.T) {
	s := store(t, 1<<30, 1<<28)
	b := s.Body(strings.NewReader("HELLO"), 5)
	b.Wrap(func(r io.Reader) io.Reader { return io.LimitReader(r, 4) }, 4)
	if got, err := b.Whole(100); err != nil || string(got) != "HELL" || b.Length() != 4 || b.Sum() != sha256.Sum256([]byte("HELL")) {
		t.Errorf("%q, %v", got, err)
	}
}

// Nothing of a kept body has a name or stands readable on the disk, and what was changed there is an error.
func TestTheFile(t *testing.T) {
	s := store(t, 1<<30, 1<<28)
	plain := bytes.Repeat([]byte("planted-secret "), 60<<10)
	b := s.Body(bytes.NewReader(plain), -1)
	if err := b.Keep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(s.dir); err != nil || len(left) != 0 {
		t.Errorf("in the directory: %v, %v", left, err)
	}
	info, err := b.file.f.Stat()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	onDisk := make([]byte, info.Size())
	if _, err := b.file.f.ReadAt(onDisk, 0); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(onDisk, []byte("planted")) {
		t.Error("it stands readable on the disk")
	}
	read := func() error {
		r, err := b.Open()
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r)
		return err
	}
	write := func(at int64, p []byte) {
		if _, err := b.file.f.WriteAt(p, at); err != nil {
			t.Fatal(err)
		}
	}
	const sealed = chunk + overhead
	for what, change := range map[string]func(){
		"a bit":      func() { write(100, []byte{onDisk[100] ^ 1}) },
		"two chunks": func() { write(0, onDisk[sealed:2*sealed]); write(sealed, onDisk[:sealed]) },
		"the last":   func() { write(int64(b.file.chunks-1)*sealed, onDisk[:sealed]) },
		"its end": func() {
			if err := b.file.f.Truncate(3 * sealed); err != nil {
				t.Fatal(err)
			}
		},
	} {
		change()
		if err := read(); err == nil {
			t.Errorf("%s changed, and nobody noticed", what)
		}
		if err := b.file.f.Truncate(info.Size()); err != nil {
			t.Fatal(err)
		}
		write(0, onDisk)
		if err := read(); err != nil {
			t.Errorf("after %s was put back: %v", what, err)
		}
	}
	b.file.chunks = 2 // as if the rest had never been
	if err := read(); err == nil {
		t.Error("a chunk that isn't the last was taken for it")
	}
	if err := os.WriteFile(s.dir+"/body-123", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewStore(s.dir, 1<<20, 1<<20, nil); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(s.dir); len(left) != 0 {
		t.Errorf("what another process left is still there: %v", left)
	}
}

// endless is text without an end, in no memory.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), e.left))
	for i := range p[:n] {
		p[i] = 'a' + byte(i%7)
		if i%11 == 0 {
			p[i] = ' '
		}
	}
	e.left -= int64(n)
	return n, nil
}

func TestMemory(t *testing.T) {
	const size = 64 << 20
	s := store(t, 1<<30, 1<<30)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b := s.Body(&endless{size}, size)
	if err := b.Keep(context.Background()); err != nil {
		t.Fatal(err)
	}
	r, err := b.Open()
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); err != nil || n != size {
		t.Fatalf("%d, %v", n, err)
	}
	runtime.ReadMemStats(&after)
	if more := after.TotalAlloc - before.TotalAlloc; more > 4<<20 {
		t.Errorf("%d bytes were allocated for %d", more, size)
	}
	_ = b.Close()
}

func BenchmarkKeep(b *testing.B) {
	const size = 1 << 30
	s := store(b, 2<<30, 2<<30)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		body := s.Body(&endless{size}, size)
		if err := body.Keep(context.Background()); err != nil {
			b.Fatal(err)
		}
		_ = body.Close()
	}
}

func BenchmarkSmall(b *testing.B) {
	s := store(b, 1<<30, 1<<28)
	text := []byte(`{"model":"m","messages":[{"role":"user","content":"hello there"}],"stream":true,"temperature":0.2}`)
	b.ReportAllocs()
	for b.Loop() {
		body := s.Body(bytes.NewReader(text), int64(len(text)))
		if err := body.Keep(context.Background()); err != nil {
			b.Fatal(err)
		}
		body.Sum()
		body.Found()
		_ = body.Close()
	}
}
