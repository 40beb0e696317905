package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/evidence"
	"github.com/assenthq/assent/internal/audit"
)

// pathTiles reads tiles by their paths, as a client of C2SP tlog-tiles does.
type pathTiles struct {
	t *testing.T
	b *bench
}

func (p pathTiles) Height() int { return 8 }

func (p pathTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		b, err := p.b.TileAt(p.t.Context(), p.b.store, strings.TrimPrefix(t.Path(), "tile/8/"))
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (p pathTiles) SaveTiles([]tlog.Tile, [][]byte) {}

// What paths name is what x/mod proves with, and each bundle hashes to its tile.
func TestTilesByPath(t *testing.T) {
	b := newBench(t)
	for size := 0; size < 600; size += 100 {
		b.append(t, 100)
		b.sign(t)
	}
	cp, err := evidence.VerifyCheckpoint(b.Checkpoint(), b.Verifiers()...)
	if err != nil {
		t.Fatal(err)
	}
	hashes := tlog.TileHashReader(tlog.Tree{N: cp.Size, Hash: cp.Root}, pathTiles{t, b})
	for _, index := range []int64{0, 255, 256, 511, 599} {
		p, err := tlog.ProveRecord(cp.Size, index, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if err := evidence.VerifyInclusion(cp, index, b.store.State.Leaves[index], p); err != nil {
			t.Error(err)
		}
	}
	seen := 0
	for _, path := range []string{"000", "001", "002.p/88"} {
		bundle, err := b.BundleAt(t.Context(), b.store, path)
		if err != nil {
			t.Fatal(err)
		}
		tile, err := b.TileAt(t.Context(), b.store, "0/"+path)
		if err != nil {
			t.Fatal(err)
		}
		for len(bundle) > 0 {
			n := int(binary.BigEndian.Uint16(bundle)) + 2
			if !bytes.Equal(bundle[2:n], b.store.State.Leaves[seen]) {
				t.Fatalf("record %d isn't the stored one", seen)
			}
			if h := evidence.LeafHash(bundle[2:n]); !bytes.Equal(h[:], tile[:tlog.HashSize]) {
				t.Fatalf("record %d doesn't hash to its tile", seen)
			}
			bundle, tile, seen = bundle[n:], tile[tlog.HashSize:], seen+1
		}
		if len(tile) > 0 {
			t.Errorf("tile %s has %d bytes more than its bundle", path, len(tile))
		}
	}
	if seen != 600 {
		t.Errorf("%d records in bundles", seen)
	}
}

// No path leads out of the signed tree, or to it in a second spelling.
func TestTilesThatAreNotThere(t *testing.T) {
	b := newBench(t)
	b.append(t, 300)
	b.sign(t)
	b.append(t, 300) // durable, and under no checkpoint yet
	for _, path := range []string{
		"", "/", "0", "0/", "0/001", "0/001.p/45", "0/001.p/0", "0/001.p/256", "0/001.p/044", "0/1", "0/0001", "0/x000/001", "0/002", "0/002.p/1", "00/000",
		"1/000", "1/000.p/2", "2/000.p/1", "63/000.p/1", "64/000.p/1", "-1/000", "data/000", "0/x999/x999/x999/x999/x999/x999/999", "0/../0/000", "0/000/", "0/000.p/1/", "0/000.P/1", "0/000.p/+1",
	} {
		if _, err := b.TileAt(t.Context(), b.store, path); !errors.Is(err, audit.ErrNoTile) {
			t.Errorf("tile %q: %v", path, err)
		}
	}
	for _, path := range []string{"", "001", "001.p/45", "002", "0/000", "../0/000", "x000/001"} {
		if _, err := b.BundleAt(t.Context(), b.store, path); !errors.Is(err, audit.ErrNoTile) {
			t.Errorf("bundle %q: %v", path, err)
		}
	}
	for _, path := range []string{"0/000", "0/000.p/7", "0/001.p/44", "1/000.p/1"} {
		if _, err := b.TileAt(t.Context(), b.store, path); err != nil {
			t.Errorf("tile %q: %v", path, err)
		}
	}
	b.store.State.Leaves[3] = nil
	b.store.State.Leaves = b.store.State.Leaves[:200]
	if _, err := b.BundleAt(t.Context(), b.store, "000"); err == nil {
		t.Error("a bundle with records missing was served")
	}
}

func FuzzTilePath(f *testing.F) {
	for _, s := range []string{"0/000", "0/x001/067.p/3", "1/000.p/1", "63/999", "data/000"} {
		f.Add(s)
	}
	b := newBench(f)
	f.Fuzz(func(t *testing.T, path string) {
		if _, err := b.TileAt(t.Context(), b.store, path); !errors.Is(err, audit.ErrNoTile) {
			t.Errorf("an empty log has tile %q: %v", path, err)
		}
	})
}
