package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
	"github.com/assenthq/assent/internal/audit/audittest"
)

const origin = "assent.example/log"

// bench is a log over a store in memory, with its files.
type bench struct {
	*audit.Log
	store *audittest.Memory
	key   *audit.Key
	dir   string
	now   time.Time
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{store: audittest.NewMemory(), dir: t.TempDir(), now: time.Date(2026, 11, 22, 3, 0, 0, 123456789, time.UTC)}
	var err error
	if b.key, err = audit.LoadOrCreateKey(filepath.Join(b.dir, "log.key"), origin); err != nil {
		t.Fatal(err)
	}
	b.reopen(t)
	if err := b.Open(t.Context(), b.store); err != nil {
		t.Fatal(err)
	}
	return b
}

// reopen makes a new Log over the same files, as a restart does.
func (b *bench) reopen(t testing.TB) {
	t.Helper()
	var err error
	b.Log, err = audit.New(audit.Options{
		Origin: origin, Keys: []*audit.Key{b.key}, HeadFile: b.headFile(),
		Now: func() time.Time { return b.now },
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) headFile() string { return filepath.Join(b.dir, "head") }

func (b *bench) append(t testing.TB, n int) {
	t.Helper()
	for range n {
		err := b.store.Update(func(tx *audittest.Tx) error {
			return b.Append(context.Background(), tx, &audit.Record{Type: audit.TypeRequest, Actor: "agent:exporter", Verb: "select"})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bench) sign(t testing.TB) *evidence.Checkpoint {
	t.Helper()
	note, err := b.Sign(t.Context(), b.store.State.Head)
	if err != nil {
		t.Fatal(err)
	}
	cp, err := evidence.VerifyCheckpoint(note, b.key.Verifier())
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

func (b *bench) verify(t testing.TB) *audit.Report {
	t.Helper()
	rep, err := audit.Verify(t.Context(), b.store, audit.VerifyOptions{VKeys: []string{b.key.Verifier()}, HeadFile: b.headFile()})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// hashList is x/mod's own tree over the same leaves: the oracle.
type hashList []tlog.Hash

func (h hashList) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, x := range at {
		out[i] = h[x]
	}
	return out, nil
}

func TestTreeIsTheOneOfXMod(t *testing.T) {
	b := newBench(t)
	var oracle hashList
	for n := int64(1); n <= 600; n++ {
		b.append(t, 1)
		more, err := tlog.StoredHashes(n-1, b.store.State.Leaves[n-1], oracle)
		if err != nil {
			t.Fatal(err)
		}
		oracle = append(oracle, more...)
		want, err := tlog.TreeHash(n, oracle)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.store.State.Head.Root; got != want {
			t.Fatalf("root of %d records is %v, x/mod says %v", n, tlog.Hash(got), want)
		}
	}
	for _, tile := range tlog.NewTiles(8, 0, 600) {
		want, err := tlog.ReadTileData(tile, oracle)
		if err != nil {
			t.Fatal(err)
		}
		got := b.store.State.Tiles[audittest.TileName{Level: tile.L, N: tile.N}]
		if !cmp.Equal(got[:len(want)], want) {
			t.Errorf("tile %v differs from x/mod's", tile)
		}
	}
}

// Appends of any grouping, with savepoints and transactions that roll back in
// between, end in the tree that plain appends would have made.
func TestAppendAgainstModel(t *testing.T) {
	dir := t.TempDir()
	key, err := audit.LoadOrCreateKey(filepath.Join(dir, "key"), origin)
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		store, head := audittest.NewMemory(), filepath.Join(dir, fmt.Sprint("head", runs))
		log, err := audit.New(audit.Options{Origin: origin, Keys: []*audit.Key{key}, HeadFile: head})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		if err := log.Open(ctx, store); err != nil {
			t.Fatal(err)
		}
		errUndo := errors.New("undo")
		model := 0
		for range rapid.IntRange(1, 12).Draw(t, "transactions") {
			kept := 0
			err := store.Update(func(tx *audittest.Tx) error {
				for range rapid.IntRange(0, 5).Draw(t, "savepoints") {
					n, undo := rapid.IntRange(0, 90).Draw(t, "records"), rapid.Bool().Draw(t, "undo")
					recs := make([]*audit.Record, n)
					for i := range recs {
						recs[i] = &audit.Record{Type: audit.TypeRequest}
					}
					err := tx.Savepoint(func() error {
						if err := log.Append(ctx, tx, recs...); err != nil {
							return err
						}
						if undo {
							return errUndo
						}
						return nil
					})
					if err != nil && !errors.Is(err, errUndo) {
						return err
					}
					if !undo {
						kept += n
					}
				}
				if rapid.Bool().Draw(t, "rollback") {
					return errUndo
				}
				return nil
			})
			if err == nil {
				model += kept
			} else if !errors.Is(err, errUndo) {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "sign") {
				if _, err := log.Sign(ctx, store.State.Head); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(store.State.Leaves) != model || store.State.Head.Size != int64(model) {
			t.Fatalf("%d leaves and a head of %d, want %d", len(store.State.Leaves), store.State.Head.Size, model)
		}
		rep, err := audit.Verify(ctx, store, audit.VerifyOptions{VKeys: []string{key.Verifier()}, HeadFile: head})
		if err != nil {
			t.Fatal(err)
		}
		if !rep.OK() {
			t.Fatal(rep.Problems)
		}
	})
}

func TestProofsVerifyWithThePublicPackage(t *testing.T) {
	b := newBench(t)
	var cps []*evidence.Checkpoint
	for range 30 {
		b.append(t, 22) // 660 records: two full tiles and a partial one
		cps = append(cps, b.sign(t))
	}
	last := cps[len(cps)-1]
	for i := range last.Size {
		p, err := b.Proof(t.Context(), b.store, i)
		if err != nil {
			t.Fatal(err)
		}
		cp, index, err := evidence.VerifyProof(p.Text(), b.store.State.Leaves[i], b.key.Verifier())
		if err != nil || index != i || cp.Size != last.Size {
			t.Fatalf("record %d: %v (index %d of %d)", i, err, index, cp.Size)
		}
		if _, _, err := evidence.VerifyProof(p.Text(), b.store.State.Leaves[(i+1)%last.Size], b.key.Verifier()); err == nil {
			t.Fatalf("the proof of record %d holds for its neighbour", i)
		}
	}
	for i, older := range cps {
		for _, newer := range cps[i:] {
			p, err := b.ConsistencyProof(t.Context(), b.store, older.Size, newer.Size)
			if err != nil {
				t.Fatal(err)
			}
			if err := evidence.VerifyConsistency(older, newer, p); err != nil {
				t.Fatal(err)
			}
			if older.Size < newer.Size {
				forged := *older
				forged.Root[0] ^= 1
				if evidence.VerifyConsistency(&forged, newer, p) == nil {
					t.Fatal("another older log passes for the same")
				}
			}
		}
	}
	if _, err := b.Proof(t.Context(), b.store, last.Size); err == nil {
		t.Error("a record beyond the checkpoint has a proof")
	}
}

func TestTimeNeverRunsBack(t *testing.T) {
	b := newBench(t)
	b.append(t, 1)
	b.now = b.now.Add(-time.Hour)
	b.append(t, 1)
	r := &audit.Record{Type: audit.TypeRequest, Time: b.now.Add(time.Hour * 99), Index: 77}
	if err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, r) }); err != nil {
		t.Fatal(err)
	}
	want := b.now.Add(time.Hour).Truncate(time.Microsecond)
	if !r.Time.Equal(want) || r.Index != 2 {
		t.Errorf("record %d at %v, want 2 at %v", r.Index, r.Time, want)
	}
	if rep := b.verify(t); !rep.OK() {
		t.Error(rep.Problems)
	}
}

func TestLargeRecordIsCutAndSaysSo(t *testing.T) {
	b := newBench(t)
	r := &audit.Record{
		Type: audit.TypeRequest, Title: strings.Repeat("ü", 50_000), Target: strings.Repeat("<", 50_000),
		Detail: map[string]string{"statement": strings.Repeat("x", 200_000), "small": "kept"},
	}
	for i := range 100 {
		r.Detail[fmt.Sprintf("more%03d", i)] = strings.Repeat("y", 900)
	}
	if err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, r) }); err != nil {
		t.Fatal(err)
	}
	leaf := b.store.State.Leaves[0]
	if len(leaf) > audit.MaxLeaf {
		t.Errorf("leaf of %d bytes", len(leaf))
	}
	got, err := b.store.Search(t.Context(), audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	note := got[0].Detail[audit.DetailCut]
	for _, want := range []string{"title: ", " of 100000 bytes", "target: ", "70 details"} {
		if !strings.Contains(note, want) {
			t.Errorf("the note %q doesn't tell %q", note, want)
		}
	}
	if strings.ContainsRune(got[0].Title, '\uFFFD') {
		t.Error("a character was cut in two")
	}
	if len(r.Detail["statement"]) != 200_000 {
		t.Error("the caller's record was changed")
	}
	huge := &audit.Record{Type: audit.TypeRequest, Rules: make([]string, 40_000)}
	if err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, huge) }); err == nil {
		t.Error("a record too large to be cut was written")
	}
}

func TestNothingBeforeOpen(t *testing.T) {
	b := newBench(t)
	b.reopen(t)
	err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, &audit.Record{}) })
	if !errors.Is(err, audit.ErrNotOpen) {
		t.Errorf("Append before Open: %v", err)
	}
	if _, err := b.Sign(t.Context(), audit.Head{}); !errors.Is(err, audit.ErrNotOpen) {
		t.Errorf("Sign before Open: %v", err)
	}
}

func TestRestart(t *testing.T) {
	b := newBench(t)
	b.append(t, 300)
	b.sign(t)
	b.append(t, 5) // committed, not signed: a crash came between
	b.reopen(t)
	if err := b.Open(t.Context(), b.store); err != nil {
		t.Fatal(err)
	}
	if got := b.Signed().Size; got != 305 {
		t.Errorf("signed %d records at start, want 305", got)
	}
	b.append(t, 1)
	b.sign(t)
	if rep := b.verify(t); !rep.OK() {
		t.Error(rep.Problems)
	}
}

// Each case is a way to make the store tell another history than the one signed.
func TestRollbackIsRefused(t *testing.T) {
	fork := func(t *testing.T, b *bench, from *audittest.Memory) {
		other := &bench{store: from, dir: t.TempDir(), key: b.key, now: b.now.Add(time.Minute)}
		other.reopen(t)
		if err := os.WriteFile(other.headFile(), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(other.headFile()); err != nil {
			t.Fatal(err)
		}
		var err error
		other.Log, err = audit.New(audit.Options{Origin: origin, Keys: []*audit.Key{b.key}, Now: func() time.Time { return other.now }})
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Open(t.Context(), from); err != nil {
			t.Fatal(err)
		}
		other.append(t, 20)
	}
	for name, tamper := range map[string]func(t *testing.T, b *bench, backup *audittest.Memory) *audittest.Memory{
		"restored backup": func(_ *testing.T, _ *bench, backup *audittest.Memory) *audittest.Memory { return backup },
		"restored backup with other records since": func(t *testing.T, b *bench, backup *audittest.Memory) *audittest.Memory {
			fork(t, b, backup)
			return backup
		},
		"empty database": func(*testing.T, *bench, *audittest.Memory) *audittest.Memory { return audittest.NewMemory() },
		"head file gone": func(t *testing.T, b *bench, _ *audittest.Memory) *audittest.Memory {
			if err := os.Remove(b.headFile()); err != nil {
				t.Fatal(err)
			}
			return b.store
		},
		"head file of another key": func(t *testing.T, b *bench, _ *audittest.Memory) *audittest.Memory {
			other := newBench(t)
			note, err := os.ReadFile(other.headFile())
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(b.headFile(), note, 0o600); err != nil {
				t.Fatal(err)
			}
			return b.store
		},
		"tile changed": func(_ *testing.T, b *bench, _ *audittest.Memory) *audittest.Memory {
			b.store.State.Tiles[audittest.TileName{Level: 0, N: 1}][5] ^= 1
			return b.store
		},
		"head changed": func(_ *testing.T, b *bench, _ *audittest.Memory) *audittest.Memory {
			b.store.State.Head.Root[0] ^= 1
			return b.store
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.append(t, 290)
			b.sign(t)
			backup := b.store.Clone()
			b.append(t, 10)
			b.sign(t)
			b.store = tamper(t, b, backup)
			b.reopen(t)
			err := b.Open(t.Context(), b.store)
			if !errors.Is(err, audit.ErrRolledBack) {
				t.Fatalf("Open: %v", err)
			}
			if !strings.Contains(err.Error(), "restore") && !strings.Contains(err.Error(), "put it back") && !strings.Contains(err.Error(), "of log") {
				t.Errorf("no remedy in %q", err)
			}
			err = b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, &audit.Record{}) })
			if !errors.Is(err, audit.ErrRolledBack) {
				t.Errorf("Append after it: %v", err)
			}
			if _, err := b.Sign(t.Context(), b.store.State.Head); !errors.Is(err, audit.ErrRolledBack) {
				t.Errorf("Sign after it: %v", err)
			}
		})
	}
}

// The store is exchanged while the log runs.
func TestRollbackWhileOpenIsRefused(t *testing.T) {
	b := newBench(t)
	b.append(t, 10)
	backup := b.store.Clone()
	b.append(t, 10)
	b.sign(t)
	b.store.State = backup.State
	err := b.store.Update(func(tx *audittest.Tx) error { return b.Append(t.Context(), tx, &audit.Record{}) })
	if !errors.Is(err, audit.ErrRolledBack) || !errors.Is(b.Err(), audit.ErrRolledBack) {
		t.Fatalf("Append: %v", err)
	}
}

func TestSignRefusesOtherHistory(t *testing.T) {
	b := newBench(t)
	b.append(t, 20)
	first := b.store.State.Head
	b.append(t, 20)
	b.sign(t)
	if _, err := b.Sign(t.Context(), first); err == nil || b.Err() != nil {
		t.Errorf("an older head: %v, then %v; want an error without effect", err, b.Err())
	}
	other := newBench(t)
	other.now = other.now.Add(time.Second)
	other.append(t, 60)
	b.store.State = other.store.State
	if _, err := b.Sign(t.Context(), b.store.State.Head); !errors.Is(err, audit.ErrRolledBack) {
		t.Errorf("a head of another history: %v", err)
	}
}

func TestHeadFileFailure(t *testing.T) {
	b := newBench(t)
	b.append(t, 1)
	before := b.Checkpoint()
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Sign(t.Context(), b.store.State.Head); err == nil {
		t.Error("signed without a head file")
	}
	if !cmp.Equal(b.Checkpoint(), before) {
		t.Error("the checkpoint moved although its head file couldn't be written")
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.key")
	k, err := audit.LoadOrCreateKey(path, origin)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	again, err := audit.LoadOrCreateKey(path, origin)
	if err != nil || again.Verifier() != k.Verifier() {
		t.Errorf("loaded another key: %v", err)
	}
	if _, err := audit.LoadOrCreateKey(path, "another/log"); err == nil {
		t.Error("a key of one log opened for another")
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, secret[:len(secret)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.LoadOrCreateKey(path, origin); err == nil || strings.Contains(err.Error(), string(secret[40:60])) {
		t.Errorf("a damaged key: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.LoadOrCreateKey(path, origin); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

func TestRotationOverlap(t *testing.T) {
	b := newBench(t)
	b.append(t, 3)
	b.sign(t)
	next, err := audit.LoadOrCreateKey(filepath.Join(b.dir, "next.key"), origin)
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]*audit.Key{{next, b.key}, {next}} {
		b.Log, err = audit.New(audit.Options{Origin: origin, Keys: keys, Retired: []string{b.key.Verifier()}, HeadFile: b.headFile()})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Open(t.Context(), b.store); err != nil {
			t.Fatal(err)
		}
		b.append(t, 1)
		note, err := b.Sign(t.Context(), b.store.State.Head)
		if err != nil {
			t.Fatal(err)
		}
		if cp, err := evidence.VerifyCheckpoint(note, next.Verifier(), b.key.Verifier()); err != nil || len(cp.Signers) != len(keys) {
			t.Errorf("%d keys: %v", len(keys), err)
		}
	}
}
