package console

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/assenthq/assent/internal/audit"
)

// tileHeight is that of C2SP tlog-tiles.
const tileHeight = 8

// tiles lets tlog read the stored tiles during one request.
type tiles struct {
	ctx context.Context //nolint:containedctx // tlog.TileReader has no context, and tiles lives for one call
	log audit.Reader
}

func (t tiles) Height() int { return tileHeight }

// ReadTiles returns the hashes of each tile, cut to the width asked for: a
// stored tile may have grown since the head was read.
func (t tiles) ReadTiles(want []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(want))
	for i, w := range want {
		b, err := t.log.Tile(t.ctx, w.L, w.N)
		if err != nil {
			return nil, fmt.Errorf("reading tile %d/%d: %w", w.L, w.N, err)
		}
		if len(b) < w.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %d/%d holds %d hashes, not %d", w.L, w.N, len(b)/tlog.HashSize, w.W)
		}
		out[i] = b[:w.W*tlog.HashSize]
	}
	return out, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
