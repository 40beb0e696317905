package audit_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

// withSpool is a small signed log with a sealed clean segment, one that a
// crash ended, and one still open.
func withSpool(t *testing.T) (b *bench, dir string) {
	t.Helper()
	b = newBench(t)
	b.append(t, 3)
	dir = filepath.Join(b.dir, "spool")
	for i, clean := range []bool{true, false, true} {
		s, err := audit.OpenSpool(audit.SpoolOptions{Dir: dir, Node: "n1", Now: func() time.Time { return b.now }})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := s.Append(&audit.Record{Type: audit.TypeRequest, Verb: "select"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if !clean {
			tear(t, filepath.Join(dir, "0000000"+string(rune('1'+i))+".spool"))
		}
	}
	s, err := audit.OpenSpool(audit.SpoolOptions{Dir: dir, Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	seals := s.Seals()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b.seal(t, seals[:2])
	b.append(t, 1)
	b.sign(t)
	return b, dir
}

// tear cuts the last bytes, as a crash before the trailer does.
func tear(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-10); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) seal(t *testing.T, seals []audit.Seal) {
	t.Helper()
	for _, s := range seals {
		if err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, s.Record()) }); err != nil {
			t.Fatal(err)
		}
	}
}

func verifyAll(t *testing.T, b *bench, spool string) *audit.Report {
	t.Helper()
	rep, err := audit.Verify(context.Background(), b.store, audit.VerifyOptions{
		VKeys: []string{b.key.Verifier()}, HeadFile: b.headFile(), SpoolDir: spool,
	})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func TestVerifyTellsWhatItVerified(t *testing.T) {
	b, dir := withSpool(t)
	rep := verifyAll(t, b, dir)
	if !rep.OK() {
		t.Fatal(rep.Problems)
	}
	text := strings.Join(rep.Lines, "\n")
	for _, want := range []string{
		"6 records", "signed by " + origin, "not witnessed",
		"9 traffic records in 3 spool segments", "3 of them are in segments that aren't sealed",
		"gap: spool segment 2 ended without being closed",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report doesn't tell %q:\n%s", want, text)
		}
	}
	if _, err := json.Marshal(rep); err != nil {
		t.Error(err)
	}
}

// Every byte of everything that is stored matters.
func TestFlippedBitIsFound(t *testing.T) {
	b, dir := withSpool(t)
	flip := func(name string, buf []byte) {
		for i := range buf {
			bit := byte(1) << (i % 8)
			buf[i] ^= bit
			if verifyAll(t, b, dir).OK() {
				t.Errorf("%s: a bit of byte %d flipped, and nobody noticed", name, i)
			}
			buf[i] ^= bit
		}
	}
	for _, leaf := range b.store.State.Leaves {
		flip("leaf", leaf)
	}
	for _, tile := range b.store.State.Tiles {
		flip("tile", tile)
	}
	flip("root", b.store.State.Head.Root[:])
	for _, delta := range []int64{-1, 1, 100, -6} {
		b.store.State.Head.Size += delta
		if verifyAll(t, b, dir).OK() {
			t.Errorf("size changed by %d", delta)
		}
		b.store.State.Head.Size -= delta
	}
	b.store.State.Head.Last = b.store.State.Head.Last.Add(time.Microsecond)
	if verifyAll(t, b, dir).OK() {
		t.Error("time of the head changed")
	}
}

func TestFlippedBitInFilesIsFound(t *testing.T) {
	b, dir := withSpool(t)
	for _, path := range []string{b.headFile(), filepath.Join(dir, "00000001.spool"), filepath.Join(dir, "00000002.spool")} {
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		end := len(good)
		if strings.HasSuffix(path, "2.spool") {
			end = recordBytes(t, path) // behind it lies the torn frame, whose bytes are lost already
		}
		for i := range end {
			bad := slices.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if verifyAll(t, b, dir).OK() {
				t.Errorf("%s: byte %d changed, and nobody noticed", filepath.Base(path), i)
			}
		}
		for n := range end {
			if err := os.WriteFile(path, good[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			if verifyAll(t, b, dir).OK() {
				t.Errorf("%s: cut to %d bytes, and nobody noticed", filepath.Base(path), n)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if rep := verifyAll(t, b, dir); !rep.OK() {
		t.Fatal(rep.Problems)
	}
}

// recordBytes is where the good frames of a segment end.
func recordBytes(t *testing.T, path string) int {
	t.Helper()
	segments, err := audit.ReadSpool(filepath.Dir(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range segments {
		if g.Path == path {
			return int(g.Bytes - g.Lost)
		}
	}
	t.Fatalf("%s isn't a segment", path)
	return 0
}

func TestChangedHistoryIsFound(t *testing.T) {
	for name, tamper := range map[string]func(s *audittest.State){
		"tail deleted":      func(s *audittest.State) { s.Leaves = s.Leaves[:300] },
		"leaf replaced":     func(s *audittest.State) { s.Leaves[7] = s.Leaves[8] },
		"two leaves change": func(s *audittest.State) { s.Leaves[7], s.Leaves[8] = s.Leaves[8], s.Leaves[7] },
		"leaf removed":      func(s *audittest.State) { s.Leaves = slices.Delete(s.Leaves, 7, 8) },
		"leaf added":        func(s *audittest.State) { s.Leaves = append(s.Leaves, s.Leaves[0]) },
		"all deleted":       func(s *audittest.State) { *s = audittest.State{} },
		"tile lost":         func(s *audittest.State) { delete(s.Tiles, audittest.TileName{Level: 0, N: 0}) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.append(t, 310)
			b.sign(t)
			tamper(&b.store.State)
			if rep := b.verify(t); rep.OK() {
				t.Error("nobody noticed")
			} else if !strings.Contains(rep.Lines[0], "NOT VERIFIED") {
				t.Errorf("the report begins with %q", rep.Lines[0])
			}
		})
	}
}

// An operator who rewrites the database consistently, tree and all, is caught by the signed head.
func TestConsistentRewriteIsFound(t *testing.T) {
	b := newBench(t)
	b.append(t, 300)
	b.sign(t)
	other := newBench(t)
	other.now = other.now.Add(time.Minute)
	other.append(t, 320)
	b.store.State = other.store.State
	rep := b.verify(t)
	if rep.OK() || !strings.Contains(rep.Problems[0].What, "aren't those that were signed") {
		t.Errorf("problems: %v", rep.Problems)
	}
}

func TestSpoolTamperingIsFound(t *testing.T) {
	for name, tamper := range map[string]func(b *bench, dir string) error{
		"sealed segment removed, last": func(_ *bench, dir string) error {
			return os.RemoveAll(dir)
		},
		"sealed segment removed, first": func(_ *bench, dir string) error {
			return os.Remove(filepath.Join(dir, "00000001.spool"))
		},
		"segment replaced by another": func(_ *bench, dir string) error {
			return os.Rename(filepath.Join(dir, "00000003.spool"), filepath.Join(dir, "00000001.spool"))
		},
		"bytes added to a closed segment": func(_ *bench, dir string) error {
			f, err := os.OpenFile(filepath.Join(dir, "00000001.spool"), os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("x")
			return err
		},
		"sealed twice": func(b *bench, _ string) error {
			return b.store.Update(func(tx *audittest.Tx) error {
				return b.Append(context.Background(), tx, audit.Seal{Node: "n1", Segment: 1, Count: 2}.Record())
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, dir := withSpool(t)
			if err := tamper(b, dir); err != nil {
				t.Fatal(err)
			}
			if verifyAll(t, b, dir).OK() {
				t.Error("nobody noticed")
			}
		})
	}
}

func TestProgress(t *testing.T) {
	b := newBench(t)
	b.append(t, 10)
	var done int64
	_, err := audit.Verify(t.Context(), b.store, audit.VerifyOptions{Progress: func(d, total int64) {
		if d <= done || total != 10 {
			t.Errorf("progress %d of %d after %d", d, total, done)
		}
		done = d
	}})
	if err != nil || done != 10 {
		t.Errorf("ended at %d, %v", done, err)
	}
}

// A log that is written and signed meanwhile is no tampered log.
func TestVerifyBesideAWriter(t *testing.T) {
	b := newBench(t)
	b.append(t, 250)
	dir := filepath.Join(b.dir, "spool")
	s, err := audit.OpenSpool(audit.SpoolOptions{Dir: dir, Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- func() error {
			for {
				select {
				case <-stop:
					return s.Close()
				default:
				}
				err := b.store.Update(func(tx *audittest.Tx) error {
					return b.Append(context.Background(), tx, &audit.Record{Type: audit.TypeRequest})
				})
				if err != nil {
					return err
				}
				head, err := b.store.Head(context.Background())
				if err != nil {
					return err
				}
				if _, err := b.Sign(context.Background(), head); err != nil {
					return err
				}
				if _, err := s.Append(&audit.Record{Type: audit.TypeRequest}); err != nil {
					return err
				}
			}
		}()
	}()
	for range 40 {
		if rep := verifyAll(t, b, dir); !rep.OK() {
			t.Error(rep.Problems)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTooManyProblemsEndIt(t *testing.T) {
	b := newBench(t)
	b.append(t, 300)
	b.sign(t)
	for i, leaf := range b.store.State.Leaves {
		b.store.State.Leaves[i] = append([]byte(" "), leaf...)
	}
	if rep := b.verify(t); rep.OK() || len(rep.Problems) > 110 {
		t.Errorf("%d problems", len(rep.Problems))
	}
}

// Two nodes seal into one log; each verifies its own spool, and its own missing segments only.
func TestSpoolsOfTwoNodes(t *testing.T) {
	b, dir := withSpool(t)
	other := filepath.Join(b.dir, "other")
	s, err := audit.OpenSpool(audit.SpoolOptions{Dir: other, Node: "n2"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(&audit.Record{Type: audit.TypeRequest}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b.seal(t, s.Seals())
	b.sign(t)
	verify := func(dir, node string) bool {
		r, err := audit.Verify(t.Context(), b.store, audit.VerifyOptions{SpoolDir: dir, Node: node})
		if err != nil {
			t.Fatal(err)
		}
		return r.OK()
	}
	if !verify(dir, "n1") || !verify(other, "n2") {
		t.Error("a node's own spool does not verify")
	}
	if verify(dir, "n2") || verify(other, "n1") || verify(dir, "") {
		t.Error("another node's spool passes")
	}
	if err := os.Remove(filepath.Join(other, "00000001.spool")); err != nil {
		t.Fatal(err)
	}
	if verify(other, "n2") {
		t.Error("a missing segment was not noticed")
	}
}
