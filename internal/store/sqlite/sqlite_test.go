//go:build unix

package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/assenthq/assent/internal/approval"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/store/sqlite"
	"github.com/assenthq/assent/internal/store/storetest"
)

// crashDir names the directory that a child process of TestKill writes to.
const (
	crashDir = "ASSENT_TEST_CRASH_DIR"
	fullDir  = "ASSENT_TEST_FULL_DIR" // the same of TestAFullDisk
)

func TestMain(m *testing.M) {
	for name, child := range map[string]func(string) error{crashDir: writeForEver, fullDir: meetAFullDisk} {
		if dir := os.Getenv(name); dir != "" {
			if err := child(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

var ctx = context.Background()

func open(tb testing.TB, dir string) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(ctx, dir)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(tb testing.TB, dir string) storetest.Store { return open(tb, dir) })
}

func row(id string) approval.Row {
	return approval.Row{ID: id, Revision: 1, State: approval.Pending, Actor: "a", Created: time.UnixMicro(1), Body: []byte("b"), MAC: []byte("m")}
}

func insert(s *sqlite.Store, id string) error {
	return s.Update(ctx, func(tx approval.Tx) error { return tx.InsertApproval(ctx, row(id)) })
}

func TestOneWriterADirectory(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := sqlite.Open(ctx, dir); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("a second one: %v", err)
	}
	must(t, insert(s, "a"))
	r, err := sqlite.OpenReadOnly(ctx, dir) // beside the running one
	must(t, err)
	if _, err := r.Head(ctx); err != nil {
		t.Error(err)
	}
	if err := insert(r, "b"); !errors.Is(err, sqlite.ErrRead) {
		t.Errorf("writing to a reader: %v", err)
	}
	must(t, r.Close())
	must(t, s.Close())
	must(t, s.Close()) // twice is harmless
	if err := insert(s, "c"); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("writing after Close: %v", err)
	}
	if _, err := s.Head(ctx); !errors.Is(err, sqlite.ErrClosed) {
		t.Errorf("reading after Close: %v", err)
	}
	must(t, open(t, dir).Close())
}

func TestReadOnlyChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	must(t, insert(s, "a"))
	must(t, s.Close())
	before := bytesOf(t, dir)
	r, err := sqlite.OpenReadOnly(ctx, dir)
	must(t, err)
	must(t, r.View(ctx, func(tx approval.Tx) error {
		_, err := tx.ApprovalByID(ctx, "a")
		return err
	}))
	must(t, r.Close())
	if after := bytesOf(t, dir); after != before {
		t.Error("the database's file changed")
	}
	if _, err := sqlite.OpenReadOnly(ctx, t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
}

func bytesOf(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "assent.db"))
	must(t, err)
	return string(b)
}

func TestOnlyTheOwnerReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := open(t, dir)
	must(t, insert(s, "a"))
	defer func() { must(t, s.Close()) }()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		must(t, err)
		info, err := d.Info()
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return nil
	}))
}

// TestAFullDisk has a child process meet a write that the kernel refuses
// (RLIMIT_FSIZE), and tell what the store said then.
func TestAFullDisk(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fullDir+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// meetAFullDisk errs unless the store stops writing and goes on reading.
func meetAFullDisk(dir string) error {
	s, err := sqlite.Open(ctx, dir)
	if err != nil {
		return err
	}
	if err := insert(s, "before"); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	const full = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: full, Max: full}); err != nil {
		return err
	}
	big := row("big")
	big.Body = make([]byte, 3*full)
	err = s.Update(ctx, func(tx approval.Tx) error { return tx.InsertApproval(ctx, big) })
	if !errors.Is(err, sqlite.ErrDead) {
		return fmt.Errorf("the write that found the disk full: %w", err)
	}
	for range 3 {
		if err := insert(s, "after"); !errors.Is(err, sqlite.ErrDead) {
			return fmt.Errorf("a later write: %w", err)
		}
	}
	if !errors.Is(s.Err(), sqlite.ErrDead) {
		return fmt.Errorf("Err(): %w", s.Err())
	}
	return s.View(ctx, func(tx approval.Tx) error {
		_, err := tx.ApprovalByID(ctx, "before")
		return err
	})
}

// A commit that fails because someone else holds the database: nothing may be retried.
func TestACommitThatFailsStopsTheStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer func() { must(t, s.Close()) }()
	must(t, insert(s, "a"))
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "assent.db"))
	must(t, err)
	defer func() { must(t, db.Close()) }()
	_, err = db.Exec("DROP TABLE log_head") // an operator at work
	must(t, err)
	if err := insert(s, "b"); !errors.Is(err, sqlite.ErrDead) {
		t.Errorf("got %v", err)
	}
	if err := insert(s, "c"); !errors.Is(err, sqlite.ErrDead) {
		t.Errorf("got %v", err)
	}
}

func TestOnCommitTellsEachHeadInOrder(t *testing.T) {
	s := open(t, t.TempDir())
	var mu sync.Mutex
	var sizes []int64
	s.OnCommit(func(h audit.Head) {
		mu.Lock()
		defer mu.Unlock()
		sizes = append(sizes, h.Size)
	})
	for i := range int64(5) {
		must(t, insert(s, fmt.Sprint(i))) // moves no head
		must(t, s.Update(ctx, func(tx approval.Tx) error {
			return tx.SwapHead(ctx, audit.Head{Size: i}, audit.Head{Size: i + 1, Root: [32]byte{1}})
		}))
	}
	must(t, s.Close()) // the writer has ended: nothing more is told
	if fmt.Sprint(sizes) != "[1 2 3 4 5]" {
		t.Errorf("told %v", sizes)
	}
}

func TestLedgerAndSettings(t *testing.T) {
	s := open(t, t.TempDir())
	defer func() { must(t, s.Close()) }()
	at := time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)
	if err := s.AddRows(ctx, "ana", "", "db", at, 3, 30); err == nil {
		t.Error("counted without a seal")
	}
	s.SealLedger([]byte("key"))
	must(t, s.AddRows(ctx, "ana", "", "db", at, 3, 30))
	must(t, s.AddRows(ctx, "ana", "", "db", at.Add(20*time.Minute), 4, 40))
	must(t, s.AddRows(ctx, "ana", "", "db", at.Add(40*time.Minute), 5, 50)) // the next hour
	must(t, s.AddRows(ctx, "ana", "card", "db", at, 1, 10))
	must(t, s.AddRows(ctx, "ben", "", "db", at, 100, 1000))
	for since, want := range map[time.Duration]int64{-time.Hour: 12, 0: 12, 30 * time.Minute: 5, 2 * time.Hour: 0} {
		if rows, bytes, err := s.SumRows(ctx, "ana", "db", at.Add(since)); err != nil || rows[""] != want || bytes[""] != 10*want {
			t.Errorf("since %s: %v rows, %v bytes, %v", since, rows, bytes, err)
		}
	}
	if rows, _, err := s.SumRows(ctx, "ana", "db", at); err != nil || rows["card"] != 1 {
		t.Errorf("cards: %v, %v", rows, err)
	}
	must(t, s.AddRows(ctx, "ben", "", "db", at, -40, -400)) // taken back: it did not flow
	if rows, _, err := s.SumRows(ctx, "ben", "db", at); err != nil || rows[""] != 60 {
		t.Errorf("taken back: %v, %v", rows, err)
	}
	// Editing a row by SQL makes the whole of it unknown, and nothing is added to it.
	for _, edit := range []string{"row_count = 0", "byte_count = 0", "hour = hour + 1", "subject = 'cid'", "class = 'email'", "mac = NULL"} {
		must(t, s.AddRows(ctx, "eve", "", "db", at, 100, 1000))
		must(t, s.Write(ctx, func(tx *sqlite.Tx) error {
			return sqlite.Exec(ctx, tx, "UPDATE ledger SET "+edit+" WHERE subject = 'eve'")
		}))
		who := "eve"
		if edit == "subject = 'cid'" {
			who = "cid"
		}
		if _, _, err := s.SumRows(ctx, who, "db", at); !errors.Is(err, sqlite.ErrLedgerEdited) {
			t.Errorf("%s: %v", edit, err)
		}
		if edit == "row_count = 0" {
			if err := s.AddRows(ctx, who, "", "db", at, 1, 1); !errors.Is(err, sqlite.ErrLedgerEdited) {
				t.Errorf("adding to %s: %v", edit, err)
			}
		}
		must(t, s.Write(ctx, func(tx *sqlite.Tx) error {
			return sqlite.Exec(ctx, tx, "DELETE FROM ledger WHERE subject IN ('eve', 'cid')")
		}))
	}
	must(t, s.PutSetting(ctx, "k", []byte("1")))
	must(t, s.PutSetting(ctx, "k", []byte("2")))
	if v, err := s.Setting(ctx, "k"); err != nil || string(v) != "2" {
		t.Errorf("setting: %q, %v", v, err)
	}
	if v, err := s.Setting(ctx, "none"); err != nil || v != nil {
		t.Errorf("no setting: %q, %v", v, err)
	}
}

// writeForEver appends to the log and says so on stdout after each commit.
func writeForEver(dir string) error {
	s, err := sqlite.Open(ctx, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	l, err := openLog(s, dir)
	if err != nil {
		return err
	}
	errs := make(chan error)
	for range 8 {
		go func() {
			for {
				r := &audit.Record{Type: audit.TypeRequest}
				err := s.Update(ctx, func(tx approval.Tx) error { return l.Append(ctx, tx, r) })
				if err != nil {
					errs <- err
					return
				}
				fmt.Println(r.Index) // one write call: the parent sees all of it or nothing
			}
		}()
	}
	return <-errs
}

func openLog(s *sqlite.Store, dir string) (*audit.Log, error) {
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), "test/log")
	if err != nil {
		return nil, err
	}
	l, err := audit.New(audit.Options{Origin: "test/log", Keys: []*audit.Key{key}, HeadFile: filepath.Join(dir, "head")})
	if err != nil {
		return nil, err
	}
	return l, l.Open(ctx, s)
}

// TestKill kills a writing process again and again; what it acknowledged is there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[int64]bool{}
	rounds := 8
	if text := os.Getenv("ASSENT_KILLS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("ASSENT_KILLS=%q is no number of kills", text)
		}
	}
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var index int64
			_, err := fmt.Sscan(lines.Text(), &index)
			must(t, err)
			if acked[index] {
				t.Fatalf("record %d was acknowledged twice", index)
			}
			acked[index] = true
			if n == 20+round%24*13 {
				must(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // killed
		s := open(t, filepath.Join(dir, "data"))
		l, err := openLog(s, dir)
		must(t, err)
		head, err := s.Head(ctx)
		must(t, err)
		for index := range acked {
			if index >= head.Size {
				t.Fatalf("round %d: record %d was acknowledged and %d are there", round, index, head.Size)
			}
		}
		report, err := audit.Verify(ctx, s, audit.VerifyOptions{VKeys: l.Verifiers(), HeadFile: filepath.Join(dir, "head")})
		must(t, err)
		if len(report.Problems) > 0 {
			t.Fatalf("round %d: %+v", round, report.Problems)
		}
		must(t, s.Close())
	}
	t.Logf("%d kills, %d records acknowledged before one, none of them lost", rounds, len(acked))
}

// BenchmarkAppend appends records with their tiles, and compares with the raw
// write+fdatasync rate of the same disk (ratio).
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			dir := b.TempDir()
			s := open(b, filepath.Join(dir, "data"))
			defer func() { must(b, s.Close()) }()
			l, err := openLog(s, dir)
			must(b, err)
			raw := rawRate(b, dir)
			detail := map[string]string{"text": strings.Repeat("x", 600)}
			var wg sync.WaitGroup
			next := make(chan struct{}, b.N)
			for range b.N {
				next <- struct{}{}
			}
			close(next)
			b.ResetTimer()
			for range writers {
				wg.Go(func() {
					for range next {
						err := s.Update(ctx, func(tx approval.Tx) error {
							return l.Append(ctx, tx, &audit.Record{Type: audit.TypeRequest, Detail: detail})
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/raw, "x-fdatasync")
		})
	}
}

// rawRate is how many 700-byte writes, each with its own sync, the disk does in a second.
func rawRate(b *testing.B, dir string) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "raw"))
	must(b, err)
	defer func() { must(b, f.Close()) }()
	start, buf := time.Now(), make([]byte, 700)
	const n = 200
	for range n {
		_, err := f.Write(buf)
		must(b, err)
		must(b, f.Sync())
	}
	return n / time.Since(start).Seconds()
}
