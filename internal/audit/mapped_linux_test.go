package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func segmentFile(dir string) string { return filepath.Join(dir, fmt.Sprintf(segmentName, 1)) }

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// A process that is killed leaves the room that it reserved: its records are all
// there, nothing counts as lost, and the next start gives the room back.
func TestRoomAfterAKill(t *testing.T) {
	live, dir := t.TempDir(), t.TempDir()
	s := openSpool(t, SpoolOptions{Dir: live})
	long := strings.Repeat("x", 50_000)
	for i := range 50 { // over the edge of a window, and frames across it
		if _, err := s.Append(record(fmt.Sprint(i, long))); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(segmentFile(live)) // what another process sees at once, without any sync
	if err != nil {
		t.Fatal(err)
	}
	if len(b)%windowBytes != 0 || int64(len(b)) <= s.Status().Bytes {
		t.Fatalf("the open segment has %d bytes, of which %d are written: no room is reserved", len(b), s.Status().Bytes)
	}
	if err := os.WriteFile(segmentFile(dir), b, 0o600); err != nil {
		t.Fatal(err)
	}
	got, segments := texts(t, dir)
	if len(got) != 50 || got[49] != "49"+long || segments[0].Lost != 0 || segments[0].Bytes != s.Status().Bytes {
		t.Errorf("%d records, %d bytes, %d of them lost", len(got), segments[0].Bytes, segments[0].Lost)
	}
	again := openSpool(t, SpoolOptions{Dir: dir})
	if n := size(t, segmentFile(dir)); n != s.Status().Bytes || again.Status().Bytes != n || again.Status().Records != 50 {
		t.Errorf("after the next start the segment has %d bytes; %+v", n, again.Status())
	}
	if err := s.Close(); err != nil || size(t, segmentFile(live)) != s.Status().Bytes {
		t.Errorf("closed: %v, %d bytes of %d", err, size(t, segmentFile(live)), s.Status().Bytes)
	}
}

// A file that somebody cuts short under us is an error and no signal that ends the process.
func TestCutShortWhileMapped(t *testing.T) {
	dir := t.TempDir()
	s := openSpool(t, SpoolOptions{Dir: dir})
	fill(t, s, 3)
	if err := os.Truncate(segmentFile(dir), 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := s.Append(record("x")); !errors.Is(err, ErrSpoolDead) {
			t.Errorf("Append: %v", err)
		}
	}
	if err := s.Close(); !errors.Is(err, ErrSpoolDead) {
		t.Errorf("Close: %v", err)
	}
}

// Where no room is left to reserve, nothing is stored and the error says why.
func TestNoRoomToReserve(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	m := &mappedFile{osFile: osFile{f}, from: 1<<62 - windowBytes} // past what any file system holds
	if n, err := m.Write([]byte("x")); n != 0 || !errors.Is(err, syscall.EFBIG) {
		t.Errorf("Write = %d, %v", n, err)
	}
	m.from = 0
	if err := m.Close(); err != nil || size(t, path) != 0 {
		t.Errorf("Close: %v; %d bytes", err, size(t, path))
	}
}

func TestMappedFileIsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := (osDisk{}).create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.(*mappedFile); !ok {
		t.Fatalf("%T: this file system reserves no room, so this shows nothing", f)
	}
	var want bytes.Buffer
	for i := range 3 { // larger than a window in one go, too
		b := bytes.Repeat([]byte{byte('a' + i)}, windowBytes*(i+1)/2+i)
		if n, err := io.MultiWriter(f, &want).Write(b); n != len(b) || err != nil {
			t.Fatal(n, err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes read back of %d, %v", len(got), want.Len(), err)
	}
}

// What is stored is the same whether zeros went before it or not, whatever the sizes
// and whenever it is synced; few stores bring no zeros, many do.
func TestZerosBeforehand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := (osDisk{}).create(path)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := f.(*mappedFile)
	if !ok {
		t.Fatalf("%T: this file system reserves no room, so this shows nothing", f)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var want bytes.Buffer
	few, many := 0, 0
	for want.Len() < 5*windowBytes {
		b := make([]byte, 1+random.IntN(2000)<<(4*random.IntN(3)))
		for i := range b {
			b[i] = byte(1 + random.IntN(255))
		}
		since := int64(want.Len()) - m.mark
		if n, err := io.MultiWriter(m, &want).Write(b); n != len(b) || err != nil {
			t.Fatal(n, err)
		}
		switch ahead := m.ready - m.at; {
		case ahead < 0:
			t.Fatalf("%d bytes stored beyond what was made ready", -ahead)
		case since < zerosBytes && len(b) < zerosBytes/2 && ahead < pageBytes:
			few++
		case ahead >= pageBytes:
			many++
		}
		if random.IntN(400) == 0 {
			for range 30 { // rare ones, each synced
				if _, err := io.MultiWriter(m, &want).Write([]byte("one")); err != nil {
					t.Fatal(err)
				}
				if err := m.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			if m.ready-m.at >= 2*zerosBytes {
				t.Fatal("too far ahead")
			}
		}
	}
	if few == 0 || many == 0 {
		t.Errorf("%d stores page by page, %d with zeros before them: this shows nothing", few, many)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got[:want.Len()], want.Bytes()) || len(bytes.Trim(got[want.Len():], "\x00")) != 0 {
		t.Errorf("while it is open, another process reads something else: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes read back of %d, %v", len(got), want.Len(), err)
	}
}

// Who is cut short while much is stored doesn't grow again over the hole.
func TestCutShortUnderLoad(t *testing.T) {
	f, err := (osDisk{}).create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	page := bytes.Repeat([]byte("x"), pageBytes)
	for range 3 * zerosBytes / pageBytes {
		if _, err := f.Write(page); err != nil {
			t.Fatal(err)
		}
	}
	m := f.(*mappedFile)
	if m.ready != m.at { // at an edge, where no store would touch a page that is gone
		t.Fatalf("stored up to %d, ready up to %d: this shows nothing", m.at, m.ready)
	}
	if err := os.Truncate(m.Name(), 0); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Write(page); err == nil {
		t.Errorf("Write = %d: the file is longer again, and what it held is gone", n)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// Zeros go before what is stored where much is, and nowhere else.
func TestZerosWhereMuchIsStored(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	grown, err := grow(f)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := grown.(*mappedFile)
	if !ok {
		t.Fatalf("a file is a %T here", grown)
	}
	defer m.Close()
	round := func(n int) (ahead int) {
		if err := m.Sync(); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(make([]byte, m.ready-m.at)); err != nil { // prepare looks once this is full
			t.Fatal(err)
		}
		if _, err := m.Write(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		ahead = m.ready - m.at
		if _, err := m.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		return ahead
	}
	for i, r := range []struct{ bytes, least, most int }{
		{300, 0, pageBytes}, {busyBytes, 0, pageBytes}, {300, pageBytes, zerosBytes}, {busyBytes, 0, pageBytes}, {busyBytes, pageBytes, zerosBytes},
	} {
		if got := round(r.bytes); got < r.least || got > r.most {
			t.Errorf("round %d: %d bytes are ready, want from %d to %d", i, got, r.least, r.most)
		}
	}
}
