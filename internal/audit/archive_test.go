package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

// archived is a log with a spool of four segments of 3 records, sealed in the
// log, and an archive that the first three were shipped to.
type archived struct {
	*bench
	spool, archive string
	seals          []audit.Seal
}

func newArchived(t *testing.T) *archived {
	t.Helper()
	a := &archived{bench: newBench(t)}
	a.append(t, 3)
	a.spool, a.archive = filepath.Join(a.dir, "spool"), filepath.Join(a.dir, "archive")
	s := a.open(t)
	for range 4 {
		segmentOf(t, s, 3)
	}
	a.seals = s.Seals()
	a.seal(t, a.seals)
	a.sign(t)
	if n := a.ship(t, s); n != 3 {
		t.Fatalf("%d segments were shipped, want 3", n)
	}
	must(t, s.Close())
	return a
}

func section(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (a *archived) open(t *testing.T) *audit.Spool {
	t.Helper()
	s, err := a.tryOpen(t)
	must(t, err)
	return s
}

func (a *archived) tryOpen(t *testing.T) (*audit.Spool, error) {
	t.Helper()
	archive := audit.NewArchive(audit.Dir(a.archive))
	return audit.OpenSpool(audit.SpoolOptions{Dir: a.spool, Node: "n1", Archive: archive})
}

func segmentOf(t *testing.T, s *audit.Spool, n int) {
	t.Helper()
	before := len(s.Seals())
	for range n {
		_, err := s.Append(&audit.Record{Type: audit.TypeRequest, Verb: "select"})
		must(t, err)
	}
	must(t, s.Rotate())
	must(t, s.Sync(t.Context()))
	for len(s.Seals()) == before { // its records may have been synced before it was closed
		must(t, t.Context().Err())
		time.Sleep(time.Millisecond)
	}
}

func (a *archived) ship(t *testing.T, s *audit.Spool) int {
	t.Helper()
	var sealed audit.Sealed
	must(t, sealed.Read(t.Context(), a.store))
	n, err := s.Ship(t.Context(), sealed.Holds)
	must(t, err)
	return n
}

func (a *archived) verify(t *testing.T) *audit.Report {
	t.Helper()
	rep, err := audit.Verify(t.Context(), a.store, audit.VerifyOptions{
		VKeys: []string{a.key.Verifier()}, HeadFile: a.headFile(), SpoolDir: a.spool, Archive: audit.NewArchive(audit.Dir(a.archive)), Node: "n1",
	})
	must(t, err)
	return rep
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestShippedSegmentsMakeRoom(t *testing.T) {
	a := newArchived(t)
	if got := names(t, a.spool); !slices.Equal(got, []string{"00000004.spool"}) {
		t.Errorf("the spool holds %v", got)
	}
	if got := names(t, filepath.Join(a.archive, "node-n1")); !slices.Equal(got, []string{"00000001.spool", "00000002.spool", "00000003.spool"}) {
		t.Errorf("the archive holds %v", got)
	}
	if rep := a.verify(t); !rep.OK() || rep.SpoolRecords != 12 {
		t.Errorf("%d traffic records, problems %v", rep.SpoolRecords, rep.Problems)
	}
	s := a.open(t)
	info, err := os.Stat(filepath.Join(a.spool, "00000004.spool"))
	must(t, err)
	if got := s.Status(); got.Bytes != info.Size() || got.Records != 12 {
		t.Errorf("after a restart %d bytes and %d records, want %d and 12", got.Bytes, got.Records, info.Size())
	}
	segmentOf(t, s, 2)
	must(t, s.Close())
	if rep := a.verify(t); !rep.OK() || rep.SpoolRecords != 14 {
		t.Errorf("%d traffic records, problems %v", rep.SpoolRecords, rep.Problems)
	}
}

// Only what the log has the very seal of leaves the spool.
func TestUnsealedSegmentsStay(t *testing.T) {
	a := &archived{bench: newBench(t)}
	a.spool, a.archive = filepath.Join(a.dir, "spool"), filepath.Join(a.dir, "archive")
	s := a.open(t)
	for range 3 {
		segmentOf(t, s, 2)
	}
	if n := a.ship(t, s); n != 0 {
		t.Errorf("%d segments were shipped without a seal in the log", n)
	}
	forged := s.Seals()[0]
	forged.Root[0] ^= 1
	a.seal(t, []audit.Seal{forged})
	if n := a.ship(t, s); n != 0 {
		t.Errorf("%d segments were shipped under another's seal", n)
	}
	must(t, s.Close())
}

// A full spool goes on as soon as something was shipped.
func TestFullSpoolGoesOnAfterShipping(t *testing.T) {
	a := &archived{bench: newBench(t)}
	a.spool, a.archive = filepath.Join(a.dir, "spool"), filepath.Join(a.dir, "archive")
	archive := audit.NewArchive(audit.Dir(a.archive))
	s, err := audit.OpenSpool(audit.SpoolOptions{Dir: a.spool, Node: "n1", Archive: archive, SegmentBytes: 4 << 10, MaxBytes: 16 << 10})
	must(t, err)
	rec := func() error {
		_, err := s.Append(&audit.Record{Type: audit.TypeRequest, Verb: "select", Detail: map[string]string{"what": strings.Repeat("x", 500)}})
		return err
	}
	for err == nil {
		err = rec()
	}
	if !errors.Is(err, audit.ErrSpoolFull) || !s.Status().Warn {
		t.Fatalf("a full spool says %v, warns %v", err, s.Status().Warn)
	}
	must(t, s.Sync(t.Context()))
	a.seal(t, s.Seals())
	if n := a.ship(t, s); n == 0 {
		t.Fatal("nothing was shipped")
	}
	must(t, rec())
	must(t, s.Close())
}

// The archive is asked again after a crash anywhere; it keeps one of each, and the first.
func TestIngest(t *testing.T) {
	a := newArchived(t)
	archive := audit.NewArchive(audit.Dir(a.archive))
	read := func(n int64) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(a.archive, "node-n1", fmt.Sprintf("%08d.spool", n)))
		must(t, err)
		return b
	}
	last, err := os.ReadFile(filepath.Join(a.spool, "00000004.spool"))
	must(t, err)
	other := a.seals[2]
	other.Root[0] ^= 1
	elsewhere := a.seals[3]
	elsewhere.Node = "../n1"
	skipped := a.seals[3]
	skipped.Segment = 5
	for name, c := range map[string]struct {
		seal audit.Seal
		b    []byte
		want string // "": kept
	}{
		"again":                  {a.seals[2], read(3), ""},
		"other content":          {other, read(3), "another segment of that node"},
		"not what was sealed":    {a.seals[3], read(3), "bears the number 3 inside"},
		"cut":                    {a.seals[3], last[:len(last)-1], "isn't what was sealed"},
		"longer":                 {a.seals[3], append(bytes.Clone(last), 'x'), "isn't what was sealed"},
		"another node's number":  {elsewhere, last, "the segment before it"},
		"the one before skipped": {skipped, last, "the segment before it"},
	} {
		err := archive.Ingest(t.Context(), c.seal, section(c.b))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if name == "other content" && !errors.Is(err, audit.ErrConflict) {
			t.Errorf("%s: %v is no conflict", name, err)
		}
	}
	must(t, archive.Ingest(t.Context(), a.seals[3], section(last)))
	if got := names(t, filepath.Join(a.archive, "node-n1")); len(got) != 4 {
		t.Errorf("the archive holds %v", got)
	}
}

func TestArchiveTamperingIsFound(t *testing.T) {
	for name, tamper := range map[string]func(dir string) error{
		"newest removed": func(dir string) error { return os.Remove(filepath.Join(dir, "00000003.spool")) },
		"oldest removed": func(dir string) error { return os.Remove(filepath.Join(dir, "00000001.spool")) },
		"all removed":    os.RemoveAll,
		"replaced": func(dir string) error {
			return os.Rename(filepath.Join(dir, "00000002.spool"), filepath.Join(dir, "00000001.spool"))
		},
		"longer": func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, "00000001.spool"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "00000001.spool"), append(b, 'x'), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchived(t)
			must(t, tamper(filepath.Join(a.archive, "node-n1")))
			if a.verify(t).OK() {
				t.Error("nobody noticed")
			}
		})
	}
}

// A flipped bit at every byte, and a cut at every byte, of an archived segment.
func TestEveryByteOfAnArchivedSegment(t *testing.T) {
	a := newArchived(t)
	path := filepath.Join(a.archive, "node-n1", "00000002.spool")
	whole, err := os.ReadFile(path)
	must(t, err)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		must(t, os.WriteFile(path, b, 0o600))
		if a.verify(t).OK() {
			t.Errorf("bit %d of byte %d: nobody noticed", i%8, i)
		}
		must(t, os.WriteFile(path, whole[:i], 0o600))
		if a.verify(t).OK() {
			t.Errorf("cut to %d bytes: nobody noticed", i)
		}
	}
	must(t, os.WriteFile(path, whole, 0o600))
	if rep := a.verify(t); !rep.OK() {
		t.Error(rep.Problems)
	}
	t.Logf("%d bytes, each flipped and each cut off", len(whole))
}

// A spool that was emptied, or cut off from its archive, begins no history of its own.
func TestSpoolWithoutItsPastIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(a *archived) error
		want string
	}{
		"spool emptied":        {func(a *archived) error { return os.Remove(filepath.Join(a.spool, "00000004.spool")) }, "nothing is left"},
		"archive not there":    {func(a *archived) error { return os.RemoveAll(a.archive) }, "audit.archive"},
		"archive's newest one": {func(a *archived) error { return os.Remove(filepath.Join(a.archive, "node-n1", "00000003.spool")) }, "audit.archive"},
		"newest can't be read": {func(a *archived) error {
			return os.WriteFile(filepath.Join(a.spool, "00000004.spool"), []byte("x"), 0o600)
		}, "can't be read"},
	} {
		a := newArchived(t)
		must(t, c.harm(a))
		if s, err := a.tryOpen(t); err == nil {
			t.Errorf("%s: opened at record %d", name, s.Next())
			_ = s.Close()
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// A crash between the archive's copy and its removal here, and one in the middle of copying.
func TestShippingAfterACrash(t *testing.T) {
	a := newArchived(t)
	b, err := os.ReadFile(filepath.Join(a.archive, "node-n1", "00000003.spool"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(a.spool, "00000003.spool"), b, 0o600))
	must(t, os.WriteFile(filepath.Join(a.archive, "node-n1", "arriving-1"), b[:10], 0o600))
	if rep := a.verify(t); !rep.OK() || rep.SpoolRecords != 12 {
		t.Errorf("%d traffic records, problems %v", rep.SpoolRecords, rep.Problems)
	}
	s := a.open(t)
	if n := a.ship(t, s); n != 1 {
		t.Errorf("%d segments were shipped, want 1", n)
	}
	must(t, s.Close())
	if rep := a.verify(t); !rep.OK() {
		t.Error(rep.Problems)
	}
}

// Who follows a spool, such as a SIEM that was away, reads on in the archive.
func TestFollowReadsTheArchive(t *testing.T) {
	a := newArchived(t)
	s := a.open(t)
	defer func() { must(t, s.Close()) }()
	f := s.Follow(1)
	defer f.Close()
	for want := int64(1); want < 12; want++ {
		seq, _, ok, err := f.Read()
		if err != nil || !ok || seq != want {
			t.Fatalf("read record %d, %v, %v; want %d", seq, ok, err, want)
		}
	}
}

// The log itself may hold two seals of one segment: then nothing is shipped under the second.
func TestEquivocationIsNotShipped(t *testing.T) {
	a := newArchived(t)
	second := a.seals[3]
	second.Root[0] ^= 1
	var before, after audit.Sealed
	must(t, before.Read(t.Context(), a.store))
	must(t, a.store.Update(func(tx *audittest.Tx) error { return a.Append(t.Context(), tx, second.Record()) }))
	must(t, before.Read(t.Context(), a.store))
	must(t, after.Read(t.Context(), a.store))
	if before.Holds(second) || after.Holds(second) || !before.Holds(a.seals[3]) || !after.Holds(a.seals[3]) {
		t.Error("the second seal of a segment counts")
	}
	if a.verify(t).OK() {
		t.Error("nobody noticed the second seal")
	}
}

func TestDir(t *testing.T) { audittest.Shelf(t, audit.Dir(t.TempDir())) }

// A server in use asks a bucket what it has, and reads it only for assent verify.
func TestListedOnly(t *testing.T) {
	for name, c := range map[string]struct {
		shelf audit.Shelf
		gone  string
		ok    bool
	}{
		"all there":     {ok: true},
		"away":          {shelf: away{}, ok: true},
		"newest gone":   {gone: "00000003.spool"},
		"oldest gone":   {gone: "00000001.spool"},
		"spool emptied": {gone: "../../spool/00000004.spool"},
	} {
		a := newArchived(t)
		if c.gone != "" {
			must(t, os.Remove(filepath.Join(a.archive, "node-n1", c.gone)))
		}
		if c.shelf == nil {
			c.shelf = audit.Dir(a.archive)
		}
		rep, err := audit.Verify(t.Context(), a.store, audit.VerifyOptions{
			VKeys: []string{a.key.Verifier()}, HeadFile: a.headFile(), SpoolDir: a.spool, Archive: audit.NewArchive(c.shelf), Listed: true, Node: "n1",
		})
		if err != nil || rep.OK() != c.ok || c.ok && rep.SpoolRecords != 3 {
			t.Errorf("%s: %v, %d traffic records, problems %v", name, err, rep.SpoolRecords, rep.Problems)
		}
	}
}

// away is a shelf that nobody reaches.
type away struct{ audit.Shelf }

var errAway = errors.New("no route to host")

func (away) Names(context.Context, string) ([]string, error)       { return nil, errAway }
func (away) Open(context.Context, string) (audit.ShelfFile, error) { return nil, errAway }
func (away) Put(context.Context, string, *io.SectionReader) error  { return errAway }

// An archive that is away stops nothing but itself: a spool that goes on behind it opens, and keeps what it has.
func TestArchiveAway(t *testing.T) {
	a := newArchived(t)
	s, err := audit.OpenSpool(audit.SpoolOptions{Dir: a.spool, Node: "n1", Archive: audit.NewArchive(away{})})
	must(t, err)
	segmentOf(t, s, 3)
	a.seal(t, s.Seals()[1:])
	if n, err := s.Ship(t.Context(), func(audit.Seal) bool { return true }); n != 0 || !errors.Is(err, errAway) {
		t.Errorf("%d segments went nowhere: %v", n, err)
	}
	must(t, s.Close())
	if got := names(t, a.spool); len(got) != 2 {
		t.Errorf("the spool holds %v", got)
	}
	s = a.open(t)
	if n := a.ship(t, s); n != 1 {
		t.Errorf("once it is back %d segments were shipped, want 1", n)
	}
	must(t, s.Close())
	if rep := a.verify(t); !rep.OK() || rep.SpoolRecords != 15 {
		t.Errorf("%d traffic records, problems %v", rep.SpoolRecords, rep.Problems)
	}
	must(t, os.RemoveAll(a.spool))
	if _, err := audit.OpenSpool(audit.SpoolOptions{Dir: a.spool, Node: "n1", Archive: audit.NewArchive(away{})}); !errors.Is(err, errAway) {
		t.Errorf("an empty spool began anew beside an archive that nobody could ask: %v", err)
	}
}

// What a shelf gives back is judged, whatever it said when it took it.
func TestMangledOnTheShelf(t *testing.T) {
	a := newArchived(t)
	s, err := audit.OpenSpool(audit.SpoolOptions{Dir: a.spool, Node: "n1", Archive: audit.NewArchive(mangling{audit.Dir(a.archive)})})
	must(t, err)
	segmentOf(t, s, 1)
	if n, err := s.Ship(t.Context(), func(audit.Seal) bool { return true }); n != 0 || err == nil {
		t.Errorf("%d segments were shipped: %v", n, err)
	}
	must(t, s.Close())
	if got := names(t, a.spool); len(got) != 2 {
		t.Errorf("the spool holds %v", got)
	}
}

// mangling turns a bit of each file it takes.
type mangling struct{ audit.Shelf }

func (m mangling) Put(ctx context.Context, name string, r *io.SectionReader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return m.Shelf.Put(ctx, name, section(b))
}
