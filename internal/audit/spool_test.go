package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(spoolVar); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dir))
		os.Exit(1)
	}
	if seed := os.Getenv(signerVar); seed != "" {
		signLines(seed, os.Getenv(signerVar+"_HOW"))
		return
	}
	goleak.VerifyTestMain(m)
}

// faultDisk is a disk that remembers what was synced and fails when told.
type faultDisk struct {
	mu      sync.Mutex
	files   map[string]*faultFile
	listed  map[string]bool // files whose directory entry is durable
	room    int             // bytes until ENOSPC; -1: no end
	syncErr error           // what the next sync answers
	failed  bool            // a write or sync has failed
	after   int             // calls of Write or Sync since then
	cutIn   int             // writes and syncs until cut is called; 0: never
	cut     func()
}

type faultFile struct {
	d      *faultDisk
	data   []byte
	synced int
}

func newFaultDisk() *faultDisk {
	return &faultDisk{files: map[string]*faultFile{}, listed: map[string]bool{}, room: -1}
}

func (d *faultDisk) create(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[path] != nil {
		return nil, os.ErrExist
	}
	f := &faultFile{d: d}
	d.files[path] = f
	return f, nil
}

func (d *faultDisk) syncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range d.files {
		d.listed[p] = true
	}
	return nil
}

// touched counts what is done to the disk after it failed.
func (d *faultDisk) touched(err error) error {
	if d.failed {
		d.after++
	}
	d.failed = d.failed || err != nil
	return err
}

func (f *faultFile) Write(b []byte) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.tick()
	if f.d.room >= 0 && len(b) > f.d.room {
		n := f.d.room
		f.data = append(f.data, b[:n]...)
		f.d.room = 0
		return n, f.d.touched(syscall.ENOSPC)
	}
	if f.d.room >= 0 {
		f.d.room -= len(b)
	}
	f.data = append(f.data, b...)
	return len(b), f.d.touched(nil)
}

func (f *faultFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.tick()
	if f.d.syncErr != nil {
		return f.d.touched(f.d.syncErr)
	}
	f.synced = len(f.data)
	return f.d.touched(nil)
}

func (f *faultFile) Close() error { return nil }

// tick counts a write or sync, just before it takes effect. d.mu is held.
func (d *faultDisk) tick() {
	if d.cutIn--; d.cutIn == 0 {
		d.cut()
	}
}

// crash writes into dir what a power cut could have left (d.mu is held): all that was synced,
// and of the rest each 512-byte sector kept, zeroed or garbled, up to some length.
func (d *faultDisk) crash(rnd *rand.Rand, dir string) error {
	for path, f := range d.files {
		if !d.listed[path] && rnd.IntN(2) == 0 {
			continue
		}
		kept := f.synced + rnd.IntN(len(f.data)-f.synced+1)
		b := slices.Clone(f.data[:kept])
		for at := f.synced; at < kept; at = (at/512 + 1) * 512 {
			sector := b[at:min(kept, (at/512+1)*512)]
			switch rnd.IntN(3) {
			case 0:
				clear(sector)
			case 1:
				for i := range sector {
					sector[i] = byte(rnd.Uint32())
				}
			}
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func openSpool(t testing.TB, o SpoolOptions) *Spool {
	t.Helper()
	if o.Node == "" {
		o.Node = "n1"
	}
	s, err := OpenSpool(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // tests that care close it themselves
	return s
}

func record(text string) *Record {
	return &Record{Type: TypeRequest, Detail: map[string]string{"text": text}}
}

func fill(t testing.TB, s *Spool, n int) {
	t.Helper()
	for i := range n {
		if _, err := s.Append(record(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// texts reads the spool in dir back.
func texts(t testing.TB, dir string) ([]string, []Segment) {
	t.Helper()
	var out []string
	segments, err := ReadSpool(dir, func(seq int64, leaf []byte) error {
		var r Record
		if err := json.Unmarshal(leaf, &r); err != nil || r.Index != seq {
			return fmt.Errorf("record %d bears %d: %w", seq, r.Index, err)
		}
		out = append(out, r.Detail["text"])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, segments
}

// Power is cut at a random write or sync of four writers' work: what was
// acknowledged as durable is there, and nothing is there that wasn't written.
func TestPowerCut(t *testing.T) {
	promised := 0
	for seed := range uint64(250) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		d := newFaultDisk()
		s := openSpool(t, SpoolOptions{Dir: t.TempDir(), SegmentBytes: 1024 + rnd.Int64N(4096), SyncEvery: time.Millisecond, disk: d})
		var mu, ackMu sync.Mutex
		written, acked, want := map[int64]string{}, map[int64]bool{}, map[int64]bool{}
		dir := t.TempDir()
		d.cutIn, d.cut = 1+rnd.IntN(50), func() {
			ackMu.Lock()
			defer ackMu.Unlock()
			maps.Copy(want, acked)
			if err := d.crash(rnd, dir); err != nil {
				t.Error(err)
			}
		}
		var writers sync.WaitGroup
		for w := range 4 {
			mine := rand.New(rand.NewPCG(seed, uint64(w)+2))
			writers.Go(func() {
				for i := range 12 {
					text := fmt.Sprintf("%d/%d %s", w, i, bytes.Repeat([]byte("x"), mine.IntN(300)))
					mu.Lock()
					seq, err := s.Append(record(text))
					written[seq] = text
					mu.Unlock()
					if err == nil && mine.IntN(2) == 0 {
						if err = s.waitFor(context.Background(), seq+1); err == nil {
							ackMu.Lock()
							acked[seq] = true
							ackMu.Unlock()
						}
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		checkAfterCut(t, seed, dir, written, want)
		promised += len(want)
	}
	if promised < 250 {
		t.Errorf("only %d records were acknowledged before a cut: this shows too little", promised)
	}
}

func checkAfterCut(t *testing.T, seed uint64, dir string, written map[int64]string, acked map[int64]bool) {
	t.Helper()
	got := map[int64]string{}
	_, err := ReadSpool(dir, func(seq int64, leaf []byte) error {
		var r Record
		if err := json.Unmarshal(leaf, &r); err != nil {
			return err
		}
		got[seq] = r.Detail["text"]
		return nil
	})
	if err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	for seq, text := range got {
		if written[seq] != text {
			t.Errorf("seed %d: record %d reads %q, written was %q", seed, seq, text, written[seq])
		}
	}
	for seq := range acked {
		if _, ok := got[seq]; !ok {
			t.Errorf("seed %d: record %d was acknowledged and is lost", seed, seq)
		}
	}
}

func TestFullDiskStopsTheSpool(t *testing.T) {
	d := newFaultDisk()
	s := openSpool(t, SpoolOptions{Dir: t.TempDir(), disk: d})
	fill(t, s, 3)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.room = 50
	d.mu.Unlock()
	for range 3 {
		if _, err := s.Append(record("x")); !errors.Is(err, ErrSpoolDead) || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Append: %v", err)
		}
	}
	d.mu.Lock()
	d.room = -1 // room again: too late
	d.mu.Unlock()
	if _, err := s.AppendSync(t.Context(), record("x")); !errors.Is(err, ErrSpoolDead) {
		t.Errorf("Append once there is room: %v", err)
	}
	if err := s.Close(); !errors.Is(err, ErrSpoolDead) {
		t.Errorf("Close: %v", err)
	}
	if d.after != 0 {
		t.Errorf("%d writes or syncs after the failure", d.after)
	}
	dir := t.TempDir()
	for path, f := range d.files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), f.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, segments := texts(t, dir); len(got) != 3 || segments[0].Lost != 50 {
		t.Errorf("after a restart: %q, %+v", got, segments)
	}
}

func TestFailedSyncIsNeverRetried(t *testing.T) {
	d := newFaultDisk()
	s := openSpool(t, SpoolOptions{Dir: t.TempDir(), disk: d})
	fill(t, s, 1)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.syncErr = syscall.EIO
	d.mu.Unlock()
	var waiters sync.WaitGroup
	for range 8 {
		waiters.Go(func() {
			if _, err := s.AppendSync(t.Context(), record("x")); !errors.Is(err, syscall.EIO) {
				t.Errorf("a waiter heard %v", err)
			}
		})
	}
	waiters.Wait()
	d.mu.Lock()
	d.syncErr = nil // the disk says that all is well again: it isn't
	after := d.after
	d.mu.Unlock()
	if _, err := s.Append(record("x")); !errors.Is(err, ErrSpoolDead) {
		t.Errorf("Append: %v", err)
	}
	if err := s.Sync(t.Context()); !errors.Is(err, ErrSpoolDead) {
		t.Errorf("Sync: %v", err)
	}
	if err := s.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close: %v", err)
	}
	if got := s.Status(); !errors.Is(got.Err, syscall.EIO) || got.Unsynced == 0 {
		t.Errorf("status %+v", got)
	}
	if d.after != after {
		t.Errorf("the disk was touched %d times after everybody knew", d.after-after)
	}
}

// A waiter is told when the spool dies by a write, not by a sync.
func TestWaiterHearsOfAFailedWrite(t *testing.T) {
	d := newFaultDisk()
	s := openSpool(t, SpoolOptions{Dir: t.TempDir(), disk: d})
	d.room = 0
	if _, err := s.Append(record("x")); !errors.Is(err, ErrSpoolDead) {
		t.Fatal(err)
	}
	if err := s.waitFor(t.Context(), 1); !errors.Is(err, ErrSpoolDead) {
		t.Errorf("Sync: %v", err)
	}
}

func TestSyncedWithin50ms(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d := newFaultDisk()
		s, err := OpenSpool(SpoolOptions{Dir: dir, Node: "n1", disk: d})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			fill(t, s, 3)
			if s.Status().Unsynced == 0 {
				t.Error("synced before anybody waited: no group")
			}
			time.Sleep(50 * time.Millisecond) // of the bubble's clock
			synctest.Wait()
			if n := s.Status().Unsynced; n != 0 {
				t.Errorf("%d records not durable after 50 ms", n)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestManyWritersManySegments(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	var told []Seal
	s := openSpool(t, SpoolOptions{Dir: dir, SegmentBytes: 4096, OnSeal: func(s Seal) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, s)
	}})
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			for i := range 20 {
				if _, err := s.AppendSync(t.Context(), record(fmt.Sprint(w, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if err := s.Rotate(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
	got, segments := texts(t, dir)
	slices.Sort(got)
	if len(slices.Compact(got)) != 320 || len(segments) < 3 {
		t.Errorf("%d different records in %d segments", len(slices.Compact(got)), len(segments))
	}
	for i, g := range segments {
		if !g.Clean || g.Seal != told[i] || g.Seal != s.Seals()[i] {
			t.Errorf("segment %+v, told %+v", g, told[i])
		}
	}
	if _, err := s.Append(record("x")); err == nil {
		t.Error("a closed spool takes records")
	}
}

func TestRestartGoesOn(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 4 {
		s := openSpool(t, SpoolOptions{Dir: dir, Now: func() time.Time { return now.Add(-time.Duration(i) * time.Hour) }})
		if len(s.Seals()) != i {
			t.Errorf("%d seals at start %d", len(s.Seals()), i)
		}
		r := record("x")
		if seq, err := s.AppendSync(t.Context(), r); err != nil || seq != int64(i) || !r.Time.Equal(now) {
			t.Errorf("record %d at %v: %v", seq, r.Time, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFullSpool(t *testing.T) {
	s := openSpool(t, SpoolOptions{Dir: t.TempDir(), MaxBytes: 8192})
	warned := false
	var err error
	for err == nil {
		_, err = s.Append(record("some text"))
		st := s.Status()
		if warned = warned || st.Warn; st.Warn != (st.Bytes >= st.Limit*8/10) {
			t.Errorf("status %+v", st)
		}
	}
	if !errors.Is(err, ErrSpoolFull) || !warned {
		t.Errorf("%v, warned %v", err, warned)
	}
	if err := s.Close(); err != nil || s.Status().Bytes > 8192 {
		t.Errorf("%v, %d bytes", err, s.Status().Bytes)
	}
}

// small writes one segment of five records and returns its bytes and where each frame ends.
func small(t testing.TB) (segment []byte, ends []int) {
	t.Helper()
	dir := t.TempDir()
	s := openSpool(t, SpoolOptions{Dir: dir})
	for range 5 {
		fill(t, s, 1)
		ends = append(ends, int(s.Status().Bytes))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf(segmentName, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return b, append(ends, len(b))
}

// framesBefore is how many whole frames lie before byte n.
func framesBefore(ends []int, n int) int {
	i, found := slices.BinarySearch(ends, n)
	if found {
		i++
	}
	return i
}

func TestTruncatedAtEveryByte(t *testing.T) {
	b, ends := small(t)
	for n := range len(b) + 1 {
		frames := framesBefore(ends, n)
		good := 0
		if frames > 0 {
			good = ends[frames-1]
		}
		s, err := scanSegment(bytes.NewReader(b[:n]), nil)
		if err != nil || s.Count != int64(min(frames, 5)) || s.Clean != (frames == 6) || s.Bytes != int64(good) {
			t.Errorf("cut at %d: %+v, %v; want %d records", n, s, err, min(frames, 5))
		}
	}
	// Each edge of a frame, and a place inside it, through a real restart.
	for _, end := range ends {
		for _, n := range []int{end - 20, end - 1, end} {
			restartAfterCut(t, b[:n], framesBefore(ends, n))
		}
	}
}

func restartAfterCut(t *testing.T, segment []byte, frames int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf(segmentName, 1)), segment, 0o600); err != nil {
		t.Fatal(err)
	}
	records := min(frames, 5)
	s := openSpool(t, SpoolOptions{Dir: dir})
	if seq, err := s.Append(record("next")); err != nil || seq != int64(records) {
		t.Errorf("cut at %d: next record is %d, want %d (%v)", len(segment), seq, records, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got, segments := texts(t, dir); len(got) != records+1 || segments[0].Clean != (frames == 6) {
		t.Errorf("cut at %d: %d records, %+v", len(segment), len(got), segments[0])
	}
}

func TestFlippedBitEndsASegment(t *testing.T) {
	b, ends := small(t)
	for i := range b {
		for bit := range 8 {
			bad := slices.Clone(b)
			bad[i] ^= 1 << bit
			var n int64
			s, err := scanSegment(bytes.NewReader(bad), func(seq int64, leaf []byte) error {
				if !bytes.Contains(b, leaf) || seq != n {
					t.Fatalf("byte %d: record %d was never written", i, seq)
				}
				n++
				return nil
			})
			want := framesBefore(ends, i) // the frame that holds byte i
			if err != nil || s.Clean || n != int64(min(want, 5)) {
				t.Errorf("byte %d bit %d: %d records, clean %v, %v; want %d", i, bit, n, s.Clean, err, want)
			}
		}
	}
}

func FuzzSegment(f *testing.F) {
	b, _ := small(f)
	f.Add(b)
	f.Add(b[:len(b)-7])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add(appendFrame(nil, frame{seq: 1 << 62, payload: []byte("x")}))
	f.Add(appendFrame(nil, frame{seq: 3, trailer: true, payload: []byte(`{"count":0,"first":3}`)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		s, err := scanSegment(bytes.NewReader(b), func(seq int64, leaf []byte) error {
			again = appendFrame(again, frame{seq: seq, payload: leaf})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b, again) || s.Bytes > int64(len(b)) || !s.Clean && int64(len(again)) != s.Bytes {
			t.Fatalf("%+v doesn't describe what was read", s)
		}
	})
}

func FuzzLeafFields(f *testing.F) {
	leaf, _, err := leafOf(nil, &Record{Index: 7, Time: time.Unix(1_800_000_000, 5000).UTC()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(leaf)
	f.Add([]byte(`{"index":,"time":"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := LeafIndex(b)
		var r Record
		if ok && json.Unmarshal(b, &r) == nil && bytes.Count(b, []byte("ndex")) == 1 && r.Index != n {
			t.Fatalf("index %d, JSON says %d", n, r.Index)
		}
		leafTime(b)
	})
}

func FuzzKey(f *testing.F) {
	f.Add("PRIVATE+KEY+log+0123+AQID")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := parseKey(s); err == nil && k.Verifier() == "" {
			t.Fatal("a key without a public half")
		}
	})
}
