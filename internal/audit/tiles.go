package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrNoTile says that a path names no tile of the tree that was signed.
var ErrNoTile = errors.New("no such tile under the newest checkpoint")

// TileAt returns the hashes of the tile that a C2SP tlog-tiles path names behind
// "tile/": level, number in groups of three digits, and ".p/" with a width where
// it is partial. Nothing beyond the newest signed tree is there yet.
func (l *Log) TileAt(ctx context.Context, r Reader, path string) ([]byte, error) {
	t, err := l.tileOf("tile/8/" + path)
	if err != nil || t.L < 0 {
		return nil, ErrNoTile
	}
	return readTile(ctx, r, t.L, t.N, t.W)
}

// BundleAt returns the records that a tlog-tiles path names behind
// "tile/entries/", each behind its length in two bytes. ErrErased: bytes of one of them are gone.
func (l *Log) BundleAt(ctx context.Context, r Reader, path string) ([]byte, error) {
	t, err := l.tileOf("tile/8/data/" + path)
	if err != nil {
		return nil, ErrNoTile
	}
	var out []byte
	first := t.N * tileWidth
	next := first
	erased := map[int64]bool{}
	if err := erasedOf(ctx, r, first, first+int64(t.W), func(e Erased) error { erased[e.Index] = true; return nil }); err != nil {
		return nil, err
	}
	err = r.Leaves(ctx, first, first+int64(t.W), func(index int64, leaf []byte) error {
		if erased[index] {
			return ErrErased
		}
		if index != next || len(leaf) > MaxLeaf {
			return fmt.Errorf("record %d is missing or too large; assent verify tells more", next)
		}
		next++
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(leaf))), leaf...)
		return nil
	})
	if err == nil && next != first+int64(t.W) {
		err = fmt.Errorf("record %d is missing; assent verify tells more", next)
	}
	if err != nil {
		return nil, fmt.Errorf("reading entry bundle %s: %w", path, err)
	}
	return out, nil
}

// tileOf reads a path as x/mod writes it and holds it against the signed tree.
func (l *Log) tileOf(path string) (tlog.Tile, error) {
	t, err := tlog.ParseTilePath(path)
	if err != nil {
		return t, err
	}
	width := l.Signed().Size >> (max(t.L, 0) * tileHeight) // hashes at that level
	if t.N > width/tileWidth || t.N*tileWidth+int64(t.W) > width {
		return t, ErrNoTile
	}
	return t, nil
}
