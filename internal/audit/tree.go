package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles are those of C2SP tlog-tiles: 256 hashes wide, eight tree levels high.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// emptyRoot is the root of a tree without leaves (RFC 6962 section 2.1).
func emptyRoot() tlog.Hash { return sha256.Sum256(nil) }

// frontier is the right edge of a Merkle tree: the roots of its largest
// complete subtrees, from left to right. It is all that growing a tree needs.
type frontier struct {
	size  int64
	stack []tlog.Hash
}

// add puts a leaf hash at the end. It calls each (if not nil) with every
// complete subtree that this finishes, and its level, the leaf itself first.
func (f *frontier) add(h tlog.Hash, each func(level int, h tlog.Hash)) {
	level := 0
	for s := f.size; ; s >>= 1 {
		if each != nil {
			each(level, h)
		}
		if s&1 == 0 {
			break
		}
		last := len(f.stack) - 1
		h = tlog.NodeHash(f.stack[last], h)
		f.stack = f.stack[:last]
		level++
	}
	f.stack = append(f.stack, h)
	f.size++
}

func (f *frontier) root() tlog.Hash {
	if len(f.stack) == 0 {
		return emptyRoot()
	}
	h := f.stack[len(f.stack)-1]
	for _, left := range slices.Backward(f.stack[:len(f.stack)-1]) {
		h = tlog.NodeHash(left, h)
	}
	return h
}

// edge is a frontier with the unfinished tile of each tile level. A copy made
// by clone shares no memory that either will write to.
type edge struct {
	frontier
	tiles [][]byte
}

func (e *edge) clone() *edge {
	c := &edge{frontier: frontier{e.size, slices.Clone(e.stack)}, tiles: make([][]byte, len(e.tiles))}
	for i, t := range e.tiles {
		c.tiles[i] = slices.Clip(t) // appending to the copy moves it
	}
	return c
}

type putTile func(level int, n int64, hashes []byte) error

// add puts a leaf hash at the end and hands out each tile that this fills.
func (e *edge) add(h tlog.Hash, put putTile) error {
	var failed error
	size := e.size
	e.frontier.add(h, func(level int, h tlog.Hash) {
		if level%tileHeight != 0 || failed != nil {
			return
		}
		at := level / tileHeight
		if at == len(e.tiles) {
			e.tiles = append(e.tiles, nil)
		}
		e.tiles[at] = append(e.tiles[at], h[:]...)
		if len(e.tiles[at]) == tileWidth*tlog.HashSize {
			failed = put(at, size>>level>>tileHeight, e.tiles[at])
			e.tiles[at] = nil
		}
	})
	return failed
}

// flush hands out the unfinished tiles that grew since the tree had size from.
func (e *edge) flush(from int64, put putTile) error {
	for at, t := range e.tiles {
		shift := at * tileHeight
		if len(t) == 0 || e.size>>shift == from>>shift {
			continue
		}
		if err := put(at, e.size>>shift>>tileHeight, t); err != nil {
			return err
		}
	}
	return nil
}

// tiler is the half of Tx and Reader that reads tiles.
type tiler interface {
	Tile(ctx context.Context, level int, n int64) ([]byte, error)
}

// loadEdge reads the right edge of the tree that head names and checks it
// against head's root: what comes back from the store is verified when read.
func loadEdge(ctx context.Context, t tiler, head Head) (*edge, error) {
	e := &edge{frontier: frontier{size: head.Size}}
	for at := 0; head.Size>>(at*tileHeight) > 0; at++ {
		width := head.Size >> (at * tileHeight)
		var tile []byte
		if width%tileWidth != 0 {
			var err error
			if tile, err = readTile(ctx, t, at, width/tileWidth, int(width%tileWidth)); err != nil {
				return nil, err
			}
		}
		e.tiles = append(e.tiles, tile)
	}
	for _, tile := range slices.Backward(e.tiles) {
		e.stack = append(e.stack, subtrees(tile)...)
	}
	if head.Size > 0 && e.root() != head.Root {
		return nil, fmt.Errorf("the stored tiles don't have the root of the stored head at %d records", head.Size)
	}
	return e, nil
}

// readTile returns the first width hashes of a tile. A partial tile is stored
// once, at its newest width, and holds every narrower one as a prefix.
func readTile(ctx context.Context, t tiler, level int, n int64, width int) ([]byte, error) {
	b, err := t.Tile(ctx, level, n)
	if err != nil {
		return nil, fmt.Errorf("reading tile %d/%d: %w", level, n, err)
	}
	if len(b) < width*tlog.HashSize {
		return nil, fmt.Errorf("tile %d/%d holds %d bytes instead of %d hashes", level, n, len(b), width)
	}
	return b[:width*tlog.HashSize], nil
}

// subtrees folds the hashes of an unfinished tile into the roots of its largest complete subtrees.
func subtrees(tile []byte) []tlog.Hash {
	var out []tlog.Hash
	for n := len(tile) / tlog.HashSize; n > 0; {
		w := 1 << (bits.Len(uint(n)) - 1)
		out = append(out, perfect(tile[:w*tlog.HashSize]))
		tile, n = tile[w*tlog.HashSize:], n-w
	}
	return out
}

// perfect is the root over a power of two of hashes.
func perfect(b []byte) tlog.Hash {
	if len(b) == tlog.HashSize {
		return tlog.Hash(b)
	}
	half := len(b) / 2
	return tlog.NodeHash(perfect(b[:half]), perfect(b[half:]))
}

// hashes returns a reader of tree nodes that checks everything it reads against head's root.
func hashes(ctx context.Context, t tiler, head Head) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: head.Size, Hash: head.Root}, &tileReader{ctx, t})
}

// tileReader adapts a store to x/mod. It lives for one proof, which is why it may hold a context.
type tileReader struct {
	ctx context.Context
	t   tiler
}

func (r *tileReader) Height() int { return tileHeight }

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, t := range tiles {
		b, err := readTile(r.ctx, r.t, t.L, t.N, t.W)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}

func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
